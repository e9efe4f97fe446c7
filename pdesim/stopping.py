"""Being told to stop: signals, and a limit on real time."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pdesim.errors import InterruptedRun

#: SIGUSR1 is what batch systems send ahead of a job's end
SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, n))
#: "temporary failure, try again" of sysexits.h: the run is not over, ``pdesim resume`` goes on
WALL_LIMIT_EXIT = 75


class StopRequests:
    """Collects requests; :meth:`check` raises the first one at a place where stopping is safe.

    Args:
        seconds: of real time that are allowed, counted from now.
        file: where it is there, the run stops; a signal makes it, so that processes that share
            it stop together.
    """

    def __init__(self, seconds: float | None, file: Path | None = None) -> None:
        self.caught: list[signal.Signals] = []
        self._limit, self._file = seconds, file
        self._began = time.monotonic()

    def catch(self, number: int) -> None:
        self.caught.append(signal.Signals(number))
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.touch()

    @property
    def reason(self) -> tuple[str, int] | None:
        """Why to stop now, and the exit code that goes with it; None while nothing asks for it."""
        if self.caught:
            number = self.caught[0]
            return f"stopped by {number.name}", 128 + number
        if self._file is not None and self._file.exists():
            return "stopped with the rest of its sweep", 128 + signal.SIGINT
        if self._limit is not None and time.monotonic() - self._began >= self._limit:
            return f"time.wall_limit={self._limit:g} s is reached", WALL_LIMIT_EXIT
        return None

    def check(self, moment: float) -> None:
        """Raise InterruptedRun if the run, which stands at time ``moment``, is to stop."""
        if self.reason is not None:
            why, code = self.reason
            told = f"{why} at t = {moment:.6g}; all frames are kept"
            raise InterruptedRun(told, exit_code=code)


@contextmanager
def stop_requests(seconds: float | None = None, file: Path | None = None) -> Iterator[StopRequests]:
    """Signals end the run at its next block; a second one acts at once."""
    requests = StopRequests(seconds, file)
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return

    def note(number, _frame) -> None:
        requests.catch(number)
        signal.signal(number, previous[number])

    previous = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield requests
    finally:
        for number in SIGNALS:
            signal.signal(number, previous[number])
