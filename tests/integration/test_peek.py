# SPDX-License-Identifier: MIT
"""amqp-execctl peek: what it tells of messages, and that they stay where they are."""

import base64
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

from harness import CONTROL, configuration, shell
from letters import bury, drain, environment, execctl


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def ids(done):
    return [line["properties"]["message_id"] for line in lines(done)]


def test_messages_stay_in_their_order(broker, rabbit, name):
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 30)
    first = execctl(broker, "peek", dead, "--json", "--count", 12)
    assert ids(first) == sent[:12] and first.stderr == ""
    rabbit.wait_depth(dead, 30)
    again = execctl(broker, "peek", dead, "--json", "--count", 40)
    assert ids(again) == sent
    assert [line["redelivered"] for line in lines(again)] == [True] * 12 + [False] * 18
    assert rabbit.depth(dead) == 30
    assert drain(rabbit, dead) == sent


def test_messages_of_a_quorum_queue_stay(broker, rabbit, name):
    """Their order is kept if all of them were taken. Of some the broker puts those behind the others."""
    work, dead = name("work"), name("dead")
    sent = bury(rabbit, work, dead, 30, "quorum")
    first = execctl(broker, "peek", dead, "--json", "--count", 40)
    assert ids(first) == sent and "each look at a message counts as a delivery" in first.stderr
    assert ids(execctl(broker, "peek", dead, "--json", "--count", 12)) == sent[:12]
    again = execctl(broker, "peek", dead, "--json", "--count", 40)
    assert {m["properties"]["message_id"]: m["headers"]["x-delivery-count"] for m in lines(again)} == {
        m: 2 if i < 12 else 1 for i, m in enumerate(sent)}
    rabbit.wait_depth(dead, 30)
    assert sorted(drain(rabbit, dead)) == sorted(sent)


def test_a_delivery_limit_is_warned_of(broker, rabbit, name):
    queue = rabbit.declare(name(), "quorum")
    rabbit.publish(queue, "x", message_id="m")
    for _ in range(15):
        method, _, _ = rabbit.channel.basic_get(queue)
        rabbit.channel.basic_nack(method.delivery_tag, requeue=True)
        rabbit.wait_depth(queue, 1)
    done = execctl(broker, "peek", queue)
    assert "attention: this quorum queue has delivered a message 15 times before" in done.stderr


def test_letters_of_the_daemon(broker, rabbit, daemon, name):
    work, dead = rabbit.declare(name("work")), rabbit.declare(name("dead"))
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": work, "handler": shell("echo reading >&2; printf 'out of \\033[31mpaper\\n' >&2; exit 65"),
        "outcomes": {"reject": [65]}, "dead_letter": {"routing_key": dead}}]))
    rabbit.publish(work, "hello", message_id="m0", headers={"own": "x"})
    rabbit.wait_depth(dead, 1)
    table = execctl(broker, "peek", dead).stdout
    assert re.search(rf"^1 +m0 +\d+s +5 B +1 +{work[:40]}\S* +exit status 65: out of .*31mpaper$", table, re.M), table
    assert "\033" not in table
    assert table.endswith("1 of 1 message\n")
    # The configuration of the daemon says which broker.
    line, = lines(execctl("amqp://nobody@127.0.0.1:1", "peek", dead, "--json", "--config", d.config_path))
    death = line["death"]
    assert (death["by"], death["queue"], death["exchange"], death["routing_key"]) == ("amqp-execd", work, "", work)
    assert (death["reason"], death["exit_status"], death["attempts"], death["signal"]) == ("exit status 65", 65, 1, None)
    assert death["stderr"].startswith("reading") and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", death["last"])
    assert line["body"] == "hello" and line["headers"]["own"] == "x" and line["exchange"] == "" and line["routing_key"] == dead


def test_letters_of_the_broker_and_the_living(broker, rabbit, name):
    work, dead = name("work"), name("dead")
    bury(rabbit, work, dead, 1)
    rabbit.publish(dead, "alive", timestamp=1)
    letter, alive = lines(execctl(broker, "peek", dead, "--json"))
    assert letter["death"]["by"] == "broker" and letter["death"]["queue"] == work and letter["death"]["reason"] == "rejected"
    assert alive["death"] is None and alive["properties"] == {"delivery_mode": 2, "timestamp": 1} and alive["headers"] == {}
    assert re.search(r"^2 +- +\d+d \d+h +5 B +- +- +-$", execctl(broker, "peek", dead).stdout, re.M)


def test_filters(broker, rabbit, name):
    work, other, dead = name("work"), name("other"), name("dead")
    bury(rabbit, work, dead, 6, headers=lambda i: {"n": i % 2, "kind": "a=b"})
    bury(rabbit, other, name("else"), 1)
    rabbit.publish(dead, "alive", message_id="alive")

    def found(*filters):
        return ids(execctl(broker, "peek", dead, "--json", *filters))

    assert found("--header", "n=1", "--header", "kind=a=b") == ["m1", "m3", "m5"]
    assert found("--header", "n=1", "--count", 2) == ["m1", "m3"]
    assert found("--message-id", "m4", "--message-id", "m2") == ["m2", "m4"]
    assert found("--reason", "rejected", "--origin", work, "--header", "n=0") == ["m0", "m2", "m4"]
    assert found("--reason", "reject") == [] and found("--origin", other) == []
    assert found("--newer-than", "1h") == [f"m{i}" for i in range(6)] and found("--older-than", "1h") == []
    assert execctl(broker, "peek", dead, "--message-id", "m5").stdout.endswith("1 message chosen, of 7 looked at, of 7 in the queue\n")
    rabbit.wait_depth(dead, 7)
    assert drain(rabbit, dead) == [f"m{i}" for i in range(6)] + ["alive"]


def test_bodies(broker, rabbit, name):
    queue = rabbit.declare(name())
    bodies = [b"", "h\u00e4llo\nzwei \u001b[2J".encode(), bytes(range(256)) * 1000, b"a\0b"]
    for body in bodies:
        rabbit.publish(queue, body)
    shown = lines(execctl(broker, "peek", queue, "--json"))
    assert [base64.b64decode(s["body_base64"]) if "body_base64" in s else s["body"].encode() for s in shown] == bodies
    assert [s["body_size"] for s in shown] == [len(b) for b in bodies] and not any("body_truncated" in s for s in shown)
    cut = lines(execctl(broker, "peek", queue, "--json", "--body-size", "2"))
    assert [s.get("body") for s in cut] == ["", "h", None, None] and [s.get("body_truncated") for s in cut] == [None, True, True, True]
    assert base64.b64decode(cut[2]["body_base64"]) == b"\0\1"
    table = execctl(broker, "peek", queue, "--body-size", "20").stdout
    assert "\n    h\u00e4llo\n    zwei \\x1b[2J\n" in table and "..." in table
    assert "llo" not in execctl(broker, "peek", queue).stdout


def test_the_table_fits_the_terminal(broker, rabbit, name):
    queue = rabbit.declare(name())
    rabbit.publish(queue, "x", message_id="i" * 200, headers={"x-execd-queue": "q" * 255, "x-execd-attempts": 3,
                                                              "x-execd-reason": "r" * 3000})
    main, side = pty.openpty()
    try:
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
        done = subprocess.run([CONTROL, "peek", queue], stdin=subprocess.DEVNULL, stdout=side, stderr=subprocess.PIPE, timeout=60,
                              env={**environment(broker), "TERM": "xterm"}, check=False)
        shown = os.read(main, 65536).decode()
    finally:
        os.close(side)
        os.close(main)
    assert done.returncode == 0
    plain = re.sub(r"\033\[[0-9;]*m", "", shown).split("\r\n")
    assert re.match(r"1 +ii", plain[1]) and " rr" in plain[1] and max(map(len, plain)) <= 72, plain
    assert shown.count("\033[0m") == shown.count("\033[1m")


def test_what_cannot_be(broker, rabbit, name):
    queue = rabbit.declare(name())
    assert execctl(broker, "peek", queue).stdout == "0 of 0 messages\n"
    assert execctl(broker, "peek", queue, "--json").stdout == ""
    assert "404" in execctl(broker, "peek", name("missing"), status=1).stderr
    assert "missing\\x1b[31m" in execctl(broker, "peek", name("missing\x1b[31m"), status=1).stderr
    # A broker that says no is no broker that cannot be reached, for which somebody may try again and again.
    stream = name("stream")
    rabbit.declare(stream, "stream")
    rabbit.publish(stream, "x")
    rabbit.wait_depth(stream, 1)
    assert "not supported by stream queues" in execctl(broker, "peek", stream, status=1).stderr
    rabbit.channel.queue_declare(locked := name("locked"), exclusive=True)
    assert "405 RESOURCE_LOCKED" in execctl(broker, "peek", locked, status=1).stderr
    for wrong in (["peek"], ["peek", "a", "b"], ["peek", ""], ["peek", "--count", "0", "q"], ["peek", "--count", "x", "q"],
                  ["peek", "--body-size", "much", "q"], ["peek", "--header", "x", "q"], ["peek", "--older-than", "soon", "q"]):
        assert 'Try "amqp-execctl peek --help".' in execctl(broker, *wrong, status=64).stderr
    execctl("amqp://guest:guest@127.0.0.1:1/", "peek", queue, status=69)
