"""Chunks made beside HDF5: streams that every reader knows, hardly larger than deflating all."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdesim.output import deflate as module
from pdesim.output.deflate import BLOCK, Deflater, deflate, shuffled
from pdesim.output.filters import round_mantissa

DTYPES = ("f2", "f4", "f8", "u1", "i4", "c16")


def noise(shape, dtype, random):
    return np.frombuffer(random.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype)


def smooth(shape, dtype, random):
    place = np.linspace(random.uniform(), 7, int(np.prod(shape)))
    return (100 * np.sin(place) + 100).astype(dtype)


def spiky(shape, dtype, random):
    return (100 * (random.random(shape) < 0.01)).astype(dtype)


def rows(shape, dtype, random):
    """Noise that repeats: a histogram of its bytes would not tell."""
    return np.broadcast_to(noise(shape[-1:], dtype, random), shape)


KINDS = {
    "noise": noise,
    "smooth": smooth,
    "spiky": spiky,
    "rows": rows,
    "rounded": lambda s, d, r: round_mantissa(smooth(s, "f4", r), 6).astype(d),
    "constant": lambda s, d, r: np.full(s, r.integers(100), d),
    "zero": lambda s, d, r: np.zeros(s, d),
}


def made(kind, shape, dtype, seed=0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.ascontiguousarray(KINDS[kind](shape, dtype, random)).reshape(shape)


def octets(values: np.ndarray) -> bytes:
    """What HDF5's shuffle leaves, by a transposition."""
    return values.reshape(-1, 1).view(np.uint8).T.tobytes()


@pytest.fixture(params=["isal", "zlib"])
def engine(request, monkeypatch):
    """The stream's format is our own code: it must not depend on who deflates."""
    found = zlib if request.param == "zlib" else pytest.importorskip("isal.isal_zlib")
    monkeypatch.setattr(module, "engine", found)
    return found


SHAPES = st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple)


@given(st.sampled_from(sorted(KINDS)), SHAPES, st.sampled_from(DTYPES), st.integers(0, 99))
def test_zlib_gives_the_shuffled_bytes_back(kind, shape, dtype, seed):
    values = made(kind, shape, dtype, seed)
    stream = deflate(values)
    assert zlib.decompress(stream) == octets(values)
    assert stream[-4:] == zlib.adler32(octets(values)).to_bytes(4, "big")
    # five bytes for each stored block or flush, the header, the last block and the checksum
    assert len(stream) <= values.nbytes + 2 * 5 * values.itemsize + 2 + 5 + 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("size", [65535, 65536, 3 * BLOCK + 1])
def test_planes_of_several_blocks(engine, kind, dtype, size):
    values = made(kind, (size,), dtype)
    stream = deflate(values)
    assert zlib.decompress(stream) == octets(values)
    blocks = -(-size // module.LARGEST_STORED)
    assert len(stream) <= values.nbytes + 2 * 5 * blocks * values.itemsize + 2 + 5 + 4


@pytest.mark.parametrize("shape", [(0,), (), (1, 1), (3, 0)])
def test_hardly_any_numbers(engine, shape):
    values = np.ones(shape, "f4")
    assert zlib.decompress(deflate(values)) == octets(values)


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=20), st.sampled_from(DTYPES))
def test_frames_may_change_in_kind(kinds, dtype):
    """What was worth deflating before may be anything now; the numbers are the same."""
    chunks = Deflater()
    for number, kind in enumerate(kinds):
        values = made(kind, (30, 40), dtype, number)
        assert zlib.decompress(chunks(values)) == octets(values)


@given(st.sampled_from(DTYPES), st.integers(1, 300))
def test_shuffling_is_a_transposition(dtype, size):
    values = made("noise", (size,), dtype)
    assert shuffled(values).tobytes() == octets(values)


def test_what_is_looked_at_again_is_noticed():
    """Noise, then zeros: at the next estimate they are deflated, within eight frames at most."""
    chunks, sizes = Deflater(), []
    for number in range(40):
        kind = "noise" if number < 20 else "zero"
        sizes.append(len(chunks(made(kind, (64, 64), "f4", number))))
    assert min(sizes[:20]) >= 4 * 64 * 64
    assert max(sizes[20 + module.ESTIMATES_EVERY :]) < 1000


def waves(dtype):
    x, y = np.meshgrid(*[np.linspace(0, 6, 256)] * 2)
    return (np.sin(x + 0.3 * y**2) * np.exp(-((x - 3) ** 2)) + 1).astype(dtype)


FIELDS = {
    "waves": waves,
    "rounded": lambda dtype: round_mantissa(waves(dtype), 7),
    "still": lambda dtype: np.where(waves(dtype) > 1.2, waves(dtype), 1).astype(dtype),
    "rows": lambda dtype: made("rows", (256, 256), dtype),
    "noise": lambda dtype: made("noise", (256, 256), dtype),
}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("field", FIELDS)
def test_storing_noise_costs_little_room(engine, field, dtype):
    values = FIELDS[field](dtype)
    # twice the tolerance: samples tell less of repetitions than whole planes
    bound = (1 + 2 * module.TOLERANCE) * len(engine.compress(octets(values), module.LEVEL))
    assert len(deflate(values)) <= bound + 100


def test_noise_is_not_deflated():
    """The low half of these numbers is noise, the high half is nothing: so is what they take."""
    values = made("noise", (256, 256), "u2").astype("u4")
    stream = deflate(values)
    assert len(stream) < 1.01 * values.nbytes / 2
    assert octets(values)[:60000] in stream


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("kind", ["smooth", "rounded", "noise", "zero"])
@pytest.mark.parametrize("shape", [(3,), (12, 8), (300, 301), (7, 8, 9)])
def test_hdf5_reads_what_went_in(tmp_path, kind, dtype, shape):
    """Chunks made beside HDF5 pass its own filters."""
    values = made(kind, shape, dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        options = {"compression": "gzip", "shuffle": True, "chunks": shape}
        data = file.create_dataset("u", shape=shape, dtype=dtype, **options)
        data.id.write_direct_chunk((0,) * len(shape), deflate(values))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["u"][...].tobytes() == values.tobytes()
