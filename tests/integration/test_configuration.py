# SPDX-License-Identifier: MIT
"""The command line and the configuration file, seen from outside."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import EXECUTABLE, PATIENCE, ROOT, configuration, handler, render, run, shell

BAD = sorted((ROOT / "tests" / "config" / "bad").glob("*.conf"))
GOOD = {"broker": {"url": "amqp://user:s3cr3t-Passw0rd@localhost/%2F"}, "queues": [
    {"name": "mail", "concurrency": 3, "handler": {**shell('exec cat "$@" >/dev/null'), "timeout": "90s",
                                                   "environment": {"A": 'quote " and \\ backslash'}}},
    {"name": "other \u00e4", "prefetch": 10, "requeue": {"delay": "1.5s"}, "handler": handler("ledger", "/x"),
     "declare": {"durable": True, "type": "quorum", "arguments": {"x-delivery-limit": 5}},
     "bindings": [{"exchange": "e", "exchange_type": "topic", "routing_keys": ["a.#", "b"]}]}]}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o600)
    return path


@pytest.fixture
def public():
    """A folder that everybody can look into, as those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="execd-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_there_are_bad_files():
    assert len(BAD) >= 20


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in BAD])
def test_bad_file(path, tmp_path):
    """Every problem is reported in one go, with file, line and key; exit status 78."""
    for source in (path, *path.parent.glob(path.stem.split("-")[0] + "-*.inc")):
        write(tmp_path / source.name, source.read_bytes())
    mode = path.with_suffix(".mode")
    if mode.exists():
        (tmp_path / path.name).chmod(int(mode.read_text(encoding="ascii"), 8))
    done = run("--config", tmp_path / path.name, "--check")
    assert done.returncode == 78, done.stderr
    told = [line.replace(f"{tmp_path}/", "") for line in done.stderr.splitlines()]
    for line in path.with_suffix(".expected").read_text(encoding="utf-8").splitlines():
        assert any(line in t for t in told), f"missing: {line}\ntold:\n{done.stderr}"


def test_credentials_are_the_service_s(tmp_path):
    """Who checks the configuration by hand is told that nobody has looked; the daemon does not start without them."""
    path = write(tmp_path / "a.conf", configuration(**GOOD | {"broker": {"url": "amqps://localhost", "credential": "rabbit",
                                                                        "tls": {"ca_file": "%d/ca"}}}))
    for argument in ("--check", "--dump-config"):
        done = run("--config", path, argument)
        assert done.returncode == 0, done.stderr
        told = [line for line in done.stderr.splitlines() if "$CREDENTIALS_DIRECTORY" in line]
        assert [line.split(": ")[1:3] for line in told] == [["broker.credential", "warning"], ["broker.tls.ca_file", "warning"]]
    done = run("--config", path)
    assert done.returncode == 78
    assert "broker.credential: there are no credentials ($CREDENTIALS_DIRECTORY)" in done.stderr


def test_files_of_include_dir(tmp_path):
    """They are checked and counted as part of the whole, and what is wrong in one of them is wrong with the whole."""
    folder = tmp_path / "conf.d"
    folder.mkdir(mode=0o755)
    good = GOOD | {"include_dir": str(folder)}
    path = write(tmp_path / "good.conf", configuration(**good))
    done = run("--config", path, "--check")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        0, f"{path}: the configuration is valid: 1 broker, 2 queues, 0 files in {folder}")
    write(folder / "one.conf", f"queues = {render([{'name': 'one', 'handler': shell('true')}])};\n")
    write(folder / "two.conf", f"brokers = {render([{'name': 'two'}])};\n")
    write(folder / "two.conf~", "not read")
    done = run("--config", path, "--check")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        0, f"{path}: the configuration is valid: 2 brokers, 3 queues, 2 files in {folder}")
    write(folder / "one.conf", "queues = ();\nready = 1;\n")
    done = run("--config", path)
    assert done.returncode == 78
    assert f"{folder}/one.conf:2: ready: belongs into the main file, {path}" in done.stderr


def test_bad_file_does_not_start(tmp_path):
    done = run("--config", write(tmp_path / "bad.conf", "queues = ();\nbogus = 1;\n"))
    assert done.returncode == 78
    assert "bogus" in done.stderr


def test_missing_file(tmp_path):
    for arguments in ([], ["--check"], ["--dump-config"]):
        done = run("--config", tmp_path / "none.conf", *arguments)
        assert done.returncode == 78
        assert "none.conf" in done.stderr


def test_file_that_others_may_write(tmp_path):
    path = write(tmp_path / "open.conf", configuration(**GOOD))
    path.chmod(0o666)
    done = run("--config", path, "--check")
    assert done.returncode == 78
    assert "writ" in done.stderr


def test_good_file(tmp_path):
    done = run("--config", write(tmp_path / "good.conf", configuration(**GOOD)), "--check")
    assert done.returncode == 0, done.stderr


def test_dump_can_be_read_again(tmp_path):
    """--dump-config shows defaults, hides secrets, and what it prints means the same."""
    first = run("--config", write(tmp_path / "1.conf", configuration(**GOOD)), "--dump-config")
    assert first.returncode == 0, first.stderr
    assert "s3cr3t" not in first.stdout + first.stderr
    assert "kill_grace" in first.stdout and "x-delivery-limit" in first.stdout
    again = run("--config", write(tmp_path / "2.conf", first.stdout), "--dump-config")
    assert again.returncode == 0, again.stderr

    def settings(text):
        return [line for line in text.splitlines() if not line.startswith("#")]  # a comment names the file
    assert settings(again.stdout) == settings(first.stdout)


def test_example_files():
    """What is shipped as an example is a valid configuration, for a daemon that runs as root, as its unit has it."""
    if os.geteuid() != 0:
        pytest.skip("the examples are for root")
    found = [p for folder in ("conf", "scripts/demo.d", "doc/examples") for p in (ROOT / folder).glob("*.conf")]
    assert found
    for path in found:
        done = run("--config", path, "--check")
        assert done.returncode == 0, f"{path}: {done.stderr}"
    done = run("--config", ROOT / "conf/amqp-execd.conf", "--check")
    assert done.stderr == f"{ROOT}/conf/amqp-execd.conf: the configuration is valid: 1 broker, 1 queue\n", "as the README says"


@pytest.mark.skipif(os.geteuid() != 0, reason="the examples are for root")
def test_examples_in_manuals(tmp_path):
    """What the manuals and the README show as whole configurations is right, and nothing is warned of."""
    password = write(tmp_path / "password", "secret\n")
    found = []
    for manual in sorted((ROOT / "man").glob("*.[1-8]")):
        for block in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", manual.read_text(encoding="utf-8"), re.M | re.S):
            if re.match(r"brokers? = ", block):
                found.append(block.replace("\\e", "\\"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found.append(re.search(r"^    broker = .*?\n\n", readme, re.M | re.S)[0])
    assert len(found) == 4
    for text in found:
        path = write(tmp_path / "a.conf", re.sub(r"/etc/amqp-execd/\w+\.password", str(password), text))
        done = run("--config", path, "--check")
        told = [line for line in done.stderr.splitlines() if "cannot be executed" not in line]
        assert done.returncode == 0 and len(told) == 1, f"{text}\n{done.stderr}"


ROOT_RULE = "queues[0].handler.user: the handler would run as root: expected user = \"NAME\" (or user = \"root\" where it really has to)"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("arguments", [[], ["--check"]], ids=["start", "check"])
def test_root_runs_no_handler_as_root_by_itself(tmp_path, arguments):
    text = 'queues = ( {\n\tname = "mail";\n\thandler = { command = [ "/bin/true" ]; };\n} );\n'
    path = write(tmp_path / "a.conf", text)
    done = run("--config", path, *arguments)
    assert done.returncode == 78
    assert f"{path}:3: {ROOT_RULE}\n" in done.stderr
    write(path, text.replace("; };", '; user = "root"; };'))
    assert run("--config", path, "--check").returncode == 0
    write(path, text.replace("; };", '; user = "nobody"; };'))
    assert run("--config", path, "--check").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_another_user_takes_a_privilege(public):
    """A daemon that runs as nobody can run handlers as nobody only."""
    path = public / "a.conf"
    executable = shutil.copy(EXECUTABLE, public)

    def as_nobody(user, *arguments):
        key = "" if user is None else f'user = "{user}"; '
        write(path, f'queues = ( {{ name = "mail"; handler = {{ command = [ "/bin/true" ]; {key}}}; }} );\n').chmod(0o644)
        return subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", executable, "--config", path,
                               *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
                              encoding="utf-8")

    for user, arguments in (("root", []), ("root", ["--check"]), ("daemon", ["--check"])):
        done = as_nobody(user, *arguments)
        assert done.returncode == 78, done.stderr
        assert (f"{path}:1: queues[0].handler.user: the daemon runs as nobody (uid 65534), and may not run a handler as "
                "another user: that takes root, or CAP_SETUID and CAP_SETGID\n") in done.stderr
    for user in (None, "nobody", "65534"):
        assert as_nobody(user, "--check").returncode == 0


def test_version_and_help():
    done = run("--version")
    assert done.returncode == 0 and re.search(r"amqp-execd \d+\.\d+", done.stdout)
    done = run("--help")
    assert done.returncode == 0
    for option in ("--config", "--check", "--dump-config", "--log-level", "--version", "--help"):
        assert option in done.stdout


@pytest.mark.parametrize("arguments", [["--bogus"], ["--config"], ["extra"], ["--log-level", "loud"], ["--check=yes"]])
def test_usage_errors(arguments):
    done = run(*arguments)
    assert done.returncode == 64, done.stderr
    assert done.stderr.strip()
    assert not done.stdout
