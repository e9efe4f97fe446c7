"""SymPy nodes whose construction never simplifies, so that any real formula can be built.

SymPy's own ``Piecewise``, ``Abs``, ``sign``, ``Heaviside`` and comparisons try to decide signs and
real parts when they are built. On formulas such as ``where(log(-1 - u**2) > 0, ...)`` they raise
TypeError or ValueError, or introduce ``re``, ``im`` and ``ITE`` nodes that no array library has.
The nodes here fold numbers and otherwise keep their arguments. Those that SymPy has as well are
subclasses of SymPy's, so ``expression.atoms(sympy.Piecewise)`` and the like still find them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import sympy
from sympy.core.basic import Basic
from sympy.core.containers import Tuple
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.piecewise import ExprCondPair


def is_constant(node: sympy.Basic) -> bool:
    """Whether a node is a number: without symbols, operators and generators."""
    return bool(node.is_number) and not node.has(AppliedUndef)


def as_float(node: sympy.Basic) -> float:
    """The value of a number: NaN where it is not real, infinite beyond the range of floats."""
    try:
        return float(node)
    except OverflowError:
        return math.inf if node.is_extended_negative is not True else -math.inf
    except TypeError:
        if node in (sympy.oo, -sympy.oo):
            return math.inf if node == sympy.oo else -math.inf
        return math.nan


def _from_float(value: float) -> sympy.Expr:
    if math.isnan(value):
        return sympy.nan
    if math.isinf(value):
        return sympy.oo if value > 0 else -sympy.oo
    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value)


class _Folding:
    """Mixin for functions that are evaluated at numbers, by NumPy, and not otherwise."""

    #: one NumPy value per argument -> the value
    compute: staticmethod

    @classmethod
    def eval(cls, *args):
        if not all(is_constant(argument) for argument in args):
            return None
        with np.errstate(all="ignore"):
            return _from_float(float(cls.compute(*(np.float64(as_float(a)) for a in args))))

    def _eval_is_extended_real(self):
        return True

    def _eval_derivative(self, symbol):
        from pdesim.formula.calculus import derivative

        return derivative(self, symbol)


class Abs(_Folding, sympy.Abs):
    """``|a|``."""

    compute = staticmethod(np.abs)


class sign(_Folding, sympy.sign):
    """-1, 0 or 1."""

    compute = staticmethod(np.sign)


class Heaviside(_Folding, sympy.Heaviside):
    """0 below zero, 1 above, 1/2 at zero."""

    compute = staticmethod(lambda a, at_zero: np.heaviside(a, at_zero))

    def __new__(cls, a, at_zero=sympy.Rational(1, 2), **options):  # noqa: B008 - immutable
        folded = cls.eval(sympy.sympify(a), sympy.sympify(at_zero))
        return folded if folded is not None else Basic.__new__(cls, a, at_zero)


class Minimum(_Folding, sympy.Function):
    """The smallest of two or more."""

    compute = staticmethod(lambda *values: np.minimum.reduce(values))


class Maximum(_Folding, sympy.Function):
    """The largest of two or more."""

    compute = staticmethod(lambda *values: np.maximum.reduce(values))


class Floor(_Folding, sympy.Function):
    """The largest integer that is not above ``a``."""

    compute = staticmethod(np.floor)


class Ceil(_Folding, sympy.Function):
    """The smallest integer that is not below ``a``."""

    compute = staticmethod(np.ceil)


class Mod(_Folding, sympy.Function):
    """``a - floor(a / b) * b``, with the sign of ``b``."""

    compute = staticmethod(np.mod)


class Arctan2(_Folding, sympy.Function):
    """The angle of the point ``(x, y)``; the arguments are ``(y, x)``."""

    compute = staticmethod(np.arctan2)


class Sinc(_Folding, sympy.Function):
    """Derivative number ``n`` (0 unless given) of ``sin(pi a) / (pi a)``; the arguments (a, n)."""

    compute = staticmethod(lambda a, n=0.0: sinc(a, int(n), np.sin, np.where))


def sinc(a, order: int, sine, where):
    """Derivative number ``order`` of ``sin(pi a) / (pi a)``, for NumPy and TensorFlow.

    With ``z = pi a`` and ``g_n`` the n-th derivative of ``sin(z) / z``: for large z by
    ``g_n = (sin(z + n pi/2) - n g_(n-1)) / z``, which loses digits below z = n; there by the
    Taylor series ``g_n = sum_k (-1)^k z^(2k - n) / ((2k - n)! (2k + 1))``.
    """
    z = math.pi * a
    switch = max(1.0, float(order))
    near = z * z < switch**2
    small, large = where(near, z, 0.0), where(near, 1.0, z)
    recurrence = sine(large) / large
    for n in range(1, order + 1):
        recurrence = (sine(large + n * math.pi / 2) - n * recurrence) / large
    first = (order + 1) // 2
    powers = range(first, first + 12 + 2 * order)
    terms = [(-1) ** k / (math.factorial(2 * k - order) * (2 * k + 1)) for k in powers]
    square, series = small * small, 0.0
    for term in reversed(terms):
        series = series * square + term
    if order % 2:
        series = series * small
    return math.pi**order * where(near, series, recurrence)


class _Pair(ExprCondPair):
    """A value and its condition, kept as they are."""

    def __new__(cls, expr, cond):
        return Tuple.__new__(cls, expr, cond)


class Where(sympy.Piecewise):
    """``a`` where the condition holds, ``b`` elsewhere; build it by :func:`where`."""

    def __new__(cls, *pairs, **options):
        kept = []
        for pair in pairs:
            value, condition = map(sympy.sympify, pair)
            if condition == sympy.false:
                continue
            kept.append(_Pair(value, condition))
            if condition == sympy.true:
                break
        if len(kept) == 1 and kept[0].cond == sympy.true:
            return kept[0].expr
        return Basic.__new__(cls, *kept)

    def _eval_is_extended_real(self):
        return True

    def _eval_power(self, exponent):
        return None  # a power of the whole, not a choice between powers

    def _eval_derivative(self, symbol):
        from pdesim.formula.calculus import derivative

        return derivative(self, symbol)


def where(condition: sympy.Basic, a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
    """``a`` where the condition holds, ``b`` elsewhere."""
    return Where(_Pair(a, condition), _Pair(b, sympy.true))


class _Comparison:
    """Mixin for comparisons that compare numbers and otherwise keep their sides."""

    opposite: str
    holds: staticmethod

    def __new__(cls, lhs, rhs, **options):
        lhs, rhs = sympy.sympify(lhs), sympy.sympify(rhs)
        if is_constant(lhs) and is_constant(rhs):
            return sympy.true if cls.holds(as_float(lhs), as_float(rhs)) else sympy.false
        return Basic.__new__(cls, lhs, rhs)

    @property
    def canonical(self):
        return self

    @property
    def negated(self):
        return globals()[self.opposite](*self.args)


class StrictLessThan(_Comparison, sympy.StrictLessThan):
    opposite, holds = "GreaterThan", staticmethod(lambda a, b: a < b)


class LessThan(_Comparison, sympy.LessThan):
    opposite, holds = "StrictGreaterThan", staticmethod(lambda a, b: a <= b)


class StrictGreaterThan(_Comparison, sympy.StrictGreaterThan):
    opposite, holds = "LessThan", staticmethod(lambda a, b: a > b)


class GreaterThan(_Comparison, sympy.GreaterThan):
    opposite, holds = "StrictLessThan", staticmethod(lambda a, b: a >= b)


class Equality(_Comparison, sympy.Equality):
    opposite, holds = "Unequality", staticmethod(lambda a, b: a == b)


class Unequality(_Comparison, sympy.Unequality):
    opposite, holds = "Equality", staticmethod(lambda a, b: a != b)


_JUMPS = (sympy.Piecewise, sympy.Heaviside, sympy.sign, Floor, Ceil, Mod)


def jumps(expression: sympy.Basic) -> bool:
    """Whether a formula is discontinuous by its text."""
    return expression.has(*_JUMPS)


#: the comparisons, by the names that Python's syntax tree has for them
RELATIONS = {
    "Lt": StrictLessThan,
    "LtE": LessThan,
    "Gt": StrictGreaterThan,
    "GtE": GreaterThan,
    "Eq": Equality,
    "NotEq": Unequality,
}


@lru_cache(maxsize=100_000)
def tree_size(expression: sympy.Basic) -> int:
    """The number of nodes of an expression, those of a part that occurs twice counted twice.

    SymPy holds such a part once and visits it twice, so that forty parameters, each the product of
    the one before with itself, would be visited 2**40 times.
    """
    return 1 + sum(map(tree_size, expression.args))
