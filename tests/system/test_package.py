# SPDX-License-Identifier: MIT
"""Installation, upgrade, removal and purge, on a machine where systemd runs."""

import concurrent.futures

import pytest

from faults import Account, Load, wait_handled

from service import CONF, GATE, HANDLERS, PACKAGE, UNIT, gated, queue, sh


@pytest.fixture
def bare(service):
    """The machine without the package, afterwards, too."""
    service.purge()
    yield service
    if service.machine.status("dpkg-query", "--show", PACKAGE)[0] == 0:
        service.stop_all()
        service.purge()


def leftovers(machine):
    """What there is of the package on the machine."""
    found = machine.run("find", "/etc", "/run", "/var", "/usr", "/lib", "/home", "-xdev", "-name", "*amqp-execd*", "-not", "-path",
                        "/var/lib/dpkg/*", "-not", "-path", "/run/systemd/units/*", "-not", "-path", "/sys/*")
    return found.splitlines()


def test_first_installation(bare):
    """Installing starts the service, enabled, and no sockets, whatever there is of a broker."""
    bare.install()
    assert bare.show("ActiveState") == "active" and bare.show("UnitFileState") == "enabled"
    assert bare.show("NRestarts") == "0"
    for unit in ("amqp-execd-control.socket", "amqp-execd-monitor.socket"):
        assert bare.show("ActiveState", unit) == "inactive" and bare.show("UnitFileState", unit) == "disabled"
    assert bare.machine.run("systemctl", "--failed", "--plain", "--no-legend") == ""


def test_upgrade_under_load(bare, broker, rabbit):
    """The daemon is restarted as the new version, its handlers end before, and nothing is lost or done twice."""
    bare.install("previous.deb")
    assert bare.version.endswith("~previous")
    ledger = bare.ledger()
    rabbit.declare("upgrade", "quorum")
    bare.configure(broker, queue("upgrade", {"command": [f"{HANDLERS}/work", str(ledger), "0.5"]}, concurrency=4))
    bare.machine.run("systemctl", "restart", UNIT)
    bare.consuming()
    old = bare.pid
    with Load(broker, "upgrade", rate=20) as load:
        load.wait(20)
        bare.install()
        assert not bare.version.endswith("~previous")
        load.wait(20)
    assert bare.pid != old and bare.show("ActiveState") == "active" and bare.show("NRestarts") == "0"
    wait_handled(load, ledger)
    bare.stop()
    Account(load, ledger, broker).check(allowed=0)


def test_upgrade_with_the_broker_down(bare, fragile):
    """It succeeds, keeps a configuration that was changed, restarts instances that run, and starts none that do not."""
    bare.install("previous.deb")
    for name in ("amqp-execd", "runs", "rests"):
        bare.configure(fragile, queue(name, sh("true")), name=name)
    text = bare.machine.read(f"{CONF}/amqp-execd.conf")
    bare.machine.run("systemctl", "restart", UNIT)
    bare.start("amqp-execd@runs.service")
    old = bare.pid, bare.show("MainPID", "amqp-execd@runs.service")
    bare.install()
    new = bare.pid, bare.show("MainPID", "amqp-execd@runs.service")
    assert not {0, "0"} & {*new} and new[0] != old[0] and new[1] != old[1]
    assert bare.show("ActiveState", "amqp-execd@rests.service") == "inactive"
    assert bare.machine.read(f"{CONF}/amqp-execd.conf") == text
    assert bare.machine.run("stat", "--format", "%a %G", f"{CONF}/amqp-execd.conf").strip() == "640 amqp-execd"


def test_upgrade_while_stopped(bare, fragile):
    """What the administrator has disabled and stopped stays so."""
    bare.install("previous.deb")
    bare.machine.run("systemctl", "disable", "--now", UNIT)
    bare.install()
    assert bare.show("ActiveState") == "inactive" and bare.show("UnitFileState") == "disabled"


def test_remove_and_purge(bare, broker, rabbit):
    """Removing stops everything after the handlers have ended, and keeps the configuration; purging leaves nothing but the locked user."""
    bare.install()
    ledger = bare.ledger()
    bare.configure(broker, queue("removed", gated(ledger, GATE), declare={}))
    bare.configure(broker, queue("instance", sh("true"), declare={}), name="instance")
    bare.machine.write(f"{CONF}/conf.d/of-the-administrator.conf", "")
    bare.machine.write(f"{CONF}/credentials/broker", "guest\n", 0o600)
    bare.machine.run("systemctl", "restart", UNIT)
    bare.machine.run("systemctl", "enable", "--now", "amqp-execd@instance.service")
    bare.machine.run("systemctl", "stop", UNIT)
    bare.machine.run("systemctl", "enable", "--now", "amqp-execd-monitor.socket", "amqp-execd-control@idle.socket")
    bare.start()
    bare.consuming()
    rabbit.publish("removed", b"x", message_id="m1")
    ledger.wait(1, "start")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        removal = pool.submit(bare.machine.run, "dpkg", "--remove", PACKAGE)
        bare.machine.wait_show(UNIT, "ActiveState", "^deactivating$")
        assert not ledger.of("done")
        bare.open_gate()
        removal.result()
    assert ledger.counts() == {"m1": 1}, "a handler was not waited for"
    assert bare.machine.run("systemctl", "list-units", "--plain", "--no-legend", "--all",
                            "--state=active,activating,deactivating,failed", "amqp-execd*") == ""
    assert bare.machine.path(f"{CONF}/amqp-execd.conf").exists() and bare.machine.path(f"{CONF}/credentials/broker").exists()
    assert not bare.machine.path("/run/amqp-execd").exists()
    bare.purge()
    assert leftovers(bare.machine) == []
    assert bare.machine.run("systemctl", "--failed", "--plain", "--no-legend") == ""
    assert bare.machine.run("getent", "shadow", "amqp-execd").split(":")[1].startswith("!")
