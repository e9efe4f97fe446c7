"""The command ``pdesim converge``: estimates the spatial error, and writes JSON and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pdesim.config.compose import Composed, compose_settings, is_given
from pdesim.converge.levels import build_levels, describe_levels
from pdesim.engine.device import start_tensorflow
from pdesim.errors import ConfigError, OutputError
from pdesim.files import (
    check_creatable,
    check_folder,
    is_path,
    make_folder,
    new_folder,
    reading,
    write_text,
)
from pdesim.output import convergence
from pdesim.run.continuation import check_shape
from pdesim.settings import read_settings
from pdesim.tables import print_table, result_console

USAGE = "settings such as equation=heat grid=64, or the folder of one run; --json, --config-dir DIR"


def run_converge(words: Sequence[str], as_text: bool, config_dir: str | None) -> int:
    """Estimate the spatial error and report it.

    Args:
        words: settings, or the path of a run's folder.
        as_text: whether to print a table instead of JSON.
        config_dir: a folder with additional configuration files.

    Returns:
        The exit code.

    Raises:
        PdesimError: if a setting is invalid, or if a run fails.
    """
    composed, folder, new = _compose(words, config_dir)
    check_creatable(folder)
    check_folder(folder)
    digest = convergence.settings_digest(composed.values)
    levels = build_levels(_in_double(composed, words))  # reports mistakes before TensorFlow starts
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in describe_levels(levels):
        console.print(line, markup=False)
    placement = start_tensorflow(levels.plans[1].settings.device)
    from pdesim.converge.compute import as_json, compute
    from pdesim.converge.plot import plot

    with console.status("planning") as status:

        def report(line: str) -> None:
            status.update(line)
            if not console.is_terminal:
                console.print(line, markup=False)

        result = compute(levels, placement, report)
    values = as_json(result, digest, placement.about)
    _check_finite(values)
    folder = new_folder(folder) if new else folder
    make_folder(folder)
    text = json.dumps(values, indent=1, allow_nan=False)
    try:
        write_text(folder / convergence.FILE, text + "\n")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to ({error.strerror})") from None
    plot(result, values, folder / "converge.png")
    if as_text:
        _print_table(values)
        print(folder)
    else:
        print(text)
    return 0


def _check_finite(values: Mapping) -> None:
    """Raise ConfigError if an estimated error is not finite."""
    for name, numbers in values["fields"].items():
        if numbers["error_rms"] is None:
            raise ConfigError(
                f"the error of {name} is not finite: the squares of its values exceed float64",
                "values below 1e150",
            )


def _print_table(values: Mapping) -> None:
    out = result_console()
    out.print(convergence.title(values), markup=False, soft_wrap=True)
    table = Table(*convergence.header())
    for row in convergence.rows(values):
        table.add_row(*row)
    print_table(table, out, convergence.OPTIONAL, "--json")


def _compose(words: Sequence[str], config_dir: str | None) -> tuple[Composed, Path, bool]:
    """The settings, the folder for the result, and whether a new folder has to be created."""
    paths = [word for word in words if is_path(word) and not word.startswith("~")]
    if not paths:
        composed = compose_settings(words, config_dir)
        if is_given("hydra.run.dir", words):
            return composed, composed.run_folder, False
        name = composed.settings.equation.get("name") or composed.equation
        folder = Path("outputs", "converge", str(name), composed.run_folder.name)
        return composed, folder, True
    if len(words) > 1:
        raise ConfigError(f"pdesim converge got {' '.join(words)}", USAGE)
    return *_of_run(paths[0]), False


def _of_run(path: str) -> tuple[Composed, Path]:
    """The settings of a finished run, and its folder, to which the result is written as well."""
    from pdesim.output import Snapshots

    with reading(Path(path)), Snapshots(path) as snapshots:
        values = snapshots.config
        name = str(snapshots.attributes.get("equation_name", "custom"))
        folder = snapshots.path.parent
        shape = snapshots[snapshots.fields[0]].shape[1:] if snapshots.fields else ()
    if not values:
        raise ConfigError(f"{path} contains no settings", "a run of pdesim")
    check_shape(read_settings(values), shape, Path(path))
    return Composed(dict(values), folder, folder, name, (), True), folder


def _in_double(composed: Composed, words: Sequence[str]) -> Composed:
    """The settings with double precision, so that rounding errors do not hide the spatial error.

    If the user gives a precision, it is not changed.
    """
    if any(word.startswith("device.precision=") for word in words):
        return composed
    device = {**composed.values.get("device", {}), "precision": "float64"}
    return replace(composed, values={**composed.values, "device": device})
