"""Random functions of position, for initial states and for parameters of steady problems.

A function is defined by random numbers whose count does not depend on the grid, and is evaluated
exactly at the cell centres. It is therefore the same function on every grid, also on grids that
are too coarse for its shortest waves. Lengths are in the units of the domain.

All functions can be evaluated for some rows only, those of a part of a grid (``Grid.part``) or
those in ``rows``, and then return bit for bit the values on the complete grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pdesim.errors import ConfigError
from pdesim.model.grid import Grid
from pdesim.model.resampling import rows_of

#: number of dimensions -> largest number of wavelengths per axis in ``random_field``
WAVES = {1: 1024, 2: 256, 3: 64}
#: largest numbers of waves, and of wavelengths per axis, in ``random_sines``
MOST_SINES, HIGHEST_SINE = 1000, 10_000
#: number of dimensions -> largest wave number in ``random_series``
HIGHEST_OF_SERIES = {1: 256, 2: 64, 3: 8}
#: points per shortest wave at which the largest value of ``random_series`` is found, as on the
#: default grid of APEBench, 160 cells for a wave number of 5
SAMPLES = 32
#: largest number of jumps or Voronoi cells in ``random_steps``
MOST_STEPS = 10_000
#: largest number of values of all waves or points of a function, which take about half a minute
MOST_VALUES = 5e9


def gaussian_field(
    stream: np.random.Generator,
    grid: Grid,
    periodic: Sequence[bool],
    exponent: float,
    length: float,
    rows: slice | None = None,
) -> np.ndarray:
    """Return a Gaussian random field of mean 0 and standard deviation 1 with a Matern spectrum.

    The field is a sum of products of one function per axis: cos(k x) and sin(k x) on a periodic
    axis of length L, where k = 2 pi n / L, and cos(k x), where k = pi n / L, on an axis between
    walls. There the field is continued as an even function, so its slope normal to the walls is 0.
    The coefficients are independent normal numbers whose variance is proportional to the power
    spectral density of the Whittle-Matern field,

        S(k) = (1 + (length |k|)^2)^-exponent,

    where k is the wave vector. The constant is left out, so the mean over the domain is 0. The
    variances are divided by their sum, so that the variance, averaged over the domain, has the
    expectation 1. It is the same at all points if all axes are periodic. Between walls it is larger
    at the walls, by a factor of up to 2 for each axis.

    In the notation of Lindgren, Rue and Lindström, J. R. Stat. Soc. B 73 (2011) 423,
    doi:10.1111/j.1467-9868.2011.00777.x, the exponent is alpha = nu + d/2 and the length 1/kappa.
    The covariance operator is proportional to (1 - length^2 laplacian)^-exponent.

    Args:
        stream: the source of the random numbers.
        grid: the grid.
        periodic: whether each axis is periodic.
        exponent: half the rate at which S falls with k, larger than half the number of dimensions.
        length: the length beyond which S falls. Waves that are much longer have equal power.
        rows: the rows that are returned (indices along the first array axis); None for all. The
            transform along this axis needs all rows, and is computed for some columns at a time.
    """
    dimensions = grid.dimensions
    if not exponent > dimensions / 2:
        raise ConfigError(
            f"random_field(...) has an exponent of {exponent:g}, for which the variance of the sum "
            f"over all waves in {dimensions}-D is infinite",
            f"an exponent larger than {dimensions / 2:g}",
        )
    if not length > 0:
        raise ConfigError("random_field(...) has a length of 0", "a length larger than 0")
    values = stream.standard_normal((2 * WAVES[dimensions] + 1,) * dimensions)
    values *= np.sqrt(_variances(grid, periodic, exponent, length))
    for axis in range(dimensions):
        along = np.moveaxis(values, grid.array_axis(axis), -1)
        cells, kept = grid.points[axis], rows
        if rows is not None and axis < dimensions - 1:
            kept = slice(0, cells)
        transform = partial(_sum_of_waves, cells=cells, periodic=periodic[axis])
        along = rows_of(transform, along, cells, kept)
        values = np.moveaxis(along, -1, grid.array_axis(axis))
    return values


def _variances(grid: Grid, periodic: Sequence[bool], exponent: float, length: float) -> np.ndarray:
    """Return the variances of the coefficients of all waves, whose sum is 1."""
    count, squares = WAVES[grid.dimensions], np.zeros(())
    for axis, extent in enumerate(grid.extent):
        once = np.arange(1, count + 1)
        # cosines, then sines of the same wave numbers; or cosines up to the same wave number
        waves = (
            np.concatenate([[0], once, once]) if periodic[axis] else np.arange(2 * count + 1) / 2
        )
        squares = squares + grid.broadcast(axis, (2 * np.pi * waves / extent) ** 2)
    # logarithms, relative to the largest density, because powers may exceed the range of numbers
    constant = (0,) * grid.dimensions
    squares[constant] = 1.0
    logarithm = np.logaddexp(0.0, 2 * np.log(length) + np.log(squares))
    logarithm[constant] = np.inf
    variances = np.exp(-exponent * (logarithm - logarithm.min()))
    return variances / variances.sum()


def _sum_of_waves(coefficients: np.ndarray, cells: int, periodic: bool) -> np.ndarray:
    """Evaluate sums of waves at the centres of the cells of an axis, which is the last array axis.

    All waves but the constant have a factor of sqrt(2), and hence a mean square of 1. The sum of
    a_n cos(n s) + b_n sin(n s) is the real part of the sum of (a_n - i b_n) exp(i n s). The values
    of exp(i n s) at the N centres are those for n mod N, except for a phase, which belongs to the
    first centre, so that one discrete Fourier transform evaluates any number of waves.
    """
    count = (coefficients.shape[-1] - 1) // 2
    modes: np.ndarray = np.sqrt(2) * coefficients
    modes[..., 0] = coefficients[..., 0]
    if periodic:
        sines = modes[..., count + 1 :]
        modes = modes[..., : count + 1].astype(complex)
        modes[..., 1:] -= 1j * sines
    # the cosines on an axis between walls have twice its length as their period
    period = cells if periodic else 2 * cells
    modes = modes * np.exp(1j * np.pi * np.arange(modes.shape[-1]) / period)
    padding = [(0, 0)] * (modes.ndim - 1) + [(0, -modes.shape[-1] % period)]
    modes = np.pad(modes, padding).reshape(*modes.shape[:-1], -1, period).sum(axis=-2)
    return np.fft.ifft(modes, axis=-1, norm="forward").real[..., :cells]


@dataclass(frozen=True)
class Gaussians:
    """A sum of Gaussians a*exp(-s*r**2), continued by one image on either side of periodic axes.

    Attributes:
        heights, rates: a and s of each Gaussian.
        places: the centres as fractions of the domain, shape ``(Gaussians, dimensions)``.
        periodic: whether each axis is periodic.
    """

    heights: np.ndarray
    rates: np.ndarray
    places: np.ndarray
    periodic: tuple[bool, ...]

    def values(self, grid: Grid) -> np.ndarray:
        """Return the sum at the cell centres of a grid or a part of it."""
        total = np.zeros(grid.shape)
        for height, rate, place in zip(self.heights, self.rates, self.places, strict=True):
            bump = np.asarray(height)
            for axis, extent in enumerate(grid.extent):
                away = grid.physical_centres(axis) - grid.origin[axis] - place[axis] * extent
                images = (-extent, 0.0, extent) if self.periodic[axis] else (0.0,)
                along = sum((np.exp(-rate * (away + image) ** 2) for image in images), np.zeros(()))
                bump = bump * grid.broadcast(axis, along)
            total += bump
        return total


def draw_gaussians(
    stream: np.random.Generator,
    periodic: Sequence[bool],
    counts: tuple[int, int],
    amplitudes: tuple[float, float],
    decays: tuple[float, float],
) -> Gaussians:
    """Return a sum of Gaussians at random positions.

    Args:
        stream: the source of the random numbers.
        periodic: whether each axis is periodic.
        counts: the smallest and the largest number of Gaussians.
        amplitudes: the limits of a.
        decays: the limits of s.
    """
    count = int(stream.integers(*counts, endpoint=True))
    heights, rates = stream.uniform(*amplitudes, count), stream.uniform(*decays, count)
    return Gaussians(heights, rates, stream.random((count, len(periodic))), tuple(periodic))


def scaled(values: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    """Return values scaled so that ``lowest`` becomes 0 and ``highest`` 1."""
    return (values - lowest) / max(highest - lowest, np.finfo(float).tiny)


def series(
    stream: np.random.Generator, grid: Grid, highest: int, rows: slice | None = None
) -> np.ndarray:
    """Return a Fourier series with random amplitudes and phases whose largest value is 1.

    It is the sum of A sin(2 pi (n_x x/L_x + n_y y/L_y + n_z z/L_z) + phi) over all wave numbers n
    from -highest to highest per axis, of which n and -n count once and 0 is left out, with A
    uniform in [-1, 1] and phi uniform in [0, 2 pi]. The sum is divided by its largest absolute
    value at ``SAMPLES`` points per shortest wave. These are the initial states of APEBench (Koehler
    et al. 2024, arXiv:2411.00180) in one dimension.

    Args:
        stream: the source of the random numbers.
        grid: the grid. Its axes are taken as periodic; x is measured from the lower corner.
        highest: the largest number of wavelengths per axis.
        rows: the rows that are returned (indices along the first array axis); None for all. The
            rounding of matrix products depends on their size. They are therefore computed for all
            rows, for up to 4096 positions along the last array axis at a time.
    """
    dimensions = grid.dimensions
    if not 1 <= highest <= HIGHEST_OF_SERIES[dimensions]:
        raise ConfigError(
            f"random_series(...) has a highest wave number of {highest}",
            f"a number from 1 to {HIGHEST_OF_SERIES[dimensions]} in {dimensions}-D",
        )
    once = np.arange(-highest, highest + 1)
    shape = (len(once),) * dimensions
    modes = stream.uniform(-1, 1, shape) * np.exp(2j * np.pi * stream.random(shape))
    # the first half of all wave numbers in the order of the array; the other half are their
    # opposites, and the constant is between them
    modes.reshape(-1)[modes.size // 2 :] = 0
    points = (np.arange(SAMPLES * highest) + 0.5) / (SAMPLES * highest)
    largest = np.abs(_sum_of_modes(modes, once, [points] * dimensions)).max()
    places = [_fractions(grid, axis) for axis in reversed(range(dimensions))]
    return _sum_of_modes(modes, once, places, rows) / largest


def _sum_of_modes(
    modes: np.ndarray,
    numbers: np.ndarray,
    places: Sequence[np.ndarray],
    rows: slice | None = None,
) -> np.ndarray:
    """Return the imaginary part of a sum of modes, at positions along each array axis.

    Args:
        rows: the positions along the first axis that are kept; None for all.
    """
    last = len(places) - 1
    for axis, place in enumerate(places):
        # parts of the positions, since there is a number for each position and wave
        parts = np.array_split(place, max(1, len(place) // 4096))
        waves = (np.exp(2j * np.pi * np.outer(part, numbers)) for part in parts)
        products = (np.tensordot(wave, modes, (1, axis)) for wave in waves)
        cut = rows is not None and axis == last > 0
        sums = [product[:, rows].copy() if cut else product for product in products]
        modes = np.moveaxis(np.concatenate(sums), 0, axis)
    return modes.imag if rows is None or last > 0 else modes.imag[rows]


def sines(stream: np.random.Generator, grid: Grid, count: int, highest: int) -> np.ndarray:
    """Return a sum of sine waves with random wave numbers, amplitudes and phases.

    In one dimension these are the initial states of advection and Burgers' equation in PDEBench
    (Takamoto et al. 2022, arXiv:2210.07182), before the absolute value and the window that it
    applies to some of them:

        u(x) = sum of A_i sin(k_i x + phi_i) over i = 1 ... count,    k_i = 2 pi n_i / L

    with n_i uniform in {1, ..., highest}, A_i uniform in [0, 1] and phi_i uniform in [0, 2 pi].
    In several dimensions, n_i is one such number for each axis, with a random sign on y and z so
    that the waves run in all directions. The waves have the period of the domain, also between
    walls. x is measured from the lower corner.

    Args:
        stream: the source of the random numbers.
        grid: the grid.
        count: the number of waves.
        highest: the largest number of wavelengths per axis.
    """
    if not 1 <= count <= MOST_SINES:
        raise ConfigError(
            f"random_sines(...) has a count of {count}", f"a number from 1 to {MOST_SINES}"
        )
    if not 1 <= highest <= HIGHEST_SINE:
        raise ConfigError(
            f"random_sines(...) has a highest wave number of {highest}",
            f"a number from 1 to {HIGHEST_SINE}",
        )
    _limit("random_sines", count, grid)
    amplitudes = stream.random(count)
    phases = 2 * np.pi * stream.random(count)
    numbers = stream.integers(1, highest, (count, grid.dimensions), endpoint=True)
    # a sign of the number along x as well would be equivalent to another phase
    numbers[:, 1:] *= stream.choice((-1, 1), (count, grid.dimensions - 1))
    total = np.zeros(grid.shape)
    for amplitude, phase, wave in zip(amplitudes, phases, numbers, strict=True):
        # a product of exponentials of one coordinate each, faster than the sine of a sum
        product = np.asarray(amplitude * np.exp(1j * phase))
        for axis, number in enumerate(wave):
            angle = 2 * np.pi * number * _fractions(grid, axis)
            product = product * grid.broadcast(axis, np.exp(1j * angle))
        total += product.imag
    return total


def steps(
    stream: np.random.Generator, grid: Grid, periodic: Sequence[bool], count: int
) -> np.ndarray:
    """Return a piecewise constant function whose values are uniform in [0, 1].

    In one dimension it has ``count`` jumps at uniformly distributed positions; on a periodic axis,
    the last piece continues the first. In two and three dimensions the pieces are the Voronoi cells
    of ``count`` uniformly distributed points: each cell centre has the value of the nearest point,
    where distances are periodic along periodic axes.

    Args:
        stream: the source of the random numbers.
        grid: the grid.
        periodic: whether each axis is periodic.
        count: the number of jumps or points.
    """
    if not 1 <= count <= MOST_STEPS:
        raise ConfigError(
            f"random_steps(...) has a count of {count}", f"a number from 1 to {MOST_STEPS}"
        )
    if grid.dimensions > 1:
        return _voronoi(stream, grid, periodic, count)
    if periodic[0] and count == 1:
        raise ConfigError(
            "random_steps(1): a periodic function of x cannot have a single jump", "2 or more jumps"
        )
    jumps = np.sort(stream.random(count))
    values = stream.random(count + 1)
    if periodic[0]:
        values[-1] = values[0]
    return values[np.searchsorted(jumps, _fractions(grid, 0), side="right")]


def _voronoi(
    stream: np.random.Generator, grid: Grid, periodic: Sequence[bool], count: int
) -> np.ndarray:
    """Return the values of random points in the cells to which they are nearest."""
    _limit("random_steps", count, grid)
    places, values = stream.random((count, grid.dimensions)), stream.random(count)
    nearest, result = np.full(grid.shape, np.inf), np.zeros(grid.shape)
    for place, value in zip(places, values, strict=True):
        squares = np.zeros(())
        for axis in range(grid.dimensions):
            away = np.abs(_fractions(grid, axis) - place[axis])
            if periodic[axis]:
                away = np.minimum(away, 1 - away)
            squares = squares + grid.broadcast(axis, (grid.extent[axis] * away) ** 2)
        nearer = squares < nearest
        result[nearer] = value
        np.minimum(nearest, squares, out=nearest)
    return result


def _fractions(grid: Grid, axis: int) -> np.ndarray:
    """Return the cell centres along an axis as fractions of its length, from 0 to 1."""
    return (grid.indices(axis) + 0.5) / grid.complete.points[axis]


def _limit(word: str, count: int, grid: Grid) -> None:
    """Refuse functions that would take more than about half a minute."""
    cells = grid.complete.cells
    if count * cells > MOST_VALUES:
        raise ConfigError(
            f"{word}(...) with a count of {count} on {cells} cells",
            f"a product of the two of at most {MOST_VALUES:.0e}",
        )
