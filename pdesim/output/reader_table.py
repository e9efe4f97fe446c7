"""The table with which notebooks show a snapshot file."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pdesim.errors import PdesimError

if TYPE_CHECKING:
    from pdesim.output.reader import Snapshots


def table(snapshots: Snapshots) -> str:
    """Return the fields, axes and times of a file as an HTML table; never raises PdesimError."""
    try:
        rows = list(_rows(snapshots))
    except PdesimError as error:
        return f"<pre>{html.escape(error.problem)}</pre>"
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    head = "".join(f"<th>{word}</th>" for word in ("", "shape", "range", "unit"))
    name = html.escape(str(snapshots.path.parent))
    return (
        f"<table><caption>Snapshots in {name}, {snapshots.state}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _rows(snapshots: Snapshots) -> Iterator[tuple[str, str, str, str]]:
    """Yield the name, the shape, the range and the unit of each field and axis."""
    count = len(snapshots)
    for name in snapshots.ordered_fields:
        shape = (count, *snapshots[name].shape[1:])
        about = str(snapshots.attributes_of(name).get("long_name", ""))
        label = name if about in ("", name) else f"{name} ({about})"
        axes = ", ".join(("time", *snapshots.axes))
        yield label, f"({axes}) = {shape}", "", snapshots.unit_of(name)
    for name in ("time", *reversed(snapshots.axes)):
        values = snapshots.times[:count] if name == "time" else snapshots.coordinates(name)
        ends = f"{values[0]:g} to {values[-1]:g}" if len(values) else ""
        yield name, str(len(values)), ends, snapshots.unit_of(name)
