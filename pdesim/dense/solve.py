"""Solution of ``A x = y`` by factorisation with TensorFlow, with its error."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.errors import SolverError, is_out_of_memory, out_of_memory
from pdesim.solvers.factorisation import Factor, cholesky, lu, norms

#: number of elements of A that are converted to float64 at once for the residual
BLOCK = 2**23


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
    norm, inverse = norms(matrix, factor)
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
    found = cholesky(matrix)
    if found is None and method == "cholesky":
        raise SolverError(
            "method=cholesky needs a positive definite matrix A", hint="method=lu or auto"
        )
    return found


def _lu(matrix: tf.Tensor) -> Factor:
    """Return a solver by ``P A = L U``.

    Raises:
        SolverError: if a pivot is zero.
    """
    found = lu(matrix)
    if found is None:
        raise SolverError("the matrix A is singular: a pivot of its factorisation is zero")
    return found


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
