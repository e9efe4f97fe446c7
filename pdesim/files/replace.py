"""Atomic replacement of files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pdesim.errors import OutputError
from pdesim.files.folder import is_run_file

#: temporary names of files that several processes may write at the same time
_LEFT_BEHIND = re.compile(
    r"\.(?:animation|montage|film|poster|diagnostics|sweep)\.(\d+)\.(?:gif|mp4|png|csv)"
)


@contextmanager
def replacing(
    path: Path, *, shared: bool = False, sync: bool = False, keep: Path | None = None
) -> Iterator[Path]:
    """Yield the path of a new, empty temporary file that replaces ``path`` at the end.

    The temporary file is in the folder of ``path``. It must not exist before, so a link with its
    name is never followed. After an error, the temporary file is removed and ``path`` is unchanged.
    If ``path`` is a link, the link is replaced, not its target.

    Args:
        path: the file to be replaced or created.
        shared: whether several processes may write ``path`` at the same time. The temporary name
            then contains the process id.
        sync: whether to wait until the contents are on the disk before the file is renamed.
        keep: a path to which the previous file is renamed; None: it is not kept.

    Raises:
        OSError: if the file cannot be created or renamed.
    """
    temporary = _temporary(path)
    if shared:
        temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        clear_left_behind(path.parent, f".{path.stem}.", path.suffix)
        clear_pictures_left_behind(path.parent)
    clear_name(temporary)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield temporary
        if sync:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_target(path: Path, option: str, overwrite: bool, suffixes: Sequence[str] = ()) -> None:
    """Check that a file can be created or, with ``overwrite``, replaced by :func:`replacing`.

    A temporary file is created and removed, so that a long computation does not start if its
    result cannot be written.

    Args:
        path: the file.
        option: the option that names the file, for errors.
        overwrite: whether an existing file may be replaced.
        suffixes: the allowed suffixes of the name; empty: all suffixes are allowed.

    Raises:
        OutputError: if the file cannot be created or replaced, or if the path is a folder, a device
            or a file of a run.
    """
    name, other = str(path)[:300], f"another name ({option} FILE)"
    if path.name in ("", "..") or "\0" in name:
        raise OutputError(f"{option} got {name!r}", "the name of a file")
    if suffixes and path.suffix.lower() not in suffixes:
        raise OutputError(f"{option} got {name!r}", f"a name that ends in {', '.join(suffixes)}")
    try:
        if path.exists() and not path.is_file():
            raise OutputError(f"{name} is not a regular file ({option})", hint=other)
        if not path.parent.is_dir():
            raise OutputError(f"no such folder: {str(path.parent)[:300]} ({option})", hint=other)
        if is_run_file(path):
            raise OutputError(f"{name} is a file of a run ({option})", hint=other)
        if os.path.lexists(path) and not overwrite:
            raise OutputError(
                f"{name} already exists; nothing was overwritten",
                hint=f"add --overwrite, or use {other}",
            )
        temporary = _temporary(path)
        clear_name(temporary)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        temporary.unlink()
    except (OSError, ValueError) as error:
        raise _not_written(path, error, option) from None


@contextmanager
def writing(path: Path, option: str) -> Iterator[Path]:
    """Yield a temporary path, as :func:`replacing` does, for a file that is named by an option.

    Raises:
        OutputError: if the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise _not_written(path, error, option) from None


def _not_written(path: Path, error: Exception, option: str) -> OutputError:
    """Return the error for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return OutputError(
        f"{str(path)[:300]} cannot be written ({reason})", hint=f"another name ({option} FILE)"
    )


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        OSError: if it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def clear_left_behind(folder: Path, start: str, end: str) -> None:
    """Remove temporary files of processes that no longer exist.

    Args:
        folder: the folder.
        start, end: the text before and after the process id in the names of temporary files.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            middle = path.name.removeprefix(start).removesuffix(end)
            named = path.name == f"{start}{middle}{end}" and middle.isdecimal()
            if named and not _is_running(int(middle)):
                clear_name(path)


def clear_pictures_left_behind(folder: Path) -> None:
    """Remove temporary pictures and tables of a run or a sweep whose writers were killed.

    The next writer of the folder may write another kind of picture, so that :func:`replacing` would
    not find them.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            found = _LEFT_BEHIND.fullmatch(path.name)
            if found and not _is_running(int(found[1])):
                clear_name(path)


def _is_running(pid: int) -> bool:
    """Return whether a process with this id is running; True if that is unknown."""
    if sys.platform == "win32":  # on Windows, os.kill would terminate the process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def clear_name(path: Path) -> None:
    """Remove the file, folder or link at a path, if there is one. A link is not followed.

    Raises:
        OSError: if a file or a link cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
