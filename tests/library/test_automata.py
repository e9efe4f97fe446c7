"""The Game of Life, cell by cell."""

from __future__ import annotations

import numpy as np

import pdesim

GLIDER = np.array([[0, 1, 0], [0, 0, 1], [1, 1, 1]])


def generation(u: np.ndarray) -> np.ndarray:
    """The next generation by the rules, with whole numbers, on a periodic grid."""
    shifts = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    neighbours = sum(np.roll(u, shift, (0, 1)) for shift in shifts)
    return ((neighbours == 3) | ((u == 1) & (neighbours == 2))).astype(int)


def play(folder, start, generations, **settings) -> dict[str, np.ndarray]:
    """All generations of both fields."""
    rows, columns = start.shape
    run = pdesim.simulate(
        "life",
        folder=folder,
        initial={"u": start.astype(float), "trail": 0},
        grid=[columns, rows],
        domain={"extent": [columns, rows]},
        time={"end": generations},
        output={"every": 1},
        animation="none",
        **settings,
    )
    with run.snapshots as file:
        return {name: np.array(file[name][:]) for name in file.fields}


def test_a_glider_moves_by_one_cell_in_four_generations(tmp_path):
    """Along both axes, and around the domain: Gardner, Scientific American 223 (4) (1970) 120."""
    start = np.zeros((12, 10), int)
    start[2:5, 3:6] = GLIDER
    u = play(tmp_path, start, 40)["u"]
    for step in range(11):
        np.testing.assert_array_equal(u[4 * step], np.roll(start, (step, step), (0, 1)))


def test_every_cell_of_many_generations(tmp_path):
    """A random state of single precision against whole numbers; the trail fades by its factor."""
    start = (np.random.default_rng(4).random((32, 48)) < 0.4).astype(int)
    found = play(tmp_path, start, 60, equation={"fade": 0.5})
    expected, trail = start, np.zeros(start.shape)
    for step, u in enumerate(found["u"]):
        if step:
            expected = generation(expected)
            trail = np.maximum(expected, trail / 2)
        np.testing.assert_array_equal(u, expected)
        # powers of two are exact
        np.testing.assert_array_equal(found["trail"][step], trail)
    assert 0 < expected.sum() < start.sum()
