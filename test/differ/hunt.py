"""Plays programs on both sides, and says where they differ."""

import glob
import os
import re
import time
from collections import Counter

import psycopg

from . import grammar
from .compare import GREETED, first_difference, told
from .program import INJECT, Program, Step, parse
from .run import Run
from .shrink import shrink

PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs")

TRIES = 5
# No difference, but the program did not come to its end: most likely PostgreSQL itself crashed.
TROUBLE = (OSError, EOFError, RuntimeError, psycopg.OperationalError)


class Finding:
    def __init__(self, program, difference, direct, proxied, seed=None):
        self.program, self.difference, self.seed = program, difference, seed
        self.direct, self.proxied = direct, proxied

    @property
    def place(self):
        """How and at what kind of message it differs: findings of one fault often share it."""
        steps, number = self.program.steps, self.difference.key[0]
        at = steps[number].messages if number < len(steps) else ("left",)
        return (self.difference.mark, tuple(map(shape, at)))

    @property
    def signature(self):
        """What tells a shrunk finding from others."""
        return (self.difference.mark, tuple(tuple(map(shape, s.messages))
                                            for s in self.program.steps))

    def __str__(self):
        steps, upto = len(self.program.steps), self.difference.key[0]
        seed = f"# seed: {self.seed}\n" if self.seed is not None else ""
        greeting = self.difference.mark[1] == GREETED
        return (f"{seed}{self.program}  differs: {self.difference}\n  direct:\n"
                f"{told(self.around(self.direct), steps, upto, greeting)}\n  through the proxy:\n"
                f"{told(self.around(self.proxied), steps, upto, greeting)}\n")

    def around(self, transcript):
        """Of what is left behind, only the difference is of interest."""
        steps, key = len(self.program.steps), self.difference.key
        out = {k: v for k, v in transcript.items() if k[0] < steps}
        if key[0] >= steps:
            other = self.proxied if transcript is self.direct else self.direct
            left = transcript.get(key, [])
            out[key] = [e for e in left if e not in other.get(key, [])] or left[:3]
        return out


def shape(message):
    """A message without its values and names."""
    text = re.sub(r"'[^']*'", "'x'", message)
    return " ".join(re.sub(r"\b\d+\b", "1", text).split()[:3])


class Hunt:
    def __init__(self, world, say=print):
        self.world, self.say = world, say
        self.counts, self.known = Counter(), set()

    def learn(self, programs):
        """Kept programs whose findings are not to be told again."""
        self.known |= {f.signature for f in map(self.replay, programs) if f}

    # -- one program

    def both(self, program, altered=None):
        """Transcripts of both sides; altered (a planted fault): what the proxied side plays."""
        direct = Run(self.world, self.world.direct, program)
        proxied = Run(self.world, self.world.proxied, altered or program, direct.play())
        proxied.play()
        if program.injects and self.world.mend():
            self.counts["harmed"] += 1
        self.world.put_back((direct.state, proxied.state))
        return direct.out, proxied.out

    def differs(self, program, altered=None):
        """A Finding, or None."""
        self.counts["played"] += 1
        direct, proxied = self.both(program, altered)
        difference = first_difference(direct, proxied, program)
        return difference and Finding(program, difference, direct, proxied)

    def steady(self, program):
        """PostgreSQL itself answers twice alike."""
        outs = []
        for _ in range(2):
            run = Run(self.world, self.world.direct, program)
            outs.append(run.play())
            self.world.put_back((run.state, self.world.proxied.base))
        return outs[0] == outs[1]

    def replay(self, program):
        """A kept program, as often as it asks for: a Finding or None."""
        for _ in range(int(program.remark("tries") or TRIES)):
            found = self.differs(program)
            if found:
                return found
        return None

    def small(self, finding, trials, seconds=40):
        """The shrunk finding, or None if it cannot be seen again."""
        mark, last = finding.difference.mark, {}

        def fails(program, times=1):
            for _ in range(times):
                found = self.differs(program)
                if found and found.difference.mark == mark:
                    last["found"] = found
                    return True
            return False
        # What the proxy knew of the catalog may matter: it has learned by now.
        unaware = Program([Step(INJECT, ("cold",)), *finding.program.steps])
        program = next((p for p in (finding.program, unaware) if fails(p, 4)), None)
        if not program:
            return None
        shrink(program, fails, trials, seconds)
        last["found"].seed = finding.seed
        return last["found"]

    # -- many

    def hunt(self, seed, programs, trials=200, seconds=None, limit=2):
        """Plays programs of that seed; the findings, shrunk, at most `limit` of a kind."""
        found, seen = [], Counter()
        begin = time.monotonic()
        for number in range(programs):
            left = begin + (seconds or 10 ** 9) - time.monotonic()
            if left < 0:
                break
            name = f"{seed}.{number}"
            program = grammar.of_seed(seed, number)
            self.counts["programs"] += 1
            try:
                finding = self.differs(program)
                if finding:
                    self.counts["differing"] += 1
                    finding.seed = name
                    seen[finding.place] += 1
                    if seen[finding.place] <= limit:
                        self.look_into(finding, found, trials, min(left, 40))
            except TROUBLE as e:
                self.counts["trouble"] += 1
                self.say(f"trouble ({e!r}):\n# seed: {name}\n{program}")
                self.world.recover()
        self.seconds = time.monotonic() - begin
        return found

    def look_into(self, finding, found, trials, seconds):
        if not self.steady(finding.program):
            self.counts["not deterministic"] += 1
            return
        small = self.small(finding, trials, seconds)
        if not small:
            self.counts["seen once"] += 1
            self.say(f"seen once:\n{finding}")
        elif small.signature in self.known:
            self.counts["known"] += 1
        else:
            self.known.add(small.signature)
            found.append(small)
            self.say(f"---- {len(found)}\n{small}")


def load(path):
    with open(path) as f:
        return parse(f.read())


def kept():
    """{name: program} of test/programs."""
    return {os.path.basename(p)[:-4]: load(p) for p in sorted(glob.glob(f"{PROGRAMS}/*.txt"))}


def keep(finding):
    """Saves it as a program that fails; its first lines are to be written by somebody who knows."""
    program, seed = finding.program, finding.seed or "given"
    remarks = [f"seed {seed}: {finding.difference}", f"fails: found by seed {seed}"]
    with open(f"{PROGRAMS}/seed_{seed}.txt", "w") as f:
        f.write(str(Program(program.steps, remarks)))
