"""Arrays that a fit determines: initial states of fields, and weights of networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pdesim.constants import evaluated
from pdesim.errors import ConfigError, nearest
from pdesim.formula.networks import Network
from pdesim.model.equation_settings import given_formulas
from pdesim.settings import read_section

#: the entry of an array without options
FREE = "free"
#: the sections whose arrays can be fitted
SECTIONS = ("initial", "networks")
FORM = "fit={initial.u: free}, fit={networks.f: free}, or {initial.u: {free: {smoothness: 1e-4}}}"


class _Options(BaseModel):
    """The options of an array.

    Attributes:
        smoothness: the factor of the penalty ``mean(|grad u|^2) / 2`` of an initial state.
        bounds: the bounds of all values, for L-BFGS-B.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    smoothness: Annotated[float, Field(ge=0)] = 0.0
    bounds: (
        Annotated[list[float], Field(min_length=2, max_length=2), evaluated("bounds")] | None
    ) = Field(default=None, description="[LOW, HIGH], or null")


@dataclass(frozen=True)
class Free:
    """An array that is fitted.

    Args:
        key: ``initial.FIELD`` or ``networks.NAME``.
        smoothness, bounds: see the options.
    """

    key: str
    smoothness: float = 0.0
    bounds: tuple[float, float] | None = None

    @property
    def section(self) -> str:
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        return self.key.partition(".")[2]


def is_free(entry: Any) -> bool:
    """Whether the entry of a setting in the section ``fit`` stands for an array."""
    return entry == FREE or (isinstance(entry, Mapping) and FREE in entry)


def read_free(entries: Sequence[tuple[str, Any]], values: Mapping[str, Any]) -> tuple[Free, ...]:
    """Return the arrays of a fit.

    Args:
        entries: pairs of a setting and its entry.
        values: all settings, as plain values.

    Raises:
        ConfigError: for settings that are no arrays, and for wrong options.
    """
    return tuple(_read(key, entry, values) for key, entry in entries)


def _read(key: str, entry: Any, values: Mapping[str, Any]) -> Free:
    section, _, name = key.partition(".")
    if section not in SECTIONS:
        raise ConfigError(f"{key} is a number, which cannot be free", "bounds: [LOW, HIGH]", FORM)
    known = given_formulas(values["equation"])
    if section == "networks":
        known = values["equation"].get("networks") or {}
    if name not in known:
        raise ConfigError(f"{key} cannot be fitted: there is no such array", nearest(name, known))
    if isinstance(entry, Mapping) and set(entry) != {FREE}:
        raise ConfigError(f"fit.{key} contains {', '.join(map(str, entry))}", FORM)
    given = entry[FREE] if isinstance(entry, Mapping) else None
    options = read_section(_Options, given or {}, f"fit.{key}.free")
    if section == "networks" and (options.smoothness or options.bounds):
        raise ConfigError(f"fit.{key}: networks have no options", f"fit={{{key}: {FREE}}}")
    bounds = None if options.bounds is None else (options.bounds[0], options.bounds[1])
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ConfigError(f"the bounds of {key} are {list(bounds)}", "[LOW, HIGH], LOW < HIGH")
    return Free(key, options.smoothness, bounds)


@dataclass(frozen=True)
class Arrays:
    """The values of all free arrays at one point.

    Args:
        initial: field -> its initial state.
        networks: network -> its weights.
    """

    initial: Mapping[str, np.ndarray]
    networks: Mapping[str, Sequence[np.ndarray]]

    def parts(self) -> Iterator[np.ndarray]:
        """Yield all arrays, in a fixed order."""
        yield from self.initial.values()
        for weights in self.networks.values():
            yield from weights

    def with_vector(self, vector: np.ndarray) -> Arrays:
        """Return arrays of the same shapes, with the values of a vector."""
        sizes = [part.size for part in self.parts()]
        pieces = np.split(vector, np.cumsum(sizes)[:-1]) if sizes else []
        shaped = iter(
            [piece.reshape(part.shape) for piece, part in zip(pieces, self.parts(), strict=True)]
        )
        return Arrays(
            {name: next(shaped) for name in self.initial},
            {name: [next(shaped) for _ in weights] for name, weights in self.networks.items()},
        )

    @property
    def vector(self) -> np.ndarray:
        """All values as one vector."""
        parts = [part.reshape(-1) for part in self.parts()]
        return np.concatenate(parts) if parts else np.empty(0)


def first_arrays(
    free: Sequence[Free], fields: Sequence[str], state: np.ndarray, networks: Mapping[str, Network]
) -> Arrays:
    """Return the arrays with which a fit starts: those of the settings."""
    initial, weights = {}, {}
    for one in free:
        if one.section == "initial":
            values = state[fields.index(one.name)].astype(float)
            initial[one.name] = values if one.bounds is None else np.clip(values, *one.bounds)
        else:
            weights[one.name] = [np.array(w, float) for w in networks[one.name].weights]
    return Arrays(initial, weights)
