"use strict";

// One episode: its numbers, its videos, its plots. What the page shows is in `view`. Time is in seconds since
// the start of an episode, so that episodes of different rates can be compared; a step is one record in it.

const dataset = JSON.parse(document.getElementById("dataset").textContent);
const entries = new Map(dataset.episodes.map((entry) => [entry.name, entry]));
const MIN_SPAN = 0.1; // of a plot's axis, so that noise on a resting joint looks as small as it is
const view = { names: [], time: 0, playing: false, speed: 1, outcome: "all", case: "", text: "" };
let panes = [];

const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// --- the numbers of an episode, in a script of their own

const arrivals = new Map(); // by episode: what is called with its numbers
const numbers = new Map(); // by episode: a promise of them

function loaded(name, data) { // what those scripts call
  arrivals.get(name)(data);
}

function load(name) {
  if (!numbers.has(name)) {
    numbers.set(name, new Promise((resolve, reject) => {
      arrivals.set(name, resolve);
      const file = `${name}.js`;
      const onerror = () => {
        numbers.delete(name);
        reject(new Error(`${file} is missing beside this page; write the page once more`));
      };
      document.head.append(make("script", { src: encodeURIComponent(file), onerror }));
    }));
  }
  return numbers.get(name);
}

// --- drawing

function canvasOf(area) { // its context, in CSS pixels, and its size
  const canvas = area.querySelector("canvas");
  const [width, height, scale] = [area.clientWidth, area.clientHeight, window.devicePixelRatio || 1];
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.font = "10px system-ui, sans-serif";
  return [context, width, height];
}

function drawLine(context, values, x, y, stroke, dash = []) {
  context.beginPath();
  values.forEach((value, step) => context.lineTo(x(step), y(value)));
  context.strokeStyle = stroke;
  context.lineWidth = 1.5;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function tickSpacing(span, room) { // s; the smallest nice one that leaves so many pixels to each
  const least = span / Math.max(1, room / 70);
  return [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((s) => s >= least) || 1800;
}

function across(area, time) { // px from the left edge; values are labelled in a gutter there
  return area.gutter + time / span() * (area.clientWidth - area.gutter);
}

function drawSeconds(context, area, labels) {
  const { clientWidth: width, clientHeight: height } = area;
  const every = tickSpacing(span(), width - area.gutter);
  context.lineWidth = 1;
  context.fillStyle = color("soft");
  for (let i = 0; i * every <= span(); i++) {
    const x = Math.round(across(area, i * every)) + 0.5;
    context.strokeStyle = color("line");
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height - (labels ? 14 : 0));
    context.stroke();
    if (labels && x < width - 24) context.fillText(`${+(i * every).toFixed(1)} s`, x + 3, height - 3);
  }
}

function write(context, text, right, y) { // ends at `right`
  context.fillStyle = color("soft");
  context.textAlign = "right";
  context.fillText(text, right, y);
  context.textAlign = "left";
}

function rangeOf(all, unit) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of all) for (const value of values || []) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (unit.startsWith("0 closed")) [low, high] = [Math.min(low, 0), Math.max(high, 1)];
  const middle = (low + high) / 2;
  const half = 0.56 * Math.max(high - low, MIN_SPAN);
  return [middle - half, middle + half];
}

// --- one episode

class Pane {
  constructor(entry, data) {
    Object.assign(this, { entry, data, step: 0, cursors: [], readings: [] });
    this.duration = entry.steps / entry.fps;
    this.cameras = make("div", { className: "cameras" }, ...entry.cameras.map((camera) => this.camera(camera)));
    this.timeline = this.area("timeline");
    this.timeline.classList.toggle("staged", data.reward !== null);
    this.plots = make("div", { className: "plots" });
    const groups = new Map();
    data.series.forEach((series) => {
      if (!groups.has(series.group)) {
        groups.set(series.group, make("div"));
        this.plots.append(make("section", { className: "group" },
          make("h3", { textContent: series.group }), groups.get(series.group)));
      }
      groups.get(series.group).append(this.plot(series));
    });
    this.root = make("section", { className: "pane" }, this.title(), this.cameras, this.timeline, this.plots);
    this.videos = [...this.root.querySelectorAll("video")];
    this.plots.addEventListener("scroll", () => { // the same joints side by side
      for (const pane of panes) if (pane !== this) pane.plots.scrollTop = this.plots.scrollTop;
    });
  }

  release() { // browsers play so many videos at once, and no more
    for (const video of this.videos) {
      video.removeAttribute("src");
      video.load();
    }
  }

  title() {
    const { entry } = this;
    const outcome = outcomeOf(entry);
    const facts = [`${entry.steps} steps, ${this.duration.toFixed(1)} s at ${entry.fps} fps`, entry.task, entry.case, ...entry.facts];
    const line = facts.filter(Boolean).join(" · ");
    return make("div", { className: "title" }, make("h2", { textContent: entry.name }),
      make("span", { className: outcome, textContent: outcome === "unknown" ? "" : outcome }),
      make("span", { className: "facts", textContent: line, title: line }), make("span", { className: "stage" }));
  }

  camera(camera) {
    const aspect = camera.width / camera.height;
    const video = make("video", { muted: true, playsInline: true, preload: "auto", src: encodeURIComponent(camera.video) });
    const caption = make("figcaption", { textContent: camera.name });
    const figure = make("figure", { title: "Click: this camera alone, or all again" }, video, caption);
    figure.style.flex = `${aspect} 1 0`;
    figure.style.maxWidth = `calc(var(--tall, 40vh) * ${aspect})`;
    video.style.aspectRatio = `${camera.width} / ${camera.height}`;
    video.addEventListener("seeked", () => this.settle(video));
    video.addEventListener("error", () => {
      figure.className = "missing";
      caption.textContent = `${camera.video} is missing or cannot be played`;
    });
    figure.addEventListener("click", () => {
      figure.classList.toggle("chosen", this.cameras.classList.toggle("alone"));
      draw();
    });
    return figure;
  }

  area(kind) { // a canvas under a cursor, in which one can click and drag
    const cursor = make("div", { className: "cursor" });
    const area = make("div", { className: `area ${kind}`, gutter: 36 }, make("canvas"), cursor);
    const jump = (event) => {
      const x = event.clientX - area.getBoundingClientRect().left - area.gutter;
      seek(x / (area.clientWidth - area.gutter) * span());
    };
    area.addEventListener("pointerdown", (event) => {
      area.setPointerCapture(event.pointerId);
      jump(event);
    });
    area.addEventListener("pointermove", (event) => event.buttons && jump(event));
    this.cursors.push(cursor);
    return area;
  }

  plot(series) {
    const state = make("span", { className: "state" });
    const command = make("span", { className: "command" });
    const area = this.area("");
    this.readings.push({ series, state, command, area });
    return make("figure", { className: "plot" },
      make("figcaption", {}, make("span", { className: "name", textContent: series.name, title: series.name }),
        state, command, make("span", { className: "unit", textContent: series.unit.startsWith("0 ") ? "" : series.unit, title: series.unit })),
      area);
  }

  draw(other) { // the other pane, if there is one: its state is drawn behind, on the same axes
    const { entry } = this;
    const counterparts = new Map((other ? other.data.series : []).map((s) => [`${s.group}/${s.name}`, s]));
    for (const { series, area } of this.readings) {
      const [context, , height] = canvasOf(area);
      const twin = counterparts.get(`${series.group}/${series.name}`) || {};
      const [low, high] = rangeOf([series.state, series.command, twin.state, twin.command], series.unit);
      const y = (value) => height - (value - low) / (high - low) * height;
      const x = (fps) => (step) => across(area, step / fps);
      drawSeconds(context, area, false);
      if (twin.state) drawLine(context, twin.state, x(other.entry.fps), y, color("other"));
      if (series.state) drawLine(context, series.state, x(entry.fps), y, color("state"));
      if (series.command) drawLine(context, series.command, x(entry.fps), y, color("command"), [4, 3]);
      write(context, high.toFixed(2), area.gutter - 4, 11);
      write(context, low.toFixed(2), area.gutter - 4, height - 4);
    }
    this.drawTimeline();
    this.place();
  }

  drawTimeline() {
    const { entry, data } = this;
    const [context, , height] = canvasOf(this.timeline);
    const base = height - 16;
    const stages = (data.reward && dataset.tasks[entry.task]) || [];
    const labels = stages.map((label, i) => `${i + 1} ${label}`);
    this.timeline.gutter = Math.ceil(Math.max(0, ...labels.map((label) => context.measureText(label).width + 6)));
    const top = Math.max(stages.length, 1, ...(data.reward || []));
    const x = (step) => across(this.timeline, step / entry.fps);
    const y = (reward) => base - reward / top * (base - 12);
    drawSeconds(context, this.timeline, true);
    if (data.reward) {
      context.beginPath();
      context.moveTo(x(0), base);
      data.reward.forEach((reward, step) => {
        context.lineTo(x(step), y(reward));
        context.lineTo(x(step + 1), y(reward));
      });
      context.lineTo(x(entry.steps), base);
      context.fillStyle = color("fill");
      context.fill();
      context.strokeStyle = color("state");
      context.lineWidth = 1;
      context.stroke();
      labels.forEach((label, i) => write(context, label, this.timeline.gutter - 6, y(i + 1) + 4));
    }
    context.strokeStyle = color("line");
    context.beginPath();
    context.moveTo(x(0), base + 0.5);
    context.lineTo(x(entry.steps), base + 0.5);
    context.stroke();
  }

  place() { // cursors and readings at the present step
    const { entry, data, step } = this;
    for (const cursor of this.cursors) {
      cursor.style.transform = `translateX(${across(cursor.parentElement, step / entry.fps)}px)`;
    }
    for (const { series, state, command } of this.readings) {
      state.textContent = series.state ? series.state[step].toFixed(3) : "";
      command.textContent = series.command ? series.command[step].toFixed(3) : "";
    }
    if (data.reward) {
      const label = (dataset.tasks[entry.task] || [])[data.reward[step] - 1];
      this.root.querySelector(".stage").textContent = `reward ${data.reward[step]}${label ? `: ${label}` : ""}`;
    }
  }

  at(time) { // go to a time, or to the last step before it
    this.step = stepAt(this.entry, time);
    this.place();
  }

  settle(video) { // bring a video that stands still to the present step; once it is there, to a later one
    if (view.playing || video.seeking) return;
    const target = (this.step + 0.5) / this.entry.fps; // in the middle of the frame: rounding cannot miss it
    if (Math.abs(video.currentTime - target) > 1e-3) video.currentTime = target;
  }
}

function stepAt(entry, time) {
  return Math.max(0, Math.min(entry.steps - 1, Math.floor(time * entry.fps + 1e-6)));
}

function outcomeOf(entry) {
  return entry.success === null ? "unknown" : entry.success ? "success" : "failure";
}
