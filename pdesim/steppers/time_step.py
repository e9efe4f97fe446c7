"""Choice of the stepper and the time step of a run, from the linearised problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.errors import StepperError
from pdesim.operators.problem import Problem
from pdesim.settings import Settings
from pdesim.steppers import METHODS, Stepper, build_stepper
from pdesim.steppers.automatic import choose_stepper
from pdesim.steppers.base import AdaptiveStepper
from pdesim.steppers.noise_step import check_noise_step, longest_step
from pdesim.steppers.stability import Linearised, reaction_rate, stable_step
from pdesim.steppers.transport import transport_limit

#: upper bound of ``time.dt=auto``, as a fraction of the time scale of the fastest reaction
REACTION_FRACTION = 0.5
#: default tolerance of adaptive steppers: maximum local error relative to the scale of each field
TOLERANCE = 2e-5
#: additional safety factor of the step if coefficients of derivatives vary during the run
VARYING_SAFETY = 0.8
#: smallest number of automatic steps of stochastic methods, whose errors are not measured
STOCHASTIC_STEPS = 1000
#: number of times at which time-dependent coefficients are sampled
INSTANTS = 17


@dataclass(frozen=True)
class TimeStep:
    """The time step of a run.

    Args:
        dt: the maximum step of steppers with fixed steps, the first step of adaptive steppers.
        limit: the largest stable step; inf if there is no limit.
        tolerance: the tolerance of the local error of adaptive steppers; None for other steppers.
        automatic: whether the length of fixed steps is adjusted to the error measured during the
            run.
    """

    dt: float
    limit: float
    tolerance: float | None = None
    automatic: bool = False

    @property
    def adaptive(self) -> bool:
        return self.tolerance is not None


def instants(problem: Problem, targets: np.ndarray) -> np.ndarray:
    """Return the times at which stability is analysed.

    This is only the first time unless the problem depends on time.
    """
    if not problem.is_time_dependent:
        return targets[:1]
    some = targets if len(targets) <= INSTANTS else targets[:: len(targets) // INSTANTS]
    return np.union1d(some, np.linspace(targets[0], targets[-1], INSTANTS))


def stepper_for(
    settings: Settings, problem: Problem, linearised: Linearised, span: float
) -> tuple[Stepper, str]:
    name, why, stages = settings.stepper.name, "", settings.stepper.stages
    if name == "auto" and settings.time.tolerance is not None:
        name, why = "dormand_prince", "time.tolerance is given: steps are adapted to the error"
    elif name == "auto":
        choice = choose_stepper(problem, linearised, span)
        name, why, stages = choice.name, choice.reason, choice.stages or stages
        if settings.time.dt != "auto" and METHODS[name].family == "adaptive":
            name, why = "rk4", "time.dt is given: fixed steps"
    stepper = build_stepper(name, problem, stages)
    if settings.time.tolerance is not None and tolerance_of(settings, stepper) is None:
        adaptive = [n for n, method in METHODS.items() if method.family == "adaptive"]
        raise StepperError(
            f"time.tolerance={settings.time.tolerance:g} applies only to adaptive steppers, but "
            f"stepper={name} takes fixed steps",
            "stepper=" + " or stepper=".join(adaptive),
            "time.dt sets the length of fixed steps",
        )
    rounding = float(np.finfo(settings.device.precision).eps)
    if settings.time.tolerance is not None and settings.time.tolerance < rounding:
        raise StepperError(
            f"time.tolerance={settings.time.tolerance:g} is below the rounding error of "
            f"{settings.device.precision}, {rounding:.1e}",
            f"a tolerance above {rounding:.1e}",
            "device.precision=float64" if settings.device.precision == "float32" else "",
        )
    return stepper, why


def tolerance_of(settings: Settings, stepper: Stepper) -> float | None:
    """Return the tolerance of the local error of an adaptive stepper; None for other steppers."""
    return (settings.time.tolerance or TOLERANCE) if isinstance(stepper, AdaptiveStepper) else None


def is_automatic(settings: Settings, stepper: Stepper) -> bool:
    """Whether the length of fixed steps is adjusted to the error measured during the run.

    This requires ``time.dt=auto`` and a deterministic method that is not exact.
    """
    fixed = not isinstance(stepper, AdaptiveStepper) and stepper.method.family != "stochastic"
    return settings.time.dt == "auto" and fixed and stepper.method.order > 0


def time_step(
    settings: Settings, linearised: Linearised, stepper: Stepper, times: np.ndarray
) -> TimeStep:
    """Return the time step; see :func:`_time_step`. It fits ``time.noise_step``."""
    step, of_noise = _time_step(settings, linearised, stepper, times), settings.time.noise_step
    if of_noise is not None:
        if stepper.method.family != "stochastic":
            raise StepperError(
                "time.noise_step has no effect without noise", "an equation with equation.noise"
            )
        check_noise_step(of_noise, step.dt, times)
    return step


def _time_step(
    settings: Settings, linearised: Linearised, stepper: Stepper, times: np.ndarray
) -> TimeStep:
    """Return the time step: the given step, or a fraction of the stability limit.

    Args:
        times: the times at which a step must end.

    Raises:
        StepperError: for a given step above the stability limit, and for steppers that are unstable
            for every step.
    """
    problem = linearised.problem
    longest = float(np.diff(times).max())
    limit = stable_step(stepper, linearised, 1e3 * longest)
    limit = min(limit, transport_limit(linearised))
    if isinstance(stepper, AdaptiveStepper):
        given = settings.time.dt
        first = min(limit, longest) if given == "auto" else given
        return TimeStep(first, limit, tolerance_of(settings, stepper))
    name, given = stepper.method.name, settings.time.dt
    if limit == 0.0 and not settings.time.unsafe:
        raise StepperError(
            f"stepper={name} has no stable time step for {problem.equation.name}",
            "a stepper that is stable for oscillations, such as rk4, verlet or crank_nicolson",
            "time.unsafe=true to override",
        )
    if given == "auto":
        rate = reaction_rate(linearised)
        accurate = REACTION_FRACTION / rate if rate > 0 else np.inf
        safety = stepper.method.safety * (VARYING_SAFETY if problem.stiffness_varies else 1.0)
        dt = min(safety * limit or longest, accurate, longest)
        if stepper.method.family == "stochastic":
            dt = min(dt, float(times[-1] - times[0]) / STOCHASTIC_STEPS)
            dt = longest_step(settings.time.noise_step or dt, dt)
        return TimeStep(dt, limit, automatic=is_automatic(settings, stepper))
    if given > limit * (1 + 1e-9) and not settings.time.unsafe:
        raise StepperError(
            f"time.dt={given:g} is above {limit:.6g}, the stability limit of {name} for this run",
            f"time.dt at most {limit:.6g}, or time.dt=auto",
            "time.unsafe=true to override",
        )
    return TimeStep(min(given, longest), limit)
