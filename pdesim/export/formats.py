"""The export formats by name, and the function that exports to any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdesim.errors import ConfigError, OutputError, clip, nearest
from pdesim.export.netcdf import save_netcdf
from pdesim.export.npz import save_npz
from pdesim.export.pdebench import pdebench_suffix, save_pdebench
from pdesim.export.source import Source, read_source
from pdesim.export.target import atomic_target
from pdesim.export.vti import save_vti
from pdesim.export.well import save_well
from pdesim.export.xdmf import save_xdmf
from pdesim.files import as_path, is_run_file
from pdesim.output.find import find_runs


@dataclass(frozen=True)
class Format:
    """An export format. ``save`` writes runs to a new file or folder."""

    about: str
    save: Callable[[Sequence[Source], Path], None]
    #: the end of the default file name, which starts with the stem of the snapshot file's name
    suffix: str | Callable[[Sequence[Source]], str]
    #: whether several runs can be written to one target
    several: bool = False
    #: the coordinates that the layout can describe: ``any``, those of ``equal`` cells, or
    #: ``cartesian`` ones of equal cells
    coordinates: str = "any"


FORMATS = {
    "well": Format(
        "HDF5 in the layout of The Well",
        save_well,
        "_well.hdf5",
        several=True,
        coordinates="cartesian",
    ),
    "pdebench": Format(
        "HDF5 in the layout of PDEBench",
        save_pdebench,
        pdebench_suffix,
        several=True,
        coordinates="cartesian",
    ),
    "netcdf": Format("NetCDF-4", save_netcdf, ".nc"),
    "vti": Format(
        "VTK image data, a file per frame and a .pvd", save_vti, "_vti", coordinates="equal"
    ),
    "npz": Format("NumPy .npz", save_npz, ".npz"),
    "xdmf": Format("XDMF for ParaView, refers to the HDF5 file", save_xdmf, ".xdmf"),
}


def export(
    path: str | Path, to: str, target: str | Path | None = None, *, overwrite: bool = False
) -> Path:
    """Write a run, or all runs of a sweep, in the layout of another tool.

    Args:
        path: a run's folder, a snapshot file, or a folder whose subfolders are runs.
        to: the format, a name in :data:`FORMATS`.
        target: the file or folder to write; None: a name in the folder of the data, such as
            ``snapshots.nc`` for ``snapshots.h5``.
        overwrite: whether to replace an existing target.

    Returns:
        The file or folder that was written. It appears only when it is complete.

    Raises:
        ConfigError: for an unknown format.
        OutputError: if the data cannot be read, if the format cannot describe the coordinates, if
            several runs cannot be written to one target, or if the target exists or cannot be
            written.
        MissingExtraError: if the format needs a package that is not installed.
    """
    if not isinstance(to, str) or to not in FORMATS:
        given = clip(repr(to), 100)
        raise ConfigError(f"unknown format {given}", nearest(str(to), FORMATS), "--to FORMAT")
    layout = FORMATS[to]
    runs = find_runs(path)
    if len(runs) > 1 and not layout.several:
        several = " and ".join(name for name, other in FORMATS.items() if other.several)
        raise OutputError(
            f"{path} contains {len(runs)} runs, but {to} supports only one per file",
            f"a single run, such as {runs[0].parent}; {several} support several",
        )
    sources = [read_source(run) for run in runs]
    for source in sources:
        _check_coordinates(source, to, layout)
    destination = _default_destination(path, sources, layout) if target is None else as_path(target)
    if any(destination.resolve() == run.resolve() for run in runs):
        raise OutputError(f"{destination} is the input file", hint="another --output TARGET")
    if destination.exists() and not (destination.is_file() or destination.is_dir()):
        raise OutputError(f"{destination} is not a regular file", "a new name", "--output TARGET")
    if destination.is_file() and is_run_file(destination):
        raise OutputError(f"{destination} is a file of a run", hint="another --output TARGET")
    if destination.is_dir() and not _is_earlier_export(destination):
        raise OutputError(
            f"{destination} is a folder", "a name for the new file", "--output TARGET"
        )
    # every run writes its own .xdmf file, which may always be replaced
    derived = to == "xdmf" and target is None
    with atomic_target(destination, overwrite or derived) as temporary:
        layout.save(sources, temporary)
    return destination


def _check_coordinates(source: Source, to: str, layout: Format) -> None:
    grid = source.computed_grid
    equal = all(axis.is_uniform for axis in source.axes.values())
    cartesian = equal and "r" not in source.axes and (grid is None or grid.metric is None)
    if layout.coordinates == "any" or (cartesian or (equal and layout.coordinates == "equal")):
        return
    able = ", ".join(name for name, other in FORMATS.items() if other.coordinates == "any")
    kind = "curvilinear coordinates" if equal else "cells of unequal sizes"
    raise OutputError(
        f"{source.path} has {kind}, which the format {to} cannot describe",
        f"one of the formats {able}",
    )


def _default_destination(path: str | Path, sources: Sequence[Source], layout: Format) -> Path:
    suffix = layout.suffix if isinstance(layout.suffix, str) else layout.suffix(sources)
    first = sources[0].path
    folder = first.parent if len(sources) == 1 else as_path(path)
    return folder / f"{first.stem}{suffix}"


def _is_earlier_export(folder: Path) -> bool:
    """Whether a folder contains only the files of an earlier export, so that it may be replaced."""
    return all(child.suffix in (".vti", ".pvd") for child in folder.iterdir())
