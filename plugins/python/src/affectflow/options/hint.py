"""What must be known of a type hint? The three questions that every file here answers for its kind of hint."""

from __future__ import annotations

import json
from typing import Any, Protocol

from ..errors import OptionError

Json = Any
Schema = dict[str, Any]


class Hint(Protocol):
    """A type hint, read."""

    def schema(self, defs: Schema) -> Schema:
        """Its JSON Schema; what is referred to goes into `defs`."""
        ...

    def load(self, value: Json, where: str) -> Any:
        """The Python value of a JSON value; `OptionError` names `where`."""
        ...

    def dump(self, value: Any) -> Json:
        """The JSON value of a Python value, for defaults."""
        ...


def wrong(where: str, wanted: str, value: Json) -> OptionError:
    """The error for a value of another type."""
    return OptionError(f"option `{where}` must be {wanted}, not `{json.dumps(value, ensure_ascii=False, default=str)}`")
