"""``pdesim compare``: exact differences, interpolation, and what cannot be compared."""

from __future__ import annotations

import json
import math

import h5py
import numpy as np
import pytest
from made_runs import make_run, values

import pdesim
from pdesim.cli.main import main
from pdesim.comparison import compare
from pdesim.comparison.compute import norms
from pdesim.comparison.match import match_times
from pdesim.errors import OutputError
from pdesim.model.resampling import halve, interpolate, interpolation_uses_any, uses_any

D, T = 0.05, 1.0
#: dt/dx^2 is small and the method of order 5, so that only the error in space is left
HEAT = (
    "equation=heat", f"equation.D={D}", "initial.u='sin(2*pi*x)'", f"time.end={T}",
    "stepper=dormand_prince", "time.tolerance=1e-10", "output.frames=2", "animation=none",
    "device.precision=float64",
)  # fmt: skip


@pytest.fixture(scope="module")
def heat(tmp_path_factory, placement):
    """Runs of the heat equation with a known solution, by the number of cells."""
    folder = tmp_path_factory.mktemp("heat")
    for cells in (32, 48, 64, 128):
        pdesim.simulate(*HEAT, f"grid=[{cells}]", folder=folder / str(cells))
    return folder


def amplitude(cells: int, time: float = T) -> float:
    """The exact solution of the discrete equation: the mode is an eigenvector of the stencil."""
    h = 1 / cells
    return math.exp(-D * (2 - 2 * math.cos(2 * math.pi * h)) / h**2 * time)


@pytest.mark.parametrize(("coarse", "fine"), [(32, 64), (64, 128), (32, 48), (48, 64), (64, 32)])
def test_differences_on_two_grids(heat, coarse, fine):
    found = compare(heat / str(coarse), heat / str(fine))
    last = found.fields["u"][-1]
    apart = abs(amplitude(coarse) - amplitude(fine))
    assert last.relative_l2 == pytest.approx(apart / amplitude(fine), rel=1e-4)
    assert last.l2 == pytest.approx(apart / math.sqrt(2), rel=1e-4)
    peak = abs(np.sin(2 * np.pi * (np.arange(min(coarse, fine)) + 0.5) / min(coarse, fine))).max()
    assert last.l_inf == pytest.approx(apart * peak, rel=1e-4)
    assert found.interpolated and not found.equal
    assert found.points == ((coarse,), (fine,), (min(coarse, fine),))
    # the initial state is the same function, up to the error of the interpolation
    assert found.fields["u"][0].l_inf < 1e-7
    assert [one.time for one in found.fields["u"]] == [0, T / 2, T]


def test_the_order_of_convergence(heat):
    """The difference of two grids is three quarters of the error of the coarser one."""
    first, second = (compare(heat / str(n), heat / str(2 * n)).fields["u"][-1].l2 for n in (32, 64))
    assert math.log2(first / second) == pytest.approx(2, abs=0.01)


def test_equal_runs(heat, capsys):
    found = compare(heat / "32", heat / "32" / "snapshots.h5")
    assert found.equal and not found.interpolated
    assert all((one.l2, one.relative_l2, one.l_inf) == (0, 0, 0) for one in found.fields["u"])
    assert main(["compare", str(heat / "32"), str(heat / "32")]) == 0
    assert "u: equal bit for bit" in capsys.readouterr().out


def test_norms_of_known_differences(tmp_path):
    """Field number 2 is twice field number 1: the relative norms are known."""
    make_run(tmp_path / "a", dtype="float64", fields=("u", "a"))
    path = make_run(tmp_path / "b", dtype="float64", fields=("u", "a"))
    with h5py.File(path, "r+") as file:
        file["u"][...] *= 2
        file["a"][1, 2, 3] += 5
    found = compare(tmp_path / "a", tmp_path / "b")
    for frame, one in enumerate(found.fields["u"]):
        u = values((6, 4), 3)[frame]
        assert one.relative_l2 == pytest.approx(0.5) and not one.equal
        assert one.l_inf == pytest.approx(np.abs(u).max())
        assert one.l2 == pytest.approx(np.sqrt(np.mean(u**2)))
    assert [one.l_inf for one in found.fields["a"]] == [0, 5, 0]
    assert found.fields["a"][1].l2 == pytest.approx(5 / math.sqrt(24))
    assert list(compare(tmp_path / "a", tmp_path / "b", "a").fields) == ["a"]


def test_frames_without_a_partner_are_named(tmp_path, capsys):
    make_run(tmp_path / "a", frames=5, interval=0.5)
    make_run(tmp_path / "b", frames=3, interval=0.75)
    found = compare(tmp_path / "a", tmp_path / "b")
    assert [one.time for one in found.fields["u"]] == [0, 1.5]
    assert found.unmatched == ((0.5, 1, 2), (0.75,))
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    said = capsys.readouterr().out
    assert "3 of the frames of a have no frame of b at the same time: t = 0.5, 1, 2" in said
    assert "1 of the frames of b" in said


def test_times_match_within_rounding_errors():
    a = np.linspace(0, 1, 11)
    assert match_times(a, a * (1 + 1e-12)) == [(i, i) for i in range(11)]
    assert match_times(a, a[::-1]) == [(i, 10 - i) for i in range(11)]
    assert match_times(a, np.array([0.2, 0.25, 0.3 + 1e-6, 0.4])) == [(2, 0), (4, 3)]
    assert match_times(np.array([0.0, 0.0]), np.array([0.0])) == [(0, 0)]
    assert match_times(a, np.array([])) == []


def test_fields_of_one_run_only(tmp_path, capsys):
    make_run(tmp_path / "a", fields=("u", "v"))
    make_run(tmp_path / "b", fields=("w", "u"))
    found = compare(tmp_path / "a", tmp_path / "b")
    assert list(found.fields) == ["u"] and found.only == (("v",), ("w",))
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fields_only_in"] == {"a": ["v"], "b": ["w"]}


def test_numbers_that_are_not_finite(tmp_path, capsys):
    make_run(tmp_path / "a")
    with h5py.File(make_run(tmp_path / "b"), "r+") as file:
        file["u"][1, 0, 0], file["u"][2, 0, 0] = np.nan, np.inf
        file["a"][:] = 0
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    told = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert told["fields"]["u"]["l_inf"] == [0, None, None]
    assert told["fields"]["a"]["relative_l2"] == [None] * 3  # the reference is 0
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "largest difference nan at t = 0.5" in capsys.readouterr().out


def test_obstacles_are_left_out(tmp_path):
    mask = np.zeros((6, 4))
    mask[0] = 1
    make_run(tmp_path / "a", mask=mask)
    with h5py.File(make_run(tmp_path / "b"), "r+") as file:
        file["u"][:, 0] = 1e9
    found = compare(tmp_path / "a", tmp_path / "b")
    assert found.left_out == 4 and found.fields["u"][0].l_inf == 0


def test_stored_parts(tmp_path, placement):
    """Runs that store every second cell, or a part of the domain."""
    words = ("equation=heat", "grid=[16,24]", "domain.extent=[1,1.5]", "initial.u='x + 2*y*y'",
             "boundary=neumann", "time.end=0.01", "output.frames=1", "animation=none",
             "device.precision=float64")  # fmt: skip
    for name, more in {
        "all": [], "stride": ["output.stride=[2,3]"], "region": ["output.region={x: [0.2, 0.6]}"]
    }.items():  # fmt: skip
        pdesim.simulate(*words, *more, folder=tmp_path / name)
    found = compare(tmp_path / "all", tmp_path / "stride")
    assert found.points == ((16, 24), (8, 8), (8, 8))
    assert max(one.l_inf for one in found.fields["u"]) == 0  # cell centres, interpolated exactly
    with pytest.raises(OutputError, match="stores x from"):
        compare(tmp_path / "all", tmp_path / "region")
    assert compare(tmp_path / "region", tmp_path / "region").equal


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"shape": (5,)}, "dimensions"),
        ({"fields": ("w",)}, "no field in common"),
        ({"interval": 0.3, "first": 0.1}, "no frames at the same time"),
        ({"extent": 4.0}, "x extends from"),
    ],
)
def test_runs_that_cannot_be_compared(tmp_path, capsys, words, told):
    make_run(tmp_path / "a")
    first, extent = words.pop("first", 0), words.pop("extent", None)
    with h5py.File(make_run(tmp_path / "b", **words), "r+") as file:
        file["time"][:] += first
        if extent is not None:
            file["x"][:] *= extent
            file.attrs["config"] = "{}"
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    said = capsys.readouterr().err
    assert told in said and "expected:" in said and "Traceback" not in said


def test_compression_by_a_plugin(command, tmp_path):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    make_run(tmp_path / "a", compression=hdf5plugin.Blosc2())
    make_run(tmp_path / "b")
    told = json.loads(command("compare", "a", "b", "--json", fresh=True).stdout)
    assert told["fields"]["u"]["l_inf"] == [0, 0, 0]


def test_wrong_arguments(tmp_path, capsys):
    path = str(make_run(tmp_path / "a"))
    for words in ([], [path], [path, path, path], [path, str(tmp_path / "no")],
                  [path, path, "--field", "q"], [path, ""]):  # fmt: skip
        assert main(["compare", *words]) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said and "expected:" in said
    assert "did you mean" in said or "one of a, u" in said or "two paths" in said


def test_json(tmp_path, capsys):
    path = str(make_run(tmp_path / "a", frames=40))
    assert main(["compare", path, path, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["equal"] is True and len(told["fields"]["u"]["times"]) == 40
    assert told["grid"] == {"a": [4, 6], "b": [4, 6], "compared": [4, 6], "interpolated": False,
                            "left_out": 0}  # fmt: skip
    assert main(["compare", path, path]) == 0
    said = capsys.readouterr().out
    assert "56 more rows: --json shows all" in said and "40 frames at common times" in said


def test_norms_of_extreme_values():
    large = np.full(8, 1e200)
    assert norms(large, large) == (pytest.approx(1e200), 1, 1e200)
    assert norms(np.zeros(3), np.zeros(3)) == (0, 0, 0)
    assert norms(np.ones(3), np.zeros(3))[1] == math.inf


def test_interpolation():
    """Against polynomials, which are reproduced, waves, and the function for half the cells."""
    x = np.arange(20) + 0.5
    places = np.linspace(0.2, 19.9, 33)
    for power in range(8):
        found = interpolate((x / 20) ** power, [places], [False])
        np.testing.assert_allclose(found, (places / 20) ** power, atol=1e-12)
    waves = np.cos(2 * np.pi * (np.arange(64) + 0.5) / 64)
    found = interpolate(waves, [np.linspace(0, 64, 41)], [True])
    np.testing.assert_allclose(found, np.cos(2 * np.pi * np.linspace(0, 1, 41)), atol=1e-8)
    field = np.random.default_rng(1).random((2, 12, 16))
    middle = [np.arange(1, n, 2) for n in (16, 12)]
    assert np.array_equal(interpolate(field, middle, [True, False]), halve(field, [True, False]))
    own = [np.arange(n) + 0.5 for n in (16, 12)]
    assert np.array_equal(interpolate(field, own, [True, False]), field)
    flags = field > 0.95
    assert np.array_equal(interpolation_uses_any(flags, own, [True, False]), flags)
    assert np.array_equal(
        interpolation_uses_any(flags, middle, [True, False]), uses_any(flags, [True, False])
    )
