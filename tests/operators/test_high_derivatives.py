"""Derivatives of third and higher order, and mixed ones."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from made_plans import custom_plan, right_hand_side, with_formula

from pdesim.errors import ConfigError
from pdesim.formula import Evaluator, Scope, parse
from pdesim.model.grid import Grid
from pdesim.verify.manufactured import differentiate


@pytest.mark.parametrize("formula", ["d3_dx3(u)", "d4_dx4(u**2)", "d2_dxdy(u)", "d_dx(d_dy(u))"])
@pytest.mark.parametrize("operators", [2, 4, 6, "spectral"])
def test_high_and_mixed_derivatives_have_their_order_on_a_periodic_grid(
    placement, formula, operators
):
    """Against SymPy's derivatives of a smooth periodic function, at two grids."""
    x, y = sympy.symbols("x y", real=True)
    chosen = sympy.exp(sympy.sin(2 * sympy.pi * x) / 3) * sympy.cos(2 * sympy.pi * y + 0.3)
    derivative = {
        "d3_dx3(u)": sympy.diff(chosen, x, 3),
        "d4_dx4(u**2)": sympy.diff(chosen**2, x, 4),
    }.get(formula, sympy.diff(chosen, x, y))
    scheme = "operators=spectral" if operators == "spectral" else f"operators.order={operators}"
    base, errors = custom_plan(2, "u", "domain.extent=1", scheme), []
    for points in (32, 64):
        plan = with_formula(base, formula, Grid((points, points), (1.0, 1.0), (0.0, 0.0)))
        places = plan.grid.coordinates()
        state, exact = (
            sympy.lambdify((x, y), f)(places["x"], places["y"]) for f in (chosen, derivative)
        )
        error = np.abs(right_hand_side(plan, state[None])[0] - exact).max() / np.abs(exact).max()
        errors.append(error)
    if operators == "spectral":
        # rounding of 1e-16 in the highest mode, times 32^4
        assert errors[1] < 1e-9
    else:
        assert np.log2(errors[0] / errors[1]) == pytest.approx(operators, abs=0.3)


@pytest.mark.parametrize(
    "formula,grid,order", [("d6_dx6(u)", 6, 2), ("d3_dx3(u)", 6, 4), ("d2_dxdy(u)", "[9,4]", 4)]
)
def test_a_stencil_wider_than_the_grid_is_refused(formula, grid, order):
    with pytest.raises(ConfigError, match="cells along") as caught:
        custom_plan(2, formula, f"grid={grid}", "domain.extent=1", f"operators.order={order}")
    assert "at least" in str(caught.value)


def test_the_step_of_a_fourth_derivative_is_that_of_its_shortest_wave():
    """Euler and -d4_dx4(u): the symbol reaches 16/h^4, so the limit is h^4/8."""
    plan = custom_plan(1, "-d4_dx4(u)", "time.dt=auto", "time.end=1")
    exact = plan.grid.spacing[0] ** 4 / 8
    assert 0.7 * exact <= plan.step.limit <= 1.15 * exact


def test_a_soliton_of_the_korteweg_de_vries_equation_keeps_its_form(evolve):
    """u_t = -6 u u_x - u_xxx has u = c/2 sech^2(sqrt(c)/2 (x - c t)), here c = 1."""
    run = evolve(
        "equation=custom", "equation.rhs={u: '-3*d_dx(u**2) - d3_dx3(u)'}", "grid=[128]",
        "domain.extent=32", "domain.origin=-16", "initial.u='0.5/cosh(0.5*(x + 5))**2'",
        "operators.order=6", "stepper=rk4", "time.end=5", "output.frames=1",
    )  # fmt: skip
    x = run.coordinates["x"]
    exact = 0.5 / np.cosh(0.5 * x) ** 2
    # h = 1/4: the sixth-order error, 2e-5 of the field per unit of time; tails of e^-11 wrap around
    assert np.abs(run.field("u")[-1] - exact).max() < 5e-4


def test_the_source_of_a_manufactured_solution_has_values_only():
    """Derivatives of jumps, kinks and products with x, against differences of the same formula."""
    places = {name: sympy.Symbol(name, real=True) for name in ("x", "y", "u")}
    solution = parse("0.7 + 0.2*sin(3*x + y)", Scope(places, ("x", "y")))
    text = "sinc(2*u) + mod(u, 0.3) + max(u, 0.75, x) + abs(u - 0.6) + erf(u)*floor(4*u) + u % x"
    plain = parse(text, Scope(places, ("x", "y"))).xreplace({places["u"]: solution})
    nested = parse(f"d2_dxdy({text})", Scope(places, ("x", "y"), operators=True))
    source = differentiate(nested.xreplace({places["u"]: solution}), custom_plan(2, "u").grid)
    assert not source.atoms(sympy.Derivative, sympy.Subs, sympy.DiracDelta)
    rng = np.random.default_rng(2)
    x, y, h = rng.uniform(0.2, 1, 300), rng.uniform(0, 1, 300), 1e-4

    def value(expression, i, j):
        return Evaluator({"x": x + i * h, "y": y + j * h})(expression)

    signs = ((1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1))
    difference = sum(s * value(plain, i, j) for i, j, s in signs) / (4 * h * h)
    found = value(source, 0, 0)
    # rounding 1e-16/h^2 and h^2 times fourth derivatives; a jump or kink between is seldom
    close = np.abs(found - difference) < 1e-4 * (1 + np.abs(found))
    assert close.mean() > 0.97 and np.isfinite(found).all()


def test_around_obstacles_high_and_mixed_derivatives_are_nested():
    """Each part then knows the condition on the faces of obstacles; corners have none."""
    plan = custom_plan(
        2, "d2_dxdy(u) + d4_dx4(u)", "domain.mask='where(r < 0.2, 1, 0)'", "boundary=neumann"
    )
    assert str(plan.equation.formulas[0]) == "d2_dx2(d2_dx2(u)) + d_dy(d_dx(u))"
    assert plan.problem.halo == 1
