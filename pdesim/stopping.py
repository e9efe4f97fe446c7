"""Being told to stop: signals, and a limit on real time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pdesim.errors import InterruptedRun

#: SIGUSR1 is what batch systems send ahead of a job's end
SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, n))
#: "temporary failure, try again" of sysexits.h: the run is not over, ``pdesim resume`` goes on
WALL_LIMIT_EXIT = 75


class StopRequests:
    """Collects requests; :meth:`check` raises the first one at a place where stopping is safe."""

    def __init__(self, seconds: float | None) -> None:
        self.caught: list[signal.Signals] = []
        self._limit = seconds
        self._began = time.monotonic()

    def check(self, moment: float) -> None:
        """Raise InterruptedRun if the run, which stands at time ``moment``, is to stop."""
        kept = f"at t = {moment:.6g}; all frames are kept"
        if self.caught:
            number = self.caught[0]
            raise InterruptedRun(f"stopped by {number.name} {kept}", exit_code=128 + number)
        if self._limit is not None and time.monotonic() - self._began >= self._limit:
            told = f"time.wall_limit={self._limit:g} s is reached {kept}"
            raise InterruptedRun(told, exit_code=WALL_LIMIT_EXIT)


@contextmanager
def stop_requests(seconds: float | None = None) -> Iterator[StopRequests]:
    """Signals end the run at its next block; a second one acts at once."""
    requests = StopRequests(seconds)
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return

    def note(number, _frame) -> None:
        requests.caught.append(signal.Signals(number))
        signal.signal(number, previous[number])

    previous = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield requests
    finally:
        for number in SIGNALS:
            signal.signal(number, previous[number])
