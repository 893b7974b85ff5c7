"""TLS between clients and the proxy: what is asked for and how, with certificates and without,
direct TLS, what is refused, large results both ways, many handshakes at once, the end."""

import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import warnings

import psycopg
import pytest

import pg
import wire
from wire import message, packet, query, wait_until

pytestmark = pytest.mark.proxy

ALPN = ["postgresql"]


class Certificates:
    """A CA and what it has signed; another one that nobody knows; both made by openssl."""

    def __init__(self, folder):
        self.folder = folder
        self.authority("ca")
        self.authority("stranger")
        self.leaf("server", "localhost", alt="DNS:localhost,IP:127.0.0.1")
        self.leaf("second", "localhost", alt="DNS:localhost,IP:127.0.0.1")
        self.leaf("rsa", "localhost", kind="rsa:2048", alt="DNS:localhost")
        self.leaf("app", "app")
        self.leaf("other", "other")
        self.leaf("mallory", "app", by="stranger")

    def path(self, name):
        return f"{self.folder}/{name}"

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=self.folder)

    KINDS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa:2048": ["rsa:2048"]}

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", *self.KINDS["ec"], "-nodes", "-keyout",
                     f"{name}.key", "-out", f"{name}.crt", "-days", "3650", "-subj", f"/CN={name}")

    def leaf(self, name, cn, by="ca", kind="ec", alt=None):
        self.openssl("req", "-newkey", *self.KINDS[kind], "-nodes", "-keyout", f"{name}.key",
                     "-out", f"{name}.csr", "-subj", f"/CN={cn}")
        with open(self.path(f"{name}.ext"), "w") as f:
            f.write(f"subjectAltName={alt}\n" if alt else "basicConstraints=CA:FALSE\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.crt", "-CAkey",
                     f"{by}.key", "-CAcreateserial", "-days", "3650", "-out", f"{name}.crt",
                     "-extfile", f"{name}.ext")
        os.chmod(self.path(f"{name}.key"), 0o600)

    def ours(self, name="server", **more):
        """Parameters of pgpool.conf."""
        return dict(ssl=True, ssl_cert=self.path(f"{name}.crt"), ssl_key=self.path(f"{name}.key"),
                    **more)

    def with_ca(self, **more):
        """Whom to trust is about clients: the nodes have no TLS."""
        return self.ours(ssl_ca_cert=self.path("ca.crt"), backend_sslmode="disable", **more)

    def client(self, name=None, mode="verify-full"):
        """Parameters of libpq."""
        out = dict(sslmode=mode, sslrootcert=self.path("ca.crt"), host="localhost")
        if name:
            out.update(sslcert=self.path(f"{name}.crt"), sslkey=self.path(f"{name}.key"))
        return out


@pytest.fixture(scope="module")
def certs(shop):
    folder = shop.path("certs")
    os.makedirs(folder)
    return Certificates(folder)


def plain_context(alpn=ALPN):
    """A client that believes everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def asked(p):
    """A raw connection that has been told S."""
    w = wire.Wire(p.address)
    w.send(packet(wire.SSL_REQUEST))
    assert w.take(1) == b"S"
    return w


def secure(w, context=None):
    w.sock = (context or plain_context()).wrap_socket(w.sock, server_hostname="localhost")
    return w


def login(p, **kw):
    return secure(asked(p)).login(**kw)


# ---- asking for it ----------------------------------------------------------------------------

def test_require(proxy):
    p = proxy(ssl=True)
    with p.connect(sslmode="require") as c:
        assert c.execute("SELECT 1").fetchone() == (1,)
        assert c.pgconn.ssl_in_use
    assert "protocol: TLSv1.2, cipher: ECDHE-ECDSA-" in p.psql(r"\conninfo")


def test_prefer_and_disable(proxy):
    p = proxy(ssl=True)
    with p.connect() as c:
        assert c.pgconn.ssl_in_use
    with p.connect(sslmode="disable") as c:
        assert not c.pgconn.ssl_in_use
        assert c.execute("SELECT 2").fetchone() == (2,)


def test_off(proxy):
    p = proxy()
    with p.connect() as c:
        assert not c.pgconn.ssl_in_use
    with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
        p.connect(sslmode="require")


def test_no_tls_through_a_unix_socket(proxy):
    p = proxy(ssl=True)
    with wire.Wire(p.socket) as w:
        w.send(packet(wire.SSL_REQUEST))
        assert w.take(1) == b"N"
        w.login()
        assert wire.value(w.query("SELECT 3")) == "3"


def test_gss_first(proxy):
    p = proxy(ssl=True)
    with wire.Wire(p.address) as w:
        w.send(packet(wire.GSS_REQUEST))
        assert w.take(1) == b"N"
        w.send(packet(wire.SSL_REQUEST))
        assert w.take(1) == b"S"
        secure(w).login()
        assert wire.value(w.query("SELECT 4")) == "4"


@pytest.mark.parametrize("code", [wire.SSL_REQUEST, wire.GSS_REQUEST])
def test_asked_inside(proxy, code):
    p = proxy(ssl=True)
    with secure(asked(p)) as w:
        w.send(packet(code))
        (error,) = w.eof()
        assert error.code == "0A000"
        assert "unsupported frontend protocol 1234.56" in error.fields["M"]


def test_text_behind_the_request(proxy):
    """Somebody in between has put plain text where the client's encrypted text is to follow."""
    p = proxy(ssl=True)
    with wire.Wire(p.address) as w:
        w.send(packet(wire.SSL_REQUEST) + wire.startup(user="app", database="app"))
        (error,) = w.eof()
        assert error.code == "08P01"
        assert error.fields["M"] == "received unencrypted data after SSL request"
    with asked(p) as w:
        w.send(wire.startup(user="app", database="app"))
        w.eof()
    p.wait_log("could not accept SSL connection: the data received is not TLS")


def test_alpn(proxy):
    p = proxy(ssl=True)
    with secure(asked(p)) as w:
        assert w.sock.selected_alpn_protocol() == "postgresql"
    with secure(asked(p), plain_context(alpn=None)) as w:       # as libpq before 17
        assert w.sock.selected_alpn_protocol() is None
        w.login()
    with asked(p) as w, pytest.raises(ssl.SSLError, match="(?i)no application protocol"):
        secure(w, plain_context(["http/1.1"]))
    p.wait_log("the peer asked for another application protocol")


def test_openssl(proxy, certs):
    p = proxy(**certs.ours())
    done = subprocess.run(
        ["openssl", "s_client", "-starttls", "postgres", "-connect", f"localhost:{p.port}", "-CAfile",
         certs.path("ca.crt"), "-verify_return_error", "-brief"], input="", text=True, timeout=20,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert "Verification: OK" in done.stdout and "Protocol version: TLSv1.2" in done.stdout


# ---- direct -----------------------------------------------------------------------------------

def direct(p, context=None):
    return secure(wire.Wire(p.address), context)


def test_direct(proxy):
    p = proxy(ssl=True)
    with direct(p) as w:
        assert w.sock.selected_alpn_protocol() == "postgresql"
        w.login()
        assert wire.value(w.query("SELECT 5")) == "5"
        w.bye()


def test_direct_byte_by_byte(proxy):
    """Also the first byte comes alone."""
    p = proxy(ssl=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = plain_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with wire.Wire(p.address) as w:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                w.trickle(outgoing.read())
                incoming.write(w.sock.recv(65536))
        tls.write(wire.startup(user="app", database="app"))
        w.trickle(outgoing.read())
        incoming.write(w.sock.recv(65536))
        assert tls.read(1) == b"R"


def test_direct_needs_alpn(proxy):
    p = proxy(ssl=True)
    with direct(p, plain_context(alpn=None)) as w:
        assert w.eof() == []
    p.wait_log("received direct SSL connection request without ALPN protocol negotiation extension")


@pytest.mark.parametrize("code", [wire.SSL_REQUEST, wire.GSS_REQUEST])
def test_direct_asked_inside(proxy, code):
    with direct(proxy(ssl=True)) as w:
        w.send(packet(code))
        (error,) = w.eof()
        assert error.code == "0A000"


def test_direct_without_ssl(proxy):
    p = proxy()
    with pytest.raises((ssl.SSLError, OSError)):
        direct(p)


# ---- certificates -----------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["server", "rsa"])
def test_verify(proxy, certs, name):
    p = proxy(**certs.ours(name))
    for mode in ("verify-ca", "verify-full"):
        with p.connect(**certs.client(mode=mode)) as c:
            assert c.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        p.connect(**{**certs.client(), "sslrootcert": certs.path("stranger.crt")})
    p.wait_log("could not accept SSL connection: the peer sent an alert: unknown ca")


def test_client_certificate(proxy, certs):
    """Asked for, not demanded; but one that is shown must be good."""
    p = proxy(**certs.with_ca())
    with p.connect(**certs.client()) as c:
        assert c.execute("SELECT 1").fetchone() == (1,)
    with p.connect(**certs.client("other")) as c:
        assert c.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="alert unknown ca"):
        p.connect(**certs.client("mallory"))
    p.wait_log("could not accept SSL connection: certificate verify failed")


HBA_CERT = """
hostssl all all all cert
"""


def test_cert(proxy, certs):
    p = proxy(hba=HBA_CERT, enable_pool_hba=True, **certs.with_ca())
    with p.connect(**certs.client("app")) as c:
        assert c.execute("SELECT 1").fetchone() == (1,)
    p.wait_log('SSL certificate authentication for user "app" with Pgpool-II is successful')
    with pytest.raises(psycopg.OperationalError,
                       match='certificate authentication failed for user "app"'):
        p.connect(**certs.client("other"))
    p.wait_log('the common name of its certificate is "other"')
    with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
        p.connect(**certs.client())
    with pytest.raises(psycopg.OperationalError, match="alert unknown ca"):
        p.connect(**certs.client("mallory"))
    with pytest.raises(psycopg.OperationalError, match="SSL off"):
        p.connect(sslmode="disable")


def test_cert_without_ca(proxy, certs):
    """Nobody is asked for a certificate that could not be judged."""
    p = proxy(hba=HBA_CERT, enable_pool_hba=True, **certs.ours())
    with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
        p.connect(**certs.client("app"))


def test_rules(proxy):
    p = proxy(ssl=True, enable_pool_hba=True,
              hba="hostssl app all all trust\nhostnossl postgres all all trust\n")
    with p.connect(sslmode="require") as c:
        assert c.pgconn.ssl_in_use
    with p.connect(sslmode="disable", dbname="postgres") as c:
        assert not c.pgconn.ssl_in_use
    for mode, name, word in (("disable", "app", "SSL off"), ("require", "postgres", "SSL on")):
        with pytest.raises(psycopg.OperationalError) as e:
            p.connect(sslmode=mode, dbname=name)
        assert f'no pool_hba.conf entry for host "127.0.0.1", user "app", database "{name}", {word}' \
            in str(e.value)


def test_scram(proxy):
    """The password is asked for inside."""
    p = proxy(ssl=True, enable_pool_hba=True, hba="hostssl all all all scram-sha-256\n",
              passwd="app:secret\n")
    with p.connect(sslmode="require", password="secret") as c:
        assert c.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        p.connect(sslmode="require", password="wrong")


# ---- what is refused --------------------------------------------------------------------------

def test_old_ciphers(proxy):
    p = proxy(ssl=True)
    for ciphers in ("ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384", "AES128-SHA:AES128-GCM-SHA256"):
        context = plain_context()
        context.set_ciphers(ciphers + ":@SECLEVEL=0")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with asked(p) as w, pytest.raises(ssl.SSLError, match="(?i)handshake failure"):
            secure(w, context)
        p.wait_log("no cipher suite in common: TLS 1.2 with ECDHE and AES-GCM or ChaCha20-Poly1305"
                   " is needed")


def test_3des(proxy):
    """OpenSSL no longer has it: a ClientHello by hand."""
    p = proxy(ssl=True)
    suites = struct.pack("!4H", 0xC008, 0xC012, 0x000A, 0xC003)
    extensions = bytes.fromhex("000a00040002001d" "000d000600040403" "0401")
    body = (b"\x03\x03" + os.urandom(32) + b"\0" + struct.pack("!H", len(suites)) + suites
            + b"\x01\0" + struct.pack("!H", len(extensions)) + extensions)
    hello = b"\x01" + struct.pack("!I", len(body))[1:] + body
    with asked(p) as w:
        w.send(b"\x16\x03\x01" + struct.pack("!H", len(hello)) + hello)
        assert w.take(7) == bytes.fromhex("15030300020228")
        assert w.eof() == []
    p.wait_log("no cipher suite in common")


def test_tls13_only(proxy):
    p = proxy(ssl=True)
    with pytest.raises(psycopg.OperationalError, match="(?i)handshake failure"):
        p.connect(sslmode="require", ssl_min_protocol_version="TLSv1.3")
    p.wait_log("could not accept SSL connection: no cipher suite in common: TLS 1.2 with ECDHE")


def test_tls11_only(proxy):
    p = proxy(ssl=True)
    context = plain_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with asked(p) as w, pytest.raises(ssl.SSLError, match="(?i)version"):
        secure(w, context)
    p.wait_log("TLS 1.2 is needed, and the peer does not allow it")


def test_silence(proxy):
    """authentication_timeout covers the handshake."""
    p = proxy(ssl=True, authentication_timeout=1)
    with asked(p) as w:
        assert w.sock.recv(1) == b""
    with asked(p) as w:
        w.send(b"\x16\x03\x01\x02")
        assert w.sock.recv(1) == b""


# ---- work -------------------------------------------------------------------------------------

@pytest.fixture
def busy(proxy):
    """One proxy whose statements are not logged."""
    return proxy(ssl=True, log_per_node_statement=False)


def test_large_result(busy):
    """A hundred megabytes to the client."""
    with busy.connect(sslmode="require") as c:
        size = sum(len(row[0]) for row in
                   c.execute("SELECT repeat(chr(64 + i), 1000000) FROM generate_series(1, 100) i"))
    assert size == 100_000_000


def test_large_input(busy):
    """And from it, through COPY."""
    with busy.connect(sslmode="require") as c:
        c.execute("CREATE TEMP TABLE tls_in (n int, text text)")
        with c.cursor().copy("COPY tls_in FROM STDIN") as copy:
            for i in range(1000):
                copy.write_row((i, "x" * 100_000))
        assert c.execute("SELECT count(*), sum(length(text)), sum(n) FROM tls_in").fetchone() \
            == (1000, 100_000_000, 499_500)


def test_slow_reader(busy):
    """What it does not take stays with PostgreSQL; other clients do not notice."""
    with secure(asked(busy)) as w:
        w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        w.login()
        w.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
        first = w.read()
        assert first.type == "T"
        before = busy.rss()
        with busy.connect(sslmode="require") as c:
            assert c.execute("SELECT 1").fetchone() == (1,)
        if not busy.sanitized:
            assert busy.rss() - before < 4 << 20
        seen = w.reply()
        assert len(wire.rows(seen)) == 20000 and seen[-2].tag == "SELECT 20000"


def test_records_are_small(busy):
    """libpq stalls in its asynchronous mode on records that are larger than what it reads."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = plain_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with asked(busy) as w:
        def more():
            if outgoing.pending:
                w.send(outgoing.read())
            head = w.take(5)
            size, = struct.unpack("!H", head[3:])
            incoming.write(head + w.take(size))
            return size

        def get():
            while True:
                try:
                    return tls.read(65536)
                except ssl.SSLWantReadError:
                    sizes.append(more())

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                more()
        sizes, text = [], b""
        tls.write(wire.startup(user="app", database="app"))
        while not text.endswith(b"Z\0\0\0\5I"):
            text += get()
        tls.write(query("SELECT repeat('y', 100000) FROM generate_series(1, 20)"))
        text = b""
        while not text.endswith(b"Z\0\0\0\5I"):
            text += get()
        assert text.count(b"y") == 2_000_000 and 8192 <= max(sizes) <= 8192 + 24
        assert len(sizes) < 400


def test_pipeline_in_pieces(busy):
    """Requests that end in the middle of records, and several in one."""
    with login(busy) as w:
        request = b"".join(query(f"SELECT {i}") for i in range(100))
        for i in range(0, len(request), 97):
            w.send(request[i:i + 97])
        assert [wire.value(w.reply()) for _ in range(100)] == [str(i) for i in range(100)]
        w.send(request)
        assert [wire.value(w.reply()) for _ in range(100)] == [str(i) for i in range(100)]


def test_cancel(busy):
    """A cancel request may come over TLS, too."""
    with login(busy) as w:
        w.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: busy.nodes[0].backends("query LIKE '%pg_sleep%'")
                   or busy.nodes[1].backends("query LIKE '%pg_sleep%'"), "the sleep")
        with secure(asked(busy)) as other:
            other.send(wire.cancel(w.pid, w.key))
            assert other.eof() == []
        assert wire.errors(w.reply()) == ["57014"]


def test_cancel_by_libpq(busy):
    with busy.connect(sslmode="require") as c:
        timer = threading.Timer(0.2, c.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            c.execute("SELECT pg_sleep(60)")
        timer.join()


# ---- many -------------------------------------------------------------------------------------

def test_storm(busy):
    """Queries are answered between the handshakes of two hundred clients that come at once."""
    with login(busy) as w:
        others = [asked(busy) for _ in range(200)]
        hellos = []
        for o in others:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = plain_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            hellos.append(outgoing.read())
        os.kill(busy.pid, signal.SIGSTOP)                       # so that all are there at once
        for o, hello in zip(others, hellos):
            o.send(hello)
        w.send(query("SELECT 'in between'"))
        os.kill(busy.pid, signal.SIGCONT)
        assert wire.value(w.reply()) == "in between"
        unanswered = 0
        for o in others:
            o.sock.setblocking(False)
            try:
                assert o.sock.recv(1) == b"\x16"
            except BlockingIOError:
                unanswered += 1
        assert unanswered > 50, "the query had to wait for all handshakes"
        for o in others:
            o.shut()
        assert wire.value(w.query("SELECT 1")) == "1"


def test_memory(busy):
    """An idle client over TLS."""
    def clients(n):
        return [login(busy) for _ in range(n)]
    few = clients(50)
    before = busy.rss()
    many = clients(300)
    grown = busy.rss() - before
    for w in few + many:
        w.shut()
    if not busy.sanitized:
        assert grown / 300 < 4500, f"{grown / 300:.0f} bytes"


# ---- the end ----------------------------------------------------------------------------------

def test_goodbye(busy):
    """close_notify in both directions."""
    with login(busy) as w:
        w.send(wire.terminate())
        assert w.sock.recv(1) == b""        # an end without close_notify would raise SSLEOFError
    with login(busy) as w:
        w.sock.unwrap()


def test_gone_without_a_word(busy):
    """The peer's process has died: an end, as without TLS."""
    mark = len(busy.log)
    w = login(busy)
    raw = socket.socket(fileno=os.dup(w.sock.fileno()))
    w.query("SELECT 1")
    w.sock.detach()
    raw.shutdown(socket.SHUT_WR)
    raw.settimeout(10)
    while raw.recv(4096):
        pass
    raw.close()
    assert not [line for line in busy.log[mark:] if "SSL error" in line]


def test_last_query_and_close_notify_in_one_segment(busy):
    """What was asked is answered, and the end behind it is seen."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = plain_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with asked(busy) as w:
        def step(function, *args):
            while True:
                try:
                    return function(*args)
                except ssl.SSLWantReadError:
                    if outgoing.pending:
                        w.send(outgoing.read())
                    incoming.write(w.sock.recv(65536))
        step(tls.do_handshake)
        tls.write(wire.startup(user="app", database="app"))
        text = b""
        while not text.endswith(b"Z\0\0\0\5I"):
            text += step(tls.read, 65536)
        tls.write(query("SELECT 'the last one'"))
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        w.send(outgoing.read())
        text = b""
        while True:
            try:
                text += step(tls.read, 65536)
            except ssl.SSLZeroReturnError:
                break
        assert b"the last one" in text and text.endswith(b"Z\0\0\0\5I")


def test_shutdown_tells(busy):
    """The farewell arrives before the end."""
    with login(busy) as w:
        busy.stop()
        (farewell,) = w.eof()
        assert farewell.code == "57P01"


def test_garbage_in_a_session(busy):
    """A damaged record ends the session, with an alert."""
    w = login(busy)
    raw = socket.socket(fileno=os.dup(w.sock.fileno()))
    raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(ssl.SSLError, match="(?i)bad record mac"):
        w.sock.recv(1)
    raw.close()
    w.shut()
    busy.wait_log("SSL error: a record was damaged on its way")


def hello_bytes():
    """A ClientHello as OpenSSL makes it."""
    tls = plain_context().wrap_bio(ssl.MemoryBIO(), outgoing := ssl.MemoryBIO(),
                                   server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("begin", [asked, lambda p: wire.Wire(p.address)], ids=["asked", "direct"])
def test_garbage_in_the_handshake(busy, begin):
    """A ClientHello with a wrong byte, or too short: an answer or an end, and all others live on."""
    good = hello_bytes()
    places = random.Random(1)
    for i in range(150):
        bad = bytearray(good)
        bad[places.randrange(1, len(bad))] ^= 1 << places.randrange(8)
        with begin(busy) as w:
            w.send(bytes(bad[:places.randrange(1, len(bad))] if i % 3 == 0 else bad))
            w.sock.shutdown(socket.SHUT_WR)
            try:
                while w.sock.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    with login(busy) as w:
        assert wire.value(w.query("SELECT 'alive'")) == "alive"


def test_renegotiation(busy):
    """It is refused."""
    done = subprocess.run(
        ["openssl", "s_client", "-starttls", "postgres", "-connect", f"127.0.0.1:{busy.port}",
         "-tls1_2", "-legacy_renegotiation"], input="R\n", text=True, timeout=20,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert "no renegotiation" in done.stdout or "NO_RENEGOTIATION" in done.stdout.upper()


# ---- reload -----------------------------------------------------------------------------------

def shown(p):
    """The certificate that new clients see."""
    with secure(asked(p)) as w:
        return w.sock.getpeercert(True)


def test_reload(proxy, certs):
    """New clients see the new certificate; the others keep their connections."""
    p = proxy(**certs.ours("server"))
    with login(p) as w, asked(p) as late:
        first = shown(p)
        p.reload(**certs.ours("second"))
        assert shown(p) != first
        assert wire.value(w.query("SELECT 1")) == "1"
        secure(late).login()
        p.write(ssl_cert=certs.path("app.key"))                 # which is none
        p.send_signal(signal.SIGHUP)
        p.wait_log("the configuration was not reloaded")
        assert wire.value(w.query("SELECT 2")) == "2"
        assert wire.value(late.query("SELECT 3")) == "3"
        assert shown(p) != first


def test_a_certificate_is_exchanged(proxy, certs):
    """The files of a renewed one are noticed; before both are there, nothing changes."""
    p = proxy(passwd="app:TEXTapp\n", reload_check_period=1)
    files = {"ssl_cert": f"{p.folder}/tls.crt", "ssl_key": f"{p.folder}/tls.key"}

    def put(name, *which):
        for key, ending in which:
            new = files[key] + ".new"
            shutil.copyfile(certs.path(f"{name}.{ending}"), new)
            os.chmod(new, 0o600)
            os.rename(new, files[key])
    cert, key = ("ssl_cert", "crt"), ("ssl_key", "key")
    put("server", cert, key)
    p.reload(ssl=True, **files)
    first = shown(p)
    mark = len(p.log)
    put("second", cert)
    p.wait_log("the configuration was not reloaded: nothing has changed", mark)
    assert shown(p) == first
    put("second", key)
    p.wait_log("reload config files", mark)
    assert shown(p) != first


# ---- whose certificates are good for what -----------------------------------------------------

def sign(certs, name, extensions, by="ca"):
    """A certificate of common name app."""
    certs.openssl("req", "-newkey", *certs.KINDS["ec"], "-nodes", "-keyout", f"{name}.key", "-out",
                  f"{name}.csr", "-subj", "/CN=app")
    with open(certs.path(f"{name}.ext"), "w") as f:
        f.write(extensions)
    certs.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.crt", "-CAkey", f"{by}.key",
                  "-CAcreateserial", "-days", "30", "-out", f"{name}.crt", "-extfile", f"{name}.ext")
    os.chmod(certs.path(f"{name}.key"), 0o600)


@pytest.mark.parametrize("use, good", [("clientAuth", True), ("serverAuth,clientAuth", True),
                                       ("serverAuth", False), ("codeSigning", False)])
def test_the_extended_usage_of_a_clients_certificate(proxy, certs, use, good):
    sign(certs, "used", f"extendedKeyUsage={use}\n")
    p = proxy(hba=HBA_CERT, enable_pool_hba=True, **certs.with_ca())
    if good:
        with p.connect(**certs.client("used")) as c:
            assert c.execute("SELECT current_user").fetchone() == ("app",)
        return
    with pytest.raises(psycopg.OperationalError):
        p.connect(**certs.client("used"))
    p.wait_log("unsupported certificate purpose")


@pytest.mark.parametrize("method", ["trust", "cert"])
def test_who_needs_no_password_needs_no_auth_query(proxy, certs, method):
    p = proxy(hba=f"hostssl all all all {method}\n", enable_pool_hba=True, auth_user="nobody",
              **certs.with_ca())
    with p.connect(**certs.client("app")) as c:
        assert c.execute("SELECT 1").fetchone() == (1,)
    if method == "cert":
        with pytest.raises(psycopg.OperationalError):
            p.connect(**certs.client())


def test_a_long_chain_costs_no_more_than_a_short_one(proxy, certs):
    """Each certificate behind the first is signed by the next one: nobody verifies them all."""
    length = 40
    certs.openssl("ecparam", "-name", "secp521r1", "-genkey", "-noout", "-out", "link.key")
    certs.openssl("req", "-x509", "-key", "link.key", "-subj", "/CN=c0", "-out", "c0.crt")
    with open(certs.path("link.ext"), "w") as f:
        f.write("basicConstraints=critical,CA:TRUE\n")
    for i in range(1, length):
        certs.openssl("req", "-new", "-key", "link.key", "-subj", f"/CN=c{i}", "-out", "link.csr")
        certs.openssl("x509", "-req", "-in", "link.csr", "-CA", f"c{i - 1}.crt", "-CAkey",
                      "link.key", "-set_serial", str(i), "-extfile", "link.ext", "-out", f"c{i}.crt")

    def cost(n):
        """Processor time of the handshakes with a chain of n that leads nowhere."""
        with open(certs.path("chain.pem"), "w") as out:
            for i in reversed(range(n)):
                with open(certs.path(f"c{i}.crt")) as f:
                    out.write(f.read())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(certs.path("chain.pem"), certs.path("link.key"))
        before = p.processor_time()
        for _ in range(5):
            with asked(p) as w, pytest.raises((ssl.SSLError, ConnectionError)):
                w.sock = context.wrap_socket(w.sock)
                w.take(1)
        return p.processor_time() - before

    p = proxy(**certs.with_ca())
    cost(2)
    assert cost(length) < 3 * cost(8)
