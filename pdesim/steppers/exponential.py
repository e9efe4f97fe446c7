"""Exponential time differencing: the linear part is advanced exactly, mode by mode."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pdesim.steppers.catalogue import Method


@dataclass(frozen=True)
class Exponential:
    """Exponential Runge-Kutta on modes, ``u' = L u + N(u, t)``, from a tableau of phi functions.

    ``U_i = exp(c_i dt L) u + dt sum_j a_ij N(U_j, t + c_j dt)``. With N free of u and t one stage
    gives the exact solution.
    """

    method: Method

    def coefficients(self, linear: np.ndarray, parameters, dt: float) -> dict[str, np.ndarray]:
        """Matrix functions of ``linear``, of shape ``(fields, fields, *modes)``.

        Arrays of shape ``(fields, *modes)`` where the linear part couples no fields.
        """
        tableau = self.method.tableau
        functions = {c: _functions(linear, c * dt) for c in {*tableau.c, 1.0, 0.5} - {0.0}}

        def combine(entry):
            return sum(weight * functions[c][k] for weight, k, c in entry)

        table = {f"exp{c}": functions[c][0] for c in {*tableau.c, 1.0} - {0.0}}
        for entry in {e for row in (*tableau.a, tableau.b) for e in row if e}:
            table[_key(entry)] = dt * combine(entry)
        return table

    def begin(self, lines, state, time, dt, coefficients):
        return lines.to_modes(state)

    def finish(self, lines, carry, time, dt, coefficients):
        return lines.to_state(carry)

    def step(self, lines, modes, clock, dt, coefficients):
        tableau, rates = self.method.tableau, []
        modes = lines.of_real(modes)

        def stage(c, row):
            value = modes if c == 0.0 else lines.couple(coefficients[f"exp{c}"], modes)
            for entry, rate in zip(row, rates, strict=False):
                if entry:
                    value = value + lines.couple(coefficients[_key(entry)], rate)
            return value

        for c, row in zip(tableau.c, tableau.a, strict=True):
            state = lines.to_state(stage(c, row))
            rates.append(lines.rest_modes(state, clock(c)))
        return stage(1.0, tableau.b)


def _key(entry) -> str:
    return "+".join(f"{weight}phi{k}({c})" for weight, k, c in entry)


def _functions(linear: np.ndarray, dt: float) -> list[np.ndarray]:
    """phi_0 to phi_3 of ``dt * linear``, as numbers per field where it couples none."""
    if is_diagonal(linear):
        return phi_functions(diagonal(linear) * dt, 3, np.multiply, 1.0)
    matrices = np.moveaxis(linear, (0, 1), (-2, -1)) * dt
    functions = phi_functions(matrices, 3, np.matmul, np.eye(len(linear)))
    return [np.moveaxis(f, (-2, -1), (0, 1)) for f in functions]


def phi_functions(z: np.ndarray, highest: int, product, one) -> list[np.ndarray]:
    """``phi_0 = exp, phi_1, ..., phi_highest`` of numbers or of matrices.

    Taylor series of ``z / 2**s`` and s doublings,
    ``phi_k(2z) = 2**-k [phi_0(z) phi_k(z) + sum_(j=1..k) phi_j(z) / (k - j)!]``
    (Skaflestad and Wright, Appl. Numer. Math. 59 (2009) 783, eq. 9), so neither small nor large
    eigenvalues cancel.

    Args:
        z: numbers, or matrices on the last two axes.
        product: ``numpy.multiply`` or ``numpy.matmul``.
        one: 1.0 or the unit matrix.
    """
    largest = float(np.max(np.abs(z), initial=0.0)) * (1 if np.ndim(one) == 0 else len(one))
    doublings = max(0, math.ceil(math.log2(largest)) + 1) if largest > 0 else 0
    small = z / 2.0**doublings
    phi = [_taylor(small, k, product, one) for k in range(highest + 1)]
    for _ in range(doublings):
        doubled = [product(phi[0], phi[0])]
        for k in range(1, highest + 1):
            total = product(phi[0], phi[k])
            for j in range(1, k + 1):
                total = total + phi[j] / math.factorial(k - j)
            doubled.append(total / 2.0**k)
        phi = doubled
    return phi


def _taylor(z: np.ndarray, k: int, product, one, terms: int = 16) -> np.ndarray:
    """``sum_n z**n / (n + k)!`` by Horner's rule; |z| <= 1/2 makes 16 terms exact in float64."""
    total = np.zeros_like(z) + one / math.factorial(terms + k)
    for n in range(terms - 1, -1, -1):
        total = product(z, total) + one / math.factorial(n + k)
    return total


def is_diagonal(linear: np.ndarray) -> bool:
    """Whether a linear part ``(fields, fields, ...)`` couples no fields."""
    off = ~np.eye(len(linear), dtype=bool)
    return not np.any(linear[off])


def diagonal(linear: np.ndarray) -> np.ndarray:
    return np.stack([linear[i, i] for i in range(len(linear))])
