"""The report: a table, JSON and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from peers.measure import Result, ratio

YARDSTICKS = ("C + OpenMP", "pdesim")


def cases_of(results: Sequence[Result]) -> list:
    return list(dict.fromkeys(r.case for r in results))


def markdown(results: Sequence[Result]) -> str:
    """A table per problem and size, the fastest first."""
    lines = []
    for case in cases_of(results):
        own = sorted((r for r in results if r.case == case), key=lambda r: -r.median)
        lines += [f"**{case[0]}**, {case[1]} x {case[1]}", ""]
        lines += ["| | million cell updates/s | vs C | vs pdesim |", "|---|---|---|---|"]
        for r in own:
            rates = f"{r.median / 1e6:.4g} ({min(r.rates) / 1e6:.4g}-{max(r.rates) / 1e6:.4g})"
            ratios = [_ratio_text(ratio(results, r, to)) for to in YARDSTICKS]
            lines.append(f"| {r.package}, {r.form} | {rates} | {' | '.join(ratios)} |")
        lines.append("")
    return "\n".join(lines)


def _ratio_text(ratios: tuple[float, float, float] | None) -> str:
    return "-" if ratios is None else f"{ratios[1]:.3g} ({ratios[0]:.3g}-{ratios[2]:.3g})"


def as_json(results: Sequence[Result], about: dict) -> dict:
    rows = [
        {
            "problem": r.case[0],
            "grid": r.case[1],
            "package": r.package,
            "form": r.form,
            "cell_updates_per_second": r.rates,
            "median": r.median,
            "difference_from_numpy": r.difference,
            **{f"ratio_to_{to}": ratio(results, r, to) for to in YARDSTICKS},
        }
        for r in results
    ]
    return {**about, "results": rows}


def draw(results: Sequence[Result], about: dict, path: Path) -> None:
    """Draw bars on a logarithmic axis, a panel per problem, a shade per size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    problems = list(dict.fromkeys(r.case[0] for r in results))
    figure = Figure(figsize=(4.2 * len(problems), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for number, problem in enumerate(problems, start=1):
        axes = figure.add_subplot(1, len(problems), number)
        _panel(axes, [r for r in results if r.case[0] == problem])
        axes.set_title(problem.replace("_", "-"))
    figure.suptitle(f"million cell updates per second, float32, {about['cores']} cores")
    figure.savefig(path, dpi=110)


def _panel(axes, results: Sequence[Result]) -> None:
    sizes = sorted({r.case[1] for r in results})
    best = {r.package: 0.0 for r in results}
    for r in results:
        best[r.package] = max(best[r.package], r.median)
    names = sorted(best, key=best.get)
    height = 0.8 / len(sizes)
    for number, size in enumerate(sizes):
        for r in (r for r in results if r.case[1] == size):
            place = names.index(r.package) + (number - (len(sizes) - 1) / 2) * height
            family = "C1" if r.package == "pdesim" else "C0"
            spread = [[(r.median - min(r.rates)) / 1e6], [(max(r.rates) - r.median) / 1e6]]
            axes.barh(place, r.median / 1e6, height, color=family, alpha=1 - 0.45 * number,
                      xerr=spread, error_kw={"linewidth": 0.8})  # fmt: skip
            axes.text(max(r.rates) / 1e6, place, f" {r.median / 1e6:.0f}  ({size})", va="center",
                      fontsize=7)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(right=8 * max(best.values()) / 1e6)
    axes.set_yticks(range(len(names)), names)
    axes.spines[["top", "right"]].set_visible(False)
