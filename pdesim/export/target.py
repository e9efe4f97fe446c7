"""Files and folders that appear under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pdesim.errors import OutputError
from pdesim.files import clear_left_behind, clear_name

#: the temporary name starts with at most this many bytes of the target's name
MAX_PREFIX_BYTES = 200


@contextlib.contextmanager
def atomic_target(target: Path, overwrite: bool) -> Iterator[Path]:
    """Provide a temporary path for a file or folder, and rename it to ``target`` on success.

    The temporary path is in the folder of ``target``, so that relative paths inside the file remain
    valid and the renaming is atomic. After an error or Ctrl-C, whatever was written is removed.

    Raises:
        OutputError: if ``target`` exists and ``overwrite`` is false, if its folder does not exist,
            or if it cannot be written.
    """
    if target.exists() and not overwrite:
        raise OutputError(
            f"{target} already exists; nothing was overwritten",
            hint="--overwrite, or another name (--output TARGET)",
        )
    if not target.parent.is_dir():
        raise OutputError(f"no such folder: {target.parent}", hint="another --output TARGET")
    # names have at most 255 bytes on most file systems
    start = f".{os.fsdecode(os.fsencode(target.name)[:MAX_PREFIX_BYTES])}."
    temporary = target.with_name(f"{start}{os.getpid()}.tmp")
    try:
        clear_left_behind(target.parent, start, ".tmp")
        clear_name(temporary)  # if the name is an existing link, its target would be overwritten
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
        # a folder cannot be replaced atomically; the old one is kept until the new one is in place
        os.replace(target, old)
        os.replace(temporary, target)
        clear_name(old)
    else:
        os.replace(temporary, target)
