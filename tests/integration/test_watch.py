# SPDX-License-Identifier: MIT
"""amqp-execctl status on a terminal: what it looks like, and that --watch keeps it so and gives the terminal back."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from control_socket import EXECCTL, QUEUE, STATUS, Socket, environment
from harness import configuration, shell, wait_until
from terminal import Terminal

SCREENS = Path(__file__).with_name("screens")
NEEDS_TMUX = pytest.mark.skipif(not shutil.which("tmux"), reason="there is no tmux here")


@pytest.fixture
def control(tmp_path):
    made = Socket(tmp_path / "control.sock")
    made.answers["GET /v1/status"] = (200, STATUS)
    yield made
    made.close()


@pytest.fixture
def terminal():
    made = []

    def make(width=120, height=30, **keys):
        made.append(Terminal(width, height, **keys))
        return made[-1]

    yield make
    for t in made:
        t.close()


def command(path, *arguments):
    return shlex.join([str(EXECCTL), "--socket", str(path), *arguments])


def spawn(path, *arguments, **keys):
    return subprocess.Popen([EXECCTL, "--socket", str(path), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=environment(TZ="UTC"), **keys)


def same(terminal, name, generalize):
    """Waits for the screen that is in the file of that name, what varies left out; AMQP_EXECD_SCREENS=write writes it."""
    path = SCREENS / f"{name}.txt"
    if os.environ.get("AMQP_EXECD_SCREENS") == "write":
        time.sleep(2)
        path.write_text(generalize(terminal.screen()) + "\n", encoding="utf-8")
    expected = path.read_text(encoding="utf-8")
    with contextlib.suppress(AssertionError):
        wait_until(lambda: generalize(terminal.screen()) + "\n" == expected, what=name)
    assert generalize(terminal.screen()) + "\n" == expected, f"screens/{name}.txt:\n{terminal.screen()}"


def ago(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))


def scenario():
    """Of each kind one. Times are such that a slow machine does not change what is told of them."""
    failure = {"time": ago(7210), "message_id": "order-17", "how": "exit 65", "decision": "reject",
               "text": "no such customer: 4711, nor is there one of that name in the list of those who have left us"}
    brokers = [{"name": "main", "host": "mq1", "port": 5672, "state": "up", "reason": None, "publisher": None},
               {"name": "backup", "host": "mq2", "port": 5671, "state": "waiting", "reason": "connection refused", "publisher": None}]
    queues = [{**QUEUE, "name": "orders", "rate": 12.34, "failure_rate": 0.321, "messages_ready": 170, "last_failure": failure},
              {**QUEUE, "name": "\u6f22\u5b57", "rate": 0.0, "failure_rate": 0.0, "messages_ready": 0, "running": 0, "last_failure": None},
              {**QUEUE, "name": "night", "state": "paused", "paused_by_operator": True, "reason": "an operator wants it so", "held": 2},
              {**QUEUE, "name": "print", "broker": "backup", "state": "degraded", "reason": "the broker cannot be reached: connection refused",
               "running": 0, "waiting": 0, "rate": 0.02, "failure_rate": 0.02, "messages_ready": None,
               "last_failure": {**failure, "how": "signal 9", "message_id": "\x1b[31mred\x1b]0;title\x07", "decision": "requeue", "text": "\x9b5A\x1bcup"}}]
    return {**STATUS, "started": ago(3 * 86400 + 3 * 3600 + 1800), "configuration": {"path": "/etc/x.conf", "loaded": ago(3 * 3600 + 610)},
            "last_reload": {"time": ago(7210), "ok": False, "reason": "/etc/x.conf:12: unknown key"}, "brokers": brokers, "queues": queues}


def without_times(screen):
    return re.sub(r"\b\d\d:\d\d:\d\d\b", "hh:mm:ss", screen)


def without_prompt(screen):
    return screen.removesuffix("\n$")


# ---------------------------------------------------------------- on a terminal

@NEEDS_TMUX
def test_screens(control, terminal):
    """What everything looks like, at several sizes; what is hostile does nothing."""
    control.answers["GET /v1/status"] = (200, scenario())
    t = terminal(120, 30)
    t.run(f"clear; NO_COLOR=1 {command(control.path, 'status')}")
    same(t, "status-120", without_prompt)
    t.resize(80, 30)
    t.run(f"clear; {command(control.path, 'status')}")
    same(t, "status-80", without_prompt)
    t.resize(120, 30)
    t.run(command(control.path, "status", "--watch", "1"))
    same(t, "watch-120x30", without_times)
    t.resize(70, 14)
    same(t, "watch-70x14", without_times)
    assert "\033[31mdegraded" in t.screen(colours=True)


@NEEDS_TMUX
def test_the_terminal_is_given_back(control, terminal):
    """After q, after Ctrl-C, after a signal, and while it is suspended."""
    t = terminal(100, 50)
    t.run("echo what-was-before")
    for end, status in (("q", 0), ("C-c", 0), ("TERM", 143), ("HUP", 129), ("USR1", 138)):
        t.run(f"{command(control.path, 'status', '--watch')}; echo status $?-{end}")
        text = t.wait("mail", "q: quit")
        assert "what-was-before" not in text
        wait_until(lambda: t.state() == (False, True), what="no cursor, another screen")
        if end in ("TERM", "HUP", "USR1"):
            found = subprocess.run(["pgrep", "-f", f"^{EXECCTL} --socket {control.path} status --watch"], capture_output=True, text=True, check=True)
            os.kill(int(found.stdout), getattr(signal, f"SIG{end}"))
        else:
            t.type(end)
        text = t.wait("what-was-before", f"status {status}-{end}")
        assert t.state() == (True, False)
        assert "mail" not in text
    # Suspended, the shell has its terminal, and its keys are shown.
    t.run(command(control.path, "status", "--watch"))
    t.wait("q: quit")
    t.type("C-z")
    t.wait("what-was-before", "Stopped")
    assert t.state() == (True, False)
    t.run("echo mean''while")
    t.wait("\nmeanwhile", "echo mean''while")
    t.run("fg")
    t.wait("mail", "q: quit")
    wait_until(lambda: t.state() == (False, True), what="its screen again")
    # Keys without a meaning are neither shown nor an end.
    t.type("%", "Enter")
    t.type("q")
    t.run("echo after''wards")
    text = t.wait("\nafterwards")
    assert t.state() == (True, False) and "echo after''wards" in text and "%" not in text


@NEEDS_TMUX
def test_watching_a_daemon_through_a_restart(broker, rabbit, daemon, terminal):
    """The real thing: it follows what happens, says that the daemon is gone, and goes on with the next one."""
    rabbit.declare("screen-mail"), rabbit.declare("screen-night")
    program = 'case $AMQP_MESSAGE_ID in bad*) printf "no such \\033[31mcustomer\\n" >&2; exit 65;; slow*) sleep 600;; esac'
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": "screen-mail", "concurrency": 4, "handler": shell(program), "outcomes": {"reject": [65]}},
        {"name": "screen-night", "handler": shell("true")}, {"name": "screen-lost", "handler": shell("true")}]))
    d.wait_status("degraded")
    t = terminal(240, 30)  # the name of the configuration file may be long
    t.run("echo what-was-before")
    t.run(command(d.control_socket, "status", "--watch=0.5"))
    t.wait("screen-lost   degraded", "screen-mail   consuming      0/4")
    rabbit.publish("screen-mail", "x", message_id="good")
    rabbit.publish("screen-mail", "x", message_id="bad")
    rabbit.publish("screen-mail", "x", message_id="slow")
    assert d.control("pause", "screen-night").returncode == 0
    d.wait_settled(2, "screen-mail")
    t.wait("screen-mail   consuming      1/4", "screen-night  paused")
    same(t, "daemon", lambda screen: without_particulars(screen, broker, d))
    assert "exit 65, message bad, rejected: no such \\x1b[31mcustomer" in next(line for line in t.screen().splitlines() if "last failure" in line)
    # Gone, it is told, below which stands what was the case.
    d.stop_at_once()
    text = t.wait("no answer since")
    assert re.search(r"^no answer since \d\d:\d\d:\d\d: (nobody listens on|there is no socket) ", text, re.M) and "screen-mail" in text
    d.launch()
    wait_until(lambda: "no answer since" not in t.screen() and "screen-night  consuming" in t.screen(), what="the next daemon's queues")
    assert f"process {d.pid};" in t.screen()
    t.type("q")
    t.wait("what-was-before")
    assert t.state() == (True, False)
    d.stop_at_once()


# Columns of which it is chance what they tell.
VARYING = {"READY": r"-|\d+", "RATE": r"\d+(\.\d+)?/s", "FAILING": r"-|<1%|\d+%"}


def without_particulars(screen, broker, d):
    """What differs from run to run is left out, and so are the columns whose widths do."""
    lines, titles = [], None
    for line in without_times(screen).splitlines():
        if line.startswith("QUEUE"):
            titles = line.split()
        if titles and line.startswith("screen-"):
            line = "  ".join("*" if title in VARYING and re.fullmatch(VARYING[title], cell) else cell for title, cell in zip(titles, line.split()))
        if "last failure" in line:
            continue
        for value, name in ((str(d.config_path), "FILE"), (f"port {broker.port}", "port NNNN"), (f"process {d.pid};", "process PID;")):
            line = line.replace(value, name)
        line = re.sub(r"^amqp-execd \S+:", "amqp-execd VERSION:", line)
        line = re.sub(r"\b\d+(s|min)( ago|,)", r"TIME\2", line)
        lines.append(re.sub(r"  +", "  ", line))
    return "\n".join(lines)


@NEEDS_TMUX
def test_a_change_of_size(control, terminal):
    many = [{**QUEUE, "name": f"queue-{i:02}"} for i in range(40)]
    many[33] = {**many[33], "state": "degraded", "reason": "gone"}
    control.answers["GET /v1/status"] = (200, {**STATUS, "queues": many})
    t = terminal(100, 20)
    t.run(command(control.path, "status", "--watch", "3600"))
    text = t.wait("more queues")
    lines = text.splitlines()
    assert len(lines) == 20 and lines[-1] == "... 30 more queues" and "queue-33" in text, text
    asked = len(control.asked)
    t.resize(100, 50)
    t.wait("queue-39")
    assert "more queue" not in t.screen()
    t.resize(40, 12)
    text = t.wait("... 38 more queues")
    assert max(map(len, text.splitlines())) <= 40 and len(text.splitlines()) == 12
    assert len(control.asked) == asked, "for another size nobody needs to be asked"


# ---------------------------------------------------------------- elsewhere

def test_blocks_without_a_terminal(control):
    """A block for each interval, through a time without a daemon, and nothing for terminals in it."""
    with spawn(control.path, "status", "--watch", "0.2") as watch:
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(iter(watch.stdout.readline, "")), daemon=True)
        reader.start()
        wait_until(lambda: sum("consuming " in line for line in list(lines)) >= 4, what="two blocks")
        control.close()
        os.rename(control.path, f"{control.path}.old")
        wait_until(lambda: sum("there is no socket" in line for line in list(lines)) >= 2, what="that it is gone")
        other = Socket(control.path)
        other.answers["GET /v1/status"] = (200, {**STATUS, "version": "10"})
        wait_until(lambda: sum("amqp-execd 10:" in line for line in list(lines)) >= 2, what="the next one")
        watch.send_signal(signal.SIGINT)
        assert watch.wait(60) == 0
        reader.join(10)
        other.close()
        text = "".join(lines)
        assert "\033" not in text and watch.stderr.read() == ""
        blocks = text.split("\n\n")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\namqp-execd 9.9: running .*", blocks[0].split(", process")[0])


@NEEDS_TMUX
def test_a_terminal_that_can_do_nothing(control, terminal):
    t = terminal(100, 50)
    t.run(f"TERM=dumb {command(control.path, 'status', '--watch', '0.2')}; echo status $?")
    wait_until(lambda: t.screen().count("two words  consuming") >= 2, what="two blocks")
    assert t.state() == (True, False) and "q: quit" not in t.screen()
    t.type("C-c")
    t.wait("status 0")


def test_a_line_of_json_each(control):
    with spawn(control.path, "status", "--watch", "0.1", "--json") as watch:
        assert [json.loads(watch.stdout.readline()) for _ in range(3)] == [STATUS] * 3
        control.answers["GET /v1/status"] = (503, {"error": "the daemon is \x1bstopping"})
        assert watch.stderr.readline() == "amqp-execctl: the daemon is \\x1bstopping\n"
        control.answers["GET /v1/status"] = (200, {"pid": 7})
        wait_until(lambda: json.loads(watch.stdout.readline()) == {"pid": 7}, what="what is told now")
        watch.send_signal(signal.SIGINT)
        assert watch.wait(60) == 0
        assert all(json.loads(line) == {"pid": 7} for line in watch.stdout)
        assert watch.stderr.read() == "", "it is told once"


def test_whoever_may_not_ask_does_not_wait(control):
    control.answers["GET /v1/status"] = (403, {"error": "only root"})
    with spawn(control.path, "status", "--watch") as watch:
        assert watch.wait(60) == 77
        assert watch.stderr.read() == "amqp-execctl: only root\n"


def test_an_end_while_the_daemon_does_not_answer(control):
    """A daemon that hangs does not keep anybody from leaving."""
    go, asked = threading.Event(), threading.Event()

    def answer():
        asked.set()
        go.wait(60)
        return 200, STATUS

    control.answers["GET /v1/status"] = answer
    with spawn(control.path, "status", "--watch") as watch:
        try:
            assert asked.wait(60)
            begun = time.monotonic()
            watch.send_signal(signal.SIGTERM)
            assert watch.wait(60) == -signal.SIGTERM
            # The question itself would be given up after 5 seconds, and asked anew.
            assert time.monotonic() - begun < 40
        finally:
            go.set()
