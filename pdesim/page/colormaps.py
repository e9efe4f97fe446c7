"""The colour maps of pages."""

from __future__ import annotations

import matplotlib
import numpy as np

#: the colour maps that a page offers
COLORMAPS = (
    "viridis", "magma", "inferno", "plasma", "cividis", "turbo", "twilight", "gray",
    "RdBu_r", "coolwarm", "PuOr_r", "Spectral_r",
)  # fmt: skip


def colormaps(chosen: str) -> dict[str, str]:
    """Return the colours of colour maps, 256 times red, green and blue as hexadecimal digits."""
    colors = {}
    for name in dict.fromkeys((chosen, *COLORMAPS)):
        values = matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3]
        colors[name] = np.rint(255 * values).astype(np.uint8).tobytes().hex()
    return colors
