"""Composition of the settings from YAML files and the command line by Hydra."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import hydra
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
from pdesim.config.folders import CONFIG_NAME, config_folder
from pdesim.config.folders import choices as choices  # imported from here by other modules
from pdesim.config.folders import groups as groups
from pdesim.config.folders import other_configs as other_configs
from pdesim.config.messages import translate_errors
from pdesim.config.trust import (
    FOLDERS,
    guarded_overrides,
    outside_folders,
    trust_error,
    untrusted_settings,
)
from pdesim.errors import ConfigError, OutputError, nearest
from pdesim.files import check_aliases, check_interpolations, check_path, dump_yaml
from pdesim.model.equation_settings import KEYS
from pdesim.settings import OPEN_SECTIONS, Settings, read_settings

#: the argument with which Hydra 1.3 uses its current defaults; later versions warn about it
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}

#: settings that are texts, which need no quotes
_TEXTS = ("animation.title", "animation.time_format")

#: the end of the name of a file, which its choice on the command line lacks
_SUFFIXES = (".yaml",)

#: held while a thread uses Hydra
_COMPOSING = threading.RLock()


def open_override(override: str) -> str:
    """Adapt an override to Hydra's grammar.

    In sections whose keys the user chooses, ``equation.A=1`` becomes ``++equation.A=1``, which sets
    or adds the key. In ``animation.field=sqrt(u)`` the formula is quoted, because Hydra would
    interpret it as a function call; so are titles and formats of times, which may contain braces.
    ``data=film.h5`` becomes ``++data.file=film.h5``. All other
    overrides are unchanged.
    """
    key, _, value = override.partition("=")
    if key in groups() and value.endswith(_SUFFIXES):
        names = [part.strip().removesuffix(".yaml") for part in value.split(",")]
        value = ",".join(names)
        override = f"{key}={value}"
    if key == "data" and not value.lstrip().startswith("{"):
        key, override = "data.file", f"data.file={value}"
    if key == "animation.field" and "(" in value and not value.startswith(("'", '"')):
        return f"{key}='{value}'"
    if key in _TEXTS and value != "null" and not value.startswith(("'", '"')):
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"{key}='{quoted}'"
    inside = key.startswith(tuple(f"{section}." for section in OPEN_SECTIONS))
    if inside or (key in OPEN_SECTIONS and value.lstrip().startswith("{")):
        return f"++{override}"
    return override


@dataclass(frozen=True)
class Composed:
    """A resolved configuration.

    Attributes:
        values: the settings as nested dictionaries of plain values.
        run_folder: the folder of the run.
        sweep_folder: the folder of the sweep.
        equation: the chosen equation.
        overrides: the overrides of the command line.
        independent: whether no setting refers to another setting by ``${...}``.
        untrusted: settings that untrusted files have set, although only the command line may set
            them.
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
        """The validated settings."""
        return read_settings(self.values)

    def check_trust(self, trusted: bool = False) -> Composed:
        """Check that no untrusted file sets a guarded setting, and return this object.

        Args:
            trusted: whether the user trusts all files, so that they may set everything.

        Raises:
            ConfigError: if ``untrusted`` is not empty and the user does not trust all files.
        """
        if self.untrusted and not trusted:
            raise trust_error(self.untrusted)
        return self

    def check_single(self) -> Composed:
        """Check that the settings describe a single run, and return this object.

        Raises:
            ConfigError: if the settings describe a sweep.
        """
        if self.settings.sweep.parameters:
            words = " ".join(word.removeprefix("++") for word in self.overrides)
            raise ConfigError(
                f"these settings define a sweep over {', '.join(self.settings.sweep.parameters)}, "
                "but a single run was requested",
                hint=f"pdesim -m {words}",
            )
        return self

    @cached_property
    def yaml(self) -> str:
        """The settings as YAML text."""
        return to_yaml(self.values)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Return settings as YAML text."""
    return dump_yaml(values)


def compose_settings(overrides: Sequence[str], config_dir: str | None = None) -> Composed:
    """Compose the settings for a list of overrides.

    Args:
        overrides: arguments of the command line, such as ``["equation=heat", "grid=64"]``.
        config_dir: a folder with the user's configuration files, in addition to the shipped ones.

    Raises:
        ConfigError: if Hydra cannot compose the settings.
    """
    return composed_from(compose_config(overrides, config_dir), overrides)


def compose_config(overrides: Sequence[str], config_dir: str | None = None) -> DictConfig:
    """Compose the configuration, including Hydra's own settings; see :func:`compose_settings`.

    Raises:
        ConfigError: if Hydra cannot compose the settings.
    """
    for text in overrides:
        if not isinstance(text, str):
            raise ConfigError(f"{text!r} is not a setting", "text, such as 'grid=64'")
        key, _, value = text.partition("=")
        if "".join(value.split()) == "{}":
            raise ConfigError(
                f"{text} has no effect: mappings are merged with those of the files",
                f"entries such as {key}={{NAME: VALUE}}",
                f"~{key} removes the setting" if "." in key else "",
            )
    overrides = [open_override(text) for text in overrides]
    if config_dir is not None and not check_path(Path(config_dir)).is_dir():
        raise ConfigError(f"no such folder: {config_dir}", "--config-dir DIR with configs in it")
    extra = [f"hydra.searchpath=[{Path(config_dir).resolve()}]"] if config_dir else []
    with translate_errors(overrides, config_dir), _initialised_hydra():
        config = compose(CONFIG_NAME, [*overrides, *extra], return_hydra_config=True)
        _check_parameters_known(config, overrides, extra)
    return config


def compose_other(name: str, overrides: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """Compose the settings of a problem that is not a differential equation.

    Args:
        name: a name in :func:`pdesim.config.folders.other_configs`.
        overrides: arguments of the command line, without ``equation=``.

    Returns:
        The settings as plain values, and the folder of the run.

    Raises:
        ConfigError: if Hydra cannot compose the settings.
    """
    with translate_errors(overrides, None), _initialised_hydra():
        config = compose(name, list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)  # for ${hydra:...}
        return plain(config), Path(config.hydra.run.dir)


def _check_parameters_known(
    config: DictConfig, overrides: Sequence[str], extra: Sequence[str]
) -> None:
    """Check that every parameter ``equation.NAME=`` on the command line is known.

    A parameter is known if a formula uses it or the file of the equation defines it. Any other
    name is a misspelling. A parameter that the file defines may be unused, because an override may
    have replaced the formula that used it.

    Raises:
        ConfigError: for an unknown parameter.
    """
    parts = [override.removeprefix("++").partition("=") for override in overrides]
    given = {key.removeprefix("equation.") for key, _, _ in parts if key.startswith("equation.")}
    given = {name for name in given if "." not in name and name not in KEYS}
    if not given:
        return
    text = OmegaConf.to_yaml(_without_hydra(config))
    # all words in the configuration except keys, which are followed by a colon
    named = set(re.findall(r"\b[^\W\d]\w*\b(?!\s*:)", text))
    for name in sorted(given - named):
        others = [o for o in overrides if not o.startswith(f"++equation.{name}=")]
        defined = compose(CONFIG_NAME, [*others, *extra]).get("equation", {})
        if name not in defined:
            raise ConfigError(
                f"equation.{name} is unknown: no formula of this equation uses it",
                nearest(name, [k for k in defined if k not in (*KEYS, *Settings.model_fields)]),
            )


def composed_from(config: DictConfig, overrides: Sequence[str]) -> Composed:
    """Resolve a configuration that :func:`compose_config` has returned.

    Raises:
        ConfigError: if an interpolation cannot be resolved.
    """
    with translate_errors([]), _separate_hydra():
        HydraConfig.instance().set_config(config)  # for ${hydra:...}
        check_interpolations(_container(config, resolve=False))
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
    """Return the guarded settings that untrusted files have set; see :mod:`pdesim.config.trust`."""
    hydra = config.hydra
    sources = hydra.runtime.config_sources
    if all(one.schema != "file" or one.provider == "main" for one in sources):
        return []
    guarded = [open_override(text) for text in guarded_overrides(overrides)]
    shipped = [text for text in guarded if not text.startswith("hydra.searchpath=")]
    try:
        with _initialised_hydra():
            trusted = compose(CONFIG_NAME, shipped, return_hydra_config=True)
    except HydraException:  # an override chooses a file that is not shipped
        return guarded
    found, expected = (
        _container(OmegaConf.masked_copy(one, ["hydra", "workers"]), resolve=False)
        for one in (config, trusted)
    )
    folders = {name: OmegaConf.select(hydra, name) for name in FOLDERS}
    return untrusted_settings(found, expected) + outside_folders(folders, overrides)


def is_given(setting: str, overrides: Sequence[str]) -> bool:
    """Return whether an override sets this setting, or a section that contains this setting."""
    given = (text.lstrip("+").partition("=")[0] for text in overrides)
    return any(f"{setting}.".startswith(f"{key}.") for key in given)


def nested_values(overrides: Sequence[str]) -> dict[str, Any]:
    """Convert overrides to nested dictionaries: ``["time.end=2"]`` to ``{"time": {"end": 2}}``.

    Raises:
        ConfigError: for values that are not valid YAML, or are too large.
    """
    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError(f"{override!r} is not a setting", "text, such as 'time.end=2'")
        try:
            check_aliases(override.partition("=")[2])
            OmegaConf.from_dotlist([override])
        except (yaml.YAMLError, ValueError, OutputError) as error:
            reason = getattr(error, "problem", None) or str(error)
            raise ConfigError(
                f"{override[:100]} cannot be read: {' '.join(str(reason).split())[:100]}",
                "a number or text; text that contains brackets or quotes needs quotes around it",
            ) from None
    return _container(OmegaConf.from_dotlist(list(overrides)))


def choose_run_folder(config: DictConfig, folder: Path) -> None:
    """Set ``hydra.run.dir`` in a configuration that :func:`compose_config` has returned."""
    with read_write(config.hydra):
        config.hydra.run.dir = str(folder)


def run_as_job(config: DictConfig, task: Callable[[], None]) -> None:
    """Call a function as a job of Hydra, with the folder and the log of the configuration.

    ``hydra.main`` would do the same, but would compose the configuration two more times.
    """
    with _initialised_hydra() as loader:
        with read_write(config.hydra):
            config.hydra.mode = RunMode.RUN
        callbacks = Callbacks(config)
        callbacks.on_run_start(config=config, config_name=CONFIG_NAME)
        context = HydraContext(config_loader=loader, callbacks=callbacks)
        failures: list[Exception] = []

        def recorded(_: DictConfig) -> None:
            try:
                task()
            except Exception as error:  # raised below, since Hydra would print an additional line
                failures.append(error)
                raise

        try:
            done = run_job(recorded, config, "hydra.run.dir", None, context)
        except OSError as error:  # while Hydra writes its own files, unless the task raised it
            if failures:
                raise
            raise OutputError(
                f"{config.hydra.run.dir} cannot be written ({error.strerror or error})",
                hint="check the free space and the permissions, or set hydra.run.dir=DIR",
            ) from None
        callbacks.on_run_end(config=config, config_name=CONFIG_NAME, job_return=done)
        if failures:
            raise failures[0]


def plain(config: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """Return a configuration as nested dictionaries, without Hydra's own settings."""
    with translate_errors([]):
        return _container(_without_hydra(config), resolve)


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _container(config: DictConfig, resolve: bool = False) -> dict[str, Any]:
    values = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@contextlib.contextmanager
def _initialised_hydra() -> Iterator[ConfigLoader]:
    """Initialise Hydra with the folder of the shipped configs, and yield the loader of configs."""
    folder = str(config_folder())
    config_files.use()
    with _separate_hydra(), initialize_config_dir(folder, "pdesim", **VERSION_BASE):
        yield GlobalHydra.instance().config_loader()


@contextlib.contextmanager
def _separate_hydra() -> Iterator[None]:
    """Allow composition while another Hydra application is active, as in notebooks and jobs.

    Hydra has one state per process, so threads compose one after another.
    """
    with _COMPOSING:
        holder = GlobalHydra.instance()
        saved, holder.hydra = holder.hydra, None
        before = HydraConfig.instance().cfg
        try:
            yield
        finally:
            holder.hydra = saved
            HydraConfig.instance().cfg = before
