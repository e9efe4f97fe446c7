"""Writing files that appear complete or not at all."""

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
    """Yield the path of a new, empty file beside ``path`` that takes its place at the end.

    The file is created exclusively, so a link under the temporary name is never followed; it is
    removed after an error. If ``path`` is itself a link, the link is replaced and not its target.

    Args:
        shared: several processes may write ``path`` at once; the temporary name contains the
            process id and keeps the suffix.
        sync: wait until the contents are on the disk before the file gets its name.
        keep: the name that the file replaced gets.

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
    """Replace a text file as a whole.

    Raises:
        OSError: if it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def clear_left_behind(folder: Path, start: str, end: str) -> None:
    """Remove temporary files ``start PID end`` of processes that were killed."""
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            middle = path.name.removeprefix(start).removesuffix(end)
            named = path.name == f"{start}{middle}{end}" and middle.isdecimal()
            if named and not _is_running(int(middle)):
                clear_name(path)


def _is_running(pid: int) -> bool:
    """Whether a process of this number is running; True where that cannot be known."""
    if sys.platform == "win32":  # where os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def clear_name(path: Path) -> None:
    """Remove a file, a folder or a link of this name, if there is one; links are not followed.

    Raises:
        OSError: if it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
