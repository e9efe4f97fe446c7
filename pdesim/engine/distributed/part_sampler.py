"""Observables, stop conditions and rates of change of a grid that several devices share.

Each device reduces the values of its own rows. The results of all rows are gathered and reduced in
the order of one device, so that no device needs the complete state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.distributed.communicator import Communicator
from pdesim.engine.distributed.decomposition import Part, part_of, reach
from pdesim.engine.distributed.forms import ExtendedRows
from pdesim.engine.sampler import Sampler, root_mean_square, squares_of_rows
from pdesim.engine.step import StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.formula import Reduction
from pdesim.operators.grid_reductions import reduce_all_rows, reduce_rows
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.problem import Problem


@dataclass(frozen=True)
class PartRows:
    """The rows of a device with as many ghost rows as some formulas read.

    Args:
        context: the problem on the complete grid, with the number of members of the device.
        problem: the problem that contains the formulas, on the complete grid.
        part: the rows, with any number of ghost rows.
        communicator: the other devices.
    """

    context: StepContext
    problem: Problem
    part: Part
    communicator: Communicator
    _arrays: dict[str, tuple[Any, tf.Tensor]] = field(default_factory=dict, compare=False)

    @cached_property
    def wide(self) -> Part:
        """The rows with the ghost rows that the formulas read."""
        ghosts, part = reach(self.problem), self.part
        before, after = (ghosts if there else 0 for there in (part.before, part.after))
        return replace(part, before=before, after=after)

    @cached_property
    def here(self) -> StepContext:
        """The problem on these rows."""
        return replace(self.context, problem=part_of(self.context.problem, self.wide))

    @cached_property
    def formulas(self) -> Problem:
        """The problem that contains the formulas, on these rows."""
        return part_of(self.problem, self.wide)

    def extended(self, state: tf.Tensor) -> tf.Tensor:
        """Return the state of the device's rows with ghost rows."""
        return self._form.extended(state)

    @cached_property
    def _form(self) -> ExtendedRows:
        return ExtendedRows(TimeLoop(self.here), self.wide, 1, self.communicator)

    def own(self, rows: tf.Tensor) -> tf.Tensor:
        """Return values of rows without those of ghost rows."""
        return rows[..., self.wide.interior]

    def of_all(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the values of all rows of the grid from those of the device's rows."""
        return tf.constant(np.concatenate(self.communicator.gather(rows.numpy()), axis=-1))

    def parameters(self, given: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return parameters, of which those with one value for each cell are those of the rows."""
        result, axis = dict(given), -self.problem.grid.dimensions
        for name in self.context.problem.equation.arrays:
            known = self._arrays.get(name)
            if known is None or known[0] is not given[name]:
                rows = tf.gather(given[name], self.wide.extended, axis=axis)
                known = self._arrays[name] = (given[name], rows)
            result[name] = known[1]
        return result


@dataclass(frozen=True)
class PartSampler:
    """The values that a sampler of the complete grid returns, from the rows of all devices.

    Args:
        sampler: the sampler of the complete grid.
        rows: the rows of the device.
    """

    sampler: Sampler
    rows: PartRows

    def program(self, parameters: Any, state: tf.Tensor, time: tf.Tensor) -> np.ndarray:
        """Return the values; see :meth:`pdesim.engine.sampler.Sampler.sample`.

        Args:
            state: the state of the device's rows.
        """
        given, lead = self.rows.parameters(parameters), state.shape[: -1 - self._dimensions]
        extended = self.rows.extended(state) if self._reductions else state
        known: dict[str, tf.Tensor] = {}
        values = []
        for number, reduction in enumerate(self._reductions):
            found = self._reduced_rows(number, {**given, **known}, extended, time)
            total = self._total(number, self.rows.of_all(found))
            known[reduction.symbol.name] = tf.cast(total, self.rows.context.dtype)
            values.append(np.reshape(total.numpy().astype(np.float64), (*lead, 1)))
        if self.sampler.cells:
            values.append(np.reshape(self._probed(state), (*lead, -1)))
        return np.concatenate(values, axis=-1) if values else np.zeros((*lead, 0))

    @property
    def _dimensions(self) -> int:
        return self.rows.problem.grid.dimensions

    @property
    def _reductions(self) -> Sequence[Reduction]:
        return self.sampler.problem.equation.reductions

    @cached_property
    def _reduced_rows(self) -> Any:
        """``reduced_rows(number, parameters, extended, time)``: a reduction of each own row."""
        here, formulas = self.rows.here, self.rows.formulas

        def trace(number: int, parameters: Any, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
            at = here.per_member(time, self._dimensions)
            system = replace(here.system(parameters), problem=formulas)
            reduction = self._reductions[number]
            (values,) = system.values_of([reduction.inner], state, at)
            return self.rows.own(reduce_rows(reduction.word, values, formulas))

        return here.compiled(trace)

    @cached_property
    def _total(self) -> Any:
        """``total(number, rows)``: a reduction of the complete grid, from those of all rows."""

        def trace(number: int, rows: tf.Tensor) -> tf.Tensor:
            word, members = self._reductions[number].word, bool(self.rows.context.members)
            return reduce_all_rows(word, rows, self.sampler.problem, keep=members)

        return self.rows.context.compiled(trace)

    def _probed(self, state: tf.Tensor) -> np.ndarray:
        """Return all fields at the probes, ``(..., probes, fields)``."""
        grid, part = self.rows.problem.grid, self.rows.part
        row = grid.cells // part.total
        flat = state.numpy().reshape(*state.shape[: -self._dimensions], -1)
        places = np.array(self.sampler.cells) - part.first * row
        inside = (places >= 0) & (places < part.rows * row)
        here = np.where(inside, flat[..., np.where(inside, places, 0)], 0).astype(np.float64)
        values = np.sum(self.rows.communicator.gather(here, equal=True), axis=0)
        return self._at_probes(values).numpy()

    @cached_property
    def _at_probes(self) -> Any:
        """``at_probes(values)``: the fields at probes, from their values in cells."""
        return self.rows.context.compiled(self.sampler.at_probes)


@dataclass(frozen=True)
class PartRates:
    """Root mean squares of du/dt and of each field, from the rows of all devices."""

    rows: PartRows

    def program(self, parameters: Any, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """See :attr:`pdesim.engine.time_loop.TimeLoop.rates`."""
        given, extended = self.rows.parameters(parameters), self.rows.extended(state)
        return self._total(self.rows.of_all(self._squares(given, extended, time)))

    @cached_property
    def _squares(self) -> Any:
        here = self.rows.here

        def trace(parameters: Any, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
            system: MethodOfLines = here.system(parameters)
            return self.rows.own(squares_of_rows(here, system, state, time))

        return here.compiled(trace)

    @cached_property
    def _total(self) -> Any:
        context = self.rows.context
        return context.compiled(lambda rows: root_mean_square(context.problem, rows))
