"""How long does it take to open a cache of a hundred million rows, and how much memory?

One identity with a column of int32, in segments of a million rows. A fresh process opens it and looks up 1,000 keys from all
over it, then reads and checks their values: first with nothing of it in the page cache, then with all of it there. Resident
memory is what the system counts for the process, mapped pages of files included; anonymous is what only it holds. pyarrow
finds the same number of keys by a filter over the same files, which have no index for it.
"""

import os
from pathlib import Path

import pyarrow.compute
import pyarrow.dataset

from common import Engine, here, median, seconds, table

NUMBER = 10_000_000
WANTED = 1000


def measure(folder, rows, turns):
    with Engine(folder, "segments", rows) as engine:
        made = engine.ask("make")
        files = sorted(Path(made["folder"]).iterdir())
        size = {end: sum(file.stat().st_size for file in files if file.suffix == end) for end in (".parquet", ".keys")}
        print(f"{rows:,} rows in {made['segments']} segments, made in {seconds(made['seconds'])}; ", end="")
        print(f"Parquet {size['.parquet'] / 1e6:,.0f} MB, sidecars {size['.keys'] / 1e6:,.0f} MB\n")
        lines = []
        for turn in range(turns):
            forget(files)
            answers = {"not in the page cache": engine.ask("open"), "in the page cache": engine.ask("open")}
            lines += [(turn + 1, name, *told(answer)) for name, answer in answers.items()]
        memory = ["opened: resident", "anonymous", "found: resident", "read: resident"]
        table(["turn", "files", "open", f"find {WANTED:,}", f"read {WANTED:,}", *memory], lines)
        cost = median([here(lambda: scanned(made["folder"]))])
        print(f"pyarrow, filter of {WANTED:,} keys over the same files: {seconds(cost.wall)}, user + sys {seconds(cost.cpu)}\n")


def told(answer):
    mib = lambda when, what: f"{answer[when][what]:,.0f} MiB"
    times = [seconds(answer[f"{part}_seconds"]) for part in ("open", "find", "read")]
    resident = [mib("found", "rss_mib"), mib("read", "rss_mib")]
    return [*times, mib("opened", "rss_mib"), mib("opened", "anonymous_mib"), *resident]


def forget(files):
    """Asks the system to drop the files from the page cache; they were synced when they were written."""
    for path in files:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def scanned(folder):
    files = [str(path) for path in sorted(Path(folder).glob("*.parquet"))]
    rows = pyarrow.dataset.dataset(files, format="parquet")
    wanted = rows.head(WANTED, columns=["key"])["key"]
    found = rows.to_table(columns=["number"], filter=pyarrow.compute.field("key").isin(wanted))
    assert found.num_rows == WANTED
