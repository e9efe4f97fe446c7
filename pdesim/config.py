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
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from pdesim.equation import KEYS
from pdesim.errors import ConfigError, OutputError, nearest
from pdesim.files import check_yaml, read_text
from pdesim.settings import Settings, read_settings
from pdesim.trust import (
    FOLDERS,
    guarded_overrides,
    outside_folders,
    trust_error,
    untrusted_settings,
)

#: sections whose keys are the user's own names, or another library's: no '+' is needed to add one
OPEN_SECTIONS = ("equation", "initial", "boundary", "workers.options")
CONFIG_NAME = "config"
#: the same text from C, many times faster, where PyYAML was built with it
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
HYDRA_VERSION = "1.3"


def config_folder() -> Path:
    """The shipped configs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / f"{CONFIG_NAME}.yaml").is_file():
            return folder
    raise ConfigError("the shipped configs are missing", "a complete installation of pdesim")


def groups() -> list[str]:
    return sorted(path.name for path in config_folder().iterdir() if path.is_dir())


def choices(group: str, folders: Sequence[Path] = ()) -> list[str]:
    """The names that a group offers, in the shipped folder and in others."""
    found = set()
    for folder in (config_folder(), *folders):
        found |= {path.stem for path in (folder / group).glob("*.yaml")}
    return sorted(found)


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

    @cached_property
    def yaml(self) -> str:
        return to_yaml(self.values)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Settings as a file holds them."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


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
        values = plain(config)
        return Composed(
            values=values,
            run_folder=Path(config.hydra.run.dir),
            sweep_folder=Path(config.hydra.sweep.dir),
            equation=config.hydra.runtime.choices["equation"],
            overrides=tuple(open_override(text) for text in overrides),
            independent=values == plain(config, resolve=False),
            untrusted=tuple(_untrusted(config, overrides)),
        )


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
    """Whether an override sets this setting."""
    return any(text.lstrip("+").partition("=")[0] == setting for text in overrides)


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
                cure="room on the disk and the right to write, or hydra.run.dir=DIR",
            ) from None
        callbacks.on_run_end(config=config, config_name=CONFIG_NAME, job_return=done)
        if failures:
            raise failures[0]


def plain(config: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """The configuration without Hydra's own part, interpolations resolved."""
    with explained([]):
        own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        return OmegaConf.to_container(own, resolve=resolve)


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's reader of YAML files, for files whose aliases do not multiply.

    It takes the place of Hydra's own in the registry, which knows classes by this name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(self.path, self._normalize_file_name(config_path))
        if not path.is_relative_to(config_folder()) and path.is_file():
            try:
                check_yaml(read_text(path))
            except OutputError as error:
                raise ConfigError(f"{path}: {error.problem}", error.expected) from None
        return super().load_config(config_path)


@contextlib.contextmanager
def _hydra_at_work() -> Iterator[ConfigLoader]:
    """Hydra on the shipped configs, and what loads them."""
    folder = str(config_folder())
    with _fresh_hydra(), initialize_config_dir(folder, "pdesim", version_base=HYDRA_VERSION):
        SourcesRegistry.instance().types["file"] = FileConfigSource
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


@contextlib.contextmanager
def explained(overrides: Sequence[str], config_dir: str | None = None) -> Iterator[None]:
    """Turn Hydra's and OmegaConf's exceptions into :class:`ConfigError`."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        folders = [Path(config_dir)] if config_dir else []
        raise _explain(str(error), overrides, folders) from None


def _explain(message: str, overrides: Sequence[str], folders: Sequence[Path]) -> ConfigError:
    first = message.strip().splitlines()[0] if message.strip() else "the configuration is unusable"
    if found := re.search(r"Could not find '([\w./-]+)/([^'/]+)'", message):
        group, name = found.groups()
        return ConfigError(f"{group}={name} is unknown", nearest(name, choices(group, folders)))
    if found := re.search(r"Could not override '([^']+)'", message):
        return _unknown_key(found.group(1), message)
    if found := re.search(r"Key '([^']+)' is not in struct\s+full_key: (\S+)", message):
        return _unknown_key(found.group(2), message)
    if (found := re.search(r"You must specify '([\w/]+)'", message)) or "Missing" in first:
        return ConfigError(first)
    if "config group" in message.lower() and (group := _group_in(message)):
        given = next((o for o in overrides if o.startswith(f"{group}=")), group)
        return ConfigError(
            f"{given} does not choose a config", nearest("", choices(group, folders))
        )
    # the grammar quotes how far it read; whole settings say more than values, long ones than short
    settings = [override.removeprefix("++") for override in overrides]
    read = re.search(r"at input '(.+)'$", first)
    named = [s for s in settings if s in message or (read and read.group(1) in s)]
    named = named or [s for s in settings if s.partition("=")[2] and s.partition("=")[2] in message]
    if named:
        return _grammar(first, *max(named, key=len).partition("="))
    return ConfigError(first, cure="pdesim --help shows the form of settings")


def _grammar(first: str, key: str, equals: str, value: str) -> ConfigError:
    if not equals:
        return ConfigError(f"{key!r} is not a setting", "name=value, such as grid=512")
    quoted = value.replace("'", '"')
    return ConfigError(
        f"the value of {key} cannot be read: {value}",
        "a number, a name, or text in quotes",
        f"\"{key}='{quoted}'\"   (quotes for the shell outside, for the formula inside)",
    )


def _unknown_key(key: str, message: str) -> ConfigError:
    parts = key.split(".")
    known = _known_keys(parts[:-1])
    shown = ".".join(parts)
    return ConfigError(f"unknown setting {shown}", nearest(parts[-1], known))


def _known_keys(parents: Sequence[str]) -> list[str]:
    model: Any = Settings
    for part in parents:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return []
        model = fields[part].annotation
    return list(getattr(model, "model_fields", {}))


def _group_in(message: str) -> str | None:
    return next((g for g in groups() if re.search(rf"\b{g}\b", message)), None)
