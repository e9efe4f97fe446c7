"""Direct solution of linear steady problems with constant coefficients by transforms."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.operators.constraints import inverses
from pdesim.operators.method_of_lines import MethodOfLines, parameter_tensors
from pdesim.operators.steady import COMPILED, TRANSFORM
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
    programs = Programs(plan, placement)
    with tf.device(placement.name):
        initial = tf.constant(plan.state, programs.dtype)
        source = programs.source(initial)
        state, unsolvable = programs.solve(source, initial)
        sizes = programs.sizes(state, source, unsolvable)
        residual, of_source, removed, of_state = (float(size) for size in sizes)
    check_finite(plan.equation.name, of_source)
    check_compatible(removed, of_source, programs.dtype.name)
    scale = of_source if of_source > 0 else 1.0
    # the rounding error of the solution, multiplied by the largest eigenvalue
    rounding = ROUNDING * float(np.finfo(programs.dtype.name).eps)
    accepted = rounding * (1 + programs.largest * of_state / scale)
    relative = residual / scale
    check_residual(plan, relative, plan.settings.solver.tolerance or accepted)
    return Solution(state.numpy(), TRANSFORM, relative, removed)


class Programs:
    """The compiled parts of a direct solution: the source, the solution, and the residual.

    Args:
        plan: see :func:`solve`.
        placement: the device.

    Attributes:
        dtype: of the state.
        largest: the largest absolute value in the matrices of all modes.
    """

    def __init__(self, plan: Plan, placement: Placement) -> None:
        self.dtype = tf.as_dtype(plan.settings.device.precision)
        matrices = np.moveaxis(plan.problem.linear_modes(), (0, 1), (-2, -1))
        self.largest = float(np.abs(matrices).max())
        inverse, singular = _inverse(matrices)
        numbers, in_double = plan.equation.parameters, double_names(plan.problem, self.dtype.name)
        with tf.device(placement.name):
            parameters = parameter_tensors(plan.problem, self.dtype)
        parameters |= {in_double[k]: tf.constant(numbers[k], tf.float64) for k in in_double}
        large, jit = int(np.prod(plan.grid.shape)) >= COMPILED, plan.settings.device.jit
        fused = placement.is_gpu or large if jit == "auto" else bool(jit)
        self._system = MethodOfLines(
            plan.problem, self.dtype, fused, parameters, for_gpu=placement.is_gpu
        )
        self._time = plan.settings.time.start
        self._any_singular, self._only_mean = bool(singular.any()), _only_mean(plan, singular)
        if self._only_mean or not self._any_singular:
            singular = np.zeros(())  # the array is not needed
        with tf.device(placement.name):
            self._inverse = tf.constant(inverse, self._system.dtype_of(inverse))
            self._singular = tf.constant(singular.astype(float), self.dtype)

    def source(self, state: tf.Tensor) -> tf.Tensor:
        """Return the source s, with the contribution of boundary values."""
        return self._compiled["source"](state)

    def solve(self, source: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the solution, and the component of the source in the null space of L.

        Args:
            source: the source.
            state: the state whose modes in the null space of L the solution has.
        """
        return self._compiled["solve"](source, state, self._inverse, self._singular)

    def sizes(self, state: tf.Tensor, source: tf.Tensor, unsolvable: tf.Tensor) -> list[tf.Tensor]:
        """Return the root mean squares of the residual and of the arguments.

        The residual is that of the source without its component in the null space. The order is
        residual, source, unsolvable, state.
        """
        return self._compiled["sizes"](state, source, unsolvable)

    @cached_property
    def _compiled(self) -> dict[str, Callable]:
        parts = {"source": self._source, "solve": self._solve, "sizes": self._sizes}
        fused = self._system.fused
        return {
            name: tf.function(part, jit_compile=fused, autograph=False)
            for name, part in parts.items()
        }

    def _source(self, state: tf.Tensor) -> tf.Tensor:
        return self._system.rest(state, self._now)

    def _solve(
        self, source: tf.Tensor, state: tf.Tensor, inverse: tf.Tensor, singular: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        system = self._system
        modes = system.to_modes(source)
        solved = -system.apply_matrix(inverse, modes)
        if not self._any_singular:
            return system.to_state(solved), tf.zeros([], self.dtype)
        if self._only_mean:  # without two more transforms
            mean, free = (self._mean(values) for values in (source, state))
            return system.to_state(solved) + free, mean
        solved += multiply(singular, system.to_modes(state))
        return system.to_state(solved), system.to_state(multiply(singular, modes))

    def _sizes(self, state: tf.Tensor, source: tf.Tensor, unsolvable: tf.Tensor) -> list[tf.Tensor]:
        residual = self._system.rhs(state, self._now) - unsolvable
        return [_rms(values) for values in (residual, source, unsolvable, state)]

    @staticmethod
    def _mean(values: tf.Tensor) -> tf.Tensor:
        """Return the mean of each field; rows are summed in the precision of the field."""
        rows = tf.cast(tf.reduce_mean(values, axis=-1, keepdims=True), tf.float64)
        mean = tf.reduce_mean(rows, list(range(1, values.shape.rank)), keepdims=True)
        return tf.cast(mean, values.dtype)

    @property
    def _now(self) -> tf.Tensor:
        return tf.constant(self._time, tf.float64)


def _only_mean(plan: Plan, singular: np.ndarray) -> bool:
    """Return whether the first mode alone is singular, and its coefficient belongs to the mean."""
    constant = set(plan.problem.modes.bases) <= {"fourier", "cosine"}
    return constant and bool(singular.flat[0]) and int(singular.sum()) == 1


def _inverse(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse matrices of all modes, and a mask of the modes with singular matrices.

    The inverse of a singular matrix is set to zero.

    Args:
        matrices: shape ``(*modes, fields, fields)``.

    Returns:
        Arrays of shape ``(fields, fields, *modes)`` and ``modes``.
    """
    inverse, singular = inverses(matrices)
    return np.moveaxis(inverse, (-2, -1), (0, 1)), singular


def _rms(values: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.square(tf.cast(values, tf.float64))))
