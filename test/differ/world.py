"""The servers that programs run on, the schema that they find, and putting both back.

`direct` is a cluster of its own, so both sides may have databases, roles and settings of the same
names.  The proxy stands in front of `primary` and, through the relay, of `replica`; every commit
waits for the replica to have replayed it.  Databases are clones of a template, made anew when one
cannot be put back, and before its catalogs, which nobody vacuums, make it slow.
"""

import os
import time
from functools import partial

import psycopg

import pg
from pg import wait_until
from wire import query

from .compare import WAITS, WAITS_FOR_READER
from .relay import Relay

HERE = os.path.dirname(os.path.abspath(__file__))
ROLES = """CREATE ROLE reader; CREATE ROLE writer; GRANT reader, writer TO app;
           CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE other LOGIN"""
FRESH_ROLES = """DROP ROLE IF EXISTS nobody; ALTER ROLE app RESET ALL; ALTER ROLE boss RESET ALL;
                 ALTER ROLE other RESET ALL"""
# One that has read and written may come to hold the reader's lock only: ROLLBACK TO.
WAITS_FOR = """SELECT state, wait_event_type, (SELECT bool_or('AccessShareLock' IN (w.mode, h.mode))
               FROM pg_locks w LEFT JOIN pg_locks h ON h.relation = w.relation AND h.granted
               AND h.pid = ANY (pg_blocking_pids({0})) WHERE w.pid = {0} AND NOT w.granted), wait_event
               FROM pg_stat_activity WHERE pid = {0}"""
EXTRAS = "SELECT datname FROM pg_database WHERE datname LIKE 'extra%'"
PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
REST = 0.02             # seconds
LIFE = 300              # programs that a database serves
LEFT = """SELECT pid FROM pg_stat_activity WHERE datname = current_database()
          AND backend_type = 'client backend' AND usename <> 'postgres'"""
CLEAR = LEFT.replace("pid", "pg_terminate_backend(pid)", 1)


def read(name):
    with open(os.path.join(HERE, name)) as f:
        return f.read()


def fills():
    """{"data " and a table or sequence: what puts its contents back}, from schema.sql."""
    out = {f"data public.{s}": f"SELECT setval('{s}', 1, false);"
           for s in ("sq", "sc", "w_id_seq")}
    out["data public.w"] = "DELETE FROM w;"
    for line in read("schema.sql").splitlines():
        if line.startswith("INSERT INTO "):
            name = line.split()[2]
            full = name if "." in name else f"public.{name}"
            out[f"data {full}"] = f"DELETE FROM {name};{line}"
    # u refers to t
    out["data public.t"] = f"DELETE FROM u;{out['data public.t']}{out['data public.u']}"
    return out


class Side:
    """One of the two: where programs connect, and a superuser's connection to the node behind."""

    def __init__(self, target, node):
        self.target, self.node = target, node
        self.watcher, self.base = None, None

    def clone(self, database):
        try:
            self.node.su(f"CREATE DATABASE {database} TEMPLATE pattern OWNER app",
                         dbname="postgres")
            return True
        except psycopg.errors.ObjectInUse:      # a session of ours is about to end there
            return False

    def drop(self, database):
        for (gid,) in self.node.su(PREPARED, dbname=database):
            self.node.su(f"ROLLBACK PREPARED '{gid}'", dbname=database)
        self.node.su(f"DROP DATABASE {database} WITH (FORCE)", dbname="postgres")

    def use(self, database):
        if self.watcher:
            self.watcher.shut()
        self.database = database
        self.watcher = self.node.raw(user="postgres", database=database, timeout=20)
        self.ask("SET lock_timeout = '1s'")
        self.base = self.state()

    def ask(self, sql, by=None):
        self.send(sql, by)
        return self.answer(by)

    def send(self, sql, by=None):
        (by or self.watcher).send(query(sql))

    def answer(self, by=None):
        """The rows of the answer to what was sent."""
        out = (by or self.watcher).reply()
        bad = [m for m in out if m.type == "E"]
        if bad:
            raise RuntimeError(repr(bad[0]))
        return [[v and v.decode() for v in m.row] for m in out if m.type == "D"]

    def state(self):
        try:
            return [tuple(r) for r in self.ask("SELECT * FROM differ.state()")]
        except RuntimeError as e:               # locked by a prepared transaction
            return [("catalog cannot be read", str(e))]

    def locks(self):
        return [tuple(r) for r in self.ask(
            "SELECT 'lock', concat_ws(',', mode, classid, objid, objsubid, granted) FROM pg_locks"
            " WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE"
            " datname = current_database()) ORDER BY 2")]


class World:
    """alone: both sides are PostgreSQL itself, so that all findings are the tester's own faults.
    calm: without the code that may do anything."""

    def __init__(self, alone=False, calm=False, **proxy):
        self.shop = pg.Workshop()
        self.schema = read("schema.sql") + (read("calm.sql") if calm else "")
        self.count = 0
        plain = self.shop.cluster("direct").start()
        primary = self.shop.cluster("primary").start()
        for c in (plain, primary):
            c.provide()
            c.su(ROLES)
            c.su("CREATE DATABASE pattern OWNER app", dbname="postgres")
            c.su(read("state.sql") + self.schema, dbname="pattern")
        self.replica = primary.standby("replica").start()
        self.relay = Relay(self.replica)
        primary.su("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.su("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
        primary.su("SELECT pg_reload_conf()")
        self.primary = primary
        # or replay, and with it every commit, waits for the snapshots of the replica's readers
        self.replica.su("ALTER SYSTEM SET hot_standby_feedback = on", dbname="postgres")
        # those of its locks have to go before the tester loses its patience
        self.replica.su("ALTER SYSTEM SET max_standby_streaming_delay = '3s'", dbname="postgres")
        self.replica.su("SELECT pg_reload_conf()", dbname="postgres")
        wait_until(lambda: primary.su("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'",
                                      dbname="postgres"), "a synchronous replica")
        self.proxy = self.shop.proxy([primary, self.relay], **{**dict(
            log_per_node_statement=False, node_probe_period=50, num_init_children=200), **proxy})
        self.proxy.start()
        self.front = primary if alone else self.proxy
        self.direct, self.proxied = Side(plain, plain), Side(self.front, primary)
        self.sides = (self.direct, self.proxied)
        self.through = None             # a superuser's session through the proxy
        self.fills, self.renewed, self.served = fills(), [], 0
        self.renew()

    def close(self):
        """All ends.  The proxy must still be there, and leave when asked."""
        self.through.shut()
        try:
            self.proxy.check()
        finally:
            self.shop.close()

    def cold(self):
        """The proxy forgets what it knows of the catalog: that is what DDL is for."""
        self.proxied.ask("COMMENT ON SCHEMA public IS NULL", self.through)

    def rest(self):
        """Time for what the proxy does by itself: asking the catalog, cleaning a server."""
        time.sleep(REST)

    def waiting(self, pid):
        """What the direct side's backend waits for, if it will not answer by itself."""
        rows = self.direct.ask(WAITS_FOR.format(pid))
        if rows and rows[0][1] == "Lock":       # also within a Describe, which is not "active"
            return WAITS_FOR_READER if rows[0][2] == "t" else WAITS
        if not rows or rows[0][0] != "active" or rows[0][1] == "Client":
            return WAITS
        if rows[0][3] == "SafeSnapshot":        # of a DEFERRABLE transaction
            return WAITS
        return None

    def sleeps(self, side):
        """A statement of the program is running that takes long enough to be cancelled."""
        nodes = [None] if side is self.direct else [None, self.on_replica]
        return any(side.ask(f"{LEFT} AND wait_event = 'PgSleep'", by) for by in nodes)

    def replicas_locks(self):
        """There should be none: locks that the direct side holds are the primary's."""
        return [("lock on the replica", repr(m.row)) for m in self.on_replica.query(
            "SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory'") if m.type == "D"]

    def renew(self):
        """A new pair of databases."""
        old, self.count = self.count, self.count + 1
        for side in self.sides:
            wait_until(lambda: side.clone(f"d{self.count}"), "a new database")
            if old:
                side.watcher.shut()
                side.watcher = None
        if self.through:
            self.through.shut()
            self.on_replica.shut()
        if old:
            for side in self.sides:
                side.drop(f"d{old}")
        for side in self.sides:
            side.use(f"d{self.count}")
        self.through = self.front.raw(user="postgres", database=f"d{self.count}", timeout=20)
        self.on_replica = self.replica.raw(user="postgres", database=f"d{self.count}")

    def put_back(self, states):
        """Both databases as a program expects them; states: what it left on each side."""
        try:
            self.forget()
            sent = [(side, *self.mending(side, state)) for side, state in zip(self.sides, states)
                    if state != side.base]
            for side, sql, by in sent:
                side.send(sql, by)
            for side, sql, by in sent:
                side.answer(by)
                if side.state() != side.base:
                    raise RuntimeError("not put back: " + repr(set(side.state()) ^ set(side.base)))
            self.served += 1
            if self.served % LIFE == 0:
                self.clear()
                self.renew()
        except (RuntimeError, OSError, EOFError) as e:
            self.renewed.append(str(e))
            self.clear()
            self.renew()

    def mending(self, side, state):
        """What puts one side back, and who says it: the proxy is to hear of DDL."""
        changed = {what for what, _ in set(state) ^ set(side.base)}
        for what, line in state:
            if what == "database":
                side.ask(f"DROP DATABASE {line.split(',')[0]} WITH (FORCE)")
        changed.discard("database")
        if changed <= set(self.fills):
            return "".join(self.fills[what] for what in sorted(changed)), None
        for (gid,) in side.ask(PREPARED):
            side.ask(f"ROLLBACK PREPARED '{gid}'")
        script = f"{self.schema}; {FRESH_ROLES}; ALTER DATABASE {side.database} RESET ALL"
        return script, self.through if side is self.proxied else None

    def forget(self):
        """Ends the proxy's idle servers: DISCARD ALL leaves things behind, and a program is to fail
        alone as it did after another one.  (Within a program X gives a server to the next session.)
        """
        asks = [self.direct.ask, self.proxied.ask,
                partial(self.proxied.ask, by=self.on_replica)]
        for ask in asks:
            ask(CLEAR)
        for ask in asks:        # one that was just being connected may come later
            wait_until(lambda: not ask(LEFT) or ask(CLEAR) is None, "the end of servers")
        for _ in range(2):      # turns of its loop, in which the proxy sees that they have gone
            self.proxied.ask("SELECT 1", self.through)

    def recover(self):
        """After a crash of a cluster, which starts again by itself and has emptied ul; and a program
        that was not played to its end."""
        if not self.proxy.running:
            raise AssertionError("the proxy died: " + "\n".join(self.proxy.log[-40:]))
        for cluster in (self.direct.node, self.primary, self.replica):
            wait_until(cluster.accepts, f"cluster {cluster.name}", 30)
        for side in self.sides:
            side.node.su(self.schema, dbname="pattern")
            side.node.su(FRESH_ROLES)
            for (name,) in side.node.su(EXTRAS):
                side.drop(name)
        self.renew()
        self.mend()

    def clear(self):
        """Ends what programs have left running."""
        for cluster in (self.direct.node, self.primary, self.replica):
            cluster.su(CLEAR, dbname=self.direct.database)

    def mend(self):
        """After harm: until the proxy reads on the replica again."""
        done = self.relay.disarm()

        def reads():
            with self.proxy.raw(user="postgres", database=self.proxied.database) as w:
                out = w.query("SELECT current_setting('port')")
                return [m for m in out if m.type == "D"][0].row[0] == b"%d" % self.replica.port
        if done:
            wait_until(reads, "the replica behind the proxy", 20)
        return done
