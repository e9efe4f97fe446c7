"""Fields that consist of several real fields: complex fields and vector fields.

``fields: {psi: complex, v: vector}`` declares them. A complex field ``psi`` is computed and stored
as the real fields ``psi_re`` and ``psi_im``, a vector field ``v`` as ``v_x``, ``v_y`` and ``v_z``,
one for each axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sympy

from pdesim.errors import ConfigError, nearest
from pdesim.formula.language import operator
from pdesim.formula.values import Complex, Value, Vector
from pdesim.model import boundary_conditions

KINDS = ("real", "complex", "vector")
#: the kind of a number beside the fields (:mod:`pdesim.model.scalars`)
SCALAR = "scalar"


@dataclass(frozen=True)
class Declared:
    """A field as the settings declare it.

    Attributes:
        name: its name.
        kind: ``real``, ``complex``, ``vector`` or ``scalar``.
        parts: the names of the real fields that it consists of; its own name for a real field.
    """

    name: str
    kind: str
    parts: tuple[str, ...]

    @property
    def is_composite(self) -> bool:
        """Whether it consists of several real fields."""
        return self.kind in ("complex", "vector")

    @property
    def value_kind(self) -> str:
        """The kind of its formula: ``real``, ``complex`` or ``vector``."""
        return "real" if self.kind == SCALAR else self.kind

    @property
    def value(self) -> Value:
        """Its value in formulas."""
        symbols = tuple(sympy.Symbol(part, real=True) for part in self.parts)
        if self.kind == SCALAR:
            return operator("mean", symbols[0])
        if self.kind == "complex":
            return Complex(*symbols)
        return Vector(symbols) if self.kind == "vector" else symbols[0]


def with_boundary_of_parts(spec: Mapping, declared: Iterable[Declared]) -> Mapping:
    """Return the settings ``boundary`` with those of complex and vector fields for their parts.

    The values are the real and the imaginary part of a formula, or the entries of a list.
    """
    result = dict(spec)
    for one in declared:
        if not one.is_composite or one.name not in spec:
            continue
        given = result.pop(one.name)
        for number, part in enumerate(one.parts):
            own = _values_of_part(given, one, number)
            more = spec.get(part)
            if isinstance(own, Mapping) and isinstance(more, Mapping):
                own = {**own, **more}
            result[part] = own if more is None or isinstance(own, Mapping) else more
    return result


def _values_of_part(given: object, one: Declared, number: int, is_value: bool = False) -> object:
    if isinstance(given, Mapping):
        values = {"dirichlet", "neumann", "laplacian", "value"}
        return {key: _values_of_part(v, one, number, key in values) for key, v in given.items()}
    if not is_value or isinstance(given, bool):
        return given
    if isinstance(given, list) and len(given) == len(one.parts):
        return given[number]
    if one.kind == "vector":
        return given
    if given in boundary_conditions.KINDS:  # the value of ``laplacian`` may be a condition
        return given
    if isinstance(given, str):
        return f"{('real', 'imag')[number]}({given})"
    return 0 if number else given


def declare(fields: Sequence[str] | Mapping[str, str], axes: Sequence[str]) -> tuple[Declared, ...]:
    """Return the fields of an equation.

    Args:
        fields: their names, or a mapping from names to kinds.
        axes: the axes of the grid.

    Raises:
        ConfigError: for an unknown kind.
    """
    kinds = fields if isinstance(fields, Mapping) else dict.fromkeys(fields, "real")
    return tuple(_declared(name, kind, axes) for name, kind in kinds.items())


def _declared(name: str, kind: str, axes: Sequence[str]) -> Declared:
    if kind not in KINDS:
        raise ConfigError(f"equation.fields.{name} is {kind!r}", nearest(str(kind), KINDS))
    endings = {"complex": ("_re", "_im"), "vector": tuple(f"_{axis}" for axis in axes)}
    return Declared(name, kind, tuple(f"{name}{end}" for end in endings.get(kind, ("",))))


def texts_of_parts(
    given: Mapping[str, object], declared: Sequence[Declared], named: bool = False
) -> dict[str, str]:
    """Return the units or labels of all real fields.

    Those of a complex or vector field apply to its parts. If ``named`` is True, they are followed
    by the name of the part.
    """
    words = {"re": "real part", "im": "imaginary part"}
    texts = {name: str(text) for name, text in given.items()}
    for one in declared:
        if not one.is_composite or one.name not in texts:
            continue
        text = texts.pop(one.name)
        for part in one.parts:
            ending = part.rpartition("_")[2]
            ending = words.get(ending, f"{ending} component")
            texts.setdefault(part, f"{text}, {ending}" if named else text)
    return texts


def composite_fields(names: Iterable[str], axes: Sequence[str]) -> tuple[Declared, ...]:
    """Return the complex and vector fields whose real fields are all among the names."""
    known = tuple(names)
    stems = [(name.rpartition("_")[0], kind) for name in known for kind in KINDS[1:]]
    found = (_declared(stem, kind, axes) for stem, kind in dict.fromkeys(stems) if stem)
    return tuple(one for one in found if set(one.parts) <= {*known} and one.name not in known)
