"""Reductions over the domain in right-hand sides and boundary values."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan
from hypothesis import given, settings
from hypothesis import strategies as st
from made_plans import right_hand_side

from pdesim.errors import FormulaError, PdesimError, StepperError
from pdesim.operators.observables import build_observables

ALLEN_CAHN = "equation.rhs={u: '1e-3*laplacian(u) + u - u**3 - mean(u - u**3)'}"
NOISE = "initial.u='0.3 + random_normal(0.3)'"


def rhs_plan(formula, *overrides):
    return make_plan(
        "equation=custom", f'equation.rhs={{u: "{formula}"}}', "grid=[12,9]", "stepper=euler",
        "domain.extent=[1.5,0.7]", "time.unsafe=true", "time.dt=1e-6", "time.end=1e-6",
        "output.frames=1", *overrides,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("mean(u)", lambda u, x: u.mean()),
        ("u - integral(x*u)", lambda u, x: u - 1.05 * (x * u).mean()),
        ("max(u) - 2*min(u*x)", lambda u, x: u.max() - 2 * (u * x).min()),
        # a reduction inside a reduction, and two arguments, which are compared cell by cell
        ("mean((u - mean(u))**2)", lambda u, x: u.var()),
        ("max(u, mean(u))", lambda u, x: np.maximum(u, u.mean())),
        ("mean(u)*max(mean(x), 0.1)", lambda u, x: u.mean() * 0.75),
    ],
)
@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_values_are_those_of_numpy(formula, expected, operators):
    u = np.random.default_rng(1).normal(size=(9, 12))
    plan = rhs_plan(formula, f"operators={operators}")
    x = plan.grid.coordinates()["x"]
    rate = right_hand_side(plan, u[np.newaxis])[0]
    # float64 sums of 108 cells
    assert np.allclose(rate, np.broadcast_to(expected(u, x), u.shape), rtol=1e-13, atol=1e-14)


def random_formulas():
    """Formulas of u, x and y that are finite for all values, as text that NumPy also evaluates."""
    numbers = st.integers(-20, 20).map(lambda n: f"({n / 8})")
    words = st.sampled_from(["sin", "tanh", "abs", "mean", "max", "min"])
    leaves = st.one_of(st.sampled_from(["u", "x", "y"]), numbers)

    def combined(inner):
        return st.one_of(
            st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda p: f"({' '.join(p)})"),
            st.tuples(words, inner).map(lambda p: f"{p[0]}({p[1]})"),
        )

    return st.recursive(leaves, combined, max_leaves=6)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_random_formulas_have_the_values_of_numpy(data):
    """Reductions of random formulas, which may contain reductions, with and without obstacles."""
    import tensorflow as tf

    from pdesim.engine.sampler import Sampler
    from pdesim.engine.step import StepContext, Target

    inner, masked = data.draw(random_formulas()), data.draw(st.booleans())
    u = np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=(9, 12))
    words = ["domain.mask='x < 0.5'", "boundary.mask=neumann"] if masked else []
    plan = rhs_plan("0*u", *words)
    problem = plan.problem
    texts = {word: f"{word}({inner})" for word in ("mean", "integral", "max", "min")}
    every = build_observables(texts, {}, None, problem)
    places = problem.grid.coordinates()
    free = np.ones((9, 12), bool) if problem.mask is None else ~problem.mask.solid
    known = {"u": u, "x": places["x"], "y": places["y"]}

    def reduce(function):
        return lambda f: function(np.broadcast_to(f, u.shape)[free])

    functions = {"sin": np.sin, "tanh": np.tanh, "abs": np.abs}
    functions |= {"mean": reduce(np.mean), "max": reduce(np.max), "min": reduce(np.min)}
    functions["integral"] = reduce(lambda f: f.sum() * 1.05 / 108)
    context = StepContext(every.problem, plan.stepper, tf.float64, Target(fused=False))
    time = tf.constant(0.0, tf.float64)
    raw = Sampler(context, every.problem).sample({}, tf.constant(u[np.newaxis]), time)
    series = every.series(np.zeros(1), raw.numpy()[np.newaxis], {})[0]
    expected = [eval(text, {"__builtins__": {}}, {**functions, **known}) for text in texts.values()]
    # at most six operations on numbers below 3^6 or so, and sums of 108 of them
    size = 1 + max(map(abs, expected))
    assert np.allclose(series, expected, rtol=1e-12, atol=1e-13 * size)


def test_obstacles_do_not_belong_to_the_domain():
    u = np.random.default_rng(2).normal(size=(9, 12))
    words = ["domain.mask='x < 0.5'", "boundary.mask=neumann"]
    outside = u[:, 4:]  # cells are 0.125 wide
    for formula, expected in {
        "mean(u)": outside.mean(),
        "integral(u)": outside.sum() * 1.05 / 108,
        "integral(1)": 1.05 * 8 / 12,
        "max(-u)": (-outside).max(),
        "min(u)": outside.min(),
    }.items():
        rate = right_hand_side(rhs_plan(formula, *words), u[np.newaxis])[0]
        assert np.allclose(rate[:, 4:], expected, rtol=1e-13)
        assert (rate[:, :4] == 0).all()


def test_operators_inside_of_reductions_respect_boundary_conditions():
    """The integral of the Laplacian is the flux through the boundary (Gauss)."""
    u = np.random.default_rng(3).normal(size=(9, 12))
    words = "boundary={x: {lower: {neumann: 2}, upper: {neumann: 3}}, y: neumann}"
    rate = right_hand_side(rhs_plan("integral(laplacian(u))", words), u[np.newaxis])
    assert np.allclose(rate, 0.7 * (2 + 3), rtol=1e-11)


@pytest.mark.parametrize(
    "words",
    [
        *[[f"stepper={name}"] for name in ("euler", "rk4", "rkl2", "dormand_prince", "sbdf2")],
        ["stepper=etdrk4", "operators=spectral"],
        ["stepper=cnab2", "boundary=neumann"],
        ["stepper=heun", "boundary=neumann", "domain.mask='r < 0.2'"],
    ],
)
def test_mass_conserving_allen_cahn_keeps_its_mean(evolve, words):
    run = evolve(
        "equation=custom", ALLEN_CAHN, NOISE, "grid=16", "time.end=5", "output.frames=2", *words
    )
    u = run.field("u")
    solid = run.plan.problem.mask.solid if run.plan.problem.mask else np.zeros((16, 16), bool)
    # a mean of 256 cells is rounded by up to 256 units in the last place in each of 100 steps
    assert np.ptp(u[:, ~solid].mean(axis=1)) < 1e-13
    assert u[-1].std() > 0.2


@pytest.mark.slow
def test_ten_thousand_steps(evolve):
    run = evolve(
        "equation=custom", ALLEN_CAHN, NOISE, "grid=32", "stepper=rk4", "time.dt=0.01",
        "time.end=100", "output.frames=10",
    )  # fmt: skip
    assert np.ptp(run.field("u").mean(axis=(1, 2))) < 1e-12


def test_a_boundary_value_that_depends_on_the_mean(evolve):
    """A well-mixed reservoir: du/dt = D u'' with flux into both ends that empties the domain.

    With du/dn = -k*mean(u) on both ends of [0, 1], d mean/dt = -2 D k mean.
    """
    run = evolve(
        "equation=custom", "equation.rhs={u: 'laplacian(u)'}", "grid=[32]", "domain.extent=1",
        "boundary={x: {neumann: '-k*mean(u)'}}", "+equation.k=0.5", "initial.u='1 + cos(pi*x)'",
        "stepper=rk4", "time.end=1", "output.frames=2", "time.dt=2e-4",
    )  # fmt: skip
    means = run.field("u").mean(axis=1)
    # RK4 with steps of 2e-4 is exact to rounding here
    assert np.allclose(means, np.exp(-run.times), rtol=1e-9)


def test_members_of_a_batch_have_their_own_reductions(placement):
    from pdesim.engine.simulation import Simulation

    words = [
        "equation=custom", ALLEN_CAHN, "grid=16", "time.end=1", "output.frames=1", "stepper=rk4",
        "time.dt=0.05", "device.precision=float64",
    ]  # fmt: skip
    plans = [make_plan(*words, f"initial.u='{mean} + 0.1*sin(2*pi*x)'") for mean in (0.1, 0.5)]
    together = list(Simulation(plans, placement).frames())[-1].state
    alone = [list(Simulation(plan, placement).frames())[-1].state for plan in plans]
    # one program of two members and programs of one member round differently
    assert np.allclose(together, np.stack(alone), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("stepper", ["implicit_euler", "crank_nicolson"])
def test_implicit_steps_of_a_linear_equation_with_a_mean(evolve, stepper):
    """u' = u'' - mean(u): the mean decays like exp(-t), the waves like exp(-k^2 t)."""
    run = evolve(
        "equation=custom", "equation.rhs={u: 'laplacian(u) - mean(u)'}", "grid=[32]",
        "initial.u='1 + cos(2*pi*x)'", f"stepper={stepper}", "time.end=0.1", "time.dt=0.001",
        "domain.extent=1", "output.frames=1",
    )  # fmt: skip
    error = abs(run.field("u")[-1].mean() - np.exp(-0.1))
    # Euler: dt/2 * t; the trapezoidal rule: dt^2/12 * t
    assert error < (6e-5 if stepper == "implicit_euler" else 1e-8)


@pytest.mark.parametrize("words", ["stepper=rk4", "stepper=etdrk4 operators=spectral"])
def test_measured_orders(placement, words):
    from pdesim.verify.run import verify_plan

    plan = make_plan(
        "equation=custom", "grid=[32]", "time.end=1",
        "equation.rhs={u: '0.1*laplacian(u) - u*mean(u**2) + 0.2*max(u)*integral(d_dx(u)**2)'}",
        *words.split(),
    )  # fmt: skip
    rows = list(verify_plan(plan))
    assert [row.kind for row in rows] == ["space", "time"]
    assert all(row.passed for row in rows), rows


def test_steppers_that_do_not_apply():
    words = ["equation=custom", "grid=16", "time.end=1"]
    with pytest.raises(StepperError, match="linear"):
        make_plan(*words, "equation.rhs={u: 'laplacian(u) - max(u)'}", "stepper=crank_nicolson")
    with pytest.raises(StepperError, match="linear equation with constant"):
        make_plan(*words, "equation.rhs={u: 'laplacian(u) - mean(u)'}", "stepper=exact")
    with pytest.raises(StepperError, match="boundary values that do not depend on the fields"):
        make_plan(
            *words, "equation.rhs={u: 'laplacian(u)'}", "stepper=crank_nicolson",
            "boundary={x: {dirichlet: 'mean(u)'}, y: periodic}",
        )  # fmt: skip
    with pytest.raises(PdesimError, match="steady problem with the max"):
        make_plan("equation=custom", "equation.solve={u: 'laplacian(u) - max(u)'}", "grid=16")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("initial.u='mean(x)'", "mean of one argument, .* not allowed here"),
        ("initial.u='max(x)'", "max of one argument, .* not allowed here"),
        ("equation.rhs={u: 'mean(u, 1)'}", r"mean got 2 arguments"),
        ("equation.rhs={u: 'mean(gradient(u))'}", "vector"),
        ("boundary={x: {dirichlet: u}, y: periodic}", "only inside of mean"),
        ("boundary={x: {dirichlet: 'mean(laplacian(u))'}, y: periodic}", "not allowed here"),
    ],
)
def test_bad_formulas(words, message):
    with pytest.raises(FormulaError, match=message):
        make_plan("equation=custom", "equation.rhs={u: 'laplacian(u)'}", "grid=16", words)


@pytest.mark.parametrize("stepper", ["rk4", "etdrk4"])
def test_stability_limit_includes_the_mean(stepper):
    """The limit of -50*mean(u) applies to the uniform mode."""
    plan = make_plan(
        "equation=custom", "equation.rhs={u: '1e-6*laplacian(u) - 50*mean(u)'}", "grid=16",
        "time.end=1", f"stepper={stepper}",
    )  # fmt: skip
    # the stability limit of four stages of order 4 on the real axis is 2.785
    assert plan.step.limit == pytest.approx(2.785 / 50, rel=1e-2)
