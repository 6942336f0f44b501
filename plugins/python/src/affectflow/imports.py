"""What does a module import? Read off its source, anywhere in it, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .modules import Module

_BY_NAME = ("import_module", "__import__")


def of(module: Module) -> list[str]:
    """Full names of what a module imports, in order; `a.b.*` for `from a.b import *`. Compiled modules tell nothing."""
    if module.path.suffix not in (".py", ".pyw"):
        return []
    try:
        tree = ast.parse(module.path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    names = [name for node in ast.walk(tree) for name in _names(node, module)]
    return list(dict.fromkeys(names))


def _names(node: ast.AST, module: Module) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute("." * node.level + (node.module or ""), module)
        # What is imported from a package may be a module of it.
        yield from (f"{base}.{alias.name}" for alias in node.names if base)
    elif isinstance(node, ast.Call) and node.args:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0]
        if called in _BY_NAME and isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield _absolute(first.value, module)


def _absolute(name: str, module: Module) -> str:
    """A name with leading dots, from the package that the module is in; empty where it leads out of it."""
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    around = module.package.split(".")
    if not module.package or level > len(around):
        return ""
    base = ".".join(around[: len(around) - level + 1])
    rest = name.lstrip(".")
    return f"{base}.{rest}" if rest else base
