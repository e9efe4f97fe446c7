"""A process that draws surfaces with PyVista: ``python -m pdesim.render.surface_worker``.

It reads a ``Drawing`` from its standard input, as a line of JSON, and then arrays of values. It
answers each array with a picture, ``(rows, columns, 3)`` uint8. It is a process of its own, since
TensorFlow and the software renderer of OpenGL both contain LLVM, and a process with both crashes.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import IO

import numpy as np

Vector = list[float]


@dataclass(frozen=True)
class Drawing:
    """What all pictures share; vectors are lists of the components x, y and z.

    Attributes:
        origin, spacing: the centre of the first cell, and the sizes of the cells.
        bounds: the lower and the upper ends of the box.
        level: the value on the surface.
        color, paper, ink: the colours of the surface, the background and the box, from 0 to 1.
        direction: the unit vector from the middle of the box to the camera.
        height: the height of the picture in the unit of the box.
        size: the numbers of rows and columns.
    """

    origin: Vector
    spacing: Vector
    bounds: list[Vector]
    level: float
    color: Vector
    paper: Vector
    ink: Vector
    direction: Vector
    height: float
    size: list[int]


def main() -> None:
    """Answer until the standard input ends."""
    import pyvista

    source, target = sys.stdin.buffer, sys.stdout.buffer
    drawing = Drawing(**json.loads(source.readline()))
    plotter = plotter_of(pyvista, drawing)
    while (values := receive(source)) is not None:
        grid = pyvista.ImageData(
            dimensions=values.shape[::-1], spacing=drawing.spacing, origin=drawing.origin
        )
        grid["values"] = values.ravel()
        surface = grid.contour([drawing.level], scalars="values")
        plotter.remove_actor("surface")
        if surface.n_points:
            plotter.add_mesh(
                surface, name="surface", color=drawing.color, smooth_shading=True,
                specular=0.2, ambient=0.25, diffuse=0.8, reset_camera=False,
            )  # fmt: skip
        send(target, plotter.screenshot(return_img=True))


def send(stream: IO[bytes], array: np.ndarray) -> None:
    """Write an array: its type and its shape as a line of JSON, and its bytes."""
    stream.write(json.dumps([array.dtype.str, *array.shape]).encode() + b"\n" + array.tobytes())
    stream.flush()


def receive(stream: IO[bytes]) -> np.ndarray | None:
    """Read an array; None if the stream has ended."""
    try:
        kind, *shape = json.loads(stream.readline() or b"[null]")
    except ValueError:
        return None
    if kind is None:
        return None
    data = stream.read(np.dtype(kind).itemsize * math.prod(shape))
    return np.frombuffer(data, kind).reshape(shape)


def plotter_of(pyvista, drawing: Drawing):
    """The box of the domain, seen in parallel projection."""
    rows, columns = drawing.size
    plotter = pyvista.Plotter(off_screen=True, window_size=(columns, rows))
    plotter.set_background(drawing.paper)
    lower, upper = (np.array(ends) for ends in drawing.bounds)
    box = pyvista.Box([end for pair in zip(lower, upper, strict=True) for end in pair])
    edges = box.extract_feature_edges()
    plotter.add_mesh(edges, color=drawing.ink, line_width=max(1.0, columns / 512), lighting=False)
    plotter.enable_anti_aliasing("ssaa")
    camera, middle = plotter.camera, (lower + upper) / 2
    distance = 2 * float(np.linalg.norm(upper - lower))
    camera.position = (middle + distance * np.array(drawing.direction)).tolist()
    camera.focal_point, camera.up = middle.tolist(), (0.0, 0.0, 1.0)
    camera.parallel_projection, camera.parallel_scale = True, drawing.height / 2
    camera.clipping_range = 0.1 * distance, 2 * distance
    plotter.show(auto_close=False)
    return plotter


if __name__ == "__main__":
    main()
