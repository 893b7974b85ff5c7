"""What counts as the same.

An answer is kept as events: (type, text), as they are read in a report.  KNOWN is the one place
that lists what may differ between two runs of one program, and why.
"""

import itertools
import re
import struct
from typing import NamedTuple

KNOWN = [       # types of messages, pattern, what it is replaced by, reason
    ("EN", r"pg_temp_\d+", "pg_temp", "a temporary schema has the number of its backend"),
    ("EN", r"\b[Pp]rocess \d+", "process", "processes have other numbers"),
    ("EN", r"PID \d+", "PID", "processes have other numbers"),
    ("EN", r"\b(relation|object|transaction|database|tuple \(\d+,\d+\) of relation) \d+", r"\1",
     "a deadlock names objects by number"),
    ("E", r"unexpected message type 0x\w+ during COPY", "unexpected message type during COPY",
     "a message of ours that makes a statement may be the first one"),
    ("EN", r"of \d+ of database", "of N of database", "a deadlock names objects by number"),
    ("EN", r" R=(dropdb|RenameDatabase|createdb)$", "",
     "a session that has no connection to the primary is in the way all the same: we say so"),
    ("EN", r"[FL]=\S* ", "", "a line of PostgreSQL's source is no promise"),
    ("N", r'M=(schema "pg_temp"|table "\w+") does not exist, skipping', "M=skipping",
     "a connection had a temporary schema in an earlier session"),
    ("D", r"pg_temp_\d+", "pg_temp", "a temporary schema has the number of its backend"),
    ("D", r"^\{pg_temp,", "{", "a connection had a temporary schema in an earlier session"),
    ("D", r"pg_toast_\d+", "pg_toast", "a TOAST table has the number of its table"),
]

WAITS = ("waits", "")
WAITS_FOR_READER = ("waits", "for a reader")        # or as one
WAITS_AT_ITS_END = ("waits", "at its end")          # what runs then is up to the kernel's buffers
EMPTY = ("I", "")
SHOWN = "Dd"            # an answer that has begun with these cannot be taken back


def has_error(events, *words):
    return any(kind == "E" and all(w in text for w in words) for kind, text in events)


def without_numbers(events):
    return [(kind, re.sub(r"#\d+", "#", text)) for kind, text in events]


def canceled(events):
    return sum(kind == "E" and "C=57014" in text for kind, text in events)


def rows_sorted(events):
    """Rows that follow each other, without their order."""
    out = []
    for shown, run in itertools.groupby(events, lambda e: e[0] in SHOWN):
        out += sorted(run) if shown else run
    return out


def only_rows_differ(direct, proxied):
    return ([e for e in direct if e[0] not in SHOWN] == [e for e in proxied if e[0] not in SHOWN])


# Differences that may be: what tells of one from the program and the events of both sides, and why.
# What comes after it in a program may differ as well.
TOLERATED = [
    (lambda program, direct, proxied: WAITS_FOR_READER in direct,
     "a reader on the replica holds no lock on the primary, nor waits for one"),
    (lambda program, direct, proxied: direct[:1] == [WAITS] and program.keeps_snapshots
     and has_error(proxied, "C=25006"),
     "a write in a READ ONLY transaction of one snapshot that is on the replica is refused there, where"
     " nobody waits for the primary's locks"),
    (lambda program, direct, proxied: direct[:1] == [EMPTY] and has_error(proxied[:1], "C=25P02"),
     "a Bind that PostgreSQL refuses for its statement's changed result leaves an empty unnamed"
     " portal, which even a failed transaction executes; the proxy refuses such a Bind by itself"),
    (lambda program, direct, proxied: canceled(direct) != canceled(proxied)
     and canceled(direct) > 0 and canceled(proxied) > 0,
     "a postmaster signals twice for one cancel: the next statement may be hit, too"),
    (lambda program, direct, proxied: program.mentions("pg_backend_pid") and program.ends_sessions
     and without_numbers(direct) == without_numbers(proxied),
     "a process goes on for the next session"),
    (lambda program, direct, proxied: program.mentions("pg_backend_pid") and program.keeps_snapshots
     and without_numbers(direct) == without_numbers(proxied),
     "a READ ONLY transaction of one snapshot that is on the replica tells the process there, whose"
     " locks and activity it sees"),
    (lambda program, direct, proxied: program.keeps_snapshots and only_rows_differ(direct, proxied)
     and (program.mentions("pg_locks") or program.mentions("vk")),
     "the same of that process' locks: none of the primary's"),
    (lambda program, direct, proxied: program.keeps_snapshots and only_rows_differ(direct, proxied)
     and program.mentions("last_value"),
     "a standby knows a sequence by what the primary has logged ahead"),
    (lambda program, direct, proxied: program.mentions("pg_cursors") and ("D", "") in direct
     and [e for e in direct if e[0] not in "DsC"] == [e for e in proxied if e[0] not in "DsC"],
     "the unnamed portal of a read that is on the replica is none of the primary's cursors"),
    (lambda program, direct, proxied: program.mentions("pg_my_temp_schema")
     and only_rows_differ(direct, proxied), "a connection had a temporary schema in an earlier session"),
    (lambda program, direct, proxied: has_error(direct, "C=3F000", '"pg_temp"')
     and has_error(proxied, '"pg_temp.'), "a connection had a temporary schema in an earlier session"),
    (lambda program, direct, proxied: not program.mentions("ORDER BY")
     and rows_sorted(direct) == rows_sorted(proxied), "rows that nobody has ordered"),
    (lambda program, direct, proxied: program.keeps_snapshots and program.injects
     and has_error(proxied, "C=40001"),
     "nobody can make the snapshot again that a lost node had"),
    (lambda program, direct, proxied: program.keeps_snapshots and program.injects
     and direct == [e for e in proxied if e[0] != "S"],
     "what a failed transaction has set is taken back with a lost snapshot, whatever its savepoints"),
    (lambda program, direct, proxied: program.injects and program.goes_on_with_portals
     and (has_error(proxied, "S=FATAL", "C=57P01") or has_error(proxied, "S=FATAL", "C=08006")),
     "a portal goes with the node that has it, and the session with the portal"),
    (lambda program, direct, proxied: program.injects and has_error(proxied, "C=40001")
     and any(kind in SHOWN for kind, _ in proxied),
     "a row that was shown cannot be taken back when the node conflicts after it"),
    (lambda program, direct, proxied: program.keeps_snapshots
     and (has_error(proxied, "during recovery") or has_error(proxied, "C=40001", "is gone")
          or program.mentions("in_hot_standby") or program.mentions("in_recovery")),
     "a READ ONLY transaction of one snapshot is on the replica to its end, or to what only the"
     " primary can do"),
    (lambda program, direct, proxied: has_error(direct, "q=EXECUTE")
     and has_error(proxied, "C=26000", 'W=SQL statement "EXECUTE'),
     "code that executes a statement which PostgreSQL would not parse any more does not find it on"
     " a server that never had it: its EXECUTE fails by another error"),
    (lambda program, direct, proxied: has_error(direct, "C=0A000", "must not change result type",
                                                'W=SQL statement "EXECUTE'),
     "code that executes a statement whose columns DDL has changed since, on a server that never had"
     " it: the one that is made there has the new columns"),
    (lambda program, direct, proxied: (has_error(direct, "C=25P02", "R=exec_execute_message")
                                       or has_error(direct, "C=25P02", "R=exec_describe_portal"))
     and has_error(proxied, "C=34000", 'portal ""'),
     "in a failed transaction, the unnamed portal of a replica has gone with that one's part of it"),
    (lambda program, direct, proxied: ("n", "") in direct and ("n", "") not in proxied
     and program.mentions("=EXECUTE"),
     "an EXECUTE that was parsed before there was what it executes has no columns; on a server where"
     " it is made later it has"),
    (lambda program, direct, proxied: ("n", "") in direct
     and has_error(proxied, "C=25P02", "R=exec_describe_statement_message"),
     "in a failed transaction, a statement without columns is not made on a server that lacks it, only"
     " to be described"),
    (lambda program, direct, proxied: has_error(direct, "C=08P01", "bind message supplies")
     and any(has_error(proxied, code) for code in ("C=0A000", "C=25P02", "C=42P01")),
     "of two errors of one Bind the proxy finds another first"),
]
GREETED = "login"       # the type of the event with the parameters that a session begins with
NUMBERED = [    # pattern, reason: which of them are the same must be the same, not what they are
    (r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d+(\+\d\d)?", "times of the two runs"),
    (r"\bpid \d+", "processes have other numbers; programs say 'pid ' in front of one"),
]
FIRST_USER_OID = 16384
HIDDEN_FIELDS = "FL"


class Numbers(dict):
    """What NUMBERED finds in one transcript, in the order in which it came up."""

    def masked(self, text):
        for pattern, _ in NUMBERED:
            text = re.sub(pattern, lambda m: f"#{self.setdefault(m[0], len(self) + 1)}", text)
        return text


def event(m, numbers):
    """A message (wire.Message) as (type, text)."""
    try:
        text = SHOW.get(m.type, lambda m: m.body.decode(errors="replace"))(m)
    except (struct.error, ValueError):
        return "broken", f"{m.type} {m.body!r}"
    for types, pattern, by, _ in KNOWN:
        if m.type in types:
            text = re.sub(pattern, by, text)
    return m.type, numbers.masked(text)


def show_fields(m):
    return " ".join(f"{k}={v}" for k, v in m.fields.items() if k not in HIDDEN_FIELDS)


def show_columns(m):
    """Names and types; the numbers of tables, and of types that a program has made, differ."""
    count, at, out = struct.unpack_from("!H", m.body)[0], 2, []
    for _ in range(count):
        end = m.body.index(b"\0", at)
        table, column, kind, size, mod, fmt = struct.unpack_from("!IhIhih", m.body, end + 1)
        out.append(f"{m.body[at:end].decode()}({'own' if kind >= FIRST_USER_OID else kind}"
                   f"{',' + str(mod) if mod != -1 else ''}{',binary' if fmt else ''}"
                   f"{',table.' + str(column) if table else ''})")
        at = end + 19
    return " ".join(out)


def show_row(m):
    return "|".join("NULL" if v is None else
                    v.decode() if v.isascii() and v.decode().isprintable() else repr(v)
                    for v in m.row)


SHOW = {
    "T": show_columns, "D": show_row, "E": show_fields, "N": show_fields, "C": lambda m: m.tag,
    "A": lambda m: m.body[4:].replace(b"\0", b" ").decode(),
    "d": lambda m: repr(m.body.decode(errors="replace")),
}


class Difference(NamedTuple):
    kind: str           # one of KINDS, "left behind" or "message"
    key: tuple          # (number of the step, session)
    direct: list        # the events of that step
    proxied: list

    @property
    def mark(self):
        """What a shrunk program must still show: the kind and, for errors, which."""
        def brief(events, others):
            first = next((a for a, b in zip(events, others + [None] * 99) if a != b), ("-", ""))
            code = re.search(r"C=(\w+)", first[1]) if first[0] in "EN" else None
            return first[0] + (code[1] if code else "")
        return (self.kind, brief(self.direct, self.proxied), brief(self.proxied, self.direct))

    def __str__(self):
        return f"{self.kind} in step {self.key[0] + 1}, session {self.key[1]}"


# The first that one of both events has is the kind of the difference.
KINDS = {"hang": "hang", "waits": "wait", "broken": "broken message", "E": "error", "end": "end",
         "A": "notification", "N": "notice", "S": "report", GREETED: "report", "T": "columns",
         "D": "row", "C": "tag"}


def kind_of(direct, proxied, last):
    pairs = list(zip(direct + [("", "")] * 99, proxied + [("", "")] * 99))
    a, b = next(p for p in pairs if p[0] != p[1])
    if last and "hang" not in (a[0], b[0]):
        return "left behind"
    for kind, name in KINDS.items():
        if kind in (a[0], b[0]):
            return name
    return "message"


def another_victim(a, b, direct, proxied):
    """Both sides had a deadlock.  PostgreSQL ends the session that is the first to look for one, and
    each looks a second after it began to wait."""
    def dead(events):
        return has_error(events, "C=40P01")
    return dead(a) != dead(b) and all(any(map(dead, t.values())) for t in (direct, proxied))


def first_difference(direct, proxied, program):
    """Of two transcripts {key: events}; keys from the number of steps on are about what is left
    behind."""
    steps = len(program.steps)
    for key in sorted(set(direct) | set(proxied)):
        a, b = direct.get(key, []), proxied.get(key, [])
        if WAITS_FOR_READER in a or WAITS_AT_ITS_END in a:
            return None
        if a == b:
            continue
        if (any(is_it(program, a, b) for is_it, _ in TOLERATED)
                or another_victim(a, b, direct, proxied)):
            return None
        return Difference(kind_of(a, b, key[0] >= steps), key, a, b)
    return None


def told(transcript, steps, upto, greeting=False):
    """A transcript as it is printed below a program."""
    out = []
    for (number, session), events in sorted(transcript.items()):
        if number > upto:
            break
        where = f"{number + 1}" if number < steps else "end"
        lines = [f"    {where:>4} {session}: {kind} {text}"[:300] for kind, text in events
                 if greeting or kind != GREETED]
        out += lines if len(lines) < 25 else lines[:10] + ["         ..."] + lines[-10:]
    return "\n".join(out)
