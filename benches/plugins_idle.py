"""Stages that do next to nothing, in Python: the twins of plugins/sdk/examples/idle/stages.rs."""

import pyarrow as pa
import pyarrow.compute as pc

import affectflow as af

READY = pa.array([0] * 1024, pa.uint32())


@af.map(
    reads={"a": "utf8", "b": "float32", "c": "int32", "d": "binary"},
    adds={"e": af.Column("uint32", "zero")},
    rows_per_call=1024,
)
def idle(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Does nothing"""
    return pa.record_batch({"e": READY.slice(0, rows.num_rows)})


@af.map(reads={"image": "binary"}, adds={"bytes": af.Column("uint64", "of the picture")})
def weigh(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Weighs pictures"""
    return pa.record_batch({"bytes": pc.cast(pc.binary_length(rows.column("image")), pa.uint64())})


if __name__ == "__main__":
    af.main()
