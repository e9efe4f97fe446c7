"""The pictures that ``pdesim render`` has drawn in the folder of a run or of a sweep.

``pictures.json`` stores the settings of each picture. When a run is resumed, the pictures are drawn
again with these settings, so that they show the complete run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdesim.errors import PdesimError
from pdesim.files import check_version, read_text, write_text
from pdesim.settings import Animation, Montage, read_section

log = logging.getLogger("pdesim")

FILE = "pictures.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class DrawnPicture:
    """The settings of a picture.

    Attributes:
        animation: the settings with which the picture was drawn.
        own: the ``animation`` of the settings of the run at that time.
        montage: the arrangement of the members of a sweep; None for other pictures.
        own_montage: the ``montage`` of the settings of the sweep at that time.
    """

    animation: Animation
    own: Animation
    montage: Montage | None = None
    own_montage: Montage | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the settings as values for JSON."""
        sections = {
            "animation": self.animation,
            "own": self.own,
            "montage": self.montage,
            "own_montage": self.own_montage,
        }
        return {name: one.model_dump(mode="json") for name, one in sections.items() if one}


def drawn_pictures(folder: Path) -> dict[str, DrawnPicture]:
    """Return the pictures of a folder, by the names of their files.

    Pictures whose file was removed, and entries that cannot be read, are left out.
    """
    return {
        name: picture
        for name, values in _entries(folder).items()
        if Path(name).name == name and (folder / name).is_file()
        if (picture := _picture(values)) is not None
    }


def note_pictures(folder: Path, names: Sequence[str], picture: DrawnPicture) -> None:
    """Store the settings of pictures that were drawn in a folder.

    If the file cannot be written, for example in a read-only folder, this is logged; the pictures
    are then not drawn again when the run is resumed.

    Args:
        folder: the folder of the run or of the sweep.
        names: the names of the files in this folder.
        picture: their settings.
    """
    entries = {**_entries(folder), **dict.fromkeys(names, picture.as_json())}
    kept = {name: values for name, values in entries.items() if (folder / name).is_file()}
    text = json.dumps({"format_version": FORMAT_VERSION, "pictures": kept}, indent=1)
    try:
        write_text(folder / FILE, text + "\n")
    except OSError as error:
        log.info("%s was not written: %s", FILE, error)


def forget_pictures(folder: Path) -> None:
    """Remove the settings of the pictures of a run that is replaced by another one."""
    (folder / FILE).unlink(missing_ok=True)


def _entries(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        values = json.loads(read_text(path))
        check_version(path, values.get("format_version", 1), FORMAT_VERSION)
        return {name: one for name, one in values["pictures"].items() if isinstance(one, Mapping)}
    except (PdesimError, ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        log.info("%s cannot be read: %s", path, error)
        return {}


def _picture(values: Mapping[str, Any]) -> DrawnPicture | None:
    try:
        arrangements = (values.get(name) for name in ("montage", "own_montage"))
        return DrawnPicture(
            read_section(Animation, values["animation"], "animation"),
            read_section(Animation, values["own"], "animation"),
            *(one and read_section(Montage, one, "montage") for one in arrangements),
        )
    except (PdesimError, KeyError, TypeError, ValueError) as error:
        log.info("an entry of %s is not valid: %s", FILE, error)
        return None
