"""Tableaux, coefficients, orders and citations of the time-stepping methods, as data.

This module does not import TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Tableau:
    """Butcher tableau of an explicit Runge-Kutta method: ``a`` row by row, ``b``, ``c``."""

    a: tuple[tuple[Fraction, ...], ...]
    b: tuple[Fraction, ...]
    #: weights of the embedded solution of lower order, for adaptive methods
    embedded: tuple[Fraction, ...] | None = None

    @property
    def c(self) -> tuple[Fraction, ...]:
        return tuple(sum(row, Fraction(0)) for row in self.a)

    @property
    def stages(self) -> int:
        return len(self.b)


#: one entry of an exponential tableau: a sum of ``weight * phi_k(c * dt * L)``
Phi = tuple[tuple[float, int, float], ...]


@dataclass(frozen=True)
class ExponentialTableau:
    """Tableau of an exponential method: ``U_i = exp(c_i dt L) u + dt sum_j a_ij(dt L) N(U_j)``.

    The new u is computed in the same way, with the weights ``b`` and c = 1.
    """

    c: tuple[float, ...]
    a: tuple[tuple[Phi, ...], ...]
    b: tuple[Phi, ...]


@dataclass(frozen=True)
class Method:
    """A time-stepping method: description, order, coefficients and citation.

    ``safety`` is the fraction of the stability limit that ``time.dt=auto`` uses. ``weights`` are
    the sub-steps of a symmetric composition, as fractions of dt.

    ``reduced_order`` is the lowest order with time-dependent boundary values; None if the order is
    not reduced. Time-dependent boundary values act as a source that is as stiff as the operator,
    for which the low order of the stages matters (Hochbruck and Ostermann, Acta Numerica 19 (2010)
    209, sec. 2.4, doi:10.1017/S0962492910000048). The full order is attained for steps far below
    the explicit stability limit.

    Orders measured with boundary values 1 + sin(3 t), 64 cells, and dt from 1/10 to 1/160: ETDRK3
    and ETDRK4 have order 3 for the heat equation and about 2 for Allen-Cahn; ETDRK2, SBDF2, RKL2
    and Crank-Nicolson have order 2 for both. Solutions of CNAB2 oscillate, with order 1.4 at long
    steps.
    """

    name: str
    family: str
    order: int
    about: str
    citation: str
    safety: float = 0.9
    tableau: Tableau | ExponentialTableau | None = None
    weights: tuple[float, ...] = (1.0,)
    reduced_order: int | None = None

    @property
    def explicit_tableau(self) -> Tableau:
        """Return the tableau of an explicit Runge-Kutta method."""
        assert isinstance(self.tableau, Tableau)
        return self.tableau

    @property
    def exponential_tableau(self) -> ExponentialTableau:
        """Return the tableau of an exponential method."""
        assert isinstance(self.tableau, ExponentialTableau)
        return self.tableau


def _tableau(a: list[str], b: str, embedded: str | None = None) -> Tableau:
    def row(text: str) -> tuple[Fraction, ...]:
        return tuple(map(Fraction, text.split()))

    return Tableau(tuple(map(row, a)), row(b), row(embedded) if embedded else None)


def _phi(*terms: tuple[float, int, float]) -> Phi:
    return terms


# entries that several exponential methods share: phi_1 at half a step, first and last weight of b
_HALF = _phi((0.5, 1, 0.5))
_FIRST = _phi((1, 1, 1), (-3, 2, 1), (4, 3, 1))
_LAST = _phi((-1, 2, 1), (4, 3, 1))
_YOSHIDA = 1 / (2 - 2 ** (1 / 3))
_ODES = "Hairer, Norsett, Wanner, Solving ODEs I (1993)"
_STOCHASTIC = "Kloeden, Platen, Numerical Solution of Stochastic Differential Equations (1992)"
_COX = "Cox, Matthews, J. Comput. Phys. 176 (2002) 430"

_ALL = (
    Method(
        "euler", "explicit", 1, "explicit Euler", f"{_ODES}, eq. I.7.3", 0.9, _tableau([""], "1")
    ),
    Method(
        "heun",
        "explicit",
        2,
        "Heun's trapezoidal method",
        f"{_ODES}, sec. II.1",
        tableau=_tableau(["", "1"], "1/2 1/2"),
    ),
    Method(
        "ssprk3",
        "explicit",
        3,
        "three steps of explicit Euler, combined so that their stability is preserved",
        "Shu, Osher, J. Comput. Phys. 77 (1988) 439, eq. 2.18",
        tableau=_tableau(["", "1", "1/4 1/4"], "1/6 1/6 2/3"),
    ),
    Method(
        "rk4",
        "explicit",
        4,
        "the classical Runge-Kutta method",
        f"Kutta, Z. Math. Phys. 46 (1901) 435; {_ODES}, table II.1.2",
        tableau=_tableau(["", "1/2", "0 1/2", "0 0 1"], "1/6 1/3 1/3 1/6"),
    ),
    Method(
        "bogacki_shampine",
        "adaptive",
        3,
        "an embedded 3(2) pair that chooses its step",
        "Bogacki, Shampine, Appl. Math. Lett. 2 (1989) 321",
        0.5,
        _tableau(["", "1/2", "0 3/4", "2/9 1/3 4/9"], "2/9 1/3 4/9 0", "7/24 1/4 1/3 1/8"),
    ),
    Method(
        "dormand_prince",
        "adaptive",
        5,
        "an embedded 5(4) pair that chooses its step",
        "Dormand, Prince, J. Comput. Appl. Math. 6 (1980) 19, RK5(4)7M",
        0.5,
        _tableau(
            [
                "",
                "1/5",
                "3/40 9/40",
                "44/45 -56/15 32/9",
                "19372/6561 -25360/2187 64448/6561 -212/729",
                "9017/3168 -355/33 46732/5247 49/176 -5103/18656",
                "35/384 0 500/1113 125/192 -2187/6784 11/84",
            ],
            "35/384 0 500/1113 125/192 -2187/6784 11/84 0",
            "5179/57600 0 7571/16695 393/640 -92097/339200 187/2100 1/40",
        ),
    ),
    Method(
        "rkl2",
        "stabilized",
        2,
        "Runge-Kutta-Legendre, for diffusion: a stable step proportional to the number of stages "
        "squared",
        "Meyer, Balsara, Aslam, J. Comput. Phys. 257 (2014) 594, eqs. 16-18",
    ),
    Method(
        "etdrk1",
        "exponential",
        1,
        "exponential Euler: the linear part exact, the rest frozen over a step",
        f"{_COX}, eq. 4",
        0.6,
        ExponentialTableau((0.0,), ((),), (_phi((1, 1, 1)),)),
    ),
    Method(
        "etdrk2",
        "exponential",
        2,
        "exponential time differencing: the linear part exact, the rest by two stages",
        f"{_COX}, eq. 22",
        0.6,
        ExponentialTableau(
            (0.0, 1.0),
            ((), (_phi((1, 1, 1)),)),
            (_phi((1, 1, 1), (-1, 2, 1)), _phi((1, 2, 1))),
        ),
    ),
    Method(
        "etdrk3",
        "exponential",
        3,
        "exponential time differencing with three stages "
        "(order 2 to 3 with time-dependent boundary values)",
        f"{_COX}, eqs. 23-25",
        0.6,
        ExponentialTableau(
            (0.0, 0.5, 1.0),
            ((), (_HALF,), (_phi((-1, 1, 1)), _phi((2, 1, 1)))),
            (_FIRST, _phi((4, 2, 1), (-8, 3, 1)), _LAST),
        ),
        reduced_order=2,
    ),
    Method(
        "etdrk4",
        "exponential",
        4,
        "exponential time differencing with four stages "
        "(order 2 to 3 with time-dependent boundary values)",
        f"{_COX}, eqs. 26-29; Kassam, Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214",
        0.6,
        ExponentialTableau(
            (0.0, 0.5, 0.5, 1.0),
            (
                (),
                (_HALF,),
                ((), _HALF),
                (_phi((1, 1, 1), (-1, 1, 0.5)), (), _phi((1, 1, 0.5))),
            ),
            (_FIRST, _phi((2, 2, 1), (-4, 3, 1)), _phi((2, 2, 1), (-4, 3, 1)), _LAST),
        ),
        reduced_order=2,
    ),
    Method(
        "cnab2",
        "imex",
        2,
        "Crank-Nicolson for the linear part, Adams-Bashforth for the rest",
        "Ascher, Ruuth, Wetton, SIAM J. Numer. Anal. 32 (1995) 797, eq. 14",
        0.6,
    ),
    Method(
        "sbdf2",
        "imex",
        2,
        "backward differences for the linear part, extrapolation for the rest",
        "Ascher, Ruuth, Wetton, SIAM J. Numer. Anal. 32 (1995) 797, eq. 17",
        0.6,
    ),
    Method(
        "implicit_euler",
        "implicit",
        1,
        "implicit Euler, for linear equations",
        "Hairer, Wanner, Solving ODEs II (1996), sec. IV.3",
    ),
    Method(
        "crank_nicolson",
        "implicit",
        2,
        "the implicit trapezoidal rule, for linear equations",
        "Crank, Nicolson, Proc. Camb. Phil. Soc. 43 (1947) 50",
    ),
    Method(
        "verlet",
        "symplectic",
        2,
        "Stormer-Verlet (leapfrog), for second-order systems such as the wave equation",
        "Hairer, Lubich, Wanner, Acta Numerica 12 (2003) 399, eq. 1.5",
        0.9,
    ),
    Method(
        "yoshida4",
        "symplectic",
        4,
        "three Stormer-Verlet steps composed to order four",
        "Yoshida, Phys. Lett. A 150 (1990) 262, eq. 2.11",
        0.9,
        weights=(_YOSHIDA, 1 - 2 * _YOSHIDA, _YOSHIDA),
    ),
    Method(
        "euler_maruyama",
        "stochastic",
        1,
        "explicit Euler with noise (Ito): strong order 1/2, or 1 for constant amplitudes",
        f"{_STOCHASTIC}, eq. 10.2.4",
    ),
    Method(
        "milstein",
        "stochastic",
        1,
        "explicit Euler with noise and its iterated integral (Ito): strong order 1",
        f"{_STOCHASTIC}, eq. 10.3.3",
    ),
    Method(
        "stochastic_heun",
        "stochastic",
        1,
        "Heun's method with noise (Stratonovich): strong order 1 for noise of independent fields",
        "Rumelin, SIAM J. Numer. Anal. 19 (1982) 604, doi:10.1137/0719041",
    ),
    Method(
        "exponential_euler_maruyama",
        "stochastic",
        1,
        "exponential Euler with noise (Ito): the linear part exact, for stiff equations",
        "Jentzen, Kloeden, Proc. R. Soc. A 465 (2009) 649, doi:10.1098/rspa.2008.0325",
        0.6,
    ),
    Method(
        "exact",
        "exponential",
        0,
        "the exact solution of linear equations with constant coefficients, in one step per frame",
        "Moler, Van Loan, SIAM Rev. 45 (2003) 3",
        tableau=ExponentialTableau((0.0,), ((),), (_phi((1, 1, 1)),)),
    ),
)
METHODS = {method.name: method for method in _ALL}
