"""Flat bands against the plain formulation, and against any division into blocks and bands."""

import shlex

import numpy as np
import pytest
import tensorflow as tf

from pdesim.blocks import Blocks
from pdesim.config import compose_settings
from pdesim.operators import bands
from pdesim.plan import build_plan

STEPS = 23

PROBLEMS = {
    "one field": "equation=heat grid=[24,20] stepper=euler",
    "three dimensions": "equation=heat grid=[8,10,24] stepper=heun",
    "one dimension": "equation=allen_cahn grid=64 stepper=euler",
    "reaction": "equation=gray_scott grid=[20,37] stepper=rk4",
    "diagonals": "equation=gray_scott grid=[16,24] stepper=euler operators.isotropic=true",
    "sixth order": "equation=gray_scott grid=[16,40] stepper=euler operators.order=6",
    "many stages": "equation=heat grid=[16,64] stepper=rkl2",
    "advection": "equation=burgers grid=[32,24] stepper=rk4 operators=stencil",
    "nested pointwise": (
        "equation=custom grid=[20,24] stepper=euler equation.fields=[u] "
        "equation.rhs.u=\"'divergence((1 + u**2)*gradient(u)) + d_dx(u**2)'\""
    ),
}


class Run:
    """A plan's blocks from its first state."""

    def __init__(self, words: str, banded: bool) -> None:
        composed = compose_settings([*shlex.split(words), "device.precision=float64"])
        plan = build_plan(composed.settings, composed.equation)
        self.blocks = Blocks(plan.problem, plan.stepper, tf.float64, True, 0, banded)
        self.zero, self.dt = (tf.constant(v, tf.float64) for v in (0.0, plan.step.dt))
        self.numbers = self.blocks.parameters, self.blocks.coefficients(plan.step.dt)
        state = tf.constant(plan.state, tf.float64)
        self.carry = self.blocks.begin(state, self.zero, self.dt, *self.numbers)

    def to(self, *stops: int) -> np.ndarray:
        carry = self.carry
        for first, last in zip((0, *stops), stops, strict=False):
            steps = tf.constant(first, tf.int64), tf.constant(last, tf.int64)
            carry, state, _ = self.blocks.advance(carry, self.zero, self.dt, *steps, *self.numbers)
        return state.numpy()


@pytest.mark.parametrize("words", PROBLEMS.values(), ids=PROBLEMS)
def test_bands_compute_what_the_plain_form_does(words, monkeypatch):
    plain = Run(words, banded=False).to(STEPS)
    run = Run(words, banded=True)
    assert run.blocks.bands is not None
    banded = run.to(STEPS)
    # sums are grouped alike; what is left is how XLA contracts constants
    assert np.abs(banded - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
    assert np.array_equal(run.to(7, 8, STEPS), banded), "another division into blocks"
    monkeypatch.setattr(bands, "WHOLE_BYTES", 1)
    monkeypatch.setattr(bands, "BAND_BYTES", 1)
    many = Run(words, banded=True)
    if many.blocks.bands.count > 1:
        assert np.abs(many.to(STEPS) - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
        assert np.array_equal(many.to(7, 8, STEPS), many.to(STEPS))


def test_some_bands_do_not_divide_the_grid(monkeypatch):
    monkeypatch.setattr(bands, "WHOLE_BYTES", 1)
    monkeypatch.setattr(bands, "BAND_BYTES", 1)
    run = Run(PROBLEMS["reaction"], banded=True)
    assert run.blocks.bands.count > 1
    assert run.blocks.problem.grid.shape[0] % run.blocks.bands.rows


@pytest.mark.parametrize(
    "words",
    [
        "equation=heat grid=32 boundary=neumann",
        "equation=heat grid=32 operators=conv",
        "equation=swift_hohenberg grid=32 operators=stencil",
        "equation=gray_scott grid=32 stepper=dormand_prince",
        "equation=wave grid=32 stepper=verlet",
        "equation=heat grid=4 stepper=rkl2",
    ],
)
def test_what_bands_cannot_serve_stays_plain(words):
    composed = compose_settings(shlex.split(words))
    plan = build_plan(composed.settings, composed.equation)
    assert Blocks(plan.problem, plan.stepper, tf.float32, True, 0, True).bands is None
