"""Surfaces of 3-D fields, drawn by PyVista: places, sizes and colours; errors without it."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from made_pictures import frames_of, write

from pdesim.errors import MissingExtraError, OutputError
from pdesim.render import render, surface
from pdesim.render.quantity import check_layout
from pdesim.settings import Animation

needs_pyvista = pytest.mark.skipif(
    importlib.util.find_spec("pyvista") is None, reason='needs the extra "surface"'
)
EXTENT = (2.0, 1.0, 1.0)
RADIUS = 0.3


def balls(*centres: tuple[float, float, float], n: int = 24) -> np.ndarray:
    """Frames of the distance from a centre, ``(T, z, y, x)`` with cells of equal sizes."""
    z, y, x = ((np.arange(count) + 0.5) / n for count in (n, n, 2 * n))
    frames = [
        np.sqrt(
            (x - a) ** 2 + (y[:, None] - b) ** 2 + (z[:, None, None] - c) ** 2
        )
        for a, b, c in centres
    ]  # fmt: skip
    return np.array(frames, "f4")


def test_the_projection_of_a_box():
    lower, upper = np.zeros(3), np.array(EXTENT)
    seen = surface.project(lower, upper, 400, 40)
    axes = np.array([seen.right, seen.above, seen.towards])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) > 0  # not a mirror image
    corners = np.array([seen.pixel(x, y, z) for x in (0, 2) for y in (0, 1) for z in (0, 1)])
    rows, columns = seen.size
    np.testing.assert_allclose(corners.min(axis=0), [40, 40], atol=0.6)
    np.testing.assert_allclose(corners.max(axis=0), [columns - 40, rows - 40], atol=0.6)
    assert seen.pixel(0, 0, 1)[1] < seen.pixel(0, 0, 0)[1]  # z points upwards
    assert seen.pixel(2, 0, 0)[0] > seen.pixel(0, 0, 0)[0]


@needs_pyvista
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_sphere_has_its_size_and_place(tmp_path, theme):
    centres = [(0.5, 0.5, 0.5), (1.4, 0.4, 0.6)]
    run = write(tmp_path / "run", {"u": balls(*centres)}, extent=EXTENT)
    asked = Animation(layout="surface", level=RADIUS, size=320, colormap="plasma", theme=theme)
    frames = frames_of(render(run, asked))
    assert len(frames) == 2
    seen = surface.project(np.zeros(3), np.array(EXTENT), 320, surface.MARGIN * 0.8)
    for frame, centre in zip(frames, centres, strict=True):
        picture = frame[-seen.size[0] :]
        ball = np.ptp(picture, axis=2) > 40  # colours, not greys
        # the box's edge in front of the sphere is grey: one percent of it
        assert ball.sum() == pytest.approx(np.pi * (RADIUS * seen.scale) ** 2, rel=0.04)
        rows, columns = np.nonzero(ball)
        assert np.hypot(*(seen.pixel(*centre) - [columns.mean(), rows.mean()])) < 2.5  # of 64
        upper, lower = (picture[rows[half], columns[half]].mean() for half in (
            rows < rows.mean() - 10, rows > rows.mean() + 10))  # fmt: skip
        assert abs(upper - lower) > 5  # light and shade


@needs_pyvista
def test_values_without_a_surface_and_cells_without_values(tmp_path):
    values = balls((1.0, 0.5, 0.5))
    values[0, :, :, :4] = np.nan
    run = write(tmp_path / "run", {"u": np.concatenate([values, 0 * values])}, extent=EXTENT)
    path = render(run, Animation(layout="surface", level=RADIUS, size=128, name="gif"))
    first, last = frames_of(path)
    assert (np.ptp(first, axis=2) > 40).sum() > 200
    assert not (np.ptp(last[40:], axis=2) > 40).any()


@needs_pyvista
def test_a_process_that_cannot_draw(tmp_path, monkeypatch):
    run = write(tmp_path / "run", {"u": balls((1.0, 0.5, 0.5), n=8)}, extent=EXTENT)
    monkeypatch.setattr(surface.sys, "executable", "/bin/false")
    with pytest.raises(OutputError, match=r"PyVista cannot draw here: its process ended"):
        render(run, Animation(layout="surface", name="png"))


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pdesim\[surface\]"):
        check_layout(Animation(layout="surface"), 3)
