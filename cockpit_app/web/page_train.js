// Train: a dataset, a preset, a name; then progress, losses, stop and go on.

import { get } from "./api.js";
import { RunsChart } from "./chart.js";
import { h, say, show } from "./dom.js";
import { cards, line, picker, several } from "./field.js";
import { DRY_RUN, Form } from "./form.js";
import { JobList, fileLink } from "./jobs.js";
import { known, number, t } from "./texts.js";

const MOST_BESIDE = 12; // runs to choose from, the newest
const PAPER = "none"; // no preset: as in the paper
let held = {}; // what the page's own fields held when it was left

export class Train {
  constructor(query) {
    held = { ...held, ...query };
    this.all = null;
    this.none = h("div", { class: "card nothing", hidden: true },
      h("p", {}, t("there are no demonstrations to train on yet")),
      h("p", { class: "actions" }, h("a", { class: "button primary", href: "#record" }, t("record some"))));
    this.place = h("section", { class: "card" }, h("h2", {}, t("a new training")));
    this.jobs = new JobList({
      programs: ["train"], empty: t("no training yet"), after: (job) => this.after(job),
    });
    this.beside = new Beside();
    this.element = h("div", { class: "columns" }, h("div", {}, this.none, this.place),
      h("section", {}, h("h2", {}, t("trainings")), this.jobs.element, this.beside.element));
  }

  update(all) {
    this.all = all;
    this.none.hidden = all.datasets.length > 0;
    this.place.hidden = all.datasets.length === 0;
    if (!this.form && all.datasets.length) this.make(all);
    if (this.form) this.fill(all);
    this.jobs.update(all.jobs);
    this.beside.update(all.runs);
  }

  make(all) {
    const changed = () => this.changed();
    this.dataset = picker({
      label: t("learn from"), flags: ["dataset_dir", "task_name"], onchange: changed, empty: t("no dataset"),
      values: (path) => (path ? { dataset_dir: [path], task_name: this.task(path) } : {}),
    });
    const usual = all.presets.some((one) => one.name === "small") ? "small" : PAPER;
    const options = all.presets.map((one) => ({ value: one.path, label: one.name, about: about(one) }));
    options.push({ value: PAPER, label: t("no preset"), about: t("preset none") });
    const chosen = held.preset ?? options.find((one) => one.label === usual).value;
    this.preset = cards({ flag: "config", label: t("how"), options, value: chosen, onchange: changed });
    this.preset.values = () => (this.preset.chosen() === PAPER ? {} : { config: this.preset.chosen() });
    this.name = line({
      flag: "ckpt_dir", label: t("name of the run"), before: `${all.places.runs}/`, value: held.name ?? "", onchange: () => {
        this.isNamed = true;
        this.changed();
      },
    });
    this.isNamed = Boolean(held.name);
    this.steps = line({
      flag: "num_steps", label: t("steps"), help: t("help steps"), isNumber: true, value: held.steps ?? "",
      onchange: changed,
    });
    this.form = new Form({
      program: "train", first: [this.dataset, this.preset, this.name, this.steps, DRY_RUN],
      start: t("start training"), trial: t("memory and time it takes"),
      onstart: () => this.jobs.begun(),
    });
    this.place.append(this.form.element);
  }

  fill(all) {
    const options = all.datasets.map((one) => ({
      value: one.path, label: t("{name}, {n} episodes", { name: one.name, n: number(one.episodes) }),
    }));
    if (this.dataset.fill(options, this.all && held.dataset)) this.changed();
    held.dataset = undefined;
    this.about();
  }

  changed() {
    if (!this.isNamed) this.name.input.value = this.usualName();
    held = { preset: this.preset.chosen(), steps: this.steps.input.value, name: this.isNamed ? this.name.input.value : undefined, dataset: this.dataset.chosen() };
    this.about();
    this.form.changed();
  }

  usualName() {
    const dataset = this.dataset.chosen().split("/").at(-1).replace(/^sim_/, "").replace(/_scripted$/, "");
    const preset = this.preset.chosen().split("/").at(-1).replace(/\.json$/, "");
    return dataset ? `${dataset}_${preset === PAPER ? "act" : preset}` : "";
  }

  // The task whose episodes they are; that of the folder's name where they do not say.
  task(path) {
    const dataset = this.all.datasets.find((one) => one.path === path);
    return dataset?.task || path.split("/").at(-1);
  }

  about() {
    const path = this.dataset.chosen();
    const dataset = this.all.datasets.find((one) => one.path === path);
    if (dataset) say(this.dataset.note, t("task {task}; cameras {cameras}", { task: this.task(path), cameras: dataset.cameras.join(", ") || "–" }));
    const run = this.all.runs.find((one) => one.name === this.name.input.value.trim());
    say(this.name.note, run ? t("this run is there: it goes on from step {step}", { step: number(run.step) }) : "");
  }

  after(job) {
    const run = this.all.runs.find((one) => one.path === job.title);
    if (!run) return [];
    const links = [];
    if (run.checkpoints.length) links.push(h("a", { href: `#run?run=${encodeURIComponent(run.path)}` }, t("run it")));
    if (run.report) links.push(fileLink(run.report, t("report")));
    return links;
  }
}

function about(preset) {
  const words = known(`preset ${preset.name}`, "");
  const steps = preset.num_steps ? t("{policy}, {n} steps", { policy: preset.policy_class ?? "ACT", n: number(preset.num_steps) }) : "";
  return [words, steps].filter(Boolean).join(" ");
}

// Several runs side by side: the validation losses of those that are chosen.
class Beside {
  constructor() {
    this.runs = several({ flag: "", label: t("runs"), onchange: () => this.draw() });
    this.chart = new RunsChart();
    this.figure = h("div", { hidden: true }, h("p", { class: "soft" }, t("validation losses")), this.chart.element);
    this.element = h("section", { class: "card beside", hidden: true }, h("h2", {}, t("side by side")), this.figure, this.runs.element);
  }

  update(runs) {
    const trained = runs.filter((run) => run.step > 0);
    show(this.element, trained.length > 1);
    this.runs.fill(trained.slice(0, MOST_BESIDE).map((run) => ({ value: run.path, label: run.name })));
    this.about = new Map(trained.map((run) => [run.path, run]));
    this.draw();
  }

  async draw() {
    const chosen = this.runs.chosen().filter((path) => this.about.has(path));
    show(this.figure, chosen.length > 0);
    const state = chosen.map((path) => `${path} ${this.about.get(path).step}`).join();
    if (state === this.state || !chosen.length) return;
    this.state = state;
    try {
      const told = await Promise.all(chosen.map((path) => get("run", { path })));
      if (state === this.state) this.chart.update(told);
    } catch {
      this.state = ""; // asked again with the next news
    }
  }
}
