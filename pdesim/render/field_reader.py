"""Reads one field of a snapshot file, or a formula of its fields, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from pdesim.errors import clip
from pdesim.files import reading
from pdesim.output.axis import Axis
from pdesim.output.reader import Snapshots
from pdesim.render.equal_cells import equal_axis, on_equal_cells
from pdesim.render.quantity import MEAN, Quantity, build_quantity, first_shown
from pdesim.render.text import LONGEST
from pdesim.settings import Animation


class FrameReader(Protocol):
    """Frames to draw, and the texts and axes of their pictures; see :class:`FieldReader`."""

    @property
    def long_name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def equation(self) -> str: ...
    @property
    def time_unit(self) -> str: ...
    @property
    def times(self) -> np.ndarray: ...
    @property
    def axes(self) -> tuple[Axis, ...]: ...
    @property
    def plane(self) -> int | None: ...
    @property
    def depth(self) -> Axis | None: ...
    @property
    def path(self) -> Path: ...
    @property
    def field(self) -> str: ...
    def read(self, frame: int) -> tuple[np.ndarray, float | None]: ...
    def refreshed(self) -> FrameReader: ...


@dataclass(frozen=True)
class FieldReader:
    """Reads the frames of a quantity as arrays to draw, of shape ``(nx,)`` or ``(ny, nx)``.

    For a 3-D field, the arrays contain the values in the plane with index ``plane`` along
    ``depth``.
    """

    snapshots: Snapshots
    quantity: Quantity
    long_name: str
    unit: str
    equation: str
    time_unit: str
    times: np.ndarray
    axes: tuple[Axis, ...]  # (x,) or (y, x)
    plane: int | None
    depth: Axis | None
    #: 1 inside obstacles, with the shape of a stored frame; None without obstacles
    mask: np.ndarray | None = None
    #: whether the decadic logarithm of the quantity is drawn; NaN where it is not positive
    log: bool = False
    #: the stored axes, which differ from ``axes`` if the stored cells are not equal
    stored_axes: tuple[Axis, ...] = ()

    @property
    def path(self) -> Path:
        """The snapshot file."""
        return self.snapshots.path

    @property
    def field(self) -> str:
        """The name of the field, or the formula."""
        return self.quantity.text

    def values(self, frame: int) -> np.ndarray:
        """The values of a frame as floats, shape ``(nx,)`` or ``(ny, nx)`` with y ascending.

        Inside obstacles, the values are NaN.

        Raises:
            OutputError: if the frame cannot be read.
        """
        return self.read(frame)[0]

    def read(self, frame: int) -> tuple[np.ndarray, float | None]:
        """The result of :meth:`values`, and the absolute rounding error of a formula.

        The rounding error is estimated from the largest field in the formula, since the difference
        of nearly equal fields has the rounding error of these fields. It is None for a plain field.
        """
        values, roundoff = self._read(frame)
        values = on_equal_cells(values, self.stored_axes, self.axes)
        return _log10(values, roundoff) if self.log else (values, roundoff)

    def _read(self, frame: int) -> tuple[np.ndarray, float | None]:
        if self.quantity.expression is None:
            values = self._read_floats(self.quantity.fields[0], frame, False)
            return self._without_obstacles(values), None
        names, roundoff, shape = self._coordinates() | {"t": float(self.times[frame])}, 0.0, ()
        for field in self.quantity.fields:
            averaged = field in self.quantity.means
            values = self._read_floats(field, frame, averaged)
            if averaged:
                names[f"{field}{MEAN}"] = self._mean(values)
                values = values if self.plane is None else values[self.plane]
            names[field], shape = values, values.shape
            size = np.abs(values).max(initial=0.0, where=np.isfinite(values))
            roundoff = max(roundoff, float(np.finfo(values.dtype).eps * size))
        return self._without_obstacles(self.quantity.evaluate(names, shape)), roundoff

    def _read_floats(self, field: str, frame: int, all_planes: bool) -> np.ndarray:
        """A frame of a field as floats; for a 3-D field, only the plane to draw or all planes."""
        values = self.snapshots.read_frame(field, frame, None if all_planes else self.plane)
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        return values

    def _mean(self, values: np.ndarray) -> float:
        """The mean over all stored cells outside obstacles."""
        outside = True if self.mask is None else self.mask == 0
        with np.errstate(all="ignore"):
            return float(values.mean(dtype=np.float64, where=outside)) if np.any(outside) else 0.0

    def _without_obstacles(self, values: np.ndarray) -> np.ndarray:
        if self.mask is None:
            return values
        mask = self.mask if self.plane is None else self.mask[self.plane]
        return np.where(mask > 0, np.nan, values)

    def _coordinates(self) -> dict[str, object]:
        """A mapping from the names of axes to coordinates that broadcast over a frame."""
        coordinates: dict[str, object] = {}
        for number, axis in enumerate(reversed(self.stored_axes)):
            coordinates[axis.name] = axis.centres.reshape(-1, *[1] * number)
        if self.depth is not None:
            coordinates[self.depth.name] = float(self.depth.centres[self.plane])
        return coordinates

    def refreshed(self) -> FieldReader:
        """A new reader that includes the frames added to the file since this reader was opened."""
        return replace(self, times=self.snapshots.frame_times(self.quantity.fields))


def _log10(values: np.ndarray, roundoff: float | None) -> tuple[np.ndarray, float]:
    """The decadic logarithms of values, NaN where they are not positive, and their error."""
    with np.errstate(all="ignore"):
        logs = np.log10(np.where(values > 0, values, np.nan))
    epsilon = float(np.finfo(values.dtype).eps)
    if roundoff is None:
        return logs, epsilon
    size = float(np.abs(values).max(initial=0.0, where=np.isfinite(values)))
    return logs, max(epsilon, roundoff / size if size else 0.0)


def open_picture(path: Path, animation: Animation) -> AbstractContextManager[FieldReader]:
    """Open a snapshot file to draw the quantity in ``animation``; see :func:`open_field`."""
    return open_field(path, animation.field, animation.slice, animation.scale == "log")


@contextmanager
def open_field(
    path: Path, field: str | None, slice_: float, log: bool = False, whole: bool = False
) -> Iterator[FieldReader]:
    """Open a snapshot file for drawing.

    Args:
        path: the snapshot file, or the folder of the run.
        field: the name of a field or a formula of fields; None: the first field.
        slice_: for a 3-D field, the position of the plane to draw, as a fraction of the depth.
        log: whether to draw the decadic logarithm of the quantity.
        whole: whether to read all planes of a 3-D field, so that the reader has three axes.

    Raises:
        OutputError: if the file is missing, unreadable, not a snapshot file, or has no frames.
        ConfigError: if the file has no such field.
        FormulaError: if the formula cannot be parsed.
        MissingExtraError: if the compression needs a package that is not installed.
    """
    with Snapshots(path) as snapshots:
        with reading(snapshots.path):
            reader = replace(_describe(snapshots, field, None if whole else slice_), log=log)
        yield reader


def _describe(snapshots: Snapshots, field: str | None, slice_: float | None) -> FieldReader:
    quantity = _choose(snapshots, field)
    for name in quantity.fields:
        snapshots.load_filters(name)
    first, attributes = quantity.fields[0], snapshots.attributes
    axes = [replace(axis, unit=clip(axis.unit, LONGEST)) for axis in snapshots.axes_of(first)]
    times = snapshots.frame_times(quantity.fields)
    plane = depth = None
    if len(axes) == 3 and slice_ is not None:
        depth, *axes = axes
        plane = min(int(slice_ * len(depth.centres)), len(depth.centres) - 1)
    plain = quantity.expression is None
    return FieldReader(
        snapshots=snapshots,
        quantity=quantity,
        long_name=(plain and _text(snapshots.attributes_of(first), "long_name")) or quantity.text,
        unit=clip(snapshots.unit_of(first), LONGEST) if plain else "",
        equation=_text(attributes, "equation_title") or _text(attributes, "equation_name"),
        time_unit=clip(snapshots.unit_of("time"), LONGEST),
        times=times,
        axes=tuple(map(equal_axis, axes)),
        stored_axes=tuple(axes),
        plane=plane,
        depth=depth,
        mask=snapshots.mask,
    )


def _choose(snapshots: Snapshots, field: str | None) -> Quantity:
    fields = snapshots.ordered_fields
    if field is not None:
        return build_quantity(field, snapshots.fields, snapshots.axes[::-1])
    axes = snapshots.axes[::-1]
    return build_quantity(first_shown(fields, axes), fields, axes)


def _text(attributes: Mapping[str, object], name: str) -> str:
    return clip(str(attributes.get(name, "")), LONGEST)
