"""Several devices give bit for bit the frames of one device."""

import threading

import numpy as np
import pytest
from distributed_runs import CPU, plan_of, result_of, resumed, stopped_after

from pdesim.engine.device import Placement
from pdesim.engine.distributed.communicator import Peers
from pdesim.engine.distributed.decomposition import divide, part_of
from pdesim.engine.distributed.eligibility import check_distributed
from pdesim.engine.distributed.simulation import DistributedSimulation, build_simulation
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.simulation import Simulation
from pdesim.errors import DeviceError, DivergedError, InterruptedRun

#: settings, and the number of devices
CASES = {
    "one stage, odd rows": ("equation=gray_scott grid=[20,37] stepper=euler time.end=60", 3),
    "stages and measured errors": ("equation=gray_scott grid=[24,40] stepper=rk4 time.end=60", 2),
    "adaptive steps": ("equation=gray_scott grid=[32,48] stepper=dormand_prince time.end=100", 3),
    "adaptive steps, errors near rounding": (
        "equation=gray_scott grid=[24,41] stepper=dormand_prince time.end=100", 2
    ),
    "many stages": ("equation=heat grid=[24,80] stepper=rkl2 time.end=0.02", 2),
    "positions and momenta": ("equation=wave grid=[24,40] stepper=verlet time.end=0.2", 3),
    "sides with values": (
        "equation=heat grid=[24,40] stepper=heun time.end=0.01 "
        "\"boundary.x={lower: {dirichlet: 'sin(y)'}, upper: {neumann: 0}}\" "
        "\"boundary.y={lower: {dirichlet: 't'}, upper: {robin: {a: 1, b: 2, value: 1}}}\"", 3
    ),
    "no flux": ("equation=gray_scott grid=[24,40] stepper=rk4 boundary=neumann time.end=40", 2),
    "sixth order between walls": (
        "equation=gray_scott grid=[24,48] stepper=euler operators.order=6 boundary=dirichlet "
        "time.end=40", 2
    ),
    "obstacles": (
        "equation=gray_scott grid=[32,40] stepper=euler time.end=40 "
        "\"domain.mask='(x-1)**2+(y-1)**2 < 0.3'\"",
        3,
    ),
    "coefficients of position and time": (
        "equation=custom grid=[24,40] stepper=rk4 time.end=0.05 domain.extent=1 "
        "equation.fields=[u] \"initial.u='sin(2*pi*x)*cos(2*pi*y)'\" "
        "equation.rhs.u=\"'divergence((1 + 0.5*sin(2*pi*y)*cos(t))*gradient(u)) + r*u'\"", 3
    ),
    "values of cells": (
        "equation=custom grid=[24,40] stepper=euler time.end=0.05 domain.extent=1 "
        "equation.fields=[u] \"equation.k='random_uniform(1, 2)'\" "
        "equation.rhs.u=\"'0.01*laplacian(u) - k*u'\"", 3
    ),
    "three dimensions": (
        "equation=heat domain.dimensions=3 grid=[8,12,24] stepper=rk4 time.end=0.01", 2
    ),
    "one dimension": ("equation=allen_cahn grid=96 domain.dimensions=1 stepper=heun time.end=1", 4),
    "advection": ("equation=advection grid=[40,48] time.end=0.2", 2),
    "nested operators": (
        "equation=custom grid=[16,48] stepper=rk4 time.end=2e-5 domain.extent=1 "
        "equation.fields=[u] \"initial.u='random_normal(0.1)'\" "
        "equation.rhs.u=\"'laplacian(u**3 - u - 1e-4*laplacian(u) + d_dx(d_dy(u**2)))'\"", 2
    ),
    "double precision": (
        "equation=gray_scott grid=[24,40] stepper=dormand_prince device.precision=float64 "
        "time.end=60", 2
    ),
    "operations one by one": (
        "equation=gray_scott grid=[24,40] stepper=rk4 device.jit=false time.end=20", 2
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "count"), CASES.values(), ids=CASES)
def test_frames_are_those_of_one_device(words, count):
    one, steps, error = result_of(Simulation(plan_of(words), CPU))
    plan = plan_of(words, f"device.count={count}")
    check_distributed(plan)
    several, same_steps, same_error = result_of(DistributedSimulation([plan], [CPU] * count))
    assert steps == same_steps and steps[0] > 0
    assert np.array_equal(one, several)
    for name, value in error.items():  # three digits, of which the last may be rounded differently
        assert same_error[name] == pytest.approx(value, rel=0.01, abs=1e-12)


def test_adaptive_steps_without_flat_arrays():
    words = "equation=burgers grid=[40,41] stepper=bogacki_shampine time.end=0.05 operators=conv"
    one = result_of(Simulation(plan_of(words), CPU))[0]
    several = result_of(DistributedSimulation([plan_of(words)], [CPU] * 2))[0]
    # the rounding of the estimated error may differ, and with it the length of a step
    assert np.abs(several - one).max() <= 1e-4 * np.ptp(one)


def test_parts_are_computed_in_tiles_if_the_grid_is():
    words = "equation=gray_scott grid=[48,160] stepper=euler time.end=40"
    tuning = Tuning(single_band_bytes=0, two_band_bytes=0, tile_bytes=2**12, tile_width=16, cores=2)
    one = result_of(Simulation(plan_of(words), CPU, tuning))[0]
    simulation = DistributedSimulation([plan_of(words)], [CPU] * 2, tuning)
    assert simulation.simulations[0].loop.inner.slabs is not None
    assert np.array_equal(result_of(simulation)[0], one)


@pytest.mark.parametrize("steps", [1, 3])
def test_frames_do_not_depend_on_the_number_of_ghost_rows(steps):
    words = "equation=gray_scott grid=[24,48] stepper=heun time.end=60"
    one = result_of(Simulation(plan_of(words), CPU))[0]
    simulation = DistributedSimulation([plan_of(words)], [CPU] * 2, steps=steps)
    assert simulation.parts[0].before == 2 * steps
    assert np.array_equal(result_of(simulation)[0], one)


def test_members_of_a_batch():
    words = "equation=gray_scott grid=[24,40] stepper=rk4 time.end=40"
    plans = [[plan_of(words, f"equation.F={feed}") for feed in (0.03, 0.05)] for _ in range(2)]
    one = result_of(Simulation(plans[0], CPU))[0]
    several = result_of(DistributedSimulation(plans[1], [CPU] * 2))[0]
    assert one.shape[1] == 2 and np.array_equal(one, several)


def test_observables_and_stop_conditions():
    words = (
        "equation=heat grid=[20,30] boundary=dirichlet stepper=rk4 time.end=1 observe_every=0.05 "
        "\"observe={mass: 'integral(u)', top: 'max(u)'}\" \"probes={centre: [0.5,0.5]}\" "
        "\"stop.when='max(u) < 0.9'\" stop.every=0.1"
    )
    outcomes = []
    for count in (1, 3):
        simulation = build_simulation([plan_of(words, f"device.count={count}")], CPU)
        simulation.prepare()
        records: list = []
        frames = list(
            simulation.frames(record=lambda m, t, v, kept=records: kept.append((t.copy(), v)))
        )
        outcomes.append((frames, records, dict(simulation.stopped)))
    (frames, records, stopped), (same_frames, same_records, same_stopped) = outcomes
    assert stopped and stopped == same_stopped
    assert [f.time for f in frames] == [f.time for f in same_frames]
    assert np.array_equal(frames[-1].state, same_frames[-1].state)
    for (time, values), (same_time, same_values) in zip(records, same_records, strict=True):
        assert np.array_equal(time, same_time) and np.array_equal(values, same_values)


@pytest.mark.parametrize("stepper", ["dormand_prince", "verlet"])
def test_a_checkpoint_continues_with_another_number_of_devices(stepper):
    name = "wave" if stepper == "verlet" else "gray_scott"
    end = 0.2 if name == "wave" else 100
    words = f"equation={name} grid=[24,40] stepper={stepper} time.end={end}"
    whole = result_of(Simulation(plan_of(words), CPU))[0]
    checkpoint = stopped_after(DistributedSimulation([plan_of(words)], [CPU] * 3), steps=7)
    for count in (1, 2):
        rest = result_of(resumed(words, checkpoint, count))[0]
        assert np.array_equal(rest, whole[-len(rest) :])


def test_a_request_to_stop_ends_all_devices():
    simulation = DistributedSimulation(
        [plan_of("equation=gray_scott grid=32 stepper=rk4")], [CPU] * 2
    )
    simulation.prepare()

    def report(progress):
        raise InterruptedRun("stopped")

    with pytest.raises(InterruptedRun):
        list(simulation.frames(report))


def test_a_diverging_part_ends_all_devices():
    words = (
        "equation=custom grid=[16,32] domain.extent=1 stepper=euler time.dt=0.01 time.end=50 "
        "equation.fields=[u] \"initial.u='where(y > 0.8, 1, 0)'\" equation.rhs.u=\"'u**2'\" "
        "time.unsafe=true"
    )
    with pytest.raises(DivergedError, match="u became NaN or infinite"):
        result_of(DistributedSimulation([plan_of(words)], [CPU] * 2))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("equation=poisson", "steady"),
        ("equation=gray_scott operators=spectral", "spectral"),
        ("equation=heat stepper=crank_nicolson", "complete grid"),
        ("equation=turbulence operators=stencil operators.dealias=false stepper=rk4", "solve"),
        ("equation=kpz grid=64 stepper=euler_maruyama", "means and integrals"),
        (
            "equation=heat grid=32 stepper=rk4 boundary.x=periodic boundary.y=antiperiodic",
            "antiper",
        ),
        ("equation=gray_scott grid=4 stepper=euler operators.order=6", "ghost rows"),
    ],
)
def test_other_problems_are_refused(words, reason):
    with pytest.raises(DeviceError, match=r"device\.count=3 does not apply") as caught:
        check_distributed(plan_of(words, "device.count=3"))
    assert reason in str(caught.value)


def test_fewer_gpus_than_asked_for():
    with pytest.raises(DeviceError, match=r"device\.count=2, but this machine has 0 GPUs"):
        Placement("/GPU:0", "GPU").all_of(2)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("rows", "count"), [(10, 3), (16, 4), (14, 7)])
def test_parts_cover_the_grid_once(rows, count, periodic):
    parts = divide(rows, count, 2, periodic)
    covered = np.concatenate([np.arange(rows)[part.own] for part in parts])
    assert np.array_equal(covered, np.arange(rows))
    for part in parts:
        own = part.extended[part.interior]
        assert np.array_equal(own, np.arange(rows)[part.own])
        assert periodic or (part.extended[0] >= 0 and (np.diff(part.extended) == 1).all())


def test_coordinates_of_parts_are_those_of_the_grid():
    problem = plan_of("equation=gray_scott grid=[12,31] domain.origin=[0.1,0.3]").problem
    whole = problem.grid.centres(1)
    for part in divide(31, 3, 4, periodic=True):
        grid = part_of(problem, part).grid
        assert np.array_equal(grid.centres(1), whole[part.extended])
        assert np.array_equal(grid.centres(1, halo=2)[2:-2], whole[part.extended])
        assert grid.spacing == problem.grid.spacing and grid.shape == (len(part.extended), 12)


def test_a_failed_device_does_not_leave_others_waiting():
    peers = Peers(2)

    def wait():
        with pytest.raises(threading.BrokenBarrierError):
            peers.gather(0, 1)

    thread = threading.Thread(target=wait)
    thread.start()
    peers.abort()
    thread.join(timeout=10)
    assert not thread.is_alive()
