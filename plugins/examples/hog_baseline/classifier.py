"""Which class does a linear classifier see, if it learns from the source's labels alone? Logistic regression.

The rows that teach are those of `adapt`: of the source, with a label, in split `train` or `all`. Labels of the target are
never read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

SOURCE = "source"
TEACHING = ("train", "all")


def teachers(
    labels: Sequence[int | None], domains: Sequence[str | None], splits: Sequence[str | None], classes: int
) -> np.ndarray:
    """Places of the rows that teach; `ValueError` where there is nothing to learn from them."""
    rows = [
        row
        for row, (label, domain, split) in enumerate(zip(labels, domains, splits))
        if label is not None and domain == SOURCE and split in TEACHING
    ]
    seen = {labels[row] for row in rows}
    beyond = [label for label in sorted(seen) if not 0 <= label < classes]
    if beyond:
        raise ValueError(f"`label` is {beyond[0]}, and there are {classes} classes (option `classes`)")
    if len(seen) < 2:
        raise ValueError(f"{len(rows)} labelled rows of the source have {len(seen)} classes; two at least are needed")
    return np.array(rows)


def probabilities(
    features: np.ndarray, rows: np.ndarray, labels: np.ndarray, classes: int, strength: float, steps: int
) -> np.ndarray:
    """Probability of each class for every row: [rows, classes], float32.

    features: [rows, values]; rows, labels: those that teach, and their classes
    strength: inverse of the regularisation; steps: most iterations
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=steps))
    # Sums over several threads are added in another order each time.
    with threadpool_limits(1):
        model.fit(features[rows], labels)
        given = model.predict_proba(features)
    found = np.zeros((len(features), classes), np.float32)
    found[:, model.classes_] = given
    return found
