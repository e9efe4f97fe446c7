"""HDF5 is called by one thread at a time."""

import threading
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py._objects import phil

import pdesim
from pdesim.files import read_chunk, write_chunk

VALUES = np.arange(8.0)


@pytest.fixture
def data(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("u", (8,), "f8", chunks=(8,), compression="gzip")
        write_chunk(made, (0,), zlib.compress(VALUES.tobytes()))
        yield made


def test_chunks_are_what_hdf5_reads(data):
    np.testing.assert_array_equal(data[...], VALUES)
    mask, octets = read_chunk(data, (0,))
    assert mask == 0 and zlib.decompress(octets) == VALUES.tobytes()


def write_zeros(data, start):
    write_chunk(data, start, zlib.compress(bytes(64)))


@pytest.mark.parametrize("call", [read_chunk, write_zeros])
def test_chunks_wait_for_the_lock_of_h5py(data, call):
    """A second thread does not enter HDF5 while this one holds the lock."""
    thread = threading.Thread(target=call, args=(data, (0,)))
    with phil:
        thread.start()
        thread.join(timeout=0.2)
        assert thread.is_alive()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_no_other_module_calls_the_functions_without_a_lock():
    package = Path(pdesim.__file__).parent
    callers = [path.name for path in package.rglob("*.py") if "_direct_chunk(" in path.read_text()]
    assert callers == ["chunks.py"]
