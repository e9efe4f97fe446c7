"""Pages in a headless browser: their fields beside those of a run, and their controls."""

from __future__ import annotations

import numpy as np
import pytest
from browsers import browser, wait_until
from conftest import make_plan
from played_pages import opened

from pdesim.play.stepping import build_stepping
from pdesim.steppers.stability import stable_step

STEPS = 200
WALLS = "boundary={x: {lower: {dirichlet: 'sin(pi*y)+t'}, upper: {neumann: y}}, y: neumann}"
INITIAL = "initial.u='1+0.5*sin(2*pi*x)*cos(2*pi*y)'"
FLUXES = (
    "0.001*divergence((1+u**2)*gradient(u)) + 0.001*divergence(where(x>0.5,1,3)*gradient(u))"
    " - 0.01*d_dx(u**2*exp(-r)) + 0.001*d2_dxdy(u) - 0.003*gradient_squared(u)"
)
CASES = {
    "gray_scott": ("equation=gray_scott",),
    "heat": ("equation=heat",),
    "wave": ("equation=wave",),
    "dirichlet": ("equation=heat", "boundary=dirichlet"),
    "neumann": ("equation=gray_scott", "boundary={x: {lower: {neumann: 0.1}, upper: neumann}}"),
    "walls": ("equation=heat", WALLS, "grid=[48,64]"),
    "line": ("equation=burgers", "domain.dimensions=1"),
    "string": ("equation=wave", "domain.dimensions=1", "boundary=dirichlet"),
    "nested": ("equation=cahn_hilliard", "operators=stencil", "boundary=neumann"),
    "second conditions": (
        "equation=swift_hohenberg", "operators=stencil",
        "boundary={x: simply_supported, y: neumann}",
    ),
    "fluxes": ("equation=custom", INITIAL, f"equation.rhs={{u: '{FLUXES}'}}"),
    "fluxes at walls": ("equation=custom", INITIAL, f"equation.rhs={{u: '{FLUXES}'}}", WALLS),
    "sixth order": ("equation=allen_cahn", "operators.order=6"),
}  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.mark.parametrize("name", CASES)
def test_fields_after_steps_are_those_of_a_run(name, chromium, tmp_path, placement):
    """In float32, to 1e-4 of the size of the field: rounding errors grow over 200 steps."""
    from pdesim.engine.simulation import Simulation

    overrides = ("grid=64", *CASES[name])
    with opened(chromium, tmp_path, *overrides) as page:
        dt = page.run("return pdesim.dt")
        page.run(f"pdesim.step({STEPS})")
        fields = [page.values(field) for field in page.plan.equation.fields]
        assert page.run("return pdesim.time") == pytest.approx(STEPS * dt)
        stepper = page.run("return pdesim.page.data.stepper.name")
        errors = [line for line in page.printed if "GL Driver Message" not in line]
        assert not errors
        assert [url.partition(":")[0] for url in page.requested] == ["file"]
    plan = make_plan(
        *overrides, f"stepper={stepper}", f"time.dt={dt!r}", f"time.end={STEPS * dt!r}",
        "output.frames=1",
    )  # fmt: skip
    assert plan.steps_left == STEPS
    *_, last = Simulation(plan, placement).frames()
    for field, expected in zip(fields, last.state, strict=True):
        assert np.abs(field - expected).max() < 1e-4 * np.abs(expected).max()
        assert np.abs(field).max() > 0


FUNCTIONS = (
    "sin(3*a) + cos(a) + tan(0.3*a)", "arcsin(a/4) + arccos(a/4) + arctan(a)", "arctan2(a, b)",
    "exp(a)", "log(a + 4) + log2(a + 4) + log10(a + 4)", "sqrt(a + 4)", "pow(a + 4, b)",
    "tanh(30*a)", "sinh(a) + cosh(b)", "sinc(a)", "erf(a)", "sign(a) + abs(b)",
    "floor(a) + 2*ceil(b)", "mod(a, 0.7) + (-b) % 0.4", "minimum(a, b, 0.5) + maximum(a, b)",
    "clip(a, -1, b)", "heaviside(a)", "where(a > b and not b > 1 or a == 2, a, -b)",
    "a**3 - b**-2 + (a + 4)**1.5 + 1e-7*a + 1/3",
)  # fmt: skip


@pytest.mark.parametrize("formula", FUNCTIONS)
def test_functions_are_those_of_numpy(formula, chromium, tmp_path):
    """One Euler step with dt = 1 from 0 adds the formula; a is from -3 to 3, b from 1/4 to 3."""
    a, b = "(6*x - 3)", "(0.25 + 2.75*y)"
    text = "".join({"a": a, "b": b}.get(part, part) for part in _words(formula))
    overrides = (
        "equation=custom", "grid=64", "initial.u=0", f"equation.rhs={{u: '{text}'}}",
        "stepper=euler", "time.dt=1", "time.end=1", "output.frames=1",
    )  # fmt: skip
    with opened(chromium, tmp_path, *overrides) as page:
        assert page.run("return pdesim.dt") == 1
        page.run("pdesim.step(1)")
        found = page.values("u")
        assert not [line for line in page.printed if "GL Driver Message" not in line]
        from pdesim.formula import Evaluator

        names = page.plan.grid.coordinates()
        expected = np.broadcast_to(
            Evaluator(names)(page.plan.equation.formulas[0]), page.plan.grid.shape
        )
    # float32 moves the arguments of steps by a rounding error
    near = np.abs(found - expected) <= 2e-5 * np.maximum(np.abs(expected), 1)
    assert near.mean() > 0.98 if "floor" in formula or "mod" in formula else near.all()


def _words(formula: str) -> list[str]:
    import re

    return re.findall(r"\w+|\W", formula)


GRAY_SCOTT = ("equation=gray_scott", "grid=32", "seed=3")


def test_sliders_change_the_result_and_the_command(chromium, tmp_path):
    with opened(chromium, tmp_path, *GRAY_SCOTT, "equation.k=0.061") as page:
        page.run("pdesim.step(50)")
        before = page.values("v")
        assert page.run("return pdesim.command()") == (
            "pdesim equation=gray_scott grid=32 seed=3 equation.k=0.061"
        )
        page.run("pdesim.reset()")
        for name, value in {"F": "0.05", "k": "0.06"}.items():
            box = page.page.get_by_label(f"{name}, as a number")
            box.fill(value)
            box.press("Enter")
        page.run("pdesim.step(50)")
        assert np.abs(page.values("v") - before).max() > 1e-3
        command = "pdesim equation=gray_scott grid=32 seed=3 equation.F=0.05 equation.k=0.06"
        assert page.run("return pdesim.command()") == command
        assert page.page.locator("#command").inner_text() == command
        page.page.get_by_label("F", exact=True).press("ArrowRight")
        assert "equation.F=0.05 " not in page.run("return pdesim.command()")


def test_reset_restores_the_initial_state(chromium, tmp_path):
    with opened(chromium, tmp_path, *GRAY_SCOTT) as page:
        np.testing.assert_array_equal(page.values("v"), page.plan.state[1])
        page.page.locator("#picture").focus()
        page.page.keyboard.press("Enter")
        painted = page.values("v")
        assert np.abs(painted - page.plan.state[1]).max() > 0.05
        page.page.keyboard.press("r")
        np.testing.assert_array_equal(page.values("v"), page.plan.state[1])
        assert page.run("return pdesim.time") == 0
        page.page.keyboard.press(".")
        assert page.run("return pdesim.time") == page.run("return pdesim.dt")


def test_the_mouse_paints_the_chosen_field(chromium, tmp_path):
    with opened(chromium, tmp_path, *GRAY_SCOTT) as page:
        page.page.locator("#value").fill("0.75")
        box = page.page.locator("#picture").bounding_box()
        page.page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
        # a quarter of the width from the left, and of the height from the top: y is upwards
        assert page.values("v")[24, 8] == pytest.approx(0.75)
        np.testing.assert_array_equal(page.values("u"), page.plan.state[0])


def test_the_page_runs_when_it_is_played(chromium, tmp_path):
    with opened(chromium, tmp_path, *GRAY_SCOTT) as page:
        page.page.get_by_role("button", name="Play").click()
        wait_until(page.page, "pdesim.time > 0")
        page.page.get_by_role("button", name="Pause").click()


@pytest.mark.parametrize(
    ("overrides", "name", "value"),
    [
        (("equation=heat",), "D", 0.01),
        (("equation=wave",), "c", 3.0),
        (("equation=burgers", "stepper=euler"), "nu", 0.05),
        (("equation=brusselator", "boundary=neumann"), "Dv", 60.0),
    ],
)
def test_the_limit_of_changed_parameters_is_that_of_pdesim(
    overrides, name, value, chromium, tmp_path
):
    """To 7 %: the page has few samples of waves, and takes steps of 0.9 of the limit."""
    with opened(chromium, tmp_path, "grid=32", *overrides) as page:
        page.run(f"pdesim.set('{name}', {value})")
        limit, dt = page.run("return [pdesim.limit(), pdesim.dt]")
        plan = make_plan("grid=32", *overrides, f"equation.{name}={value}")
        stepping = build_stepping(plan)
        method = page.run("return pdesim.page.data.stepper.name")
        if stepping.stepper.method.name == method:
            expected = stable_step(stepping.stepper, stepping.linearised, 1e3)
            assert limit == pytest.approx(expected, rel=0.07)
        page.run("for (let n = 0; n < 40; n++) pdesim.step(10)")
        assert dt <= 0.95 * limit and np.abs(page.values("u")).max() < 20


def test_a_solution_that_is_not_finite_is_reported(chromium, tmp_path):
    rhs = "equation.rhs={u: 'u**3'}"
    with opened(chromium, tmp_path, "equation=custom", "grid=16", rhs, "initial.u=1") as page:
        page.run("pdesim.page.engine.dt = 1; pdesim.step(20)")
        assert "not finite" in page.page.locator("#message").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_on_a_phone(scheme, chromium, tmp_path):
    size = {"width": 360, "height": 720}
    with opened(chromium, tmp_path, *GRAY_SCOTT, viewport=size, color_scheme=scheme) as page:
        assert page.run("return document.documentElement.scrollWidth") <= 360
        color = page.run("return getComputedStyle(document.body).backgroundColor")
        assert (int(color.removeprefix("rgb(").split(",")[0]) > 128) == (scheme == "light")
