"""Generators in formulas of initial states: random functions, spots, images and stored frames.

On a part of a grid (``Grid.part``) they return bit for bit the values on the complete grid.
``random_normal`` and ``random_uniform`` continue the streams of the part before. Other functions
are evaluated at the cells of the part, except for these, which are evaluated for many rows at a
time and whose values are kept for the next parts:

- ``random_field``, ``random_waves`` and ``random_series`` are sums of waves. The transform along
  the axis of the rows is computed for some columns at a time (``random_series``: up to 4096).
- ``image`` is resampled as a whole in float32. Only the rows that are kept are float64.
- ``snapshot`` and ``dataset`` read only the rows that are needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
import sympy

from pdesim import files
from pdesim.errors import ConfigError
from pdesim.formula import Evaluator, literal
from pdesim.model import random_functions
from pdesim.model.grid import Grid
from pdesim.model.resampling import SMOOTHING, low_pass, trigonometric
from pdesim.model.stored_frames import read_on_grid
from pdesim.settings.drawn import STREAM, uniform_number

#: largest number of balls in one ``spots(...)``; each takes at least 50 microseconds
MOST_SPOTS = 50_000
#: largest number of cells per axis in ``random_waves``
MOST_WAVES = 512
#: largest total number of cells in the bounding boxes of all balls, which take about a minute
MOST_CELLS = 5e9
#: functions that are costly for few rows are evaluated for this fraction of all rows, or this
#: number of cells, at a time
SLABS, SLAB_CELLS = 8, 2**21


@dataclass(frozen=True)
class Generators:
    """Values of the generators for one field on one grid, or on a part of it.

    Attributes:
        grid: the complete grid.
        part: the part of the grid whose values are returned; ``grid`` for all values.
        periodic: whether each axis is periodic.
        seed: the seed of the random numbers.
        field: the number of the field, which distinguishes its random numbers.
        drawn_on: see :meth:`pdesim.model.initial_conditions.InitialConditions.evaluate`; only for
            the complete grid.
        kept: streams of random numbers and values of several parts, which later parts use.
    """

    grid: Grid
    part: Grid
    periodic: tuple[bool, ...]
    seed: int
    field: int
    drawn_on: Grid | None = None
    kept: dict[tuple, Any] = dataclass_field(default_factory=dict)

    def at(self, part: Grid) -> Generators:
        """Return the generators for the next part of the grid."""
        return replace(self, part=part)

    def __call__(
        self, word: str, arguments: tuple[sympy.Basic, ...], evaluate: Evaluator
    ) -> np.ndarray:
        return getattr(self, f"_{word}")(*arguments, evaluate=evaluate)

    @property
    def _source(self) -> Grid:
        """The grid on which values are drawn or read."""
        return self.drawn_on or self.grid

    def _resampled(self, values: np.ndarray, smoothing: float = SMOOTHING) -> np.ndarray:
        """Transfer values from the source grid to this grid."""
        if self.drawn_on is None:
            return values
        return low_pass(values, self.grid.shape, self.periodic, smoothing)

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.seed, *key]))

    @property
    def _rows(self) -> slice:
        """The rows of the part: indices along the first array axis of the grid."""
        first = 0 if self.part.window is None else self.part.window[0]
        return slice(first, first + self.part.shape[0])

    def _drawn(
        self, key: tuple[int, ...], draw: Callable[[np.random.Generator, tuple], np.ndarray]
    ) -> np.ndarray:
        """Return random numbers that are drawn one after the other, in the order of the cells.

        Each part continues the stream of the part before it, so that its numbers are those of the
        complete grid. A formula may contain the same occurrence several times; its numbers are
        drawn once.
        """
        if self.part is self.grid:
            return self._resampled(draw(self._stream(*key), self._source.shape))
        rows = self._rows
        stream, end, values = self.kept.get(key) or (self._stream(*key), 0, None)
        if end == rows.start:
            values = draw(stream, self.part.shape)
            self.kept[key] = stream, rows.stop, values
        elif end != rows.stop or values is None:
            raise ValueError("the parts of a grid must follow one another")
        return values

    def _of_rows(self, key: tuple, function: Callable[[slice | None], np.ndarray]) -> np.ndarray:
        """Return the rows of this part of a function that is costly for few rows.

        Args:
            key: identifies the function.
            function: returns its values in some rows; for None, in all rows. It is called at most
                ``SLABS`` times, for many rows, whose values are kept for later parts.
        """
        if self.part is self.grid:
            return function(None)
        rows, count = self._rows, self.part.shape[0]
        slab, values = self.kept.pop(key, (slice(0, 0), None))
        if not slab.start <= rows.start < rows.stop <= slab.stop:
            total = self.grid.shape[0]
            least = max(count, math.ceil(total / SLABS), SLAB_CELLS * total // self.grid.cells)
            slab = slice(rows.start, min(total, rows.start + count * math.ceil(least / count)))
            del values  # before memory is needed for the next ones
            values = function(slab)
        self.kept[key] = slab, values
        return values[rows.start - slab.start : rows.stop - slab.start]

    def _random_normal(
        self, amplitude: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        key = (1, self.field, int(occurrence))
        return evaluate(amplitude) * self._drawn(key, lambda s, shape: s.standard_normal(shape))

    def _random_uniform(
        self, low: sympy.Expr, high: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        lower, upper = evaluate(low), evaluate(high)
        if np.any(np.asarray(upper) < np.asarray(lower)):
            raise ConfigError(
                "random_uniform(low, high) has an upper bound below the lower one",
                "low <= high in every cell, such as random_uniform(0, 1)",
            )
        noise = self._drawn((2, self.field, int(occurrence)), lambda s, shape: s.random(shape))
        return lower + (upper - lower) * noise

    def _random_waves(
        self, count: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        """Return uniform numbers on a grid of ``count`` cells per axis, interpolated by waves."""
        cells = round(self._number(count, "n in random_waves(n)", evaluate))
        if not 2 <= cells <= MOST_WAVES:
            raise ConfigError(f"random_waves({cells})", f"a number from 2 to {MOST_WAVES}")
        shape, key = (cells,) * self.grid.dimensions, (4, self.field, int(occurrence))
        values = self._stream(*key).random(shape) - 0.5
        return self._of_rows(
            key, lambda rows: trigonometric(values, self.grid.shape, self.periodic, rows)
        )

    def _random_gaussians(self, *arguments: sympy.Expr, evaluate: Evaluator) -> np.ndarray:
        """Return a sum of Gaussians, continued periodically along periodic axes, in [0, 1]."""
        *limits, occurrence = arguments
        name = "value in random_gaussians(...)"
        numbers = (self._number(limit, name, evaluate) for limit in limits)
        fewest, most, weak, strong, wide, narrow = numbers
        if not (1 <= fewest <= most <= MOST_SPOTS and 0 < weak <= strong and 0 < wide <= narrow):
            raise ConfigError(
                f"random_gaussians({', '.join(map(str, limits))}) has invalid limits",
                f"1 <= fewest <= most <= {MOST_SPOTS}, 0 < weakest <= strongest, "
                "0 < widest <= narrowest",
            )
        key = (5, self.field, int(occurrence))
        drawn = random_functions.draw_gaussians(
            self._stream(*key),
            self.periodic,
            (round(fewest), round(most)),
            (weak, strong),
            (wide, narrow),
        )
        values = drawn.values(self.part)
        if self.part is self.grid:
            return random_functions.scaled(values, values.min(), values.max())
        if key not in self.kept:  # the extremes on the complete grid
            each = (drawn.values(part) for part in self.grid.parts(self.part.shape[0]))
            limits = [(one.min(), one.max()) for one in each]
            self.kept[key] = min(low for low, _ in limits), max(high for _, high in limits)
        return random_functions.scaled(values, *self.kept[key])

    def _random_field(
        self,
        exponent: sympy.Expr,
        length: sympy.Expr,
        occurrence: sympy.Integer,
        evaluate: Evaluator,
    ) -> np.ndarray:
        key = (6, self.field, int(occurrence))
        rate = self._number(exponent, "exponent in random_field(...)", evaluate)
        size = self._number(length, "length in random_field(...)", evaluate)

        def values(rows: slice | None) -> np.ndarray:
            stream = self._stream(*key)
            return random_functions.gaussian_field(
                stream, self.grid, self.periodic, rate, size, rows
            )

        return self._of_rows(key, values)

    def _random_sines(
        self,
        count: sympy.Expr,
        highest: sympy.Expr,
        occurrence: sympy.Integer,
        evaluate: Evaluator,
    ) -> np.ndarray:
        stream = self._stream(7, self.field, int(occurrence))
        waves = round(self._number(count, "count in random_sines(...)", evaluate))
        most = round(self._number(highest, "highest wave number in random_sines(...)", evaluate))
        return random_functions.sines(stream, self.part, waves, most)

    def _random_series(
        self, highest: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        key = (9, self.field, int(occurrence))
        most = round(self._number(highest, "highest wave number in random_series(...)", evaluate))
        return self._of_rows(
            key, lambda rows: random_functions.series(self._stream(*key), self.grid, most, rows)
        )

    def _random_number(
        self, low: sympy.Expr, high: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> float:
        stream = self._stream(STREAM, self.field, int(occurrence))
        return uniform_number(stream, evaluate(low), evaluate(high))

    def _random_steps(
        self, count: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        stream = self._stream(8, self.field, int(occurrence))
        number = round(self._number(count, "count in random_steps(...)", evaluate))
        return random_functions.steps(stream, self.part, self.periodic, number)

    def _spots(
        self,
        count: sympy.Expr,
        radius: sympy.Expr,
        smoothness: sympy.Expr | None = None,
        *,
        evaluate: Evaluator,
    ) -> np.ndarray:
        """Return 1 inside balls and 0 outside.

        Across the surface, the value follows a tanh of width ``smoothness * radius`` (0: sharp).
        """
        size = self._number(radius, "radius in spots(...)", evaluate)
        width = 0.0
        if smoothness is not None:
            width = size * self._number(smoothness, "smoothness in spots(...)", evaluate)
        requested = self._number(count, "count in spots(...)", evaluate)
        balls = max(round(requested), int(requested > 0))
        if balls > MOST_SPOTS:
            raise ConfigError(f"spots(...) has a count of {balls}", f"at most {MOST_SPOTS}")
        reach = 2 * (size + 6 * width)
        cells = balls * math.prod(
            min(n, reach / h + 1) for n, h in zip(self.grid.points, self.grid.spacing, strict=True)
        )
        if cells > MOST_CELLS:
            raise ConfigError(
                f"spots({balls}, {size:g}) covers {cells:.2g} cells in total",
                f"at most {MOST_CELLS:.0e}",
                "fewer or smaller spots",
            )
        centres = self._stream(3).random((balls, self.grid.dimensions))
        result = np.zeros(self.part.shape)
        for centre in self._near(centres, reach / 2):
            self._add_ball(result, centre, size, width)
        return result

    def _near(self, centres: np.ndarray, reach: float) -> np.ndarray:
        """Return the centres of balls that may contain cells of the part, in their order."""
        if self.part is self.grid:
            return centres
        axis = self.grid.dimensions - 1
        rows, extent = self.part.physical_centres(axis), self.grid.extent[axis]
        places = self.grid.origin[axis] + centres[:, axis] * extent
        images = (-extent, 0.0, extent) if self.periodic[axis] else (0.0,)
        near = np.zeros(len(centres), bool)
        for image in images:
            above = np.searchsorted(rows, places + image)
            for index in (above - 1, above):
                nearest_row = rows[np.clip(index, 0, len(rows) - 1)]
                # with a margin for rounding; the distance of each cell is compared later
                near |= np.abs(nearest_row - places - image) <= reach + 1e-6 * extent
        return centres[near]

    def _number(self, argument: sympy.Expr, name: str, evaluate: Evaluator) -> float:
        """Return the value of an argument, which must be a single number that is not negative."""
        value = np.asarray(evaluate(argument), dtype=float)
        if value.ndim or not np.isfinite(value) or value < 0:
            given = f"varies from cell to cell ({argument})" if value.ndim else f"is {value:g}"
            raise ConfigError(f"the {name} {given}", "one number that is not negative")
        return float(value)

    def _add_ball(
        self, result: np.ndarray, centre: np.ndarray, radius: float, width: float
    ) -> None:
        reach = radius + 6 * width
        windows, squares = [], np.zeros(())
        for axis in range(self.grid.dimensions):
            distance = self._distance(axis, centre[axis])
            near = np.flatnonzero(distance <= reach)
            windows.append(near)
            squares = squares + self.part.broadcast(axis, distance[near] ** 2)
        window = np.ix_(*windows[::-1])
        distance = np.sqrt(squares)
        ball = 0.5 - 0.5 * np.tanh((distance - radius) / width) if width else distance <= radius
        result[window] = np.maximum(result[window], ball)

    def _distance(self, axis: int, fraction: float) -> np.ndarray:
        extent = self.grid.extent[axis]
        away = np.abs(self.part.physical_centres(axis) - self.grid.origin[axis] - fraction * extent)
        return np.minimum(away, extent - away) if self.periodic[axis] else away

    def _image(self, file: sympy.Symbol, evaluate: Evaluator) -> np.ndarray:
        """Return the brightness of an image; of the complete one, only some rows are float64."""
        if self.grid.dimensions != 2:
            raise ConfigError("image(...) needs a 2-D grid", "grid=[nx,ny]")
        name, shape = literal(file), (self._source.shape[0], self._source.shape[1])
        return self._resampled(
            self._of_rows(
                ("image", name),
                lambda rows: files.resize(files.read_picture(name), shape, rows),
            )
        )

    def _snapshot(
        self,
        file: sympy.Symbol,
        field: sympy.Symbol,
        time: sympy.Expr | None = None,
        *,
        evaluate: Evaluator,
    ) -> np.ndarray:
        at = None if time is None else float(evaluate(time))
        path, of = literal(file), literal(field)
        values = self._of_rows(
            ("snapshot", path, of, at),
            lambda rows: read_on_grid(path, of, at, self._source, self.periodic, rows),
        )
        return self._resampled(values, smoothing=0.0)

    def _dataset(self, file: sympy.Symbol, name: sympy.Symbol, evaluate: Evaluator) -> np.ndarray:
        path, of, shape = literal(file), literal(name), self._source.shape
        values = self._of_rows(
            ("dataset", path, of), lambda rows: files.read_cells(path, of, shape, rows)
        )
        return self._resampled(values, smoothing=0.0)
