"""Composition of the settings by Hydra, from files and the command line."""

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
