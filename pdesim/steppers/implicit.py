"""Methods that treat the linear part implicitly: IMEX multistep methods and the theta rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pdesim.steppers.base import (
    Array,
    Carry,
    StageTime,
    Stepper,
    System,
    diagonal,
    is_diagonal,
)
from pdesim.steppers.tableaux import Method


@dataclass(frozen=True)
class ImexMultistep(Stepper):
    """The multistep methods CNAB2 and SBDF2 for the modes of ``u' = L u + N(u, t)``.

    CNAB2: ``(1 - dt/2 L) u+ = (1 + dt/2 L) u + dt (3/2 N - 1/2 N-)``.
    SBDF2: ``(3/2 - dt L) u+ = 2 u - 1/2 u- + dt (2 N - N-)``.

    Here u+ denotes the next step, and u- and N- the previous one. The first step uses ``N- = N``
    and ``u- = u - dt (L u + N)``. It is of first order, which does not reduce the global order of
    two.
    """

    method: Method
    is_multistep: ClassVar[bool] = True
    uses_modes: ClassVar[bool] = True
    carries_state: ClassVar[bool] = False

    @property
    def _is_cnab(self) -> bool:
        return self.method.name == "cnab2"

    def coefficients(
        self, linear: np.ndarray | None, parameters: Mapping[str, float], dt: float
    ) -> dict[str, np.ndarray]:
        assert linear is not None
        one, half = _unit(linear), 0.5 * dt * linear
        if self._is_cnab:
            solve = _inverse(one - half)
            return {"old": _reduce(_times(solve, one + half)), "rate": _reduce(dt * solve)}
        solve = _inverse(1.5 * one - dt * linear)
        return {
            "old": _reduce(solve),
            "rate": _reduce(dt * solve),
            "start": _reduce(one - dt * linear),
            "dt": _reduce(dt * one),
        }

    def init(
        self, system: System, state: Array, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Carry:
        modes = system.to_modes(state)
        rate = system.rest_modes(modes, time)
        if self._is_cnab:
            return modes, rate
        linear = system.apply_matrix(coefficients["start"], modes)
        return modes, rate, linear - system.apply_matrix(coefficients["dt"], rate)

    def extract(
        self, system: System, carry: Carry, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Array:
        return system.to_state(carry[0])

    def step(
        self,
        system: System,
        carry: Carry,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Carry:
        modes, rate_before = system.enforce_hermitian(carry[0]), carry[1]
        rate = system.rest_modes(modes, stage_time(0.0))
        if self._is_cnab:
            new = system.apply_matrix(coefficients["old"], modes)
            new = new + system.apply_matrix(coefficients["rate"], 1.5 * rate - 0.5 * rate_before)
            return new, rate
        new = system.apply_matrix(coefficients["old"], 2.0 * modes - 0.5 * carry[2])
        new = new + system.apply_matrix(coefficients["rate"], 2.0 * rate - rate_before)
        return new, rate, modes


@dataclass(frozen=True)
class ThetaMethod(Stepper):
    """The theta rule for linear equations ``u' = A u + s(t)``.

    ``(1 - theta dt A) u+ = u + dt [(1 - theta) (A u + s) + theta s+]``, where u+ and s+ belong to
    the end of the step. Implicit Euler has theta = 1, the trapezoidal rule theta = 1/2. With
    ``direct``, A is diagonal in a basis of modes, and the equation is solved mode by mode;
    otherwise it is solved by Krylov iterations.
    """

    method: Method
    direct: bool
    uses_modes: ClassVar[bool] = True
    carries_state: ClassVar[bool] = False

    @property
    def theta(self) -> float:
        return 1.0 if self.method.name == "implicit_euler" else 0.5

    def coefficients(
        self, linear: np.ndarray | None, parameters: Mapping[str, float], dt: float
    ) -> dict[str, np.ndarray]:
        if not self.direct:
            return {}
        assert linear is not None
        one = _unit(linear)
        solve = _inverse(one - self.theta * dt * linear)
        old = _times(solve, one + (1 - self.theta) * dt * linear)
        return {"old": _reduce(old), "rate": _reduce(dt * solve)}

    def init(
        self, system: System, state: Array, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Carry:
        return system.to_modes(state) if self.direct else state

    def extract(
        self, system: System, carry: Carry, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Array:
        return system.to_state(carry) if self.direct else carry

    def step(
        self,
        system: System,
        carry: Carry,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Carry:
        theta = self.theta
        if not self.direct:
            # rhs(0) is the source s+ at the end of the step
            known = carry + theta * dt * system.rhs(0.0 * carry, stage_time(1.0))
            if theta < 1:
                known = known + (1 - theta) * dt * system.rhs(carry, stage_time(0.0))
            return system.solve_shifted(known, theta * dt, stage_time(1.0), carry)
        carry = system.enforce_hermitian(carry)
        state = system.to_state(carry)
        source = theta * system.rest(state, stage_time(1.0))
        if theta < 1:
            source = source + (1 - theta) * system.rest(state, stage_time(0.0))
        new = system.apply_matrix(coefficients["old"], carry)
        return new + system.apply_matrix(coefficients["rate"], system.to_modes(source))


def _unit(linear: np.ndarray) -> np.ndarray:
    one = np.eye(len(linear))
    return one.reshape(*one.shape, *[1] * (linear.ndim - 2)) + np.zeros_like(linear)


def _matrices(values: np.ndarray) -> np.ndarray:
    return np.moveaxis(values, (0, 1), (-2, -1))


def _inverse(values: np.ndarray) -> np.ndarray:
    if is_diagonal(values):
        result = np.zeros_like(values)
        for i in range(len(values)):
            result[i, i] = 1 / values[i, i]
        return result
    return np.moveaxis(np.linalg.inv(_matrices(values)), (-2, -1), (0, 1))


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij...,jk...->ik...", a, b)


def _reduce(values: np.ndarray) -> np.ndarray:
    return diagonal(values) if is_diagonal(values) else values
