#!/usr/bin/env python3
"""How fast is the engine beside DVC, Snakemake, Hugging Face datasets, pyarrow and plain arrow-rs?

    python benches/engine.py [BENCH...] [--turns 5] [--number N]

with the packages of `benches/requirements.txt`. Every bench asks ours and its peers in turns, in the same call; the first
turn is not counted. Medians are shown, with the spread of the clock and the processor time, since other programs that run
meanwhile change the first far more than the second. Without a BENCH all of them run.
"""

import argparse
import tempfile
from pathlib import Path

import changed
import idle
import lookups
import pass_through
import segments
import tensors

BENCHES = {bench.__name__: bench for bench in (idle, changed, lookups, pass_through, tensors, segments)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bench", nargs="*", help=", ".join(BENCHES))
    arguments.add_argument("--turns", type=int, default=5, help="measured turns of every side, after one unmeasured")
    arguments.add_argument("--number", type=int, help="how many stages, files or rows; the bench's own number otherwise")
    arguments.add_argument("--folder", help="where temporary folders are made; the system's place otherwise")
    given = arguments.parse_args()
    for name in given.bench or BENCHES:
        if name not in BENCHES:
            arguments.error(f"no bench `{name}`; there are {', '.join(BENCHES)}")
        bench = BENCHES[name]
        number = bench.NUMBER if given.number is None else given.number
        print(f"## {bench.__doc__.splitlines()[0]}\n")
        with tempfile.TemporaryDirectory(dir=given.folder, ignore_cleanup_errors=True) as folder:
            bench.measure(Path(folder), number, given.turns)


if __name__ == "__main__":
    main()
