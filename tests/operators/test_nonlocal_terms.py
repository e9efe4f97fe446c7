"""Convolutions in right-hand sides: values, conservation, steps, derivatives and messages."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from conftest import make_plan
from made_plans import EXTENTS, right_hand_side

from pdesim.errors import BoundaryError, ConfigError, FormulaError, StepperError

GRIDS = {1: "grid=[15]", 2: "grid=[12,9]", 3: "grid=[6,5,4]"}


def escaped(formula):
    """Return a formula for a value in single quotes."""
    return formula.replace("'", "\\'")


def convolution_plan(dimensions, formula, *overrides):
    parameters = ["equation.s=0.3"] if re.search(r"\bs\b", formula) else []
    return make_plan(
        "equation=custom", f"equation.rhs={{u: '{escaped(formula)}'}}", GRIDS[dimensions],
        f"domain.extent={EXTENTS[dimensions]}", *parameters, "time.end=1e-6", "output.frames=1",
        *overrides,
    )  # fmt: skip


def direct_sum(grid, kernel, f):
    """The sum over all pairs of cells, with the displacement of the nearest image."""
    result = np.zeros(grid.shape)
    cells = list(product(*map(range, grid.points)))
    for i in cells:
        for j in cells:
            d = []
            for a, b, n, h in zip(i, j, grid.points, grid.spacing, strict=True):
                offset = (a - b) % n
                d.append((offset - n if 2 * offset >= n else offset) * h)
            result[i[::-1]] += kernel(*d) * f[j[::-1]] * grid.cell_volume
    return result


def distance(*d):
    return np.sqrt(sum(component**2 for component in d))


@pytest.mark.parametrize("operators", ["stencil", "conv", "spectral"])
@pytest.mark.parametrize(
    ("dimensions", "text", "kernel"),
    [
        (1, "exp(-r/s)", lambda x: np.exp(-abs(x) / 0.3)),
        (1, "where(x > 0, 1 + x, 0)", lambda x: 1 + x if x > 0 else 0),  # not symmetric
        (2, "exp(-r**2/s**2) - x*Ly", lambda x, y: np.exp(-(x**2 + y**2) / 0.09) - 0.7 * x),
        (2, "where(r < s, 1, 0)*y", lambda *d: (distance(*d) < 0.3) * d[1]),
        (3, "1/(s + r)", lambda *d: 1 / (0.3 + distance(*d))),
    ],
)  # fmt: skip
def test_values_are_those_of_the_direct_sum(dimensions, text, kernel, operators):
    plan = convolution_plan(
        dimensions, f'convolve("{text}", u**2 + t)', f"operators={operators}", "stepper=rk4"
    )
    u = np.random.default_rng(1).normal(size=plan.grid.shape)
    rate = right_hand_side(plan, u[np.newaxis])[0]
    # float64 sums of at most 120 cells
    assert np.allclose(rate, direct_sum(plan.grid, kernel, u**2), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_the_convolution_of_a_cosine_with_a_gaussian_is_exact(operators):
    """The factor is ``sqrt(pi) s exp(-(k s)^2/4)``; images and the grid are beyond rounding."""
    plan = make_plan(
        "equation=custom", "equation.rhs={u: 'convolve(\"exp(-r**2/s**2)\", u)'}", "grid=[64]",
        "equation.s=0.05", "domain.extent=1", f"operators={operators}", "time.end=1e-6",
    )  # fmt: skip
    wave = np.cos(6 * np.pi * plan.grid.coordinates()["x"])
    factor = np.sqrt(np.pi) * 0.05 * np.exp(-((6 * np.pi * 0.05) ** 2) / 4)
    assert np.allclose(right_hand_side(plan, wave[np.newaxis])[0], factor * wave, atol=1e-14)


@pytest.mark.parametrize("operators", ["stencil", "spectral"])
@pytest.mark.parametrize(
    "flux", ["d_dx(u*d_dx({0})) + d_dy(u*d_dy({0}))", "divergence(u*gradient({0}))"]
)
def test_derivatives_of_a_convolution_converge_and_conserve_the_integral(flux, operators):
    """For u = 2 + cos(2 pi x), W*u = 2 K(0) + K(k) cos(2 pi x) with known factors."""
    errors = []
    formula = flux.format('convolve("exp(-r**2/s**2)", u)')
    for n in (32, 64):
        plan = make_plan(
            "equation=custom", f"grid=[{n},16]", "domain.extent=[1,0.5]", "equation.s=0.05",
            f"equation.rhs={{u: {formula!r}}}",
            f"operators={operators}", "time.end=1e-6",
        )  # fmt: skip
        k = 2 * np.pi
        wave = np.cos(k * plan.grid.coordinates()["x"]) + np.zeros(plan.grid.shape)
        slope = np.sin(k * plan.grid.coordinates()["x"])
        factor = np.pi * 0.05**2 * np.exp(-((k * 0.05) ** 2) / 4)
        expected = factor * k**2 * (slope**2 - (2 + wave) * wave)
        rate = right_hand_side(plan, (2 + wave)[np.newaxis])[0]
        errors.append(np.abs(rate - expected).max() / np.abs(expected).max())
        noise = np.random.default_rng(0).normal(size=(1, *plan.grid.shape))
        rate = right_hand_side(plan, 2 + noise)[0]
        assert abs(rate.sum()) < 1e-12 * np.abs(rate).sum()  # rounding
    if operators == "stencil":
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    else:
        assert errors[1] < 1e-9  # images at a distance of 5 s, and waves beyond the grid


def test_the_stability_limit_follows_from_the_largest_symbol():
    """du/dt = -A K*u with a symbol from 0 to A sqrt(pi) s: Euler is stable for dt < 2/largest."""
    plan = make_plan(
        "equation=custom", "equation.rhs={u: '-A*convolve(\"exp(-r**2/s**2)\", u)'}", "grid=[32]",
        "equation.s=0.05", "equation.A=40", "domain.extent=1", "stepper=euler", "time.end=10",
    )  # fmt: skip
    assert plan.step.limit == pytest.approx(2 / (40 * np.sqrt(np.pi) * 0.05), rel=1e-6)


def test_a_symbol_with_a_narrow_maximum_limits_the_step():
    """cos(26 pi x) is 0.5 for two waves only, which no even spacing of wave numbers contains."""
    plan = make_plan(
        "equation=custom", "equation.rhs={u: '-9*convolve(\"cos(26*pi*x)\", u)'}", "grid=[200]",
        "domain.extent=1", "stepper=euler", "time.end=10",
    )  # fmt: skip
    assert plan.step.limit == pytest.approx(2 / 4.5, rel=1e-6)


def test_the_advection_by_a_convolution_limits_the_step():
    """The velocity grad(K*u) of short waves is not omitted, although the symbol of K is 0."""
    formula = 'd_dx(u*d_dx(A*convolve("cos(2*pi*x)", u)))'
    plan = make_plan(
        "equation=custom", f"equation.rhs={{u: {formula!r}}}", "grid=[64]", "equation.A=200",
        "domain.extent=1", "stepper=rk4", "time.end=1", "initial.u='1 + 0.5*cos(2*pi*x)'",
    )  # fmt: skip
    fastest = 200 * 0.25 * 2 * np.pi
    # rk4 is stable for frequencies up to 2.83; centred differences have at most v/h
    assert plan.step.limit < 1.1 * 2.83 / (64 * fastest)


REFUSED = [
    ('convolve("u", u)', "'u' cannot be used here: a kernel depends on the displacement"),
    ('convolve("exp(-t)", u)', "'t' cannot be used here"),
    ('convolve("laplacian(x)", u)', "a formula without derivatives"),
    ('convolve("exp(-y)", u)', "not an axis of this 1-D grid"),
    ("convolve(u, u)", "text in quotes is required"),
    ('convolve("x")', "convolve got 1 argument"),
    ("convolve(\"convolve('x', x)\", u)", "a formula without convolutions"),
    ('convolve("exp(-r", u)', "this is not a formula"),
    ('convolve("mean(x)", u)', "not allowed here"),
]


@pytest.mark.parametrize(("formula", "message"), REFUSED)
def test_wrong_kernels_are_refused(formula, message):
    with pytest.raises(FormulaError) as caught:
        convolution_plan(1, formula)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["boundary=neumann"], BoundaryError, "needs periodic axes, and the axis x has walls"),
        (["boundary={default: periodic, y: dirichlet}"], BoundaryError, "the axis y has walls"),
        (["domain.mask='x > 1'"], BoundaryError, "not available with obstacles"),
        (["stepper=exact"], StepperError, "does not apply"),
    ],
)
def test_what_convolutions_do_not_support_is_named(words, error, message):
    with pytest.raises(error) as caught:
        convolution_plan(2, 'convolve("exp(-r/s)", u)', *words)
    assert message in str(caught.value)


def test_a_kernel_that_is_infinite_is_refused():
    with pytest.raises(ConfigError, match=r"infinite or undefined at x = 0") as caught:
        convolution_plan(1, 'convolve("1/r", u)')
    assert "where(r > 0" in str(caught.value)


def test_steady_problems_are_refused():
    with pytest.raises(ConfigError, match=r"contains convolve\(...\) in equation.solve"):
        make_plan("equation=custom", "equation.solve={u: 'laplacian(u) - convolve(\"r\", u)'}")


def test_a_convolution_is_not_available_outside_of_equations():
    with pytest.raises(FormulaError, match=r"convolve\(...\) is not allowed here"):
        make_plan("equation=heat", "initial.u='convolve(\"r\", x)'")


def test_parameters_of_a_kernel_are_used_and_may_be_formulas():
    plan = convolution_plan(
        1, 'convolve("exp(-r**2/q**2)", u)', "equation.q='2*s'", "equation.s=0.2"
    )
    assert not plan.notes and dict(plan.equation.parameters) == {"s": 0.2}
    u = np.random.default_rng(2).normal(size=15)
    expected = direct_sum(plan.grid, lambda x: np.exp(-(x**2) / 0.16), u)
    assert np.allclose(right_hand_side(plan, u[np.newaxis])[0], expected, rtol=1e-12)


STEPPERS = ("euler", "rk4", "dormand_prince", "rkl2", "etdrk4", "sbdf2", "implicit_euler")


@pytest.mark.parametrize("stepper", STEPPERS)
@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_steppers_solve_a_linear_equation_with_a_convolution(stepper, operators, placement):
    """A wave grows at the rate of its symbol, ``-D k^2 + sqrt(pi) s exp(-(k s)^2/4)``."""
    from pdesim.engine.simulation import Simulation

    plan = make_plan(
        "equation=custom", "grid=[64]", "domain.extent=1", "equation.s=0.05", "equation.D=0.01",
        "equation.rhs={u: 'D*laplacian(u) + 10*convolve(\"exp(-r**2/s**2)\", u)'}",
        "initial.u='cos(4*pi*x)'", f"stepper={stepper}", f"operators={operators}",
        "device.precision=float64", "time.end=0.5", "time.dt=0.002", "output.frames=1",
    )  # fmt: skip
    last = list(Simulation(plan, placement).frames())[-1].state[0]
    k = 4 * np.pi
    square = k**2 if operators == "spectral" else (2 * np.sin(k / 128) * 64) ** 2
    rate = -0.01 * square + 10 * np.sqrt(np.pi) * 0.05 * np.exp(-((k * 0.05) ** 2) / 4)
    # methods of first order: rate^2 dt t / 2
    tolerance = 2e-3 if stepper in ("euler", "implicit_euler") else 1e-5
    wave = np.cos(k * plan.grid.coordinates()["x"])
    assert np.allclose(last, np.exp(0.5 * rate) * wave, atol=tolerance)


NONLINEAR = 'convolve("exp(-r**2/s**2)", u**2) - u + 0.01*d_dx(u*d_dx(convolve("exp(-r/s)", u)))'


def nonlinear_plan(*overrides):
    return make_plan(
        "equation=custom", "grid=[16,12]", "domain.extent=1", f"equation.rhs={{u: {NONLINEAR!r}}}",
        "equation.s=0.2", "initial.u='1 + 0.2*sin(2*pi*x)*cos(2*pi*y)'", "time.end=0.5",
        "output.frames=2", *overrides,
    )  # fmt: skip


@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_members_of_a_batch_have_their_own_kernels(placement, operators):
    from pdesim.engine.simulation import Simulation

    words = (f"operators={operators}", "stepper=rk4", "time.dt=0.01", "device.precision=float64")
    plans = [nonlinear_plan(*words, f"equation.s={s}") for s in (0.1, 0.3)]
    together = np.stack([frame.state for frame in Simulation(plans, placement).frames()])
    for member, plan in enumerate(plans):
        alone = np.stack([frame.state for frame in Simulation(plan, placement).frames()])
        assert np.allclose(together[:, member], alone, rtol=1e-13, atol=1e-15)
    assert np.abs(together[-1, 0] - together[-1, 1]).max() > 1e-3


def test_waves_of_convolutions_are_not_analysed():
    from pdesim.analysis.reactions import build_reactions

    plan = convolution_plan(1, 'convolve("exp(-r/s)", u) - u')
    with pytest.raises(ConfigError, match="contains convolutions"):
        build_reactions(plan.problem, 0.0)


def test_float32_runs_with_time_in_the_argument(placement):
    """u' = cos(t) K*1 with an asymmetric kernel: the time is separated from other terms."""
    from pdesim.engine.simulation import Simulation

    plan = convolution_plan(
        1, 'convolve("1 + x/s", cos(t) + 0*u)', "device.precision=float32", "time.end=1",
        "stepper=rk4", "time.dt=0.01", "initial.u=0",
    )  # fmt: skip
    last = list(Simulation(plan, placement).frames())[-1].state
    # the displacements of 15 cells are symmetric, so that x contributes nothing
    assert np.allclose(last, 1.5 * np.sin(1), rtol=1e-5)


def test_a_stopped_run_goes_on_with_the_same_bits(placement, tmp_path):
    from pdesim.engine.simulation import Simulation
    from pdesim.output.checkpoint import read_checkpoint, write_checkpoint
    from pdesim.plan import build_plan

    plan = nonlinear_plan("operators=spectral", "stepper=etdrk4")
    whole = [frame.state for frame in Simulation(plan, placement).frames()]
    first = Simulation(plan, placement)
    for frame in first.frames():
        if frame.index == 1:
            break
    write_checkpoint(tmp_path, first.checkpoint(), "settings")
    moment, _ = read_checkpoint(tmp_path / "checkpoint.h5")
    rest = Simulation(build_plan(plan.settings, plan.equation.name, moment), placement)
    assert list(rest.frames())[-1].state.tobytes() == whole[-1].tobytes()
