"""Kills commands at random moments and checks that nothing is lost.

    python tests/fuzz/kills.py [--kills 100] [--seed 1] [--only single,sweep,workers,export]

Single runs, sweeps, sweeps by worker processes, ``resume``, ``recover`` and ``export`` get SIGKILL,
SIGTERM or SIGINT at a random moment and are started again until they end by themselves. Checked:
every frame that was on the disk before the kill is there after it, with the same bits; the final
files equal those of a run that nobody killed; no process outlives its parent for long; the next
command leaves no temporary file. Prints the seed, the number of kills and what failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WORDS = ("equation=gray_scott", "grid=96", "time.end=8000", "output.frames=60",
         "output.checkpoint=0.2", "animation=none")  # fmt: skip
SWEEP = ("-m", *WORDS, "equation.F=0.03,0.04,0.05", "hydra.sweep.dir=s", "resume=auto")
WORKERS = ("workers=joblib", "workers.n=2")
#: seconds in which a kill falls, from the command's start: imports take the first of them
LONGEST_WAIT = 12.0
#: seconds for a command that is not killed, and for orphans to stop
COMMAND_SECONDS, ORPHAN_SECONDS = 600, 60.0
#: environment variable that all processes of one command share, to find them by
MARK = "PDESIM_KILL_TEST"
FRAMES = ("time", "u", "v")


@dataclass
class Report:
    """What was done, and what was wrong."""

    kills: int = 0
    failures: list[str] = field(default_factory=list)

    def expect(self, right: bool, message: str) -> None:
        if not right:
            self.failures.append(message)
            print(f"FAILED: {message}", flush=True)


@dataclass
class Killer:
    """Runs commands in ``folder`` and kills them; ``chance`` decides when and how."""

    folder: Path
    chance: random.Random
    report: Report

    def start(self, *words: str) -> tuple[subprocess.Popen, str]:
        mark = uuid.uuid4().hex
        process = subprocess.Popen(
            [sys.executable, "-m", "pdesim", *words],
            cwd=self.folder,
            env=os.environ | {MARK: mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return process, mark

    def run(self, *words: str) -> None:
        """A command that nobody kills: it succeeds, and leaves no temporary file."""
        process, _ = self.start(*words)
        _, told = process.communicate(timeout=COMMAND_SECONDS)
        command = " ".join(words)
        self.report.expect(process.returncode == 0, f"{command}: {process.returncode}: {told}")
        left = temporary_files(self.folder)
        self.report.expect(not left, f"{command} left {left}")

    def kill(self, *words: str) -> bool:
        """Start a command and kill it; False if it ended by itself before that."""
        process, mark = self.start(*words)
        number, wait = self.chance.choice(SIGNALS), self.chance.uniform(0, LONGEST_WAIT)
        end = time.monotonic() + wait
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        if process.poll() is not None:
            _, told = process.communicate()
            self.report.expect(process.returncode == 0, f"{words}: {process.returncode}: {told}")
            return False
        before = acknowledged(self.folder)
        process.send_signal(number)
        _, told = process.communicate(timeout=COMMAND_SECONDS)
        self.report.kills += 1
        about = f"{' '.join(words[:2])} by {number.name} after {wait:.1f} s"
        print(f"kill {self.report.kills}: {about}", flush=True)
        # 0: it was done when the signal came
        expected = (0, -number) if number == signal.SIGKILL else (0, -number, 128 + number)
        self.report.expect(process.returncode in expected, f"{about}: code {process.returncode}")
        self.report.expect("Traceback" not in told, f"{about}: {told}")
        self.expect_no_orphans(mark, about)
        for path, frames in before.items():
            now = read_frames(path)
            same = all(now[name].startswith(frames[name]) for name in FRAMES)
            self.report.expect(same, f"{about}: frames of {path} were lost or changed")
        return True

    def expect_no_orphans(self, mark: str, about: str) -> None:
        end = time.monotonic() + ORPHAN_SECONDS
        while (left := marked_processes(mark)) and time.monotonic() < end:
            time.sleep(0.1)
        self.report.expect(not left, f"{about}: processes {left} are still running")
        for pid in left:
            os.kill(pid, signal.SIGKILL)


def marked_processes(mark: str) -> list[int]:
    """The processes that have the mark in their environment."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                if f"{MARK}={mark}".encode() in (place / "environ").read_bytes():
                    found.append(int(place.name))
            except OSError:
                pass
    return found


def temporary_files(folder: Path) -> list[str]:
    """Hidden files below a folder other than Hydra's."""
    names = (str(path.relative_to(folder)) for path in folder.rglob(".*"))
    return sorted(name for name in names if Path(name).name != ".hydra")


def acknowledged(folder: Path) -> dict[Path, dict[str, bytes]]:
    """The frames that a reader sees now, of every snapshot file below a folder."""
    found = {}
    for path in folder.rglob("snapshots.h5"):
        # while it is created or flushed, nothing is acknowledged by this look
        with contextlib.suppress(OSError, KeyError, RuntimeError):
            found[path] = read_frames(path)
    return found


def read_frames(path: Path) -> dict[str, bytes]:
    with h5py.File(path, "r", swmr=True) as file:
        count = len(file["time"])
        return {name: file[name][:count].tobytes() for name in FRAMES}


def expect_equal(report: Report, run: Path, reference: Path) -> None:
    file = "snapshots.h5"
    same = read_frames(run / file) == read_frames(reference / file)
    report.expect(same, f"{run} differs from the run that was not killed")


def kill_single(killer: Killer, references: Path) -> None:
    """One run, killed; then recovered and resumed with kills until it is finished."""
    run = killer.folder / "out"
    killer.kill(*WORDS, "hydra.run.dir=out", "resume=auto")
    for _ in range(killer.chance.randint(1, 3)):
        if (run / "snapshots.h5").exists():
            killer.kill(killer.chance.choice(("resume", "resume", "recover")), "out")
    killer.run(*WORDS, "hydra.run.dir=out", "resume=auto")
    expect_equal(killer.report, run, references / "single")


def kill_sweep(killer: Killer, references: Path) -> None:
    """A sweep, killed and started again until it is finished."""
    kill_members(killer, references / "sweep")


def kill_members(killer: Killer, reference: Path, *words: str) -> None:
    for _ in range(killer.chance.randint(1, 3)):
        if not killer.kill(*SWEEP, *words):
            break
    killer.run(*SWEEP, *words)
    for member in range(3):
        expect_equal(killer.report, killer.folder / "s" / str(member), reference / str(member))


def kill_workers(killer: Killer, references: Path) -> None:
    """A sweep by two workers: one computes a member alone, which rounds in another order."""
    kill_members(killer, references / "workers", *WORKERS)


def kill_export(killer: Killer, references: Path) -> None:
    """An export appears whole or not at all, and does not touch the run."""
    shutil.copytree(references / "single", killer.folder / "out")
    words = ("export", "out", "--to", "well", "--output", "x.h5", "--overwrite")
    killer.kill(*words)
    killer.run(*words)
    expect_equal(killer.report, killer.folder / "out", references / "single")


SCENARIOS = {
    "single": kill_single, "sweep": kill_sweep, "workers": kill_workers, "export": kill_export,
}  # fmt: skip


def run_kills(folder: Path, kills: int, seed: int, names: Sequence[str]) -> Report:
    """Scenario after scenario until so many kills were done."""
    report, chance = Report(), random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    whole = Killer(folder, chance, report)
    whole.run(*WORDS, "hydra.run.dir=references/single")
    whole.run(*SWEEP[:-2], "hydra.sweep.dir=references/sweep")
    whole.run(*SWEEP[:-2], *WORKERS, "hydra.sweep.dir=references/workers")
    turn = 0
    while report.kills < kills and turn < 10 * kills:
        place = folder / "turn"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        SCENARIOS[names[turn % len(names)]](Killer(place, chance, report), folder / "references")
        turn += 1
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", default=",".join(SCENARIOS))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = run_kills(Path(folder), given.kills, given.seed, given.only.split(","))
    print(f"{report.kills} kills, {len(report.failures)} failures (seed {given.seed})")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
