"""Numbers that would be computed, but not as they are written, are refused before a run."""

from __future__ import annotations

import pytest
from conftest import make_plan

from pdesim.errors import ConfigError

CUSTOM = ("equation=custom", "grid=[16]", "stepper=euler", "boundary=neumann")


def custom(rhs, *more):
    return make_plan(*CUSTOM, f"equation.rhs={{u: '{rhs}'}}", *more)


@pytest.mark.parametrize(
    ("rhs", "more"),
    [
        ("1e-40*laplacian(u)", ()),
        ("D*laplacian(u)", ("+equation.D=1e-40",)),
        # each factor is in range, their product is not
        ("a*b*u", ("+equation.a=1e-20", "+equation.b=1e-20")),
        ("a**2*u", ("+equation.a=1e-20",)),
        ("sin(t) + 2*1e39*u", ()),
        ("laplacian(1e-39*u)", ()),
        ("laplacian(u)", ("boundary={default: {neumann: 1e-41}}",)),
    ],
)
def test_coefficients_outside_float32_are_refused_with_the_cure(rhs, more):
    with pytest.raises(ConfigError, match="precision=float64"):
        custom(rhs, *more)
    custom(rhs, *more, "device.precision=float64", "time.unsafe=true", "time.dt=0.01")


@pytest.mark.parametrize(
    "rhs", ["1e-30*laplacian(u)", "0*u + 1e-37", "exp(-(u/1e-3)**2) + 1e30*u*0"]
)
def test_coefficients_within_float32_are_not(rhs):
    custom(rhs)


def test_parameters_of_initial_states_are_evaluated_in_float64():
    custom("laplacian(u)", "+equation.tiny=1e-40", "initial.u='1e40*tiny*x'")


def test_isotropic_stencils_want_square_cells():
    words = ("equation=heat", "grid=[32,16]", "operators.isotropic=true")
    with pytest.raises(ConfigError, match="isotropic"):
        make_plan(*words, "domain.extent=[1,1]")
    with pytest.raises(ConfigError, match="isotropic"):
        make_plan("equation=heat", "grid=[8,8,8]", "operators.isotropic=true",
                  "domain.extent=[1,1,1.01]")  # fmt: skip
    make_plan(*words, "domain.extent=[2,1]")
    make_plan(*words, "domain.extent=[0.6,0.3]")  # equal but for rounding
    make_plan(*words[:1], words[1], "domain.extent=1")
