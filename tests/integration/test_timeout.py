# SPDX-License-Identifier: MIT
"""handler.timeout: TERM to the group, a grace period, KILL for everything that descends from the handler."""

import time

from harness import alive, configuration, handler, shell, wait_until


def test_term_is_honoured(broker, rabbit, daemon, ledger, name):
    """Also when the handler then exits with 0: it did not get its work done."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "[ $n -gt 1 ] && exit 0; trap 'exit 0' TERM; while :; do sleep 0.1; done", message_id="a")
    rabbit.publish(queue, "[ $n -gt 1 ] && exit 0; exec sleep 300", message_id="b")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "concurrency": 2, "requeue": {"delay": "50ms"},
        "handler": {**handler("obey", ledger), "timeout": 1, "kill_grace": 20}}]))
    begun = time.monotonic()
    d.wait_settled(2, decision="requeue")
    assert time.monotonic() - begun < 15, "the grace period was not waited for"
    d.wait_settled(2, decision="ack")
    d.stop()
    first = [s for s in d.settled() if s["decision"] == "requeue"]
    assert {s["message_id"] for s in first} == {"a", "b"}
    assert all("timeout" in s for s in first)
    assert next(s for s in first if s["message_id"] == "b")["signal"] == "TERM"
    assert all(float(s["duration"].rstrip("s")) >= 0.95 for s in first)
    assert not any("timeout" in s for s in d.settled() if s["decision"] == "ack")


def test_deaf_handler_and_grandchild_are_killed(broker, rabbit, daemon, ledger, name):
    """The handler ignores TERM, its grandchild lives in another session and ignores TERM: both are gone after the grace."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, message_id="m")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "requeue": {"delay": "30s"},
        "handler": {**handler("stubborn", ledger, "deaf"), "timeout": "500ms", "kill_grace": "700ms"}}]))
    wait_until(lambda: ledger.of("self") and ledger.of("grandchild"), what="handler and grandchild")
    pids = [int(ledger.of(w)[0][0]) for w in ("self", "grandchild")]
    settled = d.wait_settled(1)[0]
    assert ledger.of("term"), "it was asked to end first"
    assert "timeout" in settled and settled["signal"] == "KILL" and settled["decision"] == "requeue"
    assert float(settled["duration"].rstrip("s")) >= 1.15
    wait_until(lambda: not any(map(alive, pids)), what=f"end of {pids}")
    d.stop()


def test_grandchild_of_a_handler_that_honours_term(broker, rabbit, daemon, ledger, name):
    """The handler ends on TERM within the grace, its grandchild in another session does not: it is killed all the same."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, message_id="m")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "requeue": {"delay": "30s"},
        "handler": {**handler("stubborn", ledger), "timeout": "500ms", "kill_grace": "1s"}}]))
    wait_until(lambda: ledger.of("self") and ledger.of("grandchild"), what="handler and grandchild")
    pids = [int(ledger.of(w)[0][0]) for w in ("self", "grandchild")]
    settled = d.wait_settled(1)[0]
    assert "timeout" in settled and settled["exit"] == "3" and settled["decision"] == "requeue"
    wait_until(lambda: not any(map(alive, pids)), what=f"end of {pids}")
    d.stop()


def test_handler_in_time_is_left_alone(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, [""] * 4)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "concurrency": 4, "handler": {**shell("sleep 0.5"), "timeout": "20s"}}]))
    settled = d.wait_settled(4)
    assert all(s["decision"] == "ack" and "timeout" not in s for s in settled)
    d.stop()
