"""Explicit Runge-Kutta methods, from a tableau."""

from __future__ import annotations

from dataclasses import dataclass

from pdesim.steppers.catalogue import Method


@dataclass(frozen=True)
class Explicit:
    """``k_i = f(u + dt sum_j a_ij k_j, t + c_i dt)``, ``u <- u + dt sum_i b_i k_i``."""

    method: Method

    def coefficients(self, linear, parameters, dt: float) -> dict:
        return {}

    def begin(self, lines, state):
        return state

    def finish(self, lines, carry):
        return carry

    def step(self, lines, state, clock, dt, coefficients):
        tableau = self.method.tableau
        slopes = []
        for row, c in zip(tableau.a, tableau.c, strict=True):
            stage = _advance(state, dt, row, slopes)
            slopes.append(lines.rhs(stage, clock(float(c))))
        return _advance(state, dt, tableau.b, slopes)


def _advance(state, dt, weights, slopes):
    terms = [(float(w), k) for w, k in zip(weights, slopes, strict=True) if w]
    if not terms:
        return state
    total = None
    for w, k in terms:
        term = k if w == 1.0 else w * k
        total = term if total is None else total + term
    return state + dt * total
