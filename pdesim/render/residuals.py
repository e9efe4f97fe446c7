"""The picture of the residuals of the iterations for a steady problem."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pdesim.files import writing
from pdesim.output.residuals import Residuals


def residual_plot(residuals: Residuals, title: str, path: Path) -> None:
    """Write a PNG of the residuals over the iterations, with a logarithmic axis.

    Args:
        residuals: residuals of a solver with iterations.
        title: the title of the picture.
        path: the file to write.

    Raises:
        OutputError: if the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    values = np.where(residuals.values > 0, residuals.values, np.nan)
    marker = "o" if len(values) <= 60 else ""
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.semilogy(np.arange(len(values)), values, marker=marker, markersize=4, color="C0")
    if residuals.tolerance is not None:
        axes.axhline(residuals.tolerance, linestyle="--", linewidth=1, color="0.4")
        axes.annotate(
            f"tolerance {residuals.tolerance:.1g}", (0, residuals.tolerance), (4, 3),
            xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8, color="0.4",
        )  # fmt: skip
    axes.set(xlabel="iteration", ylabel="residual / source")
    axes.set_title(title[:200], fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    with writing(path, "the picture") as temporary:
        figure.savefig(temporary, format="png", dpi=100)
