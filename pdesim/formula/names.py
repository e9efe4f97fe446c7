"""The names of variables in a formula, and the kind of a formula, from its text."""

from __future__ import annotations

import ast

from pdesim.formula.language import CONVOLVE


def is_condition(text: str) -> bool:
    """Whether a formula is a comparison, or comparisons joined by ``and``, ``or`` and ``not``."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    negated = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)
    return negated or isinstance(tree, ast.Compare | ast.BoolOp)


def names_in(text: str) -> set[str]:
    """Return the names of variables in a formula, without the names of functions.

    The result is empty if the text cannot be parsed; :func:`parse` reports this error.
    """
    variables, _ = _names(text)
    return variables


def functions_in(text: str) -> set[str]:
    """Return the names of functions in a formula; see :func:`names_in`."""
    _, functions = _names(text)
    return functions


def _names(text: str) -> tuple[set[str], set[str]]:
    """Return the names of variables and of functions in a formula."""
    try:
        tree = ast.parse(" ".join(str(text).split()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(), set()
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    functions = {node.id for node in names if id(node) in called}
    variables = {node.id for node in names if id(node) not in called}
    if CONVOLVE not in functions:
        return variables, functions
    # the kernels of convolutions are formulas in quotes
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    for variables_inside, functions_inside in (_names(t) for t in texts if isinstance(t, str)):
        variables, functions = variables | variables_inside, functions | functions_inside
    return variables, functions
