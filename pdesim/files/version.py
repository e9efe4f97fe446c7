"""The version of the layout that is stored in every file of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pdesim.errors import OutputError


def check_version(path: Path | str, found: Any, newest: int) -> None:
    """Check the ``format_version`` of a file.

    Args:
        path: the file, for errors.
        found: the version in the file.
        newest: the version that this pdesim writes; earlier ones can be read.

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
            "the file needs a newer version of pdesim",
        )
