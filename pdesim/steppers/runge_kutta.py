"""Explicit Runge-Kutta methods, from a tableau: fixed step and embedded pairs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from pdesim.steppers.methods import Method, Tableau


@dataclass(frozen=True)
class Explicit:
    """``k_i = f(u + dt sum_j a_ij k_j, t + c_i dt)``, ``u <- u + dt sum_i b_i k_i``.

    Worked out from the stages rather than the slopes (:func:`from_stages`), so that every slope is
    needed once, in the kernel that computes it.
    """

    method: Method

    def coefficients(self, linear, parameters, dt: float) -> dict:
        return {}

    def begin(self, lines, state, time, dt, coefficients):
        return state

    def finish(self, lines, carry, time, dt, coefficients):
        return carry

    def step(self, lines, state, clock, dt, coefficients):
        tableau, stages = self.method.tableau, [state]
        for (weights, factor), c in zip(from_stages(tableau), tableau.c, strict=True):
            if len(stages) > 1:
                stages[-1] = lines.stored(stages[-1])
            slope = lines.rhs(stages[-1], clock(float(c)))
            used = [(float(w), stage) for w, stage in zip(weights, stages, strict=True) if w]
            slope, *values = lines.aligned(slope, *(stage for _, stage in used))
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
def from_stages(tableau: Tableau) -> list[tuple[tuple[Fraction, ...], Fraction]]:
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

    def begin(self, lines, state, time, dt, coefficients):
        return state

    def finish(self, lines, carry, time, dt, coefficients):
        return carry

    def trial(self, lines, state, clock, dt):
        """The new state and ``dt sum_i (b_i - embedded_i) k_i``."""
        tableau, slopes, stage = self.method.tableau, [], state
        for row, c in zip(tableau.a, tableau.c, strict=True):
            if slopes:
                stage = advance(lines, state, dt, row, slopes)
                is_new = row == tableau.b[: len(row)] and not any(tableau.b[len(row) :])
                stage = lines.stored(lines.settled(stage, 0) if is_new else stage)
            slopes.append(lines.once(lines.rhs(stage, clock(float(c)))))
            lines.forget(stage)
        new = stage if is_new else advance(lines, state, dt, tableau.b, slopes)
        difference = [b - e for b, e in zip(tableau.b, tableau.embedded, strict=True)]
        return new, dt * weighted(lines, difference, slopes)

    def step(self, lines, state, clock, dt, coefficients):
        return self.trial(lines, state, clock, dt)[0]

    @property
    def depth(self) -> int:
        """Right-hand sides that stand on one another in a step."""
        return self.method.tableau.stages

    @property
    def kept(self) -> int:
        """Slopes and a stage that a step stores."""
        return self.depth + 1


def advance(lines, state, dt, weights, slopes):
    """``state + dt * sum_i weights[i] * slopes[i]``, zero weights left out."""
    if not any(weights[: len(slopes)]):
        return state
    state, total = lines.aligned(state, weighted(lines, weights, slopes))
    return state + dt * total


def weighted(lines, weights, slopes):
    """``sum_i weights[i] * slopes[i]``."""
    used = [(w, slope) for w, slope in zip(weights, slopes, strict=False) if w]
    total = None
    for (weight, _), slope in zip(used, lines.aligned(*(s for _, s in used)), strict=True):
        term = slope if weight == 1 else float(weight) * slope
        total = term if total is None else total + term
    return total
