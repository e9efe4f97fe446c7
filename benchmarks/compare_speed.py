"""Compare the speed of the step loop of two versions of pdesim.

    python benchmarks/compare_speed.py BEFORE AFTER [--rounds 9]

BEFORE and AFTER are checkouts (folders that contain ``pdesim/``). Two processes, one for each,
compute the same steps in turn; printed is the median of the ratios of both times, above 1 where
AFTER is faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

CASES = (
    "equation=gray_scott stepper=euler grid=512",
    "equation=gray_scott stepper=euler grid=2048",
    "equation=gray_scott stepper=rk4 grid=512",
    "equation=gray_scott stepper=rk4 grid=2048",
    "equation=gray_scott stepper=rkl2 grid=512",
    "equation=gray_scott stepper=rkl2 grid=2048",
    "equation=wave stepper=verlet grid=512",
    "equation=heat stepper=euler grid=2048",
    "equation=gray_scott stepper=dormand_prince grid=512",
    "equation=gray_scott stepper=dormand_prince grid=2048",
)
#: seconds that a round should take in each process
ROUND_SECONDS = 0.4
#: a process reads numbers of steps and prints the seconds that they take
WORKER = """
import sys, time
from pdesim.bench.program import Program
from pdesim.config.compose import compose_settings
from pdesim.engine.startup import start_for
from pdesim.plan import build_plan

words = sys.argv[1].split()
extent = 2.5 * int(words[-1].partition("=")[2]) / 256
words += ["time.end=1", "output.frames=1", f"domain.extent={extent}", "device=cpu"]
composed = compose_settings(words)
plan = build_plan(composed.settings, composed.equation)
program = Program(plan, start_for([plan]))
program.run(8)
print("ready", flush=True)
for line in sys.stdin:
    began = time.perf_counter()
    program.run(int(line))
    print(time.perf_counter() - began, flush=True)
"""


class Version:
    """A process that computes steps with the version in a checkout."""

    def __init__(self, checkout: Path, words: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def wait_until_ready(self) -> None:
        while (line := self.process.stdout.readline()).strip() != "ready":
            if not line:
                raise SystemExit("a version does not compute this case")

    def seconds(self, steps: int) -> float:
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(before: Path, after: Path, words: str, rounds: int) -> list[float]:
    """The ratios of seconds before to seconds after, one for each round."""
    versions = Version(before, words), Version(after, words)
    for version in versions:
        version.wait_until_ready()
    steps = 8
    while (taken := versions[0].seconds(steps)) < 0.7 * ROUND_SECONDS:
        steps = max(steps + 8, int(steps * min(4.0, ROUND_SECONDS / max(taken, 1e-3))))
    versions[1].seconds(steps)
    ratios = []
    for number in range(rounds):
        first, second = versions if number % 2 == 0 else versions[::-1]
        seconds = {id(first): first.seconds(steps), id(second): second.seconds(steps)}
        ratios.append(seconds[id(versions[0])] / seconds[id(versions[1])])
    for version in versions:
        version.close()
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    for words in CASES:
        ratios = compare(given.before, given.after, words, given.rounds)
        print(
            f"{statistics.median(ratios):.3f}  ({min(ratios):.2f} to {max(ratios):.2f})  {words}",
            flush=True,
        )


if __name__ == "__main__":
    main()
