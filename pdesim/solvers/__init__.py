"""Solvers for steady problems."""

from __future__ import annotations

from pdesim.engine.device import Placement
from pdesim.operators.linearisation import Linearisation
from pdesim.plan import Plan
from pdesim.solvers.solution import Solution


def solve(plan: Plan, placement: Placement) -> Solution:
    """Solve a steady problem: by transforms if they apply, otherwise by multigrid.

    Problems that are not linear, or that contain means or integrals of the fields, are solved by
    Newton's method.

    Transforms apply to constant coefficients without obstacles, with periodic, Dirichlet or Neumann
    sides that are the same for every field.

    Raises:
        StepperError, SolverError: if there is no solution, or it was not found.
    """
    equation, problem = plan.equation, plan.problem
    if equation.reductions or not Linearisation(problem).is_constant:
        from pdesim.solvers.newton import solve as newton

        return newton(plan, placement)
    constant = problem.has_modes and not any(
        term.free_symbols & equation.state_symbols for term in problem.split.rest
    )
    if constant:
        from pdesim.solvers.transform import solve as direct

        return direct(plan, placement)
    from pdesim.solvers.multigrid_solver import solve as iterate

    return iterate(plan, placement)
