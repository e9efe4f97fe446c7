"""Direct solution of linear steady problems with constant coefficients by transforms."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.operators.constraints import inverses
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.steady import TRANSFORM
from pdesim.operators.time_parts import double_names
from pdesim.operators.transforms import multiply
from pdesim.plan import Plan
from pdesim.solvers.solution import Solution, check_compatible, check_finite, check_residual

#: largest residual of a solution, in units of its rounding error
ROUNDING = 100.0


def solve(plan: Plan, placement: Placement) -> Solution:
    """Solve ``L u + s = 0`` mode by mode: ``u = -L^-1 s``.

    The source s includes the contribution of boundary values. With ``operators=stencil`` or
    ``conv``, L is the symbol of the stencil, so that the discrete equations are satisfied to
    round-off. With ``spectral``, L is the symbol of the differential operator. Modes in the null
    space of L (the mean, for a Laplacian) have the values of the initial state.

    Args:
        plan: a plan of a linear problem with constant coefficients and a basis of modes.
        placement: the device.

    Raises:
        StepperError: for sources with a component in the null space of L, for which no solution
            exists.
        SolverError: if the source is not finite, or the residual exceeds ``solver.tolerance``.
    """
    dtype = tf.as_dtype(plan.settings.device.precision)
    matrices = np.moveaxis(plan.problem.linear_modes(), (0, 1), (-2, -1))
    inverse, unseen = _inverse(matrices)
    numbers = plan.equation.parameters
    parameters = {k: tf.constant(v, dtype) for k, v in numbers.items()}
    in_double = double_names(plan.problem, dtype.name)
    parameters |= {in_double[k]: tf.constant(numbers[k], tf.float64) for k in in_double}
    fused = placement.is_gpu and plan.settings.device.jit is not False
    system = MethodOfLines(plan.problem, dtype, fused, parameters)

    @tf.function(jit_compile=system.fused, autograph=False)
    def run(inverse, unseen, state):
        time = tf.constant(plan.settings.time.start, tf.float64)
        source = system.rest(state, time)
        modes = system.to_modes(source)
        unsolvable = system.to_state(multiply(unseen, modes))
        solved = multiply(unseen, system.to_modes(state)) - system.apply_matrix(inverse, modes)
        state = system.to_state(solved)
        residual = system.rhs(state, time) - unsolvable
        return state, tuple(_rms(v) for v in (residual, source, unsolvable, state))

    with tf.device(placement.name):
        state, sizes = run(
            tf.constant(inverse, system.dtype_of(inverse)),
            tf.constant(unseen, dtype),
            tf.constant(plan.state, dtype),
        )
        residual, source, unsolvable, size = (float(size) for size in sizes)
    check_finite(plan.equation.name, source)
    check_compatible(unsolvable, source, dtype.name)
    scale = source if source > 0 else 1.0
    # the rounding error of the solution, multiplied by the largest eigenvalue
    rounding = ROUNDING * float(np.finfo(dtype.name).eps)
    accepted = rounding * (1 + float(np.abs(matrices).max()) * size / scale)
    relative = residual / scale
    check_residual(plan, relative, plan.settings.solver.tolerance or accepted)
    return Solution(state.numpy(), TRANSFORM, relative, unsolvable)


def _inverse(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse matrices of all modes, and a mask of the modes with singular matrices.

    The inverse of a singular matrix is set to zero.

    Args:
        matrices: shape ``(*modes, fields, fields)``.

    Returns:
        Arrays of shape ``(fields, fields, *modes)`` and ``modes``.
    """
    inverse, singular = inverses(matrices)
    return np.moveaxis(inverse, (-2, -1), (0, 1)), singular.astype(float)


def _rms(values: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.square(tf.cast(values, tf.float64))))
