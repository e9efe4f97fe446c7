"""Several devices have bit for bit the noise of one device."""

import numpy as np
import pytest
import tensorflow as tf
from distributed_runs import CPU, plan_of, result_of, resumed, stopped_after

from pdesim.engine.distributed.decomposition import reach
from pdesim.engine.distributed.eligibility import check_distributed
from pdesim.engine.distributed.simulation import DistributedSimulation
from pdesim.engine.simulation import Simulation
from pdesim.errors import DeviceError
from pdesim.operators.random_numbers import Key, derived, normals

#: a growing interface, whose rate does not subtract its mean
GROWTH = (
    "equation=custom equation.fields=[h] initial.h=0 time.dt=0.025 "
    "equation.rhs.h=\"'laplacian(h) + dot(gradient(h), gradient(h))'\" equation.noise.h=1"
)
#: two fields, of which one has noise that depends on it
PAIR = (
    "equation=custom equation.fields=[u,v] domain.extent=10 initial.u=1 initial.v=0 time.dt=0.025 "
    "time.end=1 equation.rhs.u=\"'laplacian(u)'\" equation.rhs.v=\"'laplacian(v)'\" "
    "\"equation.noise={u: '0.2*u'}\""
)
#: settings, and the number of devices
CASES = {
    "white noise, odd rows": (
        f"{GROWTH} grid=[20,37] domain.extent=10 stepper=euler_maruyama time.end=1", 3
    ),
    "amplitudes that depend on fields": (f"{PAIR} grid=[24,40] stepper=milstein", 2),
    "two right-hand sides in a step": (
        f"{PAIR} grid=[24,41] stepper=stochastic_heun equation.interpretation=stratonovich", 3
    ),
    "another interpretation": (
        f"{PAIR} grid=[24,40] stepper=euler_maruyama equation.interpretation=stratonovich", 2
    ),
    "two fields, correlated noise": (
        "equation=stochastic_gray_scott grid=[24,40] stepper=milstein time.dt=1 time.end=30", 2
    ),
    "conserved noise": (
        "equation=cahn_hilliard_cook operators=stencil grid=[16,48] stepper=euler_maruyama "
        "time.dt=0.5 time.end=15", 2
    ),
    "conserved noise between walls, around obstacles": (
        "equation=heat grid=[24,40] stepper=euler_maruyama boundary=neumann time.dt=0.02 "
        "time.end=0.6 \"domain.mask='(x-0.5)**2 + (y-0.5)**2 < 0.04'\" "
        "\"equation.noise={u: {flux: '1e-4*(1 + u**2)'}}\"", 3
    ),
    "amplitudes with derivatives": (
        "equation=heat grid=[24,40] stepper=euler_maruyama time.dt=0.02 time.end=0.6 "
        "\"equation.noise={u: '0.01*d_dy(u)*sin(2*pi*x) + 0.1'}\"", 2
    ),
    "correlated noise": (
        "equation=heat grid=[24,40] stepper=euler_maruyama time.dt=0.02 time.end=0.6 "
        "\"equation.noise={u: {amplitude: 0.1, length: 0.1}}\"", 3
    ),
    "correlated noise between walls": (
        "equation=heat grid=[24,40] stepper=milstein boundary=neumann time.dt=0.02 time.end=0.6 "
        "\"equation.noise={u: {amplitude: '0.1*u', length: 0.1}}\"", 2
    ),
    "bisected steps of the noise": (
        f"{GROWTH} grid=[20,37] domain.extent=10 stepper=stochastic_heun time.dt=0.0625 "
        "time.noise_step=0.25 time.end=2.25", 2
    ),
    "one dimension": (
        f"{GROWTH} domain.dimensions=1 grid=97 domain.extent=40 stepper=euler_maruyama "
        "time.end=1", 3
    ),
    "three dimensions": (
        "equation=heat domain.dimensions=3 grid=[8,12,25] stepper=euler_maruyama time.dt=0.02 "
        "time.end=0.6 equation.noise.u=0.1", 2
    ),
    "double precision": (
        f"{GROWTH} grid=[20,37] domain.extent=10 stepper=stochastic_heun "
        "device.precision=float64 time.end=1", 2
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "count"), CASES.values(), ids=CASES)
def test_frames_are_those_of_one_device(words, count):
    one, steps, _ = result_of(Simulation(plan_of(words), CPU))
    plan = plan_of(words, f"device.count={count}")
    check_distributed(plan)
    several, same_steps, _ = result_of(DistributedSimulation([plan], [CPU] * count))
    assert steps == same_steps and steps[0] > 5
    assert not np.array_equal(one[0], one[-1]) and np.isfinite(one).all()
    assert np.array_equal(one, several)


@pytest.mark.parametrize("steps", [1, 3])
def test_frames_do_not_depend_on_the_number_of_ghost_rows(steps):
    words = f"{GROWTH} grid=[20,48] domain.extent=10 stepper=stochastic_heun time.end=1"
    one = result_of(Simulation(plan_of(words), CPU))[0]
    simulation = DistributedSimulation([plan_of(words)], [CPU] * 2, steps=steps)
    assert simulation.parts[0].before == 2 * steps
    assert np.array_equal(result_of(simulation)[0], one)


def test_members_of_a_batch_have_the_noise_of_their_seeds():
    words = f"{PAIR} grid=[24,40] stepper=milstein"
    plans = [[plan_of(words, f"seed={seed}") for seed in (3, 4)] for _ in range(2)]
    one = result_of(Simulation(plans[0], CPU))[0]
    several = result_of(DistributedSimulation(plans[1], [CPU] * 2))[0]
    assert not np.array_equal(one[-1, 0], one[-1, 1]) and np.array_equal(one, several)


def test_a_run_continues_with_another_number_of_devices():
    words = f"{GROWTH} grid=[20,37] domain.extent=10 stepper=stochastic_heun time.end=1"
    whole = result_of(Simulation(plan_of(words), CPU))[0]
    checkpoint = stopped_after(DistributedSimulation([plan_of(words)], [CPU] * 3), steps=7)
    for count in (1, 2):
        rest = result_of(resumed(words, checkpoint, count))[0]
        assert np.array_equal(rest, whole[-len(rest) :])


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((37, 4), tf.float32), ((40, 2), tf.float64), ((97,), tf.float32), ((9, 4, 3), tf.float64)],
)
def test_numbers_of_rows_are_those_of_all_rows(shape, dtype):
    n = shape[0]
    parts = [np.arange(2), np.arange(-3, n // 2) % n, np.arange(3, n + 2) % n]

    def drawn(seed):
        key = derived(
            Key(tf.cast(seed, tf.uint32), tf.constant(0, tf.uint32)), tf.cast(3, tf.int64)
        )
        return [normals(key, shape, dtype, rows) for rows in (None, *parts)]

    every, *some = tf.function(drawn, jit_compile=True)(tf.constant(7))
    for rows, numbers in zip(parts, some, strict=True):
        assert np.array_equal(numbers, every.numpy()[rows])


def test_the_noise_of_a_flux_reads_neighbouring_cells():
    words = "equation=heat grid=[24,40] stepper=euler_maruyama"
    distances = {"{u: 0.1}": 1, "{u: {flux: 0.1}}": 1, "{u: {flux: 'd_dx(u)'}}": 2}
    for noise, distance in distances.items():
        assert reach(plan_of(f'{words} "equation.noise={noise}"').problem) == distance


def test_steps_in_modes_are_refused():
    words = "equation=stochastic_heat grid=[24,40] operators=stencil"
    with pytest.raises(DeviceError, match="euler_maruyama, milstein or stochastic_heun"):
        check_distributed(plan_of(words, "stepper=exponential_euler_maruyama", "device.count=2"))
