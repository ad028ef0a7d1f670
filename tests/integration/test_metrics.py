# SPDX-License-Identifier: MIT
"""Metrics: every counter moves as what happens demands, with a real broker, and a real Prometheus that reads them."""

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse

import pika
import pytest

from harness import HANDLERS, configuration, end_process, free_ports, handler, wait_until

PROMETHEUS = "/usr/bin/prometheus"
PROMTOOL = "/usr/bin/promtool"

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\n"])*)"')
COUNTERS = re.compile(r"(_total|_count|_sum|_bucket)$")


# Where series are counted: those of the depth of queues appear when the broker has answered.
ASK_NOT = {"queue_interval": 0}


def unescape(text):
    return re.sub(r'\\(.)', lambda m: "\n" if m[1] == "n" else m[1], text)


class Metrics(dict):
    """(name, labels as a frozenset of pairs) -> value, of a text that must be one that Prometheus takes."""

    def __init__(self, text):
        super().__init__()
        assert text.endswith("\n")
        self.families = []
        for line in text.split("\n")[:-1]:
            if line.startswith("# HELP "):
                self.families.append(line.split(" ")[2])
            elif line.startswith("# TYPE "):
                assert line.split(" ")[2] == self.families[-1]
            else:
                self._sample(line)
        assert len(set(self.families)) == len(self.families)

    def _sample(self, line):
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line!r}"
        assert match[1].startswith(self.families[-1]), "a family's samples stand together"
        key = (match[1], frozenset((n, unescape(v)) for n, v in LABEL.findall(match[2] or "")))
        assert key not in self, f"twice: {line!r}"
        self[key] = float(match[3])

    def of(self, name, **labels):
        """The one sample of this name with these labels, among maybe others."""
        found = [value for (n, have), value in self.items() if n == f"amqp_execd_{name}" and set(labels.items()) <= have]
        assert len(found) == 1, f"{name} {labels}: {found}"
        return found[0]

    def by(self, name, label, **labels):
        """What is not 0, by that label."""
        return {dict(have)[label]: value for (n, have), value in self.items()
                if n == f"amqp_execd_{name}" and set(labels.items()) <= have and value}

    def counters(self):
        return {key: value for key, value in self.items() if COUNTERS.search(key[0])}


def fetch(port, path="/metrics"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type"), response.read().decode()
    finally:
        connection.close()


def curl(d, path="/metrics"):
    return subprocess.run(["curl", "-sS", "--fail", "--unix-socket", d.control_socket, f"http://localhost{path}"], check=True,
                          stdout=subprocess.PIPE, timeout=60).stdout.decode()


def metrics(d):
    return Metrics(curl(d))


def status_of(d, queue):
    return next(q for q in d.ask("GET", "/v1/status")[1]["queues"] if q["name"] == queue and not q["leaving"])


def promtool(text):
    if not os.access(PROMTOOL, os.X_OK):
        return
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60, check=False)
    assert done.returncode == 0 and done.stdout == "", done.stdout


def settings(broker, *queues, **keys):
    return configuration(broker={"url": broker.url}, **keys, queues=list(queues))


def test_outcomes(broker, rabbit, daemon, ledger, name):
    """ack, requeue, retry, reject, timeout, signal; how long it took, how old the messages were, and what status says."""
    q, dead = rabbit.declare(name()), rabbit.declare(name("dead"))
    rabbit.queues.append(f"{q}.retry.100")
    d = daemon(settings(broker, {
        "name": q, "handler": handler("obey", ledger, timeout="700ms", kill_grace="100ms"), "requeue": {"delay": "50ms"},
        "outcomes": {"retry": [75], "reject": [65], "on_timeout": "reject", "on_signal": "reject"},
        "retry": {"delay": "100ms", "max_delay": "100ms"}, "dead_letter": {"routing_key": dead}}))
    now = int(time.time())
    for message_id, program, timestamp in (
            ("ack", "true", now - 100), ("requeue", "[ $n -gt 1 ] || exit 1", None), ("retry", "[ $n -gt 1 ] || exit 75", None),
            ("reject", "exit 65", now + 5000), ("timeout", "exec sleep 60", None), ("signal", "kill -9 $$", None)):
        rabbit.publish(q, program, message_id=message_id, **({"timestamp": timestamp} if timestamp else {}))
    wait_until(lambda: metrics(d).by("settlements_total", "outcome", queue=q) == {"ack": 3, "requeue": 1, "retry": 1, "reject": 3},
               what="all settled")
    m = metrics(d)
    assert m.by("handler_exits_total", "status", queue=q) == {"success": 3, "failure": 1, "sysexits": 2, "timeout": 1, "signal": 1}
    assert m.of("deliveries_total", queue=q) == 8
    assert m.of("handler_duration_seconds_count", queue=q) == m.of("handler_duration_seconds_bucket", queue=q, le="+Inf") == 8
    assert m.of("handler_duration_seconds_bucket", queue=q, le="0.5") < 8, "the timeout took longer"
    assert m.of("handler_duration_seconds_sum", queue=q) >= 0.7
    assert m.of("message_age_seconds_count", queue=q) == 2 and 100 <= m.of("message_age_seconds_sum", queue=q) < 400
    assert m.of("message_age_seconds_bucket", queue=q, le="1") == 1, "of the future"
    assert m.of("broker_up", connection="consuming") == m.of("broker_up", connection="publishing") == m.of("ready") == 1
    assert m.of("queue_state", queue=q, state="consuming") == sum(m.by("queue_state", "state", queue=q).values()) == 1
    assert m[("process_max_fds", frozenset())] >= m[("process_open_fds", frozenset())] > 5
    assert abs(m[("process_start_time_seconds", frozenset())] - now) < 300
    # The last failure is that which came last.
    rabbit.publish(q, "echo first >&2; printf 'it\\tbroke\\n' >&2; exit 65", message_id="late")
    told = wait_until(lambda: (status_of(d, q)["last_failure"] or {}).get("message_id") == "late" and status_of(d, q), what="the failure")
    assert {**told["last_failure"], "time": None} == {
        "time": None, "message_id": "late", "how": "exit 65", "decision": "reject", "text": "it\\tbroke"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["last_failure"]["time"])
    assert 0 < told["failure_rate"] < told["rate"] <= 9 / 60 + 0.001
    assert told["oldest_seconds"] == 0 and told["unacknowledged"] == 0
    d.stop()


def test_what_is_in_hand(broker, rabbit, daemon, ledger, name, tmp_path):
    """Gauges while a handler runs, on both sockets."""
    q = rabbit.declare(name())
    flag = tmp_path / "flag"
    port, = free_ports(1)
    d = daemon(settings(broker, {"name": q, "handler": handler("obey", ledger), "concurrency": 1, "prefetch": 3},
                        monitor={"listen": [f"127.0.0.1:{port}"], **ASK_NOT}))
    rabbit.publish_many(q, [f"while [ ! -e {flag} ]; do sleep 0.1; done"] * 5)
    ledger.wait(1, "start")
    m = wait_until(lambda: (m := metrics(d)).of("messages_waiting", queue=q) == 2 and m, what="two waiting")
    assert m.of("handlers_running", queue=q) == 1 == m.of("handlers_max", queue=q)
    assert m.of("messages_unacknowledged", queue=q) == 3 == m.of("prefetch", queue=q)
    wait_until(lambda: metrics(d).of("oldest_unacknowledged_seconds", queue=q) > 0.5, what="it grows older")
    told = status_of(d, q)
    assert told["unacknowledged"] == 3 and told["oldest_seconds"] > 0.5 and told["last_failure"] is None
    status, kind, text = fetch(port)
    assert status == 200 and kind == "text/plain; version=0.0.4; charset=utf-8"
    assert set(Metrics(text)) == set(m) == set(Metrics(curl(d, "/v1/metrics")))
    promtool(text)
    assert fetch(port, "/v1/metrics")[0] == 404
    flag.touch()
    wait_until(lambda: metrics(d).of("settlements_total", queue=q, outcome="ack") == 5, what="all handled")
    assert metrics(d).of("messages_unacknowledged", queue=q) == 0
    d.stop()


def test_messages_make_no_series(broker, rabbit, daemon, ledger, name):
    """Whatever publishers write."""
    q = rabbit.declare(name())
    d = daemon(settings(broker, {"name": q, "handler": handler("ledger", ledger)}, monitor=ASK_NOT))
    series = set(metrics(d))
    exchange = name("topic")
    rabbit.channel.exchange_declare(exchange, "topic", auto_delete=True)
    rabbit.channel.queue_bind(q, exchange, "#")
    for i in range(50):
        text = f'{i} "}} 1\n# \\ \u00e9'
        rabbit.channel.basic_publish(exchange, f"k{i}.{text}", text.encode(), pika.BasicProperties(
            message_id=text, app_id=text, type=text, correlation_id=text, headers={text: text}))
    wait_until(lambda: metrics(d).of("settlements_total", queue=q, outcome="ack") == 50, what="fifty handled")
    assert set(metrics(d)) == series
    d.stop()


def test_pauses_and_start_failures(broker, rabbit, daemon, ledger, name, tmp_path):
    """A pause by an operator, one by the breaker, one of a handler that is gone; a queue with a name that needs escapes."""
    operator, breaker = rabbit.declare(name("operator")), rabbit.declare(name("breaker"))
    gone = rabbit.declare(name('gone "\\') + ' {x="y"}\u00e9')
    program = tmp_path / "handler"
    shutil.copy(HANDLERS / "ledger", program)
    d = daemon(settings(broker, {"name": operator, "handler": handler("ledger", ledger)},
                        {"name": breaker, "handler": handler("obey", ledger), "breaker": {"failures": 2, "cooldown": "10min"},
                         "requeue": {"delay": "20ms"}},
                        {"name": gone, "handler": {"command": [str(program), str(ledger)]}}))
    program.unlink()
    rabbit.publish(gone, "x", message_id="never tried")
    rabbit.publish(breaker, "exit 1", message_id="fails")
    for _ in range(2):
        assert d.ask("POST", f"/v1/queues/{operator}/pause")[0] == 200
    m = wait_until(lambda: len((m := metrics(d)).by("queue_paused", "queue")) == 3 and m, what="three paused")
    assert m.by("queue_paused", "cause", queue=operator) == m.by("pauses_total", "cause", queue=operator) == {"operator": 1}
    assert m.by("queue_paused", "cause", queue=breaker) == m.by("pauses_total", "cause", queue=breaker) == {"breaker": 1}
    assert m.of("breaker_failures", queue=breaker) == 2 == status_of(d, breaker)["breaker_failures"]
    assert m.by("queue_paused", "cause", queue=gone) == {"handler": 1} and m.by("pauses_total", "cause", queue=gone) == {"handler": 1}
    assert m.of("handler_start_failures_total", queue=gone) == 1
    assert m.of("settlements_total", queue=gone, outcome="return") == 1
    assert not m.by("handler_exits_total", "status", queue=gone)
    last = status_of(d, gone)["last_failure"]
    assert last["how"].startswith("cannot start: ") and str(program) in last["how"]
    assert last["message_id"] == "never tried" and last["decision"] == "return" and last["text"] is None
    promtool(curl(d))
    assert d.ask("POST", f"/v1/queues/{operator}/resume")[0] == 200
    wait_until(lambda: metrics(d).of("queue_state", queue=operator, state="consuming") == 1, what="resumed")
    m = metrics(d)
    assert not m.by("queue_paused", "cause", queue=operator) and m.by("pauses_total", "cause", queue=operator) == {"operator": 1}
    d.stop()


def test_workers(broker, rabbit, daemon, ledger, name):
    """What workers answer, and what they do instead."""
    q = rabbit.declare(name())
    d = daemon(settings(broker, {
        "name": q, "concurrency": 1, "requeue": {"delay": "10ms"}, "outcomes": {"otherwise": "reject"},
        "handler": {**handler("worker", ledger), "mode": "worker", "protect_secrets": False}}))
    for message_id, do in (("a", None), ("b", "say(b'reject too bad\\n')"), ("c", "say(b'nonsense\\n'); time.sleep(60)"), ("d", None),
                           ("e", "os._exit(3)"), ("f", None), ("g", "os.kill(os.getpid(), 9)"), ("h", None), ("i", "os._exit(0)")):
        rabbit.publish(q, "x", message_id=message_id, **({"headers": {"do": do}} if do else {}))
    wanted = {"success": 4, "failure": 2, "protocol": 2, "signal": 1}
    wait_until(lambda: metrics(d).by("handler_exits_total", "status", queue=q) == wanted,
               what=f"{wanted}, found {metrics(d).by('handler_exits_total', 'status', queue=q)}")
    m = metrics(d)
    assert m.by("settlements_total", "outcome", queue=q) == {"ack": 4, "reject": 5}
    assert m.of("handler_duration_seconds_count", queue=q) == 9
    rabbit.publish(q, "x", message_id="j", headers={"do": "say(b'reject too bad\\n')"})
    wait_until(lambda: status_of(d, q)["last_failure"]["message_id"] == "j", what="the last failure")
    last = status_of(d, q)["last_failure"]
    assert (last["how"], last["decision"], last["text"]) == ("answer reject", "reject", "too bad")
    d.stop()


def test_counters_never_go_down(broker, rabbit, daemon, ledger, name, tmp_path):
    """A queue that is changed while its handler runs, one that is removed and comes back, twice, and what a reload counts."""
    changed, removed = rabbit.declare(name("changed")), rabbit.declare(name("removed"))

    def config(prefetch, *queues):
        return settings(broker, *({"name": q, "handler": handler("obey", ledger), "prefetch": prefetch} for q in queues))

    def wait_for(flag):
        return f"while [ ! -e {tmp_path / flag} ]; do sleep 0.1; done"
    d = daemon(config(2, changed, removed))
    seen = {}

    def look():
        """Every sample that was there before is at least what it was, whenever it is there."""
        m = metrics(d)
        for key, value in m.counters().items():
            assert value >= seen.get(key, 0), f"{key} went down from {seen[key]} to {value}"
            seen[key] = value
        return m
    rabbit.publish(changed, wait_for("first"), message_id="c1")
    rabbit.publish(removed, wait_for("first"), message_id="r1")
    ledger.wait(2, "start")
    assert look().of("reloads_total", result="success") == 0
    d.reload(config(3, changed))
    m = look()
    assert m.of("deliveries_total", queue=removed) == 1 == m.of("handlers_running", queue=removed), "it finishes its handler"
    assert m.of("handlers_running", queue=changed) == 1 and m.of("queue_state", queue=changed, state="stopping") == 0
    (tmp_path / "first").touch()
    wait_until(lambda: not any(("queue", removed) in labels for _, labels in look()), what="the queue gone")
    wait_until(lambda: look().of("settlements_total", queue=changed, outcome="ack") == 1, what="the handler of before")
    d.reload(config(3, changed, removed))
    assert look().of("settlements_total", queue=removed, outcome="ack") == 1, "it goes on where it was"
    assert look().of("handler_duration_seconds_count", queue=removed) == 1
    rabbit.publish(removed, "true", message_id="r2")
    wait_until(lambda: look().of("settlements_total", queue=removed, outcome="ack") == 2, what="the second one")
    d.wait_status("3 messages acknowledged")
    # While it still leaves it comes back.
    d.reload(config(2, changed, removed))
    rabbit.publish(removed, wait_for("second"), message_id="r3")
    ledger.wait(4, "start")
    d.reload(config(3, changed))
    d.reload(config(3, changed, removed))
    (tmp_path / "second").touch()
    rabbit.publish(removed, "true", message_id="r4")
    wait_until(lambda: look().of("settlements_total", queue=removed, outcome="ack") == 4, what="both")
    d.wait_status("5 messages acknowledged")
    d.reconfigure("nonsense")
    assert d.ask("POST", "/v1/reload")[0] == 422
    m = look()
    assert m.of("reloads_total", result="success") == 5 and m.of("reloads_total", result="failure") == 1
    assert m.of("last_reload_successful") == 0
    loaded = m.of("config_loaded_timestamp_seconds")
    d.reload(config(3, changed, removed))
    m = look()
    assert m.of("last_reload_successful") == 1 and m.of("config_loaded_timestamp_seconds") > loaded
    d.stop()


def test_the_first_of_two_that_leave_ends_first(broker, rabbit, daemon, ledger, name, tmp_path):
    """What it has counted is seen still, with the other one, which has the same name and leaves, too."""
    stays_there, removed = rabbit.declare(name("stays")), rabbit.declare(name("removed"))

    def config(*queues):
        return settings(broker, *({"name": q, "handler": handler("obey", ledger), "concurrency": 2} for q in queues))

    def acknowledged():
        return metrics(d).of("settlements_total", queue=removed, outcome="ack")
    d = daemon(config(stays_there, removed))
    for n, flag in enumerate(("first", "second"), 1):
        rabbit.publish(removed, f"while [ ! -e {tmp_path / flag} ]; do sleep 0.1; done", message_id=flag)
        ledger.wait(n, "start")
        d.reload(config(stays_there))
        if flag == "first":
            d.reload(config(stays_there, removed))
    assert metrics(d).of("handlers_running", queue=removed) == 2
    assert metrics(d).of("deliveries_total", queue=removed) == 2
    (tmp_path / "first").touch()
    wait_until(lambda: metrics(d).of("handlers_running", queue=removed) == 1, what="the end of the first one")
    assert acknowledged() == 1 and metrics(d).of("deliveries_total", queue=removed) == 2
    (tmp_path / "second").touch()
    wait_until(lambda: not any(("queue", removed) in labels for _, labels in metrics(d)), what="the queue gone")
    d.reload(config(stays_there, removed))
    assert acknowledged() == 2
    d.stop()


def test_brokers_and_depths(broker, rabbit, daemon, ledger, name):
    """What connections have been through, and what the broker says of a queue; nothing of one that is not there."""
    q, missing = rabbit.declare(name()), name("missing")
    port, = free_ports(1)
    d = daemon(configuration(
        brokers=[{"name": "main", "url": broker.url}, {"name": "gone", "url": f"amqp://127.0.0.1:{port}"}], monitor={"queue_interval": "1s"},
        queues=[{"name": n, "broker": b, "handler": handler("ledger", ledger)} for n, b in ((q, "main"), (missing, "main"), ("q", "gone"))]))
    wait_until(lambda: metrics(d).by("broker_failures_total", "reason", broker="gone").get("unreachable", 0) >= 2, what="two attempts")
    m = metrics(d)
    assert m.of("broker_up", broker="main", connection="consuming") == 1 == m.of("broker_connects_total", broker="main")
    assert m.of("broker_up", broker="gone") == 0 == m.of("broker_connects_total", broker="gone") == m.of("broker_blocked", broker="gone")
    assert not m.by("broker_failures_total", "reason", broker="main")
    assert d.ask("POST", f"/v1/queues/{q}/pause")[0] == 200
    rabbit.publish_many(q, ["x"] * 3)
    wait_until(lambda: metrics(d).by("queue_messages_ready", "queue") == {q: 3}, what="three ready")
    m = metrics(d)
    assert [dict(labels)["queue"] for n, labels in m if n == "amqp_execd_queue_messages_ready"] == [q]
    assert m.of("queue_consumers", queue=q) == 0
    d.stop()


def test_a_pause_is_counted_once_over_a_reload(broker, rabbit, daemon, ledger, name):
    q = rabbit.declare(name())

    def config(prefetch):
        return settings(broker, {"name": q, "handler": handler("ledger", ledger), "prefetch": prefetch})
    d = daemon(config(3))
    assert d.ask("POST", f"/v1/queues/{q}/pause")[0] == 200
    d.reload(config(4))
    wait_until(lambda: len(d.ask("GET", "/v1/status")[1]["queues"]) == 1, what="the one of before gone")
    m = metrics(d)
    assert m.of("prefetch", queue=q) == 4 and m.by("queue_paused", "cause", queue=q) == {"operator": 1}
    assert m.by("pauses_total", "cause", queue=q) == {"operator": 1}
    d.stop()


# -------------------------------------------------------------------------------------------------------- Prometheus

@contextlib.contextmanager
def prometheus(folder, *targets):
    """A Prometheus of one's own, which reads them every second: a function that asks it."""
    port, = free_ports(1)
    folder.mkdir()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: execd, static_configs: [{{targets: {json.dumps(targets)}}}]}}]\n", encoding="utf-8")
    with open(folder / "log", "wb") as log, subprocess.Popen(
            [PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True) as process:
        def ask(query):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                answer = json.loads(fetch(port, f"/api/v1/query?query={urllib.parse.quote(query)}")[2])
                assert answer["status"] == "success", answer
                return [float(result["value"][1]) for result in answer["data"]["result"]]
            assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
            return []
        try:
            yield ask
        finally:
            end_process(process)


@pytest.mark.skipif(not os.access(PROMETHEUS, os.X_OK), reason="there is no Prometheus (Debian package prometheus)")
def test_a_real_prometheus(broker, rabbit, daemon, ledger, name, tmp_path):
    """It takes what the daemon tells, all of it, hostile names included, and knows the number of messages."""
    q, hostile = rabbit.declare(name()), rabbit.declare(name() + ' "} 1\\')
    port, = free_ports(1)
    d = daemon(settings(broker, {"name": q, "handler": handler("obey", ledger), "outcomes": {"reject": [65]}},
                        {"name": hostile, "handler": handler("ledger", ledger)}, monitor={"listen": [f"127.0.0.1:{port}"], **ASK_NOT}))
    with prometheus(tmp_path / "prometheus", f"127.0.0.1:{port}") as ask:
        for i in range(7):
            rabbit.publish(q, "true" if i else "exit 65", message_id=f"m{i}")
        rabbit.publish(hostile, "x", message_id="h")
        wait_until(lambda: ask("up") == [1], what="up is 1")
        wait_until(lambda: ask(f'amqp_execd_settlements_total{{queue="{q}",outcome="ack"}}') == [6], what="six acknowledged")
        wait_until(lambda: ask('sum(amqp_execd_settlements_total{outcome=~"ack|reject"})') == [8], what="eight in all")
        wait_until(lambda: ask(f'amqp_execd_deliveries_total{{queue={json.dumps(hostile)}}}') == [1], what="the hostile name")
        assert ask("count(amqp_execd_build_info)") == [1]
        text = fetch(port)[2]
        series = len(Metrics(text))
        assert ask('count({job="execd",__name__=~"amqp_execd_.+|process_.+"})') == [series], "every sample was taken"
    promtool(text)
    d.stop()
