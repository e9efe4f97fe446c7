"""``pdesim verify``: measure orders of accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser, check_outputs, settings_only


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "verify",
        "[SETTING=VALUE ...] [--all] [--markdown FILE] [--overwrite] [--config-dir DIR]",
        "Measure the orders of accuracy in space and time of the chosen operators and stepper.\n"
        "The exit code is 1 if an order is lower than claimed.",
        "  pdesim verify equation=heat operators.order=4\n  pdesim verify --all equation=wave",
    )
    result.add_argument(
        "--all",
        action="store_true",
        help="verify all equations with all schemes, or one equation with all its schemes",
    )
    result.add_argument("--markdown", metavar="FILE", help="write the table as Markdown, too")
    result.add_overwrite()
    result.add_config_dir()
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pdesim.verify.command import run_verify

    command = parser()
    options = command.read(arguments)
    check_outputs({"--markdown": options.markdown}, options.overwrite)
    overrides = settings_only(command, options.words)
    return run_verify(
        overrides, options.all, options.markdown, options.config_dir, options.overwrite
    )
