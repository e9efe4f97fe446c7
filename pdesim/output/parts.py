"""Runs that several processes compute: joining the files of all parts into those of one run.

Each process writes the frames, checkpoints and diagnostics of its own rows into ``parts/K`` in the
folder of the run, so that no process holds a complete state. When the run has ended, the parts are
joined into the files of an ordinary run: by the first process or, if the run was killed, by the
next command that opens it. Only when all files are joined are the parts removed, so that a joining
that was killed is completed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pdesim.errors import OutputError
from pdesim.files import UNREADABLE, check_folder, clear_name
from pdesim.output import lock
from pdesim.output.join_checkpoints import join_checkpoints
from pdesim.output.join_diagnostics import join_diagnostics
from pdesim.output.join_frames import join_frames
from pdesim.output.part_files import open_parts, part_attributes
from pdesim.output.repair import frame_counts, opened
from pdesim.output.run_folder import RunFolder

__all__ = ["Joined", "has_parts", "join_parts", "part_attributes", "remove_parts"]

#: name of the folder of parts while it is removed
REMOVED = ".parts.removed"


@dataclass(frozen=True)
class Joined:
    """The result of joining the parts of a run.

    Attributes:
        parts: the number of parts; 0 if there were none.
        frames: the number of frames of the run.
        added: the number of frames that were added to the file of the run.
        checkpoints: the simulated times of the joined checkpoints, the newest one first.
        notes: messages for the user, one line each.
    """

    parts: int = 0
    frames: int = 0
    added: int = 0
    checkpoints: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def has_parts(folder: Path) -> bool:
    """Return whether the folder of a run contains parts that have not been joined."""
    return bool(RunFolder(folder).part_folders)


def are_being_written(folder: Path) -> bool:
    """Return whether a process is writing to a run or to one of its parts."""
    run = RunFolder(folder)
    return lock.is_held(folder) or any(lock.is_held(part.path) for part in run.part_folders)


def join_parts(folder: Path, locked: bool = False) -> Joined:
    """Join the parts of a run into the files of the run, and remove them.

    The frames that all parts have are appended to ``snapshots.h5``, the newest two checkpoints that
    all parts have become those of the run, and the rows of the diagnostics are combined. At most
    one chunk of a file is held in memory.

    Args:
        folder: the folder of the run. Nothing is done if it contains no parts.
        locked: whether this process has locked the folder.

    Returns:
        The number of frames and the checkpoints of the run, and notes.

    Raises:
        OutputError: if a process is writing a part, if a part is missing or damaged, or if the
            files cannot be written. If frames are damaged, the frames before them are joined, and
            all parts are kept.
    """
    run = RunFolder(folder)
    count = len(run.part_folders)
    if not count:
        return Joined()
    if any(lock.is_held(part.path) for part in run.part_folders) or (
        not locked and lock.is_held(folder)
    ):
        raise OutputError(
            f"the run in {folder} is being computed by {count} processes; its files are joined "
            "when it ends",
            hint="wait until it ends",
        )
    check_folder(folder)
    with contextlib.nullcontext() if locked else _locked(run, count):
        return _join(run)


@contextlib.contextmanager
def _locked(run: RunFolder, count: int) -> Iterator[None]:
    """Lock the folder of a run.

    Raises:
        OutputError: if it is not writable, or if another process is writing to it.
    """
    if not os.access(run.path, os.W_OK | os.X_OK) or not os.access(run.parts, os.W_OK | os.X_OK):
        raise OutputError(
            f"the files of the {count} processes that computed the run in {run.path} must be "
            "joined before it can be read, but the folder cannot be written to",
            "a folder that you may write to",
            f"give yourself permission, or use a copy: cp -r {run.path} COPY",
        )
    with lock.hold(run.path):
        yield


def _join(run: RunFolder) -> Joined:
    count = len(run.part_folders)
    if not count:  # another process has joined them before this one locked the folder
        return Joined()
    if _have_no_frames(run):
        remove_parts(run.path)
        note = f"the files of {count} processes were removed, as they contained no frames"
        return Joined(count, notes=(note,))
    with open_parts(run) as parts:
        result = join_frames(run, parts)
        times, notes = join_checkpoints(run, parts, result.frames)
        notes += join_diagnostics(run, parts, result.frames)
    if result.damage is not None:
        raise result.damage
    remove_parts(run.path)
    note = f"the files of {count} processes were joined: {result.added} frames were added"
    return Joined(count, result.frames, result.added, tuple(times), (note, *notes))


def _have_no_frames(run: RunFolder) -> bool:
    """Return whether a part is missing and the others have no frames.

    This is so if the run was killed while its processes created their files.
    """
    files = [part.snapshots for part in run.part_folders if part.snapshots.is_file()]
    counts = []
    for path in files:
        try:
            with opened(path) as file:
                counts.append((frame_counts(file)[0], int(file.attrs["part"][1])))
        except (*UNREADABLE, OutputError):
            return False  # which open_parts reports
    return all(frames == 0 and number > len(files) for frames, number in counts)


def remove_parts(folder: Path) -> None:
    """Remove the parts of a run, if there are any.

    Their folder is renamed first, so that incomplete parts are not found if the process is killed.

    Raises:
        OutputError: if they cannot be removed.
    """
    run = RunFolder(folder)
    removed = folder / REMOVED
    try:
        clear_name(removed)
        if run.parts.is_dir() and not run.parts.is_symlink() and run.part_folders:
            os.replace(run.parts, removed)
            shutil.rmtree(removed, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{run.parts} cannot be removed ({error.strerror})") from None


def join_if_possible(folder: Path) -> Joined:
    """Join the parts of a run before it is read.

    A run that is being computed has no other frames than those of its snapshot file, which may be
    missing.

    Raises:
        OutputError: if the run is being computed and has no snapshot file; see also
            :func:`join_parts`.
    """
    run = RunFolder(folder)
    if (folder / REMOVED).is_dir() and os.access(folder, os.W_OK):
        clear_name(folder / REMOVED)
    if not run.part_folders or (run.snapshots.is_file() and are_being_written(folder)):
        return Joined()
    return join_parts(folder)
