"""The statements of a function of a cell: formulas, stencils and fluxes as GLSL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import sympy

from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.operators import argument_sides
from pdesim.operators.differences import Neighbour, along, derivative, divergence
from pdesim.play.dialects import GLSL, Code, Writer, library

if TYPE_CHECKING:
    from pdesim.play.kernel import Kernel


@dataclass(frozen=True)
class Function:
    """A function of a cell in GLSL.

    Attributes:
        name: the name of the function, which accepts ghost cells.
        inner: the name of a function with the same values that accepts interior cells only.
        reads: the number of values that a call reads.
    """

    name: str
    inner: str
    reads: int


class Body:
    """The statements of a function of a cell ``p``.

    Args:
        kernel: the functions that may be called.
        inside: whether ``p`` is an interior cell.
        face: the axis and the side of the face on which position is evaluated; None for the cell.
        names: functions of further names.

    Attributes:
        value: evaluates an expression, and returns a :class:`Code` or a number.
        reads: the number of values that the statements read.
    """

    def __init__(
        self,
        kernel: Kernel,
        inside: bool = True,
        face: tuple[int, int] | None = None,
        names: Mapping[str, Function] = {},
    ) -> None:
        self.kernel, self.inside, self.face, self.functions = kernel, inside, face, names
        self.writer, self.reads = Writer(GLSL), 0
        self._values: dict[tuple[str, tuple[int, ...]], Code] = {}
        self.value = Evaluator(_Names(self._named), library(self.writer), self._apply)

    def _named(self, name: str) -> Code | float:
        kernel, problem, grid = self.kernel, self.kernel.problem, self.kernel.grid
        if name in self.functions:
            return self._read(self.functions[name])
        if name in problem.equation.fields:
            return self._read(kernel.field(problem.equation.fields.index(name)))
        if name in kernel.parameters:
            return Code(kernel.parameters[name], self.writer)
        if name == "t":
            return Code("t", self.writer)
        if name in grid.axes:
            return self._coordinate(grid.axes.index(name))
        if name == "r":
            ends = zip(grid.origin, grid.extent, strict=True)
            centres = [origin + 0.5 * extent for origin, extent in ends]
            names = [sympy.Symbol(axis, real=True) for axis in grid.axes]
            apart = [self.value(s) - c for s, c in zip(names, centres, strict=True)]
            return self.writer.call("root", reduce(lambda a, b: a + b, [d * d for d in apart]))
        return grid.extent[grid.axes.index(name.removeprefix("L"))]

    def _coordinate(self, axis: int) -> Code | float:
        grid, name = self.kernel.grid, self.kernel.grid.axes[axis]
        if self.face is not None and self.face[0] == axis:
            return grid.origin[axis] + self.face[1] * grid.extent[axis]
        index = f"p.{name}"
        if self.kernel.problem.boundary.is_periodic(axis):
            index = f"wrap({index}, {grid.points[axis]})"
        origin, spacing = GLSL.number(grid.origin[axis]), GLSL.number(grid.spacing[axis])
        return self.writer.assign(f"{origin} + (float({index}) + 0.5) * {spacing}")

    def _read(self, function: Function, offsets: tuple[int, ...] = ()) -> Code:
        """Return the value of a function in a neighbour of the cell."""
        key = function.name, offsets if any(offsets) else ()
        if key not in self._values:
            self.reads += function.reads
            place = "p"
            if any(offsets):
                x, y = (*offsets, 0)[:2]
                place = f"p + ivec2({x}, {y})"
            name = function.inner if self.inside and place == "p" else function.name
            self._values[key] = self.writer.assign(f"{name}({place})")
        return self._values[key]

    def _apply(self, word: str, arguments: tuple, _value: Evaluator) -> Code | float:
        if not any(argument.free_symbols for argument in arguments):
            return 0.0
        problem, grid = self.kernel.problem, self.kernel.grid
        axes = lang.flux_axes(word, grid.dimensions)
        if axes is None:
            terms = problem.discretisation.terms(word, grid)
            return derivative(self._reader(self.kernel.argument(arguments[0])), terms)
        sides = argument_sides.diffusivity(problem, *arguments)
        diffusivity = self.kernel.argument(arguments[0], sides)
        values = self._reader(self.kernel.argument(arguments[1]))
        harmonic = None
        if problem.has_harmonic_mean(arguments[0]):
            harmonic = partial(self._harmonic, diffusivity)
        order = problem.discretisation.order
        return divergence(self._reader(diffusivity), values, grid, order, axes, harmonic)

    def _reader(self, function: Function) -> Neighbour:
        return partial(self._read, function)

    def _harmonic(self, function: Function, axis: int, side: int) -> Code:
        a, b = self._read(function), self._read(function, along(self.kernel.grid, axis, side))
        mean = self.writer.assign(f"harmonic({a.text}, {b.text})")
        if self.kernel.problem.boundary.is_periodic(axis):
            return mean
        last = self.kernel.grid.points[axis] - 1 if side > 0 else 0
        name = self.kernel.grid.axes[axis]
        at_face = self.writer.assign(f"p.{name} == {last}", "condition")
        return self.writer.select(at_face, 0.5 * (a + b), mean)


class _Names(dict):
    """Values of names, which are written when they are first used."""

    def __init__(self, find: Callable[[str], Any]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, name: str) -> Any:
        self[name] = self._find(name)
        return self[name]
