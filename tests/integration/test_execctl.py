# SPDX-License-Identifier: MIT
"""amqp-execctl by itself: what it asks, prints and exits with, against a control socket of which the test says what it answers."""

import json
import os
import pty
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from control_socket import EXECCTL, QUEUE, STATUS, Socket, environment
from harness import ROOT


@pytest.fixture
def control(tmp_path):
    made = Socket(tmp_path / "control.sock")
    made.answers["GET /v1/status"] = (200, STATUS)
    yield made
    made.close()


def run(*arguments, path=None, env=None):
    where = ["--socket", str(path)] if path else []
    return subprocess.run([EXECCTL, *where, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          env=env or environment(), check=False)


def check(result, status, out="", err=""):
    assert (result.returncode, result.stdout, result.stderr) == (status, out, err)


# ---------------------------------------------------------------- usage

def test_usage():
    hint = 'Try "amqp-execctl --help".\n'
    check(run(), 64, err=f"amqp-execctl: no command\n{hint}")
    check(run("stauts"), 64, err=f'amqp-execctl: there is no command "stauts"\n{hint}')
    check(run("--socket", "/a", "--instance", "b", "status"), 64, err=f"amqp-execctl: either --socket or --instance\n{hint}")
    check(run("--instance", "../x", "status"), 64, err=f'amqp-execctl: "../x" is no name of an instance\n{hint}')
    check(run("pause"), 64, err='amqp-execctl: which queue? --all is all of them\nTry "amqp-execctl pause --help".\n')
    check(run("resume", "--all", "a"), 64,
          err='amqp-execctl: either --all or names of queues\nTry "amqp-execctl resume --help".\n')
    check(run("pause", "--timeout", "3", "a"), 64, err='amqp-execctl: "pause" has no --timeout\nTry "amqp-execctl pause --help".\n')
    check(run("drain", "--timeout", "soon"), 64,
          err='amqp-execctl: "soon" is no duration; "30s" and "5min" are\nTry "amqp-execctl drain --help".\n')
    check(run("status", "x"), 64, err='amqp-execctl: unexpected argument "x"\nTry "amqp-execctl status --help".\n')
    for seconds in ("0", "soon", "nan", "1e9", "0.01"):
        check(run("status", "--watch", seconds), 64, err=f'amqp-execctl: "{seconds}" is no number of seconds from 0.1 to 86400\n'
                                                         'Try "amqp-execctl status --help".\n')
    check(run("kill"), 64, err='amqp-execctl: which process? "amqp-execctl handlers" tells them\nTry "amqp-execctl kill --help".\n')
    check(run("kill", "x"), 64, err='amqp-execctl: "x" is no process id\nTry "amqp-execctl kill --help".\n')
    assert run("kill", "1", "-1").returncode == 64
    check(run("kill", "1", "x"), 64, err='amqp-execctl: "x" is no delivery tag\nTry "amqp-execctl kill --help".\n')
    check(run("pause", ""), 64, err='amqp-execctl: no queue has an empty name\nTry "amqp-execctl pause --help".\n')
    assert run("status", "--frobnicate").returncode == 64


def test_help_of_everything():
    general = run("--help")
    assert general.returncode == 0 and general.stderr == ""
    commands = ("status", "handlers", "kill", "reload", "pause", "resume", "drain", "check", "publish", "peek", "replay")
    for command in commands:
        assert re.search(rf"^  {command} ", general.stdout, re.M)
        result = run(command, "--help")
        assert result.returncode == 0 and result.stdout.startswith(f"Usage: amqp-execctl {command}")
    manual = (ROOT / "man" / "amqp-execctl.1").read_text(encoding="utf-8")
    for option in set(re.findall(r"--([a-z][a-z-]*)", general.stdout + "".join(run(command, "--help").stdout for command in commands))):
        assert re.search(rf"(Fl|,) -{option}\b", manual), option


# ---------------------------------------------------------------- a daemon that is not there

def test_unreachable(tmp_path):
    path = tmp_path / "control.sock"
    check(run("status", path=path), 69,
          err=f"amqp-execctl: there is no socket {path}: the daemon does not run, or has another one\n")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    check(run("status", path=path), 69, err=f"amqp-execctl: nobody listens on {path}: the daemon does not run\n")


def test_default_sockets(tmp_path):
    assert "/run/amqp-execd-no-such-instance/control.sock" in run("--instance", "no-such-instance", "status").stderr
    variable = str(tmp_path / "from-the-environment")
    assert variable in run("status", env=environment(AMQP_EXECCTL_SOCKET=variable)).stderr
    assert str(tmp_path / "x") in run("status", path=tmp_path / "x", env=environment(AMQP_EXECCTL_SOCKET=variable)).stderr


def test_the_folder_of_the_unit(control, tmp_path):
    """What systemd tells an ExecReload= comes before the default, and after what somebody says; only where there is a socket."""
    folders = f"{tmp_path}:/elsewhere"
    result = run("status", "--json", env=environment(RUNTIME_DIRECTORY=folders))
    assert result.returncode == 0 and json.loads(result.stdout) == STATUS
    assert "/from-the-environment:" in run("status", env=environment(RUNTIME_DIRECTORY=folders, AMQP_EXECCTL_SOCKET="/from-the-environment")).stderr
    assert "/no-such-socket:" in run("status", path="/no-such-socket", env=environment(RUNTIME_DIRECTORY=folders)).stderr
    assert "-no-such-instance/" in run("--instance", "no-such-instance", "status", env=environment(RUNTIME_DIRECTORY=folders)).stderr
    (tmp_path / "b").mkdir()
    for unfit in ("", "relative", str(tmp_path / "b"), f"/elsewhere:{tmp_path}", "/" + "x" * 5000):
        assert " /run/amqp-execd/control.sock:" in run("status", env=environment(RUNTIME_DIRECTORY=unfit)).stderr, unfit
    (tmp_path / "b" / "control.sock").write_text("no socket")
    assert " /run/amqp-execd/control.sock:" in run("status", env=environment(RUNTIME_DIRECTORY=str(tmp_path / "b"))).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_not_permitted(control, tmp_path):
    """Somebody else is told who may."""
    for folder in [tmp_path, *tmp_path.parents]:
        if folder != Path("/") and folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    os.chown(control.path, 0, 1)
    control.path.chmod(0o660)
    result = subprocess.run([EXECCTL, "--socket", str(control.path), "status"], capture_output=True, text=True, timeout=60, check=False,
                            user=65534, group=65534, extra_groups=[], env=environment())
    check(result, 77,
          err=f'amqp-execctl: no permission to use {control.path}: root and the members of the group "daemon" have it\n')
    tmp_path.chmod(0o700)
    result = subprocess.run([EXECCTL, "--socket", str(control.path), "status"], capture_output=True, text=True, timeout=60, check=False,
                            user=65534, group=65534, extra_groups=[], env=environment())
    check(result, 77, err=f"amqp-execctl: no permission to use {control.path}: its folder is closed to this user\n")
    tmp_path.chmod(0o711)


def test_refused_by_the_daemon(control):
    control.answers["GET /v1/status"] = (403, {"error": "only root"})
    check(run("status", path=control.path), 77, err="amqp-execctl: only root\n")


def test_answers_that_make_no_sense(control):
    for answer in (b"", b"{", b"<html>"):
        control.answers["GET /v1/status"] = (200, answer)
        check(run("status", path=control.path), 1, err="amqp-execctl: the daemon's answer makes no sense (HTTP status 200)\n")


# ---------------------------------------------------------------- status

def test_status(control):
    result = run("status", path=control.path)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.splitlines()[-3:] == [
        "QUEUE      STATE      RUNNING  WAITING  HELD  READY  RATE  FAILING  ACKED  REQUEUED  RETRIED  REJECTED",
        "mail       consuming      2/4        1     0      -     -        -      5         0        0         0",
        "two words  consuming      0/4        1     0      -     -        -      5         0        0         0"]


def test_status_tells_what_newer_daemons_do(control):
    failure = {"time": "2026-01-31T12:00:00Z", "message_id": "m\x1b[2J", "how": "exit 65", "decision": "reject", "text": "no \x9b\x07such"}
    control.answers["GET /v1/status"] = (200, {**STATUS, "queues": [
        {**QUEUE, "rate": 3, "failure_rate": 0.75, "messages_ready": 17, "last_failure": failure},
        {**QUEUE, "name": "sick", "state": "degraded", "reason": "no such queue", "rate": 0.0, "failure_rate": 0.0, "messages_ready": None,
         "last_failure": {**failure, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}}]})
    lines = run("status", path=control.path).stdout.splitlines()[-5:]
    assert lines[0] == "QUEUE  STATE      RUNNING  WAITING  HELD  READY    RATE  FAILING  ACKED  REQUEUED  RETRIED  REJECTED"
    assert lines[1] == "sick   degraded       2/4        1     0      -     0/s        -      5         0        0         0"
    assert lines[2] == "    no such queue"
    assert re.fullmatch(r"    last failure \d+s ago: exit 65, message m\\x1b\[2J, rejected: no \\xc2\\x9b\\x07such", lines[3])
    # An old failure is no news.
    assert lines[4] == "mail   consuming      2/4        1     0     17  3.00/s      25%      5         0        0         0"


def test_status_in_json(control):
    result = run("status", "--json", path=control.path)
    assert result.returncode == 0 and json.loads(result.stdout) == STATUS


def on_terminal(*arguments, path, **more):
    """Its output where stdout and stderr are a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen([EXECCTL, "--socket", str(path), *arguments], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                          env=environment(**more)) as process:
        os.close(slave)
        data = b""
        try:
            while piece := os.read(master, 4096):
                data += piece
        except OSError:
            pass  # the end of a terminal
        os.close(master)
        return process.wait(60), data.decode()


def test_colours_for_people_only(control):
    assert "\033[32mconsuming\033[0m" in on_terminal("status", path=control.path)[1]
    assert "\033" not in on_terminal("status", path=control.path, NO_COLOR="1")[1]
    assert "\033" in on_terminal("status", path=control.path, NO_COLOR="")[1]
    assert "\033" not in on_terminal("status", path=control.path, TERM="dumb")[1]
    assert "\033" not in run("status", path=control.path).stdout


def test_output_that_cannot_be_written(control):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([EXECCTL, "--socket", str(control.path), "status"], stdout=full, stderr=subprocess.PIPE, text=True,
                                timeout=60, check=False, env=environment())
    check(result, 1, out=None, err="amqp-execctl: cannot write: No space left on device\n")


# ---------------------------------------------------------------- orders

def test_orders_for_queues(control):
    for path in ("/v1/queues/a%2Fb%20c/pause?broker=x%26y", "/v1/queues/../pause?broker=x%26y", "/v1/resume", "/v1/pause?broker=z"):
        control.answers[f"POST {path}"] = (200, {"queues": [{"name": path, "state": "paused", "running": 1}]})
    check(run("pause", "--broker", "x&y", "a/b c", "..", path=control.path), 0,
          out="/v1/queues/a%2Fb%20c/pause?broker=x%26y: paused, 1 handler running\n"
              "/v1/queues/../pause?broker=x%26y: paused, 1 handler running\n")
    assert run("resume", "--all", path=control.path).returncode == 0
    assert run("pause", "--all", "--broker", "z", path=control.path).returncode == 0
    assert control.asked == ["POST /v1/queues/a%2Fb%20c/pause?broker=x%26y", "POST /v1/queues/../pause?broker=x%26y", "POST /v1/resume",
                             "POST /v1/pause?broker=z"]


def test_an_order_for_some_that_do_not_exist(control):
    control.answers["POST /v1/queues/b/pause"] = (200, {"queues": [{"name": "b", "state": "paused", "running": 0}]})
    control.answers["POST /v1/queues/a/pause"] = (404, {"error": 'there is no queue "a"'})
    check(run("pause", "a", "b", path=control.path), 1, out="b: paused, 0 handlers running\n",
          err='amqp-execctl: there is no queue "a"\n')


# ---------------------------------------------------------------- drain

def drained_after(control, looks):
    """The queue "mail" has a handler for so many looks."""
    def status():
        left = looks - sum(1 for line in control.asked if line.startswith("GET")) + 1
        return 200, {**STATUS, "queues": [{**QUEUE, "running": max(left, 0)}, {**QUEUE, "name": "other", "running": 7}]}
    control.answers["GET /v1/status"] = status


def test_drain_waits(control):
    control.answers["POST /v1/queues/mail/drain"] = (200, {"queues": []})
    drained_after(control, 2)
    check(run("drain", "mail", path=control.path), 0, out="mail: drained\n")
    assert control.asked == ["POST /v1/queues/mail/drain"] + ["GET /v1/status"] * 3


def test_drain_waits_for_publications(control):
    control.answers["POST /v1/drain"] = (200, {"queues": []})
    answers = iter([1, 1, 0])
    control.answers["GET /v1/status"] = lambda: (200, {**STATUS, "queues": [{**QUEUE, "running": 0, "publishing": next(answers)}]})
    check(run("drain", path=control.path), 0, out="mail: drained\n")
    assert next(answers, None) is None


def test_drain_gives_up_in_time(control):
    control.answers["POST /v1/drain"] = (200, {"queues": []})
    begun = time.monotonic()
    check(run("drain", "--timeout", "1s", path=control.path), 75, out="mail: 2 handlers running\ntwo words: drained\n1 of 2 queues drained\n",
          err="amqp-execctl: the time is over: 2 handlers still running, 0 publications to be confirmed; the queues stay paused\n")
    assert 1 <= time.monotonic() - begun < 30


def test_drain_shows_progress_on_a_terminal(control):
    control.answers["POST /v1/queues/mail/drain"] = (200, {"queues": []})
    drained_after(control, 2)
    status, text = on_terminal("drain", "mail", path=control.path)
    assert status == 0
    assert text == "\r\033[K2 handlers running\r\033[K1 handler running\r\033[Kmail: drained\r\n"


def test_drain_tells_what_is_held(control):
    control.answers["POST /v1/drain"] = (200, {"queues": []})
    queues = [{**QUEUE, "running": 0, "held": n, "name": name, "leaving": leaving} for name, n, leaving in (
        ("a\x1b", 0, False), ("b", 1, False), ("b", 0, True), ("c", 5, False))]
    control.answers["GET /v1/status"] = (200, {**STATUS, "queues": queues})
    check(run("drain", path=control.path), 0,
          out="a\\x1b: drained\n"
              "b: drained; 1 failed message is held until it is requeued\n"
              "c: drained; 5 failed messages are held until they are requeued\n"
              "3 of 3 queues drained; 6 failed messages are held until they are requeued\n")


def test_drain_of_a_daemon_that_goes(control):
    control.answers["POST /v1/drain"] = (200, {"queues": []})
    control.answers["GET /v1/status"] = (503, {"error": "the daemon is stopping"})
    check(run("drain", path=control.path), 1, err="amqp-execctl: the daemon is stopping\n")


# ---------------------------------------------------------------- handlers

HANDLERS = [{"pid": 4711, "queue": "mail", "broker": "main", "message_id": "m1", "delivery_tag": 17, "attempt": 1, "redelivered": False,
             "routing_key": "mail", "body_size": 2048, "started": "2026-01-31T12:00:00Z", "seconds": 61.5, "worker": False, "stopping": False},
            {"pid": 42, "queue": "two words", "broker": "main", "message_id": None, "delivery_tag": 3, "attempt": 0, "redelivered": True,
             "routing_key": "x", "body_size": 0, "started": "2026-01-31T12:00:00Z", "seconds": 0.2, "worker": True, "stopping": True}]


def test_handlers(control):
    control.answers["GET /v1/handlers"] = (200, {"handlers": HANDLERS})
    control.answers["GET /v1/handlers?queue=two%20words&broker=b%26"] = (200, {"handlers": []})
    control.answers["GET /v1/handlers?queue=mial"] = (404, {"error": 'there is no queue "mial"'})
    check(run("handlers", path=control.path), 0,
          out=" PID  TAG  QUEUE      MESSAGE ID  ATTEMPT   AGE     SIZE\n"
              "4711   17  mail       m1                1  1min  2.0 KiB\n"
              "  42    3  two words  -                 -    0s      0 B\n"
              "    is being stopped\n")
    assert json.loads(run("handlers", "--json", path=control.path).stdout) == {"handlers": HANDLERS}
    check(run("handlers", "two words", "--broker", "b&", path=control.path), 0, out="no handler runs\n")
    check(run("handlers", "mial", path=control.path), 1, err='amqp-execctl: there is no queue "mial"\n')


def test_kill(control):
    told = {"pid": 4711, "queue": "mail", "broker": "main", "message_id": "m1", "delivery_tag": 17, "already_stopping": False}
    control.answers["POST /v1/handlers/4711/kill"] = (200, told)
    control.answers["POST /v1/handlers/4711/kill?delivery_tag=17"] = (200, {**told, "already_stopping": True})
    control.answers["POST /v1/handlers/42/kill"] = (404, {"error": "no handler with the process id 42 has a message"})
    check(run("kill", "4711", path=control.path), 0, out="process 4711, queue mail, message m1: is being stopped\n")
    check(run("kill", "4711", "17", path=control.path), 0, out="process 4711, queue mail, message m1: is being stopped already\n")
    check(run("kill", "42", path=control.path), 1, err="amqp-execctl: no handler with the process id 42 has a message\n")


# ---------------------------------------------------------------- reload

def test_reload(control):
    control.answers["POST /v1/reload"] = (200, {"result": "reloaded", "added": ["a"], "removed": [], "changed": ["b"], "unchanged": 2,
                                                "warnings": [{"file": "/f", "line": 2, "key": "k", "text": "odd"}]})
    check(run("reload", path=control.path), 0, out="added: a\nchanged: b\nreloaded; 2 queues unchanged\n",
          err="/f:2: k: warning: odd\n")


def test_a_refused_reload(control):
    problems = [{"file": "/f", "line": 2, "key": "queues[0].x", "text": "unknown key"}, {"file": "/g", "line": None, "key": None, "text": "t"}]
    control.answers["POST /v1/reload"] = (422, {"error": "the configuration is refused", "problems": problems, "warnings": []})
    check(run("reload", path=control.path), 78,
          err="/f:2: queues[0].x: unknown key\n/g: t\namqp-execctl: the configuration is refused\n")


# ---------------------------------------------------------------- completion

def complete(*words, path):
    """What bash would offer for the last word."""
    script = f'. {ROOT}/completions/amqp-execctl; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _amqp_execctl; printf "%s\\n" "${{COMPREPLY[@]}}"'
    result = subprocess.run(["bash", "-c", script, "bash", "amqp-execctl", *words], capture_output=True, text=True, timeout=60, check=True,
                            env=environment(AMQP_EXECCTL_SOCKET=str(path), PATH=f"{EXECCTL.parent}:{os.environ['PATH']}"))
    assert result.stderr == ""
    return result.stdout.split("\n")[:-1]


def test_completion(control):
    assert complete("", path=control.path) == ["status", "handlers", "kill", "reload", "pause", "resume", "drain", "check", "publish",
                                               "peek", "replay", "--socket", "--instance", "--help", "--version"]
    assert complete("re", path=control.path) == ["reload", "resume", "replay"]
    assert complete("status", "--", path=control.path) == ["--json", "--watch", "--help"]
    control.answers["GET /v1/handlers"] = (200, {"handlers": HANDLERS})
    assert complete("kill", "", path=control.path) == ["--help", "4711", "42"]
    assert complete("kill", "4", path=control.path) == ["4711", "42"]
    assert complete("kill", "4711", "", path=control.path) == ["--help", "17"]
    assert complete("handlers", "t", path=control.path) == [r"two\ words"]
    assert complete("pause", "", path=control.path) == ["--all", "--broker", "--help", "mail", r"two\ words"]
    assert complete("drain", "m", path=control.path) == ["mail"]
    assert complete("publish", "--ti", path=control.path) == ["--timestamp", "--timeout"]
    assert complete("publish", "--queue", "", path=control.path) == [""]
    assert complete("--socket", str(control.path), "resume", "ma", path="/nonexistent") == ["mail"]
    assert complete("drain", "--timeout", "", path=control.path) == [""]
    assert complete("check", "--", path=control.path) == ["--config", "--user", "--json", "--quiet", "--broker", "--help"]
    assert complete("check", "--config", "x.conf", "ma", path=control.path) == ["mail"]
    assert complete("pause", "m", path="/nonexistent") == [""]
