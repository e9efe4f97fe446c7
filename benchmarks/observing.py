"""What recording observables costs: the same steps with and without, turn by turn.

    python benchmarks/observing.py [--grid 512] [--steps 1500] [--repeats 5] [--json]

Gray-Scott by Euler and RK4, with programs compiled beforehand in one process: without observables,
with two observables of every step, and with the same ones every 10 and every 100 steps. Records
go to ``series.h5`` through the writing thread, as in a run. Prints times relative to those without
observables (medians of the ratios within a turn), and the memory and file size of long records.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from pdesim.config.compose import compose_settings
from pdesim.engine.startup import start_for
from pdesim.output import RunFolder, Worker
from pdesim.plan import Plan, build_plan
from pdesim.run.files import open_recorder
from pdesim.run.job import Job

OBSERVED = "observe={mass: 'integral(u + v)', top: 'max(v)'}"
#: dt of both steppers: below the stability limit of Euler on 512 x 512 cells
DT = 0.25
#: records of the test of memory, on a grid of 16 cells
RECORDS = 100_000


def planned(*words: str) -> tuple[Plan, str]:
    composed = compose_settings(["equation=gray_scott", "output.frames=1", *words])
    return build_plan(composed.settings, composed.equation), composed.yaml


def seconds_of(plan: Plan, config: str, placement, folder: Path) -> float:
    """Wall time of all steps of a run, including the writing of its records."""
    from pdesim.engine.simulation import Simulation

    simulation, worker = Simulation(plan, placement), Worker(8)
    simulation.steps_per_block = 1000
    recorder = open_recorder(Job(plan, folder, config), worker)
    began = time.perf_counter()
    for _ in simulation.frames(record=lambda _, times, values: recorder.series(times, values)):
        pass
    worker.drain()
    seconds = time.perf_counter() - began
    recorder.close()
    worker.close()
    return seconds


def resident() -> int:
    """Bytes of memory that this process uses."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=512)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    common = [f"grid={options.grid}", f"time.dt={DT}", f"time.end={options.steps * DT}"]
    variants = {
        "without": [],
        "every step": [OBSERVED],
        "every 10 steps": [OBSERVED, f"observe_every={10 * DT}"],
        "every 100 steps": [OBSERVED, f"observe_every={100 * DT}"],
    }
    placement = start_for([planned(*common)[0]])
    figures: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for stepper in ("euler", "rk4"):
            plans = {
                name: planned(*common, *words, f"stepper={stepper}", "output.overwrite=true")
                for name, words in variants.items()
            }
            turns = [
                [seconds_of(*plan, placement, Path(folder)) for plan in plans.values()]
                for _ in range(options.repeats + 1)
            ][1:]
            ratios = np.array(turns)[:, 1:] / np.array(turns)[:, :1]
            names = list(variants)[1:]
            figures[stepper] = {n: ratios[:, i].tolist() for i, n in enumerate(names)}
        words = ["domain.extent=1", "grid=[16]", "stepper=euler", "time.dt=1e-3", OBSERVED]
        for records in (RECORDS // 10, RECORDS):
            plan, config = planned(*words, f"time.end={records * 1e-3}")
            before = resident()
            seconds_of(plan, config, placement, Path(folder))
            used = resident() - before
        size = RunFolder(Path(folder)).series.stat().st_size
    figures["memory"] = {"bytes": max(used, 0), "file_bytes_per_record": size / RECORDS}
    if options.json:
        print(json.dumps({"grid": options.grid, **figures}))
        return
    print(f"Gray-Scott {options.grid}^2, {options.steps} steps, {options.repeats} turns")
    for stepper in ("euler", "rk4"):
        for name, ratio in figures[stepper].items():
            low, middle, high = np.percentile(ratio, [0, 50, 100])
            print(f"{stepper:6} {name:16} {middle:.2f}  (from {low:.2f} to {high:.2f})")
    print(
        f"{RECORDS:,} records of two observables: {used / 1e6:.1f} MB more memory than before, "
        f"{size / RECORDS:.0f} bytes a record in the file"
    )


if __name__ == "__main__":
    main()
