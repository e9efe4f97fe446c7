"""Runs the measurements of ``pdesim verify``: for a single problem, or for the matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from pdesim.errors import BoundaryError, ConfigError, StepperError
from pdesim.formula import language as lang
from pdesim.model.boundary_settings import build_boundary
from pdesim.operators import build_discretisation
from pdesim.operators.linearisation import Linearisation
from pdesim.operators.problem import Problem, check_problem, with_nested_derivatives
from pdesim.plan import InitialState, Plan
from pdesim.problem import radial_parts
from pdesim.steppers import METHODS, compatible_steppers
from pdesim.verify.claims import STIFF_FAMILIES
from pdesim.verify.domain import fastest_rate, is_damped
from pdesim.verify.exact import compare_exact_mode
from pdesim.verify.manufactured import TURNED_OBSTACLE, VANISHING, vanishing_power
from pdesim.verify.matrix import MatrixPart
from pdesim.verify.orders import describe_scheme, measure_space, measure_time
from pdesim.verify.paths import measure_paths, without_noise
from pdesim.verify.report import Row, failed_row, row_of
from pdesim.verify.steady import check_other_grids, measure_steady
from pdesim.verify.transport import with_smooth_scheme

#: the schemes of the matrix: (operators, order, isotropic)
SCHEMES = (
    ("stencil", 2, False),
    ("stencil", 4, False),
    ("stencil", 6, False),
    ("stencil", 2, True),
    ("conv", 2, False),
    ("spectral", 2, False),
)
#: for an equation whose set of operators has already been measured: the schemes to measure, and how
#: many of ``BOUNDARIES``
SOME_SCHEMES, SOME_BOUNDARIES = (SCHEMES[0], SCHEMES[-1]), 3


def _with_boundary(spec: dict) -> Callable[[Problem], Problem]:
    def change(problem: Problem) -> Problem:
        equation = problem.equation
        names, odd = equation.parameter_symbols, radial_parts(equation)
        boundary = build_boundary(spec, equation.fields, problem.grid, names, odd=odd)
        return replace(problem, boundary=boundary)

    return change


#: the boundary conditions of the matrix
BOUNDARIES = tuple(
    _with_boundary(spec)
    for spec in (
        {"default": "periodic"},
        {"default": "dirichlet"},
        {"default": "neumann"},
        {"default": "neumann", "x": {"lower": "dirichlet", "upper": "neumann"}},
        {"default": {"robin": {"a": 1.0, "b": 0.5, "value": 0}}},
    )
)


def verify_plan(plan: Plan) -> Iterator[Row]:
    """Measure the operators and the stepper of a plan, and yield the rows."""
    noisy, plan = plan, without_noise(plan)
    problem = plan.problem
    name, boundary = describe_equation(problem), describe_boundary(problem)
    check_other_grids(problem)
    if problem.equation.steady:
        yield row_of(name, boundary, "space", measure_steady(problem, _solver(plan)))
        return
    for case in cases_of(problem):
        yield row_of(name, boundary, "space", measure_space(problem, case=case))
    stepper = plan.stepper.method.name
    if noisy.equation.noise:
        yield row_of(name, boundary, "time", measure_paths(noisy))
    elif stepper != "exact":
        stages = plan.settings.stepper.stages
        smooth = with_smooth_scheme(problem)
        yield row_of(name, boundary, "time", measure_time(smooth, stepper, stages))
        if has_stiff_measurement(problem, stepper) and is_damped(fastest_rate(problem)):
            yield row_of(name, boundary, "time", measure_time(problem, stepper, stages, stiff=True))
    yield from _exact_rows(problem)


def cases_of(problem: Problem) -> list[str | None]:
    """The kinds of manufactured solutions for a problem: None for the usual one, and further kinds.

    These are, where applicable, a solution with a flux at points where the diffusivity vanishes (as
    in a porous medium), and a solution around an obstacle whose faces cross cells.
    """
    cases: list[str | None] = [None]
    if problem.discretisation.order == 2 and vanishing_power(problem) is not None:
        cases.append(VANISHING)
    nested = any(map(lang.operators_in, _arguments_of_operators(problem)))
    if problem.mask is not None and problem.grid.dimensions > 1 and not nested:
        cases.append(TURNED_OBSTACLE)
    return cases


def _arguments_of_operators(problem: Problem) -> list:
    formulas = problem.equation.formulas
    return [argument for f in formulas for node in lang.operators_in(f) for argument in node.args]


def has_stiff_measurement(problem: Problem, stepper: str) -> bool:
    """Whether a stepper is measured with time-dependent boundary values and stiff steps.

    Stiff steps are measured only for 1-D problems of second order with stencils. For other
    problems, the explicit reference integration would take too many steps. ``exact`` does not
    support time-dependent boundary values.
    """
    if stepper == "exact" or problem.mask is not None:
        return False
    bounded = not all(problem.boundary.periodic_axes)
    is_line = problem.grid.dimensions == 1 and not problem.discretisation.is_spectral
    nested = any(map(lang.operators_in, _arguments_of_operators(problem)))
    return METHODS[stepper].family in STIFF_FAMILIES and bounded and is_line and not nested


def verify_matrix(
    plan: Plan,
    boundaries: Sequence[Callable[[Problem], Problem]] = BOUNDARIES,
    part: MatrixPart | None = None,
) -> Iterator[Row]:
    """Measure the matrix, or a part of it, for one equation, and yield the rows.

    The matrix consists of all schemes with all boundary conditions, followed by all compatible
    steppers. Two combinations are not measured: ``conv`` on axes that are not periodic, since its
    results differ from those of ``stencil`` only by round-off, and steppers in 2-D, since they
    integrate a system of ordinary differential equations, as in 1-D.

    Args:
        plan: the plan of the equation.
        boundaries: functions that replace the boundary conditions of a problem.
        part: the part of the matrix to measure; None: all of it.
    """
    part, plan = part or MatrixPart(), without_noise(plan)
    for change in boundaries if part.every_scheme else boundaries[:SOME_BOUNDARIES]:
        for name, order, isotropic in SCHEMES if part.every_scheme else SOME_SCHEMES:
            scheme = build_discretisation(name, order, isotropic)
            problem = replace(change(plan.problem), discretisation=scheme)
            equation = with_nested_derivatives(problem.equation, problem.boundary, scheme, None)
            problem = replace(problem, equation=equation)
            bounded = not all(problem.boundary.periodic_axes)
            if (isotropic and problem.grid.dimensions == 1) or (name == "conv" and bounded):
                continue
            attempt = partial(
                _attempted, problem, describe_boundary(problem), describe_scheme(scheme)
            )
            space_rows = attempt("space", partial(_space_rows, replace(plan, problem=problem)))
            yield from space_rows
            if space_rows:
                yield from attempt("exact mode", partial(_exact_rows, problem))
    if plan.equation.steady or plan.problem.grid.dimensions > 1:
        return
    for name in part.steppers:
        yield from _stepper_rows(replace(plan.problem, discretisation=build_discretisation(name)))
    if part.stiff:
        yield from _stiff_stepper_rows(BOUNDARIES[1](plan.problem))


def _attempted(
    problem: Problem, boundary: str, scheme: str, kind: str, rows: Callable[[], Iterable[Row]]
) -> list[Row]:
    """The rows of a measurement: none if pdesim rejects the problem, a failed row for other errors.

    A problem is rejected if there is no manufactured solution for its boundary conditions, or if
    its stepper is unstable for every time step, such as Euler for waves.
    """
    try:
        check_problem(problem)
        return list(rows())
    except (BoundaryError, ConfigError, StepperError):
        return []
    except Exception as error:
        return [failed_row(describe_equation(problem), boundary, kind, scheme, error)]


def _space_rows(plan: Plan) -> Iterator[Row]:
    problem = plan.problem
    name, boundary = describe_equation(problem), describe_boundary(problem)
    if not problem.equation.steady:
        for case in cases_of(problem):
            yield row_of(name, boundary, "space", measure_space(problem, case=case))
    elif problem.has_modes or not Linearisation(problem).is_constant:
        yield row_of(name, boundary, "space", measure_steady(problem, _solver(plan)))


def _stepper_rows(problem: Problem) -> Iterator[Row]:
    boundary = f"{describe_boundary(problem)}, {problem.discretisation.name}"

    def rows(stepper: str) -> Iterator[Row]:
        measured = measure_time(with_smooth_scheme(problem), stepper)
        yield row_of(describe_equation(problem), boundary, "time", measured)

    for stepper in compatible_steppers(problem):
        if stepper != "exact":
            yield from _attempted(problem, boundary, stepper, "time", partial(rows, stepper))


def _stiff_stepper_rows(problem: Problem) -> Iterator[Row]:
    """Measure steppers with time-dependent boundary values and stiff steps, and yield the rows.

    The steps are not stiff for undamped waves, which every stepper has to resolve.
    """
    damped = is_damped(fastest_rate(problem))
    boundary = f"{describe_boundary(problem)}, {problem.discretisation.name}"

    def rows(stepper: str) -> Iterator[Row]:
        measured = measure_time(problem, stepper, stiff=damped)
        yield row_of(describe_equation(problem), boundary, "time", measured)

    for stepper in compatible_steppers(problem):
        if has_stiff_measurement(problem, stepper):
            yield from _attempted(problem, boundary, stepper, "time", partial(rows, stepper))


def _exact_rows(problem: Problem) -> Iterator[Row]:
    result = None if problem.equation.steady else compare_exact_mode(problem)
    if result is not None:
        name, boundary = describe_equation(problem), describe_boundary(problem)
        scheme = f"exact, {describe_scheme(problem.discretisation)}"
        yield Row(name, boundary, "exact mode", scheme, None, result.error, result.passed)


def _solver(plan: Plan) -> Callable[[Problem, np.ndarray], np.ndarray]:
    """A function that solves a steady problem with the settings of a plan, in double precision.

    Its arguments are the problem and the initial state.
    """
    from pdesim.engine.device import start_tensorflow
    from pdesim.solvers import solve

    settings = plan.settings
    double = settings.model_copy(
        update={"device": settings.device.model_copy(update={"precision": "float64"})}
    )
    placement = start_tensorflow(double.device)

    def state(problem: Problem, start: np.ndarray) -> np.ndarray:
        doubled = replace(plan, problem=problem, settings=double, initial=InitialState(start))
        return solve(doubled, placement).state

    return state


def describe_equation(problem: Problem) -> str:
    """The name of the equation, with the number of dimensions if there are several."""
    axes = problem.grid.dimensions
    return problem.equation.name + (f" ({axes}-D)" if axes > 1 else "")


def describe_boundary(problem: Problem) -> str:
    """The kinds of boundary conditions, per axis if they differ, and those of obstacles."""
    kinds = [
        "/".join(
            dict.fromkeys(side.name for field in problem.boundary.walls for side in field[axis])
        )
        for axis in range(problem.grid.dimensions)
    ]
    text = kinds[0] if len(set(kinds)) == 1 else ", ".join(kinds)
    if problem.mask is None:
        return text
    inner = dict.fromkeys(face.kind for face in problem.mask.walls)
    return f"{text}, obstacle {'/'.join(inner)}"
