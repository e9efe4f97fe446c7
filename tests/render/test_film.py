"""Films of sweeps: the last frames of the members, with the swept value in the label."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from made_runs import make_run
from PIL import Image

from pdesim.errors import PdesimError
from pdesim.output.sweeps import differing_settings, find_members
from pdesim.render import film
from pdesim.render.film import _labels
from pdesim.settings import Animation


@pytest.fixture
def sweep(tmp_path):
    for number, D in enumerate((0.25, 0.5, 1.0)):
        make_run(tmp_path / str(number), (24, 16), frames=number + 1, parameters={"D": D})
    return tmp_path


def test_each_member_is_one_frame(sweep):
    path = film(sweep, Animation(field="u", size=128))
    assert path == sweep / "film.gif"
    with Image.open(path) as picture:
        assert picture.n_frames == 3
        shown = []
        for frame in range(3):
            picture.seek(frame)
            shown.append(np.asarray(picture.convert("RGB"), float))
    # the last frame of member n has the values 1000*n + ..., so that no two frames are equal
    assert all(np.abs(a - b).max() > 50 for a, b in itertools.pairwise(shown))


def test_labels_are_the_swept_settings(sweep):
    members = find_members(sweep)
    assert _labels(members, differing_settings(members)) == ("D", ["0.25", "0.5", "1.0"])


def test_errors(sweep, tmp_path):
    with pytest.raises(PdesimError, match="animation=none"):
        film(sweep, Animation(name="none"))
    make_run(sweep / "3", (12, 8), parameters={"D": 2.0})
    with pytest.raises(PdesimError, match="members on one grid"):
        film(sweep, Animation(field="u"))
    alone = tmp_path / "alone"
    make_run(alone / "0")
    with pytest.raises(PdesimError, match="1 members with frames"):
        film(alone, Animation())


def test_the_command_needs_a_sweep(command, sweep):
    done = command("render", str(sweep), "--film", "animation.field=a", "animation.size=96")
    assert done.stdout.strip().endswith("film.gif")
    assert "--film needs" in command("render", str(sweep / "0"), "--film", check=None).stderr


def test_a_film_shows_single_fields_whatever_the_layout_is(sweep):
    path = film(sweep, Animation(size=64, layout="sheet"))
    assert path.read_bytes()[:3] == b"GIF"
