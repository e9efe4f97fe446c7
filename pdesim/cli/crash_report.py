"""Reports of unexpected exceptions: a message, and a log file with the traceback."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from pdesim.errors import printable

#: exit code after an unexpected exception (EX_SOFTWARE of sysexits.h)
EXIT_CODE = 70
#: if this environment variable is set and not 0, the traceback is printed on standard error
DEBUG = "PDESIM_DEBUG"
#: name of the first log file in the folder of a run; the next one is pdesim-error-2.log
FILE = "pdesim-error.log"
#: largest number of log files in one folder; further log files are written as temporary files
MOST_FILES = 9
_PACKAGES = ("pdesim", "tensorflow", "numpy", "sympy", "hydra-core", "h5py")


@contextlib.contextmanager
def reported_in(folder: Path | None) -> Iterator[None]:
    """Store the folder of the run in exceptions; :func:`report` writes the log file there."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "run_folder"):
            with contextlib.suppress(AttributeError):
                error.run_folder = folder  # type: ignore[attr-defined]
        raise


def report(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the log file, and return the message for the user.

    Args:
        error: the unexpected exception.
        arguments: the command line, for the log file.
    """
    text = _log(error, arguments)
    path = _write(getattr(error, "run_folder", None), text)
    reason = " ".join(str(error).split())[:200]
    lines = [f"internal error: {type(error).__name__}" + (f": {reason}" if reason else "")]
    lines.append("  this is a bug in pdesim, not an error in your settings; please report it")
    if path is not None:
        lines.append(f"  log file: {path}")
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        lines.append(text)
    else:
        lines.append(f"  set {DEBUG}=1 to show the traceback here")
    return printable("\n".join(lines))


def _log(error: BaseException, arguments: Sequence[str]) -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes 30 ms to import

    lines = [f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')}  pdesim {' '.join(arguments)}"]
    lines.append(f"Python {platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            lines.append(f"{package} {version(package)}")
    return "\n".join([*lines, *traceback.format_exception(error)])


def _write(folder: Path | None, text: str) -> Path | None:
    """Write a new file in the folder of the run or, if that fails, among the temporary files.

    Existing files are never opened, since they may be links to other files, or pipes.
    """
    octets = text.encode(errors="backslashreplace")
    for path in _names(folder):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        try:
            handle = os.open(path, flags, 0o644)
        except FileExistsError:
            continue
        except OSError:
            break
        with contextlib.suppress(OSError), open(handle, "wb") as file:
            file.write(octets)
            return path
        break
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="pdesim-error-", suffix=".log")
        with open(handle, "wb") as file:
            file.write(octets)
        return Path(name)
    return None


def _names(folder: Path | None) -> list[Path]:
    """Return the possible paths of the log file; an empty list if the folder does not exist."""
    if folder is None or not Path(folder).is_dir():
        return []
    first = Path(folder, FILE)
    others = (first.with_stem(f"{first.stem}-{number}") for number in range(2, MOST_FILES + 1))
    return [first, *others]
