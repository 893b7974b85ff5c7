"""The program as its operator sees it: signals, reload, log, bad configuration, the binary."""

import contextlib
import itertools
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

import pg
import wire
from pg import free_port, tool
from wire import query, wait_until

pytestmark = pytest.mark.proxy

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}: "


# ---- ending -----------------------------------------------------------------------------------

def refuses_newcomers(p):
    try:
        with p.raw(login=False, timeout=5) as w:
            w.startup()
            return w.until("EZ")[-1].type == "E"
    except (OSError, EOFError):
        return True


def test_sigterm_waits_for_the_clients(proxy):
    p = proxy()
    a, b = p.raw(), p.raw()
    a.query("BEGIN")
    a.query("CREATE TEMP TABLE t (a int)")
    p.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses_newcomers(p), "refusal")
    assert wire.value(a.query("SELECT count(*) FROM t")) == "0"
    assert a.query("COMMIT")[-1].body == b"I"
    assert wire.value(b.query("SELECT 1")) == "1"
    assert p.running
    a.bye()
    assert p.running and wire.value(b.query("SELECT 2")) == "2"
    b.bye()
    assert p.wait() == 0


def test_sigterm_without_clients_ends_at_once(proxy):
    p = proxy()
    p.psql("SELECT 1")
    begin = time.monotonic()
    assert p.stop(signal.SIGTERM) == 0
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_sigint_and_sigquit_end_the_sessions(proxy, number):
    p = proxy()
    idle, busy, begun = p.raw(), p.raw(), p.raw()
    begun.query("BEGIN")
    busy.send(query("SELECT pg_sleep(3)"))
    half = p.raw(login=False)
    begin = time.monotonic()
    assert p.stop(number) == 0
    assert time.monotonic() - begin < 5
    for w in (idle, busy, begun, half):
        out = w.eof()
        assert all(m.type == "E" and m.code == "57P01" and m.fields["S"] == "FATAL" for m in out)
        assert out or number == signal.SIGQUIT or w is half
    assert not os.path.exists(p.socket)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_stronger_signal_follows_sigterm(proxy, number):
    p = proxy()
    w = p.raw()
    p.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses_newcomers(p), "refusal")
    assert p.running
    assert p.stop(number) == 0
    w.eof()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_may_come_at_any_time(proxy, number):
    """From its first line in the log on it ends by itself, whether it listens yet or not."""
    p = proxy()
    p.stop()
    for n in range(12):
        before = p.log_text()
        p.launch()
        for _ in range(n * 200):
            os.getpid()                         # a little later each time
        p.send_signal(number)
        assert p.wait() == 0 or p.log_text() == before
        assert not os.path.exists(p.socket)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_ignored_signal_ends_it_too(proxy, number):
    """A shell lets what runs in its background ignore SIGINT and SIGQUIT."""
    p = proxy(start=False, before=lambda: signal.signal(number, signal.SIG_IGN))
    p.launch()
    p.wait_log("configuration:")
    assert p.stop(number) == 0


def test_closed_standard_descriptors(proxy):
    """What is opened first does not become stderr."""
    p = proxy(before=lambda: os.closerange(0, 3))
    assert p.psql("SELECT 1") == "1"
    for fd in range(3):
        assert os.readlink(f"/proc/{p.pid}/fd/{fd}") == "/dev/null"


def test_the_log_tells_of_the_end(proxy):
    p = proxy()
    p.stop()
    assert any("shutting down" in line or "shutdown" in line for line in p.log)


def test_servers_are_closed_at_the_end(proxy, primary, replica):
    p = proxy()
    p.psql("SELECT 1; CREATE TEMP TABLE t (a int)")
    p.psql("SELECT 1")
    p.stop()
    wait_until(lambda: not primary.backends("usename = 'app'")
               and not replica.backends("usename = 'app'"), "closed servers")


def refused(p):
    return p.log_text().count("file descriptors are")


def test_out_of_descriptors_each_refused_client_is_told_of_once(proxy):
    p = proxy(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
    mine, told = [], 0
    for _ in range(40):
        w = p.raw(login=False)
        with contextlib.suppress(OSError):              # it may be gone again already
            w.send(wire.startup(user="app", database="app"))
        mine.append(w)
    for w in mine:
        with contextlib.suppress(OSError, EOFError):
            last = w.until("EZ")[-1]                    # others wait for a server in vain
            told += last.type == "E" and "file descriptors" in last.fields.get("D", "")
    assert told
    logged = wait_until(lambda: (n := refused(p)) >= told and n, "the log")    # comes last
    assert logged <= len(mine)


# ---- reload -----------------------------------------------------------------------------------

def test_reload_changes_running_sessions(proxy):
    p = proxy(log_statement=False)
    w = p.raw()
    w.query("SELECT 'before'")
    p.reload(log_statement=True)
    w.query("SELECT 'after'")
    p.wait_log("statement: SELECT 'after'")
    p.stop()
    assert not any(re.search("LOG:  statement: SELECT 'before'", line) for line in p.log)


BAD = [("log_statement = maybe", "log_statement"), ("client_idle_limit = -5", "client_idle_limit"),
       ("= nonsense", ""), ("include 'nowhere.conf'", "nowhere.conf"),
       ("disable_load_balance_on_write = 'sometimes'", "disable_load_balance_on_write")]


@pytest.mark.parametrize("line, word", BAD)
def test_a_bad_file_changes_nothing_and_says_why(proxy, line, word):
    p = proxy(log_statement=True)
    w = p.raw()
    good = open(p.conf_file).read()
    with open(p.conf_file, "w") as f:
        f.write("log_statement = off\n" + good.replace("log_statement", "#") + line + "\n")
    at = len(p.log)
    p.send_signal(signal.SIGHUP)
    number = good.count("\n") + 2
    told = p.wait_log(rf"pgpool\.conf.*\b{number}\b", at)
    assert word in told
    w.query("SELECT 'still logged'")
    p.wait_log("statement: SELECT 'still logged'")


def test_parameters_that_need_a_restart_are_named(proxy):
    p = proxy(max_pool=3)
    old, at = p.port, len(p.log)
    p.reload(port=free_port(), max_pool=4)
    for name in ("port", "max_pool"):
        p.wait_log(rf'"?{name}"?.*(restart|start)', at)
    p.port = old
    assert p.psql("SELECT 1") == "1"


def reload_fails(p, **params):
    """A reload that changes nothing; the log's lines about it."""
    p.write(**params)
    mark = len(p.log)
    p.send_signal(signal.SIGHUP)
    p.wait_log("the configuration was not reloaded", mark)
    return p.log[mark:]


def test_a_pool_passwd_that_cannot_be_read_changes_nothing(proxy):
    p = proxy(enable_pool_hba=True, hba="host all all all md5\n", passwd="app:TEXTsecret\n")
    os.rename(f"{p.folder}/pool_passwd", f"{p.folder}/away")
    os.mkdir(f"{p.folder}/pool_passwd")
    p.passwd = None
    assert any("pool_passwd: could not be read" in line for line in reload_fails(p))
    assert wire.value(p.raw(password="secret").query("SELECT 1")) == "1"


def test_the_name_of_pool_passwd_needs_a_restart(proxy):
    p = proxy(enable_pool_hba=True, hba="host all all all md5\n", passwd="app:TEXTsecret\n")
    with open(f"{p.folder}/other", "w") as f:
        f.write("app:TEXTanother\n")
    p.reload(pool_passwd="other")
    assert any('"pool_passwd" cannot be changed without a restart' in line for line in p.log)
    assert wire.value(p.raw(password="secret").query("SELECT 1")) == "1"


def test_bad_rules_do_not_come_into_force(proxy):
    p = proxy(hba="host all all nonsense\n")
    assert any("missing or erroneous pool_hba.conf file" in line
               for line in reload_fails(p, enable_pool_hba=True))
    assert p.psql("SELECT 1") == "1"


def test_a_node_added_by_reload_gets_reads(proxy, primary, replica):
    p = proxy(nodes=[primary], backend_weight0=0)
    assert p.one("SELECT current_setting('port')") == str(primary.port)
    p.reload(backend_hostname1=replica.host, backend_port1=replica.port, backend_weight1=1,
             backend_flag1="DISALLOW_TO_FAILOVER")
    wait_until(lambda: p.one("SELECT current_setting('port')") == str(replica.port), "the replica")


def test_weights_change_by_reload(proxy, primary, replica):
    p = proxy()
    assert p.one("SELECT current_setting('port')") == str(replica.port)
    p.reload(backend_weight0=1, backend_weight1=0)
    assert p.one("SELECT current_setting('port')") == str(primary.port)


RULES = "host all all 127.0.0.1/32 trust\n"
FILES = [                               # pgpool.conf's last line, pool_hba.conf, pool_passwd; good?
    ("log_statement = off", RULES, "a:b\n", True),
    ("log_statement = maybe", RULES, "a:b\n", False),
    ("reserved_connections = 0", "# more\n" + RULES, "", True),
    ("include 'nowhere.conf'", "host all\n", "\n:\nAES:AES\n", False),
    ("node_probe_period = 500", "host all all all nonsense\n", "a:AESbroken\n", True),
    ("backend_weight0 = 1", "", "no colon\n", True),
    ("port = 'unclosed", RULES, "a:c\n", False),
]


def test_reloads_under_load_lose_no_client(proxy, tmp_path):
    """Good and bad files in turn; a bad pool_hba.conf leaves the old rules in force."""
    script = tmp_path / "reads.sql"
    script.write_text("SELECT count(*) FROM generate_series(1, :client_id + 10);\n")
    p = proxy(log_per_node_statement=False, enable_pool_hba=True, hba=RULES, passwd="a:b\n",
              log_min_messages="warning")
    quiet = p.raw()
    quiet.query("SET application_name TO 'kept'")
    load = [subprocess.Popen([tool("pgbench"), "-n", "-f", script, "-c", "8", "-T", "3600", *args],
                             env=p.env(), text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT) for args in ([], ["-C", "-M", "prepared"])]
    try:
        good = p.write() or open(p.conf_file).read()
        for i in range(20):
            last, p.hba, p.passwd, is_good = FILES[i % len(FILES)]
            p.text = f"{good}{last}\n"
            p.write()
            at = len(p.log)
            p.send_signal(signal.SIGHUP)
            p.wait_log("reload config files" if is_good else "was not reloaded", at)
            assert p.psql("SELECT 1") == "1"
            assert all(bench.poll() is None for bench in load)
    finally:
        for bench in load:
            bench.send_signal(signal.SIGINT)
    out = [bench.communicate(timeout=30)[0] for bench in load]
    assert not any("error" in text or "aborted" in text for text in out), out
    assert wire.value(quiet.query("SHOW application_name")) == "kept"


# ---- log --------------------------------------------------------------------------------------

def test_the_format_of_log_lines(proxy):
    p = proxy(log_statement=True, log_connections=True)
    w = p.raw(application_name="me")
    w.query("SELECT 'x'")
    p.wait_log(rf"^{STAMP}me pid \d+: LOG:  statement: SELECT 'x'$")
    p.wait_log(rf"^{STAMP}main pid {p.pid}: LOG:  pgpool-II successfully started\. version ")
    pattern = re.compile(STAMP + r"\S+ pid \d+: (DEBUG\d?|INFO|LOG|NOTICE|WARNING|ERROR|FATAL|"
                         r"PANIC|DETAIL|HINT|CONTEXT|LOCATION): ")
    odd = [line for line in p.log if not pattern.match(line) and not line.startswith("\t")]
    assert odd == []


def test_log_line_prefix(proxy):
    p = proxy(log_line_prefix="%t [%p] <%a|%u|%d> %% %l %-8a| ", log_statement=True)
    w = p.raw(application_name="me", user="postgres", database="app")
    w.query("SELECT 'x'")
    p.wait_log(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[\d+\] <me\|postgres\|app> % \d+ me      \| "
               r"LOG:  statement: SELECT 'x'$")


def test_connections_and_disconnections_are_logged(proxy):
    p = proxy(log_connections=True, log_disconnections=True)
    w = p.raw()
    port = w.sock.getsockname()[1]
    w.bye()
    p.wait_log("LOG:  new connection received")
    p.wait_log(rf"DETAIL:  connecting host=127\.0\.0\.1 port={port}")
    p.wait_log(r"LOG:  frontend disconnection: session time: 0:00:0\d\.\d{3} user=app database=app "
               rf"host=127\.0\.0\.1 port={port}")
    p.raw(address=p.socket).bye()
    p.wait_log(r"DETAIL:  connecting host=\[local\]$")


def test_newlines_in_statements_stay_in_their_record(proxy):
    p = proxy(log_statement=True)
    p.raw().query("SELECT 1,\n2026, 'x'")
    p.wait_log(r"statement: SELECT 1,$")
    p.wait_log(r"^\t2026, 'x'$")


def test_a_log_that_nobody_reads_does_not_stop_the_proxy(proxy):
    """stderr is a full pipe: lines may be lost, clients must not wait."""
    pipe = os.pipe()
    try:
        p = proxy(log_statement=True, before=lambda: os.dup2(pipe[1], 2))
        w = p.raw()
        for _ in range(60):
            assert wire.errors(w.query("SELECT '" + "x" * 4000 + "'")) == []
    finally:
        for end in pipe:
            os.close(end)


def test_log_min_messages(proxy):
    p = proxy(log_min_messages="fatal", log_statement=True)
    p.psql("SELECT 'quiet'")
    p.stop()
    assert "quiet" not in p.log_text()


# ---- configuration ----------------------------------------------------------------------------

WRONG = [
    ("port = 99999", "port"), ("port = 80", "1024"), ("num_init_children = 0", "num_init_children"),
    ("load_balance_mode = maybe", "load_balance_mode"),
    ("connection_cache = ''", "connection_cache"),
    ("backend_port = 5432", "backend_port"), ("backend_port0 = 5432x", "backend_port0"),
    ("backend_weight0 = -1", "backend_weight0"), ("backend_flag0 = 'WRONG'", "WRONG"),
    ("child_life_time = '5 parsecs'", "child_life_time"), ("port = 'abc", ""), ("port =", ""),
    ("backend_hostname0 = 127.0.0.1", ""), ("!", ""), ("include 'missing.conf'", "missing.conf"),
    ("disable_load_balance_on_write = 'x'", "transaction"),
    ("log_min_messages = 'loud'", "log_min_messages"),
    ("primary_routing_query_pattern_list = '('", "primary_routing_query_pattern_list"),
    ("backend_clustering_mode = 'native_replication'", "backend_clustering_mode"),
]


@pytest.mark.parametrize("line, word", WRONG)
def test_a_bad_configuration_ends_the_start(proxy, line, word):
    p = proxy(start=False, text=f"# first line\nlisten_addresses = '127.0.0.1'\n{line}\n")
    p.launch()
    assert p.wait() == 3
    told = [text for text in p.log if "FATAL" in text or "ERROR" in text or "DETAIL" in text
            or "HINT" in text]
    assert any(re.search(r"pgpool\.conf.*\b3\b", text) for text in told), p.log_text()
    assert word in "\n".join(told)


def test_unknown_and_unused_parameters_only_warn(proxy):
    p = proxy(no_such_parameter=1, recovery_1st_stage_command="x", watchdog_thing="y",
              use_watchdog=True, parallel_mode=False)
    assert p.psql("SELECT 1") == "1"
    for name in ("no_such_parameter", "recovery_1st_stage_command", "use_watchdog"):
        p.wait_log(rf"(WARNING|LOG): .*{name}")


GRAMMAR = """
# comments, no equal sign, several spellings
listen_addresses '127.0.0.1'   # at the end
port={port}\r
\tBACKEND = 3
include 'more.conf'
backend_hostname0 '127.0.0.1'
backend_port0 {primary}
backend_port1 = {hex}
num_init_children = 0x10
child_life_time = '5 min' max_pool = 010
connection_life_time = 2min
sr_check_period = 0
"""


def test_the_grammar_of_the_file(proxy, primary, replica):
    p = proxy(start=False, unix_socket_directories=None)
    p.text = GRAMMAR.format(port=p.port, primary=primary.port, hex=hex(replica.port))
    with open(f"{p.folder}/more.conf", "w") as f:
        f.write(f"unix_socket_directories = '{p.folder}'\nbackend_hostname1 = 'localhost'\n"
                "backend_weight1 = 2.5\nbackend_flag0 = 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER'\n")
    p.start()
    assert p.one("SELECT current_setting('port')") == str(replica.port)


def parameters(p):
    """The parameters of a proxy as environment variables, for a start without a file."""
    return {f"PGPOOL_PARAMS_{k.upper()}": "on" if v is True else "off" if v is False else str(v)
            for k, v in p.params.items() if v is not None}


def test_configuration_from_the_environment(proxy, primary, replica):
    p = proxy(start=False)
    p.environment = {**parameters(p), "PGPOOL_PARAMS_LOG_LINE_PREFIX": "a=b 'x' %a: "}
    p.conf_file = f"{p.folder}/none.conf"
    p.start()
    assert p.one("SELECT current_setting('port')") == str(replica.port)
    p.wait_log("^a=b 'x' main: LOG: ")


def test_a_bad_environment_variable_is_named(proxy):
    p = proxy(start=False, env={"PGPOOL_PARAMS_MAX_POOL": "many"})
    p.conf_file = f"{p.folder}/none.conf"
    p.launch()
    assert p.wait() == 3
    assert "PGPOOL_PARAMS_MAX_POOL" in p.log_text()


@pytest.mark.parametrize("args, status", [(["--version"], 0), (["-v"], 0), (["--help"], 0),
                                          (["-h"], 0), (["--no-such-option"], 1),
                                          (["-n", "word"], 1)])
def test_the_command_line(proxy, args, status):
    done = subprocess.run([proxy(start=False).binary, *args], capture_output=True, text=True,
                          timeout=10)
    assert done.returncode == status
    assert done.stdout + done.stderr


def test_pid_file(proxy, tmp_path):
    p = proxy(pid_file_name=f"{tmp_path}/pgpool.pid")
    wait_until(lambda: os.path.exists(f"{tmp_path}/pgpool.pid")
               and open(f"{tmp_path}/pgpool.pid").read().strip("\0\n") == str(p.pid), "the pid file")
    p.stop()
    assert not os.path.exists(f"{tmp_path}/pgpool.pid")


# ---- memory -----------------------------------------------------------------------------------

@pytest.mark.parametrize("daemon", [False, True], ids=["foreground", "daemon"])
@pytest.mark.parametrize("switch", [[], ["--core-files"]], ids=["hidden", "core-files"])
def test_its_memory_and_environment_are_hidden(proxy, daemon, switch):
    """From other processes of its user, and from core dumps, unless those are wanted."""
    p = proxy(start=False, env={"APP_PASSWORD": "seen"}, pid_file_name="pid")
    p.command = lambda: [*pg.UNPRIVILEGED, p.binary, *switch, "-f", p.conf_file,
                         *([] if daemon else ["-n"])]
    p.launch()
    if daemon:
        assert p.wait() == 0
    pid_file = f"{p.folder}/pid"
    wait_until(lambda: os.path.exists(pid_file) and os.path.getsize(pid_file), "its pid file")
    with open(pid_file) as f:
        pid = int(f.read().strip("\0\n"))
    wait_until(lambda: "successfully started" in p.log_text(), "its start")
    files = [f"/proc/{pid}/environ", f"/proc/{pid}/maps"]
    seen = subprocess.run([*pg.UNPRIVILEGED, "cat", *files], capture_output=True)
    os.kill(pid, signal.SIGINT)
    wait_until(lambda: not os.path.exists(pid_file), "its end")
    p.ended = True
    if switch or p.sanitized:
        assert b"APP_PASSWORD=seen" in seen.stdout and b"[stack]" in seen.stdout
    else:
        assert (seen.returncode, seen.stdout) == (1, b"")


# ---- the binary -------------------------------------------------------------------------------

def segments(path):
    """The types of the program headers of an ELF file."""
    with open(path, "rb") as f:
        data = f.read()
    offset, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    return [struct.unpack_from("<I", data, offset + i * size)[0] for i in range(count)]


PT_INTERP = 3


@pytest.fixture
def released(proxy):
    """The binary; the test is skipped for a debugging build."""
    p = proxy(start=False)
    if p.sanitized:
        pytest.skip("a debugging build")
    return p.binary


def test_the_binary_is_static(released):
    assert PT_INTERP not in segments(released)


def test_the_binary_is_small(released, tmp_path):
    stripped = f"{tmp_path}/pgpool"
    subprocess.run(["strip", "-o", stripped, released], check=True)
    assert os.path.getsize(stripped) <= 1_000_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its root directory")
def test_an_empty_root_directory(released, proxy, tmp_path):
    """As in a container from scratch: no /etc, /dev, /tmp, an unnamed user."""
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(released, root / "pgpool")
    for part in (root, *root.parents):
        os.chmod(part, os.stat(part).st_mode | 0o555)

    def enter():
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    p = proxy(start=False, unix_socket_directories=None, before=enter)
    p.environment = parameters(p)
    p.command = lambda: ["/pgpool", "-n"]
    p.start()
    assert p.psql("SELECT 1") == "1"
    assert p.psql("CREATE TEMP TABLE t (a int); SELECT count(*) FROM t") == "0"
    assert os.listdir(root) == ["pgpool"]


def test_a_small_stack_is_enough(proxy):
    p = proxy(before=lambda: resource.setrlimit(resource.RLIMIT_STACK, (256 * 1024, 256 * 1024)))
    deep = "(" * 5000 + "1" + ")" * 5000
    assert p.raw().query("SELECT " + deep)[-1].type == "Z"
    assert wire.errors(p.raw().query("/*" * 20000 + "*/" * 20000 + "SELECT 1")) == []
    assert p.psql("SELECT 1") == "1"


def test_the_proxy_rests_when_nobody_asks(proxy):
    """No turn of the loop is wasted: the processor time of a second of idleness is next to none."""
    def ticks():
        with open(f"/proc/{p.pid}/stat") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))

    p = proxy()
    sessions = [p.raw() for _ in range(20)]
    for w in sessions:
        w.query("SELECT 1")
    before, begin = ticks(), time.monotonic()
    wait_until(lambda: time.monotonic() - begin > 1, "a second")
    assert ticks() - before <= 2


KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def test_a_drain_ends_sessions_behind_their_transactions(proxy):
    p = proxy(env=KUBERNETES, drain_accept_delay=1)
    with p.raw() as rests, p.raw() as busy:
        busy.query("BEGIN; SELECT 1")
        p.send_signal(signal.SIGTERM)
        p.wait_log("shutting down by signal 15")
        with p.raw() as late:                                   # accepted, for a while
            assert late.query("SELECT 1")[-1].status == "I"
            for w in (rests, late):
                assert w.read().code == "57P01" and w.eof() == []
        assert p.running
        with pytest.raises(OSError):
            p.raw(login=False)
        busy.query("SELECT 2")
        assert busy.query("COMMIT")[0].tag == "COMMIT"
        assert busy.read().code == "57P01" and busy.eof() == []
    assert p.wait() == 0


class Balancer:
    """One address in front of proxies, as a Service: a new connection goes to one that is ready."""

    def __init__(self, proxies):
        self.proxies, self.turn = proxies, itertools.count()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    @staticmethod
    def ready(p):
        with contextlib.suppress(OSError), urllib.request.urlopen(p.ready, timeout=5) as r:
            return r.status == 200

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                s = self.listener.accept()[0]
                while not self.ready(p := self.proxies[next(self.turn) % len(self.proxies)]):
                    pass
                to = socket.create_connection(p.address)
                for a, b in ((s, to), (to, s)):
                    threading.Thread(target=self.carry, args=(a, b), daemon=True).start()

    @staticmethod
    def carry(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)


def test_a_rolling_restart_loses_no_transaction(proxy, primary):
    def one():
        port = free_port()
        p = proxy(metrics_listen_addresses="127.0.0.1", metrics_port=port, drain_accept_delay=1,
                  drain_timeout=20, log_per_node_statement=False)
        p.ready = f"http://127.0.0.1:{port}/readyz"
        return p
    both = [one(), one()]
    primary.pgbench("-i", "-q", "-s", "1")
    before = primary.one("SELECT count(*) FROM pgbench_history")
    for p in both:
        wait_until(lambda: Balancer.ready(p), "it is ready")
    with Balancer(both) as b, ThreadPoolExecutor() as pool:
        load = pg.Target()
        load.port = b.port
        runs = pool.submit(load.pgbench, "-C", "-c", "4", "-j", "2", "-t", "200")
        for p in both * 2:
            p.send_signal(signal.SIGTERM)
            assert p.wait() == 0
            p.start()
            wait_until(lambda: Balancer.ready(p), "it is back")
        assert "800/800" in runs.result()
    assert primary.one("SELECT count(*) FROM pgbench_history") == before + 800


def test_a_drain_lets_a_request_of_own_statements_end(proxy):
    p = proxy(env=KUBERNETES, drain_accept_delay=0)
    with p.raw() as w, p.raw() as other:
        w.send(wire.extended("SHOW POOL_VERSION") + wire.flush())
        w.until("C")
        p.send_signal(signal.SIGTERM)
        assert other.read().code == "57P01"
        w.send(wire.sync())
        assert w.read().status == "I" and w.read().code == "57P01" and w.eof() == []
    assert p.wait() == 0


def test_a_drain_does_not_wait_for_ever(proxy):
    p = proxy(env=KUBERNETES, drain_accept_delay=0, drain_timeout=1)
    with p.raw() as w:
        w.query("BEGIN; SELECT 1")
        p.send_signal(signal.SIGTERM)
        assert w.read().code == "57P01" and w.eof() == []
    assert p.wait() == 0


def test_outside_of_kubernetes_a_drain_is_asked_for(proxy):
    p = proxy(drain_timeout=60)
    with p.raw() as w:
        p.send_signal(signal.SIGTERM)
        assert w.read().code == "57P01" and w.eof() == []
    assert p.wait() == 0


def test_a_second_signal_is_faster(proxy):
    p = proxy()
    with p.raw() as w:
        w.query("BEGIN; SELECT 1")
        p.send_signal(signal.SIGTERM)
        p.wait_log("shutting down by signal 15")
        assert w.query("SELECT 1")[-1].status == "T"
        p.send_signal(signal.SIGTERM)
        assert w.read().code == "57P01" and w.eof() == []
    assert p.wait() == 0
