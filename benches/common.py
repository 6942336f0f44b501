"""What do the benches of the engine share? Building, the Rust example, processes on the clock, turns, tables."""

import json
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SILENT = {"DVC_NO_ANALYTICS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}


class Cost(NamedTuple):
    """Seconds of the clock and of the processor, in user space and the kernel, all threads."""

    wall: float
    cpu: float


def build(folder, arguments, built):
    """Builds with cargo and copies the program, which another build would replace."""
    subprocess.run(["cargo", "build", "--quiet", *arguments], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / built
    return Path(shutil.copy(target, folder))


def program(folder):
    return build(folder, ["--bin", "affectflow"], "affectflow")


class Engine:
    """One bench of the example `engine`, asked word by word."""

    def __init__(self, folder, bench, number=None):
        example = build(folder, ["-p", "affectflow-pipeline", "--example", "engine"], "examples/engine")
        self.process = subprocess.Popen(
            [example, bench, *([] if number is None else [str(number)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(folder)},
        )

    def ask(self, word):
        print(word, file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline() or "null")
        assert answer is not None, "the Rust example ended"
        return answer

    def cost(self, word):
        answer = self.ask(word)
        return Cost(answer["seconds"], answer["cpu"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def peer(name):
    """A program of a package that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def process(*command, cwd):
    """Runs a program to its end."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=os.environ | SILENT, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    process.said = done.stdout
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def here(work):
    """Runs a function of Python."""
    cpu, start = time.process_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - start, time.process_time() - cpu)


def in_turns(sides, turns):
    """The costs of every side; each is asked once a turn, and the first turn is not counted."""
    costs = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, work in sides.items():
            cost = work()
            if turn > 0:
                costs[name].append(cost)
    return costs


def median(costs):
    return Cost(*(statistics.median(side) for side in zip(*costs)))


def spread(costs):
    """Least and most seconds of the clock."""
    walls = [cost.wall for cost in costs]
    return min(walls), max(walls)


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def table(head, rows):
    """A table as Markdown has it."""
    for row in [head, ["---"] * len(head), *rows]:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
    print(flush=True)


def times(costs, ours, start=None):
    """A table of medians, spread and the ratio to ours; `start` is what each side's process costs by itself."""
    net = {name: median(each).wall for name, each in costs.items()}
    for name, each in (start or {}).items():
        net[name] -= median(each).wall
    rows = []
    for name, each in costs.items():
        middle, (least, most) = median(each), spread(each)
        row = [name, seconds(middle.wall), f"{seconds(least)} to {seconds(most)}", seconds(middle.cpu)]
        row += [seconds(net[name])] if start else []
        rows.append([*row, f"{net[name] / net[ours]:.2f}"])
    beyond = ["beyond start"] if start else []
    table(["", "median", "least to most", "user + sys", *beyond, "ratio"], rows)


def png(number):
    """A picture of 8 by 8 that no other number has."""
    pixel = struct.pack(">I", number * 2654435761 % 2**32)[1:]
    rows = b"".join(b"\0" + bytes((value + 9 * at) % 256 for at in range(8) for value in pixel) for _ in range(8))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)), (b"tEXt", b"number\0%d" % number)]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = (struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
