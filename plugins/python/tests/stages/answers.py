"""Stages whose answer is what the option says, for checks of what came back."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import affectflow as af


@af.map(reads={"n": "any"}, adds={"m": "int32"})
def evaluated(rows: pa.RecordBatch, *, answer: str) -> Any:
    """Answers what an expression gives."""
    return eval(answer, {"rows": rows, "np": np, "pd": pd, "pl": pl, "pa": pa})


@af.map(reads={"n": "any"}, adds={af.option("names"): "utf8", "t": "tensor<float32>[{size}]"})
def named(rows: list[dict], *, names: list[str], size: int = 2) -> dict:
    """Columns named by an option."""
    added = {name: [name] * len(rows) for name in names}
    return {**added, "t": np.zeros((len(rows), size))}


if __name__ == "__main__":
    af.main()
