// Losses over steps: one line for each column or each run, on a logarithmic scale.

import { h, s } from "./dom.js";
import { number, t } from "./texts.js";

const WIDTH = 640, HEIGHT = 240, LEFT = 60, RIGHT = 14, TOP = 12, BOTTOM = 34;
const PHASE = "val/loss ";

// Which columns are drawn, the most important first; a phase is thinner.
function columns(rows) {
  const names = new Set(rows.flatMap(Object.keys));
  const phases = [...names].filter((name) => name.startsWith(PHASE));
  return ["val/loss", "train/loss", ...phases].filter((name) => names.has(name));
}

function label(name) {
  if (name === "val/loss") return t("validation");
  if (name === "train/loss") return t("training");
  return t(`phase ${name.slice(PHASE.length)}`);
}

function ticks(low, high, factors = [1, 2, 5]) {
  const values = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) values.push(factor * 10 ** power);
  }
  const inside = values.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  if (inside.length < 3 && factors.length === 3) return ticks(low, high, [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]);
  const every = Math.max(1, Math.ceil(inside.length / 5));
  return inside.filter((_, place) => place % every === 0);
}

export class LossChart {
  constructor() {
    this.picture = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "chart" });
    this.legend = h("ul", { class: "legend" });
    this.empty = h("p", { class: "soft" }, t("no losses yet"));
    this.element = h("figure", { class: "losses" }, this.empty, this.picture, this.legend);
    this.drawn = "";
  }

  update(rows, total) {
    const names = this.columns(rows);
    const values = rows.flatMap((row) => names.map((name) => row[name])).filter((value) => value > 0);
    const isEmpty = values.length === 0;
    this.empty.hidden = !isEmpty;
    this.picture.style.display = isEmpty ? "none" : "";
    const state = `${names} ${rows.length} ${rows.at(-1)?.step} ${total} ${document.documentElement.lang}`;
    if (isEmpty || state === this.drawn) return;
    this.drawn = state;
    const [low, high] = [Math.min(...values) * 0.9, Math.max(...values) * 1.1];
    const last = Math.max(total || 0, rows.at(-1).step);
    const x = (step) => LEFT + (step / last) * (WIDTH - LEFT - RIGHT);
    const y = (value) => TOP + (Math.log(high / value) / Math.log(high / low)) * (HEIGHT - TOP - BOTTOM);
    this.picture.replaceChildren(...this.axes(low, high, last, x, y), ...this.lines(rows, names, x, y));
    this.legend.replaceChildren(...names.map((name) => this.entry(rows, name)));
    const newest = [...rows].reverse().find((row) => row["val/loss"]);
    this.picture.setAttribute("aria-label", t("losses, the last {loss} at step {step}", {
      loss: number(newest?.["val/loss"] ?? values.at(-1), 4), step: number(rows.at(-1).step),
    }));
  }

  columns(rows) {
    return columns(rows);
  }

  label(name) {
    return label(name);
  }

  axes(low, high, last, x, y) {
    const parts = [];
    for (const value of ticks(low, high)) {
      parts.push(s("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
      parts.push(s("text", { x: LEFT - 8, y: y(value) + 5, class: "tick end" }, number(value, 4)));
    }
    for (const share of [0, 0.5, 1]) {
      const side = ["start", "middle", "end"][share * 2];
      parts.push(s("text", { x: x(share * last), y: HEIGHT - 8, class: `tick ${side}` }, number(share * last)));
    }
    return parts;
  }

  lines(rows, names, x, y) {
    return [...names].reverse().map((name) => {
      const points = rows.filter((row) => row[name] > 0).map((row) => `${x(row.step)},${y(row[name])}`);
      return s("polyline", { points: points.join(" "), class: `line ${this.kind(name)}` });
    });
  }

  kind(name) {
    if (!name.startsWith(PHASE)) return name === "val/loss" ? "validation" : "training";
    return `phase ${name.slice(PHASE.length)}`;
  }

  entry(rows, name) {
    const newest = [...rows].reverse().find((row) => row[name] !== undefined);
    return h("li", {}, s("svg", { class: "swatch", viewBox: "0 0 26 6", "aria-hidden": "true" },
      s("line", { x1: 0, x2: 26, y1: 3, y2: 3, class: `line ${this.kind(name)}` })), `${this.label(name)} `,
      h("b", {}, number(newest[name], 4)));
  }
}

const MOST_RUNS = 6; // that differ by their lines

// Validation losses of several runs side by side: a line for each; {name, history}.
export class RunsChart extends LossChart {
  update(runs) {
    this.names = runs.map((run) => run.name).slice(0, MOST_RUNS);
    const rows = runs.slice(0, MOST_RUNS).flatMap((run) => run.history.filter((row) => row["val/loss"] > 0)
      .map((row) => ({ step: row.step, [run.name]: row["val/loss"] })));
    super.update(rows.sort((a, b) => a.step - b.step), 0);
  }

  columns() {
    return this.names;
  }

  label(name) {
    return name;
  }

  kind(name) {
    return `run_${this.names.indexOf(name)}`;
  }
}
