"""Boundary conditions, obstacles and coefficients of position in the fast step loops.

The reference is the plain form, which adds ghost cells to the complete grid for every right-hand
side and evaluates coefficients in every step.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from step_loops import STEPS, Run, finely


def custom(rhs: str, words: str) -> str:
    return f"equation=custom equation.fields=[u] domain.extent=2 equation.rhs.u=\"'{rhs}'\" {words}"


CASES = {
    "no flux": "equation=heat grid=[24,64] stepper=euler boundary=neumann",
    "odd": "equation=wave grid=[24,64] stepper=verlet boundary=dirichlet",
    "not odd": "equation=gray_scott grid=[20,64] stepper=heun boundary=dirichlet",
    "sixth order": (
        "equation=gray_scott grid=[24,64] stepper=euler operators.order=6 boundary=neumann"
    ),
    "corners": (
        "equation=gray_scott grid=[24,64] stepper=euler boundary.y=dirichlet "
        "operators.isotropic=true domain.extent=[2.4,6.4]"
    ),
    "values of position and time": (
        "equation=heat grid=[24,64] stepper=heun boundary.x='{dirichlet: \"sin(y-3*t)\"}' "
        "boundary.y=neumann"
    ),
    "a different condition on each side and field": (
        "equation=gray_scott grid=[24,64] stepper=euler "
        "boundary.u.x='{lower: {dirichlet: 1}, upper: {neumann: 0.5}}' "
        "boundary.v.x='{robin: {a: 1, b: 2, value: 0.5}}' boundary.y=neumann"
    ),
    "first derivatives": custom(
        "laplacian(u) + u*d_dx(u)", "grid=[24,64] stepper=euler boundary.x='{neumann: 1.5}'"
    ),
    "three dimensions": (
        "equation=heat domain.dimensions=3 grid=[8,10,40] stepper=euler boundary=dirichlet "
        "boundary.y=periodic"
    ),
    "obstacles": "equation=heat grid=[24,64] stepper=euler domain.mask=0.8-r",
    "obstacles with values between walls": (
        "equation=heat grid=[24,64] stepper=heun boundary.x=neumann domain.mask=0.8-r "
        "boundary.mask='{dirichlet: 0.5}'"
    ),
    "diffusivity of position": custom(
        "divergence((1 + 0.5*sin(pi*x)*cos(pi*y))*gradient(u))", "grid=[24,64] stepper=euler"
    ),
    "diffusivity of position between walls": custom(
        "divergence((1 + 0.5*sin(pi*x)*y)*gradient(u))",
        "grid=[24,80] stepper=heun boundary=neumann",
    ),
    "a jump of the diffusivity": custom(
        "divergence((1 + heaviside(x - 1))*gradient(u))", "grid=[24,64] stepper=euler"
    ),
    "sources of position and time": custom(
        "laplacian(u) + exp(-r**2)*cos(t)*u + Lx*x*y",
        "grid=[24,64] stepper=heun boundary.x=dirichlet",
    ),
    "a speed that depends on position": (
        "equation=custom equation.fields=[u,w] domain.extent=2 grid=[24,64] stepper=verlet "
        "boundary=dirichlet equation.rhs.u=\"'w'\" "
        "equation.rhs.w=\"'(1 + x)**2*laplacian(u) - 0.1*w'\""
    ),
}


SIDES = ("periodic", "neumann", "dirichlet", "{dirichlet: 0.7}", "{robin: {a: 1, b: 2, value: 1}}")
FORMULAS = (
    "laplacian(u)",
    "laplacian(u) + u - u**3",
    "divergence((2 + sin(pi*x))*gradient(u)) + y*u",
    "laplacian(u) - d_dx(u)",
)


@settings(
    max_examples=6, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(
    formula=st.sampled_from(FORMULAS),
    sides=st.tuples(*[st.sampled_from(SIDES)] * 2),
    stepper=st.sampled_from(["euler", "heun"]),
    order=st.sampled_from([2, 4]),
    mask=st.booleans(),
    columns=st.integers(20, 31),
)
def test_any_walls_give_the_results_of_the_plain_form(
    formula, sides, stepper, order, mask, columns
):
    obstacles = "domain.mask=0.8-r" if mask and order == 2 else ""
    words = f"grid=[{columns},24] stepper={stepper} operators.order={order} {obstacles}"
    words = custom(formula, f"{words} boundary.x='{sides[0]}' boundary.y='{sides[1]}'")
    plain, run = Run(words, flat=False).to(STEPS), Run(words, flat=True)
    # an equation that is not covered is computed in the plain form
    covered = "divergence" not in formula or order == 2 or sides == ("periodic", "periodic")
    assert run.loop.layout is not None or not covered
    flat = run.to(STEPS)
    assert np.abs(flat - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
    assert np.array_equal(run.to(7, STEPS), flat), "another division into blocks"


@pytest.mark.parametrize("words", CASES.values(), ids=CASES)
def test_tiles_give_the_results_of_the_plain_form(words):
    ghosts = 6 if "order=6" in words else 4
    run = Run(words, flat=True, tuning=finely(cores=2, ghosts=ghosts, width=9))
    assert run.loop.slabs is not None and run.loop.slabs.tile.steps > 1
    plain, tiled = Run(words, flat=False).to(STEPS), run.to(STEPS)
    # constants may be contracted in another way, and products of coefficients in another order
    assert np.abs(tiled - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
    assert np.array_equal(run.to(5, STEPS), tiled), "another division into blocks"
