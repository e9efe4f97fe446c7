"""Convolutions equal stencils, by the convolutions of tf.nn as well as by products."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan
from made_plans import custom_plan

from pdesim.engine.compile_cache import use_xla
from pdesim.engine.device import Placement
from pdesim.engine.simulation import Simulation
from pdesim.model.grid import Grid
from pdesim.operators.convolution import BLOCK, _proportional_rows, kernel
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.operators.schemes import ORDERS, build_discretisation

CPU = Placement("/CPU:0", "CPU")
FORMULAS = {
    1: "laplacian(u) + u*d_dx(u) + 1e-4*d6_dx6(u)",
    2: "laplacian(u) + u*d_dy(u) + d2_dxdy(u**2) + 1e-3*d3_dy3(u)",
    3: "laplacian(u) + u*d_dz(u) + d2_dxdz(u**2) - laplacian(u**3)",
}


def right_hand_side(plan, state, dtype=tf.float64, **form):
    """The right-hand side in an XLA program."""
    system = MethodOfLines(plan.problem, dtype, True, {}, **form)
    rhs = tf.function(system.rhs, jit_compile=True, autograph=False)
    return rhs(tf.constant(state, dtype), tf.constant(0.0, tf.float64)).numpy()


def pair(dimensions, formula, *words):
    return [
        custom_plan(dimensions, formula, f"operators={name}", "initial=zero", *words)
        for name in ("stencil", "conv")
    ]


def check(plans, dtype=tf.float64, seed=5, **form):
    """Compare the right-hand sides of a stencil and of a convolution at random values."""
    state = np.random.default_rng(seed).standard_normal((1, *plans[0].grid.shape))
    expected = right_hand_side(plans[0], state, dtype)
    result = right_hand_side(plans[1], state, dtype, **form)
    # sums of up to 40 products in another order, with intermediate results larger than the sum
    scale = 40 * np.finfo(dtype.as_numpy_dtype).eps * np.abs(expected).max()
    np.testing.assert_allclose(result, expected, rtol=0, atol=scale)


#: every order between periodic sides, the extreme ones beside others; the library's convolutions
#: differ from the banded matrices in how they are called for each dimension
CASES = [
    (boundary, order, dimensions, library)
    for boundary in ("periodic", "dirichlet", "neumann")
    for order in (ORDERS if boundary == "periodic" else (ORDERS[0], ORDERS[-1]))
    for dimensions in (1, 2, 3)
    for library in ((False, True) if boundary == "periodic" else (dimensions == 2,))
]


@pytest.mark.parametrize(("boundary", "order", "dimensions", "library"), CASES)
def test_all_orders_equal_the_stencil(placement, dimensions, order, boundary, library):
    grid = {1: "grid=[21]", 2: "grid=[19,11]", 3: "grid=[18,12,11]"}[dimensions]
    words = f"operators.order={order}", f"boundary={boundary}", grid
    check(pair(dimensions, FORMULAS[dimensions], *words), library_convolutions=library)


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_isotropic_laplacian_equals_the_stencil(placement, dimensions, boundary, library):
    extent = {2: "[1.2,0.9]", 3: "[0.8,0.6,0.5]"}[dimensions]
    words = "operators.isotropic=true", f"boundary={boundary}", f"domain.extent={extent}"
    check(pair(dimensions, "laplacian(u)", *words), library_convolutions=library)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_single_precision(placement, dimensions):
    check(pair(dimensions, "laplacian(u) + u*d_dx(u)"), tf.float32)


@pytest.mark.parametrize("width", [4, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 100])
@pytest.mark.parametrize("others", ["", ",5", ",5,4"])
def test_widths_that_are_no_multiple_of_a_block(placement, width, others):
    dimensions = 1 + others.count(",")
    check(pair(dimensions, "laplacian(u) + u*d_dx(u)", f"grid=[{width}{others}]"))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_an_undefined_value_makes_only_its_block_undefined(placement, dimensions):
    grid = [40, 9, 8][:dimensions]
    plan = pair(dimensions, "laplacian(u)", f"grid={grid}")[1]
    state = np.random.default_rng(3).standard_normal((1, *plan.grid.shape))
    clean = right_hand_side(plan, state)
    place = (0, *[4] * (dimensions - 1), 20)
    state[place] = np.nan
    undefined = np.isnan(right_hand_side(plan, state))
    assert undefined[place] and undefined[(*place[:-1], 19)] and undefined[(*place[:-1], 21)]
    columns = np.flatnonzero(undefined.any(axis=tuple(range(dimensions))))
    assert columns.max() - columns.min() < 2 * BLOCK
    rows = undefined.any(axis=-1)
    assert rows.sum() == 1 + 2 * (dimensions - 1)
    state[place] = 0.0
    unread = ~undefined
    np.testing.assert_array_equal(right_hand_side(plan, state)[unread], clean[unread])


def test_members_and_steps_equal_the_stencil(placement):
    """A batch of runs with different parameters, through the compiled loop over steps."""
    states = []
    for operators in ("stencil", "conv"):
        plans = [
            make_plan(
                "equation=gray_scott", "grid=[37,20]", "stepper=rk4", "time.end=20",
                "output.frames=1", "device.precision=float64", f"operators={operators}",
                f"equation.F={feed}",
            )
            for feed in (0.03, 0.04, 0.05)
        ]  # fmt: skip
        states.append(list(Simulation(plans, CPU).frames())[-1].state)
    # round-off of each step, in values of at most 1
    assert np.abs(states[0] - states[1]).max() < 1e-12


def test_proportional_rows_share_their_products():
    grid = Grid(points=(16, 12), extent=(1.0, 2.0), origin=(0.0, 0.0))

    def groups(word, **options):
        scheme = build_discretisation("conv", **options)
        weights = kernel(grid, scheme.terms(word, grid))
        found = _proportional_rows(weights)
        total = np.zeros_like(weights)
        for line, places in found:
            for place, factor in places:
                total[place] += factor * line
        np.testing.assert_allclose(total, weights, rtol=1e-14)
        return [len(places) for _, places in found]

    assert groups("d2_dxdy", order=6) == [6]
    assert groups("laplacian", order=6) == [6, 1]
    assert groups("laplacian", isotropic=True) == [2, 1]


def test_programs_for_cpus_contain_products_instead_of_convolutions(placement):
    plan = make_plan("equation=heat", "grid=32", "stepper=euler", "operators=conv")
    assert use_xla(plan)
    system = MethodOfLines(plan.problem, tf.float32, True, {"D": tf.constant(1.0)})
    rhs = tf.function(system.rhs, jit_compile=True, autograph=False)
    state, time = tf.zeros((1, 32, 32)), tf.constant(0.0, tf.float64)
    text = rhs.experimental_get_compiler_ir(state, time)(stage="hlo")
    assert text.count(" dot(") == 1
    assert " convolution(" not in text
