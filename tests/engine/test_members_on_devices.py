"""Members of a batch that several devices divide have bit for bit the results of one device."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field

import h5py
import numpy as np
import pytest
from conftest import make_plan

from pdesim.cli.main import main
from pdesim.engine.device import Placement
from pdesim.engine.distributed.decomposition import divided
from pdesim.engine.distributed.eligibility import check_distributed, devices_for
from pdesim.engine.distributed.members import MembersSimulation
from pdesim.engine.distributed.simulation import DistributedSimulation, build_simulation
from pdesim.engine.simulation import Simulation
from pdesim.errors import DeviceError, DivergedError, InterruptedRun
from pdesim.plan import build_plan
from pdesim.sweeps import members as sweep_members
from pdesim.sweeps.members import can_share

CPU = Placement("/CPU:0", "CPU")
GPU = Placement("/GPU:0", "GPU")

FEEDS = ("equation.F=0.02", "equation.F=0.03 seed=3", "equation.F=0.05", "equation.k=0.055 seed=2")
SEEDS = tuple(f"seed={seed}" for seed in range(4))
#: settings of all members, and those in which members differ
CASES = {
    "given steps": ("equation=gray_scott grid=[12,17] stepper=rk4 time.dt=1 time.end=20", FEEDS),
    "automatic steps, whose numbers differ": (
        "equation=heat grid=[12,16] stepper=heun boundary.x=dirichlet time.end=0.1 "
        "device.precision=float64",
        ("equation.D=0.01", "equation.D=0.02", "equation.D=0.05 seed=1", "seed=3"),
    ),
    "adaptive steps": (
        "equation=gray_scott grid=[24,37] stepper=dormand_prince time.end=60",
        # in single precision, the error of a step has few correct digits
        [f"equation.F={F} seed={n}" for n, F in enumerate((0.02, 0.03, 0.04, 0.05, 0.055, 0.06))],
    ),
    "adaptive steps without flat arrays": (
        "equation=burgers grid=[16,17] stepper=bogacki_shampine time.end=0.05 operators=conv", SEEDS
    ),
    "modes": ("equation=gray_scott grid=[16,24] operators=spectral time.end=40", FEEDS),
    "several steps": (
        "equation=gray_scott grid=16 operators=spectral stepper=sbdf2 time.end=40", FEEDS
    ),
    "implicit": (
        "equation=heat grid=[12,16] stepper=crank_nicolson time.end=0.1",
        ("equation.D=0.01", "equation.D=0.02", "equation.D=0.05 seed=1", "seed=3"),
    ),
    "noise": ("equation=kpz grid=32 time.dt=0.02 time.end=0.5", SEEDS),
    "constraints": ("equation=turbulence grid=16 time.end=0.1", SEEDS),
    "scalars and integrals": (
        "equation=custom grid=[12,10] time.end=0.5 stepper=rk4 "
        "\"equation.rhs={u: '0.01*laplacian(u) - u**3 + mean(u)'}\" "
        "\"equation.scalars={T: 'mean(u) - T'}\" \"initial={u: '0.1*random_normal(1)', T: 1}\"",
        SEEDS,
    ),
}  # fmt: skip


def plans_of(words, differences, *more):
    """Return the plans of all members, whose initial states have not been released."""
    common = (*shlex.split(words), "output.frames=3", *more)
    return [make_plan(*common, *shlex.split(difference)) for difference in differences]


@dataclass
class Results:
    """Everything that a simulation returns."""

    frames: list = field(default_factory=list)
    records: dict = field(default_factory=dict)
    failures: dict = field(default_factory=dict)
    stopped: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)
    errors: list = field(default_factory=list)

    @property
    def states(self):
        return np.stack([frame.state for frame in self.frames])


def results_of(simulation) -> Results:
    result = Results()

    def record(member, times, values):
        rows = result.records.setdefault(member, [])
        rows.append(np.concatenate([times[:, np.newaxis], values], axis=1))

    simulation.prepare()
    result.frames = list(simulation.frames(record=record))
    result.records = {m: np.concatenate(rows) for m, rows in result.records.items()}
    result.failures = {m: str(error) for m, error in simulation.failures.items()}
    result.stopped = dict(simulation.stopped)
    result.steps = [simulation.steps_of(m) for m in range(simulation.members)]
    result.errors = [simulation.relative_time_error(m) for m in range(simulation.members)]
    return result


def on_devices(plans, count):
    return MembersSimulation(plans, [CPU] * count)


@pytest.mark.parametrize(("words", "differences"), CASES.values(), ids=CASES)
def test_frames_are_those_of_one_device(words, differences):
    assert can_share(plans_of(words, differences[:1])[0])
    one = results_of(Simulation(plans_of(words, differences), CPU))
    for count in (2, 3):
        several = results_of(on_devices(plans_of(words, differences), count))
        assert np.array_equal(one.states, several.states)
        assert (one.steps, one.errors) == (several.steps, several.errors)
        assert [(f.index, f.time) for f in one.frames] == [
            (f.index, f.time) for f in several.frames
        ]


def test_numbers_of_members_that_are_no_multiple_of_the_devices():
    words, differences = CASES["given steps"]
    differences += ("equation.F=0.06",)
    one = results_of(Simulation(plans_of(words, differences), CPU))
    simulation = on_devices(plans_of(words, differences), 2)
    assert [share.numbers for share in simulation.shares] == [range(2), range(2, 5)]
    assert simulation.description == ["2 devices with 2 or 3 members each"]
    several = results_of(simulation)
    assert np.array_equal(one.states, several.states) and one.steps == several.steps
    assert simulation.steps == sum(steps for steps, _ in one.steps)


@pytest.mark.parametrize(("members", "count"), [(5, 2), (7, 3), (4, 4), (64, 5)])
def test_every_member_has_one_device(members, count):
    parts = divided(members, count)
    assert [number for part in parts for number in part] == list(range(members))
    sizes = [len(part) for part in parts]
    assert len(sizes) == count and max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("every", ["", "observe_every=0.03"])
def test_observables(every):
    words = (
        "equation=heat grid=[10,12] boundary=dirichlet stepper=rk4 time.end=0.3 "
        f"\"observe={{mass: 'integral(u)', top: 'max(u)'}}\" {every}"
    )
    differences = ("equation.D=0.02", "equation.D=0.05", "equation.D=0.1", "seed=1")
    one = results_of(Simulation(plans_of(words, differences), CPU))
    several = results_of(on_devices(plans_of(words, differences), 3))
    assert sorted(one.records) == sorted(several.records) == [0, 1, 2, 3]
    for member, rows in one.records.items():
        assert np.array_equal(rows, several.records[member])
    assert np.array_equal(one.states, several.states)


@pytest.mark.parametrize("stepper", ["rk4", "dormand_prince"])
def test_members_stop_at_different_times(stepper):
    words = (
        f"equation=heat grid=[10,12] boundary=dirichlet stepper={stepper} time.end=1 "
        "\"observe={top: 'max(u)'}\" observe_every=0.2 \"stop.when='max(u) < 0.5'\" stop.every=0.02"
    )
    differences = ("equation.D=0.4", "equation.D=0.01", "equation.D=0.2", "equation.D=0.1")
    one = results_of(Simulation(plans_of(words, differences), CPU))
    several = results_of(on_devices(plans_of(words, differences), 2))
    assert len(one.stopped) >= 3 and any(not frame.regular for frame in one.frames)
    assert one.stopped == several.stopped
    ended: set = set()
    for first, second in zip(one.frames, several.frames, strict=True):
        assert (first.index, first.time, first.ending, first.regular) == (
            second.index, second.time, second.ending, second.regular
        )  # fmt: skip
        going = [member for member in range(4) if member not in ended]
        assert np.array_equal(first.state[going], second.state[going])
        ended |= set(first.ending)
    for member, rows in one.records.items():
        assert np.array_equal(rows, several.records[member])
    assert [one.steps[m] for m in one.stopped] == [several.steps[m] for m in one.stopped]


#: u' = a u^2 from u = 1 becomes infinite at t = 1/a
GROWTH = (
    "equation=custom \"equation.rhs={u: 'a*u**2'}\" equation.a=0 grid=[8] initial.u=1 "
    "time.dt=0.001 time.end=2 time.unsafe=true"
)


@pytest.mark.parametrize("rates", [(0.1, 1, -0.5, 0.2), (1, 2, 0.1, -0.5)])
def test_members_that_fail_do_not_affect_others(rates):
    """In the second case, all members of one device fail."""
    differences = [f"equation.a={rate}" for rate in rates]
    one = results_of(Simulation(plans_of(GROWTH, differences), CPU))
    several = results_of(on_devices(plans_of(GROWTH, differences), 2))
    assert one.failures.keys() == several.failures.keys() and len(one.failures) in (1, 2)
    assert all("u became NaN or infinite" in text for text in several.failures.values())
    good = [member for member in range(4) if member not in one.failures]
    assert np.array_equal(one.states[:, good], several.states[:, good])


def test_a_run_ends_if_all_members_have_failed():
    plans = plans_of(GROWTH, [f"equation.a={rate}" for rate in (1, 2, 3)])
    simulation = on_devices(plans, 2)
    times = []
    with pytest.raises(DivergedError, match="u became NaN or infinite"):
        times += [frame.time for frame in simulation.frames()]
    assert sorted(simulation.failures) == [0, 1, 2]


def interrupted(simulation, blocks):
    """Stop a simulation after some blocks of two steps, and return the checkpoints there."""
    simulation.prepare()
    for one in simulation.simulations:
        one.longest_block = 2
    count = 0

    def report(progress):
        nonlocal count
        count += 1
        if count == blocks:
            raise InterruptedRun("stopped")

    frames = []
    with pytest.raises(InterruptedRun):
        for frame in simulation.frames(report):
            frames.append(frame.index)
    return frames, [simulation.checkpoint(member) for member in range(simulation.members)]


@pytest.mark.parametrize("name", ["several steps", "adaptive steps", "noise"])
def test_checkpoints_continue_on_any_number_of_devices(name):
    words, differences = CASES[name]
    expected = results_of(Simulation(plans_of(words, differences), CPU)).states
    frames, checkpoints = interrupted(on_devices(plans_of(words, differences), 3), 5)
    # devices that have reached the next frame have not passed it
    assert {checkpoint.frame for checkpoint in checkpoints} == {frames[-1]}
    assert all(checkpoint.in_batch for checkpoint in checkpoints)

    def rest():
        return [
            build_plan(plan.settings, plan.equation.name, checkpoint)
            for plan, checkpoint in zip(plans_of(words, differences), checkpoints, strict=True)
        ]

    after = expected[frames[-1] + 1 :]
    places = {(one.steps_since_target, one.time) for one in checkpoints}
    if len(places) == 1:  # otherwise the members are resumed alone
        assert np.array_equal(results_of(on_devices(rest(), 2)).states, after)
    for member in (0, 3):
        alone = results_of(Simulation(rest()[member], CPU)).states
        assert np.array_equal(alone, after[:, member])


def test_a_member_of_a_batch_continues_alone_on_parts_of_its_grid():
    words = "equation=gray_scott grid=[16,32] stepper=rk4 time.end=40"
    batch = Simulation(plans_of(words, FEEDS[:2]), CPU)
    batch.prepare()
    expected = []
    for frame in batch.frames():
        expected.append(frame.state[1].copy())
        if frame.index == 1:
            checkpoint = batch.checkpoint(1)
    plan = plans_of(words, FEEDS[1:2])[0]
    rest = DistributedSimulation(
        [build_plan(plan.settings, plan.equation.name, checkpoint)], [CPU] * 2
    )
    assert np.array_equal(results_of(rest).states, np.stack(expected[2:]))


def test_progress_is_that_of_all_members():
    words, differences = CASES["given steps"]
    simulation, found = on_devices(plans_of(words, differences), 2), []
    simulation.prepare()
    for one in simulation.simulations:
        one.longest_block = 3
    states = []
    for frame in simulation.frames(found.append):
        states.append(frame.state)
    # 20 steps of each of four members, in blocks of 3 steps up to frames at 20/3 and 40/3
    assert [progress.steps for progress in found][-1] == sum(s for s, _ in map(
        simulation.steps_of, range(4)
    ))  # fmt: skip
    times = [progress.time for progress in found]
    assert times == sorted(times) and times[-1] == 20
    assert len(found) >= 6


def test_a_callback_may_stop_members():
    words, differences = CASES["given steps"]
    simulation = on_devices(plans_of(words, differences), 3)
    times = []
    for frame in simulation.frames():
        times.append(frame.time)
        if frame.index == 1:
            simulation.stopped.update({0: "enough", 2: "enough", 3: "enough"})
        if frame.index == 2:
            simulation.stopped[1] = "enough"
    assert len(times) == 3 and simulation.stopped == dict.fromkeys(range(4), "enough")
    steps = [simulation.steps_of(member)[0] for member in range(4)]
    assert steps[0] == steps[2] == steps[3] < steps[1]


def test_the_devices_of_a_batch():
    spectral = make_plan("equation=gray_scott", "operators=spectral", "device.count=3")
    stencil = make_plan("equation=gray_scott", "grid=64", "stepper=rk4", "device.count=3")
    assert [devices_for(spectral, members) for members in (1, 2, 3, 4)] == [1, 2, 3, 3]
    assert [devices_for(stencil, members) for members in (1, 2, 3, 4)] == [3, 3, 3, 3]
    with pytest.raises(DeviceError, match="spectral operators need the complete grid"):
        check_distributed(spectral)
    check_distributed(spectral, in_batch=True)
    assert type(build_simulation([spectral], CPU)) is Simulation
    assert len(build_simulation([spectral] * 2, CPU).simulations) == 2
    assert type(build_simulation([stencil] * 2, CPU)) is DistributedSimulation
    assert type(build_simulation([stencil] * 3, CPU)) is MembersSimulation


def test_single_runs_on_one_device_remain_single_runs():
    words, differences = CASES["given steps"]
    simulation = MembersSimulation(plans_of(words, differences[:2]), [CPU] * 2, together=1)
    assert [one.loop.context.members for one in simulation.simulations] == [0, 0]
    states = results_of(simulation).states
    for member, difference in enumerate(differences[:2]):
        alone = results_of(Simulation(plans_of(words, [difference]), CPU)).states
        assert np.array_equal(alone, states[:, member])
    assert not simulation.checkpoint(0).in_batch


def test_several_gpus_compute_larger_batches(monkeypatch):
    from pdesim.engine import gpu, memory

    plans = [make_plan("equation=gray_scott", "grid=64", f"device.count={n}") for n in (1, 4)]
    need = memory.least_bytes(plans[0])
    monkeypatch.setattr(sweep_members, "_most_open_files", lambda: 1000)
    for size, expected in ((20 * need, (10, 40)), (need, (1, 4)), (1000 * need, (64, 200))):
        monkeypatch.setattr(gpu, "total_memory", lambda size=size: size)
        assert tuple(sweep_members.batch_size(plan, GPU) for plan in plans) == expected
        # each GPU has the arrays of its members only
        memory.check_batch_memory([plans[1]] * 4, GPU)


SWEEP = (
    "-m equation=kpz grid=32 time.end=0.5 output.frames=3 animation=none seed=0,1,2,3,4 "
    "\"observe={width: 'mean(h**2)'}\""
)


def test_a_sweep_on_several_devices(tmp_path, monkeypatch, capsys):
    """A sweep with modes, whose grid several devices cannot divide."""
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(SWEEP), "hydra.sweep.dir=one"]) == 0
    assert main([*shlex.split(SWEEP), "hydra.sweep.dir=two", "device.count=2"]) == 0
    # without the line breaks of a narrow console
    lines = " ".join(capsys.readouterr().err.split())
    assert "2 devices with 2 or 3 members each" in lines
    for number in range(5):
        folders = [tmp_path / name / str(number) for name in ("one", "two")]
        files = [h5py.File(folder / "snapshots.h5") for folder in folders]
        with files[0] as one, files[1] as two:
            assert len(one["time"]) == 4
            for name in one:
                assert np.array_equal(one[name][()], two[name][()])
        one, two = (json.loads((folder / "status.json").read_text()) for folder in folders)
        for key in ("state", "steps", "time_error", "observed", "members_of_batch"):
            assert one[key] == two[key]


def test_an_ensemble_on_several_devices(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for count in ("1", "2"):
        words = [*shlex.split(SWEEP), "output.ensemble=[mean,variance]", f"device.count={count}"]
        assert main([*words, f"hydra.sweep.dir={count}"]) == 0
    files = [h5py.File(tmp_path / count / "ensemble" / "snapshots.h5") for count in ("1", "2")]
    with files[0] as one, files[1] as two:
        for name in ("h_mean", "h_variance"):
            assert np.array_equal(one[name][()], two[name][()]) and np.ptp(one[name][()]) > 0
