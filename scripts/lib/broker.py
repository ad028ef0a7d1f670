#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A throw-away RabbitMQ node of one's own, or a cluster of them: for the tests, the demo and the benchmark.

Everything it has is its own: node name, ports, epmd, cookie, database, log and list of plugins, all in one temporary
folder, listening on the loopback only. A broker that the machine runs is neither used nor disturbed, its configuration in
/etc/rabbitmq is not read, and several such nodes may run at once. It runs as whatever user calls it.

As a program: `scripts/lib/broker.py` starts a node, prints its URL and stops it on Ctrl-C.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN = "/usr/lib/rabbitmq/bin"
RESERVED = {4369, 5671, 5672, 15672, 25672, *range(35672, 35683)}
HOST = "127.0.0.1"

_claims = []


def _claim(port):
    """What keeps another process of ours from taking the port before whoever it is for listens on it: a name that only one can
    have, for as long as this process lives. OSError: somebody else has it."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        s.bind(f"\0amqp-execd-port-{port}")
    except OSError:
        s.close()
        raise
    return s


def free_ports(n, claim=True):
    """n different ports that nobody uses. From below the range of ephemeral ports: a client that keeps connecting to a
    closed port of that range (the node is down) can be given this very port as its own, and connects to itself."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        top = int(f.read().split()[0])
    low, high = (10000, top - 1) if top > 12000 else (10000, 32000)
    found = []
    for _ in range(10000):
        port = random.SystemRandom().randrange(low, high)
        if port in RESERVED or port in found:
            continue
        with socket.socket() as s:
            try:
                s.bind((HOST, port))
                if claim:
                    _claims.append(_claim(port))
            except OSError:
                continue
        found.append(port)
        if len(found) == n:
            return found
    raise RuntimeError("no free ports")


def end_process(process, sig=signal.SIGKILL, timeout=20):
    """Signals a child of ours (it leads its own process group, which gets the signal) and reaps it."""
    if process is None:
        return
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sig)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class BrokerError(Exception):
    pass


class Broker:
    """One node. start() and stop() may be called again and again: the database stays until close()."""

    def __init__(self, config="", parent=None, peer=None, advanced="[]"):
        """config: further lines for its rabbitmq.conf; advanced: its advanced.config. parent: the folder to make its folder in.
        peer: a node that it shall be able to talk to: shares that one's epmd, which has to run when this one starts, and its
        cookie."""
        self.folder = tempfile.mkdtemp(prefix="broker-", dir=parent)
        self.port, self.dist_port, self.epmd_port = free_ports(3)
        self.cookie = f"{random.SystemRandom().getrandbits(100)}"
        self.has_epmd = peer is None
        if peer is not None:
            self.epmd_port, self.cookie = peer.epmd_port, peer.cookie
        self.node = f"execd{self.port}@localhost"
        self.username, self.password, self.vhost = "guest", "guest", "/"
        self.epmd = None
        self.server = None
        self._write("env.conf", "")
        self._write("advanced.config", f"{advanced}.\n")
        self._write("enabled_plugins", "[].\n")
        self._write("rabbitmq.conf", f"""\
listeners.tcp.1 = {HOST}:{self.port}
num_acceptors.tcp = 4
log.console = false
log.file.level = info
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.relative = 0.6
{config}
""")
        for d in ("home", "mnesia", "log", "conf.d", "generated"):
            os.mkdir(os.path.join(self.folder, d), 0o700)
        self._write("home/.erlang.cookie", self.cookie)
        os.chmod(self._path("home/.erlang.cookie"), 0o400)

    def configure(self, lines):
        """Further lines for its rabbitmq.conf, before it is started."""
        with open(self._path("rabbitmq.conf"), "a", encoding="utf-8") as f:
            f.write(lines)

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def _path(self, name):
        return os.path.join(self.folder, name)

    @property
    def url(self):
        return f"amqp://{self.username}:{self.password}@{HOST}:{self.port}/%2F"

    @property
    def environment(self):
        """The environment of the node and of rabbitmqctl: nothing of the caller's gets in but PATH."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": self._path("home"),  # the cookie
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_CONF_ENV_FILE": self._path("env.conf"),
            "RABBITMQ_CONFIG_FILE": self._path("rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": self._path("conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": self._path("advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": self._path("generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._path("enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": self._path("mnesia"),
            "RABBITMQ_LOG_BASE": self._path("log"),
            "RABBITMQ_PID_FILE": self._path("pid"),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +A 16",
            # Makes the start script become the node instead of waiting for it: the pid that is signalled is the node's.
            "detached": "yes",
        }

    def start(self, timeout=90):
        """Starts the node and waits until it takes connections."""
        return self.launch().wait_ready(timeout)

    def launch(self):
        """Starts the node. It ends with the thread that calls this."""
        # setpriv: if whoever runs this is killed, the node goes with it.
        command = ["setpriv", "--pdeathsig", "KILL"]
        output = open(self._path("output"), "ab")
        with output:
            if self.has_epmd and (self.epmd is None or self.epmd.poll() is not None):
                self.epmd = subprocess.Popen(
                    command + ["epmd", "-port", str(self.epmd_port), "-address", HOST],
                    env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True)
                self._await_port(self.epmd_port, self.epmd, time.monotonic() + 10, None)
            self.server = subprocess.Popen(
                command + [f"{BIN}/rabbitmq-server"],
                env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)
        return self

    def wait_ready(self, timeout=90):
        """Waits until it takes connections."""
        self._await_port(self.port, self.server, time.monotonic() + timeout, b"AMQP\x00\x00\x09\x01")
        return self

    def _await_port(self, port, process, deadline, hello):
        while True:
            if process.poll() is not None:
                raise BrokerError(f"{process.args[3]} has ended with {process.returncode}:\n{self.log_tail()}")
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 2) as s:
                if hello is None:
                    return
                s.settimeout(10)
                s.sendall(hello)
                if s.recv(1) == b"\x01":  # a method frame: connection.start
                    return
            if time.monotonic() > deadline:
                raise BrokerError(f"port {port} is not ready:\n{self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self, lines=25):
        text = ""
        for name in ("output", f"log/{self.node}.log"):
            with contextlib.suppress(OSError), open(self._path(name), encoding="utf-8", errors="replace") as f:
                text += f"--- {name}\n" + "".join(f.readlines()[-lines:])
        return text

    @property
    def running(self):
        return self.server is not None and self.server.poll() is None

    def kill(self):
        """kill -9: what is not on disk is lost."""
        end_process(self.server)
        self.server = None

    def stop(self):
        """An orderly stop of the node; its data stays."""
        end_process(self.server, signal.SIGTERM, timeout=30)
        self.server = None

    def freeze(self):
        os.kill(self.server.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.server.pid, signal.SIGCONT)

    def ctl(self, *arguments, timeout=180):
        """rabbitmqctl for this node; returns what it prints."""
        port = str(free_ports(1, claim=False)[0])  # its own default range may be in use by another node's
        environment = dict(self.environment, RABBITMQ_CTL_DIST_PORT_MIN=port, RABBITMQ_CTL_DIST_PORT_MAX=port)
        done = subprocess.run([f"{BIN}/rabbitmqctl", "-q", "-n", self.node, *arguments], env=environment, cwd=self.folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              text=True, check=False)
        if done.returncode != 0:
            raise BrokerError(f"rabbitmqctl {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def close(self):
        """Ends the node and its epmd and removes everything they had."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.server.pid, signal.SIGCONT)
        self.kill()
        end_process(self.epmd)
        self.epmd = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()


class Cluster:
    """Several nodes that are one broker, all on this machine."""

    def __init__(self, n=3, advanced="[]"):
        self.nodes = [Broker(advanced=advanced)]
        self.nodes += [Broker(peer=self.nodes[0], advanced=advanced) for _ in range(n - 1)]
        lines = "cluster_formation.peer_discovery_backend = classic_config\n" + "".join(
            f"cluster_formation.classic_config.nodes.{i} = {node.node}\n" for i, node in enumerate(self.nodes, 1))
        for node in self.nodes:
            node.configure(lines)

    def start(self, timeout=120):
        """Starts them all and waits until they are one cluster."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_ready(timeout)
        deadline = time.monotonic() + timeout
        while len(self.members()) < len(self.nodes):
            if time.monotonic() > deadline:
                raise BrokerError(f"{self.members()} are all of the cluster:\n{self.nodes[-1].log_tail()}")
            time.sleep(0.2)
        return self

    def members(self):
        """The names of the nodes that run, as one of them sees it."""
        node = next(n for n in self.nodes if n.running)
        return json.loads(node.ctl("cluster_status", "--formatter", "json"))["running_nodes"]

    def replicas(self, queue):
        """(the node that leads a quorum queue or None, how many of its members run)."""
        node = next(n for n in self.nodes if n.running)
        for row in json.loads(node.ctl("list_queues", "name", "leader", "online", "--formatter", "json")):
            if row["name"] == queue:
                leader = next((n for n in self.nodes if n.node == row["leader"] and n.running), None)
                return leader, len(row["online"])
        return None, 0

    def close(self):
        for node in reversed(self.nodes):  # the first one has the epmd
            node.close()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()


def main():
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(0))
    with Broker() as broker:
        print(broker.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            broker.server.wait()


if __name__ == "__main__":
    main()
