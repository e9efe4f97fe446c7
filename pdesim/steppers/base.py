"""The contract between a stepper and the system of equations that it advances.

A stepper is arithmetic on arrays that support ``+``, ``-`` and ``*`` with each other and with
numbers. It states nothing about where its arrays are stored: the engine finds that by running
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
#: what a stepper carries from step to step: one array, or a tuple of arrays
Carry = Any
#: ``stage_time(c)`` is the time ``t + c * dt`` within a step
StageTime = Callable[[float], Any]


class System(Protocol):
    """``dU/dt = rhs(U, t)``, and what implicit and exponential methods need of it."""

    def rhs(self, state: Array, time: Any) -> Array:
        """The right-hand side, with the shape of the state."""

    def evaluate(
        self, formulas: Sequence[sympy.Expr], state: Array | Sequence[Array], time: Any
    ) -> Array:
        """Some formulas of the fields, stacked; ``state`` may be a list of one array per field."""

    def stack(self, fields: Sequence[Array]) -> Array:
        """Fields as one array."""

    def unstack(self, state: Array) -> Sequence[Array]:
        """The fields of an array."""

    def column(self, values: Array) -> Array:
        """One number per field, shaped to multiply a state."""

    def to_modes(self, state: Array) -> Array:
        """Fourier, sine or cosine coefficients of a state."""

    def to_state(self, modes: Array) -> Array:
        """The inverse of :meth:`to_modes`."""

    def enforce_hermitian(self, modes: Array) -> Array:
        """The nearest modes that are those of a real state."""

    def apply_matrix(self, matrix: Array, modes: Array) -> Array:
        """A matrix function of the linear part, times modes."""

    def rest(self, state: Array, time: Any) -> Array:
        """The right-hand side without the linear part of :meth:`Stepper.coefficients`."""

    def rest_modes(self, state: Array, time: Any) -> Array:
        """The modes of :meth:`rest`."""

    def solve_shifted(self, b: Array, factor: Any, time: Any, x0: Array) -> Array:
        """Solve ``u - factor * A u = b`` iteratively from ``x0``; A is the linear part."""


class Stepper:
    """A one-step method that carries the state itself; subclasses define :meth:`step`.

    Attributes:
        method: name, order and citation.
        limited_by_derivatives: the stability limit is that of the fastest derivative.
        is_multistep: what is carried belongs to earlier steps, so that a change of dt restarts it.
        uses_modes: :meth:`coefficients` are functions of the linear part, where that has modes.
        carries_state: :meth:`init` and :meth:`extract` return their argument.
    """

    method: Method
    limited_by_derivatives: ClassVar[bool] = False
    is_multistep: ClassVar[bool] = False
    uses_modes: ClassVar[bool] = False
    carries_state: ClassVar[bool] = True

    def coefficients(
        self, linear: np.ndarray | None, parameters: Mapping[str, float], dt: float
    ) -> dict[str, np.ndarray]:
        """Numbers that depend on dt, computed once in float64.

        Args:
            linear: the linear part of the equation in modes, ``(fields, fields, *modes)``; None
                unless ``uses_modes``.
        """
        return {}

    def init(
        self, system: System, state: Array, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Carry:
        """What is carried, from a state."""
        return state

    def extract(
        self, system: System, carry: Carry, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Array:
        """The state, from what is carried."""
        return carry

    def step(
        self,
        system: System,
        carry: Carry,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Carry:
        """What is carried after a step of length dt."""
        raise NotImplementedError


class AdaptiveStepper(Stepper):
    """A stepper that estimates its error, so that the engine can choose its steps."""

    @property
    def error_order(self) -> int:
        """The power of dt in the error estimate."""
        return self.method.order

    def step_with_error(
        self, system: System, state: Array, stage_time: StageTime, dt: Any
    ) -> tuple[Array, Array]:
        """The new state, and an estimate of its error."""
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
    """Whether a linear part ``(fields, fields, ...)`` couples no fields."""
    off = ~np.eye(len(linear), dtype=bool)
    return not np.any(linear[off])


def diagonal(linear: np.ndarray) -> np.ndarray:
    """The diagonal entries of ``(fields, fields, ...)``, as ``(fields, ...)``."""
    return np.stack([linear[i, i] for i in range(len(linear))])
