# SPDX-License-Identifier: MIT
"""What the black-box tests stand on: the daemon as a process, a client of the broker, ledgers that handlers write."""

import base64
import collections
import contextlib
import http.client
import itertools
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pika

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = ROOT / "tests" / "handlers"
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

# pylint: disable=wrong-import-position,unused-import
from broker import Broker, end_process, free_ports  # noqa: E402
from notify import Notifications  # noqa: E402

EXECUTABLE = os.environ.get("AMQP_EXECD") or str(ROOT / "build" / "amqp-execd")

CONTROL = os.environ.get("AMQP_EXECCTL") or str(Path(EXECUTABLE).parent / "amqp-execctl")

# How long anything may take that happens at once on an idle machine. Only failures wait for so long.
PATIENCE = 40.0

SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer|ThreadSanitizer:")


def wait_until(condition, timeout=PATIENCE, what="", interval=0.03):
    """The first true value that condition() returns; fails after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or condition}")
        time.sleep(interval)


def stays(condition, seconds, what=""):
    """Asserts that condition() holds all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), what
        time.sleep(0.03)


# ---------------------------------------------------------------- configuration

class Group(dict):
    """A group, also where a list of (name, value) pairs is more convenient."""


def render(value, indent=0):
    """A Python value in libconfig's syntax: dict {}, list of scalars of one type [], other lists ()."""
    pad = "\t" * indent
    if isinstance(value, dict):
        inner = "".join(f"{pad}\t{k} = {render(v, indent + 1)};\n" for k, v in value.items())
        return "{\n" + inner + pad + "}"
    if isinstance(value, (list, tuple)):
        if any(isinstance(v, (dict, list, tuple)) for v in value) or len({type(v) for v in value}) > 1:
            return "( " + ", ".join(render(v, indent + 1) for v in value) + " )"
        return "[ " + ", ".join(render(v, indent + 1) for v in value) + " ]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 2**31 else f"{value}L"
    if isinstance(value, float):
        return f"{value:.6f}"
    escaped = "".join({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}.get(c, c) for c in str(value))
    return f'"{escaped}"'


def configuration(**settings):
    """Where the tests run as root, so do the handlers that are given no user: the daemon demands to be told so."""
    if os.geteuid() == 0:
        defaults = settings.get("defaults", {})
        settings["defaults"] = {**defaults, "handler": {"user": "root", **defaults.get("handler", {})}}
    return "".join(f"{k} = {render(v)};\n" for k, v in settings.items())


def handler(name, *arguments, **keys):
    """The handler group for a script of tests/handlers. The arguments are templates."""
    return {"command": [str(HANDLERS / name), *map(str, arguments)], **keys}


def shell(program, *arguments, **keys):
    """The handler group for a line of shell. The arguments after it are templates."""
    return {"command": ["/bin/sh", "-c", program.replace("%", "%%"), "handler", *map(str, arguments)], **keys}


def reachable(path):
    """Lets every user through the folders that pytest keeps to its own user, down to this one. Returns it."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid == os.geteuid() and folder.name and folder.parent != folder and folder.stat().st_mode & 0o055 != 0o055:
            folder.chmod(folder.stat().st_mode | 0o055)
    return path


def as_user(user, *options):
    """The prefix of a daemon that is to run as this user, with none but its own group."""
    return ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups", *options]


# ----------------------------------------------------------------------- systemd

class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Daemon:
    """One amqp-execd. Its stderr is kept line by line, its notifications are recorded."""

    _numbers = itertools.count(1)

    def __init__(self, folder, config, watchdog_usec=None, environment=None, arguments=(), service=True, user=None, capabilities=()):
        """service: whether a service manager wants to be told of its state. user: whom it runs as, with these capabilities."""
        n = next(self._numbers)
        self.config_path = Path(folder) / f"daemon-{n}.conf"
        self.config_path.write_text(config, encoding="utf-8")
        self.config_path.chmod(0o600)
        # A socket's path is at most 107 bytes long: not under pytest's own folder.
        self._socket_folder = tempfile.mkdtemp(prefix="execd-")
        self.notify = Notifications(Path(self._socket_folder) / "notify")
        self.lines = []  # of stderr
        self.service = service
        run = os.path.join(self._socket_folder, "run")  # what systemd would make by RuntimeDirectory=
        os.mkdir(run, 0o755)
        self.control_socket = os.path.join(run, "control.sock")
        prefix = []
        if user:
            os.chown(run, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
            reachable(Path(folder))
            os.chmod(self._socket_folder, 0o755)
            os.chmod(self.notify.path, 0o777)
            os.chown(self.config_path, pwd.getpwnam(user).pw_uid, -1)
            added = ",".join(f"+{c}" for c in capabilities)
            prefix = as_user(user, *([f"--inh-caps={added}", f"--ambient-caps={added}"] if capabilities else []))
        self.arguments = [*prefix, EXECUTABLE, "--config", str(self.config_path), *arguments]
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "RUNTIME_DIRECTORY": run,
            **({"NOTIFY_SOCKET": self.notify.path} if service else {}),
            **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
            **({"WATCHDOG_USEC": str(watchdog_usec)} if watchdog_usec else {}),
            **(environment or {}),
        }
        self.process = None
        self._reader = None

    def launch(self):
        # setpriv: ends with us, even if we are killed.
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.arguments], env=self.environment,
                                        cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def start(self, timeout=PATIENCE):
        """Starts it and waits for READY=1."""
        self.launch()
        self.wait_ready(timeout)
        return self

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))

    def _alive(self):
        assert self.process.poll() is None, f"the daemon has ended with {self.process.returncode}:\n{self.log}"
        return True

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return "\n".join(list(self.lines))

    @property
    def ready(self):
        if not self.service:
            return bool(re.search(r" info: ready$", self.log, re.M))
        return "1" in self.notify.values("READY")

    def wait_ready(self, timeout=PATIENCE):
        wait_until(lambda: self._alive() and self.ready, timeout, "READY=1")

    def wait_log(self, pattern, timeout=PATIENCE):
        """The first log line that the pattern is found in, also one that was written before."""
        def find():
            return next((line for line in list(self.lines) if re.search(pattern, line)), None)
        try:
            return wait_until(find, timeout, f"a log line like {pattern}")
        except AssertionError as e:
            raise AssertionError(f"{e}; the log:\n{self.log[-6000:]}") from None

    def wait_status(self, pattern, timeout=PATIENCE):
        try:
            return wait_until(lambda: re.search(pattern, self.notify.status), timeout, f"STATUS like {pattern}")
        except AssertionError as e:
            raise AssertionError(f"{e}; STATUS was {self.notify.values('STATUS')}") from None

    def settled(self, queue=None):
        """The settlement lines as dictionaries."""
        found = []
        for line in list(self.lines):
            match = re.search(r": settled (.*)$", line)
            if match:
                fields = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', match[1]))
                if queue is None or fields.get("queue") == queue:
                    found.append(fields)
        return found

    def wait_settled(self, n, queue=None, decision=None, timeout=PATIENCE):
        def enough():
            got = [s for s in self.settled(queue) if decision is None or s["decision"] == decision]
            return got if len(got) >= n else None
        try:
            return wait_until(enough, timeout, f"{n} settled messages")
        except AssertionError as e:
            raise AssertionError(f"{e}; the log:\n{self.log[-6000:]}") from None

    def signal(self, sig):
        os.kill(self.pid, sig)

    def ask(self, method, path, timeout=PATIENCE):
        """Asks the control socket: (status, what the JSON says)."""
        connection = UnixConnection(self.control_socket, timeout)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def control(self, *arguments, timeout=PATIENCE, **keys):
        """Runs amqp-execctl with this daemon's socket to its end."""
        done = subprocess.run([*keys.pop("prefix", []), CONTROL, "--socket", self.control_socket, *map(str, arguments)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False,
                              encoding="utf-8", errors="replace", **keys)
        assert not SANITIZER.search(done.stderr), done.stderr
        return done

    def reconfigure(self, config):
        """Writes another configuration, which a reload reads."""
        new = self.config_path.with_suffix(".new")
        new.write_text(config, encoding="utf-8")
        shutil.copystat(self.config_path, new)
        os.chown(new, self.config_path.stat().st_uid, -1)
        os.replace(new, self.config_path)

    def reload(self, config=None, timeout=PATIENCE):
        """Has the configuration read anew, which has to go well; returns what has changed."""
        if config is not None:
            self.reconfigure(config)
        status, answer = self.ask("POST", "/v1/reload", timeout)
        assert status == 200, f"{status}: {answer}; the log:\n{self.log[-6000:]}"
        return answer

    def wait(self, timeout=PATIENCE):
        """Waits until it has ended; returns the exit status."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"has not ended within {timeout:g} s; the log:\n{self.log[-6000:]}") from None
        self._reader.join(5)
        self.notify.flush()
        return self.process.returncode

    def stop(self, timeout=PATIENCE):
        """An orderly stop, which has to be clean."""
        self.signal(signal.SIGTERM)
        status = self.wait(timeout)
        assert status == 0, f"exit status {status}; the log:\n{self.log[-6000:]}"
        assert not self.service or "1" in self.notify.values("STOPPING"), "STOPPING=1 was not sent"

    def stop_at_once(self):
        """Without waiting for handlers, which is clean, too."""
        begun = self.log.count(" stopping: ")
        self.signal(signal.SIGTERM)
        wait_until(lambda: self.process.poll() is not None or self.log.count(" stopping: ") > begun, what="the beginning of the stop")
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"exit status {status}; the log:\n{self.log[-6000:]}"

    def memory(self, key):
        """VmRSS or VmHWM in bytes."""
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M)[1]) * 1024

    def close(self):
        """Whatever state it is in: gone, and looked through for what a sanitizer found."""
        if self.process is not None:
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGCONT)
                end_process(self.process, signal.SIGTERM, timeout=15)
            self._reader.join(5)
        self.notify.close()
        shutil.rmtree(self._socket_folder, ignore_errors=True)
        bad = SANITIZER.search(self.log)
        assert not bad, f"a sanitizer found something:\n{self.log[-20000:]}"


def run(*arguments, timeout=PATIENCE):
    """Runs the executable to its end: for --check, --dump-config and the like."""
    done = subprocess.run([EXECUTABLE, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout, check=False, encoding="utf-8", errors="replace")
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


# ------------------------------------------------------------------------ broker

class Rabbit:
    """An independent client of a broker."""

    def __init__(self, broker):
        self.broker = broker
        self.connection = None
        self.channel = None
        self.queues = []

    def connect(self):
        credentials = pika.PlainCredentials(self.broker.username, self.broker.password)
        self.connection = pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.broker.port, credentials=credentials, heartbeat=0))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        return self

    def close(self):
        if self.broker.running:
            with contextlib.suppress(pika.exceptions.AMQPError):
                if self.connection is None or self.connection.is_closed or self.channel.is_closed:
                    self.connect()
                for name in self.queues:
                    self.channel.queue_delete(name)
        with contextlib.suppress(pika.exceptions.AMQPError):
            if self.connection is not None:
                self.connection.close()

    def declare(self, name, kind="classic", **arguments):
        self.channel.queue_declare(name, durable=True, arguments={"x-queue-type": kind, **{
            "x-" + k.replace("_", "-"): v for k, v in arguments.items()}})
        if name not in self.queues:
            self.queues.append(name)
        return name

    def publish(self, queue, body=b"", exchange="", **properties):
        """Publishes one persistent message and waits for the broker's confirmation; raises if it is not routed."""
        properties.setdefault("delivery_mode", 2)
        if isinstance(body, str):
            body = body.encode()
        self.channel.basic_publish(exchange, queue, body, pika.BasicProperties(**properties), mandatory=True)

    def publish_many(self, queue, bodies, prefix="m"):
        """Publishes (id, body) with ids made from prefix; returns them."""
        ids = []
        for i, body in enumerate(bodies):
            ids.append(f"{prefix}{i}")
            self.publish(queue, body, message_id=ids[-1])
        return ids

    def depth(self, queue):
        """Messages that are ready (not those that a consumer holds)."""
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def consumers(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.consumer_count

    def wait_depth(self, queue, n, timeout=PATIENCE):
        return wait_until(lambda: self.depth(queue) == n, timeout, f"{queue} with {n} messages") if n else wait_until(
            lambda: self.depth(queue) == 0, timeout, f"{queue} empty: {self.depth(queue)} left")

    def drain(self, queue):
        """Takes what is in the queue: [(properties, body)]."""
        found = []
        while True:
            method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            if method is None:
                return found
            found.append((properties, body))


# ----------------------------------------------------------------------- ledgers

class Ledger:
    """A file that handlers append a line to, in one write each."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.touch()

    def __str__(self):
        return str(self.path)

    @property
    def lines(self):
        return [line.split() for line in self.path.read_text(encoding="utf-8").splitlines()]

    def of(self, word):
        """The remaining words of the lines that begin with this word."""
        return [line[1:] for line in self.lines if line and line[0] == word]

    def counts(self, word="done"):
        """How often each message id has such a line."""
        return collections.Counter(line[0] for line in self.of(word))

    def wait(self, n, word="done", timeout=PATIENCE):
        wait_until(lambda: len(self.of(word)) >= n, timeout, f"{n} lines with {word} in the ledger, {self.counts(word)}")
        return self.of(word)


class Records:
    """A folder where tests/handlers/record leaves a description of each of its runs."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)

    def __str__(self):
        return str(self.folder)

    def all(self):
        found = []
        for path in sorted(self.folder.glob("*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            record["raw_environ"] = base64.b64decode(record["environ"])
            record["environ"] = dict(
                item.split(b"=", 1) for item in record["raw_environ"].split(b"\0") if b"=" in item)
            record["arguments"] = [base64.b64decode(a) for a in record["arguments"]]
            record["body"] = base64.b64decode(record["stdin"]["data"])
            if record["metadata"]:
                record["metadata"]["data"] = base64.b64decode(record["metadata"]["data"])
            found.append(record)
        return found

    def wait(self, n=1, timeout=PATIENCE):
        wait_until(lambda: len(list(self.folder.glob("*.json"))) >= n, timeout, f"{n} handler runs recorded")
        return self.all()


def alive(pid):
    """Whether the process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
