"""Equations: fields, parameters and formulas, read from settings; none has Python of its own."""

from __future__ import annotations

import difflib
import keyword
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy

from pdesim.errors import ConfigError, nearest
from pdesim.formula import Scope, Split, compact, jacobian, names_in, parse, split
from pdesim.formula import language as lang
from pdesim.formula.language import TIME, reserved_names
from pdesim.model.grid import place_names

#: keys of an equation's settings that are not parameters
#: of one equation: planning and the compiled program grow with the square of its fields
MOST_FIELDS, MOST_PARAMETERS = 64, 1000
KEYS = ("name", "title", "about", "reference", "fields", "rhs", "solve", "units", "labels")


@dataclass(frozen=True)
class Equation:
    """``du/dt = rhs`` (evolution) or ``formula = 0`` (steady), in terms of SymPy expressions.

    ``parameters`` are numbers; parameters given as formulas are already inside ``formulas``.
    """

    name: str
    title: str
    about: str
    fields: tuple[str, ...]
    parameters: Mapping[str, float]
    texts: Mapping[str, str]
    formulas: tuple[sympy.Expr, ...]
    steady: bool
    units: Mapping[str, str]
    labels: Mapping[str, str]

    @cached_property
    def field_symbols(self) -> tuple[sympy.Symbol, ...]:
        return tuple(sympy.Symbol(name, real=True) for name in self.fields)

    @cached_property
    def parameter_symbols(self) -> dict[str, sympy.Symbol]:
        return {name: sympy.Symbol(name, real=True) for name in self.parameters}

    def split(self, excluded: frozenset[str] = frozenset()) -> Split:
        """Linear constant-coefficient part and rest, some operators being left to the rest."""
        constants = frozenset(self.parameter_symbols.values())
        return split(self.formulas, self.field_symbols, constants, excluded)

    @cached_property
    def jacobian(self) -> sympy.ImmutableMatrix:
        return jacobian(self.formulas, self.field_symbols)

    def with_nested(self, axes: Collection[int], mixed: bool = False) -> Equation:
        """The equation with third and higher derivatives along some axes as nested ones.

        Beyond a boundary condition a field is known to the order of a second derivative; what a
        higher one needs there is what nested operators assume: ``d3_dx3(u)`` becomes
        ``d_dx(d2_dx2(u))``, ``d4_dx4(u)`` becomes ``d2_dx2(d2_dx2(u))``. ``mixed`` does the same to
        mixed derivatives.
        """
        formulas = tuple(lang.with_nested(f, axes, mixed) for f in self.formulas)
        return self if formulas == self.formulas else replace(self, formulas=formulas)

    @property
    def is_time_dependent(self) -> bool:
        """Whether the formulas name the time."""
        return any(TIME in formula.free_symbols for formula in self.formulas)

    @property
    def text(self) -> str:
        """One line per field, as its author wrote it."""
        left = "0 = {1}" if self.steady else "d{0}/dt = {1}"
        return "\n".join(left.format(name, text) for name, text in self.texts.items())


def build_equation(spec: Mapping, axes: tuple[str, ...], name: str = "custom") -> Equation:
    """Read the ``equation`` settings for a grid with these axes.

    Raises:
        ConfigError: for missing or contradictory keys, and for names that cannot be used.
        FormulaError: for formulas outside the language.
    """
    _check_types(spec)
    texts, steady = _formulas(spec)
    fields = tuple(spec.get("fields") or texts)
    if len(fields) > MOST_FIELDS:
        raise ConfigError(f"this equation has {len(fields)} fields", f"at most {MOST_FIELDS}")
    _check_names(fields, "field")
    if repeated := {name for name in fields if fields.count(name) > 1}:
        raise ConfigError(f"equation.fields names {repeated.pop()!r} twice", "each field once")
    if set(texts) != set(fields):
        missing = sorted(set(fields) ^ set(texts))
        raise ConfigError(
            f"equation.{'solve' if steady else 'rhs'} and equation.fields differ in {missing}",
            f"one formula for each of {', '.join(fields)}",
        )
    for key in ("units", "labels"):
        _check_fields(spec.get(key), f"equation.{key}", fields)
    given = {key: value for key, value in spec.items() if key not in KEYS}
    if len(given) > MOST_PARAMETERS:
        raise ConfigError(
            f"this equation has {len(given)} parameters", f"at most {MOST_PARAMETERS}"
        )
    _check_names(given, "parameter")
    if clash := set(given) & set(fields):
        raise ConfigError(f"{clash.pop()!r} is both a field and a parameter", "one meaning a name")
    name = str(spec.get("name") or name.rpartition("/")[2])
    if not re.fullmatch(r"\w[\w.-]*", name):  # it becomes part of file names
        raise ConfigError(f"equation.name is {name!r}", "letters, digits, and _ - . between them")
    numbers, definitions = _parameters(given)
    symbols = _symbols(axes, fields, numbers, definitions)
    scope = Scope(symbols, axes, operators=True)
    key = "solve" if steady else "rhs"
    varying = frozenset(symbols[name] for name in (*place_names(axes), *fields))
    formulas = tuple(
        compact(parse(texts[f], scope, f"equation.{key}.{f}"), varying) for f in fields
    )
    return Equation(
        name=name,
        title=str(spec.get("title") or ""),
        about=str(spec.get("about") or ""),
        fields=fields,
        parameters=numbers,
        texts={f: " ".join(str(texts[f]).split()) for f in fields},
        formulas=formulas,
        steady=steady,
        units={field: str(text) for field, text in (spec.get("units") or {}).items()},
        labels={field: str(text) for field, text in (spec.get("labels") or {}).items()},
    )


def _check_types(spec: Mapping) -> None:
    """Refuse keys of an equation, other than formulas and parameters, of a wrong type."""
    for key in ("name", "title", "about", "reference"):
        if not isinstance(spec.get(key), (str, int, float, type(None))):
            raise ConfigError(f"equation.{key} is {_brief(spec[key])}", "text")
    fields = spec.get("fields")
    if fields is not None and not (isinstance(fields, list) and fields):
        raise ConfigError(f"equation.fields is {_brief(fields)}", "a list of names, such as [u, v]")
    for key in ("units", "labels"):
        given = spec.get(key)
        texts = given.values() if isinstance(given, Mapping) else [given]
        if given is None:
            continue
        if not isinstance(given, Mapping) or not all(isinstance(t, str | int) for t in texts):
            raise ConfigError(
                f"equation.{key} is {_brief(given)}", "text for each field, such as {u: kg/m^3}"
            )


def _brief(value: object) -> str:
    """A value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}..."


def unused_parameters(spec: Mapping, elsewhere: set[str]) -> tuple[str, ...]:
    """A line about each parameter that nothing uses, with the nearest name that is used.

    It may be one that a formula of an equation file used before the shell replaced that formula,
    or a misspelling in the shell: the composed settings do not tell these apart.

    Args:
        spec: the equation's settings.
        elsewhere: names used by initial states, boundary conditions and obstacles.
    """
    given = {key: value for key, value in spec.items() if key not in KEYS}
    texts = _formulas(spec)[0]
    # parameters that are formulas count only where something uses them
    used, waiting = set(), {*elsewhere, *(n for t in texts.values() for n in names_in(str(t)))}
    while waiting:
        name = waiting.pop()
        used.add(name)
        waiting |= (names_in(given[name]) if isinstance(given.get(name), str) else set()) - used
    lines = []
    for name in (n for n in given if n not in used):
        close = difflib.get_close_matches(name, [n for n in given if n in used], n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        lines.append(f"note: no formula uses equation.{name}{hint}")
    return tuple(lines)


def _formulas(spec: Mapping) -> tuple[Mapping, bool]:
    rhs, solve = spec.get("rhs") or {}, spec.get("solve") or {}
    if bool(rhs) == bool(solve):
        raise ConfigError(
            "this equation has " + ("both rhs and solve" if rhs else "neither rhs nor solve"),
            "rhs: {u: ...} for du/dt = ..., or solve: {u: ...} for ... = 0",
            "equation=custom \"equation.rhs={u: 'laplacian(u)'}\"",
        )
    texts = rhs or solve
    if not isinstance(texts, Mapping):
        raise ConfigError(f"the formulas are {_brief(texts)}", "a mapping from fields to formulas")
    for field, text in texts.items():
        if isinstance(text, bool) or not isinstance(text, (str, int, float)):
            raise ConfigError(
                f"the formula for {field} is {_brief(text)}", "text, such as 'laplacian(u)'"
            )
    return texts, bool(solve)


def _check_fields(texts: object, name: str, fields: Sequence[str]) -> None:
    """``units`` and ``labels``: text for some of the fields.

    Raises:
        ConfigError: if it is no mapping, or names what is no field.
    """
    if not texts:
        return
    if not isinstance(texts, Mapping):
        raise ConfigError(f"{name} is {texts!r}", f"text per field: {{{fields[0]}: ...}}")
    for key in texts:
        if key not in fields:
            raise ConfigError(
                f"{name}.{key} does not name a field of this equation", nearest(str(key), fields)
            )
        if "\0" in str(texts[key]):
            raise ConfigError(f"{name}.{key} contains a character of value 0", "printable text")


def _check_names(names: Sequence[str] | Mapping, what: str) -> None:
    reserved = reserved_names(what)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigError(f"{name!r} cannot name a {what}", "a plain name, such as u or D_u")
        if name in reserved:
            words = (n for n in reserved if not re.match(r"d\d?_|symbol_", n))
            raise ConfigError(
                f"{name!r} cannot name a {what}: it is reserved",
                f"a name other than {', '.join(words)} and the derivatives (d_dx, d2_dx2, ...)",
            )


def _parameters(given: Mapping) -> tuple[dict[str, float], dict[str, str]]:
    numbers, definitions = {}, {}
    for name, value in given.items():
        if isinstance(value, str):
            definitions[name] = value
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"equation.{name} is {value!r}", "a number or a formula")
        elif not math.isfinite(value):
            raise ConfigError(f"equation.{name} is {value}", "a finite number")
        else:
            numbers[name] = float(value)
    return numbers, definitions


def _symbols(axes, fields, numbers, definitions) -> dict[str, sympy.Expr]:
    """Names to expressions; formula parameters are read in the order of their dependence."""
    plain = (*place_names(axes), "t", *fields, *numbers)
    symbols = {name: sympy.Symbol(name, real=True) for name in plain}
    waiting = dict(definitions)
    while waiting:
        ready = [name for name, text in waiting.items() if not names_in(text) & set(waiting)]
        if not ready:
            raise ConfigError(f"circular definition of the parameters {sorted(waiting)}")
        for name in ready:
            scope = Scope(symbols, axes, operators=True)
            symbols[name] = parse(waiting.pop(name), scope, f"equation.{name}")
    return symbols
