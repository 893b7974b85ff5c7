"""Nodes that are no PostgreSQL: Python speaks its protocol, as badly as a test wants.

    FakeNode(treat)         treat(socket) for each connection, one after the other
    fake(treat)             (a fixture) treat(Talk) for each, in threads of their own
"""

import contextlib
import socket
import struct
import threading

import wire
from pg import free_port
from wire import message

OK = message("R", struct.pack("!I", 0))
READY = OK + message("K", struct.pack("!II", 1, 2)) + message("Z", b"I")


def sasl(code, data):
    return message("R", struct.pack("!I", code) + data)


def result(*values):
    """One row and the end of a reply."""
    return message("D", wire.values(values)) + message("C", b"SELECT 1\0") + message("Z", b"I")


def row(*values):
    """The reply to a simple query that gives one row."""
    return message("T", struct.pack("!H", len(values)) + b"".join(
        wire.cstring("a") + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0) for _ in values)
    ) + result(*values)


class FakeNode:
    """A listener that treats each connection with one function."""

    host = "127.0.0.1"

    def __init__(self, treat):
        self.port = free_port()
        self.treat, self.kept = treat, []
        self.listener = socket.create_server((self.host, self.port))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                s.settimeout(5)
                self.kept.append(s)
                with contextlib.suppress(OSError):
                    self.treat(s)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for s in self.kept:
            s.close()


class Talk:
    """The server's end of one connection, with or without TLS."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def take(self, n):
        while len(self.buffer) < n:
            got = self.sock.recv(65536)
            if not got:
                raise OSError("closed")
            self.buffer += got
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def packet(self):
        size, = struct.unpack("!I", self.take(4))
        return self.take(size - 4)

    def message(self):
        return self.take(1), self.packet()

    def secure(self, context):
        """SSLRequest, S, handshake."""
        assert self.packet() == struct.pack("!I", wire.SSL_REQUEST)
        self.sock.sendall(b"S")
        self.sock = context.wrap_socket(self.sock, server_side=True)

    def serve(self):
        """Logged in: every query gives its number."""
        self.sock.sendall(READY)
        for n in range(1, 1000):
            if self.message()[0] == b"Q":
                self.sock.sendall(row(n))
