"""Generators of random smooth initial states, beside direct sums."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan

from pdesim.errors import ConfigError
from pdesim.model.resampling import trigonometric

BASE = ("equation=heat", "device.precision=float64", "domain.extent=2", "domain.origin=-1")


def state(formula: str, *words: str) -> np.ndarray:
    return make_plan(*BASE, *words, f"initial.u='{formula}'").state[0]


@pytest.mark.parametrize("cells", [7, 8])
def test_waves_pass_through_the_given_values(cells):
    values = np.random.default_rng(0).standard_normal((cells, cells + 1))
    fine = trigonometric(values, (3 * cells, 3 * cells + 3), (True, True))
    # the centre of cell j is that of cell 3 j + 1 of a grid with three times as many cells
    np.testing.assert_allclose(fine[1::3, 1::3], values, atol=1e-13)
    # between the values there are no waves shorter than those of the coarse grid
    modes = np.abs(np.fft.rfft(fine, axis=-1))
    assert modes[..., (cells + 1) // 2 + 1 :].max() < 1e-12 * modes.max()
    same = trigonometric(values, values.shape, (True, True))
    np.testing.assert_allclose(same, values, atol=1e-13)


def test_waves_are_mirrored_at_walls():
    values = np.random.default_rng(0).standard_normal(6)
    fine = trigonometric(values, (18,), (False,))
    np.testing.assert_allclose(fine[1::3], values, atol=1e-13)
    # the cosine series through the values, summed directly
    x, places = (np.arange(18) + 0.5) / 18, (np.arange(6) + 0.5) / 6
    k = np.arange(6)
    matrix = np.cos(np.pi * np.outer(places, k))
    expected = np.cos(np.pi * np.outer(x, k)) @ np.linalg.solve(matrix, values)
    np.testing.assert_allclose(fine, expected, atol=1e-12)


def test_random_waves_are_the_same_function_on_every_grid():
    coarse, fine = state("random_waves(8)", "grid=16"), state("random_waves(8)", "grid=48")
    np.testing.assert_allclose(fine[1::3, 1::3], coarse, atol=1e-13)
    at_values = state("random_waves(8)", "grid=24")[1::3, 1::3]
    assert np.abs(at_values).max() < 0.5 and at_values.std() == pytest.approx(12**-0.5, rel=0.3)
    two = state("random_waves(8) - random_waves(8)", "grid=16")
    assert np.abs(two).max() > 0.1  # independent


def test_one_gaussian_is_periodic_and_scaled():
    u = state("random_gaussians(1, 1, 2, 3, 40, 40)", "grid=64")
    assert u.min() == 0 and u.max() == 1
    y, x = np.unravel_index(u.argmax(), u.shape)
    centred = np.roll(u, (32 - y, 32 - x), (0, 1))
    centre = (np.arange(64) - 32) / 32
    # the maximum is at most half a cell from the centre of its cell, whose distance is fitted
    offsets = np.linspace(-0.5, 0.5, 101) / 32
    errors = [
        np.abs(centred[32] / centred[32].max() - np.exp(-40 * (centre - o) ** 2)
               / np.exp(-40 * (centre - o) ** 2).max()).max()
        for o in offsets
    ]  # fmt: skip
    assert min(errors) < 0.01


def test_the_number_of_gaussians_varies_with_the_seed():
    states = [state("random_gaussians(2, 9, 1, 3, 300, 600)", "grid=64", f"seed={n}")
              for n in range(6)]  # fmt: skip
    assert len({round(float(u.mean()), 6) for u in states}) == 6


def test_waves_around_the_third_steady_state_of_gray_scott():
    plan = make_plan("experiment=well_gray_scott", "initial=gray_scott_waves",
                     "equation.F=0.098", "equation.k=0.057",
                     "device.precision=float64")  # fmt: skip
    F, k = 0.098, 0.057
    u = (1 - np.sqrt(1 - 4 * (F + k) ** 2 / F)) / 2
    v = F * (1 - u) / (F + k)
    assert -u * v**2 + F * (1 - u) == pytest.approx(0, abs=1e-15)
    # the mean of 1024 uniform numbers, times 0.45, deviates by 0.004; 5 deviations
    assert plan.state.mean(axis=(1, 2)) == pytest.approx([u, v], rel=0.02)
    for F, k in ((0.014, 0.054), (0.058, 0.065)):
        plan = make_plan("experiment=well_gray_scott", "initial=gray_scott_waves",
                         f"equation.F={F}", f"equation.k={k}")  # fmt: skip
        assert plan.state.mean(axis=(1, 2)) == pytest.approx([1, 0], abs=0.025)


@pytest.mark.parametrize(
    "formula",
    ["random_waves(1)", "random_waves(1000)", "random_gaussians(0, 1, 1, 1, 1, 1)",
     "random_gaussians(5, 1, 1, 1, 1, 1)", "random_gaussians(1, 2, 2, 1, 1, 1)",
     "random_gaussians(1, 2, 1, 1, 0, 1)", "random_waves(x)"],
)  # fmt: skip
def test_invalid_arguments(formula):
    with pytest.raises(ConfigError, match=r"random_(waves|gaussians)\("):
        state(formula, "grid=16")
