"""``pdesim completion``: the completion script of a shell."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.cli.arguments import Parser
from pdesim.completion.scripts import SCRIPTS
from pdesim.errors import ConfigError, nearest


def parser() -> Parser:
    """Return the parser of the command's arguments."""
    return Parser(
        "completion",
        "|".join(SCRIPTS),
        "Print a script with which a shell completes commands, settings, their values, and files.",
        '  in ~/.bashrc:                     eval "$(pdesim completion bash)"\n'
        "  in ~/.zshrc, after compinit:      source <(pdesim completion zsh)\n"
        "  in ~/.config/fish/config.fish:    pdesim completion fish | source",
        completes=tuple(SCRIPTS),
    )


def run(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from pdesim.cli.complete import catalog

    command = parser()
    words = command.read(arguments).words
    if len(words) != 1:
        command.error(f"expected the name of a shell, got {' '.join(words) or 'none'}")
    if words[0] not in SCRIPTS:
        raise ConfigError(f"no completion script for {words[0]}", nearest(words[0], SCRIPTS))
    catalog()  # stored now, so that the first completion takes no longer than later ones
    print(SCRIPTS[words[0]], end="")
    return 0
