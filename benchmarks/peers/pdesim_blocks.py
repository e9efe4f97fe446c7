"""pdesim's compiled block of steps, as a run calls it."""

from __future__ import annotations

from peers import problems
from peers.problems import Problem


def build(problem: Problem, n: int) -> dict:
    from dataclasses import replace

    from pdesim.bench.program import Program
    from pdesim.config.compose import compose_settings
    from pdesim.engine.startup import start_for
    from pdesim.plan import InitialState, build_plan

    composed = compose_settings(
        [
            *problem.settings, f"grid={n}", f"domain.extent={n * problems.SPACING}",
            f"time.dt={problem.dt}", f"time.end={problem.dt}", "output.frames=1", "device=cpu",
        ]
    )  # fmt: skip
    plan = build_plan(composed.settings, composed.equation)
    plan = replace(plan, initial=InitialState(problem.state(n).astype(plan.state.dtype)))
    program = Program(plan, start_for([plan]))  # as for a separate run
    program.run(1)  # compiles
    return {"blocks": lambda steps: program.run(steps).numpy()}
