"""The interface between a stepper and the system of equations that it advances.

A stepper computes with arrays that support ``+``, ``-`` and ``*`` with each other and with numbers.
It does not determine which of its arrays are stored in memory: the engine does so by running
``step`` on placeholders (:mod:`pdesim.steppers.cost`). To add a stepper, define a subclass of
:class:`Stepper` with the method ``step``, and an entry in :mod:`pdesim.steppers.tableaux`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    import sympy

    from pdesim.steppers.tableaux import Method

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
        """Evaluate formulas and stack the results like fields.

        Args:
            state: one array, or a list with one array for each field.
        """

    def stack(self, fields: Sequence[Array]) -> Array:
        """Stack fields into one array."""

    def unstack(self, state: Array) -> Sequence[Array]:
        """Return the fields of a stacked array."""

    @property
    def noise(self) -> Any:
        """The noise of the equation; see :class:`pdesim.operators.noise.NoiseSystem`."""

    def column(self, values: Array) -> Array:
        """Reshape an array of one value per field so that it multiplies a state."""

    def to_modes(self, state: Array) -> Array:
        """Return Fourier, sine or cosine coefficients of a state."""

    def to_state(self, modes: Array) -> Array:
        """Return the state that corresponds to modes: the inverse of :meth:`to_modes`."""

    def enforce_hermitian(self, modes: Array) -> Array:
        """Return the nearest modes with the Hermitian symmetry of a real state."""

    def apply_matrix(self, matrix: Array, modes: Array) -> Array:
        """Multiply modes by a matrix function of the linear part."""

    def rest(self, state: Array, time: Any) -> Array:
        """Return the right-hand side without the linear part of :meth:`Stepper.coefficients`."""

    def rest_modes(self, modes: Array, time: Any) -> Array:
        """Return the modes of :meth:`rest` at the state that corresponds to modes."""

    def solve_shifted(self, b: Array, factor: Any, time: Any, x0: Array) -> Array:
        """Solve ``u - factor * A u = b`` iteratively, where A is the linear part.

        Args:
            x0: the initial guess.
        """


class Stepper:
    """Base class of time steppers; subclasses define :meth:`step`.

    By default, the data that are carried from step to step are the state itself.

    Attributes:
        method: name, order and citation of the method.
        limited_by_derivatives: whether derivatives limit the stable step.
        is_multistep: whether the carried data contain results of earlier steps, so that the method
            must be restarted if dt changes.
        uses_modes: whether :meth:`coefficients` depend on the linear part in modes.
        carries_state: whether the carried data are the state, so that :meth:`init` and
            :meth:`extract` return their argument.
    """

    method: Method
    limited_by_derivatives: ClassVar[bool] = False
    is_multistep: ClassVar[bool] = False
    uses_modes: ClassVar[bool] = False
    carries_state: ClassVar[bool] = True

    @property
    def drift(self) -> Stepper:
        """The deterministic method that remains of a stochastic one without noise; else itself."""
        return self

    def coefficients(
        self, linear: np.ndarray | None, parameters: Mapping[str, float], dt: float
    ) -> dict[str, np.ndarray]:
        """Return the coefficients of the method for a time step, as float64 arrays.

        Args:
            linear: the linear part of the equation in modes, ``(fields, fields, *modes)``; None
                unless ``uses_modes``.
        """
        return {}

    def init(
        self, system: System, state: Array, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Carry:
        """Return the carried data with which the first step from a state begins."""
        return state

    def extract(
        self, system: System, carry: Carry, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Array:
        """Return the state that corresponds to the carried data."""
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
    """A stepper that estimates its error, so that the engine can adapt the time step."""

    @property
    def error_order(self) -> int:
        """The power of dt with which the error estimate decreases."""
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
    """Whether all matrices in an array of shape ``(fields, fields, ...)`` are diagonal."""
    off = ~np.eye(len(linear), dtype=bool)
    return not np.any(linear[off])


def diagonal(linear: np.ndarray) -> np.ndarray:
    """Return the diagonals, ``(fields, ...)``, of matrices of shape ``(fields, fields, ...)``."""
    return np.stack([linear[i, i] for i in range(len(linear))])
