"""TLS towards PostgreSQL: backend_sslmode in all its words, certificates of all kinds, channel binding,
nodes that answer SSLRequest with something else, cancels."""

import base64
import contextlib
import hashlib
import hmac
import os
import select
import shutil
import socket
import ssl
import struct
import threading

import psycopg
import pytest

import pg
import wire
from ca import Authority, Certificate, self_signed
from fake import FakeNode, sasl
from test_failure import FAST
from wire import LoginError, Wire, cstring, message, query, wait_until

pytestmark = pytest.mark.proxy

SECRET = "secret"
HERE = "SELECT ssl, version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
ON_PRIMARY = "/* p */ "
PORT = "SELECT current_setting('port')"
SLEEP = "SELECT pg_sleep(60)"

TRUST = """
local all all trust
host all postgres 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""
OPEN = TRUST + "host all all 127.0.0.1/32 trust\n"
TLS_ONLY = TRUST + "hostssl all all 127.0.0.1/32 scram-sha-256\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tls")
    made.chmod(0o755)
    return str(made)


@pytest.fixture(scope="module")
def ca(folder):
    return Authority(folder)


@pytest.fixture(scope="module")
def certificates(folder, ca):
    return {
        "self-signed": self_signed(folder, "localhost", "DNS:localhost"),
        "good": ca.issue("localhost", "DNS:localhost", "IP:127.0.0.1"),
        "another ca": Authority(folder, "another").issue("localhost", "DNS:localhost"),
        "another name": ca.issue("localhost", "DNS:other.example"),
        "expired": ca.issue("localhost", "DNS:localhost", days=-1),
        "other address": ca.issue("127.0.0.1", "IP:127.0.0.2"),
        "name like an address": ca.issue("127.0.0.1", "DNS:127.0.0.1"),
        "wildcard": ca.issue("x", "DNS:*"),
        "common name": ca.issue("localhost"),
    }


def copy_to(node, source, name):
    path = f"{node.data}/{name}"
    with open(source) as f, open(path, "w") as to:
        to.write(f.read())
    os.chmod(path, 0o600)
    node.shop.owned(path)
    return path


def use(node, certificate, rules=OPEN, **settings):
    """Gives a running cluster this certificate, or with None no TLS."""
    if certificate:
        copy_to(node, certificate.cert, "server.crt")
        copy_to(node, certificate.key, "server.key")
    node.configure(**{"ssl": bool(certificate), "ssl_ca_file": "",
                      "ssl_min_protocol_version": "TLSv1.2", **settings})
    node.rules(rules)
    node.reload()


@pytest.fixture(scope="module")
def nodes(shop):
    primary, replica = pair = shop.pair()
    primary.su(f"CREATE ROLE scram LOGIN PASSWORD '{SECRET}'")
    primary.catch_up(replica)
    yield pair
    for node in reversed(pair):
        node.remove()


@pytest.fixture
def tls(proxy, nodes, certificates):
    """tls(certificate, nodes=..., sslmode, **parameters): a proxy in front of nodes with it."""
    def make(name=None, sslmode=None, over=None, rules=OPEN, settings=None, **how):
        for node in over or nodes:
            use(node, certificates.get(name), rules, **(settings or {}))
        how = {**FAST, **({"backend_sslmode": sslmode} if sslmode else {}), **how}
        p = proxy(nodes=over or nodes, start=False, **how)
        for i, _ in enumerate(over or nodes):
            p.params[f"backend_hostname{i}"] = how.get(f"backend_hostname{i}", "localhost")
        return p.start()
    yield make
    for node in nodes:
        use(node, None)


def is_tls(p, **kw):
    """On the primary."""
    return p.ask(ON_PRIMARY + HERE, **kw)[0][0]


def reads_with_tls(p, replica, **kw):
    """A read goes to the replica; does it with TLS?  On a busy machine the primary may take some."""
    with p.connect(**kw) as c:
        wait_until(lambda: c.execute(PORT).fetchone() == (str(replica.port),), "a read of the replica")
        found = replica.su("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                           " WHERE usename IN ('app', 'scram')")
        assert len(found) == 1
        return found[0][0]


def refused(p, *words, **kw):
    """The client is told why, at once."""
    with pytest.raises(psycopg.OperationalError) as e:
        p.ask(ON_PRIMARY + "SELECT 1", **kw)
    for word in words:
        assert word in str(e.value), e.value


# ---- each mode, each certificate --------------------------------------------------------------

PLAIN, TLS = "plain", "tls"
CA, NAME, DATE = "issuer", "is not for this host", "expired"    # a part of the reason
MODES = ["disable", "prefer", "require", "verify-ca", "verify-full"]
MATRIX = {
    None: [PLAIN, PLAIN, "does not support TLS", "does not support TLS", "does not support TLS"],
    "self-signed": [PLAIN, TLS, TLS, CA, CA],
    "good": [PLAIN, TLS, TLS, TLS, TLS],
    "another ca": [PLAIN, TLS, TLS, CA, CA],
    "another name": [PLAIN, TLS, TLS, TLS, NAME],
    "expired": [PLAIN, TLS, TLS, DATE, DATE],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MATRIX, ids=str)
def test_modes(tls, nodes, ca, name, mode):
    expect = MATRIX[name][MODES.index(mode)]
    p = tls(name, mode, over=nodes[:1], ssl_ca_cert=ca.cert)
    if expect in (PLAIN, TLS):
        assert is_tls(p) == (expect == TLS)
        return
    refused(p, f"localhost:{nodes[0].port}", expect, "backend 0")
    refused(p, f"localhost:{nodes[0].port}", expect)
    assert p.wait_log(rf"node 0 \(localhost:{nodes[0].port}\) is down")


ADDRESSES = {"good": True, "other address": False, "wildcard": False,
             "name like an address": True}              # as libpq


@pytest.mark.parametrize("name", ADDRESSES, ids=str)
def test_a_host_that_is_an_address(tls, nodes, ca, name):
    p = tls(name, "verify-full", over=nodes[:1], ssl_ca_cert=ca.cert,
            backend_hostname0="127.0.0.1")
    if ADDRESSES[name]:
        assert is_tls(p)
    else:
        refused(p, f"127.0.0.1:{nodes[0].port}", NAME)


def test_a_common_name_counts_where_there_are_no_others(tls, nodes, ca):
    assert is_tls(tls("common name", "verify-full", over=nodes[:1], ssl_ca_cert=ca.cert))


def test_a_certificate_that_is_listed_is_trusted_as_it_stands(tls, nodes, certificates, folder):
    """No other one that has its key and its subject, whatever names that one brings."""
    listed = self_signed(folder, "node", "DNS:node.example")
    certificates["for another name"] = self_signed(folder, "node", "DNS:localhost", key=listed.key)
    for mode in ("verify-ca", "verify-full"):
        refused(tls("for another name", mode, over=nodes[:1], ssl_ca_cert=listed.cert), CA)
    certificates["listed"] = listed
    assert is_tls(tls("listed", "verify-ca", over=nodes[:1], ssl_ca_cert=listed.cert))
    refused(tls("listed", "verify-full", over=nodes[:1], ssl_ca_cert=listed.cert), NAME)
    mine = certificates["self-signed"]
    assert is_tls(tls("self-signed", "verify-full", over=nodes[:1], ssl_ca_cert=mine.cert))


@pytest.mark.parametrize("usage, good", [("clientAuth", False), ("codeSigning,clientAuth", False),
                                         ("clientAuth,serverAuth", True)])
@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_certificate_that_is_for_something_else(tls, nodes, ca, certificates, mode, usage, good):
    certificates[usage] = ca.issue("localhost", "DNS:localhost", usage=usage)
    p = tls(usage, mode, over=nodes[:1], ssl_ca_cert=ca.cert)
    if good:
        assert is_tls(p)
    else:
        refused(p, f"localhost:{nodes[0].port}", "certificate purpose")


def test_unset_it_is_as_pgpool_ii_does_it(tls, nodes, ca):
    p = tls("self-signed", ssl=True)
    assert is_tls(p) and reads_with_tls(p, nodes[1])
    p = tls("self-signed", ssl=False)
    assert not is_tls(p)
    p = tls(None, ssl=True)
    assert not is_tls(p)
    p = tls("self-signed", ssl=True, ssl_ca_cert=ca.cert)
    refused(p, CA)


def test_unix_sockets_have_no_tls(tls, nodes):
    p = tls("good", "require", over=nodes[:1], backend_hostname0=nodes[0].folder)
    assert not is_tls(p)


def test_verification_without_a_ca_is_no_start(proxy):
    p = proxy(start=False, backend_sslmode="verify-full").launch()
    assert p.wait() == 3
    p.wait_log('"backend_sslmode" of node 0 is verify-full, but neither')


# ---- who may log in ---------------------------------------------------------------------------

def test_nodes_that_take_tls_and_scram_only(tls, nodes):
    p = tls("good", "prefer", rules=TLS_ONLY, passwd=f"scram:{SECRET}\n", ssl=True)
    where = dict(user="scram", password=SECRET)
    assert p.ask(HERE, **where)[0][:2] == (True, "TLSv1.2")
    assert reads_with_tls(p, nodes[1], **where)
    p = tls("good", "disable", rules=TLS_ONLY, passwd=f"scram:{SECRET}\n")
    refused(p, "no pg_hba.conf entry", "no encryption" if pg.VERSION > 13 else "SSL off", **where)


def test_our_certificate_is_shown_to_nodes_that_ask_for_one(tls, nodes, ca, certificates):
    mine = ca.issue("app")
    rules = TRUST + "hostssl all all 127.0.0.1/32 trust clientcert=verify-full\n"
    for node in nodes:
        copy_to(node, ca.cert, "root.crt")
    p = tls("good", "require", rules=rules, settings=dict(ssl_ca_file="root.crt"),
            ssl_cert=mine.cert, ssl_key=mine.key)
    assert p.one("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "/CN=app"
    p = tls("good", "require", rules=rules, settings=dict(ssl_ca_file="root.crt"), ssl=True)
    refused(p, "connection requires a valid client certificate")
    stranger = certificates["another ca"]
    p = tls("good", "require", rules=rules, settings=dict(ssl_ca_file="root.crt"),
            ssl_cert=stranger.cert, ssl_key=stranger.key)
    refused(p, "the peer sent an alert: unknown ca")


# ---- certificates that test/make_certificates.py has made -------------------------------------

KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tls")
KINDS = [("rsa2048-leaf", "rsa2048", "ca"), ("rsa4096-leaf", "rsa4096", "ca"),
         ("p384-leaf", "p384", "ca"), ("p521-leaf", "p521", "ca"), ("sha512", "leaf", "ca"),
         ("by-p384", "leaf", "p384-ca"), ("by-rsa", "leaf", "rsa-ca"), ("chain", "leaf", "ca")]


def kept(cert, key="leaf"):
    return Certificate(f"{KEPT}/{cert}.crt", f"{KEPT}/{key}.key")


@pytest.mark.parametrize("cert, key, issuer", KINDS, ids=[k[0] for k in KINDS])
def test_certificates_and_scram_that_is_bound_to_them(tls, nodes, certificates, cert, key, issuer):
    certificates[cert] = kept(cert, key)
    p = tls(cert, "verify-ca", over=nodes[:1], rules=TLS_ONLY, passwd=f"scram:{SECRET}\n",
            ssl_ca_cert=f"{KEPT}/{issuer}.crt")
    assert is_tls(p, user="scram", password=SECRET)


@pytest.mark.parametrize("cert, why", [
    ("leaf", None), ("revoked", "revoked"), ("chain", "unable to get certificate CRL")])
def test_revoked_certificates(tls, nodes, certificates, cert, why):
    certificates[cert] = kept(cert)
    p = tls(cert, "verify-ca", over=nodes[:1], ssl_ca_cert=f"{KEPT}/ca.crt",
            ssl_crl_file=f"{KEPT}/ca.crl")
    if why:
        refused(p, why)
    else:
        assert is_tls(p)


# ---- channel binding --------------------------------------------------------------------------

class ScramServer:
    """PostgreSQL's side of SCRAM-SHA-256(-PLUS), as far as these tests need it."""

    def __init__(self, secret):
        self.salt, self.count = os.urandom(16), 4096
        salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), self.salt, self.count)
        self.stored = hashlib.sha256(self.mac(salted, b"Client Key")).digest()
        self.server = self.mac(salted, b"Server Key")

    @staticmethod
    def mac(key, text):
        return hmac.digest(key, text, "sha256")

    def first(self, data):
        self.header, _, self.bare = data.partition(b"n=")
        self.bare = b"n=" + self.bare
        self.nonce = self.bare.split(b"r=")[1] + base64.b64encode(os.urandom(18))
        self.challenge = (b"r=" + self.nonce + b",s=" + base64.b64encode(self.salt)
                          + b",i=%d" % self.count)
        return self.challenge

    def final(self, data):
        """server-final-message, or None; .binding is what c= held."""
        without, _, proof = data.rpartition(b",p=")
        self.binding = base64.b64decode(without.split(b",")[0][2:])
        text = b",".join((self.bare, self.challenge, without))
        sign = self.mac(self.stored, text)
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), sign))
        if hashlib.sha256(key).digest() != self.stored:
            return None
        return b"v=" + base64.b64encode(self.mac(self.server, text))


def scram_node(fake, certificate, offer, seen):
    """Offers these mechanisms; seen tells what was chosen."""
    def treat(t):
        if certificate:
            t.secure(certificate.context())
        t.packet()
        t.sock.sendall(sasl(10, b"".join(cstring(m) for m in offer.split()) + b"\0"))
        _, body = t.message()
        seen["mechanism"], _, rest = body.partition(b"\0")
        server = ScramServer(SECRET)
        t.sock.sendall(sasl(11, server.first(rest[4:])))
        final = server.final(t.message()[1])
        seen["header"], seen["binding"] = server.header, server.binding
        t.sock.sendall(sasl(12, final) if final else b"")
        t.serve()
    return fake(treat)


@pytest.mark.parametrize("offer", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS SCRAM-SHA-256",
                                   "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])
@pytest.mark.parametrize("secure", [True, False], ids=["tls", "plain"])
def test_what_scram_is_bound_to(proxy, fake, certificates, offer, secure):
    seen, certificate = {}, certificates["good"]
    node = scram_node(fake, certificate if secure else None, offer, seen)
    p = proxy(nodes=[node], passwd=f"app:{SECRET}\n", **FAST,
              backend_sslmode="require" if secure else "disable")
    if not secure and offer == "SCRAM-SHA-256-PLUS":
        refused(p, "no SASL mechanism", password=SECRET)
        return
    w = p.raw(password=SECRET)
    assert wire.value(w.query("SELECT 1 FOR UPDATE")) == "1"
    plus = secure and "PLUS" in offer
    flag = b"p=tls-server-end-point" if plus else b"y" if secure else b"n"
    assert seen["mechanism"] == (b"SCRAM-SHA-256-PLUS" if plus else b"SCRAM-SHA-256")
    assert seen["header"] == flag + b",,"
    assert seen["binding"] == flag + b",," + (certificate.end_point() if plus else b"")


@pytest.mark.parametrize("cert, key, hash", [
    ("sha512", "leaf", "sha512"), ("by-p384", "leaf", "sha384"), ("by-rsa", "leaf", "sha256"),
    ("rsa2048-leaf", "rsa2048", "sha256")])
def test_the_hash_is_that_of_the_signature(proxy, fake, cert, key, hash):
    seen, certificate = {}, kept(cert, key)
    node = scram_node(fake, certificate, "SCRAM-SHA-256-PLUS", seen)
    p = proxy(nodes=[node], passwd=f"app:{SECRET}\n", backend_sslmode="require", **FAST)
    assert wire.value(p.raw(password=SECRET).query("SELECT 1 FOR UPDATE")) == "1"
    assert seen["binding"] == b"p=tls-server-end-point,," + certificate.end_point(hash)


class Between(FakeNode):
    """A relay to a node that ends TLS on both sides with a certificate of its own."""

    def __init__(self, node, certificate):
        self.node, self.certificate = node, certificate
        super().__init__(lambda s: threading.Thread(target=self.relay, args=(s,),
                                                    daemon=True).start())

    def relay(self, s):
        there = socket.create_connection(self.node.address)
        with contextlib.suppress(OSError, ssl.SSLError):
            s.recv(8)
            s.sendall(b"S")
            s = self.certificate.context().wrap_socket(s, server_side=True)
            there.sendall(wire.packet(wire.SSL_REQUEST))
            assert there.recv(1) == b"S"
            there = plain_client().wrap_socket(there)
            while True:
                ready = [s] if s.pending() else [there] if there.pending() else \
                    select.select([s, there], [], [])[0]
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    (there if one is s else s).sendall(data)
        s.close()
        there.close()


def plain_client(alpn=()):
    """Believes everything."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if alpn:
        c.set_alpn_protocols(list(alpn))
    return c


def test_somebody_in_between_does_not_get_through(tls, proxy, nodes, certificates):
    """Whom sslmode = require lets in, SCRAM-SHA-256-PLUS keeps out."""
    p = tls("good", "require", rules=TLS_ONLY, passwd=f"scram:{SECRET}\n", over=nodes[:1])
    assert is_tls(p, user="scram", password=SECRET)
    relay = Between(nodes[0], certificates["self-signed"])
    p = proxy(nodes=[relay], passwd=f"scram:{SECRET}\n", backend_sslmode="require", **FAST)
    refused(p, "channel binding", user="scram", password=SECRET)
    relay.close()


# ---- answers to SSLRequest --------------------------------------------------------------------

def told(data, then=None):
    def treat(t):
        t.packet()
        t.sock.sendall(data)
        if then:
            then(t)
        else:
            t.take(1)
    return treat


EVIL = b"SFATAL\0VFATAL\0C28000\0Mevil words of a stranger\0\0"
ANSWERS = {
    "N": (b"N", "does not support TLS"),
    "E": (message("E", EVIL), "answers the request for TLS with an error"),
    "old E": (b"Eevil words of a stranger\n\0", "answers the request for TLS with an error"),
    "rubbish": (b"HTTP/1.1 400 Bad Request\r\n", "does not speak PostgreSQL's protocol"),
    "words behind S": (b"S" + message("E", EVIL), "unencrypted data after SSL response"),
    "words behind N": (b"N" + message("E", EVIL), "unencrypted data after SSL response"),
    "S and rubbish": (b"S", None),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_answers_that_are_not_tls(proxy, fake, ca, name, mode):
    data, why = ANSWERS[name]
    then = (lambda t: (t.take(1), t.sock.sendall(b"evil " * 30))) if name[0] == "S" else None
    p = proxy(nodes=[fake(told(data, then))], backend_sslmode=mode, ssl_ca_cert=ca.cert,
              primary_wait_timeout=0, **FAST)
    with pytest.raises(psycopg.OperationalError) as e:
        p.connect()
    assert "evil" not in str(e.value) and (why or "TLS") in str(e.value), e.value


@pytest.mark.parametrize("name", ["rubbish", "words behind S", "words behind N"])
def test_answers_that_prefer_does_not_take_either(proxy, fake, name):
    data, why = ANSWERS[name]
    p = proxy(nodes=[fake(told(data))], backend_sslmode="prefer", primary_wait_timeout=0, **FAST)
    refused(p, why)


def plain_login(t, body=None):
    body = body or t.packet()
    assert struct.unpack("!I", body[:4])[0] == wire.V3_0
    t.serve()


def closes(t):
    t.packet()
    t.sock.close()


def resets(t):
    """Bytes unread and no lingering: the kernel sends RST, and forgets whom it talked to."""
    t.take(1)
    t.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    t.sock.close()


def changes_its_mind(t):
    t.packet()
    t.sock.sendall(b"S")
    t.sock.close()


def shakes_wrongly(t):
    t.packet()
    t.sock.sendall(b"S")
    t.take(1)
    t.sock.sendall(b"\x15\x03\x03\0\2\2\x46")           # alert: protocol version
    t.sock.close()


@pytest.mark.parametrize("treat", [
    told(b"N", plain_login), told(message("E", EVIL)), closes, resets, changes_its_mind,
    shakes_wrongly,
], ids=["N", "E", "closes", "resets", "S and closes", "alert"])
def test_prefer_goes_on_in_plain_text_and_says_so_once(proxy, fake, treat):
    asked = []

    def both(t):
        """The first packet tells a new connection from one that goes on."""
        size, code = struct.unpack("!II", t.take(8))
        if code == wire.SSL_REQUEST:
            asked.append(1)
            t.buffer = struct.pack("!II", size, code) + t.buffer
            treat(t)
        else:
            plain_login(t, struct.pack("!I", code) + t.take(size - 8))

    p = proxy(nodes=[fake(both)], backend_sslmode="prefer", connection_cache=False, **FAST)
    for _ in range(3):
        assert wire.value(p.raw().query("SELECT 1 FOR UPDATE")) == "1"
    assert len(asked) >= 3
    assert len([line for line in p.log if "node 0" in line and "are in plain text" in line]) == 1
    assert "evil" not in p.log_text()


def test_a_node_that_speaks_tls_1_3_only(tls, nodes):
    only = dict(settings=dict(ssl_min_protocol_version="TLSv1.3"))
    p = tls("good", "prefer", connection_cache=False, **only)
    for _ in range(3):
        assert not is_tls(p)
        assert not reads_with_tls(p, nodes[1])
    for i in (0, 1):
        assert len([line for line in p.log if f"node {i}" in line and "plain text" in line]) == 1
        assert [line for line in p.log if f"WARNING:  connections to node {i}" in line]
    p = tls("good", "require", over=nodes[:1], **only)
    refused(p, "backend 0", f"localhost:{nodes[0].port}", "TLS 1.2")


def test_who_is_refused_in_plain_text_hears_why_it_was_not_tls(tls, nodes):
    p = tls("good", "prefer", over=nodes[:1], rules=OPEN.replace("host ", "hostssl "),
            settings=dict(ssl_min_protocol_version="TLSv1.3"))
    refused(p, "no pg_hba.conf entry", "Node 0 was asked in plain text, because TLS failed", "TLS 1.2")


def test_a_handshake_that_stops(proxy, fake):
    def treat(t):
        t.packet()
        t.sock.sendall(b"S")
        while True:
            t.take(1)

    p = proxy(nodes=[fake(treat)], backend_sslmode="require", connect_timeout=300,
              primary_wait_timeout=0, **FAST)
    refused(p, "the TLS handshake took too long")


def test_a_handshake_one_byte_at_a_time(proxy, fake, nodes, certificates, tls):
    """Through a relay that sends single bytes, in both directions, up to the first thousands."""
    p = tls("good", "require", over=nodes[:1])
    relay = Drops(nodes[0])
    p = proxy(nodes=[relay], backend_sslmode="require", **FAST)
    assert is_tls(p)
    relay.close()


class Relay(FakeNode):
    """To a node, as it is; .first has what each connection began with."""

    def __init__(self, node):
        self.node, self.begun = node, []
        super().__init__(lambda s: threading.Thread(target=self.relay, args=(s,),
                                                    daemon=True).start())

    def relay(self, s):
        there = socket.create_connection(self.node.address)
        begun = bytearray()
        self.begun.append(begun)
        with contextlib.suppress(OSError, ValueError):
            while True:
                for one in select.select([s, there], [], [])[0]:
                    data = one.recv(65536)
                    if one is s:
                        begun += data
                    if not data:
                        raise OSError("closed")
                    self.send(there if one is s else s, data)
        s.close()
        there.close()

    def send(self, to, data):
        to.sendall(data)


class Drops(Relay):
    def send(self, to, data):
        to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            to.sendall(data[i:i + 1])


# ---- direct TLS, SNI, ALPN --------------------------------------------------------------------

def direct_node(fake, certificate, alpn, seen):
    context = certificate.context(alpn)
    context.sni_callback = lambda s, name, c: seen.append(name)

    def treat(t):
        assert t.sock.recv(1, socket.MSG_PEEK) == b"\x16"
        t.sock = context.wrap_socket(t.sock, server_side=True)
        seen.append(t.sock.selected_alpn_protocol())
        plain_login(t)
    return fake(treat)


@pytest.mark.parametrize("host, sni", [("localhost", "localhost"), ("127.0.0.1", None)])
def test_direct_tls(proxy, fake, ca, certificates, host, sni):
    seen = []
    node = direct_node(fake, certificates["good"], ["postgresql"], seen)
    p = proxy(nodes=[node], backend_sslmode="verify-full", backend_sslnegotiation="direct",
              backend_hostname0=host, ssl_ca_cert=ca.cert, **FAST)
    assert wire.value(p.raw().query("SELECT 1 FOR UPDATE")) == "1"
    assert seen[:2] == [sni, "postgresql"]


def test_direct_tls_without_alpn_is_refused(proxy, fake, certificates):
    node = direct_node(fake, certificates["good"], [], [])
    p = proxy(nodes=[node], backend_sslmode="require", backend_sslnegotiation="direct", **FAST)
    refused(p, "ALPN")


def test_direct_tls_with_less_than_require_is_no_start(proxy):
    p = proxy(start=False, backend_sslmode="prefer", backend_sslnegotiation="direct").launch()
    assert p.wait() == 3
    p.wait_log("direct, which needs")


# ---- cancels ----------------------------------------------------------------------------------

def sleeping(node, n=1):
    wait_until(lambda: len(node.backends("wait_event = 'PgSleep'")) == n, f"{n} sleepers")


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-full"])
def test_a_cancel_goes_over_tls(tls, proxy, nodes, ca, mode):
    tls("good", mode, over=nodes[:1], ssl_ca_cert=ca.cert)
    relay = Relay(nodes[0])
    p = proxy(nodes=[relay], backend_sslmode=mode, ssl_ca_cert=ca.cert, **FAST)
    p.params["backend_hostname0"] = "localhost"
    w = p.raw()
    w.send(query(SLEEP))
    sleeping(nodes[0])
    wire.cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]
    assert wire.value(w.query("SELECT 1")) == "1"
    assert len(relay.begun) == 2
    for begun in relay.begun:
        assert begun.startswith(wire.packet(wire.SSL_REQUEST) + b"\x16")
        assert struct.pack("!I", wire.CANCEL) not in begun
    relay.close()


class Changes(Relay):
    """Says N to the second who asks for TLS."""

    def relay(self, s):
        if len(self.begun) < 1:
            super().relay(s)
            return
        self.begun.append(begun := bytearray(s.recv(1000)))
        s.sendall(b"N")
        with contextlib.suppress(OSError):
            begun += s.recv(1000)


def test_a_cancel_is_never_sent_in_plain_text_instead(tls, proxy, nodes):
    tls("good", "prefer", over=nodes[:1])
    relay = Changes(nodes[0])
    p = proxy(nodes=[relay], backend_sslmode="prefer", **FAST)
    w = p.raw()
    w.send(query("SELECT pg_sleep(60) /* not canceled */"))
    sleeping(nodes[0])
    wire.cancel_now(p.address, w.pid, w.key)
    p.wait_log("a cancel request could not be sent to node 0")
    wait_until(lambda: len(relay.begun) == 2, "the cancel's connection")
    assert relay.begun[1] == wire.packet(wire.SSL_REQUEST)
    nodes[0].expel()
    w.eof()
    relay.close()


SINCE = {
    "off": lambda certificates: dict(backend_sslmode=None, ssl=False),
    "another ca": lambda certificates: dict(ssl_ca_cert=certificates["self-signed"].cert),
    "no ca": lambda certificates: dict(backend_sslmode="require", ssl_ca_cert=""),
    "another name": lambda certificates: dict(backend_hostname0="127.0.0.1"),
    "direct": lambda certificates: dict(backend_sslnegotiation="direct"),
}


@pytest.mark.parametrize("change", SINCE.values(), ids=[k.replace(" ", "-") for k in SINCE])
def test_a_cancel_goes_as_its_session_was_begun(tls, nodes, ca, certificates, change):
    """Whatever a reload has said since."""
    p = tls("common name", "verify-full", over=nodes[:1], ssl=True, ssl_ca_cert=ca.cert)
    w = p.raw()
    w.send(query(SLEEP))
    sleeping(nodes[0])
    p.reload(**change(certificates))
    wire.cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]


def test_a_cancel_to_a_node_without_tls(tls, nodes):
    p = tls(None, "prefer", over=nodes[:1])
    w = p.raw()
    w.send(query(SLEEP))
    sleeping(nodes[0])
    wire.cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]


# ---- what changes while it runs ---------------------------------------------------------------

def test_a_replica_with_a_wrong_certificate_does_not_fail_reads(tls, nodes, ca, certificates):
    p = tls("good", "verify-full", ssl_ca_cert=ca.cert)
    use(nodes[1], certificates["another name"])
    for _ in range(3):
        assert p.one(PORT) == str(nodes[0].port)
    assert NAME in p.wait_log("node 1 .* is down", 0) or NAME in p.log_text()
    use(nodes[1], certificates["good"])
    wait_until(lambda: p.one(PORT) == str(nodes[1].port), "reads on the replica")


def test_a_node_that_loses_its_certificate(tls, nodes, ca, certificates):
    p = tls("good", "verify-full", ssl_ca_cert=ca.cert, over=nodes[:1])
    with p.connect() as c:
        use(nodes[0], certificates["another ca"])
        assert c.execute("SELECT 1").fetchone() == (1,)         # it was verified when it began
        c.execute("BEGIN")
        refused(p, CA)                                          # which needs another connection
        c.execute("COMMIT")
    use(nodes[0], certificates["good"])

    def works():
        with contextlib.suppress(psycopg.OperationalError):
            return p.one("SELECT 1") == 1
    wait_until(works, "the node with its certificate")


def test_a_reload_of_backend_sslmode(tls, nodes, ca, certificates):
    p = tls("good", "disable", ssl_ca_cert=ca.cert)
    with p.connect() as c:
        assert c.execute(ON_PRIMARY + HERE).fetchone()[0] is False
        p.reload(backend_sslmode="require")
        assert c.execute(ON_PRIMARY + HERE).fetchone()[0] is False      # a session is not cut off
        assert is_tls(p) and reads_with_tls(p, nodes[1])
    wait_until(lambda: all(r[0] for r in nodes[0].su(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app'")),
        "the end of the connection in plain text")
    for node in nodes:
        use(node, certificates["another name"])
    assert is_tls(p)                                            # its pool is still good enough
    p.reload(backend_sslmode="verify-full")
    refused(p, NAME)
    p.reload(backend_sslmode1="require", backend_sslmode="require")
    assert is_tls(p)


@pytest.mark.parametrize("name", ["another", "the same"])
def test_a_reload_of_whom_to_trust(tls, nodes, ca, certificates, folder, name):
    """A connection that was verified by others is not lent on, neither from the pool nor later."""
    trusted, other = f"{folder}/trusted.crt", certificates["self-signed"].cert
    shutil.copy(ca.cert, trusted)
    p = tls("good", "verify-ca", over=nodes[:1], ssl_ca_cert=trusted)
    w, idle = p.raw(), p.raw()
    for one in (w, idle):
        assert wire.value(one.query(ON_PRIMARY + "SELECT 1")) == "1"
    idle.bye()
    wait_until(lambda: nodes[0].backends("usename = 'app' AND query LIKE 'DISCARD%'"), "the pool")
    if name == "the same":
        shutil.copy(other, trusted)
    p.reload(ssl_ca_cert=trusted if name == "the same" else other)
    refused(p, CA)
    assert wire.value(w.query(ON_PRIMARY + "SELECT 1")) == "1"
    w.bye()
    refused(p, CA)
    shutil.copy(ca.cert, trusted)
    p.reload(ssl_ca_cert=trusted)
    assert is_tls(p)


def test_a_reload_while_a_node_is_silent(proxy, fake):
    """What was begun as it is not wanted any more is begun anew."""
    asked = threading.Event()

    def treat(t):
        size, code = struct.unpack("!II", t.take(8))
        if code == wire.SSL_REQUEST:
            asked.set()
            t.take(1)
        plain_login(t, struct.pack("!I", code) + t.take(size - 8))

    p = proxy(nodes=[fake(treat)], backend_sslmode="require", **FAST)
    w = p.raw(login=False).startup()
    assert asked.wait(10)
    p.reload(backend_sslmode="disable")
    assert w.reply()[-1].type == "Z"
    assert "is down" not in p.log_text()


def test_a_reload_that_asks_for_what_there_is_no_ca_for_changes_nothing(tls, nodes):
    p = tls("good", "require", over=nodes[:1])
    p.write(backend_sslmode="verify-ca")
    p.send_signal(1)
    p.wait_log("the configuration was not reloaded")
    assert is_tls(p)


# ---- much, and often --------------------------------------------------------------------------

@pytest.mark.parametrize("ssl_on", [True, False], ids=["both-sides", "backends"])
def test_large_results(tls, nodes, ssl_on):
    p = tls("good", "require", ssl=ssl_on)
    sql = "SELECT g, repeat('x', 10000) FROM generate_series(1, 4000) g"
    with p.connect(sslmode="require" if ssl_on else "disable") as c:
        for prefix in ("", ON_PRIMARY):
            rows = c.execute(prefix + sql).fetchall()
            assert [r[0] for r in rows] == list(range(1, 4001))
            assert all(r[1] == "x" * 10000 for r in rows)
        big = "y" * 30_000_000
        assert c.execute("SELECT length(%s::text), md5(%s::text)", (big, big)).fetchone() \
            == (30_000_000, hashlib.md5(big.encode()).hexdigest())
        with c.cursor().copy("COPY (SELECT repeat('z', 1000) FROM generate_series(1, 20000))"
                             " TO STDOUT") as copy:
            assert sum(len(b) for b in copy) == 20000 * 1001


def test_a_slow_reader_stops_the_node(tls, nodes):
    """What it does not take is not read from the node either, encrypted or not."""
    p = tls("good", "require", over=nodes[:1])
    with Wire(p.address, receive_buffer=4096) as w:
        w.login()
        before = p.rss()
        w.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        w.until("D")
        wait_until(lambda: nodes[0].backends("wait_event = 'ClientWrite'"), "a node that waits")
        assert p.sanitized or p.rss() < before + 4_000_000
        assert len(wire.rows(w.reply())) == 99_999


def test_copy_into_a_node_that_is_slow(tls, nodes):
    p = tls("good", "require", over=nodes[:1])
    lines = b"".join(b"%d\t%s\n" % (i, b"y" * 1000) for i in range(1000))
    with p.connect() as c, nodes[0].connect() as lock:
        c.execute("CREATE TABLE copied (a int, b text)")
        lock.autocommit = False
        lock.execute("LOCK TABLE copied IN EXCLUSIVE MODE")     # the COPY begins by waiting
        free = threading.Timer(0.3, lock.rollback)
        free.start()
        with c.cursor().copy("COPY copied FROM STDIN") as copy:
            for _ in range(20):
                copy.write(lines)
        free.join()
        assert c.execute("SELECT count(*), sum(length(b)) FROM copied").fetchone() \
            == (20_000, 20_000_000)
        c.execute("DROP TABLE copied")


def test_news_and_the_end_of_an_encrypted_connection(tls, nodes):
    p = tls("good", "require", over=nodes[:1])
    w = p.raw()
    w.query("LISTEN news")
    nodes[0].su("NOTIFY news, 'text'")
    assert w.read().body.endswith(b"news\0text\0")
    w.bye()
    assert is_tls(p)
    wait_until(lambda: nodes[0].backends("usename = 'app'"), "an idle connection")
    nodes[0].expel()
    assert is_tls(p)                                            # which was found out in time


def test_pgbench_with_new_connections(tls, nodes):
    p = tls("good", "require", ssl=True, connection_cache=False, log_per_node_statement=False)
    nodes[0].pgbench("-i", "-q", "-s", "1")
    nodes[0].catch_up(nodes[1])
    p.pgbench("-S", "-C", "-c", "8", "-t", "20")
    p.pgbench("-S", "-c", "8", "-t", "200", "-M", "prepared")
    nodes[0].su("DROP TABLE pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers")


def test_debug_lines(tls, nodes):
    p = tls("good", "require", over=nodes[:1], log_min_messages="debug1")
    assert is_tls(p)
    p.wait_log("client->server SSL response: S")
    p.wait_log("TLS with the node: TLSv1.2, ECDHE-")


# ---- channel binding of clients ---------------------------------------------------------------

class Bound(wire.Scram):
    """A client that says this about channel binding."""

    def __init__(self, secret, header, data=b""):
        super().__init__(secret)
        self.header, self.data = header, data

    def first(self):
        return (self.header + self.bare).encode()

    def final(self, challenge):
        challenge = challenge.decode()
        part = dict(p.split("=", 1) for p in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.secret, base64.b64decode(part["s"]),
                                     int(part["i"]))
        sign = lambda key, text: hmac.digest(key, text, "sha256")
        client = sign(salted, b"Client Key")
        bound = base64.b64encode(self.header.encode() + self.data).decode()
        without = f"c={bound},r={part['r']}"
        text = ",".join((self.bare, challenge, without)).encode()
        proof = bytes(a ^ b for a, b in zip(client, sign(hashlib.sha256(client).digest(), text)))
        return (without + ",p=" + base64.b64encode(proof).decode()).encode()


@pytest.fixture
def bound(tls, nodes, certificates):
    """A proxy that asks its clients for SCRAM, over TLS, in front of a node that does so, too."""
    mine = certificates["good"]
    return tls("self-signed", "require", over=nodes[:1], rules=TLS_ONLY, ssl=True,
               ssl_cert=mine.cert, ssl_key=mine.key, passwd=f"scram:{SECRET}\n",
               enable_pool_hba=True, hba="host all all all scram-sha-256\n")


def secured(p):
    """A raw connection with TLS, that is asked for SCRAM; and what it is offered."""
    w = Wire(p.address)
    w.send(wire.packet(wire.SSL_REQUEST))
    assert w.take(1) == b"S"
    w.sock = plain_client(["postgresql"]).wrap_socket(w.sock)
    w.startup(user="scram")
    return w, w.read().body[4:]


def begin(w, mechanism, scram):
    first = scram.first()
    w.send(message("p", cstring(mechanism) + struct.pack("!I", len(first)) + first))
    return w.read()


def ends(w, m):
    """The error, behind which there is the end."""
    assert m.type == "E" and m.fields["S"] == "FATAL" and w.eof() == []
    return m.code, m.fields["M"]


P = "p=tls-server-end-point,,"
PLUS, BARE = "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"


def test_clients_may_bind_scram_to_their_channel(bound, certificates):
    hash = certificates["good"].end_point()
    for mechanism, header, data in [(PLUS, P, hash), (BARE, "n,,", b"")]:
        w, offered = secured(bound)
        assert offered == cstring(PLUS) + cstring(BARE) + b"\0"
        scram = Bound(SECRET, header, data)
        m = begin(w, mechanism, scram)
        w.send(message("p", scram.final(m.body[4:])))
        out = w.reply()
        assert out[-1].type == "Z"
        assert wire.value(w.query("SELECT 1")) == "1"
        w.bye()


FIRSTS = {
    "downgrade": (BARE, "y,,", "28000", "SCRAM channel binding negotiation error"),
    "another type": (PLUS, "p=tls-unique,,", "08P01", "unsupported SCRAM channel-binding type"),
    "plus without it": (PLUS, "n,,", "08P01", "malformed SCRAM message"),
    "plus and yes": (PLUS, "y,,", "08P01", "malformed SCRAM message"),
    "it without plus": (BARE, P, "08P01", "malformed SCRAM message"),
    "unknown": ("SCRAM-SHA-512", "n,,", "08P01", "invalid SASL authentication mechanism"),
}


@pytest.mark.parametrize("name", FIRSTS)
def test_first_messages_that_are_refused(bound, name):
    mechanism, header, code, words = FIRSTS[name]
    w, _ = secured(bound)
    got = ends(w, begin(w, mechanism, Bound(SECRET, header)))
    assert got[0] == code and words in got[1]


@pytest.mark.parametrize("data", [b"", b"\0" * 32, "cut", "more", "theirs"])
def test_another_channel_is_refused(bound, certificates, data):
    hash = certificates["good"].end_point()
    data = {"cut": hash[:31], "more": hash + b"\0",
            "theirs": certificates["self-signed"].end_point()}.get(data, data)
    w, _ = secured(bound)
    scram = Bound(SECRET, P, data)
    m = begin(w, PLUS, scram)
    w.send(message("p", scram.final(m.body[4:])))
    assert ends(w, w.read()) == ("28000", "SCRAM channel binding check failed")


def test_without_tls_there_is_no_binding(bound):
    w = bound.raw(login=False).startup(user="scram")
    assert w.read().body[4:] == cstring(BARE) + b"\0"


def test_libpq_demands_channel_binding(bound):
    where = dict(user="scram", password=SECRET, sslmode="require", channel_binding="require")
    with bound.connect(**where) as c:
        assert c.execute(HERE).fetchone()[:2] == (True, "TLSv1.2")
    with pytest.raises(psycopg.OperationalError, match="wrong password|password authentication"):
        bound.connect(**{**where, "password": "wrong"})


def test_keys_pass_through_where_both_sides_are_bound(tls, nodes, certificates):
    """A verifier in pool_passwd: the client's proof opens the node, over two channels."""
    stored = nodes[0].su("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram'")[0][0]
    p = tls("self-signed", "require", rules=TLS_ONLY, ssl=True, passwd=f"scram:{stored}\n",
            enable_pool_hba=True, hba="hostssl all all all scram-sha-256\n")
    where = dict(user="scram", password=SECRET, sslmode="require", channel_binding="require")
    assert is_tls(p, **where) and reads_with_tls(p, nodes[1], **where)
