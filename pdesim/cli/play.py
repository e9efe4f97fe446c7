"""``pdesim play``: a page that computes an equation in the browser."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pdesim.cli.arguments import Parser, check_outputs, settings_only


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    result = Parser(
        "play",
        "[SETTING=VALUE ...] [--output FILE.html] [--open] [--overwrite] [--config-dir DIR] "
        "[--trust-config]",
        "Write one HTML page that computes an equation in the browser, with sliders for its\n"
        "parameters and painting with the mouse. The page needs no network and no pdesim. It\n"
        "computes 1-D and 2-D equations with periodic, Dirichlet or Neumann boundary conditions\n"
        "by explicit steps in float32.",
        "  pdesim play equation=gray_scott --open\n"
        "  pdesim play equation=wave grid=128 boundary=dirichlet --output drum.html",
    )
    result.add_argument("--output", metavar="FILE.html", help="the page (EQUATION.html)")
    result.add_argument("--open", action="store_true", help="open the page in the browser")
    result.add_overwrite()
    result.add_config_dir()
    result.add_argument(
        "--trust-config", action="store_true", help="files in DIR may set every setting"
    )
    return result


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    command = parser()
    options = command.read(arguments)
    overrides = settings_only(command, options.words)
    from pdesim.config.compose import compose_settings
    from pdesim.files import writing
    from pdesim.plan import build_plan
    from pdesim.play import build_page

    composed = compose_settings(overrides, options.config_dir)
    composed = composed.check_trust(options.trust_config).check_single()
    output = options.output or f"{composed.equation}.html"
    check_outputs({"--output": output}, options.overwrite, {"--output": (".html", ".htm")})
    page, notes = build_page(
        build_plan(composed.settings, composed.equation), _words(overrides, options.config_dir)
    )
    for note in notes:
        print(f"pdesim: {note}", file=sys.stderr)
    with writing(Path(output), "--output") as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(output)
    if options.open:
        _open(Path(output))
    return 0


def _words(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """Return the words of the command line that runs the same settings."""
    return [*overrides, *(["--config-dir", config_dir] if config_dir is not None else [])]


def _open(path: Path) -> None:
    import webbrowser

    if not webbrowser.open(path.resolve().as_uri()):
        print(f"pdesim: no browser was found; open {path} in one", file=sys.stderr)
