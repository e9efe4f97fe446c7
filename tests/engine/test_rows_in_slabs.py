"""Devices that compute their rows in slabs give bit for bit the frames of one device."""

import numpy as np
import pytest
from distributed_runs import CPU, plan_of, result_of

from pdesim.engine.distributed.forms import ExtendedRows, RowsInSlabs
from pdesim.engine.distributed.simulation import DistributedSimulation
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.simulation import Simulation

#: small slabs and tiles
FINELY = Tuning(
    single_band_bytes=0, two_band_bytes=0, tile_bytes=2**12, tile_width=16, slab_bytes=2**12,
    ghost_rows={1: 4, 2: 4, 3: 2}, max_ghost_rows={1: 8, 2: 8, 3: 4}, cores=2,
)  # fmt: skip

#: settings, and the number of devices
CASES = {
    "odd rows": ("equation=gray_scott grid=[48,131] stepper=euler time.end=60", 3),
    "two stages": ("equation=gray_scott grid=[40,128] stepper=heun time.end=60", 2),
    "adaptive steps": ("equation=gray_scott grid=[32,130] stepper=bogacki_shampine time.end=60", 3),
    "adaptive steps between walls": (
        "equation=gray_scott grid=[32,120] stepper=dormand_prince boundary=neumann time.end=60", 2
    ),
    "positions and momenta": ("equation=wave grid=[24,96] stepper=verlet time.end=0.1", 2),
    "sides with values": (
        "equation=heat grid=[24,100] stepper=heun time.end=0.004 "
        "\"boundary.x={lower: {dirichlet: 'sin(y)'}, upper: {neumann: 0}}\" "
        "\"boundary.y={lower: {dirichlet: 't'}, upper: {robin: {a: 1, b: 2, value: 1}}}\"", 2
    ),
    "no flux": ("equation=gray_scott grid=[24,96] stepper=euler boundary=neumann time.end=40", 3),
    "obstacles": (
        "equation=gray_scott grid=[32,98] stepper=euler time.end=40 "
        "\"domain.mask='(x-1)**2+(y-1)**2 < 0.3'\"", 3
    ),
    "obstacles between walls, adaptive steps": (
        "equation=gray_scott grid=[32,97] stepper=bogacki_shampine boundary=neumann time.end=40 "
        "\"domain.mask='(x-1)**2+(y-1)**2 < 0.3'\"", 2
    ),
    "coefficients of position and time": (
        "equation=custom grid=[24,99] stepper=euler time.end=0.01 domain.extent=1 "
        "equation.fields=[u] \"initial.u='sin(2*pi*x)*cos(2*pi*y)'\" "
        "equation.rhs.u=\"'divergence((1 + 0.5*sin(2*pi*y)*cos(t))*gradient(u)) + r*u'\"", 3
    ),
    "three dimensions": (
        "equation=heat domain.dimensions=3 grid=[8,12,48] stepper=euler time.end=0.01", 2
    ),
    "double precision": (
        "equation=gray_scott grid=[24,96] stepper=euler device.precision=float64 time.end=60", 3
    ),
}  # fmt: skip


GRAY_SCOTT = "equation=gray_scott grid=[48,96] stepper=euler"


def devices(words: str, count: int, **more) -> DistributedSimulation:
    return DistributedSimulation([plan_of(words)], [CPU] * count, FINELY, **more)


@pytest.mark.parametrize(("words", "count"), CASES.values(), ids=CASES)
def test_frames_are_those_of_one_device(words, count):
    several = devices(words, count)
    assert all(isinstance(one.loop.form, RowsInSlabs) for one in several.simulations)
    one, steps, error = result_of(Simulation(plan_of(words), CPU, FINELY))
    same, same_steps, same_error = result_of(several)
    assert steps == same_steps and steps[0] > 0
    assert np.array_equal(one, same)
    for name, value in error.items():  # three digits, of which the last may be rounded differently
        assert same_error[name] == pytest.approx(value, rel=0.01, abs=1e-12)


def test_parts_with_as_few_rows_as_ghost_rows():
    width = devices(GRAY_SCOTT, 2).simulations[0].loop.form.width
    words = f"equation=gray_scott grid=[48,{8 * width + 1}] stepper=euler time.end=60"
    several = devices(words, 8)
    assert [one.loop.part.rows for one in several.simulations] == [*[width] * 7, width + 1]
    assert all(isinstance(one.loop.form, RowsInSlabs) for one in several.simulations)
    one = result_of(Simulation(plan_of(words), CPU, FINELY))[0]
    assert np.array_equal(result_of(several)[0], one)


def test_all_devices_take_their_steps_in_the_same_form():
    """The first part has a row less than slabs need."""
    width = devices(GRAY_SCOTT, 2).simulations[0].loop.form.width
    several = devices(f"equation=gray_scott grid=[48,{2 * width - 1}] stepper=euler", 2)
    assert [one.loop.part.rows for one in several.simulations] == [width - 1, width]
    assert all(isinstance(one.loop.form, ExtendedRows) for one in several.simulations)


@pytest.mark.parametrize(
    "words",
    [
        "equation=gray_scott grid=[48,160] stepper=euler time.end=60",
        "equation=gray_scott grid=[32,161] stepper=bogacki_shampine boundary=neumann time.end=40",
        "equation=wave grid=[24,160] stepper=verlet time.end=0.1",
    ],
)
def test_exchanges_while_slabs_are_computed(words):
    several = devices(words, 2, overlaps=True)
    forms = [one.loop.form for one in several.simulations]
    assert all(form._early[0] == 0 and form._early[-1] == form.slabs.count - 1 for form in forms)
    assert all(form._late for form in forms)
    one = result_of(Simulation(plan_of(words), CPU, FINELY))
    same = result_of(several)
    assert one[1] == same[1] and np.array_equal(same[0], one[0])
