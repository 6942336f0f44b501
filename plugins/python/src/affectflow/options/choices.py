"""One of several values: `Literal` and `Enum`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from .hint import Json, Schema, wrong


@dataclass(frozen=True)
class Choice:
    """Values as JSON has them, and what each is in Python."""

    values: tuple[tuple[Json, Any], ...]

    def schema(self, defs: Schema) -> Schema:
        values = [value for value, _ in self.values]
        kinds = {type(value) for value in values}
        names = {str: "string", bool: "boolean", int: "integer", float: "number"}
        kind = names.get(kinds.pop()) if len(kinds) == 1 else None
        return {**({"type": kind} if kind else {}), "enum": values}

    def load(self, value: Json, where: str) -> Any:
        for one, meant in self.values:
            if type(one) is type(value) and one == value:
                return meant
        raise wrong(where, "one of " + ", ".join(f"`{one}`" for one, _ in self.values), value)

    def dump(self, value: Any) -> Json:
        return value.value if isinstance(value, enum.Enum) else value


def literal(values: tuple[Any, ...]) -> Choice:
    """Of `Literal[...]`."""
    return Choice(tuple((value, value) for value in values))


def members(kind: type[enum.Enum]) -> Choice:
    """Of an `Enum`, by the values of its members."""
    return Choice(tuple((member.value, member) for member in kind))
