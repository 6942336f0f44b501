"""What is a stage once declared? Its manifest, and how it is opened. Everything is checked at its declaration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from . import datatypes, docs, forms, signature
from .errors import DeclarationError
from .markers import Column, Option
from .options import Hint

Reads = Mapping[str | Option, str | pa.DataType] | Iterable[str | Option]
Adds = Mapping[str | Option, str | pa.DataType | Column]
Json = dict[str, Any]

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Declared:
    """What a decorator is told beside the function."""

    shape: Literal["map", "table"]
    reads: Reads
    adds: Adds
    kind: str | None
    version: int
    retry: Literal["safe", "unsafe"]
    scores: bool
    rows_per_call: int | None
    example: str | None


@dataclass(frozen=True)
class Stage:
    """A declared stage."""

    kind: str
    manifest: Json
    form: forms.Form
    options: Hint
    build: Callable[[Any], Callable[[Any], Any]]
    #: The module it was declared in.
    module: str

    def open(self, options: Json) -> Callable[[Any], Any]:
        """The function of the rows, with those options."""
        return self.build(self.options.load(options, ""))


def declare(thing: Any, declared: Declared) -> Stage:
    """Makes a stage of a function or a class; `DeclarationError` says what is wrong with it."""
    kind = declared.kind or _snake(thing.__name__)
    try:
        return _declare(thing, kind, declared)
    except (DeclarationError, ValueError) as error:
        raise DeclarationError(f"stage `{kind}`: {error}") from None


def _declare(thing: Any, kind: str, declared: Declared) -> Stage:
    if not _KIND.fullmatch(kind):
        raise DeclarationError("a kind has letters, digits, `_` and `-`, and begins with a letter")
    if declared.version < 1:
        raise DeclarationError("versions count from 1")
    if not declared.adds:
        raise DeclarationError("`adds` names no column, so there would be nothing to keep")
    taken = signature.of(thing)
    options = _options(taken.options)
    manifest: Json = {
        "kind": kind,
        "version": declared.version,
        "summary": docs.read(thing).summary or kind,
        "shape": declared.shape,
        "retry": declared.retry,
        "options": options,
        "reads": [_read(column, said, options) for column, said in _pairs(declared.reads)],
        "adds": [_add(column, said, options) for column, said in declared.adds.items()],
    }
    _distinct(manifest["reads"], "reads")
    _distinct(manifest["adds"], "adds")
    if declared.scores:
        manifest["scores"] = True
    if declared.rows_per_call is not None:
        manifest["rows_per_call"] = declared.rows_per_call
    if declared.example is not None:
        manifest["example"] = declared.example
    form = forms.of(taken.rows, forms.TABLE if declared.shape == "table" else forms.BATCH)
    return Stage(kind, manifest, form, taken.options, taken.build, thing.__module__)


def _options(hint: Hint) -> Json:
    defs: Json = {}
    schema = hint.schema(defs)
    if defs:
        schema["$defs"] = defs
    try:
        json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"the default of an option cannot be written as JSON: {error}") from None
    return schema


def _pairs(reads: Reads) -> list[tuple[str | Option, str | pa.DataType]]:
    if isinstance(reads, Mapping):
        return list(reads.items())
    if isinstance(reads, str):
        raise DeclarationError(f'`reads` is a list of columns, or a map from column to type: `["{reads}"]`')
    return [(column, "any") for column in reads]


def _read(column: str | Option, said: str | pa.DataType, options: Json) -> Json:
    text = _type(said, options)
    return {**_named(column, options), "type": text}


def _add(column: str | Option, said: str | pa.DataType | Column, options: Json) -> Json:
    said = said if isinstance(said, Column) else Column(said)
    if column == "id":
        raise DeclarationError("`id` is there already and cannot be added")
    text = _type(said.type, options)
    if text in datatypes.WIDE:
        raise DeclarationError(f"a column that is added has one type, not `{text}`")
    return {**_named(column, options), "type": text, **({"about": said.about} if said.about else {})}


def _type(said: str | pa.DataType, options: Json) -> str:
    text = said if isinstance(said, str) else datatypes.text(said)
    if text in datatypes.WIDE:
        return text
    parsed = datatypes.parse(text)
    for extent in parsed.shape if isinstance(parsed, datatypes.Tensor) else ():
        if isinstance(extent, str) and "integer" not in str(_property(extent, options).get("type")):
            raise DeclarationError(f"option `{extent}` is an extent of `{text}`, so it must be an `int`")
    return text


def _named(column: str | Option, options: Json) -> Json:
    if isinstance(column, str):
        return {"name": column}
    schema = _property(column.name, options)
    if "string" not in str(schema):
        raise DeclarationError(f"option `{column.name}` names a column, so it must be a `str` or a list of them")
    # Editors offer the columns that arrive.
    schema.setdefault("x-column", "value")
    return {"option": column.name}


def _property(name: str, options: Json) -> Json:
    properties: dict[str, Json] = options["properties"]
    if name not in properties:
        known = ", ".join(f"`{one}`" for one in properties) or "none"
        raise DeclarationError(f"there is no option `{name}`; there are {known}")
    return properties[name]


def _distinct(columns: list[Json], where: str) -> None:
    names = [column["name"] for column in columns if "name" in column]
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"`{where}` has `{name}` twice")


def _snake(name: str) -> str:
    """`HogBaseline` becomes `hog_baseline`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
