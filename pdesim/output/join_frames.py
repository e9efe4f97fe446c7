"""Joining the frames of the parts of a run into its snapshot file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pdesim.errors import OutputError, PdesimError
from pdesim.files import chunk_cells, load_yaml, open_hdf5
from pdesim.model.grid import build_grid
from pdesim.output.metadata import listed, listed_fields
from pdesim.output.part_files import PartFile, RowReader, UnreadableRows, remove_hint
from pdesim.output.repair import repair
from pdesim.output.run_folder import RunFolder
from pdesim.output.selection import build_selection
from pdesim.output.snapshots import (
    Layout,
    SnapshotWriter,
    create_mask,
    creating_snapshots,
    update_attributes,
)
from pdesim.settings import Settings, read_settings


@dataclass(frozen=True)
class JoinedFrames:
    """The frames of a run after those of its parts were added.

    Attributes:
        frames: the number of frames of the run.
        added: the number of frames that were added.
        damage: why later frames of the parts could not be added; None if all were.
    """

    frames: int
    added: int
    damage: OutputError | None = None


def join_frames(run: RunFolder, parts: Sequence[PartFile]) -> JoinedFrames:
    """Append the frames that all parts have to the snapshot file of a run.

    The file is created if it is missing. Frames that an earlier call has added are kept. One chunk
    of the file is held in memory at a time, and one chunk of a part.

    Args:
        run: the folder of the run, which this process has locked.
        parts: the open snapshot files of the parts.

    Raises:
        OutputError: if the parts do not belong to the run, or if the file cannot be written.
    """
    layout = layout_of(run, parts)
    before = _prepare(run, parts, layout)
    first_frame, common = parts[0].first_frame, min(part.frames for part in parts)
    times = [part.file["time"][:common] for part in parts]
    _check_times(run, parts, times)
    rows = RowReader(parts)
    if before - first_frame >= common:
        return JoinedFrames(before, 0)
    unreadable = None
    writer = SnapshotWriter(run.snapshots, layout)
    try:
        for frame in range(before - first_frame, common):
            writer.write_chunks(float(times[0][frame]), partial(rows.read, frame=frame))
        writer.sync()
    except UnreadableRows as error:
        unreadable = error
    finally:
        frames = writer.frames
        writer.close()
    damage = None
    if unreadable is not None:
        repair(run.snapshots, locked=True)  # the last frame is incomplete
        # after its writer was killed, the frames before the first unreadable one are complete
        damage = None if unreadable.part.was_killed else _damaged(run, unreadable, frames)
    return JoinedFrames(frames, frames - before, damage)


def _damaged(run: RunFolder, error: UnreadableRows, frames: int) -> OutputError:
    frame = frames - error.part.first_frame
    return OutputError(
        f"frame {frame} of {error.part.place.name} of the run in {run.path} cannot be read: "
        f"{error.problem} in {error.part.run.snapshots}; the {frames} frames before it are in "
        f"{run.snapshots}",
        "undamaged files of all parts",
        f"remove the folder {run.parts} to use the run without the later frames",
    )


def layout_of(run: RunFolder, parts: Sequence[PartFile]) -> Layout:
    """Return the layout of the file of the complete run, from the settings in the parts.

    Its mask is None.

    Raises:
        OutputError: if the settings cannot be read, or do not describe the contents of the parts.
    """
    first = parts[0]
    attributes = first.attributes
    settings = settings_of(first)
    output, grid = settings.output, build_grid(settings)
    fields = tuple(listed_fields(attributes))
    selection = build_selection(grid, fields, None, output.stride, output.region)
    for part in parts:
        own = selection.part(part.place.first, part.place.rows)
        shape = own.shape(grid.part(part.place.first, part.place.rows))
        stored = [part.file[name].shape[1:] if name in part.file else None for name in fields]
        if not fields or listed(attributes, "scalars") or any(one != shape for one in stored):
            raise _other_layout(run, part)
    names = grid.names[::-1]
    if first.axes != names or first.place.total != grid.shape[0]:
        raise _other_layout(run, first)
    found = [RowReader(parts).coordinates(names[0]), *(first.file[name][:] for name in names[1:])]
    for axis, centres in enumerate(reversed(found)):
        if not np.array_equal(centres, selection.coordinates(grid, axis)):
            raise _other_layout(run, first)
    data = {name: first.file[name] for name in fields}
    return Layout(
        grid,
        fields,
        selection,
        data[fields[0]].dtype,
        output.compression,
        output.keep_bits,
        {name: str(one.attrs.get("long_name", name)) for name, one in data.items()},
        {name: str(one.attrs.get("units", "1")) for name, one in data.items()},
    )


def settings_of(part: PartFile) -> Settings:
    """Return the settings in the snapshot file of a part.

    Raises:
        OutputError: if they are missing or invalid.
    """
    try:
        values = load_yaml(str(part.file.attrs["config"]))
        if not isinstance(values, dict):
            raise TypeError("they are not a mapping")
        return read_settings(values)
    except (PdesimError, KeyError, TypeError) as error:
        text = error.problem if isinstance(error, PdesimError) else str(error)
        raise OutputError(f"the settings in {part.run.snapshots} cannot be read: {text}") from None


def _other_layout(run: RunFolder, part: PartFile) -> OutputError:
    return OutputError(
        f"the fields, rows or coordinates of {part.place.name} in {run.parts} are not those of its "
        "settings",
        "the folders that the processes of one run have written",
        remove_hint(run),
    )


def _prepare(run: RunFolder, parts: Sequence[PartFile], layout: Layout) -> int:
    """Create or repair the snapshot file of a run, and return the number of its frames.

    Raises:
        OutputError: if earlier frames are missing, or the file has another layout.
    """
    first = parts[0]
    if not run.snapshots.exists():
        _check_earlier(run, first, 0)
        _create(run, parts, layout)
        return 0
    frames = repair(run.snapshots, locked=True).frames
    _check_earlier(run, first, frames)
    with open_hdf5(run.snapshots) as file:
        for name in layout.stored:
            data = file.get(name)
            if data is None or (data.shape[1:], data.dtype) != (layout.shape, layout.dtype):
                raise _other_layout(run, first)
    update_attributes(run.snapshots, {"config": first.attributes["config"]})
    return frames


def _check_earlier(run: RunFolder, first: PartFile, frames: int) -> None:
    if frames < first.first_frame:
        raise OutputError(
            f"{run.snapshots} has {frames} frames, but the parts in {run.parts} continue a run "
            f"after {first.first_frame} frames",
            "the file that the run had stored before it was resumed",
            remove_hint(run),
        )


def _create(run: RunFolder, parts: Sequence[PartFile], layout: Layout) -> None:
    """Create the snapshot file of a run without frames, with the mask of all parts."""
    rows = RowReader(parts)
    with creating_snapshots(run.snapshots, layout, parts[0].attributes) as file:
        if "mask" not in parts[0].file:
            return
        mask = create_mask(file, layout.grid, layout.shape)
        for cells in chunk_cells(mask.shape, mask.chunks):
            try:
                mask[cells] = rows.read("mask", cells)
            except UnreadableRows as error:
                raise OutputError(
                    f"{error.part.run.snapshots} cannot be read: {error.problem}",
                    "an undamaged snapshot file of a part of a run",
                ) from None


def _check_times(run: RunFolder, parts: Sequence[PartFile], times: Sequence[np.ndarray]) -> None:
    """Check that all parts, and the run's file, have the same times in their common frames.

    Raises:
        OutputError: if they have not.
    """
    with open_hdf5(run.snapshots) as file:
        from_file = file["time"][parts[0].first_frame :][: len(times[0])]
    for part, own in zip(parts, times, strict=True):
        if not np.array_equal(own, times[0]) or not np.array_equal(
            own[: len(from_file)], from_file
        ):
            raise OutputError(
                f"the frames of {part.place.name} in {run.parts} have other times than those of "
                "the run",
                "the folders that the processes of one run have written",
                remove_hint(run),
            )
