# SPDX-License-Identifier: MIT
"""SIGTERM, a second one, the drain's limit, kill -9."""

import itertools
import os
import signal
import time

import pytest

from harness import alive, configuration, handler, shell, wait_until


@pytest.mark.parametrize("sig", ["SIGTERM", "SIGINT"])
def test_stop_under_load(broker, rabbit, daemon, ledger, name, sig):
    """Running handlers finish and are acknowledged, untried messages go back, exit 0, nothing lost or done twice."""
    queues = [rabbit.declare(name("classic")), rabbit.declare(name("quorum"), "quorum")]
    total = 200
    for i in range(total):
        rabbit.publish(queues[i % 2], str(i), message_id=f"m{i}")
    config = configuration(broker={"url": broker.url}, defaults={
        "concurrency": 3, "prefetch": 25, "handler": handler("ledger", ledger, 0.1)}, queues=[{"name": q} for q in queues])
    d = daemon(config)
    ledger.wait(20)
    d.signal(getattr(signal, sig))
    assert d.wait() == 0
    first = ledger.counts()
    assert ledger.counts("start") == first, "a handler was interrupted"
    assert {s["message_id"] for s in d.settled() if s["decision"] == "ack"} == set(first)
    assert "1" in d.notify.values("STOPPING")
    left = sum(rabbit.depth(q) for q in queues)
    assert left == total - len(first) > 0
    d = daemon(config)
    wait_until(lambda: len(ledger.counts()) == total, what="the rest")
    d.stop()
    assert set(ledger.counts().values()) == {1}
    assert [rabbit.depth(q) for q in queues] == [0, 0]


def test_drain_waits_and_asks_for_time(broker, rabbit, daemon, ledger, name):
    """STOPPING=1 at once, EXTEND_TIMEOUT_USEC while it waits, WATCHDOG=1 too, the running handler is acknowledged."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "x", message_id="long")
    rabbit.publish(queue, "x", message_id="next")
    d = daemon(configuration(broker={"url": broker.url}, drain_timeout="60s", queues=[{
        "name": queue, "prefetch": 2, "handler": handler("ledger", ledger, 4)}]), watchdog_usec=1_000_000)
    ledger.wait(1, "start")
    begun = time.monotonic()
    d.signal(signal.SIGTERM)
    wait_until(lambda: d.notify.values("STOPPING"), 5, "STOPPING=1")
    rabbit.wait_depth(queue, 1, 5)  # the untried one is back at once, not when the drain ends
    assert ledger.counts() == {}
    assert d.wait() == 0
    took = time.monotonic() - begun
    assert 1 < took < 20
    assert ledger.counts() == {"long": 1}
    assert rabbit.depth(queue) == 1
    extended = [int(v) for v in d.notify.values("EXTEND_TIMEOUT_USEC")]
    assert extended and all(v > 1_000_000 for v in extended)
    assert [t for t in d.notify.times("WATCHDOG") if t > begun + 0.5], "the watchdog is fed while draining"


def test_second_signal_stops_handlers(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    rabbit.publish(queue, message_id="m")
    d = daemon(configuration(broker={"url": broker.url}, drain_timeout="120s", queues=[{
        "name": queue, "handler": {**handler("stubborn", ledger), "kill_grace": "1s"}}]))
    wait_until(lambda: ledger.of("self") and ledger.of("grandchild"), what="handler and grandchild")
    d.signal(signal.SIGTERM)
    wait_until(lambda: d.notify.values("STOPPING"), 10, "STOPPING=1")
    time.sleep(0.7)
    assert d.process.poll() is None and not ledger.of("term")
    d.signal(signal.SIGTERM)
    assert d.wait(20) == 0
    assert not any(alive(int(ledger.of(w)[0][0])) for w in ("self", "grandchild"))
    assert rabbit.depth(queue) == 1, "its message is back"


def test_drain_timeout(broker, rabbit, daemon, ledger, name):
    """Handlers that outlive the drain are killed, deaf ones too, their messages go back, exit 0."""
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, [""] * 3)
    d = daemon(configuration(broker={"url": broker.url}, drain_timeout="1s", queues=[{
        "name": queue, "concurrency": 3, "handler": {**handler("stubborn", ledger, "deaf"), "kill_grace": "500ms"}}]))
    wait_until(lambda: len(ledger.of("grandchild")) == 3, what="three handlers")
    begun = time.monotonic()
    d.stop()
    assert 0.9 < time.monotonic() - begun < 20
    pids = [int(line[0]) for w in ("self", "grandchild") for line in ledger.of(w)]
    assert not [p for p in pids if alive(p)]
    assert rabbit.depth(queue) == 3


def test_stop_gives_held_messages_back(broker, rabbit, daemon, ledger, name):
    """A message that waits for its requeue.delay does not hold up the stop."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "exit 1", message_id="bad")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "requeue": {"delay": "10min"}}]))
    d.wait_log("exit=1")
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 15
    assert rabbit.depth(queue) == 1


def test_daemon_killed(broker, rabbit, daemon, ledger, name):
    """kill -9: the handler that runs goes with it, its message is delivered to the next daemon."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "[ $n -gt 1 ] || exec sleep 300", message_id="m")
    config = configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": handler("obey", ledger)}])
    d = daemon(config)
    pid = int(ledger.wait(1, "start")[0][1])
    os.kill(d.pid, signal.SIGKILL)
    d.process.wait()
    wait_until(lambda: not alive(pid), 10, "end of the handler")
    d = daemon(config)
    ledger.wait(1)
    d.stop()
    assert ledger.counts("start") == {"m": 2}
    assert rabbit.depth(queue) == 0


def test_daemon_killed_again_and_again(broker, rabbit, daemon, ledger, name):
    """Nothing is lost over five kills in the middle of the work."""
    queue = rabbit.declare(name(), "quorum")
    ids = rabbit.publish_many(queue, [str(i) for i in range(100)])
    config = configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "concurrency": 4, "handler": handler("ledger", ledger, 0.05)}])
    for n in (10, 25, 40, 55, 70):
        d = daemon(config)
        wait_until(lambda: len(ledger.counts()) >= n, what=f"{n} messages")
        os.kill(d.pid, signal.SIGKILL)
        d.process.wait()
    d = daemon(config)
    wait_until(lambda: set(ledger.counts()) == set(ids), what="all messages")
    d.stop()
    assert rabbit.depth(queue) == 0
    assert sum(n - 1 for n in ledger.counts().values()) <= 5 * 4


def test_sigterm_before_it_is_ready(broker, daemon, name):
    """At any time: a SIGTERM in the first milliseconds ends it cleanly, too."""
    config = configuration(broker={"url": broker.url}, queues=[{"name": name(), "handler": shell("cat")}])
    for delay in (0.02, 0.05, 0.1, 0.2):
        d = daemon(config, start=False).launch()
        time.sleep(delay)
        d.signal(signal.SIGTERM)
        status = d.wait()
        # Before it has taken over the signals the default disposition ends it, which is clean for systemd as well.
        assert status in (0, -signal.SIGTERM)


def test_watchdog(broker, rabbit, daemon, name):
    """WATCHDOG=1 comes in time while all is well, and stops when the main loop does."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell("sleep 1"),
                                                                  "concurrency": 4}]), watchdog_usec=1_000_000)
    rabbit.publish_many(queue, ["x"] * 8)
    wait_until(lambda: len(d.notify.times("WATCHDOG")) >= 8, 20, "WATCHDOG=1")
    times = d.notify.times("WATCHDOG")
    assert max(b - a for a, b in itertools.pairwise(times)) < 1.0
    d.signal(signal.SIGSTOP)
    time.sleep(0.3)
    n = len(d.notify.times("WATCHDOG"))
    time.sleep(1.2)
    assert len(d.notify.times("WATCHDOG")) == n
    d.signal(signal.SIGCONT)
    wait_until(lambda: len(d.notify.times("WATCHDOG")) > n, 10, "WATCHDOG=1 again")
    d.stop()


def test_no_watchdog_when_not_asked_for(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell("cat")}]))
    rabbit.publish(queue)
    d.wait_settled(1)
    d.stop()
    assert not d.notify.values("WATCHDOG")
    assert d.notify.values("READY") == ["1"]


def test_runs_without_systemd(broker, rabbit, daemon, name):
    """No NOTIFY_SOCKET: it consumes and stops all the same."""
    queue = rabbit.declare(name())
    rabbit.publish(queue)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell("cat")}]), start=False)
    del d.environment["NOTIFY_SOCKET"]
    d.launch().wait_settled(1)
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert not [i for i in d.notify.items if i[1] != "FLUSH"]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_the_last_copies_are_published(broker, rabbit, daemon, ledger, name, kind):
    """What the last handlers ask for is still done: a retry, the queue of which is declared only then, and a dead letter."""
    queues, dead = [name("retry"), name("reject")], rabbit.declare(name("dead"))
    for queue in queues:
        rabbit.declare(queue, kind)
    delay = f"{queues[0]}.retry.600000" + (".quorum" if kind == "quorum" else "")
    rabbit.queues.append(delay)
    d = daemon(configuration(broker={"url": broker.url}, drain_timeout="60s", defaults={
        "outcomes": {"retry": [75], "reject": [65]}, "retry": {"delay": "10min", "queue_type": kind},
        "dead_letter": {"routing_key": dead}}, queues=[
            {"name": queue, "handler": shell(f"echo start m $$ >>{ledger}; sleep 2; exit {status}")}
            for queue, status in zip(queues, (75, 65))]))
    d.wait_ready()
    for queue in queues:
        rabbit.publish(queue, "x", message_id="m")
    ledger.wait(2, "start")
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert sorted(s["decision"] for s in d.settled()) == ["reject", "retry"], d.log
    assert [rabbit.depth(q) for q in (*queues, delay, dead)] == [0, 0, 1, 1]
