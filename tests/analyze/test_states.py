"""Uniform steady states and the growth rates about them, against textbook formulas."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pdesim
from pdesim.analysis.classify import KINDS
from pdesim.analysis.constraints import build_constraints
from pdesim.analysis.reactions import build_reactions, linearise
from pdesim.analysis.states import find_states
from pdesim.cli.main import main
from pdesim.config.compose import compose_settings
from pdesim.errors import ConfigError, PdesimError
from pdesim.plan import build_problem, initial_values

CUSTOM = "equation=custom"


def rates_of(state, linear_rate):
    """The curve of a state beside an exact growth rate."""
    curve = state.curve
    expected = linear_rate(curve.wavenumbers)
    np.testing.assert_allclose(curve.growth, expected, atol=1e-12 * np.abs(expected).max())


def custom(*words: str, **rhs: str):
    formulas = ", ".join(f"{field}: '{text}'" for field, text in rhs.items())
    return pdesim.analyze(CUSTOM, f"equation.rhs={{{formulas}}}", "grid=[32]", *words)


def test_heat_decays_at_d_k_squared():
    found = pdesim.analyze("equation=heat", "grid=[64]", "initial.u='2 + sin(2*pi*x)'")
    (state,) = found.states
    assert state.kind == "stable" and state.values["u"] == pytest.approx(2)
    rates_of(state, lambda k: -1e-3 * k**2)
    assert any("conserve u" in note and "mean of the initial state" in note for note in found.notes)
    # the slowest wave of the domain, and its rate with second differences
    slowest = next(wave for wave in state.modes if wave.wavenumber > 0)
    assert slowest.wavenumber == pytest.approx(2 * np.pi)
    assert slowest.growth == pytest.approx(-1e-3 * (2 * np.pi) ** 2)
    on_grid = -1e-3 * (2 * 64 * np.sin(np.pi / 64)) ** 2
    assert slowest.growth_on_grid == pytest.approx(on_grid, rel=1e-12)


def test_allen_cahn_has_two_phases_and_an_unstable_mixture():
    found = pdesim.analyze("equation=allen_cahn", "grid=[256]")
    low, middle, high = found.states
    assert [s.kind for s in found.states] == ["stable", "unstable", "stable"]
    assert [s.values["u"] for s in found.states] == pytest.approx([-1, 0, 1])
    rates_of(middle, lambda k: 1 - (0.006 * k) ** 2)
    rates_of(high, lambda k: -2 - (0.006 * k) ** 2)
    assert middle.band == pytest.approx((0, 1 / 0.006)) and middle.pattern is None
    assert low.uniform.growth == pytest.approx(-2)


def test_swift_hohenberg_grows_around_wave_number_one():
    (state,) = pdesim.analyze("equation=swift_hohenberg", "grid=[256]").states
    assert state.kind == "Turing" and state.values["u"] == 0
    rates_of(state, lambda k: 0.3 - (1 - k**2) ** 2)
    assert state.pattern.wavenumber == pytest.approx(1, rel=1e-7)
    assert state.pattern.growth == pytest.approx(0.3)
    root = np.sqrt(0.3)
    assert state.band == pytest.approx((np.sqrt(1 - root), np.sqrt(1 + root)), rel=1e-9)
    # 20 wavelengths on the periodic length 128
    assert state.admissible.wavenumber == pytest.approx(2 * np.pi * 20 / 128)
    assert state.admissible.counts == (20,)
    assert state.pattern.fits == pytest.approx((128 / (2 * np.pi),), rel=1e-6)
    assert state.pattern.cells == pytest.approx(2 * np.pi / 0.5, rel=1e-6)


def test_kuramoto_sivashinsky_has_no_steady_state_but_growth_rates():
    found = pdesim.analyze("equation=kuramoto_sivashinsky", "grid=[64]")
    (state,) = found.states
    assert state.kind == "long-wave" and state.band == pytest.approx((0, 1))
    rates_of(state, lambda k: k**2 - k**4)
    assert state.pattern.wavenumber == pytest.approx(np.sqrt(0.5), rel=1e-7)
    assert state.pattern.growth == pytest.approx(0.25)
    assert any("no uniform state is steady" in note and "2.57" in note for note in found.notes)


def test_cahn_hilliard_at_the_mean_of_its_initial_state():
    words = ("equation=cahn_hilliard", "grid=[128]")
    mixed, stable = (pdesim.analyze(*words, f"initial.u={u}").states[0] for u in (0.2, 0.7))
    rates_of(mixed, lambda k: k**2 * (1 - 3 * 0.2**2 - k**2))
    assert mixed.kind == "long-wave"
    # (1 - 3 u^2)/2 is the square of the fastest wave number
    assert mixed.pattern.wavenumber == pytest.approx(np.sqrt((1 - 0.12) / 2), rel=1e-7)
    assert stable.kind == "stable"  # 3 u^2 > 1: outside the spinodal


@pytest.mark.parametrize(("b", "kind"), [(1.7, "stable"), (1.9, "Turing"), (2.5, "Hopf")])
def test_brusselator(b, kind):
    """Du = 1, Dv = 8, A = 1: Turing at 1.8321, Hopf at 2 (Prigogine, Lefever 1968)."""
    words = ("equation=brusselator", "equation.Dv=8", f"equation.B={b}", "grid=[128]")
    (state,) = pdesim.analyze(*words).states
    assert state.kind == kind
    assert state.values == pytest.approx({"u": 1, "v": b})
    jacobian = np.array([[b - 1, 1], [-b, -1]])

    def growth(k):
        matrices = jacobian - k[:, None, None] ** 2 * np.diag([1, 8])
        return np.linalg.eigvals(matrices).real.max(axis=1)

    np.testing.assert_allclose(state.curve.growth, growth(state.curve.wavenumbers), atol=1e-9)
    assert state.uniform.frequency == pytest.approx(np.sqrt(1 - (b - 2) ** 2 / 4))
    if b == 1.9:
        # d det(J - q D)/dq = 0 is the fastest wave up to the trace; dense samples here
        k = np.linspace(0.4, 0.8, 400_001)
        assert state.pattern.wavenumber == pytest.approx(k[growth(k).argmax()], rel=1e-5)


def test_gray_scott_has_one_or_three_states():
    for f, count in ((0.037, 1), (0.045, 3), (0.0399, 1), (0.0401, 3)):
        states = pdesim.analyze("equation=gray_scott", f"equation.F={f}", "grid=[64]").states
        assert len(states) == count
        assert states[-1].values == pytest.approx({"u": 1, "v": 0}) and states[-1].kind == "stable"
        if count == 3:  # u v = F + k and F (1 - u) = (F + k) v
            root = np.sqrt(1 - 4 * (f + 0.06) ** 2 / f)
            assert [s.values["u"] for s in states[:2]] == pytest.approx(
                [(1 - root) / 2, (1 + root) / 2]
            )
            assert states[1].kind == "saddle"


def test_waves_and_telegraphs():
    (state,) = pdesim.analyze("equation=wave", "grid=[64]").states
    assert state.kind == "neutral"
    mode = state.modes[3]
    assert mode.growth == 0 and mode.frequency == pytest.approx(mode.wavenumber)
    (state,) = pdesim.analyze("equation=wave", "equation.damping=0.4", "grid=[64]").states
    mode = state.modes[3]  # s = -0.2 +- sqrt(0.04 - k^2)
    assert state.kind == "stable" and mode.growth == pytest.approx(-0.2)
    assert mode.frequency == pytest.approx(np.sqrt(mode.wavenumber**2 - 0.04))


def test_travelling_waves_keep_their_frequency():
    """c u_x turns the growth rate k^2 - k^4 into an oscillation with frequency c k."""
    (state,) = custom(
        "domain.extent=60", u="-d2_dx2(u) - d4_dx4(u) + 0.7*d_dx(u) - 0.5*d_dx(u**2)"
    ).states
    assert state.kind == "long-wave"
    k = state.pattern.wavenumber
    u = state.values["u"]
    assert k == pytest.approx(np.sqrt(0.5), rel=1e-6)
    assert state.pattern.frequency == pytest.approx(abs(0.7 - u) * k)


def test_anisotropic_waves_have_a_direction():
    """Growth epsilon - (1 - ky^2)^2 - kx^2: stripes with wave vectors along y."""
    text = "0.2*u - u**3 - u - 2*d2_dy2(u) - d4_dy4(u) + d2_dx2(u)"
    found = pdesim.analyze(CUSTOM, f"equation.rhs={{u: '{text}'}}", "grid=64", "domain.extent=50")
    state = next(s for s in found.states if s.values["u"] == 0)
    assert state.kind == "Turing"
    assert state.pattern.vector == pytest.approx((0, 1), abs=1e-6)
    assert state.admissible.counts == pytest.approx((0, 8))


@pytest.mark.parametrize(
    ("boundary", "wavenumbers"),
    [
        ("periodic", [0, 2, 4, 6]),
        ("neumann", [0, 1, 2, 3]),
        ("dirichlet", [1, 2, 3, 4]),
        ("{lower: neumann, upper: dirichlet}", [0.5, 1.5, 2.5, 3.5]),
    ],
)
def test_admissible_wave_numbers(boundary, wavenumbers):
    """In units of pi / L."""
    found = pdesim.analyze("equation=heat", "grid=[64]", f"boundary.x={boundary}", "initial.u=0")
    ks = found.states[0].numbers[:4]
    np.testing.assert_allclose(ks, np.pi * np.array(wavenumbers), rtol=1e-12)
    assert found.states[0].admissible.wavenumber == pytest.approx(np.pi * wavenumbers[0])


def test_walls_that_a_uniform_state_does_not_satisfy():
    found = pdesim.analyze("equation=allen_cahn", "grid=[64]", "boundary=dirichlet")
    assert any("u = -1; u = 1 does not satisfy" in note for note in found.notes)
    found = pdesim.analyze("equation=allen_cahn", "grid=[64]", "boundary.x={dirichlet: 1}")
    assert any("u = -1; u = 0 does not satisfy" in note for note in found.notes)
    # heat between walls at 3: the uniform state is that of the walls
    found = pdesim.analyze("equation=heat", "grid=[64]", "boundary.x={dirichlet: 3}")
    assert found.states[0].values["u"] == 3 and not any("satisfy" in n for n in found.notes)


def test_other_walls_and_obstacles_are_stated():
    words = ("equation=allen_cahn", "grid=[32,32]")
    found = pdesim.analyze(*words, "boundary.x={robin: {a: 1, b: 1, value: 0}}")
    assert any("no sine or cosine waves satisfy" in note for note in found.notes)
    found = pdesim.analyze(*words, "domain.mask='r < 0.2'")
    assert any("obstacles are ignored" in note for note in found.notes)


def test_conserved_combinations():
    """u + v is conserved: 2 u = v holds at the steady state, and u + v = 3."""
    found = custom(
        "initial={u: 1, v: 2}", u="0.01*laplacian(u) - 2*u + v", v="laplacian(v) + 2*u - v"
    )
    (state,) = found.states
    assert state.values == pytest.approx({"u": 1, "v": 2}) and state.kind == "stable"
    assert any("conserve u + v" in note for note in found.notes)
    found = custom("initial={u: 3, v: 3}", u="laplacian(u) - 2*u + v", v="laplacian(v) + 2*u - v")
    assert found.states[0].values == pytest.approx({"u": 2, "v": 4})


@pytest.mark.parametrize(
    ("rhs", "values"),
    [
        ({"u": "laplacian(u) + exp(-u) - 0.5"}, [np.log(2)]),
        ({"u": "laplacian(u) + tanh(3*u) - u"}, [-0.994902, 0, 0.994902]),
        ({"u": "laplacian(u) + sqrt(u) - 2"}, [4]),
        ({"u": "laplacian(u) + u*(1 - u)*(u - 0.3) - 0.1*u/(1 + u)"}, None),
        ({"u": "laplacian(u) + 1e6*(1e-5 - u)*(u - 3e-5)*u*1e10"}, [0, 1e-5, 3e-5]),
    ],
)
def test_steady_states_of_any_size_and_function(rhs, values):
    found = [s.values["u"] for s in custom(**rhs).states]
    if values is None:  # u = 0, and (1 - u^2) (u - 0.3) = 0.1
        others = np.roots([-1, 0.3, 1, -0.4])
        values = sorted([0.0, *others[np.abs(others.imag) < 1e-12].real])
    assert found == pytest.approx(values, rel=1e-4, abs=1e-12)


def test_three_fields():
    """A food chain: the state in which all three live, by hand."""
    found = custom(
        u="0.1*laplacian(u) + u*(1 - u) - u*v",
        v="0.1*laplacian(v) + u*v - 0.3*v - v*w",
        w="0.1*laplacian(w) + v*w - 0.4*w",
    )
    inner = [s for s in found.states if all(x > 1e-9 for x in s.values.values())]
    # v = 0.4, u = 1 - v = 0.6, w = u - 0.3 = 0.3
    assert len(inner) == 1 and inner[0].values == pytest.approx({"u": 0.6, "v": 0.4, "w": 0.3})
    assert len(found.states) == 5  # also (0,0,0), (1,0,0), (0.3,0.7,0) and (0,0.4,-0.3)


def test_short_waves_that_always_grow():
    """An activator that does not diffuse: s -> f_u = 0.5 as k -> infinity."""
    (state,) = custom(u="0.5*u - u**3 - v", v="laplacian(v) + 2*u - v").states
    assert state.kind == "short-wave" and state.values == {"u": 0, "v": 0}
    assert state.band[1] == np.inf


def test_wave_instability_of_three_fields():
    """A finite wavelength that oscillates while uniform perturbations decay."""
    # u and v rotate with frequency 1 and grow at 0.1 - (1 - k^2)^2
    operator = "(0.1 - 1)*{f} - 2*laplacian({f}) - laplacian(laplacian({f}))"
    (state,) = custom(
        "domain.extent=60",
        u=operator.format(f="u") + " - v - u**3",
        v=operator.format(f="v") + " + u - v**3",
    ).states
    assert state.kind == "wave"
    assert state.pattern.wavenumber == pytest.approx(1, rel=1e-6)
    assert state.pattern.frequency == pytest.approx(1)


def test_time_dependent_coefficients_are_those_of_the_start():
    found = custom("time.start=2", "time.end=3", u="(1 + t)*laplacian(u) + u - u**3")
    rates_of(found.states[1], lambda k: 1 - 3 * k**2)
    assert any("time.start, t = 2" in note for note in found.notes)


def test_no_state_is_a_note():
    found = custom(u="laplacian(u) + 1 + u**2")
    assert found.states == () and any("no uniform steady state" in note for note in found.notes)
    assert "no uniform steady state" in repr(found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("equation=poisson",), "steady problem"),
        (("equation=heat", "equation.D='1 + 0.1*sin(x)'"), "depends on x"),
        (("equation=heat", "equation.D='1 + r'"), "depends on r"),
        (("equation=heat", "--over", "equation.D"), "such as equation.B=1..5"),
        (("equation=heat", "--over", "equation.D=3..1"), "such as equation.B=1..5"),
        (("equation=heat", "--over", "equation.D=1..inf"), "such as equation.B=1..5"),
        (("equation=brusselator", "--over", "equation.C=1..2"), "one of A, B, Du, Dv"),
        (("equation=heta",), "did you mean 'heat'"),
        (("equation=heat", "--plot", "no/such.png"), "no such folder"),
        (("equation=heat", "--plot", "x.txt"), "ends in"),
        (("heat",), "heat"),
    ],
)
def test_mistakes_are_one_message(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["analyze", *words]) == 2
    told = capsys.readouterr().err
    assert (message in told and "expected:" in told) or "no such folder" in told
    assert "Traceback" not in told and list(tmp_path.iterdir()) == []


def test_the_command(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("equation=brusselator", "equation.Dv=8", "equation.B=1.9", "grid=[64]")
    assert main(["analyze", *words, "domain.extent=40", "--plot", "growth.png"]) == 0
    told = capsys.readouterr().out
    for part in ("Turing", "wavelength 10.54", "cells per wavelength", "fits 3.79 times", "8.502"):
        assert part in told, told
    assert (tmp_path / "growth.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["analyze", *words, "--plot", "growth.png"]) == 2  # exists
    capsys.readouterr()
    assert main(["analyze", *words, "--json", "--over", "equation.B=1.5..2.5"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["states"][0]["kind"] == "Turing" and values["points"] == [64]
    assert values["states"][0]["uniform"]["wavelength"] is None
    assert [t["kind"] for t in values["thresholds"]["found"]] == ["Turing", "Hopf"]


def test_results_from_python(capsys):
    found = pdesim.analyze("equation=swift_hohenberg", "grid=[64]")
    assert repr(found) == "<Analysis of swift_hohenberg: u = 0: Turing>"
    assert "fastest growing wave" in str(found) and set(KINDS) >= {s.kind for s in found.states}
    with pytest.raises(PdesimError, match="unknown setting"):
        pdesim.analyze("equation=heat", "gird=3")


def test_notes_on_grid_and_domain():
    words = ("equation=brusselator", "equation.Dv=8", "equation.B=1.9")
    found = pdesim.analyze(*words, "grid=[64]", "domain.extent=100")
    assert any("only 6.7 cells" in note and "grid=[80]" in note for note in found.notes)
    found = pdesim.analyze(*words, "grid=[64]", "domain.extent=5")
    assert any("no growing wave fits" in note for note in found.notes)
    assert found.states[0].admissible.growth < 0


def test_jacobians_agree_with_differences():
    """J(k) for uniform states, against finite differences of f and products of symbols."""
    composed = compose_settings(["equation=gray_scott", "grid=[16]", "equation.F=0.05"])
    problem, initial, _ = build_problem(composed.settings, composed.equation)
    reactions = build_reactions(problem, 0.0)
    state, h = np.array([0.4, 0.25]), 1e-6
    steps = np.stack([state + h * unit for unit in (*np.eye(2), *-np.eye(2))], axis=1)
    f = reactions.rates(steps)
    expected = (f[:, :2] - f[:, 2:]) / (2 * h)
    found = linearise(reactions, state).matrices(np.array([[0.0, 10.0]]))
    np.testing.assert_allclose(found[0], expected, atol=1e-9)
    np.testing.assert_allclose(found[1], expected - 100 * np.diag([2e-5, 1e-5]), atol=1e-9)
    assert len(build_constraints(reactions).rows) == 0
    assert find_states(reactions, initial_values(composed.settings, problem, initial)).drift is None


def test_positions_are_refused_before_anything_is_computed():
    with pytest.raises(ConfigError, match="not plane waves"):
        custom(u="laplacian(u) + x*u")


def test_states_that_form_a_line():
    """u v = 0 and v' = 0 along u = 0: every v is steady."""
    found = custom("initial={u: 0.3, v: 2}", u="laplacian(u) - u*v", v="laplacian(v) + u*v**2")
    assert len(found.states) == 1 and found.states[0].values["u"] == pytest.approx(0, abs=1e-9)
    assert any("form a line" in note for note in found.notes)
    words = ("equation=custom", "equation.a=1", "grid=[16]", "initial={u: 0.3, v: 2}")
    rhs = "equation.rhs={u: 'laplacian(u) - a*u*v', v: 'laplacian(v) + u*v**2'}"
    with pytest.raises(ConfigError, match="form a line"):
        pdesim.analyze(*words, rhs, over="equation.a=1..2")


def test_functions_without_finite_derivatives():
    """sqrt and log at 0, and derivatives inside functions, give states or notes but no errors."""
    for text in ("sqrt(u) - u + laplacian(u)", "log(u) + laplacian(u)", "sqrt(gradient_squared(u))",
                 "u**u - 1", "1/u - u + laplacian(u)", "abs(laplacian(u)) - u"):  # fmt: skip
        found = custom(u=text)
        assert found.states or found.notes
        json.dumps(found.as_dict(), allow_nan=False)
