"""Where does a module lie? Found as Python would find it, without running it or the packages around it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """A module that has a file."""

    #: Its full name; of a script the name of its file.
    name: str
    path: Path
    #: The package that its relative imports start from.
    package: str

    @property
    def file(self) -> str:
        """A name for the file that does not say where the project lies: `mine/words.py`."""
        parts = self.name.split(".")
        if self.path.stem == "__init__":
            return "/".join([*parts, self.path.name])
        return "/".join([*parts[:-1], self.path.name])


def module_of(name: str) -> Module | None:
    """The module that is loaded under that name, `__main__` too; `None` where it has no file."""
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if module is None or not isinstance(path, str) or not os.path.isfile(path):
        return None
    spec = getattr(module, "__spec__", None)
    known = spec.name if spec else Path(path).stem if name in ("__main__", "__mp_main__") else name
    package = getattr(module, "__package__", None) or ""
    return Module(known, Path(os.path.abspath(path)), package)


def origin(top: str) -> str | None:
    """The file or folder of a module without dots; an empty text for what is built in, `None` for what is not there."""
    spec = _top(top)
    if spec is None:
        return None
    if spec.origin and os.path.isabs(spec.origin):
        return os.path.abspath(spec.origin)
    folders = list(spec.submodule_search_locations or [])
    return os.path.abspath(folders[0]) if folders else ""


def find(name: str) -> list[Module]:
    """The modules that importing `name` loads, packages first; `a.b.*` is every module of the package `a.b`.

    Where the end of the name is no module but something within one, what is before it is found.
    """
    parts = name.split(".")
    found: list[Module] = []
    spec = _top(parts[0])
    for at in range(1, len(parts) + 1):
        if spec is None:
            break
        known = ".".join(parts[:at])
        found.extend(_module(known, spec))
        folders = spec.submodule_search_locations
        if at == len(parts) or folders is None:
            break
        if parts[at] == "*":
            for one in pkgutil.iter_modules(list(folders)):
                found.extend(find(f"{known}.{one.name}"))
            break
        spec = importlib.machinery.PathFinder.find_spec(f"{known}.{parts[at]}", list(folders))
    return found


def _top(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return importlib.machinery.PathFinder.find_spec(name)


def _module(name: str, spec: importlib.machinery.ModuleSpec) -> list[Module]:
    if not spec.origin or not os.path.isfile(spec.origin):
        return []
    is_package = spec.submodule_search_locations is not None
    return [Module(name, Path(os.path.abspath(spec.origin)), name if is_package else name.rpartition(".")[0])]
