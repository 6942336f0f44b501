"""How do Python values become structs? Value by value, so that a row comes out the same whatever stands beside it.

Of a struct, keys may be missing (null then) and stand in any order.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as kinds


def has_struct(kind: pa.DataType) -> bool:
    """Whether there is a struct in it."""
    return kinds.is_struct(kind) or (kinds.is_list(kind) and has_struct(kind.value_type))


def array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """The values as an array of that type; `ValueError` names the row that does not fit."""
    fitting = []
    for row, value in enumerate(values):
        try:
            fitting.append(_fitting(value, kind))
            pa.scalar(fitting[-1], kind)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"row {row}: {error}") from None
    return pa.array(fitting, type=kind)


def _fitting(value: Any, kind: pa.DataType) -> Any:
    """The value, unless Arrow would change what it means."""
    if value is None:
        return None
    if kinds.is_struct(kind):
        if not isinstance(value, dict):
            raise ValueError(f"`{value!r}` is no dict")
        fields = {field.name: field.type for field in kind}
        for name in value:
            if name not in fields:
                raise ValueError(f"the struct has no field `{name}`")
        return {name: _fitting(value.get(name), inner) for name, inner in fields.items()}
    if kinds.is_list(kind):
        return [_fitting(one, kind.value_type) for one in value]
    if kinds.is_integer(kind) and isinstance(value, float) and not value.is_integer():
        raise ValueError(f"`{value!r}` is no whole number")
    if (kinds.is_string(kind) and isinstance(value, bytes)) or (kinds.is_binary(kind) and isinstance(value, str)):
        raise ValueError(f"`{value!r}` is no `{kind}`")
    return value
