"""Moments over the members of a sweep, compared with NumPy's of stored members."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pdesim.cli.main import main
from pdesim.errors import OutputError
from pdesim.output.moments import Moments
from pdesim.sweeps import ensemble
from pdesim.sweeps.compose import Composer
from pdesim.sweeps.run import compute_sweep

WORDS = (
    "equation=custom", "equation.rhs={u: '0.01*laplacian(u) - u**3', v: 'u - v'}",
    "equation.scalars={T: 'mean(u) - T'}", "initial={u: '0.1*random_normal(1)', v: 1, T: 1}",
    "equation.noise={u: 0.1, T: 0.3}", "grid=[8,6]",
    "time.end=1", "time.dt=0.05", "output.frames=3", "device.precision=float64",
)  # fmt: skip
#: tests run in one process: the console is not a terminal
CONSOLE = Console(stderr=True, quiet=True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.floats(-1e3, 1e3))
def test_moments_of_groups_are_those_of_all_members(sizes, offset):
    random = np.random.default_rng(sum(sizes))
    groups = [offset + random.standard_normal((size, 2, 3)) for size in sizes]
    total = Moments.of(groups[0])
    for group in groups[1:]:
        total = total.combined(Moments.of(group))
    every = np.concatenate(groups)
    assert total.count == len(every)
    if total.count > 1:
        assert np.allclose(total.mean, every.mean(axis=0), rtol=1e-12)
        # rounding of values near the offset
        assert np.allclose(total.variance(), every.var(axis=0, ddof=1), rtol=1e-9, atol=1e-9)
    else:
        assert np.isnan(total.variance()).all()


def read(path):
    with h5py.File(path, "r") as file:
        return {name: file[name][()] for name in file if name not in ("time", "x", "y")}


def sweep(folder, *more, seeds=range(5)):
    jobs = [[*WORDS, *more, f"seed={seed}"] for seed in seeds]
    return compute_sweep(jobs, folder, Composer(), CONSOLE)


def test_moments_are_those_of_stored_members(tmp_path, monkeypatch):
    sweep(tmp_path / "stored")
    members = [read(tmp_path / "stored" / str(n) / "snapshots.h5") for n in range(5)]
    # batches of two members, so that moments are combined
    monkeypatch.setattr("pdesim.sweeps.members.LARGEST_BATCH", 2)
    outcomes = sweep(tmp_path / "moments", "output.ensemble=[mean,variance]")
    assert [one.state for one in outcomes] == ["finished"] * 5
    moments = read(tmp_path / "moments" / "ensemble" / "snapshots.h5")
    assert not (tmp_path / "moments" / "0").exists()
    for field in ("u", "v", "T"):
        states = np.stack([member[field] for member in members])
        assert np.allclose(moments[f"{field}_mean"], states.mean(axis=0), rtol=0, atol=1e-12)
        expected = states.var(axis=0, ddof=1)
        assert np.allclose(moments[f"{field}_variance"], expected, rtol=1e-9, atol=1e-14)


def test_a_stopped_ensemble_goes_on_with_the_missing_members(tmp_path, monkeypatch):
    monkeypatch.setattr("pdesim.sweeps.members.LARGEST_BATCH", 2)
    more = ("output.ensemble=[mean]",)
    sweep(tmp_path / "whole", *more)
    compute, calls = ensemble._compute_batch, []

    def stops_after_one(batch, sums, placement, console, stop, share):
        calls.append(batch)
        if len(calls) == 2:
            stop.caught.append(2)
            raise ensemble.InterruptedRun("stopped by SIGINT", exit_code=130)
        return compute(batch, sums, placement, console, stop, share)

    monkeypatch.setattr(ensemble, "_compute_batch", stops_after_one)
    monkeypatch.setattr(
        "pdesim.run.stopping.StopRequests.reason",
        property(lambda self: ("stopped by SIGINT", 130) if self.caught else None),
    )
    states = [one.state for one in sweep(tmp_path / "parts", *more)]
    assert sorted(states) == ["finished"] * 2 + ["not started"] * 3
    monkeypatch.setattr(ensemble, "_compute_batch", compute)
    states = [one.state for one in sweep(tmp_path / "parts", *more, "resume=auto")]
    assert sorted(states) == ["finished"] * 3 + ["skipped"] * 2
    one, other = (
        read(tmp_path / name / "ensemble" / "snapshots.h5") for name in ("whole", "parts")
    )
    assert np.allclose(one["u_mean"], other["u_mean"], rtol=0, atol=1e-14)
    # members with other settings are not mixed with those in the file
    with pytest.raises(OutputError, match="other settings"):
        sweep(tmp_path / "parts", *more, "resume=auto", "time.dt=0.025")


def test_failed_members_are_left_out_and_reported(tmp_path):
    outcomes = compute_sweep(
        [[*WORDS, "output.ensemble=[mean]", "initial.u=1", f"+equation.k={k}",
          "equation.rhs.u='k*u**3'", "time.unsafe=true"] for k in (-1, 1e6)],
        tmp_path, Composer(), CONSOLE,
    )  # fmt: skip
    assert [one.state for one in outcomes] == ["finished", "failed"]
    assert np.isfinite(read(tmp_path / "ensemble" / "snapshots.h5")["u_mean"]).all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-m", "seed=0,1", "grid=8,16", "output.ensemble=[mean]"], "differ in their fields"),
        (["-m", "seed=0,1", "stop.frames=1", "output.ensemble=[mean]"], "run to time.end"),
        (["output.ensemble=[mean]"], "needs several members"),
        (["-m", "seed=0,1", "output.ensemble=[median]"], "mean"),
        (["-m", "seed=0,1", "output.ensemble=[mean]", "workers=joblib", "workers.n=2"], "workers"),
    ],
)
def test_wrong_ensembles_are_refused(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = [word for word in words if word == "-m"]
    rest = [word for word in words if word != "-m"]
    grid = [] if any(word.startswith("grid=") for word in rest) else ["grid=8"]
    assert main([*flags, "equation=heat", *grid, *rest]) != 0
    assert says in capsys.readouterr().err
