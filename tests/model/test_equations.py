"""Every shipped equation against something that its name promises and that can be worked out."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan


def test_burgers_is_heat_in_disguise(evolve):
    """Cole-Hopf: u = -2 nu phi_x / phi, where phi = 2 + exp(-nu k^2 t) cos(k x) solves heat."""
    nu, k = 0.05, 2 * np.pi

    def exact(x, t):
        wave = np.exp(-nu * k**2 * t)
        return 2 * nu * k * wave * np.sin(k * x) / (2 + wave * np.cos(k * x))

    start = f"{2 * nu * k}*sin(2*pi*x)/(2 + cos(2*pi*x))"
    run = evolve("equation=burgers", f"equation.nu={nu}", "grid=[64]", "operators=spectral",
                 "stepper=etdrk4", "time.dt=2e-3", "time.end=1", "output.frames=2",
                 f"initial={{u: '{start}'}}")  # fmt: skip
    expected = np.stack([exact(run.coordinates["x"], t) for t in run.times])
    # phi's poles lie arccosh(2) / k off the line: exp(-32 arccosh(2)) = 5e-19 in space; dt^4
    np.testing.assert_allclose(run.field("u"), expected, atol=1e-10)


def test_allen_cahn_fronts_take_their_own_width(evolve):
    """Any front relaxes to tanh(x / (sqrt(2) epsilon))."""
    run = evolve("equation=allen_cahn", "equation.epsilon=0.05", "grid=[128]", "boundary=neumann",
                 "operators.order=6", "stepper=rk4", "initial={u: 'tanh((x - 0.5)/0.2)'}",
                 "time.end=20", "output.frames=1")  # fmt: skip
    expected = np.tanh((run.coordinates["x"] - 0.5) / (np.sqrt(2) * 0.05))
    # the walls cut off 2 exp(-0.5 / (0.05 / sqrt(2))) = 1.4e-6 of it
    np.testing.assert_allclose(run.field("u")[-1], expected, atol=4e-6)


def test_cahn_hilliard_keeps_its_mass_and_loses_energy(evolve):
    run = evolve("equation=cahn_hilliard", "grid=[96]", "domain.extent=60", "time.end=100",
                 "initial={u: '0.1 + random_normal(0.05)'}", "output.frames=40")  # fmt: skip
    u = run.field("u")
    np.testing.assert_allclose(u.mean(1), u[0].mean(), atol=1e-14)
    k = 2 * np.pi * np.fft.rfftfreq(96, 60 / 96)
    slope = np.fft.irfft(1j * k * np.fft.rfft(u), n=96)
    energy = ((u**2 - 1) ** 2 / 4 + slope**2 / 2).mean(1)
    assert np.all(np.diff(energy) < 0) and energy[-1] < 0.7 * energy[0]


@pytest.mark.parametrize(
    "equation,rate",
    [
        ("swift_hohenberg", lambda k: 0.3 - (1 - k**2) ** 2),
        ("kuramoto_sivashinsky", lambda k: k**2 - k**4),
        ("cahn_hilliard", lambda k: k**2 - k**4),
    ],
)
@pytest.mark.parametrize("number", [4, 12])
def test_small_waves_grow_at_their_rate(evolve, equation, rate, number):
    length = 60.0
    k = 2 * np.pi * number / length
    still = ["equation.speed=0"] if equation == "kuramoto_sivashinsky" else []
    run = evolve(f"equation={equation}", *still, "grid=[48]", f"domain.extent={length}",
                 f"initial={{u: '1e-8*cos({k!r}*x)'}}", "time.dt=0.05", "time.end=2",
                 "output.frames=2")  # fmt: skip
    u = run.field("u") * 1e8
    # exact but for what is nonlinear, 1e-8 of it
    expected = np.exp(rate(k) * run.times)[:, None] * u[0]
    np.testing.assert_allclose(u, expected, atol=1e-7)


def brusselator(p):
    u, v = p["A"], p["B"] / p["A"]
    return (u, v), [[2 * u * v - p["B"] - 1, u**2], [p["B"] - 2 * u * v, -(u**2)]]


def fitzhugh_nagumo(p):
    u = -float(np.cbrt(p["k"]))
    return (u, u), [[1 - 3 * u**2, -1], [1, -1]]


@pytest.mark.parametrize("steady", [brusselator, fitzhugh_nagumo])
@pytest.mark.parametrize("number", [0, 1, 5])
def test_small_waves_about_the_steady_state(evolve, steady, number):
    """Both fields follow exp((J - k^2 D) t), J the reactions' Jacobian worked out by hand."""
    name, n, length, small = steady.__name__, 32, 20.0, 1e-6
    parameters = make_plan(f"equation={name}").equation.parameters
    state, reactions = steady(parameters)
    wave = f"{small}*cos({np.pi * number / length!r}*x)"
    run = evolve(f"equation={name}", f"grid=[{n}]", f"domain.extent={length}", "domain.origin=0",
                 "boundary=neumann", f"initial={{u: '{state[0]!r} + {wave}', v: {state[1]!r}}}",
                 "time.dt=0.02", "time.end=3", "output.frames=3")  # fmt: skip
    square = (2 * n / length * np.sin(np.pi * number / (2 * n))) ** 2  # of the stencil
    matrix = np.array(reactions) - square * np.diag([parameters["Du"], parameters["Dv"]])
    rates, vectors = np.linalg.eig(matrix)
    grown = [
        (vectors @ np.diag(np.exp(rates * t)) @ np.linalg.inv(vectors)).real for t in run.times
    ]
    shape = np.cos(np.pi * number * run.coordinates["x"] / length)
    expected = np.stack([np.outer(m[:, 0], shape) for m in grown])
    found = (run.states - np.array(state)[:, None]) / small
    # quadratic terms are of size 1e-6, and grow at twice the rate; rk4's own error is smaller
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_fitzhugh_nagumo_is_that_of_pdebench():
    """Takamoto et al., arXiv:2210.07182, 2-D diffusion-reaction."""
    plan = make_plan("equation=fitzhugh_nagumo")
    given = {name: plan.equation.parameters[name] for name in ("Du", "Dv", "k")}
    assert given == {"Du": 1e-3, "Dv": 5e-3, "k": 5e-3}
    assert plan.grid.points == (128, 128) and plan.grid.origin == (-1, -1)
    assert plan.grid.extent == (2, 2) and plan.times[-1] == 5 and len(plan.times) == 101
    kinds = {wall.kind for field in plan.problem.boundary.walls for pair in field for wall in pair}
    assert kinds == {"neumann"}


@pytest.mark.parametrize(
    ("words", "order", "dt"),
    [
        ("stepper=rk4", 4, 0.5), ("stepper=sbdf2", 2, 0.2),
        ("stepper=etdrk4 operators=spectral", 4, 1.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["allen_cahn", "cahn_hilliard"])
def test_the_recorded_energy_rises_by_less_than_the_error(placement, name, words, order, dt):
    """Gradient flows of the Ginzburg-Landau energy: it falls, up to the error of the stepper.

    The largest rise in a step is at most its local error, of order dt^(order + 1), times the
    gradient of the energy, so that half the step divides it by 2^order at least; otherwise it is
    rounding: 64 terms of size 1 in float64.
    """
    from pdesim.engine.simulation import Simulation

    slow = name == "cahn_hilliard" and words == "stepper=rk4"
    width = "epsilon" if name == "allen_cahn" else "1"

    def largest_rise(step):
        plan = make_plan(
            f"equation={name}", "grid=[64]", "initial={u: '0.1 + random_normal(0.3)'}",
            f"domain.extent={2 if name == 'allen_cahn' else 40}", "device.precision=float64",
            f"time.dt={step}", f"time.end={2 if slow else 20}", "output.frames=1",
            f"observe.energy='integral({width}**2*gradient_squared(u)/2 + (u**2 - 1)**2/4)'",
            "observe.mass='integral(u)'", "time.unsafe=true", *words.split(),
        )  # fmt: skip
        records = []
        list(Simulation(plan, placement).frames(record=lambda _, t, rows: records.append(rows)))
        energy, mass = np.concatenate(records).T
        assert energy[-1] < 0.9 * energy[0]
        if name == "cahn_hilliard":
            assert np.ptp(mass) < 1e-12 * 40
        return max(np.diff(energy).max(), 0.0)

    first = 0.004 if slow else dt
    whole, half = largest_rise(first), largest_rise(first / 2)
    rounding = 64 * 2.0**-52 * 40
    assert half <= max(whole / 2**order, rounding)
