"""Export to VTK image data: a ``.vti`` per frame, and a ``.pvd`` with the times of the frames.

Source: docs.vtk.org, VTK file formats, "XML file formats" and "Appended data section".
The package pyevtk is not used, since it packs arrays number by number and cannot compress.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml
from xml.sax.saxutils import quoteattr

import numpy as np

from pdesim.export.source import Source

_ORDER = "LittleEndian" if sys.byteorder == "little" else "BigEndian"
_TYPES = {np.dtype(np.float32): "Float32", np.dtype(np.float64): "Float64"}
#: bytes of a block before compression; VTK reads entire blocks
_BLOCK = 2**20


def save_vti(sources: Sequence[Source], path: Path) -> None:
    """Write a folder with ``frame_0000.vti``, ... and ``snapshots.pvd``, the file for ParaView.

    Values are cell data. The extent along a missing axis is 0, so 2-D data lie in the x-y plane.
    The time of a frame is stored both in the ``.pvd`` and, as ``TimeValue``, in the ``.vti``.
    Scalars are field data of the ``.vti``.
    """
    (source,) = sources
    path.mkdir()
    digits = max(4, len(str(len(source.times) - 1)))
    collection = Xml.Element("VTKFile", type="Collection", version="1.0", byte_order=_ORDER)
    listed = Xml.SubElement(collection, "Collection")
    for number, frame in source.frames():
        name, time = f"frame_{number:0{digits}}.vti", float(source.times[number])
        numbers = {"TimeValue": time}
        numbers |= {key: float(series[number]) for key, (series, _) in source.scalars.items()}
        (path / name).write_bytes(_image(source, frame, numbers))
        Xml.SubElement(listed, "DataSet", timestep=repr(time), part="0", file=name)
    Xml.indent(collection, " ")
    Xml.ElementTree(collection).write(
        path / f"{source.path.stem}.pvd", encoding="utf-8", xml_declaration=True
    )


def _image(source: Source, frame: Mapping[str, np.ndarray], numbers: Mapping[str, float]) -> bytes:
    """The image of a frame, with its time and its scalars as field data."""
    axes = [*list(source.axes.values())[::-1], None, None][:3]  # the last array axis first
    extent = " ".join(f"0 {len(axis.centres) if axis else 0}" for axis in axes)
    origin = " ".join(repr(axis.lower if axis else 0.0) for axis in axes)
    spacing = " ".join(repr(axis.spacing if axis else 1.0) for axis in axes)
    arrays, data, offset = [], [], 0
    for name, values in frame.items():
        arrays.append(
            f'<DataArray type="{_TYPES[values.dtype]}" Name={quoteattr(name)} '
            f'format="appended" offset="{offset}"/>'
        )
        data.append(_appended(values))
        offset += len(data[-1])
    fields = [
        f'<DataArray type="Float64" Name={quoteattr(name)} NumberOfTuples="1" format="ascii">'
        f"{value!r}</DataArray>"
        for name, value in numbers.items()
    ]
    head = f"""<?xml version="1.0"?>
<VTKFile type="ImageData" version="1.0" byte_order="{_ORDER}" header_type="UInt64" \
compressor="vtkZLibDataCompressor">
<ImageData WholeExtent="{extent}" Origin="{origin}" Spacing="{spacing}">
<FieldData>{"".join(fields)}</FieldData>
<Piece Extent="{extent}"><CellData>
{chr(10).join(arrays)}
</CellData></Piece>
</ImageData>
<AppendedData encoding="raw">
_"""
    return head.encode() + b"".join(data) + b"\n</AppendedData>\n</VTKFile>\n"


def _appended(values: np.ndarray) -> bytes:
    """The values in compressed blocks, after VTK's header.

    The header contains the number of blocks, their size, the size of the last block if it is
    shorter (otherwise 0), and the compressed sizes.
    """
    raw = np.ascontiguousarray(values).tobytes()
    blocks = [zlib.compress(raw[at : at + _BLOCK], 1) for at in range(0, len(raw), _BLOCK)]
    header = [len(blocks), _BLOCK, len(raw) % _BLOCK, *map(len, blocks)]
    return np.array(header, dtype=np.uint64).tobytes() + b"".join(blocks)
