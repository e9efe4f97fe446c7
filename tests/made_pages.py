"""Pages read back as numbers, independently of the package and of a browser."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, text):
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(text)


def read(path: Path) -> _Reader:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def data_of(path: Path) -> dict:
    text = path.read_text(encoding="utf-8")
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(block)


def frames_of(layer: dict) -> tuple[np.ndarray, np.ndarray]:
    """The values of a layer, ``(frames, rows, columns)``, and the rounding step of each frame."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(layer["data"])), np.uint8)
    size, levels = layer["rows"] * layer["columns"], 2 ** layer["bits"] - 2
    raw = raw.reshape(len(layer["modes"]), layer["bits"] // 8, size).astype(np.int64)
    codes = raw[:, 0] + (raw[:, 1] << 8 if layer["bits"] == 16 else 0)
    codes = codes.reshape(-1, layer["rows"], layer["columns"])
    for number, mode in enumerate(layer["modes"]):
        if mode & 4:
            codes[number] = codes[number].cumsum(axis=0)
        if mode & 2:
            codes[number] = codes[number].cumsum(axis=1)
        if mode & 1:
            codes[number] += codes[number - 1]
        codes[number] %= levels + 2
    low, high = (np.array(layer[name])[:, None, None] for name in ("lows", "highs"))
    step = (high - low) / levels
    return np.where(codes > levels, np.nan, low + codes * step), step
