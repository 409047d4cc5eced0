// The episodes of a dataset: the last one as a film at once, a list, what the doctor says, what to record next.

import { get, view } from "./api.js";
import { h, say, sayName, show, Keyed } from "./dom.js";
import { JobCard, isRunning, startJob } from "./jobs.js";
import { known, number, t } from "./texts.js";

const ASIDE = ["check", "report"]; // programs whose newest job about the dataset is shown
const outcome = (one) => ({ true: t("success"), false: t("failure") })[one.success] ?? "–";
const style = (one) => known(`moved as ${one.style}`, one.style || "–");
const name = (one) => (one.number === null ? one.name : t("episode {n}", { n: number(one.number) }));

export class Takes {
  // viewer: shows pages, none where nothing is suggested; replay(take): more to do with a take
  constructor(viewer = null, replay = null) {
    const aside = replay ? [] : ASIDE; // a page with replays lists these jobs by itself
    Object.assign(this, { viewer, replay, aside, path: null, chosen: null, asked: "" });
    this.title = h("h2");
    this.facts = h("p", { class: "soft" });
    this.words = h("figcaption");
    this.video = h("video", { controls: true, muted: true, playsinline: true, loop: true, preload: "metadata" });
    this.video.addEventListener("error", () => this.isSeen(false));
    this.video.addEventListener("loadeddata", () => this.isSeen(true));
    this.figure = h("figure", { class: "take" }, this.video, this.words);
    this.body = h("tbody");
    this.rows = new Keyed(this.body, (one) => one.name, (one) => new Row(one, this));
    const heads = ["episode", "length", "outcome", "style"].map((one) => h("th", { scope: "col" }, t(one)));
    const table = h("table", {}, h("thead", {}, h("tr", {}, ...heads, h("th", {}, h("span", { class: "hidden" }, t("film"))))), this.body);
    this.table = h("div", { class: "scroll takes", tabindex: "0", "aria-label": t("episodes") }, table);
    const button = (words, act) => h("button", { type: "button", class: "quiet small", onclick: act }, words);
    this.check = button(t("check it"), () => this.start("check", { dataset_dir: this.path }));
    this.next = button(t("what next"), () => this.start("report", { runs: [this.path], coverage: true }));
    this.map = button(t("look at the places"), () => this.viewer.look(t("what next"), this.dataset.coverage));
    this.problem = h("p", { class: "problem", role: "alert" });
    this.place = h("div", { class: "jobs" });
    this.cards = new Keyed(this.place, (job) => job.number, (job) => new JobCard(job));
    this.element = h("section", { class: "card", hidden: true }, this.title, this.facts, this.figure, this.table, this.problem,
      h("div", { class: "actions" }, this.check, this.next, this.map), this.place);
  }

  // dataset: that is looked at: name, path, episodes, changed, coverage
  update(all, dataset) {
    const path = dataset?.path;
    this.dataset = dataset;
    show(this.element, Boolean(this.dataset));
    if (!this.dataset) {
      this.asked = "";
      return;
    }
    if (path !== this.path) this.chosen = null;
    this.path = path;
    sayName(this.title, this.dataset.name);
    show(this.next, Boolean(this.viewer));
    show(this.map, Boolean(this.viewer && this.dataset.coverage));
    const about = all.jobs.filter((job) => job.title === path && this.aside.includes(job.program));
    const newest = this.aside.map((program) => about.find((job) => job.program === program)).filter(Boolean);
    this.cards.update(newest);
    this.check.disabled = newest.some((job) => job.program === "check" && isRunning(job));
    this.next.disabled = newest.some((job) => job.program === "report" && isRunning(job));
    this.load();
  }

  async load() {
    const { path, episodes, changed } = this.dataset;
    const asked = `${path} ${episodes} ${changed}`;
    if (asked === this.asked) return;
    this.asked = asked;
    try {
      const told = await get("takes", { path });
      if (asked !== this.asked) return;
      this.takes = told.takes;
      const good = told.takes.filter((one) => one.success).length;
      const more = told.episodes - told.takes.length;
      say(this.facts, [t("{n} episodes are there", { n: number(told.episodes) }), good ? t("{n} succeeded", { n: number(good) }) : "",
        more ? t("the last {n} are listed", { n: number(told.takes.length) }) : ""].filter(Boolean).join(" "));
      this.rows.update(told.takes);
      const isNew = told.takes[0] && (!this.newest || this.newest.name !== told.takes[0].name || this.newest.changed !== told.takes[0].changed);
      this.newest = told.takes[0];
      if (told.takes.length && (isNew || !this.chosen)) this.show(told.takes[0]);
    } catch (error) {
      this.asked = "";
      say(this.problem, error.message);
    }
  }

  show(take) {
    this.chosen = take;
    this.video.src = `${view(take.film)}?at=${take.changed}`;
    this.video.setAttribute("aria-label", t("film of {name}", { name: name(take) }));
    say(this.words, t("the film is being made"));
    for (const row of this.rows.parts.values()) row.mark(take);
  }

  isSeen(isThere) {
    const one = this.chosen;
    if (!one) return;
    const about = [name(one), t("{n} s", { n: number(one.seconds, 1) }), outcome(one)].join(", ");
    say(this.words, isThere ? about : t("there is no film of it: {name}", { name: one.problem ?? name(one) }));
  }

  start(program, values) {
    return startJob(program, values, this.problem);
  }
}

class Row {
  constructor(one, list) {
    this.list = list;
    this.cells = ["length", "outcome", "style"].map((head) => h("td", { "data-head": t(head) }));
    const button = (words, act) => h("button", { type: "button", class: "quiet small", onclick: act, "aria-label": `${words}: ${name(one)}` }, words);
    this.film = button(t("film"), () => {
      list.show(this.one);
      list.figure.scrollIntoView({ block: "nearest" });
      list.video.play();
    });
    this.replay = list.replay ? button(t("replay"), () => list.replay(this.one)) : null;
    this.element = h("tr", {}, h("th", { scope: "row" }, name(one)), ...this.cells, h("td", {}, h("div", { class: "buttons" }, this.film, this.replay)));
  }

  update(one) {
    this.one = one;
    const length = one.problem ?? t("{n} s", { n: number(one.seconds, 1) });
    [length, outcome(one), style(one)].forEach((words, place) => say(this.cells[place], words));
    if (this.replay) show(this.replay, this.list.dataset.replays);
    this.cells[1].classList.toggle("problem", one.success === false);
  }

  mark(take) {
    if (this.one === take) this.element.setAttribute("aria-current", "true");
    else this.element.removeAttribute("aria-current");
  }
}
