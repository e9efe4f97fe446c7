"""Evaluation of SymPy expressions with NumPy or TensorFlow.

NumPy evaluates initial states, boundary values, Fourier symbols and stability limits. TensorFlow
evaluates the right-hand side in the compiled step loop. Both use the same code to traverse an
expression, so that a formula has the same meaning in both.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from pdesim.formula import language as lang
from pdesim.formula.networks import Arrays, NetworkSlope, NetworkValue, NumpyArrays, evaluate
from pdesim.formula.nodes import as_float, is_constant, sinc

#: a number, a NumPy array or a TensorFlow tensor
Value: TypeAlias = Any
Applied = Callable[[str, tuple[sympy.Basic, ...], "Evaluator"], Value]


@dataclass(frozen=True)
class Library:
    """Elementwise functions of an array library, keyed by SymPy class name."""

    functions: Mapping[str, Callable]
    power: Callable
    where: Callable
    relations: Mapping[str, Callable]
    #: the product of two values
    multiply: Callable = operator.mul
    #: the array library of networks
    arrays: Arrays = field(default_factory=NumpyArrays)
    #: converts a Python number to a type for which 1/0 is infinite instead of an exception
    number: Callable = float


#: SymPy class name -> the function's name in NumPy and, if it differs, in TensorFlow
_FUNCTIONS = {
    **{name: (name,) for name in ("sin", "cos", "tan", "exp", "log", "tanh", "sinh", "cosh")},
    "asin": ("arcsin", "asin"),
    "acos": ("arccos", "acos"),
    "atan": ("arctan", "atan"),
    "Arctan2": ("arctan2", "atan2"),
    "sign": ("sign",),
    "Abs": ("abs",),
    "Minimum": ("minimum",),
    "Maximum": ("maximum",),
    "Floor": ("floor",),
    "Ceil": ("ceil",),
    "Mod": ("mod", "floormod"),
}


def library(
    module: Any, multiply: Callable = operator.mul, arrays: Arrays | None = None
) -> Library:
    """Build a :class:`Library` from a NumPy-like module.

    Args:
        module: ``numpy``, or a module with the functions of ``tf.math`` and ``tf.where``.
        multiply: the product of two values.
        arrays: the operations for networks; None for those of NumPy.
    """
    plain = module is np
    functions = {
        name: getattr(module, names[0 if plain else -1]) for name, names in _FUNCTIONS.items()
    }
    functions["erf"] = _numpy_erf if plain else module.erf
    functions["Heaviside"] = lambda a: 0.5 * (module.sign(a) + 1.0)
    functions["Sinc"] = lambda a, n=0.0: sinc(a, int(n), module.sin, module.where)
    relations = {
        "StrictLessThan": lambda a, b: a < b,
        "LessThan": lambda a, b: a <= b,
        "StrictGreaterThan": lambda a, b: a > b,
        "GreaterThan": lambda a, b: a >= b,
        "Equality": module.equal,
        "Unequality": module.not_equal,
        "And": module.logical_and,
        "Or": module.logical_or,
        "Not": module.logical_not,
    }
    power = getattr(module, "pow", None) or module.power
    number = np.float64 if plain else (lambda value: value)
    arrays = arrays or NumpyArrays()
    return Library(functions, power, module.where, relations, multiply, arrays, number)


def _numpy_erf(values: np.ndarray) -> np.ndarray:
    """The error function, which NumPy does not provide, evaluated element by element."""
    return np.vectorize(math.erf, otypes=[float])(values)


NUMPY = library(np)


class Evaluator:
    """Evaluates expressions for given values of their symbols.

    Args:
        names: symbol name -> array or number.
        using: the array library.
        applied: a function that evaluates operators and generators; its arguments are the word, the
            arguments of the node, and this evaluator.
        remember: whether to keep the value of every subexpression, so that repeated subexpressions
            are computed only once. Otherwise arrays are released as soon as possible, which saves
            memory.
    """

    def __init__(
        self,
        names: Mapping[str, object],
        using: Library = NUMPY,
        applied: Applied | None = None,
        remember: bool = True,
    ) -> None:
        self.names, self.using, self.applied = names, using, applied
        self._remember = remember
        self._memo: dict[sympy.Basic, Any] = {}

    def __call__(self, expression: sympy.Basic) -> Value:
        """Return the value of an expression. Infinities and NaN cause no warnings."""
        with np.errstate(all="ignore"):
            return self._value(expression)

    def _value(self, expression: sympy.Basic) -> Value:
        if not self._remember:
            return self._visit(expression)
        if expression not in self._memo:
            self._memo[expression] = self._visit(expression)
        return self._memo[expression]

    def _visit(self, node: sympy.Basic) -> Value:
        if isinstance(node, NetworkValue):
            return self._network(node)
        if isinstance(node, sympy.Symbol):
            value = self.names[node.name]
            return self.using.number(value) if isinstance(value, (int, float)) else value
        if isinstance(node, (BooleanTrue, BooleanFalse)):
            return bool(node)
        if is_constant(node):
            return as_float(node)
        if isinstance(node, sympy.Add):
            return self._sum(node)
        if isinstance(node, sympy.Mul):
            return self._product(node)
        if isinstance(node, sympy.Pow):
            return self._power(node)
        if isinstance(node, sympy.Piecewise):
            return self._piecewise(node)
        if isinstance(node, lang.AppliedUndef):
            if self.applied is None:
                raise TypeError(f"{lang.word_of(node)} cannot be evaluated without `applied`")
            return self.applied(lang.word_of(node), node.args, self)
        return self._function(node)

    def _sum(self, node: sympy.Add) -> Value:
        # positive terms first, so that b is not negated before the addition in a - b
        terms = sorted(node.args, key=lambda term: term.could_extract_minus_sign())
        total = self._value(terms[0])
        for term in terms[1:]:
            negative = term.could_extract_minus_sign()
            total = total - self._value(-term) if negative else total + self._value(term)
        return total

    def _product(self, node: sympy.Mul) -> Value:
        numerator, denominator = [], []
        for factor in node.args:
            base, exponent = factor.as_base_exp()
            if exponent.is_Rational and exponent.is_negative:
                denominator.append(base**-exponent)
            else:
                numerator.append(factor)
        if not denominator:
            return reduce(self.using.multiply, [self._value(f) for f in numerator])
        top = self._value(sympy.Mul(*numerator)) if numerator else 1.0
        return top / self._value(sympy.Mul(*denominator))

    def _power(self, node: sympy.Pow) -> Value:
        base, exponent = node.args
        if base == sympy.E:
            return self.using.functions["exp"](self._value(exponent))
        if exponent.is_Integer and exponent > 0:
            return _integer_power(self._value(base), int(exponent))
        if exponent.is_Rational and exponent.is_negative:
            return 1.0 / self._value(base**-exponent)
        if exponent.is_number:
            return self.using.power(self._value(base), as_float(exponent))
        return self.using.power(self._value(base), self._value(exponent))

    def _piecewise(self, node: sympy.Piecewise) -> Value:
        result = None
        for value, condition in reversed(node.args):
            if condition == sympy.true:
                result = self._value(value)
            else:
                result = self.using.where(self._value(condition), self._value(value), result)
        return result

    def _network(self, node: NetworkValue) -> Value:
        """Return an output of a network, or its derivative with respect to an input."""
        symbol, output, *rest = node.args
        by = int(rest.pop(0)) if isinstance(node, NetworkSlope) else None
        key = sympy.Tuple(symbol, *rest, *([] if by is None else [by]))
        if key not in self._memo:
            network, inputs = symbol.network, [self._value(argument) for argument in rest]
            names = network.argument_names
            weights = [self.names[n] for n in names] if names[0] in self.names else None
            self._memo[key] = evaluate(network, weights, inputs, self.using.arrays, by)
        return self._memo[key][int(output)]

    def _function(self, node: sympy.Basic) -> Value:
        name = type(node).__name__
        if name == "Heaviside":
            return self.using.functions[name](self._value(node.args[0]))
        table = self.using.relations if name in self.using.relations else self.using.functions
        function, values = table[name], [self._value(argument) for argument in node.args]
        return function(*values) if len(values) == 1 else reduce(function, values)


def _integer_power(base: Value, exponent: int) -> Value:
    """Raise to a positive power by repeated squaring, which is faster than exp(n log a)."""
    result = None
    while exponent:
        if exponent & 1:
            result = base if result is None else result * base
        exponent >>= 1
        if exponent:
            base = base * base
    return result


def literal(symbol: sympy.Basic) -> str:
    """Return the text that a symbol represents, an argument in quotes such as ``"file.png"``."""
    return str(ast.literal_eval(symbol.name))
