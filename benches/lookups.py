"""How many keys a second does a run look up that finds everything?

A million numbered rows through a source and three maps, all computed before; every run opens the cache anew, takes a digest
of every row's input for the key of each map, looks the key up, notes the row in the run's list and hands it on. The rows
come in the order they were computed in, and shuffled. A core's look-ups are counted by processor time, all threads.

Hugging Face `datasets` keeps one key for a whole `map`, not one a row: the same maps on the same rows again are three files
to open, whatever their number, and in any other order, or with one row more, all is computed again. Both are shown.
"""

import datasets

from common import Engine, here, in_turns, median, seconds, table, times

NUMBER = 1_000_000


def measure(folder, rows, turns):
    datasets.disable_progress_bars()
    theirs = Theirs(folder / "datasets", rows)
    with Engine(folder, "lookups", rows) as engine:
        sides = {
            "affectflow, input order": lambda: engine.cost("ordered"),
            "affectflow, shuffled": lambda: engine.cost("shuffled"),
            "datasets, input order": lambda: here(theirs.again),
            "datasets, shuffled": lambda: here(theirs.shuffled),
        }
        costs = in_turns(sides, turns)
        parts = {order: engine.ask(word) for order, word in (("input order", "parts"), ("shuffled", "parts_shuffled"))}
    print(f"{rows:,} rows through three maps, everything cached\n")
    times(costs, "affectflow, input order")
    lookups = 3 * rows / 1e6
    rates = [(name, f"{lookups / median(each).cpu:.2f}") for name, each in costs.items() if name.startswith("affectflow")]
    rates += [(f"look-ups alone, {order}", f"{lookups / part['find_seconds']:.2f}") for order, part in parts.items()]
    table(["", "million look-ups a second a core"], rates)
    names = list(parts["input order"]["nanoseconds"])
    rows = [(name, *(f"{part['nanoseconds'][name]:.0f}" for part in parts.values())) for name in names]
    table(["part by itself, ns a look-up", *parts], rows)


class Theirs:
    """Three maps of Hugging Face datasets on the same ids; batched, which is their fast way."""

    def __init__(self, folder, rows):
        ids = [f"folder-{row % 100:02}/{row}.png" for row in range(rows)]
        datasets.Dataset.from_dict({"id": ids}).save_to_disk(folder)
        self.folder, self.seed = folder, 0

    def again(self):
        maps(datasets.load_from_disk(self.folder))

    def shuffled(self):
        self.seed += 1
        maps(datasets.load_from_disk(self.folder).shuffle(seed=self.seed))


def maps(rows):
    rows = rows.map(number, batched=True).map(second, batched=True).map(third, batched=True)
    assert "third" in rows.column_names


def number(batch):
    return {"number": [int(name[name.index("/") + 1 : -4]) for name in batch["id"]]}


def second(batch):
    return {"second": [value + 1 for value in batch["number"]]}


def third(batch):
    return {"third": [value + 1 for value in batch["second"]]}
