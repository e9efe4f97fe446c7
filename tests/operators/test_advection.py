"""Conservative transport, ``advect(v, u)``, against exact solutions and known properties."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan

from pdesim.analysis.reactions import build_reactions, linearise
from pdesim.errors import BoundaryError, ConfigError, FormulaError, StepperError
from pdesim.operators.method_of_lines import MethodOfLines, parameter_tensors
from pdesim.operators.transport import TRANSPORT
from pdesim.play.refuse import check_playable
from pdesim.steppers import build_stepper
from pdesim.verify.run import verify_plan
from pdesim.verify.transport import transport_order

SQUARE = "initial.u='where(x > 0.25, 1, 0)*where(x < 0.5, 1, 0)'"
SCHEMES = ("upwind", "limited", "weno5")


def transport(formula: str, *more: str) -> tuple[str, ...]:
    return ("equation=custom", f"equation.rhs={{u: '{formula}'}}", "domain.extent=1",
            "boundary=periodic", *more)  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("formula", ["-advect([1], u)", "2*advect([0.5], u)", "-advect([-1], u)"])
def test_a_square_keeps_its_range_and_its_integral(evolve, scheme, formula):
    run = evolve(*transport(formula, "grid=[64]", "time.end=1", "output.frames=4", SQUARE),
                 f"operators.advection={scheme}")  # fmt: skip
    u = run.field("u")
    assert run.plan.stepper.method.name == "ssprk3"
    # the sum of the fluxes is 0 up to rounding: 64 cells, some 400 stages
    np.testing.assert_allclose(u.sum(axis=1), 16, rtol=1e-12)
    # weno5 is not monotone, but its oscillations are small
    beyond = 5e-3 if scheme == "weno5" else 1e-14
    assert u.min() >= -beyond and u.max() <= 1 + beyond
    centre = run.coordinates["x"][u[-1] > 0.5].mean()
    # upwind is more diffusive than the others; the pulse is back where it began after one period
    assert centre == pytest.approx(0.375, abs=0.02)


def test_factors_turn_the_direction_in_which_values_are_read(evolve):
    """``2*advect([0.5], u)`` is transport with the velocity -1: as ``-advect([-1], u)``."""
    first, *others = (
        evolve(*transport(formula, "+equation.c=-1", "grid=[32]", "time.end=0.2", "time.dt=0.01",
                          SQUARE))
        for formula in ("2*advect([0.5], u)", "-advect([-1], u)", "-c*advect([1], u)")
    )  # fmt: skip
    for other in others:
        np.testing.assert_allclose(other.states, first.states, atol=1e-15)


@pytest.mark.parametrize(
    ("scheme", "sizes", "order"),
    [("upwind", (160, 320), 1), ("limited", (80, 160), 2), ("weno5", (40, 80), 5)],
)
def test_orders_of_the_mean_error(evolve, scheme, sizes, order):
    """A sine after one period; for weno5 with dt ~ h**(5/3), so that errors in time are smaller."""
    errors = []
    for n in sizes:
        dt = 2 * n ** (-5 / 3) if scheme == "weno5" else 0.2 / n
        run = evolve(*transport("-advect([1], u)", f"grid=[{n}]", "time.end=1", "output.frames=1",
                                f"time.dt={dt}", "initial.u='sin(2*pi*x)'"),
                     f"operators.advection={scheme}")  # fmt: skip
        u = run.field("u")
        errors.append(np.abs(u[-1] - u[0]).mean())
    # upwind: the next term of the error makes 0.96 of it; the maximum norm of limited has 4/3
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.06)


def test_weno5_keeps_its_order_with_velocities_that_vary(evolve):
    """The rate of change of a smooth state against the derivative of the flux."""
    errors = []
    for n in (40, 80):
        plan = make_plan(*transport("-advect([2 + sin(2*pi*x)], u)", f"grid=[{n}]", "time.end=1",
                                    "device.precision=float64", "operators.advection=weno5",
                                    "initial.u='exp(cos(2*pi*x))'"))  # fmt: skip
        x = 2 * np.pi * plan.grid.coordinates()["x"]
        exact = 2 * np.pi * np.exp(np.cos(x)) * ((2 + np.sin(x)) * np.sin(x) - np.cos(x))
        values = parameter_tensors(plan.problem, tf.float64)
        system = MethodOfLines(plan.problem, tf.float64, False, values)
        rate = system.rhs(tf.constant(plan.state), tf.constant(0.0, tf.float64))[0]
        errors.append(np.abs(rate - exact).mean())
    assert np.log2(errors[0] / errors[1]) > 4.7


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_shock_moves_with_half_the_jump(evolve, scheme):
    """Burgers: the flux u**2/2; between 1 and 0 the speed is 1/2 (Rankine and Hugoniot)."""
    run = evolve("equation=custom", "equation.rhs={u: '-advect([u/2], u)'}", "grid=[100]",
                 "domain.extent=1", "time.end=0.8", "output.frames=1",
                 "boundary={x: {lower: {dirichlet: 1}, upper: {dirichlet: 0}}}",
                 "initial.u='where(x < 0.3, 1, 0)'", f"operators.advection={scheme}")  # fmt: skip
    u = run.field("u")[-1]
    # the integral grows by the inflow 1/2
    assert u.mean() == pytest.approx(0.7, abs=1e-12)
    beyond = 1e-3 if scheme == "weno5" else 1e-14
    assert u.min() >= -beyond and u.max() <= 1 + beyond
    # the shock is a few cells wide, at its exact place
    assert np.interp(0.5, u[::-1], run.coordinates["x"][::-1]) == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("scheme", ["upwind", "limited"])
def test_a_rarefaction_opens(evolve, scheme):
    """A step from -1 to 1: u = x/t. Without enough diffusion at u = 0 the step would stay."""
    run = evolve("equation=custom", "equation.rhs={u: '-advect([u/2], u)'}", "grid=[200]",
                 "domain.extent=2", "domain.origin=-1", "time.end=0.4", "output.frames=1",
                 "boundary=neumann", "initial.u='where(x < 0, -1, 1)'",
                 f"operators.advection={scheme}")  # fmt: skip
    exact = np.clip(run.coordinates["x"] / 0.4, -1, 1)
    assert np.abs(run.field("u")[-1] - exact).mean() < (0.03 if scheme == "upwind" else 0.01)


def test_the_flow_through_walls_changes_the_integral(evolve):
    """Inflow with the value of the wall, outflow with that of the last cell."""
    run = evolve("equation=custom", "equation.rhs={u: '-advect([1], u)'}", "grid=[50]",
                 "domain.extent=1", "time.end=2", "output.frames=2", "initial.u=0",
                 "boundary={x: {lower: {dirichlet: 3}, upper: neumann}}")  # fmt: skip
    u = run.field("u")
    assert u[1].mean() == pytest.approx(3, abs=0.15)
    np.testing.assert_allclose(u[2], 3, atol=1e-6)
    assert u.max() <= 3 + 1e-12


def test_no_flow_through_walls_conserves_the_integral(evolve):
    run = evolve("equation=custom",
                 "equation.rhs={u: '-advect([sin(pi*x)*cos(pi*y), -cos(pi*x)*sin(pi*y)], u)'}",
                 "grid=[24,24]", "domain.extent=1", "time.end=1", "output.frames=2",
                 "boundary=neumann", "initial.u='where(x < 0.4, 1, 0)'")  # fmt: skip
    u = run.field("u")
    np.testing.assert_allclose(u.sum(axis=(1, 2)), u[0].sum(), rtol=1e-12)
    # the flow has no divergence on the grid, either
    assert u.min() >= -1e-13 and u.max() <= 1 + 1e-13


def test_conv_and_vector_fields(evolve):
    """The same numbers with ``operators=conv``, and for a velocity that is a vector field."""
    words = ("grid=[16,12]", "domain.extent=1", "boundary=periodic", "time.end=0.1",
             "time.dt=0.005", "output.frames=1")  # fmt: skip
    start = "initial.u='sin(2*pi*x)*cos(2*pi*y/Ly)'"
    one = evolve("equation=custom", "equation.rhs={u: '-advect([0.5, -1], u)'}", *words, start)
    two = evolve("equation=custom", "equation.rhs={u: '-advect([0.5, -1], u)'}", *words, start,
                 "operators=conv")  # fmt: skip
    np.testing.assert_allclose(one.states, two.states, atol=1e-14)
    three = evolve("equation=custom", "equation.fields={u: real, v: vector}",
                   "equation.rhs={u: '-advect(v, u)', v: '0*v'}", *words, start,
                   "initial.v_x=0.5", "initial.v_y=-1")  # fmt: skip
    np.testing.assert_allclose(one.field("u"), three.field("u"), atol=1e-14)


def test_the_step_follows_from_the_courant_number():
    words = ("grid=[20,10]", "domain.extent=[1,1]", "time.end=1")
    plan = make_plan("equation=custom", "equation.rhs={u: '-advect([2, 1], u)'}", *words)
    # 0.5/(2*20 + 1*10)
    assert plan.step.limit == pytest.approx(0.01)
    upwind = make_plan("equation=custom", "equation.rhs={u: '-advect([2, 1], u)'}", *words,
                       "operators.advection=upwind")  # fmt: skip
    assert upwind.step.limit == pytest.approx(0.02)
    with pytest.raises(StepperError, match="stability limit"):
        make_plan("equation=custom", "equation.rhs={u: '-advect([2, 1], u)'}", *words,
                  "time.dt=0.02")  # fmt: skip
    # Burgers: small changes travel with u, not with u/2
    burgers = make_plan("equation=custom", "equation.rhs={u: '-advect([u/2], u)'}", "grid=[10]",
                        "domain.extent=1", "initial.u=3", "time.end=1")  # fmt: skip
    assert burgers.step.limit == pytest.approx(0.5 / 30)


def test_explicit_euler_is_stable_for_upwind():
    plan = make_plan(*transport("-advect([1], u)", "grid=[10]", "time.end=1", "stepper=euler",
                                "operators.advection=upwind"))  # fmt: skip
    assert plan.step.limit == pytest.approx(0.1, rel=1e-6)


def test_ssprk3_consists_of_steps_of_euler():
    from pdesim.steppers.runge_kutta import shu_osher_form

    plan = make_plan("equation=heat", "grid=[16]")
    method = build_stepper("ssprk3", plan.problem).method
    forms = shu_osher_form(method.explicit_tableau)
    weights = [[float(w) for w in weights] for weights, _ in forms]
    assert weights == [[1], [3 / 4, 1 / 4], [1 / 3, 0, 2 / 3]]
    assert [float(factor) for _, factor in forms] == [1, 1 / 4, 2 / 3]


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("-u*advect([1], u)",), ConfigError, "has the factor"),
        (("-laplacian(advect([1], u))",), ConfigError, "inside of another function"),
        (("sin(advect([1], u))",), ConfigError, "inside of another function"),
        (("-advect([u], 2*u)",), ConfigError, "the velocity depends on u"),
        (("-advect(1, u)",), FormulaError, "this is a number"),
        (("-advect([1, 2], u)",), FormulaError, "2 components"),
        (("-advect([1])",), FormulaError, "advect got 1 argument"),
        (("-advect([1], u)", "operators=spectral"), ConfigError, "operators=spectral"),
        (("-advect([1], u)", "domain.mask='x < 0.2'"), BoundaryError, "obstacles"),
    ],
)
def test_refusals(words, error, message):
    formula, *more = words
    with pytest.raises(error, match=message):
        make_plan(*transport(formula, "grid=[16]", *more))


def test_steady_problems_are_refused():
    with pytest.raises(ConfigError, match="without a time derivative"):
        make_plan("equation=custom", "equation.solve={u: 'laplacian(u) - advect([1], u) + 1'}",
                  "grid=[16]")  # fmt: skip


def test_the_swirling_flow_returns(evolve):
    run = evolve("equation=advection", "grid=64", "output.frames=2")
    u = run.field("u")
    middle, last = (np.abs(u[n] - u[0]).mean() for n in (1, 2))
    assert last < 0.5 * middle
    np.testing.assert_allclose(u.sum(axis=(1, 2)), u[0].sum(), rtol=1e-12)
    assert u.min() >= -1e-12 and u.max() <= 1 + 1e-12


def test_a_stirred_front_is_faster_than_one_at_rest(evolve):
    words = ("equation=stirred_front", "grid=64", "time.end=4", "output.frames=1")
    stirred, at_rest = (evolve(*words, f"equation.speed={s}").field("u")[-1].mean() for s in (1, 0))
    assert stirred > 1.2 * at_rest


def test_uniform_states_are_analysed_without_numerical_diffusion():
    """``pdesim analyze``: the growth rate of a wave is that of the reaction, 1 - D*k**2."""
    plan = make_plan("equation=custom", "equation.rhs={u: '0.1*laplacian(u) - advect([3], u) + u'}",
                     "grid=[32]")  # fmt: skip
    linear = linearise(build_reactions(plan.problem, 0.0), np.zeros(1))
    (matrix,) = linear.matrices(np.array([[2.0]]))
    assert matrix.item() == pytest.approx(1 - 0.1 * 4 - 6j)


def test_pages_are_refused():
    with pytest.raises(ConfigError, match=r"finite volumes, which pages do not contain"):
        check_playable(make_plan("equation=advection", "grid=16"))


@pytest.mark.parametrize("scheme", ["upwind", "limited", "weno5"])
def test_verify_measures_the_order_of_transport(scheme):
    """With a velocity that varies, and in the mean of the absolute error (Harten 1983)."""
    formula = "-advect([1 + 0.3*sin(2*pi*x)], u)"
    plan = make_plan("equation=custom", f"equation.rhs={{u: '{formula}'}}", "grid=[32]",
                     "device.precision=float64", f"operators.advection={scheme}")  # fmt: skip
    space, time = verify_plan(plan)
    assert space.passed and space.claimed == str(TRANSPORT[scheme].order)
    assert time.passed and time.scheme == "ssprk3"


def test_terms_beside_transport_limit_the_order():
    words = "equation=custom", "grid=[32]", "operators.advection=weno5"
    diffusive = make_plan(*words, "equation.rhs={u: '-advect([1], u) + 0.1*laplacian(u)'}")
    assert transport_order(diffusive.problem) == 2
    bounded = make_plan(*words, "equation.rhs={u: '-advect([1], u)'}", "boundary=neumann")
    assert transport_order(bounded.problem) == 2
