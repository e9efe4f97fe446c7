"""The kinds of linear instability of a uniform state.

The names follow Cross, Hohenberg, Rev. Mod. Phys. 65 (1993) 851, doi:10.1103/RevModPhys.65.851:
Turing instabilities are of their type I_s, wave instabilities I_o, long-wave ones II, and Hopf
bifurcations III_o.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdesim.analysis.growth import ROUNDING, Survey

#: kind -> what it means
KINDS = {
    "stable": "all perturbations decay",
    "neutral": "no perturbation grows, and some do not decay",
    "Turing": "uniform perturbations decay, a band of wave numbers grows without oscillation",
    "wave": "uniform perturbations decay, a band of wave numbers grows and oscillates",
    "long-wave": "all waves longer than a limit grow, uniform perturbations do not",
    "short-wave": "the shortest waves grow fastest, so that no wavelength is selected",
    "Hopf": "uniform perturbations oscillate and grow",
    "saddle": "some uniform perturbations grow without oscillation, others decay",
    "unstable": "uniform perturbations grow without oscillation",
}
#: kinds in which a finite wavelength grows fastest
PATTERNS = ("Turing", "wave", "long-wave")


def classify(uniform: np.ndarray, neutral: int, surveys: Sequence[Survey]) -> str:
    """Return the kind of stability of a uniform state, a key of ``KINDS``.

    Args:
        uniform: the eigenvalues for uniform perturbations, complex, shape ``(fields,)``.
        neutral: the number of eigenvalues that are 0 for every state
            (:attr:`pdesim.analysis.constraints.Constraints.neutral`).
        surveys: the growth rates of waves, one survey per direction.
    """
    rounding = ROUNDING * np.abs(uniform).max()
    moving = uniform[np.argsort(np.abs(uniform))][neutral:]
    growing = moving[moving.real > rounding]
    if len(growing):
        leading = growing[growing.real.argmax()]
        if abs(leading.imag) > rounding:
            return "Hopf"
        return "saddle" if (moving.real < -rounding).any() else "unstable"
    if any(survey.short_waves for survey in surveys):
        return "short-wave"
    growing_waves = [s for s in surveys if s.fastest is not None and s.fastest.growth > 0]
    if growing_waves:
        best = max(growing_waves, key=lambda s: s.fastest.growth if s.fastest else 0.0)
        if best.long_waves:
            return "long-wave"
        return "wave" if best.fastest is not None and best.fastest.frequency > 0 else "Turing"
    return "neutral" if any(survey.neutral for survey in surveys) else "stable"
