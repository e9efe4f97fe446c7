"""Fits in memory and their data, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from pdesim.fitting.compute import Computed, compute
from pdesim.fitting.prepare import Task, prepare
from pdesim.sweeps.compose import Composer

compose = Composer()
QUIET = Console(quiet=True)


def fit_task(folder: Path, words: list[str], arrays: dict[str, np.ndarray] | None = None) -> Task:
    """Return the task of a fit; arrays are written into a file in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if arrays is not None:
        np.savez(folder / "data.npz", **arrays)
        words = [*words, f"data='{folder / 'data.npz'}'"]
    return prepare(compose(words), compose)


def computed_fit(folder: Path, words: list[str], arrays=None) -> Computed:
    """Compute a fit without pictures."""
    return compute(fit_task(folder, words, arrays), folder, QUIET)


def decaying_mode(D: float, times: np.ndarray, points: int = 32) -> tuple[np.ndarray, float]:
    """Return ``exp(-D k t) sin(2 pi x)`` on a periodic grid of length 1, and k.

    k is the eigenvalue of the second-order stencil, so that this is the exact solution of the
    equation that is discrete in space and exact in time.
    """
    x = (np.arange(points) + 0.5) / points
    k = (2 * points * np.sin(np.pi / points)) ** 2
    return np.exp(-D * k * times)[:, None] * np.sin(2 * np.pi * x), k
