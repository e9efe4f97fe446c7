"""Writing files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pdesim.errors import OutputError
from pdesim.files import clear_left_behind, clear_name

#: bytes of a target's name that a temporary name begins with
LONGEST_START = 200


@contextlib.contextmanager
def appearing(target: Path, overwrite: bool) -> Iterator[Path]:
    """A path to write to, file or folder, that gets the name ``target`` when all is written.

    It lies beside ``target``, so relative names inside it stay true and the renaming is atomic.
    After an error or Ctrl-C nothing of it is left.

    Raises:
        OutputError: if ``target`` exists and ``overwrite`` is false, if its folder does not exist,
            and if the system refuses to write.
    """
    if target.exists() and not overwrite:
        raise OutputError(
            f"{target} exists already; nothing was overwritten",
            hint="--overwrite, or another name (--output TARGET)",
        )
    if not target.parent.is_dir():
        raise OutputError(f"there is no folder {target.parent}", hint="--output TARGET elsewhere")
    # names have at most 255 bytes on most file systems
    start = f".{os.fsdecode(os.fsencode(target.name)[:LONGEST_START])}."
    temporary = target.with_name(f"{start}{os.getpid()}.tmp")
    try:
        clear_left_behind(target.parent, start, ".tmp")
        clear_name(temporary)  # a link under this name would be followed
        yield temporary
        _replace(temporary, target, target.with_name(f"{start}{os.getpid()}.old"))
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"{target} cannot be written ({reason})", hint="--output TARGET"
        ) from None
    finally:
        clear_name(temporary)


def _replace(temporary: Path, target: Path, old: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        # a folder cannot be replaced in one step; the old one is kept until the new one is there
        os.replace(target, old)
        os.replace(temporary, target)
        clear_name(old)
    else:
        os.replace(temporary, target)
