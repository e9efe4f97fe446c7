"""What a picture shows: the quantity, its colour map and its limits, checked before a run.

A quantity is a formula of the fields that a file holds, such as ``u``, ``sqrt(u**2 + v**2)`` or
``u - u_mean``. It is evaluated by NumPy, one frame at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pdesim.errors import ConfigError, FormulaError, nearest

if TYPE_CHECKING:
    import sympy

    from pdesim.settings import Animation

#: colour maps of matplotlib whose middle colour stands for a value of its own, most often zero
_DIVERGING = {
    "BrBG", "PRGn", "PiYG", "PuOr", "RdBu", "RdGy", "RdYlBu", "RdYlGn", "Spectral",
    "berlin", "bwr", "coolwarm", "managua", "seismic", "vanimo",
}  # fmt: skip
#: appended to the name of a field: its mean over the domain, as in diagnostics.csv
MEAN = "_mean"


@dataclass(frozen=True)
class Quantity:
    """A formula of stored fields.

    Args:
        text: the formula as it was given; for a plain field its name.
        fields: the stored fields that it needs, in their order.
        means: those of which it needs the mean over the domain.
        expression: None for a plain field.
    """

    text: str
    fields: tuple[str, ...]
    means: tuple[str, ...] = ()
    expression: sympy.Expr | None = None

    def evaluate(self, names: Mapping[str, object], shape: tuple[int, ...]) -> np.ndarray:
        """Its values, an array of ``shape``; NaN or infinite where the formula has no value.

        Args:
            names: an array or a number for every field, ``FIELD_mean``, coordinate and ``t``.
        """
        from pdesim.formula import Evaluator

        with np.errstate(all="ignore"):
            values = np.asarray(Evaluator(names, remember=False)(self.expression))
        if not np.issubdtype(values.dtype, np.floating):
            values = values.astype(np.float64)
        return np.broadcast_to(values, shape)


def build_quantity(text: str, fields: Sequence[str], axes: Sequence[str]) -> Quantity:
    """Read ``animation.field``: the name of a field, or a formula.

    A formula may name fields, their means (``u_mean``), coordinates and ``t``, and use all
    functions of the formula language; derivatives are not available.

    Args:
        fields: the fields there are.
        axes: the names of the coordinates, x first.

    Raises:
        ConfigError: for an unknown field, and for a formula without any field.
        FormulaError: for a formula that cannot be read.
    """
    text = " ".join(text.split())
    if text in fields:
        return Quantity(text, (text,))
    if text.isidentifier() and text not in (f"{field}{MEAN}" for field in fields):
        raise ConfigError(f"animation.field is {text!r}", nearest(text, fields))
    import sympy  # takes half a second, which plain fields do not need

    from pdesim.formula import Scope, parse

    means = {f"{field}{MEAN}": field for field in fields}
    symbols = {name: sympy.Symbol(name, real=True) for name in (*axes, "t", *means, *fields)}
    expression = parse(text, Scope(symbols, tuple(axes)), "animation.field")
    used = {symbol.name for symbol in expression.free_symbols}
    averaged = tuple(field for name, field in means.items() if name in used and name not in fields)
    needed = tuple(field for field in fields if field in used or field in averaged)
    if not needed:
        raise ConfigError(
            f"animation.field={text} contains no field", "a formula of " + ", ".join(fields)
        )
    return Quantity(text, needed, averaged, expression)


def is_available(text: str | None, fields: Sequence[str], axes: Sequence[str]) -> bool:
    """Whether a picture of ``animation.field=text`` can be made of these fields alone."""
    if text is None or text in fields:
        return True
    try:
        build_quantity(text, fields, axes)
    except (ConfigError, FormulaError):
        return False
    return True


def check_picture(
    animation: Animation,
    fields: Sequence[str],
    axes: Sequence[str],
    stored: Sequence[str] | None = None,
) -> None:
    """Find mistakes in the settings of the picture before a run begins.

    Args:
        stored: the fields that are stored; None for all.

    Raises:
        ConfigError: for an unknown field or colour map, limits in the wrong order, and for a
            formula of fields that are not stored (a plain field gives way to one that is).
        FormulaError: for a formula that cannot be read.
    """
    check_limits(animation.limits)
    check_colormap(animation.colormap)
    if animation.field is None:
        return
    quantity = build_quantity(animation.field, fields, axes)
    missing = [field for field in quantity.fields if stored is not None and field not in stored]
    if missing and quantity.expression is not None:
        raise ConfigError(
            f"animation.field={quantity.text} needs {', '.join(missing)}, which is not stored",
            f"output.fields=[{', '.join(quantity.fields)}]",
        )


def check_limits(limits: Sequence[float] | None) -> None:
    """Raises ConfigError unless ``limits`` is None or ``[low, high]`` with low < high."""
    if limits is not None and limits[0] >= limits[1]:
        raise ConfigError(f"animation.limits is {limits}", "[low, high] with low < high")
    if limits is not None and not 1e-300 < limits[1] - limits[0] < 1e300:
        raise ConfigError(f"animation.limits is {limits}", "limits between 1e-300 and 1e300 apart")


def check_colormap(name: str) -> None:
    """Raises ConfigError, with the nearest name, for a colour map that matplotlib lacks."""
    import matplotlib

    maps = matplotlib.colormaps
    if name not in maps:
        # the list is long enough without reversed maps and old spellings
        known = [known for known in maps if not known.endswith("_r") and "gist" not in known]
        raise ConfigError(
            f"animation.colormap is {name!r}", nearest(name.removesuffix("_r"), known)
        )


def is_diverging(colormap: str) -> bool:
    """Whether the middle colour of a colour map stands for a value of its own, such as zero."""
    return colormap.removesuffix("_r") in _DIVERGING
