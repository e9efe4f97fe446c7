"""Pages of runs and sweeps: their numbers are those of the files, and their texts are harmless."""

from __future__ import annotations

import csv
import re

import h5py
import numpy as np
import pytest
from made_pages import data_of, frames_of, read
from made_pictures import waves, write

from pdesim.errors import OutputError
from pdesim.page import write_page
from pdesim.page.averaging import average, reduced_shape
from pdesim.page.packing import MODES, Packing, Rounding, differences, restored
from pdesim.render.limits import RunStatistics, find_limits
from pdesim.settings import Animation

RANDOM = np.random.default_rng(5)


def patterns(frames: int, n: int) -> np.ndarray:
    """Moving waves with random phases, which have the detail of a pattern."""
    random = np.random.default_rng(5)  # the size of the page must not depend on earlier tests
    x, y = np.meshgrid(np.arange(n) / n, np.arange(n) / n)
    result = np.zeros((frames, n, n), "f4")
    for _ in range(12):
        kx, ky, phase, speed = *random.integers(-8, 9, 2), *random.uniform(0, 6, 2)
        for t in range(frames):
            result[t] += np.sin(2 * np.pi * (kx * x + ky * y) + phase + speed * t / 8)
    return np.tanh(result)


def check_frames(layer: dict, values: np.ndarray) -> None:
    """The frames of a page are these values, to half a rounding step and double precision."""
    found, step = frames_of(layer)
    expected = values.reshape(found.shape)
    assert np.array_equal(np.isnan(found), ~np.isfinite(expected))
    error = np.abs(found - np.where(np.isfinite(expected), expected, np.nan))
    assert np.nanmax(error - 0.5 * step) <= 1e-9 * np.nanmax(np.abs(found))


def test_the_frames_are_those_of_the_file(tmp_path):
    u, v = waves(9, 24, 32), waves(9, 24, 32) ** 3 + 100
    path = write_page(write(tmp_path / "run", {"u": u, "v": v}), Animation(field="v"))
    data = data_of(path)
    assert path == tmp_path / "run" / "index.html"
    assert data["times"] == list(range(9)) and data["first"] == 1
    for layer, values in zip(data["layers"], (u, v), strict=True):
        check_frames(layer, values)
        # 254 steps over at most twice the range of a frame, with margins
        steps = frames_of(layer)[1].ravel()
        assert np.all(steps <= 2 * 1.1 * np.ptp(values.astype(float), axis=(1, 2)) / 254)
    assert [layer["axes"][0]["name"] for layer in data["layers"]] == ["x", "x"]
    assert data["layers"][0]["axes"][1] == pytest.approx(
        {"name": "y", "unit": "", "lower": 0.0, "upper": 1.0}, abs=1e-12
    )


def test_frames_that_grow_and_decay_keep_their_resolution(tmp_path):
    values = waves(20) * np.exp(np.r_[-np.arange(10.0), np.arange(10.0)])[:, None, None]
    layer = data_of(write_page(write(tmp_path / "run", {"u": values}), Animation()))["layers"][0]
    check_frames(layer, values)
    found, step = frames_of(layer)
    assert np.all(np.ptp(found, axis=(1, 2)) / step.ravel() > 110)


def test_missing_values_and_constant_frames(tmp_path):
    values = waves(4, 8, 8).astype("f8")
    values[0] = 2.5
    values[1, 2:4, 3] = np.nan, np.inf
    values[2] = np.nan
    values[3, 0, 0] = 1e308
    expected = values.copy()
    expected[3, 0, 0] = np.nan  # too large for differences
    layer = data_of(write_page(write(tmp_path / "run", {"u": values}), Animation()))["layers"][0]
    check_frames(layer, expected)


def test_a_field_without_any_value(tmp_path):
    values = np.full((2, 8, 8), np.nan)
    layer = data_of(write_page(write(tmp_path / "run", {"u": values}), Animation()))["layers"][0]
    assert np.isnan(frames_of(layer)[0]).all() and layer["limits"] == [0.0, 1.0]


def test_limits_are_those_of_the_animation(tmp_path):
    values = waves(12)
    values[0] *= 50
    run = write(tmp_path / "run", {"u": values})
    statistics = RunStatistics()
    for frame in values:
        statistics.add(frame)
    expected = find_limits([(statistics, 12)], Animation())
    assert data_of(write_page(run, Animation()))["layers"][0]["limits"] == list(expected.ends)
    given = Animation(field="u", limits=[-3.0, 4.0])
    assert data_of(write_page(run, given))["layers"][0]["limits"] == [-3.0, 4.0]


def test_a_curve_has_sixteen_bits(tmp_path):
    values = waves(5, 1, 2000)[:, 0]
    data = data_of(write_page(write(tmp_path / "run", {"u": values}), Animation()))
    (layer,) = data["layers"]
    assert layer["curve"] and (layer["rows"], layer["columns"]) == (1, 1024)
    edges = np.arange(1025) * 2000 / 1024  # the means over the cells, from their integrals
    integral = np.c_[np.zeros(5), np.cumsum(values.astype(float), axis=1)]
    ends = np.array([np.interp(edges, np.arange(2001), row) for row in integral])
    check_frames(layer, np.diff(ends, axis=1) * 1024 / 2000)
    assert frames_of(layer)[1].max() < 1e-4


def test_the_middle_plane_of_a_volume(tmp_path):
    values = RANDOM.normal(size=(3, 5, 8, 12)).astype("f4")
    path = write_page(write(tmp_path / "run", {"u": values}), Animation())
    check_frames(data_of(path)["layers"][0], values[:, 2])
    assert "the plane z = 0.5 of a 3-D field" in path.read_text()


def test_a_formula_is_shown_beside_the_fields(tmp_path):
    u = waves(3)
    run = write(tmp_path / "run", {"u": u, "v": u + 1})
    data = data_of(write_page(run, Animation(field="u*v - u_mean")))
    assert [layer["name"] for layer in data["layers"]] == ["u*v - u_mean", "u", "v"]
    found, step = frames_of(data["layers"][0])
    expected = u * (u + 1.0) - u.mean(axis=(1, 2), dtype=float)[:, None, None]
    assert np.all(np.abs(found - expected) <= 0.5 * step + 1e-5)  # the formula is single precision


def test_a_long_run_of_a_fine_grid_stays_small(tmp_path):
    """101 frames of 256 x 256 take less than 5 MB, with all cells if they are not noise."""
    values = patterns(101, 256)
    path = write_page(write(tmp_path / "run", {"u": values}), Animation())
    assert path.stat().st_size < 5e6
    (layer,) = data_of(path)["layers"]
    assert (layer["rows"], layer["columns"]) == (256, 256)
    check_frames(layer, values)


def test_noise_gets_fewer_cells_and_the_page_says_so(tmp_path):
    values = RANDOM.normal(size=(101, 256, 256)).astype("f4")
    path = write_page(write(tmp_path / "run", {"u": values, "v": values[::-1]}), Animation())
    assert path.stat().st_size < 5e6
    for layer, field in zip(data_of(path)["layers"], (values, values[::-1]), strict=True):
        rows, columns = layer["rows"], layer["columns"]
        assert 64 <= rows == columns < 256
        check_frames(layer, np.array([average(frame, (rows, columns)) for frame in field]))
        assert f"{columns} × {rows} instead of 256 × 256" in path.read_text()


def test_many_frames_are_thinned(tmp_path):
    values = waves(1001, 8, 8)
    path = write_page(write(tmp_path / "run", {"u": values}), Animation())
    data = data_of(path)
    assert data["times"] == list(range(0, 1001, 10))
    check_frames(data["layers"][0], values[::10])
    assert "The page shows 101 of 1,001 stored frames." in path.read_text()


def test_means_over_cells():
    values = RANDOM.normal(size=(12, 18))
    assert reduced_shape((512, 300), 256) == (256, 150)
    blocks = values.reshape(6, 2, 6, 3).mean(axis=(1, 3))
    assert np.allclose(average(values, (6, 6)), blocks, rtol=1e-12, atol=1e-13)
    for shape in ((5, 7), (12, 18), (1, 1)):
        found = average(values, shape)
        assert found.shape == shape and found.mean() == pytest.approx(values.mean(), rel=1e-12)
    long = average(np.arange(5_000_000.0), (1000,))  # in little memory
    assert np.allclose(long, np.arange(1000) * 5000 + 2499.5, rtol=1e-9)
    values[:6, :9] = np.nan
    found = average(values, (2, 2))
    assert np.isnan(found[0, 0]) and found[1, 1] == pytest.approx(values[6:, 9:].mean())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_differences_are_undone_exactly(mode, kind):
    now, before = RANDOM.integers(0, 2 ** (8 * int(kind[1])), (2, 7, 9)).astype(kind)
    assert np.array_equal(restored(differences(now, before, mode), before, mode), now)


def test_the_memory_does_not_grow_with_the_frames():
    packing = Packing(8)
    for _ in range(50):
        packing.add(np.zeros((64, 64)))
    assert packing.size < 50 * 64 and len(packing.finish()) < 2000


def test_limits_of_rounding_are_kept_while_frames_fit():
    rounding = Rounding(8)
    rounding.encode(np.array([0.0, 1.0]))
    kept = (rounding.low, rounding.high)
    rounding.encode(np.array([0.2, 0.9]))
    assert (rounding.low, rounding.high) == kept == pytest.approx((-0.05, 1.05))
    rounding.encode(np.array([0.2, 0.3]))
    assert (rounding.low, rounding.high) == pytest.approx((0.195, 0.305))


HOSTILE = "</script><img src=x onerror=alert(1)> {{data}} \u202e\x1b[31m\"'&amp;"


def test_texts_of_files_are_escaped(tmp_path):
    run = write(tmp_path / "run", {"u": waves(3)}, equation=HOSTILE, units=HOSTILE)
    with h5py.File(run / "snapshots.h5", "a") as file:
        for name in ("title", "equation", "precision", "equation_title"):
            file.attrs[name] = HOSTILE
        file["u"].attrs["long_name"] = HOSTILE
        file["x"].attrs["units"] = HOSTILE
        file.attrs["config"] = (
            "equation: {title: '</title><script>alert(1)</script>', rhs: {'<b>': '<i>u</i>'}, "
            "'<p>': '<script>', Q: 1}\nlabel: '</title><b>'"
        )
    path = write_page(run, Animation())
    page = read(path)
    tags = [tag for tag, _ in page.tags]
    assert not {"img", "b", "i", "p>"} & set(tags) and tags.count("script") == 2
    assert not any(name.startswith("on") for _, found in page.tags for name in found)
    assert "\x1b" not in path.read_text() and page.texts["title"] == ["</title><b>"]
    assert data_of(path)["layers"][0]["label"].startswith("</script><img")


def test_a_page_asks_no_network(tmp_path):
    path = write_page(write(tmp_path / "run", {"u": waves(3)}), Animation())
    text = path.read_text()
    assert "http" not in text.replace("http-equiv", "")
    for tag, found in read(path).tags:
        assert not {"src", "srcset", "action", "data"} & set(found), tag
    (policy,) = [found["content"] for tag, found in read(path).tags if "http-equiv" in found]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_other_files_are_not_replaced(tmp_path):
    run = write(tmp_path / "run", {"u": waves(3)})
    (run / "index.html").write_text("<html>mine</html>")
    with pytest.raises(OutputError, match="is not a page of pdesim"):
        write_page(run, Animation())
    assert (run / "index.html").read_text() == "<html>mine</html>"
    (run / "index.html").unlink()
    first = write_page(run, Animation()).read_text()
    assert write_page(run, Animation()).read_text() == first
    assert {p.name for p in run.iterdir()} == {"snapshots.h5", "index.html"}


@pytest.mark.parametrize("damage", ["empty", "truncated", "no frames", "missing"])
def test_dead_files_are_one_line(tmp_path, command, damage):
    run = write(tmp_path / "run", {"u": waves(3)[: 0 if damage == "no frames" else 3]})
    file = run / "snapshots.h5"
    if damage == "missing":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes({"empty": b"", "truncated": content[:-900]}.get(damage, content))
    done = command("render", "run", "--page", check=2)
    assert "Traceback" not in done.stderr and not done.stdout
    assert not (run / "index.html").exists()
    lines = done.stderr.strip().splitlines()
    assert "run" in lines[0] and all(line.startswith("  ") for line in lines[1:])


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A run with series, and a sweep with a member that failed."""
    from processes import start

    folder = tmp_path_factory.mktemp("computed")
    small = ("equation=gray_scott", "grid=16", "time.end=40", "animation=none", "output.frames=4")
    for words in (
        (*small, "hydra.run.dir=run", "observe={total: 'integral(u)'}", "observe_every=1"),
        ("-m", *small, "hydra.sweep.dir=sweep", "equation.F=0.03,0.04", "equation.k=0.05,0.06"),
    ):
        process = start(words, folder, {})
        assert process.wait(timeout=240) == 0
    failed = folder / "sweep" / "3" / "snapshots.h5"
    failed.write_bytes(failed.read_bytes()[:1000])
    return folder


def test_the_page_of_a_computed_run(computed, command):
    done = command("render", "run", "--page", cwd=computed)
    assert done.stdout.strip() == "run/index.html"
    path = computed / "run" / "index.html"
    data, page = data_of(path), read(path)
    with h5py.File(computed / "run" / "snapshots.h5") as file:
        for layer in data["layers"]:
            check_frames(layer, file[layer["name"]][:])
        assert data["times"] == file["time"][:].tolist()
    assert data["colormap"] == "magma" and data["layers"][data["first"]]["name"] == "v"
    with open(computed / "run" / "diagnostics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    curves = {(c["group"], c["name"]): c for c in data["diagnostics"]}
    found = curves["mean", "u"]["values"]
    assert found == pytest.approx([float(row["u_mean"]) for row in rows], rel=1e-6)
    with h5py.File(computed / "run" / "series.h5") as file:
        total = curves["observables and probes", "total"]
        assert total["values"] == pytest.approx(file["total"][:], rel=1e-6)
    links = [found["href"] for tag, found in page.tags if tag == "a"]
    assert {"snapshots.h5", "diagnostics.csv", "series.h5", "status.json"} <= set(links)
    assert all((computed / "run" / link).is_file() for link in links)
    assert "math" in [tag for tag, _ in page.tags] and "0.037" in page.texts["mn"]


def test_the_table_of_a_sweep_is_that_of_its_runs(computed, command):
    done = command("render", "sweep", "--page", "animation.field=u", cwd=computed)
    assert done.stdout.strip() == "sweep/index.html"
    data = data_of(computed / "sweep" / "index.html")
    assert data["settings"] == ["equation.F", "equation.k"]
    for number, row in enumerate(data["rows"]):
        values = dict(zip(data["columns"], row, strict=True))
        assert values["number"] == str(number)
        assert float(values["equation.F"]) == (0.03, 0.04)[number // 2]
        assert float(values["equation.k"]) == (0.05, 0.06)[number % 2]
        tiles = [field["tiles"][number] for field in data["fields"]]
        if number == 3:
            assert values["state"] == "unreadable" and tiles == [None, None]
            continue
        with h5py.File(computed / "sweep" / str(number) / "snapshots.h5") as file:
            for field, tile in zip(data["fields"], tiles, strict=True):
                check_frames(tile, file[field["name"]][-1:])
                last = file[field["name"]][-1].astype(float)
                for name in ("mean", "min", "max"):
                    found = float(values[f"{field['name']}_{name}"])
                    assert found == pytest.approx(getattr(last, name)(), rel=1e-6)
    assert [field["name"] for field in data["fields"]] == ["u", "v"]
    assert re.search(
        r"tiles show the last frame", (computed / "sweep" / "index.html").read_text(), re.I
    )


def test_options_that_exclude_each_other(computed, command):
    done = command("render", "sweep", "--page", "--film", cwd=computed, check=2)
    assert "--film and --page" in done.stderr
