"""make differ [SEED=..] [PROGRAMS=..]: random programs, or the kept ones that are named.

    python3 -m differ [--seed S] [--programs N] [--seconds N] [--show] [--set name=value] [file ...]
"""

import argparse
import random
import sys

from . import grammar
from .hunt import Hunt, keep, kept, load
from .world import World


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--seed", default=str(random.SystemRandom().randrange(10 ** 6)))
    args.add_argument("--programs", type=int, default=2000)
    args.add_argument("--seconds", type=float)
    args.add_argument("--trials", type=int, default=200, help="for shrinking a finding")
    args.add_argument("--limit", type=int, default=2, help="findings of a kind that are shrunk")
    args.add_argument("--only", type=int, help="the number of one program of the seed")
    args.add_argument("--show", action="store_true", help="print the programs, do not play them")
    args.add_argument("--save", action="store_true", help="keep what is found in test/programs")
    args.add_argument("--alone", action="store_true", help="no proxy: any finding is our fault")
    args.add_argument("--calm", action="store_true", help="in a database whose code can do little")
    args.add_argument("--set", action="append", default=[], help="a parameter of pgpool.conf")
    args.add_argument("files", nargs="*", help="programs to be played instead")
    args = args.parse_args()
    if args.show:
        numbers = range(args.programs) if args.only is None else [args.only]
        for n in numbers:
            print(f"# seed: {args.seed}.{n}\n{grammar.of_seed(args.seed, n)}")
        return 0
    world = World(args.alone, args.calm, **dict(s.split("=", 1) for s in args.set))
    hunt = Hunt(world, lambda text: print(text, flush=True))
    try:
        if args.files or args.only is not None:
            programs = [*map(load, args.files)] or [grammar.of_seed(args.seed, args.only)]
            found = [f for f in map(hunt.replay, programs) if f]
            for f in found:
                print(f)
        else:
            print(f"seed {args.seed}", flush=True)
            if not args.alone:
                hunt.learn(p for p in kept().values() if p.remark("fails"))
            found = hunt.hunt(args.seed, args.programs, args.trials, args.seconds, args.limit)
            print(f"seed {args.seed}: {len(found)} kinds of findings;",
                  ", ".join(f"{v} {k}" for k, v in hunt.counts.items()),
                  f"in {hunt.seconds:.0f} s; {len(world.renewed)} databases renewed")
        if args.save:
            for f in found:
                keep(f)
    finally:
        world.close()
    return 1 if found else 0


sys.exit(main())
