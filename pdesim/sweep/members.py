"""The members of a sweep: their settings, their plans, and which of them share a program."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pdesim.config.compose import Composed, compose_settings
from pdesim.errors import OutputError, PdesimError
from pdesim.files import memory, write_text
from pdesim.operators.problem import Problem
from pdesim.output import write_status
from pdesim.output.snapshots import FILE as SNAPSHOTS
from pdesim.plan import Plan, build_plan
from pdesim.run.continuation import continue_run

ALONE = "alone"
#: members of one program at most: each holds some files open
LARGEST_BATCH = 64
#: the part of the machine's memory that a batch may take
MEMORY_SHARE = 0.5
#: bytes of state that a CPU keeps near its cores: Gray-Scott at 128 x 128 ran fastest with 16
#: members (2 MiB), and with 64 no faster than alone
CACHE = 2**21


@dataclass(frozen=True)
class Member:
    """One run of a sweep, ready to start or to go on. ``plan`` is None where nothing is left."""

    number: int
    folder: Path
    config_yaml: str
    plan: Plan | None
    overrides: tuple[str, ...]
    goes_on: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a member ended: finished, failed, interrupted, or skipped because it was finished."""

    number: int
    folder: Path
    state: str
    error: PdesimError | None = None


def prepare_member(
    number: int,
    folder: Path,
    overrides: Sequence[str],
    compose: Callable[[Sequence[str]], Composed] = compose_settings,
) -> Member | Outcome:
    """Compose and plan one member; what is wrong with it is its outcome and ends no other."""
    there = (folder / SNAPSHOTS).exists()
    try:
        composed = compose(overrides)
        settings = composed.settings
        if there and settings.resume != "auto" and not settings.output.overwrite:
            raise OutputError(
                f"{folder} already contains a run; nothing was overwritten",
                hint="another folder (hydra.sweep.dir=...), output.overwrite=true or resume=auto",
            )
        if there and settings.resume == "auto":
            rest = continue_run(folder, composed.values)
            words = tuple(overrides)
            return Member(number, folder, rest.config_yaml, rest.plan, words, True, rest.notes)
        _write_hydra_folder(folder, composed, overrides)
        plan = build_plan(settings, composed.equation)
        return Member(number, folder, composed.yaml, plan, tuple(overrides))
    except OSError as problem:
        error = OutputError(f"{folder} cannot be written ({problem.strerror or problem})")
        return Outcome(number, folder, "failed", error)
    except PdesimError as error:
        if not there:  # the status of a run that is there already stays its own
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
            write_status(folder, state="failed", error=error.problem)
        return Outcome(number, folder, "failed", error)


def _write_hydra_folder(folder: Path, composed: Composed, overrides: Sequence[str]) -> None:
    """``.hydra/`` as Hydra's own launchers leave it, for people and for sweep.csv."""
    place = folder / ".hydra"
    place.mkdir(parents=True, exist_ok=True)
    write_text(place / "config.yaml", composed.yaml)
    write_text(place / "overrides.yaml", yaml.safe_dump(list(overrides), allow_unicode=True))


@dataclass(frozen=True)
class Batch:
    """Members that share a program; batches of one ``program`` and size share it, too."""

    program: str
    members: tuple[Member, ...]

    @property
    def alone(self) -> bool:
        """Whether its one member cannot share a program with anyone."""
        return self.program.startswith(ALONE)


def batches(members: Sequence[Member], on_gpu: bool) -> Iterator[Batch]:
    """Groups that share a program, cut to what the device does best, in the order of numbers.

    A CPU is fastest while the states stay in its cache; a GPU, the more there are.
    """
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(program_of(member), []).append(member)
    for program, group in groups.items():
        size = largest_batch(group[0].plan, on_gpu)
        # equal parts rather than full ones and a rest: a part's size decides its program
        parts = -(-len(group) // size)
        size = -(-len(group) // parts)
        for start in range(0, len(group), size):
            yield Batch(program, tuple(group[start : start + size]))


def largest_batch(plan: Plan, on_gpu: bool) -> int:
    state = plan.state_bytes
    fits = MEMORY_SHARE * memory() / (plan.state_copies * state)
    best = LARGEST_BATCH if on_gpu else CACHE / state
    return int(max(1, min(LARGEST_BATCH, fits, best)))


def program_of(member: Member) -> str:
    """What members of one program have in common; a member that cannot share has its number."""
    plan = member.plan
    if plan.equation.steady or not _can_share(plan):
        return f"{ALONE} {member.number}"
    sections = ("grid", "domain", "boundary", "operators", "device")
    since, settings = plan.resume_from, plan.settings
    name = plan.stepper.method.name
    common = {
        "equation": _without_numbers(settings.equation),
        "stepper": repr(plan.stepper) if plan.stepper.method.family == "stabilized" else name,
        "tolerance": plan.step.tolerance,
        "automatic": plan.settings.time.dt == "auto",
        "times": plan.times.tobytes().hex(),
        "targets": plan.targets.tobytes().hex(),
        "solid": "" if plan.problem.mask is None else plan.problem.mask.solid.tobytes().hex(),
        "since": None if since is None else [since.target, since.steps_since_target, since.time],
    }
    common |= settings.model_dump(include=set(sections))
    return json.dumps(common, sort_keys=True)


def _without_numbers(equation: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str | Mapping | list | type(None)) else "a number"
        for key, value in equation.items()
    }


def _can_share(plan: Plan) -> bool:
    """Not where members would wait for each other's iterations, or walls are worked out once."""
    problem: Problem = plan.problem
    if plan.stepper.method.family == "implicit" and not plan.stepper.direct:
        return False
    parameters = set(plan.equation.parameter_symbols.values())
    return not (problem.discretisation.is_spectral and problem.boundary.symbols & parameters)
