"""Equations of patterns against dispersion relations and thresholds that were derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

import pdesim

Matrix = tuple[tuple[float, float], tuple[float, float]]


def growth(reactions: Matrix, diffusivities: tuple[float, float], k: np.ndarray) -> np.ndarray:
    """Return the larger root of det(J - k^2 D - rate) = 0 for a Jacobian J of two reactions."""
    (fu, fv), (gu, gv) = reactions
    a, d = fu - diffusivities[0] * k**2, gv - diffusivities[1] * k**2
    return ((a + d) / 2 + np.sqrt((a - d) ** 2 / 4 + fv * gu + 0j)).real


def fastest(reactions: Matrix, diffusivities: tuple[float, float]) -> float:
    """Return the wave number of the largest growth rate, where d(rate)/d(k^2) = 0.

    k^2 = ((Du + Dv)*sqrt(-fv*gu/(Du*Dv)) - fu + gv)/(Dv - Du): Murray, Mathematical Biology II,
    section 2.3, where Du = 1.
    """
    (fu, fv), (gu, gv) = reactions
    du, dv = diffusivities
    return np.sqrt(((du + dv) * np.sqrt(-fv * gu / (du * dv)) - fu + gv) / (dv - du))


def threshold(reactions: Matrix) -> float:
    """Return Dv/Du = d at which waves begin to grow: d*fu + gv = 2*sqrt(d*det J)."""
    (fu, fv), (gu, gv) = reactions
    return ((np.sqrt(-fv * gu) + np.sqrt(fu * gv - fv * gu)) / fu) ** 2


# a - u + u^2 v and b - u^2 v with a = 0.1 and b = 0.9, at u = 1 and v = 0.9: fu = -1 + 2 u v
SCHNAKENBERG = ((0.8, 1.0), (-1.8, -1.0))
# rho - mu a + a^2/(h (1 + kappa a^2)) and a^2 - nu h with rho = 0.05, mu = 1, kappa = 0.15; a = 1
# and h = 1/nu = 1/((mu - rho)(1 + kappa)) = 1/1.0925
GIERER_MEINHARDT = ((2 * 1.0925 / 1.15**2 - 1, -(1.0925**2) / 1.15), (2.0, -1.0925))
CASES = {
    "schnakenberg": (SCHNAKENBERG, (1.0, 40.0), "u", "a + b"),
    "gierer_meinhardt": (GIERER_MEINHARDT, (1.0, 40.0), "a", "1"),
}


@pytest.mark.parametrize("name", CASES)
def test_all_waves_grow_at_their_rates(tmp_path, name):
    """Weak noise contains all waves, and each grows at its own rate."""
    reactions, diffusivities, field, state = CASES[name]
    length, small = 300.0, 1e-10
    run = pdesim.simulate(
        name, grid=[256], domain={"extent": length}, operators="spectral", stepper="etdrk4",
        device={"precision": "float64"}, animation="none", folder=tmp_path,
        initial={field: f"{state} + {small}*random_normal(1)"},
        time={"end": 16, "dt": 0.02}, output={"times": [0, 8, 16]},
    )  # fmt: skip
    u = np.abs(np.fft.rfft(run.to_xarray()[field].values))[:, 1:128]
    k = 2 * np.pi * np.arange(1, 128) / length
    rates = growth(reactions, diffusivities, k)
    growing = rates > 0.1
    measured = np.log(u[2, growing] / u[1, growing]) / 8
    # the second solution of each wave has decayed to exp(-1.2*8) = 7e-5 of the first at t = 8, and
    # products of waves are at most 1e-4 of the weakest wave at t = 16; logarithms are divided by 8
    np.testing.assert_allclose(measured, rates[growing], atol=4e-5)
    fastest_measured = k[growing][measured.argmax()]
    assert abs(fastest_measured - fastest(reactions, diffusivities)) < k[0] / 2


@pytest.mark.parametrize("name,inhibitor", [("schnakenberg", "Dv"), ("gierer_meinhardt", "Dh")])
def test_the_threshold_of_patterns(name, inhibitor):
    reactions, diffusivities, *_ = CASES[name]
    found = pdesim.analyze(name, over=f"equation.{inhibitor}=5..20")
    (state,) = found.states
    # nothing but round-off and the tolerance of the bisection
    wavelength = 2 * np.pi / fastest(reactions, diffusivities)
    assert state.pattern.wavelength == pytest.approx(wavelength, rel=1e-6)
    (turing,) = found.thresholds.found
    assert turing.kind == "Turing" and turing.value == pytest.approx(threshold(reactions))


def test_the_classical_threshold_of_gierer_meinhardt():
    """Without basic production and saturation, Dh/Da is (3 + 2 sqrt(2)) nu/mu at the threshold.

    Murray, Mathematical Biology II, section 2.4; fu = mu, gv = -nu and fv gu = -2 mu nu.
    """
    found = pdesim.analyze(
        "gierer_meinhardt",
        equation={"rho": 0, "kappa": 0, "mu": 1.2, "nu": 2.0},
        over="equation.Dh=5..20",
    )
    (turing,) = [one for one in found.thresholds.found if one.kind == "Turing"]
    assert turing.value == pytest.approx((3 + 2 * np.sqrt(2)) * 2 / 1.2)


def test_the_pattern_of_a_growing_domain_doubles(tmp_path):
    """When the domain has doubled, the pattern consists of two mirrored copies of itself.

    Crampin, Gaffney, Maini, Bull. Math. Biol. 61 (1999) 1093: u(x, t + log(2)/growth) is u(2*x, t)
    in the lower half, since the problem of half the domain is the same then.
    """
    growth = 0.01
    times = np.array([100, 100 + np.log(2) / growth])
    run = pdesim.simulate(
        "growing_domain", grid=[256], equation={"growth": growth}, animation="none",
        time={"end": 170}, output={"times": [0, 30, *times]}, folder=tmp_path,
    )  # fmt: skip
    _, one, two, four, _ = run.to_xarray().u.values
    above = [u > 1.5 for u in (one, two, four)]
    assert [np.count_nonzero(np.diff(u.astype(int)) == 1) for u in above] == [1, 2, 4]
    half = two.reshape(-1, 2).mean(1)
    # the peaks of `four` are 16 cells wide; errors in space are of the size of 1/16^2 of the height
    np.testing.assert_allclose(four, np.concatenate([half, half[::-1]]), atol=0.02 * two.max())


def test_diffusion_and_dilution_on_a_growing_domain(tmp_path):
    """With a = b = v = 0, u_t = Du/scale^2*u_xx - (1 + dimensions*growth)*u has exact solutions."""
    growth, D, length, n = 0.2, 0.7, 10.0, 64
    run = pdesim.simulate(
        "growing_domain", grid=[n], domain={"extent": length}, folder=tmp_path, animation="none",
        equation={"a": 0, "b": 0, "growth": growth, "dimensions": 3, "Du": D, "Dv": 1},
        initial={"u": f"cos(4*pi*x/{length})", "v": 0}, time={"end": 3, "dt": 0.01},
        output={"frames": 3}, stepper="rk4",
    )  # fmt: skip
    data = run.to_xarray()
    t = data.time.values[:, None]
    square = (2 * n / length * np.sin(2 * np.pi / n)) ** 2  # k^2 of the stencil
    decay = (1 + 3 * growth) * t + D * square * (1 - np.exp(-2 * growth * t)) / (2 * growth)
    expected = np.exp(-decay) * np.cos(4 * np.pi * data.x.values / length)
    # rk4 with dt = 0.01 and rates of 3: 3*3^5*dt^4/120 = 6e-8
    np.testing.assert_allclose(data.u.values, expected, atol=1e-7)
