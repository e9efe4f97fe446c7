"""Pages in a real browser: pictures, probe, plots, keys, tables; no errors and no requests."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest
from browsers import browser, wait_until
from made_pages import data_of, frames_of
from made_pictures import color, waves, write

from pdesim.page import write_page
from pdesim.settings import Animation


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def show(chromium):
    """Open a page; at the end, check that it reported no errors and requested only itself."""
    problems, contexts = [], []

    def open_page(path, width=1200, scheme="light", scripts=(), **more):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **more
        )
        contexts.append(context)
        page = context.new_page()

        def foreign(url):
            return not url.startswith((path.as_uri(), "blob:"))

        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: problems.append(request.url) if foreign(request.url) else None,
        )
        for script in scripts:
            page.add_init_script(script)
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready=true]", timeout=20_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    values = waves(12, 24, 32)
    values[:, 3:6, 4:8] = np.nan
    folder = write(tmp_path_factory.mktemp("pages") / "run", {"u": values, "v": values**2})
    rows = [
        f"{t},{t},{np.nanmean(u)},{np.nanmean(v)}"
        for t, (u, v) in enumerate(zip(values, values, strict=True))
    ]
    (folder / "diagnostics.csv").write_text("\n".join(["frame,time,u_mean,v_mean", *rows, ""]))
    return write_page(folder, Animation(limits=[-1.0, 1.0], field="u"))


def settled(page):
    """Wait until the page has drawn what it was asked to draw."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pixels_of(page) -> np.ndarray:
    """The centres of all cells in the picture, ``(rows, columns, 3)``, y upwards."""
    settled(page)
    values = page.evaluate(
        """() => {
          const source = byId("picture"), copy = document.createElement("canvas");
          copy.width = source.width; copy.height = source.height;
          const context = copy.getContext("2d", { willReadFrequently: true });
          context.drawImage(source, 0, 0);
          const result = [];
          for (let row = 0; row < layer.rows; row++) for (let i = 0; i < layer.columns; i++) {
            const x = Math.floor((i + 0.5) / layer.columns * copy.width);
            const y = Math.floor((1 - (row + 0.5) / layer.rows) * copy.height);
            result.push(...context.getImageData(x, y, 1, 1).data.slice(0, 3));
          }
          return [layer.rows, layer.columns, result];
        }"""
    )
    return np.array(values[2]).reshape(values[0], values[1], 3)


def check_colors(page, path, layer: int, frame: int, colormap: str, low: float, high: float):
    values = frames_of(data_of(path)["layers"][layer])[0][frame]
    fractions = np.clip((values - low) / (high - low), 0, 1)
    found = pixels_of(page)
    missing = np.isnan(fractions)
    assert np.all(found[missing] == 180)
    expected = np.array([color(colormap, float(f)) for f in fractions[~missing]])
    assert np.abs(found[~missing] - expected).max() <= 8  # a neighbouring colour of 256


WITHOUT_WEBGL = """
const before = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind === "webgl2" ? null : before.call(this, kind, ...more);
};
"""


@pytest.mark.parametrize("scripts", [(), (WITHOUT_WEBGL,)], ids=["WebGL2", "2-D canvas"])
def test_colours_follow_frame_map_and_limits(run, show, scripts):
    page = show(run, scripts=scripts)
    assert page.evaluate("Boolean(picture.gl)") == (not scripts)
    check_colors(page, run, 0, 11, "viridis", -1, 1)
    page.evaluate("byId('frame').value = 3; byId('frame').dispatchEvent(new Event('input'))")
    check_colors(page, run, 0, 3, "viridis", -1, 1)
    assert page.inner_text("#clock") == "t = 3"
    page.select_option("#map", "magma")
    check_colors(page, run, 0, 3, "magma", -1, 1)
    page.check("#reverse")
    check_colors(page, run, 0, 3, "magma_r", -1, 1)
    page.uncheck("#reverse")
    page.fill("#low", "-0.25")
    page.fill("#high", "0.5")
    check_colors(page, run, 0, 3, "magma", -0.25, 0.5)
    page.fill("#high", "-4")
    assert "must be below" in page.inner_text("#limits-problem")
    page.click("#reset")
    check_colors(page, run, 0, 3, "magma", -1, 1)
    page.select_option("#field", label="v: the v")
    wait_until(page, "layer.name === 'v'")
    low, high = data_of(run)["layers"][1]["limits"]
    check_colors(page, run, 1, 3, "magma", low, high)


def test_play_and_keys(run, show):
    page = show(run)
    page.focus("body")
    page.keyboard.press("Home")
    assert page.evaluate("frame") == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("frame") == 1 and page.input_value("#frame") == "1"
    page.keyboard.press("End")
    assert page.evaluate("frame") == 11
    page.select_option("#fps", "2")  # slow enough for a busy machine
    page.focus("body")
    page.keyboard.press("Space")  # from the start again
    wait_until(page, "frame > 0 && frame < 11")
    page.keyboard.press("Space")
    stopped = page.evaluate("frame")
    page.wait_for_timeout(1100)
    assert page.evaluate("frame") == stopped < 11
    page.select_option("#fps", "50")
    page.click("#play")
    wait_until(page, "frame === 11 && timer === null")
    page.focus("#frame")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("frame") == 10
    assert page.get_attribute("#play", "aria-label") == "Play"


def test_the_probe_reads_values(run, show):
    page = show(run)
    values, step = frames_of(data_of(run)["layers"][0])
    box = page.locator("#picture").bounding_box()
    column, row = 20, 15
    page.mouse.move(
        box["x"] + (column + 0.5) / 32 * box["width"],
        box["y"] + (1 - (row + 0.5) / 24) * box["height"],
    )
    text = page.inner_text("#probe")
    found, error = (
        float(part.replace("−", "-")) for part in text.split(" at ")[0][4:].split(" ± ")
    )
    assert abs(found - values[11, row, column]) <= error and error == pytest.approx(
        step[11] / 2, rel=0.3
    )
    assert f"x = {(column + 0.5) / 32:.4g}, y = {(row + 0.5) / 24:.4g}" in text
    series = page.evaluate("history.curves[0].y")
    assert series == pytest.approx(values[:, row, column])
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(5, 5)
    assert "fixed" in page.inner_text("#probe")
    page.focus("#stage")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("point") == [column - 1, 23]
    assert page.evaluate("frame") == 11  # the keys of the picture do not change the frame
    page.keyboard.press("Escape")
    assert page.evaluate("point") is None
    box = page.locator("#picture").bounding_box()
    page.mouse.move(box["x"] + 5.5 / 32 * box["width"], box["y"] + (1 - 4.5 / 24) * box["height"])
    assert "no value" in page.inner_text("#probe")


def test_diagnostics_are_interactive(run, show):
    page = show(run)
    page.locator("#curves").scroll_into_view_if_needed()
    settled(page)
    box = page.locator("#curves").bounding_box()
    x = page.evaluate("curves.toX(4.2)")
    page.mouse.click(box["x"] + x, box["y"] + 100)
    assert page.evaluate("frame") == 4
    page.focus("#curves")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("frame") == 5
    start, end = (box["x"] + page.evaluate(f"curves.toX({t})") for t in (2, 6))
    page.mouse.move(start, box["y"] + 80)
    page.mouse.down()
    page.mouse.move((start + end) / 2, box["y"] + 80)
    page.mouse.move(end, box["y"] + 80)
    page.mouse.up()
    assert page.evaluate("curves.zoom") == pytest.approx([2, 6], abs=0.05)
    page.keyboard.press("Escape")
    assert page.evaluate("curves.zoom") is None
    settled(page)
    before = page.evaluate("byId('curves').toDataURL()")
    page.locator("#legend input").first.uncheck()
    settled(page)
    assert page.evaluate("curves.curves.length") == 1
    assert page.evaluate("byId('curves').toDataURL()") != before


def test_saving_a_picture(run, show):
    page = show(run)
    with page.expect_download() as download:
        page.click("#save")
    content = download.value.path().read_bytes()
    assert download.value.suggested_filename == "u_11.png"
    width, height = struct.unpack(">II", content[16:24])
    assert content[:4] == b"\x89PNG" and width > 300 and height > 300


def test_a_curve(tmp_path, show):
    values = waves(6, 1, 200)[:, 0]
    page = show(write_page(write(tmp_path / "run", {"u": values}), Animation()))
    drawn = page.evaluate("Array.from(curvePlot.curves[0].y)")
    assert drawn == pytest.approx(values[5], abs=1e-4)
    before = page.evaluate("byId('overlay').toDataURL()")
    page.keyboard.press("ArrowLeft")
    settled(page)
    assert page.evaluate("byId('overlay').toDataURL()") != before
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#probe").startswith("u = ")
    assert not page.is_visible("#map")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phones_and_themes(run, show, scheme):
    page = show(run, width=390, scheme=scheme, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 28)"}[scheme]
    box = page.locator("#picture").bounding_box()
    page.touchscreen.tap(box["x"] + 16.5 / 32 * box["width"], box["y"] + 11.5 / 24 * box["height"])
    assert page.evaluate("point") == [16, 12]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "sweep"
    folder.mkdir()
    for number in range(12):
        F, k = 0.01 * (number // 3), 10.0 - number % 3
        run = write(folder / str(number), {"u": waves(2, 16, 16) * (1 + number)})
        config = f"equation: {{name: made, F: {F}, k: {k}, rhs: {{u: F*u - k}}}}"
        with h5py.File(run / "snapshots.h5", "a") as file:
            file.attrs["config"] = config
    write_page(folder / "4", Animation())
    return write_page(folder, Animation())


def column_of(page, name: str) -> list[str]:
    texts = page.locator("#head th button").all_inner_texts()
    place = [text.split()[0] for text in texts].index(name) + 1
    return page.locator(f"#body td:nth-child({place})").all_inner_texts()


def test_the_table_is_sorted_and_filtered(sweep, show):
    page = show(sweep)
    assert column_of(page, "number") == [str(n) for n in range(12)]  # 10 after 9
    page.locator("#head button[title='equation.k']").click()
    found = [float(text) for text in column_of(page, "k")]
    assert found == sorted(found) and len(set(found)) == 3
    page.keyboard.press("Enter")  # the heading kept the focus
    assert [float(text) for text in column_of(page, "k")] == found[::-1]
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.fill("#filter", "F>0.005 F<=0.02 k=9")
    assert sorted(column_of(page, "number")) == ["4", "7"]
    assert page.inner_text("#count") == "2 of 12 runs"
    assert page.evaluate("tiles.visible.length") == 2
    page.fill("#filter", "nothing")
    assert page.locator("#body tr").count() == 0
    page.fill("#filter", "")
    assert page.locator("#body a").all_inner_texts() == ["4"]
    assert page.get_attribute("#body a", "href") == "4/index.html"


def test_tiles_are_placed_by_settings(sweep, show):
    page = show(sweep)
    settled(page)
    assert page.evaluate("[tiles.columns, tiles.rows]") == [
        ["0.0", "0.01", "0.02", "0.03"], ["10.0", "9.0", "8.0"],
    ]  # fmt: skip
    box = page.locator("#map-of-tiles").bounding_box()
    tile = page.evaluate("tiles.boxOf(2, 1)")  # F = 0.02, k = 9
    page.mouse.click(box["x"] + tile["x"] + 5, box["y"] + tile["y"] + 5)
    assert page.inner_text("#selected").startswith("number 7, F 0.02, k 9.0")
    assert page.locator("tr[aria-selected=true] td").first.inner_text() == "7"
    page.focus("#map-of-tiles")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("selected") == 10
    picture = "byId('map-of-tiles').toDataURL()"
    before = page.evaluate(picture)
    page.select_option("#map", "coolwarm")
    settled(page)
    assert page.evaluate(picture) != before
    page.select_option("#upwards", "")
    settled(page)
    assert page.evaluate("tiles.rows.length") == 1
    assert page.evaluate("tiles.places.get('0,0').length") == 3
