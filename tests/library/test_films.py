"""Films of liquid: the growth rate of waves, the volume and the free energy."""

from __future__ import annotations

import numpy as np
import pytest

import pdesim


def simulate(folder, **settings):
    """Run the film in double precision; return the frames of h and their times."""
    settings = {"device": {"precision": "float64"}, "animation": "none"} | settings
    with pdesim.simulate("thin_film", folder=folder, **settings).snapshots as file:
        return np.array(file["h"][:]), np.array(file.times)


@pytest.mark.parametrize("k", [0.2, 0.35, 0.6])
def test_waves_on_a_film_grow_at_their_rate(tmp_path, k):
    """Waves h = H + a cos(k x) of a small amplitude a grow or decay exponentially.

    To first order in a, the pressure P(h) - h_xx is P(H) + (P'(H) + k^2) a cos(k x), where
    P(h) = epsilon^2 (1/h^3 - epsilon/h^4). The divergence of H^3 times its gradient gives
    da/dt = -H^3 k^2 (P'(H) + k^2) a, with P'(H) = epsilon^2 (4 epsilon/H^5 - 3/H^4) < 0 in a film
    thicker than 4 epsilon/3: long waves grow, those with k^2 > -P'(H) decay.
    """
    thickness, epsilon = 1.2, 0.4
    h, times = simulate(
        tmp_path,
        equation={"epsilon": epsilon},
        operators="spectral",
        boundary="periodic",
        grid=[16],
        domain={"extent": 2 * np.pi / k},
        initial={"h": f"{thickness} + 1e-6*cos({k}*x)"},
        time={"end": 4, "dt": 0.01},
        output={"frames": 1},
    )
    size = abs(np.fft.rfft(h)[:, 1])
    slope = epsilon**2 * (4 * epsilon / thickness**5 - 3 / thickness**4)
    expected = -(thickness**3) * k**2 * (slope + k**2)
    # h has 1e-16 of rounding and quadratic terms of 1e-12 beside the wave of 1e-6; the steps are
    # accurate to better than 1e-6
    assert np.log(size[1] / size[0]) / times[1] == pytest.approx(expected, abs=1e-6)


def test_a_film_keeps_its_volume_and_loses_free_energy(tmp_path):
    """The flux is down the gradient of the pressure, so that the free energy decreases.

    The energy of an area is |grad h|^2/2 + U(h) with U' = P, so that
    U = epsilon^2 (epsilon/(3 h^3) - 1/(2 h^2)); its time derivative is -h^3 |grad p|^2.
    """
    epsilon, spacing = 0.5, 0.75
    h, _ = simulate(
        tmp_path,
        grid=[32, 24],
        domain={"extent": [32 * spacing, 24 * spacing]},
        initial={"h": "1 + 0.1*random_field(2, 1)"},
        time={"end": 300},
        output={"frames": 15},
    )
    # double precision: the sum of fluxes through the faces of cells is zero but for rounding
    np.testing.assert_allclose(h.mean((1, 2)), h[0].mean(), rtol=1e-12)
    # the film has broken: the least thickness is that of the layer between drops
    assert h[-1].min() < 1.2 * epsilon and h[-1].max() > 1.5
    square = sum(((np.roll(h, -1, axis) - h) ** 2).sum((1, 2)) for axis in (1, 2))
    potential = epsilon**2 * (epsilon / (3 * h**3) - 1 / (2 * h**2))
    energy = square / 2 + potential.sum((1, 2)) * spacing**2
    assert (np.diff(energy) < 0).all()


def test_a_drop_at_rest_has_one_pressure(tmp_path):
    """The shape of a drop at rest follows from the potential alone.

    At rest the pressure p = P(h) - h_xx is constant. Times h_x and integrated, from the thinnest
    place b to the summit s, where h_x = 0: U(s) - U(b) = p (s - b).
    """
    epsilon = 0.2
    h, _ = simulate(
        tmp_path,
        equation={"epsilon": epsilon},
        grid=[120],
        domain={"extent": 12.0},
        operators={"order": 4},
        initial={"h": f"{epsilon} + 1.0*maximum(0, 1 - (r/3)**2)"},
        time={"end": 60},
        output={"frames": 1},
    )
    u, spacing = h[-1], 0.1
    curvature = (np.roll(u, 1) - 2 * u + np.roll(u, -1)) / spacing**2
    pressures = epsilon**2 * (1 / u**3 - epsilon / u**4) - curvature
    drop = u > 2 * epsilon
    # the drop is at rest up to the slow flow through the layer around it
    np.testing.assert_allclose(pressures[drop], pressures[drop].mean(), rtol=0.02)

    def energy(h):
        return epsilon**2 * (epsilon / (3 * h**3) - 1 / (2 * h**2))

    work = pressures[drop].mean() * (u.max() - u.min())
    assert energy(u.max()) - energy(u.min()) == pytest.approx(work, rel=0.02)
