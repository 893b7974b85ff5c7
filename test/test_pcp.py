"""PCP, Pgpool-II's control protocol: byte by byte, and with Debian's own pcp_ commands.

Those are of Pgpool-II 4.3, which names some columns of two replies differently from 4.7; what is
compared is what both have."""
import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

import pg
import wire
from pg import free_port
from wire import Message, Wire, cstring, message, wait_until

pytestmark = pytest.mark.proxy

USER, PASSWORD = "operator", "it's secret"


def md5(text):
    return hashlib.md5(text if isinstance(text, bytes) else text.encode()).hexdigest()


ENTRY = f"{USER}:{md5(PASSWORD)}\n"


class Pcp(Wire):
    """One PCP connection."""

    def salt(self):
        self.send(message("M"))
        m = self.read()
        assert m.type == "m" and len(m.body) == 4, m
        return m.body

    def prove(self, user, secret, salt):
        inner = md5(md5(secret) + user)
        self.send(message("R", cstring(user) + cstring(md5(inner.encode() + salt))))
        return self.read()

    def login(self, user=USER, secret=PASSWORD):
        m = self.prove(user, secret, self.salt())
        assert m == Message("r", b"AuthenticationOK\0"), m
        return self

    def ask(self, type_, *strings, raw=b""):
        """The strings of a reply that is one message."""
        self.send(message(type_, b"".join(cstring(s) for s in strings) + raw))
        m = self.read()
        if m.type in "EN":
            return m
        words = m.body.decode().split("\0")
        assert words[0] == "CommandComplete" and words.pop() == "", m
        self.answer_type = m.type
        return words[1:]

    def table(self, type_, *strings, word):
        """The rows of a reply that has many messages."""
        self.send(message(type_, b"".join(cstring(s) for s in strings)))
        head = self.read()
        if head.type == "E":
            return head
        name, size = head.body.split(b"\0", 1)
        assert head.type == type_.lower() and name == b"ArraySize"
        n = struct.unpack("!I", size)[0] if type_ == "B" else int(size[:-1])
        rows = []
        for _ in range(n):
            m = self.read()
            row = m.body.decode().split("\0")
            assert m.type == head.type and row[0] == word and row.pop() == "", m
            rows.append(row[1:])
        assert self.read() == Message(head.type, b"CommandComplete\0")
        return rows

    def nodes(self, *strings):
        return self.table("I", *strings, word="NodeInfo")

    def processes(self, pid="0"):
        return self.table("P", pid, word="ProcessInfo")

    def settings(self):
        return {name: value for name, value, _ in self.table("B", word="ProcessConfig")}


def failed(m, message_, detail=None, severity="ERROR"):
    assert isinstance(m, Message) and m.type in "EN", m
    assert m.fields["S"] == severity and m.fields["M"] == message_, m
    assert m.fields.get("D") == detail, m
    return True


@pytest.fixture
def pcp(proxy):
    """pcp(parameter=value, ...) starts a proxy with PCP; p.pcp_address is where."""
    def make(start=True, tcp=True, **how):
        port = free_port()
        how.setdefault("pcp", ENTRY)
        how.setdefault("pcp_listen_addresses", "127.0.0.1" if tcp else "")
        p = proxy(start=False, pcp_port=port, **how)
        p.params.setdefault("pcp_socket_dir", p.folder)
        if p.params["pcp_socket_dir"] == "":
            p.params["pcp_socket_dir"] = p.folder
        p.pcp_address = ("127.0.0.1", port)
        p.pcp_socket = f"{p.folder}/.s.PGSQL.{port}"
        return p.start() if start else p
    return make


def call(p, **how):
    return Pcp(p.pcp_address).login(**how)


# ---- login ------------------------------------------------------------------------------------

def test_login_over_both_kinds_of_socket(pcp):
    p = pcp()
    for address in (p.pcp_address, p.pcp_socket):
        with Pcp(address).login() as c:
            assert c.ask("L") == ["2"]
            c.send(message("X"))
            assert c.eof() == []


def test_each_connection_has_its_own_salt(pcp):
    p = pcp()
    salts = set()
    for _ in range(16):
        with Pcp(p.pcp_address) as c:
            salts.add(c.salt())
    assert len(salts) == 16


def test_a_proof_is_good_for_one_salt(pcp):
    p = pcp()
    with Pcp(p.pcp_address) as first, Pcp(p.pcp_address) as second:
        stolen = first.salt()
        second.salt()
        failed(second.prove(USER, PASSWORD, stolen), f'authentication failed for user "{USER}"',
               "username and/or password does not match", "FATAL")
        assert second.eof() == []


@pytest.mark.parametrize("user, secret", [
    (USER, "wrong"), (USER, ""), ("nobody", PASSWORD), ("", ""), (USER + "x", PASSWORD),
    ("o" * 200, PASSWORD)])
def test_wrong_users_and_passwords_are_alike(pcp, user, secret):
    p = pcp()
    with Pcp(p.pcp_address) as c:
        failed(c.prove(user, secret, c.salt()), f'authentication failed for user "{user}"',
               "username and/or password does not match", "FATAL")
        assert c.eof() == []
    p.wait_log(f'pcp_child pid .*FATAL:  authentication failed for user "{user}"')
    assert md5(PASSWORD) not in p.log_text()


@pytest.mark.parametrize("answer", ["", "x", "0" * 31, "0" * 33, "0" * 200])
def test_answers_of_other_lengths(pcp, answer):
    p = pcp()
    with Pcp(p.pcp_address) as c:
        c.salt()
        c.send(message("R", cstring(USER) + cstring(answer)))
        assert c.read().fields["S"] == "FATAL" and c.eof() == []


@pytest.mark.parametrize("body", [b"", b"operator", b"operator\0", b"operator\0" + b"0" * 32, b"\0"])
def test_a_login_that_is_cut_short(pcp, body):
    p = pcp()
    with Pcp(p.pcp_address) as c:
        c.salt()
        c.send(message("R", body))
        m = c.read()
        assert m.type == "E" and m.fields["S"] == "FATAL" and c.eof() == []


def test_a_proof_needs_a_salt(pcp):
    """Without 'M' the salt would be known to nobody but zero to a careless program."""
    p = pcp()
    for salt in (b"\0\0\0\0", b""):
        with Pcp(p.pcp_address) as c:
            assert c.prove(USER, PASSWORD, salt).fields["S"] == "FATAL" and c.eof() == []


def test_the_salt_is_told_once(pcp):
    """Who is not logged in cannot make the proxy talk."""
    p = pcp()
    with Pcp(p.pcp_address) as c:
        c.send(message("M") * 100)
        assert c.read().type == "m"
        assert c.read().fields["S"] == "FATAL" and c.eof() == []


@pytest.mark.parametrize("type_", "LINPBHCDdJjOTtZVGWA?Qm\0")
def test_nothing_before_the_login(pcp, type_):
    p = pcp()
    with Pcp(p.pcp_address) as c:
        c.send(message(type_, b"s\0"))
        failed(c.read(), "authentication failed for new PCP connection",
               "connection not authorized", "FATAL")
        assert c.eof() == []
    assert p.running and p.psql("SELECT 1") == "1"


def test_without_pcp_conf_nobody_gets_in(pcp):
    p = pcp(pcp=None)
    with Pcp(p.pcp_address) as c:
        assert c.prove(USER, PASSWORD, c.salt()).fields["S"] == "FATAL"
    with Pcp(p.pcp_address) as c:       # the entry of nobody is no password either
        c.send(message("R", cstring("x") + cstring(md5(md5("0" * 32 + "x").encode() + c.salt()))))
        assert c.read().fields["S"] == "FATAL"


def test_users_of_the_environment(pcp):
    p = pcp(pcp=None, env={"PGPOOL_PCP_USER": "env", "PGPOOL_PCP_PASSWORD": "word"})
    assert call(p, user="env", secret="word").ask("L") == ["2"]


def test_a_reload_reads_pcp_conf_again(pcp):
    p = pcp()
    c = call(p)
    p.pcp = f"other:{md5('word')}\n"
    p.reload()
    assert c.ask("L") == ["2"]                          # who is in stays in
    assert call(p, user="other", secret="word").ask("L") == ["2"]
    with Pcp(p.pcp_address) as gone:
        assert gone.prove(USER, PASSWORD, gone.salt()).fields["S"] == "FATAL"


def test_a_login_has_a_deadline(pcp):
    p = pcp(authentication_timeout=1)
    inside = call(p)
    with Pcp(p.pcp_address) as silent, Pcp(p.pcp_address) as half:
        half.salt()
        for c in (silent, half):
            failed(c.read(), "canceling authentication due to timeout", severity="FATAL")
            assert c.eof() == []
    assert inside.ask("L") == ["2"]                     # it is for the login only


# ---- framing ----------------------------------------------------------------------------------

@pytest.mark.parametrize("length", [0, 1, 3, 260, 261, 65536, 0x7fffffff, 0x80000000, 0xffffffff])
@pytest.mark.parametrize("inside", [False, True])
def test_impossible_lengths(pcp, length, inside):
    p = pcp()
    c = call(p) if inside else Pcp(p.pcp_address)
    c.send(b"L" + struct.pack("!I", length) + b"x" * 300)
    failed(c.read(), "invalid PCP packet", f"incorrect packet length ({length})", "FATAL")
    assert c.eof() == []


def test_the_longest_request(pcp):
    p = pcp()
    c = call(p)
    assert c.ask("L", raw=b"x" * 255) == ["2"]
    assert c.ask("L") == ["2"]


def test_byte_by_byte_and_many_at_once(pcp):
    p = pcp()
    c = call(p)
    c.trickle(message("L") + message("I", b"1\0"))
    assert c.read().body == b"CommandComplete\x002\0"
    assert [c.read().body.split(b"\0")[0] for _ in range(3)] == \
        [b"ArraySize", b"NodeInfo", b"CommandComplete"]
    c.send(message("L") * 3000 + message("?"))
    for _ in range(3000):
        assert c.read().body == b"CommandComplete\x002\0"
    failed(c.read(), "PCP processing request", 'unknown PCP packet type "?"', "FATAL")
    assert c.eof() == []


def test_a_login_in_two_writes_with_all_that_follows(pcp):
    p = pcp()
    c = Pcp(p.pcp_address)
    salt = c.salt()
    answer = md5(md5(md5(PASSWORD) + USER).encode() + salt)
    c.send(message("R", cstring(USER) + cstring(answer)) + message("L") + message("N")
           + message("X") + message("L"))
    assert [m.type for m in c.eof()] == ["r", "l", "n"]


@pytest.mark.parametrize("type_", "MRmEKSp\0\xff")
def test_unknown_requests_end_the_connection(pcp, type_):
    p = pcp()
    c = call(p)
    c.send(type_.encode("latin-1") + struct.pack("!I", 4))
    m = c.read()
    assert m.type == "E" and m.fields["S"] == "FATAL"
    assert m.fields["M"] == "PCP processing request" and c.eof() == []


def test_whoever_stops_sending_gets_its_replies(pcp):
    p = pcp()
    c = call(p)
    c.send(message("L") + message("I", b"-1\0") + message("N"))
    c.sock.shutdown(socket.SHUT_WR)
    assert "".join(m.type for m in c.eof()) == "liiiin"
    c = call(p)
    c.send(message("L")[:3])
    c.sock.shutdown(socket.SHUT_WR)
    assert c.eof() == []


def test_resets_and_vanishing_are_harmless(pcp):
    p = pcp(num_init_children=2000)
    for request in (b"", message("P", b"0\0"), message("P", b"0\0")[:4], message("N") * 50):
        c = call(p)
        c.send(request)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.shut()
        Pcp(p.pcp_address).shut()
    assert call(p).ask("L") == ["2"]


def test_only_so_many_at_once(pcp):
    p = pcp()
    inside = [call(p) for _ in range(32)]
    with Pcp(p.pcp_address) as c:
        failed(c.read(), "Sorry, too many clients already",
               "All places for PCP connections are taken.", "FATAL")
        assert c.eof() == []
    assert [c.ask("L") for c in inside] == [["2"]] * 32
    for c in inside:
        c.shut()
    wait_until(lambda: not isinstance(tried(p), Exception), "room for one more")


def tried(p):
    try:
        return call(p)
    except (AssertionError, OSError, EOFError) as e:
        return e


def test_a_slow_reader_costs_one_reply(pcp):
    """Some megabytes of table wait in the proxy's hands for nobody; others are served meanwhile."""
    p = pcp(num_init_children=20000)
    slow = Pcp(p.pcp_address, receive_buffer=4096).login()
    before = p.rss()
    slow.send((message("P", b"0\0") + message("N")) * 2000)
    others = [call(p) for _ in range(3)]
    for c in others:
        assert len(c.processes()) == 20000 * 4 * 2
        assert c.ask("N")[0] == "20000"
    assert p.psql("SELECT 1") == "1"
    if not p.sanitized:
        assert p.memory("VmHWM") - before < 4 << 20
    assert slow.read() == Message("p", b"ArraySize\x00160000\0")
    rows = [slow.read() for _ in range(160000)]
    assert rows[-1].body.split(b"\0")[1] == b"%d" % (wire.SESSION_PID + 19999)
    assert slow.read().body == b"CommandComplete\0" and slow.read().type == "n"
    slow.shut()


# ---- what can be asked ------------------------------------------------------------------------

@pytest.mark.skipif(pg.VERSION < 14, reason="a login does not tell the role")
def test_nodes(pcp, pair):
    p = pcp(backend_weight0=1, backend_weight1=3)
    c = call(p)
    waiting = c.nodes("-1")
    assert [row[2] for row in waiting] == ["1", "1"]
    seen = set()
    wait_until(lambda: seen.update(ports(p, 1)) or len(seen) == 2, "reads on both nodes")
    rows = c.nodes("-1")
    now = time.time()
    for i, (row, share, role) in enumerate(zip(rows, (0.25, 0.75), (("2", "primary"),
                                                                    ("3", "standby")))):
        assert len(row) == 13
        assert row[:5] == ["127.0.0.1", str(pair[i].port), "2", "0", "up"]
        assert float(row[5]) == pytest.approx(share * 2147483647)
        assert row[6:8] == [role[0], role[1]]
        assert row[8] == "0" and row[9] == "0"
        assert now - 60 < int(row[12]) <= now + 1
    assert c.nodes("1") == rows[1:] and c.nodes("0") == rows[:1]
    assert c.nodes() == rows


def test_nodes_that_are_not_there(pcp):
    c = call(pcp())
    for n in ("2", "128", "-2", "2147483647"):
        failed(c.nodes(n), "informing node info failed", f"invalid node ID : {n}")
        failed(c.ask("H", n), "informing health check stats info failed", f"invalid node ID {n}")
    for text in ("", "x", "1x", "99999999999999999999", "0x1"):
        assert c.nodes(text).fields["M"] == "informing node info failed"
        assert c.ask("H", text).type == "E"
    c.send(message("I", b"1"))          # without its zero byte
    assert c.read().type == "E"
    assert c.ask("L") == ["2"]          # an ERROR does not end the connection


@pytest.mark.parametrize("flag, status, number", [
    ("DISALLOW_TO_FAILOVER", "up", "2"), ("ALLOW_TO_FAILOVER", "down", "3")])
def test_a_node_that_is_down(pcp, own_pair, flag, status, number):
    p = pcp(nodes=own_pair, backend_flag1=flag, node_probe_period=60000)
    c = call(p)
    own_pair[1].stop()
    p.psql("SELECT 1")
    p.wait_log("node 1 .* is down")
    row = c.nodes("1")[0]
    assert row[2] == number and row[4] == "down" and row[7] == "unknown"
    assert c.ask("H", "1")[3] == status


def test_health_check_stats(pcp, pair):
    c = call(pcp())
    row = c.ask("H", "1")
    assert c.answer_type == "h" and len(row) == 20
    assert row[:3] == ["1", "127.0.0.1", str(pair[1].port)] and row[4] == "standby"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row[5])
    assert all(re.fullmatch(r"\d+(\.\d{6})?", n) for n in row[6:16])


@pytest.mark.skipif(pg.VERSION < 14, reason="a login does not tell the role")
def test_what_checks_found_out(pcp, pair):
    """sr_check and health_check count and measure; PCP tells."""
    p = pcp(health_check_period=1, health_check_user="app", health_check_database="app",
            sr_check_period=1, sr_check_user="postgres", backend_application_name1="walreceiver")
    c = call(p)
    checked = wait_until(lambda: found(c, 6, int), "a check of both nodes")
    for i, row in enumerate(checked):
        total, success, fail, skip, retry = map(int, row[6:11])
        assert 0 <= total - success <= 1 and fail == skip == retry == 0 and success >= 1
        assert row[11:13] == ["0.000000", "0"]
        longest, shortest = int(row[13]), int(row[14])
        assert 0 <= shortest <= float(row[15]) + 1e-6 and float(row[15]) <= longest
        assert row[16] == row[17] != "" and row[18:20] == ["", ""]
    wait_until(lambda: c.nodes("1")[0][10], "what pg_stat_replication says")
    primary, standby = c.nodes()
    assert primary[7:12] == ["primary", "0", "0", "", ""]
    assert standby[7:9] == ["standby", "0"] and standby[10:12] == ["streaming", "async"]
    p.reload(delay_threshold_by_time=1000000)
    assert [row[8] for row in c.nodes()] == ["1", "1"]
    assert all(row[9].isdigit() for row in c.nodes())


def found(c, column, kind):
    rows = [c.ask("H", str(i)) for i in (0, 1)]
    return rows if all(kind(row[column + 1]) for row in rows) else None


def test_how_far_behind_a_standby_is(pcp, own_pair):
    p = pcp(nodes=own_pair, sr_check_period=1, sr_check_user="postgres")
    c = call(p)
    own_pair[1].su("SELECT pg_wal_replay_pause()")
    own_pair[0].su("CREATE TABLE moves AS SELECT generate_series(1, 1000)")
    bytes_ = wait_until(lambda: int(c.nodes("1")[0][9]), "a delay")
    assert c.nodes("0")[0][9] == "0" and int(c.settings()["standby_delay1"]) >= bytes_
    own_pair[1].su("SELECT pg_wal_replay_resume()")
    wait_until(lambda: c.nodes("1")[0][9] == "0", "the end of the delay")


def test_checks_of_a_node_that_is_down(pcp, own_pair):
    p = pcp(nodes=own_pair, health_check_period=1, health_check_user="app",
            health_check_database="app", health_check_max_retries=2, health_check_retry_delay=0)
    c = call(p)
    own_pair[1].stop()
    wait_until(lambda: c.ask("H", "1")[18], "a check that was skipped", 20)
    row = c.ask("H", "1")
    assert row[3] == "up" and int(row[8]) == 1 and int(row[9]) >= 1 and row[10] == row[12] == "2"
    assert float(row[11]) == pytest.approx(2 / int(row[6]), abs=1e-6)
    assert row[18] != "" and row[19] != ""


def test_processes(pcp):
    p = pcp(num_init_children=3, max_pool=2)
    c = call(p)
    count, *pids = c.ask("N")
    assert count == "3" and len(set(pids)) == 3 and all(int(pid) > 0 for pid in pids)
    rows = c.processes()
    assert [r[0] for r in rows] == [pid for pid in pids for _ in range(4)]
    assert [r[3:5] for r in rows[:4]] == [["0", "0"], ["0", "1"], ["1", "0"], ["1", "1"]]
    for r in rows:
        assert len(r) == 21 and r[16] == "Wait for connection"
        assert [r[i] for i in (5, 6, 7, 8, 9, 18, 19, 20)] == [""] * 8
        assert [r[i] for i in (2, 10, 11, 12, 13, 14, 15, 17)] == ["0"] * 8
    for pid in ("1", "99", "-1", str(wire.SESSION_PID + 3), "2147483647"):
        failed(c.processes(pid), "informing process info failed", f"invalid process ID : {pid}")
    assert c.processes(pids[1]) == [r for r in rows if r[0] == pids[1]]


def activity(c, pid):
    return c.processes(pid)[0][16]


def test_what_a_session_does(pcp, pair):
    p = pcp()
    c = call(p)
    w = p.raw()
    pid = str(w.pid)
    assert activity(c, pid) == "Idle"
    first = c.processes(pid)[0]
    assert first[5:7] == ["app", "app"] and first[11:13] == ["3", "0"]
    assert first[18] == "127.0.0.1" and int(first[19]) == w.sock.getsockname()[1]
    assert first[14] == "0" and first[15] == "0" and first[7] == ""      # no connection yet
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", first[8])
    w.query("BEGIN")
    backend = wire.value(w.query("/*NO LOAD BALANCE*/ SELECT pg_backend_pid()"))
    assert activity(c, pid) == "Idle in transaction"
    on_primary, on_replica, *others = c.processes(pid)
    assert on_primary[14:16] == [backend, "1"] and on_replica[14:16] == ["0", "0"]
    assert int(on_primary[13]) >= 1 and re.match(r"\d{4}-", on_primary[7])
    assert all(r[5:7] == ["", ""] and r[15] == "0" for r in others)
    w.send(wire.query("SELECT pg_sleep(300) /* " + pid + " */"))
    runs = f"state = 'active' AND query LIKE '%pg_sleep(300) /* {pid} */'"
    wait_until(lambda: any(node.backends(runs) for node in pair), "a statement that runs")
    assert activity(c, pid) == "Execute command"
    assert "pg_sleep(300)" in c.processes(pid)[0][20]
    wire.cancel_now(p.address, w.pid, w.key)
    w.reply()
    w.query("ROLLBACK")
    assert activity(c, pid) == "Idle"
    w.bye()
    wait_until(lambda: activity(c, pid) == "Wait for connection", "the end of the session")
    assert len(c.ask("N")) == 1 + 32


def test_which_node_balances(pcp):
    p = pcp()
    c = call(p)
    with p.raw() as w:
        w.query("SELECT 1")
        assert [r[17] for r in c.processes(str(w.pid))[:2]] == ["0", "1"]


def test_newer_protocol_and_unix_sockets_are_told(pcp):
    p = pcp()
    c = call(p)
    w = Wire(p.socket).login(version=wire.V3_2)
    row = c.processes(str(w.pid))[0]
    assert row[11:13] == ["3", "2"] and row[18:20] == ["[local]", ""]
    w.bye()


def test_more_sessions_than_processes(pcp):
    p = pcp(num_init_children=2)
    c = call(p)
    sessions = [p.raw() for _ in range(5)]
    count, *pids = c.ask("N")
    assert int(count) >= 5 and {str(w.pid) for w in sessions} <= set(pids)
    busy = {r[0] for r in c.processes() if r[16] == "Idle"}
    assert busy == {str(w.pid) for w in sessions}
    for w in sessions:
        w.bye()


def test_parameters(pcp, pair):
    p = pcp(backend_weight0=1, backend_weight1=3, health_check_user="h", connect_timeout="7s",
            log_min_messages="notice", health_check_password="hidden", sr_check_password="hidden",
            load_balance_mode=True, child_life_time="5min", memqcache_total_size="64MB",
            log_filename="x" * 3000)
    c = call(p)
    rows = c.table("B", word="ProcessConfig")
    names = [r[0] for r in rows]
    assert len(set(names)) == len(names) > 190 and all(len(r) == 3 for r in rows)
    v = c.settings()
    assert v["backend_clustering_mode"] == "1" and v["load_balance_mode"] == "1"
    assert v["ssl"] == "0" and v["log_min_messages"] == "18" and v["log_error_verbosity"] == "1"
    assert v["disable_load_balance_on_write"] == "2" and v["syslog_facility"] == "LOCAL0"
    assert v["child_life_time"] == "300" and v["memqcache_total_size"] == "67108864"
    assert v["connect_timeout"] == "7000" and v["unix_socket_permissions"] == "0777"
    assert v["pcp_port"] == str(p.pcp_address[1]) and v["reset_query_list"] == "ABORT;DISCARD ALL"
    assert v["health_check_password"] == v["sr_check_password"] == "*****"
    assert v["pool_passwd"] == "pool_passwd"
    assert "hidden" not in str(rows) and len(v["log_filename"]) == 1023
    assert names[-16:-8] == [f"{n}0" for n in (
        "backend_hostname", "backend_port", "backend_weight", "backend_data_directory",
        "backend_status", "standby_delay", "backend_flag", "backend_application_name")]
    assert v["backend_port1"] == str(pair[1].port) and v["backend_status1"] == "waiting"
    assert v["backend_weight0"] == "0.250000" and v["backend_weight1"] == "0.750000"
    assert set(v["backend_flag0"].split("|")) == {"ALWAYS_PRIMARY", "DISALLOW_TO_FAILOVER"}


def test_set_and_the_level_of_notices(pcp):
    p = pcp(backend_flag0="ALWAYS_PRIMARY|ALLOW_TO_FAILOVER")
    c = call(p)
    what = "PCP: set configuration parameter failed"
    failed(c.ask("A", "port", "7"), what, 'invalid parameter "port"')
    failed(c.ask("A", "client_min_messages", "loud"), what,
           'invalid value "loud" for parameter "client_min_messages"')
    assert c.ask("A").type == "E" and c.ask("A", "client_min_messages").type == "E"
    assert c.ask("A", "client_min_messages", "warning") == [] and c.answer_type == "a"
    assert c.ask("D", "0") == []                        # no notice before it
    assert c.ask("A", "CLIENT_MIN_MESSAGES", "NOTICE") == []
    assert c.ask("D", "0").type == "N" and c.read().type == "d"


# ---- what can be commanded --------------------------------------------------------------------

def ports(p, n=20):
    return {p.psql("SELECT current_setting('port')") for _ in range(n)}


def test_detach_drains_and_attach_brings_back(pcp, pair):
    p = pcp(backend_flag1="ALLOW_TO_FAILOVER")
    primary, replica = (str(node.port) for node in pair)
    c = call(p)
    assert ports(p, 3) == {replica}
    with p.connect() as idle, p.connect() as busy:
        port = lambda session: session.execute("SELECT current_setting('port')").fetchone()[0]
        assert port(idle) == replica
        busy.execute("BEGIN")
        assert port(busy) == replica
        for type_ in "Dd":
            assert c.ask(type_, "1") == [] and c.answer_type == "d"
        assert c.nodes("1")[0][2] == "3" and c.nodes("1")[0][4] == "up"
        assert port(idle) == primary and ports(p, 3) == {primary}
        assert port(busy) == replica                    # what is open there ends there
        busy.execute("COMMIT")
        assert port(busy) == primary
        assert c.ask("C", "1") == [] and c.answer_type == "c"
        assert c.nodes("1")[0][2] == "2"
        assert port(idle) == replica and ports(p, 3) == {replica}
    p.wait_log(r"pcp_child pid .*LOG:  node 1 \(.*\) was detached")
    p.wait_log(r"pcp_child pid .*LOG:  node 1 \(.*\) was attached")


def test_a_detached_node_is_not_chosen_by_name(pcp, pair):
    p = pcp(backend_flag1="ALLOW_TO_FAILOVER", database_redirect_preference_list="app:1")
    c = call(p)
    assert ports(p, 2) == {str(pair[1].port)}
    assert c.ask("D", "1") == []
    assert ports(p, 2) == {str(pair[0].port)}


def test_a_detached_primary_goes_on(pcp, pair):
    p = pcp(backend_flag0="ALWAYS_PRIMARY|ALLOW_TO_FAILOVER", backend_weight0=1, backend_weight1=1)
    c = call(p)
    failed(c.ask("D", "0"), "node 0 is the primary: it still serves what no other node can",
           severity="NOTICE")
    assert c.read() == Message("d", b"CommandComplete\0")
    assert ports(p) == {str(pair[1].port)}
    assert p.psql("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); SELECT * FROM t") == "1"
    assert c.ask("C", "0") == []
    assert ports(p, 40) == {str(node.port) for node in pair}


def test_where_failover_is_disallowed_nothing_is_detached(pcp):
    p = pcp()
    c = call(p)
    for type_ in "Dd":
        failed(c.ask(type_, "1"), "degenerate backend request for node_id: 1 from pid"
               f" [{p.pid}] is canceled because failover is disallowed on the node")
    assert c.nodes("1")[0][2] == "1"
    assert c.ask("C", "1") == []        # it is attached


@pytest.mark.parametrize("id_", ["2", "7", "-1", "127", "128", "-2147483648", "4294967296"])
def test_nodes_that_do_not_exist_are_neither_attached_nor_detached(pcp, id_):
    """Pgpool-II says yes to an attach, and throws all its connections away."""
    p = pcp()
    c = call(p)
    assert re.match(r"invalid failback request, node id: -?\d+ status: \[0\] is not valid for "
                    "failback", c.ask("C", id_).fields["M"])
    assert re.match(r"invalid degenerate backend request, node id : -?\d+ status: \[0\] is not "
                    "valid for failover", c.ask("D", id_).fields["M"])
    assert c.ask("C").type == c.ask("D").type == "E"


def test_what_belongs_to_others_is_refused(pcp):
    p = pcp()
    c = call(p)
    for type_ in "Jj":
        for mode in (b"n", b"s", b""):
            failed(c.ask(type_, "1 ", raw=mode), "invalid promote request",
                   "promoting and replacing servers is left to what runs PostgreSQL")
    failed(c.ask("O", "1"), "process recovery request failed",
           "making and repairing standbys is left to what runs PostgreSQL")
    failed(c.ask("W", "0"), "PCP: informing watchdog info failed", "watchdog is not enabled")
    failed(c.ask("G"), "query cache is not enabled")
    assert c.nodes("0")[0][6] == "2"


def test_log_rotation(pcp, tmp_path):
    c = call(pcp())
    for scope in (b"l", b"c", b""):
        failed(c.ask("V", raw=scope), "process log rotation request failed",
               "logging_collector is disabled")
    p = pcp(logging_collector=True, log_directory=str(tmp_path), log_filename="name.log")
    c = call(p)
    os.rename(tmp_path / "name.log", tmp_path / "old.log")
    assert c.ask("V", raw=b"l") == [] and c.answer_type == "v"
    c.ask("C", "9")
    wait_until(lambda: "invalid failback request" in (tmp_path / "name.log").read_text(),
               "the new file")


def test_reload(pcp):
    p = pcp(log_statement=False, connect_timeout="3s")
    c = call(p)
    for scope in (b"l", b"c", b""):
        assert c.ask("Z", raw=scope) == [] and c.answer_type == "z"
    p.write(connect_timeout="4s", max_pool=2)
    assert c.ask("Z", raw=b"l") == []
    assert c.settings()["connect_timeout"] == "4000"
    assert c.settings()["max_pool"] == "4"            # needs a restart
    p.write(connect_timeout="4 parsecs", child_life_time="never")
    m = c.ask("Z", raw=b"l")
    assert m.fields["M"] == "the configuration was not reloaded: nothing has changed"
    told = m.fields["D"].split("\n")
    assert len(told) == 2 and all(re.search(r"pgpool\.conf:\d+:\d+: ", line) for line in told)
    assert "connect_timeout" in m.fields["D"] and "child_life_time" in m.fields["D"]
    assert c.settings()["connect_timeout"] == "4000"
    p.write(connect_timeout="5s", child_life_time="300")
    assert c.ask("Z", raw=b"l") == []                   # what was told is forgotten
    assert c.settings()["connect_timeout"] == "5000"


def test_a_reload_of_bad_rules_is_told(pcp):
    p = pcp(enable_pool_hba=True, hba="host all all all trust\nlocal all all trust\n")
    c = call(p)
    p.hba = "host all all all nonsense\n"
    p.write()
    m = c.ask("Z", raw=b"l")
    assert m.fields["M"] == "pool_hba.conf was not reloaded, all other files were"
    assert "line 1" in m.fields["D"] and "nonsense" in m.fields["D"]
    p.wait_log("reload config files")
    assert p.psql("SELECT 1") == "1"                    # the old rules


def test_a_reload_in_the_middle_of_a_table(pcp):
    p = pcp(num_init_children=20000)
    slow = Pcp(p.pcp_address, receive_buffer=4096).login()
    slow.send(message("P", b"0\0"))
    assert slow.read().type == "p"
    assert call(p).ask("Z") == []
    rows = [slow.read() for _ in range(160000)]
    assert {m.type for m in rows} == {"p"} and slow.read().body == b"CommandComplete\0"


def test_requests_behind_a_reload_are_answered(pcp):
    """A reload uses the memory that they stand in."""
    p = pcp()
    c = call(p)
    c.send(message("Z", b"l") + message("I", b"0\0") + message("Z", b"l") + message("L"))
    assert [c.read().type for _ in range(6)] == list("ziiizl")


@pytest.mark.parametrize("mode", ["s", "f", "i"])
@pytest.mark.parametrize("type_", ["T", "t"])
def test_stop(pcp, mode, type_):
    p = pcp()
    c = call(p)
    w = p.raw()
    w.query("SELECT 1")
    failed(c.ask(type_, raw=b"x"), "PCP: error while processing shutdown request",
           'invalid shutdown mode "x"')
    assert c.ask(type_).fields["D"] == 'invalid shutdown mode " "'
    assert c.ask(type_, raw=mode.encode()) == [] and c.answer_type == "t"
    if mode == "s":                     # it waits for the session, and PCP is still there
        assert p.running and wire.value(w.query("SELECT 2")) == "2"
        assert call(p).processes(str(w.pid))[0][16] == "Idle"
        w.bye()
    assert p.wait() == 0
    assert c.eof() == []
    assert not os.path.exists(p.pcp_socket)
    number = {"s": signal.SIGTERM, "f": signal.SIGINT, "i": signal.SIGQUIT}[mode]
    p.wait_log(f"shutting down by signal {int(number)}")


def test_a_smart_stop_can_become_a_fast_one(pcp):
    p = pcp()
    w = p.raw()
    c = call(p)
    assert c.ask("T", raw=b"s") == []
    assert p.running and call(p).ask("T", raw=b"f") == []
    assert w.eof()[-1].code == "57P01"
    assert p.wait() == 0


def test_a_stop_does_not_wait_for_who_reads_nothing(pcp):
    p = pcp(num_init_children=20000)
    slow = Pcp(p.pcp_address, receive_buffer=4096).login()
    slow.send(message("P", b"0\0"))
    assert slow.read().type == "p"
    assert call(p).ask("T", raw=b"s") == []
    assert p.wait() == 0


# ---- listening --------------------------------------------------------------------------------

def test_a_port_that_is_taken_ends_the_start(pcp):
    p = pcp(start=False)
    with socket.socket() as s:
        s.bind(p.pcp_address)
        s.listen()
        p.launch()
        assert p.wait() == 3
    p.wait_log(r'FATAL:  failed to bind a socket: "127\.0\.0\.1:%d"' % p.pcp_address[1])
    assert not os.path.exists(p.socket)


def test_a_directory_that_is_not_there_is_a_warning(pcp):
    p = pcp(pcp_socket_dir="/nowhere")
    p.wait_log(r'WARNING:  failed to bind a socket: "/nowhere/\.s\.PGSQL\.\d+"')
    assert call(p).ask("L") == ["2"]


def test_a_socket_that_was_left_is_replaced(pcp):
    p = pcp(start=False)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(p.pcp_socket)
    p.start()
    assert Pcp(p.pcp_socket).login().ask("L") == ["2"]


def test_no_address_means_no_pcp(pcp):
    p = pcp(start=False, tcp=False)
    p.write(pcp_socket_dir="")
    p.start()
    assert not os.path.exists(p.pcp_socket) and p.psql("SELECT 1") == "1"
    with pytest.raises(OSError):
        Pcp(p.pcp_address)


def test_localhost_is_both_families(pcp):
    p = pcp(pcp_listen_addresses="localhost")
    assert call(p).ask("L") == ["2"]
    assert Pcp(("::1", p.pcp_address[1])).login().ask("L") == ["2"]


def test_without_descriptors_it_is_told(pcp):
    def few():
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    p = pcp(before=few)
    held = []
    try:
        while len(held) < 40:
            c = Pcp(p.pcp_address)
            held.append(c)
            c.send(message("M"))
            m = c.read()
            if m.type == "E":
                break
            assert c.prove(USER, PASSWORD, m.body).type == "r"      # or it would give its own up
        assert m.fields["C"] == "53300"
    finally:
        for c in held:
            c.shut()
    wait_until(lambda: not isinstance(tried(p), Exception), "descriptors")


# ---- Debian's pcp_ commands -------------------------------------------------------------------

@pytest.fixture
def tools(pcp, tmp_path):
    """tools(p, "pcp_node_info", ...) runs one; returns status, stdout, stderr."""
    if not shutil.which("pcp_node_info"):
        pytest.skip("package pgpool2 is not installed")
    secrets = tmp_path / "pcppass"
    secrets.write_text(f"*:*:{USER}:{PASSWORD}\n")
    secrets.chmod(0o600)

    def run(p, name, *args, host=None, secret=True):
        done = subprocess.run(
            [name, "-h", host or p.pcp_address[0], "-p", str(p.pcp_address[1]), "-U", USER, "-w",
             *args], text=True, capture_output=True, timeout=20,
            env={**os.environ, "PCPPASSFILE": str(secrets if secret else tmp_path / "none")})
        return done.returncode, done.stdout.strip(), done.stderr.strip()
    return run


@pytest.mark.skipif(pg.VERSION < 14, reason="a login does not tell the role")
def test_tools_that_look(pcp, tools, pair):
    p = pcp(num_init_children=2)
    p.psql("SELECT 1")
    assert tools(p, "pcp_node_count") == (0, "2", "")
    assert tools(p, "pcp_node_count", host=p.folder) == (0, "2", "")
    status, out, err = tools(p, "pcp_node_info")
    assert (status, err) == (0, "") and len(out.splitlines()) == 2
    for i, line in enumerate(out.splitlines()):
        assert line.startswith(f"127.0.0.1 {pair[i].port} ")
        assert " ".join(line.split()[3:8:2]) == ("0.000000 up primary", "1.000000 up standby")[i]
    status, out, err = tools(p, "pcp_node_info", "-v", "-n", "1")
    assert re.search(r"^Status Name +: up$", out, re.M) and err == ""
    assert tools(p, "pcp_proc_count") == (0, f"{wire.SESSION_PID} {wire.SESSION_PID + 1}", "")
    with p.raw() as w:
        w.query("SELECT 1")
        status, out, err = tools(p, "pcp_proc_info")
        assert out.startswith("app app ") and err == ""
        assert sum(f" {w.pid} " in line for line in out.splitlines()) == 2      # others are pooled
        everything = tools(p, "pcp_proc_info", "-a")[1].splitlines()
        assert len(everything) >= 2 * 4 * 2
        status, out, err = tools(p, "pcp_proc_info", "-v", "-P", str(w.pid))
        assert re.search(r"^Status +: Idle$", out, re.M)
    status, out, err = tools(p, "pcp_pool_status")
    assert re.search(r"^name : num_init_children\nvalue: 2\n", out, re.M) and err == ""
    assert re.search(r"^name : backend_application_name1$", out, re.M)
    status, out, err = tools(p, "pcp_health_check_stats", "-v", "-n", "1")
    assert re.search(rf"^Port +: {pair[1].port}$", out, re.M) and err == ""


def test_tools_that_command(pcp, tools):
    p = pcp(backend_flag1="ALLOW_TO_FAILOVER")
    p.psql("SELECT 1")
    assert tools(p, "pcp_detach_node", "-n", "1") == (
        0, "pcp_detach_node -- Command Successful", "")
    assert tools(p, "pcp_node_info", "-n", "1")[1].split()[2] == "3"
    assert tools(p, "pcp_attach_node", "-n", "1") == (
        0, "pcp_attach_node -- Command Successful", "")
    assert tools(p, "pcp_reload_config") == (0, "pcp_reload_config -- Command Successful", "")
    assert p.log_text().count("reload config files") == 1
    for name, error in (
            ("pcp_detach_node", "degenerate backend request for node_id: 0 from pid "),
            ("pcp_promote_node", "invalid promote request\nDETAIL:  promoting and replacing"),
            ("pcp_recovery_node", "process recovery request failed\nDETAIL:  making and repair"),
            ("pcp_watchdog_info", "PCP: informing watchdog info failed\nDETAIL:  watchdog is")):
        status, out, err = tools(p, name, *(["-n", "0"] if name != "pcp_watchdog_info" else []))
        assert (status, out) == (0, "") and err.startswith("ERROR:  " + error)
    p.write(connect_timeout="wrong")
    status, out, err = tools(p, "pcp_reload_config")
    assert out == "" and re.search(r"DETAIL:  .*pgpool\.conf:\d+:\d+: .*connect_timeout", err)
    assert tools(p, "pcp_stop_pgpool", "-m", "fast") == (
        0, "pcp_stop_pgpool -- Command Successful", "")
    assert p.wait() == 0


def test_tools_see_notices(pcp, tools):
    p = pcp(backend_flag0="ALWAYS_PRIMARY|ALLOW_TO_FAILOVER")
    assert tools(p, "pcp_detach_node", "-n", "0") == (
        0, "pcp_detach_node -- Command Successful", "")
    status, out, err = tools(p, "pcp_detach_node", "-d", "-n", "0")     # only then they are shown
    assert status == 0 and "NOTICE:  node 0 is the primary" in out + err


def test_tools_with_a_wrong_password(pcp, tools):
    p = pcp(pcp=f"{USER}:{md5('other')}\n")
    status, out, err = tools(p, "pcp_node_count")
    assert status == 1 and out == "" and "authentication failed for user" in err
