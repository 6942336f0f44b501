"""Names with hints: the parameters of a function, the fields of a dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from .hint import Hint, Json, Schema, wrong

#: The default of what must be given.
MISSING = dataclasses.MISSING


@dataclasses.dataclass(frozen=True)
class Entry:
    """One parameter or field."""

    name: str
    hint: Hint
    default: Any = MISSING
    about: str = ""

    def schema(self, defs: Schema) -> Schema:
        schema = self.hint.schema(defs)
        if self.about:
            schema["description"] = self.about
        if self.default is not MISSING:
            schema["default"] = self.hint.dump(self.default)
        return schema


@dataclasses.dataclass(frozen=True)
class Record:
    """Several of them, and what is built of their values."""

    entries: tuple[Entry, ...]
    build: Callable[..., Any] = dict

    def schema(self, defs: Schema) -> Schema:
        required = [entry.name for entry in self.entries if entry.default is MISSING]
        return {
            "type": "object",
            "properties": {entry.name: entry.schema(defs) for entry in self.entries},
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def load(self, value: Json, where: str) -> Any:
        if not isinstance(value, dict):
            raise wrong(where, "a map", value)
        before = f"{where}." if where else ""
        known = {entry.name: entry for entry in self.entries}
        for name in value:
            if name not in known:
                raise wrong(
                    f"{before}{name}", f"one of {', '.join(f'`{one}`' for one in known) or 'none'}", value[name]
                )
        loaded = {}
        for entry in self.entries:
            if entry.name in value:
                loaded[entry.name] = entry.hint.load(value[entry.name], f"{before}{entry.name}")
            elif entry.default is MISSING:
                raise wrong(f"{before}{entry.name}", "given", None)
            else:
                loaded[entry.name] = entry.default
        return self.build(**loaded)

    def dump(self, value: Any) -> Json:
        return {entry.name: entry.hint.dump(getattr(value, entry.name)) for entry in self.entries}


def of_dataclass(kind: type, read: Callable[[Any], Hint], hints: dict[str, Any], about: dict[str, str]) -> Record:
    """The fields of a dataclass that its `__init__` takes."""
    entries = tuple(
        Entry(field.name, read(hints[field.name]), _default(field), about.get(field.name, ""))
        for field in dataclasses.fields(kind)
        if field.init
    )
    return Record(entries, kind)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
