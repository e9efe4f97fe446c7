"""Layouts: fields side by side, contact sheets, space-time diagrams, views of volumes."""

from __future__ import annotations

import numpy as np
import pytest
from made_pictures import color, flat, frames_of, waves, write

import pdesim
from pdesim.errors import ConfigError
from pdesim.render import background, poster, render
from pdesim.render.quantity import check_picture
from pdesim.render.row import build_picture
from pdesim.render.streams import open_stream
from pdesim.settings import Animation


def pictures(run, **asked):
    """The frames of a picture, and the format of its file."""
    path = render(run, Animation(**{"size": 128} | asked))
    return frames_of(path), path.suffix


def scene(run, **asked):
    animation = Animation(**{"size": 128} | asked)
    with open_stream(run / "snapshots.h5", animation) as stream:
        stream.scan_limits(np.inf)
        return build_picture(stream, 128, None)


def near(frame: np.ndarray, fraction: float, tolerance: float = 6) -> np.ndarray:
    return np.abs(frame - color("viridis", fraction)).max(axis=2) <= tolerance


def parts_of(row, frame: np.ndarray) -> list[np.ndarray]:
    """The parts of a picture without their labels."""
    found = []
    for part, (top, left) in zip(row.parts, row.corners, strict=True):
        box = part.picture
        rows = slice(top + box.top, top + box.bottom)
        found.append(frame[rows, left + box.left : left + box.right])
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_all_fields_side_by_side(tmp_path, count):
    fields = {f"u{n}": flat(0.0, 1.0, 0.5) * 10.0**n for n in range(count)}
    run = write(tmp_path / "run", fields)
    frames, suffix = pictures(run, layout="fields")
    assert suffix == ".gif" and len(frames) == 3
    if count == 1:
        return
    row = scene(run, layout="fields")
    assert len(row.parts) == count
    for level, frame in zip((0.0, 1.0, 0.5), frames, strict=True):
        for part in parts_of(row, frame):  # each field has its own limits
            assert near(part, level, 10).all()
    assert np.concatenate([frames[0][:3], frames[0][-3:]]).min() == 255  # nothing is cut off


def test_fields_of_one_dimension_and_limits_of_each_frame(tmp_path):
    run = write(tmp_path / "run", {"u": waves(3)[:, 0], "v": waves(3)[:, 1]})
    assert len(pictures(run, layout="fields")[0]) == 3
    run = write(tmp_path / "maps", {"u": waves(3), "v": waves(3)})
    assert len(pictures(run, layout="fields", limits="per_frame")[0]) == 3


def volume() -> np.ndarray:
    """Two frames, ``(z, y, x)`` = (6, 8, 10), with one bright cell at z = 4, y = 1, x = 7."""
    values = np.zeros((2, 6, 8, 10), "f4")
    values[:, 3, 4, 5] = 0.5  # in all planes through the middle
    values[:, 4, 1, 7] = 1.0
    return values


@pytest.mark.parametrize(("layout", "level"), [("slices", 0.5), ("projection", 1.0), (None, 0.5)])
def test_views_of_a_volume(tmp_path, layout, level):
    run = write(tmp_path / "run", {"u": volume()}, extent=(1.0, 0.8, 0.6))
    asked = {"layout": layout, "enlarge": "nearest", "limits": [0.0, 1.0]}
    frames, suffix = pictures(run, **asked)
    row = scene(run, **asked)
    parts = parts_of(row, frames[0])
    assert suffix == ".gif" and [part.shape[:2] for part in parts] == [(64, 80), (48, 80), (48, 64)]
    # (column, row from below) of the middle and of the bright cell in each view
    middle = [(5, 4), (5, 3), (4, 3)]
    bright = [(7, 1), (7, 4), (1, 4)]
    for part, (column, up), (other, above) in zip(parts, middle, bright, strict=True):
        cell = part[part.shape[0] - 8 * up - 4, 8 * column + 4]
        assert np.abs(cell - color("viridis", 0.5)).max() <= 12
        cell = part[part.shape[0] - 8 * above - 4, 8 * other + 4]
        expected = 1.0 if level == 1.0 else 0.0
        assert np.abs(cell - color("viridis", expected)).max() <= 3


def test_a_volume_has_slices_where_it_is_asked_for(tmp_path):
    values = np.zeros((1, 4, 4, 4), "f4")
    values[0, 0, 1, 2] = 1.0
    run = write(tmp_path / "run", {"u": values})
    for position, count in ((0.0, 1), (0.99, 0)):
        frames, _ = pictures(run, slice=position, enlarge="nearest", limits=[0.0, 1.0], name="png")
        parts = parts_of(scene(run, slice=position), frames[0])
        assert sum(near(part, 1.0).any() for part in parts) in (0, count)
    assert frames_of(poster(run, Animation(size=64), tmp_path / "a.png"))[0].shape[1] > 1024
    assert pictures(run, layout="single")[0][0].shape[1] < 300


@pytest.mark.parametrize("count", [1, 2, 5, 12, 100])
def test_contact_sheets(tmp_path, count):
    levels = np.arange(count) / max(count - 1, 1)
    run = write(tmp_path / "run", {"u": flat(*levels)})
    (frame,), suffix = pictures(run, layout="sheet", limits=[0.0, 1.0], size=256)
    assert suffix == ".png" and frame[:3].min() == 255
    shown = np.linspace(0, count - 1, min(count, 12)).round().astype(int)
    for level in levels[shown]:
        assert near(frame, level, 4).sum() > 40 * 40
    curve = write(tmp_path / "curve", {"u": waves(5)[:, 0]})
    assert pictures(curve, layout="sheet", name="mp4")[1] == ".png"


@pytest.mark.parametrize("enlarge", ["smooth", "nearest"])
def test_space_time_diagrams(tmp_path, enlarge):
    values = np.zeros((3, 8), "f4")
    values[2, :4] = 1.0  # at the end, on the left
    run = write(tmp_path / "run", {"u": values}, times=[0.0, 3.0, 4.0])
    asked = {"layout": "space_time", "enlarge": enlarge, "limits": [0.0, 1.0]}
    (frame,), suffix = pictures(run, size=160, **asked)
    bright = np.argwhere(near(frame[:, :190], 1.0, 40))
    assert suffix == ".png" and len(bright) > (1000 if enlarge == "nearest" else 100)
    half = 80 if enlarge == "nearest" else 60
    assert np.ptp(bright[:, 1]) in range(70, 84)
    # frames at 3 and 4 of 4: the upper eighth, or most of it, is bright
    assert np.ptp(bright[:, 0]) <= half and bright[:, 0].max() < 70


def test_space_time_needs_two_times(tmp_path):
    run = write(tmp_path / "run", {"u": waves(1)[:, 0]})
    with pytest.raises(ConfigError, match="two times"):
        pictures(run, layout="space_time")


@pytest.mark.parametrize(
    ("layout", "axes"), [("space_time", "xy"), ("slices", "xy"), ("projection", "x")]
)
def test_layouts_for_other_dimensions(tmp_path, layout, axes):
    with pytest.raises(ConfigError, match=f"animation.layout is {layout}"):
        check_picture(Animation(layout=layout), ("u",), tuple(axes))
    values = waves(2) if axes == "xy" else waves(2)[:, 0]
    with pytest.raises(ConfigError, match="expected: fields with"):
        render(write(tmp_path / "run", {"u": values}), Animation(layout=layout))


@pytest.mark.parametrize(
    "words",
    [
        ["equation=gray_scott", "grid=16", "animation.layout=fields", "animation.arrows=[u,v]"],
        ["equation=gray_scott", "grid=16", "animation.limits=per_frame"],
        ["equation=heat", "domain.dimensions=3", "grid=8", "animation.contours=3"],
    ],
)
def test_layouts_beside_a_run(tmp_path, monkeypatch, words):
    """The process that draws beside a run makes the same picture as the one that draws later."""
    answers, finish = [], background.BackgroundRenderer.finish
    monkeypatch.setattr(background, "START_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(
        background.BackgroundRenderer,
        "finish",
        lambda self: answers.append(finish(self)) or answers[-1],
    )
    given = [*words, "time.end=0.5", "output.frames=4", "animation.size=64"]
    run = pdesim.simulate(*given, folder=tmp_path / "run")
    assert answers == [True]
    animation = Animation(**run.settings["animation"])
    again = render(run.folder, animation, tmp_path / "again.gif")
    assert (run.folder / "animation.gif").read_bytes() == again.read_bytes()
