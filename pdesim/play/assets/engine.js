"use strict";

const VERTEX = `#version 300 es
in vec2 corner;
void main() {
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

// Moves the values of one field towards a value within a disc with a smooth rim.
const BRUSH = `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D state;
uniform vec2 points, extent, centre;
uniform float radius, value;
uniform vec4 chosen;
uniform bvec2 periodic;
out vec4 result;
void main() {
  vec2 apart = abs(gl_FragCoord.xy / points - centre);
  if (periodic.x) apart.x = min(apart.x, 1.0 - apart.x);
  if (periodic.y) apart.y = min(apart.y, 1.0 - apart.y);
  if (points.y < 2.0) apart.y = 0.0;
  float share = 1.0 - smoothstep(0.6 * radius, radius, length(apart * extent));
  vec4 old = texelFetch(state, ivec2(gl_FragCoord.xy), 0);
  result = mix(old, vec4(value), share * chosen);
}`;

function program(gl, fragment) {
  const result = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
      throw new Error(`The program was not compiled: ${gl.getShaderInfoLog(shader)}`);
    }
    gl.attachShader(result, shader);
  }
  gl.bindAttribLocation(result, 0, "corner");
  gl.linkProgram(result);
  if (!gl.getProgramParameter(result, gl.LINK_STATUS)) {
    throw new Error(`The program was not linked: ${gl.getProgramInfoLog(result)}`);
  }
  const uniforms = {};
  const count = gl.getProgramParameter(result, gl.ACTIVE_UNIFORMS);
  for (let n = 0; n < count; n++) {
    const { name } = gl.getActiveUniform(result, n);
    uniforms[name.replace("[0]", "")] = gl.getUniformLocation(result, name);
  }
  return { handle: result, uniforms };
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

async function unpacked(text) {
  const stream = new Blob([bytesOf(text)]).stream();
  const inflated = stream.pipeThrough(new DecompressionStream("deflate"));
  return new Float32Array(await new Response(inflated).arrayBuffer());
}

// The state in textures of four float32 values per cell, and the steps that advance it.
class Engine {
  constructor(canvas, data, initial) {
    const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("This browser does not support WebGL2, which computes the equation.");
    if (!gl.getExtension("EXT_color_buffer_float")) {
      throw new Error("This graphics device cannot compute with float32 (EXT_color_buffer_float).");
    }
    this.gl = gl;
    this.data = data;
    [this.nx, this.ny] = data.points;
    this.initial = initial;
    this.stage = program(gl, data.shader);
    this.brush = program(gl, BRUSH);
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    this.textures = Array.from({ length: data.stepper.factors.length + 1 }, () => this.texture());
    this.parameters = data.parameters.map(([, value]) => value);
    this.dt = data.stepper.dt;
    this.reset();
  }

  texture() {
    const { gl } = this, texture = gl.createTexture(), buffer = gl.createFramebuffer();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, this.nx, this.ny);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, buffer);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) {
      throw new Error("This graphics device cannot draw into textures of float32.");
    }
    return { texture, buffer };
  }

  reset() {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.textures[0].texture);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, this.nx, this.ny, gl.RGBA, gl.FLOAT, this.initial);
    this.time = this.data.time;
    this.steps = 0;
  }

  bind(unit, texture) {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit);
    this.gl.bindTexture(this.gl.TEXTURE_2D, texture);
    return unit;
  }

  draw(target) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.buffer);
    gl.viewport(0, 0, this.nx, this.ny);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  step(count) {
    const { gl } = this, { weights, factors, times } = this.data.stepper;
    const { handle, uniforms } = this.stage;
    gl.useProgram(handle);
    this.parameters.forEach((value, n) => {
      if (uniforms[`p${n}`]) gl.uniform1f(uniforms[`p${n}`], value);
    });
    gl.uniform1i(uniforms.state, 4);
    gl.uniform1iv(uniforms.earlier, [0, 1, 2, 3]);
    for (let n = 0; n < count; n++) {
      factors.forEach((factor, number) => {
        const target = this.textures[number + 1];
        for (let unit = 0; unit < 4; unit++) {
          // units without an earlier stage must not refer to the texture that is drawn
          this.bind(unit, this.textures[Math.min(unit, number)].texture);
        }
        this.bind(4, this.textures[number].texture);
        gl.uniform4fv(uniforms.weights, [0, 1, 2, 3].map((m) => weights[number][m] ?? 0));
        gl.uniform1f(uniforms.duration, factor * this.dt);
        if (uniforms.t) gl.uniform1f(uniforms.t, this.time + times[number] * this.dt);
        this.draw(target);
      });
      this.textures.unshift(this.textures.pop());
      this.time += this.dt;
      this.steps += 1;
    }
  }

  // Paints a disc into a field; x and y are fractions of the domain.
  paint(field, x, y, radius, value) {
    const { gl, data } = this, { handle, uniforms } = this.brush;
    const target = this.textures[this.textures.length - 1];
    gl.useProgram(handle);
    gl.uniform1i(uniforms.state, this.bind(0, this.textures[0].texture));
    gl.uniform2f(uniforms.points, this.nx, this.ny);
    gl.uniform2f(uniforms.extent, data.extent[0], data.extent[1] ?? 1);
    gl.uniform2f(uniforms.centre, x, y);
    gl.uniform1f(uniforms.radius, radius);
    gl.uniform1f(uniforms.value, value);
    gl.uniform4fv(uniforms.chosen, [0, 1, 2, 3].map((n) => (n === field ? 1 : 0)));
    gl.uniform2iv(uniforms.periodic, [0, 1].map((axis) => (data.periodic[axis] ? 1 : 0)));
    this.draw(target);
    this.textures.unshift(this.textures.pop());
  }

  // All values, four for each cell.
  values() {
    const { gl } = this, result = new Float32Array(4 * this.nx * this.ny);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.textures[0].buffer);
    gl.readPixels(0, 0, this.nx, this.ny, gl.RGBA, gl.FLOAT, result);
    return result;
  }
}
