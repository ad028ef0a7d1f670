# SPDX-License-Identifier: MIT
"""What the daemon's passwords and keys are in, and its memory, is closed to handlers that run as the daemon's own user; and nothing
else is."""

import os
import platform
import pwd
import resource
import signal
import subprocess

import pytest

from harness import configuration, shell, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or tuple(map(int, platform.release().split(".")[:2])) < (5, 19),
                                reason="needs root, and a kernel with Landlock")

# Says of each argument whether it can be opened for reading, of /proc/PID/fd/0 and the like also where they lead.
LOOK = """
word=$1 ledger=$2
shift 2
for path; do
    path=$(echo "$path" | sed "s,DAEMON,$PPID,")
    if (exec 3<"$path") 2>/dev/null && { [ ! -L "$path" ] || readlink "$path" >/dev/null; }; then
        echo "$word yes $path"
    else
        echo "$word no $path"
    fi
done >>"$ledger"
echo "$word privileges $(sed -n 's/^NoNewPrivs:[^0-9]*//p' /proc/self/status)" >>"$ledger"
echo "$word end" >>"$ledger"
"""


class Place:
    """A folder with secrets among other files, and a daemon that has read them."""

    def __init__(self, folder, broker, rabbit, name, daemon, ledger):
        self.folder, self.broker, self.rabbit, self.name, self.make_daemon, self.ledger = folder, broker, rabbit, name, daemon, ledger
        self.etc, self.other = folder / "etc", folder / "other"
        self.credentials = folder / "credentials"
        for directory in (self.etc, self.other, self.credentials):
            directory.mkdir()
        self.password = self.write(self.etc / "password", broker.password + "\n")
        self.key, self.certificate = self.write(self.etc / "key.pem", "key\n"), self.write(self.etc / "cert.pem", "cert\n")
        self.write(self.credentials / "token", "token\n")
        self.beside = self.write(self.etc / "beside", "no secret\n")
        self.write(self.other / "file", "no secret\n")
        self.daemon = self.queue = None

    @staticmethod
    def write(path, text):
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def run(self, user, *arguments, program=LOOK, **keys):
        """Starts a daemon of that user whose handlers run as the same one."""
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, pwd.getpwnam(user).pw_uid, -1, follow_symlinks=False)
        self.queue = self.rabbit.declare(self.name())
        broker = {"url": f"amqp://127.0.0.1:{self.broker.port}", "username": self.broker.username, "password_file": str(self.password),
                  "tls": {"cert_file": str(self.certificate), "key_file": str(self.key)}}
        self.daemon = self.make_daemon(configuration(broker=broker, queues=[
            {"name": self.queue, "handler": shell(program, *arguments, user=user, **keys)}]),
            user=user, environment={"CREDENTIALS_DIRECTORY": str(self.credentials)})
        return self.daemon

    def ask(self, word, n=1):
        """One more message; what its handler says: {path: whether it could be read}."""
        self.rabbit.publish(self.queue)
        self.ledger.wait(1, word)
        wait_until(lambda: len([line for line in self.ledger.of(word) if line == ["end"]]) >= n, what="a handler's word")
        said = self.ledger.of(word)
        ends = [i for i, line in enumerate(said) if line == ["end"]]
        said = said[ends[n - 2] + 1 if n > 1 else 0:]
        return {line[1]: line[0] == "yes" for line in said if line[0] in ("yes", "no")}

    def privileges(self, word):
        return next(line[1] for line in self.ledger.of(word) if line[0] == "privileges")


@pytest.fixture(name="place")
def _place(tmp_path, broker, rabbit, name, daemon, ledger):
    return Place(tmp_path, broker, rabbit, name, daemon, ledger)


def secrets_of(place):
    (place.other / "link").symlink_to(place.password)
    (place.other / "directory").symlink_to(place.etc)
    os.link(place.password, place.etc / "second-name")
    return [place.password, place.key, place.credentials / "token", place.other / "link", place.other / "directory" / "key.pem",
            place.etc / "second-name"]


def open_files(place):
    return ["/etc/passwd", "/usr/bin/env", "/proc/self/environ", "/proc/self/status", "/dev/null", "/proc/self/fd/0",
            place.beside, place.certificate, place.other / "file", place.other / "directory" / "beside"]


MEMORY = ["/proc/DAEMON/mem", "/proc/DAEMON/fd/0", "/proc/DAEMON/root/etc/passwd", "/proc/DAEMON/cwd"]
# What is not memory, and what root may read by CAP_PERFMON.
ABOUT = ["/proc/DAEMON/environ", "/proc/DAEMON/maps"]


@pytest.mark.parametrize("user", ["root", "www-data"])
def test_secrets_are_closed_and_nothing_else(place, user):
    secrets, files = [str(p) for p in secrets_of(place)], [str(p) for p in open_files(place)]
    closed = [*MEMORY, *([] if user == "root" else ABOUT)]
    d = place.run(user, "w", place.ledger, *secrets, *closed, *files)
    found = place.ask("w")
    memory = [p.replace("DAEMON", str(d.pid)) for p in closed]
    assert {p for p, yes in found.items() if not yes} == {*secrets, *memory}
    assert {p for p, yes in found.items() if yes} == set(files)
    assert place.privileges("w") == ("0" if user == "root" else "1"), "without CAP_SYS_ADMIN the kernel demands the promise"
    assert "not kept from" not in d.log
    d.stop()


@pytest.mark.parametrize("user", ["root", "www-data"])
def test_secrets_are_open_where_that_is_said(place, user):
    secrets = [str(p) for p in secrets_of(place)]
    d = place.run(user, "w", place.ledger, *secrets, *MEMORY, *ABOUT, protect_secrets=False)
    found = place.ask("w")
    assert all(found[p] for p in secrets)
    assert place.privileges("w") == "0"
    if user != "root":
        assert not any(yes for p, yes in found.items() if p.startswith("/proc/")), "the daemon's memory is closed all the same"
    d.stop()


def test_configuration_with_a_password_in_it(place):
    """In the main file, and in one that it includes."""
    queue = place.rabbit.declare(place.name())
    included = place.write(place.etc / "broker.inc", f'broker = {{ url = "{place.broker.url}"; password = "guest"; }};\n')
    plain = place.write(place.etc / "plain.inc", 'drain_timeout = "5s";\n')
    d = place.make_daemon(f'@include "{included}"\n@include "{plain}"\n', start=False)
    handler = shell(LOOK, "w", place.ledger, d.config_path, included, plain, user="root")
    with d.config_path.open("a", encoding="utf-8") as f:
        f.write(configuration(queues=[{"name": queue, "handler": handler}]))
    place.queue = queue
    d.start()
    assert place.ask("w") == {str(d.config_path): True, str(included): False, str(plain): True}
    d.stop()

    whole = configuration(broker={"url": place.broker.url.replace("amqp://127", "amqp://guest:guest@127")}, queues=[
        {"name": queue, "handler": shell(LOOK, "v", place.ledger, "CONFIG", user="root")}])
    d = place.make_daemon(whole, start=False)
    d.config_path.write_text(whole.replace("CONFIG", str(d.config_path)), encoding="utf-8")
    d.start()
    assert place.ask("v") == {str(d.config_path): False}
    d.stop()


def replace(path, text):
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.rename(path)


def test_what_is_replaced_beside_a_secret_can_be_read(place):
    """As useradd(8) does it with /etc/passwd: a new file takes the name. And a secret that is replaced stays one."""
    moved = place.folder / "moved"
    d = place.run("www-data", "w", place.ledger, place.beside, place.password, place.etc / "new", moved / "file")
    for i in range(1, 4):
        expected = {str(place.beside): True, str(place.password): False, str(place.etc / "new"): i > 1, str(moved / "file"): i > 2}
        assert place.ask("w", i) == expected, i
        d.wait_settled(i)
        replace(place.beside, f"{i}\n")
        replace(place.password, place.broker.password + "\n")
        os.chown(place.password, pwd.getpwnam("www-data").pw_uid, -1)
        place.write(place.etc / "new", "new\n").chmod(0o644)
        if i == 2:
            moved.mkdir()
            place.write(moved / "file", "x\n").chmod(0o644)
    d.stop()


def test_a_file_system_that_is_mounted_beside_a_secret_can_be_read(place):
    mounted = place.folder / "mounted"
    mounted.mkdir()
    d = place.run("root", "w", place.ledger, mounted / "file", place.password)
    try:
        assert place.ask("w") == {str(mounted / "file"): False, str(place.password): False}
        d.wait_settled(1)
        subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=True)
        place.write(mounted / "file", "x\n")
        assert place.ask("w", 2) == {str(mounted / "file"): True, str(place.password): False}
        d.stop()
    finally:
        subprocess.run(["umount", mounted], check=False)


MOVE = """
cd "$2"
tell() { word=$1; shift; if "$@" 2>/dev/null; then echo "w yes $word"; else echo "w no $word"; fi >>ledger; }
tell write sh -c 'echo hello >other/new'
tell read cat other/new >/dev/null
tell rename-within mv other/new other/newer
tell rename-across mv other/newer third/
tell link-across ln third/newer other/linked
tell rename-from-beside mv etc/beside other/
tell directory-across mv other/inner third/
tell steal-by-link sh -c 'ln etc/password other/stolen && cat other/stolen'
tell steal-by-rename sh -c 'perl -e "exit !rename(q(etc/password), q(other/stolen))" && cat other/stolen'
tell steal-by-name sh -c 'mv etc/password etc/renamed; cat etc/renamed'
tell steal-by-directory perl -e 'exit !rename(q(etc), q(other/etc))'
tell steal-by-mount mount --bind etc third
echo "w end" >>ledger
"""


@pytest.mark.parametrize("user", ["root", "www-data"])
def test_files_can_be_moved_and_secrets_cannot(place, user):
    (place.folder / "third").mkdir()
    (place.other / "inner").mkdir()
    d = place.run(user, "w", place.folder, program=MOVE)
    found = place.ask("w")
    assert {word for word, yes in found.items() if yes} == {
        "write", "read", "rename-within", "rename-across", "link-across", "rename-from-beside", "directory-across"}
    assert {word for word in found if word.startswith("steal")} == {word for word, yes in found.items() if not yes}
    d.stop()


def test_a_directory_that_is_too_much_to_list(place):
    for i in range(10_001):
        (place.etc / f"f{i}").touch()
    d = place.run("root", "w", place.ledger, place.password)
    d.wait_log(r"warning: handlers of the daemon's own user are not kept from its passwords and keys: .*/etc has more than 10000 entries")
    assert place.ask("w") == {str(place.password): True}
    assert place.ask("w", 2) == {str(place.password): True}
    assert d.log.count("are not kept from") == 1
    d.stop()


def test_no_core_dump(place):
    """Core files would hold what is in the daemon's memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("core files are forbidden here")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        d = place.run("root", "w", place.ledger)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    os.kill(d.pid, signal.SIGABRT)
    _, status = os.waitpid(d.pid, 0)
    d.process.returncode = -signal.SIGABRT
    assert os.WTERMSIG(status) == signal.SIGABRT and not os.WCOREDUMP(status)


def test_nothing_is_said_where_there_are_no_secrets(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    d = daemon(configuration(broker={"url": f"amqp://127.0.0.1:{broker.port}"}, queues=[
        {"name": queue, "handler": shell(LOOK, "w", ledger, "/etc/passwd")}]), environment={"CREDENTIALS_DIRECTORY": ""})
    rabbit.publish(queue)
    ledger.wait(1, "w")
    d.stop()
    assert "kept from" not in d.log
