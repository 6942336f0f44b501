"""Where do messages come from, and where does everything else go?

The program speaks over standard input and output. Both are taken over before any other code runs, as soon as `affectflow` is
imported: file descriptor 0 becomes empty, 1 becomes standard error. So `print`, what C writes, and programs that a stage
starts go to standard error, and none of them can read or write a message.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import BinaryIO

#: Set by the program for the plugins it starts.
VARIABLE = "AFFECTFLOW_PLUGIN"


@dataclass(frozen=True)
class Stdio:
    """Both ends of the conversation."""

    input: BinaryIO
    output: BinaryIO


def take_over() -> Stdio | None:
    """Takes standard input and output away from everybody else; `None` where no program started this one."""
    if os.environ.pop(VARIABLE, None) != "1":
        return None
    input_end, output_end = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if hasattr(sys.stdout, "reconfigure"):
        # What was printed before and waits to be written goes there too.
        sys.stdout.flush()
        sys.stdout.reconfigure(line_buffering=True)
    for end in (input_end, output_end):
        _binary(end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: _close(input_end, output_end))
    return Stdio(open(input_end, "rb", buffering=1 << 16), open(output_end, "wb", buffering=0))


def _binary(end: int) -> None:
    """Ends of lines stay as they are, on Windows too."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(end, os.O_BINARY)


def _close(*ends: int) -> None:
    """In a forked child: it must not hold the conversation open, nor take part in it."""
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass


#: Taken over at import, or `None`.
STDIO = take_over()
