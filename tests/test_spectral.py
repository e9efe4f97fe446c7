"""Spectral operators: what dealiasing conserves, and where convergence is slow."""

from __future__ import annotations

import numpy as np
import pytest

BURGERS = (
    "equation=custom", "equation.rhs={u: '-0.5*d_dx(u**2)'}", "operators=spectral",
    "operators.dealias=true", "grid=[32]", "stepper=rk4", "time.end=2", "time.unsafe=true",
    "output.frames=8",
)  # fmt: skip


def energies(evolve, *words):
    u = evolve(*BURGERS, *words).field("u")
    return (u**2).mean(1)


@pytest.mark.parametrize(
    ("walls", "initial"),
    [
        # a jump has all modes of the grid; the solution has a shock by t = 0.2
        ("boundary=periodic", "initial.u='where(x < 0.3, 1, -0.5) + 0.2*sin(20*pi*x)'"),
        ("boundary=dirichlet", "initial.u='where(x < 0.3, 1, -0.5)'"),
    ],
)
def test_galerkin_burgers_conserves_its_energy(evolve, walls, initial):
    """``d/dt sum u**2 = -sum u d_dx(u**2) = 0``; rk4 errs by dt**5 a step."""
    errors = []
    for dt in (0.004, 0.002):
        energy = energies(evolve, walls, initial, f"time.dt={dt}")
        errors.append(np.abs(energy / energy[0] - 1).max())
    assert errors[0] < 1e-3 and errors[1] < errors[0] / 12


def test_dealiased_states_stay_among_the_lower_two_thirds(evolve):
    initial = "initial.u='random_normal(1)'"
    for stepper in ("rk4", "etdrk4"):
        run = evolve(
            "equation=custom", "equation.rhs={u: '1e-3*laplacian(u) - 0.5*d_dx(u**2)'}",
            "operators=spectral", "operators.dealias=true", "grid=[30]", initial,
            f"stepper={stepper}", "time.dt=1e-3", "time.end=0.1", "output.frames=2",
        )  # fmt: skip
        modes = np.abs(np.fft.rfft(run.field("u"), axis=1))
        # modes 0 to 9 lie strictly below two thirds of 15; the rest is rounding
        assert modes[:, 10:].max() < 1e-12 < modes[:, 9].min()


@pytest.mark.parametrize("stepper", ["rk4", "etdrk2"])
def test_dealiasing_leaves_what_walls_hold(evolve, stepper):
    """The straight line between the walls' values is steady, with and without dealiasing."""
    states = []
    for dealias in ("true", "false"):
        run = evolve(
            "equation=custom", "equation.rhs={u: 'laplacian(u) - (u - 1 - 2*x)**2'}", "grid=[16]",
            "operators=spectral", f"operators.dealias={dealias}", "initial.u='1 + 2*x'",
            "boundary.x={lower: {dirichlet: 1}, upper: {dirichlet: 3}}", f"stepper={stepper}",
            "time.end=0.5", "time.dt=1e-3", "output.frames=1",
        )  # fmt: skip
        states.append(run.field("u")[-1])
    for state in states:
        np.testing.assert_allclose(state, 1 + 2 * run.coordinates["x"], atol=1e-9)
