// Record: demonstrations by script in the simulation, also of the twin's arm.

import { h, say } from "./dom.js";
import { cards, line, picker } from "./field.js";
import { Form } from "./form.js";
import { JobList } from "./jobs.js";
import { Takes } from "./takes.js";
import { number, t } from "./texts.js";
import { Viewer } from "./viewer.js";

const USUAL = "sim_mycobot320_choose_scripted";
let held = {};

export class Record {
  constructor(query) {
    held = { ...held, ...query };
    this.place = h("section", { class: "card" }, h("h2", {}, t("new demonstrations")));
    this.jobs = new JobList({
      programs: ["record"], empty: t("nothing recorded from here yet"), after: (job) => this.after(job),
    });
    this.viewer = new Viewer(t("what next"));
    this.takes = new Takes(this.viewer);
    this.element = h("div", {}, this.viewer.element, h("div", { class: "columns" }, this.place,
      h("section", {}, this.takes.element, h("h2", {}, t("recordings")), this.jobs.element)));
  }

  update(all) {
    this.all = all;
    if (!this.form) this.make(all);
    this.about();
    this.jobs.update(all.jobs);
    this.takes.update(all, `${all.places.data}/${this.name.input.value.trim()}`);
  }

  make(all) {
    const changed = () => this.changed();
    const scripted = all.tasks.filter((task) => task.scripted);
    this.task = picker({
      label: t("task"), flags: ["task_name"], onchange: changed, values: (name) => ({ task_name: name }),
    });
    this.task.fill(scripted.map((task) => ({ value: task.name, label: t("{task} ({arm})", {
      task: task.name, arm: t(task.twin ? "a myCobot 320" : "two ALOHA arms"),
    }) })));
    this.task.select.value = held.task ?? (scripted.some((task) => task.name === USUAL) ? USUAL : scripted[0].name);
    this.name = line({
      flag: "dataset_dir", label: t("name of the dataset"), before: `${all.places.data}/`, value: held.name ?? "",
      onchange: () => {
        this.isNamed = true;
        this.changed();
      },
    });
    this.isNamed = Boolean(held.name);
    this.count = line({
      flag: "num_episodes", label: t("episodes"), help: t("help episodes"), isNumber: true, value: held.count ?? "50",
      onchange: changed,
    });
    this.style = cards({
      flag: "style", label: t("style"), value: held.style ?? "script", onchange: changed,
      options: ["script", "human"].map((one) => ({ value: one, label: t(`style ${one}`), about: t(`about style ${one}`) })),
    });
    this.style.values = () => (this.style.chosen() === "script" ? {} : { style: this.style.chosen() });
    this.looks = cards({
      flag: "randomize", label: t("light and room"), value: held.looks ?? "", onchange: changed,
      options: ["", "frame", "episode"].map((one) => ({ value: one, label: t(`looks ${one || "plain"}`), about: t(`about looks ${one || "plain"}`) })),
    });
    this.form = new Form({
      program: "record", first: [this.task, this.name, this.count, this.style, this.looks], start: t("start recording"),
      onstart: () => this.jobs.begun(),
    });
    this.place.append(this.form.element);
    this.changed();
  }

  changed() {
    if (!this.isNamed) this.name.input.value = this.usualName();
    held = {
      task: this.task.chosen(), name: this.isNamed ? this.name.input.value : undefined, count: this.count.input.value,
      style: this.style.chosen(), looks: this.looks.chosen(),
    };
    this.about();
    this.form.changed();
    this.takes.update(this.all, `${this.all.places.data}/${this.name.input.value.trim()}`);
  }

  usualName() {
    const words = [this.task.chosen()];
    if (this.style.chosen() === "human") words.push("human");
    if (this.looks.chosen()) words.push("looks");
    return words.join("_");
  }

  about() {
    const dataset = this.all.datasets.find((one) => one.name === this.name.input.value.trim());
    say(this.name.note, dataset ? t("{n} episodes are there already; they count", { n: number(dataset.episodes) }) : "");
    const task = this.all.tasks.find((one) => one.name === this.task.chosen());
    if (task) say(this.task.note, t("about task", { steps: number(task.steps), seconds: number(task.steps / task.fps, 1), cameras: task.cameras.join(", ") }));
  }

  after(job) {
    const dataset = this.all.datasets.find((one) => one.path === job.title);
    if (!dataset) return [];
    return [
      h("a", { href: `#train?dataset=${encodeURIComponent(dataset.path)}` }, t("train on it")),
      h("a", { href: `#data?dataset=${encodeURIComponent(dataset.path)}` }, t("look at it")),
    ];
  }
}
