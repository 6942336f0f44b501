"""Numbers, texts, paths and what may be anything."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any

from .hint import Json, Schema, wrong


@dataclass(frozen=True)
class Bool:
    def schema(self, defs: Schema) -> Schema:
        return {"type": "boolean"}

    def load(self, value: Json, where: str) -> bool:
        if not isinstance(value, bool):
            raise wrong(where, "true or false", value)
        return value

    def dump(self, value: Any) -> Json:
        return bool(value)


@dataclass(frozen=True)
class Int:
    def schema(self, defs: Schema) -> Schema:
        return {"type": "integer"}

    def load(self, value: Json, where: str) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole:
            raise wrong(where, "a whole number", value)
        return int(value)

    def dump(self, value: Any) -> Json:
        return int(value)


@dataclass(frozen=True)
class Float:
    def schema(self, defs: Schema) -> Schema:
        return {"type": "number"}

    def load(self, value: Json, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise wrong(where, "a number", value)
        return float(value)

    def dump(self, value: Any) -> Json:
        return float(value)


@dataclass(frozen=True)
class Text:
    def schema(self, defs: Schema) -> Schema:
        return {"type": "string"}

    def load(self, value: Json, where: str) -> str:
        if not isinstance(value, str):
            raise wrong(where, "a text", value)
        return value

    def dump(self, value: Any) -> Json:
        return str(value)


@dataclass(frozen=True)
class Path:
    """A path; a relative one starts from the folder of the pipeline file."""

    def schema(self, defs: Schema) -> Schema:
        return {"type": "string", "format": "path"}

    def load(self, value: Json, where: str) -> pathlib.Path:
        return pathlib.Path(Text().load(value, where))

    def dump(self, value: Any) -> Json:
        return pathlib.PurePath(value).as_posix()


@dataclass(frozen=True)
class Null:
    def schema(self, defs: Schema) -> Schema:
        return {"type": "null"}

    def load(self, value: Json, where: str) -> None:
        if value is not None:
            raise wrong(where, "null", value)

    def dump(self, value: Any) -> Json:
        return None


@dataclass(frozen=True)
class Anything:
    def schema(self, defs: Schema) -> Schema:
        return {}

    def load(self, value: Json, where: str) -> Any:
        return value

    def dump(self, value: Any) -> Json:
        return value
