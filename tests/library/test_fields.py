"""Waves on water, in elastic bodies and of light, against other programs and exact solutions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, curve_fit
from scipy.special import hankel1

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


def test_raindrops_are_those_of_the_tutorial(simulate):
    """The update of TensorFlow's tutorial in NumPy gives the same field, up to the sides.

    Per step: U + eps*Ut, Ut + eps*(laplace(U) - damping*Ut), with a convolution with a kernel of
    3 x 3 weights that takes the array to be surrounded by zeros.
    """
    n, eps, damping, steps = 48, 0.03, 0.04, 600
    kernel = np.array([[0.5, 1, 0.5], [1, -6, 1], [0.5, 1, 0.5]])
    _, u, w = simulate(
        "raindrops", ("u", "w"), grid=n, domain={"extent": float(n)}, stepper="euler",
        boundary={"default": {"robin": {"a": 1, "b": 0.5, "value": 0}}},
        time={"end": steps * eps, "dt": eps, "unsafe": True}, output={"frames": 1},
    )  # fmt: skip
    height, rate = u[0], np.zeros((n, n))
    # about 40 single cells; the standard deviation of their number is 6
    assert 20 < (height > 0).sum() < 60
    for _ in range(steps):
        padded = np.pad(height, 1)
        laplace = sum(
            kernel[i, j] * padded[i : i + n, j : j + n] for i in range(3) for j in range(3)
        )
        height, rate = height + eps * rate, rate + eps * (laplace - damping * rate)
    # rounding, which grows with the unstable steps: exp(600*(eps^2*8 - eps*damping)/2) = 6
    np.testing.assert_allclose(u[1], height, atol=1e-13)
    np.testing.assert_allclose(w[1], rate, atol=1e-13)


def centres(cells: int, extent: float) -> np.ndarray:
    """The cell centres of an axis."""
    return (np.arange(cells) + 0.5) * extent / cells


def frequency(times: np.ndarray, values: np.ndarray, guess: float) -> float:
    """The angular frequency of values that are close to A cos(w t), by least squares."""
    (_, found), _ = curve_fit(lambda t, a, w: a * np.cos(w * t), times, values, (values[0], guess))
    return found


def dam_break(x: np.ndarray, t: float, left: float, right: float, g: float) -> np.ndarray:
    """The depth after the removal of a dam at x = 0: Stoker, Water Waves (1957), section 10.8.

    A rarefaction with the values (2 sqrt(g left) - x/t)^2/(9 g), a plateau, and a bore.
    """

    def of_bore(h: float) -> float:
        return (h - right) * np.sqrt(g / 2 * (1 / h + 1 / right))

    c = np.sqrt(g * left)
    plateau = brentq(lambda h: 2 * (c - np.sqrt(g * h)) - of_bore(h), right, left)
    velocity = 2 * (c - np.sqrt(g * plateau))
    bore = plateau * velocity / (plateau - right)
    fan = (2 * c - x / t) ** 2 / (9 * g)
    depth = np.where(x / t < velocity - np.sqrt(g * plateau), fan, plateau)
    return np.where(x / t < -c, left, np.where(x / t > bore, right, depth))


def test_dam_break(simulate):
    """Two dams at x = 5 and x = -5 keep the water between them; the right one is compared."""
    n, extent, t, left, right, g, nu = 800, 20.0, 1.0, 1.0, 0.4, 9.81, 0.01
    _, s = simulate(
        "shallow_water", ("s",), grid=[n, 4],
        domain={"extent": [extent, 0.1], "origin": [-extent / 2, 0.0]},
        equation={"b": 0.0, "g": g, "nu": nu}, initial={"s": f"where(abs(x) < 5, {left}, {right})"},
        time={"end": t}, output={"frames": 1},
    )  # fmt: skip
    x = centres(n, extent)[: n // 2] - 5
    exact, depth = dam_break(x, t, left, right, g), s[-1][:, n // 2 :]
    # viscosity makes the bore 8 nu/(jump of the velocity) = 0.06 wide, and rounds the ends of the
    # rarefaction by sqrt(nu t) = 0.1, all with heights of at most 0.3: a mean of 0.3*0.26/10
    assert np.abs(depth - exact).mean() < 0.008
    plateau = (x > 0.5) & (x < 2.0)
    # away from the bore, differences of order 2 and viscosity remain
    np.testing.assert_allclose(depth[:, plateau], exact[plateau].max(), rtol=3e-3)
    # volume is conserved up to rounding
    np.testing.assert_allclose(s[-1].sum(), s[0].sum(), rtol=1e-12)


def test_water_at_rest_stays_at_rest(simulate):
    _, s, q = simulate(
        "shallow_water", ("s", "q_x"), grid=32, initial={"s": "0.1"},
        time={"end": 1.0}, output={"frames": 1},
    )  # fmt: skip
    # rounding of terms of the size g*s*b/h = 3, in some 200 steps; b leaves 3e-4 at the ends of the
    # domain, where its gradient jumps
    assert np.abs(s - 0.1).max() < 1e-11
    assert np.abs(q).max() < 1e-11


def test_speeds_of_elastic_waves(simulate):
    """Oblique waves: sqrt((lam + 2 mu)/rho) along the wave vector, sqrt(mu/rho) across it."""
    n, lam, mu, rho = 32, 1.3, 0.7, 1.6
    k = 2 * np.pi * np.sqrt(2)
    times, x, y = simulate(
        "elastic_waves", ("u_x", "u_y"), "operators.order=4", grid=n, domain={"extent": 1.0},
        equation={"lam": lam, "mu": mu, "rho": rho}, boundary="periodic",
        initial={"u": "[cos(2*pi*(x + y)), 0]"}, time={"end": 1.0}, output={"frames": 40},
    )  # fmt: skip
    for found, speed in (
        ((x + y)[:, 0, 0], np.sqrt((lam + 2 * mu) / rho)),
        ((x - y)[:, 0, 0], np.sqrt(mu / rho)),
    ):
        # differences of order 4: (k h)^4/60 with k h = 2 pi/32
        assert frequency(times, found, k * speed) == pytest.approx(k * speed, rel=1e-4)


def test_reflection_and_speed_of_light_in_glass(simulate):
    """A pulse meets the index n at right angles: (1 - n)/(1 + n) returns, 2/(1 + n) goes on at 1/n.

    Fresnel's formulas: Born, Wolf, Principles of Optics, section 1.5.2. The part
    ((n - 1)/(n + 1))^2 of the energy is reflected.
    """
    cells, extent, n, t = 400, 40.0, 2.0, 22.0
    _, field, magnetic = simulate(
        "maxwell", ("E", "H_y"), grid=[cells, 4], domain={"extent": [extent, 0.4]},
        equation={"n": f"where(x < 20, 1, {n})", "sigma": 0.0, "current": 0.0},
        initial={"E": "exp(-(x - 8)**2)", "H_y": "-exp(-(x - 8)**2)"},
        time={"end": t}, output={"frames": 1},
    )  # fmt: skip
    x, left = centres(cells, extent), slice(0, cells // 2)
    exact = (1 - n) / (1 + n) * np.exp(-((x - (32 - t)) ** 2))
    exact += 2 / (1 + n) * np.exp(-((n * (x - 20) - (t - 12)) ** 2))
    # on the jump of n, differences are of order 1 with h = 0.1, a fifth of the width in the glass
    assert np.abs(field[-1] - exact).max() < 0.03
    index = np.where(x < 20, 1, n)
    energy = (index * field) ** 2 + magnetic**2
    # central differences conserve the energy but for the steps
    np.testing.assert_allclose(energy[1].sum(), energy[0].sum(), rtol=1e-4)
    reflected = energy[1][:, left].sum() / energy[0].sum()
    assert reflected == pytest.approx(((n - 1) / (n + 1)) ** 2, rel=0.04)  # as above


def test_sound_of_a_point_source(simulate):
    """-i/4 H0(kappa r), kappa^2 = k2, is the outgoing solution of laplacian(u) + k2*u = delta.

    A Gaussian of the width w has the same field, outside itself, as a point of the strength
    pi w^2 exp(-(kappa w)^2/4). Colton, Kress, Inverse Acoustic Scattering (2013), section 3.5.
    """
    n, extent, k2, width = 128, 6.0, (15.0**2) * (1 + 0.4j), 0.15
    _, real, imaginary = simulate(
        "helmholtz", ("u_re", "u_im"), "operators=spectral", grid=[n, n], boundary="periodic",
        domain={"extent": extent, "origin": -extent / 2},
        equation={"k2": "15**2*(1 + 0.4*1j)", "source": f"exp(-(x**2 + y**2)/{width}**2)"},
    )  # fmt: skip
    x = centres(n, extent) - extent / 2
    r = np.hypot(x, x[:, None])
    strength = np.pi * width**2 * np.exp(-k2 * width**2 / 4)
    exact = 0.25j * strength * hankel1(0, np.sqrt(k2) * r)
    away = (r > 5 * width) & (r < extent / 4)
    found = (real + 1j * imaginary)[0]
    # the waves of the next period are smaller by exp(-3*(3*extent/4 - extent/4)) = 1e-4, the
    # modes that the grid lacks by exp(-(pi n/extent*width/2)**2) = 1e-11
    np.testing.assert_allclose(found[away], exact[away], atol=2e-4 * np.abs(exact[away]).max())
