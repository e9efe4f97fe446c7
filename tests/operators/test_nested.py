"""Operators inside operators, functions of fields and coefficients, at boundaries and at jumps.

Right-hand sides are evaluated eagerly. Steady solutions are those of their Jacobian, which comes
from one call for all perturbed states together; nothing is compiled.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from conftest import make_plan

from pdesim.formula import Scope, compact, parse

X, Y = sympy.symbols("x y", real=True)
#: neither even nor odd about the boundaries, positive, of order one
SOLUTION = sympy.sin(1.3 * X + 0.2) + 2


def custom(formula, points, *overrides):
    return make_plan(
        "equation=custom", f"equation.rhs={{u: '{formula}'}}", f"grid={points}",
        "time.unsafe=true", "stepper=euler", "time.dt=1e-6", "time.end=1e-6", *overrides,
    )  # fmt: skip


def rates(plan, states):
    """Right-hand sides of many states at once, ``(states, *grid.shape)``."""
    import tensorflow as tf

    from pdesim.operators.method_of_lines import MethodOfLines

    lines = MethodOfLines(plan.problem, tf.float64, False, members=len(states))
    time = tf.constant(0.0, tf.float64)
    return lines.rhs(tf.constant(states[:, None]), time).numpy()[:, 0]


def on_grid(plan, formula):
    values = sympy.lambdify((X, Y), formula)(*(plan.grid.coordinates().get(a, 0.0) for a in "xy"))
    return np.broadcast_to(values, plan.grid.shape).astype(float)


def distance_to_steady(plan, state):
    """How far the discrete steady state is from a state: one step of Newton's method."""
    size, step = state.size, 1e-5
    moves = step * np.eye(size).reshape(size, *state.shape)
    here, *ahead_and_behind = rates(
        plan, np.concatenate([state[None], state + moves, state - moves])
    )
    ahead, behind = np.split(np.array(ahead_and_behind), 2)
    jacobian = ((ahead - behind) / (2 * step)).reshape(size, size).T
    return np.abs(np.linalg.solve(jacobian, -here.ravel())).max()


def boundary(solution, lower, upper="dirichlet"):
    """``boundary.x`` of both kinds, with the values of a solution on 0 < x < 1."""

    def side(kind, place, outward):
        value, slope = (f.subs(X, place) for f in (solution, outward * sympy.diff(solution, X)))
        if kind == "robin":
            return f"{{robin: {{a: 1, b: 0.5, value: '{value + slope / 2}'}}}}"
        return f"{{{kind}: '{value if kind == 'dirichlet' else slope}'}}"

    return f"boundary.x={{lower: {side(lower, 0, -1)}, upper: {side(upper, 1, 1)}}}"


def d(f):
    return sympy.diff(f, X)


#: formula -> what it is for a function f, by SymPy
NESTS = {
    "d_dx(d_dx(u))": lambda f: d(d(f)),
    "d_dx((1 + x)*d_dx(u))": lambda f: d((1 + X) * d(f)),
    "divergence(gradient(u)/sqrt(1 + gradient_squared(u)))": (
        lambda f: d(d(f) / sympy.sqrt(1 + d(f) ** 2))
    ),
    "d_dx(sin(d_dx(u)))": lambda f: d(sympy.sin(d(f))),
    "divergence(u**2*gradient(u))": lambda f: d(f**2 * d(f)),
    "laplacian(u**2)": lambda f: d(d(f**2)),
    "laplacian(exp(x)*u)": lambda f: d(d(sympy.exp(X) * f)),
    "divergence((1 + x**2)*gradient(u**3))": lambda f: d((1 + X**2) * d(f**3)),
}


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("lower", ["dirichlet", "neumann", "robin"])
@pytest.mark.parametrize("formula", NESTS)
def test_nested_operators_keep_the_order(placement, formula, lower, order):
    source = str(-NESTS[formula](SOLUTION))
    errors = []
    for points in (16, 32):
        plan = custom(f"{formula} + ({source})", [points], boundary(SOLUTION, lower),
                      f"operators.order={order}")  # fmt: skip
        errors.append(distance_to_steady(plan, on_grid(plan, SOLUTION)))
    # the next term of the error is one order smaller: a slope between these sizes lacks up to 0.3
    assert np.log2(errors[0] / errors[1]) > order - 0.3, errors


def test_mixed_derivatives_with_values_that_vary_along_the_boundary(placement):
    """u = x*y has laplacian(u) + d_dx(d_dy(u)) = 1, which second-order differences give exactly."""
    plan = custom("laplacian(u) + d_dx(d_dy(u))", [12, 8], "boundary.default={dirichlet: 'x*y'}")
    rate = rates(plan, on_grid(plan, X * Y)[None])
    np.testing.assert_allclose(rate, 1.0, atol=1e-11)  # differences of numbers near 1 over h**2


def test_a_coefficient_across_a_boundary_is_a_second_order_flux(placement):
    """d_dx(k*d_dy(u)) with k(x, y), between Dirichlet values in x and periodic in y."""
    solution = sympy.sin(2 * sympy.pi * Y + X)
    mixed = d((1 + X) * sympy.diff(solution, Y))
    source = -(d(d(solution)) + sympy.diff(solution, Y, 2) + 0.3 * mixed)
    errors = []
    for points in (8, 16):
        plan = custom(f"laplacian(u) + 0.3*d_dx((1+x)*d_dy(u)) + ({source})", points,
                      "boundary.y=periodic", boundary(solution, "dirichlet"))  # fmt: skip
        errors.append(distance_to_steady(plan, on_grid(plan, solution)))
    assert np.log2(errors[0] / errors[1]) > 1.7, errors


def test_a_small_fourth_order_term_does_not_change_a_uniform_state(placement):
    """It took the value 0 for the whole of u - 1e-9*laplacian(u) on the boundary, in place of 1."""
    plan = custom("laplacian(u - 1e-9*laplacian(u))", [16], "boundary.default={dirichlet: 1}")
    np.testing.assert_array_equal(rates(plan, np.ones((1, 16))), 0.0)
    assert plan.problem.assumed_conditions == ["laplacian(u) = 0 on x lower, x upper"]


def test_the_second_condition_without_flux(placement):
    plan = make_plan("equation=cahn_hilliard", "grid=[16]", "boundary=neumann")
    assert plan.problem.assumed_conditions == [
        "normal derivative of laplacian(u) = 0 on x lower, x upper"
    ]
    state = np.random.default_rng(1).standard_normal((1, 16))
    plan = custom("laplacian(u**3 - u - laplacian(u))", [16], "boundary=neumann")
    total = rates(plan, state).sum()
    # no flux at either end: 16 rates of size 2 h**-4 = 1e5 add up to their rounding
    assert abs(total) < 1e-9


@pytest.mark.parametrize(
    "formula", ["laplacian(u**2)", "divergence(2*u*gradient(u))", "d_dx(2*u*d_dx(u))"]
)
def test_porous_medium_loses_what_leaves_through_a_zero_boundary(placement, formula):
    """At u = 0 the flux of u**2 does not vanish with the diffusivity 2u."""
    plan = custom(formula, [64], "boundary=dirichlet")
    state = on_grid(plan, sympy.sqrt(X * (1 - X)))  # u**2 = x(1 - x): the second derivative is -2
    flux = -rates(plan, state[None]).sum() / 64
    assert flux == pytest.approx(2.0, rel=0.02)  # both slopes of x(1 - x) are 1; error h


@pytest.mark.parametrize("formula", ["laplacian(abs(u))", "laplacian(cos(u))", "laplacian(u**4)"])
def test_an_even_function_has_its_own_value_on_the_boundary(placement, formula):
    """Evaluated on the odd extension of u it would be even: no flux."""
    plan = custom(formula, [16], "boundary=dirichlet")
    state = np.full((1, 16), 0.5)
    rate = rates(plan, state)
    assert np.all(rate[0, 1:-1] == 0) and np.all(np.abs(rate[0, [0, -1]]) > 1)


@pytest.mark.parametrize("coefficient", ["sqrt(x)", "log(1 + x)", "x**1.5", "sqrt(x*(1 - x))"])
@pytest.mark.parametrize("kind", ["dirichlet", "neumann"])
def test_coefficients_are_not_evaluated_outside_the_domain(placement, coefficient, kind):
    plan = custom(f"divergence({coefficient}*gradient(u)) + laplacian({coefficient}*u)", [16],
                  f"boundary={kind}")  # fmt: skip
    assert np.isfinite(rates(plan, np.ones((1, 16)))).all()


def test_the_flux_through_a_boundary_has_the_coefficient_on_the_face(placement):
    """D = sqrt(x) is 0 at x = 0: nothing passes, whatever the value there."""
    for value in (0, 5):
        plan = custom("divergence(sqrt(x)*gradient(u))", [16],
                      f"boundary.x={{lower: {{dirichlet: {value}}}, upper: neumann}}")  # fmt: skip
        np.testing.assert_allclose(rates(plan, np.ones((1, 16))), 0.0, atol=1e-12)


def test_a_checkerboard_is_damped(placement):
    wave = (-1.0) ** np.arange(16)
    for formula in ("d_dx((2 + sin(x))*d_dx(u))", "d_dx(sin(d_dx(u)))", "d_dx(u + x*d_dx(u))",
                    "d_dx(d_dx(u)*(1 + d_dx(u)**2))"):  # fmt: skip
        plan = custom(formula, [16], "domain.extent=6.283185307179586", "domain.origin=0.5")
        rate = rates(plan, wave[None])[0]
        assert (rate * wave).sum() < -100, formula  # 16 cells, each -4 D/h**2 with D from 0.5


def test_the_fast_layout_serves_compact_forms():
    from pdesim.engine.flat.eligibility import supports

    assert supports(custom("d_dx(d_dx(u)) + d_dx(u**2*d_dx(u))", [16]).problem)


@pytest.mark.parametrize(
    "text,wanted",
    [
        ("d_dx(d_dx(u))", "d2_dx2(u)"),
        ("d_dx(3*d_dx(u))", "3*d2_dx2(u)"),
        ("d_dx(u**2*d_dx(u) + u)", "d_dx(u) + divergence_x(u**2, u)"),
        ("d_dy(x*(d_dy(u) + u))", "d_dy(u*x) + divergence_y(x, u)"),
        ("d_dx(laplacian(d_dx(u)))", "d2_dx2(laplacian(u))"),
        ("d_dx(d_dy(u)*d_dx(u))", "divergence_x(d_dy(u), u)"),
        ("d_dx(1/d_dx(u))", "d_dx(1/d_dx(u))"),
    ],
)
def test_compact_forms(text, wanted):
    names = {name: sympy.Symbol(name, real=True) for name in ("x", "y", "u")}
    expression = parse(text, Scope(names, ("x", "y"), operators=True), "rhs")
    assert str(compact(expression, frozenset(names.values()))) == wanted


def transmission(k, jump):
    """-(D u')' = 0 with D = 1 and k on both sides of a jump, u(0) = 0, u(1) = 1."""
    flux = 1 / (jump + (1 - jump) / k)
    return sympy.Piecewise((flux * X, jump > X), (1 - flux * (1 - X) / k, True))


def test_the_harmonic_mean_meets_the_transmission_condition(placement):
    """Exactly, where the jump lies on a face; the arithmetic mean is of order 1."""
    text = "divergence(where(x < 0.5, 1, 1000)*gradient(u))"
    walls = "boundary.x={lower: {dirichlet: 0}, upper: {dirichlet: 1}}"
    errors = {"auto": [], "harmonic": [], "arithmetic": []}
    for mean, found in errors.items():
        for points in (16, 32):
            plan = custom(text, [points], walls, f"operators.face_mean={mean}")
            exact = on_grid(plan, transmission(1000, 0.5))
            found.append(distance_to_steady(plan, exact))
    assert max(errors["auto"] + errors["harmonic"]) < 1e-9  # the rounding of the solve
    first, second = errors["arithmetic"]
    assert first > 1e-3 and np.log2(first / second) < 1.2


@pytest.mark.parametrize(
    "sum_of_terms", ["(1 + 999*heaviside(x - 0.5))", "(1000 - 999*where(x < 0.5, 1, 0))"]
)
def test_a_coefficient_that_is_a_sum_has_one_mean(placement, sum_of_terms):
    """The harmonic mean of D = 1 + 999 H is not that of 999 H, which is 0 at the jump, plus 1."""
    walls = "boundary.x={lower: {dirichlet: 0}, upper: {dirichlet: 1}}"
    state = np.sin(np.arange(16))[None]
    found, wanted = (
        rates(custom(f"divergence({d}*gradient(u))", [16], walls), state)
        for d in (sum_of_terms, "where(x < 0.5, 1, 1000)")
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_flux_given_at_the_boundary_of_a_discontinuous_coefficient(placement):
    """The face on the boundary has D itself: with u' = 1/D there, the flux is 1 all along."""
    text = "divergence(where(x < 0.5, 1 + x, 10)*gradient(u))"
    walls = "boundary.x={lower: {neumann: -1}, upper: {dirichlet: 0}}"
    inside = sympy.log((1 + X) / sympy.Rational(3, 2)) - sympy.Rational(1, 20)
    solution = sympy.Piecewise((inside, X < 0.5), ((X - 1) / 10, True))
    errors = []
    for points in (16, 32):
        plan = custom(text, [points], walls)
        errors.append(distance_to_steady(plan, on_grid(plan, solution)))
    assert np.log2(errors[0] / errors[1]) > 1.8, errors


def test_a_coefficient_that_depends_on_a_field_keeps_the_arithmetic_mean(placement):
    """A harmonic mean of D = where(u > 0, u, 0) would stop a front that moves into u = 0."""
    state = np.where(np.arange(16) < 8, 1.0, 0.0)[None]
    text = "divergence(where(u > 0, u, 0)*gradient(u))"
    auto, harmonic = (
        rates(custom(text, [16], f"operators.face_mean={mean}"), state)[0, 8]
        for mean in ("auto", "harmonic")
    )
    assert auto > 1 and harmonic == 0
