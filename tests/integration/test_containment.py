# SPDX-License-Identifier: MIT
"""Whatever a handler starts goes with it: when it ends, when it hangs, and only then."""

import os
import signal
import time

import pytest

from harness import configuration, handler, shell, stays, wait_until
from test_guard import FAMILY, is_alive

# The time limit strikes while all of these are there: it, its child, one that has forked twice into a session of its own.
HANGS = FAMILY.replace('\nsleep "$2"', "\ntrap '' TERM\nwhile :; do sleep 0.1; done")


def family_of(ledger, n):
    """The pids that n handlers have written down, all of them."""
    words = ("self", "child", "escaped")
    wait_until(lambda: all(len(ledger.of(word)) == n for word in words), what=f"{n} families: {ledger.path.read_text()}")
    return [int(line[0]) for word in words for line in ledger.of(word)]


@pytest.mark.parametrize("policy", ["kill", "leave"])
def test_row_19_the_whole_tree_goes_at_the_time_limit(broker, rabbit, daemon, ledger, name, policy):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "outcomes": {"on_timeout": "reject"},
         "handler": shell(HANGS, ledger, 0, timeout="3s", kill_grace="300ms", descendants=policy)}]))
    rabbit.publish(queue)
    d.wait_settled(1, decision="reject")
    pids = family_of(ledger, 1)
    wait_until(lambda: not any(map(is_alive, pids)), what="the whole tree gone")
    d.stop()


def test_row_22_what_a_handler_leaves_behind_is_killed(broker, rabbit, daemon, ledger, name):
    """It holds the output open, too, which delays nothing."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "concurrency": 4, "prefetch": 4, "handler": shell(FAMILY, ledger, 0.3)}]))
    began = time.monotonic()
    for _ in range(8):
        rabbit.publish(queue)
    d.wait_settled(8, decision="ack")
    assert time.monotonic() - began < 30
    pids = family_of(ledger, 8)
    wait_until(lambda: not any(map(is_alive, pids)), what="nobody left")
    d.stop()


def test_descendants_are_left_alone_where_that_is_wanted(broker, rabbit, daemon, ledger, tmp_path, name):
    """And those of another queue, whose handlers end all the time, are killed meanwhile."""
    leaving, killing = rabbit.declare(name("leave")), rabbit.declare(name("kill"))
    other = type(ledger)(tmp_path / "other")
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": leaving, "handler": shell(FAMILY, ledger, 0.3, descendants="leave")},
        {"name": killing, "concurrency": 2, "prefetch": 2, "handler": shell(FAMILY, other, 0.2)}]))
    rabbit.publish(leaving)
    d.wait_settled(1, leaving)
    left = [int(line[0]) for word in ("child", "escaped") for line in ledger.of(word)]
    for _ in range(6):
        rabbit.publish(killing)
    d.wait_settled(6, killing)
    killed = family_of(other, 6)
    wait_until(lambda: not any(map(is_alive, killed)), what="those gone that are to go")
    assert len(left) == 2 and all(map(is_alive, left))
    d.stop()
    assert all(map(is_alive, left)), "a stop does not touch them either"
    for pid in left:
        os.kill(pid, signal.SIGKILL)


def test_a_handler_that_runs_keeps_what_has_escaped_from_it(broker, rabbit, daemon, ledger, tmp_path, name):
    """Its double fork is nobody's business while it runs, whatever ends meanwhile."""
    slow, quick = rabbit.declare(name("slow")), rabbit.declare(name("quick"))
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": slow, "handler": shell(FAMILY, ledger, 300, kill_grace="200ms")},
        {"name": quick, "handler": shell(FAMILY, tmp_path / "quick", 0)}]))
    rabbit.publish(slow)
    pids = family_of(ledger, 1)
    for _ in range(10):
        rabbit.publish(quick)
    d.wait_settled(10, quick)
    stays(lambda: all(map(is_alive, pids)), 0.5, "the family of a running handler")
    d.signal(signal.SIGTERM)
    d.signal(signal.SIGINT)
    assert d.wait() == 0
    assert not any(map(is_alive, pids))


def test_fork_bomb_is_stopped_by_a_limit_and_the_time_limit(broker, rabbit, daemon, records, name):
    """limits.processes counts the user's processes, and root is exempt: so the handler is nobody."""
    if os.geteuid() != 0:
        pytest.skip("needs to run a handler as another user")
    queue, after = rabbit.declare(name()), rabbit.declare(name("after"))
    bomb = shell("b() { b | b & }; b; sleep 60", user="nobody", limits={"processes": 60}, timeout="1500ms", kill_grace="200ms")
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "outcomes": {"on_timeout": "reject", "otherwise": "reject", "on_signal": "reject"}, "handler": bomb},
        {"name": after, "handler": handler("record", records)}]))
    rabbit.publish(queue)
    rabbit.publish(after)
    records.wait()
    d.wait_settled(1, queue)

    def bombs():
        found = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    found += b"b() { b | b & }" in f.read()
            except OSError:
                pass
        return found
    wait_until(lambda: bombs() == 0, what="no process of the bomb")
    d.stop()
