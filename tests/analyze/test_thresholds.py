"""Thresholds over a parameter, against textbook formulas."""

from __future__ import annotations

import numpy as np
import pytest

import pdesim
from pdesim.analysis.thresholds import parse_over


def thresholds(*words: str, over: str):
    return pdesim.analyze(*words, over=over).thresholds.found


def custom(over: str, *words: str, **rhs: str):
    formulas = ", ".join(f"{field}: '{text}'" for field, text in rhs.items())
    name = over.partition("=")[0]
    return thresholds(
        "equation=custom",
        f"equation.rhs={{{formulas}}}",
        "grid=[32]",
        f"{name}=1",
        *words,
        over=over,
    )


@pytest.mark.parametrize(("a", "du", "dv"), [(1, 1, 8), (2, 1.5, 7), (1, 1, 0.2)])
def test_hopf_and_turing_of_the_brusselator(a, du, dv):
    """B = 1 + A^2, and B = (1 + A sqrt(Du/Dv))^2 at k^2 = A / sqrt(Du Dv)."""
    words = [f"equation.A={a}", f"equation.Du={du}", f"equation.Dv={dv}", "grid=[64]"]
    found = thresholds("equation=brusselator", *words, over="equation.B=1..12")
    values = {one.kind: one for one in found}
    assert set(values) == {"Hopf", "Turing"} and len(found) == 2
    hopf, turing = values["Hopf"], values["Turing"]
    assert hopf.value == pytest.approx(1 + a**2, rel=1e-10)
    assert hopf.frequency == pytest.approx(a, rel=1e-7) and hopf.wavenumber == 0
    assert turing.value == pytest.approx((1 + a * np.sqrt(du / dv)) ** 2, rel=1e-10)
    # the position of a minimum is known to the square root of its rounding error
    assert turing.wavenumber**2 == pytest.approx(a / np.sqrt(du * dv), rel=1e-6)
    assert turing.state == pytest.approx({"u": a, "v": turing.value / a})


@pytest.mark.parametrize("over", ["equation.F=0.01..0.12", "equation.F=0.04..0.12"])
def test_saddle_nodes_of_gray_scott(over):
    """Three states where k + F < sqrt(F)/2: for k = 0.06 between F = 0.04 and 0.09."""
    found = thresholds("equation=gray_scott", "grid=[64]", over=over)
    folds = [one for one in found if one.kind == "saddle-node"]
    assert [one.value for one in folds] == pytest.approx([0.04, 0.09], rel=1e-8)
    if "=0.01" in over:  # at the end of the other interval, two states are equal
        assert [one.states for one in folds] == [(1, 3), (3, 1)]
        assert folds[0].state == pytest.approx({"u": 0.5, "v": 0.2}, rel=1e-5)
    # Hopf where the trace v^2 = F + k - ... vanishes: v^2 + F = F + k, v^2 = k at u v = F + k
    hopf = next(one for one in found if one.kind == "Hopf")
    f, v = hopf.value, hopf.state["v"]
    assert v**2 == pytest.approx(0.06, rel=1e-8)
    assert hopf.state["u"] * v == pytest.approx(f + 0.06, rel=1e-8)


def test_hopf_of_schnakenberg():
    """u' = a - u + u^2 v, v' = b - u^2 v: Hopf where b - a = (a + b)^3 (Murray II, sec. 2.4)."""
    found = custom(
        "equation.b=0.05..2", "equation.a=0.1",
        u="laplacian(u) + a - u + u**2*v", v="laplacian(v) + b - u**2*v",
    )  # fmt: skip
    roots = np.roots([1, 0.3, 0.03 - 1, 0.001 + 0.1])  # of (0.1 + b)^3 = b - 0.1
    expected = sorted(b.real for b in roots if b.real > 0)
    assert [one.kind for one in found] == ["Hopf", "Hopf"]
    assert [one.value for one in found] == pytest.approx(expected, rel=1e-9)
    assert found[1].frequency == pytest.approx(0.1 + found[1].value, rel=1e-7)


def test_swift_hohenberg_and_its_branches():
    """u = 0 at epsilon = 0 with k = 1; u^2 = epsilon - 1 from 1, stable again from 3/2."""
    found = thresholds("equation=swift_hohenberg", "grid=[64]", over="equation.epsilon=-1..2")
    assert [one.kind for one in found] == ["Turing", "pitchfork", "Turing", "Turing"]
    assert [one.value for one in found] == pytest.approx([0, 1, 1.5, 1.5], abs=1e-9)
    assert found[0].wavenumber == pytest.approx(1, rel=1e-6) and found[1].states == (1, 3)


@pytest.mark.parametrize(
    ("text", "kinds", "values"),
    [
        ("laplacian(u) + a*u - u**3", ["pitchfork"], [0]),
        ("laplacian(u) + a*u - u**2", ["zero eigenvalue"], [0]),  # transcritical
        ("laplacian(u) + a + u - u**3", ["saddle-node"] * 2, [-2 / 27**0.5, 2 / 27**0.5]),
        ("laplacian(u) + a - u**2", ["saddle-node"], [0]),
        # subcritical: u = 0 at a = 0, and u^2 = (1 +- sqrt(1 + 4 a))/2 from a = -1/4
        ("laplacian(u) + a*u + u**3 - u**5", ["saddle-node", "pitchfork"], [-0.25, 0]),
        ("laplacian(u) - u**3", None, None),
    ],
)
def test_bifurcations_of_one_field(text, kinds, values):
    if kinds is None:
        with pytest.raises(pdesim.PdesimError, match="no formula of the right-hand side uses"):
            custom("equation.a=-1..1", "initial.u='a'", u=text)
        return
    found = custom("equation.a=-1..0.9", u=text)
    if "u**5" in text:  # both saddle-nodes are at one value, where five states replace one
        assert [one.states for one in found] == [(1, 5), (5, 3)]
    assert [one.kind for one in found] == kinds
    assert [one.value for one in found] == pytest.approx(values, abs=1e-8)


def test_long_waves_of_a_conserved_field():
    """-a u_xx - u_xxxx: waves with k^2 < a grow for a > 0."""
    (one,) = custom("equation.a=-1..2", u="-a*laplacian(u) - laplacian(laplacian(u))")
    assert one.kind == "long-wave" and one.value == pytest.approx(0, abs=1e-7)
    assert one.wavelength == np.inf


def test_waves_that_oscillate():
    """u + i v with growth a - (1 - k^2)^2 and frequency 1: at a = 0, k = 1."""
    operator = "(a - 1)*{f} - 2*laplacian({f}) - laplacian(laplacian({f}))"
    found = custom(
        "equation.a=-0.5..0.7",
        "domain.extent=30",
        u=operator.format(f="u") + " - v - u**3",
        v=operator.format(f="v") + " + u - v**3",
    )
    first = found[0]
    assert first.kind == "wave" and first.value == pytest.approx(0, abs=1e-9)
    assert first.wavenumber == pytest.approx(1, rel=1e-6)
    assert first.frequency == pytest.approx(1, rel=1e-9)


def test_a_parameter_that_is_a_formula_becomes_a_number():
    words = ("equation=brusselator", "equation.B='3*A'", "equation.Dv=8", "grid=[64]")
    found = pdesim.analyze(*words, over="equation.B=1.5..2.5")
    assert found.states[0].values == pytest.approx({"u": 1, "v": 3})
    assert [one.kind for one in found.thresholds.found] == ["Turing", "Hopf"]


def test_settings_that_refer_to_the_parameter_are_refused():
    words = ("equation=heat", "domain.extent=${equation.D}", "grid=[16]")
    with pytest.raises(pdesim.PdesimError, match="domain refers to it"):
        pdesim.analyze(*words, over="equation.D=1..2")


def test_intervals_are_read():
    over = parse_over("equation.B=-1e-3..2.5")
    assert (over.parameter, over.low, over.high) == ("B", -1e-3, 2.5)
    assert (over.values[0], over.values[-1]) == pytest.approx((-1e-3, 2.5))
    assert np.allclose(np.diff(over.values)[1:-1], over.values[2] - over.values[1])
    ratios = parse_over("equation.F=1e-4..1").values[1:-1]
    assert np.allclose(ratios[1:] / ratios[:-1], ratios[1] / ratios[0])
