"""``pdesim dataset``: compute a data set of trajectories for machine learning."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, settings_only
from pdesim.cli.hydra_options import TRUST


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "dataset",
        "SETTING=VALUE ... --to FORMAT --output FOLDER [--config-dir DIR] [--trust-config]",
        "Compute a data set of trajectories for machine learning, from a sweep. Its runs are\n"
        "deleted as soon as they are written to the files of the data set. The same command\n"
        "continues a data set that was stopped. Besides the settings of sweeps, there are:\n\n"
        "  splits=[0.8,0.1,0.1]   fractions of train, valid and test\n"
        "  split_seed=0           seed of the random assignment to splits\n"
        "  repeats=1              trajectories for each member of the sweep, with other seeds\n"
        "  shard=N                trajectories that are computed and written together",
        "  pdesim dataset equation=gray_scott grid=64 'equation.F=interval(0.02,0.06)' \\\n"
        "      sweep=sobol sweep.n=128 --to well --output my_data",
    )
    result.add_argument("--to", metavar="FORMAT", help="well, pdebench or npz")
    result.add_argument("--output", metavar="FOLDER", help="the folder of the data set")
    result.add_config_dir()
    result.add_argument(TRUST, action="store_true", help="files in --config-dir may set everything")
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command, print the folder, and return the exit code."""
    from pdesim.datasets.command import make_dataset
    from pdesim.files import as_path

    command = parser()
    options = command.read(arguments)
    words = settings_only(command, options.words)
    if not options.output:
        command.error("--output needs the name of a folder")
    folder = as_path(options.output)
    code = make_dataset(words, options.to, folder, options.config_dir, options.trust_config)
    print(folder)
    return code
