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
