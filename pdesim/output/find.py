"""Finding the snapshot files of a run or of a sweep."""

from __future__ import annotations

from pathlib import Path

from pdesim.errors import OutputError
from pdesim.files import as_path, check_own_file
from pdesim.output.metadata import natural_order
from pdesim.output.run_folder import SNAPSHOTS, RunFolder


def find_snapshots(path: str | Path) -> Path:
    """Return the path of the snapshot file, given this path or the folder of the run.

    Raises:
        OutputError: if the file does not exist, or is a link to a file outside its folder.
    """
    path = as_path(path)
    inside = RunFolder(path).snapshots
    if inside.is_file():
        return check_own_file(inside)
    if path.is_file():
        return check_own_file(path)
    if path.is_dir():
        raise OutputError(
            f"{path} contains no {SNAPSHOTS}", "the folder of a run, or a snapshot file"
        )
    raise OutputError(f"{path} does not exist", "the folder of a run, or a snapshot file")


def find_runs(path: str | Path) -> tuple[Path, ...]:
    """Return the snapshot files of one run, or of all runs in a sweep's folder.

    Args:
        path: the folder of a run, a snapshot file, or a folder whose sub-folders are runs. The runs
            are sorted by the numbers in their names, 2 before 10.

    Raises:
        OutputError: if there is no run.
    """
    path = as_path(path)
    if path.is_dir() and not RunFolder(path).snapshots.is_file():
        inside = [RunFolder(child).snapshots for child in path.iterdir()]
        files = [file for file in inside if file.is_file()]
        if files:
            return tuple(sorted(files, key=lambda file: natural_order(file.parent.name)))
    return (find_snapshots(path),)
