"""Requests to stop: signals, a limit on real time, and the end of a worker's owner."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pdesim.errors import InterruptedRun

#: SIGUSR1 is what batch systems send ahead of a job's end
SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, n))
#: "temporary failure, try again" of sysexits.h: the run is not over, ``pdesim resume`` goes on
WALL_LIMIT_EXIT = 75


#: seconds between two checks whether the owner is still running
OWNER_CHECK_SECONDS = 0.5


@dataclass(frozen=True)
class Owner:
    """The process that started a worker and takes its results.

    ``machine`` is the name of the machine, with the namespace of process ids on Linux, so that
    containers of one machine differ; ``started`` tells apart processes that had the same ``pid``.
    """

    machine: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        return cls(_machine(), os.getpid(), _start_of(os.getpid()) or "")

    def has_ended(self) -> bool:
        """Whether the process is gone; False on another machine, where it cannot be known."""
        return self.machine == _machine() and _start_of(self.pid) != self.started


def _machine() -> str:
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return f"{platform.node()} {space}"


def _start_of(pid: int) -> str | None:
    """When a process started, as the system counts it; None if it has ended.

    An empty text where the system does not say when.
    """
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()  # the name in it may be in any encoding
        except OSError:
            return None
        state, *fields = stat.rpartition(b")")[2].decode().split()
        return None if state in "ZX" else fields[18]  # man 5 proc: field 22, starttime
    if sys.platform != "win32":  # where os.kill would end the process
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            pass
    return ""


class StopRequests:
    """Collects requests; :meth:`check` raises the first one at a place where stopping is safe.

    Args:
        seconds: of real time that are allowed, counted from now.
        file: where it is there, the run stops; a signal makes it, so that processes that share
            it stop together.
        owner: where this process has ended, the run stops.
    """

    def __init__(
        self, seconds: float | None, file: Path | None = None, owner: Owner | None = None
    ) -> None:
        self.caught: list[signal.Signals] = []
        self._limit, self._file, self._owner = seconds, file, owner
        self._began = self._owner_checked = time.monotonic()
        self._owner_ended = False

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
        if self._has_lost_owner():
            return "stopped because the process that started it has ended", 128 + signal.SIGTERM
        if self._limit is not None and time.monotonic() - self._began >= self._limit:
            return f"time.wall_limit={self._limit:g} s is reached", WALL_LIMIT_EXIT
        return None

    def _has_lost_owner(self) -> bool:
        now = time.monotonic()
        if self._owner is not None and now - self._owner_checked >= OWNER_CHECK_SECONDS:
            self._owner_checked = now
            self._owner_ended = self._owner_ended or self._owner.has_ended()
        return self._owner_ended

    def check(self, moment: float) -> None:
        """Raise InterruptedRun if the run, which stands at time ``moment``, is to stop."""
        if self.reason is not None:
            why, code = self.reason
            told = f"{why} at t = {moment:.6g}; all frames are kept"
            raise InterruptedRun(told, exit_code=code)


@contextmanager
def stop_requests(
    seconds: float | None = None, file: Path | None = None, owner: Owner | None = None
) -> Iterator[StopRequests]:
    """Signals end the run at its next block; a second one acts at once."""
    requests = StopRequests(seconds, file, owner)
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
