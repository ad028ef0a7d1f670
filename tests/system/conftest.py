# SPDX-License-Identifier: MIT
"""Fixtures. All tests share one boot of one machine; each begins with the package installed, no queue and nothing that another test
has left. Where there can be no machine the tests are skipped, and say why.

AMQP_EXECD_PACKAGE: a .deb to test, instead of one that is built here. AMQP_EXECD_ROOTS: a folder where root file systems stay, so that
they are made once.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

# pylint: disable=wrong-import-position
from harness import Broker, Rabbit  # noqa: E402

import machine as machines  # noqa: E402
from service import PACKAGE, Service  # noqa: E402


def pytest_configure(config):  # pylint: disable=unused-argument
    # What has been begun is undone, also for who ends us so: pytest does that for an interrupt.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)


@pytest.fixture(scope="session", name="package")
def _package(tmp_path_factory):
    why = machines.why_unavailable()
    if why:
        pytest.skip(why)
    given = os.environ.get("AMQP_EXECD_PACKAGE")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("package")
    subprocess.run([ROOT / "scripts" / "package", folder], env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck"}, check=True)
    return next(folder.glob(f"{PACKAGE}_*.deb"))


@pytest.fixture(scope="session", name="previous")
def _previous(package, tmp_path_factory):
    """The same package with a version that is lower."""
    folder = tmp_path_factory.mktemp("previous")
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "tree"], check=True)
    control = folder / "tree/DEBIAN/control"
    text = control.read_text("utf-8")
    version = subprocess.run(["dpkg-deb", "-f", package, "Version"], check=True, capture_output=True, text=True).stdout.strip()
    control.write_text(text.replace(f"\nVersion: {version}\n", f"\nVersion: {version}~previous\n"), "utf-8")
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", folder / "tree", folder / "previous.deb"], check=True,
                   stdout=subprocess.DEVNULL)
    return folder / "previous.deb"


@pytest.fixture(scope="session", name="machine")
def _machine(package, previous, tmp_path_factory):
    folder = os.environ.get("AMQP_EXECD_ROOTS")
    made = None
    if not folder:
        folder = made = tmp_path_factory.mktemp("roots")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with machines.Machine(machines.make_root(folder, package)) as booted:
            shutil.copy(package, booted.share / "package.deb")
            shutil.copy(previous, booted.share / "previous.deb")
            shutil.copytree(ROOT / "tests" / "handlers", booted.share / "handlers")
            shutil.copytree(ROOT / "systemd" / "examples", booted.share / "examples")
            yield booted
    except machines.Unavailable as e:
        pytest.skip(f"no machine: {e}")
    finally:
        if made:
            shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session", name="broker")
def _broker():
    with Broker() as broker:
        yield broker


@pytest.fixture(scope="session", name="_fragile")
def _fragile_broker():
    broker = Broker()
    try:
        yield broker
    finally:
        broker.close()


@pytest.fixture
def fragile(_fragile):
    """A broker that is down."""
    if _fragile.running:
        _fragile.stop()
    return _fragile


@pytest.fixture
def rabbit(broker):
    client = Rabbit(broker).connect()
    yield client
    client.close()


@pytest.fixture
def service(machine):
    s = Service(machine)
    s.reset()
    yield s
    s.stop_all()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):  # pylint: disable=unused-argument
    """What the machine says goes into the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()
    machine = item.funcargs.get("machine") or getattr(item.funcargs.get("service"), "machine", None)
    if report.failed and machine is not None and report.when in ("setup", "call"):
        report.sections.append(("console", machine.console[-4000:]))
        if machine.leader is not None:
            report.sections.append(("journal", machine.status("journalctl", "--boot", "--no-pager", "--lines=120")[1]))
