"""Problems that a page cannot compute, with the reason."""

from __future__ import annotations

from pdesim.errors import BoundaryError, ConfigError
from pdesim.formula.advection import has_advection
from pdesim.operators.coordinates import refuse
from pdesim.operators.problem import Problem
from pdesim.plan import Plan

#: fields are the four colours of one texture
MOST_FIELDS = 4
#: every browser with WebGL2 supports textures of this size
MOST_CELLS = 2048
_HINT = "pdesim {} runs it without a page"


def check_playable(plan: Plan) -> None:
    """Check that a page can compute a problem.

    Raises:
        ConfigError, BoundaryError: for the first property that a page does not support.
    """
    problem = plan.problem
    refuse(problem.grid, "pdesim play")
    _check_equation(problem)
    _check_grid(problem)
    _check_operators(problem)
    _check_boundary(problem)


def _refuse(problem: Problem, reason: str, expected: str, hint: str = "") -> ConfigError:
    name = problem.equation.name
    return ConfigError(
        f"pdesim play does not apply to {name}: {reason}",
        expected,
        hint or _HINT.format(f"equation={name}"),
    )


def _check_equation(problem: Problem) -> None:
    equation = problem.equation
    if equation.iterated is not None:
        raise _refuse(problem, "it is an iterated map", "an equation with time derivatives")
    if equation.steady:
        raise _refuse(problem, "it has no time derivative", "an equation with time derivatives")
    if equation.constraints:
        names = ", ".join(equation.constraints)
        raise _refuse(
            problem,
            f"its fields {names} are solved for at every step (equation.solve)",
            "an equation without constraints",
        )
    if equation.networks:
        raise _refuse(
            problem, f"it calls the network {min(equation.networks)}", "formulas without networks"
        )
    if equation.scalars:
        raise _refuse(
            problem, f"{equation.scalars[0]} is a scalar (equation.scalars)", "fields only"
        )
    reductions = [reduction.word for reduction in equation.reductions]
    if reductions:
        raise _refuse(
            problem,
            f"{reductions[0]}(...) is a number of the whole domain",
            "formulas without mean, integral, and max or min of one argument",
        )
    if equation.arrays:
        raise _refuse(
            problem,
            f"equation.{next(iter(equation.arrays))} has one number for each cell",
            "parameters that are numbers or formulas",
        )
    if problem.kernels:
        raise _refuse(
            problem,
            "convolve(...) reads all cells of the domain",
            "formulas without convolve",
        )
    if equation.noise:
        raise _refuse(problem, "it has noise (equation.noise)", "an equation without noise")
    if has_advection(*equation.formulas):
        raise _refuse(
            problem,
            "advect(v, u) is computed by finite volumes, which pages do not contain",
            "formulas with derivatives, such as divergence([a*u, b*u])",
        )
    if len(equation.fields) > MOST_FIELDS:
        raise _refuse(
            problem, f"it has {len(equation.fields)} fields", f"at most {MOST_FIELDS} fields"
        )


def _check_grid(problem: Problem) -> None:
    grid = problem.grid
    if grid.dimensions == 3:
        raise _refuse(problem, "the grid has three dimensions", "one or two: domain.dimensions=2")
    if max(grid.points) > MOST_CELLS:
        raise _refuse(
            problem,
            f"the grid has {max(grid.points)} cells along an axis",
            f"at most {MOST_CELLS} cells, such as grid=256",
        )
    if problem.mask is not None:
        raise _refuse(problem, "the domain has obstacles (domain.mask)", "domain.mask=null")


def _check_operators(problem: Problem) -> None:
    scheme, periodic = problem.discretisation, problem.boundary.periodic_axes
    if scheme.is_spectral:
        raise _refuse(
            problem,
            "operators=spectral needs transforms",
            "operators=stencil",
            "operators=stencil operators.order=6 has smaller errors than the default order 2",
        )
    if scheme.order > 2 and not all(periodic):
        raise _refuse(
            problem,
            f"operators.order={scheme.order} is available on periodic domains only",
            "operators.order=2, or boundary=periodic",
        )


def _check_boundary(problem: Problem) -> None:
    boundary, equation = problem.boundary, problem.equation
    if boundary.reductions:
        raise BoundaryError(
            f"pdesim play does not apply to boundary values with {boundary.reductions[0].word}"
            "(...), a number of the whole domain",
            "boundary values that are formulas of position and time",
        )
    for name, walls in zip(equation.fields, boundary.walls, strict=True):
        for axis, pair in zip(problem.grid.axes, walls, strict=True):
            for wall in pair:
                if wall.kind in ("robin", "antiperiodic") or wall.is_clamped:
                    raise BoundaryError(
                        f"pdesim play does not support the boundary condition {wall.name} of "
                        f"{name} along {axis}",
                        "periodic, dirichlet or neumann",
                        _HINT.format(f"equation={equation.name}"),
                    )
