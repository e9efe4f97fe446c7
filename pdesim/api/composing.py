"""Composition of the settings of Python functions, with initial states that are arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pdesim.api.arguments import as_overrides, fields_of
from pdesim.api.initial import Initial, formulas_of, read_initial
from pdesim.config.compose import Composed, compose_settings
from pdesim.errors import ConfigError


def compose_single(
    overrides: Sequence[str], config_dir: str | None, trust_config: bool
) -> Composed:
    """Return the configuration of a single run.

    Raises:
        PdesimError: if it is invalid, or describes a sweep.
    """
    composed = compose_settings(overrides, config_dir)
    return composed.check_trust(trust_config).check_single()


def compose_with_initial(
    overrides: Sequence[str],
    settings: Mapping[str, Any],
    initial: Any,
    config_dir: str | None,
    trust_config: bool,
) -> tuple[Composed, Initial, list[str]]:
    """Return the configuration of a run, its initial state, and its overrides.

    Args:
        overrides, settings, initial: see :func:`pdesim.simulate`.

    Raises:
        PdesimError: for invalid settings and initial states.
    """
    words = as_overrides(overrides, settings)
    given = read_initial(initial)
    words += given.space.overrides(words) if given.space else []
    if given.partial or given.complex_names:
        given = given.of_fields(fields_of(compose_single(words, config_dir, trust_config)))
    if given.settings is not None:
        words += as_overrides((), {"initial": given.settings})
    return compose_single(words, config_dir, trust_config), given, words


def with_initial(composed: Composed, files: Mapping[str, Path]) -> Composed:
    """Return settings whose initial state is read from these files, one for each field."""
    if not files:
        return composed
    initial = {**composed.values["initial"], **formulas_of(files)}
    return replace(composed, values={**composed.values, "initial": initial})


def check_independent(
    overrides: Sequence[str],
    config_dir: str | None,
    parameter: str,
    values: tuple[float, float],
    feature: str,
) -> None:
    """Check that no setting outside the formulas refers to a parameter of the equation.

    Args:
        values: two different values of the parameter.
        feature: what requires this, for the message.

    Raises:
        ConfigError: for the first section that changes with the parameter.
    """
    key = f"equation.{parameter}"
    low, high = (
        compose_settings([*overrides, f"{key}={value!r}"], config_dir).values for value in values
    )
    for composed in (low, high):
        composed["equation"] = {**composed["equation"], parameter: None}
    for section in low:
        if low[section] != high[section]:
            raise ConfigError(
                f"{feature} does not apply to {key}, because {section} refers to it by ${{{key}}}",
                "a parameter that appears in formulas only",
            )
