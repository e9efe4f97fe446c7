"""The process that draws a run while it goes on: see :mod:`pdesim.render.background`.

Its standard input brings a line of orders, then a line when the run has ended well; when the input
ends before that, there is nothing more to draw for.
"""

from __future__ import annotations

import _thread
import faulthandler
import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np

from pdesim.errors import OutputError
from pdesim.render.field_reader import open_snapshots
from pdesim.render.frames import Footage
from pdesim.render.pictures import draw_frames
from pdesim.render.plots import diagnostics_plot
from pdesim.settings import Animation

#: seconds between two looks for new frames
POLL = 0.05
#: seconds without a sign of life after which the process ends itself: a reader of a growing file
#: may wait for ever where the file system keeps no promises
STUCK = 60.0


def main(orders: bytes) -> None:
    """Draw as ordered, ``{"folder": ..., "animation": {...}, "times": [...]}`` as JSON."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ended = threading.Event()
    threading.Thread(target=_listen, args=(ended,), daemon=True).start()
    told = json.loads(orders)
    draw_along(Path(told["folder"]), Animation(**told["animation"]), np.array(told["times"]), ended)


def draw_along(
    folder: Path, animation: Animation, times: np.ndarray, ended: threading.Event
) -> None:
    """The animation and the plot of the diagnostics of a run that ends when ``ended`` is set.

    Args:
        times: of all frames that the run is to have.

    Raises:
        PdesimError: as :func:`pdesim.render.render` and :func:`pdesim.render.diagnostics_plot`.
    """

    def more(pause: bool) -> bool:
        faulthandler.dump_traceback_later(STUCK, exit=True)
        if ended.wait(POLL if pause else 0):
            faulthandler.cancel_dump_traceback_later()  # nobody waits for a whole file
            return False
        return True

    path = folder / "snapshots.h5"
    while not _has_begun(path, animation) and more(True):
        pass
    with open_snapshots(path, animation.field, animation.slice) as snapshots:
        draw_frames(Footage(snapshots, animation, more, times))
    diagnostics_plot(folder / "diagnostics.csv", folder / "diagnostics.png")


def _has_begun(path: Path, animation: Animation) -> bool:
    try:
        with open_snapshots(path, animation.field, animation.slice):
            return True
    except OutputError:
        return False


def _listen(ended: threading.Event) -> None:
    """Wait for the word that the run has ended; when there is no more to come, end as by a signal.

    A thread must not be left waiting in ``sys.stdin``, whose lock Python wants when it shuts down.
    """
    while os.read(0, 64):
        ended.set()
        if hasattr(os, "SCHED_IDLE"):  # somebody waits now
            os.sched_setscheduler(os.getpid(), os.SCHED_OTHER, os.sched_param(0))
    _thread.interrupt_main(signal.SIGTERM)
