"""Central differences as convolutions: the stencil weights applied by ``tf.nn``."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pdesim.model.grid import Grid
from pdesim.operators.schemes import Terms


def kernel(grid: Grid, terms: Terms) -> np.ndarray:
    """Return the weights of a stencil as an array whose axes are in the order of array axes.

    Offset 0 is in the centre. The weights include the powers of the spacing.
    """
    reach = _reach(grid, terms)
    weights = np.zeros(tuple(2 * r + 1 for r in reach))
    for offsets, weight in terms.items():
        place = zip(reach, reversed(offsets), strict=True)
        weights[tuple(r + offset for r, offset in place)] = weight
    return weights


def _reach(grid: Grid, terms: Terms) -> tuple[int, ...]:
    """Return the largest offset along each array axis."""
    axes = reversed(range(grid.dimensions))
    return tuple(max(abs(offsets[axis]) for offsets in terms) for axis in axes)


def derivative(padded: tf.Tensor, grid: Grid, halo: int, terms: Terms) -> tf.Tensor:
    """Return the weighted sum of neighbours in all interior cells.

    Args:
        padded: values with ``halo`` ghost cells on each side.
        terms: ``{offsets: weight}`` (``Discretisation.terms``).
    """
    weights = kernel(grid, terms)
    spare = (halo - reach for reach in _reach(grid, terms))
    cells = zip(spare, padded.shape[-grid.dimensions :], strict=True)
    padded = padded[(..., *(slice(s, n - s) for s, n in cells))]
    filters = tf.constant(weights[..., None, None], padded.dtype)
    leading = padded.shape[: -grid.dimensions]
    images = tf.reshape(padded, (-1, *padded.shape[-grid.dimensions :], 1))
    if grid.dimensions == 1:
        result = tf.nn.conv1d(images, filters, 1, "VALID")
    elif grid.dimensions == 2:
        result = tf.nn.conv2d(images, filters, 1, "VALID")
    else:
        result = tf.nn.conv3d(images, filters, [1] * 5, "VALID")
    return tf.reshape(result, (*leading, *grid.shape))
