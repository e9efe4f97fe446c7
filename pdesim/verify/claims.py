"""The claimed orders of accuracy in space and in time."""

from __future__ import annotations

from pdesim.formula import language as lang
from pdesim.formula.kernels import is_convolution
from pdesim.formula.nodes import jumps
from pdesim.operators.problem import Problem
from pdesim.steppers import METHODS
from pdesim.verify.domain import limiting_rate
from pdesim.verify.manufactured import JUMP, TURNED_OBSTACLE, VANISHING, vanishing_power
from pdesim.verify.transport import has_transport, transport_order

#: families of steppers whose time steps may be longer than the fastest time scales of a problem
STIFF_FAMILIES = ("exponential", "imex", "stabilized", "implicit")
#: order to which a higher order is reduced for linear equations with time-dependent boundary values
LINEAR_STIFF_ORDER = 3
#: waves count as undamped if the shortest ones decay by less than this in the time 1/frequency
UNDAMPED = 0.01


def claimed_order(problem: Problem, case: str) -> float | None:
    """The claimed order of accuracy in space for a case; None means spectral accuracy.

    It is lower than the order of the operators

    - for undamped waves with Dirichlet conditions. The second-order Laplacian has an error of order
      0 in the cell at the boundary. With diffusion, the effect of this error is of order 2, also if
      waves oscillate faster than they decay. In waves whose damping does not grow with their
      frequency, the error initially causes a step of height h^2 that travels inwards. Dispersion
      widens the front of this step to h^(2/3), so that its rate of change has an error of h^(4/3);
    - if w = u^m is smooth and 0 at the boundary. The error of w is of order 2. The error of u in
      the first cell is larger by a factor of 1/u^(m-1), which grows as h^(-(m-1)/m);
    - around an obstacle whose faces cross cells. Its boundary becomes a staircase at a distance of
      up to h from the faces;
    - at a jump of a coefficient if the coefficient is not averaged harmonically, or if a first
      derivative is evaluated next to the jump. The flux through one face, or the slope in two
      cells, has a relative error of order 0, which causes an error of order h in the solution.

    Without derivatives only rounding errors remain, since the convolutions of the exact solution
    are computed on the grid.
    """
    nodes = {n for formula in problem.equation.formulas for n in lang.operators_in(formula)}
    if problem.kernels and all(map(is_convolution, nodes)):
        return None
    if has_transport(problem):
        return transport_order(problem)
    order = problem.discretisation.order
    power = vanishing_power(problem) if case == VANISHING else None
    if power is not None:
        return 2 - (power - 1) / power
    if case == TURNED_OBSTACLE or (case == JUMP and not _has_order_at_jumps(problem)):
        return 1
    kinds = {side.kind for field in problem.boundary.walls for pair in field for side in pair}
    kinds |= set() if problem.mask is None else {face.kind for face in problem.mask.walls}
    if order == 2 and "dirichlet" in kinds and _has_undamped_waves(problem):
        return 4 / 3
    return order or None


def _has_undamped_waves(problem: Problem) -> bool:
    rate = limiting_rate(problem)
    return abs(rate.real) < UNDAMPED * abs(rate.imag)


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
    """The order of a stepper with time-dependent boundary values and stiff steps.

    Steps are stiff if they are longer than the fastest time scales. In this case the order of
    ETDRK3 and ETDRK4 is reduced (``steppers.Method.reduced_order``), because the boundary values in
    their stages are not those at the times of the stages. It is reduced to 3 if the nonlinear part
    of the equation is only a source, and to 2 if this part depends on a field.
    """
    method = METHODS[stepper]
    if method.reduced_order is None:
        return method.order
    unknowns = problem.equation.state_symbols
    reacts = any(term.free_symbols & unknowns for term in problem.split.rest)
    return method.reduced_order if reacts else min(method.order, LINEAR_STIFF_ORDER)
