# SPDX-License-Identifier: MIT
"""Outside of systemd nobody cleans up after a daemon that is killed but its guard: the process that was started."""

import os
import signal
from pathlib import Path

import pytest

from harness import configuration, run, shell, stays, wait_until

# Two children beside the handler: one in its session, and one that has forked twice and has a session of its own. All write down
# who they are.
FAMILY = """
echo "self $$" >>"$1"
sleep 300 & echo "child $!" >>"$1"
(setsid sh -c 'echo "escaped $$" >>"$1"; exec sleep 300' escaped "$1" &)
sleep "$2"
"""


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


@pytest.fixture(name="family")
def _family(broker, rabbit, daemon, ledger, name):
    """A daemon without a service manager, with one handler that runs. (guard, pid of the daemon, pids of the handler's family)"""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "handler": shell(FAMILY, ledger, 300, kill_grace="200ms")}]), service=False)
    rabbit.publish(queue, message_id="m")
    wait_until(lambda: len(ledger.of("self") + ledger.of("child") + ledger.of("escaped")) == 3, what="three processes")
    pids = [int(line[0]) for word in ("self", "child", "escaped") for line in ledger.of(word)]
    inner, = children(d.pid)
    assert all(is_alive(pid) for pid in [inner, *pids])
    d.queue = queue
    yield d, inner, pids
    for pid in pids:
        assert not is_alive(pid)


def test_row_29_daemon_killed_under_its_guard(family, rabbit):
    d, inner, pids = family
    os.kill(inner, signal.SIGKILL)
    assert d.wait() == -signal.SIGKILL
    assert not any(is_alive(pid) for pid in [inner, *pids]), "the guard waits until nobody is left"
    rabbit.wait_depth(d.queue, 1)


def test_guard_killed(family, rabbit):
    d, inner, pids = family
    d.signal(signal.SIGKILL)
    assert d.wait() == -signal.SIGKILL
    wait_until(lambda: not any(is_alive(pid) for pid in [inner, *pids]), what="the daemon and all of its handlers gone")
    rabbit.wait_depth(d.queue, 1)
    assert "guards the daemon is gone" in d.log


def test_sigterm_drains_through_the_guard(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(FAMILY, ledger, 1)}]),
               service=False)
    rabbit.publish(queue, message_id="m")
    wait_until(lambda: ledger.of("escaped"), what="a handler")
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert [s["decision"] for s in d.settled()] == ["ack"]
    assert not is_alive(int(ledger.of("escaped")[0][0]))


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_arrives_once(broker, rabbit, daemon, ledger, name, sig):
    """As a terminal sends it. A second one would stop the handler."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(FAMILY, ledger, 2)}]),
               service=False)
    rabbit.publish(queue, message_id="m")
    wait_until(lambda: ledger.of("escaped"), what="a handler")
    os.killpg(d.pid, sig)
    assert d.wait() == 0
    assert [s["decision"] for s in d.settled()] == ["ack"]


def test_the_exit_status_is_the_daemons(daemon):
    d = daemon("queues = ();", start=False, service=False).launch()
    assert d.wait() == 78
    assert run("--config", d.config_path, "--check").returncode == 78


def test_no_guard_for_a_service(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell("cat")}]))
    stays(lambda: not children(d.pid), 0.3, "a child without a message")
    d.stop()


@pytest.mark.parametrize("service", [True, False])
def test_what_was_there_before_is_left_alone(broker, rabbit, daemon, ledger, name, service):
    """A script may start something and then execute the daemon, whose child that is then."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(FAMILY, ledger, 1)}]),
               start=False, service=service)
    d.arguments = ["/bin/sh", "-c", 'sleep 300 & echo "before $!" >>"$0"; exec "$@"', str(ledger), *d.arguments]
    d.start()
    rabbit.publish(queue)
    d.wait_settled(1)
    wait_until(lambda: ledger.of("escaped"), what="a handler's child")
    before, = [int(line[0]) for line in ledger.of("before")]
    wait_until(lambda: not is_alive(int(ledger.of("escaped")[0][0])), what="what the handler left behind gone")
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert is_alive(before)
    os.kill(before, signal.SIGKILL)


def test_what_comes_of_what_was_there_before_is_left_alone(broker, rabbit, daemon, ledger, name):
    """A child of the script ends while the daemon runs, and leaves a child of its own behind."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(FAMILY, ledger, 300)}]),
               start=False, service=False)
    d.arguments = ["/bin/sh", "-c", '{ sleep 300 & echo "before $!" >>"$0"; while ! [ -e "$0.go" ]; do sleep 0.1; done; } & '
                   'exec "$@"', str(ledger), *d.arguments]
    d.start()
    before, = [int(line[0]) for line in ledger.of("before")]
    rabbit.publish(queue)
    wait_until(lambda: ledger.of("escaped"), what="a handler's child")
    Path(f"{ledger}.go").touch()
    wait_until(lambda: before in children(d.pid), what="the orphan is the guard's")
    inner = next(pid for pid in children(d.pid) if pid != before)
    os.kill(inner, signal.SIGKILL)
    assert d.wait() == -signal.SIGKILL
    assert not is_alive(int(ledger.of("escaped")[0][0]))
    assert is_alive(before)
    os.kill(before, signal.SIGKILL)


def test_a_guard_that_sees_nothing_says_so(broker, rabbit, daemon, ledger, name):
    if os.geteuid() != 0:
        pytest.skip("only root can take /proc away")
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(FAMILY, ledger, 300)}]),
               start=False, service=False)
    d.arguments = ["unshare", "--mount", "/bin/sh", "-c", 'umount -l /proc && exec "$@"', "sh", *d.arguments]
    d.start()
    rabbit.publish(queue)
    wait_until(lambda: ledger.of("escaped"), what="a handler's child")
    inner, = children(d.pid)
    os.kill(inner, signal.SIGKILL)
    assert d.wait() == -signal.SIGKILL
    d.wait_log("the daemon has ended, and what its handlers have left behind may live on: /proc cannot be read")
    for word in ("child", "escaped"):
        os.kill(int(ledger.of(word)[0][0]), signal.SIGKILL)


def test_no_guard_where_systemd_says_that_it_has_started_us(broker, rabbit, daemon, name):
    """A service of another type than notify. With a guard it would get each signal of systemd twice."""
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell("cat")}]), start=False, service=False)
    d.arguments = ["/bin/sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh", *d.arguments]
    d.start()
    assert not children(d.pid)
    d.stop()
