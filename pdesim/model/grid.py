"""Grids of cells that are equal in computational coordinates, with values at their centres."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdesim.errors import ConfigError
from pdesim.formula.language import AXES
from pdesim.formula.metric import CELL, Metric
from pdesim.model.geometry import build_metric, face_positions, positions, volumes
from pdesim.settings import Settings

#: the smallest relative difference of coordinates, and of times
DIGITS = 1e-12


@dataclass(frozen=True)
class Grid:
    """A uniform Cartesian grid in one, two or three dimensions.

    The centre of cell i on an axis is ``origin + (i + 1/2) * spacing``, and the boundary lies on
    cell faces. Arrays have the reverse order of axes: ``(nx,)``, ``(ny, nx)`` or ``(nz, ny, nx)``.

    Attributes:
        points: the number of cells along x, y, z.
        extent: the lengths of the domain along x, y, z.
        origin: the lower corner of the domain.
        metric: the relation to physical coordinates; None if they are Cartesian on equal cells.
            All attributes and methods whose names do not begin with ``physical_`` refer to
            computational coordinates, in which formulas are evaluated.
        window: for a part of a grid, the index of its first cell along the last axis, and the
            number of cells of the complete grid along this axis; else None. ``extent`` and
            ``origin`` are those of the complete grid. A part may continue beyond the ends of a
            periodic axis.
    """

    points: tuple[int, ...]
    extent: tuple[float, ...]
    origin: tuple[float, ...]
    metric: Metric | None = None
    window: tuple[int, int] | None = None

    @property
    def dimensions(self) -> int:
        """The number of dimensions."""
        return len(self.points)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes, such as ``("x", "y")``."""
        return AXES[: self.dimensions]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the axes for users and in files, such as ``("r", "z")``."""
        return self.axes if self.metric is None else self.metric.names

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of arrays: ``points`` in reverse order."""
        return self.points[::-1]

    @property
    def cells(self) -> int:
        """The total number of cells."""
        return math.prod(self.points)

    @property
    def spacing(self) -> tuple[float, ...]:
        """The cell sizes along x, y, z."""
        return tuple(length / n for length, n in zip(self.extent, self.whole_points, strict=True))

    @property
    def whole_points(self) -> tuple[int, ...]:
        """The number of cells of the complete grid along x, y, z; ``points`` unless a part."""
        return self.points if self.window is None else (*self.points[:-1], self.window[1])

    @property
    def row_indices(self) -> np.ndarray | None:
        """For a part, the indices of its rows in arrays of the complete grid; else None.

        Those beyond the ends of a periodic axis are the rows that they copy.
        """
        if self.window is None:
            return None
        first, cells = self.window
        return (first + np.arange(self.points[-1])) % cells

    @property
    def cell_volume(self) -> float:
        """The volume of a cell."""
        return math.prod(self.spacing)

    @property
    def cell_volumes(self) -> np.ndarray | None:
        """The volumes of all cells, of the shape of the grid; None if they are equal."""
        return None if self.metric is None else volumes(self.metric, self)

    def physical_faces(self, axis: int) -> np.ndarray:
        """Return the physical coordinates of the faces of cells along one axis, ``(n + 1,)``."""
        return face_positions(self.metric, self, axis)

    def physical_centres(self, axis: int) -> np.ndarray:
        """Return the physical coordinates of the cell centres along one axis."""
        if self.metric is None or self.metric.maps[axis] is None:
            return self.centres(axis)
        return positions(self.metric, axis, self.centres(axis))

    def array_axis(self, axis: int) -> int:
        """Return the array axis, a negative number, of a coordinate axis (0 for x)."""
        return -1 - axis

    def centres(self, axis: int, halo: int = 0, periodic: bool = False) -> np.ndarray:
        """Return the cell centres along one axis, with ``halo`` ghost cells on either side.

        On a periodic axis the ghost cells have the coordinates of the cells that they copy.
        """
        index, cells = self.indices(axis, halo), self.points[axis]
        if self.window is not None and axis == self.dimensions - 1:
            first, cells = self.window
            periodic = periodic or first < 0 or first + self.points[axis] > cells
        if periodic:
            index %= cells
        return self.origin[axis] + (index + 0.5) * self.spacing[axis]

    def indices(self, axis: int, halo: int = 0) -> np.ndarray:
        """Return the indices of cells along one axis; for a part, those in the complete grid."""
        index = np.arange(-halo, self.points[axis] + halo)
        if self.window is not None and axis == self.dimensions - 1:
            index += self.window[0]
        return index

    def part(self, first: int, rows: int) -> Grid:
        """Return a part of this grid: ``rows`` cells from index ``first`` along the last axis."""
        return replace(self, points=(*self.points[:-1], rows), window=(first, self.points[-1]))

    def parts(self, rows: int) -> Iterator[Grid]:
        """Yield consecutive parts of this grid with at most ``rows`` cells along the last axis."""
        total = self.points[-1]
        for first in range(0, total, rows):
            yield self.part(first, min(rows, total - first))

    @property
    def complete(self) -> Grid:
        """The grid of which this is a part; the grid itself if it is complete."""
        if self.window is None:
            return self
        return replace(self, points=(*self.points[:-1], self.window[1]), window=None)

    def broadcast(self, axis: int, values: np.ndarray) -> np.ndarray:
        """Reshape values along one coordinate axis so that they broadcast over the grid."""
        shape = [1] * self.dimensions
        shape[self.array_axis(axis)] = -1
        return values.reshape(shape)

    def coordinates(
        self, halo: int = 0, periodic: Sequence[bool] = (False, False, False)
    ) -> dict[str, np.ndarray]:
        """Return ``x``, ``y``, ``z`` as arrays that broadcast against each other."""
        return {
            name: self.broadcast(axis, self.centres(axis, halo, periodic[axis]))
            for axis, name in enumerate(self.axes)
        }

    def coordinates_of(self, cells: np.ndarray) -> dict[str, np.ndarray]:
        """Return ``x``, ``y``, ``z`` of cells with these indices in flat arrays of the grid."""
        places = np.unravel_index(cells, self.shape)
        return {
            name: self.centres(axis)[places[self.array_axis(axis)]]
            for axis, name in enumerate(self.axes)
        }

    def namespace(
        self, coordinates: dict[str, np.ndarray], named: Container[str] = ("r",)
    ) -> dict[str, np.ndarray | float]:
        """Return the values of the spatial names of formulas.

        Args:
            coordinates: see :meth:`coordinates`.
            named: the names that are needed. ``r`` is included only if it is needed, since it is an
                array of the size of the grid.

        Returns:
            The coordinates, ``Lx``, ``Ly``, ``Lz`` (the extent), and ``r`` (the distance from the
            centre of the domain).
        """
        pairs = zip(self.axes, self.extent, strict=True)
        lengths: dict[str, np.ndarray | float] = {f"L{name}": length for name, length in pairs}
        if self.metric is not None and CELL.name in named:
            lengths[CELL.name] = self.spacing[0]
        if "r" not in named:
            return {**coordinates, **lengths}
        squares = (
            (coordinates[name] - (self.origin[axis] + 0.5 * self.extent[axis])) ** 2
            for axis, name in enumerate(self.axes)
        )
        return {**coordinates, **lengths, "r": np.sqrt(sum(squares))}


def equal_steps(coordinates: np.ndarray) -> bool:
    """Whether neighbouring coordinates have equal distances, up to the rounding of single ones."""
    steps = np.diff(coordinates.astype(float))
    if len(steps) < 2:
        return True
    rounding = 4 * np.finfo(np.float32).eps * np.abs(coordinates).max()
    return bool(np.ptp(steps) <= 1e-6 * abs(steps.mean()) + rounding)


def square_extents(points: Sequence[int], extent: float) -> tuple[float, ...]:
    """Return the lengths of a domain of square cells, given its length along x."""
    return tuple(extent * n / points[0] for n in points)


def place_names(axes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names for which :meth:`Grid.namespace` returns values."""
    return (*axes, *(f"L{name}" for name in axes), "r")


def build_grid(settings: Settings) -> Grid:
    """Build the grid from the settings.

    The number of dimensions is the length of ``grid``, ``domain.extent`` or ``domain.origin`` if
    one of these is a list, otherwise ``domain.dimensions``. If ``grid`` is a list and
    ``domain.extent`` a single number, this number is the extent along x, and the cells have the
    same size along all axes: ``extent[axis] = extent * grid[axis] / grid[0]``.
    """
    lists = {
        "grid": settings.grid,
        "domain.extent": settings.domain.extent,
        "domain.origin": settings.domain.origin,
    }
    lengths = {name: len(value) for name, value in lists.items() if isinstance(value, list)}
    if len(set(lengths.values())) > 1:
        lengths_text = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ConfigError(
            f"the lists differ in length: {lengths_text}", "one value per axis, or one number"
        )
    dimensions = next(iter(lengths.values()), settings.domain.dimensions)

    def per_axis(value: Any) -> tuple:
        return tuple(value) if isinstance(value, list) else (value,) * dimensions

    points, extent, origin = (per_axis(value) for value in lists.values())
    if not isinstance(settings.domain.extent, list):
        extent = square_extents(points, settings.domain.extent)
    grid = Grid(points, tuple(map(float, extent)), tuple(map(float, origin)))
    for axis, name in enumerate(grid.axes):
        ends = grid.origin[axis], grid.origin[axis] + grid.extent[axis]
        if not DIGITS * max(map(abs, ends)) < grid.spacing[axis]:
            raise ConfigError(
                f"{name} from {ends[0]:g} to {ends[1]:g} in cells of {grid.spacing[axis]:.3g}: "
                "neighbouring cells have the same coordinate in float64",
                "coordinates of less than 10^12 times the cell size",
            )
    return replace(grid, metric=build_metric(settings.domain, grid))
