"""Factorisations of dense matrices in TensorFlow, and condition numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pdesim.errors import is_out_of_memory

#: largest number of power iterations for a norm, and the relative change at which they end
ITERATIONS, CONVERGED = 20, 0.01

#: ``factor(right, transposed)`` solves ``A x = right``, or ``A^T x = right``
Factor = Callable[[tf.Tensor, bool], tf.Tensor]


def cholesky(matrix: tf.Tensor) -> Factor | None:
    """Return a solver by ``A = L L^T``; None if a symmetric A is not positive definite."""
    try:
        lower = tf.linalg.cholesky(matrix)
    except tf.errors.InvalidArgumentError as error:
        if is_out_of_memory(error):
            raise
        return None
    if not bool(tf.reduce_all(tf.math.is_finite(tf.linalg.diag_part(lower)))):
        return None
    return lambda right, transposed: tf.linalg.cholesky_solve(lower, right)


def lu(matrix: tf.Tensor) -> Factor | None:
    """Return a solver by ``P A = L U`` with partial pivoting; None if a pivot is zero."""
    try:
        packed, order = tf.linalg.lu(matrix)
    except tf.errors.InvalidArgumentError as error:
        if is_out_of_memory(error):
            raise
        return None
    pivots = tf.linalg.diag_part(packed)
    if not bool(tf.reduce_all(tf.math.is_finite(pivots) & (pivots != 0))):
        return None
    # the diagonal of L is one; the solver of triangular systems reads it
    lower = tf.linalg.set_diag(packed, tf.ones_like(pivots))
    back = tf.math.invert_permutation(order)

    def factor(right: tf.Tensor, transposed: bool) -> tf.Tensor:
        if transposed:
            half = tf.linalg.triangular_solve(packed, right, lower=False, adjoint=True)
            half = tf.linalg.triangular_solve(lower, half, lower=True, adjoint=True)
            return tf.gather(half, back)
        half = tf.linalg.triangular_solve(lower, tf.gather(right, order), lower=True)
        return tf.linalg.triangular_solve(packed, half, lower=False)

    return factor


def norms(matrix: tf.Tensor, factor: Factor) -> tuple[float, float]:
    """Return estimates, from below, of the 2-norms of A and of its inverse."""
    return (
        _largest(matrix, lambda v: tf.linalg.matvec(matrix, tf.linalg.matvec(matrix, v), True)),
        _largest(matrix, lambda v: factor(factor(v[:, tf.newaxis], True), False)[:, 0]),
    )


def _largest(matrix: tf.Tensor, apply: Callable[[tf.Tensor], tf.Tensor]) -> float:
    """Return the square root of the largest eigenvalue of a symmetric operator.

    The power iteration is Golub, Van Loan, Matrix Computations, 4th ed., sec. 8.2.1.
    """
    n = matrix.shape[0]
    start = np.random.Generator(np.random.PCG64(0)).standard_normal(n)
    v, size = tf.constant(start / np.linalg.norm(start), matrix.dtype), 0.0
    for _ in range(ITERATIONS):
        w = apply(v)
        before, size = size, float(tf.norm(w))
        if not 0 < size < np.inf or abs(size - before) < CONVERGED * size:
            break
        v = w / size
    return float(np.sqrt(size)) if np.isfinite(size) else np.inf
