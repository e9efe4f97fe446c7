"""Exponential time differencing: the linear part is advanced exactly, mode by mode."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pdesim.steppers.catalogue import Method


@dataclass(frozen=True)
class Exponential:
    """ETD2RK of Cox and Matthews on Fourier modes, ``u' = L u + N(u, t)``.

    ``a = exp(L dt) u + dt phi1(L dt) N(u, t)``,
    ``u <- a + dt phi2(L dt) (N(a, t + dt) - N(u, t))``,
    with ``phi1(z) = (exp(z) - 1) / z`` and ``phi2(z) = (exp(z) - 1 - z) / z**2``.
    """

    method: Method

    def coefficients(self, linear: np.ndarray, parameters, dt: float) -> dict[str, np.ndarray]:
        """Matrix functions of ``linear``, of shape ``(fields, fields, *modes)``."""
        if _is_diagonal(linear):
            diagonal = np.stack([linear[i, i] for i in range(len(linear))])
            exp, phi1, phi2 = phi_functions(diagonal * dt, 2, np.multiply, 1.0)
        else:
            matrices = np.moveaxis(linear, (0, 1), (-2, -1)) * dt
            functions = phi_functions(matrices, 2, np.matmul, np.eye(len(linear)))
            exp, phi1, phi2 = (np.moveaxis(f, (-2, -1), (0, 1)) for f in functions)
        return {"exp": exp, "phi1": dt * phi1, "phi2": dt * phi2}

    def begin(self, lines, state):
        return lines.to_modes(state)

    def finish(self, lines, carry):
        return lines.to_state(carry)

    def step(self, lines, modes, clock, dt, coefficients):
        def rest(modes, time):
            return lines.to_modes(lines.rest(lines.to_state(modes), time))

        before = rest(modes, clock(0.0))
        first = lines.couple(coefficients["exp"], modes)
        first = first + lines.couple(coefficients["phi1"], before)
        change = rest(first, clock(1.0)) - before
        return first + lines.couple(coefficients["phi2"], change)


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


def _is_diagonal(linear: np.ndarray) -> bool:
    off = ~np.eye(len(linear), dtype=bool)
    return not np.any(linear[off])
