// The arm in numbers: each joint and the gripper between its limits, temperatures and currents, rate, ages, clamps.

import { get } from "./api.js";
import { Keyed, h, say } from "./dom.js";
import { number, t } from "./texts.js";

const HOT = 60; // degrees Celsius at which a servo's number stands out
const OLD = 0.5; // s of a state or picture
const SLOW = 0.9; // of the usual rate
const USUAL = 10; // steps/s
const degrees = (angle) => (angle * 180) / Math.PI;

export class Meters {
  constructor() {
    this.limits = null;
    get("arm_model").then((model) => { this.limits = model.limits; }, () => {});
    this.rows = Array.from({ length: 7 }, (_, place) => new Row(place));
    this.facts = h("ul", { class: "facts" });
    this.keyed = new Keyed(this.facts, (one) => one.name, (one) => new Fact(one.words));
    this.element = h("section", { class: "card meters", "aria-label": t("the arm in numbers") },
      h("div", { class: "rows" }, ...this.rows.map((row) => row.element)), this.facts);
    this.update(null);
  }

  update(state) {
    this.rows.forEach((row, place) => row.update(state, this.limits?.[place]));
    const { rate = null, ages = {}, clamps = "" } = state ?? {};
    const facts = [{ name: "rate", words: t("rate"), text: rate === null ? "–" : t("{n} steps/s", { n: number(rate, 1) }), isBad: rate !== null && rate < SLOW * USUAL }];
    for (const [name, age] of Object.entries(ages)) {
      const words = name === "state" ? t("age of the state") : t("age of {camera}", { camera: name });
      facts.push({ name: `age ${name}`, words, text: t("{n} ms", { n: number(Math.round(age * 1000)) }), isBad: age > OLD });
    }
    facts.push({ name: "clamps", words: t("clamps"), text: clamps || t("none") });
    this.keyed.update(facts);
  }
}

class Fact {
  constructor(words) {
    this.text = h("b", {});
    this.element = h("li", {}, h("span", { class: "soft" }, words), " ", this.text);
  }

  update(one) {
    say(this.text, one.text);
    this.element.classList.toggle("bad", Boolean(one.isBad));
  }
}

// One entry of qpos: where it is between its limits, where it was sent, and how warm its servo is.
class Row {
  constructor(place) {
    this.isGripper = place === 6;
    this.place = place;
    this.value = h("b", {});
    this.mark = h("span", { class: "at" });
    this.sent = h("span", { class: "sent" });
    this.bar = h("span", { class: "range", role: "img" }, this.sent, this.mark);
    this.servo = h("span", { class: "servo soft" });
    this.name = this.isGripper ? t("gripper") : t("joint {n}", { n: place + 1 });
    this.element = h("div", { class: "row" }, h("span", {}, this.name), this.bar, this.value, this.servo);
  }

  update(state, limits) {
    const value = state?.qpos?.[this.place], sent = state?.sent?.[this.place];
    const text = value === undefined ? "–" : this.isGripper ? `${Math.round(value * 100)} %` : `${degrees(value).toFixed(1)}°`;
    say(this.value, text);
    const [low, high] = limits ?? [0, 1];
    const share = (one) => `${100 * Math.min(1, Math.max(0, (one - low) / (high - low)))}%`;
    for (const [mark, one] of [[this.mark, value], [this.sent, sent]]) {
      mark.hidden = one === undefined || one === null || !limits;
      if (!mark.hidden) mark.style.left = share(one);
    }
    const ends = this.isGripper ? ["0 %", "100 %"] : [low, high].map((one) => `${Math.round(degrees(one))}°`);
    if (limits) this.bar.setAttribute("aria-label", t("{name}: {value} of {low} to {high}", { name: this.name, value: text, low: ends[0], high: ends[1] }));
    this.bar.title = limits ? `${ends[0]} … ${ends[1]}` : "";
    this.warm(state?.temperatures?.[this.place], state?.currents?.[this.place]);
  }

  warm(temperature, current) {
    const parts = [];
    if (typeof temperature === "number") parts.push(`${Math.round(temperature)} °C`);
    if (typeof current === "number") parts.push(`${Math.round(current)} mA`);
    say(this.servo, parts.join(", "));
    this.servo.classList.toggle("bad", temperature >= HOT);
  }
}
