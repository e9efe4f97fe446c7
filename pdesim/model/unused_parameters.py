"""Notes about parameters that no formula uses."""

from __future__ import annotations

from collections.abc import Mapping

from pdesim.errors import similar_names
from pdesim.formula import names_in
from pdesim.model.equation_settings import KEYS
from pdesim.model.formula_sections import formula_texts


def unused_parameters(spec: Mapping, elsewhere: set[str]) -> tuple[str, ...]:
    """Return a note about each unused parameter, with the nearest used name.

    There are two causes, which the composed settings do not distinguish: the name is misspelled, or
    the formula that used the parameter was replaced on the command line.

    Args:
        spec: the equation's settings.
        elsewhere: the names that initial states, boundary conditions and obstacles use.
    """
    given = {key: value for key, value in spec.items() if key not in KEYS}
    texts = [text for section in formula_texts(spec).values() for text in section.values()]
    # names in the formula of a parameter count as used only if this parameter is used
    used: set[str] = set()
    more = [spec[key] for key in ("escape", "smooth") if spec.get(key) is not None]
    scalars, noise = spec.get("scalars"), spec.get("noise")
    texts += scalars.values() if isinstance(scalars, Mapping) else ()
    for term in noise.values() if isinstance(noise, Mapping) else ():
        more += term.values() if isinstance(term, Mapping) else [term]
    waiting = {*elsewhere, *(n for t in (*texts, *more) for n in names_in(str(t)))}
    while waiting:
        name = waiting.pop()
        used.add(name)
        waiting |= (names_in(given[name]) if isinstance(given.get(name), str) else set()) - used
    lines = []
    for name in (n for n in given if n not in used):
        close = similar_names(name, [n for n in given if n in used], cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        lines.append(f"note: no formula uses equation.{name}{hint}")
    return tuple(lines)
