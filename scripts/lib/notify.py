# SPDX-License-Identifier: MIT
"""systemd's end of sd_notify(3), for programs that start the daemon themselves."""

import socket
import threading
import time


class Notifications:
    """The receiving end of NOTIFY_SOCKET: every assignment with the time when it came."""

    def __init__(self, path):
        self.path = str(path)
        self.items = []  # (monotonic time, name, value)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self.path)
        self._socket.settimeout(0.2)
        self._closed = False
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self):
        while not self._closed:
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                continue
            except OSError:
                return
            now = time.monotonic()
            for line in data.decode("utf-8", "replace").splitlines():
                name, _, value = line.partition("=")
                self.items.append((now, name, value))

    def values(self, name):
        return [v for _, n, v in list(self.items) if n == name]

    def times(self, name):
        return [t for t, n, _ in list(self.items) if n == name]

    @property
    def status(self):
        return (self.values("STATUS") or [""])[-1]

    def flush(self):
        """Waits until everything that has been sent so far is recorded."""
        mark = f"FLUSH={time.monotonic_ns()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(mark.encode(), self.path)
        deadline = time.monotonic() + 5
        while mark[6:] not in self.values("FLUSH") and time.monotonic() < deadline:
            time.sleep(0.005)

    def close(self):
        self._closed = True
        self._thread.join(2)
        self._socket.close()
