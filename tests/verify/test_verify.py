"""Orders measured by manufactured solutions: a representative of the matrix, and the command."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import make_plan

from pdesim.verify.manufactured import VANISHING

BASE = ("grid=[32]", "time.unsafe=true", "stepper=rk4")


SLOW = [
    pytest.param(*pair, marks=pytest.mark.slow)
    for pair in (
        ("bogacki_shampine", "stencil"),
        ("etdrk1", "spectral"),
        ("etdrk3", "spectral"),
        ("etdrk4", "stencil"),
        ("cnab2", "spectral"),
    )
]


@pytest.fixture(scope="module")
def orders(placement):
    from pdesim.verify import orders

    return orders


@pytest.mark.parametrize(
    "equation,walls,order",
    [
        ("heat", "neumann", 4),
        pytest.param("heat", "dirichlet", 2, marks=pytest.mark.slow),
        pytest.param("gray_scott", "periodic", 6, marks=pytest.mark.slow),
        pytest.param("wave", "dirichlet", 4, marks=pytest.mark.slow),
    ],
)
def test_order_in_space(orders, equation, walls, order):
    plan = make_plan(f"equation={equation}", f"boundary={walls}", f"operators.order={order}", *BASE)
    measured = orders.measure_space(plan.problem)
    assert measured.passed and measured.order > order - 0.2, measured


@pytest.mark.slow
def test_robin_walls_keep_the_order(orders):
    plan = make_plan("equation=heat", "boundary.default={robin: {a: 1, b: 0.3, value: 0}}",
                     "operators.order=4", *BASE)  # fmt: skip
    assert orders.measure_space(plan.problem).order > 3.8


@pytest.mark.parametrize("walls", ["dirichlet", "neumann"])
def test_spectral_between_walls(orders, walls):
    plan = make_plan("equation=heat", f"boundary={walls}", "operators=spectral", *BASE)
    assert orders.measure_space(plan.problem).errors[-1] < 1e-11


@pytest.mark.slow
@pytest.mark.parametrize("order", [2, 4, 6])
def test_order_of_a_variable_diffusivity(orders, order):
    flux = "divergence((1 + 0.3*u + 0.2*x)*gradient(u))"
    rhs = f"equation.rhs={{u: '{flux}'}}"
    plan = make_plan("equation=custom", rhs, "boundary=neumann", f"operators.order={order}", *BASE)
    measured = orders.measure_space(plan.problem)
    assert measured.order > order - 0.2, measured


@pytest.mark.parametrize(
    "stepper,operators",
    [
        ("dormand_prince", "stencil"),
        ("rkl2", "stencil"),
        ("etdrk4", "spectral"),
        ("sbdf2", "stencil"),
        *SLOW,
    ],
)
def test_order_in_time_on_gray_scott(orders, stepper, operators):
    plan = make_plan("equation=gray_scott", f"operators={operators}", *BASE)
    measured = orders.measure_time(plan.problem, stepper)
    assert measured.passed, measured


@pytest.mark.parametrize(
    "stepper,walls",
    [
        pytest.param("implicit_euler", "periodic", marks=pytest.mark.slow),
        pytest.param("crank_nicolson", "dirichlet", marks=pytest.mark.slow),
        # a Robin wall has no sines and cosines: conjugate gradients
        ("crank_nicolson", "{robin: {a: 1, b: 0.3, value: 0}}"),
    ],
)
def test_order_in_time_of_implicit_steppers(orders, stepper, walls):
    plan = make_plan("equation=heat", f"boundary.default={walls}", *BASE)
    measured = orders.measure_time(plan.problem, stepper)
    assert measured.passed, measured


@pytest.mark.parametrize(
    "equation",
    ["burgers", "cahn_hilliard", "fitzhugh_nagumo", "neural_field",
     *(pytest.param(name, marks=pytest.mark.slow)
       for name in ("allen_cahn", "brusselator", "kuramoto_sivashinsky", "swift_hohenberg"))],
)  # fmt: skip
def test_every_equation_with_what_it_runs_by_default(placement, equation):
    from pdesim.verify.run import verify_plan

    rows = list(verify_plan(make_plan(f"equation={equation}", "grid=[32]", "time.unsafe=true")))
    assert [row.kind for row in rows] == ["space", "time"]
    assert all(row.passed for row in rows), rows


def test_order_of_a_steady_problem_whose_mean_is_free(placement):
    from pdesim.verify.run import verify_plan

    (row,) = verify_plan(make_plan("equation=poisson", "grid=16", "boundary=neumann"))
    assert row.measurement.order == pytest.approx(2, abs=0.1)


def test_order_of_an_indefinite_problem_between_walls_without_flux(placement):
    """Its waves are longer than the cells, and its mean is not free."""
    from pdesim.verify.run import verify_plan

    (row,) = verify_plan(make_plan("equation=helmholtz", "grid=16"))
    assert row.measurement.order == pytest.approx(2, abs=0.1)


def test_layers_thinner_than_a_cell_have_no_order_yet(orders):
    """Burgers is measured where its viscosity matters: cells that it smooths within a crossing."""
    problem = make_plan("equation=burgers", "boundary=neumann", *BASE).problem
    cell = orders.with_dominant_derivatives(problem).grid.extent[0] / min(orders.SIZES[1])
    assert cell < problem.parameters["nu"]  # the speed is about one


SHORT = (16, 24, 36)  # enough to tell a claim that holds from orders near 0


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "{robin: {a: 1, b: 0.5, value: 0}}"])
def test_fourth_order_with_values_at_the_boundary(orders, boundary):
    """The solution meets the second condition that is assumed, and is neither even nor odd."""
    plan = make_plan("equation=cahn_hilliard", f"boundary.default={boundary}",
                     "operators=stencil", *BASE)  # fmt: skip
    assert orders.measure_space(plan.problem, SHORT).order == pytest.approx(2, abs=0.1)


def test_nested_operators_extended_like_the_field_are_noticed(orders, monkeypatch):
    """The rule that pdesim once had: an operator has the homogeneous condition of the field."""
    from pdesim.operators.conditions import Conditions

    def as_the_field(conditions, node, axis, side):
        wall = conditions.boundary.walls[0][axis][side]
        return wall if node in conditions.fields else wall.homogeneous

    plan = make_plan("equation=cahn_hilliard", "boundary=dirichlet", "operators=stencil", *BASE)
    monkeypatch.setattr(Conditions, "condition", as_the_field)
    assert not orders.measure_space(plan.problem, SHORT).passed


POROUS = ("equation=custom", "equation.rhs={u: 'laplacian(u**2)'}", "boundary=dirichlet", *BASE)


def test_a_flux_through_a_boundary_where_the_diffusivity_vanishes(orders):
    measured = orders.measure_space(make_plan(*POROUS).problem, SHORT, case=VANISHING)
    assert measured.claimed == 1.5 and measured.passed, measured


def test_a_boundary_that_becomes_impermeable_is_noticed(orders, monkeypatch):
    """u**2 on the odd extension of u is even about a boundary at 0: no flux passes."""
    from pdesim.operators.conditions import Conditions

    problem = make_plan(*POROUS).problem
    monkeypatch.setattr(Conditions, "_value", lambda *_: None)
    assert not orders.measure_space(problem, SHORT, case=VANISHING).passed


JUMP = "divergence(where(x < 0.5, 1, 10)*gradient(u))"


def custom_problem(formula, *more):
    return make_plan("equation=custom", f"equation.rhs={{u: '{formula}'}}", *BASE, *more).problem


def test_the_kink_where_a_coefficient_jumps(orders):
    """The solution has continuous values and fluxes; the harmonic mean keeps order 2."""
    measured = orders.measure_space(custom_problem(JUMP, "boundary=neumann"), SHORT)
    # the slopes of three coarse grids lack up to 0.1
    assert measured.claimed == 2 and measured.order == pytest.approx(2, abs=0.1), measured


@pytest.mark.parametrize(
    "formula,more",
    [
        (JUMP, "operators.face_mean=arithmetic"),
        (JUMP, "operators.order=4"),
        ("divergence(where(x < 0.5, 1, 10)*u*gradient(u))", "operators.order=2"),
        (f"{JUMP} + d_dx(u)", "operators.order=2"),
    ],
)
def test_what_is_claimed_at_other_jumps(formula, more):
    from pdesim.verify.claims import claimed_order
    from pdesim.verify.manufactured import usual_case

    problem = custom_problem(formula, "boundary=dirichlet", more)
    assert claimed_order(problem, usual_case(problem)) == 1


@pytest.mark.parametrize(
    "equation,order",
    [
        (("equation=wave",), 4 / 3),
        # a friction that is the same for all waves
        (("equation=wave", "equation.damping=3"), 4 / 3),
        (("equation=custom", "equation.rhs={u: w, w: 'laplacian(u) + 0.1*laplacian(w)'}"), 2),
        # waves decay, but more slowly than they oscillate
        (("equation=ginzburg_landau", "equation.b=20"), 2),
        (("equation=schroedinger", "equation.V=0", "initial.psi=0"), 4 / 3),
        (("equation=korteweg_de_vries",), 4 / 3),
    ],
)
def test_undamped_waves_lose_order_at_dirichlet_boundaries(equation, order):
    from pdesim.verify.claims import claimed_order
    from pdesim.verify.manufactured import usual_case

    problem = make_plan(*equation, "boundary=dirichlet", "operators=stencil", "grid=[32]").problem
    assert claimed_order(problem, usual_case(problem)) == pytest.approx(order)


def test_the_solutions_that_an_equation_is_measured_with():
    from pdesim.verify.run import cases_of

    porous = "divergence({}u*gradient(u))"
    assert cases_of(make_plan(*POROUS).problem) == [None, VANISHING]
    assert cases_of(custom_problem(porous.format(""), "boundary=dirichlet")) == [None, VANISHING]
    # one that is smooth where the coefficient jumps is no solution
    jump = porous.format("where(x < 0.5, 1, 10)*")
    assert cases_of(custom_problem(jump, "boundary=dirichlet")) == [None]


def test_an_arithmetic_mean_where_the_harmonic_one_is_claimed_is_noticed(orders, monkeypatch):
    from pdesim.operators import differences, stencil

    def arithmetic(neighbour, grid, axis, side, boundary):
        here, there = (neighbour(differences.along(grid, axis, n)) for n in (0, side))
        return 0.5 * (here + there)

    monkeypatch.setattr(stencil, "_harmonic", arithmetic)
    measured = orders.measure_space(custom_problem(JUMP, "boundary=dirichlet"), SHORT)
    assert measured.claimed == 2 and not measured.passed, measured


@pytest.mark.parametrize(
    "coefficient,place,ratio",
    [
        ("where(x < 0.5, 1, 10)", 0.5, 0.1),
        ("(1 + 3*heaviside(x - 0.3))", 0.3, 0.25),
        ("(1 + u**2)*where(x > k, 2, 1)", 0.7, 0.5),
        ("where(0.2 < x, where(x < 0.6, 4, 1), 1)", 0.2, 0.25),
    ],
)
def test_where_a_coefficient_jumps_and_by_how_much(coefficient, place, ratio):
    from pdesim.verify.jumps import find_jump, window

    parameters = ["equation.k=0.7"] if "k" in coefficient else []
    problem = custom_problem(f"divergence({coefficient}*gradient(u))", *parameters)
    jump = find_jump(problem)
    assert jump.position == pytest.approx(place, abs=1e-12)
    assert jump.ratios == pytest.approx((ratio,), rel=1e-8)
    grid = window(problem, jump).grid
    # in the middle, inside the domain, without the next jump
    assert grid.origin[0] + grid.extent[0] / 2 == pytest.approx(place)
    assert grid.origin[0] > -1e-12 and grid.extent[0] <= 2 * min(place, 1 - place) + 1e-12
    if "0.6" in coefficient:
        assert grid.origin[0] + grid.extent[0] < 0.6


@pytest.mark.parametrize(
    "formula",
    [
        "divergence(where(r < 0.2, 1, 10)*gradient(u))",  # not at one value of a coordinate
        "divergence(where(u < 0.5, 1, 10)*gradient(u))",  # where a field says so
        "divergence(where(x < 0.5 + 0.1*t, 1, 10)*gradient(u))",
        "divergence(where(x < 0.5, 0, 1)*gradient(u))",
        f"{JUMP} + laplacian(u)",  # the laplacian of a kink
        "divergence(where(x < 0.5, 1, 10)*gradient(u)) + laplacian(laplacian(u))",
    ],
)
def test_jumps_without_a_solution_are_said(formula):
    from pdesim.errors import ConfigError
    from pdesim.verify.manufactured import manufacture

    problem = custom_problem(formula, "grid=[16,16]", "boundary=dirichlet")
    with pytest.raises(ConfigError, match="no manufactured solution") as raised:
        manufacture(problem, 1.0)
    assert "pdesim converge" in str(raised.value)


BALL = "domain.mask='where(r < 0.2, 1, 0)'"


def obstacle(orders, kind, case=None, sizes=SHORT, grid="grid=[32]"):
    plan = make_plan("equation=heat", "boundary=dirichlet", BALL, f"boundary.mask={kind}", *BASE,
                     grid)  # fmt: skip
    return orders.measure_space(plan.problem, sizes, case)


@pytest.mark.parametrize("kind", ["neumann", "{dirichlet: 0.5}"])
def test_order_two_at_an_obstacle_that_follows_the_cells(orders, kind):
    measured = obstacle(orders, kind)
    assert measured.claimed == 2 and measured.order == pytest.approx(2, abs=0.1), measured


def test_order_two_at_the_corners_of_an_obstacle(orders):
    # two sizes are enough beside order 1; the slope between them lacks up to 0.15
    measured = obstacle(orders, "neumann", sizes=(16, 24), grid="grid=[32,32]")
    assert measured.claimed == 2 and measured.order > 1.8, measured


def test_order_one_at_an_obstacle_that_crosses_cells(orders):
    from pdesim.verify.manufactured import TURNED_OBSTACLE

    measured = obstacle(orders, "{dirichlet: 0.5}", TURNED_OBSTACLE, (16, 24), "grid=[32,32]")
    assert measured.claimed == 1 and 0.8 < measured.order < 1.8, measured


@pytest.mark.parametrize("kind", ["neumann", "{dirichlet: 0.5}"])
def test_wrong_faces_of_obstacles_are_noticed(orders, monkeypatch, kind):
    """Faces without flux that let it through; a value that is held behind the face, not on it."""
    from pdesim.operators.finite_differences import Differences

    reader = Differences._reader

    def permeable(self, padded, wall):
        return reader(self, padded, None)

    def held_behind(self, padded, wall):
        solid = self.system.problem.mask.padded(self.halo, [False] * self.grid.dimensions)
        held = np.where(solid, float(wall.value), 0.0)
        return reader(self, padded * ~solid + held, None)

    monkeypatch.setattr(Differences, "_reader", permeable if kind == "neumann" else held_behind)
    assert not obstacle(orders, kind).passed


def test_ghost_cells_of_a_lower_order_are_noticed(orders, monkeypatch):
    """The ghosts of order 2 beside the stencils of order 4."""
    from pdesim.operators import ghost_weights

    monkeypatch.setattr(ghost_weights, "extrapolation_points", lambda order, points, clamped: 1)
    plan = make_plan("equation=heat", "boundary=neumann", "operators.order=4", *BASE)
    assert not orders.measure_space(plan.problem, SHORT).passed


def test_boundary_values_that_stand_still_are_noticed(orders, monkeypatch):
    """Those of the first instant, all the time."""
    import tensorflow as tf

    from pdesim.operators.finite_differences import Differences

    on_face = Differences._on_face

    def at_first(self, axis, side):
        self.time = tf.zeros_like(self.time)
        return on_face(self, axis, side)

    monkeypatch.setattr(Differences, "_on_face", at_first)
    plan = make_plan("equation=heat", "boundary=dirichlet", *BASE)
    assert not orders.measure_space(plan.problem, SHORT).passed


def test_a_spectral_flux_with_a_coefficient_of_its_own(orders):
    problem = custom_problem("divergence((1 + 0.3*u**2)*gradient(u))", "boundary=dirichlet",
                             "operators=spectral")  # fmt: skip
    assert orders.measure_space(problem).errors[-1] < 1e-11


def test_what_verify_measures_around_obstacles(placement, monkeypatch):
    from pdesim.verify import run

    measured = []
    monkeypatch.setattr(run, "measure_space", lambda problem, case: measured.append(case) or case)
    monkeypatch.setattr(run, "row_of", lambda *row: row)
    monkeypatch.setattr(run, "measure_time", lambda *_: "time")
    plan = make_plan("equation=heat", "boundary=neumann", BALL, *BASE, "grid=[32,32]")
    rows = list(run.verify_plan(plan))
    assert measured == [None, "turned"] and rows[-1][-1] == "time"
    assert rows[0][1] == "neumann, obstacle neumann"


def test_the_matrix_covers_every_kind_of_operator_once():
    from pdesim.verify.command import _matrix_jobs, measured_equations
    from pdesim.verify.matrix import CASES

    names = measured_equations()
    jobs = _matrix_jobs(names, [], None, complete=False)
    words = [" ".join(job) for job, _ in jobs]
    assert all(any(f"equation={name} " in job for job in words) for name in names)
    parts = [part for _, part in jobs if part is not None]
    # less than all of everything, which would take an hour; all of something
    assert 4 <= sum(part.every_scheme for part in parts) < len(parts)
    assert {kind for part in parts for kind in part.steppers} >= {"stencil", "spectral"}
    assert any(part.stiff for part in parts)
    assert [part for _, part in jobs[-len(CASES) :]] == [None] * len(CASES)
    for job, _ in jobs[-len(CASES) :]:
        make_plan(*job)
    assert all(part.every_scheme for _, part in _matrix_jobs(names[:1], [], None, complete=True))


def test_what_is_left_of_orders_where_a_reaction_depends_on_a_field():
    from pdesim.verify.claims import stiff_order

    heat, allen_cahn = (
        make_plan(f"equation={name}", "boundary=dirichlet", *BASE).problem
        for name in ("heat", "allen_cahn")
    )
    names = ("etdrk2", "etdrk3", "etdrk4", "rkl2")
    assert [stiff_order(heat, name) for name in names] == [2, 3, 3, 2]
    assert [stiff_order(allen_cahn, name) for name in names] == [2, 2, 2, 2]


def test_the_order_of_etdrk4_at_boundary_values_that_change_in_time(orders):
    """Four on coarse grids, three where steps are long beside the fastest rates."""
    problem = make_plan("equation=heat", "boundary=dirichlet", *BASE).problem
    measured = orders.measure_time(problem, "etdrk4", stiff=True)
    assert measured.claimed == 3 and measured.passed, measured
    # a claim of the order that it has elsewhere is noticed
    assert not dataclasses.replace(measured, claimed=4).passed


def test_order_of_the_symplectic_composition(orders):
    measured = orders.measure_time(make_plan("equation=wave", *BASE).problem, "yoshida4")
    assert measured.order > 3.8


def test_a_missed_order_is_noticed(orders):
    sizes = (0.1, 0.05, 0.025)
    assert not orders.Measurement("x", sizes, tuple(s**1.5 for s in sizes), 2).passed
    assert orders.Measurement("x", sizes, tuple(s**1.9 for s in sizes), 2).passed
    assert not orders.Measurement("x", sizes, (1e-3, 1e-4, 1e-5), None).passed
    # far from the solution, a slope means nothing
    assert not orders.Measurement("x", sizes, tuple(1e9 * s**2 for s in sizes), 2).passed


def test_the_slack_is_narrow_where_round_off_allows(orders):
    """Slopes of h^p + c h^(p+1) increase to p; the fit of asymptotic errors is within 0.1 of it."""
    sizes = np.array([0.1, 0.05, 0.025, 0.0125])
    clean = orders.Measurement("x", tuple(sizes), tuple(sizes**1.85), 2)
    assert clean.slack == 0.1 and not clean.passed
    early = orders.Measurement("x", tuple(sizes), tuple(sizes**2 + 10 * sizes**2.5), 2)
    assert early.slack == 0.2
    noisy = orders.Measurement("x", tuple(sizes), tuple(sizes**2), 2, floor=1e-5)
    assert noisy.slack == 0.2 and noisy.at_roundoff and len(noisy.fit_data[0]) == 3


@pytest.mark.parametrize("equation", ["heat", "wave"])
@pytest.mark.parametrize("walls", [".default=periodic", "={x: dirichlet, y: neumann}"])
@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_exact_modes_in_one_step(placement, equation, walls, operators):
    """On every kind of axis, and of one and of two fields."""
    from pdesim.verify.exact import compare_exact_mode

    plan = make_plan(f"equation={equation}", "grid=[16,12]", f"boundary{walls}",
                     f"operators={operators}", "time.unsafe=true")  # fmt: skip
    assert compare_exact_mode(plan.problem).error < 1e-12


def test_the_command(command, tmp_path):
    done = command("verify", "equation=heat", "grid=[32]", "stepper=heun", "hydra.run.dir=out",
                   "--markdown", "table.md", fresh=True)  # fmt: skip
    assert "stencil 2" in done.stdout and "heun" in done.stdout
    rows = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert {row["refined"] for row in rows} == {"space", "time", "exact mode"}
    assert all(row["holds"] == "yes" for row in rows)
    assert (tmp_path / "out" / "verify.png").stat().st_size > 10_000
    assert "| heat | periodic |" in (tmp_path / "table.md").read_text()


def test_a_measurement_that_raises_is_a_row(placement, monkeypatch):
    from pdesim.verify import run

    def fail(problem, stepper=None, case=None):
        raise ValueError("no | luck\nat all")

    monkeypatch.setattr(run, "measure_space", fail)
    monkeypatch.setattr(run, "measure_time", fail)
    plan = make_plan("equation=heat", "boundary=periodic", *BASE)
    rows = list(run.verify_matrix(plan, run.BOUNDARIES[:1]))
    assert not any(row.passed for row in rows if row.kind != "exact mode")
    assert rows[0].cells[3] == "stencil 2: no / luck" and len(rows) > 10


def test_an_equation_that_fails_leaves_the_others_their_rows(placement):
    from pdesim.verify.command import _measure_in_subprocess

    (row,) = _measure_in_subprocess(["equation=custom", "equation.rhs={u: 'q*u'}"], None)
    assert not row.passed and row.cells[0] == "custom" and "'q'" in row.cells[3]


def test_a_users_own_equation(command, tmp_path):
    folder = tmp_path / "my" / "equation"
    folder.mkdir(parents=True)
    (folder / "fisher.yaml").write_text("rhs: {n: 'a*n*(1 - n) + 0.1*laplacian(n)'}\na: 2\n")
    # few grids of few cells, which spectral operators are measured on
    quick = ("grid=[32]", "operators=spectral", "stepper=rk4")
    command("verify", "--config-dir", "my", "equation=fisher", *quick)
    told = command("verify", "--config-dir", "my", "equation=fisher", "stepper=exact", check=2)
    assert "linear" in told.stderr


def test_dealiasing_removes_the_upper_third(placement):
    from made_plans import right_hand_side

    overrides = ("equation=custom", "equation.rhs={u: 'u**2'}", "operators=spectral", "grid=[24]",
                 "domain.extent=1", "stepper=euler", "time.unsafe=true")  # fmt: skip
    x = (np.arange(24) + 0.5) / 24
    state = np.cos(2 * np.pi * 5 * x)[None]  # its square has modes 0 and 10; the limit is 8
    squares = {}
    for dealias in ("false", "true"):
        plan = make_plan(*overrides, f"operators.dealias={dealias}")
        squares[dealias] = np.abs(np.fft.rfft(right_hand_side(plan, state)[0]))
    plain, cut = squares.values()
    assert plain[10] > 1 and cut[10] < 1e-12 and cut[0] == pytest.approx(plain[0])


@pytest.mark.parametrize("together", [True, False])
def test_each_row_is_printed_once_where_both_streams_end(tmp_path, together):
    """Progress has all values only if the table is printed elsewhere."""
    words = ("verify", "equation=heat", "grid=[16]", "stepper=exact", "hydra.run.dir=out")
    done = subprocess.run(
        [sys.executable, "-m", "pdesim", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "120"},
    )
    assert done.returncode == 0
    rows = json.loads((tmp_path / "out/verify.json").read_text())
    for number, row in enumerate(rows, start=1):
        assert done.stdout.count(row["last error"]) == 1
        if together:
            assert f"measured {number}: heat" in done.stdout
        else:
            assert row["last error"] in done.stderr
