# SPDX-License-Identifier: MIT
"""Handlers that fail while messages are published, with the account of where every message is in the end."""

import itertools
import shutil
import time

from faults import Load, deciding, wait_dead, wait_handled, working
from harness import HANDLERS, configuration, wait_until


def test_row_23_handler_cannot_be_executed(broker, rabbit, daemon, ledger, name, settle_accounts, tmp_path):
    """chmod 000 under load: the queue is paused and looked at again, nothing becomes a dead letter, and all is handled once."""
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), "quorum", delivery_limit=3, dead_letter_exchange="", dead_letter_routing_key=dead)
    command = tmp_path / "work"
    shutil.copy(HANDLERS / "work", command)
    with Load(broker, queue, rate=60) as load:
        d = daemon(configuration(broker={"url": broker.url}, queues=[
            working(queue, ledger, handler={"command": [str(command), str(ledger)]})]))
        ledger.wait(20)
        command.chmod(0)
        d.wait_log(f"{queue}.* paused")
        d.wait_status("(?i)pause")
        time.sleep(0.3)  # what was started before
        before = ledger.counts()
        load.wait(30)
        time.sleep(2.5)  # long enough for another look
        assert ledger.counts() == before and rabbit.depth(dead) == 0
        command.chmod(0o755)
        wait_until(lambda: len(ledger.of("done")) > sum(before.values()) + 20, what="that it goes on")
    wait_handled(load, ledger)
    d.stop()
    account = settle_accounts(load, ledger, broker, dead)
    assert not account.dead


def expect(daemon, load, table):
    """The decisions in the log, for each message, are those that the table has for its plan."""
    got = {}
    for s in daemon.settled():
        got.setdefault(s["message_id"], []).append(s["decision"])
    for name in load.confirmed:
        assert got[name] == table[load.published[name][1]], f"{name}, {load.published[name][1]}: {got[name]}"


def test_row_16_copy_unroutable(broker, rabbit, daemon, ledger, name, settle_accounts):
    """The dead letters' queue does not exist: the originals stay, a line says why; once it exists, they go there, once each."""
    queue, dead = rabbit.declare(name()), name("dead")
    with Load(broker, queue, plan=lambda rng: "65" if rng.random() < 0.1 else None, most=100) as load:
        d = daemon(configuration(broker={"url": broker.url}, queues=[deciding(queue, ledger, dead, prefetch=40)]))
        d.wait_log(f"{queue}.*(?i:returned|no queue)")
        load.wait_all()
    rejected = load.planned("65")
    wait_handled(load, ledger, rejected)
    assert not [s for s in d.settled() if s["message_id"] in rejected and s["decision"] not in ("requeue", "reject")]
    rabbit.declare(dead)
    wait_dead(rabbit, dead, len(rejected))
    rabbit.wait_depth(queue, 0)
    d.stop()
    account = settle_accounts(load, ledger, broker, dead)
    assert set(account.dead) == rejected


def test_row_17_exit_statuses(broker, rabbit, daemon, ledger, name, settle_accounts):
    """Each status has its decision, once: nothing is acknowledged, retried or rejected but by the table."""
    queue, dead = rabbit.declare(name(), "quorum"), rabbit.declare(name("dead"))
    table = {None: ["ack"], "ok3": ["ack"], "1/1": ["requeue", "ack"], "75/2": ["retry", "retry", "ack"],
             "72/1": ["retry", "ack"], "65": ["reject"], "70/1": ["retry", "ack"], "99": ["reject"]}
    plans = itertools.cycle(table)
    with Load(broker, queue, plan=lambda rng: next(plans), most=120) as load:
        d = daemon(configuration(broker={"url": broker.url}, queues=[deciding(queue, ledger, dead, outcomes={
            "ack": [0, 3], "requeue": [1], "retry": ["70-72", "75-75"], "otherwise": "reject"})]))
        load.wait_all()
    rejected = load.planned("65", "99")
    wait_handled(load, ledger, rejected)
    wait_dead(rabbit, dead, len(rejected))
    d.stop()
    account = settle_accounts(load, ledger, broker, dead, delays=True)
    expect(d, load, table)
    assert set(account.dead) == rejected and not account.left
    for letter in (p for copies in account.dead.values() for p in copies):
        status = int(load.published[letter.message_id][1])
        assert letter.headers["x-execd-exit-status"] == status and letter.headers["x-execd-attempts"] == 1
        assert letter.headers["x-execd-queue"] == queue and "as planned" in letter.headers["x-execd-stderr"]


def test_row_18_signals_and_timeouts(broker, rabbit, daemon, ledger, name, settle_accounts):
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    table = {None: ["ack"], "KILL/1": ["retry", "ack"], "SEGV/2": ["retry", "retry", "ack"], "TERM/1": ["retry", "ack"],
             "hang": ["reject"]}
    # Each in turn; few hang, for each of them holds a slot until its timeout.
    plans = itertools.cycle([*list(table)[:-1] * 6, "hang"])
    with Load(broker, queue, plan=lambda rng: next(plans), most=100) as load:
        d = daemon(configuration(broker={"url": broker.url}, queues=[
            deciding(queue, ledger, dead, outcomes={"on_signal": "retry", "on_timeout": "reject"})]))
        load.wait_all()
    rejected = load.planned("hang")
    wait_handled(load, ledger, rejected)
    wait_dead(rabbit, dead, len(rejected))
    d.stop()
    account = settle_accounts(load, ledger, broker, dead, delays=True)
    expect(d, load, table)
    assert len(rejected) == 4 and set(account.dead) == rejected and not account.left


def test_row_35_poison(broker, rabbit, daemon, ledger, name, settle_accounts):
    """Messages whose handler always fails end as dead letters after max_attempts runs; the others are not held up by them."""
    queues = [rabbit.declare(name("classic")), rabbit.declare(name("quorum"), "quorum")]
    dead = rabbit.declare(name("dead"))
    with Load(broker, queues, plan=lambda rng: "66" if rng.random() < 0.15 else None, most=120) as load:
        d = daemon(configuration(broker={"url": broker.url}, queues=[deciding(
            q, ledger, dead, outcomes={"otherwise": "retry"},
            retry={"delay": "200ms", "multiplier": 2.0, "max_attempts": 4}) for q in queues]))
        load.wait_all()
    poison = load.planned("66")
    wait_handled(load, ledger, poison, timeout=10)
    wait_dead(rabbit, dead, len(poison))
    d.stop()
    account = settle_accounts(load, ledger, broker, dead, delays=True)
    assert set(account.dead) == poison and not account.left
    starts = ledger.of("start")
    for i in poison:
        assert [line[2] for line in starts if line[0] == i] == ["1", "2", "3", "4"]
        letter, = account.dead[i]
        assert letter.headers["x-execd-attempts"] == 4 and letter.headers["x-execd-exit-status"] == 66
        assert letter.headers["x-execd-first-failure"] <= letter.headers["x-execd-last-failure"]
        assert letter.headers["plan"] == "66" and letter.headers["x-execd-queue"] == load.published[i][0]
