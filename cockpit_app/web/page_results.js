// Results: all runs side by side, their reports, and a comparison of those that are chosen.

import { Keyed, h, sayName, show } from "./dom.js";
import { JobList, startJob } from "./jobs.js";
import { ago, number, t } from "./texts.js";
import { Viewer } from "./viewer.js";

const COMPARISON = "comparison.html"; // in the folder of runs

export class Results {
  constructor() {
    this.none = h("div", { class: "card nothing", hidden: true }, h("p", {}, t("there are no runs yet")),
      h("p", { class: "actions" }, h("a", { class: "button primary", href: "#train" }, t("train one"))));
    this.body = h("tbody");
    this.rows = new Keyed(this.body, (run) => run.path, (run) => new Row(run, this));
    const heads = ["run", "policy", "task", "steps", "validation loss", "succeeded", "changed"];
    this.table = h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, h("span", { class: "hidden" }, t("choose"))),
      ...heads.map((one) => h("th", { scope: "col" }, t(one))), h("th", {}, h("span", { class: "hidden" }, t("report"))))), this.body);
    this.compare = h("button", { type: "button", class: "primary", disabled: true, onclick: () => this.compareChosen() }, t("compare the chosen"));
    this.problem = h("p", { class: "problem", role: "alert" });
    this.viewer = new Viewer(t("report"));
    this.jobs = new JobList({ programs: ["report"], empty: t("nothing was compared from here yet"), after: (job) => this.after(job) });
    this.element = h("div", {}, this.viewer.element, this.none, h("div", { class: "scroll", tabindex: "0", "aria-label": t("runs") }, this.table),
      h("div", { class: "actions" }, this.compare), this.problem, h("h2", {}, t("comparisons")), this.jobs.element);
  }

  update(all) {
    this.all = all;
    this.none.hidden = all.runs.length > 0;
    this.table.hidden = this.compare.hidden = all.runs.length === 0;
    this.rows.update(all.runs);
    this.jobs.update(all.jobs);
    this.chosen();
  }

  chosen() {
    const paths = [...this.rows.parts.values()].filter((row) => row.box.checked).map((row) => row.run.path);
    this.compare.disabled = paths.length < 2;
    return paths;
  }

  // The page that a job has made: what to record next, or a comparison.
  after(job) {
    const next = this.all.runs.find((run) => run.path === job.title)?.coverage;
    const link = job.values.coverage ? next : `runs/${COMPARISON}`;
    const open = () => this.viewer.look(job.values.coverage ? job.title : t("comparison"), link);
    return link ? [h("button", { type: "button", class: "quiet small", onclick: open }, t("look at it"))] : [];
  }

  compareChosen() {
    this.start({ runs: this.chosen(), output: `${this.all.places.runs}/${COMPARISON}` });
  }

  start(values) {
    return startJob("report", values, this.problem);
  }
}

class Row {
  constructor(run, page) {
    this.run = run;
    this.box = h("input", { type: "checkbox", "aria-label": t("choose {name}", { name: run.name }), onchange: () => page.chosen() });
    const heads = ["policy", "task", "steps", "validation loss", "succeeded", "changed"];
    this.cells = heads.map((head) => h("td", { "data-head": t(head), class: head === "task" ? "wide" : "" }));
    this.report = h("button", { type: "button", class: "quiet small", onclick: () => page.viewer.look(this.run.name, this.run.report) }, t("report"));
    this.disturbed = h("button", { type: "button", class: "quiet small", onclick: () => page.viewer.look(this.run.name, this.run.report, "disturbances") }, t("disturbances"));
    this.map = h("button", { type: "button", class: "quiet small", onclick: () => page.viewer.look(this.run.name, this.run.coverage) }, t("map of places"));
    this.next = h("button", { type: "button", class: "quiet small", onclick: () => page.start({ runs: [this.run.path], coverage: true }) }, t("what next"));
    const name = h("th", { scope: "row" });
    sayName(name, run.name);
    this.element = h("tr", {}, h("td", {}, this.box), name, ...this.cells,
      h("td", {}, h("div", { class: "pair" }, this.report, this.disturbed, this.map, this.next)));
  }

  update(run) {
    this.run = run;
    const counts = (result, key) => (result ? [t(key, { k: result.successes, n: result.n })] : []);
    const onArm = run.arm_result?.on_twin ? "{k} of {n} on the twin" : "{k} of {n} on the arm";
    const success = [...counts(run.result, "{k} of {n}"), ...counts(run.arm_result, onArm)].join(", ") || "–";
    const loss = run.loss === null ? "–" : number(run.loss, 4);
    const words = [run.policy, run.task, number(run.step), loss, success, ago(run.changed)];
    this.cells.forEach((cell, place) => sayName(cell, words[place]));
    show(this.report, Boolean(run.report));
    show(this.disturbed, Boolean(run.report && run.disturbed));
    show(this.map, Boolean(run.coverage));
  }
}
