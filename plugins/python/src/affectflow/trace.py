"""How is an exception told? As a line, and as a traceback of the user's code alone."""

from __future__ import annotations

import os
import traceback

from .errors import DeclarationError, OptionError, ResultError

#: Most characters of a message, and of a traceback.
MESSAGE, DETAIL = 10_000, 200_000

_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")

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
    told = traceback.TracebackException.from_exception(error)
    _keep_users(told)
    return _cut("".join(told.format()).rstrip(), DETAIL)


def _cut(text: str, most: int) -> str:
    """Its beginning and its end, where it is longer."""
    return text if len(text) <= most else f"{text[: most // 2]} [...] {text[-most // 2 :]}"


def _keep_users(told: traceback.TracebackException | None) -> None:
    """Takes our own frames out, of the exceptions behind it too."""
    while told is not None:
        users = [frame for frame in told.stack if not os.path.abspath(frame.filename).startswith(_HERE)]
        told.stack = traceback.StackSummary.from_list(users or list(told.stack))
        told = told.__cause__ or told.__context__
