"""Draw docs/library.png, pictures of the gallery side by side: python docs/draw_library.py"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
#: equations with square pictures, row by row
ROWS = (
    ("barkley", "dendrite", "navier_stokes", "maxwell"),
    ("gierer_meinhardt", "mandelbrot", "turbulence", "elastic_waves"),
)
WIDTH, HEIGHT = 300, 276


def main() -> None:
    sheet = Image.new("RGB", (WIDTH * len(ROWS[0]), HEIGHT * len(ROWS)), "white")
    for j, row in enumerate(ROWS):
        for i, name in enumerate(row):
            with Image.open(DOCS / "gallery" / f"{name}.png") as picture:
                small = picture.convert("RGB")
                small.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
                sheet.paste(small, (i * WIDTH, j * HEIGHT))
    sheet.quantize(256, dither=Image.Dither.NONE).save(DOCS / "library.png", optimize=True)


if __name__ == "__main__":
    main()
