"""The arrays in memory to which the steps of a tile write in place."""

from __future__ import annotations

from dataclasses import dataclass, field

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.engine.flat.layout import middle
from pdesim.engine.stored import Slot
from pdesim.steppers.cost import Cost


@dataclass
class Workspace:
    """The arrays of one step of a tile during tracing.

    Args:
        old, new: the parts of the carried data, arrays as long as the tile with its ghost cells.
            The step computes the ghost cells of ``old`` beyond walls.
        buffers: arrays for intermediate results, with the sizes of ``cost.buffers``.
        is_taken: whether the step is one of the requested steps; if not, the carried data are
            unchanged.
    """

    old: list[tf.Tensor]
    new: list[tf.Tensor]
    buffers: list[tf.Tensor]
    is_taken: tf.Tensor
    cost: Cost
    _written: set[int] = field(default_factory=set)

    @property
    def carried(self) -> list[Slot]:
        """The slots of the carried data before the step."""
        return [Slot(self.old, part) for part in range(len(self.old))]

    def store(self, number: int, values: tf.Tensor) -> Slot:
        """Write an array of the step to its buffer and return the buffer."""
        if number in self.cost.outputs:
            return self.write_output(values, self.cost.outputs[number])
        buffer = self.cost.buffer_of[number]
        self.buffers[buffer] = write_middle(self.buffers[buffer], values)
        return Slot(self.buffers, buffer)

    def write_output(self, values: tf.Tensor, part: int) -> Slot:
        """Store a part of the carried data after the step; only the first call writes."""
        if part not in self._written:
            before = middle(self.old[part], values.shape[-1])
            values = tf.where(self.is_taken, values, before)
            self.new[part] = write_middle(self.new[part], values)
            self._written.add(part)
        return Slot(self.new, part)


def write_middle(array: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Return an array with its middle replaced by ``values``."""
    beyond = (array.shape[-1] - values.shape[-1]) // 2
    # complete axes begin at 0 in any case; computing (0, n) would be a separate kernel
    place = tf.constant([*[1] * (values.shape.rank - 1), beyond])
    return xla.dynamic_update_slice(array, values, place)
