"use strict";
// Frames of a 2-D field, coloured on the GPU: a frame is a texture of 8-bit integers, and the
// shader turns them into values, fractions of the limits, and colours.

const VERTEX = `#version 300 es
in vec2 corner;
out vec2 place;
void main() {
  place = 0.5 * (corner + 1.0);
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp usampler2D;
uniform usampler2D frame;
uniform sampler2D colors;
uniform float factor, offset; // integer -> fraction of the limits
uniform uint missing;
uniform vec3 missingColor;
in vec2 place;
out vec4 color;
void main() {
  ivec2 size = textureSize(frame, 0);
  ivec2 cell = min(ivec2(place * vec2(size)), size - 1);
  uint code = texelFetch(frame, cell, 0).r;
  float fraction = float(code) * factor + offset;
  int index = int(clamp(floor(fraction * 256.0), 0.0, 255.0));
  vec3 rgb = texelFetch(colors, ivec2(index, 0), 0).rgb;
  color = vec4(code == missing ? missingColor : rgb, 1.0);
}`;

class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    // the drawing buffer is kept, so that the picture can be saved and tested
    this.gl = canvas.getContext("webgl2", { preserveDrawingBuffer: true, antialias: false });
    if (!this.gl) {
      this.context = canvas.getContext("2d");
      return;
    }
    this.start();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.start();
      if (this.last) this.draw(...this.last);
    });
  }

  start() {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, "corner");
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1); // rows of any length
    ["frame", "colors"].forEach((name, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
      for (const side of ["MIN", "MAG"]) gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${side}_FILTER`], gl.NEAREST);
      for (const axis of ["S", "T"]) gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_WRAP_${axis}`], gl.CLAMP_TO_EDGE);
      gl.uniform1i(gl.getUniformLocation(program, name), unit);
    });
    this.place = (name) => gl.getUniformLocation(program, name);
  }

  // Draws a frame with `colors` (256 colours) between the limits `low` and `high`.
  draw(layer, codes, frame, colors, low, high) {
    this.last = [layer, codes, frame, colors, low, high];
    if (!this.gl) {
      this.canvas.width = layer.columns;
      this.canvas.height = layer.rows;
      paintCells(this.context, layer, codes, frame, colors, low, high);
      return;
    }
    const gl = this.gl, size = layer.rows * layer.columns;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.activeTexture(gl.TEXTURE0);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8UI, layer.columns, layer.rows, 0, gl.RED_INTEGER,
      gl.UNSIGNED_BYTE, codes.subarray(frame * size, (frame + 1) * size));
    gl.activeTexture(gl.TEXTURE1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, colors);
    // the factors are computed in double precision, where values with a large mean keep their digits
    gl.uniform1f(this.place("factor"), stepOf(layer, frame) / (high - low));
    gl.uniform1f(this.place("offset"), (layer.lows[frame] - low) / (high - low));
    gl.uniform1ui(this.place("missing"), levelsOf(layer) + 1);
    gl.uniform3f(this.place("missingColor"), ...MISSING.map((part) => part / 255));
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }
}
