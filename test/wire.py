"""A small raw client of PostgreSQL's protocol 3: it sends exactly the bytes that a test wants.

Building:  query(), parse(), bind() ... return the bytes of one message; messages are joined with +.
Talking:   Wire(address).login() or .startup(); .send(bytes); .read() one Message; .reply() all up
           to and including ReadyForQuery; .until("1") up to a type; .eof() that the peer closed.
Reading:   Message(type, body) with .fields (errors and notices), .row, .tag, .status, .text.

Nothing is retried or hidden: a time-out is an error of the test (socket.timeout).
"""

import base64
import hashlib
import hmac
import os
import socket
import struct
import time
from typing import NamedTuple

V3_0, V3_2, V3_9999, V2_0 = 0x30000, 0x30002, 0x3270F, 0x20000
CANCEL, SSL_REQUEST, GSS_REQUEST = 80877102, 80877103, 80877104
SESSION_PID = 1 << 30           # of the proxy's first session; see client.h
SERVER_PID = SESSION_PID + (1 << 20)    # of its first connection to PostgreSQL


# ---- building ---------------------------------------------------------------------------------

def cstring(s):
    return (s if isinstance(s, bytes) else s.encode()) + b"\0"


def message(type_, body=b""):
    return type_.encode() + struct.pack("!I", len(body) + 4) + body


def packet(code, body=b""):
    """A packet without a type byte: what a connection begins with."""
    return struct.pack("!II", len(body) + 8, code) + body


def startup(version=V3_0, **options):
    body = b"".join(cstring(k) + cstring(v) for k, v in options.items())
    return packet(version, body + b"\0")


def startup_list(version, options):
    """As startup(), for option names that are no Python names."""
    return packet(version, b"".join(cstring(k) + cstring(v) for k, v in options) + b"\0")


def cancel(pid, key):
    return packet(CANCEL, struct.pack("!I", pid) + key)


def query(sql):
    return message("Q", cstring(sql))


def parse(name, sql, types=()):
    return message("P", cstring(name) + cstring(sql)
                   + struct.pack("!H%dI" % len(types), len(types), *types))


def values(params):
    """Parameter values as Bind and FunctionCall carry them; None is NULL."""
    out = struct.pack("!H", len(params))
    for p in params:
        p = str(p).encode() if p is not None and not isinstance(p, bytes) else p
        out += struct.pack("!i", -1) if p is None else struct.pack("!I", len(p)) + p
    return out


def shorts(numbers):
    return struct.pack("!H%dH" % len(numbers), len(numbers), *numbers)


def bind(portal="", statement="", params=(), formats=(), results=()):
    return message("B", cstring(portal) + cstring(statement) + shorts(formats) + values(params)
                   + shorts(results))


def describe(kind, name=""):
    return message("D", kind.encode() + cstring(name))


def execute(portal="", limit=0):
    return message("E", cstring(portal) + struct.pack("!I", limit))


def close(kind, name=""):
    return message("C", kind.encode() + cstring(name))


def function_call(oid, params, formats=(), result=0):
    return message("F", struct.pack("!I", oid) + shorts(formats) + values(params)
                   + struct.pack("!H", result))


def flush():
    return message("H")


def sync():
    return message("S")


def terminate():
    return message("X")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(why):
    return message("f", cstring(why))


def password(text):
    return message("p", cstring(text))


def extended(sql, params=(), name="", portal="", limit=0, types=()):
    """Parse, Bind, Describe and Execute of one statement, without Sync."""
    return (parse(name, sql, types) + bind(portal, name, params) + describe("P", portal)
            + execute(portal, limit))


# ---- reading ----------------------------------------------------------------------------------

class Message(NamedTuple):
    type: str
    body: bytes

    @property
    def fields(self):
        """{"C": sqlstate, "M": message, "S": severity, ...} of an error or notice."""
        return {f[:1].decode(): f[1:].decode(errors="replace")
                for f in self.body.split(b"\0") if f}

    @property
    def code(self):
        return self.fields["C"]

    @property
    def tag(self):
        return self.body[:-1].decode()

    @property
    def status(self):
        return self.body.decode()

    @property
    def row(self):
        """The values of a DataRow as bytes (None is NULL)."""
        n, at, out = struct.unpack_from("!H", self.body)[0], 2, []
        for _ in range(n):
            size, = struct.unpack_from("!i", self.body, at)
            at += 4
            out.append(None if size < 0 else self.body[at:at + size])
            at += max(size, 0)
        return out

    @property
    def parameter(self):
        name, value, _ = self.body.split(b"\0")
        return name.decode(), value.decode()

    def __repr__(self):
        body = self.fields if self.type in "EN" else self.body
        return f"{self.type}:{body!r}"


def types(messages):
    """The types of messages in one string, runs of rows and copy data counted once."""
    out = ""
    for m in messages:
        if not (m.type in "Dd" and out.endswith(m.type)):
            out += m.type
    return out


def rows(messages):
    return [m.row for m in messages if m.type == "D"]


def value(messages):
    """The first column of the only row, as text."""
    (row,) = rows(messages)
    return row[0].decode()


def errors(messages):
    return [m.code for m in messages if m.type == "E"]


class Wire:
    """One connection.  address = (host, port) or the path of a Unix socket."""

    def __init__(self, address, timeout=10, receive_buffer=None):
        family = (socket.AF_UNIX if isinstance(address, str) else
                  socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(address)
        if family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.pid, self.key, self.parameters = 0, b"", {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shut()

    def shut(self):
        self.sock.close()

    def bye(self):
        """Terminate, as a polite client does, and see that the peer closes."""
        self.send(terminate())
        self.eof()
        self.shut()

    # -- bytes

    def send(self, data):
        self.sock.sendall(data)

    def trickle(self, data):
        """One byte per segment."""
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])

    def take(self, n):
        while len(self.buffer) < n:
            got = self.sock.recv(max(65536, n - len(self.buffer)))
            if not got:
                raise EOFError(f"closed after {bytes(self.buffer)!r}")
            self.buffer += got
        out = bytes(self.buffer[:n])
        del self.buffer[:n]
        return out

    def eof(self):
        """Reads to the end and returns the messages before it; a reset is an end, too."""
        out = []
        try:
            while True:
                out.append(self.read())
        except (EOFError, ConnectionError):
            return out

    def silent(self, seconds=0.05):
        """Nothing comes for a moment (only ever a weak check)."""
        if self.buffer:
            return False
        before = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
            return False
        except (socket.timeout, BlockingIOError):
            return True
        finally:
            self.sock.settimeout(before)

    # -- messages

    def read(self):
        head = self.take(5)
        size, = struct.unpack("!I", head[1:])
        assert size >= 4, f"impossible length {size} of message {head[:1]!r}"
        return Message(head[:1].decode("latin-1"), self.take(size - 4))

    def until(self, kinds):
        out = []
        try:
            while not out or out[-1].type not in kinds:
                out.append(self.read())
        except EOFError as e:
            raise EOFError(f"{e}, and before it {out}") from None
        return out

    def reply(self, count=1):
        """All messages up to and including the count-th ReadyForQuery."""
        out = []
        for _ in range(count):
            out += self.until("Z")
        return out

    def ask(self, data, count=1):
        self.send(data)
        return self.reply(count)

    def query(self, sql):
        return self.ask(query(sql))

    # -- login

    def startup(self, version=V3_0, user="app", database="app", **options):
        self.send(startup(version, user=user, database=database, **options))
        return self

    def login(self, version=V3_0, user="app", password="", database="app", **options):
        """Whatever the server asks for is answered; returns self, logged in."""
        self.startup(version, user, database, **options)
        self.greeting = self.authenticate(user, password)
        return self

    def authenticate(self, user, secret):
        seen = []
        while True:
            m = self.read()
            seen.append(m)
            if m.type == "R":
                self.answer(m, user, secret)
            elif m.type == "S":
                name, text = m.parameter
                self.parameters[name] = text
            elif m.type == "K":
                self.pid, self.key = struct.unpack("!I", m.body[:4])[0], m.body[4:]
            elif m.type == "E":
                raise LoginError(m)
            elif m.type == "Z":
                return seen

    def answer(self, m, user, secret):
        kind, = struct.unpack("!I", m.body[:4])
        if kind == 3:
            self.send(password(secret))
        elif kind == 5:
            inner = hashlib.md5((secret + user).encode()).hexdigest()
            self.send(password("md5" + hashlib.md5(inner.encode() + m.body[4:8]).hexdigest()))
        elif kind == 10:
            assert b"SCRAM-SHA-256" in m.body[4:].split(b"\0")
            self.scram = Scram(secret)
            first = self.scram.first()
            self.send(message("p", cstring("SCRAM-SHA-256") + struct.pack("!I", len(first))
                              + first))
        elif kind == 11:
            self.send(message("p", self.scram.final(m.body[4:])))
        elif kind == 12:
            self.scram.verify(m.body[4:])
        elif kind != 0:
            raise AssertionError(f"authentication request {kind}")


class LoginError(Exception):
    def __init__(self, m):
        super().__init__(m)
        self.error = m
        self.code = m.code
        self.fields = m.fields


class Scram:
    """The client's side of SCRAM-SHA-256 (RFC 7677)."""

    def __init__(self, secret):
        self.secret = secret.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n=,r={self.nonce}"

    def first(self):
        return ("n,," + self.bare).encode()

    def final(self, challenge):
        challenge = challenge.decode()
        part = dict(p.split("=", 1) for p in challenge.split(","))
        assert part["r"].startswith(self.nonce) and len(part["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac("sha256", self.secret, base64.b64decode(part["s"]),
                                     int(part["i"]))
        sign = lambda key, text: hmac.new(key, text, "sha256").digest()
        client = sign(salted, b"Client Key")
        without = "c=biws,r=" + part["r"]
        text = ",".join((self.bare, challenge, without)).encode()
        proof = bytes(a ^ b for a, b in zip(client, sign(hashlib.sha256(client).digest(), text)))
        self.expect = sign(sign(salted, b"Server Key"), text)
        return (without + ",p=" + base64.b64encode(proof).decode()).encode()

    def verify(self, final):
        assert final == b"v=" + base64.b64encode(self.expect), "server's signature is wrong"


def cancel_now(address, pid, key):
    """Sends a CancelRequest and waits until the peer closed."""
    with Wire(address) as w:
        w.send(cancel(pid, key))
        assert w.eof() == []


def wait_until(condition, what, seconds=10):
    """The value of condition() as soon as it is true; fails after a deadline."""
    end = time.monotonic() + seconds
    pause = 0.001
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
