"""Stability limits known by hand, and runs on both sides of them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan

from pdesim.errors import StepperError
from pdesim.steppers.stability import linearise, stable_step


def limit_of(*overrides):
    plan = make_plan("time.unsafe=true", "time.dt=1e-9", *overrides)
    linearised = linearise(plan.problem, plan.state, 0.0)
    return stable_step(plan.stepper, linearised, 1e6), plan


@pytest.mark.parametrize("grid,extent", [("[40]", "[2.0]"), ("[40,20]", "[2.0,3.0]")])
def test_limits_known_by_hand(grid, extent):
    h = np.array(eval(extent)) / np.array(eval(grid))
    times = ("time.end=1e-9", "output.frames=1")
    shape = (f"grid={grid}", f"domain.extent={extent}", *times)
    heat = ("equation=heat", "equation.D=0.3", "initial=noise", *shape)
    stiffest = 4 * 0.3 * np.sum(1 / h**2)
    # real-axis intervals: Euler 2, Heun 2, classical RK4 2.7853
    for stepper, interval in (("euler", 2.0), ("heun", 2.0), ("rk4", 2.785293563)):
        limit, _ = limit_of(*heat, f"stepper={stepper}")
        assert limit == pytest.approx(interval / stiffest, rel=1e-6)
    wave = ("equation=wave", "equation.c=1.5", *shape)
    fastest = 1.5 * np.sqrt(4 * np.sum(1 / h**2))
    # imaginary-axis intervals: RK4 2 sqrt(2); leapfrog 2
    limit, _ = limit_of(*wave, "stepper=rk4")
    assert limit == pytest.approx(2 * np.sqrt(2) / fastest, rel=1e-3)
    limit, _ = limit_of(*wave, "stepper=verlet")
    assert limit == pytest.approx(2 / fastest, rel=1e-4)
    assert limit_of(*wave, "stepper=euler")[0] == 0.0


def test_exponential_steppers_have_no_limit_on_linear_equations():
    limit, _ = limit_of("equation=heat", "grid=32", "operators=spectral", "stepper=etdrk2",
                        "time.end=1e-9", "output.frames=1")  # fmt: skip
    assert limit == np.inf


def test_the_limit_is_where_heat_blows_up(evolve):
    limit, _ = limit_of("equation=heat", "grid=[32]", "initial=noise", "time.end=1e-9",
                        "output.frames=1", "stepper=euler")  # fmt: skip
    growth = {}
    for factor in (0.99, 1.05):
        run = evolve(
            "equation=heat", "grid=[32]", "initial=noise", "stepper=euler", "time.unsafe=true",
            f"time.dt={factor * limit}", f"time.end={400 * factor * limit}", "output.frames=1",
        )  # fmt: skip
        growth[factor] = np.abs(run.states[-1]).max() / np.abs(run.states[0]).max()
    assert growth[0.99] < 1 < 1e3 < growth[1.05]


def test_a_step_above_the_limit_is_refused_with_the_limit():
    with pytest.raises(StepperError, match=r"above 0\.000244"):
        make_plan("equation=heat", "equation.D=1", "grid=32", "time.dt=0.01", "stepper=euler")
    make_plan("equation=heat", "equation.D=1", "grid=32", "time.dt=0.01", "time.unsafe=true")


def test_rkl_is_stable_to_its_limit_and_not_beyond(evolve):
    """dt |lambda| <= (s^2 + s - 2) / 2 on the real axis."""
    common = ("equation=heat", "grid=[32]", "initial=noise", "stepper=rkl2", "stepper.stages=7",
              "time.unsafe=true", "output.frames=1")  # fmt: skip
    limit, _ = limit_of(
        *common[:3], "stepper=rkl2", "stepper.stages=7", "time.end=1e-9", "output.frames=1"
    )
    stiffest = 4 * 1e-3 * 32**2
    claimed = (49 + 7 - 2) / 2 / stiffest
    assert claimed <= limit <= 1.05 * claimed
    size = {}
    for factor in (1.0, 1.1):
        run = evolve(*common, f"time.dt={factor * claimed}", f"time.end={200 * factor * claimed}")
        size[factor] = np.abs(run.states[-1]).max()
    assert size[1.0] < 0.5 < 1e3 < size[1.1]


def test_an_automatic_step_follows_a_solution_that_becomes_stiffer(placement):
    """Cahn-Hilliard's explicit part grows with u^2 as the phases part."""
    from pdesim.engine.simulation import Simulation

    plan = make_plan("equation=cahn_hilliard", "grid=[64]", "time.dt=auto", "time.end=150",
                     "initial={u: 'random_normal(0.001)'}", "output.frames=64")  # fmt: skip
    simulation = Simulation(plan, placement)
    final = list(simulation.frames())[-1]
    assert np.abs(final.state).max() < 1.5
    assert simulation.plan.step.dt < plan.step.dt
