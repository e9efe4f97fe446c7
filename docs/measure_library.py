"""Run equations with default settings; draw their pictures and record what is measured.

    python docs/measure_library.py [NAME ...]     the named equations; by default those without
                                                  values for their present settings

The pictures are ``docs/gallery/NAME.png``. The values are written to ``configs/measured.json``,
from which ``pdesim list NAME`` and the gallery read them. Orders of accuracy are those of the table
in ``docs/verification.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pdesim.config.compose import choices, compose_settings
from pdesim.config.folders import config_folder
from pdesim.config.library import MEASURED_FILE, Measured, digest, measured
from pdesim.output.reader import Snapshots

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "gallery"
VERIFICATION = ROOT / "docs" / "verification.md"
SIZE = "animation.size=320"
#: settings of pictures that say more than the last frame
PICTURES: dict[str, tuple[str, ...]] = {
    "advection": ("animation.time=0.9",),
    "burgers": ("animation.time=0.25",),
    "elastic_waves": ("animation.time=2.0",),
    "epidemic": ("animation.time=25",),
    "heat": ("animation.time=1.0",),
    "klein_gordon": ("animation.time=24",),
    "lotka_volterra": ("animation.limits=per_frame",),
    "porous_medium": ("animation.limits=per_frame",),
    "schroedinger": ("animation.time=0.0045",),
    "shallow_water": ("animation.time=1.6",),
    "telegraph": ("animation.time=0.15",),
    "turbulence": ("animation.limits=per_frame",),
    "wave": ("animation.time=0.3",),
}


def equations() -> list[str]:
    """Return the names of all equations of the library."""
    return [name for name in choices("equation") if name != "custom"]


def main(names: list[str]) -> None:
    GALLERY.mkdir(exist_ok=True)
    known = measured()
    stale = [
        name
        for name in equations()
        if name not in known or known[name].settings != digest(settings_of(name))
    ]
    for name in names or stale:
        print(f"{name} ...", end=" ", flush=True)
        found = measure(name)
        write(name, found)
        print(
            f"{found.cpu_seconds} s, error in time {found.time_error}, {found.space}, {found.time}"
        )


def measure(name: str) -> Measured:
    """Run an equation with its default settings and draw its picture."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.times()
        pdesim(f"equation={name}", "hydra.run.dir=run", cwd=folder)
        after = os.times()
        run = Path(folder, "run")
        status = json.loads((run / "status.json").read_text())
        picture = PICTURES.get(name) or layout(run)
        pdesim("render", "run", "animation=png", SIZE, *picture, cwd=folder)
        shutil.copy(run / "animation.png", GALLERY / f"{name}.png")
    values = settings_of(name)
    operators = scheme(values["operators"])
    errors = [error for error in (status.get("time_error") or {}).values() if error is not None]
    spent = sum(after[2:4]) - sum(before[2:4])
    return Measured(
        settings=digest(values),
        operators=operators,
        stepper=status.get("stepper") or "",
        steps=status.get("steps") or 0,
        time_error=max(errors, default=None),
        cpu_seconds=round(spent),
        space=order(name, "space", operators),
        time=order(name, "time", status.get("stepper") or ""),
        picture=picture,
    )


def pdesim(*words: str, cwd: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pdesim", *words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")


def layout(run: Path) -> tuple[str, ...]:
    """The time is an axis of the pictures of one-dimensional runs."""
    with Snapshots(run) as snapshots:
        one_dimensional = len(snapshots.axes) == 1 and len(snapshots.times) > 2
    return ("animation.layout=space_time",) if one_dimensional else ()


def settings_of(name: str) -> dict[str, Any]:
    return compose_settings([f"equation={name}"]).values


def scheme(operators: dict[str, Any]) -> str:
    """The name of the operators in the table of verification."""
    name = operators["name"]
    if name == "spectral":
        return name
    return f"{name} {operators['order']}{' isotropic' if operators.get('isotropic') else ''}"


def order(name: str, refined: str, method: str) -> str | None:
    """Return a measured order with its method, of the default method if it was measured."""
    rows = [row for row in table() if row[0].split()[0] == name and row[2] == refined]
    rows = [row for row in rows if row[3].split(",")[0] == method] or rows[:1]
    if not rows:
        return None
    _, _, _, used, claimed, _, slope, error, _ = rows[0]
    value = f"error {error}" if claimed == "spectral" else slope
    return f"{value} ({used})"


def table() -> list[list[str]]:
    """Return the rows of the table of verification, without its head."""
    lines = VERIFICATION.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| equation | walls"))
    rows = (line for line in lines[start + 2 :] if line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def write(name: str, found: Measured) -> None:
    """Replace the values of an equation, and forget those of equations that no longer exist."""
    path = config_folder() / MEASURED_FILE
    stored = json.loads(path.read_text()) if path.is_file() else {}
    stored[name] = {**vars(found), "picture": list(found.picture)}
    kept = {key: stored[key] for key in sorted(stored) if key in equations()}
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(equations())
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(equations())}")
    main(sys.argv[1:])
