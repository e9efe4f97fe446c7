"""The cost of exchanges, and the number of steps between them."""

import math

import pytest

from pdesim.engine.distributed.communicator import Peers, ThreadCommunicator
from pdesim.engine.distributed.link import COPIES, Link, Rows, block_seconds, measure_link


def test_the_best_number_of_steps_is_that_of_the_derivative():
    """``T * 2*g/r = (L + c)/k**2`` at the minimum; bytes per step do not depend on ``k``."""
    rows = Rows(number=10_000, row_bytes=100, per_step=2, step_seconds=1e-2, copy_seconds=1e-3)
    link = Link(latency=5e-3, bandwidth=1e9)
    exchange = link.latency + COPIES * rows.copy_seconds
    best = math.sqrt(exchange * rows.number / (2 * rows.per_step * rows.step_seconds))
    assert rows.best_steps(1000, link) == pytest.approx(best, abs=1)
    assert rows.best_steps(5, link) == 5  # at most this number
    slower = Link(latency=20 * link.latency, bandwidth=1e9)
    assert rows.best_steps(1000, slower) > rows.best_steps(1000, link)


def test_seconds_per_step():
    rows = Rows(number=100, row_bytes=1000, per_step=1, step_seconds=1.0, copy_seconds=0.5)
    # 4 steps: 8 ghost rows of 100; 8000 bytes at 1000 bytes per second, and copies
    found = rows.seconds_per_step(4, Link(latency=2.0, bandwidth=1e3))
    assert found == pytest.approx(1.08 + (2 + 8 + 0.5 * COPIES) / 4)


def test_all_devices_agree_on_the_measured_cost():
    from concurrent.futures import ThreadPoolExecutor

    peers = Peers(3)
    communicators = [ThreadCommunicator(peers, rank, "/CPU:0") for rank in range(3)]
    with ThreadPoolExecutor(3) as pool:
        links = list(pool.map(measure_link, communicators))
        blocks = list(pool.map(block_seconds, communicators))
    assert len(set(links)) == len(set(blocks)) == 1
    assert links[0].seconds(1e6) >= links[0].latency >= 0 and blocks[0] > 0
