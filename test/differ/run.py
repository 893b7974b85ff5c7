"""Plays a program on one side, and writes down what came.

A transcript is {(number of the step, session): [events]}.  An answer that comes while another
session's step is played is written down with that step.  A step "waits" if it has not been answered
after a short time because its backend waits for a lock or for us; on the other side it then must
wait, too.  Reported parameters are compared as a state: what has changed at the end of the answer.
"""

import contextlib
import select
import shlex
import time

import wire

from .compare import GREETED, WAITS_AT_ITS_END, Numbers, event
from .program import INJECT, Step, encode

QUIET = 0.06            # seconds after which a step of the direct side may be waiting
LATE = 0.02             # what a waiting session is given after a step of another
PATIENCE = 8            # seconds after which the proxied side hangs where the direct side answered:
                        # DROP DATABASE waits 5 s for the sessions there to end
CANCEL_WITHIN = 0.5     # seconds in which a statement begins that is to be cancelled
COMPLETE = "12TntCsIGEZ3"       # messages that end the answer to one message
PRIMARY = "/*NO LOAD BALANCE*/ "

SETTINGS = ("my.x my.y work_mem search_path datestyle timezone role session_authorization"
            " enable_hashjoin statement_timeout bytea_output extra_float_digits intervalstyle"
            " default_transaction_isolation default_transaction_read_only lock_timeout"
            " row_security standard_conforming_strings").split()
# A custom name that has been set in vain reads '' from then on: kept programs tell of it, here it
# would hide all else.
ASK = "SELECT " + ", ".join(f"nullif(current_setting('{s}', true), '')" for s in SETTINGS)
CHANNELS = ("ch", "news")


class Session:
    """One connection, and what it owes us."""

    def __init__(self, target, database, options, numbers):
        self.wire, self.numbers = wire.Wire(target.address, 10), numbers
        self.closed, self.owed = False, 0
        self.told = {}                  # the parameters that were written down last
        self.flushed = False            # a Flush asks for answers
        self.wanted = 0                 # messages that it asks for, and the answers that have come
        self.parts = 0
        self.copies = 0                 # COPYs that wait for data, less the ends that were sent
        self.calls = []                 # notifications
        self.first = []
        try:
            self.wire.login(**{"user": "app", "database": database, **options})
            self.first = [event(m, numbers) for m in self.wire.greeting if m.type not in "RKSZ"]
        except wire.LoginError as e:
            self.first, self.closed = [event(e.error, numbers)], True
        except (OSError, EOFError) as e:
            self.first, self.closed = [("end", type(e).__name__)], True

    def send(self, messages):
        self.wanted = self.parts = 0
        for m in messages:
            if m[0] in "QFS":
                self.owed += 1
                self.wanted = 0
            elif m[0] in "PBbDEC":
                self.wanted += 1
        self.copies = max(self.copies, 0) - sum(m[0] in "cf" for m in messages)
        self.flushed = "H" in [m[0] for m in messages] and self.wanted > 0
        with contextlib.suppress(OSError):
            self.wire.send(b"".join(encode(m) for m in messages))

    def done(self):
        """Nothing is to be expected now."""
        if self.closed or (self.copies > 0 and self.owed <= 1):
            return True
        return self.owed <= 0 and (not self.flushed or self.parts >= self.wanted)

    def pull(self, seconds):
        """Messages that are there or come within that time, at least one of them, as events."""
        if self.closed:
            return []
        if not select.select([self.wire.sock], [], [], max(seconds, 0))[0]:
            return []
        try:
            got = self.wire.sock.recv(1 << 20)
        except OSError:
            got = b""
        if not got:
            self.closed = True
            return self.changed() + [("end", "the connection is closed")]
        self.wire.buffer += got
        out = []
        buffer = self.wire.buffer
        while len(buffer) >= 5 and len(buffer) >= 1 + int.from_bytes(buffer[1:5], "big"):
            out += self.take(self.wire.read())
        return out

    def take(self, m):
        if m.type == "S":
            name, value = m.parameter
            self.wire.parameters[name] = value
            return []
        if m.type == "A":
            self.calls.append(event(m, self.numbers))
            return []
        if m.type == "Z":
            self.owed -= 1
            self.parts = 0
            return (self.changed() if self.owed <= 0 else []) + [event(m, self.numbers)]
        if m.type in "GW":
            self.copies += 1
        if m.type == "E":
            self.copies, self.parts = min(self.copies, 0), 99
        if m.type in COMPLETE:
            self.parts += 1
        return [event(m, self.numbers)]

    def changed(self):
        now = self.wire.parameters
        out = [("S", f"{k}={v}") for k, v in sorted(now.items()) if self.told.get(k) != v]
        self.told = dict(now)
        return out


def epilogue(program):
    """Steps that show what sessions are left with."""
    out = []
    for s in program.sessions:
        out.append(Step(s, ("Q COMMIT",)))
        out += [Step(s, (f"D S {name}", "S")) for name in program.statement_names()]
        out += [Step(s, (f"Q {ASK}",)), Step(s, (f"Q {PRIMARY}{ASK}",))]
        if program.mentions("nextval") or program.mentions("f_next"):
            out.append(Step(s, (f"Q {PRIMARY}SELECT lastval()",)))
        if program.mentions("LISTEN"):
            out.append(Step(s, (f"Q {PRIMARY}SELECT pg_listening_channels() ORDER BY 1",)))
    return out


class Run:
    """One program on one side.  pace: the transcript of the direct side, if this is the other."""

    def __init__(self, world, side, program, pace=None):
        self.world, self.side, self.program, self.pace = world, side, program, pace
        self.sessions, self.options, self.held, self.out = {}, {}, {}, {}
        self.numbers = Numbers()

    def play(self):
        steps = self.program.steps
        for number, step in enumerate(steps):
            self.step(number, step)
        for number, step in enumerate(epilogue(self.program), len(steps)):
            self.step(number, step)
        self.leave(len(steps) + 1000)
        return self.out

    def step(self, number, step):
        if step.session == INJECT:
            if self.pace is not None:
                harm, *count = step.messages[0].split()
                if harm in ("cold", "rest"):
                    getattr(self.world, harm)()
                else:
                    self.world.relay.arm(harm, *map(int, count))
            return
        kind = step.kinds[0]
        if kind in "LXK":
            getattr(self, {"L": "log_in", "X": "bye", "K": "cancel"}[kind])(number, step)
            return
        s = self.session(number, step.session)
        messages = self.held.pop(step.session, ()) + step.messages
        if step.held:
            self.held[step.session] = messages
            return
        s.send(messages)
        self.note(number, step.session, self.answer(number, step.session, s))
        self.others(number, step.session)

    def note(self, number, session, events):
        if events:
            self.out.setdefault((number, session), []).extend(events)

    def session(self, number, which):
        if which not in self.sessions:
            s = Session(self.side.target, self.side.database, self.options.get(which, {}),
                        self.numbers)
            self.sessions[which] = s
            told = ", ".join(line for _, line in s.changed())
            self.note(number, which, s.first + [(GREETED, told)])
            # It keeps the values that it begins with from its first statement on.
            if not s.closed and (self.program.mentions("ALTER ROLE")
                                 or self.program.mentions("ALTER DATABASE")):
                s.wire.query(f"{PRIMARY}SELECT 1")
        return self.sessions[which]

    def expected(self, number, session):
        """The events of the direct side, if this is the other one."""
        return None if self.pace is None else self.pace.get((number, session), [])

    def answer(self, number, session, s):
        """What comes up to the end of the step's answer."""
        expected = self.expected(number, session)
        waits = next((e for e in expected or [] if e[0] == "waits"), None)
        patience = PATIENCE * max(s.owed, 1)
        out, end = [], time.monotonic() + (QUIET if expected is None else patience)
        seen = silent = False
        while not s.done():
            if waits and not silent and len(out) >= expected.index(waits):  # no more is to come
                end, silent = min(end, time.monotonic() + QUIET), True
            left = end - time.monotonic()
            if left > 0:
                out += s.pull(left)
            elif expected is not None:
                return out + [waits or ("hang", "")]
            elif (why := self.world.waiting(s.wire.pid)) and seen:
                out += s.pull(LATE)             # or it was about to answer
                if not s.done():
                    return out + [why]
            else:                               # on a busy machine it may not have begun
                seen = why is not None
                end = time.monotonic() + QUIET
        if s.copies > 0 or s.owed <= 0 and not s.flushed and not any(
                m[0] in "QSF" for m in self.program_messages(number)):
            # Nothing asks for an answer; an error may come all the same.
            end = time.monotonic() + (QUIET if expected is None else 0.3 if expected else LATE)
            while time.monotonic() < end and (expected is None or len(out) < len(expected)):
                out += s.pull(end - time.monotonic())
        if s.flushed and not s.closed:
            out += s.changed()
        return out

    def program_messages(self, number):
        return self.program.steps[number].messages if number < len(self.program.steps) else ("Q",)

    def others(self, number, session):
        """Sessions that waited may have been answered, as another session has moved."""
        for which, s in self.sessions.items():
            if which != session and not s.done():
                self.late(number, which, s)

    def late(self, number, which, s):
        expected = self.expected(number, which)
        end = time.monotonic() + (PATIENCE if expected else LATE)
        out = []
        while not s.done() and (left := end - time.monotonic()) > 0:
            got = s.pull(left)
            out += got
            if expected and len(out) >= len(expected):
                break
            if got and not expected:
                end = time.monotonic() + LATE
        self.note(number, which, out)

    # -- steps that are no messages

    def log_in(self, number, step):
        self.options[step.session] = dict(
            w.split("=", 1) for w in shlex.split(step.messages[0])[1:])
        self.bye(number, step)
        self.session(number, step.session)

    def bye(self, number, step):
        s = self.sessions.pop(step.session, None)
        messages = self.held.pop(step.session, ())
        if s and not s.closed:
            s.send(messages)
            s.owed = 0
            with contextlib.suppress(OSError):
                s.wire.send(wire.terminate())
            end = time.monotonic() + PATIENCE
            out = []
            while not s.closed and time.monotonic() < end:
                out += s.pull(end - time.monotonic())
            self.note(number, step.session, out + [WAITS_AT_ITS_END] * (not s.closed))
        if s:
            s.wire.shut()
        if self.pace is not None:
            self.world.rest()           # its connection is cleaned a moment after its end
        self.others(number, step.session)

    def cancel(self, number, step):
        s = self.session(number, step.session)
        messages = self.held.pop(step.session, ())
        if messages:
            s.send(messages)
        end = time.monotonic() + CANCEL_WITHIN
        while s.owed and not self.world.sleeps(self.side) and time.monotonic() < end:
            self.note(number, step.session, s.pull(0.002))
        try:
            wire.cancel_now(self.side.target.address, s.wire.pid, s.wire.key)
        except (OSError, AssertionError) as e:
            self.note(number, step.session, [("end", f"of the cancel: {type(e).__name__}")])
        self.note(number, step.session, self.answer(number, step.session, s))
        self.others(number, step.session)

    # -- what is left

    def leave(self, number):
        """Notifications, locks; then the sessions end, and the database is looked at."""
        if self.program.mentions("LISTEN"):
            self.notifications(number)
        self.note(number + 1, 0, self.side.locks())
        if self.pace is not None and self.program.mentions("lock"):
            self.note(number + 1, 0, self.world.replicas_locks())
        for s in self.sessions.values():
            with contextlib.suppress(OSError):
                if not s.closed:
                    s.wire.send(wire.terminate())
        for s in self.sessions.values():        # what waited for another one's lock runs to its end
            end = time.monotonic() + 2
            while not s.closed and (left := end - time.monotonic()) > 0:
                s.pull(left)
            s.wire.shut()
        self.state = self.side.state()
        self.note(number + 2, 0, [(what, self.numbers.masked(line or ""))
                                  for what, line in self.state])

    def notifications(self, number):
        """Each session hears the end of each channel that it listens to, and what came before."""
        for channel in CHANNELS:
            self.side.ask(f"NOTIFY {channel}, 'the end'")
        for which, s in self.sessions.items():
            if s.owed <= 0 and not s.closed:
                s.send([f"Q {PRIMARY}SELECT 'listens' FROM pg_listening_channels()"])
                end = time.monotonic() + PATIENCE
                rows = []
                while time.monotonic() < end and not (s.done() and rows.count(("D", "listens"))
                                                      <= sum("the end" in text for _, text in s.calls)):
                    rows += s.pull(end - time.monotonic())
            self.note(number, which, s.calls)
