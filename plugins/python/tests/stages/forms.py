"""The same stage in every form of rows: the length of a text, null where there is none."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

import affectflow as af

of_text = af.map(reads={"text": "utf8"}, adds={"length": "int32"})


@of_text
def batch(rows: pa.RecordBatch):
    assert isinstance(rows, pa.RecordBatch)
    return pa.record_batch({"length": pc.utf8_length(rows.column("text"))})


@of_text
def plain(rows):
    assert isinstance(rows, pa.RecordBatch)
    return pc.utf8_length(rows.column("text"))


@of_text
def arrow_table(rows: pa.Table) -> pa.Table:
    assert isinstance(rows, pa.Table)
    return pa.table({"length": pc.utf8_length(rows["text"])})


@of_text
def polars_frame(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(length=pl.col("text").str.len_chars())


@of_text
def polars_lazy(rows: pl.DataFrame) -> pl.LazyFrame:
    return rows.lazy().select("id", length=pl.col("text").str.len_chars())


@of_text
def pandas_frame(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"length": rows["text"].str.len()})


@of_text
def dicts(rows: list[dict]) -> list[dict]:
    return [{"length": None if row["text"] is None else len(row["text"])} for row in rows]


@of_text
def columns(rows: dict[str, list]) -> dict[str, list]:
    return {"length": [None if text is None else len(text) for text in rows["text"]]}


@of_text
def arrays(rows: dict[str, np.ndarray]) -> list:
    assert isinstance(rows["text"], np.ndarray)
    return [None if text is None else len(text) for text in rows["text"]]


double = af.map(reads={"features": "tensor<float32>[2, 3]"}, adds={"doubled": "tensor<float32>[2, 3]"})


@double
def tensor_batch(rows: pa.RecordBatch):
    return {"doubled": af.tensor(rows, "features") * 2}


@double
def tensor_polars(rows: pl.DataFrame) -> pl.DataFrame:
    assert rows["features"].dtype.shape == (2, 3)
    return rows.select(doubled=pl.col("features") * 2)


@double
def tensor_pandas(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"doubled": [one if one is None else one * 2 for one in rows["features"]]})


@double
def tensor_dicts(rows: list[dict]) -> list[dict]:
    return [{"doubled": None if row["features"] is None else (row["features"] * 2).tolist()} for row in rows]


@double
def tensor_arrays(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    assert rows["features"].shape[1:] == (2, 3)
    return {"doubled": rows["features"] * 2}


shown = af.map(reads={"n": "int64", "b": "bool"}, adds={"shown": "utf8"})


def show(n, b) -> str:
    """As it is, and what type it has."""
    return f"{n} {type(n).__name__} {b} {type(b).__name__}"


@shown
def shown_pandas(rows: pd.DataFrame) -> list[str]:
    return [show(n, b) for n, b in zip(rows["n"], rows["b"])]


@shown
def shown_arrays(rows: dict[str, np.ndarray]) -> list[str]:
    return [show(n, b) for n, b in zip(rows["n"], rows["b"])]


@shown
def shown_dicts(rows: list[dict]) -> list[str]:
    return [show(row["n"], row["b"]) for row in rows]


@shown
def shown_polars(rows: pl.DataFrame) -> list[str]:
    return [show(n, b) for n, b in zip(rows["n"], rows["b"])]


numbers = af.map(reads={"n": "int64"}, adds={"twice": "int64"})


@numbers
def twice_pandas(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"twice": rows["n"] * 2})


@numbers
def twice_arrays(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"twice": rows["n"] * 2}


@af.table(reads={"text": "utf8"}, adds={"place": "int64"})
def place(rows):
    """A whole dataset arrives as one table."""
    assert isinstance(rows, pa.Table)
    return {"place": np.arange(rows.num_rows)}


if __name__ == "__main__":
    af.main()
