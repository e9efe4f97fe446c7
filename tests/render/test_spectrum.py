"""Power spectra as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from made_pictures import write
from PIL import Image

from pdesim.render import render
from pdesim.render.spectrum import power_spectrum
from pdesim.settings import Animation


@pytest.mark.parametrize("shape", [(16,), (17,), (12, 16), (9, 7)])
def test_the_powers_add_up_to_the_variance(shape):
    values = np.random.default_rng(0).normal(3, 2, shape)
    assert power_spectrum(values).sum() == pytest.approx(values.var())


def test_one_wave_in_each_direction():
    x, y = np.arange(16) / 16, np.arange(12)[:, None] / 12
    power = power_spectrum(np.cos(2 * np.pi * (3 * x - 2 * y)) + 5)
    peaks = {(row - 6, column - 8) for row, column in np.argwhere(power > 0.1)}
    assert peaks == {(-2, 3), (2, -3)}
    curve = power_spectrum(np.sin(2 * np.pi * 3 * x))
    assert curve.argmax() == 3 and curve[3] == pytest.approx(0.5)


def test_the_bright_pixels_of_the_picture_are_at_the_wave_numbers(tmp_path):
    n = 32
    x = np.arange(n) / n
    noise = 1e-4 * np.random.default_rng(0).random((2, n, n))
    waves = noise + np.cos(2 * np.pi * 4 * x) * np.array([0, 1])[:, None, None]
    run = write(tmp_path, {"u": waves})
    drawn = render(run, Animation(layout="spectrum", colormap="gray", size=320))
    assert drawn.name == "animation.png"
    with Image.open(drawn) as image:
        pixels = np.asarray(image.convert("L")).astype(int)
    # the picture has black pixels in the colours of small powers, its surroundings are white
    rows, columns = np.nonzero(pixels < 60)
    top, left = rows.min(), columns.min()
    inside = pixels[top : top + 320, left : left + 320]
    middle = inside[155 + 10 * np.arange(-2, 3)][:, 5 + 10 * np.arange(n)]  # centres of the cells
    assert middle.shape == (5, n)
    bright = {tuple(place) for place in np.argwhere(middle > 240)}
    assert len(bright) == 2 and {column - n // 2 for _, column in bright} == {-4, 4}
    first = render(run, Animation(name="png", layout="spectrum", time=0, size=320))
    with Image.open(first) as image:
        assert image.size == Image.open(drawn).size


def test_a_curve_of_a_1d_field(tmp_path):
    run = write(tmp_path, {"u": np.random.default_rng(0).random((3, 64))})
    with Image.open(render(run, Animation(layout="spectrum", theme="dark"))) as image:
        assert image.format == "PNG" and image.width > image.height
