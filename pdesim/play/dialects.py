"""Statements in GLSL and JavaScript, written by the walk that evaluates formulas.

:class:`pdesim.formula.Evaluator` computes with the operators and functions of its values. Here
these values are :class:`Code`: the name of a variable whose assignment has been written. A formula
thus has the same meaning in a page as in a run, and repeated subexpressions are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pdesim.formula.evaluate import Library

#: the largest number of type float in GLSL
_LARGEST = 3.4028235e38


@dataclass(frozen=True)
class Dialect:
    """What differs between two languages.

    Attributes:
        declarations: the type of a value -> the words before the name of a new variable.
        functions: SymPy class name -> the function.
        infinity, undefined: positive infinity, and NaN.
        largest: numbers beyond are infinite.
    """

    declarations: Mapping[str, str]
    functions: Mapping[str, str]
    infinity: str
    undefined: str
    largest: float

    def number(self, value: float) -> str:
        """Return a number with all of its digits and a decimal point."""
        if math.isnan(value):
            return self.undefined
        if abs(value) > self.largest:
            return self.infinity if value > 0 else f"(-{self.infinity})"
        text = repr(float(value))
        mantissa, mark, exponent = text.partition("e")
        text = mantissa + ("" if "." in mantissa else ".0") + mark + exponent
        return f"({text})" if value < 0 or text.startswith("-") else text


_PLAIN = ("exp", "log", "sinh", "cosh", "sign")
_ANGLES = ("sin", "cos", "tan", "asin", "acos", "atan")

GLSL = Dialect(
    {"number": "float", "condition": "bool"},
    {
        **{name: name for name in _PLAIN},
        "sin": "sine", "cos": "cosine", "tan": "tangent", "asin": "arc_sine",
        "acos": "arc_cosine", "atan": "arc_tangent",
        "tanh": "tangent_h", "Arctan2": "angle", "Abs": "abs", "Minimum": "min", "Maximum": "max",
        "Floor": "floor", "Ceil": "ceil", "Mod": "modulo", "erf": "error_function",
        "Heaviside": "heaviside", "Sinc": "sinc", "power": "power", "root": "root",
    },
    "INFINITY", "UNDEFINED", _LARGEST,
)  # fmt: skip

JAVASCRIPT = Dialect(
    {"number": "const", "condition": "const"},
    {
        **{name: f"Math.{name}" for name in (*_PLAIN, *_ANGLES)},
        "tanh": "Math.tanh", "Arctan2": "Math.atan2", "Abs": "Math.abs", "Minimum": "Math.min",
        "Maximum": "Math.max", "Floor": "Math.floor", "Ceil": "Math.ceil", "Mod": "modulo",
        "erf": "errorFunction", "Heaviside": "heaviside", "Sinc": "sinc", "power": "power",
        "root": "Math.sqrt",
    },
    "Infinity", "NaN", 1.7976931348623157e308,
)  # fmt: skip


class Writer:
    """Writes the statements of one function.

    Attributes:
        lines: the statements.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect, self.lines = dialect, list[str]()

    def text(self, value: Any) -> str:
        """Return the text of a value: a variable, a number or a truth value."""
        if isinstance(value, Code):
            return value.text
        if isinstance(value, bool):
            return "true" if value else "false"
        return self.dialect.number(float(value))

    def assign(self, expression: str, kind: str = "number") -> Code:
        """Write an assignment to a new variable, and return the variable."""
        name = f"t{len(self.lines)}"
        self.lines.append(f"{self.dialect.declarations[kind]} {name} = {expression};")
        return Code(name, self)

    def binary(self, a: Any, sign: str, b: Any, kind: str = "number") -> Code:
        return self.assign(f"{self.text(a)} {sign} {self.text(b)}", kind)

    def call(self, name: str, *values: Any) -> Code:
        """Write a call of the function that stands for a SymPy class."""
        function = self.dialect.functions[name]
        return self.assign(f"{function}({', '.join(map(self.text, values))})")

    def select(self, condition: Any, a: Any, b: Any) -> Code:
        texts = self.text(condition), self.text(a), self.text(b)
        return self.assign("{} ? {} : {}".format(*texts))

    def power(self, base: Any, exponent: Any) -> Code:
        return self.call("root", base) if exponent == 0.5 else self.call("power", base, exponent)


@dataclass(frozen=True, eq=False)
class Code:
    """A variable in the statements of a :class:`Writer`, with the arithmetic of a number."""

    text: str
    writer: Writer

    def __add__(self, other: Any) -> Code:
        return self.writer.binary(self, "+", other)

    def __radd__(self, other: Any) -> Code:
        return self.writer.binary(other, "+", self)

    def __sub__(self, other: Any) -> Code:
        return self.writer.binary(self, "-", other)

    def __rsub__(self, other: Any) -> Code:
        return self.writer.binary(other, "-", self)

    def __mul__(self, other: Any) -> Code:
        return self.writer.binary(self, "*", other)

    def __rmul__(self, other: Any) -> Code:
        return self.writer.binary(other, "*", self)

    def __truediv__(self, other: Any) -> Code:
        return self.writer.binary(self, "/", other)

    def __rtruediv__(self, other: Any) -> Code:
        return self.writer.binary(other, "/", self)


def library(writer: Writer) -> Library:
    """Return the functions with which an ``Evaluator`` writes statements."""

    def relation(sign: str) -> Callable[[Any, Any], Code]:
        return lambda a, b: writer.binary(a, sign, b, "condition")

    def function(name: str) -> Callable[..., Code]:
        return lambda *values: writer.call(name, *values)

    signs = {
        "StrictLessThan": "<", "LessThan": "<=", "StrictGreaterThan": ">", "GreaterThan": ">=",
        "Equality": "==", "Unequality": "!=", "And": "&&", "Or": "||",
    }  # fmt: skip
    relations: dict[str, Callable] = {name: relation(sign) for name, sign in signs.items()}
    relations["Not"] = lambda a: writer.assign(f"!{writer.text(a)}", "condition")
    functions: dict[str, Callable] = {name: function(name) for name in writer.dialect.functions}
    # the walk calls a function of one argument with that argument alone
    functions["Sinc"] = lambda a, order=0.0: writer.call("Sinc", a, order)
    return Library(functions, writer.power, writer.select, relations)
