"""Equations of waves of the library, against exact solutions and dispersion relations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

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


def test_group_velocity_of_massive_waves(simulate):
    """A packet of the wave number k: w = sqrt(c^2 k^2 + m^2), and the velocity c^2 k/w."""
    n, extent, c, m, k, width, t = 256, 128.0, 1.5, 0.9, 1.0, 12.0, 24.0
    x, waves = centres(n, extent), 2 * np.pi * np.fft.rfftfreq(n, extent / n)
    u = np.exp(-(((x - 40) / width) ** 2)) * np.cos(k * (x - 40))
    # every wave exp(i p x) of it moves to the right: du/dt = -i w(p) u
    rate = np.fft.irfft(-1j * np.sqrt((c * waves) ** 2 + m**2) * np.fft.rfft(u))
    _, u, w = simulate(
        "klein_gordon", ("u", "w"), "operators=spectral", domain={"extent": extent},
        equation={"c": c, "m": m}, initial={"u": u, "w": rate},
        time={"end": t}, output={"frames": 240},
    )  # fmt: skip
    turned = np.sqrt((c * k) ** 2 + m**2)
    slope = np.fft.irfft(1j * waves * np.fft.rfft(u, axis=1), axis=1)
    energy = (w**2 + (c * slope) ** 2 + (m * u) ** 2) / 2
    # rounding; the stepper is exact
    np.testing.assert_allclose(energy.sum(axis=1), energy[0].sum(), rtol=1e-9)
    centre = energy @ x / energy.sum(axis=1)
    # the mean over the wave numbers k +- 1/width of the packet differs by v''/(2 width^2) = 1.5e-3
    assert (centre[-1] - centre[0]) / t == pytest.approx(c**2 * k / turned, rel=3e-3)
    phase = np.unwrap(np.angle(np.exp(-1j * k * x) @ u.T))
    # as above, w''/(2 width^2) = 1.5e-3
    assert -(phase[-1] - phase[0]) / t == pytest.approx(turned, rel=3e-3)


def test_breather(simulate):
    """u = 4 arctan(sqrt(1 - w^2)/w cos(w t)/cosh(sqrt(1 - w^2) x)), whose period is 2 pi/w.

    Ablowitz, Kaup, Newell, Segur, Phys. Rev. Lett. 30 (1973) 1262.
    """
    n, extent, w = 256, 40.0, 0.6
    b = np.sqrt(1 - w**2)
    times, u = simulate(
        "sine_gordon", ("u",), "operators.order=6",
        grid=[n], domain={"extent": extent, "origin": -extent / 2},
        initial={"u": f"4*arctan({b / w}/cosh({b}*x))"},
        time={"end": 4 * np.pi / w, "tolerance": 1e-6}, output={"frames": 8},
    )  # fmt: skip
    x = centres(n, extent, -extent / 2)
    exact = 4 * np.arctan(b / w * np.cos(w * times[:, None]) / np.cosh(b * x))
    # tails at the ends are 16/3 exp(-16) = 6e-7; the stencil of order 6 and the steps 1e-5
    assert np.abs(u - exact).max() < 5e-5
    assert np.abs(u[4] - u[0]).max() < 5e-5


def test_moving_kink(simulate):
    """u = 4 arctan(exp((x - v t)/sqrt(1 - v^2))), a contracted kink: Perring, Skyrme (1962)."""
    n, extent, v, t = 256, 40.0, 0.8, 15.0
    contraction = np.sqrt(1 - v**2)
    slope = f"-{2 * v / contraction}/cosh((x + 8)/{contraction})"
    _, u = simulate(
        "sine_gordon", ("u",), "operators.order=6",
        grid=[n], domain={"extent": extent, "origin": -extent / 2},
        initial={"u": f"4*arctan(exp((x + 8)/{contraction}))", "w": slope},
        time={"end": t, "tolerance": 1e-6}, output={"frames": 1},
    )  # fmt: skip
    x = centres(n, extent, -extent / 2)
    exact = 4 * np.arctan(np.exp((x + 8 - v * t) / contraction))
    # the front has a width of 4 cells; the error of order 6 is 1e-4 of its slope 2/contraction
    assert np.abs(u[-1] - exact).max() < 1e-3


def test_lowest_frequency_of_a_clamped_plate(simulate):
    """35.99 sqrt(D)/L^2 for a square: Leissa, Vibration of Plates, NASA SP-160 (1969)."""
    n, extent, stiffness = 24, 2.0, 3.0
    exact = 35.99 * np.sqrt(stiffness) / extent**2
    shape = "(x*(2 - x)*y*(2 - y))**2"
    times, u = simulate(
        "beam_plate", ("u",), "operators.order=4", grid=n, domain={"extent": extent},
        equation={"D": stiffness}, initial={"u": shape, "v": 0},
        time={"end": 6 * np.pi / exact}, output={"frames": 120},
    )  # fmt: skip
    # other modes have 1e-3 of the product of the shape with itself, and quickly oscillating phases
    amplitude = (u * u[0]).sum(axis=(1, 2))
    # differences of order 4 near the edges: 1e-4 for a beam of 16 cells; 35.99 has four digits
    assert frequency(times, amplitude, exact) == pytest.approx(exact, rel=1e-3)
