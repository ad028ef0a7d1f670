#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""scripts/demo, once everything is installed and built: demo.py BUILD-FOLDER."""

import collections
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pika

from broker import Broker, BrokerError, end_process
from notify import Notifications

DEMO = Path(__file__).resolve().parents[1] / "demo.d"
DEAD = "orders.dead"
COUNTS = {"mail": 150, "orders": 100, "images": 60}
UNKNOWN = "orders-042"  # can never be booked
LOCKED = "orders-077"  # cannot be booked for now, whenever it is tried

Run = collections.namedtuple("Run", "queue id attempt status sum begun ended")


class Wrong(Exception):
    """Something did not go as it has to."""


class Demo:
    def __init__(self, build):
        self.build = Path(build)
        self.begun = time.monotonic()
        self.folder = Path(tempfile.mkdtemp(prefix="amqp-execd-demo-"))
        self.ledger = self.folder / "ledger"
        self.log = self.folder / "log"
        self.account = self.build / "account.txt"
        self.broker = self.daemon = self.notify = self.channel = None
        self.published = {}  # id: (queue, body)
        self.reasons = {}  # id: headers of the dead letter
        self.tty = sys.stdout.isatty()

    def say(self, text):
        print(f"\033[1m==> {text}\033[0m" if self.tty else f"==> {text}", flush=True)

    # ------------------------------------------------------------------ steps

    def start_broker(self):
        self.say("Starting a throw-away RabbitMQ: own node, free ports on the loopback, temporary folder")
        self.broker = Broker(parent=self.folder)
        self.broker.start()
        print(f"    {self.broker.url} ({self.broker.folder})")
        self.channel = pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.broker.port, heartbeat=0)).channel()
        self.channel.confirm_delivery()
        self.channel.queue_declare(DEAD, durable=True)

    def start_daemon(self):
        conf = self.folder / "demo.conf"
        text = (DEMO / "demo.conf").read_text(encoding="utf-8")
        for example, ours in (("/DEMO/", f"{self.folder}/"), ("amqp://localhost", self.broker.url),
                              ('user = "demo"', f'user = "{os.geteuid()}"')):
            text = text.replace(example, ours)
        conf.write_text(text, encoding="utf-8")
        conf.chmod(0o600)
        shutil.copytree(DEMO / "handlers", self.folder / "handlers")
        self.ledger.touch()
        self.say(f"Starting {self.build / 'amqp-execd'} --config {conf}")
        print(f"    the commented configuration: {DEMO / 'demo.conf'}")
        self.notify = Notifications(self.folder / "notify")
        with open(self.log, "wb") as log:
            # setpriv: ends with us, even if we are killed.
            self.daemon = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", str(self.build / "amqp-execd"), "--config", str(conf)],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": self.notify.path}, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.await_(lambda: self.notify.values("READY"), 20, "READY=1")
        print(f"    it tells systemd: READY=1, STATUS={self.notify.status}")

    def publish(self):
        self.say(f"Publishing {sum(COUNTS.values())} messages, each confirmed by the broker: "
                 + ", ".join(f"{n} to {q}" for q, n in COUNTS.items()))
        width = max(COUNTS.values())
        for i in range(1, width + 1):  # in turns, as life would have it
            for queue, n in COUNTS.items():
                if i <= n:
                    self.publish_one(queue, i)

    def publish_one(self, queue, i):
        identity = f"{queue}-{i:03}"
        body = f"message {identity}\n" + "text " * (i * 37 % 400)
        if identity == UNKNOWN:
            body += "customer=unknown"
        elif identity == LOCKED:
            body += "customer=locked"
        elif queue == "orders" and i % 5 == 0:
            body += "database=away"
        self.published[identity] = (queue, body.strip().encode())
        self.channel.basic_publish("", queue, self.published[identity][1], pika.BasicProperties(
            message_id=identity, delivery_mode=2, content_type="text/plain"), mandatory=True)

    def watch(self):
        self.say("The handlers run; what has failed comes again, or ends in the dead letters")
        last, settled = 0.0, 0
        while True:
            runs = self.runs()
            dead = self.depth(DEAD)
            done = {r.id for r in runs if r.status == 0}
            settled = len(done) + dead
            now = time.monotonic() - self.begun
            if settled >= len(self.published) or now - last >= (0.2 if self.tty else 2):
                last = now
                line = f"    {now:5.1f} s  "
                for queue, n in COUNTS.items():
                    line += f"{queue} {sum(1 for i in done if i.startswith(queue)):>3}/{n}   "
                line += f"failed runs {sum(1 for r in runs if r.status)}   dead letters {dead}"
                print("\r\033[K" + line if self.tty else line, end="" if self.tty else "\n", flush=True)
            if settled >= len(self.published):
                break
            if now > 120:
                raise Wrong(f"{len(self.published) - settled} messages were neither handled nor dead-lettered in two minutes")
            self.check_daemon()
            time.sleep(0.1)
        if self.tty:
            print()

    def stop_daemon(self):
        self.say("Stopping the daemon (SIGTERM)")
        self.daemon.send_signal(signal.SIGTERM)
        try:
            status = self.daemon.wait(40)
        except subprocess.TimeoutExpired:
            raise Wrong("the daemon does not stop") from None
        self.notify.flush()
        print(f"    it told systemd: STOPPING=1, STATUS={self.notify.status}; exit status {status}")
        if status != 0:
            raise Wrong(f"exit status {status}")
        if not self.notify.values("STOPPING"):
            raise Wrong("it did not tell systemd that it stops")

    # ---------------------------------------------------------------- account

    def runs(self):
        return [Run(*line.split()[:3], int(line.split()[3]), line.split()[4], *map(float, line.split()[5:7]))
                for line in self.ledger.read_text(encoding="utf-8").splitlines()]

    def depth(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def dead_letters(self):
        found = {}
        while True:
            method, properties, body = self.channel.basic_get(DEAD, auto_ack=True)
            if method is None:
                return found
            if properties.message_id in found:
                raise Wrong(f"{properties.message_id} is twice among the dead letters")
            found[properties.message_id] = body
            self.reasons[properties.message_id] = properties.headers

    def fates(self):
        """{id: (what became of it, its runs)}, from what the handlers wrote and what the broker holds alone."""
        by_id = collections.defaultdict(list)
        for r in self.runs():
            by_id[r.id].append(r)
        dead, wrong, fates = self.dead_letters(), [], {}
        for identity, (queue, body) in self.published.items():
            runs = by_id.pop(identity, [])
            statuses = [r.status for r in runs]
            if any(r.sum != hashlib.sha256(body).hexdigest() or r.queue != queue for r in runs):
                wrong.append(f"{identity}: a handler got something else than was published")
            if identity in dead:
                if dead.pop(identity) != body or 0 in statuses:
                    wrong.append(f"{identity}: dead-lettered, but not as it was published, or although it had succeeded")
                what = f"dead letter after {len(runs)} failed attempt{'s' if len(runs) > 1 else ''}"
                headers = self.reasons[identity]
                if (headers["x-execd-attempts"], headers["x-execd-exit-status"]) != (len(runs), statuses[-1]):
                    wrong.append(f"{identity}: the dead letter says something else than happened: {headers}")
            elif 0 not in statuses:
                wrong.append(f"{identity}: LOST (handler runs: {statuses or 'none'})")
                what = "LOST"
            else:
                if statuses.count(0) > 1:
                    wrong.append(f"{identity}: handled {statuses.count(0)} times")
                what = ("acknowledged at the first attempt" if len(runs) == 1 else
                        f"acknowledged at attempt {len(runs)}, before that exit status "
                        + ", ".join(str(s) for s in statuses[:-1]))
            fates[identity] = (what, runs)
        if by_id or dead:
            wrong.append(f"messages that nobody published: {sorted(by_id) + sorted(dead)}")
        for queue in COUNTS:
            if self.depth(queue):
                wrong.append(f"{self.depth(queue)} messages are still in {queue}")
        return fates, wrong

    def compare_with_log(self, fates):
        """What the daemon's log says about each message has to be the same story."""
        logged = collections.defaultdict(list)
        for line in self.log.read_text(encoding="utf-8").splitlines():
            match = re.search(r": settled (.*)$", line)
            if match:
                fields = dict(re.findall(r"(\w+)=(\S+)", match[1]))
                logged[fields["message_id"]].append((int(fields.get("exit", -1)), fields["decision"]))
        return [f"{identity}: the daemon's log says {logged[identity]}" for identity, (_, runs) in fates.items()
                if logged[identity] != [(r.status, "ack" if r.status == 0 else
                                         "reject" if r is runs[-1] else "retry") for r in runs]]

    def report(self, fates):
        print(f"\n    {'queue':<8}{'published':>10}{'runs':>7}{'at once':>9}{'1st attempt':>13}{'later':>7}{'dead':>6}"
              f"{'lost':>6}{'mean run':>10}")
        for queue, n in COUNTS.items():
            mine = {i: f for i, f in fates.items() if self.published[i][0] == queue}
            runs = [r for _, rs in mine.values() for r in rs]
            events = sorted([(r.begun, 1) for r in runs] + [(r.ended, -1) for r in runs])
            now = most = 0
            for _, step in events:
                now += step
                most = max(most, now)
            kinds = collections.Counter(what.split(" attempt")[0].split()[0] + (" first" if "first" in what else "")
                                        for what, _ in mine.values())
            mean = sum(r.ended - r.begun for r in runs) / max(1, len(runs))
            print(f"    {queue:<8}{n:>10}{len(runs):>7}{most:>9}{kinds['acknowledged first']:>13}"
                  f"{kinds['acknowledged']:>7}{kinds['dead']:>6}{kinds['LOST']:>6}{mean * 1000:>7.0f} ms")
        print("\n    What became of each message:")
        groups = collections.defaultdict(list)
        for identity, (what, _) in fates.items():
            groups[(self.published[identity][0], what)].append(identity)
        for queue in COUNTS:
            for (q, what), ids in groups.items():
                if q == queue:
                    print(f"    {len(ids):>4}  {what}: {compact(ids)}")
        print("\n    What the dead letters say:")
        for identity, headers in sorted(self.reasons.items()):
            print(f"    {identity}: {headers['x-execd-reason']} at attempt {headers['x-execd-attempts']}, "
                  f"{headers['x-execd-stderr'].splitlines()[-1]!r}, handled on {headers['x-execd-host']}, "
                  f"published to {headers['x-execd-routing-key']}")
        with open(self.account, "w", encoding="utf-8") as f:
            for identity, (what, runs) in sorted(fates.items()):
                steps = "; ".join(f"run {n}: {1000 * (r.ended - r.begun):.0f} ms, exit status {r.status}"
                                  for n, r in enumerate(runs, 1))
                f.write(f"{identity}: {what} ({steps})\n")
        print(f"\n    message by message: {self.account}")

    # ------------------------------------------------------------------- rest

    def check_daemon(self):
        if self.daemon.poll() is not None:
            raise Wrong(f"the daemon has ended with status {self.daemon.returncode}")

    def await_(self, condition, timeout, what):
        deadline = time.monotonic() + timeout
        while not condition():
            self.check_daemon()
            if time.monotonic() > deadline:
                raise Wrong(f"waited {timeout} s in vain for {what}")
            time.sleep(0.02)

    def run(self):
        self.start_broker()
        self.start_daemon()
        self.publish()
        self.watch()
        self.stop_daemon()
        self.say("Counting, from what the handlers wrote down and what the broker still has")
        fates, wrong = self.fates()
        wrong += self.compare_with_log(fates)
        self.report(fates)
        if wrong:
            raise Wrong("\n    ".join(wrong))

    def close(self):
        end_process(self.daemon, signal.SIGTERM, timeout=15)
        if self.broker is not None:
            self.broker.close()
        if self.notify is not None:
            self.notify.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def compact(ids):
    """mail-001 to mail-150, or the single names."""
    parts = []
    for identity in sorted(ids):
        number = int(identity.rsplit("-", 1)[1])
        if parts and parts[-1][-1][0] == number - 1:
            parts[-1].append((number, identity))
        else:
            parts.append([(number, identity)])
    texts = [p[0][1] if len(p) == 1 else f"{p[0][1]} to {p[-1][0]:03}" for p in parts]
    return ", ".join(texts) if len(texts) <= 6 else ", ".join(texts[:5]) + f" and {len(texts) - 5} more"


def stop(signum, _):
    raise SystemExit(128 + signum)


def main():
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(sig, stop)
    demo = Demo(sys.argv[1])
    status = 1
    try:
        demo.run()
        status = 0
    except (Wrong, BrokerError, pika.exceptions.AMQPError) as e:
        print(f"\nWRONG: {e or type(e).__name__}", file=sys.stderr)
        with contextlib.suppress(OSError):
            tail = demo.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            print("The end of the daemon's log:", *tail, sep="\n    ", file=sys.stderr)
    except SystemExit as e:
        status = e.code
        print("\nInterrupted.", file=sys.stderr)
    finally:
        for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(sig, signal.SIG_IGN)  # what is to be stopped will be stopped
        demo.say("Stopping everything that was started")
        demo.close()
    took = time.monotonic() - demo.begun
    if status == 0:
        print(f"Every message is accounted for, none was lost. {took:.0f} s")
    sys.exit(status)


if __name__ == "__main__":
    main()
