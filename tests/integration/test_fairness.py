# SPDX-License-Identifier: MIT
"""concurrency of a queue, max_handlers across queues, and who gets the next slot."""

from harness import configuration, handler


def overlap(ledger, queues):
    """The most runs at once, from the lines of tests/handlers/span."""
    events = sorted((float(line[2]), 1 if line[0] == "begin" else -1) for line in ledger.lines if line[1] in queues)
    most = now = 0
    for _, step in events:
        now += step
        most = max(most, now)
    return most


def test_concurrency(broker, rabbit, daemon, ledger, name):
    """Never more than N of a queue at once, and N when there is enough to do."""
    one, three = rabbit.declare(name("one")), rabbit.declare(name("three"))
    for queue, n in ((one, 8), (three, 24)):
        rabbit.publish_many(queue, ["x"] * n)
    d = daemon(configuration(broker={"url": broker.url}, defaults={"handler": handler("span", ledger, 0.2), "prefetch": 10},
                             queues=[{"name": one, "concurrency": 1}, {"name": three, "concurrency": 3}]))
    d.wait_settled(32)
    d.stop()
    assert overlap(ledger, {one}) == 1
    assert overlap(ledger, {three}) == 3


def test_max_handlers(broker, rabbit, daemon, ledger, name):
    """A limit across all queues that is smaller than the sum of their concurrencies."""
    queues = [rabbit.declare(name(f"q{i}")) for i in range(4)]
    for queue in queues:
        rabbit.publish_many(queue, ["x"] * 6)
    d = daemon(configuration(broker={"url": broker.url}, limits={"max_handlers": 3}, defaults={
        "concurrency": 4, "handler": handler("span", ledger, 0.15)}, queues=[{"name": q} for q in queues]))
    d.wait_settled(24)
    d.stop()
    assert overlap(ledger, set(queues)) == 3


def test_busy_queue_does_not_starve_another(broker, rabbit, daemon, ledger, name):
    """One queue with a long backlog and a large concurrency, one with a few messages: the few are not behind the many."""
    busy, quiet = rabbit.declare(name("busy")), rabbit.declare(name("quiet"))
    rabbit.publish_many(busy, ["x"] * 80)
    d = daemon(configuration(broker={"url": broker.url}, limits={"max_handlers": 2}, queues=[
        {"name": busy, "concurrency": 50, "handler": handler("span", ledger, 0.1)},
        {"name": quiet, "concurrency": 1, "handler": handler("span", ledger, 0.1)}]))
    ledger.wait(6, "end")
    rabbit.publish_many(quiet, ["x"] * 8)
    ends_at = len(ledger.of("end"))
    d.wait_settled(8, quiet)
    of_busy = [line for line in ledger.of("end")[ends_at:] if line[0] == busy]
    # Shared fairly it is one to one; in order of arrival it would be all 70 of the busy queue first.
    assert len(of_busy) <= 30, f"{len(of_busy)} of the busy queue before 8 of the quiet one"
    d.wait_settled(88)
    d.stop()
    assert overlap(ledger, {busy, quiet}) == 2
