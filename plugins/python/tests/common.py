"""What do the tests share? The folder of stages to try, and a process with one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

import affectflow as af

STAGES = Path(__file__).parent / "stages"


def plugin(script: str, **how: Any) -> af.testing.Plugin:
    """A process that serves one of the scripts in `stages/`; its standard error is dropped."""
    how.setdefault("stderr", subprocess.DEVNULL)
    return af.testing.Plugin([sys.executable, STAGES / script], **how)


def tensor_column(rows: list[list[list[float]] | None], element: str = "float32") -> tuple[pa.Field, pa.Array]:
    """A tensor column as the program sends it, with shape `[2, 3]`."""
    from affectflow import datatypes, tensors

    field = datatypes.field("features", f"tensor<{element}>[2, 3]")
    return field, tensors.from_rows(rows, field)


def with_features(rows: list[list[list[float]] | None]) -> pa.Table:
    """Rows with an `id` and that tensor column."""
    field, column = tensor_column(rows)
    ids = pa.array([f"r{at}" for at in range(len(rows))])
    return pa.Table.from_arrays([ids, column], schema=pa.schema([pa.field("id", pa.string()), field]))
