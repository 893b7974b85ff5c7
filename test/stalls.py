#!/usr/bin/python3
"""stalls.py - how long others wait while one node or client misbehaves.

    stalls.py BINARY...         one column for each; without any it is ./pgpool

Each figure is the longest time, in seconds, that a session with nothing to do with it had to wait
for one of its answers, or a client for its login; or the error that it got.  "never" is beyond the
end of the trouble, which is called off after CALLED_OFF seconds.
"""

import base64
import contextlib
import os
import resource
import struct
import sys
import threading
import time

import pg
import wire
from fake import FakeNode, Talk
from far import Far, possible
from wire import cstring, message

CALLED_OFF = 40
READ = "SELECT inet_server_port()"
CHECKED = dict(health_check_period=5, health_check_timeout=5, health_check_user="postgres")


class Watch(threading.Thread):
    """Asks again and again; longest is the slowest answer."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.longest, self.ended = ask, 0, False
        self.start()

    def run(self):
        while not self.ended:
            begin = time.monotonic()
            self.ask()
            self.longest = max(self.longest, time.monotonic() - begin)
            time.sleep(0.01)

    def end(self):
        self.ended = True
        self.join(60)
        return self.longest


def session(p, sql):
    """A session that asks this."""
    w = p.raw(timeout=90)
    w.query(sql)
    return Watch(lambda: w.query(sql))


def reads_move(p, replica, trouble):
    """Until a session that reads on the replica has its answer from elsewhere."""
    def on_replica():
        w = p.raw(timeout=90)
        if wire.rows(w.query(READ))[0][0] in (None, str(replica.port).encode()):
            return w
        w.bye()
    w = wire.wait_until(on_replica, "a session on the replica")
    with trouble:
        begin = time.monotonic()
        w.send(wire.query(READ))
        answered = not w.silent(CALLED_OFF)
        took = time.monotonic() - begin
    return took if answered else None


def frozen(shop, make, pair):
    return reads_move(make(pair, **CHECKED), pair[1], pg.frozen_whole(pair[1]))


@contextlib.contextmanager
def cut(far):
    far.cut()
    yield
    far.mend()


def cut_off(shop, make, pair):
    if not possible():
        return "n/a"
    with Far(shop, pair[1]) as far:
        return reads_move(make([pair[0], far]), pair[1], cut(far))


def hostile(shop, make, pair):
    """A node asks for keys of ten million iterations: others log in with a password meanwhile."""
    def treat(sock):
        t = Talk(sock)
        t.packet()
        t.sock.sendall(message("R", struct.pack("!I", 10) + cstring("SCRAM-SHA-256") + b"\0"))
        nonce = t.message()[1].split(b",r=")[1]
        t.sock.sendall(message("R", struct.pack("!I", 11) + b"r=%sxyz,s=%s,i=10000000"
                                                            % (nonce, base64.b64encode(os.urandom(16)))))
    node = FakeNode(lambda s: threading.Thread(target=treat, args=(s,), daemon=True).start())
    pair[0].su("SET password_encryption = 'scram-sha-256'; DROP ROLE IF EXISTS keyed;"
               " CREATE ROLE keyed LOGIN PASSWORD 'secret'")
    pair[0].rules("host all keyed all scram-sha-256\n" + pg.HBA)
    pair[0].reload()
    p = make([pair[0], node], backend_weight0=0, passwd="keyed:TEXTsecret\napp:TEXTx\n")
    readers = [p.raw(timeout=90) for _ in range(8)]
    for w in readers:
        w.send(wire.query("SELECT 1"))
    time.sleep(0.5)
    begin = time.monotonic()
    try:
        w = p.raw(user="keyed", password="secret", timeout=CALLED_OFF)
        w.query("/* primary */ SELECT 1")
    except OSError:
        return None
    finally:
        node.close()
    return time.monotonic() - begin


def batch(shop, make, pair):
    """One request of 40,000 SETs."""
    p = make(pair)
    watch = session(p, "/* primary */ SELECT 1")
    w = p.raw(timeout=90)
    w.send(b"".join(wire.extended(f"SET work_mem = {1000 + i}") for i in range(40000)) + wire.sync())
    w.until("Z")
    return watch.end()


def descriptors(shop, make, pair):
    """Idle clients have all: eight of them ask, for as many servers as there may be."""
    p = make(pair, num_init_children=8, max_pool=2, client_idle_limit=CALLED_OFF,
             before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)))
    clients = []
    with contextlib.suppress(OSError, wire.LoginError):
        while len(clients) < 200:
            clients.append(p.raw(timeout=2))
    begin = time.monotonic()
    for w in clients[:8]:
        w.send(wire.query("CREATE TEMP TABLE t (a int)"))
    for w in clients[:8]:
        if w.silent(CALLED_OFF):
            return None
        if errors := wire.errors(w.reply()):
            return errors[0]
    return time.monotonic() - begin


def left(shop, make, pair):
    """A thousand clients have left that waited for the only connection with a write of 10 ms."""
    p = make(pair, num_init_children=1, max_pool=1)
    busy = p.raw(timeout=90)
    busy.query("CREATE TEMP TABLE t (a int)")
    for _ in range(1000):
        w = p.raw()
        w.send(wire.query("DO $$BEGIN PERFORM pg_sleep(0.01); END$$"))
        w.sock.close()
    begin = time.monotonic()
    w = p.raw(timeout=90)
    w.send(wire.query("CREATE TEMP TABLE u (a int)"))
    busy.bye()
    w.reply()
    return time.monotonic() - begin


TROUBLES = [
    ("a replica is frozen, with health checks of 5 s", frozen),
    ("the network to a replica is cut", cut_off),
    ("a node asks for 10,000,000 iterations", hostile),
    ("a request of 40,000 SETs", batch),
    ("all descriptors are clients'", descriptors),
    ("1,000 clients left while they waited", left),
]


def measure(binary, trouble):
    shop = pg.Workshop()
    try:
        pair = shop.pair()

        def make(nodes, **how):
            return shop.proxy(nodes, binary=binary, **how).start()
        took = trouble(shop, make, pair)
        return "never" if took is None else took if isinstance(took, str) else f"{took:.2f}"
    finally:
        shop.close()


def main():
    binaries = sys.argv[1:] or [os.path.join(os.path.dirname(pg.HERE), "pgpool")]
    width = max(len(name) for name, _ in TROUBLES)
    for name, trouble in TROUBLES:
        print(name.ljust(width), *(measure(b, trouble).rjust(8) for b in binaries), flush=True)


if __name__ == "__main__":
    main()
