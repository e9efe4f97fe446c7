"""Fields without a time derivative: beside exact solutions, steady problems and budgets."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan

from pdesim.cli.main import main
from pdesim.errors import ConfigError, StepperError
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.solvers import solve
from pdesim.steppers.stability import linearise

VORTEX = ("equation=turbulence", "operators.dealias=false", "equation.nu=0.05",
          "domain.extent=6.283185307179586", "initial.w='2*sin(x)*sin(y)'",
          "device.precision=float64", "output.frames=2")  # fmt: skip


def frames_of(plans, placement):
    from pdesim.engine.simulation import Simulation

    return [frame.state for frame in Simulation(plans, placement).frames()]


def vortex_error(placement, n, *words):
    """The largest errors of w and psi at t = 1; exact: ``psi = w/2 = sin x sin y exp(-2 nu t)``."""
    plan = make_plan(*VORTEX, f"grid={n}", "time.end=1", *words)
    w, psi = frames_of(plan, placement)[-1]
    x = plan.grid.centres(0)
    exact = np.sin(x) * np.sin(x)[:, None] * np.exp(-2 * 0.05)
    return np.abs(w - 2 * exact).max(), np.abs(psi - exact).max()


@pytest.mark.parametrize("stepper", ["etdrk4", "rk4", "dormand_prince"])
def test_a_taylor_green_vortex_decays_exactly(placement, stepper):
    # one Fourier mode, of which the advection vanishes
    step = () if stepper == "dormand_prince" else ("time.dt=0.02",)
    errors = vortex_error(placement, 16, "operators=spectral", f"stepper={stepper}", *step)
    # the local error of adaptive steps is 2e-5
    assert max(errors) < (1e-5 if stepper == "dormand_prince" else 1e-8)


def test_a_vortex_on_stencils_has_order_2(placement):
    words = ("operators=stencil", "stepper=rk4", "time.dt=0.02")
    coarse, fine = (vortex_error(placement, n, *words) for n in (16, 32))
    for before, after in zip(coarse, fine, strict=True):
        assert np.log2(before / after) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("stepper", ["cnab2", "sbdf2", "etdrk2", "rkl2", "heun"])
def test_steppers_have_their_order_with_a_constraint(placement, stepper):
    """Two vortices of different size, so that the advection does not vanish."""

    def final(dt):
        plan = make_plan(
            *VORTEX, "grid=16", "initial.w='2*sin(x)*sin(y) + cos(2*x) + sin(x+y)'",
            "operators=spectral", "time.end=0.4", f"time.dt={dt}", f"stepper={stepper}",
            "time.unsafe=true",  # AB2 amplifies waves, by a factor near 1
        )  # fmt: skip
        return frames_of(plan, placement)[-1]

    a, b, c = (final(dt) for dt in (0.02, 0.01, 0.005))
    for number in (0, 1):  # the solved field has the order of the other one
        ratio = np.abs(a - b)[number].max() / np.abs(b - c)[number].max()
        assert np.log2(ratio) == pytest.approx(2.0, abs=0.25)


def test_energy_and_enstrophy_follow_their_budgets(placement):
    """dE/dt = -2 nu Z and dZ/dt = -nu <|grad w|^2>, with E = <w psi>/2 and Z = <(w - <w>)^2>/2."""
    words = ("equation=turbulence", "grid=48", "equation.nu=1e-3", "time.end=0.2", "time.dt=0.005",
             "device.precision=float64", "output.frames=40", "stepper=etdrk4")  # fmt: skip
    plan = make_plan(*words)
    frames = np.array(frames_of(plan, placement))
    w, psi = frames[:, 0], frames[:, 1]
    k = 2 * np.pi * np.fft.fftfreq(48, 1 / 48)
    square = k**2 + k[:, None] ** 2
    power = np.abs(np.fft.fft2(w)) ** 2 / 48**4
    energy, enstrophy = (w * psi).mean((1, 2)) / 2, w.var((1, 2)) / 2
    palinstrophy = (square * power).sum((1, 2))
    times = np.linspace(0, 0.2, 41)

    def integral(values):  # Simpson's rule
        weights = np.ones(41)
        weights[1:-1:2], weights[2:-1:2] = 4, 2
        return (weights * values).sum() * (times[1] - times[0]) / 3

    lost = energy[0] - energy[-1], enstrophy[0] - enstrophy[-1]
    # the products are computed exactly (2/3 rule), so only the error in time remains
    assert lost[0] == pytest.approx(1e-3 * integral(2 * enstrophy), rel=1e-6)
    assert lost[1] == pytest.approx(1e-3 * integral(palinstrophy), rel=1e-6)
    assert lost[1] > 0.01 * enstrophy[0]


CASES = {
    "sides with values": ("laplacian(v) + u", "boundary.x={lower: {dirichlet: 1}, upper: neumann}",
                          "boundary.y={dirichlet: '1 - x'}"),
    "robin": ("laplacian(v) - v + u",
              "boundary={x: {robin: {a: 1, b: 0.5, value: 1}}, y: neumann}"),
    "coefficient": ("divergence((1 + x)*gradient(v)) + u*y", "boundary=dirichlet"),
    "no flux": ("laplacian(v) + u - mean(u)", "boundary=neumann"),
    "obstacle": ("laplacian(v) + u", "boundary=dirichlet", "domain.mask='r < 0.2'"),
    "closed obstacle": ("laplacian(v) + u - mean(u)", "domain.mask='r < 0.2'"),
    "order 4": ("laplacian(v) - 3*v + u", "operators.order=4"),
    "spectral": ("laplacian(v) - 3*v + d_dx(u)", "operators=spectral"),
    "first derivative": ("laplacian(v) + 4*d_dx(v) - v + u", "operators=spectral"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_solved_fields_equal_the_steady_solution(placement, case):
    formula, *words = CASES[case]
    source = "sin(2*pi*x) + sin(4*pi*y)"
    common = (
        "grid=[18,16]",
        "domain.extent=[1,1]",
        "equation=custom",
        "device.precision=float64",
        *words,
    )
    plan = make_plan(
        *common, "equation.rhs={u: '0.01*laplacian(u)'}", f"equation.solve={{v: '{formula}'}}",
        f"initial={{u: '{source}'}}",
    )  # fmt: skip
    method = MethodOfLines(plan.problem, tf.float64, fused=False)
    found = method.consistent(tf.constant(plan.state), tf.constant(0.0, tf.float64))
    formula = formula.replace(" - mean(u)", "").replace("u", "f")  # the mean is 0
    steady = make_plan(
        *common, f"equation.solve={{v: '{formula}'}}", f"+equation.f='{source}'", "initial=zero"
    )
    expected = solve(steady, placement).state[0]
    assert np.abs(found.numpy()[1] - expected).max() < 1e-7 * np.abs(expected).max()
    np.testing.assert_array_equal(found.numpy()[0], plan.state[0])


def test_parameters_and_coefficients_that_depend_on_fields(placement):
    """With u constant in space, ``divergence(u*gradient(v)) - c*v + 1`` has a solution 1/c."""
    plan = make_plan(
        "equation=custom", "grid=12", "equation.rhs={u: '-v*u'}", "+equation.c=4",
        "equation.solve={v: 'divergence(u*gradient(v)) - c*v + 1'}", "initial={u: 2}",
        "time.end=1", "output.frames=2", "device.precision=float64", "stepper=heun", "time.dt=0.1",
    )  # fmt: skip
    state = frames_of(plan, placement)[-1]
    assert np.abs(state[1] - 0.25).max() < 1e-9
    # ten steps of Heun's method for u' = -u/4
    assert np.abs(state[0] - 2 * (1 - 0.025 + 0.025**2 / 2) ** 10).max() < 1e-9


def test_groups_are_solved_in_their_order(placement):
    """a is algebraic, b and c are coupled, d depends on the square of c."""
    plan = make_plan(
        "equation=custom", "grid=32", "domain.dimensions=1", "domain.extent=6.283185307179586",
        "equation.rhs={u: '-u'}", "operators=spectral", "device.precision=float64",
        "equation.solve={d: 'd2_dx2(d) - d + c**2', b: 'd2_dx2(b) - b + c + a', "
        "c: 'd2_dx2(c) - c - b', a: 'a - 2*u'}",
        "initial={u: 'sin(x)'}", "time.end=0.1", "output.frames=2",
    )  # fmt: skip
    assert plan.equation.constraint_groups == (("a",), ("b", "c"), ("d",))
    state = dict(zip(plan.equation.fields, frames_of(plan, placement)[0], strict=True))
    x = plan.grid.centres(0)
    # -2 b + c = -2 sin x and -2 c - b = 0
    assert np.abs(state["a"] - 2 * np.sin(x)).max() < 1e-12
    assert np.abs(state["b"] - 0.8 * np.sin(x)).max() < 1e-12
    assert np.abs(state["c"] + 0.4 * np.sin(x)).max() < 1e-12
    # c**2 = 0.08 (1 - cos 2x)
    assert np.abs(state["d"] - 0.08 * (1 - np.cos(2 * x) / 5)).max() < 1e-12


def test_a_sweep_computes_the_same_as_single_runs(placement):
    def plan(a):
        return make_plan(
            "equation=custom", "grid=16",
            "equation.rhs={u: 'laplacian(u) - divergence(u*gradient(c))'}",
            "equation.solve={c: 'laplacian(c) - a*c + u'}", f"+equation.a={a}", "domain.extent=10",
            "initial={u: '1 + 0.1*cos(2*pi*x/10)'}", "time.end=0.4", "time.dt=0.02",
            "output.frames=3", "stepper=rk4", "device.precision=float64",
        )  # fmt: skip

    plans = [plan(0.5), plan(2.0)]
    together = np.array(frames_of(plans, placement))
    for number, one in enumerate(plans):
        alone = np.array(frames_of(one, placement))
        assert np.abs(together[:, number] - alone).max() < 1e-12


def test_the_linearised_equation_contains_the_constraint():
    """A uniform electrolyte relaxes at the rate ``D (k^2 + 2/debye^2)``, its mass at ``D k^2``."""
    plan = make_plan(
        "equation=custom", "grid=32", "domain.dimensions=1", "operators=spectral",
        "equation.rhs={p: 'laplacian(p) + divergence(p*gradient(phi))', "
        "n: 'laplacian(n) - divergence(n*gradient(phi))'}", "+equation.debye=0.1",
        "equation.solve={phi: 'debye**2*laplacian(phi) + p - n'}", "initial.default=1",
    )  # fmt: skip
    matrices = linearise(plan.problem, np.ones((3, 32)) * [[1], [1], [0]], 0.0).matrix(
        plan.equation.formulas
    )
    rates = np.sort(np.linalg.eigvals(matrices).real, axis=1)
    waves = rates[:, 1] < -1e-9  # without the uniform perturbation
    np.testing.assert_allclose(rates[waves, 0], rates[waves, 1] - 200, rtol=1e-9)
    assert np.abs(rates[:, 2]).max() < 1e-12


@pytest.mark.parametrize(
    ("words", "error", "part"),
    [
        (("equation.solve={v: 'laplacian(v) + v**2'}",), StepperError, "not linear in v"),
        (("equation.solve={v: 'laplacian(v) - mean(v)'}",), StepperError, "or integrals of v"),
        (("equation.solve={v: 'u - 1'}",), StepperError, "does not contain v"),
        (("equation.solve={u: 'laplacian(u)'}",), ConfigError, "both contain 'u'"),
        (("equation.solve={v: 'laplacian(v) - v + u'}", "stepper=crank_nicolson"), StepperError,
         "without constraints"),
    ],
)  # fmt: skip
def test_messages_before_the_run(words, error, part):
    with pytest.raises(error, match=part):
        make_plan("equation=custom", "grid=8", "equation.rhs={u: 'laplacian(u)'}", *words)


def test_an_initial_state_of_a_solved_field_is_noted():
    plan = make_plan("equation=keller_segel", "grid=8", "initial.c=2")
    assert plan.notes == ("note: initial.c has no effect: equation.solve determines c",)
    assert not np.array_equal(plan.state[1], np.full((8, 8), 2.0))


def test_a_source_with_a_mean_is_refused(tmp_path, capsys):
    words = ["equation=custom", "equation.rhs={u: 'laplacian(u)'}", "grid=8", "initial={u: 1}",
             "equation.solve={v: 'laplacian(v) + u'}", f"hydra.run.dir={tmp_path}/run"]  # fmt: skip
    assert main(words) != 0
    shown = capsys.readouterr()
    text = shown.err + shown.out
    assert "the constraint of v has no solution at t = 0" in text and "f - mean(f)" in text


def test_iterations_that_do_not_converge_end_the_run(tmp_path, capsys):
    """The coefficient of the constraint changes its sign at t = 0.5."""
    words = (
        "equation={rhs: {u: '-u'}, solve: {v: 'divergence(where(t<0.5,1,-1+2*x)*gradient(v)) - u'}}"
    )
    code = main(
        ["equation=custom", words, "grid=32", "boundary=dirichlet", "time.dt=0.05", "stepper=rk4",
         "output.frames=4", "animation=none", f"hydra.run.dir={tmp_path / 'run'}"]
    )  # fmt: skip
    message = capsys.readouterr().err
    assert code != 0 and "the iterations for the constraint of v did not converge" in message
    with h5py.File(tmp_path / "run" / "snapshots.h5") as file:
        assert file["time"][-1] == pytest.approx(0.25)
