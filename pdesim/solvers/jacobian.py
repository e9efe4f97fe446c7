"""The formulas of a nonlinear problem and their derivative, on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import tensorflow as tf

from pdesim.operators.linearisation import Linearisation, with_zero_values
from pdesim.operators.method_of_lines import MethodOfLines, parameter_tensors
from pdesim.operators.problem import Problem
from pdesim.operators.schemes import Discretisation
from pdesim.solvers.couplings import Couplings
from pdesim.solvers.multigrid_solver import NULL, LinearOperator, local_part

Function = Callable[..., tf.Tensor]


class Functions:
    """Compiled functions of a state u, of shape ``(fields, *grid.shape)``, in double precision.

    Args:
        problem: the problem.
        time: the time at which coefficients and sources are evaluated.
    """

    def __init__(self, problem: Problem, time: float) -> None:
        self.problem, self.time = problem, time
        self.linearised = Linearisation(problem)
        # cached for each object, since every function is traced once
        self.product = lru_cache(self._product)
        self.local = lru_cache(self._local)

    @cached_property
    def residual(self) -> Function:
        """The formulas F(u)."""
        system = _system(self.problem)
        return tf.function(lambda u: system.rhs(u, self._time), autograph=False)

    @cached_property
    def scales(self) -> Function:
        """For each field, the root mean square of the largest term of its formula, or of their sum.

        Terms are evaluated with the boundary values 0. The shape of the result is that of a state
        with one cell.
        """
        system, terms = _system(with_zero_values(self.problem)), self.linearised.terms

        def scales(u: tf.Tensor) -> tf.Tensor:
            values = [system.evaluate(formulas, u, self._time) for formulas in terms]
            total = self.sizes(self.residual(u))
            largest = [tf.reduce_max(self.sizes(value), 0, True) for value in values]
            return tf.maximum(total, tf.concat(largest, 0))

        return tf.function(scales, autograph=False)

    def sizes(self, values: tf.Tensor) -> tf.Tensor:
        """Return the root mean square of each array, shaped like a state with one cell."""
        axes = list(range(1, self.problem.grid.dimensions + 1))
        return tf.sqrt(tf.reduce_mean(tf.square(values), axes, True))

    def _product(self, scheme: Discretisation, complete: bool) -> Function:
        """Return the function of u and v for the product ``J(u) v``.

        Args:
            scheme: the discretisation.
            complete: whether the changes of means and integrals are included.
        """
        linearised = Linearisation(replace(self.problem, discretisation=scheme))
        system = _system(linearised.pair)
        formulas = linearised.formulas if complete else linearised.local_formulas
        count = len(formulas)

        def product(u: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
            both = tf.concat([u, v], axis=0)
            if scheme.dealias:
                return system.rhs(both, self._time)[count:]
            return system.evaluate(formulas, both, self._time)

        return tf.function(product, autograph=False)

    def _local(self, scheme: Discretisation) -> Function:
        """Return the function of u for :func:`local_part`."""
        problem = replace(self.problem, discretisation=scheme)
        system, formulas = _system(problem), local_part(problem)
        return tf.function(lambda u: system.evaluate(formulas, u, self._time), autograph=False)

    @property
    def _time(self) -> tf.Tensor:
        return tf.constant(self.time, tf.float64)


def _system(problem: Problem) -> MethodOfLines:
    return MethodOfLines(problem, tf.float64, False, parameter_tensors(problem, tf.float64))


@dataclass(frozen=True)
class Jacobian(LinearOperator):
    """The product of J(u) with directions, and its preconditioner.

    Args:
        functions: the compiled functions.
        state: u.
        weights: a positive factor for the equation of each field.
    """

    functions: Functions
    state: tf.Tensor
    weights: tf.Tensor

    def _image_of(self, problem: Problem) -> Function:
        product = self.functions.product(problem.discretisation, problem is self.problem)
        return lambda v: self.weights * product(self.state, v)

    def _local(self, problem: Problem) -> np.ndarray:
        return (self.weights * self.functions.local(problem.discretisation)(self.state)).numpy()

    def _compiled(self, function: Function) -> Function:
        return function  # it is used for one step only

    @property
    def is_finite(self) -> bool:
        """Whether all couplings are finite."""
        return all(
            np.isfinite(values).all()
            for one in self.blocks
            for values in (one.diagonal, one.local, *one.lower, *one.upper)
        )

    @cached_property
    def symmetric(self) -> bool:
        return self.functions.linearised.is_self_adjoint

    @cached_property
    def inverse(self) -> Function:
        """The preconditioner, which is used for one step and therefore not compiled."""
        return self._cycles([_damped(one, self.sign) for one in self.blocks])


def _damped(matrix: Couplings, sign: float) -> Couplings:
    """Return a matrix without the reactions that reduce its diagonal.

    They would make the coarse matrices indefinite, for which the smoother is not stable. If the
    matrix would then be singular, the sign of the reactions is changed instead.
    """
    growth = sign * np.minimum(sign * matrix.local, 0.0)
    sums, size = np.abs(matrix.row_sum - growth).max(), np.abs(matrix.diagonal).max()
    change = -growth if sums > NULL * size else -2 * growth
    return replace(matrix, diagonal=matrix.diagonal + change, local=matrix.local + change)
