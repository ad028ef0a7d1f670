# SPDX-License-Identifier: MIT
"""The accounting that the fault tests rely on finds what it is there to find: without a daemon, by wrong entries."""

import hashlib
import threading
import time

import pytest

from faults import Account, Load, wait_handled


@pytest.fixture(name="books")
def _books(broker, rabbit, ledger, name):
    """A load of which three messages are left in the queue, one is a dead letter, and the others are handled."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    with Load(broker, queue, rate=1000, most=20) as load:
        load.wait_all()
    taken = [rabbit.channel.basic_get(queue, auto_ack=True) for _ in range(17)]
    _, properties, body = taken.pop()
    rabbit.publish(dead, body, message_id=properties.message_id)
    with open(ledger.path, "a", encoding="ascii") as f:
        for _, properties, body in taken:
            f.write(f"done {properties.message_id} {hashlib.sha256(body).hexdigest()} {len(body)}\n")
    return load, ledger, queue, dead, broker


def account(books):
    load, ledger, _, dead, broker = books
    return Account(load, ledger, broker, dead)


def test_complete(books):
    a = account(books)
    a.check()
    assert (len(a.done), len(a.dead), sum(a.left.values()), a.again) == (16, 1, 3, 0)


def test_message_that_is_lost(books, rabbit):
    assert rabbit.channel.basic_get(books[2], auto_ack=True)[0] is not None
    with pytest.raises(AssertionError, match="1 of 20 confirmed messages are lost"):
        account(books).check()


def test_message_that_nobody_published(books, rabbit):
    rabbit.publish(books[2], b"?", message_id="stranger")
    with pytest.raises(AssertionError, match="nobody has published .'stranger'"):
        account(books).check()


def test_body_that_is_damaged(books, rabbit):
    _, properties, body = rabbit.channel.basic_get(books[2], auto_ack=True)
    rabbit.publish(books[2], body + b"!", message_id=properties.message_id)
    with pytest.raises(AssertionError, match="not what was published"):
        account(books).check()


def test_more_done_again_than_explained(books, rabbit):
    _, properties, body = rabbit.channel.basic_get(books[2], auto_ack=True)
    for _ in range(3):
        rabbit.publish(books[2], body, message_id=properties.message_id)
    account(books)  # empties the queues
    load, ledger, _, _, _ = books
    ledger.path.write_text(ledger.path.read_text(encoding="ascii") * 2, encoding="ascii")
    load.confirmed.intersection_update(ledger.counts())
    with pytest.raises(AssertionError, match="16 messages again, at most 15"):
        account(books).check(allowed=15, because="fifteen")
    account(books).check(allowed=16, because="sixteen")


def test_message_that_is_not_handled(books):
    """It is waited for as long as others are handled, however long that takes, and no longer."""
    load, ledger, *_ = books
    others = load.confirmed - set(ledger.counts())
    with pytest.raises(AssertionError, match="4 of 20 are not"):
        wait_handled(load, ledger, timeout=1)
    wait_handled(load, ledger, others, timeout=0)

    def handle():
        for name in others:
            time.sleep(1.5)
            with open(ledger.path, "a", encoding="ascii") as f:
                f.write(f"done {name} 0 0\n")

    slow = threading.Thread(target=handle, daemon=True)
    slow.start()
    wait_handled(load, ledger, timeout=5)
    slow.join()
