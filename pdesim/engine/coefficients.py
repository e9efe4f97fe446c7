"""A stepper's coefficients, computed in float64 and rounded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.steppers.base import Stepper

#: number of modes per chunk of coefficients
PIECE = 2**20


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of a stepper for the problem and the precision of ``system``."""

    stepper: Stepper
    system: MethodOfLines

    def tensors(self, dt: float) -> dict[str, tf.Tensor]:
        """Return the coefficients for the problem's parameters, as tensors."""
        return self.as_tensors(self.host(dt, self.system.problem.equation.parameters))

    def host(
        self, dt: float, parameters: Mapping[str, float], rounded: bool = True
    ) -> dict[str, np.ndarray]:
        """Return the coefficients for given parameters, as NumPy arrays.

        Args:
            rounded: whether to round them to the precision of the run.
        """
        problem = self.system.problem
        if not self.stepper.uses_modes or not problem.has_modes:
            return self.stepper.coefficients(None, parameters, dt)
        linear, axis = problem.linear_modes(parameters), -problem.grid.dimensions
        # in chunks, since float64 functions of all modes would take many times the memory of the
        # state
        pieces = -(-linear.size // PIECE)
        parts = [
            (self._rounded if rounded else dict)(self.stepper.coefficients(modes, parameters, dt))
            for modes in np.array_split(linear, min(pieces, linear.shape[axis]), axis=axis)
        ]
        names = list(parts[0])
        return {name: np.concatenate([part.pop(name) for part in parts], axis) for name in names}

    def as_tensors(self, values: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
        return {name: tf.constant(v, self.system.dtype_of(v)) for name, v in values.items()}

    def _rounded(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        types = self.system
        return {n: v.astype(types.dtype_of(v).as_numpy_dtype) for n, v in values.items()}
