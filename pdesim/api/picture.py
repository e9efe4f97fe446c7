"""Pictures of a run in memory, which notebooks show."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdesim.errors import ConfigError
from pdesim.files import as_path, check_folder
from pdesim.settings import Animation, read_section


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture. In a notebook, the last expression of a cell shows it.

    Attributes:
        data: the contents of the file.
        kind: ``png``, ``gif`` or ``mp4``.
    """

    data: bytes
    kind: str

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file, and return its path.

        Raises:
            ConfigError: if the name has the ending of another format.
            OutputError: if the folder does not exist.
        """
        target = as_path(path)
        if target.suffix.lower() != f".{self.kind}":
            raise ConfigError(
                f"{target} does not end in .{self.kind}, and this picture is a {self.kind.upper()}",
                f"{target.with_suffix('.' + self.kind)}",
            )
        check_folder(target.parent)
        target.write_bytes(self.data)
        return target

    def __repr__(self) -> str:
        return f"<Picture: {self.kind.upper()}, {len(self.data) / 1e3:.0f} kB>"

    def _repr_html_(self) -> str:
        text = base64.b64encode(self.data).decode()
        if self.kind == "mp4":
            return f'<video controls src="data:video/mp4;base64,{text}"></video>'
        return f'<img src="data:image/{self.kind};base64,{text}">'


def draw(folder: Path, stored: Mapping[str, Any], changed: Mapping[str, Any]) -> Picture:
    """Draw the frames of a run.

    Args:
        folder: the folder of the run.
        stored: the ``animation`` settings of the run.
        changed: settings that replace these.

    Raises:
        ConfigError: for invalid settings.
        OutputError: if the run cannot be read.
    """
    from pdesim.render import render

    animation = read_section(Animation, {**stored, **changed}, "animation")
    with tempfile.TemporaryDirectory() as place:
        drawn = render(folder, animation, place)
        return Picture(drawn.read_bytes(), drawn.suffix[1:])
