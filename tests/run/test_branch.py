"""``pdesim branch``: new runs from frames of earlier runs."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan

from pdesim.config.changes import changed_settings
from pdesim.errors import PdesimError
from pdesim.output import Snapshots
from pdesim.run.branch import find_origin, plan_branch

FIXED = ("stepper=euler", "time.dt=0.5", "device.precision=float64", "animation=none")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    import pdesim

    folder = tmp_path_factory.mktemp("earlier") / "run"
    pdesim.simulate(
        "equation=gray_scott", "grid=[32,24]", "domain.extent=0.5", "time.end=40",
        "output.frames=4", *FIXED, folder=folder,
    )  # fmt: skip
    return folder


def planned(folder, *overrides, at=None):
    origin = find_origin(folder, at)
    values = changed_settings(origin.config, overrides)
    return plan_branch(origin, values, [o.partition("=")[0] for o in overrides])


def test_a_branch_without_changes_continues_bit_for_bit(earlier, command, tmp_path):
    done = command("branch", str(earlier), "--at", "20", "output.frames=2", "--folder", "again")
    assert done.stdout.strip() == "again"
    with Snapshots(earlier) as one, Snapshots(tmp_path / "again") as other:
        assert other.times[:] == pytest.approx([20, 30, 40])
        for field in ("u", "v"):
            assert np.array_equal(one[field][2:], other[field][:])
        assert (
            other.attributes["branch_of"] == str(earlier) and other.attributes["branched_at"] == 20
        )
    assert f"{earlier} at t = 20" in command("info", "again").stdout.replace("\n", "")


def test_settings_and_sections_can_be_changed(earlier):
    branch = planned(
        earlier, "equation.F=0.05", "stepper=rk4", "boundary=neumann", "time.dt=auto",
        "operators=conv",
    )  # fmt: skip
    plan = branch.plan
    assert plan.equation.parameters["F"] == 0.05 and plan.stepper.method.name == "rk4"
    assert plan.problem.boundary.walls[0][0][0].kind == "neumann"
    assert plan.problem.discretisation.name == "conv"
    # the run has reached its end, so the branch is as long as the run
    assert (plan.times[0], plan.times[-1]) == (40, 80) and "time.end=80" in branch.notes[-1]
    with Snapshots(earlier) as snapshots:
        assert np.array_equal(plan.state[0], snapshots["u"][-1])


@pytest.mark.parametrize("cells", [48, 96])
def test_frames_are_interpolated_to_another_grid(tmp_path, cells):
    """A smooth function on 32 cells, on finer grids: the error is that of 8-point polynomials."""
    import pdesim

    wave = "sin(2*pi*x)*cos(2*pi*y)"
    run = pdesim.simulate(
        "equation=heat", "grid=32", f"initial.u='{wave}'", "time.end=1e-9", *FIXED[2:],
        "output.frames=1", folder=tmp_path / "run",
    )  # fmt: skip
    plan = planned(run.folder, f"grid={cells}", at=0).plan
    exact = make_plan("equation=heat", f"grid={cells}", f"initial.u='{wave}'").state[0]
    # 8th derivative times (h/2)^8 * 105*105/8! / 256 or so: below 1e-6 for 32 cells per wave
    assert np.abs(plan.state[0] - exact).max() < 1e-6
    # twice the domain contains the pattern four times
    wide = planned(run.folder, "grid=64", "domain.extent=2", at=0).plan.state[0]
    with Snapshots(run.folder) as snapshots:
        assert np.allclose(wide, np.tile(snapshots["u"][0], (2, 2)), atol=1e-12)


def test_values_beyond_a_boundary_are_those_of_the_nearest_cell(tmp_path):
    import pdesim

    run = pdesim.simulate(
        "equation=heat", "grid=[8]", "initial.u=x", "boundary=neumann", "time.end=1e-9",
        "output.frames=1", *FIXED[2:], folder=tmp_path / "run",
    )  # fmt: skip
    u = planned(run.folder, "grid=[16]", "domain.extent=2", at=0).plan.state[0]
    assert np.allclose(u[:8], (np.arange(8) + 0.5) / 8) and np.allclose(u[8:], 7.5 / 8)


def test_other_equations_need_values_for_their_own_fields(earlier):
    heat = planned(earlier, "equation=heat", "time.end=41", "time.dt=auto", "stepper=auto")
    assert heat.plan.equation.fields == ("u",)
    with pytest.raises(PdesimError, match="no field 'w'"):
        planned(earlier, "equation=wave", "time.end=41")
    wave = planned(
        earlier, "equation=wave", "time.end=41", "initial.w=0", "time.dt=auto", "stepper=auto"
    )
    assert (wave.plan.state[1] == 0).all() and wave.plan.state[0].std() > 0.01


@pytest.mark.parametrize(
    ("overrides", "at", "message"),
    [
        ([], 50.0, "--at 50 is not a time"),
        (["domain.dimensions=1", "grid=32"], None, "is 2-D, but the grid is 1-D"),
        (["stepper=rk5"], None, "rk4"),
        (["hydra.sweep.dir=x"], None, "not a setting of a run"),
        (["sweep.n=3"], None, "no effect on a single run"),
        (["equation.Q=1"], None, "Q"),
        (["time.end=30"], None, "time.end=30"),
    ],
)
def test_bad_branches(earlier, overrides, at, message):
    with pytest.raises(PdesimError, match=message):
        branch = planned(earlier, *overrides, at=at)
        raise PdesimError(" ".join(branch.plan.notes))


def test_a_frame_of_another_time_is_noted(earlier):
    assert "nearest to t = 14 is that at t = 10" in planned(earlier, at=14.0).notes[0]


def test_snapshots_in_formulas_name_their_times(earlier):
    file = earlier / "snapshots.h5"
    words = ("equation=heat", "grid=[32,24]", "domain.extent=0.5")
    plan = make_plan(*words, f"initial.u=\"snapshot('{file}', 'u', 20) + 1\"")
    with Snapshots(earlier) as snapshots:
        assert np.allclose(plan.state[0], snapshots["u"][2] + 1)
    with pytest.raises(PdesimError, match="no frame at t = 21"):
        make_plan(*words, f"initial.u=\"snapshot('{file}', 'u', 21)\"")


def test_a_branch_without_the_condition_that_stopped_a_run(tmp_path):
    import pdesim

    run = pdesim.simulate(
        "equation=heat", "grid=[16]", "time.end=1", "output.frames=4", "stop.when='t > 0.3'",
        "stop.every=0.1", "animation=none", folder=tmp_path / "run",
    )  # fmt: skip
    plan = planned(run.folder, "stop.when=null").plan
    # the interval between checks goes with the only condition
    assert plan.stops is None and plan.times[-1] == 1
    assert planned(run.folder, "stop.when='t > 0.7'").plan.stops.every == 0.1
