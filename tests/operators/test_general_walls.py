"""Conditions whose coefficients are formulas, whose values contain fields, or that differ along a
side; outflow and absorbing sides."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan

from pdesim.engine.simulation import Simulation
from pdesim.errors import BoundaryError, FormulaError, PdesimError, StepperError
from pdesim.operators.method_of_lines import MethodOfLines, parameter_tensors
from pdesim.verify.orders import measure_space

SQUARE = ("equation=custom", "grid=[16,12]", "domain.extent=[1,1]", "boundary=neumann",
          "equation.rhs={u: 'laplacian(u) + d2_dxdy(u**2)'}",
          "initial.u='2 + sin(3*x)*cos(y)'")  # fmt: skip
WAVES = ("equation=custom", "equation.rhs={u: 'v', v: 'c**2*laplacian(u)'}", "+equation.c=2",
         "domain.extent=1", "boundary.default={absorbing: c}", "initial.v=0",
         "initial.u='exp(-((x - 0.5)/0.07)**2)'")  # fmt: skip


def rhs(*overrides: str) -> np.ndarray:
    problem = (plan := make_plan("device.precision=float64", *overrides)).problem
    method = MethodOfLines(problem, tf.float64, False, parameter_tensors(problem, tf.float64))
    return method.rhs(tf.constant(plan.state), tf.zeros((), tf.float64)).numpy()


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize(
    "condition",
    [
        "{robin: {a: '1 + 0*y', b: 0.5, value: y}}",
        "{robin: {a: 0, b: 0.5, value: 'y - u'}}",
        "{neumann: '2*y - 2*u'}",
        "{where: 'y < 0.5', neumann: '2*y - 2*u', otherwise: {robin: {a: 2, b: 1, value: '2*y'}}}",
        "{where: 'y < 0.3', robin: {a: 1, b: 0.5, value: y}, otherwise: {where: 'y < 0.6',"
        " robin: {a: 1, b: 0.5, value: y}, otherwise: {neumann: '2*(y - u)'}}}",
    ],
)
def test_the_same_condition_written_in_other_ways(condition, order):
    """All of them are u + du/dn/2 = y, whose ghost cells are computed by another formula."""
    same = "boundary.x={robin: {a: 1.0, b: 0.5, value: y}}"
    expected = rhs(*SQUARE, f"operators.order={order}", same)
    found = rhs(*SQUARE, f"operators.order={order}", f"boundary.x={condition}")
    # sums of some ten products of numbers up to 16**2 * 10
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_condition_whose_ghost_cells_are_zero():
    """u + h/2 du/dn = 0 with the spacing h = 1/16, as beyond an array that is padded by zeros."""
    found = rhs("equation=custom", "equation.rhs={u: 'laplacian(u)'}", "grid=[16]",
                "domain.extent=1", "boundary.x={robin: {a: 1, b: 0.03125, value: 0}}",
                "initial.u='2 + sin(3*x)'")  # fmt: skip
    u = 2 + np.sin(3 * (np.arange(16) + 0.5) / 16)
    # rounding of sums of the size 16**2 * 4
    np.testing.assert_allclose(found[0], np.diff(np.pad(u, 1), 2) * 16**2, atol=1e-11)


@pytest.mark.parametrize("order", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "sides",
    [
        "{lower: {robin: {a: '1 + y', b: '1 + 0.5*t', value: 0}}, upper: {neumann: '-u**4'}}",
        "{lower: {where: 'y < 0.5', dirichlet: 1, otherwise: {neumann: 0}}, upper: {where: "
        "'abs(y - 0.5) < 0.25', robin: {a: 1, b: 2, value: u}, otherwise: outflow}}",
    ],
    ids=["formulas", "parts"],
)
def test_orders(sides, order):
    plan = make_plan(
        "equation=custom", "equation.rhs={u: 'laplacian(u) - u**3'}", "grid=[16,16]",
        "domain.extent=[1,1]", "boundary=neumann", f"boundary.x={sides}",
        f"operators.order={order}", "device.precision=float64",
    )  # fmt: skip
    assert measure_space(plan.problem).passed


def test_a_reaction_on_a_surface_conserves_the_difference_of_its_reactants(evolve):
    """u and v are consumed at equal rates on one side: the integral of u - v is constant."""
    run = evolve(
        "equation=custom", "equation.rhs={u: 'laplacian(u)', v: 'laplacian(v)'}", "grid=[32]",
        "domain.extent=1", "boundary=neumann", "boundary.x.upper={neumann: '-2*u*v'}",
        "initial.u=1", "initial.v='1 + cos(pi*x)/2'", "time.end=0.5", "output.frames=3",
        "stepper=rk4",
    )  # fmt: skip
    total = run.states.mean(axis=-1)
    assert total[-1, 0] < 0.8
    # both fluxes are the same number; rounding errors of some 10**4 stages
    np.testing.assert_allclose(total[:, 0] - total[:, 1], 0, atol=1e-12)


def test_a_radiating_side_approaches_the_temperature_outside(evolve):
    run = evolve(
        "equation=custom", "equation.rhs={u: 'laplacian(u)'}", "grid=[16]", "domain.extent=1",
        "+equation.T=1.5", "boundary=neumann", "boundary.x.lower={neumann: 'T**4 - u**4'}",
        "initial.u=1", "time.end=6", "output.frames=2",
    )  # fmt: skip
    # the slowest mode decays as exp(-2 t) at least; the tolerance of the stepper is 1e-6
    np.testing.assert_allclose(run.field("u")[-1], 1.5, atol=1e-4)


def test_the_reflection_from_absorbing_sides_falls_with_the_square_of_the_spacing(evolve):
    reflected = []
    for points in (50, 100, 200):
        run = evolve(*WAVES, f"grid=[{points}]", "time.end=0.4", "output.frames=2", "stepper=rk4")
        # both pulses, of height 1/2, have left
        reflected.append(np.abs(run.field("u")[-1]).max())
    assert reflected[1] < 0.01 and reflected[2] < 0.0025
    orders = np.log2(np.divide(reflected[:-1], reflected[1:]))
    # 1.7 and 2.0: on 50 cells the pulse is only five cells wide
    assert (orders > [1.5, 1.85]).all()


def test_the_energy_in_absorbing_sides_decays(evolve):
    run = evolve(
        "equation=custom", "equation.rhs={u: 'v', v: 'laplacian(u)'}", "grid=[32,32]",
        "domain.extent=[1,1]", "boundary.default={absorbing: 1}", "initial.v=0",
        "initial.u='exp(-((x - 0.4)**2 + (y - 0.5)**2)/0.01)'", "time.end=3", "output.frames=13",
        "stepper=rk4",
    )  # fmt: skip
    u, v = run.field("u"), run.field("v")
    slopes = sum((np.diff(u, axis=axis) ** 2).sum(axis=(1, 2)) for axis in (1, 2)) * 32**2
    energy = slopes + (v**2).sum(axis=(1, 2))
    assert (np.diff(energy) < 0).all()
    assert energy[-1] < 1e-3 * energy[0]


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("scheme", ["upwind", "limited", "weno5"])
def test_outflow_continues_the_value_of_the_last_cell(scheme, order):
    """The flux through an outflow side is that of the last cell, whatever the order."""
    values = rhs(
        "equation=custom", "equation.rhs={u: '-advect([1], u)'}", "grid=[16]", "domain.extent=1",
        "boundary.default=outflow", "initial.u='1 + x**2'", f"operators.advection={scheme}",
        f"operators.order={order}",
    )[0]  # fmt: skip
    x = (np.arange(16) + 0.5) / 16
    u = np.concatenate([np.full(3, 1 + x[0] ** 2), 1 + x**2, np.full(3, 1 + x[-1] ** 2)])
    # the change of the integral is the difference of both fluxes, each continued from the left. The
    # limiter sets the slope to 0 next to a cell of equal value; weno5 is exact for a constant only
    expected = u[0] - u[-1]
    assert values.sum() / 16 == pytest.approx(expected, abs=0.05 if scheme == "weno5" else 1e-13)


def test_a_front_leaves_through_an_outflow_side(evolve):
    run = evolve(
        "equation=custom", "equation.rhs={u: '-advect([1], u)'}", "grid=[50]", "domain.extent=1",
        "boundary.x={lower: dirichlet, upper: outflow}", "initial.u='where(x > 0.5, 1, 0)'",
        "time.end=1", "output.frames=2", "stepper=ssprk3",
    )  # fmt: skip
    # the front left at t = 1/2; what its smeared foot leaves falls exponentially
    assert np.abs(run.field("u")[-1]).max() < 1e-3


def test_members_and_float32_and_implicit_steps_agree(evolve, placement):
    """The coefficient of a part of a side is a parameter with a different value in each member."""
    common = ("equation=custom", "equation.rhs={u: 'laplacian(u) + 1'}", "grid=[16,16]",
              "domain.extent=[1,1]", "boundary=neumann", "time.end=0.1", "output.frames=2",
              "boundary.x.lower={where: 'y < 0.4', dirichlet: 1, "
              "otherwise: {neumann: '-k*u'}}")  # fmt: skip
    steps = (*common, "stepper=rk4", "time.dt=5e-4")
    plans = [make_plan(*steps, f"+equation.k={k}", "device.precision=float32") for k in (1, 3)]
    *_, last = Simulation(plans, placement).frames()
    for member, k in enumerate((1, 3)):
        alone = evolve(*steps, f"+equation.k={k}").states[-1]
        # rounding of float32 in 200 steps
        np.testing.assert_allclose(last.state[member], alone, atol=1e-5)
    linear = [p.replace("{neumann: '-k*u'}", "{robin: {a: k, b: 1, value: 0}}") for p in common]
    implicit = evolve(*linear, "+equation.k=1", "stepper=crank_nicolson", "time.dt=2e-3")
    explicit = evolve(*steps, "+equation.k=1")
    # the errors of the trapezoidal rule at the jump of the condition are of the order of dt
    np.testing.assert_allclose(implicit.states[-1], explicit.states[-1], atol=2e-3)


@pytest.mark.parametrize("solver", ["cg", "multigrid", "dense"])
def test_steady_problems_with_parts_of_sides(solver, placement):
    """The solution of Laplace's equation between u = 1 + y and a flux through a part of a side."""
    from pdesim.solvers import solve

    plan = make_plan(
        "equation=poisson", "equation.source=0", "grid=[24,16]", "domain.extent=[1,1]",
        "device.precision=float64", f"solver={solver}", "boundary=neumann",
        "boundary.x.lower={dirichlet: 2}",
        "boundary.x.upper={where: 'y < 0.5', neumann: 1, "
        "otherwise: {robin: {a: 1, b: 1, value: 4}}}",
    )  # fmt: skip
    solution = solve(plan, placement)
    # u = 2 + x satisfies both parts: du/dn = 1, and u + du/dn = 4; ghost cells are exact for it
    x = (np.arange(24) + 0.5) / 24
    np.testing.assert_allclose(solution.state[0], np.broadcast_to(2 + x, (16, 24)), atol=1e-7)


@pytest.mark.parametrize(
    ("condition", "error", "message"),
    [
        ("{dirichlet: 'u'}", FormulaError, "values of neumann and robin"),
        ("{robin: {a: '0*y', b: 0, value: 1}}", BoundaryError, "a = b = 0"),
        ("{robin: {a: 'y - 0.5 + 0*t', b: 0, value: 1}}", None, ""),
        ("{robin: {a: '-32 + 0*y*t + sin(0*y)', b: '1 + y - y', value: 1}}", BoundaryError,
         "opposite"),
        ("{where: 't < 1', dirichlet: 1, otherwise: neumann}", BoundaryError, "contains t"),
        ("{where: 'x < 1', dirichlet: 1, otherwise: neumann}", BoundaryError, "contains x"),
        ("{where: 'y < 1', dirichlet: 1}", BoundaryError, "otherwise"),
        ("{where: 'y < 1', dirichlet: 1, otherwise: periodic}", BoundaryError, "part of the side"),
        ("{absorbing: 1}", BoundaryError, "wave equation"),
        ("{neumann: 'u', laplacian: 0}", BoundaryError, "two conditions"),
        ("{outflow: 1}", BoundaryError, "without a value"),
    ],
)  # fmt: skip
def test_what_is_refused(condition, error, message):
    plan = (*SQUARE, f"boundary.x={condition}")
    if error is None:
        make_plan(*plan)
        return
    with pytest.raises(error) as found:
        make_plan(*plan)
    assert message in str(found.value)


@pytest.mark.parametrize("stepper", ["crank_nicolson", "etdrk4", "cnab2", "exact"])
def test_steppers_that_cannot_name_those_that_can(stepper):
    with pytest.raises(StepperError, match="rk4"):
        make_plan("equation=heat", "grid=[16]", "boundary=neumann", f"stepper={stepper}",
                  "boundary.x.lower={neumann: '-u**2'}", "time.dt=1e-3")  # fmt: skip


def test_other_parts_that_cannot_say_so():
    flux = "boundary.x.lower={neumann: '-u**2'}"
    with pytest.raises(StepperError, match="momenta"):
        make_plan(*WAVES, "grid=[16]", "stepper=verlet")
    with pytest.raises(PdesimError, match="Robin"):
        make_plan("equation=heat", "grid=[16]", "boundary=neumann", flux, "operators=spectral")
    with pytest.raises(StepperError, match="boundary values with fields"):
        make_plan("equation=poisson", "grid=[16,16]", "boundary=dirichlet", flux)


@pytest.mark.slow
def test_resume_is_exact(command, tmp_path, monkeypatch):
    """The conditions are evaluated again from the settings: nothing else belongs to the state."""
    words = ("equation=heat", "grid=[16,16]", "domain.extent=[1,1]", "boundary=neumann",
             "boundary.x={lower: {where: 'y < 0.5', neumann: '-u**2', otherwise: "
             "{robin: {a: '1 + y', b: 1, value: 'sin(t)'}}}, upper: outflow}",
             "boundary.y=antiperiodic",
             "output.every=0.005", "output.frames=null", "animation=none")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    command(*words, "hydra.run.dir=whole", "time.end=0.02")
    command(*words, "hydra.run.dir=half", "time.end=0.01")
    command("resume", "half", "time.end=0.02")
    with h5py.File("whole/snapshots.h5") as whole, h5py.File("half/snapshots.h5") as half:
        np.testing.assert_array_equal(half["u"], whole["u"])
