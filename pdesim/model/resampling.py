"""Cell-centred values on another grid of the same domain: smooth noise, and interpolation.

Arrays have any leading axes; the last ``grid.dimensions`` ones are those of the grid, x last. Where
an axis is periodic, values continue periodically; elsewhere :func:`low_pass` continues them evenly
beyond the faces, and :func:`halve` interpolates from one side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: the standard deviation of the Gaussian of :func:`low_pass`, in cells of the values given
SMOOTHING = 2.5
#: points of the interpolation in :func:`halve`: exact for polynomials of one degree less
POINTS, MANY_POINTS = 8, 12


def low_pass(
    values: np.ndarray,
    shape: Sequence[int],
    periodic: Sequence[bool],
    smoothing: float = SMOOTHING,
) -> np.ndarray:
    """Smooth values, evaluated at the cell centres of a grid of another shape.

    The values are multiplied by exp(-(k s)^2 / 2) in Fourier space, s being ``smoothing`` cells of
    ``values``, and waves shorter than four such cells are left out: the default smoothing leaves
    less than 4.5e-4 of their amplitude. So every grid with at least half as many cells per axis
    holds the same smooth function. Long waves and the mean keep their amplitude.

    Args:
        values: shape ``(..., *grid.shape)``.
        shape: cells per array axis of the result, each at least half of those of ``values``.
        periodic: per coordinate axis, x first.
        smoothing: the Gaussian's standard deviation in cells; 0 only leaves the short waves out.
    """
    for number, cells in enumerate(reversed(shape)):
        values = _low_pass(values, -1 - number, cells, periodic[number], smoothing)
    return values


def _low_pass(
    values: np.ndarray, axis: int, cells: int, periodic: bool, smoothing: float
) -> np.ndarray:
    values = np.moveaxis(values, axis, -1)
    if not periodic:
        values = np.concatenate([values, values[..., ::-1]], axis=-1)
    old, new = values.shape[-1], cells * (1 if periodic else 2)
    waves = np.arange(old // 2 + 1)
    angle = 2 * np.pi * waves / old
    factor = np.where(4 * waves < old, np.exp(-0.5 * (smoothing * angle) ** 2), 0.0)
    modes = np.fft.rfft(values, axis=-1) * factor * _shift(waves, old, new)
    count = new // 2 + 1
    modes = modes[..., :count]
    padding = [(0, 0)] * (modes.ndim - 1) + [(0, count - modes.shape[-1])]
    result = np.fft.irfft(np.pad(modes, padding), new, axis=-1) * (new / old)
    return np.moveaxis(result[..., :cells], -1, axis)


def _shift(waves: np.ndarray, old: int, new: int) -> np.ndarray:
    """The phase that moves waves from one grid's first cell centre to the other's."""
    return np.exp(1j * np.pi * waves * (1 / new - 1 / old))


def halve(values: np.ndarray, periodic: Sequence[bool], spectral: bool = False) -> np.ndarray:
    """Values interpolated at the cell centres of a grid with half as many cells per axis.

    A coarse centre lies in the middle between two fine ones. Interpolation is by polynomials
    through the 8 nearest centres per axis (with ``spectral``, through 12, and by the trigonometric
    interpolant on periodic axes), so it is of higher order than any finite difference here.

    Args:
        values: shape ``(..., *grid.shape)``, with an even number of cells per axis.
        periodic: per coordinate axis, x first; its length says how many axes the grid has.
        spectral: whether the values come from spectral operators.
    """
    for number, wraps in enumerate(periodic):
        along = np.moveaxis(values, -1 - number, -1)
        if spectral and wraps:
            along = _halve_periodic(along)
        else:
            index, weights = _window(along.shape[-1], wraps, spectral)
            along = sum(along[..., i] * w for i, w in zip(index.T, weights.T, strict=True))
        values = np.moveaxis(along, -1, -1 - number)
    return values


def uses_any(flags: np.ndarray, periodic: Sequence[bool], spectral: bool = False) -> np.ndarray:
    """Where :func:`halve` reads at least one cell that is flagged."""
    for number, wraps in enumerate(periodic):
        along = np.moveaxis(flags, -1 - number, -1)
        index, _ = _window(along.shape[-1], wraps, spectral)
        flags = np.moveaxis(along[..., index].any(axis=-1), -1, -1 - number)
    return flags


def _halve_periodic(values: np.ndarray) -> np.ndarray:
    """The trigonometric interpolant half a cell further, at every second cell."""
    cells = values.shape[-1]
    waves = np.arange(cells // 2 + 1)
    modes = np.fft.rfft(values, axis=-1) * np.exp(1j * np.pi * waves / cells)
    modes[..., -1] = 0.0  # the shortest wave has no phase on the grid
    return np.fft.irfft(modes, cells, axis=-1)[..., ::2]


def _window(cells: int, periodic: bool, many: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fine cells and their weights for each coarse centre, both ``(cells // 2, points)``."""
    points = min(MANY_POINTS if many else POINTS, cells)
    middle = np.arange(1, cells, 2)
    first = middle - points // 2
    if not periodic:
        first = np.clip(first, 0, cells - points)
    index = first[:, np.newaxis] + np.arange(points)
    distance = index + 0.5 - middle[:, np.newaxis]
    return index % cells, _lagrange(distance)


def _lagrange(nodes: np.ndarray) -> np.ndarray:
    """Weights of Lagrange's interpolation at 0, for rows of nodes."""
    count = nodes.shape[-1]
    weights = np.ones_like(nodes)
    for i in range(count):
        for j in range(count):
            if i != j:
                weights[:, i] *= nodes[:, j] / (nodes[:, j] - nodes[:, i])
    return weights
