"""``solver=``: all solvers agree where they apply, and say why where they do not."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from conftest import make_plan
from PIL import Image

import pdesim
from pdesim.cli.main import main
from pdesim.engine import memory
from pdesim.errors import ConfigError, DeviceError, PdesimError, SolverError, StepperError
from pdesim.export import write_xdmf
from pdesim.operators.steady import chosen_solver, why_no_transform
from pdesim.output.residuals import read_residuals
from pdesim.solvers import NotConverged, solve

SOLVERS = ("transform", "cg", "multigrid", "dense")
MIXED = ("boundary.x={lower: {dirichlet: 0.7}, upper: {robin: {a: 2, b: 0.5, value: 0.3}}}",
         "boundary.y={lower: neumann, upper: {dirichlet: 'sin(x)'}}")  # fmt: skip


def plan_of(formulas, *words):
    text = formulas if formulas.startswith("{") else f"{{u: '{formulas}'}}"
    return make_plan(
        "equation=custom", f"equation.solve={text}", "initial=zero", "grid=16",
        "device.precision=float64", *words,
    )  # fmt: skip


def solutions(placement, formulas, *words):
    """Solver -> the solution, for all solvers that apply."""
    found = {}
    for name in SOLVERS:
        try:
            plan = plan_of(formulas, *words, f"solver={name}")
        except StepperError:
            assert name == "transform"
            continue
        found[name] = solve(plan, placement)
        assert found[name].solver == name and found[name].residual < 1e-9
    return found


@pytest.mark.parametrize(
    ("formulas", "words", "transforms"),
    [
        ("laplacian(u) + cos(2*pi*x)", ("boundary=periodic", "initial={u: 2}"), True),
        ("laplacian(u) + cos(2*pi*x)", ("boundary=neumann", "grid=[33]", "initial={u: x}"), True),
        ("laplacian(u) - 3*u + x", ("boundary=dirichlet", "grid=[7,6,8]"), True),
        ("laplacian(u) + x*z", (*MIXED, "boundary.z=periodic", "grid=[7,6,8]"), False),
        ("divergence((1+x*y)*gradient(u)) - (1+x)*u + 1", MIXED, False),
        ("-divergence(where(x > 0.4, 20, 1)*gradient(u)) + y", ("boundary=dirichlet",), False),
        ("laplacian(u) - 20*d_dx(u) + x", ("boundary=dirichlet", "operators.order=4"), False),
        ("laplacian(u) + 1", ("boundary=dirichlet", "domain.mask='(r < 0.2)'"), False),
        ("laplacian(u) + x - 0.5",
         ("boundary=neumann", "domain.mask='(r < 0.2)'", "initial={u: 2}"), False),
        ("(1+x)*laplacian(u) + cos(pi*x)*(1+x)", ("boundary=neumann", "initial={u: 2}"), False),
        ("{u: 'laplacian(u) - v', v: 'laplacian(v) - v + x'}", ("boundary=dirichlet",), True),
        ("{u: 'laplacian(u) - v', v: 'laplacian(v) - (1+x)*v + 0.5*u'}",
         ("boundary=dirichlet", "boundary.v={x: {dirichlet: 1}, y: neumann}"), False),
        ("laplacian(u) + sin(2*pi*x)", ("operators=spectral", "boundary=periodic"), True),
        ("divergence((1+0.3*cos(2*pi*x))*gradient(u)) + sin(2*pi*x)",
         ("operators=spectral", "grid=[25]"), False),
    ],
)  # fmt: skip
def test_solvers_agree(placement, formulas, words, transforms):
    found = solutions(placement, formulas, *words)
    assert ("transform" in found) == transforms
    for name in found:
        # 1e-10 of the source, times the inverse of the smallest eigenvalue
        np.testing.assert_allclose(found[name].state, found["dense"].state, atol=2e-10)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("sides", ["dirichlet", "neumann"])
def test_quadratic_solutions_are_exact(placement, solver, sides):
    """The stencils and the mean and the difference across a side are exact for parabolas.

    The ghost value makes the mean of the two cells beside a side equal to the boundary value.
    """
    exact, h = "x*(1-x) + y*(1-y)", 1 / 16
    words = [f"boundary={sides}"]
    if sides == "dirichlet":
        words += [f"boundary.x={{dirichlet: 'y*(1-y) - {h**2 / 4}'}}"]
        words += [f"boundary.y={{dirichlet: 'x*(1-x) - {h**2 / 4}'}}"]
    else:
        # the outward derivative; the mean of the cells is that of the solution
        words += ["boundary.x={neumann: -1}", "boundary.y={neumann: -1}"]
        words += [f"initial={{u: {1 / 3 + h**2 / 6}}}"]
    plan = plan_of("laplacian(u) + 4", *words, f"solver={solver}")
    p = plan.grid.coordinates()
    expected = np.broadcast_to(eval(exact, {}, p), plan.grid.shape)
    found = solve(plan, placement)
    # direct solvers have only rounding errors, iterations 1e-10 of the source
    atol = 1e-13 if solver in ("transform", "dense") else 1e-9
    np.testing.assert_allclose(found.state[0], expected, atol=atol)


def test_the_choice_of_auto_and_the_reason():
    cases = [
        (("laplacian(u) + x", "boundary=dirichlet"), ""),
        (("laplacian(u) + x", *MIXED), "Robin"),
        (("laplacian(u) + 1", "boundary=dirichlet", "domain.mask='(r<0.2)'"), "obstacles"),
        (("laplacian(u) - x*u", "boundary=dirichlet"), "a coefficient depends on position"),
        (("laplacian(u) + d_dx(u) + 1", "boundary=dirichlet"), "odd order along x"),
    ]
    for words, reason in cases:
        plan = plan_of(*words)
        assert reason in why_no_transform(plan.problem)
        chosen = chosen_solver(plan.problem, plan.settings.solver)
        assert chosen == ("cg" if reason else "transform")
        if reason:
            with pytest.raises(StepperError, match=reason) as refused:
                plan_of(*words, "solver=transform")
            assert "solver=cg" in str(refused.value)


@pytest.mark.parametrize("solver", SOLVERS)
def test_errors(placement, solver):
    """A message of its own for each cause, with every solver."""
    choice = f"solver={solver}"
    for source in ("sqrt(x-0.5)", "1/where(x > 0.5, 0, 1)"):
        with pytest.raises(SolverError, match="infinite or undefined in some cell"):
            solve(plan_of(f"laplacian(u) + {source}", "boundary=dirichlet", choice), placement)
    with pytest.raises(StepperError, match=r"has no solution.*has the size 1"):
        solve(plan_of("laplacian(u) + 1", "boundary=neumann", choice), placement)
    if solver in ("transform", "dense"):
        with pytest.raises(ConfigError, match=f"has no effect with {choice}"):
            plan_of("laplacian(u)", choice, "solver.iterations=3")


@pytest.mark.parametrize("solver", ["cg", "multigrid"])
def test_too_few_iterations(placement, solver):
    words = ("laplacian(u) + x", "boundary=dirichlet", f"solver={solver}")
    with pytest.raises(NotConverged, match="after 2 iterations the residual is") as failed:
        solve(plan_of(*words, "solver.iterations=2"), placement)
    assert len(failed.value.history) == 3 and "solver.iterations=8" in str(failed.value)
    found = solve(plan_of(*words, "solver.tolerance=1e-3"), placement)
    assert 1e-9 < found.residual <= 1.01e-3
    with pytest.raises(NotConverged, match=r"rounding errors limit"):
        solve(plan_of(*words, "solver.tolerance=1e-20"), placement)


def test_a_tolerance_bounds_the_residual_of_direct_solvers(placement):
    words = ("laplacian(u) + x", "boundary=dirichlet", "grid=64", "device.precision=float32")
    for name, ok in (("transform", False), ("dense", True)):
        plan = plan_of(*words, f"solver={name}", "solver.tolerance=1e-9", "grid=24")
        if ok:
            assert solve(plan, placement).residual < 1e-9
        else:
            with pytest.raises(NotConverged, match=r"device\.precision=float64"):
                solve(plan, placement)


def test_fields_with_a_common_constant(placement):
    """u and v have the same constant, which the modes of the initial state do not respect."""
    formulas = "{u: 'laplacian(u) + cos(pi*x)', v: 'laplacian(v) - v + u'}"
    words = ("boundary=neumann", "initial={u: 3, v: 0}")
    with pytest.raises(NotConverged, match="no other one but for constants"):
        solve(plan_of(formulas, *words, "solver=transform"), placement)
    found = solve(plan_of(formulas, *words, "solver=cg"), placement).state
    assert abs(found[0].mean() - found[1].mean()) < 1e-9


def test_a_singular_matrix(placement):
    """A region enclosed by an obstacle without flux."""
    ring = "domain.mask='abs(max(abs(x-0.5), abs(y-0.5)) - 0.25) < 0.1'"
    words = ("laplacian(u) + where(x < 0.15, 1, 0)", "boundary=dirichlet", ring)
    with pytest.raises(SolverError, match="its matrix is singular"):
        solve(plan_of(*words, "solver=dense"), placement)
    assert solve(plan_of(*words, "solver=cg"), placement).residual < 1e-9


def test_a_dense_matrix_that_does_not_fit(placement, monkeypatch):
    plan = plan_of("laplacian(u) + x", "boundary=dirichlet", "solver=dense")
    needed = 4 * 8 * 256**2
    monkeypatch.setattr(memory, "memory", lambda: needed)
    solve(plan, placement)
    monkeypatch.setattr(memory, "memory", lambda: needed - 1)
    with pytest.raises(DeviceError, match=r"4 matrices of 256 x 256") as refused:
        solve(plan, placement)
    assert "at most 255 unknowns" in str(refused.value) and "solver=cg" in str(refused.value)
    # the estimate of each solver; bytes of 7 arrays in double precision, and of the cycle
    arrays = {"transform": 3, "cg": -(-(7 * 8 + 6 * 4) // 8), "multigrid": 10}
    for name, count in arrays.items():
        settings = plan.settings.model_copy(
            update={"solver": plan.settings.solver.model_copy(update={"name": name})}
        )
        assert memory.least_arrays(replace(plan, settings=settings)) == count


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="solver=cg has no effect on heat"):
        make_plan("equation=heat", "grid=8", "solver=cg")
    with pytest.raises(ConfigError, match=r"solver\.iterations is 0"):
        plan_of("laplacian(u)", "solver=cg", "solver.iterations=0")
    with pytest.raises(ConfigError, match=r"solver\.tolerance is 2"):
        plan_of("laplacian(u)", "solver.tolerance=2")
    with pytest.raises(ConfigError, match="nonsense"):
        plan_of("laplacian(u)", "solver=nonsense")
    with pytest.raises(PdesimError, match="'solver' cannot be the name of a field"):
        plan_of("{solver: 'laplacian(solver)'}")


def test_the_residuals_are_stored_and_drawn(tmp_path, capsys):
    folder = tmp_path / "run"
    words = ["equation=poisson", "grid=32", "boundary=dirichlet", f"hydra.run.dir={folder}"]
    assert main([*words, "solver=cg", "solver.tolerance=1e-5"]) == 0
    capsys.readouterr()
    found = read_residuals(folder / "snapshots.h5")
    assert found.solver == "cg" and found.tolerance == 1e-5
    assert found.values[0] == 1 and found.values[-1] < 1e-5 < found.values[-2]
    assert Image.open(folder / "residual.png").size == (560, 420)
    assert main(["info", str(folder)]) == 0
    count = len(found.values) - 1
    assert f"of the source; cg, {count} iterations to 1e-05" in capsys.readouterr().out
    assert main(["info", str(folder), "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)["solver"]
    assert stored["iterations"] == count and stored["residuals"] == found.values.tolist()
    # other readers see the fields only
    with pdesim.open(folder) as run:
        assert run.fields == ("u",) and list(run.to_xarray().data_vars) == ["u"]
    assert write_xdmf(folder).exists()
    # a run without iterations replaces the picture
    assert main([*words, "solver=dense", "output.overwrite=true"]) == 0
    assert not (folder / "residual.png").exists()
    assert read_residuals(folder / "snapshots.h5").iterations == 0
    with h5py.File(folder / "snapshots.h5") as file:
        assert file["solver/residual"].shape == (1,)


def test_other_libraries_read_the_residuals(tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    pdesim.simulate("poisson", grid=16, solver="multigrid", animation="none", folder=tmp_path / "r")
    file = tmp_path / "r" / "snapshots.h5"
    with xarray.open_dataset(file, engine="h5netcdf") as data:
        assert list(data.data_vars) == ["u"]
    with xarray.open_dataset(file, engine="h5netcdf", group="solver") as data:
        assert data.residual.dims == ("iteration",) and data.residual.attrs["solver"] == "multigrid"


def test_damaged_residuals_are_left_out(tmp_path):
    pdesim.simulate("poisson", grid=16, solver="cg", animation="none", folder=tmp_path / "r")
    file = tmp_path / "r" / "snapshots.h5"
    with h5py.File(file, "r+") as data:
        del data["solver/residual"].attrs["solver"]
    assert read_residuals(file) is None
    assert main(["info", str(file)]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["solver=cg", "equation.source=1", "~equation.width"], "has no solution"),
        (["solver=multigrid", "solver.iterations=1"], "was not solved"),
    ],
)
def test_a_failure_is_the_only_message(words, told, command):
    done = command("equation=poisson", "grid=16", *words, "hydra.run.dir=run", check=None)
    assert done.returncode not in (0, 1)
    lines = [line for line in done.stderr.splitlines() if line.startswith(("pdesim", "snapshots"))]
    assert len(lines) == 1 and told in lines[0]
    assert "no frames yet" not in done.stderr + done.stdout
