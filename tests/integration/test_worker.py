# SPDX-License-Identifier: MIT
"""handler.mode = "worker": long-lived processes, real ones against a real broker. Whatever they do, no message is acknowledged that a
worker did not answer "ack" for."""

import hashlib
import os
import random
import re
import signal
import time

import pytest

from faults import Load, wait_handled
from harness import HANDLERS, ROOT, alive, configuration, handler, shell, stays, wait_until


def worker(queue, ledger, **keys):
    """A queue whose handler is tests/handlers/worker, one of them unless `concurrency` says more. It is not kept from secrets, because
    workers are replaced when what is beside these changes, as a test's folder does."""
    return {"name": queue, "concurrency": 1, "requeue": {"delay": "50ms", "max_delay": "50ms"},
            "handler": {**handler("worker", ledger), "mode": "worker", "protect_secrets": False, **keys.pop("handler", {})}, **keys}


def config(broker, *queues):
    return configuration(broker={"url": broker.url}, queues=list(queues))


def got(ledger):
    """The ids in the order in which workers got them."""
    return [words[0] for words in ledger.of("got")]


def born(ledger):
    return [int(words[0]) for words in ledger.of("born")]


def lines_of(d, message_id):
    return [s for s in d.settled() if s.get("message_id") == message_id]


def do(rabbit, queue, message_id, program, body=b""):
    rabbit.publish(queue, body, message_id=message_id, headers={"do": program})


# ------------------------------------------------------------------------------------------------------- what they get

def test_order_and_bytes_of_bodies(broker, rabbit, daemon, ledger, name):
    """One worker gets them all, in their order, byte for byte: small ones, those around what a pipe holds, and large ones."""
    queue = rabbit.declare(name())
    rng = random.Random(4)
    sizes = [0, 1, 2, 100, 4095, 4096, 4097, 65535, 65536, 65537, 0, 200_000, 1_048_576, 7, 20_000_000, 3]
    bodies = [rng.randbytes(size) for size in sizes] + [b"\n" * 1000, b"ack\n" * 30_000, b'{"body_size":1}\n']
    ids = rabbit.publish_many(queue, bodies)
    d = daemon(config(broker, worker(queue, ledger)))
    settled = d.wait_settled(len(ids))
    d.stop()
    assert [s["message_id"] for s in settled] == ids and all(s["decision"] == "ack" and s["answer"] == "ack" for s in settled)
    assert [words[:3] for words in ledger.of("got")] == [
        [i, hashlib.sha256(body).hexdigest(), str(len(body))] for i, body in zip(ids, bodies)]
    assert len(born(ledger)) == 1 and len(ledger.of("left")) == 1
    assert rabbit.depth(queue) == 0


def test_metadata(broker, rabbit, daemon, ledger, name):
    """The line, with what the queue and the attempt are, ends with the size of the body; nothing of a message is in the environment."""
    queue = rabbit.declare(name())
    do(rabbit, queue, "m", r"""
assert line.endswith(b',"body_size":5}\n'), line
assert meta["queue"] == %r and meta["attempt"] == 1 and meta["delivery_info"]["routing_key"] == meta["queue"]
assert not [k for k in os.environ if k.startswith(("AMQP_", "TRACE"))], os.environ
assert os.environ["MINE"] == "100%%" and sys.argv[2] == "100%%", sys.argv
assert sorted(os.listdir("/proc/self/fd")) == ["0", "1", "2", "3", "4"], os.listdir("/proc/self/fd")
say(b"ack\n")""" % queue, "abcde")
    d = daemon(config(broker, worker(queue, ledger, handler={
        "command": [str(HANDLERS / "worker"), str(ledger), "100%%"], "environment": {"MINE": "100%"}})))
    assert d.wait_settled(1)[0]["decision"] == "ack", d.log
    d.stop()


def test_concurrency(broker, rabbit, daemon, ledger, name):
    """As many at the same time as concurrency says, and no more processes than that."""
    queue = rabbit.declare(name())
    for i in range(12):
        do(rabbit, queue, f"m{i}", "time.sleep(1); note('end', name, time.monotonic()); say(b'ack\\n')")
    d = daemon(config(broker, worker(queue, ledger, concurrency=3)))
    d.wait_settled(12)
    d.stop()
    begins = {words[0]: float(words[4]) for words in ledger.of("got")}
    ends = {words[0]: float(words[1]) for words in ledger.of("end")}
    events = sorted([(t, 1) for t in begins.values()] + [(t, -1) for t in ends.values()])
    busy = most = 0
    for _, step in events:
        busy += step
        most = max(most, busy)
    assert most == 3, most
    assert len(born(ledger)) == 3 and len(set(words[3] for words in ledger.of("got"))) == 3


def test_an_idle_worker_takes_no_slot(broker, rabbit, daemon, ledger, name):
    """limits.max_handlers counts messages in hand: with one slot two queues have a worker each, and take turns."""
    queues = [rabbit.declare(name(x)) for x in "ab"]
    for i in range(3):
        for queue in queues:
            rabbit.publish(queue, message_id=f"{queue}-{i}")
    d = daemon(configuration(broker={"url": broker.url}, limits={"max_handlers": 1}, queues=[worker(q, ledger) for q in queues]))
    d.wait_settled(6, decision="ack")
    assert len(born(ledger)) == 2 and all(map(alive, born(ledger)))
    d.stop()


# ------------------------------------------------------------------------------------------------------------ answers

def test_every_answer(broker, rabbit, daemon, ledger, name):
    """ack; requeue; retry with the policy's delay and with its own; reject with and without a reason: at the broker."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    for msec in (200, 300):
        rabbit.queues.append(f"{queue}.retry.{msec}")
    first = "note('n', name); c = sum(l.split()[:2] == ['n', name] for l in open(sys.argv[1])); say(%r if c == 1 else b'ack\\r\\n')"
    do(rabbit, queue, "ack", "say(b'ack\\n')")
    do(rabbit, queue, "requeue", first % b"requeue\n")
    do(rabbit, queue, "retry", first % b"retry\n")
    do(rabbit, queue, "retry-own", first % b"retry 0.26\n")
    do(rabbit, queue, "reject", "say(b'reject\\n')")
    do(rabbit, queue, "reject-why", "say(b'reject no such \\x1b[31m \"customer\"\\n')", b"body")
    do(rabbit, queue, "reject-long", "say(b'reject ' + b'y' * 4000 + b'\\n')")
    d = daemon(config(broker, worker(queue, ledger, retry={"delay": "200ms", "multiplier": 1.0, "queue_type": "classic"},
                                     dead_letter={"routing_key": dead})))
    d.wait_settled(4, decision="ack")
    d.wait_settled(3, decision="reject")
    d.stop()
    assert [s["decision"] for s in lines_of(d, "requeue")] == ["requeue", "ack"]
    assert [(s["decision"], s.get("copy"), s.get("delay")) for s in lines_of(d, "retry")] == [
        ("retry", f"{queue}.retry.200", "0.200s"), ("ack", None, None)]
    assert [(s["decision"], s.get("copy"), s.get("delay")) for s in lines_of(d, "retry-own")] == [
        ("retry", f"{queue}.retry.300", "0.300s"), ("ack", None, None)]
    assert lines_of(d, "retry-own")[1]["attempt"] == "2"
    times = [float(words[4]) for words in ledger.of("got") if words[0] == "retry-own"]
    assert times[1] - times[0] >= 0.29
    letters = {p.message_id: p.headers for p, _ in rabbit.drain(dead)}
    assert {k: h["x-execd-reason"] for k, h in letters.items()} == {
        "reject": "rejected by the worker", "reject-why": 'rejected by the worker: no such \\x1b[31m "customer"',
        "reject-long": "rejected by the worker: " + "y" * 1024}
    assert all("x-execd-exit-status" not in h and h["x-execd-attempts"] == 1 for h in letters.values())
    assert lines_of(d, "reject-why")[0]["reason"] == '"no such \\x1b[31m \\"customer\\""', lines_of(d, "reject-why")
    assert len(born(ledger)) == 1, "an answer ends no worker"
    assert rabbit.depth(queue) == 0


def test_retries_end(broker, rabbit, daemon, ledger, name):
    """A worker's own delay is an attempt like any other, and no longer than the longest."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    rabbit.queues.append(f"{queue}.retry.150")
    do(rabbit, queue, "m", "say(b'retry 9999\\n')")
    d = daemon(config(broker, worker(queue, ledger, dead_letter={"routing_key": dead}, retry={
        "delay": "100ms", "max_delay": "150ms", "max_attempts": 3, "queue_type": "classic"})))
    d.wait_settled(1, decision="reject")
    d.stop()
    assert [(s["decision"], s.get("delay")) for s in lines_of(d, "m")] == [
        ("retry", "0.150s"), ("retry", "0.150s"), ("reject", None)]
    headers = rabbit.drain(dead)[0][0].headers
    assert headers["x-execd-reason"] == "the worker asked for a retry; retry.max_attempts is reached"
    assert headers["x-execd-attempts"] == 3


def test_stderr(broker, rabbit, daemon, ledger, name):
    """Line by line, with the fields of the message in hand, none before and after; the last lines are in the dead letter. Each message
    has limits of its own."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    code = "import sys, os\nprint('hello from', os.getpid(), file=sys.stderr, flush=True)\n"
    wrapper = ledger.path.parent / "talking"
    wrapper.write_text("#!/usr/bin/python3\n" + code + (HANDLERS / "worker").read_text(), encoding="utf-8")
    wrapper.chmod(0o755)
    do(rabbit, queue, "one", "print('a' * 3000, file=sys.stderr); print('bad \\x1b thing', file=sys.stderr, flush=True); "
       "say(b'reject\\n')")
    for i in range(30):
        do(rabbit, queue, f"m{i}", "print('b' * 3000, file=sys.stderr, flush=True); say(b'ack\\n')")
    d = daemon(config(broker, worker(queue, ledger, dead_letter={"routing_key": dead}, handler={"command": [
        str(wrapper), str(ledger)]})))
    d.wait_settled(30, decision="ack")
    d.stop()
    pid = born(ledger)[0]
    tag = 1
    assert re.search(rf"output queue={queue} (tag=1 )?pid={pid} stderr: hello from {pid}", d.log)
    assert re.search(rf"output queue={queue} tag={tag} pid={pid} stderr: bad \\x1b thing", d.log)
    for i in range(30):
        assert re.search(rf"output queue={queue} tag={i + 2} pid={pid} stderr: b{{3000}}$", d.log, re.M), f"line {i}"
    assert lines_of(d, "one")[0]["stderr"] == '"bad \\x1b thing"'
    assert rabbit.drain(dead)[0][0].headers["x-execd-stderr"].endswith("bad \x1b thing\n")


# ----------------------------------------------------------------------------------------------------- what goes wrong

WRONG = {
    "no answer": ("say(b'maybe\\n')", "none of ack, requeue, retry and reject"),
    "empty": ("say(b'\\n')", "none of ack, requeue, retry and reject"),
    "case": ("say(b'ACK\\n')", "none of ack, requeue, retry and reject"),
    "two lines": ("say(b'ack\\nack\\n')", "more than one line"),
    "too long": ("say(b'reject ' + b'x' * 5000)", "longer than 4096 bytes"),
    "stdout closed": ("os.close(1); time.sleep(60)", "closed its standard output"),
    "stdin closed": ("os.close(0); os.close(1); time.sleep(60)", "closed its standard output"),
    "exit": ("sys.exit(0)", "ended without an answer"),
    "exit 10": ("os._exit(10)", "ended without an answer"),
    "half an answer": ("sys.stdout.buffer.write(b'ack'); sys.stdout.buffer.flush(); os._exit(0)", "ended without an answer"),
    "signal": ("os.kill(os.getpid(), 9)", "ended without an answer"),
}


@pytest.mark.parametrize("how", WRONG)
def test_wrong_answers(broker, rabbit, daemon, ledger, name, how):
    """Each fails its message, by `otherwise`, `on_signal` or the table of exit statuses, which is never an ack; the worker goes with
    all that it started, and another one takes the next message."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    program, problem = WRONG[how]
    do(rabbit, queue, "bad", f"note('child', subprocess.Popen(['sleep', '300'], start_new_session=True, stdout=2).pid)\n{program}")
    rabbit.publish(queue, message_id="good")
    d = daemon(config(broker, worker(
        queue, ledger, dead_letter={"routing_key": dead}, handler={"kill_grace": "300ms"} if "closed" in how else {},
        outcomes={"ack": [0, 10], "otherwise": "reject", "on_signal": "reject"})))
    d.wait_settled(2)
    bad = lines_of(d, "bad")[0]
    child = int(ledger.of("child")[0][0])
    wait_until(lambda: not alive(child), what="the end of what the worker started")
    d.stop()
    assert bad["decision"] == "reject" and problem in bad["reason"], bad
    assert [s["decision"] for s in lines_of(d, "good")] == ["ack"]
    letters = rabbit.drain(dead)
    assert [p.message_id for p, _ in letters] == ["bad"] and problem in letters[0][0].headers["x-execd-reason"]
    assert len(born(ledger)) == 2 and not any(map(alive, born(ledger)))


def test_nothing_is_an_ack_but_the_answer(broker, rabbit, daemon, ledger, name):
    """Where every exit status is configured to be an ack, a worker's end without an answer is a requeue."""
    queue = rabbit.declare(name())
    first = "note('n', name); c = sum(l.split()[:2] == ['n', name] for l in open(sys.argv[1]))\nif c == 1: %s\nsay(b'ack\\n')"
    ids = {"exit": "os._exit(3)", "signal": "os.kill(os.getpid(), 15)", "nonsense": "say(b'yes\\n'); time.sleep(60)",
           "hang": "time.sleep(60)"}
    for i, program in ids.items():
        do(rabbit, queue, i, first % program)
    d = daemon(config(broker, worker(queue, ledger, concurrency=4, handler={"timeout": "8s"}, outcomes={
        "ack": ["0-255"], "otherwise": "ack"})))
    d.wait_settled(8)
    d.stop()
    assert {i: [s["decision"] for s in lines_of(d, i)] for i in ids} == {i: ["requeue", "ack"] for i in ids}


def test_output_while_idle(broker, rabbit, daemon, ledger, name):
    """Nobody knows what it would answer: the worker is killed, and no message is the worse for it."""
    queue = rabbit.declare(name())
    do(rabbit, queue, "a", "say(b'ack\\n'); import threading; threading.Timer(0.3, say, [b'ack\\n']).start()")
    d = daemon(config(broker, worker(queue, ledger)))
    d.wait_settled(1)
    d.wait_log("the worker wrote something without a message to answer")
    do(rabbit, queue, "b", "say(b'reject\\n')")
    d.wait_settled(2)
    d.stop()
    assert [s["decision"] for s in d.settled()] == ["ack", "reject"] and len(born(ledger)) == 2


HANGS = {
    "reads but never answers": "note('child', subprocess.Popen(['sleep', '300'], start_new_session=True, stdout=2).pid); time.sleep(300)",
    "ignores TERM": "signal.signal(15, signal.SIG_IGN); "
                    "note('child', subprocess.Popen(['sleep', '300'], start_new_session=True, stdout=2).pid); time.sleep(300)",
    "answers after TERM": "note('child', os.getpid()); signal.signal(15, lambda *_: say(b'ack\\n')); time.sleep(300)",
}


@pytest.mark.parametrize("how", HANGS)
def test_timeout(broker, rabbit, daemon, ledger, name, how):
    """The time is each message's; the worker goes with its whole tree."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    do(rabbit, queue, "first", "say(b'ack\\n')")  # which also takes the time of Python's start
    for i in range(3):
        do(rabbit, queue, f"slow{i}", "time.sleep(1.6); say(b'ack\\n')")
    do(rabbit, queue, "hang", HANGS[how])
    d = daemon(config(broker, worker(queue, ledger, outcomes={"on_timeout": "reject"}, dead_letter={"routing_key": dead},
                                     handler={"timeout": "4s", "kill_grace": "500ms"})))
    d.wait_settled(1, decision="reject")
    child = int(ledger.of("child")[0][0])
    wait_until(lambda: not alive(child), what="the end of its tree")
    do(rabbit, queue, "next", "say(b'ack\\n')")
    d.wait_settled(6)
    d.stop()
    assert "timeout" in lines_of(d, "hang")[0] and [p.message_id for p, _ in rabbit.drain(dead)] == ["hang"]
    assert [s["decision"] for s in d.settled()] == ["ack"] * 4 + ["reject", "ack"] and len(born(ledger)) == 2


def test_a_worker_that_never_reads(broker, rabbit, daemon, ledger, name):
    """Small and large messages run out of time, and the daemon goes on with others meanwhile."""
    queue, other = rabbit.declare(name()), rabbit.declare(name("other"))
    rabbit.publish(queue, b"x" * 3_000_000, message_id="large")
    rabbit.publish(queue, b"x", message_id="small")
    d = daemon(config(broker, {"name": queue, "requeue": {"delay": "60s"}, "concurrency": 2, "handler": {
        **shell("sleep 300 & echo pid $! >>$1; sleep 300", ledger), "mode": "worker", "timeout": "4s", "kill_grace": "100ms"}},
        worker(other, ledger)))
    rabbit.publish_many(other, [b"y"] * 20)
    d.wait_settled(20, other)
    d.wait_settled(2, queue)
    pids = [int(words[0]) for words in ledger.of("pid")]
    assert len(pids) == 2
    wait_until(lambda: not any(map(alive, pids)), what="the end of their trees")
    d.stop()
    assert all("timeout" in s and s["decision"] == "requeue" for s in d.settled(queue))


def test_an_early_answer_waits_for_the_body(broker, rabbit, daemon, ledger, name):
    """A worker may answer before it has read all of the body, but has to read it: what follows is in step."""
    queue = rabbit.declare(name())
    program = ledger.path.parent / "early"
    program.write_text("""#!/usr/bin/python3
import json, os, sys, time
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
while line := sys.stdin.buffer.readline():
    meta = json.loads(line)
    sys.stdout.write("reject\\n" if meta["body_size"] > 1000 else "ack\\n")
    sys.stdout.flush()
    time.sleep(0.4)
    body = sys.stdin.buffer.read(meta["body_size"])
    os.write(log, b"read %d\\n" % len(body))
""", encoding="utf-8")
    program.chmod(0o755)
    ids = rabbit.publish_many(queue, [b"a", b"b" * 2_000_000, b"c"])
    d = daemon(config(broker, worker(queue, ledger, handler={"command": [str(program), str(ledger)]})))
    settled = d.wait_settled(3)
    d.stop()
    assert [(s["message_id"], s["decision"]) for s in settled] == list(zip(ids, ["ack", "reject", "ack"]))
    assert float(settled[1]["duration"].rstrip("s")) >= 0.35
    assert ledger.of("read") == [["1"], ["2000000"], ["1"]]


# ------------------------------------------------------------------------------------------------ workers that go, or come

def test_recycling(broker, rabbit, daemon, ledger, name):
    """After max_messages another process takes over; the old one saw the end of its stdin."""
    queue = rabbit.declare(name())
    ids = rabbit.publish_many(queue, [b"x"] * 10)
    d = daemon(config(broker, worker(queue, ledger, handler={"max_messages": 3})))
    d.wait_settled(10)
    d.stop()
    assert got(ledger) == ids
    assert [words[3] for words in ledger.of("got")] == [str(born(ledger)[i // 3]) for i in range(10)]
    assert len(born(ledger)) == 4 and [int(w[0]) for w in ledger.of("left")] == born(ledger)
    assert all(s["decision"] == "ack" for s in d.settled()) and " warning: " not in d.log


def test_recycled_workers_that_do_not_leave(broker, rabbit, daemon, ledger, name):
    """End of file, then TERM, then KILL of the whole tree, each after kill_grace."""
    queue = rabbit.declare(name())
    do(rabbit, queue, "a", "note('child', subprocess.Popen(['sleep', '300'], start_new_session=True, stdout=2).pid); "
       "signal.signal(15, lambda *_: note('term', time.monotonic())); say(b'ack\\n'); "
       "os.close(0); note('said', time.monotonic())\nwhile True: time.sleep(60)")
    d = daemon(config(broker, worker(queue, ledger, handler={"max_messages": 1, "kill_grace": "600ms"})))
    d.wait_settled(1)
    do(rabbit, queue, "b", "say(b'ack\\n')")
    d.wait_settled(2)
    d.wait_log("did not leave within handler.kill_grace")
    child = int(ledger.of("child")[0][0])
    wait_until(lambda: not alive(child), what="the end of its tree")
    d.stop()
    said, term = float(ledger.of("said")[0][0]), float(ledger.of("term")[0][0])
    assert term - said >= 0.55, "it had time to leave by itself"
    assert len(born(ledger)) == 2


def test_new_files_beside_secrets(broker, rabbit, daemon, ledger, name):
    """A worker that is kept from the daemon's secrets is replaced when there is something new beside them, which it could not read."""
    queue = rabbit.declare(name())
    news = ledger.path.parent / "news"  # beside the configuration, which has the password
    d = daemon(config(broker, worker(queue, ledger, handler={"protect_secrets": True})))
    for i in range(3):
        do(rabbit, queue, f"m{i}", f"note('read', os.path.exists({str(news)!r}) and open({str(news)!r}).read()); say(b'ack\\n')")
        d.wait_settled(i + 1)
        if i == 0:
            time.sleep(1.5)
            news.write_text("news", encoding="utf-8")
        time.sleep(1.5)
    d.stop()
    if "has no Landlock" in d.log:
        pytest.skip("the kernel has no Landlock")
    assert [words[0] for words in ledger.of("read")] == ["False", "news", "news"]
    assert len(born(ledger)) >= 2, "the first one has gone; where the folder is, others may write as well"
    assert all(s["decision"] == "ack" for s in d.settled())


def test_killed_with_a_message_in_hand(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    do(rabbit, queue, "m", "note('n', name); c = sum(l.split()[:2] == ['n', name] for l in open(sys.argv[1])); "
       "time.sleep(300 if c == 1 else 0); say(b'ack\\n')")
    d = daemon(config(broker, worker(queue, ledger)))
    ledger.wait(1, "n")
    os.kill(born(ledger)[0], signal.SIGKILL)
    d.wait_settled(1, decision="ack")
    d.stop()
    assert [(s["decision"], s.get("signal")) for s in lines_of(d, "m")] == [("requeue", "KILL"), ("ack", None)]
    assert len(born(ledger)) == 2


def test_idle_workers_that_die_cost_nothing(broker, rabbit, daemon, ledger, name):
    """Killed while idle, again and again, also when the daemon learns of it together with the next message: every message is
    acknowledged at its first attempt."""
    queue = rabbit.declare(name(), "quorum")
    d = daemon(config(broker, worker(queue, ledger)))
    rabbit.publish(queue, message_id="m0")
    for i in range(1, 12):
        d.wait_settled(i)
        pid = born(ledger)[-1]
        if i % 2:
            os.kill(pid, signal.SIGKILL)
            d.wait_log(f"pid={pid}: killed by signal KILL")
            rabbit.publish(queue, message_id=f"m{i}")
        else:
            d.signal(signal.SIGSTOP)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not alive(pid))  # pylint: disable=cell-var-from-loop
            rabbit.publish(queue, message_id=f"m{i}")
            time.sleep(0.2)
            d.signal(signal.SIGCONT)
    d.wait_settled(12)
    d.stop()
    assert [s["decision"] for s in d.settled()] == ["ack"] * 12 and all(s["attempt"] == "1" for s in d.settled())
    assert len(born(ledger)) == 12


def test_crash_loop(broker, rabbit, daemon, ledger, name):
    """Workers that die at once burn no message: starts become rare, one warning says why, STATUS too; once the program is good, all
    goes on without the daemon being told."""
    queue = rabbit.declare(name(), "quorum")
    program = ledger.path.parent / "program"
    program.write_text(f"#!/bin/sh\necho start $$ >>{ledger}\necho broken >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    ids = rabbit.publish_many(queue, [b"x"] * 3)
    d = daemon(config(broker, worker(queue, ledger, handler={"command": [str(program), str(ledger)]},
                                     breaker={"failures": 5, "cooldown": "10min"})))
    d.wait_log(" warning: .*workers end before they have answered anything; the last: exit status 3")
    d.wait_status("waits for workers: workers end before they have answered anything; the last: exit status 3")
    ledger.wait(4, "start")
    time.sleep(2)
    assert len(ledger.of("start")) <= 7, "0.1 + 0.2 + 0.4 + 0.8 + 1.6 s, less a quarter each"
    assert not d.settled() and d.log.count("workers end before") == 1
    fresh = ledger.path.parent / "fresh"
    fresh.write_bytes((HANDLERS / "worker").read_bytes())
    fresh.chmod(0o755)
    fresh.rename(program)
    d.wait_settled(3)
    d.wait_log("a worker has answered: workers are started without delay again")
    wait_until(lambda: "waits for workers" not in d.notify.status, what="STATUS without the trouble")
    d.stop()
    assert sorted(s["message_id"] for s in d.settled()) == ids and got(ledger) == ids
    assert all(s["decision"] == "ack" and s["attempt"] == "1" for s in d.settled())


def test_a_worker_that_cannot_be_executed(broker, rabbit, daemon, ledger, name):
    """Pauses the queue like any handler, and goes on once it can."""
    queue = rabbit.declare(name())
    program = ledger.path.parent / "program"
    rabbit.publish(queue, message_id="m")
    d = daemon(config(broker, worker(queue, ledger, handler={"command": [str(program), str(ledger)]})))
    d.wait_status("paused: handler cannot be executed: .*No such file")
    assert {s["decision"] for s in d.settled()} <= {"return"} and rabbit.depth(queue) == 1
    fresh = ledger.path.parent / "fresh"
    fresh.write_bytes((HANDLERS / "worker").read_bytes())
    fresh.chmod(0o755)
    fresh.rename(program)
    d.wait_settled(1, decision="ack")
    d.stop()


# --------------------------------------------------------------------------------------------------------------- the end

def test_stop(broker, rabbit, daemon, ledger, name):
    """Idle workers are told at once and awaited; a busy one finishes its message; nothing is left."""
    queue = rabbit.declare(name())
    for i in range(2):
        do(rabbit, queue, f"m{i}", "time.sleep(0.5); say(b'ack\\n')")
    d = daemon(config(broker, worker(queue, ledger, concurrency=2)))
    d.wait_settled(2)
    do(rabbit, queue, "slow", "note('slow', name); time.sleep(6); say(b'ack\\n')")
    ledger.wait(1, "slow")
    d.signal(signal.SIGTERM)
    ledger.wait(1, "left")
    assert len(d.settled()) == 2, "the idle one is told before the busy one is done"
    assert d.wait() == 0
    assert [s["decision"] for s in d.settled()] == ["ack"] * 3
    assert sorted(int(w[0]) for w in ledger.of("left")) == sorted(born(ledger)) and len(born(ledger)) == 2
    assert rabbit.depth(queue) == 0


def test_stop_with_workers_that_stay(broker, rabbit, daemon, ledger, name):
    """An idle worker that does not mind the end of its stdin gets TERM, and KILL, before the daemon leaves."""
    queue = rabbit.declare(name())
    do(rabbit, queue, "a", "signal.signal(15, signal.SIG_IGN); say(b'ack\\n'); time.sleep(300)")
    d = daemon(config(broker, worker(queue, ledger, handler={"kill_grace": "700ms"})))
    d.wait_settled(1)
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun >= 1.3
    assert not alive(born(ledger)[0]) and [s["decision"] for s in d.settled()] == ["ack"]


def test_drain_timeout(broker, rabbit, daemon, ledger, name):
    queue = rabbit.declare(name())
    do(rabbit, queue, "a", "note('a', name); time.sleep(300)")
    d = daemon(configuration(broker={"url": broker.url}, drain_timeout="500ms", queues=[worker(queue, ledger)]))
    ledger.wait(1, "a")
    d.stop()
    assert [(s["decision"], s["stopped"], s["signal"]) for s in d.settled()] == [("requeue", "yes", "TERM")]
    assert rabbit.depth(queue) == 1 and not alive(born(ledger)[0])


def test_stopped_under_load(broker, rabbit, daemon, ledger, name, settle_accounts):
    """SIGTERM, again and again: what is in hand is answered and acknowledged, the rest goes back: nothing is done twice."""
    queues = [rabbit.declare(name("classic")), rabbit.declare(name("quorum"), "quorum")]
    keys = config(broker, *[worker(q, ledger, concurrency=3, prefetch=20, handler={"max_messages": 17}) for q in queues])
    with Load(broker, queues, rate=150) as load:
        for _ in range(3):
            d = daemon(keys)
            ledger.wait(len(ledger.of("done")) + 40)
            d.stop()
            assert not [pid for pid in born(ledger) if alive(pid)]
        d = daemon(keys)
    wait_handled(load, ledger)
    d.stop()
    settle_accounts(load, ledger, broker)


def test_daemon_killed(broker, rabbit, daemon, ledger, name):
    """kill -9: no worker lives on, idle or busy, and the messages are delivered again."""
    queue = rabbit.declare(name())
    for i in range(2):
        do(rabbit, queue, f"m{i}", "time.sleep(0.5); say(b'ack\\n')")
    d = daemon(config(broker, worker(queue, ledger, concurrency=2)))
    d.wait_settled(2)
    do(rabbit, queue, "busy", "note('n', name); c = sum(l.split()[:2] == ['n', name] for l in open(sys.argv[1])); "
       "time.sleep(300 if c == 1 else 0); say(b'ack\\n')")
    ledger.wait(1, "n")
    assert len(born(ledger)) == 2 and all(map(alive, born(ledger)))
    os.kill(d.pid, signal.SIGKILL)
    d.process.wait()
    wait_until(lambda: not any(map(alive, born(ledger))), 10, "the end of the workers")
    d = daemon(config(broker, worker(queue, ledger, concurrency=2)))
    assert d.wait_settled(1)[0]["decision"] == "ack"
    d.stop()


def test_idle_workers_stay(broker, rabbit, daemon, ledger, name):
    """While nothing is to be done, and while the queue is paused by the breaker."""
    queue = rabbit.declare(name())
    rabbit.publish(queue, message_id="a")
    d = daemon(config(broker, worker(queue, ledger, concurrency=2, breaker={"failures": 1, "cooldown": "500ms"})))
    d.wait_settled(1)
    do(rabbit, queue, "b", "note('n', name); c = sum(l.split()[:2] == ['n', name] for l in open(sys.argv[1])); "
       "say(b'requeue\\n' if c == 1 else b'ack\\n')")
    d.wait_log("paused.*the handler failed 1 time in a row; the last: requeued by the worker")
    d.wait_log("resumed: its handler has succeeded")
    stays(lambda: alive(born(ledger)[0]), 0.5)
    d.stop()
    assert len(born(ledger)) == 1 and [s["decision"] for s in lines_of(d, "b")][-1] == "ack"


# ------------------------------------------------------------------------------------------------------------- examples

@pytest.mark.parametrize("example", ["worker.sh", "worker.py", "worker.php"])
def test_examples(broker, rabbit, daemon, ledger, name, example):
    """doc/workers: bodies of any size and content arrive; an empty one is rejected; what cannot be stored is tried again."""
    queue, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    rabbit.queues.append(f"{queue}.retry.400")
    folder = ledger.path.parent / "stored"
    rng = random.Random(6)
    bodies = [rng.randbytes(size) for size in (1, 2, 255, 4096, 65536, 100_001, 3_000_000)]
    bodies += [b"\n", b"\0" * 5000, b"a\r\n\0\xff" * 999, b" x ", b'{"body_size":7}\n', "\u00e4\u20ac".encode()]
    rabbit.publish(queue, b"no folder yet", message_id="early")
    d = daemon(config(broker, worker(
        queue, ledger, concurrency=2, retry={"delay": "100ms", "max_delay": "400ms", "queue_type": "classic"},
        dead_letter={"routing_key": dead}, handler={"command": [str(ROOT / "doc" / "workers" / example), str(folder)]})))
    d.wait_settled(1, decision="retry")
    folder.mkdir()
    rabbit.publish(queue, b"", message_id="empty")
    rabbit.publish_many(queue, bodies)
    d.wait_settled(len(bodies) + 1, decision="ack")
    d.wait_settled(1, decision="reject")
    d.stop()
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name[0] != "."} == {
        hashlib.sha256(body).hexdigest(): body for body in [*bodies, b"no folder yet"]}
    letters = rabbit.drain(dead)
    assert [(p.message_id, p.headers["x-execd-reason"]) for p, _ in letters] == [
        ("empty", "rejected by the worker: the body is empty")]
    assert len({s["message_id"] for s in d.settled() if s["decision"] == "ack"}) == len(bodies) + 1
    assert " a worker without a message has ended" not in d.log
