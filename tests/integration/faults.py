# SPDX-License-Identifier: MIT
"""What the fault tests stand on: a publisher that runs beside the fault, and the account of where each of its messages is
in the end."""

import collections
import contextlib
import hashlib
import itertools
import logging
import random
import threading
import time

import pika

from harness import Rabbit, handler, wait_until

# What fails here fails on purpose, and is in the account.
logging.getLogger("pika").setLevel(logging.CRITICAL)

# Reconnects at once, and notices a silent peer within two seconds.
QUICK = {"heartbeat": 1, "connect_timeout": "1s", "reconnect": {"min_delay": "100ms", "max_delay": "500ms"}}


def working(queue, ledger, seconds=0.02, **keys):
    """The configuration of a queue whose handler is tests/handlers/work: four at a time, nothing prefetched beyond them."""
    return {"name": queue, "concurrency": 4, "prefetch": 4, "handler": handler("work", ledger, seconds), **keys}


def deciding(queue, ledger, dead, seconds=0.02, **keys):
    """The same with every outcome: 1 requeue, 75 retry, 65 reject into the queue `dead`; a signal is a retry, a timeout a
    requeue."""
    return {**working(queue, ledger, seconds),
            "handler": {**handler("work", ledger, seconds), "timeout": "1500ms", "kill_grace": "300ms"},
            "outcomes": {"requeue": [1], "retry": [75], "reject": [65], "otherwise": "requeue", "on_signal": "retry",
                         "on_timeout": "requeue"},
            "requeue": {"delay": "100ms", "max_delay": "400ms"},
            "retry": {"delay": "200ms", "multiplier": 1.5, "max_delay": "600ms", "max_attempts": 20},
            "dead_letter": {"routing_key": dead}, **keys}


# -------------------------------------------------------------------------- load

class Load:
    """Publishes beside the fault: persistent, mandatory, confirmed one by one, to the queues in turn, with ids of its own and
    bodies from empty to 200 kB. Reconnects by itself. Used as a context: it publishes from the beginning to the end of it.

    Of a message that was not confirmed nobody knows whether it is there: it may be, but counts as nothing. So `confirmed` is
    what must be found in the end, `published` is all that may be."""

    _numbers = itertools.count(1)

    def __init__(self, brokers, queues, rate=100, plan=None, seed=1, most=None):
        """brokers: one or several, tried in turn. rate: messages a second, about. plan(rng): the header "plan" of a message
        (tests/handlers/work), None for a good one. most: how many it publishes at most."""
        self.brokers = list(brokers) if isinstance(brokers, (list, tuple)) else [brokers]
        self.queues = [queues] if isinstance(queues, str) else list(queues)
        self.published = {}  # id: (queue, plan, SHA-256, size)
        self.confirmed = set()
        self.returned = set()
        self.reconnects = -1
        self._rate, self._plan, self._most = rate, plan, most
        self._rng = random.Random(seed)  # for what a message is; its pace is not repeatable anyway
        self._prefix = f"load{next(self._numbers)}-"
        self._end, self._pause = threading.Event(), threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._end.set()
        self._thread.join(40)
        if kind is None:
            assert not self._thread.is_alive(), "the publisher is stuck"
            if self._error is not None:
                raise self._error

    def wait(self, n):
        """Waits until it has got n more confirms than now."""
        goal = len(self.confirmed) + n
        wait_until(lambda: self._error or not self._thread.is_alive() or len(self.confirmed) >= goal,
                   what=f"{goal} confirms, {len(self.confirmed)} so far")
        assert len(self.confirmed) >= goal, self._error
        return self

    def wait_all(self):
        """Waits until it has published `most` messages."""
        wait_until(lambda: not self._thread.is_alive(), what=f"{self._most} published, {len(self.confirmed)} so far")

    @contextlib.contextmanager
    def paused(self):
        """Publishes nothing meanwhile."""
        self._pause.set()
        before = -1
        while before != len(self.published):  # what it was about to do
            before = len(self.published)
            time.sleep(0.3)
        yield
        self._pause.clear()

    def _run(self):
        try:
            turn = itertools.cycle(self.brokers)
            while self._wanted():
                with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                    self._publish_over(next(turn))
                if self._wanted():
                    time.sleep(0.2)
        except Exception as e:  # pylint: disable=broad-except  # for the thread that waits for us
            self._error = e

    def _wanted(self):
        return not self._end.is_set() and (self._most is None or len(self.confirmed) < self._most)

    def _publish_over(self, broker):
        credentials = pika.PlainCredentials(broker.username, broker.password)
        connection = pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", broker.port, credentials=credentials, heartbeat=4, socket_timeout=3, stack_timeout=5,
            blocked_connection_timeout=60))
        self.reconnects += 1
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            while self._wanted() and connection.is_open:
                connection.sleep(random.uniform(0.2, 1.8) / self._rate)
                if not self._pause.is_set():
                    self._publish(channel)
        finally:
            with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                connection.close()

    def _body(self):
        size = self._rng.choices([0, self._rng.randrange(1, 3000), self._rng.randrange(60_000, 200_000)], [3, 95, 2])[0]
        return self._rng.randbytes(size)

    def _publish(self, channel):
        n = len(self.published)
        name, queue = f"{self._prefix}{n}", self.queues[n % len(self.queues)]
        body, plan = self._body(), self._plan(self._rng) if self._plan else None
        # Known before it is sent: what breaks in between leaves a message that may be there.
        self.published[name] = (queue, plan, hashlib.sha256(body).hexdigest(), len(body))
        properties = pika.BasicProperties(delivery_mode=2, message_id=name, headers={"plan": plan} if plan else None)
        try:
            channel.basic_publish("", queue, body, properties, mandatory=True)
            self.confirmed.add(name)
        except pika.exceptions.UnroutableError:
            self.returned.add(name)
        except pika.exceptions.NackError:
            # Over a new connection: RabbitMQ 3.10 refuses everything on a channel that has begun to publish to a quorum queue
            # while its leader was dead and no other was elected, for as long as the channel lives.
            channel.connection.close()

    def owns(self, name):
        return name.startswith(self._prefix)

    def planned(self, *plans):
        """The confirmed messages with one of these plans."""
        return {name for name in self.confirmed if self.published[name][1] in plans}


def wait_handled(load, ledger, others=frozenset(), timeout=60):
    """Waits until every confirmed message has a line "done" in the ledger, but for the others. The timeout begins anew with each
    that gets one: how long all of them take is the machine's, but none may be stuck."""
    def missing():
        return load.confirmed - others - set(ledger.counts())
    left = len(missing())
    while left:
        try:
            wait_until(lambda n=left: len(missing()) < n, timeout, "another message handled", interval=0.1)
        except AssertionError as e:
            lost = sorted(missing())
            raise AssertionError(f"{e}: {len(lost)} of {len(load.confirmed)} are not: {lost[:10]}") from None
        left = len(missing())


def wait_dead(client, dead, n, timeout=60):
    """Waits until there are so many dead letters."""
    wait_until(lambda: client.depth(dead) >= n, timeout, f"{n} dead letters, {client.depth(dead)} so far", interval=0.1)


# -------------------------------------------------------------------- accounting

class Account:
    """Where the messages of a load are, once the daemon has stopped: handled, dead letters, or still in a work or delay queue.
    Takes what is left out of the queues."""

    def __init__(self, load, ledger, broker, dead=None, delays=False):
        """dead: the dead-letter queue. delays: whether there may be delay queues."""
        self.load, self.ledger = load, ledger
        # Another load may share the ledger, but no queue.
        self.done = collections.Counter({k: n for k, n in ledger.counts().items() if load.owns(k)})
        self.dead, self.left = collections.defaultdict(list), collections.Counter()
        self._damaged = set()
        client = Rabbit(broker).connect()
        try:
            self._empty(client, broker, dead, delays)
        finally:
            client.close()

    def _empty(self, client, broker, dead, delays):
        names = list(self.load.queues)
        if delays:
            stems = tuple(f"{q}.retry." for q in self.load.queues)
            names += [n for n in broker.ctl("list_queues", "name", "--silent").split() if n.startswith(stems)]
        for name in names:
            for properties, body in client.drain(name):
                self.left[properties.message_id] += 1
                self._look_at(properties.message_id, body)
        for properties, body in client.drain(dead) if dead else ():
            self.dead[properties.message_id].append(properties)
            self._look_at(properties.message_id, body)

    def _look_at(self, name, body):
        if name in self.load.published and hashlib.sha256(body).hexdigest() != self.load.published[name][2]:
            self._damaged.add(name)

    @property
    def again(self):
        """How many ends there are beyond one for each message: runs that worked, dead letters, messages that are left."""
        ends = collections.Counter(self.done) + self.left + collections.Counter({k: len(v) for k, v in self.dead.items()})
        return sum(n - 1 for n in ends.values())

    def check(self, allowed=0, because="no fault that explains any"):
        """Nothing is lost, nothing is invented, no byte is changed, and only so much was done again as the faults explain."""
        found = set(self.done) | set(self.dead) | set(self.left)
        for line in self.ledger.of("done"):
            if line[0] in self.load.published and tuple(line[1:]) != tuple(map(str, self.load.published[line[0]][2:])):
                self._damaged.add(line[0])
        lost = sorted(self.load.confirmed - found)
        invented = sorted(found - set(self.load.published))
        assert self.load.confirmed, "nothing was published"
        assert not lost, f"{len(lost)} of {len(self.load.confirmed)} confirmed messages are lost: {lost[:10]}"
        assert not invented, f"nobody has published {invented[:10]}"
        assert not self._damaged, f"their bodies are not what was published: {sorted(self._damaged)[:10]}"
        assert self.again <= allowed, f"{self.again} messages again, at most {allowed} are explained: {because}; {self}"

    def __str__(self):
        return (f"{len(self.load.confirmed)} confirmed, {len(self.load.published) - len(self.load.confirmed)} not; "
                f"{len(self.done)} handled, {len(self.dead)} dead letters, {len(self.left)} left; {self.again} again")
