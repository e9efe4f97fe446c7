"""Linear spectra and modes in closed form: lines with losses, and fields driven by noise."""

from __future__ import annotations

import numpy as np

import pdesim


def test_a_mode_of_the_telegraph_equation(tmp_path):
    """cos(k x) has the amplitude exp(-a t) (cos(w t) + a/w sin(w t)) with 2 a = alpha + beta.

    From u'' + 2 a u' + (alpha beta + c^2 k^2) u = 0 with u' = 0 at the start;
    w^2 = alpha beta + c^2 k^2 - a^2.
    """
    c, alpha, beta, t = 0.7, 3.0, 0.5, 0.8
    run = pdesim.simulate(
        "telegraph",
        "operators=spectral",
        grid=[16],
        equation={"c": c, "alpha": alpha, "beta": beta},
        initial={"u": "cos(2*pi*x)", "w": 0},
        time={"end": t},
        device={"precision": "float64"},
        output={"frames": 1},
        animation="none",
        folder=tmp_path / "run",
    )
    a = (alpha + beta) / 2
    w = np.sqrt(alpha * beta + (2 * np.pi * c) ** 2 - a**2)
    x = (np.arange(16) + 0.5) / 16
    expected = np.exp(-a * t) * (np.cos(w * t) + a / w * np.sin(w * t)) * np.cos(2 * np.pi * x)
    # the steps are exact for each mode
    np.testing.assert_allclose(run.to_xarray().u[-1], expected, atol=1e-12)


def test_a_line_without_distortion(tmp_path):
    """With alpha = beta a pulse moves with the speed c, keeps its form and decays as exp(-alpha t).

    Heaviside's condition R/L = G/C: u = exp(-alpha t) f(x - c t), where w = -alpha u - c f'.
    """
    c, alpha, t, width = 1.0, 2.0, 0.5, 0.05
    pulse = f"exp(-((x - 0.2)/{width})**2)"
    run = pdesim.simulate(
        "telegraph",
        "operators=spectral",
        grid=[128],
        equation={"c": c, "alpha": alpha, "beta": alpha},
        initial={"u": pulse, "w": f"(-{alpha} + {c}*2*(x - 0.2)/{width}**2)*{pulse}"},
        time={"end": t},
        device={"precision": "float64"},
        output={"frames": 1},
        animation="none",
        folder=tmp_path / "run",
    )
    x = (np.arange(128) + 0.5) / 128
    expected = np.exp(-alpha * t) * np.exp(-(((x - 0.2 - c * t) / width) ** 2))
    # the pulse at the end of the domain, exp(-16), which is not periodic
    np.testing.assert_allclose(run.to_xarray().u[-1], expected, atol=3e-7)


def spectrum(u: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Return wave numbers k > 0 of a periodic line and the mean of |u_k|^2 over the first axis.

    u_k = h sum(u exp(-i k x))/sqrt(L), such that white noise of intensity 1 has the spectrum 1.
    """
    n = u.shape[-1]
    modes = np.fft.rfft(u) * (length / n) / np.sqrt(length)
    k = 2 * np.pi * np.arange(n // 2 + 1) / length
    return k[1:-1], (np.abs(modes) ** 2).mean(axis=0)[1:-1]


def test_the_stationary_spectrum_of_the_stochastic_heat_equation(tmp_path):
    """sigma^2/(2 nu k^2): Edwards and Wilkinson (1982). Each row of the grid is an own line.

    With nu d2_dx2(u) in place of the Laplacian, the rows of a grid in 2-D are independent lines;
    cells have the height 1, so that noise of intensity sigma in the plane is that of a line.
    """
    nu, sigma, cells, rows = 0.3, 0.8, 32, 512
    run = pdesim.simulate(
        "stochastic_heat",
        "operators=spectral",
        grid=[cells, rows],
        domain={"extent": [2 * np.pi, float(rows)]},
        equation={"nu": nu, "sigma": sigma, "rhs": {"u": "nu*d2_dx2(u)"}},
        initial={"u": 0},
        time={"end": 12.0, "dt": 0.5},
        device={"precision": "float64"},
        output={"frames": 1},
        animation="none",
        folder=tmp_path / "run",
    )
    k, measured = spectrum(run.to_xarray().u[-1].to_numpy(), 2 * np.pi)
    # exact steps: exp(-2 nu k^2 t) = 7e-4 of the initial state remains in the mode k = 1
    expected = sigma**2 / (2 * nu * k**2) * -np.expm1(-2 * nu * k**2 * 12.0)
    # |u_k|^2 has an exponential distribution, so that the mean of 512 rows has the standard
    # deviation 1/sqrt(512) = 4.4 %; four of them for the largest of 15 modes
    np.testing.assert_allclose(measured, expected, rtol=4 / np.sqrt(rows))
    # and the mean over all modes 1.1 %
    assert abs((measured / expected).mean() - 1) < 4 / np.sqrt(rows * len(k))


def test_the_early_spectrum_of_a_quenched_mixture(tmp_path):
    """T/(1 - gamma k^2) (exp(2 M k^2 (1 - gamma k^2) t) - 1): Cook (1970).

    From dS/dt = 2 M k^2 (1 - gamma k^2) S + 2 M T k^2 without a spectrum at the start, where u**3
    is negligible.
    """
    mobility, gamma, temperature, t, cells, length = 0.8, 1.2, 1e-8, 4.0, 64, 40.0
    run = pdesim.simulate(
        "cahn_hilliard_cook",
        grid=cells,
        domain={"extent": length},
        equation={"M": mobility, "gamma": gamma, "T": temperature},
        time={"end": t, "dt": 0.25},
        device={"precision": "float64"},
        output={"frames": 1},
        animation="none",
        folder=tmp_path / "run",
    )
    u = run.to_xarray().u[-1].to_numpy()
    power = np.abs(np.fft.fft2(u)) ** 2 * (length / cells**2) ** 2
    axis = 2 * np.pi * np.fft.fftfreq(cells, length / cells)
    square = axis**2 + axis[:, None] ** 2
    inner = (square > 0) & (np.abs(axis) < 4.9) & (np.abs(axis[:, None]) < 4.9)
    k2, power = square[inner], power[inner]
    stiffness = 1 - gamma * k2
    growth = 2 * mobility * k2 * stiffness * t
    ratios = power / (temperature / stiffness * np.expm1(growth))
    # unstable, nearly neutral and damped waves
    for low, high in ((0, 0.4), (0.4, 0.8), (0.8, 1.2), (1.2, 2), (2, 10), (10, 50)):
        chosen = ratios[(k2 > low) & (k2 < high)]
        # waves k and -k have the same power, whose distribution is exponential; four standard
        # deviations
        assert abs(chosen.mean() - 1) < 4 / np.sqrt(len(chosen) / 2), (low, high)
    # the field is linear and the noise conserves the mean, both up to rounding
    assert np.abs(u).max() < 1e-2 and abs(u.mean()) < 1e-15
