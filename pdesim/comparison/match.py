"""The fields and the frame times that two snapshot files have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdesim.errors import OutputError, nearest
from pdesim.output.reader import Snapshots

#: times are equal if they differ by at most this fraction of the largest magnitude of a time
TOLERANCE = 1e-9


def common_fields(a: Snapshots, b: Snapshots, field: str | None = None) -> tuple[str, ...]:
    """Return the fields in both files, in the order of the first, or only the given field.

    Args:
        a, b: the files.
        field: the name of a field; None: all fields.

    Raises:
        OutputError: if a file has no fields, if there is no common field, or if a file does not
            have the given field.
    """
    names = [one.checked_fields() for one in (a, b)]
    if field is not None:
        for one, known in zip((a, b), names, strict=True):
            if field not in known:
                raise OutputError(f"{one.path} has no field {field!r}", nearest(field, known))
        return (field,)
    common = tuple(name for name in names[0] if name in names[1])
    if not common:
        raise OutputError(
            f"{a.path} and {b.path} have no field in common: "
            f"{', '.join(names[0])}; {', '.join(names[1])}",
            "runs of equations with a field of the same name",
        )
    return common


def match_times(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of indices of equal times, ascending in time. No time is in two pairs.

    Args:
        a, b: the times of the frames, in any order.
    """
    if not len(a) or not len(b):
        return []
    tolerance = TOLERANCE * max(np.abs(a).max(), np.abs(b).max())
    order_a, order_b = np.argsort(a, kind="stable"), np.argsort(b, kind="stable")
    pairs, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        first, second = int(order_a[i]), int(order_b[j])
        gap = a[first] - b[second]
        if abs(gap) <= tolerance:
            pairs.append((first, second))
        i += bool(gap <= tolerance)
        j += bool(gap >= -tolerance)
    return pairs


def without_partner(times: np.ndarray, used: Sequence[int]) -> tuple[float, ...]:
    """Return the times whose indices are not in ``used``."""
    return tuple(float(time) for time in np.delete(times, list(used)))
