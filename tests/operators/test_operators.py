"""Operators on plane waves and polynomials, and against each other."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from made_plans import custom_plan, right_hand_side, with_formula

from pdesim.formula.language import DERIVATIVES
from pdesim.operators import build_discretisation
from pdesim.operators.schemes import STENCILS


def words_of(dimensions):
    return [word for word, powers in DERIVATIVES.items() if not any(powers[dimensions:])]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("operators", ["stencil", "conv", "spectral"])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_every_operator_multiplies_a_plane_wave_by_its_symbol(
    placement, dimensions, operators, order
):
    if operators == "spectral" and order > 2:
        pytest.skip("spectral has no order")
    chosen = [f"operators={operators}"]
    if operators != "spectral":
        chosen.append(f"operators.order={order}")
    # as many cells as the widest stencil reads
    plan = custom_plan(dimensions, "u", *chosen, f"grid={[13, 12, 11][:dimensions]}")
    numbers = [1, 2, 1][:dimensions]
    waves = [2 * np.pi * m / length for m, length in zip(numbers, plan.grid.extent, strict=True)]
    phase = sum(
        k * plan.grid.broadcast(axis, plan.grid.centres(axis)) for axis, k in enumerate(waves)
    )
    symbols = plan.problem.discretisation.symbols(plan.grid, [np.array(k) for k in waves])
    assert set(symbols) == {"laplacian", *words_of(dimensions)}
    for word, symbol in symbols.items():
        expected = (complex(symbol) * np.exp(1j * phase)).real
        found = right_hand_side(with_formula(plan, f"{word}(u)"), np.cos(phase)[None])[0]
        power = sum(DERIVATIVES.get(word, (2,)))
        scale = np.abs(complex(symbol)) + 3.0**power / min(plan.grid.spacing) ** power
        np.testing.assert_allclose(found, expected, atol=2e-15 * 20 * scale, err_msg=word)


@pytest.mark.parametrize("power", range(1, 7))
@pytest.mark.parametrize("order", [2, 4, 6])
def test_stencil_weights_differentiate_polynomials_exactly(power, order):
    """As many as the weights can; what is left is of the order that is claimed."""
    weights = [Fraction(w).limit_denominator(10**6) for w in STENCILS[power, order]]
    np.testing.assert_array_equal([float(w) for w in weights], STENCILS[power, order])
    reach = len(weights) // 2
    for degree in range(power + order):
        moment = sum(w * m**degree for m, w in zip(range(-reach, reach + 1), weights, strict=True))
        assert moment == (math.factorial(power) if degree == power else 0)


def test_stencil_weights_are_those_of_the_tables():
    """Fornberg, Math. Comp. 51 (1988) 699, table 1."""
    assert STENCILS[1, 2] == (-1 / 2, 0.0, 1 / 2)
    assert STENCILS[2, 6] == (1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90)
    assert STENCILS[3, 2] == (-1 / 2, 1.0, 0.0, -1.0, 1 / 2)
    assert STENCILS[3, 4] == (1 / 8, -1.0, 13 / 8, 0.0, -13 / 8, 1.0, -1 / 8)
    assert STENCILS[4, 4] == (-1 / 6, 2.0, -13 / 2, 28 / 3, -13 / 2, 2.0, -1 / 6)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_symbols_approach_the_derivative_with_their_order(order):
    scheme = build_discretisation("stencil", order)
    k = 1.0
    for power in range(1, 7):
        errors = [abs(scheme.symbol(power, np.array(k), h) - (1j * k) ** power) for h in (0.2, 0.1)]
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("boundary", ["periodic", "dirichlet", "neumann"])
@pytest.mark.parametrize(
    "formula",
    [
        "laplacian(u)",
        "u*d_dx(u)",
        "laplacian(u**2 + laplacian(u))",
        "gradient_squared(u)",
        "d3_dx3(u**2) - d4_dx4(u)",
    ],
)
def test_conv_equals_stencil(placement, dimensions, boundary, formula):
    found = []
    for operators in ("stencil", "conv"):
        plan = custom_plan(
            dimensions, formula, f"operators={operators}", f"boundary={boundary}", "initial=zero"
        )
        state = np.random.default_rng(7).standard_normal((1, *plan.grid.shape))
        found.append(right_hand_side(plan, state))
    scale = np.abs(found[0]).max()
    # sums of 5 to 7 products in another order
    np.testing.assert_allclose(found[1], found[0], atol=1e-13 * scale)


def test_a_divergence_conserves_and_equals_the_laplacian_for_constant_coefficients(placement):
    rng = np.random.default_rng(3)
    state = rng.standard_normal((1, 9, 12))
    for boundary in ("periodic", "neumann"):
        plan = custom_plan(
            2, "divergence((2 + sin(9*x) + u**2)*gradient(u))", f"boundary={boundary}"
        )
        rate = right_hand_side(plan, state)
        assert abs(rate.sum()) < 1e-13 * np.abs(rate).sum()
    pair = [
        right_hand_side(custom_plan(2, formula), state)
        for formula in ("divergence((3 + 0*x)*gradient(u))", "3*laplacian(u)")
    ]
    np.testing.assert_allclose(*pair, rtol=1e-12, atol=1e-10)
