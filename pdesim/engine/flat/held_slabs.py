"""Steps of a single run on a large grid, whose state remains in slabs between blocks of steps.

Copying a large state to slabs and back takes as long as several steps, so that it would dominate
blocks of few steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import tensorflow as tf

from pdesim.engine.flat.position_arrays import PositionArrays
from pdesim.engine.flat.slabs import Slabs
from pdesim.engine.flat.tiled_loop import adaptive_steps, arrays_of_slabs, sweep_of
from pdesim.engine.held import Held
from pdesim.engine.step import StepContext


@dataclass(frozen=True)
class HeldSlabs:
    """The steps of a run in slabs; see :class:`pdesim.engine.held.RunLoop`.

    The stepper must carry the state itself.

    Args:
        slabs: the slabs, for fixed or for adaptive steps.
    """

    context: StepContext
    slabs: Slabs

    def advance(self, carry, start, dt, first, last, parameters, coefficients) -> tuple:
        """Take fixed steps; see :attr:`pdesim.engine.time_loop.Loop.advance`."""
        held = self.enter(carry, parameters)
        numbers = start, dt, first, last, parameters, coefficients
        pieces, finite = self._steps(held.slabs, held.stored, *numbers)
        return self._held(pieces, held.stored), None, finite

    def advance_adaptive(self, carry, *numbers) -> tuple:
        """Take adaptive steps; see :attr:`pdesim.engine.time_loop.Loop.advance_adaptive`."""
        *_, parameters = numbers
        held = self.enter(carry, parameters)
        progress, pieces, finite = self._adaptive_steps(held.slabs, held.stored, *numbers)
        return self._held(pieces, held.stored), None, finite, progress

    def _held(self, pieces: list[tf.Tensor], arrays: list) -> Held:
        return Held(pieces, arrays, partial(self._join, pieces))

    def enter(self, carry: Held | tf.Tensor, parameters: Any) -> Held:
        """Return a state in slabs."""
        return carry if isinstance(carry, Held) else self._held(*self._enter(carry, parameters))

    @cached_property
    def _position(self) -> PositionArrays:
        return PositionArrays(self.context, self.slabs.tile.full_width)

    @cached_property
    def _enter(self) -> Any:
        def enter(state: tf.Tensor, parameters: Any) -> tuple[list[tf.Tensor], list]:
            arrays = arrays_of_slabs(self._position, self.slabs, parameters)
            return self.slabs.split(state, self.context.compiled), arrays

        return tf.function(enter, autograph=False)

    @cached_property
    def _join(self) -> Any:
        # compiled by XLA, it would take twice the memory and the time
        return tf.function(self.slabs.join, autograph=False)

    @cached_property
    def _steps(self) -> Any:
        def trace(pieces, arrays, start, dt, first, last, parameters, coefficients):
            numbers = start, dt, parameters, coefficients
            sweep = sweep_of(
                self.context, self.slabs, self._position, self.context.state_spec, numbers
            )
            pieces = self.slabs.advance(pieces, arrays, first, last, sweep)[1]
            return pieces, self.slabs.finite(pieces, self.context.compiled)

        return tf.function(trace, autograph=False)

    @cached_property
    def _adaptive_steps(self) -> Any:
        def trace(pieces, arrays, *numbers):
            given = self.context, self.slabs, self._position, pieces, arrays
            progress, pieces = adaptive_steps(*given, *numbers)
            return progress, pieces, self.slabs.finite(pieces, self.context.compiled)

        return tf.function(trace, autograph=False)
