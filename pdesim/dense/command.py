"""The run of a dense linear system."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from pdesim.config.compose import is_given
from pdesim.dense.inputs import read_matrix, read_right, read_shapes
from pdesim.dense.memory import check_device, check_host
from pdesim.dense.result import SOLUTION, write_solution
from pdesim.dense.settings import read_request
from pdesim.engine.device import start_tensorflow
from pdesim.errors import OutputError
from pdesim.files import check_creatable, check_folder, make_folder, new_folder


def run_linear_system(name: str, overrides: Sequence[str]) -> int:
    """Solve a linear system, write its solution, print the folder, and return the exit code.

    Args:
        name: the name of the configuration file.
        overrides: settings as on the command line.

    Raises:
        PdesimError: for invalid settings and files, a lack of memory, and singular matrices.
    """
    request = read_request(name, overrides)
    settings, folder = request.settings, request.folder
    shapes = read_shapes(settings)
    check_host(shapes)
    check_creatable(folder)
    if (folder / SOLUTION).exists() and not settings.overwrite:
        raise OutputError(
            f"{folder} already contains a solution; nothing was overwritten",
            hint="another folder (hydra.run.dir=...), or overwrite=true",
        )
    check_folder(folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    placement = start_tensorflow(settings.device)
    if note := check_device(shapes, placement):
        console.print(note, markup=False)
    from pdesim.dense.solve import solve

    with console.status(f"{shapes.n:,} unknowns on {placement.about}"):
        matrix, right = read_matrix(settings, shapes), read_right(settings, shapes)
        solution = solve(matrix, right, settings.method, placement)
    folder = folder if is_given("hydra.run.dir", overrides) else new_folder(folder)
    make_folder(folder)
    attributes = {
        "n": shapes.n,
        "A": settings.A,
        "y": settings.y,
        "seed": settings.seed,
        "method": solution.method,
        "residual": solution.residual,
        "condition": solution.condition,
        "seconds": solution.seconds,
        "precision": settings.device.precision,
        "device": placement.about,
    }
    write_solution(folder, solution.x.reshape(shapes.y), attributes, request.values)
    console.print(
        f"{shapes.n:,} unknowns by {solution.method} in {solution.seconds:.3g} s; "
        f"relative residual {solution.residual:.1e}",
        markup=False,
    )
    bound = solution.condition * solution.residual
    console.print(
        f"condition number about {solution.condition:.1e}: the relative error of x is at most "
        f"about {bound:.0e}",
        markup=False,
    )
    print(folder)
    return 0
