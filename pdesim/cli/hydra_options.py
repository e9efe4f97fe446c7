"""Hydra's own options on the command line."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pdesim.errors import ConfigError, nearest

#: options that are passed on to Hydra
PASSED_ON = (
    "--hydra-help",
    "--cfg",
    "-c",
    "--info",
    "-i",
    "--resolve",
)
#: Hydra's options that are followed by a value
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--info", "-i")
#: option -> its long form, for options that exclude each other
MODES = {
    "--run": "--run", "-r": "--run", "--multirun": "--multirun", "-m": "--multirun",
    "--cfg": "--cfg", "-c": "--cfg", "--info": "--info", "-i": "--info",
}  # fmt: skip
#: allowed values of options that show something
SHOWN = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
#: see pdesim.config.trust
TRUST = "--trust-config"
#: options that completion offers for a run, with their descriptions
VISIBLE = {
    "--multirun": "a sweep", "-m": "a sweep", "--config-dir": "a folder with your own configs",
    "--trust-config": "files in --config-dir may set everything",
    "--cfg": "print the settings", "--resolve": "with --cfg: replace every ${...} by its value",
    "--info": "print how the settings were composed", "--help": "print a help text",
    "--version": "print the version", "--hydra-help": "print Hydra's own options",
}  # fmt: skip
#: options of Hydra that commands of pdesim replace
REPLACED = dict.fromkeys(("--shell-completion", "-sc"), "pdesim completion bash, zsh or fish")


def check_options(flags: Sequence[str]) -> None:
    """Check the options of a run.

    Options by which Hydra would run code or use another main configuration file are not allowed.

    Raises:
        ConfigError: for unknown options, wrong values, and options that exclude each other.
    """
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
        name, equals, text = flag.partition("=")
        words.append(name)
        if name in REPLACED:
            raise ConfigError(f"{name} is not available", REPLACED[name])
        if name not in known:
            raise ConfigError(
                f"unknown option {name}", nearest(name, known), "pdesim --help shows examples"
            )
        value = next(rest, None) if name in WITH_VALUE and not equals else text
        allowed = SHOWN.get(MODES.get(name, ""))
        if allowed and value not in allowed and (value is not None or name in ("--cfg", "-c")):
            problem = f"{name} has the value {value!r}" if value else f"{name} has no value"
            raise ConfigError(problem, f"one of {', '.join(allowed)}")
    modes = sorted({MODES[word] for word in words if word in MODES})
    if len(modes) > 1:
        raise ConfigError(f"{' and '.join(modes)} cannot be combined", "only one of them")
    if "--resolve" in words and "--cfg" not in modes:
        raise ConfigError("--resolve needs --cfg", "--cfg job --resolve")


def check_folder_setting(overrides: Sequence[str], multirun: bool) -> None:
    """Check that the folder is given by the setting of a run, or of a sweep, as it applies.

    Args:
        overrides: the settings of the command line.
        multirun: whether a sweep is started.

    Raises:
        ConfigError: for the setting that would have no effect.
    """
    wrong, right = "hydra.sweep.dir", "hydra.run.dir"
    if multirun:
        wrong, right = right, wrong
    for text in overrides:
        key, _, folder = text.lstrip("+").partition("=")
        if key == wrong:
            raise ConfigError(
                f"{wrong} has no effect on a {'sweep' if multirun else 'single run'}",
                f"{right}={folder or 'DIR'}",
                "" if multirun else "-m starts a sweep",
            )


def sort_words(arguments: list[str]) -> tuple[list[str], list[str], str | None]:
    """Return the options, the overrides, and the value of ``--config-dir`` among the arguments.

    Raises:
        ConfigError: if ``--config-dir`` has no value.
    """
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
