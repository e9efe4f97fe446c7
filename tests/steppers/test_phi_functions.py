"""Phi functions of numbers and matrices against mpmath, and the digits of exact steps."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from pdesim.steppers.exponential import phi_of_matrices, phi_of_numbers


def exact_phi(z, highest=3):
    """``phi_0, ..., phi_highest`` of a float64 number in 60 digits."""
    with mpmath.workdps(60):
        z = mpmath.mpmathify(z.item())
        values = [mpmath.exp(z)]
        for k in range(highest):
            term = (values[-1] - 1 / mpmath.factorial(k)) / z if z else 1 / mpmath.factorial(k + 1)
            values.append(term)
        return values


@pytest.mark.parametrize("direction", [-1, 1j, np.exp(0.75j * np.pi), np.exp(-0.55j * np.pi)])
def test_phi_functions_of_numbers_keep_their_digits_over_twenty_decades(direction):
    """All in one array: what one number needs must not cost the digits of another."""
    z = np.concatenate([[0.0], np.logspace(-12, 8, 81)]) * direction
    found = phi_of_numbers(z, 3)
    for index, number in enumerate(z):
        for k, exact in enumerate(exact_phi(number)):
            error = abs(mpmath.mpmathify(found[k][index].item()) - exact)
            # the recurrence cancels a digit at most; below 1e-300 exp(z) underflows
            assert error <= 4e-15 * abs(exact) + 1e-300, (number, k)


@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_exact_keeps_its_digits_on_fine_grids(evolve, operators):
    """The slowest waves beside ones that decay 10^6 (heat) and 10^12 times as fast."""
    x = "cos(2*pi*x) + 0.5*sin(6*pi*x)"
    for formula, power in (("laplacian(u)", 1), ("-laplacian(laplacian(u))", 2)):
        run = evolve("equation=custom", f"equation.rhs={{u: '{formula}'}}", "grid=[2048]",
                     f"initial.u='{x}'", "stepper=exact", f"operators={operators}",
                     f"time.end={(2 * np.pi) ** (-2 * power)}", "output.frames=1")  # fmt: skip
        h, x0 = 1 / 2048, run.coordinates["x"]
        expected = 0.0
        for k, wave in (
            (2 * np.pi, np.cos(2 * np.pi * x0)),
            (6 * np.pi, 0.5 * np.sin(6 * np.pi * x0)),
        ):
            square = (2 / h * np.sin(k * h / 2)) ** 2 if operators == "stencil" else k**2
            expected = expected + np.exp(-(square**power) * run.times[-1]) * wave
        # a transform of 2048 numbers rounds to a few 1e-16
        np.testing.assert_allclose(run.field("u")[-1], expected, rtol=0, atol=4e-15)


MATRICES = {
    "a Jordan block": ([[-3.0, 1.0], [0.0, -3.0]], 1e-14),
    "nearly a Jordan block": ([[-2.0, 1.0], [1e-14, -2.0]], 1e-14),
    "nilpotent": ([[0.0, 1.0], [0.0, 0.0]], 1e-14),
    "widely spread": ([[-1e6, 1.0], [1.0, -1e-3]], 1e-14),
    "triangular, widely spread": ([[-1e6, 1e3], [0.0, -1e-6]], 1e-14),
    # rotations by 1000: their rounded angle alone is uncertain by 1e-13
    "a wave": ([[0.0, 1.0], [-1e6, 0.0]], 1e-12),
    "a damped wave": ([[0.0, 1e-3], [-1e6, -0.1]], 1e-12),
    "complex": ([[-1 + 5j, 2.0], [0.1j, -1e4 + 3j]], 1e-14),
    "three fields": ([[-1e6, 0.1, 0.2], [-0.3, -1.0, 0.1], [0.2, 0.1, -1e-6]], 1e-14),
}


def test_phi_functions_of_matrices_against_mpmath():
    """``exp([[A, I, 0], [0, 0, I], [0, 0, 0]])`` holds ``phi_1(A), phi_2(A)`` in its first row."""
    for name, (rows, tolerance) in MATRICES.items():
        z = np.array(rows)
        n = len(z)
        big = mpmath.zeros(4 * n)
        for i, j in np.ndindex(n, n):
            big[i, j] = mpmath.mpmathify(z[i, j].item())
        for i in range(3 * n):
            big[i, i + n] = 1
        with mpmath.workdps(80):
            exact = np.array(mpmath.expm(big).tolist(), dtype=complex)
        # beside a matrix that needs 30 more doublings
        found = phi_of_matrices(np.stack([z, -1e8 * np.eye(n) + 0 * z], axis=-1), 3)
        for k in range(4):
            wanted = exact[:n, k * n : (k + 1) * n]
            error = np.abs(found[k][..., 0] - wanted).max() / np.abs(wanted).max()
            assert error < tolerance, (name, k, error)


def test_phi_functions_of_matrices_and_of_numbers_agree():
    z = -np.logspace(-9, 7, 200).reshape(1, 1, 10, 20)
    for matrices, numbers in zip(phi_of_matrices(z, 3), phi_of_numbers(z, 3), strict=True):
        # exp(-1e3) underflows in one, not in the other
        np.testing.assert_allclose(matrices, numbers, rtol=1e-13, atol=1e-15)
