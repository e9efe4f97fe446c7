"""Solution of linear steady problems by factorisation of the dense matrix."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.engine.memory import check_device_memory
from pdesim.errors import SolverError
from pdesim.operators.steady import DENSE
from pdesim.plan import Plan
from pdesim.solvers.factorisation import Factor, cholesky, lu, norms
from pdesim.solvers.multigrid_solver import LinearOperator, accepted_residual, pose
from pdesim.solvers.solution import Solution, check_compatible, check_residual

#: number of columns of the matrix that are computed in one call
COLUMNS = 256
#: largest condition number of a matrix with a unique solution
CONDITION = 1e15


def solve(plan: Plan, placement: Placement) -> Solution:
    """Solve ``L u + s = 0`` by a factorisation of the matrix of L in double precision.

    It is Cholesky's if L is self-adjoint and definite, otherwise LU with partial pivoting (Golub,
    Van Loan, Matrix Computations, 4th ed., ch. 3 and 4); the solution is refined once. If L maps
    constants to 0, the solution has the mean of the initial state. Cells inside obstacles are not
    changed.

    Args:
        plan: a plan of a linear steady problem.
        placement: the device.

    Raises:
        DeviceError: if the matrix does not fit into the memory.
        StepperError: for sources with a component in the null space of L.
        SolverError: if a source or coefficient is not finite, or the matrix is singular.
    """
    check_device_memory([plan], placement)
    precision = plan.settings.device.precision
    with tf.device(placement.name):
        posed = pose(plan)
        system = posed.system
        matrix = tf.constant(assemble(system))
        factor, method = _factorised(matrix, system.symmetric)
        if factor is None or _is_singular(matrix, factor):
            raise SolverError(
                f"{plan.equation.name} has no unique solution: its matrix is singular",
                "a problem with one solution, or with solutions that differ by a constant",
                "regions without a boundary value, or enclosed by obstacles, have no unique "
                "solution; solver=cg finds one if there are several",
            )
        inside = posed.right * system.inside
        change = _solved(factor, inside)
        change += _solved(factor, inside - system.operator(change) - _pinned(system, change))
        # zero unless the source has a component outside of the range of L
        free = system.scale * system.null_part(change)
        size = float(tf.sqrt(tf.reduce_mean(tf.square(free))))
        check_compatible(size, posed.size, precision)
        state, residual = posed.finish(change - system.null_part(change))
    check_residual(plan, residual, accepted_residual(plan))
    return Solution(state, DENSE, residual, posed.removed_size, (), method)


def assemble(system: LinearOperator) -> np.ndarray:
    """Return the matrix of ``system.operator``, with rows and columns in the order of the state.

    If the operator maps the constants of a field to 0, a multiple of the projection on these is
    added. It does not change a solution whose mean is 0, and makes the matrix regular. The diagonal
    of cells inside obstacles is that multiple, too.

    Returns:
        An array of shape ``(n, n)``, where n is the number of cells times that of the fields.
    """
    n, shape = int(np.prod(system.shape)), system.shape
    inside = system.inside.numpy().ravel()
    matrix = np.empty((n, n))

    @tf.function(autograph=False)
    def images(numbers: tf.Tensor) -> tf.Tensor:
        def image(number: tf.Tensor) -> tf.Tensor:
            unit = tf.reshape(tf.one_hot(number, n, dtype=tf.float64), shape)
            return tf.reshape(system.inside * system.operator(unit) + _pinned(system, unit), [-1])

        return tf.map_fn(image, numbers, fn_output_signature=tf.float64, parallel_iterations=1)

    _ = system.scale, system.null_fields  # evaluated outside of the trace
    for start in range(0, n, COLUMNS):
        numbers = np.arange(start, min(start + COLUMNS, n))
        columns = images(tf.constant(numbers, tf.int32)).numpy().T
        matrix[:, start : start + COLUMNS] = columns * inside[numbers]
    solid = np.flatnonzero(inside == 0)
    matrix[solid, solid] = system.scale
    return matrix


def _pinned(system: LinearOperator, u: tf.Tensor) -> tf.Tensor:
    """Return the product of a field and what :func:`assemble` adds for constants."""
    return system.scale * system.null_part(u)


def _factorised(matrix: tf.Tensor, symmetric: bool) -> tuple[Factor | None, str]:
    """Return a solver of the linear system, and the name of the factorisation."""
    found = cholesky(matrix) if symmetric else None
    return (found, "Cholesky") if found else (lu(matrix), "LU")


def _is_singular(matrix: tf.Tensor, factor: Factor) -> bool:
    norm, inverse = norms(matrix, factor)
    return not norm * inverse < CONDITION


def _solved(factor: Factor, right: tf.Tensor) -> tf.Tensor:
    return tf.reshape(factor(tf.reshape(right, [-1, 1]), False), right.shape)
