# SPDX-License-Identifier: MIT
"""The installed package on the machine: its configuration, its units, what its handlers write."""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from harness import Ledger, render  # noqa: E402  pylint: disable=wrong-import-position

PACKAGE = "amqp-execd"
UNIT = "amqp-execd.service"
CONF = "/etc/amqp-execd"
STATE = "/var/lib/amqp-execd"
GATE = f"{STATE}/gate"
HANDLERS = "/mnt/handlers"
PRISTINE = "/root/as-installed"  # a copy of CONF

# Reconnects at once, and notices a silent peer within two seconds.
QUICK = {"heartbeat": 1, "connect_timeout": "1s", "reconnect": {"min_delay": "100ms", "max_delay": "500ms"}}


def sh(program, *arguments, **keys):
    """The handler group for a line of shell."""
    return {"command": ["/bin/sh", "-c", program.replace("%", "%%"), "handler", *map(str, arguments)], **keys}


def gated(ledger, gate):
    """The handler group for one that says when it starts, waits until the file is there, and says that it is done."""
    return sh('echo "start $AMQP_MESSAGE_ID $$" >>"$1"; until [ -e "$2" ]; do sleep 0.2; done; echo "done $AMQP_MESSAGE_ID" >>"$1"',
              ledger, gate)


def queue(name, handler, **keys):
    return {"name": name, "handler": handler, **keys}


class SystemLedger(Ledger):
    """A file inside that handlers of any user append to."""

    def __init__(self, machine, path):  # pylint: disable=super-init-not-called  # which would make it where we are
        self.inside = str(path)
        self.path = machine.path(path)
        self.path.touch()
        self.path.chmod(0o666)

    def __str__(self):
        return self.inside


class Service:
    """What a test does to it. `machine` is the Machine."""

    def __init__(self, machine):
        self.machine = machine

    # ---- the package

    @property
    def version(self):
        """What is installed, or None."""
        code, text = self.machine.status("dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Version}", PACKAGE)
        return text.split()[1] if code == 0 and text.startswith("installed ") else None

    def install(self, file="package.deb"):
        return self.machine.run("dpkg", "--install", f"/mnt/{file}")

    def purge(self):
        return self.machine.run("dpkg", "--purge", PACKAGE)

    def reset(self):
        """The package as it is installed for the first time, with nothing started and nothing left of other tests."""
        self.stop_all()
        if self.version is None or not self.machine.path(PRISTINE).exists() or "~" in self.version:
            self._install_anew()
        self.machine.run("sh", "-e", "-c", f"""
            rm -rf /etc/systemd/system/amqp-execd*.d /run/systemd/system/amqp-execd* {CONF} /run/amqp-execd* /var/lib/amqp-execd*
            cp -a {PRISTINE} {CONF}
            install -d -o amqp-execd -g amqp-execd -m 755 {STATE}
            systemctl daemon-reload
            systemctl reset-failed
        """)

    def _install_anew(self):
        if self.machine.status("dpkg-query", "--show", PACKAGE)[0] == 0:
            self.purge()
        self.install()
        self.stop_all()
        self.machine.run("sh", "-e", "-c", f"rm -rf {PRISTINE}; cp -a {CONF} {PRISTINE}")

    def stop_all(self):
        """Stops whatever runs of it, without waiting for handlers."""
        units = "amqp-execd-control.socket amqp-execd-monitor.socket amqp-execd-control@*.socket amqp-execd@*.service amqp-execd.service"
        self.machine.run("sh", "-c", f"systemctl kill --signal=KILL --kill-whom=all amqp-execd.service 'amqp-execd@*.service' 2>/dev/null; "
                         f"systemctl stop {' '.join(repr(u) for u in units.split())}", check=False)

    # ---- configuration

    def configure(self, broker, *queues, name="amqp-execd", owner="root:amqp-execd", **settings):
        """Writes the configuration. broker: one of harness.Broker, or its group."""
        group = broker if isinstance(broker, dict) else {"url": broker.url, **QUICK}
        settings = {"broker": group, **settings, "queues": list(queues)}
        text = "".join(f"{k} = {render(v)};\n" for k, v in settings.items())
        self.machine.write(f"{CONF}/{name}.conf", text, 0o640, owner)

    def drop_in(self, text, unit=UNIT, name="test"):
        self.machine.write(f"/etc/systemd/system/{unit}.d/{name}.conf", text)
        self.machine.run("systemctl", "daemon-reload")

    def open_gate(self):
        """Lets the handlers that wait for GATE end."""
        self.machine.write(GATE, "")

    def ledger(self, path=f"{STATE}/ledger"):
        return SystemLedger(self.machine, path)

    # ---- units

    def start(self, unit=UNIT):
        """Seconds it took."""
        before = time.monotonic()
        self.machine.run("systemctl", "start", unit)
        return time.monotonic() - before

    def stop(self, unit=UNIT):
        before = time.monotonic()
        self.machine.run("systemctl", "stop", unit)
        return time.monotonic() - before

    def show(self, name, unit=UNIT):
        return self.machine.show(unit, name)

    @property
    def pid(self):
        return int(self.show("MainPID"))

    def consuming(self, unit=UNIT):
        """Waits until every queue is consumed; returns the status."""
        return self.machine.wait_show(unit, "StatusText", r"^\d+ queues? consuming")

    def log(self, pattern, unit=UNIT):
        """Waits for a line of the unit's; returns its entry."""
        return self.machine.wait_journal(f"--unit={unit}", where=lambda e: pattern in str(e.get("MESSAGE")))
