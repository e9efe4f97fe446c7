"""The file that keeps the catalogue of completions."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pdesim
from pdesim.completion.words import Catalog, Command, Option
from pdesim.config.folders import config_folder

#: parts of the package whose files determine the catalogue
_SOURCES = ("cli", "completion", "schema", "settings", "constants.py")


def cached_catalog(build: Callable[[], Catalog]) -> Catalog:
    """Return the catalogue, from the cache if it is up to date.

    Otherwise the catalogue is built and stored. If it cannot be stored, it is returned all the
    same.

    Args:
        build: the function that builds the catalogue.
    """
    path, stamp = cache_file(), _stamp()
    catalog = _load(path, stamp)
    if catalog is None:
        catalog = build()
        with suppress(OSError):
            _store(path, json.dumps({"stamp": stamp, **asdict(catalog)}))
    return catalog


def cache_file() -> Path:
    """Return the path of the cache of this installation, in the user's folder for caches."""
    if sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = str(Path.home() / "Library" / "Caches")
    else:
        folder = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    installation = hashlib.sha256(os.fsencode(pdesim.__file__)).hexdigest()[:12]
    return Path(folder, "pdesim", f"completion-{installation}.json")


def _stamp() -> str:
    """Return a text that changes if a file that determines the catalogue changes."""
    package = Path(pdesim.__file__).parent
    lines = [pdesim.__version__, sys.version]
    for path in (*(package / name for name in _SOURCES), config_folder()):
        lines += sorted(_states(str(path)))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _states(path: str) -> Iterator[str]:
    """Yield the names, sizes and times of change of the files in a folder and its folders."""
    if not os.path.isdir(path):
        about = os.stat(path)
        yield f"{path} {about.st_size} {about.st_mtime_ns}"
        return
    for entry in os.scandir(path):
        if entry.is_dir() or entry.name.endswith((".py", ".yaml")):
            yield from _states(entry.path)


def _load(path: Path, stamp: str) -> Catalog | None:
    """Return the stored catalogue; None if there is none, or if it is out of date or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["stamp"] != stamp:
            return None
        return Catalog(
            {name: _command(one) for name, one in values["commands"].items()},
            {name: _option(one) for name, one in values["settings"].items()},
            values["choices"],
            tuple(values["keys"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _command(values: dict[str, Any]) -> Command:
    options = {name: _option(one) for name, one in values["options"].items()}
    return Command(values["about"], options, tuple(values["words"]))


def _option(values: dict[str, Any]) -> Option:
    possible = values["values"]
    return Option(values["about"], None if possible is None else tuple(possible))


def _store(path: Path, text: str) -> None:
    """Write the cache as a whole.

    Raises:
        OSError: if it cannot be written.
    """
    from pdesim.files import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, shared=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
