# SPDX-License-Identifier: MIT
"""handler.output: what becomes of what a handler writes, whatever it writes and whoever holds the pipe."""

import re
import time

import pytest

from harness import ROOT, Daemon, configuration, shell, wait_until


def config(broker, queue, program, *arguments, **keys):
    handler_keys = keys.pop("handler", {})
    return configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "requeue": {"delay": "1min"}, "handler": shell(program, *arguments, **handler_keys), **keys}])


def output(d, stream):
    """The lines of the log with what the handler wrote."""
    return [m[1] for m in (re.search(rf"output queue=.* {stream}: (.*)$", line) for line in list(d.lines)) if m]


def test_log_is_line_by_line_and_cannot_be_forged(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    rabbit.publish(queue, message_id="m")
    d = daemon(config(broker, queue, r"printf '<0>one\nMESSAGE=two\n\033[2J\033]0;x\007three\rfour\n\n\200\nlast'; "
                                     r"printf '<3>err\n' >&2"))
    d.wait_settled(1, decision="ack")
    d.stop()
    assert output(d, "stdout") == ["<0>one", "MESSAGE=two", r"\x1b[2J\x1b]0;x\x07three\rfour", "", r"\x80", "last"]
    assert output(d, "stderr") == ["<3>err"]
    assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info|notice|warning|err): ", line) for line in d.lines)


def test_a_flood_is_bounded_and_marked(broker, rabbit, daemon, name):
    """yes: row 21. Memory stays flat, both streams are cut where they reach their limit, and the message is decided by the exit status."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, message_id="m")
    d = daemon(config(broker, queue, "timeout 3 yes 'to stdout'; timeout 1 yes 'to stderr' >&2; head -c 5000 /dev/zero | tr '\\0' x; exit 3"))
    s = d.wait_settled(1)[0]
    assert s["decision"] == "requeue" and s["exit"] == "3"
    assert d.memory("VmHWM") < 40 << 20
    d.stop()
    for stream in ("stdout", "stderr"):
        lines = output(d, stream)
        assert sum(len(line) + 1 for line in lines) <= 65536 + len(" [cut]") + 1
        assert [line for line in lines if line.endswith(" [cut]")] == lines[-1:]


def test_long_lines_are_cut(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    rabbit.publish(queue, message_id="m")
    d = daemon(config(broker, queue, "head -c 5000 /dev/zero | tr '\\0' x; echo; echo next"))
    d.wait_settled(1, decision="ack")
    d.stop()
    assert output(d, "stdout") == ["x" * 4096 + " [cut]", "next"]


def test_discard(broker, rabbit, daemon, name):
    """Nothing is logged but why a message failed; its dead letter says it, too."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    rabbit.publish(queue, message_id="m")
    d = daemon(config(broker, queue, "l=$(readlink /proc/$$/fd/1); "
                                     "echo out; echo early >&2; echo \"why $l\" >&2; exit 65",
                      handler={"output": "discard"}, outcomes={"reject": [65]}, dead_letter={"routing_key": dead}))
    s = d.wait_settled(1)[0]
    d.stop()
    assert s["decision"] == "reject" and s["stderr"] == '"why /dev/null"'
    assert not output(d, "stdout") and not output(d, "stderr")
    (properties, _), = rabbit.drain(dead)
    assert properties.headers["x-execd-stderr"] == "early\nwhy /dev/null\n"


class Redirected(Daemon):
    """A daemon with its stdout in a file, or without the descriptors that are named."""

    def __init__(self, *arguments, closed=(), stdout=None, **keys):
        super().__init__(*arguments, **keys)
        closing = "".join(f" {n}>&-" for n in closed)
        into = f' >>"{stdout}"' if stdout else ""
        self.arguments = ["sh", "-c", f'exec "$@"{into}{closing}', "sh", *self.arguments]


@pytest.fixture
def redirected(request, tmp_path):
    request.node.daemons = []

    def make(text, **keys):
        d = Redirected(tmp_path, text, **keys)
        request.node.daemons.append(d)
        return d.start()
    yield make
    for d in request.node.daemons:
        d.close()


def test_inherit(broker, rabbit, redirected, name, tmp_path):
    """The daemon's own descriptors, byte for byte: no line of the log, no reason after a failure, no pipe."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, message_id="m")
    out = tmp_path / "stdout"
    d = redirected(config(broker, queue, r"printf 'raw\0\033\nbytes'; echo 'said directly' >&2; exit 3", handler={"output": "inherit"}),
                   stdout=out)
    s = d.wait_settled(1)[0]
    assert s["decision"] == "requeue" and s["exit"] == "3" and "stderr" not in s
    wait_until(lambda: "said directly" in d.lines, what="the handler's own words on the daemon's stderr")
    d.stop()
    assert out.read_bytes() == b"raw\0\x1b\nbytes"
    assert not output(d, "stdout") and not output(d, "stderr")


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_inherit_what_the_daemon_lacks(broker, rabbit, redirected, name, tmp_path, closed):
    """Never one of the daemon's other descriptors, which would have the free numbers: /dev/null."""
    queue, seen = rabbit.declare(name()), tmp_path / "seen"
    rabbit.publish(queue, message_id="m")
    d = redirected(config(broker, queue, 'seen=$(for n in 0 1 2; do echo "$n $(readlink /proc/$$/fd/$n)"; done; ls /proc/$$/fd); '
                                         'echo "$seen" >"$1.part"; mv "$1.part" "$1"', seen, handler={"output": "inherit"}),
                   closed=closed)
    wait_until(seen.exists, what="what the handler has")
    d.signal(15)
    assert d.wait() == 0
    lines = seen.read_text(encoding="utf-8").splitlines()
    targets = dict(line.split(" ", 1) for line in lines[:3])
    assert targets["0"].startswith("pipe:")
    for n in (1, 2):
        if n in closed:
            assert targets[str(n)] == "/dev/null"
    assert lines[3:] == ["0", "1", "2", "3"], "3 is the shell's, for $()"


def test_a_grandchild_that_holds_the_pipe_delays_nothing(broker, rabbit, daemon, name):
    """Row 22, with each way of output, and with one that goes on writing."""
    queues = {}
    for output_key in ("log", "discard"):
        for descendants in ("kill", "leave"):
            # Neither outlives the test for long, even where it may live on and nobody closes its output.
            for child in ("sleep 30", "timeout 15 sh -c 'while echo flood; do sleep 0.01; done'"):
                queues[rabbit.declare(name())] = (output_key, descendants, child)
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "handler": shell(f"{child} & echo mine; exit 0", output=o, descendants=k)}
        for queue, (o, k, child) in queues.items()]))
    begun = time.monotonic()
    for queue in queues:
        rabbit.publish(queue, message_id="m")
    settled = d.wait_settled(len(queues), decision="ack")
    assert time.monotonic() - begun < 20
    assert all(float(s["duration"].rstrip("s")) < 10 for s in settled)
    d.stop()
    for queue, (output_key, _, _) in queues.items():
        mine = [line for line in d.lines if f"output queue={queue} " in line and line.endswith("stdout: mine")]
        assert len(mine) == (output_key == "log")


def test_the_unit_takes_no_priority_from_handlers():
    """With "inherit" what they write goes straight to the journal, which would look for <N> at the beginning of a line."""
    unit = (ROOT / "systemd" / "amqp-execd.service.in").read_text(encoding="utf-8")
    assert "\nSyslogLevelPrefix=no\n" in unit
