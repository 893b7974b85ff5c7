#!/usr/bin/python3
"""bench.py - what pgpool costs, beside direct connections, PgBouncer, Pgpool-II and HAProxy.

One run starts a scratch PostgreSQL primary and replica on loopback, every proxy in front of them,
and measures in round-robin, so that a machine that gets slower gets slower for all alike:

    pgbench -S    throughput, and the proxy's processor time per transaction
    pgbench -R    the same, of clients that are idle most of the time
    pgbench -C    logins per second, and the proxy's processor time per login
    a long result megabytes per second, and the proxy's processor time per megabyte
    staying       reads on the replica behind statements that are no plain reads
    memory        resident size at start, bytes per idle logged-in client

The columns are the rows of PEERS below, each in the configuration that is best for it.  A column
with -lb balances over primary and replica; one with -tls has a P-256 certificate and clients that
insist on TLS (plain connections to PostgreSQL behind).  A cell is the median of its rounds; n/a
marks what a system cannot do, and the report ends with what it said.

The first table of the report is the one in README.md.

Peers are Debian's.  Others are named in the environment or to make:

    make bench BENCH_PGBOUNCER=/path/to/pgbouncer BENCH_PGPOOL2=... BENCH_HAPROXY=...

Processor time is the kernel's clock of the process and all its threads (utime + stime, counted in
nanoseconds), read before and after a cell; a proxy made of several processes counts them all.

Cells of one client run on one processor, servers and pgbench included: the parties take turns
anyway, and elsewhere the kernel's choice of processor decides the figure (by a factor of six on a
virtual machine of two).  --free leaves that choice to the kernel.

    bench.py [--quick] [--check] [--free] [--output FILE] [--only NAME,...] [--pgpool BINARY]

Exit status 0 unless something of what is compared (ESSENTIAL) could not be measured.  --check also
says which budgets are met; that does not change the exit status.
"""

import argparse
import contextlib
import os
import platform
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import pg
import wire

AT_START, PER_CLIENT = "resident at start, KB", "bytes per idle client"
MODES = ("simple", "extended", "prepared")
CLIENTS = (1, 16, 64)
LB_CLIENTS = (16, 64)
LOGIN_CLIENTS = 8
THINKING = (80, 1000)           # clients, and transactions per second of all of them
SERVERS = 100                   # what each pooler may open: more than any cell has clients
IDLE = {"pgpool": 2000, "bouncer-tx": 2000, "bouncer": 2000, "haproxy": 500,    # a backend each
        "pgpool-tls": 1000, "bouncer-tx-tls": 1000, "bouncer-tls": 1000}
BULK = 256                      # MB of one result, in rows of 1 KB
READERS = 20                    # sessions that read on the replica, for each row of BEHIND
PASSWORD = "correct horse"
ESSENTIAL = ("direct", "pgpool", "bouncer", "haproxy")

# What a read stands behind, by name.
BEHIND = {
    "a volatile function": ["SELECT peek()"],
    "CALL": ["CALL nothing()"],
    "DO": ["DO 'BEGIN END'"],
    "BEGIN and a read of pg_class": ["BEGIN", "SELECT count(*) FROM pg_class"],
    "BEGIN and a SET": ["BEGIN", "SET LOCAL work_mem = '8MB'"],
}
SETUP = """
CREATE TABLE item (a int);
CREATE FUNCTION peek() RETURNS bigint LANGUAGE plpgsql AS
    'BEGIN RETURN (SELECT count(*) FROM item); END';
CREATE PROCEDURE nothing() LANGUAGE plpgsql AS 'BEGIN END';
"""

SERVER_HBA = """
local all all trust
host replication all 127.0.0.1/32 trust
host all scram 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
PROXY_HBA = """
host all scram 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


class Unmeasurable(Exception):
    """A cell has no value; the text says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- the systems that are compared ------------------------------------------------------------

def family(pid):
    """A process and its descendants."""
    found = [pid]
    for p in found:                     # grows while it is walked
        with contextlib.suppress(OSError), open(f"/proc/{p}/task/{p}/children") as f:
            found += map(int, f.read().split())
    return found


class System(pg.Target):
    """One column: where pgbench connects, and the process that is measured (None: direct)."""

    lacks = ()                          # pgbench's modes that it cannot do

    def __init__(self, name, port, process=None):
        self.name, self.port, self.process = name, port, process

    @property
    def pids(self):
        return family(self.process.pid) if self.process else []

    def cpu(self):
        """Seconds of processor time so far, of all threads, ended ones included."""
        total = 0.0
        for pid in self.pids:
            clock = ~pid << 3 | 2       # the kernel's name of another process's clock
            total += time.clock_gettime(clock)
        return total

    def resident(self):
        """Bytes.  Several processes share pages: there the proportional sizes are added up."""
        field = "Rss:" if len(self.pids) == 1 else "Pss:"
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith(field))
        return total * 1024


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def rival(program):
    """The path of a peer's program: what the environment says, or Debian's."""
    said = os.environ.get("BENCH_" + program.upper())
    path = said or os.path.join("/usr/sbin", {"pgpool2": "pgpool"}.get(program, program))
    if not os.access(path, os.X_OK):
        raise Unmeasurable(path + " is not installed")
    return path


def launch(shop, name, port, command):
    """Starts a rival under the clusters' account (PgBouncer refuses root)."""
    log = shop.path(name + ".log")
    process = shop.spawn(command, log, signal.SIGTERM, **shop.as_postgres())
    system = System(name, port, process)

    def accepts():
        if process.poll() is not None:
            with open(log, errors="replace") as f:
                raise Unmeasurable(f"{name} ended: {f.read()[-300:]}")
        with contextlib.suppress(OSError), system.raw(login=False):
            return True
    pg.wait_until(accepts, "start of " + name, 20)
    return system


def certificate(shop):
    """A private key and its certificate, as files."""
    key, cert = shop.path("tls.key"), shop.path("tls.crt")
    if not os.path.exists(cert):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-keyout",
                        key, "-out", cert], check=True, capture_output=True)
        shop.owned(key)
    return key, cert


def secrets(nodes):
    """Each role and what PostgreSQL keeps of its password, or "".  A proxy that has it derives no
    keys."""
    return nodes[0].su("SELECT rolname, coalesce(rolpassword, '') FROM pg_authid"
                       " WHERE rolcanlogin", dbname="postgres")


def pgpool_params(shop, nodes, tls):
    """What this project and Pgpool-II are both told."""
    key, cert = certificate(shop)
    return dict(num_init_children=SERVERS, max_pool=1, connection_cache=True,
                load_balance_mode=len(nodes) > 1, enable_pool_hba=True, pool_passwd="pool_passwd",
                log_per_node_statement=False, log_min_messages="warning", backend_weight0=1,
                ssl=tls, ssl_key=key, ssl_cert=cert)


def start_pgpool(shop, name, nodes, tls):
    passwd = "".join(f"{role}:{secret}\n" for role, secret in secrets(nodes) if secret)
    proxy = shop.proxy(nodes, hba=PROXY_HBA, passwd=passwd, backend_sslmode="disable",
                       **pgpool_params(shop, nodes, tls))
    proxy.start()
    return System(name, proxy.port, proxy.process)


def start_watched(shop, name, nodes, tls):
    """Its metrics are fetched each second, as Prometheus never does so often."""
    params = dict(pgpool_params(shop, nodes, tls), metrics_listen_addresses="127.0.0.1",
                  metrics_port=pg.free_port())
    passwd = "".join(f"{role}:{secret}\n" for role, secret in secrets(nodes) if secret)
    proxy = shop.proxy(nodes, hba=PROXY_HBA, passwd=passwd, backend_sslmode="disable", **params)
    proxy.start()

    def watch():
        with contextlib.suppress(OSError):
            while True:
                url = f"http://127.0.0.1:{params['metrics_port']}/metrics"
                with urllib.request.urlopen(url, timeout=10) as r:
                    r.read()
                time.sleep(1)
    threading.Thread(target=watch, daemon=True).start()
    return System(name, proxy.port, proxy.process)


def start_pgpool2(shop, name, nodes, tls):
    """Its pool_passwd holds passwords only.  Debian 12's 4.3 has socket_dir and logdir of old."""
    home, port = shop.owned(pg.make_folder(shop.path(name))), pg.free_port()
    conf = {**pg.PROXY, **pg.Proxy.backends(nodes), **pgpool_params(shop, nodes, tls),
            "port": port, "pcp_port": pg.free_port(), "logdir": home,
            "socket_dir": home, "pcp_socket_dir": home, "wd_ipc_socket_dir": home,
            "pid_file_name": home + "/pid", "backend_clustering_mode": "streaming_replication"}
    write(home, "pool_passwd", f"scram:TEXT{PASSWORD}\n")
    return launch(shop, name, port, [
        rival("pgpool2"), "-n", "-D", "-f", write(home, "pgpool.conf", pg.settings_text(conf)),
        "-a", write(home, "pool_hba.conf", PROXY_HBA), "-F", write(home, "pcp.conf", "")])


def start_bouncer(shop, name, nodes, tls, mode="session"):
    home, port = pg.make_folder(shop.path(name)), pg.free_port()
    key, cert = certificate(shop)
    users = "".join(f'"{role}" "{secret}"\n' for role, secret in secrets(nodes))
    conf = {
        "listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "pool_mode": mode,
        "auth_type": "hba", "auth_hba_file": write(home, "hba", PROXY_HBA),
        "auth_file": write(home, "users", users),
        "max_client_conn": 5000, "default_pool_size": SERVERS, "log_connections": 0,
        "log_disconnections": 0, "stats_period": 3600,
        "ignore_startup_parameters": "options,extra_float_digits",
        "client_tls_sslmode": "require" if tls else "disable",
        "client_tls_key_file": key, "client_tls_cert_file": cert,
    }
    old = bouncer_version() < (1, 21)
    if not old:
        conf["max_prepared_statements"] = 200           # its default since 1.24
    text = f"[databases]\n* = host=127.0.0.1 port={nodes[0].port}\n[pgbouncer]\n"
    text += "".join(f"{k} = {v}\n" for k, v in conf.items())
    system = launch(shop, name, port, [rival("pgbouncer"), "-q", write(home, "ini", text)])
    if old and mode == "transaction":
        system.lacks = ("prepared",)
    return system


def bouncer_version():
    found = re.search(r"(\d+)\.(\d+)", version("pgbouncer", "-V"))
    return tuple(map(int, found.groups())) if found else (0, 0)


def start_bouncer_tx(*how):
    return start_bouncer(*how, mode="transaction")


def start_haproxy(shop, name, nodes, _):
    """A second thread makes each of its transactions and logins dearer."""
    home, port = pg.make_folder(shop.path(name)), pg.free_port()
    text = ("global\n maxconn 4000\n nbthread 1\ndefaults\n mode tcp\n timeout connect 5s\n"
            f" timeout client 1h\n timeout server 1h\nlisten all\n bind 127.0.0.1:{port}\n")
    for i, node in enumerate(nodes):
        text += f" server s{i} 127.0.0.1:{node.port}\n"
    return launch(shop, name, port, [rival("haproxy"), "-db", "-f", write(home, "cfg", text)])


def start_direct(shop, name, nodes, _):
    return System(name, nodes[0].port)


LB, TLS = "-lb", "-tls"                 # variants of a column, and what its name ends in

# name: title, how it is started, its variants
PEERS = {
    "direct": ("directly", start_direct, ()),
    "pgpool": ("pgpool", start_pgpool, (LB, TLS)),
    "bouncer-tx": ("PgBouncer, transaction mode", start_bouncer_tx, (TLS,)),
    "bouncer": ("PgBouncer, session mode", start_bouncer, (TLS,)),
    "pgpool2": ("Pgpool-II", start_pgpool2, (LB, TLS)),
    "haproxy": ("HAProxy, mode tcp", start_haproxy, (LB,)),
    "watched": ("pgpool with metrics", start_watched, ()),
}
ASKED_FOR = {"watched"}                 # only with --only


def columns(variant=""):
    """The names of the columns in a table of this variant."""
    return [name + variant for name, (_, _, variants) in PEERS.items()
            if (not variant or variant in variants) and name not in ASKED_FOR]


# ---- one cell ---------------------------------------------------------------------------------

@contextlib.contextmanager
def one_processor(pids):
    """Moves processes, and this one with what it starts, to one processor and back."""
    def move(processors):
        for pid in (os.getpid(), *pids):
            with contextlib.suppress(OSError):      # some end meanwhile
                for thread in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(thread), processors)
    home = os.sched_getaffinity(0)
    move({max(home)})
    try:
        yield
    finally:
        move(home)


@contextlib.contextmanager
def variable(name, value):
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


class SecureWire(wire.Wire):
    """A connection that asks for TLS."""

    def __init__(self, address):
        super().__init__(address)
        self.send(wire.packet(80877103))
        if self.take(1) != b"S":
            raise Unmeasurable("no TLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock)


def raw_client(system):
    """Logged in without a password, over TLS where the column is about that."""
    w = (SecureWire if system.name.endswith(TLS) else wire.Wire)(system.address)
    w.login(user="trust", database="postgres")
    return w


class Bench:
    """The parts of a run, and its two ways of measuring."""

    def __init__(self, nodes, systems, results, args):
        self.nodes, self.systems, self.results, self.args = nodes, systems, results, args

    def pgbench(self, system, user, clients, *options):
        """(transactions per second, microseconds of the proxy per transaction)"""
        before = system.cpu()
        try:
            out = system.pgbench("-T", str(self.args.seconds), "-c", str(clients), "-j",
                                 str(min(clients, 2)), *options, user=user, password=PASSWORD,
                                 dbname="postgres", timeout=self.args.seconds + 60)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            raise Unmeasurable(str(e)) from e
        used = system.cpu() - before
        done = int(re.search(r"actually processed: (\d+)", out)[1])
        if not done:
            raise Unmeasurable("no transaction in time")
        return float(re.search(r"tps = ([\d.]+)", out)[1]), used / done * 1e6

    def select(self, system, mode, clients):
        if mode in system.lacks:
            raise Unmeasurable(f"pgbench -M {mode}: this version cannot do it")
        command = (system, "trust", clients, "-S", "-M", mode)
        if clients > 1 or self.args.free:
            return self.pgbench(*command)
        nodes = [pid for node in self.nodes for pid in family(node.process.pid)]
        with one_processor(system.pids + nodes):
            return self.pgbench(*command)

    def think(self, system, clients, rate):
        return self.pgbench(system, "trust", clients, "-S", "-M", "extended", "-R", str(rate))

    def login(self, system, user, script):
        with variable("PGSSLMODE", "require" if system.name.endswith(TLS) else "disable"):
            return self.pgbench(system, user, LOGIN_CLIENTS, "-C", "-f", script)

    def bulk(self, system):
        """(MB of a long result per second, microseconds of the proxy per MB)"""
        with raw_client(system) as w:
            cpu, clock, left = system.cpu(), time.monotonic(), BULK << 20
            w.send(wire.query(f"SELECT repeat('x', 1013) FROM generate_series(1, {BULK << 10})"))
            room = bytearray(1 << 20)
            while left > 0:
                left -= w.sock.recv_into(room) or left
            return BULK / (time.monotonic() - clock), (system.cpu() - cpu) / BULK * 1e6

    def stays(self, system, statements):
        """Percent of the sessions that read on the replica and do so behind the statements, too."""
        def on_replica(w):
            port = wire.value(w.query("SELECT current_setting('port') FROM item RIGHT JOIN"
                                      " (VALUES (1)) v(a) USING (a)"))
            return int(port) == self.nodes[1].port
        readers = stayed = 0
        for _ in range(10 * READERS):
            with raw_client(system) as w:
                if not on_replica(w):
                    continue
                for sql in statements:
                    w.query(sql)
                stayed += on_replica(w)
                w.send(wire.terminate())
            readers += 1
            if readers == READERS:
                return 100 * stayed / readers
        raise Unmeasurable(f"{readers} of {10 * READERS} sessions read on the replica")

    def staying(self):
        for row, statements in BEHIND.items():
            say(f"reads behind {row}")
            for name in columns(LB):
                self.one(("staying-lb",), row, name,
                         lambda system, what: (self.stays(system, what),), (statements,))

    def timed(self, script):
        """All cells that take time, round after round, the systems in turn."""
        cells = [(("tps", "cpu"), f"{m} {c}", "", self.select, (m, c))
                 for m in MODES for c in CLIENTS]
        cells += [(("tps-lb", "cpu-lb"), f"{m} {c}", LB, self.select, (m, c))
                  for m in MODES for c in LB_CLIENTS]
        cells += [(("tps", "cpu"), f"{THINKING[0]} thinking", "", self.think, THINKING)]
        cells += [(("logins" + v, "login-cpu" + v), user, v, self.login, (user, script))
                  for v in ("", TLS) for user in ("trust", "scram")]
        cells += [(("bulk" + v, "bulk-cpu" + v), f"{BULK} MB to the client", v, self.bulk, ())
                  for v in ("", TLS)]
        for n in range(self.args.rounds):
            for tables, row, variant, cell, how in cells:
                say(f"round {n + 1} of {self.args.rounds}: {tables[0]} {row}")
                for name in columns(variant):
                    self.one(tables, row, name, cell, how)

    def one(self, tables, row, name, cell, how):
        if name not in self.systems or self.results.lacks(tables[0], row, name):
            return
        try:
            values = cell(self.systems[name], *how)
        except (Unmeasurable, OSError, EOFError, wire.LoginError) as e:
            for table in tables:
                self.results.lack(table, row, name, e)
            return
        for table, value in zip(tables, values):
            self.results.add(table, row, name, value)

    def idle(self, system, count):
        """Bytes of resident memory that each of `count` idle clients adds."""
        with contextlib.ExitStack() as stack:
            def clients(n):
                for _ in range(n):
                    stack.enter_context(raw_client(system))
            clients(10)
            before = system.resident()
            clients(count)
            return (system.resident() - before) / count

    def memory(self):
        for name, count in IDLE.items():
            count //= 2 if self.args.quick else 1
            say(f"{count} idle clients: {name}")
            table = "memory" + (TLS if name.endswith(TLS) else "")
            self.one((table,), PER_CLIENT, name,
                     lambda system, n: (self.idle(system, n),), (count,))


class Results:
    """(table, row, system) -> the values of the rounds, or the reason why there are none."""

    def __init__(self):
        self.values, self.missing = {}, {}

    def add(self, table, row, system, value):
        self.values.setdefault((table, row, system), []).append(value)

    def lack(self, table, row, system, why):
        """Keeps what says why: the first line about an error, else the end."""
        text = str(why)
        found = re.search(r"(?m)^.*(?:ERROR|FATAL|error):.*$", text)
        self.missing[table, row, system] = " ".join((found[0] if found else text).split())[-240:]

    def lacks(self, table, row, system):
        return (table, row, system) in self.missing

    def get(self, table, row, system):
        if self.lacks(table, row, system):
            return None
        values = self.values.get((table, row, system))
        return statistics.median(values) if values else None

    def rows(self, table):
        return list(dict.fromkeys(k[1] for k in self.values if k[0] == table))


# ---- the report -------------------------------------------------------------------------------

# README's table: what a row says, and whose cells stand in it.
SUMMARY = (
    *((f"`pgbench -S`, {m}, {' / '.join(map(str, CLIENTS))} clients: µs per transaction", "cpu",
       [f"{m} {c}" for c in CLIENTS]) for m in MODES),
    (f"{THINKING[0]} clients that think, {THINKING[1]} transactions per second in all: µs each",
     "cpu", [f"{THINKING[0]} thinking"]),
    (f"over a primary and a replica, simple, {' / '.join(map(str, LB_CLIENTS))} clients: µs per"
     " transaction", "cpu-lb", [f"simple {c}" for c in LB_CLIENTS]),
    (f"reads that stay on the replica behind {' / '.join(BEHIND)}: %", "staying-lb", list(BEHIND)),
    ("a login without a password, and one statement: µs", "login-cpu", ["trust"]),
    ("a login with SCRAM, and one statement: µs", "login-cpu", ["scram"]),
    ("a long result: µs per MB", "bulk-cpu", [f"{BULK} MB to the client"]),
    ("at start, KB", "memory", [AT_START]),
    ("an idle client, bytes", "memory", [PER_CLIENT]),
    ("TLS: a login without a password, and one statement: µs", "login-cpu-tls", ["trust"]),
    ("TLS: a login with SCRAM, and one statement: µs", "login-cpu-tls", ["scram"]),
    ("TLS: a long result: µs per MB", "bulk-cpu-tls", [f"{BULK} MB to the client"]),
    ("TLS: an idle client, bytes", "memory-tls", [PER_CLIENT]),
)

TITLES = {
    "tps": "Transactions per second, pgbench -S (mode, clients)",
    "cpu": "Proxy processor time per transaction, microseconds",
    "tps-lb": "Transactions per second, balanced over primary and replica",
    "cpu-lb": "Proxy processor time per transaction, balanced, microseconds",
    "staying-lb": "Of the sessions that read on the replica, percent that do so behind a statement",
    "logins": f"Logins per second, pgbench -C, {LOGIN_CLIENTS} clients",
    "login-cpu": "Proxy processor time per login, microseconds",
    "bulk": "MB per second",
    "bulk-cpu": "Proxy processor time per MB, microseconds",
    "memory": "Memory",
    "logins-tls": "TLS: logins per second",
    "login-cpu-tls": "TLS: proxy processor time per login, microseconds",
    "bulk-tls": "TLS: MB per second",
    "bulk-cpu-tls": "TLS: proxy processor time per MB, microseconds",
    "memory-tls": "TLS: memory",
}


def variant_of(table):
    return next((v for v in (LB, TLS) if table.endswith(v)), "")


def cell_text(value):
    if value is None:
        return "n/a"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def summary_text(results):
    """The table of README.md: a column for each peer, whatever its variants."""
    names = [name for name in PEERS if name != "direct" and name not in ASKED_FOR]
    lines = ["| | " + " | ".join(PEERS[name][0] for name in names) + " |",
             "| --- |" + " ---: |" * len(names)]
    for title, table, rows in SUMMARY:
        cells = [[results.get(table, row, name + variant_of(table)) for row in rows]
                 for name in names]
        lines.append(f"| {title} | " + " | ".join(
            " / ".join(map(cell_text, cell)) if any(cell) else "n/a" for cell in cells) + " |")
    return "\n".join(lines)


def table_text(results, table):
    """One table; its last columns are our figure divided by the others'."""
    variant = variant_of(table)
    names = [n for n in columns(variant) if n != "direct" or table in ("tps", "logins", "bulk")]
    ours, *others = [n for n in names if n != "direct"]
    lines = ["| | " + " | ".join(names + [f"pgpool ÷ {o}" for o in others]) + " |",
             "|---|" + "---:|" * (len(names) + len(others))]
    for row in results.rows(table):
        cells = [cell_text(results.get(table, row, c)) for c in names]
        mine = results.get(table, row, ours)
        for other in others:
            theirs = results.get(table, row, other)
            cells.append(f"{mine / theirs:.2f}" if theirs and mine is not None else "n/a")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def version(program, option):
    try:
        done = subprocess.run([rival(program), option], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return re.sub(r" \((?!P).*| \d{4}/.*", "", done.stdout.splitlines()[0].strip())
    except (Unmeasurable, OSError, IndexError):
        return "no " + program


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    return ", ".join([
        f"{os.cpu_count()} x {model[1] if model else platform.machine()}",
        "Linux " + platform.release(), version(pg.tool("postgres"), "-V"),
        version("pgbouncer", "-V"), version("pgpool2", "-v"), version("haproxy", "-v")])


def report(results, args):
    parts = ["# pgpool beside others", "", machine() + ".",
             f"Medians of {args.rounds} rounds of {args.seconds} s, all on loopback"
             + ("." if args.free else "; one client: all on one processor."),
             "Microseconds are the proxy's processor time. pgpool and PgBouncer are given SCRAM"
             " secrets; Pgpool-II takes passwords only.", "", summary_text(results), ""]
    for table, title in TITLES.items():
        if results.rows(table):
            parts += ["## " + title, "", table_text(results, table), ""]
    reasons = {}
    for (table, row, system), why in results.missing.items():
        reasons.setdefault((system, why), []).append(f"{table} {row}")
    if reasons:
        parts += ["## Not measured", ""]
        parts += [f"* {system} ({', '.join(cells)}): {why}"
                  for (system, why), cells in reasons.items()] + [""]
    return "\n".join(parts)


def budgets(results):
    """The promises, as (met, text).  PgBouncer's figures are those of its session mode, which does
    what we do: a client has a server for as long as it stays, and that is reset afterwards."""
    def beside(table, row, what):
        ours, theirs = results.get(table, row, "pgpool"), results.get(table, row, "bouncer")
        if ours is None or theirs is None:
            return False, f"{what}: not measured"
        return ours <= theirs, f"{what}: {ours:.1f} us, PgBouncer {theirs:.1f}"

    lines = [beside("cpu", f"{m} {c}", f"per transaction, {m} {c}")
             for m in MODES for c in CLIENTS]
    lines.append(beside("cpu", f"{THINKING[0]} thinking", "per transaction, thinking clients"))
    lines.append(beside("login-cpu", "scram", "per SCRAM login"))
    lines.append(beside("login-cpu", "trust", "per trusted login"))
    idle = results.get("memory", PER_CLIENT, "pgpool")
    lines.append((False, "per idle client: not measured") if idle is None else
                 (idle <= 1024, f"per idle client: {idle:.0f} bytes, at most 1024"))
    idle = results.get("memory-tls", PER_CLIENT, "pgpool-tls")
    lines.append((False, "per idle TLS client: not measured") if idle is None else
                 (idle <= 4608, f"per idle TLS client: {idle:.0f} bytes, at most 4608"))
    return lines


# ---- the run ----------------------------------------------------------------------------------

def start_nodes(shop):
    size = dict(max_connections=1500, shared_buffers="128MB")
    primary = shop.cluster("p", **size)
    primary.rules(SERVER_HBA)
    primary.start()
    primary.su("CREATE ROLE trust LOGIN SUPERUSER", dbname="postgres")
    primary.su(f"CREATE ROLE scram LOGIN SUPERUSER PASSWORD '{PASSWORD}'", dbname="postgres")
    primary.su(SETUP, dbname="postgres")
    primary.pgbench("-i", "-q", user="postgres", dbname="postgres", check=False)
    replica = primary.standby("r", **size)
    replica.rules(SERVER_HBA)
    return [primary, replica.start()]


def start_systems(shop, nodes, args, results):
    systems = {}
    for name, variant in [(n, v) for v in ("", LB, TLS) for n in columns(v)]:
        if args.only and name not in args.only:
            continue
        _, start, _ = PEERS[name.removesuffix(variant)]
        try:
            system = start(shop, name, nodes if variant == LB else nodes[:1], variant == TLS)
            systems[name] = system
            time.sleep(0.3)             # Pgpool-II forks its children after it listens
            if not variant and system.process:
                results.add("memory", AT_START, name, system.resident() / 1024)
        except (Unmeasurable, AssertionError, OSError) as e:
            results.lack("start", "of it", name, e)
    return systems


def arguments():
    p = argparse.ArgumentParser(description="Measures pgpool beside PgBouncer, Pgpool-II, HAProxy.")
    p.add_argument("--quick", action="store_true", help="one round of one second for each cell")
    p.add_argument("--seconds", type=int, help="length of a cell (1)")
    p.add_argument("--rounds", type=int, help="how often each cell is measured (7)")
    p.add_argument("--check", action="store_true", help="say which budgets are met")
    p.add_argument("--free", action="store_true", help="let the kernel place single clients")
    p.add_argument("--output", metavar="FILE", help="write the tables there too")
    p.add_argument("--only", metavar="NAME,...", type=lambda s: s.split(","), help="these columns")
    p.add_argument("--pgpool", metavar="BINARY", help="the program to measure (./pgpool)")
    a = p.parse_args()
    a.seconds = a.seconds or 1
    a.rounds = a.rounds or (1 if a.quick else 7)
    return a


def main():
    args = arguments()
    ASKED_FOR.difference_update(args.only or ())
    if args.pgpool:
        os.environ["PGPOOL_BINARY"] = os.path.abspath(args.pgpool)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    shop, results = pg.Workshop(), Results()
    say("starting PostgreSQL and the proxies")
    nodes = start_nodes(shop)
    bench = Bench(nodes, start_systems(shop, nodes, args, results), results, args)
    bench.timed(write(shop.folder, "select.sql", "SELECT 1;\n"))
    bench.staying()
    bench.memory()
    for system in bench.systems.values():
        if system.process:
            system.process.terminate()  # HAProxy does not take the workshop's SIGQUIT as an end

    text = report(results, args)
    print(text)
    if args.output:
        with open(args.output, "w") as f:
            f.write(text)
    if args.check:
        for met, line in budgets(results):
            print(("met     " if met else "MISSED  ") + line)
    return 1 if any(k[2] in ESSENTIAL for k in results.missing) else 0


if __name__ == "__main__":
    sys.exit(main())
