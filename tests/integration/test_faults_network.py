# SPDX-License-Identifier: MIT
"""Networks that fail between the daemon and its broker, with the account of where every message is in the end."""

import re
import time

import pytest

from faults import QUICK, Load, deciding, wait_dead, wait_handled, working
from harness import configuration, wait_until
from network import Namespace, Proxy, reset_connections

IN_HAND = "what was in hand when the connection was lost comes again"


@pytest.fixture(scope="module", name="away")
def _away():
    """A network namespace for daemons."""
    with Namespace() as namespace:
        yield namespace


def test_row_05_black_hole(broker, rabbit, daemon, ledger, name, settle_accounts, away):
    """Packets vanish: noticed within two heartbeats, handlers finish, what they settle later hurts nothing; it comes back."""
    queues = [rabbit.declare(name("classic")), rabbit.declare(name("quorum"), "quorum")]
    with Proxy(broker.port, away.here) as proxy, Load(broker, queues, rate=60) as load:
        proxy.open()
        d = away.house(daemon(configuration(broker={"url": proxy.url, **QUICK}, queues=[
            working(q, ledger, 0.8) for q in queues]), start=False)).start()
        ledger.wait(8)
        away.drop()
        lost = time.monotonic()
        try:
            d.wait_log("not connected|connection lost", 20)
            noticed = time.monotonic() - lost
            wait_until(lambda: ledger.counts("start") == ledger.counts("done"), 10, "handlers that finish")
        finally:
            away.heal()
        assert noticed < 2 * 1 + 2.5, f"noticed after {noticed:.1f} s"
        ledger.wait(len(ledger.of("done")) + 8)
        d.stop()
    assert not re.search("(?i)unknown delivery tag|PRECONDITION_FAILED", d.log), "a stale tag was settled"
    account = settle_accounts(load, ledger, broker, allowed=2 * 4, because=IN_HAND)
    assert account.left, "there was more to do than could be done"


def test_row_06_connection_reset(broker, rabbit, daemon, ledger, name, settle_accounts):
    """ss -K: the daemon's connections are destroyed, three times."""
    queue = rabbit.declare(name())
    with Load(broker, queue, rate=30) as load:
        d = daemon(configuration(broker={"url": broker.url, **QUICK}, queues=[working(queue, ledger, 0.1)]))
        for n in range(3):
            load.wait(20)
            wait_until(lambda: reset_connections(d.pid, broker.port), 10, "a connection to reset")
            wait_until(lambda: len(re.findall("not connected|connection lost", d.log)) > n, what="a word about it")
        load.wait(20)
    wait_handled(load, ledger)
    d.stop()
    settle_accounts(load, ledger, broker, allowed=3 * 4, because=IN_HAND)


def test_row_07_loss_and_slow_link(broker, rabbit, daemon, ledger, name, settle_accounts, away):
    """5 percent of the packets are lost and the link is slow: nothing is done twice, for no connection is lost."""
    queue = rabbit.declare(name())
    with Proxy(broker.port, away.here) as proxy:
        proxy.latency = 0.01
        proxy.open()
        away.slow("4mbit")
        away.drop("numgen random mod 100 < 5")
        with Load(broker, queue, most=200) as load:
            d = away.house(daemon(configuration(broker={"url": proxy.url, "heartbeat": 20}, queues=[
                working(queue, ledger, prefetch=20)]), start=False)).start()
            load.wait_all()
            wait_handled(load, ledger)
        away.heal()
        d.stop()
        assert "connection lost" not in d.log and "not connected" not in d.log, "the connection was lost: not what this is about"
        assert len(proxy.accepted) >= 1, "it went round the link"
    settle_accounts(load, ledger, broker)


def test_row_08_garbage_and_truncated_frames(broker, rabbit, daemon, ledger, name, settle_accounts):
    """Between good frames come bytes that are none, a frame that ends early, a frame of an impossible size: the connection is
    given up, the daemon is not."""
    queue = rabbit.declare(name())
    garbage = [b"\xff" * 64, bytes(range(256)) * 4, b"\x01\x00\x01\xff\xff\xff\xff" + b"x" * 100,
               b"\x01\x00\x01\x00\x00\x00\x08\x00\x3c\x00", b"\x03\x00\x01\x00\x00\x00\x04body\xce", b"HTTP/1.1 200 OK\r\n\r\n"]
    with Proxy(broker.port) as proxy:
        proxy.open()
        with Load(broker, queue, rate=40) as load:
            d = daemon(configuration(broker={"url": proxy.url, **QUICK}, queues=[working(queue, ledger, 0.05)]))
            for n, data in enumerate(garbage):
                load.wait(10)
                wait_until(lambda: len(re.findall("info: .* consuming", d.log)) > n, what="the daemon back")
                proxy.inject(data)
                wait_until(lambda: len(re.findall("not connected|connection lost", d.log)) > n, what=f"a word about {data[:20]}")
            load.wait(10)
        wait_handled(load, ledger)
        d.stop()
    settle_accounts(load, ledger, broker, allowed=len(garbage) * 4, because=IN_HAND)


@pytest.mark.parametrize("confirms", ["swallow", "cut"])
def test_row_15_copy_unconfirmed(broker, rabbit, daemon, ledger, name, settle_accounts, confirms):
    """The broker has a copy and its confirm does not arrive, or the connection breaks instead: the original is not
    acknowledged. It comes again, and so there may be a second copy."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    with Proxy(broker.port) as proxy:
        proxy.open()
        proxy.confirms = confirms
        with Load(broker, queue, plan=lambda rng: rng.choice(["75/1", "65"]) if rng.random() < 0.1 else None, most=100) as load:
            d = daemon(configuration(broker={"url": proxy.url, **QUICK, "confirm_timeout": "700ms"}, queues=[
                deciding(queue, ledger, dead, prefetch=30)]))
            d.wait_log(f"{queue}.*(?i:confirm|lost)")
            load.wait_all()
        wait_until(lambda: proxy.swallowed >= 5, what="five confirms that did not arrive")
        failed = load.planned("75/1", "65")
        assert not [s for s in d.settled() if s["message_id"] in failed and s["decision"] in ("retry", "reject")
                    and s["message_id"] not in ledger.counts()], "settled without a confirm"
        proxy.confirms = "pass"
        rejected = load.planned("65")
        wait_handled(load, ledger, rejected)
        wait_until(lambda: {s["message_id"] for s in d.settled() if s["decision"] == "reject"} >= rejected, what="dead letters")
        wait_until(lambda: rabbit.depth(queue) == 0 and nothing_delayed(broker, queue), what="nothing left")
        d.stop()
    again = [s for s in d.settled() if s["message_id"] in failed and s["decision"] == "requeue"]
    assert again, "no original came back"
    account = settle_accounts(load, ledger, broker, dead, delays=True, allowed=len(again), because="copies without a confirm")
    assert set(account.dead) == rejected and not set(account.dead) & set(account.done)


def nothing_delayed(broker, queue):
    rows = [line.split("\t") for line in broker.ctl("list_queues", "--silent", "name", "messages").splitlines()]
    return not [n for name, n in rows if name.startswith(queue) and n != "0"]
