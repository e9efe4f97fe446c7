"""The members of a sweep: their settings, their plans, and batches that share a program."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdesim.config.compose import Composed, compose_settings
from pdesim.engine.device import Placement
from pdesim.engine.memory import device_memory, least_bytes
from pdesim.errors import OutputError, PdesimError
from pdesim.files import dump_yaml, memory, write_text
from pdesim.operators.problem import Problem
from pdesim.output import RunFolder
from pdesim.plan import Plan, build_plan
from pdesim.run.continuation import continue_run
from pdesim.run.job import Job, Outcome
from pdesim.steppers.implicit import ThetaMethod

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: beginning of the key of :func:`program_of` for members that cannot share a program
ALONE = "alone"
#: largest number of members in a batch; each member keeps several files open
LARGEST_BATCH = 64
#: the largest number of files that a member keeps open, and a number for all other purposes
FILES_OF_MEMBER, OTHER_FILES = 5, 256
#: fraction of the memory of the machine, and of the device, that a batch may use
MEMORY_FRACTION = 0.5
#: size of the states in a batch on a CPU, in bytes; about the size of the cache. Gray-Scott on
#: 128 x 128 cells is fastest with 16 members (2 MiB); with 64 members it is not faster than without
#: batches
CACHE_BYTES = 2**21


@dataclass(frozen=True)
class Member(Job):
    """A run of a sweep, ready to be started or resumed.

    Args:
        overrides: the overrides of this member.
        notes: messages for the user, which are printed before the sweep starts.
    """

    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def prepare_member(
    number: int,
    folder: Path,
    overrides: Sequence[str],
    compose: Callable[[Sequence[str]], Composed] = compose_settings,
) -> Member | Outcome:
    """Compose the settings of one member, and plan its run.

    An error in the settings of a member does not affect other members.

    Args:
        number: number of the member.
        folder: folder of the member.
        overrides: overrides of the member.
        compose: function that composes the settings.

    Returns:
        The member. If the member cannot be planned or is finished already, its outcome.
    """
    run = RunFolder(folder)
    existed = run.contains_run
    try:
        composed = compose(overrides)
        settings = composed.settings
        if existed and settings.resume == "auto":
            rest = continue_run(folder, composed.values)
            if rest.plan is None:
                return Outcome(number, folder, "skipped", notes=rest.notes)
            return Member(
                rest.plan,
                folder,
                rest.config_yaml,
                resume=True,
                number=number,
                overrides=tuple(overrides),
                notes=rest.notes,
            )
        run.check_overwrite(settings.output.overwrite, "hydra.sweep.dir")
        _write_hydra_folder(run, composed, overrides)
        plan = build_plan(settings, composed.equation)
        return Member(plan, folder, composed.yaml, number=number, overrides=tuple(overrides))
    except OSError as problem:
        error = OutputError(f"{folder} cannot be written ({problem.strerror or problem})")
        return Outcome(number, folder, "failed", error)
    except PdesimError as error:
        if not existed:  # the status of an earlier run is kept
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
            run.write_status(state="failed", error=error.problem)
        return Outcome(number, folder, "failed", error)


def _write_hydra_folder(run: RunFolder, composed: Composed, overrides: Sequence[str]) -> None:
    """Write the settings and the overrides into ``.hydra/``, as Hydra's own launchers do."""
    run.config.parent.mkdir(parents=True, exist_ok=True)
    write_text(run.config, composed.yaml)
    write_text(run.overrides, dump_yaml(list(overrides)))


@dataclass(frozen=True)
class Batch:
    """Members that are computed together by one program.

    Batches with equal ``program`` and equal size also use the same compiled program.

    Args:
        together: the number of members that one device would compute together; several devices
            compute the batches of several devices at a time.
    """

    program: str
    members: tuple[Member, ...]
    together: int = 1

    @property
    def alone(self) -> bool:
        """Whether the batch has a single member, which cannot share a program with others."""
        return self.program.startswith(ALONE)


def batches(members: Sequence[Member], placement: Placement) -> Iterator[Batch]:
    """Yield batches of members that share a program, of the size that suits the device.

    A CPU is fastest if the states of the batch fit into its cache. On a GPU, larger batches are
    always faster, and several GPUs divide batches of up to :func:`batch_size` members.
    """
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(program_of(member), []).append(member)
    for program, group in groups.items():
        together = _equal_size(len(group), largest_batch(group[0].plan, placement))
        size = _equal_size(len(group), batch_size(group[0].plan, placement))
        for start in range(0, len(group), size):
            yield Batch(program, tuple(group[start : start + size]), together)


def _equal_size(members: int, most: int) -> int:
    """Return the size of batches of equal size, since a program is compiled for every size."""
    return -(-members // -(-members // most))


def batch_size(plan: Plan, placement: Placement) -> int:
    """Return the largest number of members with this plan that ``device.count`` devices compute.

    Several GPUs compute as many times the members of one. The parts of a CPU share its cache, but
    have at least a member each.
    """
    one, count = largest_batch(plan, placement), plan.settings.device.count
    if count == 1:
        return one
    wanted = count * one if placement.is_gpu else max(count, one)
    on_host = MEMORY_FRACTION * memory() / (plan.state_copies * plan.state_bytes)
    return int(max(1, min(wanted, on_host, _most_open_files() / FILES_OF_MEMBER)))


def _most_open_files() -> float:
    """Return the number of files that this process may open; infinity if it is unlimited."""
    if resource is None:
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else max(0, limit - OTHER_FILES)


def largest_batch(plan: Plan, placement: Placement) -> int:
    """Return the largest number of members with this plan that one device should compute."""
    state = plan.state_bytes
    on_host = MEMORY_FRACTION * memory() / (plan.state_copies * state)
    on_device = MEMORY_FRACTION * device_memory(placement) / least_bytes(plan)
    best = LARGEST_BATCH if placement.is_gpu else CACHE_BYTES / state
    return int(max(1, min(LARGEST_BATCH, on_host, on_device, best)))


def program_of(member: Member) -> str:
    """Return a key that is equal for members that can share a program.

    The key of a member that cannot share a program contains its number.
    """
    plan = member.plan
    if plan.equation.steady or not can_share(plan):
        return f"{ALONE} {member.number}"
    sections = ("grid", "domain", "boundary", "operators", "device")
    recorded = ("observe", "probes", "observe_every", "stop")
    since, settings = plan.resume_from, plan.settings
    name = plan.stepper.method.name
    common = {
        "equation": _without_numbers(settings.equation),
        "networks": {name: one.digest for name, one in plan.equation.networks.items()},
        "stepper": repr(plan.stepper) if plan.stepper.method.family == "stabilized" else name,
        "tolerance": plan.step.tolerance,
        "automatic": plan.settings.time.dt == "auto",
        "noise_step": plan.settings.time.noise_step is None,
        "times": plan.times.tobytes().hex(),
        "targets": plan.targets.tobytes().hex(),
        "solid": "" if plan.problem.mask is None else plan.problem.mask.solid.tobytes().hex(),
        "since": None if since is None else [since.target, since.steps_since_target, since.time],
    }
    common |= settings.model_dump(include={*sections, *recorded})
    return json.dumps(common, sort_keys=True)


def _without_numbers(equation: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str | Mapping | list | type(None)) else "a number"
        for key, value in equation.items()
    }


def can_share(plan: Plan) -> bool:
    """Return whether the parameters of a plan can be arguments of a shared program.

    This is not so for iterative solvers, because the members would wait for each other, and for
    boundary values that depend on parameters but are evaluated only once per program.
    """
    problem: Problem = plan.problem
    if isinstance(plan.stepper, ThetaMethod) and not plan.stepper.direct:
        return False
    parameters = set(plan.equation.parameter_symbols.values())
    return not (problem.discretisation.is_spectral and problem.boundary.symbols & parameters)
