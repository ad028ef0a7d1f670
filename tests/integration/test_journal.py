# SPDX-License-Identifier: MIT
"""The log as journal entries: a journal of our own listens on the socket that systemd-journald would have."""

import re
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from harness import configuration, free_ports, shell, wait_until

ROOT = Path(__file__).resolve().parents[2]
EVENTS = dict(re.findall(r'\{"([a-z-]+)", "([0-9a-f]{32})"\}', (ROOT / "src" / "base" / "log_event.c").read_text(encoding="utf-8")))

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


def fields_of_catalog():
    """By id, what journalctl puts into the text that explains it."""
    text = (ROOT / "systemd" / "amqp-execd.catalog").read_text(encoding="utf-8")
    return {part[:32].encode(): set(re.findall("@([A-Z_]+)@", part)) for part in text.split("\n-- ")[1:]}


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

    def wait_event(self, name, **fields):
        return self.wait(name, MESSAGE_ID=EVENTS[name], **fields)

    def check(self):
        """Whatever matters has an id, and with it all that its explanation needs."""
        needed = fields_of_catalog()
        for entry in self.entries:
            assert "MESSAGE_ID" in entry or int(entry["PRIORITY"]) > 5, entry
            assert needed[entry["MESSAGE_ID"]] <= set(entry) if "MESSAGE_ID" in entry else True, entry


@pytest.fixture
def journal(tmp_path_factory):
    j = Journal(tmp_path_factory.mktemp("j") / "j")
    yield j
    j.close()
    j.check()


@pytest.fixture
def journaled(daemon, journal):
    """Makes daemons whose standard error is the journal."""
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("no mount namespace can be made here (no privilege, or in a chroot)")

    def make(config, start=True):
        d = daemon(config, start=False)
        d.arguments = ["unshare", "--mount", "sh", "-c", WRAPPER, "sh", str(journal.folder), *d.arguments]
        return d.start() if start else d.launch()
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
    assert good["MESSAGE_ID"].decode() == EVENTS["message-acked"] and "AMQP_REASON" not in good
    assert good["SYSLOG_IDENTIFIER"] == b"amqp-execd"

    bad = journal.wait("a requeue", AMQP_MESSAGE_ID="bad", AMQP_OUTCOME="requeue")
    assert bad["PRIORITY"] == b"4" and bad["HANDLER_EXIT_STATUS"] == b"3"
    assert bad["MESSAGE_ID"].decode() == EVENTS["message-requeued"]
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
    assert out["MESSAGE_ID"].decode() == EVENTS["handler-output"]
    err = journal.wait("a line of stderr", AMQP_QUEUE=queue, HANDLER_STREAM="stderr")
    assert err["PRIORITY"] == b"5" and err["MESSAGE"].endswith(b"stderr: why")
    ack = journal.wait("the ack", AMQP_QUEUE=queue, AMQP_OUTCOME="ack")
    assert ack["AMQP_MESSAGE_ID"] == hostile.encode()
    assert all(b"\n" not in e["MESSAGE"] and b"\x1b" not in e["MESSAGE"] for e in journal.entries)
    assert not any(e["MESSAGE"] == b"forged\x1b[2J" or e["PRIORITY"] == b"0" for e in journal.entries)
    d.stop()


def test_events_of_a_life(broker, rabbit, journaled, journal, name, tmp_path):
    """From the start to the end: a broker that is there, one that is not, and one that does not know us; a handler that cannot be
    executed for a while."""
    queue, other = rabbit.declare(name()), name("other")
    command = tmp_path / "command"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o644)
    closed = free_ports(1)[0]
    d = journaled(configuration(
        brokers=[{"name": "here", "url": broker.url}, {"name": "gone", "url": f"amqp://127.0.0.1:{closed}"},
                 {"name": "strange", "url": f"amqp://nobody:wrong@127.0.0.1:{broker.port}"}],
        queues=[{"name": queue, "broker": "here", "handler": {"command": [str(command)]}},
                {"name": other, "broker": "gone", "handler": {"command": ["/bin/true"]}},
                {"name": other + "-2", "broker": "strange", "handler": {"command": ["/bin/true"]}}]))

    assert journal.wait_event("starting")["CONFIG_FILE"].endswith(b".conf")
    here = journal.wait_event("broker-connected", AMQP_BROKER="here")
    assert here["AMQP_HOST"] == b"127.0.0.1" and here["AMQP_PORT"] == str(broker.port).encode() and "AMQP_REASON" not in here
    assert here["PRIORITY"] == b"6"
    gone = journal.wait_event("broker-unreachable", AMQP_BROKER="gone", AMQP_PORT=closed)
    assert gone["PRIORITY"] == b"4" and gone["AMQP_REASON"] in gone["MESSAGE"] and b"refused" in gone["AMQP_REASON"]
    strange = journal.wait_event("broker-refused-login", AMQP_BROKER="strange", AMQP_PORT=broker.port)
    assert strange["PRIORITY"] == b"4" and b"refused the login" in strange["AMQP_REASON"]
    assert not any(b"wrong" in value for entry in list(journal.entries) for value in entry.values())
    journal.wait_event("queue-consuming", AMQP_QUEUE=queue)
    journal.wait_event("ready")

    rabbit.publish(queue, message_id="early")
    paused = journal.wait_event("queue-paused-handler", AMQP_QUEUE=queue, PRIORITY=3)
    assert str(command).encode() in paused["AMQP_REASON"] and paused["AMQP_REASON"] in paused["MESSAGE"]
    returned = journal.wait_event("message-returned", AMQP_QUEUE=queue, AMQP_MESSAGE_ID="early")
    assert returned["PRIORITY"] == b"6" and b"reason=" in returned["MESSAGE"] and returned["AMQP_REASON"]
    command.chmod(0o755)
    journal.wait_event("queue-probing", AMQP_QUEUE=queue, AMQP_REASON="the handler looks executable again")
    assert journal.wait_event("queue-resumed", AMQP_QUEUE=queue)["PRIORITY"] == b"5"
    journal.wait_event("message-acked", AMQP_QUEUE=queue, AMQP_MESSAGE_ID="early")
    d.stop()
    ids = [e.get("MESSAGE_ID", b"").decode() for e in journal.entries]
    assert ids.index(EVENTS["stopping"]) < ids.index(EVENTS["stopped"]) == len(ids) - 1


def test_events_of_what_is_published(broker, rabbit, journaled, journal, name):
    """Where a reply and forwarded output went, or could not go."""
    queue, replies, target = rabbit.declare(name()), rabbit.declare(name("replies")), rabbit.declare(name("target"))
    d = journaled(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": shell("echo done"), "reply": True, "requeue": {"delay": "1min"}, "prefetch": 2,
        "forward": {"exchange": "amq.direct", "routing_key": "%{message_id}"}}]))
    rabbit.channel.queue_bind(target, "amq.direct", target)
    rabbit.publish(queue, message_id=target, reply_to=replies)
    rabbit.publish(queue, message_id="unknown", reply_to=replies)

    known = journal.wait_event("message-acked", AMQP_QUEUE=queue, AMQP_MESSAGE_ID=target)
    assert known["AMQP_REPLY"] == replies.encode() and known["AMQP_FORWARD"] == f"amq.direct/{target}".encode()
    unknown = journal.wait_event("publication-failed", AMQP_QUEUE=queue, AMQP_MESSAGE_ID="unknown")
    assert unknown["AMQP_REPLY"] == replies.encode() and unknown["AMQP_FORWARD"] == b"amq.direct/unknown"
    assert unknown["AMQP_OUTCOME"] == b"requeue" and unknown["PRIORITY"] == b"4"
    assert unknown["AMQP_REASON"].startswith(b"the forwarded output was returned") and b" decision=requeue " in unknown["MESSAGE"]
    d.stop()


def test_events_of_the_configuration(journaled, journal):
    """Each error is an event of its own, with its place."""
    text = configuration(broker={"url": "amqp://localhost", "hearbeat": 3}, queues=[{"name": "q", "prefetch": 0, "handler": shell(":")}])
    d = journaled(text, start=False)
    assert d.wait() == 78
    for key, where in (("broker.hearbeat", "hearbeat ="), ("queues[0].prefetch", "prefetch =")):
        line = 1 + next(n for n, content in enumerate(text.splitlines()) if where in content)
        e = journal.wait_event("configuration-refused", CONFIG_LINE=line, CONFIG_FILE=str(d.config_path), CONFIG_KEY=key)
        assert e["PRIORITY"] == b"3" and e["MESSAGE"] == f"{d.config_path}:{line}: {key}: ".encode() + e["AMQP_REASON"]
    assert len(journal.entries) == 2
