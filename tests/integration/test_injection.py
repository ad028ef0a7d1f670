# SPDX-License-Identifier: MIT
"""What the system refuses: processes, descriptors, programs, users, memory. Rows 24 to 26 of the fault matrix: the daemon stays up, does
not spin, acknowledges nothing that was not done, and goes on when the fault is over."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from faults import Load, QUICK, wait_handled
from harness import EXECUTABLE, configuration, reachable, shell, wait_until

# It makes no process and opens no pipe itself, which would be refused, too.
WORK = """
import hashlib, os, sys
body = sys.stdin.buffer.read()
line = f"done {os.environ['AMQP_MESSAGE_ID']} {hashlib.sha256(body).hexdigest()} {len(body)}\\n"
with open(sys.argv[1], "ab", buffering=0) as f:
    f.write(line.encode())
"""

# How often the refused call may be tried in the three seconds that a fault lasts: four handlers at a time, and a look after one second
# and after two more. A loop that spins gets to thousands.
TRIES_MAX = 40
FAULT_SECONDS = 3


def working(queue, ledger, **keys):
    return {"name": queue, "concurrency": 4, "prefetch": 4,
            "handler": {"command": ["/usr/bin/python3", "-ISc", WORK, str(ledger)], **keys}}


@contextlib.contextmanager
def injected(d, call, error, folder):
    """The kernel refuses this call to the daemon and its handlers meanwhile. Gives the file that the refusals are written to."""
    trace = Path(folder) / "trace"
    tracer = subprocess.Popen(["strace", "-f", "-q", "-o", trace, "-p", str(d.pid), "-e", f"trace={call}",
                               "-e", f"inject={call}:error={error}"], stdin=subprocess.DEVNULL)

    def traced():
        assert tracer.poll() is None, "strace has ended"
        tasks = list(Path(f"/proc/{d.pid}/task").iterdir())
        return all(re.search(rf"^TracerPid:\t{tracer.pid}$", (t / "status").read_text(encoding="ascii"), re.M) for t in tasks)
    try:
        wait_until(traced, what="strace attached")
        yield trace
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)


def refusals(trace):
    return trace.read_text(encoding="utf-8", errors="replace").count("(INJECTED)")


def survives(broker, rabbit, daemon, ledger, name, settle_accounts, tmp_path, call, error, words, **keys):
    """Refuses the call for a while to a daemon under load."""
    if not shutil.which("strace") or os.geteuid() != 0:
        pytest.skip("needs strace, and root to attach it")
    ledger.path.chmod(0o666)
    reachable(tmp_path)
    queue = rabbit.declare(name())
    with Load(broker, queue, rate=40) as load:
        d = daemon(configuration(broker={"url": broker.url}, queues=[working(queue, ledger, **keys)]))
        ledger.wait(10)
        with injected(d, call, error, tmp_path) as trace:
            wait_until(lambda: refusals(trace) > 0, what=f"a {call} that is refused")
            lines = len(d.lines)
            settled = len(d.settled())
            time.sleep(FAULT_SECONDS)
            tries, said = refusals(trace), len(d.lines) - lines - (len(d.settled()) - settled)
            done = len(ledger.of("done"))
        if words:
            assert tries <= TRIES_MAX and said <= TRIES_MAX, f"{tries} tries, {said} lines"
            d.wait_log(words)
        wait_until(lambda: len(ledger.of("done")) > done + 20, what="that it goes on")
    wait_handled(load, ledger)
    rabbit.wait_depth(queue, 0)
    d.stop()
    assert all(s["decision"] in ("ack", "return") for s in d.settled())
    settle_accounts(load, ledger, broker)


@pytest.fixture(name="refuse")
def _refuse(broker, rabbit, daemon, ledger, name, settle_accounts, tmp_path):
    def refuse(call, error, words, **keys):
        survives(broker, rabbit, daemon, ledger, name, settle_accounts, tmp_path, call, error, words, **keys)
    return refuse


def test_row_24_no_more_processes(refuse):
    refuse("clone", "EAGAIN", "cannot create a process: Resource temporarily unavailable")


@pytest.mark.parametrize("error", ["EMFILE", "ENFILE"])
def test_row_25_no_more_descriptors(refuse, error):
    refuse("pipe2", error, "cannot prepare .*: Too many open files")


def test_why_a_reply_cannot_be_made(broker, rabbit, daemon, ledger, name, tmp_path):
    """Where output goes to two, the second one gets a duplicate of its memory file: what is refused then is told as it is."""
    if not shutil.which("strace") or os.geteuid() != 0:
        pytest.skip("needs strace, and root to attach it")
    queue, replies, results = rabbit.declare(name()), rabbit.declare(name("replies")), rabbit.declare(name("results"))
    d = daemon(configuration(broker={"url": broker.url}, queues=[{
        "name": queue, "reply": {}, "forward": {"routing_key": results}, "requeue": {"delay": "200ms"}, "handler": shell(
            'echo "start x" >>"$1"; while ! [ -e "$1.go" ]; do sleep 0.1; done; head -c 200000 /dev/zero', ledger)}]))
    rabbit.publish(queue, reply_to=replies)
    ledger.wait(1, "start")
    # The first one seals the memory file.
    with injected(d, "fcntl", "EMFILE:when=2", tmp_path) as trace:
        Path(f"{ledger}.go").touch()
        failed, = d.wait_settled(1, decision="requeue")
        assert refusals(trace) == 1, trace.read_text()
    assert failed["reason"] == '"the reply could not be published: Too many open files"'
    d.wait_settled(1, decision="ack")
    d.stop()
    assert [len(body) for _, body in rabbit.drain(replies)] == [200_000]
    assert set(len(body) for _, body in rabbit.drain(results)) == {200_000}


def test_row_25_no_memory_files(refuse):
    """Only large bodies are in them: these are kept on the heap until their handlers start."""
    refuse("memfd_create", "EMFILE", None)


@pytest.mark.parametrize("error, words", [
    ("ENOMEM", "cannot execute /usr/bin/python3: Cannot allocate memory"),
    ("EACCES", "cannot execute /usr/bin/python3: Permission denied")])
def test_row_24_execve_refused(refuse, error, words):
    refuse("execve", error, words)


def test_row_24_setresuid_refused(refuse):
    """As it is when the user has too many processes, on older kernels: never as somebody else instead."""
    refuse("setresuid", "EAGAIN", "cannot become user nobody: Resource temporarily unavailable", user="nobody")


FIU = Path("/usr/lib/fiu")


def starving(d, seed, folder):
    """Prepares the daemon for failing allocations. libfiu's own thread must not take its signals."""
    at = d.arguments.index(EXECUTABLE)
    d.arguments[at:at] = ["env", "--block-signal=CHLD,TERM,INT,HUP", f"LD_PRELOAD={FIU}/fiu_run_preload.so {FIU}/fiu_posix_preload.so",
                          f"FIU_PRNG_SEED={seed}", f"FIU_CTRL_FIFO={folder}/fiu"]
    return d.start()


def control(d, folder, command):
    subprocess.run(["fiu-ctrl", "-f", f"{folder}/fiu", "-c", command, str(d.pid)], check=False, timeout=20, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("probability", [0.001, 0.02])
def test_row_26_no_memory(broker, rabbit, daemon, ledger, name, settle_accounts, tmp_path, probability):
    """Each allocation fails with this probability, wherever it is made: the daemon may end, but cleanly, and is started again. Not while
    the configuration is read: libconfig does not survive that, and nothing is in hand then."""
    if not (FIU / "fiu_posix_preload.so").exists() or not shutil.which("fiu-ctrl"):
        pytest.skip("needs libfiu")
    if re.search(rb"__[at]san_init", Path(EXECUTABLE).read_bytes()):
        pytest.skip("a sanitizer has an allocator of its own")
    queue = rabbit.declare(name())
    config = configuration(broker={"url": broker.url, **QUICK}, queues=[working(queue, ledger)])
    deadline, seed, statuses = time.monotonic() + 8, int(os.environ.get("AMQP_EXECD_SEED", 1)), []
    failed = 0
    with Load(broker, queue, rate=40) as load:
        while time.monotonic() < deadline or len(statuses) < 2:
            d = starving(daemon(config, start=False), seed, tmp_path)
            control(d, tmp_path, f"enable_random name=libc/mm/*,probability={probability}")
            with contextlib.suppress(AssertionError):
                wait_until(lambda d=d: d.process.poll() is not None, 6)
            if d.process.poll() is None:
                control(d, tmp_path, "disable name=libc/mm/*")
                d.signal(signal.SIGTERM)
            statuses.append(d.wait())
            failed += d.log.count("memory")
            seed += 1
        d = daemon(config)
        ledger.wait(len(ledger.of("done")) + 10)
    wait_handled(load, ledger)
    rabbit.wait_depth(queue, 0)
    d.stop()
    assert set(statuses) <= {0, 70}, statuses
    assert failed > 0, "no allocation has failed"
    settle_accounts(load, ledger, broker, allowed=4 * len(statuses), because="what was in hand when a daemon ended")


def test_row_27_disk_full(broker, rabbit, daemon, ledger, name, settle_accounts, tmp_path):
    """The daemon writes nothing to a disk but its log, if that goes to a file: lines are lost then, and no message. Memory files are on no
    file system that could be full."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", full], check=True)
    try:
        queue = rabbit.declare(name())
        with Load(broker, queue, rate=40, most=60) as load:
            d = daemon(configuration(broker={"url": broker.url}, queues=[working(queue, ledger)]), start=False)
            d.arguments = ["/bin/sh", "-c", 'exec "$@" 2>"$0/log"', full, *d.arguments]
            d.start()
            ledger.wait(5)
            with contextlib.suppress(OSError), (full / "rest").open("wb", buffering=0) as f:
                while True:
                    f.write(b"x" * 4096)
            load.wait_all()
        wait_handled(load, ledger)
        rabbit.wait_depth(queue, 0)
        d.stop()
        assert os.statvfs(full).f_bavail == 0
        settle_accounts(load, ledger, broker)
    finally:
        subprocess.run(["umount", full], check=False)
