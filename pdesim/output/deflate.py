"""A chunk as HDF5's shuffle and gzip filters would leave it, in a fraction of their time.

After the shuffle, bytes of one significance lie together, as planes: exponents deflate well, low
bits of the mantissa are noise. A zlib stream (RFC 1950) may hold deflated and stored blocks side by
side (RFC 1951, sections 3.2.3 and 3.2.4), so planes that deflating would hardly make smaller are
stored as they are, and any reader opens the chunk without knowing of it.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator

import numpy as np

try:  # the same format as zlib's, ten times faster
    from isal import isal_zlib as engine
except ImportError:
    engine = zlib

LEVEL = 1
#: RFC 1950, section 2.2: deflate with a window of 32 KiB, by the fastest algorithm, no dictionary
HEADER = b"\x78\x01"
#: RFC 1951, section 3.2.4: the last block, stored, of no bytes
END = b"\x01\x00\x00\xff\xff"
#: the length of a stored block is a number of 16 bits
LARGEST_STORED = 65535
#: what storing may add to a chunk, as a fraction of what it takes when all planes are deflated
TOLERANCE = 0.05
#: of a plane, to estimate what deflating would leave of it: so many pieces of so many bytes
PIECES, PIECE = 8, 1024
#: frames between two estimates, after the first frames
ESTIMATES_EVERY = 8
#: numbers taken apart at once: few calls, and little memory beside the planes
BLOCK = 2**17


class Deflater:
    """Makes chunks of one field's frames, whose planes are much alike from one to the next.

    What is worth deflating is estimated at the frames 0, 1, 3, 7, and every eighth from there: an
    estimate takes a fifth of a chunk's time, and an old one can only make a chunk larger or slower.
    """

    def __init__(self) -> None:
        self._worth: np.ndarray | None = None
        self._pause, self._left = 0, 0

    def __call__(self, values: np.ndarray) -> bytes:
        planes, compressor = shuffled(values), _compressor()
        if self._worth is None or not self._left:
            self._worth = worth_deflating(planes, compressor)
            self._left = self._pause = min(2 * self._pause or 1, ESTIMATES_EVERY)
        self._left -= 1
        return _stream(planes, self._worth, compressor)


def deflate(values: np.ndarray) -> bytes:
    """A zlib stream of the shuffled bytes of an array."""
    return Deflater()(values)


def _compressor():
    return engine.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


def _stream(planes: np.ndarray, worth: np.ndarray, compressor) -> bytes:
    parts, checksum = [HEADER], 1
    for plane, compressed in zip(planes, worth, strict=True):
        checksum = engine.adler32(plane, checksum)
        parts += _deflated(plane, compressor) if compressed else _stored(plane)
    # planes that are stored were not copied until here
    return b"".join([*parts, END, struct.pack(">I", checksum)])


def shuffled(values: np.ndarray) -> np.ndarray:
    """The bytes of an array, shape ``(itemsize, size)``: row i has byte i of every number."""
    size = values.itemsize
    flat = np.ascontiguousarray(values).reshape(-1)
    if size not in (2, 4, 8):
        return np.ascontiguousarray(flat.view(np.uint8).reshape(-1, size).T)
    words, planes = flat.view(f"u{size}"), np.empty((size, flat.size), np.uint8)
    ordered = planes if sys.byteorder == "little" else planes[::-1]
    for start in range(0, flat.size, BLOCK):
        block = slice(start, start + BLOCK)
        _split(words[block], ordered[:, block])
    return planes


def _split(words: np.ndarray, planes: np.ndarray) -> None:
    """Halves of halves: casts and shifts of whole arrays are twice as fast as a transposition."""
    half = len(planes) // 2
    if half == 1:
        planes[0], planes[1] = words, words >> 8
        return
    _split(words.astype(f"u{half}"), planes[:half])
    _split((words >> (8 * half)).astype(f"u{half}"), planes[half:])


def worth_deflating(planes: np.ndarray, compressor) -> np.ndarray:
    """True for planes to deflate: storing all others makes the whole little larger."""
    count = planes.shape[1]
    sizes = [min(_estimate(plane, compressor), count) for plane in planes]
    saved = count - np.array(sizes)
    order = np.argsort(saved, kind="stable")
    worth = np.empty(len(planes), bool)
    worth[order] = np.cumsum(saved[order]) > TOLERANCE * sum(sizes)
    return worth


def _estimate(plane: np.ndarray, compressor) -> float:
    """The bytes that deflating would leave of a plane, from pieces all over it."""
    sample = plane
    if plane.size > PIECES * PIECE:
        apart = plane.size // PIECES
        sample = plane[: PIECES * apart].reshape(PIECES, apart)[:, :PIECE].tobytes()
    size = sum(len(part) for part in _deflated(sample, compressor))
    return size * (plane.size / max(len(sample), 1))


def _deflated(data, compressor) -> tuple[bytes, bytes]:
    # a full flush ends at a whole byte, and what follows does not refer to what came before:
    # the compressor knows nothing of stored planes in between (RFC 1951, section 3.2.4)
    return compressor.compress(data), compressor.flush(zlib.Z_FULL_FLUSH)


def _stored(plane: np.ndarray) -> Iterator[bytes | np.ndarray]:
    """Stored blocks: no last one, their length, its complement, their bytes."""
    for start in range(0, plane.size, LARGEST_STORED):
        block = plane[start : start + LARGEST_STORED]
        yield struct.pack("<BHH", 0, block.size, block.size ^ 0xFFFF)
        yield block
