"""Other names of functions and derivatives, such as ``lap(u)`` and ``u_xx``, for hints."""

from __future__ import annotations

import re
from collections.abc import Collection

from pdesim.formula.language import HIGHEST_DERIVATIVE

#: word of the formula language -> names in other programs and books, in lower case, without _
_OTHERS = {
    "laplacian": "lap laplace laplacien lapl nabla2 del2 delta delsquared nablasquared",
    "gradient": "grad nabla del",
    "divergence": "div diverge",
    "curl": "rot rotor rotation",
    "dot": "inner innerproduct scalarproduct",
    "gradient_squared": "grad2 gradsquared gradnorm2 gradsq",
    "advect": "convect advection transport upwind",
    "mean": "avg average mittel spatialmean",
    "integral": "integrate int sum quad",
    "heaviside": "step theta unitstep stepfunction",
    "sign": "sgn signum",
    "abs": "fabs magnitude modulus norm",
    "angle": "arg phase",
    "conj": "conjugate",
    "mod": "fmod remainder rem",
    "pow": "power",
    "sqrt": "squareroot root",
    "exp": "exponential",
    "where": "if ifelse piecewise cond select",
    "clip": "clamp limit",
    "floor": "trunc round rint int",
    "random_normal": "random rand randn normal noise gaussiannoise gaussrandom",
    "random_uniform": "uniform rnd",
    "spots": "blobs dots circles",
}
#: the first derivatives of books and programs: dx(u), ddx(u), diff_x(u), partial_x(u)
_FIRST = re.compile(r"(?:d|dd|d_|d_d|diff|diff_|deriv|deriv_|der_|partial|partial_)([xyz]{1,6})")
#: higher ones: d2x(u), d2dx2(u), d2_dx(u), d2_x2(u)
_HIGHER = re.compile(r"d(\d)_?d?([xyz])\d?")


def derivative_word(axes: str) -> str:
    """Return the word for derivatives along axes, such as ``d2_dx2`` for ``xx``; empty if none."""
    count, different = len(axes), sorted(set(axes))
    if len(different) == 1:
        return f"d{count}_d{axes[0]}{count}" if count > 1 else f"d_d{axes}"
    return f"d2_d{different[0]}d{different[1]}" if count == 2 else ""


def other_function(name: str, known: Collection[str]) -> str:
    """Return the function that is meant by another name; empty if it is unknown or not allowed.

    Args:
        name: an unknown function.
        known: the functions that the formula may use.
    """
    plain = name.casefold()
    found = ""
    if match := _HIGHER.fullmatch(plain):
        found = derivative_word(match[2] * int(match[1]))
    elif match := _FIRST.fullmatch(plain):
        found = derivative_word(match[1])
    if not found:
        bare = plain.replace("_", "")
        meant = (word for word, names in _OTHERS.items() if bare in names.split())
        found = next((word for word in meant if word in known), "")
    return found if found in known else ""


def other_derivative(name: str, variables: Collection[str], known: Collection[str]) -> str:
    """Return the call that is meant by a name such as ``u_xx``, ``du_dx`` or ``lap_u``.

    Args:
        name: an unknown name.
        variables: the names that may be differentiated.
        known: the functions that the formula may use.

    Returns:
        A call such as ``d2_dx2(u)``; empty if there is none.
    """
    for variable in sorted(variables, key=len, reverse=True):
        word = _word_before(name, re.escape(variable), known)
        if word in known:
            return f"{word}({variable})"
    return ""


def _word_before(name: str, u: str, known: Collection[str]) -> str:
    """Return the word for a name that contains the name of a variable, whose pattern is ``u``."""
    for pattern in (rf"{u}_?([xyz]{{1,{HIGHEST_DERIVATIVE}}})", rf"d_?{u}_?d([xyz])"):
        if match := re.fullmatch(pattern, name):
            return derivative_word(match[1])
    if match := re.fullmatch(rf"d(\d)_?{u}_?d([xyz])\1?", name):
        return derivative_word(match[2] * int(match[1]))
    if match := re.fullmatch(rf"d2_?{u}_?d([xyz])d([xyz])", name):
        return derivative_word(match[1] + match[2])
    if match := re.fullmatch(rf"([A-Za-z]+2?)_?{u}", name):
        return match[1] if match[1] in known else other_function(match[1], known)
    return ""


def is_time_derivative(name: str, variables: Collection[str]) -> bool:
    """Return whether a name such as ``u_t`` or ``du_dt`` is the rate of change of a variable."""
    names = (re.escape(variable) for variable in variables)
    return any(re.fullmatch(rf"{u}_?t|d_?{u}_?dt", name) for u in names)
