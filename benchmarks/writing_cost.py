"""What storing frames costs: the same run with all frames written and with none, turn by turn.

    python benchmarks/writing_cost.py [--grid 512] [--frames 200] [--repeats 3] [--json]

Both compute the default Gray-Scott run in one process, programs compiled beforehand; one hands its
frames to the recorder (gzip, diagnostics, a checkpoint at the end) and waits until all is on disk.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from pdesim.config import compose_settings
from pdesim.device import start_tensorflow
from pdesim.output import Worker, frames_waiting
from pdesim.plan import build_plan


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
    placement = start_tensorflow(composed.settings.device)
    from pdesim.run import open_recorder
    from pdesim.simulation import Simulation

    compiled = Simulation(plan, placement)
    compiled.prepare()

    def turn(folder: Path | None) -> float:
        simulation = Simulation(plan, placement)
        simulation.blocks = compiled.blocks
        worker = Worker(frames_waiting(plan.state.nbytes))
        recorder = folder and open_recorder(plan, folder, composed.yaml, False, worker)
        began = time.perf_counter()
        for frame in simulation.frames():
            if recorder:
                recorder.frame(frame.index, frame.time, frame.state)
        if recorder:
            recorder.checkpoint(simulation.moment())
            recorder.close()
        worker.close()
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        pairs = [(turn(None), turn(Path(folder))) for _ in range(options.repeats + 1)][1:]
    seconds = np.array(pairs)
    extra = 100 * (seconds[:, 1] / seconds[:, 0] - 1)
    if options.json:
        print(json.dumps({"grid": options.grid, "extra_percent": extra.tolist()}))
        return
    print(f"Gray-Scott {options.grid}^2, {options.frames} frames, {options.repeats} turns each")
    low, middle, high = np.percentile(extra, [0, 50, 100])
    print(f"writing costs {middle:.1f} % of wall time (from {low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
