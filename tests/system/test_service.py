# SPDX-License-Identifier: MIT
"""The service under systemd: readiness, status, watchdog, restarts, stops, journal, credentials."""

import time

from faults import Account, Load, wait_handled
from harness import Rabbit

from service import GATE, HANDLERS, STATE, UNIT, gated, queue, sh


def work(ledger, seconds=0.02, **keys):
    return {"command": [f"{HANDLERS}/work", str(ledger), str(seconds)], **keys}


def record(ledger, seconds=0):
    return {"command": [f"{HANDLERS}/ledger", str(ledger), str(seconds)]}


def test_started_with_the_broker_down(service, fragile):
    """The start waits for no broker, the status says what is missing, and consuming begins when it is there."""
    ledger = service.ledger()
    service.configure(fragile, queue("later", record(ledger), declare={}))
    assert service.start() < 30
    assert service.show("ActiveState") == "active"
    status = service.machine.wait_show(UNIT, "StatusText", "later degraded")
    assert status.startswith("0 of 1 queue consuming"), status
    fragile.start()
    assert service.consuming().startswith("1 queue consuming")
    client = Rabbit(fragile).connect()
    client.publish("later", b"x", message_id="m1")
    client.close()
    ledger.wait(1)
    service.machine.wait_show(UNIT, "StatusText", r"; 1 message acknowledged")
    assert service.show("NRestarts") == "0"


def test_ready_when_consuming(service, fragile):
    """With ready = "consuming" a start waits until the broker is there, and no longer."""
    service.configure(fragile, queue("wanted", sh("true"), declare={}), ready="consuming")
    service.machine.run("systemctl", "start", "--no-block", UNIT)
    service.machine.wait_show(UNIT, "ActiveState", "^activating$")
    service.log("not connected")
    time.sleep(2)
    assert service.show("ActiveState") == "activating"
    fragile.start()
    service.machine.wait_show(UNIT, "ActiveState", "^active$")
    assert service.show("NRestarts") == "0"


def test_watchdog(service, broker, rabbit):
    """A daemon that hangs is replaced; its handler goes with it, and the message comes again."""
    ledger = service.ledger()
    service.drop_in("[Service]\nWatchdogSec=10\n")
    service.configure(broker, queue("hang", gated(ledger, GATE), declare={}))
    service.start()
    service.consuming()
    old = service.pid
    rabbit.publish("hang", b"x", message_id="m1")
    [[_, handler]] = ledger.wait(1, "start")
    handlers = set(service.machine.pids(UNIT)) - {old}
    assert int(handler) in handlers
    service.machine.run("kill", "-STOP", old)
    service.machine.wait_show(UNIT, "NRestarts", "^1$")
    service.machine.wait_show(UNIT, "ActiveState", "^active$")
    assert service.pid != old
    assert not handlers & set(service.machine.pids(UNIT)), "handlers of the daemon that is gone"
    service.machine.wait_journal(f"--unit={UNIT}", where=lambda e: "Watchdog timeout" in str(e.get("MESSAGE")))
    ledger.wait(2, "start")
    service.open_gate()
    ledger.wait(1)
    assert ledger.counts("start") == {"m1": 2} and ledger.counts() == {"m1": 1}


def test_killed(service, broker, rabbit):
    """kill -9 under load: systemd starts it again, no handler is left over, nothing is lost."""
    ledger = service.ledger()
    rabbit.declare("killed", "quorum")
    service.configure(broker, queue("killed", work(ledger), concurrency=4))
    service.start()
    service.consuming()
    with Load(broker, "killed", rate=100) as load:
        for n in range(1, 4):
            load.wait(100)
            old = set(service.machine.pids(UNIT))
            service.machine.run("kill", "-KILL", service.pid)
            service.machine.wait_show(UNIT, "NRestarts", f"^{n}$")
            service.machine.wait_show(UNIT, "ActiveState", "^active$")
            assert not old & set(service.machine.pids(UNIT)), "processes of the daemon that is gone"
    wait_handled(load, ledger)
    service.stop()
    account = Account(load, ledger, broker)
    account.check(allowed=3 * 4, because="three kills with four handlers each")
    assert service.show("Result") == "success"


def test_long_drain(service, broker, rabbit):
    """A stop waits for a handler beyond TimeoutStopSec, then everything is over."""
    ledger = service.ledger()
    service.drop_in("[Service]\nTimeoutStopSec=2\n")
    service.configure(broker, queue("drain", gated(ledger, GATE), declare={}), drain_timeout="5min")
    service.start()
    service.consuming()
    rabbit.publish("drain", b"x", message_id="m1")
    ledger.wait(1, "start")
    service.machine.run("systemctl", "stop", "--no-block", UNIT)
    service.machine.wait_show(UNIT, "ActiveState", "^deactivating$")
    time.sleep(6)
    assert service.show("ActiveState") == "deactivating" and not ledger.of("done")
    service.open_gate()
    service.machine.wait_show(UNIT, "ActiveState", "^inactive$")
    assert service.show("Result") == "success" and service.show("ExecMainStatus") == "0"
    assert ledger.counts() == {"m1": 1}
    assert rabbit.depth("drain") == 0
    assert service.machine.pids(UNIT) == []


def test_bad_configuration(service, fragile):
    """The start fails with the reason, and is not tried again."""
    service.configure(fragile, queue("bad", sh("true")), wrong_key=1)
    code, _ = service.machine.status("systemctl", "start", UNIT)
    assert code != 0
    service.log("wrong_key: unknown key")
    time.sleep(3)
    assert service.show("ActiveState") == "failed" and service.show("NRestarts") == "0"
    assert service.show("ExecMainStatus") == "78"


def test_journal_fields(service, broker, rabbit):
    """A settled message is an entry with fields; what a handler writes is another one."""
    service.configure(broker, queue("fields", sh("echo hello; exit 3"), declare={}, outcomes={"reject": [3]}))
    service.start()
    service.consuming()
    rabbit.publish("fields", b"x", message_id="field-1")
    entry = service.machine.wait_journal("AMQP_MESSAGE_ID=field-1", "AMQP_OUTCOME=reject")
    wanted = {"AMQP_QUEUE": "fields", "HANDLER_EXIT_STATUS": "3", "PRIORITY": "4", "_SYSTEMD_UNIT": UNIT, "SYSLOG_IDENTIFIER": "amqp-execd"}
    assert {k: entry.get(k) for k in wanted} == wanted
    said = service.machine.wait_journal("AMQP_MESSAGE_ID=field-1", "HANDLER_STREAM=stdout")
    assert said["MESSAGE"].endswith(" stdout: hello")


def test_handlers_within_the_default(service, broker, rabbit):
    """A plain handler works as the unit is installed: its user, its home, its /tmp, chown and programs of the shell. It can neither
    change the system, nor see people's homes, nor become root."""
    program = """
        cd "$HOME"
        out() { printf '%s %s\\n' "$1" "$2" >>result; }
        out user "$(id -un)"
        out home "$HOME"
        touch "$HOME/file" /tmp/file && chown "$(id -u):$(id -g)" /tmp/file && mv /tmp/file "$HOME/moved" && out write yes
        nice -n 5 true && out nice yes
        touch /etc/amqp-execd/conf.d/x.conf 2>/dev/null && out etc yes || out etc no
        touch /usr/local/x 2>/dev/null && out usr yes || out usr no
        touch /srv/open/x 2>/dev/null && out open yes || out open no
        ls /home/somebody >/dev/null 2>&1 && out homes yes || out homes no
        out privileges "$(sed -n 's/^CapEff:[[:space:]]*//p; s/^NoNewPrivs:[[:space:]]*//p' /proc/self/status | tr '\\n' ,)"
        out processes "$(ls -d /proc/1 2>/dev/null)"
        echo end >>result
    """
    service.machine.write("/home/somebody/file", "x")
    service.machine.run("install", "-d", "-m", "777", "/srv/open")  # only the unit forbids it
    service.configure(broker, queue("plain", sh(program.replace("\t", " ")), declare={}))
    service.start()
    service.consuming()
    rabbit.publish("plain", b"x")
    result = service.machine.path(f"{STATE}/result")
    service.machine.wait_until(lambda: result.exists() and result.read_text("utf-8").endswith("end\n"), "what the handler found")
    found = dict((line + " ").split(" ", 1) for line in result.read_text("utf-8").splitlines()[:-1])
    assert {k: v.strip() for k, v in found.items()} == {
        "user": "amqp-execd", "home": STATE, "write": "yes", "nice": "yes", "etc": "no", "usr": "no", "open": "no", "homes": "no",
        "privileges": "0000000000000000,1,", "processes": ""}


def test_credentials(service, broker, rabbit):
    """The daemon logs in with a password that only root can read; a handler of its own user cannot read it."""
    ledger = service.ledger()
    path = f"/run/credentials/{UNIT}/amqp-execd_broker"
    service.machine.write("/etc/amqp-execd/credentials/broker", "guest\n", 0o600)
    program = 'if cat "$1" >/dev/null 2>&1; then echo "done read" >>"$2"; else echo "done refused" >>"$2"; fi'
    service.configure({"url": f"amqp://127.0.0.1:{broker.port}", "username": "guest", "password_file": path},
                      queue("secret", sh(program, path, ledger), declare={}))
    service.start()
    service.consuming()
    rabbit.publish("secret", b"x")
    ledger.wait(1)
    assert ledger.counts() == {"refused": 1}
    # File modes alone would let it: so it is the daemon that keeps it away.
    code, text = service.machine.status("nsenter", "--target", service.pid, "--mount", "setpriv", "--reuid=amqp-execd",
                                        "--regid=amqp-execd", "--clear-groups", "cat", path)
    assert (code, text) == (0, "guest\n")


def test_no_credentials(service, broker):
    """Neither an empty folder of credentials nor a missing one keeps it from starting."""
    service.configure(broker, queue("none", sh("true"), declare={}))
    service.start()
    service.consuming()
    service.stop()
    service.machine.run("rmdir", "/etc/amqp-execd/credentials")
    service.start()
    service.consuming()
