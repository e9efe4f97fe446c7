"""The settings of a data set, which are given beside the settings of its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pdesim.config.compose import nested_values
from pdesim.errors import ConfigError
from pdesim.settings import read_section

SPLITS = ("train", "valid", "test")


class DatasetSettings(BaseModel):
    """The splits, the repetitions and the size of the files of a data set."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    splits: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=3, max_length=3)
    ] = Field(
        default=[0.8, 0.1, 0.1],
        description="three fractions with the sum 1, [train, valid, test], such as [0.8, 0.1, 0.1]",
    )
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    repeats: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    shard: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="a number of trajectories, or null"
    )


def read_dataset_settings(words: Sequence[str]) -> tuple[DatasetSettings, list[str]]:
    """Separate the settings of a data set from those of its runs.

    Args:
        words: settings as on the command line.

    Returns:
        The settings of the data set, and the other words.

    Raises:
        ConfigError: for invalid settings of the data set.
    """
    names = DatasetSettings.model_fields
    own = [word for word in words if word.partition("=")[0] in names]
    settings = read_section(DatasetSettings, nested_values(own), "dataset")
    if not math.isclose(sum(settings.splits), 1, rel_tol=1e-6) or settings.splits[0] == 0:
        raise ConfigError(
            f"splits is {settings.splits}",
            "three fractions with the sum 1, the first one above 0, such as [0.8, 0.1, 0.1]",
        )
    return settings, [word for word in words if word not in own]
