"use strict";

const COLOUR = `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D state, colors;
uniform vec2 points, size, limits;
uniform vec4 chosen;
uniform bvec2 periodic;
out vec4 result;

float cell(ivec2 p) {
  ivec2 n = ivec2(points);
  p.x = periodic.x ? (p.x + n.x) % n.x : clamp(p.x, 0, n.x - 1);
  p.y = periodic.y ? (p.y + n.y) % n.y : clamp(p.y, 0, n.y - 1);
  return dot(texelFetch(state, p, 0), chosen);
}

void main() {
  vec2 place = gl_FragCoord.xy / size * points - 0.5;
  ivec2 p = ivec2(floor(place));
  vec2 share = place - floor(place);
  float value = mix(
    mix(cell(p), cell(p + ivec2(1, 0)), share.x),
    mix(cell(p + ivec2(0, 1)), cell(p + ivec2(1, 1)), share.x), share.y);
  float position = clamp((value - limits.x) / (limits.y - limits.x), 0.0, 1.0);
  bool known = !(isnan(value) || isinf(value));
  result = known ? texture(colors, vec2(position, 0.5)) : vec4(0.7, 0.7, 0.7, 1.0);
}`;

// A 2-D field in colours. `canvas` belongs to the engine.
class ColourPicture {
  constructor(engine, canvas) {
    const { gl } = engine;
    this.engine = engine;
    this.canvas = canvas;
    this.program = program(gl, COLOUR);
    this.colors = gl.createTexture();
    const cells = Math.max(engine.nx, engine.ny);
    const scale = Math.max(1, Math.ceil(640 / cells));
    const aspect = engine.data.extent[1] / engine.data.extent[0];
    canvas.width = engine.nx * scale;
    canvas.height = Math.max(1, Math.round(canvas.width * aspect));
    canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
  }

  use(colors) {
    const { gl } = this.engine, data = new Uint8Array(256 * 4).fill(255);
    for (let n = 0; n < 256; n++) data.set(colors.subarray(3 * n, 3 * n + 3), 4 * n);
    gl.activeTexture(gl.TEXTURE0 + 5);
    gl.bindTexture(gl.TEXTURE_2D, this.colors);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, data);
    for (const [name, value] of [
      [gl.TEXTURE_MIN_FILTER, gl.LINEAR], [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
    ]) gl.texParameteri(gl.TEXTURE_2D, name, value);
  }

  draw(field, limits) {
    const { engine, canvas } = this, { gl } = engine, { handle, uniforms } = this.program;
    gl.useProgram(handle);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.uniform1i(uniforms.state, engine.bind(0, engine.textures[0].texture));
    gl.uniform1i(uniforms.colors, engine.bind(5, this.colors));
    gl.uniform2f(uniforms.points, engine.nx, engine.ny);
    gl.uniform2f(uniforms.size, canvas.width, canvas.height);
    gl.uniform2f(uniforms.limits, limits[0], limits[1]);
    gl.uniform4fv(uniforms.chosen, [0, 1, 2, 3].map((n) => (n === field ? 1 : 0)));
    gl.uniform2iv(uniforms.periodic, [0, 1].map((a) => (engine.data.periodic[a] ? 1 : 0)));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}

// The margins above and below a curve, as a fraction of the height of the picture.
const MARGIN = 0.05;

// A 1-D field as a curve.
class Curve {
  constructor(engine, canvas) {
    this.engine = engine;
    this.canvas = canvas;
    canvas.style.aspectRatio = "2 / 1";
  }

  use() {}

  draw(field, [low, high], values) {
    const { canvas, engine } = this, context = canvas.getContext("2d");
    const ratio = window.devicePixelRatio, wide = Math.round(canvas.clientWidth * ratio);
    if (canvas.width !== wide) Object.assign(canvas, { width: wide, height: Math.round(wide / 2) });
    const style = getComputedStyle(canvas), { width, height } = canvas;
    const share = (value) => MARGIN + (value - low) / (high - low) * (1 - 2 * MARGIN);
    const y = (value) => height * (1 - share(value));
    context.clearRect(0, 0, width, height);
    context.lineWidth = ratio;
    if (low < 0 && high > 0) {
      context.strokeStyle = style.getPropertyValue("--line");
      context.beginPath();
      context.moveTo(0, y(0));
      context.lineTo(width, y(0));
      context.stroke();
    }
    context.lineWidth = 2 * ratio;
    context.lineJoin = "round";
    context.strokeStyle = style.getPropertyValue("--accent");
    context.beginPath();
    for (let n = 0; n < engine.nx; n++) {
      context.lineTo((n + 0.5) / engine.nx * width, y(values[4 * n + field]));
    }
    context.stroke();
  }
}
