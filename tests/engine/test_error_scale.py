"""Errors in time of fields that are nearly uniform, zero, or made of rounding errors."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan

from pdesim.engine.error_scale import FLOOR, error_scale, field_ranges, smallest_scale
from pdesim.engine.monitor import Monitor, accumulated_rounding, relative_error
from pdesim.engine.simulation import Simulation

PRECISIONS = ("float32", "float64")


def computed(placement, *words):
    """Return a simulation of a line of 16 cells after its end, and the last state."""
    given = ("equation=custom", "domain.dimensions=1", "grid=16", "time.end=5", "output.frames=5")
    simulation = Simulation(make_plan(*given, *words), placement)
    state = None
    for frame in simulation.frames():
        state = np.array(frame.state, float)
    return simulation, state


def of_u(formula, initial, *more):
    return (f"equation.rhs={{u: '{formula}'}}", f"initial.u='{initial}'", *more)


def test_the_scale_is_the_largest_of_three_terms():
    assert error_scale(np.array(3.0), np.array(5.0)) == 3.0
    assert error_scale(np.array(1e-9), np.array(5.0)) == FLOOR * 5.0
    assert error_scale(np.array(0.0), np.array(0.0), 1e-9, 1e-3) == pytest.approx(2e-6)
    for precision in PRECISIONS:
        info = np.finfo(precision)
        assert smallest_scale(precision) * float(info.eps) == float(info.tiny)


def test_reported_errors_are_relative_to_the_scale():
    plan, none = make_plan("equation=heat", "grid=8"), np.zeros(1)

    def relative(error, peak, state, rounding=none):
        return relative_error(
            np.array([error]), np.array([peak]), rounding, field_ranges(state), plan
        )["u"]

    uniform = np.full((1, 8, 8), 4.0)
    assert relative(0.0004, 4.0, uniform) == 0.0004 / (FLOOR * 4)
    varying = uniform + np.linspace(0, 2, 64).reshape(1, 8, 8)
    assert relative(0.02, 5.0, varying) == 0.01
    # a field that is zero, and one that is smaller than its rounding errors
    assert relative(1e-12, 0.0, 0 * uniform) == 0.0
    noise = accumulated_rounding(np.array([1e-6]), 100)
    assert noise == pytest.approx(1e-4)
    assert relative(1e-6, 5e-5, 1e-5 * uniform, noise) == 0.0
    assert relative(1e-6, 4e-3, 1e-3 * uniform, noise) > 0.0


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("stepper", ["dormand_prince", "rk4"])
@pytest.mark.parametrize("formula", ["-u", "0.01*laplacian(u) - u**3"])
def test_a_field_that_stays_zero_has_no_error(placement, formula, stepper, precision):
    """The error was divided by 1e-308 once."""
    words = of_u(formula, "0*x", f"stepper={stepper}", f"device.precision={precision}")
    simulation, state = computed(placement, *words)
    assert simulation.relative_time_error() == {"u": 0.0}
    assert not state.any() and simulation.steps < 50


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("stepper", ["dormand_prince", "rk4", "rkl2", "etdrk4"])
def test_a_field_that_is_driven_from_almost_zero(placement, stepper, precision):
    """rk4 took 2.3 million steps, and rkl2 ended the run with a step of 1e-11.

    The number of steps is compared with that of a run from u = 1.
    """
    formula, more = "0.01*laplacian(u) + x - u**3", (f"stepper={stepper}",)
    more = (*more, f"device.precision={precision}")
    small, state = computed(placement, *of_u(formula, "1e-12 + 0*x", *more))
    large, _ = computed(placement, *of_u(formula, "1 + 0*x", *more))
    exact = computed(placement, *of_u(formula, "1e-12 + 0*x", "stepper=rk4", "time.dt=0.002",
                                      "device.precision=float64"))[1]  # fmt: skip
    assert small.steps < 3 * large.steps
    assert np.abs(state - exact).max() < 1e-3
    assert 0 < small.relative_time_error()["u"] < 0.01


@pytest.mark.parametrize("stepper", ["dormand_prince", "rk4"])
def test_the_error_after_a_late_start_is_counted(placement, stepper):
    """The first measurement is 0, as long as nothing happens; it hid all later errors once."""
    words = of_u("where(t < 2, 0, 1) - u**3", "0*x", f"stepper={stepper}")
    simulation, state = computed(placement, *words, "device.precision=float64")
    exact = computed(placement, *of_u("1 - u**3", "0*x", "time.end=3", "stepper=rk4",
                                      "time.dt=0.001", "device.precision=float64"))[1]  # fmt: skip
    true = np.sqrt(((state - exact) ** 2).mean()) / (FLOOR * np.abs(exact).max())
    assert true / 5 < simulation.relative_time_error()["u"] < 0.01


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("stepper", ["dormand_prince", "rk4"])
def test_rounding_errors_of_other_fields_shorten_no_step(placement, stepper, precision):
    """u is the difference of two equal fields. The steps are those that v and w need.

    rk4 took 27 million steps and dormand_prince 290 000, or the run ended with an error.
    """
    more = (f"stepper={stepper}", f"device.precision={precision}")
    pair = "v: '-v*w', w: '-w*v + 0*u'}"
    initial = ("initial.v='1+x'", "initial.w='1+x'")
    with_u, state = computed(
        placement,
        "equation.rhs={u: '3*v - 3*w - 0.1*u', " + pair,
        "initial.u='0*x'",
        *initial,
        *more,
    )
    alone, _ = computed(placement, "equation.rhs={" + pair.replace(" + 0*u", ""), *initial, *more)
    assert with_u.steps < 2 * alone.steps
    # 1/(1/v0 + t) solves v' = -v**2
    start = 1 + (np.arange(16) + 0.5) / 16
    np.testing.assert_allclose(state[1], 1 / (1 / start + 5), rtol=1e-3)
    assert np.abs(state[0]).max() < 1e-4
    errors = with_u.relative_time_error()
    assert errors["u"] == 0.0 and 0 < errors["v"] < 0.01


def test_sound_in_a_large_mean_pressure(placement):
    """Waves of 1e-4 on a pressure of 1000: in single precision, they are rounding errors.

    The steps are limited by the speed of sound, sqrt(p * 100), as in double precision. There were
    890 000 instead of about 1000.
    """
    words = ("equation.rhs={u: '-p*d_dx(p) + 0.001*laplacian(u)', p: '-d_dx(u)*100 - 1e-4*p*p'}",
             "initial.u='0*x'", "initial.p='1000 + 1e-4*sin(2*pi*x)'", "grid=64", "time.end=0.05",
             "stepper=rk4")  # fmt: skip
    single, _ = computed(placement, *words, "device.precision=float32")
    double, _ = computed(placement, *words, "device.precision=float64")
    assert single.steps < 1.5 * double.steps


@pytest.mark.parametrize("tolerance", [2e-5, 2e-7])
def test_adaptive_steps_of_a_uniform_field_in_single_precision(placement, tolerance):
    """The tolerance may be below the rounding error of the field; the steps do not vanish then."""
    words = of_u("0.01*laplacian(u) - u**2", "1 + 1e-9*sin(20*x)", f"time.tolerance={tolerance}")
    simulation, state = computed(placement, *words, "device.precision=float32")
    assert simulation.rejected < 10 and simulation.steps < 100
    assert state == pytest.approx(1 / 6, rel=1e-4)


def test_values_at_the_limit_of_single_precision(placement):
    """A field of 1e-30 is relative to itself, not to a smallest scale."""
    words = of_u("0.01*laplacian(u) - u", "1e-30*(1 + 0*x)", "stepper=dormand_prince")
    simulation, state = computed(placement, *words, "device.precision=float32")
    assert state == pytest.approx(1e-30 * np.exp(-5), rel=1e-3)
    assert simulation.relative_time_error()["u"] < 0.01


def test_a_rate_of_zero_does_not_hide_the_next_one():
    everyone, none = np.ones(1, bool), np.zeros((1, 1))
    monitor = Monitor.start(1, 1, 0.0)
    monitor.record(everyone, none, none, none, 0.0, np.array([0]))
    monitor.record(everyone, np.array([[4.0]]), none, none, 1.0, np.array([10]))
    assert monitor.total(1.0)[0, 0] == pytest.approx(0.01 * 4.0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_rounding_error_of_a_step_beside_a_field_that_is_zero(placement, precision):
    """The trial steps are taken although the allowed error of the zero field is tiny."""
    plan = make_plan(
        "equation=custom", "equation.fields=[u,w]", "equation.rhs.u='d_dx(u) + d_dy(w)'",
        "equation.rhs.w='d_dy(u)'", "initial.u='1 + sin(2*pi*x)'", "initial.w=0", "grid=[16,8]",
        "domain.extent=1", "stepper=dormand_prince", f"device.precision={precision}",
    )  # fmt: skip
    simulation = Simulation(plan, placement)
    simulation.prepare()
    noise = simulation._batch.monitor.noise[0]
    assert 0 < noise[0] < 20 * np.finfo(precision).eps and noise[1] < 100 * np.finfo(precision).eps
