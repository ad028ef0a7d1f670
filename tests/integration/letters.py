# SPDX-License-Identifier: MIT
"""Dead letters for the tests of peek and replay, and a proxy that does something to amqp-execctl at a chosen frame."""

import contextlib
import os
import struct
import subprocess

import pika

from harness import CONTROL, PATIENCE, SANITIZER
from network import Proxy

GET, PUBLISH, ACK, NACK, CLOSE = (60, 70), (60, 40), (60, 80), (60, 120), (20, 40)


def environment(broker):
    """The URL with its password is for nobody else to see."""
    url = broker if isinstance(broker, str) else broker.url
    return {**{k: v for k, v in os.environ.items() if not k.startswith("AMQP_EXECCTL")}, "AMQP_EXECCTL_URL": url}


def execctl(broker, *arguments, status=0):
    """Runs it to its end, which has to have this status; the result has stdout and stderr as text."""
    done = subprocess.run([CONTROL, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                          env=environment(broker), check=False, encoding="utf-8", errors="replace")
    assert not SANITIZER.search(done.stderr), done.stderr
    assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


def launch(broker, *arguments):
    return subprocess.Popen([CONTROL, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=environment(broker), encoding="utf-8", errors="replace")


def bury(rabbit, work, dead, n, kind="classic", **properties):
    """Publishes messages m0, m1, ... to `work`, which is declared, as is `dead`, and rejects them, so that the broker moves them to `dead`.
    properties: values, or functions of the number."""
    rabbit.declare(dead, kind)
    rabbit.declare(work, dead_letter_exchange="", dead_letter_routing_key=dead)
    for i in range(n):
        rabbit.publish(work, f"body {i}", message_id=f"m{i}", **{k: v(i) if callable(v) else v for k, v in properties.items()})
    for _ in range(n):
        method, _, _ = rabbit.channel.basic_get(work)
        rabbit.channel.basic_reject(method.delivery_tag, requeue=False)
    rabbit.wait_depth(dead, n)
    return [f"m{i}" for i in range(n)]


def drain(rabbit, queue):
    """Takes what is in the queue: the ids, in order."""
    return [p.message_id for p, _ in rabbit.drain(queue)]


def parts(properties):
    """Everything that a message has besides its body."""
    return {k: getattr(properties, k) for k in pika.BasicProperties.__slots__ if hasattr(properties, k)} if hasattr(
        pika.BasicProperties, "__slots__") else dict(vars(properties))


class Trap(Proxy):
    """Does something when the client sends its n-th frame of a method; the frame is passed on afterwards, or not."""

    def __init__(self, port, method, n, action, pass_on):
        super().__init__(port)
        self._method, self._left, self._action, self._passes = method, n, action, pass_on
        self.sprung = False

    def _listen(self, data):
        at = 0
        while len(data) - at >= 8:
            kind, _, size = struct.unpack_from(">BHI", data, at)
            if len(data) - at < size + 8:
                break
            if kind == 1 and struct.unpack_from(">HH", data, at + 7) == self._method and not self.sprung:
                self._left -= 1
                if self._left == 0:
                    self.sprung = True
                    with contextlib.suppress(ProcessLookupError):
                        self._action()
                    if not self._passes:
                        raise OSError("not passed on")
            at += size + 8
        return data[at:]
