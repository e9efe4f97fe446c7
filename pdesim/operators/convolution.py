"""Central differences as convolutions.

On GPUs they are computed by the convolutions of ``tf.nn``, on CPUs by products with banded
matrices, since the convolutions of TensorFlow and XLA are slow there for images of one channel.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pdesim.model.grid import Grid
from pdesim.operators.schemes import Terms

#: number of neighbouring cells of a row that one product computes; stencils are at most this wide
BLOCK = 16
#: relative difference of weights that differ by rounding only
ROUNDING = 1e-14


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


def derivative(
    padded: tf.Tensor, grid: Grid, halo: int, terms: Terms, library_convolutions: bool
) -> tf.Tensor:
    """Return the weighted sum of neighbours in all interior cells.

    Args:
        padded: values with ``halo`` ghost cells on each side.
        terms: ``{offsets: weight}`` (``Discretisation.terms``).
        library_convolutions: use the convolutions of ``tf.nn``, which is fastest on GPUs; otherwise
            products with banded matrices.
    """
    spare = (halo - reach for reach in _reach(grid, terms))
    cells = zip(spare, padded.shape[-grid.dimensions :], strict=True)
    padded = padded[(..., *(slice(s, n - s) for s, n in cells))]
    convolve = _by_library if library_convolutions else _by_products
    return convolve(padded, grid, kernel(grid, terms))


def _by_library(padded: tf.Tensor, grid: Grid, weights: np.ndarray) -> tf.Tensor:
    """Return the convolution of values, with as many ghost cells as the weights need."""
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


def _by_products(padded: tf.Tensor, grid: Grid, weights: np.ndarray) -> tf.Tensor:
    """Return the same result as :func:`_by_library`, from products with banded matrices.

    Each row of cells is divided into blocks, and each block with the cells around it is multiplied
    by a matrix. Rows of the stencil with proportional weights share these products, and a row with
    a single weight needs none.

    An infinite or undefined value makes the results undefined in all cells of its block.
    """
    *rows, cells = grid.shape
    total = None
    for line, places in _proportional_rows(weights):
        columns = np.flatnonzero(line)
        if len(columns) == 1:
            first = int(columns[0])
            sums = float(line[first]) * padded[..., first : first + cells]
        else:
            sums = _along_rows(padded, line)[..., :cells]
        for place, factor in places:
            index = [slice(start, start + n) for start, n in zip(place, rows, strict=True)]
            term = sums[(..., *index, slice(None))]
            term = term if factor == 1 else factor * term
            total = term if total is None else total + term
    return total


def _along_rows(padded: tf.Tensor, line: np.ndarray) -> tf.Tensor:
    """Return the convolutions of all rows with weights, followed by values without meaning."""
    more = len(line) - 1
    count = -(-(padded.shape[-1] - more) // BLOCK)
    whole = count * BLOCK
    extra = whole + more - padded.shape[-1]
    padded = tf.pad(padded, [[0, 0]] * (padded.shape.rank - 1) + [[0, extra]])
    blocks = tf.reshape(padded[..., :whole], (*padded.shape[:-1], count, BLOCK))
    after = tf.concat([blocks[..., 1:, :more], padded[..., None, whole:]], axis=-2)
    overlapping = tf.concat([blocks, after], axis=-1)
    matrix = np.zeros((BLOCK + more, BLOCK))
    for column in range(BLOCK):
        matrix[column : column + len(line), column] = line
    products = tf.matmul(
        tf.reshape(overlapping, (-1, BLOCK + more)), tf.constant(matrix, padded.dtype)
    )
    return tf.reshape(products, (*padded.shape[:-1], count * BLOCK))


def _proportional_rows(
    weights: np.ndarray,
) -> list[tuple[np.ndarray, list[tuple[tuple[int, ...], float]]]]:
    """Return the different rows of a stencil, and for each the positions of all multiples of it.

    Returns:
        Pairs of a row and a list. The list contains the index of the row itself and those of the
        proportional rows, each with its factor. Rows of zeros are omitted.
    """
    groups: list[tuple[np.ndarray, list[tuple[tuple[int, ...], float]]]] = []
    for place in np.ndindex(weights.shape[:-1]):
        row = weights[place]
        if not row.any():
            continue
        for line, places in groups:
            peak = np.abs(line).argmax()
            factor = row[peak] / line[peak]
            if np.allclose(row, factor * line, rtol=ROUNDING, atol=0.0):
                places.append((place, float(factor)))
                break
        else:
            groups.append((row, [(place, 1.0)]))
    return groups
