"""The result of a fit on the console."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdesim.fitting.result import FitResult, describe
from pdesim.tables import print_table

#: largest number of starts that are listed
MOST_STARTS = 10


def print_result(result: FitResult, console: Console) -> None:
    """Print the estimates, their correlations, the residuals and all warnings."""
    table = Table("parameter", "estimate", "relative error", "bounds", box=None)
    for key, value in result.parameters.items():
        error, (low, high) = result.errors[key], result.bounds[key]
        relative = f"{100 * abs(error / value):.2g} %" if value and math.isfinite(error) else ""
        table.add_row(escape(key), describe(value, error), relative, f"{low:g} to {high:g}")
    print_table(table, console)
    for line in lines(result):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if len(result.starts) > 1:
        print_table(_starts(result), console)


def lines(result: FitResult) -> Iterator[str]:
    """Yield the lines below the table of the estimates."""
    names = list(result.parameters)
    pairs = [
        f"{a.rpartition('.')[2]}, {b.rpartition('.')[2]}: {result.correlations[i, j]:+.3f}"
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i < j and math.isfinite(result.correlations[i, j])
    ]
    if 0 < len(pairs) <= 6:
        yield f"correlations   {'; '.join(pairs)}"
    for name, size in result.residuals.items():
        relative = result.relative_residuals[name]
        yield (
            f"residual of {name}   {size:.3g} (root mean square), {100 * relative:.3g} % of the "
            "standard deviation of the data"
        )
    low, high = result.dt
    dt = f"dt = {low:.3g}" if high / low < 1.01 else f"dt = {low:.3g} to {high:.3g}"
    yield (
        f"{result.values:,} observed values; {result.evaluations} evaluations of {result.runs} "
        f"runs with {result.stepper}, {dt}; {result.starts[0].message}"
    )
    for warning in result.warnings:
        yield f"warning: {warning}"


def _starts(result: FitResult) -> Table:
    """Return a table of the starts, the best one first."""
    keys = list(result.parameters)
    table = Table("start", "end", "residual", "evaluations", "ended because", box=None)
    ordered = sorted(result.starts, key=lambda s: math.inf if s.residual is None else s.residual)
    for one in ordered[:MOST_STARTS]:
        table.add_row(
            ", ".join(f"{one.start[key]:.4g}" for key in keys),
            ", ".join(f"{one.end[key]:.4g}" for key in keys),
            "" if one.residual is None else f"{one.residual:.4g}",
            str(one.evaluations),
            escape(one.message),
        )
    return table
