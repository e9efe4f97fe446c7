"""The quantity that a picture shows, and checks of the settings of pictures before a run.

A quantity is a field in a file or a formula of these fields, such as ``u``, ``sqrt(u**2 + v**2)``
or ``u - u_mean``. Formulas are evaluated by NumPy, frame by frame.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pdesim.errors import ConfigError, FormulaError, MissingExtraError, nearest
from pdesim.render.time_format import check_time_format

if TYPE_CHECKING:
    import sympy

    from pdesim.settings import Animation

#: diverging colour maps of Matplotlib, whose middle colour marks a special value, usually zero
_DIVERGING = {
    "BrBG", "PRGn", "PiYG", "PuOr", "RdBu", "RdGy", "RdYlBu", "RdYlGn", "Spectral",
    "berlin", "bwr", "coolwarm", "managua", "seismic", "vanimo",
}  # fmt: skip
#: the name of a field's mean over the domain is that of the field with this suffix
MEAN = "_mean"


@dataclass(frozen=True)
class Quantity:
    """A field or a formula of stored fields.

    Args:
        text: the formula as given; for a plain field, its name.
        fields: the stored fields that the formula needs, in the order of the file.
        means: the fields whose mean over the domain the formula needs.
        expression: the parsed formula; None for a plain field.
        is_angle: whether it is an angle from -pi to pi.
        vector: the components if the quantity is the length of a vector field.
    """

    text: str
    fields: tuple[str, ...]
    means: tuple[str, ...] = ()
    expression: sympy.Expr | None = None
    is_angle: bool = False
    vector: tuple[str, ...] = ()

    def evaluate(self, names: Mapping[str, object], shape: tuple[int, ...]) -> np.ndarray:
        """The values of the formula, an array of ``shape``; not finite where they are undefined.

        Args:
            names: an array or a number for each field, ``FIELD_mean``, coordinate, and ``t``.
            shape: the shape of a frame.
        """
        from pdesim.formula import Evaluator

        with np.errstate(all="ignore"):
            values = np.asarray(Evaluator(names, remember=False)(self.expression))
        if not np.issubdtype(values.dtype, np.floating):
            values = values.astype(np.float64)
        return np.broadcast_to(values, shape)


def build_quantity(
    text: str, fields: Sequence[str], axes: Sequence[str], name: str = "animation.field"
) -> Quantity:
    """Parse ``animation.field``: the name of a field, or a formula.

    A formula may contain fields, their means (``u_mean``), coordinates and ``t``, and all
    functions of the formula language except derivatives. Of a complex number, the modulus is drawn,
    and of a vector the length.

    Args:
        text: the value of the setting.
        fields: the available fields.
        axes: the names of the coordinates, x first.
        name: the name of the setting, for errors.

    Raises:
        ConfigError: for an unknown field, and for a formula without any field.
        FormulaError: for a formula that cannot be parsed.
    """
    text = " ".join(text.split())
    if text in fields:
        return Quantity(text, (text,))
    stems = {field.rpartition("_")[0] for field in fields}
    if text.isidentifier() and text not in (*(f"{field}{MEAN}" for field in fields), *stems):
        raise ConfigError(f"{name} is {text!r}", nearest(text, fields))
    import sympy  # takes half a second, and plain fields do not need it

    from pdesim.formula import Scope, nodes, parse_value
    from pdesim.formula.values import Vector, as_real
    from pdesim.model.components import composite_fields

    means = {f"{field}{MEAN}": field for field in fields}
    symbols = {known: sympy.Symbol(known, real=True) for known in (*axes, "t", *means, *fields)}
    composites = {one.name: one for one in composite_fields(fields, axes)}
    values = {**symbols, **{known: one.value for known, one in composites.items()}}
    value = parse_value(text, Scope(values, tuple(axes)), name)
    vector = composites[text].parts if isinstance(value, Vector) and text in composites else ()
    expression = as_real(value)
    used = {symbol.name for symbol in expression.free_symbols}
    averaged = tuple(field for name, field in means.items() if name in used and name not in fields)
    needed = tuple(field for field in fields if field in used or field in averaged)
    if not needed:
        raise ConfigError(f"{name}={text} contains no field", "a formula of " + ", ".join(fields))
    is_angle = isinstance(expression, nodes.Arctan2)
    return Quantity(text, needed, averaged, expression, is_angle, vector)


def first_shown(fields: Sequence[str], axes: Sequence[str]) -> str:
    """Return what is drawn if no field is chosen: the first field, or that to which it belongs."""
    from pdesim.model.components import composite_fields

    found = composite_fields(fields, axes)
    return next((one.name for one in found if fields[0] in one.parts), fields[0])


def shown_fields(fields: Sequence[str], axes: Sequence[str]) -> list[str]:
    """Return what is drawn of all fields: the modulus and the angle of complex fields."""
    from pdesim.model.components import composite_fields

    complex_fields = [one for one in composite_fields(fields, axes) if one.kind == "complex"]
    first = {one.parts[0]: one.name for one in complex_fields}
    second = {one.parts[1]: one.name for one in complex_fields}
    return [
        f"abs({first[name]})" if name in first
        else f"angle({second[name]})" if name in second else name
        for name in fields
    ]  # fmt: skip


def is_available(text: str | None, fields: Sequence[str], axes: Sequence[str]) -> bool:
    """Whether ``animation.field=text`` can be drawn from these fields."""
    if text is None or text in fields:
        return True
    for dimensions in range(len(axes), 0, -1):  # the axes may be more than those of the grid
        try:
            build_quantity(text, fields, axes[:dimensions])
        except (ConfigError, FormulaError):
            continue
        return True
    return False


def check_picture(
    animation: Animation,
    fields: Sequence[str],
    axes: Sequence[str],
    stored: Sequence[str] | None = None,
) -> None:
    """Check the settings of the picture before a run.

    Args:
        animation: the settings of the picture.
        fields: the fields of the equation.
        axes: the names of the coordinates, x first.
        stored: the fields that are stored; None for all.

    Raises:
        ConfigError: for an unknown field or colour map, limits in the wrong order, and for a
            formula of fields that are not stored. If a plain field is not stored, there is no
            error, since the first stored field is drawn instead.
        FormulaError: for a formula that cannot be parsed.
    """
    check_limits(animation.limits, animation.scale)
    check_colormap(animation.colormap)
    check_still(animation)
    if animation.name == "mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise MissingExtraError("animation=mp4", "imageio-ffmpeg", "mp4")
    check_layout(animation, len(axes))
    check_time_format(animation.time_format)
    for text in animation.arrows or ():
        _check_stored(build_quantity(text, fields, axes, "animation.arrows"), stored, True)
    if animation.field is not None:
        _check_stored(build_quantity(animation.field, fields, axes), stored, False)


def _check_stored(quantity: Quantity, stored: Sequence[str] | None, plain: bool) -> None:
    """Raise ConfigError if a formula, or also a plain field, needs fields that are not stored."""
    missing = [field for field in quantity.fields if stored is not None and field not in stored]
    name = "animation.arrows" if plain else "animation.field"
    if missing and (plain or quantity.expression is not None):
        raise ConfigError(
            f"{name}={quantity.text} needs fields that are not stored: {', '.join(missing)}",
            f"output.fields=[{', '.join(quantity.fields)}]",
        )


def check_layout(animation: Animation, dimensions: int) -> None:
    """Raise ConfigError if a layout, contours or arrows need another number of dimensions."""
    layout = animation.layout
    needed = {"space_time": 1, "slices": 3, "projection": 3, "surface": 3}.get(
        layout or "", dimensions
    )
    if needed != dimensions:
        raise ConfigError(
            f"animation.layout is {layout}, and the fields have {dimensions} dimensions",
            f"fields with {needed} dimension{'s' * (needed > 1)}, or another layout: "
            "single, fields or sheet",
        )
    if layout == "surface" and importlib.util.find_spec("pyvista") is None:
        raise MissingExtraError("animation.layout=surface", "pyvista", "surface")
    if animation.contours and dimensions == 1 and layout != "space_time":
        raise ConfigError(
            f"animation.contours is {animation.contours}, and the fields have 1 dimension",
            "animation.contours=null, or animation.layout=space_time",
        )
    views = dimensions == 3 and layout in (None, "slices", "projection", "surface")
    if animation.arrows is not None and (dimensions == 1 or views):
        raise ConfigError(
            f"animation.arrows is {animation.arrows}, and the fields have {dimensions} dimensions",
            "fields with 2 dimensions, or animation.layout=single in 3-D",
        )


def check_still(animation: Animation) -> None:
    """Raise ConfigError if the time of a still is given, but the picture is a film."""
    if animation.time is not None and animation.name in ("gif", "mp4"):
        raise ConfigError(
            f"animation.time is {animation.time:g}, and animation={animation.name} shows all times",
            "animation=png for the frame at a time, or animation.time=null",
        )


def check_limits(limits: str | Sequence[float] | None, scale: str = "linear") -> None:
    """Raise ConfigError unless ``limits`` is a word, None, or ``[low, high]`` with low < high.

    On a logarithmic scale, both must be positive, and limits cannot be symmetric.
    """
    if limits == "symmetric" and scale == "log":
        raise ConfigError(
            "animation.limits is symmetric and animation.scale is log",
            "animation.limits=robust, per_frame, [low, high] or null on a logarithmic scale",
        )
    if limits is None or isinstance(limits, str):
        return
    if scale == "log" and min(limits) <= 0:
        raise ConfigError(
            f"animation.limits is {limits} and animation.scale is log", "limits greater than 0"
        )
    if limits[0] >= limits[1]:
        raise ConfigError(f"animation.limits is {limits}", "[low, high] with low < high")
    if not 1e-300 < limits[1] - limits[0] < 1e300:
        raise ConfigError(
            f"animation.limits is {limits}", "limits with a difference between 1e-300 and 1e300"
        )


def check_colormap(name: str) -> None:
    """Raise ConfigError, which suggests a similar name, if Matplotlib has no such colour map."""
    import matplotlib

    maps = matplotlib.colormaps
    if name not in maps:
        # without reversed maps and deprecated names, which would make the list long
        known = [known for known in maps if not known.endswith("_r") and "gist" not in known]
        raise ConfigError(
            f"animation.colormap is {name!r}", nearest(name.removesuffix("_r"), known)
        )


def is_diverging(colormap: str) -> bool:
    """Whether a colour map is diverging, that is, its middle colour marks a special value."""
    return colormap.removesuffix("_r") in _DIVERGING
