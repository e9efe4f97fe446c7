"""Step loops of plans, for comparisons between the plain form, flat arrays and tiles."""

import functools
import shlex

import numpy as np
import tensorflow as tf

from pdesim.config.compose import compose_settings
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.step import StepContext, Target
from pdesim.engine.time_loop import TimeLoop
from pdesim.plan import build_plan

STEPS = 23

#: several steps to one exchange of ghost cells, also on the small grids of the tests
DEEP = Tuning(small_grid_depths={})


def finely(cores: int = 3, ghosts: int = 2, most: int = 0, width: int = 9) -> Tuning:
    """Cut small grids into as many slabs, and those into as many tiles, as possible."""
    return Tuning(
        small_grid_depths={}, two_band_bytes=1, single_band_bytes=1,
        tile_bytes=1, tile_width=width, cores=cores,
        ghost_rows=dict.fromkeys((1, 2, 3), ghosts),
        max_ghost_rows=dict.fromkeys((1, 2, 3), most),
    )  # fmt: skip


class Run:
    """A plan's step loop from its initial state."""

    def __init__(
        self, words: str, flat: bool, separate: bool = False, tuning: Tuning = DEEP
    ) -> None:
        composed = compose_settings([*shlex.split(words), "device.precision=float64"])
        plan = build_plan(composed.settings, composed.equation)
        target = Target(flat=flat, separate_fields=separate)
        self.loop = TimeLoop(
            StepContext(plan.problem, plan.stepper, tf.float64, target, tuning=tuning)
        )
        self.zero, self.dt = (tf.constant(v, tf.float64) for v in (0.0, plan.step.dt))
        self.numbers = self.loop.parameters, self.loop.coefficients.tensors(plan.step.dt)
        state = tf.constant(plan.state, tf.float64)
        self.carry = self.loop.init(state, self.zero, self.dt, *self.numbers)

    def to(self, *stops: int) -> np.ndarray:
        carry = self.carry
        for first, last in zip((0, *stops), stops, strict=False):
            steps = tf.constant(first, tf.int64), tf.constant(last, tf.int64)
            new, state, _ = self.loop.advance(carry, self.zero, self.dt, *steps, *self.numbers)
            carry = state if new is None else new
        return state.numpy()


@functools.cache
def plain_form(words: str) -> np.ndarray:
    """The state after ``STEPS`` steps of the plain formulation."""
    return Run(words, flat=False).to(STEPS)
