"""Completion in shells: what is completed, how fast, and the scripts as the shells run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pdesim.cli.complete import _build
from pdesim.cli.main import COMMANDS, main
from pdesim.completion.cache import cache_file, cached_catalog
from pdesim.completion.scripts import SCRIPTS
from pdesim.completion.words import FILE, FOLDER, complete
from pdesim.config.compose import choices
from pdesim.steppers import METHODS

#: libraries that take longer to import than a completion may take
SLOW = ("tensorflow", "sympy", "hydra", "omegaconf", "pydantic", "numpy", "h5py", "matplotlib")
#: largest time of a completion in seconds; it takes 0.2 s on two cores of a small server
LONGEST = 0.5
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def catalog():
    return _build()


@pytest.fixture(scope="module")
def shell(tmp_path_factory, catalog):
    """The environment of a shell that finds the command, and a cache that is up to date."""
    folder = tmp_path_factory.mktemp("shell")
    script = folder / "bin" / "pdesim"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pdesim "$@"\n')
    script.chmod(0o755)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(paths),
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    pdesim(environment, "completion", "bash")
    return environment


def pdesim(environment: Mapping[str, str], *words: str, options: Sequence[str] = ()):
    line = [sys.executable, *options, "-m", "pdesim", *words]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=True)


def found(catalog, line: str) -> list[str]:
    return list(complete(line.split(" "), catalog))


def test_commands_and_settings(catalog):
    words = found(catalog, "")
    assert set(COMMANDS) <= set(words) and "complete" not in words
    assert {"equation=", "equation.", "time.", "grid=", "seed=", "hydra."} <= set(words)
    assert found(catalog, "ver") == ["verify"]
    assert found(catalog, "time.e") == ["time.end=", "time.events="]
    assert found(catalog, "hydra.") == ["hydra.run.", "hydra.sweep."]
    assert found(catalog, "equation=heat rend") == []  # a command comes first


def test_values(catalog):
    assert found(catalog, "stepper=rk") == ["stepper=rk4", "stepper=rkl2"]
    assert set(found(catalog, "stepper=")) == {f"stepper={name}" for name in [*METHODS, "auto"]}
    assert found(catalog, "device.precision=") == [f"device.precision=float{n}" for n in (32, 64)]
    assert found(catalog, "output.overwrite=t") == ["output.overwrite=true"]
    assert "boundary.x=neumann" in found(catalog, "boundary.x=")
    assert "animation.colormap=magma" in found(catalog, "animation.colormap=ma")
    assert found(catalog, "-m equation=heat,gray") == ["equation=heat,gray_scott"]
    assert found(catalog, "equation=lin") == ["equation=linear_system"]
    assert found(catalog, "hydra.run.dir=o") == [FOLDER]
    assert found(catalog, "grid=") == []


def test_the_parameters_and_fields_of_the_chosen_equation(catalog):
    chosen = "equation=gray_scott "
    names = found(catalog, f"{chosen}equation.")
    assert {"equation.F=", "equation.k=", "equation.Du="} <= set(names)
    assert complete(["equation=gray_scott", "equation.F"], catalog) == {"equation.F=": "0.037"}
    assert found(catalog, f"{chosen}initial.") == ["initial.default=", "initial.u=", "initial.v="]
    assert found(catalog, f"{chosen}animation.field=v") == ["animation.field=v"]
    assert found(catalog, "equation=none equation.F") == []


def test_files_of_the_user(catalog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my" / "equation"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("defaults: [other, _self_]\nrate: 2\nrhs: {w: rate*w}\n")
    (folder / "other.yaml").write_text("defaults: [mine]\ndecay: 1\n")
    (folder / "broken.yaml").write_text("rate: [\n")
    assert found(catalog, "--config-dir my equation=mi") == ["equation=mine"]
    assert found(catalog, "--config-dir=my equation=mine equation.ra") == ["equation.rate="]
    assert found(catalog, "-cd my equation=mine equation.d") == ["equation.decay="]
    assert found(catalog, "-cd my equation=broken equation.ra") == []
    large = f"big: 0x{'f' * 9999}\n1: 2\ndefaults: {['mine', 'other', 'large'] * 50}\nrhs: 3\n"
    (folder / "large.yaml").write_text(large)
    assert found(catalog, "-cd my equation=large equation.b") == ["equation.big="]
    assert found(catalog, "verify --config-dir my equation=mi") == ["equation=mine"]
    assert found(catalog, "--config-dir ") == [FOLDER]


def test_words_and_options_of_commands(catalog):
    assert found(catalog, "info ") == [FILE]
    assert found(catalog, "info run --j") == ["--json"]
    assert found(catalog, "export run --to n") == ["netcdf", "npz"]
    assert found(catalog, "export run --to=n") == ["--to=netcdf", "--to=npz"]
    assert found(catalog, "verify --markdown t") == [FILE]
    assert "time.end=" in found(catalog, "resume run time.e")
    assert set(found(catalog, "render run ")) == {FILE, "animation=", "animation.", "montage."}
    assert found(catalog, "completion ") == [*SCRIPTS]
    assert "gray_scott" in found(catalog, "list g")
    assert found(catalog, "--cfg ") == ["job", "hydra", "all"]
    assert "--multirun" in found(catalog, "--")
    for name in COMMANDS:
        assert "--help" in found(catalog, f"{name} --")


def test_every_choice_has_a_description(catalog):
    for name in choices("equation"):
        assert catalog.choices[f"equation={name}"]
    assert max(map(len, catalog.choices.values())) <= 80


def test_the_cache(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr("pdesim.completion.cache.cache_file", lambda: tmp_path / "a" / "c.json")
    built = []

    def build():
        built.append(1)
        return catalog

    assert cached_catalog(build) == cached_catalog(build) == catalog
    assert len(built) == 1
    path = tmp_path / "a" / "c.json"
    values = json.loads(path.read_text())
    for damaged in ("", "[]", "{}", "[" * 100000, json.dumps({**values, "commands": 3})):
        path.write_text(damaged)
        assert cached_catalog(build) == catalog
    path.write_text(json.dumps({**values, "stamp": "of another version"}))
    assert cached_catalog(build) == catalog
    assert len(built) == 7
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "a").write_text("not a folder")  # it cannot be stored
    assert cached_catalog(build) == catalog


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_file().is_relative_to(tmp_path)


def test_completion_imports_no_slow_library_and_is_fast(shell):
    words = ["complete", "--", "equation=gray_scott", "equation."]
    done = pdesim(shell, *words, options=["-X", "importtime"])
    assert "equation.F=" in done.stdout
    imported = {row.rpartition("|")[2].strip().partition(".")[0]
                for row in done.stderr.splitlines()}  # fmt: skip
    assert "yaml" in imported and not imported & set(SLOW)
    seconds = []
    for _ in range(5):  # the shortest one, because other programs may be running
        began = time.perf_counter()
        pdesim(shell, *words)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < LONGEST


BASH = """
eval "$(pdesim completion bash)"
try() {
    COMP_LINE="$1" COMP_POINT=${#1}
    COMP_WORDS=("${@:2}")
    COMP_CWORD=$(($# - 2))
    _pdesim
    echo "${COMPREPLY[*]}"
}
try "pdesim stepper=rk" pdesim stepper = rk
try "pdesim equation=" pdesim equation =
try "pdesim equation=gray_scott equation.D" pdesim equation = gray_scott equation.D
try "pdesim equation=heat ver" pdesim equation = heat ver
try "pdesim equation= time.e" pdesim equation = time.e
try "pdesim equation= " pdesim equation = ""
try "pdesim render fol" pdesim render fol
try "pdesim render a" pdesim render "a "
try "pdesim hydra.run.dir=fol" pdesim hydra.run.dir = fol
try "pdesim export x --to n" pdesim export x --to n
complete -p pdesim
"""


@pytest.mark.skipif(not shutil.which("bash") or sys.platform == "win32", reason="no bash")
def test_bash(shell, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.txt").touch()
    (tmp_path / "a file").touch()
    done = subprocess.run(["bash", "-c", BASH], env=shell, cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    assert done.stderr == ""
    rk, names, parameters, none, joined, empty, files, blank, folder, formats, told = (
        done.stdout.splitlines()
    )
    assert rk == "rk4 rkl2" and "gray_scott" in names.split() and none == joined == ""
    assert parameters == "equation.Du= equation.Dv=" and "time." in empty.split()
    assert sorted(files.split()) == ["folder", "folder.txt"] and blank == "a file"
    assert folder == "folder" and formats == "netcdf npz"
    assert told == "complete -F _pdesim pdesim"


ZSH = """
compdef() { }
compadd() { local name=${@[-1]}; print -r -- "${(P)name}" }
_files() { print files "$@" }
compset() { }
source <(pdesim completion zsh)
try() { words=("$@"); CURRENT=$#; PREFIX=${@[-1]}; _pdesim }
try pdesim stepper=rk
try pdesim equation=gray_scott equation.D
try pdesim render x
try pdesim hydra.run.dir=x
"""


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh(shell, tmp_path):
    done = subprocess.run(["zsh", "-f", "-c", ZSH], env=shell, cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    assert done.stdout.splitlines() == [
        "stepper=rk4 stepper=rkl2", "equation.Du= equation.Dv=", "files", "files -/"
    ]  # fmt: skip
    subprocess.run(["zsh", "-n"], input=SCRIPTS["zsh"], text=True, check=True)


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
def test_fish(shell, tmp_path):
    (tmp_path / "folder").mkdir()
    subprocess.run(["fish", "-n"], input=SCRIPTS["fish"], text=True, check=True)
    lines = ("stepper=rk", "equation=gray_scott equation.D", "render fol", "hydra.run.dir=fol")
    code = "pdesim completion fish | source\n"
    code += "\n".join(f"complete -C 'pdesim {line}'" for line in lines)
    done = subprocess.run(["fish", "-c", code], env=shell, cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    words = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert words == ["stepper=rk4", "stepper=rkl2", "equation.Du=", "equation.Dv=", "folder/",
                     "hydra.run.dir=folder/"]  # fmt: skip


def test_the_commands(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, script in SCRIPTS.items():
        assert main(["completion", name]) == 0
        assert capsys.readouterr().out == script
    for words in ([], ["csh"], ["bash", "zsh"]):
        assert main(["completion", *words]) == 2
        said = capsys.readouterr().err
        assert "bash" in said and "expected:" in said and "Traceback" not in said
    assert main(["complete", "--", "stepper=rk4"]) == 0
    assert capsys.readouterr().out.startswith("stepper=rk4\t")
    assert main(["complete"]) == 0
    assert "list" in capsys.readouterr().out
