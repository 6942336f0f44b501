"""Does the baseline see gradients, learn from the source alone, and do the same every time?"""

import io
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

import affectflow as af
from affectflow.testing import StageFailed

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER))

from classifier import teachers  # noqa: E402
from gradients import CELL, grey, hog  # noqa: E402


def picture(kind: int, seed: int, mode: str = "RGB") -> bytes:
    """Stripes of one of three directions on noise, as PNG."""
    noise = np.random.default_rng(seed).integers(0, 80, (96, 96, 3), np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    for at in range(-96, 192, 16):
        ends = [((at, 0), (at, 96)), ((0, at), (96, at)), ((at, 0), (at + 96, 96))][kind]
        draw.line(ends, "white", 5)
    file = io.BytesIO()
    image.convert(mode).save(file, "PNG")
    return file.getvalue()


def rows(count: int = 60) -> pa.Table:
    """Labelled rows of the source and unlabelled ones of the target, of three kinds of stripes."""
    kinds = [row % 3 for row in range(count)]
    source = [row < count // 2 for row in range(count)]
    return pa.table(
        {
            "id": [f"r{row:04}" for row in range(count)],
            "image": pa.array([picture(kind, row) for row, kind in enumerate(kinds)], pa.binary()),
            "label": pa.array([kind if one else None for kind, one in zip(kinds, source)], pa.int32()),
            "domain": ["source" if one else "target" for one in source],
            "split": ["train" if one else "test" for one in source],
        }
    )


class Gradients(unittest.TestCase):
    def test_an_edge_has_the_orientation_across_it(self) -> None:
        step = np.zeros((32, 32))
        step[:, 16:] = 1
        found = hog(step, 9)
        self.assertEqual((found.shape, found.dtype), ((4, 4, 4, 9), np.float32))
        # Across: an angle of 0, half way between the first bin and the last.
        self.assertAlmostEqual(float(found[1, 1, 0, 0]), float(found[1, 1, 0, 8]), places=6)
        self.assertEqual(float(np.abs(found[..., 1:8]).max()), 0)
        turned = hog(step.T, 8)
        self.assertEqual(sorted(np.flatnonzero(turned[1, 1, 0])), [3, 4])

    def test_blocks_are_of_length_one_at_most(self) -> None:
        found = hog(np.random.default_rng(0).random((64, 64)), 9).astype(np.float64)
        self.assertGreater(found.min(), -1e-9)
        # A block is its four cells, each as that block sees it.
        block = [found[3, 3, 0], found[3, 4, 1], found[4, 3, 2], found[4, 4, 3]]
        self.assertAlmostEqual(sum(float((cell**2).sum()) for cell in block), 1, places=5)

    def test_light_and_contrast_do_not_count(self) -> None:
        pixels = np.random.default_rng(1).random((48, 48))
        np.testing.assert_allclose(hog(pixels, 9), hog(pixels * 0.5 + 0.2, 9), atol=1e-4)

    def test_nothing_to_see(self) -> None:
        self.assertEqual(float(np.abs(hog(np.full((16, 16), 0.3), 9)).max()), 0)

    def test_transparency_lies_on_white(self) -> None:
        file = io.BytesIO()
        Image.new("RGBA", (10, 20), (0, 0, 0, 0)).save(file, "PNG")
        self.assertTrue((grey(file.getvalue(), CELL) == 1).all())


class Teachers(unittest.TestCase):
    def test_labelled_source_rows_of_train_and_all(self) -> None:
        labels = [0, 1, None, 1, 0, 1]
        domains = ["source", "source", "source", "target", "source", "source"]
        splits = ["train", "all", "train", "train", "test", None]
        self.assertEqual(teachers(labels, domains, splits, 2).tolist(), [0, 1])

    def test_nothing_to_learn_from(self) -> None:
        with self.assertRaisesRegex(ValueError, "0 labelled rows of the source have 0 classes"):
            teachers([0], ["target"], ["train"], 2)
        with self.assertRaisesRegex(ValueError, "`label` is 2, and there are 2 classes"):
            teachers([0, 2], ["source"] * 2, ["train"] * 2, 2)


class Stages(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.plugin = af.testing.Plugin([sys.executable, FOLDER / "hog_baseline.py"], stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.plugin.close)
        cls.rows = rows()

    def seen(self, **how) -> pa.Table:
        answer = self.plugin.run("hog", {"cells": 4}, self.rows, **how)
        self.assertEqual(answer.failures, {})
        return answer.columns

    def learnt(self, columns: pa.Table, options: dict | None = None) -> pa.Table:
        table = self.rows.append_column(columns.schema.field("hog"), columns["hog"])
        return self.plugin.run("hog_baseline", {"classes": 3, **(options or {})}, table).columns

    def test_what_it_is_made_of(self) -> None:
        self.assertEqual(
            [one["name"] for one in self.plugin.hello["files"]], ["classifier.py", "gradients.py", "hog_baseline.py"]
        )
        self.assertEqual(
            set(self.plugin.hello["packages"]), {"numpy", "pillow", "pyarrow", "scikit-learn", "threadpoolctl"}
        )

    def test_a_picture_alone_decides(self) -> None:
        together = self.seen()
        for size in (1, 7):
            self.assertTrue(self.seen(rows_per_call=size).combine_chunks().equals(together))

    def test_it_learns(self) -> None:
        learnt = self.learnt(self.seen())
        self.assertEqual(learnt["prediction"].to_pylist(), [row % 3 for row in range(60)])
        sums = np.array(learnt["probabilities"].to_pylist()).sum(axis=1)
        np.testing.assert_allclose(sums, 1, atol=1e-5)

    def test_the_same_every_time(self) -> None:
        seen = self.seen()
        self.assertTrue(self.learnt(seen).equals(self.learnt(seen)))

    def test_labels_of_the_target_change_nothing(self) -> None:
        seen, before = self.seen(), self.rows
        learnt = self.learnt(seen)
        labels = pa.array([label if label is not None else 1 for label in before["label"].to_pylist()], pa.int32())
        try:
            type(self).rows = before.set_column(2, "label", labels)
            self.assertTrue(self.learnt(seen).equals(learnt))
        finally:
            type(self).rows = before

    def test_a_class_nobody_has(self) -> None:
        learnt = self.learnt(self.seen(), {"classes": 5})
        self.assertEqual({tuple(one[3:]) for one in learnt["probabilities"].to_pylist()}, {(0.0, 0.0)})

    def test_broken_pictures_go_to_quarantine(self) -> None:
        whole = picture(0, 0)
        broken = {"image": pa.array([whole, b"", None, b"no picture", whole[:200]], pa.binary())}
        answer = self.plugin.run("hog", {}, broken)
        self.assertEqual(sorted(answer.failures), [1, 2, 3, 4])
        for why in answer.failures.values():
            self.assertIn("the picture cannot be read", why)

    def test_grey_palette_and_alpha(self) -> None:
        modes = {"image": pa.array([picture(1, 5, mode) for mode in ("L", "P", "RGBA", "RGB")], pa.binary())}
        self.assertEqual(self.plugin.run("hog", {}, modes).failures, {})

    def test_features_that_are_missing(self) -> None:
        seen = self.seen()
        gone = pa.array([None, *seen["hog"].to_pylist()[1:]], seen.schema.field("hog").type)
        with self.assertRaisesRegex(StageFailed, "row `r0000` has no `hog`"):
            self.learnt(pa.Table.from_arrays([gone], schema=seen.schema))


if __name__ == "__main__":
    unittest.main()
