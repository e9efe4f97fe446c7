"""Frames as small integers, compressed one by one.

A frame is rounded to ``levels`` steps between limits of its own. The limits are kept from one frame
to the next as long as the frame fits, since the differences of frames with equal steps compress
well. A frame is stored as one of several differences (``MODES``), whichever is the smallest.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

#: differences of a frame: bit 1 for those to the frame before, 2 to the cell before along x, and
#: 4 along y; they are taken in this order and undone in the opposite order
TIME, ALONG_X, ALONG_Y = 1, 2, 4
MODES = (0, TIME, ALONG_X | ALONG_Y, TIME | ALONG_X | ALONG_Y)
#: the limits are kept while a frame fills this part of them; the new ones leave this margin
LEAST_FILLED, MARGIN = 0.5, 0.05
#: larger magnitudes are missing values, because their differences could overflow
LARGEST = 1e300


@dataclass
class Rounding:
    """Rounds frames to integers; ``bits`` is 8 or 16. The largest integer marks missing values."""

    bits: int
    low: float = 0.0
    high: float = -1.0

    @property
    def levels(self) -> int:
        """The number of steps between the limits."""
        return 2**self.bits - 2

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the integers of a frame, and set ``low`` and ``high`` to its limits."""
        usable = np.isfinite(values) & (np.abs(values) <= LARGEST)
        integers = np.full(values.shape, self.levels + 1, f"u{self.bits // 8}")
        if not usable.any():
            return integers
        known = values[usable]
        self._adjust(float(known.min()), float(known.max()))
        step = (self.high - self.low) / self.levels
        rounded = np.rint((known - self.low) / step) if step > 0 else np.zeros(known.shape)
        integers[usable] = np.clip(rounded, 0, self.levels)
        return integers

    def _adjust(self, low: float, high: float) -> None:
        inside = self.low <= low and high <= self.high
        if inside and high - low >= LEAST_FILLED * (self.high - self.low):
            return
        margin = MARGIN * (high - low)
        self.low, self.high = low - margin, high + margin


def differences(values: np.ndarray, before: np.ndarray, mode: int) -> np.ndarray:
    """Return the differences of a frame of integers, modulo the range of their type.

    Args:
        values, before: this frame and the one before, ``(rows, columns)``.
        mode: one of ``MODES``.
    """
    if mode & TIME:
        values = values - before
    if mode & ALONG_X:
        values = np.concatenate([values[:, :1], values[:, 1:] - values[:, :-1]], axis=1)
    if mode & ALONG_Y:
        values = np.concatenate([values[:1], values[1:] - values[:-1]], axis=0)
    return values


def restored(stored: np.ndarray, before: np.ndarray, mode: int) -> np.ndarray:
    """Return the frame of integers whose :func:`differences` are ``stored``."""
    for axis, bit in ((0, ALONG_Y), (1, ALONG_X)):
        if mode & bit:
            stored = np.cumsum(stored, axis=axis, dtype=stored.dtype)
    return stored + before if mode & TIME else stored


def as_bytes(values: np.ndarray) -> bytes:
    """Return the bytes of integers, all low bytes first: high bytes hardly vary."""
    if values.dtype.itemsize == 1:
        return values.tobytes()
    return (values & 255).astype(np.uint8).tobytes() + (values >> 8).astype(np.uint8).tobytes()


@dataclass
class Packing:
    """Compresses frames one after another.

    Attributes:
        modes, lows, highs: of every frame, see ``MODES`` and :class:`Rounding`.
        size: the number of compressed bytes so far.
    """

    bits: int
    modes: list[int] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    size: int = 0
    _parts: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rounding = Rounding(self.bits)
        self._stream = zlib.compressobj(7)
        self._before: np.ndarray | None = None

    def add(self, values: np.ndarray) -> None:
        """Add a frame of floats, ``(rows, columns)``."""
        integers = self._rounding.encode(values)
        before = np.zeros_like(integers) if self._before is None else self._before
        known = MODES if self._before is not None else tuple(m for m in MODES if not m & TIME)
        packed = {mode: as_bytes(differences(integers, before, mode)) for mode in known}
        mode = min(known, key=lambda one: len(zlib.compress(packed[one], 1)))
        self._before = integers
        self.modes.append(mode)
        self.lows.append(self._rounding.low)
        self.highs.append(max(self._rounding.high, self._rounding.low))
        self._append(self._stream.compress(packed[mode]))

    def finish(self) -> bytes:
        """Return the compressed frames; nothing can be added afterwards."""
        self._append(self._stream.flush())
        return b"".join(self._parts)

    def _append(self, part: bytes) -> None:
        self._parts.append(part)
        self.size += len(part)
