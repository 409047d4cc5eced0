// The desk of a job that moves the arm: cameras live, its questions, its keys, what it says, who has the control.
// STOP is the frame's (app.js): it is in view on every page while such a job runs.

import { Cameras } from "./cameras.js";
import { Keyed, h, say, show } from "./dom.js";
import { Hands, controls, keyName } from "./hands.js";
import { JogPanel } from "./jog.js";
import { Link } from "./link.js";
import { isRunning } from "./jobs.js";
import { known, number, t } from "./texts.js";

const TYPED = "textarea, select, input:not([type=checkbox], [type=radio], [type=range])";
const ALIASES = { tab: "t" }; // a key that moves the focus: the other one that means the same
const FRAME_KEYS = ["space", "escape"]; // they stop, whatever else a script calls so
const LOOK = 700; // ms until the frame is asked again whether the desk is there
const SILENCE = 1500; // ms without an answer that are worth a word

export { stopDesk } from "./link.js";

const word = (text) => known(`word ${text}`, text);

export class Desk {
  // job: its number; jog: whether the arm is driven here; beside: more to look at; onended(job); onstate(state)
  constructor({ job, jog = false, beside = [], onended = () => {}, onstate = () => {} }) {
    Object.assign(this, { job, onended, onstate, heard: performance.now(), question: undefined });
    this.hands = new Hands(() => this.link?.beat());
    this.cameras = new Cameras(job);
    this.now = new Now((key) => this.link.press(key), (given) => this.link.answer(this.state.question.id, given));
    this.report = new Report();
    this.jog = jog ? new JogPanel(this.hands) : null;
    controls().then(({ slow_key: key }) => { this.now.slow = key; }, () => {}); // a switch of the page
    this.take = h("button", { type: "button", class: "primary", onclick: () => this.link.own() }, t("take control"));
    this.others = h("div", { class: "card others", hidden: true, role: "status" }, h("p", {}, t("another page has the control")), this.take);
    this.lost = h("p", { class: "problem", role: "alert" });
    this.element = h("section", { class: "desk", "aria-label": t("desk") }, h("div", { class: "side" }, this.cameras.element, ...beside),
      h("div", { class: "side" }, this.others, this.now.element, this.jog?.element, this.report.element, this.lost));
    this.onkey = (event) => (event.type === "keydown" ? this.down(event) : this.hands.release(`key ${event.code}`));
    for (const what of ["keydown", "keyup"]) document.addEventListener(what, this.onkey, true);
    this.link = new Link(job, { hands: this.hands, onstate: (state) => this.tell(state), onsilence: (why) => this.miss(why) });
  }

  tell(state) {
    this.state = state;
    this.heard = performance.now();
    say(this.lost, "");
    show(this.others, Boolean(state.owner) && !this.link.isMine);
    this.cameras.update(state.cameras);
    this.now.update(state, this.link.isMine);
    if (this.jog) this.jog.update(state, this.link.isMine);
    this.report.update(state);
    this.onstate(state);
  }

  miss(why) {
    if (performance.now() - this.heard < SILENCE) return;
    if (this.state && this.state.doing !== "ended") say(this.lost, t("the arm's program does not answer: {why}", { why }));
    this.hands.enable(false);
  }

  // What the frame was told: whether the job still runs.
  update(all) {
    const job = all.jobs.find((one) => one.number === this.job);
    if (job && !this.state) this.now.wait(job.last);
    if (all.arm?.job === this.job) this.link.begin();
    else if (!this.state) this.look();
    if (this.isEnded || !job || isRunning(job)) return;
    this.close();
    this.onended(job);
  }

  // Soon look again whether the job has its desk by now.
  look() {
    this.asking ??= setTimeout(() => {
      this.asking = undefined;
      if (!this.isEnded) document.dispatchEvent(new Event("cockpit:changed"));
    }, LOOK);
  }

  down(event) {
    if (["Meta", "Control", "Alt"].includes(event.key)) this.hands.release();
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.target.closest(TYPED)) return;
    const name = keyName(event);
    if (name === "tab") return; // it moves the focus; what it means to a script has another key
    if (!this.state || !this.link.isMine || FRAME_KEYS.includes(name)) return;
    if (name === "enter" && event.target.closest("a, button, summary, input")) return;
    if (!this.use(name, event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Whether a key means something now.
  use(name, event) {
    const { question, keys } = this.state;
    if (question) {
      const isAnswer = question.answers.some((answer) => answer.key === name);
      if (isAnswer && !event.repeat) this.link.answer(question.id, { key: name });
      return isAnswer;
    }
    const way = this.hands.isOn && this.hands.bindings?.keys[name];
    if (way) {
      if (!event.repeat) this.hands.hold(`key ${event.code}`, { [way[0]]: way[1] });
      return true;
    }
    if (this.hands.isOn && name === this.hands.bindings?.slow_key) {
      if (!event.repeat) this.jog?.toggle();
      return true;
    }
    const key = keys.find((one) => (ALIASES[one.key] ?? one.key) === name)?.key;
    if (key && !event.repeat) this.link.press(key);
    return Boolean(key);
  }

  close() {
    this.isEnded = true;
    for (const what of ["keydown", "keyup"]) document.removeEventListener(what, this.onkey, true);
    this.hands.close();
    this.link.close();
    this.cameras.close();
  }
}

function keyShown(key) {
  const name = ALIASES[key] ?? key;
  return FRAME_KEYS.includes(name) ? null : h("kbd", {}, known(`key ${name}`, name));
}


// What is asked or done at present, in a box that keeps its height: nothing moves under a finger.
class Now {
  constructor(press, answer) {
    Object.assign(this, { press, answer });
    this.doing = h("span", { class: "doing" });
    this.task = h("span", { class: "soft" });
    this.status = h("p", { class: "status" });
    this.text = h("p", { class: "asked", role: "alert" });
    this.line = h("input", { type: "text", "aria-label": t("your answer"), autocomplete: "off" });
    this.form = h("form", { class: "typed", hidden: true, onsubmit: (event) => this.send(event) }, this.line,
      h("button", { type: "submit", class: "primary" }, t("answer")));
    this.row = h("div", { class: "actions" });
    this.element = h("section", { class: "card now" }, h("header", {}, this.doing, this.task), this.status, this.text, this.form, this.row);
    this.wait("");
  }

  send(event) {
    event.preventDefault();
    this.answer({ line: this.line.value });
    this.line.value = "";
  }

  wait(last) {
    say(this.doing, t("doing starting"));
    say(this.status, last);
  }

  update(state, isMine) {
    const { question } = state;
    this.element.classList.toggle("asks", Boolean(question));
    say(this.doing, t(`doing ${state.doing}`));
    say(this.task, state.task ?? "");
    say(this.status, question ? "" : state.stopped ? t("stopped: {why}", { why: state.stopped }) : state.status ?? "");
    this.status.classList.toggle("problem", Boolean(state.stopped) && !question);
    say(this.text, question?.text ?? "");
    const shown = JSON.stringify([question?.id, question?.answers ?? state.keys]);
    if (shown !== this.shown) this.fill(question, state.keys);
    this.shown = shown;
    for (const button of this.element.querySelectorAll("button")) button.disabled = !isMine;
  }

  fill(question, keys) {
    show(this.form, Boolean(question?.takes_line));
    if (question?.takes_line) this.line.focus();
    const entries = question ? question.answers : keys.filter((one) => one.key !== this.slow);
    this.row.replaceChildren(...entries.map((one, place) => h("button", {
      type: "button", class: question && place === 0 ? "primary" : "quiet",
      onclick: () => (question ? this.answer({ key: one.key }) : this.press(one.key)),
    }, word(one.word), " ", keyShown(one.key))));
  }
}

// A line that was said; the twin's own page in it, which is served by this machine alone, can be followed.
const TWIN_PAGE = /(http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+)/;
const withLink = (text) => text.split(TWIN_PAGE).map((part) => (
  TWIN_PAGE.test(part) ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part));

// How far it is, what the policy does, what was said.
class Report {
  constructor() {
    this.bar = h("progress", { max: 1, "aria-label": t("progress") });
    this.far = h("p", { class: "soft" });
    this.steps = h("div", { class: "far", hidden: true }, this.bar, this.far);
    this.chunkBar = h("progress", { max: 1, "aria-label": t("actions of this chunk") });
    this.chunkText = h("p", { class: "soft" });
    this.chunk = h("div", { class: "far", hidden: true }, this.chunkBar, this.chunkText);
    this.outcome = h("p", { class: "amount" });
    this.list = h("ol", { class: "said", role: "log", "aria-label": t("what was said"), tabindex: "0" });
    this.lines = new Keyed(this.list, (one) => one.n, (one) => ({ element: h("li", {}, ...withLink(one.text)) }));
    this.empty = h("p", { class: "soft" }, t("nothing was said yet"));
    this.element = h("section", { class: "card report" }, this.steps, this.chunk, this.outcome, this.empty, this.list);
  }

  update({ progress, policy, success, reward, said }) {
    show(this.steps, Boolean(progress));
    if (progress) {
      this.bar.value = progress.steps ? progress.step / progress.steps : 0;
      say(this.far, t("episode {episode} of {episodes}, step {step} of {steps}", Object.fromEntries(
        Object.entries(progress).map(([name, value]) => [name, number(value ?? 0)]))));
    }
    show(this.chunk, Boolean(policy));
    if (policy) {
      this.chunkBar.value = policy.chunk ? policy.remaining / policy.chunk : 0;
      say(this.chunkText, t("{mode}: {remaining} of {chunk} actions of this chunk left", {
        mode: t(`mode ${policy.mode}`), remaining: number(policy.remaining ?? 0), chunk: number(policy.chunk ?? 0) }));
    }
    const ends = { true: t("success"), false: t("failure") }[success] ?? "";
    const points = reward ? t("{k} of {n} points", { k: reward[0], n: reward[1] }) : "";
    say(this.outcome, [ends, points].filter(Boolean).join(", "));
    const isAtEnd = this.list.scrollTop + this.list.clientHeight > this.list.scrollHeight - 30;
    const before = this.list.childElementCount, last = said.at(-1)?.n;
    this.lines.update(said);
    show(this.empty, said.length === 0);
    if (isAtEnd && (before !== said.length || last !== this.last)) this.list.scrollTop = this.list.scrollHeight;
    this.last = last;
  }
}
