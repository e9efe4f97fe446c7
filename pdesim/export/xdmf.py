"""Export to XDMF: ``snapshots.xdmf`` tells ParaView how to read the frames in ``snapshots.h5``.

Source: the XDMF model and format, www.xdmf.org/index.php/XDMF_Model_and_Format.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from pdesim.export.source import Source, read_source
from pdesim.export.target import atomic_target

#: the axes in the order of array axes, both in XDMF and in the HDF5 file
_AXES = ("z", "y", "x")


def write_xdmf(path: str | Path) -> Path:
    """Write or replace the ``.xdmf`` file next to a snapshot file, without reading its frames.

    Returns:
        The ``.xdmf`` file.

    Raises:
        OutputError: if the snapshot file has no frames, or if the ``.xdmf`` cannot be written.
    """
    source = read_source(Path(path))
    target = source.path.with_suffix(".xdmf")
    with atomic_target(target, overwrite=True) as temporary:
        save_xdmf([source], temporary)
    return target


def save_xdmf(sources: Sequence[Source], path: Path) -> None:
    """Write a temporal collection of rectilinear meshes with cell data.

    The mesh is also three-dimensional for 1-D and 2-D data: VTK would place a 2-D mesh in the y-z
    plane, and its reader does not support cell data on a mesh without thickness. Along a missing
    axis, the mesh is one cell thick and centred at 0. The path of the HDF5 file is relative to the
    folder of ``path``.
    """
    (source,) = sources
    root = Xml.Element("Xdmf", Version="2.0")
    series = _add(_add(root, "Domain"), "Grid", Name=source.name, GridType="Collection")
    series.set("CollectionType", "Temporal")
    file = Path(os.path.relpath(source.path, path.parent)).as_posix()
    # the HDF5 library converts half precision to single when reading
    items = {name: (f"{file}:/{name}", source.dtypes[name].itemsize) for name in source.fields}
    for frame, time in enumerate(source.times):
        grid = _add(series, "Grid", Name=f"frame {frame}", GridType="Uniform")
        _add(grid, "Time", Value=repr(float(time)))
        _add_mesh(grid, source)
        for name, (place, precision) in items.items():
            _add_field(grid, source, name, frame, place, precision)
    Xml.indent(root, " ")
    Xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _add(parent: Xml.Element, tag: str, text: str = "", **attributes: str) -> Xml.Element:
    child = Xml.SubElement(parent, tag, attributes)
    child.text = text or None
    return child


def _words(values: Sequence[float | int]) -> str:
    return " ".join(map(repr, values))


def _add_mesh(grid: Xml.Element, source: Source) -> None:
    thickness = min(axis.spacing for axis in source.axes.values())
    missing = [None] * (len(_AXES) - len(source.axes))
    axes = [*missing, *source.axes.values()]
    if not all(axis.is_uniform for axis in source.axes.values()):
        _add_unequal_mesh(grid, [axis.faces if axis else _layer(thickness) for axis in axes])
        return
    steps = [axis.spacing if axis else thickness for axis in axes]
    lower = [axis.lower if axis else -thickness / 2 for axis in axes]
    nodes = [count + 1 for count in _cells(source)]
    _add(grid, "Topology", TopologyType="3DCoRectMesh", Dimensions=_words(nodes))
    geometry = _add(grid, "Geometry", GeometryType="ORIGIN_DXDYDZ")
    for values in (lower, steps):
        numbers = {"Dimensions": "3", "NumberType": "Float", "Precision": "8", "Format": "XML"}
        _add(geometry, "DataItem", _words(values), **numbers)


def _layer(thickness: float) -> np.ndarray:
    return np.array([-thickness / 2, thickness / 2])


def _add_unequal_mesh(grid: Xml.Element, faces: Sequence[np.ndarray]) -> None:
    """Add a mesh of unequal cells; the faces are given in the order of the array axes."""
    nodes = [len(places) for places in faces]
    _add(grid, "Topology", TopologyType="3DRectMesh", Dimensions=_words(nodes))
    geometry = _add(grid, "Geometry", GeometryType="VXVYVZ")
    for places in reversed(faces):  # x first
        numbers = {"NumberType": "Float", "Precision": "8", "Format": "XML"}
        numbers["Dimensions"] = str(len(places))
        _add(geometry, "DataItem", _words(places.tolist()), **numbers)


def _cells(source: Source) -> tuple[int, ...]:
    return (1,) * (len(_AXES) - len(source.axes)) + source.shape


def _add_field(
    grid: Xml.Element, source: Source, name: str, frame: int, place: str, precision: int
) -> None:
    attribute = _add(grid, "Attribute", Name=name, AttributeType="Scalar", Center="Cell")
    slab = _add(attribute, "DataItem", ItemType="HyperSlab", Dimensions=_words(_cells(source)))
    slab.set("Type", "HyperSlab")
    rank = 1 + len(source.shape)
    start, stride, count = [frame] + [0] * (rank - 1), [1] * rank, [1, *source.shape]
    rows = {"Dimensions": f"3 {rank}", "NumberType": "Int", "Format": "XML"}
    _add(slab, "DataItem", _words(start + stride + count), **rows)
    shape = _words([source.lengths[name], *source.shape])
    numbers = {"Dimensions": shape, "NumberType": "Float", "Precision": str(precision)}
    _add(slab, "DataItem", place, Format="HDF", **numbers)
