# SPDX-License-Identifier: MIT
"""Brokers that die, freeze, come late or refuse; queues that are missing, deleted or declared otherwise."""

import itertools
import os
import re
import signal
import time
from pathlib import Path

import pytest

from harness import EXECUTABLE, Rabbit, configuration, free_ports, handler, shell, stays, wait_until

QUICK = {"reconnect": {"min_delay": "100ms", "max_delay": "500ms"}}


def test_broker_killed_with_200_messages_in_flight(fragile, daemon, ledger, name, capsys):
    """kill -9 of the broker: every confirmed message is handled in the end; the duplicates are counted."""
    rabbit = Rabbit(fragile).connect()
    queues = [rabbit.declare(name("quorum"), "quorum"), rabbit.declare(name("classic"))]
    # RabbitMQ 3.10 puts a new quorum queue's term on disk within five seconds. Killed before, this queue never elects a
    # leader again, whoever the client is: not our subject.
    mature = time.monotonic() + 8
    ids = [i for q in queues for i in rabbit.publish_many(q, [f"{i}" * 50 for i in range(100)], prefix=q.rsplit("-", 1)[1])]
    time.sleep(max(0, mature - time.monotonic()))
    d = daemon(configuration(broker={"url": fragile.url, **QUICK}, queues=[{
        "name": q, "concurrency": 2, "prefetch": 40, "handler": handler("ledger", ledger, 0.03)} for q in queues]))
    ledger.wait(40)
    fragile.kill()
    d.wait_log("(?i)not connected")
    fragile.start()
    wait_until(lambda: set(ledger.counts()) == set(ids), 60, what="all 200 messages handled")
    wait_until(lambda: not any(rabbit.connect().depth(q) for q in queues), what="empty queues")
    d.stop()
    assert [rabbit.depth(q) for q in queues] == [0, 0], "something came back at the stop"
    again = sum(n - 1 for n in ledger.counts().values())
    with capsys.disabled():
        print(f" [of 200 messages {again} were handled again] ", end="")
    # What was in the daemon's hands and what it had acknowledged shortly before may come twice, not much more.
    assert again <= 120
    rabbit.close()


def test_connection_closed_by_the_operator(broker, rabbit, daemon, ledger, name):
    """rabbitmqctl close_all_connections: handlers that run finish, their messages come again, nothing is lost."""
    queue = rabbit.declare(name())
    ids = rabbit.publish_many(queue, [str(i) for i in range(60)])
    d = daemon(configuration(broker={"url": broker.url, **QUICK}, queues=[{
        "name": queue, "concurrency": 3, "prefetch": 10, "handler": handler("ledger", ledger, 0.1)}]))
    ledger.wait(6)
    before = d.memory("VmRSS")
    broker.ctl("close_all_connections", "maintenance of the test")
    d.wait_log("(?i)maintenance of the test|320|CONNECTION_FORCED")
    wait_until(lambda: set(ledger.counts()) == set(ids), what="all messages handled")
    grown = d.memory("VmRSS") - before
    if not re.search(rb"__[at]san_init", Path(EXECUTABLE).read_bytes()):
        assert grown < 1 << 20, f"a connection that is gone has left {grown} bytes"
    rabbit.connect()
    d.stop()
    assert rabbit.depth(queue) == 0
    assert ledger.counts("start") == ledger.counts("done"), "a handler was interrupted"
    assert sum(n - 1 for n in ledger.counts().values()) <= 20


def test_broker_down_at_start(fragile, daemon, ledger, name):
    """ready = attempted and started: READY comes and STATUS says what is missing. consuming: waits. Then all consume."""
    rabbit = Rabbit(fragile).connect()
    queues = {mode: rabbit.declare(name(mode)) for mode in ("attempted", "started", "consuming")}
    for mode, queue in queues.items():
        rabbit.publish(queue, "true", message_id=mode)
    fragile.stop()
    daemons = {mode: daemon(configuration(broker={"url": fragile.url, **QUICK}, ready=mode, queues=[{
        "name": queue, "handler": handler("obey", ledger)}]), start=False).launch() for mode, queue in queues.items()}
    daemons["attempted"].wait_ready()
    daemons["started"].wait_ready()
    daemons["attempted"].wait_status("(?i)127.0.0.1|broker|connect|refused|degraded")
    daemons["consuming"].wait_log("(?i)refused|cannot connect|connect")
    stays(lambda: not daemons["consuming"].ready, 1.5, "READY=1 before anything is consumed")
    assert all(d.process.poll() is None for d in daemons.values())
    degraded = daemons["attempted"].notify.status
    fragile.start()
    wait_until(lambda: set(ledger.counts()) == set(queues), what="all three consume")
    daemons["consuming"].wait_ready()
    wait_until(lambda: daemons["attempted"].notify.status != degraded, what="another STATUS")
    for d in daemons.values():
        d.stop()
    rabbit.connect().close()


def test_stop_while_the_broker_is_down(fragile, daemon, name):
    fragile.stop()
    d = daemon(configuration(broker={"url": fragile.url, "reconnect": {"min_delay": "30s", "max_delay": "60s"}},
                             queues=[{"name": name(), "handler": shell("cat")}]))
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 15


def test_two_brokers(broker, fragile, rabbit, daemon, ledger, name):
    """One broker dies, the queues of the other one go on."""
    other = Rabbit(fragile).connect()
    here, there = rabbit.declare(name("here")), other.declare(name("there"))
    other.publish(there, "true", message_id="there0")
    d = daemon(configuration(
        brokers=[{"name": "one", "url": broker.url, **QUICK}, {"name": "two", "url": fragile.url, **QUICK}],
        defaults={"handler": handler("obey", ledger)},
        queues=[{"name": here, "broker": "one"}, {"name": there, "broker": "two"}]))
    ledger.wait(1)
    fragile.kill()
    d.wait_log("two")
    rabbit.publish_many(here, ["true"] * 20, prefix="here")
    wait_until(lambda: len([i for i in ledger.counts() if i.startswith("here")]) == 20, what="20 of the living broker")
    fragile.start()
    # Again: a broker that is killed soon after a declaration may have forgotten it.
    other.connect().declare(there)
    other.publish(there, "true", message_id="there1")
    wait_until(lambda: "there1" in ledger.counts(), what="the other broker's message")
    d.stop()
    other.close()


def test_frozen_broker(fragile, daemon, ledger, name):
    """SIGSTOP of the broker: noticed by the heartbeat; the watchdog is fed all the time; then it goes on."""
    rabbit = Rabbit(fragile).connect()
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": fragile.url, "heartbeat": 1, "connect_timeout": "1s", **QUICK}, queues=[{
        "name": queue, "handler": handler("obey", ledger)}]), watchdog_usec=1_500_000)
    rabbit.publish(queue, "true", message_id="before")
    ledger.wait(1)
    fragile.freeze()
    try:
        d.wait_log("(?i)heartbeat|timed? ?out|connection", 20)
        frozen = time.monotonic()
        wait_until(lambda: time.monotonic() - frozen > 5, 20)
    finally:
        fragile.thaw()
    beats = d.notify.times("WATCHDOG")
    assert len(beats) >= 5
    assert max(b - a for a, b in itertools.pairwise(beats)) < 1.5, "systemd would have killed it"
    rabbit.connect().publish(queue, "true", message_id="after")
    wait_until(lambda: "after" in ledger.counts(), what="the message after the thaw")
    d.stop()
    rabbit.close()


def test_heartbeats_while_a_handler_runs(broker, rabbit, daemon, ledger, name):
    """A handler that runs several times the broker's patience costs no connection, also when nothing else happens."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "x", message_id="long")
    d = daemon(configuration(broker={"url": broker.url, "heartbeat": 1}, queues=[{
        "name": queue, "handler": handler("ledger", ledger, 6)}]))
    settled = d.wait_settled(1)
    assert settled[0]["decision"] == "ack"
    assert len(ledger.of("start")) == 1
    d.stop()
    assert rabbit.depth(queue) == 0
    assert len(ledger.of("start")) == 1


def test_queue_missing_at_start(broker, rabbit, daemon, ledger, name):
    """The others run; the missing one is consumed when somebody creates it."""
    there, missing = rabbit.declare(name("there")), name("missing")
    rabbit.publish(there, "true", message_id="there")
    d = daemon(configuration(broker={"url": broker.url, **QUICK}, defaults={"handler": handler("obey", ledger)},
                             queues=[{"name": missing}, {"name": there}]))
    ledger.wait(1)
    d.wait_log(f"{missing}.*(?i:not.found|404|no queue)")
    d.wait_status(missing)
    rabbit.declare(missing)
    rabbit.publish(missing, "true", message_id="late")
    wait_until(lambda: "late" in ledger.counts(), what="the message of the queue that was missing")
    wait_until(lambda: missing not in d.notify.status, what="a STATUS without complaint")
    d.stop()


def test_ready_consuming_waits_for_every_queue(broker, rabbit, daemon, name):
    there, missing = rabbit.declare(name("there")), name("missing")
    d = daemon(configuration(broker={"url": broker.url, **QUICK}, ready="consuming", defaults={
        "handler": shell("cat")}, queues=[{"name": there}, {"name": missing}]), start=False).launch()
    wait_until(lambda: rabbit.consumers(there) == 1, what="a consumer")
    d.wait_log(missing)
    assert not d.ready
    rabbit.declare(missing)
    d.wait_ready()
    d.stop()


def test_queue_deleted_and_made_again(broker, rabbit, daemon, ledger, name):
    """The broker's cancel is noticed at once; the daemon consumes again when the queue is back; others are untouched."""
    queue, other = rabbit.declare(name()), rabbit.declare(name("other"))
    d = daemon(configuration(broker={"url": broker.url, **QUICK}, ready="consuming", defaults={
        "handler": handler("obey", ledger)}, queues=[{"name": queue}, {"name": other}]))
    rabbit.channel.queue_delete(queue)
    d.wait_log(f"{queue}.*(?i:cancel|delete|not.found|degraded)")
    rabbit.publish(other, "true", message_id="other")
    ledger.wait(1)
    rabbit.declare(queue)
    rabbit.publish(queue, "true", message_id="again")
    wait_until(lambda: "again" in ledger.counts(), what="the message of the new queue")
    d.stop()


def test_queue_deleted_while_its_handler_runs(broker, rabbit, daemon, ledger, name):
    """Settling a message whose queue is gone hurts nobody."""
    queue, other = rabbit.declare(name()), rabbit.declare(name("other"))
    rabbit.publish(queue, "sleep 1", message_id="orphan")
    d = daemon(configuration(broker={"url": broker.url, **QUICK}, defaults={
        "handler": handler("obey", ledger), "concurrency": 2}, queues=[{"name": queue}, {"name": other}]))
    ledger.wait(1, "start")
    rabbit.channel.queue_delete(queue)
    wait_until(lambda: "orphan" in ledger.counts(), what="the end of its handler")
    rabbit.publish_many(other, ["true"] * 5)
    ledger.wait(6)
    d.stop()
    assert rabbit.depth(other) == 0


def test_declaration_that_differs(broker, rabbit, daemon, ledger, name):
    """That queue is degraded with the broker's reason; the others run; nothing is consumed under false assumptions."""
    queue, other = rabbit.declare(name(), "classic"), rabbit.declare(name("other"))
    rabbit.publish(queue, "true", message_id="never")
    rabbit.publish(other, "true", message_id="other")
    d = daemon(configuration(broker={"url": broker.url, **QUICK}, defaults={"handler": handler("obey", ledger)}, queues=[
        {"name": queue, "declare": {"durable": True, "type": "quorum"}}, {"name": other}]))
    ledger.wait(1)
    d.wait_log(f"{queue}.*(?i:inequivalent|precondition|406)")
    d.wait_status(queue)
    d.stop()
    assert ledger.counts() == {"other": 1}
    assert rabbit.depth(queue) == 1


def test_wrong_password(broker, rabbit, daemon, name):
    """Not a reason to exit; the reason is told; the password never is."""
    queue = rabbit.declare(name())
    url = f"amqp://guest:s3cr3t-Passw0rd@127.0.0.1:{broker.port}/"
    d = daemon(configuration(broker={"url": url, **QUICK}, queues=[{"name": queue, "handler": shell("cat")}]),
               arguments=["--log-level", "debug"])
    d.wait_log("(?i)refused|denied|403|login|password|credentials")
    d.wait_status(".")
    stays(lambda: d.process.poll() is None, 1.0)
    d.stop()
    everything = d.log + "".join(d.notify.values("STATUS"))
    assert "s3cr3t" not in everything and "Passw0rd" not in everything


def test_unknown_virtual_host(broker, rabbit, daemon, name):
    d = daemon(configuration(broker={"url": f"amqp://guest:guest@127.0.0.1:{broker.port}/nowhere", **QUICK},
                             queues=[{"name": name(), "handler": shell("cat")}]))
    d.wait_log("(?i)nowhere|vhost|530")
    d.stop()


def test_peer_that_is_no_broker(daemon, name, tmp_path):
    """Something else listens on the port and talks nonsense, or says nothing: the daemon lives, and stops when told."""
    import socket
    import threading
    port, = free_ports(1)
    server = socket.create_server(("127.0.0.1", port))
    server.settimeout(0.2)
    kept, done = [], threading.Event()

    def serve():
        while not done.is_set():
            try:
                s, _ = server.accept()
            except socket.timeout:
                continue
            if len(kept) % 2 == 0:
                s.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + os.urandom(300))
            kept.append(s)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        d = daemon(configuration(broker={"url": f"amqp://127.0.0.1:{port}", "connect_timeout": "700ms", **QUICK},
                                 queues=[{"name": name(), "handler": shell("cat")}]), watchdog_usec=2_000_000)
        wait_until(lambda: len(kept) >= 3, what="three attempts")
        d.stop()
    finally:
        done.set()
        thread.join()
        server.close()
        for s in kept:
            s.close()


def test_200_queues_on_one_connection(broker, rabbit, daemon, ledger, name):
    queues = [rabbit.declare(name(f"q{i}")) for i in range(200)]
    ids = {}
    for i, queue in enumerate(queues):
        rabbit.publish(queue, "x", message_id=f"m{i}")
        ids[f"m{i}"] = 1
    d = daemon(configuration(broker={"url": broker.url}, ready="consuming", limits={"max_handlers": 8}, defaults={
        "handler": handler("ledger", ledger)}, queues=[{"name": q} for q in queues]))
    d.wait_settled(200, timeout=90)
    assert ledger.counts() == ids
    # One of the daemon, one of the test; the broker's table of them lags behind.
    wait_until(lambda: len(broker.ctl("list_connections", "pid").split()) == 1 + 2, what="two connections")
    d.stop()


def test_connection_is_named_and_announces_what_it_needs(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url, "connection_name": "the mail room"}, ready="consuming", queues=[{
        "name": queue, "handler": shell("cat"), "consumer_tag": "tag-of-mine", "priority": 3, "prefetch": 7}]))
    told = broker.ctl("list_connections", "client_properties", "timeout")
    assert "the mail room" in told
    assert "consumer_cancel_notify" in told and "connection.blocked" in told
    row = next(r for r in broker.ctl("list_consumers").splitlines() if r.startswith(queue + "\t"))
    assert "tag-of-mine" in row and "\t7\t" in row and "x-priority" in row
    d.stop()


def test_no_descriptor_or_thread_leaks_over_reconnects(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url, **QUICK}, ready="consuming", queues=[{
        "name": queue, "handler": handler("obey", ledger)}]))

    def counts():
        return len(os.listdir(f"/proc/{d.pid}/fd")), len(os.listdir(f"/proc/{d.pid}/task"))

    def round_trip(i):
        broker.ctl("close_all_connections", "again")
        rabbit.connect().publish(queue, "true", message_id=f"r{i}")
        wait_until(lambda: f"r{i}" in ledger.counts(), what=f"message {i}")
        d.wait_settled(i + 1)
    round_trip(0)
    before = counts()
    for i in range(1, 5):
        round_trip(i)
    wait_until(lambda: counts() == before, 10, f"descriptors and threads: {before} became {counts()}")
    os.kill(d.pid, signal.SIGTERM)
    assert d.wait() == 0


@pytest.mark.parametrize("keep", [0, 1000])
def test_delivery_acknowledgement_timeout(fragile, daemon, ledger, name, keep):
    """The broker closes a channel whose message was not settled in time: that queue starts anew, another one is untouched,
    and the late result of the handler settles nothing by mistake. Without results the message is run again; with them the
    run that goes on settles the delivery that is current when it ends."""
    def set_limits(timeout, tick):
        fragile.ctl("eval", f"application:set_env(rabbit, consumer_timeout, {timeout}),"
                            f"application:set_env(rabbit, channel_tick_interval, {tick}).")
    rabbit = Rabbit(fragile).connect()
    queue, other = rabbit.declare(name()), rabbit.declare(name("other"))
    set_limits(1500, 500)
    try:
        rabbit.publish(queue, "[ $n -gt 1 ] || { sleep 6; echo late; }", message_id="slow")
        d = daemon(configuration(broker={"url": fragile.url, **QUICK}, defaults={"handler": handler("obey", ledger)},
                                 queues=[{"name": queue, "concurrency": 2, "results": {"keep": keep}}, {"name": other}]))
        line = d.wait_log(f"{queue}.*(?i:timeout|406|precondition)", 30)
        assert "other" not in line
        ledger.wait(1 if keep else 2)
        d.wait_settled(1, queue, "ack")
        rabbit.publish_many(other, ["true"] * 3, prefix="other")
        wait_until(lambda: len(ledger.counts()) == 4, what="the other queue's messages")
        d.stop()
    finally:
        set_limits(1_800_000, 60_000)
    assert ledger.counts("start")["slow"] == (1 if keep else 2)
    assert not [line for line in d.lines if other in line and "degraded" in line]
    rabbit.connect()
    assert rabbit.depth(queue) == 0 and rabbit.depth(other) == 0
    rabbit.close()


def test_resource_alarm(fragile, daemon, ledger, name):
    """While the broker blocks those who publish, consuming goes on."""
    rabbit = Rabbit(fragile).connect()
    queue = rabbit.declare(name())
    rabbit.publish_many(queue, ["true"] * 30)
    fragile.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        d = daemon(configuration(broker={"url": fragile.url, **QUICK}, queues=[{
            "name": queue, "handler": handler("obey", ledger)}]))
        ledger.wait(30)
        d.stop()
    finally:
        fragile.ctl("set_vm_memory_high_watermark", "0.6")
    wait_until(lambda: rabbit.connect().depth(queue) == 0, what="empty queue")
    rabbit.close()


def test_headers_that_outgrew_the_frame_size(broker, rabbit, daemon, ledger, name):
    """Dead-lettering adds headers: a message that was published just below frame_max is delivered in a header frame that is
    larger. It must not take the connection down again and again, and all other queues with it."""
    queue, other = rabbit.declare(name()), rabbit.declare(name("other"))
    source = rabbit.declare(name("source"), dead_letter_exchange="", dead_letter_routing_key=queue, message_ttl=1)
    rabbit.publish(source, "true", message_id="big", headers={"big": "v" * 130_900})
    rabbit.wait_depth(queue, 1)
    d = daemon(configuration(broker={"url": broker.url, **QUICK}, defaults={"handler": handler("obey", ledger)},
                             queues=[{"name": queue}, {"name": other}]))
    rabbit.publish(other, "true", message_id="other")
    wait_until(lambda: {"big", "other"} <= set(ledger.counts()), 10, "both messages handled")
    d.stop()
    assert ledger.counts() == {"big": 1, "other": 1}
    assert rabbit.depth(queue) == 0 and rabbit.depth(other) == 0
