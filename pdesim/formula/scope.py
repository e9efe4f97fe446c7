"""The names that a formula may use: those of variables, and those of functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdesim.formula import language as lang
from pdesim.formula.networks import NetworkSymbol
from pdesim.formula.values import Value

if TYPE_CHECKING:
    from pdesim.formula.metric import Metric


@dataclass(frozen=True)
class Scope:
    """The names that a formula may use.

    Attributes:
        symbols: names of fields, parameters, coordinates, ... -> their values: SymPy expressions,
            complex numbers or vectors.
        axes: the axes of the grid, which determine the available derivatives.
        operators: whether differential operators are allowed.
        reductions: whether reductions over the domain, such as ``mean(f)``, are allowed.
        generators: whether generators, the functions for initial states, are allowed.
        reduced: names that the formula may use in the arguments of reductions only -> expressions.
        networks: names of neural networks -> their symbols.
        forbidden: other names of the model -> the reason why this formula cannot use them.
        kernels: the names of the constants that kernels of convolutions may contain; None if
            convolutions are not allowed.
        metric: the coordinates, if they are not Cartesian on equal cells.
        extensible: whether ``equation.NAME=VALUE`` adds a name, a parameter of the equation.
    """

    symbols: Mapping[str, Value]
    axes: tuple[str, ...]
    operators: bool = False
    reductions: bool = False
    generators: bool = False
    reduced: Mapping[str, Value] = field(default_factory=dict)
    networks: Mapping[str, NetworkSymbol] = field(default_factory=dict)
    forbidden: Mapping[str, str] = field(default_factory=dict)
    kernels: frozenset[str] | None = None
    metric: Metric | None = None
    extensible: bool = False

    def operator_words(self) -> tuple[str, ...]:
        """Return the operators that the formula may use."""
        if not self.operators:
            return ()
        return tuple(
            word
            for word in (*lang.OPERATORS, lang.GRADIENT)
            if lang.exists_in(word, len(self.axes))
        )

    def callables(self) -> tuple[str, ...]:
        """Return the names of the functions, operators and generators that may be used."""
        generators = tuple(lang.GENERATORS) if self.generators else ()
        reductions = tuple(lang.REDUCTIONS) if self.reductions else ()
        vectors = tuple(lang.VECTOR_FUNCTIONS) if self.operators else ()
        convolutions = () if self.kernels is None else (lang.CONVOLVE,)
        words = (*vectors, *self.operator_words(), *convolutions, *reductions, *generators)
        return (*self.networks, *lang.FUNCTIONS, *words)

    def names(self) -> tuple[str, ...]:
        """Return the names of variables and constants."""
        return (*self.symbols, *lang.CONSTANTS)
