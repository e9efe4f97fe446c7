"""Explicit Gray-Scott: pdesim beside the plain NumPy loop, turn by turn in one process.

    python benchmarks/compare_numpy.py [--grid 512] [--repeats 7] [--json]

Prints medians, spreads and the ratio of cell updates per second. Single times mean little on a
shared machine, so the ratio is taken turn by turn, and its spread is shown.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from pdesim.config.compose import compose_settings
from pdesim.engine.device import start_tensorflow
from pdesim.plan import build_plan

#: steps a turn: about a second for either contender at 512 x 512
STEPS = {"pdesim": 600, "numpy roll": 40}


def numpy_turn(state: np.ndarray, steps: int, dt: float, h: float, p: dict[str, float]):
    u, v = state
    for _ in range(steps):
        laplacians = [
            (np.roll(a, 1, 0) + np.roll(a, -1, 0) + np.roll(a, 1, 1) + np.roll(a, -1, 1) - 4 * a)
            / (h * h)
            for a in (u, v)
        ]
        uvv = u * v * v
        u = u + dt * (p["Du"] * laplacians[0] - uvv + p["F"] * (1 - u))
        v = v + dt * (p["Dv"] * laplacians[1] + uvv - (p["F"] + p["k"]) * v)
    return np.stack([u, v])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    dt, turns = 0.25, options.repeats + 1
    composed = compose_settings(
        [
            "equation=gray_scott",
            f"grid={options.grid}",
            f"domain.extent={2.5 * options.grid / 512}",
            "stepper=euler",
            f"time.dt={dt}",
            f"time.end={dt * STEPS['pdesim'] * turns}",
            f"output.frames={turns}",
        ]
    )
    plan = build_plan(composed.settings)
    placement = start_tensorflow(composed.settings.device)
    from pdesim.engine.simulation import Simulation

    frames = Simulation(plan, placement).frames()
    state = next(frames).state
    parameters = {k: np.float32(v) for k, v in plan.equation.parameters.items()}
    step, spacing = np.float32(dt), np.float32(plan.grid.spacing[0])

    rates: dict[str, list[float]] = {name: [] for name in STEPS}
    for turn in range(turns):
        began = time.perf_counter()
        next(frames)
        middle = time.perf_counter()
        state = numpy_turn(state, STEPS["numpy roll"], step, spacing, parameters)
        ended = time.perf_counter()
        if turn > 0:  # the first compiles and warms up
            for name, seconds in (("pdesim", middle - began), ("numpy roll", ended - middle)):
                rates[name].append(plan.grid.cells * STEPS[name] / seconds / 1e6)
    ratios = np.array(rates["pdesim"]) / np.array(rates["numpy roll"])
    summary = {name: np.percentile(values, [0, 50, 100]).tolist() for name, values in rates.items()}
    summary["ratio"] = np.percentile(ratios, [0, 50, 100]).tolist()
    if options.json:
        print(json.dumps({"grid": options.grid, "turns": options.repeats, **summary}))
        return
    print(f"Gray-Scott {options.grid}^2 float32, explicit Euler, {options.repeats} turns each")
    print(f"{'million cell updates/s':24}{'min':>10}{'median':>10}{'max':>10}")
    for name, values in summary.items():
        print(f"{name:24}" + "".join(f"{value:10.1f}" for value in values))


if __name__ == "__main__":
    main()
