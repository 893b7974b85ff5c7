#!/usr/bin/python3
"""causal.py - looks for a read through the proxy that lacks what was acknowledged before it.

Clients write a row of their own, each time a greater number and in another way, and read it back;
they read the rows of others, too.  All they see is checked:

    session     one's own row has at least what this session has written
    global      any row has at least what the proxy had acknowledged when the read began
    monotonic   a row never has less than the session has read of it before

    causal.py [--scope NAME] [--pairs N] [--clients N] [--think MS] [--trouble NAME] [--seed N]
    causal.py --table       the share of reads on replicas, by thinking time

Trouble is what happens to the replicas meanwhile: none, delay (recovery_min_apply_delay), pause,
restart, idle (somebody else has written, and idles in the transaction).  Exit status 1: a read was
stale.
"""

import argparse
import collections
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pg  # noqa: E402
from wire import LoginError, bind, copy_data, copy_done, execute, extended, parse, query, sync  # noqa: E402

PROCESSES = 2
PORT = "current_setting('port')"
OBJECTS = """
DROP SCHEMA IF EXISTS causal CASCADE;
CREATE SCHEMA causal;
CREATE TABLE causal.t (id int PRIMARY KEY, n bigint) WITH (fillfactor = 50);
CREATE TABLE causal.copied (id int, n bigint);
CREATE INDEX ON causal.copied (id, n);
CREATE FUNCTION causal.bump(i int, v bigint) RETURNS void LANGUAGE plpgsql
    AS 'BEGIN UPDATE causal.t SET n = v WHERE id = i; END';
CREATE PROCEDURE causal.put(i int, v bigint) LANGUAGE plpgsql
    AS 'BEGIN UPDATE causal.t SET n = v WHERE id = i; COMMIT; END';
GRANT ALL ON SCHEMA causal TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA causal TO PUBLIC;
"""


class Broken(Exception):
    """The session is gone, or the statement failed: nobody knows what was written."""


def ask(w, data, replies=1):
    """The rows of all replies."""
    w.send(data)
    out = w.reply(replies)
    if any(m.type == "E" for m in out):
        raise Broken([m for m in out if m.type == "E"][0])
    return [[v and v.decode() for v in m.row] for m in out if m.type == "D"]


# ---- ways to write ----------------------------------------------------------------------------

def update(i, v):
    return f"UPDATE causal.t SET n = {v} WHERE id = {i}"


def simple(w, i, v):
    ask(w, query(update(i, v)))


def by_protocol(w, i, v):
    ask(w, extended("UPDATE causal.t SET n = $1 WHERE id = $2", [str(v), str(i)]) + sync())


def in_transaction(w, i, v):
    for sql in "BEGIN", f"SELECT n FROM causal.t WHERE id = {i}", update(i, v), "COMMIT":
        ask(w, query(sql))


def behind_a_savepoint(w, i, v):
    for sql in ("BEGIN", update(i, v), "SAVEPOINT s", update(i, v + 1000000000), "ROLLBACK TO s", "COMMIT"):
        ask(w, query(sql))


def in_one_text(w, i, v):
    ask(w, query(f"BEGIN; {update(i, v)}; COMMIT"))


def by_function(w, i, v):
    ask(w, query(f"SELECT causal.bump({i}, {v})"))


def by_procedure(w, i, v):
    ask(w, query(f"CALL causal.put({i}, {v})"))


def by_do(w, i, v):
    ask(w, query(f"DO $$ BEGIN {update(i, v)}; END $$"))


def by_with(w, i, v):
    ask(w, query(f"WITH x AS ({update(i, v)} RETURNING n) SELECT n FROM x"))


def by_copy(w, i, v):
    w.send(query("COPY causal.copied FROM STDIN"))
    w.until("G")
    ask(w, copy_data(f"{i}\t{v}\n".encode()) + copy_done())


def in_two_phases(w, i, v):
    name = f"c{i}_{v}_{os.getpid()}"
    for sql in "BEGIN", update(i, v), f"PREPARE TRANSACTION '{name}'", f"COMMIT PREPARED '{name}'":
        ask(w, query(sql))


def asynchronously(w, i, v):
    for sql in "BEGIN", "SET LOCAL synchronous_commit = off", update(i, v), "COMMIT":
        ask(w, query(sql))


def asynchronously_by_a_setting(w, i, v):
    for sql in "SET synchronous_commit = off", update(i, v), "RESET synchronous_commit":
        ask(w, query(sql))


def prepared(w, i, v):
    with contextlib.suppress(Broken):
        ask(w, query("PREPARE u AS UPDATE causal.t SET n = $1 WHERE id = $2"))
    ask(w, query(f"EXECUTE u({v}, {i})"))


def in_a_pipeline(w, i, v):
    ask(w, query(f"SELECT n FROM causal.t WHERE id = {i}") + query(update(i, v)), 2)


# After the latter, names are looked up again, or nothing is flushed for 200 ms: until then reads are the
# primary's.
OFTEN = [simple, by_protocol, in_transaction, behind_a_savepoint, in_one_text, by_function, by_with, by_copy,
         prepared, in_a_pipeline]
SELDOM = [by_procedure, by_do, in_two_phases, asynchronously, asynchronously_by_a_setting]
WAYS = OFTEN + SELDOM


# ---- ways to read -----------------------------------------------------------------------------

def reading(j):
    return (f"SELECT greatest((SELECT n FROM causal.t WHERE id = {j}),"
            f" (SELECT max(n) FROM causal.copied WHERE id = {j})), {PORT}")


def plainly(w, j):
    return ask(w, query(reading(j)))


def by_messages(w, j):
    return ask(w, parse("", reading(j)) + bind() + execute() + sync())


def twice_in_transaction(w, j):
    ask(w, query("BEGIN"))
    rows = ask(w, query(reading(j))) + ask(w, query(reading(j)))
    ask(w, query("COMMIT"))
    return rows


def in_a_snapshot(w, j):
    ask(w, query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    rows = ask(w, query(reading(j)))
    ask(w, query("COMMIT"))
    return rows


READS = [plainly, plainly, by_messages, twice_in_transaction, in_a_snapshot]


# ---- clients ----------------------------------------------------------------------------------

class Client:
    def __init__(self, run, number):
        self.run, self.number = run, number
        self.rng = random.Random(f"{run.seed} {number}")
        self.wire = None
        self.written, self.seen, self.faults = 0, {}, []
        self.reads = collections.Counter()
        self.broken = 0

    def connect(self):
        self.wire = self.run.proxy.raw(user=self.rng.choice(["app", "postgres"]))
        self.written, self.seen = 0, {}         # of this session

    def note(self, what, way, j, value, least, port):
        self.faults.append(f"{what}: client {self.number} wrote by {way.__name__}, and read {value} of row {j},"
                           f" where {least} was acknowledged, on port {port}")

    def look(self, j, way, v):
        acked = self.run.acked[j]
        for text, port in self.rng.choice(READS)(self.wire, j):
            value = int(text)
            self.reads[int(port)] += 1
            if j == self.number and value < v:
                self.note("its own", way, j, value, v, port)
            elif self.run.scope == "global" and value < acked:
                self.note("another's", way, j, value, acked, port)
            if self.run.scope == "monotonic" and value < self.seen.get(j, 0):
                self.note("back in time", way, j, value, self.seen[j], port)
            self.seen[j] = max(value, self.seen.get(j, 0))

    def pair(self, v):
        way = self.rng.choice(OFTEN if self.rng.random() >= self.run.seldom else SELDOM)
        if self.rng.random() < 0.05:
            ask(self.wire, query("BEGIN"))
            ask(self.wire, query(update(self.number, v + 1000000000)))
            ask(self.wire, query("ROLLBACK"))
        way(self.wire, self.number, v)
        self.run.acked[self.number] = self.written = v
        think = self.run.think
        if think is None:       # now and then long enough for all that is only late
            think = self.rng.choice([0, 1, 2, 5, 10]) if self.rng.random() < 0.98 else 250
        if think:
            time.sleep(think / 1000)
        self.look(self.number, way, self.written)
        if self.rng.random() < 0.5:
            self.look(self.rng.randrange(self.run.clients), way, self.written)

    def work(self):
        for v in range(1, self.run.pairs // self.run.clients + 1):
            try:
                if not self.wire:
                    self.connect()
                self.pair(v)
            except (Broken, LoginError, OSError, EOFError, AssertionError) as e:
                self.broken += 1
                self.last = e
                with contextlib.suppress(OSError, AttributeError):
                    self.wire.sock.close()
                self.wire = None


class Run:
    def __init__(self, proxy, scope="session", pairs=2000, clients=8, think=None, seed=1, seldom=0.02):
        self.proxy, self.scope, self.pairs, self.clients = proxy, scope, pairs, clients
        self.think, self.seed, self.seldom = think, seed, seldom
        self.acked = multiprocessing.RawArray("q", clients)

    def process(self, numbers, results):
        clients = [Client(self, i) for i in numbers]
        threads = [threading.Thread(target=c.work) for c in clients]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        results.put([(c.faults, c.reads, c.broken, repr(getattr(c, "last", ""))) for c in clients])

    def all(self):
        """(faults, reads by port, sessions that broke)"""
        fork = multiprocessing.get_context("fork")
        results = fork.SimpleQueue()
        workers = [fork.Process(target=self.process, args=(range(k, self.clients, PROCESSES), results))
                   for k in range(PROCESSES)]
        for w in workers:
            w.start()
        out = [one for _ in workers for one in results.get()]
        for w in workers:
            w.join()
        faults = [f for one in out for f in one[0]]
        self.why = [one[3] for one in out if one[2]]
        return faults, sum((one[1] for one in out), collections.Counter()), sum(one[2] for one in out)


def provide(primary, replicas, clients):
    primary.su(OBJECTS)
    primary.su(f"INSERT INTO causal.t SELECT i, 0 FROM generate_series(0, {clients - 1}) i")
    for r in replicas:
        primary.catch_up(r)


# ---- trouble ----------------------------------------------------------------------------------

@contextlib.contextmanager
def again_and_again(step, pause):
    end = threading.Event()

    def go():
        while not end.wait(pause):
            step()
    t = threading.Thread(target=go)
    t.start()
    try:
        yield
    finally:
        end.set()
        t.join()


@contextlib.contextmanager
def delayed(primary, replicas):
    for r in replicas:
        r.su("ALTER SYSTEM SET recovery_min_apply_delay = '200ms'")
        r.reload()
    try:
        yield
    finally:
        for r in replicas:
            r.su("ALTER SYSTEM RESET recovery_min_apply_delay")
            r.reload()


@contextlib.contextmanager
def paused(primary, replicas):
    turn = [False]

    def step():
        turn[0] = not turn[0]
        for r in replicas:
            r.su(f"SELECT pg_wal_replay_{'pause' if turn[0] else 'resume'}()")
    with again_and_again(step, 0.5):
        yield
    for r in replicas:
        r.su("SELECT pg_wal_replay_resume()")


@contextlib.contextmanager
def restarted(primary, replicas):
    turn = [0]

    def step():
        turn[0] += 1
        replicas[turn[0] % len(replicas)].restart(signal.SIGQUIT if turn[0] % 2 else signal.SIGINT)
    with again_and_again(step, 1):
        yield


@contextlib.contextmanager
def idle(primary, replicas):
    with primary.raw(user="postgres") as w:
        w.query("BEGIN; CREATE TABLE causal.idle AS SELECT 1")
        yield


TROUBLE = {"none": contextlib.nullcontext, "delay": delayed, "pause": paused, "restart": restarted, "idle": idle}


def one(shop, args, scope, trouble, pairs, clients, think, consistency=None):
    primary, replica = shop.pair()
    second = primary.standby(shop.fresh("r")).start()
    replicas = [replica, second]
    provide(primary, replicas, clients)
    proxy = shop.proxy([primary, *replicas], load_balance_consistency=consistency or scope,
                       log_per_node_statement=False, num_init_children=100).start()
    run = Run(proxy, scope, pairs, clients, think, args.seed)
    context = TROUBLE[trouble]
    began = time.monotonic()
    with context() if trouble == "none" else context(primary, replicas):
        faults, reads, broken = run.all()
    seconds = time.monotonic() - began
    away = sum(n for port, n in reads.items() if port != primary.port)
    print(f"{consistency or scope:10} {trouble:8} {'some' if think is None else think:>4} ms  {clients:3} clients  {pairs:7} pairs  {len(faults):5} stale"
          f"  {100 * away / max(1, sum(reads.values())):5.1f} % on replicas  {broken:4} broken  {seconds:6.1f} s",
          flush=True)
    for f in faults[:5]:
        print("   ", f)
    if broken and trouble != "restart":
        print("   ", run.why[:2])
    proxy.stop()
    for c in (second, replica, primary):
        c.remove()
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scope", choices=["session", "global", "monotonic"])
    parser.add_argument("--trouble", choices=list(TROUBLE))
    parser.add_argument("--pairs", type=int, default=100000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--think", type=int, help="ms between a write and its read; else some of each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--off", action="store_true", help="check the checker: nothing is promised")
    args = parser.parse_args()
    bad = 0
    with contextlib.closing(pg.Workshop()) as shop:
        if args.table:
            for trouble in "none", "idle":
                for think in 0, 5, 20:
                    bad += len(one(shop, args, "session", trouble, 4000, 8, think))
            return bad > 0
        for scope in [args.scope] if args.scope else ["session", "global", "monotonic"]:
            for trouble in [args.trouble] if args.trouble else list(TROUBLE):
                bad += len(one(shop, args, scope, trouble, args.pairs, args.clients, args.think,
                               "off" if args.off else None))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
