"""Tables of what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from precision.cases import REFERENCES, Case
from precision.measure import (
    COARSE,
    References,
    Result,
    finest_orders,
    is_trusted,
    lines_of,
    misses,
    seconds_for,
)

#: errors for which the seconds are interpolated
TARGETS = (1e-2, 1e-4, 1e-6, 1e-8)


def print_tables(results: Sequence[Result], references: References, case: Case) -> None:
    finest = finest_orders(results, references)
    for space, (_, doubt) in references.items():
        rung, check = REFERENCES[space]
        print(f"\nCompared with the {space} reference: {rung.package} {rung.method} {rung.size};")
        print(f"{check.package} {check.method} {check.size} differs from it by {doubt:.1e}")
        print(f"{'':31}{'steps by':>12}{'error':>10}{'order':>8}{'seconds':>10}  (min-max, runs)")
        for line, ladder in lines_of(results).items():
            if line[2] != space:
                continue
            for number, result in enumerate(ladder):
                mark = ("<" if misses(result) else "*") if result in finest else " "
                mark = mark if is_trusted(result, references) or result.error > COARSE else "~"
                print(_row(result, mark, first=number == 0))
    _print_targets(results, references)
    _print_spaces(references, case)


def _row(result: Result, mark: str, first: bool) -> str:
    rung = result.rung
    name = f"{rung.package:9}{rung.method}" if first else ""
    head = f"{name:31}{rung.size:>12}"
    if result.trouble:
        return f"{head}  {result.trouble.splitlines()[0][:60]}"
    order = "-" if math.isnan(result.order) else f"{result.order:.2f}"
    spread = f"({min(result.seconds):.3g}-{max(result.seconds):.3g}, {len(result.seconds)})"
    return f"{head}{result.error:>10.1e}{order:>7}{mark}{result.median:>10.3f}  {spread}"


def _print_targets(results: Sequence[Result], references: References) -> None:
    print("\nSeconds to an error, between the rungs above (<: all are better, -: none is)")
    print(f"{'':44}" + "".join(f"{target:>10.0e}" for target in TARGETS))
    for package, method, space, *times in _targets(results, references):
        print(f"{package:9}{method:22}{space:13}" + "".join(f"{t:>10}" for t in times))


def _targets(results: Sequence[Result], references: References) -> Iterator[list[str]]:
    """Package, method, space, and the seconds to each of the errors in ``TARGETS``."""
    for space in references:
        for (package, method, where), ladder in lines_of(results).items():
            if where == space:
                times = [seconds_for(ladder, target) for target in TARGETS]
                yield [package, method, space, *times]


def markdown(results: Sequence[Result], references: References) -> str:
    """The seconds to given errors, as a table."""
    head = ["package", "method", "space", *(f"{target:.0e}" for target in TARGETS)]
    rows = [head, ["---"] * len(head), *_targets(results, references)]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _print_spaces(references, case: Case) -> None:
    print(
        "\norder: from the rung before; * the finest that can be trusted, < the same but short of"
    )
    print("the claim by more than 0.2; ~ the error is too near the reference's own to tell")
    if "spectral" in references:
        for other in references:
            if other != "spectral":
                gap = float(np.abs(references[other][0] - references["spectral"][0]).max())
                print(
                    f"the {other} reference is {gap:.1e} from the spectral one: an error in space"
                )
    u, v = next(iter(references.values()))[0]
    print(f"at t = {case.end:g}: u in [{u.min():.3f}, {u.max():.3f}], v up to {v.max():.3f}")
