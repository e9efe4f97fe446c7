"""Ghost cells: extension of an array beyond the faces of the domain or across periodic ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from pdesim.model.boundary_conditions import HELD, JOINED, BoundaryCondition
from pdesim.model.grid import Grid
from pdesim.operators.ghost_weights import (
    cells_read,
    clamped_weights,
    extrapolation_weights,
    face_weights,
    ghost_weights,
    may_be_singular,
    slope_weights,
)

#: the condition by which the value on the face determines the ghost cells of general conditions
HELD_VALUE = BoundaryCondition("dirichlet", 1.0, 0.0)
WallPair = tuple[BoundaryCondition, BoundaryCondition]
#: ``wall_value(wall, axis, side, part)`` returns the right-hand side of the condition ``wall`` on
#: its face (``part`` is "value" or "slope"); of a general condition also its coefficients ("a",
#: "b"), the value of its field ("field") and the derivative of the right-hand side ("rate")
WallValue = Callable[..., Any]


def extend(
    values: tf.Tensor,
    grid: Grid,
    walls: Sequence[WallPair],
    halo: int,
    order: int,
    wall_value: WallValue,
    pointwise: tf.Tensor | None = None,
    extra: int = 0,
) -> tf.Tensor:
    """Add ``halo`` cells on every side of every axis, corners included.

    Args:
        values: an array of shape ``(..., *grid.shape)``. Along axes on which the values do not
            depend, the length may be 1; these axes are not extended.
        walls: for each axis x, y, z, the boundary conditions of the lower and the upper side.
        order: order of accuracy of the extrapolation through the boundary condition.
        wall_value: a function that returns the right-hand side of a condition. It is called with
            (wall, axis, side), and with "slope" as a fourth argument for the slope of a clamped
            side. It returns None for 0, or a number or tensor that broadcasts against the layer of
            ghost cells. Axes are extended from the first array axis to the last, so the layer
            already has ghost cells along the preceding array axes.
        pointwise: an array that already has ghost cells on all sides; the ghost cells of
            ``POINTWISE`` and ``CONTINUED`` sides are copied from it.
        extra: the number of interior cells used to extrapolate a ghost cell, in addition to those
            that ``order`` requires.
    """
    for axis in reversed(range(grid.dimensions)):
        if values.shape[grid.array_axis(axis)] == grid.points[axis]:
            values = _extended_along(
                values, grid, walls, axis, halo, order, wall_value, pointwise, extra
            )
    return values


def _extended_along(
    values: tf.Tensor,
    grid: Grid,
    walls: Sequence[WallPair],
    axis: int,
    halo: int,
    order: int,
    wall_value: WallValue,
    pointwise: tf.Tensor | None,
    extra: int,
) -> tf.Tensor:
    """Add ``halo`` cells on both sides of one axis; see :func:`extend`."""
    where, points = grid.array_axis(axis), grid.points[axis]
    lower, values, upper = with_ends(values, where, max(halo, order + extra))
    if walls[axis][0].kind in JOINED:
        before, after = _wrapped(lower, upper, points, where, halo)
        if walls[axis][0].kind == "antiperiodic":
            # beyond a second period, the sign is that of the interior again
            signs = [1.0 if m // points % 2 else -1.0 for m in range(halo)]
            column = tf.reshape(tf.constant(signs, values.dtype), (-1, *[1] * axis))
            before, after = tf.reverse(column, [0]) * before, column * after
    else:
        before, after = (
            _taken(pointwise, grid, axis, side, halo)
            if wall.kind in ("pointwise", "continued")
            else _beyond(end, wall, grid, axis, side, halo, order, wall_value, extra)
            for side, (wall, end) in enumerate(zip(walls[axis], (lower, upper), strict=True))
        )
    return tf.concat([before, values, after], axis=where)


def layer(values: tf.Tensor, axis: int, start: int | None, stop: int | None) -> tf.Tensor:
    """Return ``values[start:stop]`` along the array axis ``axis``, a negative number."""
    index = [slice(None)] * (-axis)
    index[0] = slice(start, stop)
    return values[(..., *index)]


def with_ends(values: tf.Tensor, axis: int, cells: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the first cells along an array axis, the values themselves, and the last cells.

    Derivatives are added in the cells at the ends only, not as arrays that are zero elsewhere. If
    there are fewer than ``2 * cells`` cells, all three results are the values.
    """
    if values.shape[axis] < 2 * cells:
        return values, values, values

    @tf.custom_gradient
    def split(values: tf.Tensor) -> tuple[tuple, Callable]:
        def gradient(lower: tf.Tensor, all_cells: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
            first, last = layer(all_cells, axis, 0, cells), layer(all_cells, axis, -cells, None)
            middle = layer(all_cells, axis, cells, -cells)
            return tf.concat([first + lower, middle, last + upper], axis=axis)

        ends = layer(values, axis, 0, cells), layer(values, axis, -cells, None)
        return (ends[0], tf.identity(values), ends[1]), gradient

    return split(values)


def _wrapped(
    lower: tf.Tensor, upper: tf.Tensor, points: int, axis: int, halo: int
) -> tuple[tf.Tensor, tf.Tensor]:
    if halo <= points:
        return layer(upper, axis, -halo, None), layer(lower, axis, 0, halo)
    before = tf.gather(upper, [m % points for m in range(-halo, 0)], axis=axis)
    return before, tf.gather(lower, [m % points for m in range(halo)], axis=axis)


def face_values(
    values: tf.Tensor, grid: Grid, axis: int, side: int, halo: int, order: int, joined: Sequence
) -> tf.Tensor:
    """Return the values on a face, extrapolated from the cells next to it.

    The layer has ghost cells along the array axes that :func:`extend` processes before ``axis``.
    Those of periodic axes are copies; beyond other boundaries, values are extrapolated.

    Args:
        values: an array of shape ``(..., *grid.shape)``.
        joined: for each axis, ``PERIODIC``, ``ANTIPERIODIC``, or ``EXTRAPOLATED``.
    """
    where = grid.array_axis(axis)
    known = min(max(order, 2), grid.points[axis])
    places = [grid.points[axis] - 1 - n if side else n for n in range(known)]
    cells = [layer(values, where, place, place + 1) for place in places]
    result = sum(w * u for w, u in zip(face_weights(known).tolist(), cells, strict=True))
    walls = [(condition, condition) for condition in joined]
    for other in reversed(range(axis + 1, grid.dimensions)):
        result = _extended_along(result, grid, walls, other, halo, max(order, 2), _zero, None, 0)
    return result


def _zero(wall: BoundaryCondition, axis: int, side: int, part: str = "value") -> None:
    """Return the right-hand side of homogeneous conditions."""


def _taken(padded: tf.Tensor, grid: Grid, axis: int, side: int, halo: int) -> tf.Tensor:
    """Return the ghost cells of one side, copied from an array that is extended along all axes."""
    for later in range(axis):  # in ``extend``, the values have no ghost cells along these axes yet
        where = grid.array_axis(later)
        padded = layer(padded, where, halo, halo + grid.points[later])
    first = halo + grid.points[axis] if side else 0
    return layer(padded, grid.array_axis(axis), first, first + halo)


def _beyond(
    end: tf.Tensor,
    wall: BoundaryCondition,
    grid: Grid,
    axis: int,
    side: int,
    halo: int,
    order: int,
    wall_value: WallValue,
    extra: int,
) -> tf.Tensor:
    where = grid.array_axis(axis)

    def cell(number: int) -> tf.Tensor:
        index = end.shape[where] - 1 - number if side else number
        return layer(end, where, index, index + 1)

    ghosts = ghost_layers(cell, wall, grid, axis, side, halo, order, wall_value, extra)
    return tf.concat(ghosts[::-1] if side == 0 else ghosts, axis=where)


def ghost_layers(
    cell: Callable[[int], tf.Tensor],
    wall: BoundaryCondition,
    grid: Grid,
    axis: int,
    side: int,
    halo: int,
    order: int,
    wall_value: WallValue,
    extra: int = 0,
) -> list[tf.Tensor]:
    """Return the layers of ghost cells of one side, from the face outwards.

    Args:
        cell: a function that returns the layer of interior cells with a given number, counted from
            the face inwards.
        order, wall_value, extra: see :func:`extend`.
    """
    points = grid.points[axis]
    if wall.kind == "extrapolated":
        return _extrapolated(cell, points, halo, order + extra)
    if wall.kind == "constant":
        return [cell(0)] * halo
    if wall.is_general:
        return general_layers(cell, wall, grid, axis, side, halo, order, wall_value, extra)
    value = wall_value(wall, axis, side)
    if wall.kind == HELD:
        return [0 * cell(0) if value is None else value + 0 * cell(0)] * halo
    known = cells_read(wall, points, order, extra)
    slope, slope_weights = None, None
    if wall.is_clamped:
        weights, value_weights, slope_weights = clamped_weights(grid.spacing[axis], halo, known)
        slope = wall_value(wall, axis, side, "slope")
    else:
        weights, value_weights = ghost_weights(wall, grid.spacing[axis], halo, known)
    cells = [cell(number) for number in range(known)]
    ghosts = []
    for m in range(halo):
        pairs = zip(weights[m].tolist(), cells, strict=True)
        # all weights are 0 if u + h/2 du/dn = 0
        ghost = sum(w * cell for w, cell in pairs if w) if weights[m].any() else 0 * cells[0]
        if value is not None:
            ghost = ghost + float(value_weights[m]) * value
        if slope is not None and slope_weights is not None:
            ghost = ghost + float(slope_weights[m]) * slope
        ghosts.append(ghost)
    if value is None or not may_be_singular(wall):
        return ghosts
    instead, known_value = _extrapolated(cell, points, halo, order), tf.math.is_finite(value)
    return [tf.where(known_value, *both) for both in zip(ghosts, instead, strict=True)]


def general_layers(
    cell: Callable[[int], tf.Tensor],
    wall: BoundaryCondition,
    grid: Grid,
    axis: int,
    side: int,
    halo: int,
    order: int,
    wall_value: WallValue,
    extra: int,
) -> list[tf.Tensor]:
    """Return the ghost cells of a general condition ``a*u + b*du/dn = value``.

    On the face, du/dn is a linear function of u there and in the interior cells, so the condition
    is an equation for u on the face. Fields in the value have the values that are extrapolated from
    the interior. If u is the only one, the value is linearised about it (one step of Newton's
    method), which is exact for values that are linear in u. The ghost cells follow from u on the
    face, as with a Dirichlet condition. For constant a and b they are those of
    :func:`pdesim.operators.ghost_weights.ghost_weights`.

    Args: see :func:`ghost_layers`.
    """
    spacing, known = grid.spacing[axis], cells_read(wall, grid.points[axis], order, extra)
    cells = [cell(number) for number in range(known)]

    def part(name: str) -> Any:
        found = wall_value(wall, axis, side, name)
        return 0.0 if found is None else found

    inside, of_face = slope_weights(spacing, known)
    slope = sum(w * u for w, u in zip(inside.tolist(), cells, strict=True))
    a, b, right = part("a"), part("b"), part("value")
    matrix = a + b * of_face
    if wall.rate != 0:
        rate = part("rate")
        right, matrix = right - rate * part("field"), matrix - rate
    on_face = (right - b * slope) / matrix
    weights, of_value = ghost_weights(HELD_VALUE, spacing, halo, known)
    return [
        sum(w * u for w, u in zip(row, cells, strict=True) if w) + value * on_face
        for row, value in zip(weights.tolist(), of_value.tolist(), strict=True)
    ]


def _extrapolated(
    cell: Callable[[int], tf.Tensor], points: int, halo: int, order: int
) -> list[tf.Tensor]:
    known = min(order, points)
    cells = [cell(number) for number in range(known)]
    weights = extrapolation_weights(halo, known).tolist()
    return [sum(w * cell for w, cell in zip(row, cells, strict=True)) for row in weights]


def condition_kinds(wall: BoundaryCondition) -> tuple:
    """Return the properties that fields must share to be extended in one operation."""
    return wall.kind, wall.a, wall.b, wall.is_clamped, may_be_singular(wall), wall.field
