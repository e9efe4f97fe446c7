"""A lock that allows one writer per run folder, and detection of that writer."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pdesim.errors import OutputError
from pdesim.files import check_folder

LOCK = ".lock"
#: time for which a reader that tests the lock may hold it (:func:`is_held`)
GRACE_SECONDS = 0.5


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder against other writers; the lock ends with the process, even if it is killed.

    Raises:
        OutputError: if another process is writing there, if the folder cannot be written to, or if
            a name that pdesim writes is a link (:func:`pdesim.files.check_folder`).
    """
    check_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=GRACE_SECONDS)
        if not (folder / LOCK).exists():
            # the previous writer removed the file after it was opened here
            lock.release()
            lock.acquire(timeout=GRACE_SECONDS)
    except Timeout:
        raise OutputError(
            f"another process is writing to {folder} now", hint="wait for it, or another folder"
        ) from None
    except OSError as error:
        raise OutputError(
            f"the folder {folder} cannot be written to ({error.strerror})",
            hint="hydra.run.dir=DIR with a folder that you may write to",
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove open files
            (folder / LOCK).unlink()
        lock.release()


def wait_until_free(folders: Iterable[Path], seconds: float) -> bool:
    """Wait until no process writes to these folders; return False if one still does at the end."""
    end = time.monotonic() + seconds
    for folder in folders:
        while is_held(folder):
            if time.monotonic() > end:
                return False
            time.sleep(GRACE_SECONDS / 5)
    return True


def is_held(folder: Path) -> bool:
    """Return whether a process is writing to a run folder now."""
    path = folder / LOCK
    try:
        about = path.lstat()
    except OSError:
        return False
    # filelock truncates the file that it opens, also through a link
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
