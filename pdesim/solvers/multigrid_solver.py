"""Solution of linear steady problems by Krylov iterations with multigrid cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import sympy
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.errors import SolverError
from pdesim.formula import jacobian
from pdesim.formula import language as lang
from pdesim.operators.adjoint import is_self_adjoint
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.problem import Problem
from pdesim.operators.schemes import build_discretisation
from pdesim.plan import Plan
from pdesim.solvers.couplings import Couplings, find_couplings
from pdesim.solvers.iterative import bicgstab, conjugate_gradients
from pdesim.solvers.multigrid import Cycle
from pdesim.solvers.solution import Solution, check_compatible

#: iterations end when the residual relative to the source is below ``TOLERANCE``. A residual below
#: ``ACCEPTED`` is that of a solution, too, since rounding errors may prevent a smaller one
TOLERANCE = {"float32": 1e-7, "float64": 1e-10}
ACCEPTED = {"float32": 1e-6, "float64": 1e-8}
#: the operator maps a constant to 0 if the result is below this, relative to its diagonal
NULL = 1e-11


def solve(plan: Plan, placement: Placement) -> Solution:
    """Solve ``L u + s = 0`` for operators with any coefficients, boundary conditions and obstacles.

    The iterations are computed in double precision, with a cycle in single precision for the
    diagonal block of each field. They are conjugate gradients if L is self-adjoint and negative,
    otherwise BiCGStab. If L maps constants to 0, the solution has the mean of the initial state.
    Cells inside obstacles are not changed.

    Args:
        plan: a plan of a linear steady problem.
        placement: the device.

    Raises:
        StepperError: for sources with a component in the null space of L.
        SolverError: if a source or coefficient is not finite, or the iterations do not converge.
    """
    precision = plan.settings.device.precision
    with tf.device(placement.name):
        system = LinearOperator(plan.problem, plan.settings.time.start)
        state = tf.constant(plan.state, tf.float64)
        source, residual = _rms(system.source), system.rhs(state)
        matrices = [one.diagonal.sum() for one in system.blocks]
        if not np.isfinite([source, *matrices]).all():
            raise SolverError(
                f"the source or a coefficient of {plan.equation.name} is infinite or undefined in "
                "some cell",
                "finite numbers in all cells",
                "where(...) avoids a division by zero or the root of a negative number",
            )
        removed = system.null_part(residual) if system.symmetric else tf.zeros_like(residual)
        check_compatible(_rms(removed), source, precision)
        size = source or _rms(residual) or 1.0
        count = residual.shape.num_elements() ** 0.5
        method = conjugate_gradients if system.positive else bicgstab
        target = TOLERANCE[precision] * size * count
        right = system.sign * (residual - removed)
        found = method(system.operator, system.inverse, right, target)
        history = [value / (size * count) for value in found.history]
        state = state + found.solution
        final = _rms(system.rhs(state) - removed) / size
    if not final <= ACCEPTED[precision]:
        raise SolverError(
            f"{plan.equation.name} was not solved: after {len(history) - 1} iterations the "
            f"residual is {final:.2g} of the source",
            f"at most {ACCEPTED[precision]:.0e}",
            "a problem with a unique solution; large first derivatives need more cells",
        )
    return Solution(
        state.numpy().astype(precision), "multigrid", final, _rms(removed), tuple(history)
    )


@dataclass(frozen=True)
class LinearOperator:
    """The linear operator of a problem at a time, in double precision.

    Args:
        problem: the problem.
        time: the time at which coefficients and sources are evaluated.
    """

    problem: Problem
    time: float

    @cached_property
    def rhs(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The right-hand side ``L u + s``."""
        return self._rhs_of(self.problem)

    def _rhs_of(self, problem: Problem) -> Callable[[tf.Tensor], tf.Tensor]:
        system, time = self._system(problem), tf.constant(self.time, tf.float64)
        return tf.function(lambda u: system.rhs(u, time), autograph=False)

    @staticmethod
    def _system(problem: Problem) -> MethodOfLines:
        numbers = problem.equation.parameters.items()
        parameters = {name: tf.constant(value, tf.float64) for name, value in numbers}
        return MethodOfLines(problem, tf.float64, False, parameters)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return (len(self.problem.equation.fields), *self.problem.grid.shape)

    @cached_property
    def source(self) -> tf.Tensor:
        return self.rhs(tf.zeros(self.shape, tf.float64))

    def operator(self, u: tf.Tensor) -> tf.Tensor:
        """Return ``-L u``, or ``L u`` if the diagonal of L is positive."""
        return -self.sign * self.image(u)

    @cached_property
    def image(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The operator L."""
        return self._image_of(self.problem)

    def _image_of(self, problem: Problem) -> Callable[[tf.Tensor], tf.Tensor]:
        rhs = self._rhs_of(problem)
        source = rhs(tf.zeros(self.shape, tf.float64))
        return lambda u: rhs(u) - source

    @cached_property
    def blocks(self) -> tuple[Couplings, ...]:
        """The couplings of ``-L`` in each field, of the stencils of order 2."""
        twin = with_nearest_neighbours(self.problem)
        image, zero = self._image_of(twin), np.zeros(self.shape)
        local = self._local(twin)

        def block(field: int) -> Couplings:
            def apply(u: np.ndarray) -> np.ndarray:
                state = zero.copy()
                state[field] = u
                return -image(tf.constant(state)).numpy()[field]

            return find_couplings(apply, local[field])

        return tuple(block(field) for field in range(self.shape[0]))

    def _local(self, problem: Problem) -> np.ndarray:
        """Return the coefficients of ``-L`` that belong to no derivative, for each field."""
        state, time = tf.zeros(self.shape, tf.float64), tf.constant(self.time, tf.float64)
        return self._system(problem).evaluate(local_part(problem), state, time).numpy()

    @cached_property
    def sign(self) -> float:
        return -1.0 if sum(one.diagonal.sum() for one in self.blocks) < 0 else 1.0

    @cached_property
    def symmetric(self) -> bool:
        return is_self_adjoint(self.problem)

    @cached_property
    def positive(self) -> bool:
        """Whether the operator is known to be self-adjoint without negative eigenvalues."""
        return self.symmetric and all(
            (self.sign * values >= 0).all()
            for one in self.blocks
            for values in (one.diagonal, one.local, *one.lower, *one.upper)
        )

    @cached_property
    def inside(self) -> tf.Tensor:
        """1 in cells with an equation, 0 inside obstacles."""
        mask = self.problem.mask
        solid = np.zeros(self.shape[1:], bool) if mask is None else mask.solid
        return tf.constant(np.broadcast_to(~solid, self.shape).astype(float))

    @cached_property
    def null_fields(self) -> tf.Tensor:
        """1 for each field whose constants the operator maps to 0, shaped to multiply a state."""
        found = []
        for number in range(self.shape[0]):
            one = np.zeros(self.shape)
            one[number] = 1.0
            image = self.operator(tf.constant(one)).numpy()
            scale = max(np.abs(block.diagonal).max() for block in self.blocks)
            found.append(float(np.abs(image).max() <= NULL * scale))
        return tf.reshape(tf.constant(found, tf.float64), (-1, *[1] * (len(self.shape) - 1)))

    def null_part(self, values: tf.Tensor) -> tf.Tensor:
        """Return the mean of each field whose constants are mapped to 0, outside obstacles."""
        axes = list(range(1, len(self.shape)))
        inside = self.inside * self.null_fields
        count = tf.maximum(tf.reduce_sum(inside, axes, keepdims=True), 1.0)
        return inside * tf.reduce_sum(inside * values, axes, keepdims=True) / count

    @cached_property
    def inverse(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The preconditioner."""
        apply = self._cycles(self.blocks)
        # evaluated outside of the trace
        _ = self.sign, self.inside, self.null_fields
        return tf.function(apply, autograph=False)

    def _cycles(self, matrices: Sequence[Couplings]) -> Callable[[tf.Tensor], tf.Tensor]:
        """Return a function that applies a cycle to each field."""
        cycles = [Cycle(one, tf.float32) for one in matrices]

        def apply(residual: tf.Tensor) -> tf.Tensor:
            # scaled, since the squares of small values underflow in single precision
            size = tf.maximum(tf.reduce_max(tf.abs(residual)), np.finfo(np.float64).tiny)
            parts = tf.unstack(tf.cast(residual / size, tf.float32))
            solved = tf.stack([cycle(f) for cycle, f in zip(cycles, parts, strict=True)])
            result = self.sign * size * tf.cast(solved, tf.float64) * self.inside
            return result - self.null_part(result)

        return apply


def with_nearest_neighbours(problem: Problem) -> Problem:
    """Return the problem with stencils of order 2, whose couplings a cycle needs."""
    mean = problem.discretisation.face_mean
    return replace(problem, discretisation=replace(build_discretisation("stencil"), face_mean=mean))


def local_part(problem: Problem) -> list[sympy.Expr]:
    """Return for each field the negative coefficient of the field itself, outside of derivatives.

    It depends on the state if the problem is not linear.
    """
    symbols = {lang.operator_symbol(word): 0 for word in (lang.LAPLACIAN, *lang.DERIVATIVES)}
    entries = jacobian(problem.equation.formulas, problem.equation.field_symbols)
    return [-entries[n, n].subs(symbols) for n in range(entries.rows)]


def _rms(values: tf.Tensor) -> float:
    return float(tf.sqrt(tf.reduce_mean(tf.square(values))))
