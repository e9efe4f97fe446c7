"""Parses formulas to SymPy expressions.

The text is parsed by Python's ``ast`` module, and only listed kinds of syntax are accepted. No code
is executed.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import sympy

from pdesim.errors import FormulaError, Names, nearest, similar_names
from pdesim.formula import calls, nodes, values
from pdesim.formula import language as lang
from pdesim.formula.calls import MAX_ARGUMENTS
from pdesim.formula.other_names import is_time_derivative, other_derivative, other_function
from pdesim.formula.scope import Scope
from pdesim.formula.syntax import SYMPY_ERRORS, USE, called_name, describe
from pdesim.formula.values import Value, ValueMismatch

MAX_LENGTH, MAX_DEPTH, MAX_EXPONENT, MAX_NODES = 4000, 60, 64, 20_000
MAX_MAGNITUDE = 1e300
#: names of at most this many letters resemble many others, so that a suggestion has to be closer
SHORT_NAME = 3
#: largest depth of an expression after the formulas of parameters have been substituted
MAX_TOTAL_DEPTH = 150


def parse(text: str | int | float, scope: Scope, where: str = "") -> sympy.Expr:
    """Parse one formula.

    Args:
        text: the formula, or a number.
        scope: the names that the formula may use.
        where: the purpose of the formula for error messages, such as ``"rhs of u"``.

    Returns:
        A SymPy expression, in which operators and generators are undefined functions.

    Raises:
        FormulaError: if the text is not a valid formula. The message shows the formula and marks
            the position of the error.
    """
    return parse_value(text, scope, where, "real")


def parse_value(text: str | int | float, scope: Scope, where: str = "", kind: str = "any") -> Value:
    """Parse a formula whose value is a real number, a complex number or a vector.

    Args:
        text, scope, where: see :func:`parse`.
        kind: ``real``, ``complex``, ``vector`` or ``any``.

    Raises:
        FormulaError: see :func:`parse`; also if the value is of another kind.
    """
    return Parser(" ".join(str(text).split()), scope, where).parse(kind)


class Parser:
    """The parser of one formula."""

    def __init__(self, source: str, scope: Scope, where: str) -> None:
        self.source, self.scope, self.where = source, scope, where
        # the names are normalised as by Python's parser
        self.symbols = {unicodedata.normalize("NFKC", k): v for k, v in scope.symbols.items()}
        self.generator_count = 0

    def fail(
        self, node: ast.expr | int, problem: str, expected: str | Names = "", hint: str = ""
    ) -> FormulaError:
        """Return the error for a node of the syntax tree, or for a column of the formula."""
        column = node if isinstance(node, int) else 0
        if isinstance(node, ast.expr):  # ast counts UTF-8 bytes
            column = len(self.source.encode()[: node.col_offset].decode(errors="ignore"))
        return FormulaError(self.source, column, problem, expected, self.where, hint)

    def within(self, scope: Scope) -> Parser:
        """Return a parser of a part of this formula that may use other names."""
        return Parser(self.source, scope, self.where)

    def of_kernel(self, text: str, scope: Scope) -> sympy.Expr:
        """Return the formula of a kernel in this formula."""
        return parse(text, scope, f"the kernel in {self.where}")

    def parse(self, kind: str) -> Value:
        """Return the value of the formula, which must be of a kind; see :func:`parse_value`."""
        tree = self._tree()
        try:
            result = self._of_kind(tree, kind)
        except SYMPY_ERRORS as error:
            reason = " ".join(str(error).split())[:80]
            raise self.fail(0, f"this formula has no real value ({reason})") from None
        for part in values.parts_of(result):
            self._check_size(tree, part)
            if values.gradients_in(part):
                raise self.fail(tree, "gradient(...) is a vector", "divergence(D*gradient(f))")
        return result

    def _tree(self) -> ast.expr:
        if not self.source:
            raise self.fail(0, "the formula is empty", "a formula, such as laplacian(u)")
        if len(self.source) > MAX_LENGTH:
            raise self.fail(
                0, f"the formula has {len(self.source)} characters", f"at most {MAX_LENGTH}"
            )
        try:
            tree = ast.parse(self.source, mode="eval").body
        except SyntaxError as error:
            column = max(0, (error.offset or 1) - 1)
            raise self.fail(column, f"this is not a formula ({error.msg})") from None
        except (ValueError, RecursionError, MemoryError):
            raise self.fail(0, "this formula is nested too deeply to read") from None
        end = self.source.encode()[: tree.end_col_offset].decode()
        if "#" in self.source[len(end) :]:  # Python treats the rest as a comment
            raise self.fail(self.source.index("#", len(end)), "'#' is not part of a formula", USE)
        return tree

    def _of_kind(self, tree: ast.expr, kind: str) -> Value:
        if kind == "complex":
            return self.matched(tree, lambda: values.as_complex(self.value(tree, 0)))
        if kind == "vector":
            return self.vector(tree, 0)
        return self.number(tree, 0) if kind == "real" else self.value(tree, 0)

    def matched(self, node: ast.expr, operation: Callable[[], Any]) -> Any:
        """Return the result of an operation on values; if it does not suit them, say where."""
        try:
            return operation()
        except ValueMismatch as error:
            raise self.fail(node, error.problem, error.expected) from None

    def expression(self, node: ast.expr, depth: int) -> Value | sympy.Basic:
        """Return the value of a syntax node; ``depth`` is its level of nesting."""
        if depth > MAX_DEPTH:
            raise self.fail(
                node, "this formula is nested too deeply", f"at most {MAX_DEPTH} levels"
            )
        kind = type(node).__name__
        method = getattr(self, f"_{kind.lower()}", None)
        if method is None:
            raise self.fail(node, f"{describe(node)} is not part of the formula language", USE)
        result = method(node, depth + 1)
        for part in values.parts_of(result):
            self._check(node, part)
        return result

    def _check(self, node: ast.expr, result: sympy.Basic) -> None:
        """Raise FormulaError if a result is too long, or not finite and real."""
        if nodes.tree_size(result) > MAX_NODES:
            raise self.fail(node, "the formula is too long after its parameters are substituted")
        if isinstance(result, sympy.Expr) and (
            result.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.I)
        ):
            raise self.fail(node, "this is not a finite real number")
        self._check_magnitude(node, (result, *result.args))

    def _check_magnitude(self, node: ast.expr, parts: Iterable[sympy.Basic]) -> None:
        for part in parts:
            if isinstance(part, sympy.Expr) and nodes.is_constant(part):
                value = nodes.as_float(part)
                if math.isnan(value):
                    raise self.fail(node, "this is not a finite real number")
                if abs(value) > MAX_MAGNITUDE:
                    raise self.fail(node, "this number is too large", "magnitudes below 1e300")

    def _check_size(self, node: ast.expr, result: sympy.Expr) -> None:
        """Raise FormulaError if parameters make the formula too deep, or its numbers too large."""
        level, depth = [result], 0
        while level:
            depth += 1
            if depth > MAX_TOTAL_DEPTH:
                raise self.fail(node, "the parameters in this formula nest too deeply")
            self._check_magnitude(node, level)
            level = list({argument for part in level for argument in part.args})

    def value(self, node: ast.expr, depth: int) -> Value:
        """Return the value of a syntax node that must not be a condition."""
        result = self.expression(node, depth)
        if isinstance(result, sympy.Basic) and not isinstance(result, sympy.Expr):
            raise self.fail(node, "a comparison is not a number", "comparisons only inside where")
        return result

    def number(self, node: ast.expr, depth: int) -> sympy.Expr:
        """Return the expression of a syntax node that must be a real number."""
        result = self.value(node, depth)
        if not isinstance(result, sympy.Expr):
            raise self.fail(node, f"this is {result.kind}", result.hint)
        return result

    def vector(self, node: ast.expr, depth: int) -> values.Vector:
        """Return the value of a syntax node that must be a vector."""
        value, axes = self.value(node, depth), self.scope.axes
        return self.matched(node, lambda: values.as_vector(value, axes))

    def _constant(self, node: ast.Constant, depth: int) -> Value:
        value = node.value
        if isinstance(value, str):
            raise self.fail(node, "text is not allowed here", "a number or a name")
        if isinstance(value, complex):
            part = value.imag
            whole = part.is_integer() and part < MAX_MAGNITUDE
            return values.Complex(
                sympy.S.Zero, sympy.Integer(int(part)) if whole else sympy.Float(part)
            )
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(node, f"{value!r} is not a number", "a number")
        written = ast.get_source_segment(self.source, node) or ""
        if value == 0 and re.search("[1-9]", re.split("[eE]", written)[0]):
            raise self.fail(node, "this number is too small", "magnitudes above 1e-300, or 0")
        return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value)

    def _list(self, node: ast.List, depth: int) -> values.Vector:
        axes = self.scope.axes
        if len(node.elts) != len(axes):
            raise self.fail(
                node, f"this vector has {len(node.elts)} components", f"{len(axes)}, one per axis"
            )
        return values.Vector(tuple(self.number(part, depth) for part in node.elts))

    def _name(self, node: ast.Name, depth: int) -> Value:
        name = node.id
        if name in self.symbols:
            return self.symbols[name]
        if name in lang.CONSTANTS:
            return lang.CONSTANTS[name]
        if name in self.scope.forbidden:
            raise self.fail(node, f"{name!r} cannot be used here: {self.scope.forbidden[name]}")
        if name in self.scope.callables():
            raise self.fail(node, f"{name!r} needs parentheses", f"{name}(...)")
        if name in lang.AXES:
            raise self.fail(node, f"{name!r} is not an axis of this {len(self.scope.axes)}-D grid")
        known, functions = nearest(name, self.scope.names()), self.scope.callables()
        hint = ""
        variables = set(self.scope.symbols) - {*lang.AXES, "t", "r"}
        if call := other_derivative(name, variables, functions):
            known = replace(known, similar=(call,))
        elif is_time_derivative(name, variables) and self.scope.operators:
            hint = "a rate of change is on the left: rhs: {u: ...} is du/dt"
        elif self.scope.extensible and not known.similar:
            hint = f"equation.{name}=1 defines a parameter {name} with the value 1"
        raise self.fail(node, f"unknown name {name!r}", known, hint)

    def _unaryop(self, node: ast.UnaryOp, depth: int) -> Value:
        if isinstance(node.op, ast.Not):
            return sympy.Not(self.condition(node.operand, depth))
        value = self.value(node.operand, depth)
        if isinstance(node.op, ast.USub):
            if isinstance(value, sympy.Expr):
                return -value
            return self.matched(node, lambda: values.negative(value))
        if isinstance(node.op, ast.UAdd):
            return value
        raise self.fail(node, "'~' is not part of the formula language", USE)

    def _binop(self, node: ast.BinOp, depth: int) -> Value:
        if isinstance(node.op, ast.BitXor):
            raise self.fail(node.right, "'^' is not a power here", "**, as in u**2")
        if not isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod)):
            name = type(node.op).__name__
            raise self.fail(node, f"the operation {name} is not part of the formula language", USE)
        left, right = self.value(node.left, depth), self.value(node.right, depth)
        if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
            name, axes = type(node.op).__name__, self.scope.axes
            return self.matched(node, lambda: values.combine(name, left, right, axes))
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            if right.is_zero:
                raise self.fail(node.right, "division by zero")
            return left / right
        if isinstance(node.op, ast.Mod):
            return self.remainder(node.right, left, right)
        return self.power(node, node.right, left, right)

    def remainder(self, divisor: ast.expr, left: sympy.Expr, right: sympy.Expr) -> sympy.Expr:
        if right.is_zero:
            raise self.fail(divisor, "division by zero")
        return nodes.Mod(left, right)

    def power(
        self, node: ast.expr, place: ast.expr, base: sympy.Expr, exponent: sympy.Expr
    ) -> sympy.Expr:
        if nodes.is_constant(exponent) and abs(nodes.as_float(exponent)) > MAX_EXPONENT:
            raise self.fail(place, f"the exponent is {exponent}", f"at most {MAX_EXPONENT}")
        if base.is_zero and exponent.is_negative:
            raise self.fail(node, "division by zero")
        return base**exponent

    def condition(self, node: ast.expr, depth: int) -> sympy.Basic:
        """Return the expression of a syntax node that must be a condition, not a number."""
        result = self.expression(node, depth)
        if not isinstance(result, sympy.Basic) or isinstance(result, sympy.Expr):
            raise self.fail(node, "this is not a condition", "a comparison, such as x > 0.5")
        return result

    def _ifexp(self, node: ast.IfExp, depth: int) -> Value:
        condition = self.condition(node.test, depth)
        one, other = self.value(node.body, depth), self.value(node.orelse, depth)
        return self.matched(node, lambda: values.where(condition, one, other))

    def _boolop(self, node: ast.BoolOp, depth: int) -> sympy.Basic:
        if len(node.values) > MAX_ARGUMENTS:
            raise self.fail(
                node, f"there are {len(node.values)} conditions", f"at most {MAX_ARGUMENTS}"
            )
        combine = sympy.And if isinstance(node.op, ast.And) else sympy.Or
        return combine(*(self.condition(value, depth) for value in node.values))

    def _compare(self, node: ast.Compare, depth: int) -> sympy.Basic:
        values = [self.number(value, depth) for value in (node.left, *node.comparators)]
        parts = []
        for left, op, right in zip(values, node.ops, values[1:], strict=False):
            relation = nodes.RELATIONS.get(type(op).__name__)
            if relation is None:
                raise self.fail(node, "unknown comparison", "< <= > >= == !=")
            parts.append(relation(left, right))
        return sympy.And(*parts)

    def _call(self, node: ast.Call, depth: int) -> Value:
        if not isinstance(node.func, ast.Name):
            raise self.fail(node, "only plain function names can be called", USE)
        if node.keywords:
            raise self.fail(node, "keyword arguments are not supported", "f(a, b)")
        name = lang.DERIVATIVE_ALIASES.get(node.func.id, node.func.id)
        name = self.scope.metric.word(name) if self.scope.metric else name
        if name in self.scope.networks:
            return calls.network(self, node, depth, None)
        if name in lang.REDUCTIONS and (len(node.args) == 1 or name not in lang.FUNCTIONS):
            return calls.reduction(self, node, name, depth)
        if name in lang.VECTOR_FUNCTIONS and self.scope.operators:
            return calls.vector_function(self, node, name, depth)
        if name in lang.FUNCTIONS:
            return calls.function(self, node, name, depth)
        if name == lang.CONVOLVE and self.scope.kernels is not None:
            return calls.convolution(self, node, depth)
        if name in self.scope.operator_words():
            return calls.operator(self, node, name, depth)
        if self.scope.generators and name in lang.GENERATORS:
            return calls.generator(self, node, name, depth)
        if name in lang.DERIVATIVES and self.scope.operators:
            beyond = lang.DERIVATIVES[name][len(self.scope.axes) :]
            axis = next(a for a, p in zip(lang.AXES[-len(beyond) :], beyond, strict=True) if p)
            raise self.fail(node, f"{axis!r} is not an axis of this {len(self.scope.axes)}-D grid")
        if name in (*lang.OPERATORS, lang.GRADIENT, lang.CONVOLVE):
            kind = "convolutions" if name == lang.CONVOLVE else "derivatives"
            raise self.fail(node, f"{name}(...) is not allowed here", f"a formula without {kind}")
        if name in lang.GENERATORS:
            raise self.fail(node, f"{name}(...) is not allowed here", lang.WITH_GENERATORS)
        if name in self.symbols:
            raise self.fail(node, f"{name!r} is not a function", f"{name}*(...) to multiply")
        known = nearest(name, self.scope.callables())
        if word := other_function(name, self.scope.callables()):
            known = replace(known, similar=(word,))
        elif known.similar and len(name) <= SHORT_NAME:
            cutoff = similar_names(name, known.known, 0.8)
            known = replace(known, similar=cutoff)
        raise self.fail(
            node, f"unknown function {name!r}", known, "pdesim list functions shows all"
        )

    def _subscript(self, node: ast.Subscript, depth: int) -> sympy.Expr:
        call, index = node.value, node.slice
        name = called_name(call) if isinstance(call, ast.Call) else ""
        if name not in self.scope.networks:
            self.expression(call, depth)  # an unknown function is reported first
            raise self.fail(node, "indexing with [ ] is not part of the formula language", USE)
        assert isinstance(call, ast.Call)
        outputs = self.scope.networks[name].network.layers[-1]
        number = index.value if isinstance(index, ast.Constant) else None
        if type(number) is not int or not 0 <= number < outputs:
            raise self.fail(index, f"{name} has {outputs} outputs", f"[0] to [{outputs - 1}]")
        return calls.network(self, call, depth, number)
