"""Central differences as convolutions: the same weights as the stencil, through ``tf.nn``."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pdesim.grid import Grid
from pdesim.operators.catalogue import STENCILS


def kernel(grid: Grid, terms: list[tuple[int, int]], order: int) -> np.ndarray:
    """The weights of a sum of derivatives as one array, ``order + 1`` points along every axis.

    The spacing is inside, so convolving with it gives the true derivative.
    """
    weights = np.zeros((order + 1,) * grid.dimensions)
    for axis, power in terms:
        index = [order // 2] * grid.dimensions
        index[grid.array_axis(axis)] = slice(None)
        weights[tuple(index)] += np.array(STENCILS[power, order]) / grid.spacing[axis] ** power
    return weights


def derivative(
    padded: tf.Tensor, grid: Grid, terms: list[tuple[int, int]], order: int
) -> tf.Tensor:
    """The sum of some derivatives of a padded array, on the interior, as in ``stencil``."""
    weights = kernel(grid, terms, order)
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
