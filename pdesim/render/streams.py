"""The frame streams of a picture, according to ``animation.layout``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from pdesim.errors import ConfigError
from pdesim.files import reading
from pdesim.output.reader import Snapshots
from pdesim.render.field_reader import FrameReader, open_field, open_picture
from pdesim.render.frames import FrameStream
from pdesim.render.look import Look
from pdesim.render.overlays import Arrows
from pdesim.render.quantity import Quantity, build_quantity, check_layout, shown_fields
from pdesim.render.volume import VolumeReader
from pdesim.settings import Animation

#: the colour map of angles
CYCLIC = "twilight"


class FrameGroup:
    """Streams of several fields that are drawn side by side, with the methods of a stream."""

    def __init__(self, streams: Sequence[FrameStream]) -> None:
        self.streams = tuple(streams)
        self.animation = streams[0].animation

    @property
    def reader(self) -> FrameReader:
        """The reader of the first field."""
        return self.streams[0].reader

    @property
    def times(self) -> np.ndarray:
        return self.streams[0].times

    @property
    def look(self) -> tuple[Look, ...]:
        return tuple(stream.look for stream in self.streams)

    def values(self, frame: int) -> tuple[np.ndarray, ...]:
        return tuple(stream.values(frame) for stream in self.streams)

    def scan_limits(self, frames: float) -> None:
        for stream in self.streams:
            stream.scan_limits(frames)

    def frames(
        self, look: tuple[Look, ...], times: np.ndarray
    ) -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
        """Yield the number and the values of each frame; see :meth:`FrameStream.frames`."""
        each = [s.frames(one, times) for s, one in zip(self.streams, look, strict=True)]
        for parts in zip(*each, strict=True):
            yield parts[0][0], tuple(values for _, values in parts)


def _arrows(
    stack: ExitStack, snapshots: Snapshots, animation: Animation, quantity: Quantity
) -> Arrows | None:
    """Open the components of ``animation.arrows``, by default those of a vector that is drawn."""
    names = animation.arrows or (quantity.vector if len(quantity.vector) == 2 else None)
    if names is None:
        return None
    for name in names:
        build_quantity(name, snapshots.fields, snapshots.axes[::-1], "animation.arrows")
    x, y = (
        stack.enter_context(open_field(snapshots.path, name, animation.slice)) for name in names
    )
    return Arrows(x, y)


def _suited(animation: Animation, quantity: Quantity) -> Animation:
    """Return the settings with the limits and the cyclic colours of an angle, if it is drawn.

    Limits and colours that the user has changed remain. Angles are not interpolated, since the mean
    of -pi and pi is 0.
    """
    if not quantity.is_angle:
        return animation
    changes: dict[str, object] = {"enlarge": "nearest"}
    if animation.limits is None:
        changes["limits"] = [-math.pi, math.pi]
    if animation.colormap == Animation().colormap or animation.layout == "fields":
        changes["colormap"] = CYCLIC
    return animation.model_copy(update=changes)


@contextmanager
def open_stream(
    path: Path,
    animation: Animation,
    wait_for_more: Callable[[bool], bool] | None = None,
    planned: np.ndarray | None = None,
) -> Iterator[FrameStream | FrameGroup]:
    """Open a snapshot file for the picture of a run; see :class:`FrameStream`.

    Raises:
        OutputError: see :func:`pdesim.render.field_reader.open_field`.
        ConfigError: also if ``animation.layout`` is not one for this number of dimensions.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(open_picture(path, animation))]
        snapshots = readers[0].snapshots
        dimensions = len(readers[0].axes) + (readers[0].depth is not None)
        check_layout(animation, dimensions)
        if animation.layout == "fields":
            with reading(path):
                fields = snapshots.ordered_fields
            shown = shown_fields(fields, snapshots.axes[::-1])
            each = [animation.model_copy(update={"field": name}) for name in shown]
            readers = [stack.enter_context(open_picture(path, one)) for one in each]
            for reader in readers[1:]:
                if len(reader.axes) != len(readers[0].axes):
                    raise ConfigError(
                        "animation.layout=fields: the fields have different numbers of dimensions"
                    )
        streams = [
            FrameStream(
                one, _suited(animation, one.quantity), wait_for_more, planned,
                arrows=_arrows(stack, snapshots, animation, one.quantity),
            )
            for one in readers
        ]  # fmt: skip
        if dimensions == 3 and animation.layout in (None, "slices", "projection", "surface"):
            log, position = animation.scale == "log", animation.slice
            volume = stack.enter_context(open_field(path, animation.field, position, log, True))
            seen: FrameReader = volume
            if animation.layout != "surface":
                seen = VolumeReader(volume, None if animation.layout == "projection" else position)
            suited = _suited(animation, volume.quantity)
            streams = [FrameStream(seen, suited, wait_for_more, planned)]
        yield FrameGroup(streams) if len(streams) > 1 else streams[0]
