"""In which form do the rows reach a function? What its annotation says: Arrow, polars, pandas, numpy, or lists and dicts.

Types never depend on whether a value is null: then what one row becomes would depend on its neighbours.

A tensor arrives as it lies in Arrow (a fixed-size list), in polars as `Array` of its shape, and elsewhere as a numpy array
of its shape for each row; in `dict[str, np.ndarray]` as one array for all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import pyarrow as pa

from . import datatypes, tensors
from .errors import DeclarationError, ResultError


@dataclass(frozen=True)
class Form:
    """A form of rows."""

    name: str
    #: From the table that arrived.
    of: Callable[[pa.Table], Any]


def _batch(rows: pa.Table) -> pa.RecordBatch:
    batches = rows.combine_chunks().to_batches()
    if len(batches) > 1:
        raise ResultError("the rows are too large for one record batch: annotate them as `pa.Table`")
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=rows.schema)


def _polars(rows: pa.Table) -> Any:
    import polars as pl

    for at, column in enumerate(rows.schema):
        if len(datatypes.shape(column) or ()) > 1:
            rows = rows.set_column(at, column.name, tensors.nested(rows[column.name], column))
    return pl.from_arrow(rows)


def _pandas(rows: pa.Table) -> Any:
    import pandas as pd

    shaped = {
        column.name: tensors.per_row(rows[column.name], column) for column in rows.schema if datatypes.shape(column)
    }
    nullable = {kind: getattr(pd, f"{name}Dtype")() for kind, name in _NULLABLE.items()}
    frame = rows.drop_columns(list(shaped)).to_pandas(types_mapper=nullable.get)
    for at, name in enumerate(rows.schema.names):
        if name in shaped:
            frame.insert(at, name, shaped[name])
    return frame


#: Types whose values numpy cannot leave out, and pandas' name for those that can.
_NULLABLE = {
    pa.bool_(): "Boolean",
    **{
        kind: f"{'UInt' if pa.types.is_unsigned_integer(kind) else 'Int'}{kind.bit_width}"
        for kind in datatypes.SCALARS.values()
        if pa.types.is_integer(kind)
    },
}


def _columns(rows: pa.Table) -> dict[str, list[Any]]:
    return {
        column.name: tensors.per_row(rows[column.name], column)
        if datatypes.shape(column)
        else rows[column.name].to_pylist()
        for column in rows.schema
    }


def _rows(rows: pa.Table) -> list[dict[str, Any]]:
    columns = _columns(rows)
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def _arrays(rows: pa.Table) -> dict[str, Any]:
    return {column.name: _array(rows[column.name], column) for column in rows.schema}


def _array(column: pa.ChunkedArray, field: pa.Field) -> Any:
    import numpy as np

    if datatypes.shape(field):
        return tensors.stacked(column, field)
    if field.type not in _NULLABLE:
        return column.to_numpy()
    mask = column.is_null().to_numpy()
    nothing = pa.scalar(0).cast(field.type)
    return np.ma.MaskedArray(column.fill_null(nothing).to_numpy(), mask)


BATCH = Form("pa.RecordBatch", _batch)
TABLE = Form("pa.Table", lambda rows: rows)
_POLARS = Form("pl.DataFrame", _polars)
_PANDAS = Form("pd.DataFrame", _pandas)
_ROWS = Form("list[dict]", _rows)
_COLUMNS = Form("dict[str, list]", _columns)
_ARRAYS = Form("dict[str, np.ndarray]", _arrays)


def of(annotation: Any, default: Form) -> Form:
    """The form of an annotation; where there is none, `default`."""
    if annotation in (None, Any):
        return default
    if annotation is pa.RecordBatch:
        return BATCH
    if annotation is pa.Table:
        return TABLE
    origin, parts = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (list, Sequence):
        return _ROWS
    if origin in (dict, Mapping):
        arrays = len(parts) == 2 and getattr(get_origin(parts[1]) or parts[1], "__name__", "") == "ndarray"
        return _ARRAYS if arrays else _COLUMNS
    if getattr(annotation, "__name__", "") == "DataFrame":
        package = annotation.__module__.partition(".")[0]
        if package in ("polars", "pandas"):
            return _POLARS if package == "polars" else _PANDAS
    raise DeclarationError(
        f"rows cannot come as `{annotation}`; there are pa.RecordBatch, pa.Table, pl.DataFrame, pd.DataFrame, "
        "list[dict], dict[str, list] and dict[str, np.ndarray]"
    )
