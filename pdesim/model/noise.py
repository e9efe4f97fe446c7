"""Noise terms: the stochastic part of ``du = f(u) dt + noise``, built from ``equation.noise``.

White noise of amplitude g adds ``g(u) dW / sqrt(V)`` to a cell of volume V, with a Wiener process W
in each cell. It approximates space-time white noise, whose covariance is
``delta(x - x') delta(t - t')``. Noise with the correlation length l has in d dimensions the
covariance ``exp(-|x - x'|**2 / (2 l**2)) / (2 pi l**2)**(d/2) * delta(t - t')``, whose integral is
also 1. The noise of a flux is the divergence of ``g(u)`` times a vector of independent noises. The
noise of a scalar is one Wiener process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sympy

from pdesim.errors import ConfigError, nearest
from pdesim.formula import Scope, parse
from pdesim.formula.language import TIME, operators_in
from pdesim.model.grid import place_names

if TYPE_CHECKING:
    from pdesim.formula.metric import Metric
    from pdesim.model.equation import Equation

#: readings of ``g(u) dW``: at the start of a step (Ito), or in its middle (Stratonovich)
ITO, STRATONOVICH = INTERPRETATIONS = ("ito", "stratonovich")
#: the keys of one noise term
TERM_KEYS = ("amplitude", "flux", "length")


@dataclass(frozen=True)
class NoiseTerm:
    """The noise of one real field.

    Attributes:
        field: the name of the field.
        amplitude: the amplitude g, a formula of fields, parameters, position and time.
        is_flux: whether the noise is that of a flux, whose divergence is added to the field.
        length: the correlation length, a formula of parameters; None for white noise.
    """

    field: str
    amplitude: sympy.Expr
    is_flux: bool = False
    length: sympy.Expr | None = None

    @property
    def slope(self) -> sympy.Expr:
        """``g dg/du / 2``, where u is the field of the term.

        Times the variance of the noise in a cell per unit of time, it is the difference of the
        drifts of the Ito and the Stratonovich form of the same process (Kloeden and Platen,
        Numerical Solution of Stochastic Differential Equations (1992), eq. 4.9.11).
        """
        own = sympy.Symbol(self.field, real=True)
        return sympy.S.Half * self.amplitude * sympy.diff(self.amplitude, own)

    @property
    def is_pointwise(self) -> bool:
        """Whether the noise in a cell depends on the fields in this cell only."""
        return not self.is_flux and not operators_in(self.amplitude)


@dataclass(frozen=True)
class Noise:
    """The noise of an equation.

    Attributes:
        terms: the noise of each field that has one.
        interpretation: ``ito`` or ``stratonovich``.
    """

    terms: tuple[NoiseTerm, ...]
    interpretation: str = ITO

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def amplitudes(self) -> tuple[sympy.Expr, ...]:
        """The amplitudes of all terms."""
        return tuple(term.amplitude for term in self.terms)

    def is_additive(self, fields: tuple[sympy.Symbol, ...]) -> bool:
        """Whether no amplitude depends on a field; both interpretations then agree."""
        return not any(g.free_symbols & set(fields) for g in self.amplitudes)

    def mixed(self) -> tuple[str, str] | None:
        """Return a field with noise whose amplitude depends on another such field, and the other.

        Milstein's method needs iterated integrals of two Wiener processes for these.
        """
        noisy = [term.field for term in self.terms]
        for term in self.terms:
            names = {symbol.name for symbol in term.amplitude.free_symbols}
            for other in noisy:
                if other != term.field and other in names:
                    return term.field, other
        return None

    def text(self, field: str) -> str:
        """Return the noise of a real field as text, such as ``+ (0.1*u)*noise``; or ''."""
        for term in self.terms:
            if term.field == field:
                amplitude = str(term.amplitude)
                white = f"({amplitude})*noise" if term.amplitude.args else f"{amplitude}*noise"
                return f"divergence({white})" if term.is_flux else white
        return ""


NO_NOISE = Noise(())


def with_noise(
    equation: Equation, spec: Mapping, axes: tuple[str, ...], metric: Metric | None = None
) -> Equation:
    """Return an equation with the noise of its settings; see :func:`build_noise`."""
    noise = build_noise(spec, equation, axes, metric)
    return replace(equation, noise=noise) if noise else equation


def build_noise(
    spec: Mapping, equation: Equation, axes: tuple[str, ...], metric: Metric | None = None
) -> Noise:
    """Build the noise of an equation from its settings.

    Args:
        spec: the settings ``equation``.
        equation: the equation without noise.
        axes: the axes of the grid.
        metric: the coordinates of the grid; None for a uniform Cartesian grid.

    Raises:
        ConfigError: for wrong types, unknown fields, and equations that cannot have noise.
        FormulaError: for invalid formulas.
    """
    interpretation = str(spec.get("interpretation") or ITO)
    if interpretation not in INTERPRETATIONS:
        raise ConfigError(
            f"equation.interpretation is {interpretation!r}",
            nearest(interpretation, INTERPRETATIONS),
        )
    given = spec.get("noise")
    if not given:
        if spec.get("interpretation"):
            raise ConfigError(
                "equation.interpretation has no effect without equation.noise",
                "noise: {u: 0.1}, the amplitude of the noise of a field",
            )
        return NO_NOISE
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"equation.noise is {given!r}", "an amplitude for each field, such as {u: 0.1*sqrt(u)}"
        )
    if equation.steady or equation.iterated is not None:
        raise ConfigError(
            "equation.noise needs an equation with time derivatives", "formulas in equation.rhs"
        )
    parts = {one.name: one.parts for one in equation.declared}
    parts |= {name: (name,) for name in equation.fields}
    terms: dict[str, NoiseTerm] = {}
    for name, value in given.items():
        if name not in parts:
            raise ConfigError(
                f"equation.noise.{name} does not name a field of this equation",
                nearest(str(name), [*parts]),
            )
        if name in equation.solved_names:
            raise ConfigError(
                f"equation.noise.{name}: the constraint in equation.solve determines {name}",
                "noise in fields of equation.rhs",
            )
        own = _read_term(value, f"equation.noise.{name}", equation, axes, metric)
        terms |= {part: NoiseTerm(part, *own) for part in parts[name]}
    return Noise(tuple(terms[name] for name in equation.fields if name in terms), interpretation)


def _read_term(
    value: Any, where: str, equation: Equation, axes: tuple[str, ...], metric: Metric | None
) -> tuple[sympy.Expr, bool, sympy.Expr | None]:
    """Return the amplitude, whether it is that of a flux, and the correlation length."""
    spec = value if isinstance(value, Mapping) else {"amplitude": value}
    for key in spec:
        if key not in TERM_KEYS:
            raise ConfigError(f"{where}.{key} is unknown", nearest(str(key), TERM_KEYS))
    kinds = [key for key in ("amplitude", "flux") if spec.get(key) is not None]
    if len(kinds) != 1:
        raise ConfigError(
            f"{where} has {' and '.join(kinds) or 'neither amplitude nor flux'}",
            "{amplitude: ...} for noise in each cell, or {flux: ...} for conserved noise",
        )
    (kind,) = kinds
    texts = {key: _text(spec[key], f"{where}.{key}") for key in spec if spec[key] is not None}
    place = where if spec is not value else f"{where}.{kind}"
    amplitude = parse(texts[kind], _scope(equation, axes, metric), place)
    length = None
    if "length" in texts:
        constants = Scope(dict(equation.parameter_symbols), axes, extensible=True)
        length = parse(texts["length"], constants, f"{where}.length")
    return amplitude, kind == "flux", length


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{where} is {value!r}", "a number or a formula, such as 0.1*sqrt(u)")
    return str(value)


def _scope(equation: Equation, axes: tuple[str, ...], metric: Metric | None) -> Scope:
    """Return the names in amplitudes: those of right-hand sides, without reductions."""
    plain = (*place_names(axes), *equation.fields, *equation.arrays)
    symbols: dict[str, Any] = {name: sympy.Symbol(name, real=True) for name in plain}
    symbols |= {**equation.parameter_symbols, **equation.definitions, **equation.composites}
    symbols |= metric.places() if metric else {}
    known = {**symbols, TIME.name: TIME}
    return Scope(known, axes, operators=True, metric=metric, extensible=True)


def length_of(term: NoiseTerm, parameters: Mapping[str, float]) -> float:
    """Return the correlation length of a term, 0 for white noise."""
    if term.length is None:
        return 0.0
    values = {sympy.Symbol(name, real=True): value for name, value in parameters.items()}
    return float(term.length.subs(values))
