"""The page of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pdesim.errors import OutputError
from pdesim.output.reader import Snapshots
from pdesim.output.run_folder import SNAPSHOTS
from pdesim.output.summary import Summary, summarize
from pdesim.page import facts
from pdesim.page.colormaps import colormaps
from pdesim.page.document import document, escaped
from pdesim.page.layers import Layer, pack_layer
from pdesim.render.ticks import clock_texts
from pdesim.settings import Animation

#: largest number of frames in a page
MOST_FRAMES = 101
#: compressed bytes of all frames; the text of the page needs a third more for them
BUDGET = 3_300_000
#: the part of it that the field that is shown first may take, if there are several
FIRST_PART = 0.55


def run_page(path: Path, animation: Animation) -> str:
    """Return the page of a run as text.

    Args:
        path: the folder of the run, or its snapshot file.
        animation: the field that is shown first, and its colours.

    Raises:
        OutputError: if the file cannot be read, or has no frames.
    """
    run = summarize(path)
    with Snapshots(path) as snapshots:
        source, fields, config = snapshots.path, snapshots.ordered_fields, snapshots.config
        times, time_unit = snapshots.frame_times(fields), snapshots.unit_of("time")
        equation_title = str(snapshots.attributes.get("equation_title", ""))
    frames = choose_frames(len(times))
    first = animation.field or fields[0]
    names = [*fields] if first in fields else [first, *fields]
    layers = pack_layers(source, names, first, animation, frames)
    own = source.name == SNAPSHOTS
    title = str(config.get("label") or "") or equation_title or run.equation or source.parent.name
    data = {
        "times": times[frames],
        "clock": clock_texts(times[frames]),
        "timeUnit": time_unit,
        "first": names.index(first),
        "layers": [layer.as_json() for layer in layers],
        "colormaps": colormaps(animation.colormap),
        "colormap": animation.colormap,
        "fps": animation.fps,
        "diagnostics": facts.diagnostics(source.parent) if own else [],
    }
    return document(
        "run.html",
        ("common.js", "picture.js", "plot.js", "run.js"),
        data,
        title=escaped(title, 200),
        about=escaped(run.title, 500),
        equation=facts.equations(config, run.formulas),
        parameters=facts.parameters(run.parameters),
        settings=facts.settings(run),
        downloads=facts.downloads(source.parent) if own else "",
        note=escaped(note(layers, run, len(frames))),
    )


def choose_frames(count: int) -> list[int]:
    """Return the indices of at most ``MOST_FRAMES`` frames at equal distances, with both ends."""
    chosen = np.linspace(0, count - 1, min(count, MOST_FRAMES))
    return [int(index) for index in np.unique(np.rint(chosen))]


def pack_layers(
    path: Path, names: Sequence[str], first: str, animation: Animation, frames: Sequence[int]
) -> list[Layer]:
    """Return a layer per quantity, which together take at most ``BUDGET`` bytes.

    The quantity that is shown first may take ``FIRST_PART`` of them; the others share what is left.
    """
    order = sorted(names, key=lambda name: name != first)
    packed: dict[str, Layer] = {}
    rest = BUDGET
    for number, name in enumerate(order):
        share = rest / (len(order) - number)
        budget = share if number else max(share, FIRST_PART * BUDGET)
        layer = pack_layer(path, name, animation, frames, int(budget))
        packed[name] = layer
        rest -= len(layer.data)
    return [packed[name] for name in names]


def note(layers: Sequence[Layer], run: Summary, frames: int) -> str:
    """Return what the page leaves out: frames, cells and digits."""
    if not layers:
        raise OutputError(f"{run.path} contains no fields")
    sentences = []
    if frames < run.frames:
        sentences.append(f"The page shows {frames} of {run.frames:,} stored frames.")
    reduced = [layer for layer in layers if layer.shape != _rows(layer.stored)]
    for shape in dict.fromkeys(layer.shape for layer in reduced):
        these = [layer for layer in reduced if layer.shape == shape]
        names = "all fields" if len(these) == len(layers) else ", ".join(one.field for one in these)
        stored, shown = _size(_rows(these[0].stored)), _size(shape)
        sentences.append(f"Values of {names} are means over cells: {shown} instead of {stored}.")
    if plane := next((layer.plane for layer in layers if layer.plane), ""):
        sentences.append(f"Pictures show the plane {plane} of a 3-D field.")
    bits = layers[0].packing.bits
    sentences.append(f"Values are rounded to {bits} bits between the limits of a frame.")
    return " ".join(sentences)


def _rows(shape: tuple[int, ...]) -> tuple[int, int]:
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]}" if shape[0] == 1 else f"{shape[1]} × {shape[0]}"
