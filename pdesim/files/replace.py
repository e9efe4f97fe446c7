"""Atomic replacement of files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(
    path: Path, *, shared: bool = False, sync: bool = False, keep: Path | None = None
) -> Iterator[Path]:
    """Yield the path of a new, empty file that replaces ``path`` at the end of the context.

    The file is created exclusively, so a link of the temporary name is never followed. It is
    removed after an error. If ``path`` is a link, the link is replaced, not its target.

    Args:
        path: the file to be replaced, in the same folder as the temporary file.
        shared: whether several processes may write ``path`` at the same time. The temporary name
            then contains the process id and has the suffix of ``path``.
        sync: whether to wait until the contents are on the disk before the file is renamed.
        keep: a path under which the previous file is kept.

    Raises:
        OSError: if the file cannot be created or renamed.
    """
    name = f".{path.stem}.{os.getpid()}{path.suffix}" if shared else f".{path.name}.tmp"
    temporary = path.with_name(name)
    if shared:
        clear_left_behind(path.parent, f".{path.stem}.", path.suffix)
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


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        OSError: if it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def clear_left_behind(folder: Path, start: str, end: str) -> None:
    """Remove temporary files named ``start PID end`` whose processes no longer exist."""
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            middle = path.name.removeprefix(start).removesuffix(end)
            named = path.name == f"{start}{middle}{end}" and middle.isdecimal()
            if named and not _is_running(int(middle)):
                clear_name(path)


def _is_running(pid: int) -> bool:
    """Whether a process of this number is running; True if that is unknown."""
    if sys.platform == "win32":  # os.kill would terminate it
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def clear_name(path: Path) -> None:
    """Remove the file, folder or link at a path, if there is one, without following links.

    Raises:
        OSError: if it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
