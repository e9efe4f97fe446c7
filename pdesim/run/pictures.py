"""The pictures of a run that is resumed, or of a sweep: all are drawn again, with their settings.

The picture that the settings ask for (``animation``, or the montage of a sweep) is drawn with the
settings of the last ``pdesim render``, unless ``animation`` was changed when the run was resumed.
"""

from __future__ import annotations

import logging
from pathlib import Path

from rich.console import Console

from pdesim.errors import PdesimError
from pdesim.output.pictures import DrawnPicture, drawn_pictures
from pdesim.render import film, montage, render
from pdesim.render.background import effective_animation
from pdesim.render.pictures import STILLS
from pdesim.run.job import Job
from pdesim.settings import Animation

log = logging.getLogger("pdesim")


def picture_settings(job: Job) -> Animation:
    """Return the settings with which the picture of a job is drawn."""
    planned = effective_animation(job.plan.settings)
    if not job.resume or planned.name == "none":
        return planned
    last = drawn_pictures(job.folder).get(_file_name(planned))
    unchanged = last is not None and last.own == job.plan.settings.animation
    return last.animation if last is not None and unchanged else planned


def redraw_others(job: Job, console: Console) -> None:
    """Draw all pictures of a resumed run again, except the one that its settings ask for.

    Errors are logged and printed but not raised, since a run must not fail because of a picture.

    Args:
        job: the run, which has finished.
        console: the console for errors.
    """
    if job.resume:
        own = job.plan.settings.animation
        redraw(job.folder, own, {_file_name(own)}, console)


def redraw(folder: Path, own: Animation, done: set[str], console: Console) -> None:
    """Draw the pictures that ``pdesim render`` has drawn in a folder again.

    Nothing is drawn if ``animation=none`` was set after they were drawn.

    Args:
        folder: the folder of a run or of a sweep.
        own: the ``animation`` of the settings.
        done: the names of files that have been drawn already.
        console: the console for errors.
    """
    for name, picture in drawn_pictures(folder).items():
        if name in done or (own.name == "none" and picture.own.name != "none"):
            continue
        try:
            done |= {path.name for path in _draw(folder, name, picture)}
            log.info("drew %s", folder / name)
        except PdesimError as error:
            log.error("%s was not drawn: %s", name, error)
            line = f"{name} was not drawn: {error}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def _draw(folder: Path, name: str, picture: DrawnPicture) -> tuple[Path, ...]:
    """Draw a picture, and return the files that were written."""
    if name == "index.html":
        from pdesim.page import write_page  # needed rarely

        return (write_page(folder, picture.animation),)
    if picture.montage is not None:
        return montage(folder, picture.animation, picture.montage)
    if name.startswith("film."):
        return (film(folder, picture.animation),)
    return (render(folder, picture.animation),)


def _file_name(animation: Animation) -> str:
    """Return the name of the file that a run with these settings draws."""
    return f"animation.{'png' if animation.layout in STILLS else animation.name}"
