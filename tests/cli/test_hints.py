"""Hints for mistakes with quotes, names and files."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest
from conftest import make_plan

from pdesim.cli.main import main
from pdesim.config.folders import config_folder
from pdesim.config.quoting import missing_end, with_inner_quotes
from pdesim.errors import PdesimError, nearest, similar_names


def told(words, capsys) -> str:
    assert main(words) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("equation=custom equation.rhs={u: -u + 1}", "\"equation.rhs={u: '-u + 1'}\""),
        (
            "equation=custom equation.rhs={u: 2*u + v, v: 1}",
            "\"equation.rhs={u: '2*u + v', v: 1}\"",
        ),
        ("equation=heat grid=[128, 64] time.end=1", '"grid=[128, 64]"'),
        ("equation=heat grid=[128,64 time.end=1", '"grid=[128, 64]"'),
        ("equation=heat grid=128, 64", '"grid=128,64"'),
        ("equation=heat initial.u=x - 1 time.end=1", "\"initial.u='x - 1'\""),
        ("equation=heat boundary.x={lower: dirichlet}", '"boundary.x={lower: dirichlet}"'),
        (
            "equation=heat boundary.x=lower:{dirichlet:x+1} boundary.x=upper:neumann",
            "\"boundary.x={lower: {dirichlet: 'x+1'}, upper: neumann}\"",
        ),
        ("analyze equation=custom equation.rhs={u: -u + 1}", "\"equation.rhs={u: '-u + 1'}\""),
        ("equation=heat grid = 64", "grid=64"),
        ("equation=heat --grid 64", "grid=64"),
        ("equation=heat grid= 64", '"grid=64"'),
        ("equation heat", "equation=heat"),
        ("heat", "pdesim equation=heat"),
    ],
)
def test_words_that_the_shell_has_split(line, hint, capsys):
    assert hint in told(line.split(), capsys).partition("hint:")[2]


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("equation.rhs={u: sin(u)}", "equation.rhs={u: 'sin(u)'}"),
        ("equation.rhs={u: max(u, 0)*u, v: 1}", "equation.rhs={u: 'max(u, 0)*u', v: 1}"),
        ("initial.u=sin(x) + 1", "initial.u='sin(x) + 1'"),
        ("initial.u=sin(x", "initial.u='sin(x)'"),
        ("equation.D=[1, (2", "equation.D=[1, '(2)']"),
    ],
)
def test_values_that_hydra_cannot_read(setting, hint, capsys):
    message = told(["equation=custom", setting], capsys)
    shown = message.partition("hint:")[2].strip().splitlines()[0].partition("   (")[0]
    # a shell and Hydra read the hint as the setting
    words = subprocess.run(["sh", "-c", f"printf %s {shown}"], capture_output=True, text=True)
    assert words.stdout == hint == shlex.split(shown)[0]


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("{u: '-u', v: 1e-3}", "{u: '-u', v: 1e-3}"),
        ("[a, b + 1]", "[a, 'b + 1']"),
        ("[1] + [2]", "'[1] + [2]'"),
        ("{u: [x, y*2]}", "{u: [x, 'y*2']}"),
        ("dataset('a.h5')", r"'dataset(\'a.h5\')'"),
    ],
)
def test_quotes_inside_of_settings(value, quoted):
    assert with_inner_quotes(value) == quoted
    assert with_inner_quotes(quoted) == quoted


def test_missing_ends():
    assert missing_end("{u: [1, (2") == ")]}"
    assert missing_end("{u: '(['}") == ""
    assert missing_end("'abc") == "'"


@pytest.mark.parametrize(
    ("section", "given", "hint"),
    [
        ("equation", "mine", "pdesim --config-dir my equation=mine"),
        ("equation", "mine.yaml", "pdesim --config-dir my equation=mine"),
        ("equation", "my/equation/mine", "pdesim --config-dir my equation=mine"),
        ("boundary", "mine", "pdesim --config-dir my boundary=mine"),
        ("experiment", "mine", "pdesim --config-dir my experiment=mine"),
    ],
)
def test_files_that_config_dir_would_find(section, given, hint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my" / section).mkdir(parents=True)
    source = {"equation": "heat", "boundary": "neumann", "experiment": "pearson"}[section]
    shutil.copy(config_folder() / section / f"{source}.yaml", f"my/{section}/mine.yaml")
    first = [] if section == "equation" else ["equation=heat"]
    message = told([*first, f"{section}={given}"], capsys)
    assert f"my/{section}/mine.yaml exists" in message and hint in message
    message = told(["--config-dir", f"my/{section}", *first, f"{section}=mine"], capsys)
    assert hint in message


def test_a_file_outside_of_the_folder_of_its_group(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(config_folder() / "equation" / "heat.yaml", "mine.yaml")
    message = told(["equation=mine"], capsys)
    assert "move it to equation/mine.yaml and add --config-dir ." in message


@pytest.mark.parametrize(
    ("setting", "side", "section"),
    [
        ("boundary.left=dirichlet", "lower side of x", "boundary.x"),
        ("boundary.right=dirichlet", "upper side of x", "boundary.x"),
        ("boundary.top=dirichlet", "upper side of y", "boundary.y"),
        ("boundary.bottom=dirichlet", "lower side of y", "boundary.y"),
        ("boundary.x_max=dirichlet", "upper side of x", "boundary.x"),
        ("boundary.u.left=dirichlet", "lower side of x", "boundary.u.x"),
        ("boundary.x.left=dirichlet", "lower side of x", "boundary.x"),
        ("boundary.u.y.right=dirichlet", "upper side of y", "boundary.u.y"),
        ("boundary.default.left=dirichlet", "lower side of x", "boundary.x"),
        ("boundary.x={lower: dirichlet, right: neumann}", "upper side of x", "boundary.x"),
    ],
)
def test_other_names_of_sides(setting, side, section):
    with pytest.raises(PdesimError) as error:
        make_plan("equation=heat", "grid=16", setting)
    example = f"{section}={{lower: neumann, upper: dirichlet}}"
    assert side in str(error.value) and f'"{example}"' in str(error.value)
    make_plan("equation=heat", "grid=16", example)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["equation=gray_scott", "equation.f=0.03"], "did you mean 'F'?"),
        (["equation=Heat"], "did you mean 'heat'?"),
        (["equation=heat", "Grid=64"], "did you mean 'grid'?"),
        (["equation=heat", "time.END=64"], "did you mean 'end'?"),
        (["equation=heat", "initial.U=1"], "did you mean 'u'?"),
        (["equation=heat", "initial.u='SIN(x)'"], "did you mean 'sin'?"),
        (["equation=heat", "initial.u='X'"], "did you mean 'x'?"),
        (["equation=heat", "boundary.x=NEUMANN"], "did you mean 'neumann'?"),
        (["equation=heat", "dt=0.1"], "did you mean 'time.dt'?"),
        (["equation=heat", "D=0.1"], "did you mean 'equation.D'?"),
    ],
)
def test_suggestions_ignore_upper_and_lower_case(words, hint, capsys):
    message = told(words, capsys)
    assert hint in message.partition("hint:")[2]
    assert len(message.splitlines()) <= 10 and max(map(len, message.splitlines())) <= 130


def test_unknown_names_in_formulas_can_be_defined():
    words = ["equation=custom", "grid=8", "equation.rhs={u: 'zeta*u'}"]
    with pytest.raises(PdesimError, match=r"equation\.zeta=1 defines a parameter zeta"):
        make_plan(*words)
    assert make_plan(*words, "equation.zeta=1").equation.parameters["zeta"] == 1
    with pytest.raises(PdesimError) as error:  # a similar name is suggested instead
        make_plan("equation=heat", "grid=8", "equation.rhs.u='d*laplacian(u)'")
    assert "did you mean 'D'?" in str(error.value) and "defines" not in str(error.value)


def test_lists_of_names():
    assert similar_names("f", ["F", "k"]) == ("F",)
    assert similar_names("du", ["Du", "DU", "v"]) == ("DU", "Du")
    names = nearest("name7", [f"name{n}" for n in range(100)])
    assert names.known[0] == "name7" and names.expected.endswith("and 88 more")
    assert nearest("a", ["b"]).expected == "b"
    assert nearest("q", []).expected == "nothing is available"
