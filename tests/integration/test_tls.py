# SPDX-License-Identifier: MIT
"""amqps: whom the daemon trusts, who it says it is, and what it says when that fails. Against TLS listeners of RabbitMQ."""

import hashlib
import itertools
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from certificates import Authority, encrypt
from harness import CONTROL, PATIENCE, Broker, Rabbit, configuration, free_ports, shell, stays, wait_until

QUICK = {"reconnect": {"min_delay": "100ms", "max_delay": "500ms"}}
PASSPHRASE = "0pen-Sesam3 please"


class Certificates:
    """What the tests use; `trusted` is the CA of broker and clients."""

    def __init__(self, folder):
        self.trusted, self.other = Authority(folder, "trusted-ca"), Authority(folder, "other-ca")
        sign = self.trusted.sign
        self.good = sign("good", ["DNS:localhost", "IP:127.0.0.1"])
        self.by_name = sign("by-name", ["DNS:localhost"])
        self.elsewhere = sign("elsewhere", ["DNS:rabbit.example", "IP:192.0.2.1"])
        self.expired = sign("expired", ["DNS:localhost"], end="20210203040506Z")
        self.early = sign("early", ["DNS:localhost"], begin="20400101000000Z")
        self.stranger_broker = self.other.sign("stranger-broker", ["DNS:localhost"])
        self.not_for_servers = sign("not-for-servers", ["DNS:localhost"], usage="clientAuth")
        self.client = sign("guest", usage="clientAuth")  # the name of a user
        self.nobody = sign("nobody", usage="clientAuth")
        self.stranger = self.other.sign("stranger", usage="clientAuth")
        self.old_client = sign("old-client", usage="clientAuth", end="20210203040506Z")
        self.encrypted = encrypt(self.client, PASSPHRASE)


@pytest.fixture(scope="module", name="certs")
def _certs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


class TlsBroker(Broker):
    """One node, with as many TLS listeners as the tests want. It takes users from client certificates, too."""

    def __init__(self, certs):
        super().__init__(config="auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = EXTERNAL\n"
                                "ssl_cert_login_from = common_name\n"
                                f"ssl_options.cacertfile = {certs.trusted.cert}\nssl_options.verify = verify_peer\n")
        self._write("enabled_plugins", "[rabbitmq_auth_mechanism_ssl].\n")
        self.certs = certs
        self.ports = {}

    def start(self, timeout=90):
        self.ports.clear()
        return super().start(timeout)

    def listen(self, certificate=None, client="optional", versions=("tlsv1.3", "tlsv1.2"), port=None):
        """The port of a listener. client: none, optional or required, is the client's certificate."""
        certificate = certificate or self.certs.good
        wanted = (certificate.cert, client, versions)
        if wanted not in self.ports:
            port = port or free_ports(1)[0]
            self.ctl("eval", f"""rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, [
                {{cacertfile, "{self.certs.trusted.cert}"}}, {{certfile, "{certificate.cert}"}},
                {{keyfile, "{certificate.key}"}}, {{verify, {"verify_none" if client == "none" else "verify_peer"}}},
                {{fail_if_no_peer_cert, {"true" if client == "required" else "false"}}},
                {{versions, [{",".join(f"'{v}'" for v in versions)}]}}], 4).""")
            self.ports[wanted] = port
        return self.ports[wanted]


@pytest.fixture(scope="module", name="node")
def _node(certs):
    with TlsBroker(certs) as broker:
        yield broker


@pytest.fixture(name="client")
def _client(node):
    client = Rabbit(node).connect()
    yield client
    client.close()


@pytest.fixture(name="attempt")
def _attempt(daemon, client, name):
    """Starts a daemon with this broker group and one queue, and returns it once it consumes or has failed to connect."""
    def attempt(port, host="localhost", arguments=(), **keys):
        queue = client.declare(name())
        user = keys.pop("user", "")
        d = daemon(configuration(broker={"url": f"amqps://{user}{host}:{port}", **QUICK, **keys}, queues=[
            {"name": queue, "handler": shell("cat")}]), arguments=list(arguments))
        wait_until(lambda: client.consumers(queue) or "not connected" in d.log, what="an end of the attempt")
        d.connected = bool(client.consumers(queue))
        return d
    return attempt


def refused(d, pattern):
    assert not d.connected
    line = d.wait_log("not connected")
    assert re.search(pattern, line), line
    stays(lambda: d.process.poll() is None, 0.3)
    d.stop()


def accepted(d):
    assert d.connected, d.log
    d.stop()


def paths(certificate, key=None):
    return {"cert_file": certificate.cert, "key_file": key or certificate.key}


@pytest.fixture(name="trust")
def _trust(certs):
    return {"ca_file": certs.trusted.cert}


# ------------------------------------------------------------------------- traffic

def test_messages_large_and_small(node, trust, client, daemon, name, tmp_path):
    """Bodies of a megabyte among many small ones, a window full of them: none is cut, mixed up or left lying in a buffer."""
    queue, sums = client.declare(name()), tmp_path / "sums"
    bodies = [os.urandom(1 << 20 if i % 10 == 0 else i) for i in range(150)]
    client.publish_many(queue, bodies)
    d = daemon(configuration(broker={"url": f"amqps://localhost:{node.listen()}", "tls": trust}, queues=[{
        "name": queue, "prefetch": 100, "concurrency": 4,
        "handler": shell('s=$(sha256sum) && echo "$AMQP_MESSAGE_ID ${s%% *}" >>"$1"', sums)}]))
    d.wait_settled(150)
    # While nothing else happens, too.
    client.publish(queue, b"last", message_id="last")
    d.wait_settled(151)
    d.stop()
    expected = {f"m{i} {hashlib.sha256(b).hexdigest()}" for i, b in enumerate(bodies)}
    assert set(sums.read_text().splitlines()) == expected | {"last " + hashlib.sha256(b"last").hexdigest()}
    assert client.depth(queue) == 0


def test_quiet_connection_lives_on_heartbeats(node, trust, client, daemon, name):
    queue = client.declare(name())
    d = daemon(configuration(broker={"url": f"amqps://localhost:{node.listen()}", "tls": trust, "heartbeat": 1}, queues=[{
        "name": queue, "handler": shell("cat")}]))
    time.sleep(5)
    client.publish(queue, b"x")
    d.wait_settled(1)
    assert len([line for line in d.lines if line.endswith(" connected with TLS")]) == 1, d.log
    d.stop()


def test_handler_inherits_no_socket(node, trust, client, daemon, name, tmp_path):
    queue, found = client.declare(name()), tmp_path / "found"
    client.publish_many(queue, [b"x"] * 20)
    d = daemon(configuration(broker={"url": f"amqps://localhost:{node.listen()}", "tls": trust, **QUICK}, queues=[{
        "name": queue, "concurrency": 2,
        "handler": shell('for f in /proc/$$/fd/*; do echo "${f##*/} $(readlink $f)"; done >>"$1"; sleep 0.05', found)}]))
    # Also while it connects again.
    d.wait_settled(5)
    node.ctl("close_all_connections", "again")
    client.connect()
    wait_until(lambda: client.depth(queue) == 0 and len(d.settled(queue)) >= 20, what="all of them")
    d.stop()
    lines = found.read_text().splitlines()
    assert len(lines) > 20
    assert not [line for line in lines if "socket:" in line]


def test_broker_killed(certs, trust, daemon, name):
    """Under the daemon's hands: it says that the connection is lost, and connects again."""
    with TlsBroker(certs) as node:
        rabbit = Rabbit(node).connect()
        queue = rabbit.declare(name())
        rabbit.publish(queue, b"before")
        port = node.listen()
        d = daemon(configuration(broker={"url": f"amqps://localhost:{port}", "tls": trust, **QUICK}, queues=[{
            "name": queue, "handler": shell("cat")}]))
        d.wait_settled(1)
        node.kill()
        d.wait_log("connection lost: the (TLS )?connection to the broker (broke|is closed)")
        d.wait_log("not connected: .*Connection refused")
        node.start()
        assert node.listen(port=port) == port
        rabbit.connect().declare(queue)
        rabbit.publish(queue, b"after")
        d.wait_settled(2)
        d.stop()
        rabbit.close()


def test_broker_frozen(node, trust, client, daemon, name):
    """Noticed by the heartbeat; a handshake with the frozen broker ends in time; the watchdog is fed; then it goes on."""
    queue = client.declare(name())
    d = daemon(configuration(broker={"url": f"amqps://localhost:{node.listen()}", "tls": trust, "heartbeat": 1,
                                     "connect_timeout": "1s", **QUICK}, queues=[{
        "name": queue, "handler": shell("cat")}]), watchdog_usec=1_500_000)
    wait_until(lambda: client.consumers(queue) == 1, what="a consumer")
    node.freeze()
    try:
        d.wait_log("connection lost: no heartbeat")
        d.wait_log("not connected: the TLS handshake was not over in time")
        fed = len(d.notify.values("WATCHDOG"))
        wait_until(lambda: len(d.notify.values("WATCHDOG")) > fed + 1, 10, "a fed watchdog")
    finally:
        node.thaw()
    client.connect().publish(queue, b"after")
    d.wait_settled(1)
    d.stop()


# ------------------------------------------------------------- the broker's certificate

def test_trusted_broker(node, trust, attempt):
    accepted(attempt(node.listen(), tls=trust))


def test_ip_address_in_the_certificate(node, trust, attempt):
    accepted(attempt(node.listen(), host="127.0.0.1", tls=trust))


def test_ip_address_not_in_the_certificate(node, certs, trust, attempt):
    refused(attempt(node.listen(certs.by_name), host="127.0.0.1", tls=trust),
            "certificate is for another host: expected 127.0.0.1, the certificate is for localhost")


def test_wrong_host(node, certs, trust, attempt):
    refused(attempt(node.listen(certs.elsewhere), tls=trust),
            "another host: expected localhost, the certificate is for rabbit.example, 192.0.2.1")


@pytest.mark.parametrize("server_name", ["rabbit.example", "192.0.2.1"])
def test_server_name(node, certs, trust, attempt, server_name):
    accepted(attempt(node.listen(certs.elsewhere), tls={**trust, "server_name": server_name}))


def test_expired(node, certs, trust, attempt):
    refused(attempt(node.listen(certs.expired), tls=trust), "certificate has expired, on 2021-02-03 04:05:06 UTC")


def test_not_yet_valid(node, certs, trust, attempt):
    refused(attempt(node.listen(certs.early), tls=trust), "not valid before 2040-01-01")


def test_unknown_ca(node, certs, trust, attempt):
    refused(attempt(node.listen(certs.stranger_broker), tls=trust), f"unknown CA: .*{certs.trusted.cert}")


def test_unknown_to_the_system(node, attempt):
    refused(attempt(node.listen()), r"unknown CA: .*this system \(there is no tls.ca_file\)")


def test_certificate_that_is_not_for_servers(node, certs, trust, attempt):
    refused(attempt(node.listen(certs.not_for_servers), tls=trust), "may not be used for servers")


def test_verify_false(node, certs, attempt):
    accepted(attempt(node.listen(certs.stranger_broker), host="127.0.0.1", tls={"verify": False}))


def test_minimum_version(node, trust, attempt):
    old = node.listen(versions=("tlsv1.2",))
    accepted(attempt(old, tls=trust))
    refused(attempt(old, tls={**trust, "min_version": "1.3"}), "no TLS version from 1.3 on")


def test_port_without_tls(node, trust, attempt):
    refused(attempt(node.port, tls=trust), "does not speak TLS")


def test_tls_port_without_tls(node, client, daemon, name):
    d = daemon(configuration(broker={"url": f"amqp://localhost:{node.listen()}", **QUICK}, queues=[{
        "name": client.declare(name()), "handler": shell("cat")}]))
    d.wait_log("not connected: .*is it a port for amqps")
    d.stop()


def test_closed_port(trust, attempt):
    port, = free_ports(1)
    refused(attempt(port, tls=trust), f"cannot connect to localhost port {port} .*Connection refused")


# ----------------------------------------------------------------- our certificate

@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_client_certificate(node, certs, trust, attempt, version):
    """With TLS 1.3 the broker looks at it when the daemon's side of the handshake is over already."""
    port = node.listen(client="required", versions=(version,))
    accepted(attempt(port, tls={**trust, **paths(certs.client)}))
    refused(attempt(port, tls=trust), r"client certificate \(tls.cert_file\)")
    refused(attempt(port, tls={**trust, **paths(certs.stranger)}),
            f"does not accept the client certificate in {certs.stranger.cert}: unknown CA")
    refused(attempt(port, tls={**trust, **paths(certs.old_client)}),
            f"does not accept the client certificate in {certs.old_client.cert}: certificate expired")


def test_key_in_the_file_of_the_certificate(node, certs, trust, attempt, tmp_path):
    both = tmp_path / "both.pem"
    both.touch(0o600)
    both.write_text(certs.client.key.read_text() + certs.client.cert.read_text())
    accepted(attempt(node.listen(client="required"), tls={**trust, "cert_file": both}))


def test_key_of_another_certificate(node, certs, trust, attempt):
    refused(attempt(node.listen(client="required"), tls={**trust, **paths(certs.client, certs.stranger.key)}),
            "private key in .*stranger.key does not belong to the certificate in .*guest.pem")


def test_encrypted_key(node, certs, trust, attempt, tmp_path):
    """The right pass phrase, a wrong one, none; and none of it in any log."""
    port = node.listen(client="required")
    tls = {**trust, **paths(certs.client, certs.encrypted)}
    secrets = {"right": PASSPHRASE, "wrong": "Wr0ng-passphrase"}
    files = {}
    for word, secret in secrets.items():
        files[word] = tmp_path / word
        files[word].touch(0o600)
        files[word].write_text(secret + "\n")
    logs = []
    d = attempt(port, tls={**tls, "key_password_file": files["right"]}, arguments=["--log-level", "debug"])
    accepted(d)
    logs.append(d.log + "".join(d.notify.values("STATUS")))
    d = attempt(port, tls={**tls, "key_password_file": files["wrong"]}, arguments=["--log-level", "debug"])
    refused(d, "private key in .* is encrypted, and the pass phrase in tls.key_password_file does not open it")
    logs.append(d.log + "".join(d.notify.values("STATUS")))
    refused(attempt(port, tls=tls), "private key in .* is encrypted, and there is no tls.key_password_file")
    assert not [s for s, log in itertools.product(secrets.values(), logs) if s in log]


def test_files_that_change(node, certs, trust, attempt, tmp_path):
    """They are read for each connection: a certificate that is renewed, or that was missing, needs no restart."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(certs.other.cert.read_bytes())
    d = attempt(node.listen(), tls={"ca_file": ca})
    assert not d.connected
    ca.unlink()
    d.wait_log(f"cannot read {ca}: No such file")
    ca.write_bytes(certs.trusted.cert.read_bytes())
    d.wait_log("consuming")
    d.stop()


# ------------------------------------------------------------------------- login

def test_login_by_certificate(node, certs, trust, attempt):
    accepted(attempt(node.listen(client="required"), auth="external", tls={**trust, **paths(certs.client)}))


def test_login_by_certificate_needs_a_user(node, certs, trust, attempt):
    refused(attempt(node.listen(client="required"), auth="external", tls={**trust, **paths(certs.nobody)}),
            "refused the login .*EXTERNAL")


def test_broker_that_does_not_offer_external(broker, certs, trust, daemon, rabbit, name):
    """A node without the plugin."""
    port, = free_ports(1)
    broker.ctl("eval", f"""rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, [
        {{cacertfile, "{certs.trusted.cert}"}}, {{certfile, "{certs.good.cert}"}}, {{keyfile, "{certs.good.key}"}},
        {{verify, verify_peer}}], 2).""")
    d = daemon(configuration(broker={"url": f"amqps://localhost:{port}", "auth": "external", **QUICK, "tls": {
        **trust, **paths(certs.client)}}, queues=[{"name": rabbit.declare(name()), "handler": shell("cat")}]))
    d.wait_log("not connected: the broker does not offer the authentication mechanism EXTERNAL")
    d.stop()


def test_wrong_password(node, trust, attempt):
    d = attempt(node.listen(), user="guest:s3cr3t-Passw0rd@", tls=trust, arguments=["--log-level", "debug"])
    refused(d, "refused the login")
    assert "s3cr3t" not in d.log + "".join(d.notify.values("STATUS"))


# -------------------------------------------------------------------------- stop

def stops_quickly(daemon, name, port, trust, seconds):
    d = daemon(configuration(broker={"url": f"amqps://127.0.0.1:{port}", "connect_timeout": "60s", "tls": trust}, queues=[{
        "name": name(), "handler": shell("cat")}]), start=False).launch()
    d.wait_status(".")
    time.sleep(0.5)
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < seconds


def test_stop_during_the_handshake(trust, daemon, name):
    """A peer that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stops_quickly(daemon, name, server.getsockname()[1], trust, 15)


def test_stop_while_connecting(trust, daemon, name):
    """A peer that does not even answer the first packet: nothing can wake the library, which is left behind."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        first.connect(server.getsockname())
        second.setblocking(False)
        second.connect_ex(server.getsockname())
        time.sleep(0.2)
        stops_quickly(daemon, name, server.getsockname()[1], trust, 20)


# ------------------------------------------------------------------- amqp-execctl

def test_the_tool_publishes_over_tls(node, certs, trust, client, name, tmp_path):
    """As the daemon does: with the authority and the certificate of the configuration, and not to whom it does not trust."""
    queue = client.declare(name())

    def publish(**tls):
        path = tmp_path / "execd.conf"
        path.write_text(configuration(broker={
            "url": f"amqps://localhost:{node.listen(client='required')}", "auth": "external", "tls": {**paths(certs.client), **tls}},
            queues=[{"name": queue, "handler": shell("cat")}]), encoding="utf-8")
        path.chmod(0o600)
        return subprocess.run([CONTROL, "publish", "--config", str(path), "--queue", queue, "x", "y"], capture_output=True,
                              text=True, timeout=PATIENCE, check=False)
    done = publish(**trust)
    assert (done.returncode, done.stdout) == (0, "2 messages confirmed\n"), done.stderr
    assert [body for _, body in client.drain(queue)] == [b"x", b"y"]
    done = publish(ca_file=certs.other.cert)
    assert done.returncode == 69 and "certificate" in done.stderr, done.stderr
    assert client.depth(queue) == 0
