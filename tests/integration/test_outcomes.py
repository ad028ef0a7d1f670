# SPDX-License-Identifier: MIT
"""outcomes, retry and dead_letter: what becomes of a message by the way its handler ended, and what its copies carry."""

import datetime
import json
import os
import re
import socket
import subprocess
import time

import pika
import pytest

from harness import configuration, handler, shell, wait_until

# One queue with a status of its own for each outcome.
OUTCOMES = {"ack": [0, 10], "requeue": [1, "20-29"], "retry": [75], "reject": [65, "100-102"], "otherwise": "reject",
            "on_timeout": "retry", "on_signal": "requeue"}
SOON = {"delay": "200ms", "max_delay": "200ms", "max_attempts": 3}


def delay_queue(queue, milliseconds, kind="classic"):
    return f"{queue}.retry.{milliseconds}{'.quorum' if kind == 'quorum' else ''}"


def lines_of(d, message_id):
    return [s for s in d.settled() if s.get("message_id") == message_id]


@pytest.fixture(params=["classic", "quorum"])
def kind(request):
    return request.param


@pytest.fixture
def queues(rabbit, name, kind):
    """A work queue and its dead letters; the delay queues that tests make go, too."""
    queue, dead = name(), rabbit.declare(name("dead"))
    rabbit.declare(queue, kind)
    rabbit.queues.append(delay_queue(queue, 200, kind))
    return queue, dead


def config(broker, queue, dead, ledger, kind, **keys):
    return configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger, timeout="1s", kill_grace="100ms"), "prefetch": 10, "concurrency": 2,
        "requeue": {"delay": "100ms", "max_delay": "100ms"}, "outcomes": OUTCOMES,
        "retry": {**SOON, "queue_type": kind}, "dead_letter": {"routing_key": dead}, **keys}])


def test_every_outcome(broker, rabbit, daemon, ledger, kind, queues):
    """Statuses in lists and ranges, all others, a signal and a timeout, each with its own outcome."""
    queue, dead = queues
    first = "[ $n -gt 1 ] || "
    programs = {  # the decisions, in their order, and how many runs
        "zero": ("exit 0", ["ack"]),
        "ten": ("exit 10", ["ack"]),
        "one": (first + "exit 1", ["requeue", "ack"]),
        "range": (first + "exit 25", ["requeue", "ack"]),
        "temporary": (first + "exit 75", ["retry", "ack"]),
        "data": ("exit 65", ["reject"]),
        "last-of-range": ("exit 102", ["reject"]),
        "unlisted": ("exit 103", ["reject"]),
        "signal": (first + "kill -SEGV $$", ["requeue", "ack"]),
        "slow": (first + "exec sleep 30", ["retry", "ack"]),
        "always": ("echo no luck >&2; exit 75", ["retry", "retry", "reject"]),
    }
    for message_id, (program, _) in programs.items():
        rabbit.publish(queue, program, message_id=message_id)
    d = daemon(config(broker, queue, dead, ledger, kind))
    d.wait_settled(sum(len(p[1]) for p in programs.values()))
    d.stop()
    for message_id, (_, decisions) in programs.items():
        assert [s["decision"] for s in lines_of(d, message_id)] == decisions, message_id
    assert ledger.counts("start") == {i: len(p[1]) for i, p in programs.items()}
    dead_ids = {p.message_id for p, _ in rabbit.drain(dead)}
    assert dead_ids == {i for i, p in programs.items() if p[1][-1] == "reject"}
    assert rabbit.depth(queue) == 0
    assert rabbit.depth(delay_queue(queue, 200, kind)) == 0
    retried = lines_of(d, "temporary")[0]
    assert retried["copy"] == delay_queue(queue, 200, kind) and retried["delay"] == "0.200s"
    assert lines_of(d, "always")[-1]["copy"] == dead and "max_attempts" in lines_of(d, "always")[-1]["reason"]


def test_a_dead_letter_says_why(broker, rabbit, daemon, ledger, kind, queues):
    """The copy in the dead letters: body, properties and headers as they were, and what happened."""
    queue, dead = queues
    exchange = queue + "-exchange"
    rabbit.channel.exchange_declare(exchange, "topic")
    rabbit.channel.queue_bind(queue, exchange, "order.#")
    body = b"echo early >&2; echo 'the last words \xe2\x82\xac' >&2; exit 75\n#\0\xff" + bytes(range(256)) * 400
    stamp = 1_600_000_000
    d = daemon(config(broker, queue, dead, ledger, kind, outcomes={"retry": [75]}))
    begun = time.time()
    rabbit.publish("order.new", body, exchange=exchange, message_id="id", content_type="text/plain", content_encoding="x",
                   priority=4, correlation_id="c", reply_to="r", type="t", app_id="a", timestamp=stamp, user_id="guest",
                   expiration="600000", headers={"h": "v", "n": 1, "table": {"a": [1, None, True]}, "when": datetime.datetime(2020, 1, 2),
                                                 "CC": ["nowhere"], "x-death": [{"count": 5}], "x-delivery-count": 9})
    rabbit.wait_depth(dead, 1)
    d.stop()
    (p, got), = rabbit.drain(dead)
    assert got == body
    assert (p.content_type, p.content_encoding, p.priority, p.correlation_id, p.reply_to, p.type, p.app_id, p.timestamp, p.message_id,
            p.delivery_mode) == ("text/plain", "x", 4, "c", "r", "t", "a", stamp, "id", 2)
    assert p.expiration is None and p.user_id is None, "these two would end or refuse the copy"
    h = dict(p.headers)
    assert {k: h.pop(k) for k in ("h", "n", "table", "when")} == {
        "h": "v", "n": 1, "table": {"a": [1, None, True]}, "when": datetime.datetime(2020, 1, 2)}
    first, last = (h.pop(f"x-execd-{k}-failure").replace(tzinfo=datetime.timezone.utc).timestamp() for k in ("first", "last"))
    assert begun - 2 <= first <= last <= time.time() + 2
    assert h == {"x-execd-attempts": 3, "x-execd-queue": queue, "x-execd-exchange": exchange, "x-execd-routing-key": "order.new",
                 "x-execd-host": socket.gethostname(), "x-execd-reason": "exit status 75; retry.max_attempts is reached", "x-execd-exit-status": 75,
                 "x-execd-stderr": "early\nthe last words \u20ac\n", "x-execd-expiration": "600000", "x-execd-user-id": "guest"}
    rabbit.channel.exchange_delete(exchange)


def test_a_retried_message_looks_like_the_first(broker, rabbit, daemon, records, name):
    """After the way through the delay queue a handler sees the exchange and the routing key of the publisher, and the attempt."""
    queue = rabbit.declare(name())
    rabbit.queues.append(delay_queue(queue, 200, "quorum"))
    rabbit.channel.queue_bind(queue, "amq.topic", queue + ".#")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("record", records, "75"), "outcomes": {"retry": [75]}, "retry": SOON}]))
    rabbit.publish(queue + ".a.b", b"\0body", exchange="amq.topic", message_id="id", priority=3, headers={"h": "v"})
    d.wait_settled(3)
    d.stop()
    runs = sorted(records.all(), key=lambda r: r["environ"][b"AMQP_ATTEMPT"])
    assert [r["environ"][b"AMQP_ATTEMPT"] for r in runs] == [b"1", b"2", b"3"]
    for r in runs:
        e = r["environ"]
        assert (e[b"AMQP_EXCHANGE"], e[b"AMQP_ROUTING_KEY"]) == (b"amq.topic", queue.encode() + b".a.b")
        assert (e[b"AMQP_MESSAGE_ID"], e[b"AMQP_PRIORITY"], e[b"AMQP_HEADER_H"]) == (b"id", b"3", b"v")
    assert [s["decision"] for s in d.settled()] == ["retry", "retry", "reject"]


def test_the_delay_queues(broker, rabbit, daemon, ledger, name, kind):
    """One durable queue per delay, of the type of the work queue, a classic one of which expires by itself; the broker keeps the
    time."""
    queue, dead = name(), rabbit.declare(name("dead"))
    names = [delay_queue(queue, n, kind) for n in (300, 900, 2700)]
    rabbit.queues += [queue, *names]
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "declare": {"type": kind}, "handler": handler("obey", ledger), "outcomes": {"otherwise": "retry"},
        "retry": {"delay": "300ms", "multiplier": 3, "max_delay": "2700ms", "max_attempts": 5}, "dead_letter": {"routing_key": dead}}],
        ready="consuming"))
    rabbit.publish(queue, "exit 1", message_id="m")
    rabbit.wait_depth(dead, 1)
    d.stop()
    for queue_name in names:
        rabbit.wait_depth(queue_name, 0)
    starts = [float(line[2]) for line in ledger.of("start")]
    gaps = [b - a for a, b in zip(starts, starts[1:])]
    for gap, least in zip(gaps, (0.3, 0.9, 2.7, 2.7)):
        assert least - 0.02 <= gap < least + 10, gaps
    assert [s.get("delay") for s in d.settled()] == ["0.300s", "0.900s", "2.700s", "2.700s", None]
    rows = {r["name"]: r for r in json.loads(broker.ctl("list_queues", "name", "type", "durable", "arguments", "--formatter", "json"))}
    for queue_name, ttl in zip(names, (300, 900, 2700)):
        row = rows[queue_name]
        arguments = {a[0]: a[2] for a in row["arguments"]} if isinstance(row["arguments"], list) else row["arguments"]
        assert row["durable"] and kind in row["type"]
        assert arguments["x-message-ttl"] == ttl and arguments["x-dead-letter-routing-key"] == queue
        assert arguments["x-dead-letter-exchange"] == ""
        # RabbitMQ does not renew the lease of a quorum queue that is declared again, and would delete it with its messages.
        assert arguments.get("x-expires") == (None if kind == "quorum" else 2 * ttl + 3_600_000)
        if kind == "quorum":
            assert arguments["x-dead-letter-strategy"] == "at-least-once" and arguments["x-overflow"] == "reject-publish"
            assert arguments["x-queue-leader-locator"] == "balanced"
    assert len([n for n in rows if n.startswith(queue + ".retry.")]) == 3


def test_a_dead_letter_exchange(broker, rabbit, daemon, ledger, name):
    """dead_letter.exchange without a routing key: the message's own is used."""
    queue, dead, exchange = rabbit.declare(name()), rabbit.declare(name("dead")), name("dlx")
    rabbit.channel.exchange_declare(exchange, "topic")
    rabbit.channel.queue_bind(dead, exchange, "order.*")
    rabbit.channel.queue_bind(queue, "amq.topic", "order.new")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "outcomes": {"otherwise": "reject"}, "dead_letter": {"exchange": exchange}}]))
    rabbit.publish("order.new", "exit 1", exchange="amq.topic", message_id="m")
    rabbit.wait_depth(dead, 1)
    (s,) = d.wait_settled(1)
    assert s["copy"] == exchange + "/order.new" and s["decision"] == "reject"
    d.stop()
    rabbit.channel.exchange_delete(exchange)


def test_reject_without_dead_letter_is_the_brokers(broker, rabbit, daemon, ledger, name, kind):
    """basic.reject without requeue: the broker's own dead-letter policy decides."""
    queue, dead = name(), rabbit.declare(name("dead"))
    rabbit.declare(queue, kind, dead_letter_exchange="", dead_letter_routing_key=dead)
    rabbit.publish(queue, "exit 65", message_id="m")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "outcomes": {"reject": [65]}}]))
    rabbit.wait_depth(dead, 1)
    d.stop()
    (p, _), = rabbit.drain(dead)
    assert p.headers["x-death"][0]["reason"] == "rejected"
    assert [s["decision"] for s in d.settled()] == ["reject"]
    assert "publishing connection" not in d.log, "nothing is published, so there is no connection for it"


def test_a_copy_that_is_returned_or_refused(broker, rabbit, daemon, ledger, name):
    """Without a queue behind it, without its exchange, with a full queue: the original goes back, and everything says why."""
    full = rabbit.declare(name("full"), max_length=1, overflow="reject-publish")
    rabbit.publish(full, "occupied")
    targets = {"nowhere": {"routing_key": name("nowhere")}, "no-exchange": {"exchange": name("none")}, "full": {"routing_key": full}}
    work = {k: rabbit.declare(name(k)) for k in targets}
    for k, q in work.items():
        rabbit.publish(q, "exit 1", message_id=k)
    healthy, dead = rabbit.declare(name("healthy")), rabbit.declare(name("dead"))
    d = daemon(configuration(broker={"url": broker.url}, defaults={
        "handler": handler("obey", ledger), "outcomes": {"reject": [1]}, "requeue": {"delay": "300ms", "max_delay": "900ms"}},
        queues=[{"name": q, "dead_letter": targets[k]} for k, q in work.items()] + [
            {"name": healthy, "dead_letter": {"routing_key": dead}}]))
    rabbit.publish(healthy, "exit 1", message_id="healthy")
    rabbit.wait_depth(dead, 1)
    reasons = {"nowhere": "returned", "no-exchange": "exchange", "full": "refused"}
    for k, q in work.items():
        lines = d.wait_settled(3, q)
        assert {s["decision"] for s in lines} == {"requeue"} and all(reasons[k] in s["reason"] for s in lines), lines
        assert [s["delay"] for s in lines[:3]] == ["0.300s", "0.600s", "0.900s"], "it grows, though the handler is sound"
    d.wait_status("cannot publish: ")
    # Now there is room: the next attempt succeeds.
    rabbit.drain(full)
    wait_until(lambda: [p.message_id for p, _ in rabbit.drain(full)] == ["full"], what="the copy in the queue that was full")
    d.stop()
    for k in ("nowhere", "no-exchange"):
        assert [p.message_id for p, _ in rabbit.drain(work[k])] == [k], "the original is still there"
    assert rabbit.depth(work["full"]) == 0


def test_max_attempts_without_a_header(broker, rabbit, daemon, ledger, name):
    """A redelivered message of a classic queue has had an unknown number of attempts: it counts as the first."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    rabbit.queues.append(delay_queue(queue, 200, "quorum"))
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "requeue": {"delay": "50ms"}, "retry": {**SOON, "max_attempts": 2},
        "outcomes": {"retry": [75]}, "dead_letter": {"routing_key": dead}}]))
    rabbit.publish(queue, "[ $n -gt 1 ] || exit 1; exit 75", message_id="m")
    rabbit.wait_depth(dead, 1)
    d.stop()
    assert [(s["attempt"], s["decision"]) for s in d.settled()] == [("1", "requeue"), ("unknown", "retry"), ("2", "reject")]


def test_attempts_are_those_at_this_queue(broker, rabbit, daemon, ledger, name):
    """Dead letters that are worked on like any other queue: the attempts at the queue they come from do not count there."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    rabbit.queues.append(delay_queue(dead, 200, "quorum"))
    rabbit.publish(queue, "[ $n -gt 4 ] || exit 75", message_id="m")
    rabbit.queues.append(delay_queue(queue, 200, "quorum"))
    common = {"handler": handler("obey", ledger), "outcomes": {"retry": [75]}}
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "retry": {**SOON, "max_attempts": 2}, "dead_letter": {"routing_key": dead}, **common},
        {"name": dead, "retry": SOON, **common}]))
    d.wait_settled(5)
    d.stop()
    assert [(s["queue"] == dead, s["attempt"], s["decision"]) for s in d.settled()] == [
        (False, "1", "retry"), (False, "2", "reject"), (True, "1", "retry"), (True, "2", "retry"), (True, "3", "ack")]


def test_too_large_can_be_rejected(broker, rabbit, daemon, ledger, name):
    """outcomes.on_too_large: nothing is run, nothing is copied, the broker's dead-letter policy gets the whole message."""
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), dead_letter_exchange="", dead_letter_routing_key=dead)
    rabbit.publish(queue, b"#" * 200_000, message_id="large")
    rabbit.publish(queue, "true", message_id="small")
    d = daemon(configuration(broker={"url": broker.url}, limits={"max_message_size": "100K"}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "outcomes": {"on_too_large": "reject"}}]))
    ledger.wait(1)
    rabbit.wait_depth(dead, 1)
    d.stop()
    assert ledger.counts("start") == {"small": 1}
    (p, body), = rabbit.drain(dead)
    assert p.message_id == "large" and len(body) == 200_000


def test_too_large_is_no_dead_letter(broker, rabbit, daemon, ledger, name):
    """There is no body to copy: with dead_letter, too, the message is the broker's."""
    dead, ours = rabbit.declare(name("dead")), rabbit.declare(name("ours"))
    queue = rabbit.declare(name(), dead_letter_exchange="", dead_letter_routing_key=dead)
    rabbit.publish(queue, b"#" * 200_000, message_id="large")
    d = daemon(configuration(broker={"url": broker.url}, limits={"max_message_size": "100K"}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "outcomes": {"on_too_large": "reject"},
        "dead_letter": {"routing_key": ours}}]))
    settled, = d.wait_settled(1, decision="reject")
    rabbit.wait_depth(dead, 1)
    d.stop()
    assert "limits.max_message_size" in settled["reason"] and "copy" not in settled and "exit" not in settled
    (p, body), = rabbit.drain(dead)
    assert p.message_id == "large" and body == b"#" * 200_000
    assert rabbit.depth(ours) == 0 and not ledger.counts("start")


def test_large_copies(broker, rabbit, daemon, name):
    """Bodies in memory files are copied whole, in a daemon that does not grow by them."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    bodies = {f"m{n}": n.to_bytes(4, "big") * (n // 4) for n in (0, 65536, 65540, 131064, 131072, 1_000_000, 30_000_000)}
    for message_id, body in bodies.items():
        rabbit.publish(queue, body, message_id=message_id)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": shell("exit 65"), "outcomes": {"reject": [65]}, "dead_letter": {"routing_key": dead}}]))
    d.wait_settled(len(bodies), decision="reject", timeout=90)
    d.stop()
    assert {p.message_id: body for p, body in rabbit.drain(dead)} == bodies


def test_hold_grows_while_failures_go_on(broker, rabbit, daemon, ledger, name):
    """requeue: 0.2, 0.4, 0.8 s, and no longer than max_delay; a success makes it short again."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "[ $n -gt 5 ] || exit 1", message_id="m")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "requeue": {"delay": "200ms", "max_delay": "700ms"}}]))
    d.wait_settled(6)
    rabbit.publish(queue, "[ $n -gt 1 ] || exit 1", message_id="next")
    d.wait_settled(8)
    d.stop()
    assert [s.get("delay") for s in d.settled()] == ["0.200s", "0.400s", "0.700s", "0.700s", "0.700s", None, "0.200s", None]


def test_stop_while_a_copy_cannot_be_published(broker, rabbit, daemon, ledger, name):
    """A stop with copies that wait for the broker: the originals are back in the queue, exit status 0, soon."""
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, ["exit 1"] * 4)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "concurrency": 4, "outcomes": {"otherwise": "reject"},
        "requeue": {"delay": "20s", "max_delay": "20s"}, "dead_letter": {"routing_key": name("nowhere")}}]))
    d.wait_settled(4, decision="requeue")
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 15
    rabbit.wait_depth(queue, 4)


@pytest.mark.parametrize("outcome", ["retry", "reject"])
def test_a_stop_waits_for_copies(broker, rabbit, daemon, ledger, name, outcome):
    """The first copy of a queue, of a handler that ends while the daemon stops: its channel and its delay queue are not there yet."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    delayed = delay_queue(queue, 600_000, "quorum")
    rabbit.queues.append(delayed)
    rabbit.publish(queue, "sleep 2; exit 75", message_id="m")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "outcomes": {"reject": [65], outcome: [75]},
        "retry": {"delay": "10min"}, "dead_letter": {"routing_key": dead}}]))
    ledger.wait(1, "start")
    d.stop()
    assert [s["decision"] for s in d.settled()] == [outcome]
    assert rabbit.depth(queue) == 0 and rabbit.depth(delayed if outcome == "retry" else dead) == 1


STUCK_RESOLVER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res) {
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");

	while (access(getenv("STUCK"), F_OK) == 0) {
		close(creat(getenv("IS_STUCK"), 0600));
		sleep(1);
	}
	return next(node, service, hints, res);
}
"""


def test_stop_with_a_copy_that_a_stuck_thread_keeps(broker, rabbit, daemon, ledger, name, tmp_path):
    """The publishing thread hangs in name resolution with a message in its hands, and does not come back in time."""
    queue, shim = rabbit.declare(name()), tmp_path / "resolver.so"
    stuck, is_stuck, go = tmp_path / "stuck", tmp_path / "is-stuck", tmp_path / "go"
    (tmp_path / "resolver.c").write_text(STUCK_RESOLVER, encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, tmp_path / "resolver.c", "-ldl"], check=True)
    rabbit.publish(queue, f"until [ -e {go} ]; do sleep 0.1; done; exit 65", message_id="m")
    d = daemon(configuration(broker={"url": broker.url, "connection_name": queue}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "outcomes": {"reject": [65]}, "dead_letter": {"routing_key": "nowhere"}}]),
        environment={"LD_PRELOAD": str(shim), "STUCK": str(stuck), "IS_STUCK": str(is_stuck),
                     "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
    ledger.wait(1, "start")
    stuck.touch()
    connections = broker.ctl("list_connections", "pid", "client_properties").split("\n")
    (publishing,) = [c.split("\t")[0] for c in connections if f"{queue} (publisher)" in c]
    broker.ctl("close_connection", publishing, "a test")
    d.wait_log("publishing connection lost")
    wait_until(is_stuck.exists, what="the thread hangs")
    go.touch()
    d.wait_status("0 handlers running")
    d.stop()
    d.wait_log("the thread of the publishing connection is stuck")
    rabbit.wait_depth(queue, 1)


def test_names_in_the_log_are_values(broker, rabbit, daemon, ledger, name):
    """A routing key from outside cannot forge fields of a line by way of its copy."""
    queue, exchange = rabbit.declare(name()), name("dlx")
    rabbit.channel.exchange_declare(exchange, "fanout")
    rabbit.channel.queue_bind(queue, "amq.topic", queue + ".#")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "outcomes": {"otherwise": "reject"}, "requeue": {"delay": "20s"},
        "dead_letter": {"exchange": exchange}}]))
    rabbit.publish(queue + '.x decision=ack\nsettled queue="a"', "exit 1", exchange="amq.topic", message_id="m")
    (s,) = d.wait_settled(1)
    assert s["decision"] == "requeue" and re.search(r'copy="[^\n]*decision=ack\\nsettled queue=\\"a\\""', d.log)
    d.stop()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        rabbit.channel.queue_declare(name("none"), passive=True)
    rabbit.connect()
    rabbit.channel.exchange_delete(exchange)
