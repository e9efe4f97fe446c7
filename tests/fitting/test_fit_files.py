"""Data files, the files of a fit, its command and its continuation."""

from __future__ import annotations

import json
import re
import signal
import time
import zipfile

import h5py
import numpy as np
import pytest
import yaml
from made_fits import QUIET, compose, computed_fit, decaying_mode, fit_task
from processes import start

import pdesim
from pdesim.errors import ConfigError, OutputError, PdesimError
from pdesim.fitting.compute import compute
from pdesim.fitting.data import read_observations
from pdesim.fitting.log import LOG
from pdesim.fitting.run import resume_fit, run_fit
from pdesim.fitting.settings import DataSettings

TIMES = np.linspace(0, 1, 6)
HEAT = ["equation=heat", "initial.u='sin(2*pi*x)'", "fit={equation.D: [0.003, 0.3]}"]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A run of heat in 2-D on a grid that is not square, with D = 0.02."""
    folder = tmp_path_factory.mktemp("film") / "run"
    pdesim.simulate(
        "heat", "initial.u='sin(2*pi*x)+cos(2*pi*y/Ly)'", grid=[16, 8], domain={"extent": [2, 1]},
        equation={"D": 0.02}, time={"end": 1}, output={"frames": 5}, animation="none",
        device={"precision": "float64"}, folder=folder,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("layout", ["well", "pdebench", "npz", "folder", "snapshots"])
def test_all_layouts_contain_the_same_data(layout, film, tmp_path):
    from pdesim.export import export

    names = {"well": "film.hdf5", "pdebench": "film_pdebench.h5", "npz": "film.npz"}
    if layout in names:
        path = tmp_path / names[layout]
        export(film, layout, path)
    else:
        path = film if layout == "folder" else film / "snapshots.h5"
    found = read_observations(DataSettings(file=str(path)), ("u",))
    with pdesim.open(film) as snapshots:
        times, values, x = snapshots.times, snapshots["u"][:], snapshots.coordinates("x")
    # The Well and PDEBench store single precision
    assert np.allclose(found.times, times, rtol=1e-6)
    assert found.values["u"].shape == (6, 8, 16)
    assert np.allclose(found.values["u"], values, rtol=1e-6, atol=1e-6)
    assert found.centres is not None and np.allclose(found.centres[0], x, rtol=1e-6)


def test_a_tensor_of_pdebench_with_trajectories(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.random((3, 4, 6)).astype(np.float32)
    with h5py.File(tmp_path / "burgers.hdf5", "w") as file:
        file["tensor"] = values
        file["x-coordinate"] = (np.arange(6) + 0.5) / 6
        file["t-coordinate"] = np.arange(5.0)  # PDEBench stores one more
    data = DataSettings(file=str(tmp_path / "burgers.hdf5"), trajectory=2, every=2)
    found = read_observations(data, ("v",))
    assert np.array_equal(found.times, [0, 2])
    assert np.array_equal(found.values["v"], values[2, ::2].astype(float))


def test_vectors_and_masks(tmp_path):
    """Components of vectors of The Well, and a mask of NumPy's convention."""
    rng = np.random.default_rng(0)
    velocity = rng.random((2, 3, 6, 5, 2)).astype(np.float32)  # trajectory, time, x, y, component
    with h5py.File(tmp_path / "flow.hdf5", "w") as file:
        file["dimensions/time"] = np.arange(3.0)
        file["dimensions/x"], file["dimensions/y"] = np.arange(6.0), np.arange(5.0)
        file["t1_fields/velocity"] = velocity
        file.create_group("t0_fields").attrs["field_names"] = np.array([], h5py.string_dtype())
    data = DataSettings(file=str(tmp_path / "flow.hdf5"), trajectory=1, fields={"b": "velocity_y"})
    found = read_observations(data, ("a", "b"))
    assert np.array_equal(found.values["b"], velocity[1, ..., 1].transpose(0, 2, 1).astype(float))
    mask = np.zeros((3, 4), bool)
    mask[1, 2:] = True
    np.savez(tmp_path / "masked.npz", time=np.arange(3.0), a=np.ones((3, 4)), mask=mask)
    found = read_observations(DataSettings(file=str(tmp_path / "masked.npz")), ("a",))
    assert np.array_equal(np.isnan(found.values["a"]), mask)


def test_an_array_without_times_takes_those_of_the_settings(tmp_path):
    np.save(tmp_path / "u.npy", np.ones((3, 8)))
    data = DataSettings(file=str(tmp_path / "u.npy"), times=[0, 1, 3])
    assert np.array_equal(read_observations(data, ("u",)).times, [0, 1, 3])
    with pytest.raises(ConfigError, match="no times for its 3 frames"):
        read_observations(DataSettings(file=str(tmp_path / "u.npy")), ("u",))


def test_a_part_of_a_run_is_compared_in_its_own_cells(tmp_path):
    """Every second cell of a region, of frames that begin later."""
    pdesim.simulate(
        "heat", "initial.u='sin(2*pi*x)*sin(2*pi*y)'", grid=16, equation={"D": 0.02},
        time={"end": 1}, animation="none", folder=tmp_path / "run",
        output={"frames": 5, "stride": 2, "region": {"x": [0.2, 0.8]}},
    )  # fmt: skip
    words = ["equation=heat", "initial.u='sin(2*pi*x)*sin(2*pi*y)'", "data.times=[0.4,1]",
             f"data={tmp_path / 'run'}", "fit={equation.D: [0.003, 0.3]}"]  # fmt: skip
    task = fit_task(tmp_path / "fit", words)
    assert task.settings.grid == [16, 16] and task.observations.shape == (8, 5)
    found = compute(task, tmp_path / "fit", QUIET).result
    # the frames are stored in single precision
    assert found.parameters["equation.D"] == pytest.approx(0.02, rel=1e-5)
    assert found.values == 2 * 8 * 5


def test_the_first_frame_is_the_initial_state(film, tmp_path):
    found = computed_fit(tmp_path, [HEAT[0], HEAT[2], f"data={film}"])
    assert found.result.parameters["equation.D"] == pytest.approx(0.02, rel=1e-6)
    assert found.result.values == 5 * 8 * 16
    assert found.residuals.forward.family.base.grid.extent == (2.0, 1.0)


def test_a_film_around_an_obstacle(tmp_path):
    """Cells in the obstacle are neither compared nor needed in the initial state."""
    words = ["equation=heat", "grid=12", "domain.mask='r < 0.2'", "initial.u='sin(2*pi*x)'"]
    folder = tmp_path / "run"
    pdesim.simulate(*words, "equation.D=0.02", "output.frames=4", "time.end=0.4",
                    "animation=none", "device.precision=float64", folder=folder)  # fmt: skip
    fit = [*words[:1], words[2], f"data={folder}", "fit={equation.D: [0.003, 0.3]}"]
    found = computed_fit(tmp_path / "fit", fit)
    assert found.residuals.skip_first
    assert found.result.values == 4 * (144 - 16)  # 16 cells have r < 0.2
    # default runs have errors in time of 1e-4 and less
    assert found.result.parameters["equation.D"] == pytest.approx(0.02, rel=1e-3)
    without = fit_task(tmp_path / "none", [fit[0], *fit[2:]])
    assert not without.from_data and "not complete" in without.notes[0]


WRONG = {
    "no data": ([], None, "no data are given"),
    "no file": (["data=nothing.h5"], None, "no such file"),
    "another grid": (["grid=[16]"], {}, r"have the shape \(32,\)"),
    "another number of axes": (["grid=16"], {}, "is 1-D, but the grid is 2-D"),
    "another domain": (["grid=[32]", "domain.extent=2"], {"x": (np.arange(32) + 0.5) / 32},
                       "has cells at x = 0.015625"),
    "all NaN": ([], {"u": np.full((6, 32), np.nan)}, "u in .* is NaN everywhere"),
    "infinite": ([], {"u": np.full((6, 32), np.inf)}, "infinite"),
    "unknown field": ([], {"u": None, "w": np.ones((6, 32))}, "none of the fields"),
    "field of the settings": (["data.fields=[w]"], {}, "no field of this equation"),
    "field of the file": (["data.fields={u: temperature}"], {}, "no field 'temperature'"),
    "late": (["time.end=0.5"], {}, "a frame at t = 0.6, but the run is from"),
    "early": (["time.start=0.5"], {}, "a frame at t = 0,"),
    "only the start": (["data.times=[0]"], {}, "no frame after the initial state"),
    "time not in the file": (["data.times=[0,0.33]"], {}, "no frame at this time"),
    "descending times": ([], {"time": TIMES[::-1]}, "not ascending"),
    "other lengths": ([], {"time": TIMES[:3]}, "but there are 6 frames"),
    "other shapes": ([], {"u": np.ones((6, 32, 1, 1, 1))}, "has the shape"),
    "text": ([], {"u": np.full((6, 32), "a")}, "contains no frames|there are 0 frames"),
    "trajectory": (["data.trajectory=1"], {}, "data.trajectory is 1"),
    "noise": (["data.noise={w: 1}"], {}, "data.noise names w"),
    "negative noise": (["data.noise=-1"], {}, "data.noise is -1"),
    "option of the data": (["data.sigma=1"], {}, "unknown setting data.sigma"),
    "option of the fit": (["fit.restarts=1"], {}, "unknown option fit.restarts"),
    "bounds": (["fit={equation.D: [1, 1]}"], {}, "the bounds of equation.D"),
    "one bound": (["fit={equation.D: [1]}"], {}, "fit.equation.D.bounds"),
    "log of zero": (["fit={equation.D: {bounds: [0, 1], scale: log}}"], {}, "scale is log"),
    "start": (["fit={equation.D: {bounds: [0.1, 1], start: 2}}"], {}, "the start of equation.D"),
    "unknown parameter": (["fit={equation.E: [0, 1]}"], {}, "equation.E cannot be fitted"),
    "short name": (["fit={D: [0, 1]}"], {}, "unknown option fit.D"),
    "grid": (["fit={grid: [16, 32]}"], {}, "unknown option fit.grid"),
    "stepper": (["fit={stepper.stages: [3, 9]}"], {}, "changes the program"),
    "formula": (["fit={initial.u: [0, 1]}"], {}, "it is the formula"),
    "given dt": (["time.dt=0.01", "stepper=euler"], {}, "no run is possible at equation.D=0.3"),
    "obstacles": (["domain.mask='x > D'"], {}, "domain.mask"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_and_settings(case, tmp_path, monkeypatch):
    """One message, before anything is computed."""
    words, changes, message = WRONG[case]
    monkeypatch.chdir(tmp_path)
    arrays = None
    if changes is not None and case != "no data":
        arrays = {"time": TIMES, "u": decaying_mode(0.03, TIMES)[0], **changes}
        arrays = {name: values for name, values in arrays.items() if values is not None}
    fit = [] if any(word.startswith("fit={") for word in words) else [HEAT[2]]
    with pytest.raises(PdesimError, match=message) as caught:
        task = fit_task(tmp_path / "fit", [*HEAT[:2], *fit, *words], arrays)
        computed_task(task, tmp_path / "fit")
    assert len(str(caught.value).splitlines()) <= 6
    assert not (tmp_path / "fit" / LOG).exists()


def computed_task(task, folder):
    return compute(task, folder, QUIET)


def test_a_parameter_without_any_effect_is_an_error(tmp_path):
    data, _ = decaying_mode(0.03, TIMES)
    words = ["equation=custom", "equation.rhs={u: '0.03*laplacian(u) + q*0*u'}", "equation.q=0.5",
             "initial.u='sin(2*pi*x)'", "fit={equation.q: [0, 1]}"]  # fmt: skip
    with pytest.raises(ConfigError, match=r"equation.q cannot be fitted: the derivatives"):
        computed_fit(tmp_path, words, {"time": TIMES, "u": data})


def test_a_refused_fit_leaves_its_folder_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*data_file(tmp_path), "hydra.run.dir=fit"]
    with pytest.raises(PdesimError, match="no run is possible"):
        run_fit(compose([*words, "time.dt=0.01"]), compose, QUIET)
    assert not (tmp_path / "fit" / "fit_settings.yaml").exists()
    found = run_fit(compose(words), compose, QUIET)
    assert found.parameters["equation.D"] == pytest.approx(0.03, rel=0.05)
    with pytest.raises(OutputError, match="already contains a fit"):
        run_fit(compose(words), compose, QUIET)


def test_an_archive_that_declares_more_than_the_memory_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("u.npy", b"0" * 1000)
        archive.infolist()[0].file_size = 2**50  # as the header of a damaged file may say
    with pytest.raises(OutputError, match="more than half of the memory"):
        read_observations(DataSettings(file=str(tmp_path / "bomb.npz")), ("u",))


def test_steady_problems_and_maps_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", time=[0, 1], u=np.ones((2, 8, 8)), z=np.ones((2, 8, 8)))
    words = [f"data={tmp_path / 'd.npz'}", "grid=8", "equation.a=1", "fit={equation.a: [0, 2]}"]
    for equation in ("solve={u: 'laplacian(u) - a'}", "map={u: 'u**2 + a'}"):
        with pytest.raises(PdesimError, match="fits need runs in time"):
            task = fit_task(tmp_path, ["equation=custom", f"equation.{equation}", *words])
            compute(task, tmp_path, QUIET)
    noisy = ["equation=custom", "equation.rhs={u: '-a*u'}", "equation.noise={u: 0.1}", *words]
    with pytest.raises(PdesimError, match="one path"):
        compute(fit_task(tmp_path, noisy), tmp_path, QUIET)


def data_file(folder):
    rng = np.random.default_rng(4)
    exact, _ = decaying_mode(0.03, TIMES)
    np.savez(folder / "film.npz", time=TIMES, u=exact + 0.01 * rng.standard_normal(exact.shape))
    return ["equation=heat", "initial.u='sin(2*pi*x)'", "data=film.npz", "stepper=rk4",
            "fit={equation.D: [0.003, 0.3], starts: 2}"]  # fmt: skip


@pytest.mark.slow
def test_the_command_and_the_fitted_model(command, tmp_path):
    words = data_file(tmp_path)
    done = command("fit", *words, "hydra.run.dir=fit")
    assert "equation.D" in done.stdout and "pdesim --config-dir fit equation=fitted" in done.stdout
    result = yaml.safe_load((tmp_path / "fit" / "fit.yaml").read_text())
    estimate = result["parameters"]["equation.D"]
    assert abs(estimate["estimate"] - 0.03) < 4 * estimate["standard_error"]
    assert (tmp_path / "fit" / "fit.png").stat().st_size > 5000
    run = re.search(r"^pdesim (--config-dir fit equation=fitted)$", done.stdout, re.M)
    command(*run[1].split(), "animation=none", "hydra.run.dir=again", "device=cpu")
    with pdesim.open(tmp_path / "again") as snapshots:
        assert np.allclose(snapshots.times, TIMES)
        model, _ = decaying_mode(estimate["estimate"], TIMES)
        # single precision
        assert np.abs(snapshots["u"][:] - model).max() < 1e-5
    assert yaml.safe_load(command("info", "fit").stdout) == result
    refused = command("fit", *words, "hydra.run.dir=fit", check=2)
    assert "already contains a fit" in refused.stderr
    as_json = json.loads(command("fit", *words, "--json").stdout)
    assert as_json["parameters"] == result["parameters"]


def test_a_fit_from_files_of_the_user(command, tmp_path):
    """Nested settings in a configuration file, with an equation of the user."""
    data_file(tmp_path)
    (tmp_path / "my" / "equation").mkdir(parents=True)
    (tmp_path / "my" / "experiment").mkdir()
    (tmp_path / "my" / "equation" / "spread.yaml").write_text(
        "kappa: 0.1\nrhs:\n  u: kappa*laplacian(u)\n"
    )
    (tmp_path / "my" / "experiment" / "film.yaml").write_text(
        "# @package _global_\ndefaults:\n- override /equation: spread\n"
        "initial: {u: 'sin(2*pi*x)'}\n"
        "data:\n  file: film.npz\n  noise: {u: 0.01}\n"
        "fit:\n  initial_state: settings\n  equation.kappa:\n    bounds: [0.001, 0.9]\n"
        "    scale: log\n"
    )
    command("fit", "--config-dir", "my", "experiment=film", "hydra.run.dir=fit")
    result = yaml.safe_load((tmp_path / "fit" / "fit.yaml").read_text())
    assert result["parameters"]["equation.kappa"]["estimate"] == pytest.approx(0.03, rel=0.02)
    command("--config-dir", "fit", "equation=fitted", "animation=none", "hydra.run.dir=run")
    with pdesim.open(tmp_path / "run") as snapshots:
        assert snapshots.config["equation"]["kappa"] == pytest.approx(0.03, rel=0.02)


def test_a_killed_fit_gives_the_same_numbers(tmp_path, monkeypatch):
    """A killed process leaves the first lines of the log, the last of them incomplete."""
    monkeypatch.chdir(tmp_path)
    task = fit_task(tmp_path / "whole", data_file(tmp_path))
    whole = compute(task, tmp_path / "whole", QUIET).result
    log = (tmp_path / "whole" / LOG).read_text()
    lines = log.splitlines(keepends=True)
    assert len(lines) > 5
    for number in range(1, len(lines), 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        half = lines[number][: len(lines[number]) // 2]
        (folder / LOG).write_text("".join(lines[:number]) + half)
        found = compute(task, folder, QUIET).result
        assert (folder / LOG).read_text() == log
        assert found.as_dict() | {"run": ""} == whole.as_dict() | {"run": ""}


@pytest.mark.slow
def test_kill_9_and_resume(command, tmp_path):
    words = [*data_file(tmp_path), "time.dt=4e-5", "fit.differences=central"]
    process = start(["fit", *words, "hydra.run.dir=killed"], tmp_path)
    log = tmp_path / "killed" / LOG
    for _ in range(600):
        if log.exists() and log.read_text().count("\n") >= 3:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = log.read_text()
    assert not (tmp_path / "killed" / "fit.yaml").exists()
    command("resume", "killed")
    command("fit", *words, "hydra.run.dir=whole")
    text = log.read_text()
    assert text == (tmp_path / "whole" / LOG).read_text()
    assert text.startswith(before[: before.rindex("\n")]) and len(text) > len(before)


def test_a_log_of_another_fit_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, words = tmp_path / "fit", data_file(tmp_path)
    compute(fit_task(folder, words), folder, QUIET)
    with pytest.raises(OutputError, match="other settings or other data"):
        compute(fit_task(folder, [*words, "stepper=heun"]), folder, QUIET)
    with pytest.raises(ConfigError, match="own settings"):
        resume_fit(folder, ["time.end=3"], QUIET)
    (folder / LOG).write_text("no log\n")
    with pytest.raises(OutputError, match="is damaged"):
        compute(fit_task(folder, words), folder, QUIET)


def test_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exact, _ = decaying_mode(0.03, TIMES)
    arrays = {"time": TIMES, "u": exact}
    found = pdesim.fit(
        "heat", initial={"u": "sin(2*pi*x)"}, data=arrays,
        parameters={"equation.D": {"bounds": [0.001, 0.9], "scale": "log"}}, fit={"starts": 2},
    )  # fmt: skip
    assert found.parameters["equation.D"] == pytest.approx(0.03, rel=1e-5)
    assert "equation.D = 0.0" in repr(found) and found.correlations.shape == (1, 1)
    assert len(found.starts) == 2 and not found.warnings
    run = found.run(animation="none")
    assert np.abs(run.to_xarray().u.values - exact).max() < 1e-5
    again = pdesim.fit(
        "heat", initial={"u": "sin(2*pi*x)"}, data=found.folder / "data.npz",
        parameters={"equation.D": [0.001, 0.9]}, folder=tmp_path / "again",
    )  # fmt: skip
    assert again.parameters["equation.D"] == pytest.approx(0.03, rel=1e-5)
    with pytest.raises(OutputError, match="already contains a fit"):
        pdesim.fit("heat", data=arrays, parameters={"equation.D": [0.001, 1]}, folder=again.folder)
    with pytest.raises(ConfigError, match="the argument data is of the type int"):
        pdesim.fit("heat", data=3, parameters={"equation.D": [0.001, 1]})
