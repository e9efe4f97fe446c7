"""What storing frames costs: the same run with all frames written and with none, turn by turn.

    python benchmarks/writing_cost.py [--grid 512] [--frames 200] [--repeats 3] [--json]

Both compute the default Gray-Scott run in one process, programs compiled beforehand; one hands its
frames to the recorder (gzip, diagnostics, a checkpoint at the end) and waits until all is on disk.
Besides, the CPU time of the writing thread: per frame, and as a share of all that the cores have.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from pdesim.config.compose import compose_settings
from pdesim.engine.startup import start_for
from pdesim.output import Worker, frames_waiting
from pdesim.plan import build_plan


class TimedWorker(Worker):
    """Counts the CPU seconds that its tasks take in its thread."""

    seconds = 0.0

    def put(self, task, *arguments) -> float:
        return super().put(self._timed, task, arguments)

    def _timed(self, task, arguments) -> None:
        began = time.thread_time()
        task(*arguments)
        self.seconds += time.thread_time() - began


def cores() -> int:
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=512)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    words = [f"grid={options.grid}", f"output.frames={options.frames}", "output.overwrite=true"]
    composed = compose_settings(["equation=gray_scott", *words])
    plan = build_plan(composed.settings, composed.equation)
    placement = start_for([plan])
    from pdesim.engine.simulation import Simulation
    from pdesim.run.files import open_recorder
    from pdesim.run.job import Job

    compiled, first = Simulation(plan, placement), plan.state
    compiled.prepare()
    plan.first.values = first  # a prepared run lets it go

    def turn(folder: Path | None) -> tuple[float, float]:
        """Seconds of wall time, and of CPU time in the writing thread."""
        simulation = Simulation(plan, placement)
        simulation.blocks = compiled.blocks
        worker = TimedWorker(frames_waiting(plan.state_bytes))
        recorder = folder and open_recorder(Job(plan, folder, composed.yaml), worker)
        began = time.perf_counter()
        for frame in simulation.frames():
            if recorder:
                recorder.frame(frame.index, frame.time, frame.state)
        if recorder:
            recorder.checkpoint(simulation.moment())
            recorder.close()
        worker.close()
        return time.perf_counter() - began, worker.seconds

    with tempfile.TemporaryDirectory() as folder:
        turns = [(turn(None), turn(Path(folder))) for _ in range(options.repeats + 1)][1:]
    # turns, without and with writing, wall time and CPU time of the writing thread
    seconds = np.array(turns)
    without, wall, busy = seconds[:, 0, 0], seconds[:, 1, 0], seconds[:, 1, 1]
    extra = 100 * (wall / without - 1)
    frame = 1e3 * busy / (options.frames + 1)
    share = 100 * busy / (cores() * wall)
    if options.json:
        figures = {"extra_percent": extra, "writer_ms_a_frame": frame, "writer_percent": share}
        print(json.dumps({"grid": options.grid, **{k: v.tolist() for k, v in figures.items()}}))
        return
    print(f"Gray-Scott {options.grid}^2, {options.frames} frames, {options.repeats} turns each")
    low, middle, high = np.percentile(extra, [0, 50, 100])
    print(f"writing costs {middle:.1f} % of wall time (from {low:.1f} to {high:.1f})")
    print(
        f"the writing thread takes {np.median(frame):.1f} ms of CPU time a frame: "
        f"{np.median(share):.1f} % of what {cores()} cores have"
    )


if __name__ == "__main__":
    main()
