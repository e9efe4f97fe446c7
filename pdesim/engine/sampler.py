"""Values of observables, probes and stop conditions, in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.step import StepContext
from pdesim.operators.grid_reductions import combined, reduce_rows
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.observables import Observables
from pdesim.operators.problem import Problem


@dataclass(frozen=True)
class Sampler:
    """The values that a problem of :mod:`pdesim.operators.observables` and its probes need.

    Args:
        context: the problem, the precision and the number of members.
        problem: the problem whose reductions are computed.
        cells: the indices of cells in the flattened grid, ``(probes, cells per probe)``.
        weights: the weights of these cells.
    """

    context: StepContext
    problem: Problem
    cells: tuple[tuple[int, ...], ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()

    @property
    def size(self) -> int:
        """The number of values."""
        fields = len(self.context.problem.equation.fields)
        return len(self.problem.equation.reductions) + len(self.cells) * fields

    def sample(self, parameters: Mapping[str, tf.Tensor], state: tf.Tensor, time: Any) -> tf.Tensor:
        """Return all values in float64, ``(size,)`` or ``(members, size)``; in a trace.

        They are the reductions, and the fields at the probes (all fields of the first probe first).
        """
        axes = self.context.problem.grid.dimensions
        system = self.context.system(parameters)
        at = self.context.per_member(time, axes)
        state = system.consistent(state, at)
        system = replace(system, problem=self.problem)
        values = []
        for reduction in (
            *self.problem.boundary.reductions, *self.problem.equation.reductions,
        ):  # fmt: skip
            system, value = system.with_reduction(reduction, state, at)
            values.append(value)
        values = values[len(self.problem.boundary.reductions) :]
        lead = (self.context.members,) if self.context.members else ()
        parts = [tf.reshape(tf.cast(value, tf.float64), (*lead, 1)) for value in values]
        parts += [tf.reshape(self._probed(state), (*lead, -1))] if self.cells else []
        return tf.concat(parts, axis=-1) if parts else tf.zeros((*lead, 0), tf.float64)

    def _probed(self, state: tf.Tensor) -> tf.Tensor:
        """Return all fields at the probes, ``(..., probes, fields)``."""
        before = state.shape[: state.shape.rank - self.context.problem.grid.dimensions]
        flat = tf.reshape(state, (*before, -1))
        values = tf.cast(tf.gather(flat, np.array(self.cells), axis=-1), tf.float64)
        return self.at_probes(values)

    def at_probes(self, values: tf.Tensor) -> tf.Tensor:
        """Return all fields at the probes, ``(..., probes, fields)``.

        Args:
            values: the values in the cells of the probes, ``(..., fields, probes, cells)``.
        """
        total = tf.reduce_sum(values * np.array(self.weights), axis=-1)
        return tf.linalg.matrix_transpose(total)

    @cached_property
    def program(self) -> Any:
        """``program(parameters, state, time)``: see :meth:`sample`."""
        return self.context.compiled(self.sample)


def squares_of_rows(
    context: StepContext, system: MethodOfLines, state: tf.Tensor, time: tf.Tensor
) -> tf.Tensor:
    """Return the sums over each row of the squares of du/dt and of each field, in a trace.

    Cells of obstacles count as zero in both. The shape is ``(2, ..., fields, rows)``.
    """
    at = context.per_member(time, context.problem.grid.dimensions)
    values = tf.stack([system.rhs(state, at), state])
    return reduce_rows("integral", tf.square(tf.cast(values, tf.float64)), context.problem)


def root_mean_square(problem: Problem, rows: tf.Tensor) -> tf.Tensor:
    """Return root mean squares from the sums of squares of all rows.

    Args:
        problem: the problem on the complete grid.
    """
    return tf.sqrt(combined("integral", rows) / problem.grid.cells)


def sampler_of(context: StepContext, observables: Observables) -> Sampler:
    """Return the sampler of observables and probes."""
    longest = max((len(probe.cells) for probe in observables.probes), default=0)

    def padded(values: tuple) -> tuple:
        return values + (0,) * (longest - len(values))

    return Sampler(
        context,
        observables.problem,
        tuple(padded(probe.cells) for probe in observables.probes),
        tuple(padded(probe.weights) for probe in observables.probes),
    )
