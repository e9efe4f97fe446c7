"""What ``pdesim verify`` does: which schemes to measure for a problem, and the whole matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pdesim.errors import BoundaryError, ConfigError, StepperError
from pdesim.formula import language as lang
from pdesim.model.boundary_conditions import build_boundary
from pdesim.operators import build_discretisation
from pdesim.operators.problem import Problem, check_problem, with_nested_derivatives
from pdesim.plan import InitialState, Plan
from pdesim.steppers import METHODS, compatible_steppers
from pdesim.verify.claims import STIFF_FAMILIES
from pdesim.verify.domain import fastest_rate, is_damped
from pdesim.verify.exact import compare_exact_mode
from pdesim.verify.manufactured import TURNED_OBSTACLE, VANISHING, vanishing_power
from pdesim.verify.matrix import Part
from pdesim.verify.orders import describe_scheme, measure_space, measure_steady, measure_time
from pdesim.verify.report import Row, failed_row, row_of

#: (operators, order, isotropic) of the matrix
SCHEMES = (
    ("stencil", 2, False),
    ("stencil", 4, False),
    ("stencil", 6, False),
    ("stencil", 2, True),
    ("conv", 2, False),
    ("spectral", 2, False),
)
#: what an equation is measured with that shares its operators with others
SOME_SCHEMES, SOME_WALLS = (SCHEMES[0], SCHEMES[-1]), 3


def _with_walls(spec: dict) -> Callable[[Problem], Problem]:
    def change(problem: Problem) -> Problem:
        equation = problem.equation
        boundary = build_boundary(spec, equation.fields, problem.grid, equation.parameter_symbols)
        return replace(problem, boundary=boundary)

    return change


#: the kinds of walls of the matrix
WALLS = tuple(
    _with_walls(spec)
    for spec in (
        {"default": "periodic"},
        {"default": "dirichlet"},
        {"default": "neumann"},
        {"default": "neumann", "x": {"lower": "dirichlet", "upper": "neumann"}},
        {"default": {"robin": {"a": 1.0, "b": 0.5, "value": 0}}},
    )
)


def verify_plan(plan: Plan) -> Iterator[Row]:
    """Measure what a run with these settings relies on: its operators and its stepper."""
    problem = plan.problem
    name, walls = describe_equation(problem), describe_walls(problem)
    if problem.equation.steady:
        yield row_of(name, walls, "space", measure_steady(problem, _solver(plan)))
        return
    for case in cases_of(problem):
        yield row_of(name, walls, "space", measure_space(problem, case=case))
    stepper = plan.stepper.method.name
    if stepper != "exact":
        stages = plan.settings.stepper.stages
        yield row_of(name, walls, "time", measure_time(problem, stepper, stages))
        if has_stiff_measurement(problem, stepper) and is_damped(fastest_rate(problem)):
            yield row_of(name, walls, "time", measure_time(problem, stepper, stages, stiff=True))
    yield from _exact_rows(problem)


def cases_of(problem: Problem) -> list[str | None]:
    """The solutions that a problem is measured with: the usual one (None) and others.

    One more where a flux can pass although the diffusivity is 0, as in a porous medium, and one
    around obstacles that do not follow the faces of cells.
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
    """Whether a stepper loses order at boundary values that change in time, and it is measured.

    On a line with stencils and equations of second order; an explicit integration that stands for
    exact would take too many steps with others. ``exact`` does not apply to such values.
    """
    if stepper == "exact" or problem.mask is not None:
        return False
    walled = not all(problem.boundary.periodic_axes)
    line = problem.grid.dimensions == 1 and not problem.discretisation.is_spectral
    nested = any(map(lang.operators_in, _arguments_of_operators(problem)))
    return METHODS[stepper].family in STIFF_FAMILIES and walled and line and not nested


def verify_matrix(
    plan: Plan, walls: Sequence[Callable[[Problem], Problem]] = WALLS, part: Part | None = None
) -> Iterator[Row]:
    """Schemes between kinds of walls, then every stepper that applies, or a ``part`` of these.

    Left out, because others stand for them: ``conv`` between walls (tests hold it equal to
    ``stencil`` to round-off), and steppers on squares (they see a system of ordinary equations).
    """
    part = part or Part()
    for change in walls if part.every_scheme else walls[:SOME_WALLS]:
        for name, order, isotropic in SCHEMES if part.every_scheme else SOME_SCHEMES:
            scheme = build_discretisation(name, order, isotropic)
            problem = replace(change(plan.problem), discretisation=scheme)
            equation = with_nested_derivatives(problem.equation, problem.boundary, scheme, None)
            problem = replace(problem, equation=equation)
            walled = not all(problem.boundary.periodic_axes)
            if (isotropic and problem.grid.dimensions == 1) or (name == "conv" and walled):
                continue
            what = partial(_attempted, problem, describe_walls(problem), describe_scheme(scheme))
            found = what("space", partial(_space_rows, replace(plan, problem=problem)))
            yield from found
            if found:
                yield from what("exact mode", partial(_exact_rows, problem))
    if plan.equation.steady or plan.problem.grid.dimensions > 1:
        return
    for name in part.steppers:
        yield from _steppers(replace(plan.problem, discretisation=build_discretisation(name)))
    if part.stiff:
        yield from _stiff_steppers(WALLS[1](plan.problem))


def _attempted(problem: Problem, walls: str, what: str, kind: str, rows) -> list[Row]:
    """The rows of a measurement, none for what pdesim refuses, a failed one for any other error.

    Refused are walls without a manufactured solution, and steppers that are unstable at any step,
    such as Euler for waves.
    """
    try:
        check_problem(problem)
        return list(rows())
    except (BoundaryError, ConfigError, StepperError):
        return []
    except Exception as error:
        return [failed_row(describe_equation(problem), walls, kind, what, error)]


def _space_rows(plan: Plan) -> Iterator[Row]:
    problem = plan.problem
    name, walls = describe_equation(problem), describe_walls(problem)
    if not problem.equation.steady:
        for case in cases_of(problem):
            yield row_of(name, walls, "space", measure_space(problem, case=case))
    elif problem.has_modes:
        yield row_of(name, walls, "space", measure_steady(problem, _solver(plan)))


def _steppers(problem: Problem) -> Iterator[Row]:
    walls = f"{describe_walls(problem)}, {problem.discretisation.name}"

    def rows(stepper: str) -> Iterator[Row]:
        yield row_of(describe_equation(problem), walls, "time", measure_time(problem, stepper))

    for stepper in compatible_steppers(problem):
        if stepper != "exact":
            yield from _attempted(problem, walls, stepper, "time", partial(rows, stepper))


def _stiff_steppers(problem: Problem) -> Iterator[Row]:
    """Steppers at boundary values that change in time, with steps long beside the fastest rates.

    Waves that nothing damps have to be resolved by any stepper: there the steps are short.
    """
    damped = is_damped(fastest_rate(problem))
    walls = f"{describe_walls(problem)}, {problem.discretisation.name}"

    def rows(stepper: str) -> Iterator[Row]:
        measured = measure_time(problem, stepper, stiff=damped)
        yield row_of(describe_equation(problem), walls, "time", measured)

    for stepper in compatible_steppers(problem):
        if has_stiff_measurement(problem, stepper):
            yield from _attempted(problem, walls, stepper, "time", partial(rows, stepper))


def _exact_rows(problem: Problem) -> Iterator[Row]:
    found = None if problem.equation.steady else compare_exact_mode(problem)
    if found is not None:
        what = f"exact, {describe_scheme(problem.discretisation)}"
        walls = describe_walls(problem)
        yield Row(
            describe_equation(problem), walls, "exact mode", what, None, found.error, found.passed
        )


def _solver(plan: Plan):
    from pdesim.engine.device import start_tensorflow
    from pdesim.solvers.transform import solve

    settings = plan.settings
    double = settings.model_copy(
        update={"device": settings.device.model_copy(update={"precision": "float64"})}
    )
    placement = start_tensorflow(double.device)

    def state(problem: Problem):
        import numpy as np

        zeros = np.zeros((len(problem.equation.fields), *problem.grid.shape))
        doubled = replace(plan, problem=problem, settings=double, initial=InitialState(zeros))
        return solve(doubled, placement).state

    return state


def describe_equation(problem: Problem) -> str:
    """The equation's name, and how many axes where it is more than one."""
    axes = problem.grid.dimensions
    return problem.equation.name + (f" ({axes}-D)" if axes > 1 else "")


def describe_walls(problem: Problem) -> str:
    """``periodic``, or the kinds of walls per axis where they differ; those of obstacles."""
    kinds = [
        "/".join(
            dict.fromkeys(wall.name for field in problem.boundary.walls for wall in field[axis])
        )
        for axis in range(problem.grid.dimensions)
    ]
    text = kinds[0] if len(set(kinds)) == 1 else ", ".join(kinds)
    if problem.mask is None:
        return text
    inner = dict.fromkeys(wall.kind for wall in problem.mask.walls)
    return f"{text}, obstacle {'/'.join(inner)}"
