"""``checkpoint.h5``: where a run stands, so that it can go on bit for bit.

Written under another name, synced to the disk and renamed; the one before is kept as
``checkpoint.previous.h5``, and used where the last one turns out to be damaged.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import OutputError
from pdesim.files import (
    UNREADABLE,
    check_own_file,
    creating,
    open_hdf5,
    read_array,
    replacing,
)
from pdesim.moment import Moment
from pdesim.output.snapshots import LIBRARY_VERSIONS, explained, reason
from pdesim.settings import CONTINUING, INCIDENTAL

FILE = "checkpoint.h5"
PREVIOUS = "checkpoint.previous.h5"
_TYPES = {"int": int, "float": int | float, "str": str}
_ARRAYS = ("times", "targets", "errors", "state")
_NUMBERS = tuple(f.name for f in dataclasses.fields(Moment) if f.type in ("int", "float", "str"))


def write_checkpoint(folder: Path, moment: Moment, settings: str) -> None:
    """Replace the folder's checkpoint.

    Args:
        settings: what the moment depends on, see :func:`fingerprint`.

    Raises:
        OutputError: if it cannot be written; the checkpoints before are kept.
    """
    path = folder / FILE
    numbers = json.dumps({name: getattr(moment, name) for name in _NUMBERS})
    arrays = {name: getattr(moment, name) for name in _ARRAYS}
    arrays |= {f"carry_{number}": part for number, part in enumerate(moment.carry)}
    if moment.solid is not None:
        arrays["solid"] = moment.solid.astype(np.uint8)
    with (
        explained(path),
        replacing(path, sync=True, keep=folder / PREVIOUS) as temporary,
        creating(temporary, libver=LIBRARY_VERSIONS) as file,
    ):
        for name, values in arrays.items():
            file.create_dataset(name, data=values)
        file.attrs["numbers"] = numbers
        file.attrs["settings"] = settings
        file.attrs["carried"] = len(moment.carry)
        file.attrs["digest"] = _digest(numbers, settings, arrays)


def read_checkpoint(path: Path) -> tuple[Moment, str]:
    """The moment, and the settings that it depends on.

    Raises:
        OutputError: if the file is missing, damaged, or refers to other files.
    """
    check_own_file(path)
    try:
        with open_hdf5(path) as file:
            numbers, settings = file.attrs["numbers"], file.attrs["settings"]
            carried = int(file.attrs["carried"])
            if not 0 <= carried <= len(file):
                raise ValueError(f"it counts {carried} carried arrays")
            names = [*_ARRAYS, *(f"carry_{n}" for n in range(carried))]
            names += ["solid"] if "solid" in file else []
            arrays = {name: read_array(file, name) for name in names}
            intact = file.attrs["digest"] == _digest(numbers, settings, arrays)
        if not intact:
            raise OutputError(f"{path} is damaged: its contents do not fit its checksum")
        values = {name: ({"together": 0} | json.loads(numbers))[name] for name in _NUMBERS}
        carry = tuple(arrays[name] for name in names if name.startswith("carry_"))
        solid = arrays["solid"].astype(bool) if "solid" in arrays else None
        moment = Moment(**values, **{n: arrays[n] for n in _ARRAYS}, carry=carry, solid=solid)
        _check(moment)
    except UNREADABLE as error:
        raise OutputError(f"{path} is damaged ({reason(error)})") from None
    return moment, str(settings)


def _check(moment: Moment) -> None:
    """Types and ranges: a checksum shows damage, not who computed it.

    Raises:
        ValueError: naming the first entry that no run writes.
    """
    for field in dataclasses.fields(Moment):
        value, kind = getattr(moment, field.name), _TYPES.get(field.type)
        if kind and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"{field.name} is {value!r}")
    for name in ("times", "targets"):
        times = getattr(moment, name)
        if times.ndim != 1 or times.dtype.kind != "f" or not (np.diff(times) > 0).all():
            raise ValueError(f"{name} is no list of growing times")
    for name, many in (("frame", moment.times), ("target", moment.targets)):
        if not 0 <= getattr(moment, name) < len(many):
            raise ValueError(f"{name} is {getattr(moment, name)} of {len(many)}")
    if not (np.isfinite(moment.state).all() and moment.state.dtype.kind == "f"):
        raise ValueError("the state is not finite")


#: how frames are stored decides no number of the run
_FREE = (*INCIDENTAL, *CONTINUING, "output")


def fingerprint(config: Mapping[str, Any]) -> str:
    """The part of a configuration that decides every number of a run, as sorted JSON.

    Output, pictures, names, the end, and how long it may take are free to change on the way.
    """
    parts = {}
    for name, value in config.items():
        if name not in _FREE:
            whole = not isinstance(value, Mapping)
            kept = (
                value if whole else {k: v for k, v in value.items() if f"{name}.{k}" not in _FREE}
            )
            parts[name] = kept
    return json.dumps(parts, sort_keys=True)


def _digest(numbers: str, settings: str, arrays: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for text in (numbers, settings):
        total.update(text.encode())
    for name, values in sorted(arrays.items()):
        total.update(f"{name}{values.dtype.str}{values.shape}".encode())
        total.update(np.ascontiguousarray(values))
    return total.hexdigest()
