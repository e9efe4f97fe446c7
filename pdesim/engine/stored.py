"""Arrays that a step computes, some of which are stored in memory.

The arrays support the arithmetic of a stepper. An array that must not be computed twice is stored
when it is created (:mod:`pdesim.steppers.cost`). All others are expressions, which the compiler
fuses into the kernel of the next stored array. Flat arrays lose cells at both ends with every
right-hand side, so operands are cropped to their common cells.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from pdesim.steppers.base import Carry

#: ``crop(values, length)``: the middle cells of flat values
Crop = Callable[[tf.Tensor, int], tf.Tensor]


@dataclass
class StoringSystem:
    """The system of one step with numbered arrays; see :mod:`pdesim.steppers.cost`.

    Args:
        inner: the system of tensors.
        stored: the numbers of the arrays that are stored.
        store: called with a number and an array; returns the same values, stored.
        crop: crops flat arrays.
    """

    inner: Any
    stored: Collection[int]
    store: Callable[[int, tf.Tensor], tf.Tensor]
    crop: Crop | None = None
    _count: int = field(default=0, init=False)

    def wrap(self, carry: Carry) -> Carry:
        """Wrap the carried data; to be called once, before any other method."""
        self._count = len(tf.nest.flatten(carry))
        return tf.nest.map_structure(self._known, carry)

    def _known(self, values: tf.Tensor) -> StoredArray:
        crop = self.crop
        build = (lambda _: values) if crop is None else (lambda length: crop(values, length))
        return StoredArray(self, values.shape[-1], build)

    def make(self, length: int, build: Callable[[int], tf.Tensor]) -> StoredArray:
        """Return a new array of the step.

        Args:
            build: returns the values of a given number of cells in the middle.
        """
        number, self._count = self._count, self._count + 1
        if number in self.stored:
            return self._known(self.store(number, build(length)))
        return StoredArray(self, length, build)

    def _evaluated(self, values: tf.Tensor) -> StoredArray:
        known = self._known(values)
        return self.make(known.length, known.build)

    def rhs(self, state: StoredArray, time: Any) -> StoredArray:
        return self._evaluated(self.inner.rhs(state.tensor, time))

    def evaluate(self, formulas: Sequence, state: Any, time: Any) -> StoredArray:
        fields = self.unstack(state) if isinstance(state, StoredArray) else state
        return self._evaluated(self.inner.evaluate(formulas, [f.tensor for f in fields], time))

    def stack(self, fields: Sequence[StoredArray]) -> StoredArray:
        return self._evaluated(self.inner.stack([f.tensor for f in fields]))

    def unstack(self, state: StoredArray) -> list[StoredArray]:
        return [self._known(values) for values in self.inner.unstack(state.tensor)]

    def column(self, values: tf.Tensor) -> tf.Tensor:
        return self.inner.column(values)


@dataclass(frozen=True)
class StoredArray:
    """An array of a :class:`StoringSystem`: stored values, or an expression of stored values.

    Args:
        length: the number of cells along the last axis.
        build: the values of a number of cells in the middle; operands are cropped before they are
            combined, so that the compiled arithmetic does not depend on their lengths.
    """

    system: StoringSystem
    length: int
    build: Callable[[int], tf.Tensor]
    _built: dict[int, tf.Tensor] = field(default_factory=dict)

    @property
    def tensor(self) -> tf.Tensor:
        return self.cropped(self.length)

    def cropped(self, length: int) -> tf.Tensor:
        if length not in self._built:
            self._built[length] = self.build(length)
        return self._built[length]

    def _with(self, other: Any, apply: Callable[[Any, Any], tf.Tensor]) -> StoredArray:
        if not isinstance(other, StoredArray):
            return self.system.make(self.length, lambda n: apply(self.cropped(n), other))
        length = min(self.length, other.length)
        return self.system.make(length, lambda n: apply(self.cropped(n), other.cropped(n)))

    def __add__(self, other: Any) -> StoredArray:
        return self._with(other, operator.add)

    def __radd__(self, other: Any) -> StoredArray:
        return self._with(other, lambda mine, others: others + mine)

    def __sub__(self, other: Any) -> StoredArray:
        return self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> StoredArray:
        return self._with(other, lambda mine, others: others - mine)

    def __mul__(self, other: Any) -> StoredArray:
        return self._with(other, operator.mul)

    def __rmul__(self, other: Any) -> StoredArray:
        return self._with(other, lambda mine, others: others * mine)


def tensors(carry: Carry) -> Carry:
    """Return the tensors of the results of a step."""
    return tf.nest.map_structure(lambda array: array.tensor, carry)
