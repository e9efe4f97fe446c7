"""The time steppers as data: order, family, tableau, citation. No TensorFlow here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Tableau:
    """Butcher tableau of an explicit Runge-Kutta method: ``a`` row by row, ``b``, ``c``."""

    a: tuple[tuple[Fraction, ...], ...]
    b: tuple[Fraction, ...]

    @property
    def c(self) -> tuple[Fraction, ...]:
        return tuple(sum(row, Fraction(0)) for row in self.a)

    @property
    def stages(self) -> int:
        return len(self.b)


@dataclass(frozen=True)
class Method:
    """A stepper: what it is, how accurate, where it comes from.

    ``safety`` is the fraction of the stability limit that ``time.dt=auto`` takes.
    """

    name: str
    family: str
    order: int
    about: str
    citation: str
    safety: float = 0.9
    tableau: Tableau | None = None


def _tableau(a: list[list[str]], b: list[str]) -> Tableau:
    return Tableau(tuple(tuple(map(Fraction, row)) for row in a), tuple(map(Fraction, b)))


_ALL = (
    Method(
        "euler",
        "explicit",
        1,
        "explicit Euler",
        "Hairer, Norsett, Wanner, Solving ODEs I (1993), eq. I.7.3",
        tableau=_tableau([[]], ["1"]),
    ),
    Method(
        "heun",
        "explicit",
        2,
        "Heun's trapezoidal method",
        "Hairer, Norsett, Wanner, Solving ODEs I (1993), sec. II.1",
        tableau=_tableau([[], ["1"]], ["1/2", "1/2"]),
    ),
    Method(
        "rk4",
        "explicit",
        4,
        "the classical Runge-Kutta method",
        "Kutta, Z. Math. Phys. 46 (1901) 435; Hairer, Norsett, Wanner (1993), table II.1.2",
        tableau=_tableau(
            [[], ["1/2"], ["0", "1/2"], ["0", "0", "1"]], ["1/6", "1/3", "1/3", "1/6"]
        ),
    ),
    Method(
        "verlet",
        "symplectic",
        2,
        "Stormer-Verlet (leapfrog), for second-order systems such as the wave",
        "Hairer, Lubich, Wanner, Acta Numerica 12 (2003) 399, eq. 1.5",
        safety=0.5,
    ),
    Method(
        "etdrk2",
        "exponential",
        2,
        "exponential time differencing: the linear part exact, the rest by two stages",
        "Cox, Matthews, J. Comput. Phys. 176 (2002) 430, eq. 22",
        safety=0.25,
    ),
)
METHODS = {method.name: method for method in _ALL}
