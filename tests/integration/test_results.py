# SPDX-License-Identifier: MIT
"""results: a handler whose message can no longer be settled is not run twice for it."""

import os
import signal
import time
from pathlib import Path

import pytest

from harness import configuration, handler, shell, wait_until


# A handler that runs until its test lets it go on, however long a busy machine takes to drop a connection and to make another.
HELD = 'while ! [ -e "$ledger.go" ]; do sleep 0.1; done'


def let_go(ledger):
    Path(f"{ledger}.go").touch()


def config(broker, queue, ledger, **keys):
    return configuration(broker={"url": broker.url, "reconnect": {"min_delay": "200ms", "max_delay": "400ms"}}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "concurrency": 4, "requeue": {"delay": "50ms"}, **keys}])


def drop_connections(broker, d):
    """What an operator does; then the daemon connects again."""
    before = d.log.count(" connected")
    broker.ctl("close_all_connections", "a test")
    wait_until(lambda: d.log.count(" connected") > before, what="the daemon is connected again")


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_delivered_again_while_the_handler_runs(broker, rabbit, daemon, ledger, name, kind):
    queue = rabbit.declare(name(), kind)
    for i in range(3):
        rabbit.publish(queue, f"{HELD} # {i}", message_id=f"m{i}")
    d = daemon(config(broker, queue, ledger))
    ledger.wait(3, "start")
    drop_connections(broker, d)
    wait_until(lambda: d.log.count("is the message of a delivery that was lost") == 3, what="all three are recognized")
    let_go(ledger)
    d.wait_settled(3, decision="ack")
    d.stop()
    rabbit.connect()
    assert ledger.counts("start") == {"m0": 1, "m1": 1, "m2": 1}, "no second run"
    assert rabbit.depth(queue) == 0
    assert all("earlier delivery" in s["reason"] for s in d.settled())


def test_delivered_again_after_it_succeeded(fragile, fragile_rabbit, daemon, ledger, name):
    """The broker is away when the handler ends: its success is kept until the message comes again."""
    queue = fragile_rabbit.declare(name())
    fragile_rabbit.publish(queue, "sleep 2", message_id="m")
    d = daemon(config(fragile, queue, ledger))
    ledger.wait(1, "start")
    fragile_rabbit.connection.close()
    fragile.stop()
    ledger.wait(1)
    d.wait_log("unsettled .*acknowledged without another run")
    fragile.start()
    d.wait_settled(1, decision="ack", timeout=60)
    d.stop()
    fragile_rabbit.connect()
    assert ledger.counts("start") == {"m": 1}
    assert fragile_rabbit.depth(queue) == 0


def test_a_failure_is_not_kept(broker, rabbit, daemon, ledger, name):
    """When the run fails, the attached delivery gets that result like its own: it is tried again."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, f"[ $n -gt 1 ] || {{ {HELD}; exit 1; }}", message_id="m")
    d = daemon(config(broker, queue, ledger))
    ledger.wait(1, "start")
    drop_connections(broker, d)
    d.wait_log("is the message of a delivery that was lost")
    let_go(ledger)
    d.wait_settled(2)
    d.stop()
    rabbit.connect()
    assert [s["decision"] for s in d.settled()] == ["requeue", "ack"]
    assert ledger.counts("start") == {"m": 2}


def test_an_untouched_message_is_not_tried_either(broker, rabbit, daemon, ledger, name):
    """The worker that had it never looked at it, and the connection was lost meanwhile: delivered again, it waits for another worker,
    and nothing has failed."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, b"body", message_id="m")
    d = daemon(config(broker, queue, ledger, concurrency=1, handler={
        **shell("echo born $$ >>$1; [ $(grep -c born $1) -gt 1 ] || exec sleep 300; while read -r line; do head -c 4 >/dev/null; "
                "echo ack; done", ledger), "mode": "worker", "protect_secrets": False}))
    pid = int(ledger.wait(1, "born")[0][0])
    drop_connections(broker, d)
    d.wait_log("is the message of a delivery that was lost")
    os.kill(pid, signal.SIGKILL)
    d.wait_settled(1, decision="ack")
    d.stop()
    rabbit.connect()
    assert [s["decision"] for s in d.settled()] == ["ack"] and len(ledger.of("born")) == 2
    assert rabbit.depth(queue) == 0


@pytest.mark.parametrize("change", ["off", "no-id", "twins"])
def test_where_nothing_is_recognized(broker, rabbit, daemon, ledger, name, change):
    """Switched off, without a message id, or with another body: such a message is run again, which at least once allows."""
    queue = rabbit.declare(name())
    properties = {} if change == "no-id" else {"message_id": "m"}
    rabbit.publish(queue, HELD, **properties)
    keys = {"results": {"keep": 0}} if change == "off" else {}
    d = daemon(config(broker, queue, ledger, **keys))
    ledger.wait(1, "start")
    if change == "twins":
        # The same id with another body is another message: it waits for nobody.
        rabbit.publish(queue, f"{HELD} # other", message_id="m")
        ledger.wait(2, "start")
    drop_connections(broker, d)
    runs = 2
    if change == "twins":
        wait_until(lambda: d.log.count("is the message of a delivery that was lost") == 2, what="each finds its own")
    else:
        ledger.wait(2, "start")
    let_go(ledger)
    d.wait_settled(2 if change == "twins" else 1, decision="ack")
    time.sleep(0.5)
    d.stop()
    assert len(ledger.of("start")) == runs
    rabbit.connect()
    assert rabbit.depth(queue) == 0


def test_a_copy_that_was_confirmed_is_not_made_twice(broker, rabbit, daemon, ledger, name):
    """Connection lost between the copy's confirm and the end: the dead letters get one copy as long as that can be known."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    rabbit.publish(queue, f"{HELD}; exit 65", message_id="m")
    d = daemon(config(broker, queue, ledger, outcomes={"reject": [65]}, dead_letter={"routing_key": dead}))
    ledger.wait(1, "start")
    drop_connections(broker, d)
    d.wait_log("is the message of a delivery that was lost")
    let_go(ledger)
    d.wait_settled(1)
    d.stop()
    rabbit.connect()
    assert rabbit.depth(dead) == 1 and rabbit.depth(queue) == 0
    assert ledger.counts("start") == {"m": 1}
