"""What was measured, in a file that later runs add to."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from precision.cases import EXTENT, REFERENCES, Case, Rung, ladders, parameters
from precision.measure import References, Result, fill_orders, finest_orders, misses


def read(path: Path | None, case: Case) -> tuple[dict, list[Result], References]:
    """Machine and versions, results and references of earlier runs of the same case."""
    if path is None or not path.exists():
        return {}, [], {}
    told = json.loads(path.read_text())
    if {name: told[name] for name in asdict(case)} != asdict(case):
        raise SystemExit(f"{path} holds {told['grid']} cells to t = {told['end']:g}: name another")
    names = [field.name for field in fields(Rung)]
    results = [
        Result(
            Rung(**{name: r[name] for name in names}),
            math.nan if r["error"] is None else r["error"],
            seconds=tuple(r["seconds"]),
            trouble=r["trouble"],
        )
        for r in told["results"]
    ]
    with np.load(_states(path)) as states:
        doubts = {space: r["agreement"] for space, r in told["references"].items()}
        references = {space: (states[space], doubt) for space, doubt in doubts.items()}
    return {name: told[name] for name in ("cores", "load", "versions")}, results, references


def merge(old: Sequence[Result], new: Sequence[Result], quick: bool) -> list[Result]:
    """In the order of the ladders; what was measured again replaces what was there."""
    found = {result.rung: result for result in (*old, *new)}
    results = [found[rung] for rung in ladders(quick) if rung in found]
    fill_orders(results)
    return results


def write(path: Path, results, references: References, case: Case, about: dict) -> None:
    """JSON, and beside it the references' states as ``.npz``."""
    finest = finest_orders(results, references)
    values = {
        **about,
        **asdict(case),
        "extent": EXTENT,
        **parameters(),
        "references": {
            space: {"rungs": [asdict(r) for r in REFERENCES[space]], "agreement": doubt}
            for space, (_, doubt) in references.items()
        },
        "results": [
            {
                **asdict(r.rung),
                "error": _plain(r.error),
                "measured_order": _plain(r.order),
                "misses_order": r in finest and misses(r),
                "seconds": r.seconds,
                "median_seconds": _plain(r.median),
                "trouble": r.trouble,
            }
            for r in results
        ],
    }
    np.savez_compressed(_states(path), **{space: state for space, (state, _) in references.items()})
    path.write_text(json.dumps(values, indent=1) + "\n")


def _states(path: Path) -> Path:
    return path.with_suffix(".npz")


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
