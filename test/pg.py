"""Throw-away PostgreSQL clusters, the proxy in front of them, and psql.

A Workshop owns one folder and every process that is started in it: all end with close(), at the
end of the program, or (by the kernel's hand) when the program dies.  Folders that a killed
program left are removed by the next one.

    shop = Workshop()
    primary = shop.cluster("p").start()
    replica = primary.standby("r").start()
    proxy = shop.proxy([primary, replica], load_balance_mode=True).start()
    proxy.psql("SELECT 1")
    shop.close()

Clusters run as user postgres when we are root.  Everybody is trusted (pg_hba.conf) unless a test
writes other rules.  Superuser: postgres; the tests' own role and database: app.
"""

import atexit
import contextlib
import ctypes
import glob
import itertools
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg

import wire
from wire import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX = "pgpool-test-"
KEEP = os.environ.get("PGPOOL_TEST_KEEP")       # leave folders behind, to look into them
LIBC = ctypes.CDLL(None)

PRIMARY, REPLICA = 0, 1         # node numbers as the proxy's configuration gives them

CLUSTER = dict(                 # postgresql.conf of every cluster
    listen_addresses="127.0.0.1",
    fsync="off",
    full_page_writes="off",
    wal_level="replica",
    hot_standby="on",
    max_connections=300,
    max_wal_senders=10,
    max_prepared_transactions=10,
    shared_buffers="32MB",
    wal_keep_size="64MB",
    wal_receiver_status_interval="1s",
    autovacuum="off",
    logging_collector="off",
    log_line_prefix="%m [%p] %u@%d ",
    timezone="UTC",
    password_encryption="scram-sha-256",        # md5 before 14
)

HBA = """
local all all trust
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""


def newest_postgres():
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    if not found:
        raise SystemExit("no PostgreSQL server below /usr/lib/postgresql")
    return os.path.dirname(max(found, key=lambda p: int(p.split("/")[4])))


BIN = newest_postgres()
SERVER = os.environ.get("PGPOOL_POSTGRES", BIN)     # a folder with postgres and initdb: matrix.py


def tool(name):
    return os.path.join(SERVER if name in ("postgres", "initdb") else BIN, name)


def major(folder):
    out = subprocess.run([os.path.join(folder, "postgres"), "-V"], text=True, check=True,
                         stdout=subprocess.PIPE).stdout
    return int(re.search(r"\) (\d+)", out)[1])


VERSION = major(SERVER)


def setting(value):
    """A value as both configuration files (PostgreSQL's and ours) take it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    return f"'{value}'"


def settings_text(settings):
    return "".join(f"{k} = {setting(v)}\n" for k, v in settings.items() if v is not None)


def claim_ports():
    """A block of ports below those that the kernel gives to outgoing connections, ours for as long
    as this program lives: an abstract socket keeps other runs off it."""
    blocks = list(range(15000, 32000, 1000))
    random.SystemRandom().shuffle(blocks)
    for first in blocks:
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0{PREFIX}ports-{first}")
        except OSError:
            lock.close()
            continue
        return lock, itertools.cycle(range(first, first + 1000))
    raise SystemExit("too many runs at once: no block of ports is left")


_lock, _ports = None, None


def free_port():
    """The next port of our block that is free right now."""
    global _lock, _ports
    if not _lock:
        _lock, _ports = claim_ports()
    for port in _ports:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Workshop:
    """One folder below /tmp and the processes in it."""

    def __init__(self):
        sweep()
        self.folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir="/tmp")
        os.chmod(self.owned(self.folder), 0o755)
        self.running = []
        self.template = None
        self.count = 0
        atexit.register(self.close)

    def path(self, name):
        return os.path.join(self.folder, name)

    def fresh(self, name):
        """A new name for something that may be made several times."""
        self.count += 1
        return f"{name}{self.count}"

    def owned(self, path):
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(path, user.pw_uid, user.pw_gid)
        return path

    def as_postgres(self):
        if os.geteuid() != 0:
            return {}
        return dict(user="postgres", group="postgres", extra_groups=[])

    def run(self, *command):
        """Runs a tool of PostgreSQL to its end, as the clusters' user."""
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, **self.as_postgres())
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}")

    def spawn(self, command, log, death=signal.SIGKILL, **how):
        """Starts a process that gets `death` when we die; its output is appended to log.

        To be called from the main thread: the kernel takes the end of a thread for our death."""
        before = how.pop("preexec_fn", None)

        def prepare():
            if before:
                before()
            LIBC.prctl(1, int(death), 0, 0, 0)  # PR_SET_PDEATHSIG; a change of user clears it
        with open(log, "ab") as out:
            p = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out, preexec_fn=prepare, **how)
        self.running.append(p)
        return p

    def cluster(self, name, **settings):
        """A new, empty cluster (a copy of one that was made once); not started."""
        if not self.template:
            self.template = self.path("template")
            self.run(tool("initdb"), "-D", self.template, "-U", "postgres", "-A", "trust", "-N",
                     "-E", "UTF8", "--locale=C.UTF-8")
        data = self.path(name)
        self.run("cp", "-a", self.template, data)
        return Cluster(self, name, settings)

    def pair(self, **settings):
        """A started primary and its replica."""
        primary = self.cluster(self.fresh("p"), **settings).start()
        primary.provide()
        return primary, primary.standby(self.fresh("r")).start()

    def proxy(self, nodes, binary=None, **how):
        return Proxy(self, nodes, binary or os.environ.get("PGPOOL_BINARY")
                     or os.path.join(os.path.dirname(HERE), "pgpool"), **how)

    def close(self):
        for p in reversed(self.running):
            if p.poll() is None:
                p.send_signal(signal.SIGQUIT)
        for p in self.running:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.running = []
        if not KEEP:
            shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)


def sweep():
    """Removes the folders of programs that were killed."""
    for path in glob.glob(f"/tmp/{PREFIX}*"):
        pid = re.match(r"(\d+)-", os.path.basename(path)[len(PREFIX):])
        if pid and not alive(int(pid[1])) and not KEEP:
            shutil.rmtree(path, ignore_errors=True)


class Target:
    """Something that speaks PostgreSQL's protocol: a cluster or the proxy."""

    host = "127.0.0.1"
    port = 0
    folder = None                       # where its Unix socket is

    @property
    def address(self):
        return (self.host, self.port)

    @property
    def socket(self):
        return f"{self.folder}/.s.PGSQL.{self.port}"

    def where(self, **kw):
        return {**dict(host=self.host, port=self.port, user="app", dbname="app",
                       connect_timeout=20), **kw}

    def connect(self, **kw):
        """A psycopg connection, in autocommit mode unless the test says otherwise."""
        kw.setdefault("autocommit", True)
        return psycopg.connect(**self.where(**kw))

    def raw(self, login=True, timeout=10, address=None, **kw):
        """A raw connection of wire.py, logged in."""
        w = wire.Wire(address or self.address, timeout)
        return w.login(**kw) if login else w

    def ask(self, sql, params=None, **kw):
        """All rows of one statement on a connection of its own."""
        with self.connect(**kw) as c:
            cursor = c.execute(sql, params)
            return cursor.fetchall() if cursor.description else None

    def one(self, sql, params=None, **kw):
        return self.ask(sql, params, **kw)[0][0]

    def env(self, **kw):
        w = self.where(**kw)
        names = dict(host="PGHOST", port="PGPORT", user="PGUSER", dbname="PGDATABASE",
                     password="PGPASSWORD", connect_timeout="PGCONNECT_TIMEOUT",
                     application_name="PGAPPNAME", options="PGOPTIONS")
        return {**os.environ, "PSQLRC": "/dev/null", "PAGER": "cat",
                **{names[k]: str(v) for k, v in w.items()}}

    def psql(self, sql=None, *args, check=True, input=None, **kw):
        """psql -XAt; returns what it printed, both streams together."""
        command = [tool("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", *args]
        if sql is not None:
            command += ["-c", sql]
        done = subprocess.run(command, env=self.env(**kw), input=input, text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode:
            raise AssertionError(f"psql {sql!r} exits {done.returncode}: {done.stdout}")
        return done.stdout.rstrip("\n")

    def pgbench(self, *args, check=True, timeout=120, **kw):
        done = subprocess.run([tool("pgbench"), "-n", *args], env=self.env(**kw), text=True,
                              timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        good = "-i" in args or "number of failed transactions: 0 " in done.stdout
        if check and (done.returncode or not good):
            raise AssertionError(f"pgbench {args} exits {done.returncode}: {done.stdout}")
        return done.stdout


class Cluster(Target):
    """One PostgreSQL: primary or hot standby."""

    def __init__(self, shop, name, settings=None):
        self.shop, self.name = shop, name
        self.data = shop.path(name)
        self.folder = shop.owned(make_folder(shop.path(name + ".s")))
        self.log_file = shop.path(name + ".log")
        self.port = free_port()
        self.process = None
        self.configure(**{**CLUSTER, **(settings or {}), "port": self.port,
                          "unix_socket_directories": self.folder})
        self.rules(HBA)

    def configure(self, **settings):
        with open(f"{self.data}/postgresql.conf", "a") as f:
            f.write(settings_text(settings))

    def rules(self, text):
        """Replaces pg_hba.conf (read at the next start or reload())."""
        with open(f"{self.data}/pg_hba.conf", "w") as f:
            f.write(text)

    def standby(self, name, **settings):
        """A new hot standby of this cluster; not started."""
        data = self.shop.path(name)
        if VERSION > major(BIN):
            self.copy(data)
        else:
            self.shop.run(tool("pg_basebackup"), "-h", self.host, "-p", str(self.port), "-U",
                          "postgres", "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        if VERSION != major(BIN):       # options of another libpq
            with open(f"{data}/postgresql.auto.conf", "a") as f:
                f.write(f"primary_conninfo = 'host={self.host} port={self.port} user=postgres'\n")
        return Cluster(self.shop, name, settings)

    def copy(self, data):
        """What pg_basebackup does not do with a newer server."""
        with self.connect(user="postgres", dbname="postgres") as c:
            c.execute("SELECT pg_backup_start('standby', true)")
            self.shop.run("cp", "-a", self.data, data)
            label = c.execute("SELECT labelfile FROM pg_backup_stop(false)").fetchone()[0]
        os.unlink(f"{data}/postmaster.pid")
        for name, text in (("backup_label", label), ("standby.signal", "")):
            with open(self.shop.owned(make_file(f"{data}/{name}")), "w") as f:
                f.write(text)

    def start(self):
        self.process = self.shop.spawn([tool("postgres"), "-D", self.data], self.log_file,
                                       signal.SIGQUIT, **self.shop.as_postgres())
        wait_until(self.accepts, f"start of cluster {self.name}", 60)
        return self

    def accepts(self):
        if self.process.poll() is not None:
            raise AssertionError(f"cluster {self.name} ended: {self.log_since(0)}")
        try:
            self.ask("SELECT 1", user="postgres", dbname="postgres")
            return True
        except psycopg.OperationalError:
            return False

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast; SIGQUIT: as in a crash."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)
        if self.process in self.shop.running:
            self.shop.running.remove(self.process)
        self.process = None

    def remove(self):
        """Stops it and deletes its files."""
        self.stop(signal.SIGQUIT)
        if not KEEP:
            shutil.rmtree(self.data)

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        return self.start()

    def reload(self):
        """Rereads the configuration; back when sessions that begin now see it."""
        mark = self.log_size()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloading configuration" in self.log_since(mark), "reload")
        self.su("SELECT pg_reload_conf()")

    def su(self, sql, params=None, dbname="app"):
        """As superuser, directly; all rows."""
        return self.ask(sql, params, user="postgres", dbname=dbname)

    def provide(self):
        """The role and the database of the tests."""
        self.su("CREATE ROLE app LOGIN", dbname="postgres")
        self.su("CREATE DATABASE app OWNER app", dbname="postgres")

    def catch_up(self, replica):
        """Waits until the replica has replayed all that the primary wrote so far."""
        here = self.su("SELECT pg_current_wal_lsn()")[0][0]
        wait_until(lambda: replica.su("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn",
                                      (here,))[0][0], "replay", 30)

    def backends(self, where="true"):
        """Sessions of clients (not of this very look)."""
        return self.su("SELECT pid, usename, datname, application_name, state FROM"
                       " pg_stat_activity WHERE backend_type = 'client backend'"
                       " AND pid <> pg_backend_pid() AND (" + where + ") ORDER BY pid")

    def expel(self):
        """Ends all sessions of clients, those too that begin meanwhile: the proxy asks the catalog."""
        def gone():
            self.su("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ="
                    " 'client backend' AND pid <> pg_backend_pid()")
            return not self.backends()
        wait_until(gone, "the end of all sessions")

    def log_size(self):
        return os.path.getsize(self.log_file)

    def log_since(self, position):
        with open(self.log_file, errors="replace") as f:
            f.seek(position)
            return f.read()


@contextlib.contextmanager
def frozen_whole(cluster):
    """With all its sessions."""
    first = cluster.process.pid
    with open(f"/proc/{first}/task/{first}/children") as f:
        pids = [first, *map(int, f.read().split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def make_file(path):
    with open(path, "w"):
        return path


def make_folder(path):
    os.makedirs(path, exist_ok=True)
    return path


# What comes after it is run as the same user, but not as an almighty one.
UNPRIVILEGED = (["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
                  if os.geteuid() == 0 else [])

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehavior")

PROXY = dict(                   # pgpool.conf of every proxy, before what a test asks for
    listen_addresses="127.0.0.1",
    sr_check_period=0,
    load_balance_consistency="off",     # test_causal.py has what it does
    health_check_period=0,
    failover_on_backend_error=False,
    log_per_node_statement=True,
    pcp_listen_addresses="",    # its port is one for all proxies unless a test asks for another
    pcp_socket_dir="",
)


class Proxy(Target):
    """The program under test.  Parameters of pgpool.conf are given by name; None leaves one out.

    passwd, hba and pcp are the texts of pool_passwd, pool_hba.conf and pcp.conf; text replaces
    pgpool.conf as a whole; env adds environment variables; before runs in the child before the
    program starts.
    """

    def __init__(self, shop, nodes, binary, passwd=None, hba=None, text=None, env=None, before=None,
                 pcp=None, **params):
        self.shop, self.nodes, self.binary = shop, nodes, binary
        self.name = shop.fresh("x")
        self.folder = make_folder(shop.path(self.name))
        self.log_file = f"{self.folder}/log"
        self.conf_file = f"{self.folder}/pgpool.conf"
        self.port = params.get("port") or free_port()
        self.params = {**PROXY, "port": self.port, "unix_socket_directories": self.folder,
                       **self.backends(nodes), **params}
        self.passwd, self.hba, self.pcp, self.text = passwd, hba, pcp, text
        self.environment, self.before = env or {}, before
        self.process = None
        self.ended = False              # the test ended it itself

    @staticmethod
    def backends(nodes):
        out = {}
        for i, node in enumerate(nodes):
            out[f"backend_hostname{i}"] = node.host
            out[f"backend_port{i}"] = node.port
            out[f"backend_weight{i}"] = 1 if i else 0
            out[f"backend_flag{i}"] = ("DISALLOW_TO_FAILOVER" if i else
                                       "ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER")
        if len(nodes) == 1:
            out["backend_weight0"] = 1
        return out

    def write(self, **params):
        """Writes the configuration files, with changes."""
        self.params.update(params)
        files = {"pgpool.conf": self.text if self.text is not None else settings_text(self.params),
                 "pool_passwd": self.passwd, "pool_hba.conf": self.hba, "pcp.conf": self.pcp}
        for name, text in files.items():
            if text is not None:
                with open(f"{self.folder}/{name}", "w") as f:
                    f.write(text)

    def command(self):
        # --core-files: tests look into /proc, and are not always root's
        return [self.binary, "--core-files", "-n", "-f", self.conf_file, "-a",
                f"{self.folder}/pool_hba.conf"]

    def launch(self):
        """Starts the program and does not wait for anything."""
        self.write()
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("PGPOOL_") and not k.endswith(("_USERNAME", "_PASSWORD"))}
        env["ASAN_OPTIONS"] = "detect_leaks=1:exitcode=99"
        env["UBSAN_OPTIONS"] = "print_stacktrace=1"
        env.update(self.environment)
        self.process = self.shop.spawn(self.command(), self.log_file, env=env,
                                       preexec_fn=self.before)
        return self

    def start(self):
        self.launch()
        wait_until(self.accepts, "start of the proxy", 20)
        return self

    def accepts(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the proxy ended ({self.process.returncode}): {self.log_text()}")
        try:
            socket.create_connection(self.address, 1).close()
            if self.params["unix_socket_directories"] == self.folder:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(self.socket)
        except OSError:
            return False
        return True

    def learn(self, *names, **login):
        """Reads of these relations are balanced from now on, since the catalog has told of them;
        unless nothing is balanced."""
        aliased = ", ".join(f"{name} x{i}" for i, name in enumerate(names))
        plain = "SELECT inet_server_port()"
        read = f"{plain} FROM (SELECT count(*) FROM {aliased} WHERE false) x"
        standbys = {str(n.port) for n in self.nodes[1:]}
        with self.raw(**login) as w:
            def told(tries=[0]):
                if wire.value(w.query(read)) in standbys:
                    return True
                balanced = wire.value(w.query(plain)) in standbys
                tries[0] = 0 if balanced else tries[0] + 1
                return tries[0] == 20
            wait_until(told, f"the catalog's word on {names}")
        return self

    def knows_code(self, **login):
        """What the code of the database may do is known from now on.  Before, reads behind a write or
        a call are the primary's until it has been asked for."""
        standbys = {str(n.port) for n in self.nodes[1:]}
        with self.raw(**login) as w:
            w.query("DO $$BEGIN END$$")
            wait_until(lambda: wire.value(w.query("SELECT inet_server_port()")) in standbys,
                       "what the code may do")
        return self

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=20):
        """Waits for the end of the program; its exit status."""
        self.ended = True
        return self.process.wait(seconds)

    def stop(self, number=signal.SIGINT, seconds=20):
        self.send_signal(number)
        return self.wait(seconds)

    def reload(self, **params):
        """Writes changed parameters, sends SIGHUP, waits until it is done."""
        self.write(**params)
        mark = len(self.log)
        self.send_signal(signal.SIGHUP)
        self.wait_log("reload config files", mark)

    def memory(self, what="VmRSS"):
        """Bytes, as the kernel counts them: VmRSS now, VmHWM at most so far."""
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(rf"{what}:\s+(\d+) kB", f.read())[1]) * 1024

    def processor_time(self):
        """Seconds so far, of all threads."""
        return time.clock_gettime(~self.pid << 3 | 2)       # the kernel's name of its clock

    def rss(self):
        return self.memory("VmRSS")

    @property
    def sanitized(self):
        """A debugging build, whose memory is not worth measuring."""
        with open(self.binary, "rb") as f:
            return b"__asan_init" in f.read()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def log_text(self):
        with open(self.log_file, errors="replace") as f:
            return f.read()

    @property
    def log(self):
        """Its log so far, as lines."""
        return self.log_text().splitlines()

    def wait_log(self, pattern, since=0, seconds=10):
        """The first line (from line `since` on) that the pattern is found in."""
        def look():
            return next((line for line in self.log[since:] if re.search(pattern, line)), None)
        return wait_until(look, f"log line {pattern!r}", seconds)

    def check(self):
        """The end of each test: it is alive, leaves when asked, and no sanitizer complained."""
        try:
            if not self.ended:
                assert self.running, f"the proxy died ({self.process.returncode}): " \
                                     + "\n".join(self.log[-20:])
                assert self.stop() == 0, "\n".join(self.log[-40:])
            bad = [i for i, line in enumerate(self.log) if SANITIZER.search(line)]
            assert not bad, "\n".join(self.log[bad[0]:bad[0] + 60])
        finally:
            self.kill()

    def kill(self):
        if self.running:
            self.process.kill()
            self.process.wait()
        if self.process in self.shop.running:
            self.shop.running.remove(self.process)
