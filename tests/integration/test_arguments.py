# SPDX-License-Identifier: MIT
"""argv as a handler really gets it: templates, hostile values, the body as an argument, and what cannot be passed."""

import base64
import json
import os
import zlib

import pytest
from harness import configuration, handler, stays

MAX = 131_071


def start(broker, daemon, records, queue, *arguments, keys=None, **settings):
    return daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "handler": {**handler("record", records, "0", *arguments), **(keys or {})}, **settings}]))


def arguments_of(record):
    """What comes after the folder and the status."""
    return record["arguments"][3:]


def test_every_kind_of_name(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    d = start(broker, daemon, records, queue, "100%%", "%{queue}", "<%{routing_key}:%{header:a b}>", "%{redelivered}%{attempt}",
              "%{message_id}", "%{header:n}", "%{timestamp}", "plain")
    rabbit.publish(queue, b"", message_id="id-1", timestamp=1700000000, headers={"a b": "\u00e4", "n": {"k": [1, None]}})
    d.wait_settled(1, decision="ack")
    d.stop()
    record, = records.all()
    assert arguments_of(record) == [
        b"100%", queue.encode(), f"<{queue}:\u00e4>".encode(), b"false1", b"id-1", b'{"k":[1,null]}', b"1700000000", b"plain"]


HOSTILE = [";rm -rf /", "$(touch pwned)", "`touch pwned`", "-rf", "--", "", " ", "a b\tc", "one\ntwo", "'\"\\", "*", "~", "%{queue}", "%%",
           "\x1b[2J", "\u00fc\u20ac", "a" * 100_000, b"\xff\xfe\x80".decode("latin-1")]


def test_hostile_values_stay_one_argument(broker, rabbit, daemon, records, name, tmp_path):
    """No splitting, no shell, no option, no second expansion, no empty argument that is dropped."""
    queue = rabbit.declare(name())
    d = start(broker, daemon, records, queue, "%{header:x}", "<%{header:x}>", "%{header:missing}", "last", keys={"directory": str(tmp_path)})
    for i, value in enumerate(HOSTILE):
        rabbit.publish(queue, b"", message_id=str(i), headers={"x": value})
    d.wait_settled(len(HOSTILE), decision="ack")
    d.stop()
    got = {int(r["environ"][b"AMQP_MESSAGE_ID"]): arguments_of(r) for r in records.all()}
    assert got == {i: [v.encode(), b"<" + v.encode() + b">", b"", b"last"] for i, v in enumerate(HOSTILE)}
    assert not (tmp_path / "pwned").exists()


# A header, and what the log says of why it cannot be passed as "<%{header:x}%{header:x}>".
REFUSED = [({"x": "a\0b"}, "handler.command[3] would hold a NUL byte"),
           ({"x": "x" * 65_535}, "handler.command[3] would be longer than 131071 bytes"),
           ({"x": ["\x01" * 30_000]}, "handler.command[3] would be longer than 131071 bytes")]


@pytest.mark.parametrize("headers, reason", REFUSED)
def test_what_cannot_be_passed_is_requeued(broker, rabbit, daemon, records, name, headers, reason):
    """It is held, and the queue goes on with others: nothing is paused, and nothing spins."""
    queue = rabbit.declare(name())
    d = start(broker, daemon, records, queue, "<%{header:x}%{header:x}>", prefetch=5, requeue={"delay": "30s", "max_delay": "30s"})
    rabbit.publish(queue, b"", message_id="bad", headers=headers)
    rabbit.publish(queue, b"", message_id="good", headers={"x": "x" * 65_534})
    bad, = d.wait_settled(1, decision="requeue")
    assert bad["message_id"] == "bad" and reason in bad["reason"]
    d.wait_settled(1, decision="ack")
    stays(lambda: len(d.settled()) == 2, 1)
    assert "paused" not in d.log
    d.stop()
    record, = records.all()
    assert arguments_of(record) == [b"<" + b"x" * (MAX - 3) + b">"]
    assert rabbit.depth(queue) == 1


def test_what_cannot_be_passed_is_rejected(broker, rabbit, daemon, records, name):
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), dead_letter_exchange="", dead_letter_routing_key=dead)
    d = start(broker, daemon, records, queue, "%{header:x}", outcomes={"on_too_large": "reject"})
    for headers, _ in REFUSED[:1]:
        rabbit.publish(queue, b"kept", headers=headers)
    d.wait_settled(1, decision="reject")
    d.stop()
    assert not records.all()
    rabbit.wait_depth(dead, 1)
    assert rabbit.depth(queue) == 0


@pytest.mark.parametrize("headers, reason", REFUSED)
def test_what_cannot_be_passed_goes_to_dead_letter(broker, rabbit, daemon, records, name, headers, reason):
    """The message has its body, so it is copied with the reason like any other that is rejected, and tells no exit status."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    d = start(broker, daemon, records, queue, "<%{header:x}%{header:x}>", outcomes={"on_too_large": "reject"},
              dead_letter={"routing_key": dead})
    rabbit.publish(queue, b"kept\0", message_id="bad", headers=headers)
    rabbit.publish(queue, b"", message_id="good")
    d.wait_settled(1, decision="ack")
    bad, = d.wait_settled(1, decision="reject")
    d.stop()
    assert bad["message_id"] == "bad" and reason in bad["reason"] and bad["copy"] == dead and "exit" not in bad
    assert len(records.all()) == 1
    (p, body), = rabbit.drain(dead)
    assert p.message_id == "bad" and body == b"kept\0" and p.headers["x"] == headers["x"]
    assert p.headers["x-execd-reason"].startswith(f"no handler can get it: {reason}")
    assert p.headers["x-execd-attempts"] == 0 and p.headers["x-execd-queue"] == queue
    assert not {"x-execd-exit-status", "x-execd-signal", "x-execd-stderr"} & set(p.headers)
    assert rabbit.depth(queue) == 0


def test_who_asked_is_told_what_cannot_be_passed(broker, rabbit, daemon, records, name):
    """reply.errors: first the error reply, then the dead letter."""
    queue, dead, answers = rabbit.declare(name()), rabbit.declare(name("dead")), rabbit.declare(name("answers"))
    d = start(broker, daemon, records, queue, "%{header:x}", outcomes={"on_too_large": "reject"},
              dead_letter={"routing_key": dead}, reply={"errors": True})
    rabbit.publish(queue, b"", headers={"x": "a\0b"}, reply_to=answers, correlation_id="c")
    d.wait_settled(1, decision="reject")
    d.stop()
    (p, body), = rabbit.drain(answers)
    assert p.correlation_id == "c" and p.type == "error"
    told = json.loads(body)
    assert told["error"].startswith("no handler can get it: handler.command[3] would hold a NUL byte")
    assert told["exit_status"] is None and told["signal"] is None and told["attempts"] == 0
    assert len(rabbit.drain(dead)) == 1 and not records.all()


def test_longest_argument_and_all_together(broker, rabbit, daemon, records, name):
    """As much as execve(2) takes is passed; arguments and variables share what a message may bring."""
    queue = rabbit.declare(name())
    longest = "%{header:x}%{header:x}%{header:y}"
    d = start(broker, daemon, records, queue, longest, longest, longest, "%{header:x}")
    rabbit.publish(queue, b"", headers={"x": "x" * 50_000, "y": "y" * 31_071})
    d.wait_settled(1, decision="ack")
    d.stop()
    record, = records.all()
    assert arguments_of(record) == [b"x" * 100_000 + b"y" * 31_071] * 3 + [b"x" * 50_000]
    assert len(arguments_of(record)[0]) == MAX
    assert record["environ"][b"AMQP_HEADER_X"] == b"x" * 50_000
    assert b"AMQP_HEADER_Y" not in record["environ"]
    assert "header y: the message's headers are too large together" in d.log


def test_a_small_stack_refuses_the_message_not_the_queue(broker, rabbit, daemon, records, name):
    """Where the system takes fewer arguments than usual, a message cannot make execve(2) fail and so pause the queue."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "prefetch": 5, "requeue": {"delay": "30s", "max_delay": "30s"},
         "handler": handler("record", records, "0", *["%{header:x}"] * 3)}]), start=False)
    d.arguments = ["prlimit", "--stack=524288:524288", "--", *d.arguments]
    d.start()
    rabbit.publish(queue, b"", message_id="bad", headers={"x": "x" * 100_000})
    rabbit.publish(queue, b"", message_id="good", headers={"x": "x" * 9_000, "y": "y" * 115_000})
    bad, = d.wait_settled(1, decision="requeue")
    assert bad["message_id"] == "bad" and "more than this system allows" in bad["reason"]
    d.wait_settled(1, decision="ack")
    assert "paused" not in d.log
    d.stop()
    record, = records.all()
    assert arguments_of(record) == [b"x" * 9_000] * 3 and b"AMQP_HEADER_Y" not in record["environ"]


# ---------------------------------------------------------- the body as an argument

BODIES = [b"", b"hello", b"\0\xff<&>\n", os.urandom(98_301)]


@pytest.mark.parametrize("compress", [False, True])
def test_body_as_argument(broker, rabbit, daemon, records, name, compress):
    queue = rabbit.declare(name())
    bodies = BODIES if not compress else [*BODIES[:3], b"x" * 1_000_000]
    d = start(broker, daemon, records, queue, "-m", keys={"input": "argument", "compress": compress})
    for i, body in enumerate(bodies):
        rabbit.publish(queue, body, message_id=str(i))
    d.wait_settled(len(bodies), decision="ack")
    d.stop()
    for record in records.all():
        option, argument = arguments_of(record)
        data = base64.b64decode(argument, validate=True)
        assert option == b"-m" and record["body"] == b""
        assert (zlib.decompress(data) if compress else data) == bodies[int(record["environ"][b"AMQP_MESSAGE_ID"])]


@pytest.mark.parametrize("compress", [False, True])
def test_object_as_argument(broker, rabbit, daemon, records, name, compress):
    queue = rabbit.declare(name())
    d = start(broker, daemon, records, queue, keys={"input": "argument-json", "compress": compress}, consumer_tag="tag")
    rabbit.publish(queue, b"\0\xff<\xc3\xa4>\n", headers={"k": "v"})
    d.wait_settled(1, decision="ack")
    d.stop()
    record, = records.all()
    argument, = arguments_of(record)
    data = base64.b64decode(argument, validate=True)
    data = zlib.decompress(data) if compress else data
    assert data.endswith(b',"routing_key":"%s"},"body":"\\u0000\\ufffd\\u003c\xc3\xa4\\u003e\\n"}' % queue.encode())
    parsed = json.loads(data)
    assert list(parsed) == ["properties", "delivery_info", "body"]
    assert parsed["properties"]["application_headers"] == {"k": "v"} and parsed["body"] == "\0\ufffd<\u00e4>\n"


@pytest.mark.parametrize("compress, body", [
    (False, b"x" * 98_302), (True, os.urandom(100_000)), (True, b"x" * (16 * 1024 * 1024 + 1))])
def test_bodies_that_do_not_fit(broker, rabbit, daemon, records, name, compress, body):
    queue = rabbit.declare(name())
    d = start(broker, daemon, records, queue, keys={"input": "argument", "compress": compress}, outcomes={"on_too_large": "reject"})
    rabbit.publish(queue, body, message_id="bad")
    rabbit.publish(queue, b"small", message_id="good")
    bad, = d.wait_settled(1, decision="reject")
    assert bad["message_id"] == "bad" and f"its body of {len(body)} bytes does not fit an argument" in bad["reason"]
    d.wait_settled(1, decision="ack")
    d.stop()
    record, = records.all()
    assert arguments_of(record) == [base64.b64encode(zlib.compress(b"small", 9) if compress else b"small")]
