# SPDX-License-Identifier: MIT
"""Faults of every kind, one after the other in an order that a seed gives, while messages are published and handled; at the end
every message is accounted for. AMQP_EXECD_SEED repeats an order (not the timing), AMQP_EXECD_CHAOS_SECONDS says for how
long."""

import collections
import os
import random
import re
import signal
import time

from faults import QUICK, Load, deciding, wait_handled
from harness import Rabbit, configuration, wait_until
from network import Proxy

SEED = int(os.environ.get("AMQP_EXECD_SEED") or random.SystemRandom().randrange(1_000_000))
SECONDS = float(os.environ.get("AMQP_EXECD_CHAOS_SECONDS") or 40)

IN_HAND = 8  # two queues, four each
REJECTED = "65"
PLANS = ["75/1", "75/2", "1/1", "1/2", "KILL/1", "SEGV/1", "TERM/1", "hang/1", REJECTED, "64/1"]

# Delay queues that hand messages on at least once: a classic one may lose some when its broker is killed. And one delay only,
# so that no new queue is declared shortly before its broker is killed (see `mature` in test_faults_broker.py).
RETRY = {"delay": "300ms", "multiplier": 1.0, "max_delay": "300ms", "max_attempts": 20, "queue_type": "quorum"}


class Chaos:
    """The faults, and how many messages each of them explains to be done again."""

    def __init__(self, rng, broker, proxy, ledger, start_daemon):
        self._rng, self._broker, self._proxy, self._ledger, self._start_daemon = rng, broker, proxy, ledger, start_daemon
        self.daemons = [start_daemon()]
        self.made = collections.Counter()
        self.explained = 0
        self.mature = time.monotonic() + 12

    @property
    def daemon(self):
        return self.daemons[-1]

    def run(self, seconds):
        kinds = {self.broker_killed: 1, self.broker_frozen: 2, self.closed_by_operator: 2, self.daemon_killed: 4,
                 self.daemon_stopped: 3, self.cut: 4, self.stalled: 2, self.confirms_swallowed: 2, self.slow: 2}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self._rng.uniform(0.3, 1.5))
            fault, = self._rng.choices(list(kinds), list(kinds.values()))
            if fault == self.broker_killed and (time.monotonic() < self.mature or self.made[fault.__name__] * 20 > seconds):
                continue
            self.made[fault.__name__] += 1
            fault()

    def lost(self, kinds=1):
        """So many connections or daemons were lost, with what was in hand."""
        self.explained += kinds * IN_HAND

    def broker_killed(self):
        before = len(self._ledger.of("done"))
        time.sleep(1)
        self._broker.kill()
        self.lost()
        self.explained += len(self._ledger.of("done")) - before  # acknowledgements of the last second
        time.sleep(self._rng.uniform(0, 1))
        self._broker.start()

    def broker_frozen(self):
        self._broker.freeze()
        try:
            time.sleep(self._rng.uniform(0.5, 4))
        finally:
            self._broker.thaw()
        self.lost(2)  # once by the daemon, once by the broker

    def closed_by_operator(self):
        self._broker.ctl("close_all_connections", "chaos")
        self.lost()

    def daemon_killed(self):
        os.kill(self.daemon.pid, signal.SIGKILL)
        self.daemon.process.wait()
        self.lost()
        self.daemons.append(self._start_daemon())

    def daemon_stopped(self):
        self.daemon.stop()
        self.daemons.append(self._start_daemon())

    def cut(self):
        self._proxy.cut()
        self.lost()

    def stalled(self):
        self._proxy.stall()
        try:
            time.sleep(self._rng.uniform(0.5, 4))
        finally:
            self._proxy.flow()
        self.lost(2)

    def confirms_swallowed(self):
        self._proxy.confirms = self._rng.choice(["swallow", "cut"])
        time.sleep(self._rng.uniform(0.5, 2))
        self._proxy.confirms = "pass"

    def slow(self):
        self._proxy.latency = self._rng.uniform(0, 0.2)
        time.sleep(self._rng.uniform(0.2, 1))
        self._proxy.latency = 0.0


def depths(broker):
    """Messages in each queue, those that are delivered, too."""
    rows = [line.split("\t") for line in broker.ctl("list_queues", "--silent", "name", "messages").splitlines()]
    return {name: int(n) for name, n in rows}


def test_chaos(fragile, daemon, ledger, name, settle_accounts, capsys):
    with capsys.disabled():
        print(f" [AMQP_EXECD_SEED={SEED}] ", end="", flush=True)
    rng = random.Random(SEED)
    client = Rabbit(fragile).connect()
    queues, dead = [client.declare(name("classic")), client.declare(name("quorum"), "quorum")], client.declare(name("dead"))
    with Proxy(fragile.port) as proxy:
        proxy.open()
        config = configuration(broker={"url": proxy.url, **QUICK, "confirm_timeout": "2s"}, drain_timeout="3s", queues=[
            deciding(q, ledger, dead, 0.05, retry=RETRY) for q in queues])
        chaos = Chaos(rng, fragile, proxy, ledger, lambda: daemon(config))
        with Load(fragile, queues, rate=60, seed=SEED,
                  plan=lambda r: r.choice(PLANS) if r.random() < 0.25 else None) as load:
            chaos.run(SECONDS)
            load.wait(20)
        rejected = load.planned(REJECTED)
        wait_handled(load, ledger, rejected)
        wait_until(lambda: not any(n for q, n in depths(fragile).items() if q.startswith(tuple(queues))), interval=1,
                   what=f"empty queues: {depths(fragile)}")
        chaos.daemon.stop()
    unconfirmed = sum(len(re.findall("(?i)not confirmed|unconfirmed", d.log)) for d in chaos.daemons)
    with capsys.disabled():
        print(f" [{dict(chaos.made)}, {unconfirmed} copies unconfirmed] ", end="")
    account = settle_accounts(load, ledger, fragile, dead, delays=True, allowed=chaos.explained + unconfirmed,
                              because=f"{dict(chaos.made)}, {unconfirmed} copies unconfirmed")
    assert set(account.dead) >= rejected, "they are rejected by their handler each time"
    assert {load.published[i][1] for i in account.dead} <= {REJECTED}, "a good message is a dead letter"
    assert not account.left
    client.connect().close()
