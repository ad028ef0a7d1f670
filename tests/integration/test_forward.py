# SPDX-License-Identifier: MIT
"""forward: what a handler writes to stdout goes to an exchange, and the message is acknowledged when it has reached a queue."""

import time

import pytest

from faults import QUICK, Load, wait_handled, working
from harness import configuration, handler, shell, stays, wait_until
from network import Proxy


def config(broker, queue, handler_keys, forward, **keys):
    return configuration(broker=broker if isinstance(broker, dict) else {"url": broker.url}, queues=[{
        "name": queue, "handler": handler_keys, "forward": forward, "requeue": {"delay": "200ms", "max_delay": "400ms"}, **keys}])


@pytest.fixture(name="exchange")
def _exchange(rabbit, name):
    """A topic exchange; bound to nothing."""
    exchange = name("exchange")
    rabbit.channel.exchange_declare(exchange, "topic")
    yield exchange
    rabbit.connect()
    rabbit.channel.exchange_delete(exchange)


def test_what_is_forwarded(broker, rabbit, daemon, name, exchange):
    """By templates, byte for byte, persistent, with the ids of the message and none of its headers."""
    queue, results = rabbit.declare(name()), rabbit.declare(name("results"))
    rabbit.channel.queue_bind(results, exchange, "done.#")
    sizes = [0, 1, 70_000, 1_048_576]
    for n in sizes:
        rabbit.publish(queue, b"\0\xff" * (n // 2) + b"x" * (n % 2), message_id=f"m{n}", correlation_id=f"c{n}", type="kind.a", priority=3,
                       delivery_mode=1, headers={"exchange": exchange, "h": "%{queue}"}, reply_to="nobody", user_id="guest")
    begun = int(time.time())
    d = daemon(config(broker, queue, shell("cat"), {
        "exchange": "%{header:exchange}", "routing_key": "done.%{type}.%{header:h}.%%", "content_type": "application/x-test"}))
    d.wait_settled(len(sizes), decision="ack")
    d.stop()
    key = "done.kind.a.%{queue}.%"
    got = {}
    while len(got) < len(sizes):
        method, p, body = rabbit.channel.basic_get(results, auto_ack=True)
        assert method and (method.exchange, method.routing_key) == (exchange, key), "what a message says is not expanded again"
        got[p.message_id] = body
        assert (p.correlation_id[1:], p.delivery_mode, p.content_type, p.app_id) == (
            p.message_id[1:], 2, "application/x-test", "amqp-execd")
        assert begun <= p.timestamp <= time.time() + 1
        assert (p.headers, p.reply_to, p.type, p.priority, p.user_id) == (None,) * 5
    assert got == {f"m{n}": b"\0\xff" * (n // 2) + b"x" * (n % 2) for n in sizes}
    assert rabbit.depth(results) == 0 and rabbit.depth(queue) == 0
    assert all(s["forward"] == f'"{exchange}/{key}"' for s in d.settled())


def test_reply_and_forward(broker, rabbit, daemon, ledger, name):
    """Both get the whole, also from a memory file; one that has no reply_to is forwarded alone."""
    queue, replies, results = rabbit.declare(name()), rabbit.declare(name("replies")), rabbit.declare(name("results"))
    for n in (0, 3000, 200_000):
        rabbit.publish(queue, f"head -c {n} /dev/zero", message_id=f"m{n}", reply_to=replies)
    rabbit.publish(queue, "echo alone", message_id="alone")
    d = daemon(config(broker, queue, handler("obey", ledger), {"routing_key": results}, reply=True, concurrency=2))
    d.wait_settled(4, decision="ack")
    d.stop()
    assert sorted(len(body) for _, body in rabbit.drain(replies)) == [0, 3000, 200_000]
    got = {p.message_id: body for p, body in rabbit.drain(results)}
    assert got == {"m0": b"", "m3000": bytes(3000), "m200000": bytes(200_000), "alone": b"alone\n"}


@pytest.mark.parametrize("missing", ["exchange", "queue", "binding", "room"])
def test_nowhere_to_go(broker, rabbit, daemon, ledger, name, exchange, missing):
    """The original is kept and comes again, more and more seldom, and the status says why; once there is a place it goes on."""
    queue, results = rabbit.declare(name()), name("results")
    target = {"exchange": {"exchange": exchange + "-late", "routing_key": "k"}, "queue": {"routing_key": results},
              "binding": {"exchange": exchange, "routing_key": "k"}, "room": {"routing_key": results}}[missing]
    if missing == "room":
        rabbit.declare(results, max_length=1, overflow="reject-publish")
        rabbit.publish(results, message_id="full")
    d = daemon(config(broker, queue, handler("obey", ledger), target))
    rabbit.publish(queue, "echo result", message_id="m")
    why = {"exchange": "could not be published|not confirmed", "queue": "was returned", "binding": "was returned", "room": "was refused"}
    d.wait_status(f"{queue} cannot publish: .*the forwarded output ({why[missing]})")
    failures = d.wait_settled(3, decision="requeue")
    assert [s["decision"] for s in d.settled()] == ["requeue"] * len(d.settled())
    assert [s["delay"] for s in failures[:3]] == ["0.200s", "0.400s", "0.400s"]
    if missing == "room":
        rabbit.drain(results)
    else:
        rabbit.declare(results)
    if missing == "exchange":
        rabbit.channel.exchange_declare(exchange + "-late", "direct", auto_delete=True)
        rabbit.channel.queue_bind(results, exchange + "-late", "k")
    if missing == "binding":
        rabbit.channel.queue_bind(results, exchange, "k")
    d.wait_settled(1, decision="ack")
    wait_until(lambda: "cannot publish" not in d.notify.status, what="no trouble any more")
    d.stop()
    got = rabbit.drain(results)
    assert [(p.message_id, body) for p, body in got] == [("m", b"result\n")], "once, for nothing was there before"
    assert rabbit.depth(queue) == 0


def test_one_of_two_fails(broker, rabbit, daemon, ledger, name):
    """A reply that has arrived does not make up for what could not be forwarded; it comes again with the next run."""
    queue, replies, results = rabbit.declare(name()), rabbit.declare(name("replies")), name("results")
    rabbit.publish(queue, "echo $n", message_id="m", reply_to=replies)
    d = daemon(config(broker, queue, handler("obey", ledger), {"routing_key": results}, reply=True))
    d.wait_settled(1, decision="requeue")
    rabbit.declare(results)
    d.wait_settled(1, decision="ack")
    d.stop()
    runs = len(ledger.of("done"))
    assert [body for _, body in rabbit.drain(results)] == [b"%d\n" % runs]
    assert [body for _, body in rabbit.drain(replies)] == [b"%d\n" % (n + 1) for n in range(runs)]


def test_names_that_a_message_makes_impossible(broker, rabbit, daemon, ledger, name):
    """Too long, or with a NUL byte: outcomes.on_large_output, and nothing is published."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    results = rabbit.declare((name() + "r" * 255)[:255])
    for message_id, value in (("fits", results), ("long", results + "r"), ("nul", "a\0b"), ("huge", "x" * 100_000)):
        rabbit.publish(queue, "echo out", message_id=message_id, headers={"key": value})
    d = daemon(config(broker, queue, handler("obey", ledger), {"routing_key": "%{header:key}"},
                      outcomes={"on_large_output": "reject"}, dead_letter={"routing_key": dead}))
    d.wait_settled(4)
    d.stop()
    reasons = {s["message_id"]: s.get("reason") for s in d.settled()}
    assert reasons == {"fits": None, "long": '"forward.routing_key is longer than 255 bytes"',
                       "nul": '"forward.routing_key has a NUL byte"', "huge": '"forward.routing_key is longer than 255 bytes"'}
    assert {s["message_id"]: s["decision"] for s in d.settled()} == {"fits": "ack", "long": "reject", "nul": "reject", "huge": "reject"}
    assert {p.message_id: p.headers["x-execd-reason"] for p, _ in rabbit.drain(dead)} == {
        i: "exit status 0; " + reasons[i].strip('"') for i in ("long", "nul", "huge")}
    assert [p.message_id for p, _ in rabbit.drain(results)] == ["fits"]


def test_more_than_allowed(broker, rabbit, daemon, ledger, name):
    """By default as other failures: it is requeued, nothing is published, and the handler is not blocked."""
    queue, results = rabbit.declare(name()), rabbit.declare(name("results"))
    rabbit.publish(queue, "[ $n -gt 2 ] && exec echo less; exec head -c 3000000 /dev/zero", message_id="m")
    d = daemon(config(broker, queue, {**handler("obey", ledger), "max_output": "1M"}, {"routing_key": results}))
    d.wait_settled(1, decision="ack")
    d.stop()
    failed = [s for s in d.settled() if s["decision"] == "requeue"]
    assert [s["reason"] for s in failed] == ['"stdout is more than handler.max_output (1M)"'] * 2
    assert [body for _, body in rabbit.drain(results)] == [b"less\n"]


def test_memory_is_bounded(broker, rabbit, daemon, ledger, name):
    """What is to be published is kept in memory files, and a flood is not kept at all."""
    queue, results = rabbit.declare(name()), rabbit.declare(name("results"))
    for n in range(4):
        rabbit.publish(queue, "exec head -c 30000000 /dev/zero", message_id=f"m{n}")
    rabbit.publish(queue, "exec head -c 300000000 /dev/zero", message_id="flood")
    d = daemon(config(broker, queue, {**handler("obey", ledger), "max_output": "100M"}, {"routing_key": results},
                      outcomes={"on_large_output": "reject"}, concurrency=2))
    d.wait_settled(5, timeout=90)
    assert d.memory("VmHWM") < 60 << 20
    d.stop()
    assert [len(body) for _, body in rabbit.drain(results)] == [30_000_000] * 4


def test_a_pipeline_loses_nothing(broker, rabbit, daemon, ledger, name, settle_accounts):
    """Row 15 for what is forwarded: confirms are swallowed and connections cut, two queues in a row; each message arrives in the second
    one at least once, and as often as a confirm was missing."""
    first, second = rabbit.declare(name("first")), rabbit.declare(name("second"))
    with Proxy(broker.port) as proxy:
        proxy.open()
        with Load(broker, first, rate=80, most=120) as load:
            d = daemon(configuration(broker={"url": proxy.url, **QUICK, "confirm_timeout": "700ms"}, queues=[
                {**working(first, ledger), "handler": shell("cat"), "forward": {"routing_key": second},
                 "requeue": {"delay": "100ms", "max_delay": "200ms"}}]))
            load.wait(20)
            for mode in ("swallow", "pass", "cut", "pass"):
                proxy.confirms = mode
                time.sleep(1.5)
            load.wait_all()
        wait_until(lambda: {s["message_id"] for s in d.settled() if s["decision"] == "ack"} >= load.confirmed, what="all acknowledged")
        d.stop()
    again = [s for s in d.settled() if s["decision"] == "requeue"]
    assert again, "no confirm was missing"
    # Now handled, so that the account knows the way of each body.
    e = daemon(configuration(broker={"url": broker.url}, queues=[working(second, ledger)]))
    wait_handled(load, ledger)
    rabbit.wait_depth(second, 0)
    e.stop()
    lost = len([line for line in d.lines if "unsettled" in line or "did not reach" in line or "channel lost" in line])
    settle_accounts(load, ledger, broker, allowed=len(again) + 4 * max(1, lost), because="what was forwarded without a confirm")


def test_it_is_not_acknowledged_before(broker, rabbit, daemon, ledger, name):
    """While the confirm is missing the message is unacknowledged and takes its place in prefetch."""
    queue, results = rabbit.declare(name()), rabbit.declare(name("results"))
    with Proxy(broker.port) as proxy:
        proxy.open()
        proxy.confirms = "swallow"
        d = daemon(config({"url": proxy.url, "confirm_timeout": "6s"}, queue, handler("obey", ledger), {"routing_key": results}))
        rabbit.publish_many(queue, ["echo out"] * 2)
        rabbit.wait_depth(results, 1)
        d.wait_status("1 publication to be confirmed")
        stays(lambda: not d.settled() and rabbit.depth(queue) == 1, 2, "settled, or another one was taken")
        proxy.confirms = "pass"
        d.wait_settled(2, decision="ack")
        d.stop()
    assert rabbit.depth(queue) == 0 and 2 <= rabbit.depth(results) <= 3
