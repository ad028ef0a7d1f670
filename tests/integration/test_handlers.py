# SPDX-License-Identifier: MIT
"""amqp-execctl handlers and kill: which process has which message, and how one of them is stopped and no other."""

import json
import os
import re

import pytest

from harness import configuration, handler, shell, wait_until


def listed(d, *arguments):
    done = d.control("handlers", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["handlers"]


def wait_listed(d, n):
    return wait_until(lambda: found if len(found := listed(d)) == n else None, what=f"{n} handlers")


def settings(broker, queues):
    return configuration(broker={"url": broker.url}, queues=queues)


def test_handlers_are_told(broker, rabbit, daemon, ledger, name):
    q, other = rabbit.declare(name()), rabbit.declare(name("other"))
    d = daemon(settings(broker, [{"name": q, "concurrency": 2, "handler": handler("ledger", ledger, 600)},
                                 {"name": other, "handler": handler("ledger", ledger, 600)}]))
    assert listed(d) == [] and d.control("handlers").stdout == "no handler runs\n"
    rabbit.publish(q, "x" * 2048, message_id="a\x1b[31m")
    ledger.wait(1, "start")
    rabbit.publish(other, "", message_id="b")
    ledger.wait(2, "start")
    rabbit.publish(q, "xyz")
    found = wait_listed(d, 3)
    assert [(h["queue"], h["message_id"], h["body_size"], h["attempt"], h["worker"], h["stopping"], h["broker"]) for h in found] == [
        (q, "a\x1b[31m", 2048, 1, False, False, "default"), (other, "b", 0, 1, False, False, "default"), (q, None, 3, 1, False, False, "default")]
    assert [str(h["pid"]) for h in found[:2]] == [pid for _, pid in ledger.wait(3, "start")[:2]]
    assert found[0]["seconds"] >= found[1]["seconds"] >= found[2]["seconds"] >= 0
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", h["started"]) for h in found)
    assert [h["message_id"] for h in listed(d, other)] == ["b"]
    table = d.control("handlers", q).stdout.splitlines()
    assert table[0].split() == ["PID", "TAG", "QUEUE", "MESSAGE", "ID", "ATTEMPT", "AGE", "SIZE"] and len(table) == 3
    assert table[1].split()[:4] == [str(found[0]["pid"]), str(found[0]["delivery_tag"]), q, r"a\x1b[31m"] and table[1].endswith("  2.0 KiB")
    wrong = d.control("handlers", q + "x")
    assert wrong.returncode == 1 and "did you mean" in wrong.stderr
    d.stop_at_once()


def test_one_is_killed(broker, rabbit, daemon, ledger, name):
    """Its message takes the way of a timeout, and the other one goes on."""
    q, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    program = 'echo start "$AMQP_MESSAGE_ID" $$ >>"$0"; while [ ! -e "$1/$AMQP_MESSAGE_ID" ]; do sleep 0.1; done; echo done "$AMQP_MESSAGE_ID" - 0 >>"$0"'
    d = daemon(settings(broker, [{"name": q, "concurrency": 2, "outcomes": {"on_timeout": "reject"}, "dead_letter": {"routing_key": dead},
                                  "handler": {"command": ["/bin/sh", "-c", program, str(ledger), str(ledger.path.parent)]}}]))
    rabbit.publish_many(q, ["x"] * 2)
    found = {h["message_id"]: h for h in wait_listed(d, 2)}
    ledger.wait(2, "start")
    # Not what has another message, or is no handler.
    pid, tag = found["m0"]["pid"], found["m0"]["delivery_tag"]
    done = d.control("kill", pid, tag + 1000)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"amqp-execctl: the process {pid} has another message by now: its delivery tag is {tag}, not {tag + 1000}\n"
    done = d.control("kill", os.getpid())
    assert (done.returncode, done.stderr) == (1, f"amqp-execctl: no handler with the process id {os.getpid()} has a message\n")
    assert d.ask("POST", f"/v1/handlers/{pid}/kill?queue=another")[0] == 404
    assert not d.settled() and len(listed(d)) == 2
    done = d.control("kill", pid, tag)
    assert (done.returncode, done.stdout) == (0, f"process {pid}, queue {q}, message m0: is being stopped\n"), done.stderr
    settled = d.wait_settled(1, q)
    assert (settled[0]["message_id"], settled[0]["decision"], settled[0]["timeout"], settled[0]["signal"]) == ("m0", "reject", "yes", "TERM")
    rabbit.wait_depth(dead, 1)
    line = d.wait_log(" notice: killed ")
    assert f"queue={q} tag={tag} message_id=m0 pid={pid} its handler is stopped as if handler.timeout were over: user {os.getuid()} (process " in line
    # Gone by now.
    done = d.control("kill", pid)
    assert (done.returncode, done.stderr) == (1, f"amqp-execctl: no handler with the process id {pid} has a message\n")
    assert [h["pid"] for h in wait_listed(d, 1)] == [found["m1"]["pid"]]
    (ledger.path.parent / "m1").touch()
    d.wait_settled(1, q, "ack")
    assert ledger.counts() == {"m1": 1} and d.log.count(" notice: killed ") == 1
    d.stop()


def test_who_is_deaf_is_killed_after_the_grace(broker, rabbit, daemon, ledger, name):
    """With everything that it has started; a second kill changes nothing."""
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "outcomes": {"on_timeout": "reject"}, "handler": handler("stubborn", ledger, "deaf", kill_grace="3s")}]))
    rabbit.publish(q, "x", message_id="m")
    pids = [int(ledger.wait(1, "self")[0][0]), int(ledger.wait(1, "grandchild")[0][0])]
    assert [h["pid"] for h in wait_listed(d, 1)] == pids[:1]
    assert d.ask("POST", f"/v1/handlers/{pids[0]}/kill")[1]["already_stopping"] is False
    wait_until(lambda: ledger.of("term"), what="that it is told to end")
    # Unless the machine is so slow that it has gone by now.
    status, answer = d.ask("POST", f"/v1/handlers/{pids[0]}/kill")
    assert status == 404 or answer["already_stopping"] is True
    settled = d.wait_settled(1, q)
    assert (settled[0]["decision"], settled[0]["timeout"], settled[0]["signal"]) == ("reject", "yes", "KILL")
    assert float(settled[0]["duration"].rstrip("s")) >= 3
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), what="that both are gone")
    assert len(ledger.of("term")) == 1 and d.log.count(" notice: killed ") == 1
    d.stop()


def test_a_worker_is_killed_with_its_message(broker, rabbit, daemon, ledger, name):
    """Only that of the message; one without a message is no handler that could be meant."""
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "concurrency": 2, "outcomes": {"on_timeout": "reject"},
                                  "handler": handler("worker", ledger, mode="worker")}]))
    rabbit.publish(q, "x", message_id="first")
    d.wait_settled(1, q, "ack")
    idle = int(ledger.wait(1, "born")[0][0])
    assert listed(d) == []
    done = d.control("kill", idle)
    assert (done.returncode, done.stderr) == (1, f"amqp-execctl: no handler with the process id {idle} has a message\n")
    for i in ("hung", "other"):
        rabbit.publish(q, "x", message_id=i, headers={"do": "time.sleep(600)" if i == "hung" else
                                                      f"while not os.path.exists('{ledger}.go'): time.sleep(0.1)\nsay(b'ack\\n')"})
    found = {h["message_id"]: h for h in wait_listed(d, 2)}
    assert all(h["worker"] for h in found.values()) and found["hung"]["pid"] != found["other"]["pid"]
    done = d.control("kill", found["hung"]["pid"], found["hung"]["delivery_tag"])
    assert done.returncode == 0, done.stderr
    settled = d.wait_settled(1, q, "reject")
    assert (settled[0]["message_id"], settled[0]["timeout"]) == ("hung", "yes")
    wait_until(lambda: not os.path.exists(f"/proc/{found['hung']['pid']}"), what="the end of that worker")
    assert [h["message_id"] for h in listed(d)] == ["other"]
    open(f"{ledger}.go", "x", encoding="utf-8").close()
    d.wait_settled(2, q, "ack")
    d.stop()


def test_kill_hurries_a_drain_and_a_stop(broker, rabbit, daemon, ledger, name):
    """Of a queue that is paused, and of a daemon that stops."""
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "outcomes": {"on_timeout": "reject"}, "handler": shell("exec sleep 600")}]))
    rabbit.publish(q, "x", message_id="a")
    rabbit.publish(q, "x", message_id="b")
    wait_until(lambda: [h["message_id"] for h in listed(d)] == ["a"], what="the first one")
    assert d.control("drain", q, "--timeout", "100ms").returncode == 75
    assert d.control("kill", listed(d)[0]["pid"]).returncode == 0
    done = d.control("drain", q)
    assert (done.returncode, done.stdout) == (0, f"{q}: drained\n")
    assert d.control("resume", q).returncode == 0
    wait_until(lambda: [h["message_id"] for h in listed(d)] == ["b"], what="the second one")
    d.signal(15)
    d.wait_log("waiting for 1 running handler")
    assert d.control("kill", listed(d)[0]["pid"]).returncode == 0
    assert d.wait() == 0
    assert [s["decision"] for s in d.settled(q)] == ["reject", "reject"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_others_may_not(broker, rabbit, daemon, name):
    q = rabbit.declare(name())
    d = daemon(settings(broker, [{"name": q, "handler": shell("exec sleep 600")}]))
    rabbit.publish(q, "x")
    pid = wait_listed(d, 1)[0]["pid"]
    os.chmod(d.control_socket, 0o666)
    os.chmod(os.path.dirname(os.path.dirname(d.control_socket)), 0o755)
    done = d.control("kill", pid, user=65534, group=65534, extra_groups=[])
    assert done.returncode == 77, done.stderr
    assert len(listed(d)) == 1 and os.path.exists(f"/proc/{pid}")
    assert d.control("kill", pid).returncode == 0
    d.stop_at_once()
