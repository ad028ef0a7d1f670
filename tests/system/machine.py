# SPDX-License-Identifier: MIT
"""A throw-away Debian machine, booted with systemd in a container (systemd-nspawn) over a root file system that is made once
and never changed. It shares the host's network, so that a broker on the host's loopback is its own, too.

Nothing stays behind: what the machine writes is in memory, its mounts are in a namespace of their own, and its processes end with
it, and it with us.
"""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# How long anything may take that is quick on an idle machine. Only failures wait for so long.
PATIENCE = 120.0

CGROUPS = Path("/sys/fs/cgroup")


class Unavailable(Exception):
    """There can be no machine here; says why."""


def why_unavailable():
    """What keeps this host from booting a machine, or None."""
    if os.geteuid() != 0:
        return "booting a machine takes root"
    missing = [p for p in ("systemd-nspawn", "debootstrap", "nsenter", "setpriv", "dpkg-deb") if shutil.which(p) is None]
    if missing:
        return f"{', '.join(missing)} not found (Debian: systemd-container, debootstrap, util-linux)"
    if not _cgroup_roots():
        return f"{CGROUPS}: no control groups that systemd could use"
    return None


def _cgroup_roots():
    """Where a machine needs a control group of its own: the hierarchies that systemd uses."""
    roots = [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else [CGROUPS / "unified", CGROUPS / "systemd"]
    return [r for r in roots if os.access(r / "cgroup.procs", os.W_OK)]


# ------------------------------------------------------------------------- root

def _apt(*arguments):
    return subprocess.run(["apt-get", *arguments], check=True, capture_output=True, text=True).stdout.split("\n")


def mirror():
    """(suite, URL): of Debian's own packages, from where this host gets them."""
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        for line in _apt("indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian", f"Release: {suite}",
                         "Component: main"):
            if line:
                return suite, line
    raise Unavailable("APT knows no source of Debian's packages (apt-get update?)")


def dependencies(package):
    """The names of what a .deb depends on, the first of alternatives."""
    text = subprocess.run(["dpkg-deb", "-f", package, "Depends"], check=True, capture_output=True, text=True).stdout
    return sorted({re.split(r"[\s|(:]", word.strip())[0] for word in text.split(",") if word.strip()})


def make_root(folder, package):
    """A root file system with systemd and what the package depends on, made in `folder` unless it is there already."""
    suite, url = mirror()
    # What a person would have on a server, and what tests look with.
    wanted = sorted({"systemd", "systemd-sysv", "dbus", "procps", "bash-completion", *dependencies(package)})
    key = hashlib.sha256(" ".join([suite, *wanted]).encode()).hexdigest()[:12]
    root = Path(folder) / f"{suite}-{key}"
    if not root.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder))
        unfinished.chmod(0o755)
        try:
            done = subprocess.run(["debootstrap", "--variant=minbase", f"--include={','.join(wanted)}", suite, unfinished, url],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            if done.returncode != 0:
                raise Unavailable(f"debootstrap has failed:\n{done.stdout[-2000:]}")
            for archive in (unfinished / "var/cache/apt/archives").glob("*.deb"):
                archive.unlink()
            os.rename(unfinished, root)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return root


# ---------------------------------------------------------------------- machine

class Machine:
    """One boot. Used as a context."""

    _number = 0

    def __init__(self, root):
        Machine._number += 1
        self.name = f"execd-test-{os.getpid()}-{Machine._number}"
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.share = self.folder / "share"  # seen as /mnt
        self.share.mkdir()
        self.root = root
        self.leader = None
        self._nspawn = None
        self._cgroups = []

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _boot(self):
        for root in _cgroup_roots():
            group = root / self.name
            group.mkdir()
            self._cgroups.append(group)
        # In a control group of its own, as --keep-unit has it, and one kind of them inside, whatever the host has. The shell waits for
        # nothing: it becomes nspawn, which is killed when we are.
        join = "".join(f"echo $$ >{g}/cgroup.procs; " for g in self._cgroups)
        command = ["setpriv", "--pdeathsig", "KILL", "systemd-nspawn", "--quiet", f"--directory={self.root}", "--volatile=overlay",
                   "--boot", f"--machine={self.name}", f"--hostname={self.name}", "--register=no", "--keep-unit", "--console=pipe",
                   "--kill-signal=SIGRTMIN+4", "--capability=all", "--resolv-conf=off", "--link-journal=no",
                   "--system-call-filter=bpf @keyring landlock_create_ruleset landlock_add_rule landlock_restrict_self",
                   f"--bind-ro={self.share}:/mnt", "systemd.journald.forward_to_console=0"]
        with open(self.folder / "console", "wb") as console:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", f'{join}exec "$@"', "sh", *command], stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, start_new_session=True)
        self.wait_until(self._find_leader, "the machine's systemd")
        self.wait_until(lambda: self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded"),
                        "a machine that has booted")

    def _find_leader(self):
        if self._nspawn.poll() is not None:
            raise Unavailable(f"systemd-nspawn has ended with {self._nspawn.returncode}:\n{self.console}")
        with contextlib.suppress(OSError):
            for pid in Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text("ascii").split():
                if (Path("/proc") / pid / "comm").read_text("utf-8").strip() == "systemd" and \
                        (Path("/proc") / pid / "root/run/systemd/private").is_socket():
                    self.leader = int(pid)
                    return True
        return False

    @property
    def console(self):
        with contextlib.suppress(OSError):
            return (self.folder / "console").read_text("utf-8", errors="replace")
        return ""

    def close(self):
        """Shuts it down, or ends it."""
        if self._nspawn is not None:
            if self._nspawn.poll() is None:
                self._nspawn.terminate()  # an orderly shutdown
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._nspawn.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._nspawn.pid, signal.SIGKILL)
            self._nspawn.wait()
        for group in self._cgroups:
            # What was killed takes a moment to leave.
            for _ in range(100):
                for inner in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
                    with contextlib.suppress(OSError):
                        inner.rmdir()
                with contextlib.suppress(OSError):
                    group.rmdir()
                if not group.exists():
                    break
                time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def wait_until(condition, what, timeout=PATIENCE, interval=0.1):
        """The first true value that condition() returns; fails after timeout seconds."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
            time.sleep(interval)

    # ---- inside

    def run(self, *command, check=True, timeout=PATIENCE, data=None):
        """Runs a command inside, as root and outside of every unit. Returns what it prints on both; fails if it fails."""
        code, text = self.status(*command, timeout=timeout, data=data)
        assert not check or code == 0, f"{' '.join(map(str, command))}: {code}: {text}"
        return text

    def status(self, *command, timeout=PATIENCE, data=None):
        """(exit status, what it prints)"""
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TERM": "dumb",
                       "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_PAGER": "", "HOME": "/root"}
        stdin = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(["nsenter", "--target", str(self.leader), "--all", "--", *map(str, command)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout, env=environment, check=False, **stdin)
        return done.returncode, done.stdout

    def path(self, path):
        """A path inside, as the host sees it."""
        return Path(f"/proc/{self.leader}/root") / str(path).lstrip("/")

    def read(self, path):
        return self.path(path).read_text("utf-8")

    def write(self, path, text, mode=0o644, owner="root:root"):
        """A file inside, with the folders to it."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
        target.chmod(mode)
        if owner != "root:root":
            self.run("chown", owner, path)
        return path

    def show(self, unit, name):
        """A property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def wait_show(self, unit, name, pattern, timeout=PATIENCE):
        """Waits until the property matches; returns it."""
        def look():
            value = self.show(unit, name)
            return value if re.search(pattern, value) else None
        return self.wait_until(look, lambda: f"{unit}: {name} like {pattern!r}, not {self.show(unit, name)!r}", timeout)

    def pids(self, unit):
        """The processes of a unit, as the machine numbers them."""
        group = self.show(unit, "ControlGroup")
        if not group:
            return []
        code, text = self.status("find", f"/sys/fs/cgroup{group}", "-name", "cgroup.procs", "-exec", "cat", "{}", "+")
        return sorted(map(int, text.split())) if code == 0 else []

    def journal(self, *matches):
        """Its entries, as dictionaries."""
        text = self.run("journalctl", "--boot", "--no-pager", "--output=json", "--all", *matches)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait_journal(self, *matches, where=lambda entry: True, timeout=PATIENCE):
        """The first entry with these matches for which `where` is true."""
        return self.wait_until(lambda: next((e for e in self.journal(*matches) if where(e)), None), f"a line in the journal: {matches}",
                               timeout, 0.3)


def main():
    """For scripts/test: what keeps this host from it, where the packages come from, a root file system for other tests."""
    what, *arguments = sys.argv[1:] or [""]
    if what == "why" and not arguments:
        print(why_unavailable() or "", end="")
    elif what == "mirror" and not arguments:
        print(*mirror())
    elif what == "root" and len(arguments) == 2:
        print(make_root(*arguments))
    else:
        sys.exit(f"usage: {sys.argv[0]} why | mirror | root FOLDER PACKAGE")


if __name__ == "__main__":
    try:
        main()
    except Unavailable as unavailable:
        sys.exit(str(unavailable))
