"""One step inside a trace, shared by all loops over steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.engine.stored import Slot, StoringSystem, tensors
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.nonlocal_terms import with_kernels
from pdesim.operators.problem import Problem
from pdesim.steppers.base import Carry
from pdesim.steppers.cost import Cost, cost_of

#: formulas are evaluated at least this far from both ends of a step, as a fraction of the time: a
#: few rounding errors
MARGIN = 1e-15


@dataclass(frozen=True)
class Target:
    """Options of the compilation of steps.

    Args:
        fused: compile with XLA.
        flat: use flat arrays if the problem supports them.
        for_gpu: the form for GPUs: as few kernels as possible, and separate arrays for fields.
        separate_fields: compute fields of a flat state separately, for a compiler that fuses them
            into one kernel; requires a step without stages.
        library_convolutions: compute convolutions by ``tf.nn``, which is fastest on GPUs; otherwise
            by products with banded matrices.
    """

    fused: bool = True
    flat: bool = False
    for_gpu: bool = False
    separate_fields: bool = False
    library_convolutions: bool = False


#: the fastest forms on GPUs
GPU_TARGET = Target(flat=True, for_gpu=True, library_convolutions=True)


@dataclass(frozen=True)
class StepContext:
    """A problem, a stepper and the options of its program.

    With ``members``, a program advances several runs together: states have an additional leading
    axis, and scalars have the shape ``(members,)``. ``together`` is the number of members of the
    complete batch if these are only those of one of several devices; 0 otherwise.
    """

    problem: Problem
    stepper: Any
    dtype: tf.DType
    target: Target = Target()
    members: int = 0
    tuning: Tuning = TUNING
    together: int = 0

    @cached_property
    def cost(self) -> Cost:
        return cost_of(self.stepper, self.problem)

    @property
    def bytes_per_cell(self) -> int:
        """Bytes of the states of all members of the batch, divided by the number of cells.

        Layouts are chosen by this size, so that they are the same on one device and on several.
        """
        members = max(self.members, self.together, 1)
        return self.dtype.size * len(self.problem.equation.fields) * members

    @property
    def state_bytes(self) -> int:
        """Bytes of the states of all members of the batch."""
        return self.bytes_per_cell * self.problem.grid.cells

    @property
    def state_spec(self) -> tf.TensorSpec:
        """The shape and the type of the state of one run."""
        shape = len(self.problem.equation.fields), *self.problem.grid.shape
        return tf.TensorSpec(shape, self.dtype)

    @property
    def grid_axes(self) -> list[int]:
        return list(range(-self.problem.grid.dimensions, 0))

    def system(self, parameters: Mapping[str, tf.Tensor], axes: int = 0) -> MethodOfLines:
        """Return the method of lines; parameters of members are shaped to multiply one field.

        Args:
            axes: the number of axes of a field; 0 for those of the grid.
        """
        axes = axes or self.problem.grid.dimensions
        arrays = self.problem.equation.arrays
        shaped = {
            name: value if name in arrays else self.per_member(value, axes)
            for name, value in parameters.items()
        }
        system = MethodOfLines(
            self.problem, self.dtype, self.target.fused, shaped, self.members,
            for_gpu=self.target.for_gpu,
            library_convolutions=self.target.library_convolutions,
        )  # fmt: skip
        return with_kernels(system)

    def per_member(self, numbers: tf.Tensor, axes: int) -> tf.Tensor:
        """Reshape one value per member to broadcast against arrays of ``axes`` more axes."""
        return tf.reshape(numbers, (self.members, *[1] * axes)) if self.members else numbers

    def compiled(self, function: Callable) -> Any:
        return tf.function(function, jit_compile=self.target.fused, autograph=False)

    def stored(self, system: MethodOfLines) -> Any:
        """Return the system of one step, in which stages are separate kernels on a GPU."""
        if not self.target.for_gpu or not self.cost.is_local:
            return system
        stages = self.cost.neighbors_read | (self.cost.reused - self.cost.slopes)
        stages -= set(self.cost.outputs)

        def store(_: int, values: tf.Tensor) -> Slot:
            return Slot([xla.optimization_barrier(values)[0]])

        return StoringSystem(system, stages, store)

    def step(
        self,
        system: Any,
        axes: int,
        index: Any,
        carry: Carry,
        start: Any,
        dt: Any,
        coefficients: Any,
    ) -> Carry:
        """Return the carried data after step ``index`` of an interval that begins at ``start``.

        Args:
            system: a system of tensors, or a ``StoringSystem``.
            axes: the number of axes of a field.
        """
        step_dt = self.per_member(tf.cast(dt, self.dtype), axes + 1)

        def stage_time(c: Any) -> tf.Tensor:
            # relative to the interval's start, so that results do not depend on the division into
            # blocks
            time = start + (tf.cast(index, tf.float64) + c) * dt
            return self.per_member(self.inside_step(time, c), axes)

        if not isinstance(system, StoringSystem):
            return self.stepper.step(system, carry, stage_time, step_dt, coefficients)
        return tensors(
            self.stepper.step(system, system.wrap(carry), stage_time, step_dt, coefficients)
        )

    def step_with_error(
        self, system: Any, axes: int, carry: tf.Tensor, now: Any, dt: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the state after a step from time ``now``, and its error estimate."""
        step_dt = self.per_member(tf.cast(dt, self.dtype), axes + 1)

        def stage_time(c: Any) -> tf.Tensor:
            return self.per_member(self.inside_step(now + c * dt, c), axes)

        if not isinstance(system, StoringSystem):
            return self.stepper.step_with_error(system, carry, stage_time, step_dt)
        return tensors(
            self.stepper.step_with_error(system, system.wrap(carry), stage_time, step_dt)
        )

    def inside_step(self, time: tf.Tensor, c: Any) -> tf.Tensor:
        """Return the time of a stage, moved just inside the step at both ends.

        A formula that switches at the end of a step then has its value from within the step.
        """
        if not self.problem.is_time_dependent or not isinstance(c, float) or c not in (0.0, 1.0):
            return time
        inwards = 1.0 if c == 0.0 else -1.0
        moved = time + inwards * MARGIN * tf.abs(time)
        return tf.math.nextafter(moved, tf.constant(inwards * np.inf, tf.float64))

    def extract(
        self, system: MethodOfLines, carry: Carry, time: Any, dt: Any, coefficients: Any
    ) -> tuple:
        """Return the carried data, the state, and whether each field is finite.

        The carried data are None if they are the state itself, since a program would return the
        same data as two arrays.
        """
        state = self.stepper.extract(system, carry, time, dt, coefficients)
        if self.problem.equation.constraints:
            consistent = system.consistent(state, time)
            carry = consistent if state is carry else carry
            state = consistent
        carry = None if state is carry else carry
        return carry, state, self._is_finite(state)

    @cached_property
    def _is_finite(self) -> Any:
        def trace(state: tf.Tensor) -> tf.Tensor:
            return tf.reduce_all(tf.math.is_finite(state), axis=self.grid_axes)

        return self.compiled(trace)

    def select_members(self, selected: tf.Tensor, new: Carry, old: Carry) -> Carry:
        """Return the carried data, ``new`` for selected members and ``old`` for the others."""

        def pick(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
            shape = (*selected.shape, *[1] * (a.shape.rank - selected.shape.rank))
            return tf.where(tf.reshape(selected, shape), a, b)

        return tf.nest.map_structure(pick, new, old)

    def pack(self, carry: Carry) -> tuple[tf.Tensor, Callable[..., Carry]]:
        """Return the carried data as one tensor on the grid, and the function that unpacks it.

        Loops pack the data once per call, not in every step, to avoid additional passes over
        memory.
        """
        on_grid, parts = -1 - self.problem.grid.dimensions, tf.nest.flatten(carry)
        sizes = [part.shape[on_grid] for part in parts]

        def part(values: tf.Tensor, axis: int = -2) -> Carry:
            return tf.nest.pack_sequence_as(carry, tf.split(values, sizes, axis=axis))

        # the concatenation of one tensor would be a copy
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=on_grid), part

    def sizes(self, carry: Carry) -> Sequence[int]:
        """Return the number of fields in each part of the carried data."""
        axis = -1 - self.problem.grid.dimensions
        return [part.shape[axis] for part in tf.nest.flatten(carry)]
