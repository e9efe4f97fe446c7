"""Small files and short formulas that stand for vast amounts: a message, little time and memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from made_runs import make_run

import pdesim
from pdesim.cli.main import main
from pdesim.errors import ConfigError, OutputError
from pdesim.files import check_aliases, check_interpolations, load_yaml
from pdesim.files.attributes import stored_lengths
from pdesim.files.text import MOST_LEVELS, MOST_NODES
from pdesim.output.filters import filters
from pdesim.render.text import LONGEST, font_of, shorten, width_of

#: nine lines of nine aliases each: 9^9 values
LAUGHS = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)
#: mappings that hold the one before twice
MAPPINGS = "m0: &m0 {a: 1}\n" + "".join(
    f"m{n}: &m{n} {{x: *m{n - 1}, y: *m{n - 1}}}\n" for n in range(1, 20)
)
#: in the child: every bomb in turn; prints seconds, and the peak memory above that at the start
CHILD = """
import json, resource, sys, time
import pdesim, pdesim.cli.main, pdesim.converge.command, pdesim.export, pdesim.render
from pdesim.config.compose import compose_settings
from pdesim.plan import build_plan
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
unit = 1 if sys.platform == "darwin" else 1024
composed = compose_settings(["equation=heat", "grid=16"])
build_plan(composed.settings, "heat")
start, told = peak(), []
for words in json.loads(sys.stdin.read()):
    began = time.process_time()
    code = pdesim.cli.main.main(words)
    told.append([words, code, time.process_time() - began, (peak() - start) * unit])
print(json.dumps(told))
"""


def frames_claimed(folder: Path) -> Path:
    path = make_run(folder)
    with h5py.File(path, "r+") as file:
        del file["time"]
        file.create_dataset("time", (10**9,), "f8", chunks=(1024,), maxshape=(None,))
    return path


def vast_frames(folder: Path) -> Path:
    """Frames of 30000 x 30000 numbers that nobody wrote: 7 GB each, coordinates and all."""
    path = make_run(folder)
    with h5py.File(path, "r+") as file:
        for name in ("u", "a", "x", "y"):
            del file[name]
        for name in ("x", "y"):
            file.create_dataset(name, (30_000,), "f8", chunks=(1000,))
        file.create_dataset("u", (3, 30_000, 30_000), "f8", chunks=(1, 1000, 1000))
    return path


def sparse(folder: Path) -> Path:
    """A dataset of 7 GB beside the coordinates of a 16x16 grid, without time."""
    folder.mkdir()
    with h5py.File(folder / "sparse.h5", "w") as file:
        file["x"] = file["y"] = np.arange(16.0)
        file.create_dataset("u", (30_000, 30_000), "f8", chunks=(1000, 1000))
    return folder / "sparse.h5"


def chunked(folder: Path, chunk: tuple[int, ...], packings: int) -> Path:
    """Zeros of a 6x4 grid in one vast chunk per frame, deflated so many times: some kilobytes."""
    path = make_run(folder)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(chunk)
    data = bytes(8 * int(np.prod(chunk)))
    for _ in range(packings):
        plist.set_deflate(9)
        data = zlib.compress(data, 9)
    with h5py.File(path, "r+") as file:
        del file["u"]
        space = h5py.h5s.create_simple((3, 6, 4), (h5py.h5s.UNLIMITED,) * 3)
        made = h5py.h5d.create(file.id, b"u", h5py.h5t.IEEE_F64LE, space, dcpl=plist)
        for frame in range(3):
            made.write_direct_chunk((frame, 0, 0), data)
    return path


def repeated_text(folder: Path, where: str, count: int = 5000) -> Path:
    """An attribute of many texts, all of which are stored in the one place of a long one."""
    path, long = make_run(folder), b"A" * 480_000
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        file.attrs["long"] = long.decode()
        short = np.array(["the first", *["B"] * (count - 1)], dtype=object)
        file[where].attrs.create("many", short, dtype=h5py.string_dtype())
    octets = path.read_bytes()
    at, place = octets.find(long), octets.find(b"the first")

    def stored_as(start: int, length: int) -> bytes:
        """What refers to a text in a heap: its length, the heap's place, its number there."""
        heap, number = octets.rfind(b"GCOL", 0, start), octets[start - 16 : start - 14]
        return struct.pack("<IQ", length, heap) + number + bytes(2)

    first, stored = octets.find(stored_as(place, 9)), stored_as(at, len(long)) * count
    path.write_bytes(octets[:first] + stored + octets[first + len(stored) :])
    with h5py.File(path) as file, stored_lengths() as lengths:
        assert lengths(file[where].attrs.get_id("many")) == count * len(long)
    return path


def picture(path: Path, side: int) -> Path:
    """A black PNG, row by row: some kilobytes for any size."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )
    return path


def test_bombs_get_a_message_within_seconds_and_a_gigabyte(tmp_path):
    twice = chunked(tmp_path / "twice", (1, 4096, 4096), 2)
    large = chunked(tmp_path / "large", (1, 2048, 2048), 1)
    texts = repeated_text(tmp_path / "texts", "/")
    other_texts = repeated_text(tmp_path / "others", "x")
    claimed, vast = frames_claimed(tmp_path / "claimed"), vast_frames(tmp_path / "vast")
    stored = make_run(tmp_path / "stored")
    with h5py.File(stored, "r+") as file:
        file.attrs["config"] = LAUGHS
    (tmp_path / "my" / "equation").mkdir(parents=True)
    (tmp_path / "my" / "equation" / "mine.yaml").write_text(
        "# @package _global_\nequation: {rhs: {u: -u}}\n" + LAUGHS
    )
    big = picture(tmp_path / "big.png", 13_000)
    heat = ["equation=heat", "grid=16", f"hydra.run.dir={tmp_path / 'out'}"]
    commands = [
        *[[word, str(path)] for path in (claimed, vast) for word in ("info", "render", "recover")],
        *[["export", str(path), "--to", "npz"] for path in (claimed, vast)],
        *[
            [*words, str(path)]
            for path in (twice, large, texts, other_texts)
            for words in (["info"], ["render"], ["recover"], ["export", "--to", "npz"])
        ],
        *[
            [word, str(path.parent)]
            for path in (claimed, stored)
            for word in ("resume", "converge")
        ],
        ["--config-dir", str(tmp_path / "my"), "equation=mine", "grid=16"],
        [*heat, f'initial.u=\'snapshot("{sparse(tmp_path / "sparse")}", "u")\''],
        [*heat, f"initial.u='image(\"{big}\")'"],
        [*heat, "initial.u='spots(1e7, 0.1)'"],
        [*heat, "initial.u='spots(50000, 0.4)'", "grid=1000"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    for words, code, seconds, grown in json.loads(done.stdout.splitlines()[-1]):
        assert code == 2, (words, done.stderr)
        assert seconds < 5, words
        assert grown < 2**30, words


def constant_frames(path: Path, written: int) -> Path:
    """200 frames of 2048 x 2048 equal numbers in blosc2, of which some are written."""
    with h5py.File(path, "w") as file:
        file["time"], file["x"], file["y"] = np.arange(200.0), np.arange(2048.0), np.arange(2048.0)
        u = file.create_dataset("u", (200, 2048, 2048), "f4", chunks=(1, 2048, 2048),
                                **filters("blosc2"))  # fmt: skip
        for frame in range(written):
            u[frame] = 1.0
    return path


def test_constant_frames_of_strong_compression_are_read(tmp_path):
    """3.4 GB of numbers in some kilobytes, which a constant run stores; not what nobody wrote."""
    path = constant_frames(tmp_path / "whole.h5", 200)
    assert path.stat().st_size < 1e6
    with pdesim.open(path) as snapshots:
        assert snapshots["u"].shape == (200, 2048, 2048)
    with pytest.raises(OutputError, match="declares 3,355,443,200 bytes"):
        pdesim.open(constant_frames(tmp_path / "part.h5", 3))


def test_texts_count_where_the_functions_of_hdf5_cannot_be_found(tmp_path, monkeypatch):
    honest, bomb = make_run(tmp_path / "run"), repeated_text(tmp_path / "texts", "x")

    def missing():
        raise AttributeError("H5Tregister")

    monkeypatch.setattr("pdesim.files.attributes._library", missing)
    with pdesim.open(honest) as snapshots:
        assert snapshots.attributes["equation_name"] == "made"
    with pytest.raises(OutputError, match="16,777,216 bytes"):
        pdesim.open(bomb)


def test_types_whose_size_is_not_known_before_are_refused(tmp_path):
    path = make_run(tmp_path / "run")
    mixed = np.dtype([("a", h5py.string_dtype()), ("b", "f8")])
    with h5py.File(path, "r+") as file:
        file["u"].attrs.create("odd", np.array([("a", 1.0)], dtype=mixed))
    with pytest.raises(OutputError, match=r"'odd' .* nested variable-length"):
        pdesim.open(path)


def test_info_of_a_bomb_in_the_settings_tells_the_rest(tmp_path, capsys):
    path = make_run(tmp_path / "run")
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = LAUGHS
    (path.parent / ".hydra").mkdir()
    (path.parent / ".hydra" / "config.yaml").write_text(LAUGHS)
    assert main(["info", str(path)]) == 0
    assert "frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        MAPPINGS,
        "&a [*a]",
        "[" * (MOST_LEVELS + 1),
        "- 1\n" * (MOST_NODES + 1),
        "a: 2001-99-99",
        "a: " + "9" * 5000,
        "a: [1",
    ],
)
def test_yaml_that_multiplies_is_refused(text):
    with pytest.raises(OutputError, match="YAML"):
        load_yaml(text)


def test_honest_aliases_are_expanded():
    text = "a: &a [1, 2]\nb: {c: *a, d: *a}\ne: {<<: {f: 1}, g: *a}\n"
    check_aliases(text)
    assert load_yaml(text) == yaml.safe_load(text)


def test_references_that_multiply_are_refused(tmp_path, capsys):
    """``${...}`` in a file of somebody else: 40 lines that would make 10^12 characters."""
    lines = ["a0: lol", *(f"a{n}: ${{.a{n - 1}}}${{equation.a{n - 1}}}" for n in range(1, 40))]
    (tmp_path / "equation").mkdir()
    text = "rhs: {u: laplacian(u)}\n" + "\n".join(lines)
    (tmp_path / "equation" / "bomb.yaml").write_text(text)
    assert main(["equation=bomb", "--config-dir", str(tmp_path)]) == 2
    assert "1,000,000 characters after every ${name} is replaced" in capsys.readouterr().err


def test_references_are_measured_without_expanding_them():
    values = {"a": "x" * 600_000, "b": ["${a}"], "c": "${c}", "d": "${nowhere}${oc.env:HOME}"}
    with pytest.raises(ConfigError, match="characters"):
        check_interpolations(values)
    check_interpolations({**values, "b": ["$a", "${oc.env:HOME}"], "e": {"f": "1", "g": "${.f}"}})
    with pytest.raises(ConfigError, match="characters"):
        check_interpolations(
            {"e": {"f": "x" * 600_000, "g": ["${..f}", "${b[0]}"]}, "b": ["${e.f}"]}
        )


def with_attributes(folder: Path, **attributes: str) -> Path:
    """A run with long attributes, of its file or, as ``u__name``, of its field u."""
    path = make_run(folder)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        for name, text in attributes.items():
            item = file["u"] if name.startswith("u__") else file
            item.attrs[name.removeprefix("u__")] = text
    return path


LONG_TEXTS = {
    "boundary": "[" + "0," * 2**20 + "]",
    "equation": "x " * 2**19,
    "equation_name": "W" * 1_200_000,
    "u__units": "m" * 1_200_000,
    "u__long_name": "W" * 1_200_000,
}


def test_long_texts_are_cut_before_they_are_parsed_or_drawn(tmp_path, capsys):
    path = with_attributes(tmp_path / "run", **LONG_TEXTS)
    began = time.process_time()
    tracemalloc.start()
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert len(shown) < 50_000 and "…" in shown and "boundary" not in shown
    assert main(["export", str(path), "--to", "well"]) == 0
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()
    assert main(["render", str(path)]) == 0
    assert time.process_time() - began < 15


def test_the_longest_beginning_of_a_text_that_fits():
    font = font_of(13)
    for length in (5, 40, 199, 10_000, 2_000_000):
        for text in ("m" * length, "a title of words "[: length % 17 + 1] * (length // 10)):
            short = shorten(text, font, 120)
            assert width_of(short, font) <= 120 and len(short) <= LONGEST
            if short != text:
                kept = len(short) - 1
                assert width_of(text[: kept + 2].rstrip() + "…", font) > 120 or text[kept] == " "
    assert shorten("short", font, 120) == "short" and shorten("short", font, 0) == "…"


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        (f"equation.units={{u: {'m' * 101}}}", "equation.units.u has 101 characters"),
        (f"equation.labels={{u: {'m' * 10_000}}}", "equation.labels.u has 10,000 characters"),
        (f"equation.title={'m' * 201}", "equation.title has 201 characters"),
        (f"equation.name={'m' * 101}", "equation.name has 101 characters"),
        (f"equation.rhs={{{'m' * 101}: '0'}}", "the name of a field has 101 characters"),
        (f"label={'m' * 201}", "label is 'mmm"),
    ],
)
def test_long_names_are_refused(word, problem, capsys):
    assert main(["equation=custom", "grid=8", "equation.rhs={u: '0'}", word]) == 2
    assert problem in capsys.readouterr().err
