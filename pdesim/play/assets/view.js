"use strict";

const element = (id) => document.getElementById(id);
const shown = (value) => (Number.isFinite(value) ? Number(value.toPrecision(4)).toString() : "-");

// The page: controls, the loop over pictures, and the time step.
class Page {
  constructor(data, initial) {
    this.data = data;
    this.canvas = element("picture");
    const curve = data.dimensions === 1;
    const computing = curve ? document.createElement("canvas") : this.canvas;
    this.engine = new Engine(computing, data, initial);
    this.picture = curve ? new Curve(this.engine, this.canvas)
      : new ColourPicture(this.engine, this.canvas);
    this.stability = new StabilityLimit(data.limit, data.stepper);
    this.field = data.shown;
    this.limits = data.limits ? [...data.limits] : [0, 1];
    this.fixed = Boolean(data.limits);
    this.stepsPerPicture = data.stepsPerPicture;
    this.playing = false;
    this.brushPlace = [0.5, 0.5];
    this.checked = -Infinity;
    this.checkTime = 0;
    this.slow = 1;
    this.firstRate = this.stability.reaction(this.engine.parameters, this.cells());
    this.controls();
    const aspect = curve ? 2 : data.extent[0] / data.extent[1];
    document.querySelector(".frame").style.setProperty("--aspect", aspect);
    if (curve) {
      document.querySelector(".scale").classList.add("curve");
      element("map-row").hidden = element("value-row").hidden = element("bar").hidden = true;
    }
    this.updateStep();
    this.measure();
    element("value").value = shown(this.limits[1]);
    this.draw();
    this.showCommand();
    computing.addEventListener("webglcontextlost", () => {
      this.play(false);
      this.say("The browser has stopped the graphics program. Load the page again.");
    });
    requestAnimationFrame((now) => this.frame(now));
  }

  controls() {
    const { data } = this;
    data.parameters.forEach(([name, value], index) => this.addParameter(name, value, index));
    element("parameters").hidden = data.parameters.length === 0;
    data.fields.forEach((name, index) => {
      const label = data.labels[index];
      element("field").add(new Option(label ? `${name} (${label})` : name, index));
    });
    element("field").value = this.field;
    element("field").onchange = (event) => {
      this.field = Number(event.target.value);
      this.measure();
      element("value").value = shown(this.limits[1]);
      this.draw();
    };
    for (const name of Object.keys(data.colormaps)) element("map").add(new Option(name, name));
    element("map").onchange = () => this.useMap();
    this.useMap();
    element("limits-kind").value = this.fixed ? "fixed" : "auto";
    element("limits-kind").onchange = (event) => this.useLimits(event.target.value === "fixed");
    this.useLimits(this.fixed);
    for (const id of ["limit-low", "limit-high"]) element(id).onchange = () => this.readLimits();
    element("speed").value = this.stepsPerPicture;
    element("speed").onchange = (event) => {
      const value = Math.round(Number(event.target.value));
      this.stepsPerPicture = Math.min(1000, Math.max(1, value || 1));
      event.target.value = this.stepsPerPicture;
      this.slow = 1;
    };
    element("play").onclick = () => this.play(!this.playing);
    element("step").onclick = () => this.advance(1);
    element("reset").onclick = () => this.reset();
    element("copy").onclick = () => this.copy();
    document.addEventListener("keydown", (event) => this.key(event));
    this.painting();
  }

  addParameter(name, value, index) {
    const row = document.createElement("div"), label = document.createElement("span");
    const slider = document.createElement("input"), number = document.createElement("input");
    row.className = "parameter";
    label.textContent = name;
    Object.assign(slider, { type: "range", step: "any" });
    slider.min = value > 0 ? 0 : value < 0 ? 3 * value : -1;
    slider.max = value > 0 ? 3 * value : value < 0 ? 0 : 1;
    slider.value = value;
    slider.setAttribute("aria-label", name);
    Object.assign(number, { type: "number", step: "any", value });
    number.setAttribute("aria-label", `${name}, as a number`);
    slider.oninput = () => this.set(name, Number(Number(slider.value).toPrecision(4)), slider);
    number.onchange = () => {
      const given = Number(number.value);
      this.set(name, number.value !== "" && Number.isFinite(given) ? given : value);
    };
    row.append(label, slider, number);
    element("parameters").append(row);
    (this.rows ??= []).push({ row, slider, number, index });
  }

  // Sets a parameter, and the time step that is stable with it.
  set(name, value, source) {
    const index = this.data.parameters.findIndex(([known]) => known === name);
    if (index < 0 || !Number.isFinite(value)) throw new RangeError(`${name} cannot be ${value}`);
    const { row, slider, number } = this.rows[index];
    this.engine.parameters[index] = value;
    if (source !== slider) slider.value = value;
    number.value = value;
    row.classList.toggle("changed", value !== this.data.parameters[index][1]);
    this.updateStep();
    this.showCommand();
    this.showStatus();
  }

  useMap() {
    const pairs = this.data.colormaps[element("map").value].match(/../g);
    const colors = Uint8Array.from(pairs, (pair) => parseInt(pair, 16));
    this.picture.use(colors);
    const bar = element("bar").getContext("2d"), pixels = bar.createImageData(256, 1);
    for (let n = 0; n < 256; n++) pixels.data.set([...colors.subarray(3 * n, 3 * n + 3), 255], 4 * n);
    bar.putImageData(pixels, 0, 0);
    if (this.measured) this.draw();
  }

  useLimits(fixed) {
    this.fixed = fixed;
    element("limits-row").hidden = !fixed;
    element("limit-low").value = shown(this.limits[0]);
    element("limit-high").value = shown(this.limits[1]);
    if (!fixed && this.measured) this.measure();
    if (this.measured) this.draw();
  }

  readLimits() {
    const low = Number(element("limit-low").value), high = Number(element("limit-high").value);
    if (low < high) this.limits = [low, high];
    else this.say("The lower limit must be below the upper limit.");
    this.draw();
  }

  // Reads the state back: automatic limits, and whether the solution is finite.
  measure() {
    const values = this.engine.values(), count = this.data.fields.length;
    let low = Infinity, high = -Infinity, finite = true;
    for (let n = 0; n < values.length; n += 4) {
      for (let k = 0; k < count; k++) finite &&= Number.isFinite(values[n + k]);
      const value = values[n + this.field];
      if (value < low) low = value;
      if (value > high) high = value;
    }
    this.measured = values;
    if (!finite) {
      this.play(false);
      this.say("The solution is not finite any more. Reset it, or change a parameter.");
    } else if (!this.fixed) {
      const least = 1e-6 * Math.max(Math.abs(low), Math.abs(high), 1e-30);
      this.limits = high - low > least ? [low, high] : [low - 0.5 * (least + 1e-3), high + 0.5 * (least + 1e-3)];
    }
    return finite;
  }

  // Values of the names in the Jacobian in cells of the current state.
  cells() {
    const { names, cells } = this.data.limit, { engine, data } = this;
    if (names.length === 0) return [[]];
    const values = this.measured ?? engine.values(), count = engine.nx * engine.ny, chosen = new Set();
    for (let n = 0; n < 12; n++) chosen.add(Math.floor(n * count / 12));
    data.fields.forEach((_, k) => {
      let low = 0, high = 0;
      for (let n = 0; n < count; n++) {
        if (values[4 * n + k] < values[4 * low + k]) low = n;
        if (values[4 * n + k] > values[4 * high + k]) high = n;
      }
      chosen.add(low).add(high);
    });
    const current = [...chosen].map((cell, n) => {
      const place = [cell % engine.nx, Math.floor(cell / engine.nx)];
      const x = data.axes.map((_, a) => data.origin[a] + (place[a] + 0.5) * data.extent[a] / data.points[a]);
      const middle = data.axes.map((_, a) => data.origin[a] + 0.5 * data.extent[a]);
      return names.map((name, column) => {
        const field = data.fields.indexOf(name), axis = data.axes.indexOf(name);
        if (field >= 0) return values[4 * cell + field];
        if (axis >= 0) return x[axis];
        if (name === "r") return Math.hypot(...x.map((v, a) => v - middle[a]));
        if (name === "t") return engine.time;
        if (name.startsWith("L")) return data.extent[data.axes.indexOf(name.slice(1))];
        return cells[n % cells.length][column];
      });
    });
    return engine.steps === 0 ? [...cells, ...current] : current;
  }

  // The configured time step, or less where parameters or the state require it.
  updateStep() {
    const { engine, stability } = this, { dt, safety, longest } = this.data.stepper;
    const cells = this.cells();
    const limit = stability.largest(engine.parameters, cells, 1e3 * longest);
    const rate = stability.reaction(engine.parameters, cells);
    this.limit = limit;
    const accurate = rate > 0 ? Math.max(0.5, dt * this.firstRate) / rate : Infinity;
    // limits from the few samples of a page differ by some percent, within the margin of safety
    const stable = safety * limit >= 0.95 * dt ? dt : safety * limit;
    const next = Math.min(dt, stable, accurate);
    if (next > 0) engine.dt = next;
    else this.say(`${this.data.stepper.name} has no stable time step for these parameters.`);
  }

  advance(count) {
    this.engine.step(count);
    if (this.measure()) this.updateStep();
    this.draw();
  }

  play(on) {
    this.playing = on;
    element("play").textContent = on ? "Pause" : "Play";
    if (on) this.say("");
  }

  // Restores the initial state; parameters keep their values.
  reset() {
    this.engine.reset();
    this.say("");
    this.measure();
    this.updateStep();
    this.draw();
  }

  frame(now) {
    requestAnimationFrame((later) => this.frame(later));
    if (this.playing) {
      // a slow device takes fewer steps per picture, so that the page still responds
      const late = now - (this.previous ?? now);
      this.slow = late > 80 ? Math.max(0.02, 0.7 * this.slow) : Math.min(1, 1.05 * this.slow);
      this.engine.step(Math.max(1, Math.round(this.slow * this.stepsPerPicture)));
      this.check(now);
      this.draw();
    }
    this.previous = now;
  }

  // Reads the state back and adapts the time step, which may take a tenth of the time.
  check(now) {
    if (now - this.checked < 10 * this.checkTime) return;
    const begin = performance.now();
    if (this.measure()) this.updateStep();
    this.checked = now;
    this.checkTime = performance.now() - begin;
  }

  draw() {
    this.picture.draw(this.field, this.limits, this.measured);
    const curve = this.data.dimensions === 1;
    element("low").textContent = (curve ? "lowest: " : "") + shown(this.limits[0]);
    element("high").textContent = (curve ? "highest: " : "") + shown(this.limits[1]);
    this.showStatus();
  }

  showStatus() {
    const { engine, data } = this, { name, dt } = data.stepper;
    const less = engine.dt < dt ? ` (configured: ${shown(dt)})` : "";
    element("status").textContent =
      `t = ${shown(engine.time)}, ${engine.steps} steps of ${name}, dt = ${shown(engine.dt)}${less}`;
  }

  say(text) {
    element("message").textContent = text;
    element("message").hidden = text === "";
  }

  command() {
    const changed = this.data.parameters
      .map(([name, value], n) => [`equation.${name}`, value, this.engine.parameters[n]])
      .filter(([, before, now]) => before !== now);
    const keys = new Set(changed.map(([key]) => key));
    const words = this.data.command.filter(([key]) => !keys.has(key.replace(/^\+*/, "")));
    const kept = words.map(([, word]) => word);
    if (kept.length === 0) kept.push(`equation=${this.data.name}`);
    return ["pdesim", ...kept, ...changed.map(([key, , now]) => `${key}=${now}`)].join(" ");
  }

  showCommand() {
    element("command").textContent = this.command();
  }

  async copy() {
    const button = element("copy"), before = "Copy the command line";
    try {
      await navigator.clipboard.writeText(this.command());
      button.textContent = "Copied";
    } catch {
      // without permission for the clipboard: select the text for the user
      getSelection().selectAllChildren(element("command"));
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  key(event) {
    if (event.target === this.canvas && this.moveBrush(event)) return;
    const typing = /^(INPUT|SELECT|BUTTON|TEXTAREA)$/.test(event.target.tagName);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      " ": () => this.play(!this.playing), ".": () => this.advance(1), r: () => this.reset(),
    }[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  }

  moveBrush(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (!move && event.key !== "Enter") return false;
    event.preventDefault();
    if (move) {
      this.brushPlace = this.brushPlace.map((v, a) => Math.min(1, Math.max(0, v + 0.02 * move[a])));
    } else this.paint(...this.brushPlace);
    const mark = element("brush-mark");
    mark.hidden = false;
    mark.style.left = `${100 * this.brushPlace[0]}%`;
    mark.style.top = `${100 * (1 - this.brushPlace[1])}%`;
    return true;
  }

  painting() {
    const { canvas } = this;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
    };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = place(event);
      this.paint(...this.last);
    };
    canvas.onpointermove = (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const next = place(event), [x, y] = this.last;
      // discs along the way, so that a fast stroke has no gaps
      for (let n = 1; n <= 8; n++) this.paint(x + (next[0] - x) * n / 8, y + (next[1] - y) * n / 8);
      this.last = next;
    };
    canvas.addEventListener("blur", () => { element("brush-mark").hidden = true; });
  }

  paint(x, y) {
    const [low, high] = this.limits, radius = Number(element("radius").value) * this.data.extent[0];
    let value = Number(element("value").value);
    // on a curve, the height of the pointer is the value
    if (this.data.dimensions === 1) value = low + (y - MARGIN) / (1 - 2 * MARGIN) * (high - low);
    if (!Number.isFinite(value)) return;
    this.engine.paint(this.field, x, y, radius, value);
    if (!this.playing) {
      const kept = this.limits;
      this.measure();
      if (this.data.dimensions === 1) this.limits = kept;
      this.draw();
    }
  }
}
