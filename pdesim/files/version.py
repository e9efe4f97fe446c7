"""The version of a file's layout, which is stored in the files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pdesim.errors import OutputError


def check_version(path: Path | str, found: Any, newest: int) -> None:
    """Check the ``format_version`` of a file.

    Args:
        path: the file, for errors.
        found: the version in the file.
        newest: the version that this version of pdesim writes; earlier versions can also be read.

    Raises:
        OutputError: if ``found`` is not an integer from 1 to ``newest``.
    """
    try:
        known = 1 <= int(found) <= newest
    except (TypeError, ValueError, OverflowError):
        known = False
    if not known:
        raise OutputError(
            f"{path} has format_version {str(found)[:40]}",
            f"1 to {newest}",
            "a higher format_version needs a newer version of pdesim",
        )
