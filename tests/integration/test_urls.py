# SPDX-License-Identifier: MIT
"""Several URLs of one broker: tried in turn, at once after a failure, with a pause only when none of them works."""

import time

from harness import Rabbit, configuration, free_ports, handler, shell, stays, wait_until

# Long enough that waiting for it even once would be noticed.
SLOW = {"reconnect": {"min_delay": "30s", "max_delay": "60s"}}


def url(broker, port=None):
    return f"amqp://{broker.username}:{broker.password}@127.0.0.1:{port or broker.port}"


def test_first_is_down(broker, rabbit, daemon, ledger, name):
    """The next ones are tried at once."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, "true", message_id="m")
    dead = free_ports(2)
    begun = time.monotonic()
    d = daemon(configuration(broker={"urls": [url(broker, p) for p in dead] + [url(broker)], **SLOW}, queues=[{
        "name": queue, "handler": handler("obey", ledger)}]))
    ledger.wait(1)
    assert time.monotonic() - begun < 10
    d.stop()


def test_used_one_dies(broker, rabbit, fragile, daemon, ledger, name):
    """The next one is in use within five seconds."""
    queue = name()
    rabbit.declare(queue)
    other = Rabbit(fragile).connect()
    other.declare(queue)
    other.publish(queue, "true", message_id="first")
    d = daemon(configuration(broker={"urls": [url(fragile), url(broker)], **SLOW}, queues=[{
        "name": queue, "handler": handler("obey", ledger)}]))
    ledger.wait(1)
    rabbit.publish(queue, "true", message_id="second")
    begun = time.monotonic()
    fragile.kill()
    wait_until(lambda: "second" in ledger.counts(), what="a message of the second broker")
    assert time.monotonic() - begun < 5
    # Back again when that one drops us, too: it has been up for long enough to begin a new round.
    fragile.start()
    other.connect().declare(queue)
    wait_until(lambda: time.monotonic() - begun > 12, what="ten seconds of a stable connection")
    begun = time.monotonic()
    broker.ctl("close_all_connections", "move on")
    wait_until(lambda: other.consumers(queue) == 1, what="a consumer at the first broker")
    assert time.monotonic() - begun < 10
    d.stop()
    rabbit.connect()
    other.close()


def test_none_works(daemon, name):
    """A pause after each round, and no more attempts than that."""
    ports = free_ports(3)
    d = daemon(configuration(broker={"urls": [f"amqp://127.0.0.1:{p}" for p in ports], "reconnect": {
        "min_delay": "1s", "max_delay": "1s"}}, queues=[{"name": name(), "handler": shell("cat")}]))
    for p in ports:
        d.wait_log(f"port {p}: Connection refused")
    time.sleep(4)
    # At least 0.75 s each: at most six rounds since the first.
    assert len([line for line in d.lines if f"port {ports[2]} " in line and "refused" in line]) <= 7
    stays(lambda: d.process.poll() is None, 0.3)
    d.stop()


def test_first_refuses_the_login(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    rabbit.publish(queue, "true", message_id="m")
    d = daemon(configuration(broker={"urls": [f"amqp://guest:s3cr3t-Passw0rd@127.0.0.1:{broker.port}", url(broker)], **SLOW},
                             queues=[{"name": queue, "handler": handler("obey", ledger)}]),
               arguments=["--log-level", "debug"])
    ledger.wait(1)
    assert "s3cr3t" not in d.log + "".join(d.notify.values("STATUS"))
    d.stop()


def test_stop_between_addresses(daemon, name):
    """All of them are down: a stop is at once."""
    d = daemon(configuration(broker={"urls": [f"amqp://127.0.0.1:{p}" for p in free_ports(5)], **SLOW}, queues=[{
        "name": name(), "handler": shell("cat")}]))
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 10
