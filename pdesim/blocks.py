"""Blocks of steps as compiled programs: one call advances many steps, of given or chosen size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import tensorflow as tf

from pdesim.operators import bands, flat, slabs
from pdesim.operators.bands import Band, Bands
from pdesim.operators.lines import MethodOfLines
from pdesim.operators.problem import Problem
from pdesim.operators.slabs import Slabs
from pdesim.operators.tiles import Tiles

#: a chosen step grows or shrinks by these factors at most; the middle one is for safety
SHRINK, SAFETY, GROW = 0.2, 0.9, 5.0
#: a step below this fraction of the interval means that the solution cannot be followed
VANISHING = 1e-12
#: modes whose coefficients are worked out at once
PIECE = 2**20


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

    def lines(self, parameters) -> MethodOfLines:
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
        return self.bands and slabs.cut(self.bands, self._bytes_a_cell)

    @property
    def _bytes_a_cell(self) -> int:
        return self.dtype.size * len(self.problem.equation.fields) * max(self.members, 1)

    @property
    def steps_at_once(self) -> int:
        """Steps from one exchange of ghosts to the next; fewer may cost as much."""
        bands = self.slabs.tile if self.slabs else self.bands
        return bands.steps if bands else 1

    def _in_band(self, of: Bands, natural, parameters, room=None) -> MethodOfLines:
        """The method of lines for a band, which has one axis of cells."""
        band = Band(of, natural, self.lines({}).library, self.dtype, room)
        parameters = {name: self._widen(value, 1) for name, value in parameters.items()}
        return replace(self.lines({}), parameters=parameters, band=band)

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
        numbers = self.problem.equation.parameters.items()
        return {name: tf.constant(value, self.dtype) for name, value in numbers}

    def coefficients(self, dt: float) -> dict[str, tf.Tensor]:
        """The stepper's numbers for this dt, worked out in float64 and rounded once."""
        return self.as_tensors(self.host_coefficients(dt, self.problem.equation.parameters))

    def host_coefficients(self, dt: float, parameters: Mapping[str, float]) -> dict:
        """The same for other parameters, as NumPy arrays."""
        needs = self.stepper.method.family in ("exponential", "imex", "implicit")
        if not needs or isinstance(self.problem.modes, str):
            return self.stepper.coefficients(None, parameters, dt)
        linear, axis = self.problem.linear_modes(parameters), -self.problem.grid.dimensions
        # in pieces, since many functions of all modes in float64 would be many times the state
        pieces = -(-linear.size // PIECE)
        parts = [
            self._rounded(self.stepper.coefficients(modes, parameters, dt))
            for modes in np.array_split(linear, min(pieces, linear.shape[axis]), axis=axis)
        ]
        names = list(parts[0])
        return {name: np.concatenate([part.pop(name) for part in parts], axis) for name in names}

    def _rounded(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        types = self.lines({})
        return {n: v.astype(types.dtype_of(v).as_numpy_dtype) for n, v in values.items()}

    def as_tensors(self, values: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
        types = self.lines({})
        return {name: tf.constant(v, types.dtype_of(v)) for name, v in values.items()}

    def _compiled(self, function):
        return tf.function(function, jit_compile=self.fused, autograph=False)

    @cached_property
    def begin(self):
        """``begin(state, time, dt, parameters, coefficients)``: what the stepper carries."""

        def trace(state, time, dt, parameters, coefficients):
            lines, dt = self.lines(parameters), self._beside_state(tf.cast(dt, self.dtype))
            return self.stepper.begin(lines, state, self._beside_field(time), dt, coefficients)

        return self._compiled(trace)

    @cached_property
    def advance(self):
        """``advance(carry, start, dt, first, last, parameters, coefficients)``.

        Takes the steps ``first`` to ``last`` of an interval that begins at ``start``; returns what
        is carried (nothing, where that is the state), the state, and whether each field is finite.
        Each of several members has a ``last`` of its own, and rests when it is reached.
        """

        def trace(carry, start, dt, first, last, parameters, coefficients):
            lines, end = self.lines(parameters), tf.reduce_max(last)
            numbers = start, dt, coefficients

            def one(index, carry):
                new = self._step(lines, index, carry, *numbers)
                return index + 1, self._rested(index < last, new, carry)

            if self.bands is None:
                _, carry = tf.while_loop(lambda index, _: index < end, one, (first, carry))
            else:
                carry = self._in_bands(carry, first, last, parameters, numbers)
            stop = self._beside_field(start + tf.cast(last, tf.float64) * dt)
            step_dt = self._beside_state(tf.cast(dt, self.dtype))
            return self._finish(lines, carry, stop, step_dt, coefficients)

        return self._compiled(trace) if self.slabs is None else self._in_slabs(trace)

    def _step(self, lines, index, carry, start, dt, coefficients):
        def clock(c):
            # from the interval's start, so that any division into blocks gives equal bits
            return self._widen(start + (tf.cast(index, tf.float64) + c) * dt, lines.axes)

        step_dt = self._widen(tf.cast(dt, self.dtype), lines.axes + 1)
        return self.stepper.step(lines, carry, clock, step_dt, coefficients)

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
        joined, part = self._joined(carry)
        parts = joined.shape[-1 - self.problem.grid.dimensions] if self.apart else 1
        # each piece in so many parts; a large grid in two pieces
        count = slabs.pieces(self.bands, self._bytes_a_cell)
        pieces = tf.split(joined, count, axis=-self.problem.grid.dimensions)
        whole = [tf.split(self.bands.widened(piece), parts, axis=-2) for piece in pieces]
        for band, stop, resting in phases:
            band = replace(band, rows=band.rows // count)
            lines = self._in_band(band, end - first, parameters)

            def one(index, values, lines=lines, resting=resting):
                new = self._flat_step(lines, part, index, values, *numbers, parts=parts)
                if resting:
                    old = tf.split(tf.concat(values, axis=-2), parts, axis=-2)
                    both = lines.aligned(*new, *old)
                    new = self._where(index < last, both[:parts], both[parts:])
                return lines.stored(new)

            def some(index, *whole, lines=lines, band=band, one=one):
                new = []
                for number, piece in enumerate(whole):
                    around = whole[number - 1], piece, whole[(number + 1) % len(whole)]
                    values = [lines.stored(band.extended(*around))]
                    for step in range(band.steps):
                        values = one(index + step, values)
                    new.append([band.core(value, beyond=1) for value in values])
                return index + band.steps, *new

            def room(index, *_, band=band, stop=stop):
                return index + band.steps <= stop

            first, *whole = tf.while_loop(room, some, (first, *whole))
        carries = [part(tf.concat(piece, axis=-2)) for piece in whole]
        return tf.nest.map_structure(self.bands.on_grid, *carries)

    def _flat_step(self, lines, part, index, values, *numbers, parts: int) -> list[tf.Tensor]:
        """All that is carried in a band after a step, in so many parts.

        Each is worked out from values of a shape of its own: what two of them share the compiler
        would keep as a pass over memory, rather than look it up in both.
        """
        found = []
        for number in range(parts):
            apart = [tf.reshape(value, [*[1] * (2 * number), *value.shape]) for value in values]
            new = self._step(lines, index, part(tf.concat(apart, axis=-2)), *numbers)
            new = tf.split(tf.concat(tf.nest.flatten(new), axis=-2), parts, axis=-2)[number]
            found.append(tf.reshape(new, new.shape[2 * number :]))
        return found

    def _in_slabs(self, trace):
        """Sweeps over all slabs; those members rest after that whose steps are taken."""
        rest, on_grid = self._compiled(trace), -1 - self.problem.grid.dimensions

        def in_slabs(carry, start, dt, first, last, *numbers):
            slabs, soonest = self.slabs, tf.reduce_min(last)
            joined, part = self._joined(carry)

            def leave(pieces, stop, dt, parameters, coefficients):
                carry, lines = part(slabs.join(pieces), on_grid), self.lines(parameters)
                return self._finish(lines, carry, stop, tf.cast(dt, self.dtype), coefficients)

            sweep = self._sweep(carry, start, dt, *numbers)
            pieces = slabs.split(joined, self._compiled)
            first, pieces = slabs.advance(pieces, first, soonest, sweep)
            if self.members:
                carry = part(self._compiled(slabs.join)(pieces), on_grid)
                return rest(carry, start, dt, first, last, *numbers)
            stop = start + tf.cast(last, tf.float64) * dt
            return self._compiled(leave)(pieces, stop, dt, *numbers)

        return tf.function(in_slabs, autograph=False)

    def _sweep(self, carry, *numbers):
        """One slab over several steps, as a compiled call of its own."""
        sizes = [part.shape[-1 - self.problem.grid.dimensions] for part in tf.nest.flatten(carry)]
        tiles = Tiles(self.slabs.tile, self.slabs.rows, sizes, self.stepper.kept)

        @self._compiled
        def sweep(slab, before, after, index, steps, *numbers):
            def step(parts, count, numbers, room):
                start, dt, parameters, coefficients = numbers
                lines = self._in_band(tiles.tile, index, parameters, room)
                at, parts = index + tf.cast(count, tf.int64), tf.nest.pack_sequence_as(carry, parts)
                return tf.nest.flatten(self._step(lines, at, parts, start, dt, coefficients))

            return tiles.sweep(slab, before, after, step, tf.cast(steps, tf.int32), numbers)

        return lambda *slab: sweep(*slab, *numbers)

    def _joined(self, carry):
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
        """``follow(carry, time, end, dt, trials, tolerance, parameters)`` for adaptive steppers.

        Takes up to ``trials`` steps of chosen size towards ``end``; returns nothing to carry, the
        state, finiteness, and (time, dt, accepted, tried), each of several members its own. A step
        is accepted where the root mean square of ``error / (tolerance * (1 + |u|))`` is at most 1
        for every field.
        """

        def trace(carry, time, end, dt, trials, tolerance, parameters):
            lines, band = self._for_trials(trials, parameters)
            inside = None if band is None else band.inside()
            smallest = VANISHING * (end - time)

            def active(time, dt, tried):
                return (time < end) & (tried < trials) & (dt > smallest)

            def unfinished(carry, time, dt, accepted, tried):
                return tf.reduce_any(active(time, dt, tried))

            def attempt(carry, time, dt, accepted, tried):
                at_work = active(time, dt, tried)
                last = time + dt * (1 + 1e-12) >= end
                taken = tf.where(last, end - time, dt)
                new, error = self.stepper.trial(
                    lines,
                    carry
                    if band is None
                    else lines.stored(band.extended([carry], [carry], [carry])),
                    lambda c: self._widen(time + c * taken, lines.axes),
                    self._widen(tf.cast(taken, self.dtype), lines.axes + 1),
                )
                _, new, error = lines.aligned(carry, new, error)
                size = self._error_size(carry, new, error, tolerance, inside)
                good = (size <= 1.0) & at_work
                factor = SAFETY * tf.maximum(size, 1e-10) ** (-1.0 / self.stepper.error_order)
                factor = tf.where(tf.math.is_finite(size), factor, SHRINK)
                proposed = taken * tf.clip_by_value(factor, SHRINK, GROW)
                # a step cut short by the interval's end says nothing against the longer one
                proposed = tf.where(good & last, tf.maximum(dt, proposed), proposed)
                return (
                    self._where(good, new, carry),
                    tf.where(good, tf.where(last, end, time + taken), time),
                    tf.where(at_work, proposed, dt),
                    accepted + tf.cast(good, tf.int64),
                    tried + tf.cast(at_work, tf.int64),
                )

            zero = tf.zeros_like(time, tf.int64)
            whole = carry if band is None else band.widened(carry)
            whole, *rest = tf.while_loop(unfinished, attempt, (whole, time, dt, zero, zero))
            carry = whole if band is None else band.on_grid(whole)
            return *self._finish(self.lines(parameters), carry, time, dt, {}), tuple(rest)

        return self._compiled(trace)

    def _for_trials(self, natural, parameters) -> tuple[MethodOfLines, Bands | None]:
        """The method of lines for single steps of chosen size, in a band if that can be."""
        if self.bands is None:
            return self.lines(parameters), None
        band = self.bands.lasting(1)
        return self._in_band(band, natural, parameters), band

    def choose(self, which: np.ndarray, new, old):
        """What is carried, of some members anew."""
        return self._where(tf.constant(which), new, old)

    def _where(self, chosen: tf.Tensor, new, old):
        """Per member, all parts of what is carried."""

        def pick(a, b):
            shape = (*chosen.shape, *[1] * (a.shape.rank - chosen.shape.rank))
            return tf.where(tf.reshape(chosen, shape), a, b)

        return tf.nest.map_structure(pick, new, old)

    def _error_size(self, old, new, error, tolerance, inside) -> tf.Tensor:
        """The largest over the fields; ``inside`` are the cells of a band that are no ghosts."""
        allowed = tf.cast(tolerance, self.dtype) * (1 + tf.maximum(tf.abs(old), tf.abs(new)))
        squares = tf.square(error / allowed)
        if inside is None:
            sums = tf.reduce_sum(squares, axis=self._grid_axes)
        else:
            sums = tf.reduce_sum(tf.where(inside, squares, tf.zeros_like(squares)), axis=-1)
        mean = sums / math.prod(self.problem.grid.shape)
        return tf.cast(tf.sqrt(tf.reduce_max(mean, axis=-1)), tf.float64)

    @property
    def _grid_axes(self) -> list[int]:
        return list(range(-self.problem.grid.dimensions, 0))

    def _finish(self, lines, carry, time, dt, coefficients):
        """What is carried, the state and its finiteness.

        Where the state itself is carried it is not handed out twice: that would be two arrays.
        """
        state = self.stepper.finish(lines, carry, time, dt, coefficients)
        carry = None if state is carry else carry
        return carry, state, self._is_finite(state)

    @cached_property
    def _is_finite(self):
        def trace(state):
            return tf.reduce_all(tf.math.is_finite(state), axis=self._grid_axes)

        return self._compiled(trace)
