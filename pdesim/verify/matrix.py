"""The matrix of measurements of ``pdesim verify --all``. Does not import TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from pdesim.formula import language as lang
from pdesim.model.equation import Equation
from pdesim.operators.problem import Problem
from pdesim.steppers import METHODS
from pdesim.steppers.symplectic import partition


@dataclass(frozen=True)
class MatrixPart:
    """The part of the matrix that is measured for one equation.

    Args:
        every_scheme: whether all operators are measured with all kinds of boundary conditions.
            Otherwise only second-order stencils and spectral operators are measured, with periodic,
            Dirichlet and Neumann conditions.
        steppers: the names of the operators with which every stepper is measured.
        stiff: whether steppers are also measured with time-dependent boundary values.
    """

    every_scheme: bool = True
    steppers: tuple[str, ...] = ("stencil", "spectral")
    stiff: bool = True


class PartSelector:
    """Selects the part of the matrix to measure for each of several equations, without repetitions.

    Operators and boundary conditions are measured for the first equation with a given set of
    operators. Steppers are measured for the first equation of each kind, where the kind is whether
    the equation is linear, has several fields, has positions and momenta, and has nested operators.
    If operators are nested, steppers are measured with spectral operators, otherwise with stencils.
    """

    def __init__(self) -> None:
        self._seen: set = set()

    def part(self, problem: Problem) -> MatrixPart:
        equation = problem.equation
        operators = [n for formula in equation.formulas for n in lang.operators_in(formula)]
        shapes = frozenset((lang.word_of(n), _kind_of_argument(n, equation)) for n in operators)
        nested = any("operator" in shape for _, shape in shapes)
        linear, momenta = problem.split.is_linear, partition(equation) is not None
        several = len(equation.fields) > 1
        space = self._is_new("space", shapes, equation.steady, linear, momenta)
        time = self._is_new("time", linear, several, momenta, nested)
        steppers = ("spectral" if nested else "stencil",) if time and not equation.steady else ()
        return MatrixPart(space, steppers, stiff=bool(steppers) and not nested)

    def _is_new(self, *kind: object) -> bool:
        new = kind not in self._seen
        self._seen.add(kind)
        return new


def _kind_of_argument(node: sympy.Expr, equation: Equation) -> str:
    if any(map(lang.operators_in, node.args)):
        return "operator"
    return "field" if node.args[-1] in equation.field_symbols else "function"


def _custom(name: str, formula: str, *more: str) -> tuple[str, ...]:
    words = ("equation=custom", f"equation.name={name}", f"equation.rhs={{u: '{formula}'}}")
    return (*words, "grid=[32]", *more)


_FLUX = "divergence((1 + 0.3*u + 0.2*x)*gradient(u))"
_JUMP = "divergence(where(x < 0.5, 1, 10)*gradient(u))"
_OBSTACLE = ("grid=[32,32]", "domain.mask='where(r < 0.2, 1, 0)'")
_AGGREGATION = 'laplacian(u) - d_dx(u*d_dx(convolve("exp(-r**2/0.01)", u)))'
_BOTH = "equation.rhs={u: 'laplacian(u) - u*v', v: '0.5*laplacian(v) + u*v'}"

#: problems that the equations of the package do not cover; each is measured as without ``--all``
CASES = (
    _custom("porous_medium", "laplacian(u**2)", "boundary=dirichlet"),
    _custom("variable_flux", _FLUX, "boundary=neumann"),
    _custom("variable_flux", _FLUX, "boundary=dirichlet", "operators.order=4"),
    _custom("variable_flux", "divergence((1 + 0.3*u**2)*gradient(u))", "boundary=dirichlet",
            "operators=spectral", "stepper=rk4"),
    _custom("jump", _JUMP, "boundary=dirichlet"),
    _custom("jump", _JUMP, "boundary=neumann"),
    _custom("jump", _JUMP, "boundary=periodic"),
    _custom("jump_arithmetic", _JUMP, "boundary=dirichlet", "operators.face_mean=arithmetic"),
    _custom("jump_of_a_field", "divergence(where(x < 0.5, 1, 10)*u*gradient(u))",
            "boundary=dirichlet"),
    _custom("jump", _JUMP, "grid=[32,32]", "boundary=dirichlet"),
    _custom("cross", "laplacian(u) + 0.8*d2_dxdy(u)", "grid=[32,32]", "boundary=dirichlet"),
    _custom("fourth", "-d4_dx4(u)", "boundary=dirichlet", "operators.order=4"),
    _custom("fourth", "-d4_dx4(u)", "boundary=neumann"),
    _custom("obstacle", "laplacian(u)", *_OBSTACLE, "boundary=neumann"),
    _custom("obstacle", "laplacian(u)", *_OBSTACLE, "boundary=dirichlet",
            "boundary.mask={dirichlet: 0.5}"),
    ("equation=custom", "equation.name=obstacle", _BOTH, *_OBSTACLE, "boundary=periodic",
     "boundary.u.mask={dirichlet: 1}"),
    ("equation=poisson_boltzmann", "grid=[32,32]"),
    ("equation=turbulence", "grid=[32,32]"),
    ("equation=keller_segel", "grid=[32,32]"),
    ("equation=schroedinger", "grid=[32,32]"),
    _custom("aggregation", _AGGREGATION),
    ("equation=kpz", "grid=[32]"),
    ("equation=stochastic_gray_scott", "grid=[32]"),
    *(_custom("geometric_brownian_motion", "-u", "+equation.noise={u: '0.5*u'}", "initial.u=1",
              "domain.extent=[32]", "time.end=1", f"stepper={name}")
      for name, method in METHODS.items() if method.family == "stochastic"),
)  # fmt: skip
