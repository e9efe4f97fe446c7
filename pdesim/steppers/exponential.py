"""Exponential time differencing: the linear part is advanced exactly in each mode."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pdesim.steppers.base import (
    Array,
    Carry,
    StageTime,
    Stepper,
    System,
    diagonal,
    is_diagonal,
)
from pdesim.steppers.tableaux import Method, Phi

#: phi functions of numbers below this magnitude are computed by their series, with this number of
#: terms (for float64)
SERIES_RADIUS, TERMS = 1.0, 18
#: number of matrices that are computed at once, small enough for the caches
CHUNK = 4096
#: number of balancing sweeps over the rows of a matrix
BALANCING_SWEEPS = 3


@dataclass(frozen=True)
class Exponential(Stepper):
    """Exponential Runge-Kutta methods for the modes of ``u' = L u + N(u, t)``.

    ``U_i = exp(c_i dt L) u + dt sum_j a_ij N(U_j, t + c_j dt)``, where the a_ij are sums of phi
    functions of L (``ExponentialTableau``). If N depends on neither u nor t, one stage gives the
    exact solution.

    Time-dependent boundary values contribute to N with factors as large as the stiffest rates of L.
    This reduces methods of order 3 and 4 by one or two orders (``Method.reduced_order``).
    """

    method: Method
    uses_modes: ClassVar[bool] = True
    carries_state: ClassVar[bool] = False

    def coefficients(
        self, linear: np.ndarray | None, parameters: Mapping[str, float], dt: float
    ) -> dict[str, np.ndarray]:
        """Return matrix functions of ``linear``.

        Their shape is ``(fields, *modes)`` if the linear part does not couple fields, otherwise
        ``(fields, fields, *modes)``.
        """
        assert linear is not None
        tableau = self.method.exponential_tableau
        entries = {e for row in (*tableau.a, tableau.b) for e in row if e}
        highest = dict.fromkeys({*tableau.c, 1.0} - {0.0}, 0)
        for _, k, c in (term for entry in entries for term in entry):
            highest[c] = max(k, highest.get(c, 0))
        functions = {c: _functions(linear, c * dt, k) for c, k in highest.items()}

        def combine(entry: Phi) -> np.ndarray:
            terms = [weight * functions[c][k] for weight, k, c in entry]
            return functools.reduce(operator.add, terms)

        table = {f"exp{c}": functions[c][0] for c in {*tableau.c, 1.0} - {0.0}}
        for entry in entries:
            table[_key(entry)] = dt * combine(entry)
        return table

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
        tableau = self.method.exponential_tableau
        rates: list[Array] = []
        modes = system.enforce_hermitian(carry)

        def stage(c: float, row: Sequence[Phi]) -> Array:
            value = modes if c == 0.0 else system.apply_matrix(coefficients[f"exp{c}"], modes)
            for entry, rate in zip(row, rates, strict=False):
                if entry:
                    value = value + system.apply_matrix(coefficients[_key(entry)], rate)
            return value

        for c, row in zip(tableau.c, tableau.a, strict=True):
            rates.append(system.rest_modes(stage(c, row), stage_time(c)))
        return stage(1.0, tableau.b)


def _key(entry: Phi) -> str:
    return "+".join(f"{weight}phi{k}({c})" for weight, k, c in entry)


def _functions(linear: np.ndarray, dt: float, highest: int) -> list[np.ndarray]:
    """Return ``phi_0`` to ``phi_highest`` of ``dt * linear``.

    If ``linear`` is diagonal, only the diagonals are returned.
    """
    if is_diagonal(linear):
        return phi_of_numbers(diagonal(linear) * dt, highest)
    return phi_of_matrices(linear * dt, highest)


def phi_of_numbers(z: np.ndarray, highest: int) -> list[np.ndarray]:
    """Return ``phi_0 = exp, phi_1, ..., phi_highest`` of every number in ``z``, real or complex.

    ``phi_k(z) = sum_n z**n / (n + k)!``. The series is used near zero. Elsewhere, the recurrence
    ``phi_(k+1) = (phi_k - 1/k!) / z`` is used, beginning with ``phi_1 = expm1(z) / z``. The
    recurrence loses about one digit by cancellation at ``|z| = 1`` and less for larger arguments.
    The accuracy of each value is independent of the other values in the array.

    Returns:
        ``highest + 1`` arrays of the shape of ``z``.
    """
    z = np.asarray(z)
    z = z if np.iscomplexobj(z) else z.astype(float)
    with np.errstate(over="ignore", invalid="ignore"):  # growth beyond the range of float64
        exponential = np.exp(z)
        if highest == 0:
            return [exponential]
        small = np.abs(z) < SERIES_RADIUS
        safe = np.where(small, 1.0, z)
        phi = [exponential, np.expm1(z) / safe]
        for k in range(1, highest):
            phi.append((phi[k] - 1 / math.factorial(k)) / safe)
    near = z[small]
    series = _series(near, highest, 1.0, np.multiply)
    for k in range(highest, 0, -1):
        phi[k][small] = series
        series = near * series + 1 / math.factorial(k - 1)
    return phi


def phi_of_matrices(z: np.ndarray, highest: int) -> list[np.ndarray]:
    """Return ``phi_0 = exp, phi_1, ..., phi_highest`` of many small matrices.

    The Taylor series of ``z / 2**s``, with a separate s for each matrix, is followed by s doublings
    of the argument (Skaflestad and Wright, Appl. Numer. Math. 59 (2009) 783, eq. 9,
    doi:10.1016/j.apnum.2008.03.021). They use ``E = exp - 1`` in place of ``exp``::

        E(2 z) = E(z)**2 + 2 E(z)
        phi_k(2 z) = 2**-k [E(z) phi_k(z) + phi_k(z) + sum_(j=1..k) phi_j(z) / (k - j)!]

    Functions of eigenvalues near zero are therefore accurate for any number of doublings. The
    number s follows from the norm of the matrix after balancing (Osborne, J. ACM 7 (1960) 338). The
    factors of the balancing are powers of two, so that they cause no rounding errors.

    Args:
        z: real or complex, shape ``(n, n, ...)``.

    Returns:
        ``highest + 1`` arrays of the shape of ``z``.
    """
    n, flat = len(z), z.reshape(len(z), len(z), -1)
    result = np.empty((highest + 1, *flat.shape), np.result_type(z, float))
    with np.errstate(over="ignore", invalid="ignore"):  # growth beyond the range of float64
        for start in range(0, flat.shape[-1], CHUNK):
            chunk = np.s_[..., start : start + CHUNK]
            result[chunk] = _phi_of_chunk(flat[chunk], highest)
    return [array.reshape(n, n, *z.shape[2:]) for array in result]


def _phi_of_chunk(z: np.ndarray, highest: int) -> np.ndarray:
    """Return ``phi_0, ..., phi_highest``, stacked, of matrices of shape ``(n, n, matrices)``."""
    n = len(z)
    scale = _balance(z)
    z = z / scale[:, None] * scale
    norm = np.abs(z).sum(axis=0).max(axis=0)
    _, exponent = np.frexp(np.where(np.isfinite(norm), norm, 0.0))
    doublings = np.maximum(exponent + 1, 0)  # norm < 2**exponent, so that the scaled norm is < 1/2
    order = np.argsort(-doublings, kind="stable")
    doublings = doublings[order]
    small = z[..., order] / np.exp2(doublings)
    unit = np.eye(n)[..., None]
    top = max(highest, 1)
    phi = [_series(small, top, unit, _product)]
    for k in range(top, 1, -1):
        phi.insert(0, _product(small, phi[0]) + unit / math.factorial(k - 1))
    values = np.stack([_product(small, phi[0]), *phi])  # E, phi_1, ...
    for doubling in range(1, int(doublings.max(initial=0)) + 1):
        part = values[..., : np.count_nonzero(doublings >= doubling)]
        part[...] = _doubled(part)
    values[0] += unit
    result = np.empty_like(values)
    result[..., order] = values
    return result[: highest + 1] * (scale[:, None] / scale)


def _doubled(values: np.ndarray) -> np.ndarray:
    """Return ``E, phi_1, ...`` of ``2 z`` from ``E, phi_1, ...`` of ``z``.

    Args:
        values: shape ``(functions, n, n, matrices)``.
    """
    expm1, *phi = values
    doubled = [_product(expm1, expm1) + 2 * expm1]
    for k in range(1, len(values)):
        total = _product(expm1, phi[k - 1]) + phi[k - 1]
        for j in range(1, k + 1):
            total += phi[j - 1] / math.factorial(k - j)
        doubled.append(total / 2.0**k)
    return np.stack(doubled)


def _series(z: np.ndarray, k: int, one: float | np.ndarray, product: Callable) -> np.ndarray:
    """Return ``sum_n z**n / (n + k)!`` by Horner's rule.

    The number of terms suffices in float64 for norms of z up to 1.

    Args:
        one: the unit number or unit matrix.
        product: the multiplication of numbers or matrices.
    """
    total = np.zeros_like(z) + one / math.factorial(TERMS + k)
    for n in range(TERMS - 1, -1, -1):
        total = product(z, total) + one / math.factorial(n + k)
    return total


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the products of matrices of shape ``(n, n, matrices)``; this is fast for small n."""
    return sum(a[:, j, None] * b[None, j] for j in range(len(a)))


def _balance(z: np.ndarray) -> np.ndarray:
    """Return powers of two d, shape ``(n, matrices)``, such that ``z[i, j] d_j / d_i`` is balanced.

    In a balanced matrix, rows and columns have similar norms.
    """
    n = len(z)
    scale = np.ones((n, z.shape[-1]))
    size = np.abs(z)
    for i in range(n):
        size[i, i] = 0.0
    for _ in range(BALANCING_SWEEPS):
        for i in range(n):
            row, column = size[i].sum(axis=0), size[:, i].sum(axis=0)
            usable = (row > 0) & (column > 0) & np.isfinite(row) & np.isfinite(column)
            ratio = np.sqrt(np.where(usable, row, 1.0) / np.where(usable, column, 1.0))
            factor = np.exp2(np.rint(np.log2(ratio)))
            scale[i] *= factor
            size[i] /= factor
            size[:, i] *= factor
    return scale
