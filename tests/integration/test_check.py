# SPDX-License-Identifier: MIT
"""amqp-execctl check: finds what would not work, says so, and changes nothing by looking."""

import json
import os
import pwd
import socket
import subprocess

import pika
import pytest

from harness import CONTROL, HANDLERS, configuration, free_ports, reachable, shell

PERMISSIONS = {"clerk": (".*", ".*", ".*"), "mute": (".*", ".*", "^$"), "reader": (".*", "^$", ".*"), "guestlike": ("^$", ".*", ".*")}
PASSWORD = "Ps-4711"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="who can be other users is root")


@pytest.fixture(scope="module", name="accounts")
def _accounts(broker):
    """Users of the broker whose permissions are restricted: mute may not read, reader not write, guestlike not configure."""
    lines = []
    for user, rights in PERMISSIONS.items():
        binaries = ", ".join(f'<<"{r}">>' for r in rights)
        lines.append(f'rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"{PASSWORD}">>, <<"tests">>)')
        lines.append(f'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, <<"/">>, {binaries}, <<"tests">>)')
    lines.append(f'rabbit_auth_backend_internal:add_user(<<"outsider">>, <<"{PASSWORD}">>, <<"tests">>)')
    broker.ctl("eval", ", ".join(lines) + ".")
    return broker


class Result:
    """What was found."""

    def __init__(self, process):
        self.status, self.stderr = process.returncode, process.stderr
        value = json.loads(process.stdout)
        self.ok, self.findings = value["ok"], value["findings"]
        assert self.ok == (not self.of("error"))
        assert all(f["hint"] for f in self.of("error")), self.findings

    def of(self, level, what=None, queue=None):
        return [f for f in self.findings if f["level"] == level and what in (None, f["what"]) and queue in (None, f["queue"])]

    def error(self, what, queue=None):
        """The only error about that: its text."""
        found = self.of("error", what, queue)
        assert len(found) == 1, self.findings
        return found[0]["text"]


class Checker:
    def __init__(self, folder, broker):
        self.path, self.broker = folder / "check.conf", broker

    def url(self, user="clerk", password=PASSWORD, port=None, vhost="%2F"):
        return f"amqp://{user}:{password}@127.0.0.1:{port or self.broker.port}/{vhost}"

    def write(self, queues, url=None, **settings):
        self.path.write_text(configuration(brokers=[{"name": "main", "url": url or self.url()}], queues=queues, **settings),
                             encoding="utf-8")
        self.path.chmod(0o600)

    def run(self, *arguments, user=None):
        who = ["--user", user or pwd.getpwuid(os.geteuid()).pw_name]
        return subprocess.run([CONTROL, "check", "--config", self.path, *who, *arguments], capture_output=True, text=True,
                              timeout=120, check=False)

    def __call__(self, queues, *arguments, url=None, user=None, **settings):
        self.write(queues, url, **settings)
        return Result(self.run("--json", *arguments, user=user))


@pytest.fixture(name="check")
def _check(tmp_path, accounts):
    return Checker(tmp_path, accounts)


def state(rabbit):
    """All queues, exchanges and bindings that the broker has, and how many messages and consumers."""
    return [sorted(rabbit.broker.ctl(*what).splitlines()) for what in (
        ("list_queues", "name", "messages", "consumers", "arguments"), ("list_exchanges", "name", "type"), ("list_bindings",))]


def full(queue, exchange, **keys):
    """A queue for which everything is asked for: bindings, retry, dead letters, reply, forward."""
    return {"name": queue, "handler": shell("exit 0"), "outcomes": {"otherwise": "retry", "reject": [65]},
            "bindings": [{"exchange": exchange, "routing_keys": ["a.b"]}], "dead_letter": {"exchange": exchange},
            "reply": {}, "forward": {"exchange": exchange, "routing_key": "x"}, **keys}


def test_all_is_well_and_nothing_is_changed(check, rabbit, name):
    queue, declared, exchange = rabbit.declare(name()), rabbit.declare(name("declared"), "quorum"), name("exchange")
    rabbit.channel.exchange_declare(exchange, "topic", durable=True)
    rabbit.publish_many(queue, [b"1", b"2", b"3"])
    rabbit.wait_depth(queue, 3)
    queues = [full(queue, exchange),
              full(declared, exchange, declare={"type": "quorum"},
                   bindings=[{"exchange": exchange, "exchange_type": "topic", "routing_keys": ["#"]}]),
              full(name("new"), exchange, declare={"type": "quorum", "arguments": {"x-max-length": 5}},
                   bindings=[{"exchange": name("new-exchange"), "exchange_type": "direct"}])]
    before = state(rabbit)
    result = check(queues)
    assert (result.status, result.ok, result.of("error")) == (0, True, [])
    assert state(rabbit) == before
    connection = result.of("ok", "connection")[0]
    assert "RabbitMQ" in connection["text"] and (connection["broker"], connection["queue"]) == ("main", None)
    assert result.of("ok", "queue", queue)[0]["text"] == "exists: 3 messages waiting, 0 consumers"
    assert "is declared as configured" in [f["text"] for f in result.of("ok", "queue", declared)]
    for what in ("handler", "queue", "consume", "binding", "retry", "dead_letter", "reply", "forward"):
        for q in queues:
            assert result.of("ok", what, q["name"]), (what, q["name"], result.findings)
    method, _, body = rabbit.channel.basic_get(queue, auto_ack=True)
    assert (body, method.redelivered, method.message_count) == (b"1", False, 2)


def test_what_may_go_with_a_question_stays(check, rabbit, name):
    """Queues that are deleted with their last consumer, an exchange that is deleted with its last binding, consumers that want to be
    alone, streams, and messages that an alternate exchange would get."""
    ch, exchange, caught, internal = rabbit.channel, name("exchange"), rabbit.declare(name("caught")), name("internal")
    ch.exchange_declare(alternate := name("alternate"), "fanout", auto_delete=True)
    ch.queue_bind(caught, alternate)
    ch.exchange_declare(exchange, "topic", auto_delete=True, arguments={"alternate-exchange": alternate})
    ch.exchange_declare(internal, "fanout", internal=True, auto_delete=True)
    ch.queue_bind(caught, internal)
    kinds = {"expires": {"x-expires": 600000}, "single": {"x-single-active-consumer": True}, "stream": {"x-queue-type": "stream"},
             "full": {"x-max-length": 1, "x-overflow": "reject-publish"}, "deleted": {}, "alone": {}}
    queues = []
    for kind, arguments in kinds.items():
        queue = name(kind)
        ch.queue_declare(queue, durable=kind != "deleted", auto_delete=kind == "deleted", arguments=arguments)
        rabbit.queues.append(queue)
        ch.queue_bind(queue, exchange, "a.b")
        queues.append(full(queue, exchange))
    for n, exclusive in ((1, False), (5, True)):
        ch.basic_consume(queues[n]["name"], lambda *_: None, exclusive=exclusive, consumer_tag=name("tag"))
    queues[0]["dead_letter"] = {"exchange": internal}
    before = state(rabbit)
    result = check(queues)
    assert state(rabbit) == before
    assert {(f["what"], f["queue"]) for f in result.of("error")} == {("dead_letter", queues[0]["name"])}, result.findings
    assert "internal exchange" in result.error("dead_letter"), result.findings
    assert "permission" not in result.of("error")[0]["hint"]


@pytest.mark.parametrize("user, wrong", [
    ("mute", {"consume", "binding", "retry"}),
    ("reader", {"binding", "retry", "dead_letter", "reply", "forward"}),
    ("guestlike", {"queue", "retry"})])
def test_permissions(check, rabbit, name, user, wrong):
    """What the user may not is told, and the rest is well; for a queue that exists and one that does not."""
    queue, exchange = rabbit.declare(name()), name("exchange")
    rabbit.channel.exchange_declare(exchange, "topic", durable=True)
    rabbit.publish(queue, b"x")
    queues = [full(queue, exchange, declare={"type": "classic"}), full(name("new"), exchange, declare={"type": "classic"})]
    result = check(queues, url=check.url(user))
    assert result.status == 1
    for q in queues:
        assert {f["what"] for f in result.of("error", queue=q["name"])} == wrong
        for f in result.of("error", queue=q["name"]):
            assert "403" in f["text"] and "set_permissions" in f["hint"]
    method, _, _ = rabbit.channel.basic_get(queue, auto_ack=True)
    assert not method.redelivered
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no queue"):
        rabbit.channel.queue_declare(queues[1]["name"], passive=True)
    rabbit.connect()


def test_topology_that_is_not_as_configured(check, rabbit, name):
    other, missing, away = rabbit.declare(name("other"), **{"x-max-length": 7}), name("missing"), name("away")
    exchange, bad_type = name("exchange"), rabbit.declare(name("bad-type"))
    delay = rabbit.declare(f"{bad_type}.retry.10000.quorum")
    rabbit.channel.exchange_declare(exchange, "fanout", durable=True)
    result = check([
        {"name": other, "handler": shell("exit 0"), "declare": {"arguments": {"x-max-length": 8}},
         "bindings": [{"exchange": exchange, "exchange_type": "topic"}]},
        {"name": missing, "handler": shell("exit 0"), "dead_letter": {"exchange": "", "routing_key": away},
         "outcomes": {"reject": [65]}, "bindings": [{"exchange": away}]},
        {"name": bad_type, "handler": shell("exit 0"), "outcomes": {"otherwise": "retry"}, "forward":
         {"exchange": away, "routing_key": "x"}, "bindings": [{"exchange": away, "exchange_type": "x-nonsense"}]},
        {"name": name("new"), "handler": shell("exit 0"), "declare": {"type": "nonsense"}},
    ])
    assert result.status == 1
    assert "x-max-length" in result.error("queue", other) and "'topic'" in result.error("binding", other)
    assert "does not exist" in result.error("queue", missing) and away in result.error("dead_letter", missing)
    assert away in result.error("binding", missing) and away in result.error("forward", bad_type)
    assert "x-nonsense" in result.error("binding", bad_type)
    assert delay in result.error("retry", bad_type)
    new = [f for f in result.of("error", "queue") if "nonsense" in f["text"]]
    assert len(new) == 1
    assert rabbit.depth(other) == 0


def test_queue_of_another_connection(check, rabbit, name):
    owned, shared = name("owned"), rabbit.declare(name("shared"))
    rabbit.channel.queue_declare(owned, exclusive=True)
    rabbit.channel.basic_consume(shared, lambda *_: None)
    result = check([{"name": owned, "handler": shell("exit 0")},
                    {"name": shared, "exclusive": True, "handler": shell("exit 0")}])
    assert "405" in result.error("queue", owned)
    assert "exclusively, and has 1 consumer" in result.of("warning", "queue", shared)[0]["text"]


def test_what_the_broker_drops(check, rabbit, name):
    """What is doubtful is a warning, and no failure."""
    queue, limited = rabbit.declare(name()), name("limited")
    result = check([{"name": queue, "handler": shell("exit 0"), "outcomes": {"reject": [65]}},
                    {"name": limited, "handler": shell("exit 0"),
                     "declare": {"type": "quorum", "arguments": {"x-delivery-limit": 3}}}])
    assert result.status == 0
    assert "are gone, unless" in result.of("warning", "dead letters", queue)[0]["text"]
    assert "x-delivery-limit is 3" in result.of("warning", "dead letters", limited)[0]["text"]


def test_login(check, rabbit, name):
    queues = [{"name": rabbit.declare(name()), "handler": shell("exit 0")}]
    result = check(queues, url=check.url(password="wrong"))
    assert result.status == 77 and "403" in result.error("login")
    result = check(queues, url=check.url(vhost="nowhere"))
    assert result.status == 77 and "virtual host does not exist" in result.error("login")
    result = check(queues, url=check.url("outsider"))
    assert result.status == 77 and "no access to the virtual host" in result.error("login")
    for f in result.findings:
        assert PASSWORD not in json.dumps(f)


def test_password_that_only_the_service_has(check, rabbit, name, tmp_path, monkeypatch):
    """Without the credential it is not known whether the login works; with it, it is."""
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    (folder / "rabbit").write_text(PASSWORD + "\n", encoding="ascii")
    (folder / "rabbit").chmod(0o600)
    check.path.write_text(configuration(
        broker={"url": f"amqp://clerk@127.0.0.1:{check.broker.port}/%2F", "credential": "rabbit"},
        queues=[{"name": rabbit.declare(name()), "handler": shell("exit 0")}]), encoding="utf-8")
    result = Result(check.run("--json"))
    assert result.status == 0 and "credential" in result.of("warning", "login")[0]["text"]
    assert "CREDENTIALS_DIRECTORY" in result.of("warning", "login")[0]["hint"] and not result.of("ok", "queue")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    result = Result(check.run("--json"))
    assert result.status == 0 and not result.of("warning", "login") and result.of("ok", "queue")
    (folder / "rabbit").write_text("wrong\n", encoding="ascii")
    result = Result(check.run("--json"))
    assert result.status == 77 and "403" in result.error("login")


def test_unreachable(check, rabbit, name):
    """One address of several is doubtful; all of them are too many."""
    queues = [{"name": rabbit.declare(name()), "handler": shell("exit 0")}]
    closed, = free_ports(1)
    result = check(queues, url=check.url(port=closed))
    assert result.status == 69 and str(closed) in result.error("connection")
    assert not result.of("ok", "queue")
    result = check(queues, url="amqp://nowhere.invalid")
    assert result.status == 69 and "cannot resolve" in result.error("connection")
    assert "name" in result.of("error", "connection")[0]["hint"]
    check.path.write_text(configuration(brokers=[{"name": "main", "urls": [check.url(port=closed), check.url()]}], queues=queues),
                          encoding="utf-8")
    result = Result(check.run("--json"))
    assert result.status == 0 and str(closed) in result.of("warning", "connection")[0]["text"]
    assert result.of("ok", "consume")


def test_peer_that_is_no_broker(check, name):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        check.write([{"name": name(), "handler": shell("exit 0")}])
        check.path.write_text(configuration(brokers=[{"name": "main", "url": check.url(port=s.getsockname()[1]),
                                                      "connect_timeout": "1s"}],
                                            queues=[{"name": name(), "handler": shell("exit 0")}]), encoding="utf-8")
        result = Result(check.run("--json"))
    assert result.status == 69 and "did not answer in time" in result.error("connection")


def test_broker_that_takes_no_publications(check, rabbit, name):
    """While a resource alarm lasts it cannot be asked what may be published; that is doubtful, and nothing waits for its end."""
    queue, exchange = rabbit.declare(name()), name("exchange")
    rabbit.channel.exchange_declare(exchange, "topic", durable=True)
    rabbit.broker.ctl("set_vm_memory_high_watermark", "0.000001")
    try:
        result = check([full(queue, exchange)])
    finally:
        rabbit.broker.ctl("set_vm_memory_high_watermark", "0.6")
    assert result.status == 0 and result.of("ok", "consume")
    for what in ("retry", "dead_letter", "reply", "forward"):
        assert "takes no publications for now" in result.of("warning", what)[0]["text"]


def test_what_the_broker_grants(check, rabbit, name):
    """Fewer channels than queues are an error, whichever are asked for; what is granted is told."""
    queues = [{"name": rabbit.declare(name()), "handler": shell("exit 0")} for _ in range(3)]
    eval_ = "application:set_env(rabbit, channel_max, {}), application:set_env(rabbit, heartbeat, {})."
    rabbit.broker.ctl("eval", eval_.format(2, 7))
    try:
        result = check(queues, queues[0]["name"])
    finally:
        rabbit.broker.ctl("eval", eval_.format(2047, 60))
    assert result.status == 1 and "3 queues are configured, which need a channel each, and the broker allows 2" in \
        result.error("channels")
    assert "heartbeat 7 s, at most 2 channels" in result.of("ok", "connection")[0]["text"]
    assert not result.of("ok", "queue", queues[1]["name"])


@as_root
def test_handlers(check, rabbit, name, tmp_path):
    """Everything that keeps the user from executing the handler; all queues exist."""
    reachable(tmp_path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    scripts = {}
    for script, mode in (("inside", 0o755), ("plain", 0o644), ("unread", 0o711), ("fine", 0o755)):
        path = scripts[script] = (closed if script == "inside" else tmp_path) / script
        path.write_text("#!/bin/sh\n", encoding="ascii")
        path.chmod(mode)
    lost = tmp_path / "lost"
    lost.write_text("#!/no/such/interpreter\n", encoding="ascii")
    lost.chmod(0o755)
    cases = {
        "fine": ({"command": [str(scripts["fine"])]}, None),
        "missing": ({"command": ["/no/such/handler"]}, "/no/such/handler: No such file"),
        "mode": ({"command": [str(scripts["plain"])]}, "Permission denied"),
        "folder": ({"command": [str(scripts["inside"])]}, "Permission denied"),
        "unread": ({"command": [str(scripts["unread"])]}, "may not read"),
        "is-folder": ({"command": [str(tmp_path)]}, "Permission denied"),
        "interpreter": ({"command": [str(lost)]}, "interpreter /no/such/interpreter does not exist"),
        "directory": ({"command": ["/bin/true"], "directory": str(closed)}, f"directory {closed}: Permission denied"),
        "no-directory": ({"command": ["/bin/true"], "directory": "/no/such"}, "directory /no/such: No such file"),
        "user": ({"command": ["/bin/true"], "user": "nobody-knows"}, "unknown user nobody-knows"),
        "group": ({"command": ["/bin/true"], "group": "nobody-knows"}, "unknown group nobody-knows"),
    }
    queues = {case: rabbit.declare(name(case)) for case in cases}
    result = check([{"name": queues[case], "handler": {"user": "nobody", **keys}} for case, (keys, _) in cases.items()])
    assert result.status == 1
    for case, (_, expected) in cases.items():
        if expected:
            assert expected in result.error("handler", queues[case])
        else:
            assert result.of("ok", "handler", queues[case]) and not result.of("error", queue=queues[case])


@as_root
def test_for_the_user_of_the_daemon(check, rabbit, name, tmp_path):
    """It is judged what that user can read, whoever asks."""
    queues = [{"name": rabbit.declare(name()), "handler": {"command": [str(HANDLERS / "record")], "user": "nobody"}}]
    reachable(tmp_path)
    check.write(queues)
    refused = check.run(user="nobody")
    assert refused.returncode == 78 and "Permission denied" in refused.stderr and "runs as nobody" in refused.stderr
    os.chown(check.path, pwd.getpwnam("nobody").pw_uid, -1)
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n", encoding="ascii")
    script.chmod(0o700)
    check.write([{"name": queues[0]["name"], "handler": {"command": [str(script)], "user": "nobody"}}])
    result = Result(check.run("--json", user="nobody"))
    assert result.status == 1 and "Permission denied" in result.error("handler")
    check.write([{"name": queues[0]["name"], "handler": {"command": [str(script)], "user": "daemon"}}])
    result = Result(check.run("--json", user="nobody"))
    assert result.status == 78 and "may not run a handler as another user" in result.of("error", "configuration")[0]["text"]
    process = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", CONTROL, "check", "--config",
                              check.path], capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 78 and "only root can judge for another user" in process.stderr
    process = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", CONTROL, "check", "--config",
                              check.path, "--user", "root"], capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 77 and "only root" in process.stderr


@as_root
def test_whose_daemon_it_is(check, rabbit, name, tmp_path):
    """Without --user the owner of the folder of the control socket, for root; anybody else is the user."""
    reachable(tmp_path)
    check.write([{"name": rabbit.declare(name()), "handler": {"command": ["/bin/true"], "user": "nobody"}}])
    os.chown(check.path, pwd.getpwnam("nobody").pw_uid, -1)
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    for owner, prefix, expected in (("nobody", [], "nobody"), ("root", as_nobody, "nobody"), ("root", [], "root")):
        os.chown(folder, pwd.getpwnam(owner).pw_uid, -1)
        if expected == "root":
            os.chown(check.path, 0, -1)
        result = Result(subprocess.run([*prefix, CONTROL, "--socket", folder / "control.sock", "check", "--config", check.path,
                                        "--json"], capture_output=True, text=True, timeout=60, check=False))
        assert result.status == 0, result.findings
        assert f"runs as {expected}" in result.of("ok", "configuration")[0]["text"]
        assert "as user nobody" in result.of("ok", "handler")[0]["text"]


def test_output_and_selection(check, rabbit, name):
    good, bad = rabbit.declare(name("good")), name("bad")
    check.write([{"name": good, "handler": shell("exit 0"), "outcomes": {"reject": []}}, {"name": bad, "handler": shell("exit 0")}],
                limits={"max_message_size": "1K"})
    shown = check.run()
    assert shown.returncode == 1 and shown.stderr == ""
    assert f"\nqueue {good}, at broker main\n  ok       handler: " in shown.stdout
    assert f"\nqueue {bad}, at broker main\n" in shown.stdout and "\n  error    queue: the queue does not exist" in shown.stdout
    assert "\n             -> make it at the broker, or have it declared" in shown.stdout
    quiet = check.run("--quiet")
    assert quiet.returncode == 1 and " ok " not in quiet.stdout and good not in quiet.stdout and "\n1 error" in quiet.stdout
    assert check.run(good).returncode == 0 and check.run("--broker", "main", good).returncode == 0
    assert check.run("--quiet", good).stdout == ""
    for wrong in (("nothing",), ("--broker", "nothing")):
        process = check.run(*wrong)
        assert process.returncode == 64 and "nothing" in process.stderr


def test_configuration_that_is_refused(check):
    check.path.write_text('queues = ( { name = "q"; frobnicate = 1; } );\n', encoding="utf-8")
    process = check.run()
    assert process.returncode == 78 and process.stdout == ""
    assert process.stderr.startswith(f"{check.path}:1: queues[0].frobnicate: unknown key")
    result = Result(check.run("--json"))
    assert result.status == 78 and "frobnicate" in result.of("error", "configuration")[0]["text"]
    check.path.unlink()
    assert check.run().returncode == 78
