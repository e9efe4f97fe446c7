"""The orders of accuracy that are claimed, in space and in time."""

from __future__ import annotations

from pdesim.formula import language as lang
from pdesim.formula.nodes import jumps
from pdesim.operators.problem import Problem
from pdesim.steppers import METHODS
from pdesim.verify.domain import fastest_rate, is_damped
from pdesim.verify.manufactured import JUMP, TURNED_OBSTACLE, VANISHING, vanishing_power

#: families of steppers whose steps may be long beside the fastest rates
STIFF_FAMILIES = ("exponential", "imex", "stabilized", "implicit")
#: the order that is left of a higher one on linear equations if boundary values change in time
LINEAR_STIFF_ORDER = 3


def claimed_order(problem: Problem, case: str) -> float | None:
    """The order that the operators claim for a case; None for spectral accuracy.

    It is lower than that of the operators

    - for waves between Dirichlet walls: there the second-order Laplacian has an error that stays,
      in the one cell at the wall. Diffusion smooths its effect to order 2. Without loss, the first
      instant sends a step of height h^2 inwards, whose front dispersion widens to h^(2/3): its
      rate of change errs by h^(4/3);
    - where w = u^m is smooth and 0 at the boundary: the error of w is of order 2, and that of u in
      the first cell is larger by 1/u^(m-1), which grows as h^(-(m-1)/m);
    - around an obstacle whose faces cross cells: they become a staircase, up to h away from them;
    - at a jump of a coefficient that is not averaged harmonically, or beside which a first
      derivative is taken: the flux through one face is wrong by a part of itself, or the slope in
      two cells, which makes an error of h times that.
    """
    order = problem.discretisation.order
    if case == VANISHING:
        power = vanishing_power(problem)
        return 2 - (power - 1) / power
    if case == TURNED_OBSTACLE or (case == JUMP and not _has_order_at_jumps(problem)):
        return 1
    walls = {wall.kind for field in problem.boundary.walls for pair in field for wall in pair}
    walls |= set() if problem.mask is None else {wall.kind for wall in problem.mask.walls}
    if order == 2 and "dirichlet" in walls and not is_damped(fastest_rate(problem)):
        return 4 / 3
    return order or None


def _has_order_at_jumps(problem: Problem) -> bool:
    nodes = {n for formula in problem.equation.formulas for n in lang.operators_in(formula)}
    if any(sum(lang.DERIVATIVES.get(lang.word_of(node), ())) == 1 for node in nodes):
        return False
    return all(
        problem.has_harmonic_mean(node.args[0])
        for node in nodes
        if len(node.args) == 2 and jumps(node.args[0])
    )


def stiff_order(problem: Problem, stepper: str) -> int:
    """The order of a stepper where boundary values change in time and steps are long.

    Long means beside the fastest rates. Stages of higher order do not have the boundary values of
    their own times then (``steppers.Method.reduced_order``): ETDRK3 and ETDRK4 are of order 3 where
    what they do not take as linear is a source, and of order 2 where it depends on a field.
    """
    method = METHODS[stepper]
    if method.reduced_order is None:
        return method.order
    fields = set(problem.equation.field_symbols)
    reacts = any(term.free_symbols & fields for term in problem.split.rest)
    return method.reduced_order if reacts else min(method.order, LINEAR_STIFF_ORDER)
