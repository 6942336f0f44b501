"""How is an exception told? As a line, and as a traceback that begins at the user's code."""

from __future__ import annotations

import os
import traceback
from types import TracebackType

from .errors import DeclarationError, OptionError, ResultError

#: Most characters of a message, and of a traceback.
MESSAGE, DETAIL = 10_000, 200_000

_HERE = os.path.dirname(os.path.abspath(__file__))

#: These name what is wrong by themselves.
_PLAIN = (DeclarationError, OptionError, ResultError)


def message(error: BaseException) -> str:
    """The exception in a line."""
    text = _cut(str(error), MESSAGE)
    if isinstance(error, _PLAIN):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def detail(error: BaseException) -> str | None:
    """The traceback without our own frames; `None` where it would say nothing more."""
    if isinstance(error, _PLAIN):
        return None
    lines = traceback.format_exception(type(error), error, _users(error.__traceback__))
    return _cut("".join(lines).rstrip(), DETAIL)


def _cut(text: str, most: int) -> str:
    """Its beginning and its end, where it is longer."""
    return text if len(text) <= most else f"{text[: most // 2]} [...] {text[-most // 2 :]}"


def _users(frames: TracebackType | None) -> TracebackType | None:
    """From the first frame on that is not ours."""
    while frames is not None and _ours(frames):
        frames = frames.tb_next
    return frames


def _ours(frames: TracebackType) -> bool:
    return os.path.dirname(os.path.abspath(frames.tb_frame.f_code.co_filename)).startswith(_HERE)
