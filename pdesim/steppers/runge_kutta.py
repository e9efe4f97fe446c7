"""Explicit Runge-Kutta methods, defined by tableaux: methods with fixed steps, embedded pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar

from pdesim.steppers.base import AdaptiveStepper, Array, StageTime, Stepper, System
from pdesim.steppers.tableaux import Method, Tableau


@dataclass(frozen=True)
class RungeKutta(Stepper):
    """``k_i = f(u + dt sum_j a_ij k_j, t + c_i dt)``, ``u <- u + dt sum_i b_i k_i``.

    The method is evaluated in the form of Shu and Osher (:func:`shu_osher_form`), in which each
    slope k_i is used only once.
    """

    method: Method
    limited_by_derivatives: ClassVar[bool] = True

    def step(
        self,
        system: System,
        carry: Array,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Array:
        tableau, stages = self.method.explicit_tableau, [carry]
        for (weights, factor), c in zip(shu_osher_form(tableau), tableau.c, strict=True):
            stage = float(factor) * dt * system.rhs(stages[-1], stage_time(float(c)))
            for weight, earlier in zip(weights, stages, strict=True):
                if weight:
                    stage = (earlier if weight == 1 else float(weight) * earlier) + stage
            stages.append(stage)
        return stages[-1]


@cache
def shu_osher_form(tableau: Tableau) -> list[tuple[tuple[Fraction, ...], Fraction]]:
    """Return the weights and the factor of ``S_i = sum_m w_im S_m + factor_i dt k_(i-1)``.

    ``S_0`` is the state and the last stage is the new state. Earlier slopes are expressed by
    stages: ``dt k_(i-1) = (S_i - S_0 - dt sum_j a_ij k_j) / a_(i, i-1)``. Shu and Osher, J. Comput.
    Phys. 77 (1988) 439, eq. 2.1, doi:10.1016/0021-9991(88)90177-5.

    Raises:
        ValueError: for a tableau with a stage that does not use the preceding slope.
    """
    #: for each j, dt k_j as weights of the differences S_m - S_0
    slopes: list[dict[int, Fraction]] = []
    forms = []
    for number, row in enumerate([*tableau.a[1:], tableau.b], start=1):
        *earlier, factor = row
        if not factor:
            raise ValueError(f"stage {number} does not use the slope of the preceding stage")
        weights = [Fraction(0)] * number
        for share, slope in zip(earlier, slopes, strict=True):
            for stage, weight in slope.items():
                weights[stage] += share * weight
        known = {stage: -weight / factor for stage, weight in enumerate(weights) if weight}
        slopes.append(known | {number: 1 / factor})
        weights[0] = 1 - sum(weights, Fraction(0))
        forms.append((tuple(weights), factor))
    return forms


@dataclass(frozen=True)
class EmbeddedRungeKutta(AdaptiveStepper):
    """An embedded pair. Its error estimate is ``dt sum_i (b_i - embedded_i) k_i``."""

    method: Method
    limited_by_derivatives: ClassVar[bool] = True

    def step_with_error(
        self, system: System, state: Array, stage_time: StageTime, dt: Any
    ) -> tuple[Array, Array]:
        tableau, stage = self.method.explicit_tableau, state
        slopes: list[Array] = []
        assert tableau.embedded is not None
        for row, c in zip(tableau.a, tableau.c, strict=True):
            if slopes:
                stage = state + dt * weighted_sum(row, slopes)
            slopes.append(system.rhs(stage, stage_time(float(c))))
        # the last stage is the new state ("first same as last")
        ends_in_stage = (*tableau.a[-1], 0) == tableau.b
        new = stage if ends_in_stage else state + dt * weighted_sum(tableau.b, slopes)
        difference = [b - e for b, e in zip(tableau.b, tableau.embedded, strict=True)]
        return new, dt * weighted_sum(difference, slopes)


def weighted_sum(weights: Iterable[Fraction], values: Iterable[Array]) -> Array:
    """Return ``sum_i weights[i] * values[i]``, omitting terms with weight 0."""
    total = None
    for weight, value in zip(weights, values, strict=False):
        if weight:
            term = value if weight == 1 else float(weight) * value
            total = term if total is None else total + term
    return total
