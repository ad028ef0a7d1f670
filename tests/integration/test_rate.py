# SPDX-License-Identifier: MIT
"""rate: no more than so many handlers are started within any span of time."""

import time

import pytest

from harness import configuration, handler, shell, stays

# A handler writes down when it runs, which is later than when it was started, and on a busy machine much later: this part of a span is
# measured. A limit that knows only spans side by side lets through twice as many in it.
PART = 0.5


def times(ledger):
    """When handlers ran, by their own clock."""
    return sorted(float(line[2]) for line in ledger.of("start"))


def most_within(moments, seconds):
    """How many of them are within a span of so many seconds at most."""
    return max(sum(1 for other in moments if 0 <= other - first < seconds) for first in moments)


@pytest.mark.parametrize("messages, per, seconds", [(5, "2s", 2), (1, "800ms", 0.8), (20, "4s", 4)])
def test_no_more_in_any_span(broker, rabbit, daemon, ledger, name, messages, per, seconds):
    queue = rabbit.declare(name())
    total = 3 * messages + 2
    rabbit.publish_many(queue, ["true"] * total)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "concurrency": 10, "prefetch": 30, "handler": handler("obey", ledger),
        "rate": {"messages": messages, "per": per}}]))
    d.wait_settled(total, decision="ack")
    d.stop()
    moments = times(ledger)
    assert len(moments) == total and set(ledger.counts("start").values()) == {1}
    assert most_within(moments, seconds * PART) <= messages
    # Three whole spans have passed before the last one may start; a machine that is busy takes longer, but not for ever.
    assert (2 + PART) * seconds <= moments[-1] - moments[0] <= 3 * seconds + 30


def test_messages_wait_in_hand_and_nobody_else(broker, rabbit, daemon, ledger, name):
    """What waits is unacknowledged, no trouble, and no concern of another queue; a stop returns it untried at once."""
    queue, other = rabbit.declare(name()), rabbit.declare(name("other"))
    rabbit.publish_many(queue, ["true"] * 10)
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "prefetch": 4, "concurrency": 4, "handler": handler("obey", ledger), "rate": {"messages": 2, "per": "1h"}},
        {"name": other, "handler": handler("obey", ledger)}]))
    d.wait_settled(2, queue, "ack")
    rabbit.publish_many(other, ["true"] * 20, prefix="other")
    d.wait_settled(20, other, "ack")
    rabbit.wait_depth(queue, 4)
    stays(lambda: len([i for i in ledger.counts("start") if not i.startswith("other")]) == 2, 1, "more were started")
    d.wait_status("^2 queues consuming, 0 handlers running; 22 messages acknowledged, 0 requeued$")
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 20
    assert rabbit.depth(queue) == 8
    assert len([s for s in d.settled(queue) if s["decision"] == "return"]) == 4


def test_a_failed_message_counts_each_time(broker, rabbit, daemon, ledger, name):
    """What is limited are starts, whatever they lead to."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "[ $n -gt 4 ] || exit 1", message_id="m")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "rate": {"messages": 2, "per": "2s"},
        "requeue": {"delay": "1ms", "max_delay": "1ms"}}]))
    d.wait_settled(1, decision="ack")
    d.stop()
    moments = times(ledger)
    assert len(moments) == 5 and most_within(moments, 2 * PART) <= 2


def test_nothing_wakes_up_while_a_span_lasts(broker, rabbit, daemon, name):
    """The wait costs no processor time: there is a timer, and nothing that looks again and again."""
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, ["x"] * 3)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "prefetch": 3, "handler": shell("true"), "rate": {"messages": 1, "per": "1h"}}]))
    d.wait_settled(1, decision="ack")
    time.sleep(1)

    def ticks():
        with open(f"/proc/{d.pid}/stat", encoding="ascii", errors="replace") as f:
            return sum(int(n) for n in f.read().rpartition(")")[2].split()[11:13])
    before = ticks()
    time.sleep(3)
    assert ticks() - before <= 10, "100 ms of processor time in three seconds of waiting"
    d.stop()
