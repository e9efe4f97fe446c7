"""Command lines and YAML -> settings. Hydra lives only here and in ``cli``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from pdesim.config import files as config_files
from pdesim.config.files import CONFIG_NAME, config_folder
from pdesim.config.files import choices as choices  # for others to import from here
from pdesim.config.files import groups as groups
from pdesim.config.messages import explained
from pdesim.config.trust import (
    FOLDERS,
    guarded_overrides,
    outside_folders,
    trust_error,
    untrusted_settings,
)
from pdesim.errors import ConfigError, OutputError, nearest
from pdesim.files import check_aliases, check_interpolations, dump_yaml
from pdesim.model.equation import KEYS
from pdesim.settings import OPEN_SECTIONS, Settings, read_settings

HYDRA_VERSION = "1.3"


def open_override(override: str) -> str:
    """Allow new keys in the sections that hold the user's own names, and formulas to be drawn.

    ``equation.A=1`` becomes ``++equation.A=1`` (set or add), and ``animation.field=sqrt(u)``, which
    Hydra would take for a function of its own, gets quotes; everything else stays.
    """
    key, _, value = override.partition("=")
    if key == "animation.field" and "(" in value and not value.startswith(("'", '"')):
        return f"{key}='{value}'"
    inside = key.startswith(tuple(f"{section}." for section in OPEN_SECTIONS))
    if inside or (key in OPEN_SECTIONS and value.lstrip().startswith("{")):
        return f"++{override}"
    return override


@dataclass(frozen=True)
class Composed:
    """A resolved configuration: plain values, the folders it asks for, and its equation's name.

    ``independent``: no setting is made from others (``${...}``), so that one can change alone.
    ``untrusted``: what files of others set although only the command line may.
    """

    values: dict[str, Any]
    run_folder: Path
    sweep_folder: Path
    equation: str
    overrides: tuple[str, ...]
    independent: bool
    untrusted: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> Settings:
        return read_settings(self.values)

    def check_trust(self, trusted: bool = False) -> Composed:
        """These settings, unless a file of others changed what only the command line may set.

        Raises:
            ConfigError: naming those settings, unless the user trusts all files.
        """
        if self.untrusted and not trusted:
            raise trust_error(self.untrusted)
        return self

    def check_single(self) -> Composed:
        """These settings, unless they describe a sweep.

        Raises:
            ConfigError: naming what is swept.
        """
        if self.settings.sweep.parameters:
            words = " ".join(word.removeprefix("++") for word in self.overrides)
            raise ConfigError(
                f"this is a sweep, over {', '.join(self.settings.sweep.parameters)}",
                hint=f"pdesim -m {words}",
            )
        return self

    @cached_property
    def yaml(self) -> str:
        return to_yaml(self.values)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Settings as a file holds them."""
    return dump_yaml(values)


def compose_settings(overrides: Sequence[str], config_dir: str | None = None) -> Composed:
    """Compose the configuration for some overrides, as the command line would.

    Args:
        overrides: such as ``["equation=heat", "grid=64"]``.
        config_dir: a folder with configs of the user's own, searched besides the shipped ones.

    Raises:
        ConfigError: for anything that Hydra refuses, in words of our own.
    """
    return composed_from(compose_config(overrides, config_dir), overrides)


def compose_config(overrides: Sequence[str], config_dir: str | None = None) -> DictConfig:
    """The same as Hydra has it, with its own settings.

    Raises:
        ConfigError: for anything that Hydra refuses, in words of our own.
    """
    for text in overrides:
        if not isinstance(text, str):
            raise ConfigError(f"{text!r} is not a setting", "text, such as 'grid=64'")
        key, _, value = text.partition("=")
        if "".join(value.split()) == "{}":
            raise ConfigError(
                f"{text} changes nothing: mappings are merged with those of the files",
                f"entries such as {key}={{NAME: VALUE}}",
                f"~{key} removes it" if "." in key else "",
            )
    overrides = [open_override(text) for text in overrides]
    if config_dir is not None and not Path(config_dir).is_dir():
        raise ConfigError(f"there is no folder {config_dir}", "--config-dir DIR with configs in it")
    extra = [f"hydra.searchpath=[{Path(config_dir).resolve()}]"] if config_dir else []
    with explained(overrides, config_dir), _hydra_at_work():
        config = compose(CONFIG_NAME, [*overrides, *extra], return_hydra_config=True)
        _check_parameters_known(config, overrides, extra)
    return config


def _check_parameters_known(
    config: DictConfig, overrides: Sequence[str], extra: Sequence[str]
) -> None:
    """Refuse an ``equation.NAME=`` that neither the equation's file nor any formula knows.

    It is a misspelling. What the file defines and no formula uses any more is not: another formula
    may have replaced the one that used it.
    """
    parts = [override.removeprefix("++").partition("=") for override in overrides]
    given = {key.removeprefix("equation.") for key, _, _ in parts if key.startswith("equation.")}
    given = {name for name in given if "." not in name and name not in KEYS}
    if not given:
        return
    text = OmegaConf.to_yaml(OmegaConf.masked_copy(config, [k for k in config if k != "hydra"]))
    # every word but keys, which a colon follows
    named = set(re.findall(r"\b[^\W\d]\w*\b(?!\s*:)", text))
    for name in sorted(given - named):
        others = [o for o in overrides if not o.startswith(f"++equation.{name}=")]
        defined = compose(CONFIG_NAME, [*others, *extra]).get("equation", {})
        if name not in defined:
            raise ConfigError(
                f"equation.{name} is unknown: no formula of this equation uses it",
                nearest(name, [key for key in defined if key not in KEYS]),
            )


def composed_from(config: DictConfig, overrides: Sequence[str]) -> Composed:
    """The settings in what :func:`compose_config` returns for some overrides."""
    with explained([]), _fresh_hydra():
        HydraConfig.instance().set_config(config)  # what ${hydra:...} reads
        check_interpolations(OmegaConf.to_container(config, resolve=False))
        values = plain(config)
        for name in FOLDERS:
            if not str(OmegaConf.select(config.hydra, name) or "").strip():
                raise ConfigError(f"hydra.{name} is empty", "the name of a folder")
        return Composed(
            values=values,
            run_folder=Path(config.hydra.run.dir),
            sweep_folder=Path(config.hydra.sweep.dir),
            equation=_chosen_equation(config),
            overrides=tuple(open_override(text) for text in overrides),
            independent=values == plain(config, resolve=False),
            untrusted=tuple(_untrusted(config, overrides)),
        )


def _chosen_equation(config: DictConfig) -> str:
    chosen = config.hydra.runtime.choices.get("equation")
    if not isinstance(chosen, str):
        raise ConfigError("no equation is chosen", "equation=NAME; pdesim list shows them")
    return chosen


def _untrusted(config: DictConfig, overrides: Sequence[str]) -> list[str]:
    """What files outside the shipped configs set of Hydra and the workers; see ``trust``."""
    hydra = config.hydra
    sources = hydra.runtime.config_sources
    if all(one.schema != "file" or one.provider == "main" for one in sources):
        return []
    guarded = [open_override(text) for text in guarded_overrides(overrides)]
    shipped = [text for text in guarded if not text.startswith("hydra.searchpath=")]
    try:
        with _hydra_at_work():
            expected = compose(CONFIG_NAME, shipped, return_hydra_config=True)
    except HydraException:  # a choice that no shipped file offers
        return guarded
    sections = [OmegaConf.masked_copy(one, ["hydra", "workers"]) for one in (config, expected)]
    found, right = (OmegaConf.to_container(one, resolve=False) for one in sections)
    folders = {name: OmegaConf.select(hydra, name) for name in FOLDERS}
    return untrusted_settings(found, right) + outside_folders(folders, overrides)


def is_given(setting: str, overrides: Sequence[str]) -> bool:
    """Whether an override sets this setting, or a section that it is in."""
    given = (text.lstrip("+").partition("=")[0] for text in overrides)
    return any(f"{setting}.".startswith(f"{key}.") for key in given)


def nested_values(words: Sequence[str]) -> dict[str, Any]:
    """``["time.end=2"]`` -> ``{"time": {"end": 2}}``, values read as YAML.

    Raises:
        ConfigError: for values that are not YAML, or stand for more values than settings have.
    """
    for word in words:
        if not isinstance(word, str):
            raise ConfigError(f"{word!r} is not a setting", "text, such as 'time.end=2'")
        try:
            check_aliases(word.partition("=")[2])
            OmegaConf.from_dotlist([word])
        except (yaml.YAMLError, ValueError, OutputError) as error:
            reason = getattr(error, "problem", None) or str(error)
            raise ConfigError(
                f"{word[:100]} cannot be read: {' '.join(str(reason).split())[:100]}",
                "a number or text; text with brackets or quotes in it needs quotes of its own",
            ) from None
    return OmegaConf.to_container(OmegaConf.from_dotlist(list(words)))


def choose_run_folder(config: DictConfig, folder: Path) -> None:
    """Set ``hydra.run.dir`` of what :func:`compose_config` returned."""
    with read_write(config.hydra):
        config.hydra.run.dir = str(folder)


def run_as_job(config: DictConfig, task: Callable[[], None]) -> None:
    """Run ``task`` in the folder and with the log that ``config`` asks for.

    As ``hydra.main`` does, which would compose twice more.
    """
    with _hydra_at_work() as loader:
        with read_write(config.hydra):
            config.hydra.mode = RunMode.RUN
        callbacks = Callbacks(config)
        callbacks.on_run_start(config=config, config_name=CONFIG_NAME)
        context = HydraContext(config_loader=loader, callbacks=callbacks)
        failures: list[Exception] = []

        def kept(_: DictConfig) -> None:
            try:
                task()
            except Exception as error:  # Hydra would print a line of its own as it hands it on
                failures.append(error)
                raise

        try:
            done = run_job(kept, config, "hydra.run.dir", None, context)
        except OSError as error:  # of Hydra's own files, before the task began
            if failures:
                raise
            raise OutputError(
                f"{config.hydra.run.dir} cannot be written ({error.strerror or error})",
                hint="room on the disk and the right to write, or hydra.run.dir=DIR",
            ) from None
        callbacks.on_run_end(config=config, config_name=CONFIG_NAME, job_return=done)
        if failures:
            raise failures[0]


def plain(config: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """The configuration without Hydra's own part, interpolations resolved."""
    with explained([]):
        own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        return OmegaConf.to_container(own, resolve=resolve)


@contextlib.contextmanager
def _hydra_at_work() -> Iterator[ConfigLoader]:
    """Hydra on the shipped configs, and what loads them."""
    folder = str(config_folder())
    config_files.use()
    with _fresh_hydra(), initialize_config_dir(folder, "pdesim", version_base=HYDRA_VERSION):
        yield GlobalHydra.instance().config_loader()


@contextlib.contextmanager
def _fresh_hydra() -> Iterator[None]:
    """Compose even where another Hydra application is running (notebooks, jobs)."""
    holder = GlobalHydra.instance()
    saved, holder.hydra = holder.hydra, None
    before = HydraConfig.instance().cfg
    try:
        yield
    finally:
        holder.hydra = saved
        HydraConfig.instance().cfg = before
