"""The stepper in CONTRIBUTING, as written there: its order, its storage, its stability limit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan

from pdesim import steppers
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.step import StepContext, Target
from pdesim.engine.time_loop import TimeLoop
from pdesim.steppers.cost import cost_of
from pdesim.steppers.stability import linearise, stable_step
from pdesim.verify.orders import measure_time

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
#: cuts small grids into slabs and tiles
FINELY = Tuning(
    small_grid_depths={}, two_band_bytes=1, single_band_bytes=1,
    tile_bytes=1, tile_width=9, cores=2,
    ghost_rows={2: 6}, max_ghost_rows={2: 6},
)  # fmt: skip


@pytest.fixture(scope="module")
def example():
    (code,) = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(), re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    namespace = {"__name__": __name__}
    exec(code, namespace)
    yield steppers.METHODS["williamson3"]
    del steppers.METHODS["williamson3"], steppers._REGISTERED["williamson3"]


@pytest.fixture(scope="module")
def plan():
    return make_plan("equation=gray_scott", "grid=[24,64]", "device.precision=float64", "time.dt=1",
                     "stepper=rk4")  # fmt: skip


def final(plan, stepper, steps: int, duration: float, flat: bool, tuning: Tuning) -> np.ndarray:
    context = StepContext(plan.problem, stepper, tf.float64, Target(flat=flat), tuning=tuning)
    loop = TimeLoop(context)
    if flat:
        assert loop.slabs is not None if tuning is FINELY else loop.layout is not None
    zero, dt = tf.constant(0.0, tf.float64), tf.constant(duration / steps, tf.float64)
    coefficients = loop.coefficients.tensors(duration / steps)
    carry = loop.init(tf.constant(plan.state), zero, dt, loop.parameters, coefficients)
    first, last = tf.constant(0, tf.int64), tf.constant(steps, tf.int64)
    return loop.advance(carry, zero, dt, first, last, loop.parameters, coefficients)[1].numpy()


def test_its_cost_follows_from_its_step(example, plan):
    cost = cost_of(steppers.build_stepper("williamson3", plan.problem), plan.problem)
    # three chained right-hand sides; both stages and the change, which it carries on, are stored
    assert cost.depth == 3 and cost.is_local
    assert len(cost.neighbors_read) == 2 and cost.buffers == (2, 2, 2)


@pytest.mark.parametrize(
    "flat, tuning",
    [(False, Tuning()), (True, Tuning(small_grid_depths={})), (True, FINELY)],
    ids=["plain", "flat", "tiled"],
)
def test_its_order_on_every_loop(example, plan, flat, tuning):
    stepper, exact = (steppers.build_stepper(n, plan.problem) for n in ("williamson3", "rk4"))
    reference = final(plan, exact, 400, 20.0, False, Tuning())
    errors = [
        np.abs(final(plan, stepper, steps, 20.0, flat, tuning) - reference).max()
        for steps in (20, 40)
    ]
    # 3 as dt -> 0; 0.15 is what the next term of the error makes of it at these steps
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.15)


def test_its_stability_limit_on_diffusion(example):
    plan = make_plan("equation=heat", "grid=32")
    linearised = linearise(plan.problem, plan.state, np.zeros(1))
    limit = stable_step(steppers.build_stepper("williamson3", plan.problem), linearised, 1e3)
    # its polynomial is that of all three-stage methods of order three: stable on [-2.5127, 0]
    stiffest = 8 * plan.equation.parameters["D"] / plan.grid.spacing[0] ** 2
    assert limit * stiffest == pytest.approx(2.5127, rel=1e-3)


def test_its_order_is_measured_as_that_of_any_other(example):
    plan = make_plan("equation=allen_cahn", "grid=16", "domain.dimensions=1")
    measured = measure_time(plan.problem, "williamson3")
    assert measured.order == pytest.approx(3, abs=0.1)
