"""Manufactured solutions: a chosen solution, and the source that makes it one.

Roache, J. Fluids Eng. 124 (2002) 4, doi:10.1115/1.1436090.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import sympy

from pdesim.boundary import Boundary, Wall
from pdesim.errors import BoundaryError
from pdesim.formula import Evaluator, derivative
from pdesim.formula import language as lang
from pdesim.formula.language import TIME
from pdesim.grid import Grid
from pdesim.operators.modes import BASES
from pdesim.operators.problem import Problem

#: mean, size and modulation in time of the chosen solution: positive, of order one
MEAN, SIZE, MODULATION = 0.7, 0.25, 0.4


@dataclass(frozen=True)
class Manufactured:
    """A problem with a source under which ``solution`` (a formula per field) solves it exactly."""

    problem: Problem
    solution: tuple[sympy.Expr, ...]

    def state(self, time: float) -> np.ndarray:
        """The exact solution at the cell centres, ``(fields, *grid.shape)``."""
        grid = self.problem.grid
        names = {**grid.coordinates(), **self.problem.parameters, "t": time}
        evaluate = Evaluator(names)
        values = (evaluate(formula) for formula in self.solution)
        return np.stack([np.broadcast_to(value, grid.shape) for value in values])


def manufacture(problem: Problem, duration: float, vanishing: bool = False) -> Manufactured:
    """Choose a smooth solution that fits the walls, and add its source and its wall values.

    Args:
        problem: its walls keep their kinds; with stencils their values become the solution's.
        duration: the time in which the solution changes by its own size.
        vanishing: take a solution that is 0 at Dirichlet boundaries, where the flux is not (for
            problems that have a :func:`vanishing_power`).
    """
    equation, grid = problem.equation, problem.grid
    if vanishing:
        solution = (_vanishing(problem, duration),)
    else:
        solution = tuple(_chosen(problem, i, duration) for i in range(len(equation.fields)))
    fields = dict(zip(equation.field_symbols, solution, strict=True))
    rates = [0 if equation.steady else derivative(u, TIME) for u in solution]
    with_places = problem.conditions.with_places
    formulas = tuple(
        formula + rate - differentiate(with_places(formula).xreplace(fields), grid)
        for formula, rate in zip(equation.formulas, rates, strict=True)
    )
    boundary = problem.boundary
    if not problem.discretisation.is_spectral:
        boundary = _walls_of(solution, boundary, grid)
    changed = replace(equation, formulas=formulas)
    return Manufactured(replace(problem, equation=changed, boundary=boundary), solution)


def _chosen(problem: Problem, field: int, duration: float) -> sympy.Expr:
    """A product of one smooth function per axis, modulated in time."""
    grid, mirrored = problem.grid, _is_mirrored(problem)
    product, mean = sympy.Integer(1), sympy.Float(MEAN + 0.1 * field)
    for axis, name in enumerate(grid.axes):
        s = (sympy.Symbol(name, real=True) - grid.origin[axis]) / grid.extent[axis]
        phase = 0.4 + 0.9 * field + 0.5 * axis
        if problem.boundary.is_periodic(axis):
            product *= sympy.cos(2 * sympy.pi * s + phase)
        elif mirrored:
            basis = _basis(problem, field, axis)
            wave = sympy.sin if basis.startswith("sine") else sympy.cos
            number = 0 if problem.discretisation.is_spectral else 2  # enough to see the errors
            number += 0.5 if basis.endswith("half") else 1
            product *= wave(sympy.pi * s * number)
            mean = mean if basis == "cosine" else sympy.Integer(0)
        elif problem.assumed_conditions:
            product *= _with_second_condition(problem, field, axis, s, phase)
        else:
            # neither even nor odd about the walls, so that nothing cancels there
            product *= sympy.cos(4.1 * s + phase)
    if problem.equation.steady:
        return SIZE * product + (mean if not mirrored or mean == 0 else 0)
    # no whole period: over one, the errors of a time stepper nearly cancel
    swing = 1 + MODULATION * sympy.sin(4 * TIME / duration + field)
    return mean + SIZE * product * swing


def vanishing_power(problem: Problem) -> int | None:
    """m > 1 where all operators of an equation act on u**m or the like; None for other equations.

    At u = 0 the diffusivity of such an equation (a porous medium) vanishes while a flux may pass:
    that of u = w**(1/m) with a smooth w. A boundary at 0 is then told apart from one without flux
    only by such a solution.
    """
    equation = problem.equation
    walled = [pair for pair in problem.boundary.walls[0] if pair[0].kind != "periodic"]
    dirichlet = bool(walled) and all(w.kind == "dirichlet" for pair in walled for w in pair)
    if len(equation.fields) > 1 or equation.steady or not dirichlet or problem.mask is not None:
        return None
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
    """The lowest power of u in a function's Taylor series up to u**4; 0 if there is none."""
    for power in range(5):
        value = derivative(function, u, power).subs(u, 0)
        if value != 0:
            return power if value.is_finite is not False else 0
    return 0


def _vanishing(problem: Problem, duration: float) -> sympy.Expr:
    """``w**(1/m)`` with a smooth w that is 0 at Dirichlet boundaries with a slope."""
    w = SIZE * (1 + MODULATION * sympy.sin(4 * TIME / duration))
    for axis, name in enumerate(problem.grid.axes):
        s = (sympy.Symbol(name, real=True) - problem.grid.origin[axis]) / problem.grid.extent[axis]
        periodic = problem.boundary.is_periodic(axis)
        wave = 2 * sympy.pi * s if periodic else 2.1 * s
        w *= (1 if periodic else sympy.sin(sympy.pi * s)) * (1 + 0.3 * sympy.cos(wave + 0.4))
    return w ** sympy.Rational(1, vanishing_power(problem))


def _with_second_condition(problem: Problem, field: int, axis: int, s, phase: float) -> sympy.Expr:
    """A function along one axis that meets the second conditions of fourth-order operators.

    They are ``a*f'' + b*df''/dn = 0``, with a and b those of the field's own condition, whose value
    is free. A polynomial adds to a cosine what it lacks of them.
    """
    place, length = sympy.Symbol("s", real=True), problem.grid.extent[axis]
    cosine = sympy.cos(2.1 * place + phase)
    powers = [place**power for power in (2, 3, 4)]
    rows = []
    for side, wall in enumerate(problem.boundary.walls[field][axis]):
        if wall.has_second:  # it takes the value that the solution has
            continue
        outward = (1 if side else -1) * wall.b / length
        rows.append(
            [
                float(sum(c * derivative(f, place, n) for c, n in ((wall.a, 2), (outward, 3)))
                      .subs(place, side))
                for f in (*powers, cosine)
            ]
        )  # fmt: skip
    system = np.array(rows)
    weights = np.linalg.lstsq(system[:, :-1], -system[:, -1], rcond=None)[0]
    polynomial = sum(float(w) * power for w, power in zip(weights, powers, strict=True))
    return (cosine + polynomial).xreplace({place: s})


def _is_mirrored(problem: Problem) -> bool:
    """Whether the solution has to be odd or even about every wall.

    Sine and cosine series are. So are, on several axes, solutions of equations of fourth order:
    their second conditions hold for a product of functions only if each is odd or even.
    """
    several = problem.grid.dimensions > 1 and bool(problem.assumed_conditions)
    return problem.discretisation.is_spectral or several


def _basis(problem: Problem, field: int, axis: int) -> str:
    kinds = tuple(wall.kind for wall in problem.boundary.walls[field][axis])
    if kinds not in BASES:
        raise BoundaryError(
            "there is no manufactured solution for this equation of fourth order at Robin "
            "conditions on several axes",
            "periodic, dirichlet or neumann conditions, or one axis",
        )
    return BASES[kinds]


def differentiate(expression: sympy.Expr, grid: Grid) -> sympy.Expr:
    """Carry the differential operators of an expression out, exactly."""
    coordinates = [sympy.Symbol(name, real=True) for name in grid.axes]

    def carry_out(node: sympy.Basic) -> sympy.Basic:
        if not node.args:
            return node
        arguments = [carry_out(argument) for argument in node.args]
        if not lang.is_operator(node):
            return node.func(*arguments)
        word = lang.word_of(node)
        if word == lang.LAPLACIAN:
            return sympy.Add(*(derivative(arguments[0], x, 2) for x in coordinates))
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


def _walls_of(solution, boundary: Boundary, grid: Grid) -> Boundary:
    """The same kinds of walls, with the values that the solution has there."""

    def wall(old: Wall, u: sympy.Expr, axis: int, side: int) -> Wall:
        if old.kind == "periodic":
            return old
        x = sympy.Symbol(grid.axes[axis], real=True)
        face = grid.origin[axis] + side * grid.extent[axis]
        outward = (1 if side else -1) * derivative(u, x)
        value = (old.a * u + old.b * outward).subs(x, face)
        slope = None if old.slope is None else outward.subs(x, face)
        inner = old.laplacian and wall(
            old.laplacian, differentiate(lang.operator(lang.LAPLACIAN, u), grid), axis, side
        )
        return replace(old, value=value, slope=slope, laplacian=inner)

    walls = tuple(
        tuple(
            tuple(wall(old, u, axis, side) for side, old in enumerate(pair))
            for axis, pair in enumerate(field)
        )
        for field, u in zip(boundary.walls, solution, strict=True)
    )
    return replace(boundary, walls=walls)
