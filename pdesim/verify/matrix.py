"""What ``pdesim verify --all`` measures. No TensorFlow here."""

from __future__ import annotations

from dataclasses import dataclass

from pdesim.formula import language as lang
from pdesim.operators.problem import Problem
from pdesim.steppers.symplectic import partition


@dataclass(frozen=True)
class Part:
    """Which rows are measured of one equation.

    ``every_scheme``: all operators between all kinds of boundaries; else second-order stencils and
    spectral operators, on periodic axes and between Dirichlet and Neumann conditions. ``steppers``
    names the operators on which every stepper is measured. ``stiff``: steppers are measured at
    boundary values that change in time, too.
    """

    every_scheme: bool = True
    steppers: tuple[str, ...] = ("stencil", "spectral")
    stiff: bool = True


class Choice:
    """Which part of the matrix each of several equations gets: what none before it has shown.

    Operators, boundaries and steppers are measured on the first equation of a kind: in space a kind
    is a set of operators, in time whether the equation is linear, couples fields, has positions and
    momenta, or nested operators (then the stiff ones are measured, by spectral operators).
    """

    def __init__(self) -> None:
        self._seen: set = set()

    def part(self, problem: Problem) -> Part:
        equation = problem.equation
        operators = [n for formula in equation.formulas for n in lang.operators_in(formula)]
        shapes = frozenset((lang.word_of(n), _content(n, equation)) for n in operators)
        nested = any("operator" in shape for _, shape in shapes)
        linear, momenta = problem.split.is_linear, partition(equation) is not None
        several = len(equation.fields) > 1
        space = self._is_new("space", shapes, equation.steady, linear, momenta)
        time = self._is_new("time", linear, several, momenta, nested)
        steppers = ("spectral" if nested else "stencil",) if time and not equation.steady else ()
        return Part(space, steppers, stiff=bool(steppers) and not nested)

    def _is_new(self, *kind) -> bool:
        new = kind not in self._seen
        self._seen.add(kind)
        return new


def _content(node, equation) -> str:
    if any(map(lang.operators_in, node.args)):
        return "operator"
    return "field" if node.args[-1] in equation.field_symbols else "function"


def _custom(name: str, formula: str, *more: str) -> tuple[str, ...]:
    words = ("equation=custom", f"equation.name={name}", f"equation.rhs={{u: '{formula}'}}")
    return (*words, "grid=[32]", *more)


_FLUX = "divergence((1 + 0.3*u + 0.2*x)*gradient(u))"
_JUMP = "divergence(where(x < 0.5, 1, 10)*gradient(u))"
_OBSTACLE = ("grid=[32,32]", "domain.mask='where(r < 0.2, 1, 0)'")
_BOTH = "equation.rhs={u: 'laplacian(u) - u*v', v: '0.5*laplacian(v) + u*v'}"

#: problems that no shipped equation poses; each is measured as ``pdesim verify`` does
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
)  # fmt: skip
