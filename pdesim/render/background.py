"""Draws the pictures of a run, in a second process during the run, or after its end."""

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

#: the second process starts to draw when the run has lasted this many seconds; for a shorter run,
#: starting a process would take more time than it saves
START_AFTER_SECONDS = 1.0
#: a run with at least this many cell updates certainly lasts longer than ``START_AFTER_SECONDS``,
#: so that its second process can be started early
PREWARM_CELL_UPDATES = 4e9
#: niceness of the second process on systems without the scheduling class ``SCHED_IDLE``. On other
#: systems, the process uses only time in which a core would be idle, until the run has ended. This
#: matters because the threads of a run synchronise at every step: a delay of one delays all
NICENESS = 10
#: if the second process is ended early, it is killed unless it has cleaned up after this many
#: seconds
EXIT_TIMEOUT_SECONDS = 2.0
#: the program of the second process. It uses the same ``sys.path`` as this process, and does not
#: depend on its working directory. It reads its orders from the pipe while another thread imports
#: Matplotlib, so that writing to the pipe does not block this process. It exits if there are no
#: orders.
_PROGRAM = """\
import os, sys, threading
if hasattr(os, "SCHED_IDLE"):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
elif hasattr(os, "nice"):
    os.nice({niceness})
sys.path[:] = {path!r}
def prewarm():
    from pdesim.render.plots import warm_up
    warm_up()
ready = threading.Thread(target=prewarm, daemon=True)
ready.start()
orders = open(0, "rb", buffering=0, closefd=False).readline()
if not orders:
    os._exit(1)
ready.join()
from pdesim.render.follow import main
main(orders)
os._exit(0)  # a regular exit of Matplotlib takes half a second
"""


def effective_animation(settings: Settings) -> Animation:
    """The settings of the picture: ``settings.animation``, if the required fields are stored.

    Otherwise ``field`` is replaced by None, so that the first stored field is drawn.
    """
    animation, stored = settings.animation, settings.output.fields
    if stored is not None and not is_available(animation.field, stored, AXES):
        return animation.model_copy(update={"field": None})
    return animation


def draw(folder: Path, animation: Animation, console: Console) -> None:
    """Draw the pictures of a finished run from its files.

    Errors are logged and printed but not raised, since a run must not fail because of a picture.
    """
    if animation.name == "none":
        return
    from pdesim.render import diagnostics_plot, render

    try:
        picture = render(folder / SNAPSHOTS, animation)
        diagnostics_plot(folder / "diagnostics.csv", folder / "diagnostics.png")
        log.info("drew %s", picture)
    except PdesimError as error:
        log.error("the picture was not drawn: %s", error)
        console.print(f"the picture was not drawn: {error}", highlight=False, markup=False)


class BackgroundRenderer:
    """Draws the frames of a run in a second process of low priority while the run writes its file.

    The process only reads the file, so that its failure does not affect the run. Its pictures are
    byte-identical to those of :func:`draw`, which is used if the process fails.

    Args:
        folder: the run's folder.
        animation: the settings of the picture.
        times: the planned times of all frames, shape ``(T,)``.
    """

    def __init__(self, folder: Path, animation: Animation, times: np.ndarray) -> None:
        self.folder, self.animation, self.times = folder, animation, times
        self._first_poll: float | None = None
        self._process: subprocess.Popen[str] | None = None
        self._orders_sent = animation.name == "none"  # True also if there is nothing to draw

    def __enter__(self) -> BackgroundRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        """End the second process, even if it is still drawing, and remove its temporary files."""
        process, self._process = self._process, None
        if process is None:
            return
        if not self._orders_sent:
            process.kill()  # a process without orders has not written files
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(EXIT_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for temporary in self.folder.glob(f".*.{process.pid}.*"):
            with contextlib.suppress(OSError):
                temporary.unlink()

    def prewarm(self) -> None:
        """Start the second process before a run that is known to be long.

        Its imports then take place while a core may still be idle.
        """
        if not self._orders_sent:
            self._start()

    def poll(self) -> None:
        """Make the second process draw if the run has lasted ``START_AFTER_SECONDS``.

        This method has to be called repeatedly during the run.
        """
        if self._first_poll is None:
            self._first_poll = time.monotonic()
        if not self._orders_sent and time.monotonic() - self._first_poll >= START_AFTER_SECONDS:
            self._orders_sent = True
            if self._process is None:
                self._start()
            orders = {
                "folder": str(self.folder.resolve()),
                "animation": self.animation.model_dump(mode="json"),
                "times": self.times.tolist(),
            }
            self._send(json.dumps(orders))

    def finish(self) -> bool:
        """Wait until the pictures are complete.

        This method has to be called after the run has ended, when its files are complete.

        Returns:
            Whether the second process has drawn the pictures.
        """
        if self._process is None or not self._orders_sent:
            return False
        self._send("ended")
        return self._process.wait() == 0

    def _start(self) -> None:
        program = _PROGRAM.format(niceness=NICENESS, path=[str(entry) for entry in sys.path])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # so that Ctrl-C reaches only the run
            )
        except OSError as error:  # such as too little memory or too many processes
            log.info("the pictures will be drawn after the run (%s)", error)

    def _send(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        # writing fails if the process has ended; ``finish`` then finds its exit status
        with contextlib.suppress(OSError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
