"""The frames of a snapshot file for drawing, whether the run has ended or is still writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pdesim.render.field_reader import FrameReader
from pdesim.render.limits import RunStatistics
from pdesim.render.look import SCALES, SIZE, Look, RunLook, find_look
from pdesim.render.overlays import Arrows
from pdesim.settings import Animation

#: up to this many bytes of frames are kept in memory, so that each is read only once
CACHE_BYTES = 2**27


class LookChanged(Exception):
    """New frames have changed the limits, colours or times with which frames were drawn.

    ``frames`` is the number of frames that had been drawn.
    """

    def __init__(self, frames: int) -> None:
        super().__init__(frames)
        self.frames = frames


class FrameStream:
    """The frames of a snapshot file, their times, and the look that their pictures share.

    Args:
        reader: the open snapshot file.
        animation: the settings of the picture.
        wait_for_more: a function that is called before every frame and returns whether the run may
            write further frames. If its argument is True, it first waits a short time for further
            frames. None: the file is complete.
        planned: the planned times of all frames, shape ``(T,)``; None: the times in the file.
        arrows: the vector field that is drawn over the colours.
        labels: what changes from frame to frame, and its text for each frame; None: the time.
    """

    def __init__(
        self,
        reader: FrameReader,
        animation: Animation,
        wait_for_more: Callable[[bool], bool] | None = None,
        planned: np.ndarray | None = None,
        labels: tuple[str, Sequence[str]] | None = None,
        arrows: Arrows | None = None,
    ) -> None:
        self.arrows = arrows
        self.reader, self.animation, self.labels = reader, animation, labels
        self.times = reader.times if planned is None else planned
        self._wait_for_more = wait_for_more
        self._colors_fixed = (
            animation.name != "gif" or animation.colors is not None or animation.layout == "surface"
        )
        size = None if self._colors_fixed else animation.size or SIZE
        self._run = RunLook(size, animation.limits == "robust")
        self._cache: dict[int, np.ndarray] = {}
        self._cache_left = CACHE_BYTES

    @property
    def look(self) -> Look:
        """The limits, the number of colours and the size according to the frames read so far."""
        curve = len(self.reader.axes) == 1
        fixed = self._colors_fixed or self.animation.size is not None
        scales = (1.0,) if fixed else SCALES
        return find_look([(self._run, len(self.times))], self.animation, curve, scales)

    @property
    def statistics(self) -> RunStatistics:
        """Statistics of the frames read so far."""
        return self._run.statistics

    @property
    def _seen(self) -> int:
        return self._run.seen

    def values(self, frame: int) -> np.ndarray:
        """The values of a frame, from memory if possible; see :meth:`FieldReader.values`."""
        values = self._cache.get(frame)
        return self._read(frame)[0] if values is None else values

    def scan_limits(self, frames: float) -> None:
        """Read frames until :attr:`look` has stayed the same for ``frames`` frames, or to the last.

        If the file is complete, all frames are read.
        """
        held, before = 0, None
        while self._wait_for(self._seen):
            if self._wait_for_more is not None and self._seen and held >= frames:
                break
            self._observe(self._seen)
            if self._wait_for_more is not None:  # a complete file is read to its last frame
                now = self.look
                held, before = (held + 1 if now == before else 0), now

    def frames(self, look: Look, times: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(number, values)`` for each frame to draw, up to the last frame.

        Raises:
            LookChanged: if new frames make :attr:`look` differ from ``look``, or if the times at
                the end differ from ``times``.
        """
        every, frame, drawn = self.animation.every, 0, 0
        while self._wait_for(frame):
            new = frame == self._seen
            values = self._observe(frame)
            if new and self.look != look:
                raise LookChanged(drawn)
            if frame % every == 0:
                yield frame, values
                drawn += 1
            frame += 1
        if not np.array_equal(self.times, times) or self.look != look:
            raise LookChanged(drawn)
        if (frame - 1) % every:
            yield frame - 1, values

    def _observe(self, frame: int) -> np.ndarray:
        """Return the values of a frame. If the frame is new, it is added to the statistics."""
        if frame < self._seen:
            return self.values(frame)
        values, roundoff = self._read(frame)
        self._run.add(values, roundoff)
        return values

    def _read(self, frame: int) -> tuple[np.ndarray, float | None]:
        values, roundoff = self.reader.read(frame)
        if values.nbytes <= self._cache_left:
            self._cache_left -= values.nbytes
            self._cache[frame] = values
        return values, roundoff

    def _wait_for(self, frame: int) -> bool:
        """Wait for a frame while the run is still writing, and return whether the frame exists."""
        while self._wait_for_more is not None:
            missing = frame >= len(self.reader.times)
            is_running = self._wait_for_more(missing)
            if missing or not is_running:
                self.reader = self.reader.refreshed()
            if not is_running:
                self._wait_for_more, self.times = None, self.reader.times
            if not missing:
                break
        return frame < len(self.reader.times)
