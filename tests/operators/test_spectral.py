"""Spectral operators: what dealiasing conserves, and where convergence is slow."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan

from pdesim.operators.mirror import slow_fields
from pdesim.run.preflight import order_notes

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


def slow(rhs, *more):
    plan = make_plan("equation=custom", f"equation.rhs={{{rhs}}}", "operators=spectral",
                     "grid=[16,12]", *more)  # fmt: skip
    return slow_fields(plan.problem)


def test_slow_series_are_known_before_the_run():
    dirichlet, neumann = "boundary=dirichlet", "boundary=neumann"
    assert slow("u: 'laplacian(u) + 1'", dirichlet) == ["u"]
    assert slow("u: 'laplacian(u) + u - u**2'", dirichlet) == ["u"]
    assert slow("u: 'laplacian(u) + x'", neumann) == ["u"]
    assert slow("u: 'laplacian(u) - u'", "boundary={default: {dirichlet: 1}}") == ["u"]
    assert slow("u: 'laplacian(u)', v: 'laplacian(v) + u**2'", dirichlet) == ["v"]
    for rhs, walls in (
        ("u: 'laplacian(u) + 1'", neumann),
        ("u: 'laplacian(u) + 1 + x'", "boundary=periodic"),
        ("u: 'laplacian(u) + u - u**3'", dirichlet),
        ("u: 'laplacian(u)'", "boundary={default: {dirichlet: 1}}"),
        ("u: 'laplacian(u) + cos(t)*u**2'", neumann),
    ):
        assert slow(rhs, walls) == []


def test_a_source_at_a_dirichlet_wall_is_of_order_two(evolve):
    """The steady profile x (1 - x) / 2, whose sine coefficients fall with the cube only."""
    errors = []
    for points in (16, 32, 64):
        run = evolve("equation=custom", "equation.rhs={u: 'laplacian(u) + 1'}",
                     "operators=spectral", f"grid=[{points}]", "boundary=dirichlet",
                     "initial=zero", "stepper=exact", "time.end=10", "output.frames=1")  # fmt: skip
        x = run.coordinates["x"]
        errors.append(np.abs(run.field("u")[-1] - x * (1 - x) / 2).max())
    order = -np.polyfit(np.log([16, 32, 64]), np.log(errors), 1)[0]
    assert order == pytest.approx(2, abs=0.1)


def test_what_lowers_the_order_is_said_before_the_run():
    common = ("equation=custom", "grid=[16]", "stepper=etdrk4", "time.dt=0.01")
    plan = make_plan(*common, "equation.rhs={u: 'laplacian(u) + 1'}", "operators=spectral",
                     "boundary=dirichlet")  # fmt: skip
    (note,) = order_notes(plan)
    assert "order 2" in note and "operators=stencil" in note
    moving = "boundary={default: {dirichlet: 'sin(t)'}}"
    plan = make_plan(*common, "equation.rhs={u: 'laplacian(u)'}", moving)
    (note,) = order_notes(plan)
    assert "from 4 to between 2 and 3" in note
    assert order_notes(make_plan(*common[:2], "equation.rhs={u: 'laplacian(u)'}", moving)) == []


FLUXES_WITHOUT_SERIES = {
    # the coefficient has no parity about the walls
    "divergence((1 + 0.2*x)*gradient(u))": "boundary=neumann",
    # u is 1 plus an odd function; taken as odd, its flux through the wall is wrong
    "divergence(u*gradient(u))": "boundary={default: {dirichlet: 1}}",
    "divergence(gradient(u)/sqrt(1 + gradient_squared(u)))": "boundary={default: {dirichlet: 1}}",
    # the slope of a parabola is 1 at both walls: no sine series
    "divergence(2*gradient(u))": "boundary.default={neumann: 1}",
    # that of x is, too: what is added to a sine series is a constant
    "divergence(3*gradient(u))": "boundary.x={lower: {neumann: -1}, upper: {neumann: 1}}",
}


@pytest.mark.parametrize("formula", FLUXES_WITHOUT_SERIES)
def test_fluxes_without_a_series_are_refused_before_the_run(formula):
    from pdesim.errors import BoundaryError

    with pytest.raises(BoundaryError, match=r"spectral|neither even nor odd"):
        make_plan("equation=custom", f"equation.rhs={{u: '{formula}'}}", "operators=spectral",
                  "grid=[16]", FLUXES_WITHOUT_SERIES[formula])  # fmt: skip


def test_a_flux_of_constant_slope_between_walls_with_values(placement):
    """u = x + sin(2 pi x) between 0 and 1: the slope of x adds a constant to a cosine series."""
    from test_operators import right_hand_side

    plan = make_plan("equation=custom", "equation.rhs={u: 'divergence(2*gradient(u))'}",
                     "operators=spectral", "grid=[16]",
                     "boundary.x={lower: {dirichlet: 0}, upper: {dirichlet: 1}}")  # fmt: skip
    x = (np.arange(16) + 0.5) / 16
    wave = np.sin(2 * np.pi * x)
    found = right_hand_side(plan, (x + wave)[None])[0]
    # rounding times the largest symbol, (16 pi)**2
    np.testing.assert_allclose(found, -8 * np.pi**2 * wave, atol=1e-10)
