"""``pdesim complete``: the completions of a word, which the scripts of the shells call.

Nothing is printed on standard error, since it would appear in the middle of a command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from pdesim.cli.hydra_options import SHOWN, VISIBLE
from pdesim.completion.cache import cached_catalog
from pdesim.completion.words import CONFIG_DIR, FOLDER, SETTING, Catalog, Command, Option, complete
from pdesim.errors import PdesimError, printable


def run(arguments: Sequence[str]) -> int:
    """Print the completions of the last word after ``--``, and return the exit code 0."""
    words = list(arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments)
    try:
        found = complete(words, catalog())
    except (PdesimError, OSError):
        return 0
    for text, about in found.items():
        if text.isprintable():
            about = " ".join(printable(about).split())
            print(f"{text}\t{about}" if about else text)
    return 0


def catalog() -> Catalog:
    """Return the catalogue of commands and settings, from the cache if it is up to date."""
    return cached_catalog(_build)


def _build() -> Catalog:
    from pdesim.cli.main import COMMANDS
    from pdesim.completion.catalog import build_catalog
    from pdesim.export.formats import FORMATS

    parsers = {name: import_module(f"pdesim.cli.{name}").parser() for name in COMMANDS}
    values = dict.fromkeys(CONFIG_DIR, (FOLDER,)) | SHOWN
    options = {name: Option(about, values.get(name)) for name, about in VISIBLE.items()}
    return build_catalog(
        parsers,
        {name: parser.completes for name, parser in parsers.items()},
        Command("", options, (SETTING,)),
        {"FORMAT": tuple(FORMATS)},
    )
