"""Exact symmetries of the sums of neighbours, and fluxes that are evaluated together."""

import numpy as np
import pytest
import sympy

from pdesim.config.compose import compose_settings
from pdesim.model.grid import Grid
from pdesim.operators import stencil
from pdesim.operators.fluxes import merge_fluxes
from pdesim.operators.mirror import reflections
from pdesim.operators.schemes import build_discretisation
from pdesim.plan import build_plan

GRID = Grid((12, 10), (1.2, 1.0), (0.0, 0.0))


def derivative(word: str, order: int, values: np.ndarray, isotropic: bool = False) -> np.ndarray:
    """The derivative of a periodic array by rolled copies."""
    scheme = build_discretisation("stencil", order=order, isotropic=isotropic)

    def neighbour(offsets):
        return np.roll(values, [-o for o in reversed(offsets)], axis=(0, 1))

    return stencil.derivative(neighbour, scheme.terms(word, GRID))


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize(
    ("word", "signs"),
    [
        ("laplacian", (1, 1)),
        ("d_dx", (-1, 1)),
        ("d_dy", (1, -1)),
        ("d2_dxdy", (-1, -1)),
        ("d3_dx3", (-1, 1)),
    ],
)
def test_a_derivative_of_a_mirrored_array_is_mirrored_to_the_bit(word, signs, order):
    values = np.random.default_rng(1).normal(size=GRID.shape).astype(np.float32)
    for axis, sign in zip((1, 0), signs, strict=True):
        mirrored = derivative(word, order, np.flip(values, axis))
        assert np.array_equal(mirrored, sign * np.flip(derivative(word, order, values), axis))


def test_the_isotropic_laplacian_of_a_mirrored_array_is_mirrored_to_the_bit():
    values = np.random.default_rng(2).normal(size=GRID.shape).astype(np.float32)
    for axis in (0, 1):
        mirrored = derivative("laplacian", 2, np.flip(values, axis), isotropic=True)
        expected = np.flip(derivative("laplacian", 2, values, isotropic=True), axis)
        assert np.array_equal(mirrored, expected)


def problem_of(*words: str):
    composed = compose_settings(["grid=[16,12]", *words])
    return build_plan(composed.settings, composed.equation).problem


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("equation=heat", "boundary=neumann"), {0: ((1,), (1,)), 1: ((1,), (1,))}),
        (("equation=heat", "boundary.x=dirichlet"), {0: ((-1,), (-1,))}),
        (("equation=gray_scott", "boundary.y=neumann"), {1: ((1, 1), (1, 1))}),
        # 1 - u is not odd, one-sided differences of order 4 are no mirror images, and a boundary
        # value may depend on the other axis
        (("equation=gray_scott", "boundary=dirichlet"), {}),
        (("equation=heat", "boundary=dirichlet", "operators.order=4"), {}),
        (("equation=heat", 'boundary.x={dirichlet: "sin(y)"}', "boundary.y=neumann"), {}),
        (("equation=heat", "boundary=neumann", "domain.mask='0.8-r'"), {}),
    ],
)
def test_sides_about_which_the_discrete_solution_is_symmetric(words, expected):
    assert reflections(problem_of(*words)) == expected


def custom(rhs: str, *words: str):
    return problem_of(
        "equation=custom",
        "equation.fields=[u]",
        "domain.extent=2",
        f"equation.rhs.u='{rhs}'",
        *words,
    )


def test_fluxes_of_one_gradient_are_evaluated_together():
    problem = custom("divergence((1 + x*y)*gradient(u)) + u")
    (formula,) = problem.equation.formulas
    assert len(formula.args) == 3
    x, y, u = (sympy.Symbol(name, real=True) for name in "xyu")
    flux = sympy.Function("divergence", real=True)(1 + x * y, u)
    assert merge_fluxes(problem, formula) == flux + u


def test_harmonic_means_are_not_added():
    problem = custom("divergence((1 + x*y)*gradient(u))", "operators.face_mean=harmonic")
    (formula,) = problem.equation.formulas
    assert merge_fluxes(problem, formula) == formula
