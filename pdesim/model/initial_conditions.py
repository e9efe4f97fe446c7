"""Initial states: formulas and seeded generators, evaluated with NumPy in float64.

Random numbers are drawn from PCG64 generators that are seeded with (seed, field, occurrence in the
formula). The state is therefore the same to the last bit on every device and, before it is rounded,
in every precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from pdesim.errors import ConfigError, PdesimError, nearest
from pdesim.formula import Evaluator, Scope, literal, parse, parse_value
from pdesim.formula import language as lang
from pdesim.formula.metric import Metric
from pdesim.formula.values import parts_of
from pdesim.model.bands import Band
from pdesim.model.components import Declared
from pdesim.model.generators import Generators
from pdesim.model.grid import Grid, place_names

#: generators whose values at a given point depend on the grid
GRID_DEPENDENT = {"random_normal", "random_uniform", "image", "snapshot", "dataset"}


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
        names = self._names(grid, parameters, time)
        state = np.empty((len(self.formulas), *grid.shape))
        for number in range(len(self.formulas)):
            field = self.first + number
            generators = Generators(grid, grid, tuple(periodic), seed, field, drawn_on)
            self._evaluate(number, names, generators, state[number])
        return state

    def bands(
        self,
        grid: Grid,
        periodic: Sequence[bool],
        parameters: Mapping[str, float],
        seed: int,
        time: float = 0.0,
        *,
        rows: int,
    ) -> Iterator[Band]:
        """Evaluate the initial state in consecutive bands of rows, from the first to the last one.

        The values are bit for bit those of :meth:`evaluate`. Random numbers are drawn in the order
        of the rows. Functions that need the complete array, such as Fourier transforms, are
        evaluated for several bands at a time (:mod:`pdesim.model.generators`).

        Args:
            grid, periodic, parameters, seed, time: see :meth:`evaluate`.
            rows: the number of rows in a band (indices along the first array axis); the last band
                may have fewer.

        Yields:
            The index of the first row of a band, and the values there in float64, shape
            ``(fields, rows, ...)``.

        Raises:
            ConfigError: see :meth:`evaluate`. If several fields have errors, that of the first
                field is raised.
        """
        each = [
            Generators(grid, grid, tuple(periodic), seed, self.first + number)
            for number in range(len(self.formulas))
        ]
        valid, error = len(self.formulas), None
        for part in grid.parts(rows):
            names = self._names(part, parameters, time)
            state = np.empty((len(self.formulas), *part.shape))
            for number in range(valid):
                try:
                    self._evaluate(number, names, each[number].at(part), state[number])
                except PdesimError as raised:  # an earlier field may have one in a later band
                    valid, error = number, raised
                    break
            if error is None:
                yield int(part.indices(grid.dimensions - 1)[0]), state
        if error is not None:
            raise error

    def _names(self, grid: Grid, parameters: Mapping[str, float], time: float) -> dict[str, object]:
        """Return the values of all names in the formulas, on a grid or a part of it."""
        named = {symbol.name for symbol in self.symbols}
        return {**grid.namespace(grid.coordinates(), named), **parameters, "t": time}

    def _evaluate(
        self, number: int, names: Mapping[str, object], generators: Generators, result: np.ndarray
    ) -> None:
        """Write the values of one field to an array of the shape of the grid or its part."""
        with np.errstate(all="ignore"):
            evaluate = Evaluator(names, applied=generators, remember=False)
            result[...] = evaluate(self.formulas[number])
        if not np.isfinite(result).all():
            raise ConfigError(
                f"{self.section}.{self.fields[number]} is not finite everywhere",
                "a formula that is finite at every cell centre",
            )


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
