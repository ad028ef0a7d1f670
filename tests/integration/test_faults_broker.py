# SPDX-License-Identifier: MIT
"""Brokers that fail while messages are published and handled. Each test ends with the account of where every message is. The
numbers are those of the list of faults that doc/testing.md explains."""

import datetime
import itertools
import re
import time

import pytest

from faults import QUICK, Load, deciding, wait_dead, wait_handled, working
from harness import Rabbit, configuration, wait_until
from network import Proxy

IN_HAND = "what was in hand when the connection was lost comes again"


@pytest.fixture(scope="module", name="mature")
def _mature(_fragile):
    """A quorum queue, and when it may lose its broker. RabbitMQ 3.10 puts a new quorum queue's term on disk within five
    seconds; killed before, it never elects a leader again, whoever the client is."""
    if not _fragile.running:
        _fragile.start()
    client = Rabbit(_fragile).connect()
    client.declare("mature", "quorum")
    yield "mature", time.monotonic() + 8
    client.close()


def test_row_01_broker_down_at_start(fragile, fragile_rabbit, daemon, ledger, name, settle_accounts):
    """The port is closed: ready, degraded, tries again with growing, irregular delays up to the limit; then it consumes."""
    queue = fragile_rabbit.declare(name())
    with Proxy(fragile.port) as proxy, Load(fragile, queue, rate=50) as load:
        d = daemon(configuration(broker={"url": proxy.url, "reconnect": {"min_delay": "50ms", "max_delay": "800ms"}},
                                 queues=[working(queue, ledger)]))
        d.wait_status("(?i)degraded")

        def attempts():
            return [datetime.datetime.fromisoformat(line.split()[0]) for line in list(d.lines) if "refused; trying" in line]
        times = wait_until(lambda: len(attempts()) >= 10 and attempts(), what="ten attempts")
        gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
        assert gaps[0] < 0.35 and all(0.3 < g < 1.8 for g in gaps[6:]), f"soon at first, up to max_delay later: {gaps}"
        assert max(gaps[6:]) - min(gaps[6:]) > 0.002, f"not regular: {gaps}"
        proxy.open()
        load.wait(20)
        wait_until(lambda: "degraded" not in d.notify.status, what="another STATUS")
        ledger.wait(50)
        d.stop()
    settle_accounts(load, ledger, fragile)


def test_row_04_broker_frozen(fragile, fragile_rabbit, daemon, ledger, name, settle_accounts):
    """SIGSTOP: noticed within two heartbeats, handlers finish, and it goes on after SIGCONT."""
    queue = fragile_rabbit.declare(name())
    with Load(fragile, queue) as load:
        d = daemon(configuration(broker={"url": fragile.url, **QUICK}, queues=[working(queue, ledger, 0.1)]))
        load.wait(50)
        fragile.freeze()
        frozen = time.monotonic()
        try:
            d.wait_log("(?i)heartbeat|not connected|lost", 20)
            noticed = time.monotonic() - frozen
            time.sleep(max(0, 4.5 - noticed))
        finally:
            fragile.thaw()
        assert noticed < 2 * 1 + 2.5, f"noticed after {noticed:.1f} s"
        load.wait(50)
    wait_handled(load, ledger)
    d.stop()
    settle_accounts(load, ledger, fragile, allowed=2 * 4, because=IN_HAND + ", once for the freeze and once for the thaw")


def test_row_09_connections_closed_by_the_operator(fragile, fragile_rabbit, daemon, ledger, name, settle_accounts):
    queues = [fragile_rabbit.declare(name("classic")), fragile_rabbit.declare(name("quorum"), "quorum")]
    with Load(fragile, queues) as load:
        d = daemon(configuration(broker={"url": fragile.url, **QUICK}, queues=[working(q, ledger, 0.1) for q in queues]))
        for n in range(2):
            load.wait(40)
            fragile.ctl("close_all_connections", f"maintenance {n}")
            d.wait_log(f"maintenance {n}")
        load.wait(40)
    wait_handled(load, ledger)
    assert load.reconnects >= 2
    assert ledger.counts("start") == ledger.counts("done"), "a handler was interrupted"
    d.stop()
    settle_accounts(load, ledger, fragile, allowed=2 * 2 * 4, because=IN_HAND)


def test_row_10_delivery_timeout(fragile, fragile_rabbit, daemon, ledger, name, settle_accounts):
    """The broker closes the channel of a message that was not settled in time. That queue alone is hurt, and loses nothing."""
    def limit(timeout, tick):
        fragile.ctl("eval", f"application:set_env(rabbit, consumer_timeout, {timeout}),"
                            f"application:set_env(rabbit, channel_tick_interval, {tick}).")
    queue, other = fragile_rabbit.declare(name()), fragile_rabbit.declare(name("other"))
    plans = iter(["slow4/1"])
    limit(1500, 500)
    try:
        with Load(fragile, queue, rate=30, plan=lambda rng: next(plans, None)) as load, Load(fragile, other, rate=30) as calm:
            d = daemon(configuration(broker={"url": fragile.url, **QUICK}, queues=[
                working(queue, ledger), working(other, ledger)]))
            d.wait_log(f"{queue}.*(?i:timeout|406|precondition)", 30)
            load.wait(30)
        wait_handled(load, ledger)
        wait_handled(calm, ledger)
        d.stop()
    finally:
        limit(1_800_000, 60_000)
    closed = [line for line in d.lines if re.search(f"{queue}.*(?i:timeout|406|precondition)", line)]
    settle_accounts(load, ledger, fragile, allowed=4 * len(closed), because="four in hand, each time")
    settle_accounts(calm, ledger, fragile)
    assert not [line for line in d.lines if other in line and "degraded" in line]


def test_row_11_queue_deleted(fragile, fragile_rabbit, daemon, ledger, name, settle_accounts):
    """Consumed again when it is there again, with backoff; another queue does not notice. What was in the queue went with it:
    it is deleted while it is empty."""
    queue, other = fragile_rabbit.declare(name()), fragile_rabbit.declare(name("other"))
    with Load(fragile, queue) as load, Load(fragile, other) as calm:
        d = daemon(configuration(broker={"url": fragile.url, **QUICK}, queues=[
            working(queue, ledger), working(other, ledger, 0.1)]))
        for _ in range(2):
            load.wait(20)
            with load.paused():
                wait_handled(load, ledger)
                d.wait_settled(len(load.confirmed), queue)
                before = len(d.lines)
                fragile_rabbit.channel.queue_delete(queue)
                wait_until(lambda: [x for x in d.lines[before:] if queue in x], what="a word about it")
            wait_until(lambda: len(load.returned) > 10, what="a queue that is missed")
            fragile_rabbit.declare(queue)
            load.returned.clear()
        load.wait(20)
    wait_handled(load, ledger)
    wait_handled(calm, ledger)
    d.stop()
    assert len([line for line in d.lines if queue in line and re.search("(?i)not.found|404|no queue", line)]) < 20
    settle_accounts(load, ledger, fragile)
    settle_accounts(calm, ledger, fragile)


def test_row_12_declared_differently(fragile, fragile_rabbit, daemon, ledger, name, settle_accounts):
    """That queue is degraded and keeps its messages; the other one runs; once the queue is as declared, all is handled."""
    queue, other = fragile_rabbit.declare(name(), max_length=100_000), fragile_rabbit.declare(name("other"))
    with Load(fragile, [queue, other]) as load:
        d = daemon(configuration(broker={"url": fragile.url, **QUICK}, queues=[
            working(queue, ledger, declare={"durable": True, "type": "classic"}), working(other, ledger)]))
        d.wait_log(f"{queue}.*(?i:inequivalent|precondition|406)")
        d.wait_status(queue)
        load.wait(60)
    good = {i for i in load.confirmed if load.published[i][0] == other}
    wait_until(lambda: good <= set(ledger.counts()), what="the other queue's messages")
    d.stop()
    account = settle_accounts(load, ledger, fragile)
    assert set(account.left) >= load.confirmed - good and not set(account.left) & set(account.done)


def test_row_13_bad_login(fragile, fragile_rabbit, daemon, ledger, name, settle_accounts):
    """Tried again slowly, the password is in no line; when the broker knows it, all is handled."""
    queue = fragile_rabbit.declare(name())
    fragile.ctl("add_user", "clerk", "an-other-Passw0rd")
    fragile.ctl("set_permissions", "clerk", ".*", ".*", ".*")
    with Load(fragile, queue) as load:
        d = daemon(configuration(
            broker={"url": f"amqp://clerk:s3cr3t-Passw0rd@127.0.0.1:{fragile.port}/%2F", **QUICK,
                    "reconnect": {"min_delay": "10ms", "max_delay": "1500ms"}},
            queues=[working(queue, ledger)]), arguments=["--log-level", "debug"])
        begun = time.monotonic()
        d.wait_log("(?i)refused|denied|403|login|password|credentials")
        d.wait_status("(?i)login|password|refused|denied|403")
        load.wait(60)
        attempts = [line for line in d.lines if "connecting to" in line]
        assert 1 <= len(attempts) <= 2 + (time.monotonic() - begun) / 0.7, f"not slowly: {attempts}"
        fragile.ctl("change_password", "clerk", "s3cr3t-Passw0rd")
    wait_handled(load, ledger)
    d.stop()
    assert "s3cr3t" not in d.log + "".join(d.notify.values("STATUS"))
    settle_accounts(load, ledger, fragile)


def test_row_14_resource_alarm(fragile, fragile_rabbit, daemon, ledger, name, settle_accounts):
    """The broker blocks who publishes: good messages are acknowledged, the others keep theirs until their copies can be
    published; no confirm_timeout runs out meanwhile."""
    queue, dead = fragile_rabbit.declare(name()), fragile_rabbit.declare(name("dead"))
    with Load(fragile, queue, rate=500, plan=lambda rng: rng.choice(["75/1", "65"]) if rng.random() < 0.2 else None,
              most=100) as load:
        load.wait_all()
    waiting = load.planned("75/1", "65")
    reader = Rabbit(fragile).connect()  # has published nothing
    fragile.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        d = daemon(configuration(broker={"url": fragile.url, "confirm_timeout": "1s"}, queues=[
            deciding(queue, ledger, dead, prefetch=50)]))
        wait_handled(load, ledger, waiting)
        d.wait_settled(len(load.confirmed - waiting), queue, "ack")
        d.wait_log("(?i)block")
        time.sleep(2.5)
        assert {s["message_id"] for s in d.settled()} == load.confirmed - waiting, "a message whose copy waits was settled"
        assert reader.depth(dead) == 0 and reader.depth(queue) == 0
    finally:
        fragile.ctl("set_vm_memory_high_watermark", "0.6")
    rejected = load.planned("65")
    wait_handled(load, ledger, rejected)
    wait_dead(reader, dead, len(rejected))
    d.wait_settled(len(load.confirmed) + len(waiting - rejected), queue)
    d.stop()
    reader.close()
    account = settle_accounts(load, ledger, fragile, dead, delays=True)
    assert set(account.dead) == rejected and not account.left


def test_row_02_broker_killed(fragile, mature, daemon, ledger, name, settle_accounts):
    """kill -9 and a restart under load: the acknowledgements of the last moment may be lost with it, no message is."""
    client = Rabbit(fragile).connect()
    classic, (quorum, old_enough) = client.declare(name("classic")), mature
    with Load(fragile, [classic, quorum]) as load:
        d = daemon(configuration(broker={"url": fragile.url, **QUICK}, queues=[working(q, ledger, 0.1) for q in (
            classic, quorum)]))
        load.wait(100)
        time.sleep(max(0, old_enough - time.monotonic()))
        shortly_before = len(ledger.of("done"))
        time.sleep(1)
        fragile.kill()
        d.wait_log("(?i)not connected|connection lost")
        doubtful = len(ledger.of("done")) - shortly_before
        fragile.start()
        load.wait(100)
    wait_handled(load, ledger)
    assert ledger.counts("start") == ledger.counts("done"), "a handler was interrupted"
    d.stop()
    settle_accounts(load, ledger, fragile, allowed=doubtful + 2 * 4,
                    because="what was in hand, and what was acknowledged in the second before")
    client.connect().close()
