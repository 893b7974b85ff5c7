"""Who gets in: passwords of all kinds on both sides, pool_passwd, pool_hba.conf, errors, time."""

import base64
import contextlib
import hashlib
import hmac
import os
import socket
import struct
import subprocess
import threading
import time

import psycopg
import pytest

import wire
from fake import OK, READY, result
from pg import wait_until
from wire import LoginError, cstring, message

pytestmark = pytest.mark.proxy

SECRET, WRONG = "secret", "wrong"
KEY, AES_SECRET = "testkey", "AESYLROATKETwgvY557eVg7dQ=="     # Pgpool-II's pg_enc says so
METHODS = ["trust", "password", "md5", "scram"]
USERS = {m: m + "_user" for m in METHODS}
ASKER = "asks for others"


def verifier(secret, salt=b"sixteen bytes ok", iterations=4096):
    """What PostgreSQL would store (RFC 5803)."""
    def text(b):
        return base64.b64encode(b).decode()

    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    return (f"SCRAM-SHA-256${iterations}:{text(salt)}${text(hashlib.sha256(client).digest())}"
            f":{text(server)}")


ODD = "p:a\\s's\"w ö%d"             # all that pool_passwd and SQL escape

HBA = """
local all all trust
host all postgres 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
host all trust_user 127.0.0.1/32 trust
host all password_user 127.0.0.1/32 password
host all md5_user 127.0.0.1/32 md5
host all scram_user,odd_user,few,nologin,asker,guest 127.0.0.1/32 scram-sha-256
host all banned 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
"""


@pytest.fixture(scope="module")
def nodes(shop):
    primary, replica = pair = shop.pair()
    for method, user in USERS.items():
        stored = "md5" + hashlib.md5((SECRET + user).encode()).hexdigest() if method == "md5" \
            else verifier(SECRET)
        primary.su(f"CREATE ROLE {user} LOGIN PASSWORD '{stored}'")
    primary.su(f"CREATE ROLE asker LOGIN PASSWORD '{ASKER}'")
    primary.su("GRANT SELECT ON pg_authid TO asker", dbname="postgres")
    primary.su("CREATE ROLE odd_user LOGIN PASSWORD '" + ODD.replace("'", "''") + "';"
               f"CREATE ROLE few LOGIN CONNECTION LIMIT 0 PASSWORD '{SECRET}';"
               f"CREATE ROLE nologin NOLOGIN PASSWORD '{SECRET}';"
               "CREATE ROLE banned LOGIN")
    primary.catch_up(replica)
    for node in pair:
        node.rules(HBA)
        node.reload()
    yield pair
    for node in reversed(pair):
        node.remove()


@pytest.fixture
def auth(proxy, nodes):
    """A proxy in front of the clusters that ask for passwords."""
    def make(start=True, **how):
        p = proxy(nodes=nodes, start=False, **how)
        p.environment["PGPOOLKEYFILE"] = f"{p.folder}/key"
        with open(f"{p.folder}/key", "w") as f:
            f.write(KEY + "\n")
        return p.start() if start else p
    return make


def escaped(text):
    return text.replace("\\", "\\\\").replace(":", "\\:")


def entry(kind, user, secret=SECRET):
    """A line of pool_passwd."""
    if kind == "none":
        return ""
    if kind == "md5":
        return f"{user}:md5{hashlib.md5((secret + user).encode()).hexdigest()}\n"
    if kind == "aes":
        assert secret == SECRET
        return f"{user}:{AES_SECRET}\n"
    if kind == "scram":
        return f"{user}:{verifier(secret)}\n"
    return f"{user}:{'TEXT' if kind == 'text' else ''}{escaped(secret)}\n"


def asked(w):
    """Which kinds of authentication the client saw, Ok left out."""
    return [k for k in (struct.unpack("!I", m.body[:4])[0] for m in w.greeting if m.type == "R")
            if k]


def refused(p, codes=("28P01",), **login):
    """The login fails with a FATAL error of one of these codes."""
    with pytest.raises(LoginError) as e:
        p.raw(**login)
    assert e.value.fields["S"] == "FATAL" and e.value.fields["V"] == "FATAL", e.value
    assert e.value.code in codes, e.value
    return e.value.fields


def works(w, user):
    """A session that reads and writes."""
    assert wire.value(w.query("SELECT current_user")) == user
    assert wire.errors(w.query("CREATE TEMP TABLE t (a int)")) == []
    assert wire.value(w.query("SELECT count(*) FROM t")) == "0"


# Clear text without TLS, which such a node has to be allowed.
ANY = dict(backend_require_auth="none,password,md5,scram-sha-256")


# ---- pool_hba off: the backend's demand decides -----------------------------------------------

KINDS = ["md5", "text", "plain", "aes", "scram", "none"]
CLEAR = ("text", "plain", "aes")


def opens(method, kind, clear):
    """May this user get in at all?  (pgpool: enable_pool_hba = off)"""
    if method in ("trust", "password"):
        return True
    usable = ("md5", *CLEAR) if method == "md5" else (*CLEAR, "scram")
    return kind in usable or clear


@pytest.mark.parametrize("clear", [False, True], ids=["", "allow_clear"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_without_pool_hba(auth, method, kind, clear):
    user = USERS[method]
    p = auth(passwd=entry(kind, user), allow_clear_text_frontend_auth=clear, **ANY)
    if opens(method, kind, clear):
        for _ in range(2):                          # the second one meets a pooled server
            w = p.raw(user=user, password=SECRET)
            works(w, user)
            w.bye()
    else:
        refused(p, user=user, password=SECRET)
    if method != "trust":
        refused(p, user=user, password=WRONG)
        refused(p, user=user, password="")
    if opens(method, kind, clear):                  # the wrong ones spoilt nothing
        works(p.raw(user=user, password=SECRET), user)


def test_trusted_users_are_not_asked(auth):
    assert asked(auth().raw(user="trust_user")) == []


def test_scram_backends_make_scram_clients(auth):
    p = auth(passwd=entry("text", "scram_user"))
    assert asked(p.raw(user="scram_user", password=SECRET)) == [10, 11, 12]


def test_md5_backends_make_md5_clients(auth):
    p = auth(passwd=entry("md5", "md5_user"))
    assert asked(p.raw(user="md5_user", password=SECRET)) == [5]


def test_clear_text_is_asked_only_when_allowed(auth):
    p = auth(allow_clear_text_frontend_auth=True)
    assert asked(p.raw(user="scram_user", password=SECRET)) == [3]


# ---- pool_hba on ------------------------------------------------------------------------------

HBA_METHODS = {"trust": [], "password": [3], "md5": [5], "scram-sha-256": [10, 11, 12]}
BACKENDS = ["trust", "md5", "scram"]


def hba_opens(client, kind, backend):
    """May a client with the right password get in?  (pgpool: enable_pool_hba = on)"""
    entry_ok = {"trust": KINDS, "password": KINDS, "md5": ["md5", *CLEAR],
                "scram-sha-256": [*CLEAR, "scram"]}[client]
    if kind not in entry_ok:
        return False
    if backend == "trust":
        return kind != "none" or client == "trust"  # nothing else proves the client's own words
    known = kind in CLEAR or (kind == "md5" and backend == "md5")
    passed = kind == "scram" and client == "scram-sha-256" and backend == "scram"
    return known or passed or client == "password"  # the client's own words are passed on


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", HBA_METHODS)
def test_with_pool_hba(auth, client, kind, backend):
    user = USERS[backend]
    p = auth(enable_pool_hba=True, passwd=entry(kind, user),
             hba=f"host all all 127.0.0.1/32 {client}\n")
    if hba_opens(client, kind, backend):
        for _ in range(2):
            w = p.raw(user=user, password=SECRET)
            assert asked(w) == HBA_METHODS[client]
            works(w, user)
            w.bye()
    else:
        refused(p, user=user, password=SECRET)
    if client != "trust":
        refused(p, user=user, password=WRONG)


# ---- verifiers, and auth_query ----------------------------------------------------------------

SCRAM_HBA = "host all all all scram-sha-256\n"


def test_a_verifier_with_another_salt_does_not_open_the_backend(auth):
    other = f"scram_user:{verifier(SECRET, b'another salt')}\n"
    p = auth(enable_pool_hba=True, hba=SCRAM_HBA, passwd=other)
    e = refused(p, user="scram_user", password=SECRET)
    assert "lacks the verifier of user" in e["H"]


def test_keys_from_a_proof_open_the_other_node_too_and_survive_a_reload(auth):
    p = auth(enable_pool_hba=True, hba=SCRAM_HBA, passwd=entry("scram", "scram_user"),
             backend_weight0=0, backend_weight1=1)
    w = p.raw(user="scram_user", password=SECRET)
    assert wire.value(w.query("SELECT current_setting('port')")) == str(p.nodes[1].port)
    w.bye()
    w = p.raw(user="scram_user", password=SECRET, database="postgres")
    p.hba += "# read again\n"
    p.reload()
    assert wire.value(w.query("SELECT current_setting('port')")) == str(p.nodes[1].port)
    works(w, "scram_user")


@pytest.fixture
def asks(auth):
    def start(passwd="", **how):
        return auth(auth_user="asker", passwd=f"asker:TEXT{ASKER}\n" + passwd, **how)
    return start


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("client", HBA_METHODS)
def test_auth_query_with_pool_hba(asks, client, backend):
    user = USERS[backend]
    p = asks(enable_pool_hba=True, hba=f"host all all 127.0.0.1/32 {client}\n")
    if hba_opens(client, "md5" if backend == "md5" else "scram", backend):
        for _ in range(2):
            w = p.raw(user=user, password=SECRET)
            assert asked(w) == HBA_METHODS[client]
            works(w, user)
            w.bye()
    else:
        refused(p, user=user, password=SECRET)
    if client != "trust":
        refused(p, user=user, password=WRONG)
        refused(p, user="nobody", password=SECRET)


@pytest.mark.parametrize("method", METHODS)
def test_auth_query_without_pool_hba(asks, method):
    user = USERS[method]
    p = asks(**ANY)
    works(p.raw(user=user, password=SECRET), user)
    if method != "trust":
        refused(p, user=user, password=WRONG)
    works(p.raw(user=user, password=SECRET), user)


@pytest.fixture
def guest(nodes):
    """A role that tests may change."""
    nodes[0].su(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'")
    nodes[0].catch_up(nodes[1])
    yield lambda change: nodes[0].su(f"ALTER ROLE guest {change}")

    def alone():
        """What a session of his has made goes with it."""
        nodes[0].su("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'")
        return not nodes[0].backends("usename = 'guest'")
    wait_until(alone, "the end of guest's sessions")
    nodes[0].su("DROP ROLE guest")


def test_pool_passwd_goes_before_auth_query(asks, guest):
    p = asks(enable_pool_hba=True, hba=SCRAM_HBA, passwd="guest:TEXTsomething else\n")
    refused(p, user="guest", password=SECRET)


def test_auth_query_sees_a_new_password_after_one_that_failed(asks, guest):
    p = asks(enable_pool_hba=True, hba=SCRAM_HBA)
    works(p.raw(user="guest", password=SECRET), "guest")
    guest("PASSWORD 'another'")
    refused(p, user="guest", password="another")
    works(p.raw(user="guest", password="another"), "guest")


@pytest.mark.parametrize("until, opens", [("2001-01-01", False), ("2999-01-01", True),
                                          ("infinity", True), ("-infinity", False)])
def test_auth_query_honours_valid_until(asks, guest, until, opens):
    guest(f"VALID UNTIL '{until}'")
    p = asks(enable_pool_hba=True, hba=SCRAM_HBA)
    if opens:
        works(p.raw(user="guest", password=SECRET), "guest")
    else:
        refused(p, user="guest", password=SECRET)
        assert any("has a valid entry" in line for line in p.log)


def test_auth_query_by_a_function(asks, nodes):
    nodes[0].su("CREATE FUNCTION look_up(who text) RETURNS TABLE (name text, password text)"
                " LANGUAGE sql SECURITY DEFINER AS 'SELECT usename::text, passwd FROM pg_shadow"
                " WHERE usename = who'", dbname="postgres")
    try:
        p = asks(enable_pool_hba=True, hba=SCRAM_HBA, auth_query="SELECT * FROM public.look_up($1)")
        works(p.raw(user="scram_user", password=SECRET), "scram_user")
        refused(p, user="scram_user", password=WRONG)
        refused(p, user='x"; DROP ROLE guest; --', password=WRONG)
    finally:
        nodes[0].su("DROP FUNCTION look_up(text)", dbname="postgres")


@pytest.mark.parametrize("query", [{}, {"auth_query":
    "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1"}], ids=["default", "unqualified"])
def test_an_owner_s_operators_do_not_run_as_auth_user(asks, nodes, query):
    """Who owns the database, or may ALTER the role, chooses where names are looked up."""
    nodes[0].su("GRANT SELECT ON pg_authid TO asker;"
                "CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO public;"
                "CREATE FUNCTION trap.eq(name, name) RETURNS bool LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;"
                "CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = name, FUNCTION = trap.eq);"
                "CREATE VIEW trap.pg_authid AS SELECT 'scram_user'::name AS rolname, NULL AS rolpassword;"
                "ALTER DATABASE app SET search_path = trap, pg_catalog")
    try:
        p = asks(enable_pool_hba=True, hba=SCRAM_HBA, auth_database="app", **query)
        for _ in range(2):
            w = p.raw(user="scram_user", password=SECRET)
            assert wire.value(w.query("SHOW search_path")) == "trap, pg_catalog"
            w.bye()
    finally:
        nodes[0].su("ALTER DATABASE app RESET search_path; DROP SCHEMA trap CASCADE")


@pytest.mark.parametrize("how, why", [
    ({"auth_query": "SELECT nothing FROM nowhere WHERE x = $1"}, 'relation "nowhere" does not exist'),
    ({"auth_query": "SELECT repeat($$x$$, 100000), $1::text"}, "longer than"),
    ({"auth_database": "nowhere"}, 'database "nowhere" does not exist')])
def test_auth_query_that_fails(asks, how, why):
    p = asks(enable_pool_hba=True, hba=SCRAM_HBA, **how)
    e = refused(p, ["58000"], user="scram_user", password=SECRET)
    assert e["M"] == "the password of the user could not be looked up" and "D" not in e
    assert any(why in line for line in p.log)
    refused(p, ["58000"], user="scram_user", password=SECRET)


def test_auth_query_is_asked_again_when_its_connection_breaks(asks, nodes, guest):
    p = asks(enable_pool_hba=True, hba=SCRAM_HBA,
             auth_query="SELECT rolname, rolpassword FROM pg_authid, pg_sleep(0.3)"
                        " WHERE rolname = $1")
    done = []
    t = threading.Thread(target=lambda: done.append(p.raw(user="guest", password=SECRET)))
    t.start()
    mine = "application_name = 'pgpool auth_query'"
    wait_until(lambda: nodes[0].su(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                   f" WHERE {mine} AND state = 'active'")[0][0], "query")
    t.join()
    works(done[0], "guest")


def test_a_reload_while_auth_query_runs(asks, nodes, guest):
    p = asks(enable_pool_hba=True, hba=SCRAM_HBA,
             auth_query="SELECT rolname, rolpassword FROM pg_authid, pg_sleep(1)"
                        " WHERE rolname = $1")
    done = []
    t = threading.Thread(target=lambda: done.append(p.raw(user="guest", password=SECRET)))
    t.start()
    wait_until(lambda: nodes[0].su("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                                   " AND application_name = 'pgpool auth_query'")[0][0], "query")
    p.reload(auth_query="SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1")
    t.join()
    works(done[0], "guest")
    works(p.raw(user="guest", password=SECRET), "guest")


def test_auth_query_while_the_first_primary_is_searched(proxy, fake):
    """Its question is on its way when the search ends, and goes on."""
    asking, found = threading.Event(), threading.Event()

    def treat(t):
        if b"pgpool auth_query" in t.packet():
            asking.set()
            assert found.wait(10)
            t.sock.sendall(READY)
            while t.message()[0] != b"S":
                pass
            t.sock.sendall(message("1") + message("2") + result("guest", verifier(SECRET)))
        else:
            assert asking.wait(10)
            t.sock.sendall(OK + message("S", b"in_hot_standby\0off\0") + READY[len(OK):])
            t.message()                                         # it is asked: its login was good
            found.set()
        t.take(1)

    p = proxy(nodes=[fake(treat)], backend_flag0="DISALLOW_TO_FAILOVER", sr_check_user="postgres",
              sr_check_period=5, auth_user="asker", enable_pool_hba=True, hba=SCRAM_HBA)
    w = p.raw(login=False).startup(user="guest")
    for kind in (10, 11, 12):                           # the verifier is known
        m = w.read()
        assert m.type == "R" and m.body[:4] == struct.pack("!I", kind), m
        w.answer(m, "guest", SECRET)


def test_a_startup_packet_that_postgresql_would_not_take(auth):
    p = auth()
    refused(p, ["08P01"], user="x", database="", a="x" * 9971)     # "database=x" is added
    works(p.raw(user="trust_user"), "trust_user")
    assert not any("is down" in line for line in p.log)


def test_many_clients_wait_for_one_answer(asks):
    p = asks(enable_pool_hba=True, hba=SCRAM_HBA)
    done = []

    def come(user):
        with contextlib.suppress(LoginError):
            w = p.raw(user=user, password=SECRET)
            works(w, user)
            done.append(user)

    threads = [threading.Thread(target=come, args=(u,))
               for u in ["scram_user"] * 8 + [f"unknown{n}" for n in range(8)]]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert done == ["scram_user"] * 8


def test_a_client_may_leave_while_its_entry_is_asked_for(asks, nodes):
    p = asks(enable_pool_hba=True, hba=SCRAM_HBA, auth_query="SELECT $1::text, pg_sleep(1)::text")
    for _ in range(5):
        with contextlib.suppress(OSError, LoginError):
            p.raw(user="scram_user", password=SECRET, timeout=0.05)
    p.raw(user="asker", password=ASKER).bye()


def test_the_log_says_which_rule_and_which_entry(auth):
    p = auth(enable_pool_hba=True, hba="# one\nhost all md5_user,who all md5\nhost all banned all reject\n",
             passwd=entry("md5", "md5_user"))
    refused(p, user="md5_user", password=WRONG)
    refused(p, user="who", password=WRONG)
    refused(p, ["28000"], user="banned")
    log = "\n".join(p.log)
    assert "pool_hba.conf line 3 rejects the client" in log
    assert "pool_hba.conf line 2: the password does not match the md5 entry" in log
    assert "pool_hba.conf line 2: pool_passwd file does not contain an entry for this user" in log


RULES = """
# type  database  user          address          method
host    all       banned        127.0.0.1/32     reject
host    other,app "trust_user"  127.0.0.0  255.0.0.0  trust
local   sameuser  all                            trust
local   app       scram_user                     scram-sha-256
host    all       scram_user    127.0.0.0/8      scram-sha-256
hostssl all       md5_user      all              md5
host    all       md5_user      10.0.0.0/8       trust
host    all       @users        all              trust
"""


def test_rules_of_pool_hba(auth, tmp_path):
    p = auth(start=False, enable_pool_hba=True, hba=RULES, passwd=entry("text", "scram_user"))
    with open(f"{p.folder}/users", "w") as f:
        f.write("somebody\npassword_user, few\n")
    p.start()
    refused(p, ["28000"], user="banned")
    works(p.raw(user="trust_user"), "trust_user")
    assert asked(p.raw(user="scram_user", password=SECRET)) == [10, 11, 12]
    assert asked(p.raw(address=p.socket, user="scram_user", password=SECRET)) == [10, 11, 12]
    refused(p, ["28000"], user="trust_user", database="postgres")
    e = refused(p, ["28000"], user="md5_user", password=SECRET)
    assert 'no pool_hba.conf entry for host "127.0.0.1", user "md5_user", database "app"' \
        in e["M"] + e.get("D", "")
    refused(p, ["28000"], user="nobody")


def test_host_names_in_pool_hba(auth):
    name = socket.gethostbyaddr("127.0.0.1")[0]
    p = auth(enable_pool_hba=True,
             hba=f"host all trust_user elsewhere.example reject\nhost all trust_user {name} trust\n"
                 "host all scram_user .example trust\nhost all md5_user 127.0.0.1/32 reject\n"
                 f"host all md5_user {name} trust\n")
    works(p.raw(user="trust_user"), "trust_user")
    refused(p, ["28000"], user="scram_user", password=SECRET)
    refused(p, ["28000"], user="md5_user", password=SECRET)


def test_a_client_may_leave_while_its_host_is_looked_up(auth):
    p = auth(enable_pool_hba=True, hba="host all all elsewhere.example trust\nlocal all all trust\n")
    for _ in range(20):
        with p.raw(login=False) as w:
            w.send(wire.startup(user="trust_user", database="app"))
    works(p.raw(address=p.socket, user="trust_user"), "trust_user")


def test_no_match_over_the_unix_socket(auth):
    p = auth(enable_pool_hba=True, hba="host all all 127.0.0.1/32 trust\n")
    works(p.raw(user="trust_user"), "trust_user")
    refused(p, ["28000"], address=p.socket, user="trust_user")


@pytest.mark.parametrize("text", ["host all all 127.0.0.1/32 nonsense\n", "", "host all\n",
                                  "host all all 127.0.0.1/99 trust\n"])
def test_a_broken_pool_hba_lets_nobody_in(auth, text):
    p = auth(enable_pool_hba=True, hba=text)
    refused(p, ["28000"], user="trust_user")
    assert any("pool_hba.conf" in line for line in p.log)


def test_a_missing_pool_hba_lets_nobody_in(auth):
    refused(auth(enable_pool_hba=True), ["28000"], user="trust_user")


def test_reload_of_pool_hba(auth):
    p = auth(enable_pool_hba=True, hba="host all all all trust\n")
    works(p.raw(user="trust_user"), "trust_user")
    p.hba = "host all all all reject\n"
    p.reload()
    refused(p, ["28000"], user="trust_user")
    p.hba = "host all all all trust\n"
    p.reload()
    works(p.raw(user="trust_user"), "trust_user")
    p.hba = "host all broken\n"
    p.reload()
    works(p.raw(user="trust_user"), "trust_user")


def test_reload_of_pool_passwd(auth):
    p = auth(passwd=entry("text", "scram_user", WRONG))
    refused(p, user="scram_user", password=SECRET)
    p.passwd = entry("text", "scram_user")
    p.reload()
    works(p.raw(user="scram_user", password=SECRET), "scram_user")


# ---- errors -----------------------------------------------------------------------------------

def test_unknown_database(auth):
    e = refused(auth(), ["3D000"], user="trust_user", database="nowhere")
    assert e["M"] == 'database "nowhere" does not exist'


def test_unknown_user_of_a_trusting_backend(auth):
    e = refused(auth(), ["28000"], user="nobody")
    assert e["M"] == 'role "nobody" does not exist'


def test_unknown_user_of_pool_passwd_cannot_be_told_from_a_wrong_password(auth):
    p = auth(enable_pool_hba=True, hba="host all all all scram-sha-256\n",
             passwd=entry("text", "scram_user"))
    unknown = refused(p, user="who", password="x")
    wrong = refused(p, user="scram_user", password="x")
    assert unknown["M"].replace("who", "scram_user") == wrong["M"]


def test_role_without_login(auth):
    p = auth(passwd=entry("text", "nologin"))
    e = refused(p, ["28000"], user="nologin", password=SECRET)
    assert e["M"] == 'role "nologin" is not permitted to log in'


def test_connection_limit_of_a_role(auth):
    p = auth(passwd=entry("text", "few"))
    refused(p, ["53300"], user="few", password=SECRET)


def test_a_node_that_asks_for_much_work_holds_up_no_other(proxy, nodes, fake):
    """Its keys take half a second each; those of the primary are made beside them."""
    asked, answered = [], []

    def treat(t):
        t.packet()
        t.sock.sendall(message("R", struct.pack("!I", 10) + cstring("SCRAM-SHA-256") + b"\0"))
        asked.append(t.message()[1].split(b",r=")[1])
        salt = base64.b64encode(os.urandom(16))
        t.sock.sendall(message("R", struct.pack("!I", 11) + b"r=%sxyz,s=%s,i=1000000"
                                                            % (asked[-1], salt)))
        answered.append(t.message())
        t.take(1)

    p = proxy(nodes=[nodes[0], fake(treat)], backend_weight0=0,
              passwd=entry("text", "trust_user") + entry("text", "scram_user"))
    sessions = [p.raw(user="trust_user", timeout=30) for _ in range(8)]
    for w in sessions:
        w.send(wire.query("SELECT 1"))
    wait_until(lambda: len(asked) == len(sessions), "all logins")
    p.raw(user="scram_user", password=SECRET).bye()
    assert len(answered) < len(sessions)
    assert all(wire.value(w.reply()) == "1" for w in sessions)      # on the primary


def test_a_node_that_asks_for_too_much_work(proxy, nodes, fake):
    def treat(t):
        t.packet()
        t.sock.sendall(message("R", struct.pack("!I", 10) + cstring("SCRAM-SHA-256") + b"\0"))
        first = t.message()[1].split(b",r=")[1]
        t.sock.sendall(message("R", struct.pack("!I", 11) + b"r=%sxyz,s=c2FsdA==,i=1000001" % first))
        t.take(1)

    p = proxy(nodes=[fake(treat)], passwd=entry("text", "scram_user"))
    assert "beyond a million" in refused(p, ["28000"], user="scram_user", password=SECRET)["D"]


def test_user_whom_the_backend_rejects(auth):
    e = refused(auth(), ["28000"], user="banned")
    assert "pg_hba.conf" in e["M"]


def test_right_for_pool_passwd_and_wrong_for_the_backend(auth):
    p = auth(passwd=entry("text", "scram_user", "stale"))
    e = refused(p, user="scram_user", password="stale")
    assert e["M"] == 'password authentication failed for user "scram_user"'


@pytest.mark.parametrize("user", ["scram_user", "md5_user"])
def test_a_password_of_ours_that_postgresql_refuses_is_no_mistake_of_the_client(auth, user):
    """The DETAIL names the node and whose password it was."""
    p = auth(passwd=entry("text", user, WRONG))
    e = refused(p, user=user, password=WRONG)
    assert e["C"] == "28P01" and "password authentication failed" in e["M"]
    assert e["D"] == f'Node 0 refuses the password that pool_passwd has for user "{user}".'
    p.wait_log("Node 0 refuses the password that pool_passwd has")


def test_psql_says_what_is_wrong(auth):
    p = auth(passwd=entry("text", "scram_user"))
    out = p.psql("SELECT 1", check=False, user="scram_user", password=WRONG)
    assert "FATAL" in out and "scram_user" in out
    assert p.psql("SELECT 1", user="scram_user", password=SECRET) == "1"


def test_a_pooled_server_is_not_lent_to_a_wrong_password(auth):
    for how in (dict(passwd=entry("text", "scram_user")),
                dict(allow_clear_text_frontend_auth=True)):
        p = auth(**how)
        p.raw(user="scram_user", password=SECRET).bye()
        refused(p, user="scram_user", password=WRONG)
        p.raw(user="scram_user", password=SECRET).bye()


# ---- passwords --------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["text", "plain"])
def test_odd_passwords_from_the_file(auth, kind):
    p = auth(passwd="# no comment\n\nbad line\n" + entry(kind, "odd_user", ODD)
             + entry(kind, "odd_user", "second line is not looked at"))
    works(p.raw(user="odd_user", password=ODD), "odd_user")
    refused(p, user="odd_user", password=ODD[:-1])


@pytest.mark.parametrize("rules", [None, "host all all all scram-sha-256\n"], ids=["demand", "hba"])
def test_encrypted_passwords(auth, rules):
    p = auth(start=False, passwd="", hba=rules, enable_pool_hba=bool(rules))
    p.write()
    key = p.environment["PGPOOLKEYFILE"]
    for user, secret in (("scram_user", SECRET), ("odd_user", ODD)):
        subprocess.run([p.binary, "pg_enc", "-k", key, "-f", p.conf_file, "-m", "-u", user,
                        secret], check=True, timeout=20)
    with open(f"{p.folder}/pool_passwd") as f:
        p.passwd = f.read()
    assert p.passwd.count(":AES") == 2
    p.start()
    works(p.raw(user="scram_user", password=SECRET), "scram_user")
    works(p.raw(user="odd_user", password=ODD), "odd_user")
    refused(p, user="scram_user", password=WRONG)
    assert SECRET not in p.log_text()

    with open(key, "w") as f:
        f.write("another key\n")
    p.reload()
    refused(p, user="scram_user", password=SECRET)
    assert p.wait_log(rf'pool_passwd:1: password of user "scram_user": .* "{key}"')
    os.unlink(key)
    p.reload()
    p.wait_log(rf'pool_passwd:2: password of user "odd_user": .* key file "{key}" cannot be used')


def test_passwords_from_the_environment(auth):
    p = auth(env={"APP_USERNAME": "scram_user", "APP_PASSWORD": SECRET,
                  "A_B_C_USERNAME": "odd_user", "A_B_C_PASSWORD": ODD})
    works(p.raw(user="scram_user", password=SECRET), "scram_user")
    works(p.raw(user="odd_user", password=ODD), "odd_user")
    refused(p, user="scram_user", password=WRONG)


def test_a_password_never_reaches_the_log(auth):
    p = auth(passwd=entry("text", "scram_user"), log_min_messages="debug5", log_connections=True)
    p.raw(user="scram_user", password=SECRET).bye()
    refused(p, user="scram_user", password="hunter2")
    p.stop()
    assert SECRET not in p.log_text() and "hunter2" not in p.log_text()


def test_many_logins_at_once(auth):
    p = auth(passwd=entry("text", "scram_user") + entry("md5", "md5_user"), num_init_children=64)
    failed = []

    def login(i):
        user = ["scram_user", "md5_user", "trust_user"][i % 3]
        try:
            with p.connect(user=user, password=SECRET) as c:
                assert c.execute("SELECT current_user").fetchone() == (user,)
        except Exception as e:                      # told below, by the test's own thread
            failed.append(e)

    threads = [threading.Thread(target=login, args=(i,)) for i in range(60)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []


# ---- hostile exchanges ------------------------------------------------------------------------

def sasl(mechanism, data):
    return message("p", cstring(mechanism) + struct.pack("!I", len(data)) + data)


FIRST = b"n,,n=,r=clientnonceclientnonce"
BAD_FIRST = {
    "unknown mechanism": sasl("SCRAM-MD5", FIRST),
    "plus without tls": sasl("SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=,r=abcdefgh"),
    "channel binding": sasl("SCRAM-SHA-256", b"p=tls-server-end-point,,n=,r=abcdefgh"),
    "no nonce": sasl("SCRAM-SHA-256", b"n,,n="),
    "mandatory extension": sasl("SCRAM-SHA-256", b"n,,m=x,n=,r=abcdefgh"),
    "empty": message("p", b""),
    "no length": message("p", cstring("SCRAM-SHA-256")),
    "length lies": message("p", cstring("SCRAM-SHA-256") + struct.pack("!I", 1000) + FIRST),
    "great length": message("p", cstring("SCRAM-SHA-256") + struct.pack("!I", 0x7FFFFFFF)),
    "zero bytes": sasl("SCRAM-SHA-256", b"\0" * 30),
    "authzid": sasl("SCRAM-SHA-256", b"n,a=other,n=,r=abcdefgh"),
    "a query": wire.query("SELECT 1"),
    "terminate": wire.terminate(),
    "huge": message("p", b"x" * 200_000),
    "length below four": b"p\0\0\0\3",
    "announced gigabyte": b"p\x40\0\0\0",
}
BAD_FINAL = {
    "no proof": b"c=biws,r=%s",
    "short proof": b"c=biws,r=%s,p=AAAA",
    "bad base64": b"c=biws,r=%s,p=!!!!",
    "zero proof": b"c=biws,r=%s,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "wrong nonce": b"c=biws,r=x%s,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "wrong binding": b"c=eSws,r=%s,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "empty": b"",
}


def login_ends(w):
    """An error or nothing, then the end; never a success."""
    out = w.eof()
    assert all(m.type == "E" for m in out), out
    assert all(m.fields["S"] == "FATAL" and m.code in ("08P01", "28P01", "28000") for m in out), out


@pytest.fixture
def scram_proxy(auth):
    return auth(enable_pool_hba=True, hba="host all all all scram-sha-256\n",
                passwd=entry("text", "scram_user"))


@pytest.mark.parametrize("data", BAD_FIRST.values(), ids=BAD_FIRST.keys())
def test_bad_first_messages_of_scram(scram_proxy, data):
    w = scram_proxy.raw(login=False).startup(user="scram_user")
    assert w.read().body[:4] == struct.pack("!I", 10)
    w.send(data)
    if data == BAD_FIRST["announced gigabyte"]:
        login_ends(w)
        return
    with contextlib.suppress(OSError):
        w.sock.shutdown(socket.SHUT_WR)
    login_ends(w)
    works(scram_proxy.raw(user="scram_user", password=SECRET), "scram_user")


@pytest.mark.parametrize("data", BAD_FINAL.values(), ids=BAD_FINAL.keys())
def test_bad_final_messages_of_scram(scram_proxy, data):
    w = scram_proxy.raw(login=False).startup(user="scram_user")
    w.read()
    w.send(sasl("SCRAM-SHA-256", FIRST))
    m = w.read()
    nonce = m.body[4:].split(b",")[0][2:]
    assert nonce.startswith(b"clientnonce")
    w.send(message("p", data.replace(b"%s", nonce)))
    login_ends(w)


def test_the_challenge_of_an_unknown_user_looks_like_any(scram_proxy):
    def challenge(user):
        w = scram_proxy.raw(login=False).startup(user=user)
        w.read()
        w.send(sasl("SCRAM-SHA-256", FIRST))
        return dict(p.split(b"=", 1) for p in w.read().body[4:].split(b","))

    real, mock, again = challenge("scram_user"), challenge("ghost"), challenge("ghost")
    assert mock[b"s"] == again[b"s"] and mock[b"r"] != again[b"r"]
    assert len(mock[b"s"]) == len(real[b"s"]) and mock[b"i"] == real[b"i"]


def test_queries_before_the_password_are_not_run(auth):
    p = auth(passwd=entry("text", "scram_user"))
    w = p.raw(login=False)
    w.send(wire.startup(user="scram_user", database="app") + wire.query("SELECT 1"))
    out = w.eof()
    assert "D" not in [m.type for m in out]


# ---- time -------------------------------------------------------------------------------------

def test_authentication_timeout_covers_the_whole_login(auth):
    p = auth(authentication_timeout=1, passwd=entry("text", "scram_user"))
    begin = time.monotonic()
    silent = p.raw(login=False)
    half = p.raw(login=False)
    half.send(b"\0\0\0\x20\0\3")
    encrypted = p.raw(login=False)
    encrypted.send(wire.packet(wire.SSL_REQUEST))
    assert encrypted.take(1) == b"N"
    asked_ = p.raw(login=False).startup(user="scram_user")
    assert asked_.read().type == "R"
    session = p.raw(user="trust_user")
    for w in (silent, half, encrypted, asked_):
        w.eof()
    assert 0.9 < time.monotonic() - begin < 4
    assert wire.value(session.query("SELECT 1")) == "1"


def test_authentication_timeout_is_not_put_off_by_single_bytes(auth):
    p = auth(authentication_timeout=1)
    w = p.raw(login=False)
    begin = time.monotonic()
    data = wire.startup(user="trust_user", database="app", application_name="x" * 200)
    with pytest.raises(OSError):
        for i in range(len(data)):
            w.send(data[i:i + 1])
            if not w.silent(0.05):
                w.eof()
                raise ConnectionResetError
    assert time.monotonic() - begin < 4


def test_wrong_passwords_are_answered_quickly_and_leave_nothing(auth):
    p = auth(passwd=entry("text", "scram_user"))
    p.raw(user="scram_user", password=SECRET).bye()
    before = p.descriptors()
    for _ in range(20):
        with pytest.raises(psycopg.OperationalError):
            p.connect(user="scram_user", password=WRONG)
    wire.wait_until(lambda: p.descriptors() <= before, "closed descriptors")


