"""Stills: the frame at a time, and problems that have only one."""

from __future__ import annotations

import numpy as np
import pytest
from made_pictures import SMALL, color, flat, frames_of, picture_of, waves, write
from PIL import Image

import pdesim
from pdesim.errors import ConfigError, OutputError
from pdesim.render import render
from pdesim.render.quantity import check_picture
from pdesim.settings import Animation


def still(run, **asked):
    """The pixels of a still, ``(rows, columns, 3)``, and its size without labels."""
    path = render(run, Animation(name="png", **{"size": 64} | asked))
    with Image.open(path) as image:
        assert image.format == "PNG" and path.name == "animation.png"
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize(
    ("time", "level"), [(None, 1.0), (0.0, 0.0), (2.0, 0.5), (2.9, 0.5), (3.1, 1.0), (4.0, 1.0)]
)
def test_the_frame_nearest_to_a_time(tmp_path, time, level):
    run = write(tmp_path / "run", {"u": flat(0.0, 0.5, 1.0)}, times=[0.0, 2.0, 4.0])
    picture = still(run, time=time)
    shown = np.abs(picture - color("viridis", level)).max(axis=2) <= 3
    assert shown.sum() >= 64 * 64


def test_a_still_has_the_limits_of_the_whole_run_and_the_size_that_is_given(tmp_path):
    run = write(tmp_path / "run", {"u": flat(0.0, 4.0, 1.0)}, extent=(2.0, 1.0))
    picture = still(run, size=300)
    rows, columns = picture_of(picture, picture[60, 150])
    assert (rows.stop - rows.start, columns.stop - columns.start) == (150, 300)
    assert np.abs(picture[60, 150] - color("viridis", 0.25)).max() <= 3


def test_a_time_that_is_not_in_the_run(tmp_path):
    run = write(tmp_path / "run", {"u": flat(0.0, 1.0)}, times=[0.0, 4.0])
    for time in (-1.0, 4.1, 1e9):
        with pytest.raises(ConfigError, match="times from 0 to 4"):
            still(run, time=time)
    with pytest.raises(ConfigError, match="animation=png"):
        check_picture(Animation(time=1.0), ("u",), ("x", "y"))


def test_a_single_frame_becomes_a_still(tmp_path):
    run = write(tmp_path / "run", {"u": waves(1)}, times=[0.0])
    for name in ("gif", "mp4", "png"):
        path = render(run, Animation(name=name, size=64))
        assert path.name == "animation.png" and len(frames_of(path)) == 1
    assert render(run, SMALL, tmp_path / "a.gif").read_bytes()[:3] == b"GIF"


def test_a_steady_problem_gives_one_still(tmp_path):
    run = pdesim.simulate("poisson", grid=16, animation={"size": 64}, folder=tmp_path / "run")
    assert run.picture == run.folder / "animation.png"
    assert not (run.folder / "animation.gif").exists()
    assert "data:image/png" in run._repr_html_()


def test_the_command_draws_a_still_and_then_a_film(command, tmp_path):
    write(tmp_path / "run", {"u": waves(3)})
    done = command("render", "run", "animation=png", "animation.time=1", "animation.size=64")
    assert done.stdout.strip().endswith("animation.png")
    done = command("render", "run", "animation.time=1", check=None)
    assert done.returncode == 2 and "animation=png" in done.stderr


def test_curves_are_stills_too(tmp_path):
    run = write(tmp_path / "run", {"u": waves(4)[:, 0]})
    assert still(run, time=2.0).shape[1] > 64


@pytest.mark.parametrize("size", [None, 300])
def test_a_film_is_drawn_with_fewer_pixels_if_it_is_too_large(tmp_path, size):
    random = np.random.default_rng(1)
    run = write(tmp_path, {"u": random.random((6, 64, 64))})
    free = render(run, Animation(size=size))
    whole, pixels = free.stat().st_size, Image.open(free).size
    limited = render(run, Animation(size=size, max_mb=0.5 * whole / 1e6))
    assert limited.stat().st_size <= 0.5 * whole
    assert 0.4 * pixels[0] < Image.open(limited).size[0] < pixels[0]
    assert len(frames_of(limited)) == 6
    with pytest.raises(OutputError, match=r"more than animation\.max_mb=0\.01"):
        render(run, Animation(size=size, max_mb=0.01))
