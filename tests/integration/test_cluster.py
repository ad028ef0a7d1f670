# SPDX-License-Identifier: MIT
"""A cluster of three nodes on this machine, whose nodes are killed while messages are published and handled."""

import re
import time

import pytest

from broker import Cluster
from faults import QUICK, Load, deciding, wait_dead, wait_handled
from harness import Rabbit, configuration, wait_until

# What a quorum queue was dead-lettering when a leader died waits until this is over: three minutes by default.
ADVANCED = "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 3000}]}]"


def kill_leader(cluster, queue, daemon, ledger):
    """Kills the node that leads the queue; returns it, and how many messages were handled in the second before: their
    acknowledgements may not have reached the other nodes."""
    leader, _ = cluster.replicas(queue)
    before = len(ledger.of("done"))
    time.sleep(1)
    connected = len(re.findall(r" connected$", daemon.log, re.M))
    leader.kill()
    killed = time.monotonic()
    doubtful = len(ledger.of("done")) - before
    wait_until(lambda: len(re.findall(r" connected$", daemon.log, re.M)) > connected
               or f"port={leader.port} " not in daemon.log, what="another node")
    took = time.monotonic() - killed
    assert took < 5, f"the next URL after {took:.1f} s"
    return leader, doubtful


@pytest.fixture(scope="module", name="_cluster")
def _made():
    with Cluster(advanced=ADVANCED) as cluster:
        yield cluster


@pytest.fixture(name="cluster")
def _whole(_cluster):
    """All three nodes run, but the queues' members may need some time more."""
    for node in _cluster.nodes:
        if not node.running:
            node.start()
    wait_until(lambda: len(_cluster.members()) == 3, what="three nodes")
    return _cluster


def test_row_03_cluster_node_killed(cluster, daemon, ledger, settle_accounts):
    """kill -9 of the leader of a quorum queue, twice: the daemon goes on with the next URL, retries and dead letters too."""
    plans = ["75/1", "65", "1/1", "KILL/1"]
    client = Rabbit(cluster.nodes[0]).connect()
    dead, queue = client.declare("dead", "quorum"), client.declare("work", "quorum")
    delays = f"{queue}.retry.200.quorum"
    # A queue is led by the node that it is declared at, which is the one that the daemon uses first.
    assert cluster.replicas(queue)[0] is cluster.nodes[0]
    with Load(cluster.nodes, queue, rate=60, plan=lambda rng: rng.choice(plans) if rng.random() < 0.5 else None) as load:
        d = daemon(configuration(broker={"urls": [n.url for n in cluster.nodes], **QUICK}, queues=[
            deciding(queue, ledger, dead, declare={"durable": True, "type": "quorum"})]))
        load.wait(60)
        # The daemon has declared it at the same node, but not to be led by it, too (doc/testing.md).
        wait_until(lambda: cluster.replicas(delays)[1] == 3, what="a delay queue")
        assert cluster.replicas(delays)[0] is not cluster.nodes[0]
        time.sleep(8)  # see `mature` in test_faults_broker.py
        first, doubtful = kill_leader(cluster, queue, d, ledger)
        load.wait(60)
        with load.paused():
            wait_handled(load, ledger, load.planned("65", "75/1", "KILL/1"))
        first.start()
        # RabbitMQ's members need some time to be three again.
        wait_until(lambda: cluster.replicas(queue)[1] == cluster.replicas(dead)[1] == 3, what="three members", interval=0.5)
        load.wait(30)
        second, more = kill_leader(cluster, queue, d, ledger)
        load.wait(60)
    alive = next(n for n in cluster.nodes if n.running)
    assert second is not first
    rejected, retried = load.planned("65"), load.planned("75/1", "KILL/1")
    # Where both are led now is RabbitMQ's choice. If it was by the same node, what waits in the delay queue may have to wait until
    # that one is back (doc/testing.md); everything else goes on with two nodes of three.
    wait_handled(load, ledger, rejected | retried)
    second.start()
    wait_handled(load, ledger, rejected)
    client = Rabbit(alive).connect()
    wait_dead(client, dead, len(rejected))
    d.stop()
    account = settle_accounts(load, ledger, alive, dead, delays=True, allowed=doubtful + more + 2 * 4,
                              because="what was in hand, and what was acknowledged in the second before")
    assert rejected <= set(account.dead) and not set(account.dead) & set(account.done)
    assert len(retried) > 5, "there were retries"


def test_copies_refused_until_a_leader_is_elected(cluster, daemon, ledger, settle_accounts):
    """The dead letters' queue has lost its leader, and two nodes of three are not there to elect another. RabbitMQ goes on refusing what
    comes on a channel that has begun to publish then, also when there is a leader again: the daemon takes another channel."""
    *others, here = cluster.nodes
    client = Rabbit(others[0]).connect()
    dead = client.declare("letters", "quorum")
    queue = Rabbit(here).connect().declare("light")
    wait_until(lambda: cluster.replicas(dead) == (others[0], 3), what="three members")
    mature = time.monotonic() + 8
    d = daemon(configuration(broker={"url": here.url, **QUICK, "heartbeat": 5}, queues=[
        deciding(queue, ledger, dead, prefetch=20)]))
    time.sleep(max(0, mature - time.monotonic()))
    for node in others:
        node.kill()
    with Load(here, queue, plan=lambda rng: "65", most=5) as load:
        load.wait_all()
    d.wait_log("refused")
    others[1].start()
    wait_until(lambda: cluster.replicas(dead)[0], what="a leader")
    wait_dead(Rabbit(here).connect(), dead, 5, 30)
    d.stop()
    settle_accounts(load, ledger, here, dead)
