"""Files that this process has open for reading, so that it can also open them for writing.

HDF5 refuses to open a file for writing while the same process reads it.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Protocol


class Reader(Protocol):
    """An object that has a file open, and opens it again when it is used after ``release``."""

    def release(self) -> None:
        """Close the file for now."""


_readers: dict[Path, weakref.WeakSet[Reader]] = {}


def register(path: Path, reader: Reader) -> None:
    """Add an object that has a file open. It is forgotten when it is no longer used."""
    _readers.setdefault(path.resolve(), weakref.WeakSet()).add(reader)


def release(path: Path) -> None:
    """Let all readers of a file close it, since it is about to be opened for writing."""
    for reader in _readers.pop(path.resolve(), ()):
        reader.release()
