"""Antiperiodic fields, u(x + L) = -u(x), against waves of half-integer number and wider domains."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan

from pdesim.analysis.modes import build_admissible
from pdesim.errors import BoundaryError, StepperError
from pdesim.operators.method_of_lines import MethodOfLines, parameter_tensors
from pdesim.verify.orders import measure_space


def rhs(*overrides: str) -> np.ndarray:
    plan = make_plan("equation=custom", "device.precision=float64", *overrides)
    problem = plan.problem
    method = MethodOfLines(problem, tf.float64, False, parameter_tensors(problem, tf.float64))
    return method.rhs(tf.constant(plan.state), tf.zeros((), tf.float64)).numpy()


@pytest.mark.parametrize("order", [2, 4, 6])
def test_the_rate_of_a_discrete_wave(order):
    """sin(pi x/L) is an eigenvector of every central difference; its eigenvalue is the symbol."""
    found = rhs("equation.rhs={u: 'laplacian(u)'}", "grid=[12]", "domain.extent=2",
                "boundary=antiperiodic", f"operators.order={order}",
                "initial.u='sin(pi*x/2)'")[0]  # fmt: skip
    angle, h = np.pi / 12, 2 / 12
    weights = {2: [-2, 1], 4: [-5 / 2, 4 / 3, -1 / 12], 6: [-49 / 18, 3 / 2, -3 / 20, 1 / 90]}
    centre, *others = weights[order]
    symbol = (centre + 2 * sum(w * np.cos((m + 1) * angle) for m, w in enumerate(others))) / h**2
    x = (np.arange(12) + 0.5) * h
    np.testing.assert_allclose(found, symbol * np.sin(np.pi * x / 2), atol=1e-12)


def test_the_decay_of_a_discrete_wave(evolve):
    run = evolve("equation=custom", "equation.rhs={u: 'laplacian(u)'}", "grid=[16]",
                 "domain.extent=1", "boundary=antiperiodic", "initial.u='sin(pi*x)'",
                 "time.end=0.2", "output.frames=2", "stepper=rk4", "time.dt=5e-4")  # fmt: skip
    rate = -4 * 16**2 * np.sin(np.pi / 32) ** 2
    # the error of rk4 is (rate*dt)**4 * rate*t/120, about 1e-11
    np.testing.assert_allclose(run.states[-1], run.states[0] * np.exp(0.2 * rate), rtol=1e-9)


@pytest.mark.parametrize(
    "formulas",
    [
        "{u: 'laplacian(u) + d_dx(u**3)', v: 'laplacian(u**2) + laplacian(v) - u*d_dx(u)'}",
        "{u: 'laplacian(laplacian(u)) + d2_dxdy(u*v)', v: 'laplacian(u**2 + u*sin(u))'}",
        "{u: 'divergence((1 + u**2 + v)*gradient(u))', v: 'd2_dx2(v + u**2) + laplacian(v*u)*u'}",
        "{u: '-advect([v, 1], u)', v: 'laplacian(v)*cos(2*pi*x)'}",
    ],
)
@pytest.mark.parametrize("order", [2, 4])
def test_it_is_one_half_of_a_periodic_domain(formulas, order):
    """A domain of twice the length, in which u(x + L) = -u(x), is periodic for all expressions."""
    common = (f"equation.rhs={formulas}", f"operators.order={order}", "boundary.default=periodic",
              "initial.u='sin(pi*x) + 0.3*cos(3*pi*x)*sin(2*pi*y)'",
              "initial.v='1 + 0.2*cos(2*pi*(x + y))'")  # fmt: skip
    half = rhs(*common, "grid=[12,10]", "domain.extent=[1,1]", "boundary.u.x=antiperiodic")
    whole = rhs(*common, "grid=[24,10]", "domain.extent=[2,1]")
    # fourth derivatives of size 12**4 times rounding errors
    np.testing.assert_allclose(half, whole[..., :12], atol=1e-9)


@pytest.mark.parametrize("order", [2, 4])
def test_orders(order):
    plan = make_plan(
        "equation=custom", "equation.rhs={u: 'laplacian(u) + u - u**3'}", "grid=[16,16]",
        "domain.extent=[1,1]", "boundary=antiperiodic", f"operators.order={order}",
        "device.precision=float64",
    )  # fmt: skip
    assert measure_space(plan.problem).passed


@pytest.mark.parametrize("solver", ["cg", "multigrid", "dense"])
def test_steady_problems(solver, placement):
    from pdesim.solvers import solve

    plan = make_plan(
        "equation=poisson", "equation.source='sin(pi*x)*cos(pi*y)'", "grid=[24,16]",
        "domain.extent=[1,1]", "boundary=antiperiodic", "device.precision=float64",
        f"solver={solver}",
    )  # fmt: skip
    u = solve(plan, placement).state[0]
    symbol = 4 * (24**2 * np.sin(np.pi / 48) ** 2 + 16**2 * np.sin(np.pi / 32) ** 2)
    x, y = ((np.arange(n) + 0.5) / n for n in (24, 16))
    exact = np.cos(np.pi * y)[:, None] * np.sin(np.pi * x) / symbol
    np.testing.assert_allclose(np.abs(u), np.abs(exact), atol=1e-9)


def test_linear_stability_uses_the_waves_that_fit():
    plan = make_plan("equation=custom", "equation.rhs={u: 'laplacian(u)'}", "grid=[8]",
                     "domain.extent=2", "boundary=antiperiodic")  # fmt: skip
    (waves,) = build_admissible(plan.problem).axes
    np.testing.assert_allclose(waves, np.pi / 2 * np.array([1, 3, 5, 7]))


def test_what_is_refused():
    base = ("equation=custom", "grid=[16]", "equation.rhs={u: 'laplacian(u)'}")
    with pytest.raises(BoundaryError, match="antiperiodic along x"):
        make_plan(*base, "boundary=antiperiodic", "operators=spectral")
    with pytest.raises(StepperError, match="antiperiodic along x"):
        make_plan(*base, "boundary=antiperiodic", "stepper=etdrk4")
    with pytest.raises(BoundaryError, match="one side"):
        make_plan(*base, "boundary.x={lower: antiperiodic, upper: periodic}")
    with pytest.raises(BoundaryError, match="one side"):
        make_plan(*base, "boundary.x={lower: antiperiodic, upper: neumann}")
    with pytest.raises(BoundaryError, match="periodic axes"):
        make_plan("equation=custom", "grid=[16]", "boundary=antiperiodic",
                  "equation.rhs={u: 'convolve(\"exp(-x**2)\", u)'}")  # fmt: skip
    with pytest.raises(BoundaryError, match="neither periodic nor antiperiodic"):
        make_plan(*base[:2], "boundary=antiperiodic",
                  "equation.rhs={u: 'laplacian(laplacian(u + u**2)*u)'}")  # fmt: skip
