"use strict";

// Functions for tests and the console of the browser: `await pdesim.ready` first.
async function start() {
  const data = JSON.parse(element("data").textContent);
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old: it has no DecompressionStream.");
  }
  const page = new Page(data, await unpacked(data.state));
  Object.assign(window.pdesim, {
    page,
    step: (count) => page.advance(count),
    play: (on) => page.play(on),
    set: (name, value) => page.set(name, value),
    reset: () => page.reset(),
    command: () => page.command(),
    limit: () => page.limit,
    field(name) {
      const index = data.fields.indexOf(name), values = page.engine.values();
      return Float32Array.from({ length: values.length / 4 }, (_, n) => values[4 * n + index]);
    },
  });
  Object.defineProperties(window.pdesim, {
    time: { get: () => page.engine.time },
    dt: { get: () => page.engine.dt },
  });
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches && !location.hash.includes("paused")) {
    page.play(true);
  } else page.play(false);
}

window.pdesim = {};
window.pdesim.ready = start().catch((error) => {
  const box = element("message");
  box.textContent = error.message;
  box.hidden = false;
  throw error;
});
