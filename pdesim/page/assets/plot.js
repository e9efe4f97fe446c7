"use strict";
// A plot of curves on a canvas, with a cursor, zoom along x, and a logarithmic axis.

const CURVE_COLORS = 8;
const PLOT_MARGIN = { left: 62, right: 14, top: 10, bottom: 38 };

class Plot {
  // `options`: xLabel, yLabel, picked(x) after a click or a key, hovered(x) for the pointer (null
  // when it leaves), stops(): the x values between which keys move the cursor.
  constructor(canvas, options = {}) {
    this.canvas = canvas;
    this.options = options;
    this.curves = [];
    this.zoom = null; // [low, high] along x
    this.limits = null; // [low, high] along y; null: from the curves
    this.log = false;
    this.cursor = null;
    this.draw = oncePerFrame(() => this.paint());
    redrawOnChange(this.draw);
    this.listen();
  }

  // Each curve: { name, x, y, color (number), faint }.
  show(curves, { keepZoom = false } = {}) {
    this.curves = curves;
    if (!keepZoom) this.zoom = null;
    this.draw();
  }

  xRange() {
    if (this.zoom) return this.zoom;
    if (this.options.xRange) return this.options.xRange();
    let low = Infinity, high = -Infinity;
    for (const { x } of this.curves) {
      for (const value of x) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (low > high) return [0, 1];
    return high > low ? [low, high] : [low - 0.5, low + 0.5];
  }

  yRange() {
    if (this.limits) return this.limits;
    const [left, right] = this.xRange();
    let low = Infinity, high = -Infinity;
    for (const { x, y } of this.curves) {
      for (let i = 0; i < x.length; i++) {
        const value = y[i];
        if (x[i] < left || x[i] > right || !Number.isFinite(value) || value === null) continue;
        if (this.log && value <= 0) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (low > high) return this.log ? [0.1, 1] : [0, 1];
    if (this.log) return high > low ? [low, high] : [low / 2, high * 2];
    // a range of rounding errors only would be drawn as noise
    const least = 1e-4 * Math.max(Math.abs(low), Math.abs(high)) || 0.5;
    const margin = high - low < least ? least : 0.05 * (high - low);
    return [low - margin, high + margin];
  }

  paint() {
    const { context, width, height } = prepareCanvas(this.canvas);
    const box = {
      x: PLOT_MARGIN.left, y: PLOT_MARGIN.top,
      width: width - PLOT_MARGIN.left - PLOT_MARGIN.right,
      height: height - PLOT_MARGIN.top - PLOT_MARGIN.bottom,
    };
    if (box.width < 10 || box.height < 10) return;
    const [left, right] = this.xRange(), [low, high] = this.yRange();
    const up = this.log ? Math.log10 : (value) => value;
    this.toX = (value) => box.x + ((value - left) / (right - left)) * box.width;
    this.toY = (value) => box.y + box.height - ((up(value) - up(low)) / (up(high) - up(low))) * box.height;
    this.fromX = (pixel) => left + ((pixel - box.x) / box.width) * (right - left);
    this.box = box;
    this.paintAxes(context, box, [left, right], [low, high]);
    context.save();
    context.beginPath();
    context.rect(box.x, box.y, box.width, box.height);
    context.clip();
    this.curves.forEach((curve) => this.paintCurve(context, curve));
    if (this.dragged) {
      context.fillStyle = styleColor("--select");
      context.fillRect(this.dragged[0], box.y, this.dragged[1] - this.dragged[0], box.height);
    }
    this.paintCursor(context, box);
    context.restore();
  }

  paintAxes(context, box, [left, right], [low, high]) {
    context.font = "12px system-ui, sans-serif";
    context.strokeStyle = styleColor("--grid");
    context.fillStyle = styleColor("--soft");
    context.lineWidth = 1;
    const across = ticks(left, right, Math.max(2, box.width / 90));
    context.textAlign = "center";
    context.textBaseline = "top";
    tickTexts(across).forEach((text, i) => {
      const x = Math.round(this.toX(across[i])) + 0.5;
      context.beginPath();
      context.moveTo(x, box.y + box.height);
      context.lineTo(x, box.y + box.height + 4);
      context.stroke();
      context.fillText(text, Math.min(x, box.x + box.width - context.measureText(text).width / 2 + 10), box.y + box.height + 6);
    });
    const upwards = this.log ? powersOfTen(low, high) : ticks(low, high, Math.max(2, box.height / 45));
    const texts = this.log ? upwards.map((v) => numberText(v, 3)) : tickTexts(upwards);
    context.textAlign = "right";
    context.textBaseline = "middle";
    texts.forEach((text, i) => {
      const y = Math.round(this.toY(upwards[i])) + 0.5;
      context.beginPath();
      context.moveTo(box.x, y);
      context.lineTo(box.x + box.width, y);
      context.stroke();
      context.fillText(text, box.x - 6, y, box.x - 8);
    });
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(this.options.xLabel || "", box.x + box.width / 2, box.y + box.height + PLOT_MARGIN.bottom);
    context.strokeRect(box.x + 0.5, box.y + 0.5, box.width, box.height);
  }

  paintCurve(context, curve) {
    context.strokeStyle = styleColor(`--curve${curve.color % CURVE_COLORS}`);
    context.lineWidth = 1.8;
    context.lineJoin = "round";
    context.beginPath();
    let started = false;
    for (let i = 0; i < curve.x.length; i++) {
      const value = curve.y[i];
      const usable = value !== null && Number.isFinite(value) && (!this.log || value > 0);
      if (!usable) {
        started = false;
        continue;
      }
      const x = this.toX(curve.x[i]), y = Math.max(-1e5, Math.min(1e5, this.toY(value)));
      if (started) context.lineTo(x, y);
      else context.moveTo(x, y);
      started = true;
    }
    context.stroke();
    if (curve.x.length === 1 && curve.y[0] !== null) this.dot(context, curve, 0);
  }

  dot(context, curve, i) {
    context.fillStyle = styleColor(`--curve${curve.color % CURVE_COLORS}`);
    context.beginPath();
    context.arc(this.toX(curve.x[i]), this.toY(curve.y[i]), 3.5, 0, 2 * Math.PI);
    context.fill();
  }

  paintCursor(context, box) {
    if (this.cursor === null) return;
    const x = Math.round(this.toX(this.cursor)) + 0.5;
    context.strokeStyle = styleColor("--cursor");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, box.y);
    context.lineTo(x, box.y + box.height);
    context.stroke();
    for (const curve of this.curves) {
      const i = nearest(curve.x, this.cursor);
      if (i >= 0 && curve.y[i] !== null && Number.isFinite(curve.y[i])) this.dot(context, curve, i);
    }
  }

  setCursor(x) {
    this.cursor = x;
    this.draw();
  }

  listen() {
    const canvas = this.canvas;
    let start = null;
    const pixel = (event) => event.clientX - canvas.getBoundingClientRect().left;
    canvas.addEventListener("pointerdown", (event) => {
      start = pixel(event);
      if (event.pointerType !== "touch") canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.fromX) return;
      const x = pixel(event);
      if (start !== null && this.options.zooms && Math.abs(x - start) > 6) {
        this.dragged = [Math.min(x, start), Math.max(x, start)];
        this.draw();
      } else if (this.options.hovered) {
        this.options.hovered(this.fromX(x));
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (start === null || !this.fromX) return;
      if (this.dragged) this.zoom = this.dragged.map(this.fromX);
      else if (this.options.picked) this.options.picked(this.fromX(pixel(event)));
      start = this.dragged = null;
      this.draw();
    });
    const end = () => {
      start = this.dragged = null;
      if (this.options.hovered) this.options.hovered(null);
      this.draw();
    };
    canvas.addEventListener("pointerleave", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("dblclick", () => this.unzoom());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  unzoom() {
    this.zoom = null;
    this.draw();
  }

  key(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 };
    if (event.key === "Escape") return this.unzoom();
    if (!(event.key in moves) || !this.options.stops || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const stops = this.options.stops();
    const now = this.cursor === null ? 0 : nearest(stops, this.cursor);
    this.options.picked(stops[Math.max(0, Math.min(stops.length - 1, now + moves[event.key]))]);
  }
}

// Returns the index of the nearest number in an ascending array; -1 for an empty one.
function nearest(values, x) {
  let low = 0, high = values.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle;
    else high = middle;
  }
  return high >= 0 && Math.abs(values[high] - x) < Math.abs(values[low] - x) ? high : low <= high ? low : -1;
}

// Returns the powers of ten in a range, or round numbers if there are fewer than two.
function powersOfTen(low, high) {
  const places = [];
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first) / 6));
  for (let power = first; power <= last; power += every) places.push(10 ** power);
  return places.length > 1 ? places : ticks(low, high, 4).filter((place) => place > 0);
}
