"""Convolutions ``convolve("K", f)``: the integral over the domain of K(x - y) f(y) dy.

In a formula, a convolution is a node ``convolve(Kernel, f)``. The kernel K is a formula of the
displacement x - y, whose components are symbols of their own, and of constants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import sympy
from sympy.printing.printer import Printer

from pdesim.formula import language as lang
from pdesim.formula.scope import Scope

#: the arguments of the word, and its description for ``pdesim list functions``
CONVOLUTION = lang.Word(
    ('"K"', "f"),
    None,
    "the integral over the domain of K(x - y)*f(y); K is a formula of x, y, z, r and parameters, "
    "where x, y, z are the components of the displacement, from -L/2 to L/2",
)


class Kernel(sympy.Expr):
    """The kernel of a convolution: a function of the displacement.

    The arguments are the symbols of the components of the displacement, and the formula. The former
    are bound: they do not belong to ``free_symbols``.
    """

    is_commutative = True

    def __new__(cls, displacement: Iterable[sympy.Symbol], formula: sympy.Expr) -> Kernel:
        return sympy.Expr.__new__(cls, sympy.Tuple(*displacement), formula)

    @property
    def displacement(self) -> tuple[sympy.Symbol, ...]:
        """The symbols of the components of the displacement along x, y, z."""
        return tuple(self.args[0])

    @property
    def formula(self) -> sympy.Expr:
        """The value of the kernel."""
        return self.args[1]

    @property
    def free_symbols(self) -> set[sympy.Symbol]:
        """The symbols of the constants in the formula."""
        return self.formula.free_symbols - set(self.displacement)

    @property
    def symbol(self) -> sympy.Symbol:
        """The SymPy symbol that stands for the Fourier symbol of the convolution."""
        digest = hashlib.md5(sympy.srepr(self).encode()).hexdigest()
        # the space distinguishes it from all names of parameters
        return sympy.Symbol(f"symbol_{lang.CONVOLVE} {digest}")

    def _sympystr(self, printer: Printer) -> str:
        names = zip(self.displacement, lang.AXES, strict=False)
        plain = {symbol: sympy.Symbol(axis, real=True) for symbol, axis in names}
        return f'"{printer.doprint(self.formula.xreplace(plain))}"'


def is_convolution(node: sympy.Basic) -> bool:
    """Whether a node is a convolution with its kernel and its argument."""
    return lang.is_operator(node) and lang.word_of(node) == lang.CONVOLVE


def kernels_in(formulas: Iterable[sympy.Basic]) -> tuple[Kernel, ...]:
    """Return the different kernels in formulas, in the same order for equal formulas."""
    kernels = set[Kernel]().union(*(formula.atoms(Kernel) for formula in formulas))
    return tuple(sorted(kernels, key=lambda kernel: kernel.symbol.name))


def symbol_of(node: sympy.Expr) -> sympy.Symbol:
    """Return the symbol of a node in Jacobians: that of its kernel, or of its operator."""
    return node.args[0].symbol if is_convolution(node) else lang.operator_symbol(lang.word_of(node))


def kernel_scope(scope: Scope) -> tuple[tuple[sympy.Symbol, ...], Scope]:
    """Return the symbols of the displacement, and the names that the formula of a kernel may use.

    Args:
        scope: the names that the formula with the convolution may use.
    """
    assert scope.kernels is not None
    displacement = tuple(sympy.Symbol(f"displacement {axis}", real=True) for axis in scope.axes)
    names = dict(zip(scope.axes, displacement, strict=True))
    distance = sympy.sqrt(sympy.Add(*(symbol**2 for symbol in displacement)))
    constants = {
        name: expression
        for name, expression in scope.symbols.items()
        if isinstance(expression, sympy.Expr)
        and {symbol.name for symbol in expression.free_symbols} <= scope.kernels
        and not expression.has(lang.AppliedUndef)
    }
    reason = "a kernel depends on the displacement x, y, z, its length r and constants only"
    others = dict.fromkeys({*scope.symbols, *scope.networks} - {*constants, *names, "r"}, reason)
    symbols = {**constants, **names, "r": distance}
    return displacement, Scope(symbols, scope.axes, forbidden=others, extensible=True)
