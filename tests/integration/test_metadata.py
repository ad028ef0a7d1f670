# SPDX-License-Identifier: MIT
"""What a handler is told about its message, byte by byte: variables, descriptor 3, JSON on standard input, the trace."""

import base64
import datetime
import decimal
import json
import os

import pytest
from harness import configuration, handler, shell, wait_until

BASE = {b"PATH", b"HOME", b"USER", b"LANG"}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def run(broker, rabbit, daemon, records, queue, body=b"", headers=None, keys=None, **properties):
    """The record of one message's handler with these keys of its handler group."""
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "consumer_tag": "tag", "handler": {**handler("record", records), **(keys or {})}}]))
    rabbit.publish(queue, body, headers=headers, **properties)
    d.wait_settled(1, decision="ack")
    d.stop()
    record, = records.all()
    return record


def expected_object(queue, headers=b"null"):
    """The exact text for a message that has nothing but these headers, without the closing brace."""
    return (b'{"properties":{"application_headers":%s,"content_type":"","content_encoding":"","delivery_mode":2,'
            b'"priority":0,"correlation_id":"","reply_to":"","expiration":"","message_id":"",'
            b'"timestamp":"0001-01-01T00:00:00Z","type":"","user_id":"","app_id":""},'
            b'"delivery_info":{"message_count":0,"consumer_tag":"tag","delivery_tag":1,"redelivered":false,'
            b'"exchange":"","routing_key":"%s"}' % (headers, queue.encode()))


def test_descriptor_3_of_a_bare_message(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, b"the body", keys={"metadata": "fd3"})
    assert record["metadata"] == {"regular": False, "data": expected_object(queue) + b"}"}
    assert sorted(record["descriptors"]) == ["0", "1", "2", "3"]
    assert record["body"] == b"the body"
    assert set(record["environ"]) == BASE


# All that the client can send: floats are a unit test's.
ALL_TYPES = {
    "z-string": "v\u00e4lue <&> \u2028\"\\\n",
    "bytes": b"\xff\xfe\x00",
    "true": True, "false": False,
    "int": -5, "big": 2**40,
    "decimal": decimal.Decimal("12.34"),
    "time": datetime.datetime(2023, 11, 14, 22, 13, 20),
    "void": None,
    "list": [1, "two", [None], {"b": 1, "a": 2}],
    "empty-list": [], "empty-table": {},
    "A": "capitals come first",
}
ALL_TYPES_TEXT = (
    '{"A":"capitals come first","big":1099511627776,"bytes":"//4A","decimal":{"Scale":2,"Value":1234},'
    '"empty-list":[],"empty-table":{},"false":false,"int":-5,'
    '"list":[1,"two",[null],{"a":2,"b":1}],"time":"2023-11-14T22:13:20Z","true":true,'
    '"void":null,"z-string":"v\u00e4lue \\u003c\\u0026\\u003e \\u2028\\"\\\\\\n"}').encode()


def test_descriptor_3_with_all_types(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, headers=ALL_TYPES, keys={"metadata": "fd3"})
    assert record["metadata"]["data"] == expected_object(queue, ALL_TYPES_TEXT) + b"}"
    json.loads(record["metadata"]["data"])


def test_descriptor_3_with_all_properties(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    record = run(
        broker, rabbit, daemon, records, queue, keys={"metadata": "fd3"}, content_type="application/json",
        content_encoding="gzip", delivery_mode=1, priority=7, correlation_id="c<1>", reply_to="back", expiration="600000",
        message_id="id-1", timestamp=1700000000, type="order", user_id="guest", app_id="shop")
    assert json.loads(record["metadata"]["data"])["properties"] == {
        "application_headers": None, "content_type": "application/json", "content_encoding": "gzip", "delivery_mode": 1,
        "priority": 7, "correlation_id": "c<1>", "reply_to": "back", "expiration": "600000", "message_id": "id-1",
        "timestamp": "2023-11-14T22:13:20Z", "type": "order", "user_id": "guest", "app_id": "shop"}


def test_large_metadata(broker, rabbit, daemon, records, name):
    """More than a pipe holds, and more than a variable does, control characters being six bytes each: it does not loop, and
    nothing of it is missing."""
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, headers={"large": ["\x01" * 100_000]}, keys={"metadata": "both"})
    assert record["metadata"]["regular"]
    assert record["metadata"]["data"] == expected_object(queue, b'{"large":["%s"]}' % (rb"\u0001" * 100_000)) + b"}"
    assert b"AMQP_HEADER_LARGE" not in record["environ"]
    assert record["environ"][b"AMQP_QUEUE"] == queue.encode()


def test_bad_bytes(broker, rabbit, daemon, records, name):
    """Strings that are no UTF-8, as some clients send them."""
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, keys={"metadata": "both"}, message_id=b"\xff<\xe2\x82",
                 headers={"nul": "a\0b"})
    data = record["metadata"]["data"]
    assert b'"message_id":"\\ufffd\\u003c\\ufffd\\ufffd"' in data
    assert b'"application_headers":{"nul":"a\\u0000b"}' in data
    assert record["environ"][b"AMQP_MESSAGE_ID"] == b"\xff<\xe2\x82"
    assert b"AMQP_HEADER_NUL" not in record["environ"]


HEADERS = {"kind": "x", "traceparent": PARENT, "tracestate": "a=1,b=2"}
TRACE = {b"TRACEPARENT": PARENT.encode(), b"TRACESTATE": b"a=1,b=2"}


@pytest.mark.parametrize("metadata, variables, descriptor", [
    ("env", True, False), ("fd3", False, True), ("both", True, True), ("none", False, False)])
def test_modes(broker, rabbit, daemon, records, name, metadata, variables, descriptor):
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, b"body", headers=HEADERS, keys={"metadata": metadata})
    own = {k: v for k, v in record["environ"].items() if k not in BASE}
    trace = {k: v for k, v in own.items() if k.startswith(b"TRACE")}
    assert trace == ({} if metadata == "none" else TRACE)
    if variables:
        assert own[b"AMQP_HEADER_KIND"] == b"x" and own[b"AMQP_QUEUE"] == queue.encode()
    else:
        assert own == trace
    assert ("3" in record["descriptors"]) == descriptor == bool(record["metadata"])
    assert record["body"] == b"body"


@pytest.mark.parametrize("headers, expected", [
    ({"traceparent": PARENT}, {b"TRACEPARENT": PARENT.encode()}),
    ({"traceparent": PARENT.upper(), "tracestate": "a=1"}, {b"TRACEPARENT": b"mine", b"TRACESTATE": b"mine"}),
    ({"Traceparent": PARENT}, {b"TRACEPARENT": b"mine", b"TRACESTATE": b"mine"}),
    ({"traceparent": PARENT + "\nLD_PRELOAD=/x"}, {b"TRACEPARENT": b"mine", b"TRACESTATE": b"mine"}),
])
def test_malformed_traces(broker, rabbit, daemon, records, name, headers, expected):
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, headers=headers,
                 keys={"environment": {"TRACEPARENT": "mine", "TRACESTATE": "mine"}})
    assert {k: v for k, v in record["environ"].items() if k.startswith(b"TRACE")} == expected
    assert b"LD_PRELOAD" not in record["environ"]


def test_path(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, keys={"path": "/opt/bin:/bin"})
    assert record["environ"][b"PATH"] == b"/opt/bin:/bin"


# ------------------------------------------------------------------------- input

@pytest.mark.parametrize("body, encoding, text", [
    (b"", "utf-8", b""),
    ("plain \u00e4 \"\\\n".encode(), "utf-8", b'plain \xc3\xa4 \\"\\\\\\n'),
    (b"\xff\x00 binary", "base64", base64.b64encode(b"\xff\x00 binary")),
    (b"\0" * 30, "base64", b"A" * 40),
])
def test_json(broker, rabbit, daemon, records, name, body, encoding, text):
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, body, keys={"input": "json", "metadata": "none"})
    assert record["body"] == expected_object(queue) + (
        b',"queue":"%s","attempt":1,"body_size":%d,"body_encoding":"%s","body":"%s"}\n'
        % (queue.encode(), len(body), encoding.encode(), text))
    assert set(record["environ"]) == BASE and sorted(record["descriptors"]) == ["0", "1", "2"]


def test_large_json(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    body = "x\u20ac".encode() * 200_000
    record = run(broker, rabbit, daemon, records, queue, body, keys={"input": "json"})
    assert record["stdin"]["regular"] and not record["stdin"]["writable"]
    data = json.loads(record["body"])
    assert data["body"].encode() == body and data["body_encoding"] == "utf-8" and data["body_size"] == len(body)


def test_no_input(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    record = run(broker, rabbit, daemon, records, queue, b"body", keys={"input": "none"})
    assert record["body"] == b"" and record["environ"][b"AMQP_BODY_SIZE"] == b"4"


def test_descriptors_do_not_add_up(broker, rabbit, daemon, records, name):
    """200 runs with descriptor 3, some in memory files, and all of ours are closed again."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "concurrency": 4, "handler": {**shell("cat >/dev/null; cat <&3 >/dev/null"), "metadata": "both"}}]))
    rabbit.publish(queue, b"x")
    d.wait_settled(1)
    before = len(os.listdir(f"/proc/{d.pid}/fd"))
    for i in range(200):
        rabbit.publish(queue, b"x", headers={"h": "x" * (100_000 if i % 10 == 0 else 10)})
    d.wait_settled(201, decision="ack")
    wait_until(lambda: len(os.listdir(f"/proc/{d.pid}/fd")) <= before, what=f"{before} descriptors")
    d.stop()


# ------------------------------------------------------ handlers of another consumer

def test_a_handler_of_rabbitmq_cli_consumer(broker, rabbit, daemon, tmp_path, name):
    """Unchanged, with the preset for its queue: pipe mode, strict exit codes."""
    queue = rabbit.declare(name())
    told = tmp_path / "told"
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "compat": "rabbitmq-cli-consumer-strict", "handler": handler("cli-consumer", told)}]))
    rabbit.publish(queue, b'{"id": 17}', content_type="application/json", headers={"customer": "M\u00fcller & S\u00f6hne"})
    rabbit.publish(queue, b'{"id": 18}', headers={})
    rabbit.publish(queue, b'{"id": 19}', headers={"customer": "nobody"}, delivery_mode=1)
    settled = d.wait_settled(3)
    d.stop()
    assert [s["decision"] for s in settled] == ["ack", "ack", "reject"]
    assert told.read_text(encoding="utf-8").splitlines() == [
        f"17 application/json M\u00fcller & S\u00f6hne {queue} False 2", f"18  None {queue} False 2",
        f"19  nobody {queue} False 1"]
