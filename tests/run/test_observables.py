"""Observables, probes and stop conditions: what is recorded, and when runs stop."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from conftest import make_plan

from pdesim.errors import ConfigError, PdesimError
from pdesim.output import read_series

GRAY_SCOTT = (
    "equation=gray_scott", "grid=[32,24]", "domain.extent=0.5", "time.end=20", "output.frames=4",
    "observe={top: 'max(v)', size: 'sqrt(mean(u**2)) + F*t'}", "probes={a: [0.2, 0.31]}",
)  # fmt: skip
#: a steady state u = sin(x) that is approached like exp(-t)
RELAXING = (
    "equation=custom", "equation.rhs={u: '-u + sin(x)'}", "grid=[32]", "domain.extent='2*pi'",
    "initial=zero", "device.precision=float64",
)  # fmt: skip


def recorded(placement, *words, plans=None):
    """The plan of a run, its frames, and the series of each member: (times, values)."""
    from pdesim.engine.simulation import Simulation

    plans = plans or [make_plan("device.precision=float64", *words)]
    parts: dict[int, list] = {number: [] for number in range(len(plans))}
    simulation = Simulation(plans, placement)
    simulation.steps_per_block = 7  # so that steps of an interval fall into several blocks
    frames = list(simulation.frames(record=lambda m, *rows: parts[m].append(rows)))
    series = [
        tuple(np.concatenate(part) for part in zip(*parts[number], strict=True))
        for number in range(len(plans))
        if parts[number]
    ]
    return plans[0], frames, series, simulation


def interpolated(plan, state, point):
    """Bilinear interpolation on a periodic grid, written out."""
    (nx, ny), h = plan.grid.points, plan.grid.spacing
    px, py = point[0] / h[0] - 0.5, point[1] / h[1] - 0.5
    i, j = int(np.floor(px)), int(np.floor(py))
    a, b = px - i, py - j
    at = lambda di, dj: state[:, (j + dj) % ny, (i + di) % nx]  # noqa: E731
    return (
        (1 - a) * (1 - b) * at(0, 0)
        + a * (1 - b) * at(1, 0)
        + (1 - a) * b * at(0, 1)
        + a * b * at(1, 1)
    )


@pytest.mark.parametrize(
    "words",
    [
        "stepper=euler", "stepper=rk4", "stepper=dormand_prince", "stepper=sbdf2",
        "stepper=etdrk4 operators=spectral", "stepper=rk4 observe_every=0.5", "device.jit=false",
        "stepper=dormand_prince observe_every=0.5",
    ],
)  # fmt: skip
def test_records_are_those_of_the_frames(placement, words):
    plan, frames, [(times, values)], simulation = recorded(placement, *GRAY_SCOTT, *words.split())
    assert plan.observables.columns == ("top", "size", "a_u", "a_v")
    assert (np.diff(times) > 0).all() and times[0] == 0 and times[-1] == 20
    every_step = plan.observables.every is None
    accepted = simulation.steps - simulation.rejected
    assert len(times) == (accepted + 1 if every_step else 41)
    for frame in frames:
        row = values[np.abs(times - frame.time).argmin()]
        u, v = frame.state
        expected = [v.max(), np.sqrt((u**2).mean()) + 0.037 * frame.time]
        expected += [*interpolated(plan, frame.state, (0.2, 0.31))]
        assert np.allclose(row, expected, rtol=1e-13)


def test_recording_does_not_change_a_run(placement):
    """Steps are those of a run without observables; only the kernels may round differently."""
    words = [w for w in GRAY_SCOTT if not w.startswith(("observe", "probes"))]
    with_records = recorded(placement, *GRAY_SCOTT, "stepper=rk4")[1]
    without = recorded(placement, *words, "stepper=rk4")[1]
    for one, other in zip(with_records, without, strict=True):
        assert one.time == other.time
        assert np.allclose(one.state, other.state, rtol=1e-13, atol=1e-15)


def test_members_record_their_own_series(placement):
    plans = [
        make_plan("device.precision=float64", *GRAY_SCOTT, "stepper=rk4", f"equation.F={F}")
        for F in (0.03, 0.05)
    ]
    _, frames, series, _ = recorded(placement, plans=plans)
    for number, (times, values) in enumerate(series):
        assert times[-1] == 20 and (np.diff(times) > 0).all()
        u = frames[-1].state[number, 0]
        size = np.sqrt((u**2).mean()) + plans[number].equation.parameters["F"] * 20
        assert values[-1, 1] == pytest.approx(size, rel=1e-13)


@pytest.mark.parametrize(
    ("words", "point", "expected"),
    [
        # linear functions are interpolated exactly, also between the last centre and a boundary
        (["boundary=neumann"], [0.003, 0.69], 0.003 + 2 * 0.69),
        (["boundary=neumann"], [1.5, 0.0], 1.5),
        (["boundary=neumann", "domain.mask='x < 0.5'"], [0.51, 0.35], 0.5625 + 2 * 0.35),
    ],
)
def test_probes(words, point, expected):
    plan = make_plan(
        "equation=heat", "grid=[12,9]", "domain.extent=[1.5,0.7]", "initial.u='x + 2*y'",
        f"probes={{p: {point}}}", *words,
    )  # fmt: skip
    (probe,) = plan.observables.probes
    value = plan.state.reshape(-1)[list(probe.cells)].astype(float) @ np.array(probe.weights)
    assert value == pytest.approx(expected, rel=1e-6)


def test_steady_state_within_one_check_of_the_exact_time(placement):
    """u = sin(x)*(1 - exp(-t)): |du/dt|/|u| falls to s at t = log(1 + 1/s)."""
    words = ("time.end=20", "stop.steady=1e-3", "stop.every=0.05", "output.frames=20")
    _, frames, _, simulation = recorded(placement, *RELAXING, *words, "stepper=rk4")
    stopped = frames[-1].time
    assert np.log(1 + 1e3) <= stopped <= np.log(1 + 1e3) + 0.05
    assert frames[-1].ending == (0,) and not frames[-1].regular
    assert [f.time for f in frames[:-1]] == pytest.approx([0, 1, 2, 3, 4, 5, 6])
    assert "steady" in simulation.stopped[0]


def test_values_inside_of_obstacles_do_not_make_a_state_steady(placement):
    """As above, with a value inside of an obstacle that is 10^6 times that of the solution."""
    words = (
        "equation=custom", "equation.rhs={u: '1 - u'}", "grid=[16]", "domain.extent=1",
        "initial.u='where(x < 0.25, 1e6, 0)'", "domain.mask='x < 0.25'", "boundary.mask=neumann",
        "stop.steady=1e-3", "stop.every=0.05", "time.end=20", "output.frames=20", "stepper=rk4",
    )  # fmt: skip
    frames = recorded(placement, *words)[1]
    assert np.log(1 + 1e3) <= frames[-1].time <= np.log(1 + 1e3) + 0.05


def test_a_condition_on_an_observable(placement):
    words = ("time.end=5", "observe={top: 'max(u)'}", "stop.when='top > 0.5 and t > 0'")
    _, frames, [(times, values)], _ = recorded(placement, *RELAXING, *words, "stop.every=0.01")
    top = np.sin(2 * np.pi * 7.5 / 32 + np.pi / 32)
    assert abs(frames[-1].time - -np.log(1 - 0.5 / top)) < 0.012
    assert times[-1] == frames[-1].time and values[-1, 0] > 0.5 > values[-2, 0] - 1e-3


def test_members_stop_by_themselves(placement):
    words = (*RELAXING, "time.end=5", "stop.when='max(u) > 0.5'", "output.frames=10", "stepper=rk4")
    plans = [make_plan(*words, "equation.rhs={u: 'k*(sin(x) - u)'}", f"+equation.k={k}")
             for k in (1.0, 0.01, 3.0)]  # fmt: skip
    _, frames, _, simulation = recorded(placement, plans=plans)
    assert set(simulation.stopped) == {0, 2}
    ends = {m: frame.time for frame in frames for m in frame.ending}
    assert ends[2] < ends[0] < 1.1 and frames[-1].time == 5


@pytest.mark.parametrize("stepper", ["rk4", "dormand_prince"])
def test_members_that_have_stopped_take_no_steps(placement, stepper):
    """u = 1/(1 - k t) exceeds 2 at t = 0.5/k, and does not exist after t = 1/k."""
    words = ("equation=custom", "equation.rhs={u: 'k*u**2'}", "grid=[16]", "domain.extent=1",
             "initial.u=1", "stop.when='max(u) > 2'", "output.frames=20", f"stepper={stepper}",
             "device.precision=float64")  # fmt: skip
    one = (*words, "time.end=0.55", "+equation.k=1")
    alone = recorded(placement, *one)[3]
    plans = [make_plan(*words, "time.end=5", "output.frames=100", f"+equation.k={k}")
             for k in (1, 0.0)]  # fmt: skip
    _, frames, _, together = recorded(placement, plans=plans)
    assert {m: frame.time for frame in frames for m in frame.ending} == {0: pytest.approx(0.55)}
    assert not together.failures and frames[-1].time == 5
    # dt is chosen for the run, which is longer here, so the numbers are not equal
    assert together.steps_of(0)[0] < 3 * max(alone.steps_of(0)[0], 20)
    assert together.relative_time_error(0)["u"] < 1e-3


def test_stop_after_frames(placement):
    words = ("time.end=5", "output.frames=10", "stop.frames=3")
    frames = recorded(placement, *RELAXING, *words)[1]
    assert [f.index for f in frames] == [0, 1, 2, 3] and frames[-1].regular


class Stop(Exception):
    pass


@pytest.mark.parametrize("words", ["stepper=rk4", "stepper=dormand_prince", "observe_every=0.7"])
@pytest.mark.parametrize("blocks", [3, 6])
def test_resumed_series_have_the_same_bits(placement, tmp_path, words, blocks):
    from pdesim.engine.simulation import Simulation
    from pdesim.output.checkpoint import read_checkpoint, write_checkpoint
    from pdesim.plan import build_plan
    from pdesim.run.files import _series_writer
    from pdesim.run.job import Job

    plan = make_plan(*GRAY_SCOTT, words)

    def simulate(plan, resume, stop_after=None):
        writer = _series_writer(Job(plan, tmp_path, "{}", resume))
        simulation, count = Simulation(plan, placement), 0
        simulation.steps_per_block = 2

        def report(_):
            nonlocal count
            count += 1
            if count == stop_after:
                raise Stop

        try:
            list(simulation.frames(report, lambda _, *rows: writer.append(*rows)))
        except Stop:
            pass
        finally:
            writer.close()
        return simulation, read_series(tmp_path / "series.h5")

    _, (times, values, _) = simulate(plan, False)
    first, (before, _, _) = simulate(plan, False, blocks)
    assert 0 < len(before) < len(times)
    write_checkpoint(tmp_path, first.checkpoint(), "settings")
    checkpoint, _ = read_checkpoint(tmp_path / "checkpoint.h5")
    rest = build_plan(plan.settings, plan.equation.name, checkpoint)
    _, (others, parts, _) = simulate(rest, True)
    assert np.array_equal(times, others)
    for name, series in values.items():
        assert series.tobytes() == parts[name].tobytes()


def test_series_of_a_killed_run_are_recovered(tmp_path):
    from pdesim.output.series import SeriesWriter, recover_series

    path, killed = tmp_path / "series.h5", tmp_path / "killed" / "series.h5"
    killed.parent.mkdir()
    writer = SeriesWriter(path, {"top": "max(u)"}, {"title": "a run"})
    writer.append(np.arange(3.0), np.arange(3.0)[:, np.newaxis])
    killed.write_bytes(path.read_bytes())  # as after SIGKILL: still marked as being written
    writer.close()
    assert recover_series(path) is None and recover_series(tmp_path / "none.h5") is None
    assert recover_series(killed) == 3
    with h5py.File(killed) as file:
        assert not file.swmr_mode and file.attrs["title"] == "a run"
        assert file["top"][:].tolist() == file["time"][:].tolist() == [0, 1, 2]


def test_files_and_messages(command, tmp_path):
    done = command(
        *GRAY_SCOTT, "animation=none", "hydra.run.dir=run", "stop.when='top > 0.2'",
        "stop.every=0.5",
    )  # fmt: skip
    assert "stopped at t = " in done.stderr and "stop.when: top > 0.2" in done.stderr
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert status["state"] == "finished" and status["observed"]["top"] > 0.2
    times, values, about = read_series(tmp_path / "run/series.h5")
    assert times[-1] == status["stopped_at"] == status["time"]
    assert values["top"][-1] == pytest.approx(status["observed"]["top"])
    assert about["top"] == "max(v)" and about["a_u"] == "u at (0.2, 0.31)"
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(tmp_path / "run/series.h5") as data:
        assert list(data.to_dataframe().columns) == ["a_u", "a_v", "size", "top"]
    assert "stop.when: top > 0.2" in command("info", "run").stdout
    again = command("resume", "run")
    assert "pdesim branch run stop.when=null" in again.stderr


def test_observables_do_not_replace_other_columns_of_a_sweep_table(tmp_path):
    from pdesim import sweep
    from pdesim.output import write_sweep_csv

    sweep(
        "equation=heat", "grid=[16]", "time.end=0.1", "output.frames=1",
        "observe={u_mean: 't', stopped: '2*t', energy: 'max(u)'}", "animation=none",
        over={"equation.D": [1e-3, 1e-2]}, folder=tmp_path / "sweep",
    )  # fmt: skip
    lines = write_sweep_csv(tmp_path / "sweep").read_text().splitlines()
    header, *rows = (line.split(",") for line in lines)
    assert len(set(header)) == len(header)
    for row in (dict(zip(header, row, strict=True)) for row in rows):
        assert float(row["observed_u_mean"]) == 0.1 != float(row["u_mean"])
        assert float(row["observed_stopped"]) == 0.2 and float(row["energy"]) > 0


def test_sweep_tables_contain_last_values_and_reasons(command, tmp_path):
    command(
        "-m", *RELAXING, "equation.rhs={u: 'k*(sin(x) - u)'}", "equation.k=0.01,1", "time.end=2",
        "observe={top: 'max(u)', state: 't'}", "stop.when='top > 0.5'", "animation=none",
        "output.frames=8", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    header, slow, fast = (
        line.split(",") for line in (tmp_path / "sweep/sweep.csv").read_text().splitlines()
    )
    slow, fast = (dict(zip(header, row, strict=True)) for row in (slow, fast))
    assert slow["stopped"] == "" and fast["stopped"] == "stop.when: top > 0.5"
    assert float(fast["stopped_at"]) == float(fast["time"]) == float(fast["observed_state"]) < 1
    assert float(slow["time"]) == 2 and float(slow["top"]) < 0.5 < float(fast["top"])


def test_members_with_other_stops_or_probes_do_not_share_a_program(tmp_path):
    from pdesim.sweeps.compose import Composer
    from pdesim.sweeps.members import prepare_member, program_of

    words = [*RELAXING, "time.end=2", f"hydra.sweep.dir={tmp_path}"]
    others = (["stop.frames=3"], ["probes={a: [1]}"], ["observe={top: 'max(u)'}"], ["seed=1"], [])
    keys = [
        program_of(prepare_member(n, tmp_path / str(n), [*words, *more], Composer()))
        for n, more in enumerate(others)
    ]
    assert len(set(keys)) == 4 and keys[3] == keys[4]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["observe={top: u}"], "varies in space"),
        (["observe={top: 'max(w)'}"], "unknown name 'w'"),
        (["observe={time: 'max(u)'}"], "the name 'time'"),
        (["observe={a_u: 'max(u)'}", "probes={a: [1]}"], "two recorded series have the name 'a_u'"),
        (["probes={a: [7]}"], "outside the domain"),
        (["probes={a: [1, 1]}"], "1 coordinates"),
        (["probes={a: [1]}", "domain.mask='x > 0.5'", "boundary=neumann"], "inside an obstacle"),
        (["observe_every=1"], "nothing to observe"),
        (["observe={a: 'max(u)'}", "observe_every=1e-9"], "at most 1,000,000 times"),
        (["stop.when='max(u)'"], "not a condition"),
        (["stop.when='1 > 2'"], "can never hold"),
        (["stop.when='t < 1e9'"], "always holds"),
        (["stop.when='t > 1e9'"], "can never hold"),
        (["stop.frames=101"], "can never hold"),
        (["stop.every=1"], "no condition"),
        (["stop.steady=0"], "positive number"),
    ],
)
def test_bad_settings(words, message):
    with pytest.raises(PdesimError, match=message):
        make_plan(*RELAXING, *words)


def test_parameters_that_are_functions_of_time_can_be_observed(placement):
    """The schedule of a parameter, and one that varies in space, inside of a reduction."""
    words = ("equation=custom", "equation.rhs={u: 'f - u*g'}", "grid=[16]", "domain.extent=1",
             "+equation.f='0.1 + k*heaviside(t - 0.5)'", "+equation.g='1 + x'", "+equation.k=2",
             "observe={f: f, g: 'mean(g)'}", "observe_every=0.25", "time.end=1")  # fmt: skip
    _, _, [(times, values)], _ = recorded(placement, *words, "stepper=rk4")
    assert times == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert values[:, 0] == pytest.approx([0.1, 0.1, 2.1, 2.1, 2.1])
    assert values[:, 1] == pytest.approx(1.5)
    with pytest.raises(PdesimError, match="varies in space"):
        make_plan(*words, "observe={g: g}")


def test_records_add_no_targets_at_which_steps_are_adapted():
    words = (*RELAXING, "time.end=64", "output.frames=4", "stepper=rk4")
    without = make_plan(*words)
    assert without.controlled_targets.all()
    plan = make_plan(*words, "observe={top: 'max(u)'}", "observe_every=0.03", "stop.steady=1e-9",
                     "stop.every=0.07")  # fmt: skip
    assert len(plan.targets) > 2700 and plan.observed_targets.sum() == 2135
    controlled = plan.targets[plan.controlled_targets]
    # those of the run without records, except where a record replaces one, and at most 1/32 apart
    assert len(controlled) <= len(without.targets) + 5
    assert np.diff(controlled).max() <= 2 * (1 + 1e-9)


def test_steady_problems_have_no_steps():
    for words in ("observe={top: 'max(u)'}", "stop.frames=1"):
        with pytest.raises(ConfigError, match="no time steps"):
            make_plan("equation=poisson", "grid=16", words)
