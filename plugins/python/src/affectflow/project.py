"""What is a plugin made of? Its own files, by name and content, and the packages of other people, by version.

Found in the sources, not by running them: from the modules that declare stages, every import is followed, those inside
functions too, as long as it leads to a file of the project. What Python ships and what others publish is not opened; of the
latter the version counts. Modules that the project imported by other ways are added from those that are loaded.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from . import imports
from .modules import Module, find, module_of, origin
from .stage import Stage

#: Ourselves: what we compute is the contract's matter, and no part of a plugin's identity.
_SDK = __name__.partition(".")[0]

_STANDARD = tuple(os.path.abspath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
_PUBLISHED = ("site-packages", "dist-packages")

#: Files named by `depends_on`.
_NAMED: dict[str, Path] = {}


@dataclass
class Found:
    """The files of a plugin by their name, and versions of packages by theirs."""

    files: dict[str, Path] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)


def depends_on(path: str | os.PathLike[str]) -> Path:
    """Says that results depend on a file, or on every file of a folder: weights, a lexicon. Gives its full path back.

    A relative path starts from the folder of the file that calls this. Call it where the module is loaded, not in a stage.
    """
    folder = os.path.dirname(os.path.abspath(sys._getframe(1).f_globals.get("__file__", "")))
    full = Path(os.path.abspath(os.path.join(folder, path)))
    if not full.exists():
        raise FileNotFoundError(f"there is no `{full}`, which `depends_on` names")
    files = sorted(one for one in full.rglob("*") if one.is_file()) if full.is_dir() else [full]
    for one in files:
        _NAMED[Path(os.path.relpath(one, folder)).as_posix()] = one
    return full


def found(stages: Iterable[Stage]) -> Found:
    """What those stages are made of."""
    roots = [module for stage in stages if (module := module_of(stage.module))]
    walk = _Walk({root.name.partition(".")[0] for root in roots})
    for root in [*roots, *walk.loaded()]:
        walk.enter(root)
    walk.found.files.update(_NAMED)
    return walk.found


class _Walk:
    """Follows imports from file to file."""

    def __init__(self, own: set[str]) -> None:
        #: Packages that are the plugin's, wherever they are installed.
        self.own = own
        self.found = Found()
        self.published: set[str] = set()

    def loaded(self) -> list[Module]:
        """Modules of the project that are loaded, by whatever way."""
        modules = [module_of(name) for name in list(sys.modules)]
        return [module for module in modules if module and self._is_ours(module.name, str(module.path))]

    def enter(self, module: Module) -> None:
        """Takes a module in, and what it imports."""
        waiting = [module]
        while waiting:
            module = waiting.pop()
            if module.file in self.found.files:
                continue
            self.found.files[module.file] = module.path
            for name in imports.of(module):
                waiting.extend(self._follow(name))

    def _follow(self, name: str) -> list[Module]:
        """The modules of the project that importing `name` loads: it, and the packages around it."""
        top = name.partition(".")[0]
        place = origin(top)
        if place is None or top == _SDK:
            return []
        if self._is_ours(top, place):
            return find(name)
        if not place.startswith(_STANDARD) or _is_published(place):
            return self._count(top)
        return []

    def _is_ours(self, name: str, place: str) -> bool:
        top = name.partition(".")[0]
        if top == _SDK or not os.path.isabs(place):
            return False
        return top in self.own or not (place.startswith(_STANDARD) or _is_published(place))

    def _count(self, top: str) -> list[Module]:
        """Notes the version of a published package; one without any counts by its files."""
        if top in self.published:
            return []
        self.published.add(top)
        names = _distributions(top)
        for name in names:
            self.found.packages[name] = metadata.version(name)
        return [] if names else find(top)


def _is_published(place: str) -> bool:
    return any(part in _PUBLISHED for part in Path(place).parts)


def _distributions(top: str) -> list[str]:
    """The distributions that bring a module."""
    try:
        return [metadata.metadata(top)["Name"]]
    except metadata.PackageNotFoundError:
        return sorted(set(metadata.packages_distributions().get(top, [])))
