# SPDX-License-Identifier: MIT
"""The control socket, amqp-execctl and the monitor, with a daemon that works meanwhile."""

import contextlib
import grp
import http.client
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from harness import CONTROL, EXECUTABLE, Notifications, as_user, configuration, free_ports, handler, reachable, stays, wait_until

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="other users' processes are root's to start")


def settings(broker, queues, **keys):
    return configuration(broker={"url": broker.url}, **keys, queues=queues)


def get(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_status(broker, rabbit, daemon, ledger, name):
    q, missing = rabbit.declare(name()), name("missing")
    d = daemon(settings(broker, [{"name": q, "handler": handler("ledger", ledger)}, {"name": missing, "handler": handler("ledger", ledger)}]))
    rabbit.publish_many(q, ["x"] * 3)
    ledger.wait(3)
    d.wait_settled(3)
    done = d.control("status", "--json")
    assert done.returncode == 0 and done.stderr == ""
    told = json.loads(done.stdout)
    assert told["pid"] == d.pid and told["state"] == "running" and told["ready"] is True
    queues = {entry["name"]: entry for entry in told["queues"]}
    assert queues[q]["state"] == "consuming" and queues[q]["counters"]["acked"] == 3
    assert queues[missing]["state"] == "degraded" and "no queue" in queues[missing]["reason"]
    table = d.control("status").stdout
    row = next(line for line in table.splitlines() if line.startswith(q))
    assert "consuming" in row and "3" in row.split()
    assert queues[missing]["reason"][:30] in table
    assert "\033" not in table, "colour without a terminal"
    # The same with curl alone.
    curl = subprocess.run(["curl", "-sS", "--fail", "--unix-socket", d.control_socket, "http://localhost/v1/status"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=20)
    assert curl.returncode == 0, curl.stderr
    assert json.loads(curl.stdout)["pid"] == d.pid
    d.stop()


def test_pause_and_resume(broker, rabbit, daemon, ledger, name):
    """A paused queue takes nothing; what runs ends; untried messages are back at the broker at once."""
    q, other = rabbit.declare(name()), rabbit.declare(name("other"))
    d = daemon(settings(broker, [{"name": q, "prefetch": 5, "handler": handler("ledger", ledger, 3)}, {"name": other, "handler": handler("ledger", ledger)}]))
    rabbit.publish_many(q, ["x"] * 5)
    ledger.wait(1, "start")
    assert d.control("pause", q).returncode == 0
    rabbit.wait_depth(q, 4, 2.5)
    d.wait_settled(1, q, "ack")
    stays(lambda: len(ledger.of("start")) == 1, 1, "it was started although it is paused")
    rabbit.publish(other, "x", message_id="other")
    wait_until(lambda: ledger.counts()["other"] == 1, what="the other queue")
    # Again is as good as once.
    assert d.control("pause", q).returncode == 0
    assert d.control("resume", q).returncode == 0
    ledger.wait(3, "start")
    assert d.control("resume", q).returncode == 0
    d.wait_status("2 queues consuming")
    assert d.control("pause", "--all").returncode == 0
    wait_until(lambda: rabbit.consumers(q) == rabbit.consumers(other) == 0, what="nothing is consumed")
    assert d.control("resume", "--all").returncode == 0
    wait_until(lambda: rabbit.consumers(q) == rabbit.consumers(other) == 1, what="both are consumed")
    d.stop()


def test_drain(broker, rabbit, daemon, ledger, name):
    """drain waits until nothing of the queue runs; its limit ends the waiting, not the pause."""
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "handler": handler("ledger", ledger, 4)}]))
    rabbit.publish_many(q, ["x"] * 2)
    ledger.wait(1, "start")
    done = d.control("drain", q, "--timeout", "500ms")
    assert done.returncode == 75, done.stderr
    assert ledger.counts() == {}
    assert d.control("drain", q).returncode == 0
    assert ledger.counts() == {"m0": 1}
    assert rabbit.depth(q) == 1
    d.stop()


def test_a_paused_queue_survives_the_loss_of_its_broker(fragile, fragile_rabbit, daemon, ledger, name):
    q = fragile_rabbit.declare(name())
    d = daemon(configuration(broker={"url": fragile.url, "reconnect": {"min_delay": "100ms", "max_delay": "500ms"}}, queues=[{
        "name": q, "handler": handler("ledger", ledger)}]))
    assert d.control("pause", q).returncode == 0
    fragile.kill()
    wait_until(lambda: json.loads(d.control("status", "--json").stdout)["brokers"][0]["state"] != "up", what="the loss")
    assert d.control("resume", q).returncode == 0
    d.wait_status("degraded")
    assert d.control("pause", q).returncode == 0
    fragile.start()
    fragile_rabbit.connect()
    fragile_rabbit.declare(q)  # a broker that is killed right after a declaration may have forgotten it
    fragile_rabbit.publish(q, "x", message_id="m")
    stays(lambda: not ledger.counts("start"), 1.5, "it came back unpaused")
    assert d.control("resume", q).returncode == 0
    ledger.wait(1)
    d.stop()


def test_what_amqp_execctl_says_of_trouble(broker, rabbit, daemon, ledger, name, tmp_path):
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "handler": handler("ledger", ledger)}]))
    done = d.control("pause", q + "x")
    assert done.returncode == 1 and f'did you mean "{q}"?' in done.stderr
    d.reconfigure(settings(broker, [{"name": q, "handlr": {}}]))
    done = d.control("reload")
    assert done.returncode == 78
    assert re.search(re.escape(str(d.config_path)) + r':\d+: queues\[0\]\.handlr: unknown key; did you mean "handler"', done.stderr)
    for arguments in ([], ["nonsense"], ["status", "--nonsense"], ["pause"], ["--socket"]):
        assert subprocess.run([CONTROL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              timeout=20).returncode == 64, arguments
    assert subprocess.run([CONTROL, "--socket", str(tmp_path / "none"), "status"], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                          check=False, timeout=20).returncode == 69
    d.stop()
    assert not os.path.exists(d.control_socket), "the socket's file is left behind"
    assert d.control("status").returncode == 69


def test_reload_by_amqp_execctl(broker, rabbit, daemon, ledger, name):
    q, added = rabbit.declare(name()), rabbit.declare(name("added"))
    d = daemon(settings(broker, [{"name": q, "handler": handler("ledger", ledger)}]))
    d.reconfigure(settings(broker, [{"name": q, "handler": handler("ledger", ledger)}, {"name": added, "handler": handler("ledger", ledger)}]))
    done = d.control("reload")
    assert done.returncode == 0, done.stderr
    assert added in done.stdout
    rabbit.publish(added, "x", message_id="m")
    ledger.wait(1)
    d.stop()


def test_many_reloads_at_once(broker, rabbit, daemon, ledger, name):
    """Each is answered, by a reload that began after it was asked for; they do not pile up."""
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "handler": handler("ledger", ledger)}]))
    before = d.log.count("info: reloading ")
    started = [subprocess.Popen([CONTROL, "--socket", d.control_socket, "reload"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(16)]
    for process in started:
        _, error = process.communicate(timeout=30)
        assert process.returncode == 0, error
    assert 1 <= d.log.count("info: reloading ") - before <= 16
    d.stop()


# ------------------------------------------------------------------ who may ask

@AS_ROOT
def test_access(broker, rabbit, daemon, ledger, name):
    """The file's mode keeps others out; where somebody has opened it, the daemon still asks who it is."""
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "handler": handler("ledger", ledger)}], control={"group": "games"}))
    info = os.stat(d.control_socket)
    assert stat.S_IMODE(info.st_mode) == 0o660 and grp.getgrgid(info.st_gid).gr_name == "games"
    for folder in Path(d.control_socket).parents:
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    member = ["setpriv", "--reuid=nobody", "--regid=games", "--clear-groups"]
    supplementary = ["setpriv", "--reuid=nobody", f"--regid={pwd.getpwnam('nobody').pw_gid}", "--groups=games"]
    stranger = as_user("nobody")
    executable = Path(CONTROL)
    if not all(os.access(p, os.X_OK) and p.stat().st_mode & 0o005 == 0o005 for p in executable.parents):
        pytest.skip("the folder of the build is closed to other users")
    assert d.control("status", prefix=member).returncode == 0
    assert d.control("pause", q, prefix=supplementary).returncode == 0
    assert d.control("resume", q, prefix=member).returncode == 0
    done = d.control("status", prefix=stranger)
    assert done.returncode == 77 and "games" in done.stderr
    os.chmod(d.control_socket, 0o666)
    done = d.control("pause", q, prefix=stranger)
    assert done.returncode == 77, done.stderr
    uid = pwd.getpwnam("nobody").pw_uid
    d.wait_log(f"user {uid} .* refused")
    assert d.control("status", prefix=member).returncode == 0
    assert d.ask("GET", "/v1/status")[1]["queues"][0]["state"] == "consuming"
    d.stop()


@AS_ROOT
def test_group_changes_with_a_reload(broker, rabbit, daemon, ledger, name):
    q = rabbit.declare(name())
    queues = [{"name": q, "handler": handler("ledger", ledger)}]
    d = daemon(settings(broker, queues, control={"group": "games"}))
    d.reload(settings(broker, queues, control={"group": "mail"}))
    assert grp.getgrgid(os.stat(d.control_socket).st_gid).gr_name == "mail"
    other = d.control_socket + "2"
    answer = d.reload(settings(broker, queues, control={"socket": other}))
    assert answer["unchanged"] == 1
    assert not os.path.exists(d.control_socket)
    d.control_socket = other
    assert d.control("status").returncode == 0
    d.reload(settings(broker, queues, control={"socket": ""}))
    wait_until(lambda: not os.path.exists(other), 5, "no control socket")
    d.reconfigure(settings(broker, queues, control={"socket": other}))
    d.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(other), 10, "the socket again")
    assert d.control("status").returncode == 0
    d.stop()


@AS_ROOT
def test_a_refused_reload_keeps_the_socket(broker, rabbit, daemon, ledger, name):
    """Another group, but a port of the monitor that somebody else has: nothing of it holds, and the daemon can still be asked."""
    q = rabbit.declare(name())
    queues = [{"name": q, "handler": handler("ledger", ledger)}]
    port, = free_ports(1)
    d = daemon(settings(broker, queues, control={"group": "games"}))
    before = os.stat(d.control_socket)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        d.reconfigure(settings(broker, queues, control={"group": "mail"}, monitor={"listen": [f"127.0.0.1:{port}"]}))
        done = d.control("reload")
        assert done.returncode != 0 and str(port) in done.stderr
    after = os.stat(d.control_socket)
    assert (after.st_ino, after.st_gid) == (before.st_ino, before.st_gid)
    assert os.listdir(os.path.dirname(d.control_socket)) == ["control.sock"]
    assert d.control("status").returncode == 0
    # Now that the port is free, all of it can be had.
    assert d.control("reload").returncode == 0
    assert grp.getgrgid(os.stat(d.control_socket).st_gid).gr_name == "mail"
    assert get(port, "/livez")[0] == 200
    d.stop()


def test_a_socket_that_was_removed_comes_back(broker, rabbit, daemon, ledger, name):
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "handler": handler("ledger", ledger)}]))
    os.unlink(d.control_socket)
    assert d.control("status").returncode == 69
    d.signal(signal.SIGHUP)
    wait_until(lambda: d.control("status").returncode == 0, 20, "the socket again")
    inode = os.stat(d.control_socket).st_ino
    assert d.control("reload").returncode == 0
    assert os.stat(d.control_socket).st_ino == inode, "one that is there is left alone"
    d.stop()
    assert not os.path.exists(d.control_socket)


def test_the_socket_of_another_daemon(broker, rabbit, daemon, ledger, name):
    """One that was asked for and is in use ends the start; the default is warned about."""
    q = rabbit.declare(name())
    queues = [{"name": q, "handler": handler("ledger", ledger)}]
    first = daemon(settings(broker, queues))
    second = daemon(settings(broker, queues, control={"socket": first.control_socket}), start=False)
    second.launch()
    assert second.wait() == 70
    assert "another amqp-execd" in second.log
    third = daemon(settings(broker, queues), environment={"RUNTIME_DIRECTORY": os.path.dirname(first.control_socket)})
    third.wait_log("warning: no control socket: .*another amqp-execd")
    third.stop()
    assert first.control("status").returncode == 0
    # A socket that a killed daemon has left is replaced.
    first.process.kill()
    first.wait()
    assert os.path.exists(first.control_socket)
    fourth = daemon(settings(broker, queues, control={"socket": first.control_socket}))
    assert first.control("status").returncode == 0
    fourth.stop()


def test_a_socket_that_cannot_be_had(broker, rabbit, daemon, ledger, name):
    """What another start would not help ends with the status after which systemd does not try again."""
    q = rabbit.declare(name())
    queues = [{"name": q, "handler": handler("ledger", ledger)}]
    d = daemon(settings(broker, queues, control={"socket": "/nonexistent/control.sock"}), start=False)
    d.launch()
    assert d.wait() == 78
    assert "/nonexistent/control.sock" in d.log
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        d = daemon(settings(broker, queues, monitor={"listen": [f"127.0.0.1:{taken.getsockname()[1]}"]}), start=False)
        d.launch()
        assert d.wait() == 70, "a port may become free"
    # Of a network that is not there, or not yet (documentation's own addresses).
    d = daemon(settings(broker, queues, monitor={"listen": ["192.0.2.1:9419"]}), start=False)
    d.launch()
    assert d.wait() == 70


@AS_ROOT
def test_a_group_that_the_daemon_is_no_member_of(broker, rabbit, daemon, ledger, name):
    q = rabbit.declare(name())
    queues = [{"name": q, "handler": handler("ledger", ledger, user="nobody")}]
    d = daemon(settings(broker, queues, control={"group": "games"}), start=False, user="nobody")
    d.launch()
    assert d.wait() == 78
    assert "cannot give the socket to the group games: Operation not permitted (in a unit of systemd what helps is PrivateUsers=no" in d.log
    assert os.listdir(os.path.dirname(d.control_socket)) == []


# ------------------------------------------------------------ slow and hostile

def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(20)
    s.connect(path)
    return s


def ended(s):
    """Whether the other end has closed the connection, whatever it had to say before."""
    s.settimeout(0.2)
    try:
        while s.recv(65536):
            pass
        return True
    except socket.timeout:
        return False
    except OSError:
        return True


def test_clients_that_misbehave(broker, rabbit, daemon, ledger, name):
    """A large header, a byte a second, a thousand connections, garbage: refused, and consuming goes on meanwhile."""
    q = rabbit.declare(name())
    port, = free_ports(1)
    d = daemon(settings(broker, [{"name": q, "handler": handler("ledger", ledger)}], monitor={"listen": [f"127.0.0.1:{port}"]}))
    doors = [lambda: connect(d.control_socket), lambda: socket.create_connection(("127.0.0.1", port), 20)]
    with contextlib.ExitStack() as stack:
        slow, large = [stack.enter_context(door()) for door in doors], [stack.enter_context(door()) for door in doors]
        for s in slow:
            s.sendall(b"GET /live")
        for s in large:
            with contextlib.suppress(OSError):
                s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n")
            wait_until(lambda s=s: ended(s), 20, "the large header is refused")
        for _ in range(1000):
            s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        garbage = stack.enter_context(connect(d.control_socket))
        garbage.sendall(os.urandom(4096).replace(b"\n", b""))
        begun = time.monotonic()
        rabbit.publish_many(q, ["x"] * 20)
        ledger.wait(20)
        assert time.monotonic() - begun < 20
        assert len(os.listdir(f"/proc/{d.pid}/fd")) < 300, "connections have a limit"
        for s in slow:
            s.setblocking(False)
        deadline = time.monotonic() + 40
        while slow and time.monotonic() < deadline:
            for s in list(slow):
                with contextlib.suppress(OSError):
                    s.send(b"t")
            for s in select.select(slow, [], [], 1)[0]:
                slow.remove(s)
        assert not slow, "who sends a byte a second is cut off"
    wait_until(lambda: d.ask("GET", "/v1/status")[0] == 200, 20, "it answers")
    wait_until(lambda: get(port, "/livez")[0] == 200, 20, "the monitor, too")
    cpu = sum(map(int, Path(f"/proc/{d.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]))
    time.sleep(2)
    after = sum(map(int, Path(f"/proc/{d.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]))
    assert after - cpu < 50, "it spins"
    d.stop()


# --------------------------------------------------------------------- monitor

def test_monitor(broker, rabbit, daemon, ledger, name):
    """/livez answers while the loop turns, /readyz says what is missing; paused by an operator is not missing."""
    q, missing = rabbit.declare(name()), name("missing")
    port, other = free_ports(2)

    def config(port, *queues):
        return settings(broker, [{"name": n, "handler": handler("ledger", ledger)} for n in queues], monitor={"listen": [f"127.0.0.1:{port}"]})
    d = daemon(config(port, q, missing))
    assert get(port, "/livez") == (200, {"live": True})
    status, answer = get(port, "/readyz")
    assert status == 503 and answer["ready"] is False
    assert [(r["queue"], r["state"]) for r in answer["reasons"]] == [(missing, "degraded")]
    assert "no queue" in answer["reasons"][0]["reason"]
    assert get(port, "/nonsense")[0] == 404
    assert get(port, "/readyz", "POST")[0] == 405
    assert get(port, "/v1/status")[0] == 404, "the monitor gives no orders and tells no details"
    d.reload(config(port, q))
    wait_until(lambda: get(port, "/readyz") == (200, {"ready": True, "reasons": []}), what="ready")
    d.control("pause", q)
    assert get(port, "/readyz")[0] == 200
    d.control("resume", q)
    d.reload(config(other, q))
    assert get(other, "/livez")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        get(port, "/livez")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        d.reconfigure(config(port, q))
        done = d.control("reload")
        assert done.returncode != 0 and str(port) in done.stderr
        assert get(other, "/livez")[0] == 200, "the old address lives"
    d.stop()


class Handed:
    """A daemon whose sockets are handed over by the service manager."""

    def __init__(self, folder, config, prefix=(), group=None):
        """group: of the control socket."""
        self.path = str(folder / "c.sock")[-100:]
        unix, tcp = socket.socket(socket.AF_UNIX), socket.socket()
        unix.bind(self.path)
        os.chmod(self.path, 0o660)
        if group:
            shutil.chown(self.path, group=group)
        unix.listen()
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        self.sockets = [unix, tcp]
        self.port = tcp.getsockname()[1]
        self.config = folder / "c.conf"
        self.configure(config)
        self.notify = Notifications(folder / "notify")
        # Descriptors 3 and 4, and our own process id, as systemd does it.
        script = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
                  "os.environ.update(LISTEN_FDS='2', LISTEN_FDNAMES='control:monitor', LISTEN_PID=str(os.getpid())); "
                  "[os.set_inheritable(n, True) for n in (3, 4)]; os.execvp(sys.argv[3], sys.argv[3:])")
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["/usr/bin/python3", "-c", script, str(unix.fileno()), str(tcp.fileno()), *prefix, EXECUTABLE, "--config", str(self.config)],
                pass_fds=(unix.fileno(), tcp.fileno()), stderr=log, env={**os.environ, "NOTIFY_SOCKET": self.notify.path})

    def configure(self, config):
        self.config.write_text(config, encoding="utf-8")
        self.config.chmod(0o600)

    def control(self, *arguments, prefix=()):
        return subprocess.run([*prefix, CONTROL, "--socket", self.path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=20)

    def count(self, text):
        return self.log.read_text(encoding="utf-8").count(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        status = self.process.wait(30)
        self.notify.close()
        for s in self.sockets:
            s.close()
        assert status == 0
        assert os.path.exists(self.path), "the socket of systemd is systemd's to remove"


def test_sockets_of_systemd(broker, rabbit, ledger, name, tmp_path):
    """Descriptors that the service manager hands over are used instead of those of the configuration, and no handler gets them."""
    q = rabbit.declare(name())
    with Handed(tmp_path, settings(broker, [{"name": q, "handler": handler("ledger", ledger)}])) as d:
        wait_until(lambda: d.notify.values("READY"), what="READY=1")
        done = d.control("status", "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["pid"] == d.process.pid
        assert get(d.port, "/livez")[0] == 200
        rabbit.publish(q, "x", message_id="m")
        ledger.wait(1)
        assert d.count("has no effect") == 0


def test_keys_that_systemd_overrules(broker, rabbit, ledger, name, tmp_path):
    """What is configured for sockets that are handed over is warned about, when it comes and when it changes."""
    q = rabbit.declare(name())
    queues = [{"name": q, "handler": handler("ledger", ledger)}]
    port, = free_ports(1)
    elsewhere, monitor = {"socket": str(tmp_path / "elsewhere")}, {"listen": [f"127.0.0.1:{port}"]}
    control_warning, monitor_warning = "warning: the group control has no effect", "warning: the group monitor has no effect"

    def warned():
        return d.count(control_warning), d.count(monitor_warning)
    with Handed(tmp_path, settings(broker, queues, control=elsewhere)) as d:
        wait_until(lambda: d.notify.values("READY"), what="READY=1")
        wait_until(lambda: warned() == (1, 0), what="a warning at the start")
        for config, expected in [(settings(broker, queues, control=elsewhere), (1, 0)),
                                 (settings(broker, queues, control=elsewhere, monitor=monitor), (1, 1)),
                                 (settings(broker, queues, control={"group": str(os.getgid())}, monitor=monitor), (2, 1)),
                                 (settings(broker, queues), (2, 1)),
                                 (settings(broker, queues, monitor=monitor), (2, 2))]:
            d.configure(config)
            assert d.control("reload").returncode == 0
            wait_until(lambda expected=expected: warned() == expected, what=f"{expected} warnings")
        stays(lambda: warned() == (2, 2), 1, "no warning more")
        assert not os.path.exists(elsewhere["socket"])
        with pytest.raises(ConnectionRefusedError):
            get(port, "/livez")


@AS_ROOT
def test_strangers_of_a_user_namespace(broker, rabbit, ledger, name, tmp_path):
    """Where the socket's group and a stranger's read the same, because the daemon's namespace has neither, the stranger gives no orders."""
    if subprocess.run(["unshare", "--user", "--map-root-user", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("no user namespaces here")
    executable = Path(CONTROL)
    if not all(os.access(p, os.X_OK) and p.stat().st_mode & 0o005 == 0o005 for p in executable.parents):
        pytest.skip("the folder of the build is closed to other users")
    folder = reachable(tmp_path)
    q = rabbit.declare(name())
    with Handed(folder, settings(broker, [{"name": q, "handler": handler("ledger", ledger)}]), ["unshare", "--user", "--map-root-user"],
                group="games") as d:
        wait_until(lambda: d.notify.values("READY"), what="READY=1")
        os.chmod(d.path, 0o666)
        done = d.control("pause", q, prefix=as_user("nobody"))
        assert done.returncode == 77, done.stderr
        assert d.control("status").returncode == 0
        wait_until(lambda: d.count("may not give orders: refused") == 1, what="the refusal is logged")
