"""What the reports of all benchmarks share: tables in Markdown, rates in JSON, plots and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.files import writing


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def rates_as_json(rates: np.ndarray) -> dict[str, float]:
    """Return the median and the range of the rates of all rounds."""
    pairs = (("median", np.median(rates)), ("min", rates.min()), ("max", rates.max()))
    return {name: float(value) for name, value in pairs}


def new_plot() -> tuple[Any, Any]:
    """Return a Matplotlib figure and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def save_plot(figure: Any, axes: Any, title: str, path: Path, form: str) -> None:
    """Add the title, the grid and the legend, and write the file.

    Args:
        path: the file, whose name may have any suffix.
        form: the format of the file, such as ``png``.
    """
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=120, format=form)


def write_files(
    markdown: str | None,
    plot: str | None,
    text: Callable[[], str],
    draw: Callable[[Path, str], None],
) -> None:
    """Write the files of ``--markdown`` and ``--plot``.

    Args:
        markdown, plot: the names of the files; None for no file.
        text: returns the table in Markdown.
        draw: ``draw(path, form)`` writes the plot.
    """
    if markdown:
        with writing(Path(markdown), "--markdown") as temporary:
            temporary.write_text(text(), "utf-8")
    if plot:
        with writing(Path(plot), "--plot") as temporary:
            draw(temporary, Path(plot).suffix[1:].lower())
