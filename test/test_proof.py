"""What proves who a client is, and for how long: logins to PostgreSQL, entries that auth_query fetched,
what a node may ask the proxy for, and what is told to somebody who has proved nothing."""

import contextlib
import hashlib
import struct
import threading
import time

import pytest

import wire
from ca import self_signed
from fake import OK, READY, row, sasl
from pg import wait_until
from test_auth import SECRET, WRONG, asked, entry, refused, verifier, works
from test_failure import BY_ROLE
from test_tls_backend import ScramServer
from wire import LoginError, cstring, extended, message, sync

pytestmark = pytest.mark.proxy

FAST = dict(node_probe_period=50)
PORT = "SELECT current_setting('port')"
PASSWORD_RULE = "host all all all password\n"

HBA = """
local all all trust
host all postgres 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
host all trusted,leaver 127.0.0.1/32 trust
host all all 127.0.0.1/32 {}
"""


@pytest.fixture(scope="module")
def nodes(shop):
    """They ask everybody but `trusted` for SCRAM."""
    primary, replica = pair = shop.pair(log_connections=True)
    primary.su(f"CREATE ROLE trusted LOGIN PASSWORD '{SECRET}'; CREATE ROLE asker LOGIN PASSWORD 'asks';"
               f"CREATE ROLE boss LOGIN SUPERUSER PASSWORD '{SECRET}'")
    primary.su("GRANT SELECT ON pg_authid TO asker; CREATE SEQUENCE questions;"
               "GRANT USAGE ON questions TO asker", dbname="postgres")
    primary.catch_up(replica)
    for node in pair:
        ask(node, "scram-sha-256")
    yield pair
    for node in reversed(pair):
        node.remove()


def ask(node, method):
    node.rules(HBA.format(method))
    node.reload()


@pytest.fixture
def guest(nodes):
    """A role that tests may change, made anew; guest(change) alters it directly."""
    primary, replica = nodes
    primary.su(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'")
    primary.catch_up(replica)
    yield lambda change: primary.su(f"ALTER ROLE guest {change}")

    def alone():
        primary.su("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'")
        return not primary.backends("usename = 'guest'")
    wait_until(alone, "the end of guest's sessions")
    primary.su("DROP ROLE IF EXISTS guest")


@pytest.fixture
def front(proxy, nodes):
    return lambda **how: proxy(nodes=nodes, **how)


@pytest.fixture
def asks(front):
    """A proxy that fetches entries, and counts its questions."""
    def start(rule="scram-sha-256", passwd="", **how):
        return front(auth_user="asker", passwd="asker:asks\n" + passwd, enable_pool_hba=True,
                     hba=f"host all all all {rule}\n",
                     auth_query="SELECT rolname, rolpassword, extract(epoch FROM rolvaliduntil)"
                                " FROM pg_authid, nextval($$public.questions$$) WHERE rolname = $1"
                                " AND rolcanlogin", **how)
    return start


def questions(nodes):
    return nodes[0].su("SELECT last_value FROM questions", dbname="postgres")[0][0]


def opens(p, user, password, code="28P01"):
    try:
        p.raw(user=user, password=password).bye()
        return True
    except LoginError as e:
        assert e.code == code, e.fields
        return False


# ---- a login to PostgreSQL as a proof ---------------------------------------------------------

def test_a_node_that_trusts_the_proxy_proves_no_password(front, nodes):
    p = front(enable_pool_hba=True, hba=PASSWORD_RULE)
    for secret in (SECRET, WRONG):
        e = refused(p, user="trusted", password=secret)
        assert "D" not in e and "H" not in e
    p.wait_log("PostgreSQL did not ask for the password, so nothing proves it: add an entry to"
               " pool_passwd")
    wait_until(lambda: not nodes[0].backends("usename = 'trusted'"), "the end of what was tried")
    p.passwd = entry("text", "trusted")
    p.reload()
    works(p.raw(user="trusted", password=SECRET), "trusted")
    refused(p, user="trusted", password=WRONG)


@pytest.mark.parametrize("kind", ["md5", "scram", "text"])
def test_an_entry_proves_a_password_whatever_the_node_asks(front, nodes, kind):
    p = front(enable_pool_hba=True, hba=PASSWORD_RULE, passwd=entry(kind, "trusted") + entry(kind, "boss"))
    for user in ("trusted", "boss"):
        for _ in range(2):
            refused(p, user=user, password=WRONG)
            w = p.raw(user=user, password=SECRET)
            works(w, user)
            w.bye()
    wait_until(lambda: not nodes[0].backends("usename = 'trusted' AND state = 'active'"),
               "nothing left that runs")


def test_a_node_that_begins_to_trust_proves_no_more_passwords(front, nodes, guest):
    """pool_hba off: who is asked must prove it; from then on nobody is asked."""
    p = front(allow_clear_text_frontend_auth=True)
    assert asked(p.raw(user="guest", password=SECRET)) == [3]
    try:
        ask(nodes[0], "trust")
        refused(p, user="guest", password=WRONG)
        assert asked(p.raw(user="guest")) == []
    finally:
        ask(nodes[0], "scram-sha-256")


@pytest.mark.parametrize("trusting", [0, 1], ids=["primary", "replica"])
def test_only_the_primary_proves(front, nodes, guest, trusting):
    try:
        ask(nodes[trusting], "trust")
        p = front(enable_pool_hba=True, hba=PASSWORD_RULE)
        refused(p, user="guest", password=WRONG)
        if trusting:
            w = p.raw(user="guest", password=SECRET)
            assert wire.value(w.query(PORT)) == str(nodes[1].port)
            refused(p, user="guest", password=WRONG)
        else:
            refused(p, user="guest", password=SECRET)
    finally:
        ask(nodes[trusting], "scram-sha-256")


def test_a_pooled_connection_proves_nothing(front, nodes, guest):
    """Nor does one that is on its way back to the pool while a wrong password waits."""
    p = front(allow_clear_text_frontend_auth=True, num_init_children=1, max_pool=1)
    w = p.raw(user="guest", password=SECRET)
    works(w, "guest")
    out = []

    def try_it():
        try:
            p.raw(user="guest", password=WRONG)
        except LoginError as e:
            out.append(e.code)

    t = threading.Thread(target=try_it)
    t.start()
    w.bye()
    t.join()
    assert out == ["28P01"]


STATEMENTS = {
    "role": "ALTER ROLE guest PASSWORD 'another'",
    "user": "alter user guest with encrypted password 'another'",
    "comment": "/* x */ ALTER /* y */ ROLE \"guest\" PASSWORD 'another'",
    "anew": "DROP ROLE guest; CREATE ROLE guest LOGIN PASSWORD 'another'",
    "transaction": "BEGIN; ALTER ROLE guest PASSWORD 'another'; COMMIT",
}


def change(p, sql, extended_=False):
    """As boss, through the proxy."""
    with p.raw(user="boss", password=SECRET) as w:
        out = w.ask(extended(sql) + sync()) if extended_ else w.query(sql)
        assert wire.errors(out) == []


@pytest.mark.parametrize("sql", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_password_that_is_altered_through_the_proxy_counts_no_more(front, guest, sql):
    p = front(allow_clear_text_frontend_auth=True)
    assert opens(p, "guest", SECRET)
    change(p, sql)
    assert not opens(p, "guest", SECRET)
    assert opens(p, "guest", "another")


def test_what_postgresql_said_counts_for_half_a_minute(front, nodes, guest):
    """A password that was right, and that it asked for none, with connections in the pool."""
    proved = front(allow_clear_text_frontend_auth=True)
    trusting = front()
    proved.raw(user="guest", password=SECRET).bye()
    assert asked(trusting.raw(user="trusted")) == []
    nodes[0].su("CREATE ROLE leaver LOGIN")
    assert opens(trusting, "leaver", "")
    nodes[0].su("DROP ROLE leaver")
    guest("PASSWORD 'another'")
    nodes[0].rules(HBA.format("scram-sha-256").replace("trusted,leaver 127.0.0.1/32 trust",
                                                       "trusted 127.0.0.1/32 scram-sha-256\n"
                                                       "host all leaver 127.0.0.1/32 trust"))
    nodes[0].reload()
    try:
        assert opens(proved, "guest", "another") and opens(proved, "guest", "another")
        wait_until(lambda: not opens(proved, "guest", SECRET), "the end of the old password", 40)
        wait_until(lambda: not opens(trusting, "trusted", ""), "the end of trust", 40)
        wait_until(lambda: not opens(trusting, "leaver", "", "28000"), "the end of a role", 40)
        assert opens(proved, "guest", "another")
    finally:
        ask(nodes[0], "scram-sha-256")


# ---- entries that auth_query fetched ----------------------------------------------------------

@pytest.mark.parametrize("rule, stored", [("md5", "md5"), ("password", "md5"), ("password", "scram")])
def test_a_password_that_was_changed_behind_the_proxy_opens_at_once(asks, nodes, guest, rule, stored):
    def secret(text):
        return "md5" + hashlib.md5((text + "guest").encode()).hexdigest() if stored == "md5" \
            else verifier(text)

    try:
        ask(nodes[0], "md5")
        guest(f"PASSWORD '{secret(SECRET)}'")
        p = asks(rule)
        p.raw(user="guest", password=SECRET).bye()
        late = p.raw(login=False).startup(user="guest")
        challenge = late.read()
        guest(f"PASSWORD '{secret('another')}'")
        late.answer(challenge, "guest", "another")      # is compared with the new entry
        assert late.until("EZ")[0].body == OK[5:]
        works(late, "guest")
        refused(p, user="guest", password=SECRET)
        guest(f"PASSWORD '{secret('a third one')}'")
        wait_until(lambda: opens(p, "guest", "a third one"), "the next password", 3)
    finally:
        ask(nodes[0], "scram-sha-256")


@pytest.mark.parametrize("how", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("rule", ["scram-sha-256", "password"])
def test_a_password_that_is_altered_through_the_proxy_opens_at_once(asks, nodes, guest, rule, how):
    p = asks(rule)
    works(p.raw(user="guest", password=SECRET), "guest")
    for text in ("another", "a third one", SECRET):
        change(p, f"ALTER ROLE guest PASSWORD '{text}'", how)
        works(p.raw(user="guest", password=text), "guest")
        refused(p, user="guest", password="stale")


@pytest.mark.parametrize("sql", ["ALTER ROLE guest NOLOGIN", "DROP USER guest",
                                 "ALTER USER guest RENAME TO guest_2",
                                 "ALTER USER guest VALID UNTIL '2001-01-01'"])
def test_a_role_that_is_taken_away_through_the_proxy_is_gone_at_once(asks, nodes, guest, sql):
    p = asks()
    p.raw(user="guest", password=SECRET).bye()
    change(p, sql)
    refused(p, user="guest", password=SECRET)
    nodes[0].su("DROP ROLE IF EXISTS guest_2")


def test_a_role_that_is_altered_directly_counts_within_a_second_or_two(asks, nodes, guest):
    p = asks()
    assert opens(p, "guest", SECRET)
    guest("PASSWORD 'another'")
    wait_until(lambda: opens(p, "guest", "another"), "the new password", 3)
    refused(p, user="guest", password=SECRET)
    guest("NOLOGIN")
    wait_until(lambda: not opens(p, "guest", "another"), "the end of a role that may not log in", 3)


@pytest.mark.parametrize("rule", ["scram-sha-256", "md5", "password"])
def test_wrong_passwords_are_few_questions(asks, nodes, guest, rule):
    """Two a second for a user at most: one as it comes, one as it fails."""
    p = asks(rule)
    before, begin = questions(nodes), time.monotonic()
    for _ in range(100):
        assert not opens(p, "guest", WRONG)
    most = 2 * (time.monotonic() - begin) + 2
    assert 1 <= questions(nodes) - before <= most
    before = questions(nodes)
    for n in range(10):                                 # others' names: one each
        assert not opens(p, f"nobody {n}", WRONG)
    assert questions(nodes) - before <= 10


def test_logins_are_few_questions(asks, nodes, guest):
    p = asks()
    before, begin = questions(nodes), time.monotonic()
    for _ in range(50):
        p.raw(user="guest", password=SECRET).bye()
    assert questions(nodes) - before <= time.monotonic() - begin + 2


def test_known_entries_do_while_the_primary_cannot_be_asked(proxy, own_pair):
    primary, replica = own_pair
    primary.su(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'")
    p = proxy(nodes=own_pair, auth_user="postgres", enable_pool_hba=True, primary_wait_timeout=0,
              hba="host all all all scram-sha-256\n", **FAST)
    p.raw(user="guest", password=SECRET).bye()
    primary.stop()

    def asked_in_vain():
        assert opens(p, "guest", SECRET)
        refused(p, user="guest", password=WRONG)
        return any('auth_query failed for user "guest"' in line for line in p.log)
    wait_until(asked_in_vain, "a question without an answer")
    refused(p, ["58000"], user="nobody", password=SECRET)


# ---- how a node may authenticate the proxy ----------------------------------------------------

ASK_CLEAR, ASK_MD5 = message("R", struct.pack("!I", 3)), message("R", struct.pack("!I", 5) + b"salt")
ASK_SCRAM = sasl(10, cstring("SCRAM-SHA-256") + b"\0")
PLUS_ONLY = sasl(10, cstring("SCRAM-SHA-256-PLUS") + b"\0")
QUESTIONS = {"none": OK, "password": ASK_CLEAR, "md5": ASK_MD5, "scram-sha-256": ASK_SCRAM}


def asking(question, heard, context=None):
    """A node that asks so, hears the answer, and lets in."""
    def treat(t):
        if context:
            t.secure(context)
        t.packet()
        t.sock.sendall(question)
        if question != OK:
            heard.append(t.message()[1])
            t.sock.sendall(OK)
        t.sock.sendall(READY[len(OK):])
        while True:
            if t.message()[0] == b"Q":
                t.sock.sendall(row(1))
    return treat


TRUST = dict(enable_pool_hba=True, hba="host all all all trust\n", passwd=f"app:TEXT{SECRET}\n",
             primary_wait_timeout=0, **FAST)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("methods, plain", [
    ("", "none md5 scram-sha-256"), ("password", "password"), ("md5,scram-sha-256", "md5 scram-sha-256"),
    ("!md5", "none scram-sha-256"), ("none", "none"), ("scram-sha-256", "scram-sha-256")])
def test_how_a_node_may_ask(proxy, fake, question, methods, plain):
    heard = []
    p = proxy(nodes=[fake(asking(QUESTIONS[question], heard))], backend_require_auth=methods, **TRUST)
    may = question in plain.split()
    if may and question != "scram-sha-256":
        assert wire.value(p.raw().query("SELECT 1")) == "1"
    else:                                               # SCRAM it cannot do to its end
        e = refused(p, ["28000"])
        assert e["M"] == "failed to authenticate with backend"
        assert "H" not in e and ("D" in e) == may
    assert bool(heard) == (may and question != "none")
    if not may:
        p.wait_log(r"node 0 \(127.0.0.1:\d+\) .* password of user \"app\"")
        p.wait_log("backend_require_auth does not allow that")


def test_clear_text_over_tls_and_unix_sockets_is_not_refused(proxy, fake, nodes, tmp_path):
    heard = []
    context = self_signed(str(tmp_path)).context()
    p = proxy(nodes=[fake(asking(ASK_CLEAR, heard, context))], backend_sslmode="require", **TRUST)
    assert wire.value(p.raw().query("SELECT 1")) == "1"
    assert heard == [SECRET.encode() + b"\0"]

    nodes[0].rules(HBA.format("scram-sha-256").replace("local all all trust", "local all boss password"))
    nodes[0].reload()
    try:
        p = proxy(nodes=[nodes[0]], passwd=entry("text", "boss"), start=False)
        p.params["backend_hostname0"] = nodes[0].folder
        works(p.start().raw(user="boss", password=SECRET), "boss")
    finally:
        ask(nodes[0], "scram-sha-256")


def test_passwords_of_parameters_are_not_sent_in_clear_text(proxy, fake):
    heard = []
    p = proxy(nodes=[fake(asking(ASK_CLEAR, heard))], **FAST, sr_check_user="sr", sr_check_period=1,
              sr_check_password=SECRET, health_check_user="health", health_check_password=SECRET,
              health_check_period=1, auth_user="asker", passwd=f"asker:{SECRET}\n",
              enable_pool_hba=True, hba="host all all all scram-sha-256\n")
    refused(p, ["58000"], user="guest", password=SECRET)
    for user in ("sr", "health", "asker"):
        p.wait_log(f'in clear text for the password of user "{user}"')
    assert heard == [] and SECRET not in p.log_text()


def talks(*then):
    """SCRAM to its end, then more."""
    def treat(t):
        t.packet()
        t.sock.sendall(ASK_SCRAM)
        server = ScramServer(SECRET)
        t.sock.sendall(sasl(11, server.first(t.message()[1].partition(b"\0")[2][4:])))
        t.sock.sendall(sasl(12, server.final(t.message()[1])) + b"".join(then))
        while True:
            treat.heard.append(t.message())
    treat.heard = []
    return treat


@pytest.mark.parametrize("then", [ASK_CLEAR, ASK_MD5, ASK_SCRAM, message("R", b"\0\0")],
                         ids=["clear", "md5", "scram", "short"])
def test_a_node_asks_once(proxy, fake, then):
    treat = talks(then, READY)
    p = proxy(nodes=[fake(treat)], backend_require_auth="none,password,md5,scram-sha-256", **TRUST)
    e = refused(p, ["28000"])
    assert e["D"] in ("it asks for two authentications", "its authentication request is malformed")
    assert treat.heard == []


def test_a_node_that_proves_itself_and_then_lets_in(proxy, fake):
    p = proxy(nodes=[fake(talks(READY))], **TRUST)
    p.raw().bye()


@pytest.mark.parametrize("first", [message("R", b""), message("R", b"\0\0\0"), PLUS_ONLY],
                         ids=["empty", "short", "plus without tls"])
def test_what_is_no_authentication_lets_nobody_in(proxy, fake, first):
    def treat(t):
        t.packet()
        t.sock.sendall(first + READY[len(OK):])
        t.take(1)

    refused(proxy(nodes=[fake(treat)], primary_wait_timeout=0, passwd=f"app:TEXT{SECRET}\n", **FAST),
            ["28000", "28P01"], user="app", password=SECRET)


# ---- nothing for somebody who has proved nothing ----------------------------------------------

def sessions(node, mark, user):
    return f"connection authorized: user={user} " in node.log_since(mark)


@pytest.mark.parametrize("how", ["text", "scram", "auth_query"])
def test_a_wrong_password_learns_nothing_of_databases(front, nodes, guest, how):
    """pool_hba off, and nobody has logged in yet."""
    more = dict(auth_user="asker") if how == "auth_query" else {}
    lines = "asker:asks\n" if more else entry(how, "guest")
    nodes[0].su("CREATE DATABASE shut")
    try:
        nodes[0].su("REVOKE CONNECT ON DATABASE shut FROM public")
        stored = verifier(SECRET)
        guest(f"PASSWORD '{stored}'")
        p = front(passwd=lines, **more)
        mark = nodes[0].log_size()
        for database in ("nowhere", "shut", "app"):
            e = refused(p, user="guest", password=WRONG, database=database)
            assert e["M"] == 'password authentication failed for user "guest"'
        assert not sessions(nodes[0], mark, "guest")
        assert not nodes[0].backends("usename = 'guest'")
        refused(p, ["3D000"], user="guest", password=SECRET, database="nowhere")
        refused(p, ["42501"], user="guest", password=SECRET, database="shut")
        works(p.raw(user="guest", password=SECRET), "guest")
    finally:
        nodes[0].su("DROP DATABASE shut")


def test_finding_out_what_a_node_asks_sends_it_no_password(proxy, fake):
    """Its first word is enough; the login comes when the client has proved who it is."""
    heard, answers = [], []

    def treat(t):
        heard.append(t.packet())
        t.sock.sendall(ASK_MD5)
        answers.append(t.message())
        t.sock.sendall(READY)
        t.take(1)

    p = proxy(nodes=[fake(treat)], passwd=f"app:TEXT{SECRET}\nother:TEXT{SECRET}\n", **FAST)
    refused(p, user="app", password=WRONG)
    with p.raw(login=False) as gone:                    # nor when the client leaves meanwhile
        gone.send(wire.startup(user="other", database="app"))
    refused(p, user="other", password=WRONG)
    assert len(heard) >= 2 and not answers
    w = p.raw(user="app", password=SECRET)
    assert asked(w) == [5] and len(answers) == 1


@pytest.mark.parametrize("question", ["md5", "none"])
def test_one_finds_out_for_all(proxy, fake, question):
    come, all_here = [], threading.Event()

    def treat(t):
        come.append(t.packet())
        assert all_here.wait(10)
        t.sock.sendall(QUESTIONS[question] + (READY[len(OK):] if question == "none" else b""))
        while True:
            if t.message()[0] == b"Q":
                t.sock.sendall(row(1))

    p = proxy(nodes=[fake(treat)], passwd=f"app:TEXT{SECRET}\n", **FAST)
    clients = [p.raw(login=False).startup() for _ in range(8)]
    p.raw(login=False).startup(user="other")
    wait_until(lambda: any(b"\0other\0" in packet for packet in come), "the last one's question")
    all_here.set()
    for w in clients:
        assert w.read().body[:4] == QUESTIONS[question][5:9]
    assert sum(b"\0app\0database\0" in packet for packet in come) == 1


@pytest.mark.parametrize("code", ["28000", "53300"])
def test_what_postgresql_says_before_it_asks_is_told(proxy, fake, code):
    said = message("E", b"".join(k + v.encode() + b"\0" for k, v in (
        (b"S", "FATAL"), (b"V", "FATAL"), (b"C", code), (b"M", "no room here"))) + b"\0")

    def treat(t):
        t.packet()
        t.sock.sendall(said)
        t.take(1)

    p = proxy(nodes=[fake(treat)], passwd=f"app:TEXT{SECRET}\n", query_wait_timeout=1, **FAST)
    told = refused(p, [code], user="app", password=WRONG)
    assert "no room here" in told["D" if code == "53300" else "M"]


def test_finding_out_takes_no_clients_place(front, nodes, guest):
    p = front(num_init_children=1, max_pool=1, passwd=entry("text", "guest") + entry("text", "boss"))
    w = p.raw(user="boss", password=SECRET)
    assert wire.errors(w.query("CREATE TEMP TABLE t (a int)")) == []
    other = p.raw(login=False).startup(user="guest")
    assert other.read().body[:4] == struct.pack("!I", 10)
    trusted = p.raw(user="trusted")                     # more than was allowed, and closed again
    wait_until(lambda: not nodes[0].backends("usename = 'trusted'"), "the end of the look")
    w.bye()
    works(trusted, "trusted")


def test_a_trusted_login_is_one_connection(front, nodes):
    p = front()
    mark = nodes[0].log_size()
    assert wire.value(p.raw(user="trusted").query("/*NO LOAD BALANCE*/ SELECT 1")) == "1"
    assert nodes[0].log_since(mark).count("connection authorized: user=trusted ") == 1


def test_how_long_a_refusal_takes_does_not_tell_what_entry_there_is(asks, nodes, guest):
    """Method password: a clear text, md5, a verifier, one of auth_query's, none at all."""
    nodes[0].su(f"CREATE ROLE old LOGIN PASSWORD 'md5{'0' * 32}'")
    try:
        p = asks("password", "".join(entry(kind, kind) for kind in ("text", "md5", "scram")))
        took = {}
        for user in ("text", "md5", "scram", "guest", "old", "nobody"):
            before = p.processor_time()                 # a busy machine does not change that much
            for _ in range(25):
                refused(p, user=user, password=WRONG)
            took[user] = p.processor_time() - before
        assert max(took.values()) < 2 * min(took.values()), took
    finally:
        nodes[0].su("DROP ROLE old")


# ---- who waits, and what for ------------------------------------------------------------------

@pytest.mark.parametrize("hba", [True, False])
def test_a_role_is_altered_while_auth_query_runs(front, nodes, guest, hba):
    """The answer that comes then is old: who waits for it waits for the next one."""
    p = front(auth_user="asker", passwd=f"asker:asks\nboss:{SECRET}\n", enable_pool_hba=hba,
              hba="host all all all scram-sha-256\n",
              auth_query="SELECT rolname, rolpassword FROM pg_authid, pg_sleep(1) WHERE rolname = $1")
    boss, came = p.raw(user="boss", password=SECRET), []
    t = threading.Thread(target=lambda: came.append(opens(p, "guest", SECRET)))
    t.start()
    wait_until(lambda: nodes[0].backends("usename = 'asker' AND state = 'active'"), "the question")
    assert wire.errors(boss.query("ALTER ROLE guest CONNECTION LIMIT 100")) == []
    t.join()
    assert came == [True]
    assert wire.value(boss.query("SELECT 1")) == "1"


def test_strangers_do_not_keep_clients_from_servers(front, nodes):
    """Each names another user, hears what is asked of it, and comes again."""
    p = front(passwd="".join(f"{u}:TEXT{SECRET}\n" for u in ("boss", "guest")), num_init_children=2,
              max_pool=1, query_wait_timeout=5)
    sessions = [p.raw(user="boss", password=SECRET, timeout=60) for _ in range(2)]
    over, visits = threading.Event(), []

    def stranger(i):
        while not over.is_set():
            with contextlib.suppress(OSError, EOFError), p.raw(login=False, timeout=30) as w:
                w.startup(user=f"invented{i}x{len(visits)}").read()
                visits.append(i)

    crowd = [threading.Thread(target=stranger, args=(i,)) for i in range(40)]
    for t in crowd:
        t.start()
    try:
        for n in range(1, 10):
            wait_until(lambda: len(visits) > 100 * n, "strangers", 30)
            for w in sessions:
                assert wire.errors(w.query("/*NO LOAD BALANCE*/ SELECT 1")) == []
    finally:
        over.set()
        for t in crowd:
            t.join()


def test_logins_that_nobody_waits_for_hold_no_places(proxy, fake):
    """The node was silent while strangers asked, who have left; now it works again."""
    silent = [True]

    def treat(t):
        t.packet()
        if not silent:
            t.serve()
        t.sock.settimeout(None)
        t.take(100000)

    node = fake(treat)
    p = proxy(nodes=[node], num_init_children=2, max_pool=1, query_wait_timeout=5, connect_timeout=300)
    for i in range(12):
        with p.raw(login=False) as w:
            w.startup(user=f"invented{i}")
            wait_until(lambda: len(node.kept) > min(i, 1), "its connection")
    silent.clear()
    assert wire.value(p.raw(timeout=70).query("SELECT 1"))


@pytest.mark.parametrize("body", [b"", b"\0", b"SFATAL\0C\0Mno\0\0", b"SFATAL\0C28\0Mno\0\0", b"SFATAL\0C28000\0\0"])
def test_a_node_s_error_that_is_none_is_told_as_ours(proxy, fake, body):
    def treat(t):
        t.packet()
        t.sock.sendall(message("E", body))
        t.take(1)
    e = refused(proxy(nodes=[fake(treat)], **FAST), ["08006"], user="app")
    assert e["S"] == "FATAL" and e["M"]


# ---- trust that ends --------------------------------------------------------------------------

RULES = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost replication all all trust\n"


def unasked(p, user):
    """Is the user let in without a question?"""
    w = p.raw(login=False).startup(user=user)
    m = w.read()
    return m.type == "R" and m.body == b"\0\0\0\0"


def test_trust_does_not_outlive_its_node(proxy, own_pair):
    """The promoted replica asks."""
    primary, replica = own_pair
    primary.su(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'")
    primary.catch_up(replica)
    for node, method in ((primary, "trust"), (replica, "scram-sha-256")):
        node.rules(RULES + f"host all guest 127.0.0.1/32 {method}\n")
        node.reload()
    p = proxy(nodes=own_pair, passwd=f"guest:TEXT{SECRET}\n", sr_check_period=1,
              sr_check_user="postgres", primary_wait_timeout=30, **BY_ROLE)
    assert unasked(p, "guest")
    primary.stop()
    replica.su("SELECT pg_promote()")
    p.wait_log("find_primary_node: primary node is 1")
    assert not unasked(p, "guest")
    assert opens(p, "guest", SECRET) and not opens(p, "guest", WRONG)
