"""The right-hand side of a problem as GLSL, with the stencils and ghost cells of a run.

Every argument of an operator becomes a function of a cell ``p``, which may be a ghost cell. The
conditions that determine ghost cells are those of :mod:`pdesim.operators.argument_sides`. The
argument of a nested operator is evaluated again for every neighbour: this needs no intermediate
textures, and fourth derivatives in 2-D read about 30 values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from pdesim.errors import ConfigError
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
from pdesim.play.body import Body, Function
from pdesim.play.dialects import GLSL

#: a right-hand side that reads more values than this would stop the graphics driver
MOST_READS = 4000
COMPONENTS = "xyzw"


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
