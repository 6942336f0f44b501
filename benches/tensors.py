"""How fast are tensors of 34,452 halves written and read again?

Random bits, committed in segments of 64 MB and read back 32 rows at a time through an index opened anew, every cell checked
against its digest; from the page cache, in the order written and shuffled. arrow-rs and pyarrow write and read the same
Parquet files in order, uncompressed, with no digests.
"""

import os

import pyarrow.parquet

from common import Engine, here, in_turns, median, spread, table

NUMBER = 2048
WIDTH = 34_452


def measure(folder, rows, turns):
    with Engine(folder, "tensors", rows) as engine:
        parts = [pyarrow.parquet.read_table(path) for path in engine.ask("files")]
        sides = {
            "affectflow writes": lambda: engine.cost("write"),
            "arrow-rs writes": lambda: engine.cost("arrow_write"),
            "pyarrow writes": lambda: here(lambda: write(folder, parts)),
            "affectflow reads": lambda: engine.cost("read"),
            "affectflow reads, shuffled": lambda: engine.cost("read_shuffled"),
            "arrow-rs reads": lambda: engine.cost("arrow_read"),
            "pyarrow reads": lambda: here(lambda: read(folder, parts)),
        }
        costs = in_turns(sides, turns)
    size = rows * WIDTH * 2 / 1e6
    print(f"{rows:,} rows of {WIDTH:,} halves, {size:.0f} MB in {len(parts)} segments\n")
    lines = []
    for name, each in costs.items():
        middle, (least, most) = median(each), spread(each)
        rate = [size / middle.wall, size / most, size / least, size / max(middle.cpu, 0.01)]
        peer = "arrow-rs writes" if "writes" in name else "arrow-rs reads"
        lines.append([name, *(f"{each:,.0f}" for each in rate), f"{median(costs[peer]).wall / middle.wall:.2f}"])
    table(["", "MB/s", "least", "most", "MB per user + sys second", "beside arrow-rs"], lines)


def write(folder, parts):
    for at, part in enumerate(parts):
        with open(folder / f"{at}.parquet", "wb") as file:
            pyarrow.parquet.write_table(part, file, compression="none", use_dictionary=False)
            file.flush()
            os.fsync(file.fileno())


def read(folder, parts):
    for at in range(len(parts)):
        pyarrow.parquet.read_table(folder / f"{at}.parquet", memory_map=True)
