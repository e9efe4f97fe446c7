"""The power spectrum of a frame as a picture."""

from __future__ import annotations

import numpy as np

from pdesim.output.axis import Axis
from pdesim.render.colors import Palette, line_palette, map_palette
from pdesim.render.frames import FrameStream
from pdesim.render.layout import Layout, LayoutSpec, Scale, lay_out
from pdesim.render.painters import CurvePainter, MapPainter, curve_painter
from pdesim.render.scene import (
    ALL_COLORS,
    CURVE_HEIGHT,
    quantity_of,
    shape_of,
    time_labels,
    title_for,
)

#: powers below the largest one by more than this factor have the first colour
RANGE = 1e16


def power_spectrum(values: np.ndarray) -> np.ndarray:
    """Return the power of each Fourier mode of the deviations from the mean.

    ``P_k = |sum_j (v_j - mean) exp(-2 pi i k j / n)|**2 / n**2``, for n cells, so that the sum of
    all powers is the variance (Parseval). In 1-D, opposite wave numbers are added.

    Args:
        values: ``(nx,)`` or ``(ny, nx)``.

    Returns:
        In 1-D, the wave numbers 0 to ``nx // 2``. In 2-D, ``(ny, nx)``, from the most negative wave
        number to the largest.
    """
    deviations = values.astype(np.float64) - values.mean(dtype=np.float64)
    if values.ndim == 1:
        modes = np.abs(np.fft.rfft(deviations) / values.size) ** 2
        modes[1 : (values.size + 1) // 2] *= 2
        return modes
    return np.fft.fftshift(np.abs(np.fft.fft2(deviations) / values.size) ** 2)


def spectrum_picture(stream: FrameStream, size: int, frame: int) -> tuple[np.ndarray, Palette]:
    """Draw the power spectrum of a frame over the wave numbers ``k = 2 pi m / L``.

    The values are transformed as they are, also along axes that are not periodic.

    Args:
        stream: the frames.
        size: the pixels of the longer side.
        frame: the number of the frame.

    Returns:
        Palette indices, ``(rows, columns)``, and the palette.
    """
    reader, animation = stream.reader, stream.animation
    power = power_spectrum(stream.values(frame))
    lowest = max(float(power.max()) / RANGE, float(np.finfo(np.float64).tiny))
    levels = np.log10(np.maximum(power, lowest))
    # the mean has been subtracted, and a few other modes may vanish by chance
    low, high = float(np.quantile(levels, 0.002 if levels.ndim > 1 else 0)), float(levels.max())
    ends = low, max(high, low + 1.0)
    value, is_curve = Scale("power", *ends, log=True), levels.ndim == 1
    pairs = zip(reader.axes, levels.shape, strict=True)
    scales = [_wave_numbers(axis, count, is_curve) for axis, count in pairs]
    width, height = size, round(size * CURVE_HEIGHT)
    if not is_curve:
        width, height = shape_of([scale.upper - scale.lower for scale in scales], size)
    clock = time_labels(animation, reader.times[frame : frame + 1])[0]
    layout = lay_out(
        LayoutSpec(
            title=title_for(animation, reader.equation),
            subtitle=f"power spectrum of {quantity_of(reader)}",
            clock=[clock],
            clock_unit="" if animation.time_format else reader.time_unit,
            clock_name="" if animation.time_format else "t",
            x=scales[-1],
            y=value if is_curve else scales[0],
            bar=None if is_curve else value,
            width=width,
            height=height,
            zoom=max(0.8, size / 512),
        )
    )
    palette = line_palette(theme=animation.theme)
    if not is_curve:
        palette = map_palette(animation.colormap, ALL_COLORS, animation.theme)
    return _painted(layout, clock, palette, levels, ends, (width, height)), palette


def _wave_numbers(axis: Axis, count: int, is_curve: bool) -> Scale:
    """The scale of the wave numbers along an axis, from half a step before the first."""
    step = 2 * np.pi / (axis.upper - axis.lower)
    low = -0.5 * step if is_curve else -(count // 2 + 0.5) * step
    return Scale(f"k_{axis.name}", low, low + count * step)


def _painted(
    layout: Layout, clock: str, palette: Palette, levels: np.ndarray, ends: tuple[float, float],
    shape: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    """Return the picture of a layout with a map or a curve of levels."""
    canvas = palette.grey(layout.canvas)
    if layout.bar:
        layout.bar.paint(canvas, palette)
    if layout.clock:
        canvas[layout.clock.slices] = palette.grey(layout.draw_clock(clock))
    painter: MapPainter | CurvePainter
    painter = MapPainter(palette, ends, *shape, True)
    if levels.ndim == 1:
        nothing = np.full(len(levels), np.nan)
        painter = curve_painter(palette, ends, *shape, layout.zoom, nothing, layout.y_ticks.places)
    canvas[layout.picture.slices] = painter.paint(levels)
    return canvas
