"""The program's other uses: stop, reload, --check, show-conf, show-passwd; daemons and pid files."""

import hashlib
import os
import signal
import subprocess

import pytest

import pg
import wire
from wire import wait_until

pytestmark = pytest.mark.proxy


def clean_environment(**more):
    return {**{k: v for k, v in os.environ.items()
               if not k.startswith("PGPOOL_") and not k.endswith(("_USERNAME", "_PASSWORD"))}, **more}


def run(p, *args, env=None, **kw):
    """The binary with p's files; both streams come back as texts."""
    return subprocess.run([p.binary, "-f", p.conf_file, "-a", f"{p.folder}/pool_hba.conf", *args],
                          env=clean_environment(**(env or {})), capture_output=True, text=True,
                          timeout=30, **kw)


def written(proxy, **how):
    p = proxy(start=False, **how)
    p.write()
    return p


@pytest.fixture
def server(proxy):
    """One that runs, with its pid file."""
    p = proxy(pid_file_name="proxy.pid")
    wait_until(lambda: os.path.exists(pid_file(p)), "the pid file")
    return p


def pid_file(p):
    return f"{p.folder}/proxy.pid"


# ---- a server that runs -----------------------------------------------------------------------

def test_reload(server):
    server.write(log_statement=True)
    assert run(server, "reload").returncode == 0
    server.wait_log("reload config files")
    server.raw().query("SELECT 'seen'")
    server.wait_log("statement: SELECT 'seen'")


@pytest.mark.parametrize("mode, number", [([], 15), (["-m", "smart"], 15), (["-m", "f"], 2),
                                          (["--mode=immediate"], 3)])
def test_stop(server, mode, number):
    done = run(server, *mode, "stop")
    assert done.returncode == 0, done.stderr
    assert f"stop request sent to pgpool (pid: {server.pid}). waiting for termination..." \
        in done.stderr
    assert done.stderr.endswith("done.\n")
    assert server.wait() == 0
    assert not os.path.exists(pid_file(server))
    server.wait_log(rf"shutting down by signal {number}$")


def test_smart_stop_waits_for_the_clients(server):
    w = server.raw()
    stop = subprocess.Popen([server.binary, "-f", server.conf_file, "stop"], text=True,
                            stderr=subprocess.PIPE, env=clean_environment())
    server.wait_log("shutting down by signal 15")
    assert wire.value(w.query("SELECT 1")) == "1"
    assert stop.poll() is None
    said = ""
    while "left" not in said:
        said += stop.stderr.read(1)
    w.bye()
    assert "done." in stop.communicate(timeout=10)[1]
    assert said.endswith("1 session left")
    assert stop.returncode == 0 and server.wait() == 0


@pytest.mark.parametrize("command, status", [("stop", 3), ("reload", 1)])
def test_without_a_server(proxy, command, status):
    p = written(proxy, pid_file_name="proxy.pid")
    done = run(p, command)
    assert done.returncode == status
    assert "FATAL:  could not read pid file" in done.stderr
    with open(pid_file(p), "w") as f:
        f.write("nonsense")
    done = run(p, command)
    assert done.returncode == status and "there is no process id in it" in done.stderr


@pytest.mark.parametrize("command, status", [("stop", 3), ("reload", 1)])
def test_the_number_of_another_program(proxy, command, status):
    """A pid file that a killed server left names a process that is none of ours."""
    p = written(proxy, pid_file_name="proxy.pid")
    other = subprocess.Popen(["sleep", "60"])
    try:
        with open(pid_file(p), "w") as f:
            f.write(f"{other.pid}\0")
        done = run(p, command)
        assert done.returncode == status
        assert str(other.pid) in done.stderr and "No such process" in done.stderr
        assert other.poll() is None
        p.start()                                   # nor does it hinder a start
        assert open(pid_file(p)).read() == f"{p.pid}\0"
    finally:
        other.kill()
        other.wait()


def test_a_killed_server_leaves_no_lock(server):
    server.process.kill()
    server.wait(10)
    assert open(pid_file(server)).read() == f"{server.pid}\0"
    server.start()
    server.ended = False
    assert open(pid_file(server)).read() == f"{server.pid}\0"


def test_a_second_server_is_refused(server):
    done = run(server, "-n")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == \
        f"ERROR: pid file found. is another pgpool({server.pid}) is running?"
    assert open(pid_file(server)).read() == f"{server.pid}\0"


@pytest.fixture
def as_process_1(proxy):
    """Starts a proxy as process 1 of a name space; returns it and what runs a program in there."""
    alone = ["unshare", "-pf", "--mount-proc", "--kill-child"]
    if os.geteuid() or subprocess.run([*alone, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no name spaces here")
    made = []

    def make(before=":", **params):
        p = proxy(start=False, pid_file_name="/nowhere/pid", **params)
        p.command = lambda: [*alone, "sh", "-c", before.replace("SOCKET", p.socket)
                             + f"; exec {p.binary} -f {p.conf_file}"]
        p.start()
        with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
            first = f.read().strip()
        inside = ["nsenter", "-t", first, "-p", "-m", p.binary, "-f", p.conf_file]
        made.append((p, inside))
        return p, first, inside
    yield make
    for p, inside in made:
        subprocess.run([*inside, "-m", "fast", "stop"], timeout=10)     # ends with its name space
        assert p.wait() == 0


def test_process_1_is_found_without_a_pid_file(as_process_1):
    """As `kubectl exec POD -- /pgpool reload` in a container that has no place for one."""
    p, _, inside = as_process_1()
    assert subprocess.run([*inside, "reload"], timeout=10).returncode == 0
    p.wait_log("main pid 1: LOG:  reload config files")


def test_process_1_is_found_without_privileges(as_process_1):
    """As in a container, whose root must not look into processes: what they run is hidden, too."""
    p, _, inside = as_process_1()
    *enter, binary, f, conf = inside
    reload = [*enter, *pg.UNPRIVILEGED, binary, f, conf, "reload"]
    assert subprocess.run(reload, timeout=10).returncode == 0
    p.wait_log("main pid 1: LOG:  reload config files")


def test_process_1_leaves_no_zombies(as_process_1):
    """It inherits what others leave behind in its container: a probe's children, say."""
    _, first, _ = as_process_1('sh -c "(while [ ! -S SOCKET ]; do sleep 0.1; done) &"')

    def children():
        with open(f"/proc/{first}/task/{first}/children") as f:
            return f.read().split()
    wait_until(lambda: not children(), "the orphan's burial")


# ---- daemons ----------------------------------------------------------------------------------

def start_daemon(p):
    """Its stderr stays open, so it gets a file."""
    with open(p.log_file, "ab") as log:
        return subprocess.Popen([p.binary, "--core-files", "-f",
                                 os.path.relpath(p.conf_file, p.folder)],
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                cwd=p.folder, env=clean_environment())


def launch_daemon(p):
    """The status of the process that was started."""
    return start_daemon(p).wait(60)


def test_a_daemon(proxy):
    p = written(proxy, pid_file_name="proxy.pid")
    assert launch_daemon(p) == 0
    pid = int(open(pid_file(p)).read().strip("\0"))
    try:
        assert p.psql("SELECT 1") == "1"            # at once: it listens when the parent leaves
        assert os.getsid(pid) == pid and os.readlink(f"/proc/{pid}/cwd") == "/"
        with open(p.conf_file, "a") as f:
            f.write("log_statement = on\n")
        assert run(p, "reload").returncode == 0     # its relative file name still means the same
        p.wait_log("reload config files")
        assert launch_daemon(p) == 1
        assert f"is another pgpool({pid}) is running?" in p.log[-1]
    finally:
        done = run(p, "-m", "fast", "stop")
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(pid_file(p)) and not os.path.exists(p.socket)
    with pytest.raises(OSError):
        p.raw()


def gate(path):
    """A pipe's writing end, as soon as somebody reads from it."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_during_the_start_reaches_the_daemon(proxy, number):
    """Who sends it knows only the process that was started; the daemon is made later."""
    tls = f"{os.path.dirname(__file__)}/tls/p256"
    p = written(proxy, pid_file_name="proxy.pid", ssl=True, ssl_cert=f"{tls}-leaf.crt",
                ssl_key=f"{tls}-sha256.key", backend_sslmode="disable")
    p.write(ssl_passphrase_command=f"cat {p.folder}/gate; echo secret")
    os.mkfifo(f"{p.folder}/gate")
    started = start_daemon(p)
    opened = wait_until(lambda: gate(f"{p.folder}/gate"), "the question for the passphrase", 60)
    try:
        started.send_signal(number)
        os.close(opened)
        assert started.wait(60) == 0
        p.wait_log(f"shutting down by signal {int(number)}")
        wait_until(lambda: not os.path.exists(pid_file(p)), "the end of the daemon")
    finally:
        if os.path.exists(pid_file(p)):
            run(p, "-m", "immediate", "stop")


def test_a_daemon_that_cannot_start_says_so(proxy, server):
    p = written(proxy, pid_file_name="proxy.pid", port=server.port)
    assert launch_daemon(p) == 3
    assert "FATAL:  failed to bind a socket" in p.log_text()
    assert not os.path.exists(pid_file(p))
    p = written(proxy, pid_file_name="nowhere/proxy.pid")
    assert launch_daemon(p) == 3
    assert "could not write the pid file" in p.log_text()
    p = written(proxy, max_pool="many")
    assert launch_daemon(p) == 3


def test_in_the_foreground_what_cannot_be_written_is_not_fatal(proxy):
    p = proxy(pid_file_name="nowhere/proxy.pid", unix_socket_directories="/nowhere")
    assert p.psql("SELECT 1") == "1"
    p.wait_log("LOG:  could not write the pid file")
    p.wait_log('WARNING:  failed to bind a socket: "/nowhere/')


# ---- configurations ---------------------------------------------------------------------------

HBA_RULE = "host all all all trust\n"


def test_check_of_a_good_configuration(server):
    """Beside a server that runs with the same files: no port, no pid file is needed."""
    done = run(server, "--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the configuration is usable\n"
    assert "FATAL" not in done.stderr
    assert run(server, "-t").returncode == 0


@pytest.mark.parametrize("line, told", [
    ("max_pool = many", r"pgpool.conf:2"), ("!", "pgpool.conf:2"), ("port = 'abc", "pgpool.conf:2"),
    ("backend_port0 = 0x", "pgpool.conf:2"), ("include 'missing.conf'", "missing.conf"),
    ("# no node", "backend_hostname0")])
def test_check_of_a_bad_pgpool_conf(proxy, line, told):
    done = run(written(proxy, text=f"listen_addresses = '*'\n{line}\n"), "-t")
    assert done.returncode == 3 and done.stdout == "the configuration is not usable\n"
    assert told in done.stderr


def test_check_reads_all_files(proxy):
    p = written(proxy, hba=HBA_RULE + "host all all nonsense\n", enable_pool_hba=True,
                passwd="good:secret\nbad line\nodd:AESnonsense\n")
    with open(f"{p.folder}/pcp.conf", "w") as f:
        f.write("user:nothash\n")
    done = run(p, "--check")
    assert done.returncode == 3
    for told in ('pool_hba.conf", line 2', "pool_passwd:2", "pool_passwd:3", "pcp.conf:1"):
        assert told in done.stderr
    assert "secret" not in done.stdout + done.stderr
    p.hba, p.passwd = HBA_RULE, "good:secret\n"
    p.write()
    assert run(p, "--check").returncode == 0


def test_check_tells_what_will_not_match(proxy):
    done = run(written(proxy, hba=HBA_RULE + "hostssl all all all trust\n", enable_pool_hba=True),
               "-t")
    assert done.returncode == 0
    assert "WARNING:  hostssl lines of pool_hba.conf never match: ssl is off" in done.stderr


def test_show_conf_can_be_read_again(proxy, tmp_path):
    p = written(proxy, sr_check_password="hidden", log_line_prefix="%m [%p] \\'q\\' ",
                database_redirect_preference_list="postgres:primary,mydb[01]:1(0.3)",
                connect_timeout1=7000, child_life_time="90s", unix_socket_permissions="0770",
                primary_routing_query_pattern_list="SELECT a\\;b;x.*")
    first = run(p, "show-conf")
    assert first.returncode == 0 and "hidden" not in first.stdout
    for line in (f"port = {p.port}", "child_life_time = 90s", "connect_timeout1 = 7s",
                 "connect_timeout = 10s", "unix_socket_permissions = 0770",
                 "database_redirect_preference_list = 'postgres:primary,mydb[01]:1(0.3)'",
                 "# sr_check_password is not shown", "pool_passwd = 'pool_passwd'"):
        assert line in first.stdout.splitlines()
    again = tmp_path / "again.conf"
    again.write_text(first.stdout)
    p.conf_file = str(again)
    second = run(p, "show-conf")
    assert second.returncode == 0 and second.stderr == first.stderr
    assert first.stdout.splitlines()[1:] == second.stdout.splitlines()[1:]


def md5(password, user):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()


VERIFIER = "SCRAM-SHA-256$4096:YWJjZGVmZ2hpamtsbW5vcA==$" \
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="


def test_show_passwd(proxy):
    known = md5("x", "known")
    p = written(proxy, passwd=f"plain:wordA\ntext:TEXTwordB\nknown:{known}\nverifier:{VERIFIER}\n"
                "aes:AESYLROATKETwgvY557eVg7dQ==\n")
    key = f"{p.folder}/key"
    with open(key, "w") as f:
        f.write("testkey\n")
    os.chmod(key, 0o600)
    done = run(p, "-k", key, "show-passwd",
               env={"MY_APP_USERNAME": "app", "MY_APP_PASSWORD": "word=C'd"})
    assert done.returncode == 0, done.stderr
    file = f"{p.folder}/pool_passwd"
    assert done.stdout.splitlines() == [
        f"plain\tclear text\t{md5('wordA', 'plain')}\t{file}:1",
        f"text\tclear text\t{md5('wordB', 'text')}\t{file}:2",
        f"known\tmd5\t{known}\t{file}:3",
        f"verifier\tSCRAM verifier\t-\t{file}:4",
        f"aes\tclear text\t{md5('secret', 'aes')}\t{file}:5",
        f"app\tclear text\t{md5(chr(119) + 'ord=C' + chr(39) + 'd', 'app')}\tMY_APP_USERNAME"]


@pytest.mark.parametrize("args", [["nonsense"], ["stop", "stop"], ["-m", "x", "stop"], ["-m"],
                                  ["--no-such-option"], ["reload", "now"], ["-t", "stop"]])
def test_misuse(proxy, args):
    done = run(proxy(start=False), *args)
    assert done.returncode == 1 and "Usage:" in done.stderr


@pytest.mark.parametrize("args", [["-D"], ["-C"], ["-x"], ["-d"], ["--discard-status", "-F", "x"]])
def test_options_of_old_are_accepted(proxy, args):
    p = proxy(start=False)
    command = p.command()
    p.command = lambda: [*command, *args]
    p.start()
    assert p.psql("SELECT 1") == "1"
    p.send_signal(signal.SIGTERM)
    assert p.wait() == 0


@pytest.mark.parametrize("command, status", [("stop", 3), ("reload", 1)])
def test_which_server_is_meant(proxy, command, status):
    """Without -f, and with nothing of a container around it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PGPOOL_")}
    done = subprocess.run([written(proxy).binary, command], text=True, env=env, timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == status
    assert "it is not known which server is meant" in done.stderr and "with -f" in done.stderr
