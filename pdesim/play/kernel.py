"""The right-hand side of a problem as GLSL, with the stencils and ghost cells of a run.

Every argument of an operator becomes a function of a cell ``p``, which may be a ghost cell. The
conditions that determine ghost cells are those of :mod:`pdesim.operators.argument_sides`. The
argument of a nested operator is evaluated again for every neighbour: this needs no intermediate
textures, and fourth derivatives in 2-D read about 30 values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import sympy

from pdesim.errors import ConfigError
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.model.boundary_conditions import HELD, BoundaryCondition
from pdesim.operators import argument_sides
from pdesim.operators.fluxes import merge_fluxes
from pdesim.operators.ghost_weights import (
    cells_read,
    extrapolation_weights,
    ghost_weights,
    may_be_singular,
)
from pdesim.operators.problem import Problem
from pdesim.operators.schemes import STAGGERED, Terms
from pdesim.play.dialects import GLSL, Code, Writer, library

#: a right-hand side that reads more values than this would stop the graphics driver
MOST_READS = 4000
COMPONENTS = "xyzw"


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


#: the weights of the cells from the face inwards, and a term of the boundary value in GLSL
Rule = tuple[tuple[float, ...], str]


@dataclass(frozen=True)
class Ghost:
    """The value of a ghost cell: the statements before it, and a sum of interior cells.

    Attributes:
        lines: statements. If there are no rules, the last one returns the value.
        rules: the sum, and another one for undefined boundary values.
        singular: the condition in GLSL under which the second rule applies.
    """

    lines: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    singular: str = ""


class Kernel:
    """The functions in GLSL that the right-hand side of a problem needs.

    Attributes:
        texts: the definitions, each after those that it uses.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.grid = problem, problem.grid
        self.texts: list[str] = []
        self.parameters = {name: f"p{n}" for n, name in enumerate(problem.parameters)}
        self._known: dict[Any, Function] = {}

    def build(self) -> str:
        """Return the definitions, the last of which is ``vec4 rhs(ivec2 p)``.

        Raises:
            ConfigError: if the right-hand side reads too many values.
        """
        body = Body(self)
        formulas = [merge_fluxes(self.problem, f) for f in self.problem.equation.formulas]
        values = [body.writer.text(body.value(formula)) for formula in formulas]
        if body.reads > MOST_READS:
            raise ConfigError(
                f"pdesim play does not apply to {self.problem.equation.name}: its nested operators "
                f"read {body.reads} values for each cell",
                f"at most {MOST_READS}, such as operators of lower order",
            )
        result = f"vec4({', '.join(values + ['0.0'] * (4 - len(values)))})"
        self._define("vec4", "rhs", "ivec2 p", [*body.writer.lines, f"return {result};"])
        return "\n".join(self.texts)

    def field(self, index: int) -> Function:
        """Return the function of a field."""
        if ("field", index) not in self._known:
            name = f"f{index}"
            text = f"return texelFetch(state, p, 0).{COMPONENTS[index]};"
            self._define("float", f"{name}_inside", "ivec2 p", [text])
            sides = self.problem.boundary.walls[index]
            self._known["field", index] = self._extended(name, f"{name}_inside", 1, sides)
        return self._known["field", index]

    def argument(self, inner: sympy.Expr, sides: argument_sides.Sides | None = None) -> Function:
        """Return the function of the argument of an operator.

        Args:
            sides: the conditions of the argument; None for those of :mod:`argument_sides`.
        """
        key = ("argument", inner, None if sides is None else tuple(sides))
        if key not in self._known:
            self._known[key] = self._argument(inner, sides)
        return self._known[key]

    def _argument(self, inner: sympy.Expr, sides: argument_sides.Sides | None) -> Function:
        problem, symbols = self.problem, self.problem.equation.field_symbols
        sides = argument_sides.conditions(problem, inner) if sides is None else sides
        kinds = {wall.kind for pair in sides for wall in pair}
        if argument_sides.is_pointwise(problem, inner, sides):
            return self.field(symbols.index(inner)) if inner in symbols else self._everywhere(inner)
        around = self._from_atoms(inner) if "pointwise" in kinds else None
        if around is not None and kinds <= {"periodic", "pointwise"}:
            return around
        return self._evaluated(inner, sides, around)

    def _everywhere(self, inner: sympy.Expr, names: Mapping[str, Function] = {}) -> Function:
        """Return the function of an expression that is evaluated in ghost cells as inside."""
        body = Body(self, inside=False, names=names)
        result = body.writer.text(body.value(inner))
        name = self._name()
        self._define("float", name, "ivec2 p", [*body.writer.lines, f"return {result};"])
        return Function(name, name, body.reads)

    def _from_atoms(self, inner: sympy.Expr) -> Function:
        replaced, atoms = self.problem.conditions.atoms(inner)
        names = {symbol.name: self._atom(atom) for symbol, atom in atoms.items()}
        return self._everywhere(replaced, names)

    def _atom(self, atom: sympy.Expr) -> Function:
        """Return the function of an atom, extrapolated as in ``finite_differences``."""
        problem, symbols = self.problem, self.problem.equation.field_symbols
        if atom in symbols:
            index = symbols.index(atom)
            walls = problem.boundary.walls[index]
            if not any(wall.kind == "dirichlet" for pair in walls for wall in pair):
                return self.field(index)
        if ("atom", atom) not in self._known:
            condition = problem.conditions.condition
            axes = range(self.grid.dimensions)
            sides = [(condition(atom, axis, 0), condition(atom, axis, 1)) for axis in axes]
            extra = 1 if problem.discretisation.order == 2 else 0
            self._known["atom", atom] = self._evaluated(atom, sides, extra=extra)
        return self._known["atom", atom]

    def _evaluated(
        self,
        inner: sympy.Expr,
        sides: argument_sides.Sides,
        around: Function | None = None,
        extra: int = 0,
    ) -> Function:
        """Return the function of an expression that is evaluated inside and extended by rules."""
        body = Body(self)
        result = body.writer.text(body.value(inner))
        name = self._name()
        lines = [*body.writer.lines, f"return {result};"]
        self._define("float", f"{name}_inside", "ivec2 p", lines)
        return self._extended(name, f"{name}_inside", body.reads, sides, around, extra)

    def _extended(
        self,
        name: str,
        inside: str,
        reads: int,
        sides: argument_sides.Sides,
        around: Function | None = None,
        extra: int = 0,
    ) -> Function:
        """Define a function in ghost cells as well, axis by axis as ``ghost_cells.extend``.

        Args:
            inside: the name of the function for interior cells.
            around: the function whose values ``pointwise`` sides have.
            extra: the number of additional cells from which ghost cells are extrapolated.
        """
        function = inside
        for axis in reversed(range(self.grid.dimensions)):
            outer = name if axis == 0 else f"{name}_{self.grid.axes[axis]}"
            component = f"p.{self.grid.axes[axis]}"
            if sides[axis][0].kind == "periodic":
                wrapped = f"{component} = wrap({component}, {self.grid.points[axis]});"
                lines = [wrapped, f"return {function}(p);"]
            else:
                ghosts = [self._ghost(sides[axis][n], axis, n, around, extra) for n in (0, 1)]
                lines = self._between(ghosts, function, axis)
            self._define("float", outer, "ivec2 p", lines)
            function = outer
        return Function(name, inside, reads)

    def _between(self, ghosts: Sequence[Ghost], function: str, axis: int) -> list[str]:
        """Return the statements of a function that is extended beyond both sides of an axis.

        The function inside is called in one place. Compilers of shaders copy functions into their
        callers, so that nested operators with three calls for each axis would take minutes.
        """
        name, points = self.grid.axes[axis], self.grid.points[axis]
        most = max((len(w) for ghost in ghosts for w, _ in ghost.rules), default=1)
        lines = [f"float g = 0.0, w[{most}]; int n = 1, inward = 0; w[0] = 1.0;"]
        for side, ghost in enumerate(ghosts):
            beyond, first = (
                (f"p.{name} < 0", 0) if side == 0 else (f"p.{name} >= {points}", points - 1)
            )
            lines += [f"if ({beyond}) {{", *ghost.lines]
            lines += [f"p.{name} = {first}; inward = {1 - 2 * side};"] if ghost.rules else []
            for number, (weights, value) in enumerate(ghost.rules):
                setting = "".join(f" w[{k}] = {GLSL.number(w)};" for k, w in enumerate(weights))
                rule = f"{{ n = {len(weights)}; g = {value};{setting} }}"
                lines.append(f"if ({ghost.singular}) {rule}" if number else rule)
            lines.append("}")
        step = "ivec2(k * inward, 0)" if axis == 0 else "ivec2(0, k * inward)"
        if most == 1:
            return [*lines, f"return w[0] * {function}(p) + g;"]
        loop = f"for (int k = 0; k < n; k++) g += w[k] * {function}(p + {step});"
        return [*lines, loop, "return g;"]

    def _ghost(
        self, wall: BoundaryCondition, axis: int, side: int, around: Function | None, extra: int
    ) -> Ghost:
        """Return how the value of the ghost cell beyond a side follows from interior cells."""
        if wall.kind == "pointwise" and around is not None:
            return Ghost((f"return {around.name}(p);",))
        points, order = self.grid.points[axis], self.problem.discretisation.order
        if wall.kind == "extrapolated":
            return Ghost((), ((_extrapolated(min(order + extra, points)), "0.0"),))
        body = Body(self, inside=False, face=(axis, side))
        value = body.writer.text(body.value(wall.value))
        lines = tuple(body.writer.lines)
        if wall.kind == HELD:
            return Ghost((*lines, f"return {value};"))
        known = cells_read(wall, points, order, extra)
        weights, value_weights = ghost_weights(wall, self.grid.spacing[axis], 1, known)
        term = f"{GLSL.number(value_weights[0])} * {value}" if wall.value != 0 else "0.0"
        rules: tuple[Rule, ...] = ((tuple(weights[0].tolist()), term),)
        if not may_be_singular(wall):
            return Ghost(lines, rules)
        plain = (_extrapolated(min(order, points)), "0.0")
        return Ghost(lines, (*rules, plain), f"isnan({value}) || isinf({value})")

    def _name(self) -> str:
        return f"q{len(self.texts)}"

    def _define(self, kind: str, name: str, arguments: str, lines: Sequence[str]) -> None:
        self.texts.append(f"{kind} {name}({arguments}) {{\n  " + "\n  ".join(lines) + "\n}")


def _extrapolated(known: int) -> tuple[float, ...]:
    return tuple(extrapolation_weights(1, known)[0].tolist())


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
            return self._derivative(self.kernel.argument(arguments[0]), terms)
        sides = argument_sides.diffusivity(problem, *arguments)
        diffusivity = self.kernel.argument(arguments[0], sides)
        values = self.kernel.argument(arguments[1])
        harmonic = problem.has_harmonic_mean(arguments[0])
        parts = [self._flux(diffusivity, values, axis, harmonic) for axis in axes]
        return reduce(lambda a, b: a + b, parts)

    def _derivative(self, function: Function, terms: Terms) -> Code:
        """Return a weighted sum of neighbours; those of equal weight are added first."""
        sums: dict[float, Any] = {}
        for offsets, weight in sorted(terms.items(), reverse=True):
            value = self._read(function, offsets)
            if -weight in sums and weight not in sums:
                sums[-weight] = sums[-weight] - value
            else:
                sums[weight] = sums[weight] + value if weight in sums else value
        unit = min(sums, key=abs)
        total = sums.pop(unit)
        for weight, value in sums.items():
            total = total + weight / unit * value
        return unit * total

    def _flux(self, diffusivity: Function, values: Function, axis: int, harmonic: bool) -> Any:
        """Return d/dx(D df/dx) along an axis, as ``stencil.divergence``."""
        grid = self.kernel.grid
        slopes, means = STAGGERED[self.kernel.problem.discretisation.order]
        total: Any = 0.0
        for face, weight in enumerate(slopes):
            for side in (1, -1):
                low = face if side == 1 else -face - 1
                if harmonic:
                    mean = self._harmonic(diffusivity, axis, side)
                else:
                    mean = self._staggered(diffusivity, axis, low, means, 1)
                flux = mean * self._staggered(values, axis, low, slopes, -1)
                total = total + side * weight / grid.spacing[axis] ** 2 * flux
        return total

    def _staggered(
        self, function: Function, axis: int, low: int, weights: Sequence[float], sign: int
    ) -> Any:
        total: Any = 0.0
        for m, weight in enumerate(weights):
            upper = self._read(function, self._along(axis, low + 1 + m))
            lower = self._read(function, self._along(axis, low - m))
            total = total + weight * (upper + lower if sign == 1 else upper - lower)
        return total

    def _harmonic(self, function: Function, axis: int, side: int) -> Code:
        a, b = self._read(function), self._read(function, self._along(axis, side))
        mean = self.writer.assign(f"harmonic({a.text}, {b.text})")
        if self.kernel.problem.boundary.is_periodic(axis):
            return mean
        last = self.kernel.grid.points[axis] - 1 if side > 0 else 0
        name = self.kernel.grid.axes[axis]
        at_face = self.writer.assign(f"p.{name} == {last}", "condition")
        return self.writer.select(at_face, 0.5 * (a + b), mean)

    def _along(self, axis: int, offset: int) -> tuple[int, ...]:
        return tuple(offset if a == axis else 0 for a in range(self.kernel.grid.dimensions))


class _Names(dict):
    """Values of names, which are written when they are first used."""

    def __init__(self, find: Callable[[str], Any]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, name: str) -> Any:
        self[name] = self._find(name)
        return self[name]
