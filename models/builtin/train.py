#!/usr/bin/env python3
"""Build `builtin:tiny` from nothing: export pictures, train the four networks, write the model card.

    python models/builtin/train.py [--data DIR] [--out DIR] [--only PART...] [--warm] [--steps N] [--minutes M]

Captioner and text encoder (whose image tower is the captioner's) train beside the autoencoder, one thread each: on
small networks two processes of one thread beat one process of two. The denoiser needs the others and comes last.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = ["vlm", "vae", "text", "unet"]
HERE = Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "affectflow-builtin")
    parser.add_argument("--out", type=Path, default=HERE / "tiny")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="train these parts, here, one after another")
    parser.add_argument("--warm", action="store_true", help="start from the weights that are in place")
    parser.add_argument("--steps", type=int, help="other number of steps (with --only)")
    parser.add_argument("--minutes", type=float, help="other time limit (with --only)")
    parser.add_argument("--lr", type=float, help="other peak learning rate (with --only)")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def train_here(options):
    import importlib

    import torch

    import card
    import data
    torch.set_num_threads(options.threads)
    sets = data.load(options.data)
    changes = {k: getattr(options, k) for k in ("steps", "minutes", "lr") if getattr(options, k) is not None}
    for part in options.only:
        importlib.import_module(part).train(*sets, options.out, warm=options.warm, **changes)
        if (options.out / "figures.json").exists():
            import json
            if set(PARTS) <= set(json.loads((options.out / "figures.json").read_text())):
                card.write(options.out)


def train_all(options):
    import data
    start = time.time()
    data.load(options.data)
    shared = [sys.executable, __file__, "--data", options.data, "--out", options.out]
    quiet = dict(os.environ, OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    for side_by_side in ([["vlm", "text"], ["vae"]], [["unet"]]):
        runs = [subprocess.Popen([*map(str, shared), "--only", *parts], env=quiet) for parts in side_by_side]
        if any([run.wait() for run in runs]):
            return 1
    print(f"total {(time.time() - start) / 60:.1f} minutes", flush=True)
    return 0


if __name__ == "__main__":
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    sys.exit(train_here(options) if options.only else train_all(options))
