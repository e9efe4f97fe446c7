"""The division of a plan's grid among devices, and of their rows into slabs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pdesim.engine.device import Placement
from pdesim.engine.distributed.communicator import Communicator
from pdesim.engine.distributed.decomposition import Part, divide, reach, rows_per_step
from pdesim.engine.distributed.link import (
    COPY_BYTES_PER_SECOND,
    VALUES_PER_SECOND,
    Link,
    Rows,
)
from pdesim.engine.flat.slabs import Slabs
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.time_loop import TimeLoop
from pdesim.plan import InitialState, Plan

#: ghost rows that devices exchange, if a step needs fewer: wide enough to make exchanges rare,
#: narrow enough that the computation of ghost rows costs little
GHOST_ROWS = 16
#: the largest number of ghost rows on both sides, as a fraction of the rows of a device
MOST_GHOSTS = 1 / 8
#: the largest number of ghost rows on each side, as a fraction of the rows of a process, if it is
#: chosen by the measured cost of an exchange
MOST_CHOSEN_GHOSTS = 1 / 4
#: a size in bytes that no grid exceeds
NO_LIMIT = 2**62


@dataclass(frozen=True)
class Division:
    """What the simulation of a part needs; see :class:`DistributedLoop`.

    Args:
        slabs: the slabs in which steps are taken; None without slabs.
        overlaps: whether exchanges take place while slabs are computed.
    """

    outer: TimeLoop
    part: Part
    steps: int
    communicator: Communicator
    slabs: Slabs | None = None
    overlaps: bool = False


def slabs_of_part(
    plan: Plan, outer: TimeLoop, part: Part, tuning: Tuning, overlaps: bool = False
) -> Slabs | None:
    """Return the slabs of the rows of one device; None if it has too few rows, or without slabs."""
    if slabs_of_grid(plan, outer) is None:
        return None
    rows = range(part.first, part.first + part.rows)
    return outer.slabs_of(plan.step.adaptive, tuning, rows, overlaps)


def slabs_of_grid(plan: Plan, outer: TimeLoop) -> Slabs | None:
    """Return the slabs in which one device computes a single run; None if it does not."""
    if outer.records_steps or outer.context.members:
        return None
    return outer.adaptive_slabs if plan.step.adaptive else outer.slabs


def tuning_of_parts(tuning: Tuning, count: int, in_tiles: bool) -> Tuning:
    """Return the constants for the parts of a grid.

    Parts are computed in tiles if the complete grid is, since the compiler rounds products and sums
    in tiles differently.
    """
    limits = (0, 0) if in_tiles else (tuning.single_band_bytes, NO_LIMIT)
    return replace(
        tuning, single_band_bytes=limits[0], two_band_bytes=limits[1],
        cores=max(1, tuning.threads // count),
    )  # fmt: skip


def decompose(
    plan: Plan, count: int, steps: int | None = None, slabs: Slabs | None = None
) -> tuple[list[Part], int]:
    """Return the parts of a plan's grid, and the number of steps between two exchanges.

    Args:
        count: the number of parts.
        steps: the number of steps; None: as many as ``GHOST_ROWS`` ghost rows allow.
        slabs: the slabs of the grid, whose ghost rows the parts have at least; None without slabs.
    """
    problem, rows = plan.problem, plan.grid.shape[0]
    each = rows_per_step(problem, plan.cost.depth)
    # other carried data than the state are computed from the state and its neighbours
    extra = 0 if plan.stepper.carries_state else reach(problem)
    least = rows // count
    if steps is None:
        most = min(GHOST_ROWS, int(least * MOST_GHOSTS)) - extra
        steps = max(1, most // each)
    every_step = plan.observables is not None and plan.observables.every is None
    if plan.step.adaptive or every_step:
        steps = 1
    periodic = problem.boundary.is_periodic(problem.grid.dimensions - 1)
    ghosts = steps * each + extra
    if slabs is not None and slabs.tile.ghosts <= least:
        ghosts = max(ghosts, slabs.tile.ghosts)
    return divide(rows, count, ghosts, periodic), steps


def part_of_plan(plan: Plan, part: Part) -> Plan:
    """Return the plan of one device: the complete problem, with the initial state of its rows."""
    if plan.rows is not None:  # those of this process
        return plan
    rows: Any = (..., part.own, *[slice(None)] * (plan.grid.dimensions - 1))
    initial = InitialState(None if plan.initial.values is None else plan.state[rows])
    since = plan.resume_from
    if since is not None:
        carry = tuple(values[rows] for values in since.carry)
        since = replace(since, state=since.state[rows], carry=carry)
    return replace(plan, initial=initial, resume_from=since)


def best_steps(plan: Plan, count: int, link: Link, placement: Placement, tuning: Tuning) -> int:
    """Return the number of steps between exchanges that the cost of exchanges makes best.

    Args:
        count: the number of parts.
        link: the measured cost of an exchange.
        tuning: the constants of one device.
    """
    problem, (rows, *_) = plan.problem, plan.grid.shape
    each, least = rows_per_step(problem, plan.cost.depth), rows // count
    row_bytes = plan.state_bytes // rows
    extra = 0 if plan.stepper.carries_state else reach(problem)
    kind = "GPU" if placement.is_gpu else "CPU"
    rate = VALUES_PER_SECOND[kind] * (1 if placement.is_gpu else tuning.threads)
    values = least * len(problem.equation.fields) * plan.grid.cells // rows
    costs = Rows(
        number=least,
        row_bytes=row_bytes,
        per_step=each,
        step_seconds=values * plan.cost.depth / rate,
        copy_seconds=least * row_bytes / COPY_BYTES_PER_SECOND[kind],
    )
    return costs.best_steps(max(1, (int(least * MOST_CHOSEN_GHOSTS) - extra) // each), link)
