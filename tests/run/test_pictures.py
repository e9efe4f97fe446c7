"""Pictures of runs that are resumed show the complete run."""

from __future__ import annotations

import json
import shutil

import pytest

from pdesim.cli.main import main

HEAT = ("equation=heat", "output.frames=4", "animation.size=64", "grid=[16,12]")
LINE = (*HEAT[:-1], "grid=[16]")
#: words of pdesim render, and the file that they write
DRAWN = (
    (("animation=png",), "animation.png"),
    (("animation.layout=sheet",), "animation.png"),
    (("--page",), "index.html"),
    (("animation.colormap=magma",), "animation.gif"),
)


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    assert main(list(words)) == 0


@pytest.mark.parametrize(
    ("name", "settings", "pictures"),
    [
        ("gif", HEAT, DRAWN),
        ("png", HEAT, DRAWN),
        ("none", HEAT, DRAWN),
        ("gif", LINE, [(("animation.layout=space_time",), "animation.png")]),
    ],
)
def test_pictures_of_an_extended_run_are_those_of_the_complete_run(
    in_folder, name, settings, pictures
):
    """Every picture equals, byte for byte, the one that is drawn after the run was extended."""
    run(*settings, f"animation={name}", "time.end=1", "hydra.run.dir=start")
    for number, (words, _) in enumerate(pictures):
        shutil.copytree("start", f"{number}")
        run("render", f"{number}", *words)
    run("resume", "start", "time.end=2")
    for number, (words, file) in enumerate(pictures):
        folder = in_folder / f"{number}"
        before = (folder / file).read_bytes()
        run("resume", f"{number}", "time.end=2")
        run("render", "start", *words)
        assert (folder / file).read_bytes() != before
        if file != "index.html":  # a page contains the name and the duration of the run
            assert (folder / file).read_bytes() == (in_folder / "start" / file).read_bytes()
        if name != "none":
            assert (folder / f"animation.{name}").is_file()


def test_the_page_of_an_extended_run_has_all_frames(in_folder):
    run(*HEAT, "time.end=1", "hydra.run.dir=r")
    run("render", "r", "--page")
    run("resume", "r", "time.end=2")
    redrawn = (in_folder / "r/index.html").read_text(encoding="utf-8")
    (in_folder / "r/pictures.json").unlink()
    run("render", "r", "--page")
    assert redrawn == (in_folder / "r/index.html").read_text(encoding="utf-8")


def test_a_changed_setting_replaces_that_of_the_last_render(in_folder):
    run(*HEAT, "time.end=1", "hydra.run.dir=r")
    run("render", "r", "animation.colormap=magma")
    run("resume", "r", "time.end=2", "animation.colormap=cividis")
    drawn = (in_folder / "r/animation.gif").read_bytes()
    run("render", "r", "animation.colormap=cividis")
    assert drawn == (in_folder / "r/animation.gif").read_bytes()


def test_animation_none_disables_all_pictures(in_folder):
    run(*HEAT, "time.end=1", "hydra.run.dir=r")
    run("render", "r", "animation=png")
    before = (in_folder / "r/animation.png").read_bytes()
    run("resume", "r", "time.end=2", "animation=none")
    assert (in_folder / "r/animation.png").read_bytes() == before


def test_pictures_that_cannot_be_drawn_are_named(in_folder, capsys):
    """A page that the user has replaced, an unknown setting, and a file that is not JSON."""
    run(*HEAT, "time.end=1", "hydra.run.dir=r")
    run("render", "r", "--page")
    run("render", "r", "animation=png")
    (in_folder / "r/index.html").write_text("my own page")
    values = json.loads((in_folder / "r/pictures.json").read_text())
    values["pictures"]["animation.png"]["animation"]["colour"] = 1
    (in_folder / "r/pictures.json").write_text(json.dumps(values))
    run("resume", "r", "time.end=2")
    assert "index.html was not drawn: r/index.html is not a page" in capsys.readouterr().err
    assert (in_folder / "r/index.html").read_text() == "my own page"
    (in_folder / "r/pictures.json").write_text("[1, 2")
    run("resume", "r", "time.end=3")


def test_a_new_run_forgets_the_pictures_of_the_old_one(in_folder):
    run(*HEAT, "time.end=1", "hydra.run.dir=r")
    run("render", "r", "animation=png")
    run(*HEAT, "time.end=1", "hydra.run.dir=r", "output.overwrite=true")
    assert not (in_folder / "r/pictures.json").exists()


def test_pictures_of_an_extended_sweep(in_folder):
    """The montage with its settings, the page and the film of a sweep, and those of its members."""
    words = ("-m", *HEAT, "equation.D=1e-3,2e-3", "hydra.sweep.dir=s", "resume=auto")
    run(*words, "time.end=1")
    run("render", "s", "montage.columns=1")
    run("render", "s", "--film")
    run("render", "s", "--page")
    run("render", "s/1", "animation=png")
    files = ("montage.png", "montage.gif", "film.gif", "1/animation.png", "1/animation.gif")
    before = {name: (in_folder / "s" / name).read_bytes() for name in (*files, "index.html")}
    run(*words, "time.end=2")
    after = {name: (in_folder / "s" / name).read_bytes() for name in before}
    assert all(before[name] != after[name] for name in before)
    run("render", "s", "montage.columns=1")
    run("render", "s", "--film")
    run("render", "s/1", "animation=png")
    assert all(after[name] == (in_folder / "s" / name).read_bytes() for name in files)
    run(*words, "time.end=3", "montage.columns=2")
    changed = (in_folder / "s/montage.png").read_bytes()
    run("render", "s", "montage.columns=2")
    assert changed == (in_folder / "s/montage.png").read_bytes()
