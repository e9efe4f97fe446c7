"""The results of a linear stability analysis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pdesim.analysis.classify import KINDS


@dataclass(frozen=True)
class Wave:
    """A plane wave of small amplitude, ``exp(i k.x + growth*t)``.

    Attributes:
        vector: the wave vector (kx, ky, kz).
        growth: the growth rate, negative for waves that decay.
        frequency: the angular frequency, the absolute value of the imaginary part.
        growth_on_grid: the growth rate of this wave with the discretisation of the settings; None
            for waves that are too short for the grid.
        cells: the number of cells per wavelength; the largest spacing counts.
        fits: the lengths of the domain along each axis, divided by the wavelength.
        counts: the number of wavelengths along each axis of the domain, ``|k_i| L_i / (2 pi)``.
    """

    vector: tuple[float, ...]
    growth: float
    frequency: float
    growth_on_grid: float | None
    cells: float
    fits: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def wavenumber(self) -> float:
        """The length of the wave vector."""
        return math.hypot(*self.vector)

    @property
    def wavelength(self) -> float:
        """``2*pi/wavenumber``; infinite for uniform perturbations."""
        return 2 * math.pi / self.wavenumber if self.wavenumber else math.inf


@dataclass(frozen=True)
class Curve:
    """The growth rate over the wave number, in the direction of the fastest growing wave.

    Attributes:
        wavenumbers: from 0, equally spaced.
        growth: the largest growth rate.
        frequency: the angular frequency of the fastest growing perturbation.
        growth_on_grid: the growth rate with the discretisation of the settings; NaN for waves that
            are too short for the grid.
    """

    wavenumbers: np.ndarray
    growth: np.ndarray
    frequency: np.ndarray
    growth_on_grid: np.ndarray


@dataclass(frozen=True)
class State:
    """A uniform state and the growth of its perturbations.

    Attributes:
        values: field -> value.
        kind: a key of :data:`pdesim.analysis.classify.KINDS`, such as ``Turing`` or ``stable``.
        eigenvalues: the complex growth rates of uniform perturbations, largest real part first.
        uniform: the fastest growing uniform perturbation.
        pattern: the wave whose growth rate has the largest local maximum over the wave number, in
            an infinite domain; None if there is no maximum, or if this wave decays faster than
            uniform perturbations.
        band: the lowest and highest wave number of growing waves; None if no wave grows.
        admissible: the fastest growing wave that fits into the domain.
        numbers: the wave numbers along one axis that fit into the domain, up to those of the curve.
        modes: some of the waves along one axis that fit into the domain, from long to short.
        curve: the growth rate over the wave number.
    """

    values: Mapping[str, float]
    kind: str
    eigenvalues: tuple[complex, ...]
    uniform: Wave
    pattern: Wave | None
    band: tuple[float, float] | None
    admissible: Wave
    numbers: np.ndarray = field(repr=False)
    modes: tuple[Wave, ...] = field(repr=False)
    curve: Curve = field(repr=False)

    @property
    def about(self) -> str:
        """The meaning of ``kind``."""
        return KINDS[self.kind]

    @property
    def text(self) -> str:
        """The values as text, such as ``u = 1, v = 3``."""
        return ", ".join(f"{name} = {value:.6g}" for name, value in self.values.items())


@dataclass(frozen=True)
class Threshold:
    """A value of a parameter at which the stability or the number of uniform states changes.

    Attributes:
        value: the value of the parameter.
        kind: ``Turing``, ``wave``, ``long-wave``, ``Hopf``, ``saddle-node``, ``pitchfork`` or
            ``zero eigenvalue`` (uniform perturbations change stability while the number of states
            remains, as in a transcritical bifurcation).
        state: field -> value at the threshold.
        wavenumber: the critical wave number; 0 for uniform perturbations.
        frequency: the angular frequency; 0 for perturbations that do not oscillate.
        states: the numbers of uniform steady states below and above the threshold.
    """

    value: float
    kind: str
    state: Mapping[str, float]
    wavenumber: float
    frequency: float
    states: tuple[int, int]

    @property
    def wavelength(self) -> float:
        """``2*pi/wavenumber``; infinite for uniform perturbations."""
        return 2 * math.pi / self.wavenumber if self.wavenumber else math.inf


@dataclass(frozen=True)
class Sample:
    """A uniform state for one value of a parameter.

    Attributes:
        value: the value of the parameter.
        state: field -> value.
        uniform: the growth rate of uniform perturbations.
        waves: the largest local maximum of the growth rate over k > 0; NaN if there is none.
    """

    value: float
    state: Mapping[str, float]
    uniform: float
    waves: float


@dataclass(frozen=True)
class Thresholds:
    """The thresholds over one parameter.

    Attributes:
        parameter: the name of the parameter.
        low, high: the interval that was examined.
        found: the thresholds, ascending.
        samples: the states at the examined values, and their growth rates.
    """

    parameter: str
    low: float
    high: float
    found: tuple[Threshold, ...]
    samples: tuple[Sample, ...] = field(repr=False)


@dataclass(frozen=True, repr=False)
class Analysis:
    """The uniform states of an equation and the growth of their perturbations.

    ``print(analysis)`` prints the tables of ``pdesim analyze``.

    Attributes:
        equation: the name of the equation.
        parameters: the values of its parameters.
        boundary: the boundary conditions along each axis, such as ``("periodic", "neumann")``.
        points: the number of cells along each axis.
        extent: the lengths of the domain.
        states: the uniform states; empty if none was found.
        thresholds: the thresholds over a parameter; None if no parameter was given.
        notes: statements about assumptions and limits of the analysis.
    """

    equation: str
    parameters: Mapping[str, float]
    boundary: tuple[str, ...]
    points: tuple[int, ...]
    extent: tuple[float, ...]
    states: tuple[State, ...]
    thresholds: Thresholds | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the results as plain values for JSON, in which infinite numbers are None."""
        from pdesim.analysis.report import as_dict

        return as_dict(self)

    def __str__(self) -> str:
        from pdesim.analysis.report import as_text

        return as_text(self)

    def __repr__(self) -> str:
        states = "; ".join(f"{state.text}: {state.kind}" for state in self.states)
        parts = [f"Analysis of {self.equation}", states or "no uniform steady state"]
        if self.thresholds is not None:
            name = self.thresholds.parameter
            found = [f"{t.kind} at {name} = {t.value:.6g}" for t in self.thresholds.found]
            parts.append(", ".join(found) or f"no threshold over {name}")
        return f"<{': '.join(parts[:2])}{''.join(f'; {part}' for part in parts[2:])}>"
