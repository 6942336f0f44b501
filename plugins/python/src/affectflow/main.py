"""What happens when a module of stages is run? It serves the program that started it; a person is told what there is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from . import describe
from .declare import STAGES
from .stdio import STDIO

#: Exit code of wrong use.
WRONG_USE = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the declared stages: the last line of a module, under `if __name__ == "__main__":`.

    Started by hand it prints the kinds, with `--manifest` everything that the program would be told, as JSON.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not STAGES:
        print("no stage is declared: put `@af.map(...)` or `@af.table(...)` before a function", file=sys.stderr)
        sys.exit(WRONG_USE)
    if STDIO is not None:
        from .serve import serve

        serve(STAGES, STDIO)
    elif given == ["--manifest"]:
        from .serve import greeting

        print(json.dumps(greeting(STAGES), indent=2))
    elif given:
        print(f"unknown argument `{given[0]}`; there is `--manifest`", file=sys.stderr)
        sys.exit(WRONG_USE)
    else:
        print(describe.stages(STAGES, _command()))


def _command() -> list[str]:
    """How this process was started, as `plugins:` would say it."""
    module = sys.modules["__main__"]
    spec = getattr(module, "__spec__", None)
    if spec is None:
        return ["python", os.path.relpath(sys.argv[0])]
    return ["python", "-m", spec.name.removesuffix(".__main__")]
