# SPDX-License-Identifier: MIT
"""What a removal and a purge of the package take away, in a root of their own: what is the daemon's, and of others nothing."""

import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

POSTRM = Path(__file__).resolve().parents[2] / "debian" / "amqp-execd.postrm"

REMAINS = {
    "/etc/amqp-execd/mail.conf", "/etc/amqp-execd/no-folder.conf", "/etc/amqp-execd/credentials-mail/password",
    "/etc/systemd/system/multi-user.target.wants/amqp-execd@mail.service", "/etc/systemd/system/multi-user.target.wants/other@mail.service",
    "/var/lib/amqp-execd/file", "/var/lib/amqp-execd-mail/file",
}
FOREIGN = {
    "/etc/amqp-execd-exporter/file", "/etc/systemd/system/multi-user.target.wants/other@mail.service", "/run/amqp-execd-exporter/file",
    "/run/amqp-execd-tool/control.sock", "/var/lib/amqp-execd-exporter/file", "/var/lib/amqp-execd-gone/file",
}


@pytest.fixture
def root():
    # A socket's path is at most 107 bytes long: not under pytest's own folder.
    with tempfile.TemporaryDirectory(prefix="postrm-") as folder:
        for file in REMAINS | FOREIGN:
            path = Path(folder + file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name in ("amqp-execd", "amqp-execd-mail", "amqp-execd-full"):
            path = Path(folder) / "run" / name / "control.sock"
            path.parent.mkdir()
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(str(path))
        (Path(folder) / "run" / "amqp-execd-full" / "file").touch()
        (Path(folder) / "run" / "amqp-execd-empty").mkdir()
        (Path(folder) / "run" / "amqp-execd-link").symlink_to("/nowhere")
        yield Path(folder)


def run(root, step):
    done = subprocess.run(["sh", POSTRM, step], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=20,
                          env={**os.environ, "DPKG_ROOT": str(root)})
    assert (done.returncode, done.stdout) == (0, b"")


def files(root):
    return {str(path)[len(str(root)):] for path in root.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("step", ["upgrade", "failed-upgrade", "abort-install", "disappear"])
def test_other_steps_remove_nothing(root, step):
    before = files(root)
    run(root, step)
    assert files(root) == before


def test_removal_keeps_the_configuration(root):
    run(root, "remove")
    assert files(root) == REMAINS | FOREIGN | {"/run/amqp-execd-full/file", "/run/amqp-execd-link"}
    assert {p.name for p in (root / "run").iterdir()} == {"amqp-execd-exporter", "amqp-execd-tool", "amqp-execd-full", "amqp-execd-link"}


def test_purge_takes_what_is_the_daemons(root):
    run(root, "remove")
    run(root, "purge")
    assert files(root) == FOREIGN | {"/run/amqp-execd-full/file", "/run/amqp-execd-link"}
    assert {p.name for p in (root / "var/lib").iterdir()} == {"amqp-execd-exporter", "amqp-execd-gone"}
    assert not (root / "etc/amqp-execd").exists()
    run(root, "purge")


def test_purge_of_nothing(tmp_path):
    run(tmp_path, "remove")
    run(tmp_path, "purge")
    assert files(tmp_path) == set()
