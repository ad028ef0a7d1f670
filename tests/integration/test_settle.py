# SPDX-License-Identifier: MIT
"""What becomes of a message, by how its handler ended."""

import contextlib
import hashlib
import itertools
import os
import random
import signal
import time

from harness import alive, configuration, handler, shell, wait_until
from network import Proxy


def test_500_messages_over_three_queues_once_each(broker, rabbit, daemon, ledger, name):
    """Calm conditions: one connection, each message handled exactly once, every byte arrives, nothing is left."""
    queues = [rabbit.declare(name(s), k) for s, k in (("a", "classic"), ("b", "quorum"), ("c", "classic"))]
    rng = random.Random(1)
    expected = {}
    for i in range(500):
        body = rng.randbytes(rng.randrange(0, 3000))
        expected[f"m{i}"] = [hashlib.sha256(body).hexdigest(), str(len(body))]
        rabbit.publish(queues[i % 3], body, message_id=f"m{i}")
    d = daemon(configuration(broker={"url": broker.url}, defaults={"concurrency": 3, "handler": handler("ledger", ledger)},
                             queues=[{"name": q} for q in queues]))
    settled = d.wait_settled(500, timeout=90)
    # One of the daemon, one of the test; the broker's table of them lags behind.
    wait_until(lambda: len(broker.ctl("list_connections", "pid").split()) == 1 + 2, what="two connections")
    d.stop()

    assert {line[0]: line[1:] for line in ledger.of("done")} == expected
    assert set(ledger.counts().values()) == {1}, "a message was handled more than once"
    assert len(d.settled()) == len(settled) == 500
    for i, s in enumerate(queues):
        lines = d.settled(s)
        assert len(lines) == len(range(i, 500, 3))
        assert {line["decision"] for line in lines} == {"ack"}
        assert {line["exit"] for line in lines} == {"0"}
        assert {line["attempt"] for line in lines} == {"1"}
        assert len({line["tag"] for line in lines}) == len(lines)
        assert all(float(line["duration"].rstrip("s")) >= 0 for line in lines)
    assert {line["message_id"] for line in d.settled()} == set(expected)
    assert [rabbit.depth(q) for q in queues] == [0, 0, 0]


def what_it_was_told(settlements, n):
    """From what a proxy heard about n messages of one queue: the tags by method. One basic.ack may stand for many."""
    told, unsettled = {"ack": [], "reject": []}, set(range(1, n + 1))
    for method, channel, tag, bit in settlements:
        assert channel == 1 and tag in unsettled, "RabbitMQ closes the channel when it is told of another one"
        tags = {t for t in unsettled if t <= tag} if method == "ack" and bit else {tag}
        unsettled -= tags
        told[method] += tags
    assert not unsettled
    return {method: sorted(tags) for method, tags in told.items()}


def test_the_broker_is_told_what_the_log_says(broker, rabbit, daemon, ledger, name, tmp_path):
    """Handlers that end in any order, and many that end at once: no basic.ack speaks for a message that was not acknowledged."""
    queue, gate = rabbit.declare(name()), tmp_path / "gate"
    os.mkfifo(gate)
    for i in range(200):
        rabbit.publish(queue, message_id=f"m{i}")
    program = """case $AMQP_MESSAGE_ID in
        m*7) sleep 0.3;;
        m*3) exit 65;;
        gate*) echo "start $AMQP_MESSAGE_ID $$" >>"$1"; read -r _ <"$2";;
        esac; exit 0"""

    def all_ended(pids):
        with contextlib.suppress(OSError):  # nobody waits any more
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        return not any(map(alive, pids))

    with Proxy(broker.port) as proxy:
        proxy.open()
        d = daemon(configuration(broker={"url": proxy.url}, queues=[{
            "name": queue, "handler": shell(program, ledger, gate), "concurrency": 20, "prefetch": 200,
            "outcomes": {"reject": [65]}}]))
        d.wait_settled(200, timeout=90)
        # One of its threads runs at a time now: the one that hands over the acks comes far before the other one wakes up.
        for tid in os.listdir(f"/proc/{d.pid}/task"):
            os.sched_setaffinity(int(tid), {min(os.sched_getaffinity(d.pid))})
        for n in (20, 40, 60):
            for i in range(n - 20, n):
                rabbit.publish(queue, message_id=f"gate{i}")
            pids = [int(pid) for _, pid in ledger.wait(n, "start")[-20:]]
            d.signal(signal.SIGSTOP)
            wait_until(lambda: all_ended(pids), what="20 handlers that have ended")
            d.signal(signal.SIGCONT)
            d.wait_settled(200 + n)
        d.stop()
    logged = {decision: sorted(int(s["tag"]) for s in d.settled() if s["decision"] == decision) for decision in ("ack", "reject")}
    assert what_it_was_told(proxy.settlements, 260) == logged
    assert len(logged["reject"]) == 20
    assert len(proxy.settlements) < 260, "acknowledged one by one, also what was due at once"
    assert rabbit.depth(queue) == 0


def test_exit_statuses(broker, rabbit, daemon, ledger, name):
    """0 is ack; everything else gives the message back, and it comes again."""
    queue = rabbit.declare(name())
    statuses = [0, 1, 2, 64, 75, 126, 127, 255]
    for status in statuses:
        rabbit.publish(queue, f"[ $n -gt 1 ] || exit {status}", message_id=f"exit{status}")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "concurrency": 4, "requeue": {"delay": "50ms"}}]))
    # exit 0 leaves the program at once, so this one has no line "done"
    wait_until(lambda: set(ledger.counts()) == {f"exit{s}" for s in statuses if s}, what="all of them handled in the end")
    d.wait_settled(2 * len(statuses) - 1)
    d.stop()
    assert ledger.counts("start") == {f"exit{s}": 2 if s else 1 for s in statuses}
    for status in statuses:
        lines = [s for s in d.settled() if s["message_id"] == f"exit{status}"]
        assert lines[0]["exit"] == str(status)
        assert [s["decision"] for s in lines] == (["requeue", "ack"] if status else ["ack"])
        assert lines[0]["attempt"] == "1"
    assert rabbit.depth(queue) == 0


def test_signals(broker, rabbit, daemon, ledger, name):
    """A handler that dies of a signal is told apart from one that exits; the message comes again."""
    queue = rabbit.declare(name(), "quorum")
    signals = ["SEGV", "KILL", "TERM", "ABRT", "HUP"]
    for s in signals:
        rabbit.publish(queue, f"[ $n -gt 1 ] || kill -{s} $$", message_id=s)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "requeue": {"delay": "50ms"}}]))
    d.wait_settled(len(signals), decision="ack")
    d.stop()
    for s in signals:
        lines = [line for line in d.settled() if line["message_id"] == s]
        assert [line["decision"] for line in lines] == ["requeue", "ack"]
        assert lines[0]["signal"] == s
        assert "exit" not in lines[0]
        assert [line["attempt"] for line in lines] == ["1", "2"], "a quorum queue counts"
    assert rabbit.depth(queue) == 0


def test_requeue_delay(broker, rabbit, daemon, ledger, name):
    """A message that always fails is tried again after requeue.delay, not in a hot loop."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "exit 1", message_id="bad")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "requeue": {"delay": 0.4}}]))
    runs = ledger.wait(4, "start")
    times = [float(line[2]) for line in runs]
    for a, b in itertools.pairwise(times):
        assert b - a >= 0.38, f"again after {b - a:.3f} s"
    assert times[3] - times[0] < 20
    d.stop()
    assert all(s["decision"] == "requeue" for s in d.settled())
    assert rabbit.depth(queue) == 1, "the message is back in the queue"


def test_a_held_message_does_not_stop_others(broker, rabbit, daemon, ledger, name):
    """While a failed message waits for its delay, the queue's slot serves other messages."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "[ $n -gt 1 ] || exit 1", message_id="bad")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "concurrency": 1, "prefetch": 5,
        "requeue": {"delay": "3s"}}]))
    ledger.wait(1, "start")
    for i in range(10):
        rabbit.publish(queue, "true", message_id=f"good{i}")
    ledger.wait(11)
    d.stop()
    assert [line[0] for line in ledger.of("done")][-1] == "bad"
    assert rabbit.depth(queue) == 0


def test_poison_message_ends_in_the_dead_letters(broker, rabbit, daemon, ledger, name):
    """x-delivery-limit of a quorum queue counts only failed handlers, and good messages go on meanwhile."""
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), "quorum", delivery_limit=3, dead_letter_exchange="", dead_letter_routing_key=dead)
    rabbit.publish(queue, "exit 1", message_id="poison")
    for i in range(60):
        rabbit.publish(queue, "true", message_id=f"good{i}")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "concurrency": 2, "prefetch": 6,
        "requeue": {"delay": "100ms"}}]))
    rabbit.wait_depth(dead, 1)
    d.wait_settled(60, queue, "ack")
    d.stop()
    assert ledger.counts("start")["poison"] == 4, "a limit of 3 makes 4 deliveries"
    assert [s["attempt"] for s in d.settled() if s["message_id"] == "poison"] == ["1", "2", "3", "4"]
    assert ledger.counts() == {f"good{i}": 1 for i in range(60)}
    (properties, body), = rabbit.drain(dead)
    assert properties.message_id == "poison" and body == b"exit 1"
    assert rabbit.depth(queue) == 0


def test_untried_messages_are_not_counted_as_tried(broker, rabbit, daemon, ledger, name):
    """Prefetched messages that go back at a stop keep their place below the delivery limit of a quorum queue."""
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), "quorum", delivery_limit=4, dead_letter_exchange="", dead_letter_routing_key=dead)
    rabbit.publish_many(queue, ["sleep 0.3"] * 12)
    config = configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "concurrency": 1, "prefetch": 3}])
    for _ in range(3):
        before = len(ledger.of("start"))
        d = daemon(config)
        ledger.wait(before + 1, "start")
        d.stop()
    rabbit.wait_depth(queue, 12 - len(ledger.of("done")))
    d = daemon(config)
    ledger.wait(12)
    d.stop()
    assert rabbit.depth(queue) == 0 and rabbit.depth(dead) == 0
    assert ledger.counts() == {f"m{i}": 1 for i in range(12)}


def test_declared_queue_and_bindings(broker, rabbit, daemon, ledger, name):
    """declare makes the queue, bindings make exchange and binding; a routed message arrives."""
    queue, exchange = name(), name("exchange")
    rabbit.queues.append(queue)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("obey", ledger),
        "declare": {"durable": True, "type": "quorum", "arguments": {"x-delivery-limit": 7}},
        "bindings": [{"exchange": exchange, "exchange_type": "topic", "routing_keys": ["order.*", "invoice.#"]},
                     {"exchange": "amq.direct", "routing_keys": [queue]}]}], ready="consuming"))
    rabbit.publish("order.new", "true", exchange=exchange, message_id="one")
    rabbit.publish("invoice.a.b", "true", exchange=exchange, message_id="two")
    rabbit.publish(queue, "true", exchange="amq.direct", message_id="three")
    ledger.wait(3)
    d.stop()
    assert set(ledger.counts()) == {"one", "two", "three"}
    rows = broker.ctl("list_queues", "name", "type", "durable", "arguments").splitlines()
    row = next(r for r in rows if r.startswith(queue + "\t"))
    assert "quorum" in row and "true" in row and '"x-delivery-limit",7' in row.replace(" ", "")
    rabbit.channel.exchange_delete(exchange)


def test_no_shell_and_no_splitting_of_the_command(broker, rabbit, daemon, name, tmp_path):
    """The command is an argument vector: blanks, quotes, dollars, empty and non-ASCII arguments arrive as written."""
    queue = rabbit.declare(name())
    arguments = ["a b", "", "$(id)", "`id`", "'\"", ";rm -rf x", "-rf", "\u00e4\u00f6", "*", "tab\there"]
    out = tmp_path / "argv"
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(
        'f=$1; shift; for a; do printf "%s\\0" "$a" >>"$f"; done', out, *arguments)}]))
    rabbit.publish(queue)
    d.wait_settled(1)
    d.stop()
    assert out.read_bytes().split(b"\0")[:-1] == [a.encode() for a in arguments]


def test_message_larger_than_the_limit_is_not_lost(broker, rabbit, daemon, ledger, name):
    """limits.max_message_size: such a message is refused with a reason, never acknowledged, and others go on."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, b"#" * 200_000, message_id="large")
    rabbit.publish(queue, "true", message_id="small")
    d = daemon(configuration(broker={"url": broker.url}, limits={"max_message_size": "100K"}, queues=[{
        "name": queue, "handler": handler("obey", ledger), "requeue": {"delay": "200ms"}, "prefetch": 2}]))
    ledger.wait(1)
    d.wait_log(r"max_message_size")
    time.sleep(0.5)
    d.stop()
    assert ledger.counts("start") == {"small": 1}
    assert rabbit.depth(queue) == 1
    assert not [s for s in d.settled() if s.get("message_id") == "large" and s["decision"] == "ack"]
