"""The frames of a run for drawing: all there, or still coming in while the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pdesim.render.colors import Range, limits_of
from pdesim.render.reader import Snapshots
from pdesim.settings import Animation

#: frames up to so many bytes are kept in memory, so that they are read and unpacked only once
KEPT_BYTES = 2**27


class Stale(Exception):
    """What ``frames`` frames were drawn with is not what the whole run has to be drawn with."""

    def __init__(self, frames: int) -> None:
        super().__init__(frames)
        self.frames = frames


class Footage:
    """The frames of a snapshot file, their times, and the limits of their colours so far.

    Args:
        more: asked before every frame: whether further ones may come; where its argument is
            true, it waits a little for them first. Without it, what is there is all there is.
        planned: the times of all frames that the run is to have.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        animation: Animation,
        more: Callable[[bool], bool] | None = None,
        planned: np.ndarray | None = None,
    ) -> None:
        self.snapshots, self.animation = snapshots, animation
        self.times = snapshots.times if planned is None else planned
        self._more = more
        self._range, self._seen = Range(), 0
        self._kept: dict[int, np.ndarray] = {}
        self._room = KEPT_BYTES

    @property
    def limits(self) -> tuple[float, float]:
        """The values at the two ends of the colours, as far as is known."""
        return limits_of(self.animation.limits, self._range, self.animation.colormap)

    def values(self, frame: int) -> np.ndarray:
        """Frame ``frame`` as :meth:`Snapshots.values`."""
        values = self._kept.get(frame)
        if values is None:
            values = self.snapshots.values(frame)
            if values.nbytes <= self._room:
                self._room -= values.nbytes
                self._kept[frame] = values
        return values

    def settle(self, frames: int) -> None:
        """Look at frames until the limits have held for ``frames`` of them, or at all there are."""
        held = 0
        while self.animation.limits is None and self._there(self._seen):
            if self._more is not None and self._seen and held >= frames:
                break
            before = self.limits
            self._look(self._seen)
            held = held + 1 if self.limits == before else 0

    def frames(
        self, limits: tuple[float, float], times: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames to draw, each ``(number, values)``, up to the last.

        Raises:
            Stale: the limits are not ``limits``, or the times not ``times``.
        """
        every, frame, drawn = self.animation.every, 0, 0
        while self._there(frame):
            values = self._look(frame)
            if self.limits != limits:
                raise Stale(drawn)
            if frame % every == 0:
                yield frame, values
                drawn += 1
            frame += 1
        if not np.array_equal(self.times, times):
            raise Stale(drawn)
        if (frame - 1) % every:
            yield frame - 1, values

    def _look(self, frame: int) -> np.ndarray:
        values = self.values(frame)
        if frame == self._seen:
            self._seen += 1
            if self.animation.limits is None:
                self._range.see(values)
        return values

    def _there(self, frame: int) -> bool:
        """Whether there is such a frame; waits for it while the run goes on."""
        while self._more is not None:
            missing = frame >= len(self.snapshots.times)
            going_on = self._more(missing)
            if missing or not going_on:
                self.snapshots = self.snapshots.renewed()
            if not going_on:
                self._more, self.times = None, self.snapshots.times
            if not missing:
                break
        return frame < len(self.snapshots.times)
