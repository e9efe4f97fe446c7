"""Runge-Kutta-Legendre methods: explicit, with long stable steps for diffusion.

The largest stable step is proportional to the square of the number of stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pdesim.steppers.base import Array, StageTime, Stepper, System
from pdesim.steppers.tableaux import Method


@dataclass(frozen=True)
class RungeKuttaLegendre(Stepper):
    """RKL2 with an odd number of ``stages`` s, stable for ``dt |lambda| <= (s**2 + s - 2) / 2``.

    With ``f_j = f(Y_j)`` and the coefficients of Meyer, Balsara and Aslam (2014), eqs. 16, 17:
    ``Y_j = mu_j Y_(j-1) + nu_j Y_(j-2) + (1 - mu_j - nu_j) Y_0 + dt (mu~_j f_(j-1) + g_j f_0)``.
    """

    method: Method
    stages: int
    limited_by_derivatives: ClassVar[bool] = True

    def step(
        self,
        system: System,
        carry: Array,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Array:
        s, y0 = self.stages, carry
        b = [1 / 3, 1 / 3] + [(j * j + j - 2) / (2 * j * (j + 1)) for j in range(2, s + 1)]
        w = 4 / (s**2 + s - 2)
        f0 = system.rhs(y0, stage_time(0.0))
        before, now = y0, y0 + (w * b[1]) * dt * f0
        for j in range(2, s + 1):
            mu = (2 * j - 1) / j * b[j] / b[j - 1]
            nu = -(j - 1) / j * b[j] / b[j - 2]
            gamma = -(1 - b[j - 1]) * mu * w
            rate = (mu * w) * system.rhs(now, stage_time(self._abscissa(j - 1))) + gamma * f0
            # written with differences, so that rounding of the weights cannot change uniform states
            new = now + nu * (before - now) + (1 - mu - nu) * (y0 - now) + dt * rate
            before, now = now, new
        return now

    def _abscissa(self, j: int) -> float:
        """Return the time of stage j, as a fraction of dt."""
        whole = self.stages**2 + self.stages - 2
        return (j * j + j - 2) / whole if j > 1 else 4 / (3 * whole)
