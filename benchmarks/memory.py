"""Peak memory of whole runs, beside TensorFlow's own and beside the size of the state.

    python benchmarks/memory.py [--grid 2048] [--large] [--json FILE]

Every run is a command of its own with two frames to disk; its peak resident size is what the
operating system says at its end. TensorFlow's floor is the same run on 16 x 16 cells, which has
compiled and stored everything a run does. What is beyond the floor is told in states (all fields at
the run's precision) beside what the method needs: the state, and the arrays its stages keep.
``--large`` runs Gray-Scott on 8192 x 8192 cells, which is to stay within 4 GiB in all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

#: arrays of the state's size that a step needs besides the state: its stages
STAGES = {"euler": 1, "rk4": 4, "rkl2": 4, "etdrk2": 2, "etdrk4": 4, "dormand_prince": 7}
TIMES = 3
#: cells per axis that are to fit into so many bytes in all
LARGE, LARGE_LIMIT = 8192, 4 * 2**30
#: a child that says how much it held at most, whatever its parent held
CODE = """
import resource, sys
from pdesim.cli.main import main
code = main(sys.argv[1:])
unit = 1 if sys.platform == "darwin" else 1024
print("peak", unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
import os; os._exit(code)
"""


def peak_of(grid: int, stepper: str, *more: str) -> int:
    """Bytes that a run of a few steps with two frames held at most."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            "equation=gray_scott", f"grid={grid}", f"domain.extent={2.5 * grid / 512}",
            f"stepper={stepper}", "time.dt=0.1", "time.end=0.4", "output.frames=1",
            "animation=none", "output.compression=none", "device=cpu",
            f"hydra.run.dir={folder}/run", *more,
        ]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True
        )
    return int(done.stdout.split("peak")[1])


def row(grid: int, stepper: str, floor: int) -> dict:
    peak, state = peak_of(grid, stepper), 2 * 4 * grid * grid
    beyond = peak - floor
    allowed = TIMES * (1 + STAGES[stepper]) * state
    return {
        "stepper": stepper, "grid": grid, "state": state, "floor": floor, "peak": peak,
        "beyond": beyond, "states_beyond": beyond / state, "allowed": allowed,
        "holds": peak <= LARGE_LIMIT if grid == LARGE else beyond <= allowed,
    }  # fmt: skip


def show(r: dict) -> None:
    sizes = " | ".join(f"{r[name] / 1e6:.0f}" for name in ("state", "floor", "peak"))
    told = f"{r['states_beyond']:.1f} | {r['allowed'] / r['state']:.0f}"
    verdict = "yes" if r["holds"] else "NO"
    print(f"| {r['stepper']} | {r['grid']} | {sizes} | {told} | {verdict} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", type=int, default=2048)
    parser.add_argument("--steppers", nargs="*", choices=STAGES, default=list(STAGES))
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    print(
        "| stepper | grid | state MB | floor MB | peak MB | beyond, in states | allowed | holds |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    cases = [(options.grid, stepper) for stepper in options.steppers]
    rows = []
    for grid, stepper in cases + [(LARGE, "euler")] * options.large:
        rows.append(row(grid, stepper, peak_of(16, stepper)))
        show(rows[-1])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
