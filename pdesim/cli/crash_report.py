"""The report of an exception that no part of pdesim expected: a log file with its traceback."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pdesim.errors import printable

#: the exit code of the command line after such an exception (EX_SOFTWARE of sysexits.h)
EXIT_CODE = 70
#: set to anything but 0, this environment variable shows the traceback on standard error too
DEBUG = "PDESIM_DEBUG"
#: the first log file in the folder of a run; the next are pdesim-error-2.log, ...
FILE = "pdesim-error.log"
#: log files in one folder; later ones are temporary files
MOST_FILES = 9
_PACKAGES = ("pdesim", "tensorflow", "numpy", "sympy", "hydra-core", "h5py")


@contextlib.contextmanager
def reported_in(folder: Path | None) -> Iterator[None]:
    """Note on any exception that leaves this block which run folder its log file belongs into."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "run_folder"):
            with contextlib.suppress(AttributeError):
                error.run_folder = folder
        raise


def report(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the log file; returns the message for the user.

    Args:
        arguments: the command line, for the log file.
    """
    text = _log(error, arguments)
    path = _write(getattr(error, "run_folder", None), text)
    reason = " ".join(str(error).split())[:200]
    lines = [f"internal error: {type(error).__name__}" + (f": {reason}" if reason else "")]
    lines.append("  this is a defect of pdesim, not of your settings; please report it")
    if path is not None:
        lines.append(f"  log file: {path}")
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        lines.append(text)
    else:
        lines.append(f"  {DEBUG}=1 shows the traceback here")
    return printable("\n".join(lines))


def _log(error: BaseException, arguments: Sequence[str]) -> str:
    lines = [f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')}  pdesim {' '.join(arguments)}"]
    lines.append(f"Python {platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            lines.append(f"{package} {version(package)}")
    return "\n".join([*lines, *traceback.format_exception(error)])


def _write(folder: Path | None, text: str) -> Path | None:
    """Write a new file: in a run's folder if it exists, else in the folder of temporary files.

    What is there already is left alone, whoever made it: a file may have a second name elsewhere, a
    link leads elsewhere, and a pipe waits for its reader.
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
    """Where a log file may go in a run's folder, by preference; empty if there is no folder."""
    if folder is None or not Path(folder).is_dir():
        return []
    first = Path(folder, FILE)
    others = (first.with_stem(f"{first.stem}-{number}") for number in range(2, MOST_FILES + 1))
    return [first, *others]
