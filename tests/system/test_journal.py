# SPDX-License-Identifier: MIT
"""One eventful day of a daemon, read back from the journal: every event, in its order, with its fields, and explained."""

import collections
import re
from pathlib import Path

import pytest

from harness import Rabbit

from service import CONF, STATE, UNIT, queue, sh

SOURCE = Path(__file__).resolve().parents[2] / "src/base/log_event.c"
NAMES = {i: n for n, i in re.findall(r'= \{"([a-z-]+)", "([0-9a-f]{32})"\}', SOURCE.read_text("utf-8"))}

# What a message's body asks for.
OBEY = """
read -r order
case $order in
fails-once) [ "$AMQP_REDELIVERED" = true ] || exit 1 ;;
retries-once) [ "$AMQP_ATTEMPT" != 1 ] || exit 75 ;;
bad) echo 'no such customer' >&2; exit 65 ;;
hangs) exec sleep 600 ;;
esac
"""


class Day:
    """What the journal has of one run of the unit."""

    def __init__(self, service):
        self.machine = service.machine
        self.matches = [f"_SYSTEMD_INVOCATION_ID={service.show('InvocationID')}", "SYSLOG_IDENTIFIER=amqp-execd"]

    def entries(self, *matches):
        return self.machine.journal(*self.matches, *matches)

    def events(self, *matches):
        return [(NAMES[e["MESSAGE_ID"]], e) for e in self.entries(*matches) if "MESSAGE_ID" in e]

    def wait(self, name, n=1, **fields):
        """Waits for n events of that name with these fields."""
        def look():
            return sum(name == event and all(e.get(k) == v for k, v in fields.items()) for event, e in self.events()) >= n
        self.machine.wait_until(look, lambda: f"{n} {name} {fields}; there is {[event for event, _ in self.events()]}", interval=0.3)


def is_in_order(wanted, got):
    rest = iter(got)
    return all(any(w == g for g in rest) for w in wanted)


@pytest.fixture(name="day")
def _day(service, fragile):
    """The scenario. The broker is down at first, and is lost once."""
    machine = service.machine
    program = f"{STATE}/program"
    machine.write(program, "#!/bin/sh\n", 0o755)
    orders = queue("orders", sh(OBEY, timeout="1s", kill_grace="1s"), declare={"durable": True},
                   outcomes={"reject": [65], "retry": [75], "on_timeout": "reject"}, requeue={"delay": "200ms"}, retry={"delay": "200ms"},
                   dead_letter={"routing_key": "dead"})
    other = queue("other", {"command": [program]}, declare={"durable": True})
    service.configure(fragile, orders, other)
    service.start()
    day = Day(service)
    day.wait("broker-unreachable")
    fragile.start()
    service.consuming()
    rabbit = Rabbit(fragile).connect()
    rabbit.channel.queue_declare("dead", durable=True)
    for n, order in enumerate(["fine", "fails-once", "retries-once", "bad", "hangs"]):
        rabbit.publish("orders", order + "\n", message_id=f"order-{n}")
        day.wait("message-acked" if n < 3 else "message-rejected", AMQP_MESSAGE_ID=f"order-{n}")
    # A handler that is gone, and comes back.
    machine.path(program).rename(machine.path(program + ".away"))
    rabbit.publish("other", "x", message_id="other-1")
    day.wait("queue-paused-handler", AMQP_QUEUE="other")
    machine.path(program + ".away").rename(machine.path(program))
    machine.run("amqp-execctl", "resume", "other")
    day.wait("message-acked", AMQP_MESSAGE_ID="other-1")
    machine.run("amqp-execctl", "pause", "orders")
    machine.run("amqp-execctl", "resume", "orders")
    # A reload that is refused, and one that is not.
    good = machine.read(f"{CONF}/amqp-execd.conf")
    machine.write(f"{CONF}/amqp-execd.conf", "quaues = ();\n", 0o640, "root:amqp-execd")
    assert machine.status("systemctl", "reload", UNIT)[0] != 0
    machine.write(f"{CONF}/amqp-execd.conf", good, 0o640, "root:amqp-execd")
    service.configure(fragile, orders, other, queue("third", sh("true"), declare={"durable": True}))
    machine.run("systemctl", "reload", UNIT)
    day.wait("queue-consuming", AMQP_QUEUE="third")
    rabbit.close()
    fragile.stop()
    day.wait("broker-lost")
    fragile.start()
    day.wait("broker-connected", 3)  # two connections, one of them for what is published
    service.consuming()
    service.stop()
    day.wait("stopped")
    yield day
    machine.path(f"{CONF}/amqp-execd.conf").unlink()


def test_a_day(day):
    events = day.events()
    names = [name for name, _ in events]
    # The daemon, from its start to its end.
    assert names[0] == "starting" and names[-1] == "stopped"
    assert is_in_order(["starting", "ready", "broker-connected", "message-acked", "reload-begun", "reload-refused", "reload-begun",
                        "queue-added", "reloaded", "broker-lost", "broker-connected", "stopping", "stopped"], names), names
    count = collections.Counter(names)
    assert {n: count[n] for n in ("starting", "ready", "reload-begun", "reload-refused", "reloaded", "queue-added", "stopping", "stopped",
                                  "queue-paused-operator", "queue-paused-handler")} == {
        "starting": 1, "ready": 1, "reload-begun": 2, "reload-refused": 1, "reloaded": 1, "queue-added": 1, "stopping": 1, "stopped": 1,
        "queue-paused-operator": 1, "queue-paused-handler": 1}
    # Each message, from its first to its last line.
    ways = collections.defaultdict(list)
    for _, e in events:
        if "AMQP_OUTCOME" in e:
            ways[e["AMQP_MESSAGE_ID"]].append((e["AMQP_OUTCOME"], e.get("HANDLER_EXIT_STATUS", e.get("HANDLER_SIGNAL"))))
    assert ways.pop("other-1")[-1] == ("ack", "0")
    assert dict(ways) == {"order-0": [("ack", "0")], "order-1": [("requeue", "1"), ("ack", "0")], "order-2": [("retry", "75"), ("ack", "0")],
                          "order-3": [("reject", "65")], "order-4": [("reject", "15")]}
    # A question that an operator has: what was rejected, and why?
    (rejected,) = [i for i, n in NAMES.items() if n == "message-rejected"]
    found = day.entries(f"MESSAGE_ID={rejected}")
    assert [(e["AMQP_QUEUE"], e["AMQP_MESSAGE_ID"], e["PRIORITY"]) for e in found] == [("orders", "order-3", "4"), ("orders", "order-4", "4")]
    assert "no such customer" in found[0]["MESSAGE"]
    # Whatever is a warning, or worse, has an id, and each id is explained.
    unnamed = [e["MESSAGE"] for e in day.entries("--priority=warning") if e.get("MESSAGE_ID") not in NAMES]
    assert not unnamed
    explained = day.machine.run("journalctl", "--boot", "--no-pager", "--catalog", *day.matches)
    assert explained.count("\n-- Subject: ") + explained.count("\n\u2591\u2591 Subject: ") == len(events)
