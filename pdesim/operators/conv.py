"""Central differences as convolutions: the same weights as the stencil, through ``tf.nn``."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pdesim.grid import Grid
from pdesim.operators.catalogue import Terms


def kernel(grid: Grid, terms: Terms) -> np.ndarray:
    """The weights as one array, equally wide along every axis, the centre in the middle.

    The spacing is inside, so convolving with it gives the true derivative.
    """
    reach = max(abs(offset) for offsets in terms for offset in offsets)
    weights = np.zeros((2 * reach + 1,) * grid.dimensions)
    for offsets, weight in terms.items():
        weights[tuple(reach + offset for offset in reversed(offsets))] = weight
    return weights


def derivative(padded: tf.Tensor, grid: Grid, halo: int, terms: Terms) -> tf.Tensor:
    """A weighted sum of neighbours on the interior, as in ``stencil``."""
    weights = kernel(grid, terms)
    spare = halo - weights.shape[0] // 2
    if spare:
        padded = padded[(..., *[slice(spare, -spare)] * grid.dimensions)]
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
