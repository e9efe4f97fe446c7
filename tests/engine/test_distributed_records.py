"""Several devices record bit for bit the observables of one device at every step."""

import numpy as np
import pytest
from distributed_runs import CPU, plan_of, resumed, stopped_after

from pdesim.engine.distributed.eligibility import check_distributed
from pdesim.engine.distributed.simulation import DistributedSimulation
from pdesim.engine.simulation import Simulation

#: settings, and the number of devices
CASES = {
    "one right-hand side, no flux": (
        "equation=heat grid=[20,31] boundary=neumann stepper=euler time.end=0.2 "
        "\"observe={mass: 'integral(u)', energy: 'integral(gradient_squared(u))/2 + t'}\"", 3
    ),
    "many stages": (
        "equation=gray_scott grid=[24,40] stepper=rk4 time.end=60 "
        "\"observe={top: 'max(v)', mean: 'mean(u*v)'}\" \"probes={a: [0.5,0.5]}\"", 2
    ),
    "adaptive steps": (
        "equation=gray_scott grid=[24,40] stepper=dormand_prince time.end=100 "
        "\"observe={mean: 'mean(u)', low: 'min(u)'}\"", 2
    ),
    "positions and momenta": (
        "equation=wave grid=[24,40] stepper=verlet time.end=0.2 \"probes={a: [0.5,0.5]}\"", 3
    ),
    "noise": (
        "equation=heat grid=[24,40] stepper=milstein time.dt=0.02 time.end=0.6 "
        "\"equation.noise={u: '0.1*u'}\" \"observe={mean: 'mean(u)'}\"", 2
    ),
    "coefficients of position and obstacles": (
        "equation=custom grid=[24,40] stepper=heun time.end=0.05 domain.extent=1 "
        "equation.fields=[u] \"initial.u='sin(2*pi*x)*cos(2*pi*y)'\" "
        "\"domain.mask='(x-0.5)**2 + (y-0.5)**2 < 0.04'\" "
        "equation.rhs.u=\"'divergence((1 + 0.5*sin(2*pi*y)*cos(t))*gradient(u))'\" "
        "\"observe={mass: 'integral(u)'}\" device.precision=float64", 2
    ),
}  # fmt: skip


def records_of(simulation):
    """The frames, and the times and values of all records of each member."""
    simulation.prepare()
    records: dict[int, list] = {}

    def record(member, times, values):
        rows = np.column_stack([times, values])
        records.setdefault(member, []).append(rows)

    frames = list(simulation.frames(record=record))
    return frames, {member: np.concatenate(rows) for member, rows in records.items()}


def assert_same(one, several):
    (frames, records), (same_frames, same_records) = one, several
    assert np.array_equal(frames[-1].state, same_frames[-1].state)
    assert [frame.time for frame in frames] == [frame.time for frame in same_frames]
    assert records.keys() == same_records.keys()
    for member, rows in records.items():
        assert len(rows) > 5 and np.array_equal(rows, same_records[member])


@pytest.mark.parametrize(("words", "count"), CASES.values(), ids=CASES)
def test_records_are_those_of_one_device(words, count):
    simulation = Simulation(plan_of(words), CPU)
    one = records_of(simulation)
    plan = plan_of(words, f"device.count={count}")
    check_distributed(plan)
    several = DistributedSimulation([plan], [CPU] * count)
    assert several.simulations[0].loop.records_steps and several.steps_between_exchanges == 1
    assert_same(one, records_of(several))
    accepted = simulation.steps - simulation.rejected
    assert len(one[1][0]) == accepted + 1


def test_members_of_a_batch_have_their_own_records():
    words = (
        "equation=gray_scott grid=[24,40] stepper=dormand_prince time.end=60 "
        "\"observe={m: 'mean(u)'}\""
    )
    plans = [[plan_of(words, f"equation.F={feed}") for feed in (0.03, 0.05)] for _ in range(2)]
    one = records_of(Simulation(plans[0], CPU))
    assert len(one[1]) == 2
    assert_same(one, records_of(DistributedSimulation(plans[1], [CPU] * 2)))


def test_equal_steps_of_a_batch_have_records():
    words = "equation=gray_scott grid=[24,40] stepper=euler time.end=40 \"observe={m: 'mean(u)'}\""
    plans = [[plan_of(words, f"time.dt={dt}") for dt in (0.5, 1.0)] for _ in range(2)]
    one = records_of(Simulation(plans[0], CPU))
    assert len(one[1][0]) > len(one[1][1])
    assert_same(one, records_of(DistributedSimulation(plans[1], [CPU] * 2)))


def test_a_resumed_run_records_the_remaining_steps():
    words = "equation=wave grid=[24,40] stepper=verlet time.end=0.2 \"observe={m: 'max(u)'}\""
    complete = records_of(Simulation(plan_of(words), CPU))[1][0]
    checkpoint = stopped_after(DistributedSimulation([plan_of(words)], [CPU] * 2), steps=7)
    for count in (1, 3):
        rest = records_of(resumed(words, checkpoint, count))[1][0]
        assert np.array_equal(rest, complete[checkpoint.steps :])


def test_stop_conditions_read_observables_of_every_step():
    words = (
        "equation=heat grid=[20,30] boundary=dirichlet stepper=rk4 time.end=1 "
        "\"observe={top: 'max(u)'}\" \"stop.when='top < 0.9'\" stop.every=0.1"
    )
    one = Simulation(plan_of(words), CPU)
    several = DistributedSimulation([plan_of(words)], [CPU] * 3)
    expected = records_of(one)
    assert_same(expected, records_of(several))
    assert one.stopped and one.stopped == several.stopped
    assert expected[1][0][-1, 0] < 1 and expected[1][0][-1, 1] < 0.9
