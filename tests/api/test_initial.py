"""Initial states from arrays, xarray and other runs."""

from __future__ import annotations

import os
import shutil
import sys

import numpy as np
import pytest
import xarray

import pdesim
from pdesim.api.initial import Space, read_initial
from pdesim.errors import PdesimError
from pdesim.run.rerun import plan_rerun

N = 16
X = (np.arange(N) + 0.5) / N
WAVE = np.sin(2 * np.pi * X) * np.ones((N, 1))
QUICK = {
    "animation": "none",
    "output": {"frames": 2},
    "time": {"end": 0.01},
    "device": {"precision": "float64"},
}
ARRAY = xarray.DataArray(WAVE, dims=("y", "x"), coords={"x": X, "y": X}, name="u")


def heat(folder, **more):
    return pdesim.simulate("heat", folder=folder, **{**QUICK, **more})


def first_frame(run, field="u"):
    return run.to_xarray()[field].isel(time=0).values


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run of a domain that is neither the usual one nor at the origin."""
    domain = {"extent": [2, 1], "origin": [-1, 0]}
    folder = tmp_path_factory.mktemp("earlier") / "run"
    return heat(folder, initial={"u": "cos(pi*x)"}, grid=[24, 12], domain=domain)


def test_a_mode_decays_at_its_rate(tmp_path):
    """exp(-D k^2 t) with the spectral operators, to rounding errors of 100 or so operations."""
    words = {"operators": "spectral", "equation": {"D": 0.1}, "time": {"end": 0.5}}
    run = heat(tmp_path / "run", initial={"u": WAVE}, **words)
    last = run.to_xarray()["u"].isel(time=-1)
    assert last.shape == (N, N)
    assert np.allclose(last, WAVE * np.exp(-0.1 * (2 * np.pi) ** 2 * 0.5), atol=1e-12)


@pytest.mark.parametrize(
    "given",
    [
        {"u": WAVE},
        {"u": WAVE.tolist()},
        {"u": ARRAY},
        {"u": ARRAY.T},
        {"u": ARRAY[::-1, ::-1]},
        {"u": ARRAY.expand_dims(time=1)},
        {"u": ARRAY.drop_vars(["x", "y"])},
        ARRAY,
        xarray.Dataset({"u": ARRAY, "other": ARRAY, "state": "finished"}),
    ],
)
def test_values_are_the_same_in_every_form(given):
    array = read_initial(given).arrays["u"]
    assert np.array_equal(array.values, WAVE)
    assert array.centres is None or np.array_equal(array.centres[0], X)


def test_grid_and_domain_are_those_of_the_array(tmp_path):
    shifted = ARRAY.isel(y=slice(0, 8)).assign_coords(x=2 * X - 1)
    run = heat(tmp_path / "run", initial={"u": shifted})
    with run.snapshots as snapshots:
        grid = snapshots.computed_grid
    assert (grid.points, grid.extent, grid.origin) == ((16, 8), (2, 0.5), (-1, 0))
    assert np.array_equal(first_frame(run), WAVE[:8])


def test_settings_take_precedence_over_the_grid_and_the_domain_of_the_array():
    space = Space((16, 8), (2.0, 0.5), (-1.0, 0.0))
    assert space.overrides([]) == [
        "grid=[16,8]", "domain.extent=[2.0,0.5]", "domain.origin=[-1.0,0.0]",
    ]  # fmt: skip
    assert space.overrides(["grid=32", "domain.extent=1"]) == [
        "domain.dimensions=2", "domain.origin=[-1.0,0.0]",
    ]  # fmt: skip
    assert space.overrides(["grid=[4,4,4]"]) == []


def test_values_with_coordinates_are_interpolated(tmp_path):
    run = heat(tmp_path / "run", initial={"u": ARRAY}, grid=32)
    fine = (np.arange(32) + 0.5) / 32
    # 8-point polynomials, 16 cells per wave: see test_branch.py for the estimate
    assert np.abs(first_frame(run) - np.sin(2 * np.pi * fine)).max() < 1e-4


def test_arrays_and_formulas_together(tmp_path):
    run = pdesim.simulate(
        "gray_scott", "stepper=euler", initial={"u": WAVE, "v": "0.1*x"}, domain={"extent": 1},
        folder=tmp_path / "a", **QUICK,
    )  # fmt: skip
    assert np.array_equal(first_frame(run), WAVE)
    assert np.allclose(first_frame(run, "v"), 0.1 * X)


def test_a_run_with_arrays_is_resumed_branched_and_repeated(tmp_path):
    fields = {"u": 1 + 0 * WAVE, "v": 0.1 * WAVE}
    words = {**QUICK, "stepper": "euler"}
    run = pdesim.simulate("gray_scott", initial=fields, folder=tmp_path / "a", **words)
    again = pdesim.resume(run, time={"end": 0.02})
    assert len(again.snapshots) == 5
    branch = pdesim.branch(run, at=0, equation={"F": 0.05}, folder=tmp_path / "b")
    assert np.array_equal(first_frame(branch, "v"), fields["v"])
    # wherever the folder is
    shutil.move(run.folder, tmp_path / "moved")
    assert np.array_equal(plan_rerun(tmp_path / "moved").plan.initial.values[1], fields["v"])
    assert len(pdesim.resume(tmp_path / "moved", time={"end": 0.03}).snapshots) == 7


def test_another_run(earlier, tmp_path):
    run = heat(tmp_path / "run", initial=earlier)
    with run.snapshots as snapshots:
        grid = snapshots.computed_grid
    assert (grid.points, grid.extent, grid.origin) == ((24, 12), (2, 1), (-1, 0))
    assert np.array_equal(first_frame(run), earlier.to_xarray()["u"].isel(time=-1))


def test_a_run_does_not_overwrite_its_own_initial_state(earlier):
    with pytest.raises(PdesimError, match="would overwrite its initial state"):
        heat(earlier.folder, initial=earlier, output={"overwrite": True})


def test_a_run_of_another_dimension(earlier, tmp_path):
    with pytest.raises(PdesimError, match="is 2-D, but the grid is 1-D"):
        heat(tmp_path / "run", initial=earlier, grid=[16])
    assert not (tmp_path / "run").exists()


BAD = [
    ({"u": WAVE + 0j}, "is an array of complex numbers"),
    ({"u": WAVE * np.nan}, r"initial\['u'\] contains infinite"),
    ({"u": np.ma.masked_array(WAVE, WAVE > 0.5)}, r"initial\['u'\] contains masked"),
    ({"u": np.empty((0, 0))}, r"initial\['u'\] has the shape"),
    ({"u": np.zeros((4, 4, 4, 4))}, r"initial\['u'\] has the shape"),
    ({"u": [[1, 2], [3]]}, r"initial\['u'\] is not an array"),
    ({"u": np.array([["a"]])}, r"initial\['u'\] has the shape"),
    ({"u": 1j}, r"argument initial\.u"),
    ({0: WAVE}, r"initial\[0\] does not name a field"),
    ({"q": WAVE}, "initial.q does not name a field"),
    ({"u": ARRAY.assign_coords(x=X**2)}, "along x are not equally spaced"),
    ({"u": ARRAY.assign_coords(x=np.nan * X)}, "along x are not equally spaced"),
    ({"u": ARRAY.assign_coords(x=list("abcdefghijklmnop"))}, "along x are not equally spaced"),
    ({"u": ARRAY.rename(x="a")}, r"has the dimensions \(y, a\)"),
    ({"u": ARRAY.expand_dims(time=3)}, r"isel\(time=-1\)"),
    (WAVE, "argument initial is of the type ndarray"),
    (3, "argument initial is of the type int"),
    ([1], "argument initial is of the type list"),
    (xarray.Dataset({"q": ARRAY}), "the argument initial contains q"),
    ("haet", "initial=haet"),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=[message for _, message in BAD])
def test_errors_name_the_argument_and_leave_nothing(given, message, tmp_path):
    with pytest.raises(PdesimError, match=message):
        heat(tmp_path / "run", initial=given)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"grid": 32}, r"\(32, 32\), the shape of the grid"),
        ({"grid": [8, 8, 8]}, r"\(8, 8, 8\), the shape"),
        ({"time": {"end": 1, "dt": 100}, "stepper": "euler"}, "stability limit"),
    ],
)
def test_errors_of_other_settings_leave_nothing(more, message, tmp_path):
    with pytest.raises(PdesimError, match=message):
        heat(tmp_path / "run", initial={"u": WAVE}, **more)
    assert not os.listdir(tmp_path)


def test_a_run_that_cannot_start_leaves_nothing(tmp_path, monkeypatch):
    def fails(*_):
        raise PdesimError("no device")

    monkeypatch.setattr(sys.modules["pdesim.api.simulate"], "execute_single", fails)
    with pytest.raises(PdesimError, match="no device"):
        heat(tmp_path / "run", initial={"u": WAVE})
    assert not os.listdir(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(PdesimError, match="no device"):
        heat(tmp_path / "mine", initial={"u": WAVE})
    assert os.listdir(tmp_path) == ["mine"] and not os.listdir(tmp_path / "mine")
