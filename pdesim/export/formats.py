"""The formats by name, and one way into all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdesim.errors import ConfigError, OutputError, nearest
from pdesim.export.netcdf import save_netcdf
from pdesim.export.npz import save_npz
from pdesim.export.pdebench import pdebench_suffix, save_pdebench
from pdesim.export.source import Source, read_source
from pdesim.export.target import appearing
from pdesim.export.vti import save_vti
from pdesim.export.well import save_well
from pdesim.export.xdmf import save_xdmf
from pdesim.files import is_run_file
from pdesim.output.metadata import find_runs


@dataclass(frozen=True)
class Format:
    """``save`` writes runs to a path that does not exist yet, a file or a folder."""

    about: str
    save: Callable[[Sequence[Source], Path], None]
    #: what follows the stem of the snapshot file's name
    suffix: str | Callable[[Sequence[Source]], str]
    #: whether several runs fit into one target
    several: bool = False


FORMATS = {
    "well": Format("The Well's HDF5", save_well, "_well.hdf5", several=True),
    "pdebench": Format("PDEBench's HDF5", save_pdebench, pdebench_suffix, several=True),
    "netcdf": Format("NetCDF-4", save_netcdf, ".nc"),
    "vti": Format("VTK image data, a file per frame and a .pvd", save_vti, "_vti"),
    "npz": Format("NumPy's .npz", save_npz, ".npz"),
    "xdmf": Format("XDMF beside the HDF5 file, for ParaView", save_xdmf, ".xdmf"),
}


def export(
    path: str | Path, to: str, target: str | Path | None = None, *, overwrite: bool = False
) -> Path:
    """Write a run, or all runs of a sweep, in another tool's layout.

    Args:
        path: a run's folder, a snapshot file, or a folder whose sub-folders are runs.
        to: a name of :data:`FORMATS`.
        target: where to; None: beside the data, ``snapshots.nc`` for ``snapshots.h5``.
        overwrite: replace what is there.

    Returns:
        The file or folder that was written. It appears whole or not at all.

    Raises:
        ConfigError: for an unknown format.
        OutputError: if there is nothing to read, several runs do not fit into one file, or the
            target exists or cannot be written.
        MissingExtraError: if the format needs a package that is not installed.
    """
    if to not in FORMATS:
        raise ConfigError(f"unknown format {to!r}", nearest(to, FORMATS), "--to FORMAT")
    form = FORMATS[to]
    runs = find_runs(path)
    if len(runs) > 1 and not form.several:
        several = " and ".join(name for name, one in FORMATS.items() if one.several)
        raise OutputError(
            f"{path} holds {len(runs)} runs, and a file of {to} holds one",
            f"a single run, such as {runs[0].parent}; {several} take several",
        )
    sources = [read_source(run) for run in runs]
    place = _default(path, sources, form) if target is None else Path(os.path.expanduser(target))
    if any(place.resolve() == run.resolve() for run in runs):
        raise OutputError(f"{place} is the data itself", hint="another --output TARGET")
    if place.exists() and not (place.is_file() or place.is_dir()):
        raise OutputError(f"{place} is no regular file", "a new name", "--output TARGET")
    if place.is_file() and is_run_file(place):
        raise OutputError(f"{place} is a file of a run", hint="another --output TARGET")
    if place.is_dir() and not _is_ours(place):
        raise OutputError(f"{place} is a folder", "a name for the new file", "--output TARGET")
    # a description of the data beside it, which every run writes itself, is always free to renew
    derived = to == "xdmf" and target is None
    with appearing(place, overwrite or derived) as temporary:
        form.save(sources, temporary)
    return place


def _default(path: str | Path, sources: Sequence[Source], form: Format) -> Path:
    suffix = form.suffix if isinstance(form.suffix, str) else form.suffix(sources)
    first = sources[0].path
    folder = first.parent if len(sources) == 1 else Path(os.path.expanduser(path))
    return folder / f"{first.stem}{suffix}"


def _is_ours(folder: Path) -> bool:
    """Whether a folder is an earlier export, which may be replaced as a whole."""
    return all(child.suffix in (".vti", ".pvd") for child in folder.iterdir())
