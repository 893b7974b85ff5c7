"""Extended messages without a Flush or Sync behind them: what PostgreSQL says at once, it says at once."""

import pytest

import wire
from wire import bind, describe, execute, parse, query, sync

FAULTS = {
    "parse": (parse("", "SELEC 1"), "42601"),
    "unknown relation": (parse("", "SELECT * FROM no_such_table"), "42P01"),
    "execute": (parse("", "SELECT 1 / $1") + bind("", "", [0]) + execute(), "22012"),
    "bind": (bind("", "no_such_statement"), "26000"),
    "behind others": (parse("a", "SELECT 1") + bind("", "a") + execute() + parse("b", "SELEC"), "42601"),
    "in front of a half": (parse("", "SELEC 1") + parse("c", "SELECT 1")[:7], "42601"),
}


@pytest.mark.parametrize("what", FAULTS)
@pytest.mark.parametrize("inside", [False, True], ids=["", "in a transaction"])
def test_an_error_is_told_before_the_sync(proxy, what, inside):
    w = proxy().raw(timeout=5)
    if inside:
        w.query("BEGIN")
        w.query("SELECT 1")
    sent, code = FAULTS[what]
    w.send(sent)
    assert wire.errors(w.until("E")) == [code]
    if what == "in front of a half":
        w.send(parse("c", "SELECT 1")[7:])
    w.send(sync())
    assert [m.type for m in w.reply()] == ["Z"]
    assert wire.errors(w.query("ROLLBACK" if inside else "SELECT 1")) == []
    assert wire.value(w.query("SELECT 1")) == "1"


def test_messages_that_come_one_by_one(proxy):
    """Slower than anybody waits for their end."""
    w = proxy().raw()
    for _ in range(2):
        for m in (parse("", "SELECT $1::int + 1"), bind("", "", [41]), describe("P", ""), execute()):
            w.send(m)
            w.silent(0.06)
        w.send(sync())
        out = w.reply()
        assert [m.type for m in out] == ["1", "2", "T", "D", "C", "Z"]
        assert wire.value(out) == "42"
        assert wire.value(w.query("SELECT 7")) == "7"


def test_a_query_that_comes_in_pieces(proxy):
    w = proxy().raw()
    text = query("SELECT 42")
    w.send(text[:9])
    w.silent(0.06)
    w.send(text[9:])
    assert wire.value(w.reply()) == "42"


@pytest.mark.proxy
def test_the_idle_limit_still_counts(proxy):
    """It shares the timer."""
    w = proxy(client_idle_limit=1).raw()
    w.send(parse("", "SELECT 1"))
    w.silent(0.06)
    w.send(sync())
    assert [m.type for m in w.reply()] == ["1", "Z"]
    assert w.eof()[-1].code == "57000"
