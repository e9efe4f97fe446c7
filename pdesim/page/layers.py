"""The fields of a run as layers of a page: averaged, rounded and compressed, frame by frame."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import ConfigError
from pdesim.output.axis import Axis
from pdesim.page.averaging import average, reduced_shape
from pdesim.page.packing import Packing
from pdesim.render.field_reader import FieldReader, open_field
from pdesim.render.limits import Limits, RunStatistics, find_limits
from pdesim.settings import Animation

#: cells on the longer side of a picture; a curve has this factor more points
MOST_CELLS, CURVE_FACTOR = 256, 4
#: the sides to choose from if a layer would take too many bytes
SIDES = (256, 224, 192, 160, 128, 112, 96, 80, 64, 48, 32, 16)


@dataclass(frozen=True)
class Layer:
    """A quantity of a run, ready for a page.

    Attributes:
        field: the name of the field, or a formula.
        shape: rows and columns of a frame in the page; a curve has one row.
        stored: the shape of a frame in the file, without the axis along which a plane was taken.
        limits: the limits of the colours.
        statistics: those of the frames, for limits that several runs share.
        packing: the limits and differences of every frame.
        data: the compressed frames.
        axes: the axes of the picture, x first.
        plane: the coordinate of the plane of a 3-D field as text; otherwise empty.
    """

    field: str
    label: str
    unit: str
    shape: tuple[int, int]
    stored: tuple[int, ...]
    limits: Limits
    statistics: RunStatistics
    packing: Packing
    data: bytes
    axes: tuple[Axis, ...]
    plane: str

    def as_json(self) -> dict[str, Any]:
        """Return the values of the page's script."""
        return {
            "name": self.field,
            "label": self.label,
            "unit": self.unit,
            "rows": self.shape[0],
            "columns": self.shape[1],
            "stored": list(self.stored[::-1]),
            "curve": len(self.stored) == 1,
            "bits": self.packing.bits,
            "limits": list(self.limits.ends),
            "modes": self.packing.modes,
            "lows": self.packing.lows,
            "highs": self.packing.highs,
            "axes": [
                {"name": a.name, "unit": a.unit, "lower": a.lower, "upper": a.upper}
                for a in self.axes
            ],
            "plane": self.plane,
            "data": base64.b64encode(self.data).decode(),
        }


def pack_layer(
    path: Path,
    field: str,
    animation: Animation,
    frames: Sequence[int],
    budget: int,
    most: int = MOST_CELLS,
) -> Layer:
    """Read the frames of a quantity one by one, and compress them.

    Args:
        path: the snapshot file.
        field: the name of a field, or a formula.
        animation: the plane of a 3-D field, the colour map and, for the field that it names, the
            limits.
        frames: the indices of the frames, ascending.
        budget: the largest number of compressed bytes. If the frames take more, they get fewer
            cells.
        most: the largest number of cells on the longer side of a picture.

    Raises:
        OutputError: if the file cannot be read.
    """
    with open_field(path, field, animation.slice) as reader:
        curve = len(reader.axes) == 1
        stored = tuple(len(axis.centres) for axis in reader.axes)
        side = min(most * CURVE_FACTOR if curve else most, max(stored))
        while True:
            shape = reduced_shape(stored, side)
            packing, statistics, done = _pack(reader, frames, shape, budget)
            smaller = _next_side(side, packing.size * len(frames) / (done * budget), curve)
            if packing.size <= budget or smaller is None:
                break
            side = smaller
        return Layer(
            field=reader.field,
            label=reader.long_name,
            unit=reader.unit,
            shape=(1, shape[0]) if len(shape) == 1 else (shape[0], shape[1]),
            stored=stored,
            limits=find_layer_limits([(statistics, len(frames))], field, animation, curve),
            statistics=statistics,
            packing=packing,
            data=packing.finish(),
            axes=reader.axes[::-1],
            plane=_plane(reader),
        )


def _pack(
    reader: FieldReader, frames: Sequence[int], shape: tuple[int, ...], budget: int
) -> tuple[Packing, RunStatistics, int]:
    """Compress frames until they exceed the budget; also return how many were compressed."""
    packing, statistics = Packing(16 if len(shape) == 1 else 8), RunStatistics()
    for number, frame in enumerate(frames, 1):
        values, roundoff = reader.read(frame)
        statistics.add(values, roundoff)
        packing.add(np.atleast_2d(average(values, shape)))
        if packing.size > budget and min(shape) > SIDES[-1]:
            return packing, statistics, number
    return packing, statistics, len(frames)


def _next_side(side: int, excess: float, curve: bool) -> int | None:
    """Return the next smaller side, for frames that take ``excess`` times the budget."""
    guess = side / (excess if curve else excess**0.5)
    smaller = [one for one in SIDES if one < side]
    fitting = [one for one in smaller if one <= 1.08 * guess]
    return fitting[0] if fitting else min(smaller, default=None)


def find_layer_limits(
    runs: Sequence[tuple[RunStatistics, int]], field: str, animation: Animation, curve: bool
) -> Limits:
    """Return the limits of the colours of a quantity.

    Args:
        runs: the statistics and the number of frames of every run.
        field: the quantity.
        animation: the settings, whose limits belong to the field of the settings only.
        curve: whether the quantity is drawn as a curve.
    """
    if field != animation.field:
        animation = animation.model_copy(update={"limits": None})
    try:
        return find_limits(runs, animation, curve)
    except ConfigError:  # no finite value in any frame
        return Limits(0.0, 1.0)


def _plane(reader: FieldReader) -> str:
    if reader.depth is None or reader.plane is None:
        return ""
    return f"{reader.depth.name} = {reader.depth.centres[reader.plane]:.4g}"
