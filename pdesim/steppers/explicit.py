"""Explicit Runge-Kutta methods, from a tableau: fixed step and embedded pairs."""

from __future__ import annotations

from dataclasses import dataclass

from pdesim.steppers.catalogue import Method


@dataclass(frozen=True)
class Explicit:
    """``k_i = f(u + dt sum_j a_ij k_j, t + c_i dt)``, ``u <- u + dt sum_i b_i k_i``."""

    method: Method

    def coefficients(self, linear, parameters, dt: float) -> dict:
        return {}

    def begin(self, lines, state, time, dt, coefficients):
        return state

    def finish(self, lines, carry, time, dt, coefficients):
        return carry

    def step(self, lines, state, clock, dt, coefficients):
        slopes = _slopes(self.method.tableau, lines, state, clock, dt)
        return advance(lines, state, dt, self.method.tableau.b, slopes)

    @property
    def depth(self) -> int:
        """Right-hand sides that stand on one another in a step."""
        return len(self.method.tableau.b)


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
        tableau = self.method.tableau
        slopes = _slopes(tableau, lines, state, clock, dt)
        difference = [b - e for b, e in zip(tableau.b, tableau.embedded, strict=True)]
        new = advance(lines, state, dt, tableau.b, slopes)
        return new, dt * weighted(lines, difference, slopes)

    def step(self, lines, state, clock, dt, coefficients):
        return self.trial(lines, state, clock, dt)[0]

    @property
    def depth(self) -> int:
        """Right-hand sides that stand on one another in a step."""
        return self.method.tableau.stages


def _slopes(tableau, lines, state, clock, dt) -> list:
    slopes = []
    for row, c in zip(tableau.a, tableau.c, strict=True):
        stage = lines.stored(advance(lines, state, dt, row, slopes)) if slopes else state
        slopes.append(lines.rhs(stage, clock(float(c))))
    return slopes


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
