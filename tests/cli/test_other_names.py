"""Names from other programs: errors suggest the settings, functions and commands that are meant."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import make_plan
from made_runs import make_run

import pdesim
from pdesim.cli.list import run as list_command
from pdesim.cli.main import main
from pdesim.config.compose import compose_settings
from pdesim.config.folders import config_folder
from pdesim.errors import PdesimError
from pdesim.formula.other_names import derivative_word, other_derivative, other_function
from pdesim.formula.vocabulary import SECTIONS
from pdesim.settings import Settings
from pdesim.settings.other_names import _OTHERS, suggest_settings

WORDS = [word for section in SECTIONS for word in section.words]


def hint_of(words, capsys) -> str:
    assert main(words) == 2
    return capsys.readouterr().err.partition("hint:")[2]


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("end=30", "'time.end'"),
        ("t_end=30", "'time.end'"),
        ("tmax=30", "'time.end'"),
        ("time.tend=30", "'time.end'"),
        ("time=30", "time.end=30"),
        ("dt=1", "'time.dt'"),
        ("extent=1.25", "'domain.extent'"),
        ("domain=2", "domain.extent=2"),
        ("resolution=64", "'grid'"),
        ("frames=10", "'output.frames'"),
        ("output=30", "output.frames=30"),
        ("output=maze", "hydra.run.dir=maze"),
        ("run.dir=x", "'hydra.run.dir'"),
        ("output.dir=x", "'hydra.run.dir'"),
        ("folder=x", "'hydra.run.dir'"),
        ("F=0.03", "'equation.F'"),
        ("f=0.03", "'equation.F'"),
        ("Z=0.03", "equation.Z, if Z is a parameter"),
        ("equation.F=[0.03,0.04]", "-m and equation.F=0.03,0.04 without brackets"),
        ("boundary.x=1", '"boundary.x={dirichlet: 1}"'),
        ("boundary.x=noflux", "boundary.x=neumann"),
        ("boundary.x=no_flux", "boundary.x=neumann"),
        ("boundary.u.x=zero-flux", "boundary.u.x=neumann"),
        ("boundary=noflux", "boundary=neumann"),
        ("boundary=1", '"boundary.default={dirichlet: 1}"'),
        ("boundary={dirichlet: 1}", '"boundary.default={dirichlet: 1}"'),
        ("boundary.left=dirichlet", "boundary.x={lower: neumann, upper: dirichlet}"),
    ],
)
def test_settings(setting, hint, capsys):
    assert hint in hint_of(["equation=gray_scott", "grid=16", setting], capsys)


def test_suggested_settings_exist():
    for name in _OTHERS:
        section, _, key = name.partition(".")
        if section == "hydra":
            continue
        model = Settings.model_fields[section].annotation
        assert not key or key == "rhs" or key in model.model_fields, name
    assert suggest_settings("time.dtt", Settings, ["dt", "end"]).similar == ("dt",)


@pytest.mark.parametrize("value", ["1", "-2.5", "noflux", "fixed"])
def test_the_hints_for_conditions_are_valid(value, capsys):
    hint = hint_of(["equation=heat", "grid=16", f"boundary.x={value}"], capsys)
    setting = hint.strip().splitlines()[0].partition(" fixes")[0].strip('" ')
    make_plan("equation=heat", "grid=16", setting)


@pytest.mark.parametrize(
    ("given", "keyword"),
    [
        ({"end": 1}, "time={'end': 1}"),
        ({"extent": 2}, "domain={'extent': 2}"),
        ({"F": 0.03}, "equation={'F': 0.03}"),
        ({"out": "x"}, "folder='x'"),
    ],
)
def test_keywords_in_python(given, keyword):
    with pytest.raises(PdesimError) as error:
        pdesim.simulate("gray_scott", **given)
    assert keyword in error.value.hint


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["gray_scott"], "pdesim equation=gray_scott"),
        (["Gray_Scott", "time.end=3"], "pdesim equation=gray_scott time.end=3"),
        (["run", "equation=gray_scott"], "pdesim equation=gray_scott"),
        (["run", "gray_scott", "grid=8"], "pdesim equation=gray_scott grid=8"),
        (["simulate", "--config-dir", "my", "equation=a"], "pdesim --config-dir my equation=a"),
    ],
)
def test_words_that_are_no_command(words, line, capsys):
    assert hint_of(words, capsys).strip() == line


@pytest.mark.parametrize(
    ("formula", "meant"),
    [
        ("lap(u)", "laplacian"),
        ("Delta(u)", "laplacian"),
        ("grad(u)", "gradient"),
        ("div(u)", "divergence"),
        ("dx(u)", "d_dx"),
        ("ddx(u)", "d_dx"),
        ("d2x(u)", "d2_dx2"),
        ("diff_yy(u)", "d2_dy2"),
        ("dxy(u)", "d2_dxdy"),
        ("avg(u)", "mean"),
        ("sgn(u)", "sign"),
        ("u_xx", "d2_dx2(u)"),
        ("u_yx", "d2_dxdy(u)"),
        ("u_xxx", "d3_dx3(u)"),
        ("du_dx", "d_dx(u)"),
        ("d2u_dx2", "d2_dx2(u)"),
        ("d2u_dxdy", "d2_dxdy(u)"),
        ("lap_u", "laplacian(u)"),
    ],
)
def test_functions_and_derivatives(formula, meant):
    with pytest.raises(PdesimError) as error:
        make_plan("equation=heat", "grid=16", f"equation.rhs.u='{formula}'")
    assert f"did you mean '{meant}'?" in error.value.hint
    call = meant if "(" in meant else f"{meant}(u)"
    if meant not in ("gradient", "divergence"):  # these need or return vectors
        make_plan("equation=heat", "grid=16", f"equation.rhs.u='{call}'")


def test_the_table_of_functions():
    assert derivative_word("zz") == "d2_dz2" and derivative_word("xyx") == ""
    assert other_function("lap", WORDS) == "laplacian" and other_function("lap", ["sin"]) == ""
    assert other_function("rand", WORDS) == "random_normal"
    assert other_derivative("uv_x", ["u", "uv"], WORDS) == "d_dx(uv)"
    assert other_derivative("w_xx", ["u"], WORDS) == ""
    with pytest.raises(PdesimError, match="a rate of change is on the left"):
        make_plan("equation=heat", "grid=16", "equation.rhs.u='u_t'")
    with pytest.raises(PdesimError) as error:  # a short name resembles many others
        make_plan("equation=heat", "grid=16", "equation.rhs.u='foo(u)'")
    assert "did you mean" not in str(error.value)


def test_reserved_names_of_sections_are_not_suggested(tmp_path, capsys):
    (tmp_path / "equation").mkdir()
    file = tmp_path / "equation" / "mine.yaml"
    file.write_text("D: 1\nQ: 2\nrhs: {u: D*laplacian(u) + Q}\ninitial: {u: exp(-r**2)}\n")
    assert main(["--config-dir", str(tmp_path), "equation=mine", "equation.q=1"]) == 2
    message = capsys.readouterr().err
    assert "expected: one of D, Q\n" in message and "did you mean 'Q'?" in message


def test_the_folders_of_runs_and_sweeps(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = ["equation=heat", "grid=16", "time.end=0.1"]
    assert main(["-m", *quick, "equation.D=1,2", "hydra.run.dir=a"]) == 2
    assert "expected: hydra.sweep.dir=a" in capsys.readouterr().err
    assert main([*quick, "hydra.sweep.dir=a"]) == 2
    assert "expected: hydra.run.dir=a" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_that_cannot_be_planned_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["-m", "equation=gray_scott", "grid=16", "equation.F=[0.03,0.04]"]) == 2
    assert "without brackets" in capsys.readouterr().err
    assert not list(Path().glob("outputs/sweeps/*"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").touch()
    words = ["-m", "equation=gray_scott", "grid=16", "equation.F=[1]", "hydra.sweep.dir=kept"]
    assert main(words) == 2 and (tmp_path / "kept" / "notes.txt").exists()


def test_resume_of_a_sweep_and_into_another_folder(tmp_path, capsys):
    make_run(tmp_path / "0", status={"state": "finished"})
    assert main(["resume", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "is the folder of a sweep" in message
    assert f"hydra.sweep.dir={tmp_path} resume=auto" in message
    assert main(["resume", str(tmp_path / "0"), "hydra.run.dir=other"]) == 2
    message = capsys.readouterr().err
    assert "has no effect" in message and "pdesim branch" in message and "--folder other" in message


def test_the_name_of_a_file_without_its_suffix(tmp_path):
    (tmp_path / "equation").mkdir()
    shutil.copy(config_folder() / "equation" / "heat.yaml", tmp_path / "equation" / "mine.yaml")
    found = compose_settings(["equation=mine.yaml", "stepper=rk4.yaml"], str(tmp_path))
    assert found.equation == "mine" and json.dumps(found.values).count(".yaml") == 0
    assert found.run_folder.parent.name == "mine"


def test_list_prints_the_whole_command(tmp_path, capsys):
    (tmp_path / "equation").mkdir()
    shutil.copy(config_folder() / "equation" / "heat.yaml", tmp_path / "equation" / "mine.yaml")
    assert list_command(["mine", "--config-dir", str(tmp_path)]) == 0
    assert f"run it: pdesim --config-dir {tmp_path} equation=mine" in capsys.readouterr().out
