"""What a sweep leaves beside its runs: sweep.csv, the table of info, the montage."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from made_runs import make_run, values
from PIL import Image

from pdesim.cli.main import main
from pdesim.errors import ConfigError, OutputError
from pdesim.output.sweep_csv import PER_FIELD, write_sweep_csv
from pdesim.output.sweeps import differing_settings, find_members, setting_text, short_names
from pdesim.render import montage
from pdesim.render.arrangement import arrange, value_text
from pdesim.render.colors import map_palette
from pdesim.settings import Animation, Montage

DONE = {"state": "finished", "seconds": 1.5, "steps": 40}


def failed(folder: Path, *overrides: str, status: dict | None = None) -> None:
    """A member that wrote no frames."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    if status is not None:
        (folder / "status.json").write_text(json.dumps(status))


def configure(path: Path, **changes) -> None:
    """Change the stored settings: dotted names with ``__`` for the dot."""
    with h5py.File(path, "r+") as file:
        config = yaml.safe_load(file.attrs["config"])
        for name, value in changes.items():
            *sections, key = name.split("__")
            place = config
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = value
        file.attrs["config"] = yaml.safe_dump(config)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def sweep(tmp_path):
    """Five members: three whole, one that failed at once, one that was cut short by an error."""
    for number, D in ((0, 1e-05), (1, -0.25), (10, 0.1 + 0.2)):
        make_run(tmp_path / str(number), parameters={"D": D, "c": 3}, status=DONE)
    failed(tmp_path / "2", "++equation.D=7.5", "grid=[4,6]", "seed=0")
    error = {"state": "failed", "error": 'u is "NaN", at\nt = 3', "seconds": 0.1}
    make_run(tmp_path / "3", parameters={"D": "x, y*1e-05", "c": 3}, frames=1, status=error)
    (tmp_path / "multirun.yaml").write_text("no member")
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_a_row_per_member_in_the_order_of_numbers(sweep):
    path = write_sweep_csv(sweep)
    rows = rows_of(path)
    assert path == sweep / "sweep.csv"
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "10"]
    states = ["finished", "finished", "failed", "failed", "finished"]
    assert [row["state"] for row in rows] == states
    assert [row["frames"] for row in rows] == ["3", "3", "0", "1", "3"]
    assert float(rows[-1]["equation.D"]) == 0.1 + 0.2  # to the last bit
    assert rows[0]["equation.D"] == "1e-05" and rows[2]["equation.D"] == "7.5"
    assert rows[3]["equation.D"] == "x, y*1e-05" and rows[3]["error"] == 'u is "NaN", at\nt = 3'
    assert rows[2]["error"] and rows[2]["u_mean"] == ""
    assert (rows[0]["seconds"], rows[0]["steps"], rows[0]["time"]) == ("1.5", "40", "1")
    assert not [child for child in sweep.iterdir() if child.name.endswith(".tmp")]
    header = path.read_text().splitlines()[0].split(",")
    assert header[:2] == ["number", "equation.D"] and "equation.c" not in header
    assert header[-2 * len(PER_FIELD) :] == [f"{f}_{n}" for f in ("u", "a") for n in PER_FIELD]


def test_pandas_and_numpy_read_the_table(sweep):
    pandas = pytest.importorskip("pandas")
    path = write_sweep_csv(sweep)
    table = pandas.read_csv(path)
    assert len(table) == 5 and table["a_max"].dtype == float and table["frames"].sum() == 10
    assert table["error"].isna().sum() == 3
    for number in ("2", "3"):
        for file in (sweep / number).rglob("*"):
            if file.is_file():
                file.unlink()
    (sweep / "2" / ".hydra").rmdir()
    rows = np.genfromtxt(write_sweep_csv(sweep), delimiter=",", names=True, encoding="utf-8")
    assert rows["equationD"].tolist() == [1e-05, -0.25, 0.1 + 0.2]


def test_features_are_those_of_the_last_two_frames(sweep):
    diagnostics = "frame,time,a_min,a_max,a_mean,a_integral,a_l2\n0,0,1,2,3,4,5\n"
    diagnostics += "1,0.5,1,2,3,4,5\n2,1,1,1e9,1.5,11,12\n3,1.5,0,0,0,0,0\n4,2,"
    (sweep / "0" / "diagnostics.csv").write_text(diagnostics)
    row = rows_of(write_sweep_csv(sweep))[0]
    last = 2 * values((6, 4), 3)[-1]
    for name, expected in (
        ("mean", last.mean()),
        ("variance", last.var()),
        ("min", last.min()),
        ("max", last.max()),
        ("integral", 11),  # diagnostics.csv knows the whole domain; its row of the last frame
        ("l2", 12),
    ):
        assert float(row[f"a_{name}"]) == pytest.approx(expected, rel=1e-6)
    # beside the 1e9 of an earlier frame, which diagnostics.csv remembers, nothing is left to see
    assert math.isnan(float(row["a_wavelength"])) and row["u_wavelength"] != "nan"
    # 1000 more per frame, 0.5 apart, over the standard deviation
    u = values((6, 4), 3)[-1]
    assert float(row["u_activity"]) == pytest.approx(1000 / 0.5 / u.std(), rel=1e-5)


def test_waves_obstacles_walls_and_regions(tmp_path):
    x = np.linspace(-1, 1, 65)[:-1] + 1 / 64
    wave = np.cos(3 * np.pi * (x + 1)) + np.zeros((16, 64))
    kinds = {f"u.{axis}": ["neumann", "neumann"] for axis in "xy"}
    runs = {
        "0": {"kinds": None},
        "1": {"kinds": kinds},
        "2": {"mask": (np.arange(64) < 8) * np.ones((16, 1))},
    }
    for name, options in runs.items():
        path = make_run(tmp_path / name, (16, 64), 2, fields=("u",), dtype="float64", **options)
        with h5py.File(path, "r+") as file:
            file["u"][:] = np.where(options.get("mask", 0), 1e30, wave)
    configure(tmp_path / "1" / "snapshots.h5", output__region={"x": [0, 1]})
    rows = rows_of(write_sweep_csv(tmp_path))
    assert [float(row["u_wavelength"]) for row in rows] == pytest.approx([2 / 3] * 3, rel=0.05)
    assert float(rows[2]["u_max"]) <= 1 and rows[0]["u_activity"] == "0"


def test_settings_in_which_runs_differ(tmp_path):
    for number in range(4):
        path = make_run(tmp_path / str(number))
        configure(
            path,
            output__frames=number,
            animation__fps=number,
            time__wall_limit=number,
            sweep__n=number,
            resume=number,
            equation__about=number,
            equation__labels__u=number,
            stepper__name="euler" if number else "rk4",
            grid=[4, 6],
            seed=1 if number % 2 else 1.0,
            label=f"class {number}",
            domain__periodic=bool(number == 1),
            domain__mask=None if number == 1 else 1,
        )
    names = differing_settings(find_members(tmp_path))
    assert set(names) == {"stepper.name", "label", "domain.periodic", "domain.mask"}
    assert short_names(["stepper.name", "equation.F", "time.dt", "label"]) == {
        "stepper.name": "stepper",
        "equation.F": "F",
        "time.dt": "time.dt",
        "label": "label",
    }
    configure(tmp_path / "0" / "snapshots.h5", equation__rhs={"u": "1", "a": "0"})
    assert "equation.rhs.u" in differing_settings(find_members(tmp_path))
    configure(tmp_path / "0" / "snapshots.h5", equation__name="other")
    names = differing_settings(find_members(tmp_path))
    assert "equation.name" in names and "equation.rhs.u" not in names


def test_settings_as_text():
    for value, text in (
        (1e-05, "1e-05"),
        (-3, "-3"),
        (None, ""),
        (True, "true"),
        ("exp(-r, 2)", "exp(-r, 2)"),
        ([64, 48], "[64, 48]"),
        ({"dirichlet": "sin(x)"}, "{dirichlet: sin(x)}"),
    ):
        assert setting_text(value) == text


def test_members_that_cannot_be_read_or_are_running(tmp_path):
    path = make_run(tmp_path / "0", status=DONE)
    make_run(tmp_path / "1", status=DONE)
    path.write_bytes(path.read_bytes()[:3000])
    failed(tmp_path / "2", "equation.D=1", status={"state": "running"})
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "status.json").write_text("{cut o")
    rows = rows_of(write_sweep_csv(tmp_path))
    assert [row["state"] for row in rows] == ["unreadable", "finished", "killed", "failed"]
    assert "snapshots.h5" in rows[0]["error"]


def test_what_failed_members_were_asked_for(tmp_path):
    """Of overrides alone nothing else is concluded; .hydra/config.yaml tells all."""
    for number, name in enumerate(("rk4", "heun")):
        configure(make_run(tmp_path / str(number), status=DONE), stepper__name=name)
    failed(tmp_path / "2", "stepper=euler", "initial=made_up", "+equation.rhs.u='x, y'")
    members = find_members(tmp_path)
    assert set(differing_settings(members)) == {"stepper.name", "equation.rhs.u"}
    assert members[2].settings["stepper.name"] == "euler"
    config = {"stepper": {"name": "euler"}, "time": {"dt": 3}}
    (tmp_path / "2" / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    assert "time.dt" in differing_settings(find_members(tmp_path))


def test_what_is_no_sweep(tmp_path):
    make_run(tmp_path / "run")
    for path in (tmp_path / "none", tmp_path / "run", tmp_path / "run" / "snapshots.h5"):
        with pytest.raises(OutputError, match="folder of a sweep"):
            write_sweep_csv(path)


def test_info_of_a_sweep_shows_failed_members_and_all_differences(sweep, command):
    told = json.loads(command("info", str(sweep), "--json").stdout)
    assert [run["state"] for run in told] == [
        "finished",
        "finished",
        "failed",
        "failed",
        "finished",
    ]
    table = " ".join(command("info", str(sweep)).stdout.split())  # long paths are wrapped
    assert "5 runs of made" in table and "7.5" in table and table.count("failed") == 2


def plane(folder: Path, across=(0.02, 0.03), up=(-1.0, 1e-05, 2.0), **options) -> None:
    """Members over F and k, in another order than that of their values; u is F + k everywhere."""
    for number_, (k, F) in enumerate((k, F) for k in reversed(up) for F in across):
        parameters = {"F": F, "k": k}
        path = make_run(folder / str(number_), (6, 4), 3, parameters=parameters, status=DONE)
        with h5py.File(path, "r+") as file:
            file["u"][:] = F + k


STILL = Animation(name="none", colormap="gray")


def test_places_in_a_plane(tmp_path):
    plane(tmp_path)
    found = arrange(find_members(tmp_path), Montage(), 1.0)
    assert (found.columns, found.rows, found.is_plane) == (2, 3, True)
    assert found.x.name == "F" and found.x.texts == ("0.02", "0.03")
    assert found.y.name == "k" and found.y.texts == ("−1", "1e−05", "2")  # from below
    assert found.cells == (0, 1, 2, 3, 4, 5)
    turned = arrange(find_members(tmp_path), Montage(x="k", y="equation.F"), 1.0)
    assert turned.cells == (5, 3, 1, 4, 2, 0) and turned.x.name == "k"


def test_places_in_a_list(tmp_path):
    for place in range(7):
        path = make_run(tmp_path / str(place), parameters={"D": 0.1 * place, "c": place * place})
        configure(path, label=None if place == 3 else f"class {place}")
    members = find_members(tmp_path)
    found = arrange(members, Montage(), 1.0)
    assert not found.is_plane and found.titled and found.columns * found.rows >= 7
    assert found.captions[0][2] == ("class 2", "D 0.2, c 4")
    assert found.captions[1][2] == ("class 2", "D 0.2", "c 4")
    assert found.captions[2][3] == ("3",)
    assert arrange(members, Montage(columns=3), 1.0).cells == (*range(7), None, None)
    assert arrange(members, Montage(x="label"), 1.0).x.texts[:2] == ("class 0", "class 1")
    with pytest.raises(ConfigError, match=r"equation\.D"):
        arrange(members, Montage(x="F"), 1.0)
    configure(tmp_path / "1" / "snapshots.h5", equation__D=0.0)
    with pytest.raises(ConfigError, match="0 and 1 have the same place"):
        arrange(find_members(tmp_path), Montage(x="D"), 1.0)


def test_values_on_labels():
    for value, text in ((0.03, "0.03"), (1e-05, "1e−05"), (-3, "−3"), (1024, "1024"), (2.0, "2")):
        assert value_text(value) == text
    assert value_text("rk4") == "rk4" and value_text(None) == "none" and value_text(True) == "true"


@pytest.mark.parametrize("tile", [30, 90])
def test_every_tile_shows_its_member_in_the_same_colours(tmp_path, tile):
    plane(tmp_path, across=(0.2, 0.5))
    failed(tmp_path / "6", "equation.F=0.9", "equation.k=2.0")
    animation = STILL.model_copy(update={"limits": [-1.5, 3.0]})  # none of them white as the page
    (still,) = montage(tmp_path, animation, Montage(tile=tile))
    assert still == tmp_path / "montage.png"
    picture = np.asarray(Image.open(still).convert("L")).astype(int)
    # rows of k = 2, 1e-05, -1 from above, columns of F = 0.2, 0.5, 0.9
    grey = 255 * (np.array([[2.2, 2.5], [0.2, 0.5], [-0.8, -0.5]]) + 1.5) / 4.5
    for value in grey.ravel():
        # a tile's sides are 2 to 3
        assert (np.abs(picture - value) < 2).sum() >= 0.9 * tile * tile * 2 / 3
    rows, columns = np.nonzero(np.abs(picture - grey[0, 1]) < 2)
    lower = np.argwhere(np.abs(picture - grey[1, 0]) < 2)
    assert np.median(rows) < np.median(lower[:, 0]) and np.median(columns) > np.median(lower[:, 1])
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert edge.min() == 255  # nothing is cut off


def test_the_animation_shows_the_same_moment_everywhere(tmp_path):
    """Member 1 has half the frames at twice the interval, member 2 stops after its second frame."""
    levels = {"0": [0, 1, 2, 3, 4], "1": [0, 2, 4], "2": [0, 1]}
    for name, values_ in levels.items():
        path = make_run(
            tmp_path / name,
            (4, 4),
            len(values_),
            parameters={"D": float(name)},
            interval=1.0 if name == "1" else 0.5,
            status={"state": "finished" if name != "2" else "interrupted"},
        )
        with h5py.File(path, "r+") as file:
            file["u"][:] = np.array(values_, float)[:, None, None]
    animation = Animation(colormap="gray", colors=128, limits=[0.0, 4.0])
    _, movie = montage(tmp_path, animation, Montage(tile=48))
    with Image.open(movie) as image:
        assert movie.name == "montage.gif" and image.n_frames == 5
        shown = []
        for index in range(5):
            image.seek(index)
            shown.append(np.asarray(image.convert("L")).astype(int))
    palette = map_palette("gray", 128)
    seen = [(0, 0, 0), (1, 0, 1), (2, 2, 1), (3, 2, 1), (4, 4, 1)]
    for picture, members in zip(shown, seen, strict=True):
        for level in set(members):
            (index,) = palette.color(np.array([level / 4], np.float32))
            area = (np.abs(picture - int(palette.rgb[index, 0])) < 2).sum()
            assert area >= members.count(level) * 48 * 32 * 0.9


def test_damaged_and_different_members(tmp_path):
    plane(tmp_path)
    path = tmp_path / "1" / "snapshots.h5"
    path.write_bytes(path.read_bytes()[:2000])
    assert montage(tmp_path, STILL, Montage())[0].is_file()
    # other numbers of cells are drawn to the same size, other shapes are refused
    make_run(tmp_path / "7", (12, 8), 2, parameters={"F": 0.5, "k": 0.5}, status=DONE)
    assert montage(tmp_path, STILL, Montage())[0].is_file()
    make_run(tmp_path / "8", (8,), 2, parameters={"F": 0.6, "k": 0.5}, status=DONE)
    with pytest.raises(ConfigError, match="0 and 8 differ in aspect ratio"):
        montage(tmp_path, STILL, Montage())
    with pytest.raises(ConfigError, match="field"):
        montage(tmp_path, STILL.model_copy(update={"field": "q"}), Montage())
    failed(tmp_path / "none" / "0")
    with pytest.raises(OutputError, match="can be drawn"):
        montage(tmp_path / "none", STILL, Montage())


def test_montages_of_lines_and_of_one_value(tmp_path):
    for place in range(3):
        make_run(tmp_path / str(place), (16,), 2, parameters={"D": place}, status=DONE)
    assert montage(tmp_path, STILL, Montage())[0].stat().st_size > 1000
    for place in range(3):
        with h5py.File(tmp_path / str(place) / "snapshots.h5", "r+") as file:
            file["u"][:] = 3.0
    assert montage(tmp_path, STILL, Montage())[0].is_file()


def test_pdesim_render_draws_a_montage(tmp_path, capsys):
    sweep = tmp_path / "sweep"
    plane(sweep)
    assert main(["render", str(sweep), "montage.x=k", "montage.y=F", "animation=gif"]) == 0
    assert capsys.readouterr().out.split() == [str(sweep / f"montage.{e}") for e in ("png", "gif")]
    for words, told in (
        (["render", str(sweep), "montage.x=D"], "equation.F, equation.k"),
        (["render", str(sweep), "grid=3"], "montage.x=NAME"),
        (["render", str(sweep / "0"), "montage.x=F"], "does not take montage.x=F"),
        (["experiment=pearson"], "pdesim -m experiment=pearson"),
    ):
        assert main(words) == 2 and told in capsys.readouterr().err


def test_a_sweep_on_a_coarse_grid_is_warned_of(capsys):
    from conftest import make_plan
    from rich.console import Console

    from pdesim.sweeps.members import Member
    from pdesim.sweeps.run import _warn

    plans = [make_plan("equation=gray_scott", "grid=32", f"equation.F={F}") for F in (0.03, 0.04)]
    members = [Member(plan, Path(str(n)), "", number=n) for n, plan in enumerate(plans)]
    _warn(members, Console())
    told = capsys.readouterr().out
    assert told.count("warning") == 1 and "member 0" in told


def test_notes_on_the_members_of_a_sweep_are_printed_once(capsys):
    from conftest import make_plan
    from rich.console import Console

    from pdesim.sweeps.members import Member
    from pdesim.sweeps.run import _warn

    words = ("equation=heat", "grid=16")
    plans = [make_plan(*words, f"+equation.unknown={n}") for n in (1, 2, 3)]
    plans[2] = make_plan(*words, "equation.rhs={u: 'unknown*laplacian(u)'}", "+equation.unknown=3")
    members = [Member(plan, Path(str(n)), "", number=n) for n, plan in enumerate(plans)]
    _warn(members[:2], Console())
    told = capsys.readouterr().out
    assert told.count("no formula uses equation.unknown") == 1 and "member" not in told
    _warn(members, Console())
    told = capsys.readouterr().out
    assert "members 0, 1: note: no formula uses equation.unknown\n" in told
    assert "member 2: note: no formula uses equation.D\n" in told
    # computed alone, a member prints its notes itself
    alone = make_plan(*words, "stepper=implicit_euler", "equation.D='1+x'", "+equation.unknown=1")
    _warn([Member(alone, Path("0"), "")], Console())
    assert "unknown" not in capsys.readouterr().out
