"""Symbolic derivatives of formulas, with an explicit rule for every function of the language.

``sympy.diff`` leaves ``Derivative``, ``Subs``, ``re``, ``im`` and ``DiracDelta`` nodes wherever it
cannot prove that an argument is real (``abs(log(u))``) or encounters a jump. With the rules of this
module, reductions over the domain are constants, and jumps and kinks contribute nothing to a
derivative. Where the arguments of ``minimum`` or ``maximum`` are equal, the derivative is the mean
of both derivatives. Derivatives by position and time are carried out inside of convolutions; other
derivatives must not meet a convolution.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy

from pdesim.formula import nodes
from pdesim.formula.kernels import is_convolution
from pdesim.formula.language import CONVOLVE, is_reduction, operator
from pdesim.formula.networks import NetworkSlope, NetworkValue, expanded

_TWO_OVER_ROOT_PI = 2 / sympy.sqrt(sympy.pi)

#: SymPy class name -> a function that returns the partial derivative with respect to each argument
PARTIALS: dict[str, Callable[..., tuple[sympy.Expr, ...]]] = {
    "sin": lambda a: (sympy.cos(a),),
    "cos": lambda a: (-sympy.sin(a),),
    "tan": lambda a: (1 + sympy.tan(a) ** 2,),
    "asin": lambda a: (1 / sympy.sqrt(1 - a**2),),
    "acos": lambda a: (-1 / sympy.sqrt(1 - a**2),),
    "atan": lambda a: (1 / (1 + a**2),),
    "sinh": lambda a: (sympy.cosh(a),),
    "cosh": lambda a: (sympy.sinh(a),),
    "tanh": lambda a: (1 - sympy.tanh(a) ** 2,),
    "exp": lambda a: (sympy.exp(a),),
    "log": lambda a: (1 / a,),
    "erf": lambda a: (_TWO_OVER_ROOT_PI * sympy.exp(-(a**2)),),
    "Abs": lambda a: (nodes.sign(a),),
    "sign": lambda a: (sympy.S.Zero,),
    "Heaviside": lambda a, at_zero: (sympy.S.Zero, sympy.S.Zero),
    "Floor": lambda a: (sympy.S.Zero,),
    "Ceil": lambda a: (sympy.S.Zero,),
    "Mod": lambda a, b: (sympy.S.One, -nodes.Floor(a / b)),
    "Arctan2": lambda y, x: (x / (x**2 + y**2), -y / (x**2 + y**2)),
    "Sinc": lambda a, n=sympy.S.Zero: (nodes.Sinc(a, n + 1), sympy.S.Zero),
}


def derivative(expression: sympy.Expr, symbol: sympy.Symbol, times: int = 1) -> sympy.Expr:
    """Differentiate a formula that contains no operators.

    Args:
        expression: the formula.
        symbol: the variable of differentiation.
        times: the order of the derivative.

    Raises:
        TypeError: if there is no rule for a function in the expression, which cannot happen for a
            parsed formula.
    """
    for _ in range(times):
        expression = _Derivative(symbol)(expression)
    return expression


class _Derivative:
    """Differentiates with respect to one symbol. Repeated subexpressions are visited only once."""

    def __init__(self, symbol: sympy.Symbol) -> None:
        self.symbol = symbol
        self._memo: dict[sympy.Basic, sympy.Expr] = {}

    def __call__(self, node: sympy.Expr) -> sympy.Expr:
        if node == self.symbol:
            return sympy.S.One
        if self.symbol not in node.free_symbols or is_reduction(node):
            return sympy.S.Zero
        if node not in self._memo:
            self._memo[node] = self._visit(node)
        return self._memo[node]

    def _visit(self, node: sympy.Expr) -> sympy.Expr:
        if isinstance(node, sympy.Add):
            return sympy.Add(*(self(term) for term in node.args))
        if isinstance(node, sympy.Mul):
            return self._product(node)
        if isinstance(node, sympy.Pow):
            return self._power(*node.args)
        if isinstance(node, sympy.Piecewise):
            return self._piecewise(node)
        if isinstance(node, NetworkValue):
            return self._network(node)
        if is_convolution(node):  # it commutes with derivatives by position and time
            kernel, inner = node.args
            return operator(CONVOLVE, kernel, self(inner))
        name = type(node).__name__
        if name in ("Minimum", "Maximum"):
            return self._extreme(node)
        if name not in PARTIALS:
            raise TypeError(f"no rule for the derivative of {name}")
        partials = PARTIALS[name](*node.args)
        pairs = zip(partials, node.args, strict=False)
        return sympy.Add(*(partial * self(argument) for partial, argument in pairs))

    def _network(self, node: NetworkValue) -> sympy.Expr:
        symbol, output, *inputs = node.args
        if isinstance(node, NetworkSlope):
            by, inputs = int(inputs[0]), inputs[1:]
            plain = [sympy.Dummy(real=True) for _ in inputs]
            slope = derivative(expanded(symbol.network, int(output), plain), plain[by])
            return self(slope.xreplace(dict(zip(plain, inputs, strict=True))))
        return sympy.Add(*(
            NetworkSlope(symbol, output, sympy.Integer(number), *inputs) * self(argument)
            for number, argument in enumerate(inputs)
        ))  # fmt: skip

    def _product(self, node: sympy.Mul) -> sympy.Expr:
        terms = []
        for number, factor in enumerate(node.args):
            rate = self(factor)
            if rate != 0:
                terms.append(sympy.Mul(*node.args[:number], rate, *node.args[number + 1 :]))
        return sympy.Add(*terms)

    def _power(self, base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
        total = exponent * base ** (exponent - 1) * self(base)
        rate = self(exponent)
        if rate == 0 or base.is_zero:
            return total
        return total + base**exponent * sympy.log(base) * rate

    def _piecewise(self, node: sympy.Piecewise) -> sympy.Expr:
        pairs = [(self(value), condition) for value, condition in node.args]
        if all(value == 0 for value, _ in pairs):
            return sympy.S.Zero
        return nodes.Where(*(nodes._Pair(value, condition) for value, condition in pairs))

    def _extreme(self, node: sympy.Expr) -> sympy.Expr:
        """Differentiate ``minimum`` or ``maximum`` of the first argument and the rest."""
        first, others = node.args[0], node.args[1:]
        rest = others[0] if len(others) == 1 else node.func(*others)
        above = rest - first if isinstance(node, nodes.Minimum) else first - rest
        return nodes.Heaviside(above) * self(first) + nodes.Heaviside(-above) * self(rest)
