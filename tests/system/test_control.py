# SPDX-License-Identifier: MIT
"""Reload, and amqp-execctl, under systemd; and the sockets that systemd may listen on in the daemon's place."""

import re
import subprocess
import urllib.request

from harness import free_ports, render

from service import CONF, GATE, HANDLERS, UNIT, gated, queue, sh

CONTROL = "amqp-execd-control.socket"
SOCKET = "/run/amqp-execd/control.sock"


def recording(queue_name, ledger):
    return queue(queue_name, {"command": [f"{HANDLERS}/ledger", str(ledger)]}, declare={})


def test_reload(service, broker, rabbit):
    """A queue that is added begins, and the handlers of the other one do not notice."""
    ledger, added = service.ledger(), service.ledger("/var/lib/amqp-execd/added")
    stays = queue("stays", gated(ledger, GATE), declare={})
    service.configure(broker, stays)
    service.start()
    service.consuming()
    pid = service.pid
    rabbit.publish("stays", b"x", message_id="m1")
    ledger.wait(1, "start")
    service.configure(broker, stays, recording("comes", added))
    service.machine.run("systemctl", "reload", UNIT)
    service.machine.wait_show(UNIT, "StatusText", "^2 queues consuming")
    rabbit.publish("comes", b"x", message_id="m2")
    added.wait(1)
    assert not ledger.of("done")
    service.open_gate()
    ledger.wait(1)
    assert ledger.counts("start") == ledger.counts() == {"m1": 1}
    assert service.pid == pid and service.show("NRestarts") == "0"


def test_bad_reload(service, broker, rabbit):
    """The reload fails with the reason, and the old configuration goes on."""
    ledger = service.ledger()
    service.configure(broker, recording("good", ledger))
    service.start()
    service.consuming()
    service.machine.write(f"{CONF}/amqp-execd.conf", "quaues = ();\n", 0o640, "root:amqp-execd")
    code, _ = service.machine.status("systemctl", "reload", UNIT)
    assert code != 0
    service.log("quaues: unknown key")
    assert service.show("ActiveState") == "active"
    rabbit.publish("good", b"x", message_id="m1")
    ledger.wait(1)


def test_drop_in_of_another_package(service, broker, rabbit, tmp_path):
    """A package brings a file for conf.d and asks for a reload; when it is removed its queue goes."""
    ledger = service.ledger()
    service.configure(broker, include_dir=f"{CONF}/conf.d")
    service.start()
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / f"{CONF[1:]}/conf.d").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text("Package: some-application\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
                                         "Description: application\n", "utf-8")
    (tree / f"{CONF[1:]}/conf.d/some-application.conf").write_text(
        f"queues = {render([recording('application', ledger)])};\n", "utf-8")
    (tree / "DEBIAN/postinst").write_text("#!/bin/sh\nsystemctl reload amqp-execd\n", "utf-8")
    (tree / "DEBIAN/postinst").chmod(0o755)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, service.machine.share / "application.deb"], check=True,
                   stdout=subprocess.DEVNULL)
    service.machine.run("dpkg", "--install", "/mnt/application.deb")
    service.machine.wait_show(UNIT, "StatusText", "^1 queue consuming")
    rabbit.publish("application", b"x", message_id="m1")
    ledger.wait(1)
    service.machine.run("dpkg", "--purge", "some-application")
    service.machine.run("systemctl", "reload", UNIT)
    service.machine.wait_until(lambda: rabbit.consumers("application") == 0, "a queue without its consumer")
    assert service.show("NRestarts") == "0"


def test_members_of_the_group(service, broker):
    """Who is in the group amqp-execd may talk to the daemon, others may not."""
    service.configure(broker, queue("control", sh("true"), declare={}))
    service.start()
    service.consuming()
    m = service.machine
    as_user = ["setpriv", "--reuid=games", "--regid=games"]
    assert m.run("stat", "--format", "%a %G", SOCKET) == "660 amqp-execd\n"
    assert m.status(*as_user, "--groups=amqp-execd", "amqp-execctl", "status")[0] == 0
    code, text = m.status(*as_user, "--clear-groups", "amqp-execctl", "status")
    assert code == 77 and "no permission" in text
    m.run("amqp-execctl", "status")


def test_control_socket_of_systemd(service, broker):
    """It starts the daemon when somebody asks, outlives its stops and restarts, and can be reached after them."""
    m = service.machine
    service.configure(broker, queue("activated", sh("true"), declare={}))
    service.start(CONTROL)
    assert service.show("ActiveState") == "inactive"
    m.run("amqp-execctl", "status")
    m.wait_show(UNIT, "ActiveState", "^active$")
    service.consuming()
    m.run("systemctl", "restart", UNIT)
    m.run("systemctl", "reload", UNIT)
    service.stop()
    assert m.path(SOCKET).is_socket(), "the folder of the socket has gone with the service"
    assert service.show("ActiveState", CONTROL) == "active"
    m.run("amqp-execctl", "status")
    m.wait_show(UNIT, "ActiveState", "^active$")
    service.stop(CONTROL)
    assert not m.path(SOCKET).exists()


def test_own_control_socket(service, broker):
    """Without a socket unit the daemon makes it, and takes it away; one that kill -9 has left is replaced."""
    m = service.machine
    service.configure(broker, queue("own", sh("true"), declare={}))
    service.start()
    m.run("amqp-execctl", "status")
    m.run("kill", "-KILL", service.pid)
    m.wait_show(UNIT, "NRestarts", "^1$")
    m.wait_show(UNIT, "ActiveState", "^active$")
    m.run("amqp-execctl", "status")
    service.stop()
    assert not m.path(SOCKET).exists()


def test_instance_control(service, broker):
    """Each instance has a socket of its own, and is reloaded by itself."""
    m = service.machine
    service.configure(broker, queue("instance-1", sh("true"), declare={}), name="one")
    service.start("amqp-execd-control@one.socket")
    service.start("amqp-execd@one.service")
    service.consuming("amqp-execd@one.service")
    assert "instance-1" in m.run("amqp-execctl", "--instance", "one", "status")
    service.configure(broker, queue("instance-2", sh("true"), declare={}), name="one")
    m.run("systemctl", "reload", "amqp-execd@one.service")
    assert "instance-2" in m.run("amqp-execctl", "--instance", "one", "status")
    assert service.show("ActiveState") == "inactive"


def test_monitor_socket_of_systemd(service, broker):
    """The unit's address can be changed, and who asks there gets an answer from the daemon."""
    [port] = free_ports(1)
    unit = "amqp-execd-monitor.socket"
    assert service.show("Listen", unit) == "127.0.0.1:9419 (Stream)"
    service.drop_in(f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{port}\n", unit=unit)
    service.configure(broker, queue("monitored", sh("true"), declare={}))
    service.start(unit)
    service.start()
    service.consuming()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=30) as answer:
        assert answer.status == 200


def test_catalog(service, broker, rabbit):
    """journalctl -x explains an event."""
    service.configure(broker, queue("explained", sh("exit 3"), declare={}, outcomes={"reject": [3]}))
    service.start()
    service.consuming()
    rabbit.publish("explained", b"x", message_id="explain-1")
    entry = service.machine.wait_journal("AMQP_MESSAGE_ID=explain-1", "AMQP_OUTCOME=reject")
    explained = service.machine.run("journalctl", "--boot", "--no-pager", "--catalog", "AMQP_MESSAGE_ID=explain-1")
    catalog = service.machine.run("journalctl", "--dump-catalog", entry["MESSAGE_ID"])
    subject = re.search("^Subject: (.*)$", catalog, re.M)[1].replace("@AMQP_QUEUE@", "explained")
    assert f" Subject: {subject}\n" in explained
