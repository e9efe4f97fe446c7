"""``pdesim rerun``: the same numbers again, or how they differ; nothing else changes."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
import yaml
from made_runs import make_run
from processes import start

from pdesim.cli.main import main
from pdesim.output import Snapshots

QUICK = (
    "equation=gray_scott", "grid=[24,16]", "domain.extent=0.3", "time.end=40", "output.frames=4",
    "animation=none",
)  # fmt: skip


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A run that the tests copy."""
    folder = tmp_path_factory.mktemp("computed")
    process = start([*QUICK, "hydra.run.dir=run", "output.overwrite=true", "seed=3"], folder)
    process.communicate(240)
    assert process.returncode == 0
    return folder / "run"


@pytest.fixture
def original(computed, tmp_path, monkeypatch):
    """A run, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(computed, tmp_path / "run")
    return tmp_path / "run"


def stored(folder) -> dict:
    with h5py.File(folder / "snapshots.h5") as file:
        return {name: file[name][:] for name in file}


def test_a_run_again(command, original, tmp_path):
    before = {path.name: path.read_bytes() for path in original.iterdir() if path.is_file()}
    done = command("rerun", "run")
    folder = tmp_path / done.stdout.strip()
    assert folder.parent == tmp_path / "outputs" / "gray_scott"
    assert "equal to the original bit for bit: 5 frames of u, v" in done.stderr
    found, expected = stored(folder), stored(original)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)
    after = {path.name: path.read_bytes() for path in original.iterdir() if path.is_file()}
    assert after == before
    with Snapshots(folder) as new, Snapshots(original) as old:
        assert new.attributes["rerun_of"] == str(original.resolve())
        assert "rerun_of" not in old.attributes
        # the permission to overwrite is not part of the problem
        assert new.config["output"].pop("overwrite") is False
        assert yaml.safe_load(new.attributes["config"])["seed"] == 3
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    assert str(original.resolve()) in command("info", str(folder)).stdout.replace("\n", "")
    command("rerun", str(folder), "--folder", "third")  # a rerun is a run
    command("resume", "third")


@pytest.mark.parametrize("words", [["--folder", "new"], ["hydra.run.dir=new"]])
def test_a_given_folder(command, original, tmp_path, words):
    done = command("rerun", "run/snapshots.h5", *words)
    assert done.stdout.strip() == "new" and (tmp_path / "new" / "snapshots.h5").exists()
    done = command("rerun", "run", *words, check=2)
    assert "already contains a run" in done.stderr and len(stored(tmp_path / "new")["time"]) == 5


def test_differences_are_told(command, original):
    with h5py.File(original / "snapshots.h5", "r+") as file:
        file["v"][3, 5, 6] += 0.5
        file.attrs["tensorflow_version"] = "1.0"
    status = json.loads((original / "status.json").read_text())
    (original / "status.json").write_text(json.dumps({**status, "device": "another"}))
    said = command("rerun", "run").stderr
    assert "computed with tensorflow 1.0" in said
    assert "differs from the original" in said and "u: equal bit for bit" in said
    assert "v: by at most 5.000e-01, at t = 30" in said
    assert "the original was computed on another" in said


def test_an_original_with_fewer_frames(command, original):
    with h5py.File(original / "snapshots.h5", "r+") as file:
        for name in ("time", "u", "v"):
            file[name].resize(3, axis=0)
    said = command("rerun", "run").stderr
    assert "bit for bit: 3 frames" in said and "only this run has the frames at t = 30, 40" in said


def test_an_original_that_failed(command, tmp_path):
    words = (
        "equation=custom", "equation.rhs={u: 'u**2'}", "initial.u=1", "grid=[8]", "time.end=2",
        "output.frames=4", "stepper=rk4", "time.dt=0.01", "animation=none",
    )  # fmt: skip
    command(*words, "hydra.run.dir=run", check=3)
    done = command("rerun", "run", check=3)
    assert "equal to the original bit for bit" in done.stderr and done.stdout == ""


def test_a_member_of_a_sweep(command, tmp_path):
    command("-m", *QUICK, "equation.F=0.03,0.04", "hydra.sweep.dir=sweep")
    done = command("rerun", "sweep/1", "--folder", "new")
    assert "equal to the original" in done.stderr or "in one program with 2 members" in done.stderr
    with Snapshots(tmp_path / "new") as new:
        assert new.config["equation"]["F"] == 0.04
    assert "contains no snapshots.h5" in command("rerun", "sweep", check=2).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "time.end=3"], "pdesim branch run time.end=3"),
        (["run", "hydra.sweep.dir=x"], "it does not take hydra.sweep.dir=x"),
        (["run", "+hydra.run.dir=x"], "it does not take"),
        (["run", "--folder", "a", "hydra.run.dir=b"], "once"),
        (["run", "--folder", ""], "once"),
        (["run", "--folder", "run"], "already contains a run"),
        (["run", "--folder", "file"], "file"),
        (["run", "--folder", "linked"], "symbolic link"),
        (["run", "run"], "one path"),
        ([], "one path"),
        (["none"], "does not exist"),
    ],
)
def test_what_is_refused(original, tmp_path, capsys, words, told):
    (tmp_path / "file").touch()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "snapshots.h5").symlink_to(tmp_path / "elsewhere")
    assert main(["rerun", *words]) == 2
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said
    assert not (tmp_path / "elsewhere").exists() and not (tmp_path / "outputs").exists()


def test_files_of_others(tmp_path, monkeypatch, capsys):
    """Invalid settings are refused, and Hydra's settings in .hydra are not read."""
    monkeypatch.chdir(tmp_path)
    path = make_run(tmp_path / "run")
    (tmp_path / "run" / ".hydra").mkdir()
    attack = {"hydra": {"callbacks": {"one": {"_target_": "os.abort"}}}}
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(yaml.safe_dump(attack))

    def refused(config: dict | None) -> str:
        with h5py.File(path, "r+") as file:
            del file.attrs["config"]
            if config is not None:
                file.attrs["config"] = yaml.safe_dump(config)
            else:
                file.attrs["config"] = "[1]"
        assert main(["rerun", "run"]) == 2
        return capsys.readouterr().err

    with Snapshots(path) as snapshots:
        config = snapshots.config | {"initial": {"default": 0}}
    assert "the settings in run/snapshots.h5 are not valid: unknown setting hydra" in refused(
        config | attack
    )
    assert "grid" in refused(config | {"grid": [4096, 4096]})
    assert "outside" not in refused(config | {"equation": {"name": "../x", "rhs": {"u": 0}}})
    assert "cannot be read" in refused(None)
    shutil.rmtree(tmp_path / "run" / ".hydra")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_file_without_settings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with h5py.File(make_run(tmp_path / "run"), "r+") as file:
        del file.attrs["config"]
    assert main(["rerun", "run"]) == 2
    assert "contains no settings" in capsys.readouterr().err
