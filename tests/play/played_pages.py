"""Pages of small problems, and their values in a headless browser."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from conftest import make_plan

from pdesim.plan import Plan
from pdesim.play import build_page


@dataclass
class Opened:
    """An open page, with everything it has printed and requested."""

    page: object
    plan: Plan
    printed: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def run(self, script: str):
        return self.page.evaluate(f"async () => {{ await pdesim.ready; {script} }}")

    def values(self, name: str) -> np.ndarray:
        text = self.run(
            f"const bytes = new Uint8Array(pdesim.field('{name}').buffer);"
            "let text = ''; for (const b of bytes) text += String.fromCharCode(b);"
            "return btoa(text);"
        )
        return np.frombuffer(base64.b64decode(text), "<f4").reshape(self.plan.grid.shape)


@contextmanager
def opened(chromium, folder: Path, *overrides: str, **options) -> Iterator[Opened]:
    """Open the page of some settings, paused."""
    plan = make_plan(*overrides)
    text, _ = build_page(plan, overrides)
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    context = chromium.new_context(**options)
    result = Opened(context.new_page(), plan)
    result.page.on("console", lambda message: result.printed.append(message.text))
    result.page.on("pageerror", lambda error: result.printed.append(str(error)))
    result.page.on("request", lambda request: result.requested.append(request.url))
    result.page.goto(f"{path.as_uri()}#paused")
    yield result
    context.close()


def unpacked(text: str) -> np.ndarray:
    """The embedded state: four values for each cell."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<f4").reshape(-1, 4)
