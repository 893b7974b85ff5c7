"""The log: what is written of clients, servers and statements, in which words, and where to."""

import os
import re
import socket
import stat
import time

import pytest

import pg
import wire
from wire import (bind, cancel_now, close, copy_data, copy_done, copy_fail, describe, execute,
                  flush, function_call, parse, query, sync, wait_until)

pytestmark = pytest.mark.proxy

QUIET = dict(log_per_node_statement=False)
SYSLOG = "/dev/log"


def said(p, pattern=r"."):
    """What the log says behind its prefix, of lines that the pattern is found in."""
    texts = (re.sub(r"^.*? pid \d+: ", "", line) for line in p.log)
    return [text for text in texts if re.search(pattern, text)]


def in_order(p, *texts):
    """The log has these one behind the other; waits for the last."""
    def there():
        lines, at = said(p), 0
        for text in texts:
            while at < len(lines) and lines[at] != text:
                at += 1
            if at == len(lines):
                return False
            at += 1
        return True
    try:
        wait_until(there, "lines")
    except AssertionError:
        raise AssertionError("\n".join(said(p)[-60:])) from None


def message_of(name, detail=None):
    lines = [f"LOG:  {name} message from frontend."]
    return lines + ([f"DETAIL:  {detail}"] if detail else [])


# ---- log_client_messages ----------------------------------------------------------------------

def test_messages_of_the_simple_protocol(proxy):
    p = proxy(log_client_messages=True, **QUIET)
    w = p.raw()
    w.query("SELECT 'one'")
    w.query("BEGIN")
    w.query("COMMIT")
    w.ask(function_call(1598, []))                              # random()
    w.ask(sync())
    w.bye()
    in_order(p, *message_of("Query", "query: \"SELECT 'one'\""),
             *message_of("Query", 'query: "BEGIN"'),
             *message_of("Query", 'query: "COMMIT"'), *message_of("FunctionCall", 'oid: "1598"'),
             *message_of("Sync"), *message_of("Terminate"))


def test_messages_of_the_extended_protocol(proxy):
    p = proxy(log_client_messages=True, **QUIET)
    w = p.raw()
    w.ask(parse("s", "SELECT 1") + describe("S", "s") + bind("p", "s") + describe("P", "p")
          + execute("p") + close("P", "p") + close("S", "s") + sync())
    w.send(parse("", "SELECT 2") + flush())
    w.until("1")
    w.ask(bind() + execute() + flush() + sync())
    w.bye()
    in_order(p, *message_of("Parse", 'statement: "s", query: "SELECT 1"'),
             *message_of("Describe", 'statement: "s"'),
             *message_of("Bind", 'portal: "p", statement: "s"'),
             *message_of("Describe", 'portal: "p"'), *message_of("Execute", 'portal: "p"'),
             *message_of("Close", 'portal: "p"'), *message_of("Close", 'statement: "s"'),
             *message_of("Sync"), *message_of("Parse", 'statement: "", query: "SELECT 2"'),
             *message_of("Flush"), *message_of("Bind", 'portal: "", statement: ""'),
             *message_of("Execute", 'portal: ""'), *message_of("Flush"), *message_of("Sync"),
             *message_of("Terminate"))


def test_messages_of_copy_are_counted(proxy):
    p = proxy(log_client_messages=True, **QUIET)
    w = p.raw()
    w.query("CREATE TEMP TABLE t (a int)")
    for end, name in ((copy_done(), "CopyDone"), (copy_fail("no more"), "CopyFail")):
        w.send(query("COPY t FROM STDIN"))
        w.until("G")
        w.ask(copy_data(b"1\n") + copy_data(b"2\n") + copy_data(b"3\n") + end)
        in_order(p, *message_of("Query", 'query: "COPY t FROM STDIN"'),
                 *message_of("CopyData", "count: 3"), *message_of(name))
    w.send(query("COPY t FROM STDIN"))
    w.until("G")
    w.ask(copy_done())
    w.bye()
    p.stop()
    assert len(said(p, "CopyData message")) == 2 and len(said(p, "CopyDone message")) == 2


def test_messages_of_copy_in_the_extended_protocol(proxy):
    p = proxy(log_client_messages=True, **QUIET)
    w = p.raw()
    w.query("CREATE TEMP TABLE t (a int)")
    w.ask(parse("", "COPY t FROM STDIN") + bind() + execute() + copy_data(b"1\n")
          + copy_data(b"2\n") + copy_done() + sync())
    in_order(p, *message_of("CopyData", "count: 2"), *message_of("CopyDone"), *message_of("Sync"))


def test_cancel_is_logged(proxy):
    p = proxy(log_client_messages=True, **QUIET)
    w = p.raw()
    w.send(query("SELECT pg_sleep(30)"))
    wait_until(lambda: said(p, "pg_sleep"), "statement")
    def canceled():
        cancel_now(p.address, w.pid, w.key)
        return not w.silent(0.2)
    wait_until(canceled, "cancel")
    assert w.reply()[-1].type == "Z"
    in_order(p, *message_of("Cancel", f"process id: {w.pid}"))


def test_what_goes_to_the_primary_after_all_is_logged_once(proxy, primary):
    """A replica refuses the function's write, the primary runs it."""
    p = proxy(log_client_messages=True, log_statement=True)
    primary.su("CREATE OR REPLACE FUNCTION public.log_writes() RETURNS int LANGUAGE plpgsql AS "
               "$$ BEGIN CREATE TEMP TABLE log_t (a int); RETURN 1; END $$")
    try:
        p.reload(read_only_function_list="log_writes,pg_is_in_recovery")
        primary.catch_up(p.nodes[1])
        w = p.raw()
        assert wire.value(w.query("SELECT log_writes()")) == "1"
        w.bye()
    finally:
        primary.su("DROP FUNCTION public.log_writes()")
    assert len(said(p, "DB node id: [01] .* statement: SELECT log_writes")) >= 2
    assert len(said(p, "^LOG:  statement: SELECT log_writes")) == 1
    assert len(said(p, "Query message")) == 1


def test_messages_after_an_error_are_logged(proxy):
    p = proxy(log_client_messages=True, **QUIET)
    w = p.raw()
    w.ask(parse("", "SELECT nonsense") + bind() + execute() + sync())
    in_order(p, *message_of("Parse", 'statement: "", query: "SELECT nonsense"'),
             *message_of("Bind", 'portal: "", statement: ""'), *message_of("Sync"))


def test_a_message_of_any_length_is_logged(proxy):
    p = proxy(log_client_messages=True, log_statement=True)
    w = p.raw()
    for n in (5000, 70000, 1000000):
        text = "SELECT 'begin" + "x" * n + "'"
        assert len(wire.value(w.query(text))) == n + 5
        assert len(wire.value(w.ask(wire.extended(text) + sync()))) == n + 5
    assert len(said(p, "DETAIL:  query: \"SELECT 'beginx")) == 3
    assert len(said(p, "DETAIL:  statement: \"\", query: \"SELECT 'beginx")) == 3
    assert max(map(len, p.log)) < 10000


def test_client_messages_by_reload(proxy):
    p = proxy(**QUIET)
    w = p.raw()
    w.query("SELECT 'before'")
    p.reload(log_client_messages=True)
    w.query("SELECT 'between'")
    p.reload(log_client_messages=False)
    w.query("SELECT 'after'")
    p.stop()
    assert said(p, "query: ") == ["DETAIL:  query: \"SELECT 'between'\""]


# ---- log_backend_messages ---------------------------------------------------------------------

@pytest.mark.parametrize("mode, rows", [
    ("verbose", ["LOG:  DataRow message from backend 1"] * 3),
    ("terse", ["LOG:  DataRow message from backend 1",
               "LOG:  last DataRow message from backend 1 repeated 2 times"]),
    ("none", None)])
def test_backend_messages(proxy, mode, rows):
    p = proxy(log_backend_messages=mode, **QUIET)
    w = p.raw()
    sql = "SELECT generate_series(1, 3)"
    w.query("SELECT 1")
    mark = len(said(p))
    w.query(sql)
    w.ask(wire.extended(sql) + sync())
    w.bye()
    p.stop()
    got = [line for line in said(p)[mark:] if "backend 1" in line]
    if not rows:
        assert not said(p, "from backend")
        return
    want = (["RowDescription"], rows, ["CommandComplete", "ReadyForQuery"],
            ["ParseComplete", "BindComplete", "RowDescription"], rows,
            ["CommandComplete", "ReadyForQuery"])
    texts = [t if " " in t else f"LOG:  {t} message from backend 1" for part in want for t in part]
    assert got[:len(texts)] == texts


def test_backend_messages_of_a_login(proxy):
    p = proxy(log_backend_messages="terse", **QUIET)
    p.raw(application_name="me").query("SELECT 1")
    for name in ("AuthenticationRequest", "ParameterStatus", "BackendKeyData", "ReadyForQuery"):
        p.wait_log(f" me pid .*LOG:  {name} message from backend 0$")
    p.wait_log(r"LOG:  last ParameterStatus message from backend 0 repeated \d+ times$")


def test_backend_messages_of_all_kinds(proxy):
    p = proxy(log_backend_messages="verbose", **QUIET)
    w = p.raw()
    w.query("CREATE TEMP TABLE t (a int)")
    w.send(query("COPY t FROM STDIN"))
    w.until("G")
    w.ask(copy_data(b"1\n") + copy_done())
    w.query("COPY t TO STDOUT")
    w.query("")
    w.query("SELECT nonsense")
    w.query("DO $$ BEGIN RAISE NOTICE 'hm'; END $$")
    w.query("LISTEN log_x; NOTIFY log_x")
    w.query("SET application_name = 'other'")
    w.ask(function_call(1598, []))
    w.ask(parse("s", "SELECT $1::int") + describe("S", "s") + close("S", "s") + sync())
    w.ask(parse("", "INSERT INTO t VALUES (1), (2)") + bind() + describe("P") + execute() + sync())
    w.query("BEGIN")
    w.ask(parse("", "SELECT a FROM t") + bind() + execute("", 1) + sync())
    w.query("COMMIT")
    for name in ("CopyInResponse", "CopyOutResponse", "CopyData", "CopyDone", "EmptyQueryResponse",
                 "ErrorResponse", "NoticeResponse", "NotificationResponse", "ParameterStatus",
                 "FunctionCallResponse", "ParameterDescription", "CloseComplete", "NoData",
                 "PortalSuspended"):
        p.wait_log(f"LOG:  {name} message from backend [01]$")
    assert not said(p, "Unknown message")


def test_long_replies_count_each_row(proxy):
    """Rows that come in pieces, and that are longer than any buffer."""
    p = proxy(log_backend_messages="terse", **QUIET)
    w = p.raw()
    sql = "SELECT i, repeat('x', 5000) FROM generate_series(1, 1000) i"
    assert len(wire.rows(w.query(sql))) == 1000
    p.wait_log("last DataRow message from backend 1 repeated 999 times")
    assert len(wire.rows(w.query("SELECT repeat('x', 300000) FROM generate_series(1, 5) i"))) == 5
    p.wait_log("last DataRow message from backend 1 repeated 4 times")


def test_backend_messages_by_reload(proxy):
    p = proxy(**QUIET)
    w = p.raw()
    w.query("SELECT 1")
    p.reload(log_backend_messages="verbose")
    w.query("SELECT 2")
    p.wait_log("LOG:  ReadyForQuery message from backend 1")
    p.reload(log_backend_messages="none")
    n = len(said(p, "from backend"))
    w.query("SELECT 3")
    p.stop()
    assert len(said(p, "DataRow message from backend")) == 1 and len(said(p, "from backend")) == n


# ---- statements -------------------------------------------------------------------------------

def test_errors_and_notices_with_their_statements(proxy):
    p = proxy()
    w = p.raw()
    w.query("DO $$ BEGIN RAISE NOTICE 'listen'; END $$")
    w.query("SELECT * FROM nowhere")
    w.ask(wire.extended("SELECT 1 / $1::int", ["0"]) + sync())
    complaint = "LOG:  pool_send_and_wait: Error or notice message from backend: DB node id: 0 " \
                r"backend pid: \d+ statement: "
    p.wait_log(complaint + r'"DO \$\$ BEGIN RAISE NOTICE \'listen\'; END \$\$" message: "listen"$')
    p.wait_log(complaint + r'"SELECT \* FROM nowhere" message: '
               r'"relation "nowhere" does not exist"$')
    p.wait_log(complaint + r'"SELECT 1 / \$1::int" message: "division by zero"$')
    w.ask(wire.extended("SELECT 1") + wire.extended("SELECT 2 / 0") + wire.extended("SELECT 3")
          + sync())
    p.wait_log('statement: "SELECT 1; SELECT 2 / 0; SELECT 3" message: "division by zero"$')
    long = "SELECT '" + "x" * 10000 + "' / 1"
    w.query(long)
    p.wait_log('"SELECT \'x{4000,}" message: ')
    p.reload(log_per_node_statement=False)
    n = len(said(p, "pool_send_and_wait"))
    w.query("SELECT * FROM nowhere")
    p.stop()
    assert len(said(p, "pool_send_and_wait")) == n


def test_extended_messages_per_node(proxy):
    p = proxy()
    w = p.raw()
    w.ask(parse("s", "SELECT 1") + bind("", "s") + describe("P") + execute() + close("S", "s")
          + sync())
    for what in ("Parse: SELECT 1", "Bind: SELECT 1", "D message", "Execute: SELECT 1", "C message",
                 "Sync"):
        p.wait_log(rf"LOG:  DB node id: 1 backend pid: \d+ statement: {what}$")


def test_what_cannot_be_parsed(proxy):
    p = proxy()
    w = p.raw()
    port = w.sock.getsockname()[1]
    w.query("frobnicate the database")
    p.wait_log('LOG:  Unable to parse the query: "frobnicate the database" from client '
               rf'127\.0\.0\.1\({port}\)$')
    w.query("SELECT 'open")
    p.wait_log("LOG:  Unable to parse the query: \"SELECT 'open\" from client ")
    w.ask(wire.extended("frobnicate again") + sync())
    p.wait_log('LOG:  Unable to parse the query: "frobnicate again" from client ')
    p.raw(address=p.socket).query("frobnicate here")
    p.wait_log('LOG:  Unable to parse the query: "frobnicate here" from local client$')


def test_why_a_statement_is_not_balanced(proxy):
    p = proxy(log_min_messages="debug1")
    w = p.raw()
    w.query("CREATE TEMP TABLE log_t (a int)")
    for sql, why in (("SELECT set_config('a.b', 'c', false)", "writing functions are used"),
                     ("SELECT relname FROM pg_class LIMIT 1", "systems catalogs are used"),
                     ("SELECT a FROM log_t", "temporary tables are used")):
        w.query(sql)
        in_order(p, f"DEBUG:  could not load balance because {why}",
                 f'DETAIL:  destination = 0 for query= "{sql}"')


def test_notices_obey_client_min_messages(proxy):
    p = proxy(notice_per_node_statement=True, client_min_messages="warning",
              log_min_messages="notice")
    w = p.raw()
    assert "N" not in wire.types(w.query("SELECT 1"))
    p.wait_log("NOTICE:  DB node id: 1 statement: SELECT 1")
    p.reload(client_min_messages="notice", log_min_messages="warning")
    n = len(said(p, "NOTICE:"))
    notices = [m for m in w.query("SELECT 2") if m.type == "N"]
    assert notices[0].fields["M"] == "DB node id: 1 statement: SELECT 2"
    assert len(said(p, "NOTICE:")) == n


def test_the_log_of_a_session_is_told_to_its_client_if_it_asks_for_that(proxy):
    """client_min_messages = log, or below it, as in PostgreSQL."""
    p = proxy(log_statement=True, log_per_node_statement=True, log_client_messages=True,
              client_min_messages="log")

    def told(sql):
        return [(m.fields["S"], m.fields["M"], m.fields.get("D")) for m in p.session.query(sql)
                if m.type == "N"]
    p.session = p.raw()
    asked, run, sent = told("SELECT 1")
    assert asked == ("LOG", "Query message from frontend.", 'query: "SELECT 1"')
    assert run == ("LOG", "statement: SELECT 1", None)
    assert sent[0] == "LOG" and sent[1].startswith("DB node id: 1 backend pid: ")
    for start in range(4):          # they are cut between two characters
        long = told("SELECT '" + "x" * start + "€" * 9000 + "'")
        assert len(long) == 3 and long[1][1].endswith("€") and long[0][2].endswith('€"')
    for level, count in (("notice", 0), ("debug5", 3), ("error", 0)):
        p.reload(client_min_messages=level)
        assert len(told("SELECT 1")) == count


# ---- verbosity --------------------------------------------------------------------------------

def test_verbosity(proxy):
    p = proxy(log_client_messages=True, log_error_verbosity="verbose", **QUIET)
    w = p.raw()
    w.query("SELECT 'first'")
    in_order(p, "DETAIL:  query: \"SELECT 'first'\"")
    p.wait_log(r"pid \d+: LOCATION:  trace\.c:\d+$")
    p.reload(log_error_verbosity="default")
    n = len(said(p, "LOCATION"))
    w.query("SELECT 'second'")
    in_order(p, "DETAIL:  query: \"SELECT 'second'\"")
    p.reload(log_error_verbosity="terse")
    w.query("SELECT 'third'")
    p.stop()
    assert len(said(p, "LOCATION")) == n
    assert len(said(p, "Query message")) == 3 and len(said(p, "DETAIL:  query")) == 2


# ---- start -------------------------------------------------------------------------------------

@pytest.mark.skipif(pg.VERSION < 14, reason="a login does not tell the role")
def test_what_is_told_at_start(proxy):
    p = proxy()
    in_order(p, "LOG:  listen address[0]: 127.0.0.1", f"LOG:  Setting up socket for 127.0.0.1:{p.port}",
             f"LOG:  create socket files[0]: {p.socket}", "LOG:  find_primary_node: primary node is 0")
    p.wait_log(r"LOG:  pgpool-II successfully started\. version \S+ \(\S+\)$")
    p.raw().query("SELECT 1")
    p.wait_log("LOG:  find_primary_node: standby node is 1$")


# ---- connections ------------------------------------------------------------------------------

def test_connections_by_reload(proxy):
    p = proxy(**QUIET)
    p.raw().bye()
    p.reload(log_connections=True)
    w = p.raw(address=p.socket)
    p.wait_log(r" child pid \d+: LOG:  new connection received$")
    p.wait_log(r"DETAIL:  connecting host=\[local\]$")
    p.reload(log_connections=False, log_disconnections=True)
    w.bye()
    p.wait_log(r"frontend disconnection: .* user=app database=app host=\[local\]$")
    assert len(said(p, "new connection received")) == 1 and len(said(p, "disconnection")) == 1


def test_log_hostname(proxy):
    name = socket.getnameinfo(("127.0.0.1", 0), 0)[0]
    p = proxy(log_hostname=True, log_connections=True, log_disconnections=True, **QUIET)
    w = p.raw()
    port = w.sock.getsockname()[1]
    p.wait_log(rf"DETAIL:  connecting host={name} port={port}$")
    w.bye()
    p.wait_log(rf"frontend disconnection: .* host={name} port={port}$")
    p.raw(address=p.socket).bye()
    p.wait_log(r"DETAIL:  connecting host=\[local\]$")
    p.reload(log_hostname=False)
    w = p.raw()
    p.wait_log(rf"DETAIL:  connecting host=127\.0\.0\.1 port={w.sock.getsockname()[1]}$")


def test_log_hostname_of_many_that_come_and_go(proxy):
    p = proxy(log_hostname=True, log_connections=True, log_disconnections=True, **QUIET)
    before = len(said(p, "connecting host="))
    socks = [socket.create_connection(p.address) for _ in range(200)]
    for s in socks:
        s.close()
    wait_until(lambda: len(said(p, "connecting host=")) >= before + 200, "200 lines")
    assert p.one("SELECT 1") == 1


# ---- files ------------------------------------------------------------------------------------

def folder_of(p):
    return f"{p.folder}/logs"


def files(p):
    return sorted(os.listdir(folder_of(p))) if os.path.exists(folder_of(p)) else []


def content(p, name=None):
    with open(f"{folder_of(p)}/{name or files(p)[-1]}") as f:
        return f.read()


def collecting(proxy, **params):
    how = dict(logging_collector=True, log_directory="logs", log_statement=True, **QUIET)
    return proxy(**{**how, **params})


def hup(p, pattern, **params):
    """A reload of a proxy whose log is elsewhere: until pattern is found in what read() says."""
    p.write(**params)
    p.send_signal(1)
    wait_until(pattern, "reload")


def test_logging_collector(proxy):
    p = collecting(proxy)
    p.raw().query("SELECT 'collected'")
    wait_until(lambda: files(p) and "SELECT 'collected'" in content(p), "log file")
    assert len(files(p)) == 1 and re.fullmatch(r"pgpool-\d{4}-\d\d-\d\d_\d{6}\.log", files(p)[0])
    assert stat.S_IMODE(os.stat(folder_of(p)).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{folder_of(p)}/{files(p)[0]}").st_mode) == 0o600
    assert p.log_text() == ""
    assert "successfully started" in content(p)


def test_names_and_modes_of_files(proxy):
    p = collecting(proxy, log_filename="%%x-%Y.log", log_file_mode="0644",
                   before=lambda: os.umask(0o077))
    name = time.strftime("%%x-%Y.log")
    wait_until(lambda: files(p) == [name], "log file")
    assert stat.S_IMODE(os.stat(f"{folder_of(p)}/{name}").st_mode) == 0o644


def test_a_file_is_appended_to_by_the_next_start(proxy):
    p = collecting(proxy, log_filename="one.log")
    assert p.stop() == 0
    first = content(p, "one.log")
    p.start()
    assert content(p, "one.log").startswith(first) and len(content(p, "one.log")) > len(first)


def test_rotation_by_size(proxy):
    p = collecting(proxy, log_rotation_size=64, log_rotation_age=0)
    w = p.raw()
    def grown():
        for _ in range(10):
            w.query("SELECT '" + "x" * 7000 + "'")
        return len(files(p)) > 2
    wait_until(grown, "rotation", 20)
    sizes = [os.path.getsize(f"{folder_of(p)}/{name}") for name in files(p)]
    assert all(size >= 64 * 1024 for size in sizes[:-1])


def test_a_full_file_whose_successor_has_its_name_goes_on(proxy):
    p = collecting(proxy, log_rotation_size=8, log_filename="one.log",
                   log_truncate_on_rotation=True)
    w = p.raw()
    for i in range(20):
        w.query(f"SELECT {i}, '" + "x" * 2000 + "'")
    wait_until(lambda: "SELECT 19," in content(p), "log")
    assert files(p) == ["one.log"] and "SELECT 0," in content(p)


def test_files_by_reload(proxy):
    p = collecting(proxy, log_filename="one.log")
    w = p.raw()
    hup(p, lambda: files(p) == ["one.log", "two.log"] and "reload config" in content(p, "two.log"),
        log_filename="two.log", log_file_mode="0640")
    assert stat.S_IMODE(os.stat(f"{folder_of(p)}/two.log").st_mode) == 0o640
    w.query("SELECT 'second file'")
    wait_until(lambda: "second file" in content(p, "two.log"), "line")
    assert "second file" not in content(p, "one.log")
    other = f"{p.folder}/other"
    hup(p, lambda: os.path.exists(f"{other}/two.log"), log_directory=other)


def test_a_moved_file_is_left_by_reload(proxy):
    p = collecting(proxy, log_filename="one.log", log_rotation_size=1)
    w = p.raw()
    os.rename(f"{folder_of(p)}/one.log", f"{folder_of(p)}/old.log")
    def there():
        w.query("SELECT '" + "x" * 2000 + "'")
        return "one.log" in files(p)
    wait_until(there, "new file")


def test_a_directory_that_cannot_be_written(proxy):
    p = collecting(proxy, log_directory="/proc/nowhere")
    p.wait_log('WARNING:  could not open a log file in "/proc/nowhere": ')
    p.wait_log("DETAIL:  the log goes to stderr")
    p.raw().query("SELECT 'on stderr'")
    p.wait_log("statement: SELECT 'on stderr'")
    hup(p, lambda: files(p) and "reload config" in content(p), log_directory="logs")
    p.raw().query("SELECT 'in a file'")
    wait_until(lambda: "SELECT 'in a file'" in content(p), "line")
    assert not said(p, "in a file")


def test_a_full_disk_does_not_stop_the_proxy(proxy):
    """/dev/full takes nothing: the records go to stderr."""
    p = collecting(proxy, log_directory="/dev", log_filename="full")
    w = p.raw()
    assert wire.value(w.query("SELECT 'all the same'")) == "all the same"
    p.wait_log("statement: SELECT 'all the same'")


# ---- syslog -----------------------------------------------------------------------------------

@pytest.fixture
def syslog():
    """A socket of this test's own, where there is no syslog and it may be one."""
    if os.path.exists(SYSLOG):
        pytest.skip("there is a syslog")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        s.bind(SYSLOG)
    except OSError:
        s.close()
        pytest.skip("/dev/log cannot be made")
    s.settimeout(10)
    try:
        yield s
    finally:
        s.close()
        os.unlink(SYSLOG)


def received(s, pattern):
    while True:
        text = s.recv(65536).decode()
        if re.search(pattern, text):
            return text


def test_syslog(proxy, syslog):
    p = proxy(log_destination="syslog", log_statement=True, syslog_facility="LOCAL3",
              syslog_ident="balancer", log_line_prefix="%u ", **QUIET)
    w = p.raw()
    w.query("SELECT 'to syslog'")
    text = received(syslog, "to syslog")
    assert re.fullmatch(rf"<158>\w{{3}} [ \d]\d \d\d:\d\d:\d\d balancer\[{p.pid}\]: \[\d+\] "
                        r"app LOG:  statement: SELECT 'to syslog'", text), text
    w.query("SELECT '" + "y" * 3000 + "',\n'end'")
    pieces = [received(syslog, r"y|end") for _ in range(5)]
    assert all(re.search(rf"\[\d+-{i}\] ", piece) and len(piece) < 1024
               for i, piece in enumerate(pieces, 1)), pieces
    assert sum(piece.split("] ")[1].count("y") for piece in pieces) == 3000
    assert p.log_text() == ""


def test_both_destinations_and_reload(proxy, syslog):
    p = proxy(log_destination="stderr,syslog", log_statement=True, **QUIET)
    w = p.raw()
    w.query("SELECT 'both'")
    received(syslog, "SELECT 'both'")
    p.wait_log("SELECT 'both'")
    p.reload(log_destination="stderr", syslog_facility="LOCAL7")
    w.query("SELECT 'one'")
    p.wait_log("SELECT 'one'")
    p.write(log_destination="syslog")
    p.send_signal(1)
    assert received(syslog, "SELECT 'one'|reload config files").startswith("<190>")


def test_a_syslog_that_does_not_read_stops_nobody(proxy, syslog):
    p = proxy(log_destination="syslog", log_statement=True, **QUIET)
    w = p.raw()
    for _ in range(2000):
        assert wire.errors(w.query("SELECT '" + "x" * 700 + "'")) == []


def test_without_syslog_there_is_stderr(proxy):
    if os.path.exists(SYSLOG):
        pytest.skip("there is a syslog")
    p = proxy(log_destination="syslog", log_statement=True, **QUIET)
    p.raw().query("SELECT 'fallback'")
    p.wait_log("statement: SELECT 'fallback'")
    assert len(said(p, 'WARNING:  could not reach syslog at "/dev/log"')) == 1


def test_slow_statements_are_logged_with_their_parts(proxy, primary):
    p = proxy(log_per_node_statement=False, log_min_duration_statement=50)
    with p.raw() as w:
        since = len(p.log)
        w.query("SELECT 'quick'")
        w.query("SELECT pg_sleep(0.06), 'slow'")
        w.ask(parse("", "SELECT pg_sleep($1), 'prepared'") + bind(params=["0.07"]) + execute() + sync())
        p.wait_log(r"duration: \d{2,}\.\d{3} ms  DB node id: 0 backend pid: \d+ statement: "
                   r"SELECT pg_sleep\(0.06\), 'slow'", since)
        p.wait_log(r"duration: \d{2,}\.\d{3} ms .* statement: SELECT pg_sleep\(\$1\), 'prepared'", since)
        p.wait_log(r"It waited \d+ ms, PostgreSQL took \d{2,}\.\d{3} ms, and the client 0.000 ms", since)
        assert not any("'quick'" in line for line in p.log[since:])
        since = len(p.log)
        w.send(query("/*NO LOAD BALANCE*/ SELECT repeat('x', 1000000) FROM generate_series(1, 30)"))
        wait_until(lambda: primary.backends("wait_event = 'ClientWrite'"), "the client does not read")
        w.reply()
        p.wait_log(r"and the client (?!0\.000)\d+\.\d{3} ms", since)
        since = len(p.log)
        w.send(query("/*NO LOAD BALANCE*/ SELECT repeat('x', 1000000) FROM generate_series(1, 30)")
               + query("/*NO LOAD BALANCE*/ SELECT 'behind', pg_sleep(0.05)"))
        wait_until(lambda: primary.backends("wait_event = 'ClientWrite'"), "the client does not read")
        w.reply(2)
        p.wait_log("duration: .*'behind'", since)
        behind = next(i for i, line in enumerate(p.log) if i >= since and "'behind'" in line)
        p.wait_log(r"and the client (?!0\.000)\d+\.\d{3} ms", behind)
        since = len(p.log)
        w.send(query("/*NO LOAD BALANCE*/ SELECT pg_sleep(0.3)") + query("/*NO LOAD BALANCE*/ SELECT 'waited'"))
        w.reply(2)
        p.wait_log("duration: .*'waited'", since)
        behind = next(i for i, line in enumerate(p.log) if i >= since and "'waited'" in line)
        p.wait_log(r"It waited [23]\d\d ms, PostgreSQL took (\d|\d\d|1\d\d)\.", behind)
        w.query("PGPOOL SET log_min_duration_statement = 0")
        w.query("SELECT 'all of them'")
        p.wait_log("duration: .*'all of them'", since)
