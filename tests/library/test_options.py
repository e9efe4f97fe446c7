"""Prices of options against closed formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray

import pdesim

RATE, SX, SY, CORRELATION, MATURITY = 0.06, 0.4, 0.25, 0.4, 0.5
below = np.vectorize(lambda d: (1 + math.erf(d / math.sqrt(2))) / 2)


def price(folder: Any, payoff: str, cells: list[int], y: Any) -> xarray.DataArray:
    """Return the price for prices of 0.6 to 1.65; the sides are at 0.08 and 12.

    They are farther away than 6*SX*sqrt(MATURITY) = 1.7, where their influence is below 1e-8.
    """
    x = {"lower": "neumann", "upper": {"neumann": "exp(x)"}}
    lengths = [5, 5 * cells[1] / cells[0]]
    run = pdesim.simulate(
        "black_scholes", grid=cells, domain={"extent": lengths, "origin": -2.5},
        equation={"rate": RATE, "sx": SX, "sy": SY, "correlation": CORRELATION},
        boundary={"x": x, "y": y}, initial={"V": payoff}, time={"end": MATURITY},
        output={"frames": 1}, animation="none", device={"precision": "float64"}, folder=folder,
    )  # fmt: skip
    return run.to_xarray().V[-1].sel(x=slice(-0.5, 0.5))


def test_a_call_has_the_price_of_black_and_scholes(tmp_path):
    """S*N(d1) - K*exp(-r*t)*N(d2) with S = exp(x) and K = 1."""
    V = price(tmp_path, "maximum(0, exp(x) - 1)", [400, 4], "neumann")
    x, spread = V.x.values, SX * np.sqrt(MATURITY)
    d1 = (x + (RATE + SX**2 / 2) * MATURITY) / spread
    expected = np.exp(x) * below(d1) - np.exp(-RATE * MATURITY) * below(d1 - spread)
    # the cells have h = 0.0125, and errors are of the size of (h/spread)^2/12 = 2e-4 of 0.6
    np.testing.assert_allclose(V.values, np.broadcast_to(expected, V.shape), atol=1e-4)


def test_an_exchange_has_the_price_of_margrabe(tmp_path):
    """S1*N(d1) - S2*N(d2), whatever the rate is: Margrabe, J. Finance 33 (1978) 177."""
    sides = {"lower": {"neumann": "exp(y)"}, "upper": "neumann"}
    V = price(tmp_path, "maximum(0, exp(x) - exp(y))", [160, 160], sides).sel(y=slice(-0.5, 0.5))
    x, y = V.x.values, V.y.values[:, None]
    spread = np.sqrt((SX**2 + SY**2 - 2 * CORRELATION * SX * SY) * MATURITY)
    d1 = (x - y + spread**2 / 2) / spread
    expected = np.exp(x) * below(d1) - np.exp(y) * below(d1 - spread)
    # the cells have h = 0.031, and errors are of the size of (h/spread)^2/12 = 9e-4 of the price 1
    np.testing.assert_allclose(V.values, expected, atol=5e-4)
