"""The step loop of one device of several, with exchanges of ghost rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine import error_control
from pdesim.engine.distributed.communicator import Communicator, agreed
from pdesim.engine.distributed.decomposition import Part, reach
from pdesim.engine.distributed.forms import ExtendedRows, Form, InSlabs, RowsInSlabs
from pdesim.engine.distributed.part_sampler import PartRates, PartRows, PartSampler
from pdesim.engine.field_statistics import FieldStatistics
from pdesim.engine.held import Held, RunLoop, on_grid
from pdesim.engine.perturbation import perturbed
from pdesim.engine.sampler import Sampler
from pdesim.engine.step import StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.model.bands import Band
from pdesim.operators.problem import Problem


@dataclass(frozen=True)
class DistributedLoop:
    """The programs of one device, with the interface of :class:`TimeLoop`.

    States and carried data are those of the device's own rows. Sums over the grid are those of all
    devices.

    Args:
        outer: the programs for the complete grid, which state the observables and the stop
            conditions.
        extended: the programs for the device's rows with ghost rows.
        form: the form in which steps are taken: ``extended``, or slabs.
    """

    outer: TimeLoop
    extended: ExtendedRows
    form: ExtendedRows | RowsInSlabs
    _arrays: dict[str, tuple[Any, tf.Tensor]] = field(default_factory=dict, compare=False)

    @property
    def inner(self) -> TimeLoop:
        """The programs for the device's rows with ghost rows."""
        return self.extended.inner

    @property
    def part(self) -> Part:
        return self.extended.part

    @property
    def communicator(self) -> Communicator:
        """The other devices."""
        return self.extended.communicator

    def with_communicator(self, communicator: Communicator) -> DistributedLoop:
        """Return the loop with another form of communication between the same devices."""
        extended = replace(self.extended, communicator=communicator)
        alone = self.form is self.extended
        form = extended if alone else replace(self.form, communicator=communicator)
        return replace(self, extended=extended, form=form)

    @property
    def records_steps(self) -> bool:
        """Whether observables of every step are recorded."""
        return self.outer.records_steps

    @property
    def cells(self) -> int:
        """The number of cells of the complete grid."""
        return self.outer.problem.grid.cells

    @property
    def context(self) -> StepContext:
        return self.inner.context

    @property
    def dtype(self) -> tf.DType:
        return self.inner.dtype

    @property
    def steps_at_once(self) -> int:
        if self.records_steps:
            return 1
        alone = self.form is self.extended
        return max(self.form.steps, self.inner.steps_at_once if alone else 1)

    @property
    def coefficients(self) -> Any:
        return self.inner.coefficients

    @property
    def parameter_tensors(self) -> Any:
        return self.inner.parameter_tensors

    @property
    def network_tensors(self) -> Any:
        return self.inner.network_tensors

    @property
    def select_members(self) -> Any:
        return self.inner.select_members

    def agree(self, value: float) -> float:
        """Return the value of the first device, on all devices."""
        return float(agreed(self.communicator, [value])[0])

    def whole(self, state: np.ndarray) -> np.ndarray:
        """Return the state of the complete grid, from the states of all devices."""
        return np.concatenate(self.communicator.gather(state), axis=self._axis)

    def in_cells(self, state: np.ndarray, spacing: int) -> np.ndarray:
        """See :meth:`pdesim.engine.time_loop.TimeLoop.in_cells`."""
        every = slice(None, None, spacing)
        rows = slice(-self.part.first % spacing, None, spacing)
        index: Any = (..., rows, *[every] * (-self._axis - 1))
        return np.concatenate(self.communicator.gather(state[index]), axis=self._axis)

    def bands(self, state: np.ndarray, rows: int) -> Iterator[Band]:
        """Yield the bands of the state of the complete grid, on all devices."""
        part, others = self.part, [slice(None)] * (-self._axis - 1)
        for first in range(0, part.total, rows):
            ends = (min(max(end - part.first, 0), part.rows) for end in (first, first + rows))
            own: Any = (..., slice(*ends), *others)
            yield first, np.concatenate(self.communicator.gather(state[own]), axis=self._axis)

    def ranges(self, state: np.ndarray) -> np.ndarray:
        """See :meth:`pdesim.engine.time_loop.TimeLoop.ranges`; these are those of all devices."""
        axes = tuple(range(1, state.ndim))
        # the difference is taken in the precision of the state, as on one device
        ends = np.stack([state.min(axis=axes), state.max(axis=axes)])
        low, high = np.moveaxis(np.stack(self.communicator.gather(ends, equal=True)), 1, 0)
        return np.asarray(high.max(axis=0) - low.min(axis=0), dtype=float)

    @property
    def description(self) -> list[str]:
        """Lines for the user on the division of the grid among devices."""
        often = f"{self.form.steps} steps" if self.form.steps > 1 else "step"
        return [
            f"{self.communicator.size} devices with about {self.part.rows} rows each, which "
            f"exchange {self.form.width} ghost rows before every {often}"
        ]

    def initial(self, state: tf.Tensor, parameters: Any, time: Any) -> tf.Tensor:
        """Return the state with which a run starts: the given state."""
        return state

    def init(self, state: tf.Tensor, time: Any, dt: Any, parameters: Any, coefficients: Any) -> Any:
        """Return the carried data with which the first step from a state begins."""
        given = self._with_arrays(parameters)
        extended = self.extended.extended(state)
        return self.extended.cropped(self.inner.init(extended, time, dt, given, coefficients))

    @property
    def of_run(self) -> RunLoop:
        """The functions by which a run advances; a state in slabs remains there."""
        return RunLoop(self._advance, self._advance_adaptive, self._enter)

    def advance(self, *arguments) -> tuple:
        """See :attr:`pdesim.engine.time_loop.Loop.advance`.

        If observables of every step are recorded, the last result contains the records, as that of
        :class:`pdesim.engine.observed_loop.ObservedLoop`.
        """
        return _on_grid(self._advance(*arguments))

    def advance_adaptive(self, *arguments) -> tuple:
        """See :attr:`pdesim.engine.time_loop.Loop.advance_adaptive`, and :meth:`advance`."""
        return _on_grid(self._advance_adaptive(*arguments))

    def _advance(self, carry, start, dt, first, last, parameters, coefficients) -> tuple:
        last = np.asarray(last)
        begin, end = int(first), int(last.max())
        given, rows = self._with_arrays(parameters), []

        def taken(form: Form, stored: Any, begin: int, until: int) -> Any:
            upto = tf.constant(np.minimum(last, until), tf.int64)
            first = tf.constant(begin, tf.int64)
            return form.advance(stored, start, dt, first, upto, given, coefficients)

        def left(stored: Any, at: int) -> tuple[Any, tf.Tensor]:
            carry, state = self.form.leave(stored)
            if state is None:  # no step: the state of the carried data
                stored = taken(self.extended, self.extended.enter(carry, given), at, at)
                state = self.extended.leave(stored)[1]
            return carry, state

        stored = self._entered(carry, given)
        while begin < end:
            until = min(begin + self.form.steps, end)
            if self.records_steps:
                place = tf.constant(np.minimum(last, begin), tf.int64)
                state = left(stored, begin)[1]
                rows.append(self._record(parameters, state, self._time(start, place, dt)))
            stored = taken(self.form, stored, begin, until)
            begin = until
        if (form := self._holding) is not None:
            return self._result(form, stored)
        carry, state = left(stored, end)
        records = [tf.constant(np.stack(rows))] if rows else []
        finite = self._finite(self._is_finite(state))
        return (None if carry is state else carry), state, finite, *records

    @property
    def _holding(self) -> RowsInSlabs | None:
        """The slabs in which the state remains between blocks of steps, or None."""
        form, alone = self.form, self.context.stepper.carries_state and not self.records_steps
        return form if isinstance(form, RowsInSlabs) and alone else None

    def _held(self, form: RowsInSlabs, stored: InSlabs) -> Held:
        return Held(stored.slabs, stored, lambda: form.leave(stored)[0])

    def _result(self, form: RowsInSlabs, stored: InSlabs) -> tuple:
        """Return the result of steps: the state in slabs, None, and whether it is finite."""
        return self._held(form, stored), None, self._finite(form.finite(stored))

    def _enter(self, carry: Any, parameters: Mapping[str, tf.Tensor]) -> Any:
        """See :attr:`pdesim.engine.held.RunLoop.enter`."""
        form = self._holding
        if form is None or isinstance(carry, Held):
            return carry
        return self._held(form, form.enter(carry, self._with_arrays(parameters)))

    def _entered(self, carry: Any, parameters: Mapping[str, tf.Tensor]) -> Any:
        """Return carried data in the form in which steps are taken."""
        if isinstance(carry, Held):
            return carry.stored
        return self.form.enter(carry, parameters)

    def _advance_adaptive(
        self, carry, time, end, dt, max_trials, tolerance, scale, parameters
    ) -> tuple:
        given, order = self._with_arrays(parameters), self.context.stepper.error_order
        zero = tf.zeros_like(time, tf.int64)
        progress, rows = (time, dt, zero, zero), []
        stored = self._entered(carry, given)
        while (now := error_control.active(progress, max_trials, end, time)).numpy().any():
            if self.records_steps:
                state = self.form.leave(stored)[0]
                rows.append((progress[2].numpy(), self._record(parameters, state, progress[0])))
            taken = error_control.next_step(progress, end)
            new, sums = self.form.trial(stored, progress[0], taken, tolerance, scale, given)
            total = np.sum(self.communicator.gather(sums.numpy(), equal=True), axis=0)
            size = error_control.error_size(tf.constant(total), self.cells)
            good, progress = error_control.judge_step(size, now, progress, end, order)
            stored = self._accepted(good.numpy(), new, stored)
        if (form := self._holding) is not None:
            return *self._result(form, stored), progress
        records = [tf.constant(_in_places(rows))] if rows else []
        state = self.form.leave(stored)[0]
        return None, state, self._finite(self._is_finite(state)), progress, *records

    def _accepted(self, good: np.ndarray, new: Any, old: Any) -> Any:
        """Return the rows after a trial step, or those before it for members that reject it."""
        if good.all():
            return new
        return self.form.selected(good, new, old) if good.any() else old

    @cached_property
    def _time(self) -> Any:
        """``time(start, index, dt)``: the start of a step, rounded as in a program of steps."""

        def trace(start: tf.Tensor, index: tf.Tensor, dt: tf.Tensor) -> tf.Tensor:
            return start + tf.cast(index, tf.float64) * dt

        return self.context.compiled(trace)

    def _record(self, parameters: Any, state: tf.Tensor, time: tf.Tensor) -> np.ndarray:
        """Return the time and the observables of a state, ``(..., 1 + values)``."""
        assert self.observed is not None
        values = self.observed.program(parameters, state, time)
        return np.concatenate([time.numpy()[..., np.newaxis], values], axis=-1)

    @cached_property
    def observed(self) -> PartSampler | GatheredProgram | None:
        """The program of observables, with the attribute ``program``; None if there are none."""
        return self._shared_sampler(self.outer.observed)

    @cached_property
    def condition(self) -> PartSampler | GatheredProgram | None:
        """The program of the stop condition; None if there is none."""
        return self._shared_sampler(self.outer.condition)

    def _shared_sampler(self, sampler: Sampler | None) -> PartSampler | GatheredProgram | None:
        if sampler is None:
            return None
        rows = self._part_rows(sampler.problem)
        # formulas that read further than the neighbouring devices need the complete state
        far = reach(sampler.problem) > self.part.total // self.communicator.size
        return GatheredProgram(self, lambda: sampler.program) if far else PartSampler(sampler, rows)

    @cached_property
    def rates(self) -> Any:
        """See :attr:`pdesim.engine.time_loop.TimeLoop.rates`."""
        return PartRates(self._part_rows(self.outer.problem)).program

    def _part_rows(self, problem: Problem) -> PartRows:
        return PartRows(self.outer.context, problem, self.part, self.communicator)

    @cached_property
    def field_statistics(self) -> FieldStatistics:
        """The statistics of states, on all devices."""
        slabs = self._holding.slabs if self._holding else None
        return FieldStatistics(self.context, self.cells, slabs, self._sum_of_all)

    def _sum_of_all(self, values: np.ndarray) -> np.ndarray:
        return np.sum(self.communicator.gather(values, equal=True), axis=0)

    def perturbed(self, state: tf.Tensor) -> tf.Tensor:
        """See :attr:`pdesim.engine.time_loop.TimeLoop.perturbed`."""
        return self._perturbed(state)

    @cached_property
    def _perturbed(self) -> Any:
        grid = self.outer.problem.grid
        return self.context.compiled(partial(perturbed, grid=grid, first=self.part.first))

    def _finite(self, here: tf.Tensor) -> tf.Tensor:
        """Return whether each field is finite on all devices, from whether it is on this one."""
        found = self.communicator.gather(here.numpy(), equal=True)
        return tf.constant(np.logical_and.reduce(found))

    @cached_property
    def _is_finite(self) -> Any:
        def trace(state: tf.Tensor) -> tf.Tensor:
            return tf.reduce_all(tf.math.is_finite(state), axis=self.context.grid_axes)

        return self.context.compiled(trace)

    @property
    def _axis(self) -> int:
        """The array axis that is divided."""
        return -self.context.problem.grid.dimensions

    def _with_arrays(self, parameters: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return parameters, of which those with one value for each cell are those of the part."""
        result = dict(parameters)
        for name in self.context.problem.equation.arrays:
            known = self._arrays.get(name)
            if known is None or known[0] is not parameters[name]:
                rows = tf.gather(parameters[name], self.part.extended, axis=self._axis)
                known = self._arrays[name] = (parameters[name], rows)
            result[name] = known[1]
        return result


def _on_grid(taken: tuple) -> tuple:
    """Return the result of steps with the state on the grid."""
    carry, state, *rest = taken
    return (None, on_grid(carry), *rest) if state is None else taken


def _in_places(rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the records of adaptive steps, in the order of accepted steps.

    Args:
        rows: for each trial, the number of accepted steps before (of each member), and the record
            of the state before, ``(..., 1 + values)``. That of a rejected step is replaced.
    """
    result = np.zeros((len(rows), *rows[0][1].shape))
    for accepted, values in rows:
        if accepted.ndim:
            result[accepted, np.arange(len(accepted))] = values
        else:
            result[accepted] = values
    return result


@dataclass(frozen=True)
class GatheredProgram:
    """A program of the complete grid, evaluated by the first device.

    Args:
        loop: the programs of a device.
        given: returns the program, which is compiled by the first device only.
    """

    loop: DistributedLoop
    given: Callable[[], Any]

    def program(self, parameters: Any, state: tf.Tensor, time: tf.Tensor) -> np.ndarray:
        """Return the program's result, on all devices."""
        communicator, result = self.loop.communicator, np.zeros(0)
        whole = self.loop.whole(state.numpy())
        if communicator.rank == 0:
            result = np.asarray(self.given()(parameters, tf.constant(whole), time))
        return communicator.gather(result)[0]
