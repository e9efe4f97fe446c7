"""Frames of other runs as initial states: transfer of stored values to another grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdesim.errors import OutputError
from pdesim.files import StoredFrame
from pdesim.model.grid import Grid, equal_steps
from pdesim.model.resampling import interpolate

#: largest difference of coordinates that are considered equal, in cells
TOLERANCE = 1e-3


def on_grid(frame: StoredFrame, grid: Grid, periodic: Sequence[bool], name: str) -> np.ndarray:
    """Return a stored frame on a grid.

    If the grid differs from that of the frame, the values are interpolated by polynomials along
    each axis (:func:`pdesim.model.resampling.interpolate`). Beyond the domain of the frame, values
    are repeated along periodic axes, and those of the nearest cell are used along other axes.

    Args:
        frame: the frame.
        grid: the grid.
        periodic: whether each axis of the grid is periodic, x first.
        name: the name of the field and the file, for errors.

    Returns:
        An array of the shape of the grid.

    Raises:
        OutputError: if the numbers of dimensions differ, if values would have to be interpolated
            next to obstacles, or if the file contains no coordinates and has another shape.
    """
    values = frame.values
    if values.ndim != grid.dimensions:
        raise OutputError(
            f"{name} is {values.ndim}-D, but the grid is {grid.dimensions}-D",
            f"a grid of {values.ndim} dimensions" if 1 <= values.ndim <= 3 else "1 to 3 dimensions",
        )
    if frame.centres is None or min(values.shape) < 2:
        if values.shape != grid.shape:
            raise OutputError(
                f"{name} has the shape {values.shape}",
                f"the shape {grid.shape} of the grid; or a file with coordinates",
            )
        return values
    if has_cells(frame.centres, grid):
        return values
    places = [_places(frame.centres[axis], grid, axis) for axis in range(grid.dimensions)]
    if frame.obstacles:
        raise OutputError(
            f"{name} cannot be interpolated to another grid, because the run contains obstacles",
            "the grid and the domain of that run",
        )
    wraps = []
    for axis, place in enumerate(places):
        cells = values.shape[-1 - axis]
        wraps.append(periodic[axis])
        places[axis] = place % cells if periodic[axis] else np.clip(place, 0.5, cells - 0.5)
    return interpolate(values, places, wraps)


def has_cells(centres: Sequence[np.ndarray], grid: Grid) -> bool:
    """Whether a frame with these cell centres, x first, has the cells of a grid."""
    if tuple(map(len, centres)) != grid.points or min(grid.points) < 2:
        return False
    return all(
        np.allclose(_places(one, grid, axis), np.arange(len(one)) + 0.5, rtol=0, atol=TOLERANCE)
        for axis, one in enumerate(centres)
    )


def _places(centres: np.ndarray, grid: Grid, axis: int) -> np.ndarray:
    """Return the cell centres of the grid in cells of the frame, whose first centre is at 1/2."""
    spacing = (centres[-1] - centres[0]) / (len(centres) - 1)
    if not equal_steps(centres):
        numbers = np.arange(len(centres)) + 0.5
        return np.interp(grid.physical_centres(axis), centres, numbers)
    return (grid.physical_centres(axis) - centres[0]) / spacing + 0.5
