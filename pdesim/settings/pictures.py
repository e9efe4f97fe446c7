"""The settings of pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pdesim.settings.section import Section


class Animation(Section):
    """The animation of a run, or a still picture."""

    name: Literal["gif", "mp4", "png", "none"] = "gif"
    time: float | None = Field(
        default=None, description="the time of a PNG, a number, or null for the last frame"
    )
    layout: (
        Literal[
            "single",
            "fields",
            "sheet",
            "space_time",
            "slices",
            "projection",
            "surface",
            "spectrum",
        ]
        | None
    ) = Field(
        default=None,
        description="single, fields, sheet, space_time, slices, projection, surface, "
        "spectrum, or null",
    )
    level: float | None = Field(
        default=None, description="a value of the field, or null for the middle of the limits"
    )
    field: str | None = None
    colormap: str = "viridis"
    center: float | None = 0.0
    limits: (
        Literal["robust", "per_frame", "symmetric"]
        | Annotated[list[float], Field(min_length=2, max_length=2)]
        | None
    ) = Field(default=None, description="[low, high], robust, per_frame, symmetric, or null")
    scale: Literal["linear", "log"] = "linear"
    theme: Literal["light", "dark"] = "light"
    enlarge: Literal["smooth", "nearest"] = "smooth"
    title: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="text of at most 200 characters, or null for the equation's name"
    )
    time_format: Annotated[str, Field(max_length=100)] | None = Field(
        default=None, description="text such as 't = {t:.1f} s', or null"
    )
    contours: Annotated[int, Field(ge=1, le=50)] | None = Field(
        default=None, description="a number of contour lines from 1 to 50, or null for none"
    )
    arrows: Annotated[list[str], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="two fields or formulas, [u, v], or null for none"
    )
    fps: Annotated[float, Field(gt=0, le=50)] | None = Field(
        default=None, description="frames per second, greater than 0 and at most 50, or null"
    )
    size: Annotated[int, Field(ge=64, le=4096)] | None = Field(
        default=None, description="an integer from 64 to 4096, or null for at most 512"
    )
    colors: Annotated[int, Field(ge=8, le=240)] | None = Field(
        default=None, description="an integer from 8 to 240, or null for an automatic choice"
    )
    max_mb: Annotated[float, Field(ge=0.01)] | None = Field(
        default=None, description="megabytes, at least 0.01, or null for no limit"
    )
    every: Annotated[int, Field(ge=1)] = 1
    slice: Annotated[float, Field(ge=0, le=1)] = 0.5


class Montage(Section):
    """The arrangement of a sweep's members in one picture; None stands for an automatic choice."""

    x: str | None = None
    y: str | None = None
    columns: Annotated[int, Field(ge=1, le=100)] | None = None
    tile: Annotated[int, Field(ge=16, le=1024)] | None = Field(
        default=None, description="pixels of a tile's longer side, 16 to 1024, or null"
    )
