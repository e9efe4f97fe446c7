"""Pictures of a 3-D field: orthogonal planes, or maxima along the axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pdesim.output.axis import Axis
from pdesim.render.field_reader import FieldReader
from pdesim.render.ticks import clock_texts


@dataclass(frozen=True)
class View:
    """One of the parts of a picture of a 3-D field.

    Attributes:
        along: the axis of the array that the view looks along: 0 for z, 1 for y, 2 for x.
        axes: the vertical and the horizontal axis of the view.
        note: what the view shows, such as ``z = 0.5``.
        place: the rows and columns of the view in an array of all views.
    """

    along: int
    axes: tuple[Axis, Axis]
    note: str
    place: tuple[slice, slice]


@dataclass(frozen=True)
class VolumeReader:
    """The frames of a 3-D field as arrays of three views, in the form of a ``FrameReader``.

    The views along z, y and x are side by side in one array, so that they share their limits. The
    array is NaN outside them.

    Attributes:
        volume: a reader with three axes.
        position: the position of the planes as a fraction of each axis; None: maxima along the
            axes.
    """

    volume: FieldReader
    position: float | None

    @property
    def long_name(self) -> str:
        return self.volume.long_name

    @property
    def unit(self) -> str:
        return self.volume.unit

    @property
    def equation(self) -> str:
        return self.volume.equation

    @property
    def time_unit(self) -> str:
        return self.volume.time_unit

    @property
    def times(self) -> np.ndarray:
        return self.volume.times

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of the first view."""
        return self.volume.axes[1:]

    @property
    def plane(self) -> int | None:
        return None

    @property
    def depth(self) -> Axis | None:
        return None

    @property
    def path(self) -> Path:
        return self.volume.path

    @property
    def field(self) -> str:
        return self.volume.field

    @property
    def views(self) -> tuple[View, ...]:
        return tuple(self._views())

    def _views(self) -> Iterator[View]:
        column = 0
        for along, axis in enumerate(self.volume.axes):
            upwards, across = (a for number, a in enumerate(self.volume.axes) if number != along)
            rows, columns = len(upwards.centres), len(across.centres)
            note = f"maximum along {axis.name}"
            if self.position is not None:
                note = f"{axis.name} = {clock_texts(axis.centres)[self._plane(axis)]}"
            place = slice(0, rows), slice(column, column + columns)
            yield View(along, (upwards, across), note, place)
            column += columns

    def _plane(self, axis: Axis) -> int:
        return min(int((self.position or 0.0) * len(axis.centres)), len(axis.centres) - 1)

    def read(self, frame: int) -> tuple[np.ndarray, float | None]:
        """Return the array of all views of a frame; see :meth:`FieldReader.read`."""
        values, roundoff = self.volume.read(frame)
        views = self.views
        rows = max(view.place[0].stop for view in views)
        result = np.full((rows, views[-1].place[1].stop), np.nan, values.dtype)
        for view in views:
            if self.position is None:
                result[view.place] = np.fmax.reduce(values, axis=view.along)
            else:
                plane = self._plane(self.volume.axes[view.along])
                result[view.place] = values.take(plane, axis=view.along)
        return result, roundoff

    def refreshed(self) -> VolumeReader:
        """Return a new reader that includes new frames; see :meth:`FieldReader.refreshed`."""
        return replace(self, volume=self.volume.refreshed())
