"""Check of the values of a sweep before its first member is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdesim.sweeps.compose import Composer

#: number of values of a sweep that are checked before it starts; each check takes up to 0.2 s
MOST_CHECKED = 20


def check_sweep(jobs: Sequence[Sequence[str]], compose: Composer) -> None:
    """Check the first ``MOST_CHECKED`` values of a sweep, before any member is computed.

    Each value is combined with the first values of the other settings. An error in a value that is
    not checked only affects the members with this value.
    """
    first, seen = jobs[0], set(jobs[0])
    _ = compose(first).settings
    for job in jobs:
        for number, word in enumerate(job):
            if word not in seen and len(seen) < len(first) + MOST_CHECKED:
                seen.add(word)
                _ = compose([*first[:number], word, *first[number + 1 :]]).settings
