"""Methods for equations with noise, ``du = f(u) dt + G(u) dW``.

The increments dW are drawn once per step. Every method converges to one of the two
interpretations. For the other one, the drift that distinguishes them is added:
``f_Stratonovich = f_Ito - C (G dG/du)/2``, with the variance C of the noise in a cell per unit of
time.

Strong orders, for noise in every cell: Euler-Maruyama 1/2, and 1 if the amplitude does not depend
on the fields; Milstein 1; stochastic Heun 1 if each amplitude depends on no other field with noise.
The weak order of all methods is 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import sympy

from pdesim.model.noise import ITO, STRATONOVICH, Noise
from pdesim.steppers.base import Array, Carry, StageTime, Stepper, System, diagonal, is_diagonal
from pdesim.steppers.exponential import Exponential, phi_of_matrices, phi_of_numbers
from pdesim.steppers.runge_kutta import RungeKutta
from pdesim.steppers.tableaux import METHODS, Method

#: the name of the coefficient that multiplies the noise in modes
SPREAD = "spread"


@dataclass(frozen=True)
class StochasticMethod(Stepper):
    """Base of the stochastic methods.

    Attributes:
        method: name, order and citation.
        noise: the noise of the equation.
    """

    method: Method
    noise: Noise
    limited_by_derivatives: ClassVar[bool] = True
    #: the interpretation to which the method converges without a change of the drift
    own: ClassVar[str] = ITO
    #: the deterministic method that remains without noise
    deterministic: ClassVar[str] = "euler"

    @property
    def drift(self) -> Stepper:
        return RungeKutta(METHODS[self.deterministic])

    @property
    def correction(self) -> tuple[sympy.Expr, ...] | None:
        """For each term, the formula that the drift gains, times C; None if there is none."""
        if self.noise.interpretation == self.own:
            return None
        sign = 1 if self.own == ITO else -1
        formulas = tuple(sign * term.slope for term in self.noise.terms)
        return formulas if any(formulas) else None

    def rhs(self, system: System, state: Array, time: Any) -> Array:
        """Return the drift of the interpretation to which the method converges."""
        rate = system.rhs(state, time)
        extra = self.extra_drift(system, state, time)
        return rate if extra is None else rate + extra

    def extra_drift(self, system: System, state: Array, time: Any) -> Array | None:
        """Return the part of the drift that distinguishes the two interpretations, or None."""
        if self.correction is None:
            return None
        return system.noise.applied(self.correction, state, time, system.noise.variances())

    def diffusion(self, system: System, state: Array, time: Any, increments: Sequence) -> Array:
        """Return ``G(u) dW``."""
        return system.noise.applied(self.noise.amplitudes, state, time, increments)


@dataclass(frozen=True)
class EulerMaruyama(StochasticMethod):
    """``u <- u + dt f(u) + G(u) dW``."""

    def step(
        self,
        system: System,
        carry: Array,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Array:
        time = stage_time(0.0)
        increments = system.noise.increments(time, dt)
        drift = dt * self.rhs(system, carry, time)
        return carry + drift + self.diffusion(system, carry, time, increments)


@dataclass(frozen=True)
class Milstein(StochasticMethod):
    """``u <- u + dt f(u) + G(u) dW + (G dG/du)/2 (dW**2 - C dt)``."""

    def step(
        self,
        system: System,
        carry: Array,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Array:
        time = stage_time(0.0)
        increments = system.noise.increments(time, dt)
        new = carry + dt * self.rhs(system, carry, time)
        new = new + self.diffusion(system, carry, time, increments)
        slopes = tuple(term.slope for term in self.noise.terms)
        if not any(slopes):
            return new
        squares = system.noise.squares(increments, dt)
        return new + system.noise.applied(slopes, carry, time, squares)


@dataclass(frozen=True)
class StochasticHeun(StochasticMethod):
    """``v = u + dt f(u) + G(u) dW``, ``u <- u + dt (f(u) + f(v))/2 + (G(u) + G(v)) dW/2``."""

    own: ClassVar[str] = STRATONOVICH
    deterministic: ClassVar[str] = "heun"

    def step(
        self,
        system: System,
        carry: Array,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Array:
        begin, end = stage_time(0.0), stage_time(1.0)
        increments = system.noise.increments(begin, dt)
        first = dt * self.rhs(system, carry, begin)
        first = first + self.diffusion(system, carry, begin, increments)
        guess = carry + first
        second = dt * self.rhs(system, guess, end)
        second = second + self.diffusion(system, guess, end, increments)
        return carry + 0.5 * (first + second)


@dataclass(frozen=True)
class ExponentialEulerMaruyama(StochasticMethod):
    """``u <- exp(dt L) u + dt phi_1(dt L) N(u) + S(dt L) G(u) dW``, in modes.

    If L does not couple fields, ``S**2 = (exp(2 dt Re L) - 1)/(2 dt Re L)``, so that a step of a
    linear equation with additive noise has the exact distribution, for any dt (Jentzen and Kloeden,
    Proc. R. Soc. A 465 (2009) 649, doi:10.1098/rspa.2008.0325). Otherwise S is ``phi_1(dt L)``, the
    mean of the propagator over the step.
    """

    uses_modes: ClassVar[bool] = True
    carries_state: ClassVar[bool] = False
    limited_by_derivatives: ClassVar[bool] = False

    @property
    def drift(self) -> Exponential:
        return Exponential(METHODS["etdrk1"])

    def coefficients(
        self, linear: np.ndarray | None, parameters: Mapping[str, float], dt: float
    ) -> dict[str, np.ndarray]:
        assert linear is not None
        if is_diagonal(linear):
            spread = np.sqrt(phi_of_numbers(2 * dt * diagonal(linear).real, 1)[1])
        else:
            spread = phi_of_matrices(dt * linear, 1)[1]
        return {**self.drift.coefficients(linear, parameters, dt), SPREAD: spread}

    def init(
        self, system: System, state: Array, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Carry:
        return system.to_modes(state)

    def extract(
        self, system: System, carry: Carry, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Array:
        return system.to_state(carry)

    def step(
        self,
        system: System,
        carry: Carry,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Carry:
        time = stage_time(0.0)
        increments = system.noise.increments(time, dt)
        state = system.to_state(system.enforce_hermitian(carry))
        new = self.drift.step(system, carry, stage_time, dt, coefficients)
        extra = self.extra_drift(system, state, time)
        noise = self.diffusion(system, state, time, increments)
        noise = noise if extra is None else noise + dt * extra
        return new + system.apply_matrix(coefficients[SPREAD], system.to_modes(noise))


CLASSES: dict[str, type[StochasticMethod]] = {
    "euler_maruyama": EulerMaruyama,
    "milstein": Milstein,
    "stochastic_heun": StochasticHeun,
    "exponential_euler_maruyama": ExponentialEulerMaruyama,
}


def stochastic(method: Method, noise: Noise) -> StochasticMethod:
    """Return the stepper of a stochastic method, for the noise of an equation."""
    return CLASSES[method.name](method, noise)


def why_not(name: str, noise: Noise) -> str | None:
    """Return the reason why a stochastic method does not apply to a noise; None if it applies."""
    chosen = CLASSES[name]
    changing = [term for term in noise.terms if term.slope != 0]
    nonlocal_terms = [term for term in changing if not term.is_pointwise]
    if not nonlocal_terms and name != "milstein":
        return None
    if name == "milstein":
        if (pair := noise.mixed()) is not None:
            return f"the noise of {pair[0]} depends on {pair[1]}, which has noise of its own"
        return _about(nonlocal_terms[0].field) if nonlocal_terms else None
    if noise.interpretation == chosen.own:
        return None
    return f"{_about(nonlocal_terms[0].field)}, so that it is {chosen.own} noise for this method"


def _about(field: str) -> str:
    return f"the amplitude of the noise of {field} depends on neighbouring cells"
