"""The step loop of a plan as a single call, for timing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.engine.integrator import Integrator
from pdesim.engine.simulation import Simulation
from pdesim.plan import Plan

#: the end time of adaptive steppers, in units of the first step: so late that no timing reaches it
FAR_STEPS = 1e9


def field_scales(state: np.ndarray) -> list[float]:
    """Return the standard deviation of each field, which is the scale of its errors."""
    return [max(float(np.std(field)), 1e-25) for field in state]


class Program:
    """The compiled step loop of a plan, with the initial state on the device.

    Args:
        plan: the plan; on one device of several, with the initial state of its rows.
        placement: the device.
        loop: the programs; by default, those of one device.
        scales: the scale of the errors of each field; by default, :func:`field_scales` of the
            initial state.
    """

    def __init__(
        self,
        plan: Plan,
        placement: Placement,
        loop: Any = None,
        scales: Sequence[float] | None = None,
    ) -> None:
        self.plan, self.placement, self._time_step = plan, placement, plan.step
        self.loop: Any = loop or Simulation(plan, placement).loop
        with tf.device(placement.name):
            self._state = tf.constant(plan.state, self.loop.dtype)
            self._start = tf.constant(float(plan.times[0]), tf.float64)
            self._dt = tf.constant(self.dt, tf.float64)
            self._scale = tf.constant(scales or field_scales(plan.state), self.loop.dtype)
            self._parameters = Integrator([plan], self.loop).parameters
            if not self._time_step.adaptive:
                numbers = self.loop.coefficients.host(self.dt, plan.equation.parameters)
                self._coefficients = self.loop.coefficients.as_tensors(numbers)
                self._carry = self.loop.init(
                    self._state, self._start, self._dt, self._parameters, self._coefficients
                )

    @property
    def carry(self) -> Any:
        """The carried data with which the first step begins."""
        return self._state if self._time_step.adaptive else self._carry

    @property
    def dt(self) -> float:
        """The length of the time steps; for adaptive steppers, that of the first step."""
        step = self._time_step
        return step.dt if step.adaptive else self.plan.shortest_step

    def run(self, steps: int) -> tf.Tensor:
        """Take a number of steps from the initial state, and return the last state.

        The steps are taken in a single call. The method returns when the device has finished.
        """
        with tf.device(self.placement.name):
            count = tf.constant(steps, tf.int64)
            adaptive = self._time_step.adaptive
            state, finite = self._advance_adaptive(count) if adaptive else self._advance(count)
        np.asarray(finite)  # waits for the device
        return state

    def _advance(self, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        first = tf.constant(0, tf.int64)
        _, state, finite = self.loop.advance(
            self._carry, self._start, self._dt, first, count, self._parameters,
            self._coefficients,
        )  # fmt: skip
        return state, finite

    def _advance_adaptive(self, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        tolerance = tf.constant(self._time_step.tolerance, tf.float64)
        end = self._start + FAR_STEPS * self._dt
        _, state, finite, _ = self.loop.advance_adaptive(
            self._state, self._start, end, self._dt, count, tolerance,
            self._scale, self._parameters,
        )  # fmt: skip
        return state, finite
