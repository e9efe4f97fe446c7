"""Draw every kind of picture, and write a page that shows all of them.

    python docs/draw_pictures.py FOLDER

The folder then contains ``index.html``, the pictures beside it, and the runs that they show.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pdesim

#: name -> the equation, and other settings
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "64 x 64 cells": ("gray_scott", {"grid": 64, "time": {"end": 2000}}),
    "512 x 512 cells": ("gray_scott", {"grid": 512, "time": {"end": 800}}),
    "256 x 1024 cells": (
        "allen_cahn",
        {"grid": [1024, 256], "domain": {"extent": [4, 1]}},
    ),
    "flow": (
        "custom",
        {
            "equation": {
                "rhs": {
                    "u": "0.01*laplacian(u) - u*d_dx(u) - v*d_dy(u)",
                    "v": "0.01*laplacian(v) - u*d_dx(v) - v*d_dy(v)",
                }
            },
            "initial": {"u": "sin(2*pi*y)", "v": "sin(4*pi*x)"},
            "grid": 128,
            "time": {"end": 0.4},
        },
    ),
    "1-D": (
        "kuramoto_sivashinsky", {"grid": 256, "domain": {"dimensions": 1}, "time": {"end": 100}}
    ),
    "3-D": ("gray_scott", {"grid": 48, "domain": {"dimensions": 3}, "time": {"end": 600}}),
    "steady": ("poisson", {"grid": 128, "boundary": "dirichlet"}),
}  # fmt: skip
#: the settings of ``animation`` for each picture of a run
FLAT: tuple[dict[str, Any], ...] = (
    {}, {"name": "png", "theme": "dark"}, {"layout": "fields"}, {"layout": "sheet"},
    {"layout": "spectrum"}, {"name": "png", "contours": 3, "enlarge": "nearest"},
)  # fmt: skip
SURFACES: tuple[dict[str, Any], ...] = (
    ({"layout": "surface"}, {"name": "png", "layout": "surface", "theme": "dark"})
    if find_spec("pyvista")
    else ()
)
PICTURES: dict[str, tuple[dict[str, Any], ...]] = {
    "64 x 64 cells": (*FLAT, {"name": "png", "scale": "log"}, {"limits": "per_frame"}),
    "512 x 512 cells": FLAT,
    "256 x 1024 cells": ({}, {"layout": "sheet", "theme": "dark"}),
    "flow": (
        {"limits": "symmetric"},
        {"name": "png", "arrows": ["u", "v"], "theme": "dark"},
    ),
    "1-D": ({}, {"layout": "space_time"}, {"layout": "sheet"}, {"layout": "spectrum"}),
    "3-D": ({}, {"layout": "projection", "theme": "dark"}, {"layout": "single"}, *SURFACES),
    "steady": ({}, {"theme": "dark", "contours": 6}),
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sections = [section(folder, name) for name in RUNS]
    style = "body{font:16px sans-serif;margin:2em}img{max-width:100%}figure{margin:1em 0 2em}"
    page = f"<!doctype html><meta charset=utf-8><title>Pictures</title><style>{style}</style>"
    (folder / "index.html").write_text(page + "\n".join(sections), encoding="utf-8")
    print(folder / "index.html")


def section(folder: Path, name: str) -> str:
    """Compute a run, draw its pictures, and return their part of the page."""
    place = name.replace(" ", "_")
    equation, settings = RUNS[name]
    output = {} if equation == "poisson" else {"output": {"frames": 30}}
    run = pdesim.simulate(
        equation, **settings, **output, animation="none", folder=folder / "runs" / place
    )
    figures = [figure(folder, run, place, number, s) for number, s in enumerate(PICTURES[name])]
    return f"<h2>{html.escape(name)}</h2>" + "".join(figures)


def figure(
    folder: Path, run: pdesim.Run, place: str, number: int, settings: Mapping[str, Any]
) -> str:
    picture = run.animate(**settings)
    path = picture.save(folder / f"{place}_{number}.{picture.kind}")
    words = " ".join(f"animation.{key}={value}" for key, value in settings.items()) or "default"
    return f'<figure><img src="{path.name}"><figcaption>{html.escape(words)}</figcaption></figure>'


if __name__ == "__main__":
    main(Path(sys.argv[1]))
