"""The explicit stepper of a page and its time step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.errors import StepperError
from pdesim.plan import Plan
from pdesim.steppers import build_stepper
from pdesim.steppers.base import Stepper
from pdesim.steppers.runge_kutta import RungeKutta, shu_osher_form
from pdesim.steppers.stability import Linearised, linearise, stable_step
from pdesim.steppers.time_step import instants, time_step

#: the steppers among which a page chooses, the one with the fewest stages first
CHOICES = ("euler", "rk4")


@dataclass(frozen=True)
class Stepping:
    """How a page advances a problem.

    Attributes:
        dt: the time step.
        longest: the interval between frames of the run.
        linearised: the linearised equation, from which the stability limit follows.
        note: why the stepper is not that of the settings; empty if it is.
    """

    stepper: RungeKutta
    dt: float
    longest: float
    linearised: Linearised
    note: str

    def as_dict(self) -> dict:
        """Return the method as data for the page: the weights of the stages and their times."""
        tableau = self.stepper.method.explicit_tableau
        forms = shu_osher_form(tableau)
        return {
            "name": self.stepper.method.name,
            "safety": self.stepper.method.safety,
            "dt": self.dt,
            "longest": self.longest,
            "weights": [[float(w) for w in weights] for weights, _ in forms],
            "factors": [float(factor) for _, factor in forms],
            "times": [float(c) for c in tableau.c],
        }


def build_stepping(plan: Plan) -> Stepping:
    """Return the explicit stepper of a page and its time step.

    Raises:
        StepperError: if no explicit stepper is stable.
    """
    problem, settings = plan.problem, plan.settings
    linearised = linearise(problem, plan.state.astype(np.float64), instants(problem, plan.times))
    longest = float(np.diff(plan.times).max())
    given = plan.stepper
    stepper = given if isinstance(given, RungeKutta) else _chosen(plan, linearised, longest)
    automatic = settings.model_copy(
        update={"time": settings.time.model_copy(update={"dt": "auto"})}
    )
    dt = time_step(automatic, linearised, stepper, plan.times).dt
    if settings.time.dt != "auto":
        dt = min(dt, float(settings.time.dt))
    name, used, note = settings.stepper.name, stepper.method.name, ""
    if name not in ("auto", used):
        reason = f"{name} is not an explicit method with fixed steps"
        note = f"the page uses stepper={used}, since {reason}"
    assert isinstance(stepper, RungeKutta)
    return Stepping(stepper, dt, longest, linearised, note)


def _chosen(plan: Plan, linearised: Linearised, longest: float) -> Stepper:
    """Return the stepper with the longest stable step per stage."""
    best, speed = None, 0.0
    for name in CHOICES:
        stepper = build_stepper(name, plan.problem)
        limit = min(stable_step(stepper, linearised, 1e3 * longest), 1e3 * longest)
        stages = stepper.method.explicit_tableau.stages
        if limit / stages > speed:
            best, speed = stepper, limit / stages
    if best is None:
        raise StepperError(
            f"no explicit stepper has a stable time step for {plan.equation.name}",
            "an equation without undamped growth of its shortest waves",
        )
    return best
