"""The pictures of a run: drawn beside the computation where it lasts, else when it is done."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from pdesim.errors import PdesimError
from pdesim.formula.language import AXES
from pdesim.output.run_folder import SNAPSHOTS
from pdesim.render.quantity import is_available
from pdesim.settings import Animation, Settings

log = logging.getLogger("pdesim")

#: a run that has computed for so many seconds is drawn while it goes on; for a shorter one, the
#: start of another process would cost more than it saves
SOON = 1.0
#: updates of a cell for which a run will surely last so long: its process gets ready early
LONG = 4e9
#: computing goes first. Linux gives the process the time that nobody else wants until the run has
#: ended: threads that meet after every step lose more by one that is held up than its share. Where
#: there is no such class, this is its niceness
NICENESS = 10
#: seconds for a process that is no longer needed to put its things away
PATIENCE = 2.0
#: the other process imports from where this one does, whatever folder it is started in. Meanwhile
#: its orders are taken off the pipe, which holds only so much; without any it is not needed
_PROGRAM = """\
import os, sys, threading
if hasattr(os, "SCHED_IDLE"):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
elif hasattr(os, "nice"):
    os.nice({niceness})
sys.path[:] = {path!r}
def get_ready():
    from pdesim.render.plots import warm_up
    warm_up()
ready = threading.Thread(target=get_ready, daemon=True)
ready.start()
orders = open(0, "rb", buffering=0, closefd=False).readline()
if not orders:
    os._exit(1)
ready.join()
from pdesim.render.follow import main
main(orders)
os._exit(0)  # taking Matplotlib down would take half a second, and somebody waits
"""


def shown(settings: Settings) -> Animation:
    """How to draw a run; where a field that the picture needs is not stored, the first that is."""
    animation, stored = settings.animation, settings.output.fields
    if stored is not None and not is_available(animation.field, stored, AXES):
        return animation.model_copy(update={"field": None})
    return animation


def draw(folder: Path, animation: Animation, console: Console) -> None:
    """Pictures from the files; their failure never costs the run."""
    if animation.name == "none":
        return
    from pdesim.render import diagnostics_plot, render

    try:
        picture = render(folder / SNAPSHOTS, animation)
        diagnostics_plot(folder / "diagnostics.csv", folder / "diagnostics.png")
        log.info("drew %s", picture)
    except PdesimError as error:
        log.error("no picture: %s", error)
        console.print(f"no picture: {error}", highlight=False, markup=False)


class Artist:
    """A process of low priority that draws the frames of a run as the file gets them.

    It reads the file like any other reader, so nothing that happens to it touches the run; what it
    leaves is byte for byte what :func:`draw` would have drawn, and where it fails, that draws.

    Args:
        times: of all frames that the run is to have.
    """

    def __init__(self, folder: Path, animation: Animation, times: np.ndarray) -> None:
        self.folder, self.animation, self.times = folder, animation, times
        self._began: float | None = None
        self._process: subprocess.Popen | None = None
        self._ordered = animation.name == "none"  # whether there is nothing more to order

    def __enter__(self) -> Artist:
        return self

    def __exit__(self, *_) -> None:
        """Whatever is still being drawn is not needed any more."""
        process, self._process = self._process, None
        if process is None:
            return
        if not self._ordered:
            process.kill()  # there is nothing that it would have to put away
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for left in self.folder.glob(f".*.{process.pid}.*"):
            with contextlib.suppress(OSError):
                left.unlink()

    def get_ready(self) -> None:
        """To be called before a run that is known to be long, while a core may still be idle."""
        if not self._ordered:
            self._start()

    def glance(self) -> None:
        """To be called now and then while the run goes on; begins when that seems worth it."""
        if self._began is None:
            self._began = time.monotonic()
        if not self._ordered and time.monotonic() - self._began >= SOON:
            self._ordered = True
            if self._process is None:
                self._start()
            orders = {
                "folder": str(self.folder.resolve()),
                "animation": self.animation.model_dump(mode="json"),
                "times": self.times.tolist(),
            }
            self._say(json.dumps(orders))

    def finish(self) -> bool:
        """The run has ended, its files are whole: wait for the pictures; whether they are there."""
        if self._process is None or not self._ordered:
            return False
        self._say("ended")
        return self._process.wait() == 0

    def _start(self) -> None:
        program = _PROGRAM.format(niceness=NICENESS, path=[str(place) for place in sys.path])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # the signals of the terminal are the run's to answer
            )
        except OSError as error:  # no memory, no more processes: there is time afterwards
            log.info("pictures are drawn when the run is done (%s)", error)

    def _say(self, line: str) -> None:
        if self._process is None:
            return
        with contextlib.suppress(OSError):  # it is gone; its exit code tells
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
