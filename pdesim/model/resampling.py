"""Resampling of cell-centred values to another grid of the same domain.

The last array axes are those of the grid, x last; any axes may precede them. Periodic axes are
continued periodically. On other axes, :func:`low_pass` reflects the values at the boundaries, and
:func:`halve` and :func:`interpolate` use one-sided interpolation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

#: standard deviation of the Gaussian of :func:`low_pass`, in cells of the original grid
SMOOTHING = 2.5
#: number of interpolation points per axis of :func:`halve`, without and with ``spectral``
POINTS, MANY_POINTS = 8, 12
#: number of values that are transformed at once where only some rows of the result are kept
BLOCK = 2**18


@dataclass(frozen=True)
class StoredRows:
    """The rows of a grid that an array contains.

    Attributes:
        indices: the indices of the rows, ascending.
        total: the number of rows of the grid.
    """

    indices: np.ndarray
    total: int


def low_pass(
    values: np.ndarray,
    shape: Sequence[int],
    periodic: Sequence[bool],
    smoothing: float = SMOOTHING,
) -> np.ndarray:
    """Smooth values and evaluate them at the cell centres of a grid of another shape.

    In Fourier space the values are multiplied by exp(-(k s)^2 / 2), where s is the length of
    ``smoothing`` cells of the original grid. Waves shorter than four of these cells are removed;
    the default smoothing alone reduces them to at most 4.5e-4 of their amplitude. All grids with at
    least half as many cells per axis therefore represent the same smooth function. The mean is
    preserved exactly, and long waves nearly.

    Args:
        values: the values on the original grid, shape ``(..., *grid.shape)``.
        shape: the shape of the new grid, with at least half as many cells per axis.
        periodic: whether each coordinate axis is periodic, x first.
        smoothing: the standard deviation of the Gaussian in cells of the original grid; 0: only
            remove the short waves.

    Returns:
        An array of shape ``(..., *shape)``.
    """

    def factor(waves: np.ndarray, old: int, new: int) -> np.ndarray:
        angle = 2 * np.pi * waves / old
        return np.where(4 * waves < old, np.exp(-0.5 * (smoothing * angle) ** 2), 0.0)

    return _by_waves(values, shape, periodic, factor)


def trigonometric(
    values: np.ndarray,
    shape: Sequence[int],
    periodic: Sequence[bool],
    rows: slice | None = None,
) -> np.ndarray:
    """Evaluate the trigonometric interpolant of values at the cell centres of another grid.

    Waves that are shorter than two cells of the new grid are removed.

    Args:
        values: the values on the original grid, shape ``(..., *grid.shape)``.
        shape: the shape of the new grid.
        periodic: whether each coordinate axis is periodic, x first.
        rows: the rows that are returned (indices along the first axis of the new grid); None for
            all. The transform along this axis needs all rows, and is computed for some columns at a
            time.

    Returns:
        An array of shape ``(..., *shape)``.
    """

    def factor(waves: np.ndarray, old: int, new: int) -> np.ndarray:
        # on a finer grid, the shortest wave stands for two waves of opposite directions
        return np.where((2 * waves == old) & (new > old), 0.5, 1.0)

    return _by_waves(values, shape, periodic, factor, rows)


def _by_waves(
    values: np.ndarray,
    shape: Sequence[int],
    periodic: Sequence[bool],
    factor: Callable[[np.ndarray, int, int], np.ndarray],
    rows: slice | None = None,
) -> np.ndarray:
    """Multiply the amplitudes of waves by factors, and evaluate them on another grid."""
    for number, cells in enumerate(reversed(shape)):
        kept = rows if rows is None or number == len(shape) - 1 else slice(0, cells)
        transform = partial(_along, cells=cells, periodic=periodic[number], factor=factor)
        along = rows_of(transform, np.moveaxis(values, -1 - number, -1), cells, kept)
        values = np.moveaxis(along, -1, -1 - number)
    return values


def rows_of(
    transform: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    cells: int,
    rows: slice | None,
) -> np.ndarray:
    """Return a transform along the last axis, or some of its results.

    Args:
        transform: transforms arrays along their last axis, all other indices independently, to
            float64.
        values: the array that is transformed.
        cells: the number of results along the last axis.
        rows: the results that are kept; None for all. Only the results of some indices along the
            first axis are in memory at a time.
    """
    if rows is None:
        return transform(values)
    if values.ndim == 1:
        return transform(values)[rows]
    each = cells * (values[0].size // values.shape[-1])
    step = max(1, BLOCK // each)
    result = np.empty((*values.shape[:-1], rows.stop - rows.start))
    for start in range(0, len(values), step):
        result[start : start + step] = transform(values[start : start + step])[..., rows]
    return result


def _along(
    values: np.ndarray,
    cells: int,
    periodic: bool,
    factor: Callable[[np.ndarray, int, int], np.ndarray],
) -> np.ndarray:
    """Multiply the amplitudes of waves along the last axis by factors; see :func:`_by_waves`."""
    if not periodic:
        values = np.concatenate([values, values[..., ::-1]], axis=-1)
    old, new = values.shape[-1], cells * (1 if periodic else 2)
    waves = np.arange(old // 2 + 1)
    modes = np.fft.rfft(values, axis=-1) * factor(waves, old, new) * _shift(waves, old, new)
    count = new // 2 + 1
    modes = modes[..., :count]
    padding = [(0, 0)] * (modes.ndim - 1) + [(0, count - modes.shape[-1])]
    result = np.fft.irfft(np.pad(modes, padding), new, axis=-1) * (new / old)
    return result[..., :cells]


def _shift(waves: np.ndarray, old: int, new: int) -> np.ndarray:
    """Return the phase factors that account for the different first cell centres of the grids."""
    return np.exp(1j * np.pi * waves * (1 / new - 1 / old))


def halve(values: np.ndarray, periodic: Sequence[bool], spectral: bool = False) -> np.ndarray:
    """Interpolate values to the cell centres of a grid with half as many cells per axis.

    A cell centre of the coarse grid lies halfway between two cell centres of the fine grid. Along
    each axis, the polynomial through the 8 nearest fine centres is evaluated. With ``spectral``, it
    passes through 12 centres, and on periodic axes the trigonometric interpolant is used instead.
    This is of higher order than all finite differences of the package.

    Args:
        values: the values, shape ``(..., *grid.shape)``, with an even number of cells per axis.
        periodic: whether each coordinate axis is periodic, x first.
        spectral: whether the values were computed with spectral operators.

    Returns:
        An array with half as many cells per axis.
    """
    for number, wraps in enumerate(periodic):
        along = np.moveaxis(values, -1 - number, -1)
        if spectral and wraps:
            along = _halve_periodic(along)
        else:
            along = _interpolate(along, np.arange(1, along.shape[-1], 2), wraps, spectral)
        values = np.moveaxis(along, -1, -1 - number)
    return values


def interpolate(
    values: np.ndarray,
    positions: Sequence[np.ndarray],
    periodic: Sequence[bool],
    many: bool = False,
    stored: StoredRows | None = None,
) -> np.ndarray:
    """Interpolate values at the points of another grid by polynomials along each axis.

    The polynomials pass through the 8 nearest cell centres, or 12 with ``many``. At cell centres
    the values are reproduced exactly. Beyond the last centre of an axis that is not periodic the
    values are extrapolated.

    Args:
        values: the values, shape ``(..., *grid.shape)``.
        positions: the coordinates of the points along each axis, x first, in cells: the centre of
            cell i has the position i + 1/2.
        periodic: whether each coordinate axis is periodic, x first.
        many: whether to use more points, for values that were computed with spectral operators.
        stored: the rows of the grid that ``values`` contains; None for all. They must contain those
            that are used (:func:`cells_used`).

    Returns:
        An array of shape ``(..., *(len(p) for p in reversed(positions)))``.
    """
    for number, (places, wraps) in enumerate(zip(positions, periodic, strict=True)):
        along = np.moveaxis(values, -1 - number, -1)
        rows = stored if number == len(positions) - 1 else None
        values = np.moveaxis(_interpolate(along, places, wraps, many, rows), -1, -1 - number)
    return values


def cells_used(cells: int, places: np.ndarray, periodic: bool, many: bool = False) -> np.ndarray:
    """Return the indices of the cells of an axis that :func:`interpolate` uses, ascending."""
    return np.unique(_window(cells, places, periodic, many)[0])


def interpolation_uses_any(
    flags: np.ndarray,
    positions: Sequence[np.ndarray],
    periodic: Sequence[bool],
    many: bool = False,
) -> np.ndarray:
    """Return the points for which :func:`interpolate` uses at least one of the flagged cells.

    Args:
        flags: a boolean array of shape ``(..., *grid.shape)``.
        positions, periodic, many: see :func:`interpolate`.
    """
    for number, (places, wraps) in enumerate(zip(positions, periodic, strict=True)):
        along = np.moveaxis(flags, -1 - number, -1)
        index, weights = _window(along.shape[-1], places, wraps, many)
        flags = np.moveaxis(np.any(along[..., index] & (weights != 0), axis=-1), -1, -1 - number)
    return flags


def uses_any(flags: np.ndarray, periodic: Sequence[bool], spectral: bool = False) -> np.ndarray:
    """Return the coarse cells for which :func:`halve` uses at least one of the flagged fine cells.

    Args:
        flags: a boolean array of shape ``(..., *grid.shape)``.
        periodic, spectral: see :func:`halve`.
    """
    positions = [np.arange(1, cells, 2) for cells in flags.shape[-len(periodic) :][::-1]]
    return interpolation_uses_any(flags, positions, periodic, spectral)


def _interpolate(
    values: np.ndarray,
    places: np.ndarray,
    periodic: bool,
    many: bool,
    stored: StoredRows | None = None,
) -> np.ndarray:
    """Interpolate values along the last axis; see :func:`interpolate`."""
    cells = values.shape[-1] if stored is None else stored.total
    index, weights = _window(cells, places, periodic, many)
    index = index if stored is None else np.searchsorted(stored.indices, index)
    terms = [values[..., i] * w for i, w in zip(index.T, weights.T, strict=True)]
    return sum(terms, np.zeros(()))


def _halve_periodic(values: np.ndarray) -> np.ndarray:
    """Evaluate the trigonometric interpolant midway between cells 0 and 1, 2 and 3, and so on."""
    cells = values.shape[-1]
    waves = np.arange(cells // 2 + 1)
    modes = np.fft.rfft(values, axis=-1) * np.exp(1j * np.pi * waves / cells)
    modes[..., -1] = 0.0  # the phase of the shortest wave is unknown
    return np.fft.irfft(modes, cells, axis=-1)[..., ::2]


def _window(
    cells: int, places: np.ndarray, periodic: bool, many: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells used for each point, and their weights.

    Both the indices and the weights have the shape ``(len(places), points)``.
    """
    points = min(MANY_POINTS if many else POINTS, cells)
    first = np.floor(places - 0.5).astype(int) - points // 2 + 1
    if not periodic:
        first = np.clip(first, 0, cells - points)
    index = first[:, np.newaxis] + np.arange(points)
    distance = index + 0.5 - places[:, np.newaxis]
    return index % cells, _lagrange(distance)


def _lagrange(nodes: np.ndarray) -> np.ndarray:
    """Return the weights of Lagrange interpolation at 0, for every row of ``nodes`` separately."""
    count = nodes.shape[-1]
    weights = np.ones_like(nodes)
    for i in range(count):
        for j in range(count):
            if i != j:
                weights[:, i] *= nodes[:, j] / (nodes[:, j] - nodes[:, i])
    return weights
