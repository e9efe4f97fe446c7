"""The quantity that the picture of each member of a sweep shows.

Members with different equations have different default fields, ``animation.field``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.errors import ConfigError, FormulaError
from pdesim.output.sweeps import Member
from pdesim.render.field_reader import open_picture
from pdesim.settings import Animation

SETTING = "animation.field"


def own_animation(
    member: Member, members: Sequence[Member], animation: Animation, own_fields: bool
) -> Animation | None:
    """Return the settings of the picture of a member with frames.

    Args:
        member: the member.
        members: all members of the sweep.
        animation: the settings of the picture of the sweep.
        own_fields: whether ``animation.field`` is no choice of the user if it is the setting of a
            member. Every member then shows the field of its own settings or, if it is not stored,
            its first field.

    Returns:
        The settings; None if the member does not have the field that the user has chosen.

    Raises:
        OutputError: if the file cannot be read.
    """
    if member.file is None:
        return None
    known = [one.settings for one in members if SETTING in one.settings]
    chosen = not own_fields or all(settings[SETTING] != animation.field for settings in known)
    fields = [animation.field]
    if not chosen:
        own = member.settings.get(SETTING)
        fields = [own if isinstance(own, str) else None, None]
    for field in fields:
        candidate = animation.model_copy(update={"field": field})
        try:
            with open_picture(member.file, candidate):
                return candidate
        except (ConfigError, FormulaError):
            continue
    return None
