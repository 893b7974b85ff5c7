"""Nodes that go away and come back, nodes that misbehave, and everything that can run out."""

import base64
import contextlib
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import psycopg
import pytest

import pg
import wire
from fake import OK, READY, FakeNode, Talk, row, sasl
from pg import LIBC, free_port
from wire import (LoginError, Wire, bind, cstring, execute, extended, message, parse, query, sync,
                  wait_until)

pytestmark = pytest.mark.proxy

FAST = dict(node_probe_period=100)
PORT = "SELECT current_setting('port')"
ON_PRIMARY = "/* p */ "
GONE = ("08", "57P")                    # connection exceptions, 57P03 cannot_connect_now


def reads_on(p, node):
    return p.one(PORT) == str(node.port)


def unavailable(e):
    """An error that says who speaks and what to do."""
    assert e.code.startswith(GONE), e
    assert e.fields.get("H"), e


# ---- the replica ------------------------------------------------------------------------------

def test_replica_down_before_the_start(proxy, own_pair):
    primary, replica = own_pair
    replica.stop()
    p = proxy(nodes=own_pair, **FAST)
    for _ in range(5):
        assert reads_on(p, primary)
    p.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    replica.start()
    wait_until(lambda: reads_on(p, replica), "reads on the replica")


def test_a_session_survives_the_replica_and_uses_it_again(proxy, own_pair):
    primary, replica = own_pair
    with proxy(nodes=own_pair, **FAST).connect() as c:
        where = lambda: c.execute(PORT).fetchone()[0]
        assert where() == str(replica.port)
        c.execute("SET my.own = 'kept'")
        replica.stop()
        for _ in range(5):
            assert where() == str(primary.port)
        replica.start()
        wait_until(lambda: where() == str(replica.port), "reads on the replica")
        assert c.execute("SELECT current_setting('my.own')").fetchone() == ("kept",)


def test_a_transaction_survives_the_replica(proxy, own_pair):
    primary, replica = own_pair
    with proxy(nodes=own_pair, **FAST).connect() as c:
        c.execute("BEGIN")
        assert c.execute(PORT).fetchone() == (str(replica.port),)
        replica.stop(signal.SIGQUIT)
        assert c.execute(PORT).fetchone() == (str(primary.port),)
        c.execute("CREATE TABLE t (a int)")
        c.execute("COMMIT")
        assert c.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["shutdown", "crash"])
def test_replica_killed_and_restarted_under_load(proxy, own_pair, mode, how):
    primary, replica = own_pair
    primary.pgbench("-i", "-q", "-s", "1")
    primary.catch_up(replica)
    p = proxy(nodes=own_pair, log_per_node_statement=False, **FAST)
    out, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            out.append(p.pgbench("-S", "-M", mode, "-c", "8", "-t", "200", check=False))

    t = threading.Thread(target=load)
    t.start()
    try:
        for _ in range(2):
            wait_until(lambda: replica.backends("usename = 'app'"), "load on the replica", 30)
            replica.stop(how)
            assert reads_on(p, primary)
            replica.start()
        wait_until(lambda: replica.backends("usename = 'app'"), "load on the replica", 30)
    finally:
        stop.set()
        t.join()
    for text in out:
        assert "1600/1600" in text and "failed transactions: 0 " in text, text


def test_a_reload_removes_a_node_that_is_down(proxy, own_pair):
    primary, replica = own_pair
    p = proxy(nodes=own_pair, **FAST)
    replica.stop()
    assert reads_on(p, primary)
    p.wait_log("node 1 .* is down")
    p.params = {k: v for k, v in p.params.items() if not k.endswith("1")}
    p.reload()
    for _ in range(3):
        p.psql("SELECT pg_sleep(0.2)")              # the node would have been tried again
        assert reads_on(p, primary)


def test_a_reload_moves_a_node(proxy, own_pair):
    primary, replica = own_pair
    p = proxy(nodes=own_pair, backend_port1=free_port(), **FAST)
    assert reads_on(p, primary)
    p.params["backend_port1"] = replica.port
    p.reload()
    wait_until(lambda: reads_on(p, replica), "reads on the node's new port")


def says(data, then_close=True):
    def treat(s):
        s.recv(1000)
        s.sendall(data)
        if then_close:
            s.close()
    return treat


def answers(data):
    """To the first request behind a login that works."""
    def treat(s):
        s.recv(1000)
        s.sendall(READY)
        s.recv(1000)
        s.sendall(data)
        s.close()
    return treat


FATAL = message("E", b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0")
ROW = (message("T", struct.pack("!H2sIhIhih", 1, b"a", 0, 0, 23, 4, -1, 0))
       + message("D", struct.pack("!HIc", 1, 1, b"7")))
CRASHES = message("N", b"SWARNING\0VWARNING\0C57P01\0Mterminating connection due to immediate"
                  b" shutdown command\0\0")
ENDS = message("E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")
BAD_NODES = {
    "closes at once": lambda s: s.close(),
    "never answers": lambda s: None,
    "speaks http": says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "is starting up": says(FATAL),
    "closes after ok": says(OK),
    "stops after ok": says(OK, False),
    "wants an unknown login": says(message("R", struct.pack("!I", 7))),
    "wants an unknown mechanism": says(message("R", struct.pack("!I", 10) + b"X\0\0"), False),
    "sends absurd lengths": says(b"R\x7f\xff\xff\xff\0\0\0\0", False),
    "sends too short lengths": says(b"R\0\0\0\1", False),
    "sends rows before the login": says(message("D", b"\0\0") * 100, False),
    "sends nothing but notices": says(message("N", b"SNOTICE\0C00000\0Mx\0\0") * 1000),
    "ready, then closes": says(READY),
    "ready, then silent rubbish": says(READY + b"\xff" * 100, False),
    "breaks within a row": answers(ROW[:-1]),
    "breaks within the head of a row": answers(ROW[:ROW.index(b"D") + 3]),
    "breaks after a row": answers(ROW + ENDS),
    "breaks after a row and a warning": answers(ROW + CRASHES),
    "breaks after a command and a warning": answers(ROW + message("C", b"SELECT 1\0") + CRASHES),
    "describes rows without end": answers(ROW[:ROW.index(b"D")] * 100000),
    "ready twice": says(READY + message("Z", b"I"), False),
}


@pytest.fixture(params=BAD_NODES.values(), ids=[k.replace(" ", "-") for k in BAD_NODES])
def bad_node(request):
    node = FakeNode(request.param)
    yield node
    node.close()


def test_a_replica_that_misbehaves_costs_no_client_anything(proxy, primary, bad_node):
    p = proxy(nodes=[primary, bad_node], connect_timeout=300, authentication_timeout=1, **FAST)
    begin = time.monotonic()
    for _ in range(3):
        with p.connect() as c:
            assert c.execute("SELECT count(*) FROM generate_series(1, 5)").fetchone() == (5,)
            c.execute("BEGIN")
            assert c.execute("SELECT 1").fetchone() == (1,)
            c.execute("CREATE TEMP TABLE t (a int)")
            c.execute("COMMIT")
    assert time.monotonic() - begin < 8


def test_a_warning_behind_a_command_of_a_replica_is_told(proxy, primary):
    node = Replies()
    warning = message("N", b"SWARNING\0VWARNING\0C01000\0Mby the way\0\0")
    node.reply = row(7)[:-6] + warning + message("Z", b"I")
    w = proxy(nodes=[primary, node], **FAST).raw()
    wait_until(lambda: wire.value(w.query("SELECT 1")) == "7", "a read there")
    assert wire.types(w.query("SELECT 1")) == "TDCNZ"
    node.close()


def test_a_primary_that_misbehaves_gives_errors_only(proxy, bad_node):
    p = proxy(nodes=[bad_node], connect_timeout=300, authentication_timeout=1,
              primary_wait_timeout=0, **FAST)
    for _ in range(2):
        w = p.raw(login=False, timeout=10)
        w.startup()
        with contextlib.suppress(EOFError, ConnectionError):
            m = w.until("EZ")[-1]
            if m.type == "Z":
                w.send(query("INSERT INTO t VALUES (1)"))
                w.until("EZ")
        w.shut()


class Replies(FakeNode):
    """A standby that answers each query with `reply`."""

    def __init__(self):
        self.reply, self.asked = row(1), 0
        super().__init__(lambda s: threading.Thread(target=self.speak, args=(Talk(s),),
                                                    daemon=True).start())

    def speak(self, t):
        with contextlib.suppress(OSError):
            t.packet()
            t.sock.sendall(OK + message("S", b"in_hot_standby\0on\0") + READY[len(OK):])
            while True:
                if t.message()[0] == b"Q":
                    self.asked += 1
                    t.sock.sendall(self.reply)


def test_where_a_node_was_says_nothing_of_its_role(proxy, primary):
    """A session that began before a reload moved node 1 sees the old place being promoted."""
    before, now = Replies(), Replies()
    p = proxy(nodes=[primary, before], backend_flag0="DISALLOW_TO_FAILOVER", **FAST)
    w = p.raw()
    wait_until(lambda: w.query("SELECT 1") and before.asked, "a read there")
    p.reload(backend_port1=now.port)
    wait_until(lambda: p.one("SELECT 1") and now.asked, "a read at the new place")
    before.reply = message("S", b"in_hot_standby\0off\0") + row(2)
    assert wire.value(w.query("SELECT 1")) == "2"
    assert p.one(ON_PRIMARY + PORT) == str(primary.port)
    assert "primary node is 1" not in p.log_text()
    before.close()
    now.close()


# ---- names ------------------------------------------------------------------------------------

def own_hosts(path):
    """In a child: from now on this is its /etc/hosts, in a mount namespace of its own."""
    def before():
        for done in (LIBC.unshare(0x20000),                     # CLONE_NEWNS
                     LIBC.mount(b"none", b"/", None, 0x44000, None),    # MS_REC|MS_PRIVATE
                     LIBC.mount(path.encode(), b"/etc/hosts", None, 0x1000, None)):     # MS_BIND
            if done:
                raise OSError("no mount namespace")
    return before


# DNS cannot be asked for a label that long: the answer is that of /etc/hosts, at once.
NAME = "primary-" + "x" * 60


def test_a_name_that_comes_into_being(proxy, shop, primary):
    hosts = shop.path(shop.fresh("hosts"))
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], stderr=-3).returncode:
        pytest.skip("only root has mount namespaces")

    def knows(*names):
        with open(hosts, "w") as f:
            f.write("127.0.0.1 localhost " + " ".join(names) + "\n")

    knows()
    p = proxy(nodes=[primary], before=own_hosts(hosts), backend_hostname0=NAME,
              connect_timeout=0, primary_wait_timeout=0, log_min_messages="debug1", **FAST)
    with pytest.raises(LoginError) as e:
        p.raw()
    assert "could not resolve" in e.value.fields["D"]
    mark = len(p.log)
    p.wait_log("node 0: connection .* closed", mark)            # nor can a probe, later
    knows(NAME)
    p.wait_log("node 0 .* is up again")
    assert p.one("SELECT 1") == 1
    assert len([line for line in p.log if "node 0" in line and "is down" in line]) == 1


def nobody_with_one_thread():
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    os.setgid(54321)
    os.setuid(54321)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_name_without_a_thread_to_look_it_up(proxy, primary):
    p = proxy(start=False, nodes=[primary], before=nobody_with_one_thread, backend_hostname0="localhost",
              unix_socket_directories="", connect_timeout=0, primary_wait_timeout=0,
              env={"ASAN_OPTIONS": "detect_leaks=0:exitcode=99"},       # that takes a thread
              **FAST)
    p.binary = shutil.copy(p.binary, p.folder)          # the checkout may be root's alone
    p.start()
    for _ in range(2):
        with pytest.raises(LoginError) as e:
            p.raw()
        assert "no thread to look up its name" in e.value.fields["D"]


# ---- logins whose messages are out of order ---------------------------------------------------

SECRET = "secret"
SALT = base64.b64encode(b"sixteen bytes ok")
OFFER = sasl(10, cstring("SCRAM-SHA-256") + b"\0")


def nonce(t):
    """That of the client-first-message, which comes next."""
    return t.message()[1].split(b",r=")[1]


def challenge(first, iterations=300_000):
    """So many that the keys are not there at once."""
    return sasl(11, b"r=%sxyz,s=%s,i=%d" % (first, SALT, iterations))


def refuses_the_login(p, w):
    """The client answers what it is asked, and that is not what ends it."""
    while (m := w.read()).type == "R":
        w.answer(m, "app", SECRET)
    assert m.type == "E" and m.code == "28000", m
    assert m.fields["D"] == "its login messages are out of order"
    assert not any("is down" in line for line in p.log)


@pytest.mark.parametrize("then", ["offer", "challenge", "ok"])
@pytest.mark.parametrize("whose", ["pool_passwd", "client"])
def test_scram_begins_again_while_keys_are_made(proxy, fake, whose, then):
    """With a password of pool_passwd, and with the one that a client has just sent."""
    begun = []

    def treat(t):
        begun.append(t.packet())
        t.sock.sendall(OFFER)
        first = nonce(t)
        t.sock.sendall(challenge(first) + {"offer": OFFER, "ok": OK,
                                           "challenge": challenge(first)}[then])
        t.sock.sendall(challenge(nonce(t)))
        t.take(1)

    how = dict(passwd=f"app:TEXT{SECRET}\n") if whose == "pool_passwd" else \
        dict(allow_clear_text_frontend_auth=True)
    p = proxy(nodes=[fake(treat)], primary_wait_timeout=0, **how, **FAST)
    refuses_the_login(p, p.raw(login=False).startup())


PARAMETER = message("S", b"in_hot_standby\0off\0")
KEY_DATA = message("K", struct.pack("!II", 1, 2))
UNASKED = {
    "ready": message("Z", b"I"),
    "a parameter": PARAMETER + READY,
    "a key": KEY_DATA + message("Z", b"I"),
    "ready in scram": OFFER + message("Z", b"I"),
    "a parameter in scram": OFFER + PARAMETER + READY,
    "a key in scram": OFFER + KEY_DATA + message("Z", b"I"),
    "ok twice": OK + READY,
    "a question behind ok": OK + message("R", struct.pack("!I", 3)) + READY,
}


@pytest.mark.parametrize("data", UNASKED.values(), ids=[k.replace(" ", "-") for k in UNASKED])
def test_a_node_that_greets_whom_it_has_not_let_in(proxy, fake, data):
    def treat(t):
        t.packet()
        t.sock.sendall(data)
        t.take(1)

    p = proxy(nodes=[fake(treat)], passwd=f"app:TEXT{SECRET}\n", primary_wait_timeout=0, **FAST)
    refuses_the_login(p, p.raw(login=False).startup())


def test_a_node_whose_first_answer_is_not_the_protocol_s_is_down(proxy, fake):
    def treat(t):
        t.packet()
        t.sock.sendall(READY)
        t.message()
        t.sock.sendall(message("R", struct.pack("!I", 0)))
        t.take(1)

    p = proxy(nodes=[fake(treat)], primary_wait_timeout=0, **FAST)
    w = p.raw()
    w.send(query("SELECT 1"))
    assert w.until("EZ")[-1].type == "E"
    wait_until(lambda: "is down" in p.log_text(), "the node is down")


def test_a_row_that_garbage_follows_is_passed_to_its_end(proxy, fake):
    one = row("a row")
    half = one.index(b"a row")

    def treat(t):
        t.packet()
        t.sock.sendall(READY)
        t.message()
        t.sock.sendall(one[:half])
        passed.wait(5)
        t.sock.sendall(one[half:half + 5] + b"garbage")
        t.take(1)

    passed = threading.Event()
    w = proxy(nodes=[fake(treat)], primary_wait_timeout=0, **FAST).raw()
    w.send(query("SELECT 1"))
    assert w.read().type == "T"
    head = w.take(5 + 2 + 4)
    passed.set()
    assert head[:1] == b"D" and w.take(5) == b"a row"
    assert [m.type for m in w.eof()] == ["E"]


@pytest.mark.parametrize("how", ["the node breaks", "the proxy ends", "the session is ended"])
def test_nothing_follows_half_a_message(proxy, fake, how):
    """The client's library sees its connection end, as when PostgreSQL crashes: a message of ours
    would be taken for the rest of the row."""
    one, over = row("a row"), threading.Event()
    half = one.index(b"row")

    def treat(t):
        t.packet()
        t.sock.sendall(READY)
        t.message()
        t.sock.sendall(one[:half])
        over.wait(5)
        t.sock.close()

    p = proxy(nodes=[fake(treat)], primary_wait_timeout=0, **FAST)
    stopping = threading.Thread(target=p.stop)
    w = p.raw()
    w.send(query("SELECT 1"))
    assert w.read().type == "T"
    assert w.take(half - one.index(b"D")) == one[one.index(b"D"):half]
    if how == "the node breaks":
        over.set()
    elif how == "the proxy ends":
        stopping.start()
    else:
        w.send(message("Q", b"never ended")[:1] + struct.pack("!I", 1))
    assert w.sock.recv(100) == b""
    over.set()
    if stopping.ident:
        stopping.join()


@pytest.mark.parametrize("age", ["young", "old"])
def test_a_request_is_not_sent_to_a_server_that_has_ended(proxy, primary, age):
    """Both come together, the last words of the one and the request for it: they are heard first."""
    p = proxy()
    p.psql("CREATE TABLE IF NOT EXISTS heard (a int)")
    p.knows_code()                              # else it might be a trigger that has left something
    failed = []
    for i in range(12):
        w = p.raw()
        for _ in range(1 if age == "young" else 4):
            assert wire.errors(w.query("INSERT INTO heard VALUES (1)")) == []
            time.sleep(0.005)                   # moves it into the epoll set
        p.send_signal(signal.SIGSTOP)
        primary.expel()
        w.send(query("INSERT INTO heard VALUES (1)") if i % 2 else wire.extended("TABLE heard")
               + sync())
        p.send_signal(signal.SIGCONT)
        failed += wire.errors(w.reply())
        w.bye()
    assert failed == []
    p.psql("DROP TABLE heard")


def test_news_that_come_with_a_request_are_heard_first(proxy, primary):
    p = proxy()
    w = p.raw()
    w.query("LISTEN news")
    for _ in range(5):
        time.sleep(0.005)                       # its server has rested
        p.send_signal(signal.SIGSTOP)
        with primary.connect() as c:
            c.execute("NOTIFY news")
        w.send(query("SELECT 'asked'"))
        p.send_signal(signal.SIGCONT)
        out = w.reply()
        assert wire.value(out) == "asked" and wire.types(out).count("A") == 1


# ---- nodes that hang --------------------------------------------------------------------------

class OnlyFirst(FakeNode):
    """Lets the first one log in and says no more to anybody."""

    def __init__(self):
        super().__init__(lambda s: says(READY, False)(s) if len(self.kept) == 1 else None)


def test_the_end_while_a_cancel_is_on_its_way(proxy):
    node = OnlyFirst()
    p = proxy(nodes=[node], **FAST)
    w = p.raw()
    w.send(query("SELECT 1"))
    with Wire(p.address) as c:
        c.send(wire.cancel(w.pid, w.key))
        wait_until(lambda: len(node.kept) == 2, "the cancel request")
        p.stop()
    node.close()


class FullSocket:
    """A Unix socket of which the queue is full."""

    def __init__(self, folder):
        self.host, self.port = str(folder), 5432
        self.path = f"{folder}/.s.PGSQL.{self.port}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(0)
        self.queued = []
        with contextlib.suppress(BlockingIOError):
            while True:
                s = socket.socket(socket.AF_UNIX)
                s.setblocking(False)
                self.queued.append(s)
                s.connect(self.path)

    def close(self):
        for s in [self.listener, *self.queued]:
            s.close()


def test_a_full_unix_socket_is_waited_for(proxy, tmp_path):
    node = FullSocket(tmp_path)
    p = proxy(nodes=[node], connect_timeout=0, **FAST)
    w = p.raw(login=False)
    w.startup()
    assert w.silent(0.1)
    node.listener.settimeout(5)
    for _ in node.queued[1:]:           # the last of them did not get in
        node.listener.accept()[0].close()
    s, _ = node.listener.accept()
    s.recv(1000)
    s.sendall(READY)
    assert w.until("Z")[-1].body == b"I"
    assert "is down" not in p.log_text()
    s.close()
    node.close()


# ---- the primary ------------------------------------------------------------------------------

def test_primary_down_gives_clear_errors_and_recovers(proxy, own_pair):
    primary, _ = own_pair
    p = proxy(nodes=own_pair, primary_wait_timeout=0, **FAST)
    p.psql("CREATE TABLE t (a int)")
    primary.stop()
    for _ in range(3):
        begin = time.monotonic()
        try:
            out = p.raw().query("INSERT INTO t VALUES (1)")
            unavailable(next(m for m in out if m.type == "E"))
        except LoginError as e:
            unavailable(e)
        assert time.monotonic() - begin < 3
    assert p.running
    primary.start()
    wait_until(lambda: "INSERT" in p.psql("INSERT INTO t VALUES (1) RETURNING 'INSERT'",
                                          check=False), "writes")


def test_requests_wait_for_the_primary(proxy, own_pair):
    """Within primary_wait_timeout its restart is only a pause."""
    primary, _ = own_pair
    p = proxy(nodes=own_pair, primary_wait_timeout=30, **FAST)
    p.psql("CREATE TABLE t (a int)")
    primary.stop()
    got = []
    t = threading.Thread(target=lambda: got.append(p.psql("INSERT INTO t VALUES (1) RETURNING a",
                                                          check=False)))
    t.start()
    t.join(0.3)
    assert t.is_alive() and not got
    primary.start()
    t.join()
    assert got == ["1"]


def test_primary_wait_timeout(proxy, own_pair):
    primary, _ = own_pair
    p = proxy(nodes=own_pair, primary_wait_timeout=1, **FAST)
    p.psql("SELECT 1")
    primary.stop()
    begin = time.monotonic()
    with pytest.raises((LoginError, AssertionError)):
        assert wire.errors(p.raw().query("CREATE TABLE t (a int)")) == []
    assert 0.8 < time.monotonic() - begin < 5


def test_primary_restarted_between_clients(proxy, own_pair):
    primary, replica = own_pair
    p = proxy(nodes=own_pair, **FAST)
    for how in (signal.SIGINT, signal.SIGQUIT):
        for _ in range(3):
            p.psql("CREATE TEMP TABLE t (a int); SELECT 1")
        primary.restart(how)
        for _ in range(3):
            p.psql("CREATE TEMP TABLE t (a int); SELECT 1")


@pytest.mark.parametrize("what", ["query", "extended"])
def test_servers_that_end_while_their_client_thinks(proxy, own_pair, what):
    """Nothing was asked of them: the next request runs on others, and nobody sees it."""
    p = proxy(nodes=own_pair, **FAST)
    w = p.raw()

    def ask(text):
        return wire.value(w.query(text) if what == "query" else w.ask(extended(text) + sync()))
    for _ in range(5):
        before = {ask(where + "SELECT inet_client_port()") for where in ("", ON_PRIMARY)}
        for cluster in own_pair:
            cluster.expel()
        for where in (ON_PRIMARY, ""):
            assert ask(where + "SELECT inet_client_port()") not in before


BY_ROLE = dict(backend_flag0="DISALLOW_TO_FAILOVER", backend_weight0=1)


@pytest.mark.skipif(pg.VERSION < 14, reason="a login does not tell the role")
def test_the_primary_is_found_wherever_it_is(proxy, pair):
    """Without ALWAYS_PRIMARY the nodes' own word counts; the first session knows."""
    primary, replica = pair
    p = proxy(nodes=[replica, primary], **BY_ROLE)
    w = p.raw()
    assert w.parameters["in_hot_standby"] == "off"
    assert wire.errors(w.query("CREATE TEMP TABLE t (a int)")) == []
    assert wire.value(w.query(ON_PRIMARY + PORT)) == str(primary.port)


@pytest.mark.skipif(pg.VERSION < 14, reason="a login does not tell the role")
def test_a_promoted_replica_is_the_primary(proxy, own_pair):
    primary, replica = own_pair
    p = proxy(nodes=own_pair, primary_wait_timeout=0, **{**BY_ROLE, "backend_weight0": 0}, **FAST)
    w = p.raw()
    assert wire.value(w.query(PORT)) == str(replica.port)
    primary.stop()
    replica.su("SELECT pg_promote()")
    assert wire.value(w.query(PORT)) == str(replica.port)       # its answer says so
    assert p.one(ON_PRIMARY + PORT) == str(replica.port)
    assert wire.errors(w.query("CREATE TABLE t (a int)")) == []


def test_primary_lost_in_a_transaction(proxy, own_pair):
    """The client is told; what was acknowledged before is there, the rest is not."""
    primary, _ = own_pair
    p = proxy(nodes=own_pair, primary_wait_timeout=0, **FAST)
    w = p.raw()
    w.query("CREATE TABLE t (a int)")
    w.query("INSERT INTO t VALUES (1)")
    w.query("BEGIN")
    w.query("INSERT INTO t VALUES (2)")
    primary.stop(signal.SIGQUIT)
    with contextlib.suppress(ConnectionError):
        w.send(query("COMMIT"))
    out = w.eof() if w.silent(0) else w.until("E")
    assert out and out[-1].type == "E" and out[-1].code.startswith(("08", "57"))
    primary.start()
    wait_until(lambda: p.psql("/* p */ SELECT a FROM t", check=False) == "1", "the table")


def test_no_node_at_the_start(proxy, own_pair):
    primary, replica = own_pair
    replica.stop()
    primary.stop()
    p = proxy(nodes=own_pair, primary_wait_timeout=0, **FAST)
    with pytest.raises(LoginError) as e:
        p.raw()
    unavailable(e.value)
    assert e.value.fields["S"] == "FATAL"
    primary.start()
    wait_until(lambda: p.psql("SELECT 1", check=False) == "1", "the primary")


# ---- descriptors and clients ------------------------------------------------------------------

def limit_files(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def test_idle_clients_leave_descriptors_to_servers(proxy, replica):
    p = proxy(before=limit_files(128), num_init_children=8, max_pool=2)
    p.psql("CREATE TEMP TABLE t (a int)")               # the catalog's questions have connections
    clients, refused = [], []
    while len(refused) < 3:
        try:
            clients.append(p.raw())
        except LoginError as e:
            refused.append(e)
    assert all(e.code == "53300" and "connections to PostgreSQL" in e.fields["D"] for e in refused)
    assert 32 < len(clients) < 128
    for w in clients[:8]:
        assert wire.errors(w.query("CREATE TEMP TABLE t (a int)")) == []
    for w in clients[8:16]:
        assert wire.value(w.query("SELECT current_setting('port')")) == str(replica.port)
    assert not any("is down" in line for line in p.log)
    for w in clients:
        w.bye()


def test_a_lack_of_descriptors_is_not_the_node_s_fault(proxy):
    p = proxy(before=limit_files(48), num_init_children=100, max_pool=1)
    clients = []
    while not clients or clients[-1].query("CREATE TEMP TABLE t (a int)"):
        clients.append(p.raw())
        clients[-1].send(wire.query("/* primary */ SELECT 1"))
        if clients[-1].silent(1):
            break
        clients[-1].reply()
    line = p.wait_log("no more than .* connections to node 0 can be had: clients wait")
    assert "all file descriptors of the proxy are in use" in p.log[p.log.index(line) + 1]
    assert not any("is down" in line for line in p.log)
    clients[0].bye()
    assert wire.value(clients[-1].reply()) == "1"


def test_all_descriptors_in_use(proxy):
    """Further clients are refused clearly or wait; nobody else notices."""
    p = proxy(before=limit_files(64), num_init_children=4, max_pool=2)
    first = p.raw()
    assert wire.value(first.query("SELECT 1")) == "1"
    first.query("CREATE TEMP TABLE t (a int)")
    crowd, refused = [], []
    for _ in range(120):
        w = p.raw(login=False, timeout=0.5)
        w.startup()
        try:
            w.authenticate("app", "")
            crowd.append(w)
        except LoginError as e:
            refused.append(e)
            w.shut()
        except OSError:
            crowd.append(w)
        except EOFError:
            pytest.fail("closed without a word")
        if len(refused) >= 3:
            break
    assert all(e.code == "53300" for e in refused)
    for _ in range(5):
        assert wire.value(first.query("SELECT count(*) FROM t")) == "0"
        assert wire.value(first.query("SELECT 1")) == "1"
    for w in crowd:
        w.shut()
    wait_until(lambda: p.psql("SELECT 1", check=False) == "1", "room")
    assert p.descriptors() < 64


@contextlib.contextmanager
def many_files(n):
    """Raises our own limit for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n:
        pytest.skip(f"needs {n} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


CLIENTS = 5000


def test_five_thousand_idle_clients(proxy):
    with many_files(CLIENTS + 500):
        p = proxy(before=limit_files(CLIENTS + 500), num_init_children=16, max_pool=2)
        some = [p.raw() for _ in range(50)]
        before = p.rss()
        clients = [p.raw() for _ in range(CLIENTS - len(some))]
        each = (p.rss() - before) / len(clients)
        assert p.sanitized or each < 2048, f"{each:.0f} bytes per idle client"
        for w in some[:16] + clients[-16:]:
            assert wire.value(w.query("SELECT 1")) == "1"
            w.bye()
        for w in some[16:] + clients[:-16]:
            w.shut()
        wait_until(lambda: p.descriptors() < 100, "closed descriptors")
        assert p.psql("SELECT 1") == "1"


# ---- memory -----------------------------------------------------------------------------------

MOST = 20_000_000


def within_bounds(p):
    assert p.sanitized or p.memory("VmHWM") < MOST, f"{p.memory('VmHWM')} bytes at most"


def skim(w, until):
    """Reads messages without keeping them; the bytes that they had."""
    total = 0
    while True:
        kind, size = struct.unpack("!cI", w.take(5))
        total += size + 1
        rest = size - 4
        while rest:
            part = len(w.take(min(rest, 1 << 20))) if w.buffer else w.sock.recv_into(SCRATCH, min(
                rest, len(SCRATCH)))
            assert part
            rest -= part
        if kind == b"E":
            raise AssertionError("an error instead of the result")
        if kind == until:
            return total


SCRATCH = memoryview(bytearray(1 << 20))


def test_a_result_of_a_gigabyte(proxy):
    p = proxy()
    w = p.raw(timeout=60)
    w.send(query("SELECT repeat('x', 1000000) FROM generate_series(1, 1024)"))
    assert skim(w, b"Z") > 1024 * 1000000
    within_bounds(p)


def test_a_row_of_a_gigabyte(proxy):
    p = proxy()
    w = p.raw(timeout=60)
    w.send(query("SELECT repeat(repeat('x', 1000000), 1000)"))
    assert skim(w, b"Z") > 1000000000
    within_bounds(p)


def test_a_bind_value_of_a_gigabyte(proxy):
    size, chunk = 1_000_000_000, b"v" * 1_000_000
    p = proxy()
    w = p.raw(timeout=60)
    w.send(parse("", "SELECT length($1::bytea)"))
    small = bind("", "", [b""], [1])                    # its value is made longer
    at = small.index(b"\0\0\0\0", 5 + 2 + 4 + 2)
    w.send(b"B" + struct.pack("!I", len(small) - 1 + size) + small[5:at]
           + struct.pack("!I", size))
    for _ in range(size // len(chunk)):
        w.send(chunk)
    w.send(small[at + 4:] + execute() + sync())
    assert wire.value(w.reply()) == str(size)
    within_bounds(p)


def test_a_simple_query_of_a_hundred_megabytes(proxy):
    p = proxy()
    w = p.raw(timeout=60)
    assert wire.value(w.query("SELECT length('" + "y" * 100_000_000 + "')")) == "100000000"
    within_bounds(p)


def test_readers_that_stand_still_cost_little(proxy):
    p = proxy()
    still = []
    for _ in range(20):
        w = Wire(p.address, receive_buffer=4096).login()
        w.send(query("SELECT repeat('x', 100000) FROM generate_series(1, 1000)"))
        assert w.read().type == "T"
        still.append(w)
    assert p.psql("SELECT 1") == "1"
    within_bounds(p)
    for w in still:
        w.shut()


def test_writers_to_a_server_that_stands_still_cost_little(proxy, primary):
    """The server waits for a lock while its client sends on and on."""
    primary.ask("DROP TABLE IF EXISTS locked; CREATE TABLE locked (a int)")
    p = proxy()
    with primary.connect() as c:
        c.execute("BEGIN")
        c.execute("LOCK TABLE locked")
        w = p.raw()
        w.send(query("INSERT INTO locked VALUES (1)"))
        w.sock.settimeout(0.3)
        data = query("SELECT '" + "z" * 1_000_000 + "'") * 100
        with pytest.raises(OSError):
            w.send(data)
        assert p.psql("SELECT 1") == "1"
        within_bounds(p)
        w.shut()
        c.execute("DROP TABLE locked; COMMIT")


def test_many_prepared_statements_are_kept_within_bounds(proxy):
    p = proxy()
    w = p.raw()
    for i in range(0, 5000, 500):
        w.send(b"".join(parse(f"s{j}", f"SELECT {j}") for j in range(i, i + 500)) + sync())
        assert wire.errors(w.reply()) == []
    assert wire.value(w.ask(bind("", "s4321") + execute() + sync())) == "4321"
    within_bounds(p)
    w.bye()


def test_connection_refused_is_told_by_drivers(proxy, own_pair):
    primary, replica = own_pair
    p = proxy(nodes=own_pair, primary_wait_timeout=0, **FAST)
    replica.stop()
    primary.stop()
    with pytest.raises(psycopg.OperationalError):
        p.connect()


# ---- PostgreSQL's own timeouts ----------------------------------------------------------------

IDLE, IN_TRANSACTION, LONG = ("idle_session_timeout", "idle_in_transaction_session_timeout",
                              "transaction_timeout")
SINCE = {IDLE: 14, IN_TRANSACTION: 13, LONG: 17}
TIMEOUTS = {
    "on a replica": (IN_TRANSACTION, "25P03", "BEGIN", "SELECT 1"),
    "with a replica's snapshot": (IN_TRANSACTION, "25P03", "BEGIN ISOLATION LEVEL REPEATABLE READ",
                                  "SELECT 1"),
    "on both": (IN_TRANSACTION, "25P03", "BEGIN", "SELECT 1", "CREATE TEMP TABLE mine (a int)"),
    "in a failed one": (IN_TRANSACTION, "25P03", "BEGIN", "SELECT 1 / 0"),
    "with a temporary table": (IDLE, "57P05", "CREATE TEMP TABLE mine (a int)"),
    "that listens": (IDLE, "57P05", "LISTEN news", "SELECT 1"),
    "too long on a replica": (LONG, "25P04", "BEGIN", "SELECT 1"),
    "too long, and it runs": (LONG, "25P04", "BEGIN", "SELECT pg_sleep(10)"),
}


@pytest.mark.parametrize("how", TIMEOUTS)
def test_postgresql_s_own_timeouts_end_the_session(proxy, primary, how):
    timeout, code, *steps, last = TIMEOUTS[how]
    if pg.VERSION < SINCE[timeout]:
        pytest.skip(f"no {timeout} before {SINCE[timeout]}")
    for target in (primary, proxy()):
        w = target.raw()
        for sql in (f"SET {timeout} = '300ms'", *steps):
            w.query(sql)
        w.send(wire.query(last))
        assert [m.code for m in w.eof() if m.type == "E"][-1:] == [code]


@pytest.mark.skipif(pg.VERSION < 14, reason="no idle_session_timeout")
def test_an_idle_session_that_has_nothing_on_a_server_goes_on(proxy, primary):
    """The timeout is there for PostgreSQL's sake, which has its connection back."""
    with proxy().raw() as w:
        w.query("SET idle_session_timeout = '200ms'")
        pid = int(wire.value(w.query("/* primary */ SELECT pg_backend_pid()")))
        wait_until(lambda: not primary.backends(f"pid = {pid}"), "the end of its connection")
        assert wire.value(w.query("SHOW idle_session_timeout")) == "200ms"
        w.bye()
