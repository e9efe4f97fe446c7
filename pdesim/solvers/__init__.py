"""Solvers for steady problems."""

from __future__ import annotations

from pdesim.engine.device import Placement
from pdesim.operators.steady import DENSE, NEWTON, TRANSFORM, chosen_solver
from pdesim.plan import Plan
from pdesim.solvers.solution import NotConverged, Solution

__all__ = ["NotConverged", "Solution", "solve"]


def solve(plan: Plan, placement: Placement) -> Solution:
    """Solve a steady problem with the solver of its settings.

    Raises:
        StepperError, SolverError: if there is no solution, or it was not found.
        DeviceError: if there is not enough memory for a dense matrix.
    """
    name = chosen_solver(plan.problem, plan.settings.solver)
    if name == NEWTON:
        from pdesim.solvers import newton

        return newton.solve(plan, placement)
    if name == TRANSFORM:
        from pdesim.solvers import transform

        return transform.solve(plan, placement)
    if name == DENSE:
        from pdesim.solvers import dense

        return dense.solve(plan, placement)
    from pdesim.solvers import multigrid_solver

    return multigrid_solver.solve(plan, placement, name)
