"""How does a type of the contract lie in Arrow?

The grammar is that of plugins/PROTOCOL.md: scalars, `list<T>`, `struct<a: T>`, `tensor<float32>[3, 4]`. In `reads` also
`any`, `number` and `tensor`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TypeVar

import pyarrow as pa

SCALARS: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "utf8": pa.string(),
    "binary": pa.binary(),
    "date32": pa.date32(),
}

#: Types that only a column which is read may have.
WIDE = ("any", "number", "tensor")

ELEMENTS = ("float16", "float32")

_TOKEN = re.compile(r"\s*([\w-]+|[<>\[\],:{}])")


@dataclass(frozen=True)
class Tensor:
    """A tensor's element type and shape; an extent may be the name of an option."""

    element: str
    shape: tuple[int | str, ...]

    def arrow(self) -> pa.DataType:
        """The fixed-size list it lies in; the extents must be numbers."""
        item = pa.field("item", SCALARS[self.element], nullable=False)
        return pa.list_(item, prod(int(extent) for extent in self.shape))


T = TypeVar("T")


def parse(text: str) -> pa.DataType | Tensor:
    """Reads a type of the contract; `ValueError` says what is wrong with it."""
    reader = _Reader(text)
    parsed: pa.DataType | Tensor = reader.tensor() if reader.peek() == "tensor" else reader.value()
    reader.end()
    return parsed


def field(name: str, text: str) -> pa.Field:
    """The nullable field of a column of that type."""
    parsed = parse(text)
    if isinstance(parsed, Tensor):
        return pa.field(name, parsed.arrow(), metadata={"shape": json.dumps(list(parsed.shape))})
    return pa.field(name, parsed)


def shape(column: pa.Field) -> tuple[int, ...] | None:
    """The shape of a tensor column; `None` for any other."""
    said = (column.metadata or {}).get(b"shape")
    if said is None or not pa.types.is_fixed_size_list(column.type):
        return None
    return tuple(json.loads(said))


def text(kind: pa.DataType) -> str:
    """How the contract writes an Arrow type; where it has no word for it, how Arrow does."""
    for name, scalar in SCALARS.items():
        if kind == scalar:
            return name
    if pa.types.is_list(kind):
        return f"list<{text(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{one.name}: {text(one.type)}' for one in kind)}>"
    return str(kind)


class _Reader:
    """The tokens of a type, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.at = 0

    def _tokens(self) -> list[str]:
        tokens, place = [], 0
        while self.text[place:].strip():
            found = _TOKEN.match(self.text, place)
            if found is None:
                raise self.wrong()
            tokens.append(found.group(1))
            place = found.end()
        return tokens

    def wrong(self) -> ValueError:
        return ValueError(
            f"`{self.text}` is no type of the contract; there are {', '.join(SCALARS)}, "
            "list<T>, struct<a: T>, tensor<float32>[3, 4]"
        )

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise self.wrong()
        self.at += 1
        return token

    def end(self) -> None:
        if self.peek():
            raise self.wrong()

    def value(self) -> pa.DataType:
        name = self.take()
        if name in SCALARS:
            return SCALARS[name]
        if name == "list":
            self.take("<")
            item = self.value()
            self.take(">")
            return pa.list_(item)
        if name == "struct":
            self.take("<")
            fields = self.several(self.member, ">")
            if len({one.name for one in fields}) < len(fields):
                raise self.wrong()
            return pa.struct(fields)
        raise self.wrong()

    def member(self) -> pa.Field:
        name = self.take()
        if not (name[0].isalnum() or name[0] in "_-"):
            raise self.wrong()
        self.take(":")
        return pa.field(name, self.value())

    def tensor(self) -> Tensor:
        self.take("tensor")
        self.take("<")
        element = self.take()
        if element not in ELEMENTS:
            raise self.wrong()
        self.take(">")
        self.take("[")
        return Tensor(element, tuple(self.several(self.extent, "]")))

    def extent(self) -> int | str:
        if self.peek() == "{":
            self.take("{")
            name = self.take()
            self.take("}")
            return name
        token = self.take()
        if not token.isdecimal() or int(token) == 0:
            raise self.wrong()
        return int(token)

    def several(self, one: Callable[[], T], closing: str) -> list[T]:
        found = [one()]
        while self.peek() == ",":
            self.take(",")
            found.append(one())
        self.take(closing)
        return found
