"""Solution of linear steady problems by multigrid cycles, alone or with Krylov iterations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import sympy
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.formula import jacobian
from pdesim.formula import language as lang
from pdesim.operators.adjoint import is_self_adjoint
from pdesim.operators.method_of_lines import MethodOfLines, parameter_tensors
from pdesim.operators.problem import Problem
from pdesim.operators.schemes import build_discretisation
from pdesim.operators.steady import CG, COMPILED, MULTIGRID, tolerance_of
from pdesim.plan import Plan
from pdesim.solvers.couplings import Couplings, find_couplings
from pdesim.solvers.iterative import (
    MOST,
    bicgstab,
    conjugate_gradients,
    minimal_residual,
    steepest_descent,
)
from pdesim.solvers.multigrid import Cycle
from pdesim.solvers.solution import Solution, check_compatible, check_finite, check_residual

#: a residual relative to the source below this is that of a solution, although iterations end at
#: ``TOLERANCE``, since rounding errors may prevent a smaller one
ACCEPTED = {"float32": 1e-6, "float64": 1e-8}
#: the operator maps a constant to 0 if the result is below this, relative to its diagonal
NULL = 1e-11
#: the iterations of each solver, by whether the operator is self-adjoint and positive
METHODS = {
    (CG, True): conjugate_gradients,
    (CG, False): bicgstab,
    (MULTIGRID, True): steepest_descent,
    (MULTIGRID, False): minimal_residual,
}
#: their names in messages, unless that of the solver is used
NAMES = {conjugate_gradients: "conjugate gradients", bicgstab: "BiCGStab"}


def solve(plan: Plan, placement: Placement, name: str = CG) -> Solution:
    """Solve ``L u + s = 0`` for operators with any coefficients, boundary conditions and obstacles.

    The iterations are computed in double precision, with a cycle in single precision for the
    diagonal block of each field. With ``cg`` they are conjugate gradients if L is self-adjoint and
    negative, otherwise BiCGStab. With ``multigrid``, the result of the cycle for the residual is
    multiplied by the best factor and added. If L maps constants to 0, the solution has the mean of
    the initial state. Cells inside obstacles are not changed.

    Args:
        plan: a plan of a linear steady problem.
        placement: the device.
        name: ``cg`` or ``multigrid``.

    Raises:
        StepperError: for sources with a component in the null space of L.
        SolverError: if a source or coefficient is not finite, or the iterations do not converge.
    """
    solver, precision = plan.settings.solver, plan.settings.device.precision
    tolerance = tolerance_of(solver, precision)
    with tf.device(placement.name):
        posed = pose(plan)
        system = posed.system
        method = METHODS[name, system.positive]
        count = posed.right.shape.num_elements() ** 0.5 * posed.size
        found = method(
            system.operator, system.inverse, posed.right, tolerance * count,
            solver.iterations or MOST,
        )  # fmt: skip
        history = tuple(value / count for value in found.history)
        state, residual = posed.finish(found.solution)
    check_residual(plan, residual, accepted_residual(plan), history)
    return Solution(state, name, residual, posed.removed_size, history, NAMES.get(method, name))


def accepted_residual(plan: Plan) -> float:
    """Return the largest residual of a solution, relative to the source."""
    tolerance = plan.settings.solver.tolerance
    # the residual is evaluated again at the end, with other rounding errors
    return 1.01 * tolerance if tolerance else ACCEPTED[plan.settings.device.precision]


@dataclass(frozen=True)
class Posed:
    """A linear system ``operator(u - state) = right`` in double precision.

    Attributes:
        plan: the plan of the problem.
        system: the operator.
        state: the initial state.
        right: the right-hand side, without the component in the null space of the operator.
        removed: this component.
        size: the root mean square of the source, by which residuals are divided.
    """

    plan: Plan
    system: LinearOperator
    state: tf.Tensor
    right: tf.Tensor
    removed: tf.Tensor
    size: float

    @property
    def removed_size(self) -> float:
        return _rms(self.removed)

    def finish(self, change: tf.Tensor) -> tuple[np.ndarray, float]:
        """Return the solution in the precision of the run, and its relative residual."""
        state = self.state + change
        residual = _rms(self.system.rhs(state) - self.removed) / self.size
        return state.numpy().astype(self.plan.settings.device.precision), residual


def pose(plan: Plan) -> Posed:
    """Return the linear system of a plan, on the current device.

    Raises:
        StepperError: for sources with a component in the null space of a symmetric operator.
        SolverError: if the source or a coefficient is not finite.
    """
    system = LinearOperator(plan.problem, plan.settings.time.start)
    state = tf.constant(plan.state, tf.float64)
    source, residual = _rms(system.source), system.rhs(state)
    check_finite(plan.equation.name, source, *(one.diagonal.sum() for one in system.blocks))
    removed = system.null_part(residual) if system.symmetric else tf.zeros_like(residual)
    check_compatible(_rms(removed), source, plan.settings.device.precision)
    size = source or _rms(residual) or 1.0
    return Posed(plan, system, state, system.sign * (residual - removed), removed, size)


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
        return self._compiled(lambda u: system.rhs(u, time))

    def _system(self, problem: Problem) -> MethodOfLines:
        parameters = parameter_tensors(problem, tf.float64)
        return MethodOfLines(problem, tf.float64, self._fused, parameters)

    @property
    def _fused(self) -> bool:
        return int(np.prod(self.problem.grid.shape)) >= COMPILED

    def _compiled(self, function: Callable) -> Callable:
        return tf.function(function, jit_compile=self._fused, autograph=False)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return (len(self.problem.equation.fields), *self.problem.grid.shape)

    @cached_property
    def source(self) -> tf.Tensor:
        return self.rhs(tf.zeros(self.shape, tf.float64))

    @cached_property
    def operator(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The operator ``-L``, or L if its diagonal is positive."""
        factor, image = -self.sign, self.image  # evaluated outside of the trace
        return self._compiled(lambda u: factor * image(u))

    @cached_property
    def image(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The operator L."""
        return self._image_of(self.problem)

    def _image_of(self, problem: Problem) -> Callable[[tf.Tensor], tf.Tensor]:
        own = problem is self.problem
        rhs = self.rhs if own else self._rhs_of(problem)
        source = self.source if own else rhs(tf.zeros(self.shape, tf.float64))
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
    def scale(self) -> float:
        """The largest absolute value on the diagonal."""
        return float(max(np.abs(block.diagonal).max() for block in self.blocks))

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
            found.append(float(np.abs(image).max() <= NULL * self.scale))
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
