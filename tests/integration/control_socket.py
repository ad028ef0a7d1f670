# SPDX-License-Identifier: MIT
"""A control socket without a daemon: a test says what it answers."""

import contextlib
import http.server
import json
import os
import socket
import socketserver
import threading
from pathlib import Path

from harness import EXECUTABLE

EXECCTL = Path(EXECUTABLE).with_name("amqp-execctl")

QUEUE = {"name": "mail", "broker": "main", "state": "consuming", "reason": None, "paused_by_operator": False, "leaving": False,
         "concurrency": 4, "waiting": 1, "running": 2, "publishing": 0, "held": 0,
         "counters": {"acked": 5, "requeued": 0, "retried": 0, "rejected": 0}}
STATUS = {"version": "9.9", "pid": 1, "state": "running", "ready": True, "started": "2026-01-31T12:00:00Z",
          "configuration": {"path": "/etc/x.conf", "loaded": "2026-01-31T12:00:00Z"}, "last_reload": None,
          "handlers": {"running": 2, "max": 8},
          "brokers": [{"name": "main", "host": "mq1", "port": 5672, "state": "up", "reason": None, "publisher": None}],
          "queues": [QUEUE, {**QUEUE, "name": "two words", "running": 0}]}


class Socket:
    """A control socket that gives the same answers to the same questions, and keeps a list of them."""

    def __init__(self, path):
        self.path = path
        self.answers = {}  # "GET /v1/status": (200, value), or a function that returns that
        self.asked = []
        self.connections = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                line = f"{self.command} {self.path}"
                owner.asked.append(line)
                answer = owner.answers.get(line, (404, {"error": "there is nothing of this path"}))
                status, body = answer() if callable(answer) else answer
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

            def address_string(self):
                return "client"

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def process_request(self, request, client_address):
                owner.connections.append(request)
                super().process_request(request, client_address)

            def handle_error(self, request, client_address):
                """A client that goes before it has its answer is none."""

        self.server = Server(str(path), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if k not in ("AMQP_EXECCTL_SOCKET", "NO_COLOR", "RUNTIME_DIRECTORY", "TERM")}
    return {**clean, **more}
