// The arm as a solid that moves with it: WebGL, forward kinematics from qpos, looked at from any side.

import { get } from "./api.js";
import { h, show } from "./dom.js";
import { t } from "./texts.js";

const VERTEX = `
attribute vec3 place; attribute vec3 normal; uniform mat4 link; uniform mat4 view; varying vec3 facing;
void main() { facing = mat3(link) * normal; gl_Position = view * link * vec4(place, 1.0); }`;
const FRAGMENT = `
precision mediump float; uniform vec3 color; uniform float flat_; varying vec3 facing;
void main() {
  vec3 n = normalize(facing);
  float light = 0.42 + 0.45 * max(dot(n, vec3(0.36, -0.48, 0.8)), 0.0) + 0.18 * max(dot(n, vec3(-0.8, 0.5, 0.33)), 0.0);
  gl_FragColor = vec4(color * mix(light, 1.0, flat_), 1.0);
}`;
const GROUND = 0.4, LINE = 0.1; // m: half of its side, between its lines
const LOOKS_AT = [-0.08, 0, 0.17], FAR = 1.15; // m
const STEP = 0.12; // rad of a key
const REST = 4; // times what a picture took

let asked = null;
const model = () => {
  asked ??= get("arm_model").catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
};

const decoded = (text, Kind) => new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

// Matrices of four columns, one after the other.
function times(a, b) {
  const product = new Float32Array(16);
  for (let column = 0; column < 4; column += 1) {
    for (let row = 0; row < 4; row += 1) {
      let sum = 0;
      for (let k = 0; k < 4; k += 1) sum += a[k * 4 + row] * b[column * 4 + k];
      product[column * 4 + row] = sum;
    }
  }
  return product;
}

function pose([x0, y0, z0], [w, x, y, z]) {
  return new Float32Array([
    1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y), 0,
    2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x), 0,
    2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y), 0, x0, y0, z0, 1]);
}

// Where each link is at qpos (7): matrices, parents first.
export function linkPoses({ links, opening }, qpos) {
  const poses = [];
  for (const link of links) {
    let here = pose(link.pos, link.quat);
    if (link.joint !== null) {
      const entry = qpos[link.joint];
      const angle = link.scale * (link.joint === 6 ? opening[0] + (opening[1] - opening[0]) * entry : entry);
      const s = Math.sin(angle / 2);
      here = times(here, pose([0, 0, 0], [Math.cos(angle / 2), ...link.axis.map((part) => s * part)]));
    }
    poses.push(link.parent < 0 ? here : times(poses[link.parent], here));
  }
  return poses;
}

export class Solid {
  constructor() {
    this.around = 2.4; // rad: where the eye is, and how high
    this.up = 0.42;
    this.rest = 0; // ms before the next picture
    this.pixel = new Uint8Array(4);
    this.canvas = h("canvas", {
      class: "solid", tabindex: "0", role: "img", "aria-label": t("the arm, drawn; arrow keys turn the view"),
      onkeydown: (event) => this.key(event), onpointerdown: (event) => this.grasp(event), onpointermove: (event) => this.drag(event),
      onpointerup: () => { this.from = null; }, onpointercancel: () => { this.from = null; },
    });
    this.words = h("p", { class: "soft", hidden: true }, t("this browser draws no solids; the numbers tell where the arm is"));
    this.element = h("figure", { class: "card drawn" }, this.canvas, this.words);
    this.seen = new ResizeObserver(() => this.draw());
    this.seen.observe(this.canvas);
    this.open();
  }

  async open() {
    const gl = this.canvas.getContext("webgl", { antialias: true });
    show(this.canvas, Boolean(gl));
    show(this.words, !gl);
    if (!gl) return;
    try {
      this.model = await model();
    } catch {
      return; // the frame says when nobody answers
    }
    this.gl = gl;
    this.prepare(gl);
    this.draw();
  }

  prepare(gl) {
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.place = gl.getAttribLocation(program, "place");
    this.normal = gl.getAttribLocation(program, "normal");
    this.uniforms = Object.fromEntries(["link", "view", "color", "flat_"].map((name) => [name, gl.getUniformLocation(program, name)]));
    const filled = (kind, values) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(kind, buffer);
      gl.bufferData(kind, values, gl.STATIC_DRAW);
      return buffer;
    };
    this.parts = this.model.links.flatMap((link, number) => link.parts.map((part) => {
      const faces = decoded(part.faces, Uint16Array);
      return {
        link: number, color: part.color, count: faces.length, faces: filled(gl.ELEMENT_ARRAY_BUFFER, faces),
        vertices: filled(gl.ARRAY_BUFFER, decoded(part.vertices, Float32Array)),
        normals: filled(gl.ARRAY_BUFFER, decoded(part.normals, Float32Array)),
      };
    }));
    const ends = [];
    for (let at = -GROUND; at <= GROUND + LINE / 2; at += LINE) ends.push(at, -GROUND, 0, at, GROUND, 0, -GROUND, at, 0, GROUND, at, 0);
    this.ground = { count: ends.length / 3, vertices: filled(gl.ARRAY_BUFFER, new Float32Array(ends)) };
    gl.enable(gl.DEPTH_TEST);
  }

  update(qpos) {
    const now = qpos?.map((value) => value.toFixed(4)).join();
    if (!qpos || now === this.last) return;
    this.last = now;
    this.qpos = qpos;
    this.draw();
  }

  // At the next moment in which the browser draws; one without a GPU, which takes long for it, rests in between.
  draw() {
    if (this.isAsked) return;
    this.isAsked = true;
    setTimeout(() => requestAnimationFrame(() => {
      this.isAsked = false;
      if (!this.gl || !this.canvas.isConnected) return;
      const began = performance.now();
      this.paint(this.gl);
      this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, this.pixel); // until it is drawn
      this.rest = REST * (performance.now() - began);
    }), this.rest);
  }

  view() {
    const { width, height } = this.canvas;
    const eye = [Math.cos(this.around) * Math.cos(this.up), Math.sin(this.around) * Math.cos(this.up), Math.sin(this.up)];
    const right = [-Math.sin(this.around), Math.cos(this.around), 0];
    const upward = [eye[1] * right[2] - eye[2] * right[1], eye[2] * right[0] - eye[0] * right[2], eye[0] * right[1] - eye[1] * right[0]];
    const along = (axis) => -(axis[0] * LOOKS_AT[0] + axis[1] * LOOKS_AT[1] + axis[2] * LOOKS_AT[2]);
    const look = new Float32Array([
      right[0], upward[0], eye[0], 0, right[1], upward[1], eye[1], 0, right[2], upward[2], eye[2], 0,
      along(right), along(upward), along(eye) - FAR, 1]);
    const [near, far, f] = [0.2, 4, 2];
    const lens = new Float32Array([f * height / width, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, 2 * far * near / (near - far), 0]);
    return times(lens, look);
  }

  paint(gl) {
    const scale = Math.min(window.devicePixelRatio, 2);
    const [width, height] = [this.canvas.clientWidth * scale, this.canvas.clientHeight * scale].map(Math.round);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(this.uniforms.view, false, this.view());
    this.paintGround(gl);
    if (!this.qpos) return;
    const poses = linkPoses(this.model, this.qpos);
    gl.uniform1f(this.uniforms.flat_, 0);
    gl.enableVertexAttribArray(this.normal);
    for (const part of this.parts) {
      gl.uniformMatrix4fv(this.uniforms.link, false, poses[part.link]);
      gl.uniform3fv(this.uniforms.color, part.color);
      this.use(gl, this.place, part.vertices);
      this.use(gl, this.normal, part.normals);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.faces);
      gl.drawElements(gl.TRIANGLES, part.count, gl.UNSIGNED_SHORT, 0);
    }
  }

  paintGround(gl) {
    const line = getComputedStyle(this.canvas).color.match(/[\d.]+/g).slice(0, 3).map((value) => value / 255);
    gl.uniformMatrix4fv(this.uniforms.link, false, pose([0, 0, 0], [1, 0, 0, 0]));
    gl.uniform3fv(this.uniforms.color, line);
    gl.uniform1f(this.uniforms.flat_, 1);
    gl.disableVertexAttribArray(this.normal);
    gl.vertexAttrib3f(this.normal, 0, 0, 1);
    this.use(gl, this.place, this.ground.vertices);
    gl.drawArrays(gl.LINES, 0, this.ground.count);
  }

  use(gl, attribute, buffer) {
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(attribute);
    gl.vertexAttribPointer(attribute, 3, gl.FLOAT, false, 0, 0);
  }

  turn(around, up) {
    this.around += around;
    this.up = Math.min(1.5, Math.max(-0.1, this.up + up));
    this.draw();
  }

  key(event) {
    const turns = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
    if (!(event.key in turns)) return;
    event.preventDefault();
    this.turn(...turns[event.key]);
  }

  grasp(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.from = [event.clientX, event.clientY];
  }

  drag(event) {
    if (!this.from) return;
    this.turn(-(event.clientX - this.from[0]) / 150, (event.clientY - this.from[1]) / 150);
    this.from = [event.clientX, event.clientY];
  }

  close() {
    this.seen.disconnect();
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
