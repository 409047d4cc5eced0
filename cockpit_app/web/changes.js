// Changes of datasets: what a change would do is shown first, and only then can it be done.

import { get } from "./api.js";
import { h, say } from "./dom.js";
import { line, picker, several } from "./field.js";
import { DRY_RUN, Form } from "./form.js";
import { number, t } from "./texts.js";

const LOOK_EVERY = 5000; // ms

export class Changes {
  constructor(jobs) {
    this.jobs = jobs;
    this.change = picker({ label: t("what to do"), flags: [], values: () => ({}), onchange: () => this.make() });
    this.place = h("div");
    this.element = h("section", { class: "card" }, h("h2", {}, t("make another dataset")),
      h("div", { class: "form" }, this.change.element), this.place);
  }

  update(all) {
    this.all = all;
    const changes = all.datasets.length ? all.changes : ["import"];
    const isNew = this.change.fill(changes.map((name) => ({ value: name, label: t(`change ${name}`) })));
    if (isNew) this.make();
    this.fill();
    this.form.update(all.jobs);
  }

  make() {
    const name = this.change.chosen();
    const changed = () => this.changed();
    this.from = this.source(name, changed);
    this.to = line({
      flag: "output_dir", label: t("name of the new dataset"), before: `${this.all.places.data}/`, onchange: () => {
        this.isNamed = true;
        this.changed();
      },
    });
    this.isNamed = false;
    this.form = new Form({
      program: `change_${name}`, first: [this.from, this.to, DRY_RUN], start: t("do it"), rehearse: true,
      onstart: () => this.jobs.begun(),
    });
    this.place.replaceChildren(this.form.element);
    this.fill();
    this.changed();
  }

  // What is changed: a dataset, several, or what somebody else recorded.
  source(name, onchange) {
    if (name === "merge") return several({ flag: "dataset_dir", label: t("datasets"), onchange });
    if (name === "import") return this.strangers(onchange);
    return picker({
      label: t("dataset"), flags: ["dataset_dir"], onchange, values: (path) => (path ? { dataset_dir: path } : {}),
    });
  }

  // Recordings of others below the folder of datasets, to choose from.
  strangers(onchange) {
    const from = picker({
      label: t("what to import"), flags: ["from"], onchange, empty: t("nothing to import"),
      values: (path) => (path ? { from: path } : {}),
    });
    const fill = from.fill;
    from.fill = () => false; // not by datasets
    let asked = 0;
    from.look = async () => {
      if (Date.now() - asked < LOOK_EVERY) return;
      asked = Date.now();
      const found = await get("importable");
      say(from.note, t("help import"));
      if (fill(found.map((one) => ({ value: one.path, label: `${one.name} (${one.kind})` })))) onchange();
    };
    return from;
  }

  fill() {
    this.from.look?.().catch((error) => say(this.from.note, error.message));
    const options = this.all.datasets.map((one) => ({
      value: one.path, label: t("{name}, {n} episodes", { name: one.name, n: number(one.episodes) }),
    }));
    if (this.from.fill?.(options)) this.changed();
  }

  changed() {
    const source = this.from.chosen();
    const name = (Array.isArray(source) ? source[0] ?? "" : source).split("/").at(-1).replace(/\.\w+$/, "");
    if (!this.isNamed) this.to.input.value = name ? `${name}_${this.change.chosen()}` : "";
    say(this.to.note, t("help in_place"));
    this.form.changed();
    this.form.update(this.all.jobs);
  }
}
