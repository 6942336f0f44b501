"""What are the gradients of a picture like, cell by cell? Histograms of oriented gradients, in numpy.

N. Dalal and B. Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005: gradients by central differences,
votes shared by the two nearest orientations, histograms of cells normalised within the four blocks of 2 x 2 cells around
them, clipped at 0.2 and normalised again. Unlike there, votes are not shared by neighbouring cells, and blocks that reach
over the border count it as empty.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

#: Side of a cell, in pixels.
CELL = 8

#: No value of a normalised block is larger.
CLIP = 0.2

EPSILON = 1e-6


def grey(picture: bytes, side: int) -> np.ndarray:
    """The picture upright on a white ground, as `side` x `side` grey values from 0 to 1."""
    with Image.open(io.BytesIO(picture)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
    ground = Image.new("RGBA", upright.size, "white")
    flat = Image.alpha_composite(ground, upright).convert("L")
    return np.asarray(flat.resize((side, side), Image.Resampling.BICUBIC), np.float64) / 255


def hog(pixels: np.ndarray, orientations: int) -> np.ndarray:
    """The descriptor of a square picture whose side is a multiple of `CELL`: [cells, cells, 4, orientations], float32."""
    return _normalised(_histograms(pixels, orientations)).astype(np.float32)


def _histograms(pixels: np.ndarray, orientations: int) -> np.ndarray:
    """Strength of the gradients by orientation: [cells, cells, orientations]."""
    down, right = np.gradient(pixels)
    strength = np.hypot(down, right)
    # Dark on light and light on dark are the same: orientations lie in half a turn.
    place = np.mod(np.arctan2(down, right), np.pi) / np.pi * orientations - 0.5
    lower = np.floor(place)
    share = place - lower
    cells = pixels.shape[0] // CELL
    along = np.arange(pixels.shape[0]) // CELL
    first = (along[:, None] * cells + along) * orientations
    votes = np.zeros(cells * cells * orientations)
    for orientation, weight in ((lower, 1 - share), (lower + 1, share)):
        bins = first + np.mod(orientation, orientations).astype(np.intp)
        votes += np.bincount(bins.ravel(), (strength * weight).ravel(), len(votes))
    return votes.reshape(cells, cells, orientations)


def _normalised(histograms: np.ndarray) -> np.ndarray:
    """Each cell as it looks in the four blocks that hold it: [cells, cells, 4, orientations]."""
    cells = histograms.shape[0]
    corners = [(down, right) for down in (0, 1) for right in (0, 1)]
    padded = np.pad(histograms, ((1, 1), (1, 1), (0, 0)))
    reach = cells + 1
    blocks = np.stack([padded[down : down + reach, right : right + reach] for down, right in corners], axis=2)
    blocks = _unit(np.minimum(_unit(blocks), CLIP))
    seen = [
        blocks[1 - down : reach - down, 1 - right : reach - right, corner]
        for corner, (down, right) in enumerate(corners)
    ]
    return np.stack(seen, axis=2)


def _unit(blocks: np.ndarray) -> np.ndarray:
    """Blocks of length 1, those without any gradient of length 0."""
    return blocks / np.sqrt((blocks**2).sum(axis=(2, 3), keepdims=True) + EPSILON**2)
