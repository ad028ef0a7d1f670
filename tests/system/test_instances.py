# SPDX-License-Identifier: MIT
"""amqp-execd@.service: a daemon per configuration file, each with a user of its own."""

from service import CONF, queue, sh


def test_two_instances(service, broker, rabbit):
    """Two instances run as different users, with directories and credentials of their own, and one stops without the other."""
    m = service.machine
    for name, user in (("one", "games"), ("two", "news")):
        service.drop_in(f"[Service]\nUser={user}\n", unit=f"amqp-execd@{name}.service")
        m.write(f"{CONF}/{name}.credentials/broker", "guest\n", 0o600)
        m.path(f"{CONF}/{name}.credentials").chmod(0o700)
        path = f"/run/credentials/amqp-execd@{name}.service/amqp-execd_broker"
        program = 'echo "$(id -un) $(id -gn)" >>"$1"; cat "$2" >>"$1" 2>/dev/null; echo end >>"$1"'
        service.configure({"url": f"amqp://127.0.0.1:{broker.port}", "username": "guest", "password_file": path},
                          queue(f"of-{name}", sh(program, f"/var/lib/amqp-execd-{name}/who", path), declare={}),
                          name=name, owner=f"root:{user}")
        service.start(f"amqp-execd@{name}.service")
    for name, user in (("one", "games"), ("two", "news")):
        unit = f"amqp-execd@{name}.service"
        service.consuming(unit)
        rabbit.publish(f"of-{name}", b"x")
        who = m.path(f"/var/lib/amqp-execd-{name}/who")
        m.wait_until(lambda w=who: w.exists() and w.read_text("utf-8").endswith("end\n"), "what the handler wrote")
        assert who.read_text("utf-8") == f"{user} {user}\nend\n"
        assert m.run("stat", "--format", "%U %a", f"/run/amqp-execd-{name}").strip() == f"{user} 755"
        assert m.run("stat", "--format", "%U", f"/proc/{service.show('MainPID', unit)}").strip() == user
    service.stop("amqp-execd@one.service")
    assert service.show("ActiveState", "amqp-execd@two.service") == "active"
    assert service.show("Result", "amqp-execd@one.service") == "success"


def test_instance_without_credentials(service, broker):
    """It needs a configuration and nothing else."""
    service.configure(broker, queue("plain-instance", sh("true"), declare={}), name="plain")
    service.start("amqp-execd@plain.service")
    service.consuming("amqp-execd@plain.service")
    assert service.show("StateDirectory", "amqp-execd@plain.service") == "amqp-execd-plain"
