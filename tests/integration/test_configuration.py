# SPDX-License-Identifier: MIT
"""The command line and the configuration file, seen from outside."""

import re

import pytest

from harness import ROOT, configuration, handler, run, shell

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
    """What is shipped as an example is a valid configuration."""
    found = [p for folder in ("conf", "scripts/demo.d", "doc/examples") for p in (ROOT / folder).glob("*.conf")]
    assert found
    for path in found:
        done = run("--config", path, "--check")
        assert done.returncode == 0, f"{path}: {done.stderr}"


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
