"""Forms in which one device of several stores its rows between exchanges with its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from pdesim.engine.distributed.communicator import Communicator
from pdesim.engine.distributed.decomposition import Part
from pdesim.engine.flat.position_arrays import PositionArrays
from pdesim.engine.flat.slabs import Slabs
from pdesim.engine.flat.tiled_loop import arrays_of_slabs, sweep_of, trial_of
from pdesim.engine.step import StepContext
from pdesim.engine.time_loop import TimeLoop
from pdesim.steppers.base import Carry


class Form(Protocol):
    """The rows of one device in the form in which it computes them.

    All devices call the same methods in the same order.

    Attributes:
        steps: the number of steps between two exchanges.
        width: the number of rows that a device receives from each neighbour.
    """

    @property
    def steps(self) -> int: ...

    @property
    def width(self) -> int: ...

    def enter(self, carry: Carry, parameters: Mapping[str, tf.Tensor]) -> Any:
        """Return the carried data of the device's rows in this form."""

    def leave(self, stored: Any) -> tuple[Carry, tf.Tensor | None]:
        """Return the carried data of the device's rows, and their state.

        The state is None if it has to be computed from the carried data.
        """

    def selected(self, good: np.ndarray, new: Any, old: Any) -> Any:
        """Return the rows ``new`` of the members for which ``good`` is true, ``old`` of others."""

    def advance(self, stored, start, dt, first, last, parameters, coefficients) -> Any:
        """Exchange rows, and take up to ``steps`` steps; see :attr:`TimeLoop.advance`."""

    def trial(self, stored, time, dt, tolerance, scale, parameters) -> tuple[Any, tf.Tensor]:
        """Exchange rows and take one step.

        Returns:
            The rows after the step, and the sums of their squared errors.
        """


@dataclass(frozen=True)
class ExtendedRows:
    """One array for the rows of a device and the ghost rows on both sides.

    Args:
        inner: the programs for these arrays.
        part: the rows.
        steps: the number of steps between two exchanges.
        records_steps: whether observables of every step are recorded.
    """

    inner: TimeLoop
    part: Part
    steps: int
    communicator: Communicator
    records_steps: bool = False

    @property
    def width(self) -> int:
        return max(self.part.before, self.part.after)

    def enter(self, carry: Carry, parameters: Mapping[str, tf.Tensor]) -> Any:
        return carry, None

    def leave(self, stored: Any) -> tuple[Carry, tf.Tensor | None]:
        carry, state = self.cropped(stored)
        return carry, carry if self.inner.context.stepper.carries_state else state

    def selected(self, good: np.ndarray, new: Any, old: Any) -> Any:
        return self.inner.select_members(good, self.cropped(new[0]), self.cropped(old[0])), None

    def advance(self, stored, start, dt, first, last, parameters, coefficients) -> Any:
        carried, state, _ = self._step_loop.advance(
            self.extended(stored[0]), start, dt, first, last, parameters, coefficients
        )
        return (state if carried is None else carried), state

    def trial(self, stored, time, dt, tolerance, scale, parameters) -> tuple[Any, tf.Tensor]:
        extended = self.extended(stored[0])
        new, sums = self._trial(extended, time, dt, tolerance, scale, parameters)
        return (new, None), sums

    @property
    def _step_loop(self) -> Any:
        """The loop over steps: the form in which one device takes them."""
        return self.inner.loop_of_single_steps if self.records_steps else self.inner

    @cached_property
    def _trial(self) -> Any:
        """See :meth:`pdesim.engine.plain_loop.PlainLoop.trial`; the sums are those of own rows."""
        trials = self._step_loop if self.records_steps else self.inner.loop_of_trials
        return trials.trial(self.part.interior)

    def cropped(self, values: Any) -> Any:
        """Return arrays without ghost rows."""
        return tf.nest.map_structure(self._own, values)

    def extended(self, values: Any) -> Any:
        """Return arrays with ghost rows from both neighbours."""
        return tf.nest.map_structure(self._with_ghosts, values)

    @property
    def _axis(self) -> int:
        """The array axis that is divided."""
        return -self.inner.problem.grid.dimensions

    def _rows(self, values: tf.Tensor, first: int, count: int) -> tf.Tensor:
        index: list[Any] = [slice(None)] * values.shape.rank
        index[self._axis] = slice(first, first + count)
        return values[tuple(index)]

    def _before(self, values: tf.Tensor) -> int:
        """Return the number of ghost rows before the device's rows; 0 if there are none."""
        return 0 if values.shape[self._axis] == self.part.rows else self.part.before

    def _own(self, values: tf.Tensor) -> tf.Tensor:
        if values is None or values.shape[self._axis] == self.part.rows:
            return values
        return self._rows(values, self.part.before, self.part.rows)

    def _with_ghosts(self, values: tf.Tensor) -> tf.Tensor:
        begin, rows, ghosts = self._before(values), self.part.rows, self.width
        first = self._rows(values, begin, ghosts)
        last = self._rows(values, begin + rows - ghosts, ghosts)
        return self._replaced(values, *self.communicator.exchange(first, last))

    @cached_property
    def _replaced(self) -> Any:
        """``replaced(values, before, after)``: the device's rows with new ghost rows."""

        def trace(values: tf.Tensor, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
            pieces = [before] if self.part.before else []
            pieces += [self._own(values)] + ([after] if self.part.after else [])
            return tf.concat(pieces, axis=values.shape.rank + self._axis)

        return self.inner.context.compiled(trace)


class Deferred:
    """An exchange that takes place when its result is first needed."""

    def __init__(self, exchange: Callable[[], Any]) -> None:
        self._exchange, self._found = exchange, None

    def result(self) -> Any:
        if self._found is None:
            self._found = self._exchange()
        return self._found


class InSlabs(NamedTuple):
    """The rows of a device in slabs.

    Args:
        slabs: the flat slabs.
        arrays: for each slab, its position arrays, or None.
        beyond: the neighbours' rows before the first and after the last slab, when they arrive.
    """

    slabs: list[tf.Tensor]
    arrays: list
    beyond: Future | Deferred


@dataclass(frozen=True)
class RowsInSlabs:
    """The slabs of a device's rows, which are some of the slabs of the complete grid.

    The neighbours' rows are used as the ghost rows of the first and the last slab, so that no array
    is copied for an exchange. If an exchange takes long, these two slabs take their steps before
    the others, and the next exchange takes place meanwhile, in a thread of its own.

    Args:
        context: the problem on the complete grid.
        slabs: the slabs of the device's rows, for fixed or for adaptive steps.
        position: the position arrays of the device's rows and ghost rows.
        before: the number of ghost rows before them in these arrays.
        overlaps: whether exchanges take place while slabs are computed.
    """

    context: StepContext
    slabs: Slabs
    position: PositionArrays
    before: int
    communicator: Communicator
    overlaps: bool = False
    _programs: dict[str, Any] = field(default_factory=dict, compare=False)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "pdesim-exchange"), compare=False
    )

    @property
    def steps(self) -> int:
        return self.slabs.tile.steps

    @property
    def width(self) -> int:
        return self.slabs.tile.ghosts

    def enter(self, carry: Carry, parameters: Mapping[str, tf.Tensor]) -> Any:
        if not self._programs:
            self._programs.update(self._traced(carry))
        slabs, *edges = self._programs["enter"](carry)
        return InSlabs(slabs, self._programs["arrays"](parameters), self._exchange(edges))

    def leave(self, stored: Any) -> tuple[Carry, tf.Tensor | None]:
        if self.overlaps:
            stored.beyond.result()  # the other devices wait for this exchange
        carry = self._programs["join"](stored.slabs)
        return carry, carry if self.context.stepper.carries_state else None

    def finite(self, stored: Any) -> tf.Tensor:
        """Return whether each field is finite in the device's rows.

        An exchange that overlaps has ended afterwards, before others begin.
        """
        if self.overlaps:
            stored.beyond.result()
        return self._programs["finite"](stored.slabs)

    def selected(self, good: np.ndarray, new: Any, old: Any) -> Any:
        raise AssertionError("only single runs are computed in slabs by several devices")

    def advance(self, stored, start, dt, first, last, parameters, coefficients) -> Any:
        numbers = stored.beyond.result(), first, last, (start, dt, parameters, coefficients)
        early, *edges = self._programs["early"](stored.slabs, stored.arrays, *numbers)
        beyond = self._exchange(edges)
        late = self._programs["late"](stored.slabs, stored.arrays, *numbers) if self._late else []
        by_number = dict(zip([*self._early, *self._late], [*early, *late], strict=True))
        slabs = [by_number[number] for number in range(self.slabs.count)]
        return InSlabs(slabs, stored.arrays, beyond)

    def trial(self, stored, time, dt, tolerance, scale, parameters) -> tuple[Any, tf.Tensor]:
        numbers = stored.beyond.result(), time, dt, (tolerance, scale, parameters)
        slabs, sums, *edges = self._programs["trials"](stored.slabs, stored.arrays, *numbers)
        new = InSlabs(slabs, stored.arrays, self._exchange(edges))
        if self.overlaps:
            new.beyond.result()  # before the sums are exchanged
        return new, sums

    def _exchange(self, edges: Sequence[tf.Tensor]) -> Future | Deferred:
        exchange = partial(self.communicator.exchange, *edges)
        return self._thread.submit(exchange) if self.overlaps else Deferred(exchange)

    @cached_property
    def _early(self) -> list[int]:
        """The slabs that take their steps before an exchange.

        If exchanges overlap, they are the first and the last one, and others that make them as
        many as use all cores.
        """
        count, cores = self.slabs.count, self.context.tuning.threads
        if not self.overlaps:
            return list(range(count))
        half = min(count, max(2, -(-count // (2 * cores)) * cores))
        return [*range(half - 1), count - 1] if count > 1 else [0]

    @cached_property
    def _late(self) -> list[int]:
        return [number for number in range(self.slabs.count) if number not in self._early]

    def _traced(self, carry: Carry) -> dict[str, Any]:
        """Return the programs.

        Args:
            carry: the carried data, whose structure and shapes are used.
        """
        context, slabs, position = self.context, self.slabs, self.position
        on_grid = -1 - context.problem.grid.dimensions
        sizes = context.sizes(carry)
        like = tf.nest.map_structure(tf.TensorSpec.from_tensor, carry)
        edges = context.compiled(slabs.edges)

        def enter(carry):
            pieces = slabs.split(context.pack(carry)[0], context.compiled)
            return pieces, *edges(pieces[0], pieces[-1])

        def arrays(parameters):
            return arrays_of_slabs(position, slabs, parameters, self.before)

        def join(pieces):
            whole = slabs.join(pieces)
            parts = [whole] if len(sizes) == 1 else tf.split(whole, sizes, axis=on_grid)
            return tf.nest.pack_sequence_as(like, parts)

        def finite(pieces):
            return slabs.finite(pieces, context.compiled)

        def sweeps(numbers_of_slabs, pieces, arrays, beyond, first, last, numbers):
            sweep = sweep_of(context, slabs, position, like, numbers)
            surrounded = slabs.surrounded(pieces, arrays, beyond)
            return [sweep(surrounded[n], first, last - first) for n in numbers_of_slabs]

        def early(*inputs):
            new = sweeps(self._early, *inputs)
            return new, *edges(new[0], new[-1])

        def trials(pieces, arrays, beyond, time, dt, numbers):
            trial = trial_of(context, slabs, position, like, numbers)
            each = zip(slabs.surrounded(pieces, arrays, beyond), slabs.lengths, strict=True)
            new, sums = zip(*(trial(slab, rows, time, dt) for slab, rows in each), strict=True)
            return list(new), tf.add_n(sums), *edges(new[0], new[-1])

        graphs = {
            "enter": enter, "arrays": arrays, "early": early, "trials": trials, "join": join,
            "late": partial(sweeps, self._late), "finite": finite,
        }  # fmt: skip
        return {k: tf.function(v, autograph=False) for k, v in graphs.items()}
