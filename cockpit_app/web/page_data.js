// Data: the datasets that are there, what is wrong with them, and the page of each.

import { Keyed, h, say, show } from "./dom.js";
import { Changes } from "./changes.js";
import { JobList, isRunning, startJob } from "./jobs.js";
import { Seat } from "./seat.js";
import { Takes } from "./takes.js";
import { ago, number, t } from "./texts.js";
import { Viewer } from "./viewer.js";

export class Data {
  constructor(query) {
    this.wanted = query.dataset;
    this.none = h("div", { class: "card nothing", hidden: true }, h("p", {}, t("there are no datasets yet")),
      h("p", { class: "actions" }, h("a", { class: "button primary", href: "#record" }, t("record some"))));
    this.list = h("div", { class: "jobs" });
    this.sets = new Keyed(this.list, (one) => one.path, (one) => new Dataset(one, this));
    this.programs = ["check", "page", "arm_replay"];
    this.jobs = new JobList({ programs: this.programs, empty: t("nothing was checked from here yet"), after: (job) => this.after(job) });
    this.changes = new Changes(this.jobs);
    this.viewer = new Viewer(t("page of the dataset"));
    this.seat = new Seat(["arm_replay"]);
    this.takes = new Takes(this.viewer, (take) => this.replay(take));
    this.element = h("div", {}, this.seat.element, this.viewer.element, h("div", { class: "columns" },
      h("div", {}, h("section", {}, h("h2", {}, t("datasets")), this.none, this.list), this.changes.element),
      h("section", {}, this.takes.element, h("h2", {}, t("checks and pages")), this.jobs.element)));
  }

  update(all) {
    this.all = all;
    this.none.hidden = all.datasets.length > 0;
    this.sets.update(all.datasets);
    this.programs.splice(3, Infinity, ...all.changes.map((name) => `change_${name}`));
    this.changes.update(all);
    this.jobs.update(all.jobs.filter((job) => job.title.startsWith(`${all.places.data}/`)));
    this.seat.update(all);
    this.opened = this.wanted ?? this.opened;
    this.showTakes();
    if (this.wanted) document.getElementById(anchor(this.wanted))?.scrollIntoView({ block: "center" });
    this.wanted = undefined;
  }

  after(job) {
    const dataset = this.all.datasets.find((one) => one.path === job.title && job.program === "page" && one.page);
    return dataset ? [h("button", { type: "button", class: "quiet small", onclick: () => this.look(dataset) }, t("look at it"))] : [];
  }

  look(dataset) {
    this.viewer.look(dataset.name, dataset.page);
  }

  // Replays are of the arm's own tasks, and of those that are not in the simulation.
  showTakes() {
    const dataset = this.all.datasets.find((one) => one.path === this.opened);
    const task = this.all.tasks.find((one) => one.name === dataset?.task);
    this.takes.update(this.all, dataset && { ...dataset, replays: task?.twin ?? true });
  }

  // An episode once more, on the arm or its twin.
  replay(take) {
    this.takes.start("arm_replay", { dataset_path: `${this.opened}/${take.name}.hdf5` });
  }

  leave() {
    this.seat.close();
  }

  // The episodes of one dataset, beside the list.
  open(dataset) {
    this.opened = dataset.path;
    this.showTakes();
    this.takes.element.scrollIntoView({ block: "nearest" });
  }
}

const anchor = (path) => `dataset ${path}`;

class Dataset {
  constructor(one, page) {
    Object.assign(this, { one, page });
    const button = (words, act) => h("button", { type: "button", class: "quiet small", onclick: act }, words);
    this.facts = h("p", { class: "soft" });
    this.task = h("p", {});
    this.problem = h("p", { class: "problem", role: "alert" });
    this.open = button(t("look at it"), () => page.look(this.one));
    this.episodes = button(t("episodes"), () => page.open(this.one));
    this.make = button(t("make its page"), () => this.start("page"));
    this.check = button(t("check it"), () => this.start("check"));
    this.element = h("article", { class: "card", id: anchor(one.path) }, h("h3", {}, one.name), this.task, this.facts, this.problem,
      h("div", { class: "actions" }, this.episodes, this.open, this.make, this.check,
        h("a", { class: "button quiet small", href: `#train?dataset=${encodeURIComponent(one.path)}` }, t("train on it"))));
  }

  update(one) {
    this.one = one;
    say(this.task, [one.task, one.cameras.join(", ")].filter(Boolean).join(" · "));
    say(this.facts, t("{n} episodes, {mb} MB, {ago}", { n: number(one.episodes), mb: number(one.megabytes), ago: ago(one.changed) }));
    if (one.problem) say(this.problem, one.problem);
    show(this.open, Boolean(one.page));
    say(this.make, t(one.page ? "make its page anew" : "make its page"));
    const isBusy = (program) => this.page.all.jobs.some((job) => isRunning(job) && job.title === one.path && job.program === program);
    this.make.disabled = isBusy("page");
    this.check.disabled = isBusy("check");
  }

  start(program) {
    return startJob(program, { dataset_dir: this.one.path }, this.problem);
  }
}
