"""A film of a sweep: the last frames of its members, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pdesim.errors import ConfigError, OutputError, clip
from pdesim.files import as_path, check_folder
from pdesim.output.axis import Axis
from pdesim.output.sweeps import Member, differing_settings, find_members, setting_text
from pdesim.render.field_reader import FrameReader, open_field, open_picture
from pdesim.render.frames import FrameStream
from pdesim.render.own_fields import own_animation
from pdesim.render.pictures import check_settings, draw_frames
from pdesim.settings import Animation

#: largest number of characters of a value in the label of a frame
LONGEST = 24


@dataclass(frozen=True)
class MemberFrames:
    """The last frames of the members of a sweep, in the form of a :class:`FrameReader`.

    Attributes:
        files: the snapshot file of each member.
        slice_, log: see :func:`pdesim.render.field_reader.open_field`.
        fields: the field or the formula that is drawn of each member; None for its first field.
    """

    files: tuple[Path, ...]
    slice_: float
    log: bool
    long_name: str
    unit: str
    equation: str
    time_unit: str
    axes: tuple[Axis, ...]
    plane: int | None
    depth: Axis | None
    path: Path
    field: str
    fields: tuple[str | None, ...]

    @property
    def times(self) -> np.ndarray:
        """The numbers of the members."""
        return np.arange(len(self.files), dtype=float)

    def read(self, frame: int) -> tuple[np.ndarray, float | None]:
        """Return the last frame of a member; see :meth:`FieldReader.read`.

        Raises:
            ConfigError: if its shape differs from that of the first member.
        """
        with open_field(self.files[frame], self.fields[frame], self.slice_, self.log) as reader:
            values, roundoff = reader.read(len(reader.times) - 1)
        shape = tuple(len(axis.centres) for axis in self.axes)
        if values.shape != shape:
            raise ConfigError(
                f"{self.files[frame]} has frames of shape {values.shape}, but the first member "
                f"has frames of shape {shape}",
                "members on one grid; pdesim render without --film draws all sizes",
            )
        return values, roundoff

    def refreshed(self) -> FrameReader:
        """Return this object: all members have ended."""
        return self


def film(folder: str | Path, animation: Animation, own_fields: bool = True) -> Path:
    """Draw the last frames of all members of a sweep as one animation, in the order of the members.

    The label of each frame contains the values of the swept settings.

    Args:
        folder: the folder of the sweep.
        animation: the settings of the picture.
        own_fields: see :func:`pdesim.render.own_fields.own_animation`.

    Returns:
        The file, ``film.gif`` or ``film.mp4`` in the folder of the sweep.

    Raises:
        OutputError: if fewer than two members have frames, or the file cannot be written.
        ConfigError: for ``animation=none`` and ``png``, and for members on different grids.
    """
    check_settings(animation, Animation)
    if animation.name not in ("gif", "mp4"):
        raise ConfigError(
            f"animation={animation.name} is not a film", "animation=gif or animation=mp4"
        )
    animation = animation.model_copy(update={"layout": "single"})
    folder = as_path(folder)
    check_folder(folder)
    members = find_members(folder)
    drawn = [m for m in members if m.file is not None and m.state not in ("unreadable", "failed")]
    found = [own_animation(member, members, animation, own_fields) for member in drawn]
    pairs = [(m.file, one.field) for m, one in zip(drawn, found, strict=True) if one and m.file]
    if drawn and not pairs:  # a field that no member has
        pairs = [(member.file, animation.field) for member in drawn if member.file]
    drawn = [m for m, one in zip(drawn, found, strict=True) if one]
    files, fields = tuple(file for file, _ in pairs), tuple(field for _, field in pairs)
    if len(files) < 2:
        raise OutputError(
            f"{folder} contains {len(files)} members with frames", "a sweep of at least two members"
        )
    picture = animation.model_copy(update={"field": fields[0]})
    with open_picture(files[0], picture) as first:
        reader = MemberFrames(
            files, animation.slice, first.log, first.long_name, first.unit, first.equation, "",
            first.axes, first.plane, first.depth, files[0], first.field, fields,
        )  # fmt: skip
    stream = FrameStream(reader, animation, labels=_labels(drawn, differing_settings(members)))
    return draw_frames(stream, folder / f"film.{animation.name}")


def _labels(members: Sequence[Member], names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name of the swept settings, and their values for each member, as text."""
    short = ", ".join(name.rpartition(".")[2] for name in names) or "member"
    if not names:
        return short, [str(number) for number in range(len(members))]
    texts = [", ".join(setting_text(m.settings.get(name)) for name in names) for m in members]
    return clip(short, LONGEST), [clip(text, LONGEST) for text in texts]
