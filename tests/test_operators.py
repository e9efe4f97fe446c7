"""Operators on plane waves, on polynomials at walls, and against each other."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy
from conftest import make_plan

from pdesim.boundary import Wall, ghost_weights
from pdesim.errors import BoundaryError, ConfigError
from pdesim.formula import Evaluator, Scope, parse
from pdesim.formula.language import DERIVATIVES
from pdesim.grid import Grid
from pdesim.operators import build_discretisation
from pdesim.operators.catalogue import STENCILS
from pdesim.verify.manufactured import differentiate

GRIDS = {1: "grid=[15]", 2: "grid=[12,9]", 3: "grid=[8,6,5]"}
EXTENTS = {1: "[1.5]", 2: "[1.5,0.7]", 3: "[1.5,0.7,2.0]"}


def right_hand_side(plan, state):
    """The right-hand side of a plan's equation as NumPy, through the engine's own operators."""
    import tensorflow as tf

    from pdesim.operators.lines import MethodOfLines

    parameters = {k: tf.constant(v, tf.float64) for k, v in plan.equation.parameters.items()}
    lines = MethodOfLines(plan.problem, tf.float64, False, parameters)
    return lines.rhs(tf.constant(state, tf.float64), tf.constant(0.0, tf.float64)).numpy()


def custom_plan(dimensions, formula, *overrides):
    return make_plan(
        "equation=custom",
        f"equation.rhs={{u: '{formula}'}}",
        GRIDS[dimensions],
        f"domain.extent={EXTENTS[dimensions]}",
        "time.unsafe=true",
        "stepper=euler",
        "time.dt=1e-6",
        "time.end=1e-6",
        "output.frames=1",
        *overrides,
    )


def with_formula(plan, formula, grid=None):
    """The same plan for another formula, and on another grid."""
    scope = Scope({"u": sympy.Symbol("u", real=True)}, plan.grid.axes, operators=True)
    equation = replace(plan.equation, formulas=(parse(formula, scope),))
    problem = replace(plan.problem, equation=equation, grid=grid or plan.grid)
    return replace(plan, problem=problem)


def words_of(dimensions):
    return [word for word, powers in DERIVATIVES.items() if not any(powers[dimensions:])]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("operators", ["stencil", "conv", "spectral"])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_every_operator_multiplies_a_plane_wave_by_its_symbol(
    placement, dimensions, operators, order
):
    if operators == "spectral" and order > 2:
        pytest.skip("spectral has no order")
    chosen = [f"operators={operators}"]
    if operators != "spectral":
        chosen.append(f"operators.order={order}")
    # as many cells as the widest stencil reads
    plan = custom_plan(dimensions, "u", *chosen, f"grid={[13, 12, 11][:dimensions]}")
    numbers = [1, 2, 1][:dimensions]
    waves = [2 * np.pi * m / length for m, length in zip(numbers, plan.grid.extent, strict=True)]
    phase = sum(
        k * plan.grid.broadcast(axis, plan.grid.centres(axis)) for axis, k in enumerate(waves)
    )
    symbols = plan.problem.discretisation.symbols(plan.grid, [np.array(k) for k in waves])
    assert set(symbols) == {"laplacian", *words_of(dimensions)}
    for word, symbol in symbols.items():
        expected = (complex(symbol) * np.exp(1j * phase)).real
        found = right_hand_side(with_formula(plan, f"{word}(u)"), np.cos(phase)[None])[0]
        power = sum(DERIVATIVES.get(word, (2,)))
        scale = np.abs(complex(symbol)) + 3.0**power / min(plan.grid.spacing) ** power
        np.testing.assert_allclose(found, expected, atol=2e-15 * 20 * scale, err_msg=word)


@pytest.mark.parametrize("power", range(1, 7))
@pytest.mark.parametrize("order", [2, 4, 6])
def test_stencil_weights_differentiate_polynomials_exactly(power, order):
    """As many as the weights can; what is left is of the order that is claimed."""
    weights = [Fraction(w).limit_denominator(10**6) for w in STENCILS[power, order]]
    np.testing.assert_array_equal([float(w) for w in weights], STENCILS[power, order])
    reach = len(weights) // 2
    for degree in range(power + order):
        moment = sum(w * m**degree for m, w in zip(range(-reach, reach + 1), weights, strict=True))
        assert moment == (math.factorial(power) if degree == power else 0)


def test_stencil_weights_are_those_of_the_tables():
    """Fornberg, Math. Comp. 51 (1988) 699, table 1."""
    assert STENCILS[1, 2] == (-1 / 2, 0.0, 1 / 2)
    assert STENCILS[2, 6] == (1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90)
    assert STENCILS[3, 2] == (-1 / 2, 1.0, 0.0, -1.0, 1 / 2)
    assert STENCILS[3, 4] == (1 / 8, -1.0, 13 / 8, 0.0, -13 / 8, 1.0, -1 / 8)
    assert STENCILS[4, 4] == (-1 / 6, 2.0, -13 / 2, 28 / 3, -13 / 2, 2.0, -1 / 6)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_symbols_approach_the_derivative_with_their_order(order):
    scheme = build_discretisation("stencil", order)
    k = 1.0
    for power in range(1, 7):
        errors = [abs(scheme.symbol(power, np.array(k), h) - (1j * k) ** power) for h in (0.2, 0.1)]
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("boundary", ["periodic", "dirichlet", "neumann"])
@pytest.mark.parametrize(
    "formula",
    [
        "laplacian(u)",
        "u*d_dx(u)",
        "laplacian(u**2 + laplacian(u))",
        "gradient_squared(u)",
        "d3_dx3(u**2) - d4_dx4(u)",
    ],
)
def test_conv_equals_stencil(placement, dimensions, boundary, formula):
    found = []
    for operators in ("stencil", "conv"):
        plan = custom_plan(
            dimensions, formula, f"operators={operators}", f"boundary={boundary}", "initial=zero"
        )
        state = np.random.default_rng(7).standard_normal((1, *plan.grid.shape))
        found.append(right_hand_side(plan, state))
    scale = np.abs(found[0]).max()
    # sums of 5 to 7 products in another order
    np.testing.assert_allclose(found[1], found[0], atol=1e-13 * scale)


def test_a_divergence_conserves_and_equals_the_laplacian_for_constant_coefficients(placement):
    rng = np.random.default_rng(3)
    state = rng.standard_normal((1, 9, 12))
    for boundary in ("periodic", "neumann"):
        plan = custom_plan(
            2, "divergence((2 + sin(9*x) + u**2)*gradient(u))", f"boundary={boundary}"
        )
        rate = right_hand_side(plan, state)
        assert abs(rate.sum()) < 1e-13 * np.abs(rate).sum()
    pair = [
        right_hand_side(custom_plan(2, formula), state)
        for formula in ("divergence((3 + 0*x)*gradient(u))", "3*laplacian(u)")
    ]
    np.testing.assert_allclose(*pair, rtol=1e-12, atol=1e-10)


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
    weights, value = ghost_weights(Wall("dirichlet", 1.0, 0.0), 0.1, 1, 1)
    assert weights.tolist() == [[-1.0]] and value.tolist() == [2.0]
    weights, value = ghost_weights(Wall("neumann", 0.0, 1.0), 0.25, 1, 1)
    assert weights.tolist() == [[1.0]] and value.tolist() == [0.25]


def test_spectral_derivatives_are_exact_for_resolved_waves(placement):
    for grid in ("grid=[16,12]", "grid=[15,13]"):
        plan = custom_plan(2, "d_dx(u)*d_dy(u) + laplacian(u)", "operators=spectral", grid)
        lx, ly = plan.grid.extent
        p = plan.grid.coordinates()
        a, b = 2 * np.pi * p["x"] / lx, 4 * np.pi * p["y"] / ly
        kx, ky = 2 * np.pi / lx, 4 * np.pi / ly
        expected = kx * ky * np.cos(a) * np.sin(b) * np.sin(a) * np.cos(b)
        expected = expected - (kx**2 + ky**2) * np.sin(a) * np.sin(b)
        found = right_hand_side(plan, (np.sin(a) * np.sin(b))[None])[0]
        np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("bases", [("fourier",), ("fourier", "fourier"), ("sine", "fourier")])
@pytest.mark.parametrize("points", [8, 9])
def test_carried_modes_are_mended_to_those_of_a_real_state(placement, bases, points):
    """As a round trip through the grid would, without its two transforms."""
    import tensorflow as tf

    from pdesim.grid import Grid
    from pdesim.operators import spectral
    from pdesim.operators.modes import Modes

    n = len(bases)
    modes = Modes(Grid((points, 6)[:n], (1.0,) * n, (0.0,) * n), bases)
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2, 1, *modes.shape))
    broken = tf.constant(noise[0] + 1j * noise[1])
    wanted = spectral.forward(spectral.backward(broken, modes), modes)
    np.testing.assert_allclose(spectral.of_real(broken, modes), wanted, atol=1e-12)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_robin_conditions_that_the_grid_cannot_meet_are_refused(order):
    """a*u + b*du/dn with b = -a*h/2 at order 2, and the ratios at which orders 4 and 6 cancel."""
    from pdesim.errors import BoundaryError

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


@pytest.mark.parametrize("lower,upper", itertools.product(("dirichlet", "neumann"), repeat=2))
@pytest.mark.parametrize("power", range(1, 7))
def test_spectral_derivatives_between_walls_are_exact(placement, lower, upper, power):
    """The sine or cosine that meets the walls; odd derivatives turn one into the other."""
    walls = f"boundary.x={{lower: {lower}, upper: {upper}}}"
    plan = custom_plan(1, "u", "operators=spectral", "grid=[16]", walls)
    word = next(w for w, powers in DERIVATIVES.items() if powers == (power, 0, 0))
    k = np.pi / plan.grid.extent[0] * (2 if lower == upper else 2.5)
    phase = k * plan.grid.centres(0) - (np.pi / 2 if lower == "dirichlet" else 0)
    found = right_hand_side(with_formula(plan, f"{word}(u)"), np.cos(phase)[None])[0]
    # rounding in the highest mode is multiplied by its wave number to this power
    atol = 1e-15 * (np.pi / plan.grid.spacing[0]) ** power
    np.testing.assert_allclose(found, k**power * np.cos(phase + power * np.pi / 2), atol=atol)


def test_spectral_mixed_derivatives_between_walls_are_exact(placement):
    plan = custom_plan(
        2, "u", "operators=spectral", "boundary.x=dirichlet", "boundary.y=neumann", "grid=[16,12]"
    )
    a, b = (np.pi * m / length for m, length in zip((2, 3), plan.grid.extent, strict=True))
    p = plan.grid.coordinates()
    state = np.sin(a * p["x"]) * np.cos(b * p["y"])
    found = right_hand_side(with_formula(plan, "d2_dxdy(u)"), state[None])[0]
    expected = -a * b * np.cos(a * p["x"]) * np.sin(b * p["y"])
    np.testing.assert_allclose(found, expected, atol=1e-12 * a * b)
    with pytest.raises(BoundaryError):  # d2_dxdy(u) is even along x and odd along y, u is not
        custom_plan(
            2, "laplacian(u + d2_dxdy(u))", "operators=spectral", "boundary.x=dirichlet",
            "boundary.y=neumann",
        )  # fmt: skip


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
