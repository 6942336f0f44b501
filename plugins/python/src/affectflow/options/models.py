"""Pydantic's models and dataclasses: schema, checks and messages are its own. Pydantic need not be there."""

from __future__ import annotations

import json
from typing import Any

from ..errors import OptionError
from .hint import Json, Schema


def is_model(kind: Any) -> bool:
    """Whether pydantic made this class."""
    return isinstance(kind, type) and hasattr(kind, "__pydantic_core_schema__")


class Model:
    """A pydantic model or dataclass."""

    def __init__(self, kind: Any, about: dict[str, str]) -> None:
        from pydantic import TypeAdapter

        self.kind = kind
        self.about = about
        self.adapter = TypeAdapter(kind)

    def schema(self, defs: Schema) -> Schema:
        schema: Schema = _untitled(self.adapter.json_schema())
        defs.update(schema.pop("$defs", {}))
        schema.pop("description", None)
        schema.setdefault("additionalProperties", False)
        properties = schema.setdefault("properties", {})
        for name, field in self.kind.__pydantic_fields__.items():
            key = next((key for key in (field.validation_alias, field.alias, name) if key in properties), None)
            if key is None:
                continue
            if self.about.get(name):
                properties[key].setdefault("description", self.about[name])
            if not field.is_required() and "default" not in properties[key]:
                properties[key]["default"] = self.plain(field.get_default(call_default_factory=True))
        return schema

    def load(self, value: Json, where: str) -> Any:
        from pydantic import ValidationError

        try:
            return self.adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            raise OptionError(_told(error, where)) from None

    def dump(self, value: Any) -> Json:
        return self.adapter.dump_python(value, mode="json", by_alias=True)

    @staticmethod
    def plain(value: Any) -> Json:
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value)


def _told(error: Any, where: str) -> str:
    """Pydantic's findings in a line."""
    findings = []
    for found in error.errors():
        path = ".".join(str(part) for part in (*([where] if where else []), *found["loc"]))
        findings.append(f"option `{path}`: {found['msg']}" if path else found["msg"])
    return "; ".join(findings)


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic derives from names."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    values = ("default", "const", "enum", "examples")
    return {key: value if key in values else _untitled(value) for key, value in kept.items()}
