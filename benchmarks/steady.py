"""Solvers of steady problems, in turn with SciPy's transforms and pyamg.

    python benchmarks/steady.py [--parts transform multigrid] [--sizes 512 1024] [--rounds 5]

``transform``: Poisson's equation in float32 on ``--cells`` cells per axis, from the source to the
solution, and ``dstn`` with ``idstn`` (Dirichlet) or ``rfft2`` with ``irfft2`` (periodic) from
SciPy on two workers. The check of the residual, which pdesim adds, has its own column.

``multigrid``: iterations of ``solver=cg`` until the residual is 1e-8 of the first one, and the time
of the iterations, beside conjugate gradients with pyamg's Ruge-Stueben hierarchy on the same matrix
in float64. The time to set up both is not counted. pyamg is skipped if it is not installed.

Times are medians of the rounds, in seconds; ratios are medians of the ratios within a round.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import scipy.fft
import scipy.sparse

from pdesim.config import compose_settings
from pdesim.plan import build_plan

BOXES = "where(sin(8*pi*x)*sin(8*pi*y) > 0, 1000, 1)"
ISLANDS = "where((sin(5*pi*x)*sin(7*pi*y) > 0.5), 1000, 1)"
COEFFICIENTS = {
    "constant": "1 + 0*x",
    "varies by 7": "exp(sin(2*pi*x)*cos(4*pi*y))",
    "jumps by 1000: 8x8 boxes": BOXES,
    "jumps by 1000: islands": ISLANDS,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("transform", "multigrid")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--cells", type=int, default=4096, help="cells per axis for transforms")
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 256, 512, 1024, 2048])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if "transform" in options.parts:
        print(
            "| boundary | pdesim | SciPy | ratio | check of the residual |\n|---|---|---|---|---|"
        )
        for kind in ("dirichlet", "periodic"):
            print(transform_row(kind, options.cells, options.rounds), flush=True)
    if "multigrid" in options.parts:
        print("\n| coefficient | cells | iterations | pyamg | seconds | pyamg | ratio |")
        print("|---|---|---|---|---|---|---|")
        for name in COEFFICIENTS:
            for n in options.sizes:
                print(multigrid_row(name, n, options.rounds), flush=True)


def planned(*words: str):
    composed = compose_settings(words)
    return build_plan(composed.settings, composed.equation)


def placed(plan):
    from pdesim.engine.device import start_tensorflow

    return start_tensorflow(plan.settings.device)


def transform_row(kind: str, n: int, rounds: int) -> str:
    import tensorflow as tf

    from pdesim.solvers.transform import Programs

    plan = planned("equation=poisson", f"grid={n}", f"boundary={kind}", "solver=transform")
    programs = Programs(plan, placed(plan))
    state = tf.constant(plan.state, programs.dtype)
    source = programs.source(state)
    array = source.numpy()[0]

    def check() -> None:
        programs.sizes(solution, source, removed)

    def peer() -> np.ndarray:
        if kind == "periodic":
            return scipy.fft.irfft2(scipy.fft.rfft2(array, workers=2), workers=2)
        return scipy.fft.idstn(scipy.fft.dstn(array, workers=2), workers=2)

    solution, removed = programs.solve(source, state)
    own, other, checking = timed([lambda: programs.solve(source, state), peer, check], rounds)
    ratio = np.median(own / other)
    return (
        f"| {kind} | {np.median(own):.3f} | {np.median(other):.3f} | {ratio:.2f} | "
        f"{np.median(checking):.3f} |"
    )


def multigrid_row(coefficient: str, n: int, rounds: int) -> str:
    from pdesim.solvers.iterative import conjugate_gradients
    from pdesim.solvers.multigrid_solver import pose

    plan = planned(
        "equation=custom", "initial=zero", f"grid={n}", "boundary=dirichlet", "solver=cg",
        "device.precision=float64",
        f"equation.solve={{u: 'divergence(({COEFFICIENTS[coefficient]})*gradient(u)) "
        "+ sin(17*x*y) + exp(x)'}",
    )  # fmt: skip
    placed(plan)
    posed = pose(plan)
    system, right = posed.system, posed.right
    target = 1e-8 * float(np.linalg.norm(right))

    def solve() -> int:
        found = conjugate_gradients(system.operator, system.inverse, right, target)
        return len(found.history) - 1

    iterations, peer = solve(), pyamg_solution(system.blocks[0], right.numpy().ravel())
    if peer is None:
        (own,) = timed([solve], rounds)
        return f"| {coefficient} | {n}^2 | {iterations} | | {np.median(own):.3f} | | |"
    own, other = timed([solve, peer], rounds)
    return (
        f"| {coefficient} | {n}^2 | {iterations} | {peer()} | {np.median(own):.3f} | "
        f"{np.median(other):.3f} | {np.median(own / other):.2f} |"
    )


def pyamg_solution(matrix, right: np.ndarray) -> Callable[[], int] | None:
    """Return a function that solves with pyamg and returns the number of iterations."""
    try:
        import pyamg
    except ImportError:
        return None
    hierarchy = pyamg.ruge_stuben_solver(sparse(matrix))

    def solve() -> int:
        residuals: list[float] = []
        hierarchy.solve(right, tol=1e-8, accel="cg", residuals=residuals)
        return len(residuals) - 1

    return solve


def sparse(matrix) -> scipy.sparse.csr_matrix:
    """Return a matrix of couplings in SciPy's format."""
    cells = np.arange(matrix.diagonal.size).reshape(matrix.shape)
    entries = [(cells, matrix.diagonal)]
    for axis, (low, up) in enumerate(zip(matrix.lower, matrix.upper, strict=True)):
        entries += [(np.roll(cells, 1, axis), -low), (np.roll(cells, -1, axis), -up)]
    columns = np.concatenate([column.ravel() for column, _ in entries])
    values = np.concatenate([value.ravel() for _, value in entries])
    rows = np.tile(cells.ravel(), len(entries))
    result = scipy.sparse.csr_matrix((values, (rows, columns)), shape=(cells.size, cells.size))
    result.eliminate_zeros()
    return result


def timed(functions: Sequence[Callable], rounds: int) -> list[np.ndarray]:
    """Return the seconds of each function in each round; the first round is not counted."""
    seconds = np.empty((rounds + 1, len(functions)))
    for row in seconds:
        for number, function in enumerate(functions):
            start = time.perf_counter()
            function()
            row[number] = time.perf_counter() - start
    return list(seconds[1:].T)


if __name__ == "__main__":
    main()
