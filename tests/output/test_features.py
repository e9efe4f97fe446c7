"""Features of final states against cases whose answers are known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdesim.output.features import activity, describe, find_peak, spectrum

SHAPES = [(96,), (64, 96), (16, 24, 20)]


def grid(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[np.ndarray]:
    """Cell centres along every array axis, ready to be broadcast."""
    axes = [(np.arange(n) + 0.5) * h for n, h in zip(shape, spacing, strict=True)]
    return np.meshgrid(*axes, indexing="ij", sparse=True)


def wave(shape, spacing, modes, phase=0.4) -> np.ndarray:
    turns = sum(
        m * x / (n * h)
        for m, x, n, h in zip(modes, grid(shape, spacing), shape, spacing, strict=True)
    )
    return np.cos(2 * np.pi * turns + phase)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SHAPES), st.data())
def test_a_plane_wave_in_any_direction(shape, data):
    spacing = tuple(data.draw(st.floats(0.01, 10)) for _ in shape)
    modes = tuple(data.draw(st.integers(0, n // 2 - 1)) for n in shape)
    if not any(modes):
        modes = (1, *modes[1:])
    length = 1 / math.hypot(*(m / (n * h) for m, n, h in zip(modes, shape, spacing, strict=True)))
    found = describe(3 + 0.5 * wave(shape, spacing, modes), spacing, [True] * len(shape))
    assert found.wavelength == pytest.approx(length, rel=1e-9)
    assert found.sharpness == pytest.approx(1)
    assert found.mean == pytest.approx(3) and found.variance == pytest.approx(1 / 8)
    assert math.isnan(found.activity)


@pytest.mark.parametrize("shape", SHAPES)
def test_cosines_between_walls(shape):
    """cos(m pi x / L) has half a wave more or less than a periodic axis could hold."""
    spacing = (0.1, 0.3, 0.2)[: len(shape)]
    x = grid(shape, spacing)[-1]
    values = np.cos(5 * np.pi * x / (shape[-1] * spacing[-1])) + np.zeros(shape)
    found = describe(values, spacing, [False] * len(shape))
    assert found.wavelength == pytest.approx(2 * shape[-1] * spacing[-1] / 5, rel=1e-9)
    assert found.sharpness == pytest.approx(1)


def test_waves_that_do_not_fit_between_walls():
    for waves in (4.3, 7.7, 10.1):
        x = grid((256,), (0.05,))[0]
        length = 256 * 0.05 / waves
        found = describe(np.sin(2 * np.pi * x / length), (0.05,), [False])
        # a mode of the mirrored axis is half a wave, and the peak lies within one of them
        assert abs(12.8 / found.wavelength - waves) < 0.5


def test_the_variance_is_the_sum_of_the_spectrum():
    noise = np.random.default_rng(1).normal(size=(30, 41))
    for values in (noise, noise[:, :40], noise[:, :1], noise[0]):
        values = values - values.mean()
        spacing = (0.2, 0.3)[-values.ndim :]
        assert spectrum(values, spacing).power.sum() == pytest.approx(values.var())


def test_noise_is_not_sharp_and_not_correlated():
    noise = np.random.default_rng(2).normal(size=(128, 128))
    found = describe(noise, (0.5, 0.5), [True, True])
    assert found.sharpness < 0.3 and found.correlation_length < 0.5
    assert 0.7 < found.wavelength < 64  # anywhere from two cells to the domain
    # the peak of smooth stripes with some noise on top is still theirs
    stripes = wave((128, 128), (0.5, 0.5), (9, 9)) + 0.3 * noise
    found = describe(stripes, (0.5, 0.5), [True, True])
    assert found.wavelength == pytest.approx(64 / math.hypot(9, 9), rel=0.01)
    assert 0.8 < found.sharpness < 0.95


def test_sharp_stripes_and_hexagons():
    stripes = np.sign(wave((64, 96), (1.0, 0.5), (4, 6), phase=0.1))
    found = describe(stripes, (1.0, 0.5), [True, True])
    assert found.wavelength == pytest.approx(1 / math.hypot(4 / 64, 6 / 48), rel=1e-6)
    assert found.sharpness == pytest.approx(8 / np.pi**2, abs=0.02)  # a square wave's first part
    # three waves of one length, 60 degrees apart: x sides of length 3, y sides of sqrt(3)
    spacing = (math.sqrt(3) / 128, 3 / 128)
    hexagons = sum(wave((128, 128), spacing, m) for m in ((4, 0), (2, 6), (2, -6)))
    found = describe(hexagons, spacing, [True, True])
    assert found.wavelength == pytest.approx(math.sqrt(3) / 4, rel=1e-9)


def test_correlation_lengths():
    x = wave((512,), (0.01,), (4,))
    found = describe(x, (0.01,), [True])
    assert found.correlation_length == pytest.approx(5.12 / 4 / 6, rel=1e-3)  # cos is 1/2 at 60°
    # a plane wave's, averaged over directions, is the Bessel function J0, 1/2 at 1.52110
    found = describe(wave((256, 256), (0.1, 0.1), (6, 0)), (0.1, 0.1), [True, True])
    assert found.correlation_length == pytest.approx(1.5211 * 25.6 / 6 / (2 * np.pi), rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [0.0, 1.0, -3e-7, 1e20])
def test_uniform_fields_have_no_waves(shape, value):
    values = np.full(shape, value, np.float32)
    found = describe(values, (1.0,) * len(shape), [True] * len(shape), before=values, interval=1.0)
    assert math.isnan(found.wavelength) and math.isnan(found.sharpness)
    assert found.activity == 0 and found.mean == pytest.approx(value) and found.variance == 0


def test_rounding_and_remains_of_a_pattern_that_died_are_uniform():
    rounding = np.float32(1) + np.float32(1e-7) * wave((64, 64), (1, 1), (3, 0)).astype("f4")
    assert math.isnan(describe(rounding, (1, 1), [True, True]).wavelength)
    remains = 1e-20 * wave((64, 64), (1, 1), (3, 0))
    assert describe(remains, (1, 1), [True, True]).wavelength == pytest.approx(64 / 3)
    dead = describe(remains, (1, 1), [True, True], scale=1.0, before=2 * remains, interval=1)
    assert math.isnan(dead.wavelength) and dead.activity == 0


@pytest.mark.parametrize("interval", [1e-3, 0.3, 2.0])
def test_activity_of_a_travelling_wave(interval):
    q, speed = 2 * np.pi * 5 / 64, 1.7
    x = grid((64, 64), (1.0, 1.0))[1] + np.zeros((64, 64))
    before, last = (np.cos(q * (x - speed * t)) for t in (0, interval))
    expected = 2 * abs(np.sin(q * speed * interval / 2)) / interval
    found = describe(2 + last, (1, 1), [True, True], before=2 + before, interval=interval)
    assert found.activity == pytest.approx(expected, rel=1e-6)
    still = describe(last, (1, 1), [True, True], before=last, interval=interval)
    assert still.activity == 0


def test_activity_without_an_answer():
    ones, twos = np.ones((8, 8)), np.full((8, 8), 2.0)
    assert math.isnan(activity(ones, twos, 1.0))  # uniform, and changing
    assert math.isnan(activity(wave((8, 8), (1, 1), (1, 0)), ones, 0.0))


def test_obstacles_and_walls_do_not_count():
    values = 5 + wave((48, 64), (0.5, 0.5), (0, 8))
    free = np.ones(values.shape, bool)
    free[:, 20:30] = False
    values[~free] = np.nan
    found = describe(values, (0.5, 0.5), [True, True], free=free, before=values, interval=1.0)
    assert found.wavelength == pytest.approx(4, rel=0.05) and found.activity == 0
    assert found.max <= 6 and found.min >= 4


def test_fields_that_are_not_finite():
    values = wave((16, 16), (1, 1), (2, 0))
    values[3, 3] = np.inf
    found = describe(values, (1, 1), [True, True], before=values, interval=1.0)
    assert all(math.isnan(number) for number in dataclasses.astuple(found))
    # a frame before that was damaged takes only the activity away
    found = describe(
        np.nan_to_num(values, posinf=1e6), (1, 1), [True] * 2, before=values, interval=1.0
    )
    assert math.isnan(found.activity) and math.isfinite(found.wavelength)


@pytest.mark.filterwarnings("error")
def test_numbers_at_the_end_of_the_range():
    values = wave((16, 16), (1, 1), (2, 0))
    for height in (1e300, 1e-300):
        found = describe(height * values, (1, 1), [True] * 2, before=-height * values, interval=1)
        assert height > 1 or math.isnan(found.wavelength)
        assert height < 1 or found.wavelength == pytest.approx(8)


def test_the_peak_of_one_mode():
    found = spectrum(wave((40, 60), (1.0, 2.0), (3, 4)), (1.0, 2.0))
    assert find_peak(found) == pytest.approx(math.hypot(3 / 40, 4 / 120))
