"""Evaluation of formulas by transforms: derivatives of modes, products of values on the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
import tensorflow as tf

from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.operators import nonlocal_terms, transforms
from pdesim.operators.modes import Modes
from pdesim.operators.parity import Lift
from pdesim.operators.schemes import Discretisation

if TYPE_CHECKING:
    from pdesim.operators.method_of_lines import MethodOfLines


class Pseudospectral:
    """The evaluation of formulas at one state; each expression is transformed only once.

    The modes ``known`` of some fields are not computed again.

    A field with nonzero boundary values is differentiated as the sum of a field with homogeneous
    boundary conditions and a polynomial (``parity.Lift``).
    """

    def __init__(
        self,
        system: MethodOfLines,
        fields: Sequence[tf.Tensor],
        stacked: tf.Tensor | None,
        time: tf.Tensor,
        formulas: Sequence[sympy.Expr],
        known: Mapping[sympy.Symbol, tf.Tensor] | None = None,
    ) -> None:
        self.system, self.grid = system, system.problem.grid
        names = dict(zip(system.problem.equation.fields, fields, strict=True))
        namespace = {**system.namespace(0), **system.values(time)}
        self.value = Evaluator({**namespace, **names}, system.library, self._apply)
        self._modes: dict[sympy.Basic, tf.Tensor] = {**(known or {})}

    def _apply(self, word: str, arguments: tuple, value: Evaluator) -> Any:
        if word == lang.CONVOLVE:
            kernel, inner = arguments
            coefficients = self._coefficients(inner, self.system.problem.modes, value)
            return nonlocal_terms.convolved(self.system, kernel, coefficients)
        if not any(argument.free_symbols for argument in arguments):
            return 0.0  # the derivative of a constant
        axes = lang.flux_axes(word, self.grid.dimensions)
        if axes is not None:
            diffusivity, inner = arguments
            parts = (
                lang.operator(f"d_d{a}", diffusivity * lang.operator(f"d_d{a}", inner))
                for a in (self.grid.axes[axis] for axis in axes)
            )
            return value(sympy.Add(*parts))
        (inner,) = arguments
        modes = self.system.problem.symmetry.modes(inner)
        coefficients = self._coefficients(inner, modes, value)
        factors, derived = symbol_of(word, modes, self.system.problem.discretisation)
        symbol = tf.constant(factors, self.system.dtype_of(factors))
        result = transforms.backward(transforms.multiply(symbol, coefficients), modes, derived)
        lift = self._lift(inner)
        return result if lift is None else result + self._lift_derivative(word, lift)

    def _coefficients(self, inner: sympy.Expr, modes: Modes, value: Evaluator) -> tf.Tensor:
        if inner not in self._modes:
            full = self.system.full(value(inner), self.grid.shape)
            lift = self._lift(inner)
            if lift is not None:
                full = full - tf.constant(lift.values(self.grid), self.system.dtype)
            self._modes[inner] = transforms.forward(full, modes)
        return self._modes[inner]

    def _lift(self, inner: sympy.Expr) -> Lift | None:
        symbols = self.system.problem.equation.field_symbols
        return self.system.problem.lifts[symbols.index(inner)] if inner in symbols else None

    def _lift_derivative(self, word: str, lift: Lift) -> tf.Tensor:
        powers = list(lang.powers_of(word)) if word in lang.DERIVATIVES else [0, 0, 0]
        power = powers[lift.axis] if word in lang.DERIVATIVES else 2
        powers[lift.axis] = 0
        # a polynomial along one axis has no derivative along the others
        values = np.zeros(1) if any(powers) else lift.values(self.grid, power)
        return tf.constant(values, self.system.dtype)


def symbol_of(
    word: str, modes: Modes, scheme: Discretisation
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the factor of each mode for an operator.

    Also return the axes along which the operator maps sines to cosines and cosines to sines.
    """
    grid, wavenumbers = modes.grid, modes.wavenumbers()
    if word == lang.LAPLACIAN:
        pairs = zip(wavenumbers, grid.spacing, strict=True)
        return np.asarray(sum(scheme.symbol(2, k, h) for k, h in pairs)), ()
    odd = modes.odd_axes(word)
    total: Any = 1.0
    for axis, power in enumerate(lang.powers_of(word, grid.dimensions)):
        k = wavenumbers[axis]
        if axis in odd:
            # sin(k x) -> k cos(k x) -> -k^2 sin(k x); cos(k x) -> -k sin(k x)
            sign = 1 if modes.bases[axis].startswith("sine") else -1
            total = total * (sign * (-1) ** (power // 2) * k**power)
        elif power:
            total = total * scheme.symbol(power, k, grid.spacing[axis])
    return np.asarray(total), odd
