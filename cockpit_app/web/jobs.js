// Jobs: what runs, what ran, how far it is, what it prints; stopped and gone on by a button.

import { get, post, view } from "./api.js";
import { LossChart } from "./chart.js";
import { Keyed, h, say, show } from "./dom.js";
import { copy, sayCommand } from "./form.js";
import { ago, duration, known, number, t } from "./texts.js";

const RUNNING = ["running", "stopping"];
const LOSSES = /^step \d+: training loss/; // which the chart shows
const LOSSES_EVERY = 3000; // ms
const DOUBLE_CLICK = 1000; // ms

export const isRunning = (job) => RUNNING.includes(job.state);
export const isAtArm = (job) => job.program === "drive" || job.program.startsWith("arm_");

const changed = () => document.dispatchEvent(new Event("cockpit:changed"));

// Start a program; the element `problem` says what is wrong with its values.
export async function startJob(program, values, problem, begun = changed) {
  try {
    const answer = await post("start", { program, values });
    say(problem, Object.values(answer.problems).join("\n"));
    begun();
  } catch (error) {
    say(problem, error.message);
  }
}

const isRehearsal = (job) => job.values.dry_run === true;

// A list of jobs, newest first; `after(job)` may give a line of links for one that has ended.
export class JobList {
  constructor({ programs, empty, after }) {
    this.programs = programs;
    this.empty = h("p", { class: "soft empty" }, empty);
    this.list = h("div", { class: "jobs" });
    this.keyed = new Keyed(this.list, (job) => job.number, (job) => new JobCard(job, after));
    this.element = h("div", {}, this.empty, this.list);
  }

  // After a start: on a small screen the list lies below the form.
  begun() {
    changed();
    const { top } = this.element.getBoundingClientRect();
    if (top > window.innerHeight * 0.8) this.element.scrollIntoView({ block: "start" });
  }

  update(jobs) {
    const ours = jobs.filter((job) => this.programs.includes(job.program));
    show(this.empty, ours.length === 0);
    this.keyed.update(ours);
  }
}

export class JobCard {
  constructor(job, after) {
    Object.assign(this, { job, after, start: 0, text: "" });
    const button = (act, words, kind = "quiet small") =>
      h("button", { type: "button", class: kind, onclick: () => this.act(act, act === "stop" ? this.howToStop() : {}) }, words);
    this.title = h("h3", {}, isRehearsal(job) ? t("{name}, only looked", { name: job.title }) : job.title || known(`program ${job.program}`, job.shown));
    this.state = h("span", { class: "state" });
    this.bar = h("progress", { max: 1, "aria-label": t("progress") });
    this.amount = h("b", { class: "amount" });
    this.rest = h("span", { class: "soft" });
    this.last = h("p", { class: "last" });
    this.notes = h("ul", { class: "notes" });
    this.stop = button("stop", t("stop"));
    this.again = button("again", t("go on"), "primary small");
    this.forget = button("forget", t("remove from the list"));
    this.links = h("p", { class: "links" });
    this.output = h("pre", { tabindex: "0", "aria-label": t("output") });
    const command = h("button", { type: "button", class: "quiet small" }, t("copy"));
    command.addEventListener("click", () => copy(job.shown, command));
    const code = h("code", { tabindex: "0", "aria-label": t("the command") });
    sayCommand(code, job.shown);
    this.details = h("details", { open: job.program === "check" || isRehearsal(job), ontoggle: () => this.read() }, h("summary", {}, t("output and command")),
      h("div", { class: "command" }, code, command), this.output);
    this.chart = job.program === "train" && !isRehearsal(job) ? new LossChart() : null;
    this.element = h("article", { class: "job card" },
      h("header", {}, this.title, this.state),
      h("div", { class: "far" }, this.bar, h("p", {}, this.amount, " ", this.rest)),
      this.chart?.element, this.notes, this.last, this.links,
      h("div", { class: "actions" }, this.stop, this.again, this.forget), this.details);
  }

  update(job) {
    this.job = job;
    const { progress, state } = job;
    this.element.dataset.state = state;
    if (state === "stopping") this.stopping ??= Date.now();
    say(this.state, t(`state ${state}`));
    if (progress) this.bar.value = progress.total ? progress.done / progress.total : 0;
    else if (isRunning(job)) this.bar.removeAttribute("value");
    else this.bar.value = state === "done" ? 1 : 0;
    say(this.amount, progress ? t("{done} of {total}", { done: number(progress.done), total: number(progress.total) }) : "");
    const left = progress && isRunning(job) && !progress.left.includes("?") ? t("{time} left", { time: progress.left }) : "";
    const end = job.ended ? t("{ago}, took {time}", { ago: ago(job.ended), time: duration(job.ended - job.at) }) : left;
    say(this.rest, end);
    say(this.last, state === "done" || LOSSES.test(job.last) || job.notes.includes(job.last) ? "" : job.last);
    if (job.notes.length !== this.notes.children.length) this.notes.replaceChildren(...job.notes.map((note) => h("li", {}, note)));
    this.last.classList.toggle("problem", state === "failed");
    say(this.stop, t(state === "stopping" ? "end at once" : "stop"));
    show(this.stop, isRunning(job));
    show(this.again, !isRunning(job) && state !== "done");
    show(this.forget, !isRunning(job));
    const ready = isRunning(job) ? [] : this.after?.(job) ?? [];
    const key = `${job.number} ${state} ${ready.length}`;
    if (key !== this.linked) this.links.replaceChildren(...ready);
    this.linked = key;
    if (this.details.open && (isRunning(job) || this.state.textContent !== this.read_at)) this.read();
    this.losses();
  }

  async losses() {
    if (!this.chart || Date.now() - (this.asked ?? 0) < LOSSES_EVERY) return;
    if (!isRunning(this.job) && this.is_whole) return;
    this.asked = Date.now();
    this.is_whole = !isRunning(this.job);
    try {
      const run = await get("run", { path: this.job.title });
      this.chart.update(run.history, run.steps);
    } catch {
      this.is_whole = true; // the run is gone; its job tells the rest
    }
  }

  async read() {
    if (!this.details.open || this.isReading) return;
    this.isReading = true;
    const state = this.state.textContent;
    let answer;
    try {
      answer = await get("output", { job: this.job.number, from: this.start });
    } catch {
      return; // the page says when nobody answers
    } finally {
      this.isReading = false;
    }
    this.read_at = state;
    if (answer.next < this.start) return;
    const isAtEnd = this.output.scrollTop + this.output.clientHeight > this.output.scrollHeight - 30;
    this.text = (this.text + answer.text).slice(-200000);
    this.start = answer.next;
    say(this.output, plain(this.text));
    if (isAtEnd) this.output.scrollTop = this.output.scrollHeight;
  }

  // What the button says; but the second click of a double click is still meant for "stop".
  howToStop() {
    return { at_once: Date.now() - (this.stopping ?? Infinity) > DOUBLE_CLICK };
  }

  async act(action, more) {
    try {
      await post(action, { job: this.job.number, ...more });
      changed();
    } catch (error) {
      say(this.last, error.message);
      this.last.classList.add("problem");
    }
  }
}

// An output as a terminal shows it: what a carriage return went over is gone.
export function plain(text) {
  const lines = text.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r\n", "\n").split("\n");
  return lines.map((one) => one.replace(/\r+$/, "").split("\r").at(-1)).join("\n");
}

export function fileLink(link, words) {
  return h("a", { href: view(link), target: "_blank", rel: "noopener" }, words);
}
