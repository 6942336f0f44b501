"""`python -m affectflow serve MODULE`: serves the stages of a module, or of a file, that does not call `main` itself."""

from __future__ import annotations

import importlib
import os
import sys

from .main import WRONG_USE, main

USAGE = "usage: python -m affectflow serve MODULE [--manifest]   (MODULE: a name such as `my_stage`, or `my_stage.py`)"


def run(arguments: list[str]) -> None:
    """Loads the module and serves what it declares."""
    if len(arguments) < 2 or arguments[0] != "serve":
        print(USAGE, file=sys.stderr)
        sys.exit(WRONG_USE)
    module = arguments[1]
    if module.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(module)))
        module = os.path.basename(module).removesuffix(".py")
    importlib.import_module(module)
    main(arguments[2:])


if __name__ == "__main__":
    run(sys.argv[1:])
