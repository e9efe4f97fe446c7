"""py-pde's explicit Euler with its Numba backend; it computes in float64."""

from __future__ import annotations

import os

import numpy as np

from peers import problems
from peers.problems import DU, DV, FEED, HEAT, KILL, Problem


def build(problem: Problem, n: int) -> dict:
    # waiting threads sleep: where cores are shared, spinning ones slow the others thirtyfold
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import pde
    from pde import solvers

    size = n * problems.SPACING
    grid = pde.CartesianGrid([(0, size), (0, size)], [n, n], periodic=True)
    fields = [pde.ScalarField(grid, values) for values in problem.state(n).astype(np.float64)]
    state = pde.FieldCollection(fields, labels=list(problem.fields))
    rates = {
        "gray_scott": {
            "u": f"{DU} * laplace(u) - u * v**2 + {FEED} * (1 - u)",
            "v": f"{DV} * laplace(v) + u * v**2 - {FEED + KILL} * v",
        },
        "heat": {"u": f"{HEAT} * laplace(u)"},
    }[problem.name]
    solver = solvers.EulerSolver(pde.PDE(rates), backend="numba")
    step = solver.make_stepper(state, problem.dt)

    def run(steps: int) -> np.ndarray:
        moving = state.copy()
        step(moving, 0, steps * problem.dt)
        return moving.data

    return {"numba": run}
