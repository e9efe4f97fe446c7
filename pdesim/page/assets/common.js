"use strict";
// Shared by the pages of runs and sweeps: decoding of frames, colours, and texts of numbers.

const byId = (id) => document.getElementById(id);
const DATA = JSON.parse(byId("data").textContent);

// The differences in which a frame may be stored; see pdesim/page/packing.py.
const TIME = 1, ALONG_X = 2, ALONG_Y = 4;

function create(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function fillSelect(select, values, texts, chosen) {
  select.replaceChildren(...values.map((value, i) => create("option", { value, textContent: texts[i] })));
  select.value = chosen;
}

// --- Frames ------------------------------------------------------------------------------------

async function inflate(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Returns the integers of all frames, one frame after the other.
async function decode(layer) {
  const bytes = await inflate(layer.data);
  const { rows, columns, modes } = layer;
  const size = rows * columns;
  const wide = layer.bits === 16;
  const codes = new (wide ? Uint16Array : Uint8Array)(size * modes.length);
  modes.forEach((mode, frame) => {
    const start = frame * size;
    if (wide) {
      for (let i = 0; i < size; i++) codes[start + i] = bytes[2 * start + i] | (bytes[2 * start + size + i] << 8);
    } else {
      codes.set(bytes.subarray(start, start + size), start);
    }
    restore(codes, start, rows, columns, mode);
  });
  return codes;
}

// Undoes the differences of one frame in place; typed arrays wrap around as the file requires.
function restore(codes, start, rows, columns, mode) {
  const end = start + rows * columns;
  if (mode & ALONG_Y) for (let i = start + columns; i < end; i++) codes[i] += codes[i - columns];
  if (mode & ALONG_X) {
    for (let row = start; row < end; row += columns) {
      for (let i = row + 1; i < row + columns; i++) codes[i] += codes[i - 1];
    }
  }
  if (mode & TIME) for (let i = start; i < end; i++) codes[i] += codes[i - rows * columns];
}

// The number of steps between the limits of a frame; one more marks a missing value.
const levelsOf = (layer) => (layer.bits === 16 ? 65534 : 254);

const stepOf = (layer, frame) => (layer.highs[frame] - layer.lows[frame]) / levelsOf(layer);

// Returns the value of a cell, NaN where it is missing.
function valueAt(layer, codes, frame, cell) {
  const code = codes[frame * layer.rows * layer.columns + cell];
  return code > levelsOf(layer) ? NaN : layer.lows[frame] + code * stepOf(layer, frame);
}

// Returns the smallest and the largest value of a frame.
function rangeOf(layer, codes, frame) {
  const size = layer.rows * layer.columns, levels = levelsOf(layer);
  let low = Infinity, high = -Infinity;
  for (const code of codes.subarray(frame * size, (frame + 1) * size)) {
    if (code > levels) continue;
    if (code < low) low = code;
    if (code > high) high = code;
  }
  if (low > high) return null;
  const step = stepOf(layer, frame);
  return [layer.lows[frame] + low * step, layer.lows[frame] + high * step];
}

// --- Colours -----------------------------------------------------------------------------------

const MISSING = [180, 180, 180];

// Returns 256 colours, red, green and blue one after the other.
function colorsOf(name, reversed) {
  const text = DATA.colormaps[name];
  const colors = new Uint8Array(768);
  for (let i = 0; i < 256; i++) {
    const source = reversed ? 255 - i : i;
    for (let part = 0; part < 3; part++) {
      colors[3 * i + part] = parseInt(text.substr(6 * source + 2 * part, 2), 16);
    }
  }
  return colors;
}

// Colours a frame without WebGL: a table of the colours of all integers, and a lookup per cell.
function paintCells(context, layer, codes, frame, colors, low, high) {
  const { rows, columns } = layer;
  const levels = levelsOf(layer), step = stepOf(layer, frame);
  const image = context.createImageData(columns, rows);
  const table = new Uint32Array(levels + 2);
  const pack = (r, g, b) => (255 << 24) | (b << 16) | (g << 8) | r;
  for (let code = 0; code <= levels; code++) {
    const fraction = (layer.lows[frame] + code * step - low) / (high - low);
    const place = 3 * Math.max(0, Math.min(255, Math.floor(fraction * 256)));
    table[code] = pack(colors[place], colors[place + 1], colors[place + 2]);
  }
  table[levels + 1] = pack(...MISSING);
  const pixels = new Uint32Array(image.data.buffer);
  const start = frame * rows * columns;
  for (let row = 0; row < rows; row++) { // y points up
    const source = start + (rows - 1 - row) * columns;
    for (let i = 0; i < columns; i++) pixels[row * columns + i] = table[codes[source + i]];
  }
  context.putImageData(image, 0, 0);
}

function paintColorbar(canvas, colors) {
  canvas.width = 256;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 1);
  for (let i = 0; i < 256; i++) image.data.set([...colors.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  context.putImageData(image, 0, 0);
}

// The choice of colours and limits, which both pages have. `changed` is called after each change.
function connectColors(limitsOf, changed) {
  const names = Object.keys(DATA.colormaps);
  fillSelect(byId("map"), names, names, DATA.colormap);
  const state = { colors: null, low: 0, high: 1 };
  const update = () => {
    state.colors = colorsOf(byId("map").value, byId("reverse").checked);
    paintColorbar(byId("colorbar"), state.colors);
    changed();
  };
  const setLimits = ([low, high]) => {
    [state.low, state.high] = high > low ? [low, high] : [low - 0.5, low + 0.5];
    byId("low").value = shortNumber(state.low);
    byId("high").value = shortNumber(state.high);
    byId("limits-problem").textContent = "";
    changed();
  };
  const typed = () => {
    const low = parseFloat(byId("low").value), high = parseFloat(byId("high").value);
    const valid = Number.isFinite(low) && Number.isFinite(high) && low < high;
    byId("limits-problem").textContent = valid ? "" : "the lower limit must be below the upper one";
    if (!valid) return;
    state.low = low;
    state.high = high;
    changed();
  };
  for (const id of ["map", "reverse"]) byId(id).addEventListener("change", update);
  for (const id of ["low", "high"]) byId(id).addEventListener("input", typed);
  byId("reset").addEventListener("click", () => setLimits(limitsOf()));
  return Object.assign(state, { update, setLimits });
}

// --- Numbers -----------------------------------------------------------------------------------

const shortNumber = (value) => String(parseFloat(value.toPrecision(5)));

function numberText(value, digits = 5) {
  if (!Number.isFinite(value)) return "no value";
  const text = String(parseFloat(value.toPrecision(digits)));
  return text.replace("-", "−").replace(/e\+?(−?)-?(\d+)/, (all) => all.replace("-", "−"));
}

// Returns a value with as many digits as its rounding step allows, and the rounding error.
function roundedText(value, step) {
  if (!Number.isFinite(value)) return "no value";
  if (!(step > 0)) return numberText(value, 7);
  const exponent = (number) => Math.floor(Math.log10(number));
  const decimals = -exponent(parseFloat((step / 2).toPrecision(1))); // those of the rounding error
  const digits = Math.min(Math.max(1 + exponent(Math.abs(value) || step) + decimals, 1), 9);
  const rounded = Math.abs(value) < step / 2 ? "0" : numberText(value, digits);
  return `${rounded} ± ${numberText(step / 2, 1)}`;
}

// Returns round numbers between two ends, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const places = [];
  for (let n = Math.ceil(low / step - 1e-6); n * step <= high + 1e-6 * step; n++) places.push(n * step);
  return places;
}

// Returns the texts of ticks, with the decimals that distinguish them.
function tickTexts(places) {
  const largest = Math.max(...places.map(Math.abs)), step = Math.abs(places[1] - places[0]) || largest || 1;
  if (largest >= 1e5 || (largest > 0 && largest < 1e-3)) {
    const digits = Math.min(Math.max(Math.round(Math.log10(largest / step)) + 1, 1), 9);
    return places.map((place) => (place === 0 ? "0" : numberText(place, digits)));
  }
  const decimals = Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 12);
  return places.map((place) => (place + 0).toFixed(decimals).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−"));
}

const styleColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Calls `draw` before the next repaint, once for any number of calls.
function oncePerFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

// Sets the pixels of a canvas to those of the screen and returns its context and size.
function prepareCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  const pixels = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== pixels[0]) canvas.width = pixels[0];
  if (canvas.height !== pixels[1]) canvas.height = pixels[1];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// Redraws after changes of the window's size and of the light or dark theme.
function redrawOnChange(draw) {
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function showProblem(error) {
  const element = byId("problem");
  element.hidden = false;
  element.textContent = typeof DecompressionStream === "undefined"
    ? "This browser cannot decompress the frames; use a browser of 2023 or later."
    : `The page cannot be shown: ${error.message}`;
}
