"""What everything beside the step loop costs: a run and its computing alone, turn by turn.

    python benchmarks/end_to_end.py [--grid 512] [--turns 5] [--json] [SETTING=VALUE ...]

Each turn is a process of its own, timed from its start to its end. One is the command
`pdesim equation=gray_scott grid=512`: 101 frames, checkpoint, diagnostics, GIF. The other starts
Python and TensorFlow, plans, compiles and takes the same steps, and leaves nothing behind.

The first ratio is that of the two. The second leaves the start of Python and TensorFlow out, which
no overlap can hide and which flatters the first: (computing + what the whole takes longer) /
computing, with the seconds that the run itself counted in its blocks of steps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=512)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", action="store_true", help="compute in this process, that is all")
    parser.add_argument("settings", nargs="*")
    options = parser.parse_args()
    words = ["equation=gray_scott", f"grid={options.grid}", *options.settings]
    if options.alone:
        compute(words)
        return
    turns = [turn(words) for _ in range(options.turns)]
    whole, alone, computing = np.array(turns).T
    median = {"whole": np.median(whole), "alone": np.median(alone)}
    found = {
        "grid": options.grid,
        "turns": turns,
        "ratio": median["whole"] / median["alone"],
        "ratio_without_start": 1 + np.median(whole - alone) / np.median(computing),
    }
    if options.json:
        print(json.dumps(found))
        return
    print(f"{' '.join(words)}, {options.turns} turns each; seconds")
    for name, seconds in (("whole run", whole), ("computing alone", alone), ("steps", computing)):
        low, middle, high = np.percentile(seconds, [0, 50, 100])
        print(f"{name:16} {middle:7.2f}  ({low:.2f} to {high:.2f})")
    print(f"end to end {found['ratio']:.3f} times the computing alone;", end=" ")
    print(f"{found['ratio_without_start']:.3f} times, the start of both left out")


def turn(words: list[str]) -> tuple[float, float, float]:
    """Seconds of the whole run, of its computing alone, and of the steps in the whole run."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        whole = timed([sys.executable, "-m", "pdesim", *words, f"hydra.run.dir={run}"])
        status = json.loads((run / "status.json").read_text())
    alone = timed([sys.executable, __file__, "--alone", *words[2:], f"--grid={words[1][5:]}"])
    return whole, alone, status["steps"] / status["steps_per_second"]


def timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def compute(words: list[str]) -> None:
    """The steps and the frames in memory, as in the run; nothing is stored."""
    from pdesim.config.compose import compose_settings
    from pdesim.engine.startup import start_for
    from pdesim.plan import build_plan

    composed = compose_settings(words)
    plan = build_plan(composed.settings, composed.equation)
    placement = start_for([plan])
    from pdesim.engine.simulation import Simulation

    simulation = Simulation(plan, placement)
    simulation.prepare()
    for _ in simulation.frames():
        pass
    # the command leaves in the same way: without taking TensorFlow down
    os._exit(0)


if __name__ == "__main__":
    main()
