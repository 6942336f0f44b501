"""How does a plugin answer? Hello, then one question at a time, until standard input ends.

One thread reads and another computes, so that the process can end at once when the program is gone, whatever is computed.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa

from . import arrivals, call, datatypes, project, results, trace, wire
from .errors import ProtocolError, ResultError
from .stage import Stage
from .stdio import Stdio
from .version import CONTRACT, SDK

Question = tuple[wire.Message, "pa.Buffer | None"]

#: Exit code where the program cannot be understood.
NOT_UNDERSTOOD = 2


@dataclass
class Worker:
    """A stage that was opened."""

    stage: Stage
    compute: Callable[[Any], Any]
    reads: dict[str, pa.Field]
    adds: list[pa.Field]


def serve(stages: Mapping[str, Stage], stdio: Stdio) -> NoReturn:
    """Answers until there is nothing more to answer; never returns."""
    # Ctrl-C in a terminal reaches every process of a run: it is the program that decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    reader, server = wire.Reader(stdio.input), Server(stages, wire.Writer(stdio.output))
    questions: queue.SimpleQueue[Question] = queue.SimpleQueue()
    try:
        hello = reader.read()
        if hello is None:
            _end(0)
        server.hello(*hello)
        # From here on the end of the questions ends the process, whatever it is doing.
        threading.Thread(target=_listen, args=(reader, questions), daemon=True).start()
        while True:
            server.answer(*questions.get())
    except ProtocolError as error:
        _end(NOT_UNDERSTOOD, str(error))
    except BrokenPipeError:
        _end(0)


def _listen(reader: wire.Reader, questions: queue.SimpleQueue[Question]) -> None:
    """Reads ahead of the answers; at the end of the questions the process ends."""
    try:
        while (question := reader.read()) is not None:
            questions.put(question)
    except ProtocolError as error:
        _end(NOT_UNDERSTOOD, str(error))
    except OSError as error:
        _end(NOT_UNDERSTOOD, f"standard input cannot be read: {error}")
    _end(0)


def _end(code: int, why: str = "") -> NoReturn:
    """Ends the process at once: no thread is waited for."""
    if why:
        print(f"{SDK}: {why}", file=sys.stderr, flush=True)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        # The program has made it the leader of a group: what it started ends with it.
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(code)


class Server:
    """The stages, those that are open, and whom to answer."""

    def __init__(self, stages: Mapping[str, Stage], writer: wire.Writer) -> None:
        self.stages = stages
        self.writer = writer
        self.workers: dict[int, Worker] = {}

    def hello(self, message: wire.Message, payload: pa.Buffer | None) -> None:
        """Agrees on a version and says which kinds there are."""
        if message["type"] != "hello":
            raise ProtocolError(f"the first message must be `hello`, not `{message['type']}`")
        asked = message.get("contract") or {}
        least, most = CONTRACT
        if asked.get("min", 0) > most or asked.get("max", 0) < least:
            raise ProtocolError(
                f"{_versions(least, most)} of the contract is known here, and the program asks for "
                f"{_versions(asked.get('min'), asked.get('max'))}; update the package `affectflow` or the program"
            )
        self.writer.write(greeting(self.stages))

    def answer(self, message: wire.Message, payload: pa.Buffer | None) -> None:
        """Answers one question; what goes wrong in a stage is told, and the next question awaited."""
        kind = message["type"]
        if kind == "close":
            self.workers.pop(message.get("worker"), None)  # type: ignore[arg-type]
        elif kind == "open":
            self._told(lambda: self._open(message))
        elif kind == "call":
            self._told(lambda: self._call(message, payload))
        else:
            raise ProtocolError(f"there is no message `{kind}`")

    def _told(self, work: Callable[[], tuple[wire.Message, pa.Table | None]]) -> None:
        try:
            answer = work()
        except ProtocolError:
            raise
        except BaseException as error:  # noqa: BLE001 - sys.exit() in a stage is an error of that stage
            detail = trace.detail(error)
            answer = (
                {"type": "error", "message": trace.message(error), **({"detail": detail} if detail else {})},
                None,
            )
        finally:
            call.end()
        self.writer.write(*answer)

    def _open(self, message: wire.Message) -> tuple[wire.Message, None]:
        stage = self.stages.get(message["kind"])
        if stage is None:
            raise ProtocolError(f"there is no kind `{message['kind']}`")
        adds = [datatypes.field(one["name"], one["type"]) for one in message["adds"]]
        call.begin(call.Call(None, self.writer.write))
        compute = stage.open(message["options"])
        self.workers[message["worker"]] = Worker(stage, compute, arrivals.fields(message["reads"]), adds)
        return {"type": "opened", "worker": message["worker"]}, None

    def _call(self, message: wire.Message, payload: pa.Buffer | None) -> tuple[wire.Message, pa.Table]:
        worker = self.workers.get(message["worker"])
        if worker is None or payload is None:
            raise ProtocolError(f"worker {message['worker']} is not open, or no rows follow")
        rows = arrivals.planned(wire.read_stream(payload), worker.reads)
        if rows.num_rows != message["rows"]:
            raise ProtocolError(f"{message['rows']} rows were announced and {rows.num_rows} came")
        current = call.Call(rows["id"], self.writer.write)
        call.begin(current)
        result = worker.compute(worker.stage.form.of(rows))
        try:
            added = results.columns(result, rows, worker.adds)
            failures = current.failed()
        except ResultError as error:
            raise ResultError(f"stage `{worker.stage.kind}`: {error}") from None
        if worker.stage.manifest["shape"] == "map":
            added = added.combine_chunks()
        return {"type": "result", "worker": message["worker"], "failures": failures}, added


def greeting(stages: Mapping[str, Stage]) -> wire.Message:
    """What the plugin says of itself."""
    found = project.found(stages.values())
    return {
        "type": "hello",
        "contract": {"min": CONTRACT[0], "max": CONTRACT[1]},
        "sdk": SDK,
        "kinds": [stage.manifest for stage in stages.values()],
        "files": [{"name": name, "path": str(path)} for name, path in sorted(found.files.items())],
        "packages": dict(sorted(found.packages.items())),
    }


def _versions(least: Any, most: Any) -> str:
    return f"version {least}" if least == most else f"versions {least} to {most}"
