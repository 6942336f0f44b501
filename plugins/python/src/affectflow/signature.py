"""Which parameter takes the rows, and which are options? Read off a function, or off a class's `__init__` and `__call__`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from . import docs
from .errors import DeclarationError
from .options import MISSING, Entry, Hint, Record, read
from .options.models import is_model
from .options.records import of_dataclass

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a stage takes."""

    #: The annotation of the rows; `None` where there is none.
    rows: Any
    #: The options.
    options: Hint
    #: From the options, the function of the rows.
    build: Callable[[Any], Callable[[Any], Any]]


def of(stage: Any) -> Signature:
    """Reads the signature of what was decorated."""
    return _of_class(stage) if isinstance(stage, type) else _of_function(stage)


def _of_function(stage: Callable[..., Any]) -> Signature:
    takes_rows, rest = _rows(stage, _parameters(stage))
    options, whole = _options(rest, _hints(stage), docs.read(stage).options)
    if whole:
        return Signature(takes_rows, options, lambda value: lambda rows: stage(rows, value))
    return Signature(takes_rows, options, lambda value: lambda rows: stage(rows, **value))


def _of_class(stage: type) -> Signature:
    call = getattr(stage, "__call__", None)
    if not inspect.isfunction(call):
        raise DeclarationError("a class that is a stage needs `def __call__(self, rows)`")
    takes_rows, rest = _rows(call, _parameters(call)[1:])
    if rest:
        raise DeclarationError(f"`__call__` takes the rows alone; `{rest[0].name}` belongs into `__init__`")
    about = docs.read(stage).options
    if dataclasses.is_dataclass(stage):
        fields = of_dataclass(stage, read, get_type_hints(stage, include_extras=True), about)
        made_of: Callable[..., Any] = stage
        return Signature(takes_rows, dataclasses.replace(fields, build=dict), lambda value: made_of(**value))
    made = stage.__init__  # type: ignore[misc]
    if not inspect.isfunction(made):
        return Signature(takes_rows, Record(()), lambda value: stage())
    options, whole = _options(_parameters(made)[1:], _hints(made), about)
    return Signature(takes_rows, options, lambda value: stage(value) if whole else stage(**value))


def _parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def _hints(function: Any) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DeclarationError(f"a type hint cannot be read: {error}; import it where the module runs") from None


def _rows(function: Any, parameters: list[inspect.Parameter]) -> tuple[Any, list[inspect.Parameter]]:
    if not parameters or parameters[0].kind not in _POSITIONAL:
        raise DeclarationError("the first parameter takes the rows: `def stage(rows, *, option: int = 1)`")
    return _hints(function).get(parameters[0].name), parameters[1:]


def _options(parameters: list[inspect.Parameter], hints: dict[str, Any], about: dict[str, str]) -> tuple[Hint, bool]:
    """The options, and whether one parameter takes them all."""
    for parameter in parameters:
        if parameter.kind in _STARRED:
            raise DeclarationError(f"`{parameter}` cannot be options: each needs a name and a type")
        if parameter.name not in hints:
            raise DeclarationError(f"option `{parameter.name}` needs a type hint")
    if len(parameters) == 1 and parameters[0].kind in _POSITIONAL:
        hint = hints[parameters[0].name]
        if is_model(hint) or (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
            return read(hint), True
    return Record(tuple(_entry(parameter, hints, about) for parameter in parameters)), False


def _entry(parameter: inspect.Parameter, hints: dict[str, Any], about: dict[str, str]) -> Entry:
    default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
    return Entry(parameter.name, read(hints[parameter.name]), default, about.get(parameter.name, ""))
