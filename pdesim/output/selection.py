"""The stored part of a state: selected fields, in a region of the domain, at every n-th cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, nearest
from pdesim.model.grid import Grid


@dataclass(frozen=True)
class Selection:
    """The part of a state that is stored.

    Attributes:
        fields: numbers of the stored fields.
        cells: slices of the stored cells, in the order of the array axes (z, y, x).
    """

    fields: tuple[int, ...]
    cells: tuple[slice, ...]

    def coordinates(self, grid: Grid, axis: int) -> np.ndarray:
        """Return the stored cell centres along an axis (0 for x, 1 for y, 2 for z)."""
        return grid.physical_centres(axis)[self.cells[grid.array_axis(axis)]]

    def part(self, first: int, rows: int) -> Selection:
        """Return the selection within a part of the grid, possibly of no rows.

        The stored rows of the parts of a grid are together those of this selection.

        Args:
            first: the index of the part's first row along the first array axis.
            rows: the number of rows of the part.
        """
        whole = self.cells[0]
        start, step = whole.start, whole.step
        begin = start - first if start >= first else (start - first) % step
        end = max(0, min(whole.stop - first, rows))
        return Selection(self.fields, (slice(min(begin, end), end, step), *self.cells[1:]))

    def shape(self, grid: Grid) -> tuple[int, ...]:
        """Return the shape of the array that stores one frame of one field."""
        return tuple(len(self.coordinates(grid, axis)) for axis in range(grid.dimensions))[::-1]


def build_selection(
    grid: Grid,
    fields: Sequence[str],
    keep: Sequence[str] | None,
    stride: int | Sequence[int],
    region: Mapping[Any, Sequence[float]] | None,
) -> Selection:
    """Return the selection that the output settings describe.

    Args:
        grid: the grid of the run.
        fields: names of all fields.
        keep: ``output.fields``, the names of the stored fields; None: all fields.
        stride: ``output.stride``: every n-th cell is stored, counted from the first cell of the
            region. One number for all axes, or one per axis.
        region: ``output.region``: axis -> bounds between which the centres of stored cells lie.

    Raises:
        ConfigError: for unknown fields or axes, or if the region contains no cell centre.
    """
    for name in keep or ():
        if name not in fields:
            raise ConfigError(f"output.fields names {name!r}", nearest(name, fields))
    if keep is not None and len(set(keep)) < len(keep):
        raise ConfigError(f"output.fields={list(keep)} names a field twice", "each field once")
    chosen = tuple(i for i, name in enumerate(fields) if keep is None or name in keep)
    steps = [stride] * grid.dimensions if isinstance(stride, int) else list(stride)
    if len(steps) != grid.dimensions:
        raise ConfigError(
            f"output.stride has {len(steps)} numbers", f"one per axis, {', '.join(grid.names)}"
        )
    region = region or {}
    for name in region:
        if name not in grid.names:
            raise ConfigError(f"output.region names {name!r}", nearest(name, grid.names))
    cells = [
        _slice(grid, axis, region.get(name), steps[axis]) for axis, name in enumerate(grid.names)
    ]
    return Selection(chosen, tuple(reversed(cells)))


def _slice(grid: Grid, axis: int, bounds: Sequence[float] | None, step: int) -> slice:
    if bounds is None:
        return slice(0, grid.points[axis], step)
    centres = grid.physical_centres(axis)
    inside = np.flatnonzero((centres >= bounds[0]) & (centres <= bounds[1]))
    if not len(inside):
        name, low, high = grid.names[axis], grid.origin[axis], grid.origin[axis] + grid.extent[axis]
        raise ConfigError(
            f"output.region.{name} = [{bounds[0]:g}, {bounds[1]:g}] contains no cell centre",
            f"[lower, upper] within {low:g} and {high:g}, at least a cell wide",
        )
    return slice(int(inside[0]), int(inside[-1]) + 1, step)
