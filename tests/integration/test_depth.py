# SPDX-License-Identifier: MIT
"""How deep queues are, as the broker says, and how often connections were made and lost, by reason."""

import time

from harness import configuration, free_ports, shell, stays, wait_until

QUICK = {"reconnect": {"min_delay": "100ms", "max_delay": "300ms"}}
OFTEN = {"queue_interval": "200ms"}


def settings(url, *queues, monitor=None, **broker):
    return configuration(broker={"url": url, **QUICK, **broker}, monitor=OFTEN if monitor is None else monitor,
                         queues=[{"handler": shell("cat"), **({"name": q} if isinstance(q, str) else q)} for q in queues])


def status(d):
    code, answer = d.ask("GET", "/v1/status")
    assert code == 200, answer
    return answer


def depth(d, queue):
    """(messages, consumers), or (None, None) while that is not known."""
    found = next(q for q in status(d)["queues"] if q["name"] == queue and not q["leaving"])
    return found["messages_ready"], found["consumers"]


def wait_depth(d, queue, messages, consumers):
    wait_until(lambda: depth(d, queue) == (messages, consumers), what=f"a depth of {messages} with {consumers} consumers: "
               f"{depth(d, queue)}")


def line(d, publisher=False):
    """The only broker's connection: (connects, failures)."""
    broker = status(d)["brokers"][0]
    found = broker["publisher"] if publisher else broker
    return found["connects"], found["failures"]


def wait_failure(d, reason, publisher=False):
    return wait_until(lambda: line(d, publisher)[1].get(reason), what=f"a failure {reason}: {line(d, publisher)}")


# ------------------------------------------------------------------------- depth

def test_paused_queue(broker, rabbit, daemon, name):
    """That is when operators want to know: exact, and only what no consumer has; likewise after a reload that changes the queue."""
    queue, other = rabbit.declare(name()), rabbit.declare(name())
    d = daemon(settings(broker.url, queue, other))
    wait_depth(d, queue, 0, 1)
    assert d.control("pause", queue).returncode == 0
    wait_depth(d, queue, 0, 0)
    rabbit.publish_many(queue, [b"x"] * 37)
    wait_depth(d, queue, 37, 0)
    wait_depth(d, other, 0, 1)
    changed = {"name": queue, "prefetch": 7}
    answer = d.reload(settings(broker.url, changed, other))
    assert answer["changed"] == [queue]
    assert depth(d, other) == (0, 1), "it is known all the time"
    wait_depth(d, queue, 37, 0)
    assert d.control("resume", queue).returncode == 0
    wait_depth(d, queue, 0, 1)
    assert line(d) == (1, {}), "nothing of this was a failure"
    d.stop()


def test_messages_in_hand_do_not_wait(broker, rabbit, daemon, name, tmp_path):
    queue, go = rabbit.declare(name()), tmp_path / "go"
    rabbit.publish_many(queue, [b"x"] * 10)
    d = daemon(settings(broker.url, {"name": queue, "prefetch": 4, "concurrency": 2,
                                     "handler": shell(f"until [ -e {go} ]; do sleep 0.1; done")}))
    wait_depth(d, queue, 6, 1)
    go.touch()
    wait_depth(d, queue, 0, 1)
    d.wait_settled(10)
    d.stop()


def test_queue_deleted_and_made_again(broker, rabbit, daemon, name):
    """It is unknown in between; the others are asked as before, and nobody's channel is closed for it but the asker's."""
    queue, paused, other = rabbit.declare(name()), rabbit.declare(name()), rabbit.declare(name())
    d = daemon(settings(broker.url, queue, paused, other))
    assert d.control("pause", paused).returncode == 0
    wait_depth(d, paused, 0, 0)
    wait_depth(d, queue, 0, 1)
    rabbit.channel.queue_delete(queue)
    rabbit.channel.queue_delete(paused)
    wait_depth(d, queue, None, None)
    wait_depth(d, paused, None, None)
    assert d.control("pause", other).returncode == 0
    rabbit.publish(other, "a")
    wait_depth(d, other, 1, 0)
    rabbit.declare(queue)
    rabbit.declare(paused)
    rabbit.publish(paused, "b")
    wait_depth(d, paused, 1, 0)
    wait_depth(d, queue, 0, 1)
    assert line(d) == (1, {})
    assert not [x for x in d.lines if other in x and "degraded" in x]
    d.stop()


def test_queue_of_somebody_else(broker, rabbit, daemon, name):
    """An exclusive queue of another connection: refused with 405, and unknown, until it is anybody's."""
    queue, other = name(), rabbit.declare(name())
    rabbit.channel.queue_declare(queue, exclusive=True)
    d = daemon(settings(broker.url, queue, other))
    wait_depth(d, other, 0, 1)
    stays(lambda: depth(d, queue) == (None, None), 1, "known")
    rabbit.channel.queue_delete(queue)
    rabbit.declare(queue)
    wait_depth(d, queue, 0, 1)
    d.stop()


def test_no_channel_is_left(broker, rabbit, daemon, name):
    """The broker allows as many as there are queues: one line says so, and once there are fewer queues it is asked."""
    queues = [rabbit.declare(name()) for _ in range(3)]
    before = broker.ctl("eval", "application:get_env(rabbit, channel_max).")
    assert "2047" in before
    broker.ctl("eval", "application:set_env(rabbit, channel_max, 3).")
    try:
        d = daemon(settings(broker.url, *queues))
        d.wait_log(r"info: broker=default cannot be asked how deep its queues are: the broker allows 3 channels")
        stays(lambda: depth(d, queues[0]) == (None, None), 1, "known")
        d.reload(settings(broker.url, *queues[:2]))
        wait_depth(d, queues[0], 0, 1)
        d.reload(settings(broker.url, *queues))
        wait_until(lambda: rabbit.consumers(queues[2]) == 1, what="the consumer that needed the channel")
        wait_depth(d, queues[0], None, None)
        assert line(d) == (1, {})
        d.stop()
    finally:
        broker.ctl("eval", "application:set_env(rabbit, channel_max, 2047).")


def test_user_may_have_no_further_channel(broker, rabbit, daemon, name):
    """RabbitMQ closes the connection for it: once, and never again."""
    queues = [rabbit.declare(name()) for _ in range(2)]
    broker.ctl("add_user", "narrow", "pw")
    try:
        broker.ctl("set_permissions", "narrow", "", "", ".*")
        broker.ctl("set_user_limits", "narrow", '{"max-channels": 2}')
        url = f"amqp://narrow:pw@127.0.0.1:{broker.port}"
        d = daemon(settings(url, *queues))
        d.wait_log("info: broker=default cannot be asked how deep its queues are: .*530")
        wait_until(lambda: line(d)[0] == 2)
        wait_until(lambda: all(rabbit.consumers(q) == 1 for q in queues))
        stays(lambda: line(d) == (2, {"closed": 1}), 1)
        broker.ctl("clear_user_limits", "narrow", "all")
        d.reload(settings(url, *queues, monitor={"queue_interval": "300ms"}))
        wait_depth(d, queues[1], 0, 1)
        assert line(d) == (2, {"closed": 1})
        d.stop()
    finally:
        broker.ctl("delete_user", "narrow")


def test_interval_is_reloaded(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    d = daemon(settings(broker.url, queue, monitor={"queue_interval": 0}))
    stays(lambda: depth(d, queue) == (None, None), 1.5, "known")
    d.reload(settings(broker.url, queue))
    wait_depth(d, queue, 0, 1)
    d.reload(settings(broker.url, queue, monitor={"queue_interval": 0}))
    wait_depth(d, queue, None, None)
    d.reload(settings(broker.url, queue, monitor={}))
    # By default every 30 seconds, the first time at once.
    wait_depth(d, queue, 0, 1)
    assert line(d) == (1, {})
    d.stop()


def test_asking_counts_as_use(broker, rabbit, daemon, name):
    """A queue that expires stays while it is asked, as the manual says."""
    queue, control = rabbit.declare(name(), expires=1500), rabbit.declare(name(), expires=1500)
    d = daemon(settings(broker.url, queue))
    assert d.control("pause", queue).returncode == 0
    wait_depth(d, queue, 0, 0)
    wait_until(lambda: control not in broker.ctl("list_queues", "name"), what="the end of a queue that nobody asks")
    time.sleep(2)
    assert depth(d, queue) == (0, 0)
    d.stop()


# ---------------------------------------------------------------------- failures

def test_broker_stopped(fragile, fragile_rabbit, daemon, name):
    """What was known is not known any more; the loss and the attempts are counted, of both connections; a reload keeps the counts."""
    queue = fragile_rabbit.declare(name())
    wanted = {"name": queue, "dead_letter": {"exchange": "", "routing_key": "dead"}}
    d = daemon(settings(fragile.url, wanted))
    wait_depth(d, queue, 0, 1)
    wait_until(lambda: line(d, publisher=True) == (1, {}))
    assert line(d) == (1, {})
    fragile.kill()
    wait_until(lambda: depth(d, queue) == (None, None))
    for publisher in False, True:
        wait_failure(d, "unreachable", publisher)
        assert line(d, publisher)[1]["lost"] == 1
    # A kill says nothing.
    assert not {"closed", "login", "stuck", "other"} & set(line(d)[1])
    fragile.start()
    # RabbitMQ may have lost a queue that was declared shortly before it was killed.
    fragile_rabbit.connect().declare(queue)
    wait_depth(d, queue, 0, 1)
    wait_until(lambda: line(d, publisher=True)[0] == 2)
    before = line(d), line(d, publisher=True)
    assert before[0][0] == 2
    d.reload(settings(fragile.url, {**wanted, "prefetch": 3}))
    assert (line(d), line(d, publisher=True)) == before
    # Another connection to what has the same name.
    d.reload(settings(fragile.url, wanted, heartbeat=20))
    wait_until(lambda: line(d)[0] == 3)
    assert line(d)[1] == before[0][1]
    d.stop()


def test_closed_by_the_operator(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    d = daemon(settings(broker.url, queue))
    wait_until(lambda: line(d) == (1, {}))
    broker.ctl("close_all_connections", "for the test")
    wait_until(lambda: line(d) == (2, {"closed": 1}), what="a new connection after one that was closed")
    wait_depth(d, queue, 0, 1)
    rabbit.connect()
    d.stop()


def test_login_refused(broker, rabbit, daemon, name):
    queue = rabbit.declare(name())
    d = daemon(settings(f"amqp://guest:wrong@127.0.0.1:{broker.port}", queue))
    n = wait_failure(d, "login")
    wait_until(lambda: line(d)[1]["login"] > n, what="each attempt is counted")
    assert line(d)[0] == 0 and set(line(d)[1]) == {"login"}
    d.stop()


def test_tls_refused(broker, rabbit, daemon, name):
    """A peer that speaks no TLS; and one that is not there at all is unreachable, with TLS or without."""
    queue = rabbit.declare(name())
    d = daemon(settings(f"amqps://127.0.0.1:{broker.port}", queue))
    wait_failure(d, "tls")
    assert line(d)[0] == 0 and set(line(d)[1]) == {"tls"}
    d.stop()
    d = daemon(settings(f"amqps://127.0.0.1:{free_ports(1)[0]}", queue))
    wait_failure(d, "unreachable")
    assert set(line(d)[1]) == {"unreachable"}
    d.stop()


# ----------------------------------------------------------------- without queues

def empty(folder):
    """Of a folder for included files: with it no queue at all is enough."""
    (folder / "conf.d").mkdir()
    return str(folder / "conf.d")


def test_broker_without_queues(broker, rabbit, daemon, name, tmp_path):
    """It is not connected to, until a reload gives it a queue, and from the reload on that takes the last one away."""
    queue = rabbit.declare(name())
    both = {"brokers": [{"name": "used", "url": broker.url, **QUICK}, {"name": "unused", "url": "amqp://127.0.0.1:1", **QUICK}],
            "monitor": OFTEN, "include_dir": empty(tmp_path)}
    here = {"name": queue, "broker": "used", "handler": shell("cat")}
    d = daemon(configuration(**both, queues=[here]))
    wait_depth(d, queue, 0, 1)
    assert [b["name"] for b in status(d)["brokers"]] == ["used"]
    assert not [x for x in d.lines if "unused" in x]
    d.reload(configuration(**both, queues=[here, {"name": "q", "broker": "unused", "handler": shell("cat")}]))
    d.wait_log("broker=unused.* not connected")
    d.reload(configuration(**both, queues=[]))
    wait_until(lambda: rabbit.consumers(queue) == 0)
    wait_until(lambda: status(d)["brokers"] == [] and status(d)["queues"] == [])
    d.reload(configuration(**both, queues=[here]))
    wait_depth(d, queue, 0, 1)
    d.reload(configuration(**both, queues=[]))
    d.wait_log("reloaded: 0 queues added, 0 changed, 1 removed")
    d.stop()


def test_no_queue_at_all(daemon, tmp_path):
    """Ready at once, and stopped at once: there is nothing to wait for."""
    d = daemon(configuration(broker={"url": "amqp://127.0.0.1:1", **QUICK}, queues=[], include_dir=empty(tmp_path)))
    d.wait_log("starting: .*, 0 queues$")
    stays(lambda: "connected" not in d.log, 0.5)
    assert status(d)["brokers"] == []
    d.stop()
