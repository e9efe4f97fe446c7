"""Cartesian grids of equal cells, with values at the cell centres."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.formula.language import AXES


@dataclass(frozen=True)
class Grid:
    """``points`` cells along x, y, z (in this order), each side ``extent / points`` long.

    The centre of cell i on an axis is ``origin + (i + 1/2) * spacing``; walls lie on cell faces.
    Arrays have the reverse order, x last: shape ``(nx,)``, ``(ny, nx)`` or ``(nz, ny, nx)``.
    """

    points: tuple[int, ...]
    extent: tuple[float, ...]
    origin: tuple[float, ...]

    @property
    def dimensions(self) -> int:
        return len(self.points)

    @property
    def axes(self) -> tuple[str, ...]:
        return AXES[: self.dimensions]

    @property
    def shape(self) -> tuple[int, ...]:
        """Array shape: ``points`` reversed, so that x is the last axis."""
        return self.points[::-1]

    @property
    def cells(self) -> int:
        return math.prod(self.points)

    @property
    def spacing(self) -> tuple[float, ...]:
        return tuple(length / n for length, n in zip(self.extent, self.points, strict=True))

    @property
    def cell_volume(self) -> float:
        return math.prod(self.spacing)

    def array_axis(self, axis: int) -> int:
        """The (negative) array axis of coordinate axis 0 = x, 1 = y, 2 = z."""
        return -1 - axis

    def centres(self, axis: int, halo: int = 0, periodic: bool = False) -> np.ndarray:
        """Cell centres along one axis, with ``halo`` more cells on either side.

        On a periodic axis those are the cells of the other end, at their own places.
        """
        index = np.arange(-halo, self.points[axis] + halo)
        if periodic:
            index %= self.points[axis]
        return self.origin[axis] + (index + 0.5) * self.spacing[axis]

    def broadcast(self, axis: int, values: np.ndarray) -> np.ndarray:
        """Shape a vector along one coordinate axis so that it broadcasts over the grid."""
        shape = [1] * self.dimensions
        shape[self.array_axis(axis)] = -1
        return values.reshape(shape)

    def coordinates(
        self, halo: int = 0, periodic: Sequence[bool] = (False, False, False)
    ) -> dict[str, np.ndarray]:
        """``x``, ``y``, ``z`` as arrays that broadcast against each other."""
        return {
            name: self.broadcast(axis, self.centres(axis, halo, periodic[axis]))
            for axis, name in enumerate(self.axes)
        }

    def namespace(
        self, coordinates: dict[str, np.ndarray], named: Container[str] = ("r",)
    ) -> dict[str, np.ndarray]:
        """Coordinates plus what formulas may name besides: ``r`` and ``Lx``, ``Ly``, ``Lz``.

        ``r`` is the distance from the centre of the domain, in any number of dimensions. It alone
        is as large as the grid, so it is left out where ``named`` does not have it.
        """
        lengths = {f"L{name}": self.extent[axis] for axis, name in enumerate(self.axes)}
        if "r" not in named:
            return {**coordinates, **lengths}
        squares = (
            (coordinates[name] - (self.origin[axis] + 0.5 * self.extent[axis])) ** 2
            for axis, name in enumerate(self.axes)
        )
        return {**coordinates, **lengths, "r": np.sqrt(sum(squares))}


def square_extents(points: Sequence[int], extent: float) -> tuple[float, ...]:
    """The lengths of a domain of square cells whose first axis has a given length."""
    return tuple(extent * n / points[0] for n in points)


def place_names(axes: tuple[str, ...]) -> tuple[str, ...]:
    """The names that :meth:`Grid.namespace` gives values to."""
    return (*axes, *(f"L{name}" for name in axes), "r")
