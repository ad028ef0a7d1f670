# SPDX-License-Identifier: MIT
"""The units by themselves, and the drop-in that is shipped as an example."""

import pytest

from service import STATE, UNIT, queue, sh

UNITS = ["amqp-execd.service", "amqp-execd@x.service", "amqp-execd-control.socket", "amqp-execd-control@x.socket",
         "amqp-execd-monitor.socket"]


@pytest.mark.parametrize("unit", UNITS)
def test_verify_is_silent(service, unit):
    code, text = service.machine.status("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit)
    assert (code, text) == (0, "")


@pytest.mark.parametrize("unit", ["amqp-execd.service", "amqp-execd@x.service"])
def test_little_to_attack(service, unit):
    code, text = service.machine.status("systemd-analyze", "security", "--no-pager", "--threshold=15", "--offline=true",
                                        unit.replace("@x", "@"))
    assert code == 0, text
    # What systemd has made of it, and not only what the file says.
    code, text = service.machine.status("systemd-analyze", "security", "--no-pager", "--threshold=15", unit)
    assert code == 0, text


def test_installed_modes(service):
    """Who may read what may hold passwords; and the user, who cannot log in."""
    m = service.machine
    assert m.run("stat", "--format", "%a %U %G %n", "/etc/amqp-execd/amqp-execd.conf", "/etc/amqp-execd/conf.d",
                 "/etc/amqp-execd/credentials").splitlines() == [
        "640 root amqp-execd /etc/amqp-execd/amqp-execd.conf", "755 root root /etc/amqp-execd/conf.d",
        "700 root root /etc/amqp-execd/credentials"]
    assert m.run("getent", "passwd", "amqp-execd").split(":")[5:] == [STATE, "/usr/sbin/nologin\n"]
    assert m.run("getent", "shadow", "amqp-execd").split(":")[1].startswith("!")


def test_a_handler_without_memory_is_not_the_end_of_the_service(service):
    assert service.show("OOMPolicy") == "continue"


def test_privileged_drop_in(service, broker, rabbit):
    """The example as it is shipped: root runs handlers as other users, raises their priority, and ends all that they have started."""
    m = service.machine
    installed = "/usr/share/doc/amqp-execd/examples/privileged.conf"
    if not m.path(installed).exists():  # minimal roots leave documentation out
        installed = "/mnt/examples/privileged.conf"
    service.drop_in(m.read(installed), name="privileged")
    ledger = service.ledger("/var/spool/ledger")  # where users other than the service's may write
    service.configure(
        broker,
        queue("as-news", sh('echo "done $(id -un):$(id -gn):$(nice)" >>"$1"', ledger, user="news", nice=-5), declare={}),
        queue("as-games", sh('setsid sleep 1000 & echo "start $! $(id -un)" >>"$1"; trap "" TERM; wait', ledger, user="games",
                             timeout="1s", kill_grace="500ms"), declare={}, outcomes={"on_timeout": "reject"}))
    service.start()
    service.consuming()
    rabbit.publish("as-news", b"x")
    rabbit.publish("as-games", b"x")
    ledger.wait(1)
    assert ledger.counts() == {"news:news:-5": 1}
    [[pid, user]] = ledger.wait(1, "start")
    assert user == "games"
    service.log("as-games tag=1")
    m.wait_until(lambda: m.pids(UNIT) == [service.pid], lambda: f"none but the daemon: {m.pids(UNIT)}, {pid}")
    assert m.run("stat", "--format", "%U", f"/proc/{service.pid}").strip() == "root"
