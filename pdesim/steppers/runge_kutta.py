"""Explicit Runge-Kutta methods, from a tableau: fixed step and embedded pairs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from pdesim.steppers.methods import Method, Tableau


@dataclass(frozen=True)
class Explicit:
    """``k_i = f(u + dt sum_j a_ij k_j, t + c_i dt)``, ``u <- u + dt sum_i b_i k_i``.

    In the form of Shu and Osher (:func:`shu_osher_form`), in which every slope is
    used once, by the kernel that computes it.
    """

    method: Method

    def coefficients(self, linear, parameters, dt: float) -> dict:
        return {}

    def init(self, system, state, time, dt, coefficients):
        return state

    def extract(self, system, carry, time, dt, coefficients):
        return carry

    def step(self, system, state, stage_time, dt, coefficients):
        tableau, stages = self.method.tableau, [state]
        for (weights, factor), c in zip(shu_osher_form(tableau), tableau.c, strict=True):
            if len(stages) > 1:
                stages[-1] = system.stored(stages[-1])
            slope = system.rhs(stages[-1], stage_time(float(c)))
            used = [(float(w), stage) for w, stage in zip(weights, stages, strict=True) if w]
            slope, *values = system.aligned(slope, *(stage for _, stage in used))
            following = float(factor) * dt * slope
            for (weight, _), value in zip(used, values, strict=True):
                following = (value if weight == 1 else weight * value) + following
            stages.append(following)
        return stages[-1]

    @property
    def depth(self) -> int:
        """Right-hand sides that stand on one another in a step."""
        return len(self.method.tableau.b)

    @property
    def kept(self) -> int:
        """Stages that a step stores."""
        return self.depth - 1


@cache
def shu_osher_form(tableau: Tableau) -> list[tuple[tuple[Fraction, ...], Fraction]]:
    """``S_i = sum_m w_im S_m + factor_i dt k_(i-1)``: the weights and factor of every stage.

    ``S_0`` is the state, the last one the new state. Each stage tells the slope that it was made
    with: ``dt k_(i-1) = (S_i - S_0 - dt sum_j a_ij k_j) / a_(i, i-1)``; after Shu and Osher,
    J. Comput. Phys. 77 (1988) 439, eq. 2.1, doi:10.1016/0021-9991(88)90177-5.

    Raises:
        ValueError: for a tableau where a stage is made without the slope before it.
    """
    #: each dt k_j as weights of the differences S_m - S_0
    slopes: list[dict[int, Fraction]] = []
    forms = []
    for number, row in enumerate([*tableau.a[1:], tableau.b], start=1):
        *earlier, factor = row
        if not factor:
            raise ValueError(f"stage {number} is made without the slope before it")
        weights = [Fraction(0)] * number
        for share, slope in zip(earlier, slopes, strict=True):
            for stage, weight in slope.items():
                weights[stage] += share * weight
        told = {stage: -weight / factor for stage, weight in enumerate(weights) if weight}
        slopes.append(told | {number: 1 / factor})
        weights[0] = 1 - sum(weights)
        forms.append((tuple(weights), factor))
    return forms


@dataclass(frozen=True)
class Adaptive:
    """An embedded pair: a step, and an estimate of its error from the two solutions."""

    method: Method

    @property
    def error_order(self) -> int:
        """The power of dt in the local error of the lower solution, whose root steps scale with."""
        return self.method.order

    def coefficients(self, linear, parameters, dt: float) -> dict:
        return {}

    def init(self, system, state, time, dt, coefficients):
        return state

    def extract(self, system, carry, time, dt, coefficients):
        return carry

    def step_with_error(self, system, state, stage_time, dt):
        """The new state and ``dt sum_i (b_i - embedded_i) k_i``."""
        tableau, slopes, stage = self.method.tableau, [], state
        for row, c in zip(tableau.a, tableau.c, strict=True):
            if slopes:
                stage = advance(system, state, dt, row, slopes)
                is_new = row == tableau.b[: len(row)] and not any(tableau.b[len(row) :])
                stage = system.stored(system.settled(stage, 0) if is_new else stage)
            slopes.append(system.once(system.rhs(stage, stage_time(float(c)))))
            system.forget(stage)
        new = stage if is_new else advance(system, state, dt, tableau.b, slopes)
        difference = [b - e for b, e in zip(tableau.b, tableau.embedded, strict=True)]
        return new, dt * weighted(system, difference, slopes)

    def step(self, system, state, stage_time, dt, coefficients):
        return self.step_with_error(system, state, stage_time, dt)[0]

    @property
    def depth(self) -> int:
        """Right-hand sides that stand on one another in a step."""
        return self.method.tableau.stages

    @property
    def kept(self) -> int:
        """Slopes and a stage that a step stores."""
        return self.depth + 1


def advance(system, state, dt, weights, slopes):
    """``state + dt * sum_i weights[i] * slopes[i]``, zero weights left out."""
    if not any(weights[: len(slopes)]):
        return state
    state, total = system.aligned(state, weighted(system, weights, slopes))
    return state + dt * total


def weighted(system, weights, slopes):
    """``sum_i weights[i] * slopes[i]``."""
    used = [(w, slope) for w, slope in zip(weights, slopes, strict=False) if w]
    total = None
    for (weight, _), slope in zip(used, system.aligned(*(s for _, s in used)), strict=True):
        term = slope if weight == 1 else float(weight) * slope
        total = term if total is None else total + term
    return total
