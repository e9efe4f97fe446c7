"""Memory, open files, threads and temporary files over one long run and over a large sweep.

    python benchmarks/leaks.py [--frames 300] [--members 200]

Samples this process through /proc/self (Linux) and prints a table for each. After the first third,
when caches and pools are filled, nothing should grow.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pdesim
from pdesim.cli.main import main as pdesim_command

#: seconds between samples
INTERVAL = 0.02


@dataclass(frozen=True)
class Sample:
    """The state of this process after ``done`` frames or members."""

    done: int
    mebibytes: float
    descriptors: int
    threads: int
    temporary: int


def take_sample(done: int, folder: Path) -> Sample:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    hidden = sum(path.name not in (".hydra", ".lock") for path in folder.rglob(".*"))
    hidden += len(list(Path(tempfile.gettempdir()).glob("*pdesim*")))
    threads = len(list(Path("/proc/self/task").iterdir()))
    return Sample(done, resident, len(list(Path("/proc/self/fd").iterdir())), threads, hidden)


def watch(task: Callable[[], None], count: Callable[[], int], folder: Path) -> list[Sample]:
    """Samples while a task is running, one for each new count of what is done."""
    samples, ended = [], threading.Event()

    def sample() -> None:
        while not ended.wait(INTERVAL):
            done = count()
            if not samples or done != samples[-1].done:
                samples.append(take_sample(done, folder))

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        task()
    finally:
        ended.set()
        watcher.join()
    return samples


def show(title: str, samples: list[Sample]) -> None:
    print(f"\n{title}\n{'done':>6} {'MiB':>8} {'files':>6} {'threads':>8} {'temporary':>10}")
    last = samples[-1].done
    for share in (0.1, 1 / 3, 0.5, 0.75, 1.0):
        one = next(s for s in samples if s.done >= share * last)
        print(f"{one.done:6} {one.mebibytes:8.1f} {one.descriptors:6} {one.threads:8} "
              f"{one.temporary:10}")  # fmt: skip
    late = [s for s in samples if s.done >= last / 3]
    done, memory = np.array([(s.done, s.mebibytes) for s in late]).T
    slope = np.polyfit(done, memory, 1)[0] * 1024
    print(f"growth of memory over the last two thirds: {slope:.1f} KiB each")


def rows(path: Path) -> int:
    try:
        return max(path.read_bytes().count(b"\n") - 1, 0)
    except OSError:
        return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--members", type=int, default=200)
    given = parser.parse_args()
    words = ("equation=gray_scott", "grid=128", "animation=none", "output.checkpoint=0.1")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def run() -> None:
            end = (f"time.end={20 * given.frames}", f"output.frames={given.frames}")
            pdesim.simulate(*words, *end, folder=folder / "run")

        table = folder / "run" / "diagnostics.csv"
        show(f"a run of {given.frames} frames", watch(run, lambda: rows(table), folder))

        def sweep() -> None:
            small = ("equation=gray_scott", "grid=16", "animation=none", "time.end=100")
            values = ",".join(
                f"{0.02 + 0.04 * n / given.members:.6f}" for n in range(given.members)
            )
            code = pdesim_command(
                [
                    "-m",
                    *small,
                    "output.frames=2",
                    f"equation.F={values}",
                    f"hydra.sweep.dir={folder}/s",
                ]
            )
            if code:
                raise SystemExit(f"the sweep ended with code {code}")

        def finished() -> int:
            return sum(
                b'"finished"' in path.read_bytes() for path in (folder / "s").glob("*/status.json")
            )

        show(f"a sweep of {given.members} members", watch(sweep, finished, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
