"""Iterative solves of implicit steps, beside SciPy's direct solver."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan


def sparse_operator(diffusivity, h):
    """``divergence(D*gradient(u))`` of order 2 between Dirichlet-0 walls, as a SciPy matrix."""
    from scipy import sparse

    shape, total = diffusivity.shape, 0
    for axis in range(2):
        n = shape[axis]
        slope = sparse.diags([np.ones(n), -np.ones(n)], [0, -1], shape=(n + 1, n)).tolil()
        slope[0, 0], slope[n, n - 1] = 2, -2  # the wall is half a cell away
        halves = sparse.diags([np.full(n, 0.5)] * 2, [0, -1], shape=(n + 1, n)).tolil()
        halves[0, 0] = halves[n, n - 1] = 1
        back = sparse.diags([-np.ones(n), np.ones(n)], [0, 1], shape=(n, n + 1))
        eye = sparse.eye(shape[1 - axis])
        halves, slope, back = (
            sparse.kron(m, eye) if axis == 0 else sparse.kron(eye, m) for m in (halves, slope, back)
        )
        total = total + back @ sparse.diags(halves @ diffusivity.ravel()) @ slope / h**2
    return total.tocsc()


JUMP = "where(r<0.2,1,0)"


@pytest.mark.parametrize(
    ("more", "advection"),
    [("", 0.0), (" - 30*d_dx(u)", 30.0), (" - 5*x*u", 0.0)],
)
def test_implicit_steps_across_a_jump_of_a_thousand_are_solved(evolve, more, advection):
    """The issue's case, one step of 0.1, beside SciPy's direct solver; advection takes BiCGStab."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    n = 32
    run = evolve("equation=custom", f"grid={n}", "boundary=dirichlet", "initial=zero",
                 f"equation.rhs={{u: 'divergence((1+1000*{JUMP})*gradient(u)) + x*y{more}'}}",
                 "operators.face_mean=arithmetic", "stepper=implicit_euler", "time.dt=0.1",
                 "time.end=0.1", "output.frames=1")  # fmt: skip
    x = run.plan.grid.centres(0)
    X, Y = np.meshgrid(x, x)
    matrix = sparse_operator(1 + 1000 * (np.hypot(X - 0.5, Y - 0.5) < 0.2), 1 / n)
    if advection:
        wall = np.zeros(n)
        wall[0], wall[-1] = 1, -1  # the ghost cell is -u
        slope = sparse.diags([-np.ones(n - 1), wall, np.ones(n - 1)], [-1, 0, 1]) * (n / 2)
        matrix = matrix - advection * sparse.kron(sparse.eye(n), slope)
    elif more:
        matrix = matrix + sparse.diags(-5 * X.ravel())
    system = (sparse.eye(n * n) - 0.1 * matrix).tocsc()
    expected = spsolve(system, 0.1 * (X * Y).ravel())
    found = run.field("u")[-1].ravel()
    # a residual of 1e-13 (accepted: 1e-10), times the condition number of the smooth part
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_a_solve_that_does_not_converge_ends_the_run(placement, monkeypatch):
    from pdesim.engine import compile_cache as programs
    from pdesim.engine.simulation import Simulation
    from pdesim.errors import SolverError
    from pdesim.operators import krylov

    monkeypatch.setattr(krylov, "most_iterations", lambda points: 5)
    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    words = ("equation=custom", f"equation.rhs={{u: 'divergence((1+k*{JUMP})*gradient(u)) + 1'}}",
             "grid=16", "boundary=dirichlet", "initial=zero", "stepper=implicit_euler",
             "time.dt=0.1", "time.end=0.4", "output.frames=2")  # fmt: skip
    plan = make_plan(*words, "+equation.k=1000")
    frames = []
    with pytest.raises(SolverError, match="did not converge") as caught:
        for frame in Simulation(plan, placement).frames():
            frames.append(frame)
    assert len(frames) == 1 and caught.value.exit_code == 3
    # short steps of an even coefficient need a handful
    easy = make_plan(*words, "+equation.k=0", "time.dt=1e-9", "time.end=4e-9")
    assert len(list(Simulation(easy, placement).frames())) == 3


def test_small_fields_are_solved_for_in_float32(evolve):
    """Squares of 1e-25 vanish in float32; the solution scales with the initial state."""
    finals = []
    for size in (1.0, 1e-25):
        run = evolve("device.precision=float32", "equation=custom", "grid=[32]",
                     "equation.rhs={u: 'divergence((1+50*x)*gradient(u))'}", "boundary=dirichlet",
                     f"initial.u='{size}*sin(pi*x)'", "stepper=crank_nicolson", "time.dt=0.001",
                     "time.end=0.01", "output.frames=1")  # fmt: skip
        finals.append(run.field("u")[-1] / size)
    # float32, and a residual of 1e-6
    np.testing.assert_allclose(finals[1], finals[0], atol=2e-5)


def test_members_that_fail_leave_the_others_alone(placement, monkeypatch):
    """One member's coefficients grow beyond what so few iterations solve."""
    from pdesim.engine import compile_cache as programs
    from pdesim.engine.simulation import Simulation
    from pdesim.errors import SolverError
    from pdesim.operators import krylov

    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    monkeypatch.setattr(krylov, "most_iterations", lambda points: 16)
    words = ("device.precision=float64", "equation=custom", "grid=16", "boundary=dirichlet",
             f"equation.rhs={{u: 'divergence((1+k*{JUMP})*gradient(u)) + 1'}}", "initial=zero",
             "operators.face_mean=arithmetic",
             "stepper=implicit_euler", "time.dt=1e-4", "time.end=4e-4",
             "output.frames=2")  # fmt: skip
    plans = [make_plan(*words, f"+equation.k={k}") for k in (0.0, 1e6)]
    simulation = Simulation(plans, placement)
    final = list(simulation.frames())[-1].state[0]
    assert list(simulation.failures) == [1]
    assert isinstance(simulation.failures[1], SolverError)
    alone = list(Simulation(plans[0], placement).frames())[-1].state
    # both to a residual of 1e-13
    np.testing.assert_allclose(final, alone, atol=1e-12 * np.abs(alone).max())
