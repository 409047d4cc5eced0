// Changes of datasets: what a change would do is shown first, and only then can it be done.

import { h, say } from "./dom.js";
import { line, picker, several } from "./field.js";
import { Form } from "./form.js";
import { number, t } from "./texts.js";

export class Changes {
  constructor(jobs) {
    this.jobs = jobs;
    this.change = picker({ label: t("what to do"), flags: [], values: () => ({}), onchange: () => this.make() });
    this.place = h("div");
    this.element = h("section", { class: "card", hidden: true }, h("h2", {}, t("make another dataset")),
      h("div", { class: "form" }, this.change.element), this.place);
  }

  update(all) {
    this.all = all;
    this.element.hidden = all.datasets.length === 0;
    if (this.element.hidden) return;
    const isNew = this.change.fill(all.changes.map((name) => ({ value: name, label: t(`change ${name}`) })));
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
    const silent = { flags: ["dry_run"], element: null, values: () => ({}) };
    this.form = new Form({
      program: `change_${name}`, first: [this.from, this.to, silent], start: t("do it"), rehearse: true,
      onstart: () => this.jobs.begun(),
    });
    this.place.replaceChildren(this.form.element);
    this.fill();
    this.changed();
  }

  // What is changed: a dataset, several, or what somebody else recorded.
  source(name, onchange) {
    if (name === "merge") return several({ flag: "dataset_dir", label: t("datasets"), onchange });
    if (name === "import") {
      const before = `${this.all.places.data}/`;
      return line({ flag: "from", label: t("what to import"), help: t("help import"), before, onchange });
    }
    return picker({
      label: t("dataset"), flags: ["dataset_dir"], onchange, values: (path) => (path ? { dataset_dir: path } : {}),
    });
  }

  fill() {
    const options = this.all.datasets.map((one) => ({
      value: one.path, label: t("{name}, {n} episodes", { name: one.name, n: number(one.episodes) }),
    }));
    if (this.from.fill?.(options)) this.changed();
  }

  changed() {
    const source = this.from.chosen?.() ?? this.from.input.value.split("/").at(-1);
    const name = (Array.isArray(source) ? source[0] ?? "" : source).split("/").at(-1).replace(/\.\w+$/, "");
    if (!this.isNamed) this.to.input.value = name ? `${name}_${this.change.chosen()}` : "";
    say(this.to.note, t("help in_place"));
    this.form.changed();
    this.form.update(this.all.jobs);
  }
}
