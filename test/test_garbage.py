"""Bytes that no client should send, at every stage of a connection: each connection may only
harm itself.  The noise is from a seeded generator, so a failure can be had again."""

import contextlib
import random
import socket
import struct

import pytest

import wire
from wire import (V3_0, bind, copy_data, copy_done, describe, execute, extended, message, parse,
                  query, sync)

pytestmark = pytest.mark.proxy

LOGIN = wire.startup(user="app", database="app")
SESSION = (query("SELECT 1") + extended("SELECT $1::int", [5]) + sync() + query("BEGIN")
           + parse("s", "SELECT 2") + describe("S", "s") + bind("p", "s") + execute("p", 1) + sync()
           + wire.close("S", "s") + wire.flush() + wire.function_call(1397, [-5])
           + query("COMMIT") + query("CREATE TEMP TABLE t (a text)") + query("COPY t FROM STDIN")
           + copy_data(b"one\ntwo\n") + copy_done() + query("SELECT 3") + wire.terminate())
TYPES = "QPBDECHSFdcfpX"


def finish(w):
    """No more is sent; whatever comes is read until the peer closes, which it has to."""
    with contextlib.suppress(OSError):
        w.sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionError):
        while w.sock.recv(1 << 16):
            pass
    w.shut()


def throw(p, data, login=True):
    """Sends bytes on a connection of their own and waits for its end."""
    w = p.raw(login=login, timeout=5)
    with contextlib.suppress(ConnectionError):
        w.send(data)
    try:
        finish(w)
    except TimeoutError:
        raise AssertionError(f"the connection does not end after {data[:3000]!r}") from None


@pytest.fixture
def victim(proxy):
    """A proxy with a session that must not notice anything, and a bound on its memory."""
    p = proxy(log_per_node_statement=False, authentication_timeout=5)
    w = p.raw()
    w.query("CREATE TEMP TABLE mine (a int)")
    w.query("BEGIN")
    w.query("INSERT INTO mine VALUES (42)")
    before = p.rss()
    yield p
    assert wire.value(w.query("SELECT a FROM mine")) == "42"
    assert w.query("COMMIT")[-1].body == b"I"
    assert p.psql("SELECT 1") == "1"
    assert not [line for line in p.log if "is down" in line], "PostgreSQL's answer to one client"
    assert p.sanitized or p.rss() < before + 4_000_000


def noise(rng, most=300):
    return rng.randbytes(rng.randrange(1, most))


@pytest.mark.parametrize("seed", range(4))
def test_noise_instead_of_a_startup_packet(victim, seed):
    rng = random.Random(seed)
    for _ in range(50):
        throw(victim, noise(rng), login=False)
        throw(victim, struct.pack("!I", rng.randrange(4, 400)) + noise(rng), login=False)
        throw(victim, struct.pack("!II", rng.randrange(8, 400), V3_0) + noise(rng), login=False)


@pytest.mark.parametrize("seed", range(4))
def test_noise_after_the_login(victim, seed):
    rng = random.Random(seed)
    for _ in range(40):
        throw(victim, noise(rng))


@pytest.mark.parametrize("seed", range(4))
def test_noise_in_well_formed_messages(victim, seed):
    rng = random.Random(seed)
    for _ in range(40):
        throw(victim, b"".join(message(rng.choice(TYPES), noise(rng, 60))
                               for _ in range(rng.randrange(1, 8))) + sync())


@pytest.mark.parametrize("seed", range(4))
def test_messages_of_all_types_in_any_order(victim, seed):
    rng = random.Random(seed)
    some = [query("SELECT 1"), query(""), query("BEGIN"), query("ROLLBACK"), query("SELECT 1/0"),
            parse("", "SELECT $1"), parse("a", "SELECT 1"), parse("a", "SELEC"), bind(),
            bind("p", "a"), bind("", "", ["x"]), describe("S", "a"), describe("P", "p"),
            execute(), execute("p", 1), wire.close("S", "a"), wire.close("P", "p"), wire.flush(),
            sync(), sync(), sync(), wire.function_call(1397, [-5]), copy_data(b"x\n"), copy_done(),
            wire.copy_fail("no"), query("COPY (SELECT 1) TO STDOUT"),
            query("CREATE TEMP TABLE IF NOT EXISTS t (a text); COPY t FROM STDIN"),
            extended("COPY pg_temp.t FROM STDIN")]
    for _ in range(25):
        throw(victim, b"".join(rng.choices(some, k=rng.randrange(1, 60))))


@pytest.mark.parametrize("seed", range(4))
def test_a_session_with_some_bytes_changed(victim, seed):
    rng = random.Random(seed)
    for _ in range(60):
        data = bytearray(LOGIN + SESSION)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        throw(victim, bytes(data), login=False)


def test_a_session_cut_off_anywhere(victim):
    data = LOGIN + SESSION
    for end in range(1, len(data), 3):
        throw(victim, data[:end], login=False)


@pytest.mark.parametrize("kind", TYPES + "RZTa\0\x80\xff")
def test_absurd_lengths(victim, kind):
    head = kind.encode("latin-1")
    for size in (0, 1, 3, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        throw(victim, head + struct.pack("!I", size) + b"x" * 50)


@pytest.mark.parametrize("kind", TYPES.replace("X", ""))
def test_bodies_that_end_too_early(victim, kind):
    """PostgreSQL's own words are an 08P01; the session lives on or is ended clearly."""
    for body in (b"", b"\0", b"x", b"\xff" * 3, b"no end of string", b"S", b"P", b"\0\0\xff\xff",
                 b"\0\0\0\0\0\0", b"name\0", b"name\0text\0\xff\xff"):
        throw(victim, message(kind, body) + sync() + query("SELECT 1"))


def test_bind_counts_that_lie(victim):
    for tail in (b"\xff\xff", b"\0\1\0\7\0\0\0\0", b"\0\0\xff\xff", b"\0\0\0\1\x7f\xff\xff\xff",
                 b"\0\0\0\1\xff\xff\xff\xfe\0\0", b"\0\0\0\0\xff\xff", b"\0\0\0\1\0\0\0\5abc"):
        throw(victim, parse("", "SELECT $1") + message("B", b"\0\0" + tail) + execute() + sync())


@pytest.mark.parametrize("seed", range(2))
def test_statements_of_noise(victim, seed):
    """The classifier meets any text."""
    rng = random.Random(seed)
    words = ["select", "'", '"', "$$", "$a$", "(", ")", ";", "/*", "*/", "--", "\n", "begin",
             "with", "insert", "E'", "U&\"", "\\", "as", "$1", "::", "for update", "copy",
             "prepare x as",
             "\xff", "explain", "1e", "0x", ".", ",", "from", "commit", "set", "to", "default"]
    w = victim.raw()
    for _ in range(400):
        text = " ".join(rng.choices(words, k=rng.randrange(1, 15))).encode("latin-1")
        w.send(message("Q", text.replace(b"\0", b"") + b"\0"))
        out = w.until("GZ")
        if out[-1].type == "G":
            w.send(wire.copy_fail("no"))
            w.reply()
        if rng.randrange(10) == 0:
            w.query("ROLLBACK")


def test_what_clients_must_not_send_in_version_3(victim):
    """Replies of a server, sent by a client."""
    for kind in "RSKZTDCEN123tnsIGHWAVv":
        throw(victim, message(kind, b"\0\0\0\0") + query("SELECT 1"))


def test_password_messages_after_the_login(victim):
    w = victim.raw()
    w.send(wire.password("late"))
    finish(w)
    throw(victim, wire.password("late") * 100)


def test_a_second_startup_packet(victim):
    throw(victim, LOGIN + query("SELECT 1"))


def test_nothing_at_all_from_many(victim):
    crowd = [victim.raw(login=False) for _ in range(200)]
    assert victim.psql("SELECT 1") == "1"
    for w in crowd:
        w.shut()


@pytest.mark.parametrize("behind", [query("SELECT 7"), query("SELECT 7 FROM generate_series(1, 3)"),
                                    wire.function_call(1598, [])])
def test_what_stands_in_a_failed_copy_is_no_answer_to_others(proxy, behind):
    """PostgreSQL may have failed the COPY already, and take it for a new request."""
    p = proxy()
    with p.connect() as c:
        c.execute("CREATE TABLE IF NOT EXISTS copied (a int)")
    for i in range(150):
        with p.raw() as w:
            w.send(query("COPY copied FROM STDIN"))
            w.until("G")
            w.send(wire.copy_data(b"bad\n"))
            w.send(behind)
        with p.raw() as other:
            for n in range(3):
                assert wire.value(other.query(f"/*NO LOAD BALANCE*/ SELECT '{i}.{n}'")) == f"{i}.{n}"
