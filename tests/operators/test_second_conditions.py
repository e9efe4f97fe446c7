"""Second boundary conditions of fourth-order operators: clamped, simply supported, without flux.

Right-hand sides are evaluated eagerly, as in test_nested; matrices of linear equations come from
one call for all unit vectors together. Nothing is compiled unless a test says so.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from conftest import make_plan
from test_nested import SOLUTION, X, Y, custom, d, distance_to_steady, on_grid, rates

from pdesim.errors import BoundaryError
from pdesim.operators.ghost_weights import clamped_weights

#: the first root of cosh(k) cos(k) = 1: a beam of length 1, clamped at both ends
CLAMPED = 4.730040744862704
#: the first positive root of tan(k) = tanh(k): clamped at one end, hinged at the other
PROPPED = 3.926602312047919
BIHARMONIC = "-laplacian(laplacian(u))"


def matrix(plan):
    """The Jacobian of a linear right-hand side whose boundary values are 0."""
    size = plan.grid.cells
    return rates(plan, np.eye(size).reshape(size, *plan.grid.shape)).reshape(size, size).T


BEAMS = {
    "boundary=clamped": CLAMPED,
    "boundary.x={dirichlet: 0, neumann: 0}": CLAMPED,
    "boundary=simply_supported": np.pi,
    "boundary.x={dirichlet: 0, laplacian: 0}": np.pi,
    "boundary.x={dirichlet: 0, laplacian: dirichlet}": np.pi,
    "boundary.x={lower: clamped, upper: simply_supported}": PROPPED,
    # u' = u''' = 0 at both ends has the modes cos(k pi x), and the constant with the rate 0
    "boundary.x={neumann: 0, laplacian: neumann}": np.pi,
}


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("boundary", BEAMS)
def test_the_slowest_decay_of_a_beam(placement, boundary, order):
    errors = []
    for points in (16, 32):
        plan = custom("-d4_dx4(u)", [points], boundary, f"operators.order={order}")
        decay = np.sort(-np.linalg.eigvals(matrix(plan)).real)
        errors.append(decay[1 if "{neumann" in boundary else 0] / BEAMS[boundary] ** 4 - 1)
    # on 16 cells the next term of the error changes the slope by up to 0.2
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25), errors
    assert plan.problem.assumed_conditions == []


def test_a_clamped_beam_under_a_constant_load(placement):
    """u'''' = 1 with u = u' = 0 at both ends: q x**2 (1 - x)**2 / 24."""
    errors = []
    for points in (16, 32, 64):
        plan = custom("1 - d4_dx4(u)", [points], "boundary=clamped")
        errors.append(distance_to_steady(plan, on_grid(plan, X**2 * (1 - X) ** 2 / 24)))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    # the largest deflection is 1/384; the slope tends to 2 from above
    assert errors[-1] < 1e-3 / 384 and np.all(abs(slopes - 2) < [0.25, 0.15]), (errors, slopes)


def conditions(pair, solution, across, place):
    """One side with the values that a solution has there; ``across`` is the coordinate."""
    outward = 1 if place else -1
    bulge = d(d(solution)) + sympy.diff(solution, Y, 2)

    def at(formula):
        return f"'{formula.subs(across, place)}'"

    slope, rise = (outward * sympy.diff(f, across) for f in (solution, bulge))
    return {
        "clamped": f"{{dirichlet: {at(solution)}, neumann: {at(slope)}}}",
        "supported": f"{{dirichlet: {at(solution)}, laplacian: {at(bulge)}}}",
        "flux": f"{{neumann: {at(slope)}, laplacian: {{neumann: {at(rise)}}}}}",
        "value, flux": f"{{dirichlet: {at(solution)}, laplacian: {{neumann: {at(rise)}}}}}",
        "flux, value": f"{{neumann: {at(slope)}, laplacian: {at(bulge)}}}",
        "robin": f"{{robin: {{a: 1, b: 0.5, value: {at(solution + slope / 2)}}}, "
        f"laplacian: {{robin: {{a: 2, b: 1, value: {at(2 * bulge + rise)}}}}}}}",
    }[pair]


#: formula -> what it is for a function f of x, by SymPy
FOURTH = {
    "laplacian(u**3 - u - laplacian(u))": lambda f: d(d(f**3 - f - d(d(f)))),
    "-d2_dx2((1 + x)*d2_dx2(u)) - u": lambda f: -d(d((1 + X) * d(d(f)))) - f,
}


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("pair", ["clamped", "supported", "flux", "value, flux", "flux, value",
                                  "robin"])  # fmt: skip
@pytest.mark.parametrize("formula", FOURTH)
def test_values_of_second_conditions(placement, formula, pair, order):
    """A solution that is neither even nor odd about the boundaries, with its own values there."""
    source, errors = str(-FOURTH[formula](SOLUTION)), []
    other = "clamped" if pair.startswith(("clamped", "flux")) else "supported"
    for points in (16, 32):
        plan = custom(
            f"{formula} + ({source})", [points], f"operators.order={order}",
            f"boundary.x={{lower: {conditions(pair, SOLUTION, X, 0)}, "
            f"upper: {conditions(other, SOLUTION, X, 1)}}}",
        )  # fmt: skip
        errors.append(distance_to_steady(plan, on_grid(plan, SOLUTION)))
    # the next term of the error is one order smaller: a slope between these sizes lacks up to 0.4
    assert np.log2(errors[0] / errors[1]) > order - 0.4, errors


def test_a_function_of_a_clamped_field_is_clamped_itself(placement):
    source, errors = str(sympy.diff(SOLUTION**2, X, 4)), []
    for points in (16, 32):
        sides = (conditions("clamped", SOLUTION, X, place) for place in (0, 1))
        plan = custom(f"-laplacian(laplacian(u**2)) + ({source})", [points],
                      "boundary.x={{lower: {}, upper: {}}}".format(*sides))  # fmt: skip
        errors.append(distance_to_steady(plan, on_grid(plan, SOLUTION)))
    assert np.log2(errors[0] / errors[1]) > 1.7, errors


@pytest.mark.parametrize("formula", [BIHARMONIC, "-d4_dx4(u) - 2*d2_dx2(d2_dy2(u)) - d4_dy4(u)"])
@pytest.mark.parametrize("pairs", [("clamped", "clamped"), ("clamped", "supported")])
def test_plates_with_values_that_vary_along_the_edges(placement, formula, pairs):
    solution = sympy.sin(1.3 * X + 0.2) * sympy.cos(1.1 * Y + 0.3) + 2
    source = solution
    for _ in range(2):
        source = d(d(source)) + sympy.diff(source, Y, 2)
    errors = []
    for points in (8, 16):
        edges = [
            f"boundary.{axis}={{lower: {conditions(pair, solution, axis, 0)}, "
            f"upper: {conditions(pair, solution, axis, 1)}}}"
            for axis, pair in zip((X, Y), pairs, strict=True)
        ]
        plan = custom(f"{formula} + ({source})", points, *edges)
        errors.append(distance_to_steady(plan, on_grid(plan, solution)))
    # on cells as large as 1/8 the next term of the error takes up to 0.25 of the slope
    assert np.log2(errors[0] / errors[1]) > 1.7, errors


def test_cahn_hilliard_without_flux_is_the_same_stated_or_assumed(placement):
    state = np.random.default_rng(1).standard_normal((1, 16))
    formula = "laplacian(u**3 - u - laplacian(u))"
    assumed = custom(formula, [16], "boundary=neumann")
    stated = custom(formula, [16], "boundary.x={neumann: 0, laplacian: neumann}")
    np.testing.assert_array_equal(rates(stated, state), rates(assumed, state))
    # 16 rates of size 2 h**-4 = 1e5 add up to their rounding
    assert abs(rates(stated, state).sum()) < 1e-9
    assert stated.problem.stated_conditions == assumed.problem.assumed_conditions
    assert stated.problem.assumed_conditions == assumed.problem.stated_conditions == []


def test_a_flux_of_the_laplacian_is_what_leaves(placement):
    """u_t = -laplacian(laplacian(u)) with d(laplacian(u))/dn = -3 on one side: mass grows by 3."""
    plan = custom(BIHARMONIC, [16], "boundary.x={lower: {neumann: 0, laplacian: {neumann: -3}}, "
                  "upper: {neumann: 0, laplacian: neumann}}")  # fmt: skip
    # 16 rates of size 4e5 add up to their rounding
    assert rates(plan, np.cos(np.arange(16.0))[None]).mean() == pytest.approx(3, abs=1e-9)


def test_clamped_ghost_cells_continue_polynomials():
    """A polynomial of degree known + 1 is its own continuation."""
    p, h = np.polynomial.Polynomial([0.3, -1.2, 0.7, 0.4, -0.2]), 0.1
    weights, of_value, of_slope = clamped_weights(h, 4, 3)
    cells, ghosts = p(h * (np.arange(3) + 0.5)), p(-h * (np.arange(4) + 0.5))
    # the outward normal derivative on a lower face is -dp/dx
    found = weights @ cells + of_value * p(0) - of_slope * p.deriv()(0)
    np.testing.assert_allclose(found, ghosts, atol=1e-12)  # weights of size 100


@pytest.mark.parametrize("sides", ["clamped", "{lower: clamped, upper: simply_supported}",
                                   "{dirichlet: 0, laplacian: neumann}"])  # fmt: skip
@pytest.mark.parametrize(("dimensions", "points"), [(1, 24), (2, 10)])
@pytest.mark.parametrize("order", [2, 4])
def test_the_stability_limit_holds(placement, sides, dimensions, points, order):
    """Against all eigenvalues of the discrete operator."""
    from pdesim.steppers import build_stepper
    from pdesim.steppers.stability import linearise, stable_step

    grid = [points] if dimensions == 1 else points
    plan = custom(BIHARMONIC, grid, f"boundary.default={sides}", f"operators.order={order}")
    rate = np.linalg.eigvals(matrix(plan))
    # real but for rounding, and damped: Euler is stable up to 2 / |rate|
    fastest = np.abs(rate).max()
    assert np.abs(rate.imag).max() < 1e-9 * fastest and rate.real.max() < 1e-9 * fastest
    limit = stable_step(
        build_stepper("euler", plan.problem), linearise(plan.problem, plan.state, 0.0), 1e9
    )
    # at order 4 the limit allows for plain second differences, which may be stiffer
    assert (0.9 if order == 2 else 0.6) < limit * fastest / 2 < 1 + 1e-8


def test_a_clamped_beam_in_time(evolve):
    """The mode of a clamped beam decays at its rate, compiled, with a condition that moves.

    5*x*t is added to it: its value and slope at the boundaries change in time.
    """
    k = CLAMPED
    ratio = float((np.cosh(k) - np.cos(k)) / (np.sinh(k) - np.sin(k)))
    mode = f"cosh({k!r}*x) - cos({k!r}*x) - {ratio!r}*(sinh({k!r}*x) - sin({k!r}*x))"
    end = 1 / k**4
    run = evolve(
        "equation=custom", "equation.rhs={u: '5*x - d4_dx4(u)'}", f"initial.u='{mode}'",
        "boundary.x={lower: {dirichlet: 0, neumann: '-5*t'}, "
        "upper: {dirichlet: '5*t', neumann: '5*t'}}",
        "grid=[32]", f"time.end={end!r}", "output.frames=1", "stepper=rk4",
    )  # fmt: skip
    x = run.coordinates["x"]
    first = run.field("u")[0]
    np.testing.assert_allclose(
        run.field("u")[-1] - 5 * x * end, first / np.e, atol=6e-3 * first.max()
    )  # the rate errs by 4e-3 on 32 cells, the mode by as much
    assert run.plan.problem.is_time_dependent


@pytest.mark.parametrize(
    ("formula", "boundary", "message"),
    [
        ("laplacian(u)", "boundary=clamped", "derivatives are of order 2"),
        ("-d_dx(u)", "boundary=simply_supported", "derivatives are of order 1"),
        (BIHARMONIC, "boundary.x={dirichlet: 0, neumann: 0, laplacian: 0}", "one condition; or"),
        (BIHARMONIC, "boundary.x={laplacian: 0}", "laplacian in addition to dirichlet"),
        (BIHARMONIC, "boundary.x={neumann: 0, robin: {a: 1, b: 1}}", "neumann and robin"),
        (BIHARMONIC, "boundary.x={dirichlet: 0, laplacian: periodic}", "as for a field"),
        (BIHARMONIC, "boundary.x={dirichlet: 0, laplacain: 0}", "did you mean 'laplacian'"),
        (BIHARMONIC, "boundary.x=clampd", "did you mean 'clamped'"),
        ("-laplacian(laplacian(u**2))", "boundary=simply_supported", "do not determine"),
        ("laplacian(laplacian(laplacian(u)))", "boundary=clamped", "do not determine"),
        ("-laplacian(divergence((1+x)*gradient(u)))", "boundary=clamped", "do not determine"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(formula, boundary, message):
    with pytest.raises(BoundaryError, match=message):
        custom(formula, [16], boundary)


@pytest.mark.parametrize(
    ("boundary", "possible"),
    [
        ("simply_supported", True),
        ("{neumann: 0, laplacian: neumann}", True),
        ("clamped", False),
        ("{dirichlet: 0, laplacian: neumann}", False),
        ("{dirichlet: 0, laplacian: 1}", False),
    ],
)
def test_spectral_operators_meet_the_conditions_of_their_series(boundary, possible):
    words = ("-d4_dx4(u)", [16], f"boundary.default={boundary}", "operators=spectral")
    if not possible:
        with pytest.raises(BoundaryError, match="cannot satisfy the second condition"):
            custom(*words)
    else:
        assert len(custom(*words).problem.stated_conditions) == 1


def test_steppers_that_need_modes_say_why_they_do_not_apply():
    from pdesim.errors import StepperError

    words = ("equation=custom", f"equation.rhs={{u: '{BIHARMONIC}'}}", "grid=[16]")
    with pytest.raises(
        StepperError, match="no sine or cosine basis satisfies the second conditions along x"
    ):
        make_plan(*words, "stepper=exact", "boundary=clamped")
    make_plan(*words, "stepper=exact", "boundary=simply_supported")
    assert make_plan(*words, "stepper=implicit_euler", "boundary=clamped").evolution is not None


def test_a_second_condition_stays_with_one_field():
    """A plate in motion: only u is differentiated, so the condition of w does not matter."""
    words = ("equation=custom", "grid=[16]", "boundary=clamped")
    plan = make_plan(*words, f"equation.rhs={{u: w, w: '{BIHARMONIC}'}}")
    assert plan.problem.stated_conditions == [
        "u = 0 and normal derivative of u = 0 on x lower, x upper"
    ]
    damped = f"equation.rhs={{u: w, w: '{BIHARMONIC} + laplacian(w)'}}"
    with pytest.raises(BoundaryError, match="w has two conditions"):
        make_plan(*words, damped)
    make_plan(*words, damped, "boundary.w.x=dirichlet")


@pytest.mark.parametrize(
    "boundary", ["clamped", "{lower: clamped, upper: {neumann: 0, laplacian: neumann}}"]
)
def test_verify_measures_stated_conditions(placement, boundary):
    from pdesim.verify import orders
    from pdesim.verify.run import describe_boundary

    plan = make_plan("equation=cahn_hilliard", f"boundary.default={boundary}", "grid=[32]",
                     "operators=stencil", "time.unsafe=true", "stepper=rk4")  # fmt: skip
    measured = orders.measure_space(plan.problem, (16, 24, 36))
    assert measured.order == pytest.approx(2, abs=0.1), measured
    assert describe_boundary(plan.problem).startswith("dirichlet and neumann")


def test_a_run_states_and_stores_its_conditions(tmp_path, capsys):
    """Printed before the run, in the file and in ``pdesim info``; resumed bit for bit."""
    import pdesim
    from pdesim.cli.run_table import show_info
    from pdesim.output.summary import summarize

    words = ("equation=custom", f"equation.rhs={{u: '{BIHARMONIC}'}}", "grid=[16]",
             "initial.u='x**2*(1-x)**2'", "stepper=euler", "time.dt=1e-8", "output.every=1e-7",
             "animation=none", "boundary.x={lower: clamped, upper: dirichlet}")  # fmt: skip
    part = tmp_path / "part"
    pdesim.simulate(*words, "time.end=2e-7", folder=part, quiet=False)
    told = capsys.readouterr()
    clamped = "u = 0 and normal derivative of u = 0 on x lower"
    assert f"stated boundary condition: {clamped}" in told.err + told.out
    assert "assumed boundary condition: laplacian(u) = 0 on x upper" in told.err + told.out
    show_info(str(part), as_json=False)
    assert f"{clamped} (stated)" in capsys.readouterr().out
    assert summarize(part).second_conditions == (
        f"{clamped} (stated)", "laplacian(u) = 0 on x upper (assumed)",
    )  # fmt: skip
    again = pdesim.resume(part, "time.end=4e-7")
    whole = pdesim.simulate(*words, "time.end=4e-7", folder=tmp_path / "whole")
    with again.snapshots as a, whole.snapshots as b:
        np.testing.assert_array_equal(a["u"][:], b["u"][:])
