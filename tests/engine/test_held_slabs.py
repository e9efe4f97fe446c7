"""States of large grids that remain in slabs between blocks of steps."""

import numpy as np
import pytest
import tensorflow as tf
from distributed_runs import CPU, plan_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rows_in_slabs import CASES, FINELY

from pdesim.engine import field_statistics
from pdesim.engine.field_statistics import grid_sums
from pdesim.engine.held import Held, RunLoop, unchanged
from pdesim.engine.simulation import Simulation

#: settings of runs in slabs
NAMES = (
    "odd rows", "two stages", "adaptive steps", "adaptive steps between walls",
    "positions and momenta", "no flux", "coefficients of position and time", "three dimensions",
)  # fmt: skip
WORDS = {name: CASES[name][0] for name in NAMES}


class OnGrid:
    """The programs of a loop whose results are always copied to the grid."""

    def __init__(self, loop):
        self._loop = loop
        self.of_run = RunLoop(loop.advance, loop.advance_adaptive, unchanged)

    def __getattr__(self, name):
        return getattr(self._loop, name)


def simulated(words: str, longest: int | None = None, on_grid: bool = False, since=None):
    """Return the simulation, its frames, and its checkpoint after every frame."""
    simulation = Simulation(plan_of(words, since=since), CPU, FINELY)
    if on_grid:
        simulation = Simulation(simulation.plan, CPU, FINELY, loop=OnGrid(simulation.loop))
    simulation.longest_block = longest
    simulation.prepare()
    followed = [(frame, simulation.checkpoint()) for frame in simulation.frames()]
    return simulation, followed


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_results_are_those_of_states_on_the_grid(words):
    expected = simulated(words, on_grid=True)[1]
    for longest in (1, 9):
        simulation, found = simulated(words, longest)
        carried = simulation.plan.stepper.carries_state
        assert isinstance(simulation._batch.at.carry, Held) == carried
        for (frame, one), (known, other) in zip(found, expected, strict=True):
            assert (frame.index, frame.time) == (known.index, known.time)
            assert np.array_equal(frame.state, known.state)
            assert np.array_equal(one.state, other.state)
            assert all(map(np.array_equal, one.carry, other.carry))
            assert one.dt == other.dt


@pytest.mark.parametrize("name", ["odd rows", "adaptive steps"])
def test_a_run_is_resumed_exactly_from_slabs(name):
    whole = simulated(WORDS[name])[1]
    middle = whole[len(whole) // 2][1]
    rest = simulated(WORDS[name], since=middle)[1]
    assert len(rest) == len(whole) - len(whole) // 2 - 1
    assert np.array_equal(rest[-1][0].state, whole[-1][0].state)


@pytest.mark.parametrize("name", ["odd rows", "three dimensions", "no flux"])
def test_statistics_of_slabs_are_those_of_the_grid(name):
    simulation = simulated(WORDS[name])[0]
    held, statistics = simulation._batch.at.carry, simulation.loop.field_statistics
    state = held.on_grid.numpy().astype(float)
    axes = tuple(range(1, state.ndim))
    size = np.sqrt(np.mean(state**2, axis=axes))
    for given_state in (held, held.on_grid):
        spread, found = statistics.spread_and_size(given_state)
        # sums of about 1e4 values in double precision, in another order
        assert spread == pytest.approx(np.std(state, axis=axes), rel=1e-10)
        assert found == pytest.approx(size, rel=1e-12)
    first = simulation.loop.of_run.enter(
        tf.zeros_like(held.on_grid), simulation._batch.at.parameters
    )
    assert statistics.distance(first, held) == pytest.approx(size, rel=1e-12)
    assert (statistics.distance(held, held) == 0).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 60))
def test_sums_in_bands(shape, dimensions, values):
    dimensions = min(dimensions, len(shape))
    array = np.random.default_rng(len(shape)).normal(size=shape)
    before, field_statistics.BAND_VALUES = field_statistics.BAND_VALUES, values
    try:
        found = grid_sums(lambda v: (v, v**2), [tf.constant(array)], dimensions, in_bands=True)
    finally:
        field_statistics.BAND_VALUES = before
    axes = tuple(range(-dimensions, 0))
    for total, power in zip(found, (1, 2), strict=True):
        assert total.numpy() == pytest.approx(np.sum(array**power, axis=axes), abs=1e-12)
