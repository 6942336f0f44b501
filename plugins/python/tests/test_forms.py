"""Do rows arrive in every form, and does every form of answer go back?"""

import unittest

import pyarrow as pa

from common import plugin, with_features

TEXTS = ["abc", None, "", "häus"]
LENGTHS = [3, None, 0, 4]
KINDS = ["batch", "plain", "arrow_table", "polars_frame", "polars_lazy", "pandas_frame", "dicts", "columns", "arrays"]
TENSORS = ["tensor_batch", "tensor_polars", "tensor_pandas", "tensor_dicts", "tensor_arrays"]


class Forms(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.plugin = plugin("forms.py")
        cls.addClassCleanup(cls.plugin.close)

    def lengths(self, kind: str, texts: pa.Array) -> list:
        answer = self.plugin.run(kind, {}, {"text": texts})
        self.assertEqual(answer.columns.schema, pa.schema([("length", pa.int32())]))
        self.assertEqual(answer.failures, {})
        return answer.columns["length"].to_pylist()

    def test_every_form_gives_the_same(self) -> None:
        for kind in KINDS:
            with self.subTest(kind):
                self.assertEqual(self.lengths(kind, pa.array(TEXTS)), LENGTHS)

    def test_no_rows(self) -> None:
        for kind in KINDS:
            with self.subTest(kind):
                self.assertEqual(self.lengths(kind, pa.array([], pa.string())), [])

    def test_nothing_but_nulls(self) -> None:
        for kind in KINDS:
            with self.subTest(kind):
                self.assertEqual(self.lengths(kind, pa.array([None, None], pa.string())), [None, None])

    def test_slices_and_dictionaries(self) -> None:
        dictionary = pa.array(["xx", *TEXTS]).dictionary_encode()[1:]
        for kind in KINDS:
            with self.subTest(kind):
                self.assertEqual(self.lengths(kind, pa.array(["before", *TEXTS, "after"])[1:5]), LENGTHS)
                self.assertEqual(self.lengths(kind, dictionary), LENGTHS)
                self.assertEqual(self.lengths(kind, pa.array(TEXTS, pa.large_string())), LENGTHS)

    def test_calls_of_any_size_give_the_same(self) -> None:
        texts = ["w" * (row % 50) for row in range(1000)]
        for kind in KINDS:
            with self.subTest(kind):
                answers = [
                    self.plugin.run(kind, {}, {"text": texts}, rows_per_call=size).columns["length"].to_pylist()
                    for size in (1000, 7, 64)
                ]
                self.assertEqual(answers[0], [row % 50 for row in range(1000)])
                self.assertTrue(answers[0] == answers[1] == answers[2])

    def test_a_null_beside_it_changes_no_value(self) -> None:
        numbers, truths = [1, (1 << 53) + 1, None], [True, None, False]
        for kind in ("shown_pandas", "shown_arrays", "shown_dicts", "shown_polars"):
            with self.subTest(kind):
                rows = {"n": pa.array(numbers, pa.int64()), "b": pa.array(truths)}
                together, apart = (
                    self.plugin.run(kind, {}, rows, rows_per_call=size).columns["shown"].to_pylist() for size in (3, 1)
                )
                self.assertEqual(together, apart)
                self.assertTrue(together[1].startswith("9007199254740993 int"), together)

    def test_whole_numbers_go_both_ways(self) -> None:
        for kind in ("twice_pandas", "twice_arrays"):
            answer = self.plugin.run(kind, {}, {"n": pa.array([1, None, 1 << 60], pa.int64())})
            self.assertEqual(answer.columns["twice"].to_pylist(), [2, None, 1 << 61])

    def test_tensors(self) -> None:
        one, two = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[0.5, 0.0, 0.0], [0.0, 0.0, -1.0]]
        for kind in TENSORS:
            with self.subTest(kind):
                answer = self.plugin.run(kind, {}, with_features([one, two]))
                field = answer.columns.schema.field("doubled")
                self.assertEqual(field.metadata, {b"shape": b"[2, 3]"})
                self.assertEqual(str(field.type), "fixed_size_list<item: float not null>[6]")
                wanted = [[2.0, 4.0, 6.0, 8.0, 10.0, 12.0], [1.0, 0.0, 0.0, 0.0, 0.0, -2.0]]
                self.assertEqual(answer.columns["doubled"].to_pylist(), wanted)

    def test_tensors_that_are_null(self) -> None:
        one = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
        for kind in ("tensor_polars", "tensor_pandas", "tensor_dicts"):
            with self.subTest(kind):
                answer = self.plugin.run(kind, {}, with_features([None, one]))
                doubled = answer.columns["doubled"].to_pylist()
                self.assertEqual(doubled, [None, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]])

    def test_a_tensor_that_does_not_say_its_shape(self) -> None:
        rows = with_features([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
        unsaid = pa.schema([field.remove_metadata() for field in rows.schema])
        for kind in TENSORS:
            with self.subTest(kind):
                worker = self.plugin.open(kind, {}, rows.schema)
                answer = self.plugin.call(worker, rows.cast(unsaid))
                self.assertEqual(answer.columns["doubled"].to_pylist(), [[2.0, 4.0, 6.0, 8.0, 10.0, 12.0]])

    def test_a_table_is_one_call(self) -> None:
        answer = self.plugin.run("place", {}, {"text": ["a"] * 5000})
        self.assertEqual(answer.columns["place"].to_pylist(), list(range(5000)))
        self.assertEqual(self.plugin.kinds["place"]["shape"], "table")

    def test_rows_in_several_batches(self) -> None:
        chunked = pa.chunked_array([["a"], ["bb", None], []], pa.string())
        for kind in KINDS:
            with self.subTest(kind):
                self.assertEqual(self.lengths(kind, chunked), [1, 2, None])


if __name__ == "__main__":
    unittest.main()
