"""The names in a startup packet: whoever is let in is who PostgreSQL takes them for."""

import struct

import pytest

import wire
from test_auth import SCRAM_HBA, SECRET, asked, auth, nodes, refused       # noqa: F401
from wire import V3_0, LoginError, bind, close, describe, execute, parse, startup_list, sync

WHO = "SELECT session_user, current_user, current_database(), current_setting('work_mem')"


def arrive(target, *options, password=SECRET, user="app"):
    """A session that begins with exactly these options, in this order."""
    w = target.raw(login=False)
    w.send(startup_list(V3_0, options))
    w.greeting = w.authenticate(user, password)
    return w


def who(target, *options):
    """Who that is, or PostgreSQL's refusal."""
    try:
        w = arrive(target, *options)
        if wire.errors(got := w.query(WHO)):
            return wire.errors(got)
    except LoginError as e:
        return e.code, e.fields["M"]
    return wire.rows(got)


APP = (("user", "app"), ("database", "app"))
PACKETS = {
    "USER": (*APP, ("USER", "postgres")),
    "User first": (("User", "postgres"), *APP),
    "USER alone": (("USER", "postgres"), ("database", "app")),
    "DATABASE": (*APP, ("DATABASE", "template1")),
    "dataBase without database": (("user", "app"), ("dataBase", "template1")),
    "OPTIONS": (*APP, ("OPTIONS", "-c work_mem=7MB")),
    "Options beside options": (*APP, ("options", "-c work_mem=8MB"), ("Options", "-c work_mem=7MB")),
    "REPLICATION": (*APP, ("REPLICATION", "database")),
    "Replication": (*APP, ("Replication", "true")),
    "_PQ_.": (*APP, ("_PQ_.odd", "1")),
    "user twice": (("user", "postgres"), *APP),
    "user twice, the other last": (*APP, ("user", "postgres")),
    "database twice": (*APP, ("database", "template1")),
    "options twice": (*APP, ("options", "-c work_mem=7MB"), ("options", "-c work_mem=8MB")),
    "a parameter twice": (*APP, ("work_mem", "7MB"), ("WORK_MEM", "8MB")),
    "a parameter in capitals": (*APP, ("WORK_MEM", "7MB")),
    "session_authorization": (*APP, ("session_authorization", "postgres")),
    "role": (*APP, ("Role", "postgres")),
    "is_superuser": (*APP, ("is_superuser", "on")),
    "no such parameter": (*APP, ("no_such", "1")),
}


@pytest.mark.parametrize("pooled", [False, True], ids=["", "pooled"])
@pytest.mark.parametrize("hba", [False, True], ids=["", "hba"])
@pytest.mark.parametrize("packet", PACKETS)
def test_it_means_what_it_means_to_postgresql(proxy, primary, packet, hba, pooled):
    p = proxy(enable_pool_hba=hba, hba="host all all all trust\n")
    if pooled:                                          # a server is there, and could be taken
        for user in ("app", "postgres"):
            arrive(p, ("user", user), ("database", "app")).bye()
    expect = who(primary, *PACKETS[packet])
    for _ in range(2):
        assert who(p, *PACKETS[packet]) == expect


@pytest.mark.proxy
@pytest.mark.parametrize("word", ["USER", "User", "uSER"])
def test_nobody_becomes_another_user_by_a_trusted_one(auth, word):              # noqa: F811
    p = auth(backend_require_auth="password,none")
    for victim in ("postgres", "password_user"):
        got = who(p, ("user", "trust_user"), ("database", "app"), (word, victim))
        assert got == ("42704", f'unrecognized configuration parameter "{word}"')
    refused(p, user="password_user", password="")
    assert asked(p.raw(user="password_user", password=SECRET)) == [3]


@pytest.mark.proxy
def test_what_is_asked_of_a_walsender_says_nothing_of_others(auth, nodes):      # noqa: F811
    """pg_hba.conf has a rule of its own for physical replication."""
    nodes[0].su("ALTER ROLE password_user REPLICATION")
    p = auth(passwd=f"password_user:TEXT{SECRET}\n", backend_require_auth="password,none")
    options = ("user", "password_user"), ("database", "app")
    for _ in range(2):
        w = arrive(p, *options, ("replication", "true"))
        assert asked(w) == []
        w.bye()
        with pytest.raises(LoginError):
            arrive(p, *options, user="password_user", password="wrong")
        w = arrive(p, *options, user="password_user")
        assert asked(w) == [3]
        w.bye()


# ---- names are cut ----------------------------------------------------------------------------

LONG = "l" * 63
ODD = "o" * 62 + "ö"                                        # 64 bytes, cut inside a character


@pytest.fixture(scope="module")
def long_names(primary):
    primary.su(f"CREATE ROLE {LONG} LOGIN PASSWORD '{SECRET}'")
    primary.su(f"CREATE DATABASE {LONG}")
    yield
    primary.su(f"DROP DATABASE {LONG}", dbname="postgres")
    primary.su(f"DROP ROLE {LONG}")


@pytest.mark.parametrize("user, database", [
    (LONG, "app"), (LONG + "x", "app"), (LONG + "é", "app"), (LONG + "y" * 4000, "app"),
    ("app", LONG + "x"), (LONG + "x", LONG + "y"), (LONG + "x", ""), ("app", ODD), (ODD, "app")],
    ids=lambda name: f"{name[:4]}{len(name)}")
def test_names_are_cut_as_postgresql_cuts_them(proxy, primary, long_names, user, database):
    p = proxy()
    packet = ("user", user), ("database", database)
    expect = who(primary, *packet)
    for _ in range(2):
        assert who(p, *packet) == expect


@pytest.mark.proxy
@pytest.mark.parametrize("rule", [f"host all {LONG} all reject", f"host {LONG} all all reject"])
def test_a_longer_name_passes_no_rule(proxy, long_names, rule):
    p = proxy(enable_pool_hba=True, hba=f"{rule}\nhost all all all trust\n")
    for name in (LONG, LONG + "x", LONG + "ö"):
        refused(p, ["28000"], user=name, database=name)


@pytest.mark.proxy
def test_a_longer_name_has_the_password_of_the_one_it_stands_for(proxy, long_names):
    p = proxy(enable_pool_hba=True, hba=SCRAM_HBA, passwd=f"{LONG}:TEXT{SECRET}\n")
    for name in (LONG, LONG + "x"):
        w = p.raw(user=name, password=SECRET)
        assert wire.value(w.query("SELECT current_user")) == LONG
        refused(p, user=name, password="wrong")


def replies(w, *batches):
    """Types of the replies, their rows, their errors."""
    out = []
    for batch in batches:
        got = w.ask(batch + sync())
        out.append((wire.types(got), wire.rows(got), wire.errors(got)))
    return out


def test_names_of_statements_are_cut(proxy, primary):
    first, second = LONG + "first", LONG + "second"
    batches = [
        parse(first, "SELECT 1"),
        parse(second, "SELECT 2"),                                          # 42P05
        bind("", second) + execute(),
        describe("S", LONG),
        close("S", second),
        bind("", first) + execute(),                                        # 26000
        parse(first, "SELECT 3") + bind("", second) + execute(),
        parse("other", "SELECT 4") + bind("", second) + execute() + bind("", "other") + execute(),
        close("S", LONG) + parse(second, "SELECT 5") + bind("", first) + execute(),
    ]
    expect = replies(primary.raw(), *batches)
    assert [rows for _, rows, _ in expect if rows] == [
        [[b"1"]], [[b"3"]], [[b"3"], [b"4"]], [[b"5"]]]
    assert replies(proxy().raw(), *batches) == expect


def test_names_of_statements_are_cut_in_sql_too(proxy, primary):
    long, other = LONG + "x", LONG + "y"
    expect, got = ([(wire.types(m), wire.rows(m)) for m in (
        w.query(f"PREPARE {long} AS SELECT 1"), w.ask(bind("", other) + execute() + sync()),
        w.query(f"DEALLOCATE {other}"), w.ask(bind("", other) + execute() + sync()))]
        for w in (primary.raw(), proxy().raw()))
    assert [t.replace("N", "") for t, _ in got] == [t.replace("N", "") for t, _ in expect]
    assert [r for _, r in got] == [r for _, r in expect]


def test_names_of_portals_are_cut(proxy, primary):
    first, second = LONG + "first", LONG + "second"
    batch = (parse("", "SELECT generate_series(1, 3)") + bind(first) + execute(second, 1)
             + execute(first, 1) + close("P", second) + execute(first))
    assert replies(proxy().raw(), batch) == replies(primary.raw(), batch)
    beyond = [bind(first, "s") + execute(second, 1), execute(LONG + "third", 1)]
    expect, got = [], []
    for w, out in ((primary.raw(), expect), (proxy().raw(), got)):
        w.ask(parse("s", "SELECT generate_series(1, 3)") + sync())
        w.query("BEGIN")
        out += replies(w, *beyond)
    assert got == expect


# ---- values ----------------------------------------------------------------------------------

VALUES = ["plain", "it's", "back\\slash", "\\'", "中\\", "中\\'); SELECT pg_catalog.set_config('role','x", "é",
          "\x7f\t\n", "a" * 3000]


@pytest.mark.proxy
@pytest.mark.parametrize("encoding", ["UTF8", "GBK", "SJIS", "BIG5", "GB18030"])
def test_values_reach_a_pooled_server_as_they_are(proxy, primary, encoding):
    """In some encodings a backslash can be the second byte of a character."""
    p = proxy(max_pool=1, num_init_children=1)
    client = (*APP, ("client_encoding", encoding))
    for value in VALUES:
        arrive(p, *client, ("my.value", "before")).bye()
        both = [arrive(t, *client, ("my.value", value)) for t in (primary, p)]
        expect, got = (wire.rows(w.query("SELECT current_setting('my.value')::bytea, session_user"
                                         if "\\" not in value else
                                         "SELECT length(current_setting('my.value')), session_user"))
                       for w in both)
        assert got == expect, value
        for w in both:
            w.bye()
