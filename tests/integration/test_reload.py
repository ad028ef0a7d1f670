# SPDX-License-Identifier: MIT
"""SIGHUP and POST /v1/reload: what differs changes, what is the same goes on undisturbed, what is wrong is refused whole."""

import os
import re
import signal
import socket
import time

import pytest

from harness import Broker, Rabbit, configuration, handler, shell, stays, wait_until


def queue(name, ledger, seconds=0, **keys):
    return {"name": name, **keys, "handler": {**handler("ledger", ledger, seconds), **keys.pop("handler", {})}}


def connections(rabbit):
    """When each connection of the daemon was made, by its name at the broker: a new one is another connection."""
    return sorted(rabbit.broker.ctl("list_connections", "pid", "--quiet").split())


def counters(d, name):
    status, answer = d.ask("GET", "/v1/status")
    assert status == 200
    return next(q for q in answer["queues"] if q["name"] == name and not q["leaving"])


def test_queues_come_and_go(broker, rabbit, daemon, ledger, name):
    """A queue is added, another removed, the third goes on: its consumer stays the same, and so does the connection."""
    old, new, same = (rabbit.declare(name(s)) for s in ("old", "new", "same"))
    base = {"broker": {"url": broker.url}}
    d = daemon(configuration(**base, queues=[queue(old, ledger), queue(same, ledger)]))
    tag = [c for c in broker.ctl("list_consumers", "queue_name", "consumer_tag", "--quiet").splitlines() if c.startswith(same)]
    before = connections(rabbit)
    answer = d.reload(configuration(**base, queues=[queue(new, ledger), queue(same, ledger)]))
    assert (answer["added"], answer["removed"], answer["changed"], answer["unchanged"]) == ([new], [old], [], 1)
    wait_until(lambda: rabbit.consumers(new) == 1 and rabbit.consumers(old) == 0, what="one consumer more, one less")
    for q in (old, new, same):
        rabbit.publish(q, "x", message_id=q)
    ledger.wait(2)
    assert ledger.counts() == {new: 1, same: 1}
    assert rabbit.depth(old) == 1
    after = [c for c in broker.ctl("list_consumers", "queue_name", "consumer_tag", "--quiet").splitlines() if c.startswith(same)]
    assert tag and tag == after
    assert connections(rabbit) == before
    # Back, and gone again: channels are closed and opened as needed.
    for _ in range(5):
        d.reload(configuration(**base, queues=[queue(same, ledger)]))
        wait_until(lambda: rabbit.consumers(new) == 0, what="removed")
        d.reload(configuration(**base, queues=[queue(same, ledger), queue(new, ledger)]))
        wait_until(lambda: rabbit.consumers(new) == 1, what="added again")
    channels = [line for line in broker.ctl("list_channels", "pid", "--quiet").split() if line.startswith("<")]
    assert len(channels) <= 4, "two of the daemon's queues, one on which it asks how deep they are, one of the test"
    d.stop()


def test_a_running_handler_finishes(broker, rabbit, daemon, ledger, name):
    """The handler of a queue that is changed, or removed, ends in its own time, and its message is acknowledged."""
    changed, removed = rabbit.declare(name("changed")), rabbit.declare(name("removed"))
    base = {"broker": {"url": broker.url}}
    d = daemon(configuration(**base, queues=[queue(changed, ledger, 4), queue(removed, ledger, 4)]))
    rabbit.publish(changed, "x", message_id="a")
    rabbit.publish(removed, "x", message_id="b")
    ledger.wait(2, "start")
    begun = time.monotonic()
    answer = d.reload(configuration(**base, queues=[queue(changed, ledger, 0)]))
    assert time.monotonic() - begun < 3, "a reload does not wait for handlers"
    assert answer["changed"] == [changed] and answer["removed"] == [removed]
    assert d.wait_status("finishing")
    # concurrency is 1: the handler of before takes the slot.
    rabbit.publish(changed, "x", message_id="c")
    stays(lambda: "c" not in ledger.counts("start"), 1, "two handlers of a queue with concurrency = 1")
    ledger.wait(3)
    done = [line[0] for line in ledger.of("done")]
    assert sorted(done) == ["a", "b", "c"] and done.index("a") < done.index("c")
    wait_until(lambda: len(d.settled()) == 3, what="three settled")
    assert {(s["message_id"], s["decision"]) for s in d.settled()} == {(i, "ack") for i in "abc"}
    wait_until(lambda: counters(d, changed)["counters"]["acked"] == 2, what="counters go on being counted")
    d.stop()
    assert rabbit.depth(changed) == rabbit.depth(removed) == 0


def test_untried_messages_go_to_the_successor(broker, rabbit, daemon, ledger, name):
    q = rabbit.declare(name())
    base = {"broker": {"url": broker.url}}
    d = daemon(configuration(**base, queues=[queue(q, ledger, 2, prefetch=10)]))
    ids = rabbit.publish_many(q, ["x"] * 10)
    ledger.wait(1, "start")
    d.reload(configuration(**base, queues=[queue(q, ledger, 0, prefetch=10)]))
    ledger.wait(10)
    assert ledger.counts() == {i: 1 for i in ids}
    d.stop()
    assert rabbit.depth(q) == 0


@pytest.mark.parametrize("how", ["signal", "socket"])
def test_a_bad_file_is_refused_whole(broker, rabbit, daemon, ledger, name, how):
    """The old configuration lives; the reason is answered, logged and in STATUS; the next good one clears it."""
    q, other = rabbit.declare(name()), rabbit.declare(name("other"))
    good = configuration(broker={"url": broker.url}, queues=[queue(q, ledger)])
    d = daemon(good)
    d.reconfigure(configuration(broker={"url": broker.url}, queues=[queue(other, ledger), {
        **queue(q, ledger), "concurrencyy": 1, "prefetch": "many"}]))
    if how == "signal":
        d.signal(signal.SIGHUP)
    else:
        status, answer = d.ask("POST", "/v1/reload")
        assert status == 422
        assert {p["key"] for p in answer["problems"]} == {"queues[1].concurrencyy", "queues[1].prefetch"}
        assert {p["file"] for p in answer["problems"]} == {str(d.config_path)}
        assert all(p["line"] > 0 for p in answer["problems"])
    d.wait_log("concurrencyy.*did you mean.*concurrency")
    d.wait_log(r"queues\[1\]\.prefetch")
    d.wait_log("reload refused")
    d.wait_status(r"the last reload was refused: .*daemon-\d+\.conf:\d+: .* \(and 1 more\)")
    rabbit.publish(q, "x", message_id="m")
    ledger.wait(1)
    assert rabbit.consumers(other) == 0
    states = [v for _, n, v in d.notify.items if n in ("RELOADING", "READY")]
    assert len(states) == 3 and len(d.notify.values("MONOTONIC_USEC")) == 1
    d.reload(good)
    wait_until(lambda: "refused" not in d.notify.status, what="STATUS without the refusal")
    d.stop()


def test_a_file_that_is_gone(broker, rabbit, daemon, ledger, name):
    q = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[queue(q, ledger)]))
    d.config_path.unlink()
    status, answer = d.ask("POST", "/v1/reload")
    assert status == 422 and "No such file" in answer["problems"][0]["text"]
    rabbit.publish(q, "x", message_id="m")
    ledger.wait(1)
    d.stop()


def test_systemd_is_told(broker, rabbit, daemon, ledger, name):
    """RELOADING=1 with the time of now, then READY=1."""
    q = rabbit.declare(name())
    config = configuration(broker={"url": broker.url}, queues=[queue(q, ledger)])
    d = daemon(config)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    answer = d.reload()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert answer["unchanged"] == 1 and not answer["added"] + answer["changed"] + answer["removed"]
    d.notify.flush()
    names = [n for _, n, _ in d.notify.items if n in ("READY", "RELOADING", "MONOTONIC_USEC")]
    assert names == ["READY", "RELOADING", "MONOTONIC_USEC", "READY"]
    assert before <= int(d.notify.values("MONOTONIC_USEC")[0]) <= after
    d.stop()


def test_a_broker_that_changes_is_connected_anew(broker, rabbit, daemon, ledger, name):
    """New settings make a new connection; the old one lives until its handler has ended and its message is acknowledged."""
    q = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url, "connection_name": "before"}, queues=[queue(q, ledger, 3)]))
    rabbit.publish(q, "x", message_id="a")
    ledger.wait(1, "start")
    answer = d.reload(configuration(broker={"url": broker.url, "connection_name": "after"}, queues=[queue(q, ledger, 0)]))
    assert answer["changed"] == [q]

    def names():
        return set(re.findall(r'"connection_name","(before|after)"', broker.ctl("list_connections", "client_properties", "--quiet")))
    wait_until(lambda: "after" in names(), what="the new connection")
    ledger.wait(1)
    wait_until(lambda: names() == {"after"}, what="the old connection closed")
    rabbit.publish(q, "x", message_id="b")
    ledger.wait(2)
    assert ledger.counts() == {"a": 1, "b": 1}
    d.stop()
    assert rabbit.depth(q) == 0


def test_to_another_broker_that_is_down(broker, rabbit, daemon, ledger, name):
    q = rabbit.declare(name())
    d = daemon(configuration(broker={"url": "amqp://127.0.0.1:1", "reconnect": {"min_delay": "100ms"}}, queues=[queue(q, ledger)]))
    rabbit.publish(q, "x", message_id="m")
    d.wait_status("degraded")
    d.reload(configuration(broker={"url": broker.url}, queues=[queue(q, ledger)]))
    ledger.wait(1)
    d.wait_status("1 queue consuming")
    d.stop()


def test_under_load_nothing_is_lost(broker, rabbit, daemon, ledger, name):
    """Reloads that change the queue again and again while it works: every message is handled, no handler is interrupted."""
    q = rabbit.declare(name(), "quorum")
    total = 400

    def config(n):
        return configuration(broker={"url": broker.url}, queues=[queue(q, ledger, 0.02, concurrency=4, handler={
            "environment": {"ROUND": str(n)}})])
    d = daemon(config(0))
    ids = rabbit.publish_many(q, ["x"] * total)
    for n in range(1, 11):
        assert d.reload(config(n))["changed"] == [q]
        wait_until(lambda n=n: len(ledger.counts()) >= min(total, n * 20), what="progress")
    ledger.wait(total)
    d.stop()
    assert ledger.counts() == {i: 1 for i in ids}
    assert ledger.counts("start") == ledger.counts()
    assert rabbit.depth(q) == 0
    assert not [s for s in d.settled() if s["decision"] not in ("ack", "return")]


def test_limits(broker, rabbit, daemon, ledger, name):
    """limits.max_handlers changes for all, limits.max_message_size for what comes from then on."""
    q = rabbit.declare(name())

    def config(handlers, size):
        return configuration(broker={"url": broker.url}, limits={"max_handlers": handlers, "max_message_size": size}, queues=[
            queue(q, ledger, 1, concurrency=8, prefetch=8, outcomes={"on_too_large": "reject"})])
    d = daemon(config(1, "1M"))
    rabbit.publish_many(q, ["x"] * 4)
    ledger.wait(1, "start")
    assert d.reload(config(8, "1M"))["unchanged"] == 1
    wait_until(lambda: len(ledger.counts("start")) == 4, 3, "all of them at once")
    ledger.wait(4)
    assert d.reload(config(8, 10))["changed"] == [q]
    rabbit.publish(q, "x" * 11, message_id="large")
    d.wait_log("max_message_size")
    d.stop()


def test_exclusive(broker, rabbit, daemon, ledger, name):
    """The next consumer waits until the one before it is gone."""
    q = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[queue(q, ledger, exclusive=True)]))
    d.reload(configuration(broker={"url": broker.url}, queues=[queue(q, ledger, exclusive=True, concurrency=2)]))
    rabbit.publish(q, "x", message_id="m")
    ledger.wait(1)
    assert "degraded" not in d.log
    d.stop()


def test_auto_delete(broker, rabbit, daemon, ledger, name):
    """A queue that goes with its last consumer stays, with its messages, while its configuration changes."""
    q = name()
    base = {"broker": {"url": broker.url}}
    declare = {"durable": False, "auto_delete": True}
    d = daemon(configuration(**base, queues=[queue(q, ledger, 2, declare=declare)]))
    ids = rabbit.publish_many(q, ["x"] * 5)
    ledger.wait(1, "start")
    d.reload(configuration(**base, queues=[queue(q, ledger, 0, declare=declare)]))
    ledger.wait(5)
    assert ledger.counts() == {i: 1 for i in ids}
    d.stop()


def test_what_an_operator_has_paused_stays_paused(broker, rabbit, daemon, ledger, name):
    q = rabbit.declare(name())

    def config(seconds):
        return configuration(broker={"url": broker.url}, queues=[queue(q, ledger, seconds)])
    d = daemon(config(0))
    assert d.ask("POST", f"/v1/queues/{q}/pause")[0] == 200
    d.wait_status("paused: by an operator")
    wait_until(lambda: rabbit.consumers(q) == 0, what="no consumer")
    rabbit.publish(q, "x", message_id="m")
    d.reload(config(0.1))
    stays(lambda: not ledger.counts("start") and rabbit.consumers(q) == 0, 1, "it was resumed by the reload")
    assert d.ask("POST", f"/v1/queues/{q}/resume")[0] == 200
    ledger.wait(1)
    d.wait_status("1 queue consuming")
    d.stop()


def test_a_reload_is_no_leak(broker, rabbit, daemon, ledger, name):
    """Neither descriptors nor threads grow with reloads that change everything."""
    q = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url, "connection_name": "0"}, queues=[queue(q, ledger)]))

    def count():
        return len(os.listdir(f"/proc/{d.pid}/fd")), len(os.listdir(f"/proc/{d.pid}/task"))

    def settle(n):
        d.reload(configuration(broker={"url": broker.url, "connection_name": str(n)}, queues=[queue(q, ledger, reply={})]))
        wait_until(lambda: rabbit.consumers(q) == 1 and len(d.ask("GET", "/v1/status")[1]["queues"]) == 1, what="settled")
    settle(1)
    wait_until(lambda: not re.search("finishing", d.notify.status), what="quiet")
    before = count()
    for n in range(2, 8):
        settle(n)
    wait_until(lambda: count() <= before, 15, f"{count()} as before: {before}")
    rabbit.publish(q, "x", message_id="m")
    ledger.wait(1)
    d.stop()


def test_workers_are_replaced(broker, rabbit, daemon, ledger, name):
    """Workers of before answer what they have, and are told to leave; the next message meets a worker of the new configuration."""
    q = rabbit.declare(name())

    def config(greeting):
        loop = shell('while read -r line; do size=$(printf %s "$line" | sed "s/.*\\"body_size\\":\\([0-9]*\\)}$/\\1/"); '
                     'head -c "$size" >/dev/null; printf "done %s\\n" "$2" >>"$1"; echo ack; done', ledger, greeting, mode="worker")
        return configuration(broker={"url": broker.url}, queues=[{"name": q, "handler": loop}])
    d = daemon(config("old"))
    rabbit.publish(q, "x")
    ledger.wait(1)
    d.reload(config("new"))
    rabbit.publish(q, "x")
    ledger.wait(2)
    assert [w[0] for w in ledger.of("done")] == ["old", "new"]
    wait_until(lambda: not re.search("finishing", d.notify.status), what="the worker of before has left")
    d.stop()


def test_a_stop_while_queues_finish(broker, rabbit, daemon, ledger, name):
    """A stop waits for the handlers of earlier configurations, too."""
    q, gone = rabbit.declare(name()), rabbit.declare(name("gone"))
    base = {"broker": {"url": broker.url}}
    d = daemon(configuration(**base, queues=[queue(q, ledger, 3), queue(gone, ledger, 3)]))
    rabbit.publish(q, "x", message_id="a")
    rabbit.publish(gone, "x", message_id="b")
    ledger.wait(2, "start")
    d.reload(configuration(broker={"url": broker.url, "connection_name": "other"}, queues=[queue(q, ledger, 0)]))
    d.stop()
    assert ledger.counts() == {"a": 1, "b": 1}
    assert rabbit.depth(q) == rabbit.depth(gone) == 0


def test_hangup_before_ready(broker, rabbit, daemon, ledger, name):
    """A reload while the daemon waits to be ready: READY=1 comes once, when the new queues consume."""
    q = rabbit.declare(name())
    d = daemon(configuration(broker={"url": "amqp://127.0.0.1:1"}, ready="consuming", queues=[queue(q, ledger)]), start=False)
    d.launch()
    d.wait_status("degraded")
    d.reconfigure(configuration(broker={"url": broker.url}, ready="consuming", queues=[queue(q, ledger)]))
    d.signal(signal.SIGHUP)
    d.wait_ready()
    assert d.notify.values("RELOADING") == []
    assert d.notify.values("READY") == ["1"]
    d.stop()


def test_auto_delete_and_paused(broker, rabbit, daemon, ledger, name):
    """A paused queue that goes with its last consumer keeps one, and its messages, when its configuration changes."""
    q = name()
    declare = {"durable": False, "auto_delete": True}

    def config(concurrency):
        return configuration(broker={"url": broker.url}, queues=[queue(q, ledger, declare=declare, concurrency=concurrency)])
    d = daemon(config(1))
    assert d.ask("POST", f"/v1/queues/{q}/pause")[0] == 200
    ids = rabbit.publish_many(q, ["x"] * 5)
    d.reload(config(2))
    stays(lambda: not ledger.counts("start"), 1, "it was resumed by the reload")
    assert rabbit.consumers(q) == 1
    assert d.ask("POST", f"/v1/queues/{q}/resume")[0] == 200
    ledger.wait(5)
    assert ledger.counts() == {i: 1 for i in ids}
    wait_until(lambda: "finishing" not in d.notify.status and rabbit.consumers(q) == 1, what="the one of before has left")
    d.stop()


def test_auto_delete_becomes_exclusive(broker, rabbit, daemon, ledger, name):
    """Two consumers are not allowed then, so the first one goes first: the new one gets a queue of its own."""
    q = name()
    declare = {"durable": False, "auto_delete": True}
    d = daemon(configuration(broker={"url": broker.url}, queues=[queue(q, ledger, declare=declare)]))
    d.reload(configuration(broker={"url": broker.url}, queues=[queue(q, ledger, declare=declare, exclusive=True)]))
    # Of STATUS= what was before the reload may still be the last.
    wait_until(lambda: len([line for line in list(d.lines) if f"queue={q} consuming" in line]) == 2, what="the new one consumes")
    wait_until(lambda: "finishing" not in d.notify.status, what="the one of before has left")
    rabbit.publish(q, "x", message_id="m")
    ledger.wait(1)
    d.stop()


def test_from_an_address_that_does_not_answer(broker, rabbit, daemon, ledger, name):
    """A connection that was never up has nothing to say to the end of its queues."""
    q = rabbit.declare(name())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        d = daemon(configuration(broker={"url": f"amqp://127.0.0.1:{silent.getsockname()[1]}", "connect_timeout": "2min"}, ready="started",
                                 queues=[queue(q, ledger)]))
        rabbit.publish(q, "x", message_id="m")
        begun = time.monotonic()
        d.reload(configuration(broker={"url": broker.url}, ready="started", queues=[queue(q, ledger)]))
        ledger.wait(1)
        assert time.monotonic() - begun < 20
        wait_until(lambda: "finishing" not in d.notify.status, what="the one of before has left")
        d.stop()


def test_a_broker_gets_another_name(broker, rabbit, daemon, ledger, name):
    """The queue is still the same one: it has changed, and stays paused; two handlers of it never run at once."""
    q, busy = rabbit.declare(name()), rabbit.declare(name("busy"))

    def queues(**keys):
        return [queue(q, ledger, **keys), queue(busy, ledger, 3, **keys)]
    d = daemon(configuration(broker={"url": broker.url}, queues=queues()))
    assert d.ask("POST", f"/v1/queues/{q}/pause")[0] == 200
    rabbit.publish(q, "x", message_id="paused")
    rabbit.publish_many(busy, ["x"] * 2)
    ledger.wait(1, "start")
    answer = d.reload(configuration(brokers=({"name": "main", "url": broker.url}, {"name": "other", "url": broker.url}), queues=queues(broker="main")))
    assert sorted(answer["changed"]) == sorted([q, busy]) and not answer["added"] + answer["removed"]
    stays(lambda: len(ledger.of("start")) == 1, 1, "two at once, or resumed")
    ledger.wait(2)
    assert ledger.counts() == {"m0": 1, "m1": 1}
    assert d.ask("POST", f"/v1/queues/{q}/resume")[0] == 200
    ledger.wait(3)
    d.stop()


def test_a_broker_with_few_channels(daemon, ledger, name):
    """Queues of before keep their channels until their handlers have ended, and there are not enough for those that take their place: these
    wait, and consume when there are. Copies of all of them go over the channels that there are."""
    with Broker("channel_max = 4") as broker:
        rabbit = Rabbit(broker).connect()
        names, dead = [rabbit.declare(name(s)) for s in "abc"], rabbit.declare(name("dead"))
        keys = {"outcomes": {"ack": [1], "reject": [0]}, "dead_letter": {"exchange": "", "routing_key": dead}}

        def config(seconds):
            return configuration(broker={"url": broker.url}, queues=[queue(q, ledger, seconds, **keys) for q in names])

        def consumers():
            return [rabbit.consumers(q) for q in names]
        d = daemon(config(6))
        wait_until(lambda: consumers() == [1, 1, 1], what="all consume")
        for q in names:
            rabbit.publish(q, "x", message_id=f"{q}-before")
        ledger.wait(3, "start")
        answer = d.reload(config(0))
        assert answer["changed"] == names
        d.wait_log("degraded: the broker allows 4 channels on a connection, and all are in use")
        for q in names:
            rabbit.publish(q, "x", message_id=f"{q}-after")
        wait_until(lambda: consumers() == [1, 1, 1], 60, "all consume again")
        ledger.wait(6)
        wait_until(lambda: rabbit.depth(dead) == 6, what="all copies")
        assert ledger.counts() == {f"{q}-{when}": 1 for q in names for when in ("before", "after")}
        assert [s["decision"] for s in d.wait_settled(6)] == ["reject"] * 6
        d.stop()
        assert [rabbit.depth(q) for q in names] == [0, 0, 0]
        rabbit.close()
