"""Equations, built from the ``equation`` settings."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence

import sympy

from pdesim.errors import ConfigError, Names, nearest, similar_names
from pdesim.formula import (
    Scope,
    compact,
    functions_in,
    names_in,
    parse,
    parse_value,
    separate_reductions,
)
from pdesim.formula.language import AXES, GENERATORS, reserved_names
from pdesim.formula.metric import Metric
from pdesim.formula.networks import NetworkSymbol
from pdesim.formula.values import Value, parts_of
from pdesim.model.array_scope import scope_of_array
from pdesim.model.components import KINDS, Declared, declare, texts_of_parts
from pdesim.model.equation import Equation
from pdesim.model.formula_sections import FORMULAS, brief, formula_texts
from pdesim.model.grid import place_names
from pdesim.model.iterated_map import COUNT, build_map
from pdesim.model.networks import build_networks
from pdesim.model.noise import with_noise
from pdesim.model.scalars import check_rates, declare_scalars, read_scalars
from pdesim.model.transport import with_transport
from pdesim.settings import Settings

#: limits of one equation; planning and compiling take a time that grows with the square of the
#: number of fields
MOST_FIELDS, MOST_PARAMETERS = 64, 1000
#: largest numbers of characters of texts: names become part of file names; units, labels and titles
#: appear in pictures
LONGEST_TEXTS = {"name": 100, "title": 200, "topic": 100, "about": 10_000, "reference": 10_000}
LONGEST_LABEL = 100
#: regular expression of an equation's name, which becomes part of file names
NAME_PATTERN = r"\w[\w.-]*"
#: keys of an equation's settings that are not parameters
KEYS = (
    "name", "title", "topic", "about", "reference", "fields", "rhs", "solve", "map", "escape",
    "smooth", "networks", "units", "labels", "noise", "interpretation", "scalars",
)  # fmt: skip


def build_equation(
    spec: Mapping, axes: tuple[str, ...], name: str = "custom", metric: Metric | None = None
) -> Equation:
    """Build an equation from the ``equation`` settings.

    Args:
        spec: the settings.
        axes: the axes of the grid.
        name: the equation's name if the settings do not contain one.
        metric: the coordinates of the grid (``Grid.metric``).

    Raises:
        ConfigError: for missing or contradictory keys, and for invalid names.
        FormulaError: for invalid formulas.
    """
    _check_types(spec)
    sections = formula_texts(spec)
    key = next(iter(sections))
    declared = _declared_fields(spec, sections, metric.names if metric else axes)
    solved = _solved_parts(declared, sections)
    if scalars := read_scalars(spec):
        _check_names(scalars, "scalar")
        declared += declare_scalars(
            scalars, [n for one in declared for n in (one.name, *one.parts)]
        )
        sections = {**sections, "scalars": scalars}
    texts = {field: text for section in sections.values() for field, text in section.items()}
    fields = tuple(part for one in declared for part in one.parts)
    counted = (COUNT,) if spec.get("map") and spec.get("escape") is not None else ()
    for section in ("units", "labels"):
        _check_fields(
            spec.get(section),
            f"equation.{section}",
            (*dict.fromkeys((*texts, *fields)), *counted),
        )
    given = {key: value for key, value in spec.items() if key not in KEYS}
    if len(given) > MOST_PARAMETERS:
        raise ConfigError(
            f"this equation has {len(given)} parameters", f"at most {MOST_PARAMETERS}"
        )
    _check_names(given, "parameter")
    if clash := set(given) & {*texts, *fields}:
        kind = "scalar" if (found := clash.pop()) in scalars else "field"
        raise ConfigError(f"{found!r} is both a {kind} and a parameter", "different names")
    name = str(spec.get("name") or name.rpartition("/")[2])
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(f"equation.name is {name!r}", "letters, digits, and _ - . between them")
    values, definitions = _parameters(given)
    networks = build_networks(spec.get("networks"))
    _check_names(networks, "network")
    if clash := set(networks) & {*texts, *fields, *given}:
        raise ConfigError(
            f"{clash.pop()!r} is both a network and a field or parameter", "different names"
        )
    called = {name: NetworkSymbol(network) for name, network in networks.items()}
    symbols, arrays = _symbols(axes, declared, values, definitions, called, metric)
    constants = _kernel_constants(axes, values)
    scope = Scope(
        symbols, axes, operators=True, reductions=True, networks=called, kernels=constants,
        metric=metric, extensible=True,
    )  # fmt: skip
    varying = frozenset(sympy.Symbol(name, real=True) for name in (*place_names(axes), *fields))
    parsed = [
        compact(part, varying)
        for one in declared
        for part in parts_of(
            parse_value(texts[one.name], scope, _place(one.name, sections), one.value_kind)
        )
    ]
    iterated = None
    if key == "map":
        fields, parsed, iterated = build_map(spec, fields, parsed, scope)
    elif set(spec) & {"escape", "smooth"}:
        raise ConfigError(
            f"equation.{'escape' if 'escape' in spec else 'smooth'} has no effect without "
            "equation.map",
            "map: {a: ...} in place of rhs or solve",
        )
    formulas, reductions = separate_reductions(parsed)
    equation = Equation(
        name=name,
        title=str(spec.get("title") or ""),
        about=str(spec.get("about") or ""),
        fields=fields,
        parameters=values,
        texts={f: " ".join(str(texts[f]).split()) for f in texts},
        formulas=formulas,
        steady=key == "solve",
        units=texts_of_parts(spec.get("units") or {}, declared),
        labels=texts_of_parts(spec.get("labels") or {}, declared, named=True),
        reductions=reductions,
        iterated=iterated,
        networks=networks,
        definitions={
            name: value
            for name in definitions
            if name not in arrays and isinstance(value := symbols[name], sympy.Expr)
        },
        composites={n: v for n, v in symbols.items() if not isinstance(v, sympy.Expr)},
        arrays=arrays,
        constraints=dict.fromkeys(solved, sympy.S.Zero),
        declared=declared,
        size=sympy.Mul(*(sympy.Symbol(f"L{axis}", real=True) for axis in axes)),
    )
    check_rates(equation, axes)
    equation = equation.with_expressions(formulas, reductions) if solved else equation
    return with_noise(with_transport(equation, metric), spec, axes, metric)


def _declared_fields(
    spec: Mapping, sections: Mapping[str, Mapping], axes: tuple[str, ...]
) -> tuple[Declared, ...]:
    """Return the declared fields, each of which has a formula.

    Raises:
        ConfigError: for invalid names, and if a field has no formula or a formula no field.
    """
    texts = [name for section in sections.values() for name in section]
    given = spec.get("fields") or texts
    _check_names(given, "field")
    declared = declare(given, axes)
    fields = [part for one in declared for part in one.parts]
    if len(fields) > MOST_FIELDS:
        raise ConfigError(f"this equation has {len(fields)} fields", f"at most {MOST_FIELDS}")
    _check_names(fields, "field")
    names = [*given, *(part for part in fields if part not in given)]
    names += [part for one in declared if one.is_composite for part in one.parts if part in given]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"equation.fields names {repeated.pop()!r} twice", "each field once")
    if set(texts) != set(given):
        missing = sorted(set(given) ^ set(texts))
        raise ConfigError(
            f"only one of equation.{' or equation.'.join(sections)} and equation.fields contains "
            f"{missing}",
            f"one formula for each of {', '.join(given)}",
        )
    return declared


def _solved_parts(declared: Sequence[Declared], sections: Mapping[str, Mapping]) -> tuple[str, ...]:
    """Return the real fields of the constraints beside right-hand sides."""
    if len(sections) < 2:
        return ()
    return tuple(part for one in declared if one.name in sections["solve"] for part in one.parts)


def _place(name: str, sections: Mapping[str, Mapping]) -> str:
    """Return the setting that contains the formula of a declared field."""
    section = next(key for key, texts in sections.items() if name in texts)
    return f"equation.{section}.{name}"


def _check_types(spec: Mapping) -> None:
    """Check the types of all keys except formulas and parameters.

    Raises:
        ConfigError: for a value of the wrong type.
    """
    for key in LONGEST_TEXTS:
        if not isinstance(spec.get(key), (str, int, float, type(None))):
            raise ConfigError(f"equation.{key} is {brief(spec[key])}", "text")
        _check_length(spec.get(key), f"equation.{key}", LONGEST_TEXTS[key])
    fields = spec.get("fields")
    if fields is not None and not (isinstance(fields, list | Mapping) and fields):
        raise ConfigError(
            f"equation.fields is {brief(fields)}",
            "a list of names, such as [u, v], or their kinds, {psi: complex, u: real, v: vector}",
        )
    for key in ("units", "labels"):
        given = spec.get(key)
        texts = given.values() if isinstance(given, Mapping) else [given]
        if given is None:
            continue
        if not isinstance(given, Mapping) or not all(isinstance(t, str | int) for t in texts):
            raise ConfigError(
                f"equation.{key} is {brief(given)}", "text for each field, such as {u: kg/m^3}"
            )


def _check_length(text: object, name: str, most: int) -> None:
    if len(str(text)) > most:
        raise ConfigError(
            f"{name} has {len(str(text)):,} characters", f"text of at most {most:,} characters"
        )


def given_fields(spec: Mapping, axes: Sequence[str] = AXES) -> list[str]:
    """Return the real fields in unchecked settings of an equation, on a grid with these axes."""
    return [part for one in declare_given(spec, axes) for part in one.parts]


def declare_given(spec: Mapping, axes: Sequence[str]) -> tuple[Declared, ...]:
    """Return the fields in unchecked settings of an equation."""
    names, fields = list(given_formulas(spec)), spec.get("fields")
    kinds = fields if isinstance(fields, Mapping) else {}
    known = {name: kinds[name] if kinds.get(name) in KINDS else "real" for name in names}
    return declare(known, axes)


def given_formulas(spec: Mapping) -> Mapping:
    """Return the formulas in unchecked settings of an equation; empty if there are none."""
    given = [spec[key] for key in FORMULAS if isinstance(spec.get(key), Mapping)]
    return {field: text for section in given for field, text in section.items()}


def _check_fields(texts: object, name: str, fields: Sequence[str]) -> None:
    """Check ``units`` or ``labels``, a mapping from fields to text.

    Raises:
        ConfigError: if it is not a mapping, or a key is not a field.
    """
    if not texts:
        return
    if not isinstance(texts, Mapping):
        raise ConfigError(f"{name} is {texts!r}", f"text for each field: {{{fields[0]}: ...}}")
    for key in texts:
        if key not in fields:
            raise ConfigError(
                f"{name}.{key} does not name a field of this equation", nearest(str(key), fields)
            )
        if "\0" in str(texts[key]):
            raise ConfigError(f"{name}.{key} contains a null character", "printable text")
        _check_length(texts[key], f"{name}.{key}", LONGEST_LABEL)


def _check_names(names: Sequence[str] | Mapping, kind: str) -> None:
    reserved = reserved_names(kind)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigError(
                f"{name!r} cannot be the name of a {kind}", "an identifier, such as u or D_u"
            )
        _check_length(name, f"the name of a {kind}", LONGEST_LABEL)
        if name in reserved:
            words = (n for n in reserved if not re.match(r"d\d?_|symbol_", n))
            raise ConfigError(
                f"{name!r} cannot be the name of a {kind}: it is reserved",
                f"a name other than {', '.join(words)} and the derivatives (d_dx, d2_dx2, ...)",
            )


def _parameters(given: Mapping) -> tuple[dict[str, float], dict[str, str]]:
    """Separate the parameters that are numbers from those that are formulas."""
    values: dict[str, float] = {}
    definitions: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, str):
            definitions[name] = value
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            hint = ""
            if isinstance(value, Mapping):  # a section of a flat file, with an unknown name
                found = similar_names(name, (*KEYS, *Settings.model_fields), 0.7)
                hint = Names((), found).hint
            if isinstance(value, list) and value:
                several = ",".join(map(str, value))
                hint = f"-m and equation.{name}={several} without brackets compute a sweep"
            raise ConfigError(f"equation.{name} is {value!r}", "a number or a formula", hint)
        elif not math.isfinite(value):
            raise ConfigError(f"equation.{name} is {value}", "a finite number")
        else:
            values[name] = float(value)
    return values, definitions


def _symbols(
    axes: tuple[str, ...],
    declared: Sequence[Declared],
    values: Mapping[str, float],
    definitions: Mapping[str, str],
    networks: Mapping[str, NetworkSymbol],
    metric: Metric | None,
) -> tuple[dict[str, Value], dict[str, sympy.Expr]]:
    """Return a mapping from each name to its value, and the formulas of arrays.

    A parameter whose formula contains other parameters is parsed after these. A parameter whose
    formula contains a function of initial states is an array, and its expression is a symbol.
    """
    fields = [part for one in declared for part in one.parts]
    plain = (*place_names(axes), "t", *fields, *values)
    symbols: dict[str, Value] = {name: sympy.Symbol(name, real=True) for name in plain}
    symbols |= metric.places() if metric else {}
    symbols |= {one.name: one.value for one in declared if one.kind != "real"}
    arrays: dict[str, sympy.Expr] = {}
    waiting = dict(definitions)
    while waiting:
        ready = [name for name, text in waiting.items() if not names_in(text) & set(waiting)]
        if not ready:
            raise ConfigError(f"circular definition of the parameters {sorted(waiting)}")
        for name in ready:
            text, where = waiting.pop(name), f"equation.{name}"
            if functions_in(text) & set(GENERATORS):
                arrays[name] = parse(text, scope_of_array(symbols, axes, fields, arrays), where)
                symbols[name] = sympy.Symbol(name, real=True)
            else:
                scope = Scope(
                    symbols, axes, operators=True, reductions=True, networks=networks,
                    kernels=_kernel_constants(axes, values), metric=metric, extensible=True,
                )  # fmt: skip
                symbols[name] = parse_value(text, scope, where)
    return symbols, arrays


def _kernel_constants(axes: tuple[str, ...], values: Mapping[str, float]) -> frozenset[str]:
    """Return the names that kernels of convolutions may contain besides the displacement."""
    return frozenset((*values, *(f"L{axis}" for axis in axes)))
