"""Nonlinear steady problems: beside exact solutions, SciPy, and differences of the formulas."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan
from scipy.integrate import solve_bvp
from scipy.optimize import brentq

from pdesim.cli.main import main
from pdesim.errors import BoundaryError, SolverError, StepperError
from pdesim.solvers import solve
from pdesim.solvers.jacobian import Functions

DOUBLE = "device.precision=float64"


def plan_of(formulas, *words, precision="float64"):
    """A plan of formulas, a text for one field u or a mapping."""
    formulas = {"u": formulas} if isinstance(formulas, str) else formulas
    texts = ", ".join(f"{name}: '{text}'" for name, text in formulas.items())
    return make_plan(
        "equation=custom", f"equation.solve={{{texts}}}", f"device.precision={precision}",
        *(() if any("initial" in word for word in words) else ("initial=zero",)), *words,
    )  # fmt: skip


def bratu(x, lam):
    """The lower branch of u'' + lam*exp(u) = 0 with u(0) = u(1) = 0."""
    theta = brentq(lambda t: t - np.sqrt(2 * lam) * np.cosh(t / 4), 0, 4.79)
    return -2 * np.log(np.cosh((x - 0.5) * theta / 2) / np.cosh(theta / 4))


@pytest.mark.parametrize("lam", [1.0, 3.4])
def test_bratu_has_order_2(placement, lam):
    errors = []
    for n in (32, 64, 128):
        plan = make_plan("equation=bratu", f"equation.lam={lam}", f"grid=[{n}]", DOUBLE)
        found = solve(plan, placement)
        errors.append(np.abs(found.state[0] - bratu(plan.grid.centres(0), lam)).max())
    orders = np.log2(errors[:-1]) - np.log2(errors[1:])
    np.testing.assert_allclose(orders, 2, atol=0.05)


def test_single_precision_is_that_of_the_result_only(placement):
    """Iterations are in double precision: the states differ by the tolerance and the rounding."""
    words = "equation=bratu", "equation.lam=6", "grid=32"
    single, double = (
        solve(make_plan(*words, f"device.precision={p}"), placement) for p in ("float32", "float64")
    )
    assert (single.state.dtype, double.state.dtype) == (np.float32, np.float64)
    assert single.residual <= 1e-7 and double.residual <= 1e-10
    np.testing.assert_allclose(single.state, double.state, rtol=2e-6)


def test_the_fold_of_bratu(placement):
    """The lower branch exists up to lam = 6.808124423 on the unit square."""
    below = solve(make_plan("equation=bratu", "equation.lam=6.8", "grid=32"), placement)
    assert 1.2 < below.state.max() < 1.4  # 1.39 at the fold
    with pytest.raises(SolverError, match="was not solved"):
        solve(make_plan("equation=bratu", "equation.lam=6.9", "grid=32"), placement)


def test_newton_converges_quadratically(placement):
    """Beyond the first steps, a residual is of the size of the square of the one before."""
    found = solve(make_plan("equation=bratu", "equation.lam=6.7", "grid=32", DOUBLE), placement)
    residuals = np.array(found.history)
    usable = residuals[(residuals < 1e-2) & (residuals > 1e-9)]
    assert len(usable) >= 3
    orders = np.log(usable[1:]) / np.log(usable[:-1])
    assert (orders > 1.5).all() and orders[-1] > 1.7


def test_charged_wall(placement):
    """Gouy and Chapman: tanh(phi/4) = tanh(phi(0)/4)*exp(-kappa*x) beside one wall."""
    kappa, wall = 8.0, 5.0
    plan = plan_of(
        f"laplacian(u) - {kappa**2}*sinh(u)", "grid=[800]", "domain.extent=2",
        f"boundary.x={{lower: {{dirichlet: {wall}}}, upper: {{dirichlet: 0}}}}",
    )  # fmt: skip
    found, x = solve(plan, placement), plan.grid.centres(0)
    expected = 4 * np.arctanh(np.tanh(wall / 4) * np.exp(-kappa * x))
    # second order, h = 1/400: h**2/12 times the fourth derivative over the second, about 1e4
    np.testing.assert_allclose(found.state[0], expected, atol=5e-3)


def test_two_charged_walls(placement):
    """Beside SciPy's collocation method."""
    plan = make_plan(
        "equation=poisson_boltzmann", "domain.mask=null", "grid=[400]", DOUBLE,
        "boundary.x={lower: {dirichlet: 3}, upper: {dirichlet: -1}}", "equation.kappa=5",
    )  # fmt: skip
    x = plan.grid.centres(0)
    exact = solve_bvp(
        lambda x, y: np.stack([y[1], 25 * np.sinh(y[0])]),
        lambda a, b: np.array([a[0] - 3, b[0] + 1]),
        np.linspace(0, 1, 50), np.zeros((2, 50)), tol=1e-9, max_nodes=10**5,
    )  # fmt: skip
    assert exact.success
    np.testing.assert_allclose(solve(plan, placement).state[0], exact.sol(x)[0], atol=2e-4)


def test_allen_cahn_front(placement):
    """u = tanh(x/(sqrt(2)*eps)), whose values are given at the sides."""
    errors, eps = [], 0.1
    side = np.tanh(0.5 / np.sqrt(2) / eps)
    for n in (64, 128):
        plan = plan_of(
            f"{eps}**2*laplacian(u) + u - u**3", f"grid=[{n}]", "domain.origin=-0.5",
            f"boundary.x={{lower: {{dirichlet: {-side}}}, upper: {{dirichlet: {side}}}}}",
            "initial.u='tanh(4*x)'",
        )  # fmt: skip
        front = np.tanh(plan.grid.centres(0) / np.sqrt(2) / eps)
        errors.append(np.abs(solve(plan, placement).state[0] - front).max())
    assert errors[0] < 1e-2 and np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_two_coupled_fields(placement):
    """u'' = u*v and v'' = v**2 - u**2 + s, beside SciPy's collocation method."""
    plan = plan_of(
        {"u": "laplacian(u) - u*v", "v": "laplacian(v) - v**2 + u**2 - 1"}, "grid=[200]",
        "boundary.u.x={lower: {dirichlet: 1}, upper: {dirichlet: 2}}",
        "boundary.v.x={dirichlet: 1}", "initial.u=1", "initial.v=1",
    )  # fmt: skip
    exact = solve_bvp(
        lambda x, y: np.stack([y[1], y[0] * y[2], y[3], y[2] ** 2 - y[0] ** 2 + 1]),
        lambda a, b: np.array([a[0] - 1, b[0] - 2, a[2] - 1, b[2] - 1]),
        np.linspace(0, 1, 50), np.ones((4, 50)), tol=1e-9, max_nodes=10**5,
    )  # fmt: skip
    found, x = solve(plan, placement), plan.grid.centres(0)
    np.testing.assert_allclose(found.state, exact.sol(x)[[0, 2]], atol=1e-5)


def test_nonlinear_diffusion(placement):
    """Kirchhoff: u + u**3/3 is harmonic; between u = 0 and u = 2 it is (2 + 8/3)*x."""
    errors = []
    for n in (80, 160):
        plan = plan_of(
            "divergence((1 + u**2)*gradient(u))", f"grid=[{n},4]", "boundary.y=neumann",
            "boundary.x={lower: {dirichlet: 0}, upper: {dirichlet: 2}}",
        )  # fmt: skip
        total = (2 + 8 / 3) * plan.grid.centres(0)
        exact = np.array([brentq(lambda u, t=t: u + u**3 / 3 - t, 0, 2) for t in total])
        errors.append(np.abs(solve(plan, placement).state[0] - exact).max())
    assert errors[1] < 1e-4 and np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_a_mean_in_the_formula(placement):
    """laplacian(u) + c*exp(u)/mean(exp(u)) = 0 is Bratu's problem with lam = c/mean(exp(u))."""
    plan = plan_of("laplacian(u) + 2*exp(u)/mean(exp(u))", "grid=[256]", "boundary=dirichlet")
    found = solve(plan, placement).state[0]
    expected = bratu(plan.grid.centres(0), 2 / np.exp(found).mean())
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_obstacle(placement):
    """A charged box in a channel is two channels of one dimension, which SciPy solves."""
    plan = make_plan(
        "equation=poisson_boltzmann", "grid=[96,8]", "equation.kappa=6", DOUBLE,
        "boundary={x: {dirichlet: 0}, y: periodic, mask: {dirichlet: 4}}",
        "domain.mask='abs(x - 0.375) < 0.125'",
    )  # fmt: skip
    state, x = solve(plan, placement).state[0], plan.grid.centres(0)
    assert np.ptp(state, axis=0).max() < 1e-9
    for first, last, values in ((0.0, 0.25, (0, 4)), (0.5, 1.0, (4, 0))):
        exact = solve_bvp(
            lambda x, y: np.stack([y[1], 36 * np.sinh(y[0])]),
            lambda a, b, v=values: np.array([a[0] - v[0], b[0] - v[1]]),
            np.linspace(first, last, 50), np.zeros((2, 50)), tol=1e-9, max_nodes=10**5,
        )  # fmt: skip
        here = (x > first) & (x < last)
        np.testing.assert_allclose(state[0][here], exact.sol(x[here])[0], atol=0.02)
    assert (state[:, (x > 0.25) & (x < 0.5)] == 4).all()


MIXED = (
    "boundary.x={lower: {dirichlet: 0.7}, upper: {robin: {a: 2, b: 0.5, value: 0.3}}}",
    "boundary.y={lower: {neumann: 0.2}, upper: {dirichlet: 'x'}}",
)


@pytest.mark.parametrize(
    "words",
    [
        ("operators.order=2", *MIXED),
        ("operators.order=4", *MIXED),
        ("operators=conv", "boundary=periodic"),
        ("operators=spectral", "boundary=periodic"),
        ("operators=spectral", "operators.dealias=true", "boundary=periodic"),
        ("domain.mask='r < 0.2'", "boundary=dirichlet"),
    ],
)
@pytest.mark.parametrize(
    "formulas",
    [
        "laplacian(u) + 2*exp(u)*sin(u)",
        "divergence((1 + u**2 + x)*gradient(u)) - u**3",
        "laplacian(u**3 - u - 0.01*laplacian(u))",
        "gradient_squared(u) + u*d_dx(u) + laplacian(u) + abs(u)*tanh(u)",
        "divergence(gradient(u)/sqrt(1 + gradient_squared(u)))",
        "laplacian(u) - mean(u**2)*u + integral(exp(u))",
        "d_dx(u**2*d_dx(x*u)) + where(u > 1, u**2, 2*u - 1)",
        {"u": "divergence(where(x > 0.5, 10, 1)*(1 + v**2)*gradient(u)) + v",
         "v": "divergence(v*gradient(u)) + laplacian(v) - u*v"},
    ],
)  # fmt: skip
def test_derivative(formulas, words):
    """J(u) v is (F(u + e*v) - F(u - e*v))/(2*e): boundary conditions and obstacles included."""
    problem = plan_of(formulas, "grid=[12,10]", *words).problem
    functions, chance = Functions(problem, 0.0), np.random.default_rng(1)
    shape = len(problem.equation.fields), *problem.grid.shape
    u, v = 1 + 0.3 * chance.standard_normal(shape), chance.standard_normal(shape)
    if problem.mask is not None:
        v[:, problem.mask.solid] = 0.0
    e = 1e-5  # the third derivative over the first is below 1e3, and rounding errors 1e-16/e
    above, below = (functions.residual(tf.constant(u + s * e * v)) for s in (1, -1))
    expected = (above - below).numpy() / (2 * e)
    found = functions.product(problem.discretisation, True)(u, v).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("formula", "words", "message"),
    [
        ("laplacian(u) - log(u)", ["boundary={default: {dirichlet: 1}}"], "at the initial state"),
        ("laplacian(u) - sqrt(u) + 1", ["boundary=dirichlet"], "has a derivative that is infinite"),
        ("divergence((1 + u**2)*gradient(u)) + 1", ["boundary=neumann"], "singular or nearly so"),
        ("laplacian(u) + 9*exp(u)", ["boundary=dirichlet"], "was not solved"),
        ("u**2 + 1", ["boundary=periodic", "initial.u=0.5"], "was not solved"),
    ],
)
def test_failures(placement, formula, words, message):
    with pytest.raises(SolverError, match=message) as raised:
        solve(plan_of(formula, "grid=16", *words), placement)
    assert "initial" in raised.value.hint and len(str(raised.value)) < 700


def test_too_many_steps(placement, monkeypatch):
    monkeypatch.setattr("pdesim.solvers.newton.MOST_STEPS", 2)
    with pytest.raises(SolverError, match="after 2 Newton steps; the residual is"):
        solve(make_plan("equation=bratu", "grid=16"), placement)


def test_refused_problems():
    with pytest.raises(StepperError, match="max of a field"):
        plan_of("laplacian(u) - max(u)", "grid=16")
    with pytest.raises(StepperError, match="boundary values"):
        plan_of("laplacian(u) - u**3", "grid=16", "boundary={default: {dirichlet: 'mean(u)'}}")
    with pytest.raises(BoundaryError, match="face_mean=harmonic with the diffusivity u\\*\\*2"):
        plan_of("divergence(u**2*gradient(u))", "grid=16", "operators.face_mean=harmonic")


def test_overflow_shortens_a_step(placement):
    """The first Newton step from 0 is of the size of 1e6, at which exp overflows."""
    plan = plan_of("laplacian(u) - exp(u) + 1e6", "grid=32", "boundary=neumann")
    np.testing.assert_allclose(solve(plan, placement).state, np.log(1e6), rtol=1e-8)


@pytest.mark.parametrize(
    "words",
    [
        ["equation=bratu", "grid=[32]"],
        ["equation=bratu", "grid=[32]", "boundary=periodic"],
        ["equation=bratu", "grid=[32]", "operators=spectral"],
        ["equation=poisson_boltzmann", "grid=16"],
    ],
)
def test_orders(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", *words]) == 0
    assert "yes" in capsys.readouterr().out


def test_command(tmp_path, capfd):
    words = ["equation=bratu", "grid=32", "animation=none"]
    assert main([*words, f"hydra.run.dir={tmp_path}/run"]) == 0
    assert "solved by Newton's method in 3 steps" in capfd.readouterr().err
    assert main([*words, "equation.lam=8", f"hydra.run.dir={tmp_path}/no"]) != 0
    assert "bratu was not solved" in capfd.readouterr().err
