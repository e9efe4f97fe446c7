"""The formula language against Python's own arithmetic, and against hostile text."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from pdesim.errors import ConfigError, FormulaError
from pdesim.formula import Evaluator, Scope, jacobian, parse, split
from pdesim.formula.language import FUNCTIONS, operator_symbol
from pdesim.model.equation_settings import build_equation
from pdesim.model.unused_parameters import unused_parameters

X, Y, A, U, V = (sympy.Symbol(name, real=True) for name in ("x", "y", "a", "u", "v"))
SCOPE = Scope({"x": X, "y": Y, "a": A, "u": U, "v": V}, ("x", "y"), operators=True)
NUMPY_NAMES = {
    "sqrt": np.sqrt, "exp": np.exp, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "abs": np.abs,
    "minimum": np.minimum, "maximum": np.maximum, "where": np.where, "pi": np.pi,
    "sign": np.sign, "log": np.log, "heaviside": lambda z: np.heaviside(z, 0.5),
    "arctan": np.arctan, "arctan2": np.arctan2, "sinc": np.sinc, "floor": np.floor,
    "ceil": np.ceil, "mod": np.mod, "erf": np.vectorize(math.erf), "clip": np.clip,
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
            inner.map(lambda e: f"arctan({e})"),
            inner.map(lambda e: f"erf({e})"),
            inner.map(lambda e: f"sinc({e})"),
            pairs.map(lambda p: f"arctan2({p[0]}, 1 + ({p[1]})**2)"),
            pairs.map(lambda p: f"(({p[0]}) if {p[0]} > {p[1]} else ({p[1]}))"),
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
    "x if a else y", "(u > 1) if u > 0 else u", "open('f')", "exec('1')", "f'{u}'",
    "'text'", "u := 1", "print(u)",
    "laplacian", "True", "1j", "None", "...", "u @ v", "u // v", "u % 0", "u ^ 2", "u & v",
    "u, v", "x > 1", "u = 1", "where(u, 1, 2)", "9**9**9", "10**400", "1e400", "9**64**64",
    "((9**64)**64)**64", "1/0", "0**-1", "sqrt(-1)", "log(-1)", "log(0)",
    "(" * 300 + "u" + ")" * 300, "-" * 5000 + "u", "u" * 5000, "", "gradient(u)", "u*gradient(v)",
    "laplacian(gradient(u))", "divergence(u)", "d_dz(u)", "z", "w",
    "divergence(gradient(u)*gradient(v))", "laplacian(u, v)", "sin()", "sin(x=1)", "u(3)",
    "max(u)", "min(u)", "maximum(u)", "min()", "mod(u)", "mod(u, 0)", "clip(u, 1)", "arcsin(2)",
    "exp(1000)", "u*exp(1000)", "exp(500)*u*exp(500)", "1e200*u*1e200", "-exp(800) + u", "sinc",
    "pow(u, 65)", "pow(0, -1)", "log10(0)", "log2(-1)", "arctan2(u)", "sqrt(-u**2)", "d7_dx7(u)",
    "d3_dz3(u)", "d2_dxdz(u)", "d2_dxdx(u)", "d_dxdy(u)", "laplacian(u if u else 1)",
    "lap(u)", "random_normal(1)", "\u0000", "u\\", "sin(", "2 u",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_outside_the_language_is_refused(text):
    with pytest.raises(FormulaError) as caught:
        parse(text, SCOPE)
    assert len(str(caught.value).splitlines()) <= 7


def test_an_error_shows_the_place_and_the_nearest_name():
    with pytest.raises(FormulaError) as caught:
        parse("a*laplacian(u) - lapalcian(v)", SCOPE, "rhs of u")
    first, formula, caret, *rest = str(caught.value).splitlines()
    assert "rhs of u" in first and "'lapalcian'" in first
    assert formula[caret.index("^") :].startswith("lapalcian(v)")
    assert any("did you mean 'laplacian'" in line for line in rest)


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


#: formula of x (and y) -> the same in NumPy, for x in [-1, 1] and y in [0.2, 3]
WORDS = {
    "arcsin(x)": lambda x, y: np.arcsin(x),
    "arccos(x)": lambda x, y: np.arccos(x),
    "arctan(5*x)": lambda x, y: np.arctan(5 * x),
    "arctan2(x, y - 1)": lambda x, y: np.arctan2(x, y - 1),
    "arctan2(x, -y)": lambda x, y: np.arctan2(x, -y),
    "asin(x) + acos(x)": lambda x, y: np.full_like(x, np.pi / 2),
    "atan(y)*atan2(y, x)": lambda x, y: np.arctan(y) * np.arctan2(y, x),
    "erf(3*x)": lambda x, y: np.vectorize(math.erf)(3 * x),
    "floor(4*x)": lambda x, y: np.floor(4 * x),
    "ceil(4*x)": lambda x, y: np.ceil(4 * x),
    "mod(7*x, y)": lambda x, y: np.mod(7 * x, y),
    "7*x % -y": lambda x, y: np.mod(7 * x, -y),
    "log10(y)": lambda x, y: np.log10(y),
    "log2(y) + ln(y)": lambda x, y: np.log2(y) + np.log(y),
    "sinc(4*x)": lambda x, y: np.sinc(4 * x),
    "sinc(x - x)": lambda x, y: np.ones_like(x),
    "clip(4*x, -1, y)": lambda x, y: np.clip(4 * x, -1, y),
    "pow(y, 1/3) + pow(x, 2)": lambda x, y: y ** (1 / 3) + x**2,
    "max(x, y - 1, 0.1)": lambda x, y: np.maximum(np.maximum(x, y - 1), 0.1),
    "min(x, y - 1, -0.1, x**2)": lambda x, y: np.minimum(np.minimum(x, y - 1), -0.1),
    "minimum(x, 0.5, y) + maximum(x, y)": lambda x, y: (
        np.minimum(np.minimum(x, 0.5), y) + np.maximum(x, y)
    ),
    "x if x > y - 1 else y": lambda x, y: np.where(x > y - 1, x, y),
    "1 if x > 0.5 else 2 if x > 0 and not y < 1 else 3": lambda x, y: np.where(
        x > 0.5, 1.0, np.where((x > 0) & ~(y < 1), 2.0, 3.0)
    ),
    "where(where(x > 0, 1, y) > 0.5, where(y > 1, x, 2), y)": lambda x, y: np.where(
        np.where(x > 0, 1, y) > 0.5, np.where(y > 1, x, 2), y
    ),
    "sign(x)*abs(x)**0.5": lambda x, y: np.sign(x) * np.sqrt(np.abs(x)),
}  # fmt: skip
XS = np.concatenate([np.linspace(-0.99, 0.99, 400), [0.0, 1e-9, -1e-5, 0.25, -0.25]])
YS = np.concatenate([np.linspace(0.2, 3.0, 397), np.full(8, 1.3)])


@pytest.mark.parametrize("text", WORDS)
def test_words_have_the_values_of_numpy(text):
    found = Evaluator({"x": XS, "y": YS})(parse(text, SCOPE))
    # a few roundings of values up to 10, more near the jumps of mod, where none of XS lies
    np.testing.assert_allclose(found, WORDS[text](XS, YS), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("precision,tolerance", [("float64", 1e-13), ("float32", 3e-5)])
def test_words_compile_under_xla_with_the_values_of_numpy(placement, precision, tolerance):
    """All words in one program; float32 has 1e-7 relative, of arguments up to 21."""
    import tensorflow as tf

    from pdesim.operators.tensor_library import tensor_library

    dtype = tf.as_dtype(precision)
    formulas = [parse(text, SCOPE) for text in WORDS]
    slopes = [entry for f in formulas for entry in jacobian((f,), (X, Y))]

    @tf.function(jit_compile=True)
    def compiled(x, y):
        value = Evaluator({"x": x, "y": y}, tensor_library(dtype))
        return [value(f) + 0.0 * x for f in (*formulas, *slopes)]

    x, y = XS.astype(precision), YS.astype(precision)
    found = compiled(tf.constant(x), tf.constant(y))
    # the same arguments in double, away from jumps, which rounding may cross
    wide_x, wide_y = x.astype(float), y.astype(float)
    value = Evaluator({"x": wide_x, "y": wide_y})
    smooth = np.abs(7 * wide_x / wide_y - np.round(7 * wide_x / wide_y)) > 1e-5
    for text, tensor in zip(WORDS, found, strict=False):
        expected = WORDS[text](wide_x, wide_y)
        keep = smooth if "7*x" in text else np.ones_like(smooth)
        np.testing.assert_allclose(
            tensor.numpy()[keep], expected[keep], rtol=tolerance, atol=tolerance, err_msg=text
        )
    for entry, tensor in zip(slopes, found[len(WORDS) :], strict=True):
        expected = np.broadcast_to(value(entry), wide_x.shape)
        keep = smooth & np.isfinite(expected)
        np.testing.assert_allclose(
            tensor.numpy()[keep], expected[keep], rtol=20 * tolerance, atol=20 * tolerance,
            err_msg=str(entry),
        )  # fmt: skip


@pytest.mark.parametrize("text", WORDS)
def test_derivatives_in_the_jacobian_are_those_of_differences(text):
    (entries,) = [jacobian((parse(text, SCOPE),), (X, Y))]
    rng = np.random.default_rng(3)
    x, y, h = rng.uniform(-0.9, 0.9, 200), rng.uniform(0.2, 3, 200), 1e-5
    for entry, (dx, dy) in zip(entries, ((h, 0), (0, h)), strict=True):
        lower, upper = WORDS[text](x - dx, y - dy), WORDS[text](x + dx, y + dy)
        slope = (upper - lower) / (2 * h)
        found = np.broadcast_to(Evaluator({"x": x, "y": y})(entry), slope.shape)
        # where a jump or a kink lies between, the difference says nothing: few of the places
        left = (WORDS[text](x, y) - lower) / h
        regular = np.abs(left - slope) < 1e-2 * (1 + np.abs(slope))
        assert regular.mean() > 0.95
        # h^2 f'''/6 with f''' up to 1e3, rounding 1e-16/h
        np.testing.assert_allclose(found[regular], slope[regular], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", range(7))
def test_sinc_has_its_derivatives_at_zero_and_everywhere(order):
    """Against 24 Gauss points of sinc(x) = integral of cos(pi x s) over 0 < s < 1."""
    from pdesim.formula import derivative

    found = Evaluator({"x": np.array([0.0, 1e-8, 1e-3, 0.3, -0.7, 1.1, 1.9, -2.6, 3.5])})
    s, weights = np.polynomial.legendre.leggauss(24)
    s, weights = 0.5 * (s + 1), 0.5 * weights
    angle = np.pi * np.outer(found.names["x"], s) + order * np.pi / 2
    expected = (np.cos(angle) * (np.pi * s) ** order) @ weights
    entry = derivative(parse("sinc(x)", SCOPE), X, order)
    # the recurrence loses at most n!/n^n of digits; values up to pi^n
    np.testing.assert_allclose(found(entry), expected, atol=1e-12 * np.pi**order)


LEAVES = ["x", "a", "u", "v", "0", "1", "2.5", "pi", "-3", "1e-3", "u - u", "1e9"]
UNARY = sorted({"-", *FUNCTIONS} - {"where", "clip", "mod", "pow", "arctan2", "atan2"})
UNARY = [word for word in UNARY if not FUNCTIONS.get(word) or not FUNCTIONS[word].variadic]
BINARY = ["{} + {}", "{} - {}", "{}*{}", "{}/{}", "{}**{}", "{} % {}", "mod({}, {})",
          "arctan2({}, {})", "min({}, {})", "maximum({}, {})", "pow({}, {})"]  # fmt: skip
CONDITIONS = ["{} > {}", "{} <= {}", "{} == {}", "not {} != {}", "{} < {} or u > 0",
              "0 < {} < {}"]  # fmt: skip


def anything():
    """Random formulas of the whole language, whatever their values."""

    def combine(inner):
        pairs = st.tuples(inner, inner)
        condition = st.builds(lambda c, p: c.format(*p), st.sampled_from(CONDITIONS), pairs)
        return st.one_of(
            st.builds(lambda w, e: f"{w}({e})", st.sampled_from(UNARY), inner),
            st.builds(lambda f, p: f"({f.format(*p)})", st.sampled_from(BINARY), pairs),
            st.builds(lambda c, p: f"where({c}, {p[0]}, {p[1]})", condition, pairs),
            st.builds(lambda c, p: f"({p[0]} if {c} else {p[1]})", condition, pairs),
            st.builds(lambda e, p: f"clip({e}, {p[0]}, {p[1]})", inner, pairs),
        )

    return st.recursive(st.sampled_from(LEAVES), combine, max_leaves=8)


@settings(max_examples=400, deadline=None)
@given(anything())
def test_any_formula_has_a_value_and_a_jacobian_or_is_refused(text):
    """Zero, negative and array arguments; what is not a number may be NaN, but no exception."""
    try:
        formula = parse(text, SCOPE)
    except FormulaError as error:
        assert len(str(error).splitlines()) <= 5
        return
    entries = jacobian((formula,), (U, V))
    curvature = jacobian(tuple(entries), (U, V))
    split((formula,), (U, V), frozenset({A}))
    for u in (0.0, -1.5, np.array([0.0, 2.0, -0.3])):
        value = Evaluator({"x": 0.0, "y": 1, "a": 0.5, "u": u, "v": 0.0})
        for expression in (formula, *entries, *curvature):
            assert np.asarray(value(expression)).dtype.kind == "f"


@pytest.mark.parametrize("text", ["mod", "clip", "max", "log2", "floor", "spots", "where", "sinc"])
def test_a_name_of_a_function_can_name_a_variable(text):
    equation = build_equation({"rhs": {"u": f"{text}*max(u, {text})"}, text: 2.0}, ("x",))
    assert Evaluator({"u": 3.0, text: 2.0})(equation.formulas[0]) == 6.0
    own = build_equation({"rhs": {text: f"max({text}, 2)"}}, ("x",))
    assert Evaluator({text: 3.0})(own.formulas[0]) == 3.0


def test_a_parameter_that_is_a_formula_may_have_the_name_of_its_function():
    equation = build_equation({"rhs": {"u": "mod*u"}, "mod": "mod(7, 4)"}, ("x",))
    assert Evaluator({"u": 2.0})(equation.formulas[0]) == 6.0


@pytest.mark.parametrize("name", ["r", "Lx", "Lz", "x", "t", "pi", "d2_dxdy", "symbol_laplacian"])
def test_reserved_names_are_refused_with_the_list(name):
    for spec in ({"rhs": {"u": "u"}, name: 1.0}, {"rhs": {name: "1"}}):
        with pytest.raises(ConfigError, match="reserved") as caught:
            build_equation(spec, ("x", "y"))
        assert "Lx" in str(caught.value) and "pi" in str(caught.value)


@pytest.mark.parametrize("name", ["mask", "time", "default", "config", "equation"])
def test_fields_cannot_have_the_names_of_files_and_settings(name):
    with pytest.raises(ConfigError, match="reserved") as caught:
        build_equation({"rhs": {name: "1"}}, ("x", "y"))
    assert "mask" in str(caught.value)
    equation = build_equation({"rhs": {"u": f"{name}*u"}, name: 2.0}, ("x",))  # parameters can
    assert equation.parameters == {name: 2.0}


def test_an_unused_parameter_is_a_note_with_the_nearest_name():
    spec = {"rhs": {"u": "rate*u + source"}, "rate": 1.0, "source": "x*width", "width": 2.0}
    assert unused_parameters(spec, set()) == ()
    (note,) = unused_parameters({**spec, "rat": 1.0}, set())
    assert "equation.rat" in note and "'rate'" in note
    # another source: what only the old one used is left over
    (note,) = unused_parameters({**spec, "source": "x"}, set())
    assert "equation.width" in note
    assert unused_parameters({**spec, "source": "x"}, {"width"}) == ()
    # a name of a function is no use of the parameter
    assert len(unused_parameters({"rhs": {"u": "mod(u, 2)"}, "mod": 2.0}, set())) == 1


def test_mixed_derivatives_are_made_of_nested_ones():
    for text in ("d_dx(d_dy(u))", "d_dy(d_dx(u))", "d2_dydx(u)"):
        assert parse(text, SCOPE) == parse("d2_dxdy(u)", SCOPE)
    expected = parse("d_dx(u) + 2*d2_dxdy(v)", SCOPE)
    assert parse("d_dx(u + 2*d_dy(v))", SCOPE) == expected
    assert str(parse("d_dx(d_dx(u))", SCOPE)) == "d_dx(d_dx(u))"
    assert str(parse("d_dx(a*d_dy(u))", SCOPE)) == "d_dx(a*d_dy(u))"  # a might be a field
