"""Stages that fail, talk, hang and die."""

import ctypes
import multiprocessing
import os
import subprocess
import sys
import time

import numpy as np

import affectflow as af

print("printed while the module is loaded")

number = af.map(reads={"n": "int64"}, adds={"m": "int64"})


@number
def picky(rows: dict[str, list]) -> list:
    """Fails rows: odd ones by place, 100 by id."""
    for at, n in enumerate(rows["n"]):
        if n % 2:
            af.fail(np.int64(at), f"{n} is odd")
        if n == 100:
            af.fail(rows["id"][at], "a hundred")
    return rows["n"]


@number
def wrong_row(rows: dict[str, list]) -> list:
    af.fail(len(rows["n"]), "beyond the end")
    return rows["n"]


def deeper(value: int) -> None:
    raise KeyError(f"no word for {value}")


@number
def raises(rows: dict[str, list]) -> list:
    deeper(rows["n"][0])
    return []


@number
def chained(rows: dict[str, list]) -> list:
    try:
        deeper(rows["n"][0])
    except KeyError as error:
        raise RuntimeError("no answer") from error
    return []


@number
def leaves(rows: dict[str, list]) -> list:
    sys.exit("enough")


@number
def talks(rows: dict[str, list]) -> list:
    """Writes to standard output by every way there is, and reads standard input."""
    print("printed")
    sys.stdout.write('{"type": "result"}\n')
    sys.__stdout__.flush()
    os.write(1, b"written to 1\n")
    ctypes.CDLL(None).puts(b"put by C")
    ctypes.CDLL(None).fflush(None)
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    assert sys.stdin.read() == "" and os.read(0, 10) == b""
    child = os.fork()
    if child == 0:
        print("from a fork")
        os._exit(0)
    os.waitpid(child, 0)
    return rows["n"]


def loud_double(value: int) -> int:
    print("from a pool")
    return value * 2


@number
def pools(rows: dict[str, list], *, method: str = "spawn") -> list:
    """Computes in processes of its own, which load this file again."""
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(loud_double, rows["n"])


@number
def floods(rows: dict[str, list]) -> list:
    """Ten megabytes on standard error."""
    for _ in range(10):
        sys.stderr.write("x" * (1 << 20) + "\n")
    return rows["n"]


@number
def tells(rows: dict[str, list]) -> list:
    af.warn("the lexicon is old")
    for step in range(1000):
        af.progress(np.int64(step + 1), 1000, "steps", f"loss {step}")
    return rows["n"]


@number
def hangs(rows: dict[str, list], *, seconds: float = 600.0) -> list:
    time.sleep(seconds)
    return rows["n"]


@number
def computes(rows: dict[str, list]) -> list:
    """Busy without end, in Python."""
    while True:
        pass


@number
def dies(rows: dict[str, list]) -> list:
    os.kill(os.getpid(), 9)
    return []


@number
def long_error(rows: dict[str, list]) -> list:
    raise ValueError("much to say " * 4_000_000 + "\udcff")


@number
def all_fail(rows: dict[str, list]) -> list:
    for at in range(len(rows["n"])):
        af.fail(at, "why " * 100)
    return rows["n"]


@number
class Opens:
    """A class that fails, warns or counts.

    mode: what it does while it is made
    """

    def __init__(self, *, mode: str = "count") -> None:
        self.calls = 0
        if mode == "raise":
            raise RuntimeError("no weights")
        if mode == "fail":
            af.fail(0, "too early")
        if mode == "warn":
            af.warn("made")

    def __call__(self, rows: dict[str, list]) -> list:
        self.calls += 1
        return [self.calls] * len(rows["n"])


if __name__ == "__main__":
    af.main()
