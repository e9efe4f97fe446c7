"""Equations: fields, parameters and formulas."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import sympy

from pdesim.formula import (
    Reduction,
    Split,
    jacobian,
    split,
    with_reductions,
)
from pdesim.formula import language as lang
from pdesim.formula.language import TIME
from pdesim.formula.metric import in_the_limit
from pdesim.formula.networks import Network, NetworkSymbol
from pdesim.formula.values import Value, parts_of
from pdesim.model.components import SCALAR, Declared
from pdesim.model.iterated_map import IteratedMap
from pdesim.model.noise import NO_NOISE, Noise
from pdesim.model.scalars import local_rates


@dataclass(frozen=True)
class Equation:
    """A system ``du/dt = rhs``, ``formula = 0`` (steady) or ``u <- formula`` (iterated map).

    A system ``du/dt = rhs(u, v)`` may have constraints ``formula(u, v) = 0``, which determine the
    solved fields v at every time.

    Attributes:
        name: the name of the equation, which becomes part of folder names.
        title: a short description.
        about: a longer description.
        fields: the names of the unknowns.
        parameters: the parameters that are numbers. Parameters that are formulas have been
            substituted in ``formulas``.
        texts: declared field -> its formula as text.
        formulas: the right-hand sides as SymPy expressions, in the order of ``fields``; 0 for
            solved fields. Symbols replace the reductions in them.
        constraints: solved field -> the expression that vanishes at its solution.
        declared: the fields as the settings declare them; ``fields`` are their real parts.
        noise: the stochastic part of the right-hand sides.
        size: the length, area or volume of the domain, a product of Lx, Ly and Lz.
        composites: the values of complex and vector fields and parameters in formulas, by name.
        reductions: the reductions in ``formulas``, each after those in its argument.
        iterated: properties of an iterated map; None for equations.
        steady: whether the equation has no time derivative.
        units: field -> its unit.
        labels: field -> its name in pictures.
        networks: the neural networks in the formulas.
        arrays: the parameters that have one number for each cell, such as those from images; their
            formulas contain functions of initial states.
        definitions: the other parameters that are formulas, which may depend on time, position and
            fields; reductions in them remain as nodes.
    """

    name: str
    title: str
    about: str
    fields: tuple[str, ...]
    parameters: Mapping[str, float]
    texts: Mapping[str, str]
    formulas: tuple[sympy.Expr, ...]
    steady: bool
    units: Mapping[str, str]
    labels: Mapping[str, str]
    reductions: tuple[Reduction, ...] = ()
    iterated: IteratedMap | None = None
    networks: Mapping[str, Network] = dataclasses.field(default_factory=dict)
    definitions: Mapping[str, sympy.Expr] = dataclasses.field(default_factory=dict)
    arrays: Mapping[str, sympy.Expr] = dataclasses.field(default_factory=dict)
    constraints: Mapping[str, sympy.Expr] = dataclasses.field(default_factory=dict)
    declared: tuple[Declared, ...] = ()
    composites: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    size: sympy.Expr = sympy.S.One
    noise: Noise = NO_NOISE

    @cached_property
    def field_symbols(self) -> tuple[sympy.Symbol, ...]:
        """The symbols of the fields."""
        return tuple(sympy.Symbol(name, real=True) for name in self.fields)

    @property
    def state_symbols(self) -> frozenset[sympy.Symbol]:
        """The symbols whose values depend on the state: those of the fields and of reductions."""
        reductions = (reduction.symbol for reduction in self.reductions)
        return frozenset((*self.field_symbols, *reductions))

    @cached_property
    def parameter_symbols(self) -> dict[str, sympy.Symbol]:
        """The symbols of the numerical parameters by name."""
        return {name: sympy.Symbol(name, real=True) for name in self.parameters}

    @property
    def constants(self) -> frozenset[sympy.Symbol]:
        """The symbols of everything that is constant: numerical parameters and networks."""
        called = map(NetworkSymbol, self.networks.values())
        return frozenset((*self.parameter_symbols.values(), *called))

    @property
    def scalars(self) -> tuple[str, ...]:
        """The names of the scalars (:mod:`pdesim.model.scalars`), the last of ``fields``."""
        return tuple(one.name for one in self.declared if one.kind == SCALAR)

    @property
    def distributed(self) -> tuple[str, ...]:
        """The names of the fields that vary in space: all except the scalars."""
        return self.fields[: len(self.fields) - len(self.scalars)]

    @property
    def solved(self) -> list[int]:
        """The indices of the solved fields."""
        return [n for n, name in enumerate(self.fields) if name in self.constraints]

    def parts_of(self, names: Sequence[str] | None) -> list[str] | None:
        """Return the real fields of which fields consist; other names remain. None for None."""
        parts = {one.name: one.parts for one in self.declared}
        return None if names is None else [p for n in names for p in parts.get(n, (n,))]

    @property
    def solved_names(self) -> set[str]:
        """The names of the solved fields, and of complex and vector fields that consist of them."""
        declared = {one.name for one in self.declared if set(one.parts) & {*self.constraints}}
        return {*self.constraints, *declared}

    @property
    def constant_values(self) -> dict[str, Value]:
        """The complex and vector parameters that are constant, by name."""
        constants = {*self.parameter_symbols.values()}
        return {
            name: value
            for name, value in self.composites.items()
            if all(part.free_symbols <= constants for part in parts_of(value))
            and not any(part.atoms(lang.AppliedUndef) for part in parts_of(value))
        }

    @property
    def place_formulas(self) -> dict[str, sympy.Expr]:
        """The parameters that are formulas of position, time and numbers only, by name."""
        return {
            name: value
            for name, value in self.definitions.items()
            if not value.atoms(lang.AppliedUndef) and not value.free_symbols & self.state_symbols
        }

    @property
    def initial_names(self) -> dict[str, Value]:
        """The parameters that formulas of initial states may contain, by name."""
        return {**self.parameter_symbols, **self.constant_values, **self.place_formulas}

    @property
    def expressions(self) -> tuple[sympy.Expr, ...]:
        """For each field, its right-hand side or its constraint."""
        if not self.constraints:
            return self.formulas
        pairs = zip(self.fields, self.formulas, strict=True)
        return tuple(self.constraints.get(name, formula) for name, formula in pairs)

    @cached_property
    def constraint_groups(self) -> tuple[tuple[str, ...], ...]:
        """The solved fields in groups, each of which depends on earlier groups only.

        The constraints of a group are coupled and are solved together.
        """
        names = tuple(self.constraints)
        reaches = {name: self._solved_in(name) | {name} for name in names}
        for middle, one in product(names, names):  # transitive closure
            if middle in reaches[one]:
                reaches[one] = reaches[one] | reaches[middle]
        groups = {
            tuple(b for b in names if b in reaches[a] and a in reaches[b]): len(reaches[a])
            for a in names
        }
        return tuple(sorted(groups, key=groups.__getitem__))

    def _solved_in(self, name: str) -> set[str]:
        """Return the solved fields in the constraint of a field."""
        complete = with_reductions(self.constraints[name], self.reductions)
        return {symbol.name for symbol in complete.free_symbols} & set(self.constraints)

    def split(self, excluded: frozenset[str] = frozenset()) -> Split:
        """Separate the linear constant-coefficient part; see :func:`pdesim.formula.split`.

        Terms that contain solved fields remain in the rest.
        """
        if not self.constraints:
            return split(self.formulas, self.field_symbols, self.constants, excluded)
        every = range(len(self.fields))
        kept = [n for n in every if n not in self.solved]
        symbols = tuple(self.field_symbols[n] for n in kept)
        part = split(tuple(self.formulas[n] for n in kept), symbols, self.constants, excluded)
        place = {n: row for row, n in enumerate(kept)}

        def filled(formulas: Sequence[sympy.Expr]) -> tuple[sympy.Expr, ...]:
            return tuple(formulas[place[n]] if n in place else sympy.S.Zero for n in every)

        matrix = sympy.Matrix(
            len(every), len(every),
            lambda i, j: part.matrix[place[i], place[j]] if {i, j} <= {*place} else 0,
        )  # fmt: skip
        return Split(matrix.as_immutable(), filled(part.rest), filled(part.linear))

    @cached_property
    def jacobian(self) -> sympy.ImmutableMatrix:
        """The frozen-coefficient Jacobian; see :func:`pdesim.formula.jacobian`."""
        return self.jacobian_of(self.formulas)

    @cached_property
    def complete_jacobian(self) -> sympy.ImmutableMatrix:
        """The Jacobian, with the derivatives of the constraints in the rows of solved fields."""
        return self.jacobian_of(self.expressions) if self.constraints else self.jacobian

    def jacobian_of(self, formulas: Iterable[sympy.Expr]) -> sympy.ImmutableMatrix:
        """Return the frozen-coefficient Jacobian of formulas that may contain reductions."""
        complete = tuple(with_reductions(f, self.reductions) for f in formulas)
        if self.scalars:
            pairs = zip(self.fields, self.formulas, strict=True)
            rates = {n: with_reductions(f, self.reductions) for n, f in pairs if n in self.scalars}
            complete = local_rates(complete, rates, self.size)
        return jacobian(tuple(map(in_the_limit, complete)), self.field_symbols)

    @property
    def all_formulas(self) -> tuple[sympy.Expr, ...]:
        """The right-hand sides, the constraints and the arguments of all reductions."""
        return (*self.expressions, *(reduction.inner for reduction in self.reductions))

    def with_nested(self, axes: Collection[int], mixed: bool = False) -> Equation:
        """Return the equation with third and higher derivatives replaced by nested derivatives.

        ``d3_dx3(u)`` becomes ``d_dx(d2_dx2(u))``, and ``d4_dx4(u)`` becomes ``d2_dx2(d2_dx2(u))``.
        This is necessary because a boundary condition determines enough ghost cells for a second
        derivative only; for nested operators, further conditions are assumed.

        Args:
            axes: the axes along which derivatives are replaced; 0 is x.
            mixed: whether mixed derivatives are replaced as well.
        """
        nested = [lang.with_nested(f, axes, mixed) for f in self.all_formulas]
        if tuple(nested) == self.all_formulas:
            return self
        formulas, arguments = nested[: len(self.formulas)], nested[len(self.formulas) :]
        pairs = zip(self.reductions, arguments, strict=True)
        reductions = tuple(replace(reduction, inner=inner) for reduction, inner in pairs)
        return self.with_expressions(formulas, reductions)

    def with_expressions(
        self, expressions: Sequence[sympy.Expr], reductions: tuple[Reduction, ...]
    ) -> Equation:
        """Return the equation with other right-hand sides and constraints; see ``expressions``."""
        if not self.constraints:
            return replace(self, formulas=tuple(expressions), reductions=reductions)
        named = dict(zip(self.fields, expressions, strict=True))
        zero = dict.fromkeys(self.constraints, sympy.S.Zero)
        return replace(
            self,
            formulas=tuple({**named, **zero}.values()),
            constraints={name: named[name] for name in self.constraints},
            reductions=reductions,
        )

    @property
    def is_time_dependent(self) -> bool:
        """Whether a formula depends on time explicitly."""
        return any(TIME in formula.free_symbols for formula in self.all_formulas)

    @property
    def text(self) -> str:
        """The equation as text, one line per field."""
        left = "0 = {1}" if self.steady else "d{0}/dt = {1}"
        left = "{0} <- {1}" if self.iterated else left
        lines = ("0 = {1}" if name in self.solved_names else left for name in self.texts)
        texts = {name: text + self._noise_text(name) for name, text in self.texts.items()}
        pairs = zip(lines, texts.items(), strict=True)
        return "\n".join(line.format(name, text) for line, (name, text) in pairs)

    def _noise_text(self, name: str) -> str:
        """Return the noise of a declared field, to be appended to the text of its formula."""
        parts = next((one.parts for one in self.declared if one.name == name), (name,))
        text = self.noise.text(parts[0])
        return f" + {text}" if text else ""
