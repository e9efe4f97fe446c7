"""The names that a formula may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy

from pdesim.formula import language as lang


@dataclass(frozen=True)
class Scope:
    """The names that a formula may use.

    Attributes:
        symbols: fields, parameters, coordinates, ... -> SymPy expressions.
        axes: the coordinates of the grid, which determine the available derivatives.
        operators: whether differential operators are allowed.
        generators: whether the functions of initial states are allowed.
        forbidden: name -> reason, for names of the model that this formula cannot use.
    """

    symbols: Mapping[str, sympy.Expr]
    axes: tuple[str, ...]
    operators: bool = False
    generators: bool = False
    forbidden: Mapping[str, str] = field(default_factory=dict)

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
        """Return the names that may be called."""
        generators = tuple(lang.GENERATORS) if self.generators else ()
        return (*lang.FUNCTIONS, *self.operator_words(), *generators)

    def names(self) -> tuple[str, ...]:
        """Return the names of variables and constants."""
        return (*self.symbols, *lang.CONSTANTS)
