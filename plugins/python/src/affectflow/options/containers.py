"""Hints made of other hints: lists, maps, alternatives, and what `Annotated` adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import OptionError
from .hint import Hint, Json, Schema, wrong
from .scalars import Null


@dataclass(frozen=True)
class Items:
    """A list, a set, or a tuple of any length."""

    item: Hint
    build: Callable[[Iterable[Any]], Any]

    def schema(self, defs: Schema) -> Schema:
        unique = {"uniqueItems": True} if self.build in (set, frozenset) else {}
        return {"type": "array", "items": self.item.schema(defs), **unique}

    def load(self, value: Json, where: str) -> Any:
        if not isinstance(value, list):
            raise wrong(where, "a list", value)
        return self.build(self.item.load(one, f"{where}[{at}]") for at, one in enumerate(value))

    def dump(self, value: Any) -> Json:
        dumped = [self.item.dump(one) for one in value]
        return sorted(dumped) if isinstance(value, (set, frozenset)) else dumped


@dataclass(frozen=True)
class Fixed:
    """A tuple with a hint for each place."""

    places: tuple[Hint, ...]

    def schema(self, defs: Schema) -> Schema:
        count = len(self.places)
        places = [place.schema(defs) for place in self.places]
        return {"type": "array", "prefixItems": places, "minItems": count, "maxItems": count}

    def load(self, value: Json, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(self.places):
            raise wrong(where, f"a list of {len(self.places)}", value)
        return tuple(place.load(one, f"{where}[{at}]") for at, (place, one) in enumerate(zip(self.places, value)))

    def dump(self, value: Any) -> Json:
        return [place.dump(one) for place, one in zip(self.places, value)]


@dataclass(frozen=True)
class Mapping:
    """A map from texts."""

    item: Hint

    def schema(self, defs: Schema) -> Schema:
        return {"type": "object", "additionalProperties": self.item.schema(defs)}

    def load(self, value: Json, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong(where, "a map", value)
        return {key: self.item.load(one, f"{where}.{key}") for key, one in value.items()}

    def dump(self, value: Any) -> Json:
        return {str(key): self.item.dump(one) for key, one in value.items()}


@dataclass(frozen=True)
class Either:
    """The first of several hints that a value fits."""

    hints: tuple[Hint, ...]

    def schema(self, defs: Schema) -> Schema:
        schemas = [hint.schema(defs) for hint in self.hints]
        rest = [schema for schema in schemas if schema != {"type": "null"}]
        if len(rest) == 1 and isinstance(rest[0].get("type"), str) and "enum" not in rest[0]:
            return {**rest[0], "type": [rest[0]["type"], "null"]}
        return {"anyOf": schemas}

    def load(self, value: Json, where: str) -> Any:
        problem: OptionError | None = None
        for hint in sorted(self.hints, key=lambda hint: not isinstance(hint, Null)):
            try:
                return hint.load(value, where)
            except OptionError as error:
                problem = error
        assert problem is not None
        raise problem

    def dump(self, value: Any) -> Json:
        for hint in sorted(self.hints, key=lambda hint: not isinstance(hint, Null)):
            try:
                dumped = hint.dump(value)
                if hint.load(dumped, "") == value:
                    return dumped
            except Exception:  # noqa: BLE001 - another alternative may fit
                continue
        raise TypeError(f"`{value!r}` fits no alternative")


@dataclass(frozen=True)
class Marked:
    """A hint with what `Annotated` says of it: bounds, unit, no part of the identity."""

    hint: Hint
    marks: tuple[Any, ...]

    def schema(self, defs: Schema) -> Schema:
        schema = self.hint.schema(defs)
        for mark in self.marks:
            schema = {**schema, **_fitting(mark.schema(), schema)}
        return schema

    def load(self, value: Json, where: str) -> Any:
        loaded = self.hint.load(value, where)
        for mark in self.marks:
            if hasattr(mark, "check"):
                mark.check(loaded, f"option `{where}`")
        return loaded

    def dump(self, value: Any) -> Json:
        return self.hint.dump(value)


def _fitting(words: Schema, schema: Schema) -> Schema:
    """Of the bounds of a length, those that belong to the type."""
    other = "Length" if "array" in str(schema.get("type")) else "Items"
    return {word: value for word, value in words.items() if not word.endswith(other)}
