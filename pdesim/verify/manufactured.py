"""Manufactured solutions: chosen functions, and the sources for which they solve an equation.

Roache, J. Fluids Eng. 124 (2002) 4, doi:10.1115/1.1436090.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

from pdesim.errors import BoundaryError, ConfigError
from pdesim.formula import Evaluator, Reduction, derivative
from pdesim.formula import language as lang
from pdesim.formula.language import TIME
from pdesim.formula.metric import in_the_limit
from pdesim.model.boundary_conditions import JOINED, Boundary, BoundaryCondition
from pdesim.model.geometry import has_axis
from pdesim.model.grid import Grid
from pdesim.model.obstacles import Mask
from pdesim.operators.conditions import INSIDE
from pdesim.operators.modes import BASES
from pdesim.operators.problem import Problem
from pdesim.verify.factors import BOX, S, box_factor, jump_factor, second_condition_factor
from pdesim.verify.jumps import Jump, find_jump, has_jumps

#: mean, amplitude and relative modulation in time of solutions, which are positive and of order one
MEAN, SIZE, MODULATION = 0.7, 0.25, 0.4
#: kinds of solutions: smooth; 0 at Dirichlet boundaries, but with a flux through these; with a kink
#: at a jump of a coefficient; around a box whose faces are faces of cells; around a box that is
#: rotated by 45 degrees about the z axis, so that its faces cross cells and become a staircase
SMOOTH, VANISHING, JUMP, BOX_OBSTACLE, TURNED_OBSTACLE = CASES = (
    "smooth", "vanishing", "jump", "box", "turned",
)  # fmt: skip


@dataclass(frozen=True)
class Manufactured:
    """A problem with a source, and its exact solution: ``solution`` has a formula per field."""

    problem: Problem
    solution: tuple[sympy.Expr, ...]

    def state(self, time: float) -> np.ndarray:
        """The exact solution at the cell centres, ``(fields, *grid.shape)``.

        Inside obstacles, the solution at time 0 is returned, since the computed state does not
        change there.
        """
        now, mask = self._values(time), self.problem.mask
        return now if mask is None else np.where(mask.solid, self._values(0.0), now)

    def _values(self, time: float) -> np.ndarray:
        grid = self.problem.grid
        names = {**grid.coordinates(), **self.problem.parameters, "t": time}
        evaluate = Evaluator(names)
        values = (evaluate(formula) for formula in self.solution)
        return np.stack([np.broadcast_to(value, grid.shape) for value in values])


def usual_case(problem: Problem) -> str:
    """The kind of solution that suits the obstacles and the coefficients of a problem.

    Raises:
        ConfigError: if no solution is known.
    """
    if problem.mask is not None:
        if has_jumps(problem):
            raise ConfigError(
                "there is no manufactured solution for obstacles with discontinuous coefficients",
                "obstacles or discontinuous coefficients, but not both; or use pdesim converge",
            )
        return BOX_OBSTACLE
    return SMOOTH if find_jump(problem) is None else JUMP


def manufacture(problem: Problem, duration: float, case: str | None = None) -> Manufactured:
    """Choose a solution, and add the source and the boundary values for which it is exact.

    Args:
        problem: the problem. The kinds of its boundary conditions are kept; with stencils, the
            values are replaced by those of the solution. If there are obstacles, they are replaced
            by the obstacle of the case, with the same kinds of conditions.
        duration: the time in which the solution changes by its amplitude.
        case: one of :data:`CASES`; None: that of :func:`usual_case`. ``vanishing`` requires that
            :func:`vanishing_power` is not None.
    """
    case = case or usual_case(problem)
    if problem.mask is not None:
        problem = replace(problem, mask=Mask(_solid(problem.grid, case), problem.mask.walls))
    equation, grid = problem.equation, problem.grid
    if case == VANISHING:
        solution = (_vanishing_solution(problem, duration),)
    else:
        solution = tuple(
            _chosen_solution(problem, i, duration, case) for i in range(len(equation.fields))
        )
    fields = dict(zip(equation.field_symbols, solution, strict=True))
    rates = [
        0 if equation.steady or name in equation.constraints else derivative(u, TIME)
        for name, u in zip(equation.fields, solution, strict=True)
    ]

    def exact(formula: sympy.Expr) -> sympy.Expr:
        limit = in_the_limit(formula)
        return differentiate(problem.conditions.with_coordinates(limit).xreplace(fields), grid)

    reductions = list(equation.reductions)
    for reduction in equation.reductions:  # those of the exact solution are computed on the grid
        symbol = sympy.Symbol(f"exact_{reduction.symbol.name}", real=True)
        reductions.append(Reduction(symbol, reduction.word, exact(reduction.inner)))
        fields[reduction.symbol] = symbol
    formulas = tuple(
        formula + rate - exact(formula)
        for formula, rate in zip(equation.expressions, rates, strict=True)
    )
    boundary = problem.boundary
    if not problem.discretisation.is_spectral:
        boundary = _boundary_of(solution, boundary, grid, equation.field_symbols)
    changed = equation.with_expressions(formulas, tuple(reductions))
    return Manufactured(replace(problem, equation=changed, boundary=boundary), solution)


def _solid(grid: Grid, case: str) -> np.ndarray:
    """A boolean array over the grid: True in cells whose centre is inside the obstacle."""
    inside = np.ones(grid.shape, bool)
    centres = [(np.arange(n) + 0.5) / n for n in grid.points]
    for s in _obstacle_axes([grid.broadcast(a, s) for a, s in enumerate(centres)], case):
        # a centre on a face counts as outside, whatever its rounding error
        inside &= (s > BOX[0] + INSIDE) & (s < BOX[1] - INSIDE)
    return inside


def _obstacle_axes(scaled: Sequence, case: str) -> list:
    """The coordinates along the edges of the obstacle.

    These are ``scaled`` or, if the box is rotated by 45 degrees, the rotated coordinates.
    """
    if case != TURNED_OBSTACLE:
        return list(scaled)
    x, y, *others = scaled
    return [x + y - 0.5, x - y + 0.5, *others]


def _chosen_solution(problem: Problem, field: int, duration: float, case: str) -> sympy.Expr:
    """The solution for a field: a mean plus a product of factors, modulated in time."""
    mean, steady = sympy.Float(MEAN + 0.1 * field), problem.equation.steady
    if problem.equation.fields[field] in problem.equation.scalars:
        return mean + SIZE * sympy.sin(4 * TIME / duration + field)
    if problem.mask is not None:
        product = _around_obstacle(problem, field, case)
    else:
        jump = find_jump(problem) if case == JUMP else None
        factors = [_factor(problem, field, axis, jump) for axis in range(problem.grid.dimensions)]
        product = sympy.Mul(*factors)
    if problem.mask is not None and problem.mask.walls[field].kind == "dirichlet":
        mean = sympy.Float(float(problem.mask.walls[field].value))
    if problem.equation.fields[field] in problem.equation.constraints:
        mean = sympy.Integer(0)  # operators that map constants to 0 do not determine it
    if any(pair[0].kind == "antiperiodic" for pair in problem.boundary.walls[field]):
        mean = sympy.Integer(0)
    if _is_mirrored(problem) and (steady or not _allows_mean(problem, field)):
        mean = sympy.Integer(0)
    if has_axis(problem.grid) and _is_odd(problem, field):
        mean = sympy.Integer(0)
    # less than a full period, over which the errors of a stepper nearly cancel
    modulation = 1 if steady else 1 + MODULATION * sympy.sin(4 * TIME / duration + field)
    return mean + SIZE * product * modulation


def _phase(field: int, axis: int) -> float:
    return 0.4 + 0.9 * field + 0.5 * axis


def _factor(problem: Problem, field: int, axis: int, jump: Jump | None) -> sympy.Expr:
    """The factor of a manufactured solution along one axis."""
    periodic, phase = problem.boundary.is_periodic(axis), _phase(field, axis)
    joined = problem.boundary.walls[field][axis][0].kind
    if jump is not None and axis == jump.axis:
        chosen = jump_factor(jump.ratios[field], jump.end_ratios[field], periodic, phase)
    elif joined in JOINED:
        # the mean of an antiperiodic field is 0
        waves = 2 if joined == "periodic" else 1
        chosen = sympy.cos(waves * sympy.pi * S + phase)
    elif _is_mirrored(problem):
        basis = _basis(problem, field, axis)
        wave = sympy.sin if basis.startswith("sine") else sympy.cos
        # with stencils, more waves, so that the errors are above round-off
        number = 0.0 if problem.discretisation.is_spectral else 2.0
        number += 0.5 if basis.endswith("half") else 1.0
        chosen = wave(sympy.pi * S * number)
    elif problem.assumed_conditions:
        chosen = second_condition_factor(problem, field, axis, phase)
    elif axis == 0 and has_axis(problem.grid):
        # even or odd about the axis of symmetry, as all smooth functions are
        wave = sympy.sin if _is_odd(problem, field) else sympy.cos
        chosen = wave(4.1 * S)
    else:
        # neither even nor odd about the boundaries, so that no errors cancel there
        chosen = sympy.cos(4.1 * S + phase)
    return chosen.xreplace({S: _scaled(problem.grid, axis)})


def _is_odd(problem: Problem, field: int) -> bool:
    """Whether a field is odd about the axis of symmetry, a radial component of a vector."""
    return problem.boundary.walls[field][0][0].kind == "dirichlet"


def _around_obstacle(problem: Problem, field: int, case: str) -> sympy.Expr:
    """A function that meets the condition on the obstacle's faces: a factor per edge direction."""
    assert problem.mask is not None
    grid, kind = problem.grid, problem.mask.walls[field].kind
    nested = bool(_nested_operators(problem))
    axes = range(grid.dimensions)
    periodic = [problem.boundary.is_periodic(axis) for axis in axes]
    mirrored = all(p or _basis(problem, field, a) == "cosine" for a, p in enumerate(periodic))
    if nested and (case == TURNED_OBSTACLE or not mirrored):
        raise BoundaryError(
            "there is no manufactured solution for nested operators around this obstacle",
            "periodic or neumann boundaries",
        )
    if case == TURNED_OBSTACLE:
        periodic[:2] = [any(periodic[:2])] * 2
    edges = _obstacle_axes([_scaled(grid, axis) for axis in axes], case)
    factors = (
        box_factor(kind, periodic[axis], _phase(field, axis), nested).xreplace({S: edge})
        for axis, edge in enumerate(edges)
    )
    return sympy.Mul(*factors)


def _scaled(grid: Grid, axis: int) -> sympy.Expr:
    """The coordinate along an axis, scaled to 0 at the lower and 1 at the upper end."""
    return (sympy.Symbol(grid.axes[axis], real=True) - grid.origin[axis]) / grid.extent[axis]


def _nested_operators(problem: Problem) -> list[sympy.Expr]:
    """The operators whose arguments contain further operators."""
    return [
        node
        for formula in problem.equation.formulas
        for node in lang.operators_in(formula)
        if any(map(lang.operators_in, node.args))
    ]


def vanishing_power(problem: Problem) -> int | None:
    """The power m if all operators of an equation act on functions that start with u**m, m > 1.

    At u = 0, the diffusivity of these equations vanishes (porous media). Solutions u = w**(1/m)
    with a smooth w nevertheless have a flux there. For other solutions, a boundary with the value 0
    does not differ from one without flux. The result is None for other equations, and for problems
    for which there is no solution of this kind.
    """
    equation = problem.equation
    pairs = [pair for pair in problem.boundary.walls[0] if pair[0].kind != "periodic"]
    dirichlet = bool(pairs) and all(side.kind == "dirichlet" for pair in pairs for side in pair)
    if len(equation.fields) > 1 or equation.steady or not dirichlet or problem.mask is not None:
        return None
    if has_jumps(problem):
        return None  # the solution would also need a kink
    (u,) = equation.field_symbols
    powers = set()
    for node in lang.operators_in(equation.formulas[0]):
        inner = node.args[-1]
        if any(map(lang.operators_in, node.args)):
            return None
        if len(node.args) == 1:
            powers.add(_lowest_power(inner, u))
        else:
            powers.add(_lowest_power(node.args[0], u) + 1 if inner == u else 1)
    return powers.pop() if len(powers) == 1 and min(powers) > 1 else None


def _lowest_power(function: sympy.Expr, u: sympy.Symbol) -> int:
    """The lowest power of u in the Taylor series of a function; 0 if none is found up to u**4."""
    for power in range(5):
        value = derivative(function, u, power).subs(u, 0)
        if value != 0:
            return power if value.is_finite is not False else 0
    return 0


def _vanishing_solution(problem: Problem, duration: float) -> sympy.Expr:
    """``w**(1/m)`` with a smooth w that is 0, but has a nonzero slope, at Dirichlet boundaries."""
    w = SIZE * (1 + MODULATION * sympy.sin(4 * TIME / duration))
    for axis, name in enumerate(problem.grid.axes):
        s = (sympy.Symbol(name, real=True) - problem.grid.origin[axis]) / problem.grid.extent[axis]
        periodic = problem.boundary.is_periodic(axis)
        wave = 2 * sympy.pi * s if periodic else 2.1 * s
        w *= (1 if periodic else sympy.sin(sympy.pi * s)) * (1 + 0.3 * sympy.cos(wave + 0.4))
    return w ** sympy.Rational(1, vanishing_power(problem))


def _is_mirrored(problem: Problem) -> bool:
    """Whether the solution has to be odd or even about every boundary.

    Sine and cosine series require this. Fourth-order equations in more than one dimension require
    it too: a product of functions satisfies their second boundary condition only if every factor is
    odd or even.
    """
    several = problem.grid.dimensions > 1 and bool(problem.assumed_conditions)
    return problem.discretisation.is_spectral or several


def _allows_mean(problem: Problem, field: int) -> bool:
    """Whether a constant may be added: all boundaries are periodic or without flux."""
    axes = range(problem.grid.dimensions)
    bounded = [axis for axis in axes if not problem.boundary.is_periodic(axis)]
    return all(_basis(problem, field, axis) == "cosine" for axis in bounded)


def _basis(problem: Problem, field: int, axis: int) -> str:
    kinds = tuple(condition.kind for condition in problem.boundary.walls[field][axis])
    if kinds not in BASES:
        raise BoundaryError(
            "there is no manufactured solution for this equation of fourth order with Robin "
            "conditions on several axes",
            "periodic, dirichlet or neumann conditions, or one axis",
        )
    return BASES[kinds]


def differentiate(expression: sympy.Expr, grid: Grid) -> sympy.Expr:
    """The expression with all differential operators evaluated symbolically.

    Convolutions remain, and derivatives are carried out in their arguments.
    """
    coordinates = [sympy.Symbol(name, real=True) for name in grid.axes]

    def carry_out(node: sympy.Basic) -> sympy.Basic:
        if not node.args:
            return node
        arguments = [carry_out(argument) for argument in node.args]
        if not lang.is_operator(node):
            return node.func(*arguments)
        word = lang.word_of(node)
        if word == lang.CONVOLVE:  # that of the exact solution is computed on the grid
            return node.func(*arguments)
        if word == lang.LAPLACIAN:
            return sympy.Add(*(derivative(arguments[0], x, 2) for x in coordinates))
        if word in lang.ADVECTION:
            return derivative(arguments[0] * arguments[1], coordinates[lang.ADVECTION[word]])
        axes = lang.flux_axes(word, grid.dimensions)
        if axes is not None:
            along = [coordinates[axis] for axis in axes]
            flux = ((x, arguments[0] * derivative(arguments[1], x)) for x in along)
            return sympy.Add(*(derivative(f, x) for x, f in flux))
        result = arguments[0]
        for x, power in zip(coordinates, lang.powers_of(word), strict=False):
            result = derivative(result, x, power)
        return result

    return carry_out(expression)


def _boundary_of(
    solution: Sequence[sympy.Expr],
    boundary: Boundary,
    grid: Grid,
    symbols: Sequence[sympy.Symbol],
) -> Boundary:
    """Boundary conditions of the same kinds, with the values of the solution.

    Values that contain fields remain, and a formula of position and time is added.
    """
    exact = dict(zip(symbols, solution, strict=True))

    def condition(old: BoundaryCondition, u: sympy.Expr, axis: int, side: int) -> BoundaryCondition:
        if old.kind in JOINED:
            return old
        x = sympy.Symbol(grid.axes[axis], real=True)
        face = grid.origin[axis] + side * grid.extent[axis]
        outward = (1 if side else -1) * derivative(u, x)
        value = (old.a * u + old.b * outward).subs(x, face)
        if old.field is not None:
            value += old.value - old.value.xreplace(exact).subs(x, face)
        slope = None if old.slope is None else outward.subs(x, face)
        inner = old.laplacian and condition(
            old.laplacian, differentiate(lang.operator(lang.LAPLACIAN, u), grid), axis, side
        )
        # the solution is even about the boundary only if the value is 0
        mirror = old.mirror and value == 0
        return replace(old, value=value, slope=slope, laplacian=inner, mirror=mirror)

    conditions = tuple(
        tuple(
            (condition(pair[0], u, axis, 0), condition(pair[1], u, axis, 1))
            for axis, pair in enumerate(field)
        )
        for field, u in zip(boundary.walls, solution, strict=True)
    )
    return replace(boundary, walls=conditions)
