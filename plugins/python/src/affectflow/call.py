"""What can a stage say while it computes? That a row failed, how far it is, and what its user should know."""

from __future__ import annotations

import operator
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from .errors import ResultError

#: Progress told within this many seconds of the last is left out.
QUIET = 0.05

#: Most characters of what failed rows of one call say, a fifth of the longest line.
MOST = 3 << 20


class RowFailed(Exception):
    """`fail` outside a call, in a test of the bare function say."""


class Call:
    """One call: the ids of its rows and what failed among them."""

    def __init__(self, ids: pa.ChunkedArray | None, send: Callable[[dict[str, Any]], None]) -> None:
        self.ids = ids
        self.send = send
        self.failures: dict[int, str] = {}
        self.told = 0.0

    def row(self, row: int | str) -> int:
        """The place of a row, which may be given by its id."""
        if self.ids is None:
            raise RuntimeError("no rows are being computed: rows fail in a call, not while a stage is made")
        if isinstance(row, str):
            place = self.ids.index(row).as_py()
            if place < 0:
                raise ValueError(f"no row of this call has the id `{row}`")
            return int(place)
        place = operator.index(row)
        if not 0 <= place < len(self.ids):
            raise IndexError(f"there is no row {place}: this call has {len(self.ids)}")
        return place

    def failed(self) -> list[dict[str, Any]]:
        """The rows that failed, as the program is told of them; `ResultError` where they are too many for a message."""
        if sum(len(why) + 32 for why in self.failures.values()) > MOST:
            first = min(self.failures)
            raise ResultError(f"{len(self.failures)} rows failed; row {first}: {self.failures[first][:1000]}")
        return [{"row": row, "error": why} for row, why in sorted(self.failures.items())]


_lock = threading.Lock()
_current: Call | None = None


def begin(call: Call) -> None:
    """From now on it is this call that speaks."""
    global _current
    with _lock:
        _current = call


def end() -> None:
    """Nothing more may be said until the next call."""
    global _current
    with _lock:
        _current = None


def fail(row: int | str, why: str) -> None:
    """Says that a row failed, by its place in the call (from 0) or by its id; the others go on, it goes to quarantine.

    What stands in the columns for it does not matter: `None` will do.
    """
    with _lock:
        if _current is None:
            raise RowFailed(f"row {row!r}: {why}")
        _current.failures.setdefault(_current.row(row), str(why))


def progress(done: int, total: int | None = None, unit: str = "", note: str = "") -> None:
    """Says how far a long piece of work is, in whole numbers. Call it as often as you like: about twenty a second are sent."""
    with _lock:
        now = time.monotonic()
        if _current is None or (now - _current.told < QUIET and done != total):
            return
        _current.told = now
        told: dict[str, Any] = {"type": "progress", "done": max(int(done), 0)}
        if total is not None:
            told["total"] = max(int(total), 0)
        _current.send({**told, "unit": str(unit), "note": str(note)})


def warn(text: str) -> None:
    """Tells the user something that does not stop the work."""
    with _lock:
        if _current is not None:
            _current.send({"type": "warning", "message": str(text)})
            return
    print(f"warning: {text}", file=sys.stderr)
