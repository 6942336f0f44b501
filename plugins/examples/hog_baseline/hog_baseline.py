"""A baseline from before deep networks, as two stages: gradients of each picture, and a linear classifier on them.

`hog` treats pictures one by one, so each is cached on its own; `hog_baseline` needs all rows. The classifier takes any tensor
column: with `features: features` it learns from the statistics of `perceive`.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pyarrow as pa

import affectflow as af
from classifier import probabilities, teachers
from gradients import CELL, grey
from gradients import hog as descriptor


@af.map(
    reads={"image": "binary"},
    adds={
        "hog": af.Column(
            "tensor<float32>[{cells}, {cells}, 4, {orientations}]", "gradients by cell, block and orientation"
        )
    },
    rows_per_call=64,
    example="hog: { kind: hog, config: { cells: 12 } }",
)
def hog(
    rows: list[dict],
    *,
    cells: Annotated[int, af.Range(min=2, max=64), af.Unit("cells")] = 12,
    orientations: Annotated[int, af.Range(min=2, max=36)] = 9,
) -> list[np.ndarray | None]:
    """Histograms of oriented gradients of each picture

    cells: cells along a side, of 8 pixels each
    orientations: directions that are told apart, in half a turn
    """
    found: list[np.ndarray | None] = []
    for place, row in enumerate(rows):
        try:
            found.append(descriptor(grey(row["image"] or b"", cells * CELL), orientations))
        except Exception as error:  # noqa: BLE001 - Pillow raises a dozen kinds over broken files
            af.fail(place, f"the picture cannot be read: {error}")
            found.append(None)
    return found


@af.table(
    reads={af.option("features"): "tensor", "label": "int32", "domain": "utf8", "split": "utf8"},
    adds={
        "prediction": af.Column("int32", "likeliest class"),
        "probabilities": af.Column("tensor<float32>[{classes}]", "probability of each class"),
    },
    example="hog_baseline: { kind: hog_baseline, config: { features: hog } }",
)
def hog_baseline(
    rows: pa.Table,
    *,
    features: str = "hog",
    classes: Annotated[int, af.Range(min=2)] = 6,
    strength: Annotated[float, af.Range(min=1e-9)] = 0.001,
    steps: Annotated[int, af.Range(min=1)] = 1000,
) -> dict[str, np.ndarray]:
    """Predicts every row with a logistic regression, learnt from the labels of the source

    features: tensor column to learn from
    classes: number of classes, as `label` counts them
    strength: inverse of the regularisation
    steps: most iterations of the solver
    """
    missing = np.flatnonzero(rows[features].is_null())
    if len(missing):
        raise ValueError(f"row `{rows['id'][int(missing[0])]}` has no `{features}`")
    labels = rows["label"].to_pylist()
    taught = teachers(labels, rows["domain"].to_pylist(), rows["split"].to_pylist(), classes)
    flat = af.tensor(rows, features).reshape(rows.num_rows, -1).astype(np.float64)
    found = probabilities(flat, taught, np.array([labels[row] for row in taught]), classes, strength, steps)
    return {"prediction": found.argmax(axis=1).astype(np.int32), "probabilities": found}


if __name__ == "__main__":
    af.main()
