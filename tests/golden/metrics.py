"""Writes stages/tests/golden/metrics.json: predictions and what scikit-learn says of them.

python tests/golden/metrics.py, with the packages of tests/golden/requirements.txt
"""

import json
import pathlib

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

CLASSES = 6
OUT = pathlib.Path(__file__).parents[2] / "stages/tests/golden/metrics.json"


def case(seed, rows, present, right):
    """Truth from the classes `present`, a share `right` of predictions correct, the rest anywhere."""
    draw = np.random.default_rng(seed)
    truth = draw.choice(present, rows)
    guess = np.where(draw.random(rows) < right, truth, draw.integers(0, CLASSES, rows))
    dataset = draw.choice(["x", "y"], rows)
    logits = draw.normal(size=(rows, CLASSES)) + 3 * np.eye(CLASSES)[guess]
    probabilities = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    prediction = probabilities.argmax(1)
    pseudo = np.where(draw.random(rows) < 0.6, np.where(draw.random(rows) < 0.7, truth, (truth + 1) % CLASSES), -1)
    labels = list(range(CLASSES))
    exact = probabilities.astype(np.float64)
    precision, recall, f1, support = precision_recall_fscore_support(truth, prediction, labels=labels, zero_division=0)
    seen = sorted(set(truth.tolist()))
    macro = lambda t, p: f1_score(t, p, labels=sorted(set(t.tolist())), average="macro", zero_division=0)
    taken = pseudo >= 0
    boot = np.random.default_rng(99)
    draws = [boot.integers(0, rows, rows) for _ in range(4000)]
    interval = lambda score: [float(q) for q in np.quantile([score(truth[d], prediction[d]) for d in draws], [0.025, 0.975])]
    return {
        "truth": truth.tolist(),
        "prediction": prediction.tolist(),
        "dataset": dataset.tolist(),
        "pseudo": pseudo.tolist(),
        "probabilities": [[float(p) for p in row] for row in probabilities],
        "accuracy": accuracy_score(truth, prediction),
        "macro_f1": f1_score(truth, prediction, labels=seen, average="macro", zero_division=0),
        "log_loss": log_loss(truth, exact / exact.sum(1, keepdims=True), labels=labels),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "confusion": confusion_matrix(truth, prediction, labels=labels).tolist(),
        "pseudo_label": {"accuracy": accuracy_score(truth[taken], pseudo[taken]), "coverage": float(taken.mean())},
        "ci95": {"accuracy": interval(accuracy_score), "macro_f1": interval(macro)},
        "by_dataset": {
            name: {
                "rows": int((dataset == name).sum()),
                "accuracy": accuracy_score(truth[dataset == name], prediction[dataset == name]),
                "macro_f1": macro(truth[dataset == name], prediction[dataset == name]),
            }
            for name in ["x", "y"]
        },
    }


def main():
    cases = [case(0, 90, range(CLASSES), 0.7), case(1, 40, [0, 1, 4], 0.5), case(2, 25, range(CLASSES), 0.0)]
    for made in cases:
        made["probabilities"] = [[round(p, 7) for p in row] for row in made["probabilities"]]
    OUT.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
