# SPDX-License-Identifier: MIT
"""Where the parts meet: stops with a broker that does not answer, too few descriptors, queues that fail while probing."""

import signal
import time

from harness import Rabbit, configuration, handler, shell, wait_until


def timed_stop(d, signals=1):
    """SIGTERM, so many times; returns how long the stop took."""
    begun = time.monotonic()
    for _ in range(signals):
        d.signal(signal.SIGTERM)
        time.sleep(0.2)
    assert d.wait() == 0
    return time.monotonic() - begun


def test_stop_with_a_broker_frozen_while_it_logs_us_in(fragile, daemon, name):
    """Nothing was consumed, so there is nothing that the broker would have to confirm."""
    fragile.freeze()
    d = daemon(configuration(broker={"url": fragile.url}, ready="started", queues=[{
        "name": name(), "handler": shell("cat")}]))
    time.sleep(1)
    assert timed_stop(d) < 3


def test_stop_with_a_broker_frozen_while_it_delivers(fragile, daemon, name):
    """It gets a while to confirm, once, and not again for the end of the connection."""
    rabbit = Rabbit(fragile).connect()
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": fragile.url}, queues=[{"name": queue, "handler": shell("cat")}]))
    d.wait_log("consuming")
    fragile.freeze()
    assert timed_stop(d) < 7.5
    fragile.thaw()
    rabbit.close()


def test_second_signal_does_not_wait_for_a_frozen_broker(fragile, daemon, name):
    rabbit = Rabbit(fragile).connect()
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": fragile.url}, queues=[{"name": queue, "handler": shell("cat")}]))
    d.wait_log("consuming")
    fragile.freeze()
    assert timed_stop(d, signals=2) < 3
    fragile.thaw()
    rabbit.close()


def test_more_large_messages_than_descriptors(broker, rabbit, daemon, ledger, name):
    """A prefetch that the limit of open files does not allow for costs no connection, and no message its handler."""
    queue, other = rabbit.declare(name()), rabbit.declare(name("other"))
    ids = rabbit.publish_many(queue, ["x" * 70_000] * 150)
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "prefetch": 150, "concurrency": 4, "handler": handler("ledger", ledger, 0.02)},
        {"name": other, "handler": handler("ledger", ledger)}]), start=False)
    d.arguments = ["prlimit", "--nofile=96:96", "--", *d.arguments]
    d.start()
    others = rabbit.publish_many(other, ["y"] * 3, prefix="other")
    ledger.wait(153)
    assert ledger.counts() == {i: 1 for i in ids + others}
    d.wait_settled(153, decision="ack")
    d.stop()
    assert "Too many open files" not in d.log
    assert rabbit.depth(queue) == 0


def test_queue_that_is_gone_while_it_is_probed(broker, rabbit, daemon, ledger, name, tmp_path):
    """A paused queue whose handler is well again, but which cannot be consumed: the log and the status say so."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "x", message_id="first")
    command = tmp_path / "handler"
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "prefetch": 2, "handler": {"command": [str(command), str(ledger)]}}]))
    d.wait_log(f"{queue}.* paused")
    rabbit.channel.queue_delete(queue)
    command.write_text('#!/bin/sh\nprintf "done %s\\n" "$AMQP_MESSAGE_ID" >>"$1"\n', encoding="ascii")
    command.chmod(0o755)
    d.wait_log(f"{queue} .*no queue")
    d.wait_status(f"{queue} probing: .*no queue")
    rabbit.declare(queue)
    rabbit.publish(queue, "x", message_id="second")
    ledger.wait(1)
    d.wait_log(f"{queue}.* resumed")
    d.stop()
    assert ledger.counts() == {"second": 1}


def test_untried_messages_are_no_warning(broker, rabbit, daemon, name):
    """That a stop gives messages back is as it should be."""
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, ["x"] * 4)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "prefetch": 4, "handler": shell("sleep 1")}]))
    wait_until(lambda: rabbit.depth(queue) == 0, what="four messages taken")
    d.stop()
    lines = [line for line in d.lines if "decision=return" in line]
    assert lines and all(" info: " in line for line in lines)
