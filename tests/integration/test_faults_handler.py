# SPDX-License-Identifier: MIT
"""Handlers that fail while messages are published, with the account of where every message is in the end."""

import shutil
import time

from faults import Load, wait_handled, working
from harness import HANDLERS, configuration, wait_until


def test_row_23_handler_cannot_be_executed(broker, rabbit, daemon, ledger, name, settle_accounts, tmp_path):
    """chmod 000 under load: the queue is paused and looked at again, nothing becomes a dead letter, and all is handled once."""
    dead = rabbit.declare(name("dead"))
    queue = rabbit.declare(name(), "quorum", delivery_limit=3, dead_letter_exchange="", dead_letter_routing_key=dead)
    command = tmp_path / "work"
    shutil.copy(HANDLERS / "work", command)
    with Load(broker, queue, rate=60) as load:
        d = daemon(configuration(broker={"url": broker.url}, queues=[
            working(queue, ledger, handler={"command": [str(command), str(ledger)]})]))
        ledger.wait(20)
        command.chmod(0)
        d.wait_log(f"{queue}.* paused")
        d.wait_status("(?i)pause")
        time.sleep(0.3)  # what was started before
        before = ledger.counts()
        load.wait(30)
        time.sleep(2.5)  # long enough for another look
        assert ledger.counts() == before and rabbit.depth(dead) == 0
        command.chmod(0o755)
        wait_until(lambda: len(ledger.of("done")) > sum(before.values()) + 20, what="that it goes on")
    wait_handled(load, ledger)
    d.stop()
    account = settle_accounts(load, ledger, broker, dead)
    assert not account.dead
