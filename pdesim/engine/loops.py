"""Blocks of steps as compiled programs: one call advances many steps, of given or chosen size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import tensorflow as tf

from pdesim.engine import error_control, tiled_loop
from pdesim.engine.coefficients import Coefficients
from pdesim.operators import bands, flat, slabs
from pdesim.operators.bands import Band, Bands
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.problem import Problem
from pdesim.operators.slabs import Slabs
from pdesim.operators.time_parts import double_names

#: how far inside a step its ends are taken to be, relative to the time: a few units of rounding
MARGIN = 1e-15


@dataclass(frozen=True)
class Blocks:
    """The compiled programs of a problem and a stepper.

    Step counts, dt, parameters and the stepper's coefficients are arguments, so none of them
    traces a program again. With ``members``, a program advances that many runs at once, which may
    differ in all of them: states have an axis more in front, numbers become ``(members,)``.
    ``banded`` asks for what CPUs compute fastest, ``one_kernel`` for what GPUs do. ``apart`` works
    the numbers of a band out one by one, for a compiler that puts them into one kernel; a step has
    no stages then.
    """

    problem: Problem
    stepper: object
    dtype: tf.DType
    fused: bool
    members: int = 0
    banded: bool = False
    one_kernel: bool = False
    apart: bool = False

    def system(self, parameters) -> MethodOfLines:
        dimensions = self.problem.grid.dimensions
        parameters = {name: self._widen(value, dimensions) for name, value in parameters.items()}
        return MethodOfLines(
            self.problem, self.dtype, self.fused, parameters, self.members,
            one_kernel=self.one_kernel,
        )  # fmt: skip

    @cached_property
    def bands(self) -> Bands | None:
        """The state as a flat band, where it is ``banded`` and that can be."""
        depth = getattr(self.stepper, "depth", None)
        if not self.banded or depth is None or not flat.serves(self.problem):
            return None
        return bands.cut(self.problem, depth, self._bytes_a_cell)

    @cached_property
    def slabs(self) -> Slabs | None:
        """How a large grid in bands is cut for the cores."""
        if self.bands is None:
            return None
        return slabs.cut(self.bands, self._bytes_a_cell, 2 + self.stepper.kept)

    @property
    def _bytes_a_cell(self) -> int:
        return self.dtype.size * len(self.problem.equation.fields) * max(self.members, 1)

    @property
    def steps_at_once(self) -> int:
        """Steps from one exchange of ghosts to the next; fewer may cost as much."""
        bands = self.slabs.tile if self.slabs else self.bands
        return bands.steps if bands else 1

    def in_band(self, of: Bands, natural, parameters, room=None) -> MethodOfLines:
        """The method of lines for a band, which has one axis of cells."""
        band = Band(of, natural, self.system({}).library, self.dtype, room)
        parameters = {name: self._widen(value, 1) for name, value in parameters.items()}
        return replace(self.system({}), parameters=parameters, band=band)

    def _beside_field(self, numbers: tf.Tensor) -> tf.Tensor:
        """One number a member, shaped to broadcast against one field."""
        return self._widen(numbers, self.problem.grid.dimensions)

    def _beside_state(self, numbers: tf.Tensor) -> tf.Tensor:
        """One number a member, shaped to broadcast against the stacked fields."""
        return self._widen(numbers, self.problem.grid.dimensions + 1)

    def _widen(self, numbers: tf.Tensor, by: int) -> tf.Tensor:
        return tf.reshape(numbers, (self.members, *[1] * by)) if self.members else numbers

    @cached_property
    def parameters(self) -> dict[str, tf.Tensor]:
        """Those of the problem itself, for a single run."""
        return self.parameter_tensors(self.problem.equation.parameters, tf.constant)

    def parameter_tensors(self, values: Mapping[str, object], make) -> dict[str, tf.Tensor]:
        """Parameters as arguments of the programs, with float64 values for use beside the time.

        Args:
            make: called with a value and a type, returns a tensor.
        """
        in_double = double_names(self.problem, self.dtype.name)
        tensors = {name: make(value, self.dtype) for name, value in values.items()}
        return tensors | {in_double[name]: make(values[name], tf.float64) for name in in_double}

    @cached_property
    def coefficients(self) -> Coefficients:
        """The stepper's numbers for a dt."""
        return Coefficients(self.stepper, self.system({}))

    def compiled(self, function):
        return tf.function(function, jit_compile=self.fused, autograph=False)

    @cached_property
    def initial(self):
        """``initial(state)``: the state as a run computes with it, truncated if it is dealiased."""
        split, scheme = self.problem.split, self.problem.discretisation
        if not scheme.dealias or split.is_linear:
            return lambda state: state
        return self.compiled(self.system({}).truncated)

    @cached_property
    def init(self):
        """``init(state, time, dt, parameters, coefficients)``: what the stepper carries."""

        def trace(state, time, dt, parameters, coefficients):
            system, dt = self.system(parameters), self._beside_state(tf.cast(dt, self.dtype))
            return self.stepper.init(system, state, self._beside_field(time), dt, coefficients)

        return self.compiled(trace)

    @cached_property
    def advance(self):
        """``advance(carry, start, dt, first, last, parameters, coefficients)``.

        Takes the steps ``first`` to ``last`` of an interval that begins at ``start``; returns what
        is carried (nothing, where that is the state), the state, and whether each field is finite.
        Each of several members has a ``last`` of its own, and rests when it is reached.
        """

        def trace(carry, start, dt, first, last, parameters, coefficients):
            system, end = self.system(parameters), tf.reduce_max(last)
            numbers = start, dt, coefficients

            def one(index, carry):
                new = self.step(system, index, carry, *numbers)
                return index + 1, self._rested(index < last, new, carry)

            if self.bands is None:
                _, carry = tf.while_loop(lambda index, _: index < end, one, (first, carry))
            else:
                carry = self._in_bands(carry, first, last, parameters, numbers)
            stop = self._beside_field(start + tf.cast(last, tf.float64) * dt)
            step_dt = self._beside_state(tf.cast(dt, self.dtype))
            return self.finish(system, carry, stop, step_dt, coefficients)

        return self.compiled(trace) if self.slabs is None else tiled_loop.advance(self, trace)

    def step(self, system, index, carry, start, dt, coefficients):
        def clock(c):
            # from the interval's start, so that any division into blocks gives equal bits
            return self._widen(
                self.instant(start + (tf.cast(index, tf.float64) + c) * dt, c), system.axes
            )

        step_dt = self._widen(tf.cast(dt, self.dtype), system.axes + 1)
        return self.stepper.step(system, carry, clock, step_dt, coefficients)

    def instant(self, time: tf.Tensor, c) -> tf.Tensor:
        """The time of a stage, at both ends of a step just inside it.

        A formula that switches there then has the value that it has within the step.
        """
        if not self.problem.is_time_dependent or not isinstance(c, float) or c not in (0.0, 1.0):
            return time
        inwards = 1.0 if c == 0.0 else -1.0
        moved = time + inwards * MARGIN * tf.abs(time)
        return tf.math.nextafter(moved, tf.constant(inwards * np.inf, tf.float64))

    def _rested(self, active, new, old):
        """The new values, of several members only those that are not at their end."""
        if not self.members:
            return new
        return self._where(active, new, old)

    def _in_bands(self, carry, first, last, parameters, numbers):
        """The steps of a block, several at a time; then one by one, while some members rest."""
        end = tf.reduce_max(last)
        phases = [(self.bands, tf.reduce_min(last), False)]
        if self.members or self.bands.steps > 1:
            phases.append((replace(self.bands, steps=1), end, self.members > 0))
        if self.slabs:
            phases = phases[1:]  # the sweeps have taken the steps of all
        joined, part = self.joined(carry)
        parts = joined.shape[-1 - self.problem.grid.dimensions] if self.apart else 1
        # each piece in so many parts; a large grid in two pieces
        count = slabs.pieces(self.bands, self._bytes_a_cell)
        pieces = tf.split(joined, count, axis=-self.problem.grid.dimensions)
        whole = [tf.split(self.bands.widened(piece), parts, axis=-2) for piece in pieces]
        for band, stop, resting in phases:
            band = replace(band, rows=band.rows // count)
            system = self.in_band(band, end - first, parameters)

            def one(index, values, system=system, resting=resting):
                new = self._flat_step(system, part, index, values, *numbers, parts=parts)
                if resting:
                    old = tf.split(tf.concat(values, axis=-2), parts, axis=-2)
                    both = system.aligned(*new, *old)
                    new = self._where(index < last, both[:parts], both[parts:])
                return system.stored(new)

            def some(index, *whole, system=system, band=band, one=one):
                new = []
                for number, piece in enumerate(whole):
                    around = whole[number - 1], piece, whole[(number + 1) % len(whole)]
                    values = [system.stored(band.extended(*around))]
                    for step in range(band.steps):
                        values = one(index + step, values)
                    new.append([band.core(value, beyond=1) for value in values])
                return index + band.steps, *new

            def room(index, *_, band=band, stop=stop):
                return index + band.steps <= stop

            first, *whole = tf.while_loop(room, some, (first, *whole))
        carries = [part(tf.concat(piece, axis=-2)) for piece in whole]
        return tf.nest.map_structure(self.bands.on_grid, *carries)

    def _flat_step(self, system, part, index, values, *numbers, parts: int) -> list[tf.Tensor]:
        """All that is carried in a band after a step, in so many parts.

        Each is worked out from values of a shape of its own: what two of them share the compiler
        would keep as a pass over memory, rather than look it up in both.
        """
        found = []
        for number in range(parts):
            apart = [tf.reshape(value, [*[1] * (2 * number), *value.shape]) for value in values]
            new = self.step(system, index, part(tf.concat(apart, axis=-2)), *numbers)
            new = tf.split(tf.concat(tf.nest.flatten(new), axis=-2), parts, axis=-2)[number]
            found.append(tf.reshape(new, new.shape[2 * number :]))
        return found

    def joined(self, carry):
        """All that is carried as one tensor on the grid, and how to part it, flat or there.

        Joining and parting it in every step would be passes over memory.
        """
        on_grid, parts = -1 - self.problem.grid.dimensions, tf.nest.flatten(carry)
        sizes = [part.shape[on_grid] for part in parts]

        def part(values, axis=-2):
            return tf.nest.pack_sequence_as(carry, tf.split(values, sizes, axis=axis))

        return tf.concat(parts, axis=on_grid), part

    @cached_property
    def follow(self):
        """``follow(carry, time, end, dt, trials, tolerance, scale, parameters)``.

        For steppers with an estimate of their error. Takes up to ``trials`` steps of chosen size
        (:mod:`pdesim.engine.error_control`) towards ``end``; ``scale`` has a number for each field
        (of each member), which ``tolerance`` is relative to. Returns
        nothing to carry, the state, finiteness, and (time, dt, accepted, tried), each of
        several members its own.
        """
        if self.trial_slabs is not None:
            return tiled_loop.follow(self, self.trial_slabs)

        def trace(carry, time, end, dt, trials, tolerance, scale, parameters):
            system, band = self._for_trials(trials, parameters)
            scale = system.column(scale)
            inside = None if band is None else band.inside()
            order = self.stepper.error_order

            def active(progress):
                return error_control.active(progress, trials, end, time)

            def unfinished(carry, *progress):
                return tf.reduce_any(active(progress))

            def attempt(carry, *progress):
                now, taken = progress[0], error_control.next_step(progress, end)
                new, error = self.stepper.step_with_error(
                    system,
                    carry
                    if band is None
                    else system.stored(band.extended([carry], [carry], [carry])),
                    lambda c: self._widen(self.instant(now + c * taken, c), system.axes),
                    self._widen(tf.cast(taken, self.dtype), system.axes + 1),
                )
                _, new, error = system.aligned(carry, new, error)
                squares = error_control.squares(new, error, tolerance, scale)
                size = error_control.size_of(self._sums(squares, inside), self.problem.grid.cells)
                good, progress = error_control.judged(size, active(progress), progress, end, order)
                return self._where(good, new, carry), *progress

            zero = tf.zeros_like(time, tf.int64)
            whole = carry if band is None else band.widened(carry)
            whole, *rest = tf.while_loop(unfinished, attempt, (whole, time, dt, zero, zero))
            carry = whole if band is None else band.on_grid(whole)
            return *self.finish(self.system(parameters), carry, *rest[:2], {}), tuple(rest)

        return self.compiled(trace)

    @cached_property
    def trial_slabs(self) -> Slabs | None:
        """How a large grid in bands is cut for single steps of chosen size."""
        if self.members or self.bands is None or not hasattr(self.stepper, "step_with_error"):
            return None
        return slabs.cut(self.bands, self._bytes_a_cell, 3 + self.stepper.kept, single=True)

    def _for_trials(self, natural, parameters) -> tuple[MethodOfLines, Bands | None]:
        """The method of lines for single steps of chosen size, in a band if that can be."""
        if self.bands is None:
            return self.system(parameters), None
        band = self.bands.lasting(1)
        return self.in_band(band, natural, parameters), band

    def choose(self, which: np.ndarray, new, old):
        """What is carried, of some members anew."""
        return self._where(tf.constant(which), new, old)

    def _where(self, chosen: tf.Tensor, new, old):
        """Per member, all parts of what is carried."""

        def pick(a, b):
            shape = (*chosen.shape, *[1] * (a.shape.rank - chosen.shape.rank))
            return tf.where(tf.reshape(chosen, shape), a, b)

        return tf.nest.map_structure(pick, new, old)

    def _sums(self, squares, inside) -> tf.Tensor:
        """Over the grid, of each field; ``inside`` are the cells of a band that are no ghosts."""
        if inside is None:
            return tf.reduce_sum(squares, axis=self._grid_axes)
        return tf.reduce_sum(tf.where(inside, squares, tf.zeros_like(squares)), axis=-1)

    @property
    def _grid_axes(self) -> list[int]:
        return list(range(-self.problem.grid.dimensions, 0))

    def finish(self, system, carry, time, dt, coefficients):
        """What is carried, the state and its finiteness.

        Where the state itself is carried it is not handed out twice: that would be two arrays.
        """
        state = self.stepper.extract(system, carry, time, dt, coefficients)
        carry = None if state is carry else carry
        return carry, state, self._is_finite(state)

    @cached_property
    def statistics(self):
        """``statistics(state)``: standard deviation and root mean square of each field."""

        def trace(state):
            values = tf.cast(state, tf.float64)
            mean = tf.reduce_mean(values, axis=self._grid_axes, keepdims=True)
            spread = tf.reduce_mean(tf.square(values - mean), axis=self._grid_axes)
            size = tf.reduce_mean(tf.square(values), axis=self._grid_axes)
            return tf.sqrt(spread), tf.sqrt(size)

        return self.compiled(trace)

    @cached_property
    def distance(self):
        """``distance(a, b)``: the root mean square of the difference of each field."""

        def trace(a, b):
            difference = tf.cast(a - b, tf.float64)
            return tf.sqrt(tf.reduce_mean(tf.square(difference), axis=self._grid_axes))

        return self.compiled(trace)

    @cached_property
    def _is_finite(self):
        def trace(state):
            return tf.reduce_all(tf.math.is_finite(state), axis=self._grid_axes)

        return self.compiled(trace)
