"use strict";
// A map of tiles: the last frame of each run, placed by the values of one or two settings.

const TILE_GAP = 6, TILE_LEFT = 64, TILE_BOTTOM = 44;

class TileMap {
  // `picked(run)` is called when a tile is selected.
  constructor(canvas, picked) {
    Object.assign(this, { canvas, picked, places: new Map(), images: new Map(), selected: null });
    this.draw = oncePerFrame(() => this.paint());
    redrawOnChange(this.draw);
    canvas.addEventListener("click", (event) => this.click(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // `tiles` and `codes`: of every run, or null; `across`, `upwards`: texts of the settings of every
  // run, or null for no axis; `visible`: the numbers of the runs that are shown.
  show(content) {
    Object.assign(this, content);
    this.arrange();
    this.draw();
  }

  arrange() {
    const { across, upwards, visible } = this;
    this.plane = Boolean(across || upwards);
    if (this.plane) {
      this.columns = across ? distinct(visible.map((run) => across[run])) : [""];
      this.rows = upwards ? distinct(visible.map((run) => upwards[run])).reverse() : [""];
    } else {
      const most = Math.max(1, Math.ceil(Math.sqrt(visible.length * 1.5)));
      this.columns = Array(Math.min(most, visible.length) || 1).fill("");
      this.rows = Array(Math.max(1, Math.ceil(visible.length / this.columns.length))).fill("");
    }
    this.places = new Map(); // "column,row" -> runs
    visible.forEach((run, i) => {
      const column = this.plane ? (across ? this.columns.indexOf(across[run]) : 0) : i % this.columns.length;
      const row = this.plane ? (upwards ? this.rows.indexOf(upwards[run]) : 0) : Math.floor(i / this.columns.length);
      const key = `${column},${row}`;
      this.places.set(key, [...(this.places.get(key) || []), run]);
    });
  }

  // Width divided by height of a tile.
  aspect() {
    const tile = this.tiles.find((one) => one);
    if (!tile || tile.curve) return 1.6;
    return Math.max(0.2, Math.min(8, tile.lengths[0] / tile.lengths[1]));
  }

  paint() {
    if (!this.tiles) return;
    const left = this.upwards ? TILE_LEFT : 0, bottom = this.across ? TILE_BOTTOM : 0;
    const room = this.canvas.clientWidth - left;
    const count = [this.columns.length, this.rows.length];
    const aspect = this.aspect();
    const wide = Math.min(300 * Math.max(1, aspect), (room - TILE_GAP * count[0]) / count[0]);
    const width = Math.max(4, Math.min(wide, (window.innerHeight * 0.8 / count[1]) * aspect));
    const height = width / aspect;
    this.canvas.style.height = `${(height + TILE_GAP) * count[1] + bottom + 4}px`;
    const { context } = prepareCanvas(this.canvas);
    this.boxOf = (column, row) => ({
      x: left + column * (width + TILE_GAP) + 2, y: row * (height + TILE_GAP) + 2, width, height,
    });
    context.imageSmoothingEnabled = false;
    for (const [key, runs] of this.places) {
      const box = this.boxOf(...key.split(",").map(Number));
      const run = runs.includes(this.selected) ? this.selected : runs[0];
      this.paintTile(context, run, box);
      if (runs.length > 1) this.paintCount(context, `${runs.length} runs`, box);
      if (run === this.selected) {
        context.strokeStyle = styleColor("--accent");
        context.lineWidth = 3;
        context.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
      }
    }
    this.paintLabels(context, left);
  }

  paintTile(context, run, box) {
    const tile = this.tiles[run];
    if (!tile) {
      context.fillStyle = styleColor("--raised");
      context.fillRect(box.x, box.y, box.width, box.height);
      context.strokeStyle = styleColor("--line");
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(box.x, box.y);
      context.lineTo(box.x + box.width, box.y + box.height);
      context.moveTo(box.x + box.width, box.y);
      context.lineTo(box.x, box.y + box.height);
      context.stroke();
    } else if (tile.curve) {
      this.paintCurve(context, tile, this.codes[run], box);
    } else {
      const image = create("canvas", { width: tile.columns, height: tile.rows });
      const { colors, low, high } = this.look;
      paintCells(image.getContext("2d"), tile, this.codes[run], 0, colors, low, high);
      context.drawImage(image, box.x, box.y, box.width, box.height);
    }
  }

  paintCurve(context, tile, codes, box) {
    context.fillStyle = styleColor("--raised");
    context.fillRect(box.x, box.y, box.width, box.height);
    context.save();
    context.beginPath();
    context.rect(box.x, box.y, box.width, box.height);
    context.clip();
    context.strokeStyle = styleColor("--curve0");
    context.lineWidth = 1.4;
    context.beginPath();
    for (let i = 0; i < tile.columns; i++) {
      const fraction = (valueAt(tile, codes, 0, i) - this.look.low) / (this.look.high - this.look.low);
      if (!Number.isFinite(fraction)) continue;
      const y = box.y + box.height * (0.95 - 0.9 * fraction);
      context.lineTo(box.x + ((i + 0.5) / tile.columns) * box.width, Math.max(-1e5, Math.min(1e5, y)));
    }
    context.stroke();
    context.restore();
  }

  paintCount(context, text, box) {
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "bottom";
    context.lineWidth = 3;
    context.strokeStyle = "#000000b0";
    context.strokeText(text, box.x + box.width - 3, box.y + box.height - 2);
    context.fillStyle = "#ffffff";
    context.fillText(text, box.x + box.width - 3, box.y + box.height - 2);
  }

  paintLabels(context, left) {
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = styleColor("--soft");
    const first = this.boxOf(0, 0), end = this.boxOf(this.columns.length - 1, this.rows.length - 1);
    if (this.across) {
      context.textAlign = "center";
      context.textBaseline = "top";
      const widest = Math.max(...this.columns.map((text) => context.measureText(text).width)) + 8;
      const every = Math.max(1, Math.ceil(widest / (first.width + TILE_GAP)));
      this.columns.forEach((text, i) => {
        if (i % every === 0) context.fillText(text, this.boxOf(i, 0).x + first.width / 2, end.y + end.height + 5);
      });
      context.fillText(this.acrossName, (first.x + end.x + end.width) / 2, end.y + end.height + 22);
    }
    if (this.upwards) {
      context.textAlign = "right";
      context.textBaseline = "middle";
      this.rows.forEach((text, i) => context.fillText(text, left - 4, this.boxOf(0, i).y + first.height / 2, left - 22));
      context.save();
      context.translate(8, (first.y + end.y + end.height) / 2);
      context.rotate(-Math.PI / 2);
      context.textAlign = "center";
      context.fillText(this.upwardsName, 0, 0);
      context.restore();
    }
  }

  click(event) {
    const corner = this.canvas.getBoundingClientRect();
    const x = event.clientX - corner.left, y = event.clientY - corner.top;
    for (const [key, runs] of this.places) {
      const box = this.boxOf(...key.split(",").map(Number));
      if (x < box.x || y < box.y || x > box.x + box.width || y > box.y + box.height) continue;
      // further clicks select the other runs at this place
      this.picked(runs[(runs.indexOf(this.selected) + 1) % runs.length]);
    }
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!(event.key in moves) || !this.places.size || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const here = [...this.places].find(([, runs]) => runs.includes(this.selected));
    let [column, row] = here ? here[0].split(",").map(Number) : [-1, 0];
    if (!here) return this.picked(this.places.values().next().value[0]);
    const [dx, dy] = moves[event.key];
    do { // places without a run are skipped
      column += dx;
      row += dy;
      const runs = this.places.get(`${column},${row}`);
      if (runs) return this.picked(runs[0]);
    } while (column >= 0 && row >= 0 && column < this.columns.length && row < this.rows.length);
  }
}

// Returns the different texts: numbers ascending, others in the order of the runs.
function distinct(texts) {
  const found = [...new Set(texts)];
  return found.every((text) => text !== "" && Number.isFinite(Number(text))) ? found.sort((a, b) => a - b) : found;
}
