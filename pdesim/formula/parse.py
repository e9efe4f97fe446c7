"""Parses formulas to SymPy expressions.

The text is parsed by Python's ``ast`` module, and only listed kinds of syntax are accepted. No code
is executed.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import sympy

from pdesim.errors import FormulaError, nearest
from pdesim.formula import language as lang
from pdesim.formula import nodes
from pdesim.formula.kernels import CONVOLUTION, Kernel, kernel_scope
from pdesim.formula.networks import NetworkValue
from pdesim.formula.scope import Scope
from pdesim.formula.syntax import SYMPY_ERRORS, USE, called_name, describe
from pdesim.formula.syntax import applied as _applied
from pdesim.formula.syntax import applied_word as _applied_word

MAX_LENGTH, MAX_DEPTH, MAX_EXPONENT = 4000, 60, 64
MAX_ARGUMENTS, MAX_NODES = 32, 20_000
MAX_MAGNITUDE = 1e300
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
    source = " ".join(str(text).split())
    return _Parser(source, scope, where).parse()


class _Parser:
    def __init__(self, source: str, scope: Scope, where: str) -> None:
        self.source, self.scope, self.where = source, scope, where
        # the names are normalised as by Python's parser
        self.symbols = {unicodedata.normalize("NFKC", k): v for k, v in scope.symbols.items()}
        self.generator_count = 0

    def fail(self, node: ast.expr | int, problem: str, expected: str = "") -> FormulaError:
        """Return the error for a node of the syntax tree, or for a column of the formula."""
        column = node if isinstance(node, int) else 0
        if isinstance(node, ast.expr):  # ast counts UTF-8 bytes
            column = len(self.source.encode()[: node.col_offset].decode(errors="ignore"))
        return FormulaError(self.source, column, problem, expected, self.where)

    def parse(self) -> sympy.Expr:
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
        try:
            result = self.number(tree, 0)
        except SYMPY_ERRORS as error:
            reason = " ".join(str(error).split())[:80]
            raise self.fail(0, f"this formula has no real value ({reason})") from None
        self._check_size(tree, result)
        if any(lang.word_of(node) == lang.GRADIENT for node in _applied(result)):
            raise self.fail(tree, "gradient(...) is a vector", "divergence(D*gradient(f))")
        return result

    def expression(self, node: ast.expr, depth: int) -> sympy.Expr:
        """Return the SymPy expression of a syntax node; ``depth`` is its level of nesting."""
        if depth > MAX_DEPTH:
            raise self.fail(
                node, "this formula is nested too deeply", f"at most {MAX_DEPTH} levels"
            )
        kind = type(node).__name__
        method = getattr(self, f"_{kind.lower()}", None)
        if method is None:
            raise self.fail(node, f"{describe(node)} is not part of the formula language", USE)
        result = method(node, depth + 1)
        return self._checked(node, result)

    def _checked(self, node: ast.expr, result: sympy.Basic) -> sympy.Basic:
        """Return the result, or raise FormulaError if it is too long, or not finite and real."""
        if nodes.tree_size(result) > MAX_NODES:
            raise self.fail(node, "the formula is too long after its parameters are substituted")
        if isinstance(result, sympy.Expr) and (
            result.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.I)
        ):
            raise self.fail(node, "this is not a finite real number")
        self._check_magnitude(node, (result, *result.args))
        return result

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

    def number(self, node: ast.expr, depth: int) -> sympy.Expr:
        """Return the expression of a syntax node that must be a number, not a condition."""
        result = self.expression(node, depth)
        if not isinstance(result, sympy.Expr):
            raise self.fail(node, "a comparison is not a number", "comparisons only inside where")
        return result

    def _constant(self, node: ast.Constant, depth: int) -> sympy.Expr:
        value = node.value
        if isinstance(value, str):
            raise self.fail(node, "text is not allowed here", "a number or a name")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(node, f"{value!r} is not a number", "a real number")
        written = ast.get_source_segment(self.source, node) or ""
        if value == 0 and re.search("[1-9]", re.split("[eE]", written)[0]):
            raise self.fail(node, "this number is too small", "magnitudes above 1e-300, or 0")
        return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value)

    def _name(self, node: ast.Name, depth: int) -> sympy.Expr:
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
        raise self.fail(node, f"unknown name {name!r}", nearest(name, self.scope.names()))

    def _unaryop(self, node: ast.UnaryOp, depth: int) -> sympy.Expr:
        if isinstance(node.op, ast.Not):
            return sympy.Not(self.condition(node.operand, depth))
        value = self.number(node.operand, depth)
        if isinstance(node.op, ast.USub):
            return -value
        if isinstance(node.op, ast.UAdd):
            return value
        raise self.fail(node, "'~' is not part of the formula language", USE)

    def _binop(self, node: ast.BinOp, depth: int) -> sympy.Expr:
        if isinstance(node.op, ast.BitXor):
            raise self.fail(node.right, "'^' is not a power here", "**, as in u**2")
        if not isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod)):
            name = type(node.op).__name__
            raise self.fail(node, f"the operation {name} is not part of the formula language", USE)
        left, right = self.number(node.left, depth), self.number(node.right, depth)
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
            return self._remainder(node.right, left, right)
        return self._power(node, node.right, left, right)

    def _remainder(self, divisor: ast.expr, left: sympy.Expr, right: sympy.Expr) -> sympy.Expr:
        if right.is_zero:
            raise self.fail(divisor, "division by zero")
        return nodes.Mod(left, right)

    def _power(
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
        if isinstance(result, sympy.Expr):
            raise self.fail(node, "this is not a condition", "a comparison, such as x > 0.5")
        return result

    def _ifexp(self, node: ast.IfExp, depth: int) -> sympy.Expr:
        condition = self.condition(node.test, depth)
        return nodes.where(
            condition, self.number(node.body, depth), self.number(node.orelse, depth)
        )

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

    def _call(self, node: ast.Call, depth: int) -> sympy.Expr:
        if not isinstance(node.func, ast.Name):
            raise self.fail(node, "only plain function names can be called", USE)
        if node.keywords:
            raise self.fail(node, "keyword arguments are not supported", "f(a, b)")
        name = lang.DERIVATIVE_ALIASES.get(node.func.id, node.func.id)
        if name in self.scope.networks:
            return self._network(node, depth, None)
        if name in lang.REDUCTIONS and (len(node.args) == 1 or name not in lang.FUNCTIONS):
            return self._reduction(node, name, depth)
        if name in lang.FUNCTIONS:
            return self._function(node, name, depth)
        if name == lang.CONVOLVE and self.scope.kernels is not None:
            return self._convolution(node, depth)
        if name in self.scope.operator_words():
            return self._operator(node, name, depth)
        if self.scope.generators and name in lang.GENERATORS:
            return self._generator(node, name, depth)
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
        raise self.fail(node, f"unknown function {name!r}", nearest(name, self.scope.callables()))

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
        return self._network(call, depth, number)

    def _network(self, node: ast.Call, depth: int, output: int | None) -> sympy.Expr:
        name = called_name(node)
        symbol = self.scope.networks[name]
        inputs, outputs = symbol.network.layers[0], symbol.network.layers[-1]
        if len(node.args) != inputs or node.keywords:
            count = f"{len(node.args)} inputs" if len(node.args) != 1 else "1 input"
            raise self.fail(node, f"the network {name} got {count}", str(inputs))
        if output is None and outputs > 1:
            form = f"{name}(...)[0] to {name}(...)[{outputs - 1}]"
            raise self.fail(node, f"{name} has {outputs} outputs", form)
        arguments = [self.number(argument, depth) for argument in node.args]
        return NetworkValue(symbol, sympy.Integer(output or 0), *arguments)

    def _arguments(self, node: ast.Call, word: lang.Word) -> list[ast.expr]:
        most, least = len(word.arguments), len(word.arguments) - word.optional
        name, given = called_name(node), len(node.args)
        if given < least or (given > most and not word.variadic):
            more = ", ..." if word.variadic else ""
            count = f"{given} argument" + ("" if given == 1 else "s")
            form = f"{name}({', '.join(word.arguments)}{more})"
            raise self.fail(node, f"{name} got {count}", form)
        if given > MAX_ARGUMENTS:
            raise self.fail(node, f"{name} got {given} arguments", f"at most {MAX_ARGUMENTS}")
        return node.args

    def _function(self, node: ast.Call, name: str, depth: int) -> sympy.Expr:
        word = lang.FUNCTIONS[name]
        assert word.build is not None
        if word.variadic and len(node.args) == 1:
            called = called_name(node)
            form = f"{called}(a, b, ...), evaluated in every cell"
            raise self.fail(node, f"{called} needs two or more arguments", form)
        arguments = self._arguments(node, word)
        if name in ("mod", "pow"):
            left, right = (self.number(a, depth) for a in arguments)
            if name == "mod":
                return self._remainder(arguments[1], left, right)
            return self._power(node, arguments[1], left, right)
        if word.arguments[0] == "condition":
            first = self.condition(arguments[0], depth)
            return word.build(first, *(self.number(a, depth) for a in arguments[1:]))
        return word.build(*(self.number(a, depth) for a in arguments))

    def _reduction(self, node: ast.Call, name: str, depth: int) -> sympy.Expr:
        if not self.scope.reductions:
            elementwise = f"{name}(a, b, ...)" if name in lang.FUNCTIONS else "a formula"
            raise self.fail(
                node,
                f"{name} of one argument, a value of the whole domain, is not allowed here",
                f"{elementwise}, evaluated in every cell",
            )
        (argument,) = self._arguments(node, lang.REDUCTIONS[name])
        scope = replace(self.scope, symbols={**self.scope.symbols, **self.scope.reduced})
        inner = _Parser(self.source, scope, self.where).number(argument, depth)
        if any(lang.word_of(n) == lang.GRADIENT for n in _applied(inner)):
            raise self.fail(argument, "gradient(...) is a vector", "gradient_squared(f)")
        uniform = not inner.free_symbols and not _applied(inner) and name != "integral"
        return inner if uniform else lang.operator(name, inner)

    def _convolution(self, node: ast.Call, depth: int) -> sympy.Expr:
        first, argument = self._arguments(node, CONVOLUTION)
        text, (displacement, scope) = self._text(first, node), kernel_scope(self.scope)
        formula = parse(ast.literal_eval(text.name), scope, f"the kernel in {self.where}")
        kernel = Kernel(displacement, formula)
        return lang.operator(lang.CONVOLVE, kernel, self.number(argument, depth))

    def _operator(self, node: ast.Call, name: str, depth: int) -> sympy.Expr:
        (argument,) = self._arguments(node, lang.Word(("f",), None, ""))
        inner = self.number(argument, depth)
        if name == lang.GRADIENT:
            return lang.operator(name, inner)
        if name == lang.DIVERGENCE:
            return self._divergence(argument, inner)
        if any(lang.word_of(n) == lang.GRADIENT for n in _applied(inner)):
            raise self.fail(argument, "gradient(...) is a vector", "divergence(D*gradient(f))")
        if name == lang.GRADIENT_SQUARED:
            return sympy.Add(*(lang.operator(f"d_d{a}", inner) ** 2 for a in self.scope.axes))
        return lang.differentiated(name, inner)

    def _divergence(self, node: ast.expr, inner: sympy.Expr) -> sympy.Expr:
        """Return the divergence of a flux, a sum of terms ``D*gradient(f)``."""
        fluxes: dict[sympy.Expr, list[sympy.Expr]] = {}
        for term in sympy.Add.make_args(lang.as_fluxes(inner)):
            gradients = [f for f in sympy.Mul.make_args(term) if _applied_word(f) == lang.GRADIENT]
            count = sum(lang.word_of(n) == lang.GRADIENT for n in _applied(term))
            if len(gradients) != 1 or count != 1:
                raise self.fail(
                    node, "divergence needs a flux", "D*gradient(f), or a sum of such terms"
                )
            fluxes.setdefault(gradients[0].args[0], []).append(term / gradients[0])
        return lang.divergence(fluxes)

    def _generator(self, node: ast.Call, name: str, depth: int) -> sympy.Expr:
        word = lang.GENERATORS[name]
        given = zip(self._arguments(node, word), word.arguments, strict=False)
        arguments = [
            self._text(argument, node) if form.startswith('"') else self.number(argument, depth)
            for argument, form in given
        ]
        if name.startswith("random_"):
            # each occurrence gets independent noise, so that equal calls must be different nodes
            self.generator_count += 1
            arguments.append(sympy.Integer(self.generator_count))
        return lang.operator(name, *arguments)

    def _text(self, argument: ast.expr, call: ast.Call) -> sympy.Symbol:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return sympy.Symbol(repr(argument.value))
        words = {**lang.GENERATORS, lang.CONVOLVE: CONVOLUTION}
        form = ", ".join(words[called_name(call)].arguments)
        raise self.fail(argument, "text in quotes is required here", f"{called_name(call)}({form})")
