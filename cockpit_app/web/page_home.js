// First contact: an empty folder leads through record, train and run, by one button each.
// Of a cockpit of the twin (--robot twin), recording and running are watched on the twin.

import { h, say, show } from "./dom.js";
import { JobCard, isRunning, startJob } from "./jobs.js";
import { Seat } from "./seat.js";
import { number, t } from "./texts.js";

const TASK = "sim_mycobot320_choose_scripted", EPISODES = 50, EPISODES_TWIN = 25; // the twin takes its time

// The three steps: what each starts, and whether it is done.
function steps(all) {
  const isTwin = all.arm.robot === "twin", episodes = isTwin ? EPISODES_TWIN : EPISODES;
  const live = isTwin ? { unattended: true } : {}; // it goes on when the page is left
  const dataset = `${all.places.data}/${TASK}`, run = `${all.places.runs}/first`;
  const preset = all.presets.find((one) => one.name === "small");
  const recorded = all.datasets.find((one) => one.path === dataset)?.episodes ?? 0;
  const trained = all.runs.find((one) => one.path === run);
  const last = all.jobs.find((job) => job.program === "train" && job.title === run);
  return [
    {
      name: "record", program: isTwin ? "arm_record" : "record", about: dataset, isDone: recorded >= episodes,
      text: t(isTwin ? "about step record twin" : "about step record"), button: t("first record", { n: episodes }),
      values: { task_name: TASK, dataset_dir: dataset, num_episodes: String(episodes), ...live },
      fact: recorded ? t("{n} episodes are there", { n: number(recorded) }) : "",
    },
    {
      name: "train", program: "train", about: run, isDone: Boolean(trained?.checkpoints.length) && (!last || last.state === "done"),
      values: {
        task_name: TASK, dataset_dir: [dataset], ckpt_dir: run, config: preset?.path, batch_size: "16", num_steps: "1400",
        beta2: "0.98", early_share: "0.2",
      },
      fact: trained?.step ? t("trained to step {step}", { step: number(trained.step) }) : "",
    },
    {
      name: "run", program: isTwin ? "arm_run" : "twin", about: run, isDone: Boolean(trained?.arm_result),
      values: { task_name: TASK, ckpt_dir: [run], num_rollouts: "5", ...live },
      fact: trained?.arm_result ? t("{k} of {n} succeeded", { k: trained.arm_result.successes, n: trained.arm_result.n }) : "",
    },
  ];
}

export class Home {
  constructor() {
    this.steps = ["record", "train", "run"].map((name) => new Step(name));
    this.seat = new Seat(["arm_record", "arm_run"]);
    this.element = h("div", {}, this.seat.element, h("p", { class: "lead" }, t("first contact")),
      h("ol", { class: "steps" }, ...this.steps.map((step) => step.element)));
  }

  update(all) {
    this.seat.update(all);
    const told = steps(all);
    told.forEach((one, place) => this.steps[place].update(one, place === 0 || told[place - 1].isDone, all.jobs));
  }

  leave() {
    this.seat.close();
  }
}

class Step {
  constructor(name) {
    this.mark = h("span", { class: "mark", "aria-hidden": "true" });
    this.fact = h("p", { class: "fact" });
    this.button = h("button", { type: "button", class: "primary", onclick: () => this.start() }, t(`first ${name}`, { n: EPISODES }));
    this.text = h("p", {}, t(`about step ${name}`));
    this.other = h("a", { class: "button quiet", href: `#${name}` });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.place = h("div");
    this.element = h("li", { class: "card step" }, h("header", {}, this.mark, h("h2", {}, t(`step ${name}`))),
      this.text, this.fact,
      h("div", { class: "actions" }, this.button, this.other),
      this.problem, this.place);
  }

  update(one, isReady, jobs) {
    this.one = one;
    const job = jobs.find((each) => each.program === one.program && each.title === one.about);
    const isBusy = Boolean(job && isRunning(job));
    this.element.dataset.state = isBusy ? "busy" : one.isDone ? "done" : isReady ? "next" : "later";
    say(this.fact, one.fact);
    if (one.text) say(this.text, one.text);
    if (one.button) say(this.button, one.button);
    const isSeen = one.isDone && one.name === "run";
    this.other.href = isSeen ? `#run?run=${encodeURIComponent(one.about)}` : `#${this.other.hash.slice(1).split("?")[0]}`;
    say(this.other, t(isSeen ? "look at it" : "do it my way"));
    this.button.disabled = !isReady || isBusy || this.isAsking === true;
    this.button.classList.toggle("quiet", one.isDone);
    this.button.classList.toggle("primary", !one.isDone);
    show(this.button, !(one.isDone && one.name !== "run"));
    if (job?.number !== this.number) {
      this.card = job && new JobCard(job);
      this.number = job?.number;
      this.place.replaceChildren(...(this.card ? [this.card.element] : []));
    }
    this.card?.update(job);
    show(this.place, isBusy || Boolean(job && job.state !== "done"));
  }

  async start() {
    this.isAsking = this.button.disabled = true;
    await startJob(this.one.program, this.one.values, this.problem, () => {});
    this.isAsking = false;
    document.dispatchEvent(new Event("cockpit:changed"));
  }
}
