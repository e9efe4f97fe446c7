"""Drawing beside the computation: the same pictures, and nothing that could hurt the run."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from made_pictures import flat, waves, write

import pdesim
from pdesim.config.compose import compose_settings
from pdesim.render import background as drawing
from pdesim.render import render
from pdesim.render.background import BackgroundRenderer, effective_animation
from pdesim.render.field_reader import FieldReader, open_field
from pdesim.render.frames import FrameStream
from pdesim.render.painters import MapPainter
from pdesim.render.pictures import draw_frames
from pdesim.render.volume import VolumeReader
from pdesim.settings import Animation

RUN = ["equation=heat", "grid=24", "time.end=0.2", "output.frames=5", "animation.size=64"]
RANDOM = np.random.default_rng(0).normal(size=(12, 16, 16))
#: frames whose range is that of the first, of the first seven, of the last, and grows to the end
COURSES = {
    "steady": flat(1.0, 0.0, 0.5, 0.5, 0.5, 0.2) * waves(6, 16, 16),
    "settling": np.cumsum([[[1.0]]] * 7 + [[[-0.2]]] * 20, axis=0) * waves(27, 16, 16),
    "late": np.concatenate([waves(9, 16, 16), 2 * waves(1, 16, 16)]),
    "growing": waves(14, 16, 16) * np.arange(1, 15)[:, None, None],
    "random": RANDOM,
    "not finite": np.where(RANDOM > 2, np.nan, RANDOM),
    "a curve": RANDOM[:, 0],
    "a volume": RANDOM.reshape(4, 3, 16, 16),
    "one frame": RANDOM[:1],
}


def draw_growing(monkeypatch, run, animation, planned, at_once=1):
    """Draw while frames come in, ``at_once`` of them before each one that is waited for."""
    path, position = run / "snapshots.h5", animation.slice
    with open_field(path, animation.field, position, whole=True) as whole:
        times = whole.times

        def refreshed(self):
            return replace(self, times=times[: len(self.times) + at_once])

        monkeypatch.setattr(FieldReader, "refreshed", refreshed)
        so_far = [1]

        def more(pause: bool) -> bool:
            so_far[0] += at_once * pause
            return so_far[0] < len(times)

        reader = replace(whole, times=times[:1])
        if len(whole.axes) == 3:
            reader = VolumeReader(reader, position)
        stream = FrameStream(reader, animation, more, planned)
        return draw_frames(stream, run / "growing.gif").read_bytes()


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize(
    "options",
    [{}, {"every": 4, "colormap": "RdBu_r"}, {"limits": [-0.5, 1.0]}],
    ids=["as it is", "every fourth", "given limits"],
)
def test_frames_that_come_in_make_the_same_picture(tmp_path, monkeypatch, course, options):
    values, animation = COURSES[course], Animation(size=64, **options)
    run = write(tmp_path / "run", {"u": values})
    expected = render(run, animation, run / "animation.gif").read_bytes()
    planned = np.arange(len(values), dtype=float)
    for at_once in (1, 5):
        assert draw_growing(monkeypatch, run, animation, planned, at_once) == expected
    assert {p.name for p in run.iterdir()} == {"snapshots.h5", "animation.gif", "growing.gif"}


def test_a_formula_of_fields_that_come_in(tmp_path, monkeypatch):
    values, animation = waves(9, 16, 16), Animation(size=64, field="u - v*t + v_mean")
    run = write(tmp_path / "run", {"u": values, "v": values**2})
    expected = render(run, animation).read_bytes()
    assert draw_growing(monkeypatch, run, animation, np.arange(9.0)) == expected


def test_a_run_that_ends_early_is_drawn_with_the_times_it_has(tmp_path, monkeypatch):
    run, animation = write(tmp_path / "run", {"u": waves(5)}), Animation(size=64)
    expected = render(run, animation).read_bytes()
    planned = np.arange(2000) / 10  # other decimals, and a wider clock
    assert draw_growing(monkeypatch, run, animation, planned) == expected


@pytest.mark.parametrize("course", COURSES)
def test_little_is_drawn_in_vain(tmp_path, monkeypatch, course):
    run = write(tmp_path / "run", {"u": COURSES[course]})
    count, drawn, paint = len(COURSES[course]), [], MapPainter.paint
    monkeypatch.setattr(
        MapPainter, "paint", lambda self, values: drawn.append(1) or paint(self, values)
    )
    draw_growing(monkeypatch, run, Animation(size=64), np.arange(count, dtype=float))
    views = 3 if COURSES[course].ndim == 4 else 1
    assert len(drawn) <= 3 * count * views


def finishes(monkeypatch) -> list[bool]:
    """A list of the results of :meth:`BackgroundRenderer.finish`; drawing starts immediately."""
    answers, finish = [], BackgroundRenderer.finish
    monkeypatch.setattr(drawing, "START_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(
        BackgroundRenderer, "finish", lambda self: answers.append(finish(self)) or answers[-1]
    )
    return answers


def test_a_run_is_drawn_by_another_process(tmp_path, monkeypatch):
    answers = finishes(monkeypatch)
    run = pdesim.simulate(*RUN, folder=tmp_path / "run")
    assert answers == [True]
    assert (run.folder / "diagnostics.png").is_file()
    assert not list(run.folder.glob(".*.*.*"))
    drawn = (run.folder / "animation.gif").read_bytes()
    animation = effective_animation(compose_settings(RUN).settings)
    assert drawn == render(run.folder, animation, tmp_path / "again.gif").read_bytes()


def test_a_process_that_got_ready_early_draws_a_long_run(tmp_path, monkeypatch):
    answers, started, prewarm_process = finishes(monkeypatch), [], BackgroundRenderer.prewarm
    monkeypatch.setattr("pdesim.run.execute.PREWARM_CELL_UPDATES", 24 * 24)
    monkeypatch.setattr(
        BackgroundRenderer, "prewarm", lambda self: started.append(self) or prewarm_process(self)
    )
    run = pdesim.simulate(*RUN, folder=tmp_path / "run")
    assert len(started) == 1 and answers == [True]
    assert (run.folder / "animation.gif").is_file() and (run.folder / "diagnostics.png").is_file()


def test_a_process_without_orders_ends_at_once(tmp_path):
    with BackgroundRenderer(tmp_path, Animation(size=64), np.arange(9.0)) as renderer:
        renderer.prewarm()
        process = renderer._process
        assert process.poll() is None  # it waits for orders
        assert not renderer.finish()
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", [sys.executable + ".not", "false"])
def test_where_no_process_draws_the_run_does(tmp_path, monkeypatch, program):
    answers = finishes(monkeypatch)
    monkeypatch.setattr(sys, "executable", program)
    run = pdesim.simulate(*RUN, folder=tmp_path / "run")
    assert answers == [False]
    assert (run.folder / "animation.gif").is_file() and (run.folder / "diagnostics.png").is_file()


def test_what_is_not_needed_any_more_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "START_AFTER_SECONDS", 0.0)
    run = write(tmp_path / "run", {"u": waves(5)})
    with BackgroundRenderer(run, Animation(size=64), np.arange(9.0)) as renderer:
        renderer.poll()
        process, began = renderer._process, time.monotonic()
        while not list(run.glob(".animation.*")) and time.monotonic() - began < 60:
            assert process.poll() is None
            time.sleep(0.05)
        assert process.poll() is None  # it waits for further frames
    assert process.returncode not in (0, None)
    assert [p.name for p in run.iterdir()] == ["snapshots.h5"]
