"""Equations of waves of the library, against exact solutions and dispersion relations."""

from __future__ import annotations

import numpy as np
import pytest

import pdesim


@pytest.fixture
def simulate(tmp_path):
    """Compute an equation of the library in float64: times and all frames of some fields."""

    def run(name, fields, /, *overrides, **settings):
        settings = {"device": {"precision": "float64"}, "animation": "none"} | settings
        done = pdesim.simulate(name, *overrides, folder=tmp_path / "run", **settings)
        with done.snapshots as snapshots:
            return np.array(snapshots.times), *(np.array(snapshots[field]) for field in fields)

    return run


def centres(cells: int, extent: float, origin: float = 0.0) -> np.ndarray:
    """The cell centres of an axis."""
    return origin + (np.arange(cells) + 0.5) * extent / cells


def frequency(times: np.ndarray, values: np.ndarray, guess: float) -> float:
    """The angular frequency of values that are close to A cos(w t), by least squares."""
    from scipy.optimize import curve_fit

    (_, found), _ = curve_fit(lambda t, a, w: a * np.cos(w * t), times, values, (values[0], guess))
    return found


def test_bright_soliton(simulate):
    """psi = a sech(a (x - x0 - v t)) exp(i v (x - x0) + i (a^2 - v^2) t/2) for g = -1.

    Zakharov, Shabat, Sov. Phys. JETP 34 (1972) 62. The norm, the integral of |psi|^2, is 2 a.
    """
    a, n, extent, t = 1.5, 256, 32.0, 6.0
    v = 2 * np.pi * 4 / extent  # exp(i v x) is periodic
    times, real, imaginary = simulate(
        "nonlinear_schroedinger", ("psi_re", "psi_im"), "operators.order=6",
        grid=[n], domain={"extent": extent, "origin": -extent / 2}, equation={"g": -1.0},
        initial={"psi": f"{a}/cosh({a}*(x + 5))*exp(1j*{v}*(x + 5))"},
        time={"end": t, "tolerance": 1e-7}, output={"frames": 2},
    )  # fmt: skip
    psi, x = real + 1j * imaginary, centres(n, extent, -extent / 2)
    for time, found in zip(times, psi, strict=True):
        exact = a / np.cosh(a * (x + 5 - v * time))
        exact = exact * np.exp(1j * (v * (x + 5) + (a**2 - v**2) * time / 2))
        # the soliton has a width of 5 cells: differences of order 6 displace its phase by 1e-3
        assert np.abs(found - exact).max() < 3e-3
        # central differences conserve the norm; the tolerance of the adaptive steps remains
        norm = (np.abs(found) ** 2).sum() * extent / n
        assert norm == pytest.approx(2 * a, rel=1e-5)


def test_sound_in_a_condensate(simulate):
    """Waves of small amplitude on |psi| = 1 have w^2 = k^2/2 (k^2/2 + 2 g).

    Bogoliubov (1947); Pethick, Smith, Bose-Einstein Condensation (2008), eq. 7.30.
    """
    extent, g = 8.0, 2.0
    k = 2 * np.pi / extent
    exact = np.sqrt(k**2 / 2 * (k**2 / 2 + 2 * g))
    times, real, imaginary = simulate(
        "nonlinear_schroedinger", ("psi_re", "psi_im"),
        grid=[64], domain={"extent": extent}, equation={"g": g},
        initial={"psi": f"1 + 1e-3*cos({k}*x)"}, time={"end": 6.0}, output={"frames": 60},
    )  # fmt: skip
    density = real**2 + imaginary**2
    wave = density @ np.cos(k * centres(64, extent))
    # the Laplacian of order 4 is too small by (k h)^4/90 = 1e-6; nonlinear terms are 1e-3 squared
    assert frequency(times, wave, exact) == pytest.approx(exact, rel=2e-5)
