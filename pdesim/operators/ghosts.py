"""Ghost cells: a state extended beyond the walls or around the periodic seam."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from pdesim.boundary import Wall, cells_known, ghost_weights
from pdesim.grid import Grid

WallPair = tuple[Wall, Wall]


def extend(
    values: tf.Tensor,
    grid: Grid,
    walls: Sequence[WallPair],
    halo: int,
    order: int,
    wall_value: Callable[[Wall, int, int], object],
) -> tf.Tensor:
    """Add ``halo`` cells on every side of every axis, corners included.

    Args:
        values: shape ``(..., *grid.shape)``.
        walls: the pair (lower, upper) per axis x, y, z.
        order: order of accuracy of the extrapolation through the wall condition.
        wall_value: called with (wall, axis, side) for the right-hand side of its condition, a
            number or a tensor that broadcasts against the layer of ghost cells. Axes are extended
            from the first array axis to the last, so the layer is already extended on array
            axes before its own.
    """
    for axis in reversed(range(grid.dimensions)):
        lower, upper = walls[axis]
        where = grid.array_axis(axis)
        if lower.kind == "periodic":
            before, after = _wrapped(values, where, halo)
        else:
            before = _beyond(values, lower, grid, axis, 0, halo, order, wall_value)
            after = _beyond(values, upper, grid, axis, 1, halo, order, wall_value)
        values = tf.concat([before, values, after], axis=where)
    return values


def layer(values: tf.Tensor, axis: int, start: int | None, stop: int | None) -> tf.Tensor:
    """``values[start:stop]`` along one (negative) array axis."""
    index = [slice(None)] * (-axis)
    index[0] = slice(start, stop)
    return values[(..., *index)]


def _wrapped(values: tf.Tensor, axis: int, halo: int) -> tuple[tf.Tensor, tf.Tensor]:
    points = values.shape[axis]
    if halo <= points:
        return layer(values, axis, points - halo, None), layer(values, axis, 0, halo)
    before = tf.gather(values, [m % points for m in range(-halo, 0)], axis=axis)
    return before, tf.gather(values, [m % points for m in range(halo)], axis=axis)


def _beyond(values, wall, grid, axis, side, halo, order, wall_value) -> tf.Tensor:
    where = grid.array_axis(axis)
    known = cells_known(order, grid.points[axis])
    weights, value_weights = ghost_weights(wall, grid.spacing[axis], halo, known)
    cells = [
        layer(values, where, j, j + 1)
        if side == 0
        else layer(values, where, grid.points[axis] - 1 - j, grid.points[axis] - j)
        for j in range(known)
    ]
    value = wall_value(wall, axis, side)
    ghosts = []
    for m in range(halo):
        ghost = sum(w * cell for w, cell in zip(weights[m].tolist(), cells, strict=True) if w)
        if value is not None:
            ghost = ghost + float(value_weights[m]) * value
        ghosts.append(ghost)
    return tf.concat(ghosts[::-1] if side == 0 else ghosts, axis=where)
