"""A run's folder that somebody else may have made.

Writing into such a folder must change nothing outside it. Links, named pipes and devices under a
name that pdesim writes or reads could: what is appended to a linked log file goes elsewhere, and a
pipe or ``/dev/zero`` blocks its reader.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from pathlib import Path

from pdesim.errors import OutputError

#: how the names begin that pdesim and Hydra use in the folder of a run or a sweep, after leading
#: dots; temporary files begin like the file that they become
NAMES = (
    "animation",
    "checkpoint",
    "converge",
    "diagnostics",
    "hydra",
    "lock",
    "montage",
    "pdesim",
    "poster",
    "snapshots",
    "status",
    "stop",
    "submitit",
    "sweep",
    "verify",
)
#: files whose contents are changed in place, so that a second name of them would change, too
IN_PLACE = ("snapshots.h5", "pdesim.log", ".lock")
#: folders inside a run's folder that others than pdesim write
INSIDE = (".hydra", ".submitit")
#: bytes of a text file that is read at once; status.json and .hydra/config.yaml take thousands
LARGEST_TEXT = 2**24


def as_path(value: object) -> Path:
    """A path that was given from Python; ``~`` at its start is the home folder.

    Raises:
        OutputError: if it is neither text nor a path.
    """
    if not isinstance(value, (str, Path)):
        raise OutputError(f"{value!r} is not a path", "text or a pathlib.Path")
    return Path(os.path.expanduser(value))


def check_folder(folder: Path) -> None:
    """Refuse to write into a folder where a name that pdesim uses leads elsewhere.

    The folder itself may be a link: its user named it. A folder that does not exist is fine.

    Raises:
        OutputError: naming the first symbolic link, pipe, socket, device or file with a second
            (hard) link, and where it points.
    """
    for place in (folder, *(folder / name for name in INSIDE)):
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:  # missing, or no folder: the one who creates it reports that
            continue
        inside = place != folder
        for entry in entries:
            if inside or entry.name.lstrip(".").startswith(NAMES):
                _check(folder, entry)


def check_sweep_folder(folder: Path) -> None:
    """:func:`check_folder` for a sweep's folder and its members', which may not be links.

    Raises:
        OutputError: see :func:`check_folder`.
    """
    check_folder(folder)
    if not folder.is_dir():
        return
    for member in sorted(path for path in folder.iterdir() if path.name.isdecimal()):
        if member.is_symlink():
            raise OutputError(
                f"{folder} contains a symbolic link: {member.name} -> {os.readlink(member)}; "
                "nothing was written",
                "folders of members that lie in the sweep's folder",
                f"remove {member.name}, or use another folder (hydra.sweep.dir=DIR)",
            )
        check_folder(member)


def _check(folder: Path, entry: os.DirEntry) -> None:
    about = entry.stat(follow_symlinks=False)
    if entry.is_symlink():
        kind, more = "a symbolic link", f" -> {os.readlink(entry.path)}"
    elif not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
        kind, more = "a pipe, socket or device", ""
    elif entry.name in IN_PLACE and stat.S_ISREG(about.st_mode) and about.st_nlink > 1:
        kind, more = "a file that has another name elsewhere (hard link)", ""
    else:
        return
    name = os.path.relpath(entry.path, folder)
    raise OutputError(
        f"{folder} contains {kind}: {name}{more}; nothing was written",
        "regular files under the names that pdesim uses, so that nothing outside changes",
        f"remove {name}, or use a copy of the folder without it",
    )


def check_own_file(path: Path) -> Path:
    """The path, if it names a regular file in its own folder or below it.

    Raises:
        OutputError: if there is no such file, if it is a pipe or a device, or if it is a symbolic
            link to a file outside its folder.
    """
    if not path.is_file():
        raise OutputError(f"there is no file {path}")
    if path.is_symlink():
        target = path.resolve()
        if not target.is_relative_to(path.parent.resolve()):
            raise OutputError(
                f"{path} is a symbolic link to {target}",
                "a file that lies in its folder; links that leave it are not followed",
                "give the path of the file itself, if you trust it",
            )
    return path


def is_path(word: str) -> bool:
    """Whether a word of a command line is a path and not a setting such as ``grid=64``.

    A word with ``=`` is a path if it exists, or begins like one (``./a=1``, ``~/a=1``, ``/a=1``).
    """
    return "=" not in word or word.startswith((".", "/", "~/")) or os.path.exists(word)


#: how the names of files that a run keeps for itself begin
RUN_FILES = ("checkpoint", "snapshots.h5", "status", "pdesim")


def is_run_file(path: Path) -> bool:
    """Whether a file is one that pdesim keeps in the folder of a run, other than an export."""
    in_run = (path.parent / "snapshots.h5").exists()
    kept = path.suffix in (".h5", ".json", ".log") and path.name.startswith(RUN_FILES)
    return in_run and kept


def new_folder(folder: Path) -> Path:
    """Make a folder that does not exist yet: this one, or the first of ``folder_1``, ``_2``, ...

    Two processes never get the same one.

    Raises:
        OutputError: if it cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count():
            one = folder.with_name(f"{folder.name}_{number}") if number else folder
            with contextlib.suppress(FileExistsError):
                one.mkdir()
                return one
    except (OSError, ValueError) as error:
        raise not_made(folder, error) from None


def make_folder(folder: Path) -> None:
    """Make the folder of a run or a sweep, and those above it, where they are missing.

    Raises:
        OutputError: if that is impossible; see also :func:`check_folder`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise not_made(folder, error) from None
    check_folder(folder)


def not_made(folder: Path, error: Exception) -> OutputError:
    """The error for a folder that cannot be made: a name too long, no right to write, no room."""
    reason = getattr(error, "strerror", None) or error
    return OutputError(
        f"the output folder {str(folder)[:300]!r} cannot be made ({reason})",
        hint="hydra.run.dir=DIR with a folder that you may write to",
    )


def read_text(path: Path) -> str:
    """The contents of a small text file in a run's folder.

    Raises:
        OutputError: see :func:`check_own_file`; also if it is larger than ``LARGEST_TEXT``, not
            UTF-8, or cannot be read.
    """
    try:
        if check_own_file(path).stat().st_size > LARGEST_TEXT:
            raise OutputError(
                f"{path} is larger than {LARGEST_TEXT >> 20} MiB", "a short text file"
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path} cannot be read ({error})") from None
