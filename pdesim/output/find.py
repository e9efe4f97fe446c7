"""Finding the snapshot files of a run or of a sweep."""

from __future__ import annotations

from pathlib import Path

from pdesim.errors import OutputError
from pdesim.files import as_path, check_own_file
from pdesim.output.metadata import natural_order
from pdesim.output.parts import are_being_written, join_if_possible
from pdesim.output.run_folder import SNAPSHOTS, RunFolder


def find_snapshots(path: str | Path) -> Path:
    """Return the path of the snapshot file, given this path or the folder of the run.

    If several processes have computed the run and it was killed, their files are joined first.

    Raises:
        OutputError: if the file does not exist, or is a link to a file outside its folder; see also
            :func:`pdesim.output.parts.join_if_possible`.
    """
    path = as_path(path)
    join_if_possible(path.parent if path.name == SNAPSHOTS and not path.is_dir() else path)
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
    if path.is_dir() and not RunFolder(path).contains_run:
        inside = [child for child in path.iterdir() if _has_snapshots(RunFolder(child))]
        if inside:
            inside.sort(key=lambda child: natural_order(child.name))
            return tuple(map(find_snapshots, inside))
    return (find_snapshots(path),)


def _has_snapshots(run: RunFolder) -> bool:
    """Return whether a run has a snapshot file, or parts that can be joined into one."""
    return run.snapshots.is_file() or (run.contains_run and not are_being_written(run.path))
