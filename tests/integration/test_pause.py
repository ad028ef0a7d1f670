# SPDX-License-Identifier: MIT
"""A handler that cannot be executed is the handler's failure: its queue is paused, and no message is burnt."""

import os
import time

import pytest

from harness import configuration, handler

WORKING = '#!/bin/sh\nprintf "done %s %s\\n" "$AMQP_MESSAGE_ID" "${AMQP_ATTEMPT:-unknown}" >>"$1"\n'


def missing(path):
    path.unlink(missing_ok=True)


def not_executable(path):
    path.write_text(WORKING, encoding="ascii")
    path.chmod(0o644)


def bad_format(path):
    path.write_bytes(b"\x00\x01\x02 this is no program\n")
    path.chmod(0o755)


def no_interpreter(path):
    path.write_text("#!/nonexistent/interpreter\n", encoding="ascii")
    path.chmod(0o755)


def a_folder(path):
    path.mkdir()


def repair(path):
    if path.is_dir():
        path.rmdir()
    new = path.with_suffix(".new")
    new.write_text(WORKING, encoding="ascii")
    new.chmod(0o755)
    os.rename(new, path)


@pytest.mark.parametrize("breakage", [missing, not_executable, bad_format, no_interpreter, a_folder])
def test_handler_that_cannot_be_executed(broker, rabbit, daemon, ledger, name, tmp_path, breakage):
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), "quorum", delivery_limit=5, dead_letter_exchange="", dead_letter_routing_key=dead)
    other = rabbit.declare(name("other"))
    command = tmp_path / "handler"
    breakage(command)
    ids = rabbit.publish_many(queue, ["x"] * 10)
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "concurrency": 2, "prefetch": 4, "requeue": {"delay": "50ms"},
         "handler": {"command": [str(command), str(ledger)]}},
        {"name": other, "handler": handler("ledger", ledger)}]))

    line = d.wait_log(f"{queue}.* paused")
    assert str(command) in line, "the reason names the path"
    d.wait_status(queue)
    d.wait_status("(?i)pause")
    rabbit.publish_many(other, ["x"] * 5, prefix="other")
    ledger.wait(5)
    time.sleep(3)  # long enough for several looks at the handler
    assert rabbit.depth(dead) == 0
    assert not d.settled(queue) or {s["decision"] for s in d.settled(queue)} <= {"return"}
    assert rabbit.depth(queue) >= 9, "they stay in the queue"

    repair(command)
    ledger.wait(15, timeout=60)
    d.wait_settled(10, queue, "ack")
    d.wait_log(f"{queue}.* resumed")
    d.stop()
    done = {line[0]: line[1] for line in ledger.of("done")}
    assert set(ids) <= set(done) and set(ledger.counts().values()) == {1}
    # The first look took messages that went back untried; the probes afterwards take none, or one at a time.
    assert max(int(done[i]) for i in ids) <= 4, {i: done[i] for i in ids}
    assert rabbit.depth(queue) == 0 and rabbit.depth(dead) == 0


def test_directory_that_is_missing(broker, rabbit, daemon, ledger, name, tmp_path):
    queue = rabbit.declare(name())
    rabbit.publish(queue, "x", message_id="m")
    folder = tmp_path / "folder"
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": {**handler("ledger", ledger), "directory": str(folder)}}]))
    line = d.wait_log(f"{queue}.* paused")
    assert str(folder) in line
    folder.mkdir()
    ledger.wait(1)
    d.stop()
    assert rabbit.depth(queue) == 0


def test_stop_while_paused(broker, rabbit, daemon, name, tmp_path):
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, ["x"] * 5)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "prefetch": 3, "handler": {"command": [str(tmp_path / "none")]}}]))
    d.wait_log(f"{queue}.* paused")
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 15
    assert rabbit.depth(queue) == 5


def test_pause_does_not_delete_an_auto_delete_queue(broker, rabbit, daemon, ledger, name, tmp_path):
    """The broker deletes such a queue with its messages when its last consumer cancels."""
    queue = name()
    command = tmp_path / "handler"
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "concurrency": 2, "prefetch": 4, "declare": {"auto_delete": True},
        "handler": {"command": [str(command), str(ledger)]}}]))
    ids = rabbit.publish_many(queue, ["x"] * 10)
    d.wait_log(f"{queue}.* paused")
    time.sleep(2.5)  # long enough for a look or two
    assert rabbit.depth(queue) == 6, "four are in hand, unacknowledged"
    repair(command)
    ledger.wait(10, timeout=60)
    d.wait_settled(10, queue, "ack")
    d.stop()
    assert set(ledger.counts()) == set(ids) and set(ledger.counts().values()) == {1}
