"""Calls in formulas: functions, operators, reductions, generators and networks."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sympy

from pdesim.formula import expansion, values
from pdesim.formula import language as lang
from pdesim.formula.advection import advection
from pdesim.formula.kernels import CONVOLUTION, Kernel, kernel_scope
from pdesim.formula.networks import NetworkValue
from pdesim.formula.syntax import called_name
from pdesim.formula.values import Value

if TYPE_CHECKING:
    from pdesim.formula.metric import Metric
    from pdesim.formula.parse import Parser

MAX_ARGUMENTS = 32


def network(parser: Parser, node: ast.Call, depth: int, output: int | None) -> sympy.Expr:
    name = called_name(node)
    symbol = parser.scope.networks[name]
    inputs, outputs = symbol.network.layers[0], symbol.network.layers[-1]
    if len(node.args) != inputs or node.keywords:
        count = f"{len(node.args)} inputs" if len(node.args) != 1 else "1 input"
        raise parser.fail(node, f"the network {name} got {count}", str(inputs))
    if output is None and outputs > 1:
        form = f"{name}(...)[0] to {name}(...)[{outputs - 1}]"
        raise parser.fail(node, f"{name} has {outputs} outputs", form)
    arguments = [parser.number(argument, depth) for argument in node.args]
    return NetworkValue(symbol, sympy.Integer(output or 0), *arguments)


def arguments_of(parser: Parser, node: ast.Call, word: lang.Word) -> list[ast.expr]:
    most, least = len(word.arguments), len(word.arguments) - word.optional
    name, given = called_name(node), len(node.args)
    if given < least or (given > most and not word.variadic):
        more = ", ..." if word.variadic else ""
        count = f"{given} argument" + ("" if given == 1 else "s")
        form = f"{name}({', '.join(word.arguments)}{more})"
        raise parser.fail(node, f"{name} got {count}", form)
    if given > MAX_ARGUMENTS:
        raise parser.fail(node, f"{name} got {given} arguments", f"at most {MAX_ARGUMENTS}")
    return node.args


def function(parser: Parser, node: ast.Call, name: str, depth: int) -> sympy.Expr:
    word = lang.FUNCTIONS[name]
    assert word.build is not None
    if word.variadic and len(node.args) == 1:
        called = called_name(node)
        form = f"{called}(a, b, ...), evaluated in every cell"
        raise parser.fail(node, f"{called} needs two or more arguments", form)
    arguments = arguments_of(parser, node, word)
    if name in ("mod", "pow"):
        left, right = (parser.number(a, depth) for a in arguments)
        if name == "mod":
            return parser.remainder(arguments[1], left, right)
        return parser.power(node, arguments[1], left, right)
    if word.arguments[0] == "condition":
        first = parser.condition(arguments[0], depth)
        one, other = (parser.value(a, depth) for a in arguments[1:])
        return parser.matched(node, lambda: values.where(first, one, other))
    given = [parser.value(argument, depth) for argument in arguments]
    if all(isinstance(value, sympy.Expr) for value in given):
        return word.build(*given)
    place = next(a for a, v in zip(arguments, given, strict=True) if not isinstance(v, sympy.Expr))
    return parser.matched(place, lambda: values.apply(name, given))


def vector_function(parser: Parser, node: ast.Call, name: str, depth: int) -> Value:
    """Return ``dot(a, b)``, ``curl(a)`` or ``advect(a, f)``."""
    axes, given = parser.scope.axes, arguments_of(parser, node, lang.VECTOR_FUNCTIONS[name])
    metric = parser.scope.metric
    if name == "advect":
        return _transport(parser, given[0], given[1], depth)
    if name == "curl":
        value = parser.value(given[0], depth)
        along = metric.curl_along if metric else values.along_axis
        return parser.matched(given[0], lambda: values.curl(value, axes, along))
    left, right = (parser.value(argument, depth) for argument in given)
    a = parser.matched(given[0], lambda: values.as_vector(left, axes))
    if isinstance(right, values.VectorGradient):
        return values.along(a, right)
    b = parser.matched(given[1], lambda: values.as_vector(right, axes))
    return values.dot(a, b)


def _transport(parser: Parser, place: ast.expr, transported: ast.expr, depth: int) -> Value:
    """Return ``advect(v, u)``; each part of a vector or complex number u is transported."""
    velocity, u = parser.vector(place, depth).parts, parser.value(transported, depth)
    metric = parser.scope.metric
    carried = metric.advection if metric else advection
    if isinstance(u, sympy.Expr):
        if values.gradients_in(u):
            raise parser.fail(transported, "gradient(...) is a vector", "a number, such as u")
        return carried(velocity, u)
    if isinstance(u, values.VectorGradient):
        raise parser.fail(transported, f"this is {u.kind}", u.hint)
    if metric and metric.power and isinstance(u, values.Vector):
        raise parser.fail(
            transported, f"advect of a vector is not available in {metric.what}",
            "advect(v, u) of numbers, or dot(v, gradient(w))",
        )  # fmt: skip
    return u.each(lambda part: carried(velocity, part))


def reduction(parser: Parser, node: ast.Call, name: str, depth: int) -> sympy.Expr:
    if not parser.scope.reductions:
        elementwise = f"{name}(a, b, ...)" if name in lang.FUNCTIONS else "a formula"
        raise parser.fail(
            node,
            f"{name} of one argument, a value of the whole domain, is not allowed here",
            f"{elementwise}, evaluated in every cell",
        )
    (argument,) = arguments_of(parser, node, lang.REDUCTIONS[name])
    scope = replace(parser.scope, symbols={**parser.scope.symbols, **parser.scope.reduced})
    inner = parser.within(scope).value(argument, depth)
    if not isinstance(inner, sympy.Expr):
        if name in ("max", "min") or isinstance(inner, values.VectorGradient):
            raise parser.fail(argument, f"this is {inner.kind}", inner.hint)
        return inner.each(lambda part: _reduced(parser, name, part))
    if values.gradients_in(inner):
        raise parser.fail(argument, "gradient(...) is a vector", "gradient_squared(f)")
    return _reduced(parser, name, inner)


def _reduced(parser: Parser, name: str, inner: sympy.Expr) -> sympy.Expr:
    uniform = not inner.free_symbols and not inner.atoms(lang.AppliedUndef)
    if uniform and name != "integral":
        return inner
    metric = parser.scope.metric
    return metric.reduced(name, inner) if metric else lang.operator(name, inner)


def convolution(parser: Parser, node: ast.Call, depth: int) -> Value:
    """Return ``convolve("K", f)``; the kernel is real."""
    first, argument = arguments_of(parser, node, CONVOLUTION)
    if parser.scope.metric:
        what = parser.scope.metric.what
        raise parser.fail(
            node, f"convolve is not available with {what}", "domain.geometry=cartesian, equal cells"
        )
    text, (displacement, scope) = text_of(parser, first, node), kernel_scope(parser.scope)
    inner = parser.of_kernel(ast.literal_eval(text.name), scope)
    kernel, value = Kernel(displacement, inner), parser.value(argument, depth)
    if isinstance(value, values.VectorGradient):
        raise parser.fail(argument, f"this is {value.kind}", value.hint)
    if isinstance(value, sympy.Expr):
        return lang.operator(lang.CONVOLVE, kernel, value)
    return value.each(lambda part: lang.operator(lang.CONVOLVE, kernel, part))


def operator(parser: Parser, node: ast.Call, name: str, depth: int) -> Value:
    (argument,) = arguments_of(parser, node, lang.Word(("f",), None, ""))
    inner, metric = parser.value(argument, depth), parser.scope.metric
    if isinstance(inner, values.VectorGradient):
        raise parser.fail(argument, f"this is {inner.kind}", inner.hint)
    if isinstance(inner, values.Vector):
        return _of_vector(parser, argument, name, inner)
    if isinstance(inner, values.Complex):
        parts = [_of_number(parser, argument, name, part) for part in inner.parts]
        squares = name == lang.GRADIENT_SQUARED  # |gradient(f)|^2, a real number
        if metric and name == lang.GRADIENT:
            raise parser.fail(argument, "this is a complex number", "gradient(real(f))")
        return parts[0] + parts[1] if squares else values.Complex(*parts)
    return _of_number(parser, argument, name, inner)


def _of_number(parser: Parser, node: ast.expr, name: str, inner: sympy.Expr) -> Any:
    if parser.scope.metric:
        return _in_coordinates(parser, node, name, inner, parser.scope.metric)
    if name == lang.GRADIENT:
        return lang.operator(name, inner)
    if name == lang.DIVERGENCE:
        return divergence(parser, node, inner)
    if values.gradients_in(inner):
        raise parser.fail(node, "gradient(...) is a vector", "divergence(D*gradient(f))")
    if name == lang.GRADIENT_SQUARED:
        return sympy.Add(*(lang.operator(f"d_d{a}", inner) ** 2 for a in parser.scope.axes))
    return lang.differentiated(name, inner)


def _in_coordinates(
    parser: Parser, node: ast.expr, name: str, inner: sympy.Expr, metric: Metric
) -> Value:
    """Return an operator in other than Cartesian coordinates, applied to a number."""
    if name == lang.GRADIENT:
        return metric.gradient(inner)
    if name == lang.GRADIENT_SQUARED:
        return metric.gradient_squared(inner)
    if name == lang.DIVERGENCE:
        if inner == 0:
            return inner
        raise parser.fail(node, "divergence needs a vector", "D*gradient(f), a field v, or [a, b]")
    return metric.differentiated(name, inner)


def _of_vector(parser: Parser, node: ast.expr, name: str, inner: values.Vector) -> Value:
    """Return the divergence of a vector, or an operator applied to each component."""
    axes = parser.scope.axes
    if name == lang.GRADIENT_SQUARED:
        raise parser.fail(node, "this is a vector", f"{name}(f) of a number, such as {name}(v_x)")
    parts = parser.matched(node, lambda: values.as_vector(inner, axes)).parts
    if metric := parser.scope.metric:
        if name == lang.GRADIENT:
            return metric.gradient_of_vector(inner)
        if name == lang.DIVERGENCE:
            return metric.divergence(inner)
        if name == lang.LAPLACIAN:
            return metric.laplacian_of_vector(inner)
        return inner.each(lambda part: metric.differentiated(name, part))
    if name == lang.GRADIENT:
        return values.gradient_of_vector(inner, axes)
    if name == lang.DIVERGENCE:
        along = zip(axes, parts, strict=True)
        return sympy.Add(
            *(
                lang.differentiated(f"d_d{axis}", term)
                for axis, part in along
                for term in sympy.Add.make_args(part)
            )
        )
    return inner.each(lambda part: lang.differentiated(name, part))


def divergence(parser: Parser, node: ast.expr, inner: sympy.Expr) -> sympy.Expr:
    """Return the divergence of a flux, a sum of terms ``D*gradient(f)``."""
    fluxes: dict[sympy.Expr, list[sympy.Expr]] = {}
    for term in sympy.Add.make_args(expansion.as_fluxes(inner)):
        inside = values.gradients_in(term)
        gradients = [f for f in sympy.Mul.make_args(term) if f in inside]
        if len(gradients) != 1 or len(inside) != 1:
            raise parser.fail(
                node, "divergence needs a flux", "D*gradient(f), or a sum of such terms"
            )
        fluxes.setdefault(gradients[0].args[0], []).append(term / gradients[0])
    return lang.divergence(fluxes)


def generator(parser: Parser, node: ast.Call, name: str, depth: int) -> sympy.Expr:
    word = lang.GENERATORS[name]
    given = zip(arguments_of(parser, node, word), word.arguments, strict=False)
    arguments = [
        text_of(parser, argument, node) if form.startswith('"') else parser.number(argument, depth)
        for argument, form in given
    ]
    if name.startswith("random_"):
        # each occurrence gets independent noise, so that equal calls must be different nodes
        parser.generator_count += 1
        arguments.append(sympy.Integer(parser.generator_count))
    return lang.operator(name, *arguments)


def text_of(parser: Parser, argument: ast.expr, call: ast.Call) -> sympy.Symbol:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return sympy.Symbol(repr(argument.value))
    words = {**lang.GENERATORS, lang.CONVOLVE: CONVOLUTION}
    form = ", ".join(words[called_name(call)].arguments)
    raise parser.fail(argument, "text in quotes is required here", f"{called_name(call)}({form})")
