"""What the proxy finds out by itself: roles, delays, health."""

import contextlib
import os
import re
import signal
import socket
import subprocess

import pytest

import pg
import wire
from pg import HBA, frozen_whole
from wire import wait_until

pytestmark = pytest.mark.proxy

PORT = "SELECT current_setting('port')"
ON_PRIMARY = "/* p */ "
CHECK = dict(sr_check_period=1, sr_check_user="postgres", node_probe_period=100)
BY_ROLE = dict(backend_flag0="DISALLOW_TO_FAILOVER")
SECRET = "open sesame"
WAL = "SELECT pg_logical_emit_message(false, 'x', repeat('x', 400000))"
KB = 1024


def reads_on(p, *nodes):
    return p.one(PORT) in [str(n.port) for n in nodes]


def reads_go_to(p, *nodes):
    wait_until(lambda: reads_on(p, *nodes), "reads elsewhere")
    for _ in range(8):
        assert reads_on(p, *nodes)


@contextlib.contextmanager
def paused(primary, *replicas):
    """They do not replay, and are some hundred KB behind."""
    try:
        for r in replicas:
            r.su("SELECT pg_wal_replay_pause()")
        primary.su(WAL)
        yield
    finally:
        for r in replicas:
            r.su("SELECT pg_wal_replay_resume()")
            primary.catch_up(r)


def told(p, pattern, detail):
    """The record is in the log, with this detail."""
    line = p.wait_log(pattern)
    assert re.search("DETAIL:  " + detail, p.log[p.log.index(line) + 1])


def asked(cluster, since, name="pgpool sr_check"):
    """How often the proxy has asked (the cluster logs it) or logged in for itself."""
    what = "LOG:  statement: SET LOCAL .*SELECT pg_catalog.pg_is_in_recovery" if "sr_check" in name \
        else f"authorized.*application_name={name}"
    return len(re.findall(what, cluster.log_since(since)))


@pytest.fixture
def logging_pair(own_pair):
    for cluster in own_pair:
        cluster.su("ALTER SYSTEM SET log_connections = on")
        cluster.reload()
    return own_pair


# ---- delays -----------------------------------------------------------------------------------

def test_a_late_standby_gets_no_reads(proxy, primary, replica):
    p = proxy(**CHECK, delay_threshold=100 * KB, log_min_messages="debug1")
    reads_go_to(p, replica)
    with p.connect() as session:
        session.execute(PORT)
        with paused(primary, replica):
            reads_go_to(p, primary)
            assert session.execute(PORT).fetchone()[0] == str(primary.port)
            assert p.wait_log(r"LOG:  Replication of node: 1 is behind \d{6,} bytes from the primary"
                              r" server \(node: 0\)$")
            told(p, "could not load balance because of too much replication delay$",
                 'destination = 0 for query= "SELECT current_setting')
        reads_go_to(p, replica)
        assert session.execute(PORT).fetchone()[0] == str(replica.port)


@pytest.mark.parametrize("how, logged", [("none", False), ("always", True),
                                         ("if_over_threshold", False)])
def test_log_standby_delay(proxy, primary, replica, how, logged):
    p = proxy(**CHECK, delay_threshold=10_000_000, log_standby_delay=how)
    with paused(primary, replica):
        if logged:
            p.wait_log("Replication of node: 1 is behind")
        else:
            p.reload(delay_threshold=10_000_001)        # a round begins at once
            p.reload(delay_threshold=10_000_002)
            assert not any("is behind" in line for line in p.log)
        assert reads_on(p, replica)


def test_the_standby_that_is_least_behind(proxy, own_pair, shop):
    primary, one = own_pair
    two = primary.standby(shop.fresh("r")).start()
    try:
        p = proxy(nodes=[primary, one, two], **CHECK, delay_threshold=100 * KB,
                  prefer_lower_delay_standby=True, statement_level_load_balance=True)
        reads_go_to(p, one, two)
        with paused(primary, one):
            p.wait_log("Replication of node: 1 is behind")
            reads_go_to(p, two)
            with paused(primary, two):
                p.wait_log("Replication of node: 2 is behind")
                reads_go_to(p, primary)
            reads_go_to(p, two)
        wait_until(lambda: reads_on(p, one), "reads on both")
    finally:
        two.remove()


@pytest.fixture
def named_pair(own_pair):
    """The primary knows the replica as "one"."""
    primary, replica = own_pair
    replica.configure(cluster_name="one")
    replica.restart()
    wait_until(lambda: primary.su("SELECT 1 FROM pg_stat_replication"
                                  " WHERE application_name = 'one'"), "the standby")
    return own_pair


TIMED = dict(**CHECK, delay_threshold_by_time=500, backend_application_name1="one")


def test_delay_by_time(proxy, named_pair):
    primary, replica = named_pair
    p = proxy(nodes=named_pair, **TIMED)
    reads_go_to(p, replica)
    with paused(primary, replica):
        reads_go_to(p, primary)
        assert p.wait_log(r"Replication of node: 1 is behind \d+\.\d{6} second\(s\) from the primary"
                          r" server \(node: 0\)$")
    reads_go_to(p, replica)


def test_a_standby_that_does_not_stream_is_late_by_time(proxy, named_pair):
    primary, replica = named_pair
    p = proxy(nodes=named_pair, **TIMED)
    reads_go_to(p, replica)
    replica.su("ALTER SYSTEM SET primary_conninfo = ''")
    replica.reload()
    primary.su(WAL)
    reads_go_to(p, primary)


def test_who_may_not_see_the_delay_is_told(proxy, named_pair):
    named_pair[0].su("CREATE ROLE blind LOGIN")
    named_pair[0].catch_up(named_pair[1])
    p = proxy(nodes=named_pair, **{**TIMED, "sr_check_user": "blind"})
    p.wait_log("WARNING:  sr_check_user is not allowed to see the state of standbys")
    named_pair[0].su("GRANT pg_monitor TO blind")
    with paused(*named_pair):
        reads_go_to(p, named_pair[0])


def test_delay_by_time_needs_a_name(proxy):
    p = proxy(**{**TIMED, "backend_application_name1": None})
    assert p.wait_log("WARNING:  delay_threshold_by_time has no effect on node 1: it needs"
                      " backend_application_name1")


def test_thresholds_without_checks_are_told(proxy):
    p = proxy(delay_threshold=1)
    assert p.wait_log("WARNING:  the delay of standbys is not measured")


# ---- the command ------------------------------------------------------------------------------

@pytest.fixture
def commanded(proxy):
    """p and a function that says what its command does."""
    def start(**how):
        p = proxy(start=False)
        script = f"{p.folder}/delay"

        def does(text):
            with open(script + ".new", "w") as f:
                f.write(text)
            os.rename(script + ".new", script)
        does("echo 0")
        p.params.update({**CHECK, "delay_threshold_by_time": 1000,
                         "replication_delay_source_cmd": f"/bin/sh {script}", **how})
        return p.start(), does
    return start


def test_delays_of_a_command(commanded, primary, replica):
    p, does = commanded()
    reads_go_to(p, replica)
    does(f"ls -l /proc/$$/fd >{p.folder}/files; echo \"$@\" >{p.folder}/arguments; echo 1234.5")
    reads_go_to(p, primary)
    assert p.wait_log(r"Replication of node: 1 is behind 1.234 second\(s\) from the primary server"
                      r" \(node: 0\) \[external command\]$")
    with open(f"{p.folder}/arguments") as f:
        assert f.read() == f"127.0.0.1:{replica.port}\n"
    with open(f"{p.folder}/files") as f:        # none of ours
        assert sum("socket:" in line or "anon_inode" in line for line in f) == 0
    does("echo 12")
    reads_go_to(p, replica)
    does("echo -1")
    reads_go_to(p, primary)


@pytest.mark.parametrize("script, why", [
    ("sleep 100 & sleep 100", "it took too long"),
    ("echo 5000; exit 3", "it ended with status 3"),
    ("kill -9 $PPID", "it was ended by signal 9"),
    ("echo 5 apples", "it prints more than one number for each standby"),
    ("echo apples", "it does not print one number for each standby"),
    ("echo", "it does not print one number for each standby"),
    ("echo nan", "it does not print one number for each standby"),
    ("yes", "its output is too long"),
])
def test_commands_that_fail(commanded, primary, replica, script, why):
    p, does = commanded(replication_delay_source_timeout=1)
    reads_go_to(p, replica)
    does(f"echo x >>{p.folder}/runs; {script}")
    told(p, "ERROR:  replication delay command failed", why + "$")
    wait_until(lambda: os.path.getsize(f"{p.folder}/runs") >= 6, "further runs")
    assert reads_on(p, replica)
    assert sum("replication delay command failed" in line for line in p.log) == 1
    does("echo 2000")
    reads_go_to(p, primary)
    does(script)
    wait_until(lambda: sum("delay command failed" in line for line in p.log) == 2, "its trouble")
    children = subprocess.run(["ps", "-o", "stat=", "--ppid", str(p.pid)], capture_output=True,
                              text=True).stdout
    assert "Z" not in children


def test_the_command_ends_with_the_program(commanded, replica):
    p, does = commanded()
    reads_go_to(p, replica)
    does(f"echo $$ >{p.folder}/pid; exec sleep 100")
    wait_until(lambda: os.path.exists(f"{p.folder}/pid") and os.path.getsize(f"{p.folder}/pid"),
               "its start")
    with open(f"{p.folder}/pid") as f:
        pid = int(f.read())
    assert p.stop() == 0
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "its end")


# ---- roles ------------------------------------------------------------------------------------

def test_a_promotion_is_noticed_without_clients(proxy, own_pair):
    primary, replica = own_pair
    p = proxy(nodes=own_pair, **BY_ROLE, **CHECK)
    p.wait_log("find_primary_node: standby node is 1")
    primary.stop()
    replica.su("SELECT pg_promote()")
    p.wait_log("find_primary_node: primary node is 1")
    p.psql("CREATE TABLE promoted (a int)")
    assert reads_on(p, replica)


def test_the_old_primary_comes_back_as_one(proxy, own_pair):
    """Who was promoted last stays the primary."""
    primary, replica = own_pair
    p = proxy(nodes=own_pair, **BY_ROLE, **CHECK)
    p.wait_log("find_primary_node: standby node is 1")
    primary.stop()
    replica.su("SELECT pg_promote()")
    p.wait_log("find_primary_node: primary node is 1")
    since = len(p.log)
    primary.start()
    p.wait_log("is up again", since)
    mark = primary.log_size()
    primary.su("ALTER SYSTEM SET log_statement = 'all'")
    primary.reload()
    wait_until(lambda: asked(primary, mark) > 1, "further questions")
    assert p.one(ON_PRIMARY + PORT) == str(replica.port)
    assert not any("primary node is 0" in line for line in p.log[since:])


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_primaries_the_one_that_was_promoted(proxy, own_pair, first):
    """Whichever is asked first: its timeline tells."""
    _, replica = own_pair
    replica.su("SELECT pg_promote()")
    wait_until(lambda: replica.su("SELECT pg_is_in_recovery()") == [(False,)], "its promotion")
    nodes = own_pair if first == 0 else own_pair[::-1]
    p = proxy(nodes=nodes, **BY_ROLE, **CHECK)
    wait_until(lambda: p.one(ON_PRIMARY + PORT) == str(replica.port), "the promoted one")
    for _ in range(3):
        assert p.one(PORT) == p.one(ON_PRIMARY + PORT) == str(replica.port)


def test_both_say_that_they_are_the_primary(proxy, own_pair, shop):
    primary, _ = own_pair
    other = shop.cluster(shop.fresh("p")).start()
    try:
        p = proxy(nodes=[primary, other], **BY_ROLE, **CHECK, backend_weight1=0)
        assert p.wait_log("WARNING:  node . says that it is a primary, but the primary is node .")
    finally:
        other.remove()


def test_a_flagged_node_in_recovery(proxy, own_pair):
    """Where the name of the primary leads has changed, or will soon."""
    _, replica = own_pair
    p = proxy(nodes=[replica], **CHECK)
    told(p, "WARNING:  node 0 is flagged ALWAYS_PRIMARY but is in recovery",
         '"127.0.0.1" leads to a standby')
    p.one(PORT)
    wait_until(lambda: not replica.backends("usename = 'app'"), "the end of idle connections")
    p.one(PORT)
    wait_until(lambda: not replica.backends("usename = 'app'"), "the end of idle connections")
    replica.su("SELECT pg_promote()")
    p.wait_log("LOG:  node 0, flagged ALWAYS_PRIMARY, is no longer in recovery")
    p.psql("CREATE TABLE promoted (a int)")
    assert sum("is in recovery" in line for line in p.log) == 1


def test_clients_wait_for_the_first_primary(proxy, own_pair):
    primary, replica = own_pair
    primary.stop()
    p = proxy(nodes=own_pair, primary_wait_timeout=0, **BY_ROLE, **CHECK)
    p.wait_log("find_primary_node: standby node is 1")
    w = p.raw(login=False)
    w.send(wire.startup(user="app", database="app"))
    assert w.silent(0.3)
    replica.su("SELECT pg_promote()")
    w.until("Z")
    assert wire.errors(w.query("CREATE TABLE t (a int)")) == []


def test_requests_that_wait_follow_the_primary(proxy, own_pair):
    primary, replica = own_pair
    p = proxy(nodes=own_pair, primary_wait_timeout=60, **BY_ROLE, **CHECK)
    p.wait_log("find_primary_node: standby node is 1")
    session = p.raw()
    session.query("SELECT 1")
    primary.stop()
    p.wait_log("node 0 .* is down")
    session.send(wire.query("CREATE TABLE t (a int)"))
    stranger = p.raw(login=False)
    stranger.send(wire.startup(user="app", database="postgres"))
    assert session.silent(0.3) and stranger.silent(0)
    replica.su("SELECT pg_promote()")
    assert wire.errors(session.reply()) == []
    stranger.until("Z")
    assert wire.value(stranger.query(ON_PRIMARY + PORT)) == str(replica.port)


def test_the_search_for_a_primary_ends(proxy, replica):
    """All are standbys: the first one has to do then."""
    p = proxy(nodes=[replica], search_primary_node_timeout=1, **BY_ROLE, **CHECK,
              backend_weight0=1)
    assert p.one("SELECT pg_is_in_recovery()") is True


@pytest.mark.skipif(pg.VERSION < 14, reason="a login does not tell the role")
@pytest.mark.parametrize("settings", [
    {**CHECK, "sr_check_user": "nobody"},
    {**CHECK, "sr_check_database": "nothing"},
    {**CHECK, "sr_check_database": "template0"},
    {**CHECK, "sr_check_period": 0},
    {**CHECK, "backend_clustering_mode": "raw"},
    {},
], ids=["no role", "no database", "no connections", "no period", "raw", "no check"])
def test_each_login_tells_the_role(proxy, primary, replica, settings):
    """Nobody else can: clients do not wait for search_primary_node_timeout."""
    raw = "backend_clustering_mode" in settings
    p = proxy(nodes=[primary, replica] if raw else [replica, primary], **BY_ROLE, **settings)
    assert p.one(ON_PRIMARY + PORT) == str(primary.port)
    if not raw:
        p.wait_log("find_primary_node: (primary node is 1|standby node is 0)")


# ---- logins -----------------------------------------------------------------------------------

@pytest.fixture
def checker(logging_pair):
    """A pair that asks the role checker for its password; the role has it twice."""
    primary, replica = logging_pair
    primary.su(f"CREATE ROLE checker LOGIN PASSWORD '{SECRET}';"
               "SET password_encryption = md5;"
               f"CREATE ROLE checker_md5 LOGIN PASSWORD '{SECRET}'")
    primary.catch_up(replica)
    for cluster in logging_pair:
        cluster.rules("host all checker 127.0.0.1/32 scram-sha-256\n"
                      "host all checker_md5 127.0.0.1/32 md5\n" + HBA)
        cluster.reload()
    return logging_pair


def test_a_refused_login_is_told_once(proxy, checker):
    primary, replica = checker
    p = proxy(nodes=checker, **{**CHECK, "sr_check_user": "checker", "sr_check_password": "wrong"},
              delay_threshold=100 * KB)
    wait_until(lambda: min(c.log_since(0).count('password authentication failed for user "checker"')
                           for c in checker) >= 3, "three rounds")
    lines = [i for i, line in enumerate(p.log) if "Failed to check replication time lag" in line]
    assert len(lines) == 2 and all("ERROR:  " in p.log[i] for i in lines)
    assert {re.search(r"DETAIL:  (No persistent db connection for the node \d)", p.log[i + 1])[1]
            for i in lines} == {f"No persistent db connection for the node {n}" for n in (0, 1)}
    assert all("HINT:  check sr_check_user and sr_check_password" in p.log[i + 2] for i in lines)
    assert reads_on(p, replica)
    p.reload(sr_check_password="TEXT" + SECRET)
    with paused(primary, replica):
        reads_go_to(p, primary)
    assert SECRET not in p.log_text()


@pytest.mark.parametrize("form", ["clear", "TEXT", "AES", "md5", "pool_passwd"])
def test_forms_of_the_password(proxy, checker, form, tmp_path):
    primary, replica = checker
    user = "checker_md5" if form == "md5" else "checker"
    key = tmp_path / "key"
    key.write_text("the key\n")
    key.chmod(0o600)
    p = proxy(nodes=checker, start=False, env={"PGPOOLKEYFILE": str(key)})
    secret = {"clear": SECRET, "TEXT": "TEXT" + SECRET, "pool_passwd": ""}.get(form)
    if form == "AES":
        out = subprocess.run([p.binary, "pg_enc", "-k", str(key), SECRET], check=True, text=True,
                             capture_output=True).stdout
        secret = re.search(r"string: (AES\S+)", out)[1]
    elif form == "md5":
        secret = primary.su("SELECT rolpassword FROM pg_authid WHERE rolname = 'checker_md5'")[0][0]
    elif form == "pool_passwd":
        p.passwd = f"checker:TEXT{SECRET}\n"
    p.params.update({**CHECK, "sr_check_user": user, "sr_check_password": secret,
                     "health_check_period": 1, "health_check_user": user,
                     "health_check_password": secret, "delay_threshold": 100 * KB})
    p.start()
    with paused(primary, replica):
        reads_go_to(p, primary)
    wait_until(lambda: asked(primary, 0, "pgpool health_check") >= 2, "health checks")
    assert not any("failed" in line for line in p.log), p.log_text()
    assert SECRET not in p.log_text()


def test_the_checks_connection_is_not_for_clients(proxy, checker):
    """A client who knows no password does not get in over the connection of the check."""
    p = proxy(nodes=checker, **{**CHECK, "sr_check_user": "checker", "sr_check_password": SECRET,
                                "sr_check_database": "app"})
    wait_until(lambda: checker[0].backends("application_name = 'pgpool sr_check'"), "the check")
    with pytest.raises(wire.LoginError):
        p.raw(user="checker")


def test_a_node_that_does_not_answer_stops_no_other(proxy, primary, replica):
    class Silent:
        host = "127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        Silent.port = mute.getsockname()[1]
        p = proxy(nodes=[primary, Silent, replica], **CHECK, delay_threshold=100 * KB,
                  backend_weight1=0)
        reads_go_to(p, replica)
        with paused(primary, replica):
            reads_go_to(p, primary)
        reads_go_to(p, replica)


def test_checks_are_not_starved_by_clients(proxy, primary, replica):
    p = proxy(**CHECK, num_init_children=1, max_pool=1, delay_threshold=100 * KB,
              health_check_period=1, health_check_timeout=5)
    w = p.raw()
    w.query("BEGIN")
    w.query(PORT)
    w.query("CREATE TEMP TABLE t (a int)")
    waiting = p.raw()                           # for the only connection
    waiting.send(wire.query("SELECT 1"))
    with paused(primary, replica):
        p.wait_log("Replication of node: 1 is behind")
    w.query("COMMIT")
    assert not any("Failed to check" in line or "health check" in line for line in p.log)
    w.bye()
    assert wire.value(waiting.reply()) == "1"


# ---- health -----------------------------------------------------------------------------------

HEALTH = dict(health_check_period=1, health_check_user="postgres", health_check_timeout=1,
              health_check_retry_delay=0, node_probe_period=100)


@contextlib.contextmanager
def frozen(cluster):
    """Connections are accepted by the kernel, and then nothing."""
    cluster.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        cluster.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("flag", ["DISALLOW_TO_FAILOVER", "ALLOW_TO_FAILOVER"])
def test_a_node_that_fails_its_health_check(proxy, own_pair, flag):
    primary, replica = own_pair
    p = proxy(nodes=own_pair, **HEALTH, health_check_max_retries=2, backend_flag1=flag)
    reads_go_to(p, replica)
    with frozen(replica):
        p.wait_log(r"LOG:  health check retrying on DB node: 1 \(round:1\)$")
        p.wait_log(r"LOG:  health check retrying on DB node: 1 \(round:2\)$")
        p.wait_log("LOG:  health check failed on node 1 but failover is disallowed for the node$"
                   if "DIS" in flag else r"LOG:  health check failed on node 1 \(timeout:1\)$")
        p.wait_log("node 1 .* is down")
        reads_go_to(p, primary)
        assert not any("round:3" in line for line in p.log)
    p.wait_log("node 1 .* is up again")
    reads_go_to(p, replica)
    assert sum("health check failed" in line for line in p.log) == 1


def reader(p, *first, node):
    w = p.raw()
    for sql in first:
        w.query(sql)
    assert wire.value(w.query(PORT)) == str(node.port)
    return w


SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def test_what_runs_on_a_replica_that_freezes(proxy, own_pair):
    """Reads and ends of transactions are answered without it, as soon as it is called down."""
    primary, replica = own_pair
    p = proxy(nodes=own_pair, **HEALTH, client_min_messages="error")
    reads_go_to(p, replica)
    plain, within, ends = (reader(p, *f, node=replica) for f in ([], ["BEGIN"], ["BEGIN"]))
    fixed, idle = reader(p, SNAPSHOT, node=replica), reader(p, node=replica)
    big = p.raw(timeout=20)
    big.send(wire.query("SELECT repeat('x', 100000) FROM generate_series(1, 1000)"))
    big.until("D")
    with frozen_whole(replica):
        plain.send(wire.query(PORT))
        within.send(wire.query(PORT))
        ends.send(wire.query("ROLLBACK"))
        fixed.send(wire.query(PORT))
        p.wait_log("node 1 .* is down")
        for w in (plain, within):
            assert wire.value(w.reply()) == str(primary.port)
        assert ends.reply()[0].tag == "ROLLBACK"
        assert wire.errors(fixed.reply()) == ["40001"]
        assert wire.value(idle.query(PORT)) == str(primary.port)
        assert within.query("COMMIT")[0].tag == "COMMIT"
        assert fixed.query("COMMIT")[0].tag == "ROLLBACK"
        out = big.eof()
        assert [m.type for m in out[:-1]] == ["D"] * len(out[:-1])
        assert {m.type for m in out[-1:]} <= {"D", "E"}
    for w in (plain, within, ends, fixed, idle):
        w.bye()


def test_what_runs_on_a_primary_that_freezes(proxy, own_pair):
    """What was not sent waits for it; what was sent ends, and is not sent again."""
    primary, replica = own_pair
    primary.su("CREATE TABLE t (a int); ALTER TABLE t OWNER TO app")
    p = proxy(nodes=own_pair, **HEALTH, primary_wait_timeout=60)
    insert = "INSERT INTO t VALUES (1)"
    idle, sent, within = p.raw(timeout=30), p.raw(timeout=30), p.raw(timeout=30)
    for w in (idle, sent):
        assert wire.value(w.query(ON_PRIMARY + PORT)) == str(primary.port)
    within.query("BEGIN")
    within.query(insert)
    with frozen_whole(primary):
        sent.send(wire.query(insert))
        p.wait_log("node 0 .* is down")
        assert wire.errors(sent.eof()) == ["08006"]
        assert wire.errors(within.eof()) == ["57P01"]
        idle.send(wire.query(insert))
        assert idle.silent(), idle.eof()
    assert wire.errors(idle.reply()) == []
    count = "SELECT count(*) FROM t"
    wait_until(lambda: primary.su(count)[0][0] in (1, 2), "writes")     # the lost one, maybe
    idle.bye()


def test_a_health_check_that_succeeds_after_retries(proxy, own_pair):
    _, replica = own_pair
    p = proxy(nodes=own_pair, **HEALTH, health_check_max_retries=1000)
    with frozen(replica):
        p.wait_log(r"health check retrying on DB node: 1 \(round:2\)$")
    p.wait_log("LOG:  health check retrying on DB node: 1 succeeded$")
    assert not any("is down" in line for line in p.log)


def test_a_health_check_per_node(proxy, logging_pair):
    primary, replica = logging_pair
    p = proxy(nodes=logging_pair, **{**HEALTH, "health_check_period": 0, "health_check_period1": 1})
    mark = replica.log_size()
    wait_until(lambda: asked(replica, mark, "pgpool health_check") >= 2, "health checks")
    assert not asked(primary, 0, "pgpool health_check")
    p.reload(health_check_period1=0)
    mark = [c.log_size() for c in logging_pair]
    p.reload(health_check_period0=1)
    wait_until(lambda: asked(primary, mark[0], "pgpool health_check") >= 2, "health checks")
    assert not asked(replica, mark[1], "pgpool health_check")


def test_a_health_check_whose_login_is_refused(proxy, checker):
    """It says so once, and nothing about the node."""
    p = proxy(nodes=checker, **{**HEALTH, "health_check_user": "checker",
                                "health_check_password": "wrong"})
    wait_until(lambda: min(c.log_since(0).count('password authentication failed for user "checker"')
                           for c in checker) >= 3, "three checks")
    assert reads_on(p, checker[1])
    lines = [line for line in p.log if "health check failed" in line]
    assert sorted(line[line.index("ERROR"):] for line in lines) == [
        f"ERROR:  health check failed on node {i}: the login was refused" for i in (0, 1)]
    assert not any("is down" in line for line in p.log)


def test_a_node_that_is_down_is_probed_by_a_login(proxy, own_pair):
    """What answers a startup packet and lets nobody in would be up and down all the time."""
    primary, replica = own_pair
    p = proxy(nodes=own_pair, **HEALTH)
    reads_go_to(p, replica)
    mark = replica.log_size()
    replica.su("ALTER SYSTEM SET log_connections = on")
    replica.reload()
    replica.stop()
    p.wait_log("node 1 .* is down")
    replica.start()
    p.wait_log("node 1 .* is up again")
    assert asked(replica, mark, "pgpool health_check") >= 1
    reads_go_to(p, replica)


def test_the_primary_comes_back_to_its_waiting_clients(proxy, own_pair):
    primary, _ = own_pair
    p = proxy(nodes=own_pair, **HEALTH, primary_wait_timeout=30)
    with frozen(primary):
        p.wait_log("node 0 .* is down")
        w = p.raw(login=False)
        w.send(wire.startup(user="app", database="app"))
        assert w.silent()
    w.read()


# ---- reload -----------------------------------------------------------------------------------

def test_reload_of_the_period(proxy, primary, replica):
    p = proxy(**{**CHECK, "sr_check_period": 0}, delay_threshold=100 * KB)
    with paused(primary, replica):
        assert reads_on(p, replica)
        p.reload(sr_check_period=1)
        reads_go_to(p, primary)
        p.reload(log_connections=True)          # what is known of the standby stays true
        assert reads_on(p, primary)
        p.reload(delay_threshold=10_000_000)
        reads_go_to(p, replica)
        p.reload(delay_threshold=100 * KB)
        reads_go_to(p, primary)
        p.reload(sr_check_period=0)
        reads_go_to(p, replica)
