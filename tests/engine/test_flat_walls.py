"""Boundary conditions, obstacles and coefficients of position in the fast step loops.

The reference is the plain form, which adds ghost cells to the complete grid for every right-hand
side and evaluates coefficients in every step.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from step_loops import STEPS, WALLS, Run, custom, finely

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


@pytest.mark.parametrize("words", WALLS.values(), ids=WALLS)
def test_tiles_give_the_results_of_the_plain_form(words):
    ghosts = 6 if "order=6" in words else 4
    run = Run(words, flat=True, tuning=finely(cores=2, ghosts=ghosts, width=9))
    assert run.loop.slabs is not None and run.loop.slabs.tile.steps > 1
    plain, tiled = Run(words, flat=False).to(STEPS), run.to(STEPS)
    # constants may be contracted in another way, and products of coefficients in another order
    assert np.abs(tiled - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()
    assert np.array_equal(run.to(5, STEPS), tiled), "another division into blocks"
