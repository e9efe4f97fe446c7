"""Functions along one axis that meet given conditions: the factors of manufactured solutions.

All take the coordinate ``s``, which is 0 at the lower and 1 at the upper end of the axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import sympy

from pdesim.formula import derivative, nodes
from pdesim.operators.problem import Problem

S = sympy.Symbol("s", real=True)
#: the faces of a box-shaped obstacle, on every axis; the middle of the axis is the place of a jump
BOX = (0.25, 0.75)
MIDDLE = 0.5

#: a linear condition on a function of ``S``: the number that has to be 0
Condition = Callable[[sympy.Expr], float]


def adjusted(
    function: sympy.Expr, corrections: Sequence[sympy.Expr], conditions: Sequence[Condition]
) -> sympy.Expr:
    """``function`` plus the smallest combination of ``corrections`` that meets all conditions."""
    rows = [[condition(f) for f in (*corrections, function)] for condition in conditions]
    system = np.array(rows)
    weights = np.linalg.lstsq(system[:, :-1], -system[:, -1], rcond=None)[0]
    return function + sum(float(w) * f for w, f in zip(weights, corrections, strict=True))


def at(function: sympy.Expr, place: float, power: int = 0) -> float:
    """A derivative of a function of ``S`` at one place."""
    return float(derivative(function, S, power).subs(S, place))


def second_condition_factor(problem: Problem, field: int, axis: int, phase: float) -> sympy.Expr:
    """A function that meets the second conditions that are assumed of fourth-order operators.

    They are ``a*f'' + b*df''/dn = 0``, with a and b those of the field's own condition, whose value
    is free. Conditions that are stated take the values that the solution has.
    """
    length, pair = problem.grid.extent[axis], problem.boundary.walls[field][axis]

    def condition(side: int) -> Condition:
        outward = (1 if side else -1) * pair[side].b / length
        return lambda f: pair[side].a * at(f, side, 2) + outward * at(f, side, 3)

    conditions = [condition(side) for side in (0, 1) if not pair[side].has_second]
    base = sympy.cos(5.3 * S + phase)
    return adjusted(base, [S**power for power in (2, 3, 4)], conditions) if conditions else base


def box_factor(kind: str, periodic: bool, phase: float, nested: bool) -> sympy.Expr:
    """A function that is 0 (``dirichlet``) or has no slope (``neumann``) at the faces of the box.

    Args:
        nested: an operator inside an operator has no slope either: all odd derivatives vanish at
            the faces, and at both ends of the axis.
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
    return adjusted(base, corrections, [lambda f, face=face: at(f, face, power) for face in BOX])


def jump_factor(ratio: float, end_ratio: float, periodic: bool, phase: float) -> sympy.Expr:
    """A continuous function whose slope jumps in the middle such that ``D*f'`` does not jump.

    ``f' D`` is ``b' min(D)`` on both sides, with a smooth function b. Cubic polynomials, one in
    each half, change its slopes and leave its values.

    Args:
        ratio: D below the middle over D above it.
        end_ratio: D at the upper end over D at the lower one: on a periodic axis a jump, too.
    """
    base = sympy.cos(2 * sympy.pi * S + phase) if periodic else sympy.cos(4.1 * S + phase)
    below, above = _slopes(ratio)
    last, first = _slopes(end_ratio) if periodic else (1.0, 1.0)
    lower = _cubic(base, 0.0, MIDDLE, first, below)
    upper = _cubic(base, MIDDLE, 1.0, above, last)
    return nodes.where(nodes.StrictLessThan(S, MIDDLE), base + lower, base + upper)


def _slopes(ratio: float) -> tuple[float, float]:
    """What a slope is multiplied by below and above a jump of D: ``min(D)/D`` on each side."""
    return min(1.0, 1 / ratio), min(1.0, ratio)


def _cubic(base: sympy.Expr, start: float, end: float, first: float, last: float) -> sympy.Expr:
    """0 at both ends, with slopes that make those of ``base`` that many times as large.

    The polynomial of Hermite: ``w x (1 - x)**2`` and ``-v x**2 (1 - x)`` with x from 0 to 1.
    """
    length = end - start
    x = (S - start) / length
    w, v = ((factor - 1) * at(base, p, 1) * length for p, factor in ((start, first), (end, last)))
    return w * x * (1 - x) ** 2 - v * x**2 * (1 - x)
