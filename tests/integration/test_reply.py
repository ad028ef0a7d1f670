# SPDX-License-Identifier: MIT
"""reply: what a handler writes to stdout goes to the message's reply_to, and the message is acknowledged after that."""

import hashlib
import json
import random
import re
import signal
import time

import pika
import pytest

from harness import configuration, handler, shell, wait_until
from network import Proxy

# The body says how much the handler writes: that many bytes that look random, made from it.
WRITER = ("import hashlib, sys; n = int(sys.stdin.read()); block = hashlib.sha256(str(n).encode()).digest(); "
          "sys.stdout.buffer.write((block * (n // 32 + 1))[:n])")


def written(n):
    return (hashlib.sha256(b"%d" % n).digest() * (n // 32 + 1))[:n]


def config(broker, queue, handler_keys, reply=True, **keys):
    return configuration(broker=broker if isinstance(broker, dict) else {"url": broker.url}, queues=[{
        "name": queue, "handler": handler_keys, "reply": reply, "requeue": {"delay": "300ms", "max_delay": "300ms"}, **keys}])


def writer(**keys):
    return {"command": ["/usr/bin/python3", "-IS", "-c", WRITER], **keys}


def test_every_size_byte_for_byte(broker, rabbit, daemon, name):
    """From nothing to exactly what is allowed; with one more the message is rejected, and says why."""
    queue, replies, dead = rabbit.declare(name()), rabbit.declare(name("replies")), rabbit.declare(name("dead"))
    sizes = [0, 1, 70_000, 65_536, 65_537, 300_000, 300_001, 1_000_000]
    for n in sizes:
        rabbit.publish(queue, str(n), message_id=f"m{n}", reply_to=replies, correlation_id=f"c{n}")
    d = daemon(config(broker, queue, writer(max_output=300_000), outcomes={"on_large_output": "reject"},
                      dead_letter={"routing_key": dead}, concurrency=4))
    d.wait_settled(len(sizes))
    d.stop()
    got = {p.correlation_id: body for p, body in rabbit.drain(replies)}
    assert got == {f"c{n}": written(n) for n in sizes if n <= 300_000}
    assert {s["message_id"]: s["decision"] for s in d.settled()} == {f"m{n}": "ack" if n <= 300_000 else "reject" for n in sizes}
    for s in d.settled():
        if s["decision"] == "reject":
            assert s["reason"] == '"stdout is more than handler.max_output (300000)"'
    letters = rabbit.drain(dead)
    assert {p.message_id for p, _ in letters} == {"m300001", "m1000000"}
    for p, _ in letters:
        assert p.headers["x-execd-reason"] == "exit status 0; stdout is more than handler.max_output (300000)"
    assert rabbit.depth(queue) == 0


def test_what_a_reply_carries(broker, rabbit, daemon, name):
    queue, replies = rabbit.declare(name()), rabbit.declare(name("replies"))
    begun = int(time.time())
    for mode in (1, 2, None):
        rabbit.publish(queue, b"x", message_id="m", reply_to=replies, correlation_id="c\xff", type="t", priority=3, delivery_mode=mode,
                       headers={"h": 1, "CC": ["nowhere"]}, expiration="600000", user_id="guest")
    d = daemon(config(broker, queue, shell(r"printf 'a\0\377\n'; echo logged >&2"), {"content_type": "application/x-test"}))
    d.wait_settled(3, decision="ack")
    d.stop()
    got = rabbit.drain(replies)
    assert [p.delivery_mode for p, _ in got] == [1, 2, None]
    for p, body in got:
        assert body == b"a\0\xff\n"
        assert (p.correlation_id, p.content_type, p.app_id) == ("c\xff", "application/x-test", "amqp-execd")
        assert begun <= p.timestamp <= time.time() + 1
        assert (p.headers, p.message_id, p.reply_to, p.type, p.priority, p.expiration, p.user_id, p.content_encoding) == (None,) * 8
    assert all(s["reply"] == replies for s in d.settled())
    assert "stderr: logged" in d.log and "stdout:" not in d.log


def test_no_reply_to_no_reply(broker, rabbit, daemon, name):
    """Nothing is published, and how much the handler wrote is of no importance."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "5000", message_id="absent")
    rabbit.publish(queue, "5000", message_id="empty", reply_to="")
    d = daemon(config(broker, queue, writer(max_output=1000)))
    d.wait_settled(2, decision="ack")
    d.stop()
    assert not [s for s in d.settled() if "reply" in s]


def test_other_outcomes_reply_nothing(broker, rabbit, daemon, ledger, name):
    queue, replies = rabbit.declare(name()), rabbit.declare(name("replies"))
    rabbit.queues.append(f"{queue}.retry.200.quorum")
    for message_id, program in (("requeue", "echo no; [ $n -gt 1 ] || exit 1"), ("retry", "echo no; [ $n -gt 1 ] || exit 75"),
                                ("reject", "echo no; exit 65"), ("killed", "echo no; [ $n -gt 1 ] || kill -KILL $$")):
        rabbit.publish(queue, program, message_id=message_id, reply_to=replies, correlation_id=message_id)
    d = daemon(config(broker, queue, handler("obey", ledger), concurrency=4, outcomes={"retry": [75], "reject": [65]},
                      retry={"delay": "200ms", "max_delay": "200ms"}))
    d.wait_settled(7)
    d.stop()
    got = sorted(p.correlation_id for p, _ in rabbit.drain(replies))
    assert got == ["killed", "requeue", "retry"], "one each, after the run that succeeded"
    assert rabbit.depth(queue) == 0


@pytest.mark.parametrize("unroutable", ["ack", "requeue", "retry", "reject"])
def test_nobody_gets_the_reply(broker, rabbit, daemon, ledger, name, unroutable):
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    rabbit.queues.append(f"{queue}.retry.300.quorum")
    there = name("there")
    d = daemon(config(broker, queue, handler("obey", ledger), {"unroutable": unroutable, "errors": True},
                      retry={"delay": "300ms", "max_delay": "300ms", "max_attempts": 0}, dead_letter={"routing_key": dead}))
    rabbit.publish(queue, "echo answer", message_id="m", reply_to=there, correlation_id="c")
    first = d.wait_settled(1)[0]
    assert first["decision"] == unroutable and first["exit"] == "0"
    if unroutable in ("requeue", "retry"):
        # Now somebody is there.
        rabbit.declare(there)
        d.wait_settled(1, decision="ack")
        (p, body), = rabbit.drain(there)
        assert body == b"answer\n" and p.correlation_id == "c"
        assert len(ledger.of("done")) >= 2
    else:
        assert len(ledger.of("done")) == 1
    d.stop()
    letters = rabbit.drain(dead)
    assert len(letters) == (unroutable == "reject")
    for p, _ in letters:
        assert p.headers["x-execd-reason"] == "exit status 0; nobody is there to get the reply"
    assert rabbit.depth(queue) == 0
    if unroutable != "ack":
        assert first["reason"] == '"nobody is there to get the reply"'
    assert "cannot publish" not in d.notify.status


def test_direct_reply_to(broker, rabbit, daemon, name):
    """RabbitMQ's reply without a queue, to a consumer on another connection: it is handed on, though it is returned as well. When the
    requester is gone nobody can tell, and the message is acknowledged."""
    queue = rabbit.declare(name())
    d = daemon(config(broker, queue, shell("cat; sleep ${AMQP_HEADER_TIME:-0}"), {"unroutable": "requeue"}))
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port))
    channel = connection.channel()
    got = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda ch, m, p, body: got.append((p.correlation_id, body)), auto_ack=True)
    sent = {f"c{n}": random.Random(n).randbytes(n) for n in (0, 1, 1000, 70_000)}
    for c, body in sent.items():
        channel.basic_publish("", queue, body, pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=c))
    deadline = time.monotonic() + 40
    while len(got) < len(sent) and time.monotonic() < deadline:
        connection.process_data_events(0.2)
    assert dict(got) == sent and len(got) == len(sent)
    d.wait_settled(len(sent), decision="ack")

    channel.basic_publish("", queue, b"late", pika.BasicProperties(
        reply_to="amq.rabbitmq.reply-to", correlation_id="late", headers={"time": "2"}))
    d.wait_status("1 handler running")
    connection.close()
    d.wait_settled(len(sent) + 1, decision="ack")
    d.stop()
    assert {s["decision"] for s in d.settled()} == {"ack"} and rabbit.depth(queue) == 0


def test_error_replies(broker, rabbit, daemon, ledger, name):
    """A message that is finally rejected: its requester learns why, and the dead letter is made after that."""
    queue, replies, dead = rabbit.declare(name()), rabbit.declare(name("replies")), rabbit.declare(name("dead"))
    rabbit.queues.append(f"{queue}.retry.200.quorum")
    programs = {"status": r"""echo lost; printf '%s\n' 'a "b" \' >&2; exit 65""", "attempts": "echo again >&2; exit 75", "signal": "kill -TERM $$"}
    for i, program in programs.items():
        rabbit.publish(queue, program, message_id=i, reply_to=replies, correlation_id=i)
    rabbit.publish(queue, "exit 65", message_id="nobody", reply_to=name("nobody"))
    rabbit.publish(queue, "exit 65", message_id="none")
    d = daemon(config(broker, queue, handler("obey", ledger), {"errors": True, "content_type": "text/plain"}, concurrency=4,
                      outcomes={"retry": [75], "reject": [65], "on_signal": "reject"},
                      retry={"delay": "200ms", "max_delay": "200ms", "max_attempts": 3}, dead_letter={"routing_key": dead}))
    d.wait_settled(5, decision="reject")
    d.stop()
    got = {p.correlation_id: (p, json.loads(body)) for p, body in rabbit.drain(replies)}
    assert {i: body for i, (_, body) in got.items()} == {
        "status": {"error": "exit status 65", "exit_status": 65, "signal": None, "attempts": 1, "stderr": 'a "b" \\\n'},
        "attempts": {"error": "exit status 75; retry.max_attempts is reached", "exit_status": 75, "signal": None, "attempts": 3,
                     "stderr": "again\n"},
        "signal": {"error": "killed by signal TERM", "exit_status": None, "signal": "TERM", "attempts": 1, "stderr": ""}}
    for i, (p, body) in got.items():
        assert (p.type, p.content_type, p.app_id, p.delivery_mode) == ("error", "application/json", "amqp-execd", 2)
        h = {"x-execd-reason": body["error"]}
        h.update({"x-execd-signal": "TERM"} if i == "signal" else {"x-execd-exit-status": body["exit_status"]})
        assert p.headers == h
    assert {p.message_id for p, _ in rabbit.drain(dead)} == {*programs, "nobody", "none"}
    assert len([s for s in d.settled() if s["decision"] != "reject"]) == 2, "the retries: nothing was run because of a reply"


def test_an_error_reply_without_dead_letters(broker, rabbit, daemon, name):
    """Then the broker's own policy gets the message, after the reply."""
    replies, dead = rabbit.declare(name("replies")), rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), dead_letter_exchange="", dead_letter_routing_key=dead)
    rabbit.publish(queue, message_id="m", reply_to=replies)
    d = daemon(config(broker, queue, shell("exit 65"), {"errors": True}, outcomes={"reject": [65]}))
    d.wait_settled(1, decision="reject")
    d.stop()
    assert len(rabbit.drain(replies)) == 1 and [p.message_id for p, _ in rabbit.drain(dead)] == ["m"]


def test_a_stop_waits_for_the_copy_after_the_reply(broker, rabbit, daemon, ledger, name):
    """The handler that ends last is rejected: first its error reply, then its dead letter, once each."""
    queue, replies, dead = rabbit.declare(name()), rabbit.declare(name("replies")), rabbit.declare(name("dead"))
    rabbit.publish(queue, "sleep 2; exit 65", message_id="m", reply_to=replies)
    d = daemon(config(broker, queue, handler("obey", ledger), {"errors": True}, outcomes={"reject": [65]},
                      dead_letter={"routing_key": dead}))
    ledger.wait(1, "start")
    d.stop()
    assert [s["decision"] for s in d.settled()] == ["reject"]
    assert len(rabbit.drain(replies)) == 1 and len(rabbit.drain(dead)) == 1 and rabbit.depth(queue) == 0


@pytest.mark.parametrize("confirms", ["swallow", "cut"])
def test_a_reply_without_a_confirm(broker, rabbit, daemon, ledger, name, confirms):
    """As row 15: the request is not acknowledged, comes again, and may be answered twice."""
    queue, replies = rabbit.declare(name()), rabbit.declare(name("replies"))
    with Proxy(broker.port) as proxy:
        proxy.open()
        proxy.confirms = confirms
        d = daemon(config({"url": proxy.url, "confirm_timeout": "700ms", "reconnect": {"min_delay": "100ms", "max_delay": "300ms"}},
                          queue, handler("obey", ledger)))
        rabbit.publish(queue, "echo answer", message_id="m", reply_to=replies, correlation_id="c")
        line = d.wait_settled(1, decision="requeue")[0]
        assert "the reply was not confirmed" in line["reason"] and line["reply"] == replies
        assert not [s for s in d.settled() if s["decision"] == "ack"]
        d.wait_status(f"{queue} cannot publish: {replies}: the reply was not confirmed")
        proxy.confirms = "pass"
        d.wait_settled(1, decision="ack")
        wait_until(lambda: "cannot publish" not in d.notify.status, what="no trouble any more")
        d.stop()
    again = len(ledger.of("done"))
    got = rabbit.drain(replies)
    assert again >= 2 and 2 <= len(got) <= again
    assert {(p.correlation_id, body) for p, body in got} == {("c", b"answer\n")}
    assert rabbit.depth(queue) == 0


def test_the_channel_is_lost_while_the_handler_runs(broker, rabbit, daemon, ledger, name, tmp_path):
    """What comes again is answered by the run that goes on: one run, one reply. What cannot be recognized is run again, and the first
    run's output is not published."""
    queue, replies, flag = rabbit.declare(name()), rabbit.declare(name("replies")), tmp_path / "flag"
    wait = f'while ! [ -e "{flag}" ]; do sleep 0.1; done; '
    d = daemon(config(broker, queue, handler("obey", ledger), concurrency=4))
    rabbit.publish(queue, wait + "echo known $n", message_id="m", reply_to=replies)
    ledger.wait(1, "start")
    rabbit.publish(queue, wait + "echo unknown $n", reply_to=replies)
    ledger.wait(2, "start")
    broker.ctl("close_all_connections", "a test")
    d.wait_log("is the message of a delivery that was lost")
    ledger.wait(3, "start")
    flag.touch()
    d.wait_settled(2, decision="ack")
    d.wait_log("unsettled .*delivers the message again")
    d.stop()
    rabbit.connect()
    got = sorted(body for _, body in rabbit.drain(replies))
    assert len(got) == 2 and got[0] == b"known 1\n" and got[1].startswith(b"unknown")
    assert ledger.counts("start")["m"] == 1 and len(ledger.of("start")) == 3
    assert rabbit.depth(queue) == 0


def test_lost_for_good_but_answered(fragile, fragile_rabbit, daemon, ledger, name):
    """The channel is lost and the message has not come back when its handler ends: it is answered all the same, and acknowledged
    without another run when it comes."""
    queue, replies = fragile_rabbit.declare(name()), fragile_rabbit.declare(name("replies"))
    with Proxy(fragile.port) as proxy:
        proxy.open()
        d = daemon(config({"url": proxy.url, "confirm_timeout": "20s", "reconnect": {"min_delay": "3s", "max_delay": "3s"}},
                          queue, handler("obey", ledger)))
        fragile_rabbit.publish(queue, "sleep 1; echo answer", message_id="m", reply_to=replies)
        ledger.wait(1, "start")
        proxy.cut()
        d.wait_log("unsettled .*acknowledged without another run|is the message of a delivery that was lost", 30)
        d.wait_settled(1, decision="ack")
        d.stop()
    assert ledger.counts("start") == {"m": 1}
    assert [body for _, body in fragile_rabbit.drain(replies)] == [b"answer\n"]
    assert fragile_rabbit.depth(queue) == 0


def test_a_hostile_reply_to(broker, rabbit, daemon, name):
    """It is a routing key and nothing else."""
    queue = rabbit.declare(name())
    hostile = ["x" * 255, "a\nb \x1b[2J", "amq.rabbitmq.reply-to.garbage", "$(exit 1)", "\u00fc/\u20ac"]
    for n, there in enumerate(hostile):
        rabbit.publish(queue, message_id=f"m{n}", reply_to=there)
    rabbit.publish(queue, message_id="nul", reply_to="a\0b")
    d = daemon(config(broker, queue, shell("echo answer"), outcomes={"on_large_output": "reject"}))
    d.wait_settled(len(hostile) + 1)
    d.stop()
    decisions = {s["message_id"]: s["decision"] for s in d.settled()}
    assert decisions == {"nul": "reject", "m2": "ack", **{f"m{n}": "reject" for n in (0, 1, 3, 4)}}
    assert all(re.match(r"\d{4}-", line) for line in d.lines), "one line each"
    assert rabbit.depth(queue) == 0


def test_replies_while_the_broker_blocks_publishing(fragile, fragile_rabbit, daemon, ledger, name):
    """They wait, as copies do, and nothing is answered twice."""
    queue, replies = fragile_rabbit.declare(name()), fragile_rabbit.declare(name("replies"))
    for n in range(4):
        fragile_rabbit.publish(queue, f"echo {n}", message_id=f"m{n}", reply_to=replies)
    fragile.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        d = daemon(config({"url": fragile.url, "confirm_timeout": "1s"}, queue, handler("obey", ledger), prefetch=4, concurrency=4))
        d.wait_log("has blocked publishing")
        ledger.wait(4)
        time.sleep(2)
        assert not [s for s in d.settled() if s["decision"] != "ack"]
    finally:
        fragile.ctl("set_vm_memory_high_watermark", "0.6")
    d.wait_settled(4, decision="ack")
    d.stop()
    fragile_rabbit.connect()
    assert sorted(body for _, body in fragile_rabbit.drain(replies)) == [b"0\n", b"1\n", b"2\n", b"3\n"]
    assert set(ledger.counts("start").values()) == {1} and fragile_rabbit.depth(queue) == 0


def test_killed_while_answering(broker, rabbit, daemon, ledger, name):
    """SIGKILL between the handler's end and the confirm: the request comes again."""
    queue, replies = rabbit.declare(name()), rabbit.declare(name("replies"))
    with Proxy(broker.port) as proxy:
        proxy.open()
        proxy.confirms = "swallow"
        d = daemon(config({"url": proxy.url, "confirm_timeout": "60s"}, queue, handler("obey", ledger)))
        rabbit.publish(queue, "echo answer", message_id="m", reply_to=replies)
        rabbit.wait_depth(replies, 1)
        d.wait_status("1 publication to be confirmed")
        d.signal(signal.SIGKILL)
        d.wait()
    rabbit.wait_depth(queue, 1)
    assert not d.settled()
