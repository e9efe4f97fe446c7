"""The second process, which draws a run during its computation (:mod:`pdesim.render.background`).

The process reads a line of orders from its standard input, and a second line when the run has ended
successfully. If the input ends before the second line, the process exits without pictures.
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
from pdesim.output.run_folder import RunFolder
from pdesim.render.field_reader import open_picture
from pdesim.render.pictures import draw_frames
from pdesim.render.plots import diagnostics_plot
from pdesim.render.streams import open_stream
from pdesim.settings import Animation

#: seconds between two checks for new frames
POLL_SECONDS = 0.05
#: the process exits after this many seconds without progress: reading a growing file may block
#: forever on file systems that do not give the guarantees that HDF5 needs
STALL_TIMEOUT_SECONDS = 60.0


def main(orders: bytes) -> None:
    """Draw the pictures of a run.

    Args:
        orders: JSON of the form ``{"folder": ..., "animation": {...}, "times": [...]}``.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ended = threading.Event()
    threading.Thread(target=_listen, args=(ended,), daemon=True).start()
    message = json.loads(orders)
    animation, times = Animation(**message["animation"]), np.array(message["times"])
    draw_during_run(Path(message["folder"]), animation, times, ended)


def draw_during_run(
    folder: Path, animation: Animation, times: np.ndarray, ended: threading.Event
) -> None:
    """Draw the animation and the plot of the diagnostics while a run writes its files.

    Args:
        folder: the run's folder.
        times: the planned times of all frames, shape ``(T,)``.
        animation: the settings of the picture.
        ended: an event that is set when the run has ended and its files are complete.

    Raises:
        PdesimError: see :func:`pdesim.render.render` and :func:`pdesim.render.diagnostics_plot`.
    """

    def wait_for_more(pause: bool) -> bool:
        faulthandler.dump_traceback_later(STALL_TIMEOUT_SECONDS, exit=True)
        if ended.wait(POLL_SECONDS if pause else 0):
            faulthandler.cancel_dump_traceback_later()  # reading a complete file cannot block
            return False
        return True

    path = RunFolder(folder).snapshots
    while not _has_frames(path, animation) and wait_for_more(True):
        pass
    with open_stream(path, animation, wait_for_more, times) as stream:
        draw_frames(stream)
    diagnostics_plot(folder / "diagnostics.csv", folder / "diagnostics.png")


def _has_frames(path: Path, animation: Animation) -> bool:
    try:
        with open_picture(path, animation):
            return True
    except OutputError:
        return False


def _listen(ended: threading.Event) -> None:
    """Set ``ended`` when a line arrives, and terminate the main thread when the input ends.

    ``os.read`` is used because a thread that reads from ``sys.stdin`` holds a lock that Python
    needs to shut down.
    """
    while os.read(0, 64):
        ended.set()
        # normal priority, since the main process now waits for the pictures
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(os.getpid(), os.SCHED_OTHER, os.sched_param(0))
    _thread.interrupt_main(signal.SIGTERM)
