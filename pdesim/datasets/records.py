"""What is known about a data set before it is complete: its request, and its finished shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pdesim.datasets.design import Design, Shard
from pdesim.datasets.layouts import WORK
from pdesim.datasets.statistics import Statistics
from pdesim.errors import ConfigError, OutputError
from pdesim.files import check_version, dump_yaml, load_yaml, read_text, write_text
from pdesim.output.sweeps import leaves
from pdesim.settings import INCIDENTAL, lies_in
from pdesim.sweeps.values import Choices, Interval

#: increased when the meaning of an entry of ``dataset.yaml`` changes
FORMAT_VERSION = 1
#: the machine-readable description of a data set
DESCRIPTION = "dataset.yaml"
#: settings that do not change the trajectories
_FREE = (*(n for n in INCIDENTAL if n != "sweep"), "device.name", "output.compression")
#: largest number of values of a swept setting that the description lists
MOST_LISTED = 100


@dataclass(frozen=True)
class Record:
    """A finished shard.

    Attributes:
        stored: numbers of the trajectories in its files, in their order.
        failed: number of a trajectory that is left out -> the cause and the exit code.
        stationary: numbers of the stored trajectories that do not change at their end.
        statistics: of the stored trajectories.
        steps: number of time steps of all trajectories.
        seconds: wall-clock time of computing and writing.
        device: the device.
    """

    stored: tuple[int, ...]
    failed: Mapping[int, tuple[str, int]]
    stationary: tuple[int, ...]
    statistics: Statistics
    steps: int
    seconds: float
    device: str


def write_record(folder: Path, shard: Shard, record: Record) -> None:
    """Store the record of a shard, after its files.

    Raises:
        OutputError: if it cannot be written.
    """
    path = _record_path(folder, shard)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(asdict(record)) + "\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error})") from None


def read_record(folder: Path, shard: Shard) -> Record | None:
    """Return the record of a shard; None if it is not finished.

    Raises:
        OutputError: if the record cannot be read.
    """
    path = _record_path(folder, shard)
    if not path.exists():
        return None
    try:
        plain = json.loads(read_text(path))
        return Record(
            stored=tuple(plain["stored"]),
            failed={int(number): (str(c), int(e)) for number, (c, e) in plain["failed"].items()},
            stationary=tuple(plain["stationary"]),
            statistics=Statistics.from_plain(plain["statistics"]),
            steps=int(plain["steps"]),
            seconds=float(plain["seconds"]),
            device=str(plain["device"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"{path} cannot be read ({error})", hint="remove it; its shard is then computed again"
        ) from None


def _record_path(folder: Path, shard: Shard) -> Path:
    return folder / WORK / "records" / f"{shard.name}.json"


def describe_request(design: Design, layout: str) -> dict[str, Any]:
    """Return what determines the contents of a data set, as plain values.

    Settings that have no effect on the trajectories are left out, so that a command may be repeated
    with another ``time.wall_limit`` or other workers.
    """
    values = design.composed.values
    settings = {key: value for key, value in leaves(values) if not lies_in(key, _FREE)}
    digest = hashlib.sha256()
    for job in design.jobs:
        names = [word.lstrip("+").partition("=")[0] for word in job]
        words = [w for w, name in zip(job, names, strict=True) if not lies_in(name, _FREE)]
        digest.update("\0".join(words).encode() + b"\n")
    return {
        "format": layout,
        "trajectories": len(design.jobs),
        **design.settings.model_dump(),
        "settings": settings,
        "swept": {name: describe_values(word) for name, word in design.swept.items()},
        "digest": digest.hexdigest(),
    }


def describe_values(word: Choices | Interval) -> dict[str, Any]:
    """Return the values of a swept setting as plain values."""
    if isinstance(word, Interval):
        scale = "logarithmic" if word.log else "linear"
        return {"low": word.low, "high": word.high, "scale": scale, "integers": word.integer}
    values = list(word.values)
    few = values if len(values) <= MOST_LISTED else [*values[:2], "...", *values[-1:]]
    return {"values": [number_or_text(value) for value in few], "count": len(values)}


def number_or_text(text: str) -> Any:
    """Return the value of an override as a number if it is one, otherwise as text."""
    try:
        value = load_yaml(text)
    except OutputError:
        return text
    return value if isinstance(value, int | float) else text


def begin(folder: Path, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Store the request of a new data set, or compare it with that of the data set in the folder.

    Args:
        folder: folder of the data set, which exists.
        request: the result of :func:`describe_request`.

    Returns:
        The description of the data set if it is complete, otherwise None.

    Raises:
        ConfigError: if the folder contains a data set with another request. The message lists the
            differences.
        OutputError: if the folder contains other files, or cannot be written.
    """
    path = folder / DESCRIPTION
    if not path.exists():
        others = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
        if others:
            raise OutputError(
                f"{folder} is not empty ({', '.join(others[:3])}) and contains no data set",
                "a new or an empty folder, or an unfinished data set",
                "another name (--output FOLDER)",
            )
        write_description(folder, {"state": "incomplete", "request": dict(request)})
        return None
    found = read_description(folder)
    _check_same(folder, found["request"], request)
    return found if found.get("state") == "complete" else None


def write_description(folder: Path, values: Mapping[str, Any]) -> None:
    """Write ``dataset.yaml``.

    Raises:
        OutputError: if it cannot be written.
    """
    path = folder / DESCRIPTION
    try:
        write_text(path, dump_yaml({"format_version": FORMAT_VERSION, **values}))
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error})") from None


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``dataset.yaml``.

    Raises:
        OutputError: if it cannot be read, or was written by a later version.
    """
    path = folder / DESCRIPTION
    values = load_yaml(read_text(path))
    if not isinstance(values, dict) or not isinstance(values.get("request"), dict):
        raise OutputError(f"{path} does not describe a data set of pdesim", "pdesim dataset")
    check_version(path, values.get("format_version", 1), FORMAT_VERSION)
    return values


def _check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ConfigError if two requests differ."""
    one, other = dict(leaves(before)), dict(leaves(load_yaml(dump_yaml(now))))
    missing = "not set"
    differ = [
        f"{name.removeprefix('settings.')} was {one.get(name, missing)}, "
        f"now {other.get(name, missing)}"
        for name in dict.fromkeys((*one, *other))
        if one.get(name, missing) != other.get(name, missing) and name != "digest"
    ]
    if differ or one.get("digest") != other.get("digest"):
        raise ConfigError(
            f"{folder} contains a data set with other settings: "
            f"{'; '.join(differ[:4]) or 'the values of swept settings'}",
            "the same settings, to continue or to complete it",
            "another name (--output FOLDER)",
        )
