"""Initial states of patterns have the same size, and number per area, in every domain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import make_plan

#: by initial state: equation, field, what is inside a spot, radius of spots, number per area
SPOTS = {
    "gray_scott_spots": ("gray_scott", 1, lambda v: v > 0.125, 0.06, 6.4),
    "scattered_spots": ("gray_scott", 1, lambda v: v > 0.3, 0.15, 1.92),
    "crossed_spots": ("brusselator", 0, lambda u: u > 1.5, 8.8, 0.00117),
    "seeds": ("swift_hohenberg", 0, lambda u: u > 0.5, 5.0, 4.3e-4),
    "flame_cells": ("kuramoto_sivashinsky", 0, lambda u: u < -5, 3.5, 0.03),
}


def covered(name: str, lengths: tuple[float, float]) -> float:
    """The area inside spots, over that of the domain, on cells of a sixth of their radius."""
    equation, field, inside, radius, _ = SPOTS[name]
    cells = [round(6 * length / radius) for length in lengths]
    plan = make_plan(f"equation={equation}", f"initial={name}", f"grid={cells}",
                     f"domain.extent={list(lengths)}", "stepper=rk4", "time.dt=1e-9",
                     "time.unsafe=true", "time.end=1e-9", "output.frames=1")  # fmt: skip
    return float(inside(plan.state[field]).mean())


@pytest.mark.parametrize("name", SPOTS)
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_spots_keep_their_size_and_density(name, factor):
    *_, radius, density = SPOTS[name]
    length = factor * math.sqrt(24 / density)
    # spots that lie at random cover this much of a plane (Poisson); 24 spots are one standard
    # deviation of a fifth of it away, 96 a tenth
    expected = 1 - np.exp(-density * np.pi * radius**2)
    assert covered(name, (length, length)) == pytest.approx(expected, rel=0.5 / factor)


@pytest.mark.parametrize("name", ["scattered_spots", "crossed_spots", "seeds", "flame_cells"])
def test_small_domains_have_a_spot(name):
    radius = SPOTS[name][3]
    assert covered(name, (4 * radius, 3 * radius)) > 0.15


def test_pearsons_square_has_its_size_in_every_domain():
    """20 of 256 points on a length of 2.5; Pearson, Science 261 (1993) 189."""
    for lengths in ((2.5, 2.5), (0.625, 0.625), (5.0, 1.25)):
        cells = [round(256 / 2.5 * length) for length in lengths]
        plan = make_plan("equation=gray_scott", "initial=pearson", f"grid={cells}",
                         f"domain.extent={list(lengths)}")  # fmt: skip
        inside = plan.state[1] > 0.1
        assert inside.sum() == 20 * 20


def test_default_domains_have_the_spots_they_had():
    """Of scattered_spots the classes of experiment=pearson depend, to the last spot."""
    words = ("equation=gray_scott", "initial=scattered_spots", "grid=64", "seed=7")
    before = "1 - maximum(0.75*spots(24, 0.15, 0.2), spots(124, 0.03)/2)"
    plan, shipped = make_plan(*words, f"initial.u='{before}'"), make_plan(*words)
    # noise of 0.005 apart
    assert np.abs(plan.state[0] - shipped.state[0]).max() < 0.03
