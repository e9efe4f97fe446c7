"""Picture files that are made to take long, or much memory, or to have odd values."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import make_plan
from PIL import Image

from pdesim.errors import OutputError
from pdesim.files import read_picture
from pdesim.files.inputs import MOST_PIXELS, MOST_PIXELS_OF, MOST_SCANS

#: in the child: seconds and the memory above that at the start for a file
CHILD = """
import json, resource, sys, time
import numpy, PIL.Image
from pdesim.files import read_picture, resize
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, began = peak(), time.process_time()
values = resize(read_picture(sys.argv[1]), (64, 64))
grown = (peak() - start) * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([time.process_time() - began, grown, values.min(), values.max()]))
"""


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def many_scans(path: Path, side: int, scans: int) -> Path:
    """A grey progressive JPEG; all of its scans but the first only say that nothing changes."""
    blocks = (side // 8) ** 2
    # the one code of the first scan is 0: no difference; 00 and 14 bits skip up to 32767 blocks
    first = bytes(-(-blocks // 8))
    bits = ("00" + "0" * 14) * -(-blocks // 2**14)
    later = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tables = segment(0xDB, bytes([0]) + bytes([1] * 64))
    tables += segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
    tables += segment(0xC4, bytes([0x00, 1] + [0] * 15 + [0]))
    tables += segment(0xC4, bytes([0x10, 0, 2] + [0] * 14 + [0xE0, 0x00]))
    head = [segment(0xDA, bytes([1, 1, 0, *band, 0])) for band in ((0, 0), (1, 63))]
    rest = (head[1] + later) * (scans - 1)
    path.write_bytes(b"\xff\xd8" + tables + head[0] + first + rest + b"\xff\xd9")
    return path


def vast_tile(path: Path, side: int, tile: int) -> Path:
    """A black TIFF whose only tile is much larger than the picture."""
    data = zlib.compress(bytes(tile * tile), 9)
    data += bytes(len(data) % 2)
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1,
            322: tile, 323: tile, 324: 8, 325: len(data)}  # fmt: skip
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = struct.pack("<I", 8 + len(data))
    path.write_bytes(
        b"II*\0" + start + data + struct.pack("<H", len(tags)) + table + bytes(4)
    )  # fmt: skip
    return path


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path):
    assert read_picture(many_scans(tmp_path / "few.jpg", 64, MOST_SCANS)).shape == (64, 64)
    with pytest.raises(OutputError, match="more than 100 scans"):
        read_picture(many_scans(tmp_path / "many.jpg", 8192, 4000))


def test_an_honest_jpeg_may_be_followed_by_anything(tmp_path):
    """Some cameras add a film behind the end of the picture."""
    path = tmp_path / "film.jpg"
    Image.fromarray(np.full((32, 32), 255, np.uint8)).save(path, progressive=True)
    with path.open("ab") as file:
        file.write(segment(0xDA, b"") * 1000)
    assert read_picture(path).min() == 1


def test_a_tiff_of_vast_tiles_is_refused(tmp_path):
    assert read_picture(vast_tile(tmp_path / "small.tif", 16, 64)).max() == 0
    with pytest.raises(OutputError, match="16384 x 16384"):
        read_picture(vast_tile(tmp_path / "vast.tif", 16, 16384))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.array([[-5, 7]], np.int32), "-2.3"),
        (np.array([[0.5, np.nan]], np.float32), "nan"),
        (np.array([[0.5, 1.5]], np.float32), "0.5 to 1.5"),
        (np.array([[-np.inf, 0.5]], np.float32), "-inf"),
    ],
)
def test_values_outside_0_to_1_are_refused(tmp_path, values, told):
    Image.fromarray(values).save(tmp_path / "odd.tif")
    with pytest.raises(OutputError, match=told):
        read_picture(tmp_path / "odd.tif")


def test_whole_numbers_are_divided_by_the_largest_of_their_type(tmp_path):
    rng = np.random.default_rng(0)
    for kind, largest in (("uint8", 255), ("uint16", 65535), ("int32", 2**31 - 1)):
        values = rng.integers(0, largest, (700, 3), endpoint=True).astype(kind)
        Image.fromarray(values).save(tmp_path / "picture.tif")
        found = read_picture(tmp_path / "picture.tif")
        expected = (values[::-1] / largest).astype(np.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("name", ["int32.tif", "colours.png", "colours.webp"])
def test_the_largest_picture_takes_seconds_and_a_gigabyte(tmp_path, name):
    path, side = tmp_path / name, 8192
    if name == "int32.tif":
        Image.fromarray(np.zeros((side, side), np.int32)).save(path, compression="tiff_deflate")
    elif name == "colours.png":
        Image.fromarray(np.zeros((side, side, 4), np.uint8)).save(path, compress_level=1)
    else:
        width = MOST_PIXELS_OF["WEBP"] // side
        Image.fromarray(np.zeros((side, width, 3), np.uint8)).save(path, lossless=True, method=0)
    assert side * side == MOST_PIXELS
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True
    )
    seconds, grown, lowest, highest = json.loads(done.stdout)
    # about 2 s of processor time, more while other processes use the caches
    assert seconds < 10 and grown < 2**30 and lowest == highest == 0


@pytest.mark.parametrize("size", [(1, 2**17), (2**17, 1)])
def test_pictures_with_one_very_long_side(size, tmp_path):
    Image.new("L", size).save(tmp_path / "long.png")
    with pytest.raises(OutputError, match="sides of at most 65,536"):
        read_picture(tmp_path / "long.png")


def test_a_tall_picture_is_read_in_few_bands(tmp_path):
    """8 x 65,536 pixels in bands of two million."""
    values = np.arange(8 * 2**16, dtype=np.uint8).reshape(2**16, 8)
    Image.fromarray(values).save(tmp_path / "tall.png")
    assert np.array_equal(read_picture(tmp_path / "tall.png"), values[::-1].astype("f4") / 255)


@pytest.mark.parametrize(
    ("grid", "note"), [("[32,32]", True), ("[32,16]", False), ("[33,16]", False), ("[16,32]", True)]
)
def test_an_image_is_not_stretched_without_a_note(tmp_path, monkeypatch, grid, note):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((100, 200), np.uint8)).save("wide.png")
    extent = "domain.extent=[4,2]" if grid.startswith("[33") else "domain.extent=1"
    plan = make_plan("equation=heat", f"grid={grid}", extent, "initial.u='image(\"wide.png\")'")
    found = [text for text in plan.notes if "is stretched to the domain" in text]
    assert len(found) == note and all("domain.extent=[1,0.5]" in text for text in found)
