"""Damaged run files, opened by every reader in one process.

    python -m tests.fuzz.files --count 2000 --seed 1

A case damages one file of a copy of a small run (and of a run whose writer was killed) and opens
the copy with all readers. Counted are exceptions other than PdesimError, answers that take longer
than five seconds, and files that a reader or a refusing writer changed. The seed is printed; a case
is reproduced with ``--seed SEED --first NUMBER --count 1``.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

import pdesim
from pdesim.cli.run_table import show_info
from pdesim.config.compose import compose_settings
from pdesim.converge.command import _of_run
from pdesim.errors import PdesimError
from pdesim.export import export
from pdesim.output import RunFolder, Worker, fingerprint, recover, write_sweep_csv
from pdesim.output.checkpoint import Checkpoint, write_checkpoint
from pdesim.plan import Plan, build_plan
from pdesim.render import diagnostics_plot, render
from pdesim.run.continuation import continue_run
from pdesim.run.files import open_recorder
from pdesim.run.job import Job
from pdesim.settings import Animation

#: seconds of processor time that an answer may take
LONGEST = 5.0
#: the same by the clock on the wall
PATIENCE = 30.0
#: after that a case will not return to Python, and ends the process with its traceback
STUCK = 300.0
SETTINGS = (
    "equation=gray_scott", "grid=[6,4]", "time.end=4", "output.frames=4", "animation=none",
    "stepper=rk4",
)  # fmt: skip
HDF5 = ("snapshots.h5", "checkpoint.h5", "checkpoint.previous.h5")
TEXTS = ("status.json", ".hydra/config.yaml", ".hydra/overrides.yaml", "diagnostics.csv",
         "converge.json")  # fmt: skip
#: values that a number, a word or a list may be replaced by
ODD = (
    "null", "true", "[]", "[1, 2]", "{}", '{"a": 1}', '"text"', '""', "-1", "0", "1e400", "-1e308",
    "NaN", "Infinity", "1" * 400, "9" * 5000, '"\\ud800"', '"\\u001b[31m"', "1e-320", "01", "'",
    "[" * 200, "&a [*a, *a]", "!!python/object:os.system x", "2001-99-99", "\x00", "\t",
)  # fmt: skip
OBJECTS = (
    1, -1, 10**12, 0.5, np.nan, np.inf, "text", "", b"\xff\xfe", [1, 2], ["u"], True,
    "a: &a [1]\nb: [*a, *a]", "[" * 500, "u: {", h5py.Empty("f8"), np.zeros((2, 2)),
)  # fmt: skip
STATUS = {
    "state": "interrupted", "equation": "gray_scott", "started": "2026-01-01T00:00:00+0000",
    "seconds": 1.5, "steps": 12, "rejected_steps": 0, "dt": 0.1, "steps_per_second": 8.0,
    "cell_updates_per_second": 200, "time_error": {"u": 1e-5, "v": 0.0}, "frames": 4,
}  # fmt: skip


@dataclass
class Result:
    """What went wrong, and how long the slowest answer took."""

    cases: int = 0
    refused: int = 0
    tracebacks: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def failures(self) -> list[str]:
        return [*self.tracebacks, *self.slow, *self.changed]


def make_originals(place: Path) -> tuple[Path, Path]:
    """Two run folders without TensorFlow: one with frames 0 to 3 of 4, one cut off after them."""
    composed = compose_settings(SETTINGS)
    plan = build_plan(composed.settings, composed.equation)
    whole, cut = place / "whole", place / "cut"
    whole.mkdir(parents=True)
    worker = Worker(4)
    recorder = open_recorder(Job(plan, whole, composed.yaml), worker)
    for frame in range(4):
        recorder.frame(frame, plan.times[frame], plan.state)
    worker.drain()
    settings = fingerprint(composed.values)
    for frame in (2, 3):
        write_checkpoint(whole, _moment(plan, frame), settings)
    RunFolder(whole).write_status(**STATUS)
    (whole / ".hydra").mkdir()
    (whole / ".hydra" / "config.yaml").write_text(composed.yaml)
    (whole / ".hydra" / "overrides.yaml").write_text("- grid=[6,4]\n- time.end=4\n")
    (whole / "converge.json").write_text('{"fields": {"u": {"error_max": 1}}, "time": 1}')
    shutil.copytree(whole, cut)  # the writer still has it open: as if it was killed now
    recorder.close()
    worker.close()
    return whole, cut


def _moment(plan: Plan, frame: int) -> Checkpoint:
    target = int(np.searchsorted(plan.targets, plan.times[frame]))
    step = plan.step
    return Checkpoint(
        plan.stepper.method.name, frame, target, 0, float(plan.times[frame]), step.dt, step.dt,
        step.limit, 12, 0, 1.0, 0, 0, 0, 0.0, plan.times, plan.targets, np.zeros(0), plan.state,
        (plan.state,),
    )  # fmt: skip


# --- damage


def damage(folder: Path, rng: random.Random) -> str:
    """Damage one file of a run; returns which, and how."""
    name = rng.choice((*HDF5, *HDF5, *TEXTS))
    path = folder / name
    if name in HDF5 and rng.random() < 0.5:
        return f"{name}: {_edit(path, rng)}"
    if name in TEXTS and rng.random() < 0.6:
        return f"{name}: {_rewrite(path, rng)}"
    return f"{name}: {_overwrite(path, rng)}"


def _overwrite(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    kind = rng.choice(("bit", "bits", "header", "zeros", "noise", "cut", "longer", "swap"))
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.randrange(1, 200))
    if kind == "bit":
        data[start] ^= 1 << rng.randrange(8)
    elif kind == "bits":
        for _ in range(rng.randrange(2, 30)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "header":
        data[rng.randrange(min(600, len(data)))] = rng.randrange(256)
    elif kind == "zeros":
        data[start:stop] = bytes(stop - start)
    elif kind == "noise":
        data[start:stop] = rng.randbytes(stop - start)
    elif kind == "cut":
        del data[start:]
    elif kind == "longer":
        data += rng.randbytes(100)
    else:
        data[start:stop] = data[start:stop][::-1]
    path.write_bytes(data)
    return f"{kind} at {start}"


def _rewrite(path: Path, rng: random.Random) -> str:
    """Replace one value of a text file by an odd one."""
    text = path.read_text()
    lines = text.splitlines()
    number = rng.randrange(len(lines))
    odd = rng.choice(ODD)
    separator = "," if path.suffix == ".csv" else ":"
    head, found, _ = lines[number].rpartition(separator)
    ends = "," if path.suffix == ".json" and lines[number].endswith(",") else ""
    lines[number] = f"{head}{found} {odd}{ends}" if found else odd
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogatepass")
    return f"line {number + 1} ends in {odd[:30]!r}"


def _edit(path: Path, rng: random.Random) -> str:
    """Change a dataset or an attribute to one that HDF5 allows and no run writes."""
    try:
        with h5py.File(path, "r+") as file:
            if rng.random() < 0.5 and len(file.attrs):
                name, value = rng.choice(sorted(file.attrs)), rng.choice(OBJECTS)
                if rng.random() < 0.2:
                    del file.attrs[name]
                    return f"without attribute {name}"
                with contextlib.suppress(TypeError, ValueError, OSError):
                    file.attrs[name] = value
                return f"attribute {name} = {value!r:.40}"
            name = rng.choice(sorted(file))
            return f"{name} {_replace(file, name, rng)}"
    except OSError:  # a run that was cut off cannot be opened for writing
        return _overwrite(path, rng)


def _replace(file: h5py.File, name: str, rng: random.Random) -> str:
    data = file[name]
    shape, attributes = data.shape, {k: v for k, v in data.attrs.items() if k == "units"}
    kind = rng.choice(
        ("gone", "group", "text", "scalar", "empty", "flat", "deep", "complex", "nan", "long",
         "short", "vast", "reversed", "integers", "half", "attribute", "record", "bool")
    )  # fmt: skip
    if kind == "attribute":
        with contextlib.suppress(TypeError, ValueError, OSError):
            data.attrs[rng.choice(("units", "long_name", "CLASS"))] = rng.choice(OBJECTS)
        return "with an odd attribute"
    values = data[()]
    del file[name]
    if kind == "group":
        file.create_group(name)
    elif kind == "text":
        file[name] = ["a", "b"]
    elif kind == "scalar":
        file[name] = 1.0
    elif kind == "empty":
        file[name] = h5py.Empty("f8")
    elif kind == "flat":
        file[name] = np.ravel(values)
    elif kind == "deep":
        file[name] = values[None]
    elif kind == "complex":
        file[name] = values.astype(complex)
    elif kind == "nan":
        file[name] = np.full(shape, rng.choice((np.nan, np.inf, 1e308)))
    elif kind == "long":
        file[name] = np.concatenate([values, values]) if shape else values
    elif kind == "short":
        file[name] = values[:0] if shape else values
    elif kind == "vast":
        file.create_dataset(
            name, (10**9, *shape[1:]), "f8", chunks=True, maxshape=(None, *shape[1:])
        )
    elif kind == "reversed":
        file[name] = values[::-1] if shape else values
    elif kind == "integers":
        file[name] = np.ones(shape, np.uint8)
    elif kind == "half":
        file[name] = np.ones(shape, np.float16)
    elif kind == "record":
        file[name] = np.zeros(shape, [("a", "f4"), ("b", "i4")])
    elif kind == "bool":
        file[name] = np.ones(shape, bool)
    if kind not in ("gone", "group") and isinstance(file[name], h5py.Dataset):
        file[name].attrs.update(attributes)
    return kind


# --- readers


def _read_all(folder: Path) -> None:
    with pdesim.open(folder) as snapshots:
        repr(snapshots), snapshots.times, snapshots.mask, len(snapshots), snapshots.attributes
        for axis in snapshots.axes:
            snapshots.coordinates(axis)


def _draw(folder: Path) -> None:
    animation = Animation(name="gif", size=64)
    with tempfile.TemporaryDirectory() as place:
        render(folder, animation, Path(place) / "a.gif")


def _plot(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        diagnostics_plot(folder / "diagnostics.csv", Path(place) / "a.png")


def _export(to: str) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as place:
            export(folder, to, Path(place) / f"a.{to}")

    return save


def _sweep(folder: Path) -> None:
    """As the only member of a sweep."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(folder, Path(place) / "0")
        write_sweep_csv(place)


READERS: dict[str, Callable[[Path], object]] = {
    "info": lambda folder: show_info(str(folder), False),
    "info --json": lambda folder: show_info(str(folder), True),
    "open": _read_all,
    "render": _draw,
    "export npz": _export("npz"),
    "export well": _export("well"),
    "export pdebench": _export("pdebench"),
    "export xdmf": _export("xdmf"),
    "converge": lambda folder: _of_run(str(folder))[0].settings,
    "sweep.csv": _sweep,
    "the plot": _plot,
}
#: they may change a file, and only if they succeed
WRITERS: dict[str, Callable[[Path], object]] = {
    "recover": lambda folder: recover(folder / "snapshots.h5"),
    "resume": lambda folder: continue_run(folder, {}),
    "resume to a later end": lambda folder: continue_run(folder, {"time": {"end": 6}}),
}
#: matplotlib takes most of the time; for one case in so many
SELDOM = {"the plot": 20, "render": 4}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def run_case(folder: Path, about: str, number: int, result: Result) -> None:
    """Open a damaged run with everything and note what went wrong."""
    before = contents(folder)
    for name, use in {**READERS, **WRITERS}.items():
        if number % SELDOM.get(name, 1):
            continue
        began, worked, refused = time.monotonic(), time.process_time(), False
        try:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                use(folder)
            printed.getvalue().encode()  # what a terminal would be given
        except PdesimError as error:
            refused = True
            str(error).encode()
        except Exception:
            result.tracebacks.append(f"case {number}, {about}; {name}:\n{traceback.format_exc()}")
        # the machine may be busy with something else; a wait for nothing takes no processor time
        waited, seconds = time.monotonic() - began, time.process_time() - worked
        result.refused += refused
        result.slowest = max(result.slowest, seconds)
        if seconds > LONGEST or waited > PATIENCE:
            result.slow.append(f"case {number}, {about}; {name}: {waited:.1f} s")
        after = contents(folder)
        if after != before:
            if refused or name not in WRITERS:
                result.changed.append(f"case {number}, {about}; {name}")
            before = after


def run_cases(count: int, seed: int, place: Path, first: int = 0, verbose: bool = False) -> Result:
    """``count`` cases from number ``first`` on; with ``verbose`` failures are printed at once."""
    originals, result = make_originals(place), Result()
    for number in range(first, first + count):
        rng = random.Random(f"{seed}.{number}")
        folder = place / "case"
        shutil.copytree(originals[rng.random() < 0.3], folder)
        about = damage(folder, rng)
        known = set(result.failures)
        if verbose and number % 100 == 0:
            print(f"case {number}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(STUCK, exit=True)
        run_case(folder, about, number, result)
        faulthandler.cancel_dump_traceback_later()
        shutil.rmtree(folder)
        result.cases += 1
        for line in result.failures if verbose else ():
            if line not in known:
                print(line, flush=True)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    asked = parser.parse_args()
    seed = random.randrange(10**6) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as place:
        result = run_cases(asked.count, seed, Path(place), asked.first, verbose=True)
    print(
        f"seed {seed}: {result.cases} damaged run files, {result.refused} answers were refusals; "
        f"{len(result.tracebacks)} tracebacks, {len(result.slow)} answers over {LONGEST:g} s, "
        f"{len(result.changed)} changed originals; slowest {result.slowest:.2f} s"
    )
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
