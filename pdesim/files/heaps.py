"""A check of global heaps in HDF5 files. The HDF5 library itself does not perform this check.

Attributes of variable length are stored in global heaps, which have no checksum. If an entry of a
heap is overwritten by zeros, the HDF5 library (1.14.6) enters an infinite loop: an entry with index
0 is free space, and its size is the distance to the next entry. A size of 0 leads to the same entry
again.

Source: HDF5 File Format Specification 3.0, III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

from pathlib import Path

#: start of a global heap: signature, version 1, and three reserved bytes
_START = b"GCOL\x01\x00\x00\x00"
#: number of bytes that are examined at each end of a file; the attributes of a run take a few
#: thousand bytes and are written before the frames
_ENDS = 2**18
#: size of the header of a heap and of an entry, if lengths are stored in 8 bytes
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
    """Return whether lengths are stored in 8 bytes, as in nearly all files."""
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
