// The arm: its desk while a program has it, driving by hand, and its checks.

import { Checks } from "./arm_checks.js";
import { Desk } from "./desk.js";
import { h, show } from "./dom.js";
import { line, picker } from "./field.js";
import { Form } from "./form.js";
import { JobList, isAtArm, isRunning } from "./jobs.js";
import { Meters } from "./meters.js";
import { Solid } from "./solid.js";
import { t } from "./texts.js";

const PROGRAMS = ["drive", "arm_check", "arm_calibrate", "arm_against"];
const held = {};

const hasArm = (job) => isAtArm(job) && isRunning(job);

export class Arm {
  constructor() {
    this.about = h("p", { class: "lead" });
    this.place = h("section", { class: "card connect", hidden: true }, h("h2", {}, t("drive by hand")), this.about);
    this.desk = null;
    this.deskPlace = h("div", { class: "at_arm" });
    this.jobs = new JobList({ programs: PROGRAMS, empty: t("the arm was not used from here yet") });
    this.below = h("div", { class: "columns" });
    this.element = h("div", {}, this.deskPlace, this.below);
  }

  update(all) {
    this.all = all;
    if (!this.form) this.make(all);
    const job = all.jobs.find(hasArm);
    if (job && job.number !== this.desk?.job) this.sit(job);
    this.desk?.update(all);
    show(this.place, !this.desk);
    this.form.update(all.jobs);
    this.checks.update(all, Boolean(job && job.program !== "drive"));
    this.jobs.update(all.jobs.filter((one) => !hasArm(one)).slice(0, 6));
  }

  make(all) {
    const changed = () => this.changed();
    const isTwin = all.arm.robot === "twin";
    this.about.textContent = t(isTwin ? "about the twin" : "about the real arm");
    const first = isTwin ? [this.scene(all, changed)] : ["port", "cameras"].map((flag) => line({
      flag, label: t(`arm ${flag}`), help: t(`help arm ${flag}`), value: held[flag] ?? all.arm.defaults[flag] ?? "", onchange: changed,
    }));
    this.shared = isTwin ? [] : first;
    this.form = new Form({ program: "drive", first, start: t("connect"), onstart: () => this.begun() });
    this.place.append(this.form.element);
    this.checks = new Checks({ all, shared: this.shared, onstart: () => this.begun() });
    this.below.append(h("div", {}, this.place, this.checks.element), h("section", {}, this.checks.found, h("h2", {}, t("at the arm before")), this.jobs.element));
    this.changed();
  }

  scene(all, onchange) {
    const scenes = picker({ label: t("scene of the twin"), flags: ["task_name"], onchange, values: (name) => (name ? { task_name: name } : {}) });
    const usual = { value: "", label: t("the usual one") };
    scenes.fill([usual, ...all.tasks.filter((task) => task.twin).map((task) => ({ value: task.name, label: task.name }))], held.scene);
    this.scenes = scenes;
    return scenes;
  }

  changed() {
    held.scene = this.scenes?.chosen();
    for (const one of this.shared) held[one.flags[0]] = one.input.value;
    this.form.changed();
    this.checks.changed();
  }

  begun() {
    document.dispatchEvent(new Event("cockpit:changed"));
    window.scrollTo({ top: 0 });
  }

  // Show the desk of a job, beside the arm as a solid and in numbers.
  sit(job) {
    this.rise();
    this.solid = new Solid();
    this.meters = new Meters();
    this.desk = new Desk({
      job: job.number, jog: job.program === "drive", beside: [this.solid.element, this.meters.element], onended: () => this.rise(),
      onstate: (state) => {
        this.solid.update(state.qpos);
        this.meters.update(state);
        this.checks.tell(state.findings);
      },
    });
    this.deskPlace.replaceChildren(this.desk.element);
  }

  rise() {
    this.desk?.close();
    this.solid?.close();
    this.desk = this.solid = null;
    this.deskPlace.replaceChildren();
  }

  leave() {
    this.rise();
  }
}
