"""Runge-Kutta-Legendre: explicit, its stability interval grows with the square of stages."""

from __future__ import annotations

from dataclasses import dataclass

from pdesim.steppers.methods import Method


@dataclass(frozen=True)
class Stabilized:
    """RKL2 with ``stages`` s (odd): stable on ``dt |lambda| <= (s**2 + s - 2) / 2``.

    With ``f_j = f(Y_j)`` and the coefficients of Meyer, Balsara and Aslam (2014), eqs. 16, 17:
    ``Y_j = mu_j Y_(j-1) + nu_j Y_(j-2) + (1 - mu_j - nu_j) Y_0 + dt (mu~_j f_(j-1) + g_j f_0)``.
    """

    method: Method
    stages: int

    def coefficients(self, linear, parameters, dt: float) -> dict:
        return {}

    def init(self, system, state, time, dt, coefficients):
        return state

    def extract(self, system, carry, time, dt, coefficients):
        return carry

    def step(self, system, state, stage_time, dt, coefficients):
        b = [1 / 3, 1 / 3] + [
            (j * j + j - 2) / (2 * j * (j + 1)) for j in range(2, self.stages + 1)
        ]
        w = 4 / (self.stages**2 + self.stages - 2)
        first = system.once(system.rhs(state, stage_time(0.0)))
        y0, slope0 = system.aligned(state, first)
        last, before, now = state, state, y0 + (w * b[1]) * dt * slope0
        for j in range(2, self.stages + 1):
            now = system.stored(now)
            system.forget(last)
            mu = (2 * j - 1) / j * b[j] / b[j - 1]
            nu = -(j - 1) / j * b[j] / b[j - 2]
            gamma = -(1 - b[j - 1]) * mu * w
            slope = system.rhs(now, stage_time(self._moment(j - 1)))
            slope, slope0, y1, y2, y0 = system.aligned(slope, first, now, before, state)
            rate = (mu * w) * slope + gamma * slope0
            # differences, so that a uniform state stays what it is whatever the rounding of weights
            following = y1 + nu * (y2 - y1) + (1 - mu - nu) * (y0 - y1) + dt * rate
            last, before, now = before, now, following
        return now

    @property
    def depth(self) -> int:
        """Right-hand sides that stand on one another in a step."""
        return self.stages

    @property
    def kept(self) -> int:
        """Stages that a step stores at the same time, and the first slope."""
        return min(self.stages - 1, 3) + 1

    def _moment(self, j: int) -> float:
        """Where in the step stage j lies."""
        whole = self.stages**2 + self.stages - 2
        return (j * j + j - 2) / whole if j > 1 else 4 / (3 * whole)
