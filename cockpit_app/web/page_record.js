// Record: demonstrations by script in the simulation, or on the arm or its twin by script, hand, keys or waypoints.

import { h, show } from "./dom.js";
import { OnArm, Simulated, whereCards } from "./fields_record.js";
import { Form } from "./form.js";
import { JobList } from "./jobs.js";
import { Seat } from "./seat.js";
import { Takes } from "./takes.js";
import { t } from "./texts.js";
import { Viewer } from "./viewer.js";

let held = {};

export class Record {
  constructor(query) {
    held = { ...held, ...query };
    this.seat = new Seat(["arm_record"], (job) => Boolean(job.values.jog));
    this.forms = h("div");
    this.place = h("section", { class: "card" }, h("h2", {}, t("new demonstrations")));
    this.jobs = new JobList({
      programs: ["record", "arm_record"], empty: t("nothing recorded from here yet"), after: (job) => this.after(job),
    });
    this.viewer = new Viewer(t("what next"));
    this.takes = new Takes(this.viewer);
    this.element = h("div", {}, this.seat.element, this.viewer.element, h("div", { class: "columns" }, this.place,
      h("section", {}, this.takes.element, h("h2", {}, t("recordings")), this.jobs.element)));
  }

  update(all) {
    this.all = all;
    if (!this.where) this.make();
    this.seat.update(all);
    show(this.place, !this.seat.desk);
    this.fields.update(all);
    this.jobs.update(all.jobs);
    this.look();
  }

  make() {
    const onArm = this.all.arm.robot;
    this.where = whereCards({
      value: held.where, onchange: () => this.makeForm(), options: [
        { value: "record", label: t("where evaluate"), about: t("about record simulated") },
        { value: "arm_record", label: t(`where ${onArm}`), about: t(`about record ${onArm}`) },
      ],
    });
    this.place.append(this.where.place, this.forms);
    this.makeForm();
  }

  makeForm() {
    const Fields = this.where.chosen() === "record" ? Simulated : OnArm;
    this.fields = new Fields(this.all, held, () => this.changed());
    this.form = new Form({
      program: this.fields.program, first: this.fields.fields, start: t("start recording"), onstart: () => this.jobs.begun(),
    });
    this.forms.replaceChildren(this.form.element);
    this.changed();
  }

  changed() {
    this.fields.update(this.all);
    held = { ...held, ...this.fields.held(), where: this.where.chosen() };
    this.form.changed();
    this.look();
  }

  // What is recorded now, or else what the form names.
  look() {
    const job = this.all.jobs.find((one) => one.number === this.seat.desk?.job);
    const path = job?.values.dataset_dir ?? this.fields.dataset();
    this.takes.update(this.all, this.all.datasets.find((one) => one.path === path));
  }

  after(job) {
    const dataset = this.all.datasets.find((one) => one.path === job.title);
    if (!dataset) return [];
    return [
      h("a", { href: `#train?dataset=${encodeURIComponent(dataset.path)}` }, t("train on it")),
      h("a", { href: `#data?dataset=${encodeURIComponent(dataset.path)}` }, t("look at it")),
    ];
  }

  leave() {
    this.seat.close();
  }
}
