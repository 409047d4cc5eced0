// The form of a script: a few fields that matter, all others behind a fold, the command that they make.

import { get, post } from "./api.js";
import { h, say, show } from "./dom.js";
import { Field } from "./field.js";
import { t } from "./texts.js";

const PAUSE = 200; // ms after the last key before the command is asked for
const ASKED = ["config", "policy_class"]; // on which the other flags depend
export const DRY_RUN = { flags: ["dry_run"], element: null, values: () => ({}) }; // a button's, no field
const remembered = new Map(); // what forms held when their page was left

export class Form {
  // program: of the server's list; first: fields that the page makes, {element, flags, values(), focus()};
  // start: the words on the button; onstart(job); rehearse: what it would do has to be shown before it can be done;
  // trial: words on a button that only tries
  constructor({ program, first, start, onstart, rehearse = false, trial = "" }) {
    Object.assign(this, { program, first, onstart, rehearse, values: remembered.get(program) ?? {}, fields: new Map() });
    remembered.set(program, this.values);
    this.flags = [];
    this.tried = false;
    this.problem = h("p", { class: "problem", role: "alert" });
    this.command = h("code", { tabindex: "0", "aria-label": t("the command") });
    this.copied = h("button", { type: "button", class: "quiet small", onclick: () => this.copy() }, t("copy"));
    this.button = h("button", { type: "submit", class: rehearse ? "quiet" : "primary" }, rehearse ? t("show what it would do") : start);
    this.real = h("button", { type: "button", class: "primary", disabled: true, onclick: () => this.start(false) }, start);
    this.trial = trial ? h("button", { type: "button", class: "quiet", onclick: () => this.start(true) }, trial) : null;
    this.search = h("input", {
      type: "search", id: `search_${program}`, placeholder: t("find a flag"), "aria-label": t("find a flag"),
      oninput: () => this.filter(),
    });
    this.count = h("span", { class: "soft" });
    this.rest = h("div", { class: "rest" }, h("p", { class: "soft" }, t("reading the flags ...")));
    this.element = h("form", { class: "form", novalidate: true, onsubmit: (event) => this.submit(event) },
      ...first.map((one) => one.element),
      h("details", { class: "all", open: rehearse }, h("summary", {}, t("all flags"), " ", this.count), this.search, this.rest),
      h("div", { class: "command" }, this.command, this.copied),
      this.problem,
      h("div", { class: "actions" }, this.button, rehearse ? this.real : this.trial));
    say(this.command, t("reading the flags ..."));
    this.load();
  }

  // All values: those of the page's own fields, and those of the others.
  all() {
    const own = Object.assign({}, ...this.first.map((one) => one.values()));
    return { ...this.values, ...own };
  }

  async load() {
    const asked = {};
    for (const name of ASKED) {
      const value = this.all()[name];
      if (typeof value === "string" && value) asked[name] = value;
    }
    const key = JSON.stringify(asked);
    if (this.loaded === key) return;
    this.loaded = key;
    try {
      const told = await get("flags", { program: this.program, ...asked });
      if (this.loaded !== key) return;
      this.flags = told.flags;
      this.draw();
      this.changed();
    } catch (error) {
      say(this.problem, error.message);
    }
  }

  draw() {
    const own = new Set(this.first.flatMap((one) => one.flags));
    this.fields.clear();
    const groups = new Map();
    for (const flag of this.flags) {
      if (own.has(flag.name)) continue;
      const field = new Field(flag, this.values[flag.name], (value) => this.set(flag.name, value));
      this.fields.set(flag.name, field);
      if (!groups.has(flag.title)) groups.set(flag.title, []);
      groups.get(flag.title).push(field.element);
    }
    say(this.count, String(this.fields.size));
    this.rest.replaceChildren(...[...groups].map(([title, fields]) =>
      h("fieldset", {}, h("legend", {}, title || t("more")), ...fields)));
    for (const one of this.first) one.told?.(new Map(this.flags.map((flag) => [flag.name, flag])));
    this.filter();
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/);
    for (const field of this.fields.values()) show(field.element, words.every((word) => field.text.includes(word)));
    for (const group of this.rest.querySelectorAll("fieldset")) {
      show(group, [...group.querySelectorAll(".field")].some((field) => !field.hidden));
    }
  }

  set(name, value) {
    if (value === "" || value === null || value.length === 0) delete this.values[name];
    else this.values[name] = value;
    this.changed();
  }

  // To be called after every change: the flags may be others then, and the command is.
  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), PAUSE);
    this.load();
  }

  async look() {
    const asked = (this.asked = {});
    try {
      const answer = await post("command", { program: this.program, values: this.all() });
      if (asked !== this.asked) return;
      sayCommand(this.command, answer.command);
      this.tell(answer.problems);
    } catch (error) {
      if (asked === this.asked) say(this.problem, error.message);
    }
  }

  // Show what is wrong: at the fields that were touched, and everywhere once somebody has tried to start.
  tell(problems) {
    for (const [name, field] of this.fields) field.tell(problems[name]);
    const others = Object.entries(problems).filter(([name]) => !this.fields.has(name)).map(([, why]) => why);
    say(this.problem, this.tried ? others.join("\n") : "");
    return Object.keys(problems).length === 0;
  }

  submit(event) {
    event.preventDefault();
    this.start(this.rehearse);
  }

  // Once the jobs are known: whether what was shown is what would be done now.
  update(jobs) {
    const shown = this.shown && jobs.find((job) => job.number === this.shown.number);
    this.real.disabled = shown?.state !== "done" || this.shown.values !== JSON.stringify(this.all());
  }

  async start(isRehearsal) {
    if (this.button.disabled) return;
    this.tried = true;
    this.button.disabled = this.real.disabled = true;
    const values = this.all();
    try {
      const answer = await post("start", { program: this.program, values: isRehearsal ? { ...values, dry_run: true } : values });
      if (this.tell(answer.problems)) {
        this.tried = false;
        this.shown = isRehearsal ? { number: answer.job.number, values: JSON.stringify(values) } : null;
        this.onstart(answer.job);
      } else {
        this.element.querySelector("details").open ||= [...this.fields.keys()].some((name) => answer.problems[name]);
        this.element.querySelector("[aria-invalid=true]")?.focus();
      }
    } catch (error) {
      say(this.problem, error.message);
    } finally {
      this.button.disabled = false;
    }
  }

  async copy() {
    await copy(this.command.textContent, this.copied);
  }
}

// Show a command; its lines break before flags, not inside them.
export function sayCommand(element, command) {
  if (element.textContent === command) return;
  const parts = command.split(/ (?=--)/);
  element.replaceChildren(...parts.flatMap((part, place) => [place ? " " : "", h("span", {}, part)]));
}

// Copy a text, and say so on the button for a moment.
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy"); // where a page over plain HTTP has no clipboard
    area.remove();
  }
  button.textContent = t("copied");
  setTimeout(() => { button.textContent = t("copy"); }, 1500);
}
