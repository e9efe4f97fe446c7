"""Contour lines and arrows over colour maps."""

from __future__ import annotations

import numpy as np
import pytest
from made_pictures import color, flat, frames_of, waves, write
from test_layouts import scene

from pdesim.config.compose import compose_settings
from pdesim.errors import ConfigError, FormulaError
from pdesim.plan import build_plan
from pdesim.render import render
from pdesim.render.quantity import check_picture
from pdesim.settings import Animation


def picture(run, frame=0, **asked):
    """The pixels of a frame without its labels."""
    box = scene(run, **asked).layout.picture
    path = render(run, Animation(size=128, **asked))
    return frames_of(path)[frame][box.slices]


def test_contours_are_at_equal_distances_between_the_limits(tmp_path):
    ramp = np.linspace(0, 1, 128, dtype="f4") * np.ones((2, 128, 1), "f4")
    run = write(tmp_path / "run", {"u": ramp})
    asked = {"limits": [0.0, 1.0], "colors": 128}
    plain, lines = picture(run, **asked), picture(run, contours=3, **asked)
    changed = np.flatnonzero((plain != lines).any(axis=2).all(axis=0))
    # one column at a quarter, a half and three quarters
    assert len(changed) == 3
    assert changed == pytest.approx([32, 64, 96], abs=1.5)
    # bright over dark colours, dark over bright ones
    assert lines[5, changed[0]].min() > 200 and lines[5, changed[2]].max() < 60


def test_contours_around_a_maximum_above(tmp_path):
    y, x = (np.indices((64, 64)) + 0.5) / 64
    bump = np.exp(-((x - 0.5) ** 2 + (y - 0.75) ** 2) / 0.02)
    run = write(tmp_path / "run", {"u": np.array([bump, bump])})
    plain, lines = picture(run), picture(run, contours=1)
    rows, columns = np.nonzero((plain != lines).any(axis=2))
    assert rows.mean() == pytest.approx(32, abs=2) and columns.mean() == pytest.approx(64, abs=2)
    radius = np.sqrt(0.02 * np.log(2)) * 128
    assert np.hypot(rows - 31.5, columns - 63.5) == pytest.approx(radius, abs=3)


def test_contours_of_values_that_are_not_finite_and_of_views(tmp_path):
    values = waves(2)
    values[:, 3:9, 3:9] = np.nan
    assert picture(write(tmp_path / "a", {"u": values}), contours=5).size
    run = write(tmp_path / "b", {"u": waves(2 * 6).reshape(2, 6, 24, 32)})
    assert len(frames_of(render(run, Animation(size=64, contours=4)))) == 2
    curve = write(tmp_path / "c", {"u": waves(9)[:, 0]})
    assert frames_of(render(curve, Animation(size=64, layout="space_time", contours=4)))


@pytest.mark.parametrize(
    ("u", "v", "ahead"),
    [(1.0, 0.0, "right"), (-1.0, 0.0, "left"), (0.0, 1.0, "up"), (0.0, -2e9, "down")],
)
def test_arrows_point_where_the_vectors_do(tmp_path, u, v, ahead):
    still = flat(0.0, 0.0)
    run = write(tmp_path / "run", {"c": still, "u": still + u, "v": still + v})
    asked = {"limits": [0.0, 1.0], "field": "c"}
    shown = picture(run, arrows=["u", "v"], **asked)[:25, :25]  # one arrow of 5 x 5
    bright = (shown.min(axis=2) > 200).astype(int)
    assert bright.sum() > 20
    # the head is wider than the rest
    widths = bright.sum(axis=0 if v == 0 else 1)
    inside = np.flatnonzero(widths)
    head = int(np.argmax(widths)) - inside.mean()
    assert head > 0 if ahead in ("right", "down") else head < 0


def test_arrows_are_formulas_and_are_read_for_each_frame(tmp_path):
    still = flat(0.0, 0.0)
    run = write(tmp_path / "run", {"c": still, "u": flat(1.0, -1.0)})
    asked = {"limits": [0.0, 1.0], "arrows": ["2*u", "u - u_mean"]}
    first, second = (picture(run, frame=n, **asked) for n in range(2))
    plain = np.abs(first - color("viridis", 0.0)).max(axis=2) <= 2
    assert 0.3 < plain.mean() < 0.99 and (first != second).any()
    # no vector at all
    asked = {"limits": [0.0, 1.0], "arrows": ["u - u_mean", "u_mean - u"]}
    assert (np.abs(picture(run, **asked) - color("viridis", 0.0)) <= 2).all()
    for layout in ("fields", "sheet"):
        assert frames_of(render(run, Animation(size=64, layout=layout, arrows=["u", "c"])))


@pytest.mark.parametrize(
    ("asked", "axes", "kind", "words"),
    [
        ({"arrows": ["u", "w"]}, "xy", ConfigError, r"animation\.arrows is 'w'"),
        ({"arrows": ["u", "q + 1"]}, "xy", FormulaError, "q"),
        ({"arrows": ["u", "v"]}, "x", ConfigError, "2 dimensions"),
        ({"arrows": ["u", "v"]}, "xyz", ConfigError, "layout=single"),
        ({"contours": 3}, "x", ConfigError, "space_time"),
    ],
)
def test_mistakes(asked, axes, kind, words):
    with pytest.raises(kind, match=words):
        check_picture(Animation(**asked), ("u", "v"), tuple(axes))
    check_picture(Animation(layout="single", arrows=["u", "v"]), ("u", "v"), ("x", "y", "z"))


def test_unknown_components_of_a_file(tmp_path):
    run = write(tmp_path / "run", {"u": waves(2)})
    with pytest.raises(ConfigError, match=r"animation\.arrows is 'w'"):
        render(run, Animation(arrows=["u", "w"]))


def test_arrows_of_fields_that_are_not_stored():
    words = ["equation=gray_scott", "grid=8", "animation.arrows=[u,v]", "output.fields=[u]"]
    with pytest.raises(ConfigError, match=r"animation\.arrows=v needs fields that are not stored"):
        build_plan(compose_settings(words).settings)
