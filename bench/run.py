#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""make bench: messages a second with a process per message, side by side in one run, and what the daemon needs.

Contestants, with the same handler, the same body and the same parallelism:
  bare        posix_spawn and wait (bench/bare_spawn.c), no broker at all: the most that the machine can do
  amqp-execd  the daemon, with its default log level, logging to a file
  consume x1  one amqp-consume (amqp-tools), which runs one handler at a time
  consume x2  as many amqp-consume processes as the parallelism, the messages divided among them
Workers (handler.mode = "worker"), against bench/bare_consume.c, which consumes and acknowledges and does nothing else; and what each
option costs, as the ratio to the same daemon without it.
Contestants take turns (A B C D, A B C D, ...), ratios are taken round by round, and medians are printed. The clock runs from
the start of a contestant to the end of its last message; queues are filled beforehand. Broker and contestants share the
machine. The broker is a throw-away node of its own; nothing is written into the source tree.

Environment: BENCH_MESSAGES (2500) per round, BENCH_ROUNDS (5), BENCH_PARALLEL (2), BENCH_PREFETCH (50),
BENCH_WORKER_MESSAGES (20000), BENCH_OPTION_MESSAGES (1500), BENCH_MEMORY_MESSAGES (100000), BENCH_LARGE_MIB (128),
BENCH_IDLE_SECONDS (10). BENCH_ROWS: which rows to measure, by their names, separated by commas; all of them without. There are
sink-100, sink-16384 and cat-100; workers; options, or single ones of these; memory, large, idle. --help lists them.
"""

import argparse
import contextlib
import datetime
import itertools
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pika

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts" / "lib"))
# pylint: disable=wrong-import-position
from broker import Broker, end_process  # noqa: E402
from notify import Notifications  # noqa: E402


def setting(name, default):
    return int(os.environ.get(f"BENCH_{name}", default))


MESSAGES, ROUNDS = setting("MESSAGES", 2500), setting("ROUNDS", 5)
PARALLEL, PREFETCH = setting("PARALLEL", 2), setting("PREFETCH", 50)
QUEUE = "bench"
# A log that cannot keep up leaves lines out, and says how many.
DROPPED = re.compile(rb"(\d+) log messages were dropped")
# How long the log may be behind the daemon. A line that never comes costs this once, and the time of the daemon's own word is taken.
LOG_PATIENCE = 3

PROCESS_ROWS = ("sink-100", "sink-16384", "cat-100")
# By the name of the row: keys of the handler, and whether it is a shell that prints a line.
OPTIONS = {
    "descendants-leave": ('descendants = "leave";', False),
    "output-discard": ('output = "discard";', False),
    "output-inherit": ('output = "inherit";', False),
    "metadata-fd3": ('metadata = "fd3";', False),
    "metadata-both": ('metadata = "both";', False),
    "input-json": ('input = "json";', False),
    "limits": ('limits = { memory = "1G"; cpu = 60; files = 256; processes = 4096; file_size = "1G"; core = 0; };', False),
    "umask-nice": ('umask = "027"; nice = 5;', False),
    "no-protect-secrets": ("protect_secrets = false;", False),
    "user-nobody": ('user = "nobody";', False),
    "line-discarded": ('output = "discard";', True),
    "line-logged": ("", True),
}
ROWS = (*PROCESS_ROWS, "workers", "options", *OPTIONS, "memory", "large", "idle")


class Failed(Exception):
    pass


class Running:
    """A daemon that runs."""

    def __init__(self, child, log, notify):
        self.child, self.log, self.notify = child, log, notify

    def acked(self):
        """How many messages it says that it has acknowledged."""
        found = re.search(r"; (\d+) messages? acknowledged", self.notify.status)
        return int(found[1]) if found else 0

    def look_at_log(self):
        """How many acknowledged messages the log has, or says that it may have left out; the time of its last such line."""
        lines = [line for line in self.log.read_bytes().split(b"\n")[:-1] if b" decision=ack" in line or DROPPED.search(line)]
        n = sum(int(match[1]) if (match := DROPPED.search(line)) else 1 for line in lines)
        if not lines:
            return 0, 0
        stamp = datetime.datetime.strptime(lines[-1].split()[0].decode(), "%Y-%m-%dT%H:%M:%S.%fZ")
        return n, stamp.replace(tzinfo=datetime.timezone.utc).timestamp()

    def tail(self):
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


class Bench:
    def __init__(self, build, broker, folder):
        self.build, self.broker, self.folder = Path(build), broker, Path(folder)
        self.sink = [str(self.build / "bench" / "sink")]
        self.cat = ["/bin/sh", "-c", "exec cat >/dev/null"]
        self.children = []
        self.sockets = itertools.count(1)
        parameters = pika.ConnectionParameters("127.0.0.1", broker.port, heartbeat=0)
        self.channel = pika.BlockingConnection(parameters).channel()

    # ------------------------------------------------------------------ queue

    def fill(self, n, size):
        """A new queue with n messages in it."""
        self.channel.queue_delete(QUEUE)
        self.channel.queue_declare(QUEUE, durable=True)
        body = b"x" * size
        for i in range(n):
            self.channel.basic_publish("", QUEUE, body, pika.BasicProperties(message_id=f"m{i}", delivery_mode=1))
        deadline = time.monotonic() + 120
        while self.depth() < n:
            if time.monotonic() > deadline:
                raise Failed(f"the queue has {self.depth()} of {n} messages")
            time.sleep(0.05)

    def depth(self):
        return self.channel.queue_declare(QUEUE, passive=True).method.message_count

    # ------------------------------------------------------------ contestants

    def spawn(self, command, log=None, notify="/nonexistent"):
        # setpriv: ends with us, even if we are killed. NOTIFY_SOCKET: a service, which needs no guard.
        child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL,
                                 stdout=log or subprocess.DEVNULL, stderr=log or subprocess.DEVNULL, cwd="/",
                                 env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": str(notify)},
                                 start_new_session=True)
        self.children.append(child)
        return child

    def bare(self, handler, size):
        begun = time.monotonic()
        child = self.spawn([str(self.build / "bench" / "bare_spawn"), str(MESSAGES), str(PARALLEL), str(size), *handler])
        if child.wait() != 0:
            raise Failed("bare_spawn has failed")
        return time.monotonic() - begun

    def consume(self, handler, size, processes):
        shares = [MESSAGES // processes + (i < MESSAGES % processes) for i in range(processes)]
        self.fill(MESSAGES, size)
        begun = time.monotonic()
        children = [self.spawn(["amqp-consume", f"--url={self.broker.url}", f"--queue={QUEUE}", f"--count={n}",
                                f"--prefetch-count={min(PREFETCH, n - 1)}", "--", *handler]) for n in shares]
        statuses = [child.wait() for child in children]
        took = time.monotonic() - begun
        if any(statuses) or self.depth() != 0:
            raise Failed(f"amqp-consume: exit statuses {statuses}, {self.depth()} messages left")
        return took

    @contextlib.contextmanager
    def daemon(self, handler, max_message_size="128M", queues=(QUEUE,), keys="", concurrency=PARALLEL, prefetch=PREFETCH):
        """A daemon, as await_acks wants it. keys: further ones of the handler; they may name another user."""
        conf, log = self.folder / "bench.conf", self.folder / "log"
        command = ", ".join('"' + a.replace("\\", "\\\\").replace('"', '\\"') + '"' for a in handler)
        conf.write_text(
            f'broker = {{ url = "{self.broker.url}"; }};\nlimits = {{ max_message_size = "{max_message_size}"; }};\n'
            f"defaults = {{ concurrency = {concurrency}; prefetch = {prefetch}; "
            f'handler = {{ command = [ {command} ]; {"" if "user =" in keys else f"user = {chr(34)}{os.geteuid()}{chr(34)};"} {keys} }}; }};\n'
            f'queues = ( {", ".join(chr(123) + f" name = {chr(34)}{q}{chr(34)}; " + chr(125) for q in queues)} );\n',
            encoding="utf-8")
        conf.chmod(0o600)
        notify = Notifications(self.folder / f"notify{next(self.sockets)}")
        with open(log, "wb") as f:
            child = self.spawn([str(self.build / "amqp-execd"), "--config", str(conf)], f, notify.path)
        try:
            yield Running(child, log, notify)
            child.send_signal(signal.SIGTERM)
            if child.wait(60) != 0:
                raise Failed(f"amqp-execd: exit status {child.returncode}:\n{log.read_text()[-2000:]}")
        finally:
            end_process(child)
            notify.close()
            os.unlink(notify.path)

    @staticmethod
    def await_acks(d, n, timeout=600):
        """Waits until the daemon's STATUS says that n messages are acknowledged. Returns the time of the last one (time.time()).
        STATUS comes once a second, so the log is asked for the time: its last line of an acknowledged message, or, where lines
        were left out, the one that says so."""
        deadline = time.monotonic() + timeout
        while d.acked() < n:
            if d.child.poll() is not None:
                raise Failed(f"amqp-execd has ended with {d.child.returncode}:\n{d.tail()}")
            if time.monotonic() > deadline:
                raise Failed(f"{d.acked()} of {n} messages acknowledged after {timeout} s:\n{d.tail()}")
            time.sleep(0.005)
        told = time.time()
        while (found := d.look_at_log())[0] < n:
            if time.time() > told + LOG_PATIENCE:
                return told
            time.sleep(0.005)
        return found[1]

    def execd(self, handler, size, messages=MESSAGES, **settings):
        self.fill(messages, size)
        begun = time.time()
        with self.daemon(handler, **settings) as d:
            took = self.await_acks(d, messages) - begun
        if self.depth() != 0:
            raise Failed(f"amqp-execd: {self.depth()} messages left")
        return took

    def bare_consume(self, messages, size, prefetch):
        self.fill(messages, size)
        begun = time.monotonic()
        child = self.spawn([str(self.build / "bench" / "bare_consume"), str(self.broker.port), QUEUE, str(prefetch), str(messages)])
        if child.wait() != 0 or self.depth() != 0:
            raise Failed("bare_consume has failed")
        return time.monotonic() - begun

    # ------------------------------------------------------------------ parts

    @staticmethod
    def rounds(messages, contestants, reference):
        """Lets the contestants take turns; prints their rates, and the ratio of each to one of them."""
        rates = {n: [] for n in contestants}
        for _ in range(ROUNDS):
            for n, contestant in contestants.items():
                rates[n].append(messages / contestant())
        for n, found in rates.items():
            pairs = zip(found, rates[reference])
            ratios = sorted(a / b for a, b in pairs)
            print(f"  {n:<34} {statistics.median(found):>9,.0f}/s   {statistics.median(ratios):5.2f}   "
                  f"({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)

    def workers(self, messages):
        prefetch, size, worker = 1000, 100, [str(self.build / "bench" / "worker")]
        print(f"\nWorkers: {messages} messages of {size} bytes, prefetch {prefetch}, {ROUNDS} rounds; ratio to the bare loop", flush=True)
        contestants = {"bare consume and ack": lambda: self.bare_consume(messages, size, prefetch)}
        for n in (1, 2, 4):
            contestants[f"amqp-execd, {n} worker{'s' if n > 1 else ''}"] = lambda n=n: self.execd(
                worker, size, messages, keys='mode = "worker";', concurrency=n, prefetch=prefetch)
        self.rounds(messages, contestants, "bare consume and ack")

    def options(self, messages, names):
        if os.geteuid() != 0 and "user-nobody" in names:
            print("\nuser-nobody: left out, as only root may run handlers as somebody else")
            names = [n for n in names if n != "user-nobody"]
        print(f"\nOptions: {messages} messages of 100 bytes, {PARALLEL} at once, prefetch {PREFETCH}, {ROUNDS} rounds; ratio to the plain run",
              flush=True)
        contestants = {"plain": lambda: self.execd(self.sink, 100, messages)}
        for n in names:
            keys, prints = OPTIONS[n]
            command = ["/bin/sh", "-c", "echo a line of output"] if prints else self.sink
            contestants[n] = lambda keys=keys, command=command: self.execd(command, 100, messages, keys=keys)
        self.rounds(messages, contestants, "plain")
        for n in names:
            keys, prints = OPTIONS[n]
            print(f"  {n}: " + ("a shell that prints a line; " if prints else "") + (keys or "the defaults"), flush=True)

    def compare(self, title, handler, size):
        names = ["bare", "amqp-execd", "consume x1", f"consume x{PARALLEL}"]
        contestants = [lambda: self.bare(handler, size), lambda: self.execd(handler, size),
                       lambda: self.consume(handler, size, 1), lambda: self.consume(handler, size, PARALLEL)]
        rates = {n: [] for n in names}
        print(f"\n{title}: {MESSAGES} messages of {size} bytes, {PARALLEL} at once, prefetch {PREFETCH}, {ROUNDS} rounds",
              flush=True)
        print("  round  " + "".join(f"{n:>14}" for n in names), flush=True)
        for i in range(ROUNDS):
            print(f"  {i + 1:>5}  ", end="", flush=True)
            for n, contestant in zip(names, contestants):
                rates[n].append(MESSAGES / contestant())
                print(f"{rates[n][-1]:>12,.0f}/s", end="", flush=True)
            print(flush=True)
        print("  median " + "".join(f"{statistics.median(rates[n]):>12,.0f}/s" for n in names))
        for n in names:
            if n != "amqp-execd":
                ratios = sorted(a / b for a, b in zip(rates["amqp-execd"], rates[n]))
                print(f"  amqp-execd / {n:<11} {statistics.median(ratios):5.2f}   ({ratios[0]:.2f} to {ratios[-1]:.2f})")
        sys.stdout.flush()

    @staticmethod
    def memory(child):
        text = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
        return {k: int(re.search(rf"^{k}:\s+(\d+)", text, re.M)[1]) / 1024 for k in ("VmRSS", "VmHWM")}

    def report_memory(self, when, child):
        m = self.memory(child)
        print(f"  {when:<44} {m['VmRSS']:7.1f} MiB {m['VmHWM']:9.1f} MiB", flush=True)

    def small_messages(self, n):
        self.fill(0, 0)
        with self.daemon(self.sink) as d:
            time.sleep(1)
            self.report_memory("started", d.child)
            body, done = b"x" * 100, 0
            while done < n:  # in portions, so that the broker's and this program's memory stay out of it
                portion = min(10000, n - done)
                for i in range(portion):
                    self.channel.basic_publish("", QUEUE, body, pika.BasicProperties(message_id=f"m{done + i}", delivery_mode=1))
                if done == 0 and n > portion:
                    self.await_acks(d, portion)
                    self.report_memory(f"after {portion:,} messages of 100 bytes", d.child)
                done += portion
                self.await_acks(d, done)
            self.report_memory(f"after {n:,} messages of 100 bytes", d.child)

    def large_message(self, mib):
        self.fill(0, 0)
        with self.daemon(self.sink) as d:
            time.sleep(1)
            self.channel.basic_publish("", QUEUE, b"x" * (mib << 20), pika.BasicProperties(message_id="large"))
            self.await_acks(d, 1)
            self.report_memory(f"another one, after one message of {mib} MiB", d.child)

    def idle(self, seconds):
        queues = [f"{QUEUE}{i}" for i in range(3)]
        for q in queues:
            self.channel.queue_declare(q, durable=True)

        def switches(pid):
            found = {}
            for task in Path(f"/proc/{pid}/task").iterdir():
                text = (task / "status").read_text(encoding="ascii")
                name = re.search(r"^Name:\s+(.*)$", text, re.M)[1]
                found[task.name] = (name, int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1]))
            return found

        with self.daemon(self.sink, queues=queues) as d:
            time.sleep(3)
            before = switches(d.child.pid)
            time.sleep(seconds)
            after = switches(d.child.pid)
            each = [(name, n - before.get(tid, (name, 0))[1]) for tid, (name, n) in after.items()]
            print(f"\nIdle: {sum(n for _, n in each)} wake-ups of all threads in {seconds} s with 3 queues: "
                  + ", ".join(f"{name} {n}" for name, n in each), flush=True)

    def close(self):
        for child in self.children:
            end_process(child)


def describe():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.machine())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))[1]) >> 20
    print(f"{os.cpu_count()} x {cpu}, {memory} GiB, Linux {platform.release()}")


def run(bench, rows):
    """The rows in the order in which they stand above, whatever the order in which they were asked for."""
    cases = {
        "sink-100": ("Static handler that reads its input", bench.sink, 100),
        "sink-16384": ("Static handler that reads its input", bench.sink, 16384),
        "cat-100": ("/bin/sh -c 'exec cat >/dev/null'", bench.cat, 100),
    }
    for row in PROCESS_ROWS:
        if row in rows:
            bench.compare(*cases[row])
    if "workers" in rows:
        bench.workers(setting("WORKER_MESSAGES", 20000))
    names = [n for n in OPTIONS if n in rows or "options" in rows]
    if names:
        bench.options(setting("OPTION_MESSAGES", 1500), names)
    if {"memory", "large"} & rows:
        print(f"\nResident memory of the daemon {'':<16} {'now':>11} {'peak':>13}", flush=True)
    if "memory" in rows:
        bench.small_messages(setting("MEMORY_MESSAGES", 100000))
    if "large" in rows:
        bench.large_message(setting("LARGE_MIB", 128))
    if "idle" in rows:
        bench.idle(setting("IDLE_SECONDS", 10))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="the folder where amqp-execd was built")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: those of BENCH_ROWS, or all")
    arguments = parser.parse_args()
    rows = set(arguments.rows or filter(None, os.environ.get("BENCH_ROWS", "").split(",")) or ROWS)
    if unknown := rows - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}: there are {', '.join(ROWS)}")
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(143))
    begun = time.monotonic()
    describe()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Broker(parent=folder) as broker:
        bench = Bench(arguments.build, broker, folder)
        try:
            run(bench, rows)
        finally:
            bench.close()
    print(f"\n{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except Failed as e:
        sys.exit(f"bench: {e}")
    except KeyboardInterrupt:
        sys.exit(130)
