"""Solvers for steady problems."""

from __future__ import annotations

from pdesim.engine.device import Placement
from pdesim.plan import Plan
from pdesim.solvers.solution import Solution


def solve(plan: Plan, placement: Placement) -> Solution:
    """Solve a linear steady problem: by transforms if they apply, otherwise by multigrid.

    Transforms apply to constant coefficients without obstacles, with periodic, Dirichlet or Neumann
    sides that are the same for every field.

    Raises:
        StepperError, SolverError: if there is no solution, or it was not found.
    """
    equation, problem = plan.equation, plan.problem
    constant = problem.has_modes and not any(
        term.free_symbols & equation.state_symbols for term in problem.split.rest
    )
    if constant:
        from pdesim.solvers.transform import solve as direct

        return direct(plan, placement)
    from pdesim.solvers.multigrid_solver import solve as iterate

    return iterate(plan, placement)
