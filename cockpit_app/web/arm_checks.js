// The checks of the arm: findings one by one with their pictures, calibration, cameras against their references.

import { view } from "./api.js";
import { Keyed, h, say, show } from "./dom.js";
import { cards, picker } from "./field.js";
import { Form } from "./form.js";
import { t } from "./texts.js";

const WAYS = ["arm_check", "arm_calibrate", "arm_against"];
const FOLDER = "runs/check_arm"; // where the checks write, unless told
const PICTURE = /([\w.-]+\.png)/; // of a finding that names one
let last = []; // findings of the last check, while the page lives

export class Checks {
  // shared: fields of the arm whose values every form takes; onstart(job)
  constructor({ all, shared, onstart }) {
    Object.assign(this, { all, shared, onstart });
    this.way = cards({
      flag: "", label: t("what to check"), value: WAYS[0], onchange: () => this.make(),
      options: WAYS.map((one) => ({ value: one, label: t(`program ${one}`), about: t(`about ${one}`) })),
    });
    this.place = h("div");
    this.list = h("ul", { class: "findings", "aria-live": "polite" });
    this.empty = h("p", { class: "soft" }, t("no findings yet"));
    this.keyed = new Keyed(this.list, (one) => one.number, (one) => new Found(one));
    this.element = h("section", { class: "card checks" }, h("h2", {}, t("checks")), h("div", { class: "form" }, this.way.element), this.place);
    this.found = h("section", { class: "card found" }, h("h2", {}, t("findings")), this.empty, this.list);
    this.make();
    if (last.length) this.tell(last);
  }

  // What the last check found, if one was made here.
  async read() {
    this.isRead = true;
    try {
      const answer = await fetch(view(`${FOLDER}/report.json`));
      if (answer.ok && !last.length) this.tell(await answer.json());
    } catch {
      // the frame says when nobody answers
    }
  }

  make() {
    const name = this.way.chosen();
    const flags = this.shared.flatMap((one) => one.flags);
    const silent = { flags, element: null, values: () => Object.assign({}, ...this.shared.map((one) => one.values())) };
    const first = [silent];
    this.references = null;
    if (name === "arm_against") {
      this.references = picker({
        label: t("references"), flags: ["against"], onchange: () => this.changed(), empty: t("no references"),
        values: (path) => (path ? { against: path } : {}),
      });
      first.unshift(this.references);
      this.fill();
    }
    this.form = new Form({ program: name, first, start: t(`start ${name}`), onstart: this.onstart });
    this.place.replaceChildren(this.form.element);
    this.changed();
  }

  fill() {
    if (!this.references) return;
    const runs = this.all.runs.filter((run) => run.checkpoints.length);
    this.references.fill([
      ...this.all.datasets.map((one) => ({ value: one.path, label: t("dataset {name}", { name: one.name }) })),
      ...runs.map((one) => ({ value: one.path, label: t("run {name}", { name: one.name }) })),
    ]);
  }

  changed() {
    this.form.changed();
  }

  // isBusy: another program than driving has the arm; nothing can begin before it ends.
  update(all, isBusy) {
    this.all = all;
    this.fill();
    const isMade = all.jobs.some((job) => job.program === "arm_check" && ["done", "failed"].includes(job.state));
    if (isMade && !isBusy && !last.length && !this.isRead) this.read();
    this.form.update(all.jobs);
    this.form.button.disabled = isBusy;
  }

  tell(findings) {
    if (!Array.isArray(findings)) return;
    last = findings;
    show(this.empty, findings.length === 0);
    this.keyed.update(findings.map((one, number) => ({ ...one, number: `${number} ${one.what}` })));
  }
}

class Found {
  constructor(one) {
    this.level = h("span", { class: "level" });
    this.text = h("p", {});
    this.advice = h("p", { class: "soft" });
    const file = one.text.match(PICTURE)?.[1];
    const address = file && `${view(`${FOLDER}/${file}`)}?at=${Date.now()}`;
    const picture = file && h("a", { href: address, target: "_blank", rel: "noopener" },
      h("img", { src: address, alt: t("picture of {what}", { what: one.what }), loading: "lazy" }));
    picture?.firstChild.addEventListener("error", () => picture.remove());
    this.element = h("li", {}, this.level, h("div", {}, h("b", {}, one.what), this.text, this.advice), picture);
  }

  update(one) {
    this.element.dataset.level = one.level;
    say(this.level, t(`level ${one.level}`));
    say(this.text, one.text);
    say(this.advice, one.advice ?? "");
  }
}
