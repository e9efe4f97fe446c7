"""Settings as Python values, callbacks, and continuing runs from Python."""

from __future__ import annotations

import json
import os
import signal
import threading

import h5py
import numpy as np
import pytest
import xarray

import pdesim
from pdesim.api.arguments import as_overrides
from pdesim.config.compose import compose_settings
from pdesim.errors import InterruptedRun, OutputError, PdesimError

QUICK = {"animation": "none", "output": {"frames": 4}, "time": {"end": 0.04}, "grid": 16}
SIDES = {"lower": {"dirichlet": "sin(pi*y)"}, "upper": "neumann"}


def heat(folder, *words, **more):
    return pdesim.simulate("heat", *words, folder=folder, **{**QUICK, **more})


def composed(*words, **settings):
    return compose_settings(as_overrides(words, settings)).settings


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return heat(tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize(
    ("words", "settings", "section", "expected"),
    [
        (["heat", "grid=8"], {"grid": 16}, "grid", 16),
        (["heat", "grid=8"], {"grid": np.int64(16)}, "grid", 16),
        (["heat"], {"grid": (16, 8)}, "grid", [16, 8]),
        (["heat", "stepper=rkl2", "stepper.stages=15"], {"stepper": "rk4"}, "stepper.name", "rk4"),
        (["heat"], {"stepper": {"stages": 15, "name": "rkl2"}}, "stepper.stages", 15),
        (["heat", "time.end=5"], {"time": {"end": 0.5}}, "time.end", 0.5),
        (["heat", "time.end=5"], {"time": {"start": 1}}, "time.end", 5),
        (["heat"], {"animation": "none"}, "animation.name", "none"),
        (["heat"], {"output": {"times": np.arange(3)}}, "output.times", [0, 1, 2]),
        (["heat"], {"probes": {"a": (0.2, 0.5)}}, "probes", {"a": [0.2, 0.5]}),
        (["heat"], {"boundary": {"x": "neumann"}}, "boundary.x", "neumann"),
        (["boundary=dirichlet"], {"boundary": {"x": "neumann"}}, "boundary.default", "dirichlet"),
        (["heat"], {"boundary": {"x": SIDES}}, "boundary.x", SIDES),
        (["custom"], {"equation": {"rhs": {"u": "A*laplacian(u)"}, "A": 1}}, "equation.A", 1),
        ([], {"equation": {"rhs": {"u": "-u"}, "name": "custom"}}, "equation.rhs", {"u": "-u"}),
        (["heat"], {"equation": "gray_scott"}, "equation.name", "gray_scott"),
        (["heat"], {"initial": {"u": "where(x < 0.5, 1, 0)"}}, "initial.u", "where(x < 0.5, 1, 0)"),
        (["heat"], {"label": "it's 50%, {a: [1]} = \"b\""}, "label", "it's 50%, {a: [1]} = \"b\""),
    ],
)  # fmt: skip
def test_settings_as_words_and_values(words, settings, section, expected):
    value = composed(*words, **settings)
    for name in section.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    assert value == expected


def test_times_of_frames_from_numpy(tmp_path):
    times = np.geomspace(0.1, 10, 5)
    run = heat(tmp_path / "run", output={"times": times}, time={"end": 10})
    with run.snapshots as snapshots:
        assert np.allclose(snapshots.times, [0, *times])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pdesim.simulate("heat", gird=16),
            r"the argument gird=16 [\s\S]*did you mean 'grid'",
        ),
        (lambda: pdesim.simulate("haet"), "equation=haet"),
        (lambda: pdesim.simulate("heat", "rk4"), "argument 2 is 'rk4'"),
        (lambda: pdesim.simulate(3), "argument 1 is 3"),
        (lambda: pdesim.simulate("heat", time={"edn": 1}), "time.edn"),
        (lambda: pdesim.simulate("heat", time=5), "the argument time is 5"),
        (lambda: pdesim.simulate("heat", stepper=None), "the argument stepper is None"),
        (lambda: pdesim.simulate("heat", probes=[1]), r"the argument probes is \[1\]"),
        (lambda: pdesim.simulate("heat", equation={"D": 1j}), "the argument equation.D is 1j"),
        (lambda: pdesim.simulate("heat", equation={"D": float("inf")}), "equation.D is inf"),
        (lambda: pdesim.simulate("heat", time={1: 2}), "time has the key 1"),
        (lambda: pdesim.simulate("heat", callback=3), "the argument callback is 3"),
        (lambda: pdesim.simulate("heat", folder=3), "3 is not a path"),
        (lambda: pdesim.simulate("heat", config_dir="nowhere"), "the argument config_dir"),
        (lambda: pdesim.resume("nowhere"), "contains no run"),
        (lambda: pdesim.resume("nowhere", "heat"), "argument 1 is 'heat'"),
        (lambda: pdesim.branch(None), "None is not a path"),
        (lambda: pdesim.branch("nowhere", at="x"), "the argument at is 'x'"),
        (lambda: pdesim.branch("nowhere", at=np.arange(2)), "the argument at is"),
        (lambda: pdesim.analyze("brusselator", over=3), "over got '3'"),
        (lambda: pdesim.open(None), "None is not a path"),
    ],
)
def test_errors_name_the_argument(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PdesimError, match=message):
        call()
    assert not os.listdir(tmp_path)


def test_a_callback_sees_every_frame(tmp_path):
    seen = []
    run = heat(tmp_path / "run", callback=lambda time, fields: seen.append((time, fields["u"])))
    data = run.to_xarray()
    assert np.array_equal([time for time, _ in seen], data.time)
    assert np.array_equal([u for _, u in seen], data.u)
    assert not seen[0][1].flags.writeable


def test_a_callback_sees_the_solution_of_a_steady_problem(tmp_path):
    seen = []
    pdesim.simulate(
        "poisson", grid=16, animation="none", folder=tmp_path / "run",
        callback=lambda time, fields: seen.append(fields["u"].shape),
    )  # fmt: skip
    assert seen == [(16, 16)]


@pytest.mark.parametrize("kind", [bool, np.bool_])
def test_a_callback_stops_a_run(tmp_path, kind):
    run = heat(tmp_path / "run", callback=lambda time, fields: kind(time < 0.015))
    assert run.status["stopped"] == "the callback returned False"
    assert len(run.snapshots) == 3


def failing(error):
    def callback(time, fields):
        if time > 0.015:
            raise error

    return callback


def test_after_an_error_in_a_callback_the_run_is_resumed(tmp_path, whole):
    with pytest.raises(ValueError, match="mine"):
        heat(tmp_path / "run", callback=failing(ValueError("mine")))
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "failed" and "mine" in status["error"]
    seen = []
    run = pdesim.resume(tmp_path / "run", callback=lambda time, fields: seen.append(time))
    assert seen == pytest.approx([0.03, 0.04])
    assert np.array_equal(run.to_xarray().u, whole.to_xarray().u)


@pytest.mark.parametrize("how", ["exception", "signal"])
def test_an_interrupt_in_a_callback(tmp_path, whole, how):
    def interrupt(time, fields):
        if time > 0.015:
            os.kill(os.getpid(), signal.SIGINT)

    callback = failing(KeyboardInterrupt()) if how == "exception" else interrupt
    with pytest.raises(InterruptedRun, match=r"t = 0\.02; all frames are kept"):
        heat(tmp_path / "run", callback=callback)
    run = pdesim.Run(tmp_path / "run")
    assert run.status["state"] == "interrupted"
    assert np.array_equal(pdesim.resume(run).to_xarray().u, whole.to_xarray().u)


def test_runs_of_the_same_second_have_different_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = {**QUICK, "time": {"end": 0.001}, "output": {"frames": 1}, "grid": 16}
    u, folders = np.zeros((16, 16)), []

    def compute(initial):
        folders.append(pdesim.simulate("heat", initial=initial, **words).folder)

    threads = [threading.Thread(target=compute, args=(one,)) for one in ({"u": u}, None, None)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 3


def test_a_folder_with_a_run_is_not_overwritten(whole):
    with pytest.raises(OutputError, match=r"already contains a run.*\n.*folder="):
        heat(whole.folder)


def test_open_snapshots_do_not_block_resume_branch_and_overwrite(tmp_path):
    run = heat(tmp_path / "run")
    snapshots = run.snapshots
    pdesim.resume(run, time={"end": 0.08})
    assert len(snapshots) == 9 and snapshots["u"].shape == (9, 16, 16)
    pdesim.branch(run, at=0.04, time={"end": 0.06}, folder=tmp_path / "branch")
    assert len(snapshots) == 9
    heat(run.folder, output={"overwrite": True, "frames": 1})
    assert len(snapshots) == 2


@pytest.mark.parametrize("library", ["h5py", "xarray"])
def test_files_that_others_have_opened_are_named(tmp_path, library):
    run = heat(tmp_path / "run")
    path = run.folder / "snapshots.h5"
    opened = h5py.File(path) if library == "h5py" else xarray.open_dataset(path, engine="netcdf4")
    with opened, pytest.raises(PdesimError, match=r"opened it(.|\n)*close it first"):
        pdesim.resume(run, time={"end": 0.08})
    assert len(pdesim.resume(run, time={"end": 0.08}).snapshots) == 9


def test_all_names_have_docstrings():
    assert {*pdesim.__all__} <= {*dir(pdesim)}
    for name in pdesim.__all__:
        thing = getattr(pdesim, name)
        assert thing.__doc__, name
        if not isinstance(thing, type):
            assert "Raises:" in thing.__doc__ and "Args:" in thing.__doc__, name
