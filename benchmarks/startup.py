"""From command to first step, and how long every equation and stepper compiles.

    python benchmarks/startup.py [--repeats 5] [--compile] [--json FILE]

The start: ``pdesim equation=gray_scott grid=64`` as a command, until its log says that the first
steps were taken, beside a process that only imports TensorFlow, in turns; the difference is what
pdesim adds (its own modules, the plan, tracing and compiling). With ``--compile`` every shipped
equation with every stepper that can serve it is compiled as well, a process per equation.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np

#: what the issue of speed asks for, in seconds
ADDED_AT_MOST, COMPILED_WITHIN = 2.5, 3.0
COMMAND = (
    "equation=gray_scott", "grid=64", "time.end=10", "output.frames=1", "animation=none",
)  # fmt: skip


#: without taking TensorFlow down, which costs a second that a run spends later, or not at all
IMPORT = "import os, tensorflow; os._exit(0)"


def import_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True)
    return time.perf_counter() - began


def first_step_seconds() -> dict[str, float]:
    """From the start of the process to TensorFlow's being ready, and to the first steps taken."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        words = [*COMMAND, f"hydra.run.dir={folder}/run"]
        subprocess.run([sys.executable, "-m", "pdesim", *words], check=True, capture_output=True)
        ended = time.time()
        lines = Path(folder, "run", "pdesim.log").read_text().splitlines()
    stamps = [datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp() for line in lines]
    # the log's first line follows TensorFlow's start, its second the trial steps
    return {"ready": stamps[0] - began, "step": stamps[1] - began, "whole": ended - began}


def measure_start(repeats: int) -> dict:
    turns = []
    for turn in range(repeats + 1):
        found = {"import": import_seconds(), **first_step_seconds()}
        found["added"] = found["step"] - found["import"]
        if turn:  # the first fills the disk's cache
            turns.append(found)
    return {
        name: {
            "median": float(np.median([t[name] for t in turns])),
            "min": min(t[name] for t in turns),
            "max": max(t[name] for t in turns),
        }
        for name in turns[0]
    }


def compile_seconds(equation: str) -> dict[str, float]:
    """Every stepper that can serve an equation as it comes, on 64 cells per axis."""
    from pdesim.config.compose import compose_settings
    from pdesim.engine.device import start_tensorflow
    from pdesim.errors import PdesimError
    from pdesim.plan import build_plan
    from pdesim.settings import Device
    from pdesim.steppers import METHODS

    placement, found = start_tensorflow(Device(name="cpu")), {}
    from pdesim.engine.simulation import Simulation

    Simulation(_plan_of(compose_settings, build_plan, "heat", "euler"), placement).prepare()
    for stepper in METHODS:
        try:
            plan = _plan_of(compose_settings, build_plan, equation, stepper)
        except PdesimError:
            continue
        if plan.equation.steady:
            return {}
        simulation = Simulation(plan, placement)
        simulation.prepare()
        found[stepper] = round(simulation.compile_seconds, 3)
    return found


def _plan_of(compose_settings, build_plan, equation: str, stepper: str):
    words = [f"equation={equation}", f"stepper={stepper}", "grid=64", "device=cpu"]
    composed = compose_settings([*words, "output.frames=2"])
    return build_plan(composed.settings, composed.equation)


def measure_compiling(names: list[str]) -> dict[str, dict[str, float]]:
    from pdesim.config.compose import choices

    found = {}
    for name in names or [e for e in choices("equation") if e != "custom"]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as single:
            found[name] = single.submit(compile_seconds, name).result()
        print(name, found[name], file=sys.stderr, flush=True)
    return {name: times for name, times in found.items() if times}


def show(found: dict) -> None:
    print("| seconds | median | min-max |\n|---|---|---|")
    names = {
        "import": "import tensorflow, alone", "ready": "the command, until TensorFlow is ready",
        "step": "the command, until the first steps", "added": "first steps less the import",
        "whole": "the command, to its end",
    }  # fmt: skip
    for name, words in names.items():
        t = found["start"][name]
        print(f"| {words} | {t['median']:.2f} | {t['min']:.2f}-{t['max']:.2f} |")
    print(f"\nadded at most {ADDED_AT_MOST}: {found['start']['added']['median'] <= ADDED_AT_MOST}")
    if "compile" not in found:
        return
    steppers = list(dict.fromkeys(s for times in found["compile"].values() for s in times))
    print("\n| compile seconds | " + " | ".join(steppers) + " |")
    print("|" + "---|" * (len(steppers) + 1))
    for equation, times in found["compile"].items():
        cells = [f"{times[s]:.2f}" if s in times else "-" for s in steppers]
        print(f"| {equation} | " + " | ".join(cells) + " |")
    slow = max((t, e, s) for e, times in found["compile"].items() for s, t in times.items())
    print(f"\nthe slowest: {slow[1]} with {slow[2]}, {slow[0]:.2f} s (wanted: {COMPILED_WITHIN})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--compile", nargs="*", metavar="EQUATION", help="compile these, or all, with all steppers"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    found: dict = {"start": measure_start(options.repeats)}
    if options.compile is not None:
        found["compile"] = measure_compiling(options.compile)
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
