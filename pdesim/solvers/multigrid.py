"""Geometric multigrid for matrices whose cells are coupled to their nearest neighbours.

A coarse cell is a block of up to 2 cells along each axis. Transfer is constant within a block, and
the restriction is its transpose; the coupling of two blocks along an axis that is coarsened is half
the sum of the couplings of their cells, since the distance of their centres has doubled (Braess,
Computing 55 (1995) 379, doi:10.1007/BF02238488, scales by a similar factor). This choice remains
effective where coefficients jump by orders of magnitude. Only axes with strong coupling are
coarsened. Smoothing is by red-black Gauss-Seidel (Trottenberg, Oosterlee and Schueller, Multigrid,
Academic Press 2001, sec. 2.1 and 5.1).

Iterations of conjugate gradients to 1e-8 with one cycle as preconditioner, Dirichlet sides
(``benchmarks/steady.py``)::

    coefficient                64^2   512^2   2048^2
    constant                      7       8        8
    varies by a factor of 7       7       8        8
    jumps by 1000: 8x8 boxes     11      16       18
    jumps by 1000: islands       10      14       17
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pdesim.solvers.couplings import Couplings

#: number of smoothing steps before and after the coarse-grid correction
SMOOTHING = 2
#: grids with at most this number of cells are solved by a dense inverse
COARSEST = 64
#: axes are coarsened if their mean coupling is at least this fraction of the strongest
STRONG = 0.3


@dataclass(frozen=True)
class Level:
    """One grid of the hierarchy.

    Args:
        matrix: the matrix on this grid.
        factors: the number of cells of a block along each axis; empty on the coarsest grid.
    """

    matrix: Couplings
    factors: tuple[int, ...]

    @property
    def coarse_shape(self) -> tuple[int, ...]:
        return tuple(-(-n // m) for n, m in zip(self.matrix.shape, self.factors, strict=True))

    def restrict(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of the values of each block."""
        padding = [(0, m * k - n) for n, m, k in self.sizes]
        return np.pad(values, padding).reshape(self.blocks).sum(self.within)

    @property
    def sizes(self) -> list[tuple[int, int, int]]:
        """For each axis: the cells, the cells of a block, and the blocks."""
        return list(zip(self.matrix.shape, self.factors, self.coarse_shape, strict=True))

    @property
    def blocks(self) -> list[int]:
        """The shape with two axes for each axis: blocks, and cells in a block."""
        return [size for _, m, k in self.sizes for size in (k, m)]

    @property
    def within(self) -> tuple[int, ...]:
        return tuple(range(1, 2 * len(self.factors), 2))


def build_levels(matrix: Couplings) -> list[Level]:
    """Return the grids of a hierarchy, the finest first."""
    levels: list[Level] = []
    while True:
        strengths = matrix.strengths
        strong = max(strengths, default=0.0)
        factors = tuple(
            2 if n > 1 and s >= STRONG * strong else 1
            for n, s in zip(matrix.shape, strengths, strict=True)
        )
        if matrix.diagonal.size <= COARSEST or strong == 0 or max(factors) == 1:
            return [*levels, Level(matrix, ())]
        level = Level(matrix, factors)
        levels.append(level)
        matrix = _coarsened(level)


def _coarsened(level: Level) -> Couplings:
    """Return the matrix on the blocks of a level."""
    fine, lower, upper = level.matrix, [], []
    for axis, m in enumerate(level.factors):
        n = fine.shape[axis]
        place = np.arange(n).reshape([-1 if k == axis else 1 for k in range(len(fine.shape))])
        first, last = place % m == 0, (place % m == m - 1) | (place == n - 1)
        low = level.restrict(np.where(first, fine.lower[axis], 0)) / m
        up = level.restrict(np.where(last, fine.upper[axis], 0)) / m
        if level.coarse_shape[axis] == 2:
            low, up = np.zeros_like(up), up + low
        if level.coarse_shape[axis] == 1:
            low, up = np.zeros_like(low), np.zeros_like(up)
        lower.append(low)
        upper.append(up)
    local = level.restrict(fine.local)
    # the distance to a side doubles, like that of two cells
    sides = level.restrict(fine.row_sum - fine.local) / max(level.factors)
    return Couplings(sum(lower) + sum(upper) + local + sides, tuple(lower), tuple(upper), local)


class Cycle:
    """One V-cycle for a matrix, an approximation of its inverse that is symmetric if the matrix is.

    Args:
        matrix: the matrix.
        dtype: the type in which the cycle is computed.
    """

    def __init__(self, matrix: Couplings, dtype: tf.DType) -> None:
        self.levels = [_Tensors(level, dtype) for level in build_levels(matrix)]

    def __call__(self, residual: tf.Tensor) -> tf.Tensor:
        """Return the approximate solution for a right-hand side."""
        return self._cycle(0, residual)

    def _cycle(self, number: int, f: tf.Tensor) -> tf.Tensor:
        here = self.levels[number]
        if here.inverse is not None:
            return tf.reshape(tf.linalg.matvec(here.inverse, tf.reshape(f, [-1])), f.shape)
        red, black = (colour.of(f) for colour in (here.red, here.black))
        u = here.black.relax(red, black)
        for _ in range(SMOOTHING - 1):
            u = here.black.relax(here.red.relax(u, red), black)
        u += here.prolong(self._cycle(number + 1, here.restrict(here.residual(u, f))))
        for _ in range(SMOOTHING):
            u = here.red.relax(here.black.relax(u, black), red)
        return u


class _Tensors:
    """The matrix of a level, and operations on its grid, in TensorFlow."""

    def __init__(self, level: Level, dtype: tf.DType) -> None:
        self.level, self.inverse = level, None
        if not level.factors:
            self.inverse = tf.constant(_inverse(level.matrix), dtype)
            return
        matrix = level.matrix
        even = np.indices(matrix.shape).sum(axis=0) % 2 == 0
        self.red, self.black = (_Colour(matrix, cells, dtype) for cells in (even, ~even))
        self._matrix = _Neighbours(matrix, np.ones(matrix.shape), dtype)
        self._diagonal = tf.constant(-matrix.diagonal, dtype)

    def residual(self, u: tf.Tensor, f: tf.Tensor) -> tf.Tensor:
        """Return the right-hand side minus the product of the matrix and a field."""
        return tf.add_n([f, self._diagonal * u, *self._matrix.products(u)])

    def restrict(self, values: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(values, [(0, m * k - n) for n, m, k in self.level.sizes])
        return tf.reduce_sum(tf.reshape(padded, self.level.blocks), axis=self.level.within)

    def prolong(self, values: tf.Tensor) -> tf.Tensor:
        for axis, m in enumerate(self.level.factors):
            values = tf.repeat(values, m, axis) if m > 1 else values
        return values[tuple(slice(n) for n in self.level.matrix.shape)]


class _Neighbours:
    """The couplings of a matrix to neighbours, each multiplied by a factor of its cell."""

    def __init__(self, matrix: Couplings, factor: np.ndarray, dtype: tf.DType) -> None:
        self._terms = [
            (tf.constant(factor * values, dtype), shift, axis)
            for axis, pair in enumerate(zip(matrix.lower, matrix.upper, strict=True))
            for values, shift in zip(pair, (1, -1), strict=True)
        ]

    def products(self, u: tf.Tensor) -> list[tf.Tensor]:
        """Return the product of each neighbour and its coupling."""
        return [values * tf.roll(u, shift, axis) for values, shift, axis in self._terms]


class _Colour:
    """The equations of the cells of one colour, divided by their diagonal.

    Args:
        matrix: the matrix.
        cells: whether each cell has the colour.
        dtype: of the tensors.
    """

    def __init__(self, matrix: Couplings, cells: np.ndarray, dtype: tf.DType) -> None:
        # cells inside obstacles have no equation
        reciprocal = cells / np.where(matrix.diagonal == 0, 1.0, matrix.diagonal)
        self._reciprocal = tf.constant(reciprocal, dtype)
        self._others = tf.constant(~cells, dtype)
        self._neighbours = _Neighbours(matrix, reciprocal, dtype)

    def of(self, f: tf.Tensor) -> tf.Tensor:
        """Return the right-hand sides of these equations, and 0 in other cells."""
        return f * self._reciprocal

    def relax(self, u: tf.Tensor, f: tf.Tensor) -> tf.Tensor:
        """Return ``u`` with the solution of these equations in their cells.

        Args:
            u: a field.
            f: the result of :meth:`of`.
        """
        return tf.add_n([f, self._others * u, *self._neighbours.products(u)])


def _inverse(matrix: Couplings) -> np.ndarray:
    """Return the inverse, or the pseudo-inverse of a singular matrix."""
    dense = matrix.dense()
    empty = matrix.diagonal.ravel() == 0
    dense[empty, empty] = 1.0
    return np.linalg.pinv(dense, rcond=1e-10)
