# SPDX-License-Identifier: MIT
"""Daemons that are killed or stopped while messages are published and handled, with the account of where every message is."""

import itertools
import os
import random
import signal
import time

import pytest

from faults import Load, wait_handled, working
from harness import alive, configuration, handler, wait_until


def kill(daemon, ledger):
    """kill -9; its handlers go with it."""
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait()
    done = {tuple(line[:1]) for line in ledger.of("done")}
    running = [int(line[1]) for line in ledger.of("start")[-40:] if tuple(line[:1]) not in done]
    wait_until(lambda: not [pid for pid in running if alive(pid)], 10, "end of its handlers")


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_row_29_daemon_killed(broker, rabbit, daemon, ledger, name, settle_accounts, kind):
    """kill -9 under load, four times: no handler stays behind, every message is delivered again."""
    queue = rabbit.declare(name(), kind)
    config = configuration(broker={"url": broker.url}, queues=[working(queue, ledger, 0.1)])
    with Load(broker, queue) as load:
        for _ in range(4):
            d = daemon(config)
            ledger.wait(len(ledger.of("done")) + 15)
            kill(d, ledger)
        d = daemon(config)
    wait_handled(load, ledger)
    d.stop()
    settle_accounts(load, ledger, broker, allowed=4 * 4, because="four kills with four messages in hand")


def test_row_31_stopped_under_load(broker, rabbit, daemon, ledger, name, settle_accounts):
    """SIGTERM, again and again: running handlers finish and are acknowledged, the others go back: nothing is done twice."""
    queues = [rabbit.declare(name("classic")), rabbit.declare(name("quorum"), "quorum")]
    config = configuration(broker={"url": broker.url}, queues=[working(q, ledger, 0.1, prefetch=20) for q in queues])
    with Load(broker, queues, rate=150) as load:
        for _ in range(4):
            d = daemon(config)
            ledger.wait(len(ledger.of("done")) + 15)
            d.stop()
        assert ledger.counts("start") == ledger.counts("done"), "a handler was interrupted"
        d = daemon(config)
        load.wait(20)
    wait_handled(load, ledger)
    d.stop()
    settle_accounts(load, ledger, broker)


def test_row_32_handlers_outlive_the_drain(request, broker, rabbit, daemon, ledger, name, settle_accounts):
    """Killed when drain_timeout is over, requeued, and handled by the next daemon; the messages of the others are done once."""
    queue = rabbit.declare(name())
    config = configuration(broker={"url": broker.url}, drain_timeout="700ms", queues=[
        {**working(queue, ledger, 0.05), "handler": {**handler("work", ledger, 0.05), "kill_grace": "300ms"}}])
    numbers = itertools.count()
    with Load(broker, queue, rate=500, plan=lambda rng: "hang/1" if next(numbers) % 20 == 10 else None, most=80) as load:
        load.wait_all()
    for _ in range(5):
        d = daemon(config)
        wait_until(lambda: "as planned, hang" in d.log or load.confirmed <= set(ledger.counts()), what="work")
        begun = time.monotonic()
        d.stop()
        assert time.monotonic() - begun < 15
    stopped = [s for d in request.node.daemons for s in d.settled() if s.get("stopped") == "yes"]
    assert {s["message_id"] for s in stopped} == load.planned("hang/1") and {s["decision"] for s in stopped} == {"requeue"}
    settle_accounts(load, ledger, broker)
    assert ledger.counts("start") == {i: 2 if i in load.planned("hang/1") else 1 for i in load.confirmed}


def test_row_36_crash_loop(broker, rabbit, daemon, ledger, name, settle_accounts):
    """The daemon is killed more often than a quorum queue's delivery limit allows for one message: good messages are not thrown
    away, because no more of them are in hand than handlers run."""
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), "quorum", delivery_limit=20, dead_letter_exchange="", dead_letter_routing_key=dead)
    config = configuration(broker={"url": broker.url}, queues=[working(queue, ledger, 0.1)])
    rng = random.Random(36)
    kills = 24
    with Load(broker, queue, rate=40) as load:
        load.wait(20)
        for _ in range(kills):
            d = daemon(config)
            time.sleep(rng.uniform(0.1, 0.6))
            kill(d, ledger)
        d = daemon(config)
    wait_handled(load, ledger)
    d.stop()
    account = settle_accounts(load, ledger, broker, dead, allowed=kills * 4, because="four messages in hand at each kill")
    assert not account.dead
