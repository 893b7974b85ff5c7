"""The differential tester (differ/): the programs that it has found, a short run with a new seed,
and the proof that it sees a difference of each kind."""

import os
import random

import pytest

import pg
from differ.compare import first_difference
from differ.hunt import Hunt, kept
from differ.program import Program, parse
from differ.world import World

pytestmark = pytest.mark.proxy
KEPT = kept()
SECONDS = int(os.environ.get("DIFFER_SECONDS", 40))


@pytest.fixture(scope="module")
def hunt():
    world = World()
    yield Hunt(world)
    world.close()


@pytest.mark.parametrize("name", KEPT)
def test_kept_program(hunt, name):
    if pg.VERSION < int(KEPT[name].remark("since") or 0):
        pytest.skip("PostgreSQL tells other things")
    found = hunt.replay(KEPT[name])
    fails = KEPT[name].remark("fails")
    if fails:
        assert found, f"this is mended: take the line out of programs/{name}.txt: fails: {fails}"
        pytest.xfail(fails)
    assert not found, str(found)


def test_new_programs(hunt):
    """While kept programs fail others will, and it is enough that the run comes to an end."""
    seed = str(random.SystemRandom().randrange(10 ** 6))
    print(f"make differ SEED={seed}")
    found = hunt.hunt(seed, 10 ** 6, trials=60, seconds=SECONDS, limit=1)
    print(dict(hunt.counts))
    assert hunt.counts["programs"] > 0
    if not any(p.remark("fails") for p in KEPT.values()):
        assert not found, "\n".join(map(str, found))


# A program, what the proxied side plays in its place, and how that must be seen to differ.
PLANTED = {
    "row": ("1 Q SELECT 1", "1 Q SELECT 2", "row"),
    "another number of rows": ("1 Q SELECT 1", "1 Q SELECT 1 LIMIT 0", "row"),
    "a row of a pipeline": ("1+ Q SELECT 1\n1+ Q SELECT 2\n1 Q SELECT 3",
                            "1+ Q SELECT 1\n1+ Q SELECT 4\n1 Q SELECT 3", "row"),
    "columns": ("1 Q SELECT 1 AS a", "1 Q SELECT 1 AS b", "columns"),
    "type": ("1 P =SELECT 1 | B = | D P | S", "1 P =SELECT '' | B = | D P | S", "columns"),
    "tag": ("1 Q BEGIN", "1 Q START TRANSACTION", "tag"),
    "error": ("1 Q SELECT 1/0", "1 Q SELECT 1%0", "error"),
    "error instead of a row": ("1 Q SELECT 1/1", "1 Q SELECT 1/0", "error"),
    "the words of an error": ("1 Q SELECT f_raise('a')", "1 Q SELECT f_raise('b')", "error"),
    "notice": ("1 Q DO $$BEGIN RAISE NOTICE 'a'; END$$", "1 Q DO $$BEGIN RAISE NOTICE 'b'; END$$",
               "notice"),
    "report": ("1 Q SET datestyle = 'German'", "1 Q SET datestyle = 'SQL'", "report"),
    "report at login": ("1 L datestyle=German", "1 L datestyle=SQL", "report"),
    "status": ("1 Q BEGIN; SELECT 1; COMMIT", "1 Q BEGIN; SELECT 1; COMMIT AND CHAIN", "message"),
    "copy data": ("1 Q COPY (SELECT 1) TO STDOUT", "1 Q COPY (SELECT 2) TO STDOUT", "message"),
    "notification": ("1 Q LISTEN ch\n2 Q NOTIFY ch, 'a'", "1 Q LISTEN ch\n2 Q NOTIFY ch, 'b'",
                     "left behind"),
    "hang": ("1 Q SELECT 1", "1 Q SELECT pg_sleep(9)", "hang"),
    "does not wait": ("1 Q SELECT pg_advisory_lock(7)\n2 Q SELECT pg_advisory_lock(7)",
                      "1 Q SELECT pg_advisory_lock(7)\n2 Q SELECT pg_advisory_lock(8)", "wait"),
    "end": ("1 Q DO $$BEGIN END$$",
            "1 Q DO $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END$$", "error"),
    "table": ("1 Q INSERT INTO u VALUES (3)", "1 Q INSERT INTO u VALUES (4)", "left behind"),
    "catalog": ("1 Q CREATE INDEX x ON t (v)", "1 Q CREATE INDEX x ON t (v, n)", None),
    "definition": ("1 Q CREATE TABLE tt (i int)", "1 Q CREATE TABLE tt (i text)", "left behind"),
    "sequence": ("1 Q DO $$BEGIN PERFORM nextval('sq'); END$$", "1 Q DO $$BEGIN END$$",
                 "left behind"),
    "setting": ("1 Q SET work_mem = '1MB'", "1 Q SET work_mem = '2MB'", "left behind"),
    "custom setting": ("1 Q SET my.x = 'a'", "1 Q SET my.x = 'b'", "left behind"),
    "role": ("1 Q SET ROLE reader", "1 Q SET ROLE writer", "left behind"),
    "prepared statement": ("1 P s1=SELECT 1 | S", "1 P s1=SELECT '' | S", "left behind"),
    "lock": ("1 Q DO $$BEGIN PERFORM pg_advisory_lock(1); END$$",
             "1 Q DO $$BEGIN PERFORM pg_advisory_lock(2); END$$", "left behind"),
    "open transaction": ("1 P =BEGIN | B = | E | S", "1 P =SET my.y = 1 | B = | E | S", "tag"),
    "role's settings": ("1 L user=boss\n1 Q ALTER ROLE other SET work_mem = '1MB'",
                        "1 L user=boss\n1 Q ALTER ROLE other SET work_mem = '2MB'", "left behind"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_difference_is_found(hunt, name):
    program, altered, kind = PLANTED[name]
    same = hunt.differs(parse(program))
    assert not same, str(same)
    found = hunt.differs(parse(program), parse(altered))
    assert found and kind in (found.difference.kind, None), str(found)
    assert hunt.differs(parse(program)) is None     # it was put back


@pytest.mark.parametrize("harm", ["cut", "cut-reply", "40001", "57P01", "down"])
def test_harm_is_done_and_over(hunt, harm):
    before = hunt.counts["harmed"]
    program = parse(f"! {harm} 1\n1 Q SELECT * FROM generate_series(1, 3)\n1 Q SELECT 1")
    assert hunt.differs(program) is None
    assert hunt.counts["harmed"] == before + 1
    assert hunt.differs(parse("1 Q SELECT current_setting('my.x', true)")) is None


def test_a_finding_shrinks(hunt):
    """Of a long program with one planted fault two messages are left."""
    text = ("1 Q BEGIN\n2 P s=SELECT 1 | B =s | E | S\n1 Q INSERT INTO w (v) VALUES ('a')\n"
            "1 Q COMMIT\n1 Q SELECT count(*) FROM t\n2 Q SELECT 7; SELECT 3 + 4\n1 Q SELECT 5\n")

    class Planted(Hunt):
        def both(self, program, altered=None):
            return super().both(program, Program(
                [s._replace(messages=tuple(m.replace("3 + 4", "3 + 5") for m in s.messages))
                 for s in program.steps]))
    planted = Planted(hunt.world)
    small = planted.small(planted.differs(parse(text)), 100)
    assert str(small.program) == "1 Q SELECT 3 + 4\n"


def test_text_form():
    text = ("# wrong\n# tries: 3\n1+ Q SELECT 'a b'\n"
            "2 P s:23=SELECT $1 | B p=s 'a b' \\N | E p:2 | S\n"
            "! cut 2\n1 d a\\tb\\n | c\n1 K\n")
    assert str(parse(text)) == text
    assert parse(text).remark("tries") == "3"
    assert parse(text).sessions == [1, 2]


def test_either_may_be_the_victim_of_a_deadlock():
    program = parse("1 Q SELECT 1\n2 Q SELECT 2")
    good, dead = [("C", "SELECT 1")], [("E", "S=ERROR C=40P01")]
    keys = {(0, 1): good, (1, 2): dead}
    assert first_difference(keys, {(0, 1): dead, (1, 2): good}, program) is None
    assert first_difference(keys, {(0, 1): good, (1, 2): good}, program)
    assert first_difference({(0, 1): good, (1, 2): good}, keys, program)
    assert first_difference(keys, {(0, 1): [("E", "S=ERROR C=42P01")], (1, 2): dead}, program)
