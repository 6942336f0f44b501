"""How does a stage behave under the program? A harness that drives it in a process of its own, over the real protocol.

with af.testing.Plugin([sys.executable, "mine.py"]) as plugin:
    answer = plugin.run("words", {"limit": 2}, {"caption": ["a b c", None]})
    assert answer.columns["words"].to_pylist() == [2, None]
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from . import datatypes, wire
from .stdio import VARIABLE

Json = dict[str, Any]


class PluginEnded(Exception):
    """The process ended where an answer was due; the text has its exit code."""


class StageFailed(Exception):
    """The answer was `error`: its message, and as `detail` the traceback."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


@dataclass
class Answer:
    """What came of rows."""

    #: The added columns.
    columns: pa.Table
    #: Of rows that failed, the place among all rows and the reason.
    failures: dict[int, str]
    warnings: list[str] = field(default_factory=list)
    progress: list[Json] = field(default_factory=list)


class Plugin:
    """A plugin's process. Leave it by `with`, or `close` it."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        folder: str | os.PathLike[str] | None = None,
        contract: tuple[int, int] = (1, 1),
        time_limit: float = 120,
        stderr: int | None = None,
    ) -> None:
        """Starts the command in `folder` and says hello.

        contract: lowest and highest version asked for
        time_limit: seconds after which the process is killed
        stderr: as of `subprocess.Popen`
        """
        self.process = subprocess.Popen(
            [os.fspath(word) for word in command],
            cwd=folder,
            env={**os.environ, VARIABLE: "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._timer = threading.Timer(time_limit, self.process.kill)
        self._timer.daemon = True
        self._timer.start()
        self._reader = wire.Reader(self.process.stdout)  # type: ignore[arg-type]
        self._writer = wire.Writer(self.process.stdin)  # type: ignore[arg-type]
        self._workers = 0
        self.hello = self._hello(contract)
        self.kinds: dict[str, Json] = {kind["kind"]: kind for kind in self.hello["kinds"]}

    def _hello(self, contract: tuple[int, int]) -> Json:
        asked = {"min": contract[0], "max": contract[1]}
        try:
            self.send({"type": "hello", "contract": asked, "program": "affectflow.testing"})
            return self.receive()[0]
        except PluginEnded:
            self.close()
            raise

    def run(
        self,
        kind: str,
        options: Json | None = None,
        rows: pa.Table | pa.RecordBatch | Mapping[str, Any] | None = None,
        *,
        rows_per_call: int | None = None,
    ) -> Answer:
        """Opens a stage, computes the rows and closes it. Options left out have their defaults; `id` is made where missing.

        rows_per_call: into how many rows a call they are cut; all at once where left out
        """
        table = _table(rows)
        worker = self.open(kind, options, table.schema)
        try:
            return self._compute(worker, self._read(kind, options, table), rows_per_call or max(table.num_rows, 1))
        finally:
            self.send({"type": "close", "worker": worker})

    def open(self, kind: str, options: Json | None, schema: pa.Schema) -> int:
        """Opens a stage for columns of that schema, and gives its worker's number."""
        manifest, complete = self.kinds[kind], self._complete(kind, options)
        reads = [{"name": name, "type": _planned(schema.field(name))} for name in _reads(manifest, complete)]
        self._workers += 1
        self.send(
            {
                "type": "open",
                "worker": self._workers,
                "kind": kind,
                "options": complete,
                "reads": reads,
                "adds": _adds(manifest, complete),
            }
        )
        self._answer("opened", Answer(pa.table({}), {}))
        return self._workers

    def call(self, worker: int, rows: pa.Table) -> Answer:
        """Computes rows, whose columns are `id` and what the stage reads."""
        answer = Answer(pa.table({}), {})
        self._writer.write({"type": "call", "worker": worker, "rows": rows.num_rows}, rows)
        message, payload = self._answer("result", answer)
        assert payload is not None
        answer.columns = wire.read_stream(payload)
        answer.failures = {failure["row"]: failure["error"] for failure in message["failures"]}
        return answer

    def send(self, message: Json) -> None:
        """Sends any message."""
        try:
            self._writer.write(message)
            self.process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self) -> tuple[Json, pa.Buffer | None]:
        """The next message, whatever it is."""
        question = self._reader.read()
        if question is None:
            raise self._ended()
        return question

    def close(self) -> int:
        """Ends the process by the end of its standard input, and gives its exit code."""
        self._timer.cancel()
        for end in (self.process.stdin, self.process.stdout, self.process.stderr):
            if end is not None:
                try:
                    end.close()
                except BrokenPipeError:
                    pass
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Plugin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ended(self) -> PluginEnded:
        return PluginEnded(f"the process ended with code {self.process.wait()} where an answer was due")

    def _answer(self, wanted: str, answer: Answer) -> tuple[Json, pa.Buffer | None]:
        """The answer to a question; what is told before it goes into `answer`."""
        self.process.stdin.flush()  # type: ignore[union-attr]
        while True:
            message, payload = self.receive()
            if message["type"] == "warning":
                answer.warnings.append(message["message"])
            elif message["type"] == "progress":
                answer.progress.append(message)
            elif message["type"] == "error":
                raise StageFailed(message["message"], message.get("detail", ""))
            elif message["type"] == wanted:
                return message, payload
            else:
                raise AssertionError(f"`{message['type']}` came where `{wanted}` was due")

    def _compute(self, worker: int, rows: pa.Table, rows_per_call: int) -> Answer:
        starts = range(0, max(rows.num_rows, 1), rows_per_call)
        answers = [self.call(worker, rows.slice(start, rows_per_call)) for start in starts]
        return Answer(
            pa.concat_tables([one.columns for one in answers]),
            {start + row: why for start, one in zip(starts, answers) for row, why in one.failures.items()},
            [warning for one in answers for warning in one.warnings],
            [told for one in answers for told in one.progress],
        )

    def _complete(self, kind: str, options: Json | None) -> Json:
        properties = self.kinds[kind]["options"]["properties"]
        defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
        complete: Json = json.loads(json.dumps({**defaults, **(options or {})}))
        return complete

    def _read(self, kind: str, options: Json | None, table: pa.Table) -> pa.Table:
        return table.select(["id", *_reads(self.kinds[kind], self._complete(kind, options))])


def _table(rows: pa.Table | pa.RecordBatch | Mapping[str, Any] | None) -> pa.Table:
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    table = rows if isinstance(rows, pa.Table) else pa.table(dict(rows or {}))
    if "id" not in table.column_names:
        ids = [f"row{row:07}" for row in range(table.num_rows)]
        table = table.add_column(0, "id", pa.array(ids, pa.string()))
    return table


def _planned(column: pa.Field) -> str:
    """The type a column is planned with; its layout may be a dictionary."""
    if pa.types.is_dictionary(column.type):
        return datatypes.text(column.type.value_type)
    shape = datatypes.shape(column)
    return f"tensor<{datatypes.text(column.type.value_type)}>{list(shape)}" if shape else datatypes.text(column.type)


def _reads(manifest: Json, options: Json) -> list[str]:
    names = [name for column in manifest["reads"] for name in _names(column, options)]
    return [name for name in dict.fromkeys(names) if name != "id"]


def _adds(manifest: Json, options: Json) -> list[Json]:
    return [
        {"name": name, "type": _extents(column["type"], options)}
        for column in manifest["adds"]
        for name in _names(column, options)
    ]


def _names(column: Json, options: Json) -> list[str]:
    if "name" in column:
        return [column["name"]]
    named = options[column["option"]]
    if named is None:
        return []
    return [named] if isinstance(named, str) else list(named)


def _extents(text: str, options: Json) -> str:
    """A tensor's type with the values of options for its extents."""
    for name, value in options.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text
