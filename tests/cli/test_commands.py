"""Commands as commands: an empty folder, a process, the files read back."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import yaml
from processes import start

from pdesim.cli.main import main
from pdesim.config.compose import choices, compose_settings, groups

QUICK = (
    "equation=heat", "grid=[24,16]", "domain.extent=[1,1]", "output.frames=3", "time.end=0.1",
    "animation=none",
)  # fmt: skip


def test_light_commands_do_not_import_tensorflow(tmp_path):
    code = (
        "import sys\n"
        "from pdesim.cli.main import main\n"
        "for line in sys.argv[1:]:\n"
        "    words = line.split()\n"
        "    sys.argv = ['pdesim', *words]\n"
        "    main(words)\n"
        "    if 'tensorflow' in sys.modules:\n"
        "        sys.exit(f'pdesim {line} imports TensorFlow')"
    )
    lines = ("", "--help", "render --help", "bench --help", "list", "converge grid=[6]", "gird=3")
    lines += ("analyze equation=heat grid=[8]",)
    done = subprocess.run([sys.executable, "-c", code, *lines, "lst", "--version"], cwd=tmp_path)
    assert done.returncode == 0


def test_help_and_list(command, tmp_path):
    assert "equation=gray_scott grid=512" in command("--help").stdout
    assert command().stdout == command("--help").stdout  # no words: help, not a run of a default
    told = command("list", fresh=True).stdout
    for part in (
        "gray_scott",
        "poisson",
        "linear_system  Dense linear systems",
        "rk4",
        "list NAME",
    ):
        assert part in told
    assert told.count("\n") <= 70 and max(map(len, told.splitlines())) <= 105
    told = command("list", "equation").stdout
    for part in ("gray_scott", "u*v**2", "F = 0.037", "poisson", "0 = laplacian(u) + source"):
        assert part in told
    assert list(tmp_path.iterdir()) == []


def test_a_run_leaves_its_files(command, tmp_path):
    done = command(*QUICK, "hydra.run.dir=out", "animation=gif", fresh=True)
    assert done.stdout.strip() == "out"
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {
        "snapshots.h5",
        "snapshots.xdmf",
        "checkpoint.h5",
        "animation.gif",
        "diagnostics.csv",
        "diagnostics.png",
        "status.json",
        "pdesim.log",
        ".hydra",
    }
    status = json.loads((out / "status.json").read_text())
    assert status["state"] == "finished" and status["frames"] == 4 and status["time"] == 0.1
    with h5py.File(out / "snapshots.h5") as file:
        assert file["u"].shape == (4, 16, 24) and file["u"].dtype == np.float32
        assert file["u"].chunks == (1, 16, 24) and file["u"].compression == "gzip"
        assert file["u"].attrs["long_name"] == "temperature"
        assert [d[0].name for d in file["u"].dims] == ["/time", "/y", "/x"]
        np.testing.assert_allclose(file["time"][:], np.linspace(0, 0.1, 4))
        np.testing.assert_allclose(file["x"][:], (np.arange(24) + 0.5) / 24)
        assert yaml.safe_load(file.attrs["config"])["grid"] == [24, 16]
        assert file.attrs["equation"] == "du/dt = D*laplacian(u)"
        assert {"Conventions", "pdesim_version", "seed", "tensorflow_version"} <= set(file.attrs)
        fields = file["u"][:].astype(np.float64)
    rows = np.genfromtxt(out / "diagnostics.csv", delimiter=",", names=True)
    np.testing.assert_allclose(rows["u_mean"], fields.mean((1, 2)), rtol=1e-9)
    np.testing.assert_allclose(rows["u_integral"], fields.mean((1, 2)), rtol=1e-9)
    np.testing.assert_allclose(rows["u_l2"], np.sqrt((fields**2).mean((1, 2))), rtol=1e-9)
    np.testing.assert_allclose(rows["u_max"], fields.max((1, 2)), rtol=1e-9)

    import xarray

    for engine in ("h5netcdf", None):
        with xarray.open_dataset(out / "snapshots.h5", engine=engine) as dataset:
            assert dataset["u"].dims == ("time", "y", "x")
            assert dataset["u"].sel(time=0.1, method="nearest").shape == (16, 24)


def test_default_folder_and_render(command, tmp_path):
    command(*QUICK)
    (folder,) = (tmp_path / "outputs" / "heat").iterdir()
    words = ("render", str(folder), "animation.colormap=magma", "animation.fps=10")
    done = command(*words, fresh=True)
    assert done.stdout.strip().endswith("animation.gif")
    assert (folder / "animation.gif").stat().st_size > 1000
    assert "magma" in command("render", str(folder), "animation.colormap=magm", check=2).stderr
    assert "no" in command("render", str(tmp_path / "none"), check=2).stderr


def test_a_sweep_makes_a_folder_per_job(command, tmp_path):
    command("-m", *QUICK, "equation.D=1e-3,2e-3", "hydra.sweep.dir=sweep", fresh=True)
    found = []
    for job in ("0", "1"):
        with h5py.File(tmp_path / "sweep" / job / "snapshots.h5") as file:
            found.append(yaml.safe_load(file.attrs["config"])["equation"]["D"])
    assert found == [1e-3, 2e-3]


def test_a_job_that_fails_does_not_stop_its_sweep(command, tmp_path):
    done = command(
        "-m",
        *QUICK,
        "equation.D=1e-3,1e9,2e-3",
        "time.dt=1e-4",
        "stepper=euler",
        "hydra.sweep.dir=s",
        check=2,
    )
    assert "stability limit" in done.stderr and "Traceback" not in done.stderr
    for job, there in (("0", True), ("1", False), ("2", True)):
        assert (tmp_path / "s" / job / "snapshots.h5").exists() == there


@pytest.mark.parametrize(
    "arguments",
    [
        ["gird=3"],
        ["gird=3", "--config-name=config"],  # with a flag of Hydra's own, too
        ["equation=heat", "grid=-4"],
        ["-m", "equation=heat", "grid=0,abc"],
        ["rendr", "x"],
        ["equation=heat", "boundary.x={lower: {dirichlet: 'u'}}"],
        ["initial.u=sin(x)"],
        ["equation=custom"],
        ["--config-dir", "nowhere", "equation=heat"],
    ],
)
def test_mistakes_are_told_on_one_screen_and_leave_nothing(command, tmp_path, arguments):
    done = command(*arguments, check=None)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and 0 < len(done.stderr.splitlines()) <= 10
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there(command):
    from pdesim.engine.device import start_tensorflow
    from pdesim.settings import Device

    if start_tensorflow(Device()).is_gpu:
        pytest.skip("there is a GPU")
    done = command(*QUICK, "device=gpu", check=2)
    assert "no GPU" in done.stderr and "Traceback" not in done.stderr


def test_nothing_is_overwritten(command, tmp_path):
    command(*QUICK, "hydra.run.dir=out")
    before = (tmp_path / "out" / "snapshots.h5").read_bytes()
    done = command(*QUICK, "hydra.run.dir=out", check=2)
    assert "output.overwrite=true" in done.stderr
    assert (tmp_path / "out" / "snapshots.h5").read_bytes() == before
    command(*QUICK, "hydra.run.dir=out", "output.overwrite=true", "seed=3")
    assert (tmp_path / "out" / "snapshots.h5").read_bytes() != before


def test_an_output_folder_that_cannot_be_made(command, tmp_path):
    (tmp_path / "file").write_text("")
    done = command(*QUICK, "hydra.run.dir=file/run", check=2)
    assert "hydra.run.dir" in done.stderr and "Traceback" not in done.stderr


def test_divergence_keeps_the_good_frames(command, tmp_path):
    done = command(
        "equation=custom",
        "equation.rhs={u: 'u**2'}",
        "initial={u: 1}",
        "grid=[8]",
        "time.end=2",
        "time.dt=0.001",
        "output.frames=20",
        "hydra.run.dir=out",
        "animation=none",
        check=3,
    )
    # the exact solution 1 / (1 - t) ends at t = 1
    assert "Error executing" not in done.stderr  # Hydra's own line
    assert "without bound at t = 1" in done.stderr and "time.dt" in done.stderr
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "failed"
    with h5py.File(tmp_path / "out" / "snapshots.h5") as file:
        assert 0.9 <= file["time"][-1] <= 1.1 and np.isfinite(file["u"][:]).all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_keeps_the_frames(tmp_path, number):
    words = ("equation=heat", "grid=64", "time.end=1e6", "time.dt=0.05", "output.frames=100000")
    process = start([*words, "animation=none", "hydra.run.dir=out"], tmp_path)
    rows = tmp_path / "out" / "diagnostics.csv"
    deadline = time.time() + 120
    while time.time() < deadline and (not rows.exists() or len(rows.read_text().splitlines()) < 4):
        time.sleep(0.1)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "frames are kept" in told and "Traceback" not in told
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "interrupted"
    with h5py.File(tmp_path / "out" / "snapshots.h5") as file:
        assert len(file["time"]) >= 3


def test_own_equations_from_a_folder(command, tmp_path):
    (tmp_path / "my" / "equation").mkdir(parents=True)
    (tmp_path / "my" / "equation" / "logistic.yaml").write_text(
        "a: 3\nrhs: {n: 'a*n*(1 - n) + 1e-3*laplacian(n)'}\n"
    )
    options = ("grid=[16]", "time.end=1", "output.frames=4", "animation=none", "hydra.run.dir=out")
    command("--config-dir", "my", "equation=logistic", "initial.n=0.1", *options)
    with h5py.File(tmp_path / "out" / "snapshots.h5") as file:
        assert file.attrs["equation_name"] == "logistic"
        exact = 1 / (1 + 9 * np.exp(-3))
        np.testing.assert_allclose(file["n"][-1], exact, rtol=0.02)
    assert "logistic" in command("list", "--config-dir", "my").stdout


def test_from_python(tmp_path, monkeypatch):
    import pdesim

    monkeypatch.chdir(tmp_path)
    run = pdesim.simulate("equation=heat", "grid=16", "output.frames=2", "animation=none")
    with run.snapshots as snapshots:
        assert snapshots.fields == ("u",) and snapshots["u"].shape == (3, 16, 16)
    assert run.to_xarray()["u"].dims == ("time", "y", "x")
    second = pdesim.simulate("equation=heat", "grid=16", "output.frames=2", "animation=none")
    assert second.folder != run.folder
    with pdesim.open(second.folder) as snapshots:
        assert len(snapshots) == 3
    with pytest.raises(pdesim.PdesimError, match="grid"):
        pdesim.simulate("gird=16")


@pytest.mark.parametrize(
    "name",
    [
        "list", "analyze", "render", "resume", "recover", "info", "export", "verify", "converge",
        "bench",
    ],
)  # fmt: skip
def test_every_command_has_a_page_of_help(name, capsys):
    assert main([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: pdesim {name}")
    assert main([name, "--nonsense"]) == 2
    assert f"pdesim {name} does not take --nonsense" in capsys.readouterr().err


def test_lists_of_one_group_or_equation(capsys):
    assert main(["list", "gray_scott"]) == 0
    told = capsys.readouterr().out
    assert "Pearson, Science 261" in told and "initial v: 0.25*spots" in told
    for words, part in {
        ("steppers",): "rkl2  order 2",
        ("stepper",): "Meyer, Balsara, Aslam",
        ("operators",): "spectral  Fourier series",
        ("functions",): "arctan2(y, x)",
        ("equations",): "kuramoto_sivashinsky",
        ("linear_system",): "Dense linear systems A x = y",
        ("rk4",): "stepper=rk4  order 4, explicit",
        ("auto",): "solver=auto  transform where it applies",
        ("waves",): "wave  Small vibrations",
        ("excitable", "media"): "oregonator  The Belousov-Zhabotinsky reaction",
    }.items():
        assert main(["list", *words]) == 0
        assert part in capsys.readouterr().out
    assert main(["list", "steper"]) == 2
    assert "did you mean 'stepper'" in capsys.readouterr().err
    assert main(["list", "heat", "wave"]) == 2
    assert "at most one name" in capsys.readouterr().err


def test_the_overview_lists_every_equation_and_every_choice(capsys):
    """The names of one's own equations come with their descriptions."""
    assert main(["list"]) == 0
    words = set(re.split(r"[,\s]+", capsys.readouterr().out))
    for group in groups():
        assert {*choices(group)} <= words


def test_values_are_listed_as_they_are_written(capsys):
    """Boundary conditions are words of the command line; nothing is listed for no parameters."""
    told = {}
    for name in choices("equation"):
        assert main(["list", name]) == 0
        told[name] = capsys.readouterr().out
        assert "{'" not in told[name] and "': " not in told[name]
    assert "parameters:" not in told["inviscid_burgers"] and "parameters:" in told["heat"]
    assert "boundary: periodic\n" in told["heat"]
    line = next(one for one in told["rayleigh_benard"].splitlines() if "boundary:" in one)
    words = shlex.split(line.removeprefix("    boundary: "))
    there = compose_settings(["equation=rayleigh_benard"]).values["boundary"]
    assert compose_settings(["equation=heat", *words]).values["boundary"] == there
