"""The matrix of a linear operator whose cells are coupled to their nearest neighbours only.

The matrix is found by applying the operator to a few patterns (Curtis, Powell and Reid, IMA J.
Appl. Math. 13 (1974) 117, doi:10.1093/imamat/13.1.117), so that boundary conditions, obstacles and
the means of coefficients on cell faces are stated once, in the operator itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Apply = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Couplings:
    """A matrix on a grid; all arrays have the shape of the grid.

    ``(A u)[i] = diagonal[i]*u[i] - sum over axes (upper[i]*u[i+1] + lower[i]*u[i-1])``, where the
    neighbours beyond the ends of an axis are the cells at its other end.

    Attributes:
        diagonal: the diagonal.
        lower, upper: for each axis, the coefficients of the neighbours.
        local: the part of the diagonal that comes from terms without derivatives. The rest of the
            row sum comes from boundary conditions.
    """

    diagonal: np.ndarray
    lower: tuple[np.ndarray, ...]
    upper: tuple[np.ndarray, ...]
    local: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.diagonal.shape

    @cached_property
    def row_sum(self) -> np.ndarray:
        """The operator applied to 1."""
        return self.diagonal - sum(self.lower) - sum(self.upper)

    @property
    def strengths(self) -> list[float]:
        """The mean absolute coupling along each axis."""
        pairs = zip(self.lower, self.upper, strict=True)
        return [float(np.abs(low).mean() + np.abs(up).mean()) for low, up in pairs]

    def apply(self, u: np.ndarray) -> np.ndarray:
        """Return the product of the matrix and a field."""
        result = self.diagonal * u
        for axis, (low, up) in enumerate(zip(self.lower, self.upper, strict=True)):
            result -= up * np.roll(u, -1, axis) + low * np.roll(u, 1, axis)
        return result

    def dense(self) -> np.ndarray:
        """Return the matrix with rows and columns in the order of the flat grid."""
        units = np.eye(self.diagonal.size).reshape(-1, *self.shape)
        return np.stack([self.apply(unit).ravel() for unit in units], axis=1)


def find_couplings(apply: Apply, local: np.ndarray) -> Couplings:
    """Return the couplings of a linear operator.

    Args:
        apply: the operator, for fields of the shape of ``local``.
        local: see :class:`Couplings`.
    """
    shape, lower, upper = local.shape, [], []
    total = apply(np.ones(shape))
    for axis, n in enumerate(shape):
        colors = _colors(n)
        low, up = np.zeros(shape), np.zeros(shape)
        for color in range(colors.max() + 1) if n > 1 else ():
            chosen = _along(colors == color, axis, shape)
            response = -apply(np.broadcast_to(chosen, shape).astype(float))
            after = np.broadcast_to(np.roll(chosen, -1, axis), shape)
            before = np.broadcast_to(np.roll(chosen, 1, axis), shape)
            up[after] = response[after]
            if n > 2:  # with two cells, both neighbours are the same cell
                low[before] = response[before]
        lower.append(low)
        upper.append(up)
    diagonal = total + sum(lower) + sum(upper)
    return Couplings(diagonal, tuple(lower), tuple(upper), local)


def _along(values: np.ndarray, axis: int, shape: Sequence[int]) -> np.ndarray:
    return values.reshape([-1 if k == axis else 1 for k in range(len(shape))])


def _colors(n: int) -> np.ndarray:
    """Return a number for each cell of a ring, different in any three consecutive cells."""
    colors = np.arange(n) % 3
    rest = n % 3
    if rest and n > 3:
        colors[n - rest :] = 3 + np.arange(rest)
    return colors
