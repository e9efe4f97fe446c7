"""A finished run, and how it is shown."""

from __future__ import annotations

import base64
import html
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdesim.api.picture import Picture, draw
from pdesim.errors import MissingExtraError, OutputError, PdesimError
from pdesim.files import as_path
from pdesim.output import RunFolder, Snapshots, find_snapshots, read_series
from pdesim.output.run_folder import SERIES
from pdesim.output.summary import summarize
from pdesim.settings import Animation

if TYPE_CHECKING:
    import xarray

#: largest picture in bytes that is shown in a notebook; a larger animation is replaced by its last
#: frame
LARGEST_PICTURE = 8_000_000


@dataclass(frozen=True, repr=False)
class Run:
    """A run in a folder: its frames, its series and its status.

    In a notebook, the last expression of a cell shows a run as its animation. Functions that take
    the folder of a run also take the run.

    Args:
        folder: the folder of the run.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", as_path(self.folder))

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def snapshots(self) -> Snapshots:
        """The stored frames, opened for reading."""
        return Snapshots(self.folder)

    @property
    def status(self) -> dict[str, Any]:
        """The entries of ``status.json``, such as ``state``, ``steps`` and ``stopped``."""
        return RunFolder(self.folder).read_status_or_empty()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run as nested dictionaries."""
        with self.snapshots as snapshots:
            return snapshots.config

    @property
    def observed(self) -> dict[str, float]:
        """The last values of the observables and probes; nan if they are not finite."""
        return observed_values(self.status)

    @property
    def picture(self) -> Path | None:
        """The animation or the still picture, or None if there is none."""
        found = (self.folder / f"animation.{suffix}" for suffix in ("gif", "mp4", "png"))
        return next((path for path in found if path.is_file()), None)

    def to_xarray(self) -> xarray.Dataset:
        """Return the stored frames as an ``xarray.Dataset``."""
        with self.snapshots as snapshots:
            return snapshots.to_xarray()

    def series(self) -> xarray.Dataset:
        """Return the observables and probes over time as an ``xarray.Dataset``.

        Raises:
            OutputError: if nothing was observed.
            MissingExtraError: if xarray is not installed.
        """
        path = find_snapshots(self.folder).with_name(SERIES)
        if not path.exists():
            raise OutputError(
                f"{self.folder} contains no series: nothing was observed",
                "a run with observe={...} or probes={...}",
            )
        try:
            import xarray
        except ImportError:
            raise MissingExtraError("series()", "xarray", "xarray") from None
        times, values, about = read_series(path)
        variables = {n: ("time", v, {"long_name": about[n]}) for n, v in values.items()}
        return xarray.Dataset(variables, coords={"time": times})

    def plot(
        self, field: str | None = None, time: float | None = None, **animation: Any
    ) -> Picture:
        """Draw one frame.

        >>> run.plot("v", time=1200, theme="dark")  # doctest: +SKIP

        Args:
            field: a field or a formula; None: the field of the run's animation.
            time: the frame nearest to this time is drawn; None: the last frame.
            animation: other settings of ``animation``, such as ``colormap="magma"``.

        Raises:
            ConfigError: for an unknown field or setting, or a time outside the run.
        """
        given = {"field": field} if field is not None else {}
        return self._drawn({**given, **animation, "name": "png", "time": time})

    def animate(self, field: str | None = None, **animation: Any) -> Picture:
        """Draw the frames as a GIF; the arguments are those of :meth:`plot`.

        ``name="mp4"`` draws an MP4, with ``pip install "pdesim[mp4]"``.
        """
        given = {"field": field} if field is not None else {}
        return self._drawn({"name": "gif", "time": None, **given, **animation})

    def _drawn(self, changed: Mapping[str, Any]) -> Picture:
        return draw(self.folder, self.settings.get("animation") or {}, changed)

    def __repr__(self) -> str:
        try:
            with self.snapshots as snapshots:
                name, count = snapshots.attributes.get("equation_name", "?"), len(snapshots)
                cells = " x ".join(str(len(snapshots.coordinates(a))) for a in snapshots.axes[::-1])
                end = f" to t = {snapshots.times[count - 1]:g}" if count else ""
        except PdesimError as error:
            return f"<Run {self.folder}: {error.problem}>"
        state = self.status.get("state", "unknown")
        frames = "1 frame" if count == 1 else f"{count} frames"
        return f"<Run {self.folder}: {name} on {cells} cells, {frames}{end}, {state}>"

    def _repr_html_(self) -> str:
        """Return the animation or the last frame, with a line of text, for notebooks."""
        try:
            kind, data = self._picture_data()
        except PdesimError:
            return f"<pre>{html.escape(repr(self))}</pre>"
        source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        caption = html.escape(repr(self)[1:-1])
        return (
            f'<figure><img src="{source}"><figcaption>{caption}</figcaption></figure>'
            f"{self._table()}"
        )

    def _table(self) -> str:
        """Return a table of the fields in the last frame as HTML; empty without readable frames."""
        try:
            found = summarize(self.folder)
        except PdesimError:
            return ""
        head = "".join(
            f"<th>{text}</th>" for text in ("field", "min", "max", "mean", "drift of the mean")
        )
        rows = (
            (name, *(f"{x:.5g}" for x in (f.min, f.max, f.mean)), f"{f.drift:+.3g}")
            for name, f in found.fields.items()
        )
        cells = ("".join(f"<td>{html.escape(text)}</td>" for text in row) for row in rows)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _picture_data(self) -> tuple[str, bytes]:
        picture = self.picture
        if picture is not None and picture.suffix != ".mp4":
            data = picture.read_bytes()
            if len(data) <= LARGEST_PICTURE:
                return picture.suffix[1:], data
        from pdesim.render import poster

        with tempfile.TemporaryDirectory() as folder:
            shown = poster(self.folder, self._animation(), Path(folder) / "frame.png")
            return "png", shown.read_bytes()

    def _animation(self) -> Animation:
        stored = self.settings.get("animation") or {}
        return Animation(**{key: value for key, value in stored.items() if key != "name"})


def observed_values(status: Mapping[str, Any]) -> dict[str, float]:
    """Return the last values of observables and probes in a status file, nan if not finite."""
    observed = status.get("observed", {})
    return {name: math.nan if value is None else value for name, value in observed.items()}
