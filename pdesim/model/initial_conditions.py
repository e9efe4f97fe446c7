"""First states: formulas and seeded generators, evaluated with NumPy in float64.

The random numbers come from PCG64 streams keyed by (seed, field, place in the formula), so a
state is the same bit for bit on every device and in every precision before rounding.
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
from pdesim.formula import Evaluator, Scope, literal, parse
from pdesim.formula import language as lang
from pdesim.model.grid import Grid, place_names
from pdesim.model.resampling import SMOOTHING, low_pass

#: generators whose values at a place depend on the grid
GRID_DEPENDENT = {"random_normal", "random_uniform", "image", "snapshot"}

#: balls of one ``spots``: each takes at least 50 microseconds
MOST_SPOTS = 50_000
#: cells of all balls together, each ball counted by the box around it: about a minute
MOST_CELLS = 5e9


@dataclass(frozen=True)
class InitialState:
    """One formula per field."""

    fields: tuple[str, ...]
    formulas: tuple[sympy.Expr, ...]

    @property
    def grid_dependent(self) -> set[str]:
        """The generators in these formulas whose values depend on the grid, by name."""
        nodes = set().union(*(formula.atoms(AppliedUndef) for formula in self.formulas))
        return {lang.word_of(node) for node in nodes} & GRID_DEPENDENT

    @property
    def symbols(self) -> set[sympy.Symbol]:
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
        """The state as float64, shape ``(fields, *grid.shape)``.

        Random numbers, images and snapshots depend on the grid. With ``drawn_on`` they are taken on
        that grid, smoothed and interpolated (:func:`pdesim.model.resampling.low_pass`), so that
        grids of different spacing get the same function.

        Raises:
            ConfigError: if a formula gives a value that is not finite.
        """
        named = {symbol.name for symbol in self.symbols}
        names = {**grid.namespace(grid.coordinates(), named), **parameters, "t": time}
        state = np.empty((len(self.formulas), *grid.shape))
        for number, formula in enumerate(self.formulas):
            generators = _Generators(grid, tuple(periodic), seed, number, drawn_on)
            with np.errstate(all="ignore"):
                state[number] = Evaluator(names, applied=generators, remember=False)(formula)
            if not np.isfinite(state[number]).all():
                raise ConfigError(
                    f"initial.{self.fields[number]} is not finite everywhere",
                    "a formula that is finite at every cell centre",
                )
        return state


def build_initial(
    spec: Mapping,
    fields: Sequence[str],
    axes: tuple[str, ...],
    parameters: Mapping,
    section: str = "initial",
) -> InitialState:
    """Read the ``initial`` settings: a formula per field, ``default`` for the others.

    Args:
        section: the settings that the formulas are in, for errors.

    Raises:
        ConfigError: for a name that is no field.
        FormulaError: for a formula that cannot be read.
    """
    for key in spec:
        if key not in (*fields, "default"):
            raise ConfigError(
                f"initial.{key} does not name a field of this equation",
                nearest(key, [*fields, "default"]),
            )
    places = {name: sympy.Symbol(name, real=True) for name in (*place_names(axes), "t")}
    scope = Scope(
        {**places, **parameters},
        axes,
        generators=True,
        forbidden=dict.fromkeys(fields, "an initial state is known before the fields are"),
    )
    if "default" in spec and all(field in spec for field in fields):
        # used for no field; a mistake in it is one all the same. It may be for more dimensions
        every = {name: sympy.Symbol(name, real=True) for name in place_names(lang.AXES)}
        wide = replace(scope, symbols={**every, **scope.symbols}, axes=lang.AXES)
        parse(spec["default"], wide, "initial.default")
    texts = {field: spec.get(field, spec.get("default", 0)) for field in fields}
    return InitialState(
        tuple(fields),
        tuple(parse(text, scope, f"{section}.{field}") for field, text in texts.items()),
    )


@dataclass(frozen=True)
class _Generators:
    grid: Grid
    periodic: tuple[bool, ...]
    seed: int
    field: int
    drawn_on: Grid | None = None

    def __call__(self, word: str, arguments: tuple, evaluate: Evaluator) -> np.ndarray:
        return getattr(self, f"_{word}")(*arguments, evaluate=evaluate)

    @property
    def _source(self) -> Grid:
        """The grid that numbers which depend on it are taken on."""
        return self.drawn_on or self.grid

    def _here(self, values: np.ndarray, smoothing: float = SMOOTHING) -> np.ndarray:
        """Values on the source grid, on this grid."""
        if self.drawn_on is None:
            return values
        return low_pass(values, self.grid.shape, self.periodic, smoothing)

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.seed, *key]))

    def _random_normal(self, amplitude, place, evaluate):
        stream = self._stream(1, self.field, int(place))
        return evaluate(amplitude) * self._here(stream.standard_normal(self._source.shape))

    def _random_uniform(self, low, high, place, evaluate):
        low, high = evaluate(low), evaluate(high)
        if np.any(np.asarray(high) < np.asarray(low)):
            raise ConfigError(
                "random_uniform(low, high) has an upper bound below the lower one",
                "low <= high in every cell, such as random_uniform(0, 1)",
            )
        noise = self._stream(2, self.field, int(place)).random(self._source.shape)
        return low + (high - low) * self._here(noise)

    def _spots(self, count, radius, smoothness=None, *, evaluate):
        """Union of balls; the edge is a tanh of width ``smoothness * radius`` (0: sharp)."""
        radius = self._number(radius, "radius", evaluate)
        width = 0.0
        if smoothness is not None:
            width = radius * self._number(smoothness, "smoothness", evaluate)
        count = self._number(count, "count", evaluate)
        count = max(round(count), int(count > 0))
        if count > MOST_SPOTS:
            raise ConfigError(f"spots(...) has a count of {count}", f"at most {MOST_SPOTS}")
        reach = 2 * (radius + 6 * width)
        cells = count * math.prod(
            min(n, reach / h + 1) for n, h in zip(self.grid.points, self.grid.spacing, strict=True)
        )
        if cells > MOST_CELLS:
            raise ConfigError(
                f"spots({count}, {radius:g}) covers {cells:.2g} cells, ball by ball",
                f"at most {MOST_CELLS:.0e}",
                "fewer or smaller spots",
            )
        centres = self._stream(3).random((count, self.grid.dimensions))
        result = np.zeros(self.grid.shape)
        for centre in centres:
            self._add_ball(result, centre, radius, width)
        return result

    def _number(self, argument: sympy.Expr, name: str, evaluate: Evaluator) -> float:
        """An argument of ``spots`` that has one value for the whole domain."""
        value = np.asarray(evaluate(argument), dtype=float)
        if value.ndim or not np.isfinite(value) or value < 0:
            given = f"varies from cell to cell ({argument})" if value.ndim else f"is {value:g}"
            raise ConfigError(
                f"the {name} in spots(...) {given}",
                "one number that is not negative: spots(count, radius, smoothness)",
            )
        return float(value)

    def _add_ball(self, result: np.ndarray, centre: np.ndarray, radius: float, width: float):
        reach = radius + 6 * width
        windows, squares = [], 0.0
        for axis in range(self.grid.dimensions):
            distance = self._distance(axis, centre[axis])
            near = np.flatnonzero(distance <= reach)
            windows.append(near)
            squares = squares + self.grid.broadcast(axis, distance[near] ** 2)
        place = np.ix_(*windows[::-1])
        distance = np.sqrt(squares)
        ball = 0.5 - 0.5 * np.tanh((distance - radius) / width) if width else distance <= radius
        result[place] = np.maximum(result[place], ball)

    def _distance(self, axis: int, fraction: float) -> np.ndarray:
        extent = self.grid.extent[axis]
        away = np.abs(self.grid.centres(axis) - self.grid.origin[axis] - fraction * extent)
        return np.minimum(away, extent - away) if self.periodic[axis] else away

    def _image(self, file, evaluate):
        if self.grid.dimensions != 2:
            raise ConfigError("image(...) needs a 2-D grid", "grid=[nx,ny]")
        return self._here(files.resize(files.read_picture(literal(file)), self._source.shape))

    def _snapshot(self, file, field, evaluate):
        frame = files.read_last_frame(literal(file), literal(field), self._source.shape)
        return self._here(frame, smoothing=0.0)
