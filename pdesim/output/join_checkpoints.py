"""Joining the checkpoints of the parts of a run, without holding a complete state in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import OutputError
from pdesim.files import UNREADABLE, check_stored, check_version, dataset, open_hdf5, read_array
from pdesim.output.checkpoint import FORMAT_VERSION, store_checkpoint
from pdesim.output.checkpoint_arrays import ArrayInBlocks, add_header, begin_digest, blocks_of
from pdesim.output.hdf5_errors import reason
from pdesim.output.part_files import PartFile
from pdesim.output.run_folder import RunFolder

#: arrays that each part has for the complete grid, or that do not depend on the grid
SHARED = ("times", "targets", "errors", "solid")
#: numbers that identify the moment of a checkpoint
_MOMENT = ("steps", "time", "target", "frame")


@dataclass(frozen=True)
class _Found:
    """A checkpoint of a part.

    Attributes:
        path: the file.
        key: what the checkpoints of one moment have in common: the numbers ``_MOMENT`` and the
            settings.
        steps: the number of steps since the start of the run.
        time: the simulated time.
        frame: the last frame before the checkpoint.
    """

    path: Path
    key: str
    steps: int
    time: float
    frame: int


def join_checkpoints(
    run: RunFolder, parts: Sequence[PartFile], frames: int
) -> tuple[list[float], list[str]]:
    """Join the newest two checkpoints that all parts have into those of the run.

    A part may be one checkpoint behind the others if its process was killed. Checkpoints that
    follow a frame which the run has not stored cannot be used, and are left out.

    Args:
        run: the folder of the run, which this process has locked.
        parts: the parts.
        frames: the number of frames of the run.

    Returns:
        The simulated times of the joined checkpoints, the newest one first, and notes on
        checkpoints that could not be used, one line each. Without a common checkpoint, the
        checkpoints of the run remain as they are.

    Raises:
        OutputError: if a checkpoint cannot be written.
    """
    notes: list[str] = []
    found = [_checkpoints(part, notes) for part in parts]
    common = set.intersection(*(set(one) for one in found))
    newest = sorted(common, key=lambda key: (found[0][key].steps, found[0][key].time))[::-1]
    usable: list[str] = []
    for key in newest:
        paths, moment = [one[key].path for one in found], found[0][key]
        if moment.frame >= frames:
            notes.append(
                f"the checkpoint at t = {moment.time:g} follows frame {moment.frame}, which not "
                "all parts have stored"
            )
        elif all(_is_intact(path, parts, notes) for path in paths):
            usable.append(key)
    for key in reversed(usable):  # the newest last, so that the one before is kept beside it
        _join(run, parts, [one[key].path for one in found])
    return [found[0][key].time for key in usable], notes


def _checkpoints(part: PartFile, notes: list[str]) -> dict[str, _Found]:
    """Return the checkpoints of a part by their keys; unreadable ones are noted."""
    result: dict[str, _Found] = {}
    for path in (part.run.checkpoint, part.run.previous_checkpoint):
        if not path.exists():
            continue
        try:
            with open_hdf5(path) as file:
                check_version(path, file.attrs["format_version"], FORMAT_VERSION)
                numbers = json.loads(str(file.attrs["numbers"]))
                moment = [numbers[name] for name in _MOMENT]
                steps, time, _, frame = moment
                key = json.dumps([moment, str(file.attrs["settings"])])
                result.setdefault(key, _Found(path, key, int(steps), float(time), int(frame)))
        except (*UNREADABLE, OutputError) as error:
            notes.append(_unusable(path, error))
    return result


def _unusable(path: Path, error: Exception) -> str:
    text = error.problem if isinstance(error, OutputError) else reason(error)
    return f"the checkpoint {path} cannot be used: {text}"


def _is_intact(path: Path, parts: Sequence[PartFile], notes: list[str]) -> bool:
    """Return whether a checkpoint has its checksum; otherwise the reason is noted."""
    try:
        with open_hdf5(path) as file:
            arrays = {name: _array(file, name) for name in file}
            digest = begin_digest(file.attrs["numbers"], file.attrs["settings"])
            for name, values in sorted(arrays.items()):
                add_header(digest, name, values)
                for _, block in blocks_of(values):
                    digest.update(block.data)
            intact = digest.hexdigest() == file.attrs["digest"]
            _check_rows(file, parts[_number(path)])
        if not intact:
            raise OutputError("its contents do not match its checksum")
    except (*UNREADABLE, OutputError) as error:
        notes.append(_unusable(path, error))
        return False
    return True


def _number(path: Path) -> int:
    """Return the number of the part that a file belongs to."""
    return int(path.parent.name)


def _check_rows(file: h5py.File, part: PartFile) -> None:
    """Check that the state of a checkpoint has the rows of its part.

    Raises:
        OutputError: if it has not.
    """
    shape = file["state"].shape
    names = [f"carry_{number}" for number in range(int(file.attrs["carried"]))]
    dimensions = len(shape) - 1
    rows = [file[name].shape[file[name].ndim - dimensions] for name in ("state", *names)]
    if len(shape) != len(part.axes) + 1 or set(rows) != {part.place.rows}:
        raise OutputError(f"its arrays have {sorted(set(rows))} rows", f"{part.place.rows} rows")


def _array(file: h5py.File, name: str) -> np.ndarray | ArrayInBlocks:
    """Return a small array, or an array on the grid in blocks.

    Raises:
        OutputError: if it is not an array of numbers, or declares more data than are stored.
    """
    if name in SHARED[:-1]:
        return read_array(file, name)
    data = dataset(file, name)
    if data.dtype.kind not in "fiuc" or not data.ndim:
        raise OutputError(f"{name} has type {data.dtype} and shape {data.shape}")
    check_stored(data, data.size)
    return ArrayInBlocks([data], _axis(file, name))


def _axis(file: h5py.File, name: str) -> int:
    """Return the axis of an array along which the grid is divided."""
    dimensions = file["state"].ndim - 1
    return 0 if name in SHARED else file[name].ndim - dimensions


def _join(run: RunFolder, parts: Sequence[PartFile], paths: Sequence[Path]) -> None:
    """Write the checkpoint of the complete grid, from those of all parts."""
    with _opened(paths) as files:
        first = files[0]
        arrays: dict[str, Any] = {}
        for name in first:
            pieces = [first] if name in SHARED else files
            arrays[name] = ArrayInBlocks([one[name] for one in pieces], _axis(first, name))
        store_checkpoint(
            run.path,
            str(first.attrs["numbers"]),
            str(first.attrs["settings"]),
            arrays,
            int(first.attrs["carried"]),
        )


@contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[list[h5py.File]]:
    with ExitStack() as stack:
        yield [stack.enter_context(open_hdf5(path)) for path in paths]
