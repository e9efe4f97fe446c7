"""A process per package, of which only one runs at a time; the others are stopped.

Otherwise, threads that wait for work in a loop (of OpenMP, of compilers' pools) would take the
cores from the package that is being timed.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from pdesim.bench.timing import estimate_step_time
from peers.packages import PACKAGES, build
from peers.problems import PROBLEMS

#: (problem, cells per axis)
Case = tuple[str, int]


def serve(name: str, cases: Sequence[Case], connection) -> None:
    """The process of a package: compile all forms, then answer requests."""
    forms, errors = {}, {}
    for case in cases:
        try:
            forms[case] = build(name, PROBLEMS[case[0]], case[1])
        except Exception as error:
            errors[case] = f"{type(error).__name__}: {error}".splitlines()[0]
    connection.send(errors)
    while (request := connection.recv()) is not None:
        task, case, form, steps = request
        run = forms[case][form] if form else None
        if task == "forms":
            connection.send(list(forms[case]))
        elif task == "state":
            connection.send(run(steps))
        elif task == "step time":
            connection.send(estimate_step_time(run))
        else:
            began = time.perf_counter()
            run(steps)
            connection.send(time.perf_counter() - began)


class Worker:
    """The process of one package."""

    def __init__(self, name: str, cases: Sequence[Case]) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, (self._connection, remote) = name, context.Pipe()
        self.cases = [case for case in cases if case[0] in PACKAGES[name][2]]
        self._process = context.Process(target=serve, args=(name, self.cases, remote), daemon=True)
        self._process.start()
        remote.close()

    def wait(self) -> None:
        """Wait until everything is compiled; cases that failed are reported and skipped."""
        try:
            errors = self._connection.recv()
        except EOFError:
            errors = dict.fromkeys(self.cases, "its process died")
        for case, error in errors.items():
            tell(f"{self.name} skips {case[0]} {case[1]}: {error}")
        self.cases = [case for case in self.cases if case not in errors]
        self._stop()
        tell(f"{self.name} is ready")

    def _request(self, *request):
        self._continue()
        self._connection.send(request)
        answer = self._connection.recv()
        self._stop()
        return answer

    def _stop(self) -> None:
        if hasattr(signal, "SIGSTOP"):
            os.kill(self._process.pid, signal.SIGSTOP)

    def _continue(self) -> None:
        if hasattr(signal, "SIGCONT"):
            os.kill(self._process.pid, signal.SIGCONT)

    def forms(self, case: Case) -> list[str]:
        return self._request("forms", case, "", 0)

    def estimate_step_time(self, case: Case, form: str) -> float:
        return self._request("step time", case, form, 0)

    def state(self, case: Case, form: str, steps: int) -> np.ndarray:
        return self._request("state", case, form, steps)

    def seconds(self, case: Case, form: str, steps: int) -> float:
        return self._request("run", case, form, steps)

    def close(self) -> None:
        with suppress(BrokenPipeError, ProcessLookupError):
            self._continue()
            self._connection.send(None)


@contextmanager
def started(names: Sequence[str], cases: Sequence[Case]) -> Iterator[list[Worker]]:
    """The processes of all packages, which compile concurrently."""
    workers = [Worker(name, cases) for name in names]
    try:
        for worker in workers:
            worker.wait()
        yield workers
    finally:
        for worker in workers:
            worker.close()


def tell(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan
