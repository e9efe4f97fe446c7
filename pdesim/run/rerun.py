"""Computing a run again from its stored settings, and comparing the result with the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pdesim
from pdesim.comparison import Comparison, Difference, compare
from pdesim.comparison.report import times_text
from pdesim.errors import ConfigError, OutputError, printable
from pdesim.files import dump_yaml, reading
from pdesim.output import RunFolder, Snapshots
from pdesim.output.metadata import RERUN_OF
from pdesim.plan import Plan, build_plan
from pdesim.run.continuation import check_shape, stored_config
from pdesim.run.stored_initial import with_moved_initial
from pdesim.run.stored_networks import with_stored_networks
from pdesim.settings import read_settings

#: packages whose versions may change the result by rounding errors
PACKAGES = ("pdesim", "tensorflow", "numpy")


@dataclass(frozen=True)
class Rerun:
    """A run that is to be computed again.

    Attributes:
        plan: the plan.
        config_yaml: the settings, as YAML text.
        original: the snapshot file of the original.
        notes: messages for the user, one line each.
    """

    plan: Plan
    config_yaml: str
    original: Path
    notes: tuple[str, ...]

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of the new snapshot file, which name the original."""
        # HDF5 cannot store names that are not valid UTF-8
        return {RERUN_OF: printable(str(self.original.parent.resolve()))}


def plan_rerun(path: str | Path) -> Rerun:
    """Plan a run from the settings in the snapshot file of another run.

    The file may be that of another person: its settings are validated like those of an equation
    file. Hydra's own settings, which could run code, are not read, and neither is its folder
    ``.hydra``.

    Args:
        path: the folder of the run, or its snapshot file.

    Raises:
        OutputError: if there is no run, or if its settings cannot be read.
        PdesimError: if a setting is invalid.
    """
    with reading(Path(path)), Snapshots(path) as snapshots:
        attributes, original = snapshots.attributes, snapshots.path
        fields = snapshots.checked_fields()
        shape = snapshots[fields[0]].shape[1:]
        snapshots.frame_count(fields)
    if "config" not in attributes:
        raise OutputError(f"{original} contains no settings", "the folder of a run of pdesim")
    notes = tuple(_other_versions(attributes))
    try:
        values = stored_config(attributes, original)
    except ConfigError as error:  # perhaps settings of another version
        problem = f"the settings in {original} are not valid: {error.problem}"
        hint = "\n".join(filter(None, (error.hint, next(iter(notes), ""))))
        raise ConfigError(problem, error.expected, hint) from None
    # an older run may have had the permission to replace files, which does not extend to this run
    values["output"] = {**values.get("output", {}), "overwrite": False}
    values = with_moved_initial(values, original.parent)
    settings = read_settings(with_stored_networks(values, original.parent))
    check_shape(settings, shape, original)
    plan = build_plan(settings, str(attributes.get("equation_name", "custom")))
    return Rerun(plan, dump_yaml(values), original, notes)


def _other_versions(attributes: Mapping[str, Any]) -> list[str]:
    """Return a note for each package of which the original used another version."""
    now = {"pdesim": pdesim.__version__}
    found = []
    for package in PACKAGES:
        then, current = attributes.get(f"{package}_version"), now.get(package) or version(package)
        if then is not None and str(then) != current:
            found.append(
                f"the original was computed with {package} {then}, this run with {current}"
            )
    return found


def describe_result(original: Path, folder: Path) -> list[str]:
    """Compare a run with its original, and return the result as lines of text.

    Args:
        original: the snapshot file of the original.
        folder: the folder of the new run.

    Raises:
        PdesimError: if the runs cannot be compared, for example because there is no frame.
    """
    found = compare(folder, original)
    frames = len(next(iter(found.fields.values())))
    compared = "1 frame" if frames == 1 else f"{frames} frames"
    lines = []
    if found.equal:
        lines.append(f"equal to the original bit for bit: {compared} of {', '.join(found.fields)}")
    else:
        lines.append(f"differs from the original in {compared} that were compared")
        lines += [_largest(name, frames) for name, frames in found.fields.items()]
        lines += _reasons(original, folder)
    return lines + _not_compared(found)


def _largest(name: str, frames: Sequence[Difference]) -> str:
    if all(one.equal for one in frames):
        return f"  {name}: equal bit for bit"
    finite = [one for one in frames if one.l_inf == one.l_inf]
    if not finite:
        return f"  {name}: not finite"
    one = max(finite, key=lambda frame: frame.l_inf)
    return (
        f"  {name}: by at most {one.l_inf:.3e}, at t = {one.time:g} (relative L2 norm "
        f"{one.relative_l2:.3e})"
    )


def _reasons(original: Path, folder: Path) -> list[str]:
    """Return differences between the computations that change rounding errors."""
    then, now = (RunFolder(one).read_status_or_empty() for one in (original.parent, folder))
    found = []
    devices = then.get("device"), now.get("device")
    if None not in devices and devices[0] != devices[1]:
        found.append(f"the original was computed on {devices[0]}, this run on {devices[1]}")
    if "members_of_batch" in then:
        found.append(
            f"the original was computed in one program with {then['members_of_batch']} members of "
            "a sweep, which may round differently"
        )
    if "resumed_at" in then:
        found.append("the original was resumed, perhaps with another time.end or device")
    return found


def _not_compared(found: Comparison) -> list[str]:
    """Return notes on frames of one run that the other does not have."""
    lines = []
    for name, times in zip(("this run", "the original"), found.unmatched, strict=True):
        if times:
            lines.append(f"only {name} has the frames at {times_text(times)}")
    return lines
