"""The contract between a stepper and the system of equations that it advances.

A stepper is arithmetic on arrays that support ``+``, ``-`` and ``*`` with each other and with
numbers. It does not state where its arrays are stored: the engine determines that by running
``step`` on placeholders (:mod:`pdesim.steppers.cost`). A new stepper is a subclass of
:class:`Stepper` that defines ``step``, and an entry in :mod:`pdesim.steppers.methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    import sympy

    from pdesim.steppers.methods import Method

#: a tensor, a NumPy array, or a placeholder; a state has shape ``(fields, *grid.shape)``
Array = Any
#: the data that a stepper carries from step to step: one array, or a tuple of arrays
Carry = Any
#: ``stage_time(c)`` is the time ``t + c * dt`` within a step
StageTime = Callable[[float], Any]


class System(Protocol):
    """The system ``dU/dt = rhs(U, t)``, with the operations of implicit and exponential methods."""

    def rhs(self, state: Array, time: Any) -> Array:
        """Return the right-hand side, with the shape of the state."""

    def evaluate(
        self, formulas: Sequence[sympy.Expr], state: Array | Sequence[Array], time: Any
    ) -> Array:
        """Evaluate some formulas, stacked; ``state`` may be a list of one array per field."""

    def stack(self, fields: Sequence[Array]) -> Array:
        """Stack fields into one array."""

    def unstack(self, state: Array) -> Sequence[Array]:
        """Return the fields of an array."""

    def column(self, values: Array) -> Array:
        """Return one value per field, shaped to multiply a state."""

    def to_modes(self, state: Array) -> Array:
        """Return Fourier, sine or cosine coefficients of a state."""

    def to_state(self, modes: Array) -> Array:
        """The inverse of :meth:`to_modes`."""

    def enforce_hermitian(self, modes: Array) -> Array:
        """Return the nearest modes with the Hermitian symmetry of a real state."""

    def apply_matrix(self, matrix: Array, modes: Array) -> Array:
        """Apply a matrix function of the linear part to modes."""

    def rest(self, state: Array, time: Any) -> Array:
        """Return the right-hand side without the linear part of :meth:`Stepper.coefficients`."""

    def rest_modes(self, state: Array, time: Any) -> Array:
        """Return the modes of :meth:`rest`."""

    def solve_shifted(self, b: Array, factor: Any, time: Any, x0: Array) -> Array:
        """Solve ``u - factor * A u = b`` iteratively from ``x0``; A is the linear part."""


class Stepper:
    """A one-step method that carries the state itself; subclasses define :meth:`step`.

    Attributes:
        method: name, order and citation.
        limited_by_derivatives: whether derivatives limit the stable step.
        is_multistep: whether the carried data belong to earlier steps, so that a change of dt
            restarts the method.
        uses_modes: whether :meth:`coefficients` are functions of the linear part in modes.
        carries_state: whether :meth:`init` and :meth:`extract` return their argument.
    """

    method: Method
    limited_by_derivatives: ClassVar[bool] = False
    is_multistep: ClassVar[bool] = False
    uses_modes: ClassVar[bool] = False
    carries_state: ClassVar[bool] = True

    def coefficients(
        self, linear: np.ndarray | None, parameters: Mapping[str, float], dt: float
    ) -> dict[str, np.ndarray]:
        """Return coefficients that depend on dt, computed once in float64.

        Args:
            linear: the linear part of the equation in modes, ``(fields, fields, *modes)``; None
                unless ``uses_modes``.
        """
        return {}

    def init(
        self, system: System, state: Array, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Carry:
        """Return the carried data for a state."""
        return state

    def extract(
        self, system: System, carry: Carry, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Array:
        """Return the state of the carried data."""
        return carry

    def step(
        self,
        system: System,
        carry: Carry,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Carry:
        """Return the carried data after a step of length dt."""
        raise NotImplementedError


class AdaptiveStepper(Stepper):
    """A stepper with an error estimate, from which the engine adapts the step."""

    @property
    def error_order(self) -> int:
        """The order of the error estimate in dt."""
        return self.method.order

    def step_with_error(
        self, system: System, state: Array, stage_time: StageTime, dt: Any
    ) -> tuple[Array, Array]:
        """Return the new state and an estimate of its error."""
        raise NotImplementedError

    def step(
        self,
        system: System,
        carry: Carry,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Carry:
        return self.step_with_error(system, carry, stage_time, dt)[0]


def is_diagonal(linear: np.ndarray) -> bool:
    """Whether a linear part of shape ``(fields, fields, ...)`` does not couple fields."""
    off = ~np.eye(len(linear), dtype=bool)
    return not np.any(linear[off])


def diagonal(linear: np.ndarray) -> np.ndarray:
    """Return the diagonal entries of ``(fields, fields, ...)``, shape ``(fields, ...)``."""
    return np.stack([linear[i, i] for i in range(len(linear))])
