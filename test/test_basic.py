"""The first steps of a connection: how clients of all kinds get in, and who is turned away."""

import contextlib
import ctypes
import errno
import os
import socket
import stat
import struct

import psycopg
import psycopg2
import pytest

import pg
import wire
from pg import free_port
from wire import V2_0, V3_0, V3_2, V3_9999

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_PIDFD_GETFD = 438                   # on all architectures


# ---- psql and drivers -------------------------------------------------------------------------

def test_psql_runs_a_statement(proxy):
    assert proxy().psql("SELECT 40 + 2") == "42"


def test_psql_runs_a_file(proxy, tmp_path):
    file = tmp_path / "script.sql"
    file.write_text("BEGIN;\nCREATE TEMP TABLE t AS SELECT generate_series(1, 3) AS x;\n"
                    "SELECT sum(x) FROM t;\nROLLBACK;\n\\echo done\n")
    assert proxy().psql(None, "-f", str(file)) == "6\ndone"


def test_psql_reads_standard_input(proxy):
    assert proxy().psql(input="SELECT 1;\nSELECT 2;\n") == "1\n2"


@pytest.mark.parametrize("command", [
    r"\d", r"\d seen", r"\dt *.*", r"\df pg_catalog.now", r"\l", r"\du", r"\dn", r"\conninfo",
    r"\dx", r"\sf pg_catalog.overlay(text,text,integer)"])
def test_psql_describes_the_catalog(proxy, primary, replica, command):
    if command == r"\l" and pg.VERSION > pg.major(pg.BIN):
        pytest.skip("psql is older than the server")
    primary.su("CREATE TABLE IF NOT EXISTS seen (id int PRIMARY KEY, name text)")
    primary.catch_up(replica)
    assert proxy().psql(input=command + "\n") != ""


def test_psql_describes_a_table_as_it_is(proxy, primary, replica):
    primary.su("CREATE TABLE IF NOT EXISTS seen (id int PRIMARY KEY, name text)")
    primary.catch_up(replica)
    assert proxy().psql(input="\\d seen\n") == primary.psql(input="\\d seen\n")


def test_psql_copies_in_and_out(proxy):
    script = ("CREATE TEMP TABLE t (a int, b text);\n\\copy t FROM STDIN\n1\tone\n2\ttwo\n\\.\n"
              "\\copy (SELECT * FROM t ORDER BY a) TO STDOUT\n")
    assert proxy().psql(input=script) == "1\tone\n2\ttwo"


def test_psql_reports_an_error_and_goes_on(proxy):
    out = proxy().psql(None, "-v", "ON_ERROR_STOP=0", input="SELECT 1/0;\nSELECT 7;\n")
    assert "division by zero" in out and out.endswith("7")


def test_psycopg2_works(proxy):
    p = proxy()
    with psycopg2.connect(**p.where()) as c, c.cursor() as cursor:
        cursor.execute("SELECT %s || 'x'", ("a",))
        assert cursor.fetchall() == [("ax",)]
    c.close()


def test_psycopg_works_with_parameters_and_prepared(proxy):
    with proxy().connect() as c:
        for i in range(12):
            assert c.execute("SELECT %s::int + 1", (i,), prepare=True).fetchone() == (i + 1,)


def test_psycopg_pipeline_works(proxy):
    with proxy().connect() as c, c.pipeline():
        cursors = [c.execute("SELECT %s::int", (i,)) for i in range(50)]
        assert [k.fetchone()[0] for k in cursors] == list(range(50))


# ---- ways in ----------------------------------------------------------------------------------

def test_unix_socket(proxy):
    p = proxy()
    assert p.psql("SELECT 1", host=p.folder) == "1"


@pytest.mark.proxy
def test_old_name_of_the_socket_folder(proxy, tmp_path):
    p = proxy(unix_socket_directories=None, socket_dir=str(tmp_path))
    assert p.psql("SELECT 1", host=str(tmp_path)) == "1"


@pytest.mark.proxy
def test_unix_socket_permissions(proxy):
    p = proxy(unix_socket_permissions=0o700)
    assert os.stat(p.socket).st_mode & 0o777 == 0o700


@pytest.mark.proxy
def test_unix_socket_is_removed_at_the_end(proxy):
    p = proxy()
    path = p.socket
    assert os.path.exists(path)
    p.stop()
    assert not os.path.exists(path)


@pytest.mark.proxy
def test_socket_left_by_a_killed_proxy_does_not_stop_the_next(proxy):
    first = proxy()
    first.process.kill()
    first.wait()
    assert os.path.exists(first.socket)
    second = proxy(port=first.port, unix_socket_directories=first.folder)
    assert second.psql("SELECT 1", host=first.folder) == "1"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.proxy
@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("addresses", ["::1,127.0.0.1", "127.0.0.1,::1", "*"])
def test_ipv6_and_several_addresses(proxy, addresses):
    p = proxy(listen_addresses=addresses)
    assert p.psql("SELECT 1", host="::1") == "1"
    assert p.psql("SELECT 1", host="127.0.0.1") == "1"


@pytest.mark.proxy
@pytest.mark.parametrize("addresses", ["127.0.0.1,127.0.0.2", "0.0.0.0", "localhost", "*",
                                       " 127.0.0.1 , 127.0.0.3 "])
def test_listen_addresses(proxy, addresses):
    assert proxy(listen_addresses=addresses).psql("SELECT 1") == "1"


@pytest.mark.proxy
def test_only_the_given_address_is_listened_on(proxy):
    p = proxy(listen_addresses="127.0.0.1")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", p.port), 1)


@pytest.mark.proxy
def test_no_tcp_at_all(proxy):
    p = proxy(start=False, listen_addresses="").launch()
    wire.wait_until(lambda: os.path.exists(p.socket), "the socket")
    assert p.psql("SELECT 1", host=p.folder) == "1"
    with pytest.raises(OSError):
        socket.create_connection(p.address, 1)


@pytest.mark.proxy
def test_a_port_in_use_ends_the_start(proxy):
    p = proxy()
    q = proxy(start=False, port=p.port).launch()
    assert q.wait() == 3
    assert "FATAL" in q.log_text()


def sockets_of(pid):
    """Duplicates of a process's connections, by the address of their other end."""
    found, handle = {}, os.pidfd_open(pid)
    for fd in os.listdir(f"/proc/{pid}/fd"):
        copy = LIBC.syscall(SYS_PIDFD_GETFD, handle, int(fd), 0)
        if copy < 0 and ctypes.get_errno() == errno.EPERM:
            pytest.skip("another process's sockets may not be looked at")
        if copy >= 0 and stat.S_ISSOCK(os.fstat(copy).st_mode):
            s = socket.socket(fileno=copy)
            with contextlib.suppress(OSError):      # it listens
                found[s.getpeername()] = s
        elif copy >= 0:
            os.close(copy)
    os.close(handle)
    return found


@pytest.mark.proxy
def test_an_accepted_connection_is_not_delayed_and_is_probed(proxy):
    pcp = free_port()
    p = proxy(pcp_listen_addresses="127.0.0.1", pcp_port=pcp, pcp="")
    with p.raw() as w, socket.create_connection(("127.0.0.1", pcp)) as other:
        other.sendall(wire.message("M"))
        assert other.recv(1) == b"m"    # accepted
        inside = sockets_of(p.pid)
        for s in (w.sock, other):
            end = inside[s.getsockname()]
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for s in inside.values():
            s.close()


# ---- before the startup packet ----------------------------------------------------------------

@pytest.mark.parametrize("requests", [
    [wire.SSL_REQUEST], [wire.GSS_REQUEST], [wire.GSS_REQUEST, wire.SSL_REQUEST],
    [wire.SSL_REQUEST, wire.GSS_REQUEST]])
@pytest.mark.proxy                      # Debian's PostgreSQL accepts GSS encryption
def test_encryption_is_declined_and_the_login_goes_on(proxy, requests):
    w = proxy().raw(login=False)
    for code in requests:
        w.send(wire.packet(code))
        assert w.take(1) == b"N"
    w.login()
    assert wire.value(w.query("SELECT 1")) == "1"


def test_sslmode_require_fails_on_the_client_side(proxy):
    with pytest.raises(psycopg.OperationalError, match="SSL"):
        proxy().connect(sslmode="require")


def test_connection_without_a_word_is_closed_quietly(proxy):
    p = proxy()
    p.raw(login=False).shut()
    assert p.psql("SELECT 1") == "1"


# ---- versions and options ---------------------------------------------------------------------

def negotiated(w):
    """(version, [options]) of NegotiateProtocolVersion."""
    v = w.read()
    assert v.type == "v"
    version, n = struct.unpack_from("!II", v.body)
    names = [s.decode() for s in v.body[8:].split(b"\0")[:-1]]
    assert len(names) == n
    return version, names


def test_version_3_0_gets_a_four_byte_key_and_no_negotiation(proxy):
    w = proxy().raw()
    assert len(w.key) == 4 and w.pid != 0
    assert "v" not in [m.type for m in w.greeting]


@pytest.mark.proxy
def test_version_3_2_is_spoken(proxy):
    w = proxy().raw(version=V3_2)
    assert "v" not in [m.type for m in w.greeting]
    assert 4 <= len(w.key) <= 256
    assert wire.value(w.query("SELECT 1")) == "1"


@pytest.mark.proxy
@pytest.mark.parametrize("asked, given", [(V3_9999, V3_2), (0x30003, V3_2), (0x30001, V3_0)])
def test_other_minor_versions_are_negotiated(proxy, asked, given):
    w = proxy().raw(login=False).startup(version=asked)
    assert negotiated(w) == (given, [])
    w.authenticate("app", "")
    assert wire.value(w.query("SELECT 1")) == "1"


@pytest.mark.parametrize("version", [V3_0, V3_2, V3_9999])
def test_unknown_protocol_options_are_named(proxy, direct, version):
    """libpq 19 sends _pq_.test_protocol_negotiation and refuses servers that do not answer."""
    if direct and version != V3_0:
        pytest.skip("PostgreSQL 15 speaks 3.0 only")
    w = proxy().raw(login=False)
    w.send(wire.startup_list(version, [("user", "app"), ("_pq_.test_protocol_negotiation", ""),
                                       ("database", "app"), ("_pq_.other", "1")]))
    got, names = negotiated(w)
    assert names == ["_pq_.test_protocol_negotiation", "_pq_.other"]
    if not direct:
        assert got == (V3_0 if version == V3_0 else V3_2)
    w.authenticate("app", "")
    assert wire.value(w.query("SELECT 1")) == "1"


def refusal(w):
    """The only answer is one FATAL error, and then the end."""
    out = w.eof()
    assert [m.type for m in out] == ["E"], out
    assert out[0].fields["S"] == "FATAL"
    return out[0]


@pytest.mark.proxy                      # PostgreSQL answers those below 3 in the way of version 2
@pytest.mark.parametrize("version", [0x40000, 0x10000, V2_0])
def test_other_major_versions_are_refused(proxy, version):
    w = proxy().raw(login=False)
    if version < V3_0:
        w.send(wire.packet(version, b"app\0".ljust(288, b"\0")))
    else:
        w.send(wire.startup(version, user="app"))
    e = refusal(w)
    assert e.code == "0A000"
    assert "unsupported frontend protocol" in e.fields["M"]


def test_no_user_name(proxy):
    w = proxy().raw(login=False)
    w.send(wire.startup(database="app"))
    e = refusal(w)
    assert e.code == "28000"
    assert e.fields["M"] == "no PostgreSQL user name specified in startup packet"


def test_the_database_defaults_to_the_user(proxy):
    w = proxy().raw(login=False)
    w.send(wire.startup(user="app"))
    w.authenticate("app", "")
    assert wire.value(w.query("SELECT current_database()")) == "app"


def test_startup_options_hold(proxy):
    w = proxy().raw(application_name="me", options="-c work_mem=1MB -c statement_timeout=1234",
                    DateStyle="German", client_encoding="LATIN1")
    assert w.parameters["application_name"] == "me"
    assert w.parameters["client_encoding"] == "LATIN1"
    assert w.parameters["DateStyle"].startswith("German")
    for name, expect in [("work_mem", "1MB"), ("statement_timeout", "1234ms"),
                         ("application_name", "me"), ("client_encoding", "LATIN1")]:
        assert wire.value(w.query(f"SHOW {name}")) == expect


def test_an_unknown_startup_option_is_refused(proxy):
    with pytest.raises(wire.LoginError) as e:
        proxy().raw(no_such_parameter="1")
    assert e.value.code == "42704" and e.value.fields["S"] == "FATAL"


def test_a_bad_value_of_a_startup_option_is_refused(proxy):
    with pytest.raises(wire.LoginError) as e:
        proxy().raw(DateStyle="nonsense")
    assert e.value.code == "22023"


def test_greeting_has_all_parameters(proxy, primary):
    w, d = proxy().raw(), primary.raw()
    assert w.parameters == d.parameters
    assert [m.type for m in w.greeting].count("K") == 1
    assert w.greeting[-1].body == b"I"


# ---- damaged startup packets ------------------------------------------------------------------

GARBAGE = {
    "length 0": struct.pack("!I", 0) + b"\0" * 8,
    "length 3": struct.pack("!I", 3) + b"\0" * 8,
    "length 4": struct.pack("!I", 4),
    "length 7": struct.pack("!I", 7) + b"\0\3\0",
    "length 10001": struct.pack("!II", 10001, V3_0) + b"user\0app\0" + b"x" * 9984,
    "length 2^31 - 1": struct.pack("!II", 0x7FFFFFFF, V3_0),
    "length 2^32 - 1": struct.pack("!II", 0xFFFFFFFF, V3_0),
    "no final zero": struct.pack("!II", 17, V3_0) + b"user\0app\0",
    "option without value": struct.pack("!II", 13, V3_0) + b"user\0",
    "no options": struct.pack("!II", 8, V3_0),
    "text after the end": wire.packet(V3_0, b"user\0app\0\0database\0app\0\0"),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "zeros": bytes(64),
    "a query": wire.query("SELECT 1"),
    "cancel too short": wire.packet(wire.CANCEL, b"\0\0"),
    "cancel of nobody": wire.cancel(0xFFFFFFFF, b"abcd"),
    "cancel with a long key": wire.cancel(1, b"k" * 256),
    "cancel with a key too long": wire.cancel(1, b"k" * 5000),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_damaged_startup_packet_ends_its_own_connection_only(proxy, data):
    p = proxy()
    other = p.raw()
    w = p.raw(login=False)
    w.send(data)
    w.sock.shutdown(socket.SHUT_WR)
    assert all(m.type == "E" for m in w.eof())
    assert wire.value(other.query("SELECT 1")) == "1"


def test_a_startup_packet_of_the_greatest_size(proxy):
    w = proxy().raw(login=False)
    fixed = wire.startup(user="app", database="app", application_name="")
    name = "n" * (10000 - len(fixed))
    w.login(application_name=name)
    assert w.parameters["application_name"] == "n" * 63


# ---- the speed of clients ---------------------------------------------------------------------

SESSION = (wire.startup(user="app", database="app") + wire.query("SELECT 'first'")
           + wire.extended("SELECT $1 || 'nd'", ["seco"]) + wire.sync()
           + wire.query("SELECT 1; SELECT 2") + wire.terminate())


def session_replies(w):
    out = w.reply(4)
    assert [r[0] for r in wire.rows(out)] == [b"first", b"second", b"1", b"2"]
    assert w.eof() == []


def test_a_client_that_sends_byte_by_byte(proxy):
    w = proxy().raw(login=False)
    w.trickle(SESSION)
    session_replies(w)


def test_a_client_that_sends_all_at_once(proxy):
    w = proxy().raw(login=False)
    w.send(SESSION)
    session_replies(w)


@pytest.mark.parametrize("cut", range(1, len(SESSION), 7))
def test_a_client_that_pauses_once(proxy, cut):
    w = proxy().raw(login=False)
    w.send(SESSION[:cut])
    w.send(SESSION[cut:])
    session_replies(w)


@pytest.mark.parametrize("farewell", [b"", wire.terminate()], ids=["silent", "polite"])
@pytest.mark.parametrize("text", ["SELECT 'x'", "SELECT 'x', pg_sleep(0.1)"], ids=["fast", "slow"])
def test_a_client_that_closes_its_half_gets_its_answers(proxy, farewell, text):
    w = proxy().raw()
    w.send(wire.query(text) * 2 + farewell)
    w.sock.shutdown(socket.SHUT_WR)
    assert [wire.value(w.reply()) for _ in range(2)] == ["x", "x"]
    assert w.eof() == []


def test_a_client_that_goes_without_a_word(proxy):
    p = proxy()
    for _ in range(20):
        w = p.raw()
        w.send(wire.query("SELECT 1"))
        w.shut()
    assert p.psql("SELECT 1") == "1"


def test_free_port_gives_another_one_each_time():
    assert len({free_port() for _ in range(10)}) == 10
