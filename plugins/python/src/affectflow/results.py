"""Is what a stage returned what it declared? Any form of columns in, the declared columns out.

What was read may come back too (as polars' `with_columns` does) and is left out again; a returned `id` must be the one that
came, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from . import casting, datatypes, tensors
from .errors import ResultError


def columns(result: Any, rows: pa.Table, adds: list[pa.Field]) -> pa.Table:
    """The declared columns of a result, for as many rows as came; `ResultError` says what is wrong."""
    given = _named(result, adds)
    _check_names(given, rows.column_names, adds)
    if "id" in given:
        _check_ids(given["id"], rows["id"])
    arrays = [_column(given[field.name], field, rows.num_rows) for field in adds]
    return pa.Table.from_arrays(arrays, schema=pa.schema(adds))


def _named(result: Any, adds: list[pa.Field]) -> dict[str, Any]:
    """The columns of a result by name; of a stage with one column the column alone will do."""
    if hasattr(result, "collect") and hasattr(result, "collect_schema"):
        result = result.collect()
    if isinstance(result, (pa.RecordBatch, pa.Table)):
        return {name: result.column(name) for name in _once(result.schema.names)}
    if _is_frame(result):
        return {str(name): result[name] for name in _once(list(result.columns))}
    if isinstance(result, Mapping):
        return dict(result)
    if isinstance(result, (list, tuple)) and _has_dicts(result, adds):
        return _of_rows(list(result))
    if len(adds) == 1 and _is_column(result):
        return {adds[0].name: result}
    what = "nothing" if result is None else f"a `{type(result).__name__}`"
    raise ResultError(f"it returned {what}, and the columns {_list(field.name for field in adds)} were declared")


def _is_frame(result: Any) -> bool:
    return type(result).__name__ == "DataFrame" and hasattr(result, "columns")


def _is_column(result: Any) -> bool:
    return isinstance(result, (list, tuple, pa.Array, pa.ChunkedArray)) or hasattr(result, "__array__")


def _once(names: list[Any]) -> list[Any]:
    for name in names:
        if names.count(name) > 1:
            raise ResultError(f"it returned the column `{name}` twice")
    return names


def _has_dicts(result: Any, adds: list[pa.Field]) -> bool:
    """Whether a list has a dict for each row; dicts without the one column's name are values of a struct."""
    dicts = [row for row in result if isinstance(row, Mapping)]
    structs = len(adds) == 1 and pa.types.is_struct(adds[0].type)
    return bool(dicts) and not (structs and all(adds[0].name not in row for row in dicts))


def _of_rows(result: list[Any]) -> dict[str, Any]:
    """A list with a dict for each row; `None` for a row that failed."""
    if not all(row is None or isinstance(row, Mapping) for row in result):
        raise ResultError("it returned a list of dicts and of something else")
    names = {name: None for row in result if row is not None for name in row}
    return {name: [None if row is None else row.get(name) for row in result] for name in names}


def _check_names(given: Mapping[str, Any], read: list[str], adds: list[pa.Field]) -> None:
    names = [field.name for field in adds]
    for name in names:
        if name not in given:
            raise ResultError(f"column `{name}` is missing; it returned {_list(given) or 'no column'}")
    for name in given:
        if name not in names and name not in read:
            raise ResultError(f"column `{name}` was not declared; `adds` has {_list(names)}")


def _check_ids(given: Any, ids: Any) -> None:
    returned = _column(given, pa.field("id", pa.string()), len(ids))
    if not tensors.whole(returned).equals(tensors.whole(ids).cast(pa.string())):
        raise ResultError("the rows come back in another order than they went in: `id` differs")


def _column(values: Any, field: pa.Field, rows: int) -> Any:
    try:
        column = _arrow(values, field)
    except ValueError as error:
        wanted = _declared(field)
        raise ResultError(f"column `{field.name}` cannot become `{wanted}`: {error}") from None
    if len(column) != rows:
        raise ResultError(f"column `{field.name}` has {len(column)} values for {rows} rows")
    return column


def _declared(field: pa.Field) -> str:
    shape = datatypes.shape(field)
    if shape is None:
        return datatypes.text(field.type)
    return f"tensor<{datatypes.text(field.type.value_type)}>{list(shape)}"


def _arrow(values: Any, field: pa.Field) -> Any:
    """A column of any library as Arrow, in the declared type."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return casting.cast(values, field)
    if hasattr(values, "to_arrow"):
        return casting.cast(values.to_arrow(), field)
    if type(values).__name__ == "Series":
        return _pandas(values, field)
    if hasattr(values, "__array__") and not isinstance(values, (list, tuple)):
        return _numpy(values, field)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise ValueError(f"it is a single `{type(values).__name__}`, not a value for each row")
    return casting.from_values(list(values), field)


def _pandas(values: Any, field: pa.Field) -> Any:
    """A series of pandas, in which NaN stands for null."""
    if values.dtype == object or datatypes.shape(field) is not None:
        missing = values.isna()
        return casting.from_values(
            [None if gone is True else one for one, gone in zip(values, missing.tolist())], field
        )
    return casting.cast(pa.array(values, from_pandas=True), field)


def _numpy(values: Any, field: pa.Field) -> Any:
    import numpy as np

    array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if array.ndim == 0:
        raise ValueError("it is a single value, not one for each row")
    if array.dtype == object:
        return casting.from_values(array.tolist() if array.ndim == 1 else list(array), field)
    if datatypes.shape(field) is not None:
        return tensors.from_stack(array, field)
    if array.ndim > 1:
        return casting.from_values(array.tolist(), field)
    if isinstance(array, np.ma.MaskedArray):
        return casting.cast(pa.array(array.data, mask=np.ma.getmaskarray(array)), field)
    return casting.cast(pa.array(array), field)


def _list(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
