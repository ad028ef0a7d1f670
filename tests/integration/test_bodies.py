# SPDX-License-Identifier: MIT
"""The body reaches the handler byte for byte, whatever its size and whether it is read or not."""

import hashlib
import random

import pytest

from harness import configuration, handler, shell

SIZES = [0, 1, 4095, 4096, 65535, 65536, 65537, 131064, 131072, 1_000_003]


def test_sizes(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    rng = random.Random(2)
    bodies = {str(n): rng.randbytes(n) for n in SIZES}
    for key, body in bodies.items():
        rabbit.publish(queue, body, message_id=key)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("record", records), "concurrency": 2}]))
    d.wait_settled(len(SIZES))
    d.stop()
    got = {r["environ"][b"AMQP_MESSAGE_ID"].decode(): r for r in records.all()}
    assert set(got) == set(bodies)
    for key, body in bodies.items():
        r = got[key]
        assert r["stdin"]["size"] == len(body)
        assert r["stdin"]["sha256"] == hashlib.sha256(body).hexdigest()
        assert r["environ"][b"AMQP_BODY_SIZE"] == key.encode()
        assert not r["stdin"]["writable"], "a handler cannot change what it is given"
    large = got["1000003"]["stdin"]
    assert large["regular"] and large["st_size"] == 1_000_003, "a large body is seekable"
    assert large["seals"] & 0xF == 0xF, "and sealed"
    assert rabbit.depth(queue) == 0


@pytest.mark.parametrize("mib", [64])
def test_very_large(broker, rabbit, daemon, records, name, mib):
    """Two of 64 MiB: streamed, so the daemon's own memory hardly grows."""
    queue = rabbit.declare(name())
    body = random.Random(3).randbytes(1 << 20) * mib
    d = daemon(configuration(broker={"url": broker.url}, limits={"max_message_size": "128M"}, queues=[{
        "name": queue, "handler": handler("record", records)}]))
    before = d.memory("VmHWM")
    for i in range(2):
        rabbit.publish(queue, body, message_id=f"m{i}")
    d.wait_settled(2, timeout=120)
    grown = d.memory("VmHWM") - before
    d.stop()
    expected = hashlib.sha256(body).hexdigest()
    assert [r["stdin"]["sha256"] for r in records.all()] == [expected] * 2
    assert grown < 24 << 20, f"grew by {grown >> 20} MiB"


def test_unread_input_is_harmless(broker, rabbit, daemon, ledger, name):
    """Exit status 0 is an ack, also when not a byte of the body was read: 10 bytes, 60 kB, 8 MB."""
    queue = rabbit.declare(name())
    sizes = [10, 60_000, 65_536, 8_000_000]
    rabbit.publish_many(queue, [b"x" * n for n in sizes])
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": handler("indifferent", ledger)}]))
    settled = d.wait_settled(len(sizes))
    d.stop()
    assert all(s["decision"] == "ack" and s["exit"] == "0" for s in settled)
    assert set(ledger.counts().values()) == {1}
    assert rabbit.depth(queue) == 0


def test_closed_input_is_harmless(broker, rabbit, daemon, name):
    """A handler that closes its descriptors at once and then works for a while."""
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, [b"x" * n for n in (0, 100, 65_536, 1_000_000)])
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": shell("exec <&- >&- 2>&-; sleep 0.3"), "concurrency": 4}]))
    settled = d.wait_settled(4)
    d.stop()
    assert all(s["decision"] == "ack" and float(s["duration"].rstrip("s")) >= 0.25 for s in settled)


def test_many_large_ones_interleaved_with_small(broker, rabbit, daemon, ledger, name):
    """Two queues on one connection: large and small messages do not get into each other's way."""
    queues = [rabbit.declare(name("large")), rabbit.declare(name("small"))]
    rng = random.Random(4)
    expected = {}
    for i in range(60):
        large = i % 3 == 0
        body = rng.randbytes(300_000 + 7 * i if large else 50 + i)
        expected[f"m{i}"] = hashlib.sha256(body).hexdigest()
        rabbit.publish(queues[0 if large else 1], body, message_id=f"m{i}")
    d = daemon(configuration(broker={"url": broker.url}, defaults={
        "concurrency": 3, "prefetch": 10, "handler": handler("ledger", ledger)}, queues=[{"name": q} for q in queues]))
    d.wait_settled(60)
    d.stop()
    assert {line[0]: line[1] for line in ledger.of("done")} == expected
    assert len(ledger.of("done")) == 60
