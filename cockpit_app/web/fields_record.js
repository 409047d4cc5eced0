// The fields that the forms of recording put first: in simulation by script, or on the arm or its twin.

import { h, say, show } from "./dom.js";
import { cards, line, picker } from "./field.js";
import { number, t } from "./texts.js";

const USUAL = "sim_mycobot320_choose_scripted";
const SEQUENCE = "pickandmove";

// What both have: task, name, number. held: what they held when the page was left.
class Fields {
  constructor(all, held, onchange) {
    Object.assign(this, { all, onchange, isNamed: Boolean(held.name) });
    this.name = line({
      flag: "dataset_dir", label: t("name of the dataset"), before: `${all.places.data}/`, value: held.name ?? "",
      onchange: () => {
        this.isNamed = true;
        onchange();
      },
    });
    this.count = line({
      flag: "num_episodes", label: t("episodes"), help: t("help episodes"), isNumber: true, value: held.count ?? this.usualCount(), onchange,
    });
  }

  usualCount() {
    return "50";
  }

  tasks(tasks, wanted) {
    const task = picker({ label: t("task"), flags: ["task_name"], onchange: this.onchange, values: (name) => ({ task_name: name }) });
    task.fill(tasks.map((one) => ({ value: one.name, label: t("{task} ({arm})", {
      task: one.name, arm: t(one.twin ? "a myCobot 320" : "two ALOHA arms"),
    }) })));
    const first = tasks.some((one) => one.name === USUAL) ? USUAL : tasks[0].name;
    task.select.value = tasks.some((one) => one.name === wanted) ? wanted : first;
    return task;
  }

  dataset() {
    return `${this.all.places.data}/${this.name.input.value.trim()}`;
  }

  held() {
    return { task: this.taskName(), name: this.isNamed ? this.name.input.value : undefined, count: this.count.input.value };
  }

  // To be called when something was changed, and when there is news.
  update(all) {
    this.all = all;
    if (!this.isNamed) this.name.input.value = this.usualName();
    const dataset = all.datasets.find((one) => one.path === this.dataset());
    say(this.name.note, dataset ? t("{n} episodes are there already; they count", { n: number(dataset.episodes) }) : "");
    const task = all.tasks.find((one) => one.name === this.taskName());
    const words = task && t("about task", { steps: number(task.steps), seconds: number(task.steps / task.fps, 1), cameras: task.cameras.join(", ") });
    if (words) say(this.task.note, words);
  }
}

export class Simulated extends Fields {
  constructor(all, held, onchange) {
    super(all, held, onchange);
    this.program = "record";
    this.task = this.tasks(all.tasks.filter((task) => task.scripted), held.task);
    this.style = cards({
      flag: "style", label: t("style"), value: held.style ?? "script", onchange,
      options: ["script", "human"].map((one) => ({ value: one, label: t(`style ${one}`), about: t(`about style ${one}`) })),
    });
    this.style.values = () => (this.style.chosen() === "script" ? {} : { style: this.style.chosen() });
    this.looks = cards({
      flag: "randomize", label: t("light and room"), value: held.looks ?? "", onchange,
      options: ["", "frame", "episode"].map((one) => ({ value: one, label: t(`looks ${one || "plain"}`), about: t(`about looks ${one || "plain"}`) })),
    });
    this.fields = [this.task, this.name, this.count, this.style, this.looks];
  }

  taskName() {
    return this.task.chosen();
  }

  held() {
    return { ...super.held(), style: this.style.chosen(), looks: this.looks.chosen() };
  }

  usualName() {
    const words = [this.taskName()];
    if (this.style.chosen() === "human") words.push("human");
    if (this.looks.chosen()) words.push("looks");
    return words.join("_");
  }
}

// On the arm, or on the twin: who or what moves it, and where things are to be put.
export class OnArm extends Fields {
  constructor(all, held, onchange) {
    super(all, held, onchange);
    this.program = "arm_record";
    const isTwin = all.arm.robot === "twin";
    this.task = isTwin ? this.tasks(all.tasks.filter((task) => task.twin), held.task)
      : line({ flag: "task_name", label: t("task"), help: t("help own task"), value: held.own ?? "", onchange });
    const ways = [...(isTwin ? ["script"] : []), "jog", "so101", "phone", "guide", "sequence"];
    this.way = cards({
      flag: "jog", label: t("who moves the arm"), value: ways.includes(held.way) ? held.way : ways[0], onchange,
      options: ways.map((one) => ({ value: one, label: t(`way ${one}`), about: t(`about way ${one}`) })),
    });
    this.way.flags = ["jog", "guide", "sequence"];
    this.sequence = line({ flag: "sequence", label: t("waypoints"), help: t("help sequence"), value: held.sequence ?? SEQUENCE, onchange });
    this.way.values = () => ({
      jog: { jog: "keyboard" }, so101: { jog: "so101" }, phone: { jog: "phone" }, guide: { guide: true }, sequence: { sequence: this.sequence.input.value.trim() }, script: {},
    })[this.way.chosen()];
    this.sequence.values = () => ({});
    this.suggest = picker({
      label: t("suggested places"), flags: ["suggest"], onchange,
      values: (path) => (path && this.canSuggest() ? { suggest: path } : {}),
    });
    say(this.suggest.note, t("help suggest"));
    this.fields = [this.task, this.name, this.count, this.way, this.sequence, this.suggest];
  }

  usualCount() {
    return "10";
  }

  taskName() {
    return this.task.chosen ? this.task.chosen() : this.task.input.value.trim();
  }

  canSuggest() {
    return ["jog", "so101", "phone", "script"].includes(this.way.chosen());
  }

  held() {
    return { ...super.held(), own: this.taskName(), way: this.way.chosen(), sequence: this.sequence.input.value };
  }

  usualName() {
    const task = this.taskName();
    return task && this.way.chosen() === "script" ? `${task}_twin` : task;
  }

  update(all) {
    super.update(all);
    const isOurs = (one) => one.task === this.taskName();
    const options = [...all.runs, ...all.datasets].filter(isOurs).map((one) => ({ value: one.path, label: one.path }));
    this.suggest.fill([{ value: "", label: t("no suggestions") }, ...options]);
    show(this.sequence.element, this.way.chosen() === "sequence");
    show(this.suggest.element, this.canSuggest());
  }
}

// Where something is done: in simulation, or with the cockpit's arm.
export function whereCards({ options, value, onchange }) {
  const chosen = options.some((one) => one.value === value) ? value : options[0].value;
  const field = cards({ flag: "", label: t("where"), options, value: chosen, onchange });
  field.place = h("div", { class: "form" }, field.element);
  return field;
}
