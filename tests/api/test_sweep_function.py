"""Sweeps from Python, compared with separate runs."""

from __future__ import annotations

import os

import numpy as np
import pytest
import xarray

import pdesim
from pdesim.errors import PdesimError

QUICK = {
    "animation": "none",
    "output": {"frames": 2},
    "time": {"end": 0.02},
    "grid": 16,
    "device": {"precision": "float64"},
}
#: members of one program may round differently from a single run
ROUNDING = 1e-12


def sweep(*words, **more):
    return pdesim.sweep("heat", *words, **{**QUICK, **more})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two diffusivities and two means, of which the last frames are the members'."""
    over = {"equation.D": np.array([0.1, 0.2]), "initial.u": ["x", "1 + x"]}
    folder = tmp_path_factory.mktemp("sweep") / "sweep"
    return sweep(over=over, folder=folder, observe={"m": "mean(u)", "end": "max(u)"})


def test_values_are_those_of_separate_runs(data, tmp_path):
    # the name of the formula is that of the field, so the dimension has its full name
    assert data.u.dims == ("D", "initial.u", "y", "x") and data.u.shape == (2, 2, 16, 16)
    words = {**QUICK, "equation": {"D": 0.2}, "initial": {"u": "1 + x"}}
    one = pdesim.simulate("heat", folder=tmp_path / "one", **words).to_xarray().isel(time=-1)
    member = data.sel({"D": 0.2, "initial.u": "1 + x"})
    assert np.allclose(member.u, one.u, rtol=ROUNDING, atol=0)
    assert np.array_equal(member.x, one.x) and float(member.end) == 0.02
    assert (data.state == "finished").all()


def test_observables(data):
    assert np.allclose(data.m, data.u.mean(("x", "y")), rtol=ROUNDING)
    assert np.allclose(data.end_observed, data.u.max(("x", "y")), rtol=ROUNDING)


def test_members_are_runs_in_the_folder_and_initial_states(data, tmp_path):
    run = pdesim.Run(os.path.join(data.attrs["folder"], "3"))
    last = run.to_xarray().isel(time=-1)
    assert np.array_equal(data.u[1, 1], last.u)
    member = data.sel({"D": 0.2, "initial.u": "1 + x"})
    again = pdesim.simulate("heat", initial=member, folder=tmp_path / "a", **QUICK)
    assert np.array_equal(again.to_xarray().u[0], last.u)


def test_the_folder_of_a_sweep_is_not_used_twice(data):
    with pytest.raises(PdesimError, match="already contains a sweep"):
        sweep(over={"equation.D": [1, 2]}, folder=data.attrs["folder"])


def test_all_frames_and_arrays(tmp_path):
    u = np.sin(2 * np.pi * (np.arange(16) + 0.5) / 16) * np.ones((16, 1))
    data = sweep(
        over={"equation.D": [0.1, 0.2]}, frames="all", initial={"u": u}, operators="spectral",
        folder=tmp_path / "sweep",
    )  # fmt: skip
    assert data.u.dims == ("D", "time", "y", "x")
    decay = np.exp(-data.D * (2 * np.pi) ** 2 * data.time)
    expected = decay * xarray.DataArray(u, dims=("y", "x"))
    assert np.allclose(data.u, expected.transpose(*data.u.dims), atol=1e-12)


def test_domains_and_times_that_differ(tmp_path):
    over = {"domain.extent": [1, 2]}
    data = sweep(over=over, folder=tmp_path / "domains")
    assert "x" not in data.coords and data.x_centres.dims == ("extent", "x")
    assert np.allclose(data.x_centres[1], 2 * data.x_centres[0])
    over = {"time.end": [0.1, 0.2]}
    ends = sweep(over=over, folder=tmp_path / "ends")
    assert ends.end.values.tolist() == [0.1, 0.2]
    with pytest.raises(PdesimError, match="frames at different times"):
        sweep(over=over, frames="all", folder=tmp_path / "times")


def test_members_that_fail_are_reported(tmp_path):
    over = {"time.dt": [0.001, 100.0]}
    with pytest.warns(UserWarning, match="member 1: .*stability limit"):
        data = sweep("stepper=euler", over=over, folder=tmp_path / "one")
    assert data.state.values.tolist() == ["finished", "failed"]
    assert np.isfinite(data.u[0]).all() and np.isnan(data.u[1]).all()
    with pytest.raises(PdesimError, match="stability limit"):
        sweep("stepper=euler", over={"time.dt": [100.0, 200.0]}, folder=tmp_path / "all")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"over": {}}, "argument over is {}"),
        ({"over": "equation.D=1,2"}, "argument over is 'equation.D=1,2'"),
        ({"over": {3: [1, 2]}}, "argument over is"),
        ({"over": {"equation.D": []}}, r"over\['equation.D'\] is \[\]"),
        ({"over": {"equation.D": 0.1}}, r"over\['equation.D'\] is 0.1"),
        ({"over": {"boundary": "neumann"}}, r"over\['boundary'\] is 'neumann'"),
        ({"over": {"equation": {"D": [1, 2]}}}, r"over\['equation'\]"),
        ({"over": {"equation.Q": [1, 2]}}, "equation.Q is unknown"),
        ({"over": {"tme.end": [1, 2]}}, "did you mean 'time"),
        ({"over": {"grid": [16, 32]}}, r"over\['grid'\] leads to arrays"),
        ({"over": {"equation.D": [1, 2]}, "frames": "first"}, "argument frames is 'first'"),
        ({"over": {"equation.D": [1, 2]}, "initial": {"u": np.zeros((8, 8))}}, r"initial\['u'\]"),
    ],
)
def test_errors_name_the_argument(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PdesimError, match=message):
        sweep(**arguments)
    assert not os.listdir(tmp_path)
