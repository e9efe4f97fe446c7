"""Parameters of equations that are random numbers, such as ``equation.a: random_number(0, 1)``.

A parameter whose formula contains ``random_number``, numbers and other such parameters, but no
position, is one number for the whole run. It is drawn when the settings are read, so that all that
follows treats it like a number that was given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pdesim.errors import ConfigError

if TYPE_CHECKING:
    import sympy

    from pdesim.formula import Evaluator

WORD = "random_number"
#: distinguishes these random numbers from those of initial states and arrays
STREAM = 10


def with_drawn_numbers(equation: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the settings of an equation with numbers in place of random parameters.

    The numbers depend on the seed and on the parameter's name, not on the order of the parameters.

    Args:
        equation: the ``equation`` settings.
        seed: the seed of random numbers.

    Raises:
        ConfigError: if the value of a formula is not finite, or for limits in the wrong order.
        FormulaError: for an invalid formula.
    """
    values = dict(equation)
    waiting = {n: v for n, v in values.items() if isinstance(v, str) and f"{WORD}(" in v}
    while ready := [name for name, text in waiting.items() if _is_number(text, values)]:
        for name in ready:
            values[name] = _drawn(name, waiting.pop(name), values, seed)
    return values


def _is_number(text: str, values: Mapping[str, Any]) -> bool:
    """Whether a formula contains no other names than parameters that are numbers."""
    from pdesim.formula import functions_in, names_in  # importing SymPy takes half a second
    from pdesim.formula.language import CONSTANTS, FUNCTIONS

    known = {name for name, value in values.items() if _numeric(value)}
    return names_in(text) <= {*known, *CONSTANTS} and functions_in(text) <= {*FUNCTIONS, WORD}


def _numeric(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _drawn(name: str, text: str, values: Mapping[str, Any], seed: int) -> float:
    import sympy

    from pdesim.formula import Evaluator, Scope, parse

    def draw(word: str, arguments: Sequence[sympy.Basic], evaluate: Evaluator) -> float:
        low, high, occurrence = arguments
        stream = np.random.Generator(
            np.random.PCG64([seed, STREAM, int(occurrence), *name.encode()])
        )
        return uniform_number(stream, evaluate(low), evaluate(high))

    numbers = {key: float(value) for key, value in values.items() if _numeric(value)}
    symbols = {key: sympy.Symbol(key, real=True) for key in numbers}
    formula = parse(text, Scope(symbols, (), generators=True, extensible=True), f"equation.{name}")
    value = float(Evaluator(numbers, applied=draw)(formula))
    if not math.isfinite(value):
        raise ConfigError(f"equation.{name} is {value:g} ({text})", "a finite number")
    return value


def uniform_number(stream: np.random.Generator, low: object, high: object) -> float:
    """Return a uniform random number from ``low`` to ``high``.

    Raises:
        ConfigError: unless both are finite single numbers and ``low`` is not above ``high``.
    """
    limits = [np.asarray(value, dtype=float) for value in (low, high)]
    if any(limit.ndim for limit in limits) or not limits[0] <= limits[1] < math.inf:
        raise ConfigError(
            f"{WORD}(low, high) has the limits {low} and {high}",
            "two numbers, low <= high, such as random_number(0, 1)",
        )
    return float(limits[0] + (limits[1] - limits[0]) * stream.random())
