"use strict";
// The page of a run: the picture or curve of a frame, its transport, the probe, the diagnostics.

const AXIS_MARGIN = { left: 56, right: 12, top: 8, bottom: 40 };
const CURVE_ASPECT = 0.55; // height of a curve's axes divided by their width

const layers = DATA.layers;
const decoded = new Map(); // layer -> promise of its integers
const times = DATA.times;
const last = times.length - 1;

let layer = layers[DATA.first], codes = null, frame = 0;
let point = null; // [column, row] of the probe
let fixed = false; // whether the probe stays when the pointer leaves
let timer = null, startedAt = 0, startFrame = 0;

const picture = new Picture(byId("picture"));
const drawFrame = oncePerFrame(paintFrame);
const look = connectColors(() => layer.limits, () => drawFrame());
const curvePlot = new Plot(byId("overlay"), {
  xRange: () => [layer.axes[0].lower, layer.axes[0].upper],
  hovered: (x) => hover(x === null ? null : [columnAt(x), 0]),
  picked: (x) => fix([columnAt(x), 0]),
});
const history = new Plot(byId("history"), { xLabel: timeLabel(), picked: showTime, stops: () => times });
const curves = new Plot(byId("curves"), { xLabel: timeLabel(), picked: showTime, stops: () => times, zooms: true });

function timeLabel() {
  return DATA.timeUnit ? `t [${DATA.timeUnit}]` : "t";
}

const withUnit = (text, unit) => (unit ? `${text} ${unit}` : text);

// --- Fields and frames -------------------------------------------------------------------------

async function showLayer(index) {
  const chosen = layers[index];
  if (!decoded.has(chosen)) decoded.set(chosen, decode(chosen));
  const found = await decoded.get(chosen);
  if (Number(byId("field").value) !== index) return; // another field was chosen meanwhile
  const before = layer;
  [layer, codes] = [chosen, found];
  if (point) {
    const scale = ([column, row]) => [
      Math.floor((column * layer.columns) / before.columns), Math.floor((row * layer.rows) / before.rows),
    ];
    point = scale(point);
  }
  document.body.dataset.curve = layer.curve;
  curvePlot.options.xLabel = axisLabel(layer.axes[0]);
  look.setLimits(layer.limits);
  byId("stage").setAttribute("aria-label", `${layer.label}; arrow keys move the probe`);
  showHistory();
}

const axisLabel = (axis) => (axis.unit ? `${axis.name} [${axis.unit}]` : axis.name);

function setFrame(number) {
  frame = Math.max(0, Math.min(last, number));
  byId("frame").value = frame;
  byId("frame").setAttribute("aria-valuetext", `t = ${DATA.clock[frame]}`);
  byId("clock").textContent = withUnit(`t = ${DATA.clock[frame]}`, DATA.timeUnit);
  history.setCursor(times[frame]);
  curves.setCursor(times[frame]);
  showProbe();
  showLegend();
  drawFrame();
}

function showTime(time) {
  pause();
  setFrame(nearest(times, time));
}

function paintFrame() {
  if (!codes) return;
  const stage = byId("stage");
  const width = stage.clientWidth - AXIS_MARGIN.left - AXIS_MARGIN.right;
  if (layer.curve) {
    stage.style.height = `${Math.round(width * CURVE_ASPECT) + 60}px`;
    const values = new Float64Array(layer.columns);
    for (let i = 0; i < values.length; i++) values[i] = valueAt(layer, codes, frame, i);
    const margin = 0.03 * (look.high - look.low);
    curvePlot.limits = [look.low - margin, look.high + margin];
    curvePlot.cursor = point ? xOf(point[0]) : null;
    curvePlot.show([{ name: layer.name, x: centres(), y: values, color: 0 }]);
    return;
  }
  const [x, y] = layer.axes;
  const aspect = (y.upper - y.lower) / (x.upper - x.lower);
  const most = Math.max(240, window.innerHeight * 0.8);
  const height = Math.max(24, Math.min(width * aspect, most));
  const across = Math.max(24, Math.min(width, height / aspect));
  stage.style.height = `${height + AXIS_MARGIN.top + AXIS_MARGIN.bottom}px`;
  Object.assign(picture.canvas.style, {
    left: `${AXIS_MARGIN.left}px`, top: `${AXIS_MARGIN.top}px`, width: `${across}px`, height: `${height}px`,
  });
  picture.draw(layer, codes, frame, look.colors, look.low, look.high);
  paintOverlay(across, height);
}

// The axes around the picture, and the cross of the probe.
function paintOverlay(width, height) {
  const { context } = prepareCanvas(byId("overlay"));
  const { left, top } = AXIS_MARGIN, bottom = top + height;
  const [x, y] = layer.axes;
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = styleColor("--soft");
  context.strokeStyle = styleColor("--soft");
  const mark = (x1, y1, x2, y2) => {
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  };
  context.textAlign = "center";
  context.textBaseline = "top";
  const across = ticks(...ends(x), Math.max(1, width / 90));
  tickTexts(across).forEach((text, i) => {
    const place = left + ((across[i] - x.lower) / (x.upper - x.lower)) * width;
    mark(place, bottom, place, bottom + 4);
    context.fillText(text, place, bottom + 6);
  });
  context.fillText(axisLabel(x), left + width / 2, bottom + 22);
  context.textAlign = "right";
  context.textBaseline = "middle";
  const upwards = ticks(...ends(y), Math.max(1, height / 60));
  tickTexts(upwards).forEach((text, i) => {
    const place = bottom - ((upwards[i] - y.lower) / (y.upper - y.lower)) * height;
    mark(left - 4, place, left, place);
    context.fillText(text, left - 7, place, left - 18);
  });
  context.save();
  context.translate(10, top + height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(axisLabel(y), 0, 0);
  context.restore();
  context.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
  if (point) paintCross(context, left, bottom, width, height);
}

function paintCross(context, left, bottom, width, height) {
  const x = left + ((point[0] + 0.5) / layer.columns) * width;
  const y = bottom - ((point[1] + 0.5) / layer.rows) * height;
  for (const [color, line] of [["#000000", 3], ["#ffffff", 1.2]]) { // visible on all colours
    context.strokeStyle = color;
    context.lineWidth = line;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 4 * dx, y + 4 * dy);
      context.lineTo(x + 11 * dx, y + 11 * dy);
    }
    context.stroke();
  }
}

// The ends of an axis without the rounding error of an end at zero.
function ends(axis) {
  const near = 1e-9 * (axis.upper - axis.lower);
  return [axis.lower, axis.upper].map((end) => (Math.abs(end) < near ? 0 : end));
}

// --- Probe -------------------------------------------------------------------------------------

const place = (axis, number, count) => axis.lower + ((number + 0.5) / count) * (axis.upper - axis.lower);
const xOf = (column) => place(layer.axes[0], column, layer.columns);
const centres = () => Float64Array.from({ length: layer.columns }, (_, i) => xOf(i));

function columnAt(x) {
  const { lower, upper } = layer.axes[0];
  const column = Math.floor(((x - lower) / (upper - lower)) * layer.columns);
  return Math.max(0, Math.min(layer.columns - 1, column));
}

// Returns the cell under the pointer, or null outside the picture.
function cellUnder(event) {
  const box = byId("picture").getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) / box.width) * layer.columns);
  const row = Math.floor(((box.bottom - event.clientY) / box.height) * layer.rows);
  const inside = column >= 0 && row >= 0 && column < layer.columns && row < layer.rows;
  return inside ? [column, row] : null;
}

function hover(cell) {
  if (!fixed && (cell || point)) setPoint(cell);
}

function fix(cell) {
  fixed = cell !== null && !(fixed && point && cell[0] === point[0] && cell[1] === point[1]);
  setPoint(cell);
}

function setPoint(cell) {
  point = cell;
  showProbe();
  showHistory();
  drawFrame();
}

function showProbe() {
  if (!codes) return;
  if (!point) {
    byId("probe").textContent = "Point at the picture to read a value; click to keep the point.";
    return;
  }
  const [column, row] = point;
  const value = valueAt(layer, codes, frame, row * layer.columns + column);
  const where = layer.axes.map((axis, i) => {
    const count = i ? layer.rows : layer.columns;
    return withUnit(`${axis.name} = ${numberText(place(axis, point[i], count), 4)}`, axis.unit);
  });
  const text = withUnit(`${layer.name} = ${roundedText(value, stepOf(layer, frame))}`, layer.unit);
  byId("probe").textContent = `${text} at ${where.join(", ")}${fixed ? " (fixed)" : ""}`;
}

function showHistory() {
  if (!codes) return;
  byId("history").style.visibility = point && last > 0 ? "visible" : "hidden";
  if (!point) return;
  const cell = point[1] * layer.columns + point[0];
  history.show([{ name: layer.name, x: times, y: times.map((_, i) => valueAt(layer, codes, i, cell)), color: 0 }]);
}

function moveProbe(event) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  if (event.key === "Escape" && point) fix(null);
  if (!(event.key in moves) || !codes || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  const [dx, dy] = moves[event.key].map((step) => step * (event.shiftKey ? 10 : 1));
  const [column, row] = point || [layer.columns >> 1, layer.rows >> 1];
  const bounded = (number, count) => Math.max(0, Math.min(count - 1, number));
  fixed = true;
  setPoint([bounded(column + dx, layer.columns), bounded(row + dy, layer.rows)]);
}

// --- Transport ---------------------------------------------------------------------------------

function play() {
  if (last === 0) return;
  if (frame === last) setFrame(0);
  startedAt = performance.now();
  startFrame = frame;
  const tick = (now) => {
    // frames are skipped rather than delayed if drawing takes long
    const due = startFrame + Math.floor(((now - startedAt) / 1000) * Number(byId("fps").value));
    if (due > frame) setFrame(due);
    timer = frame < last ? requestAnimationFrame(tick) : null;
    showPlaying();
  };
  timer = requestAnimationFrame(tick);
  showPlaying();
}

function pause() {
  if (timer !== null) cancelAnimationFrame(timer);
  timer = null;
  showPlaying();
}

function showPlaying() {
  byId("play").textContent = timer === null ? "▶" : "❚❚";
  byId("play").setAttribute("aria-label", timer === null ? "Play" : "Pause");
}

function step(count) {
  pause();
  setFrame(frame + count);
}

function pageKey(event) {
  const tag = event.target.tagName;
  if (event.altKey || event.ctrlKey || event.metaKey || ["INPUT", "SELECT", "SUMMARY", "A"].includes(tag)) return;
  const actions = {
    " ": () => (timer === null ? play() : pause()),
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => step(-last), End: () => step(last),
  };
  if (!(event.key in actions) || (event.key === " " && tag === "BUTTON")) return;
  event.preventDefault();
  actions[event.key]();
}

// --- Diagnostics -------------------------------------------------------------------------------

let shownCurves = [];

function showDiagnostics() {
  const group = byId("quantity").value;
  shownCurves = DATA.diagnostics.filter((curve) => curve.group === group)
    .map((curve, i) => ({ ...curve, x: curve.times, y: curve.values, color: i, on: true }));
  byId("legend").replaceChildren(...shownCurves.map((curve) => {
    const box = create("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      curve.on = box.checked;
      showCurves();
    });
    curve.output = create("span");
    const key = create("span", { className: `key curve${curve.color % CURVE_COLORS}` });
    return create("label", { className: "check", title: curve.about }, [box, key, curve.output]);
  }));
  showCurves();
  showLegend();
}

function showCurves() {
  curves.show(shownCurves.filter((curve) => curve.on), { keepZoom: true });
}

// The values of the curves at the time of the frame.
function showLegend() {
  for (const curve of shownCurves) {
    const value = curve.y[nearest(curve.x, times[frame])];
    curve.output.textContent = `${curve.name} = ${value === null ? "no value" : numberText(value, 6)}`;
  }
}

// --- Start -------------------------------------------------------------------------------------

function savePicture() {
  const canvas = layer.curve ? byId("overlay") : byId("picture");
  canvas.toBlob((blob) => {
    const link = create("a", { href: URL.createObjectURL(blob), download: `${layer.name}_${frame}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

function connect() {
  fillSelect(byId("field"), layers.map((_, i) => i),
    layers.map((one) => (one.label === one.name ? one.name : `${one.name}: ${one.label}`)), DATA.first);
  const rates = [...new Set([1, 2, 5, 10, 20, 30, 50, DATA.fps])].sort((a, b) => a - b);
  fillSelect(byId("fps"), rates, rates.map((rate) => `${rate} fps`), DATA.fps);
  byId("fps").addEventListener("change", () => timer !== null && (pause(), play()));
  byId("field").addEventListener("change", () => showLayer(Number(byId("field").value)).catch(showProblem));
  byId("frame").max = last;
  byId("frame").addEventListener("input", () => showTime(times[byId("frame").value]));
  byId("play").addEventListener("click", () => (timer === null ? play() : pause()));
  byId("back").addEventListener("click", () => step(-1));
  byId("forward").addEventListener("click", () => step(1));
  byId("fit").addEventListener("click", () => look.setLimits(rangeOf(layer, codes, frame) || layer.limits));
  byId("save").addEventListener("click", savePicture);
  const overlay = byId("overlay");
  overlay.addEventListener("pointermove", (event) => layer.curve || hover(cellUnder(event)));
  overlay.addEventListener("pointerleave", () => hover(null));
  overlay.addEventListener("click", (event) => layer.curve || fix(cellUnder(event)));
  byId("stage").addEventListener("keydown", moveProbe);
  document.addEventListener("keydown", pageKey);
  redrawOnChange(drawFrame);
  const groups = [...new Set(DATA.diagnostics.map((curve) => curve.group))];
  byId("diagnostics").hidden = groups.length === 0;
  fillSelect(byId("quantity"), groups, groups, groups.includes("mean") ? "mean" : groups[0]);
  byId("quantity").addEventListener("change", showDiagnostics);
  byId("log").addEventListener("change", () => {
    curves.log = byId("log").checked;
    curves.draw();
  });
  byId("unzoom").addEventListener("click", () => curves.unzoom());
  if (groups.length) showDiagnostics();
}

async function start() {
  connect();
  look.update();
  await showLayer(DATA.first);
  setFrame(last);
  document.body.dataset.ready = "true";
}

start().catch(showProblem);
