"""The noise of an equation on a grid: Wiener increments, and their products with amplitudes.

Increments are a function of the seed, the field and the time at which a step begins
(:mod:`pdesim.operators.random_numbers`). They depend neither on the division of a run into calls
nor on the other members of a batch. A part of a grid has the increments of its cells in the
complete grid, so that they do not depend on the number of devices either.

With ``time.noise_step`` T, increments of T are drawn, and those of shorter steps ``T/2**n`` follow
from them by the Brownian bridge: over a half of an interval of length h, the increment is half of
that of the interval plus or minus ``sqrt(h)/2`` times a normal number of its own (Levy 1939;
Karatzas and Shreve, Brownian Motion and Stochastic Calculus (1991), sec. 2.3). Steps T and T/2
therefore follow the same path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import sympy
import tensorflow as tf

from pdesim.formula import Evaluator
from pdesim.model.noise import NoiseTerm
from pdesim.operators import transforms
from pdesim.operators.differentiable import barrier, irfft, rfft
from pdesim.operators.pseudospectral import symbol_of
from pdesim.operators.random_numbers import Key, derived, normals

if TYPE_CHECKING:
    from pdesim.operators.method_of_lines import MethodOfLines

#: names under which programs receive the two words of the seed, and the step of the noise. They
#: contain a space, so that they differ from those of all parameters
SEED_LOW, SEED_HIGH, STEP = "noise seed low", "noise seed high", "noise step"
#: the name of the largest number of bisections of ``time.noise_step``; absent without this setting
LEVELS = "noise levels"
#: times are rounded to this fraction of the noise's step when they become numbers
RESOLUTION = 2**20

#: the increments of one term: one array, or one for each axis for a flux
Increments = tuple[tf.Tensor, ...]


def path_arguments(seed: int, step: float, levels: int | None) -> dict[str, float]:
    """Return the values that select a path, by the names under which programs receive them.

    Args:
        levels: the number of bisections of ``step``; None if steps are not bisected.
    """
    words = {SEED_LOW: float(seed % 2**32), SEED_HIGH: float(seed // 2**32), STEP: step}
    return words if levels is None else {**words, LEVELS: float(levels)}


@dataclass(frozen=True)
class NoiseSystem:
    """The noise of a problem, for states of a ``MethodOfLines``."""

    system: MethodOfLines

    @property
    def terms(self) -> tuple[NoiseTerm, ...]:
        return self.system.problem.equation.noise.terms

    def increments(self, time: tf.Tensor, dt: tf.Tensor) -> list[Increments]:
        """Return the increments of the noise of every term over a step.

        Their variance is dt divided by the volume of a cell, for white noise.

        Args:
            time: the time at which the step begins.
            dt: the length of the step.
        """
        dt = tf.reshape(tf.cast(dt, tf.float64), time.shape)
        stream, drawn = 0, []
        for term in self.terms:
            components = self.system.problem.grid.dimensions if term.is_flux else 1
            parts = []
            for _ in range(components):
                draw = partial(self._increment, term, stream, time, dt)
                scalar = term.field in self.system.problem.equation.scalars
                parts.append(draw() if scalar else self._stored(draw, dt))
                stream += 1
            drawn.append(tuple(parts))
        return drawn

    def _increment(self, term: NoiseTerm, stream: int, time: tf.Tensor, dt: tf.Tensor) -> tf.Tensor:
        """Return the increments of one component of a term, in all cells."""
        path = self._path(stream, self._drawn_shape(term), self._drawn_rows(term), time, dt)
        return self._filtered(term, path) / tf.sqrt(self._volumes(term))

    def _stored(self, draw: Callable[[], tf.Tensor], dt: tf.Tensor) -> tf.Tensor:
        """Return the result of ``draw``, computed once in a kernel of its own.

        On a CPU, XLA would otherwise draw the numbers again for every use, without vector
        instructions (15 times slower for stacked fields), also behind an optimization barrier. It
        does not fuse across a loop whose number of passes, here one, is known only at run time.
        """
        if not self.system.fused:
            return draw()
        if self.system.for_gpu:
            return barrier(draw())
        shape = (*self._scalar_shape[:1], *self.system.problem.grid.shape)
        passes = tf.cast(tf.reduce_any(dt > 0), tf.int32)
        start = (tf.constant(0), tf.zeros(shape, self.system.dtype))
        return tf.while_loop(lambda n, _: n < passes, lambda n, _: (n + 1, draw()), start)[1]

    def squares(self, increments: Sequence[Increments], dt: tf.Tensor) -> list[Increments]:
        """Return ``dW**2 - dt`` in units of each term's variance: twice its iterated integral."""
        dt = tf.reshape(dt, self._scalar_shape)
        variances = self.variances()
        return [
            (parts[0] ** 2 - dt * variance[0],) if not term.is_flux else parts
            for term, parts, variance in zip(self.terms, increments, variances, strict=True)
        ]

    def variances(self) -> list[Increments]:
        """Return the variance of the noise in a cell, per unit of time, of every term."""
        grid = self.system.problem.grid
        result = []
        for term in self.terms:
            variance = tf.ones(self._scalar_shape, self.system.dtype) / self._volumes(term)
            if term.length is not None:
                length = self._length(term)
                for axis, n in enumerate(self._drawn_shape(term)[::-1]):
                    waves = _waves(n, grid.spacing[axis], half=False)
                    squares = tf.constant(waves**2, self.system.dtype)
                    kept = tf.exp(-0.5 * squares * length[..., tf.newaxis] ** 2)
                    variance *= tf.reduce_mean(kept, axis=-1)
            result.append((variance,) * (grid.dimensions if term.is_flux else 1))
        return result

    def applied(
        self,
        formulas: Sequence[sympy.Expr],
        state: tf.Tensor,
        time: tf.Tensor,
        factors: Sequence[Increments],
    ) -> tf.Tensor:
        """Return formulas times factors, as a state: 0 for fields without noise.

        For a flux, the result is the divergence of the products.

        Args:
            formulas: one for each term, such as its amplitude.
            factors: one for each term, such as its increments.
        """
        products = self._products(formulas, state, time, factors)
        values = {term.field: one for term, one in zip(self.terms, products, strict=True)}
        fields, zero = self.system.problem.equation.fields, tf.zeros((), self.system.dtype)
        shape = self.system.problem.grid.shape
        whole = self.system.stack(
            [self.system.full(values.get(name, zero), shape) for name in fields]
        )
        return self.system.admissible(whole)

    def _products(
        self,
        formulas: Sequence[sympy.Expr],
        state: tf.Tensor,
        time: tf.Tensor,
        factors: Sequence[Increments],
    ) -> list[tf.Tensor]:
        amplitudes = self.system.unstack(self.system.evaluate(formulas, state, time))
        is_spectral = self.system.problem.discretisation.is_spectral
        divergence = self._spectral_divergence if is_spectral else self._finite_divergence
        return [
            divergence(amplitude, parts) if term.is_flux else amplitude * parts[0]
            for term, amplitude, parts in zip(self.terms, amplitudes, factors, strict=True)
        ]

    def _finite_divergence(self, amplitude: tf.Tensor, parts: Increments) -> tf.Tensor:
        """Return the divergence of a flux whose noise lives on the upper faces of cells.

        The amplitude on a face is the mean of the two cells. Fluxes through boundaries and faces of
        obstacles are 0, so that the sum over cells is conserved.
        """
        problem, total = self.system.problem, None
        for axis, part in enumerate(parts):
            place = problem.grid.array_axis(axis)
            flux = 0.5 * (amplitude + tf.roll(amplitude, -1, place)) * part
            open_faces = self._open_faces(axis)
            if open_faces is not None:
                flux = flux * tf.constant(open_faces, flux.dtype)
            change = (flux - tf.roll(flux, 1, place)) / problem.grid.spacing[axis]
            total = change if total is None else total + change
        assert total is not None
        return total

    def _open_faces(self, axis: int) -> np.ndarray | None:
        """Return 1 for cells whose upper face lies inside the domain, 0 elsewhere."""
        problem = self.system.problem
        place, faces = problem.grid.array_axis(axis), None
        if not problem.boundary.is_periodic(axis):
            inside = np.ones(problem.grid.points[axis])
            inside[-1] = 0
            faces = problem.grid.broadcast(axis, inside)
        if problem.mask is not None:
            fluid = ~problem.mask.solid
            between = fluid & np.roll(fluid, -1, place)
            faces = between if faces is None else faces * between
        return faces

    def _spectral_divergence(self, amplitude: tf.Tensor, parts: Increments) -> tf.Tensor:
        """Return the divergence of a periodic flux by Fourier series."""
        problem, total = self.system.problem, None
        for axis, part in zip(problem.grid.axes, parts, strict=True):
            factors, _ = symbol_of(f"d_d{axis}", problem.modes, problem.discretisation)
            symbol = tf.constant(factors, self.system.dtype_of(factors))
            term = transforms.multiply(symbol, self.system.to_modes(amplitude * part))
            total = term if total is None else total + term
        return self.system.to_state(total)

    def _volumes(self, term: NoiseTerm) -> tf.Tensor:
        """The volumes of all cells, or of each if they are equal; 1 for the noise of a scalar."""
        problem, dtype = self.system.problem, self.system.dtype
        if term.field in problem.equation.scalars:
            return tf.ones((), dtype)
        volumes = problem.grid.cell_volumes
        return tf.constant(problem.grid.cell_volume if volumes is None else volumes, dtype)

    @property
    def _scalar_shape(self) -> tuple[int, ...]:
        """The shape of one number per member that multiplies one field."""
        members = self.system.members
        return (members, *[1] * self.system.problem.grid.dimensions) if members else ()

    def _length(self, term: NoiseTerm) -> tf.Tensor:
        value = Evaluator(self.system.parameters, self.system.library)(term.length)
        value = tf.convert_to_tensor(value, self.system.dtype)
        return tf.broadcast_to(value, self._scalar_shape)

    def _drawn_shape(self, term: NoiseTerm) -> tuple[int, ...]:
        """Return the shape of the numbers of one component of a term, on the complete grid.

        Coloured noise is filtered by Fourier series. Axes that are not periodic are doubled, so
        that the noise at one end does not depend on that at the other.
        """
        grid, boundary = self.system.problem.grid, self.system.problem.boundary
        if term.field in self.system.problem.equation.scalars:
            return (1,) * grid.dimensions
        double = [
            term.length is not None and not boundary.is_periodic(axis)
            for axis in range(grid.dimensions)
        ]
        points = zip(grid.whole_points, double, strict=True)
        return tuple(2 * n if twice else n for n, twice in points)[::-1]

    def _drawn_rows(self, term: NoiseTerm) -> np.ndarray | None:
        """Return the rows of :meth:`_drawn_shape` that are drawn; None for all.

        The Fourier series of coloured noise need those of the complete grid.
        """
        is_white = term.length is None and term.field not in self.system.problem.equation.scalars
        return self.system.problem.grid.row_indices if is_white else None

    def _filtered(self, term: NoiseTerm, white: tf.Tensor) -> tf.Tensor:
        """Return the noise with the correlation length of a term, in the cells of the grid."""
        if term.length is None:
            return white
        grid, length = self.system.problem.grid, self._length(term)
        shape = white.shape[-grid.dimensions :]
        modes = rfft(white, grid.dimensions)
        for axis in range(grid.dimensions):
            waves = _waves(shape[-1 - axis], grid.spacing[axis], half=axis == 0)
            squares = tf.constant(grid.broadcast(axis, waves**2), self.system.dtype)
            modes *= tf.cast(tf.exp(-0.25 * squares * length**2), modes.dtype)
        inside = tuple(slice(0, n) for n in grid.whole_points[::-1])
        whole = irfft(modes, shape)[(..., *inside)]
        return (
            whole
            if grid.row_indices is None
            else tf.gather(whole, grid.row_indices, axis=-grid.dimensions)
        )

    def _path(
        self,
        stream: int,
        shape: tuple[int, ...],
        rows: np.ndarray | None,
        time: tf.Tensor,
        dt: tf.Tensor,
    ) -> tf.Tensor:
        """Return the increments of independent Wiener processes over a step from ``time``.

        Args:
            stream: the number of the array of processes.
            shape, rows: the shape of this array, and the rows to return (None for all).
        """
        parameters, dtype = self.system.parameters, self.system.dtype
        first = time / parameters[STEP]

        def drawn(place: tf.Tensor) -> tf.Tensor:
            number = tf.cast(tf.round(place * RESOLUTION), tf.int64)
            key = derived(derived(self._seed, number), tf.constant(stream, tf.int64))
            return normals(key, shape, dtype, rows)

        if LEVELS not in parameters:
            return tf.cast(tf.sqrt(dt), dtype) * drawn(first)
        return bisected(parameters[STEP], first, dt, parameters[LEVELS], drawn, dtype)

    @property
    def _seed(self) -> Key:
        words = (self.system.parameters[name] for name in (SEED_LOW, SEED_HIGH))
        return Key(*(tf.cast(tf.cast(word, tf.int64), tf.uint32) for word in words))


def bisected(
    step: tf.Tensor,
    first: tf.Tensor,
    dt: tf.Tensor,
    levels: tf.Tensor,
    drawn: Callable[[tf.Tensor], tf.Tensor],
    dtype: tf.DType,
) -> tf.Tensor:
    """Return the increment over a step of length ``step/2**n`` by the Brownian bridge.

    Args:
        step: the length of the intervals whose increments are drawn, in float64.
        first: the start of the step in units of ``step``.
        dt: the length of the step.
        levels: an upper bound of n.
        drawn: returns independent normal numbers for a place in units of ``step``.
    """
    tiny = 0.5 / RESOLUTION
    begin = tf.floor(first + tiny)
    count = tf.round(tf.math.log(step / dt) / math.log(2))
    increment = tf.cast(tf.sqrt(step), dtype) * drawn(begin)

    def halve(level: tf.Tensor, begin: tf.Tensor, increment: tf.Tensor) -> tuple:
        half = 0.5**level
        middle = begin + half
        is_later = first >= middle - tiny
        bridge = tf.cast(tf.sqrt(2 * half * step) / 2, dtype) * drawn(middle)
        part = 0.5 * increment + tf.where(is_later, -bridge, bridge)
        active = level <= count
        return (
            level + 1,
            tf.where(active & is_later, middle, begin),
            tf.where(active, part, increment),
        )

    most = tf.reduce_max(levels)
    one = tf.ones((), tf.float64)
    return tf.while_loop(lambda level, *_: level <= most, halve, (one, begin, increment))[2]


def _waves(points: int, spacing: float, half: bool) -> np.ndarray:
    """Return the wave numbers of a discrete Fourier transform, or of its half for real values."""
    frequencies = np.fft.rfftfreq if half else np.fft.fftfreq
    return 2 * np.pi * frequencies(points, spacing)
