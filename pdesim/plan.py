"""Settings -> a plan: everything that is decided before TensorFlow starts.

Whatever can be wrong with a run is found here, so a mistake costs a second and no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pdesim.boundary import Boundary, build_boundary
from pdesim.equation import Equation, build_equation, check_parameters_used
from pdesim.errors import ConfigError, StepperError
from pdesim.files import memory
from pdesim.formula.language import AXES
from pdesim.grid import Grid
from pdesim.initial import build_initial
from pdesim.moment import Moment
from pdesim.operators import build_discretisation
from pdesim.operators.flat import one_pass
from pdesim.operators.mask import Mask
from pdesim.operators.problem import Problem, check_problem
from pdesim.selection import Selection, build_selection
from pdesim.settings import Settings
from pdesim.steppers import METHODS, build_stepper
from pdesim.steppers.choice import choose_stepper
from pdesim.steppers.stability import Linearised, linearise, reaction_rate, stable_step

MAX_STEPS = 10**11
#: the fraction of a reaction's time scale that ``time.dt=auto`` takes at most
REACTION_FRACTION = 0.5
#: the local error that adaptive steppers keep if none is given
TOLERANCE = 1e-5
#: arrays of the size of the state that a run holds at once, roughly
ARRAYS_HELD = 6


@dataclass(frozen=True)
class TimeStep:
    """``dt`` is the longest step to take; ``limit`` the largest stable one (inf: no limit).

    Steppers that choose their own step, by a local error of ``tolerance``, begin with ``dt``.
    """

    dt: float
    limit: float
    tolerance: float | None = None

    @property
    def adaptive(self) -> bool:
        return self.tolerance is not None


@dataclass
class FirstState:
    """The state that a run begins with, at its precision: large, so it can be let go."""

    values: np.ndarray | None

    def let_go(self) -> None:
        self.values = None


@dataclass(frozen=True)
class Plan:
    """One run, checked and ready.

    ``since`` is where an earlier run with these settings stopped; its state is then the first.
    """

    settings: Settings
    problem: Problem
    stepper: object | None
    #: why this stepper was chosen, where pdesim chose it
    why: str
    step: TimeStep | None
    times: np.ndarray
    first: FirstState
    selection: Selection
    since: Moment | None = None

    @property
    def state(self) -> np.ndarray:
        """The first state; for as long as nobody let it go."""
        if self.first.values is None:
            raise RuntimeError("the first state is on the device, and was let go here")
        return self.first.values

    @property
    def state_bytes(self) -> int:
        precision = np.dtype(self.settings.device.precision)
        return self.grid.cells * len(self.equation.fields) * precision.itemsize

    @property
    def equation(self) -> Equation:
        return self.problem.equation

    @property
    def grid(self) -> Grid:
        return self.problem.grid

    def steps_between(self, frame: int) -> int:
        """How many equal steps lead from one frame to the next, so that both are hit exactly."""
        interval = self.times[frame + 1] - self.times[frame]
        return max(1, math.ceil(interval / self.step.dt * (1 - 1e-12)))

    @property
    def shortest_step(self) -> float:
        """The step that is taken: ``step.dt``, shortened so that frames are hit exactly."""
        return min(
            (self.times[frame + 1] - self.times[frame]) / self.steps_between(frame)
            for frame in range(len(self.times) - 1)
        )

    @property
    def arrays_held(self) -> int:
        """How many arrays of the size of the state a run holds at once, roughly."""
        tableau = getattr(self.stepper.method, "tableau", None) if self.stepper else None
        return ARRAYS_HELD + (len(tableau.b) if tableau else 0)

    @property
    def one_pass(self) -> bool:
        """Whether all fields take a step in one pass over memory, if the compiler can do that."""
        return one_pass(self.problem, self.stepper, self.state_bytes)

    @property
    def total_steps(self) -> int:
        return sum(self.steps_between(frame) for frame in range(len(self.times) - 1))


def build_plan(settings: Settings, name: str = "custom", since: Moment | None = None) -> Plan:
    """Check settings against each other and work out the time step.

    Args:
        settings: the resolved configuration.
        name: what an equation is called that does not name itself.
        since: where to go on, with the time step and the stepper that were chosen before.

    Raises:
        PdesimError: for anything that would make the run fail or lie.
    """
    grid = build_grid(settings)
    equation = build_equation(settings.equation, grid.axes, name)
    _check_memory(grid, equation, settings)
    symbols = equation.parameter_symbols
    boundary = build_boundary(settings.boundary, equation.fields, grid, symbols)
    initial = build_initial(settings.initial, equation.fields, grid.axes, symbols)
    elsewhere = {symbol.name for symbol in boundary.symbols | initial.symbols}
    check_parameters_used(settings.equation, elsewhere)
    operators = settings.operators
    scheme = build_discretisation(
        operators.name,
        operators.order,
        operators.isotropic,
        operators.dealias,
        operators.face_mean,
    )
    mask = _mask(settings, grid, boundary, equation, since)
    problem = Problem(equation, grid, boundary, scheme, mask)
    check_problem(problem)
    _check_field(settings, equation)
    _check_bits(settings)
    output = settings.output
    selection = build_selection(grid, equation.fields, output.fields, output.stride, output.region)
    if since is not None:
        return _continued(settings, problem, selection, since)
    start, parameters = settings.time.start, equation.parameters
    state = initial.evaluate(grid, boundary.periodic_axes, parameters, settings.seed, start)
    state = state if mask is None else mask.fill(state)
    if equation.steady:
        step, stepper, why, times = None, None, "", np.array([start])
    else:
        times = frame_times(settings)
        waves = linearise(problem, state, start)
        stepper, why = _stepper(settings, problem, waves, float(np.diff(times).max()))
        step = time_step(settings, waves, stepper, times)
    first = FirstState(state.astype(settings.device.precision, copy=False))
    plan = Plan(settings, problem, stepper, why, step, times, first, selection)
    if stepper and not step.adaptive and plan.total_steps > MAX_STEPS:
        raise ConfigError(
            f"this run would take {plan.total_steps:.3g} steps", "a larger time.dt or a nearer end"
        )
    return plan


def _continued(settings: Settings, problem: Problem, selection: Selection, since: Moment) -> Plan:
    """The plan of a run that goes on: nothing is chosen again, so that nothing changes."""
    stepper = build_stepper(since.stepper, problem, settings.stepper.stages)
    step = TimeStep(since.longest, since.limit, _tolerance(settings, stepper))
    why = "as before"
    first = FirstState(since.state)
    return Plan(settings, problem, stepper, why, step, since.times, first, selection, since)


def build_grid(settings: Settings) -> Grid:
    """The grid; its dimensions come from the lists given, else from ``domain.dimensions``."""
    lists = {
        "grid": settings.grid,
        "domain.extent": settings.domain.extent,
        "domain.origin": settings.domain.origin,
    }
    lengths = {name: len(value) for name, value in lists.items() if isinstance(value, list)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ConfigError(
            f"the lists differ in length: {told}", "one value per axis, or one number"
        )
    dimensions = next(iter(lengths.values()), settings.domain.dimensions)

    def per_axis(value):
        return tuple(value) if isinstance(value, list) else (value,) * dimensions

    points, extent, origin = (per_axis(value) for value in lists.values())
    return Grid(points, tuple(map(float, extent)), tuple(map(float, origin)))


def frame_times(settings: Settings) -> np.ndarray:
    """The times of all frames, the first state's included."""
    start, end = settings.time.start, settings.time.end
    if end <= start:
        raise ConfigError(f"time.end={end:g} does not come after time.start={start:g}")
    every = settings.output.every
    if every is None:
        if settings.output.frames is None:
            raise ConfigError("output.frames and output.every are both empty", "one of them")
        return np.linspace(start, end, settings.output.frames + 1)
    count = math.floor((end - start) / every * (1 + 1e-12))
    if count > 1_000_000:
        raise ConfigError(f"output.every={every:g} makes {count} frames", "at most a million")
    times = start + every * np.arange(count + 1)
    return times if end - times[-1] <= 1e-9 * every else np.append(times, end)


def _mask(
    settings: Settings,
    grid: Grid,
    boundary: Boundary,
    equation: Equation,
    since: Moment | None,
) -> Mask | None:
    """Obstacles, from a formula in the language of initial states."""
    text = settings.domain.mask
    if text is None:
        return None
    if since is not None:  # the formula may name a picture that is no longer there
        return Mask(since.solid, boundary.inner)
    formula = build_initial({"mask": text}, ("mask",), grid.axes, equation.parameter_symbols)
    values = formula.evaluate(grid, boundary.periodic_axes, equation.parameters, settings.seed)
    return Mask(values[0] > 0.5, boundary.inner)


def _stepper(settings: Settings, problem: Problem, waves: Linearised, interval: float):
    name, why = settings.stepper.name, ""
    if name == "auto" and settings.time.tolerance is not None:
        name, why = "dormand_prince", "time.tolerance is given: steps that keep an error"
    elif name == "auto":
        name, why = choose_stepper(problem, waves, interval)
    stepper = build_stepper(name, problem, settings.stepper.stages)
    if settings.time.tolerance is not None and _tolerance(settings, stepper) is None:
        adaptive = [n for n, method in METHODS.items() if method.family == "adaptive"]
        raise StepperError(
            f"{name} takes equal steps and cannot keep time.tolerance={settings.time.tolerance:g}",
            "stepper=" + " or stepper=".join(adaptive),
            "time.dt for the length of equal steps",
        )
    return stepper, why


def _tolerance(settings: Settings, stepper) -> float | None:
    """The local error to keep; None for steppers whose steps are given."""
    return (settings.time.tolerance or TOLERANCE) if stepper.method.family == "adaptive" else None


def time_step(settings: Settings, waves: Linearised, stepper, times: np.ndarray) -> TimeStep:
    """The step for a linearised state: the one given, or a fraction of the stability limit.

    Raises:
        StepperError: for a given step above the limit, and for steppers that are never stable.
    """
    problem = waves.problem
    longest = float(np.diff(times).max())
    limit = stable_step(stepper, waves, 1e3 * longest)
    if stepper.method.family == "adaptive":
        given = settings.time.dt
        first = min(limit, longest) if given == "auto" else given
        return TimeStep(first, limit, _tolerance(settings, stepper))
    name, given = stepper.method.name, settings.time.dt
    if limit == 0.0 and not settings.time.unsafe:
        raise StepperError(
            f"{name} is unstable for {problem.equation.name} at any time step",
            "a stepper that is stable on oscillations, such as rk4, verlet or crank_nicolson",
            "time.unsafe=true to insist",
        )
    if given == "auto":
        rate = reaction_rate(waves)
        accurate = REACTION_FRACTION / rate if rate > 0 else np.inf
        return TimeStep(min(stepper.method.safety * limit or longest, accurate, longest), limit)
    if given > limit * (1 + 1e-9) and not settings.time.unsafe:
        raise StepperError(
            f"time.dt={given:g} is above the stability limit {limit:.6g} of {name} here",
            f"time.dt at most {limit:.6g}, or time.dt=auto",
            "time.unsafe=true to insist",
        )
    return TimeStep(min(given, longest), limit)


def _check_field(settings: Settings, equation: Equation) -> None:
    field = settings.animation.field
    if field is not None and field not in equation.fields:
        raise ConfigError(
            f"animation.field={field} is no field of {equation.name}",
            "one of " + ", ".join(equation.fields),
        )


def _check_bits(settings: Settings) -> None:
    keep, name = settings.output.keep_bits, settings.output.dtype or settings.device.precision
    most = np.finfo(name).nmant
    if keep is not None and keep > most:
        raise ConfigError(f"output.keep_bits={keep}, but {name} has {most} mantissa bits")


def _check_memory(grid: Grid, equation: Equation, settings: Settings) -> None:
    size = 4 if settings.device.precision == "float32" else 8
    needed = ARRAYS_HELD * size * len(equation.fields) * grid.cells
    present = memory()
    if needed > present:
        axes = ", ".join(f"{n} along {a}" for n, a in zip(grid.points, AXES, strict=False))
        raise ConfigError(
            f"this grid ({axes}) needs about {needed / 2**30:.3g} GiB of memory",
            f"at most the {present / 2**30:.3g} GiB of this machine",
        )
