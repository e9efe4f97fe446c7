"""The command and the written page, without a browser."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from conftest import make_plan
from played_pages import unpacked

from pdesim.cli.main import main
from pdesim.errors import PdesimError
from pdesim.play import build_page
from pdesim.play.dialects import GLSL, JAVASCRIPT
from pdesim.play.page import shaders

FIVE = "{" + ", ".join(f"{name}: '-{name}'" for name in "abcdf") + "}"


@pytest.mark.parametrize(
    ("overrides", "reason", "expected"),
    [
        (("equation=heat", "domain.dimensions=3", "grid=8"), "three dimensions", "one or two"),
        (("equation=heat", "grid=[4096,4]"), "4096 cells", "at most 2048"),
        (("equation=heat", "domain.mask='where(r<0.1,1,0)'"), "obstacles", "domain.mask=null"),
        (("equation=heat", "operators=spectral"), "operators=spectral", "operators=stencil"),
        (
            ("equation=heat", "operators.order=4", "boundary=neumann"),
            "operators.order=4",
            "boundary=periodic",
        ),
        (
            ("equation=heat", "boundary={x: {robin: {a: 1, b: 1, value: 0}}}"),
            "boundary condition robin of u along x",
            "periodic, dirichlet or neumann",
        ),
        (
            ("equation=swift_hohenberg", "operators=stencil", "boundary=clamped"),
            "dirichlet and neumann",
            "periodic, dirichlet or neumann",
        ),
        (
            ("equation=heat", "boundary={x: {dirichlet: 'mean(u)'}}"),
            "boundary values with mean",
            "position and time",
        ),
        (("equation=custom", "equation.rhs={u: 'mean(u)-u'}"), "mean(...)", "without mean"),
        (("equation=neural_field",), "convolve(...) reads all cells", "without convolve"),
        (("equation=custom", f"equation.rhs={FIVE}"), "5 fields", "at most 4"),
        (("equation=poisson",), "no time derivative", "time derivatives"),
        (("equation=mandelbrot",), "iterated map", "time derivatives"),
        (("equation=stochastic_gray_scott",), "it has noise", "without noise"),
        (("equation=radial_heat", "grid=[16]"), "radial", "cartesian"),
        (("equation=heat", "boundary.x=antiperiodic"), "antiperiodic", "periodic"),
        (("equation=keller_segel",), "c are solved for", "without constraints"),
    ],
)
def test_refusals_state_the_reason(overrides, reason, expected):
    with pytest.raises(PdesimError) as caught:
        build_page(make_plan("grid=16", *overrides))
    assert reason in caught.value.problem and expected in caught.value.expected


def test_a_refused_page_is_not_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["play", "equation=poisson", "grid=16"]) == 2
    error = capsys.readouterr().err
    assert "expected:" in error and "hint:" in error
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_page_and_opens_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    words = ["play", "equation=heat", "grid=16", "stepper=crank_nicolson", "--open"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out == "heat.html\n" and "stepper=euler" in printed.err
    assert opened == [(tmp_path / "heat.html").as_uri()]
    assert main(words) == 2 and "heat.html" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--output", "other.html"]) == 0
    assert main(["play", "equation=heat", "--output", "page.txt"]) == 2


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.S)[1])


def test_the_page_contains_the_settings_and_the_initial_state():
    words = ("equation=gray_scott", "grid=[12,8]", "animation.limits=[0,1]")
    plan = make_plan(*words)
    page, notes = build_page(plan, words)
    data = data_of(page)
    assert notes == ()
    assert data["points"] == [12, 8] and data["limits"] == [0, 1] and data["shown"] == 1
    assert data["parameters"] == [["Du", 2e-5], ["Dv", 1e-5], ["F", 0.037], ["k", 0.06]]
    assert data["command"][1] == ["grid", "'grid=[12,8]'"]
    cells = unpacked(data["state"]).reshape(8, 12, 4)
    np.testing.assert_array_equal(np.moveaxis(cells, -1, 0)[:2], plan.state)
    assert next(iter(data["colormaps"])) == "magma"


def test_nothing_in_the_settings_can_end_a_script():
    attack = "</script><script>alert(1)</script><!-- {{data}} &"
    about = f"equation.about='{attack}'"
    plan = make_plan("equation=heat", "grid=8", about, f"equation.title='{attack}'")
    page, _ = build_page(plan, ("equation=heat", about))
    assert page.count("</script>") == 2 and "alert(1)</script>" not in page
    assert data_of(page)["command"][1][1].count(attack) == 1


def test_the_page_needs_no_network():
    page, _ = build_page(make_plan("equation=heat", "grid=8"))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none';")
    assert "connect-src" not in policy and "unsafe-eval" not in policy
    assert not re.search(r"https?://|@import|\bfetch\(|XMLHttpRequest|WebSocket", page)
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_parameters_are_uniforms():
    shader = shaders(make_plan("equation=gray_scott", "grid=8"))
    assert all(f"uniform float p{n};" in shader for n in range(4))
    assert "0.037" not in shader


@pytest.mark.parametrize("value", [0.1, 1e-30, -3.0, 1e22, 2.0, 123456789.123456789, -1e-7])
def test_numbers_keep_their_digits_and_have_a_decimal_point(value):
    text = GLSL.number(value).strip("()")
    assert float(text) == value and "." in text


def test_numbers_that_are_not_finite():
    assert GLSL.number(1e300) == "INFINITY" and GLSL.number(-np.inf) == "(-INFINITY)"
    assert GLSL.number(np.nan) == "UNDEFINED"
    assert JAVASCRIPT.number(1e300) == "1.0e+300" and JAVASCRIPT.number(np.inf) == "Infinity"
