"""The solution of a steady problem in a run: its frame, its residuals, and their picture."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdesim.engine.device import Placement
from pdesim.errors import PdesimError
from pdesim.operators.steady import DIRECT, chosen_solver, tolerance_of
from pdesim.output import RunFolder
from pdesim.output.residuals import read_residuals
from pdesim.plan import Plan
from pdesim.run.member import MemberRun

if TYPE_CHECKING:
    from pdesim.solvers import Solution

log = logging.getLogger("pdesim")


def solve_steady(run: MemberRun, placement: Placement) -> Solution:
    """Solve the problem of a run, and store the solution and the residuals.

    Raises:
        PdesimError: if there is no solution, it was not found, or it could not be stored. The
            residuals of iterations that have not converged are stored.
    """
    from pdesim.solvers import NotConverged, solve

    plan = run.job.plan
    try:
        solution = solve(plan, placement)
    except NotConverged as error:
        run.recorder.residuals(np.array(error.history))
        raise
    run.recorder.residuals(np.array(solution.history or [solution.residual]))
    run.recorder.frame(0, float(plan.times[0]), solution.state)
    run.status.update(frames=1, residual=solution.residual)
    return solution


def solver_attributes(plan: Plan) -> dict[str, Any] | None:
    """Return the attributes of the residuals in the snapshot file; None without a solver."""
    if not plan.is_steady:
        return None
    name, settings = chosen_solver(plan.problem, plan.settings.solver), plan.settings
    tolerance = None if name in DIRECT else tolerance_of(settings.solver, settings.device.precision)
    return {"solver": name, "tolerance": tolerance}


def draw_residuals(folder: Path, plan: Plan) -> None:
    """Draw the residuals in the folder of a run, unless its solver has no iterations.

    Errors are logged, since a run must not fail because of a picture.
    """
    run = RunFolder(folder)
    try:
        run.residual_plot.unlink(missing_ok=True)  # of a run that was overwritten
        residuals = read_residuals(run.snapshots)
        if residuals is not None and residuals.iterations:
            from pdesim.render.residuals import residual_plot

            title = f"{plan.equation.name}: solver={residuals.solver}"
            residual_plot(residuals, title, run.residual_plot)
    except (PdesimError, OSError) as error:
        log.warning("%s was not drawn: %s", run.residual_plot.name, error)
