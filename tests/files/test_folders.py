"""Folders and data files of others: nothing outside a run's folder is read or written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_runs import make_run

import pdesim
from pdesim.cli.main import main
from pdesim.errors import OutputError
from pdesim.export import export
from pdesim.files import check_folder, replacing
from pdesim.files.folder import NAMES
from pdesim.output import SnapshotWriter, recover
from pdesim.output.lock import is_held
from pdesim.output.snapshots import update_attributes
from pdesim.render import diagnostics_plot

QUICK = ("equation=heat", "grid=[12,8]", "output.frames=2", "animation=none")
#: every name that a run, a sweep, or a command writes or reads in a run's folder
WRITTEN = (
    "pdesim.log",
    ".status.json.tmp",
    ".checkpoint.h5.tmp",
    ".snapshots.h5.tmp",
    "snapshots.h5",
    "status.json",
    "checkpoint.h5",
    "checkpoint.previous.h5",
    "diagnostics.csv",
    "animation.gif",
    "snapshots.xdmf",
    ".lock",
    ".hydra",
    ".hydra/config.yaml",
    ".hydra/overrides.yaml",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, placement) -> Path:
    """A small run with all its files; copied, never changed."""
    run = pdesim.simulate(*QUICK, "time.end=0.01", folder=tmp_path_factory.mktemp("run") / "run")
    (run.folder / ".hydra").mkdir()
    (run.folder / ".hydra" / "config.yaml").write_text("seed: 0\n")
    return run.folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def victim(tmp_path) -> Path:
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


def contents(folder: Path) -> dict[str, object]:
    """Every name below a folder with its bytes, or where it points."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def place(run: Path, name: str) -> Path:
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    return path


def test_every_name_that_a_run_leaves_is_guarded(finished):
    for path in finished.iterdir():
        assert path.name.lstrip(".").startswith(NAMES), path.name


@pytest.mark.parametrize("name", WRITTEN)
def test_links_in_a_run_folder_are_refused_before_anything_is_written(
    run, victim, name, capsys, monkeypatch
):
    monkeypatch.chdir(run.parent)
    place(run, name).symlink_to(victim)
    before = contents(run)
    words = [*QUICK, "hydra.run.dir=run", "time.end=0.01"]
    commands = [
        ["resume", "run", "time.end=0.02"],
        ["recover", "run"],
        ["render", "run"],
        ["converge", "run"],
        [*words, "output.overwrite=true"],
        [*words, "resume=auto"],
    ]
    for command in commands:
        assert main(command) == 2, command
        told = capsys.readouterr().err
        assert "symbolic link" in told, (command, told)
        assert "Traceback" not in told
    with pytest.raises(OutputError, match="link"):
        pdesim.simulate(*QUICK, "output.overwrite=true", folder=run)
    assert contents(run) == before
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["pdesim.log", ".status.json.tmp", ".hydra/config.yaml"])
def test_pipes_do_not_block(run, name):
    os.mkfifo(place(run, name))
    with pytest.raises(OutputError, match="pipe"):
        pdesim.resume(run, "time.end=0.02")


@pytest.mark.parametrize("name", ["status.json", "diagnostics.csv", "checkpoint.h5", ".lock"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_readers_do_not_wait_for_pipes_and_devices(run, name, kind, capsys):
    path = place(run, name)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert main(["info", str(run)]) == 0  # the snapshots are whole
    if name == "diagnostics.csv":
        with pytest.raises(OutputError):
            diagnostics_plot(path, run.parent / "a.png")


@pytest.mark.parametrize("name", ["snapshots.h5", "pdesim.log"])
def test_a_file_that_has_a_second_name_is_not_changed_in_place(run, tmp_path, name):
    os.link(run / name, tmp_path / "second")
    before = (tmp_path / "second").read_bytes()
    with pytest.raises(OutputError, match="second name"):
        pdesim.resume(run, "time.end=0.02")
    assert (tmp_path / "second").read_bytes() == before


def test_own_links_under_other_names_are_no_obstacle(run, victim):
    (run / "notes.txt").symlink_to(victim)
    check_folder(run)


def test_a_run_folder_may_be_reached_through_a_link(run):
    link = run.with_name("link")
    link.symlink_to(run, target_is_directory=True)
    pdesim.resume(link, "time.end=0.02")
    with pdesim.open(link) as snapshots:
        assert snapshots.times[-1] == pytest.approx(0.02)


def test_the_members_of_a_sweep_are_no_links(run, capsys, monkeypatch):
    monkeypatch.chdir(run.parent)
    (run.parent / "sweep").mkdir()
    (run.parent / "sweep" / "0").symlink_to(run, target_is_directory=True)
    before = contents(run)
    words = [*QUICK, "equation.D=1,2", "hydra.sweep.dir=sweep", "output.overwrite=true"]
    assert main(["-m", *words]) == 2
    assert "symbolic link: 0" in capsys.readouterr().err
    assert contents(run) == before


def test_readers_do_not_follow_a_file_that_leaves_its_folder(tmp_path, capsys):
    path = make_run(tmp_path / "elsewhere")
    (tmp_path / "run").mkdir()
    link = tmp_path / "run" / "snapshots.h5"
    link.symlink_to(path)
    for words in (["info", "run"], ["export", "run", "--to", "npz"], ["info", "run/snapshots.h5"]):
        words = [str(tmp_path / word) if word.startswith("run") else word for word in words]
        assert main(words) == 2
        assert "is a symbolic link to" in capsys.readouterr().err
    link.unlink()
    shutil.copy(path, tmp_path / "run" / "data.h5")
    link.symlink_to("data.h5")  # in its own folder
    assert main(["info", str(tmp_path / "run")]) == 0


def test_asking_for_the_lock_empties_no_file(run, victim):
    (run / ".lock").symlink_to(victim)
    assert not is_held(run)
    (run / ".lock").unlink()
    os.link(victim, run / ".lock")
    assert not is_held(run)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("shared", [False, True])
def test_a_temporary_name_is_never_followed(tmp_path, victim, shared):
    target = tmp_path / "status.json"
    name = f".status.{os.getpid()}.json" if shared else ".status.json.tmp"
    (tmp_path / name).symlink_to(victim)
    with replacing(target, shared=shared) as temporary:
        temporary.write_text("new")
    assert (target.read_text(), victim.read_text()) == ("new", "precious")
    with pytest.raises(ZeroDivisionError), replacing(target, shared=shared) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["status.json", "victim"]


# --- HDF5 files that lead to others


def lead_elsewhere(path: Path, kind: str, secret: Path) -> None:
    """Replace the field ``u`` by one that lies in another file."""
    with h5py.File(path, "r+") as file:
        shape = file["u"].shape
        if kind == "nested link":
            file["group/inner/u"] = h5py.ExternalLink(str(secret), "u")
            return
        del file["u"]
        if kind == "external link":
            file["u"] = h5py.ExternalLink(str(secret), "u")
        elif kind == "soft link":
            file["u"] = h5py.SoftLink("/a")
        elif kind == "external storage":
            size = h5py.h5f.UNLIMITED
            file.create_dataset("u", shape, "f4", external=[(str(secret), 0, size)])
        else:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:] = h5py.VirtualSource(str(secret), "u", shape)
            file.create_virtual_dataset("u", layout)


KINDS = ("external link", "soft link", "external storage", "virtual dataset", "nested link")


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_lead_to_others_are_refused_by_every_reader_and_writer(
    tmp_path, kind, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    secret = make_run(tmp_path / "other")
    path = make_run(tmp_path / "run")
    lead_elsewhere(path, kind, secret)
    before, there = path.read_bytes(), secret.read_bytes()
    for words in (
        ["info", "run"],
        ["render", "run"],
        ["export", "run", "--to", "npz"],
        ["export", "run", "--to", "well"],
        ["resume", "run", "time.end=9"],
        ["recover", "run"],
        ["converge", "run"],
    ):
        assert main(words) == 2, words
        assert "refers to other files" in capsys.readouterr().err, words
    for use in (
        lambda: pdesim.open(path),
        lambda: export(path, "netcdf"),
        lambda: update_attributes(path, {"config": "x"}),
        lambda: SnapshotWriter(path, None),
        lambda: recover(path),
    ):
        with pytest.raises(OutputError, match="refers to other files"):
            use()
    assert (path.read_bytes(), secret.read_bytes()) == (before, there)


def test_damaged_texts_do_not_loop_for_ever(tmp_path):
    path = make_run(tmp_path / "run")
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL\x01\0\0\0")
    data[heap + 16 : heap + 40] = bytes(24)  # the first entry: number 0, and no size
    path.write_bytes(data)
    with pytest.raises(OutputError, match="global heap is damaged"):
        pdesim.open(path)


def test_groups_that_contain_themselves_end(tmp_path):
    path = make_run(tmp_path / "run")
    with h5py.File(path, "r+") as file:
        group = file.create_group("group")
        group["again"] = group
    with pdesim.open(path) as snapshots:
        assert len(snapshots) == 3


def test_texts_reach_no_terminal_with_control_characters(tmp_path):
    path = make_run(tmp_path / "run")
    with h5py.File(path, "r+") as file:
        file.attrs["title"] = "harmless \x1b]0;owned\x07"
    with pdesim.open(path) as snapshots:
        assert snapshots.attributes["title"] == "harmless \ufffd]0;owned\ufffd"


def test_complex_numbers_are_no_field(tmp_path):
    path = make_run(tmp_path / "run")
    with h5py.File(path, "r+") as file:
        shape = file["u"].shape
        del file["u"]
        file["u"] = np.zeros(shape, complex)
    with pytest.raises(OutputError, match="real numbers"):
        pdesim.open(path)
