"""Initial states: formulas and seeded generators, evaluated with NumPy in float64.

Random numbers are drawn from PCG64 generators that are seeded with (seed, field, occurrence in the
formula). The state is therefore the same to the last bit on every device and, before it is rounded,
in every precision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from pdesim import files
from pdesim.errors import ConfigError, nearest
from pdesim.formula import Evaluator, Scope, literal, parse, parse_value
from pdesim.formula import language as lang
from pdesim.formula.metric import Metric
from pdesim.formula.values import parts_of
from pdesim.model import random_functions
from pdesim.model.components import Declared
from pdesim.model.grid import Grid, place_names
from pdesim.model.resampling import SMOOTHING, low_pass, trigonometric
from pdesim.model.stored_frames import on_grid
from pdesim.settings.drawn import STREAM, uniform_number

#: generators whose values at a given point depend on the grid
GRID_DEPENDENT = {"random_normal", "random_uniform", "image", "snapshot", "dataset"}

#: largest number of balls in one ``spots(...)``; each takes at least 50 microseconds
MOST_SPOTS = 50_000
#: largest number of cells per axis in ``random_waves``
MOST_WAVES = 512
#: largest total number of cells in the bounding boxes of all balls, which take about a minute
MOST_CELLS = 5e9


@dataclass(frozen=True)
class InitialConditions:
    """An initial state, defined by one formula per field.

    Attributes:
        fields: the names of the fields.
        formulas: their formulas.
        section: the settings that contain the formulas, for error messages.
        first: the number of the first field in the seeds of random numbers.
    """

    fields: tuple[str, ...]
    formulas: tuple[sympy.Expr, ...]
    section: str = "initial"
    first: int = 0

    @property
    def grid_dependent(self) -> set[str]:
        """The names of the generators in the formulas that give different values on other grids."""
        nodes = set().union(*(formula.atoms(AppliedUndef) for formula in self.formulas))
        return {lang.word_of(node) for node in nodes} & GRID_DEPENDENT

    @property
    def images(self) -> list[str]:
        """The names of the image files in the formulas."""
        nodes = set().union(*(formula.atoms(AppliedUndef) for formula in self.formulas))
        return sorted(literal(n.args[0]) for n in nodes if lang.word_of(n) == "image")

    @property
    def snapshots(self) -> list[str]:
        """The names of the snapshot files in the formulas."""
        nodes = set().union(*(formula.atoms(AppliedUndef) for formula in self.formulas))
        return sorted({literal(n.args[0]) for n in nodes if lang.word_of(n) == "snapshot"})

    @property
    def symbols(self) -> set[sympy.Symbol]:
        """The symbols in the formulas."""
        return set().union(*(formula.free_symbols for formula in self.formulas))

    def evaluate(
        self,
        grid: Grid,
        periodic: Sequence[bool],
        parameters: Mapping[str, float],
        seed: int,
        time: float = 0.0,
        drawn_on: Grid | None = None,
    ) -> np.ndarray:
        """Evaluate the initial state on a grid.

        Args:
            grid: the grid.
            periodic: whether each axis is periodic.
            parameters: the parameters of the equation.
            seed: the seed of the random numbers.
            time: the initial time.
            drawn_on: the grid on which random numbers are drawn and images and snapshots are read.
                These values are smoothed and interpolated to ``grid``
                (:func:`pdesim.model.resampling.low_pass`), so that runs on several grids start from
                the same function. None: ``grid``, without smoothing.

        Returns:
            An array of float64, shape ``(fields, *grid.shape)``.

        Raises:
            ConfigError: if a value is not finite.
        """
        named = {symbol.name for symbol in self.symbols}
        names = {**grid.namespace(grid.coordinates(), named), **parameters, "t": time}
        state = np.empty((len(self.formulas), *grid.shape))
        for number, formula in enumerate(self.formulas):
            field = self.first + number
            generators = _Generators(grid, tuple(periodic), seed, field, drawn_on)
            with np.errstate(all="ignore"):
                state[number] = Evaluator(names, applied=generators, remember=False)(formula)
            if not np.isfinite(state[number]).all():
                raise ConfigError(
                    f"{self.section}.{self.fields[number]} is not finite everywhere",
                    "a formula that is finite at every cell centre",
                )
        return state


def build_initial(
    spec: Mapping,
    fields: Sequence[str],
    axes: tuple[str, ...],
    parameters: Mapping,
    section: str = "initial",
    declared: Sequence[Declared] = (),
    metric: Metric | None = None,
) -> InitialConditions:
    """Build an initial state from the ``initial`` settings.

    Args:
        spec: field -> formula. The key ``default`` applies to all other fields.
        fields: the names of the fields.
        axes: the axes of the grid.
        parameters: the names that formulas may use in addition to position and time.
        section: the name of the settings for error messages.
        declared: complex and vector fields, whose formulas determine all their real fields.
        metric: the coordinates of the grid (``Grid.metric``).

    Raises:
        ConfigError: for a key that is not a field.
        FormulaError: for an invalid formula.
    """
    composites = [one for one in declared if one.is_composite]
    known = [*fields, *(one.name for one in composites), "default"]
    for key in spec:
        if key not in known:
            raise ConfigError(
                f"initial.{key} does not name a field of this equation", nearest(key, known)
            )
    symbols = {name: sympy.Symbol(name, real=True) for name in (*place_names(axes), "t")}
    symbols |= {**(metric.places() if metric else {}), **parameters}
    forbidden = dict.fromkeys(fields, "an initial state cannot depend on the fields")
    scope = Scope(symbols, axes, generators=True, forbidden=forbidden, extensible=True)
    if "default" in spec and all(field in spec for field in fields):
        # the default is not used but checked; it may contain axes that the grid does not have
        every = {name: sympy.Symbol(name, real=True) for name in place_names(lang.AXES)}
        wide = replace(scope, symbols={**every, **scope.symbols}, axes=lang.AXES)
        parse(spec["default"], wide, "initial.default")
    formulas: dict[str, sympy.Expr] = {}
    for one in composites:
        if one.name in spec or (one.kind == "complex" and "default" in spec):
            text, where = spec.get(one.name, spec.get("default")), f"{section}.{one.name}"
            value = parse_value(_as_text(text), scope, where, one.kind)
            formulas |= zip(one.parts, parts_of(value), strict=True)
    for field in fields:
        if field in spec or field not in formulas:
            text = spec.get(field, spec.get("default", 0))
            if isinstance(text, list):
                raise ConfigError(
                    f"{section}.{field} is {text}",
                    "a formula or a number; a list is the initial state of a vector field",
                )
            formulas[field] = parse(text, scope, f"{section}.{field}")
    return InitialConditions(tuple(fields), tuple(formulas[field] for field in fields))


def _as_text(value: object) -> str:
    """Return a formula as text; a list of formulas is a vector."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class _Generators:
    """Values of the generators for one field on one grid."""

    grid: Grid
    periodic: tuple[bool, ...]
    seed: int
    field: int
    drawn_on: Grid | None = None

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

    def _random_normal(
        self, amplitude: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        stream = self._stream(1, self.field, int(occurrence))
        return evaluate(amplitude) * self._resampled(stream.standard_normal(self._source.shape))

    def _random_uniform(
        self, low: sympy.Expr, high: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        lower, upper = evaluate(low), evaluate(high)
        if np.any(np.asarray(upper) < np.asarray(lower)):
            raise ConfigError(
                "random_uniform(low, high) has an upper bound below the lower one",
                "low <= high in every cell, such as random_uniform(0, 1)",
            )
        noise = self._stream(2, self.field, int(occurrence)).random(self._source.shape)
        return lower + (upper - lower) * self._resampled(noise)

    def _random_waves(
        self, count: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        """Return uniform numbers on a grid of ``count`` cells per axis, interpolated by waves."""
        cells = round(self._number(count, "n in random_waves(n)", evaluate))
        if not 2 <= cells <= MOST_WAVES:
            raise ConfigError(f"random_waves({cells})", f"a number from 2 to {MOST_WAVES}")
        shape = (cells,) * self.grid.dimensions
        values = self._stream(4, self.field, int(occurrence)).random(shape) - 0.5
        return trigonometric(values, self.grid.shape, self.periodic)

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
        return random_functions.gaussians(
            self._stream(5, self.field, int(occurrence)),
            self.grid,
            self.periodic,
            (round(fewest), round(most)),
            (weak, strong),
            (wide, narrow),
        )

    def _random_field(
        self,
        exponent: sympy.Expr,
        length: sympy.Expr,
        occurrence: sympy.Integer,
        evaluate: Evaluator,
    ) -> np.ndarray:
        return random_functions.gaussian_field(
            self._stream(6, self.field, int(occurrence)),
            self.grid,
            self.periodic,
            self._number(exponent, "exponent in random_field(...)", evaluate),
            self._number(length, "length in random_field(...)", evaluate),
        )

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
        return random_functions.sines(stream, self.grid, waves, most)

    def _random_series(
        self, highest: sympy.Expr, occurrence: sympy.Integer, evaluate: Evaluator
    ) -> np.ndarray:
        stream = self._stream(9, self.field, int(occurrence))
        most = round(self._number(highest, "highest wave number in random_series(...)", evaluate))
        return random_functions.series(stream, self.grid, most)

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
        return random_functions.steps(stream, self.grid, self.periodic, number)

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
        result = np.zeros(self.grid.shape)
        for centre in centres:
            self._add_ball(result, centre, size, width)
        return result

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
            squares = squares + self.grid.broadcast(axis, distance[near] ** 2)
        window = np.ix_(*windows[::-1])
        distance = np.sqrt(squares)
        ball = 0.5 - 0.5 * np.tanh((distance - radius) / width) if width else distance <= radius
        result[window] = np.maximum(result[window], ball)

    def _distance(self, axis: int, fraction: float) -> np.ndarray:
        extent = self.grid.extent[axis]
        away = np.abs(self.grid.physical_centres(axis) - self.grid.origin[axis] - fraction * extent)
        return np.minimum(away, extent - away) if self.periodic[axis] else away

    def _image(self, file: sympy.Symbol, evaluate: Evaluator) -> np.ndarray:
        if self.grid.dimensions != 2:
            raise ConfigError("image(...) needs a 2-D grid", "grid=[nx,ny]")
        rows, columns = self._source.shape
        return self._resampled(files.resize(files.read_picture(literal(file)), (rows, columns)))

    def _snapshot(
        self,
        file: sympy.Symbol,
        field: sympy.Symbol,
        time: sympy.Expr | None = None,
        *,
        evaluate: Evaluator,
    ) -> np.ndarray:
        at = None if time is None else float(evaluate(time))
        frame = files.read_frame(literal(file), literal(field), at)
        name = f"{literal(field)!r} in {literal(file)}"
        return self._resampled(on_grid(frame, self._source, self.periodic, name), smoothing=0.0)

    def _dataset(self, file: sympy.Symbol, name: sympy.Symbol, evaluate: Evaluator) -> np.ndarray:
        return self._resampled(
            files.read_cells(literal(file), literal(name), self._source.shape), smoothing=0.0
        )
