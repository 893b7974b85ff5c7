"""What those cost who have not said yet who they are, and how many of them there may be."""

import contextlib
import hashlib
import os
import resource
import signal
import socket
import ssl
import struct
import threading

import pytest

import pg
import wire
from wire import message, packet, wait_until

pytestmark = pytest.mark.proxy

CROWD = 400
STARTUP_MAX, SASL_MAX, PASSWORD_MAX = 10000, 1024, 16384
CLEAR = "host all all 127.0.0.1/32 password\n"
SCRAM = "host all all 127.0.0.1/32 scram-sha-256\n"
PCP_ENTRY = f"operator:{hashlib.md5(b'secret').hexdigest()}\n"


@pytest.fixture(autouse=True)
def descriptors():
    """Ours, for both ends of a crowd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- memory -----------------------------------------------------------------------------------

def unread(*ports):
    """Bytes that were sent to these ports and not received by the proxy yet."""
    total = 0
    with open("/proc/net/tcp") as f:
        for line in list(f)[1:]:
            _, local, _, state, queues = line.split()[:5]
            if state != "0A" and int(local.split(":")[1], 16) in ports:
                total += int(queues.split(":")[1], 16)
    return total


def long_startup(size, **more):
    """A startup packet of so many bytes."""
    head = {"user": "app", "database": "app", **more}
    fill = size - len(wire.startup(**head, options=""))
    return wire.startup(**head, options="x" * fill)


def tls_hello():
    """A ClientHello, and what answers go into."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return tls, incoming, outgoing


def nothing(w, i):
    pass


def half_a_startup_packet(w, i):
    w.send(long_startup(STARTUP_MAX)[:-1])


def a_short_startup_packet(w, i):
    w.startup()
    assert w.read().type == "R"


def a_long_startup_packet(w, i):
    w.send(long_startup(STARTUP_MAX - 64, application_name=f"number {i}"))
    assert w.read().type == "R"


def half_a_password(w, i):
    a_short_startup_packet(w, i)
    w.send(b"p" + struct.pack("!I", PASSWORD_MAX) + b"x" * (PASSWORD_MAX - 8))


def a_password_far_too_long(w, i):
    """As much of it as there is room for."""
    a_short_startup_packet(w, i)
    with contextlib.suppress(ConnectionError):
        w.send(b"p" + struct.pack("!I", 70000))
        w.send(b"x" * 60000)


def half_a_sasl_message(w, i):
    a_short_startup_packet(w, i)
    with contextlib.suppress(ConnectionError):
        w.send(b"p" + struct.pack("!I", 9000) + b"x" * 8900)


def half_a_sasl_exchange(w, i):
    a_short_startup_packet(w, i)
    first = b"n,,n=,r=" + b"y" * 900
    w.send(message("p", wire.cstring("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
    assert w.read().type == "R"
    w.send(b"p" + struct.pack("!I", SASL_MAX) + b"x" * (SASL_MAX - 8))


def half_a_hello(w, i):
    w.send(packet(wire.SSL_REQUEST))
    assert w.take(1) == b"S"
    w.send(tls_hello()[2].read()[:-1])


def a_hello(w, i):
    w.send(packet(wire.SSL_REQUEST))
    assert w.take(1) == b"S"
    w.send(tls_hello()[2].read())
    assert w.sock.recv(1)


def a_handshake(w, i):
    w.send(packet(wire.SSL_REQUEST))
    assert w.take(1) == b"S"
    tls, incoming, outgoing = tls_hello()
    for done in (False, True):
        w.send(outgoing.read())
        while not outgoing.pending and not done:
            incoming.write(w.sock.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
    incoming.write(w.sock.recv(65536))
    tls.do_handshake()


@pytest.mark.parametrize("state, bound, how", [
    (nothing, 1000, {}),
    (half_a_startup_packet, STARTUP_MAX + 2000, {}),
    (a_short_startup_packet, 2000, dict(hba=SCRAM)),
    (a_long_startup_packet, STARTUP_MAX + 3000, dict(hba=SCRAM)),
    (half_a_sasl_message, 2000, dict(hba=SCRAM)),
    (half_a_sasl_exchange, 7000, dict(hba=SCRAM)),
    (half_a_password, PASSWORD_MAX + 5000, dict(hba=CLEAR)),
    (a_password_far_too_long, 2000, dict(hba=CLEAR)),
    (half_a_hello, 12000, dict(ssl=True)),
    (a_hello, 13000, dict(ssl=True)),
    (a_handshake, 2500, dict(ssl=True)),
], ids=lambda v: getattr(v, "__name__", ""))
def test_what_a_stranger_costs(proxy, state, bound, how):
    p = proxy(max_unauthenticated_clients=2 * CROWD, num_init_children=16, log_min_messages="panic",
              enable_pool_hba="hba" in how, **how)
    if p.sanitized:
        pytest.skip("its memory is not worth measuring")
    state(p.raw(login=False), 0)
    before, crowd = p.rss(), []
    for i in range(CROWD):
        crowd.append(p.raw(login=False))
        state(crowd[-1], i + 1)
    wait_until(lambda: not unread(p.port), "all that was sent is received")
    assert (p.rss() - before) / CROWD < bound


@pytest.fixture
def pcp(proxy):
    """A proxy with PCP, of which p.pcp_address is where."""
    def make(**how):
        port = pg.free_port()
        p = proxy(pcp=PCP_ENTRY, pcp_listen_addresses="127.0.0.1", pcp_port=port, **how)
        p.pcp_address = ("127.0.0.1", port)
        return p
    return make


def test_what_a_stranger_costs_at_pcp(pcp):
    p = pcp()
    if p.sanitized:
        pytest.skip("its memory is not worth measuring")

    def stranger():
        w = wire.Wire(p.pcp_address)
        w.send(b"R" + struct.pack("!I", 255) + b"x" * 250)
        wait_until(lambda: not unread(p.pcp_address[1]), "all that was sent is received")
        return w

    crowd = [stranger()]                        # what the first one needs, the others share
    before = p.rss()
    crowd += [stranger() for _ in range(31)]
    assert (p.rss() - before) / 31 < 3000


# ---- lengths ----------------------------------------------------------------------------------

def asked(p, **how):
    w = p.raw(login=False).startup(**how)
    return w, struct.unpack("!I", w.read().body[:4])[0]


def test_a_long_token_is_a_password(proxy):
    """Cloud services' tokens are sent as clear text passwords: some kilobytes."""
    token = "t" * (PASSWORD_MAX - 5)
    p = proxy(enable_pool_hba=True, hba=CLEAR,
              passwd=f"app:md5{hashlib.md5((token + 'app').encode()).hexdigest()}\n")
    for secret in (token, token[:12000]):
        w, code = asked(p)
        assert code == 3
        w.send(wire.password(secret))
        m = w.read()
        assert (m.type == "R") if secret == token else (m.code == "28P01")


@pytest.mark.parametrize("hba, size, hint", [
    (CLEAR, PASSWORD_MAX, "A password or token may have up to 16379 bytes here."),
    (SCRAM, SASL_MAX, None), (CLEAR.replace("password", "md5"), SASL_MAX, None)])
def test_what_is_too_long_is_refused_by_its_header(proxy, hba, size, hint):
    p = proxy(enable_pool_hba=True, hba=hba, passwd="app:secret\n")
    for length in (size + 1, 0x7fffffff, 0xffffffff, 3):
        w, _ = asked(p)
        w.send(b"p" + struct.pack("!I", length))
        m = w.read()
        assert (m.code, m.fields["M"]) == ("08P01", "invalid length of password message")
        assert m.fields.get("H") == hint and w.eof() == []
    w, _ = asked(p)
    w.send(b"p" + struct.pack("!I", size) + b"x" * (size - 4))
    assert w.read().fields["M"] != "invalid length of password message"


def test_what_follows_a_password_too_early_is_kept_up_to_a_limit(proxy, fake):
    """While PostgreSQL is asked nothing is used, but it is not kept without end either."""
    node = fake(lambda t: t.take(1 << 20))
    p = proxy(nodes=[node], primary_wait_timeout=60)
    w = p.raw(login=False).startup()
    with contextlib.suppress(ConnectionError):
        w.send(wire.query("SELECT 1") * 10000)
    assert w.read().fields["M"] == "too much data before authentication"


def test_what_follows_a_login_at_once_is_used(proxy):
    """A client that knows that nothing is asked of it."""
    p = proxy()
    p.raw()
    w = p.raw(login=False)
    text = "y" * 40000
    w.send(wire.startup(user="app", database="app") + wire.query(f"SELECT length('{text}')"))
    w.authenticate("app", "")
    assert wire.value(w.reply()) == "40000"


# ---- how many ---------------------------------------------------------------------------------

DROPPED = "too many clients that have not logged in"


def from_address(address, to):
    """A silent connection from an address of this host."""
    return socket.create_connection(to, 10, source_address=(address, 0))


def gone(s):
    """Has the peer ended it, maybe after some words?"""
    s.setblocking(False)
    try:
        return s.recv(4096, socket.MSG_PEEK) is not None
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def lasting(crowd):
    return sum(not gone(getattr(s, "sock", s)) for s in crowd)


def test_silent_connections_take_nobodys_place(proxy):
    p = proxy(max_unauthenticated_clients=40, num_init_children=100)
    w = p.raw()
    before, crowd = p.descriptors(), []
    for _ in range(5):
        crowd += [p.raw(login=False) for _ in range(60)]
        assert p.psql("SELECT 1") == "1"
    wait_until(lambda: lasting(crowd) <= 40, "the others have been dropped")
    assert all(not gone(s.sock) for s in crowd[-39:]), "the oldest have been"
    assert crowd[0].read().fields["D"] == "Too many of them have not logged in."
    assert wire.value(w.query("SELECT 1")) == "1" and p.psql("SELECT 1") == "1"
    wait_until(lambda: p.descriptors() <= before + 40 + 4, "their descriptors are closed")
    assert p.log_text().count(DROPPED) == 1
    assert p.rss() < 64 << 20 or p.sanitized
    p.reload(max_unauthenticated_clients=1000)
    crowd += [p.raw(login=False) for _ in range(60)]
    assert p.psql("SELECT 1") == "1" and lasting(crowd) >= 99


def test_a_flood_drops_its_own(proxy):
    """Who comes from elsewhere may take its time, however old it is."""
    p = proxy(max_unauthenticated_clients=20)
    honest = [wire.Wire(p.address) for _ in range(2)]
    honest[0].sock = from_address("127.0.0.2", p.address)
    honest[1].sock = from_address("127.0.0.3", p.address)
    crowd = [p.raw(login=False) for _ in range(100)]
    wait_until(lambda: lasting(crowd) == 18, "the flood's are dropped")
    for w in honest:
        assert wire.value(w.login().query("SELECT 1")) == "1"


def test_who_waits_for_postgresql_is_not_dropped(proxy, fake):
    """A flood does no harm to those who wait for a slow primary."""
    released = threading.Event()

    def treat(t):
        t.packet()
        assert released.wait(20)
        t.serve()
    p = proxy(nodes=[fake(treat)], max_unauthenticated_clients=10, primary_wait_timeout=60)
    waiting = [p.raw(login=False).startup() for _ in range(15)]
    crowd = [p.raw(login=False) for _ in range(50)]
    wait_until(lambda: lasting(crowd) == 10, "the others are dropped")
    released.set()
    for w in waiting:
        w.authenticate("app", "")


def test_who_waits_for_us_is_not_dropped(proxy):
    """Handshakes are slow.  After a restart all clients come at once: each of them gets its turn."""
    p = proxy(max_unauthenticated_clients=5, num_init_children=200, ssl=True)
    os.kill(p.pid, signal.SIGSTOP)
    try:
        crowd = [wire.Wire(p.address) for _ in range(100)]
        for w in crowd:
            w.send(tls_hello()[2].read())
    finally:
        os.kill(p.pid, signal.SIGCONT)
    for w in crowd:
        assert w.take(1) == b"\x16", "a ServerHello"
    assert p.psql("SELECT 1") == "1"


def test_descriptors_are_left_for_sessions(proxy):
    """However large the parameter is."""
    p = proxy(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    crowd = [p.raw(login=False) for _ in range(100)]
    assert p.psql("SELECT 1") == "1"
    wait_until(lambda: lasting(crowd) <= 32, "half of the descriptors")
    assert "descriptors are in use" not in p.log_text()


def test_without_descriptors_a_stranger_gives_its_own_up(proxy):
    """Sessions have taken nearly all."""
    p = proxy(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    crowd = [p.raw(login=False) for _ in range(25)]
    sessions = [p.raw() for _ in range(30)]
    assert lasting(crowd) < 25 and "descriptors are in use" not in p.log_text()
    assert lasting(sessions) == 30


def test_without_any_descriptor_it_does_not_spin(proxy):
    """Not even the one in reserve.  Sessions go on meanwhile, and who connected gets in later."""
    p = proxy()
    w = p.raw()
    w.query("SELECT 1")
    limits = resource.prlimit(p.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(p.pid, resource.RLIMIT_NOFILE, (4, limits[1]))
    late = p.raw(login=False).startup()
    before = p.processor_time()
    w.query("SELECT pg_sleep(0.5)")
    assert p.processor_time() < before + 0.1
    resource.prlimit(p.pid, resource.RLIMIT_NOFILE, limits)
    late.authenticate("app", "")
    assert wire.value(w.query("SELECT 1")) == "1"


def test_a_flood_of_pcp_connections(pcp):
    p = pcp()
    elsewhere = wire.Wire(p.pcp_address)
    elsewhere.sock = from_address("127.0.0.2", p.pcp_address)
    crowd = [wire.Wire(p.pcp_address) for _ in range(100)]
    wait_until(lambda: lasting(crowd) == 31, "the flood's are dropped")
    assert crowd[0].read().fields["D"] == "Too many PCP connections have not logged in."
    for w in (elsewhere, wire.Wire(p.pcp_address)):
        w.send(message("M"))
        salt = w.read().body
        inner = hashlib.md5((hashlib.md5(b"secret").hexdigest() + "operator").encode()).hexdigest()
        answer = hashlib.md5(inner.encode() + salt).hexdigest()
        w.send(message("R", wire.cstring("operator") + wire.cstring(answer)))
        assert w.read().type == "r"
    assert p.log_text().count("too many PCP connections") == 1
