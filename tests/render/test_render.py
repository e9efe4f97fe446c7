"""Snapshot files as pictures: what is drawn where, in which colours, for how long."""

from __future__ import annotations

import sys

import h5py
import numpy as np
import pytest
from made_pictures import SMALL, blocks_of, color, flat, frames_of, picture_of, waves, write
from PIL import Image

from pdesim.errors import ConfigError, MissingExtraError, OutputError
from pdesim.render import poster, render
from pdesim.render.colors import line_palette
from pdesim.settings import Animation


def test_gif_has_all_frames_and_their_time(tmp_path):
    path = render(write(tmp_path / "run", {"u": waves(6)}), SMALL)
    assert path == tmp_path / "run" / "animation.gif"
    assert len(frames_of(path)) == 6
    assert blocks_of(path)[2] == [50] * 6
    assert [p.name for p in sorted(path.parent.iterdir())] == ["animation.gif", "snapshots.h5"]


def test_one_palette_serves_all_frames(tmp_path):
    path = render(write(tmp_path / "run", {"u": waves(5)}), SMALL)
    one, local, _ = blocks_of(path)
    assert one and len(local) == 5 and not any(local)


@pytest.mark.parametrize(
    ("fps", "delays"),
    [
        (10, [10] * 6),
        (50, [2] * 6),
        (30, [3, 4, 3, 3, 4, 3]),  # frame n ends at 100 n/30: 3.3, 6.7, 10, 13.3, 16.7, 20
        (40, [2, 3, 3, 2, 2, 3]),  # 2.5, 5, 7.5, 10, 12.5, 15; halves go to even numbers
        (0.5, [200] * 6),
    ],
)
def test_frames_take_the_time_that_fps_gives_them(tmp_path, fps, delays):
    path = render(write(tmp_path / "run", {"u": waves(6)}), Animation(size=64, fps=fps))
    assert blocks_of(path)[2] == delays
    assert sum(delays) == 600 / fps


@pytest.mark.parametrize(
    ("frames", "every", "shown", "seconds"),
    [(2, 1, 2, 3), (11, 1, 11, 3), (60, 1, 60, 3), (90, 1, 90, 4.5), (90, 10, 10, 3)],
)
def test_films_of_few_frames_last_three_seconds(tmp_path, frames, every, shown, seconds):
    run = write(tmp_path / "run", {"u": waves(frames)})
    delays = blocks_of(render(run, Animation(size=64, every=every)))[2]
    assert len(delays) == shown and sum(delays) == pytest.approx(100 * seconds, abs=1)
    # a frame rate that is given is kept
    delays = blocks_of(render(run, Animation(size=64, every=every, fps=20.0)))[2]
    assert sum(delays) == 5 * shown


def test_equal_frames_are_shown_longer(tmp_path):
    values = flat(0.0, 1.0)[[0, 0, 0, 1, 1]]
    path = render(write(tmp_path / "run", {"u": values}, times=np.zeros(5)), SMALL)
    assert blocks_of(path)[2] == [180, 120]


def test_picture_has_the_shape_of_the_domain_and_room_for_labels(tmp_path):
    fields = {"u": flat(0, 1)}
    animation = Animation(size=200, limits=[0.0, 1.0])
    for extent, shape in [((4, 1), (50, 200)), ((1, 2), (200, 100)), ((1e-3, 1e-3), (200, 200))]:
        path = render(write(tmp_path / "run", fields, extent), animation)
        frame = frames_of(path)[1]
        rows, columns = picture_of(frame, color("viridis", 1.0))
        assert (rows.stop - rows.start, columns.stop - columns.start) == shape
        assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
        for edge in (frame[:3], frame[-3:], frame[:, :3], frame[:, -3:]):
            assert edge.min() == 255  # nothing is cut off


def test_y_points_up_and_x_right(tmp_path):
    values = np.zeros((2, 32, 32), dtype="f4")
    values[1, 26:30, 2:6] = 1.0  # large y, small x
    path = render(write(tmp_path / "run", {"u": values}), Animation(size=160, colormap="gray"))
    before, after = (f.sum(axis=2) for f in frames_of(path))
    rows, columns = picture_of(frames_of(path)[0], color("gray", 0.0))
    bright = np.argwhere((after - before)[rows, columns] > 300)
    assert len(bright) > 100
    assert bright[:, 0].max() < 40 and bright[:, 1].max() < 40


def test_colors_are_those_of_the_map(tmp_path):
    levels = [0.0, 0.1, 0.25, 0.5, 0.8, 1.0]
    animation = Animation(size=64, colormap="magma", limits=[0.0, 1.0], colors=64)
    path = render(write(tmp_path / "run", {"u": flat(*levels)}), animation)
    frames = frames_of(path)
    rows, columns = picture_of(frames[-1], color("magma", 1.0))
    for level, frame in zip(levels, frames, strict=True):
        picture = frame[rows, columns]
        assert np.all(picture == picture[0, 0])
        index = min(int(level * 64), 63)
        assert np.abs(picture[0, 0] - color("magma", index / 63)).max() <= 1
        assert np.abs(picture[0, 0] - color("magma", level)).max() <= 8


def test_the_bar_runs_upwards(tmp_path):
    path = render(write(tmp_path / "run", {"u": flat(0, 1)}), Animation(size=128))
    frame = frames_of(path)[0]
    rows, columns = picture_of(frame, color("viridis", 0.0))
    bar = frame[rows, columns.stop + 20]
    assert np.abs(bar[0] - color("viridis", 1.0)).max() <= 2
    assert np.abs(bar[-1] - color("viridis", 0.0)).max() <= 2
    assert np.abs(bar[len(bar) // 2] - color("viridis", 0.5)).max() <= 8


def test_values_beyond_the_limits_take_the_end_colors(tmp_path):
    animation = Animation(size=64, colormap="magma", limits=[-1.0, 1.0])
    path = render(write(tmp_path / "run", {"u": flat(7.0, -7.0)}), animation)
    high, low = frames_of(path)
    rows, columns = picture_of(high, color("magma", 1.0))
    assert np.abs(low[rows, columns] - color("magma", 0.0)).max() <= 1


def test_cells_that_are_not_finite_are_grey(tmp_path):
    values = flat(0.0, 1.0)
    values[1, 4:12, 4:12] = np.nan
    values[1, 5, 5] = np.inf
    path = render(write(tmp_path / "run", {"u": values}), Animation(size=128))
    first, second = frames_of(path)
    rows, columns = picture_of(first, color("viridis", 0.0))
    picture = second[rows, columns]
    assert np.ptp(picture[64, 64]) == 0 and 120 < picture[64, 64, 0] < 220
    assert np.abs(picture[8, 8] - color("viridis", 1.0)).max() <= 2


def test_large_grids_are_averaged(tmp_path):
    checkers = np.indices((256, 256)).sum(axis=0)[None] % 2
    path = render(write(tmp_path / "run", {"u": checkers.astype("f8")}), Animation(size=64))
    frame = frames_of(path)[0]
    mask = np.abs(frame - color("viridis", 0.5)).max(axis=2) < 20
    assert mask.sum() > 0.9 * 64 * 64


def test_every_keeps_the_last_frame(tmp_path):
    run = write(tmp_path / "run", {"u": flat(*range(8))})
    frames = frames_of(render(run, Animation(size=64, every=3)))
    assert len(frames) == 4  # 0, 3, 6, 7
    rows, columns = picture_of(frames[-1], color("viridis", 1.0))
    assert np.abs(frames[0][rows, columns] - color("viridis", 0.0)).max() <= 1


def test_the_clock_changes_and_nothing_else_does(tmp_path):
    run = write(tmp_path / "run", {"u": flat(1.0, 1.0)}, times=[0.0, 12.5])
    first, second = frames_of(render(run, SMALL))
    changed = np.argwhere((first != second).any(axis=2))
    assert len(changed) > 5
    assert np.ptp(changed[:, 0]) < 16 and changed[:, 0].max() < 60


def test_one_dimension(tmp_path):
    x = np.linspace(0, 1, 100)
    values = np.array([np.sin(6 * x), np.full(100, 0.9), np.full(100, -0.9)])
    path = render(write(tmp_path / "run", {"u": values}), Animation(size=320))
    frames = frames_of(path)
    assert len(frames) == 3 and not any(blocks_of(path)[1])
    line = line_palette().rgb[line_palette().colors - 1]
    above, below = (np.argwhere(np.abs(f - line).max(axis=2) < 20)[:, 0] for f in frames[1:])
    assert len(above) > 200 and len(below) > 200
    assert above.max() < below.min()


def test_one_dimension_with_gaps_and_many_points(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 5000))
    values[:, 100:900] = np.nan
    assert len(frames_of(render(write(tmp_path / "run", {"u": values}), SMALL))) == 2


def test_three_dimensions_show_the_plane_asked_for(tmp_path):
    values = np.zeros((2, 10, 16, 16))
    values[:] = np.arange(10)[None, :, None, None]
    run = write(tmp_path / "run", {"u": values})
    for fraction, plane in [(0.0, 0), (0.5, 5), (1.0, 9)]:
        animation = Animation(size=64, layout="single", slice=fraction, limits=[0.0, 9.0])
        frame = frames_of(render(run, animation))[0]
        wanted = color("viridis", plane / 9)
        assert (np.abs(frame - wanted).max(axis=2) <= 8).sum() >= 64 * 64


def test_a_steady_state_is_one_frame_without_a_clock(tmp_path):
    steady = write(tmp_path / "steady", {"phi": waves(1)}, times=[0.0], equation="")
    frames = frames_of(render(steady, SMALL))
    assert len(frames) == 1
    assert len(frames_of(render(write(tmp_path / "x", {"u": waves(1)[:, 0]}), SMALL))) == 1


def test_field_and_common_length(tmp_path):
    run = write(tmp_path / "run", {"u": flat(0, 0, 0), "v": flat(0, 1, 0.5)}, times=[0.0, 1.0])
    assert len(frames_of(render(run, Animation(size=64)))) == 2
    frames = frames_of(render(run, Animation(size=64, field="v")))
    assert len(frames) == 2
    assert (np.abs(frames[1] - color("viridis", 1.0)).max(axis=2) <= 1).sum() >= 64 * 64


def test_file_and_destination(tmp_path):
    run = write(tmp_path / "run", {"u": waves(2)})
    target = tmp_path / "new" / "film.gif"
    assert render(run / "snapshots.h5", SMALL, target) == target
    assert len(frames_of(target)) == 2
    assert list(target.parent.iterdir()) == [target]


def test_poster(tmp_path):
    run = write(tmp_path / "run", {"u": waves(2)}, extent=(2.0, 1.0))
    path = poster(run, SMALL, tmp_path / "poster.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width > 1024 > image.height > 512


def test_unknown_names_are_answered_with_the_nearest(tmp_path):
    run = write(tmp_path / "run", {"temperature": waves(2)})
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        render(run, Animation(field="temprature"))
    with pytest.raises(ConfigError, match="did you mean 'viridis'"):
        render(run, Animation(colormap="viridiss"))
    assert not (run / "animation.gif").exists()


def test_files_that_cannot_be_drawn(tmp_path):
    with pytest.raises(OutputError, match=r"contains no snapshots\.h5"):
        render(tmp_path, SMALL)
    with pytest.raises(OutputError, match=r"nothing\.h5 does not exist"):
        poster(tmp_path / "nothing.h5", SMALL, tmp_path / "a.png")
    (tmp_path / "broken.h5").write_bytes(b"not HDF5")
    with pytest.raises(OutputError, match="cannot be read"):
        render(tmp_path / "broken.h5", SMALL)
    empty = write(tmp_path / "empty", {"u": np.zeros((0, 4, 4))})
    with pytest.raises(OutputError, match="no frames"):
        render(empty, SMALL)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = 1.0
    with pytest.raises(OutputError, match="no snapshots"):
        render(tmp_path / "other.h5", SMALL)
    with h5py.File(empty / "snapshots.h5", "r+") as file:
        del file["y"]
    with pytest.raises(OutputError, match=r"u in .* has shape .*\n.*the file has no y"):
        render(empty, SMALL)


def test_mp4(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    import imageio.v2 as imageio

    values = flat(0.0, 0.5, 1.0)
    animation = Animation(name="mp4", size=128, fps=10, colormap="magma")
    path = render(write(tmp_path / "run", {"u": values}), animation)
    assert path.name == "animation.mp4"
    reader = imageio.get_reader(path, format="FFMPEG")
    with reader:
        frames = [np.asarray(frame).astype(int) for frame in reader]
        assert reader.get_meta_data()["fps"] == 10
    still = frames_of(render(tmp_path / "run", Animation(size=128, colormap="magma")))
    assert len(frames) == 3 and frames[0].shape == still[0].shape
    rows, columns = picture_of(still[2], color("magma", 1.0))
    centre = frames[1][rows, columns][64, 64]
    assert np.abs(centre - color("magma", 0.5)).max() < 16


def test_mp4_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    run = write(tmp_path / "run", {"u": waves(2)})
    with pytest.raises(MissingExtraError, match=r"pdesim\[mp4\]"):
        render(run, Animation(name="mp4"))
    assert [p.name for p in run.iterdir()] == ["snapshots.h5"]


def test_complex_and_vector_fields(tmp_path):
    x, y = np.meshgrid((np.arange(32) + 0.5) / 32, (np.arange(32) + 0.5) / 32)
    psi = (1 + x) * np.exp(2j * np.pi * y)
    fields = {"psi_re": psi.real[None].astype("f4"), "psi_im": psi.imag[None].astype("f4")}
    run = write(tmp_path / "run", fields)
    size = {"size": 128, "name": "png", "enlarge": "nearest"}
    (modulus,) = frames_of(render(run, Animation(field="psi", limits=[1.0, 2.0], **size)))
    (default,) = frames_of(render(run, Animation(limits=[1.0, 2.0], **size)))
    assert np.array_equal(modulus, default)
    (phase,) = frames_of(render(run, Animation(field="angle(psi)", **size)))
    for frame, name, values in (
        (modulus, "viridis", x), (phase, "twilight", (np.angle(psi) + np.pi) / (2 * np.pi)),
    ):  # fmt: skip
        top, left = np.argwhere(np.ptp(frame, axis=2) > 12).min(axis=0)
        picture = frame[top + 2 : top + 128 : 4, left + 2 : left + 128 : 4][::-1]
        expected = np.array([[color(name, v) for v in row] for row in values])
        assert np.abs(picture - expected).max() < 16
    (both,) = frames_of(render(run, Animation(layout="fields", **size)))
    assert both.shape[1] > 1.6 * 80  # both maps, each with its own colours
    for name in ("viridis", "twilight"):
        ends = [np.abs(both - color(name, v)).max(axis=2).min() for v in (0.1, 0.5, 0.9)]
        assert max(ends) < 12
    vectors = {"v_x": fields["psi_re"], "v_y": fields["psi_im"]}
    run = write(tmp_path / "vectors", vectors)
    (drawn,) = frames_of(render(run, Animation(limits=[1.0, 2.0], **size)))
    assert drawn.shape == modulus.shape and not np.array_equal(drawn, modulus)  # with arrows
