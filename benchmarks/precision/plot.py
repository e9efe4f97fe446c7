"""Error against seconds, a panel per discretisation in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from precision.cases import Case
from precision.measure import References, Result, lines_of

#: one family of colours per package; the shade and the marker tell its methods apart
COLOURS = {"pdesim": "Blues", "exponax": "Oranges", "py-pde": "Greens"}
MARKERS = "osD^vP*Xph"


def draw(
    results: Sequence[Result], references: References, case: Case, about: dict, path: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = {
        "all Fourier modes": ("spectral", "dealiased"),
        "second-order differences": ("stencil",),
    }
    figure, panels = plt.subplots(
        1, 2, figsize=(12, 6.8), sharex=True, sharey=True, layout="constrained"
    )
    for panel, (title, spaces) in zip(panels, groups.items(), strict=True):
        _draw_panel(panel, results, [s for s in spaces if s in references])
        doubt = references[spaces[0]][1] if spaces[0] in references else math.nan
        panel.axhline(doubt, color="0.6", linewidth=0.8, linestyle=":")
        panel.set_title(f"in space: {title}", fontsize=11)
        panel.set_xlabel("seconds (median, after compilation)")
    panels[0].set_ylabel("largest error of u and v against the reference")
    figure.suptitle(
        f"Gray-Scott to t = {case.end:g} on {case.grid} x {case.grid} cells, float64, "
        f"{about['cores']} cores; lower left is better",
        fontsize=12,
    )
    figure.savefig(path, dpi=150)


def _draw_panel(panel, results: Sequence[Result], spaces: Sequence[str]) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import NullFormatter

    lines = {k: v for k, v in lines_of(results).items() if k[2] in spaces}
    for package, family in COLOURS.items():
        methods = list(dict.fromkeys(m for p, m, _ in lines if p == package))
        shades = colormaps[family](np.linspace(1.0, 0.35, max(len(methods), 2)))
        for (owner, method, space), ladder in lines.items():
            good = [r for r in ladder if r.error > 0 and r.seconds]
            if owner != package or not good:
                continue
            which, own = methods.index(method), space == "dealiased"
            panel.loglog(
                [r.median for r in good],
                [r.error for r in good],
                color=shades[which],
                marker=MARKERS[which % len(MARKERS)],
                markersize=6,
                markerfacecolor="white" if own else shades[which],
                linestyle="--" if good[0].rung.adaptive else ":" if own else "-",
                linewidth=1.6,
                label=f"{package} {method}" + (", half the modes (own reference)" if own else ""),
            )
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(True, which="major", color="0.9", linewidth=0.8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
