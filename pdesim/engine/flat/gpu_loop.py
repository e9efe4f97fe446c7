"""The loop over steps on flat arrays, for GPUs.

Each field is a separate flat array with ghost cells. A right-hand side is then one kernel, which
reads and writes every field once, with vector instructions and without a select for each neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import tensorflow as tf

from pdesim.engine.flat.flat_loop import FlatLoop, flat_rhs, flat_system
from pdesim.engine.flat.layout import FlatLayout, aligned, middle
from pdesim.engine.flat.position_arrays import PositionArrays
from pdesim.engine.flat.rhs import FlatRightHandSide
from pdesim.engine.flat.walls import Place
from pdesim.engine.plain_loop import PlainLoop
from pdesim.engine.step import StepContext

#: number of exchanges of ghost cells on small grids between two tests whether steps remain, for
#: which the host waits for the device
EXCHANGES = 8


@dataclass(frozen=True)
class GpuLoop:
    """Steps on flat arrays in GPU memory; see :class:`pdesim.engine.time_loop.TimeLoop`.

    Args:
        layout: the layout of the grid as one array.
        in_place: whether ghost cells are written into the arrays of large grids, which takes
            several small kernels; otherwise one kernel copies the arrays and adds the ghost cells.
    """

    context: StepContext
    layout: FlatLayout
    in_place: bool

    @property
    def steps_at_once(self) -> int:
        return self.layout.steps

    @cached_property
    def position(self) -> PositionArrays:
        return PositionArrays(self.context, self.layout)

    @cached_property
    def advance(self) -> Any:
        return self.position.passed_to(self.trace_advance, index=5)

    def trace_advance(self, carry, start, dt, first, last, parameters, coefficients, *arrays):
        """Trace ``advance``, as one loop for each of ``_phases``.

        Args:
            arrays: the position arrays, if there are any.
        """
        context, layout = self.context, self.layout
        packed, unpack = context.pack(carry)
        fixed = self.position.rows(arrays[0] if arrays else None, 0, layout.rows, layout)
        inputs = tf.reduce_max(last) - first, parameters, Place(), self.position, fixed

        def step(index, values, rhs, resting):
            system = flat_system(context, rhs)
            new = context.step(system, 1, index, unpack(values), start, dt, coefficients)
            new = tf.concat(aligned(*tf.nest.flatten(new)), axis=-2)
            if not resting:
                return new
            return context.select_members(index < last, *aligned(new, values))

        def exchange_and_step(steps, resting, index, *fields):
            rhs = flat_rhs(context, layout, *inputs)
            values = self._surrounded(fields, rhs)
            for number in range(steps):
                values = rhs.stored(values) if number else values
                values = step(index + number, values, rhs, resting)
            return index + steps, *self._held(values)

        fields = self._held(layout.pad(packed))
        for steps, times, stop, resting in self._phases(last):
            group = partial(_repeated, times, partial(exchange_and_step, steps, resting))

            def fits(index, *_, taken=steps * times, stop=stop):
                return index + taken <= stop

            first, *fields = tf.while_loop(fits, group, (first, *fields))
        flat = middle(tf.concat(fields, axis=-2), (layout.rows + 2) * layout.row)
        carry = tf.nest.map_structure(layout.on_grid, unpack(flat))
        system = context.system(parameters)
        return PlainLoop(context).leave(system, carry, start, dt, last, coefficients)

    def _phases(self, last: tf.Tensor) -> list[tuple[int, int, tf.Tensor, bool]]:
        """Return how many steps are taken together: as many as possible, then single steps.

        Returns:
            For each phase, the number of steps per exchange of ghost cells, the number of exchanges
            at a time, the step at which the phase ends, and whether some members may rest.
        """
        steps, everyone = self.layout.steps, tf.reduce_min(last)
        phases = [(steps, 1, everyone, False)]
        if not self.in_place:
            phases.insert(0, (steps, EXCHANGES, everyone, False))
        if self.context.members or steps > 1:
            phases.append((1, 1, tf.reduce_max(last), self.context.members > 0))
        return phases

    def _held(self, values: tf.Tensor) -> list[tf.Tensor]:
        """Return the array of each field as a loop carries it.

        If ghost cells are written in place, the arrays have room for all of them.
        """
        beyond = self.layout.ghosts if self.in_place else 1
        values = _lengthened(values, (self.layout.rows + 2 * beyond) * self.layout.row)
        return tf.split(values, values.shape[-2], axis=-2)

    def _surrounded(self, fields: Sequence[tf.Tensor], rhs: FlatRightHandSide) -> tf.Tensor:
        """Return the fields as one array, with valid ghost cells."""
        known = self.context.cost.carried_fields
        if self.in_place:
            return rhs.exchanged(tf.concat(fields, axis=-2), known)
        extended = self.layout.extended(fields, fields, fields)
        return rhs.reflected(rhs.stored(extended), known)

    @property
    def advance_adaptive(self) -> Any:
        return FlatLoop(self.context, self.layout).advance_adaptive


def _repeated(times: int, body: Callable[..., tuple], *state) -> tuple:
    """Return the state after a constant number of iterations.

    XLA launches all kernels of such a loop without waiting for the device.
    """
    if times == 1:
        return body(*state)
    return tf.while_loop(
        lambda number, *_: number < times,
        lambda number, *state: (number + 1, *body(*state)),
        (tf.constant(0), *state),
    )[1:]


def _lengthened(values: tf.Tensor, length: int) -> tf.Tensor:
    """Return an array cropped at both ends, or extended by zeros, to a length."""
    missing = (length - values.shape[-1]) // 2
    if missing <= 0:
        return middle(values, length)
    return tf.pad(values, [*[(0, 0)] * (values.shape.rank - 1), (missing, missing)])
