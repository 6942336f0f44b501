"""Is every wrong answer of a stage told in words that help, and every right one taken?"""

import datetime
import unittest
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from affectflow import datatypes, results
from affectflow.errors import ResultError
from affectflow.testing import StageFailed
from common import plugin

ROWS = pa.table({"id": ["a", "b", "c"], "n": [1, 2, 3]})


def fitted(kind: str, result: Any) -> list:
    """The column `m` of type `kind` out of a stage's result."""
    field = datatypes.field("m", kind)
    table = results.columns(result, ROWS, [field])
    assert table.schema.field("m") == field
    table.validate(full=True)
    return table["m"].to_pylist()


class Taken(unittest.TestCase):
    def check(self, kind: str, result: Any, wanted: list) -> None:
        with self.subTest(kind=kind, result=type(result).__name__):
            self.assertEqual(fitted(kind, result), wanted)

    def test_layouts_of_arrow(self) -> None:
        texts = ["x", None, "zz"]
        for layout in (pa.string(), pa.large_string(), pa.string_view()):
            self.check("utf8", pa.array(texts, layout), texts)
        self.check("utf8", pa.array(texts, pa.large_string()).dictionary_encode(), texts)
        for layout in (pa.binary(), pa.large_binary(), pa.binary(2)):
            self.check("binary", pa.array([b"ab", None, b"cd"], layout), [b"ab", None, b"cd"])
        for layout in (pa.large_list(pa.large_string()), pa.list_(pa.string(), 1), pa.list_view(pa.string())):
            self.check("list<utf8>", pa.array([["p"], None, ["q"]], layout), [["p"], None, ["q"]])
        self.check("int32", pa.nulls(3), [None] * 3)
        self.check("int32", pa.chunked_array([[1], [2, 3]]), [1, 2, 3])

    def test_widths_of_numbers(self) -> None:
        self.check("uint8", pa.array([1.0, 2.0, None]), [1, 2, None])
        self.check("float32", pa.array([1, 1 << 30, 3]), [1.0, float(1 << 30), 3.0])
        self.check("float16", np.array([0.5, 1, 2]), [0.5, 1.0, 2.0])
        self.check("int64", np.arange(3, dtype=np.uint8), [0, 1, 2])
        self.check("int32", [np.int64(1), None, 3], [1, None, 3])

    def test_values_of_python(self) -> None:
        self.check("bool", [True, None, False], [True, None, False])
        day = datetime.date(2026, 11, 23)
        self.check("date32", [day, None, day], [day, None, day])
        structs = [{"a": 1, "b": "x"}, None, {"a": 2, "b": None}]
        self.check("struct<a: int32, b: utf8>", structs, structs)
        self.check("struct<a: int32, b: utf8>", [one and {"m": one} for one in structs], structs)
        self.check("list<int16>", ([1], [], None), [[1], [], None])
        self.check("list<utf8>", [[], [], None], [[], [], None])

    def test_a_struct_comes_out_as_it_would_alone(self) -> None:
        given = [{"a": 1}, {"b": "x", "a": 2.0}, {}]
        whole = [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": None, "b": None}]
        self.check("struct<a: int32, b: utf8>", given, whole)
        self.check("list<struct<a: int32, b: utf8>>", [[one] for one in given], [[one] for one in whole])
        self.check("struct<a: int32, b: utf8>", pa.array(given), whole)
        self.check("int32", [None, None, None], [None] * 3)

    def test_frames(self) -> None:
        self.check("uint32", pl.DataFrame({"m": [1, None, 3]}), [1, None, 3])
        self.check("utf8", pl.DataFrame({"m": pl.Series(["a", "b", None], dtype=pl.Categorical)}), ["a", "b", None])
        self.check("uint32", pd.DataFrame({"m": [1, None, 3]}), [1, None, 3])
        self.check("utf8", pd.DataFrame({"m": pd.Categorical(["a", "b", None])}), ["a", "b", None])
        self.check("float32", pd.Series([1.5, None, 2.0]), [1.5, None, 2.0])
        self.check("utf8", pd.DataFrame({"m": pd.Series(["a", None, "c"], dtype=object)}), ["a", None, "c"])
        days = pd.Series(pd.to_datetime(["2026-11-23", None, "2026-01-01"]))
        self.check("date32", days, [datetime.date(2026, 11, 23), None, datetime.date(2026, 1, 1)])

    def test_what_was_read_may_come_back(self) -> None:
        self.check("int32", {"id": ["a", "b", "c"], "n": "anything", "m": [1, 2, 3]}, [1, 2, 3])

    def test_tensors(self) -> None:
        wanted = [[1.0, 2.0, 3.0, 4.0]] * 3
        square = np.array([[[1, 2], [3, 4]]] * 3)
        frame = pl.DataFrame({"m": square.astype(np.float64)})
        for result in (square, square.reshape(3, 4), list(square), square.tolist(), frame):
            self.check("tensor<float32>[2, 2]", result, wanted)
        self.check("tensor<float16>[2, 2]", pa.FixedSizeListArray.from_arrays(pa.array(square.reshape(-1)), 4), wanted)
        self.check("tensor<float32>[2, 2]", pa.array(square.reshape(3, 4).tolist()), wanted)
        self.check("tensor<float32>[2, 2]", pd.Series(list(square)), wanted)
        self.check("tensor<float32>[1]", [[1], None, np.array([2])], [[1.0], None, [2.0]])
        sliced = pa.FixedSizeListArray.from_arrays(pa.array(range(20)), 4)[1:4]
        self.check("tensor<float32>[4]", sliced, [[4.0, 5, 6, 7], [8.0, 9, 10, 11], [12.0, 13, 14, 15]])

    def test_rows_that_failed_may_be_none(self) -> None:
        self.check("int32", [{"m": 1}, None, {"m": 3}], [1, None, 3])


class Refused(unittest.TestCase):
    def check(self, kind: str, result: Any, *words: str) -> None:
        with self.subTest(kind=kind, words=words), self.assertRaises(ResultError) as caught:
            fitted(kind, result)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_names(self) -> None:
        self.check("int32", {"k": [1, 2, 3]}, "column `m` is missing; it returned `k`")
        self.check("int32", {}, "column `m` is missing; it returned no column")
        self.check("int32", {"m": [1, 2, 3], "k": [1]}, "column `k` was not declared; `adds` has `m`")
        self.check("int32", pa.table([[1], [2]], names=["m", "m"]), "column `m` twice")
        self.check("int32", None, "it returned nothing, and the columns `m` were declared")
        self.check("int32", object(), "it returned a `object`")
        self.check("int32", [{"m": 1}, 2, 3], "a list of dicts and of something else")

    def test_lengths(self) -> None:
        self.check("int32", {"m": [1, 2]}, "column `m` has 2 values for 3 rows")
        self.check("int32", [{"m": 1}], "column `m` has 1 values for 3 rows")
        self.check("int32", {"m": 5}, "a single `int`")
        self.check("utf8", {"m": "abc"}, "a single `str`")
        self.check("int32", {"m": np.int64(5)}, "column `m` cannot become `int32`", "single value")

    def test_order(self) -> None:
        self.check("int32", {"id": ["b", "a", "c"], "m": [1, 2, 3]}, "another order", "`id`")

    def test_types(self) -> None:
        self.check("int32", ["1", "2", "3"], "column `m` cannot become `int32`: it is `utf8`")
        self.check("int32", [1.5, 2, 3], "cannot become `int32`", "1.5")
        self.check("uint8", [1, 300, 3], "cannot become `uint8`", "300")
        self.check("uint8", [1, -1, 3], "cannot become `uint8`", "-1")
        self.check("utf8", [1, 2, 3], "cannot become `utf8`: it is `int64`")
        self.check("bool", [1, 0, 1], "cannot become `bool`")
        self.check("int32", [True, False, None], "it is `bool`")
        self.check("utf8", [b"a", b"b", b"c"], "it is `binary`")
        self.check("int32", [1, "two", 3], "row 1")
        self.check("list<int32>", [["a"], [], []], "it is `list<utf8>`")
        self.check("struct<a: int32>", [None, {"b": 1}, None], "row 1: the struct has no field `b`")
        self.check("struct<a: int32>", [None, {"a": 1.5}, None], "row 1: `1.5` is no whole number")
        self.check("struct<a: int8>", [None, {"a": 300}, None], "row 1", "300")
        self.check("struct<a: utf8>", [{"a": b"x"}, None, None], "row 0: `b'x'` is no `string`")
        self.check("list<struct<a: utf8>>", [None, [3], None], "row 1: `3` is no dict")
        self.check("int32", [object(), 1, 2], "row 0")
        self.check("int32", pd.DataFrame({"m": ["x", "y", "z"]}), "cannot become `int32`")

    def test_tensors(self) -> None:
        kind = "tensor<float32>[2, 3]"
        self.check(kind, np.zeros((3, 3, 2)), "`tensor<float32>[2, 3]`", "shape [3, 3, 2]", "rows of [2, 3]")
        self.check(kind, [np.zeros((2, 3)), np.zeros(5), None], "row 1 has shape [5], and [2, 3] was declared")
        self.check(kind, [[["1"] * 3] * 2, None, None], "row 0 holds `<U1`")
        self.check(kind, ["a", "b", "c"], "cannot become `tensor<float32>[2, 3]`")
        self.check(kind, np.array(["a", "b", "c"]), "cannot become `tensor<float32>[2, 3]`")
        self.check(kind, pa.array([1, 2, 3]), "it is `int64`")


class OverTheProcess(unittest.TestCase):
    def test_the_stage_is_named(self) -> None:
        with plugin("answers.py") as process:
            for answer, words in (
                ("{'k': [1]}", "stage `evaluated`: column `m` is missing"),
                ("{'m': [1]}", "stage `evaluated`: column `m` has 1 values for 2 rows"),
                ("{'m': ['a', 'b']}", "stage `evaluated`: column `m` cannot become `int32`: it is `utf8`"),
            ):
                with self.assertRaises(StageFailed) as caught:
                    process.run("evaluated", {"answer": answer}, {"n": [1, 2]})
                self.assertIn(words, str(caught.exception))
                self.assertEqual(caught.exception.detail, "")

    def test_columns_named_by_options(self) -> None:
        with plugin("answers.py") as process:
            answer = process.run("named", {"names": ["x", "y"], "size": 3}, {"n": [1]})
        self.assertEqual(answer.columns.column_names, ["x", "y", "t"])
        self.assertEqual(answer.columns["t"].type.list_size, 3)


if __name__ == "__main__":
    unittest.main()
