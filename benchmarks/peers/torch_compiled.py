"""PyTorch: a step under ``torch.compile``, called in a loop."""

from __future__ import annotations

import numpy as np

from peers import problems
from peers.problems import Problem


def build(problem: Problem, n: int) -> dict:
    import torch

    def padded(f):
        return problems.around(
            torch.nn.functional.pad(f[None, None], (1, 1, 1, 1), "circular")[0, 0]
        )

    # a program for every size; the default would fall back to uncompiled steps after a few
    torch._dynamo.config.recompile_limit = 64
    first = [torch.from_numpy(np.array(f)) for f in problem.ahead(problem.state(n))]

    def runner(laplacian):
        step = torch.compile(lambda *fields: problem.step(laplacian, *fields), dynamic=False)

        @torch.inference_mode()
        def run(steps: int) -> np.ndarray:
            fields = first
            for _ in range(steps):
                fields = step(*fields)
            return np.stack(problem.back([f.numpy() for f in fields]))

        return run

    return {"roll": runner(problems.roll(torch)), "pad": runner(padded)}
