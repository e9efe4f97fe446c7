"""What a step costs beside its model: stages times the cost of one right-hand side.

    python benchmarks/cost_model.py [--repeats 5] [--json FILE]

Gray-Scott in float32. The cost of one right-hand side is a step of the one-stage method of the
same kind: Euler for explicit steppers, ETDRK1 for exponential ones. Those of one kind and one grid
are measured turn by turn in a process that is set up as for a run of them, and the ratios are those
of neighbouring turns; 1.3 is what is asked for.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from pdesim.bench.command import ROUND_SECONDS
from pdesim.config.compose import compose_settings
from pdesim.engine.startup import start_for
from pdesim.plan import build_plan

WANTED = 1.3
GRIDS = ([512, 512], [2048, 2048], [128, 128, 128])
#: (the method of one stage, its operators, those measured against it)
FAMILIES = (
    ("euler", "stencil", ("heun", "rk4", "rkl2", "dormand_prince")),
    ("etdrk1", "spectral", ("etdrk2", "etdrk4")),
)


def measure_family(grid, one: str, operators: str, steppers, repeats: int) -> list[dict]:
    from pdesim.bench.measure import evaluations, time_rounds
    from pdesim.bench.program import Program
    from pdesim.bench.timing import estimate_step_time

    plans = {}
    for name in (one, *steppers):
        words = [
            "equation=gray_scott", f"grid={grid}", f"domain.extent={2.5 * grid[0] / 512}",
            f"operators={operators}", f"stepper={name}", "device=cpu", "time.dt=0.1",
            f"domain.dimensions={len(grid)}", "time.end=100",
        ]  # fmt: skip
        plans[name] = build_plan(compose_settings(words).settings)
    placement = start_for(list(plans.values()))
    programs = {name: Program(plan, placement) for name, plan in plans.items()}
    runs = [program.run for program in programs.values()]
    steps = [max(1, round(ROUND_SECONDS / estimate_step_time(run))) for run in runs]
    seconds = [
        np.array(s) / n for s, n in zip(time_rounds(runs, steps, repeats), steps, strict=True)
    ]
    found = []
    for (name, program), own in list(zip(programs.items(), seconds, strict=True))[1:]:
        stages = evaluations(program.plan.stepper)
        ratios = own / (stages * seconds[0])
        found.append(
            {"grid": grid, "stepper": name, "beside": one, "stages": stages,
             "ratio": [float(f(ratios)) for f in (np.min, np.median, np.max)]}
        )  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", type=int, help="squares, in place of the usual grids")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    grids = [[n, n] for n in options.sizes] if options.sizes else GRIDS
    rows = []
    for grid in grids:
        for family in FAMILIES:
            # what is set up for some runs is for the whole of a process
            fresh = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=fresh) as process:
                rows += process.submit(measure_family, grid, *family, options.repeats).result()
    print("| grid | stepper | stages | step / (stages x one right-hand side) | within 1.3 |")
    print("|---|---|---|---|---|")
    for r in rows:
        low, middle, high = r["ratio"]
        shape, verdict = "x".join(map(str, r["grid"])), "yes" if middle <= WANTED else "NO"
        told = f"{middle:.2f} ({low:.2f}-{high:.2f})"
        print(f"| {shape} | {r['stepper']} | {r['stages']} x {r['beside']} | {told} | {verdict} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
