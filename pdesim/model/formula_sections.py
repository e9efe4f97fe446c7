"""The sections of an equation's settings that contain formulas: ``rhs``, ``solve`` and ``map``."""

from __future__ import annotations

from collections.abc import Mapping

from pdesim.errors import ConfigError

#: keys that contain the formulas of an equation: one of them, or rhs with solve
FORMULAS = ("rhs", "solve", "map")


def formula_texts(spec: Mapping) -> dict[str, Mapping]:
    """Return the formulas of all fields by the key under which they are given.

    Raises:
        ConfigError: for missing or contradictory keys, a field with two formulas, and formulas that
            are not text.
    """
    given = [key for key in FORMULAS if spec.get(key)]
    if len(given) != 1 and given != ["rhs", "solve"]:
        raise ConfigError(
            "this equation has " + (" and ".join(given) or "neither rhs nor solve nor map"),
            "rhs: {u: ...} for du/dt = ..., solve: {u: ...} for ... = 0, rhs with solve for other "
            "fields, or map: {u: ...} for an iterated map",
            "equation=custom \"equation.rhs={u: 'laplacian(u)'}\"",
        )
    sections: dict[str, Mapping] = {key: spec[key] for key in given}
    for texts in sections.values():
        if not isinstance(texts, Mapping):
            raise ConfigError(
                f"the formulas are {brief(texts)}", "a mapping from fields to formulas"
            )
        for field, text in texts.items():
            if isinstance(text, bool) or not isinstance(text, (str, int, float)):
                raise ConfigError(
                    f"the formula for {field} is {brief(text)}", "text, such as 'laplacian(u)'"
                )
    if len(given) > 1 and (twice := set(sections["rhs"]) & set(sections["solve"])):
        raise ConfigError(
            f"equation.rhs and equation.solve both contain {twice.pop()!r}",
            "each field in one of them: rhs for du/dt = ..., solve for fields without a time "
            "derivative",
        )
    return sections


def brief(value: object) -> str:
    """Return the ``repr`` of a value, shortened to 200 characters."""
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}..."
