"""A failing program in a few messages: steps are left out, then messages, then what is left is made
simpler, as long as it still fails in the same way."""

import re
import time

from .program import INJECT, Program, Step

SIMPLER = [             # pattern in a message, what is tried in its place
    (r"^Q (.*); ([^;]+)$", r"Q \1"),
    (r"^Q [^;]+; (.*)$", r"Q \1"),
    (r" ORDER BY [\w, ]+$", ""),
    (r" WHERE [^();|]+$", ""),
    (r"^Q BEGIN .+$", "Q BEGIN"),
    (r"^(! \w+|[\w-]+) [2-9]$", r"\1 1"),
]


def spans(count):
    """Ranges to leave out, the longest first."""
    size = count // 2 or 1
    while size:
        yield from ((at, at + size) for at in range(count - size, -1, -size))
        size //= 2


def without_steps(program):
    for a, b in spans(len(program.steps)):
        yield program.steps[:a] + program.steps[b:]


def without_messages(program):
    for i, s in enumerate(program.steps):
        if len(s.messages) > 1:
            for a, b in spans(len(s.messages)):
                left = s.messages[:a] + s.messages[b:]
                if left:
                    yield replaced(program, i, s._replace(messages=left))


def simplified(program):
    steps = program.steps
    for i, s in enumerate(steps):
        if s.held:
            yield replaced(program, i, s._replace(held=False))
        sql = next((m.split("=", 1)[1] for m in s.messages if m[0] == "P"), None)
        if sql and re.fullmatch("C?PD?[Bb]D?E[SH]?", s.kinds) and "$" not in sql:
            yield replaced(program, i, s._replace(messages=(f"Q {sql}",)))
        for j, m in enumerate(s.messages):
            for pattern, by in SIMPLER:
                text = re.sub(pattern, by, m)
                if text != m:
                    yield replaced(program, i, s._replace(
                        messages=s.messages[:j] + (text,) + s.messages[j + 1:]))
    for which in program.sessions[1:]:
        yield [s._replace(session=program.sessions[0]) if s.session == which else s for s in steps]
    if program.sessions and program.sessions != list(range(1, len(program.sessions) + 1)):
        number = {s: n for n, s in enumerate(program.sessions, 1)}
        yield [s if s.session == INJECT else s._replace(session=number[s.session]) for s in steps]


def replaced(program, at, step):
    return program.steps[:at] + [Step(*step)] + program.steps[at + 1:]


def shrink(program, fails, trials=200, seconds=40):
    """The smallest program found that fails(program) still finds failing."""
    end = time.monotonic() + seconds
    for ways in (without_steps, without_messages, simplified) * 3:
        before = str(program)
        again = True
        while again and trials > 0 and time.monotonic() < end:
            again = False
            for steps in ways(program):
                smaller = Program(steps)
                if trials <= 0 or time.monotonic() > end:
                    break
                trials -= 1
                if smaller.sessions and fails(smaller):
                    program, again = smaller, True
                    break
        if ways is simplified and str(program) == before:
            break
    return program
