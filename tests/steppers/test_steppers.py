"""Orders measured, tolerances kept, quantities conserved, choices and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan
from made_plans import GRAY_SCOTT

from pdesim.errors import StepperError
from pdesim.steppers import METHODS

OSCILLATOR = ("equation=wave", "grid=[16]", "initial={u: 'sin(2*pi*x)', w: 'cos(2*pi*x)'}")


def measured_order(evolve, problem, steps, reference):
    errors = [np.abs(evolve(*problem(n)).states[-1] - reference).max() for n in steps]
    return np.polyfit(np.log(steps), -np.log(errors), 1)[0]


@pytest.mark.parametrize(
    "stepper,operators",
    [
        ("euler", "stencil"),
        ("heun", "stencil"),
        ("rk4", "stencil"),
        ("etdrk2", "spectral"),
        ("etdrk2", "stencil"),
    ],
)
def test_measured_orders_on_gray_scott(evolve, stepper, operators):
    end, common = 24.0, (*GRAY_SCOTT, f"operators={operators}", "time.end=24")
    reference = evolve(*common, "stepper=rk4", f"time.dt={end / 1600}").states[-1]

    def problem(n):
        return (*common, f"stepper={stepper}", f"time.dt={end / n}")

    steps = [16, 24, 32] if stepper == "rk4" else [48, 72, 108]
    order = measured_order(evolve, problem, steps, reference)
    assert order == pytest.approx(METHODS[stepper].order, abs=0.2)


def test_measured_order_of_verlet(evolve):
    common = (*OSCILLATOR, "equation.damping=0.5", "time.end=1", "output.frames=1")
    reference = evolve(*common, "stepper=rk4", "time.dt=1e-3").states[-1]

    def problem(n):
        return (*common, "stepper=verlet", f"time.dt={1 / n}")

    assert measured_order(evolve, problem, [40, 60, 90], reference) == pytest.approx(2, abs=0.1)


def test_steppers_that_cannot_serve_are_refused_with_those_that_can():
    with pytest.raises(StepperError, match="euler"):
        make_plan("equation=heat", "stepper=verlet")
    with pytest.raises(StepperError, match="rk4"):
        make_plan("equation=wave", "stepper=euler")
    with pytest.raises(StepperError, match="Robin"):
        make_plan(
            "equation=heat",
            "stepper=etdrk2",
            "boundary.x={lower: {robin: {a: 1, b: 1}}}",
            "boundary.default=neumann",
        )


def test_a_tolerance_wants_a_stepper_that_keeps_it():
    with pytest.raises(StepperError, match="stepper=bogacki_shampine or stepper=dormand_prince"):
        make_plan("equation=heat", "stepper=rk4", "time.tolerance=1e-6")
    plan = make_plan("equation=heat", "stepper=auto", "time.tolerance=1e-6")
    assert plan.stepper.method.name == "dormand_prince" and plan.step.tolerance == 1e-6


def test_coupled_linear_parts_use_matrix_functions(evolve):
    """The wave by etdrk2 is exact: its linear part couples u and w."""
    run = evolve(*OSCILLATOR, "operators=spectral", "stepper=etdrk2", "time.end=3", "time.dt=0.5",
                 "output.frames=6")  # fmt: skip
    omega, x = 2 * np.pi, run.coordinates["x"]
    for t, u in zip(run.times, run.field("u"), strict=True):
        expected = np.cos(omega * t) * np.sin(omega * x) + np.sin(omega * t) / omega * np.cos(
            omega * x
        )
        np.testing.assert_allclose(u, expected, atol=1e-12)


@pytest.mark.parametrize("stepper", ["bogacki_shampine", "dormand_prince"])
def test_adaptive_steppers_keep_their_tolerance(evolve, placement, stepper):
    from pdesim.engine.simulation import Simulation

    common = ("device.precision=float64", *GRAY_SCOTT, "time.end=60", "output.frames=3")
    reference = evolve(*common, "stepper=rk4", "time.dt=0.05").states[-1]
    errors = []
    for tolerance in (1e-3, 1e-6):
        plan = make_plan(*common, f"stepper={stepper}", f"time.tolerance={tolerance}")
        simulation = Simulation(plan, placement)
        frames = list(simulation.frames())
        assert [f.time for f in frames] == plan.times.tolist()
        errors.append(np.abs(frames[-1].state - reference).max())
        assert errors[-1] < 20 * tolerance
    assert errors[1] < errors[0] / 50


def test_a_first_step_that_is_too_long_is_rejected_and_counted(placement):
    from pdesim.engine.simulation import Simulation

    own = ("stepper=dormand_prince", "time.end=60", "time.dt=60")
    plan = make_plan("device.precision=float64", *GRAY_SCOTT, *own)
    simulation = Simulation(plan, placement)
    final = list(simulation.frames())[-1]
    assert simulation.rejected > 0 and np.isfinite(final.state).all()


def test_exact_reaches_any_time_in_one_jump(evolve):
    run = evolve("equation=heat", "grid=[32,24]", "stepper=exact", "initial={u: 'cos(2*pi*x)'}",
                 "time.end=500", "output.frames=2")  # fmt: skip
    rate = 1e-3 * (2 * 32 * np.sin(np.pi / 32)) ** 2
    expected = np.exp(-rate * run.times).reshape(-1, 1, 1) * run.field("u")[0]
    np.testing.assert_allclose(run.field("u"), expected, atol=1e-12)


@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_walls_with_values_reach_their_steady_profile(evolve, operators):
    """Heat between 1 and 3 ends in the straight line between them."""
    run = evolve(
        "equation=heat", "equation.D=1", "grid=[16]", f"operators={operators}", "initial=zero",
        "boundary.x={lower: {dirichlet: 1}, upper: {dirichlet: 3}}", "time.end=5",
        "stepper=etdrk2", "output.frames=1",
    )  # fmt: skip
    np.testing.assert_allclose(run.field("u")[-1], 1 + 2 * run.coordinates["x"], atol=1e-10)


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
@pytest.mark.parametrize("stepper", ["euler", "exact", "crank_nicolson"])
def test_mean_is_conserved_over_ten_thousand_steps(evolve, stepper, boundary):
    run = evolve("equation=heat", "grid=[32]", f"boundary={boundary}", f"stepper={stepper}",
                 "time.dt=0.01", "time.end=100", "output.frames=1")  # fmt: skip
    means = run.field("u").mean(1)
    assert abs(means[1] - means[0]) < 1e-13


@pytest.mark.parametrize("stepper,bound", [("verlet", 0.02), ("yoshida4", 0.005)])
def test_wave_energy_over_a_hundred_periods(evolve, stepper, bound):
    run = evolve("equation=wave", "grid=[32]", "initial={u: 'cos(2*pi*x)', w: 0}", "time.end=100",
                 f"stepper={stepper}", "output.frames=400")  # fmt: skip
    u, w = run.field("u"), run.field("w")
    energy = 0.5 * ((w**2).sum(1) + ((np.roll(u, 1, 1) - u) ** 2).sum(1) * 32**2)
    assert np.ptp(energy) < bound * energy[0]


def test_auto_says_what_and_why():
    told = {
        ("equation=wave",): "exact",
        ("equation=wave", "equation.c='1 + x'"): "verlet",
        ("equation=heat", "operators=spectral"): "exact",
        ("equation=gray_scott", "operators=spectral"): "etdrk4",
        ("equation=gray_scott", "grid=64"): "dormand_prince",
        ("equation=gray_scott", "grid=64", "time.dt=0.5"): "rk4",
        ("equation=gray_scott", "grid=400"): "rkl2",
        ("equation=heat", "equation.D='1 + x'", "grid=64"): "rkl2",
    }
    for overrides, name in told.items():
        plan = make_plan("grid=32", *overrides)
        assert plan.stepper.method.name == name and plan.stepper_reason


def test_refusals_name_the_reason():
    for overrides, reason in (
        (("equation=heat", "stepper=verlet"), "positions and momenta"),
        (("equation=gray_scott", "stepper=exact"), "linear equation"),
        (("equation=gray_scott", "stepper=crank_nicolson"), "linear in its fields"),
    ):
        with pytest.raises(StepperError, match=reason):
            make_plan(*overrides, "grid=32")
    from pdesim.errors import BoundaryError

    with pytest.raises(BoundaryError, match="Robin"):
        make_plan("equation=heat", "grid=32", "operators=spectral",
                  "boundary.default={robin: {a: 1, b: 1}}")  # fmt: skip
