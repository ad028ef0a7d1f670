# SPDX-License-Identifier: MIT
"""amqp-execctl publish: what gets to the broker, and what it says of what does not."""

import base64
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from harness import CONTROL, PATIENCE, ROOT, SANITIZER, configuration, reachable, shell, wait_until

LINE = re.compile(r"^messages? (\d+)(?: to (\d+))?(?: \(id (\S+)\))?: (returned|nacked|refused|unknown|not sent)(?:: (.*))?$")


def environment(**variables):
    return {"PATH": os.environ["PATH"], **{k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k}, **variables}


class Publish(subprocess.Popen):
    """The tool at work."""

    def __init__(self, url, *arguments, env=None, **keys):
        where = ["--url", url] if url else []
        keys.setdefault("stdin", subprocess.DEVNULL)
        keys.setdefault("stderr", subprocess.PIPE)
        super().__init__([CONTROL, "publish", *where, *map(str, arguments)], stdout=subprocess.PIPE,
                         env=environment(**(env or {})), **keys)
        self.out = self.err = ""

    def end(self, data=None, timeout=PATIENCE):
        try:
            out, err = self.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.out, self.err = out.decode(), (err or b"").decode()
        assert not SANITIZER.search(self.err), self.err
        return self

    def missing(self):
        """{number: kind} of every message that it tells of; each must be told of once."""
        found = {}
        for line in self.err.splitlines():
            if match := LINE.match(line):
                for number in range(int(match[1]), int(match[2] or match[1]) + 1):
                    assert number not in found, self.err
                    found[number] = match[4]
        return found

    def confirmed(self):
        if match := re.search(r"^(\d+) messages? confirmed$", self.out, re.M):
            return int(match[1])
        return int(re.search(r"(\d+) of (?:more than )?\d+ messages? confirmed", self.err)[1])


def publish(broker, *arguments, data=None, url=None, **keys):
    if data is not None:
        keys["stdin"] = subprocess.PIPE
        data = data if isinstance(data, bytes) else data.encode()
    return Publish(broker.url if url is None else url, *arguments, **keys).end(data)


def bodies(rabbit, queue):
    return [body for _, body in rabbit.drain(queue)]


# --------------------------------------------------------------------------- input

def test_arguments(broker, rabbit, name):
    queue = rabbit.declare(name())
    done = publish(broker, "--queue", queue, "one", "", "--", "-three")
    assert (done.returncode, done.out, done.err) == (0, "3 messages confirmed\n", "")
    found = rabbit.drain(queue)
    assert [body for _, body in found] == [b"one", b"", b"-three"]
    assert {p.delivery_mode for p, _ in found} == {2}
    done = publish(broker, "--queue", queue, "--quiet", "--transient", "x")
    assert (done.returncode, done.out, done.err) == (0, "", "")
    assert rabbit.drain(queue)[0][0].delivery_mode == 1


def test_files_and_standard_input(broker, rabbit, name, tmp_path):
    queue = rabbit.declare(name())
    large = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(b"a\nb\0\n")
    (tmp_path / "large").write_bytes(large)
    done = publish(broker, "--queue", queue, "--file", tmp_path / "a", tmp_path / "none", tmp_path / "large")
    assert done.returncode == 1 and done.missing() == {2: "not sent"} and "No such file" in done.err
    assert bodies(rabbit, queue) == [b"a\nb\0\n", large]
    assert publish(broker, "--queue", queue, "--stdin", data=large).returncode == 0
    assert publish(broker, "--queue", queue, "--stdin", data=b"").returncode == 0
    assert publish(broker, "--queue", queue, "--file", "-", data=b"x\n").returncode == 0
    assert bodies(rabbit, queue) == [large, b"", b"x\n"]


def test_lines(broker, rabbit, name, tmp_path):
    queue = rabbit.declare(name())
    (tmp_path / "lines").write_bytes(b"a\n\nb")
    done = publish(broker, "--queue", queue, "--lines", tmp_path / "lines", "-", data=b"c\r\nd\n")
    assert (done.returncode, done.out) == (0, "5 messages confirmed\n")
    assert bodies(rabbit, queue) == [b"a", b"", b"b", b"c\r", b"d"]
    done = publish(broker, "--queue", queue, "--lines", data=b"")
    assert (done.returncode, done.out) == (0, "0 messages confirmed\n")


def test_lines_are_sent_as_they_come(broker, rabbit, name):
    queue = rabbit.declare(name())
    p = Publish(broker.url, "--queue", queue, "--lines", stdin=subprocess.PIPE)
    for n in (1, 2):
        p.stdin.write(b"x\n")
        p.stdin.flush()
        rabbit.wait_depth(queue, n)
    assert p.end().returncode == 0


def test_json_lines(broker, rabbit, name):
    queue, other = rabbit.declare(name()), rabbit.declare(name())
    # pika cuts the fraction off doubles.
    headers = {"n": 1 << 40, "f": 3.0, "s": "ä", "none": None, "yes": True, "list": [1, "a", {"x": []}],
               "bytes": {"base64": "AP8="}, "when": {"timestamp": 1700000000}}
    lines = [
        {"body": "ä\n", "exchange": "", "routing_key": queue, "headers": headers, "properties": {
            "content_type": "text/plain", "content_encoding": "x", "delivery_mode": 1, "priority": 3, "correlation_id": "c",
            "reply_to": "r", "expiration": "600000", "message_id": "m", "timestamp": 1700000000, "type": "t",
            "user_id": "guest", "app_id": "a"}, "redelivered": False},
        {"body_base64": base64.b64encode(b"\0\xff").decode(), "routing_key": queue},
        {"body": "lost"},
        {"routing_key": queue},
        {"body": "x", "routing_key": queue, "properties": {"mesage_id": "m"}},
    ]
    data = "".join(json.dumps(line) + "\n\n" for line in lines) + "{\"body\":\n"
    done = publish(broker, "--json-lines", data=data)
    assert done.returncode == 1
    assert done.missing() == {3: "returned", 4: "not sent", 5: "not sent", 6: "not sent"}, done.err
    assert "line 9: there is no property \"mesage_id\"" in done.err, done.err
    (p, body), (q, second) = rabbit.drain(queue)
    assert (body, second) == ("ä\n".encode(), b"\0\xff")
    assert (p.content_type, p.content_encoding, p.delivery_mode, p.priority, p.correlation_id, p.reply_to, p.expiration,
            p.message_id, p.timestamp, p.type, p.user_id, p.app_id) == (
        "text/plain", "x", 1, 3, "c", "r", "600000", "m", 1700000000, "t", "guest", "a")
    assert q.delivery_mode == 2 and q.headers is None
    assert p.headers["when"].timestamp() > 1.69e9
    assert {**p.headers, "when": 0} == {**headers, "bytes": b"\0\xff", "when": 0}
    # The command line goes before.
    done = publish(broker, "--queue", other, "--type", "u", "--header", "n:int=2", "--json-lines", data=json.dumps(lines[0]))
    assert done.returncode == 0
    (p, _), = rabbit.drain(other)
    assert (p.type, p.headers["n"], p.headers["s"], p.delivery_mode) == ("u", 2, "ä", 1)


def test_properties_and_headers(broker, rabbit, name):
    queue = rabbit.declare(name())
    rabbit.channel.exchange_declare(queue, "direct")
    rabbit.channel.queue_bind(queue, queue, "key")
    done = publish(broker, "--exchange", queue, "--routing-key", "key", "--content-type", "text/plain", "--content-encoding", "e",
                   "--correlation-id", "c", "--reply-to", "r", "--expiration", "600000", "--message-id", "m", "--timestamp", "77",
                   "--type", "t", "--user-id", "guest", "--app-id", "a", "--priority", "9", "--header", "a=b=c",
                   "--header", "n:int=-5", "--header", "f:float=3", "--header", "b:bool=true", "--header", "x:y:string=z",
                   "--header", "j:json=[1,null]", "--header", "r:base64=AAE=", "body")
    rabbit.channel.exchange_delete(queue)
    assert done.returncode == 0, done.err
    (p, body), = rabbit.drain(queue)
    assert (body, p.content_type, p.content_encoding, p.correlation_id, p.reply_to, p.expiration, p.message_id, p.timestamp, p.type,
            p.user_id, p.app_id, p.priority) == (
        b"body", "text/plain", "e", "c", "r", "600000", "m", 77, "t", "guest", "a", 9)
    assert p.headers == {"a": "b=c", "n": -5, "f": 3, "b": True, "x:y": "z", "j": [1, None], "r": b"\0\1"}


@pytest.mark.parametrize("arguments", [
    ["x"], ["--queue", "q"], ["--queue", "q", "--exchange", "e", "x"], ["--queue", "q", "--lines", "--stdin"],
    ["--queue", "q", "--header", "n:int=x", "x"], ["--queue", "q", "--header", "n:what=x", "x"], ["--queue", "q", "--rate", "0", "x"],
    ["--queue", "q", "--priority", "256", "x"], ["--queue", "q", "--expiration", "1s", "x"], ["--queue", "q", "-x"],
    ["--config", "/x", "--queue", "q", "x"], ["--queue", "n" * 256, "x"],
])
def test_wrong_usage(arguments):
    assert publish(None, *arguments, url="amqp://127.0.0.1:1").returncode == 64


def test_every_option_is_documented():
    told = subprocess.run([CONTROL, "publish", "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    found = set(re.findall(r"--([a-z][a-z-]*)", told))
    assert len(found) > 25
    manual = (ROOT / "man" / "amqp-execctl.1").read_text(encoding="utf-8")
    completion = (ROOT / "completions" / "amqp-execctl").read_text(encoding="utf-8")
    for option in found - {"json"}:  # that of peek
        assert re.search(rf"[ ,]-{option}\b", manual), option
        assert f"--{option}" in completion, option


# ------------------------------------------------------------------------- missing

def test_unroutable(broker, rabbit, name):
    queue = name("none")
    done = publish(broker, "--queue", queue, "--message-id", "my id", "a")
    assert done.returncode == 1
    assert 'message 1 (id "my id"): returned: no queue would get it' in done.err, done.err
    done = publish(broker, "--queue", queue, "--lines", data="x\n" * 1000)
    assert done.returncode == 1 and done.missing() == {n: "returned" for n in range(1, 1001)}
    assert "0 of 1000 messages confirmed; 1000 returned" in done.err
    # Among others: which ones is exact.
    good = rabbit.declare(name())
    lines = [{"body": str(i), "routing_key": queue if i % 7 == 3 else good} for i in range(1, 501)]
    done = publish(broker, "--json-lines", data="\n".join(map(json.dumps, lines)))
    lost = {i for i in range(1, 501) if i % 7 == 3}
    assert done.missing() == {n: "returned" for n in lost}, done.err
    assert sorted(map(int, bodies(rabbit, good))) == sorted(set(range(1, 501)) - lost)


def test_unroutable_for_its_headers(broker, rabbit, name):
    """The broker does not say which one it returns, and nothing but a header tells them apart."""
    queue, exchange = rabbit.declare(name()), name("exchange")
    rabbit.channel.exchange_declare(exchange, "headers", auto_delete=True)
    rabbit.channel.queue_bind(queue, exchange, arguments={"x-match": "all", "size": 1})
    sizes = [1 + (i % 7 == 3) for i in range(200)]
    done = publish(broker, "--exchange", exchange, "--routing-key", "", "--json-lines",
                   data="\n".join(json.dumps({"body": "", "headers": {"size": size}}) for size in sizes))
    assert done.missing() == {n: "returned" for n, size in enumerate(sizes, 1) if size == 2}, done.err


def test_refused(broker, rabbit, name):
    """An exchange that is not there, another user's name: that one is missing, the others are not."""
    queue = rabbit.declare(name())
    lines = [{"body": "1", "routing_key": queue}, {"body": "2", "routing_key": queue, "exchange": name("none")},
             {"body": "3", "routing_key": queue}, {"body": "4", "routing_key": queue, "properties": {"user_id": "other"}},
             {"body": "5", "routing_key": queue}]
    done = publish(broker, "--json-lines", data="\n".join(map(json.dumps, lines)))
    assert done.returncode == 1 and done.missing() == {2: "refused", 4: "refused"}, done.err
    assert "404 NOT_FOUND" in done.err and "406 PRECONDITION_FAILED" in done.err, done.err
    assert bodies(rabbit, queue) == [b"1", b"3", b"5"]


def test_a_user_who_may_not(broker, rabbit, name):
    queue, user = rabbit.declare(name()), name("user")
    broker.ctl("add_user", user, "secret")
    try:
        broker.ctl("set_permissions", user, ".*", "^$", ".*")
        done = publish(broker, "--queue", queue, "x", "y", url=broker.url.replace("guest:guest", f"{user}:secret"))
        assert done.returncode == 77 and done.missing() == {1: "refused", 2: "refused"}, done.err
    finally:
        broker.ctl("delete_user", user)


def test_a_full_queue(broker, rabbit, name):
    queue = rabbit.declare(name(), max_length=3, overflow="reject-publish")
    done = publish(broker, "--queue", queue, "--in-flight", "1", *"abcde")
    assert done.returncode == 1 and done.missing() == {4: "nacked", 5: "nacked"}, done.err
    assert bodies(rabbit, queue) == [b"a", b"b", b"c"]


def test_many(broker, rabbit, name):
    queue = rabbit.declare(name())
    done = publish(broker, "--queue", queue, "--lines", data="".join(f"{i}\n" for i in range(10000)))
    assert (done.returncode, done.out) == (0, "10000 messages confirmed\n"), done.err
    assert [int(b) for b in bodies(rabbit, queue)] == list(range(10000))


def test_rate(broker, rabbit, name):
    queue = rabbit.declare(name())
    begin = time.monotonic()
    assert publish(broker, "--queue", queue, "--rate", "10/s", *map(str, range(21))).returncode == 0
    assert time.monotonic() - begin >= 1.95
    assert len(bodies(rabbit, queue)) == 21


# ---------------------------------------------------------------------- the broker

def test_unreachable_and_not_permitted(broker):
    wrong = broker.url.replace("guest:guest", "guest:wrong-secret")
    done = publish(broker, "--queue", "q", "x", url=wrong)
    assert done.returncode == 77 and "refused the login" in done.err and "wrong-secret" not in done.err
    done = publish(broker, "--queue", "q", "x", url=broker.url[:-3] + "nowhere")
    assert done.returncode == 77 and "virtual host does not exist" in done.err, done.err
    done = publish(broker, "--queue", "q", "x", url="amqp://127.0.0.1:1")
    assert done.returncode == 69 and "Connection refused" in done.err
    done = publish(broker, "--queue", "q", "x", url="http://x")
    assert done.returncode == 78 and "its scheme is not amqp" in done.err


def test_the_daemons_configuration(broker, rabbit, name, tmp_path):
    queue, path, password = rabbit.declare(name()), tmp_path / "execd.conf", tmp_path / "password"
    password.write_text("guest\n")
    password.chmod(0o600)
    queues = [{"name": queue, "broker": "good", "handler": shell("cat")}]
    good = {"name": "good", "url": f"amqp://guest@127.0.0.1:{broker.port}", "password_file": str(password)}
    path.write_text(configuration(brokers=[good, {"name": "bad", "url": "amqp://127.0.0.1:1"}], queues=queues))
    path.chmod(0o600)
    done = publish(broker, "--config", path, "--broker", "good", "--queue", queue, "x", url="")
    assert done.returncode == 0, done.err
    assert publish(broker, "--config", path, "--broker", "bad", "--queue", queue, "x", url="").returncode == 69
    done = publish(broker, "--config", path, "--queue", queue, "x", url="")
    assert done.returncode == 64 and "good, bad" in done.err
    secret = {"name": "good", "url": f"amqp://guest@127.0.0.1:{broker.port}", "credential": "password"}
    path.write_text(configuration(brokers=[secret], queues=queues))
    done = publish(broker, "--config", path, "--queue", queue, "z", url="", env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert done.returncode == 0, done.err
    path.write_text("queues = 3;")
    done = publish(broker, "--config", path, "--queue", queue, "x", url="")
    assert done.returncode == 78 and f"{path}:1: queues" in done.err, done.err
    done = publish(broker, "--queue", queue, "y", url="", env={"AMQP_EXECCTL_URL": broker.url})
    assert done.returncode == 0 and bodies(rabbit, queue) == [b"x", b"z", b"y"]


@pytest.mark.skipif(os.geteuid() != 0, reason="root may read everything, and be another user")
def test_who_may_not_read_the_configuration_is_told_what_to_do(tmp_path):
    path = tmp_path / "execd.conf"
    path.write_text("")
    path.chmod(0o600)
    reachable(tmp_path)
    done = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", CONTROL, "publish", "--config", path,
                           "--queue", "q", "x"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 78
    assert "Permission denied" in done.stderr and "AMQP_EXECCTL_URL, names a broker without this file" in done.stderr


def test_nobody_sees_the_password(broker, rabbit, name):
    queue = rabbit.declare(name())
    p = Publish(broker.url, "--queue", queue, "--lines", stdin=subprocess.PIPE)
    p.stdin.write(b"x\n")
    p.stdin.flush()
    rabbit.wait_depth(queue, 1)
    with open(f"/proc/{p.pid}/cmdline", "rb") as f:
        assert b"guest" not in f.read()
    wait_until(lambda: "amqp-execctl publish (" in broker.ctl("list_connections", "client_properties"))
    assert p.end().returncode == 0


def interruptible():
    """SIGINT is ignored where the tests run in the background of a shell, and by all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_a_signal(broker, rabbit, name, tmp_path, sig):
    """What is confirmed is counted, and the rest is told to the last one."""
    queue, path = rabbit.declare(name()), tmp_path / "lines"
    path.write_text("".join(f"{i}\n" for i in range(1, 5001)))
    p = Publish(broker.url, "--queue", queue, "--rate", "50", "--lines", path, preexec_fn=interruptible)
    wait_until(lambda: rabbit.depth(queue) >= 5)
    p.send_signal(sig)
    p.end()
    missing = p.missing()
    assert p.returncode == 1 and set(missing.values()) == {"not sent"}, p.err
    assert p.confirmed() + len(missing) == 5000
    assert sorted(int(b) for b in bodies(rabbit, queue)) == sorted(set(range(1, 5001)) - set(missing))


def test_a_blocked_broker(fragile, fragile_rabbit, name, tmp_path):
    """It waits, says why, and goes on; or gives up."""
    queue, said = fragile_rabbit.declare(name()), tmp_path / "said"
    with open(said, "wb") as f:
        p = Publish(fragile.url, "--queue", queue, "--lines", stdin=subprocess.PIPE, stderr=f)
    p.stdin.write(b"1\n")
    p.stdin.flush()
    fragile_rabbit.wait_depth(queue, 1)
    fragile.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        impatient = Publish(fragile.url, "--queue", queue, "--timeout", "1s", "--lines", stdin=subprocess.PIPE).end(b"2\n3\n")
        assert impatient.returncode == 75, impatient.err
        assert "takes no publications for now" in impatient.err
        assert re.search("^message 1: unknown: the broker has not confirmed it in time$\nmessage 2 and all after it: not sent$",
                         impatient.err, re.M) or "message 1 and all after it: not sent" in impatient.err, impatient.err
        p.stdin.write(b"4\n5\n")
        p.stdin.flush()
        wait_until(lambda: "takes no publications for now" in said.read_text(), what="word of it")
        assert p.poll() is None
    finally:
        fragile.ctl("set_vm_memory_high_watermark", "0.6")
    assert p.end().returncode == 0, said.read_text()
    assert p.out == "3 messages confirmed\n"
    found = bodies(fragile_rabbit, queue)
    assert {b"1", b"4", b"5"} <= set(found)


def test_progress_on_a_terminal(broker, rabbit, name):
    queue = rabbit.declare(name())
    master, slave = pty.openpty()
    p = Publish(broker.url, "--queue", queue, "--rate", "5", *map(str, range(8)), stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    assert p.end().returncode == 0
    assert re.search(rb"\d confirmed, \d on the way", shown), shown
    assert p.out == "8 messages confirmed\n"


def test_memory_stays_small(broker, rabbit, name):
    """Lines are not kept: half a gigabyte of address space is enough for more than that."""
    queue = rabbit.declare(name(), max_length=10)
    line = b"x" * (1 << 20) + b"\n"
    p = Publish(broker.url, "--queue", queue, "--in-flight", "8", "--lines", stdin=subprocess.PIPE)
    for _ in range(96):
        p.stdin.write(line)
    p.stdin.flush()
    peak = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{p.pid}/status", encoding="utf-8").read())[1])
    assert p.end().returncode == 0
    if not any("SAN_OPTIONS" in k for k in os.environ):
        assert peak < 48 * 1024


# ------------------------------------------------------------------------ kill -9

def test_a_broker_that_is_killed(fragile, fragile_rabbit, name, tmp_path):
    """Every message is confirmed or missing, none is both; and what is confirmed is there when the broker is back."""
    queue, path, n = fragile_rabbit.declare(name()), tmp_path / "lines", 200000
    path.write_text("".join(f"{i}\n" for i in range(1, n + 1)))
    fragile.ctl("eval", "mnesia:sync_log().")  # a queue that was just declared may not outlive the broker
    # At this rate it takes 50 seconds, so that it is in the middle of it, however slow the machine is.
    p = Publish(fragile.url, "--queue", queue, "--rate", "4000", "--lines", path)
    wait_until(lambda: fragile_rabbit.depth(queue) >= 500, what="messages in the queue")
    fragile.kill()
    p.end()
    missing = p.missing()
    assert p.returncode == 69, p.err
    assert set(missing.values()) <= {"unknown", "not sent"}
    assert p.confirmed() + len(missing) == n
    assert f"{p.confirmed()} of {n} messages confirmed" in p.err
    kinds = [missing[i] for i in sorted(missing)]
    assert [k for k, _ in itertools.groupby(kinds)][-1] == "not sent"
    fragile.start()
    fragile_rabbit.connect()
    wait_until(lambda: fragile_rabbit.depth(queue) >= p.confirmed())
    there = [int(b) for b in bodies(fragile_rabbit, queue)]
    assert set(range(1, n + 1)) - set(missing) <= set(there), "a message is confirmed and lost"
    assert not {i for i, k in missing.items() if k == "not sent"} & set(there), "a message is there that was not sent"
    assert len(there) == len(set(there))
