"""Composition of the settings by Hydra, from files and the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdesim.config.compose import (
        Composed,
        compose_config,
        compose_settings,
        composed_from,
        is_given,
        nested_values,
    )

__all__ = [
    "Composed",
    "compose_config",
    "compose_settings",
    "composed_from",
    "is_given",
    "nested_values",
]


def __getattr__(name: str) -> Any:
    # imported on first use, so that pdesim.config.folders is available without Hydra
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("pdesim.config.compose"), name)
