"""Steady problems that no transform solves: beside SciPy's direct solver, and by their orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_plan
from scipy import sparse
from scipy.sparse.linalg import spsolve

from pdesim.cli.main import main
from pdesim.errors import SolverError, StepperError
from pdesim.settings import Solver
from pdesim.solvers import multigrid_solver, solve, transform

N = 24
#: a ghost cell g beside a cell u: g = factor*u + constant
GHOST = {
    "dirichlet": lambda value, h: (-1.0, 2 * value),
    "neumann": lambda slope, h: (1.0, h * slope),
    "robin": lambda a, b, value, h: ((b / h - a / 2) / (b / h + a / 2), value / (b / h + a / 2)),
}


def plan_of(formula, *words):
    name = "device.precision=float64" if not any("precision" in w for w in words) else "grid=24"
    return make_plan(
        "equation=custom", f"equation.solve={{u: '{formula}'}}", "initial=zero", f"grid={N}",
        name, *words,
    )  # fmt: skip


def others(plan, placement):
    """The solutions of the solvers that ``auto`` never selects."""
    for name in ("multigrid", "dense"):
        settings = plan.settings.model_copy(update={"solver": Solver(name=name)})
        yield solve(replace(plan, settings=settings), placement)


def diffusion(coefficient, ghosts, h, solid=None):
    """The matrix and the constant part of div(D grad u), assembled cell by cell.

    D on a face is the mean of the cells beside it, on a side of the domain D itself.
    """
    centres = (np.arange(N) + 0.5) / N
    D, (ny, nx) = coefficient(*np.meshgrid(centres, centres)), (N, N)
    rows, constant = sparse.lil_matrix((D.size, D.size)), np.zeros(D.size)
    for j in range(ny):
        for i in range(nx):
            here = j * nx + i
            if solid is not None and solid[j, i]:
                rows[here, here] = 1.0
                continue
            for axis, dj, di in ((0, 0, -1), (0, 0, 1), (1, -1, 0), (1, 1, 0)):
                end = (di + dj + 1) // 2
                ghost, jj, ii = ghosts[axis][end], j + dj, i + di
                if ghost is None:
                    jj, ii = jj % ny, ii % nx
                if 0 <= jj < ny and 0 <= ii < nx:
                    if solid is not None and solid[jj, ii]:
                        continue  # no flux
                    face = (D[j, i] + D[jj, ii]) / 2 / h**2
                    rows[here, jj * nx + ii] += face
                    rows[here, here] -= face
                    continue
                factor, value = ghost
                face = coefficient(centres[i] + di * h / 2, centres[j] + dj * h / 2) / h**2
                rows[here, here] += face * (factor - 1)
                constant[here] += face * value
    return rows.tocsr(), constant


def test_mixed_sides_and_a_coefficient(placement):
    """Dirichlet, Robin and Neumann sides with values, beside a matrix assembled in the test."""
    plan = plan_of(
        "divergence((1 + 0.5*cos(2*pi*x)*cos(pi*y))*gradient(u)) - (1+x)*u + y",
        "boundary.x={lower: {dirichlet: 0.7}, upper: {robin: {a: 2, b: 0.5, value: 0.3}}}",
        "boundary.y={lower: neumann, upper: {dirichlet: 0}}", "operators.face_mean=arithmetic",
    )  # fmt: skip
    h, x = 1 / N, plan.grid.centres(0)
    X, Y = np.meshgrid(x, x)

    def coefficient(x, y):
        return 1 + 0.5 * np.cos(2 * np.pi * x) * np.cos(np.pi * y)

    ghosts = (
        (GHOST["dirichlet"](0.7, h), GHOST["robin"](2, 0.5, 0.3, h)),
        (GHOST["neumann"](0.0, h), GHOST["dirichlet"](0.0, h)),
    )
    matrix, constant = diffusion(coefficient, ghosts, h)
    matrix = matrix - sparse.diags(1 + X.ravel())
    expected = spsolve(matrix.tocsc(), -(constant + Y.ravel()))
    found = solve(plan, placement)
    assert found.solver == "cg" and len(found.history) - 1 <= 10
    for one in (found, *others(plan, placement)):
        # the residual, 1e-10, times the ratio of the sizes of source and solution
        np.testing.assert_allclose(one.state[0].ravel(), expected, atol=1e-9)


def test_an_obstacle(placement):
    """No flux into the obstacle, whose cells are 0."""
    plan = plan_of(
        "laplacian(u) + 1", "boundary=dirichlet", "domain.mask='(x-0.4)**2 + (y-0.5)**2 < 0.04'",
    )  # fmt: skip
    solid, h = plan.problem.mask.solid, 1 / N
    wall = GHOST["dirichlet"](0.0, h)
    matrix, _ = diffusion(lambda x, y: 1.0 + 0 * x, ((wall, wall), (wall, wall)), h, solid)
    right = np.where(solid, 0.0, -1.0).ravel()
    expected = spsolve(matrix.tocsc(), right)
    for found in (solve(plan, placement), *others(plan, placement)):
        np.testing.assert_allclose(found.state[0].ravel(), expected, atol=1e-9)


@pytest.mark.parametrize("sides", ["periodic", "dirichlet", "neumann"])
@pytest.mark.parametrize("grid", ["[32,32]", "[17,30]", "[40,5]", "[9,10,12]", "[100]"])
def test_beside_transforms(placement, sides, grid):
    """Both solvers have the same solution where both apply, with the mean of the initial state."""
    formula = "laplacian(u) + cos(2*pi*x)"
    plan = plan_of(formula, f"boundary={sides}", f"grid={grid}", "initial={u: 2}")
    direct = transform.solve(plan, placement)
    found = multigrid_solver.solve(plan, placement)
    np.testing.assert_allclose(found.state, direct.state, atol=1e-9)


@pytest.mark.parametrize("coefficient, most", [("1+0.0*x", 8), ("exp(sin(2*pi*x)*cos(4*pi*y))", 8),
                         ("where(sin(9*x)*sin(7*y)>0.1, 1000, 1)", 25)])  # fmt: skip
@pytest.mark.parametrize("sides", ["dirichlet", "neumann"])
def test_number_of_iterations(placement, coefficient, most, sides):
    """Measured: 6 or 7 for smooth coefficients, 10 to 13 where they jump by a factor of 1000."""
    source = "sin(5*x)*cos(9*y) - where(x > 0.5, 0.1, 0)"
    if sides == "neumann":
        source = "cos(2*pi*x) + cos(4*pi*y)"
    plan = plan_of(
        f"divergence(({coefficient})*gradient(u)) + {source}", f"boundary={sides}", "grid=128"
    )
    found = multigrid_solver.solve(plan, placement)
    assert found.residual < 1e-8
    below = next(n for n, value in enumerate(found.history) if value < 1e-8)
    assert below <= most


@pytest.mark.parametrize(
    "formula",
    [
        "laplacian(u) - 30*d_dx(u) + x",  # not self-adjoint
        "(1+x)*laplacian(u) + y",
        "laplacian(u) + (100+x)*u + sin(3*x)",  # indefinite
        "-laplacian(u) + (1+x)*u - 1",
        "1e-3*d2_dx2(u) + (1+y)*d2_dy2(u) + 1",  # strong coupling along one axis
    ],
)
@pytest.mark.parametrize("operators", ["order=2", "order=4"])
def test_other_operators(placement, formula, operators):
    """The right-hand side vanishes at the solution."""
    found = solve(plan_of(formula, "boundary=dirichlet", f"operators.{operators}"), placement)
    assert found.solver == "cg" and found.residual < 1e-8


def test_coupled_fields(placement):
    """u'' = (1+x) v and v'' = 0 with v = 1 on both sides: v = 1."""
    plan = make_plan(
        "equation=custom", "equation.solve={u: 'laplacian(u) - (1+x)*v', v: 'laplacian(v)'}",
        "initial=zero", "grid=[48]", "boundary.u.x=dirichlet",
        "boundary.v.x={dirichlet: 1}", "device.precision=float64",
    )  # fmt: skip
    found = solve(plan, placement)
    x = plan.grid.centres(0)
    np.testing.assert_allclose(found.state[1], 1, atol=1e-8)
    exact = x**2 / 2 + x**3 / 6 - 2 * x / 3
    np.testing.assert_allclose(found.state[0], exact, atol=1.0 / 48**2)


def test_spectral_operators_with_a_coefficient(placement):
    """The error decreases faster than any power of the number of cells."""
    source = "-((1+0.3*cos(2*pi*x))*(-4*pi**2*sin(2*pi*x)) - 0.6*pi*sin(2*pi*x)*2*pi*cos(2*pi*x))"
    plan = plan_of(
        f"divergence((1+0.3*cos(2*pi*x))*gradient(u)) {source}", "operators=spectral", "grid=[24]"
    )
    found = solve(plan, placement)
    np.testing.assert_allclose(found.state[0], np.sin(2 * np.pi * plan.grid.centres(0)), atol=1e-9)


def test_no_solution(placement):
    with pytest.raises(StepperError, match="has no solution"):
        solve(plan_of("divergence((1+y)*gradient(u)) + 1", "boundary=neumann"), placement)
    for formula in ("laplacian(u)*(1+x) + sqrt(x-0.5)", "divergence(log(x-0.5)*gradient(u)) + 1"):
        with pytest.raises(SolverError, match="infinite or undefined"):
            solve(plan_of(formula, "boundary=dirichlet"), placement)
    with pytest.raises(SolverError, match="was not solved"):
        solve(plan_of("laplacian(u) - 1e6*x*d_dx(u) + 1", "boundary=dirichlet"), placement)


@pytest.mark.parametrize(
    "words",
    [
        ["boundary.x={robin: {a: 1, b: 0.5, value: 0.3}}", "boundary.y=dirichlet"],
        ["boundary.x=neumann", "boundary.y=dirichlet", "domain.mask='where(r < 0.2, 1, 0)'"],
        ["boundary=dirichlet",
         "equation.solve.u='divergence((1+x*y)*gradient(u)) + source - (1+x)*u'"],
    ],
)  # fmt: skip
def test_orders(words, tmp_path, monkeypatch, capsys):
    """pdesim verify measures the claimed order."""
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "equation=poisson", *words]) == 0
    assert "yes" in capsys.readouterr().out


def test_the_command_reports_its_iterations(tmp_path, capfd):
    words = ["equation=poisson", "grid=32", "boundary.x=neumann", "animation=none"]
    words += ["boundary.y={robin: {a: 1, b: 1, value: 0}}", f"hydra.run.dir={tmp_path}/run"]
    assert main(words) == 0
    assert "solved by conjugate gradients in" in capfd.readouterr().err
