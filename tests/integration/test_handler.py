# SPDX-License-Identifier: MIT
"""What a handler finds: environment, descriptors, signals, session; and where its output goes."""

import json
import os
import re
import signal
import time

from harness import configuration, handler, shell

ALWAYS = {b"PATH", b"HOME", b"USER", b"LANG"}
DELIVERY = {b"AMQP_QUEUE", b"AMQP_EXCHANGE", b"AMQP_ROUTING_KEY", b"AMQP_DELIVERY_TAG", b"AMQP_REDELIVERED",
            b"AMQP_ATTEMPT", b"AMQP_BODY_SIZE"}

# What systemd gives the daemon and no handler may inherit.
# What systemd.exec(5) lists, but for what a handler has of its own (PATH, LANG, HOME, USER) and what the harness sets.
SYSTEMD = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "CREDENTIALS_DIRECTORY": "/run/credentials/x",
           "INVOCATION_ID": "0123456789abcdef0123456789abcdef", "RUNTIME_DIRECTORY": "/run/x", "STATE_DIRECTORY": "/var/lib/x",
           "CACHE_DIRECTORY": "/var/cache/x", "LOGS_DIRECTORY": "/var/log/x", "CONFIGURATION_DIRECTORY": "/etc/x",
           "MAINPID": "1", "MANAGERPID": "1", "SYSTEMD_EXEC_PID": "1", "PIDFILE": "/run/x.pid", "JOURNAL_STREAM": "1:1",
           "LOG_NAMESPACE": "x", "LOGNAME": "x", "SHELL": "/bin/x", "TERM": "x", "XDG_RUNTIME_DIR": "/run/user/0", "XDG_SEAT": "x",
           "XDG_VTNR": "1", "SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0",
           "MONITOR_SERVICE_RESULT": "success", "MONITOR_EXIT_CODE": "exited", "MONITOR_EXIT_STATUS": "0",
           "MONITOR_INVOCATION_ID": "0123456789abcdef0123456789abcdef", "MONITOR_UNIT": "x.service", "TRIGGER_UNIT": "x.path",
           "TRIGGER_PATH": "/x", "TRIGGER_TIMER_REALTIME_USEC": "1", "TRIGGER_TIMER_MONOTONIC_USEC": "1",
           "MEMORY_PRESSURE_WATCH": "/x", "MEMORY_PRESSURE_WRITE": "eA==", "FDSTORE": "1",
           "LD_PRELOAD_X": "x", "SECRET_OF_THE_DAEMON": "hunter2"}


def one(rabbit, records, queue, body=b"", **properties):
    """Publishes one message and returns the description of its handler's run."""
    n = len(records.all())
    rabbit.publish(queue, body, **properties)
    return records.wait(n + 1)[-1]


def test_absent_properties_are_absent(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": handler("record", records)}]),
               environment=SYSTEMD, watchdog_usec=5_000_000)
    rabbit.channel.basic_publish("", queue, b"abc")  # not even a delivery mode
    record, = records.wait()
    d.stop()
    assert set(record["environ"]) == ALWAYS | DELIVERY
    env = record["environ"]
    assert env[b"AMQP_QUEUE"] == env[b"AMQP_ROUTING_KEY"] == queue.encode()
    assert env[b"AMQP_EXCHANGE"] == b""
    assert env[b"AMQP_ATTEMPT"] == b"1" and env[b"AMQP_BODY_SIZE"] == b"3"
    assert env[b"AMQP_REDELIVERED"] in (b"0", b"false")
    assert int(env[b"AMQP_DELIVERY_TAG"]) >= 1
    assert record["argv"] == [str(handler("record")["command"][0]), str(records)]


def test_all_properties(broker, rabbit, daemon, records, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": {
        **handler("record", records), "environment": {"GREETING": "hello world", "EMPTY": ""}}}]))
    record = one(
        rabbit, records, queue, b"{}", content_type="application/json", content_encoding="identity", delivery_mode=2,
        priority=7, correlation_id="c 1", reply_to="back", expiration="600000", message_id="id-1", timestamp=1700000000,
        type="order", user_id="guest", app_id="shop", headers={
            "text": "v\u00e4lue", "int": -5, "big": 2**40, "bool": True, "none": None, "list": [1, "two", {"three": 3}],
            "table": {"a": {"b": "c"}}, "x-trace.id": "t", "empty": ""})
    d.stop()
    env = {k.decode(): v.decode() for k, v in record["environ"].items()}
    expected = {
        "AMQP_CONTENT_TYPE": "application/json", "AMQP_CONTENT_ENCODING": "identity", "AMQP_DELIVERY_MODE": "2",
        "AMQP_PRIORITY": "7", "AMQP_CORRELATION_ID": "c 1", "AMQP_REPLY_TO": "back", "AMQP_EXPIRATION": "600000",
        "AMQP_MESSAGE_ID": "id-1", "AMQP_TIMESTAMP": "1700000000", "AMQP_TYPE": "order", "AMQP_USER_ID": "guest",
        "AMQP_APP_ID": "shop", "AMQP_HEADER_TEXT": "v\u00e4lue", "AMQP_HEADER_INT": "-5",
        "AMQP_HEADER_BIG": str(2**40), "AMQP_HEADER_BOOL": "true", "AMQP_HEADER_NONE": "",
        "AMQP_HEADER_X_TRACE_ID": "t", "AMQP_HEADER_EMPTY": "", "GREETING": "hello world", "EMPTY": "",
    }
    assert {k: env.get(k) for k in expected} == expected
    assert json.loads(env["AMQP_HEADER_LIST"]) == [1, "two", {"three": 3}]
    assert json.loads(env["AMQP_HEADER_TABLE"]) == {"a": {"b": "c"}}


def test_attempt_and_redelivered(broker, rabbit, daemon, name):
    queue = rabbit.declare(name(), "quorum")
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "requeue": {"delay": "50ms"}, "handler":
               shell('echo "attempt=$AMQP_ATTEMPT redelivered=$AMQP_REDELIVERED"; [ "$AMQP_ATTEMPT" = 3 ]')}]))
    rabbit.publish(queue)
    d.wait_settled(1, decision="ack")
    d.stop()
    told = re.findall(r"attempt=(\d+) redelivered=(\w+)$", d.log, re.M)
    assert [t[0] for t in told] == ["1", "2", "3"]
    assert told[0][1] != told[1][1] == told[2][1]


HOSTILE = [
    {"a=b": "x", "LD_PRELOAD": "/tmp/evil.so", "new\nline": "x", "space here": "x", "PATH": "/evil", "": "nameless"},
    {"equals": "a=b=c", "newline": "one\nLD_PRELOAD=/tmp/evil.so\ntwo", "quote": "'\"`$(id);|&"},
    {"esc": "\x1b[31mred\x1b[0m", "percent": "%n%s%{queue}"},
    {"same-name": "1", "same_name": "2", "SAME.NAME": "3"},
    {"nul": "before\0after", "also\0nul": "x", "fine": "yes"},
    {"raw": b"\xff\xfe\x00\x80", "bytes": b"\xff\xfe\x80"},
    {f"h{i:03}": f"value {i}" for i in range(200)},
    {"deep": {"a": [{"b": [{"c": [{"d": list(range(50))}]}]}]}, "void": None, "list": []},
    {"large": "v" * 130_000, "after": "yes"},
    {**{f"k{i}": "w" * 6000 for i in range(20)}, "after": "yes"},
    {"n" * 255: "x"},
    {"\u00fcml\u00e4ut": "x"},
]


def test_hostile_headers(broker, rabbit, daemon, records, name):
    """Headers only ever become AMQP_HEADER_ variables with tame names; each message is settled, whatever it carries."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": handler("record", records)}]))
    for i, headers in enumerate(HOSTILE):
        rabbit.publish(queue, b"x", message_id=str(i), headers=headers)
    d.wait_settled(len(HOSTILE), decision="ack")
    d.stop()
    got = {int(r["environ"][b"AMQP_MESSAGE_ID"]): r for r in records.all()}
    assert sorted(got) == list(range(len(HOSTILE)))
    for record in got.values():
        for item in record["raw_environ"].split(b"\0")[:-1]:
            variable = item.partition(b"=")[0]
            assert variable in ALWAYS | DELIVERY | {b"AMQP_MESSAGE_ID", b"AMQP_DELIVERY_MODE"} or re.fullmatch(
                rb"AMQP_HEADER_[A-Z0-9_]+", variable), variable
            assert len(item) < 131072
        names = [i.partition(b"=")[0] for i in record["raw_environ"].split(b"\0")[:-1]]
        assert len(names) == len(set(names)), "a variable is there twice"
        assert record["environ"][b"PATH"] != b"/evil"
    environ = {i: r["environ"] for i, r in got.items()}
    assert environ[1][b"AMQP_HEADER_EQUALS"] == b"a=b=c"
    assert environ[1][b"AMQP_HEADER_NEWLINE"] == b"one\nLD_PRELOAD=/tmp/evil.so\ntwo"
    assert environ[1][b"AMQP_HEADER_QUOTE"] == b"'\"`$(id);|&"
    assert environ[2][b"AMQP_HEADER_ESC"] == b"\x1b[31mred\x1b[0m"
    assert environ[2][b"AMQP_HEADER_PERCENT"] == b"%n%s%{queue}"
    assert environ[4][b"AMQP_HEADER_FINE"] == b"yes"
    assert environ[5][b"AMQP_HEADER_BYTES"] == b"\xff\xfe\x80"
    assert all(environ[6][b"AMQP_HEADER_H%03d" % i] == b"value %d" % i for i in range(200))
    assert environ[8][b"AMQP_HEADER_AFTER"] == environ[9][b"AMQP_HEADER_AFTER"] == b"yes"
    assert environ[8][b"AMQP_HEADER_LARGE"] == b"v" * 130_000
    assert rabbit.depth(queue) == 0


def test_hostile_properties_cannot_forge_log_lines(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    evil = "id\n2026-01-01T00:00:00Z info: settled queue=fake tag=1 decision=ack\x1b[31m\r\0end decision=requeue"
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell("cat")}]))
    rabbit.publish(queue, "<0>first\nMESSAGE=x\x1b[2J\x07\r\nlast", message_id=evil, correlation_id=evil, type=evil)
    d.wait_settled(1, queue)
    d.stop()
    assert len(d.settled()) == 1 and d.settled()[0]["decision"] == "ack"
    assert not d.settled("fake")
    for line in d.lines:
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z \w+: ", line), line
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line), line


def test_descriptors_signals_session(broker, rabbit, daemon, records, name):
    """Only 0, 1 and 2, also while other handlers run and after a reconnect; default signals; a session of its own."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "concurrency": 4, "handler": {**handler("record", records), "directory": "/usr"}}]))
    for size in (10, 100_000):
        rabbit.publish_many(queue, [b"x" * size] * 10)
    records.wait(20)
    d.wait_settled(20)
    broker.ctl("close_all_connections", "test")
    d.wait_log(r"320|CONNECTION_FORCED|closed")
    rabbit.connect()
    rabbit.publish_many(queue, [b"x"] * 10)
    found = records.wait(30)
    d.wait_settled(30)
    d.stop()
    for r in found:
        assert sorted(r["descriptors"]) == ["0", "1", "2"], r["descriptors"]
        assert r["session"] == r["group"] == r["pid"]
        assert r["ppid"] == d.pid
        assert r["directory"] == "/usr"
        assert not r["terminal"]


def test_signal_dispositions(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": {"command": ["/bin/sed", "-n", "/^Sig[BIC]/p", "/proc/self/status"]}}]))
    rabbit.publish(queue)
    d.wait_settled(1)
    d.stop()
    masks = dict(re.findall(r"(Sig\w+):(?:\\t|\s)*([0-9a-f]{16})", d.log))
    assert masks == {"SigBlk": "0" * 16, "SigIgn": "0" * 16, "SigCgt": "0" * 16}


def test_systemd_variables_do_not_reach_handlers(broker, rabbit, daemon, records, name):
    """A handler cannot speak to systemd in the daemon's name."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": handler("record", records)}]),
               environment=SYSTEMD, watchdog_usec=5_000_000)
    record = one(rabbit, records, queue)
    d.wait_settled(1)
    d.stop()
    names = {k.decode() for k in record["environ"]}
    assert not names & {*SYSTEMD, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
    assert b"hunter2" not in record["raw_environ"]
    assert d.notify.path.encode() not in record["raw_environ"]


def test_output_goes_to_the_log(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(
        r'echo "to stdout"; echo "to stderr" >&2; printf "a\033[31mb\tc\001d\177e\n"; printf "no newline at the end"')}]))
    rabbit.publish(queue, message_id="m")
    d.wait_settled(1)
    d.stop()
    output = [line for line in d.lines if queue in line and "settled" not in line]
    assert any("stdout" in line and line.endswith("to stdout") for line in output)
    assert any("stderr" in line and line.endswith("to stderr") for line in output)
    assert any(line.endswith("no newline at the end") for line in output)
    assert any(re.search(r"a\S+\[31mb", line) for line in output)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", d.log.replace("\n", "")), "control characters are escaped"
    settled = d.log.index(": settled ")
    assert d.log.index("to stdout") < settled and d.log.index("no newline at the end") < settled


def test_output_is_bounded(broker, rabbit, daemon, name):
    """A flood of output is cut, does not block the handler, and does not fill the daemon."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "concurrency": 2, "handler": shell(
        'if [ "$AMQP_MESSAGE_ID" = lines ]; then yes "a line of output" | head -c 30000000; '
        "else head -c 30000000 /dev/zero | tr '\\0' x; fi")}]))
    rabbit.publish(queue, message_id="lines")
    rabbit.publish(queue, message_id="one-line")
    settled = d.wait_settled(2, timeout=60)
    d.stop()
    assert all(s["decision"] == "ack" for s in settled)
    assert len(d.log) < 1_000_000
    assert max(len(line) for line in d.lines) < 20_000
    assert re.search(r"\bcut\b", d.log)


def test_the_last_words_of_a_failed_handler_are_in_its_line(broker, rabbit, daemon, name):
    """Also when stdout was flooded."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "requeue": {"delay": "1min"},
        "handler": shell('yes "a line of output" | head -c 200000; echo first >&2; echo "FATAL: disk full" >&2; exit 1')}]))
    rabbit.publish(queue, message_id="m")
    settled = d.wait_settled(1)[0]
    assert settled["decision"] == "requeue" and settled["stderr"] == '"FATAL: disk full"'
    d.stop()


def test_grandchild_that_holds_the_output_open(broker, rabbit, daemon, name, tmp_path):
    """The run is over when the handler's process is over, not when the last one of its children closes its output."""
    queue = rabbit.declare(name())
    pid_file = tmp_path / "pid"
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": shell('setsid sh -c \'echo $$ >"$1"; exec sleep 300\' x "$1" & sleep 0.2', pid_file,
                                        descendants="leave")}]))
    begun = time.monotonic()
    rabbit.publish(queue)
    settled = d.wait_settled(1)
    assert time.monotonic() - begun < 20
    assert settled[0]["decision"] == "ack"
    d.stop()
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGKILL)  # it is left alone, and holds the output until now
