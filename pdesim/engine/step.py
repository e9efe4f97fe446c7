"""One step inside a trace: what all loops over steps have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.engine.stored import StoringSystem, tensors
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.problem import Problem
from pdesim.steppers.base import Carry
from pdesim.steppers.cost import Cost, cost_of

#: distance from both ends of a step at which it evaluates formulas, relative to the time: a few
#: units of rounding
MARGIN = 1e-15


@dataclass(frozen=True)
class Target:
    """The form in which steps are compiled.

    Args:
        fused: by XLA.
        flat: on flat arrays where the problem allows it, which is fastest on CPUs.
        one_kernel: with as few kernels as possible, which is fastest on GPUs.
        separate_fields: fields of a flat state are computed one by one, for a compiler that puts
            them into one kernel; a step has no stages then.
    """

    fused: bool = True
    flat: bool = False
    one_kernel: bool = False
    separate_fields: bool = False


@dataclass(frozen=True)
class StepContext:
    """A problem, a stepper and the form of its program.

    With ``members``, a program advances that many runs at once: states have one more axis in
    front, and numbers have the shape ``(members,)``.
    """

    problem: Problem
    stepper: Any
    dtype: tf.DType
    target: Target = Target()
    members: int = 0
    tuning: Tuning = TUNING

    @cached_property
    def cost(self) -> Cost:
        return cost_of(self.stepper, self.problem)

    @property
    def bytes_per_cell(self) -> int:
        """Bytes of a state, of all members together, divided by the number of cells."""
        return self.dtype.size * len(self.problem.equation.fields) * max(self.members, 1)

    @property
    def grid_axes(self) -> list[int]:
        return list(range(-self.problem.grid.dimensions, 0))

    def system(self, parameters: Mapping[str, tf.Tensor], axes: int = 0) -> MethodOfLines:
        """The method of lines; parameters of members are shaped to multiply one field.

        Args:
            axes: of a field; 0: those of the grid.
        """
        axes = axes or self.problem.grid.dimensions
        shaped = {name: self.per_member(value, axes) for name, value in parameters.items()}
        return MethodOfLines(
            self.problem, self.dtype, self.target.fused, shaped, self.members,
            one_kernel=self.target.one_kernel,
        )  # fmt: skip

    def per_member(self, numbers: tf.Tensor, axes: int) -> tf.Tensor:
        """One number for each member, shaped to broadcast against arrays of ``axes`` more axes."""
        return tf.reshape(numbers, (self.members, *[1] * axes)) if self.members else numbers

    def compiled(self, function: Callable) -> Any:
        return tf.function(function, jit_compile=self.target.fused, autograph=False)

    def stored(self, system: MethodOfLines) -> Any:
        """The system of one step, in which stages are kernels of their own on a GPU."""
        if not self.target.one_kernel or not self.cost.is_local:
            return system
        stages = self.cost.neighbors_read | (self.cost.reused - self.cost.slopes)
        stages -= set(self.cost.outputs)

        return StoringSystem(system, stages, lambda _, values: xla.optimization_barrier(values)[0])

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
        """What is carried after step ``index`` of an interval that begins at ``start``.

        Args:
            system: of tensors, or a ``StoringSystem``.
            axes: of one field.
        """
        step_dt = self.per_member(tf.cast(dt, self.dtype), axes + 1)

        def stage_time(c: Any) -> tf.Tensor:
            # from the interval's start, so that any division into blocks gives equal bits
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
        """The state after a step from time ``now``, and its error estimate."""
        step_dt = self.per_member(tf.cast(dt, self.dtype), axes + 1)

        def stage_time(c: Any) -> tf.Tensor:
            return self.per_member(self.inside_step(now + c * dt, c), axes)

        if not isinstance(system, StoringSystem):
            return self.stepper.step_with_error(system, carry, stage_time, step_dt)
        return tensors(
            self.stepper.step_with_error(system, system.wrap(carry), stage_time, step_dt)
        )

    def inside_step(self, time: tf.Tensor, c: Any) -> tf.Tensor:
        """The time of a stage; at both ends of a step a time just inside it.

        A formula that switches at the end of a step then has the value that it has within the step.
        """
        if not self.problem.is_time_dependent or not isinstance(c, float) or c not in (0.0, 1.0):
            return time
        inwards = 1.0 if c == 0.0 else -1.0
        moved = time + inwards * MARGIN * tf.abs(time)
        return tf.math.nextafter(moved, tf.constant(inwards * np.inf, tf.float64))

    def extract(
        self, system: MethodOfLines, carry: Carry, time: Any, dt: Any, coefficients: Any
    ) -> tuple:
        """What is carried, the state, and whether each field is finite.

        What is carried is None where it is the state: two results would be two arrays.
        """
        state = self.stepper.extract(system, carry, time, dt, coefficients)
        carry = None if state is carry else carry
        return carry, state, self._is_finite(state)

    @cached_property
    def _is_finite(self) -> Any:
        def trace(state: tf.Tensor) -> tf.Tensor:
            return tf.reduce_all(tf.math.is_finite(state), axis=self.grid_axes)

        return self.compiled(trace)

    def select_members(self, chosen: tf.Tensor, new: Carry, old: Carry) -> Carry:
        """All parts of what is carried, of the chosen members new and of the others old."""

        def pick(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
            shape = (*chosen.shape, *[1] * (a.shape.rank - chosen.shape.rank))
            return tf.where(tf.reshape(chosen, shape), a, b)

        return tf.nest.map_structure(pick, new, old)

    def pack(self, carry: Carry) -> tuple[tf.Tensor, Callable[..., Carry]]:
        """All that is carried as one tensor on the grid, and the function that parts it.

        Joining and parting in every step would be passes over memory.
        """
        on_grid, parts = -1 - self.problem.grid.dimensions, tf.nest.flatten(carry)
        sizes = [part.shape[on_grid] for part in parts]

        def part(values: tf.Tensor, axis: int = -2) -> Carry:
            return tf.nest.pack_sequence_as(carry, tf.split(values, sizes, axis=axis))

        return tf.concat(parts, axis=on_grid), part

    def sizes(self, carry: Carry) -> Sequence[int]:
        """The number of fields in each part of what is carried."""
        axis = -1 - self.problem.grid.dimensions
        return [part.shape[axis] for part in tf.nest.flatten(carry)]
