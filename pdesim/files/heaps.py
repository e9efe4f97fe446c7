"""A check of the global heaps of HDF5 files, which is missing in the HDF5 library.

Attributes of variable length are stored in global heaps, which have no checksum. If an entry of a
heap is overwritten by zeros, the library (1.14.6) enters an infinite loop: index 0 denotes free
space whose size includes the entry's header, and a size of 0 leads to the same entry again.

Source: HDF5 File Format Specification 3.0, III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

from pathlib import Path

#: signature, version 1, and three reserved bytes
_START = b"GCOL\x01\x00\x00\x00"
#: bytes that are examined at each end of a file; the attributes of a run take some thousand bytes
#: and are written before any frame
_ENDS = 2**18
#: size of the headers of heaps and entries with lengths of 8 bytes
_HEADER = 16


def check_heaps(path: Path) -> None:
    """Check the entries of global heaps near both ends of a file.

    Raises:
        OSError: if an entry has size 0 or extends beyond its heap.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        part = file.read(_ENDS)
        if not _has_long_lengths(part):
            return
        _walk_all(part)
        if size > _ENDS:
            file.seek(max(_ENDS, size - _ENDS))
            _walk_all(file.read(_ENDS))


def _walk_all(part: bytes) -> None:
    place = part.find(_START)
    while place >= 0:
        _walk(part, place)
        place = part.find(_START, place + 1)


def _has_long_lengths(start: bytes) -> bool:
    """Whether lengths take 8 bytes, as in nearly all files."""
    version = start[8:9]
    return start[14:15] == b"\x08" if version in (b"\x00", b"\x01") else start[10:11] == b"\x08"


def _walk(part: bytes, place: int) -> None:
    end = place + int.from_bytes(part[place + 8 : place + 16], "little")
    here = place + _HEADER
    while here + _HEADER <= min(end, len(part)):
        number = int.from_bytes(part[here : here + 2], "little")
        size = int.from_bytes(part[here + 8 : here + 16], "little")
        step = _HEADER + -(-size // 8) * 8 if number else size
        if step < _HEADER or here + step > end:
            raise OSError("an entry of a global heap is damaged")
        here += step
