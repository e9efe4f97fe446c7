"""Descriptions of Python syntax for messages about formulas."""

from __future__ import annotations

import ast

#: the syntax of formulas
USE = "numbers, names, + - * / % **, parentheses, function calls, a if condition else b"

#: exceptions that SymPy raises for expressions that it cannot build
SYMPY_ERRORS = (
    TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError, RecursionError,
)  # fmt: skip


def called_name(node: ast.Call) -> str:
    """Return the name of a called function; empty if it has none."""
    return node.func.id if isinstance(node.func, ast.Name) else ""


def describe(node: ast.expr) -> str:
    """Return what a node of a syntax tree is, in words."""
    names = {
        "Attribute": "a dot",
        "Subscript": "indexing with [ ]",
        "Lambda": "lambda",
        "List": "a list",
        "Tuple": "a comma outside a call",
        "Dict": "{ }",
    }
    return names.get(type(node).__name__, type(node).__name__)
