"""Hydra's own options on the command line: which are allowed, and what they exclude."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pdesim.errors import ConfigError, nearest

PASSED_ON = (
    "--hydra-help",
    "--cfg",
    "-c",
    "--info",
    "-i",
    "--shell-completion",
    "-sc",
    "--resolve",
)
#: Hydra's options that are followed by a value
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--info", "-i")
#: each decides what is done with the settings, so that one of them can be given
MODES = {
    "--run": "--run", "-r": "--run", "--multirun": "--multirun", "-m": "--multirun",
    "--cfg": "--cfg", "-c": "--cfg", "--info": "--info", "-i": "--info",
    "--shell-completion": "--shell-completion", "-sc": "--shell-completion",
}  # fmt: skip
#: values of Hydra's options
SHOWN = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
#: see pdesim.config.trust
TRUST = "--trust-config"


def check_options(flags: Sequence[str]) -> None:
    """Refuse options that are unknown, or that would load code or other primary configs."""
    known = (
        *PASSED_ON,
        "--run",
        "-r",
        "--multirun",
        "-m",
        "--package",
        "-p",
        "--config-dir",
        TRUST,
    )
    words: list[str] = []
    rest = iter(flags)
    for flag in rest:
        name, equals, value = flag.partition("=")
        words.append(name)
        if name not in known:
            raise ConfigError(f"unknown option {name}", nearest(name, known), "pdesim --help")
        if name in WITH_VALUE and not equals:
            value = next(rest, None)
        allowed = SHOWN.get(MODES.get(name, ""))
        if allowed and value not in allowed and (value is not None or name in ("--cfg", "-c")):
            raise ConfigError(f"{name} {value or ''}".rstrip(), f"{name} {', '.join(allowed)}")
    modes = sorted({MODES[word] for word in words if word in MODES})
    if len(modes) > 1:
        raise ConfigError(f"{' and '.join(modes)} cannot be combined", "one of them")
    if "--resolve" in words and "--cfg" not in modes:
        raise ConfigError("--resolve needs --cfg", "--cfg job --resolve")


def sort_words(arguments: list[str]) -> tuple[list[str], list[str], str | None]:
    """Flags, overrides, and the value of ``--config-dir``."""
    flags, overrides, config_dir = [], [], None
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            config_dir = value if equals else next(rest, None)
            if not config_dir:
                raise ConfigError("--config-dir needs a folder", "--config-dir DIR")
        elif name in WITH_VALUE and not equals:
            flags += [word, *itertools.islice(rest, 1)]
        elif word.startswith("-"):
            flags.append(word)
        else:
            overrides.append(word)
    return flags, overrides, config_dir
