"""Programs: lists of steps, and the text form that they are read, printed and kept in.

    # anything                      what was wrong (first line), and remarks
    # fails: why                    it still differs
    # tries: 20                     it differs now and then only: play it up to so many times
    1 Q SELECT 1                    session 1 sends a Query and waits for the answer
    2 P s=SELECT $1 | B p=s 7 | E p | S     four messages in one write
    1+ Q BEGIN                      held back, and sent in one write with session 1's next step
    ! cut 2                         the second message from here to reach the replica meets a cut
    ! cold, ! rest                  the proxy forgets the catalog; it is given time for what it asks

Messages: Q text; P name=text (P name:23:25=text with types); B portal=name values.. (b: results in
binary; \\N is NULL); D S name, D P name; E portal:limit; C S name, C P name; H; S; F oid values..;
d copy data (with \\n, \\t); c; f why.  Alone in a step: L user=.. name=value.. (login; without it a
session logs in as app), X (goodbye; the session's next step logs in again), K (a cancel request).
"""

import re
import shlex
from typing import NamedTuple

import wire

INJECT = 0                              # the session number of steps that begin with !

# No statement of this name is described: PostgreSQL 15.18 crashes when that is asked of a prepared
# FETCH whose cursor is gone.
UNASKED = "f"


class Step(NamedTuple):
    session: int
    messages: tuple
    held: bool = False

    def __str__(self):
        who = "!" if self.session == INJECT else f"{self.session}{'+' if self.held else ''}"
        return f"{who} {' | '.join(self.messages)}"

    @property
    def kinds(self):
        return "".join(m[0] for m in self.messages) if self.session else "!"


class Program:
    """steps, and the remarks in front of them."""

    def __init__(self, steps, remarks=()):
        self.steps, self.remarks = list(steps), list(remarks)

    def __str__(self):
        return "".join(f"{line}\n" for line in [*(f"# {r}" for r in self.remarks), *self.steps])

    def remark(self, word):
        """The text behind "# word:", or None."""
        return next((r[len(word) + 1:].strip() for r in self.remarks if r.startswith(word + ":")),
                    None)

    @property
    def sessions(self):
        return sorted({s.session for s in self.steps} - {INJECT})

    @property
    def injects(self):
        return any(s.session == INJECT for s in self.steps)

    @property
    def keeps_snapshots(self):
        """It has transactions of one snapshot."""
        return any(re.search("(?i)repeatable read|serializable", m)
                   for s in self.steps for m in s.messages)

    @property
    def goes_on_with_portals(self):
        """It executes a portal that an earlier step has bound."""
        return any(s.messages and s.messages[0][0] == "E" for s in self.steps)

    @property
    def ends_sessions(self):
        """A login ends the one before."""
        return any(m[0] in "XL" for s in self.steps for m in s.messages)

    def mentions(self, word):
        return any(word in m for s in self.steps for m in s.messages)

    def statement_names(self):
        """Names of prepared statements, of both kinds."""
        text = "\n".join(m for s in self.steps for m in s.messages)
        return sorted((set(re.findall(r"\bP (\w+)[:=]", text))
                       | set(re.findall(r"(?i)\bPREPARE (\w+)", text))) - {"TRANSACTION", UNASKED})


def parse(text):
    steps, remarks = [], []
    for line in text.splitlines():
        if line.startswith("#"):
            remarks.append(line[1:].strip())
        elif line.strip():
            who, rest = line.strip().split(" ", 1)
            steps.append(Step(INJECT if who == "!" else int(who.rstrip("+")),
                              tuple(rest.split(" | ")), who.endswith("+")))
    return Program(steps, remarks)


# ---- messages as bytes ------------------------------------------------------------------------

def words(text):
    return [None if w == "\\N" else w for w in shlex.split(text.replace("\\N", "'\\N'"))]


def encode_parse(rest):
    name, types, sql = re.match(r"(\w*)((?::\d+)*)=(.*)", rest, re.S).groups()
    return wire.parse(name, sql, [int(t) for t in types.split(":")[1:]])


def encode_bind(rest, results=()):
    names, *params = words(rest)
    portal, statement = names.split("=")
    return wire.bind(portal, statement, params, results=results)


def encode_execute(rest):
    portal, _, limit = rest.partition(":")
    return wire.execute(portal, int(limit or 0))


def encode_call(rest):
    oid, *params = words(rest)
    return wire.function_call(int(oid), params)


def kind_and_name(rest):
    return rest[:1], rest[2:]


ENCODE = {
    "Q": wire.query,
    "P": encode_parse,
    "B": encode_bind,
    "b": lambda rest: encode_bind(rest, (1,)),
    "D": lambda rest: wire.describe(*kind_and_name(rest)),
    "E": encode_execute,
    "C": lambda rest: wire.close(*kind_and_name(rest)),
    "H": lambda rest: wire.flush(),
    "S": lambda rest: wire.sync(),
    "F": encode_call,
    "d": lambda rest: wire.copy_data(rest.replace("\\n", "\n").replace("\\t", "\t").encode()),
    "c": lambda rest: wire.copy_done(),
    "f": wire.copy_fail,
}


def encode(message):
    return ENCODE[message[0]](message[2:])
