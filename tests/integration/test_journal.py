# SPDX-License-Identifier: MIT
"""The log as journal entries: a journal of our own listens on the socket that systemd-journald would have."""

import socket
import struct
import subprocess
import threading

import pytest

from harness import configuration, shell, wait_until

# In a mount namespace of its own the daemon finds our socket in the journal's place, and a JOURNAL_STREAM that says, as
# systemd would, that its standard error goes there.
WRAPPER = r"""
set -e
mkdir -p /run/systemd/journal 2>/dev/null || { mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; }
mount --bind "$1" /run/systemd/journal
JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)
export JOURNAL_STREAM
shift
exec "$@"
"""


def parse(datagram):
    """The journal's native protocol: NAME=value lines, or NAME, a little-endian length and the bytes."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
            datagram = rest
        else:
            name, size = line, struct.unpack("<Q", rest[:8])[0]
            value, datagram = rest[8:8 + size], rest[8 + size + 1:]
        fields[name.decode()] = value
    return fields


class Journal:
    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        self.entries = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "socket"))
        self._socket.settimeout(0.2)
        self._open = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while self._open:
            try:
                self.entries.append(parse(self._socket.recv(1 << 20)))
            except TimeoutError:
                pass

    def close(self):
        self._open = False
        self._reader.join()
        self._socket.close()

    def wait(self, what, **fields):
        """The first entry with these fields."""
        wanted = {k: v if isinstance(v, bytes) else str(v).encode() for k, v in fields.items()}
        return wait_until(lambda: next((e for e in list(self.entries) if wanted.items() <= e.items()), None),
                          what=f"{what} among {self.entries}")


@pytest.fixture
def journal(tmp_path_factory):
    j = Journal(tmp_path_factory.mktemp("j") / "j")
    yield j
    j.close()


@pytest.fixture
def journaled(daemon, journal):
    """Makes daemons whose standard error is the journal."""
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("no mount namespace can be made here (no privilege, or in a chroot)")

    def make(config):
        d = daemon(config, start=False)
        d.arguments = ["unshare", "--mount", "sh", "-c", WRAPPER, "sh", str(journal.folder), *d.arguments]
        return d.start()
    return make


def test_fields_of_settled_messages(broker, rabbit, journaled, journal, name):
    queue = rabbit.declare(name())
    d = journaled(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "requeue": {"delay": "1min"}, "prefetch": 10, "handler": shell(
            'case $AMQP_MESSAGE_ID in good) exit 0;; bad) exit 3;; *) kill -SEGV $$;; esac')}]))
    for message_id in ("good", "bad", "killed"):
        rabbit.publish(queue, message_id=message_id)

    good = journal.wait("an ack", AMQP_QUEUE=queue, AMQP_MESSAGE_ID="good", AMQP_OUTCOME="ack")
    assert good["PRIORITY"] == b"6" and good["HANDLER_EXIT_STATUS"] == b"0" and "HANDLER_SIGNAL" not in good
    assert good["AMQP_DELIVERY_TAG"] == b"1" and good["AMQP_ATTEMPT"] == b"1"
    assert 0 < int(good["HANDLER_DURATION_USEC"]) < 60_000_000
    assert good["MESSAGE"].startswith(b"settled queue=") and b" decision=ack" in good["MESSAGE"]
    assert good["SYSLOG_IDENTIFIER"] == b"amqp-execd"

    bad = journal.wait("a requeue", AMQP_MESSAGE_ID="bad", AMQP_OUTCOME="requeue")
    assert bad["PRIORITY"] == b"4" and bad["HANDLER_EXIT_STATUS"] == b"3"
    killed = journal.wait("a death by signal", AMQP_MESSAGE_ID="killed", AMQP_OUTCOME="requeue")
    assert killed["HANDLER_SIGNAL"] == b"11" and "HANDLER_EXIT_STATUS" not in killed
    d.stop()
    assert not d.lines, "nothing goes to standard error as well"


def test_fields_of_output_and_of_hostile_ids(broker, rabbit, journaled, journal, name):
    queue = rabbit.declare(name())
    hostile = "id\nPRIORITY=0\nMESSAGE=forged\x1b[2J"
    d = journaled(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(
        r'printf "<0>PRIORITY=0\033[2J\n"; echo why >&2')}]))
    rabbit.publish(queue, message_id=hostile)

    out = journal.wait("a line of stdout", AMQP_QUEUE=queue, HANDLER_STREAM="stdout")
    assert out["PRIORITY"] == b"6" and out["AMQP_MESSAGE_ID"] == hostile.encode() and int(out["HANDLER_PID"]) > 1
    assert out["MESSAGE"].endswith(rb"stdout: <0>PRIORITY=0\x1b[2J")
    err = journal.wait("a line of stderr", AMQP_QUEUE=queue, HANDLER_STREAM="stderr")
    assert err["PRIORITY"] == b"5" and err["MESSAGE"].endswith(b"stderr: why")
    ack = journal.wait("the ack", AMQP_QUEUE=queue, AMQP_OUTCOME="ack")
    assert ack["AMQP_MESSAGE_ID"] == hostile.encode()
    assert all(b"\n" not in e["MESSAGE"] and b"\x1b" not in e["MESSAGE"] for e in journal.entries)
    assert not any(e["MESSAGE"] == b"forged\x1b[2J" or e["PRIORITY"] == b"0" for e in journal.entries)
    d.stop()
