"""The settings of a dense linear system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pdesim.config.compose import compose_other, other_configs
from pdesim.errors import ConfigError, nearest
from pdesim.settings import Device, read_section

#: a random matrix or right-hand side, instead of the name of a file
RANDOM = "random"
#: number of unknowns if neither ``n`` nor a file determines it
DEFAULT_N = 1000


class LinearSystem(BaseModel):
    """The matrix, the right-hand sides, and the method of a dense linear system."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    n: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="a number of unknowns, or null"
    )
    A: Annotated[str, Field(min_length=1)] = Field(
        default=RANDOM, description="random, or a file such as A.npy or A.h5"
    )
    y: Annotated[str, Field(min_length=1)] = Field(
        default=RANDOM, description="random, or a file such as y.npy or y.h5"
    )
    right_hand_sides: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    method: Literal["auto", "lu", "cholesky"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    overwrite: bool = False
    device: Device = Device()


@dataclass(frozen=True)
class Request:
    """The settings of a linear system, also as plain values, and the folder of its solution."""

    settings: LinearSystem
    values: dict[str, Any]
    folder: Path


def chosen_system(overrides: Sequence[str]) -> str | None:
    """Return the name after ``equation=`` if it is that of a linear system, otherwise None."""
    names = [text.partition("=")[2] for text in overrides if text.startswith("equation=")]
    return names[-1] if names and names[-1] in other_configs() else None


def read_request(name: str, overrides: Sequence[str]) -> Request:
    """Compose and check the settings of a linear system.

    Args:
        name: the name of its configuration file.
        overrides: settings as on the command line. ``precision=`` stands for
            ``device.precision=``.

    Raises:
        ConfigError: for invalid settings.
    """
    words = [
        f"device.{word}" if word.startswith("precision=") else word
        for word in overrides
        if not word.startswith("equation=")
    ]
    for word in words:
        section = word.lstrip("+~").partition("=")[0].partition(".")[0]
        if section not in (*LinearSystem.model_fields, "hydra"):
            raise ConfigError(
                f"unknown setting {section}", nearest(section, LinearSystem.model_fields)
            )
    values, folder = compose_other(name, words)
    settings = read_section(LinearSystem, values, name)
    if settings.device.jit != "auto":
        raise ConfigError(
            "device.jit has no effect on a linear system, which is solved by libraries",
            "device and device.precision",
        )
    if settings.y != RANDOM and settings.right_hand_sides != 1:
        raise ConfigError(
            f"right_hand_sides={settings.right_hand_sides} has no effect with y={settings.y}",
            "the right-hand sides in the file, or y=random",
        )
    return Request(settings, values, folder)
