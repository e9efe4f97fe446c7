"""The engine against exact solutions, discrete dispersion relations, and a plain NumPy loop."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan

HEAT = ("equation=heat", "equation.D=0.7", "stepper=euler")


@pytest.mark.parametrize("operators", ["stencil", "conv"])
@pytest.mark.parametrize("numbers", [(1, 0), (2, 3), (16, 12)])
def test_euler_on_heat_is_the_discrete_amplification_factor(evolve, operators, numbers):
    """1 - 4 sum r_i sin^2(k_i h_i / 2) per step, r_i = D dt / h_i^2, to round-off."""
    steps, points, extent = 40, (32, 24), (2.0, 1.0)
    h = np.array(extent) / points
    dt = 0.9 / (2 * 0.7 * np.sum(1 / h**2))
    phases = [f"2*pi*{m}*{x}/{length}" for m, x, length in zip(numbers, "xy", extent, strict=True)]
    run = evolve(
        *HEAT,
        f"operators={operators}",
        "grid=[32,24]",
        "domain.extent=[2.0,1.0]",
        f"initial={{u: 'cos({' + '.join(phases)})'}}",
        f"time.dt={dt}",
        f"time.end={steps * dt}",
        "output.frames=4",
    )
    angles = 2 * np.pi * np.array(numbers) / np.array(points)
    factor = 1 - 4 * np.sum(0.7 * dt / h**2 * np.sin(angles / 2) ** 2)
    u = run.field("u")
    for frame in range(1, 5):
        np.testing.assert_allclose(u[frame], factor ** (10 * frame) * u[0], atol=steps * 4e-16)


def gray_scott_numpy(u, v, steps, dt, h, Du, Dv, F, k):
    def laplacian(a):
        return sum(np.roll(a, s, axis) for axis in (0, 1) for s in (1, -1)) - 4 * a

    for _ in range(steps):
        uvv = u * v * v
        u, v = (
            u + dt * (Du * laplacian(u) / h**2 - uvv + F * (1 - u)),
            v + dt * (Dv * laplacian(v) / h**2 + uvv - (F + k) * v),
        )
    return u, v


@pytest.mark.parametrize("operators", ["stencil", "conv"])
def test_gray_scott_is_ten_lines_of_numpy(evolve, operators):
    run = evolve(
        "equation=gray_scott",
        f"operators={operators}",
        "stepper=euler",
        "grid=48",
        "domain.extent=0.9",
        "time.dt=1.0",
        "time.end=200",
        "output.frames=1",
    )
    parameters = {name: run.plan.equation.parameters[name] for name in ("Du", "Dv", "F", "k")}
    expected = gray_scott_numpy(*run.states[0], 200, 1.0, 0.9 / 48, **parameters)
    # 200 steps of a few roundings each, in another order; the dynamics amplify them little
    for name, values in zip("uv", expected, strict=True):
        np.testing.assert_allclose(run.field(name)[-1], values, atol=1e-12)


@pytest.mark.parametrize("stepper,operators", [("rk4", "stencil"), ("etdrk4", "spectral")])
def test_gray_scott_without_v_is_linear_decay(evolve, stepper, operators):
    """v = 0: each mode of u - 1 decays as exp(-(F + Du k^2) t)."""
    run = evolve(
        "equation=gray_scott",
        f"operators={operators}",
        f"stepper={stepper}",
        "grid=64",
        "equation.Du=1e-3",
        "initial=zero",
        "initial.u='1 + 0.1*cos(2*pi*x/2.5)'",
        "time.dt=0.25",  # of fourth order: (0.037 dt)^5 / 120 a step is below 1e-12
        "time.end=40",
        "output.frames=4",
    )
    wave = 2 * np.pi / 2.5
    h = 2.5 / 64
    square = wave**2 if operators == "spectral" else (2 / h * np.sin(wave * h / 2)) ** 2
    decay = np.exp(-(0.037 + 1e-3 * square) * run.times)
    expected = 1 + decay[:, None, None] * (run.field("u")[:1] - 1)
    np.testing.assert_allclose(run.field("u"), expected, atol=1e-9)
    assert np.all(run.field("v") == 0)


def test_equal_diffusion_without_kill_cancels_the_reaction(evolve):
    """Du = Dv and k = 0: u + v - 1 obeys a linear law, as u v^2 cancels."""
    run = evolve(
        "equation=gray_scott",
        "equation.Du=1e-3",
        "equation.Dv=1e-3",
        "equation.k=0",
        "operators=spectral",
        "stepper=etdrk4",
        "time.dt=0.02",
        "grid=32",
        "initial={u: '1 + 0.2*cos(2*pi*x/2.5)', v: '0.3*exp(-r**2/0.1)'}",
        "time.end=20",
        "output.frames=1",
    )
    w = run.field("u") + run.field("v") - 1
    kx = 2 * np.pi * np.fft.rfftfreq(32, 2.5 / 32)
    ky = 2 * np.pi * np.fft.fftfreq(32, 2.5 / 32)
    rate = 0.037 + 1e-3 * (kx[None] ** 2 + ky[:, None] ** 2)
    expected = np.fft.irfft2(np.exp(-20 * rate) * np.fft.rfft2(w[0]), s=(32, 32))
    # the feed is advanced by stages of fourth order, (0.037 dt)^5 / 120 a step; else rounding
    np.testing.assert_allclose(w[-1], expected, atol=1e-12)


def test_gaussian_spreads_as_two_d_t(evolve):
    run = evolve(
        "equation=heat",
        "equation.D=0.01",
        "operators=spectral",
        "stepper=etdrk2",
        "grid=64",
        "initial={u: 'exp(-r**2/(2*0.05**2))'}",
        "time.end=0.2",
        "output.frames=1",
    )
    variance = 0.05**2 + 2 * 0.01 * 0.2
    r2 = sum((c - 0.5) ** 2 for c in run.coordinates.values())
    expected = 0.05**2 / variance * np.exp(-r2 / (2 * variance))
    # the periodic images begin at exp(-0.5^2 / (2 * 0.0065)) = 4e-9
    np.testing.assert_allclose(run.field("u")[-1], expected, atol=2e-8)


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_heat_conserves_its_mean(evolve, boundary):
    run = evolve("equation=heat", f"boundary={boundary}", "grid=32", "time.end=2")
    means = run.field("u").mean((1, 2))
    np.testing.assert_allclose(means, means[0], rtol=1e-14)


@pytest.mark.parametrize(
    "boundary,mode,rate",
    [
        ("dirichlet", "sin(pi*x)*sin(2*pi*y)", 5 * np.pi**2),
        ("neumann", "cos(pi*x)*cos(2*pi*y)", 5 * np.pi**2),
    ],
)
def test_heat_modes_between_walls(evolve, boundary, mode, rate):
    """Sine and cosine modes are eigenvectors of the walled stencil as of the Laplacian."""
    run = evolve(
        "equation=heat",
        "equation.D=1",
        f"boundary={boundary}",
        "stepper=rk4",
        "grid=32",
        f"initial={{u: '{mode}'}}",
        "time.end=0.02",
        "output.frames=1",
    )
    h = 1 / 32
    discrete = sum((2 / h * np.sin(m * np.pi * h / 2)) ** 2 for m in (1, 2))
    u = run.field("u")
    # rk4's own error: (rate * dt)^5 / 120 per step, far below
    np.testing.assert_allclose(u[-1], np.exp(-discrete * 0.02) * u[0], atol=1e-9)
    assert discrete == pytest.approx(rate, rel=0.01)


def test_walls_that_move(evolve):
    """u = x^2 + 2 t solves u_t = u_xx between walls that follow it; the scheme is exact for it
    up to the wall's linear ghost, whose error is of second order."""
    errors = []
    for n in (16, 32):
        run = evolve(
            "equation=heat",
            "equation.D=1",
            f"grid=[{n}]",
            "boundary.x={lower: {dirichlet: '2*t'}, upper: {neumann: 2}}",
            "initial={u: 'x**2'}",
            "time.end=0.3",
            "output.frames=1",
        )
        x = run.coordinates["x"]
        errors.append(np.abs(run.field("u")[-1] - (x**2 + 0.6)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)


def test_a_walled_wall_formula_may_use_parameters(evolve):
    run = evolve(
        "equation=heat",
        "grid=[16]",
        "boundary.x={lower: {dirichlet: 'D*0 + 1'}, upper: {dirichlet: 1}}",
        "initial={u: 1}",
        "time.end=1",
    )
    np.testing.assert_allclose(run.field("u"), 1, atol=1e-14)


@pytest.mark.parametrize("grid,extent", [("[64]", "[1.0]"), ("[32,24]", "[1.0,1.5]")])
def test_verlet_obeys_the_leapfrog_dispersion_relation(evolve, grid, extent):
    """sin(omega dt / 2) = c dt K / 2, with K^2 the stencil's -symbol, to round-off."""
    points, lengths = eval(grid), eval(extent)
    phase = " + ".join(f"2*pi*{x}/{length}" for x, length in zip("xy", lengths, strict=False))
    dt, steps = 0.01, 100
    run = evolve(
        "equation=wave",
        "equation.c=0.8",
        f"grid={grid}",
        f"domain.extent={extent}",
        "stepper=verlet",
        f"initial={{u: 'cos({phase})', w: 0}}",
        f"time.dt={dt}",
        f"time.end={steps * dt}",
        f"output.frames={steps}",
    )
    h = np.array(lengths) / points
    stiffness = np.sqrt(np.sum((2 / h * np.sin(np.pi / np.array(points))) ** 2))
    omega = 2 / dt * np.arcsin(0.8 * dt * stiffness / 2)
    u = run.field("u")
    # u after n full steps of drift-kick-drift from rest: cos(omega n dt) exactly
    expected = np.cos(omega * run.times).reshape(-1, *[1] * len(points)) * u[0]
    np.testing.assert_allclose(u, expected, atol=1e-12)


def test_a_wave_at_courant_number_one_is_exact(evolve):
    """1-D, C = 1: a pulse splits into two copies that travel exactly (d'Alembert)."""
    n = 64
    run = evolve(
        "equation=wave",
        f"grid=[{n}]",
        "initial={u: 'exp(-((x - 0.5)/0.08)**2)', w: 0}",
        "stepper=verlet",
        f"time.dt={1 / n}",
        "time.end=0.25",
        "output.frames=1",
        "time.unsafe=true",
    )
    x, s = run.coordinates["x"], 0.25
    expected = 0.5 * sum(
        np.exp(-((x - 0.5 + shift + image) ** 2) / 0.08**2)
        for shift in (s, -s)
        for image in (-1, 0, 1)
    )
    np.testing.assert_allclose(run.field("u")[-1], expected, atol=1e-12)


def test_wave_energy_stays_bounded(evolve):
    run = evolve("equation=wave", "grid=32", "time.end=40", "output.frames=80")
    u, w = run.field("u"), run.field("w")
    h = 1 / 32
    potential = sum(((np.roll(u, 1, a) - u) ** 2).sum((1, 2)) / h**2 for a in (1, 2))
    energy = 0.5 * ((w**2).sum((1, 2)) + potential)
    assert np.ptp(energy) < 0.02 * energy[0]


def test_damping_in_the_kick_is_exact(evolve):
    """A uniform velocity decays as exp(-damping t), whatever the step."""
    run = evolve(
        "equation=wave",
        "equation.damping=3",
        "grid=[16]",
        "initial={u: 0, w: 1}",
        "time.end=1",
        "output.frames=4",
    )
    np.testing.assert_allclose(run.field("w")[:, 0], np.exp(-3 * run.times), rtol=1e-13)


@pytest.fixture(scope="module")
def solve(placement):
    from pdesim.solvers.transform import solve

    def run(*overrides):
        plan = make_plan("equation=poisson", "device.precision=float64", *overrides)
        return plan, solve(plan, placement)

    return run


@pytest.mark.parametrize("operators", ["stencil", "conv", "spectral"])
@pytest.mark.parametrize("grid", ["[32,24]", "[15,21]"])
def test_poisson_on_a_sine_mode(solve, operators, grid):
    plan, solution = solve(
        f"operators={operators}",
        f"grid={grid}",
        "domain.extent=[1,1]",
        "equation.source='sin(2*pi*x)*sin(4*pi*y)'",
        "~equation.width",
    )
    p = plan.grid.coordinates()
    square = plan.problem.discretisation.symbols(
        plan.grid, [np.array(2 * np.pi), np.array(4 * np.pi)]
    )
    expected = np.sin(2 * np.pi * p["x"]) * np.sin(4 * np.pi * p["y"]) / -square["laplacian"]
    np.testing.assert_allclose(solution.state[0], expected, atol=1e-15)
    assert solution.residual < 1e-12


def test_poisson_refuses_a_source_with_a_mean(solve):
    from pdesim.errors import StepperError

    with pytest.raises(StepperError, match="mean"):
        solve("grid=16", "equation.source='1 + sin(2*pi*x)'", "~equation.width")
