"""How does a value become the declared type? Widths and layouts are changed freely, meanings are not.

Large, view and dictionary layouts, other widths of numbers, lists of these: cast. A text is never read as a number, a float
with a fraction never cut to an integer, a number never taken for true or false.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from . import datatypes, tensors
from . import values as strictly


def cast(column: Any, field: pa.Field) -> Any:
    """The column in the field's type; `ValueError` says why that cannot be."""
    if kinds.is_dictionary(column.type):
        column = _decoded(column)
    if column.type == field.type:
        return column
    if kinds.is_null(column.type):
        return pa.nulls(len(column), field.type)
    if datatypes.shape(field) is not None:
        return _tensor(column, field)
    if strictly.has_struct(field.type):
        return strictly.array(column.to_pylist(), field.type)
    if not _alike(column.type, field.type):
        raise ValueError(f"it is `{datatypes.text(column.type)}`")
    return _cast(column, field.type)


def from_values(values: list[Any], field: pa.Field) -> Any:
    """A column from Python values, `None` for null."""
    if datatypes.shape(field) is not None:
        return tensors.from_rows(values, field)
    if strictly.has_struct(field.type):
        return strictly.array(values, field.type)
    try:
        found = pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise ValueError(_which(values, field) or _said(error)) from None
    return cast(found, field)


def _which(values: list[Any], field: pa.Field) -> str | None:
    """The first value that is to blame."""
    for row, value in enumerate(values):
        try:
            cast(pa.array([value]), field)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            return f"row {row}: {_said(error)}"
    return None


def _decoded(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        chunks = [chunk.dictionary_decode() for chunk in column.chunks]
        return pa.chunked_array(chunks, column.type.value_type)
    return column.dictionary_decode()


def _cast(column: Any, target: pa.DataType) -> Any:
    # Rounding an integer to a float is what floats are; cutting a float to an integer is a mistake.
    safe = not kinds.is_floating(target)
    if "list_view" in str(column.type):
        # Arrow 26 makes lists with too few offsets of views.
        return _by_values(column, target)
    try:
        return column.cast(target, safe=safe)
    except pa.ArrowNotImplementedError:
        return _by_values(column, target)
    except pa.ArrowInvalid as error:
        raise ValueError(_said(error)) from None


def _by_values(column: Any, target: pa.DataType) -> Any:
    """For pairs of types that Arrow has no cast for."""
    try:
        return pa.array(column.to_pylist(), type=target)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ValueError(_said(error)) from None


def _alike(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a cast keeps what values mean."""
    if kinds.is_null(given):
        return True
    if kinds.is_dictionary(given):
        return _alike(given.value_type, wanted)
    if kinds.is_list(wanted):
        return _is_list(given) and _alike(given.value_type, wanted.value_type)
    return _family(given) == _family(wanted) != ""


def _family(kind: pa.DataType) -> str:
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        return "number"
    if kinds.is_boolean(kind):
        return "bool"
    if "string" in str(kind):
        return "text"
    if "binary" in str(kind):
        return "binary"
    if kinds.is_date(kind) or kinds.is_timestamp(kind):
        return "date"
    return ""


def _is_list(kind: pa.DataType) -> bool:
    return (
        kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind) or "list_view" in str(kind)
    )


def _tensor(column: Any, field: pa.Field) -> Any:
    """A tensor column from lists: of its length, or nested as its shape."""
    if not _is_list(column.type):
        raise ValueError(f"it is `{datatypes.text(column.type)}`")
    array = tensors.whole(column)
    flat = _flat(array)
    if flat is not None and len(flat) == len(array) * field.type.list_size and _alike(flat.type, field.type.value_type):
        return pa.FixedSizeListArray.from_arrays(_cast(flat, field.type.value_type), type=field.type)
    return tensors.from_rows(array.to_pylist(), field)


def _flat(array: Any) -> Any:
    """The numbers of fixed-size lists within fixed-size lists; `None` where one is null, or where lists vary."""
    while kinds.is_fixed_size_list(array.type):
        if array.null_count:
            return None
        width = array.type.list_size
        array = array.values.slice(array.offset * width, len(array) * width)
    return None if _is_list(array.type) or array.null_count else array


def _said(error: Exception) -> str:
    """An error of Arrow's in a line."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
