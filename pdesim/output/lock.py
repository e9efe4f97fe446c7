"""A lock that allows only one process to write into a run's folder, and a test of this lock."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pdesim.errors import OutputError
from pdesim.files import check_folder, clear_pictures_left_behind

LOCK = ".lock"
#: number of seconds that a writer waits for the lock, since :func:`is_held` acquires it briefly
GRACE_SECONDS = 0.5


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder against other writers during the context.

    The operating system releases the lock when the process ends, even if the process is killed.

    Raises:
        OutputError: if another process is writing into the folder, if the folder is not writable,
            or if a file that pdesim would write is a link (see :func:`pdesim.files.check_folder`).
    """
    check_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=GRACE_SECONDS)
        if not (folder / LOCK).exists():
            # the previous writer has removed the file after this process opened it
            lock.release()
            lock.acquire(timeout=GRACE_SECONDS)
    except Timeout:
        raise OutputError(
            f"another process is writing to {folder} now",
            hint="wait until it ends, or use another folder",
        ) from None
    except OSError as error:
        raise OutputError(
            f"the folder {folder} cannot be written to ({error.strerror})",
            hint="set hydra.run.dir=DIR to a folder that you may write to",
        ) from None
    clear_pictures_left_behind(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove open files
            (folder / LOCK).unlink()
        lock.release()


def wait_until_free(folders: Iterable[Path], seconds: float) -> bool:
    """Wait until no process writes to these folders, for at most ``seconds``.

    Returns:
        Whether all folders are free.
    """
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
    # testing the lock would truncate the target of a link
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
