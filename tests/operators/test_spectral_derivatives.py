"""Spectral derivatives of the waves that a grid resolves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from made_plans import custom_plan, right_hand_side, with_formula

from pdesim.errors import BoundaryError
from pdesim.formula.language import DERIVATIVES
from pdesim.model.grid import Grid


def test_spectral_derivatives_are_exact_for_resolved_waves(placement):
    for grid in ("grid=[16,12]", "grid=[15,13]"):
        plan = custom_plan(2, "d_dx(u)*d_dy(u) + laplacian(u)", "operators=spectral", grid)
        lx, ly = plan.grid.extent
        p = plan.grid.coordinates()
        a, b = 2 * np.pi * p["x"] / lx, 4 * np.pi * p["y"] / ly
        kx, ky = 2 * np.pi / lx, 4 * np.pi / ly
        expected = kx * ky * np.cos(a) * np.sin(b) * np.sin(a) * np.cos(b)
        expected = expected - (kx**2 + ky**2) * np.sin(a) * np.sin(b)
        found = right_hand_side(plan, (np.sin(a) * np.sin(b))[None])[0]
        np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("bases", [("fourier",), ("fourier", "fourier"), ("sine", "fourier")])
@pytest.mark.parametrize("points", [8, 9])
def test_carried_modes_are_mended_to_those_of_a_real_state(placement, bases, points):
    """As a round trip through the grid would, without its two transforms."""
    import tensorflow as tf

    from pdesim.operators import transforms
    from pdesim.operators.modes import Modes

    n = len(bases)
    modes = Modes(Grid((points, 6)[:n], (1.0,) * n, (0.0,) * n), bases)
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2, 1, *modes.shape))
    broken = tf.constant(noise[0] + 1j * noise[1])
    wanted = transforms.forward(transforms.backward(broken, modes), modes)
    np.testing.assert_allclose(transforms.enforce_hermitian(broken, modes), wanted, atol=1e-12)


@pytest.mark.parametrize("lower,upper", itertools.product(("dirichlet", "neumann"), repeat=2))
@pytest.mark.parametrize("power", range(1, 7))
def test_spectral_derivatives_between_walls_are_exact(placement, lower, upper, power):
    """The sine or cosine that meets the walls; odd derivatives turn one into the other."""
    walls = f"boundary.x={{lower: {lower}, upper: {upper}}}"
    plan = custom_plan(1, "u", "operators=spectral", "grid=[16]", walls)
    word = next(w for w, powers in DERIVATIVES.items() if powers == (power, 0, 0))
    k = np.pi / plan.grid.extent[0] * (2 if lower == upper else 2.5)
    phase = k * plan.grid.centres(0) - (np.pi / 2 if lower == "dirichlet" else 0)
    found = right_hand_side(with_formula(plan, f"{word}(u)"), np.cos(phase)[None])[0]
    # rounding in the highest mode is multiplied by its wave number to this power
    atol = 1e-15 * (np.pi / plan.grid.spacing[0]) ** power
    np.testing.assert_allclose(found, k**power * np.cos(phase + power * np.pi / 2), atol=atol)


def test_spectral_mixed_derivatives_between_walls_are_exact(placement):
    plan = custom_plan(
        2, "u", "operators=spectral", "boundary.x=dirichlet", "boundary.y=neumann", "grid=[16,12]"
    )
    a, b = (np.pi * m / length for m, length in zip((2, 3), plan.grid.extent, strict=True))
    p = plan.grid.coordinates()
    state = np.sin(a * p["x"]) * np.cos(b * p["y"])
    found = right_hand_side(with_formula(plan, "d2_dxdy(u)"), state[None])[0]
    expected = -a * b * np.cos(a * p["x"]) * np.sin(b * p["y"])
    np.testing.assert_allclose(found, expected, atol=1e-12 * a * b)
    with pytest.raises(BoundaryError):  # d2_dxdy(u) is even along x and odd along y, u is not
        custom_plan(
            2, "laplacian(u + d2_dxdy(u))", "operators=spectral", "boundary.x=dirichlet",
            "boundary.y=neumann",
        )  # fmt: skip
