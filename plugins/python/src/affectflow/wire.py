"""How do messages cross? One line of JSON each; where it has `bytes`, an Arrow IPC stream of that length follows."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

import pyarrow as pa

from .errors import ProtocolError

#: Longest line, in bytes.
LONGEST = 16 << 20

#: Streams up to this many bytes are joined to their line, so that they cross in one write.
JOINED = 1 << 20

Message = dict[str, Any]


class Reader:
    """The messages of the other side."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def read(self) -> tuple[Message, pa.Buffer | None] | None:
        """The next message and what follows it; `None` at the end."""
        line = self.stream.readline(LONGEST + 1)
        if not line:
            return None
        if not line.endswith(b"\n"):
            raise ProtocolError(f"a message ends within its line, or is longer than {LONGEST} bytes")
        try:
            message = json.loads(line)
        except ValueError as error:
            raise ProtocolError(f"this is no message: `{line[:80]!r}`: {error}") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise ProtocolError(f"this is no message: `{line[:80]!r}`")
        length = message.get("bytes")
        return message, None if length is None else self._payload(length)

    def _payload(self, length: int) -> pa.Buffer:
        payload = pa.allocate_buffer(length)
        view, at = memoryview(payload), 0
        while at < length:
            read = self.stream.readinto(view[at:])  # type: ignore[attr-defined]
            if not read:
                raise ProtocolError(f"the stream ends after {at} of {length} bytes")
            at += read
        return payload


class Writer:
    """Messages to the other side."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def write(self, message: Message, rows: pa.Table | None = None) -> None:
        """Sends a message, with rows behind it where there are any."""
        if rows is None:
            self._all(_line(message))
            return
        length = stream_length(rows)
        line = _line({**message, "bytes": length})
        if length > JOINED:
            self._all(line)
            write_stream(rows, _Through(self))
            return
        joined = pa.BufferOutputStream()
        joined.write(line)
        write_stream(rows, joined)
        self._all(joined.getvalue())

    def _all(self, data: Any) -> None:
        view = memoryview(data)
        while len(view):
            view = view[self.stream.write(view) or 0 :]


class _Through:
    """What Arrow writes to, and what writes on without a copy."""

    closed = False

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def write(self, data: Any) -> int:
        self.writer._all(data)
        return len(data)

    def flush(self) -> None: ...


def read_stream(payload: pa.Buffer) -> pa.Table:
    """The rows of an Arrow IPC stream, without a copy."""
    with pa.ipc.open_stream(payload) as stream:
        return stream.read_all()


def stream_length(rows: pa.Table) -> int:
    """How many bytes those rows take as a stream."""
    counted = pa.MockOutputStream()
    write_stream(rows, counted)
    return int(counted.size())


def write_stream(rows: pa.Table, sink: Any) -> None:
    """Writes the rows as an Arrow IPC stream."""
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        if rows.num_rows:
            stream.write_table(rows)
        else:
            stream.write_batch(pa.RecordBatch.from_pylist([], schema=rows.schema))


def _line(message: Message) -> bytes:
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="replace") + b"\n"
