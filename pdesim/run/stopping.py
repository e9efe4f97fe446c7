"""Requests to stop a run: signals, a time limit, or the end of the process that started it."""

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
from types import FrameType

from pdesim.errors import InterruptedRun

#: signals that stop a run; batch systems such as Slurm send SIGUSR1 before they end a job
SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, n))
#: exit code after ``time.wall_limit``: EX_TEMPFAIL of sysexits.h, which means "try again later"
WALL_LIMIT_EXIT = 75


#: seconds between two checks whether the owner still exists
OWNER_CHECK_SECONDS = 0.5


@dataclass(frozen=True)
class Owner:
    """The process that started a worker and receives its results.

    Args:
        machine: name of the machine; on Linux also the namespace of process ids, which differs
            between containers.
        pid: process id.
        started: start time of the process, which distinguishes it from later ones with the same id.
    """

    machine: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        """Return a description of this process."""
        return cls(_machine(), os.getpid(), _start_of(os.getpid()) or "")

    def has_ended(self) -> bool:
        """Return whether the process has ended; False if it is on another machine (unknown)."""
        return self.machine == _machine() and _start_of(self.pid) != self.started


def _machine() -> str:
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return f"{platform.node()} {space}"


def _start_of(pid: int) -> str | None:
    """Return the start time of a process as text, in units that depend on the operating system.

    The result is None if the process has ended, and an empty string if the system does not report
    start times.
    """
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()  # the process name may have any encoding
        except OSError:
            return None
        state, *fields = stat.rpartition(b")")[2].decode().split()
        return None if state in "ZX" else fields[18]  # man 5 proc: field 22, starttime
    if sys.platform != "win32":  # on Windows, os.kill would end the process
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            pass
    return ""


class StopRequests:
    """Collects requests to stop a run.

    The run calls :meth:`check` at points where stopping is safe. The method raises an exception for
    the first request.

    Args:
        seconds: limit of wall-clock time from now; None: unlimited.
        file: the run stops when this file exists. A signal to one process creates the file, so that
            all processes with the same file stop together.
        owner: the run stops when this process has ended.
    """

    def __init__(
        self, seconds: float | None, file: Path | None = None, owner: Owner | None = None
    ) -> None:
        self.caught: list[signal.Signals] = []
        self._limit, self._file, self._owner = seconds, file, owner
        self._began = self._owner_checked = time.monotonic()
        self._owner_ended = False

    def catch(self, number: int) -> None:
        """Record a signal, and create the file that stops the other processes."""
        self.caught.append(signal.Signals(number))
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.touch()

    @property
    def reason(self) -> tuple[str, int] | None:
        """The reason to stop now and the exit code for it; None if there is no request."""
        if self.caught:
            number = self.caught[0]
            return f"stopped by {number.name}", 128 + number
        if self._file is not None and self._file.exists():
            return "stopped because its sweep was stopped", 128 + signal.SIGINT
        if self._has_lost_owner():
            return "stopped because the process that started it has ended", 128 + signal.SIGTERM
        if self._limit is not None and time.monotonic() - self._began >= self._limit:
            return f"stopped by time.wall_limit={self._limit:g} s", WALL_LIMIT_EXIT
        return None

    def _has_lost_owner(self) -> bool:
        now = time.monotonic()
        if self._owner is not None and now - self._owner_checked >= OWNER_CHECK_SECONDS:
            self._owner_checked = now
            self._owner_ended = self._owner_ended or self._owner.has_ended()
        return self._owner_ended

    def check(self, now: float) -> None:
        """Raise InterruptedRun if there is a request to stop.

        Args:
            now: the simulated time, for the message.
        """
        if self.reason is not None:
            cause, code = self.reason
            message = f"{cause} at t = {now:.6g}; all frames are kept"
            raise InterruptedRun(message, exit_code=code)


@contextmanager
def stop_requests(
    seconds: float | None = None, file: Path | None = None, owner: Owner | None = None
) -> Iterator[StopRequests]:
    """Collect signals and other requests to stop during the context.

    A second signal of the same kind has its usual effect, which is to end the process immediately.
    See :class:`StopRequests` for the arguments.
    """
    requests = StopRequests(seconds, file, owner)
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return

    def note(number: int, _frame: FrameType | None) -> None:
        requests.catch(number)
        signal.signal(number, previous[number])

    previous = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield requests
    finally:
        for number in SIGNALS:
            signal.signal(number, previous[number])
