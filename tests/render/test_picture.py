"""Limits that follow the data, marks of what lies beyond them, formulas of fields, file sizes."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from made_pictures import flat, frames_of, waves, write

from pdesim.config.compose import choices, compose_settings
from pdesim.errors import ConfigError, FormulaError
from pdesim.plan import build_plan
from pdesim.render import render
from pdesim.render.field_reader import open_field
from pdesim.render.frames import FrameStream
from pdesim.render.limits import Limits, RunStatistics, find_limits
from pdesim.render.look import SCALES, SIZE, RunLook, find_look
from pdesim.render.movie import changed_block
from pdesim.render.quantity import build_quantity, check_picture, is_available
from pdesim.render.scene import build_scene
from pdesim.settings import Animation

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(size=(1, 64, 64))
#: a pattern of values from -1 to 1 that moves
PATTERN = np.array([waves(1, 64, 64)[0] * np.cos(0.3 * n) for n in range(20)])


def limits(values, planned=None, curve=False, **asked) -> Limits:
    statistics = RunStatistics()
    for frame in values:
        statistics.add(np.asarray(frame))
    return find_limits([(statistics, planned or len(values))], Animation(**asked), curve)


def test_limits_are_the_rounded_range_of_all_frames():
    for low, high in ((0.0, 0.3871), (-13.3, 16.01), (99.97, 100.12), (-2e-7, 3e-7)):
        frames = np.linspace(low, high, 400).reshape(4, 10, 10)
        found = limits(frames)
        # outwards, by at most a 20th of the range at either end
        assert low - (high - low) / 20 <= found.low <= low + 1e-3 * (high - low)
        assert high - 1e-3 * (high - low) <= found.high <= high + (high - low) / 20
        assert not (found.below or found.above)


def test_a_noisy_first_frame_does_not_set_the_limits():
    quiet = 0.1 * PATTERN
    frames = np.concatenate([NOISE, quiet])
    found = limits(frames)
    assert found == Limits(-0.1, 0.1, below=True, above=True)
    assert limits(frames[:, 20], curve=True) == limits(frames[:, 20])
    # noise that is hardly larger than what follows, and a run of nothing else, are shown whole
    assert limits(np.concatenate([0.05 * NOISE, quiet])).ends == pytest.approx((-0.2, 0.2), rel=0.2)
    alone = limits(NOISE)
    assert alone.low <= NOISE.min() and NOISE.max() <= alone.high and not alone.above


def test_a_smooth_first_state_that_decays():
    x = np.linspace(-1, 1, 81)
    bump = np.exp(-((x / 0.1) ** 2))
    line = [bump * (1 if n == 0 else 0.2) for n in range(30)]
    # a curve that left the picture could not be read any more
    assert limits(line, curve=True) == Limits(0.0, 1.0)
    plane = [np.outer(bump, one) for one in line]
    assert limits(plane) == Limits(0.0, 0.2, above=True)
    assert limits([one * n for n, one in enumerate(plane)]).high == pytest.approx(5.8, rel=0.05)


def test_a_growing_wave_is_never_cut_off():
    grown = PATTERN * np.exp(0.5 * np.arange(20))[:, None, None]
    for frames, curve in ((grown, False), (grown[:, 20], True)):
        found = limits(frames, colormap="RdBu_r", curve=curve)
        assert found.high >= np.abs(frames).max() * (1 - 1e-3)
        assert not (found.below or found.above)


def test_one_hot_cell():
    hot = PATTERN.copy()
    hot[:, 5, 7] = 1000.0
    assert limits(hot) == Limits(-1.0, 1.0, above=True)
    hot[:, 5, 7] = 1.5  # not far out
    assert limits(hot) == Limits(-1.0, 1.5)
    # what is alone in an empty plane, or more than a few cells wide, is what there is to see
    alone = np.zeros((5, 64, 64))
    alone[:, 5, 7] = 3.0
    assert limits(alone) == Limits(0.0, 3.0)
    spot = 1e-3 * PATTERN
    spot[:, 30:33, 30:33] = 1.0
    assert limits(spot).high == 1.0 and not limits(spot).above
    line = 1e-3 * PATTERN
    line[:, 30] = 1.0
    assert limits(line).high == 1.0 and not limits(line).above


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-8, 1e6])
def test_a_constant_is_one_colour(value):
    rounding = np.float32(value) * (1 + np.float32([[0, 1e-7], [1e-7, 0]]))
    found = limits([rounding] * 3)
    assert found.low < value - 0.1 * abs(value) and found.high > value + 0.1 * abs(value)


def test_values_that_are_not_finite_are_left_out():
    frames = PATTERN.copy()
    frames[3, 4:9, 4:9] = np.nan
    frames[4, 1, 1] = np.inf
    frames[5] = np.nan
    assert limits(frames) == Limits(-1.0, 1.0)
    assert limits([np.array([[-1e308, 1e308]] * 2)]).low < 0  # no overflow


@pytest.mark.parametrize(
    ("low", "high", "asked", "ends"),
    [
        (-0.5, 2.0, {}, (-2.0, 2.0)),
        (0.0, 2.0, {}, (-2.0, 2.0)),  # a signed field that happens to be positive
        (7.0, 8.0, {}, (7.0, 8.0)),  # far from the centre: nothing would be seen
        (0.0, 1.0, {"center": 0.5}, (0.0, 1.0)),
        (0.2, 1.0, {"center": 0.5}, (0.0, 1.0)),
        (-0.5, 2.0, {"center": None}, (-0.5, 2.0)),
        (-0.5, 2.0, {"colormap": "viridis"}, (-0.5, 2.0)),
        (-0.5, 2.0, {"limits": [-1.0, 5.0]}, (-1.0, 5.0)),
    ],
)
def test_diverging_maps_are_centred(low, high, asked, ends):
    frames = np.linspace(low, high, 256).reshape(1, 16, 16)
    assert limits(frames, **{"colormap": "RdBu_r"} | asked).ends == pytest.approx(ends)


def test_given_limits_win_and_are_marked():
    assert limits(PATTERN, limits=[-0.5, 2.0]) == Limits(-0.5, 2.0, below=True)


def test_no_shipped_equation_fixes_limits():
    """A user's own initial state or parameters are not drawn in the limits of a preset."""
    for name in choices("equation"):
        animation = compose_settings([f"equation={name}"]).values["animation"]
        assert animation["limits"] is None and animation["colors"] is None


def test_runs_share_their_limits():
    """As the tiles of a montage do: each run has its own early frames."""
    runs = []
    for size in (1.0, 3.0):
        run = RunLook(None)
        for values in np.concatenate([10 * NOISE, size * PATTERN]):
            run.add(values)
        runs.append((run, 21))
    look = find_look(runs, Animation(), curve=False)
    assert look.limits == Limits(-3.0, 3.0, below=True, above=True)


def scene(run, size=160, **asked):
    """All that stays the same in the pictures of a run."""
    animation = Animation(size=size, **asked)
    with open_field(run / "snapshots.h5", animation.field, animation.slice) as reader:
        stream = FrameStream(reader, animation)
        stream.scan_limits(0)
        return build_scene(stream, size or SIZE, None)


def test_the_colour_bar_marks_what_is_cut_off(tmp_path):
    run = write(tmp_path / "run", {"u": PATTERN[:3].astype("f4")})
    for low, high in ((-1.0, 1.0), (-1.0, 0.5), (-0.5, 1.0), (-0.5, 0.5)):
        drawn = scene(run, limits=[low, high])
        bar, palette = drawn.layout.bar, drawn.palette
        ends = ((bar.above, high < 1, palette.colors - 1), (bar.below, low > -1, 0))
        for tip, is_cut, index in ends:
            assert (tip is not None) == is_cut
            if is_cut:  # a triangle fills half of the rectangle around it
                assert np.mean(drawn.canvas[tip.slices] == index) == pytest.approx(0.5, abs=0.15)
        # the bar itself becomes shorter, and shows all colours from the last down to the first
        column = drawn.canvas[bar.box.slices][:, 0]
        assert column[0] == palette.colors - 1 and column[-1] == 0
        assert bar.box.height < drawn.layout.picture.height or (low, high) == (-1.0, 1.0)


def test_an_axis_marks_what_is_cut_off(tmp_path):
    run = write(tmp_path / "run", {"u": PATTERN[:3, 20].astype("f4")})
    for low, high in ((-1.0, 1.0), (-1.0, 0.2), (-0.2, 1.0), (-0.2, 0.2)):
        drawn = scene(run, limits=[low, high])
        picture = drawn.layout.picture
        margin = drawn.canvas[picture.slices[0], picture.right + 2 :]
        rows = np.argwhere(margin < drawn.palette.grey(0x70))[:, 0]
        assert (rows < 10).any() == (high < 1) and (rows > picture.height - 10).any() == (low > -1)


def fields() -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {name: random.normal(size=(3, 6, 8)).astype("f4") for name in ("u", "v")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u - v", lambda u, v, x, y, t: u - v),
        ("sqrt(u**2 + v**2)", lambda u, v, x, y, t: np.hypot(u, v)),
        ("where(u > v, u, 0)", lambda u, v, x, y, t: np.where(u > v, u, 0)),
        ("u - u_mean", lambda u, v, x, y, t: u - u.mean()),
        ("v_mean", lambda u, v, x, y, t: np.full(u.shape, v.mean())),
        ("u*sin(pi*x) + y*t", lambda u, v, x, y, t: u * np.sin(np.pi * x) + y * t),
        ("log(u)", lambda u, v, x, y, t: np.log(u)),
        ("v", lambda u, v, x, y, t: v),
    ],
)
def test_formulas_of_fields_have_the_values_of_numpy(tmp_path, text, expected):
    both = fields()
    run = write(tmp_path / "run", both, extent=(2.0, 3.0))
    x, y = (np.arange(8) + 0.5) / 4, ((np.arange(6) + 0.5) / 2)[:, None]
    with open_field(run / "snapshots.h5", text, 0.5) as reader:
        assert reader.field == text
        for frame, (u, v) in enumerate(zip(both["u"], both["v"], strict=True)):
            with np.errstate(invalid="ignore"):
                wanted = expected(u.astype(float), v.astype(float), x, y, float(frame))
            # fields are stored with 24 bits
            np.testing.assert_allclose(reader.values(frame), wanted, rtol=3e-6, atol=3e-6)


def test_means_are_over_the_whole_volume_and_outside_obstacles(tmp_path):
    u = np.random.default_rng(6).normal(size=(2, 4, 5, 6))
    run = write(tmp_path / "run", {"u": u})
    solid = np.zeros((4, 5, 6), np.uint8)
    solid[:, :2] = 1
    for mask in (None, solid):
        if mask is not None:
            with h5py.File(run / "snapshots.h5", "r+") as file:
                file["mask"] = mask
        with open_field(run / "snapshots.h5", "u - u_mean", 0.5) as reader:
            found = reader.values(1)
        mean = u[1].mean() if mask is None else u[1][:, 2:].mean()
        np.testing.assert_allclose(found[2:], (u[1, 2] - mean)[2:], rtol=1e-12)
        assert np.isnan(found[:2]).all() == (mask is not None)


def test_rounding_errors_of_a_difference_are_no_picture(tmp_path):
    u = np.float32(100.0) * (1 + 1e-7 * np.random.default_rng(7).normal(size=(3, 16, 16)))
    run = write(tmp_path / "run", {"u": u.astype("f4")})
    found = scene(run, field="u - u_mean").look.limits
    assert found.high - found.low > 1e-5 * 100


def test_a_formula_is_drawn_with_its_name(tmp_path):
    run = write(tmp_path / "run", {"u": PATTERN.astype("f4"), "v": 2 * PATTERN.astype("f4")})
    assert scene(run, field="v - u").look.limits == Limits(-1.0, 1.0)
    assert len(frames_of(render(run, Animation(size=64, field="v - u")))) == 20
    with open_field(run / "snapshots.h5", "v - u", 0.5) as reader:
        assert (reader.long_name, reader.unit) == ("v - u", "")


BAD = [
    ({"field": "vv"}, ConfigError, "did you mean 'v'"),
    ({"field": "u - q"}, FormulaError, "unknown name 'q'"),
    ({"field": "laplacian(u)"}, FormulaError, "without derivatives"),
    ({"field": "u +"}, FormulaError, "not a formula"),
    ({"field": "__import__('os')"}, FormulaError, "__import__"),
    ({"field": "2*x"}, ConfigError, "no field"),
    ({"colormap": "viridiss"}, ConfigError, "did you mean 'viridis'"),
    ({"colormap": "RdBu_rr"}, ConfigError, "RdBu"),
    ({"limits": [1.0, 0.0]}, ConfigError, "low < high"),
    ({"limits": [1.0, 1.0]}, ConfigError, "low < high"),
]


@pytest.mark.parametrize(("asked", "kind", "words"), BAD)
def test_mistakes_are_found_before_a_run(asked, kind, words):
    with pytest.raises(kind, match=words):
        check_picture(Animation(**asked), ("u", "v"), ("x", "y"))


def test_a_plan_checks_the_picture():
    for override, words in (
        ("animation.colormap=viridiss", "did you mean 'viridis'"),
        ("animation.limits=[1,0]", "low < high"),
        ("animation.field=sqrt(w)", "unknown name 'w'"),  # the shell took the quotes away
    ):
        settings = compose_settings(["equation=gray_scott", "grid=8", override]).settings
        with pytest.raises((ConfigError, FormulaError), match=words):
            build_plan(settings)
    given = ["equation=gray_scott", "grid=8", "animation.field=sqrt(u**2 + v**2)"]
    build_plan(compose_settings(given).settings)
    with pytest.raises(ConfigError, match="needs fields that are not stored: v"):
        build_plan(compose_settings([*given, "output.fields=[u]"]).settings)


def test_which_pictures_some_fields_allow():
    assert is_available("u - u_mean", ("u",), ("x",)) and is_available(None, (), ())
    assert not is_available("u - v", ("u",), ("x",)) and not is_available("v", ("u",), ("x",))
    assert build_quantity(" u -  v", ("v", "u"), ("x",)).fields == ("v", "u")
    # a field may have the name of another one's mean
    assert build_quantity("u_mean - u", ("u", "u_mean"), ("x",)).means == ()


def patterns(frames: int, cells: int, wavelength: float) -> np.ndarray:
    """Random patterns in motion, about ``wavelength`` cells apart, from -1 to 1."""
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(cells), np.fft.rfftfreq(cells), indexing="ij"))
    ring = np.exp(-((k * wavelength - 1) ** 2) / 0.05)
    modes = ring * np.fft.rfft2(np.random.default_rng(8).normal(size=(cells, cells)))
    turns = np.random.default_rng(9).normal(size=modes.shape) * 0.2
    values = [np.fft.irfft2(modes * np.exp(1j * turns * n)) for n in range(frames)]
    return np.tanh(2 * np.array(values) / np.std(values)).astype("f4")


def test_detailed_pictures_get_fewer_colours_and_smaller_files(tmp_path):
    run = write(tmp_path / "run", {"u": patterns(10, 256, 10)})
    assert scene(run, 512).look.colors <= 40
    sizes = [
        render(run, Animation(size=512, colors=colors), tmp_path / "a.gif").stat().st_size
        for colors in (None, 128)  # there were 128 before
    ]
    assert sizes[0] < 0.55 * sizes[1]
    smooth = write(tmp_path / "smooth", {"u": waves(10, 64, 64)})
    assert scene(smooth, 512).look.colors == 128
    assert scene(smooth, 512, colors=20).look.colors == 20


def test_the_estimated_size_is_that_of_the_file(tmp_path):
    """The number of colours follows from it."""
    values = patterns(25, 128, 20)
    run = RunLook(256)
    for one in values:
        run.add(one)
    look = find_look([(run, 25)], Animation(), curve=False)
    estimated = 25 * run.expected(25, look.limits)[0]
    path = render(write(tmp_path / "run", {"u": values}), Animation(size=256, colors=64))
    # the file has a header, texts and a bar, too; the frames tried stand for all of them
    assert 0.7 < estimated / path.stat().st_size < 1.2


def fast_cells(frames: int, cells: int) -> np.ndarray:
    """Smooth cells, a tenth of the domain wide, in fast motion: as in Kuramoto-Sivashinsky."""
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(cells), np.fft.rfftfreq(cells), indexing="ij"))
    ring = np.exp(-((k * cells / 10 - 1) ** 2) / 0.3)
    modes = ring * np.fft.rfft2(np.random.default_rng(8).normal(size=(cells, cells)))
    turns = np.random.default_rng(9).normal(size=modes.shape)
    values = [np.fft.irfft2(modes * np.exp(1j * turns * n)) for n in range(frames)]
    return (np.array(values) / np.std(values)).astype("f4")


def test_smooth_pictures_in_fast_motion_are_drawn_smaller(tmp_path):
    """A hundred such frames would take 7 MB at full size, with the fewest colours without bands."""
    run = write(tmp_path / "run", {"u": fast_cells(17, 128)})
    chosen = scene(run, None)
    assert chosen.look.scale in SCALES[1:] and chosen.look.colors >= 40
    assert max(chosen.painter.width, chosen.painter.height) == round(512 * chosen.look.scale)
    path = render(run, Animation(), tmp_path / "a.gif")
    # a hundred frames of this size take less than 5 MB
    assert path.stat().st_size / 17 < 50_000
    # a size, or a number of colours, that is given is kept
    assert scene(run, 512).painter.width == 512 and scene(run, 512).look.scale == 1
    assert scene(run, None, colors=64).painter.width == 512


def test_pictures_that_are_detailed_or_slow_keep_their_size(tmp_path):
    slow = waves(1, 64, 64) * np.linspace(1, 0.95, 10, dtype="f4")[:, None, None]
    for number, values in enumerate((patterns(10, 256, 10), slow)):
        assert scene(write(tmp_path / str(number), {"u": values}), None).look.scale == 1


def test_frames_that_change_everywhere_are_stored_whole(tmp_path):
    """Pixels that happen to stay the same would interrupt what compresses well."""
    size, n = 64, np.arange(64)
    frames = [np.uint8((n[:, None] + n + 3 * shift) // 4 % 32) for shift in range(2)]
    block = changed_block(frames[1], frames[0], 40)
    same = changed_block(frames[0], frames[0], 40)
    assert same == b"" and len(block) <= len(
        changed_block(frames[1], np.full((size, size), 99, np.uint8), 40)
    )


def test_a_flat_field_from_start_to_end(tmp_path):
    path = render(write(tmp_path / "run", {"u": flat(2.0, 2.0, 2.0)}), Animation(size=64))
    assert len(frames_of(path)) == 3
