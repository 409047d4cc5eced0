// Evaluate and run: a checkpoint in simulation, on the twin or the arm, with its films as they come.

import { get, view } from "./api.js";
import { Keyed, h, say, show } from "./dom.js";
import { cards, line, picker } from "./field.js";
import { whereCards } from "./fields_record.js";
import { Form } from "./form.js";
import { JobList, isRunning, startJob } from "./jobs.js";
import { Seat } from "./seat.js";
import { Takes } from "./takes.js";
import { ago, number, t } from "./texts.js";

const PROGRAMS = ["evaluate", "twin", "arm_run"];
const FILMS_EVERY = 2500; // ms
let held = {};

export class Run {
  constructor(query) {
    held = { ...held, ...query };
    this.none = h("div", { class: "card nothing", hidden: true },
      h("p", {}, t("there is no trained policy yet")),
      h("p", { class: "actions" }, h("a", { class: "button primary", href: "#train" }, t("train one"))));
    this.place = h("section", { class: "card" }, h("h2", {}, t("a policy at work")));
    this.seat = new Seat(["arm_run"], () => true);
    this.takes = new Takes();
    this.jobs = new JobList({ programs: [...PROGRAMS, "page"], empty: t("nothing was run from here yet") });
    this.arm = new ArmFilms(this);
    this.noFilms = h("p", { class: "soft empty" }, t("no evaluation of this run yet"));
    this.list = h("div", { class: "jobs" });
    this.films = new Keyed(this.list, (one) => one.name, (one) => new Evaluation(one));
    this.element = h("div", {}, this.seat.element, h("div", { class: "columns" }, h("div", {}, this.none, this.place),
      h("section", {}, this.takes.element, h("h2", {}, t("at work")), this.jobs.element, h("h2", {}, t("evaluations and films")), this.arm.element, this.noFilms, this.list)));
  }

  update(all) {
    this.all = all;
    const runs = this.runs();
    this.none.hidden = runs.length > 0;
    this.seat.update(all);
    this.place.hidden = runs.length === 0 || Boolean(this.seat.desk);
    const chosen = this.picked?.chosen();
    const isOurs = (job) => job.title.startsWith(`${all.places.runs}/`) && (isRunning(job) || `${job.title}/`.startsWith(`${chosen}/`));
    this.jobs.update(all.jobs.filter(isOurs));
    if (!runs.length) return;
    if (!this.picked) this.make();
    const options = runs.map((run) => ({ value: run.path, label: run.result ? t("{name}, {k} of {n} succeeded", {
      name: run.name, k: run.result.successes, n: run.result.n }) : run.name }));
    if (this.picked.fill(options, held.run)) this.changed();
    held.run = undefined;
    this.show();
  }

  runs() {
    const isKnown = (run) => (this.all.arm.robot === "twin" ? this.taskOf(run) : run.task);
    return this.all.runs.filter((run) => run.checkpoints.length && isKnown(run));
  }

  // The simulated task that a policy was trained for, or that shows what the arm was taught under its own name.
  taskOf(run) {
    return this.all.tasks.find((task) => [run.task, `sim_${run.task}_scripted`].includes(task.name));
  }

  make() {
    const changed = () => this.changed();
    this.picked = picker({
      label: t("policy"), flags: ["ckpt_dir", "task_name"], onchange: changed, empty: t("no run"), values: (path) => this.named(path),
    });
    this.checkpoint = picker({
      label: t("checkpoint"), flags: ["ckpt_name"], onchange: changed, values: (name) => (name ? { ckpt_name: name } : {}),
    });
    const onArm = this.all.arm.robot;
    const options = ["evaluate", ...(onArm === "twin" ? [] : ["twin"])].map((one) => ({ value: one, label: t(`where ${one}`), about: t(`about where ${one}`) }));
    options.push({ value: "arm_run", label: t(`where ${onArm}`), about: t(`about run ${onArm}`) });
    this.where = whereCards({ value: held.where, options, onchange: () => this.changed(true) });
    this.attended = cards({
      flag: "unattended", label: t("who watches"), value: held.attended ?? "", onchange: changed,
      options: ["", "yes"].map((one) => ({ value: one, label: t(`attended ${one || "no"}`), about: t(`about attended ${one || "no"}`) })),
    });
    this.attended.values = () => (this.attended.chosen() ? { unattended: true } : {});
    this.count = line({ flag: "num_rollouts", label: t("attempts"), isNumber: true, value: held.count ?? "10", onchange: changed });
    this.forms = h("div");
    this.place.append(this.where.place, this.forms);
    this.makeForm();
  }

  makeForm() {
    this.form = new Form({
      program: this.where.chosen(), start: t("start"),
      first: [this.picked, this.checkpoint, this.count, ...(this.where.chosen() === "arm_run" ? [this.attended] : [])],
      onstart: () => this.jobs.begun(),
    });
    this.forms.replaceChildren(this.form.element);
  }

  named(path) {
    const run = this.all.runs.find((one) => one.path === path);
    if (!run) return {};
    const dirs = this.where.chosen() === "evaluate" ? path : [path];
    const isReal = this.where.chosen() === "arm_run" && this.all.arm.robot !== "twin";
    return { ckpt_dir: dirs, task_name: isReal ? run.task : this.taskOf(run)?.name };
  }

  changed(isElsewhere = false) {
    const run = this.all.runs.find((one) => one.path === this.picked.chosen());
    const usual = { value: "", label: t("the usual one") };
    this.checkpoint.fill([usual, ...(run?.checkpoints ?? []).map((name) => ({ value: name, label: name }))]);
    const task = run && this.taskOf(run);
    const can = { evaluate: Boolean(task), twin: Boolean(task?.twin), arm_run: this.all.arm.robot !== "twin" || Boolean(task?.twin) };
    for (const input of this.where.inputs) input.disabled = !can[input.value];
    if (this.where.inputs.some((input) => input.checked && input.disabled)) {
      this.where.inputs.find((input) => !input.disabled).checked = true;
      isElsewhere = true;
    }
    if (isElsewhere) this.makeForm();
    if (run) say(this.picked.note, t("task {task}, {policy}, step {step}", { task: run.task, policy: run.policy, step: number(run.step) }));
    held = { where: this.where.chosen(), count: this.count.input.value, attended: this.attended.chosen(), run: this.picked.chosen() };
    this.form.changed();
    this.asked = 0;
    this.show();
  }

  leave() {
    this.seat.close();
  }

  // The films of the chosen run; asked for often only while something is at work.
  async show() {
    const path = this.picked.chosen();
    const isBusy = this.seat.desk || this.all.jobs.some((job) => isRunning(job));
    const age = Date.now() - (this.asked ?? 0);
    if (age < FILMS_EVERY || (!isBusy && age < 4 * FILMS_EVERY)) return;
    this.asked = Date.now();
    try {
      const run = await get("run", { path });
      if (path !== this.picked.chosen()) return;
      show(this.noFilms, run.evaluations.length === 0);
      this.arm.update(run.arm);
      this.takes.update(this.all, run.arm);
      this.films.update(run.evaluations);
    } catch (error) {
      say(this.noFilms, error.message);
    }
  }
}

// What the cameras saw of the runs on the twin or the arm: a page that is made of their episodes.
class ArmFilms {
  constructor(page) {
    this.page = page;
    this.words = h("p", {});
    this.open = h("a", { class: "button quiet small", target: "_blank", rel: "noopener" }, t("look at them"));
    this.make = h("button", { type: "button", class: "quiet small", onclick: () => this.start() }, t("make films"));
    this.problem = h("p", { class: "problem", role: "alert" });
    this.element = h("article", { class: "card arm", hidden: true }, this.words, this.problem, h("div", { class: "actions" }, this.open, this.make));
  }

  update(arm) {
    this.about = arm;
    show(this.element, Boolean(arm));
    if (!arm) return;
    say(this.words, t("{n} runs on the twin or the arm are kept as episodes", { n: number(arm.episodes) }));
    show(this.open, Boolean(arm.page));
    if (arm.page) this.open.href = view(arm.page);
    say(this.make, t(arm.page ? "make films anew" : "make films"));
    this.make.disabled = this.page.all.jobs.some((job) => job.title === arm.path && isRunning(job));
  }

  start() {
    return startJob("page", { dataset_dir: this.about.path }, this.problem, () => this.page.jobs.begun());
  }
}

// One evaluation: how often it succeeded, its films, and its whole result behind a fold.
class Evaluation {
  constructor(one) {
    this.title = h("h3", {}, t(one.on_arm ? "on the twin or the arm, {ago}" : "in simulation, {ago}", { ago: ago(one.at) }));
    this.result = h("p", { class: "amount" });
    this.grid = h("div", { class: "films" });
    this.films = new Keyed(this.grid, (film) => film.link, film);
    this.text = h("pre", { tabindex: "0", "aria-label": t("result") });
    this.details = h("details", {}, h("summary", {}, t("result")), this.text);
    this.element = h("article", { class: "card" }, this.title, this.result, this.grid, this.details);
  }

  update(one) {
    say(this.result, one.result ? t("{k} of {n} succeeded", { k: one.result.successes, n: one.result.n }) : t("is being made"));
    say(this.text, one.text);
    show(this.details, Boolean(one.text));
    this.films.update(one.videos);
  }
}

function film(video) {
  const words = h("figcaption");
  const number_ = video.name.split("_").at(-1);
  const picture = h("video", {
    src: view(video.link), controls: true, preload: "metadata", muted: true, loop: true, playsinline: true,
    "aria-label": t("film of attempt {n}", { n: Number(number_) + 1 }),
  });
  return {
    element: h("figure", {}, picture, words),
    update(one) {
      const outcome = { true: t("success"), false: t("failure") }[one.success] ?? "";
      say(words, [t("attempt {n}", { n: Number(number_) + 1 }), outcome].filter(Boolean).join(": "));
    },
  };
}

