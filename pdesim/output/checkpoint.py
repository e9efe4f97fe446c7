"""``checkpoint.h5``: the state of a run between two steps, from which it resumes bit for bit.

The file is written under a temporary name, synced to the disk and renamed. The previous checkpoint
is kept as ``checkpoint.previous.h5`` and is used if the newer one is damaged.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError
from pdesim.files import (
    UNREADABLE,
    StoredArray,
    check_own_file,
    check_version,
    creating,
    open_hdf5,
    read_array,
    replacing,
    stored_array,
)
from pdesim.output.checkpoint_arrays import ArrayInBlocks, add_header, begin_digest, blocks_of
from pdesim.output.hdf5_errors import reason, translate_errors
from pdesim.output.run_folder import RunFolder
from pdesim.output.snapshots import LIBRARY_VERSIONS
from pdesim.settings import CONTINUING, INCIDENTAL
from pdesim.steppers.targets import nearness

#: increased when the layout of the file changes; files of all earlier versions can be read
FORMAT_VERSION = 2
#: names of the rows of ``Checkpoint.errors``: the arrays of the error monitor, in this order. The
#: last one is missing in version 1.
SAVED = ("error", "damped", "rate", "hidden", "damping", "peak", "spread", "noise")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run between two blocks of steps.

    Args:
        stepper: name of the stepper.
        frame: index in ``times`` of the last frame that was reached.
        target: index in ``targets`` of the last target that was reached.
        steps_since_target: number of steps since that target.
        time: simulated time.
        dt: current time step, for which ``carry`` and the coefficients of the stepper were
            computed. For an adaptive stepper it is the step that is tried next.
        max_dt, limit: the longest time step and the stability limit of the plan.
        steps, rejected: number of accepted and rejected steps since the start of the run.
        seconds: computing time since the start of the run.
        in_batch: 1 if the run was computed in a batch, else 0. The program of a batch may round
            differently from that of a single run.
        checked, measured_at: the step and the simulated time of the last measurement of the error
            monitor.
        checks: number of measurements of the error monitor.
        times: times of all frames.
        targets: times that must coincide with the end of a step.
        errors: estimated errors in time so far, shape ``(len(SAVED), fields)``; see
            :meth:`pdesim.engine.monitor.Monitor.to_array`.
        state: the fields, shape ``(fields, *grid.shape)``.
        carry: arrays that the stepper passes from step to step, such as earlier rates.
        solid: True inside obstacles, shape ``grid.shape``; None without obstacles.
        stages: number of stages of a stabilised method; 0 in files of version 0.1.0, in which it is
            that of the settings.
        arrays: the checksum of the parameters with one number for each cell
            (:attr:`pdesim.operators.problem.Problem.checksum`); empty if there are none.
        rows: the rows of the grid (indices along its first array axis) that ``state`` and ``carry``
            contain; None for all. Such a checkpoint is not written to a file.
        total_rows: the number of rows of the grid, if ``rows`` is given.
    """

    stepper: str
    frame: int
    target: int
    steps_since_target: int
    time: float
    dt: float
    max_dt: float
    limit: float
    steps: int
    rejected: int
    seconds: float
    in_batch: int
    checked: int
    checks: int
    measured_at: float
    times: np.ndarray
    targets: np.ndarray
    errors: np.ndarray
    state: np.ndarray
    carry: tuple[np.ndarray, ...]
    solid: np.ndarray | None = None
    stages: int = 0
    arrays: str = ""
    rows: slice | None = None
    total_rows: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the state on the complete grid: ``(fields, *grid.shape)``."""
        shape = self.state.shape
        return shape if self.total_rows is None else (shape[0], self.total_rows, *shape[2:])

    def part(self, rows: slice) -> Checkpoint:
        """Return a checkpoint with some rows of the state and of carried arrays of the grid.

        Args:
            rows: indices along the first array axis of the grid.

        Raises:
            ValueError: if this checkpoint contains other rows, but not all.
        """
        if self.rows == rows:
            return self
        if self.rows is not None:
            raise ValueError(f"the checkpoint contains {self.rows}; expected: {rows} or all rows")
        grid = self.state.shape[1:]
        return dataclasses.replace(
            self,
            state=self.state[:, rows].copy(),
            carry=tuple(_rows_of(part, grid, rows) for part in self.carry),
            rows=rows,
            total_rows=grid[0],
        )


def _rows_of(values: np.ndarray, grid: tuple[int, ...], rows: slice) -> np.ndarray:
    """Return some rows of an array whose last axes are those of the grid; others are returned."""
    if values.shape[-len(grid) :] != grid:
        return values
    place: Any = (..., rows, *[slice(None)] * (len(grid) - 1))
    return values[place].copy()


_TYPES = {"int": int, "float": int | float, "str": str}
#: upper bound of counts: float64 represents all integers up to this number exactly
LARGEST_COUNT = 2**53
_POSITIVE = ("dt", "max_dt", "limit")
_ARRAYS = ("times", "targets", "errors", "state")
_NUMBERS = tuple(f.name for f in dataclasses.fields(Checkpoint) if f.type in _TYPES)


def write_checkpoint(folder: Path, checkpoint: Checkpoint, settings: str) -> None:
    """Replace the folder's checkpoint.

    Args:
        folder: folder of the run.
        checkpoint: the new checkpoint.
        settings: the settings that the checkpoint depends on, as returned by :func:`fingerprint`.

    Raises:
        OutputError: if the file cannot be written. Earlier checkpoints are then kept.
        ValueError: if the checkpoint contains only some rows of the grid.
    """
    if checkpoint.rows is not None:
        raise ValueError(f"the checkpoint contains {checkpoint.rows}; expected: all rows")
    numbers = json.dumps({name: getattr(checkpoint, name) for name in _NUMBERS})
    arrays = {name: getattr(checkpoint, name) for name in _ARRAYS}
    arrays |= {f"carry_{number}": part for number, part in enumerate(checkpoint.carry)}
    if checkpoint.solid is not None:
        arrays["solid"] = checkpoint.solid.astype(np.uint8)
    store_checkpoint(folder, numbers, settings, arrays, len(checkpoint.carry))


def store_checkpoint(
    folder: Path,
    numbers: str,
    settings: str,
    arrays: Mapping[str, np.ndarray | ArrayInBlocks],
    carried: int,
) -> None:
    """Replace the folder's checkpoint, given the contents of the file.

    Args:
        folder: folder of the run.
        numbers: the numbers of the checkpoint, as JSON.
        settings: the settings that the checkpoint depends on, as returned by :func:`fingerprint`.
        arrays: name -> array. Arrays in blocks are written without being held in memory.
        carried: the number of arrays that the stepper carries.

    Raises:
        OutputError: if the file cannot be written. Earlier checkpoints are then kept.
    """
    run = RunFolder(folder)
    path = run.checkpoint
    with (
        translate_errors(path),
        replacing(path, sync=True, keep=run.previous_checkpoint) as temporary,
        creating(temporary, libver=LIBRARY_VERSIONS) as file,
    ):
        digest = begin_digest(numbers, settings)
        for name, values in sorted(arrays.items()):
            data = file.create_dataset(name, shape=values.shape, dtype=values.dtype)
            add_header(digest, name, values)
            for place, block in blocks_of(values):
                data[place] = block
                digest.update(block.data)
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["numbers"] = numbers
        file.attrs["settings"] = settings
        file.attrs["carried"] = carried
        file.attrs["digest"] = digest.hexdigest()


def read_checkpoint(
    path: Path, rows: Callable[[int], slice] | slice | None = None
) -> tuple[Checkpoint, str]:
    """Read a checkpoint, and return it with the settings that it depends on.

    Args:
        path: the file.
        rows: the rows of the grid (indices along its first array axis) that are kept of the state
            and of carried arrays that have the shape of the grid, or a function that returns them
            for the number of rows; None for all. The checksum is that of all contents, which are
            read in blocks. Carried arrays of modes, which no run on several devices has, are kept
            completely, unless they have the shape of the grid.

    Raises:
        OutputError: if the file is missing or damaged, was written by a later version of pdesim, or
            refers to other files.
    """
    check_own_file(path)
    try:
        with open_hdf5(path) as file:
            version = file.attrs["format_version"]
            check_version(path, version, FORMAT_VERSION)
            numbers, settings = file.attrs["numbers"], file.attrs["settings"]
            carried = int(file.attrs["carried"])
            if not 0 <= carried <= len(file):
                raise ValueError(f"invalid number of carried arrays: {carried}")
            names = [*_ARRAYS, *(f"carry_{n}" for n in range(carried))]
            names += ["solid"] if "solid" in file else []
            given: dict[str, Any] = {
                name: stored_array(file, name) if rows is not None and _is_large(name)
                else read_array(file, name)
                for name in names
            }  # fmt: skip
            if file.attrs["digest"] != _digest(numbers, settings, given):
                raise OutputError(f"{path} is damaged: its contents do not match its checksum")
            arrays, about = (given, {}) if rows is None else _part_of_file(given, rows)
        known = {"stages": 0, "arrays": "", **json.loads(numbers)}
        values = {name: known[name] for name in _NUMBERS}
        carry = tuple(arrays[name] for name in names if name.startswith("carry_"))
        solid = arrays["solid"].astype(bool) if "solid" in arrays else None
        values |= {name: arrays[name] for name in _ARRAYS} | about
        if version == 1:
            values["errors"] = _with_unknown_rounding(values["errors"])
        checkpoint = Checkpoint(**values, carry=carry, solid=solid)
        _check(checkpoint, {n: _is_finite(part) for n, part in given.items() if _is_large(n)})
    except UNREADABLE as error:
        raise OutputError(f"{path} is damaged ({reason(error)})") from None
    return checkpoint, str(settings)


def _is_large(name: str) -> bool:
    """Whether an array in the file may be as large as the state."""
    return name == "state" or name.startswith("carry_")


def _part_of_file(
    given: Mapping[str, Any], rows: Callable[[int], slice] | slice
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return all arrays with the rows that are kept, and what a checkpoint states about them."""
    grid = given["state"].shape[1:]
    kept = rows if isinstance(rows, slice) else rows(grid[0])
    arrays = {}
    for name, values in given.items():
        if isinstance(values, StoredArray):
            on_grid = values.shape[-len(grid) :] == grid
            values = values.rows(len(values.shape) - len(grid), kept) if on_grid else values.read()
        arrays[name] = values
    return arrays, {"rows": kept, "total_rows": grid[0]}


def _is_finite(values: Any) -> bool:
    """Whether all floating point numbers of an array are finite; a stored one has been read."""
    if isinstance(values, StoredArray):
        return values.finite
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def _with_unknown_rounding(errors: np.ndarray) -> np.ndarray:
    """Return the errors of a checkpoint of version 1 with the rounding error of a step, 0.

    It is measured again during the run.
    """
    return np.concatenate([errors, np.zeros_like(errors[:1])])


def _check(checkpoint: Checkpoint, finite: Mapping[str, bool]) -> None:
    """Check the types and ranges of all entries, which a correct checksum does not guarantee.

    Args:
        checkpoint: the checkpoint, which may contain only some rows.
        finite: whether all values of the state and of each carried array are finite, by the names
            that they have in the file.

    Raises:
        ValueError: if an entry is invalid. The message names the first one.
    """
    for field in dataclasses.fields(Checkpoint):
        if field.type in _TYPES:
            _check_number(field.name, getattr(checkpoint, field.name), field.type)
    for name in ("times", "targets"):
        times = getattr(checkpoint, name)
        growing = times.ndim == 1 and times.dtype.kind == "f" and (np.diff(times) > 0).all()
        if not growing or len(times) < 2 or not np.isfinite(times).all():
            raise ValueError(f"{name} is not a list of increasing times")
    for name, many in (("frame", checkpoint.times), ("target", checkpoint.targets)):
        if not 0 <= getattr(checkpoint, name) < len(many):
            raise ValueError(f"{name} is {getattr(checkpoint, name)}, but only {len(many)} exist")
    _check_place(checkpoint)
    state, errors, solid = checkpoint.state, checkpoint.errors, checkpoint.solid
    if state.dtype.kind != "f" or not 2 <= state.ndim <= 4 or not finite["state"]:
        raise ValueError("the state is not an array of finite real numbers")
    if not all(finite.values()):
        raise ValueError("an array carried by the stepper has infinite or nan values")
    if errors.dtype != np.float64 or errors.shape != (len(SAVED), len(state)):
        raise ValueError(f"errors have type {errors.dtype} and shape {errors.shape}")
    if solid is not None and solid.shape != checkpoint.shape[1:]:
        raise ValueError(f"solid has shape {solid.shape}")


def _check_number(name: str, value: Any, kind: str) -> None:
    """Check the type and the range of one number of a checkpoint; see :func:`_check`."""
    good = isinstance(value, _TYPES[kind]) and not isinstance(value, bool)
    if good and kind == "int":
        good = 0 <= value < (2 if name == "in_batch" else LARGEST_COUNT)
    if good and kind == "float":
        least = 0.0 if name in _POSITIVE else -math.inf
        # the stability limit is infinite if the stepper is stable for every time step
        good = least < float(value) < math.inf or (name == "limit" and value == math.inf)
    if not good:
        raise ValueError(f"{name} is {str(value)[:40]!r}")


def _check_place(checkpoint: Checkpoint) -> None:
    """Check that time, frame and target agree, and that the next target is not too far away."""
    times, targets, target = checkpoint.times, checkpoint.targets, checkpoint.target
    now, later = targets[target], targets[min(target + 1, len(targets) - 1)]
    frame = np.searchsorted(times, now + nearness(times), "right") - 1
    near = nearness(targets)
    if checkpoint.frame != frame or not now - near <= checkpoint.time <= later + near:
        raise ValueError(
            f"frame {checkpoint.frame}, target {target} and time {checkpoint.time:g} do not agree"
        )
    if np.diff(targets).max() / checkpoint.max_dt > LARGEST_COUNT:
        raise ValueError(f"max_dt is {checkpoint.max_dt:g}")


#: settings that do not change the computed values of a run
_FREE = (*INCIDENTAL, *CONTINUING, "output")


def fingerprint(config: Mapping[str, Any]) -> str:
    """Return the settings that determine the computed values of a run, as sorted JSON.

    The settings of output and pictures, names, the final time and time limits are left out.
    """
    parts = {}
    for name, value in config.items():
        if name not in _FREE:
            if isinstance(value, Mapping):
                value = {k: v for k, v in value.items() if f"{name}.{k}" not in _FREE}
            parts[name] = value
    return json.dumps(_with_names(parts), sort_keys=True)


def _with_names(value: Any) -> Any:
    """Convert the keys of nested mappings to text, since keys of mixed types cannot be sorted."""
    if isinstance(value, Mapping):
        return {str(key): _with_names(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_names(part) for part in value]
    return value


def _digest(numbers: str, settings: str, arrays: Mapping[str, np.ndarray | StoredArray]) -> str:
    """Return the checksum of a checkpoint; stored arrays are read in blocks."""
    total = begin_digest(numbers, settings)
    for name, values in sorted(arrays.items()):
        add_header(total, name, values)
        for block in values.blocks() if isinstance(values, StoredArray) else (values,):
            total.update(np.ascontiguousarray(block).data)
    return total.hexdigest()
