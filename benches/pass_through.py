"""What does the cache add to writing?

A million rows (id, int64, float64, text of 32 letters) lie in memory and go through a map that gives back what it gets, with
the cache on and empty. Ours is the whole run: keys, digests, durable segments with their sidecars, the lists that `export`
reads, the record. arrow-rs alone writes the very batches of these segments to as many Parquet files, synced. pyarrow writes
them with its defaults and syncs. Hugging Face `datasets` maps the identity over Arrow batches into its cache, unsynced.
"""

import os

import datasets
import pyarrow
import pyarrow.parquet

from common import Engine, here, in_turns, times

NUMBER = 1_000_000


def measure(folder, rows, turns):
    datasets.disable_progress_bars()
    with Engine(folder, "pass_through", rows) as engine:
        parts = [pyarrow.parquet.read_table(path) for path in engine.ask("files")]
        whole = folder / "datasets"
        datasets.Dataset(pyarrow.concat_tables(parts)).save_to_disk(whole)
        sides = {
            "affectflow": lambda: engine.cost("ours"),
            "arrow-rs": lambda: engine.cost("arrow"),
            "pyarrow": lambda: here(lambda: write(folder, parts)),
            "datasets": lambda: here(lambda: mapped(whole)),
        }
        costs = in_turns(sides, turns)
    print(f"{rows:,} rows in {len(parts)} segments\n")
    times(costs, "arrow-rs")


def write(folder, parts):
    for at, part in enumerate(parts):
        with open(folder / f"{at}.parquet", "wb") as file:
            pyarrow.parquet.write_table(part, file)
            file.flush()
            os.fsync(file.fileno())


def mapped(folder):
    rows = datasets.load_from_disk(folder).with_format("arrow")
    rows.map(lambda batch: batch, batched=True, load_from_cache_file=False)
