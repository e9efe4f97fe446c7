"""Random fields, sums of sines and steps, beside their definitions and known statistics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import make_plan

from pdesim.errors import ConfigError
from pdesim.formula.language import GENERATORS
from pdesim.model import random_functions
from pdesim.model.grid import Grid
from pdesim.model.initial_conditions import GRID_DEPENDENT

SEEDS = 1000
#: five standard deviations of the mean square of SEEDS complex and of SEEDS real normal numbers,
#: relative to its expectation
COMPLEX, REAL = 5 / SEEDS**0.5, 5 * (2 / SEEDS) ** 0.5
WORDS = ("random_field(2.5, 0.3)", "random_sines(3, 8)", "random_series(4)", "random_steps(5)")


def stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(key))


def fields(
    points: tuple[int, ...],
    extent: tuple[float, ...],
    periodic: tuple[bool, ...],
    exponent: float,
    length: float,
) -> np.ndarray:
    grid = Grid(points, extent, (0.0,) * len(points))
    return np.array(
        [
            random_functions.gaussian_field(stream(seed), grid, periodic, exponent, length)
            for seed in range(SEEDS)
        ]
    )


def state(formula: str, *words: str) -> np.ndarray:
    return make_plan(
        "equation=heat", "device.precision=float64", "domain.extent=2", "domain.origin=-1", *words,
        f"initial.u='{formula}'",
    ).state[0]  # fmt: skip


def test_the_spectrum_of_a_periodic_field(monkeypatch):
    monkeypatch.setitem(random_functions.WAVES, 2, 4)
    u = fields((10, 12), (2.0, 3.0), (True, True), 1.5, 0.4)
    # on a grid with more than twice as many cells as waves there is no aliasing
    measured = np.mean(np.abs(np.fft.fft2(u) / 120) ** 2, axis=0)
    m, n = np.fft.fftfreq(10, 1 / 10), np.fft.fftfreq(12, 1 / 12)[:, None]
    k = np.hypot(2 * np.pi * m / 2, 2 * np.pi * n / 3)
    density = (1 + (0.4 * k) ** 2) ** -1.5
    density[(abs(m) > 4) | (abs(n) > 4) | (k == 0)] = 0
    # an exponential distribution if both numbers are not 0; its mean deviates by 1/sqrt(SEEDS)
    np.testing.assert_allclose(measured, density / density.sum(), rtol=COMPLEX, atol=1e-15)
    assert np.mean(u**2) == pytest.approx(1, rel=0.02)


def test_the_spectrum_between_walls(monkeypatch):
    monkeypatch.setitem(random_functions.WAVES, 1, 4)
    u = fields((12,), (2.0,), (False,), 2.0, 0.4)
    s, n = (np.arange(12) + 0.5) / 12, np.arange(1, 9)
    modes = np.sqrt(2) * np.cos(np.pi * np.outer(n, s))
    measured = np.mean((u @ modes.T / 12) ** 2, axis=0)
    density = (1 + (0.4 * np.pi * n / 2) ** 2) ** -2.0
    np.testing.assert_allclose(measured, density / density.sum(), rtol=REAL)
    np.testing.assert_allclose(u.mean(axis=1), 0, atol=1e-14)
    # the mean of the variance is 1, its value that of the sum of the cosines, largest at the walls
    variance = modes.T**2 @ density / density.sum()
    np.testing.assert_allclose(np.mean(u**2, axis=0), variance, rtol=REAL)
    assert variance.mean() == pytest.approx(1) and 1.7 < variance[0] < 2


@pytest.mark.parametrize(
    ("exponent", "correlation"),
    [(1.0, lambda r: np.exp(-r)), (2.0, lambda r: (1 + r) * np.exp(-r))],
)
def test_the_correlation_is_that_of_matern(exponent, correlation):
    """Rasmussen and Williams, Gaussian Processes for Machine Learning, eq. 4.17 for nu of 1/2, 3/2.

    The length is small enough for the nearest periodic images not to matter. The mean, which the
    field lacks, would contribute the mean of the correlation over the domain to it. The waves that
    are left out have 0.5 % of the variance for nu = 1/2. A correlation of SEEDS fields of about
    1/(4*0.02) independent parts deviates by about 1/sqrt(12*SEEDS) = 0.01.
    """
    length = 0.02
    u = fields((256,), (1.0,), (True,), exponent, length)
    power = np.mean(np.abs(np.fft.rfft(u)) ** 2, axis=0)
    measured = np.fft.irfft(power, 256)
    distance = np.minimum(np.arange(256), 256 - np.arange(256)) / 256
    expected = correlation(distance / length)
    mean = 2 * exponent * length  # the integral of the correlation
    np.testing.assert_allclose(measured / measured[0], (expected - mean) / (1 - mean), atol=0.03)


def test_fields_are_periodic_or_level_at_walls():
    u = state("random_field(6, 0.3)", "grid=[96,96]", "boundary={x: periodic, y: neumann}")
    jump = np.abs(np.diff(u, axis=1)).max()
    assert np.abs(u[:, 0] - u[:, -1]).max() < jump
    slopes = np.abs(np.diff(u, axis=0)).max(axis=1)
    # the slope is proportional to the distance from the wall, here one cell
    assert max(slopes[0], slopes[-1]) < 0.2 * slopes.max()


def test_extreme_arguments_give_finite_fields():
    for exponent, length in ((1e300, 1.0), (1e300, 1e300), (2.0, 1e-300), (1e6, 1e-3)):
        u = state(f"random_field({exponent}, {length})", "grid=16")
        assert np.isfinite(u).all() and 0.01 < u.std() < 3


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("boundary", ["periodic", "neumann", "{default: neumann, x: periodic}"])
@pytest.mark.parametrize(
    ("coarse", "fine"), [("[7]", "[21]"), ("[8,6]", "[24,18]"), ("[4,5,6]", "[12,15,18]")]
)
def test_the_same_function_on_every_grid(word, boundary, coarse, fine):
    one, other = (state(word, f"grid={grid}", f"boundary={boundary}") for grid in (coarse, fine))
    # the centre of cell j is that of cell 3 j + 1 of a grid with three times as many cells
    np.testing.assert_allclose(other[(slice(1, None, 3),) * one.ndim], one, atol=1e-12)
    assert one.std() > 0.01


@pytest.mark.parametrize("word", WORDS)
def test_numbers_depend_on_seed_field_and_occurrence(word):
    u = state(word, "grid=[4,4,4]")
    np.testing.assert_array_equal(state(word, "grid=[4,4,4]"), u)
    assert np.abs(state(word, "grid=[4,4,4]", "seed=1") - u).max() > 0.01
    assert np.abs(state(f"{word} - {word}", "grid=[4,4,4]")).max() > 0.01
    two = make_plan("equation=gray_scott", "grid=8", f"initial={{u: '{word}', v: '{word}'}}").state
    assert np.abs(two[0] - two[1]).max() > 0.01
    assert word.split("(")[0] in GENERATORS and word.split("(")[0] not in GRID_DEPENDENT


@pytest.mark.parametrize("word", WORDS)
def test_parameters_of_steady_problems(word):
    plan = make_plan("equation=poisson", "grid=8", f"equation.source='3*{word}'")
    (values,) = plan.problem.arrays.values()
    assert values.shape == (8, 8) and values.std() > 0.01


def test_one_sine_beside_its_definition():
    """PDEBench's waves: wave number, amplitude and phase are uniform, which the means show."""
    grid, highest = Grid((32,), (2.0,), (-1.0,)), 8
    found = []
    for seed in range(SEEDS):
        u = random_functions.sines(stream(seed), grid, 1, highest)
        modes = np.fft.rfft(u) / 16
        n = int(np.abs(modes).argmax())
        s = (np.arange(32) + 0.5) / 32
        # a cosine of the phase at the first centre; sin(a) is cos(a - pi/2)
        phase = (np.angle(modes[n]) + np.pi / 2 - np.pi * n / 32) % (2 * np.pi)
        np.testing.assert_allclose(u, abs(modes[n]) * np.sin(2 * np.pi * n * s + phase), atol=1e-14)
        found.append((n, abs(modes[n]), phase))
    numbers, amplitudes, phases = np.array(found).T
    counts = np.bincount(numbers.astype(int), minlength=highest + 1)
    # binomial: five standard deviations of 125 +- 10.5
    assert counts[0] == 0 and len(counts) == highest + 1
    assert np.abs(counts[1:] - 125).max() < 53
    for values, most in ((amplitudes, 1), (phases, 2 * np.pi)):
        assert values.min() >= 0 and values.max() <= most
        # a uniform number has the standard deviation 1/sqrt(12)
        assert values.mean() == pytest.approx(most / 2, abs=5 * most / (12 * SEEDS) ** 0.5)


def test_sums_of_sines_in_two_dimensions():
    grid = Grid((16, 18), (1.0, 2.0), (0.0, 0.0))
    total = np.zeros((18, 16))
    for seed in range(300):
        u = random_functions.sines(stream(seed), grid, 3, 4)
        power = np.abs(np.fft.fft2(u) / u.size) ** 2
        assert np.count_nonzero(power > 1e-28) <= 6
        total += power
    n, m = np.fft.fftfreq(18, 1 / 18)[:, None], np.fft.fftfreq(16, 1 / 16)
    allowed = (abs(n) >= 1) & (abs(n) <= 4) & (abs(m) >= 1) & (abs(m) <= 4)
    # waves in both diagonal directions, and none beyond the highest
    assert (total[allowed] > 1e-3).all() and total[~allowed].max() < 1e-27
    # each wave has the mean square 1/2 * 1/3; the squares of sums of three vary by about 0.37
    assert total.sum() / 300 == pytest.approx(3 / 6, abs=5 * 0.37 / 300**0.5)


@pytest.mark.parametrize(("periodic", "count"), [(True, 2), (True, 7), (False, 1), (False, 7)])
def test_steps_of_one_coordinate(periodic, count):
    grid = Grid((20_000,), (3.0,), (1.0,))
    places, values = [], []
    for seed in range(100):
        u = random_functions.steps(stream(seed), grid, (periodic,), count)
        jumps = np.flatnonzero(np.diff(u))
        # two jumps in one cell of 20,000 are one; none of these seeds has such jumps
        assert len(jumps) == count and len(set(u)) == count + (not periodic)
        assert (u[0] == u[-1]) == periodic
        places += list((jumps + 1) / 20_000)
        values += sorted(set(u))
    assert min(values) >= 0 and max(values) <= 1
    for numbers in (places, values):
        assert np.mean(numbers) == pytest.approx(0.5, abs=5 / (12 * len(numbers)) ** 0.5)


@pytest.mark.parametrize("periodic", [(True, True, True), (False, True, False), (False,) * 3])
@pytest.mark.parametrize("points", [(14, 9), (7, 6, 5)])
def test_voronoi_cells_beside_a_search_over_all_images(points, periodic):
    extent = (2.0, 1.0, 3.0)[: len(points)]
    grid = Grid(points, extent, (0.0,) * len(points))
    u = random_functions.steps(stream(3), grid, periodic, 12)
    numbers = stream(3)
    places, values = numbers.random((12, len(points))) * extent, numbers.random(12)
    images = [(-1, 0, 1) if periodic[axis] else (0,) for axis in range(len(points))]
    shifts = np.array(list(itertools.product(*images))) * extent
    centres = np.stack(np.meshgrid(*(grid.centres(a) for a in range(len(points))),
                                   indexing="ij"), axis=-1)[..., None, None, :]  # fmt: skip
    distance = np.linalg.norm(centres - places[:, None] - shifts, axis=-1).min(axis=-1)
    np.testing.assert_array_equal(u.T, values[distance.argmin(axis=-1)])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("random_field(1, 0.1)", r"exponent of 1, .* 2-D is infinite.*larger than 1"),
        ("random_field(2, 0)", "length of 0.*larger than 0"),
        ("random_field(2, -1)", "length in random_field.* is -1.*not negative"),
        ("random_field(x, 1)", "exponent in random_field.* varies from cell to cell"),
        ("random_sines(0, 8)", "count of 0.*from 1 to 1000"),
        ("random_sines(2000, 8)", "count of 2000.*from 1 to 1000"),
        ("random_sines(2, 0)", "highest wave number of 0.*from 1 to 10000"),
        ("random_sines(2, 1e5)", "highest wave number of 100000.*from 1 to 10000"),
        ("random_sines(y, 8)", "count in random_sines.* varies from cell to cell"),
        ("random_steps(0)", "count of 0.*from 1 to 10000"),
        ("random_steps(1e300)", "random_steps.*from 1 to 10000"),
        ("random_steps(-3)", "count in random_steps.* is -3"),
    ],
)
def test_invalid_arguments(formula, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        state(formula, "grid=16")


def test_a_periodic_function_cannot_have_one_jump():
    with pytest.raises(ConfigError, match=r"(?s)single jump.*2 or more"):
        state("random_steps(1)", "grid=[16]")
    assert len(set(state("random_steps(1)", "grid=[16]", "boundary=neumann"))) == 2


@pytest.mark.parametrize("word", ["random_sines(900, 8)", "random_steps(9000)"])
def test_functions_that_would_take_long_are_refused(word, monkeypatch):
    monkeypatch.setattr(random_functions, "MOST_VALUES", 1e5)
    with pytest.raises(ConfigError, match=r"(?s)on 256 cells.*at most 1e\+05"):
        state(word, "grid=16")
