"""Between the proxy and its replica: passes bytes on, until it is told to do harm.

    relay.arm("cut", 2)         the second message of a client from now on meets it
    relay.disarm()              and all is well again

HARMS says what there is.  Messages of a login are not counted.
"""

import contextlib
import selectors
import socket
import struct
import threading

import wire
from pg import free_port

HARMS = {
    "cut": "the connection ends in front of the message",
    "cut-reply": "it ends within the answer to the message",
    "40001": "the message is answered by the ERROR of a recovery conflict",
    "57P01": "the message is answered by a FATAL, and the connection ends",
    "down": "all connections end, and no new one is accepted",
    "up": "the node is back at once (no message is waited for)",
}
COUNTED = b"QPBDECF"
PART = 8        # bytes of an answer in front of a cut: one that shows a row cannot be taken back
CONFLICT = wire.message("E", b"SERROR\0VERROR\0C40001\0Mcanceling statement due to conflict with "
                        b"recovery\0DUser query might have needed to see row versions that must be "
                        b"removed.\0\0")
FAREWELL = wire.message("E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to "
                        b"administrator command\0\0")


class Pair:
    """One connection of the proxy, and ours to the replica."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.input, self.output = b"", b""
        self.started = False            # the startup packet has passed
        self.conflict = False           # the next ERROR becomes CONFLICT
        self.failed = False             # in a failed transaction there is no conflict
        self.left = None                # bytes of the answer that may still pass

    def close(self):
        for s in (self.client, self.server):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


class Relay:
    """A node of the proxy's (host, port) in front of another."""

    host = "127.0.0.1"

    def __init__(self, node):
        self.node, self.port = node, free_port()
        self.lock = threading.Lock()
        self.pairs, self.harm, self.count, self.listener = set(), None, 0, None
        self.done = []                  # what has been done since the last disarm()
        self.selector = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ, None)
        self.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    # -- what the tester says (in its own thread)

    def arm(self, harm, count=1):
        with self.lock:
            if harm == "up":
                self.come_back()
            else:
                self.harm, self.count = harm, count

    def disarm(self):
        with self.lock:
            self.harm = None
            self.come_back()
            done, self.done = self.done, []
            return done

    # -- the thread

    def listen(self):
        self.listener = socket.create_server((self.host, self.port), backlog=50)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.wake.send(b".")

    def go_away(self):
        self.selector.unregister(self.listener)
        self.listener.close()
        self.listener = None
        for pair in list(self.pairs):
            self.end(pair)

    def come_back(self):
        if not self.listener:
            self.listen()

    def serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    self.woken.recv(100)
                    continue
                with self.lock, contextlib.suppress(OSError):
                    key.data()

    def accept(self):
        client, _ = self.listener.accept()
        pair = Pair(client, socket.create_connection(self.node.address))
        for s in (pair.client, pair.server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pairs.add(pair)
        self.selector.register(pair.client, selectors.EVENT_READ, lambda: self.upwards(pair))
        self.selector.register(pair.server, selectors.EVENT_READ, lambda: self.downwards(pair))

    def end(self, pair):
        if pair in self.pairs:
            self.pairs.remove(pair)
            self.selector.unregister(pair.client)
            self.selector.unregister(pair.server)
            pair.close()

    def take(self, pair, source):
        try:
            got = source.recv(65536)
        except OSError:
            got = b""
        if not got:
            self.end(pair)
        return got

    def upwards(self, pair):
        pair.input += self.take(pair, pair.client)
        out = b""
        while pair in self.pairs:
            head = 1 if pair.started else 0
            if len(pair.input) < head + 4:
                break
            size = head + struct.unpack_from("!I", pair.input, head)[0]
            if len(pair.input) < size:
                break
            one, pair.input = pair.input[:size], pair.input[size:]
            if not pair.started:
                # an SSLRequest or a cancel is passed on as it is
                pair.started = struct.unpack_from("!I", one, 4)[0] >> 16 == 3
            elif self.harm and one[0] in COUNTED and not (pair.failed and self.harm == "40001"):
                self.count -= 1
                if not self.count:
                    one = self.do_harm(pair, one, out)
                    if one is None:
                        return
            out += one
        if pair in self.pairs and out:
            pair.server.sendall(out)

    def do_harm(self, pair, one, before):
        """What goes on in place of the message, or None if the connection is over."""
        harm, self.harm = self.harm, None
        self.done.append(f"{harm} at {chr(one[0])}")
        if harm == "cut-reply":
            pair.left = PART
            return one
        if harm == "40001":             # an error that PostgreSQL itself finds: its state is right
            pair.conflict = True
            return (wire.query if one[:1] == b"Q" else lambda t: wire.parse("", t))("conflict !")
        if harm == "57P01":
            pair.client.sendall(FAREWELL)
        if harm == "down":
            self.go_away()
        self.end(pair)
        return None

    def downwards(self, pair):
        got = self.take(pair, pair.server)
        if got[-6:-1] == b"Z\0\0\0\5":
            pair.failed = got.endswith(b"E")
        if pair.conflict:               # whole messages only, until it has come
            pair.output += got
            got = b""
            while len(pair.output) >= 5:
                size = 1 + struct.unpack_from("!I", pair.output, 1)[0]
                if len(pair.output) < size:
                    break
                one, pair.output = pair.output[:size], pair.output[size:]
                if pair.conflict and one[:1] == b"E":
                    one, pair.conflict = CONFLICT, False
                got += one
            if not pair.conflict:
                got, pair.output = got + pair.output, b""
        if pair in self.pairs and got:
            cut = pair.left is not None and len(got) >= pair.left
            if pair.left is not None:
                got, pair.left = got[:pair.left], pair.left - len(got)
            pair.client.sendall(got)
            if cut:
                self.end(pair)
