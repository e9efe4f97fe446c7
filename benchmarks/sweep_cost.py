"""A sweep as one program beside the same members as processes of their own, one after the other.

    python benchmarks/sweep_cost.py [--members 64] [--grid 128] [--steps 5000] [--alone 8] [--json]
    python benchmarks/sweep_cost.py --full

Times `pdesim -m` as a whole process, then `--alone` members spread evenly over the list, each as a
process of its own; their mean times the number of members stands for all, and is reported as
extrapolated. `--full` starts every single member. Then the cell updates a second of a batch beside
those of one member alone, in turns in one process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pdesim.config.compose import compose_settings
from pdesim.engine.device import start_tensorflow
from pdesim.plan import build_plan


def words(options, **more) -> list[str]:
    """Explicit Euler with dt = 1, two frames, no pictures."""
    end = {"time.dt": 1, "time.end": options.steps, "output.frames": 2, "animation": "none"}
    chosen = {"equation": "gray_scott", "grid": options.grid, "stepper": "euler", **end, **more}
    return [f"{key}={value}" for key, value in chosen.items()]


def values(count: int) -> list[float]:
    return [round(0.02 + 0.04 * i / count, 6) for i in range(count)]


def process(folder: Path, *arguments: str) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "pdesim", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def whole_times(options) -> tuple[float, list[float]]:
    """Seconds of the sweep, and of each process with one member."""
    F = values(options.members)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = ",".join(map(str, F))
        sweep = process(folder, "-m", *words(options, **{"equation.F": listed}))
        count = options.members if options.full else options.alone
        spread = [F[i * options.members // count] for i in range(count)]
        alone = [process(folder, *words(options, **{"equation.F": f})) for f in spread]
    return sweep, alone


def rates(options, turns: int = 3) -> tuple[float, float]:
    """Cell updates a second, in millions, of one member alone and of the sweep's batches."""
    from pdesim.engine.simulation import Simulation
    from pdesim.sweeps.members import largest_batch

    plans = []
    for F in values(options.members):
        composed = compose_settings(words(options, **{"equation.F": F}))
        plans.append(build_plan(composed.settings, composed.equation))
    placement = start_tensorflow(plans[0].settings.device)
    size = largest_batch(plans[0], placement)
    contenders = {
        "alone": Simulation(plans[0], placement),
        "batch": Simulation(plans[:size], placement),
    }
    blocks = {}
    first = [plan.state for plan in plans]
    for name, simulation in contenders.items():
        simulation.prepare()
        blocks[name] = simulation.blocks
        for plan, state in zip(plans, first, strict=True):
            plan.first.values = state  # prepared runs let it go
    found = {name: [] for name in contenders}
    for _ in range(turns):
        for name, chosen in (("alone", plans[0]), ("batch", plans[:size])):
            simulation = Simulation(chosen, placement)
            simulation.blocks = blocks[name]
            list(simulation.frames())
            rate = simulation.steps * plans[0].grid.cells / simulation.seconds / 1e6
            found[name].append(rate)
    return tuple(statistics.median(found[name]) for name in ("alone", "batch"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--grid", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--alone", type=int, default=8)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sweep, processes = whole_times(options)
    alone, batch = rates(options)
    one_by_one = statistics.mean(processes) * options.members
    found = {
        "sweep_seconds": sweep,
        "process_seconds": processes,
        "extrapolated": len(processes) < options.members,
        "wall_ratio": one_by_one / sweep,
        "Mcells_alone": alone,
        "Mcells_batch": batch,
        "throughput_ratio": batch / alone,
    }
    if options.json:
        print(json.dumps(vars(options) | found))
        return
    kind = "extrapolated from" if found["extrapolated"] else "measured as"
    count, quick, slow = len(processes), min(processes), max(processes)
    print(f"{options.members} members, {options.grid}^2, {options.steps} steps each")
    print(f"the sweep takes {sweep:.1f} s, one process each {one_by_one:.1f} s")
    print(f"  ({kind} {count} processes of {quick:.1f} to {slow:.1f} s)")
    print(f"ratio of wall times: {found['wall_ratio']:.1f}")
    print(f"cell updates: {alone:.0f} M/s alone, {batch:.0f} M/s as a batch")
    print(f"ratio: {found['throughput_ratio']:.2f}")


if __name__ == "__main__":
    main()
