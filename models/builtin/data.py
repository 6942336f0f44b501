"""Which pictures and captions are the networks trained on?

Only what the generator crate exports: PNG pictures and captions.jsonl. Emotion labels are in that file and are
never read here. Decoded pictures are kept as one uint8 array [N, 128, 128, 3] beside the PNGs.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from settings import HELD_OUT_COUNT, HELD_OUT_SEED, SIDE, TRAIN_COUNT, TRAIN_SEED
from tools import log

ROOT = Path(__file__).resolve().parents[2]


def export(folder, count, seed):
    """Ask the generator for `count` pictures of each domain, unless they are there"""
    if (folder / "captions.jsonl").exists():
        return
    log("data", f"exporting {count} pictures a domain with seed {seed}")
    subprocess.run(["cargo", "run", "-q", "-p", "affectflow-synthetic", "--example", "export", "--", "--out",
                    str(folder), "--domain", "both", "--count", str(count), "--seed", str(seed)],
                   cwd=ROOT, check=True)


class Pictures:
    """Pixels, captions and domains of one exported folder"""

    def __init__(self, folder):
        rows = [json.loads(line) for line in (folder / "captions.jsonl").read_text().splitlines()]
        self.captions = [row["caption"] for row in rows]
        self.domains = [row["domain"] for row in rows]
        packed = folder / "pixels.npy"
        if not packed.exists():
            log("data", f"packing {len(rows)} pictures")
            pixels = np.stack([np.asarray(Image.open(folder / row["file"]).convert("RGB")) for row in rows])
            assert pixels.shape[1:] == (SIDE, SIDE, 3), pixels.shape
            part = packed.with_name(f"pixels-{os.getpid()}.npy")
            np.save(part, pixels)
            part.replace(packed)
        self.pixels = torch.from_numpy(np.load(packed, mmap_mode="c"))

    def __len__(self):
        return len(self.captions)

    def images(self, indices):
        """Pictures as float32 in 0..1, [B, 3, 128, 128]"""
        return self.pixels[torch.as_tensor(indices)].permute(0, 3, 1, 2).float() / 255

    def of(self, domain):
        return [i for i, d in enumerate(self.domains) if d == domain]


def load(folder):
    """The training pictures and the held-out ones"""
    folder = Path(folder)
    export(folder / "train", TRAIN_COUNT, TRAIN_SEED)
    export(folder / "held-out", HELD_OUT_COUNT, HELD_OUT_SEED)
    return Pictures(folder / "train"), Pictures(folder / "held-out")


class Shuffled:
    """Endless batches of indices, one seeded permutation after another"""

    def __init__(self, count, batch, seed):
        self.random = torch.Generator().manual_seed(seed)
        self.count, self.batch = count, batch
        self.order = torch.empty(0, dtype=torch.long)

    def __call__(self):
        if len(self.order) < self.batch:
            self.order = torch.cat([self.order, torch.randperm(self.count, generator=self.random)])
        taken, self.order = self.order[:self.batch], self.order[self.batch:]
        return taken
