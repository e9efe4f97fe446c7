"""SymPy nodes that are not simplified when they are built.

SymPy's own ``Piecewise``, ``Abs``, ``sign``, ``Heaviside`` and comparisons try to determine signs
and real parts when they are built. For formulas such as ``where(log(-1 - u**2) > 0, ...)`` they
raise TypeError or ValueError, or introduce ``re``, ``im`` and ``ITE`` nodes, for which array
libraries have no functions. The nodes of this module are evaluated if all arguments are constant,
and remain unchanged otherwise. They are subclasses of SymPy's classes where these exist, so that
``expression.atoms(sympy.Piecewise)`` finds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import sympy
from sympy.core.basic import Basic
from sympy.core.containers import Tuple
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.piecewise import ExprCondPair


def is_constant(node: sympy.Basic) -> bool:
    """Whether a node contains no symbols, operators or generators."""
    return bool(node.is_number) and not node.has(AppliedUndef)


def as_float(node: sympy.Basic) -> float:
    """Return the value of a constant node: NaN if it is not real, infinity if it overflows."""
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
    """Mixin for functions that are evaluated by NumPy if all arguments are constant."""

    #: the function in NumPy
    compute: ClassVar[Callable[..., Any]]

    @classmethod
    def eval(cls, *args: sympy.Expr) -> sympy.Expr | None:
        if not all(is_constant(argument) for argument in args):
            return None
        with np.errstate(all="ignore"):
            return _from_float(float(cls.compute(*(np.float64(as_float(a)) for a in args))))

    def _eval_is_extended_real(self) -> bool:
        return True

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
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

    def __new__(
        cls,
        a: sympy.Expr,
        at_zero: sympy.Expr = sympy.Rational(1, 2),  # noqa: B008 - immutable
        **options: Any,
    ) -> sympy.Expr:
        folded = cls.eval(sympy.sympify(a), sympy.sympify(at_zero))
        return folded if folded is not None else Basic.__new__(cls, a, at_zero)


class Minimum(_Folding, sympy.Function):
    """The smallest of two or more arguments."""

    compute = staticmethod(lambda *values: np.minimum.reduce(values))


class Maximum(_Folding, sympy.Function):
    """The largest of two or more arguments."""

    compute = staticmethod(lambda *values: np.maximum.reduce(values))


class Floor(_Folding, sympy.Function):
    """The largest integer not above ``a``."""

    compute = staticmethod(np.floor)


class Ceil(_Folding, sympy.Function):
    """The smallest integer not below ``a``."""

    compute = staticmethod(np.ceil)


class Mod(_Folding, sympy.Function):
    """``a - floor(a / b) * b``, with the sign of ``b``."""

    compute = staticmethod(np.mod)


class Arctan2(_Folding, sympy.Function):
    """The angle of the point ``(x, y)``; the arguments are ``(y, x)``."""

    compute = staticmethod(np.arctan2)


class Sinc(_Folding, sympy.Function):
    """The ``n``-th derivative of ``sin(pi a) / (pi a)``; the arguments are ``(a, n)``."""

    compute = staticmethod(lambda a, n=0.0: sinc(a, int(n), np.sin, np.where))


def sinc(a: Any, order: int, sine: Callable, where: Callable) -> Any:
    """Return the derivative of order ``order`` of ``sin(pi a) / (pi a)``.

    With ``z = pi a``, let ``g_n`` be the n-th derivative of ``sin(z) / z``. For z > n, the
    recurrence ``g_n = (sin(z + n pi/2) - n g_(n-1)) / z`` is used. For smaller z, where the
    recurrence loses digits, the Taylor series
    ``g_n = sum_k (-1)^k z^(2k - n) / ((2k - n)! (2k + 1))`` is used.

    Args:
        a: a number, a NumPy array or a TensorFlow tensor.
        order: the order of the derivative.
        sine: the sine function of the array library.
        where: the ``where`` function of the array library.
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
    """A value and its condition, which SymPy does not simplify."""

    def __new__(cls, expr: sympy.Expr, cond: sympy.Basic) -> _Pair:
        return Tuple.__new__(cls, expr, cond)


class Where(sympy.Piecewise):
    """``a`` where the condition holds, ``b`` elsewhere; see :func:`where`."""

    def __new__(cls, *pairs: _Pair, **options: Any) -> sympy.Expr:
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

    def _eval_is_extended_real(self) -> bool:
        return True

    def _eval_power(self, exponent: sympy.Expr) -> None:
        return None  # keep (a if c else b)**n instead of moving the power into the branches

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        from pdesim.formula.calculus import derivative

        return derivative(self, symbol)


def where(condition: sympy.Basic, a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
    """Return the node that is ``a`` where the condition holds and ``b`` elsewhere."""
    return Where(_Pair(a, condition), _Pair(b, sympy.true))


class _Comparison:
    """Mixin for comparisons that become true or false if both sides are constant."""

    opposite: ClassVar[str]
    holds: ClassVar[Callable[..., bool]]
    args: tuple[sympy.Basic, ...]

    def __new__(cls, lhs: sympy.Expr, rhs: sympy.Expr, **options: Any) -> sympy.Basic:
        lhs, rhs = sympy.sympify(lhs), sympy.sympify(rhs)
        if is_constant(lhs) and is_constant(rhs):
            return sympy.true if cls.holds(as_float(lhs), as_float(rhs)) else sympy.false
        return Basic.__new__(cls, lhs, rhs)

    @property
    def canonical(self) -> sympy.Basic:
        return self

    @property
    def negated(self) -> sympy.Basic:
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
    """Whether a formula contains a discontinuous function."""
    return expression.has(*_JUMPS)


#: class name in Python's syntax tree -> comparison
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
    """Return the number of nodes of an expression, counting every repetition of a subexpression.

    SymPy stores a repeated subexpression once but visits every repetition: if each of forty
    parameters is the product of the parameter before with itself, it visits 2**40 nodes.
    """
    return 1 + sum(map(tree_size, expression.args))
