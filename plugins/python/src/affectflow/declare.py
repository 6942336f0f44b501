"""How does a function become a stage? The two decorators, and the list of what they declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from .errors import DeclarationError
from .stage import Adds, Declared, Reads, Stage
from .stage import declare as _declare

Thing = TypeVar("Thing", bound=Callable[..., Any])

#: The stages of this process, by kind.
STAGES: dict[str, Stage] = {}
_MADE_OF: dict[str, Any] = {}


def map(
    *,
    reads: Reads = (),
    adds: Adds,
    kind: str | None = None,
    version: int = 1,
    retry: Literal["safe", "unsafe"] = "safe",
    scores: bool = False,
    rows_per_call: int | None = None,
    example: str | None = None,
) -> Callable[[Thing], Thing]:
    """Declares a stage that treats each row on its own, so that each is cached on its own.

    The result must be a function of the row's `reads` alone: the program chooses which rows come together.

    reads: columns that arrive: a list, or a map from column to type (`utf8`, `number`, `any`, ...). `id` arrives in any case;
        name it where results depend on it
    adds: a map from column to type or `Column`; a key is a name, or `option("x")` for the column that option `x` names
    kind: the `kind:` in the file; the name of the function where left out
    version: raise it when results change for the same rows and options
    retry: `unsafe` for work that must never be done twice
    scores: whether it scores results and may read `eval_label`
    rows_per_call: most rows of one call; users can set it too
    example: an entry of `stages:` that works, for the manual
    """
    return _decorator(Declared("map", reads, adds, kind, version, retry, scores, rows_per_call, example))


def table(
    *,
    reads: Reads = (),
    adds: Adds,
    kind: str | None = None,
    version: int = 1,
    retry: Literal["safe", "unsafe"] = "safe",
    scores: bool = False,
    example: str | None = None,
) -> Callable[[Thing], Thing]:
    """Declares a stage that sees all rows at once, sorted by `id`; the result is cached as a whole. Parameters as in `map`."""
    return _decorator(Declared("table", reads, adds, kind, version, retry, scores, None, example))


def _decorator(declared: Declared) -> Callable[[Thing], Thing]:
    def decorate(thing: Thing) -> Thing:
        stage = _declare(thing, declared)
        _add(stage, thing)
        return thing

    return decorate


def _add(stage: Stage, thing: Any) -> None:
    made_of = (_place(thing), thing.__qualname__)
    if stage.kind in STAGES and _MADE_OF[stage.kind] != made_of:
        raise DeclarationError(f"two stages are of kind `{stage.kind}`: give one of them another `kind=`")
    # A module that runs as a script and is imported as well declares its stages twice.
    STAGES.setdefault(stage.kind, stage)
    _MADE_OF.setdefault(stage.kind, made_of)


def _place(thing: Any) -> Any:
    """The file that a function or class stands in."""
    function = thing if not isinstance(thing, type) else thing.__call__
    return function.__code__.co_filename if hasattr(function, "__code__") else thing.__module__
