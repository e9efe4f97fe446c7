"""The surface on which a 3-D field has a given value, drawn by PyVista."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import IO

import numpy as np
from PIL import Image, ImageDraw

from pdesim.errors import OutputError, clip
from pdesim.output.axis import Axis
from pdesim.render.colors import SHADES, Palette, surface_palette
from pdesim.render.field_reader import FrameReader
from pdesim.render.frames import FrameStream
from pdesim.render.layout import Box
from pdesim.render.scene import quantity_of, with_unit
from pdesim.render.surface_worker import Drawing, receive, send
from pdesim.render.text import font_of, width_of
from pdesim.render.ticks import clock_texts

#: the angles of the camera in degrees: from the x axis towards y, and above the horizontal plane
AZIMUTH, ELEVATION = -55.0, 25.0
#: pixels around the box, for labels, at zoom 1
MARGIN = 52


@dataclass(frozen=True)
class Projection:
    """The parallel projection of a box to pixels.

    Attributes:
        lower, upper: the ends of the box, ``(3,)`` with the components x, y and z.
        right, above, towards: unit vectors to the right, to the top, and to the camera.
        scale: pixels per unit of length.
        size: the numbers of rows and columns.
    """

    lower: np.ndarray
    upper: np.ndarray
    right: np.ndarray
    above: np.ndarray
    towards: np.ndarray
    scale: float
    size: tuple[int, int]

    def pixel(self, x: float, y: float, z: float) -> np.ndarray:
        """The column and the row of a point."""
        point = np.array([x, y, z]) - (self.lower + self.upper) / 2
        rows, columns = self.size
        return np.array(
            [columns / 2 + self.scale * (point @ self.right),
             rows / 2 - self.scale * (point @ self.above)]
        )  # fmt: skip


def project(lower: np.ndarray, upper: np.ndarray, columns: int, margin: float) -> Projection:
    """The projection in which a box has the width of a picture with a margin."""
    a, e = np.radians([AZIMUTH, ELEVATION])
    towards = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    above = np.cross(towards, right)
    width, height = ((upper - lower) @ np.abs(axis) for axis in (right, above))
    scale = (columns - 2 * margin) / max(width, height)
    size = round(scale * height + 2 * margin), columns
    return Projection(lower, upper, right, above, towards, float(scale), size)


@dataclass(frozen=True)
class SurfaceScene:
    """The box of a 3-D field and, in each frame, the surface on which the field has a value.

    Attributes:
        axes: the axes z, y and x.
        level: the value of the field on the surface.
        palette: the colours of the surface, and greys.
        size: the width in pixels.
        zoom: the factor of texts.
    """

    axes: tuple[Axis, ...]
    level: float
    palette: Palette
    size: int
    zoom: float

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self._projection.size

    @property
    def picture(self) -> Box:
        rows, columns = self.shape
        return Box(0, 0, columns, rows)

    def text(self, reader: FrameReader) -> str:
        """What the picture shows, such as ``u = 0.5 K``."""
        level = clock_texts(np.array([self.level]))[0]
        return f"{quantity_of(reader)} = {level} {reader.unit}".strip()

    def draw(self, frame: int, values: np.ndarray) -> np.ndarray:
        """Draw values, ``(nz, ny, nx)``, as palette indices with the shape :attr:`shape`."""
        finite = np.isfinite(values)
        if not finite.all():  # cells of obstacles are on the side of the lower values
            low = min(float(values.min(where=finite, initial=np.inf)), self.level - 1.0)
            values = np.where(finite, values, low)
        indices = self._nearest_colors(self._worker.draw(values))
        return np.where(self._labels < 255, self.palette.grey(self._labels), indices)

    @cached_property
    def _projection(self) -> Projection:
        ends = [(axis.lower, axis.upper) for axis in reversed(self.axes)]
        lower, upper = np.array(ends).T
        return project(lower, upper, self.size, MARGIN * self.zoom)

    @cached_property
    def _worker(self) -> Worker:
        rgb, seen = self.palette.rgb / 255, self._projection
        x, y, z = (axis.centres for axis in reversed(self.axes))
        dx, dy, dz = (float(c[1] - c[0]) if len(c) > 1 else 1.0 for c in (x, y, z))
        paper, ink, color = rgb[-1], rgb[-12], rgb[SHADES - 1]
        return Worker(
            Drawing(
                origin=[float(x[0]), float(y[0]), float(z[0])], spacing=[dx, dy, dz],
                bounds=[seen.lower.tolist(), seen.upper.tolist()], level=self.level,
                color=color.tolist(), paper=paper.tolist(), ink=ink.tolist(),
                direction=seen.towards.tolist(), height=seen.size[0] / seen.scale,
                size=list(seen.size),
            )
        )  # fmt: skip

    @cached_property
    def _labels(self) -> np.ndarray:
        """The names and the ends of the axes, as grey levels."""
        rows, columns = self.shape
        image = Image.new("L", (columns, rows), 255)
        draw, font = ImageDraw.Draw(image), font_of(11 * self.zoom)
        for at, text in self._label_places(font):
            draw.text(tuple(at), text, 90, font, anchor="mm")
        return np.asarray(image)

    def _label_places(self, font) -> Iterator[tuple[np.ndarray, str]]:
        seen = self._projection
        (left, front, bottom), (right, back, top) = seen.lower, seen.upper
        edges = (
            (seen.pixel(left, front, bottom), seen.pixel(left, front, top)),
            (seen.pixel(right, front, bottom), seen.pixel(right, back, bottom)),
            (seen.pixel(left, front, bottom), seen.pixel(right, front, bottom)),
        )
        middle = np.array(self.shape[::-1]) / 2
        for axis, (start, end) in zip(self.axes, edges, strict=True):
            along = (end - start) / np.linalg.norm(end - start)
            aside = np.array([-along[1], along[0]])
            if aside @ ((start + end) / 2 - middle) < 0:
                aside = -aside
            ends = clock_texts(np.round([axis.lower, axis.upper], 12))
            name = with_unit(axis.name, axis.unit)
            for place, text in ((0.07, ends[0]), (0.5, name), (0.93, ends[1])):
                away = 12 * self.zoom + abs(aside[0]) * width_of(text, font) / 2
                yield start + place * (end - start) + away * aside, text

    def _nearest_colors(self, rgb: np.ndarray) -> np.ndarray:
        """The indices of the nearest colours of the palette."""
        table = np.repeat(self.palette.rgb[:1], 256, axis=0)
        table[: len(self.palette.rgb)] = self.palette.rgb
        colors = Image.new("P", (1, 1))
        colors.putpalette(table.tobytes())
        image = Image.fromarray(rgb).quantize(palette=colors, dither=Image.Dither.NONE)
        indices = np.asarray(image)
        indices = np.where(indices < len(self.palette.rgb), indices, 0).astype(np.uint8)
        # Pillow chooses only an approximately nearest colour
        return np.where(
            (rgb == self.palette.rgb[-1]).all(axis=2), len(self.palette.rgb) - 1, indices
        )


class Worker:
    """A process that draws; see :mod:`pdesim.render.surface_worker`."""

    def __init__(self, drawing: Drawing) -> None:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115, closed by _end
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pdesim.render.surface_worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._printed,
        )  # fmt: skip
        weakref.finalize(self, _end, self._process, self._printed)
        with self._reporting():
            assert self._process.stdin
            self._process.stdin.write(json.dumps(asdict(drawing)).encode() + b"\n")

    def draw(self, values: np.ndarray) -> np.ndarray:
        """Return the picture of a frame, ``(rows, columns, 3)`` uint8.

        Raises:
            OutputError: if PyVista cannot draw on this machine.
        """
        with self._reporting():
            assert self._process.stdin and self._process.stdout
            send(self._process.stdin, values)
            picture = receive(self._process.stdout)
        if picture is None:
            raise self._error()
        return picture

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Raise OutputError if the process has ended."""
        try:
            yield
        except (OSError, ValueError):
            raise self._error() from None

    def _error(self) -> OutputError:
        self._process.kill()
        self._process.wait()
        self._printed.seek(0)
        lines = self._printed.read().decode(errors="replace").strip().splitlines()
        last = clip(lines[-1], 200) if lines else f"its process ended ({self._process.returncode})"
        return OutputError(f"PyVista cannot draw here: {last}", "animation.layout=slices")


def _end(process: subprocess.Popen, printed: IO[bytes]) -> None:
    for stream in (process.stdin, process.stdout, printed):
        with suppress(OSError):  # what was not sent to a process that has ended
            stream.close()  # type: ignore[union-attr]
    process.wait()


def build_surface(stream: FrameStream, size: int, zoom: float) -> SurfaceScene:
    """Build the scene of ``animation.layout=surface``."""
    animation, (low, high) = stream.animation, stream.look.limits.ends
    level = (low + high) / 2 if animation.level is None else animation.level
    palette = surface_palette(animation.colormap, (level - low) / (high - low), animation.theme)
    return SurfaceScene(stream.reader.axes, level, palette, size, zoom)
