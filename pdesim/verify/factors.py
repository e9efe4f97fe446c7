"""Functions of one coordinate that meet given conditions: the factors of manufactured solutions.

The functions depend on the scaled coordinate ``s``, which is 0 at the lower and 1 at the upper end
of the axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import sympy

from pdesim.formula import derivative, nodes
from pdesim.operators.problem import Problem

S = sympy.Symbol("s", real=True)
#: the faces of a box-shaped obstacle on every axis, and the position of a jump, as values of ``s``
BOX = (0.25, 0.75)
MIDDLE = 0.5

#: a linear condition on a function of ``S``: returns a number that is 0 if the condition is met
Condition = Callable[[sympy.Expr], float]


def adjusted(
    function: sympy.Expr, corrections: Sequence[sympy.Expr], conditions: Sequence[Condition]
) -> sympy.Expr:
    """``function`` plus a linear combination of ``corrections``, so that all conditions are met.

    If several combinations meet the conditions, the one with the smallest coefficients is used.
    """
    rows = [[condition(f) for f in (*corrections, function)] for condition in conditions]
    system = np.array(rows)
    weights = np.linalg.lstsq(system[:, :-1], -system[:, -1], rcond=None)[0]
    return function + sum(float(w) * f for w, f in zip(weights, corrections, strict=True))


def at(function: sympy.Expr, position: float, power: int = 0) -> float:
    """The derivative of order ``power`` of a function of ``S`` at one position."""
    return float(derivative(function, S, power).subs(S, position))


def second_condition_factor(problem: Problem, field: int, axis: int, phase: float) -> sympy.Expr:
    """A function that meets the second conditions that fourth-order operators assume.

    These are ``a*f'' + b*df''/dn = 0``, with the a and b of the field's first condition. Conditions
    in the settings need not be met, since their values are replaced by those of the solution.
    """
    length, pair = problem.grid.extent[axis], problem.boundary.walls[field][axis]

    def condition(side: int) -> Condition:
        outward = (1 if side else -1) * pair[side].b / length
        return lambda f: pair[side].a * at(f, side, 2) + outward * at(f, side, 3)

    conditions = [condition(side) for side in (0, 1) if not pair[side].has_second]
    base = sympy.cos(5.3 * S + phase)
    return adjusted(base, [S**power for power in (2, 3, 4)], conditions) if conditions else base


def box_factor(kind: str, periodic: bool, phase: float, nested: bool) -> sympy.Expr:
    """A function with the value 0 (``dirichlet``) or slope 0 (``neumann``) at the faces of the box.

    Args:
        kind: the condition at the faces.
        periodic: whether the axis is periodic.
        phase: the phase of the function.
        nested: whether the equation has nested operators. The slope of the inner operator's result
            has to vanish then as well, so all odd derivatives of the returned function are 0 at the
            faces and at both ends of the axis.
    """
    if nested:
        return sympy.cos(2 * sympy.pi * (S - BOX[0]) / (BOX[1] - BOX[0]))
    power = 1 if kind == "neumann" else 0
    if periodic:
        turn = 2 * sympy.pi * S
        base = sympy.cos(turn + phase)
        corrections = [sympy.cos(turn), sympy.sin(turn), sympy.cos(2 * turn), sympy.sin(2 * turn)]
    else:
        base, corrections = sympy.cos(4.1 * S + phase), [S**n for n in range(power, power + 3)]
    conditions: list[Condition] = [partial(at, position=face, power=power) for face in BOX]
    return adjusted(base, corrections, conditions)


def jump_factor(ratio: float, end_ratio: float, periodic: bool, phase: float) -> sympy.Expr:
    """A continuous function whose slope jumps in the middle such that ``D*f'`` is continuous.

    At the jump, ``D*f'`` is ``min(D)*b'`` on both sides, with a smooth function b. To obtain f, a
    cubic polynomial is added to b in each half; it changes the slopes, but not the values, at both
    ends of the half.

    Args:
        ratio: D just below the middle, divided by D just above.
        end_ratio: D at the upper end divided by D at the lower end. Unless this ratio is 1, D also
            jumps between the ends of a periodic axis.
        periodic: whether the axis is periodic.
        phase: the phase of b.
    """
    base = sympy.cos(2 * sympy.pi * S + phase) if periodic else sympy.cos(4.1 * S + phase)
    below, above = _slopes(ratio)
    last, first = _slopes(end_ratio) if periodic else (1.0, 1.0)
    lower = _cubic(base, 0.0, MIDDLE, first, below)
    upper = _cubic(base, MIDDLE, 1.0, above, last)
    return nodes.where(nodes.StrictLessThan(S, MIDDLE), base + lower, base + upper)


def _slopes(ratio: float) -> tuple[float, float]:
    """The factors by which slopes are multiplied below and above a jump of D: ``min(D)/D``."""
    return min(1.0, 1 / ratio), min(1.0, ratio)


def _cubic(base: sympy.Expr, start: float, end: float, first: float, last: float) -> sympy.Expr:
    """A cubic that, added to ``base``, multiplies the slopes at both ends of an interval.

    The values at the ends do not change. In Hermite form, the cubic is
    ``w x (1 - x)**2 - v x**2 (1 - x)``, with x from 0 to 1.

    Args:
        base: the function to which the cubic will be added.
        start, end: the ends of the interval.
        first, last: the factors of the slopes at ``start`` and ``end``.
    """
    length = end - start
    x = (S - start) / length
    w, v = ((factor - 1) * at(base, p, 1) * length for p, factor in ((start, first), (end, last)))
    return w * x * (1 - x) ** 2 - v * x**2 * (1 - x)
