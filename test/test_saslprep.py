"""Passwords that are more than ASCII: one key, however their characters were typed."""

import pytest

PASSWORDS = {
    "p_accent": "cafe\u0301", "p_composed": "caf\u00e9", "p_ligature": "\ufb01n",
    "p_wide": "\uff21bc", "p_roman": "x\u2168", "p_ordinal": "a\u00aa", "p_marks": "o\u0302\u0323",
    "p_hangul": "\u1112\u1161\u11ab", "p_kelvin": "\u212a\u212b", "p_soft": "a\u00adb",
    "p_space": "a\u00a0b\u3000c", "p_hebrew": "\u05d0\u05d1", "p_mixed": "\u05d0a\u0301",
    "p_emoji": "\U0001f600\ufe0f", "p_new": "\U0001f100\ufb01", "p_sign": "\u05d0\ufb29", "p_control": "\u00e9\u0085",
    "p_private": "\ue000e\u0301", "p_arabic": "\ufdfa",
}


@pytest.fixture
def people(primary):
    with primary.connect(user="postgres", dbname="app") as c:
        for name, password in PASSWORDS.items():
            c.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        yield list(PASSWORDS)
        for name in PASSWORDS:
            c.execute(f"DROP ROLE {name}")


@pytest.mark.proxy
@pytest.mark.parametrize("asks", ["scram-sha-256", "password"])
def test_they_fit_an_entry_in_clear(proxy, primary, people, asks):
    """The client's key is libpq's, PostgreSQL's verifier is its own: all three agree on the text."""
    entries = "".join(f"{u}:TEXT{p}\n" for u, p in PASSWORDS.items())
    p = proxy(passwd=entries, enable_pool_hba=True, allow_clear_text_frontend_auth=True,
              hba=f"host all all all {asks}\n")
    primary.rules("local all all trust\nhost all app,postgres all trust\nhost replication all all trust\n"
                  "host all all all scram-sha-256\n")
    primary.reload()
    try:
        for user in people:
            assert p.one("SELECT current_user::text", user=user, password=PASSWORDS[user]) == user
        if asks == "password":          # another way to type the same
            assert p.one("SELECT 1", user="p_composed", password=PASSWORDS["p_accent"]) == 1
            assert p.one("SELECT 1", user="p_ligature", password="fin") == 1
    finally:
        import pg
        primary.rules(pg.HBA)
        primary.reload()


@pytest.mark.proxy
def test_they_fit_postgresqls_verifier(proxy, primary, people):
    """An entry that is a copy of rolpassword: the key is only the client's."""
    rows = primary.su("SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'p\\_%'")
    p = proxy(passwd="".join(f"{u}:{v}\n" for u, v in rows), enable_pool_hba=True,
              allow_clear_text_frontend_auth=True, hba="host all all all password\n")
    for user in people:
        assert p.one("SELECT current_user::text", user=user, password=PASSWORDS[user]) == user
