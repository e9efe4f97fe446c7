"""The path of a run's noise, from its seed and its steps."""

from __future__ import annotations

from pdesim.operators.noise import path_arguments
from pdesim.plan import Plan
from pdesim.steppers.noise_step import bisections


def path_of(plan: Plan) -> dict[str, float]:
    """Return the values that select the path of a plan; see ``operators.noise``."""
    step = plan.settings.time.noise_step
    if step is None:
        return path_arguments(plan.settings.seed, plan.step.dt, None)
    return path_arguments(plan.settings.seed, step, bisections(step, plan.step.dt))
