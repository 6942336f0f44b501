"""What does a docstring say? Its first line, and a line for each option.

Read are plain `name: text` lines and the styles of Google (`name (int): text`), Sphinx (`:param name: text`) and NumPy
(`name : int`, the text below). Only names that are options are looked at.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

_SPHINX = re.compile(r"^\s*:param\s+(?:[^:]*\s)?(?P<name>\w+):\s*(?P<text>.*)$")
_NUMPY = re.compile(r"^\s*(?P<name>\w+)(?:\s+:\s.*)?$")
_PLAIN = re.compile(r"^\s*(?:[-*]\s+)?`?(?P<name>\w+)`?(?:\s*\([^)]*\))?:\s+(?P<text>.+)$")


@dataclass
class Doc:
    """A docstring, read."""

    summary: str = ""
    options: dict[str, str] = field(default_factory=dict)


def read(thing: Any) -> Doc:
    """The docstring of a function or class; of a class that of its `__init__` too. None is inherited."""
    doc = Doc()
    for text in _texts(thing):
        lines = inspect.cleandoc(text).splitlines()
        doc.summary = doc.summary or lines[0].strip().removesuffix(".")
        for name, about in _options(lines[1:]).items():
            doc.options.setdefault(name, about)
    return doc


def _texts(thing: Any) -> list[str]:
    texts = [thing.__dict__.get("__doc__") if isinstance(thing, type) else thing.__doc__]
    if isinstance(thing, type) and "__init__" in thing.__dict__:
        texts.append(thing.__dict__["__init__"].__doc__)
    # A dataclass without a docstring gets its signature for one.
    made = f"{thing.__name__}("
    return [text for text in texts if text and not text.startswith(made)]


def _options(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at, line in enumerate(lines):
        match = _SPHINX.match(line) or _PLAIN.match(line)
        below = _below(lines, at)
        if match:
            found.setdefault(match["name"], _joined([match["text"], *below]))
        elif (match := _NUMPY.match(line)) and below:
            found.setdefault(match["name"], _joined(below))
    return found


def _below(lines: list[str], at: int) -> list[str]:
    """The lines that follow and are indented more."""
    least = _indent(lines[at])
    below: list[str] = []
    for line in lines[at + 1 :]:
        if not line.strip() or _indent(line) <= least:
            break
        below.append(line)
    return below


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip()).removesuffix(".")
