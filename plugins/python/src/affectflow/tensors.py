"""How do tensors in a column become numpy arrays, and numpy arrays tensors?"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from . import datatypes


def tensor(rows: Any, name: str) -> Any:
    """The tensors of column `name` as one numpy array `(rows, *shape)`, without a copy where none is null (NaN then).

    rows: a `pa.RecordBatch` or `pa.Table` as it reached the stage
    """
    return stacked(rows.column(name), rows.schema.field(name))


def stacked(column: pa.Array | pa.ChunkedArray, field: pa.Field) -> Any:
    """All rows as one array; null rows are NaN."""
    import numpy as np

    array = whole(column)
    width, shape = array.type.list_size, datatypes.shape(field) or (array.type.list_size,)
    values = array.values.slice(array.offset * width, len(array) * width)
    stack = values.to_numpy(zero_copy_only=False).reshape((len(array), *shape))
    if array.null_count:
        stack = stack.copy()
        stack[np.asarray(array.is_null())] = np.nan
    return stack


def per_row(column: pa.Array | pa.ChunkedArray, field: pa.Field) -> list[Any]:
    """An array for each row; `None` for null."""
    array = whole(column)
    null = array.is_null().to_pylist()
    return [None if gone else one for one, gone in zip(stacked(array, field), null)]


def from_rows(values: list[Any], field: pa.Field) -> pa.Array:
    """A tensor column from an array (or nested list, or `None`) for each row; `ValueError` names the row."""
    import numpy as np

    shape = datatypes.shape(field) or (field.type.list_size,)
    stack = np.zeros((len(values), field.type.list_size), field.type.value_type.to_pandas_dtype())
    for row, value in enumerate(values):
        if value is None:
            continue
        one = np.asarray(value)
        if one.size and one.dtype.kind not in "biuf":
            raise ValueError(f"row {row} holds `{one.dtype}`")
        if one.shape not in (shape, stack.shape[1:]):
            raise ValueError(f"row {row} has shape {list(one.shape)}, and {list(shape)} was declared")
        stack[row] = one.reshape(-1)
    return _array(stack, field, [value is None for value in values])


def from_stack(stack: Any, field: pa.Field) -> pa.Array:
    """A tensor column from a numpy array `(rows, *shape)`."""
    import numpy as np

    shape = datatypes.shape(field) or (field.type.list_size,)
    if stack.shape[1:] not in (shape, (field.type.list_size,)):
        raise ValueError(f"the array has shape {list(stack.shape)}, and rows of {list(shape)} were declared")
    if stack.dtype.kind not in "biuf":
        raise ValueError(f"the array holds `{stack.dtype}`")
    flat = np.ascontiguousarray(stack, field.type.value_type.to_pandas_dtype())
    return _array(flat, field, None)


def nested(column: pa.Array | pa.ChunkedArray, field: pa.Field) -> pa.Array:
    """The column as lists within lists, one level for each extent of its shape."""
    array, shape = whole(column), datatypes.shape(field) or ()
    width = array.type.list_size
    values = array.values.slice(array.offset * width, len(array) * width)
    for extent in reversed(shape[1:]):
        values = pa.FixedSizeListArray.from_arrays(values, extent)
    mask = array.is_null() if array.null_count else None
    return pa.FixedSizeListArray.from_arrays(values, shape[0], mask=mask)


def _array(stack: Any, field: pa.Field, null: list[bool] | None) -> pa.Array:
    values = pa.array(stack.reshape(-1), type=field.type.value_type)
    mask = pa.array(null) if null and any(null) else None
    return pa.FixedSizeListArray.from_arrays(values, type=field.type, mask=mask)


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=array.type)
    return array
