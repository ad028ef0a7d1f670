# SPDX-License-Identifier: MIT
"""amqp-execctl replay: dead letters go back as they were, the others stay where they are, and whatever ends it loses nothing."""

import collections
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from harness import CONTROL, PATIENCE, configuration, shell, wait_until
from letters import ACK, CLOSE, GET, PUBLISH, Trap, bury, drain, environment, execctl, launch, parts
from network import Proxy

WINDOW = 64  # publications under way, at most

RICH = {"content_type": "text/plain", "content_encoding": "identity", "delivery_mode": 2, "priority": 4, "correlation_id": "c-1",
        "reply_to": "answers", "message_id": "rich", "timestamp": 1700000000, "type": "t", "app_id": "a", "headers": {
            "own": "\u00e4", "number": 2**40, "small": -5, "yes": True, "nothing": None, "list": [1, "two", {"three": 3}],
            "bytes": b"\0\xff", "table": {"x": {"y": "z"}}, "x-execd-mine": "stays"}}


def snapshot(rabbit, queue):
    """All that a reader can see of the queue's messages, in order; takes them."""
    return [(parts(p), body) for p, body in rabbit.drain(queue)]


def rejecting(broker, work, dead, ledger, **keys):
    """The configuration of a daemon that rejects every message of `work` into `dead`."""
    return configuration(broker={"url": broker.url}, queues=[{
        "name": work, "concurrency": 4, "outcomes": {"reject": [65]}, "dead_letter": {"routing_key": dead},
        "handler": shell('echo "done $1" >> "$2"; echo no paper >&2; exit 65', "%{message_id}", ledger), **keys}])


# ---------------------------------------------------------------- as it was

def test_letters_of_the_daemon_go_back_as_they_were(broker, rabbit, daemon, name):
    work, dead, kept = rabbit.declare(name("work")), rabbit.declare(name("dead")), rabbit.declare(name("kept"))
    bodies = [b"", b"small", os.urandom(70_000), os.urandom(300_000)]
    for queue in (work, kept):
        for i, body in enumerate(bodies):
            rabbit.publish(queue, body, **{**RICH, "message_id": f"m{i}"})
        rabbit.publish(queue, "bare", delivery_mode=None)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": work, "concurrency": 1, "prefetch": 1, "outcomes": {"reject": [65]}, "dead_letter": {"routing_key": dead},
        "handler": shell("exit 65")}]))
    rabbit.wait_depth(dead, len(bodies) + 1)
    d.stop()
    done = execctl(broker, "replay", dead, "--yes")
    assert done.stdout.startswith(f"replayed 5 messages: 5 to queue {work}")
    assert rabbit.depth(dead) == 0
    assert snapshot(rabbit, work) == snapshot(rabbit, kept)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_letters_of_the_broker_go_back_as_they_were(broker, rabbit, name, kind):
    work, dead, kept = name("work"), name("dead"), rabbit.declare(name("kept"))
    properties = {k: v for k, v in RICH.items() if k != "message_id"}
    sent = bury(rabbit, work, dead, 20, kind, **properties)
    for i, message_id in enumerate(sent):
        rabbit.publish(kept, f"body {i}", message_id=message_id, **properties)
    # A look counts in a quorum queue, and its header must not travel.
    execctl(broker, "peek", dead)
    execctl(broker, "replay", dead, "--yes")
    rabbit.wait_depth(work, 20)
    assert rabbit.depth(dead) == 0
    assert snapshot(rabbit, work) == snapshot(rabbit, kept)


def test_a_handler_sees_how_it_was_published_first(broker, rabbit, daemon, name, ledger):
    work, dead, exchange = rabbit.declare(name("work")), rabbit.declare(name("dead")), name("x")
    rabbit.channel.exchange_declare(exchange, "topic", auto_delete=True)
    rabbit.channel.queue_bind(work, exchange, "order.*")
    daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": work, "outcomes": {"reject": [65]}, "dead_letter": {"routing_key": dead}, "handler": shell(
            'echo "done $AMQP_EXCHANGE $AMQP_ROUTING_KEY $AMQP_ATTEMPT" >> "$1"; exit 65', ledger)}]))
    rabbit.publish("order.new", "x", exchange, message_id="m")
    for _ in range(2):
        rabbit.wait_depth(dead, 1)
        execctl(broker, "replay", dead, "--yes")
    ledger.wait(3)
    assert ledger.of("done") == [[exchange, "order.new", "1"]] * 3


def test_other_destinations(broker, rabbit, name):
    work, dead, other, exchange = name("work"), name("dead"), rabbit.declare(name("other")), name("x")
    rabbit.channel.exchange_declare(exchange, "direct", auto_delete=True)
    rabbit.channel.queue_bind(other, exchange, "key")
    rabbit.channel.queue_bind(other, exchange, work)
    bury(rabbit, work, dead, 9)
    assert f"3 to queue {other}" in execctl(broker, "replay", dead, "--yes", "--count", 3, "--to-queue", other).stdout
    assert f"3 to exchange {exchange}" in execctl(broker, "replay", dead, "--yes", "--count", 3, "--exchange", exchange,
                                                  "--routing-key", "key").stdout
    execctl(broker, "replay", dead, "--yes", "--exchange", exchange)  # with the key that each had at first
    assert rabbit.depth(work) == 0
    got = rabbit.drain(other)
    assert [p.message_id for p, _ in got] == [f"m{i}" for i in range(9)] and not any(p.headers for p, _ in got)


# ---------------------------------------------------------------- which ones

@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_the_others_keep_their_places(broker, rabbit, name, kind):
    work, dead = name("work"), name("dead")
    bury(rabbit, work, dead, 200, kind, headers=lambda i: {"n": i % 3})
    done = execctl(broker, "replay", dead, "--yes", "--header", "n=1")
    assert "replayed 67 messages" in done.stdout and "left: 133 that are not meant" in done.stdout
    assert rabbit.depth(work) == 67 and rabbit.depth(dead) == 133
    assert drain(rabbit, work) == [f"m{i}" for i in range(200) if i % 3 == 1]
    assert drain(rabbit, dead) == [f"m{i}" for i in range(200) if i % 3 != 1]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_dry_run_changes_nothing(broker, rabbit, name, kind):
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 40, kind)
    done = execctl(broker, "replay", dead, "--dry-run", "--count", 25)
    assert done.stdout.endswith(f"... and 5 more\nwould replay 25 messages: 25 to queue {work}\n"
                                "left: 15 that were not looked at\n") and " m19 " in done.stdout
    assert rabbit.depth(work) == 0 and rabbit.depth(dead) == 40
    assert drain(rabbit, dead) == sent


def test_what_dies_again_is_not_replayed_again(broker, rabbit, daemon, name, ledger):
    work, dead = rabbit.declare(name("work")), rabbit.declare(name("dead"))
    d = daemon(rejecting(broker, work, dead, ledger))
    for i in range(50):
        rabbit.publish(work, "x", message_id=f"m{i}")
    rabbit.wait_depth(dead, 50)
    assert "replayed 50 messages" in execctl(broker, "replay", dead, "--yes").stdout
    ledger.wait(100)
    rabbit.wait_depth(dead, 50)
    d.stop()
    assert set(ledger.counts().values()) == {2} and rabbit.depth(work) == 0


def test_what_nobody_would_get_stays(broker, rabbit, name):
    work, gone, dead = name("work"), name("gone"), name("dead")
    bury(rabbit, gone, dead, 12)
    rabbit.channel.queue_delete(gone)
    rabbit.publish(dead, "alive", message_id="alive")
    bury_more = rabbit.declare(work)
    rabbit.publish(dead, "x", message_id="good", headers={"x-execd-queue": bury_more, "x-execd-attempts": 1})
    done = execctl(broker, "replay", dead, "--yes", status=1)
    assert done.stdout == f"replayed 1 message: 1 to queue {work}\nleft: 13 that cannot be replayed\n"
    assert "left where it is: message m0: no queue would get it" in done.stderr and "... and 3 more" in done.stderr
    assert drain(rabbit, work) == ["good"] and drain(rabbit, dead) == [f"m{i}" for i in range(12)] + ["alive"]
    rabbit.publish(dead, "alive", message_id="alive")
    assert "nothing says where it came from" in execctl(broker, "replay", dead, "--yes", status=1).stderr
    done = execctl(broker, "replay", dead, "--yes", "--exchange", name("none"), "--routing-key", "k", status=1)
    assert "404" in done.stderr and rabbit.depth(dead) == 1


def test_nobody_reads_what_it_says(broker, rabbit, name):
    """As after "2>&1 | head": it goes on to the end."""
    work, gone, dead = name("work"), name("gone"), name("dead")
    bury(rabbit, gone, dead, 3)
    rabbit.channel.queue_delete(gone)
    rabbit.declare(work)
    rabbit.publish(dead, "x", message_id="good", headers={"x-execd-queue": work, "x-execd-attempts": 1})
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen([CONTROL, "replay", dead, "--yes"], stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
                          env=environment(broker)) as process:
        os.close(writer)
        assert process.wait(PATIENCE) == 1
    assert drain(rabbit, work) == ["good"] and drain(rabbit, dead) == ["m0", "m1", "m2"]


def test_a_queue_that_refuses(broker, rabbit, name):
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 5)
    full = rabbit.declare(name("full"), max_length=2, overflow="reject-publish")
    done = execctl(broker, "replay", dead, "--yes", "--to-queue", full, status=1)
    moved, left = drain(rabbit, full), drain(rabbit, dead)
    assert moved and left and moved + left == sent and "basic.nack" in done.stderr


def test_the_senders_name_becomes_a_header(broker, rabbit, name):
    """The broker takes user_id from nobody but that user."""
    dead, to = rabbit.declare(name("dead")), rabbit.declare(name("to"))
    rabbit.publish(dead, "x", user_id="guest")
    broker.ctl("add_user", "other", "secret")
    broker.ctl("set_permissions", "other", ".*", ".*", ".*")
    try:
        execctl(broker.url.replace("guest:guest", "other:secret"), "replay", dead, "--yes", "--to-queue", to)
    finally:
        broker.ctl("delete_user", "other")
    (properties, _), = rabbit.drain(to)
    assert properties.user_id is None and properties.headers == {"x-execd-user-id": "guest"}


# ---------------------------------------------------------------- who is asked

def converse(broker, answer, *arguments, hesitate=0):
    """Runs it on a terminal, and answers its question, after so many seconds. Returns the exit status and what it wrote."""
    main, side = pty.openpty()
    process = subprocess.Popen([CONTROL, *arguments], stdin=side, stdout=side, stderr=side, env=environment(broker))
    os.close(side)
    said = b""
    try:
        while b"[y/N]" not in said:
            said += os.read(main, 4096)
        time.sleep(hesitate)
        os.write(main, answer)
        while True:
            try:
                said += os.read(main, 4096)
            except OSError:
                return process.wait(PATIENCE), said.decode()
    finally:
        os.close(main)
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_on_a_terminal_it_asks(broker, rabbit, name, kind):
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 10, kind)
    for answer in (b"n\n", b"\n"):
        status, said = converse(broker, answer, "replay", dead, "--count", "4")
        assert status == 1, said
        assert "would replay 4 messages" in said and rabbit.depth(work) == 0
        rabbit.wait_depth(dead, 10)
    status, said = converse(broker, b"y\n", "replay", dead, "--count", "4")
    assert status == 0 and re.search(r"^replayed 4 messages", said, re.M), said
    assert drain(rabbit, work) == sent[:4] and sorted(drain(rabbit, dead)) == sorted(sent[4:])


def test_what_was_shown_is_what_is_replayed(broker, rabbit, name):
    """Ages are those of the moment in which it was asked for, however long the answer takes."""
    dead, to = rabbit.declare(name("dead")), rabbit.declare(name("to"))
    for _ in range(5):  # a machine that is too slow shows both
        rabbit.publish(dead, "x", message_id="young", timestamp=int(time.time()))
        rabbit.publish(dead, "x", message_id="old", timestamp=1)
        status, said = converse(broker, b"y\n", "replay", dead, "--to-queue", to, "--older-than", "2s", hesitate=2.5)
        assert status == 0, said
        moved, left = drain(rabbit, to), drain(rabbit, dead)
        if "would replay 1 message:" in said:
            break
    assert (moved, left) == (["old"], ["young"]), said


def test_usage(broker, rabbit, name):
    queue = rabbit.declare(name())
    for wrong in (["replay", queue], ["replay", "--yes"], ["replay", "--yes", "--dry-run", queue],
                  ["replay", "--yes", "--to-queue", queue, queue], ["replay", "--yes", "--to-queue", "a", "--exchange", "b", queue],
                  ["replay", "--yes", "--routing-key", "b", queue], ["replay", "--yes", "--exchange", "", queue],
                  ["replay", "--yes", "--count", "-1", queue]):
        assert 'Try "amqp-execctl replay --help".' in execctl(broker, *wrong, status=64).stderr
    assert execctl(broker, "replay", queue, "--yes").stdout == "replayed 0 messages\n"
    assert "404" in execctl(broker, "replay", name("missing"), "--yes", status=1).stderr


# ---------------------------------------------------------------- interrupted, killed

def account(rabbit, work, dead, sent):
    """How often each message is there, in both queues together. None is lost or invented."""
    there = collections.Counter(drain(rabbit, work) + drain(rabbit, dead))
    assert set(there) == set(sent), set(sent) ^ set(there)
    return there


def settle_down(rabbit, *queues):
    """Waits until no count changes any more: the broker has noticed that a connection is gone."""
    seen, since = None, time.monotonic()
    while time.monotonic() < since + 0.5:
        now = [rabbit.depth(q) for q in queues]
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.05)


AT = [(GET, 1), (GET, 12), (PUBLISH, 1), (PUBLISH, 9), (ACK, 1), (ACK, 8), (CLOSE, 1)]


def label(at):
    return "-".join(map(str, (*at[0], at[1])))


@pytest.mark.parametrize(("at", "passes", "kind"), [
    *((at, passes, "classic") for at in AT for passes in (True, False)), ((PUBLISH, 9), True, "quorum"), ((ACK, 8), False, "quorum")],
    ids=lambda v: label(v) if isinstance(v, tuple) else {True: "sent", False: "unsent"}.get(v, v))
def test_killed(broker, rabbit, name, at, passes, kind):
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 20, kind, headers=lambda i: {"n": i % 5})
    with Trap(broker.port, *at, lambda: process.kill(), passes).open() as trap:  # pylint: disable=unnecessary-lambda
        process = launch(trap.url, "replay", dead, "--yes", "--reason", "rejected")
        process.communicate(timeout=PATIENCE)
    assert trap.sprung and process.returncode == -signal.SIGKILL
    wait_until(lambda: sum(map(rabbit.depth, (work, dead))) >= 20, what="every message in one of the queues")
    settle_down(rabbit, work, dead)
    twice = [m for m, n in account(rabbit, work, dead, sent).items() if n > 1]
    assert len(twice) <= WINDOW and (at[0] != GET or at[1] > 1 or not twice)


@pytest.mark.parametrize("at", AT, ids=label)
def test_interrupted(broker, rabbit, name, at):
    """What is under way is brought to its end: nothing is there twice."""
    sig = signal.SIGINT if at[1] % 2 else signal.SIGTERM
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 20)
    with Trap(broker.port, *at, lambda: process.send_signal(sig), True).open() as trap:  # pylint: disable=unnecessary-lambda
        process = launch(trap.url, "replay", dead, "--yes")
        out, err = process.communicate(timeout=PATIENCE)
    assert trap.sprung and process.returncode in ((0, 1) if at[0] in (CLOSE, ACK) else (1,)), out + err
    moved = int(re.search(r"replayed (\d+) message", out)[1])
    assert process.returncode == 0 or out.startswith("interrupted; ")
    assert rabbit.depth(work) == moved and rabbit.depth(dead) == 20 - moved
    there = drain(rabbit, work) + drain(rabbit, dead)
    assert there == sent


def test_an_interruption_waits_for_the_confirm(broker, rabbit, name):
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 5)
    with Proxy(broker.port).open() as proxy:
        proxy.confirms = "swallow"
        process = launch(proxy.url, "replay", dead, "--yes")
        wait_until(lambda: proxy.swallowed, what="a confirm")
        proxy.confirms = "pass"
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)  # the second one gives up
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "1 message may be in both queues now" in out, out + err
    wait_until(lambda: rabbit.depth(dead) == 5)
    assert account(rabbit, work, dead, sent)["m0"] == 2


def test_the_connection_is_cut_at_a_confirm(broker, rabbit, name):
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 20)
    with Proxy(broker.port).open() as proxy:
        proxy.confirms = "cut"
        done = execctl(proxy.url, "replay", dead, "--yes", status=69)
    assert "1 message may be in both queues now" in done.stdout and "the connection is lost" in done.stderr
    wait_until(lambda: rabbit.depth(dead) == 20)
    assert account(rabbit, work, dead, sent)["m0"] == 2


def test_the_broker_is_killed(fragile, fragile_rabbit, name):
    rabbit = fragile_rabbit
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 300, "quorum", headers={"x": "y"})
    with Trap(fragile.port, ACK, 100, fragile.kill, True).open() as trap:
        done = execctl(trap.url, "replay", dead, "--yes", status=69)
    assert trap.sprung and "the connection is lost" in done.stderr
    fragile.start()
    rabbit.connect()
    wait_until(lambda: sum(map(rabbit.depth, (work, dead))) >= 300, what="every message in one of the queues")
    settle_down(rabbit, work, dead)
    twice = [m for m, n in account(rabbit, work, dead, sent).items() if n > 1]
    assert len(twice) <= WINDOW


def test_a_user_who_may_not_publish(broker, rabbit, name):
    work, dead, user = name("work"), name("dead"), name("user")
    sent = bury(rabbit, work, dead, 3)
    broker.ctl("add_user", user, "secret")
    try:
        broker.ctl("set_permissions", user, "^$", "^$", ".*")
        done = execctl(broker.url.replace("guest:guest", f"{user}:secret"), "replay", dead, "--yes", status=77)
        assert "replayed 0 messages" in done.stdout and "403 ACCESS_REFUSED" in done.stderr, done
        assert drain(rabbit, dead) == sent
    finally:
        broker.ctl("delete_user", user)


def test_a_blocked_broker(fragile, fragile_rabbit, name):
    """While the broker's memory is short it does not read: that is waited for, and nothing is lost or there twice."""
    rabbit = fragile_rabbit
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 30)

    def block():
        fragile.ctl("set_vm_memory_high_watermark", "absolute", "1MB")

    try:
        with Trap(fragile.port, PUBLISH, 9, block, True).open() as trap:
            process = launch(trap.url, "replay", dead, "--yes")
            wait_until(lambda: "blocked" in fragile.ctl("list_connections", "state"), what="a blocked connection")
            assert process.poll() is None
            fragile.ctl("set_vm_memory_high_watermark", "0.6")
            out, err = process.communicate(timeout=PATIENCE)
    finally:
        fragile.ctl("set_vm_memory_high_watermark", "0.6")
    assert trap.sprung and process.returncode == 0, out + err
    assert drain(rabbit, work) == sent and not drain(rabbit, dead)
