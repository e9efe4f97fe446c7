"""Operators between boundaries: exact for polynomials, conservation, orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import make_plan
from made_plans import custom_plan, right_hand_side

from pdesim.errors import BoundaryError
from pdesim.model.boundary_conditions import BoundaryCondition
from pdesim.operators.ghost_weights import ghost_weights

WALLS = {
    "dirichlet": "{dirichlet: 'VALUE'}",
    "neumann": "{neumann: 'SLOPE'}",
    "robin": "{robin: {a: 2, b: 0.5, value: '2*(VALUE) + 0.5*(SLOPE)'}}",
}


@pytest.mark.parametrize("lower,upper", itertools.product(WALLS, WALLS))
def test_linear_functions_are_exact_at_every_kind_of_wall(placement, lower, upper):
    """u = 1 + 2x + 3y has no Laplacian; linear extrapolation through a wall must agree."""

    def wall(kind, value, slope):
        return WALLS[kind].replace("VALUE", value).replace("SLOPE", slope)

    plan = custom_plan(
        2,
        "laplacian(u) + d_dx(u) + d_dy(u)",
        "domain.origin=[0.3,-0.2]",
        "boundary.x={lower: "
        + wall(lower, "1 + 2*0.3 + 3*y", "-2")
        + ", upper: "
        + wall(upper, "1 + 2*1.8 + 3*y", "2")
        + "}",
        "boundary.y={lower: "
        + wall(upper, "1 + 2*x - 3*0.2", "-3")
        + ", upper: "
        + wall(lower, "1 + 2*x + 3*0.5", "3")
        + "}",
    )
    places = plan.grid.coordinates()
    state = (1 + 2 * places["x"] + 3 * places["y"])[None]
    np.testing.assert_allclose(right_hand_side(plan, state), 5.0, atol=1e-10)


def test_ghost_weights_of_second_order_are_the_textbook_ones():
    weights, value = ghost_weights(BoundaryCondition("dirichlet", 1.0, 0.0), 0.1, 1, 1)
    assert weights.tolist() == [[-1.0]] and value.tolist() == [2.0]
    weights, value = ghost_weights(BoundaryCondition("neumann", 0.0, 1.0), 0.25, 1, 1)
    assert weights.tolist() == [[1.0]] and value.tolist() == [0.25]


@pytest.mark.parametrize("order", [2, 4, 6])
def test_robin_conditions_that_the_grid_cannot_meet_are_refused(order):
    """a*u + b*du/dn with b = -a*h/2 at order 2, and the ratios at which orders 4 and 6 cancel."""

    ratio = {2: 1 / 2, 4: 105 / 352, 6: 3465 / 13016}[order]
    for points, factor in ((32, 1.0), (48, 1.0), (49, 1.0), (48, 1 + 1e-9), (48, 0.95)):
        b = -factor * ratio / points
        with pytest.raises(BoundaryError, match="Robin"):
            make_plan("equation=heat", f"grid=[{points}]", f"operators.order={order}",
                      f"boundary={{default: {{robin: {{a: 1, b: {b}}}}}}}")  # fmt: skip
    # of the same sign nothing cancels, and thick layers are resolved
    for b in (ratio / 32, -0.5):
        make_plan("equation=heat", "grid=[32]", f"operators.order={order}",
                  f"boundary={{default: {{robin: {{a: 1, b: {b}}}}}}}")  # fmt: skip


EVEN = [
    "laplacian(u)",
    "divergence((2 + u**2)*gradient(u)) + cos(t)",
    "divergence(u*gradient(u)) + gradient_squared(u)*0",
    "-laplacian(laplacian(u) - u**3)",
]


@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize("formula", EVEN)
def test_no_flux_walls_of_higher_order_conserve(placement, order, formula):
    state = np.random.default_rng(5).standard_normal((1, 9, 12))
    plan = custom_plan(2, formula, f"operators.order={order}", "boundary=neumann")
    rate = right_hand_side(plan, state) - (1.0 if "cos(t)" in formula else 0.0)
    # the sum of 108 numbers that cancel
    assert abs(rate.sum()) < 1e-13 * np.abs(rate).sum()


def test_no_flux_walls_of_higher_order_conserve_through_a_run(evolve):
    """The issue's kind: the mean of heat between no-flux walls, on a coarse grid."""
    for order in (4, 6):
        run = evolve("equation=heat", "equation.D=0.1", "grid=[16]", f"operators.order={order}",
                     "boundary=neumann", "initial.u='exp(-20*x) + x**2'", "stepper=rk4",
                     "time.end=1", "output.frames=1")  # fmt: skip
        means = run.field("u").mean(1)
        assert abs(means[1] - means[0]) < 1e-13


@pytest.mark.parametrize("order", [2, 4, 6])
def test_mirrors_keep_the_order_where_the_solution_is_even(placement, order):
    """u = exp(cos(pi x)) has vanishing odd derivatives at both walls."""
    errors = []
    for points in (24, 36, 54):
        plan = make_plan("equation=custom", "equation.rhs={u: 'laplacian(u)'}", "boundary=neumann",
                         f"grid=[{points}]", f"operators.order={order}")  # fmt: skip
        x = plan.grid.centres(0)
        c, s = np.cos(np.pi * x), np.sin(np.pi * x)
        found = right_hand_side(plan, np.exp(c)[None])[0]
        errors.append(np.abs(found - np.pi**2 * (s**2 - c) * np.exp(c)).max())
    slope = -np.polyfit(np.log([24, 36, 54]), np.log(errors), 1)[0]
    assert slope > order - 0.1


def test_only_even_solutions_have_mirrors():
    """Sources and coefficients in x, advection, and values at walls make solutions uneven."""

    def mirrors(rhs, *overrides):
        plan = make_plan("equation=custom", f"equation.rhs={{{rhs}}}", "grid=[16,12]",
                         "boundary=neumann", "operators.order=4", *overrides)  # fmt: skip
        return [
            [[w.mirror for w in pair] for pair in field] for field in plan.problem.boundary.walls
        ]

    both, none = [True, True], [False, False]
    assert mirrors("u: 'laplacian(u) - u**2 + cos(t)'") == [[both, both]]
    assert mirrors("u: 'laplacian(u) + x'") == [[none, both]]
    assert mirrors("u: 'laplacian(u) - r**2'") == [[none, none]]
    assert mirrors("u: '0.1*laplacian(u) - u*d_dy(u)'") == [[both, none]]
    assert mirrors("u: '0.1*laplacian(u) - d_dy(u)**2'") == [[both, both]]
    assert mirrors("u: 'laplacian(u)', v: 'laplacian(v) + u + y'") == [[both, none]] * 2
    walls = "boundary.x={lower: {neumann: 1}, upper: neumann}"
    assert mirrors("u: 'laplacian(u)'", walls) == [[[False, True], both]]
    walls = "boundary.x={lower: dirichlet, upper: neumann}"
    assert mirrors("u: 'laplacian(u) - u**2'", walls) == [[[False, True], both]]


def test_uneven_sources_keep_the_order_at_no_flux_walls(evolve):
    """u = cos(pi x) exp(-t) + x**2 (1 - x)**2 x with its source: u''' is not 0 at the walls."""
    bump, slope2 = "x**3*(1-x)**2", "(6*x - 24*x**2 + 20*x**3)"
    errors = []
    for points in (16, 24, 36):
        run = evolve("equation=custom", f"equation.rhs={{u: 'laplacian(u) - {slope2}'}}",
                     f"grid=[{points}]", "operators.order=4", "boundary=neumann",
                     f"initial.u='{bump}'", "stepper=rk4", "time.end=0.3",
                     "output.frames=1")  # fmt: skip
        errors.append(np.abs(run.field("u")[-1] - run.field("u")[0]).max())
    slope = -np.polyfit(np.log([16, 24, 36]), np.log(errors), 1)[0]
    assert slope > 3.8


@pytest.mark.parametrize("order", [2, 4, 6])
def test_a_mixed_derivative_knows_values_at_the_boundary(placement, order):
    """u = x*y with the boundary values x*y has the mixed derivative 1, corners included."""
    for formula in ("d2_dxdy(u)", "d_dy(d_dx(u))"):
        plan = custom_plan(
            2, formula, f"operators.order={order}", "boundary={default: {dirichlet: 'x*y'}}"
        )
        places = plan.grid.coordinates()
        found = right_hand_side(plan, (places["x"] * places["y"])[None])
        np.testing.assert_allclose(found, 1.0, atol=1e-10)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
def test_a_fourth_derivative_between_walls_is_the_second_one_twice(placement, boundary):
    state = np.random.default_rng(5).standard_normal((1, 15))
    found = [
        right_hand_side(custom_plan(1, f, f"boundary={boundary}"), state)
        for f in ("d4_dx4(u)", "laplacian(laplacian(u))")
    ]
    np.testing.assert_array_equal(*found)
