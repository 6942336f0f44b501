"""Do columns arrive as they were planned? Other layouts of the same type (dictionaries, large texts) are made into it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from . import casting, datatypes
from .errors import ProtocolError


def fields(reads: list[dict[str, Any]]) -> dict[str, pa.Field]:
    """The planned columns by name; those of types that only the program knows are left out."""
    found = {}
    for column in reads:
        try:
            found[column["name"]] = datatypes.field(column["name"], column["type"])
        except ValueError:
            continue
    return found


def planned(rows: pa.Table, reads: dict[str, pa.Field]) -> pa.Table:
    """The rows with every column in its planned type, tensors with their planned shape."""
    for at, arrived in enumerate(rows.schema):
        wanted = reads.get(arrived.name) or _plain(arrived)
        if not _same(arrived, wanted):
            rows = rows.set_column(at, arrived.with_type(wanted.type), _cast(rows.column(at), wanted))
        elif datatypes.shape(wanted) != datatypes.shape(arrived):
            rows = rows.set_column(at, arrived.with_metadata(wanted.metadata), rows.column(at))
    return rows


def _plain(field: pa.Field) -> pa.Field:
    """A column whose type was not planned, without its dictionary."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _same(arrived: pa.Field, wanted: pa.Field) -> bool:
    # Tensors and lists may differ in the name of their items and in what may be null.
    return bool(arrived.type == wanted.type or pa.types.is_nested(arrived.type))


def _cast(column: pa.ChunkedArray, field: pa.Field) -> Any:
    try:
        return casting.cast(column, field)
    except ValueError as error:
        raise ProtocolError(f"column `{field.name}` was planned as `{datatypes.text(field.type)}`: {error}") from None
