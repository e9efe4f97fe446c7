"""Observables of several devices, which gather reductions of rows in place of states."""

import numpy as np
import pytest
import tensorflow as tf
from distributed_runs import CPU, plan_of

from pdesim.engine.distributed.communicator import ThreadCommunicator
from pdesim.engine.distributed.simulation import DistributedSimulation
from pdesim.engine.simulation import Simulation
from pdesim.steppers import samples

#: settings, and the number of devices
CASES = {
    "no flux": (
        "equation=heat grid=[20,31] boundary=neumann stepper=euler "
        "\"observe={mass: 'integral(u)', energy: 'integral(gradient_squared(u))/2 + t'}\"", 3
    ),
    "reductions of reductions": (
        "equation=gray_scott grid=[24,40] stepper=rk4 "
        "\"observe={far: 'max(abs(u-mean(u)))', s: 'mean((v-mean(v))**2)', low: 'min(v)'}\"", 2
    ),
    "probes at the ends of parts": (
        "equation=gray_scott grid=[24,40] stepper=euler "
        "\"probes={a: [0.5,1.25], b: [0.1,0.01], c: [2.4,2.49]}\"", 2
    ),
    "obstacles and positions": (
        "equation=custom grid=[24,41] stepper=heun domain.extent=1 equation.fields=[u] "
        "\"initial.u='sin(2*pi*x)*cos(2*pi*y)'\" \"domain.mask='(x-0.5)**2 + (y-0.5)**2 < 0.04'\" "
        "equation.rhs.u=\"'divergence((1 + 0.5*sin(2*pi*y)*cos(t))*gradient(u))'\" "
        "\"observe={m: 'mean(x*u + t)', n: 'integral(y*gradient_squared(u))', top: 'max(u)'}\" "
        "device.precision=float64", 3
    ),
    "nested operators between walls": (
        "equation=heat grid=[16,48] boundary=dirichlet stepper=rk4 "
        "\"observe={curvature: 'integral(laplacian(laplacian(u))**2)'}\"", 3
    ),
    "one dimension": (
        "equation=heat domain.dimensions=1 grid=[64] stepper=euler "
        "\"observe={m: 'mean(u)', g: 'max(d_dx(u))'}\" \"probes={a: [0.3]}\"", 3
    ),
    "three dimensions": (
        "equation=heat domain.dimensions=3 grid=[8,10,12] stepper=euler "
        "\"observe={g: 'integral(gradient_squared(u))'}\" \"probes={a: [.3,.3,.5]}\"", 2
    ),
}  # fmt: skip
#: records at times, whose programs contain nothing but observables
AT_TIMES = "observe_every=0.01 time.end=0.05 stop.steady=1e-9"


@pytest.fixture
def gathered(monkeypatch):
    """The sizes of the arrays that devices gather."""
    sizes, gather = [], ThreadCommunicator.gather

    def counted(self, values, equal=False):
        sizes.append(np.size(values))
        return gather(self, values, equal)

    monkeypatch.setattr(ThreadCommunicator, "gather", counted)
    return sizes


def states(plan, seed: int) -> np.ndarray:
    shape = (len(plan.equation.fields), *plan.grid.shape)
    return np.random.default_rng(seed).normal(size=shape).astype(plan.settings.device.precision)


@pytest.mark.parametrize(("words", "count"), CASES.values(), ids=CASES)
def test_values_are_those_of_one_device(words, count, gathered):
    plan = plan_of(f"{words} {AT_TIMES}")
    one = Simulation(plan, CPU)
    several = DistributedSimulation([plan], [CPU] * count)
    parameters, time = one._batch.at.parameters, tf.constant(0.3, tf.float64)
    rows_of_values = 2 * len(plan.equation.fields) * plan.grid.shape[0]
    for seed, name in [(0, "observed"), (1, "observed"), (2, "rates")]:
        state = states(plan, seed)

        def program(simulation, name=name):
            found = getattr(simulation.loop, name)
            return found if name == "rates" else found.program

        def on_part(simulation, state=state, program=program):
            rows = (slice(None), simulation.loop.part.own)
            given = simulation._batch.at.parameters
            return np.asarray(program(simulation)(given, tf.constant(state[rows]), time))

        expected = np.asarray(program(one)(parameters, tf.constant(state), time))
        del gathered[:]
        for found in several.on_all(on_part):
            assert found.dtype == np.float64
            if plan.settings.device.precision == "float32":
                assert np.array_equal(found, expected)
            else:  # a product may be rounded together with the sum to which it is added
                np.testing.assert_allclose(found, expected, rtol=1e-13)
        probes = 0 if plan.observables is None else 8 * len(plan.observables.probes)
        assert max(gathered) <= max(rows_of_values, probes * len(plan.equation.fields))


@pytest.mark.parametrize(
    "words",
    [
        "equation=gray_scott grid=[40,96] domain.extent=1 stepper=rk4 time.end=400",
        "equation=porous_medium grid=[40,96] stepper=rkl2",
        "equation=custom grid=[40,96] domain.extent=1 stepper=rk4 time.end=0.02 "
        "equation.fields=[u] \"initial.u='1 + 0.5*sin(2*pi*x)'\" "
        "equation.rhs.u=\"'(1 + 100*t)*laplacian(u) - 50*u**2'\"",
    ],
)
def test_no_device_gathers_a_complete_state(words, gathered, monkeypatch):
    monkeypatch.setattr(samples, "BAND", 256)
    monkeypatch.setattr(samples, "CHUNK", 128)
    monkeypatch.setattr(samples, "CELLS", 100)
    one = Simulation(plan_of(words, "output.frames=8"), CPU)
    several = DistributedSimulation([plan_of(words, "output.frames=8")], [CPU] * 3)
    for simulation in (one, several):
        simulation.prepare()
    first, states = one.plan.step.dt, [frame.state.copy() for frame in one.frames()]
    del gathered[:]
    for frame, state in zip(several.frames(), states, strict=True):
        assert np.array_equal(frame.state, state)
    assert several.plan.step.dt == one.plan.step.dt != first
    assert max(gathered) < one.plan.grid.cells / 3


def test_members_have_their_own_values():
    words = (
        "equation=gray_scott grid=[24,40] stepper=euler observe_every=1 time.end=5 "
        '"observe={far: \'max(abs(u - mean(u)))\'}" "probes={a: [0.5,0.5]}"'
    )
    plans = [plan_of(words, f"equation.F={feed}") for feed in (0.03, 0.05)]
    state = np.stack([states(plan, seed) for seed, plan in enumerate(plans)])
    one, several = Simulation(plans, CPU), DistributedSimulation(plans, [CPU] * 2)
    time = tf.zeros(2, tf.float64)

    def values(simulation, state):
        given = simulation._batch.at.parameters
        return np.asarray(simulation.loop.observed.program(given, tf.constant(state), time))

    expected = values(one, state)
    for found in several.on_all(lambda s: values(s, state[:, :, s.loop.part.own])):
        assert np.array_equal(found, expected)


def test_formulas_that_reach_beyond_the_neighbours_use_the_complete_state():
    words = (
        "equation=heat grid=[16,12] stepper=euler observe_every=0.01 time.end=0.05 "
        "\"observe={c: 'integral(laplacian(laplacian(laplacian(laplacian(u))))**2)'}\""
    )
    plan = plan_of(words)
    one, several = Simulation(plan, CPU), DistributedSimulation([plan], [CPU] * 4)
    state, time = states(plan, 0), tf.zeros((), tf.float64)

    def values(simulation, state):
        given = simulation._batch.at.parameters
        return np.asarray(simulation.loop.observed.program(given, tf.constant(state), time))

    expected = values(one, state)
    for found in several.on_all(lambda s: values(s, state[:, s.loop.part.own])):
        assert np.array_equal(found, expected)
