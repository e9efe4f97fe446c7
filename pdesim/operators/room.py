"""Arrays that the steps of a tile write to in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla


@dataclass
class Room:
    """Where one step of a tile writes to, while it is traced.

    Args:
        old, new: the parts of what is carried, arrays as long as the tile with its ghosts.
        kept: arrays for stages.
        taken: whether the step is one of those asked for; else nothing changes.
    """

    old: Sequence[tf.Tensor]
    new: list[tf.Tensor]
    kept: list[tf.Tensor]
    taken: tf.Tensor
    _free: list[int] = field(init=False)
    _taken_by: dict = field(default_factory=dict)
    _settled: dict[int, tf.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._free = list(range(len(self.kept)))

    def keep(self, values: tf.Tensor) -> tf.Tensor:
        """A stage, computed once for all that read it; what is settled has its place already."""
        if any(values is settled for settled in self._settled.values()):
            return values
        fits = (n for n in self._free if self.kept[n].shape[:-1] == values.shape[:-1])
        number = next(fits, None)
        if number is None:
            raise AssertionError("a step keeps more stages than its stepper says")
        self._free.remove(number)
        self.kept[number] = written(self.kept[number], values)
        stage = middle(self.kept[number], values.shape[-1])
        self._taken_by[stage.ref()] = number
        return stage

    def forget(self, stage: tf.Tensor) -> None:
        """Let the next stages have the array of one that nothing more is made of."""
        number = self._taken_by.pop(stage.ref(), None)
        if number is not None:
            self._free.append(number)

    def settle(self, values: tf.Tensor, part: int) -> tf.Tensor:
        """A part of what is carried after the step, which other parts may be made of."""
        if part not in self._settled:
            before = middle(self.old[part], values.shape[-1])
            self.new[part] = written(self.new[part], tf.where(self.taken, values, before))
            self._settled[part] = middle(self.new[part], values.shape[-1])
        return self._settled[part]


def written(array: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """An array whose middle are these values."""
    beyond = (array.shape[-1] - values.shape[-1]) // 2
    # whole axes begin at 0 whatever is asked for; (0, n) would become a kernel of its own
    place = tf.constant([*[1] * (values.shape.rank - 1), beyond])
    return xla.dynamic_update_slice(array, values, place)


def middle(value: tf.Tensor, length: int) -> tf.Tensor:
    """So many cells, without as many at both ends."""
    beyond = (value.shape[-1] - length) // 2
    return value[..., beyond : beyond + length] if beyond else value
