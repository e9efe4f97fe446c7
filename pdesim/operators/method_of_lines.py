"""The method of lines: an equation on a grid as ``dU/dt = rhs(U, t)``, inside a TensorFlow trace.

All discretisations use the same formulas: an evaluator traverses the formula and calls the
discretisation for the value of each operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy
import tensorflow as tf

from pdesim.formula import Evaluator, Library, Reduction, needed_reductions
from pdesim.operators import krylov, preconditioner, transforms
from pdesim.operators.adjoint import is_self_adjoint
from pdesim.operators.constraint_solution import needs_constraints, solve_constraints
from pdesim.operators.differentiable import barrier, linear_solution
from pdesim.operators.finite_differences import Differences
from pdesim.operators.fluxes import merge_fluxes
from pdesim.operators.grid_reductions import reduce_all_rows, reduce_rows
from pdesim.operators.mode_evaluation import evaluate_modes
from pdesim.operators.noise import NoiseSystem
from pdesim.operators.problem import Problem
from pdesim.operators.pseudospectral import Pseudospectral
from pdesim.operators.tensor_library import tensor_library
from pdesim.operators.time_parts import double_names, separate_time


@dataclass(frozen=True)
class MethodOfLines:
    """The right-hand side of a problem, for tensors of shape ``(fields, *grid.shape)``.

    If ``members`` is not 0, states have the shape ``(members, fields, *grid.shape)``; parameters
    and times are then shaped to broadcast against one field, ``(members, 1, ...)``.

    ``fused`` indicates that the trace is compiled by XLA. A barrier then prevents XLA from fusing
    the computation of ghost cells into the stencil, in which every read would become a select (3
    times slower on CPUs). With ``for_gpu``, for GPUs, there is no barrier, and XLA decides.
    ``library_convolutions`` selects how convolutions are computed (``convolution.derivative``).
    """

    problem: Problem
    dtype: tf.DType
    fused: bool
    parameters: Mapping[str, tf.Tensor] = field(default_factory=dict)
    members: int = 0
    for_gpu: bool = False
    library_convolutions: bool = False
    #: name of a kernel's symbol -> its modes, as far as they are known (``nonlocal_terms``)
    kernels: Mapping[str, tf.Tensor] = field(default_factory=dict)

    def rhs(self, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """Return all right-hand sides, stacked like the state."""
        if self.problem.discretisation.dealias and not self.problem.split.is_linear:
            linear = self.evaluate(self.problem.split.linear, state, time)
            products = self.evaluate(self.problem.split.rest, state, time)
            return linear + self.to_state(self._kept_modes(products))
        return self.evaluate(self.problem.equation.formulas, state, time)

    def rest(self, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """Return the right-hand side without the part in ``Problem.linear_modes``.

        The contribution of nonzero boundary values to the linear part is included.
        """
        rest = self.evaluate(self.problem.split.rest, state, time)
        return rest + self.boundary_part(state, time) if self.problem.has_wall_values else rest

    def rest_modes(self, modes: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """Return the modes of :meth:`rest` at the state with given modes.

        With dealiasing, those in the upper third are zero.
        """
        formulas, dealias = self.problem.split.rest, self.problem.discretisation.dealias
        if not self.problem.has_wall_values:
            result = evaluate_modes(self, formulas, modes, time)
            return self._kept(result) if dealias else result
        state = self.to_state(modes)
        if not dealias:
            return self.to_modes(self.rest(state, time))
        result = self._kept_modes(self.evaluate(formulas, state, time))
        return result + self.to_modes(self.boundary_part(state, time))

    @property
    def noise(self) -> NoiseSystem:
        """The noise of the equation."""
        return NoiseSystem(self)

    def admissible(self, change: tf.Tensor) -> tf.Tensor:
        """Return a change of the state without the modes that dealiasing removes."""
        problem = self.problem
        truncates = problem.discretisation.dealias and not problem.split.is_linear
        return self.to_state(self._kept_modes(change)) if truncates else change

    def truncated(self, state: tf.Tensor) -> tf.Tensor:
        """Return the state without the upper third of its modes along any axis.

        With ``operators.dealias=true`` every right-hand side is truncated in the same way, so that
        the solution remains in the lower two thirds of the modes (Galerkin's method). With nonzero
        boundary values, the polynomial that satisfies them is not truncated, only the remainder.
        """
        lifts = [0.0 if n is None else n.values(self.problem.grid) for n in self.problem.lifts]
        shape = self.problem.grid.shape
        lift = tf.constant(np.stack([np.broadcast_to(n, shape) for n in lifts]), self.dtype)
        return lift + self.to_state(self._kept_modes(state - lift))

    def _kept_modes(self, values: tf.Tensor) -> tf.Tensor:
        """Return the modes of ``values``, with zeros where dealiasing removes them."""
        return self._kept(self.to_modes(values))

    def _kept(self, modes: tf.Tensor) -> tf.Tensor:
        mask = self.problem.modes.dealiasing_mask()
        return transforms.multiply(tf.constant(mask, self.dtype), modes)

    def boundary_part(self, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """Return the contribution of nonzero boundary values: the linear part of the zero state."""
        system = self.with_reductions((), state, time)
        return system.evaluate(self.problem.split.linear, tf.zeros_like(state), time)

    def evaluate(
        self,
        formulas: Sequence[sympy.Expr],
        state: tf.Tensor | Sequence[tf.Tensor],
        time: tf.Tensor,
    ) -> tf.Tensor:
        """Evaluate formulas at one state and time; the results are stacked like fields.

        Args:
            state: the stacked tensor, or a sequence with one tensor for each field.
        """
        if needs_constraints(self.problem, formulas):
            state = self.consistent(state, time)
        rates = self.stack(
            self.with_reductions(formulas, state, time).values_of(formulas, state, time)
        )
        if self.problem.mask is None:
            return rates
        # the right-hand side is 0 inside obstacles
        return tf.where(tf.constant(self.problem.mask.solid), tf.zeros_like(rates), rates)

    def consistent(
        self, state: tf.Tensor | Sequence[tf.Tensor], time: Any
    ) -> tf.Tensor | Sequence[tf.Tensor]:
        """Return the state with the solved fields at the solution of their constraints."""
        if not self.problem.equation.constraints:
            return state
        fields = self.unstack(state) if isinstance(state, tf.Tensor) else state
        fields = solve_constraints(self, fields, time)
        return self.stack(fields) if isinstance(state, tf.Tensor) else fields

    def values_of(
        self,
        formulas: Sequence[sympy.Expr],
        state: tf.Tensor | Sequence[tf.Tensor],
        time: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Return the values of formulas in all cells.

        The values of reductions must be known, and those of solved fields are used as they are.
        """
        formulas = [self.prepared(formula) for formula in formulas]
        stacked = state if isinstance(state, tf.Tensor) else None
        fields = state if stacked is None else self.unstack(stacked)
        way = Pseudospectral if self.problem.discretisation.is_spectral else Differences
        value = way(self, fields, stacked, time, formulas).value
        return [self.full(value(f), self.problem.grid.shape) for f in formulas]

    def with_reductions(
        self,
        formulas: Sequence[sympy.Expr],
        state: tf.Tensor | Sequence[tf.Tensor],
        time: tf.Tensor,
    ) -> MethodOfLines:
        """Return a system whose parameters contain the values of reductions.

        They are those of the boundary values, which ghost cells depend on, and those of formulas.
        """
        of_equation = needed_reductions(formulas, self.problem.equation.reductions)
        system = self
        for reduction in (*self.problem.boundary.reductions, *of_equation):
            if reduction.symbol.name not in system.parameters:
                system, _ = system.with_reduction(reduction, state, time)
        return system

    def with_reduction(
        self, reduction: Reduction, state: tf.Tensor | Sequence[tf.Tensor], time: tf.Tensor
    ) -> tuple[MethodOfLines, tf.Tensor]:
        """Return a system whose parameters contain one reduction, and its value.

        The value is a sum in float64, or an extreme value in the type of the state.
        """
        (values,) = self.values_of([reduction.inner], state, time)
        rows = reduce_rows(reduction.word, values, self.problem)
        value = reduce_all_rows(reduction.word, rows, self.problem, keep=bool(self.members))
        known = {**self.parameters, reduction.symbol.name: tf.cast(value, self.dtype)}
        return replace(self, parameters=known), value

    def stack(self, fields: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.stack(fields, axis=self._field_axis)

    def unstack(self, state: tf.Tensor) -> list[tf.Tensor]:
        return tf.unstack(state, axis=self._field_axis)

    @property
    def _field_axis(self) -> int:
        return -1 - self.problem.grid.dimensions

    def solve_shifted(
        self, b: tf.Tensor, factor: tf.Tensor, time: tf.Tensor, x0: tf.Tensor
    ) -> tf.Tensor:
        """Solve ``u - factor * A u = b`` iteratively, where A is the linear part of ``rhs``.

        Conjugate gradients are used if A is self-adjoint, otherwise BiCGStab, with the
        preconditioner of :mod:`pdesim.operators.preconditioner`. Every cell of a member that does
        not converge is set to ``krylov.UNSOLVED``.

        Args:
            x0: the initial guess.
        """
        names, limit = tuple(self.parameters), krylov.most_iterations(self.problem.grid.points)

        def operator(*values: tf.Tensor) -> krylov.Operator:
            # kernels are computed from the parameters again, so that derivatives are complete
            system = replace(self, parameters=dict(zip(names, values, strict=True)), kernels={})
            source = system.rhs(tf.zeros_like(b), time)
            return lambda u: u - factor * (system.rhs(u, time) - source)

        def solve(operator: krylov.Operator, b: tf.Tensor, first: bool) -> tf.Tensor:
            inverse = preconditioner.approximate_inverse(self, operator, b, factor, time)
            axes = self.problem.grid.dimensions + 1
            system = krylov.System(operator, b, axes, limit, inverse)
            guess = x0 if first else tf.zeros_like(b)
            return krylov.solve(system, guess, is_self_adjoint(self.problem))

        return linear_solution(solve, operator, b, tuple(self.parameters.values()))

    def column(self, values: tf.Tensor) -> tf.Tensor:
        """Reshape an array of one value per field (and member) to multiply a stacked state."""
        return tf.reshape(values, (*values.shape, *[1] * self.problem.grid.dimensions))

    def to_modes(self, state: tf.Tensor) -> tf.Tensor:
        return transforms.forward(state, self.problem.modes)

    def to_state(self, modes: tf.Tensor) -> tf.Tensor:
        return transforms.backward(modes, self.problem.modes)

    def enforce_hermitian(self, modes: tf.Tensor) -> tf.Tensor:
        """Return modes with the Hermitian symmetry of a real state."""
        return transforms.enforce_hermitian(modes, self.problem.modes)

    def apply_matrix(self, matrix: tf.Tensor, modes: tf.Tensor) -> tf.Tensor:
        """Multiply modes by a matrix function of the linear part.

        Args:
            matrix: shape ``(fields, *modes)`` if the linear part does not couple fields, otherwise
                ``(fields, fields, *modes)``. An axis of members, if any, precedes these axes.
        """
        if matrix.shape.rank == modes.shape.rank:
            return transforms.multiply(matrix, modes)
        rows = tf.unstack(matrix, axis=self._field_axis - 1)
        return self.stack(
            [tf.reduce_sum(transforms.multiply(row, modes), axis=self._field_axis) for row in rows]
        )

    def full(self, value: Any, shape: tuple[int, ...]) -> tf.Tensor:
        """Broadcast a number, or an array that does not depend on all coordinates, to ``shape``."""
        value = tf.convert_to_tensor(value, self.dtype)
        if self.members:
            whole = (self.members, *shape)
            return value if tuple(value.shape) == whole else tf.broadcast_to(value, whole)
        if tuple(value.shape[-len(shape) :]) == shape:
            return value
        return tf.broadcast_to(value, tf.broadcast_static_shape(value.shape, tf.TensorShape(shape)))

    def separate(self, tensor: tf.Tensor, nested: bool) -> tf.Tensor:
        """Return a tensor with ghost cells, stored so that XLA does not fuse it into a stencil.

        With ``for_gpu``, only values of ``nested`` operators are stored, since each would
        otherwise be evaluated again for every neighbour that the outer operator reads.
        """
        apart = self.fused and (nested or not self.for_gpu)
        return barrier(tensor) if apart else tensor

    def values(self, time: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the values of parameters, of t, and of subexpressions that depend on time only."""
        return {**self.parameters, "t": tf.cast(time, self.dtype), **self._in_double(time)}

    def prepared(self, formula: sympy.Expr) -> sympy.Expr:
        """Return a formula in the form in which it is evaluated.

        See :func:`merge_fluxes` and :meth:`with_time_parts`.
        """
        if not self.problem.discretisation.is_spectral:
            formula = merge_fluxes(self.problem, formula)
        return self.with_time_parts(formula)

    def with_time_parts(self, formula: sympy.Expr) -> sympy.Expr:
        """Return a formula in which symbols replace subexpressions that depend on time only.

        Subsequent results of :meth:`values` contain the values of these symbols, evaluated in
        float64. In float64 runs, a formula is returned unchanged.
        """
        if self.dtype == tf.float64:
            return formula
        constants = self.problem.equation.constants
        formula, parts = separate_time(formula, constants)
        self._time_parts.update(parts)
        return formula

    @cached_property
    def _time_parts(self) -> dict[str, sympy.Basic]:
        return {}

    def _in_double(self, time: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the values of the subexpressions that depend on time only, computed in float64."""
        if not self._time_parts:
            return {}
        exact = {"t": tf.cast(time, tf.float64)}
        in_double = double_names(self.problem, self.dtype.name)
        for name, value in self.parameters.items():
            value = self.parameters[in_double[name]] if name in in_double else value
            exact.setdefault(name, tf.cast(value, tf.float64))
        evaluate = Evaluator(exact, tensor_library(tf.float64))
        values = {}
        for name, part in self._time_parts.items():
            value = tf.convert_to_tensor(evaluate(part))
            value = value if value.dtype == tf.bool else tf.cast(value, self.dtype)
            # the barrier makes this a separate kernel, instead of float64 arithmetic in every cell
            values[name] = barrier(value) if self.fused else value
        return values

    def namespace(self, halo: int) -> dict[str, tf.Tensor]:
        """Return the coordinates of all cells and ``halo`` ghost cells per side, by name.

        The result also contains names that are derived from coordinates, such as r.
        """
        grid = self.problem.grid
        coordinates = grid.coordinates(halo, self.problem.boundary.periodic_axes)
        return self.as_tensors(grid.namespace(coordinates, self.problem.named))

    def face_coordinates(self, axis: int, side: int, halo: int) -> dict[str, np.ndarray]:
        """Return the coordinates of the points on a face at which a boundary value is evaluated.

        They are the coordinates of a layer of ghost cells, except that the normal coordinate is
        that of the face.
        """
        grid, coordinates = self.problem.grid, {}
        for other, name in enumerate(grid.axes):
            # later axes in the order x, y, z are earlier array axes, which already have ghost cells
            reach = halo if other > axis else 0
            centres = grid.centres(other, reach, self.problem.boundary.is_periodic(other))
            coordinates[name] = grid.broadcast(other, centres)
        face = grid.origin[axis] + (grid.extent[axis] if side else 0.0)
        coordinates[grid.axes[axis]] = np.full((1,) * grid.dimensions, face)
        return coordinates

    def as_tensors(self, namespace: Mapping[str, object]) -> dict[str, tf.Tensor]:
        tensors = {name: tf.constant(value, self.dtype) for name, value in namespace.items()}
        # a barrier, since functions of constants that TensorFlow evaluates depend on array lengths
        return {name: barrier(value) for name, value in tensors.items()} if self.fused else tensors

    def dtype_of(self, values: np.ndarray) -> tf.DType:
        """Return the real or complex tensor type for a NumPy array, in the precision of the run."""
        if not np.iscomplexobj(values):
            return self.dtype
        return tf.complex128 if self.dtype == tf.float64 else tf.complex64

    @cached_property
    def library(self) -> Library:
        return tensor_library(self.dtype)


def parameter_tensors(problem: Problem, dtype: tf.DType) -> dict[str, tf.Tensor]:
    """Return the values of all parameters of a problem, on the current device.

    Those with one number for each cell have the shape of the grid.
    """
    return {name: tf.constant(value, dtype) for name, value in problem.values.items()}
