"""Solution of ``A x = y`` by factorisation with TensorFlow, with its error."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.errors import SolverError, is_out_of_memory, out_of_memory

#: number of elements of A that are converted to float64 at once for the residual
BLOCK = 2**23
#: largest number of power iterations for a norm, and the relative change at which they end
ITERATIONS, CONVERGED = 20, 0.01

#: ``factor(right, transposed)`` solves ``A x = right``, or ``A^T x = right``
Factor = Callable[[tf.Tensor, bool], tf.Tensor]


@dataclass(frozen=True)
class Solution:
    """The solution of a linear system.

    Attributes:
        x: the solution, shape ``(n, k)``.
        method: ``lu`` or ``cholesky``.
        residual: the norm of ``A x - y``, evaluated in float64, divided by the norms of A and x;
            the largest of all columns. It is of the order of the rounding error for a stable
            method, whatever the condition of A.
        condition: an estimate of the condition number of A. The relative error of x is at most
            about this number times ``residual``. All norms are 2-norms.
        seconds: time of factorisation and solution, with A and y on the device.
    """

    x: np.ndarray
    method: str
    residual: float
    condition: float
    seconds: float


def solve(a: np.ndarray, y: np.ndarray, method: str, placement: Placement) -> Solution:
    """Solve ``A x = y`` by an LU factorisation with partial pivoting, or by Cholesky's.

    The solution is refined once, with a residual in float64, by which the residual becomes as small
    as the rounding error of A: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
    ch. 12.

    Args:
        a: shape ``(n, n)``.
        y: shape ``(n, k)``, of the same type.
        method: ``lu``, ``cholesky``, or ``auto``: Cholesky for symmetric positive definite A.
        placement: the device.

    Raises:
        SolverError: if A is singular in its precision, or not positive definite with ``cholesky``.
        DeviceError: if there is not enough memory.
    """
    symmetric = method != "lu" and is_symmetric(a)
    if method == "cholesky" and not symmetric:
        raise SolverError("method=cholesky needs a symmetric matrix A", hint="method=lu or auto")
    try:
        with tf.device(placement.name):
            matrix, right = tf.constant(a), tf.constant(y)
            del a, y
            return _solve(matrix, right, symmetric, method)
    except (MemoryError, tf.errors.OpError) as error:
        if is_out_of_memory(error):
            raise out_of_memory() from None
        raise


def _solve(matrix: tf.Tensor, right: tf.Tensor, symmetric: bool, method: str) -> Solution:
    began = time.perf_counter()
    factor = _cholesky(matrix, method) if symmetric else None
    used = "lu" if factor is None else "cholesky"
    factor = factor or _lu(matrix)
    x = _refined(matrix, right, factor)
    values = x.numpy()
    seconds = time.perf_counter() - began
    norm, inverse = _norms(matrix, factor)
    condition = norm * inverse
    epsilon = np.finfo(values.dtype).eps
    if not np.isfinite(values).all() or not condition * epsilon < 1:
        raise SolverError(
            f"the matrix A is singular in {values.dtype}: its condition number is about "
            f"{condition:.1e}",
            f"less than 1/{epsilon:.1e}",
            "device.precision=float64" if values.dtype == np.float32 else "",
        )
    return Solution(values, used, _relative(_defect(matrix, x, right), x, norm), condition, seconds)


def solve_only(a: np.ndarray, y: np.ndarray, placement: Placement) -> np.ndarray:
    """Return the solution by LU, refined once, without estimates of its error.

    Args:
        a: shape ``(n, n)``.
        y: shape ``(n, k)``, of the same type.
        placement: the device.

    Raises:
        SolverError: if a pivot is zero.
    """
    with tf.device(placement.name):
        matrix, right = tf.constant(a), tf.constant(y)
        return _refined(matrix, right, _lu(matrix)).numpy()


def _refined(matrix: tf.Tensor, right: tf.Tensor, factor: Factor) -> tf.Tensor:
    x = factor(right, False)
    return x + factor(tf.cast(_defect(matrix, x, right), x.dtype), False)


def is_symmetric(a: np.ndarray) -> bool:
    """Return whether a square matrix equals its transpose, compared by blocks of rows."""
    rows = max(1, BLOCK // len(a))
    blocks = (slice(start, start + rows) for start in range(0, len(a), rows))
    return all(np.array_equal(a[block, :], a[:, block].T) for block in blocks)


def _cholesky(matrix: tf.Tensor, method: str) -> Factor | None:
    """Return a solver by ``A = L L^T``; None if A is not positive definite and LU may be used."""
    failed = "method=cholesky needs a positive definite matrix A"
    try:
        lower = tf.linalg.cholesky(matrix)
        definite = bool(tf.reduce_all(tf.math.is_finite(tf.linalg.diag_part(lower))))
    except tf.errors.InvalidArgumentError as error:
        if is_out_of_memory(error):
            raise
        definite = False
    if not definite:
        if method == "cholesky":
            raise SolverError(failed, hint="method=lu or auto")
        return None
    return lambda right, transposed: tf.linalg.cholesky_solve(lower, right)


def _lu(matrix: tf.Tensor) -> Factor:
    """Return a solver by ``P A = L U``.

    Raises:
        SolverError: if a pivot is zero.
    """
    try:
        packed, order = tf.linalg.lu(matrix)
    except tf.errors.InvalidArgumentError as error:
        if is_out_of_memory(error):
            raise
        raise SolverError(
            "the matrix A is singular: a pivot of its factorisation is zero"
        ) from None
    pivots = tf.linalg.diag_part(packed)
    if not bool(tf.reduce_all(tf.math.is_finite(pivots) & (pivots != 0))):
        raise SolverError("the matrix A is singular: a pivot of its factorisation is zero")
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


def _norms(matrix: tf.Tensor, factor: Factor) -> tuple[float, float]:
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


def _defect(matrix: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Return ``y - A x`` in float64, evaluated by blocks of rows."""
    n = matrix.shape[0]
    rows = max(1, BLOCK // n)
    exact = tf.cast(x, tf.float64)
    blocks = [
        tf.cast(y[start : start + rows], tf.float64)
        - tf.cast(matrix[start : start + rows], tf.float64) @ exact
        for start in range(0, n, rows)
    ]
    return tf.concat(blocks, axis=0)


def _relative(defect: tf.Tensor, x: tf.Tensor, norm: float) -> float:
    """Return the largest ratio of the norms of a column of the defect, and of A and x."""
    sizes = norm * np.linalg.norm(x.numpy().astype(np.float64), axis=0)
    norms = np.linalg.norm(defect.numpy(), axis=0)
    return float(np.max(np.divide(norms, sizes, out=np.zeros_like(sizes), where=sizes > 0)))
