"use strict";

// What a page shows is in `view`; `show` brings the page to it. Time is in seconds since the start of an
// episode, so that episodes of different rates can be compared; a step is what is recorded at once.

const dataset = JSON.parse(document.getElementById("dataset").textContent);
const entries = new Map(dataset.episodes.map((entry) => [entry.name, entry]));
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const MIN_SPAN = 0.1; // of a plot's axis, so that noise on a resting joint looks as small as it is
const view = { names: [], time: 0, playing: false, speed: 1, outcome: "all", text: "" };
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
    const facts = [`${entry.steps} steps, ${this.duration.toFixed(1)} s at ${entry.fps} fps`, entry.task, ...entry.facts];
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

// --- time

function span() { // s, of all plots
  return Math.max(...panes.map((pane) => pane.duration));
}

function seek(time) {
  const last = Math.max(...panes.map(({ entry }) => (entry.steps - 1) / entry.fps));
  view.time = Math.min(Math.max(time, 0), last);
  panes.forEach((pane) => pane.at(view.time));
  for (const pane of panes) {
    for (const video of pane.videos) {
      if (!view.playing) {
        pane.settle(video);
      } else {
        video.currentTime = Math.min(view.time, pane.duration);
        if (video.paused && view.time < pane.duration) start(video);
      }
    }
  }
  tell();
}

function start(video) {
  video.play().catch(() => {}); // one that is missing; its figure says so
}

function move(steps) { // by steps of the longest episode
  pause();
  const { entry } = longest();
  seek((stepAt(entry, view.time) + steps) / entry.fps);
}

function longest() {
  return panes.reduce((a, b) => (b.duration > a.duration ? b : a));
}

let before = 0; // ms, of the last frame that was drawn

function play() {
  if (!panes.length) return;
  const { entry } = longest();
  if (stepAt(entry, view.time) === entry.steps - 1) seek(0);
  view.playing = true;
  before = performance.now();
  for (const pane of panes) {
    for (const video of pane.videos) {
      video.playbackRate = view.speed;
      video.currentTime = Math.min(view.time, pane.duration);
      if (view.time < pane.duration) start(video);
    }
  }
  requestAnimationFrame(advance);
  tell();
}

function pause() {
  view.playing = false;
  panes.forEach((pane) => pane.videos.forEach((video) => video.pause()));
  if (!panes.length) return;
  const { entry } = longest();
  seek(stepAt(entry, view.time) / entry.fps);
}

function advance(now) { // the longest episode's first video leads; the others, and the cursors, follow
  if (!view.playing) return;
  const [leader] = longest().videos.filter((video) => !video.error);
  if (leader && !leader.ended) view.time = leader.currentTime;
  else view.time += (now - before) / 1000 * view.speed;
  before = now;
  for (const pane of panes) {
    pane.at(view.time);
    const late = Math.max(0.06, 1.5 / pane.entry.fps);
    for (const video of pane.videos) {
      if (video !== leader && !video.seeking && view.time < pane.duration
          && Math.abs(video.currentTime - view.time) > late) video.currentTime = view.time;
    }
  }
  if ((leader && leader.ended) || view.time >= span()) {
    view.time = span();
    pause();
    return;
  }
  tell();
  requestAnimationFrame(advance);
}

// --- what is shown

let order = 0; // of what was asked for; numbers that arrive late are not shown

async function show(names, time = 0) {
  const mine = ++order;
  const was = view.playing;
  pause();
  view.names = names;
  mark();
  const results = await Promise.allSettled(names.map(load));
  if (mine !== order) return;
  panes.forEach((pane) => pane.release());
  panes = results.flatMap(({ value }, i) => (value ? [new Pane(entries.get(names[i]), value)] : []));
  const problems = results.filter((result) => result.reason);
  $("panes").replaceChildren(...panes.map((pane) => pane.root),
    ...problems.map(({ reason }) => make("p", { className: "problem", textContent: reason.message })));
  $("other").hidden = panes.length < 2;
  $("compare").textContent = names.length > 1 ? "Show one" : "Compare";
  if (!panes.length) return;
  draw();
  seek(time);
  if (was) play();
}

function draw() {
  panes.forEach((pane, i) => pane.draw(panes[1 - i]));
}

function tell() { // the transport, and the address
  $("play").textContent = view.playing ? "Pause" : "Play";
  if (!panes.length) return;
  const { entry } = panes[0];
  const step = stepAt(entry, view.time);
  $("clock").textContent = `step ${step} / ${entry.steps - 1}, ${(step / entry.fps).toFixed(2)} s`;
  if (!view.playing) {
    const address = `#${view.names.map(encodeURIComponent).join("&")}@${+view.time.toFixed(4)}`;
    if (address !== location.hash) history.replaceState(null, "", address);
  }
}

function shown() { // entries that the filter lets through
  const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  return dataset.episodes.filter((entry) => (view.outcome === "all" || outcomeOf(entry) === view.outcome)
    && words.every((word) => `${entry.name} ${entry.task}`.toLowerCase().includes(word)));
}

function list() {
  const tasks = new Set(dataset.episodes.map((entry) => entry.task));
  $("episodes").replaceChildren(...shown().map((entry) => {
    const outcome = outcomeOf(entry);
    const row = make("button", { className: "row", title: `${entry.task || "unknown task"}: ${outcome}` },
      make("span", { className: `dot ${outcome}` }),
      make("span", { textContent: entry.name }),
      make("span", { className: "length", textContent: `${entry.steps} · ${(entry.steps / entry.fps).toFixed(1)} s` }));
    if (tasks.size > 1) row.append(make("span", { className: "task", textContent: entry.task || "unknown task" }));
    const beside = make("button", { className: "beside", textContent: "compare", title: "Show it beside the present one" });
    row.addEventListener("click", (event) => choose(entry.name, event.shiftKey));
    beside.addEventListener("click", () => choose(entry.name, true));
    const item = make("li", {}, row, beside);
    item.dataset.name = entry.name;
    return item;
  }));
  mark();
}

function mark() {
  for (const item of $("episodes").children) {
    item.classList.toggle("first", item.dataset.name === view.names[0]);
    item.classList.toggle("second", item.dataset.name === view.names[1]);
  }
  const first = $("episodes").querySelector(".first");
  if (first) first.scrollIntoView({ block: "nearest" });
}

function choose(name, asSecond) {
  const comparing = view.names.length > 1;
  if (asSecond) show([view.names[0], name], view.time);
  else show(comparing ? [name, view.names[1]] : [name], comparing ? view.time : 0);
}

function neighbour(by, second) { // the episode so many rows below
  const names = shown().map((entry) => entry.name);
  const at = names.indexOf(view.names[second ? 1 : 0]);
  const name = names[Math.min(Math.max(at + by, 0), names.length - 1)];
  if (name && name !== view.names[second ? 1 : 0]) choose(name, second);
}

function compare() {
  if (view.names.length > 1) show(view.names.slice(0, 1), view.time);
  else {
    const others = shown().filter((entry) => entry.name !== view.names[0]);
    const at = others.findIndex((entry) => dataset.episodes.indexOf(entry) > dataset.episodes.indexOf(entries.get(view.names[0])));
    const next = others[Math.max(at, 0)];
    if (next) show([view.names[0], next.name], view.time);
  }
}

function setSpeed(speed) {
  view.speed = speed;
  panes.forEach((pane) => pane.videos.forEach((video) => { video.playbackRate = speed; }));
  press("speeds", speed);
}

function press(id, value) {
  for (const button of $(id).children) button.setAttribute("aria-pressed", button.value === String(value));
}

function choices(id, values, label, then) {
  $(id).append(...values.map((value) => make("button", { value, textContent: label(value), onclick: () => then(value) })));
}

function onKey(event) {
  if ($("help").open || event.altKey || event.metaKey) return;
  if (event.target.matches("input")) {
    if (event.key === "Escape" || event.key === "Enter") event.target.blur();
    return;
  }
  const { entry } = longest();
  const stride = event.ctrlKey ? Math.round(entry.fps) : event.shiftKey ? 10 : 1;
  const faster = (by) => setSpeed(SPEEDS[Math.min(Math.max(SPEEDS.indexOf(view.speed) + by, 0), SPEEDS.length - 1)]);
  const keys = {
    " ": () => (view.playing ? pause() : play()),
    ArrowLeft: () => move(-stride),
    ArrowRight: () => move(stride),
    ArrowUp: () => neighbour(-1, event.shiftKey),
    ArrowDown: () => neighbour(1, event.shiftKey),
    Home: () => seek(0),
    End: () => seek(span()),
    c: compare,
    "-": () => faster(-1),
    "+": () => faster(1),
    "/": () => $("search").focus(),
    "?": () => $("help").showModal(),
  };
  if (!(event.key in keys) || (event.ctrlKey && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  keys[event.key]();
}

function begin() {
  const total = dataset.episodes.length;
  const told = dataset.episodes.filter((entry) => entry.success !== null);
  const successes = told.filter((entry) => entry.success).length;
  const seconds = dataset.episodes.reduce((sum, entry) => sum + entry.steps / entry.fps, 0);
  const length = seconds < 100 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(0)} min`;
  $("summary").textContent = `${total} episode${total > 1 ? "s" : ""}, ${length}`
    + (told.length ? `, ${successes} of ${told.length} successful` : "");
  choices("outcomes", ["all", "success", "failure"], (value) => value, (value) => {
    view.outcome = value;
    press("outcomes", value);
    list();
  });
  press("outcomes", "all");
  choices("speeds", SPEEDS, (speed) => `${speed}×`, setSpeed);
  press("speeds", 1);
  $("search").addEventListener("input", (event) => {
    view.text = event.target.value;
    list();
  });
  $("play").addEventListener("click", () => (view.playing ? pause() : play()));
  $("back").addEventListener("click", () => move(-1));
  $("forward").addEventListener("click", () => move(1));
  $("compare").addEventListener("click", compare);
  $("keys").addEventListener("click", () => $("help").showModal());
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => { // space is for playing, whatever was clicked before
    if (event.target.closest("button") && !event.target.closest("dialog")) document.activeElement.blur();
  });
  window.addEventListener("resize", draw);
  window.addEventListener("hashchange", fromAddress);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  list();
  fromAddress();
}

function fromAddress() {
  const [names, time] = location.hash.slice(1).split("@");
  const known = names.split("&").map(decodeURIComponent).filter((name) => entries.has(name)).slice(0, 2);
  show(known.length ? known : [dataset.episodes[0].name], Number(time) || 0);
}

begin();
