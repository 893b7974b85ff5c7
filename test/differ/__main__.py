"""make differ [SEED=..] [PROGRAMS=..]: random programs, or the kept ones that are named.

    python3 -m differ [--seed S] [--programs N] [--seconds N] [--trials N] [--show] [file ...]
"""

import argparse
import random
import sys
import time

from . import grammar
from .hunt import Hunt, kept, load
from .world import World


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--seed", default=str(random.SystemRandom().randrange(10 ** 6)))
    args.add_argument("--programs", type=int, default=2000)
    args.add_argument("--seconds", type=float)
    args.add_argument("--trials", type=int, default=200, help="for shrinking a finding")
    args.add_argument("--limit", type=int, default=2, help="findings of a kind that are shrunk")
    args.add_argument("--show", action="store_true", help="print the programs, do not play them")
    args.add_argument("--only", help="the number of one program of the seed")
    args.add_argument("files", nargs="*")
    args = args.parse_args()
    if args.show:
        for n in [args.only] if args.only else range(args.programs):
            print(f"# seed: {args.seed}.{n}\n{grammar.program(random.Random(f'{args.seed}.{n}'))}")
        return 0
    world = World()
    hunt = Hunt(world, lambda text: print(text, flush=True))
    try:
        if args.files:
            found = [f for f in map(hunt.replay, map(load, args.files)) if f]
            for f in found:
                print(f)
        else:
            print(f"seed {args.seed}", flush=True)
            hunt.learn(p for p in kept().values() if p.remark("fails"))
            found = hunt.hunt(args.seed, args.programs, args.trials, args.seconds, args.limit)
            print(f"seed {args.seed}: {len(found)} kinds of findings;",
                  ", ".join(f"{v} {k}" for k, v in hunt.counts.items()),
                  f"in {hunt.seconds:.0f} s; {len(world.renewed)} databases renewed")
    finally:
        world.close()
    return 1 if found else 0


sys.exit(main())
