"""What pictures are made of: ticks, limits, palettes; the plot of the diagnostics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pdesim.errors import ConfigError, OutputError
from pdesim.render import diagnostics_plot
from pdesim.render.colors import line_palette, map_palette
from pdesim.render.limits import RunStatistics, find_limits
from pdesim.render.ticks import clock_texts, place_ticks
from pdesim.settings import Animation


@pytest.mark.parametrize(
    ("times", "texts"),
    [
        ([0, 0.5, 1], ["0.0", "0.5", "1.0"]),
        ([0, 60, 120], ["0", "60", "120"]),
        ([0, 1.25, 2.5], ["0.00", "1.25", "2.50"]),
        ([0, 1 / 3, 2 / 3], ["0.00", "0.33", "0.67"]),
        ([0, 100 / 3, 200 / 3], ["0", "33", "67"]),
        ([-1, -0.5, 0], ["−1.0", "−0.5", "0.0"]),
        ([0, 1e-5, 2e-5], ["0×10⁻⁵", "1×10⁻⁵", "2×10⁻⁵"]),
        ([2.0], ["2"]),
        ([0.0], ["0"]),
    ],
)
def test_clock_texts(times, texts):
    assert clock_texts(np.array(times, dtype=float)) == texts


@pytest.mark.parametrize("lower, upper", [(0, 2.5), (0, 1e-3), (-1, 1000), (1e6, 1.001e6), (3, 4)])
@pytest.mark.parametrize("most", [2, 4, 6])
def test_ticks_are_few_distinct_and_inside(lower, upper, most):
    ticks = place_ticks(lower, upper, most)
    room = 1e-5 * (upper - lower)
    assert 2 <= len(ticks.places) <= most + 1
    assert lower - room <= min(ticks.places) and max(ticks.places) <= upper + room
    assert len(set(ticks.texts)) == len(ticks.texts)


def limits(frames, curve=False, **asked):
    """The limits of a run with these frames."""
    statistics = RunStatistics()
    for values in frames:
        statistics.add(values)
    return find_limits([(statistics, len(frames))], Animation(**asked), curve)


def test_limits():
    both = [np.array([-1.0, 0.5]), np.array([0.0, np.nan, 2.0])]
    assert limits(both).ends == (-1.0, 2.0)
    assert limits(both, colormap="RdBu_r").ends == (-2.0, 2.0)
    assert limits([np.array([1.0, 2.0])], colormap="RdBu_r").ends == (1.0, 2.0)
    assert limits(both, limits=[0.0, 3.0], colormap="RdBu_r").ends == (0.0, 3.0)
    assert limits([np.array([2.0])]).ends == (1.0, 3.0)
    with pytest.raises(ConfigError, match="no finite value"):
        limits([np.array([np.nan])])
    rounded = np.float32([1.0, 1.0 + 1e-7])
    low, high = limits([rounded]).ends
    assert low < 0.6 and high > 1.4  # round-off is no picture
    with pytest.raises(ConfigError, match="limits"):
        limits(both, limits=[1.0, 0.0])


def test_palettes_fit_a_gif():
    for colors in (8, 128, 240):
        palette = map_palette("viridis", colors)
        assert len(palette.rgb) <= 255
        assert np.all(palette.rgb[palette.grey(255)] == 255)
        assert np.ptp(palette.rgb[palette.color(np.float32([np.nan]))]) == 0
    assert np.all(line_palette().rgb[0] == 255)


def diagnostics(path: Path, rows: int, fields=("u", "v_2")) -> Path:
    parts = ("min", "max", "mean", "integral", "l2")
    names = ["frame", "time", *(f"{f}_{p}" for f in fields for p in parts)]
    lines = [",".join(names)]
    for i in range(rows):
        lines.append(",".join(map(str, [i, 0.1 * i, *[0.5 * i] * (len(names) - 2)])))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("rows", [1, 30])
def test_diagnostics_plot(tmp_path, rows):
    table = diagnostics(tmp_path / "diagnostics.csv", rows)
    path = diagnostics_plot(table, tmp_path / "diagnostics.png")
    with Image.open(path) as image:
        assert image.format == "PNG" and image.width > 800
        assert np.asarray(image.convert("L")).min() < 100


def test_diagnostics_that_were_cut_off(tmp_path):
    table = diagnostics(tmp_path / "diagnostics.csv", 3)
    whole = table.read_text()
    for cut in ("3,0.3,1.", "3,0.3,1e-", "3,"):
        table.write_text(whole + cut)
        assert diagnostics_plot(table, tmp_path / "a.png").is_file()
    table.write_text(whole.replace("0.5", "half"))
    with pytest.raises(OutputError, match="cannot be read"):
        diagnostics_plot(table, tmp_path / "b.png")
    with pytest.raises(OutputError, match="no rows"):
        diagnostics_plot(diagnostics(table, 0), tmp_path / "b.png")
    table.write_text("a,b\n1,2\n")
    with pytest.raises(OutputError, match="not a table of diagnostics"):
        diagnostics_plot(table, tmp_path / "b.png")
    with pytest.raises(OutputError, match="cannot be read"):
        diagnostics_plot(tmp_path / "missing.csv", tmp_path / "b.png")
