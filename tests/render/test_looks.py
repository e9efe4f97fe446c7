"""Limits by name, logarithmic scales, themes, titles, formats of times, and enlargement."""

from __future__ import annotations

import numpy as np
import pytest
from made_pictures import color, flat, frames_of, picture_of, waves, write

from pdesim.config.compose import compose_settings
from pdesim.errors import ConfigError
from pdesim.render import montage, render
from pdesim.render.field_reader import open_picture
from pdesim.render.frames import FrameStream
from pdesim.render.limits import Limits, RunStatistics, find_limits
from pdesim.render.quantity import check_picture
from pdesim.render.scene import build_scene
from pdesim.render.ticks import place_log_ticks
from pdesim.render.time_format import formatted_times
from pdesim.settings import Animation, Montage

RANDOM = np.random.default_rng(3)


def limits(values, **asked) -> Limits:
    statistics = RunStatistics(quantiles=True)
    for frame in values:
        statistics.add(np.asarray(frame))
    return find_limits([(statistics, len(values))], Animation(**asked))


def scene(run, **asked):
    """The scene of a run, and the stream of its frames."""
    animation = Animation(**{"size": 64} | asked)
    with open_picture(run / "snapshots.h5", animation) as reader:
        stream = FrameStream(reader, animation)
        stream.scan_limits(np.inf)
        return build_scene(stream, 64, None)


def test_robust_limits_are_percentiles_of_all_frames():
    values = RANDOM.normal(size=(8, 60, 60)) * np.linspace(0.5, 3, 8)[:, None, None]
    low, high = np.percentile(values, [1, 99])
    found = limits(values, limits="robust")
    # rounded outwards by at most a 20th of the range
    room = (high - low) / 20
    assert low - 1.1 * room <= found.low <= low + 0.1 * room
    assert high - 0.1 * room <= found.high <= high + 1.1 * room
    assert found.below and found.above
    values[2, 0, 0], values[3, 5, :3] = np.nan, 1e9
    assert limits(values, limits="robust") == found


def test_robust_limits_of_a_constant_and_of_one_spot():
    assert limits(flat(2.0, 2.0), limits="robust").ends == limits(flat(2.0, 2.0)).ends
    spot = np.zeros((2, 64, 64))
    spot[:, 3, 3] = 7.0
    found = limits(spot, limits="robust")
    assert found.high < 1 and found.above


@pytest.mark.parametrize(
    ("low", "high", "center", "ends"),
    [(-0.5, 2.0, 0.0, (-2, 2)), (7.0, 8.0, None, (-8, 8)), (7.0, 8.0, 7.0, (6, 8))],
)
def test_symmetric_limits(low, high, center, ends):
    frames = np.linspace(low, high, 256).reshape(1, 16, 16)
    assert limits(frames, limits="symmetric", center=center).ends == pytest.approx(ends)


def test_limits_of_each_frame(tmp_path):
    ramp = np.linspace(0, 1, 64, dtype="f4") * np.ones((64, 1), "f4")
    run = write(tmp_path / "run", {"u": np.array([ramp, 1e-7 * ramp, 12345 * ramp])})
    animation = Animation(size=64, limits="per_frame")
    frames = frames_of(render(run, animation))
    assert len({frame.shape for frame in frames}) == 1
    drawn = scene(run, limits="per_frame")
    box = drawn.plan.build(Limits(0, 1), drawn.room).layout.picture
    for frame in frames:  # every frame uses all colours
        row = frame[box.top + 32, box.left : box.right]
        assert np.abs(row[0] - color("viridis", 0.0)).max() <= 8
        assert np.abs(row[-1] - color("viridis", 1.0)).max() <= 8
    # the labels of the colour bar differ
    right = [frame[:, box.right + 30 :] for frame in frames]
    assert (right[0] != right[1]).any() and (right[1] != right[2]).any()


def test_limits_of_each_frame_of_a_curve_and_of_frames_that_are_not_finite(tmp_path):
    values = waves(3)[:, 5] * np.array([1, 100, 1e-9])[:, None]
    run = write(tmp_path / "a", {"u": values})
    assert len(frames_of(render(run, Animation(size=64, limits="per_frame")))) == 3
    values = np.array([waves(1)[0], np.full((24, 32), np.nan), waves(1)[0]])
    run = write(tmp_path / "b", {"u": values})
    assert len(frames_of(render(run, Animation(size=64, limits="per_frame")))) == 3


def test_a_logarithmic_scale_has_the_colours_of_the_exponents(tmp_path):
    run = write(tmp_path / "run", {"u": flat(1e-4, 1e-2, 1.0, 0.0)})
    asked = {"scale": "log", "limits": [1e-4, 1.0]}
    box = scene(run, **asked).layout.picture
    frames = frames_of(render(run, Animation(size=64, **asked)))
    for frame, level in zip(frames, (0.0, 0.5, 1.0), strict=False):
        assert np.abs(frame[box.slices] - color("viridis", level)).max() <= 8
    # values that are not positive are grey
    assert np.ptp(frames[3][box.slices], axis=2).max() == 0
    assert scene(run, scale="log").look.limits.ends == pytest.approx((-4, 0), abs=0.2)


def test_a_logarithmic_scale_needs_positive_values(tmp_path):
    run = write(tmp_path / "run", {"u": flat(-1.0, 0.0)})
    with pytest.raises(ConfigError, match="no positive value"):
        render(run, Animation(size=64, scale="log"))


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (-5, 1, ("10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "0.1", "1", "10")),
        (-20, 20, ("10⁻¹⁸", "10⁻¹²", "10⁻⁶", "1", "10⁶", "10¹²", "10¹⁸")),
        (0, 1, ("1", "2", "5", "10")),
        (0.3, 0.48, ("2", "2.2", "2.4", "2.6", "2.8", "3")),
    ],
)
def test_ticks_of_a_logarithmic_scale(low, high, texts):
    ticks = place_log_ticks(low, high, 7)
    assert all(low - 1e-5 <= place <= high + 1e-5 for place in ticks.places)
    assert ticks.texts == texts


def test_themes(tmp_path):
    run = write(tmp_path / "run", {"u": flat(0.0, 1.0)})
    light = frames_of(render(run, Animation(size=64)))[0]
    dark = frames_of(render(run, Animation(size=64, theme="dark")))[0]
    assert light.shape == dark.shape
    assert light[0, 0].min() == 255 and dark[0, 0].max() < 40
    rows, columns = picture_of(light, color("viridis", 0.0))
    assert np.abs(dark[rows, columns] - color("viridis", 0.0)).max() <= 2
    assert dark[:, : columns.start].max() > 150  # light texts
    curve = write(tmp_path / "curve", {"u": waves(2)[:, 0]})
    frame = frames_of(render(curve, Animation(size=64, theme="dark")))[0]
    assert np.median(frame) < 60 and frame.max() > 200


def test_enlarged_cells_have_sharp_edges(tmp_path):
    values = np.zeros((2, 2, 2), "f4")
    values[:, 1, 0] = 1.0  # above, left
    run = write(tmp_path / "run", {"u": values})
    frame = frames_of(render(run, Animation(size=64, enlarge="nearest")))[0]
    box = scene(run).layout.picture
    picture = frame[box.slices]
    assert np.abs(picture[:32, :32] - color("viridis", 1.0)).max() <= 2
    for part in (picture[32:], picture[:32, 32:]):
        assert np.abs(part - color("viridis", 0.0)).max() <= 2
    smooth = frames_of(render(run, Animation(size=64)))[0][box.slices]
    assert len(np.unique(smooth.reshape(-1, 3), axis=0)) > 10


def test_titles_and_times(tmp_path):
    run = write(tmp_path / "run", {"u": flat(0.0, 1.0)}, times=[0.0, 12.5])
    drawn = scene(run, title="My  run", time_format="after {t:.2f} s")
    assert drawn.clock == ["after 0.00 s", "after 12.50 s"] and drawn.layout.clock_name == ""
    plain, named = (frames_of(render(run, Animation(size=256, title=t)))[0] for t in (None, "My"))
    assert (plain != named).any() and (plain[60:] == named[60:]).all()
    assert formatted_times([-0.0, 1234.5], "{{t}} = {t:,.0f}") == ["{t} = 0", "{t} = 1,234"]


@pytest.mark.parametrize(
    "text",
    ["{x}", "{t.real}", "{t[0]}", "{t!r}", "{}", "{0}", "{t:{t}}", "{t:>999999}", "{t:d}", "{t",
     "no time", "{t:.99999f}", "{t:s}"],
)  # fmt: skip
def test_formats_that_are_refused(text):
    with pytest.raises(ConfigError, match=r"time_format.*\n.*expected: text with the field"):
        check_picture(Animation(time_format=text), ("u",), ("x", "y"))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("animation.limits=[0,1]", "greater than 0"),
        ("animation.limits=symmetric", "symmetric"),
    ],
)
def test_limits_that_a_logarithmic_scale_refuses(override, words):
    settings = compose_settings(["animation.scale=log", override]).settings
    with pytest.raises(ConfigError, match=words):
        check_picture(settings.animation, ("u",), ("x", "y"))


def test_texts_need_no_quotes():
    for given in ("t = {t:.1f} s", "it's {t}, {{a: 1}}"):
        settings = compose_settings([f"animation.time_format={given}"]).settings
        assert settings.animation.time_format == given
    settings = compose_settings(["animation.title=A, (b) [c] = d"]).settings
    assert settings.animation.title == "A, (b) [c] = d"
    assert compose_settings(["animation.title=null"]).settings.animation.title is None
    with pytest.raises(ConfigError, match=r"animation\.limits is 'robst'\n.*robust, per_frame"):
        _ = compose_settings(["animation.limits=robst"]).settings


def test_montages_have_the_same_looks(tmp_path):
    for number in range(2):
        write(tmp_path / str(number), {"u": flat(1.0, 100.0)})
    options = {"scale": "log", "theme": "dark", "title": "T", "time_format": "{t:.1f}"}
    for limits in (None, "robust", "per_frame"):
        still, film = montage(tmp_path, Animation(limits=limits, **options), Montage(tile=64))
        assert frames_of(still)[0][0, 0].max() < 40 and len(frames_of(film)) == 2
