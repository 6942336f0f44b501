"""What can be said of columns and options beside their type?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from .errors import OptionError


@dataclass(frozen=True)
class Column:
    """A column that a stage adds: its type, and what it means, for the manual."""

    type: str | pa.DataType
    about: str = ""


@dataclass(frozen=True)
class Option:
    """Stands for the column that an option names; made by `option`."""

    name: str


def option(name: str) -> Option:
    """In place of a column's name: the column (or the list of columns) that the option `name` holds."""
    return Option(name)


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both included: `Annotated[int, af.Range(min=1, max=10)]`."""

    min: float | None = None
    max: float | None = None

    def schema(self) -> dict[str, Any]:
        return _given(minimum=self.min, maximum=self.max)

    def check(self, value: Any, where: str) -> None:
        if value is None:
            return
        if self.min is not None and value < self.min:
            raise OptionError(f"{where} must be at least {self.min}, not {value}")
        if self.max is not None and value > self.max:
            raise OptionError(f"{where} must be at most {self.max}, not {value}")


@dataclass(frozen=True)
class Length:
    """Bounds of the length of a text or a list, both included."""

    min: int | None = None
    max: int | None = None

    def schema(self) -> dict[str, Any]:
        return _given(minLength=self.min, maxLength=self.max, minItems=self.min, maxItems=self.max)

    def check(self, value: Any, where: str) -> None:
        if value is None:
            return
        if self.min is not None and len(value) < self.min:
            raise OptionError(f"{where} must have at least {self.min}, not {len(value)}")
        if self.max is not None and len(value) > self.max:
            raise OptionError(f"{where} must have at most {self.max}, not {len(value)}")


@dataclass(frozen=True)
class Unit:
    """The unit of a number, for the manual: `af.Unit("px")`."""

    text: str

    def schema(self) -> dict[str, Any]:
        return {"x-unit": self.text}


@dataclass(frozen=True)
class Neutral:
    """Marks an option that changes no result, a number of threads say: what is cached stays valid when it changes."""

    def schema(self) -> dict[str, Any]:
        return {"x-identity": False}


def _given(**words: Any) -> dict[str, Any]:
    return {word: value for word, value in words.items() if value is not None}
