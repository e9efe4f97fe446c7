"""The error in time of runs with default settings, beside a reference on the same grid.

    python benchmarks/time_error.py                      # every shipped equation, 64 to 256 cells
    python benchmarks/time_error.py --sizes 64 512 --json after.json
    python benchmarks/time_error.py --before before.json # beside the record of another version

A run with all defaults is compared at its end with a run in double precision by a method of high
order with far smaller steps. Errors are relative to the range of each field in the reference; where
the single and the double precision results of the default differ by more than a percent themselves,
the case is listed as chaotic.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import pdesim
from pdesim.config.compose import compose_settings

#: a reference for stencils, and one for the stiff modes of spectral operators
PAIR = ("stepper=dormand_prince", "time.dt=auto", "time.tolerance=1e-8")
MODES = ("stepper=etdrk4", "time.dt={dt}")
EQUATIONS = {
    "heat": PAIR,
    "wave": PAIR,
    "gray_scott": PAIR,
    "allen_cahn": PAIR,
    "brusselator": PAIR,
    "burgers": PAIR,
    "fitzhugh_nagumo": PAIR,
    "cahn_hilliard": MODES,
    "kuramoto_sivashinsky": MODES,
    "swift_hohenberg": MODES,
}
#: steps of the reference that is advanced in modes: so many, and so many times those of the default
MODE_STEPS, MODE_FACTOR = 8000, 4
CUSTOM = ("equation=custom", "domain.dimensions=1")
#: name, settings, and what the mean of the first field is at the end where that is known
ROWS = {
    "u' = cos(t), 5 frames": (
        *CUSTOM, "equation.rhs={u: 'cos(t)'}", "initial.u=0.0", "grid=8", "time.end=10",
        "output.frames=5",
    ),
    "u' = 1 until t = 1, 4 frames": (
        *CUSTOM, "equation.rhs={u: 'where(t<1, 1, 0)'}", "initial.u=0.0", "grid=8", "time.end=10",
        "output.frames=4",
    ),
    "u' = -u, 5 frames": (
        *CUSTOM, "equation.rhs={u: '-u'}", "initial.u=1.0", "grid=8", "time.end=5",
        "output.frames=5",
    ),
    "u' = -u, 100 frames": (
        *CUSTOM, "equation.rhs={u: '-u'}", "initial.u=1.0", "grid=8", "time.end=5",
    ),
    "Fisher-KPP front": (
        *CUSTOM, "equation.rhs={u: '0.01*laplacian(u)+u*(1-u)'}",
        "initial.u='1/(1+exp(10*(x-4)))'", "grid=[400]", "domain.extent=40", "boundary=neumann",
        "time.end=100", "output.frames=20",
    ),
    "diffusivity that grows in time": (
        *CUSTOM, "equation.rhs={u: '0.001*(1+200*t)*laplacian(u)'}",
        "initial.u='1+cos(2*pi*x)'", "grid=[128]", "time.end=2",
    ),
    "diffusivity large in a disk": (
        "equation=heat", "equation.D='where(r < 0.1, 1, 0.01)'", "grid=[64,64]", "time.end=0.5",
        "output.frames=4",
    ),
    "sink in few cells": (
        *CUSTOM, "equation.rhs={u: '-where(abs(x-0.5)<0.01, 1001, 1)*u'}", "initial.u=1.0",
        "grid=256", "time.end=2",
    ),
    "diffusion that stiffens": (
        *CUSTOM, "equation.rhs={u: '0.01*laplacian(u**2)+u'}", "initial.u='1+0.1*sin(2*pi*x)'",
        "grid=32", "time.end=3", "output.frames=12",
    ),
}  # fmt: skip


def last_frame(settings, folder: Path) -> tuple[np.ndarray, dict]:
    """The state at the end, ``(fields, *grid)`` in double precision, and the status file."""
    options = ("animation=none", "output.overwrite=true", "output.compression=none")
    run = pdesim.simulate(*settings, *options, folder=folder)
    with run.snapshots as snapshots:
        state = np.stack([snapshots[name][-1] for name in snapshots.fields]).astype(float)
    return state, json.loads((run.folder / "status.json").read_text())


def differences(state: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Root mean square and maximum of the difference over the range, of the worse field.

    A uniform field has no range: its difference is relative to its value.
    """
    axes = tuple(range(1, state.ndim))
    scale = np.ptp(reference, axis=axes)
    size = np.abs(reference).max(axis=axes)
    scale = np.where(scale > 1e-3 * size, scale, size)
    difference = np.abs(state - reference)
    squares = np.sqrt((difference**2).mean(axis=axes))
    return float((squares / scale).max()), float((difference.max(axis=axes) / scale).max())


def reference_state(settings, reference, steps: int, folder: Path, kept: Path | None) -> np.ndarray:
    """The state at the end by the reference method; read from ``kept`` where it is there."""
    if kept is not None and kept.exists():
        return np.load(kept)
    end = compose_settings(settings).settings.time.end
    dt = end / max(MODE_STEPS, MODE_FACTOR * steps)
    words = [word.format(dt=dt) for word in reference]
    words += ["time.unsafe=true", "device.precision=float64", "output.frames=1"]
    state, _ = last_frame((*settings, *words), folder)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, state)
    return state


def measure(settings, reference, folder: Path, kept: Path | None) -> dict:
    """One case: errors, chaos, the stepper and the estimate of the run itself."""
    began = time.perf_counter()
    state, status = last_frame(settings, folder / "single")
    seconds = time.perf_counter() - began
    double, _ = last_frame((*settings, "device.precision=float64"), folder / "double")
    steps = status.get("steps") or 0
    exact = reference_state(settings, reference, steps, folder / "reference", kept)
    squares, largest = differences(state, exact)
    return {
        "rms": squares,
        "max": largest,
        "chaos": differences(state, double)[0],
        "stepper": status.get("stepper"),
        "steps": status.get("steps"),
        "estimate": status.get("time_error"),
        "seconds": round(seconds, 2),
    }


def table(results: dict, before: dict) -> str:
    """The results as Markdown."""
    lines = [
        "| case | before, RMS | stepper | steps | RMS | largest | estimated by the run | chaotic |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in results.items():
        old = before.get(name, {}).get("rms")
        told = one["estimate"] and max(one["estimate"].values())
        cells = [
            name,
            "" if old is None else f"{old:.1e}",
            one["stepper"],
            f"{one['steps']:,}",
            f"{one['rms']:.1e}",
            f"{one['max']:.1e}",
            "" if told is None else f"{told:.0e}",
            "yes" if one["chaos"] > 0.01 else "",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sizes", type=int, nargs="*", default=[64, 128, 256])
    options.add_argument("--equations", nargs="*", default=list(EQUATIONS))
    options.add_argument("--no-rows", action="store_true", help="shipped equations only")
    options.add_argument("--json", type=Path, help="write the record to this file")
    options.add_argument("--before", type=Path, help="the record of another version")
    options.add_argument("--references", type=Path, help="keep the states of references here")
    asked = options.parse_args()
    before = json.loads(asked.before.read_text()) if asked.before else {}
    cases = {
        f"{name} {size}": ((f"equation={name}", f"grid={size}"), EQUATIONS[name])
        for name in asked.equations
        for size in asked.sizes
    }
    if not asked.no_rows:
        cases |= {name: (settings, PAIR) for name, settings in ROWS.items()}
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (settings, reference) in cases.items():
            try:
                file = name.replace(" ", "_").replace("/", "_") + ".npy"
                kept = asked.references and asked.references / file
                results[name] = measure(settings, reference, Path(folder), kept)
                print(name, results[name], flush=True)
            except pdesim.PdesimError as error:
                print(f"{name}: {error}", flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(results, indent=1))
    print(table(results, before))


if __name__ == "__main__":
    main()
