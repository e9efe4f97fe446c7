"""How runs and snapshots are shown, copied and read."""

from __future__ import annotations

import base64
import io
import os
import pickle
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import pdesim
from pdesim.errors import ConfigError, OutputError, PdesimError

WORDS = {
    "grid": [16, 8],
    "output": {"frames": 2},
    "time": {"end": 0.02},
    "observe": {"m": "mean(u)"},
    "probes": {"a": (0.2, 0.25)},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "<run>"
    return pdesim.simulate("heat", folder=folder, **WORDS)


def picture(text):
    kind, data = re.search(r'src="data:image/(\w+);base64,([^"]+)"', text).groups()
    return kind, Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_run_in_words(run):
    assert repr(run).endswith("heat on 16 x 8 cells, 3 frames to t = 0.02, finished>")
    with run.snapshots as snapshots:
        assert repr(snapshots).endswith("u; 3 frames of 8 y x 16 x>")
    assert repr(snapshots).endswith("closed>")


def test_a_run_is_shown_by_its_animation_or_its_last_frame(run, monkeypatch):
    text = run._repr_html_()
    assert "<run>" not in text and "&lt;run&gt;" in text  # names of files are not HTML
    kind, image = picture(text)
    assert kind == "gif" and image.n_frames == 3
    monkeypatch.setattr("pdesim.api.run.LARGEST_PICTURE", 10)
    kind, image = picture(run._repr_html_())
    assert kind == "png" and image.width > 50


def test_snapshots_are_shown_as_a_table(run):
    snapshots = run.snapshots
    text = snapshots._repr_html_()
    cells = re.findall("<td>(.*?)</td>", text)
    assert cells[:4] == ["u (temperature)", "(time, y, x) = (3, 8, 16)", "", ""]
    assert cells[4:7] == ["time", "3", "0 to 0.02"] and "&lt;run&gt;" in text
    snapshots.close()
    assert "was closed" in snapshots._repr_html_()


def test_values_of_observables(run):
    series, data = run.series(), run.to_xarray()
    assert series.m[-1] == pytest.approx(float(data.u[-1].mean()), rel=1e-5)
    # the probe at (0.2, 0.25) lies between cells 2 and 3 of 16, and 3 and 4 of 8 of height 0.5
    assert series.a_u[0] == pytest.approx(float(data.u[0].interp(x=0.2, y=0.25)), abs=0.1)
    assert run.observed == {"m": float(series.m[-1]), "a_u": float(series.a_u[-1])}


def test_copies(run):
    assert pickle.loads(pickle.dumps(run)) == run == pdesim.Run(str(run.folder))
    with run.snapshots as one, pickle.loads(pickle.dumps(one)) as other:
        assert np.array_equal(one["u"][:], other["u"][:])


def test_functions_take_runs_and_folders(run):
    assert os.fspath(run) == str(run.folder)
    assert pdesim.compare(run, run.folder).equal
    with pdesim.open(run) as snapshots:
        assert len(snapshots) == 3


@pytest.mark.parametrize("damage", ["removed", "empty", "no snapshots", "no frames", "text"])
def test_damaged_runs_are_shown_too(run, damage, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    other = pdesim.Run(folder)
    if damage == "removed":
        shutil.rmtree(folder)
    elif damage == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif damage == "no snapshots":
        (folder / "snapshots.h5").unlink()
    elif damage == "text":
        (folder / "snapshots.h5").write_text("text")
        (folder / "animation.gif").unlink()
    else:
        (folder / "animation.gif").write_bytes(b"")
    assert "Run" in repr(other) and "Run" in other._repr_html_()


def test_a_removed_run_has_no_values(run, tmp_path):
    gone = pdesim.Run(tmp_path / "gone")
    assert gone.status == {} and gone.observed == {} and gone.picture is None
    for read in (gone.to_xarray, gone.series, lambda: gone.settings):
        with pytest.raises(OutputError, match="does not exist"):
            read()


def test_plots_and_animations(run, tmp_path):
    still = run.plot("u", time=0.01, size=64, theme="dark")
    assert repr(still).startswith("<Picture: PNG, ") and picture(still._repr_html_())[0] == "png"
    film = run.animate(size=64)
    kind, image = picture(film._repr_html_())
    assert (kind, image.n_frames) == ("gif", 3)
    sheet = run.animate(layout="sheet", size=64)
    assert sheet.kind == "png" and picture(sheet._repr_html_())[1].format == "PNG"
    saved = film.save(tmp_path / "film.gif")
    assert saved.read_bytes() == film.data
    with pytest.raises(ConfigError, match="does not end in"):
        film.save(tmp_path / "film.png")
    with pytest.raises(ConfigError, match=r"animation\.theme"):
        run.plot(theme="blue")
    with pytest.raises(ConfigError, match=r"animation\.time"):
        run.plot(time=5)
    with pytest.raises(PdesimError, match="v"):
        run.animate("v")


def test_a_notebook_shows_a_table_of_the_fields(run):
    cells = re.findall("<td>(.*?)</td>", run._repr_html_())
    with run.snapshots as snapshots:
        last = snapshots["u"][-1]
    assert cells[:3] == ["u", f"{last.min():.5g}", f"{last.max():.5g}"]
