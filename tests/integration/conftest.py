# SPDX-License-Identifier: MIT
"""Fixtures. One broker serves the session; a second one, for the tests that hurt it, starts when first asked for."""

import itertools
import os
import re

import pytest

from faults import Account
from harness import Broker, Daemon, EXECUTABLE, Ledger, Rabbit, Records

_numbers = itertools.count(1)


def pytest_configure(config):
    if not os.access(EXECUTABLE, os.X_OK):
        raise pytest.UsageError(f"{EXECUTABLE} is not there: build it, or name another one with AMQP_EXECD")


@pytest.fixture(scope="session", name="broker")
def _broker():
    with Broker() as broker:
        yield broker


@pytest.fixture(scope="session", name="_fragile")
def _fragile_broker():
    with Broker() as broker:
        yield broker


@pytest.fixture
def fragile(_fragile):
    """A broker that a test may stop, kill or freeze; it runs when a test begins."""
    if not _fragile.running:
        _fragile.start()
    yield _fragile
    if _fragile.running:
        _fragile.thaw()


@pytest.fixture
def rabbit(broker):
    client = Rabbit(broker).connect()
    yield client
    client.close()


@pytest.fixture
def fragile_rabbit(fragile):
    client = Rabbit(fragile).connect()
    yield client
    client.close()


@pytest.fixture
def name(request):
    """Makes a queue name that no other test uses."""
    def make(suffix=""):
        stem = re.sub(r"\W+", "-", request.node.name)[:48].strip("-")
        return f"{stem}-{next(_numbers)}{'-' + suffix if suffix else ''}"
    return make


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "records")


@pytest.fixture
def daemon(request, tmp_path):
    """Makes daemons; none outlives the test."""
    made = request.node.daemons = []

    def make(config, start=True, **keys):
        d = Daemon(tmp_path, config, **keys)
        made.append(d)
        if start:
            d.start()
        return d

    yield make
    errors = []
    for d in made:
        try:
            d.close()
        except AssertionError as e:
            errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture
def settle_accounts(capsys):
    """Accounts for the messages of a load (faults.Account), checks, and shows what was found. The daemon has to be stopped."""
    def settle(load, ledger, broker, dead=None, delays=False, **explained):
        account = Account(load, ledger, broker, dead, delays)
        with capsys.disabled():
            print(f" [{account}] ", end="")
        account.check(**explained)
        return account
    return settle


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The log of each daemon goes into the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for d in getattr(item, "daemons", []):
            report.sections.append(("daemon log", d.log[-8000:]))
