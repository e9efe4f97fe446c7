"""Checks of untrusted folders of runs, and creation of folders.

Writing into a folder must not change anything outside this folder. If a name that pdesim uses
belongs to a link, a named pipe or a device, the folder is therefore refused: writing to a link
would change a file elsewhere, and reading a pipe or ``/dev/zero`` would never end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pdesim.errors import OutputError

#: beginnings of the names of all files that pdesim and Hydra write into the folder of a run or a
#: sweep, without leading dots; a temporary file begins with the name of the file that it replaces
NAMES = (
    "animation",
    "checkpoint",
    "converge",
    "diagnostics",
    "hydra",
    "index.html",
    "initial",
    "lock",
    "montage",
    "parts",
    "pdesim",
    "poster",
    "series",
    "snapshots",
    "status",
    "stop",
    "submitit",
    "sweep",
    "verify",
)
#: files that are changed in place; if such a file had a second hard link, the contents under the
#: other name would also change
IN_PLACE = ("snapshots.h5", "pdesim.log", ".lock")
#: folder with a folder for each process of a run that several processes compute
PARTS = "parts"
#: folders that Hydra, Submitit and pdesim create inside the folder of a run or a sweep
INSIDE = (".hydra", ".submitit", PARTS)
#: limits of the length of a name and of a path in bytes, on most file systems. The limit of a path
#: leaves room for the names of files inside a folder
LONGEST_NAME, LONGEST_PATH = 255, 4000
#: limit of the size of text files; status.json and .hydra/config.yaml have a few thousand bytes
LARGEST_TEXT = 2**24
#: the maximum number of characters in a line of a table, which may have any number of lines
LONGEST_LINE = 2**16


def as_path(value: object) -> Path:
    """Convert an argument to a path. An initial ``~`` is replaced by the home folder.

    Raises:
        OutputError: if the argument is neither text nor a path, or no file can have this name.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise OutputError(f"{repr(value)[:200]} is not a path", "text or a pathlib.Path")
    return check_path(Path(os.path.expanduser(value)))


def check_path(path: Path) -> Path:
    """Return a path after checking that the file system accepts it.

    Raises:
        OutputError: for a path that is too long, contains null characters, or is a link that leads
            back to itself.
    """
    try:
        os.lstat(path)
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except ValueError:  # null characters, and text that the file system cannot encode
        problem = f"{str(path)[:200]!r} is not a path"
        raise OutputError(problem, "text without null characters") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise OutputError(f"{str(path)[:200]} cannot be opened ({error.strerror})") from None
    return path


def check_creatable(folder: Path, setting: str = "hydra.run.dir") -> None:
    """Check that a folder exists and is writable, or can be created.

    Args:
        folder: the folder.
        setting: the setting that chooses the folder, for errors.

    Raises:
        OutputError: if the folder, or the nearest existing folder above it, is not writable.
    """
    try:
        present = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        longest = max((len(os.fsencode(part)) for part in folder.parts), default=0)
        if longest > LONGEST_NAME or len(os.fsencode(folder.absolute())) > LONGEST_PATH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except (OSError, ValueError) as error:  # for names that are too long or contain a null byte
        raise not_made(folder, error, setting) from None
    if not present.is_dir() or not os.access(present, os.W_OK | os.X_OK):
        raise OutputError(
            f"the output folder {str(folder)[:300]} cannot be created: {present} is not a writable "
            "folder",
            hint=f"set {setting}=DIR to a writable folder",
        )


def check_folder(folder: Path) -> None:
    """Check that writing into a folder changes no file outside this folder.

    The folder itself may be a link, or may not exist.

    Raises:
        OutputError: if a name that pdesim uses belongs to a symbolic link, a pipe, a socket, a
            device, or a file with a second name (hard link).
    """
    for directory in (folder, *(folder / name for name in INSIDE), *_folders_in(folder / PARTS)):
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError:  # does not exist, or is not a folder; then creating it raises an error
            continue
        inside = directory != folder
        for entry in entries:
            if inside or entry.name.lstrip(".").startswith(NAMES):
                _check(folder, entry)


def _folders_in(folder: Path) -> list[Path]:
    """Return the folders inside a folder, without links; none if it does not exist or is a link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    with contextlib.suppress(OSError):
        return sorted(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink())
    return []


def check_sweep_folder(folder: Path) -> None:
    """Apply :func:`check_folder` to the folder of a sweep and to the folders of its members.

    Raises:
        OutputError: see :func:`check_folder`; also if the folder of a member is a link.
    """
    check_folder(folder)
    if not folder.is_dir():
        return
    for member in sorted(path for path in folder.iterdir() if path.name.isdecimal()):
        if member.is_symlink():
            raise OutputError(
                f"{folder} contains a symbolic link: {member.name} -> {os.readlink(member)}; "
                "nothing was written",
                "members in folders inside the folder of the sweep",
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
        kind, more = "a file with a second name (hard link)", ""
    else:
        return
    name = os.path.relpath(entry.path, folder)
    raise OutputError(
        f"{folder} contains {kind}: {name}{more}; nothing was written",
        "regular files for the names that pdesim uses, so that no other file is changed",
        f"remove {name}, or use a copy of the folder without it",
    )


def check_own_file(path: Path) -> Path:
    """Return a path after checking that it is a regular file, or a link to a file in its folder.

    Raises:
        OutputError: if the file does not exist, is a pipe or a device, or is a symbolic link to a
            file outside its folder.
    """
    if not path.is_file():
        raise OutputError(f"no such file: {path}")
    if path.is_symlink():
        target = path.resolve()
        if not target.is_relative_to(path.parent.resolve()):
            raise OutputError(
                f"{path} is a symbolic link to {target}",
                "a file, or a link to a file in the same folder",
                "give the path of the file itself if you trust it",
            )
    return path


def is_path(word: str) -> bool:
    """Return whether an argument of the command line is a path, not a setting such as ``grid=64``.

    An argument with ``=`` is a path if a file of this name exists, or if the argument begins with
    ``.``, ``/`` or ``~/``.
    """
    return "=" not in word or word.startswith((".", "/", "~/")) or os.path.exists(word)


#: beginnings of the names of a run's own files
RUN_FILES = ("checkpoint", "snapshots.h5", "status", "pdesim")


def is_run_file(path: Path) -> bool:
    """Return whether a path is a file that a run has written, which an export must not replace."""
    in_run = (path.parent / "snapshots.h5").exists() or (path.parent / PARTS).is_dir()
    kept = path.suffix in (".h5", ".json", ".log") and path.name.startswith(RUN_FILES)
    return in_run and kept


def new_folder(folder: Path, setting: str = "hydra.run.dir") -> Path:
    """Create a new folder: ``folder`` or, if that exists, ``folder_1``, ``folder_2``, and so on.

    Processes that call this function at the same time create different folders.

    Args:
        folder: the folder.
        setting: the setting that chooses the folder, for errors.

    Returns:
        The path of the new folder.

    Raises:
        OutputError: if the folder cannot be created.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        candidate, number = folder, 0
        while True:
            with contextlib.suppress(FileExistsError):
                candidate.mkdir()
                return candidate
            number += 1
            candidate = folder.with_name(f"{folder.name}_{number}")
    except (OSError, ValueError) as error:
        raise not_made(folder, error, setting) from None


def make_folder(folder: Path, setting: str = "hydra.run.dir") -> None:
    """Create the folder of a run or a sweep, with its parents, if it does not exist.

    Args:
        folder: the folder.
        setting: the setting that chooses the folder, for errors.

    Raises:
        OutputError: if the folder cannot be created; see also :func:`check_folder`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise not_made(folder, error, setting) from None
    check_folder(folder)


def not_made(folder: Path, error: Exception, setting: str = "hydra.run.dir") -> OutputError:
    """Return the error for a folder that cannot be created."""
    reason = getattr(error, "strerror", None) or error
    return OutputError(
        f"the output folder {str(folder)[:300]!r} cannot be created ({reason})",
        hint=f"set {setting}=DIR to a writable folder",
    )


def read_lines(path: Path) -> Iterator[str]:
    """Yield the complete lines of a text file, up to the first one longer than ``LONGEST_LINE``.

    Raises:
        OutputError: see :func:`check_own_file`; also if the file cannot be read.
    """
    try:
        with check_own_file(path).open(encoding="utf-8", errors="replace", newline="") as file:
            while (line := file.readline(LONGEST_LINE)).endswith("\n"):
                yield line
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror})") from None


def read_text(path: Path) -> str:
    """Read a small text file in a run's folder.

    Raises:
        OutputError: see :func:`check_own_file`; also if the file is larger than ``LARGEST_TEXT``,
            is not UTF-8, or cannot be read.
    """
    try:
        if check_own_file(path).stat().st_size > LARGEST_TEXT:
            raise OutputError(
                f"{path} is larger than {LARGEST_TEXT >> 20} MiB", "a short text file"
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path} cannot be read ({error})") from None
