# SPDX-License-Identifier: MIT
"""breaker: a handler that fails again and again pauses its queue, and messages go back untried."""

import time

from harness import configuration, handler, shell, stays


def test_breaker_pauses_probes_and_resumes(broker, rabbit, daemon, ledger, name, tmp_path):
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), "quorum", delivery_limit=50, dead_letter_exchange="", dead_letter_routing_key=dead)
    other = rabbit.declare(name("other"))
    flag = tmp_path / "works"
    ids = rabbit.publish_many(queue, ["x"] * 12)
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "concurrency": 2, "prefetch": 6, "requeue": {"delay": "20ms"}, "breaker": {"failures": 5, "cooldown": "1s"},
         "handler": shell('[ -e "$2" ] || { echo "database is down" >&2; exit 1; }; echo "done $AMQP_MESSAGE_ID" >>"$1"', ledger, flag)},
        {"name": other, "handler": handler("obey", ledger)}]))
    line = d.wait_log(f"queue={queue} paused")
    assert "5 times in a row" in line and "exit status 1" in line and "database is down" in line
    d.wait_status(f"{queue} paused: .*in a row")
    rabbit.publish_many(other, ["true"] * 5, prefix="other")
    ledger.wait(5)
    # Each cooldown lets one message through, whose failure pauses the queue again.
    d.wait_log("the handler failed 7 times in a row")
    failed = len([s for s in d.settled(queue) if s["decision"] == "requeue"])
    assert failed <= 9, "five, the one that ran beside the fifth, and the probes"
    flag.touch()
    ledger.wait(17, timeout=60)
    d.wait_log(f"queue={queue} resumed: its handler has succeeded")
    d.wait_settled(12, queue, "ack")
    d.stop()
    assert set(ids) <= set(ledger.counts()) and set(ledger.counts().values()) == {1}
    assert rabbit.depth(queue) == 0 and rabbit.depth(dead) == 0
    assert {s["decision"] for s in d.settled(queue)} <= {"ack", "requeue", "return"}


def test_failures_must_be_in_a_row(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    for i in range(30):
        rabbit.publish(queue, "exit 65" if i % 3 else "true", message_id=f"m{i}")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "breaker": {"failures": 3}, "outcomes": {"otherwise": "reject"}}]))
    d.wait_settled(30)
    d.stop()
    assert "paused" not in d.log


def test_a_handler_that_rejects_is_sound(broker, rabbit, daemon, ledger, name):
    """A status that is listed as rejecting says that the message is bad: any number of those pauses nothing."""
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, ["exit 65"] * 10)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "breaker": {"failures": 2}, "outcomes": {"reject": [65]}}]))
    d.wait_settled(10, decision="reject")
    d.stop()
    assert "paused" not in d.log


def test_stop_while_the_breaker_is_open(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, ["exit 1"] * 6)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "prefetch": 4, "breaker": {"failures": 2, "cooldown": "1h"},
        "requeue": {"delay": "100ms", "max_delay": "100ms"}}]))
    d.wait_log("paused")
    begun = time.monotonic()
    rabbit.wait_depth(queue, 6)
    stays(lambda: len(ledger.of("start")) == 2, 1, "nothing is tried while the queue is paused")
    d.stop()
    assert time.monotonic() - begun < 20
    assert rabbit.depth(queue) == 6


def test_an_auto_delete_queue_keeps_its_messages(broker, rabbit, daemon, ledger, name, tmp_path):
    """Its consumer stays while the breaker is open, or the broker would delete it."""
    queue, flag = name(), tmp_path / "works"
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "declare": {"auto_delete": True}, "concurrency": 2, "prefetch": 4, "requeue": {"delay": "20ms"},
        "breaker": {"failures": 3, "cooldown": "500ms"},
        "handler": shell('echo "start $AMQP_MESSAGE_ID" >>"$1"; [ -e "$2" ] && echo "done $AMQP_MESSAGE_ID" >>"$1"', ledger, flag)}],
        ready="consuming"))
    ids = rabbit.publish_many(queue, ["x"] * 8)
    d.wait_log("the handler failed 5 times in a row")
    assert len(ledger.of("start")) <= 7, "probes come one at a time"
    flag.touch()
    ledger.wait(8)
    d.wait_settled(8, queue, "ack")
    d.stop()
    assert set(ledger.counts()) == set(ids)


def test_probes_stop_while_their_copies_wait(fragile, fragile_rabbit, daemon, ledger, name):
    """Each probe has a consumer, and a window of prefetch, of its own: while the broker blocks publishing, the messages in hand must not
    become more with each cooldown."""
    queue, dead = fragile_rabbit.declare(name()), fragile_rabbit.declare(name("dead"))
    fragile_rabbit.publish_many(queue, ["exit 1"] * 20)
    fragile.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        d = daemon(configuration(broker={"url": fragile.url}, queues=[{
            "name": queue, "handler": handler("obey", ledger), "concurrency": 2, "prefetch": 2, "outcomes": {"otherwise": "reject"},
            "breaker": {"failures": 1, "cooldown": "50ms"}, "dead_letter": {"routing_key": dead}}]))
        d.wait_log("has blocked publishing")
        ledger.wait(2, "start")
        # Those that were running when the second copy began to wait.
        stays(lambda: len(ledger.of("start")) <= 5, 3, "probes go on though no copy can be published")
    finally:
        fragile.ctl("set_vm_memory_high_watermark", "0.6")
    d.wait_settled(20, queue, "reject")
    d.stop()
    fragile_rabbit.connect()
    assert fragile_rabbit.depth(dead) == 20 and fragile_rabbit.depth(queue) == 0
    assert set(ledger.counts("start").values()) == {1}


def test_failed_probes_use_up_no_attempts(broker, rabbit, daemon, ledger, name, tmp_path):
    """An outage that is longer than all attempts burns no message: what a probe fails at is not counted."""
    queue, dead, flag = rabbit.declare(name()), rabbit.declare(name("dead")), tmp_path / "works"
    rabbit.queues.append(f"{queue}.retry.200.quorum")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "outcomes": {"retry": [75]}, "retry": {"delay": "200ms", "max_delay": "200ms", "max_attempts": 3},
        "breaker": {"failures": 2, "cooldown": "300ms"}, "dead_letter": {"routing_key": dead},
        "handler": shell('echo "start $AMQP_MESSAGE_ID $AMQP_ATTEMPT" >>"$1"; [ -e "$2" ] || exit 75; echo "done $AMQP_MESSAGE_ID" >>"$1"',
                         ledger, flag)}]))
    rabbit.publish_many(queue, ["x"] * 2)
    d.wait_log("the handler failed 9 times in a row")
    flag.touch()
    ledger.wait(2)
    d.wait_settled(2, queue, "ack")
    d.stop()
    assert rabbit.depth(dead) == 0 and rabbit.depth(queue) == 0
    assert max(int(line[1]) for line in ledger.of("start")) <= 3
    assert {s["decision"] for s in d.settled(queue)} <= {"ack", "retry", "return"}
