"""The frames of a run for drawing: all there, or still coming in while the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pdesim.render.field_reader import Snapshots
from pdesim.render.look import SCALES, SIZE, Look, RunLook, find_look
from pdesim.settings import Animation

#: frames up to so many bytes are kept in memory, so that they are read and unpacked only once
KEPT_BYTES = 2**27


class Stale(Exception):
    """What ``frames`` frames were drawn with is not what the whole run has to be drawn with."""

    def __init__(self, frames: int) -> None:
        super().__init__(frames)
        self.frames = frames


class Footage:
    """The frames of a snapshot file, their times, and what their pictures have in common.

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
        self._given = animation.name != "gif" or animation.colors is not None
        self._run = RunLook(None if self._given else animation.size or SIZE)
        self._kept: dict[int, np.ndarray] = {}
        self._room = KEPT_BYTES

    @property
    def look(self) -> Look:
        """The limits, the number of colours and the size, as far as is known."""
        curve = len(self.snapshots.axes) == 1
        fixed = self._given or self.animation.size is not None
        scales = (1.0,) if fixed else SCALES
        return find_look([(self._run, len(self.times))], self.animation, curve, scales)

    @property
    def _seen(self) -> int:
        return self._run.seen

    def values(self, frame: int) -> np.ndarray:
        """Frame ``frame`` as :meth:`Snapshots.values`."""
        values = self._kept.get(frame)
        return self._read(frame)[0] if values is None else values

    def settle(self, frames: int) -> None:
        """Look at frames until :attr:`look` has held for ``frames`` of them, or at all."""
        held, before = 0, None
        while self._there(self._seen):
            if self._more is not None and self._seen and held >= frames:
                break
            self._look(self._seen)
            if self._more is not None:  # else all frames will be looked at in any case
                now = self.look
                held, before = (held + 1 if now == before else 0), now

    def frames(self, look: Look, times: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames to draw, each ``(number, values)``, up to the last.

        Raises:
            Stale: :attr:`look` is not ``look``, or the times are not ``times``.
        """
        every, frame, drawn = self.animation.every, 0, 0
        while self._there(frame):
            new = frame == self._seen
            values = self._look(frame)
            if new and self.look != look:
                raise Stale(drawn)
            if frame % every == 0:
                yield frame, values
                drawn += 1
            frame += 1
        if not np.array_equal(self.times, times) or self.look != look:
            raise Stale(drawn)
        if (frame - 1) % every:
            yield frame - 1, values

    def _look(self, frame: int) -> np.ndarray:
        if frame < self._seen:
            return self.values(frame)
        values, roundoff = self._read(frame)
        self._run.add(values, roundoff)
        return values

    def _read(self, frame: int) -> tuple[np.ndarray, float | None]:
        values, roundoff = self.snapshots.read(frame)
        if values.nbytes <= self._room:
            self._room -= values.nbytes
            self._kept[frame] = values
        return values, roundoff

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
