"""Draw the pictures of a run: by a second process during the run, or after its end."""

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

#: seconds of a run after which the second process starts to draw; for a shorter run, starting a
#: process costs more time than it saves
START_AFTER_SECONDS = 1.0
#: number of cell updates for which a run certainly lasts longer than ``START_AFTER_SECONDS``; its
#: second process is started early
PREWARM_CELL_UPDATES = 4e9
#: niceness of the second process where the scheduling class ``SCHED_IDLE`` does not exist. With
#: that class, the process gets only otherwise unused time until the run has ended. The threads of a
#: run synchronise at every step, so that a delay of one of them delays them all
NICENESS = 10
#: seconds that the second process has to clean up before it is killed
EXIT_TIMEOUT_SECONDS = 2.0
#: The second process uses the same ``sys.path``, independent of its working directory. It reads its
#: orders from the pipe while Matplotlib is being imported, since a pipe holds only a limited amount
#: of data. Without orders it exits.
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
    """``settings.animation``, without its field if the picture needs fields that are not stored.

    The first stored field is drawn then.
    """
    animation, stored = settings.animation, settings.output.fields
    if stored is not None and not is_available(animation.field, stored, AXES):
        return animation.model_copy(update={"field": None})
    return animation


def draw(folder: Path, animation: Animation, console: Console) -> None:
    """Draw the pictures of a finished run from its files.

    Errors are logged and printed, never raised: they must not make a run fail.
    """
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


class BackgroundRenderer:
    """Draws the frames of a run in a second process of low priority while the run writes them.

    The process reads the file like any other reader, so its failure does not affect the run. Its
    pictures are identical, byte for byte, to those of :func:`draw`, which draws them if it fails.

    Args:
        folder: the run's folder.
        times: the planned times of all frames, shape ``(T,)``.
    """

    def __init__(self, folder: Path, animation: Animation, times: np.ndarray) -> None:
        self.folder, self.animation, self.times = folder, animation, times
        self._first_poll: float | None = None
        self._process: subprocess.Popen[str] | None = None
        self._orders_sent = animation.name == "none"  # or no orders are needed

    def __enter__(self) -> BackgroundRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, whether or not it has finished, and remove its temporary files."""
        process, self._process = self._process, None
        if process is None:
            return
        if not self._orders_sent:
            process.kill()  # without orders it has no files to clean up
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
        """Start the process early.

        Call it before a run that is known to be long, while a core may still be idle.
        """
        if not self._orders_sent:
            self._start()

    def poll(self) -> None:
        """Order the pictures once the run has lasted ``START_AFTER_SECONDS``.

        Call it repeatedly during the run.
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
        """Wait for the pictures; call it when the run has ended and its files are complete.

        Returns:
            Whether the pictures were drawn.
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
                start_new_session=True,  # signals of the terminal are handled by the run
            )
        except OSError as error:  # no memory or too many processes
            log.info("pictures will be drawn after the run (%s)", error)

    def _send(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(OSError):  # the process has ended; its exit status is checked
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
