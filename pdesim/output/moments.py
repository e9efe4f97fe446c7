"""Mean and variance over the members of an ensemble, accumulated in a file frame by frame.

Batches of members are combined without their states: for two groups with the counts m and n, the
means a and b, and the sums of squared differences from the mean S and T::

    mean = a + (b - a) n/(m + n),    sum = S + T + (b - a)**2 m n/(m + n)

(Chan, Golub, LeVeque, Am. Stat. 37 (1983) 242, doi:10.1080/00031305.1983.10483115).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from pdesim.files import replacing
from pdesim.files.create import creating
from pdesim.output.hdf5_errors import translate_errors

COUNT, MEAN, SQUARES, NAMES = "count", "mean", "squares", "members"


@dataclass(frozen=True)
class Moments:
    """The moments of one frame.

    Attributes:
        count: the number of members.
        mean: the mean, ``(fields, *grid.shape)``, in float64.
        squares: the sum of squared differences from the mean.
    """

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, states: np.ndarray) -> Moments:
        """Return the moments of states, ``(members, fields, *grid.shape)``."""
        if not len(states):
            zero = np.zeros(states.shape[1:])
            return cls(0, zero, zero)
        values = states.astype(np.float64)
        mean = values.mean(axis=0)
        return cls(len(values), mean, np.square(values - mean).sum(axis=0))

    def combined(self, other: Moments) -> Moments:
        """Return the moments of both groups of members."""
        total = self.count + other.count
        if not total:
            return self
        difference = other.mean - self.mean
        squares = self.squares + other.squares
        squares += np.square(difference) * (self.count * other.count / total)
        return Moments(total, self.mean + difference * (other.count / total), squares)

    def variance(self) -> np.ndarray:
        """Return the unbiased variance; NaN for fewer than two members."""
        if self.count < 2:
            return np.full_like(self.squares, np.nan)
        return self.squares / (self.count - 1)


class MomentsFile:
    """The moments of all frames of some members.

    Args:
        path: the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def members(self) -> list[str]:
        """Return the names of the members whose states are included; none without a file."""
        if not self.path.exists():
            return []
        with translate_errors(self.path), h5py.File(self.path, "r") as file:
            return list(json.loads(str(file.attrs[NAMES])))

    def read(self, frame: int) -> Moments:
        """Return the moments of one frame."""
        with translate_errors(self.path), h5py.File(self.path, "r") as file:
            return _moments(file, frame)

    def add(self, batch: BatchMoments, names: Sequence[str]) -> None:
        """Include the members of a batch, and replace the file at once."""
        known = self.members()
        with (
            translate_errors(self.path),
            replacing(self.path) as temporary,
            h5py.File(batch.path, "r") as new,
            creating(temporary) as file,
        ):
            frames = len(new[COUNT])
            create_moments(file, frames, new[MEAN].shape[1:])
            for frame in range(frames):
                moments = _moments(new, frame)
                if known:
                    moments = self.read(frame).combined(moments)
                store_moments(file, frame, moments)
            file.attrs[NAMES] = json.dumps([*known, *names])


@dataclass(frozen=True)
class BatchMoments:
    """A temporary file with the moments of one batch, written frame by frame."""

    path: Path
    frames: int

    def create(self, shape: Sequence[int]) -> None:
        with translate_errors(self.path), h5py.File(self.path, "w") as file:
            create_moments(file, self.frames, shape)

    def store(self, frame: int, moments: Moments) -> None:
        with translate_errors(self.path), h5py.File(self.path, "r+") as file:
            store_moments(file, frame, moments)


def create_moments(file: h5py.File, frames: int, shape: Sequence[int]) -> None:
    """Create the data sets of a file of moments."""
    file.create_dataset(COUNT, (frames,), "i8", fillvalue=0)
    for name in (MEAN, SQUARES):
        file.create_dataset(name, (frames, *shape), "f8", chunks=(1, 1, *shape[1:]), fillvalue=0)


def store_moments(file: h5py.File, frame: int, moments: Moments) -> None:
    """Store the moments of one frame."""
    file[COUNT][frame] = moments.count
    file[MEAN][frame], file[SQUARES][frame] = moments.mean, moments.squares


def _moments(file: h5py.File, frame: int) -> Moments:
    return Moments(int(file[COUNT][frame]), file[MEAN][frame], file[SQUARES][frame])
