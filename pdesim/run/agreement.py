"""Decisions that the processes of a run that shares one grid make together.

All processes must advance by the same blocks of steps, write checkpoints after the same steps, and
stop at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pdesim.errors import InterruptedRun, LostHostError, PdesimError
from pdesim.run.stopping import StopRequests

if TYPE_CHECKING:
    from pdesim.engine.distributed.processes import ProcessCommunicator

T = TypeVar("T")


@dataclass(frozen=True)
class Agreement:
    """Decisions of this process and the others; all must call the same methods in the same order.

    Args:
        communicator: the processes; None if this process computes the run alone.
    """

    communicator: ProcessCommunicator | None = None

    @property
    def divided(self) -> bool:
        """Whether this process computes a part of the grid only."""
        return self.communicator is not None

    def any(self, here: bool) -> bool:
        """Return whether ``here`` is true in any process."""
        return here if self.communicator is None else bool(self._flags(here).any())

    def check(self, stop: StopRequests, now: float) -> None:
        """Raise InterruptedRun if any process was requested to stop.

        Args:
            stop: the requests to this process.
            now: the simulated time.
        """
        if self.communicator is None:
            stop.check(now)
            return
        request: InterruptedRun | None = None
        try:
            stop.check(now)
        except InterruptedRun as error:
            request = error
        codes = self._values(0 if request is None else request.exit_code)
        if request is not None:
            raise request
        if codes.any():
            number = int(np.flatnonzero(codes)[0])
            raise InterruptedRun(
                f"stopped at t = {now:.6g}, because process {number} was stopped; all frames are "
                "kept",
                exit_code=int(codes[number]),
            )

    def in_turn(self, task: Callable[[], T]) -> T:
        """Execute a task in the first process and, when it is done, in all others.

        Raises:
            PdesimError: if the task fails in any process.
        """
        if self.communicator is None:
            return task()
        result: T | None = None
        for mine in (self.communicator.rank == 0, self.communicator.rank > 0):
            error: PdesimError | None = None
            try:
                result = task() if mine else result
            except PdesimError as raised:
                error = raised
            failed = self._flags(error is not None)
            if error is not None:
                raise error
            if failed.any():
                raise self._other_failed(int(np.flatnonzero(failed)[0]))
        assert result is not None
        return result

    def wait(self) -> None:
        """Wait until all processes have called this method."""
        self.any(False)

    def _other_failed(self, number: int) -> LostHostError:
        assert self.communicator is not None
        where = self.communicator.hosts.addresses[number]
        return LostHostError(
            f"process {number} ({where}) could not start the run", hint="see its own message"
        )

    def _flags(self, here: bool) -> np.ndarray:
        return self._values(int(here)).astype(bool)

    def _values(self, here: int) -> np.ndarray:
        assert self.communicator is not None
        return np.array(self.communicator.gather(np.array(here, np.int32), equal=True))


#: the decisions of a process that computes a run alone
ALONE = Agreement()
