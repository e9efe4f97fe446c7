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
class Slot:
    """The place of a stored array in a list of tensors.

    The tensor is replaced when its ghost cells are computed. All later operations read the new
    tensor, so that the compiler can write the ghost cells in place.
    """

    tensors: list[tf.Tensor]
    index: int = 0

    @property
    def tensor(self) -> tf.Tensor:
        return self.tensors[self.index]

    @tensor.setter
    def tensor(self, values: tf.Tensor) -> None:
        self.tensors[self.index] = values


#: ``fill(array, fields, time)``: an array with the ghost cells of fields, given by their indices in
#: the equation (None for fields that need none)
Fill = Callable[[tf.Tensor, Sequence["int | None"], Any], tf.Tensor]


@dataclass
class StoringSystem:
    """The system of one step with numbered arrays; see :mod:`pdesim.steppers.cost`.

    Args:
        inner: the system of tensors.
        stored: the numbers of the arrays that are stored.
        store: called with a number and an array; stores the array and returns its slot.
        crop: crops flat arrays.
        fill: computes the ghost cells of a stored array before its neighbours are read; None if
            the arrays need none.
        carried: the slots of the carried data; None to create them.
    """

    inner: Any
    stored: Collection[int]
    store: Callable[[int, tf.Tensor], Slot]
    crop: Crop | None = None
    fill: Fill | None = None
    carried: Sequence[Slot] | None = None
    _count: int = field(default=0, init=False)

    def wrap(self, carry: Carry) -> Carry:
        """Wrap the carried data; to be called once, before any other method."""
        parts = tf.nest.flatten(carry)
        self._count = len(parts)
        slots = self.carried or [Slot([part]) for part in parts]
        known = [
            self._in_slot(slot, part.shape[-1]) for slot, part in zip(slots, parts, strict=True)
        ]
        return tf.nest.pack_sequence_as(carry, known)

    def _in_slot(self, slot: Slot, length: int) -> StoredArray:
        crop = self.crop or (lambda values, _: values)
        return StoredArray(self, length, lambda n: crop(slot.tensor, n), slot=slot)

    def make(self, length: int, build: Callable[[int], tf.Tensor]) -> StoredArray:
        """Return a new array of the step.

        Args:
            build: returns the values of a given number of cells in the middle.
        """
        number, self._count = self._count, self._count + 1
        if number in self.stored:
            return self._in_slot(self.store(number, build(length)), length)
        return StoredArray(self, length, build)

    def _evaluated(self, values: tf.Tensor) -> StoredArray:
        crop = self.crop or (lambda values, _: values)
        return self.make(values.shape[-1], lambda length: crop(values, length))

    def rhs(self, state: StoredArray, time: Any) -> StoredArray:
        if self.fill is not None:
            formulas = self.inner.problem.equation.formulas
            self._fill_fields(formulas, self.unstack(state), time)
        return self._evaluated(self.inner.rhs(state.tensor, time))

    def evaluate(self, formulas: Sequence, state: Any, time: Any) -> StoredArray:
        fields = self.unstack(state) if isinstance(state, StoredArray) else state
        if self.fill is not None:
            self._fill_fields(formulas, fields, time)
        return self._evaluated(self.inner.evaluate(formulas, [f.tensor for f in fields], time))

    def _fill_fields(self, formulas: Sequence, fields: Sequence[StoredArray], time: Any) -> None:
        """Compute the ghost cells of the fields whose neighbours the formulas read."""
        assert self.fill is not None
        arrays: dict[int, tuple[Slot, dict[int, int]]] = {}
        for index in self.inner.fields_with_neighbors(formulas):
            slot, row = fields[index].slot, fields[index].row
            assert slot is not None and row is not None  # arrays whose neighbours are read
            arrays.setdefault(id(slot.tensor), (slot, {}))[1][row] = index
        for slot, rows in arrays.values():
            of_rows = [rows.get(row) for row in range(slot.tensor.shape[-2])]
            slot.tensor = self.fill(slot.tensor, of_rows, time)

    def stack(self, fields: Sequence[StoredArray]) -> StoredArray:
        return self._evaluated(self.inner.stack([f.tensor for f in fields]))

    def unstack(self, state: StoredArray) -> list[StoredArray]:
        """Return the fields of an array; those of a stored array remain parts of it."""

        def one(row: int) -> StoredArray:
            def build(length: int) -> tf.Tensor:
                return self.inner.unstack(state.cropped(length))[row]

            return StoredArray(self, state.length, build, slot=state.slot, row=row)

        return [one(row) for row in range(len(self.inner.unstack(state.tensor)))]

    def column(self, values: tf.Tensor) -> tf.Tensor:
        return self.inner.column(values)


@dataclass(frozen=True)
class StoredArray:
    """An array of a :class:`StoringSystem`: stored values, or an expression of stored values.

    Args:
        length: the number of cells along the last axis.
        build: the values of a number of cells in the middle; operands are cropped before they are
            combined, so that the compiled arithmetic does not depend on their lengths.
        slot: the slot of stored values; None for an expression.
        row: the index of a field in the array in ``slot``; None for all fields.
    """

    system: StoringSystem
    length: int
    build: Callable[[int], tf.Tensor]
    slot: Slot | None = None
    row: int | None = None
    _built: dict[int, tf.Tensor] = field(default_factory=dict)

    @property
    def tensor(self) -> tf.Tensor:
        return self.cropped(self.length)

    def cropped(self, length: int) -> tf.Tensor:
        if self.slot is not None:
            return self.build(length)  # the slot may contain another tensor now
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
