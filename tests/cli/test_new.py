"""New equation files: they run at once, and nothing is overwritten."""

from __future__ import annotations

import os
import shlex

import pytest
from jsonschema import Draft202012Validator
from omegaconf import OmegaConf

from pdesim.cli.main import main
from pdesim.config.compose import choices, compose_settings
from pdesim.plan import build_plan
from pdesim.run.resolution import notes_before
from pdesim.schema import build_schema


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_equation_runs_at_once(command, folder, capsys):
    assert main(["new", "mine"]) == 0
    path, told = capsys.readouterr().out.splitlines()
    assert os.path.samefile(path, folder / "my" / "equation" / "mine.yaml")
    words = shlex.split(told.removeprefix("run it with: "))
    assert words == ["pdesim", "--config-dir", "my", "equation=mine"]
    done = command(*words[1:], "time.end=5", "hydra.run.dir=run")
    assert "note" not in done.stderr and "warning" not in done.stderr
    assert (folder / "run" / "animation.gif").exists()


def test_its_settings_are_those_of_the_file(capsys):
    main(["new", "a-b", "--folder", "other folder"])
    assert "--config-dir 'other folder' equation=a-b" in capsys.readouterr().out
    composed = compose_settings(["equation=a-b"], "other folder").check_trust()
    plan = build_plan(composed.settings, composed.equation)
    assert plan.notes == () and notes_before(plan) == []
    assert plan.equation.name == "a-b" and plan.equation.fields == ("u", "v")
    assert plan.settings.time.end == 60 and plan.grid.points == (128, 128)
    assert plan.settings.animation.colormap == "RdBu_r"
    values = OmegaConf.to_container(OmegaConf.load("other folder/equation/a-b.yaml"))
    assert {"equation", "initial", "domain", "time", "animation"} <= set(values)
    assert Draft202012Validator(build_schema("equation")).is_valid(values)


def test_nothing_is_overwritten(folder, capsys):
    assert main(["new", "mine"]) == 0
    path = folder / "my" / "equation" / "mine.yaml"
    path.write_text("D: 1\n")
    (folder / "my" / "equation" / "link.yaml").symlink_to(folder / "elsewhere.yaml")
    for name in ("mine", "link"):
        assert main(["new", name]) == 2
        assert "already exists" in capsys.readouterr().err
    assert path.read_text() == "D: 1\n" and not (folder / "elsewhere.yaml").exists()


@pytest.mark.parametrize(
    "name",
    ["", "a b", "../a", "a/b", "a.yaml", "3d", "-a", "a=b", "null", "On", "é", "a" * 101, "a\nb"],
)
def test_bad_names(folder, capsys, name):
    assert main(["new", "--", name]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and "expected:" in said
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", choices("equation"))
def test_names_of_shipped_equations(folder, capsys, name):
    assert main(["new", name]) == 2
    assert "shipped" in capsys.readouterr().err and list(folder.iterdir()) == []


def test_folders_that_cannot_be_written(folder, capsys):
    (folder / "file").touch()
    for words in (["--folder", "file"], ["--folder", ""], ["--folder", "a\0b"], ["other"]):
        assert main(["new", "mine", *words]) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said and len(said.splitlines()) <= 3
