# SPDX-License-Identifier: MIT
"""Networks to break, and to listen to: a proxy between the daemon and its broker, a network namespace for the daemon, ss -K."""

import contextlib
import itertools
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness import free_ports


class Proxy:
    """A port that leads to a broker, and what lies between. What the broker sends is taken apart into frames, so that confirms
    can be held back and a frame can be cut in the middle. Used as a context; refuses connections until open()."""

    CONFIRMS = {(60, 80), (60, 120)}  # basic.ack and basic.nack: from a broker these are confirms
    SETTLEMENTS = {(60, 80): "ack", (60, 90): "reject", (60, 120): "nack"}  # from a client; a tag and bits follow

    def __init__(self, port, host="127.0.0.1"):
        self._target, self.host, self.port = port, host, free_ports(1)[0]
        self.accepted = []  # when
        self.latency = 0.0  # seconds, each way
        self.confirms = "pass"  # "swallow": not passed on; "cut": the connection ends instead
        self.swallowed = 0
        self.settlements = []  # (method, channel, tag, the lowest bit: multiple, or that of a reject: requeue) in order
        self._flowing = threading.Event()
        self._flowing.set()
        self._pairs, self._listener = [], None
        self._lock = threading.Lock()

    @property
    def url(self):
        return f"amqp://guest:guest@{self.host}:{self.port}/%2F"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.refuse()
        self._flowing.set()
        self.cut()

    def open(self):
        self._listener = socket.create_server((self.host, self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def refuse(self):
        """From now on the port is closed; connections that exist stay."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._listener.close()
            self._listener = None

    def stall(self):
        """Passes nothing on, and keeps every connection: to both sides the other one is silent."""
        self._flowing.clear()

    def flow(self):
        self._flowing.set()

    def cut(self):
        """Resets every connection, on both sides."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self._reset(pair)

    def inject(self, data):
        """Sends this to every client, between two frames, and then cuts."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            with contextlib.suppress(OSError):
                pair[0].sendall(data)
        time.sleep(0.2)
        self.cut()

    @staticmethod
    def _reset(pair):
        for s in pair:
            with contextlib.suppress(OSError):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.shutdown(socket.SHUT_RDWR)
        for s in pair:
            s.close()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted.append(time.monotonic())
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            with self._lock:
                self._pairs.append(pair)
            for pump in (self._to_broker, self._to_client):
                threading.Thread(target=self._run, args=(pump, pair), daemon=True).start()

    def _run(self, pump, pair):
        with contextlib.suppress(OSError):
            pump(*pair)
        with self._lock:
            mine = pair in self._pairs
            if mine:
                self._pairs.remove(pair)
        if mine:
            for s in pair:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, s, data):
        if self.latency:
            time.sleep(self.latency)
        self._flowing.wait()
        s.sendall(data)

    def _to_broker(self, client, server):
        greeting, pending = client.recv(8, socket.MSG_WAITALL), b""
        self._pass_on(server, greeting)
        while data := client.recv(65536):
            pending = self._listen(pending + data)
            self._pass_on(server, data)

    def _listen(self, data):
        """Notes what a client settles; returns the beginning of a frame."""
        at = 0
        while len(data) - at >= 8:
            kind, channel, size = struct.unpack_from(">BHI", data, at)
            if len(data) - at < size + 8:
                break
            name = self.SETTLEMENTS.get(struct.unpack_from(">HH", data, at + 7)) if kind == 1 else None
            if name:
                tag, bits = struct.unpack_from(">QB", data, at + 11)
                self.settlements.append((name, channel, tag, bits & 1))
            at += size + 8
        return data[at:]

    def _to_client(self, client, server):
        pending = b""
        while data := server.recv(65536):
            passed, pending = self._frames(pending + data)
            if passed is None:
                return
            if passed:
                self._pass_on(client, passed)

    def _frames(self, data):
        """(what is passed on of the whole frames, the beginning of a frame); None instead to cut the connection."""
        passed, at = [], 0
        while len(data) - at >= 7:
            kind, _, size = struct.unpack_from(">BHI", data, at)
            end = at + 7 + size + 1
            if len(data) < end:
                break
            held = kind == 1 and self.confirms != "pass" and struct.unpack_from(">HH", data, at + 7) in self.CONFIRMS
            if held:
                self.swallowed += 1
                if self.confirms == "cut":
                    return None, b""
            else:
                passed.append(data[at:end])
            at = end
        return b"".join(passed), data[at:]


class Namespace:
    """A network namespace with one link to this one. Used as a context; `here` is our address, for a proxy to listen on."""

    _numbers = itertools.count(os.getpid() % 16000)

    def __init__(self):
        n = next(self._numbers) % 16384
        self.name = f"execd{n}"
        # A subnetwork of its own of 198.18.0.0/15, which is set aside for tests of networks.
        self.here, self.there = (f"198.18.{n // 64}.{n % 64 * 4 + i}" for i in (1, 2))

    def __enter__(self):
        need_root("ip", "nft", "tc", "nsenter")
        made = subprocess.run(["ip", "netns", "add", self.name], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
        try:
            self._ip("link", "add", self.name, "type", "veth", "peer", "name", "uplink", "netns", self.name)
            self._ip("address", "add", f"{self.here}/30", "dev", self.name)
            self._ip("link", "set", self.name, "up")
            self._ip("-n", self.name, "address", "add", f"{self.there}/30", "dev", "uplink")
            self._ip("-n", self.name, "link", "set", "uplink", "up")
            self._ip("-n", self.name, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "delete", self.name], check=False)

    @staticmethod
    def _ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    def _inside(self, *arguments):
        subprocess.run(["nsenter", f"--net=/run/netns/{self.name}", *arguments], check=True)

    def house(self, daemon):
        """Lets a daemon that has not been started live in it."""
        daemon.arguments[:0] = ["nsenter", f"--net=/run/netns/{self.name}", "--"]
        return daemon

    def drop(self, condition=""):
        """Packets in both directions vanish, all or those that the condition of nft selects."""
        for command in ("add table inet broken",
                        "add chain inet broken in { type filter hook input priority 0; }",
                        "add chain inet broken out { type filter hook output priority 0; }",
                        f"add rule inet broken in iifname uplink {condition} drop",
                        f"add rule inet broken out oifname uplink {condition} drop"):
            self._inside("nft", command)

    def heal(self):
        self._inside("nft", "flush", "ruleset")

    def slow(self, rate):
        """Both directions carry no more than this ("2mbit")."""
        for where in (["tc", "qdisc", "add", "dev", self.name], ["tc", "-n", self.name, "qdisc", "add", "dev", "uplink"]):
            subprocess.run([*where, "root", "tbf", "rate", rate, "burst", "16kb", "latency", "300ms"], check=True)


def need_root(*tools):
    if os.geteuid() != 0:
        pytest.skip("only root can break the network")
    for tool in tools:
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"{tool} is not installed")


def reset_connections(pid, port):
    """ss -K for the connections of a process to this local port; returns how many there were."""
    need_root("ss")
    listed = subprocess.run(["ss", "-tnpH", "state", "established", "dst", f"127.0.0.1:{port}"], check=True,
                            capture_output=True, text=True).stdout
    mine = [int(m[1]) for m in re.finditer(rf"127\.0\.0\.1:(\d+) .*pid={pid},", listed)]
    for n in mine:
        subprocess.run(["ss", "-tK", "src", f"127.0.0.1:{n}", "dst", f"127.0.0.1:{port}"], check=True, capture_output=True)
    return len(mine)
