"""Writes the page of a run or of a sweep."""

from __future__ import annotations

from pathlib import Path

from pdesim.errors import OutputError
from pdesim.files import as_path, check_folder
from pdesim.output.find import find_snapshots
from pdesim.output.sweeps import is_sweep
from pdesim.page.run_page import run_page
from pdesim.page.sweep_page import sweep_page
from pdesim.render.movie import replacing
from pdesim.render.pictures import check_settings
from pdesim.settings import Animation

FILE = "index.html"
#: a page contains this text near its start; a file without it is not replaced
_MARK = '<meta name="generator" content="pdesim">'


def write_page(path: str | Path, animation: Animation) -> Path:
    """Write ``index.html``, which shows the stored frames of a run, or the runs of a sweep.

    The file contains all that it shows, and browsers can open it without a server. Frames are read
    one by one. Large frames are averaged over neighbouring cells, values are rounded to 8 bits, and
    at most 101 frames are shown; the page states this.

    Args:
        path: the folder of a run, a snapshot file, or the folder of a sweep.
        animation: the field that is shown first, the colours and their limits, and the plane of a
            3-D field.

    Returns:
        The path of the page, in the folder of the run or the sweep.

    Raises:
        OutputError: if there is no run that can be read, or no frame; if the page cannot be
            written, or would replace a file that is not such a page.
        ConfigError: if the settings do not apply to the run.
        MissingExtraError: if the compression needs a package that is not installed.
    """
    check_settings(animation, Animation)
    path = as_path(path)
    sweep = is_sweep(path)
    folder = path if sweep else find_snapshots(path).parent
    check_folder(folder)
    target = folder / FILE
    _check_replaceable(target)
    text = sweep_page(path, animation) if sweep else run_page(path, animation)
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def _check_replaceable(target: Path) -> None:
    if not target.exists() and not target.is_symlink():
        return
    start = b""
    if target.is_file() and not target.is_symlink():
        try:
            with target.open("rb") as file:
                start = file.read(2000)
        except OSError as error:
            raise OutputError(f"{target} cannot be read ({error.strerror})") from None
    if _MARK.encode() not in start:
        raise OutputError(
            f"{target} is not a page of pdesim; nothing was overwritten",
            hint="rename or remove this file",
        )
