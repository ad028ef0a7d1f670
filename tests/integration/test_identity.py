# SPDX-License-Identifier: MIT
"""As whom a handler runs, and with which limits."""

import grp
import os
import pwd

import pytest

from harness import configuration, reachable, shell, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run handlers as other users")

TELL = """
exec >"$1.part"
echo "ids $(id -u) $(id -ru) $(id -g) $(id -rg) groups $(id -G)"
echo "home $HOME user $USER"
echo "umask $(umask)"
echo "nice $(nice)"
echo "directory $(pwd)"
cat /proc/self/limits
grep -E '^(Cap|NoNewPrivs)' /proc/self/status
mv "$1.part" "$1"
"""


@pytest.fixture(name="tell")
def _tell(broker, rabbit, daemon, name, tmp_path):
    """Runs one handler with these keys; returns what it says of itself, line by line."""
    def tell(user=None, daemon_keys=None, **keys):
        queue = rabbit.declare(name())
        folder = tmp_path / queue
        folder.mkdir()
        folder.chmod(0o777)
        reachable(tmp_path)
        path = folder / "told"
        if user is not None:
            keys["user"] = user
        d = daemon(configuration(broker={"url": broker.url}, queues=[{"name": queue, "handler": shell(TELL, path, **keys)}]),
                   **(daemon_keys or {}))
        rabbit.publish(queue)
        wait_until(lambda: path.exists() or "exit=" in d.log, what="the handler's word")
        assert path.exists(), d.log
        d.stop()
        return path.read_text().splitlines()
    return tell


def line(told, word):
    return next(line for line in told if line.startswith(word))


def groups_of(user):
    entry = pwd.getpwnam(user)
    return {entry.pw_gid, *(g.gr_gid for g in grp.getgrall() if user in g.gr_mem)}


@pytest.mark.parametrize("user", ["nobody", "www-data", str(pwd.getpwnam("mail").pw_uid)])
def test_user(tell, user):
    entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    told = tell(user=user)
    ids, _, groups = line(told, "ids").partition(" groups ")
    assert ids.split()[1:] == [str(entry.pw_uid)] * 2 + [str(entry.pw_gid)] * 2
    assert set(map(int, groups.split())) == groups_of(entry.pw_name)
    assert line(told, "home") == f"home {entry.pw_dir} user {entry.pw_name}"
    for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(line(told, caps).split()[1], 16) == 0


def test_user_that_nobody_knows_by_number(tell):
    told = tell(user="54321", group="daemon")
    ids, _, groups = line(told, "ids").partition(" groups ")
    gid = grp.getgrnam("daemon").gr_gid
    assert ids.split()[1:] == ["54321"] * 2 + [str(gid)] * 2 and groups == str(gid)
    assert line(told, "home") == "home / user 54321"


def test_group(tell):
    told = tell(user="nobody", group="mail")
    gid = grp.getgrnam("mail").gr_gid
    assert line(told, "ids").split()[3:5] == [str(gid)] * 2
    told = tell(user="root", group="mail")
    assert line(told, "ids").split()[1:5] == ["0", "0", str(gid), str(gid)]


def test_root_stays_root_only_where_it_is_said(tell):
    assert line(tell(user="root"), "ids").split()[1:5] == ["0"] * 4


def test_daemon_with_capabilities_gives_none_to_its_handlers(tell):
    """Not root, but allowed to change its user: nothing of that gets to a handler."""
    for user in ("nobody", "www-data"):
        told = tell(user=user, daemon_keys={"user": "www-data", "capabilities": ("setuid", "setgid")})
        assert line(told, "ids").split()[1] == str(pwd.getpwnam(user).pw_uid)
        for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(line(told, caps).split()[1], 16) == 0, (user, caps)


def test_umask_nice_directory(tell, tmp_path):
    told = tell(user="nobody", umask="027", nice=7, directory="/var/tmp")
    assert line(told, "umask") == "umask 0027"
    assert line(told, "nice") == "nice 7"
    assert line(told, "directory") == "directory /var/tmp"
    assert line(tell(user="root", nice=-5), "nice") == "nice -5"


def test_limits(tell):
    told = tell(user="nobody", limits={"memory": "1G", "cpu": 30, "files": 64, "processes": 500, "file_size": "1M", "core": 0})
    expected = {
        "Max cpu time": ("30", "31"), "Max file size": ("1048576",) * 2, "Max core file size": ("0",) * 2,
        "Max processes": ("500",) * 2, "Max open files": ("64",) * 2, "Max address space": ("1073741824",) * 2,
    }
    for name, values in expected.items():
        assert tuple(line(told, name)[26:].split()[:2]) == values, name
    assert int(line(told, "NoNewPrivs").split()[1]) == 0, "nothing needs it here"


def test_directory_that_only_root_may_enter(broker, rabbit, daemon, name, tmp_path):
    """The handler's user decides, not the daemon's: paused with the reason, and looked at again."""
    queue = rabbit.declare(name())
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    reachable(tmp_path)
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "handler": {"command": ["/bin/true"], "user": "nobody", "directory": str(closed)}}]))
    rabbit.publish(queue)
    d.wait_log("paused.*cannot change to directory .*closed: Permission denied")
    rabbit.wait_depth(queue, 1)
    closed.chmod(0o755)
    d.wait_settled(1, decision="ack")
    d.stop()


def test_unknown_user_pauses_the_queue(broker, rabbit, daemon, name):
    queue, other = rabbit.declare(name()), rabbit.declare(name("other"))
    d = daemon(configuration(broker={"url": broker.url}, queues=[
        {"name": queue, "handler": {"command": ["/bin/true"], "user": "no-such-user"}},
        {"name": other, "handler": {"command": ["/bin/true"], "user": "nobody", "group": "no-such-group"}}]))
    rabbit.publish(queue)
    rabbit.publish(other)
    d.wait_log("paused.*unknown user no-such-user")
    d.wait_log("paused.*unknown group no-such-group")
    rabbit.wait_depth(queue, 1)
    assert not d.settled(queue) or all(s["decision"] == "return" for s in d.settled(queue))
    d.stop()
