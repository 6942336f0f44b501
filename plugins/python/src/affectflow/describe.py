"""How are stages shown to a person? Kinds, columns, options, and the lines that bring them into a pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .stage import Stage


def stages(stages: Mapping[str, Stage], command: list[str]) -> str:
    """All of it, as text."""
    shown = [_stage(stage.manifest) for stage in stages.values()]
    return "\n\n".join([*shown, _use(next(iter(stages)), command)])


def _stage(manifest: dict[str, Any]) -> str:
    lines = [f"{manifest['kind']} ({manifest['shape']}, version {manifest['version']}): {manifest['summary']}"]
    for word in ("reads", "adds"):
        lines.extend(_aligned(word, [_column(column) for column in manifest[word]]))
    required = manifest["options"].get("required", [])
    properties = manifest["options"]["properties"]
    lines.extend(_aligned("options", [_option(name, one, name in required) for name, one in properties.items()]))
    return "\n".join(lines)


def _aligned(word: str, entries: list[str]) -> list[str]:
    return [f"  {word if at == 0 else '':9}{entry}" for at, entry in enumerate(entries)]


def _column(column: dict[str, Any]) -> str:
    name = column.get("name") or f"(option {column['option']})"
    about = f": {column['about']}" if column.get("about") else ""
    return f"{name} {column['type']}{about}"


def _option(name: str, schema: dict[str, Any], required: bool) -> str:
    default = "required" if required else f"default {json.dumps(schema.get('default'))}"
    about = f": {schema['description']}" if schema.get("description") else ""
    return f"{name} {_kind(schema)}, {default}{about}"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _use(kind: str, command: list[str]) -> str:
    return "\n".join(
        [
            "In a pipeline file:",
            "",
            "  plugins:",
            f"    - command: {json.dumps(command)}",
            "",
            f"and among its stages `{kind}: {{ kind: {kind} }}`. With --manifest all of it is printed as JSON.",
        ]
    )
