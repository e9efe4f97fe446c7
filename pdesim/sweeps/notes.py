"""Notes on settings that have no effect on a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.config.compose import Composed, groups
from pdesim.output.sweeps import short_names
from pdesim.settings import lies_in


def repeated_members(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return a note on the members of a sweep that have the same settings as an earlier member."""
    different = len({tuple(job) for job in jobs})
    if different == len(jobs):
        return []
    return [
        f"{len(jobs) - different} of the {len(jobs)} members of this sweep repeat another member: "
        f"there are only {different} different combinations of values"
    ]


def settings_without_effect(
    composed: Composed, overrides: Sequence[str], jobs: Sequence[Sequence[str]]
) -> list[str]:
    """Return notes on settings of the workers or the montage that were given but have no effect.

    Args:
        composed: the settings of the first member.
        overrides: the settings of the command line.
        jobs: overrides of each member.
    """
    settings, notes = composed.settings, []
    if settings.workers.name == "local" and _sets("workers.options", overrides):
        notes.append("workers.options has no effect with workers=local")
    if settings.animation.name == "none":
        if _sets("montage", overrides):
            notes.append("montage has no effect with animation=none")
        return notes
    varying = _varying(jobs)
    # the choice of a file, or a setting that others refer to, also changes other settings
    if not composed.independent or any(name in groups() for name in varying):
        return notes
    known = {*varying, *short_names(varying).values()}
    for axis in ("x", "y"):
        name = getattr(settings.montage, axis)
        if name is not None and name not in known and not lies_in(name, varying):
            notes.append(
                f"montage.{axis}={name} is not a setting that this sweep varies "
                f"({', '.join(varying) or 'none'}): the montage cannot be drawn"
            )
    return notes


def _sets(section: str, overrides: Sequence[str]) -> bool:
    """Return whether an override sets this section, or a setting inside this section."""
    keys = (text.lstrip("+").partition("=")[0] for text in overrides)
    return any(lies_in(key, (section,)) for key in keys)


def _varying(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of the settings that differ between members."""
    first = jobs[0]
    places = {n for job in jobs for n, word in enumerate(job) if word != first[n]}
    return [first[n].lstrip("+").partition("=")[0] for n in sorted(places)]
