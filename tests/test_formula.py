"""The formula language against Python's own arithmetic, and against hostile text."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from pdesim.errors import FormulaError
from pdesim.formula import Evaluator, Scope, jacobian, parse, split
from pdesim.formula.language import operator_symbol

X, Y, A, U, V = (sympy.Symbol(name, real=True) for name in ("x", "y", "a", "u", "v"))
SCOPE = Scope({"x": X, "y": Y, "a": A, "u": U, "v": V}, ("x", "y"), operators=True)
NUMPY_NAMES = {
    "sqrt": np.sqrt, "exp": np.exp, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "abs": np.abs,
    "minimum": np.minimum, "maximum": np.maximum, "where": np.where, "pi": np.pi,
    "sign": np.sign, "log": np.log, "heaviside": lambda z: np.heaviside(z, 0.5),
}  # fmt: skip


def expressions():
    """Random formulas that are safe to evaluate for any x, a in [1/2, 2]."""
    leaves = st.sampled_from(["x", "a", "1", "2.5", "0.3", "pi", "7"])

    def combine(inner):
        pairs = st.tuples(inner, inner)
        return st.one_of(
            pairs.map(lambda p: f"({p[0]} + {p[1]})"),
            pairs.map(lambda p: f"{p[0]} - ({p[1]})"),
            pairs.map(lambda p: f"({p[0]})*({p[1]})"),
            pairs.map(lambda p: f"({p[0]})/(1 + ({p[1]})**2)"),
            inner.map(lambda e: f"sin({e})"),
            inner.map(lambda e: f"tanh({e})"),
            inner.map(lambda e: f"sqrt(1 + ({e})**2)"),
            inner.map(lambda e: f"abs({e})"),
            inner.map(lambda e: f"-({e})"),
            pairs.map(lambda p: f"minimum({p[0]}, {p[1]})"),
            pairs.map(lambda p: f"where({p[0]} > {p[1]}, {p[0]}, {p[1]})"),
            inner.map(lambda e: f"tanh({e})**3"),
        )

    return st.recursive(leaves, combine, max_leaves=8)


@settings(max_examples=150, deadline=None)
@given(expressions(), st.floats(0.5, 2), st.floats(0.5, 2))
def test_formulas_mean_what_python_means(text, x, a):
    expected = eval(text, {"__builtins__": {}}, {**NUMPY_NAMES, "x": x, "a": a})
    try:
        value = Evaluator({"x": np.float64(x), "a": np.float64(a)})(parse(text, SCOPE))
    except FormulaError as error:
        assert "finite" in str(error) and not math.isfinite(expected)
        return
    # the order of operations may differ, and sin amplifies the rounding of its argument
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_politely(text):
    try:
        parse(text, SCOPE)
    except FormulaError as error:
        assert len(str(error).splitlines()) <= 5


HOSTILE = [
    "__import__('os').system('true')", "().__class__", "u.real", "[1,2]", "lambda: 1", "u[0]",
    "x if a else y", "open('f')", "exec('1')", "f'{u}'", "'text'", "u := 1", "print(u)",
    "laplacian", "True", "1j", "None", "...", "u @ v", "u // v", "u % v", "u ^ 2", "u & v",
    "u, v", "x > 1", "u = 1", "where(u, 1, 2)", "9**9**9", "10**400", "1e400", "9**64**64",
    "((9**64)**64)**64", "1/0", "0**-1", "sqrt(-1)", "log(-1)", "log(0)",
    "(" * 300 + "u" + ")" * 300, "-" * 5000 + "u", "u" * 5000, "", "gradient(u)", "u*gradient(v)",
    "laplacian(gradient(u))", "divergence(u)", "d_dz(u)", "z", "w",
    "divergence(gradient(u)*gradient(v))", "laplacian(u, v)", "sin()", "sin(x=1)", "u(3)",
    "lap(u)", "random_normal(1)", "\u0000", "u\\", "sin(", "2 u",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_outside_the_language_is_refused(text):
    with pytest.raises(FormulaError) as caught:
        parse(text, SCOPE)
    assert len(str(caught.value).splitlines()) <= 5


def test_an_error_shows_the_place_and_the_nearest_name():
    with pytest.raises(FormulaError) as caught:
        parse("a*laplacian(u) - lapalcian(v)", SCOPE, "rhs of u")
    first, formula, caret, expected = str(caught.value).splitlines()
    assert "rhs of u" in first and "'lapalcian'" in first
    assert formula[caret.index("^") :].startswith("lapalcian(v)")
    assert "laplacian" in expected


def test_the_caret_counts_letters_not_bytes():
    with pytest.raises(FormulaError) as caught:
        parse("µ + 1", SCOPE)
    lines = str(caught.value).splitlines()
    assert lines[2].index("^") == lines[1].index("µ") or lines[2].index("^") == lines[1].index("μ")


def test_split_separates_linear_from_nonlinear():
    rhs = (parse("a*laplacian(u) - u*v**2 + 3*(1 - u) + d_dx(2*v)", SCOPE), parse("x*v", SCOPE))
    parts = split(rhs, (U, V), frozenset({A}))
    lap, ddx = operator_symbol("laplacian"), operator_symbol("d_dx")
    assert parts.matrix == sympy.Matrix([[A * lap - 3, 2 * ddx], [0, 0]])
    assert sympy.simplify(parts.rest[0] - (3 - U * V**2)) == 0
    assert parts.rest[1] == X * V


def test_split_goes_through_nested_operators():
    (formula,) = [parse("laplacian(u**3 - u - a*laplacian(u))", SCOPE)]
    parts = split((formula,), (U,), frozenset({A}))
    lap = operator_symbol("laplacian")
    assert sympy.expand(parts.matrix[0] - (-lap - A * lap**2)) == 0
    assert str(parts.rest[0]) == "laplacian(u**3)"


def test_split_leaves_a_reaction_whole_beside_diffusion():
    rhs = (parse("a*laplacian(u) - u*v**2 + 3*(1 - u)", SCOPE), parse("u*v**2 - v", SCOPE))
    parts = split(rhs, (U, V), frozenset({A}))
    assert parts.matrix == sympy.diag(A * operator_symbol("laplacian"), 0)
    assert sympy.expand(parts.rest[1] - (U * V**2 - V)) == 0
    # nothing nonlinear is left over: the whole equation can be exact
    exact = (parse("a*laplacian(u) - u + x", SCOPE),)
    assert split(exact, (U,), frozenset({A})).rest == (X,)
    # (1 + laplacian)^2 is one operator
    (formula,) = [parse("-u - 2*laplacian(u) - laplacian(laplacian(u)) - u**3", SCOPE)]
    assert sympy.expand(split((formula,), (U,), frozenset()).rest[0]) == -(U**3)


def test_split_leaves_exponentials_whole():
    (formula,) = [parse("laplacian(u) + exp(-((x - 0.5)**2 + y**2)/1e-4)", SCOPE)]
    rest = split((formula,), (U,), frozenset()).rest[0]
    assert np.isfinite(Evaluator({"x": 0.9, "y": 0.9})(rest))


def test_jacobian_of_advection_and_reaction():
    rhs = (parse("-u*d_dx(u) + u*v**2 + divergence(u*gradient(v))", SCOPE),)
    entries = jacobian(rhs, (U, V))
    ddx, lap = operator_symbol("d_dx"), operator_symbol("laplacian")
    slope = parse("d_dx(u)", SCOPE)
    assert sympy.simplify(entries[0] - (-slope - U * ddx + V**2)) == 0
    assert sympy.simplify(entries[1] - (2 * U * V + U * lap)) == 0
