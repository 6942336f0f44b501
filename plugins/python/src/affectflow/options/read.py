"""Which hint is this? From what stands in the source to one of the classes beside this file."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import pathlib
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .. import docs
from ..errors import DeclarationError
from . import choices, containers, models, records, scalars
from .hint import Hint

_SCALARS: dict[Any, Hint] = {
    bool: scalars.Bool(),
    int: scalars.Int(),
    float: scalars.Float(),
    str: scalars.Text(),
    pathlib.Path: scalars.Path(),
    pathlib.PurePath: scalars.Path(),
    None: scalars.Null(),
    type(None): scalars.Null(),
    Any: scalars.Anything(),
}

_LISTS: dict[Any, Any] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.Iterable: list,
}


def read(hint: Any) -> Hint:
    """Reads a type hint; `DeclarationError` where options cannot have that type."""
    if isinstance(hint, collections.abc.Hashable) and hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return choices.members(hint)
    if models.is_model(hint):
        return models.Model(hint, docs.read(hint).options)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return records.of_dataclass(hint, read, hints, docs.read(hint).options)
    return _made(hint)


def _made(hint: Any) -> Hint:
    """Of hints that are made of others."""
    origin, parts = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        inner = read(parts[0])
        marks = tuple(mark for mark in parts[1:] if hasattr(mark, "schema"))
        return containers.Marked(inner, marks) if marks else inner
    if origin is Literal:
        return choices.literal(parts)
    if origin in (Union, types.UnionType):
        # `x: Any = None` is read as `Any | None` by Python 3.10.
        return scalars.Anything() if Any in parts else containers.Either(tuple(read(part) for part in parts))
    if origin is tuple and parts and parts[-1] is not Ellipsis:
        return containers.Fixed(tuple(read(part) for part in parts))
    if origin is tuple:
        return containers.Items(read(parts[0] if parts else Any), tuple)
    if origin in _LISTS:
        return containers.Items(read(parts[0] if parts else Any), _LISTS[origin])
    if origin in (dict, collections.abc.Mapping):
        if parts and parts[0] is not str:
            raise DeclarationError(f"a map of options has texts as keys, not `{parts[0]}`")
        return containers.Mapping(read(parts[1] if parts else Any))
    raise DeclarationError(
        f"`{hint}` cannot be the type of an option; there are int, float, str, bool, Literal, Enum, Optional, "
        "list, dict, tuple, pathlib.Path, dataclasses and pydantic models"
    )
