"""Complex and vector fields: arithmetic, exact solutions, initial states, boundary conditions."""

from __future__ import annotations

import cmath

import h5py
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import pdesim
from pdesim.errors import ConfigError, FormulaError
from pdesim.formula import Scope, parse, parse_value
from pdesim.formula.values import Complex, Vector
from pdesim.model.components import composite_fields, declare, with_boundary_of_parts


def symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)


PSI = Complex(symbol("psi_re"), symbol("psi_im"))
V = Vector((symbol("v_x"), symbol("v_y")))
SCOPE = Scope(
    {"psi": PSI, "v": V, "u": symbol("u"), "x": symbol("x"), "y": symbol("y")},
    ("x", "y"), operators=True, reductions=True,
)  # fmt: skip

#: texts of complex numbers that are not zero, so that quotients and angles are defined
numbers = st.sampled_from(["psi", "u", "1j", "2", "(1 - 0.5j)", "conj(psi)"])
steps = st.one_of(
    st.tuples(st.sampled_from("+-*/"), numbers).map(lambda pair: "({0}" + "{} {})".format(*pair)),
    st.sampled_from(["({0})**2", "({0})**3", "exp(0.1*{0})", "conj({0})", "sin({0})", "cosh({0})",
                     "1/(2 + abs({0}))", "real({0}) - 1j*imag({0})",
                     "abs({0})*exp(1j*angle({0}))"]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(numbers, st.lists(steps, max_size=3))
def test_complex_arithmetic_is_that_of_python(text, operations):
    for operation in operations:
        text = operation.format(text)
    psi, u = 0.7 - 0.4j, 1.3
    functions = {
        "conj": lambda a: complex(a).conjugate(), "exp": cmath.exp, "sin": cmath.sin,
        "cosh": cmath.cosh, "abs": abs, "real": lambda a: complex(a).real,
        "imag": lambda a: complex(a).imag, "angle": cmath.phase,
    }  # fmt: skip
    try:
        expected = complex(eval(text, {"__builtins__": {}}, {**functions, "psi": psi, "u": u}))
    except (ZeroDivisionError, OverflowError):
        return
    if not abs(expected) < 1e100:
        return
    value = parse_value(text, SCOPE, kind="complex")
    at = {symbol("psi_re"): psi.real, symbol("psi_im"): psi.imag, symbol("u"): u}
    found = complex(*(float(part.xreplace(at)) for part in value.parts))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("psi", "this is a complex number"),
        ("psi > 0", "this is a complex number"),
        ("where(psi, 1, 2)", "this is not a condition"),
        ("psi**0.5", "complex number to the power"),
        ("log(psi)", "log is not defined for a complex number"),
        ("max(psi)", "this is a complex number"),
        ("psi % 2", "remainder"),
        ("v", "this is a vector"),
        ("v*v", "product of two vectors"),
        ("1/v", "divides a vector"),
        ("v**2", "power of a vector"),
        ("sin(v)", "sin is not defined for a vector"),
        ("u + v", "this is a number"),
        ("psi*v", "vectors have real components"),
        ("[u]", "this vector has 1 components"),
        ("[psi, u]", "this is a complex number"),
        ("dot(u, v)", "this is a number"),
        ("gradient(v)", "this is the gradient of a vector"),
        ("-gradient(v)", "this is the gradient of a vector"),
        ("2*gradient(v)", "this is the gradient of a vector"),
        ("gradient(u)", "is a vector"),
        ("gradient_squared(v)", "this is a vector"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(text, problem):
    with pytest.raises(FormulaError, match=problem.replace("(", r"\(")):
        parse(text, SCOPE)


def test_operators_of_vectors():
    parts = parse_value("laplacian(v) - dot(v, gradient(v))", SCOPE, kind="vector").parts
    first = parse("laplacian(v_x) - v_x*d_dx(v_x) - v_y*d_dy(v_x)", _plain())
    assert parts[0] == first
    assert parse("divergence(curl(u))", SCOPE) == 0
    assert parse("curl(gradient(u))", SCOPE) == 0
    assert parse("curl(v)", SCOPE) == parse("d_dx(v_y) - d_dy(v_x)", _plain())
    assert parse("abs(v)**2", SCOPE) == parse("v_x**2 + v_y**2", _plain())
    assert parse("dot(v, gradient(u))", SCOPE) == parse("v_x*d_dx(u) + v_y*d_dy(u)", _plain())
    assert parse("gradient_squared(psi)", SCOPE) == parse(
        "gradient_squared(psi_re) + gradient_squared(psi_im)", _plain()
    )
    assert parse("divergence([x*u, y])", SCOPE) == parse("d_dx(x*u) + d_dy(y)", _plain())


def _plain() -> Scope:
    names = ("psi_re", "psi_im", "v_x", "v_y", "u", "x", "y")
    return Scope({name: symbol(name) for name in names}, ("x", "y"), operators=True)


def test_the_curl_of_a_vector_in_three_dimensions():
    axes = ("x", "y", "z")
    scope = Scope({"v": Vector(tuple(symbol(f"v_{a}") for a in axes))}, axes, operators=True)
    assert parse("divergence(curl(v))", scope) == 0
    with pytest.raises(FormulaError, match="needs 2 or 3 dimensions"):
        parse_value("curl([1])", Scope({}, ("x",), operators=True))


def run(tmp_path, fields, rhs, initial, **settings):
    """Compute a run in double precision."""
    return pdesim.simulate(
        "custom", equation={"fields": fields, "rhs": rhs, **settings.pop("parameters", {})},
        initial=initial, device={"precision": "float64"}, animation="none",
        folder=tmp_path / "run", **settings,
    )  # fmt: skip


def last(result, name: str) -> tuple[np.ndarray, float, np.ndarray]:
    """The last frame of a complex field, its time, and x."""
    with h5py.File(result.folder / "snapshots.h5") as file:
        return file[f"{name}_re"][-1] + 1j * file[f"{name}_im"][-1], file["time"][-1], file["x"][:]


@pytest.mark.parametrize("stepper", ["etdrk4", "rk4"])
def test_a_soliton_has_its_amplitude_and_phase(tmp_path, stepper):
    # i psi_t = -psi_xx/2 - |psi|^2 psi with the velocity v: Sulem and Sulem (1999), section 1.1
    v = 1.0
    result = run(
        tmp_path, {"psi": "complex"}, {"psi": "1j*(d2_dx2(psi)/2 + abs(psi)**2*psi)"},
        {"psi": "exp(1j*x)/cosh(x)"}, grid=[256], domain={"extent": 40, "origin": -20},
        time={"end": 2.0}, operators="spectral", stepper=stepper, output={"frames": 1},
    )  # fmt: skip
    psi, t, x = last(result, "psi")
    exact = np.exp(1j * (v * x + (1 - v**2) / 2 * t)) / np.cosh(x - v * t)
    # the soliton is 2e-9 at the ends of the domain, where it is continued periodically; the steps
    # of both schemes leave 3e-8
    assert np.abs(psi - exact).max() < 2e-7


def test_the_phase_of_a_wave_follows_the_discrete_dispersion_relation(tmp_path):
    result = run(
        tmp_path, {"psi": "complex"}, {"psi": "1j*laplacian(psi)/2"},
        {"psi": "exp(2j*pi*(x + 2*y))"}, grid=[16, 16], domain={"extent": 1.0},
        time={"end": 0.05}, stepper="exact", output={"frames": 1},
    )  # fmt: skip
    psi, t, x = last(result, "psi")
    h = 1 / 16
    omega = sum((1 - np.cos(2 * np.pi * n * h)) / h**2 for n in (1, 2))
    exact = np.exp(2j * np.pi * (x + 2 * x[:, None]) - 1j * omega * t)
    np.testing.assert_allclose(psi, exact, atol=1e-12)  # rounding


def test_the_energy_of_the_ground_state_of_a_harmonic_oscillator(tmp_path):
    result = run(
        tmp_path, {"psi": "complex"}, {"psi": "1j*(d2_dx2(psi)/2 - x**2/2*psi)"},
        {"psi": "exp(-x**2/2)"}, grid=[96], domain={"extent": 16, "origin": -8},
        time={"end": 3.0, "dt": 0.002}, operators="spectral", stepper="rk4",
        output={"frames": 1}, observe={"norm": "integral(abs(psi)**2)"},
    )  # fmt: skip
    psi, t, x = last(result, "psi")
    overlap = np.sum(np.exp(-(x**2) / 2) * psi)
    assert -np.angle(overlap) / t == pytest.approx(0.5, abs=1e-8)
    norm = result.series()["norm"].values
    assert np.abs(norm / np.sqrt(np.pi) - 1).max() < 1e-8


def test_complex_numbers_on_all_ways_in(tmp_path):
    x = (np.arange(16) + 0.5) / 16
    array = np.exp(2j * np.pi * x)
    states = [
        {"psi": "exp(2j*pi*x)"},
        {"psi": array},
        {"psi_re": "cos(2*pi*x)", "psi_im": "sin(2*pi*x)"},
        {"psi": "2*exp(2j*pi*x)", "psi_re": "cos(2*pi*x)", "psi_im": array.imag},
    ]
    for number, initial in enumerate(states):
        result = run(
            tmp_path / str(number), {"psi": "complex", "u": "real"},
            {"psi": "c*psi", "u": "abs(psi)**2"}, {**initial, "u": 0}, grid=[16],
            domain={"extent": 1.0}, time={"end": 0.5, "dt": 0.01}, stepper="rk4",
            parameters={"c": "0.3 + 2j"}, output={"frames": 1},
        )  # fmt: skip
        psi, t, _ = last(result, "psi")
        np.testing.assert_allclose(psi, array * np.exp((0.3 + 2j) * t), rtol=1e-8)


def test_boundary_values_of_parts():
    declared = declare({"psi": "complex", "v": "vector", "u": "real"}, ("x", "y"))
    spec = {
        "psi": {
            "x": {"lower": {"dirichlet": "exp(1j*t)"}, "upper": "neumann"},
            "default": {"dirichlet": "t", "laplacian": "neumann"},
        },
        "v": {"y": {"dirichlet": [1, 0]}, "x": {"robin": {"a": 1, "b": 2, "value": 3}}},
        "psi_im": {"y": "neumann"}, "u": "dirichlet", "default": "periodic",
    }  # fmt: skip
    found = with_boundary_of_parts(spec, declared)
    assert found == {
        "default": "periodic", "u": "dirichlet",
        "psi_re": {
            "x": {"lower": {"dirichlet": "real(exp(1j*t))"}, "upper": "neumann"},
            "default": {"dirichlet": "real(t)", "laplacian": "neumann"},
        },
        "psi_im": {
            "default": {"dirichlet": "imag(t)", "laplacian": "neumann"},
            "x": {"lower": {"dirichlet": "imag(exp(1j*t))"}, "upper": "neumann"}, "y": "neumann",
        },
        "v_x": {"y": {"dirichlet": 1}, "x": {"robin": {"a": 1, "b": 2, "value": 3}}},
        "v_y": {"y": {"dirichlet": 0}, "x": {"robin": {"a": 1, "b": 2, "value": 3}}},
    }  # fmt: skip


def test_a_wave_between_walls_with_complex_values(tmp_path):
    # psi = exp(i(k x - k^2 t/2)) with its values at both walls
    value = "exp(3j*x - 4.5j*t)"
    result = run(
        tmp_path, {"psi": "complex"}, {"psi": "1j*d2_dx2(psi)/2"}, {"psi": "exp(3j*x)"},
        grid=[64], domain={"extent": 1.0}, time={"end": 0.1}, operators={"order": 4},
        boundary={"psi": {"x": {"dirichlet": value}}}, output={"frames": 1},
    )  # fmt: skip
    psi, t, x = last(result, "psi")
    # the fourth-order error of a wave with 130 cells per wavelength, and that of the steps
    assert np.abs(psi - np.exp(3j * x - 4.5j * t)).max() < 1e-4


def test_vectors_on_all_ways_in(tmp_path):
    result = run(
        tmp_path, {"v": "vector"}, {"v": "w*v + [0, t]"}, {"v": ["sin(2*pi*x)", "y"]}, grid=[8, 8],
        domain={"extent": 1.0}, time={"end": 1.0, "dt": 0.05}, stepper="rk4",
        parameters={"w": 0.0}, output={"frames": 1},
    )  # fmt: skip
    with h5py.File(result.folder / "snapshots.h5") as file:
        np.testing.assert_allclose(file["v_x"][-1][0], np.sin(2 * np.pi * file["x"][:]), atol=1e-12)
        np.testing.assert_allclose(file["v_y"][-1][:, 0], file["y"][:] + 0.5, atol=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"psi": "complexe"}, "did you mean 'complex'"),
        ({"psi": "complex", "psi_re": "real"}, "twice"),
        ({"psi": "complex", "u": "real"}, "contains"),
    ],
)
def test_declarations_are_checked(fields, message):
    rhs = dict.fromkeys((name for name in fields if name != "u"), 0)
    with pytest.raises(ConfigError, match=message):
        pdesim.simulate("custom", equation={"fields": fields, "rhs": rhs}, grid=[8])


def test_complex_fields_are_recognised_in_files():
    found = composite_fields(["u", "psi_re", "psi_im", "v_x", "v_y", "w_x"], ("x", "y"))
    assert [(one.name, one.kind) for one in found] == [("psi", "complex"), ("v", "vector")]
    assert composite_fields(["v", "v_x", "v_y"], ("x", "y")) == ()


def test_a_branch_starts_from_a_complex_field(tmp_path):
    first = run(
        tmp_path, {"psi": "complex"}, {"psi": "1j*psi"}, {"psi": "1 + 0*x"}, grid=[8],
        time={"end": 0.5, "dt": 0.01}, stepper="rk4", output={"frames": 1},
    )  # fmt: skip
    for initial, start in ((None, np.exp(0.5j)), ({"psi": "2j"}, 2j)):
        words = {"initial": initial} if initial else {}
        again = pdesim.branch(
            first.folder, time={"end": 1.0}, folder=tmp_path / f"b{start.real:.1f}", **words
        )
        np.testing.assert_allclose(last(again, "psi")[0], start * np.exp(0.5j), rtol=1e-6)
